/* FH_OP_SCHEMA_APPLY: brings a home to a schema version.
 *
 * The writer's thread, in a write transaction of its own on the eraser's connection: foreign keys
 * are off there, and no view may stand on it (views.h). It holds the file's write lock until the
 * end, so a table of many rows that is made anew keeps all writes of the file waiting (of a bridge
 * file: all its homes'); fh_store_ops.preview says when. The request's deadline interrupts it.
 */
#ifndef FH_STORES_SQLITE_SCHEMA_H
#define FH_STORES_SQLITE_SCHEMA_H

#include "stores/sqlite/conn.h"

#define FH_SQLITE_SCHEMA_LOCK_MS 1000 /* waited for the file's lock, unless the request says */

/* BEGIN IMMEDIATE. FH_CONFLICT when the lock is not to be had within the request's lock_timeout_ms;
 * nothing has begun then. */
FH_MUST_CHECK enum fh_code fh_sqlite_schema_begin(struct fh_sqlite_conn *conn,
                                                  struct fh_request *request);
/* In the transaction. On anything but FH_OK the caller takes back what was changed. */
FH_MUST_CHECK enum fh_code fh_sqlite_schema_apply(struct fh_sqlite_conn *conn,
                                                  struct fh_request *request);
/* Makes the tables of conn->home at `schema`'s version, where there are the system tables only. In
 * a transaction, as above. */
FH_MUST_CHECK enum fh_code fh_sqlite_schema_make(struct fh_sqlite_conn *conn,
                                                 const struct fh_schema *schema,
                                                 struct fh_error *error);

#endif
