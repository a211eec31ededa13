/* A small server over server/rpc, for the integration tests: prints "port <n> poller <name>",
 * serves until SIGTERM, drains, prints "stopped", exits 0.
 *
 *   rpc_test_server [--pump] [--no-coalesce] [--address A] [--tls CERT KEY] [--insecure] [--token
 * T]
 *                   [--calls-max N] [--drain-ms N] [--deadline-ms N] [--deadline-max-ms N]
 * [--closed]
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/env.h"
#include "base/log.h"
#include "rpc_test.pb-c.h"
#include "server/rpc/call.h"
#include "server/rpc/server.h"

#define TEST(name) Freehold__Test__V1__##name

struct app {
    struct fh_env env;
    struct fh_rpc_server *server;
    const char *token;
    uv_signal_t term;
    uv_signal_t interrupt;
    uint64_t holding;
    uint64_t cancellations;
    uint64_t counted;
    bool count_ended;
    uint64_t observed[FH_CODE_COUNT];
};

struct options {
    struct fh_rpc_options rpc;
    struct fh_rpc_listener listener;
    const char *token;
};

static void echo_cb(struct fh_call *call, void *arg)
{
    struct app *app = arg;
    const TEST(EchoRequest) *request = (const TEST(EchoRequest) *)fh_call_request(call);
    TEST(EchoResponse) response = FREEHOLD__TEST__V1__ECHO_RESPONSE__INIT;
    struct fh_arena *arena = fh_call_arena(call);
    char id[FH_UUID_TEXT_LEN + 1];
    struct fh_str peer = fh_call_peer(call);

    fh_uuid_format(fh_call_id(call), id);
    response.text = request->text;
    response.payload = request->payload;
    response.number_count = request->n_numbers;
    response.request_id = id;
    response.peer = fh_arena_copy(arena, peer.data, peer.len);
    response.deadline_left_us = fh_call_deadline_us(call) - fh_clock_monotonic_us(app->env.clock);
    if (request->response_bytes > 0) {
        response.payload.len = request->response_bytes;
        response.payload.data = fh_arena_calloc(arena, 1, request->response_bytes);
    }
    if (response.peer == NULL || (response.payload.len > 0 && response.payload.data == NULL)) {
        fh_call_fail_code(call, FH_NOMEM);
        return;
    }
    fh_call_add_trailer(call, "freehold-test", FH_STR("trailer"));
    fh_call_reply(call, &response.base);
}

/* -- Count ----------------------------------------------------------------------------------- */

struct count {
    struct app *app;
    uint64_t next;
    uint64_t end;
    enum fh_code code;
    ProtobufCBinaryData payload;
};

static enum fh_code code_named(const char *name)
{
    for (int i = 0; i < FH_CODE_COUNT; i++) {
        if (strcmp(fh_code_name((enum fh_code)i), name) == 0) {
            return (enum fh_code)i;
        }
    }
    return FH_INTERNAL;
}

static void count_on(struct fh_call *call, struct count *count)
{
    TEST(CountResponse) response = FREEHOLD__TEST__V1__COUNT_RESPONSE__INIT;

    while (count->next < count->end) {
        response.index = count->next;
        response.payload = count->payload;
        enum fh_code code = fh_call_send(call, &response.base);
        if (code == FH_FULL) {
            return;
        }
        if (code != FH_OK) {
            count->app->count_ended = true;
            fh_call_fail_code(call, code);
            return;
        }
        count->next++;
        count->app->counted = count->next;
    }
    count->app->count_ended = true;
    if (count->code != FH_OK) {
        fh_call_fail_code(call, count->code);
    } else {
        fh_call_finish(call);
    }
}

static void count_writable_cb(struct fh_call *call, void *arg)
{
    count_on(call, arg);
}

