/* The migrator: moves live tenants between homes.
 *
 * It works on what the catalog lists as unfinished moves: claims one, brings it to its end, step
 * by step, over the store interface, the router's gate and the catalog, and never names an engine.
 * One runs inside every freeholdd that wants one, and in freehold-migrator; any number of them may
 * share a catalog. A move whose beat stands still is taken over by whoever notices: that is always
 * safe (router/moves.h), so how long to wait is a question of politeness and the clocks decide
 * nothing.
 *
 * A move is one state machine (run.h): every step is one request to a store or to the catalog, and
 * the state is a function of catalog row, fences and the state kept in the target, so that a step
 * may be repeated after a crash anywhere. Rework after a crash: one chunk, or one round.
 *
 * Bounds: at most moves_max moves at once in a process, one per tenant by the catalog; a run's
 * memory is RUN_ARENA_BYTES_MAX of a page or round. Every request has a deadline; what is refused
 * for now is tried again with a growing pause and said in the move's message; what can never
 * succeed ends the move as failed, its target erased, the source untouched.
 *
 * Crash points (builds with FREEHOLD_FAULTS): FREEHOLD_CRASH_AT=move.<step>[:n] ends the process
 * with status 137 at the nth pass (default 1), FREEHOLD_STOP_AT=move.<step>[:n] raises SIGSTOP
 * there; the steps are the list in migrator/steps.h, each named before and after what it does.
 *
 * Loop thread only.
 */
#ifndef FH_MIGRATOR_MIGRATOR_H
#define FH_MIGRATOR_MIGRATOR_H

#include "base/env.h"
#include "router/catalog.h"
#include "router/router.h"

struct fh_migrator;

struct fh_migrator_options {
    struct fh_uuid worker;     /* who we are, in claims; nil: a new one */
    size_t moves_max;          /* at once; default 4, 1..64 */
    int64_t poll_us;           /* how often the catalog is asked for moves without a hint; default
                                  1 s */
    int64_t takeover_after_us; /* how long the beat of another's move must stand still; default
                                  5 s. In phase switching: max_pause_us of the move, at least
                                  100 ms, since clients wait */
    int64_t beat_us;           /* a claimed move's row is touched at least that often; default 1 s,
                                  well below takeover_after_us */
    struct fh_str actor;       /* in the operators' audit; borrowed; default "freehold-migrator" */
};
void fh_migrator_options_init(struct fh_migrator_options *options);

/* Borrows all; the router must know the stores that moves name (one it does not know makes the move
 * wait, and its message says so). */
FH_MUST_CHECK enum fh_code fh_migrator_create(const struct fh_env *env, struct fh_catalog *catalog,
                                              struct fh_router *router,
                                              const struct fh_migrator_options *options,
                                              struct fh_migrator **out);
/* Begins to look for work. */
void fh_migrator_start(struct fh_migrator *migrator);
/* Lets every run stop at its next step, at once but in the middle of a switch, which it ends first
 * (bounded by the move's max_pause and then by calling it off); the moves stay claimed and are
 * taken over by the next worker. */
void fh_migrator_close(struct fh_migrator *migrator, void (*closed_cb)(void *arg), void *arg);

/* Looks at the catalog now: a move was created or changed here. Hints do the same. */
void fh_migrator_wake(struct fh_migrator *migrator);

/* What a move would be like: asks stores and catalog, changes nothing. */
struct fh_move_plan {
    struct fh_placement source;
    char target_store[FH_STORE_NAME_MAX + 1];
    struct fh_home target_home;
    uint64_t rows;
    uint64_t records;
    uint64_t bytes;             /* an estimate */
    int64_t duration_us;        /* an estimate, from one page read at the source and duty_percent */
    int64_t pause_predicted_us; /* from the commit time of both stores and the catalog */
    const char *refusal;        /* NULL, or why it would be refused: a text for the operator */
};
typedef void fh_migrator_plan_cb(enum fh_code code, const struct fh_error *error,
                                 const struct fh_move_plan *plan, void *arg);
/* `move`: tenant, target_store, target_home, settings. Once, on the loop, not inside this call. */
FH_MUST_CHECK enum fh_code fh_migrator_plan(struct fh_migrator *migrator,
                                            const struct fh_move *move, int64_t deadline_us,
                                            fh_migrator_plan_cb *plan_cb, void *arg,
                                            struct fh_error *error);

struct fh_migrator_stats {
    size_t running;
    uint64_t claimed;
    uint64_t finished;   /* done, by this worker */
    uint64_t called_off; /* switches */
    uint64_t failed;
    uint64_t rows_copied;
    int64_t pause_last_us;
    int64_t pause_longest_us;
};
void fh_migrator_stats(const struct fh_migrator *migrator, struct fh_migrator_stats *out);
/* True when the catalog was asked at least once and no unfinished move is known: for one-shot use.
 */
bool fh_migrator_is_idle(const struct fh_migrator *migrator);

#endif
