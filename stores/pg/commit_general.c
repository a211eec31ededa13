/* The general way to commit, on a slow connection that this op has to itself:
 *
 *   begin    tenant and gates (tried, never waited for); then, in a new statement, fence and
 * earlier record; every row the writes name, locked in lock order; what they become is evaluated
 *   cascade  while references' actions have questions (commit_cascade.c); most commits have none
 *   write    rows that leave the unique indexes first, the others after them; then, on the state
 * this commit leaves: parents live (and locked against delete), no live children of what went; the
 * record commit   with the deferred physical constraints
 *
 * Failures: gate closing FH_HELD, request id in use FH_CONFLICT, fence FH_MOVED or FH_NO_TENANT, an
 * evaluation's own code; each before anything is written, and the transaction is rolled back behind
 * it. While writing, constraints speak. From the commit on a lost connection means
 * FH_OUTCOME_UNKNOWN. A record with our request id is answered again and nothing is written.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "stores/pg/commit.h"
#include "stores/pg/commit_state.h"
#include "stores/pg/engine.h"
#include "stores/pg/keys.h"
#include "stores/pg/rows.h"

#define STATEMENT_MS_MAX 30000
#define RESULTS_BEFORE_ROWS 3 /* begin, context, fence */

enum purpose {
    PURPOSE_WRITE,
    PURPOSE_PARENT,
    PURPOSE_CHILD,
    PURPOSE_RECORD,
    PURPOSE_DEFERRED,
};

struct fh_pg_planned {
    enum purpose purpose;
    uint16_t write;
};

enum step { STEP_BEGIN, STEP_CASCADE, STEP_WRITE, STEP_COMMIT };

static bool is_live(const struct fh_row *row)
{
    return row != NULL && row->deleted_at_us == 0;
}

static enum fh_code make_state(struct fh_pg_op *op)
{
    struct fh_arena *arena = op->request->arena;
    size_t count = op->request->as.commit.count;
    struct fh_pg_commit_state *state = FH_ARENA_NEW(arena, struct fh_pg_commit_state);
    if (state == NULL) {
        return FH_NOMEM;
    }
    state->order = FH_ARENA_ARRAY(arena, uint16_t, count);
    state->before = FH_ARENA_ARRAY(arena, struct fh_row *, count);
    state->after = FH_ARENA_ARRAY(arena, struct fh_row *, count);
    if (state->order == NULL || state->before == NULL || state->after == NULL) {
        return FH_NOMEM;
    }
    state->writes = op->request->as.commit.writes;
    state->count = count;
    fh_writes_lock_order(state->writes, count, state->order);
    op->state = state;
    return FH_OK;
}

static enum fh_code send_context(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_request *request = op->request;
    struct fh_str request_id = request->as.commit.request_id;
    struct fh_uuid tenant = fh_pg_op_context_tenant(op);
    char timeout[24];
    (void)snprintf(timeout, sizeof(timeout), "%lld",
                   (long long)fh_pg_ms_left(op, STATEMENT_MS_MAX));
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid_text(params, &tenant);
    fh_pg_add_int64(params, fh_pg_gate_key(&request->scope));
    if (request_id.len > 0) {
        fh_pg_add_int64(params, fh_pg_once_key(&request->scope, request_id));
    } else {
        fh_pg_add_null(params);
    }
    fh_pg_add_bytes(params, fh_str_of(timeout));
    fh_pg_op_add_role(op);
    return fh_pg_op_send(op, conn, FH_PG_CONTEXT_WRITE, 0, NULL, 0);
}

static enum fh_code send_locks(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_op_commit *commit = &op->request->as.commit;
    struct fh_pg_commit_state *state = op->state;
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < commit->count && code == FH_OK; i++) {
        const struct fh_key *key = &commit->writes[state->order[i]].key;
        struct fh_pg_params *params = fh_pg_op_params(op);
        fh_pg_add_uuid(params, &op->request->scope.tenant);
        fh_pg_add_key(params, key);
        code = fh_pg_op_send(op, conn, FH_PG_ROW_LOCK, fh_pg_op_fault_flags(op), key->table, 0);
    }
    return code;
}

