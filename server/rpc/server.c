/* The server: its poller, its listeners, and the order of its end.
 *
 * Happy path: create, listen, start; each turn of the poller calls back what was put off and, every
 * 10 ms, looks for passed deadlines. stop: health says not serving, each grpc_server is told to
 * shut down (gRPC refuses new calls then), our own streams are ended, live calls may finish within
 * drain_us, after that everything is cancelled; when no call lives and every grpc_server reported,
 * they are destroyed, then the queue, then gRPC; the last callback frees the server and tells the
 * caller.
 *
 * Failures: shutting the queue down with a live call would abort the process, so the live count
 * decides; a handler that never ends its call keeps the server from stopping, and that is logged.
 */
#include "server/rpc/server.h"

#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "server/rpc/internal.h"

#define DEADLINES_EVERY_US 10000
#define METADATA_BYTES_LIMIT (1 << 20)

/* gRPC's poller and log are process-wide. */
static struct fh_rpc_server *the_server;

void fh_rpc_options_init(struct fh_rpc_options *options)
{
    *options = (struct fh_rpc_options){
        .slots_per_method = 32,
        .calls_max = 4096,
        .request_bytes_max = 4U << 20,
        .response_bytes_max = 16U << 20,
        .metadata_bytes_max = 16U << 10,
        .arena_bytes_max = 64U << 20,
        .deadline_us_default = INT64_C(30) * 1000000,
        .deadline_us_max = INT64_C(600) * 1000000,
        .drain_us = INT64_C(10) * 1000000,
    };
}

static void grpc_log_cb(gpr_log_func_args *args)
{
    struct fh_rpc_server *server = the_server;

    if (server != NULL && args->severity == GPR_LOG_SEVERITY_ERROR) {
        FH_LOG(server->env.log, WARN, "grpc.message", FH_KV_TEXT("text", args->message));
    }
}

static void turn_cb(void *arg)
{
    struct fh_rpc_server *server = arg;
    int64_t now_us = fh_clock_monotonic_us(server->env.clock);

    server->turn++;
    fh_rpc_call_run_deferred(server);
    if (now_us - server->deadlines_looked_us >= DEADLINES_EVERY_US) {
        server->deadlines_looked_us = now_us;
        fh_rpc_call_check_deadlines(server, now_us);
        fh_rpc_poller_busy(server->poller, server->live_count > 0 || server->phase > RPC_SERVING);
    }
}

enum fh_code fh_rpc_server_create(const struct fh_env *env, const struct fh_rpc_options *options,
                                  struct fh_rpc_server **out, struct fh_error *error)
{
    struct fh_rpc_server *server = NULL;
    enum fh_code code = FH_NOMEM;

    *out = NULL;
    if (the_server != NULL) {
        return fh_error_set(error, FH_EXISTS, "a process has one gRPC server at a time");
    }
    if (options->calls_max == 0 || options->slots_per_method == 0 ||
        options->arena_bytes_max == 0) {
        return fh_error_set(error, FH_INVALID, "calls, slots and memory of a call cannot be 0");
    }
    if (options->metadata_bytes_max > METADATA_BYTES_LIMIT) {
        return fh_error_set(error, FH_INVALID, "metadata is at most %d bytes",
                            METADATA_BYTES_LIMIT);
    }
    server = fh_calloc(1, sizeof(*server));
    if (server == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory for the gRPC server");
    }
    server->env = *env;
    server->options = *options;
    fh_list_init(&server->live);
    fh_list_init(&server->deferred);
    fh_rpc_health_init(&server->health);
    code = fh_slab_init(&server->calls, sizeof(struct fh_call),
                        (size_t)options->calls_max + FH_RPC_REFUSALS_MAX);
    if (code != FH_OK) {
        fh_free(server);
        return fh_error_set(error, code, "out of memory for %u calls", options->calls_max);
    }
    struct fh_rpc_poller_config config = {.force_pump = options->force_pump,
                                          .no_coalesce = options->no_coalesce,
                                          .turn_cb = turn_cb,
                                          .arg = server};
    gpr_set_log_function(grpc_log_cb);
    code = fh_rpc_poller_create(env->loop, &config, &server->poller, error);
    if (code != FH_OK) {
        fh_slab_close(&server->calls);
        fh_free(server);
        return code;
    }
    (void)uv_timer_init(env->loop, &server->drain_timer);
    server->drain_timer.data = server;
    the_server = server;
    *out = server;
    return FH_OK;
}

enum fh_code fh_rpc_server_start(struct fh_rpc_server *server, struct fh_error *error)
{
    FH_ASSERT(server->phase == RPC_IDLE);
    for (uint32_t i = 0; i < server->listener_count; i++) {
        struct rpc_listener *listener = &server->listeners[i];
        if (listener->refused) {
            return fh_error_set(error, FH_PRECONDITION, "listener %s was refused", listener->name);
        }
    }
    server->phase = RPC_SERVING;
    for (uint32_t i = 0; i < server->listener_count; i++) {
        struct rpc_listener *listener = &server->listeners[i];
        grpc_server_start(listener->grpc);
        for (size_t m = 0; m < listener->method_count; m++) {
            enum fh_code code = fh_rpc_slots_arm(&listener->methods[m]);
            if (code != FH_OK) {
                return fh_error_set(error, code, "listener %s: cannot arm %s", listener->name,
                                    listener->methods[m].path);
            }
        }
        FH_LOG(server->env.log, INFO, "rpc.listening", FH_KV_TEXT("listener", listener->name),
               FH_KV_TEXT("address", listener->address), FH_KV_INT("port", listener->port),
               FH_KV_TEXT("poller", fh_rpc_poller_name(server->poller)));
    }
    fh_rpc_poller_kick(server->poller);
    return FH_OK;
}

