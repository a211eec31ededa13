/* The statements of a schema change, stage by stage; which one comes next is decided in schema.c.
 *
 * Failures: memory only; what the server makes of them is schema.c's too.
 */
#include <stdio.h>
#include <string.h>

#include "base/fault_point.h"
#include "stores/pg/commit.h"
#include "stores/pg/engine.h"
#include "stores/pg/keys.h"
#include "stores/pg/schema.h"

#define LOCK_MS_DEFAULT 2000
#define STATEMENT_MS_MAX (60 * 60 * 1000)

bool fh_pg_schema_is_dedicated(const struct fh_pg_op *op)
{
    return fh_home_is_dedicated(&op->request->scope.home);
}

static int64_t lock_ms(const struct fh_pg_op *op)
{
    uint32_t asked = op->request->as.schema.lock_timeout_ms;
    return fh_pg_ms_left(op, asked > 0 ? asked : LOCK_MS_DEFAULT);
}

static struct fh_pg_ddl_home home_of(const struct fh_pg_op *op, bool ahead)
{
    return (struct fh_pg_ddl_home){
        .namespace = fh_pg_op_namespace(op),
        .role = fh_pg_op_grantee(op),
        .tenant = fh_pg_schema_is_dedicated(op) ? &op->request->scope.tenant : NULL,
        .ahead = ahead};
}

static enum fh_code send_text(struct fh_pg_op *op, struct fh_pg_conn *conn, const char *text,
                              struct fh_pg_params *params)
{
    struct fh_pg_schema_state *state = op->state;
    state->sent++;
    return fh_pg_conn_send_text(conn, text, params);
}

static enum fh_code send_settings(struct fh_pg_op *op, struct fh_pg_conn *conn, int64_t lock,
                                  bool local)
{
    /* In a transaction it is the home that is asked first; what goes ahead looks at rows, and those
     * of a dedicated home are its tenant's. */
    char tenant[FH_UUID_TEXT_LEN + 1] = FH_PG_NIL_TENANT;
    char text[256];
    if (!local && fh_pg_schema_is_dedicated(op)) {
        fh_uuid_format(&op->request->scope.tenant, tenant);
    }
    (void)snprintf(text, sizeof(text),
                   "select set_config('lock_timeout', '%lld', %s), "
                   "set_config('statement_timeout', '%lld', %s), set_config('fh.tenant', '%s', %s)",
                   (long long)lock, local ? "true" : "false",
                   (long long)fh_pg_ms_left(op, STATEMENT_MS_MAX), local ? "true" : "false", tenant,
                   local ? "true" : "false");
    return send_text(op, conn, text, NULL);
}

static enum fh_code send_namespace(struct fh_pg_op *op, struct fh_pg_conn *conn, const char *text)
{
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_bytes(params, fh_str_of(fh_pg_op_namespace(op)));
    return send_text(op, conn, text, params);
}

static enum fh_code send_lock(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    char text[192];
    (void)snprintf(text, sizeof(text), "select pg_advisory_xact_lock(%lld)",
                   (long long)fh_pg_schema_key(&op->request->scope.home));
    enum fh_code code = send_text(op, conn, "begin isolation level read committed", NULL);
    if (code == FH_OK) {
        code = send_settings(op, conn, lock_ms(op), true);
    }
    if (code == FH_OK) {
        code = send_text(op, conn, text, NULL);
    }
    if (code == FH_OK) {
        (void)snprintf(text, sizeof(text), "select to_regclass('\"%s\".fh_meta') is not null",
                       fh_pg_op_namespace(op));
        code = send_text(op, conn, text, NULL);
    }
    return code;
}

/* The tenant's context, and its fence told. */
static enum fh_code send_fence(struct fh_pg_op *op, struct fh_pg_conn *conn, const char *locked)
{
    struct fh_pg_schema_state *state = op->state;
    char text[256];
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid_text(params, &op->request->scope.tenant);
    enum fh_code code =
        send_text(op, conn, "select set_config('fh.tenant', $1::text, true)", params);
    if (code == FH_OK) {
        (void)snprintf(text, sizeof(text),
                       "select epoch, generation, mode from \"%s\".fh_fence where tenant_id = "
                       "$1::uuid%s",
                       fh_pg_op_namespace(op), locked);
        params = fh_pg_op_params(op);
        fh_pg_add_uuid(params, &op->request->scope.tenant);
        state->fence_at = state->sent;
        code = send_text(op, conn, text, params);
    }
    return code;
}

