/* Layer three inside the engine: every tenant_id that comes out of the file is compared with the
 * scope's, also those of rows that a statement finds to change or to delete, before anything is
 * committed; and every tenant_id that is put into the file, before it is. (fh_request_complete()
 * compares again what leaves the store.)
 *
 * Why rows put in are not read back: their tenant_id is ?1 and nothing else (sql.h), so RETURNING
 * could say nothing else, and it makes SQLite open and close a table of its own for each statement:
 * a fifth of a commit.
 */
#ifndef FH_STORES_SQLITE_OWNER_H
#define FH_STORES_SQLITE_OWNER_H

#include "stores/sqlite/conn.h"

/* FH_OK, or FH_FOREIGN_ROW when the column is not the tenant's. */
FH_MUST_CHECK enum fh_code fh_sqlite_owned(const struct fh_sqlite_conn *conn,
                                           sqlite3_stmt *statement, int at,
                                           const struct fh_uuid *tenant, struct fh_error *error);
/* Runs a statement that returns one tenant_id for each row it wrote, to its end, and compares them
 * all. *count: how many rows. On a constraint, conn->last_rc tells which. */
FH_MUST_CHECK enum fh_code fh_sqlite_write_rows(struct fh_sqlite_conn *conn,
                                                sqlite3_stmt *statement,
                                                const struct fh_uuid *tenant, size_t *count,
                                                struct fh_error *error);

/* The same for a statement that puts in at most one row, whose tenant_id is ?1, and that returns
 * nothing: FH_FOREIGN_ROW, before it runs, when ?1 is not the tenant's. */
FH_MUST_CHECK enum fh_code fh_sqlite_put_row(struct fh_sqlite_conn *conn, sqlite3_stmt *statement,
                                             const struct fh_uuid *tenant, size_t *count,
                                             struct fh_error *error);

#endif
