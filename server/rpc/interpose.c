/* Happy path: gRPC calls epoll_wait and sendmsg through the dynamic linker, which finds ours in the
 * program first; we note what we were asked to note and call the next definition, found once.
 *
 * Failures: errors, EAGAIN and order stay the kernel's; nothing is queued here. A corked socket
 * that gRPC closed before the push loses nothing, because close() sends what is held back; if its
 * number was given to another socket meanwhile, TCP_NODELAY is set there, which every socket of
 * ours has anyway.
 */
#include "server/rpc/interpose.h"

#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/assert.h"

typedef int epoll_wait_fn(int, struct epoll_event *, int, int);
typedef ssize_t sendmsg_fn(int, const struct msghdr *, int);

static _Thread_local struct fh_rpc_interpose self;

static _Atomic(void *) next_epoll_wait;
static _Atomic(void *) next_sendmsg;

static _Atomic int grpc_epoll_fd = -1;
static _Atomic(uv_async_t *) wake;

static void *next_definition(_Atomic(void *) *cache, const char *name)
{
    void *found = atomic_load_explicit(cache, memory_order_relaxed);
    if (found == NULL) {
        found = dlsym(RTLD_NEXT, name);
        FH_ASSERT(found != NULL);
        atomic_store_explicit(cache, found, memory_order_relaxed);
    }
    return found;
}

struct fh_rpc_interpose *fh_rpc_interpose_self(void)
{
    return &self;
}

void fh_rpc_interpose_push(struct fh_rpc_interpose *state)
{
    int on = 1;

    for (size_t i = 0; i < state->corked_count; i++) {
        /* Setting it again pushes a partial segment, even when it is set already. */
        (void)setsockopt(state->corked[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    state->corked_count = 0;
}

static bool remember_corked(struct fh_rpc_interpose *state, int fd)
{
    for (size_t i = 0; i < state->corked_count; i++) {
        if (state->corked[i] == fd) {
            return true;
        }
    }
    if (state->corked_count == FH_RPC_CORKED_MAX) {
        return false;
    }
    state->corked[state->corked_count++] = fd;
    return true;
}

void fh_rpc_interpose_wake(uv_async_t *async)
{
    atomic_store(&wake, async);
}

/* Another thread is about to sleep in gRPC's poll: answers for how long at most. */
static int foreign_poll(int timeout)
{
    uv_async_t *async = atomic_load(&wake);

    if (async != NULL) {
        (void)uv_async_send(async);
    }
    return timeout < 0 || timeout > FH_RPC_FOREIGN_POLL_MS ? FH_RPC_FOREIGN_POLL_MS : timeout;
}

int epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout)
{
    epoll_wait_fn *next = (epoll_wait_fn *)next_definition(&next_epoll_wait, "epoll_wait");

    if (self.watch) {
        if (atomic_load_explicit(&grpc_epoll_fd, memory_order_relaxed) != epfd) {
            atomic_store_explicit(&grpc_epoll_fd, epfd, memory_order_relaxed);
        }
        self.epoll_fd = epfd;
        self.waits++;
        self.epoll_events = next(epfd, events, maxevents, timeout);
        return self.epoll_events;
    }
    if (epfd == atomic_load_explicit(&grpc_epoll_fd, memory_order_relaxed)) {
        timeout = foreign_poll(timeout);
    }
    return next(epfd, events, maxevents, timeout);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    sendmsg_fn *next = (sendmsg_fn *)next_definition(&next_sendmsg, "sendmsg");

    if (self.cork) {
        self.sends++;
        if (remember_corked(&self, fd)) {
            flags |= MSG_MORE;
        }
    }
    return next(fd, message, flags);
}
