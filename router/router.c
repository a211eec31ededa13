/* Happy path: create, add stores, set the schema; requests take their way in route.c; close.
 *
 * Failures: memory. Closing waits for look-ups that nobody waits for any more, and for the handles.
 */
#include "router/router.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "router/hold.h"
#include "router/route.h"

#define PLACEMENTS_MAX_DEFAULT 1000000
#define TENANT_IN_FLIGHT_MAX_DEFAULT 512
#define NEGATIVE_TTL_US_DEFAULT 1000000
#define HELD_MAX_DEFAULT 8192
#define PLACEMENT_TTL_US_DEFAULT (10 * 1000000)
#define STORES_MAX 1000
#define HANDLES 3 /* two wheels, and what drains */

void fh_router_options_init(struct fh_router_options *options)
{
    *options = (struct fh_router_options){
        .placements_max = PLACEMENTS_MAX_DEFAULT,
        .tenant_in_flight_max = TENANT_IN_FLIGHT_MAX_DEFAULT,
        .negative_ttl_us = NEGATIVE_TTL_US_DEFAULT,
        .held_max = HELD_MAX_DEFAULT,
        .placement_ttl_us = PLACEMENT_TTL_US_DEFAULT,
    };
}

static struct fh_str store_key(const void *item)
{
    const struct fh_store *store = item;
    return fh_str_of(store->name);
}

enum fh_code fh_router_create(const struct fh_env *env, struct fh_catalog *catalog,
                              const struct fh_router_options *options, struct fh_router **out)
{
    FH_ASSERT(options->placements_max > 0 && options->tenant_in_flight_max > 0);
    struct fh_router *router = fh_calloc(1, sizeof(*router));
    if (router == NULL) {
        return FH_NOMEM;
    }
    router->env = env;
    router->catalog = catalog;
    router->options = *options;
    fh_placements_init(&router->placements, options->placements_max);
    fh_map_init(&router->stores, STORES_MAX, store_key);
    fh_wheel_init(&router->wheel, env, fh_route_due_cb, router);
    fh_wheel_init(&router->hold_wheel, env, fh_hold_due_cb, router);
    fh_list_init(&router->holds);
    fh_list_init(&router->draining);
    fh_list_init(&router->awaiting);
    int failed = uv_idle_init(env->loop, &router->drain);
    FH_ASSERT(failed == 0); /* it cannot fail */
    router->drain.data = router;
    router->handles_open = HANDLES;
    router->watcher = (struct fh_catalog_watcher){.hint_cb = fh_lookup_hint_cb, .arg = router};
    fh_catalog_watch(catalog, &router->watcher);
    *out = router;
    return FH_OK;
}

void fh_router_settle(struct fh_router *router)
{
    if (router->handles_open > 0 || router->lookups > 0) {
        return;
    }
    void (*closed_cb)(void *arg) = router->closed_cb;
    void *arg = router->closed_arg;
    fh_placements_close(&router->placements);
    fh_map_close(&router->stores);
    fh_free(router);
    closed_cb(arg);
}

static void closed(struct fh_router *router)
{
    FH_ASSERT(router->handles_open > 0);
    router->handles_open--;
    fh_router_settle(router);
}

static void wheel_closed_cb(void *arg)
{
    closed(arg);
}

static void drain_closed_cb(uv_handle_t *handle)
{
    closed(handle->data);
}

void fh_router_close(struct fh_router *router, void (*closed_cb)(void *arg), void *arg)
{
    FH_ASSERT(!router->closing && router->in_flight == 0 && router->held == 0);
    router->closing = true;
    router->closed_cb = closed_cb;
    router->closed_arg = arg;
    fh_catalog_unwatch(&router->watcher);
    fh_hold_close_all(router); /* a mover that ended without opening */
    fh_wheel_close(&router->wheel, wheel_closed_cb, router);
    fh_wheel_close(&router->hold_wheel, wheel_closed_cb, router);
    uv_close((uv_handle_t *)&router->drain, drain_closed_cb);
}

enum fh_code fh_router_add_store(struct fh_router *router, struct fh_store *store)
{
    return fh_map_put(&router->stores, store);
}

void fh_router_remove_store(struct fh_router *router, struct fh_store *store)
{
    /* No placement should name it; one that does must not keep the pointer. */
    size_t cursor = 0;
    struct fh_placement_entry *entry = NULL;
    while ((entry = fh_map_next(&router->placements.map, &cursor)) != NULL) {
        if (entry->store == store) {
            entry->store = NULL;
            entry->status = FH_PLACEMENT_UNKNOWN;
        }
    }
    void *removed = fh_map_remove(&router->stores, store_key(store));
    FH_ASSERT(removed == NULL || removed == store);
}

struct fh_store *fh_router_store(const struct fh_router *router, struct fh_str name)
{
    return fh_map_get(&router->stores, name);
}

struct fh_store *fh_router_next_store(const struct fh_router *router, size_t *cursor)
{
    return fh_map_next(&router->stores, cursor);
}

void fh_router_set_schema(struct fh_router *router, const struct fh_schema *schema)
{
    router->schema = schema;
    fh_stale_wake(router);
}

void fh_router_on_newer_schema(struct fh_router *router, fh_router_newer_schema_cb *newer_cb,
                               void *arg)
{
    router->newer_cb = newer_cb;
    router->newer_arg = arg;
}

const struct fh_schema *fh_router_schema(const struct fh_router *router)
{
    return router->schema;
}

void fh_router_want_schema(const struct fh_router *router, uint32_t version)
{
    if (router->newer_cb != NULL) {
        router->newer_cb(router->newer_arg, version);
    }
}

const struct fh_schema *fh_router_schema_of(const struct fh_router *router,
                                            const struct fh_uuid *tenant)
{
    const struct fh_placement_entry *entry = fh_placements_find(&router->placements, tenant);
    if (entry == NULL || entry->schema_version == 0 || router->schema == NULL) {
        return router->schema;
    }
    const struct fh_schema *schema = fh_schema_at(router->schema, entry->schema_version);
    return schema != NULL ? schema : router->schema;
}

void fh_router_stats(const struct fh_router *router, struct fh_router_stats *out)
{
    *out = router->stats;
    out->placements = router->placements.map.count;
    out->in_flight = router->in_flight;
    out->held_now = router->held;
}