static void count_cb(struct fh_call *call, void *arg)
{
    const TEST(CountRequest) *request = (const TEST(CountRequest) *)fh_call_request(call);
    struct count *count = FH_ARENA_NEW(fh_call_arena(call), struct count);

    if (count == NULL) {
        fh_call_fail_code(call, FH_NOMEM);
        return;
    }
    count->app = arg;
    count->end = request->messages;
    count->code = request->code[0] != '\0' ? code_named(request->code) : FH_OK;
    count->payload.len = request->bytes;
    count->payload.data = fh_arena_calloc(fh_call_arena(call), 1, request->bytes);
    if (count->payload.data == NULL) {
        fh_call_fail_code(call, FH_NOMEM);
        return;
    }
    count->app->counted = 0;
    count->app->count_ended = false;
    fh_call_on_writable(call, count_writable_cb, count);
    count_on(call, count);
}

/* -- Hold ------------------------------------------------------------------------------------ */

static void hold_cancelled_cb(struct fh_call *call, void *arg)
{
    struct app *app = arg;

    app->holding--;
    app->cancellations++;
    fh_call_fail_code(call, FH_CANCELLED);
}

static void hold_cb(struct fh_call *call, void *arg)
{
    struct app *app = arg;

    app->holding++;
    fh_call_on_cancelled(call, hold_cancelled_cb, app);
}

static void fail_cb(struct fh_call *call, void *arg)
{
    const TEST(FailRequest) *request = (const TEST(FailRequest) *)fh_call_request(call);
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code = code_named(request->code);

    (void)arg;
    if (request->everything) {
        struct fh_status status = {
            .code = code,
            .message = fh_str_of(request->message),
            .metadata = {{FH_STR("tenant"), FH_STR("t-1")}, {FH_STR("store"), FH_STR("s-1")}},
            .metadata_count = 2,
            .violations = {{FH_STR("a.b"), FH_STR("too long")}, {FH_STR("c"), FH_STR("missing")}},
            .violation_count = 2,
            .retry_after_ms = 1250,
            .help_url = FH_STR("https://example.org/help"),
            .help_description = FH_STR("how to go on"),
        };
        fh_call_fail_status(call, &status);
        return;
    }
    if (request->field[0] != '\0') {
        (void)fh_error_field(&error, code, request->field, "%s", request->message);
    } else {
        (void)fh_error_set(&error, code, "%s", request->message);
    }
    fh_call_fail(call, &error);
}

/* -- State ----------------------------------------------------------------------------------- */

