/* The way of one request.
 *
 * Happy path: the tenant's placement is known, the scope is filled in, the store answers.
 *
 *                submit                    placement unknown
 *     IDLE ------------------> IN_STORE <------------------- LOOKING_UP <--+
 *       ^                       |    |        looked up         ^   |      |
 *       |  answered             |    |   MOVED, no such home    |   |      | after the delay, when
 * the
 *       +-----------------------+    +--------------------------+   |      | placement is not known
 *       |                       |  HELD                             |      |
 *       |                       +----------> BACKING_OFF <----------+      |
 *       |                                     |   |    same epoch as tried |
 *       +-------------------------------------+   +------------------------+
 *          deadline, cancelled, a refusal             (else back to IN_STORE)
 *
 * Failures: MOVED and HELD end here, at the deadline as FH_DEADLINE. A catalog that cannot answer
 * fails who knows no placement and lets the others go on with the one they have: the fence refuses
 * what is stale. Submit answers what is known at once; everything later goes through finish().
 */
#include "router/route.h"

#include "base/assert.h"

#define BACKOFF_MS_MAX 50

enum phase { PHASE_IDLE, PHASE_LOOKING_UP, PHASE_BACKING_OFF, PHASE_IN_STORE };

static bool may_move(enum phase from, enum phase to)
{
    const uint8_t away = 1u << PHASE_LOOKING_UP | 1u << PHASE_BACKING_OFF | 1u << PHASE_IN_STORE;
    const uint8_t moves[] = {
        [PHASE_IDLE] = 1u << PHASE_LOOKING_UP | 1u << PHASE_IN_STORE,
        [PHASE_LOOKING_UP] = away | 1u << PHASE_IDLE,
        [PHASE_BACKING_OFF] = away | 1u << PHASE_IDLE,
        [PHASE_IN_STORE] = away | 1u << PHASE_IDLE,
    };
    return (moves[from] >> to & 1u) != 0;
}

static void move(struct fh_routed *routed, enum phase to)
{
    FH_ASSERT(may_move((enum phase)routed->phase, to));
    routed->phase = (uint8_t)to;
}

static int64_t now_us(const struct fh_router *router)
{
    return fh_clock_monotonic_us(router->env->clock);
}

static void enter(struct fh_router *router, struct fh_routed *routed,
                  struct fh_placement_entry *entry)
{
    routed->router = router;
    routed->entry = entry;
    routed->store = NULL;
    routed->attempts = 0;
    routed->cancelled = false;
    routed->home_missing = false;
    fh_list_init(&routed->node);
    entry->in_flight++;
    router->in_flight++;
    fh_list_remove(&entry->idle); /* busy: not to be evicted */
}

static void leave(struct fh_routed *routed)
{
    struct fh_router *router = routed->router;
    struct fh_placement_entry *entry = routed->entry;
    FH_ASSERT(entry->in_flight > 0 && router->in_flight > 0);
    fh_list_remove(&routed->node);
    fh_wheel_remove(&router->wheel, &routed->timer);
    routed->entry = NULL;
    entry->in_flight--;
    router->in_flight--;
    fh_placements_settle(&router->placements, entry);
}

/* The only end of a request that submit took. The callback may free it. */
static void finish(struct fh_routed *routed, enum fh_code code)
{
    FH_ASSERT(code != FH_MOVED && code != FH_HELD);
    leave(routed);
    move(routed, PHASE_IDLE);
    routed->code = code;
    routed->request.code = code;
    if (code != FH_OK && routed->request.error.code != code) {
        (void)fh_error_set(&routed->request.error, code, "%s", fh_code_text(code));
    }
    routed->done_cb(routed);
}

static void finish_late(struct fh_routed *routed)
{
    enum fh_code code =
        fh_error_set(&routed->request.error, FH_DEADLINE, "%s",
                     routed->attempts > 0
                         ? "the deadline passed while the tenant was being moved; nothing was done"
                         : "the deadline passed while the tenant was looked up; nothing was done");
    finish(routed, code);
}

static void back_off(struct fh_routed *routed)
{
    struct fh_router *router = routed->router;
    uint32_t doublings = routed->attempts > 0 ? routed->attempts - 1 : 0;
    int64_t delay_ms = doublings < 6 ? (int64_t)1 << doublings : BACKOFF_MS_MAX;
    if (delay_ms > BACKOFF_MS_MAX) {
        delay_ms = BACKOFF_MS_MAX;
    }
    int64_t due_us = now_us(router) + delay_ms * 1000;
    if (due_us > routed->request.deadline_us) {
        due_us = routed->request.deadline_us;
    }
    move(routed, PHASE_BACKING_OFF);
    fh_wheel_add(&router->wheel, &routed->timer, due_us);
}