const char *fh_rpc_server_poller(const struct fh_rpc_server *server)
{
    return fh_rpc_poller_name(server->poller);
}

void fh_rpc_server_set_serving(struct fh_rpc_server *server, const char *service, bool serving)
{
    if (server->phase <= RPC_SERVING) {
        fh_rpc_health_set(&server->health, service, serving);
    }
}

size_t fh_rpc_server_live_calls(const struct fh_rpc_server *server)
{
    return server->live_count;
}

/* -- stop ------------------------------------------------------------------------------------ */

static void destroy(struct fh_rpc_server *server)
{
    for (size_t i = 0; i < server->calls.count; i++) {
        struct fh_call *call = server->calls.objects[i];
        if (call->arena_ready) {
            fh_arena_close(&call->arena);
        }
    }
    fh_slab_close(&server->calls);
    for (uint32_t i = 0; i < server->listener_count; i++) {
        fh_rpc_listener_close(&server->listeners[i]);
    }
    fh_rpc_stopped_cb *stopped_cb = server->stopped_cb;
    void *stopped_arg = server->stopped_arg;
    fh_free(server);
    stopped_cb(stopped_arg);
}

static void timer_closed_cb(uv_handle_t *handle)
{
    destroy(handle->data);
}

static void poller_closed_cb(void *arg)
{
    struct fh_rpc_server *server = arg;

    the_server = NULL;
    uv_close((uv_handle_t *)&server->drain_timer, timer_closed_cb);
}

static void try_close(struct fh_rpc_server *server)
{
    if (server->phase != RPC_DRAINING && server->phase != RPC_CANCELLING) {
        return;
    }
    for (uint32_t i = 0; i < server->listener_count; i++) {
        if (!server->listeners[i].shut) {
            return;
        }
    }
    if (server->live_count > 0) {
        return;
    }
    server->phase = RPC_CLOSING;
    (void)uv_timer_stop(&server->drain_timer);
    for (uint32_t i = 0; i < server->listener_count; i++) {
        grpc_server_destroy(server->listeners[i].grpc);
        server->listeners[i].grpc = NULL;
    }
    fh_rpc_poller_close(server->poller, poller_closed_cb, server);
}

void fh_rpc_server_call_gone(struct fh_rpc_server *server)
{
    FH_ASSERT(server->live_count > 0);
    server->live_count--;
    if (server->live_count == 0) {
        try_close(server);
    }
}

static void listener_shut_cb(struct fh_rpc_tag *tag, bool success)
{
    struct rpc_listener *listener = FH_CONTAINER_OF(tag, struct rpc_listener, shutdown_tag);

    (void)success;
    listener->shut = true;
    try_close(listener->server);
}

static void cancel_all(struct fh_rpc_server *server)
{
    if (server->phase != RPC_DRAINING) {
        return;
    }
    server->phase = RPC_CANCELLING;
    FH_LOG(server->env.log, WARN, "rpc.drain_cut", FH_KV_INT("calls", (int64_t)server->live_count));
    for (uint32_t i = 0; i < server->listener_count; i++) {
        grpc_server_cancel_all_calls(server->listeners[i].grpc);
    }
    fh_rpc_poller_kick(server->poller);
}

static void drain_over_cb(uv_timer_t *handle)
{
    cancel_all(handle->data);
}

/* Reflection streams idle between questions; they would hold the drain up to its end. */
static void end_builtin_streams(struct fh_rpc_server *server)
{
    struct fh_list due;
    struct fh_list *node = server->live.next;

    fh_list_init(&due);
    while (node != &server->live) {
        struct fh_call *call = FH_CONTAINER_OF(node, struct fh_call, live_node);
        node = node->next;
        if (call->method->builtin && call->method->kind == FH_RPC_BIDI && !call->ended) {
            fh_list_remove(&call->live_node);
            fh_list_push_back(&due, &call->live_node);
        }
    }
    while ((node = fh_list_pop_front(&due)) != NULL) {
        struct fh_call *call = FH_CONTAINER_OF(node, struct fh_call, live_node);
        fh_list_push_back(&server->live, &call->live_node);
        fh_call_fail_code(call, FH_SHUTTING_DOWN);
    }
}

void fh_rpc_server_stop(struct fh_rpc_server *server, fh_rpc_stopped_cb *stopped_cb, void *arg)
{
    if (server->phase > RPC_SERVING) {
        cancel_all(server);
        return;
    }
    bool started = server->phase == RPC_SERVING;
    server->stopped_cb = stopped_cb;
    server->stopped_arg = arg;
    server->phase = RPC_DRAINING;
    for (uint32_t i = 0; i < server->listener_count; i++) {
        struct rpc_listener *listener = &server->listeners[i];
        if (!started) {
            /* gRPC wants a server to have started before it is shut down. */
            grpc_server_start(listener->grpc);
        }
        listener->shutdown_tag.cb = listener_shut_cb;
        fh_rpc_tag_give(&listener->shutdown_tag);
        grpc_server_shutdown_and_notify(listener->grpc, fh_rpc_poller_queue(server->poller),
                                        &listener->shutdown_tag);
    }
    fh_rpc_health_stop(&server->health);
    end_builtin_streams(server);
    (void)uv_timer_start(&server->drain_timer, drain_over_cb,
                         (uint64_t)(server->options.drain_us / 1000), 0);
    fh_rpc_poller_busy(server->poller, true);
    fh_rpc_poller_kick(server->poller);
    if (server->listener_count == 0) {
        try_close(server);
    }
}
