/* One function a statement or family of them; the dispatcher at the end. */
#include "stores/pg/sql.h"

#include "base/assert.h"
#include "stores/pg/ddl.h"

void fh_pg_sql_name(struct fh_buf *out, struct fh_str name)
{
    fh_buf_add_char(out, '"');
    for (size_t i = 0; i < name.len; i++) {
        /* The model allows [a-z0-9_] only, home names too; role names are the operator's and may
         * hold more. */
        if (name.data[i] == '"') {
            fh_buf_add_char(out, '"');
        }
        fh_buf_add_char(out, name.data[i]);
    }
    fh_buf_add_char(out, '"');
}

void fh_pg_sql_table(struct fh_buf *out, const char *home, const char *name)
{
    fh_pg_sql_name(out, fh_str_of(home));
    fh_buf_add_char(out, '.');
    fh_pg_sql_name(out, fh_str_of(name));
}

void fh_pg_sql_model_table(struct fh_buf *out, const char *home, const struct fh_table *table)
{
    fh_pg_sql_name(out, fh_str_of(home));
    fh_buf_add_char(out, '.');
    fh_pg_sql_name(out, table->name);
}

void fh_pg_sql_fence(struct fh_buf *out, const struct fh_pg_statement_key *key)
{
    char name[FH_PG_FENCE_VIEW_SIZE];
    fh_pg_ddl_fence_view(name, (uint32_t)key->version);
    fh_pg_sql_table(out, key->home, name);
}

void fh_pg_sql_row_columns(struct fh_buf *out, const char *alias, const struct fh_table *table)
{
    fh_buf_printf(out, "%stenant_id", alias);
    for (uint16_t i = 0; i < table->column_count; i++) {
        fh_buf_printf(out, ", %s", alias);
        fh_pg_sql_name(out, table->columns[i].name);
    }
    fh_buf_printf(out, ", %screated_at, %supdated_at, %sdeleted_at, %sversion", alias, alias, alias,
                  alias);
}

void fh_pg_sql_key_match(struct fh_buf *out, const char *alias, const struct fh_table *table,
                         unsigned first)
{
    for (unsigned i = 0; i < table->key_count; i++) {
        fh_buf_printf(out, "%s%s", i > 0 ? " and " : "", alias);
        fh_pg_sql_name(out, table->columns[table->key[i]].name);
        fh_buf_printf(out, " = $%u", first + i);
    }
}

const char *fh_pg_sql_type(enum fh_type type)
{
    static const char *const names[] = {
        [FH_TYPE_BOOL] = "bool",       [FH_TYPE_INT16] = "int2",
        [FH_TYPE_INT32] = "int4",      [FH_TYPE_INT64] = "int8",
        [FH_TYPE_FLOAT32] = "float4",  [FH_TYPE_FLOAT64] = "float8",
        [FH_TYPE_NUMERIC] = "numeric", [FH_TYPE_TEXT] = "text",
        [FH_TYPE_BYTES] = "bytea",     [FH_TYPE_TIMESTAMP] = "timestamptz",
        [FH_TYPE_DATE] = "date",       [FH_TYPE_UUID] = "uuid",
        [FH_TYPE_JSON] = "json"};
    return names[type];
}

void fh_pg_sql_predicate(struct fh_buf *out, const struct fh_pg_statement_key *key,
                         const char *alias)
{
    if ((key->flags & FH_PG_NO_PREDICATE) == 0) {
        fh_buf_printf(out, "%stenant_id = $1 and ", alias);
    } else {
        /* $1 needs a type even where it is unused. */
        fh_buf_add_text(out, "$1::uuid is not null and ");
    }
}

/* Every context says the role too, that of a dedicated home or none: ops that share a Sync share a
 * transaction, and none may run as the one before it. $1 tenant as text, $2 role */
static void context_read(struct fh_buf *out)
{
    fh_buf_add_text(out, "select set_config('fh.tenant', $1, true), "
                         "set_config('role', $2, true)");
}

/* $1 tenant as text, $2 gate key, $3 request id's key or null, $4 statement_timeout as text,
 * $5 role -> (tenant, timeout, gate, once, role) */
static void context_write(struct fh_buf *out)
{
    fh_buf_add_text(out, "select set_config('fh.tenant', $1, true), "
                         "set_config('statement_timeout', $4, true), "
                         "pg_try_advisory_xact_lock_shared($2::int8), "
                         "case when $3::int8 is null then true "
                         "else pg_try_advisory_xact_lock($3::int8) end, "
                         "set_config('role', $5, true)");
}

