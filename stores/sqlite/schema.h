/* FH_OP_SCHEMA_APPLY. The writer's thread, in a write transaction. */
#ifndef FH_STORES_SQLITE_SCHEMA_H
#define FH_STORES_SQLITE_SCHEMA_H

#include "stores/sqlite/conn.h"

/* On anything but FH_OK the caller takes back what was changed. */
FH_MUST_CHECK enum fh_code fh_sqlite_schema_apply(struct fh_sqlite_conn *conn,
                                                  struct fh_request *request);

#endif
