#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "server/http/http.h"

#define TURNS_MAX 20000

static bool is_ready;

static void metrics(struct fh_buf *out, void *arg)
{
    (void)arg;
    fh_buf_add_text(out, "figure 1\n");
}

static bool ready(const char **why_not, void *arg)
{
    (void)arg;
    *why_not = "still starting";
    return is_ready;
}

static struct fh_http *start(struct fh_env *env)
{
    const struct fh_http_options options = {
        .address = "127.0.0.1:0", .metrics = metrics, .ready = ready};
    struct fh_http *http = NULL;
    struct fh_error error = FH_ERROR_INIT;
    assert_int_equal(fh_http_start(env, &options, &http, &error), FH_OK);
    assert_true(fh_http_port(http) > 0);
    return http;
}

static void stop(struct fh_env *env, struct fh_http *http)
{
    fh_http_stop(http, NULL, NULL);
    assert_int_equal(uv_run(env->loop, UV_RUN_DEFAULT), 0);
}

/* Sends raw bytes (and no more after them, if `last`) and turns the loop until the peer has closed.
 */
static void exchange(struct fh_env *env, int port, const char *request, bool last, char *answer,
                     size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    if (last) {
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
    }
    size_t len = 0;
    ssize_t got = -1;
    bool closed = false; /* or reset, when it closed with bytes of ours unread */
    for (int turn = 0; turn < TURNS_MAX && !closed; turn++) {
        (void)uv_run(env->loop, UV_RUN_ONCE);
        got = recv(fd, answer + len, size - 1 - len, MSG_DONTWAIT);
        len += got > 0 ? (size_t)got : 0;
        answer[len] = '\0';
        closed = got == 0 || (got < 0 && errno == ECONNRESET);
    }
    assert_true(closed);
    (void)close(fd);
}

static void assert_answers(struct fh_env *env, int port, const char *line, const char *status,
                           const char *body)
{
    char request[512];
    char answer[4096];
    (void)snprintf(request, sizeof(request), "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                   line);
    exchange(env, port, request, false, answer, sizeof(answer));
    assert_non_null(strstr(answer, status));
    assert_non_null(strstr(answer, body));
}

static void test_pages(void **state)
{
    uv_loop_t loop;
    struct fh_env env = {.loop = &loop, .clock = fh_clock_system()};
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct fh_http *http = start(&env);
    int port = fh_http_port(http);
    is_ready = false;
    assert_answers(&env, port, "GET /healthz", "200 OK", "ok\n");
    assert_answers(&env, port, "GET /readyz", "503 Service Unavailable", "still starting");
    is_ready = true;
    assert_answers(&env, port, "GET /readyz", "200 OK", "ready\n");
    assert_answers(&env, port, "GET /metrics", "200 OK", "figure 1\n");
    assert_answers(&env, port, "GET /etc/passwd", "404 Not Found", "not found");
    assert_answers(&env, port, "DELETE /metrics", "405 Method Not Allowed", "GET or HEAD");
    stop(&env, http);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_hostile_requests_end_the_connection(void **state)
{
    static char large[32 * 1024];
    char answer[4096];
    uv_loop_t loop;
    struct fh_env env = {.loop = &loop, .clock = fh_clock_system()};
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct fh_http *http = start(&env);
    memset(large, 'a', sizeof(large) - 1);
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): the beginning of a longer text */
    memcpy(large, "GET /", 5);
    exchange(&env, fh_http_port(http), large, false, answer, sizeof(answer));
    assert_non_null(strstr(answer, " 414 "));
    exchange(&env, fh_http_port(http), "\r\n\r\n\x01\x02 nonsense\r\n\r\n", true, answer,
             sizeof(answer));
    stop(&env, http);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_addresses(void **state)
{
    static const char *const bad[] = {"127.0.0.1", "localhost:1", "127.0.0.1:70000", "0.0.0.0:0",
                                      ":0",        "127.0.0.1:x", "10.0.0.1:0"};
    uv_loop_t loop;
    struct fh_env env = {.loop = &loop, .clock = fh_clock_system()};
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct fh_http_options options = {.address = bad[i], .metrics = metrics, .ready = ready};
        struct fh_http *http = NULL;
        struct fh_error error = FH_ERROR_INIT;
        assert_int_equal(fh_http_start(&env, &options, &http, &error), FH_INVALID);
        assert_true(error.message[0] != '\0');
    }
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_hostile_requests_end_the_connection),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
