/* The views through which a connection sees a tenant's rows, and the version they are made for.
 *
 * The connection's thread.
 */
#ifndef FH_STORES_SQLITE_VIEWS_H
#define FH_STORES_SQLITE_VIEWS_H

#include "stores/sqlite/conn.h"

/* Outside a transaction: the file has at least `schema`'s version and the views of its tables exist
 * here. FH_UNAVAILABLE when the file is behind (conn->schema_version tells), with the system
 * tables' views made. `schema` may be NULL: those alone. */
FH_MUST_CHECK enum fh_code fh_sqlite_conn_use_schema(struct fh_sqlite_conn *conn,
                                                     const struct fh_schema *schema,
                                                     struct fh_error *error);
/* Reads conn->schema_version anew. */
FH_MUST_CHECK enum fh_code fh_sqlite_conn_read_version(struct fh_sqlite_conn *conn,
                                                       struct fh_error *error);

#endif
