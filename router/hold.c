/* Happy path, the mover's: close; what is submitted waits; open with the new placement; what waits
 * goes on in its order, a batch a turn of the loop, and the hold is gone. The foreign gate:
 *
 *              turned away                   the same epoch again
 *    RESTING --------------> LOOKING_UP ------------------------> PROBING --+
 *       ^  \ FH_HELD           |   ^                             |   ^      | turned away
 *       |   \                  |   | delay over, or a hint       |   |      | again
 *       |    +-----------------|---|--> BACKING_OFF <------------|---|------+
 *       |                      |   +--------+   |                |   |
 *       |                      |                +----------------|---+ delay over, after FH_HELD
 *       +----------------------+---------------------------------+
 *         a newer epoch, nobody waits any more         any other answer
 *
 * Failures: a catalog that does not answer leaves the probe to find out, for fences keep it safe;
 * with no placement at all it is asked again. A store that is full pauses the release; what waits,
 * or comes back from another store, keeps its place. Deadlines and cancels end a request where it
 * waits. Memory: only closing needs it.
 */
#include "router/hold.h"

#include "base/assert.h"
#include "router/hold_queue.h"

#define BACKOFF_MS_MAX 20
#define PAUSE_US 1000
#define HELD_PROBES_MAX 4  /* so often FH_HELD is taken for a freeze that ends any moment */
#define DRAIN_BATCH_MAX 64 /* of one tenant in a row; submitting one takes about a microsecond */
#define DRAIN_TURN_MAX 256 /* in one turn of the loop */

enum state { RESTING, LOOKING_UP, PROBING, BACKING_OFF };

void fh_hold_join(struct fh_routed *routed)
{
    fh_hold_queue_join(routed);
    fh_hold_update(routed->router, routed->entry);
}

void fh_hold_forsake(struct fh_routed *routed)
{
    fh_hold_queue_leave(routed);
}

static bool may_drain(const struct fh_router *router, const struct fh_hold *hold)
{
    return !hold->paused && hold->entry->in_flight < router->options.tenant_in_flight_max &&
           fh_hold_first_to_drain(hold) != NULL;
}

static void rest(struct fh_router *router, struct fh_hold *hold)
{
    if (hold->state == BACKING_OFF && !hold->paused) {
        fh_wheel_remove(&router->hold_wheel, &hold->timer);
    }
    hold->foreign = FH_GATE_OPEN;
    hold->state = RESTING;
    hold->attempts = 0;
    hold->trust = false;
    hold->probe = NULL; /* it may still be at the store; it proves nothing any more */
}

void fh_hold_update(struct fh_router *router, struct fh_placement_entry *entry)
{
    struct fh_hold *hold = entry->hold;
    if (hold == NULL) {
        return;
    }
    if (hold->foreign != FH_GATE_OPEN && hold->probe == NULL &&
        fh_hold_first_to_probe(hold) == NULL) {
        rest(router, hold);
    }
    if (hold->held == 0 && hold->local == FH_GATE_OPEN && hold->foreign == FH_GATE_OPEN) {
        fh_hold_drop(router, hold);
        return;
    }
    bool drains = !fh_list_empty(&hold->draining);
    if (drains && !may_drain(router, hold)) {
        fh_list_remove(&hold->draining);
    } else if (!drains && may_drain(router, hold)) {
        fh_list_push_back(&router->draining, &hold->draining);
        int failed = uv_idle_start(&router->drain, fh_hold_drain_cb);
        FH_ASSERT(failed == 0); /* the callback is not NULL */
    }
}

static void open_foreign(struct fh_router *router, struct fh_hold *hold)
{
    rest(router, hold);
    fh_hold_update(router, hold->entry);
}

static void set_timer(struct fh_router *router, struct fh_hold *hold, int64_t delay_us)
{
    fh_wheel_remove(&router->hold_wheel, &hold->timer);
    fh_wheel_add(&router->hold_wheel, &hold->timer, fh_router_now_us(router) + delay_us);
}

static void back_off(struct fh_router *router, struct fh_hold *hold, bool look)
{
    int64_t delay_ms = hold->attempts < 5 ? (int64_t)1 << hold->attempts : BACKOFF_MS_MAX;
    hold->state = BACKING_OFF;
    hold->look = look;
    hold->attempts++;
    set_timer(router, hold, delay_ms * 1000);
}

