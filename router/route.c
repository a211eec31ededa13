/* The way of one request.
 *
 * Happy path: the tenant's placement is known, the scope is filled in, the store answers.
 *
 *               submit                          placement unknown
 *     IDLE ----------------> IN_STORE <-----------------------------> LOOKING_UP
 *       ^  \                  |    ^  looked up                          |   ^
 *       |   \  gate closed    |    |                                     |   |
 *       |    +-----------+    | turned away      gate closed             |   |
 *       |                v    v    | gate open                           |   |
 *       +--------------- HELD ------------------------------------------+---+
 *         deadline, cancelled, a refusal
 *
 * A home of another schema version ends the request, at once or by way of ASKING and AWAITING
 * (stale.c).
 *
 * Failures: what a store turns away (FH_MOVED, FH_HELD, FH_NO_TENANT) did nothing there and waits
 * at the gate (hold.c); it ends at its deadline as FH_DEADLINE. A catalog that cannot answer fails
 * who knows no placement and was never held. Submit answers what is known at once; everything later
 * goes through finish().
 */
#include "router/route.h"

#include "base/assert.h"
#include "router/hold.h"

static bool may_move(enum fh_route_phase from, enum fh_route_phase to)
{
    const uint8_t away = 1u << FH_ROUTE_LOOKING_UP | 1u << FH_ROUTE_HELD | 1u << FH_ROUTE_IN_STORE;
    const uint8_t stale = 1u << FH_ROUTE_ASKING | 1u << FH_ROUTE_AWAITING;
    const uint8_t moves[] = {
        [FH_ROUTE_IDLE] = away,
        [FH_ROUTE_LOOKING_UP] = away | 1u << FH_ROUTE_IDLE,
        [FH_ROUTE_HELD] = away | 1u << FH_ROUTE_IDLE,
        [FH_ROUTE_IN_STORE] = away | stale | 1u << FH_ROUTE_IDLE,
        [FH_ROUTE_ASKING] = away | 1u << FH_ROUTE_AWAITING | 1u << FH_ROUTE_IDLE,
        [FH_ROUTE_AWAITING] = 1u << FH_ROUTE_IDLE,
    };
    return (moves[from] >> to & 1u) != 0;
}

void fh_route_move(struct fh_routed *routed, enum fh_route_phase to)
{
    FH_ASSERT(may_move((enum fh_route_phase)routed->phase, to));
    routed->phase = (uint8_t)to;
}

static void enter(struct fh_router *router, struct fh_routed *routed,
                  struct fh_placement_entry *entry)
{
    routed->router = router;
    routed->entry = entry;
    routed->store = NULL;
    routed->order = ++router->order;
    routed->held_since_us = 0;
    routed->attempts = 0;
    routed->cancelled = false;
    routed->missing_since = 0;
    fh_list_init(&routed->node);
    entry->in_flight++;
    router->in_flight++;
    fh_list_remove(&entry->idle); /* busy: not to be evicted */
}

static void leave(struct fh_routed *routed)
{
    struct fh_router *router = routed->router;
    struct fh_placement_entry *entry = routed->entry;
    if (routed->phase == FH_ROUTE_HELD && !fh_list_empty(&routed->node)) {
        fh_hold_forsake(routed);
    }
    FH_ASSERT(entry->in_flight > 0 && router->in_flight > 0);
    FH_ASSERT(entry->hold == NULL || entry->hold->probe != routed);
    fh_list_remove(&routed->node);
    fh_wheel_remove(&router->wheel, &routed->timer);
    routed->entry = NULL;
    entry->in_flight--;
    router->in_flight--;
    fh_hold_update(router, entry);
    fh_placements_settle(&router->placements, entry);
}

static bool was_held(const struct fh_routed *routed)
{
    return routed->held_since_us != 0;
}

/* The only end of a request that submit took. */
void fh_route_finish(struct fh_routed *routed, enum fh_code code)
{
    FH_ASSERT(code != FH_MOVED && code != FH_HELD);
    leave(routed);
    fh_route_move(routed, FH_ROUTE_IDLE);
    routed->code = code;
    routed->request.code = code;
    if (code != FH_OK && routed->request.error.code != code) {
        (void)fh_error_set(&routed->request.error, code, "%s", fh_code_text(code));
    }
    routed->done_cb(routed);
}