static enum fh_code send_version(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    char text[256];
    (void)snprintf(text, sizeof(text),
                   "select value::int8 from \"%s\".fh_meta where tenant_id = '" FH_PG_NIL_TENANT
                   "' and name = 'schema_version'",
                   fh_pg_op_namespace(op));
    return send_text(op, conn, text, NULL);
}

static enum fh_code send_check(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    enum fh_code code = send_version(op, conn);
    return code == FH_OK && fh_pg_schema_is_dedicated(op) ? send_fence(op, conn, "") : code;
}

/* A namespace's tables are found by what they depend on, for pg_class has no index by namespace,
 * and reading all of it would cost a rollout the square of its homes. */
static enum fh_code send_size(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    return send_namespace(op, conn,
                          "select coalesce(max(pg_relation_size(c.oid)), 0)::int8 from "
                          "pg_namespace n join pg_depend d on d.refclassid = "
                          "'pg_namespace'::regclass and d.refobjid = n.oid and d.classid = "
                          "'pg_class'::regclass join pg_class c on c.oid = d.objid where n.nspname "
                          "= $1 and c.relkind = 'r' and left(c.relname, 3) <> 'fh_'");
}

/* A fence that is as the guard says; behind params that add_guard() filled. */
#define GUARDED                                                                         \
    "\"%s\".fh_fence where tenant_id = $1::uuid and epoch = $2::int8 and generation = " \
    "$3::int8 and ($4::int4 & (1 << mode::int4)) <> 0"

static struct fh_pg_params *add_guard(struct fh_pg_op *op)
{
    const struct fh_fence_guard *guard = &op->request->as.schema.guard;
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid(params, &op->request->scope.tenant);
    fh_pg_add_int64(params, (int64_t)op->request->scope.epoch);
    fh_pg_add_int64(params, (int64_t)guard->generation);
    fh_pg_add_int32(params, (int32_t)guard->modes);
    return params;
}

/* The fence locked, and a guard: what is sent behind it is skipped unless the fence is as required.
 */
static enum fh_code send_guard(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    char text[256];
    enum fh_code code = send_fence(op, conn, " for update");
    if (code == FH_OK) {
        (void)snprintf(text, sizeof(text), "select 1 / count(*) from " GUARDED,
                       fh_pg_op_namespace(op));
        code = send_text(op, conn, text, add_guard(op));
    }
    return code;
}

static enum fh_code send_script(struct fh_pg_op *op, struct fh_pg_conn *conn,
                                const struct fh_pg_script *script, bool guarded)
{
    struct fh_pg_ddl_step step;
    size_t cursor = 0;
    enum fh_code code = FH_OK;
    bool first = true;
    for (size_t i = 0; code == FH_OK && fh_pg_script_step(script, i, &cursor, &step); i++) {
        if (step.ahead) {
            continue;
        }
        code = send_text(op, conn, step.sql, NULL);
        /* Behind the view, which waits for everybody who may hold the fence's row: in this order
         * nobody waits in a circle. */
        if (code == FH_OK && first && guarded) {
            code = send_guard(op, conn);
        }
        first = false;
    }
    return code;
}

static enum fh_code send_changes(struct fh_pg_op *op, struct fh_pg_conn *conn,
                                 struct fh_pg_script *script)
{
    struct fh_pg_schema_state *state = op->state;
    const struct fh_schema *from =
        state->version > 0 ? fh_schema_at(state->to, state->version) : NULL;
    const struct fh_pg_ddl_home home = home_of(op, state->prepared == state->to);
    enum fh_code code = fh_pg_ddl_between(script, &home, from, state->to, op->request->arena);
    if (code == FH_OK) {
        fh_pg_ddl_note_version(script, home.namespace, state->to->version);
        code = fh_pg_script_code(script);
    }
    return code == FH_OK ? send_script(op, conn, script, fh_pg_schema_is_dedicated(op)) : code;
}

