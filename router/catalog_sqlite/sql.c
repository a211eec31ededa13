/* Happy path: a table of texts. A PostgreSQL catalog keeps the same tables and columns, so that one
 * can be copied into the other.
 *
 * Deleted tenants stay, which is what makes a slug unusable for ever; their request ids stay too,
 * so a late repetition of a creation does not make a second tenant.
 */
#include "router/catalog_sqlite/sql.h"

#include "base/assert.h"

const char fh_catalog_sql_schema[] =
    "CREATE TABLE stores("
    " name TEXT PRIMARY KEY,"
    " engine TEXT NOT NULL,"
    " location TEXT NOT NULL,"
    " owner_location TEXT NOT NULL,"
    " region TEXT NOT NULL,"
    " may_lose_writes INTEGER NOT NULL CHECK(may_lose_writes IN (0,1)),"
    " created_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE tenants("
    " uuid BLOB PRIMARY KEY CHECK(length(uuid)=16),"
    " slug TEXT NOT NULL UNIQUE,"
    " display_name TEXT NOT NULL,"
    " plan TEXT NOT NULL,"
    " state INTEGER NOT NULL CHECK(state BETWEEN 1 AND 5),"
    " request_id TEXT UNIQUE,"
    " created_at INTEGER NOT NULL,"
    " updated_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    /* The sweeper's: small however many tenants there are. */
    "CREATE INDEX tenants_unfinished ON tenants(uuid) WHERE state IN (1,4);"
    "CREATE TABLE placements("
    " tenant BLOB PRIMARY KEY REFERENCES tenants(uuid),"
    " store TEXT NOT NULL REFERENCES stores(name),"
    " tier INTEGER NOT NULL CHECK(tier BETWEEN 1 AND 3),"
    " home TEXT NOT NULL,"
    " epoch INTEGER NOT NULL CHECK(epoch>0),"
    " generation INTEGER NOT NULL CHECK(generation>0)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX placements_store ON placements(store);"
    "CREATE TABLE labels("
    " tenant BLOB NOT NULL REFERENCES tenants(uuid),"
    " key TEXT NOT NULL,"
    " value TEXT NOT NULL,"
    " PRIMARY KEY(tenant,key)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE migrations("
    " version INTEGER PRIMARY KEY CHECK(version>0),"
    " name TEXT NOT NULL UNIQUE,"
    " sql TEXT NOT NULL,"
    " checksum BLOB NOT NULL CHECK(length(checksum)=32),"
    " applied_at INTEGER NOT NULL) STRICT;"
    "CREATE TABLE page_keys("
    " id INTEGER PRIMARY KEY CHECK(id>0),"
    " key BLOB NOT NULL CHECK(length(key)=32),"
    " created_at INTEGER NOT NULL) STRICT;"
    /* AUTOINCREMENT: an event's number is never given twice, so a gap shows a removal. */
    "CREATE TABLE operator_events("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " at INTEGER NOT NULL,"
    " actor TEXT NOT NULL,"
    " address TEXT NOT NULL,"
    " action TEXT NOT NULL,"
    " resource TEXT NOT NULL,"
    " reason TEXT NOT NULL,"
    " detail TEXT NOT NULL) STRICT;"
    "CREATE INDEX operator_events_resource ON operator_events(resource,id);"
    /* Phases are kept by name, so that a list that grows does not give an old row a new meaning.
     * A move is unfinished while finished_at is 0. */
    "CREATE TABLE moves("
    " uuid BLOB PRIMARY KEY CHECK(length(uuid)=16),"
    " tenant BLOB NOT NULL REFERENCES tenants(uuid),"
    " source_store TEXT NOT NULL REFERENCES stores(name),"
    " source_tier INTEGER NOT NULL CHECK(source_tier BETWEEN 1 AND 3),"
    " source_home TEXT NOT NULL,"
    " source_epoch INTEGER NOT NULL CHECK(source_epoch>0),"
    " source_generation INTEGER NOT NULL CHECK(source_generation>0),"
    " target_store TEXT NOT NULL REFERENCES stores(name),"
    " target_tier INTEGER NOT NULL CHECK(target_tier BETWEEN 1 AND 3),"
    " target_home TEXT NOT NULL,"
    " phase TEXT NOT NULL,"
    " wish INTEGER NOT NULL CHECK(wish BETWEEN 1 AND 3),"
    " generation INTEGER NOT NULL CHECK(generation>=0),"
    " beat INTEGER NOT NULL CHECK(beat>=0),"
    " worker BLOB NOT NULL CHECK(length(worker)=16),"
    " max_pause_us INTEGER NOT NULL CHECK(max_pause_us>0),"
    " rows_per_second_max INTEGER NOT NULL CHECK(rows_per_second_max>=0),"
    " duty_percent INTEGER NOT NULL CHECK(duty_percent BETWEEN 1 AND 100),"
    " progress TEXT NOT NULL,"
    " message TEXT NOT NULL,"
    " actor TEXT NOT NULL,"
    " reason TEXT NOT NULL,"
    " request_id TEXT UNIQUE,"
    " created_at INTEGER NOT NULL,"
    " updated_at INTEGER NOT NULL,"
    " finished_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE UNIQUE INDEX moves_one_unfinished ON moves(tenant) WHERE finished_at=0;"
    "CREATE INDEX moves_unfinished ON moves(uuid) WHERE finished_at=0;"
    "CREATE INDEX moves_tenant ON moves(tenant,uuid);"
    "CREATE TABLE rollouts("
    " uuid BLOB PRIMARY KEY CHECK(length(uuid)=16),"
    " version INTEGER NOT NULL REFERENCES migrations(version),"
    " phase TEXT NOT NULL,"
    " wish INTEGER NOT NULL CHECK(wish BETWEEN 1 AND 3),"
    " generation INTEGER NOT NULL CHECK(generation>=0),"
    " beat INTEGER NOT NULL CHECK(beat>=0),"
    " worker BLOB NOT NULL CHECK(length(worker)=16),"
    " settings TEXT NOT NULL,"
    " progress TEXT NOT NULL,"
    " message TEXT NOT NULL,"
    " actor TEXT NOT NULL,"
    " reason TEXT NOT NULL,"
    " created_at INTEGER NOT NULL,"
    " updated_at INTEGER NOT NULL,"
    " finished_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE UNIQUE INDEX rollouts_one_unfinished ON rollouts(finished_at) WHERE finished_at=0;"
    /* tenant: '' for a shared home */
    "CREATE TABLE rollout_homes("
    " rollout BLOB NOT NULL REFERENCES rollouts(uuid),"
    " store TEXT NOT NULL,"
    " home TEXT NOT NULL,"
    " tier INTEGER NOT NULL CHECK(tier BETWEEN 1 AND 3),"
    " tenant TEXT NOT NULL,"
    " state TEXT NOT NULL,"
    " canary INTEGER NOT NULL CHECK(canary IN (0,1)),"
    " version INTEGER NOT NULL CHECK(version>=0),"
    " tries INTEGER NOT NULL CHECK(tries>=0),"
    " message TEXT NOT NULL,"
    " updated_at INTEGER NOT NULL,"
    " PRIMARY KEY(rollout,store,home)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX rollout_homes_state ON rollout_homes(rollout,state);";

