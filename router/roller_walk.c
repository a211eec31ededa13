/* Happy path: pages of tenants, oldest first, those with a home of their own; then every store's
 * shared home. Homes with many tenants come last, when the change has been through many with one.
 * The canary is the first of every so many homes of that order, so the same ones whenever asked,
 * and the homes of the tenants named, shared or not.
 *
 * A page is handed out in any order: a store that is busy keeps no other's homes waiting.
 *
 * Behind the tenants the catalog is asked for the moves that are not finished, once for the page: a
 * tenant that is not among them needs no look of its own, for a move that begins later raises the
 * generation, which the change requires. A home that was done is not looked at again as long as its
 * tenant's placement has the same epoch and generation: it is the same home then, and no home goes
 * back to an older version.
 *
 * Failures: a page the catalog did not answer is asked for again at the next tick. Where it does
 * not tell the moves, or not all, every home of the page is looked at for itself.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "router/roller_internal.h"

#define LIVING \
    ((1u << FH_TENANT_PROVISIONING) | (1u << FH_TENANT_ACTIVE) | (1u << FH_TENANT_SUSPENDED))

void fh_roller_walk_begin(struct fh_roller *roller, enum fh_roller_walk_kind kind)
{
    struct fh_roller_walk *walk = &roller->walk;
    bool retry = kind == FH_ROLLER_RETRY;
    walk->retried = retry ? walk->kind : kind;
    walk->kind = kind;
    walk->over = retry;
    walk->broken = false;
    if (retry) {
        return;
    }
    /* Who was switching before a walk that found nothing behind is waited for before this one. */
    fh_roller_switches_begin(roller, kind == FH_ROLLER_FULL && walk->behind == 0 &&
                                         roller->switches.count > 0);
    walk->after = (struct fh_uuid){{0}};
    walk->tenants_over = false;
    walk->index = 0;
    walk->page_count = 0;
    walk->behind = 0;
    walk->canary_store_count = 0;
    if (kind != FH_ROLLER_SURVEY) {
        roller->rollout.progress.passes++;
    }
}

void fh_roller_put_off(struct fh_roller *roller, const struct fh_roller_slot *slot,
                       int64_t after_us)
{
    if (roller->later_count == FH_ROLLER_LATER_MAX) {
        return; /* the next walk finds it: this one found something behind */
    }
    roller->later[roller->later_count++] = (struct fh_roller_later){
        .home = slot->home,
        .due_us = fh_roller_now_us(roller) + after_us,
        .since_us = slot->since_us,
        .overdue = slot->overdue,
    };
}

/* -- What was done ----------------------------------------------------------------------------- */

/* Its place, or the free one where it would be. */
static struct fh_roller_done *place_of(struct fh_roller *roller, const struct fh_uuid *tenant)
{
    size_t at = (size_t)fh_hash(tenant->bytes, sizeof(tenant->bytes)) % FH_ROLLER_DONE_SLOTS;
    while (!fh_uuid_is_nil(&roller->done[at].tenant) &&
           !fh_uuid_eq(&roller->done[at].tenant, tenant)) { /* half of them are free */
        at = (at + 1) % FH_ROLLER_DONE_SLOTS;
    }
    return &roller->done[at];
}

void fh_roller_remember(struct fh_roller *roller, const struct fh_uuid *tenant,
                        const struct fh_roller_fence *fence)
{
    struct fh_roller_done *place = place_of(roller, tenant);
    if (fh_uuid_is_nil(&place->tenant)) {
        if (roller->done_count == FH_ROLLER_DONE_SLOTS / 2) {
            return; /* it is asked again */
        }
        roller->done_count++;
    }
    *place = (struct fh_roller_done){.tenant = *tenant, .fence = *fence};
}

static bool is_remembered(struct fh_roller *roller, const struct fh_uuid *tenant,
                          const struct fh_roller_fence *fence)
{
    const struct fh_roller_done *place = place_of(roller, tenant);
    return fence->epoch != 0 && !fh_uuid_is_nil(&place->tenant) &&
           place->fence.epoch == fence->epoch && place->fence.generation == fence->generation;
}

void fh_roller_forget_all(struct fh_roller *roller)
{
    if (roller->done_count > 0) {
        memset(roller->done, 0, sizeof(roller->done));
        roller->done_count = 0;
    }
}

/* -- Pages ------------------------------------------------------------------------------------- */

static bool is_named(const struct fh_rollout_settings *settings, const struct fh_uuid *tenant)
{
    for (size_t i = 0; i < settings->canary_count; i++) {
        if (fh_uuid_eq(&settings->canaries[i], tenant)) {
            return true;
        }
    }
    return false;
}