void fh_route_finish_late(struct fh_routed *routed)
{
    enum fh_code code =
        fh_error_set(&routed->request.error, FH_DEADLINE, "%s",
                     routed->phase == FH_ROUTE_AWAITING
                         ? "the deadline passed while this server learnt the schema version of the "
                           "tenant's home; nothing was done"
                     : routed->attempts > 0 || was_held(routed)
                         ? "the deadline passed while the tenant was being moved; nothing was done"
                         : "the deadline passed while the tenant was looked up; nothing was done");
    fh_route_finish(routed, code);
}

static void hold(struct fh_routed *routed)
{
    fh_route_move(routed, FH_ROUTE_HELD);
    fh_hold_join(routed);
}

/* What went wrong inside of a store names hosts, roles and paths: for the operator, not for a
 * tenant. Operators' own requests do not come this way. */
void fh_route_withhold_text(struct fh_routed *routed, enum fh_code code)
{
    struct fh_error *error = &routed->request.error;
    if (code != FH_UNAVAILABLE && code != FH_INTERNAL && code != FH_CORRUPT &&
        code != FH_DISK_FULL) {
        return;
    }
    if (error->message[0] != '\0' && strcmp(error->message, fh_code_text(code)) != 0) {
        FH_LOG(routed->router->env->log, WARN, "router.store_failed",
               FH_KV_TEXT("store", routed->store->name), FH_KV_TEXT("code", fh_code_name(code)),
               FH_KV_TEXT("why", error->message));
    }
    (void)fh_error_set(error, code, "%s", fh_code_text(code));
}

static void store_done_cb(struct fh_request *request);

/* To the store, as the entry says. Refusals are the store's. */
static enum fh_code dispatch(struct fh_routed *routed)
{
    struct fh_placement_entry *entry = routed->entry;
    struct fh_request *request = &routed->request;
    if (request->scope.schema == NULL) {
        request->scope.schema = fh_router_schema_of(routed->router, &entry->tenant);
    }
    if (request->scope.schema == NULL) {
        return fh_error_set(&request->error, FH_PRECONDITION,
                            "no schema has been applied to this server");
    }
    routed->missing_since = 0; /* was said of the epoch that it was tried at before */
    request->scope.epoch = entry->epoch;
    request->scope.home = entry->home;
    request->done_cb = store_done_cb;
    request->arg = routed;
    routed->store = entry->store;
    enum fh_code code = fh_store_submit(entry->store, request);
    if (code == FH_OK) {
        fh_route_move(routed, FH_ROUTE_IN_STORE);
    } else if (request->error.code != code) {
        (void)fh_error_set(&request->error, code, "%s", fh_code_text(code));
    } else {
        fh_route_withhold_text(routed, code);
    }
    return code;
}

/* Waits for the entry's look-up, beginning one if there is none. */
static enum fh_code look_up(struct fh_routed *routed)
{
    struct fh_placement_entry *entry = routed->entry;
    if (entry->lookup == NULL) {
        enum fh_code code = fh_lookup_start(routed->router, entry, &routed->request.error);
        if (code != FH_OK) {
            return code;
        }
    }
    fh_route_move(routed, FH_ROUTE_LOOKING_UP);
    fh_list_push_back(&entry->waiters, &routed->node);
    fh_wheel_add(&routed->router->wheel, &routed->timer, routed->request.deadline_us);
    return FH_OK;
}

static enum fh_code refusal(struct fh_routed *routed, const struct fh_placement_entry *entry)
{
    return fh_error_set(&routed->request.error, entry->refusal, "%s", fh_code_text(entry->refusal));
}

enum fh_code fh_route_send(struct fh_routed *routed)
{
    struct fh_placement_entry *entry = routed->entry;
    switch ((enum fh_placement_status)entry->status) {
    case FH_PLACEMENT_PLACED:
        return dispatch(routed);
    case FH_PLACEMENT_REFUSED:
        if (fh_router_now_us(routed->router) < entry->expires_us &&
            !fh_lookup_is_stale(routed->router, entry)) {
            return refusal(routed, entry);
        }
        entry->status = FH_PLACEMENT_UNKNOWN;
        return look_up(routed);
    case FH_PLACEMENT_UNKNOWN:
        return look_up(routed);
    }
    FH_UNREACHABLE();
}

/* The catalog, or the store, takes it or not; a request that was held, or that a store took before,
 * is not failed for that. */