static uint64_t rss_bytes(void)
{
    char line[128] = "";
    char *end = NULL;
    FILE *file = fopen("/proc/self/statm", "re");

    if (file == NULL) {
        return 0;
    }
    bool read = fgets(line, sizeof(line), file) != NULL;
    (void)fclose(file);
    /* Pages of the whole program, then those in memory. */
    (void)strtoull(line, &end, 10);
    return read ? strtoull(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static void state_cb(struct fh_call *call, void *arg)
{
    struct app *app = arg;
    TEST(StateResponse) response = FREEHOLD__TEST__V1__STATE_RESPONSE__INIT;
    TEST(StateResponse__ObservedEntry) entries[FH_CODE_COUNT];
    TEST(StateResponse__ObservedEntry) * pointers[FH_CODE_COUNT];

    for (int i = 0; i < FH_CODE_COUNT; i++) {
        if (app->observed[i] > 0) {
            TEST(StateResponse__ObservedEntry) *entry = &entries[response.n_observed];
            freehold__test__v1__state_response__observed_entry__init(entry);
            entry->key = (char *)(uintptr_t)fh_code_name((enum fh_code)i);
            entry->value = app->observed[i];
            pointers[response.n_observed++] = entry;
        }
    }
    response.observed = pointers;
    response.live_calls = fh_rpc_server_live_calls(app->server);
    response.holding = app->holding;
    response.cancellations = app->cancellations;
    response.counted = app->counted;
    response.count_ended = app->count_ended;
    response.rss_bytes = rss_bytes();
    response.poller = (char *)(uintptr_t)fh_rpc_server_poller(app->server);
    fh_call_reply(call, &response.base);
}

static void set_serving_cb(struct fh_call *call, void *arg)
{
    struct app *app = arg;
    const TEST(SetServingRequest) *request = (const TEST(SetServingRequest) *)fh_call_request(call);

    fh_rpc_server_set_serving(app->server, request->service, request->serving);
    state_cb(call, arg);
}

static void faults_cb(struct fh_call *call, void *arg)
{
    const TEST(FaultsRequest) *request = (const TEST(FaultsRequest) *)fh_call_request(call);
    TEST(FaultsResponse) response = FREEHOLD__TEST__V1__FAULTS_RESPONSE__INIT;
    bool on = request->on;
    long after = (long)request->after;

    (void)arg;
    response.delivered = fh_alloc_fault_off() != 0;
    fh_call_reply(call, &response.base);
    if (on) {
        fh_alloc_fault_on(after, 1);
    }
}

static const struct fh_rpc_method methods[] = {
    {.name = "Echo", .kind = FH_RPC_UNARY, .access = 1, .handler = echo_cb},
    {.name = "Count", .kind = FH_RPC_SERVER_STREAM, .access = 1, .handler = count_cb},
    {.name = "Hold", .kind = FH_RPC_UNARY, .access = 1, .handler = hold_cb},
    {.name = "HoldStream", .kind = FH_RPC_SERVER_STREAM, .access = 1, .handler = hold_cb},
    {.name = "Fail", .kind = FH_RPC_UNARY, .access = 1, .handler = fail_cb},
    {.name = "State", .kind = FH_RPC_UNARY, .access = 0, .handler = state_cb},
    {.name = "SetServing", .kind = FH_RPC_UNARY, .access = 0, .handler = set_serving_cb},
    {.name = "Faults", .kind = FH_RPC_UNARY, .access = 0, .handler = faults_cb},
};

/* -- process --------------------------------------------------------------------------------- */

static enum fh_code authenticate_cb(struct fh_call *call, uint32_t access, void *arg,
                                    struct fh_error *error)
{
    struct app *app = arg;

    if (access == 0 || app->token == NULL) {
        return FH_OK;
    }
    if (!fh_str_eq(fh_call_metadata(call, "authorization"), fh_str_of(app->token))) {
        return fh_error_set(error, FH_UNAUTHENTICATED, "no valid token");
    }
    /* As a principal is: in the arena, and read again when the call is observed. */
    fh_call_set_context(call, fh_arena_copy(fh_call_arena(call), app->token, strlen(app->token)));
    return (access & 1) != 0 ? FH_OK
                             : fh_error_set(error, FH_PERMISSION, "a role that nobody here has");
}

static void observe_cb(const struct fh_rpc_observation *observation, void *arg)
{
    struct app *app = arg;
    const char *token = fh_call_context(observation->call);

    app->observed[token == NULL || strcmp(token, app->token) == 0 ? observation->code
                                                                  : FH_CORRUPT]++;
}

static void stopped_cb(void *arg)
{
    struct app *app = arg;

    uv_close((uv_handle_t *)&app->term, NULL);
    uv_close((uv_handle_t *)&app->interrupt, NULL);
}

static void signal_cb(uv_signal_t *handle, int number)
{
    struct app *app = handle->data;

    (void)number;
    (void)printf("stopping\n");
    (void)fflush(stdout);
    fh_rpc_server_stop(app->server, stopped_cb, app);
}

static void parse(int argc, char **argv, struct options *options)
{
    fh_rpc_options_init(&options->rpc);
    options->listener = (struct fh_rpc_listener){.name = "test", .address = "127.0.0.1:0"};
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--pump") == 0) {
            options->rpc.force_pump = true;
        } else if (strcmp(argv[i], "--no-coalesce") == 0) {
            options->rpc.no_coalesce = true;
        } else if (strcmp(argv[i], "--insecure") == 0) {
            options->listener.insecure = true;
        } else if (strcmp(argv[i], "--address") == 0) {
            options->listener.address = argv[++i];
        } else if (strcmp(argv[i], "--token") == 0) {
            options->token = argv[++i];
        } else if (strcmp(argv[i], "--tls") == 0 && i + 2 < argc) {
            options->listener.tls_certificate_pem = argv[++i];
            options->listener.tls_key_pem = argv[++i];
        } else if (strcmp(argv[i], "--calls-max") == 0) {
            options->rpc.calls_max = (uint32_t)strtoul(next, NULL, 10);
            i++;
        } else if (strcmp(argv[i], "--drain-ms") == 0) {
            options->rpc.drain_us = strtoll(next, NULL, 10) * 1000;
            i++;
        } else if (strcmp(argv[i], "--deadline-ms") == 0) {
            options->rpc.deadline_us_default = strtoll(next, NULL, 10) * 1000;
            i++;
        } else if (strcmp(argv[i], "--deadline-max-ms") == 0) {
            options->rpc.deadline_us_max = strtoll(next, NULL, 10) * 1000;
            i++;
        } else {
            (void)fprintf(stderr, "unknown option %s\n", argv[i]);
            exit(2);
        }
    }
}

