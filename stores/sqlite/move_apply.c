/* Happy path: guard, schema; all deletes, all rows, the commit records, the move's state.
 *
 * All deletes come before all rows, so a ring of keys or of unique values that changed hands at the
 * source cannot collide here.
 *
 * Failures: the first ends the batch. A taken key is FH_EXISTS, a taken unique value, or request id
 * of another record, FH_UNIQUE_VIOLATION: with keep_existing the row is left out instead, the
 * record never is.
 */
#include "stores/sqlite/move_apply.h"

#include "stores/sqlite/admit.h"
#include "stores/sqlite/apply.h"
#include "stores/sqlite/move_read.h"
#include "stores/sqlite/owner.h"
#include "stores/sqlite/rows.h"

#define CLOCK_EVERY 256 /* statements between two looks at the deadline: about a millisecond */

struct batch {
    struct fh_sqlite_conn *conn;
    struct fh_request *request;
    size_t statements;
};

static enum fh_code look_at_clock(struct batch *batch)
{
    return ++batch->statements % CLOCK_EVERY == 0
               ? fh_sqlite_admit(batch->conn->clock, batch->request)
               : FH_OK;
}

/* fh_sqlite_write_rows() or fh_sqlite_put_row() */
typedef enum fh_code step_cb(struct fh_sqlite_conn *conn, sqlite3_stmt *statement,
                             const struct fh_uuid *tenant, size_t *count, struct fh_error *error);

/* Runs a bound statement to its end; `rc` is what binding said, `row` (or NULL) what it puts in. */
static enum fh_code run(struct batch *batch, step_cb *step, sqlite3_stmt *statement, int rc,
                        const struct fh_row *row, size_t *count)
{
    struct fh_request *request = batch->request;
    batch->conn->last_rc = SQLITE_OK;
    enum fh_code code = rc == SQLITE_OK ? step(batch->conn, statement, &request->scope.tenant,
                                               count, &request->error)
                                        : fh_sqlite_conn_fail(batch->conn, rc, &request->error);
    if (row != NULL) {
        code = fh_sqlite_explain_check(batch->conn, request, row, code);
    }
    fh_sqlite_statement_end(batch->conn, statement);
    return code;
}

static enum fh_code get(struct batch *batch, enum fh_sqlite_shape shape,
                        const struct fh_table *table, sqlite3_stmt **out)
{
    enum fh_code code = look_at_clock(batch);
    return code == FH_OK
               ? fh_sqlite_statement_get(batch->conn, shape, table, 0,
                                         &batch->request->scope.tenant, out, &batch->request->error)
               : code;
}

static enum fh_code delete_key(struct batch *batch, const struct fh_key *key)
{
    sqlite3_stmt *statement = NULL;
    size_t count = 0;
    enum fh_code code = get(batch, FH_SQLITE_DELETE, key->table, &statement);
    return code == FH_OK ? run(batch, fh_sqlite_write_rows, statement,
                               fh_sqlite_bind_key(statement, 2, key), NULL, &count)
                         : code;
}

static enum fh_code insert_row(struct batch *batch, const struct fh_row *row)
{
    struct fh_op_apply *op = &batch->request->as.apply;
    sqlite3_stmt *statement = NULL;
    size_t count = 0;
    enum fh_code code = get(batch, op->keep_existing ? FH_SQLITE_INSERT_FREE : FH_SQLITE_INSERT,
                            row->table, &statement);
    if (code == FH_OK) {
        code = run(batch, fh_sqlite_put_row, statement, fh_sqlite_bind_row(statement, row), row,
                   &count);
    }
    op->rows_written += code == FH_OK ? count : 0;
    if (code == FH_UNIQUE_VIOLATION && batch->conn->last_rc == SQLITE_CONSTRAINT_UNIQUE) {
        return fh_sqlite_explain_unique(batch->conn, batch->request, row);
    }
    return code;
}

static int bind_record(sqlite3_stmt *statement, const struct fh_journal_row *row)
{
    int rc = sqlite3_bind_int64(statement, 2, (sqlite3_int64)row->epoch);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int64(statement, 3, (sqlite3_int64)row->seq);
    }
    if (rc == SQLITE_OK) {
        rc = row->request_id.len > 0 ? fh_sqlite_bind_text(statement, 4, row->request_id)
                                     : sqlite3_bind_null(statement, 4);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_blob(statement, 5, row->request_hash, sizeof(row->request_hash),
                               SQLITE_STATIC);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int64(statement, 6, row->schema_version);
    }
    if (rc == SQLITE_OK) {
        rc = fh_sqlite_bind_text(statement, 7, row->actor);
    }
    if (rc == SQLITE_OK) {
        rc = fh_sqlite_bind_text(statement, 8, row->address);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int64(statement, 9, row->at_us);
    }
    if (rc == SQLITE_OK) {
        rc = fh_sqlite_bind_text(statement, 10, row->changes);
    }
    if (rc == SQLITE_OK) {
        rc = row->images.data != NULL ? fh_sqlite_bind_bytes(statement, 11, row->images)
                                      : sqlite3_bind_null(statement, 11);
    }
    return rc;
}

static enum fh_code insert_record(struct batch *batch, const struct fh_journal_row *row)
{
    struct fh_request *request = batch->request;
    sqlite3_stmt *statement = NULL;
    size_t count = 0;
    if (row->epoch > INT64_MAX || row->seq > INT64_MAX) {
        return fh_error_set(&request->error, FH_INVALID, "a commit record's key is out of range");
    }
    enum fh_code code = get(batch, FH_SQLITE_JOURNAL_INSERT, NULL, &statement);
    if (code == FH_OK) {
        code = run(batch, fh_sqlite_put_row, statement, bind_record(statement, row), NULL, &count);
    }
    if (code == FH_UNIQUE_VIOLATION && batch->conn->last_rc == SQLITE_CONSTRAINT_UNIQUE) {
        return fh_error_field(&request->error, code, "request_id",
                              "another commit record has the request id of record (%llu, %llu)",
                              (unsigned long long)row->epoch, (unsigned long long)row->seq);
    }
    return code;
}

static enum fh_code store_state(struct batch *batch, struct fh_str state)
{
    sqlite3_stmt *statement = NULL;
    size_t count = 0;
    enum fh_code code = get(batch, FH_SQLITE_STATE_WRITE, NULL, &statement);
    return code == FH_OK ? run(batch, fh_sqlite_write_rows, statement,
                               fh_sqlite_bind_bytes(statement, 2, state), NULL, &count)
                         : code;
}

enum fh_code fh_sqlite_move_apply(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_op_apply *op = &request->as.apply;
    struct batch batch = {.conn = conn, .request = request};
    op->rows_written = 0;
    enum fh_code code = fh_sqlite_move_guard(conn, request);
    for (size_t i = 0; i < op->delete_count && code == FH_OK; i++) {
        code = delete_key(&batch, &op->deletes[i]);
    }
    for (size_t i = 0; i < op->row_count && code == FH_OK; i++) {
        code = insert_row(&batch, op->rows[i]);
    }
    for (size_t i = 0; i < op->journal_count && code == FH_OK; i++) {
        code = insert_record(&batch, &op->journal[i]);
    }
    if (code == FH_OK && op->state.data != NULL) {
        code = store_state(&batch, op->state);
    }
    return code;
}
