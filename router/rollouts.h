/* A rollout, as the catalog keeps it: how the application's newest schema version comes to every
 * home.
 *
 * At most one is unfinished. Whoever works on it has claimed it: a claim raises the rollout's
 * generation, and every later note of the worker's is a compare-and-swap on it. That keeps the
 * figures straight; what keeps the homes right is that a home knows its own version, and that a
 * schema change requires the fence the worker saw. So two workers that both believe do no harm.
 *
 *   planned -> canary -> rolling -> done
 *      |          |         |
 *      +----------+---------+-----> cancelled, failed
 *
 * Cancelled is at once, for nothing has to be undone: a home that is behind is served at its own
 * version, and the next rollout takes it along. Failed: the version cannot be worked on at all.
 *
 * Pure functions here; the catalog's operations are in router/catalog.h, their rules in
 * router/rollout_rules.h.
 */
#ifndef FH_ROUTER_ROLLOUTS_H
#define FH_ROUTER_ROLLOUTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/code.h"
#include "base/error.h"
#include "base/str.h"
#include "base/uuid.h"
#include "stores/home.h"

/* PHASE(symbol, name, finished) */
#define FH_ROLLOUT_PHASES(PHASE)        \
    PHASE(PLANNED, "planned", false)    \
    PHASE(CANARY, "canary", false)      \
    PHASE(ROLLING, "rolling", false)    \
    PHASE(DONE, "done", true)           \
    PHASE(CANCELLED, "cancelled", true) \
    PHASE(FAILED, "failed", true)

enum fh_rollout_phase {
    FH_ROLLOUT_NONE,
#define FH_ROLLOUT_PHASE_ENUM(symbol, name, finished) FH_ROLLOUT_##symbol,
    FH_ROLLOUT_PHASES(FH_ROLLOUT_PHASE_ENUM)
#undef FH_ROLLOUT_PHASE_ENUM
};

const char *fh_rollout_phase_name(enum fh_rollout_phase phase);
enum fh_rollout_phase fh_rollout_phase_of(struct fh_str name); /* FH_ROLLOUT_NONE: none */
bool fh_rollout_is_finished(enum fh_rollout_phase phase);
bool fh_rollout_may_follow(enum fh_rollout_phase from, enum fh_rollout_phase to);

enum fh_rollout_wish {
    FH_ROLLOUT_WISH_RUN = 1,
    FH_ROLLOUT_WISH_PAUSE,  /* homes that are being changed end, no other begins */
    FH_ROLLOUT_WISH_CANCEL, /* cannot be taken back */
};

#define FH_ROLLOUT_CANARIES_MAX 64
#define FH_ROLLOUT_CONCURRENCY_MAX 64
#define FH_ROLLOUT_LOCK_TIMEOUT_MS_MAX 60000

struct fh_rollout_settings {
    uint32_t canary_percent; /* 0..100: of all homes, rounded up, dedicated ones first */
    struct fh_uuid canaries[FH_ROLLOUT_CANARIES_MAX]; /* tenants: their homes, shared or not */
    size_t canary_count;
    bool stop_after_canary;   /* pause then, until resumed */
    uint32_t concurrency;     /* homes at once in a store, 1..64, default 4 */
    uint32_t lock_timeout_ms; /* for one lock; 1..60000, default 1000 */
    uint32_t failures_max;    /* homes that may fail before it pauses by itself; default 0. In the
                                 canary none may */
};
void fh_rollout_settings_init(struct fh_rollout_settings *settings);
static inline bool fh_rollout_has_canary(const struct fh_rollout_settings *settings)
{
    return settings->canary_percent > 0 || settings->canary_count > 0;
}

enum fh_rollout_home_state {
    FH_ROLLOUT_HOME_PENDING = 1,
    FH_ROLLOUT_HOME_APPLYING,
    FH_ROLLOUT_HOME_WAITING, /* not now: locked, away, being moved; it is tried again */
    FH_ROLLOUT_HOME_DONE,
    FH_ROLLOUT_HOME_FAILED, /* not before the rollout is resumed */
    FH_ROLLOUT_HOME_GONE,   /* the tenant moved away or was deleted */
};
const char *fh_rollout_home_state_name(enum fh_rollout_home_state state); /* "pending" */
bool fh_rollout_home_state_of(struct fh_str name, enum fh_rollout_home_state *out);

#define FH_ROLLOUT_MESSAGE_MAX 512
#define FH_ROLLOUT_STORE_SIZE 41 /* FH_STORE_NAME_MAX + 1 */

/* One home of a rollout; and, towards the catalog, what is to be noted of it. */
struct fh_rollout_home {
    struct fh_uuid tenant; /* nil: the shared home of the store */
    char store[FH_ROLLOUT_STORE_SIZE];
    struct fh_home home;
    enum fh_rollout_home_state state;
    bool canary;
    uint32_t version;      /* it was at, when last looked at; 0: not known */
    uint32_t tries;        /* schema changes begun */
    struct fh_str message; /* why it waits or failed */
    int64_t updated_at_us;
};

/* How far it is. The first four are counted by the catalog from the homes that were noted. */
struct fh_rollout_progress {
    uint64_t homes_total;
    uint64_t homes_done;
    uint64_t homes_failed;
    uint64_t homes_waiting;
    uint64_t passes;         /* over all homes */
    uint64_t homes_per_hour; /* changed by the worker that has it, since it has */
    uint64_t seconds_left;   /* an estimate; 0: none */
    uint64_t at_rest;        /* 1: nothing can be done now but to wait for what homes wait for */
};
#define FH_ROLLOUT_PROGRESS_TEXT_MAX 512

/* Texts of the catalog; unknown members are ignored when read, and what is not such a text is
 * FH_CORRUPT. */
FH_MUST_CHECK enum fh_code fh_rollout_progress_encode(const struct fh_rollout_progress *progress,
                                                      struct fh_arena *arena, struct fh_str *out);
FH_MUST_CHECK enum fh_code fh_rollout_progress_decode(struct fh_str text,
                                                      struct fh_rollout_progress *out);
FH_MUST_CHECK enum fh_code fh_rollout_settings_encode(const struct fh_rollout_settings *settings,
                                                      struct fh_arena *arena, struct fh_str *out);
FH_MUST_CHECK enum fh_code fh_rollout_settings_decode(struct fh_str text,
                                                      struct fh_rollout_settings *out);
/* An array with an object a home, in order. */
FH_MUST_CHECK enum fh_code fh_rollout_notes_encode(const struct fh_rollout_home *homes,
                                                   size_t count, struct fh_arena *arena,
                                                   struct fh_str *out);

#endif
