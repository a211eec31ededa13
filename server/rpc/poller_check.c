/* The start-up self-check of the nested poller.
 *
 * Happy path: a throw-away gRPC server listens on an abstract socket, the queue is drained until
 * its poll found nothing, gRPC's epoll fd is quiet then; a connection makes it readable, and
 * draining alone makes the server greet its client with an HTTP/2 SETTINGS frame. That is all that
 * the nested poller relies on.
 *
 * Failures: any step that does not show within its bound answers -1 and the pump is used. The only
 * cost of a wrong answer is speed.
 */
#include <errno.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/rpc/interpose.h"
#include "server/rpc/poller.h"

#define CHECK_DRAIN_MAX 1000
#define CHECK_ROUNDS_MAX 100
#define CHECK_WAIT_MS 50

/* True when the queue was drained until gRPC's own poll returned nothing. */
static bool check_drain(grpc_completion_queue *queue, struct fh_rpc_interpose *seen)
{
    bool drained = false;

    seen->watch = true;
    for (int i = 0; i < CHECK_DRAIN_MAX && !drained; i++) {
        uint64_t waits = seen->waits;
        grpc_event event =
            grpc_completion_queue_next(queue, gpr_inf_past(GPR_CLOCK_MONOTONIC), NULL);
        drained =
            event.type == GRPC_QUEUE_TIMEOUT && seen->waits != waits && seen->epoll_events == 0;
    }
    seen->watch = false;
    return drained;
}

static bool readable(int fd, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};

    return poll(&one, 1, timeout_ms) == 1 && (one.revents & POLLIN) != 0;
}

static int connect_to(const char *abstract_name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(abstract_name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return -1;
    }
    memcpy(address.sun_path + 1, abstract_name, len);
    if (connect(fd, (const struct sockaddr *)&address,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool check_greeting(grpc_completion_queue *queue, struct fh_rpc_interpose *seen, int client)
{
    unsigned char byte;

    for (int round = 0; round < CHECK_ROUNDS_MAX; round++) {
        if (!readable(seen->epoll_fd, CHECK_WAIT_MS)) {
            /* Handshakes may run on a thread of gRPC's, and then the fd stays silent. */
            if (round > 2) {
                return false;
            }
        }
        if (!check_drain(queue, seen)) {
            return false;
        }
        if (recv(client, &byte, 1, MSG_DONTWAIT) == 1) {
            return true;
        }
        if (errno != EAGAIN && errno != EINTR) {
            return false;
        }
    }
    return false;
}

static bool check_connection(grpc_completion_queue *queue, struct fh_rpc_interpose *seen,
                             const char *name)
{
    bool works = false;

    if (!check_drain(queue, seen) || readable(seen->epoll_fd, 0)) {
        return false;
    }
    int client = connect_to(name);
    if (client < 0) {
        return false;
    }
    works = readable(seen->epoll_fd, CHECK_WAIT_MS * 20) && check_greeting(queue, seen, client);
    close(client);
    return works;
}

int fh_rpc_poller_check(grpc_completion_queue *queue)
{
    struct fh_rpc_interpose *seen = fh_rpc_interpose_self();
    static char tag;
    char name[64];
    char target[96];
    bool works = false;

    seen->epoll_fd = -1;
    (void)snprintf(name, sizeof(name), "freehold-check-%ld-%p", (long)getpid(), (void *)queue);
    (void)snprintf(target, sizeof(target), "unix-abstract:%s", name);
    grpc_server *server = grpc_server_create(NULL, NULL);
    grpc_server_register_completion_queue(server, queue, NULL);
    grpc_server_credentials *credentials = grpc_insecure_server_credentials_create();
    bool bound = grpc_server_add_http2_port(server, target, credentials) != 0;
    grpc_server_credentials_release(credentials);
    grpc_server_start(server);
    if (bound) {
        works = check_connection(queue, seen, name);
    }
    /* Waits on the queue itself, which needs no nesting; the deadline only guards against a hang.
     */
    grpc_server_shutdown_and_notify(server, queue, &tag);
    grpc_server_cancel_all_calls(server);
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_OP_COMPLETE && event.tag == &tag) {
            break;
        }
    }
    grpc_server_destroy(server);
    return works ? seen->epoll_fd : -1;
}