static enum fh_code send_begin(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    enum fh_code code = make_state(op);
    if (code != FH_OK) {
        return code;
    }
    (void)fh_pg_op_params(op);
    code = fh_pg_op_send(op, conn, FH_PG_BEGIN, 0, NULL, 0);
    if (code == FH_OK) {
        code = send_context(op, conn);
    }
    if (code == FH_OK) {
        struct fh_str request_id = op->request->as.commit.request_id;
        struct fh_pg_params *params = fh_pg_op_params(op);
        fh_pg_add_uuid(params, &op->request->scope.tenant);
        if (request_id.len > 0) {
            fh_pg_add_bytes(params, request_id);
        } else {
            fh_pg_add_null(params);
        }
        code = fh_pg_op_send(op, conn, FH_PG_FENCE_AND_RECORD, 0, NULL, 0);
    }
    return code == FH_OK ? send_locks(op, conn) : code;
}

static enum fh_code take_locks(const PGresult *result)
{
    bool gate = false;
    bool once = false;
    if (PQntuples(result) != 1 || fh_pg_field_bool(result, 0, 2, &gate) != FH_OK ||
        fh_pg_field_bool(result, 0, 3, &once) != FH_OK) {
        return FH_CORRUPT;
    }
    if (!gate) {
        return FH_HELD;
    }
    return once ? FH_OK : FH_CONFLICT;
}

static enum fh_code take_begun(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_pg_commit_state *state = op->state;
    const struct fh_op_commit *commit = &op->request->as.commit;
    switch (index) {
    case 0:
        return FH_OK;
    case 1:
        return take_locks(result);
    case 2: {
        enum fh_code code = fh_pg_fence_check(op, result, 0, 2, true);
        return code == FH_OK ? fh_pg_commit_replay(op, result, &state->replayed) : code;
    }
    default:
        break;
    }
    if (state->replayed || PQntuples(result) == 0) {
        return FH_OK;
    }
    uint16_t write = state->order[index - RESULTS_BEFORE_ROWS];
    enum fh_code code = FH_OK;
    if (PQntuples(result) > 1) {
        return FH_FOREIGN_ROW;
    }
    code = fh_pg_row_read(result, 0, 0, commit->writes[write].key.table, op->request->arena,
                          &state->before[write]);
    if (code == FH_OK && !fh_uuid_eq(&state->before[write]->tenant, &op->request->scope.tenant)) {
        return FH_FOREIGN_ROW;
    }
    return code;
}

static enum fh_code evaluate(struct fh_pg_op *op)
{
    struct fh_pg_commit_state *state = op->state;
    struct fh_op_commit *commit = &op->request->as.commit;
    state->now_us = fh_clock_realtime_us(op->store->store.env->clock);
    for (size_t i = 0; i < commit->count; i++) {
        enum fh_code code = fh_write_evaluate(
            &commit->writes[i], state->before[i], &op->request->scope.tenant, state->now_us,
            op->request->arena, &state->after[i], &op->request->error);
        if (code != FH_OK) {
            commit->failed_write = i;
            return code;
        }
    }
    return FH_OK;
}

static enum fh_code plan(struct fh_pg_op *op, enum purpose purpose, size_t write)
{
    struct fh_pg_commit_state *state = op->state;
    if (state->plan_count == state->plan_capacity) {
        unsigned capacity = state->plan_capacity > 0 ? state->plan_capacity * 2 : 16;
        struct fh_pg_planned *grown =
            FH_ARENA_ARRAY(op->request->arena, struct fh_pg_planned, capacity);
        if (grown == NULL) {
            return FH_NOMEM;
        }
        if (state->plan_count > 0) {
            memcpy(grown, state->plan, state->plan_count * sizeof(*grown));
        }
        state->plan = grown;
        state->plan_capacity = capacity;
    }
    state->plan[state->plan_count++] =
        (struct fh_pg_planned){.purpose = purpose, .write = (uint16_t)write};
    return FH_OK;
}

