/* Happy path: one request to the catalog for an entry, however many wait; its answer is written
 * into the entry and the waiters are woken. Entries that are known are looked up in the background,
 * and serve meanwhile: after a hint about the tenant at once, after a hint that may mean anybody
 * and, on a catalog that others change too, by age when they are used.
 *
 * Failures: a catalog that cannot answer leaves the entry as it was, and whoever waits decides what
 * that means; in the background it is tried again a while later. An entry that was invalidated
 * meanwhile is asked for again, so nobody sees an answer that is older than the invalidation; a
 * hint that comes meanwhile only makes another look-up follow, so that many of them do not keep
 * anybody waiting.
 */
#include "router/route.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "router/hold.h"

#define LOOKUPS_MAX 1024
#define LOOKUPS_BACKGROUND_MAX 512 /* so that somebody who waits finds a place */
#define LOOKUP_TIMEOUT_US (5 * 1000000)
#define RETRY_US 1000000
#define ARENA_BYTES_MAX ((size_t)128 * 1024) /* a tenant with all its labels: about 20 KiB */

struct fh_lookup {
    struct fh_catalog_request request;
    struct fh_arena arena;
    struct fh_router *router;
    struct fh_placement_entry *entry;
    uint64_t asked;      /* this question's number */
    uint32_t generation; /* of the router, when it was asked */
    bool again;
    bool follow;
};

static void refuse(struct fh_router *router, struct fh_placement_entry *entry, enum fh_code code)
{
    entry->status = FH_PLACEMENT_REFUSED;
    entry->store = NULL;
    entry->refusal = code;
    entry->expires_us = fh_router_now_us(router) + router->options.negative_ttl_us;
}

/* A tenant that was known stays where it was known: that store turns its requests away, and they
 * wait until the new one is registered here. */
static enum fh_code miss_store(struct fh_router *router, struct fh_placement_entry *entry,
                               const struct fh_tenant *tenant)
{
    if (entry->status != FH_PLACEMENT_PLACED) {
        entry->status = FH_PLACEMENT_UNKNOWN; /* it may be registered any moment */
    }
    if (entry->hold == NULL || entry->hold->attempts <= 1) { /* not with every probe */
        FH_LOG(router->env->log, ERROR, "router.store_missing",
               FH_KV_TEXT("store", tenant->placement.store), FH_KV_UUID("tenant", tenant->uuid));
    }
    return FH_UNAVAILABLE;
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
        return miss_store(router, entry, tenant);
    }
    entry->status = FH_PLACEMENT_PLACED;
    entry->store = store;
    entry->epoch = tenant->placement.epoch;
    entry->home = tenant->placement.home;
    entry->expires_us = router->catalog->shared
                            ? fh_router_now_us(router) + router->options.placement_ttl_us
                            : INT64_MAX;
    return FH_OK;
}

/* The entry serves on as it is; the next try is not before a while. */
static void put_off(struct fh_router *router, struct fh_placement_entry *entry)
{
    if (entry->status == FH_PLACEMENT_PLACED) {
        entry->expires_us = fh_router_now_us(router) + RETRY_US;
    }
}

static void finish(struct fh_lookup *lookup, enum fh_code code)
{
    struct fh_router *router = lookup->router;
    struct fh_placement_entry *entry = lookup->entry;
    bool follow = lookup->follow;
    uint64_t asked = lookup->asked;
    FH_ASSERT(router->lookups > 0);
    router->lookups--;
    entry->generation = lookup->generation;
    entry->lookup = NULL;
    if (code != FH_OK) {
        put_off(router, entry);
    }
    fh_arena_close(&lookup->arena);
    fh_free(lookup);
    entry->pins++;
    fh_route_looked_up(router, entry, code, asked);
    if (follow && !router->closing) {
        fh_lookup_again(router, entry);
    }
    entry->pins--;
    fh_placements_settle(&router->placements, entry);
    fh_router_settle(router);
}

static void done_cb(struct fh_catalog_request *request);

static enum fh_code ask(struct fh_lookup *lookup)
{
    struct fh_catalog_request *request = &lookup->request;
    lookup->again = false;
    lookup->follow = false;
    lookup->asked = ++lookup->router->asked;
    lookup->generation = lookup->router->generation;
    *request = (struct fh_catalog_request){
        .op = FH_CATALOG_TENANT_GET,
        .deadline_us = fh_router_now_us(lookup->router) + LOOKUP_TIMEOUT_US,
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

void fh_lookup_refresh(struct fh_router *router, struct fh_placement_entry *entry)
{
    struct fh_error error;
    if (entry->lookup != NULL ||
        (!fh_lookup_is_stale(router, entry) && fh_router_now_us(router) < entry->expires_us) ||
        router->lookups >= LOOKUPS_BACKGROUND_MAX) {
        return;
    }
    if (fh_lookup_start(router, entry, &error) != FH_OK) {
        entry->generation = router->generation;
        put_off(router, entry);
    }
}

void fh_lookup_again(struct fh_router *router, struct fh_placement_entry *entry)
{
    struct fh_error error;
    if (entry->lookup != NULL) {
        entry->lookup->follow = true;
        return;
    }
    if (entry->status == FH_PLACEMENT_REFUSED) {
        entry->status = FH_PLACEMENT_UNKNOWN; /* looked up when next asked for */
    }
    if (entry->status == FH_PLACEMENT_PLACED && fh_lookup_start(router, entry, &error) != FH_OK) {
        entry->expires_us = 0; /* when it is used */
    }
}

static void hint(struct fh_router *router, struct fh_placement_entry *entry)
{
    entry->pins++;
    fh_lookup_again(router, entry);
    fh_hold_poke(router, entry);
    entry->pins--;
    fh_placements_settle(&router->placements, entry);
}

void fh_lookup_hint_cb(void *arg, enum fh_catalog_hint kind, const struct fh_uuid *uuid)
{
    struct fh_router *router = arg;
    if (kind != FH_CATALOG_HINT_TENANT) {
        return;
    }
    if (!fh_uuid_is_nil(uuid)) {
        struct fh_placement_entry *entry = fh_placements_find(&router->placements, uuid);
        if (entry != NULL) {
            hint(router, entry);
        }
        return;
    }
    router->generation++;
    struct fh_list *next = NULL; /* no callback of a caller's comes of a hint */
    for (struct fh_list *node = router->holds.next; node != &router->holds; node = next) {
        next = node->next;
        hint(router, FH_CONTAINER_OF(node, struct fh_hold, node)->entry);
    }
}
