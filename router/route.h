/* The router's inside: what router.c (stores, options, life cycle) and route.c (one request's way)
 * share. */
#ifndef FH_ROUTER_ROUTE_H
#define FH_ROUTER_ROUTE_H

#include "base/map.h"
#include "router/placements.h"
#include "router/router.h"

struct fh_router {
    const struct fh_env *env;
    struct fh_catalog *catalog;
    struct fh_router_options options;
    struct fh_placements placements;
    struct fh_wheel wheel;
    struct fh_map stores; /* by name */
    const struct fh_schema *schema;
    struct fh_router_stats stats;
    size_t in_flight;
    size_t lookups;
    bool closing;
    bool wheel_closed;
    void (*closed_cb)(void *arg);
    void *closed_arg;
};

/* The wheel's callback. */
void fh_route_due_cb(struct fh_wheel_node *node, void *arg);
/* Frees a router that is closed and has no look-up left. */
void fh_router_settle(struct fh_router *router);

/* lookup.c: begins asking the catalog for the entry's tenant; the answer ends in
 * fh_route_looked_up(). Refuses when the catalog does. */
FH_MUST_CHECK enum fh_code
fh_lookup_start(struct fh_router *router, struct fh_placement_entry *entry, struct fh_error *error);
/* What is being asked is out of date already: ask again before anybody is answered. */
void fh_lookup_repeat(struct fh_lookup *lookup);

/* The entry was brought up to date (FH_OK), or could not be: wakes its waiters. */
void fh_route_looked_up(struct fh_router *router, struct fh_placement_entry *entry,
                        enum fh_code code);

#endif
