/* The router: from a tenant to its home, for every request, on the loop.
 *
 * fh_router_submit() takes a store request whose scope names the tenant only. It finds the
 * placement (cached, else from the catalog, one look-up however many wait), refuses tenants that
 * are not active, admits or refuses by the tenant's concurrency bound, fills in the rest of the
 * scope, and submits to the store. A store that answers FH_MOVED makes it refresh the placement and
 * try again, FH_HELD makes it wait a little and try again, both within the request's deadline and
 * only when the store executed nothing. Notifications are hints; fences make stale entries safe.
 * With the catalog away, cached placements go on serving.
 *
 * The gate. While a tenant is being switched, its requests wait here, in the order they came,
 * within their own deadlines, and go on to wherever the tenant lives when the gate opens. It closes
 * in two ways: the mover of this process closes it before it freezes the source
 * (fh_router_gate_close), or a store's answer shows a fence that is frozen or closed at the epoch
 * that was routed: then the switch is some other process's, and the first who waits asks again,
 * after a hint at once, else after 1, 2, 4.. 20 ms, for all of them. Held requests are bounded:
 * beyond held_max of one tenant FH_FULL; a mover calls off long before that.
 *
 * Schema versions. A request is made for one version, and a home takes only its own. The router
 * remembers the version that each tenant's home was seen at; a home that turns a request away with
 * FH_STALE_SCHEMA ends it so, for only its maker can make it anew; but not before the home's
 * version is known: it asks the home where the engine could not say (FH_OP_FENCE_READ), and waits,
 * within the request's deadline, for a version that this process has not learnt yet
 * (fh_router_on_newer_schema).
 *
 * Cache: at most `placements_max` entries (default 1,000,000; <= 200 bytes each), least recently
 * used goes first; unknown tenants are remembered too, for a short time, in the same bound. Hints
 * of the catalog make it look again; where several processes share a catalog, an entry is also
 * looked up again in the background once it is older than placement_ttl_us, and serves meanwhile.
 */
#ifndef FH_ROUTER_ROUTER_H
#define FH_ROUTER_ROUTER_H

#include "base/env.h"
#include "router/catalog.h"
#include "router/wheel.h"
#include "stores/store.h"

struct fh_router;

struct fh_router_options {
    size_t placements_max; /* default 1,000,000 */
    uint32_t
        tenant_in_flight_max; /* requests of one tenant at once; default 512; beyond: FH_FULL */
    int64_t negative_ttl_us;  /* how long "no such tenant" is remembered; default 1 s */
    uint32_t held_max; /* requests of one tenant that wait at its gate, beside those in flight;
                          default 8192; beyond: FH_FULL */
    int64_t placement_ttl_us; /* shared catalogs: how old an entry may grow unlooked at; default
                                 10 s */
};
void fh_router_options_init(struct fh_router_options *options);

/* Borrows env and catalog. */
FH_MUST_CHECK enum fh_code fh_router_create(const struct fh_env *env, struct fh_catalog *catalog,
                                            const struct fh_router_options *options,
                                            struct fh_router **out);
/* Nothing may be in flight. Closes its own handles with a callback. */
void fh_router_close(struct fh_router *router, void (*closed_cb)(void *arg), void *arg);

/* Stores by name; the router borrows them. Few (<= 1000). */
FH_MUST_CHECK enum fh_code fh_router_add_store(struct fh_router *router, struct fh_store *store);
/* Only a store that no placement uses. */
void fh_router_remove_store(struct fh_router *router, struct fh_store *store);
struct fh_store *fh_router_store(const struct fh_router *router, struct fh_str name);
struct fh_store *fh_router_next_store(const struct fh_router *router, size_t *cursor);

/* The newest schema version that is known here; kept for the process's life (stores/model.h). Who
 * waits for it goes on, not inside this call. */
void fh_router_set_schema(struct fh_router *router, const struct fh_schema *schema);
const struct fh_schema *fh_router_schema(const struct fh_router *router);
/* The one to make a new request of that tenant for: what its home was seen at, else the newest: a
 * guess, which the home's answer corrects. NULL: none is known here. */
const struct fh_schema *fh_router_schema_of(const struct fh_router *router,
                                            const struct fh_uuid *tenant);
