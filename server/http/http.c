/* libmicrohttpd offers its epoll descriptor; the loop polls it and lets it run. Its connections
 * time out by its own clock, so a timer gives it a turn twice a second as well.
 *
 * Failures: an address that cannot be bound fails start with a message; a failed response is closed
 * by the library. */
#include "server/http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/assert.h"

#define CONNECTIONS_MAX 64
#define TIMEOUT_S 10
#define REQUEST_BYTES_MAX 8192
#define RESPONSE_BYTES_MAX (4 * 1024 * 1024)
#define TURN_MS 500

struct fh_http {
    const struct fh_env *env;
    struct fh_http_options options;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;
    int handles_open;
    int port;
    void (*stopped_cb)(void *arg);
    void *stopped_arg;
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
                              struct fh_str body)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body.len, (void *)(uintptr_t)body.data, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    enum MHD_Result result = MHD_add_response_header(response, "Content-Type", type);
    if (result == MHD_YES) {
        result = MHD_add_response_header(response, "Cache-Control", "no-store");
    }
    if (result == MHD_YES && status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        result = MHD_add_response_header(response, "Allow", "GET, HEAD");
    }
    if (result == MHD_YES) {
        result = MHD_queue_response(connection, status, response);
    }
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_metrics(struct fh_http *http, struct MHD_Connection *connection)
{
    struct fh_buf buf;
    fh_buf_init(&buf, RESPONSE_BYTES_MAX);
    http->options.metrics(&buf, http->options.arg);
    enum MHD_Result result;
    if (fh_buf_code(&buf) == FH_OK) {
        result = answer(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
                        fh_buf_str(&buf));
    } else {
        result = answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain",
                        FH_STR("out of memory\n"));
    }
    fh_buf_close(&buf);
    return result;
}

static enum MHD_Result answer_ready(struct fh_http *http, struct MHD_Connection *connection)
{
    const char *why_not = "starting";
    if (http->options.ready(&why_not, http->options.arg)) {
        return answer(connection, MHD_HTTP_OK, "text/plain", FH_STR("ready\n"));
    }
    char text[256];
    int len = snprintf(text, sizeof(text), "not ready: %s\n", why_not);
    FH_ASSERT(len > 0);
    size_t used = (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1;
    return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain",
                  (struct fh_str){.data = text, .len = used});
}

/* The library's handler type; *connection_state tells the first turn (headers only) from the
 * second. */
static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **connection_state)
{
    static int seen;
    struct fh_http *http = arg;
    (void)version;
    (void)upload;
    if (*connection_state == NULL) {
        *connection_state = &seen;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        *upload_size = 0; /* swallowed: the library's own limits bound it */
        return MHD_YES;
    }
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain",
                      FH_STR("GET or HEAD only\n"));
    }
    if (strcmp(url, "/metrics") == 0) {
        return answer_metrics(http, connection);
    }
    if (strcmp(url, "/healthz") == 0) {
        return answer(connection, MHD_HTTP_OK, "text/plain", FH_STR("ok\n"));
    }
    if (strcmp(url, "/readyz") == 0) {
        return answer_ready(http, connection);
    }
    return answer(connection, MHD_HTTP_NOT_FOUND, "text/plain",
                  FH_STR("not found; try /metrics, /healthz or /readyz\n"));
}

static void on_timer(uv_timer_t *timer);

static void run_daemon(struct fh_http *http)
{
    MHD_UNSIGNED_LONG_LONG next_ms = TURN_MS;
    (void)MHD_run(http->daemon);
    if (MHD_get_timeout(http->daemon, &next_ms) != MHD_YES || next_ms > TURN_MS) {
        next_ms = TURN_MS;
    }
    int rc = uv_timer_start(&http->timer, on_timer, next_ms, 0);
    FH_ASSERT(rc == 0); /* the callback is not NULL, the handle not closing */
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run_daemon(poll->data);
}

static void on_timer(uv_timer_t *timer)
{
    run_daemon(timer->data);
}

