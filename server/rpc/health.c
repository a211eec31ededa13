/* Happy path: Check and List answer from the table; Watch keeps a watcher in its call's arena,
 * sends the status now and whenever it differs from the last one sent.
 *
 * Failures: a watcher whose queue is full is told the latest status once it can take it, not every
 * step between; an unknown name is NOT_FOUND to Check and SERVICE_UNKNOWN to Watch, as the protocol
 * asks.
 */
#include "server/rpc/health.h"

#include <string.h>

#include "grpc/health/v1/health.pb-c.h"
#include "server/rpc/internal.h"

#define ALL_LISTENERS UINT32_MAX

typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus serving_status;
#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

struct watcher {
    struct fh_list node;
    struct fh_call *call;
    struct rpc_health *health;
    uint32_t listener;
    const char *service;
    serving_status told;
};

/* -- the table ------------------------------------------------------------------------------- */

static struct rpc_health_entry *find(struct rpc_health *health, const char *service)
{
    for (size_t i = 0; i < health->count; i++) {
        if (strcmp(health->entries[i].name, service) == 0) {
            return &health->entries[i];
        }
    }
    return NULL;
}

static struct rpc_health_entry *add(struct rpc_health *health, const char *service)
{
    size_t len = strlen(service);

    if (health->count == FH_RPC_HEALTH_NAMES_MAX || len >= FH_RPC_HEALTH_NAME_MAX) {
        return NULL;
    }
    struct rpc_health_entry *entry = &health->entries[health->count++];
    *entry = (struct rpc_health_entry){0};
    memcpy(entry->name, service, len + 1);
    return entry;
}

void fh_rpc_health_init(struct rpc_health *health)
{
    fh_list_init(&health->watchers);
    health->count = 0;
    add(health, "")->listeners = ALL_LISTENERS;
}

enum fh_code fh_rpc_health_offer(struct rpc_health *health, const char *service, uint32_t listener)
{
    struct rpc_health_entry *entry = find(health, service);

    if (entry == NULL) {
        entry = add(health, service);
    }
    if (entry == NULL) {
        return FH_FULL;
    }
    entry->listeners |= UINT32_C(1) << listener;
    return FH_OK;
}

static const struct rpc_health_entry *visible(struct rpc_health *health, const char *service,
                                              uint32_t listener)
{
    const struct rpc_health_entry *entry = find(health, service);

    return entry != NULL && (entry->listeners & (UINT32_C(1) << listener)) != 0 ? entry : NULL;
}

static serving_status status_of(const struct rpc_health_entry *entry)
{
    return entry->serving ? STATUS(SERVING) : STATUS(NOT_SERVING);
}

/* -- watchers -------------------------------------------------------------------------------- */

static void unwatch(struct watcher *watcher)
{
    fh_list_remove(&watcher->node);
    watcher->health->watcher_count--;
}

static void watcher_gone_cb(struct fh_call *call, void *arg)
{
    unwatch(arg);
    fh_call_fail_code(call, FH_CANCELLED);
}

static void tell(struct watcher *watcher)
{
    const struct rpc_health_entry *entry =
        visible(watcher->health, watcher->service, watcher->listener);
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    response.status = entry != NULL ? status_of(entry) : STATUS(SERVICE_UNKNOWN);
    if (response.status == watcher->told) {
        return;
    }
    /* Full: writable_cb comes here again. Cancelled: watcher_gone_cb comes. */
    if (fh_call_send(watcher->call, &response.base) == FH_OK) {
        watcher->told = response.status;
    }
}

static void watcher_writable_cb(struct fh_call *call, void *arg)
{
    (void)call;
    tell(arg);
}

static void tell_all(struct rpc_health *health)
{
    struct fh_list *node = health->watchers.next;

    while (node != &health->watchers) {
        struct watcher *watcher = FH_CONTAINER_OF(node, struct watcher, node);
        node = node->next;
        tell(watcher);
    }
}

void fh_rpc_health_set(struct rpc_health *health, const char *service, bool serving)
{
    struct rpc_health_entry *entry = find(health, service);

    if (entry == NULL) {
        entry = add(health, service);
        if (entry == NULL) {
            return;
        }
        entry->listeners = ALL_LISTENERS;
    }
    entry->serving = serving;
    tell_all(health);
}