/* An answer that was asked for earlier than now would not do. */
static void look(struct fh_router *router, struct fh_hold *hold)
{
    struct fh_error error;
    struct fh_placement_entry *entry = hold->entry;
    if (entry->lookup != NULL) {
        fh_lookup_repeat(entry->lookup);
    } else if (fh_lookup_start(router, entry, &error) != FH_OK) {
        back_off(router, hold, entry->status != FH_PLACEMENT_PLACED);
        return;
    }
    hold->state = LOOKING_UP;
}

/* Ends what is cancelled or too late. */
static bool ended(struct fh_routed *routed)
{
    if (routed->cancelled) {
        fh_route_finish(routed, FH_CANCELLED);
        return true;
    }
    if (fh_router_now_us(routed->router) >= routed->request.deadline_us) {
        fh_route_finish_late(routed);
        return true;
    }
    return false;
}

/* Sends the first of those that wait. Callers' callbacks may be called: the hold may be gone. */
static void probe(struct fh_router *router, struct fh_placement_entry *entry)
{
    struct fh_hold *hold = entry->hold;
    struct fh_routed *routed = NULL;
    if (entry->status != FH_PLACEMENT_PLACED) {
        look(router, hold);
        return;
    }
    do {
        hold = entry->hold;
        routed = hold != NULL ? fh_hold_first_to_probe(hold) : NULL;
    } while (routed != NULL && ended(routed));
    if (routed == NULL) {
        fh_hold_update(router, entry);
        return;
    }
    if (entry->status != FH_PLACEMENT_PLACED) { /* a callback has seen to that */
        look(router, hold);
        return;
    }
    fh_hold_queue_leave(routed);
    hold->state = PROBING;
    hold->probe = routed;
    enum fh_code code = fh_route_send(routed);
    if (code == FH_OK) {
        return;
    }
    hold->probe = NULL;
    if (code == FH_FULL) {
        fh_hold_queue_join(routed);
        back_off(router, hold, false);
        return;
    }
    open_foreign(router, hold);
    fh_route_finish(routed, code);
}

/* What a store's answer says of the switch that another process makes. */
static uint8_t gate_of(const struct fh_routed *routed, enum fh_code code)
{
    const struct fh_request *request = &routed->request;
    bool frozen = code == FH_MOVED && request->mode_seen == FH_FENCE_FROZEN &&
                  request->epoch_seen == request->scope.epoch;
    return request->op == FH_OP_COMMIT && (frozen || code == FH_HELD) ? FH_GATE_WRITES
                                                                      : FH_GATE_ALL;
}

static void probe_failed(struct fh_router *router, struct fh_hold *hold, enum fh_code code)
{
    hold->probe = NULL;
    back_off(router, hold, code != FH_HELD || hold->attempts >= HELD_PROBES_MAX);
}

enum fh_code fh_hold_turned_away(struct fh_routed *routed, enum fh_code code)
{
    struct fh_router *router = routed->router;
    struct fh_placement_entry *entry = routed->entry;
    struct fh_hold *hold = entry->hold != NULL ? entry->hold : fh_hold_make(router, entry);
    if (hold == NULL) {
        return FH_NOMEM;
    }
    bool was_probe = hold->probe == routed;
    if (hold->epoch < routed->request.scope.epoch) {
        hold->epoch = routed->request.scope.epoch;
    }
    /* Behind the mover's gate it tells nothing new of the foreign one. But as the probe it did its
     * turn there as well, and those whom only that gate holds must not wait for it. */
    bool local = (fh_hold_held_by(hold->local) & fh_hold_bit_of(routed)) != 0;
    uint8_t gate = local ? FH_GATE_OPEN : gate_of(routed, code);
    hold->foreign = gate > hold->foreign ? gate : hold->foreign;
    if (was_probe) {
        probe_failed(router, hold, code);
    }
    fh_hold_queue_join(routed);
    if (!local && hold->state == RESTING && code == FH_HELD) {
        back_off(router, hold, false);
    } else if (!local && hold->state == RESTING) {
        look(router, hold);
    }
    fh_hold_update(router, entry);
    return FH_OK;
}

