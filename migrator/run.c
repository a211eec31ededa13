/* Happy path: enter a step, wait until its requests are over, ask it what is next. Before each step
 * the run looks whether it may go on: whether the move is still its own, what is wished, whether
 * the pause has lasted long enough.
 *
 * Failures: a request that was refused counts as one that failed, so that there is one way for
 * both. What can never succeed ends the move; what executed nothing is asked again after a growing
 * pause; all else begins anew with a claim.
 */
#include "migrator/run.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/fault_point.h"
#include "migrator/internal.h"

#ifdef FREEHOLD_FAULTS
#define POINTS(text) .before = "move." #text, .done = "move." #text ".done",
#else
#define POINTS(text)
#endif

static const struct {
    const char *name;
#ifdef FREEHOLD_FAULTS
    const char *before;
    const char *done;
#endif
    enum fh_code (*enter)(struct fh_run *run);
    enum fh_step (*after)(struct fh_run *run, enum fh_code code);
} steps[] = {
#define STEP_ROW(symbol, text)                                                     \
    [FH_STEP_##symbol] = {POINTS(text).name = #text, .enter = fh_run_enter_##text, \
                          .after = fh_run_after_##text},
    FH_RUN_STEPS(STEP_ROW)
#undef STEP_ROW
};

const char *fh_run_step_name(enum fh_step step)
{
    return step > FH_STEP_DROP && step < FH_STEP_COUNT ? steps[step].name : "none";
}

/* From one step to the next that waits. */
static void proceed(struct fh_run *run, enum fh_step next);

enum fh_step fh_run_wait(struct fh_run *run, int64_t us, enum fh_step then)
{
    run->wait_us = us;
    run->resume = then;
    return FH_STEP_WAIT;
}

enum fh_step fh_run_close_view(struct fh_run *run, enum fh_step then)
{
    if (run->view == NULL) {
        return then;
    }
    run->then_wait_us = then == FH_STEP_WAIT ? run->wait_us : 0;
    run->then = then == FH_STEP_WAIT ? run->resume : then;
    return FH_STEP_VIEW_CLOSE;
}

enum fh_code fh_run_enter_view_close(struct fh_run *run)
{
    if (run->view == NULL) {
        return FH_OK;
    }
    struct fh_request *request =
        fh_run_request(run, 0, FH_SIDE_SOURCE, FH_OP_SNAPSHOT_CLOSE, &run->arena);
    request->as.snapshot.guard = fh_run_guard(run, FH_FENCE_BIT(FH_FENCE_OPEN));
    request->as.snapshot.snapshot = run->view;
    return fh_run_submit(run, 0, FH_SIDE_SOURCE);
}

enum fh_step fh_run_after_view_close(struct fh_run *run, enum fh_code code)
{
    (void)code;
    int64_t us = run->then_wait_us;
    run->then_wait_us = 0;
    return us > 0 ? fh_run_wait(run, us, run->then) : run->then;
}

void fh_run_open_gate(struct fh_run *run)
{
    if (!run->gated) {
        return;
    }
    run->gated = false;
    fh_router_gate_open(run->migrator->router, &run->move.tenant,
                        run->lost ? NULL : &run->placement);
}

bool fh_run_is_switching(const struct fh_run *run)
{
    return run->gated;
}

/* A mover that slept before CREATE may have made a home behind another's cancel, which no placement
 * and no move names any more. It is taken away again under the generation that it was made with:
 * whoever has taken the move over before us, or wants the home since, has set another. */
static bool made_too_late(struct fh_run *run)
{
    bool late = run->lost && run->making && !run->migrator->closing;
    run->making = false;
    run->clearing = late;
    return late;
}

static enum fh_step leave(struct fh_run *run, enum fh_step next)
{
    if (made_too_late(run)) {
        return FH_STEP_ERASE_TARGET;
    }
    if (next == FH_STEP_VIEW_CLOSE) {
        run->then = FH_STEP_DROP;
        run->then_wait_us = 0;
        return next;
    }
    return fh_run_close_view(run, FH_STEP_DROP);
}

/* Whether a switch that may still be called off should be. */
static const char *over_budget(const struct fh_run *run)
{
    struct fh_gate_stats gate;
    fh_router_gate_stats(run->migrator->router, &run->move.tenant, &gate);
    if (fh_run_now(run) - run->gate_closed_us > run->move.settings.max_pause_us) {
        return "the pause would be longer than max_pause";
    }
    if (gate.held_max > 0 && gate.held > gate.held_max / 4 * 3) {
        return "too many requests wait";
    }
    return run->move.wish == FH_MOVE_WISH_CANCEL ? "it is cancelled" : NULL;
}

static enum fh_step pause_here(struct fh_run *run)
{
    fh_run_say(run, "paused");
    run->released = true;
    return fh_run_close_view(run, fh_run_advance(run, run->move.phase, FH_STEP_DROP));
}

/* What comes between the run and its next step. */
static enum fh_step divert(struct fh_run *run, enum fh_step next)
{
    bool stopping =
        run->migrator->closing && (!run->gated || fh_run_now(run) > run->migrator->close_by_us);
    if (next == FH_STEP_DROP) {
        return leave(run, next); /* which is where it is anyway, without a view */
    }
    if (run->lost || stopping) {
        return leave(run, next);
    }
    if (next == FH_STEP_WAIT || next == FH_STEP_VIEW_CLOSE || !run->recovered || run->committed) {
        return next;
    }
    if (run->gated) {
        const char *why = over_budget(run);
        return why != NULL ? fh_run_call_off(run, why) : next;
    }
    if (!fh_move_is_before_switch(run->move.phase) || run->failing || run->released) {
        return next;
    }
    if (run->move.wish == FH_MOVE_WISH_CANCEL) {
        bool under_way = run->want == FH_MOVE_CANCELLING || run->want == FH_MOVE_CANCELLED;
        return under_way ? next : fh_run_cancel(run);
    }
    if (run->move.wish == FH_MOVE_WISH_PAUSE && run->move.phase != FH_MOVE_SWITCHING) {
        return pause_here(run);
    }
    return next;
}

static void timer_cb(uv_timer_t *timer)
{
    struct fh_run *run = timer->data;
    run->waiting = false;
    proceed(run, run->resume);
}

void fh_run_nudge(struct fh_run *run)
{
    if (!run->waiting) {
        return;
    }
    run->waiting = false;
    (void)uv_timer_stop(&run->timer);
    proceed(run, run->resume);
}

static void sleep_now(struct fh_run *run)
{
    uint64_t ms = (uint64_t)((run->wait_us + 999) / 1000);
    run->waiting = true;
    int rc = uv_timer_start(&run->timer, timer_cb, ms, 0);
    FH_ASSERT(rc == 0); /* it fails for a closing handle only */
}

static void close_pages(struct fh_run *run)
{
    for (size_t i = 0; i < 2; i++) {
        fh_arena_close(&run->pages[i].arena);
    }
#ifdef FREEHOLD_FAULTS
    fh_arena_close(&run->stale.arena);
#endif
}

static void free_run(struct fh_run *run)
{
    struct fh_migrator *migrator = run->migrator;
    close_pages(run);
    fh_arena_close(&run->arena);
    fh_arena_close(&run->catalog_arena);
    fh_arena_close(&run->beat_arena);
    fh_arena_close(&run->keep);
    fh_arena_close(&run->verify.keys);
    fh_arena_close(&run->verify.pages);
    fh_digest_close(&run->verify.source);
    fh_digest_close(&run->verify.target);
    fh_list_remove(&run->node);
    fh_migrator_run_ended(migrator, run);
    fh_free(run);
}

static void handle_closed_cb(uv_handle_t *handle)
{
    struct fh_run *run = handle->data;
    if (--run->handles == 0) {
        free_run(run);
    }
}

void fh_run_bury(struct fh_run *run)
{
    if (run->ended && !run->beating) {
        uv_close((uv_handle_t *)&run->timer, handle_closed_cb);
        uv_close((uv_handle_t *)&run->beat_timer, handle_closed_cb);
    }
}

/* The run is over; its beat may still be under way. */
static void end(struct fh_run *run)
{
    fh_run_open_gate(run);
    run->ended = true;
    fh_run_bury(run);
}

#ifdef FREEHOLD_FAULTS
/* True: the run does not go on here now. */
static bool hooked(struct fh_run *run, enum fh_step step, bool done)
{
    struct fh_migrator *migrator = run->migrator;
    fh_fault_point(done ? steps[step].done : steps[step].before);
    enum fh_hook_answer answer = migrator->hook_cb != NULL
                                     ? migrator->hook_cb(run, step, done, migrator->hook_arg)
                                     : FH_HOOK_GO;
    if (answer == FH_HOOK_HOLD) {
        run->held = true;
        run->held_after = done;
        run->held_next = step;
    } else if (answer == FH_HOOK_DIE) {
        run->lost = true;
        run->making = false; /* the dead clear nothing away */
    }
    return answer == FH_HOOK_HOLD;
}
#else
static bool hooked(struct fh_run *run, enum fh_step step, bool done)
{
    (void)run;
    (void)step;
    (void)done;
    return false;
}
#endif

/* Whether the step waits for its requests; else it is over already. */
static bool enter(struct fh_run *run, enum fh_step step)
{
    run->step = step;
    run->pending = 0;
    run->code = FH_OK;
    run->error = (struct fh_error)FH_ERROR_INIT;
    run->step_began_us = fh_run_now(run);
    enum fh_code code = steps[step].enter(run);
    if (code != FH_OK) {
        fh_run_note(run, code, NULL);
    }
    return run->pending > 0;
}

static enum fh_step after(struct fh_run *run)
{
    if (run->lost) {
        return FH_STEP_DROP;
    }
    return steps[run->step].after(run, run->code);
}

/* The step's own notes, before a test's hook may hold or end the run. */
static bool over(struct fh_run *run)
{
    run->marks_us[run->step] = fh_run_now(run) - run->step_began_us;
    const struct fh_request *request = &run->calls[0].request;
    if (run->code == FH_OK && request->op == FH_OP_SNAPSHOT_OPEN &&
        (run->step == FH_STEP_START_VIEW || run->step == FH_STEP_ROUND_VIEW ||
         run->step == FH_STEP_FINAL_VIEW)) {
        run->view = request->as.snapshot.snapshot; /* ours to close from here on */
    }
    if (run->step == FH_STEP_VIEW_CLOSE) {
        run->view = NULL; /* one that was refused is ended by its store when it is idle for long */
    }
    return !hooked(run, run->step, true);
}

static void proceed(struct fh_run *run, enum fh_step next)
{
    for (;;) {
        next = divert(run, next);
        if (next == FH_STEP_WAIT) {
            sleep_now(run);
            return;
        }
        if (next == FH_STEP_DROP) {
            end(run);
            return;
        }
        if (!run->lost && hooked(run, next, false)) {
            return;
        }
        if (run->lost && next != FH_STEP_VIEW_CLOSE && !run->clearing) {
            continue;
        }
        if (enter(run, next) || !over(run)) {
            return;
        }
        next = after(run);
    }
}

void fh_run_finish_step(struct fh_run *run)
{
    if (over(run)) {
        proceed(run, after(run));
    }
}

#ifdef FREEHOLD_FAULTS
void fh_run_release(struct fh_run *run)
{
    FH_ASSERT(run->held);
    run->held = false;
    if (run->held_after) {
        proceed(run, after(run));
        return;
    }
    /* As if nothing had happened: a process that was stopped does not look round first. */
    enum fh_step step = run->held_next;
    if (enter(run, step) || !over(run)) {
        return;
    }
    proceed(run, after(run));
}
#endif

enum fh_code fh_run_start(struct fh_migrator *migrator, const struct fh_move *move)
{
    struct fh_run *run = fh_calloc(1, sizeof(*run));
    if (run == NULL) {
        return FH_NOMEM;
    }
    run->migrator = migrator;
    fh_arena_init(&run->arena, RUN_ARENA_BYTES_MAX);
    fh_arena_init(&run->catalog_arena, RUN_ARENA_BYTES_MAX);
    fh_arena_init(&run->beat_arena, RUN_ARENA_BYTES_MAX);
    fh_arena_init(&run->keep, RUN_ARENA_BYTES_MAX);
    fh_arena_init(&run->verify.keys, RUN_ARENA_BYTES_MAX);
    fh_arena_init(&run->verify.pages, RUN_ARENA_BYTES_MAX);
    for (size_t i = 0; i < 2; i++) {
        fh_arena_init(&run->pages[i].arena, RUN_ARENA_BYTES_MAX);
    }
#ifdef FREEHOLD_FAULTS
    fh_arena_init(&run->stale.arena, RUN_ARENA_BYTES_MAX);
#endif
    fh_throttle_init(&run->throttle);
    fh_run_adopt(run, move);
    fh_list_push_back(&migrator->runs, &run->node);
    uv_timer_t *timers[] = {&run->timer, &run->beat_timer};
    for (size_t i = 0; i < 2; i++) {
        int rc = uv_timer_init(migrator->env->loop, timers[i]);
        FH_ASSERT(rc == 0); /* it cannot fail */
        timers[i]->data = run;
        run->handles++;
    }
    proceed(run, FH_STEP_CLAIM);
    return FH_OK;
}