static void send_or_finish(struct fh_routed *routed)
{
    const struct fh_placement_entry *entry = routed->entry;
    enum fh_code code = fh_route_send(routed);
    if (code != FH_OK && was_held(routed) && entry->status == FH_PLACEMENT_UNKNOWN) {
        fh_route_move(routed, FH_ROUTE_HELD);
        code = fh_hold_wait_on(routed);
    } else if (code == FH_FULL && (was_held(routed) || routed->attempts > 0)) {
        fh_route_move(routed, FH_ROUTE_HELD);
        code = fh_hold_wait_for_room(routed);
    }
    if (code != FH_OK) {
        fh_route_finish(routed, code);
    }
}

static void hold_or_send(struct fh_routed *routed)
{
    if (fh_hold_takes(routed->entry, routed)) {
        hold(routed);
    } else {
        send_or_finish(routed);
    }
}

/* The look-up that it waited for has ended. */
static void resume(struct fh_routed *routed, enum fh_code code)
{
    const struct fh_placement_entry *entry = routed->entry;
    if (routed->cancelled) {
        fh_route_finish(routed, FH_CANCELLED);
        return;
    }
    if (code == FH_OK && entry->status == FH_PLACEMENT_REFUSED) {
        fh_route_finish(routed, refusal(routed, entry)); /* also if for no time remembered */
        return;
    }
    if (code == FH_OK || entry->status == FH_PLACEMENT_PLACED) {
        hold_or_send(routed);
        return;
    }
    if (was_held(routed)) {
        fh_route_move(routed, FH_ROUTE_HELD);
        code = fh_hold_wait_on(routed);
        if (code == FH_OK) {
            return;
        }
    }
    if (code != FH_FULL && code != FH_NOMEM) {
        code = FH_UNAVAILABLE;
    }
    fh_route_finish(routed, fh_error_set(&routed->request.error, code,
                                         "the tenant's placement cannot be looked up now; retry"));
}

void fh_route_looked_up(struct fh_router *router, struct fh_placement_entry *entry,
                        enum fh_code code, uint64_t asked)
{
    struct fh_list waiters;
    fh_list_init(&waiters);
    struct fh_list *node;
    while ((node = fh_list_pop_front(&entry->waiters)) != NULL) {
        fh_list_push_back(&waiters, node);
    }
    entry->pins++;
    fh_hold_looked_up(router, entry, code, asked);
    while ((node = fh_list_pop_front(&waiters)) != NULL) {
        struct fh_routed *routed = FH_CONTAINER_OF(node, struct fh_routed, node);
        fh_wheel_remove(&router->wheel, &routed->timer);
        resume(routed, code);
    }
    entry->pins--;
    fh_placements_settle(&router->placements, entry);
}

/* It did nothing in the store: on with it, to where the tenant is known to live by now, or to the
 * gate. */
void fh_route_turned_away(struct fh_routed *routed, enum fh_code code)
{
    struct fh_router *router = routed->router;
    const struct fh_placement_entry *entry = routed->entry;
    if (code == FH_HELD) {
        router->stats.held_retries++;
    } else {
        router->stats.moved_retries++;
    }
    routed->missing_since = code == FH_NO_TENANT ? router->asked : 0;
    if (entry->status == FH_PLACEMENT_PLACED && entry->epoch > routed->request.scope.epoch) {
        fh_hold_answered(routed, code);
        hold_or_send(routed);
        return;
    }
    fh_route_move(routed, FH_ROUTE_HELD);
    code = fh_hold_turned_away(routed, code);
    if (code != FH_OK) {
        fh_route_finish(routed, code);
    }
}

static void store_done_cb(struct fh_request *request)
{
    struct fh_routed *routed = request->arg;
    enum fh_code code = request->code;
    if (code != FH_MOVED && code != FH_HELD && code != FH_NO_TENANT) {
        fh_route_withhold_text(routed, code);
        fh_hold_answered(routed, code);
        if (code == FH_STALE_SCHEMA) {
            fh_stale_turned_away(routed);
            return;
        }
        if (code == FH_OK) {
            fh_stale_served(routed);
        }
        fh_route_finish(routed, code);
        return;
    }
    if (routed->attempts < UINT32_MAX) {
        routed->attempts++;
    }
    if (routed->cancelled) {
        fh_hold_answered(routed, code);
        fh_route_finish(routed, FH_CANCELLED);
        return;
    }
    if (fh_router_now_us(routed->router) >= request->deadline_us) {
        fh_hold_answered(routed, code);
        fh_route_finish_late(routed);
        return;
    }
    fh_route_turned_away(routed, code);
}