enum fh_code fh_hold_wait_on(struct fh_routed *routed)
{
    struct fh_router *router = routed->router;
    struct fh_placement_entry *entry = routed->entry;
    struct fh_hold *hold = entry->hold != NULL ? entry->hold : fh_hold_make(router, entry);
    if (hold == NULL) {
        return FH_NOMEM;
    }
    fh_hold_queue_join(routed);
    hold->foreign = FH_GATE_ALL;
    if (hold->state == RESTING) {
        back_off(router, hold, true);
    }
    fh_hold_update(router, entry);
    return FH_OK;
}

/* Keeps its place; the store, or the catalog, takes nothing just now. */
static void pause_drain(struct fh_router *router, struct fh_routed *routed)
{
    struct fh_hold *hold = ((struct fh_placement_entry *)routed->entry)->hold;
    fh_hold_queue_join(routed);
    hold->paused = true;
    if (hold->state != BACKING_OFF) {
        set_timer(router, hold, PAUSE_US);
    }
}

enum fh_code fh_hold_wait_for_room(struct fh_routed *routed)
{
    struct fh_router *router = routed->router;
    struct fh_placement_entry *entry = routed->entry;
    if (entry->hold == NULL && fh_hold_make(router, entry) == NULL) {
        return FH_NOMEM;
    }
    pause_drain(router, routed);
    fh_hold_update(router, entry);
    return FH_OK;
}

void fh_hold_answered(struct fh_routed *routed, enum fh_code code)
{
    struct fh_placement_entry *entry = routed->entry;
    struct fh_hold *hold = entry->hold;
    if (hold == NULL || hold->probe != routed) {
        return;
    }
    switch (code) {
    case FH_MOVED:
    case FH_HELD:
    case FH_NO_TENANT:
    case FH_DEADLINE: /* it tells about the request alone */
    case FH_CANCELLED:
        probe_failed(routed->router, hold, code);
        break;
    default:
        open_foreign(routed->router, hold);
    }
}

/* One that found no home in the store where the catalog, asked after that, says it is. They are
 * among those that came back, which stand in front. */
static struct fh_routed *first_missing(const struct fh_hold *hold, uint64_t asked)
{
    for (size_t i = 0; i < FH_HOLD_QUEUES; i++) {
        const struct fh_list *queue = &hold->queues[i];
        for (struct fh_list *node = queue->next; node != queue; node = node->next) {
            struct fh_routed *routed = FH_CONTAINER_OF(node, struct fh_routed, node);
            if (routed->missing_since != 0 && routed->missing_since < asked &&
                routed->request.scope.epoch >= hold->entry->epoch) {
                return routed;
            }
            if (routed->attempts == 0) {
                break;
            }
        }
    }
    return NULL;
}

static bool finish_missing(struct fh_router *router, struct fh_placement_entry *entry,
                           uint64_t asked)
{
    struct fh_routed *routed = NULL;
    bool any = false;
    while (entry->hold != NULL && (routed = first_missing(entry->hold, asked)) != NULL) {
        FH_LOG(router->env->log, ERROR, "router.home_missing",
               FH_KV_TEXT("store", entry->store != NULL ? entry->store->name : ""),
               FH_KV_UUID("tenant", entry->tenant));
        any = true;
        fh_route_finish(routed, fh_error_set(&routed->request.error, FH_UNAVAILABLE,
                                             "the tenant's home is missing in its store; tell the "
                                             "operator"));
    }
    return any;
}

void fh_hold_looked_up(struct fh_router *router, struct fh_placement_entry *entry,
                       enum fh_code code, uint64_t asked)
{
    struct fh_hold *hold = entry->hold;
    if (hold == NULL || hold->foreign == FH_GATE_OPEN) {
        return;
    }
    if (code == FH_OK &&
        (entry->status != FH_PLACEMENT_PLACED || entry->epoch > hold->epoch || hold->trust)) {
        open_foreign(router, hold);
        return;
    }
    if (hold->state != LOOKING_UP) {
        return;
    }
    if (code == FH_OK && finish_missing(router, entry, asked)) {
        if (entry->hold != NULL) {
            open_foreign(router, entry->hold); /* the others shall hear the same at once */
        }
        return;
    }
    if (entry->status == FH_PLACEMENT_PLACED) {
        probe(router, entry);
    } else {
        back_off(router, hold, true);
    }
}