static enum fh_code send_run(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_pg_schema_state *state = op->state;
    struct fh_pg_script script;
    enum fh_code code = FH_OK;
    if (!state->exists) {
        fh_pg_script_init(&script);
        fh_pg_ddl_system(&script, fh_pg_op_namespace(op), fh_pg_op_grantee(op));
        size_t cursor = 0;
        const char *statement = NULL;
        code = fh_pg_script_code(&script);
        while (code == FH_OK && (statement = fh_pg_script_next(&script, &cursor)) != NULL) {
            code = send_text(op, conn, statement, NULL);
        }
        fh_pg_script_close(&script);
    }
    fh_pg_script_init(&script);
    if (code == FH_OK) {
        code = send_changes(op, conn, &script);
    }
    fh_pg_script_close(&script);
    if (code == FH_OK) {
        op->commits = true;
        code = send_text(op, conn, "commit", NULL);
    }
    if (code == FH_OK && state->step_count > 0) { /* the lock of what went ahead */
        code = send_text(op, conn, "select pg_advisory_unlock_all()", NULL);
    }
    return code;
}

/* Settings, context and lock; and whether the home is where it is taken to be, for whoever is told
 * that the next statement did not get its lock. */
static enum fh_code send_quick_open(struct fh_pg_op *op, struct fh_pg_conn *conn,
                                    const struct fh_schema *from)
{
    char tenant[FH_UUID_TEXT_LEN + 1];
    char view[FH_PG_FENCE_VIEW_SIZE];
    char text[448];
    fh_uuid_format(&op->request->scope.tenant, tenant);
    fh_pg_ddl_fence_view(view, from->version);
    (void)snprintf(text, sizeof(text),
                   "select set_config('lock_timeout', '%lld', true), "
                   "set_config('statement_timeout', '%lld', true), set_config('fh.tenant', '%s', "
                   "true), pg_advisory_xact_lock(%lld), to_regclass('\"%s\".%s') is not null",
                   (long long)lock_ms(op), (long long)fh_pg_ms_left(op, STATEMENT_MS_MAX), tenant,
                   (long long)fh_pg_schema_key(&op->request->scope.home), fh_pg_op_namespace(op),
                   view);
    return send_text(op, conn, text, NULL);
}

/* The fence locked and required, and then the nil tenant's context, in which the version is noted:
 * what is selected besides a count is done when all rows were seen. */
static enum fh_code send_quick_guard(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    char text[384];
    (void)snprintf(text, sizeof(text),
                   "select 1 / count(*), set_config('fh.tenant', '" FH_PG_NIL_TENANT
                   "', true) from (select from " GUARDED " for update) f",
                   fh_pg_op_namespace(op));
    return send_text(op, conn, text, add_guard(op));
}

/* One round trip, one transaction, with an end of its own: where memory runs out in between, the
 * Sync must not commit what was sent. */
static enum fh_code send_quick(struct fh_pg_op *op, struct fh_pg_conn *conn,
                               const struct fh_pg_script *script, const struct fh_schema *from)
{
    struct fh_pg_schema_state *state = op->state;
    struct fh_pg_ddl_step step;
    size_t cursor = 0;
    char text[256];
    state->to = op->request->as.schema.target;
    state->from = from;
    enum fh_code code = send_text(op, conn, "begin isolation level read committed", NULL);
    if (code == FH_OK) {
        code = send_quick_open(op, conn, from);
    }
    for (size_t i = 0; code == FH_OK && fh_pg_script_step(script, i, &cursor, &step); i++) {
        code = send_text(op, conn, step.sql, NULL);
        if (code == FH_OK && i == 0) { /* behind the view, as ever */
            code = send_quick_guard(op, conn);
        }
    }
    if (code == FH_OK) {
        (void)snprintf(text, sizeof(text),
                       "with u as (update \"%s\".fh_meta set value = '%u' where tenant_id = "
                       "'" FH_PG_NIL_TENANT "' and name = 'schema_version' returning 1) select 1 / "
                       "count(*) from u",
                       fh_pg_op_namespace(op), (unsigned)state->to->version);
        code = send_text(op, conn, text, NULL);
    }
    if (code == FH_OK) {
        op->commits = true;
        code = send_text(op, conn, "commit", NULL);
    }
    return code;
}

