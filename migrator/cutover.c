/* The switch: the tenant's requests wait from the gate's closing to its opening.
 *
 * Happy path: the gate holds writes, the source is frozen (which drains writers), the last records
 * are applied and counted against an independent tally, the gate holds reads too, the source is
 * closed, the catalog's placement changes hands, the target opens, the gate opens. Nothing here
 * waits for a timer; what can be asked at once is.
 *
 * Failures, before the placement has changed: any step that fails, the pause growing longer than
 * max_pause, too many requests waiting, or a cancel calls the switch off: a claim of our own raises
 * the generation first, so that nothing of this attempt can act later, then the source reopens
 * (recover.c). So does a switch whose outcome is unknown, for the claim tells where the tenant
 * lives; if that is the target, the same path leads forward. Behind the change there is only
 * forward.
 */
#include "base/fault_point.h"
#include "migrator/internal.h"
#include "migrator/run.h"

#define BACKOFF_US_MIN (100 * (int64_t)1000)
#define BACKOFF_US_MAX (30 * (int64_t)1000000)

enum fh_step fh_run_call_off(struct fh_run *run, const char *why)
{
    run->recovered = false;
    run->migrator->stats.called_off++;
    run->switch_backoff_us =
        run->switch_backoff_us == 0 ? BACKOFF_US_MIN : 2 * run->switch_backoff_us;
    if (run->switch_backoff_us > BACKOFF_US_MAX) {
        run->switch_backoff_us = BACKOFF_US_MAX;
    }
    run->switch_not_before_us = fh_run_now(run) + run->switch_backoff_us;
    if (why != NULL) {
        char text[FH_MOVE_MESSAGE_MAX / 2];
        (void)snprintf(text, sizeof(text), "%s", why);
        run->complained = false;
        fh_run_say(run, "the switch was called off at %s: %s", fh_run_step_name(run->step), text);
    }
    FH_LOG(run->migrator->env->log, WARN, "move.called_off", FH_KV_UUID("move", run->move.uuid),
           FH_KV_TEXT("step", fh_run_step_name(run->step)), FH_KV_TEXT("reason", run->message));
    return FH_STEP_CLAIM;
}

static enum fh_fence_mode frozen_mode(void)
{
    return fh_fault_seeded("skip_fence") ? FH_FENCE_OPEN : FH_FENCE_FROZEN;
}

static enum fh_code set_source(struct fh_run *run, enum fh_fence_mode from, enum fh_fence_mode to)
{
    struct fh_request *request =
        fh_run_request(run, 0, FH_SIDE_SOURCE, FH_OP_FENCE_SET, &run->arena);
    request->as.fence.expected = (struct fh_fence){
        .epoch = run->move.source.epoch, .generation = run->generation, .mode = from};
    request->as.fence.desired = (struct fh_fence){
        .epoch = run->move.source.epoch, .generation = run->generation, .mode = to};
    return fh_run_submit(run, 0, FH_SIDE_SOURCE);
}

enum fh_code fh_run_enter_freeze(struct fh_run *run)
{
    run->move.progress.switches_tried++;
    run->gate_closed_us = fh_run_now(run);
    enum fh_code code =
        fh_router_gate_close(run->migrator->router, &run->move.tenant, FH_GATE_WRITES);
    if (code != FH_OK) {
        return fh_error_set(&run->error, code, "the gate cannot be closed");
    }
    run->gated = true;
    return set_source(run, FH_FENCE_OPEN, frozen_mode());
}

static enum fh_step call_off(struct fh_run *run)
{
    return fh_run_call_off(run, fh_error_text(&run->error));
}

enum fh_step fh_run_after_freeze(struct fh_run *run, enum fh_code code)
{
    return code == FH_OK ? fh_run_begin_round(run, FH_ROUND_FINAL) : call_off(run);
}

enum fh_code fh_run_enter_final_view(struct fh_run *run)
{
    return fh_run_enter_round_view(run);
}

enum fh_step fh_run_after_final_view(struct fh_run *run, enum fh_code code)
{
    return fh_run_after_round_view(run, code);
}

enum fh_code fh_run_enter_final_changes(struct fh_run *run)
{
    return fh_run_enter_round_changes(run);
}

enum fh_step fh_run_after_final_changes(struct fh_run *run, enum fh_code code)
{
    return fh_run_after_round_changes(run, code);
}

static bool is_last_page(const struct fh_run *run)
{
    return run->round.pass != FH_PASS_DELETE && !run->changes.more;
}

/* The tally and the last page at once: they are of two stores. The arenas are two as well, for each
 * store may work in its request's. */
enum fh_code fh_run_enter_final_apply(struct fh_run *run)
{
    enum fh_code code = fh_run_apply_changes(run);
    if (code != FH_OK || !is_last_page(run)) {
        return code;
    }
    struct fh_arena *arena = &run->pages[1].arena;
    fh_arena_reset(arena);
    struct fh_request *request = fh_run_request(run, 1, FH_SIDE_SOURCE, FH_OP_TALLY, arena);
    request->as.tally.guard = fh_run_guard(run, FH_FENCE_BIT(frozen_mode()));
    request->as.tally.since = fh_cursor_str(&run->verify.since);
    return fh_run_submit(run, 1, FH_SIDE_SOURCE);
}

