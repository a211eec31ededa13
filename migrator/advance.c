/* The phase in the catalog.
 *
 * Happy path: one step on the way from the phase the move is in to the one that is wanted, until it
 * is there; each tells the progress too. Failures: an advance of ours whose outcome was unknown and
 * that took place after all is recognised by the phase; one under another generation leads back to
 * a look at whose the move is.
 */
#include "base/assert.h"
#include "migrator/internal.h"
#include "migrator/run.h"

#define ADVANCE_AGAIN_US (50 * (int64_t)1000)

enum fh_step fh_run_advance(struct fh_run *run, enum fh_move_phase want, enum fh_step then)
{
    run->want = want;
    run->advanced = then;
    return FH_STEP_ADVANCE;
}

/* The way to `want` leads over phases that may follow each other. */
static enum fh_move_phase phase_towards(enum fh_move_phase from, enum fh_move_phase want)
{
    if (from == want || fh_move_may_follow(from, want)) {
        return want;
    }
    if (want == FH_MOVE_CANCELLED || want == FH_MOVE_FAILED) {
        return want == FH_MOVE_CANCELLED ? FH_MOVE_CANCELLING : FH_MOVE_FAILING;
    }
    if (from == FH_MOVE_SWITCHING) {
        return FH_MOVE_CATCHING_UP;
    }
    FH_ASSERT(from < want && fh_move_may_follow(from, from + 1));
    return from + 1;
}

enum fh_code fh_run_enter_advance(struct fh_run *run)
{
    struct fh_catalog_request *request = fh_run_catalog_request(run, FH_CATALOG_MOVE_ADVANCE);
    request->as.move_advance.uuid = run->move.uuid;
    request->as.move_advance.generation = run->generation;
    request->as.move_advance.from = run->move.phase;
    request->as.move_advance.to = phase_towards(run->move.phase, run->want);
    request->as.move_advance.progress = run->move.progress;
    request->as.move_advance.message = fh_str_of(run->message);
    return fh_run_catalog_submit(run);
}

enum fh_step fh_run_after_advance(struct fh_run *run, enum fh_code code)
{
    const struct fh_move *move = &run->catalog.as.move_advance.move;
    if (code == FH_OK) {
        run->catalog_us = fh_run_now(run) - run->step_began_us;
        if (move->phase != run->move.phase) {
            fh_run_progressed(run);
            FH_LOG(run->migrator->env->log, INFO, "move.phase", FH_KV_UUID("move", move->uuid),
                   FH_KV_UUID("tenant", move->tenant),
                   FH_KV_TEXT("phase", fh_move_phase_name(move->phase)));
        }
        fh_run_adopt(run, move);
        return run->move.phase == run->want ? run->advanced : FH_STEP_ADVANCE;
    }
    if (code == FH_NOT_FOUND) {
        run->lost = true;
        return FH_STEP_DROP;
    }
    if (code != FH_PRECONDITION) {
        return fh_run_trouble(run, code, FH_STEP_ADVANCE);
    }
    if (move->generation != run->generation || fh_move_is_finished(move->phase)) {
        return FH_STEP_LOOK;
    }
    /* An advance of ours whose outcome was unknown has taken place. */
    fh_run_adopt(run, move);
    return run->move.phase == run->want ? run->advanced
                                        : fh_run_wait(run, ADVANCE_AGAIN_US, FH_STEP_LOOK);
}
