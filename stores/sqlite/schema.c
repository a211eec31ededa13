/* Happy path: the version of the file is read, the changes are executed, the version is set.
 *
 * Failures: never backwards, and only from a version that the new schema builds on
 * (FH_PRECONDITION).
 */
#include "stores/sqlite/schema.h"

#include "stores/sqlite/ddl.h"

static enum fh_code ddl_cb(void *arg, enum fh_sqlite_object kind, struct fh_str name,
                           const char *sql, struct fh_error *error)
{
    (void)kind;
    (void)name;
    return fh_sqlite_conn_exec(arg, sql, error);
}

static enum fh_code set_version(struct fh_sqlite_conn *conn, uint32_t version,
                                struct fh_error *error)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code =
        fh_sqlite_statement_get(conn, FH_SQLITE_VERSION_SET, NULL, 0, NULL, &statement, error);
    if (code != FH_OK) {
        return code;
    }
    int rc = sqlite3_bind_int64(statement, 1, version);
    code = rc == SQLITE_OK ? fh_sqlite_statement_step(conn, statement, &row, error)
                           : fh_sqlite_conn_fail(conn, rc, error);
    fh_sqlite_statement_end(conn, statement);
    return code;
}

enum fh_code fh_sqlite_schema_apply(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_op_schema *op = &request->as.schema;
    int64_t present = 0;
    enum fh_code code =
        fh_sqlite_conn_pragma(conn, "SELECT value FROM main.fh_meta WHERE name='schema_version'",
                              &present, &request->error);
    if (code != FH_OK) {
        return code;
    }
    op->version_seen = present > 0 ? (uint32_t)present : 0;
    if (op->version_seen > op->target->version) {
        return fh_error_set(&request->error, FH_PRECONDITION,
                            "the store has schema version %u, newer than %u", op->version_seen,
                            op->target->version);
    }
    if (present == (int64_t)op->target->version) {
        return FH_OK;
    }
    const struct fh_schema *from = fh_schema_at(op->target, op->version_seen);
    if (from == NULL && op->version_seen > 0) {
        return fh_error_set(&request->error, FH_PRECONDITION,
                            "the store has schema version %u, which the new schema does not build "
                            "on",
                            op->version_seen);
    }
    code = fh_sqlite_ddl_schema(from, op->target, ddl_cb, conn, &request->error);
    if (code == FH_OK) {
        code = set_version(conn, op->target->version, &request->error);
    }
    if (code == FH_OK) {
        op->version_seen = op->target->version;
    }
    return code;
}
