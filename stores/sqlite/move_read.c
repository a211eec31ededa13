/* Happy path: the fence is as the guard requires; the statement's rows are copied into the
 * request's arena until the page is full, and one more row, not copied, says that there are more.
 *
 * Failures: FH_NO_TENANT and FH_MOVED before anything is read; FH_CORRUPT when the file holds what
 * the model forbids; FH_NOMEM, also when the arena's bound is met. On any failure there is no page.
 */
#include "stores/sqlite/move_read.h"

#include "base/assert.h"
#include "stores/sqlite/fence.h"
#include "stores/sqlite/owner.h"
#include "stores/sqlite/rows.h"
#include "stores/sqlite/version.h"

static enum fh_code say(struct fh_request *request, enum fh_code code)
{
    return code == FH_OK ? code : fh_error_set(&request->error, code, "%s", fh_code_text(code));
}

enum fh_code fh_sqlite_move_guard(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_fence fence;
    enum fh_code code = fh_sqlite_fence_find(conn, &request->scope, &fence, &request->error);
    if (code == FH_OK) {
        code = fh_sqlite_fence_guard(request, &fence, fh_move_op_guard(request));
    }
    return code == FH_OK ? fh_sqlite_version_admit(conn, request) : code;
}

enum fh_code fh_sqlite_move_cursor(struct fh_request *request, struct fh_str cursor, int64_t *txid)
{
    long long value = 0;
    if (!fh_str_to_int64(cursor, &value) || value < 0) {
        return fh_error_set(&request->error, FH_INVALID, "not a cursor of this store");
    }
    *txid = value;
    return FH_OK;
}

/* The newest record of this tenant and epoch: whatever comes later has a greater txid. (The file's
 * newest would do as well, and would tell how much others write.) */