static enum fh_code send_row(struct fh_pg_op *op, struct fh_pg_conn *conn,
                             enum fh_pg_statement_kind kind, size_t write)
{
    const struct fh_pg_commit_state *state = op->state;
    const struct fh_key *key = &state->writes[write].key;
    enum fh_code code = plan(op, PURPOSE_WRITE, write);
    if (code != FH_OK) {
        return code;
    }
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid(params, &op->request->scope.tenant);
    if (kind == FH_PG_ROW_INSERT || kind == FH_PG_ROW_UPDATE) {
        fh_pg_add_row(params, state->after[write]);
    } else {
        fh_pg_add_key(params, key);
    }
    return fh_pg_op_send(op, conn, kind, fh_pg_op_fault_flags(op), key->table, 0);
}

/* Whether a live row gives up values that another write of this commit may take before its own
 * statement ran. */
static bool frees_unique(const struct fh_row *before, const struct fh_row *after)
{
    for (uint16_t i = 0; i < before->table->index_count; i++) {
        const struct fh_index *index = &before->table->indexes[i];
        for (uint16_t k = 0; index->unique && k < index->column_count; k++) {
            uint16_t column = index->columns[k];
            if (!fh_value_equal(&before->values[column], &after->values[column])) {
                return true;
            }
        }
    }
    return false;
}

static enum fh_code send_leaving(struct fh_pg_op *op, struct fh_pg_conn *conn, size_t write)
{
    const struct fh_pg_commit_state *state = op->state;
    const struct fh_row *before = state->before[write];
    const struct fh_row *after = state->after[write];
    if (after == NULL) {
        return send_row(op, conn, FH_PG_ROW_PURGE, write);
    }
    if (before != NULL && !is_live(after)) {
        return send_row(op, conn, FH_PG_ROW_UPDATE, write);
    }
    if (state->count > 1 && is_live(before) && frees_unique(before, after)) {
        return send_row(op, conn, FH_PG_ROW_PARK, write);
    }
    return FH_OK;
}

static enum fh_code send_writes(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_pg_commit_state *state = op->state;
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < state->count && code == FH_OK; i++) {
        code = send_leaving(op, conn, state->order[i]);
    }
    for (size_t i = 0; i < state->count && code == FH_OK; i++) {
        size_t write = state->order[i];
        if (is_live(state->after[write])) {
            code =
                send_row(op, conn,
                         state->before[write] == NULL ? FH_PG_ROW_INSERT : FH_PG_ROW_UPDATE, write);
        }
    }
    return code;
}

/* True: the reference must be looked at. A live row's unchanged reference held before, and its
 * parent cannot go while it does. */
static bool must_check(const struct fh_foreign_key *reference, const struct fh_row *before,
                       const struct fh_row *after)
{
    bool changed = !is_live(before);
    for (uint16_t i = 0; i < reference->column_count; i++) {
        uint16_t column = reference->columns[i];
        if (after->values[column].is_null) {
            return false;
        }
        changed = changed || !fh_value_equal(&before->values[column], &after->values[column]);
    }
    return changed;
}

static enum fh_code send_parents(struct fh_pg_op *op, struct fh_pg_conn *conn, size_t write)
{
    const struct fh_pg_commit_state *state = op->state;
    const struct fh_row *after = state->after[write];
    enum fh_code code = FH_OK;
    for (uint16_t i = 0; i < after->table->foreign_key_count && code == FH_OK; i++) {
        const struct fh_foreign_key *reference = &after->table->foreign_keys[i];
        if (!must_check(reference, state->before[write], after)) {
            continue;
        }
        code = plan(op, PURPOSE_PARENT, write);
        if (code != FH_OK) {
            return code;
        }
        struct fh_pg_params *params = fh_pg_op_params(op);
        fh_pg_add_uuid(params, &op->request->scope.tenant);
        for (uint16_t k = 0; k < reference->column_count; k++) {
            uint16_t column = reference->columns[k];
            fh_pg_add_value(params, &after->values[column], &after->table->columns[column]);
        }
        code = fh_pg_op_send(op, conn, FH_PG_PARENT_LOCK, fh_pg_op_fault_flags(op),
                             reference->target, 0);
    }
    return code;
}

