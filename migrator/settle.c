/* The ends of a move: the source is erased, or the target.
 *
 * Happy path: behind the switch the source's fence is closed under our generation, so nobody reads
 * or writes there; its home is erased, and the move is done. A move that is cancelled or has failed
 * erases the target, if that holds a home of this move, and leaves the source as it is: open.
 *
 * A window in which the tenant may go back is not kept yet. Nothing would have to be recorded for
 * it at the switch: the target's records are numbered under epoch + 1, and it opens behind the
 * switch, so "nothing of epoch + 1" is the cursor of the way back by construction.
 *
 * A dedicated home goes as a whole, also one that is half made; and one without a fence may be half
 * dropped still, so it is erased again where a shared one is known to be gone.
 *
 * Failures: erasing is repeated until it succeeds; it is refused unless the fence carries our
 * generation, and a home of another schema version than was thought leads to a new claim.
 */
#include "migrator/internal.h"
#include "migrator/run.h"

enum fh_step fh_run_settle(struct fh_run *run)
{
    fh_run_switched(run);
    enum fh_step next = FH_STEP_ERASE_SOURCE;
    enum fh_move_phase phase = FH_MOVE_CLEANING;
    if (run->move.phase == FH_MOVE_CLEANING && !run->source_there &&
        !fh_home_is_dedicated(&run->move.source.home)) {
        next = FH_STEP_DROP; /* erased before somebody could say so */
        phase = FH_MOVE_DONE;
    }
    return fh_run_close_view(run, fh_run_advance(run, phase, next));
}

static enum fh_code erase(struct fh_run *run, enum fh_side side, enum fh_fence_mode mode)
{
    struct fh_request *request = fh_run_request(run, 0, side, FH_OP_HOME_ERASE, &run->arena);
    /* An erasure must know every table that is there. */
    enum fh_code code =
        fh_run_schema_at(run, side == FH_SIDE_SOURCE ? run->source_version : run->target_version,
                         &request->scope.schema);
    if (code != FH_OK) {
        return code;
    }
    request->as.home.fence = (struct fh_fence){
        .epoch = request->scope.epoch, .generation = run->generation, .mode = mode};
    return fh_run_submit(run, 0, side);
}

enum fh_code fh_run_enter_erase_source(struct fh_run *run)
{
    return erase(run, FH_SIDE_SOURCE, FH_FENCE_CLOSED);
}

enum fh_step fh_run_after_erase_source(struct fh_run *run, enum fh_code code)
{
    if (code != FH_OK) {
        return fh_run_trouble(run, code, run->step); /* all that may be there of it is to go */
    }
    fh_run_progressed(run);
    return fh_run_advance(run, FH_MOVE_DONE, FH_STEP_DROP);
}

static enum fh_step undo(struct fh_run *run, enum fh_move_phase undoing, enum fh_move_phase undone)
{
    /* A dedicated home may be half made, without a fence. */
    bool there =
        run->target_there || (run->target_absent && fh_home_is_dedicated(&run->move.target_home));
    enum fh_step advance = there ? fh_run_advance(run, undoing, FH_STEP_ERASE_TARGET)
                                 : fh_run_advance(run, undone, FH_STEP_DROP);
    return fh_run_close_view(run, advance);
}

enum fh_step fh_run_cancel(struct fh_run *run)
{
    run->complained = false;
    fh_run_say(run, "cancelled");
    return undo(run, FH_MOVE_CANCELLING, FH_MOVE_CANCELLED);
}

enum fh_step fh_run_give_up(struct fh_run *run)
{
    return undo(run, FH_MOVE_FAILING, FH_MOVE_FAILED);
}

enum fh_code fh_run_enter_erase_target(struct fh_run *run)
{
    return erase(run, FH_SIDE_TARGET, FH_FENCE_INCOMING);
}

enum fh_step fh_run_after_erase_target(struct fh_run *run, enum fh_code code)
{
    if (code != FH_OK) {
        return fh_run_trouble(run, code, run->step);
    }
    run->target_there = false;
    run->target_absent = false;
    enum fh_move_phase undone =
        run->move.phase == FH_MOVE_FAILING ? FH_MOVE_FAILED : FH_MOVE_CANCELLED;
    return fh_run_advance(run, undone, FH_STEP_DROP);
}
