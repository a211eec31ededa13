/* Happy path: a table of texts. The embedded catalog keeps the same tables and columns, so that one
 * can be copied into the other.
 *
 * Locks are taken in one order: the tenant's placement, its move, the catalog's counter of events.
 * The counter is the last step of a change, sent together with its COMMIT, and nobody holds it
 * while a client thinks: so events are numbered without a gap, and in the order in which they can
 * be read.
 *
 * Texts compare by their bytes ("C"), as in the embedded catalog. Deleted tenants stay, which is
 * what makes a slug unusable for ever.
 */
#include "router/catalog_pg/sql.h"

#include <stddef.h>

#include "base/assert.h"

#define TEXT " text COLLATE \"C\" NOT NULL"

const char fh_catalog_pg_sql_look[] =
    "SELECT n.oid IS NOT NULL,c.oid IS NOT NULL FROM (SELECT 1) one "
    "LEFT JOIN pg_namespace n ON n.nspname='freehold_catalog' "
    "LEFT JOIN pg_class c ON c.relnamespace=n.oid AND c.relname='catalog'";

const char fh_catalog_pg_sql_format[] = "SELECT format FROM catalog";

const char *const fh_catalog_pg_sql_create[] = {
    "CREATE SCHEMA freehold_catalog",
    "CREATE TABLE catalog("
    " one boolean PRIMARY KEY DEFAULT true CHECK(one),"
    " format bigint NOT NULL,"
    " last_event bigint NOT NULL)",
    "INSERT INTO catalog(format,last_event) VALUES(3,0)", /* FH_CATALOG_PG_FORMAT */
    "CREATE TABLE stores("
    " name" TEXT " PRIMARY KEY,"
    " engine" TEXT ","
    " location" TEXT ","
    " owner_location" TEXT ","
    " region" TEXT ","
    " may_lose_writes boolean NOT NULL,"
    " created_at bigint NOT NULL)",
    "CREATE TABLE tenants("
    " uuid uuid PRIMARY KEY,"
    " slug" TEXT " UNIQUE,"
    " display_name" TEXT ","
    " plan" TEXT ","
    " state bigint NOT NULL CHECK(state BETWEEN 1 AND 5),"
    " request_id text COLLATE \"C\" UNIQUE,"
    " created_at bigint NOT NULL,"
    " updated_at bigint NOT NULL)",
    /* The sweeper's: small however many tenants there are. */
    "CREATE INDEX tenants_unfinished ON tenants(uuid) WHERE state IN (1,4)",
    "CREATE TABLE placements("
    " tenant uuid PRIMARY KEY REFERENCES tenants(uuid),"
    " store" TEXT " REFERENCES stores(name),"
    " tier bigint NOT NULL CHECK(tier BETWEEN 1 AND 3),"
    " home" TEXT ","
    " epoch bigint NOT NULL CHECK(epoch>0),"
    " generation bigint NOT NULL CHECK(generation>0))",
    "CREATE INDEX placements_store ON placements(store)",
    "CREATE TABLE labels("
    " tenant uuid NOT NULL REFERENCES tenants(uuid),"
    " key" TEXT ","
    " value" TEXT ","
    " PRIMARY KEY(tenant,key))",
    "CREATE TABLE migrations("
    " version bigint PRIMARY KEY CHECK(version>0),"
    " name" TEXT " UNIQUE,"
    " sql" TEXT ","
    " checksum bytea NOT NULL CHECK(length(checksum)=32),"
    " applied_at bigint NOT NULL)",
    "CREATE TABLE page_keys("
    " id bigint PRIMARY KEY CHECK(id>0),"
    " key bytea NOT NULL CHECK(length(key)=32),"
    " created_at bigint NOT NULL)",
    "CREATE TABLE operator_events("
    " id bigint PRIMARY KEY,"
    " at bigint NOT NULL,"
    " actor" TEXT ","
    " address" TEXT ","
    " action" TEXT ","
    " resource" TEXT ","
    " reason" TEXT ","
    " detail" TEXT ")",
    "CREATE INDEX operator_events_resource ON operator_events(resource,id)",
    /* Phases are kept by name, so that a list that grows does not give an old row a new meaning.
     * A move is unfinished while finished_at is 0. */
    "CREATE TABLE moves("
    " uuid uuid PRIMARY KEY,"
    " tenant uuid NOT NULL REFERENCES tenants(uuid),"
    " source_store" TEXT " REFERENCES stores(name),"
    " source_tier bigint NOT NULL CHECK(source_tier BETWEEN 1 AND 3),"
    " source_home" TEXT ","
    " source_epoch bigint NOT NULL CHECK(source_epoch>0),"
    " source_generation bigint NOT NULL CHECK(source_generation>0),"
    " target_store" TEXT " REFERENCES stores(name),"
    " target_tier bigint NOT NULL CHECK(target_tier BETWEEN 1 AND 3),"
    " target_home" TEXT ","
    " phase" TEXT ","
    " wish bigint NOT NULL CHECK(wish BETWEEN 1 AND 3),"
    " generation bigint NOT NULL CHECK(generation>=0),"
    " beat bigint NOT NULL CHECK(beat>=0),"
    " worker uuid NOT NULL,"
    " max_pause_us bigint NOT NULL CHECK(max_pause_us>0),"
    " rows_per_second_max bigint NOT NULL CHECK(rows_per_second_max>=0),"
    " duty_percent bigint NOT NULL CHECK(duty_percent BETWEEN 1 AND 100),"
    " progress" TEXT ","
    " message" TEXT ","
    " actor" TEXT ","
    " reason" TEXT ","
    " request_id text COLLATE \"C\" UNIQUE,"
    " created_at bigint NOT NULL,"
    " updated_at bigint NOT NULL,"
    " finished_at bigint NOT NULL)",
    "CREATE UNIQUE INDEX moves_one_unfinished ON moves(tenant) WHERE finished_at=0",
    "CREATE INDEX moves_unfinished ON moves(uuid) WHERE finished_at=0",
    "CREATE INDEX moves_tenant ON moves(tenant,uuid)",
    "CREATE TABLE rollouts("
    " uuid uuid PRIMARY KEY,"
    " version bigint NOT NULL REFERENCES migrations(version),"
    " phase" TEXT ","
    " wish bigint NOT NULL CHECK(wish BETWEEN 1 AND 3),"
    " generation bigint NOT NULL CHECK(generation>=0),"
    " beat bigint NOT NULL CHECK(beat>=0),"
    " worker uuid NOT NULL,"
    " settings" TEXT ","
    " progress" TEXT ","
    " message" TEXT ","
    " actor" TEXT ","
    " reason" TEXT ","
    " created_at bigint NOT NULL,"
    " updated_at bigint NOT NULL,"
    " finished_at bigint NOT NULL)",
    "CREATE UNIQUE INDEX rollouts_one_unfinished ON rollouts(finished_at) WHERE finished_at=0",
    /* tenant: '' for a shared home */
    "CREATE TABLE rollout_homes("
    " rollout uuid NOT NULL REFERENCES rollouts(uuid),"
    " store" TEXT ","
    " home" TEXT ","
    " tier bigint NOT NULL CHECK(tier BETWEEN 1 AND 3),"
    " tenant" TEXT ","
    " state" TEXT ","
    " canary boolean NOT NULL,"
    " version bigint NOT NULL CHECK(version>=0),"
    " tries bigint NOT NULL CHECK(tries>=0),"
    " message" TEXT ","
    " updated_at bigint NOT NULL,"
    " PRIMARY KEY(rollout,store,home))",
    "CREATE INDEX rollout_homes_state ON rollout_homes(rollout,state)",
    NULL,
};

