/* One move at work: its state, and what the files of its phases share.
 *
 *              LOOK ---------> CLAIM ----> the fences ----> STATE_READ     (recover.c)
 *               ^                                              |
 *               | whatever left an outcome     +---------------+---------------+
 *               | unknown, or was refused by   v               v               v
 *               | a fence; calling off     preparing ---> copying ------> catching_up <--+
 *               |                          prepare.c      copy.c          round.c        |
 *               |                                                              |         |
 *               +------------------------------+            verify.c           v         | lag
 *                                              |  switching <------------- ready --------+
 *                                              +- cutover.c
 *                                                    |
 *                                                    v    settle.c
 *                                                 settled -> cleaning -> done
 *
 * Invariants:
 * - One step at a time, and a step is over when all its requests are; so whatever is between two
 *   steps owns the run's memory.
 * - From its claim on a run acts with its generation only. `recovered`: both fences carry it.
 * - `gated`: this run holds the tenant's requests at the router; it opens the gate before it ends.
 * - A view is closed before the run ends, waits long, or looks at the catalog again.
 * - What a write at the target came to is either known, or the run claims again: a new generation
 *   is what makes sure that a request that was given up for lost does not act later. That is why
 *   nothing here repeats an APPLY of unknown outcome: a chunk that arrives behind a round could
 *   bring back what the round removed.
 *
 * - Everything is done at the source's schema version, which the target must have too. A mover
 *   never changes a schema: a home that is changed meanwhile answers FH_STALE_SCHEMA, which leads
 *   back to a claim, and from there to preparing anew.
 * - A run has at most one view, so runs that wait for one (FH_SNAPSHOTS_MAX a store) do not wait
 *   for each other, also when source and target are in one store.
 *
 * Memory: arenas of RUN_ARENA_BYTES_MAX each, for two pages, one step's request, one catalog
 * request and one beat. Loop thread only.
 */
#ifndef FH_MIGRATOR_RUN_H
#define FH_MIGRATOR_RUN_H

#include "base/list.h"
#include "migrator/digest.h"
#include "migrator/state.h"
#include "migrator/steps.h"
#include "migrator/throttle.h"
#include "router/catalog.h"
#include "stores/store.h"

#define FH_RUN_PATIENCE_US (10 * (int64_t)1000000) /* what a request is given at first */
#define RUN_ARENA_BYTES_MAX ((size_t)64 * 1024 * 1024)

struct fh_migrator;
struct fh_run;

enum fh_side { FH_SIDE_SOURCE, FH_SIDE_TARGET };

struct fh_run_call {
    struct fh_request request;
    struct fh_run *run;
};

/* One page of copying. */
struct fh_page {
    struct fh_arena arena;
    struct fh_position next; /* behind it */
    bool is_journal;
    struct fh_row **rows;
    const struct fh_journal_row *journal;
    size_t count;
};

struct fh_cursor {
    size_t len; /* 0: none */
    char bytes[FH_CURSOR_MAX];
};

enum fh_round_purpose {
    FH_ROUND_FOLLOW,
    FH_ROUND_VERIFY, /* its view stays open: everything is compared in it */
    FH_ROUND_FINAL,  /* under the freeze */
};

/* A round that fits one page is one transaction. A larger one first removes all that changed, then
 * brings what is there now: so that no row meets one that has its unique value no more. */
enum fh_round_pass { FH_PASS_ONLY, FH_PASS_DELETE, FH_PASS_INSERT };

struct fh_round {
    enum fh_round_purpose purpose;
    enum fh_round_pass pass;
    size_t limit; /* records a page */
    uint64_t after_seq;
    uint64_t records;
    uint64_t rows;
    uint64_t seq_sum;
    int64_t began_us;
    int64_t us; /* how long the last one took */
};

struct fh_verify {
    bool done; /* everything was compared, as of a view that all later rounds go on from */
    struct fh_cursor since;
    uint64_t base_count; /* tally in that view */
    uint64_t base_sum;
    uint64_t count; /* records applied since */
    uint64_t sum;
    struct fh_position position; /* the range's beginning */
    struct fh_position next;     /* ... and where the next one begins */
    struct fh_position from;     /* the target's page: a range may be several there */
    bool last;                   /* of its table */
    struct fh_arena keys;        /* holds the key of `next` */
    struct fh_arena pages;       /* ... of `from` */
    struct fh_digest source;
    struct fh_digest target;
    uint64_t range;
    uint64_t rows;
};

