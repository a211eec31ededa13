/* What a move reads: views, pages of rows and of records, state, references, size.
 *
 * Happy path: context, fence and one statement (or one a table) in one round trip; a view's opening
 * leaves its transaction open on the connection.
 *
 * Failures: another fence FH_MOVED, none FH_NO_TENANT; a policy that is another FH_PRECONDITION, at
 * a view's opening; a cursor that does not fit FH_TOO_LARGE; a reference that leads nowhere
 * FH_REFERENCE_VIOLATION; a statement that fails in a view ends the view.
 */
#include "stores/pg/ddl.h"
#include "stores/pg/engine.h"
#include "stores/pg/mover.h"
#include "stores/pg/rows.h"

static bool is_data(unsigned index)
{
    return index >= FH_PG_MOVE_RESULTS_FIRST;
}

static enum fh_code check_fence_at(struct fh_pg_op *op, unsigned index, const PGresult *result,
                                   const struct fh_fence_guard *guard)
{
    return index == FH_PG_MOVE_RESULTS_FIRST - 1 ? fh_pg_move_check_fence(op, result, guard)
                                                 : FH_OK;
}

/* A table of the home whose policy is not the one it was made with: that hides rows, or shows
 * others', and a move that saw none would compare nothing with nothing and erase the source. */
static enum fh_code send_policies(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_bytes(params, fh_str_of(fh_pg_op_namespace(op)));
    fh_pg_add_bytes(params, FH_STR(FH_PG_POLICY_EXPRESSION));
    return fh_pg_conn_send_text(
        conn,
        "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where "
        "n.nspname = $1::text and c.relkind in ('r', 'p') and not (c.relrowsecurity and "
        "c.relforcerowsecurity and (select " FH_PG_ONE_POLICY(
            "$2::text") " from pg_policy y where y.polrelid = c.oid)) limit 1",
        params);
}

static enum fh_code check_policies(struct fh_pg_op *op, const PGresult *result)
{
    return PQntuples(result) == 0
               ? FH_OK
               : fh_error_set(
                     &op->request->error, FH_PRECONDITION,
                     "the policy of the home's table %.*s is not the one it was made with, "
                     "so its rows cannot be told; see `freehold store check`",
                     FH_STR_ARG(fh_pg_field(result, 0, 0)));
}

/* Opening: begin, context, fence, policies, cursor. */
static enum fh_code open_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    /* Not prepared: preparing it anew would begin with a deallocation, and behind that a
     * transaction's isolation cannot be chosen any more. */
    enum fh_code code =
        fh_pg_conn_send_text(conn, "begin isolation level repeatable read read only", NULL);
    if (code == FH_OK) {
        code = fh_pg_move_send_context(op, conn, FH_PG_CONTEXT_VIEW);
    }
    if (code == FH_OK) {
        fh_pg_add_uuid(fh_pg_op_params(op), &op->request->scope.tenant);
        code = fh_pg_op_send(op, conn, FH_PG_MOVE_FENCE, 0, NULL, 0);
    }
    if (code == FH_OK) {
        code = send_policies(op, conn);
    }
    if (code == FH_OK) {
        (void)fh_pg_op_params(op);
        code = fh_pg_op_send(op, conn, FH_PG_CURSOR, 0, NULL, 0);
    }
    return code;
}

static enum fh_code open_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_op_snapshot *snapshot = &op->request->as.snapshot;
    if (index == 2) {
        return fh_pg_move_check_fence(op, result, &snapshot->guard);
    }
    if (index == 3) {
        return check_policies(op, result);
    }
    if (index < 3) {
        return FH_OK;
    }
    enum fh_code code = fh_pg_field_copy(result, 0, 0, op->request->arena, &snapshot->cursor);
    if (code == FH_OK && snapshot->cursor.len > FH_CURSOR_MAX) {
        return fh_error_set(&op->request->error, FH_TOO_LARGE,
                            "the server runs so many transactions that a cursor would have %zu "
                            "bytes; at most %d",
                            snapshot->cursor.len, FH_CURSOR_MAX);
    }
    return code;
}

