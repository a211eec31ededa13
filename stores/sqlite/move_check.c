/* FH_OP_REFERENCES and FH_OP_SIZE: what looks at every row of a tenant.
 *
 * References: one statement for each foreign key, which ends at the first row that references
 * nothing. Size: counts are exact; bytes are the mean of the first SAMPLE_ROWS_MAX rows of each
 * table, times its count. Failures: FH_REFERENCE_VIOLATION is the answer, naming table and
 * constraint and no row; a large tenant may take longer than the deadline.
 */
#include "stores/sqlite/move_read.h"

#define SAMPLE_ROWS_MAX 256

static enum fh_code check_key(struct fh_sqlite_conn *conn, struct fh_request *request,
                              const struct fh_table *table, uint16_t ordinal)
{
    sqlite3_stmt *statement = NULL;
    bool orphan = false;
    enum fh_code code =
        fh_sqlite_statement_get(conn, FH_SQLITE_ORPHAN, table, ordinal, &request->scope.tenant,
                                &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    code = fh_sqlite_statement_step(conn, statement, &orphan, &request->error);
    fh_sqlite_statement_end(conn, statement);
    if (code == FH_OK && orphan) {
        return fh_error_set(&request->error, FH_REFERENCE_VIOLATION,
                            "table %.*s, constraint %.*s: a live record references a record that "
                            "is not there",
                            FH_STR_ARG(table->name), FH_STR_ARG(table->foreign_keys[ordinal].name));
    }
    return code;
}

enum fh_code fh_sqlite_move_references(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    const struct fh_schema *schema = request->scope.schema;
    enum fh_code code = FH_OK;
    for (uint32_t i = 0; i < schema->table_count && code == FH_OK; i++) {
        const struct fh_table *table = schema->tables[i];
        for (uint16_t k = 0; k < table->foreign_key_count && code == FH_OK; k++) {
            code = check_key(conn, request, table, k);
        }
    }
    return code;
}

/* `table` NULL: the commit records. */
static enum fh_code count_rows(struct fh_sqlite_conn *conn, struct fh_request *request,
                               const struct fh_table *table, uint64_t *out)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code =
        fh_sqlite_statement_get(conn, table != NULL ? FH_SQLITE_COUNT : FH_SQLITE_RECORD_COUNT,
                                table, 0, &request->scope.tenant, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    code = fh_sqlite_statement_step(conn, statement, &row, &request->error);
    *out = code == FH_OK && row ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
    fh_sqlite_statement_end(conn, statement);
    return code;
}

static int bind_sample(sqlite3_stmt *statement, bool records)
{
    int rc = sqlite3_bind_int64(statement, 2, SAMPLE_ROWS_MAX);
    for (int i = 3; i <= 6 && records && rc == SQLITE_OK; i++) { /* after (0, 0), to the end */
        rc = sqlite3_bind_int64(statement, i, i < 5 ? 0 : INT64_MAX);
    }
    return rc;
}

static uint64_t row_bytes(sqlite3_stmt *statement)
{
    uint64_t bytes = 0;
    for (int i = 0; i < sqlite3_data_count(statement); i++) {
        int type = sqlite3_column_type(statement, i);
        bool text = type == SQLITE_TEXT || type == SQLITE_BLOB;
        bytes += text ? (uint64_t)sqlite3_column_bytes(statement, i) : sizeof(int64_t);
    }
    return bytes;
}

/* Adds the estimate for `count` rows to the result. */
static enum fh_code weigh(struct fh_sqlite_conn *conn, struct fh_request *request,
                          const struct fh_table *table, uint64_t count)
{
    sqlite3_stmt *statement = NULL;
    uint64_t bytes = 0;
    uint64_t sampled = 0;
    bool row = true;
    enum fh_code code =
        fh_sqlite_statement_get(conn, table != NULL ? FH_SQLITE_SCAN : FH_SQLITE_JOURNAL, table, 0,
                                &request->scope.tenant, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    int rc = bind_sample(statement, table == NULL);
    code = rc == SQLITE_OK ? FH_OK : fh_sqlite_conn_fail(conn, rc, &request->error);
    while (code == FH_OK && row) { /* ends with the statement's LIMIT */
        code = fh_sqlite_statement_step(conn, statement, &row, &request->error);
        if (code == FH_OK && row) {
            bytes += row_bytes(statement);
            sampled++;
        }
    }
    fh_sqlite_statement_end(conn, statement);
    request->as.size.bytes += sampled > 0 ? bytes / sampled * count : 0;
    return code;
}

enum fh_code fh_sqlite_move_size(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_op_size *size = &request->as.size;
    const struct fh_schema *schema = request->scope.schema;
    enum fh_code code = count_rows(conn, request, NULL, &size->records);
    if (code == FH_OK) {
        code = weigh(conn, request, NULL, size->records);
    }
    for (uint32_t i = 0; i < schema->table_count && code == FH_OK; i++) {
        uint64_t count = 0;
        code = count_rows(conn, request, schema->tables[i], &count);
        if (code == FH_OK) {
            size->rows += count;
            code = weigh(conn, request, schema->tables[i], count);
        }
    }
    return code;
}
