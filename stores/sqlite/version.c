/* Failures: a home whose fh_meta has lost its row is FH_CORRUPT. */
#include "stores/sqlite/version.h"

#include "stores/sqlite/fence.h"

enum fh_code fh_sqlite_conn_read_version(struct fh_sqlite_conn *conn, struct fh_error *error)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code =
        fh_sqlite_statement_get(conn, FH_SQLITE_VERSION_READ, NULL, 0, NULL, &statement, error);
    if (code != FH_OK) {
        return code;
    }
    code = fh_sqlite_statement_step(conn, statement, &row, error);
    if (code == FH_OK && row) {
        conn->schema_version = sqlite3_column_int64(statement, 0);
    } else if (code == FH_OK) {
        code = fh_error_set(error, FH_CORRUPT, "the home has lost its schema version");
    }
    fh_sqlite_statement_end(conn, statement);
    return code;
}

enum fh_code fh_sqlite_version_set(struct fh_sqlite_conn *conn, uint32_t version,
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
    if (code == FH_OK && !row) {
        code = fh_error_set(error, FH_CORRUPT, "the home has lost its schema version");
    }
    return code;
}

void fh_sqlite_version_note(struct fh_sqlite_conn *conn, sqlite3_stmt *statement, int at)
{
    bool there = sqlite3_column_type(statement, at) == SQLITE_INTEGER;
    conn->schema_version =
        there ? sqlite3_column_int64(statement, at) : (int64_t)FH_SQLITE_VERSION_NONE;
}

bool fh_sqlite_version_matters(enum fh_op op)
{
    switch (op) {
    case FH_OP_HOME_CREATE:
    case FH_OP_FENCE_READ:
    case FH_OP_FENCE_SET:
    case FH_OP_SCHEMA_APPLY:
    case FH_OP_CHECK:
    case FH_OP_CREDENTIAL:
    case FH_OP_SNAPSHOT_CLOSE:
        return false;
    default:
        return true;
    }
}

enum fh_code fh_sqlite_version_admit(const struct fh_sqlite_conn *conn, struct fh_request *request)
{
    int64_t seen = conn->schema_version;
    if (!fh_sqlite_version_matters(request->op) ||
        seen == (int64_t)request->scope.schema->version) {
        return FH_OK;
    }
    request->version_seen = seen > 0 ? (uint32_t)seen : 0;
    return fh_error_set(&request->error, FH_STALE_SCHEMA, "%s", fh_code_text(FH_STALE_SCHEMA));
}

enum fh_code fh_sqlite_version_explain(struct fh_sqlite_conn *conn, struct fh_request *request,
                                       enum fh_code code)
{
    struct fh_fence fence;
    if ((conn->last_rc & 0xff) != SQLITE_ERROR || conn->broken ||
        !fh_sqlite_version_matters(request->op)) {
        return code;
    }
    struct fh_error before = request->error;
    request->error = (struct fh_error)FH_ERROR_INIT;
    conn->last_rc = SQLITE_OK;
    enum fh_code why = fh_sqlite_fence_find(conn, &request->scope, &fence, &request->error);
    if (why == FH_OK) {
        why = fh_sqlite_fence_admit(request, &fence, false);
    }
    if (why == FH_OK) {
        why = fh_sqlite_version_admit(conn, request);
    }
    if (why != FH_OK && why != FH_NO_TENANT && why != FH_MOVED && why != FH_STALE_SCHEMA) {
        request->error = before;
        return code;
    }
    return why;
}