static enum fh_pg_next open_synced(struct fh_pg_op *op)
{
    fh_pg_view_begun(op);
    op->request->as.snapshot.snapshot = op->view;
    return FH_PG_DONE;
}

const struct fh_pg_op_kind fh_pg_view_open_kind = {
    .send = open_send, .result = open_result, .synced = open_synced};

const struct fh_pg_op_kind fh_pg_view_close_kind = {.shares = false};

static enum fh_code scan_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_op_scan *scan = &op->request->as.scan;
    enum fh_code code = fh_pg_move_begin(op, conn);
    if (code != FH_OK) {
        return code;
    }
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid(params, &op->request->scope.tenant);
    fh_pg_add_int64(params, (int64_t)scan->limit + 1); /* one more tells whether there is more */
    fh_pg_add_int64(params, (int64_t)scan->bytes_max);
    if (scan->after != NULL) {
        fh_pg_add_key(params, scan->after);
    }
    if (scan->until != NULL) {
        fh_pg_add_key(params, scan->until);
    }
    uint32_t flags = fh_pg_op_fault_flags(op) | (scan->after != NULL ? FH_PG_AFTER_KEY : 0) |
                     (scan->until != NULL ? FH_PG_UNTIL_KEY : 0);
    return fh_pg_op_send(op, conn, FH_PG_MOVE_SCAN, flags, scan->table, 0);
}

static enum fh_code scan_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_op_scan *scan = &op->request->as.scan;
    if (!is_data(index)) {
        return check_fence_at(op, index, result, &scan->guard);
    }
    enum fh_code code =
        fh_pg_move_page(result, scan->limit, scan->bytes_max, &scan->count, &scan->more);
    if (code != FH_OK) {
        return code;
    }
    scan->rows = FH_ARENA_ARRAY(op->request->arena, struct fh_row *, scan->count);
    if (scan->rows == NULL) {
        return FH_NOMEM;
    }
    for (size_t i = 0; i < scan->count && code == FH_OK; i++) {
        code = fh_pg_row_read(result, (int)i, 1, scan->table, op->request->arena, &scan->rows[i]);
        if (code == FH_OK && scan->rows[i] == NULL) {
            code = FH_CORRUPT;
        }
    }
    return code;
}

const struct fh_pg_op_kind fh_pg_scan_kind = {.send = scan_send, .result = scan_result};

static int64_t bounded(uint64_t value)
{
    return value < INT64_MAX ? (int64_t)value : INT64_MAX;
}

static enum fh_code journal_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_op_scan_journal *scan = &op->request->as.scan_journal;
    bool to_end = scan->until_epoch == 0 && scan->until_seq == 0;
    enum fh_code code = fh_pg_move_begin(op, conn);
    if (code != FH_OK) {
        return code;
    }
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid(params, &op->request->scope.tenant);
    fh_pg_add_int64(params, (int64_t)scan->limit + 1);
    fh_pg_add_int64(params, (int64_t)scan->bytes_max);
    fh_pg_add_int64(params, bounded(scan->after_epoch));
    fh_pg_add_int64(params, bounded(scan->after_seq));
    fh_pg_add_int64(params, to_end ? INT64_MAX : bounded(scan->until_epoch));
    fh_pg_add_int64(params, to_end ? INT64_MAX : bounded(scan->until_seq));
    return fh_pg_op_send(op, conn, FH_PG_MOVE_JOURNAL, fh_pg_op_fault_flags(op), NULL, 0);
}

static enum fh_code journal_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_op_scan_journal *scan = &op->request->as.scan_journal;
    if (!is_data(index)) {
        return check_fence_at(op, index, result, &scan->guard);
    }
    enum fh_code code =
        fh_pg_move_page(result, scan->limit, scan->bytes_max, &scan->count, &scan->more);
    return code == FH_OK
               ? fh_pg_move_read_records(result, op->request->arena, scan->count, &scan->rows)
               : code;
}

const struct fh_pg_op_kind fh_pg_scan_journal_kind = {.send = journal_send,
                                                      .result = journal_result};

