/* One commit: fence, idempotency, evaluation, rows, rules, record. */
#ifndef FH_STORES_SQLITE_COMMIT_H
#define FH_STORES_SQLITE_COMMIT_H

#include "stores/sqlite/conn.h"

/* The writer's thread, in a write transaction. On anything but FH_OK the caller takes back what was
 * written; also after FH_OK when the request is validate_only. commit->at_us is the commit's time
 * and is set before. */
FH_MUST_CHECK enum fh_code fh_sqlite_commit(struct fh_sqlite_conn *conn,
                                            struct fh_request *request);

#endif