/* Of n homes, those whose number is taken by the percentage: the first, then evenly. */
static bool is_of_share(uint32_t percent, uint64_t index)
{
    return (index * percent + 99) / 100 != ((index + 1) * percent + 99) / 100;
}

static void add_home(struct fh_roller *roller, const struct fh_rollout_home *home, bool named,
                     struct fh_roller_fence fence)
{
    struct fh_roller_walk *walk = &roller->walk;
    const struct fh_rollout_settings *settings = &roller->rollout.settings;
    FH_ASSERT(walk->page_count < FH_ROLLER_STORES_MAX);
    struct fh_rollout_home *item = &walk->page[walk->page_count];
    *item = *home;
    item->canary = named || is_of_share(settings->canary_percent, walk->index);
    walk->index++;
    if (walk->kind == FH_ROLLER_CANARY && !item->canary) {
        return;
    }
    if (walk->kind != FH_ROLLER_SURVEY && is_remembered(roller, &home->tenant, &fence)) {
        return;
    }
    walk->fences[walk->page_count] = fence;
    walk->taken[walk->page_count++] = false;
}

static void add_tenant(struct fh_roller *roller, const struct fh_tenant *tenant)
{
    struct fh_roller_walk *walk = &roller->walk;
    struct fh_rollout_home home = {
        .tenant = tenant->uuid, .home = tenant->placement.home, .state = FH_ROLLOUT_HOME_PENDING};
    struct fh_roller_fence fence = {.epoch = 0};
    bool named = is_named(&roller->rollout.settings, &tenant->uuid);
    if (tenant->state != FH_TENANT_PROVISIONING) { /* whose home may be half made, or made anew */
        fence.epoch = tenant->placement.epoch;
        fence.generation = tenant->placement.generation;
    }
    (void)snprintf(home.store, sizeof(home.store), "%s", tenant->placement.store);
    if (fh_home_is_dedicated(&home.home)) {
        add_home(roller, &home, named, fence);
    } else if (named && walk->canary_store_count < FH_ROLLOUT_CANARIES_MAX) {
        memcpy(walk->canary_stores[walk->canary_store_count++], home.store, sizeof(home.store));
    }
}

static void add_store(struct fh_roller *roller, const struct fh_store_record *record)
{
    const struct fh_roller_walk *walk = &roller->walk;
    struct fh_rollout_home home = {
        .home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED},
        .state = FH_ROLLOUT_HOME_PENDING,
    };
    bool named = false;
    for (size_t i = 0; i < walk->canary_store_count && !named; i++) {
        named = strcmp(walk->canary_stores[i], record->name) == 0;
    }
    memcpy(home.store, record->name, sizeof(home.store));
    add_home(roller, &home, named, (struct fh_roller_fence){.epoch = 0});
}

/* What the catalog says of each of these tenants when it is asked for it now. */
static void look_at_each(struct fh_roller_walk *walk, const struct fh_uuid *tenant)
{
    for (size_t i = 0; i < walk->page_count; i++) {
        if (tenant == NULL || fh_uuid_eq(&walk->page[i].tenant, tenant)) {
            walk->fences[i].epoch = 0;
        }
    }
}

static void moves_cb(struct fh_catalog_request *request)
{
    struct fh_roller *roller = request->arg;
    struct fh_roller_walk *walk = &roller->walk;
    walk->asking = false;
    if (request->code != FH_OK || request->as.move_list.more) {
        look_at_each(walk, NULL);
    } else {
        for (size_t i = 0; i < request->as.move_list.count; i++) {
            look_at_each(walk, &request->as.move_list.moves[i].tenant);
        }
    }
    fh_roller_pump(roller);
}

/* Behind the page, so that a move that is not told began after that. */
static void ask_moves(struct fh_roller *roller)
{
    struct fh_roller_walk *walk = &roller->walk;
    struct fh_catalog_request *request = &roller->request;
    fh_arena_reset(&roller->arena);
    *request = (struct fh_catalog_request){
        .op = FH_CATALOG_MOVE_LIST,
        .deadline_us = fh_roller_now_us(roller) + FH_ROLLER_CATALOG_DEADLINE_US,
        .arena = &roller->arena,
        .done_cb = moves_cb,
        .arg = roller,
    };
    request->as.move_list.unfinished = true;
    request->as.move_list.limit = FH_PAGE_MAX;
    walk->asking = fh_catalog_submit(roller->catalog, request) == FH_OK;
    if (!walk->asking) {
        look_at_each(walk, NULL);
    }
}