static enum fh_code send_children(struct fh_pg_op *op, struct fh_pg_conn *conn, size_t write)
{
    const struct fh_schema *schema = op->request->scope.schema;
    const struct fh_pg_commit_state *state = op->state;
    const struct fh_key *key = &state->writes[write].key;
    enum fh_code code = FH_OK;
    for (uint32_t t = 0; t < schema->table_count; t++) {
        const struct fh_table *child = schema->tables[t];
        for (uint16_t i = 0; i < child->foreign_key_count && code == FH_OK; i++) {
            if (child->foreign_keys[i].target->id != key->table->id) {
                continue;
            }
            code = plan(op, PURPOSE_CHILD, write);
            if (code != FH_OK) {
                return code;
            }
            struct fh_pg_params *params = fh_pg_op_params(op);
            fh_pg_add_uuid(params, &op->request->scope.tenant);
            fh_pg_add_key(params, key);
            code = fh_pg_op_send(op, conn, FH_PG_CHILD_FIND, fh_pg_op_fault_flags(op), child, i);
        }
    }
    return code;
}

static enum fh_code send_references(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_pg_commit_state *state = op->state;
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < state->count && code == FH_OK; i++) {
        size_t write = state->order[i];
        if (is_live(state->after[write])) {
            code = send_parents(op, conn, write);
        } else if (is_live(state->before[write])) {
            code = send_children(op, conn, write);
        }
    }
    return code;
}

static enum fh_code send_record(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_pg_commit_state *state = op->state;
    bool validates = op->request->as.commit.validate_only;
    enum fh_code code = plan(op, validates ? PURPOSE_DEFERRED : PURPOSE_RECORD, SIZE_MAX);
    struct fh_pg_params *params = fh_pg_op_params(op);
    if (code == FH_OK && validates) {
        return fh_pg_op_send(op, conn, FH_PG_CHECK_DEFERRED, 0, NULL, 0);
    }
    if (code == FH_OK) {
        fh_pg_add_uuid(params, &op->request->scope.tenant);
        const struct fh_pg_recorded recorded = {.writes = state->writes,
                                                .before = state->before,
                                                .after = state->after,
                                                .count = state->count};
        code = fh_pg_add_record(op, params, state->now_us, &recorded);
    }
    return code == FH_OK ? fh_pg_op_send(op, conn, FH_PG_RECORD_INSERT, 0, NULL, 0) : code;
}

static enum fh_code commit_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    if (op->step == STEP_BEGIN) {
        return send_begin(op, conn);
    }
    if (op->step == STEP_CASCADE) {
        return fh_pg_cascade_send(op, conn, op->state);
    }
    if (op->step == STEP_WRITE) {
        enum fh_code code = send_writes(op, conn);
        if (code == FH_OK) {
            code = send_references(op, conn);
        }
        return code == FH_OK ? send_record(op, conn) : code;
    }
    op->commits = true;
    (void)fh_pg_op_params(op);
    return fh_pg_op_send(op, conn, FH_PG_COMMIT, 0, NULL, 0);
}

