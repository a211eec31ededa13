/* A move, as the catalog keeps it: its phases, what it wants, how far it is.
 *
 * The phases and which may follow which are those of the model in tests/model; a check compares the
 * two. Whoever works on a move has claimed it: a claim raises the generation of the tenant's
 * placement, and every later step is a compare-and-swap on that generation, so that at most one
 * worker's steps count. The switch is the only thing that changes where a tenant lives.
 *
 *   planned -> preparing -> copying -> catching_up -> ready -> switching -> settled -> cleaning
 *                  ^            ^          ^ |           |          |                      |
 *                  |            |          | +<-- lag ---+<- off ---+                      v
 *                  +------------+----------+ resumed after a crash                        done
 *   any phase before settled -> cancelled, failed (both behind the clean-up of the target)
 *
 * Pure functions here; the catalog's operations are in router/catalog.h.
 */
#ifndef FH_ROUTER_MOVES_H
#define FH_ROUTER_MOVES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/code.h"
#include "base/error.h"
#include "base/str.h"
#include "base/uuid.h"
#include "stores/store.h"

/* PHASE(symbol, name, finished) */
#define FH_MOVE_PHASES(PHASE)                                                                    \
    PHASE(PLANNED, "planned", false)                                                             \
    PHASE(PREPARING, "preparing", false)                                                         \
    PHASE(COPYING, "copying", false)                                                             \
    PHASE(CATCHING_UP, "catching_up", false)                                                     \
    PHASE(READY, "ready", false)                                                                 \
    PHASE(SWITCHING, "switching", false)                                                         \
    PHASE(SETTLED, "settled", false)                                                             \
    PHASE(CLEANING, "cleaning", false)                                                           \
    PHASE(DONE, "done", true)                                                                    \
    PHASE(CANCELLING, "cancelling", false) /* called off for good; the target is being erased */ \
    PHASE(CANCELLED, "cancelled", true)                                                          \
    PHASE(FAILING, "failing", false) /* as cancelling, but for a reason of the move's own */     \
    PHASE(FAILED, "failed", true)

enum fh_move_phase {
    FH_MOVE_NONE,
#define FH_MOVE_PHASE_ENUM(symbol, name, finished) FH_MOVE_##symbol,
    FH_MOVE_PHASES(FH_MOVE_PHASE_ENUM)
#undef FH_MOVE_PHASE_ENUM
};

/* FOLLOW(from, to). A phase may always be confirmed (from == to): progress. SWITCHING to SETTLED is
 * the catalog's switch alone, never an advance. */
#define FH_MOVE_FOLLOWS(FOLLOW)                                                           \
    FOLLOW(PLANNED, PREPARING)                                                            \
    FOLLOW(PREPARING, COPYING)                                                            \
    FOLLOW(COPYING, CATCHING_UP)                                                          \
    FOLLOW(CATCHING_UP, READY)                                                            \
    FOLLOW(READY, SWITCHING)                                                              \
    FOLLOW(READY, CATCHING_UP)     /* resumed, or a comparison to be repeated */          \
    FOLLOW(SWITCHING, CATCHING_UP) /* called off: the pause was not to be met, a crash */ \
    FOLLOW(SWITCHING, SETTLED)                                                            \
    FOLLOW(SETTLED, CLEANING)                                                             \
    FOLLOW(CLEANING, DONE)                                                                \
    FOLLOW(COPYING, PREPARING) /* resumed: the target is not there, or not this move's */ \
    FOLLOW(CATCHING_UP, PREPARING)                                                        \
    FOLLOW(READY, PREPARING)                                                              \
    FOLLOW(PLANNED, CANCELLING)                                                           \
    FOLLOW(PREPARING, CANCELLING)                                                         \
    FOLLOW(COPYING, CANCELLING)                                                           \
    FOLLOW(CATCHING_UP, CANCELLING)                                                       \
    FOLLOW(READY, CANCELLING)                                                             \
    FOLLOW(SWITCHING, CANCELLING)                                                         \
    FOLLOW(CANCELLING, CANCELLED)                                                         \
    FOLLOW(PLANNED, FAILING)                                                              \
    FOLLOW(PREPARING, FAILING)                                                            \
    FOLLOW(COPYING, FAILING)                                                              \
    FOLLOW(CATCHING_UP, FAILING)                                                          \
    FOLLOW(READY, FAILING)                                                                \
    FOLLOW(SWITCHING, FAILING)                                                            \
    FOLLOW(FAILING, FAILED)

const char *fh_move_phase_name(enum fh_move_phase phase); /* "catching_up" */
enum fh_move_phase fh_move_phase_of(struct fh_str name);  /* FH_MOVE_NONE: no such phase */
bool fh_move_is_finished(enum fh_move_phase phase);
bool fh_move_may_follow(enum fh_move_phase from, enum fh_move_phase to);
/* Before the commit point: may still be cancelled. */
bool fh_move_is_before_switch(enum fh_move_phase phase);

enum fh_move_wish {
    FH_MOVE_WISH_RUN = 1,
    FH_MOVE_WISH_PAUSE,  /* stay where you are; before the switch only */
    FH_MOVE_WISH_CANCEL, /* cannot be taken back */
};

struct fh_move_settings {
    int64_t max_pause_us; /* the longest write pause; 1 ms..60 s, default 500 ms: beyond it the
                             switch is called off by itself and tried again later */
    uint32_t rows_per_second_max; /* of copying; 0: no limit */
    uint32_t duty_percent; /* 1..100, default 50: of the time the copier may keep source and target
                              busy; it rests the remainder, so slow stores slow it down */
};
void fh_move_settings_init(struct fh_move_settings *settings);

/* How far it is; kept with the move as JSON text. All figures count from the move's beginning. */
struct fh_move_progress {
    uint64_t rows_total;     /* as counted when it was prepared */
    uint64_t bytes_total;    /* an estimate */
    uint64_t rows_copied;    /* by chunks */
    uint64_t records_copied; /* commit records, copied or caught up */
    uint64_t rows_applied;   /* by rounds */
    uint64_t rows_verified;  /* compared on both sides, in the last comparison */
    uint64_t rounds;
    uint64_t lag_records;    /* of the last round */
    uint64_t switches_tried; /* those called off included */
    int64_t copy_started_us; /* wall clock; 0: not yet */
    int64_t copy_us;         /* time spent copying, rests included */
    int64_t pause_predicted_us;
    int64_t pause_us;      /* of the switch that was made: from the gate's closing to its opening */
    int64_t read_pause_us; /* how long reads were held in it */
};
#define FH_MOVE_PROGRESS_TEXT_MAX 1024
/* Text with at most FH_MOVE_PROGRESS_TEXT_MAX bytes; unknown members are ignored when read. */
FH_MUST_CHECK enum fh_code fh_move_progress_encode(const struct fh_move_progress *progress,
                                                   struct fh_arena *arena, struct fh_str *out);
FH_MUST_CHECK enum fh_code fh_move_progress_decode(struct fh_str text,
                                                   struct fh_move_progress *out);

#define FH_MOVE_MESSAGE_MAX 512

#endif