struct fh_run {
    struct fh_migrator *migrator;
    struct fh_list node;

    /* As the catalog said it last; its texts are empty, but for `message`. */
    struct fh_move move;
    struct fh_placement placement;
    uint64_t generation;
    char message[FH_MOVE_MESSAGE_MAX + 1];

    /* What is so */
    bool claimed;   /* at least once */
    bool recovered; /* fences and cursor are known, under `generation` */
    bool committed; /* the tenant lives in the target */
    bool failing;
    bool lost;     /* somebody else has the move */
    bool released; /* paused: given back */
    bool gated;
    bool source_there;
    bool target_there;       /* this move's home, under our generation */
    bool source_later;       /* behind the switch: it does not answer, so the target comes first */
    bool erasing;            /* ... which is half erased */
    bool target_absent;      /* it has no fence: nothing, or what a creation that died has left */
    bool clearing;           /* it was made too late, and goes again */
    bool making;             /* it was asked for, and the source was not seen to be ours since */
    uint32_t source_version; /* the schema's, as the fences were read; 0: not known */
    uint32_t target_version;
    const struct fh_schema *schema; /* the source's; the target's must be the same */

    /* The step */
    enum fh_step step;
    enum fh_step resume; /* behind a wait */
    int64_t wait_us;
    bool waiting;
    enum fh_step then; /* behind VIEW_CLOSE */
    int64_t then_wait_us;
    enum fh_move_phase want; /* of ADVANCE */
    enum fh_step advanced;   /* behind it */
    unsigned pending;
    enum fh_code code;
    struct fh_error error;
    int64_t step_began_us;
    int64_t backoff_us;
    bool complained;                    /* the message tells of trouble that progress ends */
    int64_t patience_us[FH_STEP_COUNT]; /* how long its request may take; 0: as at first */
    struct fh_run_call calls[2];
    struct fh_catalog_request catalog;
    struct fh_arena arena;
    struct fh_arena catalog_arena;
    uv_timer_t timer;

    /* Beats */
    struct fh_catalog_request beat;
    struct fh_arena beat_arena;
    uv_timer_t beat_timer;
    bool beating;

    /* Fences */
    struct fh_fence seen;
    int64_t fence_us; /* what setting one took, lately */
    int64_t catalog_us;

    /* Copying */
    struct fh_page pages[2];
    unsigned page; /* that is being applied */
    struct fh_arena keep;
    struct fh_position position;
    struct fh_throttle throttle;
    bool reading_ahead;  /* calls[1] of the step */
    bool within_refused; /* the store does not copy within itself after all */
    int64_t copy_mark_us;

    /* Following */
    struct fh_snapshot *view;
    struct fh_cursor view_cursor;
    struct fh_cursor cursor;       /* the target holds all that is in it */
    struct fh_cursor state_cursor; /* the one the target's state says */
    struct fh_round round;
    struct fh_op_changes changes; /* the round's page */
    struct fh_verify verify;
    uint64_t lag_before;
    unsigned lag_grows;
    unsigned short_rounds; /* that promised too long a pause, one after another */

    /* Switching */
    int64_t gate_closed_us;
    int64_t reads_closed_us;
    int64_t switch_not_before_us;
    int64_t switch_backoff_us;
    int64_t marks_us[FH_STEP_COUNT]; /* how long each step of the last switch took */

#ifdef FREEHOLD_FAULTS
    bool held; /* by a test's hook */
    bool held_after;
    enum fh_step held_next;
    uint64_t round_seq;
    uint64_t seq_seen; /* seeded bug sequence_cursor */
    struct fh_cursor cursor_first;
    struct fh_page stale; /* seeded bug chunk_after_delete */
    bool stale_kept;
#endif

    unsigned handles; /* open */
    bool ended;
};

/* Begins with the claim; `move` is as listed. FH_NOMEM. */
FH_MUST_CHECK enum fh_code fh_run_start(struct fh_migrator *migrator, const struct fh_move *move);
/* The catalog said this of the move meanwhile. */
void fh_run_hear(struct fh_run *run, const struct fh_move *move);
/* Something it may wait for has changed: looks again. */
void fh_run_nudge(struct fh_run *run);
/* Whether it may be ended between any two steps. */
bool fh_run_is_switching(const struct fh_run *run);
const char *fh_run_step_name(enum fh_step step);
#ifdef FREEHOLD_FAULTS
/* A hook said FH_HOLD: goes on. */
void fh_run_release(struct fh_run *run);
#endif

