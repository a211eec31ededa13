/* Happy path: accept, connect to the target, then poll all pairs and copy what is readable to the
 * other side (blocking writes: the proxy serves tests, whose peers read). Either side closing
 * closes the pair. An armed cut counts down; at zero both sides are reset (linger 0), so that
 * neither sees an orderly end.
 */
#include "tests/lib/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"

#define PAIRS_MAX 32
#define CHUNK 16384

struct pair {
    int fd[2]; /* [FH_PROXY_TO_SERVER]: the client, read from for that direction; [1]: the server */
};

struct fh_proxy {
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows down to the blank line */
    bool armed[2];
    size_t left[2];
    size_t carried[2];
    unsigned cuts;
    bool hold;
    bool stop;

    int listener;
    int wake[2];
    unsigned port;
    unsigned target_port;
    struct pair pairs[PAIRS_MAX];
    size_t pair_count;
};

static void pair_close(struct fh_proxy *proxy, size_t at, bool reset)
{
    for (int i = 0; i < 2; i++) {
        if (reset) {
            struct linger linger = {.l_onoff = 1, .l_linger = 0};
            (void)setsockopt(proxy->pairs[at].fd[i], SOL_SOCKET, SO_LINGER, &linger,
                             sizeof(linger));
        }
        (void)close(proxy->pairs[at].fd[i]);
    }
    proxy->pairs[at] = proxy->pairs[--proxy->pair_count];
}

