/* The placement cache: what is known of each tenant, and who waits to know.
 *
 * At most `count_max` entries. An entry is busy while requests of its tenant are in flight, it is
 * looked up or its gate is closed; only idle entries go, least recently used first. Entries about
 * which nothing is known do not stay, so that look-ups that fail do not push good placements out.
 * Loop thread only.
 */
#ifndef FH_ROUTER_PLACEMENTS_H
#define FH_ROUTER_PLACEMENTS_H

#include "base/list.h"
#include "base/map.h"
#include "stores/store.h"

enum fh_placement_status {
    FH_PLACEMENT_UNKNOWN, /* must be looked up */
    FH_PLACEMENT_PLACED,  /* serves also while it is looked up again: fences keep it safe */
    FH_PLACEMENT_REFUSED, /* `refusal`, until `expires_us` */
};

struct fh_lookup;
struct fh_hold;

struct fh_placement_entry {
    struct fh_uuid tenant;
    struct fh_list idle;    /* of the cache's list while it is idle */
    struct fh_list waiters; /* fh_routed */
    struct fh_lookup *lookup;
    struct fh_hold *hold;   /* NULL: no gate is closed, and nothing waits at one */
    struct fh_store *store; /* borrowed; PLACED */
    uint64_t epoch;
    int64_t expires_us; /* PLACED: to be looked up again from then on, in the background */
    struct fh_home home;
    enum fh_code refusal;
    uint32_t in_flight;      /* looking up or in a store; not those held */
    uint32_t generation;     /* the router's, when it was looked up */
    uint32_t schema_version; /* of the home, as it was seen last; 0: not yet */
    uint16_t pins;           /* somebody holds a pointer across callbacks */
    uint8_t status;
};

/* The bound of router.h, the map's slots (16 bytes each, at its emptiest three for an entry)
 * included. */
_Static_assert(sizeof(struct fh_placement_entry) + 48 <= 200,
               "a placement costs at most 200 bytes");

struct fh_placements {
    struct fh_map map;
    struct fh_list idle; /* least recently used first */
};

void fh_placements_init(struct fh_placements *placements, size_t count_max);
/* Asserts that nothing is busy. */
void fh_placements_close(struct fh_placements *placements);

struct fh_placement_entry *fh_placements_find(const struct fh_placements *placements,
                                              const struct fh_uuid *tenant);
/* Finds or makes. FH_FULL: all are busy; FH_NOMEM. */
FH_MUST_CHECK enum fh_code fh_placements_get(struct fh_placements *placements,
                                             const struct fh_uuid *tenant,
                                             struct fh_placement_entry **out);
/* To be called after whatever may have made the entry busy or idle. It may free the entry. */
void fh_placements_settle(struct fh_placements *placements, struct fh_placement_entry *entry);

#endif
