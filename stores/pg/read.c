/* Reads. One context statement, then for each key (or page) one statement that joins the fence to
 * the data in one snapshot, one Sync: one round trip, one implicit transaction.
 *
 * Failures: no fence row FH_NO_TENANT, another epoch or a closed mode FH_MOVED, a row of another
 * tenant is withheld by fh_request_complete(). Two rows for one key can only be two tenants':
 * FH_FOREIGN_ROW.
 */
#include <string.h>

#include "stores/pg/engine.h"
#include "stores/pg/rows.h"

/* A schema change holds the tables, or waits for them: wait for it where waiting hurts nobody. */
static void read_failed(struct fh_pg_op *op, unsigned index)
{
    (void)index;
    if (op->lane == FH_PG_LANE_FAST && strcmp(op->failure.sqlstate, "55P03") == 0) {
        op->lane = FH_PG_LANE_SLOW;
        op->retry_elsewhere = true;
    }
}

static enum fh_code get_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    struct fh_op_get *get = &op->request->as.get;
    const struct fh_probe *probe = op->request->probe;
    const struct fh_uuid *tenant =
        probe != NULL && probe->skip_predicate ? fh_probe_owner(probe) : &op->request->scope.tenant;
    uint32_t flags = fh_pg_op_fault_flags(op);
    get->rows = FH_ARENA_ARRAY(op->request->arena, struct fh_row *, get->count);
    if (get->rows == NULL) {
        return FH_NOMEM;
    }
    enum fh_code code = fh_pg_op_send_context(op, conn);
    for (size_t i = 0; i < get->count && code == FH_OK; i++) {
        struct fh_pg_params *params = fh_pg_op_params(op);
        fh_pg_add_uuid(params, tenant);
        fh_pg_add_int64(params, (int64_t)op->request->scope.epoch);
        fh_pg_add_key(params, &get->keys[i]);
        code = fh_pg_op_send(op, conn, FH_PG_GET, flags, get->keys[i].table, 0);
    }
    return code;
}

static enum fh_code get_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_op_get *get = &op->request->as.get;
    if (index == 0) {
        return FH_OK; /* the context */
    }
    enum fh_code code = fh_pg_fence_check(op, result, 0, 1, false);
    if (code == FH_OK && PQntuples(result) > 1) {
        code = FH_FOREIGN_ROW;
    }
    if (code == FH_OK) {
        struct fh_row *row = NULL;
        code = fh_pg_row_read(result, 0, 2, get->keys[index - 1].table, op->request->arena, &row);
        bool shown = row != NULL && (row->deleted_at_us == 0 || get->show_deleted);
        get->rows[index - 1] = shown ? row : NULL;
    }
    return code;
}

const struct fh_pg_op_kind fh_pg_get_kind = {
    .shares = true, .send = get_send, .result = get_result, .failed = read_failed};

static enum fh_code list_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    struct fh_op_list *list = &op->request->as.list;
    uint32_t flags = fh_pg_op_fault_flags(op) | (list->show_deleted ? FH_PG_SHOW_DELETED : 0) |
                     (list->after != NULL ? FH_PG_AFTER_KEY : 0);
    enum fh_code code = fh_pg_op_send_context(op, conn);
    if (code != FH_OK) {
        return code;
    }
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid(params, &op->request->scope.tenant);
    fh_pg_add_int64(params, (int64_t)op->request->scope.epoch);
    fh_pg_add_int64(params, (int64_t)list->limit + 1); /* one more tells whether there is more */
    if (list->after != NULL) {
        fh_pg_add_key(params, list->after);
    }
    return fh_pg_op_send(op, conn, FH_PG_LIST, flags, list->table, 0);
}

static enum fh_code list_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_op_list *list = &op->request->as.list;
    if (index == 0) {
        return FH_OK;
    }
    enum fh_code code = fh_pg_fence_check(op, result, 0, 1, false);
    if (code != FH_OK) {
        return code;
    }
    size_t count = (size_t)PQntuples(result);
    if (count > list->limit + 1) {
        return FH_CORRUPT;
    }
    list->rows = FH_ARENA_ARRAY(op->request->arena, struct fh_row *, count);
    if (list->rows == NULL) {
        return FH_NOMEM;
    }
    list->count = 0;
    list->more = count > list->limit;
    for (size_t i = 0; i < count && i < list->limit; i++) {
        struct fh_row *row = NULL;
        code = fh_pg_row_read(result, (int)i, 2, list->table, op->request->arena, &row);
        if (code != FH_OK) {
            return code;
        }
        if (row != NULL) { /* NULL: the fence's row alone, nothing to list */
            list->rows[list->count++] = row;
        }
    }
    return FH_OK;
}

const struct fh_pg_op_kind fh_pg_list_kind = {
    .shares = true, .send = list_send, .result = list_result, .failed = read_failed};
