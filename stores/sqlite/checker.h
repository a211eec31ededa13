/* FH_OP_CHECK of a whole store: shared.db, every bridge file, every home's file, one after another,
 * on a thread of its own, for it may take long.
 *
 * What is said of shared.db is said in full. Of the others only what is off is told, each finding
 * with its file's name, and how many were looked at: at most FH_CHECK_FINDINGS_MAX in all. Between
 * two files the request's deadline and its cancellation are looked at.
 *
 * Thread: the loop's, but for the run itself.
 */
#ifndef FH_STORES_SQLITE_CHECKER_H
#define FH_STORES_SQLITE_CHECKER_H

#include "base/worker.h"
#include "stores/sqlite/layout.h"
#include "stores/store.h"

struct fh_sqlite_checker {
    const struct fh_env *env;
    const struct fh_sqlite_layout *layout; /* borrows */
    size_t queue_max;
    struct fh_worker *worker; /* NULL: not started */
};

/* request->work.done_cb is set by the caller. */
FH_MUST_CHECK enum fh_code fh_sqlite_checker_submit(struct fh_sqlite_checker *checker,
                                                    struct fh_request *request);
/* Lets what is queued end. `stopped_cb` is called as often as the answer says, later. */
FH_MUST_CHECK uint32_t fh_sqlite_checker_stop(struct fh_sqlite_checker *checker,
                                              fh_worker_stopped_cb *stopped_cb, void *arg);

#endif
