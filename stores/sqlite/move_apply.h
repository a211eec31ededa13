/* FH_OP_APPLY: one batch of a move goes into the file.
 *
 * The writer's thread, in a transaction of its own on the eraser's connection, whose foreign keys
 * are off: rows come in any order, and FH_OP_REFERENCES looks at them at the end. Triggers and
 * owner.h watch the tenant as for every write. Other tenants' writes wait meanwhile, so whoever
 * sizes the batches bounds that; past its deadline a batch gives up and nothing of it stays.
 */
#ifndef FH_STORES_SQLITE_MOVE_APPLY_H
#define FH_STORES_SQLITE_MOVE_APPLY_H

#include "stores/sqlite/conn.h"

/* Looks at the fence, then writes; on anything but FH_OK the caller rolls back. */
FH_MUST_CHECK enum fh_code fh_sqlite_move_apply(struct fh_sqlite_conn *conn,
                                                struct fh_request *request);

#endif
