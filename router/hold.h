/* Requests held at a tenant's gate, in the order of their submission.
 *
 * A gate is closed by this process's mover (`local`), by what a store answered (`foreign`), or by
 * both; what either holds back waits. The mover opens its own. A foreign gate opens itself: it asks
 * the catalog, then sends the first that waits to the store, until either shows that the switch is
 * over.
 *
 * Invariants: there is a hold exactly while a gate is closed or something waits; a request that is
 * submitted later never overtakes one that waits, unless a gate holds back the one and not the
 * other. Loop thread only. The hold is the router's; requests stay their callers'.
 *
 * Limits: held_max for requests that are new; those that come back from a store (at most
 * tenant_in_flight_max writes, and as many others that passed while writes were held) join beyond
 * it. What is released goes in batches, and no faster than tenant_in_flight_max allows.
 */
#ifndef FH_ROUTER_HOLD_H
#define FH_ROUTER_HOLD_H

#include "router/route.h"

#define FH_HOLD_QUEUES 2

struct fh_hold {
    struct fh_placement_entry *entry;
    struct fh_list node;                   /* of the router's */
    struct fh_list draining;               /* of the router's, while something may go on */
    struct fh_list queues[FH_HOLD_QUEUES]; /* of fh_routed: writes, all else; each in order */
    struct fh_wheel_node timer;            /* while it backs off, or the store is full */
    struct fh_routed *probe;               /* is at the store, for all that wait */
    uint64_t epoch;                        /* the newest at which a store turned something away */
    size_t held;
    uint32_t attempts; /* of the foreign gate to find out whether the switch is over */
    uint8_t local;     /* enum fh_gate */
    uint8_t foreign;
    uint8_t state;
    bool look;   /* in the catalog, before the next probe */
    bool trust;  /* what the catalog says opens it, also when that is nothing new */
    bool paused; /* the store is full: not before the timer */
};

/* The mover's: closes, or changes, its gate. */
FH_MUST_CHECK enum fh_code fh_hold_close_local(struct fh_router *router,
                                               struct fh_placement_entry *entry, enum fh_gate gate);
/* `known`: the entry says where to go on; else the catalog is to. */
void fh_hold_open_local(struct fh_router *router, struct fh_placement_entry *entry, bool known);

/* Whether the request, which is not held, must wait here now. */
bool fh_hold_takes(const struct fh_placement_entry *entry, const struct fh_routed *routed);
/* Makes it wait; only when the hold takes it. */
void fh_hold_join(struct fh_routed *routed);
/* It ends while it waits. */
void fh_hold_forsake(struct fh_routed *routed);
/* A store answered FH_MOVED, FH_HELD or FH_NO_TENANT at what the entry still says: waits, and
 * closes the foreign gate if nothing holds it yet. FH_NOMEM: it does not wait. */
FH_MUST_CHECK enum fh_code fh_hold_turned_away(struct fh_routed *routed, enum fh_code code);
/* No placement is known, the catalog does not answer, and the request was held before: waits on. */
FH_MUST_CHECK enum fh_code fh_hold_wait_on(struct fh_routed *routed);
/* A store took it before, and the one that it is for now is full: waits until that takes it. */
FH_MUST_CHECK enum fh_code fh_hold_wait_for_room(struct fh_routed *routed);
/* A store answered, and the request ends. If it was the probe, the foreign gate opens; but what
 * tells nothing of the switch, or that it goes on, makes it the next one's turn. */
void fh_hold_answered(struct fh_routed *routed, enum fh_code code);
/* The entry was looked up, by the catalog's answer to question `asked`. May free the hold, not the
 * entry. */
void fh_hold_looked_up(struct fh_router *router, struct fh_placement_entry *entry,
                       enum fh_code code, uint64_t asked);
/* Something was told about the tenant, and it is being looked up: no need to wait any longer. */
void fh_hold_poke(struct fh_router *router, struct fh_placement_entry *entry);
/* To be called when something has left: lets others go on, drops a hold that holds nothing. */
void fh_hold_update(struct fh_router *router, struct fh_placement_entry *entry);
/* Drops all, when the router closes: nothing is held any more. */
void fh_hold_close_all(struct fh_router *router);

/* Callbacks of the router's handles. */
void fh_hold_due_cb(struct fh_wheel_node *node, void *arg);
void fh_hold_drain_cb(uv_idle_t *idle);

#endif