static enum fh_code serve(struct app *app, struct options *options, struct fh_error *error)
{
    struct fh_rpc_service service = {.descriptor = &freehold__test__v1__test_service__descriptor,
                                     .methods = methods,
                                     .method_count = sizeof(methods) / sizeof(methods[0]),
                                     .arg = app};

    options->rpc.observe = observe_cb;
    options->rpc.observe_arg = app;
    options->listener.services = &service;
    options->listener.service_count = 1;
    options->listener.authenticate = authenticate_cb;
    options->listener.authenticate_arg = app;
    app->token = options->token;
    enum fh_code code = fh_rpc_server_create(&app->env, &options->rpc, &app->server, error);
    if (code != FH_OK) {
        return code;
    }
    code = fh_rpc_server_listen(app->server, &options->listener, error);
    if (code == FH_OK) {
        code = fh_rpc_server_start(app->server, error);
    }
    if (code != FH_OK) {
        fh_rpc_server_stop(app->server, stopped_cb, app);
        return code;
    }
    fh_rpc_server_set_serving(app->server, "", true);
    (void)printf("port %d poller %s\n", fh_rpc_server_port(app->server, "test"),
                 fh_rpc_server_poller(app->server));
    (void)fflush(stdout);
    return FH_OK;
}

int main(int argc, char **argv)
{
    static struct app app;
    struct options options = {.token = NULL};
    struct fh_error error = FH_ERROR_INIT;
    uv_loop_t loop;

    parse(argc, argv, &options);
    if (uv_loop_init(&loop) != 0) {
        return 1;
    }
    app.env = (struct fh_env){.loop = &loop, .clock = fh_clock_system()};
    if (fh_log_create(STDERR_FILENO, FH_LOG_INFO, app.env.clock, &app.env.log) != FH_OK) {
        return 1;
    }
    (void)uv_signal_init(&loop, &app.term);
    (void)uv_signal_init(&loop, &app.interrupt);
    app.term.data = &app;
    app.interrupt.data = &app;
    (void)uv_signal_start(&app.term, signal_cb, SIGTERM);
    (void)uv_signal_start(&app.interrupt, signal_cb, SIGINT);
    enum fh_code code = serve(&app, &options, &error);
    if (code != FH_OK) {
        (void)fprintf(stderr, "refused: %s\n", fh_error_text(&error));
        if (app.server == NULL) {
            stopped_cb(&app);
        }
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    int closed = uv_loop_close(&loop);
    fh_log_destroy(app.env.log);
    (void)printf("stopped\n");
    return code == FH_OK && closed == 0 ? 0 : 1;
}