static enum fh_code take_written(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    const struct fh_pg_commit_state *state = op->state;
    struct fh_op_commit *commit = &op->request->as.commit;
    FH_ASSERT(index < state->plan_count);
    const struct fh_pg_planned *planned = &state->plan[index];
    int rows = PQntuples(result);
    struct fh_uuid tenant;
    int64_t seq = 0;
    switch (planned->purpose) {
    case PURPOSE_WRITE:
        if (rows != 1 || fh_pg_field_uuid(result, 0, 0, &tenant) != FH_OK) {
            return FH_INTERNAL; /* the row is locked: it cannot have gone */
        }
        return fh_uuid_eq(&tenant, &op->request->scope.tenant) ? FH_OK : FH_FOREIGN_ROW;
    case PURPOSE_PARENT:
        if (rows == 0) {
            commit->failed_write = fh_pg_commit_origin(state, commit->count, planned->write);
            return fh_error_set(&op->request->error, FH_REFERENCE_VIOLATION,
                                "a referenced record does not exist");
        }
        return FH_OK;
    case PURPOSE_CHILD:
        if (rows > 0) {
            commit->failed_write = fh_pg_commit_origin(state, commit->count, planned->write);
            return fh_error_set(&op->request->error, FH_REFERENCE_VIOLATION,
                                "the record is still referenced");
        }
        return FH_OK;
    case PURPOSE_RECORD:
        if (rows != 1 || fh_pg_field_int(result, 0, 0, &seq) != FH_OK) {
            return FH_INTERNAL;
        }
        commit->seq = (uint64_t)seq;
        return FH_OK;
    case PURPOSE_DEFERRED:
        return FH_OK;
    }
    return FH_INTERNAL;
}

static enum fh_code commit_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    if (op->step == STEP_BEGIN) {
        return take_begun(op, index, result);
    }
    if (op->step == STEP_CASCADE) {
        return fh_pg_cascade_result(op, op->state, result);
    }
    if (op->step == STEP_WRITE) {
        return take_written(op, index, result);
    }
    /* A commit of a failed transaction answers ROLLBACK, and no error. */
    return strcmp(PQcmdStatus((PGresult *)(uintptr_t)result), "COMMIT") == 0 ? FH_OK : FH_INTERNAL;
}

static void commit_failed(struct fh_pg_op *op, unsigned index)
{
    const struct fh_pg_commit_state *state = op->state;
    struct fh_op_commit *commit = &op->request->as.commit;
    size_t write =
        op->step == STEP_WRITE && index < state->plan_count ? state->plan[index].write : SIZE_MAX;
    bool of_write = write < state->count;
    if (of_write) {
        commit->failed_write = fh_pg_commit_origin(state, commit->count, write);
    }
    fh_pg_commit_failed(op, of_write ? &state->writes[write] : NULL);
}

static enum fh_pg_next commit_synced(struct fh_pg_op *op)
{
    struct fh_pg_commit_state *state = op->state;
    struct fh_op_commit *commit = &op->request->as.commit;
    if (op->step == STEP_BEGIN || op->step == STEP_CASCADE) {
        bool asks = false;
        if (state->replayed) {
            return FH_PG_DONE;
        }
        if (op->step == STEP_BEGIN) {
            op->code = evaluate(op);
            op->code = op->code == FH_OK ? fh_pg_cascade_begin(op, state, &asks) : op->code;
        } else {
            op->code = fh_pg_cascade_next(op, state, &asks);
        }
        op->step = asks ? STEP_CASCADE : STEP_WRITE;
        return op->code == FH_OK ? FH_PG_MORE : FH_PG_DONE;
    }
    if (op->step == STEP_WRITE && !commit->validate_only) {
        op->step = STEP_COMMIT;
        return FH_PG_MORE;
    }
    commit->rows = state->after;
    commit->at_us = state->now_us;
    return FH_PG_DONE;
}

static void commit_reset(struct fh_pg_op *op)
{
    op->state = NULL;
    op->request->as.commit.failed_write = SIZE_MAX;
    op->request->as.commit.replayed = false;
}

const struct fh_pg_op_kind fh_pg_commit_kind = {.send = commit_send,
                                                .result = commit_result,
                                                .failed = commit_failed,
                                                .synced = commit_synced,
                                                .reset = commit_reset};