static enum fh_code parse_address(const struct fh_http_options *options, struct sockaddr_in *out,
                                  struct fh_error *error)
{
    const char *colon = strrchr(options->address, ':');
    char host[64];
    long long port = -1;
    if (colon == NULL || (size_t)(colon - options->address) >= sizeof(host) ||
        !fh_str_to_int64(fh_str_of(colon + 1), &port) || port < 0 || port > 65535) {
        return fh_error_set(error, FH_INVALID,
                            "HTTP address '%s' is not of the form 127.0.0.1:7072",
                            options->address);
    }
    memcpy(host, options->address, (size_t)(colon - options->address));
    host[colon - options->address] = '\0';
    memset(out, 0, sizeof(*out));
    out->sin_family = AF_INET;
    out->sin_port = htons((uint16_t)port);
    if (inet_pton(AF_INET, host, &out->sin_addr) != 1) {
        return fh_error_set(error, FH_INVALID, "HTTP address '%s' needs a numeric IPv4 host",
                            options->address);
    }
    bool loopback = (ntohl(out->sin_addr.s_addr) >> 24) == 127;
    if (!loopback && !options->insecure) {
        return fh_error_set(error, FH_INVALID,
                            "HTTP address '%s' is beyond loopback and has no TLS; bind loopback "
                            "behind a proxy, or say --insecure",
                            options->address);
    }
    return FH_OK;
}

static enum fh_code start_daemon(struct fh_http *http, const struct sockaddr_in *address,
                                 struct fh_error *error)
{
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, handle, http, MHD_OPTION_SOCK_ADDR,
        (const struct sockaddr *)address, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)REQUEST_BYTES_MAX, MHD_OPTION_END);
    if (http->daemon == NULL) {
        return fh_error_set(error, FH_UNAVAILABLE, "cannot listen for HTTP on %s: %s",
                            http->options.address, strerror(errno));
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    http->port = info != NULL ? info->port : 0;
    return FH_OK;
}

static void on_closed(uv_handle_t *handle)
{
    struct fh_http *http = handle->data;
    http->handles_open--;
    if (http->handles_open > 0) {
        return;
    }
    if (http->daemon != NULL) {
        MHD_stop_daemon(http->daemon);
    }
    void (*stopped_cb)(void *arg) = http->stopped_cb;
    void *arg = http->stopped_arg;
    fh_free(http);
    if (stopped_cb != NULL) {
        stopped_cb(arg);
    }
}

void fh_http_stop(struct fh_http *http, void (*stopped_cb)(void *arg), void *arg)
{
    http->stopped_cb = stopped_cb;
    http->stopped_arg = arg;
    uv_close((uv_handle_t *)&http->poll, on_closed);
    uv_close((uv_handle_t *)&http->timer, on_closed);
}

enum fh_code fh_http_start(const struct fh_env *env, const struct fh_http_options *options,
                           struct fh_http **out, struct fh_error *error)
{
    struct sockaddr_in address;
    enum fh_code code = parse_address(options, &address, error);
    if (code != FH_OK) {
        return code;
    }
    struct fh_http *http = fh_calloc(1, sizeof(*http));
    if (http == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    http->env = env;
    http->options = *options;
    code = start_daemon(http, &address, error);
    if (code != FH_OK) {
        fh_free(http);
        return code;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL || uv_poll_init(env->loop, &http->poll, info->epoll_fd) != 0) {
        MHD_stop_daemon(http->daemon);
        fh_free(http);
        return fh_error_set(error, FH_INTERNAL, "cannot poll the HTTP descriptor");
    }
    http->poll.data = http;
    int rc = uv_timer_init(env->loop, &http->timer);
    FH_ASSERT(rc == 0); /* libuv: always succeeds */
    http->timer.data = http;
    http->handles_open = 2;
    if (uv_poll_start(&http->poll, UV_READABLE, on_readable) != 0 ||
        uv_timer_start(&http->timer, on_timer, TURN_MS, 0) != 0) {
        fh_http_stop(http, NULL, NULL);
        return fh_error_set(error, FH_INTERNAL, "cannot poll the HTTP descriptor");
    }
    *out = http;
    return FH_OK;
}

int fh_http_port(const struct fh_http *http)
{
    return http->port;
}