#define TENANT_COLUMNS                                                                             \
    "SELECT t.uuid,t.slug,t.display_name,t.plan,t.state,t.created_at,t.updated_at,"                \
    "p.store,p.tier,p.home,p.epoch,p.generation,"                                                  \
    "(SELECT array_agg(ARRAY[l.key,l.value] ORDER BY l.key) FROM labels l WHERE l.tenant=t.uuid) " \
    "FROM tenants t JOIN placements p ON p.tenant=t.uuid "

#define EVENT_COLUMNS \
    "SELECT id,at,actor,address,action,resource,reason,detail FROM operator_events "

#define MOVE_COLUMNS                                                                      \
    "SELECT uuid,tenant,source_store,source_tier,source_home,source_epoch,"               \
    "source_generation,target_store,target_tier,target_home,phase,wish,generation,beat,"  \
    "worker,max_pause_us,rows_per_second_max,duty_percent,progress,message,actor,reason," \
    "created_at,updated_at,finished_at FROM moves "

#define ROLLOUT_COLUMNS                                                                      \
    "SELECT uuid,version,phase,wish,generation,beat,worker,settings,progress,message,actor," \
    "reason,created_at,updated_at,finished_at FROM rollouts "

static const char *const texts[FH_CATALOG_PG_SQL_COUNT] = {
    [FH_CATALOG_PG_SQL_BEGIN] = "BEGIN",
    [FH_CATALOG_PG_SQL_SETUP_WAIT] = "SET LOCAL lock_timeout=0", /* others may be at it */
    /* Any number; the same in every version. */
    [FH_CATALOG_PG_SQL_SETUP_LOCK] = "SELECT pg_advisory_xact_lock(5064654409461151572)",
    [FH_CATALOG_PG_SQL_COMMIT] = "COMMIT",
    [FH_CATALOG_PG_SQL_ROLLBACK] = "ROLLBACK",
    [FH_CATALOG_PG_SQL_LISTEN] = "LISTEN " FH_CATALOG_PG_CHANNEL,
    [FH_CATALOG_PG_SQL_NOTIFY] = "SELECT pg_notify('" FH_CATALOG_PG_CHANNEL "',$1)",
    [FH_CATALOG_PG_SQL_EVENT_INSERT] =
        "WITH next AS (UPDATE catalog SET last_event=last_event+1 RETURNING last_event) "
        "INSERT INTO operator_events(id,at,actor,address,action,resource,reason,detail) "
        "SELECT last_event,$1::bigint,$2::text,$3::text,$4::text,$5::text,$6::text,$7::text "
        "FROM next",
    [FH_CATALOG_PG_SQL_EVENTS] = EVENT_COLUMNS "WHERE id>$1 ORDER BY id LIMIT $2",
    [FH_CATALOG_PG_SQL_EVENTS_OF] =
        EVENT_COLUMNS "WHERE id>$1 AND resource=$3 ORDER BY id LIMIT $2",
    [FH_CATALOG_PG_SQL_TENANT_INSERT] =
        "INSERT INTO tenants(uuid,slug,display_name,plan,state,request_id,created_at,updated_at) "
        "VALUES($1,$2,$3,$4,1,$5,$6,$6) ON CONFLICT DO NOTHING RETURNING state",
    [FH_CATALOG_PG_SQL_PLACEMENT_INSERT] =
        "INSERT INTO placements(tenant,store,tier,home,epoch,generation) VALUES($1,$2,$3,$4,$5,$6)",
    [FH_CATALOG_PG_SQL_LABEL_INSERT] = "INSERT INTO labels(tenant,key,value) VALUES($1,$2,$3)",
    [FH_CATALOG_PG_SQL_PLACEMENT_LOCK] =
        "SELECT generation FROM placements WHERE tenant=$1 FOR UPDATE",
    [FH_CATALOG_PG_SQL_TENANT_BY_UUID] = TENANT_COLUMNS "WHERE t.uuid=$1",
    [FH_CATALOG_PG_SQL_TENANT_BY_SLUG] = TENANT_COLUMNS "WHERE t.slug=$1",
    [FH_CATALOG_PG_SQL_TENANT_BY_REQUEST_ID] = TENANT_COLUMNS "WHERE t.request_id=$1",
    [FH_CATALOG_PG_SQL_TENANTS] =
        TENANT_COLUMNS "WHERE t.uuid>$1 AND (($2::bigint>>t.state::integer)&1)=1 "
                       "AND ($3::bigint=0 OR t.updated_at<$3) ORDER BY t.uuid LIMIT $4",
    [FH_CATALOG_PG_SQL_TENANTS_UNFINISHED] =
        TENANT_COLUMNS "WHERE t.state IN (1,4) AND t.uuid>$1 "
                       "AND (($2::bigint>>t.state::integer)&1)=1 "
                       "AND ($3::bigint=0 OR t.updated_at<$3) ORDER BY t.uuid LIMIT $4",
    [FH_CATALOG_PG_SQL_TENANT_ADVANCE] = "UPDATE tenants SET state=$2,updated_at=$3 WHERE uuid=$1",
    [FH_CATALOG_PG_SQL_PLACEMENT_SET] =
        "UPDATE placements SET store=$2,tier=$3,home=$4,epoch=$5,generation=$6 WHERE tenant=$1",
    [FH_CATALOG_PG_SQL_STORE_INSERT] =
        "INSERT INTO stores(name,engine,location,owner_location,region,may_lose_writes,created_at) "
        "VALUES($1,$2,$3,$4,$5,$6,$7) ON CONFLICT DO NOTHING RETURNING created_at",
    [FH_CATALOG_PG_SQL_STORE_EXISTS] = "SELECT created_at FROM stores WHERE name=$1",
    [FH_CATALOG_PG_SQL_STORES] =
        "SELECT name,engine,location,owner_location,region,may_lose_writes,created_at "
        "FROM stores ORDER BY name LIMIT 1001",
    [FH_CATALOG_PG_SQL_MIGRATION_NEWEST] =
        "SELECT count(*),coalesce(max(version),0) FROM migrations",
    [FH_CATALOG_PG_SQL_MIGRATION_INSERT] =
        "INSERT INTO migrations(version,name,sql,checksum,applied_at) VALUES($1,$2,$3,$4,$5) "
        "ON CONFLICT DO NOTHING RETURNING version",
    [FH_CATALOG_PG_SQL_MIGRATIONS] =
        "SELECT version,name,sql,checksum,applied_at FROM migrations ORDER BY version",
    [FH_CATALOG_PG_SQL_PAGE_KEY_INSERT] = "INSERT INTO page_keys(id,key,created_at) "
                                          "VALUES($1,$2,$3) ON CONFLICT DO NOTHING RETURNING id",
    [FH_CATALOG_PG_SQL_PAGE_KEYS] =
        "SELECT id,key,created_at FROM page_keys ORDER BY id DESC LIMIT 64",
    [FH_CATALOG_PG_SQL_MOVE_INSERT] =
        "INSERT INTO moves(uuid,tenant,source_store,source_tier,source_home,source_epoch,"
        "source_generation,target_store,target_tier,target_home,phase,wish,generation,beat,worker,"
        "max_pause_us,rows_per_second_max,duty_percent,progress,message,actor,reason,request_id,"
        "created_at,updated_at,finished_at) VALUES($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,"
        "$15,$16,$17,$18,$19,$20,$21,$22,$23,$24,$24,0) ON CONFLICT DO NOTHING RETURNING beat",
    [FH_CATALOG_PG_SQL_MOVE_UPDATE] =
        "UPDATE moves SET generation=$2,beat=$3,worker=$4,phase=$5,wish=$6,progress=$7,message=$8,"
        "updated_at=$9,finished_at=$10 WHERE uuid=$1",
    [FH_CATALOG_PG_SQL_MOVE_PLACEMENT_LOCK] =
        "SELECT store,tier,home,epoch,generation FROM placements "
        "WHERE tenant=(SELECT tenant FROM moves WHERE uuid=$1) FOR UPDATE",
    [FH_CATALOG_PG_SQL_MOVE_LOCK] = MOVE_COLUMNS "WHERE uuid=$1 FOR UPDATE",
    [FH_CATALOG_PG_SQL_MOVE_BY_UUID] = MOVE_COLUMNS "WHERE uuid=$1",
    [FH_CATALOG_PG_SQL_MOVE_BY_REQUEST_ID] = MOVE_COLUMNS "WHERE request_id=$1",
    [FH_CATALOG_PG_SQL_MOVE_UNFINISHED_OF_TENANT] =
        MOVE_COLUMNS "WHERE tenant=$1 AND finished_at=0",
    [FH_CATALOG_PG_SQL_MOVES] = MOVE_COLUMNS "WHERE uuid<$1 ORDER BY uuid DESC LIMIT $2",
    [FH_CATALOG_PG_SQL_MOVES_UNFINISHED] =
        MOVE_COLUMNS "WHERE finished_at=0 AND uuid<$1 ORDER BY uuid DESC LIMIT $2",
    [FH_CATALOG_PG_SQL_MOVES_OF_TENANT] =
        MOVE_COLUMNS "WHERE tenant=$3 AND uuid<$1 AND (NOT $4::boolean OR finished_at=0) "
                     "ORDER BY uuid DESC LIMIT $2",
    [FH_CATALOG_PG_SQL_TENANT_TOUCH] = "UPDATE tenants SET updated_at=$2 WHERE uuid=$1",
    [FH_CATALOG_PG_SQL_ROLLOUT_INSERT] =
        "INSERT INTO rollouts(uuid,version,phase,wish,generation,beat,worker,settings,progress,"
        "message,actor,reason,created_at,updated_at,finished_at) VALUES($1,$2,$3,$4,$5,$6,$7,$8,$9,"
        "$10,$11,$12,$13,$13,0) ON CONFLICT DO NOTHING RETURNING beat",
    [FH_CATALOG_PG_SQL_ROLLOUT_UPDATE] =
        "UPDATE rollouts SET phase=$2,wish=$3,generation=$4,beat=$5,worker=$6,progress=$7,"
        "message=$8,updated_at=$9,finished_at=$10 WHERE uuid=$1",
    [FH_CATALOG_PG_SQL_ROLLOUT_BY_UUID] = ROLLOUT_COLUMNS "WHERE uuid=$1",
    [FH_CATALOG_PG_SQL_ROLLOUT_LOCK] = ROLLOUT_COLUMNS "WHERE uuid=$1 FOR UPDATE",
    /* Not the largest uuid: two are made in one millisecond, or by clocks that differ. Of a
     * version's rollouts the done one is the last. */
    [FH_CATALOG_PG_SQL_ROLLOUT_NEWEST] =
        ROLLOUT_COLUMNS "ORDER BY version DESC,(finished_at=0) DESC,(phase='done') DESC,uuid DESC "
                        "LIMIT 1",
    [FH_CATALOG_PG_SQL_ROLLOUT_UNFINISHED] = ROLLOUT_COLUMNS "WHERE finished_at=0",
    [FH_CATALOG_PG_SQL_ROLLOUTS] =
        ROLLOUT_COLUMNS "WHERE uuid<$1 AND (NOT $3::boolean OR finished_at=0) "
                        "ORDER BY uuid DESC LIMIT $2",
    /* One command does not change a row twice: the last note of a home is the one. */
    [FH_CATALOG_PG_SQL_ROLLOUT_NOTE] =
        "INSERT INTO rollout_homes(rollout,store,home,tier,tenant,state,canary,version,tries,"
        "message,updated_at) SELECT DISTINCT ON (n.store,n.home) $1::uuid,n.store,n.home,n.tier,"
        "n.tenant,n.state,n.canary=1,n.version,n.tries,n.message,$3::bigint "
        "FROM jsonb_to_recordset($2::text::jsonb) AS n(i bigint,store text,home text,tier bigint,"
        "tenant text,state text,canary bigint,version bigint,tries bigint,message text) "
        "ORDER BY n.store,n.home,n.i DESC "
        "ON CONFLICT(rollout,store,home) DO UPDATE SET tier=excluded.tier,tenant=excluded.tenant,"
        "state=excluded.state,canary=excluded.canary,version=excluded.version,"
        "tries=excluded.tries,message=excluded.message,updated_at=excluded.updated_at "
        "WHERE excluded.state<>'pending' OR rollout_homes.state<>'done'",
    [FH_CATALOG_PG_SQL_ROLLOUT_COUNT] =
        "SELECT count(*) FILTER(WHERE state<>'gone'),count(*) FILTER(WHERE state='done'),"
        "count(*) FILTER(WHERE state='failed'),count(*) FILTER(WHERE state='waiting') "
        "FROM rollout_homes WHERE rollout=$1",
    [FH_CATALOG_PG_SQL_ROLLOUT_HOMES] =
        "SELECT store,home,tier,tenant,state,canary,version,tries,message,updated_at "
        "FROM rollout_homes WHERE rollout=$1 AND (store,home)>($2,$3) "
        "AND ($4::bigint=0 OR ($4::bigint>>(CASE state WHEN 'pending' THEN 1 WHEN 'applying' "
        "THEN 2 WHEN 'waiting' THEN 3 WHEN 'done' THEN 4 WHEN 'failed' THEN 5 ELSE 6 END))&1=1) "
        "ORDER BY store,home LIMIT $5",
};

const char *fh_catalog_pg_sql(enum fh_catalog_pg_statement which)
{
    FH_ASSERT(which < FH_CATALOG_PG_SQL_COUNT);
    return texts[which];
}
