/* What a claim finds, and how it goes on from there.
 *
 * Happy path: the claim raises the generation in the catalog; then both fences are set to it, so
 * that whoever was at this move before cannot act any more; only then is read how far the target
 * is. The source is set before the target: before the switch that is the call-off's reopening,
 * behind it a source that came back older than it was is closed before the new home opens. A source
 * that cannot be reached behind the switch is no reason to keep the tenant waiting: it was closed
 * before the switch, so the target opens, and the source is asked again until it answers.
 *
 * Failures: a fence of another epoch, or a home at the target that is not this move's, ends the
 * move before the switch; behind it there is only trying again. A target that is closed before the
 * switch is one whose erasing was cut short: it stays closed, and is erased to its end, whatever is
 * said in it of how far it was. A fence that carries a newer
 * generation than ours means that somebody else has claimed the move: the run is dropped.
 */
#include "migrator/internal.h"
#include "migrator/run.h"

#define HASTE_US 2000 /* between two claims of our own */

static bool is_ours(const struct fh_run *run, const struct fh_move *move)
{
    return fh_uuid_eq(&move->worker, &run->migrator->options.worker);
}

enum fh_code fh_run_enter_look(struct fh_run *run)
{
    struct fh_catalog_request *request = fh_run_catalog_request(run, FH_CATALOG_MOVE_GET);
    request->as.move_get.uuid = run->move.uuid;
    return fh_run_catalog_submit(run);
}

/* Of a worker's uuid there is one run of a move at most: a claim in our name is our own, even when
 * its answer was lost. */
static enum fh_step look_at(struct fh_run *run, const struct fh_move *move)
{
    if (fh_move_is_finished(move->phase) || !is_ours(run, move)) {
        run->lost = true;
        return FH_STEP_DROP;
    }
    fh_run_adopt(run, move);
    return FH_STEP_CLAIM;
}

enum fh_step fh_run_after_look(struct fh_run *run, enum fh_code code)
{
    if (code == FH_OK) {
        return look_at(run, &run->catalog.as.move_get.move);
    }
    if (code == FH_NOT_FOUND) {
        run->lost = true;
        return FH_STEP_DROP;
    }
    return fh_run_trouble(run, code, FH_STEP_LOOK);
}

enum fh_code fh_run_enter_claim(struct fh_run *run)
{
    struct fh_catalog_request *request = fh_run_catalog_request(run, FH_CATALOG_MOVE_CLAIM);
    request->as.move_claim.uuid = run->move.uuid;
    request->as.move_claim.beat = run->move.beat;
    request->as.move_claim.worker = run->migrator->options.worker;
    return fh_run_catalog_submit(run);
}

static enum fh_step claimed(struct fh_run *run)
{
    const struct fh_move *move = &run->catalog.as.move_claim.move;
    run->placement = run->catalog.as.move_claim.placement;
    fh_run_adopt(run, move);
    run->generation = move->generation;
    run->committed = run->placement.epoch == move->source.epoch + 1;
    run->recovered = false;
    run->source_there = false;
    run->target_there = false;
    run->making = false;
    run->erasing = false;
    run->target_absent = false;
    run->source_later = false;
    run->failing = run->failing || move->phase == FH_MOVE_FAILING;
    if (!run->claimed) {
        run->claimed = true;
        run->migrator->stats.claimed++;
        fh_run_beat_start(run);
    }
    FH_LOG(run->migrator->env->log, INFO, "move.claimed", FH_KV_UUID("move", move->uuid),
           FH_KV_UUID("tenant", move->tenant), FH_KV_INT("generation", (int64_t)run->generation),
           FH_KV_TEXT("phase", fh_move_phase_name(move->phase)));
    return FH_STEP_SOURCE_READ;
}

enum fh_step fh_run_after_claim(struct fh_run *run, enum fh_code code)
{
    if (code == FH_OK) {
        return claimed(run);
    }
    if (code == FH_PRECONDITION || code == FH_NOT_FOUND) {
        if (code == FH_NOT_FOUND || !run->claimed) {
            run->lost = true;
            return FH_STEP_DROP;
        }
        enum fh_step next = look_at(run, &run->catalog.as.move_claim.move);
        return next == FH_STEP_CLAIM ? fh_run_wait(run, HASTE_US, next) : next;
    }
    return fh_run_trouble(run, code, FH_STEP_LOOK);
}

static enum fh_code ask_fence(struct fh_run *run, enum fh_side side)
{
    (void)fh_run_request(run, 0, side, FH_OP_FENCE_READ, &run->arena);
    return fh_run_submit(run, 0, side);
}

static enum fh_code set_fence(struct fh_run *run, enum fh_side side, struct fh_fence desired)
{
    struct fh_request *request = fh_run_request(run, 0, side, FH_OP_FENCE_SET, &run->arena);
    request->as.fence.expected = run->seen;
    request->as.fence.desired = desired;
    return fh_run_submit(run, 0, side);
}