#define TENANT_COLUMNS                                                              \
    "SELECT t.uuid,t.slug,t.display_name,t.plan,t.state,t.created_at,t.updated_at," \
    "p.store,p.tier,p.home,p.epoch,p.generation "                                   \
    "FROM tenants t JOIN placements p ON p.tenant=t.uuid "

#define MOVE_COLUMNS                                                                      \
    "SELECT uuid,tenant,source_store,source_tier,source_home,source_epoch,"               \
    "source_generation,target_store,target_tier,target_home,phase,wish,generation,beat,"  \
    "worker,max_pause_us,rows_per_second_max,duty_percent,progress,message,actor,reason," \
    "created_at,updated_at,finished_at FROM moves "

#define EVENT_COLUMNS \
    "SELECT id,at,actor,address,action,resource,reason,detail FROM operator_events "

#define ROLLOUT_COLUMNS                                                                      \
    "SELECT uuid,version,phase,wish,generation,beat,worker,settings,progress,message,actor," \
    "reason,created_at,updated_at,finished_at FROM rollouts "

static const char *const texts[FH_CATALOG_SQL_COUNT] = {
    [FH_CATALOG_SQL_BEGIN_READ] = "BEGIN",
    [FH_CATALOG_SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [FH_CATALOG_SQL_COMMIT] = "COMMIT",
    [FH_CATALOG_SQL_ROLLBACK] = "ROLLBACK",
    [FH_CATALOG_SQL_SAVEPOINT] = "SAVEPOINT item",
    [FH_CATALOG_SQL_RELEASE] = "RELEASE item",
    [FH_CATALOG_SQL_ROLLBACK_TO] = "ROLLBACK TO item",
    [FH_CATALOG_SQL_TENANT_INSERT] =
        "INSERT INTO tenants(uuid,slug,display_name,plan,state,request_id,created_at,updated_at) "
        "VALUES(?1,?2,?3,?4,1,?5,?6,?6) ON CONFLICT DO NOTHING RETURNING 1",
    [FH_CATALOG_SQL_PLACEMENT_INSERT] =
        "INSERT INTO placements(tenant,store,tier,home,epoch,generation) VALUES(?1,?2,?3,?4,?5,?6)",
    [FH_CATALOG_SQL_LABEL_INSERT] =
        "INSERT INTO labels(tenant,key,value) VALUES(?1,?2,?3) ON CONFLICT DO NOTHING RETURNING 1",
    [FH_CATALOG_SQL_TENANT_BY_UUID] = TENANT_COLUMNS "WHERE t.uuid=?1",
    [FH_CATALOG_SQL_TENANT_BY_SLUG] = TENANT_COLUMNS "WHERE t.slug=?1",
    [FH_CATALOG_SQL_TENANT_BY_REQUEST_ID] = TENANT_COLUMNS "WHERE t.request_id=?1",
    [FH_CATALOG_SQL_TENANTS] =
        TENANT_COLUMNS "WHERE t.uuid>?1 AND ((?2>>t.state)&1)=1 AND (?3=0 OR t.updated_at<?3) "
                       "ORDER BY t.uuid LIMIT ?4",
    [FH_CATALOG_SQL_TENANTS_UNFINISHED] =
        TENANT_COLUMNS "WHERE t.state IN (1,4) AND t.uuid>?1 AND ((?2>>t.state)&1)=1 AND "
                       "(?3=0 OR t.updated_at<?3) ORDER BY t.uuid LIMIT ?4",
    [FH_CATALOG_SQL_LABELS] = "SELECT key,value FROM labels WHERE tenant=?1 ORDER BY key",
    [FH_CATALOG_SQL_TENANT_ADVANCE] = "UPDATE tenants SET state=?2,updated_at=?3 WHERE uuid=?1",
    [FH_CATALOG_SQL_GENERATION_SET] = "UPDATE placements SET generation=?2 WHERE tenant=?1",
    [FH_CATALOG_SQL_STORE_INSERT] =
        "INSERT INTO stores(name,engine,location,owner_location,region,may_lose_writes,created_at) "
        "VALUES(?1,?2,?3,?4,?5,?6,?7) ON CONFLICT DO NOTHING RETURNING 1",
    [FH_CATALOG_SQL_STORE_EXISTS] = "SELECT 1 FROM stores WHERE name=?1",
    [FH_CATALOG_SQL_STORES] =
        "SELECT name,engine,location,owner_location,region,may_lose_writes,created_at "
        "FROM stores ORDER BY name",
    [FH_CATALOG_SQL_MIGRATION_NEWEST] = "SELECT count(*),coalesce(max(version),0) FROM migrations",
    [FH_CATALOG_SQL_MIGRATION_INSERT] =
        "INSERT INTO migrations(version,name,sql,checksum,applied_at) VALUES(?1,?2,?3,?4,?5) "
        "ON CONFLICT DO NOTHING RETURNING 1",
    [FH_CATALOG_SQL_MIGRATIONS] =
        "SELECT version,name,sql,checksum,applied_at FROM migrations ORDER BY version",
    [FH_CATALOG_SQL_PAGE_KEY_INSERT] = "INSERT INTO page_keys(id,key,created_at) VALUES(?1,?2,?3)",
    [FH_CATALOG_SQL_PAGE_KEYS] =
        "SELECT id,key,created_at FROM page_keys ORDER BY id DESC LIMIT 64",
    [FH_CATALOG_SQL_EVENT_INSERT] =
        "INSERT INTO operator_events(at,actor,address,action,resource,reason,detail) "
        "VALUES(?1,?2,?3,?4,?5,?6,?7)",
    [FH_CATALOG_SQL_EVENTS] = EVENT_COLUMNS "WHERE id>?1 ORDER BY id LIMIT ?2",
    [FH_CATALOG_SQL_EVENTS_OF_RESOURCE] =
        EVENT_COLUMNS "WHERE resource=?3 AND id>?1 ORDER BY id LIMIT ?2",
    [FH_CATALOG_SQL_MOVE_INSERT] =
        "INSERT INTO moves(uuid,tenant,source_store,source_tier,source_home,source_epoch,"
        "source_generation,target_store,target_tier,target_home,phase,wish,generation,beat,worker,"
        "max_pause_us,rows_per_second_max,duty_percent,progress,message,actor,reason,request_id,"
        "created_at,updated_at,finished_at) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,"
        "?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,?24,0) ON CONFLICT DO NOTHING RETURNING 1",
    [FH_CATALOG_SQL_MOVE_UPDATE] =
        "UPDATE moves SET generation=?2,beat=?3,worker=?4,phase=?5,wish=?6,progress=?7,message=?8,"
        "updated_at=?9,finished_at=?10 WHERE uuid=?1",
    [FH_CATALOG_SQL_MOVE_BY_UUID] = MOVE_COLUMNS "WHERE uuid=?1",
    [FH_CATALOG_SQL_MOVE_BY_REQUEST_ID] = MOVE_COLUMNS "WHERE request_id=?1",
    [FH_CATALOG_SQL_MOVE_UNFINISHED_OF_TENANT] = MOVE_COLUMNS "WHERE tenant=?1 AND finished_at=0",
    [FH_CATALOG_SQL_MOVES] = MOVE_COLUMNS "WHERE uuid<?1 ORDER BY uuid DESC LIMIT ?2",
    [FH_CATALOG_SQL_MOVES_UNFINISHED] =
        MOVE_COLUMNS "WHERE finished_at=0 AND uuid<?1 ORDER BY uuid DESC LIMIT ?2",
    [FH_CATALOG_SQL_MOVES_OF_TENANT] =
        MOVE_COLUMNS "WHERE tenant=?3 AND uuid<?1 AND (?4=0 OR finished_at=0) "
                     "ORDER BY uuid DESC LIMIT ?2",
    [FH_CATALOG_SQL_PLACEMENT_SET] =
        "UPDATE placements SET store=?2,tier=?3,home=?4,epoch=?5,generation=?6 WHERE tenant=?1",
    [FH_CATALOG_SQL_TENANT_TOUCH] = "UPDATE tenants SET updated_at=?2 WHERE uuid=?1",
    [FH_CATALOG_SQL_ROLLOUT_INSERT] =
        "INSERT INTO rollouts(uuid,version,phase,wish,generation,beat,worker,settings,progress,"
        "message,actor,reason,created_at,updated_at,finished_at) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,"
        "?10,?11,?12,?13,?13,0) ON CONFLICT DO NOTHING RETURNING 1",
    [FH_CATALOG_SQL_ROLLOUT_UPDATE] =
        "UPDATE rollouts SET phase=?2,wish=?3,generation=?4,beat=?5,worker=?6,progress=?7,"
        "message=?8,updated_at=?9,finished_at=?10 WHERE uuid=?1",
    [FH_CATALOG_SQL_ROLLOUT_BY_UUID] = ROLLOUT_COLUMNS "WHERE uuid=?1",
    /* Not the largest uuid: two are made in one millisecond, or by clocks that differ. Of a
     * version's rollouts the done one is the last. */
    [FH_CATALOG_SQL_ROLLOUT_NEWEST] =
        ROLLOUT_COLUMNS "ORDER BY version DESC,(finished_at=0) DESC,(phase='done') DESC,uuid DESC "
                        "LIMIT 1",
    [FH_CATALOG_SQL_ROLLOUT_UNFINISHED] = ROLLOUT_COLUMNS "WHERE finished_at=0",
    [FH_CATALOG_SQL_ROLLOUTS] =
        ROLLOUT_COLUMNS "WHERE uuid<?1 AND (?3=0 OR finished_at=0) ORDER BY uuid DESC LIMIT ?2",
    /* "WHERE true": else the parser takes ON CONFLICT for a join's. */
    [FH_CATALOG_SQL_ROLLOUT_NOTE] =
        "INSERT INTO rollout_homes(rollout,store,home,tier,tenant,state,canary,version,tries,"
        "message,updated_at) SELECT ?1,value->>'store',value->>'home',value->>'tier',"
        "value->>'tenant',value->>'state',value->>'canary',value->>'version',value->>'tries',"
        "value->>'message',?3 FROM json_each(?2) WHERE true "
        "ON CONFLICT(rollout,store,home) DO UPDATE SET tier=excluded.tier,tenant=excluded.tenant,"
        "state=excluded.state,canary=excluded.canary,version=excluded.version,"
        "tries=excluded.tries,message=excluded.message,updated_at=excluded.updated_at "
        "WHERE excluded.state<>'pending' OR rollout_homes.state<>'done'",
    [FH_CATALOG_SQL_ROLLOUT_COUNT] =
        "SELECT count(*) FILTER(WHERE state<>'gone'),count(*) FILTER(WHERE state='done'),"
        "count(*) FILTER(WHERE state='failed'),count(*) FILTER(WHERE state='waiting') "
        "FROM rollout_homes WHERE rollout=?1",
    [FH_CATALOG_SQL_ROLLOUT_HOMES] =
        "SELECT store,home,tier,tenant,state,canary,version,tries,message,updated_at "
        "FROM rollout_homes WHERE rollout=?1 AND (store,home)>(?2,?3) "
        "AND (?4=0 OR (?4>>(CASE state WHEN 'pending' THEN 1 WHEN 'applying' THEN 2 "
        "WHEN 'waiting' THEN 3 WHEN 'done' THEN 4 WHEN 'failed' THEN 5 ELSE 6 END))&1=1) "
        "ORDER BY store,home LIMIT ?5",
};

const char *fh_catalog_sql(enum fh_catalog_statement which)
{
    FH_ASSERT(which < FH_CATALOG_SQL_COUNT);
    return texts[which];
}
