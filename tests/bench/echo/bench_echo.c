/* An echo server over server/rpc: what a call costs when its handler does nothing. Prints "port <n>
 * poller <name>", and when it has stopped (SIGTERM) "calls <n> cpu_us <n>", process CPU from the
 * first call on.
 *
 *   bench_echo [--pump] [--no-coalesce] [--address A] [--async] [--request FILE]
 *
 * --async replies on the loop's next turn instead of from the handler, as a store does. --request
 * writes a framed request of 36 bytes for h2load to FILE and exits.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#include "base/env.h"
#include "base/list.h"
#include "echo.pb-c.h"
#include "server/rpc/call.h"
#include "server/rpc/server.h"

#define REQUEST_BYTES 36
#define RESPONSE_BYTES 288

struct waiting {
    struct fh_list node;
    struct fh_call *call;
};

struct app {
    struct fh_env env;
    struct fh_rpc_server *server;
    uv_signal_t term;
    uv_idle_t later;
    struct fh_list waiting;
    bool async;
    uint64_t calls;
    int64_t cpu_us_before;
};

static int64_t cpu_us(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static void reply(struct fh_call *call)
{
    static uint8_t payload[RESPONSE_BYTES - 3];
    Freehold__Bench__V1__EchoResponse response = FREEHOLD__BENCH__V1__ECHO_RESPONSE__INIT;

    response.payload.data = payload;
    response.payload.len = sizeof(payload);
    fh_call_reply(call, &response.base);
}

static void later_cb(uv_idle_t *handle)
{
    struct app *app = handle->data;
    struct fh_list *node;

    while ((node = fh_list_pop_front(&app->waiting)) != NULL) {
        reply(FH_CONTAINER_OF(node, struct waiting, node)->call);
    }
    (void)uv_idle_stop(handle);
}

static void echo_cb(struct fh_call *call, void *arg)
{
    struct app *app = arg;

    if (app->calls++ == 0) {
        app->cpu_us_before = cpu_us();
    }
    if (!app->async) {
        reply(call);
        return;
    }
    struct waiting *waiting = FH_ARENA_NEW(fh_call_arena(call), struct waiting);
    if (waiting == NULL) {
        fh_call_fail_code(call, FH_NOMEM);
        return;
    }
    waiting->call = call;
    fh_list_push_back(&app->waiting, &waiting->node);
    (void)uv_idle_start(&app->later, later_cb);
}

static void stopped_cb(void *arg)
{
    struct app *app = arg;

    uv_close((uv_handle_t *)&app->term, NULL);
    uv_close((uv_handle_t *)&app->later, NULL);
}

static void signal_cb(uv_signal_t *handle, int number)
{
    struct app *app = handle->data;

    (void)number;
    (void)printf("calls %llu cpu_us %lld\n", (unsigned long long)app->calls,
                 (long long)(cpu_us() - app->cpu_us_before));
    fh_rpc_server_stop(app->server, stopped_cb, app);
}

static int write_request(const char *path)
{
    /* gRPC's frame: not compressed, length; then field 1 with 34 bytes. */
    unsigned char body[5 + REQUEST_BYTES] = {0, 0, 0, 0, REQUEST_BYTES, 0x0a, REQUEST_BYTES - 2};
    FILE *file = fopen(path, "we");

    if (file == NULL) {
        perror(path);
        return 1;
    }
    size_t written = fwrite(body, 1, sizeof(body), file);
    return fclose(file) == 0 && written == sizeof(body) ? 0 : 1;
}

static enum fh_code serve(struct app *app, const struct fh_rpc_options *options,
                          const char *address, struct fh_error *error)
{
    const struct fh_rpc_method method = {.name = "Echo", .kind = FH_RPC_UNARY, .handler = echo_cb};
    const struct fh_rpc_service service = {.descriptor =
                                               &freehold__bench__v1__echo_service__descriptor,
                                           .methods = &method,
                                           .method_count = 1,
                                           .arg = app};
    const struct fh_rpc_listener listener = {
        .name = "bench", .address = address, .services = &service, .service_count = 1};
    enum fh_code code = fh_rpc_server_create(&app->env, options, &app->server, error);

    if (code != FH_OK) {
        return code;
    }
    code = fh_rpc_server_listen(app->server, &listener, error);
    if (code == FH_OK) {
        code = fh_rpc_server_start(app->server, error);
    }
    if (code != FH_OK) {
        fh_rpc_server_stop(app->server, stopped_cb, app);
        return code;
    }
    (void)printf("port %d poller %s\n", fh_rpc_server_port(app->server, "bench"),
                 fh_rpc_server_poller(app->server));
    (void)fflush(stdout);
    return FH_OK;
}

int main(int argc, char **argv)
{
    static struct app app;
    struct fh_rpc_options options;
    struct fh_error error = FH_ERROR_INIT;
    const char *address = "127.0.0.1:0";
    uv_loop_t loop;

    fh_rpc_options_init(&options);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--pump") == 0) {
            options.force_pump = true;
        } else if (strcmp(argv[i], "--no-coalesce") == 0) {
            options.no_coalesce = true;
        } else if (strcmp(argv[i], "--async") == 0) {
            app.async = true;
        } else if (strcmp(argv[i], "--address") == 0 && i + 1 < argc) {
            address = argv[++i];
        } else if (strcmp(argv[i], "--request") == 0 && i + 1 < argc) {
            return write_request(argv[++i]);
        } else {
            (void)fprintf(stderr, "unknown option %s\n", argv[i]);
            return 2;
        }
    }
    if (uv_loop_init(&loop) != 0) {
        return 1;
    }
    app.env = (struct fh_env){.loop = &loop, .clock = fh_clock_system()};
    fh_list_init(&app.waiting);
    (void)uv_signal_init(&loop, &app.term);
    (void)uv_idle_init(&loop, &app.later);
    app.term.data = &app;
    app.later.data = &app;
    (void)uv_signal_start(&app.term, signal_cb, SIGTERM);
    enum fh_code code = serve(&app, &options, address, &error);
    if (code != FH_OK) {
        (void)fprintf(stderr, "%s\n", fh_error_text(&error));
        if (app.server == NULL) {
            stopped_cb(&app);
        }
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    return code == FH_OK ? 0 : 1;
}