static bool looks_at_rows(const struct fh_pg_script *script)
{
    struct fh_pg_ddl_step step;
    size_t cursor = 0;
    for (size_t i = 0; fh_pg_script_step(script, i, &cursor, &step); i++) {
        if (step.ahead || step.scans) {
            return true;
        }
    }
    return false;
}

/* Nearly every home of a rollout is one version behind, and most changes look at no row: then the
 * home is taken to be there, and nothing is asked first. */
static enum fh_code send_first(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    struct fh_pg_schema_state *state = op->state;
    const struct fh_schema *to = op->request->as.schema.target;
    const struct fh_schema *from = to->version > 1 ? fh_schema_at(to, to->version - 1) : NULL;
    const struct fh_pg_ddl_home home = home_of(op, true);
    struct fh_pg_script script;
    state->stage = STAGE_LOCK;
    if (from == NULL || !fh_pg_schema_is_dedicated(op)) {
        return send_lock(op, conn);
    }
    fh_pg_script_init(&script);
    enum fh_code code = fh_pg_ddl_between(&script, &home, from, to, op->request->arena);
    if (code == FH_OK && !looks_at_rows(&script)) {
        state->stage = STAGE_QUICK;
        code = send_quick(op, conn, &script, from);
    } else if (code == FH_OK) {
        code = send_lock(op, conn);
    }
    fh_pg_script_close(&script);
    return code;
}

/* What goes ahead of coming to state->to, kept for as long as the op lives. */
enum fh_code fh_pg_schema_take_steps(struct fh_pg_op *op)
{
    struct fh_pg_schema_state *state = op->state;
    struct fh_arena *arena = op->request->arena;
    const struct fh_pg_ddl_home home = home_of(op, true);
    struct fh_pg_script script;
    struct fh_pg_ddl_step step;
    size_t cursor = 0;
    state->at = 0;
    state->step_count = 0;
    fh_pg_script_init(&script);
    enum fh_code code = fh_pg_ddl_between(&script, &home, fh_schema_at(state->to, state->version),
                                          state->to, arena);
    if (code == FH_OK) {
        state->steps = FH_ARENA_ARRAY(arena, struct fh_pg_ddl_step,
                                      script.notes.len / sizeof(struct fh_pg_ddl_step));
        code = state->steps != NULL ? FH_OK : FH_NOMEM;
    }
    for (size_t i = 0; code == FH_OK && fh_pg_script_step(&script, i, &cursor, &step); i++) {
        if (step.ahead) {
            step.sql = fh_arena_copy(arena, step.sql, strlen(step.sql) + 1);
            code = step.sql != NULL ? FH_OK : FH_NOMEM;
            state->steps[state->step_count++] = step;
        }
    }
    fh_pg_script_close(&script);
    return code;
}

static enum fh_code send_ahead_open(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    /* Not the key that is locked in the transaction: this one is held between two of them. */
    const int64_t other = ~fh_pg_schema_key(&op->request->scope.home);
    char text[96];
    (void)snprintf(text, sizeof(text), "select pg_try_advisory_lock(%lld)", (long long)other);
    enum fh_code code = send_text(op, conn, "rollback", NULL);
    if (code == FH_OK) {
        code = send_settings(op, conn, lock_ms(op), false);
    }
    return code == FH_OK ? send_text(op, conn, text, NULL) : code;
}