/* Told, on the loop, when a home is at a version that is not known here: to be learnt soon. A hint.
 * One listener; NULL: none any more. */
typedef void fh_router_newer_schema_cb(void *arg, uint32_t version);
void fh_router_on_newer_schema(struct fh_router *router, fh_router_newer_schema_cb *newer_cb,
                               void *arg);

/* The same hint from somebody else who met such a home. */
void fh_router_want_schema(const struct fh_router *router, uint32_t version);

/* One routed request. Embed it in the call's arena; fill `request` (op, scope.tenant, deadline_us,
 * arena, as), `done_cb` and `arg`. */
struct fh_routed {
    struct fh_request request;
    void (*done_cb)(struct fh_routed *routed); /* exactly once, on the loop, not inside submit */
    void *arg;
    enum fh_code code; /* the outcome; request.error tells more */

    /* The router's; all zero before the first submit */
    struct fh_router *router;
    struct fh_store *store;
    struct fh_list node; /* of the waiters of a look-up, or of those held at a gate */
    struct fh_wheel_node timer;
    uint64_t order;         /* of submission */
    int64_t held_since_us;  /* 0: never yet */
    uint64_t missing_since; /* the newest question to the catalog when the store knew no such
                               tenant, at the scope's epoch; 0: it was not so, or is tried anew */
    uint32_t attempts;      /* that the store turned away */
    uint8_t phase;
    bool cancelled;
    void *entry;
};

/* For reads, lists, commits, events and reading the fence; everything else is the sagas'.
 * scope.schema is kept when it is set, else it is fh_router_schema_of(). Completes as
 * FH_STALE_SCHEMA, with version_seen, when the home is at another version, which then is known here
 * (0: not even the home could say).
 * Refuses (done_cb never called): FH_FULL, FH_NOMEM, FH_SHUTTING_DOWN, FH_INVALID, FH_DEADLINE;
 * what is remembered of the tenant (FH_NO_TENANT, FH_SUSPENDED); FH_PRECONDITION without a schema;
 * FH_UNAVAILABLE when the catalog refuses; and whatever the store refuses with. request.error tells
 * more. */
FH_MUST_CHECK enum fh_code fh_router_submit(struct fh_router *router, struct fh_routed *routed);
/* A wish: it still completes exactly once, and not inside this call. */
void fh_router_cancel(struct fh_router *router, struct fh_routed *routed);

/* Forget what is cached of a tenant (it changed here, or a notification said so). */
void fh_router_invalidate(struct fh_router *router, const struct fh_uuid *tenant);

/* What a gate holds back. Reads still pass a gate that holds writes. */
enum fh_gate {
    FH_GATE_OPEN,
    FH_GATE_WRITES,
    FH_GATE_ALL,
};

/* The mover's: holds what is submitted from now on; what is in a store already ends there (the
 * fence drains it). Again with another gate: changes it. FH_FULL, FH_NOMEM: nothing is held. The
 * mover must open it again, whatever happens. */
FH_MUST_CHECK enum fh_code fh_router_gate_close(struct fh_router *router,
                                                const struct fh_uuid *tenant, enum fh_gate gate);
/* Everything held goes on, in order: to `placement` if given (it is newer than what is cached),
 * else to where the catalog says. Harmless when the gate is open. */
void fh_router_gate_open(struct fh_router *router, const struct fh_uuid *tenant,
                         const struct fh_placement *placement);

struct fh_gate_stats {
    enum fh_gate gate;
    size_t held;
    size_t held_max;         /* the bound */
    int64_t held_longest_us; /* the longest any that waits now has waited */
    bool foreign;            /* closed by what a store answered, not by this process's mover */
};
void fh_router_gate_stats(const struct fh_router *router, const struct fh_uuid *tenant,
                          struct fh_gate_stats *out);

struct fh_router_stats {
    uint64_t hits;
    uint64_t misses;
    uint64_t moved_retries;
    uint64_t held_retries;
    uint64_t stale_schema; /* requests that a home of another version turned away */
    uint64_t refused_full;
    uint64_t held;           /* requests that ever waited at a gate */
    int64_t held_longest_us; /* the longest any did, since start */
    size_t held_now;
    size_t placements;
    size_t in_flight;
};
void fh_router_stats(const struct fh_router *router, struct fh_router_stats *out);

#endif