static int loopback(unsigned port, bool listens)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int ok = listens ? bind(fd, (struct sockaddr *)&address, sizeof(address))
                     : connect(fd, (struct sockaddr *)&address, sizeof(address));
    if (ok != 0 || (listens && listen(fd, 64) != 0)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void pair_open(struct fh_proxy *proxy)
{
    int client = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0) {
        return;
    }
    int server = proxy->pair_count < PAIRS_MAX ? loopback(proxy->target_port, false) : -1;
    if (server < 0) {
        (void)close(client);
        return;
    }
    int on = 1;
    (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    proxy->pairs[proxy->pair_count++] = (struct pair){.fd = {client, server}};
}

/* How many of `len` bytes may pass; *cut when the connection ends after them. */
static size_t account(struct fh_proxy *proxy, int direction, size_t len, bool *cut)
{
    (void)pthread_mutex_lock(&proxy->lock);
    *cut = proxy->armed[direction] && len > proxy->left[direction];
    if (*cut) {
        len = proxy->left[direction];
        proxy->armed[direction] = false;
        proxy->cuts++;
    }
    proxy->left[direction] -= proxy->armed[direction] ? len : 0;
    proxy->carried[direction] += len;
    (void)pthread_mutex_unlock(&proxy->lock);
    return len;
}

/* False: the pair is over, *cut telling how. */
static bool carry(struct fh_proxy *proxy, size_t at, int direction, bool *cut)
{
    char chunk[CHUNK];
    *cut = false;
    ssize_t got = recv(proxy->pairs[at].fd[direction], chunk, sizeof(chunk), 0);
    if (got <= 0) {
        return false;
    }
    size_t pass = account(proxy, direction, (size_t)got, cut);
    for (size_t sent = 0; sent < pass;) {
        ssize_t n = send(proxy->pairs[at].fd[!direction], chunk + sent, pass - sent, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        sent += (size_t)n;
    }
    return !*cut;
}

static void turn(struct fh_proxy *proxy, bool hold)
{
    struct pollfd fds[2 + 2 * PAIRS_MAX];
    nfds_t count = 0;
    fds[count++] = (struct pollfd){.fd = proxy->wake[0], .events = POLLIN};
    fds[count++] = (struct pollfd){.fd = proxy->listener, .events = POLLIN};
    size_t pairs = proxy->pair_count;
    for (size_t i = 0; i < pairs && !hold; i++) {
        fds[count++] = (struct pollfd){.fd = proxy->pairs[i].fd[0], .events = POLLIN};
        fds[count++] = (struct pollfd){.fd = proxy->pairs[i].fd[1], .events = POLLIN};
    }
    if (poll(fds, count, -1) <= 0) {
        return;
    }
    if (fds[0].revents != 0) {
        char bytes[64];
        (void)!read(proxy->wake[0], bytes, sizeof(bytes));
        return; /* settings changed: look again before anything is carried */
    }
    /* Backwards: closing moves the last pair, which was looked at already. */
    for (size_t i = hold ? 0 : pairs; i > 0; i--) {
        bool cut = false;
        bool over = fds[2 * i].revents != 0 && !carry(proxy, i - 1, 0, &cut);
        if (!over && fds[2 * i + 1].revents != 0) {
            over = !carry(proxy, i - 1, 1, &cut);
        }
        if (over) {
            pair_close(proxy, i - 1, cut);
        }
    }
    if (fds[1].revents != 0) {
        pair_open(proxy);
    }
}

static void *thread_main(void *arg)
{
    struct fh_proxy *proxy = arg;
    for (;;) {
        (void)pthread_mutex_lock(&proxy->lock);
        bool stop = proxy->stop;
        bool hold = proxy->hold;
        (void)pthread_mutex_unlock(&proxy->lock);
        if (stop) {
            break;
        }
        turn(proxy, hold);
    }
    while (proxy->pair_count > 0) {
        pair_close(proxy, 0, false);
    }
    return NULL;
}

static void wake(struct fh_proxy *proxy)
{
    (void)!write(proxy->wake[1], "w", 1);
}

enum fh_code fh_proxy_start(unsigned target_port, struct fh_proxy **out)
{
    struct fh_proxy *proxy = fh_calloc(1, sizeof(*proxy));
    if (proxy == NULL) {
        return FH_NOMEM;
    }
    proxy->target_port = target_port;
    proxy->listener = loopback(0, true);
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    if (proxy->listener < 0) {
        goto free_proxy;
    }
    if (getsockname(proxy->listener, (struct sockaddr *)&address, &len) != 0 ||
        pipe(proxy->wake) != 0) {
        goto close_listener;
    }
    proxy->port = ntohs(address.sin_port);
    (void)pthread_mutex_init(&proxy->lock, NULL);
    if (pthread_create(&proxy->thread, NULL, thread_main, proxy) != 0) {
        goto close_pipe;
    }
    *out = proxy;
    return FH_OK;
close_pipe:
    (void)pthread_mutex_destroy(&proxy->lock);
    (void)close(proxy->wake[0]);
    (void)close(proxy->wake[1]);
close_listener:
    (void)close(proxy->listener);
free_proxy:
    fh_free(proxy);
    return FH_UNAVAILABLE;
}

void fh_proxy_stop(struct fh_proxy *proxy)
{
    if (proxy == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&proxy->lock);
    proxy->stop = true;
    (void)pthread_mutex_unlock(&proxy->lock);
    wake(proxy);
    (void)pthread_join(proxy->thread, NULL);
    (void)pthread_mutex_destroy(&proxy->lock);
    (void)close(proxy->wake[0]);
    (void)close(proxy->wake[1]);
    (void)close(proxy->listener);
    fh_free(proxy);
}

unsigned fh_proxy_port(const struct fh_proxy *proxy)
{
    return proxy->port;
}

void fh_proxy_cut_after(struct fh_proxy *proxy, enum fh_proxy_direction direction, size_t bytes)
{
    (void)pthread_mutex_lock(&proxy->lock);
    proxy->armed[direction] = true;
    proxy->left[direction] = bytes;
    (void)pthread_mutex_unlock(&proxy->lock);
    wake(proxy);
}

unsigned fh_proxy_cuts(struct fh_proxy *proxy)
{
    (void)pthread_mutex_lock(&proxy->lock);
    unsigned cuts = proxy->cuts;
    (void)pthread_mutex_unlock(&proxy->lock);
    return cuts;
}

void fh_proxy_hold(struct fh_proxy *proxy, bool hold)
{
    (void)pthread_mutex_lock(&proxy->lock);
    proxy->hold = hold;
    (void)pthread_mutex_unlock(&proxy->lock);
    wake(proxy);
}

size_t fh_proxy_carried(struct fh_proxy *proxy, enum fh_proxy_direction direction)
{
    (void)pthread_mutex_lock(&proxy->lock);
    size_t carried = proxy->carried[direction];
    (void)pthread_mutex_unlock(&proxy->lock);
    return carried;
}
