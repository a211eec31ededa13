/* Who waits in a hold, and whose turn it is: of hold.c, which says when. Loop thread only. The hold
 * is the router's; requests stay their callers'. */
#ifndef FH_ROUTER_HOLD_QUEUE_H
#define FH_ROUTER_HOLD_QUEUE_H

#include "router/hold.h"

/* The queue of a request, and those that a gate (enum fh_gate) holds back, as bits. */
unsigned fh_hold_bit_of(const struct fh_routed *routed);
unsigned fh_hold_held_by(uint8_t gate);

/* NULL: out of memory. The entry has none yet. */
FH_MUST_CHECK struct fh_hold *fh_hold_make(struct fh_router *router,
                                           struct fh_placement_entry *entry);
/* Nothing waits in it any more. */
void fh_hold_drop(struct fh_router *router, struct fh_hold *hold);

/* The oldest that no gate holds back; NULL: there is none. */
struct fh_routed *fh_hold_first_to_drain(const struct fh_hold *hold);
/* Who may find out for the foreign gate. */
struct fh_routed *fh_hold_first_to_probe(const struct fh_hold *hold);

/* The entry has a hold, of which the request is not the probe. */
void fh_hold_queue_join(struct fh_routed *routed);
void fh_hold_queue_leave(struct fh_routed *routed);

#endif
