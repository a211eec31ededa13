/* The schema version of a home, and that a request was made for exactly that one.
 *
 * It stands in the home's fh_meta and comes with every look at a fence (sql.h), in the statement
 * that looks: so what a request reads or writes is of the version that was compared, and it costs
 * no statement of its own. Any connection, its thread.
 */
#ifndef FH_STORES_SQLITE_VERSION_H
#define FH_STORES_SQLITE_VERSION_H

#include "stores/sqlite/conn.h"

/* What conn->schema_version is when the home has no schema yet. */
#define FH_SQLITE_VERSION_NONE (-1)

/* Reads conn->schema_version anew. */
FH_MUST_CHECK enum fh_code fh_sqlite_conn_read_version(struct fh_sqlite_conn *conn,
                                                       struct fh_error *error);
FH_MUST_CHECK enum fh_code fh_sqlite_version_set(struct fh_sqlite_conn *conn, uint32_t version,
                                                 struct fh_error *error);
/* For fence.c: the column of a look at a fence. */
void fh_sqlite_version_note(struct fh_sqlite_conn *conn, sqlite3_stmt *statement, int at);

/* Is the operation one of scope.schema's version? All of a mover's are, so that each of its
 * transactions sees a schema change under the move. */
bool fh_sqlite_version_matters(enum fh_op op);
/* After the fence was looked at, and admitted the request: FH_OK or FH_STALE_SCHEMA, with
 * version_seen. */
FH_MUST_CHECK enum fh_code fh_sqlite_version_admit(const struct fh_sqlite_conn *conn,
                                                   struct fh_request *request);
/* A read ended with `code`. Perhaps because tables or columns of its version are not there: then
 * FH_NO_TENANT, FH_MOVED or FH_STALE_SCHEMA. FH_OK: nothing is wrong any more, the home was changed
 * meanwhile and the request may be tried once more. Otherwise `code`. */
FH_MUST_CHECK enum fh_code fh_sqlite_version_explain(struct fh_sqlite_conn *conn,
                                                     struct fh_request *request, enum fh_code code);

#endif
