/* Homes of tenants in a namespace: made with their fence row, erased table by table.
 *
 * Create is one group: insert unless there, then read what is there; so it is idempotent, and a
 * race has one winner. Erase: step 0 takes the exclusive gate and closes the fence of the expected
 * generation; then each step deletes a batch in a transaction of its own, children before parents,
 * then records; the last deletes the fence. Each of them locks the fence and requires it to be the
 * one that was closed: between two batches a process may sleep for an hour, and the tenant may live
 * here again when it wakes up. Interrupted, the tenant is closed here and erase starts again where
 * rows are left.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault_point.h"
#include "stores/pg/commit.h"
#include "stores/pg/engine.h"
#include "stores/pg/keys.h"
#include "stores/pg/rows.h"
#include "stores/pg/version.h"

#define ERASE_BATCH 5000
#define LOCK_MS_MAX 3000
#define LOCK_MARGIN_MS_MAX 50
#define ERASE_FENCE 1 /* results of a batch */
#define ERASE_GUARD 2

static void add_fence(struct fh_pg_params *params, const struct fh_fence *fence)
{
    fh_pg_add_int64(params, (int64_t)fence->epoch);
    fh_pg_add_int64(params, (int64_t)fence->generation);
    fh_pg_add_int16(params, (int16_t)fence->mode);
}

static enum fh_code read_fence(const PGresult *result, struct fh_fence *out)
{
    int64_t epoch = 0;
    int64_t generation = 0;
    int64_t mode = 0;
    if (PQntuples(result) != 1) {
        return FH_NO_TENANT;
    }
    if (fh_pg_field_int(result, 0, 0, &epoch) != FH_OK ||
        fh_pg_field_int(result, 0, 1, &generation) != FH_OK ||
        fh_pg_field_int(result, 0, 2, &mode) != FH_OK || mode < FH_FENCE_OPEN ||
        mode > FH_FENCE_INCOMING) {
        return FH_CORRUPT;
    }
    *out = (struct fh_fence){.epoch = (uint64_t)epoch,
                             .generation = (uint64_t)generation,
                             .mode = (enum fh_fence_mode)mode};
    return FH_OK;
}

static enum fh_code send_fence_read(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    fh_pg_add_uuid(fh_pg_op_params(op), &op->request->scope.tenant);
    return fh_pg_op_send(op, conn, FH_PG_FENCE_READ, 0, NULL, 0);
}

/* Milliseconds to wait for a lock: less than the deadline leaves, so that giving up is told and not
 * guessed. */
static int64_t lock_ms(const struct fh_pg_op *op)
{
    int64_t left = fh_pg_ms_left(op, 2 * LOCK_MS_MAX);
    int64_t margin = left / 4 < LOCK_MARGIN_MS_MAX ? left / 4 : LOCK_MARGIN_MS_MAX;
    left = left - margin;
    return left < LOCK_MS_MAX ? left : LOCK_MS_MAX;
}

/* The tenant's; with the seeded bug skip_drain another, at which nobody waits for a writer. */
static int64_t gate_key(const struct fh_pg_op *op)
{
    int64_t key = fh_pg_gate_key(&op->request->scope);
    return fh_fault_seeded("skip_drain") ? ~key : key;
}

/* Takes the tenant's gate for ourselves: everybody who writes has left when it is granted. */
static enum fh_code send_exclusive(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    struct fh_uuid tenant = fh_pg_op_context_tenant(op);
    char timeout[24];
    (void)snprintf(timeout, sizeof(timeout), "%lld", (long long)lock_ms(op));
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid_text(params, &tenant);
    fh_pg_add_int64(params, gate_key(op));
    fh_pg_add_bytes(params, fh_str_of(timeout));
    fh_pg_op_add_role(op);
    return fh_pg_op_send(op, conn, FH_PG_CONTEXT_EXCLUSIVE, 0, NULL, 0);
}