static enum fh_code state_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    enum fh_code code = fh_pg_move_begin(op, conn);
    if (code == FH_OK) {
        fh_pg_add_uuid(fh_pg_op_params(op), &op->request->scope.tenant);
        code = fh_pg_op_send(op, conn, FH_PG_MOVE_STATE, 0, NULL, 0);
    }
    return code;
}

static enum fh_code state_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_op_move_state *state = &op->request->as.move_state;
    if (!is_data(index)) {
        return check_fence_at(op, index, result, &state->guard);
    }
    return PQntuples(result) == 0
               ? FH_OK
               : fh_pg_field_copy(result, 0, 0, op->request->arena, &state->state);
}

const struct fh_pg_op_kind fh_pg_move_state_kind = {.send = state_send, .result = state_result};

/* The nth reference of the schema; NULL behind the last. */
static const struct fh_foreign_key *reference_at(const struct fh_schema *schema, unsigned n,
                                                 const struct fh_table **table, unsigned *extra)
{
    for (uint32_t t = 0; t < schema->table_count; t++) {
        if (n < schema->tables[t]->foreign_key_count) {
            *table = schema->tables[t];
            *extra = n;
            return &schema->tables[t]->foreign_keys[n];
        }
        n -= schema->tables[t]->foreign_key_count;
    }
    return NULL;
}

static enum fh_code references_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_table *table = NULL;
    unsigned extra = 0;
    enum fh_code code = fh_pg_move_begin(op, conn);
    for (unsigned n = 0; code == FH_OK; n++) {
        if (reference_at(op->request->scope.schema, n, &table, &extra) == NULL) {
            break;
        }
        fh_pg_add_uuid(fh_pg_op_params(op), &op->request->scope.tenant);
        code = fh_pg_op_send(op, conn, FH_PG_MOVE_REFERENCE, 0, table, extra);
    }
    return code;
}

static enum fh_code references_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    const struct fh_table *table = NULL;
    unsigned extra = 0;
    if (!is_data(index)) {
        return check_fence_at(op, index, result, &op->request->as.references.guard);
    }
    const struct fh_foreign_key *reference =
        reference_at(op->request->scope.schema, index - FH_PG_MOVE_RESULTS_FIRST, &table, &extra);
    if (PQntuples(result) == 0) {
        return FH_OK;
    }
    return reference == NULL ? FH_CORRUPT
                             : fh_error_set(&op->request->error, FH_REFERENCE_VIOLATION,
                                            "%.*s: %.*s leads to no record",
                                            FH_STR_ARG(table->name), FH_STR_ARG(reference->name));
}

const struct fh_pg_op_kind fh_pg_references_kind = {.send = references_send,
                                                    .result = references_result};

static enum fh_code size_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_schema *schema = op->request->scope.schema;
    struct fh_op_size *size = &op->request->as.size;
    size->rows = 0;
    size->records = 0;
    size->bytes = 0;
    enum fh_code code = fh_pg_move_begin(op, conn);
    for (uint32_t t = 0; t <= schema->table_count && code == FH_OK; t++) {
        fh_pg_add_uuid(fh_pg_op_params(op), &op->request->scope.tenant);
        code = fh_pg_op_send(op, conn, FH_PG_MOVE_SIZE, 0,
                             t < schema->table_count ? schema->tables[t] : NULL, 0);
    }
    return code;
}

static enum fh_code size_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_op_size *size = &op->request->as.size;
    int64_t rows = 0;
    int64_t bytes = 0;
    if (!is_data(index)) {
        return check_fence_at(op, index, result, &size->guard);
    }
    if (fh_pg_field_int(result, 0, 0, &rows) != FH_OK ||
        fh_pg_field_int(result, 0, 1, &bytes) != FH_OK) {
        return FH_CORRUPT;
    }
    if (index - FH_PG_MOVE_RESULTS_FIRST < op->request->scope.schema->table_count) {
        size->rows += (uint64_t)rows;
    } else {
        size->records = (uint64_t)rows;
    }
    size->bytes += (uint64_t)bytes;
    return FH_OK;
}

const struct fh_pg_op_kind fh_pg_size_kind = {.send = size_send, .result = size_result};