/* For the phases' files */

/* A request of the step: scope, deadline and callback are filled in. The arena is reset when it is
 * the run's. */
struct fh_request *fh_run_request(struct fh_run *run, unsigned which, enum fh_side side,
                                  enum fh_op op, struct fh_arena *arena);
FH_MUST_CHECK enum fh_code fh_run_submit(struct fh_run *run, unsigned which, enum fh_side side);
struct fh_catalog_request *fh_run_catalog_request(struct fh_run *run, enum fh_catalog_op op);
FH_MUST_CHECK enum fh_code fh_run_catalog_submit(struct fh_run *run);
/* The step's first failure is the one that counts; NULL: its error is in the run already. */
void fh_run_note(struct fh_run *run, enum fh_code code, const struct fh_error *error);
void fh_run_finish_step(struct fh_run *run); /* its last request is over */
bool fh_run_is_permanent(enum fh_code code); /* never better, however often it is tried */
struct fh_fence_guard fh_run_guard(const struct fh_run *run, uint32_t modes);
int64_t fh_run_now(const struct fh_run *run);
void fh_run_say(struct fh_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What is next: */
enum fh_step fh_run_wait(struct fh_run *run, int64_t us, enum fh_step then);
enum fh_step fh_run_close_view(struct fh_run *run, enum fh_step then); /* if there is one */
enum fh_step fh_run_advance(struct fh_run *run, enum fh_move_phase want, enum fh_step then);
/* A read failed: `again` after a while, unless it can never succeed. */
enum fh_step fh_run_trouble(struct fh_run *run, enum fh_code code, enum fh_step again);
/* A write failed: as above where nothing was executed for certain, else a new claim. */
enum fh_step fh_run_doubt(struct fh_run *run, enum fh_code code, enum fh_step again);
/* A new claim, and whatever it finds. */
enum fh_step fh_run_reclaim(struct fh_run *run);
enum fh_step fh_run_fail(struct fh_run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void fh_run_open_gate(struct fh_run *run);
void fh_run_adopt(struct fh_run *run, const struct fh_move *move);

enum fh_step fh_run_prepare(struct fh_run *run); /* prepare.c */
enum fh_step fh_run_copy(struct fh_run *run);    /* copy.c */
enum fh_step fh_run_follow(struct fh_run *run);  /* round.c */
/* Of a view that could not be opened: a cursor grows with the transactions that are under way, so
 * one that is too large now will do later. */
enum fh_code fh_run_view_code(enum fh_code code);
enum fh_step fh_run_begin_round(struct fh_run *run, enum fh_round_purpose purpose);
FH_MUST_CHECK enum fh_code fh_run_apply_changes(struct fh_run *run);
enum fh_step fh_run_page_applied(struct fh_run *run);
enum fh_step fh_run_call_off(struct fh_run *run, const char *why); /* cutover.c */
void fh_run_switched(struct fh_run *run);       /* both fences are as they must be by now */
enum fh_step fh_run_settle(struct fh_run *run); /* settle.c */
enum fh_step fh_run_cancel(struct fh_run *run);
enum fh_step fh_run_give_up(struct fh_run *run);

/* The schema at a home's version (0: the newest that is known). FH_UNAVAILABLE, and the error says
 * why: it is not known here yet. */
FH_MUST_CHECK enum fh_code fh_run_schema_at(struct fh_run *run, uint32_t version,
                                            const struct fh_schema **out);

void fh_run_progressed(struct fh_run *run); /* the trouble there was is over */
void fh_run_beat_start(struct fh_run *run); /* beat.c */
void fh_run_bury(struct fh_run *run);       /* frees it, once it has ended and its beat too */

bool fh_cursor_set(struct fh_cursor *cursor, struct fh_str text); /* false: too long */
struct fh_str fh_cursor_str(const struct fh_cursor *cursor);
bool fh_cursor_equal(const struct fh_cursor *a, const struct fh_cursor *b);

#define FH_STEP_DECLARE(symbol, name)                     \
    enum fh_code fh_run_enter_##name(struct fh_run *run); \
    enum fh_step fh_run_after_##name(struct fh_run *run, enum fh_code code);
FH_RUN_STEPS(FH_STEP_DECLARE)
#undef FH_STEP_DECLARE

#endif