static enum fh_code create_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    enum fh_code code = fh_pg_op_send_context(op, conn);
    if (code == FH_OK) {
        struct fh_pg_params *params = fh_pg_op_params(op);
        fh_pg_add_uuid(params, &op->request->scope.tenant);
        add_fence(params, &op->request->as.home.fence);
        op->commits = true;
        code = fh_pg_op_send(op, conn, FH_PG_FENCE_INSERT, 0, NULL, 0);
    }
    return code == FH_OK ? send_fence_read(op, conn) : code;
}

static enum fh_code create_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_fence seen;
    if (index < 2) {
        return FH_OK;
    }
    enum fh_code code = read_fence(result, &seen);
    if (code == FH_NO_TENANT) {
        return FH_INTERNAL; /* just inserted */
    }
    if (code == FH_OK && !fh_fence_equal(&seen, &op->request->as.home.fence)) {
        op->request->epoch_seen = seen.epoch;
        op->request->mode_seen = seen.mode;
        code = fh_error_set(&op->request->error, FH_EXISTS,
                            "the tenant has a home here with another fence");
    }
    return code;
}

const struct fh_pg_op_kind fh_pg_home_create_kind = {.send = create_send, .result = create_result};

static enum fh_code fence_read_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    enum fh_code code = fh_pg_op_send_context(op, conn);
    if (code == FH_OK) {
        code = send_fence_read(op, conn);
    }
    return code == FH_OK ? fh_pg_version_send(op, conn) : code;
}

/* The version is told without a fence, too. */
static enum fh_code fence_read_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_op_fence *fence = &op->request->as.fence;
    if (index == 1) {
        enum fh_code code = read_fence(result, &fence->seen);
        op->step = code == FH_NO_TENANT; /* 1: there is none */
        return op->step == 1 ? FH_OK : code;
    }
    if (index != 3) {
        return FH_OK;
    }
    enum fh_code code = fh_pg_version_read(result, &fence->schema_version);
    return code == FH_OK && op->step == 1 ? FH_NO_TENANT : code;
}

/* No namespace, no home: version 0. */
static void fence_read_failed(struct fh_pg_op *op, unsigned index)
{
    (void)index;
    if (strcmp(op->failure.sqlstate, "42P01") == 0 || strcmp(op->failure.sqlstate, "3F000") == 0) {
        op->failure.code = FH_NO_TENANT;
    }
}

const struct fh_pg_op_kind fh_pg_fence_read_kind = {
    .send = fence_read_send, .result = fence_read_result, .failed = fence_read_failed};

/* Gate, compare-and-set and a look at the outcome, each in a statement (and snapshot) of its own,
 * one implicit transaction. */
static enum fh_code fence_set_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    enum fh_code code = send_exclusive(op, conn);
    if (code == FH_OK) {
        struct fh_pg_params *params = fh_pg_op_params(op);
        fh_pg_add_uuid(params, &op->request->scope.tenant);
        add_fence(params, &op->request->as.fence.expected);
        add_fence(params, &op->request->as.fence.desired);
        op->commits = true;
        code = fh_pg_op_send(op, conn, FH_PG_FENCE_UPDATE, 0, NULL, 0);
    }
    return code == FH_OK ? send_fence_read(op, conn) : code;
}

static enum fh_code fence_set_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_op_fence *fence = &op->request->as.fence;
    if (index == 0) {
        return FH_OK;
    }
    if (index == 1) {
        op->step = PQntuples(result) == 1; /* 1: it was as expected */
        return FH_OK;
    }
    enum fh_code code = read_fence(result, &fence->seen);
    if (code != FH_OK || op->step == 1) {
        return code;
    }
    op->request->epoch_seen = fence->seen.epoch;
    op->request->mode_seen = fence->seen.mode;
    return FH_MOVED;
}

/* Gave up waiting, for the gate or for the fence's row: nothing was changed. */
static void fence_set_failed(struct fh_pg_op *op, unsigned index)
{
    (void)index;
    if (strcmp(op->failure.sqlstate, "55P03") == 0) {
        op->failure.code = FH_HELD;
    }
}

const struct fh_pg_op_kind fh_pg_fence_set_kind = {
    .send = fence_set_send, .result = fence_set_result, .failed = fence_set_failed};

/* Erase's steps: 0 close the fence; 1..table_count tables from the last to the first (references
 * point backwards only, but for those to a table itself); then the records; then the fence. A step
 * is repeated until it deletes nothing. */