static enum fh_code read_cursor(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code = fh_sqlite_statement_get(
        conn, FH_SQLITE_CURSOR, NULL, 0, &request->scope.tenant, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    int rc = sqlite3_bind_int64(statement, 2, (sqlite3_int64)request->scope.epoch);
    code = rc == SQLITE_OK ? fh_sqlite_statement_step(conn, statement, &row, &request->error)
                           : fh_sqlite_conn_fail(conn, rc, &request->error);
    if (code == FH_OK) {
        long long newest = row ? (long long)sqlite3_column_int64(statement, 0) : 0;
        char *text = fh_arena_printf(request->arena, "%lld", newest);
        request->as.snapshot.cursor = fh_str_of(text);
        code = say(request, text != NULL ? FH_OK : FH_NOMEM);
    }
    fh_sqlite_statement_end(conn, statement);
    return code;
}

enum fh_code fh_sqlite_move_open(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    enum fh_code code = fh_sqlite_move_guard(conn, request);
    return code == FH_OK ? read_cursor(conn, request) : code;
}

static int bind_scan(sqlite3_stmt *statement, const struct fh_op_scan *scan)
{
    int at = 3;
    int rc = sqlite3_bind_int64(statement, 2, (sqlite3_int64)scan->limit + 1);
    if (rc == SQLITE_OK && scan->after != NULL) {
        rc = fh_sqlite_bind_key(statement, at, scan->after);
        at += scan->table->key_count;
    }
    return rc == SQLITE_OK && scan->until != NULL ? fh_sqlite_bind_key(statement, at, scan->until)
                                                  : rc;
}

static enum fh_code collect_rows(struct fh_sqlite_conn *conn, struct fh_request *request,
                                 sqlite3_stmt *statement, struct fh_row **rows)
{
    struct fh_op_scan *scan = &request->as.scan;
    size_t start = request->arena->bytes_used;
    for (;;) { /* at most limit + 1 rows: the statement's LIMIT */
        bool row = false;
        enum fh_code code = fh_sqlite_statement_step(conn, statement, &row, &request->error);
        if (code != FH_OK || !row) {
            return code;
        }
        if (fh_sqlite_page_full(request->arena, start, scan->count, scan->limit, scan->bytes_max)) {
            scan->more = true;
            return FH_OK;
        }
        struct fh_row **out = &rows[scan->count];
        code = fh_sqlite_read_row(statement, 0, scan->table, request->arena, out);
        if (code == FH_OK && *out == NULL) {
            code = FH_CORRUPT;
        }
        if (code != FH_OK) {
            return say(request, code);
        }
        scan->count++;
    }
}

static enum fh_code scan_rows(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_op_scan *scan = &request->as.scan;
    sqlite3_stmt *statement = NULL;
    unsigned bounds = (scan->after != NULL ? FH_SQLITE_SCAN_AFTER : 0) |
                      (scan->until != NULL ? FH_SQLITE_SCAN_UNTIL : 0);
    struct fh_row **rows = FH_ARENA_ARRAY(request->arena, struct fh_row *, scan->limit);
    if (rows == NULL) {
        return say(request, FH_NOMEM);
    }
    enum fh_code code =
        fh_sqlite_statement_get(conn, FH_SQLITE_SCAN, scan->table, (uint16_t)bounds,
                                &request->scope.tenant, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    int rc = bind_scan(statement, scan);
    code = rc == SQLITE_OK ? collect_rows(conn, request, statement, rows)
                           : fh_sqlite_conn_fail(conn, rc, &request->error);
    fh_sqlite_statement_end(conn, statement);
    scan->rows = rows;
    return code;
}

/* Null is what a missing request id and redacted images are stored as. */
static enum fh_code read_optional(sqlite3_stmt *statement, int at, struct fh_arena *arena,
                                  struct fh_str *out)
{
    *out = (struct fh_str){.len = 0};
    return sqlite3_column_type(statement, at) == SQLITE_NULL
               ? FH_OK
               : fh_sqlite_read_bytes(statement, at, arena, out);
}

enum fh_code fh_sqlite_read_journal(sqlite3_stmt *statement, struct fh_arena *arena,
                                    struct fh_journal_row *out)
{
    *out = (struct fh_journal_row){.seq = 0};
    const void *hash = sqlite3_column_blob(statement, 4);
    if (!fh_sqlite_read_uuid(statement, 0, &out->tenant) || hash == NULL ||
        sqlite3_column_bytes(statement, 4) != (int)sizeof(out->request_hash)) {
        return FH_CORRUPT;
    }
    memcpy(out->request_hash, hash, sizeof(out->request_hash));
    out->epoch = (uint64_t)sqlite3_column_int64(statement, 1);
    out->seq = (uint64_t)sqlite3_column_int64(statement, 2);
    out->schema_version = (uint32_t)sqlite3_column_int64(statement, 5);
    out->at_us = sqlite3_column_int64(statement, 8);
    enum fh_code code = read_optional(statement, 3, arena, &out->request_id);
    if (code == FH_OK) {
        code = fh_sqlite_read_bytes(statement, 6, arena, &out->actor);
    }
    if (code == FH_OK) {
        code = fh_sqlite_read_bytes(statement, 7, arena, &out->address);
    }
    if (code == FH_OK) {
        code = fh_sqlite_read_bytes(statement, 9, arena, &out->changes);
    }
    return code == FH_OK ? read_optional(statement, 10, arena, &out->images) : code;
}

static int bind_journal(sqlite3_stmt *statement, const struct fh_op_scan_journal *scan)
{
    bool to_the_end = scan->until_epoch == 0 && scan->until_seq == 0;
    const uint64_t bounds[] = {scan->limit + 1, scan->after_epoch, scan->after_seq,
                               to_the_end ? INT64_MAX : scan->until_epoch,
                               to_the_end ? INT64_MAX : scan->until_seq};
    int rc = SQLITE_OK;
    for (int i = 0; i < 5 && rc == SQLITE_OK; i++) {
        uint64_t value = bounds[i] < INT64_MAX ? bounds[i] : INT64_MAX;
        rc = sqlite3_bind_int64(statement, 2 + i, (sqlite3_int64)value);
    }
    return rc;
}

static enum fh_code collect_journal(struct fh_sqlite_conn *conn, struct fh_request *request,
                                    sqlite3_stmt *statement, struct fh_journal_row *rows)
{
    struct fh_op_scan_journal *scan = &request->as.scan_journal;
    size_t start = request->arena->bytes_used;
    for (;;) { /* at most limit + 1 rows: the statement's LIMIT */
        bool row = false;
        enum fh_code code = fh_sqlite_statement_step(conn, statement, &row, &request->error);
        if (code != FH_OK || !row) {
            return code;
        }
        if (fh_sqlite_page_full(request->arena, start, scan->count, scan->limit, scan->bytes_max)) {
            scan->more = true;
            return FH_OK;
        }
        code = fh_sqlite_read_journal(statement, request->arena, &rows[scan->count]);
        if (code != FH_OK) {
            return say(request, code);
        }
        scan->count++;
    }
}

static enum fh_code scan_journal(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_op_scan_journal *scan = &request->as.scan_journal;
    sqlite3_stmt *statement = NULL;
    struct fh_journal_row *rows =
        FH_ARENA_ARRAY(request->arena, struct fh_journal_row, scan->limit);
    if (rows == NULL) {
        return say(request, FH_NOMEM);
    }
    enum fh_code code = fh_sqlite_statement_get(
        conn, FH_SQLITE_JOURNAL, NULL, 0, &request->scope.tenant, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    int rc = bind_journal(statement, scan);
    code = rc == SQLITE_OK ? collect_journal(conn, request, statement, rows)
                           : fh_sqlite_conn_fail(conn, rc, &request->error);
    fh_sqlite_statement_end(conn, statement);
    scan->rows = rows;
    return code;
}

static enum fh_code tally(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_op_tally *op = &request->as.tally;
    sqlite3_stmt *statement = NULL;
    int64_t since = 0;
    bool row = false;
    enum fh_code code = fh_sqlite_move_cursor(request, op->since, &since);
    if (code == FH_OK) {
        code = fh_sqlite_statement_get(conn, FH_SQLITE_TALLY, NULL, 0, &request->scope.tenant,
                                       &statement, &request->error);
    }
    if (code != FH_OK) {
        return code;
    }
    int rc = sqlite3_bind_int64(statement, 2, (sqlite3_int64)request->scope.epoch);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int64(statement, 3, since);
    }
    code = rc == SQLITE_OK ? fh_sqlite_statement_step(conn, statement, &row, &request->error)
                           : fh_sqlite_conn_fail(conn, rc, &request->error);
    if (code == FH_OK && row) {
        op->count = (uint64_t)sqlite3_column_int64(statement, 0);
        op->seq_sum = (uint64_t)sqlite3_column_int64(statement, 1) +
                      ((uint64_t)sqlite3_column_int64(statement, 2) << 32);
    }
    fh_sqlite_statement_end(conn, statement);
    return code;
}

static enum fh_code read_state(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code = fh_sqlite_statement_get(
        conn, FH_SQLITE_STATE_READ, NULL, 0, &request->scope.tenant, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    code = fh_sqlite_statement_step(conn, statement, &row, &request->error);
    if (code == FH_OK && row) {
        code = fh_sqlite_owned(conn, statement, 0, &request->scope.tenant, &request->error);
        if (code == FH_OK) {
            code = say(request, fh_sqlite_read_bytes(statement, 1, request->arena,
                                                     &request->as.move_state.state));
        }
    }
    fh_sqlite_statement_end(conn, statement);
    return code;
}

enum fh_code fh_sqlite_move_read(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    fh_move_op_withhold(request); /* what an earlier attempt left */
    enum fh_code code = fh_sqlite_move_guard(conn, request);
    if (code != FH_OK) {
        return code;
    }
    switch (request->op) {
    case FH_OP_SCAN:
        return scan_rows(conn, request);
    case FH_OP_SCAN_JOURNAL:
        return scan_journal(conn, request);
    case FH_OP_CHANGES:
        return fh_sqlite_move_changes(conn, request);
    case FH_OP_TALLY:
        return tally(conn, request);
    case FH_OP_MOVE_STATE:
        return read_state(conn, request);
    case FH_OP_REFERENCES:
        return fh_sqlite_move_references(conn, request);
    case FH_OP_SIZE:
        return fh_sqlite_move_size(conn, request);
    default:
        FH_UNREACHABLE();
    }
}
