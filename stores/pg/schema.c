/* Schema changes, on the owner's connection, in one transaction under an advisory lock:
 *
 *   step 0  begin, lock, look whether the system tables are there
 *   step 1  make them if not; read the version (kept in fh_meta under the nil tenant)
 *   step 2  what the target has more; note the version; commit
 *
 * Failures: the home is ahead of the target, or at a version the target does not descend from:
 * FH_PRECONDITION. Anything else rolls the whole change back.
 */
#include <stdio.h>
#include <string.h>

#include "stores/pg/ddl.h"
#include "stores/pg/engine.h"
#include "stores/pg/keys.h"
#include "stores/pg/rows.h"

#define NIL_TENANT "00000000-0000-0000-0000-000000000000"

struct schema_state {
    bool exists;
    unsigned version_index; /* which result of step 1 is the version */
    int64_t version;
};

static const char *home_of(const struct fh_pg_op *op)
{
    return op->request->scope.home.name;
}

/* Statements by the script; *count tells how many. */
static enum fh_code send_script(struct fh_pg_conn *conn, const struct fh_pg_script *script,
                                unsigned *count)
{
    enum fh_code code = fh_buf_code(&script->text);
    size_t cursor = 0;
    const char *statement = NULL;
    *count = 0;
    while (code == FH_OK && (statement = fh_pg_script_next(script, &cursor)) != NULL) {
        code = fh_pg_conn_send_text(conn, statement, NULL);
        (*count)++;
    }
    return code;
}

static enum fh_code send_look(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    char text[256];
    op->state = FH_ARENA_NEW(op->request->arena, struct schema_state);
    if (op->state == NULL) {
        return FH_NOMEM;
    }
    (void)snprintf(text, sizeof(text),
                   "select set_config('fh.tenant', '" NIL_TENANT
                   "', true), pg_advisory_xact_lock(%lld)",
                   (long long)fh_pg_schema_key(&op->request->scope.home));
    enum fh_code code = fh_pg_conn_send_text(conn, "begin isolation level read committed", NULL);
    if (code == FH_OK) {
        code = fh_pg_conn_send_text(conn, text, NULL);
    }
    if (code == FH_OK) {
        struct fh_pg_params *params = fh_pg_op_params(op);
        fh_pg_add_bytes(params, fh_str_of(home_of(op)));
        code = fh_pg_conn_send_text(conn,
                                    "select exists (select from pg_class c join pg_namespace n on "
                                    "n.oid = c.relnamespace where n.nspname = $1 and c.relname = "
                                    "'fh_meta')",
                                    params);
    }
    return code;
}

static enum fh_code send_version(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    struct schema_state *state = op->state;
    struct fh_pg_script script;
    char text[256];
    fh_pg_script_init(&script);
    if (!state->exists) {
        fh_pg_ddl_system(&script, home_of(op), op->store->serving.values[FH_PG_KEYWORD_USER]);
    }
    enum fh_code code = send_script(conn, &script, &state->version_index);
    fh_pg_script_close(&script);
    if (code == FH_OK) {
        (void)snprintf(text, sizeof(text),
                       "select value::int8 from \"%s\".fh_meta where tenant_id = '" NIL_TENANT
                       "' and name = 'schema_version'",
                       home_of(op));
        code = fh_pg_conn_send_text(conn, text, NULL);
    }
    return code;
}

static enum fh_code send_upgrade(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct schema_state *state = op->state;
    const struct fh_schema *target = op->request->as.schema.target;
    struct fh_pg_script script;
    unsigned ignored = 0;
    char text[320];
    fh_pg_script_init(&script);
    fh_pg_ddl_upgrade(&script, home_of(op), op->store->serving.values[FH_PG_KEYWORD_USER],
                      fh_schema_at(target, (uint32_t)state->version), target);
    enum fh_code code = send_script(conn, &script, &ignored);
    fh_pg_script_close(&script);
    if (code == FH_OK) {
        (void)snprintf(text, sizeof(text),
                       "insert into \"%s\".fh_meta (tenant_id, name, value) values ('" NIL_TENANT
                       "', 'schema_version', '%u') on conflict (tenant_id, name) do update set "
                       "value = excluded.value",
                       home_of(op), target->version);
        code = fh_pg_conn_send_text(conn, text, NULL);
    }
    if (code == FH_OK) {
        op->commits = true;
        code = fh_pg_conn_send_text(conn, "commit", NULL);
    }
    return code;
}

static enum fh_code schema_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    switch (op->step) {
    case 0:
        return send_look(op, conn);
    case 1:
        return send_version(op, conn);
    default:
        return send_upgrade(op, conn);
    }
}

static enum fh_code schema_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct schema_state *state = op->state;
    if (op->step == 0 && index == 2) {
        return fh_pg_field_bool(result, 0, 0, &state->exists);
    }
    if (op->step == 1 && index == state->version_index && PQntuples(result) == 1) {
        return fh_pg_field_int(result, 0, 0, &state->version);
    }
    return FH_OK;
}

static enum fh_pg_next schema_synced(struct fh_pg_op *op)
{
    struct schema_state *state = op->state;
    struct fh_op_schema *schema = &op->request->as.schema;
    if (op->step == 0) {
        op->step = 1;
        return FH_PG_MORE;
    }
    if (op->step == 2) {
        schema->version_seen = schema->target->version;
        return FH_PG_DONE;
    }
    schema->version_seen = (uint32_t)state->version;
    if (state->version > (int64_t)schema->target->version) {
        op->code = fh_error_set(&op->request->error, FH_PRECONDITION,
                                "the home is at schema version %lld, ahead of %u",
                                (long long)state->version, schema->target->version);
        return FH_PG_DONE;
    }
    if (state->version > 0 && fh_schema_at(schema->target, (uint32_t)state->version) == NULL) {
        op->code = fh_error_set(&op->request->error, FH_PRECONDITION,
                                "the schema does not know version %lld, which the home is at",
                                (long long)state->version);
        return FH_PG_DONE;
    }
    if (state->exists && state->version == (int64_t)schema->target->version) {
        return FH_PG_DONE;
    }
    op->step = 2;
    return FH_PG_MORE;
}

static void schema_failed(struct fh_pg_op *op, unsigned index)
{
    (void)index;
    if (op->failure.code == FH_UNIQUE_VIOLATION) {
        (void)fh_error_set(&op->request->error, FH_UNIQUE_VIOLATION,
                           "stored records do not fit a new unique constraint (%s)",
                           op->failure.constraint);
    } else {
        (void)fh_error_set(&op->request->error, op->failure.code,
                           "the schema change was refused by the server (%s)",
                           op->failure.sqlstate);
    }
}

const struct fh_pg_op_kind fh_pg_schema_kind = {
    .send = schema_send, .result = schema_result, .failed = schema_failed, .synced = schema_synced};