/* What went wrong inside of a store names hosts, roles and paths: for the operator, not for a
 * tenant. Operators' own requests do not come this way. */
static void withhold_text(struct fh_routed *routed, enum fh_code code)
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
        request->scope.schema = routed->router->schema;
    }
    if (request->scope.schema == NULL) {
        return fh_error_set(&request->error, FH_PRECONDITION,
                            "no schema has been applied to this server");
    }
    request->scope.epoch = entry->epoch;
    request->scope.home = entry->home;
    request->done_cb = store_done_cb;
    request->arg = routed;
    routed->store = entry->store;
    enum fh_code code = fh_store_submit(entry->store, request);
    if (code == FH_OK) {
        move(routed, PHASE_IN_STORE);
    } else if (request->error.code != code) {
        (void)fh_error_set(&request->error, code, "%s", fh_code_text(code));
    } else {
        withhold_text(routed, code);
    }
    return code;
}

/* Waits for the entry's look-up, beginning one if there is none. With the catalog refusing, a
 * suspect placement is better than none. */
static enum fh_code look_up(struct fh_routed *routed)
{
    struct fh_placement_entry *entry = routed->entry;
    enum fh_code code = FH_OK;
    if (entry->lookup == NULL) {
        code = fh_lookup_start(routed->router, entry, &routed->request.error);
    }
    if (code != FH_OK && entry->status == FH_PLACEMENT_SUSPECT) {
        entry->status = FH_PLACEMENT_PLACED;
    }
    if (code != FH_OK && routed->attempts > 0) {
        back_off(routed);
        return FH_OK;
    }
    if (code != FH_OK) {
        return entry->status == FH_PLACEMENT_PLACED ? dispatch(routed) : code;
    }
    move(routed, PHASE_LOOKING_UP);
    fh_list_push_back(&entry->waiters, &routed->node);
    fh_wheel_add(&routed->router->wheel, &routed->timer, routed->request.deadline_us);
    return FH_OK;
}

static enum fh_code refusal(struct fh_routed *routed, const struct fh_placement_entry *entry)
{
    return fh_error_set(&routed->request.error, entry->refusal, "%s", fh_code_text(entry->refusal));
}

/* On from here with whatever the entry says; a refusal is the caller's to tell. */
static enum fh_code step(struct fh_routed *routed)
{
    struct fh_placement_entry *entry = routed->entry;
    switch ((enum fh_placement_status)entry->status) {
    case FH_PLACEMENT_PLACED:
        return dispatch(routed);
    case FH_PLACEMENT_REFUSED:
        if (now_us(routed->router) < entry->expires_us) {
            return refusal(routed, entry);
        }
        entry->status = FH_PLACEMENT_UNKNOWN;
        return look_up(routed);
    case FH_PLACEMENT_UNKNOWN:
    case FH_PLACEMENT_SUSPECT:
        return look_up(routed);
    }
    FH_UNREACHABLE();
}

static void step_or_finish(struct fh_routed *routed)
{
    enum fh_code code = step(routed);
    if (code != FH_OK) {
        finish(routed, code);
    }
}

/* The catalog answered FH_OK: newer than what was tried, or the same again. */
static void resume(struct fh_routed *routed)
{
    struct fh_placement_entry *entry = routed->entry;
    if (entry->status == FH_PLACEMENT_REFUSED) { /* also one that is for no time remembered */
        finish(routed, refusal(routed, entry));
        return;
    }
    bool tried = routed->attempts > 0 && entry->status == FH_PLACEMENT_PLACED &&
                 entry->epoch <= routed->request.scope.epoch;
    if (tried && routed->home_missing) {
        FH_LOG(routed->router->env->log, ERROR, "router.home_missing",
               FH_KV_TEXT("store", entry->store->name), FH_KV_UUID("tenant", entry->tenant));
        finish(routed,
               fh_error_set(&routed->request.error, FH_UNAVAILABLE,
                            "the tenant's home is missing in its store; tell the operator"));
        return;
    }
    if (tried) {
        back_off(routed);
        return;
    }
    step_or_finish(routed);
}

