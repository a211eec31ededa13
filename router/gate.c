/* Happy path: the mover closes a tenant's gate, and opens it with the placement that it has
 * switched to; what waits and how it goes on is in hold.c.
 *
 * Failures: memory, when closing. A placement whose store is not open here, or of a tenant whose
 * state is not known, is looked up before anything goes on.
 */
#include "base/assert.h"
#include "router/hold.h"

enum fh_code fh_router_gate_close(struct fh_router *router, const struct fh_uuid *tenant,
                                  enum fh_gate gate)
{
    FH_ASSERT(gate == FH_GATE_WRITES || gate == FH_GATE_ALL);
    struct fh_placement_entry *entry = NULL;
    enum fh_code code = fh_placements_get(&router->placements, tenant, &entry);
    if (code != FH_OK) {
        return code;
    }
    code = fh_hold_close_local(router, entry, gate);
    fh_placements_settle(&router->placements, entry);
    return code;
}

/* Whether what is cached is as new as `placement`, or is so now. */
static bool take_in(struct fh_router *router, struct fh_placement_entry *entry,
                    const struct fh_placement *placement)
{
    if (entry->status != FH_PLACEMENT_PLACED) { /* the tenant's state is to be known first */
        return false;
    }
    if (placement->epoch <= entry->epoch) {
        return true;
    }
    struct fh_store *store = fh_router_store(router, fh_str_of(placement->store));
    if (store == NULL) {
        return false;
    }
    entry->store = store;
    entry->epoch = placement->epoch;
    entry->home = placement->home;
    if (entry->lookup != NULL) {
        fh_lookup_repeat(entry->lookup); /* what was asked for before must not undo this */
    }
    return true;
}

void fh_router_gate_open(struct fh_router *router, const struct fh_uuid *tenant,
                         const struct fh_placement *placement)
{
    struct fh_placement_entry *entry = fh_placements_find(&router->placements, tenant);
    if (entry == NULL) {
        return;
    }
    entry->pins++;
    fh_hold_open_local(router, entry, placement != NULL && take_in(router, entry, placement));
    entry->pins--;
    fh_placements_settle(&router->placements, entry);
}

void fh_router_gate_stats(const struct fh_router *router, const struct fh_uuid *tenant,
                          struct fh_gate_stats *out)
{
    const struct fh_placement_entry *entry = fh_placements_find(&router->placements, tenant);
    const struct fh_hold *hold = entry != NULL ? entry->hold : NULL;
    *out = (struct fh_gate_stats){.held_max = router->options.held_max};
    if (hold == NULL) {
        return;
    }
    out->foreign = hold->foreign > hold->local;
    out->gate = out->foreign ? hold->foreign : hold->local;
    out->held = hold->held;
    int64_t now_us = fh_router_now_us(router);
    for (size_t i = 0; i < FH_HOLD_QUEUES; i++) {
        const struct fh_list *queue = &hold->queues[i];
        for (struct fh_list *node = queue->next; node != queue; node = node->next) {
            const struct fh_routed *routed = FH_CONTAINER_OF(node, struct fh_routed, node);
            if (now_us - routed->held_since_us > out->held_longest_us) {
                out->held_longest_us = now_us - routed->held_since_us;
            }
            if (routed->attempts == 0) { /* those behind came later */
                break;
            }
        }
    }
}
