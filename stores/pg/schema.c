/* Schema changes, on the owner's connection, one version after the other:
 *
 *   LOCK    begin, the home's advisory lock, look whether the system tables are there
 *   CHECK   the version (kept in fh_meta under the nil tenant), how large the tables are, and a
 *           dedicated home's fence, for a first look
 *   AHEAD   large tables only, and before LOCK comes again: rolled back; then what has to look at
 *           every row, each statement looked for (an earlier attempt may have made it), and made
 *   RUN     system tables if there are none; the old version's view goes; a dedicated home's fence
 *           locked, told, and required to be as the guard says; the changes; version; commit
 *   UNDO    stored rows do not fit what was made ahead: all of that goes again; or something else
 *           failed: what was made stays for the next attempt, row level security is forced again
 *
 * Happy path of a small home: three round trips a version, and nothing outside of one transaction.
 *
 * Failures: the home is ahead of the target, or at a version the target does not descend from:
 * FH_PRECONDITION. A lock not had in lock_timeout_ms, or another change under way: FH_CONFLICT, and
 * what was made ahead is found by the next attempt. Rows that do not fit: the constraint's code,
 * which table and constraint, no values. A fence that is another: FH_MOVED. In RUN everything is
 * rolled back; a connection lost behind its commit is FH_OUTCOME_UNKNOWN.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "stores/pg/commit.h"
#include "stores/pg/ddl.h"
#include "stores/pg/engine.h"
#include "stores/pg/keys.h"
#include "stores/pg/mover.h"
#include "stores/pg/rows.h"
#include "stores/pg/version.h"

#define LOCK_MS_DEFAULT 2000
#define STATEMENT_MS_MAX (60 * 60 * 1000)
/* A scan or an index of this much takes some tens of milliseconds: nobody need go ahead of it. */
#define SMALL_BYTES (8 * 1024 * 1024)

static int64_t small_bytes(void)
{
#ifdef FREEHOLD_FAULTS
    const char *text = getenv("FREEHOLD_PG_SMALL_BYTES");
    long long bytes = 0;
    if (text != NULL && fh_str_to_int64(fh_str_of(text), &bytes)) {
        return bytes;
    }
#endif
    return SMALL_BYTES;
}

enum stage {
    STAGE_LOCK,
    STAGE_CHECK,
    STAGE_RUN,
    STAGE_AHEAD_OPEN, /* rolled back; settings and a lock of the session */
    STAGE_AHEAD_LOOK, /* what is there of statement `at`? */
    STAGE_AHEAD_DROP, /* an index that is not valid */
    STAGE_AHEAD_MAKE,
    STAGE_UNDO,
};

struct schema_state {
    enum stage stage;
    bool exists;
    bool large;
    uint32_t version;                 /* what the home is at */
    const struct fh_schema *to;       /* what it comes to next */
    const struct fh_schema *prepared; /* for this one everything was made ahead; NULL: for none */
    struct fh_pg_ddl_step *steps;     /* of AHEAD and UNDO, in the request's arena */
    size_t step_count;
    size_t at;    /* the step under way */
    bool missing; /* what LOOK found */
    bool invalid;
    unsigned fence_at; /* which result of RUN is the fence; 0: none */
    unsigned sent;
    bool misfit;      /* UNDO: all goes; else it is kept for the next attempt */
    enum fh_code why; /* of UNDO */
    struct fh_error error;
};

static bool is_dedicated(const struct fh_pg_op *op)
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
    return (struct fh_pg_ddl_home){.namespace = fh_pg_op_namespace(op),
                                   .role = fh_pg_op_grantee(op),
                                   .tenant = is_dedicated(op) ? &op->request->scope.tenant : NULL,
                                   .ahead = ahead};
}

static enum fh_code send_text(struct fh_pg_op *op, struct fh_pg_conn *conn, const char *text,
                              struct fh_pg_params *params)
{
    struct schema_state *state = op->state;
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
    if (!local && is_dedicated(op)) {
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
    char text[96];
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
        code = send_namespace(op, conn,
                              "select exists (select from pg_class c join pg_namespace n on "
                              "n.oid = c.relnamespace where n.nspname = $1 and c.relname = "
                              "'fh_meta')");
    }
    return code;
}