void fh_hold_poke(struct fh_router *router, struct fh_placement_entry *entry)
{
    struct fh_hold *hold = entry->hold;
    if (hold == NULL || hold->state != BACKING_OFF) {
        return;
    }
    if (!hold->paused) {
        fh_wheel_remove(&router->hold_wheel, &hold->timer);
    }
    if (entry->lookup != NULL) { /* begun for this very hint, or followed by one that is */
        hold->state = LOOKING_UP;
    } else {
        look(router, hold);
    }
}

void fh_hold_due_cb(struct fh_wheel_node *node, void *arg)
{
    struct fh_router *router = arg;
    struct fh_hold *hold = FH_CONTAINER_OF(node, struct fh_hold, timer);
    struct fh_placement_entry *entry = hold->entry;
    entry->pins++;
    hold->paused = false;
    if (hold->state == BACKING_OFF && hold->look) {
        look(router, hold);
    } else if (hold->state == BACKING_OFF) {
        probe(router, entry);
    }
    fh_hold_update(router, entry);
    entry->pins--;
    fh_placements_settle(&router->placements, entry);
}

/* At most `max`, in order; how many were looked at. */
static size_t drain(struct fh_router *router, struct fh_placement_entry *entry, size_t max)
{
    for (size_t i = 0; i < max; i++) {
        if (entry->hold == NULL || !may_drain(router, entry->hold)) {
            return i;
        }
        struct fh_routed *routed = fh_hold_first_to_drain(entry->hold);
        if (ended(routed)) {
            continue;
        }
        fh_hold_queue_leave(routed);
        enum fh_code code = fh_route_send(routed);
        if (code == FH_FULL || (code != FH_OK && entry->status == FH_PLACEMENT_UNKNOWN)) {
            pause_drain(router, routed);
            return i + 1;
        }
        if (code != FH_OK) {
            fh_route_finish(routed, code);
        }
    }
    return max;
}

void fh_hold_drain_cb(uv_idle_t *idle)
{
    struct fh_router *router = idle->data;
    size_t left = DRAIN_TURN_MAX;
    struct fh_list *node = NULL;
    while (left > 0 && (node = fh_list_pop_front(&router->draining)) != NULL) {
        struct fh_placement_entry *entry = FH_CONTAINER_OF(node, struct fh_hold, draining)->entry;
        entry->pins++;
        size_t done = drain(router, entry, left < DRAIN_BATCH_MAX ? left : DRAIN_BATCH_MAX);
        left -= done > 0 ? done : 1;
        fh_hold_update(router, entry); /* behind the others, if there is more */
        entry->pins--;
        fh_placements_settle(&router->placements, entry);
    }
    if (fh_list_empty(&router->draining)) {
        uv_idle_stop(&router->drain);
    }
}

void fh_hold_close_all(struct fh_router *router)
{
    struct fh_list *node = NULL;
    while ((node = fh_list_pop_front(&router->holds)) != NULL) {
        struct fh_hold *hold = FH_CONTAINER_OF(node, struct fh_hold, node);
        struct fh_placement_entry *entry = hold->entry;
        fh_hold_drop(router, hold);
        fh_placements_settle(&router->placements, entry);
    }
}

enum fh_code fh_hold_close_local(struct fh_router *router, struct fh_placement_entry *entry,
                                 enum fh_gate gate)
{
    struct fh_hold *hold = entry->hold != NULL ? entry->hold : fh_hold_make(router, entry);
    if (hold == NULL) {
        return FH_NOMEM;
    }
    hold->local = (uint8_t)gate;
    if (hold->foreign <= hold->local) { /* this process knows better when it is over */
        rest(router, hold);
    }
    fh_hold_update(router, entry);
    return FH_OK;
}

void fh_hold_open_local(struct fh_router *router, struct fh_placement_entry *entry, bool known)
{
    struct fh_hold *hold = entry->hold;
    if (hold == NULL) {
        return;
    }
    if (known && hold->foreign != FH_GATE_OPEN && entry->epoch > hold->epoch) {
        rest(router, hold);
    }
    uint8_t was = hold->local;
    hold->local = FH_GATE_OPEN;
    if (was != FH_GATE_OPEN && !known && hold->held > 0) {
        hold->foreign = was > hold->foreign ? was : hold->foreign;
        hold->trust = true;
        if (hold->state != LOOKING_UP && hold->state != PROBING) {
            look(router, hold);
        }
    } else if (was != FH_GATE_OPEN && !known) {
        fh_lookup_again(router, entry);
    }
    fh_hold_update(router, entry);
}