void fh_route_due_cb(struct fh_wheel_node *node, void *arg)
{
    struct fh_routed *routed = FH_CONTAINER_OF(node, struct fh_routed, timer);
    (void)arg;
    FH_ASSERT(routed->phase == FH_ROUTE_LOOKING_UP || routed->phase == FH_ROUTE_HELD ||
              routed->phase == FH_ROUTE_AWAITING);
    if (routed->cancelled) {
        fh_route_finish(routed, FH_CANCELLED);
        return;
    }
    if (routed->phase == FH_ROUTE_AWAITING && fh_stale_is_over(routed)) {
        fh_route_finish(routed, FH_STALE_SCHEMA);
        return;
    }
    FH_ASSERT(fh_router_now_us(routed->router) >= routed->request.deadline_us);
    fh_route_finish_late(routed);
}

static enum fh_code check(struct fh_router *router, struct fh_routed *routed)
{
    struct fh_request *request = &routed->request;
    if (router->closing) {
        return fh_error_set(&request->error, FH_SHUTTING_DOWN, "%s",
                            fh_code_text(FH_SHUTTING_DOWN));
    }
    if (fh_uuid_is_nil(&request->scope.tenant)) {
        return fh_error_set(&request->error, FH_INVALID, "the request names no tenant");
    }
    switch (request->op) {
    case FH_OP_GET:
    case FH_OP_LIST:
    case FH_OP_COMMIT:
    case FH_OP_EVENTS:
    case FH_OP_FENCE_READ:
        break;
    default:
        return fh_error_set(&request->error, FH_INVALID, "this operation is not routed");
    }
    if (request->deadline_us <= fh_router_now_us(router)) {
        return fh_error_set(&request->error, FH_DEADLINE, "%s", fh_code_text(FH_DEADLINE));
    }
    return FH_OK;
}

enum fh_code fh_router_submit(struct fh_router *router, struct fh_routed *routed)
{
    FH_ASSERT(routed->phase == FH_ROUTE_IDLE && routed->done_cb != NULL);
    struct fh_error *error = &routed->request.error;
    *error = (struct fh_error)FH_ERROR_INIT;
    enum fh_code code = check(router, routed);
    if (code != FH_OK) {
        return code;
    }
    struct fh_placement_entry *entry = NULL;
    code = fh_placements_get(&router->placements, &routed->request.scope.tenant, &entry);
    if (code != FH_OK) {
        router->stats.refused_full++;
        return fh_error_set(error, code, "%s", fh_code_text(code));
    }
    bool held = fh_hold_takes(entry, routed);
    if (held && entry->hold->held >= router->options.held_max) {
        router->stats.refused_full++;
        return fh_error_set(error, FH_FULL,
                            "the tenant is being moved and %zu of its requests wait; retry later",
                            entry->hold->held);
    }
    if (!held && entry->in_flight >= router->options.tenant_in_flight_max) {
        router->stats.refused_full++;
        return fh_error_set(error, FH_FULL, "the tenant has %u requests in flight; retry later",
                            entry->in_flight);
    }
    if (entry->status == FH_PLACEMENT_UNKNOWN) {
        router->stats.misses++;
    } else {
        router->stats.hits++;
    }
    enter(router, routed, entry);
    if (held) {
        hold(routed);
        return FH_OK;
    }
    code = fh_route_send(routed);
    if (code != FH_OK) {
        leave(routed);
    } else if (entry->status == FH_PLACEMENT_PLACED) {
        fh_lookup_refresh(router, entry);
    }
    return code;
}

void fh_router_cancel(struct fh_router *router, struct fh_routed *routed)
{
    if (routed->phase == FH_ROUTE_IDLE) {
        return;
    }
    routed->cancelled = true;
    if (routed->phase == FH_ROUTE_IN_STORE) {
        fh_store_cancel(routed->store, &routed->request);
        return;
    }
    if (routed->phase == FH_ROUTE_ASKING) {
        return; /* it ends with the answer */
    }
    /* Waiting here: the wheel's next turn ends it, so that the callback is not called from within.
     */
    fh_wheel_remove(&router->wheel, &routed->timer);
    fh_wheel_add(&router->wheel, &routed->timer, 0);
}

void fh_router_invalidate(struct fh_router *router, const struct fh_uuid *tenant)
{
    struct fh_placement_entry *entry = fh_placements_find(&router->placements, tenant);
    if (entry == NULL) {
        return;
    }
    entry->status = FH_PLACEMENT_UNKNOWN;
    entry->store = NULL;
    if (entry->lookup != NULL) {
        fh_lookup_repeat(entry->lookup);
    }
    fh_placements_settle(&router->placements, entry);
}