/* The locks' outcome is left where the next statement, with a snapshot of its own, can see it.
 * $1 tenant as text, $2 gate key, $3 request id's key or null, $4 role -> (tenant, gate,
 * once, role) as text */
static void context_gate(struct fh_buf *out)
{
    fh_buf_add_text(
        out, "select set_config('fh.tenant', $1, true), "
             "set_config('fh.gate', pg_try_advisory_xact_lock_shared($2::int8)::text, true), "
             "set_config('fh.once', case when $3::int8 is null then 'true' "
             "else pg_try_advisory_xact_lock($3::int8)::text end, true), "
             "set_config('role', $4, true)");
}

/* Blocks, so it is for the slow lane only: $1 tenant as text, $2 gate key, $3 lock_timeout as text,
 * $4 role.
 * The timeout must hold before the lock is asked for, so the lock hangs on a value of the settings.
 */
static void context_exclusive(struct fh_buf *out)
{
    fh_buf_add_text(out,
                    "select pg_advisory_xact_lock($2::int8) from (select set_config('fh.tenant', "
                    "$1, true) as a, set_config('lock_timeout', $3, true) as b, "
                    "set_config('role', $4, true) as c offset 0) s "
                    "where s.a is not null and s.b is not null and s.c is not null");
}

/* $1 tenant as text, $2 statement_timeout as text, $3 lock_timeout as text, $4 role, for a view $5
 * idle_in_transaction_session_timeout as text */
static void context_move(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "select set_config('fh.tenant', $1, true), "
                         "set_config('statement_timeout', $2, true), "
                         "set_config('lock_timeout', $3, true), "
                         "set_config('role', $4, true)");
    if (key->kind == FH_PG_CONTEXT_VIEW) {
        fh_buf_add_text(out, ", set_config('idle_in_transaction_session_timeout', $5, true)");
    }
}

/* $1 tenant -> epoch, generation, mode. Whatever version the home is at: the mover's are in
 * move_sql.c. */
static void fence_read(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "select epoch, generation, mode from ");
    fh_pg_sql_table(out, key->home, "fh_fence");
    fh_buf_add_text(out, " where tenant_id = $1");
    if (key->kind == FH_PG_FENCE_LOCK) {
        fh_buf_add_text(out, " for update");
    }
}

/* $1 tenant, $2 epoch, $3 generation, $4 mode */
static void fence_insert(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "insert into ");
    fh_pg_sql_table(out, key->home, "fh_fence");
    fh_buf_add_text(out, " (tenant_id, epoch, generation, mode) values ($1, $2, $3, $4) "
                         "on conflict (tenant_id) do nothing");
}

/* $1 tenant, $2..$4 expected epoch, generation, mode, $5..$7 desired */
static void fence_update(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "update ");
    fh_pg_sql_table(out, key->home, "fh_fence");
    fh_buf_add_text(out, " set epoch = $5, generation = $6, mode = $7 where tenant_id = $1 and "
                         "epoch = $2 and generation = $3 and mode = $4 returning 1");
}

/* $1 tenant, $2 generation */
static void fence_delete(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "delete from ");
    fh_pg_sql_table(out, key->home, "fh_fence");
    fh_buf_add_text(out, " where tenant_id = $1 and generation = $2");
}

/* -> the home's schema version. It belongs to no tenant: asked in the context of the nil one. */
static void version(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "select value::int8 from ");
    fh_pg_sql_table(out, key->home, "fh_meta");
    fh_buf_add_text(out, " where tenant_id = '" FH_PG_NIL_TENANT "' and name = 'schema_version'");
}

/* $1 tenant, $2 request id or null -> epoch, generation, mode, then the record's header and halves
 * (epoch null: none) */
static void fence_and_record(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "select f.epoch, f.generation, f.mode, c.tenant_id, c.epoch, c.seq, "
                         "c.request_hash, c.schema_version, c.at, c.changes, c.images from ");
    fh_pg_sql_fence(out, key);
    fh_buf_add_text(out, " f left join ");
    fh_pg_sql_table(out, key->home, "fh_commit");
    fh_buf_add_text(out, " c on c.tenant_id = $1 and c.request_id = $2 where f.tenant_id = $1");
}

/* $1 tenant, $2 epoch, $3 request id or null, $4 hash, $5 schema version, $6 actor, $7 address, $8
 * at, $9 changes, $10 images
 * -> seq */
static void record_insert(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "insert into ");
    fh_pg_sql_table(out, key->home, "fh_commit");
    fh_buf_add_text(out, " (tenant_id, epoch, request_id, request_hash, schema_version, actor, "
                         "address, at, changes, images) values ($1, $2, $3, $4, $5, $6, $7, $8, "
                         "$9, $10) returning seq");
}