static enum fh_code send_ahead_look(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_pg_schema_state *state = op->state;
    const struct fh_pg_ddl_step *step = &state->steps[state->at];
    const bool index = step->made == FH_PG_MADE_INDEX;
    /* An index build waits for transactions that began before it, and keeps nobody waiting. */
    enum fh_code code = send_settings(op, conn, index ? 0 : lock_ms(op), false);
    if (code != FH_OK) {
        return code;
    }
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_bytes(params, fh_str_of(fh_pg_op_namespace(op)));
    fh_pg_add_bytes(params, fh_str_of(step->name));
    return send_text(op, conn,
                     index ? "select i.indisvalid from pg_index i join pg_class c on c.oid = "
                             "i.indexrelid join pg_namespace n on n.oid = c.relnamespace where "
                             "n.nspname = $1::text and c.relname = $2::text"
                           : "select k.convalidated from pg_constraint k join pg_namespace n on "
                             "n.oid = k.connamespace where n.nspname = $1::text and k.conname = "
                             "$2::text",
                     params);
}

static enum fh_code send_drop_index(struct fh_pg_op *op, struct fh_pg_conn *conn,
                                    const struct fh_pg_ddl_step *step)
{
    char text[256];
    (void)snprintf(text, sizeof(text), "drop index concurrently if exists \"%s\".\"%s\"",
                   fh_pg_op_namespace(op), step->name);
    return send_text(op, conn, text, NULL);
}

/* Whoever has both locks is alone: with others ahead, and with others in a transaction. */
static enum fh_code send_undo_open(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const int64_t key = fh_pg_schema_key(&op->request->scope.home);
    const int64_t ahead = ~key;
    char text[128];
    fh_fault_point("pg.schema.undo");
    (void)snprintf(text, sizeof(text),
                   "select pg_try_advisory_lock(%lld) and pg_try_advisory_lock(%lld)",
                   (long long)ahead, (long long)key);
    enum fh_code code = send_settings(op, conn, lock_ms(op), true);
    if (code == FH_OK) {
        code = send_text(op, conn, text, NULL);
    }
    return code == FH_OK ? send_version(op, conn) : code;
}

static enum fh_code send_undo(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_pg_schema_state *state = op->state;
    const struct fh_pg_ddl_step *step = &state->steps[state->at];
    struct fh_buf text;
    if (step->made == FH_PG_MADE_INDEX) {
        return send_drop_index(op, conn, step);
    }
    enum fh_code code = send_settings(op, conn, lock_ms(op), false);
    if (code != FH_OK || step->made != FH_PG_MADE_CONSTRAINT) {
        return code; /* nothing was made, or by the statement before it */
    }
    fh_buf_init(&text, 512);
    fh_buf_printf(&text, "alter table \"%s\".\"%.*s\" drop constraint if exists \"%s\"",
                  fh_pg_op_namespace(op), FH_STR_ARG(step->table->name), step->name);
    code = fh_buf_code(&text);
    if (code == FH_OK) {
        code = send_text(op, conn, text.data, NULL);
    }
    fh_buf_close(&text);
    return code;
}

enum fh_code fh_pg_schema_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    if (op->state == NULL) {
        op->state = FH_ARENA_NEW(op->request->arena, struct fh_pg_schema_state);
    }
    struct fh_pg_schema_state *state = op->state;
    if (state == NULL) {
        return FH_NOMEM;
    }
    state->sent = 0;
    state->fence_at = 0;
    op->commits = false;
    switch (state->stage) {
    case STAGE_FIRST:
    case STAGE_QUICK:
        return send_first(op, conn);
    case STAGE_LOCK:
        return send_lock(op, conn);
    case STAGE_CHECK:
        return send_check(op, conn);
    case STAGE_SIZE:
        return send_size(op, conn);
    case STAGE_RUN:
        return send_run(op, conn);
    case STAGE_AHEAD_OPEN:
        return send_ahead_open(op, conn);
    case STAGE_AHEAD_LOOK:
        return send_ahead_look(op, conn);
    case STAGE_AHEAD_DROP:
        return send_drop_index(op, conn, &state->steps[state->at]);
    case STAGE_AHEAD_MAKE:
        return send_text(op, conn, state->steps[state->at].sql, NULL);
    case STAGE_UNDO_OPEN:
        return send_undo_open(op, conn);
    case STAGE_UNDO:
        return send_undo(op, conn);
    case STAGE_UNDO_CLOSE:
        return send_text(op, conn, "select pg_advisory_unlock_all()", NULL);
    }
    return FH_INTERNAL;
}
