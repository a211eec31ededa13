/* What gRPC does with epoll and its sockets, seen from the thread that drives it.
 *
 * interpose.c defines epoll_wait and sendmsg for the whole program and forwards them to the next
 * definition (libc's, or a sanitizer's). It changes nothing unless the calling thread asked for it
 * here: `watch` records what the poll inside grpc_completion_queue_next() returned, `cork` holds
 * small replies back until fh_rpc_interpose_push(). Where a program is linked so that these
 * definitions do not take effect, `waits` stays 0, the poller's self-check sees that and the pump
 * thread is used.
 *
 * Other threads of gRPC poll as well: while a write waits for a full socket, its backup poller
 * does, up to ten seconds at a time, and the loop thread's own polls find nothing meanwhile. So a
 * poll of another thread on gRPC's epoll fd is cut to 20 ms (returning early with nothing is always
 * allowed; a shutdown would wait for it), and before it sleeps the loop is woken, because what that
 * thread handled may have completed calls.
 *
 * Thread: state is per thread; what concerns all threads is atomic.
 */
#ifndef FH_SERVER_RPC_INTERPOSE_H
#define FH_SERVER_RPC_INTERPOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define FH_RPC_FOREIGN_POLL_MS 20
/* Sockets corked at a time; one more is sent to without delay, which is slower and never wrong. */
#define FH_RPC_CORKED_MAX 128

struct fh_rpc_interpose {
    bool watch;          /* set around grpc_completion_queue_next(): this thread is the poller's */
    bool cork;           /* set around calls that may write replies */
    int epoll_fd;        /* of the last poll while watching */
    int epoll_events;    /* what that poll returned */
    uint64_t waits;      /* polls seen while watching */
    uint64_t sends;      /* sendmsg calls seen while corked */
    size_t corked_count; /* sockets that hold bytes back */
    int corked[FH_RPC_CORKED_MAX];
};

/* The calling thread's state. */
struct fh_rpc_interpose *fh_rpc_interpose_self(void);
/* Woken when another thread of gRPC's has handled events; NULL: nobody. Must stay open until gRPC
 * has shut down. */
void fh_rpc_interpose_wake(uv_async_t *async);
/* Sends what corked sockets of this thread hold back. */
void fh_rpc_interpose_push(struct fh_rpc_interpose *state);

#endif
