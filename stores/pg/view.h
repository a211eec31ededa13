/* Long views: a REPEATABLE READ transaction that stays open on a connection of its own.
 *
 * A view is one of the store's few slots. It is begun by its opening op, then ops in it are sent on
 * its connection one at a time; closing it, or the loss of its connection, or a failed statement
 * ends the transaction. The slot stays taken until it is closed: so a pointer to it means the same
 * view for as long as its opener may use it. Loop thread only.
 */
#ifndef FH_STORES_PG_VIEW_H
#define FH_STORES_PG_VIEW_H

#include <stdbool.h>

#include "base/code.h"
#include "base/uuid.h"
#include "stores/store.h"

struct fh_pg_conn;
struct fh_pg_op;
struct fh_pg_store;

struct fh_snapshot {
    bool taken;
    struct fh_uuid tenant;
    struct fh_home home;
    uint32_t version;         /* of the schema: nobody changes it while the view is open */
    struct fh_pg_store *root; /* counts it: a store's databases share its bound */
    struct fh_pg_conn *conn;  /* NULL: not begun yet, or gone */
};

/* For submit: finds the view that the mover's request names, takes a slot for one that is opened,
 * ends one that is closed. FH_FULL, FH_INVALID, FH_UNAVAILABLE, with the request's error. */
FH_MUST_CHECK enum fh_code fh_pg_view_enter(struct fh_pg_store *pg, struct fh_pg_op *op);
/* The view is the op's connection's transaction from now on. */
void fh_pg_view_begun(struct fh_pg_op *op);
/* The transaction ends, the slot is free. */
void fh_pg_view_end(struct fh_snapshot *view);
/* The connection's transaction is gone; its view, if it has one, stays taken. */
void fh_pg_view_lost(struct fh_pg_conn *conn);

#endif
