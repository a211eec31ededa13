/* A thread that does what blocks, and hands results back to the loop whole.
 *
 * Work items are embedded by the caller. `run` is called on the thread with up to `batch_max` items
 * taken from the queue in order (a SQLite writer groups them in one transaction; a reader takes
 * one); `done_cb` is called once for each item, on the loop, never before fh_worker_submit()
 * returned. The queue is bounded: submit answers FH_FULL and nothing will be called; an item counts
 * against the bound from submit until its done_cb is entered. After stop, submit answers
 * FH_SHUTTING_DOWN.
 *
 * Loop thread only, except `run`. Stop: no new work, everything queued runs to its end, then
 * `stopped_cb` on the loop; memory of the worker is freed after that callback.
 */
#ifndef FH_BASE_WORKER_H
#define FH_BASE_WORKER_H

#include <stddef.h>
#include <uv.h>

#include "base/code.h"
#include "base/list.h"

struct fh_work;
typedef void fh_work_done_cb(struct fh_work *work);

struct fh_work {
    fh_work_done_cb *done_cb; /* set by the caller */
    struct fh_list node;      /* private */
};

typedef void fh_worker_run_cb(void *ctx, struct fh_work **items, size_t count);
typedef void fh_worker_stopped_cb(void *arg);

struct fh_worker;

FH_MUST_CHECK enum fh_code fh_worker_start(uv_loop_t *loop, const char *name, size_t queue_max,
                                           size_t batch_max, fh_worker_run_cb *run, void *ctx,
                                           struct fh_worker **out);
FH_MUST_CHECK enum fh_code fh_worker_submit(struct fh_worker *worker, struct fh_work *work);
/* Items submitted whose done_cb was not entered yet. */
size_t fh_worker_queued(const struct fh_worker *worker);
void fh_worker_stop(struct fh_worker *worker, fh_worker_stopped_cb *stopped_cb, void *arg);

#endif
