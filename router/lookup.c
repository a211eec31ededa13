/* Happy path: one request to the catalog for an entry, however many wait; its answer is written
 * into the entry and the waiters are woken.
 *
 * Failures: a catalog that cannot answer leaves the entry as it was, and whoever waits decides what
 * that means. An entry that was invalidated meanwhile is asked for again, so nobody sees an answer
 * that is older than the invalidation.
 */
#include "router/route.h"

#include "base/alloc.h"
#include "base/assert.h"

#define LOOKUPS_MAX 1024
#define LOOKUP_TIMEOUT_US (5 * 1000000)
#define ARENA_BYTES_MAX ((size_t)128 * 1024) /* a tenant with all its labels: about 20 KiB */

struct fh_lookup {
    struct fh_catalog_request request;
    struct fh_arena arena;
    struct fh_router *router;
    struct fh_placement_entry *entry;
    bool again;
};

static void refuse(struct fh_router *router, struct fh_placement_entry *entry, enum fh_code code)
{
    entry->status = FH_PLACEMENT_REFUSED;
    entry->store = NULL;
    entry->refusal = code;
    entry->expires_us = fh_clock_monotonic_us(router->env->clock) + router->options.negative_ttl_us;
}

/* What the catalog said, into the entry. */
static enum fh_code learn(struct fh_router *router, struct fh_placement_entry *entry,
                          const struct fh_catalog_request *request)
{
    if (request->code == FH_NO_TENANT) {
        refuse(router, entry, FH_NO_TENANT);
        return FH_OK;
    }
    if (request->code != FH_OK) {
        return request->code;
    }
    const struct fh_tenant *tenant = &request->as.get.tenant;
    FH_ASSERT(fh_uuid_eq(&tenant->uuid, &entry->tenant));
    if (tenant->state != FH_TENANT_ACTIVE) {
        refuse(router, entry, tenant->state == FH_TENANT_SUSPENDED ? FH_SUSPENDED : FH_NO_TENANT);
        return FH_OK;
    }
    struct fh_store *store = fh_router_store(router, fh_str_of(tenant->placement.store));
    if (store == NULL) {
        entry->status = FH_PLACEMENT_UNKNOWN; /* it may be registered any moment */
        FH_LOG(router->env->log, ERROR, "router.store_missing",
               FH_KV_TEXT("store", tenant->placement.store), FH_KV_UUID("tenant", tenant->uuid));
        return FH_UNAVAILABLE;
    }
    entry->status = FH_PLACEMENT_PLACED;
    entry->store = store;
    entry->epoch = tenant->placement.epoch;
    entry->home = tenant->placement.home;
    return FH_OK;
}

static void finish(struct fh_lookup *lookup, enum fh_code code)
{
    struct fh_router *router = lookup->router;
    struct fh_placement_entry *entry = lookup->entry;
    FH_ASSERT(router->lookups > 0);
    router->lookups--;
    entry->lookup = NULL;
    fh_arena_close(&lookup->arena);
    fh_free(lookup);
    fh_route_looked_up(router, entry, code);
    fh_router_settle(router);
}

static void done_cb(struct fh_catalog_request *request);

static enum fh_code ask(struct fh_lookup *lookup)
{
    struct fh_catalog_request *request = &lookup->request;
    lookup->again = false;
    *request = (struct fh_catalog_request){
        .op = FH_CATALOG_TENANT_GET,
        .deadline_us = fh_clock_monotonic_us(lookup->router->env->clock) + LOOKUP_TIMEOUT_US,
        .arena = &lookup->arena,
        .done_cb = done_cb,
        .arg = lookup,
        .as.get.uuid = lookup->entry->tenant,
    };
    return fh_catalog_submit(lookup->router->catalog, request);
}

static void done_cb(struct fh_catalog_request *request)
{
    struct fh_lookup *lookup = request->arg;
    if (lookup->again) {
        fh_arena_reset(&lookup->arena);
        enum fh_code code = ask(lookup);
        if (code != FH_OK) {
            finish(lookup, code);
        }
        return;
    }
    finish(lookup, learn(lookup->router, lookup->entry, request));
}

enum fh_code fh_lookup_start(struct fh_router *router, struct fh_placement_entry *entry,
                             struct fh_error *error)
{
    FH_ASSERT(entry->lookup == NULL);
    if (router->lookups >= LOOKUPS_MAX) {
        return fh_error_set(error, FH_FULL, "too many tenants are being looked up; retry later");
    }
    struct fh_lookup *lookup = fh_calloc(1, sizeof(*lookup));
    if (lookup == NULL) {
        return fh_error_set(error, FH_NOMEM, "%s", fh_code_text(FH_NOMEM));
    }
    lookup->router = router;
    lookup->entry = entry;
    fh_arena_init(&lookup->arena, ARENA_BYTES_MAX);
    enum fh_code code = ask(lookup);
    if (code != FH_OK) {
        fh_arena_close(&lookup->arena);
        fh_free(lookup);
        return fh_error_set(error, code == FH_FULL || code == FH_NOMEM ? code : FH_UNAVAILABLE,
                            "the catalog takes no requests now; retry");
    }
    router->lookups++;
    entry->lookup = lookup;
    return FH_OK;
}

void fh_lookup_repeat(struct fh_lookup *lookup)
{
    lookup->again = true;
}
