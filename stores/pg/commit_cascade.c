/* References' actions, asked of the server: stores/cascade.h decides, this answers its questions,
 * one round trip a page.
 *
 * The rows come locked. None can be added behind the question: a record that wants to reference a
 * key locks it first, and the keys that go are locked by this commit.
 */
#include <string.h>

#include "stores/pg/commit_state.h"
#include "stores/pg/engine.h"
#include "stores/pg/rows.h"

enum fh_code fh_pg_cascade_begin(struct fh_pg_op *op, struct fh_pg_commit_state *state, bool *asks)
{
    const struct fh_scope *scope = &op->request->scope;
    *asks = false;
    enum fh_code code =
        fh_cascade_begin(scope->schema, &scope->tenant, state->now_us, state->writes, state->before,
                         state->after, state->count, op->request->arena, &state->cascade);
    return code == FH_OK && state->cascade != NULL ? fh_pg_cascade_next(op, state, asks) : code;
}

enum fh_code fh_pg_cascade_send(struct fh_pg_op *op, struct fh_pg_conn *conn,
                                const struct fh_pg_commit_state *state)
{
    const struct fh_cascade_question *question = &state->question;
    size_t reference = (size_t)(question->reference - question->child->foreign_keys);
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid(params, &op->request->scope.tenant);
    fh_pg_add_int64(params, (int64_t)question->limit);
    fh_pg_add_key(params, question->parent);
    if (question->after != NULL) {
        fh_pg_add_key(params, question->after);
    }
    uint32_t flags = fh_pg_op_fault_flags(op) | (question->after != NULL ? FH_PG_AFTER_KEY : 0);
    return fh_pg_op_send(op, conn, FH_PG_CHILDREN_LOCK, flags, question->child, reference);
}

enum fh_code fh_pg_cascade_result(struct fh_pg_op *op, struct fh_pg_commit_state *state,
                                  const PGresult *result)
{
    struct fh_arena *arena = op->request->arena;
    size_t count = (size_t)PQntuples(result);
    struct fh_row **rows = FH_ARENA_ARRAY(arena, struct fh_row *, count);
    if (rows == NULL) {
        return FH_NOMEM;
    }
    if (count > state->question.limit) {
        return FH_INTERNAL;
    }
    for (size_t i = 0; i < count; i++) {
        enum fh_code code =
            fh_pg_row_read(result, (int)i, 0, state->question.child, arena, &rows[i]);
        if (code != FH_OK) {
            return code;
        }
        if (!fh_uuid_eq(&rows[i]->tenant, &op->request->scope.tenant)) {
            return FH_FOREIGN_ROW;
        }
    }
    return fh_cascade_answer(state->cascade, rows, count, &op->request->error);
}

static enum fh_code append(struct fh_pg_op *op, struct fh_pg_commit_state *state,
                           const struct fh_cascade_write *derived, size_t count)
{
    struct fh_arena *arena = op->request->arena;
    size_t own = state->count;
    size_t total = own + count;
    const struct fh_write *writes = fh_cascade_behind(state->writes, own, derived, count, arena);
    uint16_t *order = FH_ARENA_ARRAY(arena, uint16_t, total);
    struct fh_row **before = FH_ARENA_ARRAY(arena, struct fh_row *, total);
    struct fh_row **after = FH_ARENA_ARRAY(arena, struct fh_row *, total);
    size_t *origins = FH_ARENA_ARRAY(arena, size_t, count);
    if (writes == NULL || order == NULL || before == NULL || after == NULL || origins == NULL) {
        return FH_NOMEM;
    }
    memcpy(order, state->order, own * sizeof(*order));
    memcpy(before, state->before, own * sizeof(struct fh_row *));
    memcpy(after, state->after, own * sizeof(struct fh_row *));
    for (size_t i = 0; i < count; i++) {
        order[own + i] = (uint16_t)(own + i);
        before[own + i] = derived[i].before;
        after[own + i] = derived[i].after;
        origins[i] = derived[i].origin;
    }
    state->writes = writes;
    state->order = order;
    state->before = before;
    state->after = after;
    state->origins = origins;
    state->count = total;
    return FH_OK;
}

enum fh_code fh_pg_cascade_next(struct fh_pg_op *op, struct fh_pg_commit_state *state, bool *asks)
{
    struct fh_request *request = op->request;
    const struct fh_cascade_write *derived = NULL;
    size_t count = 0;
    *asks = fh_cascade_next(state->cascade, &state->question);
    if (*asks) {
        return FH_OK;
    }
    enum fh_code code = fh_cascade_finish(state->cascade, &derived, &count,
                                          &request->as.commit.failed_write, &request->error);
    return code == FH_OK && count > 0 ? append(op, state, derived, count) : code;
}
