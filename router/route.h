/* The router's inside: what router.c (stores, options, life cycle), route.c (one request's way),
 * hold.c (gates), stale.c (homes of another schema version) and lookup.c (the catalog's answers and
 * hints) share. */
#ifndef FH_ROUTER_ROUTE_H
#define FH_ROUTER_ROUTE_H

#include "base/map.h"
#include "router/placements.h"
#include "router/router.h"

struct fh_router {
    const struct fh_env *env;
    struct fh_catalog *catalog;
    struct fh_catalog_watcher watcher;
    struct fh_router_options options;
    struct fh_placements placements;
    struct fh_wheel wheel;      /* deadlines of requests */
    struct fh_wheel hold_wheel; /* delays of gates */
    struct fh_list holds;
    struct fh_list draining; /* of the holds: those with requests that may go on */
    uv_idle_t drain;         /* runs while `draining` is not empty */
    struct fh_map stores;    /* by name */
    const struct fh_schema *schema;
    struct fh_list awaiting; /* fh_routed whose home's schema version is not known here */
    fh_router_newer_schema_cb *newer_cb;
    void *newer_arg;
    struct fh_router_stats stats;
    uint64_t order; /* of the newest request */
    uint64_t asked; /* questions to the catalog so far: the number of the newest */
    size_t in_flight;
    size_t held;
    size_t lookups;
    uint32_t generation; /* +1: whatever is cached is to be looked at again */
    bool closing;
    uint8_t handles_open;
    void (*closed_cb)(void *arg);
    void *closed_arg;
};

/* Where a request is. */
enum fh_route_phase {
    FH_ROUTE_IDLE,
    FH_ROUTE_LOOKING_UP,
    FH_ROUTE_HELD,
    FH_ROUTE_IN_STORE,
    FH_ROUTE_ASKING,   /* the home, which schema version it is at */
    FH_ROUTE_AWAITING, /* that schema version */
};

static inline int64_t fh_router_now_us(const struct fh_router *router)
{
    return fh_clock_monotonic_us(router->env->clock);
}

/* Frees a router that is closed and has no look-up left. */
void fh_router_settle(struct fh_router *router);

/* Asserts that it may. */
void fh_route_move(struct fh_routed *routed, enum fh_route_phase to);
/* A store answered FH_MOVED, FH_HELD or FH_NO_TENANT: sent on, held, or ended. */
void fh_route_turned_away(struct fh_routed *routed, enum fh_code code);
/* What a store said of its insides is the operator's to know. */
void fh_route_withhold_text(struct fh_routed *routed, enum fh_code code);

/* stale.c: the home answered FH_STALE_SCHEMA. The request ends so, now or later. */
void fh_stale_turned_away(struct fh_routed *routed);
/* The home took the request: it is at the version the request was made for. */
void fh_stale_served(struct fh_routed *routed);
/* A newer version is known: who waits for it goes on, with the wheel's next turn. */
void fh_stale_wake(struct fh_router *router);
/* Whether what it waited for is known. */
bool fh_stale_is_over(const struct fh_routed *routed);

/* The wheel's callback. */
void fh_route_due_cb(struct fh_wheel_node *node, void *arg);
/* On its way with whatever the entry says: to the store, or to wait for a look-up. Its refusal is
 * the caller's to tell; the request is then where it was. */
FH_MUST_CHECK enum fh_code fh_route_send(struct fh_routed *routed);
/* The end of a request that submit took. The callback may free it, and may submit others. */
void fh_route_finish(struct fh_routed *routed, enum fh_code code);
void fh_route_finish_late(struct fh_routed *routed);
/* The entry was brought up to date (FH_OK), or could not be: wakes who waits. `asked` is the number
 * of the question that was answered. */
void fh_route_looked_up(struct fh_router *router, struct fh_placement_entry *entry,
                        enum fh_code code, uint64_t asked);

/* lookup.c: begins asking the catalog for the entry's tenant; the answer ends in
 * fh_route_looked_up(). Refuses when the catalog does. */
FH_MUST_CHECK enum fh_code
fh_lookup_start(struct fh_router *router, struct fh_placement_entry *entry, struct fh_error *error);
/* What is being asked is out of date already: ask again before anybody is answered. */
void fh_lookup_repeat(struct fh_lookup *lookup);
/* The entry is used: looks it up in the background when it is time to. */
void fh_lookup_refresh(struct fh_router *router, struct fh_placement_entry *entry);
/* Something may have changed about it: looks it up in the background, now, or when next used. */
void fh_lookup_again(struct fh_router *router, struct fh_placement_entry *entry);
/* Whether a hint said since it was looked up that anything may have changed. */
static inline bool fh_lookup_is_stale(const struct fh_router *router,
                                      const struct fh_placement_entry *entry)
{
    return entry->generation != router->generation;
}
/* The catalog's. */
void fh_lookup_hint_cb(void *arg, enum fh_catalog_hint hint, const struct fh_uuid *uuid);

#endif
