/* gRPC's completion queue on a libuv loop.
 *
 * Nested: the epoll set of gRPC core is watched by the loop, and the queue is drained with a zero
 * deadline on the loop thread. Whether that works with the gRPC and the program at hand is tried
 * out at creation, on a real connection; if not (or if asked), a pump thread waits on the queue and
 * hands over through uv_async.
 *
 * Invariants: a tag is in the queue at most once at a time; its callback runs once for each time,
 * on the loop. Thread: loop thread only. Ownership: the poller owns gRPC's initialisation and the
 * queue; tags are the caller's. Limits: 512 completions a turn of the loop, then other handles have
 * theirs.
 */
#ifndef FH_SERVER_RPC_POLLER_H
#define FH_SERVER_RPC_POLLER_H

#include <grpc/grpc.h>
#include <stdbool.h>
#include <uv.h>

#include "base/code.h"
#include "base/error.h"
#include "base/list.h"

struct fh_rpc_poller;
struct fh_rpc_tag;

typedef void fh_rpc_tag_cb(struct fh_rpc_tag *tag, bool success);
/* After every drain, and at least every 50 ms (5 ms while busy). */
typedef void fh_rpc_turn_cb(void *arg);
typedef void fh_rpc_poller_closed_cb(void *arg);

/* Embedded in whatever waits for a completion. */
struct fh_rpc_tag {
    fh_rpc_tag_cb *cb;
    struct fh_list node; /* private */
    bool success;        /* private */
};

/* Called with a tag before it is given to gRPC by other means than fh_rpc_poller_batch(). The
 * hand-over to the pump's thread is ordered inside gRPC, where a thread sanitizer does not see it:
 * this tells it. */
void fh_rpc_tag_give(struct fh_rpc_tag *tag);

struct fh_rpc_poller_config {
    bool force_pump;
    bool no_coalesce;
    fh_rpc_turn_cb *turn_cb;
    void *arg;
};

FH_MUST_CHECK enum fh_code fh_rpc_poller_create(uv_loop_t *loop,
                                                const struct fh_rpc_poller_config *config,
                                                struct fh_rpc_poller **out, struct fh_error *error);
grpc_completion_queue *fh_rpc_poller_queue(struct fh_rpc_poller *poller);
const char *fh_rpc_poller_name(const struct fh_rpc_poller *poller);
/* grpc_call_start_batch, with replies coalesced and the queue looked at before the loop sleeps. */
FH_MUST_CHECK bool fh_rpc_poller_batch(struct fh_rpc_poller *poller, grpc_call *call,
                                       const grpc_op *ops, size_t count, struct fh_rpc_tag *tag);
/* Asks for a drain and a turn before the loop sleeps: work was queued by our own thread, which does
 * not make the epoll fd readable. */
void fh_rpc_poller_kick(struct fh_rpc_poller *poller);
/* While busy the 5 ms timer stays: completions posted by gRPC's own threads may not wake the fd. */
void fh_rpc_poller_busy(struct fh_rpc_poller *poller, bool busy);
/* No work may be started any more. Drains, destroys the queue and gRPC, then `closed_cb` on the
 * loop; the poller is freed. */
void fh_rpc_poller_close(struct fh_rpc_poller *poller, fh_rpc_poller_closed_cb *closed_cb,
                         void *arg);

/* The start-up self-check (poller_check.c): answers gRPC's epoll fd, or -1 when nesting does not
 * work here. */
int fh_rpc_poller_check(grpc_completion_queue *queue);

#endif
