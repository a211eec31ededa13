/* The roller: brings the application's newest schema version to every home, as rollouts in the
 * catalog say (router/rollouts.h).
 *
 * One runs in every freeholdd and freehold-migrator; any number may share a catalog. It claims the
 * unfinished rollout, walks over all homes (the tenants' own first, then the shared home of every
 * store), asks each for its version, and changes those that are behind. What a home says of itself
 * is the truth, so a worker that died is followed by one that starts its walk over and skips what
 * is done. A rollout ends when a whole walk found nothing behind.
 *
 * A move and a schema change of one home never cross: a home whose tenant is being copied or
 * switched waits, and a change requires the fence's epoch and generation, which a mover's claim
 * raises. A store's shared home waits for moves in and out of it for SHARED_WAIT_US at most; then
 * it goes ahead, and those moves begin their copy again; those that are switching by then may open
 * a home that is behind, so no rollout ends before they are over and such homes were looked at.
 *
 * Bounds: settings.concurrency homes at once in a store, SLOTS_MAX in all; LATER_MAX homes are
 * remembered to be tried again, the rest is found by the next walk; every request has a deadline.
 *
 * Crash points (base/fault_point.h): rollout.claimed, rollout.surveyed, rollout.apply,
 * rollout.applied, rollout.note, rollout.noted, rollout.canary, rollout.ending.
 *
 * Loop thread only.
 */
#ifndef FH_ROUTER_ROLLER_H
#define FH_ROUTER_ROLLER_H

#include "base/env.h"
#include "router/catalog.h"
#include "router/router.h"
#include "router/schemas.h"

struct fh_roller;

struct fh_roller_options {
    struct fh_uuid worker;     /* who we are, in claims; nil: a new one */
    int64_t poll_us;           /* how often the catalog is asked without a hint; default 1 s */
    int64_t takeover_after_us; /* how long another's beat must stand still; default 5 s */
    int64_t beat_us;           /* progress is written at least that often; default 1 s */
    struct fh_str actor;       /* in the operators' audit; borrowed; default "freehold-migrator" */
};
void fh_roller_options_init(struct fh_roller_options *options);

/* Borrows all. */
FH_MUST_CHECK enum fh_code fh_roller_create(const struct fh_env *env, struct fh_catalog *catalog,
                                            struct fh_router *router, struct fh_schemas *schemas,
                                            const struct fh_roller_options *options,
                                            struct fh_roller **out);
void fh_roller_start(struct fh_roller *roller);
/* Begins nothing more, asks what runs in stores to end, and waits for it. The rollout is taken over
 * by the next worker. */
void fh_roller_close(struct fh_roller *roller, void (*closed_cb)(void *arg), void *arg);
/* Looks at the catalog now; hints do the same. */
void fh_roller_wake(struct fh_roller *roller);
/* True when the catalog was asked at least once and there is nothing that could be worked on. */
bool fh_roller_is_idle(const struct fh_roller *roller);

struct fh_roller_stats {
    bool working;  /* it has a rollout */
    bool draining; /* and begins nothing more of it, but waits for what runs */
    uint64_t claimed;
    uint64_t applied; /* homes changed here */
    uint64_t failed;
    uint64_t lock_timeouts;
    uint32_t version;                    /* of the rollout at work here; 0: none */
    struct fh_rollout_progress progress; /* its */
    int64_t running_us;                  /* since it was claimed here */
};
void fh_roller_stats(const struct fh_roller *roller, struct fh_roller_stats *out);

#endif