static const struct fh_table *erase_table(const struct fh_pg_op *op)
{
    const struct fh_schema *schema = op->request->scope.schema;
    FH_ASSERT(op->step >= 1);
    return op->step <= schema->table_count ? schema->tables[schema->table_count - op->step] : NULL;
}

/* A batch must not cut through rows that reference each other: those tables go whole. */
static bool references_itself(const struct fh_table *table)
{
    for (uint16_t i = 0; i < table->foreign_key_count; i++) {
        if (table->foreign_keys[i].target->position == table->position) {
            return true;
        }
    }
    return false;
}

static enum fh_code close_fence_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    /* Begun, not implicit: a fence of another generation must be seen before anything is changed.
     */
    (void)fh_pg_op_params(op);
    enum fh_code code = fh_pg_op_send(op, conn, FH_PG_BEGIN, 0, NULL, 0);
    if (code == FH_OK) {
        code = send_exclusive(op, conn);
    }
    if (code == FH_OK) { /* through the version's view: the tables must be those we know */
        fh_pg_add_uuid(fh_pg_op_params(op), &op->request->scope.tenant);
        code = fh_pg_op_send(op, conn, FH_PG_MOVE_FENCE, 0, NULL, 0);
    }
    return code;
}

static enum fh_code close_fence_commit(struct fh_pg_op *op, struct fh_pg_conn *conn,
                                       const struct fh_fence *seen)
{
    struct fh_fence closed = *seen;
    closed.mode = FH_FENCE_CLOSED;
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid(params, &op->request->scope.tenant);
    add_fence(params, seen);
    add_fence(params, &closed);
    enum fh_code code = fh_pg_op_send(op, conn, FH_PG_FENCE_UPDATE, 0, NULL, 0);
    if (code == FH_OK) {
        (void)fh_pg_op_params(op);
        code = fh_pg_op_send(op, conn, FH_PG_COMMIT, 0, NULL, 0);
    }
    return code;
}

struct erase_state {
    struct fh_fence seen;
    bool closing; /* the second half of step 0 */
    bool absent;  /* no fence: rows may still be left by an interrupted erase of long ago */
    bool again;   /* the batch was full */
};

/* Context, the fence locked and told, and a guard: what is sent behind it is skipped unless the
 * fence is as step 0 left it. */
static enum fh_code send_still_closed(struct fh_pg_op *op, struct fh_pg_conn *conn,
                                      const struct fh_fence *seen)
{
    enum fh_code code = fh_pg_op_send_context(op, conn);
    if (code == FH_OK) {
        fh_pg_add_uuid(fh_pg_op_params(op), &op->request->scope.tenant);
        code = fh_pg_op_send(op, conn, FH_PG_MOVE_FENCE_LOCK, 0, NULL, 0);
    }
    if (code == FH_OK) {
        struct fh_pg_params *params = fh_pg_op_params(op);
        fh_pg_add_uuid(params, &op->request->scope.tenant);
        fh_pg_add_int64(params, (int64_t)seen->epoch);
        fh_pg_add_int64(params, (int64_t)seen->generation);
        fh_pg_add_int32(params, (int32_t)FH_FENCE_BIT(FH_FENCE_CLOSED));
        code = fh_pg_op_send(op, conn, FH_PG_MOVE_GUARD, 0, NULL, 0);
    }
    return code;
}

