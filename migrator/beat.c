/* Beats: a claimed move's row is touched now and then, so that nobody takes it for abandoned; its
 * progress and message are told with it, and what is wished is learnt.
 *
 * Happy path: the phase is confirmed. Failures: a beat that is refused because the phase has moved
 * on meanwhile means nothing; one that shows another worker means that the move is lost; any other
 * is made up for by the next. No beat while requests wait at the gate: the catalog is then asked
 * for nothing but the switch.
 */
#include "base/assert.h"
#include "base/fault_point.h"
#include "migrator/internal.h"
#include "migrator/run.h"

#define BEAT_DEADLINE_US (10 * (int64_t)1000000)

static bool is_held(const struct fh_run *run)
{
#ifdef FREEHOLD_FAULTS
    return run->held;
#else
    (void)run;
    return false;
#endif
}

void fh_run_hear(struct fh_run *run, const struct fh_move *move)
{
    if (is_held(run) || run->ended || !run->claimed || move->beat <= run->move.beat) {
        return;
    }
    bool news = move->wish != run->move.wish;
    if (!fh_uuid_eq(&move->worker, &run->migrator->options.worker) &&
        !fh_fault_seeded("no_generation")) {
        run->lost = true;
        news = true;
    }
    run->move.wish = move->wish;
    if (news) {
        fh_run_nudge(run);
    }
}

static void beat_done_cb(struct fh_catalog_request *request)
{
    struct fh_run *run = request->arg;
    const struct fh_move *move = &request->as.move_advance.move;
    run->beating = false;
    if (run->ended) {
        fh_run_bury(run);
        return;
    }
    if (request->code == FH_NOT_FOUND) {
        run->lost = true;
        fh_run_nudge(run);
    } else if (request->code == FH_OK || request->code == FH_PRECONDITION) {
        fh_run_hear(run, move);
        if (move->beat > run->move.beat && move->phase == run->move.phase) {
            run->move.beat = move->beat;
        }
    }
}

static bool asks_catalog(enum fh_step step)
{
    return step == FH_STEP_LOOK || step == FH_STEP_CLAIM || step == FH_STEP_ADVANCE ||
           step == FH_STEP_SWITCH;
}

static void beat_cb(uv_timer_t *timer)
{
    struct fh_run *run = timer->data;
    struct fh_catalog_request *request = &run->beat;
    if (run->beating || run->ended || run->lost || run->gated || is_held(run) ||
        fh_move_is_finished(run->move.phase) || (run->pending > 0 && asks_catalog(run->step))) {
        return;
    }
    fh_arena_reset(&run->beat_arena);
    struct fh_str message; /* a copy: the run goes on meanwhile */
    if (fh_arena_str(&run->beat_arena, fh_str_of(run->message), &message) != FH_OK) {
        return;
    }
    *request = (struct fh_catalog_request){
        .op = FH_CATALOG_MOVE_ADVANCE,
        .deadline_us = fh_run_now(run) + BEAT_DEADLINE_US,
        .arena = &run->beat_arena,
        .done_cb = beat_done_cb,
        .arg = run,
        .audit = {.actor = run->migrator->options.actor},
    };
    request->as.move_advance.uuid = run->move.uuid;
    request->as.move_advance.generation = run->generation;
    request->as.move_advance.from = run->move.phase;
    request->as.move_advance.to = run->move.phase;
    request->as.move_advance.progress = run->move.progress;
    request->as.move_advance.message = message;
    run->beating = fh_catalog_submit(run->migrator->catalog, request) == FH_OK;
}

void fh_run_beat_start(struct fh_run *run)
{
    uint64_t ms = (uint64_t)(run->migrator->options.beat_us / 1000);
    ms = ms > 0 ? ms : 1;
    int rc = uv_timer_start(&run->beat_timer, beat_cb, ms, ms);
    FH_ASSERT(rc == 0); /* it fails for a closing handle only */
}
