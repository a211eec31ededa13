/* The mover's operations (stores/move.h) on the memory engine.
 *
 * A view is a deep copy of the one tenant's data, taken when it is opened: it costs memory, and is
 * consistent without a word about versions. So it also sees the fence as it was then, as a
 * transaction's view does elsewhere. A cursor is the store's newest txid, as text.
 *
 * Thread: the loop's. Ownership: views are the store's until closed. Limits: FH_SNAPSHOTS_MAX
 * views; idle ones are kept.
 */
#ifndef FH_STORES_MEM_MOVE_H
#define FH_STORES_MEM_MOVE_H

#include "stores/mem/data.h"

struct fh_mem_views {
    struct fh_snapshot *views[FH_SNAPSHOTS_MAX]; /* NULL: free */
};

/* `tenant` is whose data the request's statement sees in its home; NULL: nobody's.
 * FH_OP_SNAPSHOT_CLOSE needs none. */
FH_MUST_CHECK enum fh_code fh_mem_move(struct fh_mem_data *data, struct fh_mem_views *views,
                                       const struct fh_mem_home *home, struct fh_mem_tenant *tenant,
                                       struct fh_request *request);
/* Ends all views, with the store. */
void fh_mem_views_close(struct fh_mem_data *data, struct fh_mem_views *views);

#endif