void fh_rpc_health_stop(struct rpc_health *health)
{
    struct fh_list *node;

    for (size_t i = 0; i < health->count; i++) {
        health->entries[i].serving = false;
    }
    tell_all(health);
    while ((node = health->watchers.next) != &health->watchers) {
        struct watcher *watcher = FH_CONTAINER_OF(node, struct watcher, node);
        struct fh_call *call = watcher->call;
        unwatch(watcher);
        fh_call_fail_code(call, FH_SHUTTING_DOWN);
    }
}

/* -- methods --------------------------------------------------------------------------------- */

static const char *requested_service(const struct fh_call *call)
{
    const Grpc__Health__V1__HealthCheckRequest *request =
        (const Grpc__Health__V1__HealthCheckRequest *)fh_call_request(call);

    return request->service;
}

static void check_cb(struct fh_call *call, void *arg)
{
    struct rpc_listener *listener = arg;
    const struct rpc_health_entry *entry =
        visible(&listener->server->health, requested_service(call), listener->index);
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    struct fh_error error = FH_ERROR_INIT;

    if (entry == NULL) {
        (void)fh_error_set(&error, FH_NOT_FOUND, "this listener has no such service");
        fh_call_fail(call, &error);
        return;
    }
    response.status = status_of(entry);
    fh_call_reply(call, &response.base);
}

static void list_cb(struct fh_call *call, void *arg)
{
    struct rpc_listener *listener = arg;
    struct rpc_health *health = &listener->server->health;
    struct fh_arena *arena = fh_call_arena(call);
    Grpc__Health__V1__HealthListResponse response = GRPC__HEALTH__V1__HEALTH_LIST_RESPONSE__INIT;
    typedef Grpc__Health__V1__HealthListResponse__StatusesEntry list_entry;

    response.statuses = FH_ARENA_ARRAY(arena, list_entry *, health->count);
    for (size_t i = 0; response.statuses != NULL && i < health->count; i++) {
        struct rpc_health_entry *from = &health->entries[i];
        if (visible(health, from->name, listener->index) == NULL) {
            continue;
        }
        list_entry *to = FH_ARENA_NEW(arena, list_entry);
        Grpc__Health__V1__HealthCheckResponse *value =
            FH_ARENA_NEW(arena, Grpc__Health__V1__HealthCheckResponse);
        if (to == NULL || value == NULL) {
            response.statuses = NULL;
            break;
        }
        grpc__health__v1__health_list_response__statuses_entry__init(to);
        grpc__health__v1__health_check_response__init(value);
        value->status = status_of(from);
        to->key = from->name;
        to->value = value;
        response.statuses[response.n_statuses++] = to;
    }
    if (response.statuses == NULL) {
        fh_call_fail_code(call, FH_NOMEM);
        return;
    }
    fh_call_reply(call, &response.base);
}

static void watch_cb(struct fh_call *call, void *arg)
{
    struct rpc_listener *listener = arg;
    struct rpc_health *health = &listener->server->health;
    struct watcher *watcher = FH_ARENA_NEW(fh_call_arena(call), struct watcher);

    if (watcher == NULL || health->watcher_count == FH_RPC_HEALTH_WATCHERS_MAX) {
        fh_call_fail_code(call, FH_FULL);
        return;
    }
    *watcher = (struct watcher){.call = call,
                                .health = health,
                                .listener = listener->index,
                                .service = requested_service(call),
                                .told = STATUS(UNKNOWN)};
    fh_list_push_back(&health->watchers, &watcher->node);
    health->watcher_count++;
    fh_call_on_cancelled(call, watcher_gone_cb, watcher);
    fh_call_on_writable(call, watcher_writable_cb, watcher);
    tell(watcher);
}

struct fh_rpc_service fh_rpc_health_service(struct rpc_listener *listener)
{
    static const struct fh_rpc_method methods[] = {
        {.name = "Check", .kind = FH_RPC_UNARY, .handler = check_cb},
        {.name = "List", .kind = FH_RPC_UNARY, .handler = list_cb},
        {.name = "Watch", .kind = FH_RPC_SERVER_STREAM, .handler = watch_cb},
    };

    return (struct fh_rpc_service){.descriptor = &grpc__health__v1__health__descriptor,
                                   .methods = methods,
                                   .method_count = sizeof(methods) / sizeof(methods[0]),
                                   .arg = listener};
}