static enum fh_code erase_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    if (op->state == NULL) {
        op->state = FH_ARENA_NEW(op->request->arena, struct erase_state);
    }
    struct erase_state *state = op->state;
    if (state == NULL) {
        return FH_NOMEM;
    }
    if (op->step == 0) {
        return state->closing ? close_fence_commit(op, conn, &state->seen)
                              : close_fence_send(op, conn);
    }
    enum fh_code code = send_still_closed(op, conn, &state->seen);
    if (code != FH_OK) {
        return code;
    }
    const struct fh_table *table = erase_table(op);
    const struct fh_fence *fence = &op->request->as.home.fence;
    unsigned tables = op->request->scope.schema->table_count;
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid(params, &op->request->scope.tenant);
    if (table != NULL) {
        fh_pg_add_int64(params, references_itself(table) ? INT64_MAX : ERASE_BATCH);
        return fh_pg_op_send(op, conn, FH_PG_ERASE_ROWS, 0, table, 0);
    }
    if (op->step == tables + 1) {
        fh_pg_add_int64(params, ERASE_BATCH);
        return fh_pg_op_send(op, conn, FH_PG_ERASE_RECORDS, 0, NULL, 0);
    }
    code = fh_pg_op_send(op, conn, FH_PG_MOVE_STATE_DROP, 0, NULL, 0);
    if (code == FH_OK) {
        params = fh_pg_op_params(op);
        fh_pg_add_uuid(params, &op->request->scope.tenant);
        fh_pg_add_int64(params, (int64_t)fence->generation);
        code = fh_pg_op_send(op, conn, FH_PG_FENCE_DELETE, 0, NULL, 0);
    }
    return code;
}

/* What the guard behind it will fail for. */
static enum fh_code check_still_closed(struct fh_pg_op *op, const PGresult *result,
                                       const struct fh_fence *seen)
{
    struct fh_fence now;
    enum fh_code code = read_fence(result, &now);
    if (code == FH_OK && (now.epoch != seen->epoch || now.generation != seen->generation ||
                          now.mode != FH_FENCE_CLOSED)) {
        op->request->epoch_seen = now.epoch;
        op->request->mode_seen = now.mode;
        code = FH_MOVED;
    }
    return code;
}

static enum fh_code erase_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct erase_state *state = op->state;
    struct fh_op_home *home = &op->request->as.home;
    if (op->step == 0) {
        if (state->closing || index < 2) {
            return FH_OK;
        }
        enum fh_code code = read_fence(result, &state->seen);
        state->absent = code == FH_NO_TENANT;
        if (code == FH_OK && state->seen.generation != home->fence.generation) {
            op->request->epoch_seen = state->seen.epoch;
            op->request->mode_seen = state->seen.mode;
            return FH_MOVED;
        }
        return state->absent ? FH_OK : code;
    }
    if (index == ERASE_FENCE) {
        return check_still_closed(op, result, &state->seen);
    }
    if (index <= ERASE_GUARD) {
        return FH_OK;
    }
    const char *deleted = PQcmdTuples((PGresult *)(uintptr_t)result);
    long long count = 0;
    if (!fh_str_to_int64(fh_str_of(deleted), &count) || count < 0) {
        return FH_INTERNAL;
    }
    state->again = count >= ERASE_BATCH;
    if (op->step <= op->request->scope.schema->table_count + 1) {
        home->rows_erased += (uint64_t)count; /* records too; the fence is no row of the tenant's */
    }
    return FH_OK;
}

static enum fh_pg_next erase_synced(struct fh_pg_op *op)
{
    struct erase_state *state = op->state;
    unsigned last = op->request->scope.schema->table_count + 2;
    if (op->step == 0 && state->absent) {
        return FH_PG_DONE; /* the fence goes last, so nothing is left */
    }
    if (op->step == 0 && !state->closing) {
        state->closing = true;
        return FH_PG_MORE;
    }
    if (state->again) {
        state->again = false;
        return FH_PG_MORE;
    }
    return op->step++ == last ? FH_PG_DONE : FH_PG_MORE;
}

static void erase_reset(struct fh_pg_op *op)
{
    op->state = NULL;
    op->request->as.home.rows_erased = 0;
}

static void erase_failed(struct fh_pg_op *op, unsigned index)
{
    (void)index;
    if (op->code == FH_NO_TENANT) {
        op->failure.code = FH_OK; /* another erase has ended it, the fence last: nothing is left */
    } else if (op->code != FH_OK) {
        op->failure.code = op->code; /* the fence was told, then the guard failed for it */
    }
}

const struct fh_pg_op_kind fh_pg_home_erase_kind = {.send = erase_send,
                                                    .result = erase_result,
                                                    .failed = erase_failed,
                                                    .synced = erase_synced,
                                                    .reset = erase_reset};