static struct fh_fence source_desired(const struct fh_run *run)
{
    return (struct fh_fence){.epoch = run->move.source.epoch,
                             .generation = run->generation,
                             .mode = run->committed ? FH_FENCE_CLOSED : FH_FENCE_OPEN};
}

static struct fh_fence target_desired(const struct fh_run *run)
{
    return (struct fh_fence){.epoch = run->move.source.epoch + 1,
                             .generation = run->generation,
                             .mode = run->committed ? FH_FENCE_OPEN
                                     : run->erasing ? FH_FENCE_CLOSED
                                                    : FH_FENCE_INCOMING};
}

enum fh_code fh_run_enter_source_read(struct fh_run *run)
{
    return ask_fence(run, FH_SIDE_SOURCE);
}

/* Behind the switch a home that is not as it must be can only be waited for. */
static enum fh_step odd(struct fh_run *run, enum fh_step again, const char *what)
{
    (void)fh_error_set(&run->error, FH_CORRUPT, "%s", what);
    return fh_run_trouble(run, FH_UNAVAILABLE, again);
}

/* Before the switch the move fails, once both fences have been looked at. */
static void doom(struct fh_run *run, const char *what)
{
    if (!run->failing && fh_move_is_before_switch(run->move.phase)) {
        run->failing = true;
        run->complained = false;
        fh_run_say(run, "%s", what);
    }
}

static enum fh_step source_odd(struct fh_run *run, const char *what)
{
    if (run->committed) {
        return odd(run, FH_STEP_SOURCE_READ, what);
    }
    doom(run, what);
    fh_run_open_gate(run);
    return FH_STEP_TARGET_READ;
}

/* The source carries our generation. Whoever waits at the gate of a switch that was called off goes
 * on from here. */
static enum fh_step source_set(struct fh_run *run)
{
    run->source_there = true;
    if (!run->committed) {
        fh_run_open_gate(run);
    }
    return FH_STEP_TARGET_READ;
}

enum fh_step fh_run_after_source_read(struct fh_run *run, enum fh_code code)
{
    if (code == FH_NO_TENANT) {
        /* Behind the switch: it was erased already. */
        return run->committed ? FH_STEP_TARGET_READ
                              : source_odd(run, "the source has no home of this tenant");
    }
    if (fh_run_is_permanent(code)) {
        return source_odd(run, fh_error_text(&run->error));
    }
    if (code != FH_OK && run->committed && !run->target_there) {
        run->source_later = true;
        return FH_STEP_TARGET_READ;
    }
    if (code != FH_OK) {
        return fh_run_trouble(run, code, FH_STEP_SOURCE_READ);
    }
    run->source_later = false;
    run->seen = run->calls[0].request.as.fence.seen;
    run->source_version = run->calls[0].request.as.fence.schema_version;
    if (run->seen.epoch != run->move.source.epoch || run->seen.mode == FH_FENCE_INCOMING) {
        return source_odd(run, "the source's home is not the one that was to be moved");
    }
    if (run->seen.generation > run->generation) {
        run->lost = true;
        return FH_STEP_DROP;
    }
    struct fh_fence desired = source_desired(run);
    return fh_fence_equal(&run->seen, &desired) ? source_set(run) : FH_STEP_SOURCE_SET;
}

enum fh_code fh_run_enter_source_set(struct fh_run *run)
{
    return set_fence(run, FH_SIDE_SOURCE, source_desired(run));
}

enum fh_step fh_run_after_source_set(struct fh_run *run, enum fh_code code)
{
    if (code == FH_OK) {
        run->fence_us = fh_run_now(run) - run->step_began_us;
        return source_set(run);
    }
    /* Read again: what it is now is all that counts, whoever set it. */
    return fh_run_trouble(run, code == FH_MOVED ? FH_CONFLICT : code, FH_STEP_SOURCE_READ);
}

enum fh_code fh_run_enter_target_read(struct fh_run *run)
{
    return ask_fence(run, FH_SIDE_TARGET);
}

static enum fh_step decide(struct fh_run *run);

static enum fh_step target_set(struct fh_run *run)
{
    run->target_there = true;
    if (run->source_later) {
        fh_run_open_gate(run);
        return FH_STEP_SOURCE_READ;
    }
    return decide(run);
}