/* The tenant's context, and its fence told. */
static enum fh_code send_fence(struct fh_pg_op *op, struct fh_pg_conn *conn, const char *locked)
{
    struct schema_state *state = op->state;
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

static enum fh_code send_check(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    char text[256];
    (void)snprintf(text, sizeof(text),
                   "select value::int8 from \"%s\".fh_meta where tenant_id = '" FH_PG_NIL_TENANT
                   "' and name = 'schema_version'",
                   fh_pg_op_namespace(op));
    enum fh_code code = send_text(op, conn, text, NULL);
    if (code == FH_OK) {
        code = send_namespace(op, conn,
                              "select coalesce(max(pg_relation_size(c.oid)), 0)::int8 from "
                              "pg_class c join pg_namespace n on n.oid = c.relnamespace where "
                              "n.nspname = $1 and c.relkind = 'r' and left(c.relname, 3) <> "
                              "'fh_'");
    }
    return code == FH_OK && is_dedicated(op) ? send_fence(op, conn, "") : code;
}

/* The fence locked, and a guard: what is sent behind it is skipped unless the fence is as required.
 */
static enum fh_code send_guard(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_fence_guard *guard = &op->request->as.schema.guard;
    char text[256];
    enum fh_code code = send_fence(op, conn, " for update");
    if (code == FH_OK) {
        (void)snprintf(text, sizeof(text),
                       "select 1 / count(*) from \"%s\".fh_fence where tenant_id = $1::uuid and "
                       "epoch = $2::int8 and generation = $3::int8 and ($4::int4 & (1 << "
                       "mode::int4)) <> 0",
                       fh_pg_op_namespace(op));
        struct fh_pg_params *params = fh_pg_op_params(op);
        fh_pg_add_uuid(params, &op->request->scope.tenant);
        fh_pg_add_int64(params, (int64_t)op->request->scope.epoch);
        fh_pg_add_int64(params, (int64_t)guard->generation);
        fh_pg_add_int32(params, (int32_t)guard->modes);
        code = send_text(op, conn, text, params);
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
    struct schema_state *state = op->state;
    const struct fh_schema *from =
        state->version > 0 ? fh_schema_at(state->to, state->version) : NULL;
    const struct fh_pg_ddl_home home = home_of(op, state->prepared == state->to);
    enum fh_code code = fh_pg_ddl_between(script, &home, from, state->to, op->request->arena);
    if (code == FH_OK) {
        fh_pg_ddl_note_version(script, home.namespace, state->to->version);
        code = fh_pg_script_code(script);
    }
    return code == FH_OK ? send_script(op, conn, script, is_dedicated(op)) : code;
}

static enum fh_code send_run(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct schema_state *state = op->state;
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
    return code;
}

/* What goes ahead of coming to state->to, kept for as long as the op lives. */
static enum fh_code take_steps(struct fh_pg_op *op)
{
    struct schema_state *state = op->state;
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
    char text[96];
    (void)snprintf(text, sizeof(text), "select pg_try_advisory_lock(%lld)",
                   (long long)~fh_pg_schema_key(&op->request->scope.home));
    enum fh_code code = send_text(op, conn, "rollback", NULL);
    if (code == FH_OK) {
        code = send_settings(op, conn, lock_ms(op), false);
    }
    return code == FH_OK ? send_text(op, conn, text, NULL) : code;
}

static enum fh_code send_ahead_look(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct schema_state *state = op->state;
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

static enum fh_code send_undo(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct schema_state *state = op->state;
    const struct fh_pg_ddl_step *step = &state->steps[state->at];
    struct fh_buf text;
    if (step->made == FH_PG_MADE_INDEX && state->misfit) {
        return send_drop_index(op, conn, step);
    }
    enum fh_code code = send_settings(op, conn, lock_ms(op), false);
    if (code == FH_OK && step->made == FH_PG_MADE_FORCED) {
        return send_text(op, conn, step->sql, NULL);
    }
    if (code != FH_OK || step->made != FH_PG_MADE_CONSTRAINT || !state->misfit) {
        return code; /* nothing was made, or by the statement before it, or it may stay */
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

static enum fh_code schema_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    if (op->state == NULL) {
        op->state = FH_ARENA_NEW(op->request->arena, struct schema_state);
    }
    struct schema_state *state = op->state;
    if (state == NULL) {
        return FH_NOMEM;
    }
    state->sent = 0;
    state->fence_at = 0;
    op->commits = false;
    switch (state->stage) {
    case STAGE_LOCK:
        return send_lock(op, conn);
    case STAGE_CHECK:
        return send_check(op, conn);
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
    case STAGE_UNDO:
        return send_undo(op, conn);
    }
    return FH_INTERNAL;
}

static enum fh_code check_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct schema_state *state = op->state;
    int64_t bytes = 0;
    if (index == 0) {
        enum fh_code code = fh_pg_version_read(result, &state->version);
        op->request->as.schema.version_seen = state->version;
        return code;
    }
    if (index > 1) {
        return index == state->fence_at
                   ? fh_pg_move_check_fence(op, result, &op->request->as.schema.guard)
                   : FH_OK;
    }
    enum fh_code code = fh_pg_field_int(result, 0, 0, &bytes);
    state->large = bytes > small_bytes();
    return code;
}

static enum fh_code look_result(struct schema_state *state, const PGresult *result)
{
    bool valid = false;
    state->missing = PQntuples(result) == 0;
    enum fh_code code = state->missing ? FH_OK : fh_pg_field_bool(result, 0, 0, &valid);
    state->invalid = !state->missing && !valid;
    return code;
}

static enum fh_code schema_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct schema_state *state = op->state;
    bool locked = false;
    switch (state->stage) {
    case STAGE_LOCK:
        return index == 3 ? fh_pg_field_bool(result, 0, 0, &state->exists) : FH_OK;
    case STAGE_CHECK:
        return check_result(op, index, result);
    case STAGE_RUN:
        return state->fence_at > 0 && index == state->fence_at
                   ? fh_pg_move_check_fence(op, result, &op->request->as.schema.guard)
                   : FH_OK;
    case STAGE_AHEAD_OPEN:
        if (index != 2) {
            return FH_OK;
        }
        if (fh_pg_field_bool(result, 0, 0, &locked) != FH_OK || !locked) {
            return fh_error_set(&op->request->error, FH_CONFLICT,
                                "another schema change of this home is under way");
        }
        return FH_OK;
    case STAGE_AHEAD_LOOK:
        return index == 1 ? look_result(state, result) : FH_OK;
    case STAGE_AHEAD_DROP:
    case STAGE_AHEAD_MAKE:
    case STAGE_UNDO:
        return FH_OK;
    }
    return FH_INTERNAL;
}

static enum fh_pg_next go(struct fh_pg_op *op, enum stage stage)
{
    struct schema_state *state = op->state;
    state->stage = stage;
    op->step++;
    return FH_PG_MORE;
}

static enum fh_pg_next refuse_version(struct fh_pg_op *op, const char *why)
{
    const struct schema_state *state = op->state;
    op->code = fh_error_set(&op->request->error, FH_PRECONDITION,
                            "the home is at schema version %u, %s %u", state->version, why,
                            op->request->as.schema.target->version);
    return FH_PG_DONE;
}

/* The version is known: what is to be done about it? */
static enum fh_pg_next decide(struct fh_pg_op *op)
{
    struct schema_state *state = op->state;
    struct fh_op_schema *schema = &op->request->as.schema;
    const struct fh_schema *target = schema->target;
    schema->version_seen = state->version;
    if (!state->exists && is_dedicated(op)) {
        op->code = FH_NO_TENANT;
        return FH_PG_DONE;
    }
    if (state->version > target->version) {
        return refuse_version(op, "ahead of");
    }
    if (state->version > 0 && fh_schema_at(target, state->version) == NULL) {
        return refuse_version(op, "which is not among those that led to");
    }
    if (state->exists && state->version == target->version) {
        return FH_PG_DONE;
    }
    state->to = state->version > 0 ? fh_schema_at(target, state->version + 1) : target;
    if (state->to == NULL) {
        return refuse_version(op, "and the next one is not known on the way to");
    }
    if (state->version > 0 && state->large && state->prepared != state->to) {
        op->code = take_steps(op);
        if (op->code != FH_OK) {
            return FH_PG_DONE;
        }
        if (state->step_count > 0) {
            return go(op, STAGE_AHEAD_OPEN);
        }
    }
    return go(op, STAGE_RUN);
}

static enum fh_pg_next next_step(struct fh_pg_op *op)
{
    struct schema_state *state = op->state;
    state->at++;
    if (state->at < state->step_count) {
        return go(op, STAGE_AHEAD_LOOK);
    }
    state->prepared = state->to;
    return go(op, STAGE_LOCK);
}

static enum fh_pg_next looked(struct fh_pg_op *op)
{
    const struct schema_state *state = op->state;
    switch (state->steps[state->at].made) {
    case FH_PG_MADE_NOTHING:
    case FH_PG_MADE_FORCED:
        return go(op, STAGE_AHEAD_MAKE);
    case FH_PG_MADE_INDEX:
        if (state->invalid) {
            return go(op, STAGE_AHEAD_DROP);
        }
        break;
    case FH_PG_MADE_CONSTRAINT:
        break;
    case FH_PG_MADE_VALID:
        return state->invalid ? go(op, STAGE_AHEAD_MAKE) : next_step(op);
    }
    return state->missing ? go(op, STAGE_AHEAD_MAKE) : next_step(op);
}

static enum fh_pg_next schema_synced(struct fh_pg_op *op)
{
    struct schema_state *state = op->state;
    switch (state->stage) {
    case STAGE_LOCK:
        state->version = 0;
        return state->exists ? go(op, STAGE_CHECK) : decide(op);
    case STAGE_CHECK:
        return decide(op);
    case STAGE_RUN:
        op->request->as.schema.version_seen = state->to->version;
        state->step_count = 0;
        return state->to == op->request->as.schema.target ? FH_PG_DONE : go(op, STAGE_LOCK);
    case STAGE_AHEAD_OPEN:
        return go(op, STAGE_AHEAD_LOOK);
    case STAGE_AHEAD_LOOK:
        return looked(op);
    case STAGE_AHEAD_DROP:
        return go(op, STAGE_AHEAD_MAKE);
    case STAGE_AHEAD_MAKE:
        return next_step(op);
    case STAGE_UNDO:
        if (state->at-- > 0) {
            return go(op, STAGE_UNDO);
        }
        op->code = state->why;
        op->request->error = state->error;
        return FH_PG_DONE;
    }
    return FH_PG_DONE;
}

static void tell(struct fh_pg_op *op, const char *what)
{
    (void)fh_error_set(&op->request->error, op->failure.code, "%s (%s)", what,
                       op->failure.constraint[0] != '\0' ? op->failure.constraint
                       : op->failure.table[0] != '\0'    ? op->failure.table
                                                         : op->failure.sqlstate);
}

/* Whether stored rows are the reason, and which. */
static bool rows_do_not_fit(struct fh_pg_op *op)
{
    switch (op->failure.code) {
    case FH_UNIQUE_VIOLATION:
        tell(op, "stored records do not fit a new unique constraint");
        return true;
    case FH_REFERENCE_VIOLATION:
        tell(op, "stored records do not fit a new reference");
        return true;
    case FH_CHECK_VIOLATION:
        tell(op, strcmp(op->failure.sqlstate, "23502") == 0
                     ? "stored records have no value in a column that is to be required"
                     : "stored records do not fit a new check");
        return true;
    case FH_RANGE:
        tell(op, "a generated column of stored records is out of range");
        return true;
    default:
        return false;
    }
}

static void schema_failed(struct fh_pg_op *op, unsigned index)
{
    struct schema_state *state = op->state;
    (void)index;
    if (state->stage == STAGE_UNDO) {
        op->failure.code = state->why;
        op->request->error = state->error;
        return;
    }
    if (state->stage == STAGE_RUN && op->code != FH_OK) {
        op->failure.code = op->code; /* the fence was told, then the guard failed for it */
        return;
    }
    state->misfit = rows_do_not_fit(op);
    if (!state->misfit) {
        tell(op, op->failure.code == FH_CONFLICT
                     ? "the schema change did not get a lock in time; nothing was changed"
                     : "the schema change was refused by the server");
    }
    /* The older version must not be bound by what its rows do not fit, and row level security is
     * forced again, whatever failed. */
    if (state->step_count > 0 && (state->misfit || state->stage != STAGE_RUN)) {
        state->why = op->failure.code;
        state->error = op->request->error;
        state->stage = STAGE_UNDO;
        state->at = state->step_count - 1;
        op->retry_elsewhere = true;
    }
}

/* Sent anew from the start, but for an undo, which is what a failure is followed by. */
static void schema_reset(struct fh_pg_op *op)
{
    struct schema_state *state = op->state;
    if (state != NULL && state->stage != STAGE_UNDO) {
        op->state = NULL;
    }
}

const struct fh_pg_op_kind fh_pg_schema_kind = {.send = schema_send,
                                                .result = schema_result,
                                                .failed = schema_failed,
                                                .synced = schema_synced,
                                                .reset = schema_reset};