static void listed_cb(struct fh_catalog_request *request)
{
    struct fh_roller *roller = request->arg;
    struct fh_roller_walk *walk = &roller->walk;
    walk->asking = false;
    if (request->code != FH_OK) {
        walk->broken = true; /* until the next tick */
        fh_roller_pump(roller);
        return;
    }
    if (request->op == FH_CATALOG_TENANT_LIST) {
        for (size_t i = 0; i < request->as.list.count; i++) {
            add_tenant(roller, &request->as.list.tenants[i]);
        }
        if (request->as.list.more && request->as.list.count > 0) {
            walk->after = request->as.list.tenants[request->as.list.count - 1].uuid;
        } else {
            walk->tenants_over = true;
        }
        if (walk->kind != FH_ROLLER_SURVEY && walk->page_count > 0) {
            ask_moves(roller);
        }
    } else {
        for (size_t i = 0; i < request->as.stores.count && i < FH_ROLLER_STORES_MAX; i++) {
            add_store(roller, &request->as.stores.stores[i]);
        }
        walk->over = true;
    }
    fh_roller_pump(roller);
}

static void ask(struct fh_roller *roller)
{
    struct fh_roller_walk *walk = &roller->walk;
    struct fh_catalog_request *request = &roller->request;
    walk->page_count = 0;
    fh_arena_reset(&roller->arena);
    *request = (struct fh_catalog_request){
        .op = walk->tenants_over ? FH_CATALOG_STORE_LIST : FH_CATALOG_TENANT_LIST,
        .deadline_us = fh_roller_now_us(roller) + FH_ROLLER_CATALOG_DEADLINE_US,
        .arena = &roller->arena,
        .done_cb = listed_cb,
        .arg = roller,
    };
    if (!walk->tenants_over) {
        request->as.list.after = walk->after;
        request->as.list.states = LIVING;
        request->as.list.limit = FH_ROLLER_PAGE;
    }
    walk->asking = fh_catalog_submit(roller->catalog, request) == FH_OK;
    walk->broken = !walk->asking;
}

/* NULL: none is free, or its store has enough. */
static struct fh_roller_slot *slot_for(struct fh_roller *roller, const char *store)
{
    struct fh_roller_slot *free_slot = NULL;
    uint32_t in_store = 0;
    for (size_t i = 0; i < FH_ROLLER_SLOTS_MAX; i++) {
        struct fh_roller_slot *slot = &roller->slots[i];
        if (!slot->busy) {
            free_slot = free_slot != NULL ? free_slot : slot;
        } else if (strcmp(slot->home.store, store) == 0) {
            in_store++;
        }
    }
    return in_store < roller->rollout.settings.concurrency ? free_slot : NULL;
}

/* True: the page was handed out to its last home. */
static bool hand_out(struct fh_roller *roller)
{
    struct fh_roller_walk *walk = &roller->walk;
    bool all = true;
    for (size_t i = 0; i < walk->page_count; i++) {
        struct fh_roller_slot *slot = NULL;
        if (walk->taken[i]) {
            continue;
        }
        if (!fh_roller_has_room(roller, 1)) {
            return false;
        }
        if (walk->kind == FH_ROLLER_SURVEY) {
            fh_roller_note(roller, &walk->page[i], "");
        } else {
            slot = slot_for(roller, walk->page[i].store);
            if (slot == NULL) {
                all = false;
                continue;
            }
        }
        walk->taken[i] = true;
        if (slot != NULL) {
            fh_roller_home_begin(slot, &walk->page[i], walk->fences[i], NULL);
        }
    }
    return all;
}

static void hand_out_later(struct fh_roller *roller)
{
    int64_t now_us = fh_roller_now_us(roller);
    for (size_t i = 0; i < roller->later_count;) {
        struct fh_roller_later later = roller->later[i];
        struct fh_roller_slot *slot = NULL;
        if (later.due_us <= now_us && fh_roller_has_room(roller, 1)) {
            slot = slot_for(roller, later.home.store);
        }
        if (slot == NULL) {
            i++;
            continue;
        }
        roller->later[i] = roller->later[--roller->later_count];
        fh_roller_home_begin(slot, &later.home, (struct fh_roller_fence){.epoch = 0}, &later);
    }
}

void fh_roller_walk_go(struct fh_roller *roller)
{
    struct fh_roller_walk *walk = &roller->walk;
    if (walk->kind == FH_ROLLER_RETRY) {
        hand_out_later(roller);
        return;
    }
    if (walk->kind == FH_ROLLER_FULL && !walk->over && !roller->switches.known) {
        if (!walk->asking && !walk->broken) {
            fh_roller_switches_ask(roller);
        }
        return;
    }
    if (!walk->asking && hand_out(roller)) {
        if (walk->over) {
            walk->page_count = 0;
        } else if (!walk->broken) {
            ask(roller);
        }
    }
}
