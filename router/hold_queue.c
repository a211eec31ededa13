/* Two queues a hold, each in the order of submission; who is the oldest of those that a gate lets
 * go on, or holds back. What waits is counted there and not in flight; it leaves by being sent or
 * by ending.
 *
 * Failures: memory, when a hold is made.
 */
#include "router/hold_queue.h"

#include "base/alloc.h"
#include "base/assert.h"

static size_t queue_of(const struct fh_routed *routed)
{
    return routed->request.op == FH_OP_COMMIT ? 0 : 1;
}

unsigned fh_hold_bit_of(const struct fh_routed *routed)
{
    return 1u << queue_of(routed);
}

unsigned fh_hold_held_by(uint8_t gate)
{
    return gate == FH_GATE_ALL ? 3u : gate == FH_GATE_WRITES ? 1u : 0u;
}

static unsigned closed(const struct fh_hold *hold)
{
    return fh_hold_held_by(hold->local) | fh_hold_held_by(hold->foreign);
}

static struct fh_routed *front(const struct fh_list *queue)
{
    return fh_list_empty(queue) ? NULL : FH_CONTAINER_OF(queue->next, struct fh_routed, node);
}

/* The oldest in the queues of `bits`. */
static struct fh_routed *first(const struct fh_hold *hold, unsigned bits)
{
    struct fh_routed *oldest = NULL;
    for (size_t i = 0; i < FH_HOLD_QUEUES; i++) {
        struct fh_routed *routed = (bits >> i & 1u) != 0 ? front(&hold->queues[i]) : NULL;
        if (routed != NULL && (oldest == NULL || routed->order < oldest->order)) {
            oldest = routed;
        }
    }
    return oldest;
}

struct fh_routed *fh_hold_first_to_drain(const struct fh_hold *hold)
{
    return first(hold, ~closed(hold));
}

struct fh_routed *fh_hold_first_to_probe(const struct fh_hold *hold)
{
    return first(hold, fh_hold_held_by(hold->foreign) & ~fh_hold_held_by(hold->local));
}

struct fh_hold *fh_hold_make(struct fh_router *router, struct fh_placement_entry *entry)
{
    struct fh_hold *hold = fh_calloc(1, sizeof(*hold));
    if (hold == NULL) {
        return NULL;
    }
    hold->entry = entry;
    fh_list_init(&hold->draining);
    for (size_t i = 0; i < FH_HOLD_QUEUES; i++) {
        fh_list_init(&hold->queues[i]);
    }
    fh_list_push_back(&router->holds, &hold->node);
    entry->hold = hold;
    return hold;
}

void fh_hold_drop(struct fh_router *router, struct fh_hold *hold)
{
    FH_ASSERT(hold->held == 0);
    fh_list_remove(&hold->node);
    fh_list_remove(&hold->draining);
    fh_wheel_remove(&router->hold_wheel, &hold->timer);
    hold->entry->hold = NULL;
    fh_free(hold);
}

bool fh_hold_takes(const struct fh_placement_entry *entry, const struct fh_routed *routed)
{
    const struct fh_hold *hold = entry->hold;
    return hold != NULL &&
           ((closed(hold) & fh_hold_bit_of(routed)) != 0 || fh_hold_first_to_drain(hold) != NULL);
}

/* By order. New ones come last; those that come back are older than nearly all that wait. */
static void insert(struct fh_list *queue, struct fh_routed *routed)
{
    struct fh_list *at = queue;
    if (!fh_list_empty(queue) &&
        FH_CONTAINER_OF(queue->prev, struct fh_routed, node)->order > routed->order) {
        at = queue->next;
        while (FH_CONTAINER_OF(at, struct fh_routed, node)->order < routed->order) {
            at = at->next;
        }
    }
    fh_list_push_back(at, &routed->node);
}

void fh_hold_queue_join(struct fh_routed *routed)
{
    struct fh_router *router = routed->router;
    struct fh_placement_entry *entry = routed->entry;
    struct fh_hold *hold = entry->hold;
    FH_ASSERT(entry->in_flight > 0 && router->in_flight > 0);
    FH_ASSERT(hold->probe != routed); /* nobody would send it, nor another in its place */
    insert(&hold->queues[queue_of(routed)], routed);
    entry->in_flight--;
    router->in_flight--;
    hold->held++;
    router->held++;
    if (routed->held_since_us == 0) {
        routed->held_since_us = fh_router_now_us(router);
        router->stats.held++;
    }
    fh_wheel_add(&router->wheel, &routed->timer,
                 routed->cancelled ? 0 : routed->request.deadline_us);
}

void fh_hold_queue_leave(struct fh_routed *routed)
{
    struct fh_router *router = routed->router;
    struct fh_placement_entry *entry = routed->entry;
    struct fh_hold *hold = entry->hold;
    FH_ASSERT(hold->held > 0 && router->held > 0);
    fh_list_remove(&routed->node);
    fh_wheel_remove(&router->wheel, &routed->timer);
    entry->in_flight++;
    router->in_flight++;
    hold->held--;
    router->held--;
    int64_t waited_us = fh_router_now_us(router) - routed->held_since_us;
    if (waited_us > router->stats.held_longest_us) {
        router->stats.held_longest_us = waited_us;
    }
}