enum fh_step fh_run_after_target_read(struct fh_run *run, enum fh_code code)
{
    if (code == FH_NO_TENANT) {
        run->target_absent = true;
        run->target_version = 0;
        return run->committed ? odd(run, FH_STEP_TARGET_READ, "the tenant's home is not there")
                              : decide(run);
    }
    if (fh_run_is_permanent(code) && !run->committed) {
        doom(run, fh_error_text(&run->error));
        return decide(run); /* there is nothing there that could be erased */
    }
    if (code != FH_OK) {
        return fh_run_trouble(run, code, FH_STEP_TARGET_READ);
    }
    run->seen = run->calls[0].request.as.fence.seen;
    run->target_version = run->calls[0].request.as.fence.schema_version;
    run->erasing = !run->committed && run->seen.mode == FH_FENCE_CLOSED;
    bool ours = run->seen.epoch == run->move.source.epoch + 1 &&
                (run->committed || run->erasing || run->seen.mode == FH_FENCE_INCOMING);
    if (!ours) {
        const char *what = "the target holds a home of this tenant that is not of this move";
        if (run->committed) {
            return odd(run, FH_STEP_TARGET_READ, what);
        }
        doom(run, what);
        return decide(run); /* it is not touched */
    }
    if (run->seen.generation > run->generation) {
        run->lost = true;
        return FH_STEP_DROP;
    }
    struct fh_fence desired = target_desired(run);
    return fh_fence_equal(&run->seen, &desired) ? target_set(run) : FH_STEP_TARGET_SET;
}

enum fh_code fh_run_enter_target_set(struct fh_run *run)
{
    return set_fence(run, FH_SIDE_TARGET, target_desired(run));
}

enum fh_step fh_run_after_target_set(struct fh_run *run, enum fh_code code)
{
    return code == FH_OK
               ? target_set(run)
               : fh_run_trouble(run, code == FH_MOVED ? FH_CONFLICT : code, FH_STEP_TARGET_READ);
}

/* Both fences carry our generation. */
static enum fh_step decide(struct fh_run *run)
{
    run->recovered = true;
    if (run->committed) {
        return fh_run_settle(run);
    }
    const struct fh_schema *newest = fh_router_schema(run->migrator->router);
    run->schema = newest != NULL && run->source_version > 0
                      ? fh_schema_at(newest, run->source_version)
                      : newest;
    if (run->move.phase == FH_MOVE_CANCELLING ||
        (run->move.wish == FH_MOVE_WISH_CANCEL && run->move.phase != FH_MOVE_FAILING)) {
        return fh_run_cancel(run);
    }
    if (run->failing) {
        return fh_run_give_up(run);
    }
    /* What it says of how far it was is of its version, and would have to be begun anew. */
    bool has_state = run->target_there && !run->erasing && run->schema != NULL &&
                     run->target_version == run->source_version;
    return fh_run_close_view(run, has_state ? FH_STEP_STATE_READ : fh_run_prepare(run));
}

enum fh_code fh_run_enter_state_read(struct fh_run *run)
{
    struct fh_request *request =
        fh_run_request(run, 0, FH_SIDE_TARGET, FH_OP_MOVE_STATE, &run->arena);
    request->as.move_state.guard = fh_run_guard(run, FH_FENCE_BIT(FH_FENCE_INCOMING));
    return fh_run_submit(run, 0, FH_SIDE_TARGET);
}

static enum fh_step go_on(struct fh_run *run, const struct fh_run_state *state)
{
    struct fh_cursor cursor;
    if (!fh_cursor_set(&cursor, state->cursor)) {
        return fh_run_prepare(run);
    }
    /* A round of unknown outcome may have been applied: then what was compared, and what was
     * counted since, do not belong together any more. */
    if (!fh_cursor_equal(&cursor, &run->state_cursor)) {
        run->verify.done = false;
        run->cursor = cursor;
        run->state_cursor = cursor;
    }
    if (run->move.progress.rows_copied < state->rows_copied) {
        run->move.progress.rows_copied = state->rows_copied;
    }
    if (run->move.progress.records_copied < state->records_copied) {
        run->move.progress.records_copied = state->records_copied;
    }
    if (state->following) {
        return fh_run_advance(run, FH_MOVE_CATCHING_UP, fh_run_follow(run));
    }
    if (run->move.phase > FH_MOVE_COPYING) {
        return fh_run_prepare(run);
    }
    run->position = state->position;
    return fh_run_advance(run, FH_MOVE_COPYING, fh_run_copy(run));
}

enum fh_step fh_run_after_state_read(struct fh_run *run, enum fh_code code)
{
    if (code != FH_OK) {
        return fh_run_trouble(run, code, FH_STEP_STATE_READ);
    }
    struct fh_run_state state;
    fh_arena_reset(&run->keep); /* the position's key lives there */
    code = fh_run_state_decode(run->calls[0].request.as.move_state.state, run->schema, &run->keep,
                               &state);
    if (code == FH_NOMEM) {
        return fh_run_trouble(run, code, FH_STEP_STATE_READ);
    }
    if (code != FH_OK || !fh_uuid_eq(&state.move, &run->move.uuid) ||
        state.epoch != run->move.source.epoch || state.schema_version != run->schema->version) {
        return fh_run_prepare(run); /* which empties it first */
    }
    return go_on(run, &state);
}