/* What was counted in the source, and what was brought to the target, since the comparison. */
static bool tally_holds(const struct fh_run *run)
{
    const struct fh_op_tally *tally = &run->calls[1].request.as.tally;
    const struct fh_verify *verify = &run->verify;
    return tally->count - verify->base_count == verify->count &&
           tally->seq_sum - verify->base_sum == verify->sum;
}

enum fh_step fh_run_after_final_apply(struct fh_run *run, enum fh_code code)
{
    if (code != FH_OK) {
        return call_off(run);
    }
    enum fh_step next = fh_run_page_applied(run);
    if (next != FH_STEP_WAIT) {
        return next;
    }
    if (!tally_holds(run)) {
        const struct fh_op_tally *tally = &run->calls[1].request.as.tally;
        return fh_run_fail(run, "records were missed: %llu of %llu since the comparison",
                           (unsigned long long)run->verify.count,
                           (unsigned long long)(tally->count - run->verify.base_count));
    }
    return FH_STEP_CLOSE;
}

enum fh_code fh_run_enter_close(struct fh_run *run)
{
    run->reads_closed_us = fh_run_now(run);
    enum fh_code code = fh_router_gate_close(run->migrator->router, &run->move.tenant, FH_GATE_ALL);
    return code == FH_OK ? set_source(run, frozen_mode(), FH_FENCE_CLOSED)
                         : fh_error_set(&run->error, code, "the gate cannot be closed");
}

enum fh_step fh_run_after_close(struct fh_run *run, enum fh_code code)
{
    return code == FH_OK ? FH_STEP_SWITCH : call_off(run);
}

enum fh_code fh_run_enter_switch(struct fh_run *run)
{
    struct fh_catalog_request *request = fh_run_catalog_request(run, FH_CATALOG_MOVE_SWITCH);
    request->as.move_switch.uuid = run->move.uuid;
    request->as.move_switch.generation = run->generation;
    request->as.move_switch.epoch = run->move.source.epoch;
    return fh_run_catalog_submit(run);
}

enum fh_step fh_run_after_switch(struct fh_run *run, enum fh_code code)
{
    if (code == FH_NOT_FOUND) {
        run->lost = true;
        return FH_STEP_DROP;
    }
    if (code != FH_OK) {
        return call_off(run); /* if it took place after all, the claim finds that, and goes on */
    }
    fh_run_adopt(run, &run->catalog.as.move_switch.move);
    run->placement = run->catalog.as.move_switch.placement;
    run->committed = true;
    return FH_STEP_OPEN;
}

enum fh_code fh_run_enter_open(struct fh_run *run)
{
    struct fh_request *request =
        fh_run_request(run, 0, FH_SIDE_TARGET, FH_OP_FENCE_SET, &run->arena);
    request->as.fence.expected = (struct fh_fence){.epoch = run->move.source.epoch + 1,
                                                   .generation = run->generation,
                                                   .mode = FH_FENCE_INCOMING};
    request->as.fence.desired = (struct fh_fence){
        .epoch = run->move.source.epoch + 1, .generation = run->generation, .mode = FH_FENCE_OPEN};
    return fh_run_submit(run, 0, FH_SIDE_TARGET);
}

void fh_run_switched(struct fh_run *run)
{
    struct fh_move_progress *progress = &run->move.progress;
    struct fh_migrator_stats *stats = &run->migrator->stats;
    if (!run->gated) {
        return; /* another worker made the switch, and knows how long it took */
    }
    int64_t now = fh_run_now(run);
    progress->pause_us = now - run->gate_closed_us;
    progress->read_pause_us =
        run->reads_closed_us >= run->gate_closed_us ? now - run->reads_closed_us : 0;
    fh_run_open_gate(run);
    stats->pause_last_us = progress->pause_us;
    if (stats->pause_longest_us < progress->pause_us) {
        stats->pause_longest_us = progress->pause_us;
    }
    run->complained = false;
    fh_run_say(run, "%s", "");
    const int64_t *us = run->marks_us;
    FH_LOG(run->migrator->env->log, INFO, "move.switched", FH_KV_UUID("move", run->move.uuid),
           FH_KV_UUID("tenant", run->move.tenant), FH_KV_INT("pause_us", progress->pause_us),
           FH_KV_INT("read_pause_us", progress->read_pause_us),
           FH_KV_INT("freeze_us", us[FH_STEP_FREEZE]), FH_KV_INT("view_us", us[FH_STEP_FINAL_VIEW]),
           FH_KV_INT("changes_us", us[FH_STEP_FINAL_CHANGES]),
           FH_KV_INT("apply_us", us[FH_STEP_FINAL_APPLY]), FH_KV_INT("close_us", us[FH_STEP_CLOSE]),
           FH_KV_INT("switch_us", us[FH_STEP_SWITCH]), FH_KV_INT("open_us", us[FH_STEP_OPEN]));
}

enum fh_step fh_run_after_open(struct fh_run *run, enum fh_code code)
{
    if (code != FH_OK) {
        /* The fences are looked at again, and set to what they must be by now. */
        run->recovered = false;
        run->target_there = false;
        return code == FH_MOVED ? fh_run_reclaim(run)
                                : fh_run_trouble(run, FH_UNAVAILABLE, FH_STEP_SOURCE_READ);
    }
    fh_run_switched(run);
    return fh_run_settle(run);
}
