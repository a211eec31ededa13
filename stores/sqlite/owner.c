#include "stores/sqlite/owner.h"

#include "stores/sqlite/rows.h"

static enum fh_code compare(const struct fh_sqlite_conn *conn, const struct fh_uuid *seen,
                            const struct fh_uuid *tenant, struct fh_error *error)
{
    if (fh_uuid_eq(seen, tenant) || (conn->faults != NULL && conn->faults->skip_ownership_check)) {
        return FH_OK;
    }
    return fh_error_set(error, FH_FOREIGN_ROW, "%s", fh_code_text(FH_FOREIGN_ROW));
}

enum fh_code fh_sqlite_owned(const struct fh_sqlite_conn *conn, sqlite3_stmt *statement, int at,
                             const struct fh_uuid *tenant, struct fh_error *error)
{
    struct fh_uuid seen;
    if (!fh_sqlite_read_uuid(statement, at, &seen)) {
        return fh_error_set(error, FH_CORRUPT, "a row's tenant_id is not 16 bytes");
    }
    return compare(conn, &seen, tenant, error);
}

enum fh_code fh_sqlite_write_rows(struct fh_sqlite_conn *conn, sqlite3_stmt *statement,
                                  const struct fh_uuid *tenant, size_t *count,
                                  struct fh_error *error)
{
    *count = 0;
    for (;;) { /* ends with the statement's rows */
        bool row = false;
        enum fh_code code = fh_sqlite_statement_step(conn, statement, &row, error);
        if (code != FH_OK || !row) {
            return code;
        }
        code = fh_sqlite_owned(conn, statement, 0, tenant, error);
        if (code != FH_OK) {
            return code;
        }
        ++*count;
    }
}

enum fh_code fh_sqlite_put_row(struct fh_sqlite_conn *conn, sqlite3_stmt *statement,
                               const struct fh_uuid *tenant, size_t *count, struct fh_error *error)
{
    bool row = false;
    *count = 0;
    enum fh_code code = compare(conn, &conn->first, tenant, error);
    if (code == FH_OK) {
        code = fh_sqlite_statement_step(conn, statement, &row, error);
    }
    if (code == FH_OK && row) {
        code = fh_error_set(error, FH_INTERNAL, "a statement returned what it should not");
    }
    *count = code == FH_OK ? (size_t)sqlite3_changes64(conn->db) : 0;
    return code;
}