/* The catalog did not answer. */
static void resume_without(struct fh_routed *routed, enum fh_code code)
{
    if (routed->attempts > 0) {
        back_off(routed);
        return;
    }
    const struct fh_placement_entry *entry = routed->entry;
    if (entry->status == FH_PLACEMENT_PLACED) {
        step_or_finish(routed);
        return;
    }
    if (code != FH_FULL && code != FH_NOMEM) {
        code = FH_UNAVAILABLE;
    }
    finish(routed, fh_error_set(&routed->request.error, code,
                                "the tenant's placement cannot be looked up now; retry"));
}

void fh_route_looked_up(struct fh_router *router, struct fh_placement_entry *entry,
                        enum fh_code code)
{
    struct fh_list waiters;
    fh_list_init(&waiters);
    struct fh_list *node;
    while ((node = fh_list_pop_front(&entry->waiters)) != NULL) {
        fh_list_push_back(&waiters, node);
    }
    if (code != FH_OK && entry->status == FH_PLACEMENT_SUSPECT) {
        entry->status = FH_PLACEMENT_PLACED;
    }
    entry->pins++;
    while ((node = fh_list_pop_front(&waiters)) != NULL) {
        struct fh_routed *routed = FH_CONTAINER_OF(node, struct fh_routed, node);
        fh_wheel_remove(&router->wheel, &routed->timer);
        if (routed->cancelled) {
            finish(routed, FH_CANCELLED);
        } else if (code == FH_OK) {
            resume(routed);
        } else {
            resume_without(routed, code);
        }
    }
    entry->pins--;
    fh_placements_settle(&router->placements, entry);
}

static void turned_away(struct fh_routed *routed, enum fh_code code)
{
    struct fh_router *router = routed->router;
    struct fh_placement_entry *entry = routed->entry;
    if (routed->attempts < UINT32_MAX) {
        routed->attempts++;
    }
    routed->home_missing = code == FH_NO_TENANT;
    if (code == FH_HELD) {
        router->stats.held_retries++;
        back_off(routed);
        return;
    }
    router->stats.moved_retries++;
    if (entry->status == FH_PLACEMENT_PLACED && entry->epoch <= routed->request.scope.epoch) {
        entry->status = FH_PLACEMENT_SUSPECT;
    }
    step_or_finish(routed);
}

static void store_done_cb(struct fh_request *request)
{
    struct fh_routed *routed = request->arg;
    enum fh_code code = request->code;
    if (code != FH_MOVED && code != FH_HELD && code != FH_NO_TENANT) {
        withhold_text(routed, code);
        finish(routed, code);
        return;
    }
    if (routed->cancelled) {
        finish(routed, FH_CANCELLED);
        return;
    }
    if (now_us(routed->router) >= request->deadline_us) {
        routed->attempts++;
        finish_late(routed);
        return;
    }
    turned_away(routed, code);
}

void fh_route_due_cb(struct fh_wheel_node *node, void *arg)
{
    struct fh_routed *routed = FH_CONTAINER_OF(node, struct fh_routed, timer);
    (void)arg;
    FH_ASSERT(routed->phase == PHASE_LOOKING_UP || routed->phase == PHASE_BACKING_OFF);
    if (routed->cancelled) {
        finish(routed, FH_CANCELLED);
        return;
    }
    if (now_us(routed->router) >= routed->request.deadline_us) {
        finish_late(routed);
        return;
    }
    FH_ASSERT(routed->phase == PHASE_BACKING_OFF);
    step_or_finish(routed);
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
    if (request->deadline_us <= now_us(router)) {
        return fh_error_set(&request->error, FH_DEADLINE, "%s", fh_code_text(FH_DEADLINE));
    }
    return FH_OK;
}

enum fh_code fh_router_submit(struct fh_router *router, struct fh_routed *routed)
{
    FH_ASSERT(routed->phase == PHASE_IDLE && routed->done_cb != NULL);
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
    if (entry->in_flight >= router->options.tenant_in_flight_max) {
        router->stats.refused_full++;
        return fh_error_set(error, FH_FULL, "the tenant has %u requests in flight; retry later",
                            entry->in_flight);
    }
    if (entry->status == FH_PLACEMENT_PLACED || entry->status == FH_PLACEMENT_REFUSED) {
        router->stats.hits++;
    } else {
        router->stats.misses++;
    }
    enter(router, routed, entry);
    code = step(routed);
    if (code != FH_OK) {
        leave(routed);
    }
    return code;
}

void fh_router_cancel(struct fh_router *router, struct fh_routed *routed)
{
    if (routed->phase == PHASE_IDLE) {
        return;
    }
    routed->cancelled = true;
    if (routed->phase == PHASE_IN_STORE) {
        fh_store_cancel(routed->store, &routed->request);
        return;
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