/* $1 tenant, $2 epoch as routed, $3 before epoch, $4 before seq, $5 limit */
static void events(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "select f.epoch, f.mode, c.tenant_id, c.epoch, c.seq, c.request_id, "
                         "c.actor, c.address, c.at, c.txid, c.schema_version, c.changes, c.images "
                         "from ");
    fh_pg_sql_fence(out, key);
    fh_buf_add_text(out, " f left join (select * from ");
    fh_pg_sql_table(out, key->home, "fh_commit");
    fh_buf_add_text(out, " x where ");
    fh_pg_sql_predicate(out, key, "x.");
    fh_buf_add_text(out, "(x.epoch, x.seq) < ($3::int8, $4::int8) order by x.epoch desc, x.seq "
                         "desc limit $5::int8) c on f.epoch = $2 and f.mode in (1, 2) "
                         "where f.tenant_id = $1 order by c.epoch desc, c.seq desc");
}

/* $1 tenant, $2 rows at most */
static void erase(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    struct fh_buf name;
    fh_buf_init(&name, 512);
    if (key->kind == FH_PG_ERASE_RECORDS) {
        fh_pg_sql_table(&name, key->home, "fh_commit");
    } else {
        fh_pg_sql_model_table(&name, key->home, key->table);
    }
    fh_buf_printf(out,
                  "delete from %.*s where tenant_id = $1 and ctid = any (array(select ctid from "
                  "%.*s where tenant_id = $1 limit $2::int8))",
                  FH_STR_ARG(fh_buf_str(&name)), FH_STR_ARG(fh_buf_str(&name)));
    fh_buf_close(&name);
}

static bool fixed(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    switch (key->kind) {
    case FH_PG_BEGIN:
        fh_buf_add_text(out, "begin isolation level read committed");
        return true;
    case FH_PG_COMMIT:
        fh_buf_add_text(out, "commit");
        return true;
    case FH_PG_ROLLBACK:
        fh_buf_add_text(out, "rollback");
        return true;
    case FH_PG_CHECK_DEFERRED:
        fh_buf_add_text(out, "set constraints all immediate");
        return true;
    case FH_PG_CONTEXT_READ:
        context_read(out);
        return true;
    case FH_PG_CONTEXT_WRITE:
        context_write(out);
        return true;
    case FH_PG_CONTEXT_GATE:
        context_gate(out);
        return true;
    case FH_PG_CONTEXT_EXCLUSIVE:
        context_exclusive(out);
        return true;
    case FH_PG_CONTEXT_MOVE:
    case FH_PG_CONTEXT_VIEW:
        context_move(key, out);
        return true;
    case FH_PG_ROLE_NONE:
        fh_buf_add_text(out, "select set_config('role', 'none', true)");
        return true;
    case FH_PG_CURSOR:
        fh_buf_add_text(out, "select pg_current_snapshot()::text");
        return true;
    case FH_PG_REPLICA:
        /* As the login: only that may. $1 role to go on with */
        fh_buf_add_text(out, "select set_config('role', 'none', true), "
                             "set_config('session_replication_role', 'replica', false), "
                             "set_config('role', $1, true)");
        return true;
    default:
        return false;
    }
}

void fh_pg_sql(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    if (fixed(key, out)) {
        return;
    }
    if (key->kind >= FH_PG_MOVE_GUARD) {
        fh_pg_sql_move(key, out);
        return;
    }
    switch (key->kind) {
    case FH_PG_FENCE_READ:
    case FH_PG_FENCE_LOCK:
        fence_read(key, out);
        return;
    case FH_PG_FENCE_INSERT:
        fence_insert(key, out);
        return;
    case FH_PG_FENCE_UPDATE:
        fence_update(key, out);
        return;
    case FH_PG_FENCE_DELETE:
        fence_delete(key, out);
        return;
    case FH_PG_VERSION:
        version(key, out);
        return;
    case FH_PG_FENCE_AND_RECORD:
        fence_and_record(key, out);
        return;
    case FH_PG_RECORD_INSERT:
        record_insert(key, out);
        return;
    case FH_PG_EVENTS:
        events(key, out);
        return;
    case FH_PG_ERASE_ROWS:
    case FH_PG_ERASE_RECORDS:
        erase(key, out);
        return;
    case FH_PG_FAST_INSERT:
    case FH_PG_FAST_UPDATE:
    case FH_PG_FAST_DELETE:
        fh_pg_sql_fast(key, out);
        return;
    default:
        FH_ASSERT(key->table != NULL);
        fh_pg_sql_row(key, out);
        return;
    }
}
