/* Happy path: the source says which schema version it is at, and all is done at that; the source is
 * counted, the target gets an empty home of that version which only the mover may use; a view of
 * the source gives the cursor from which rounds will go on, and the target's state says so before a
 * single row is read.
 *
 * Failures: a version that this process does not know is waited for, and so is a shared target of
 * another version. A home of this move that is there already is emptied first: nobody knows what an
 * earlier attempt brought. One that is there although the fence read found none was made by a
 * request that was given up for lost: its fence is read again. A home whose version changes in the
 * middle leads back here (FH_STALE_SCHEMA).
 */
#include "migrator/internal.h"
#include "migrator/run.h"

enum fh_step fh_run_prepare(struct fh_run *run)
{
    run->verify.done = false;
    return fh_run_advance(run, FH_MOVE_PREPARING, FH_STEP_SCHEMA_SOURCE);
}

enum fh_code fh_run_enter_schema_source(struct fh_run *run)
{
    (void)fh_run_request(run, 0, FH_SIDE_SOURCE, FH_OP_FENCE_READ, &run->arena);
    return fh_run_submit(run, 0, FH_SIDE_SOURCE);
}

enum fh_step fh_run_after_schema_source(struct fh_run *run, enum fh_code code)
{
    if (code == FH_OK) {
        run->source_version = run->calls[0].request.as.fence.schema_version;
        code = fh_run_schema_at(run, run->source_version, &run->schema);
    }
    return code == FH_OK ? FH_STEP_SCHEMA_TARGET : fh_run_trouble(run, code, FH_STEP_SCHEMA_SOURCE);
}

enum fh_code fh_run_enter_schema_target(struct fh_run *run)
{
    (void)fh_run_request(run, 0, FH_SIDE_TARGET, FH_OP_FENCE_READ, &run->arena);
    return fh_run_submit(run, 0, FH_SIDE_TARGET);
}

/* A dedicated home is made at the source's version. A shared one has its own, which is for others
 * to change: with the rollout that is under way both come to be the same. */
enum fh_step fh_run_after_schema_target(struct fh_run *run, enum fh_code code)
{
    if (code != FH_OK && code != FH_NO_TENANT) {
        return fh_run_trouble(run, code, FH_STEP_SCHEMA_SOURCE);
    }
    run->target_version = run->calls[0].request.as.fence.schema_version;
    run->code = FH_OK;
    run->error = (struct fh_error)FH_ERROR_INIT;
    if (!fh_home_is_dedicated(&run->move.target_home) && run->target_version != 0 &&
        run->target_version != run->schema->version) {
        code = fh_error_set(&run->error, FH_UNAVAILABLE,
                            "the source is at schema version %u, the shared home of store %s at "
                            "%u; the move waits until both are the same",
                            run->schema->version, run->move.target_store, run->target_version);
        return fh_run_trouble(run, code, FH_STEP_SCHEMA_SOURCE);
    }
    return FH_STEP_SIZE;
}

enum fh_code fh_run_enter_size(struct fh_run *run)
{
    struct fh_request *request = fh_run_request(run, 0, FH_SIDE_SOURCE, FH_OP_SIZE, &run->arena);
    request->as.size.guard = fh_run_guard(run, FH_FENCE_BIT(FH_FENCE_OPEN));
    return fh_run_submit(run, 0, FH_SIDE_SOURCE);
}

enum fh_step fh_run_after_size(struct fh_run *run, enum fh_code code)
{
    if (code != FH_OK) {
        return fh_run_trouble(run, code, FH_STEP_SIZE);
    }
    const struct fh_op_size *size = &run->calls[0].request.as.size;
    run->move.progress.rows_total = size->rows;
    run->move.progress.bytes_total = size->bytes;
    return run->target_there ? FH_STEP_RESET : FH_STEP_CREATE;
}

enum fh_code fh_run_enter_reset(struct fh_run *run)
{
    struct fh_request *request =
        fh_run_request(run, 0, FH_SIDE_TARGET, FH_OP_HOME_ERASE, &run->arena);
    request->as.home.fence = (struct fh_fence){.epoch = run->move.source.epoch + 1,
                                               .generation = run->generation,
                                               .mode = FH_FENCE_INCOMING};
    /* What an earlier attempt made may be of an older version. */
    enum fh_code code = fh_run_schema_at(run, run->target_version, &request->scope.schema);
    return code == FH_OK ? fh_run_submit(run, 0, FH_SIDE_TARGET) : code;
}

enum fh_step fh_run_after_reset(struct fh_run *run, enum fh_code code)
{
    if (code != FH_OK) {
        return fh_run_doubt(run, code, FH_STEP_RESET);
    }
    run->target_there = false;
    return FH_STEP_CREATE;
}

enum fh_code fh_run_enter_create(struct fh_run *run)
{
    struct fh_request *request =
        fh_run_request(run, 0, FH_SIDE_TARGET, FH_OP_HOME_CREATE, &run->arena);
    request->as.home.fence = (struct fh_fence){.epoch = run->move.source.epoch + 1,
                                               .generation = run->generation,
                                               .mode = FH_FENCE_INCOMING};
    run->target_there = true; /* for all we know, from here on */
    run->target_version = run->schema->version;
    run->making = true;
    return fh_run_submit(run, 0, FH_SIDE_TARGET);
}

enum fh_step fh_run_after_create(struct fh_run *run, enum fh_code code)
{
    if (code == FH_OK) {
        fh_run_progressed(run);
        return FH_STEP_START_VIEW;
    }
    if (code == FH_EXISTS) {
        return fh_run_reclaim(run);
    }
    return fh_run_doubt(run, code == FH_PRECONDITION ? FH_UNAVAILABLE : code,
                        FH_STEP_SCHEMA_SOURCE);
}

enum fh_code fh_run_enter_start_view(struct fh_run *run)
{
    struct fh_request *request =
        fh_run_request(run, 0, FH_SIDE_SOURCE, FH_OP_SNAPSHOT_OPEN, &run->arena);
    request->as.snapshot.guard = fh_run_guard(run, FH_FENCE_BIT(FH_FENCE_OPEN));
    return fh_run_submit(run, 0, FH_SIDE_SOURCE);
}

enum fh_step fh_run_after_start_view(struct fh_run *run, enum fh_code code)
{
    if (code != FH_OK) {
        return fh_run_trouble(run, fh_run_view_code(code), FH_STEP_START_VIEW);
    }
    run->making = false; /* who claims from here on looks at the target behind our creation */
    if (!fh_cursor_set(&run->cursor, run->calls[0].request.as.snapshot.cursor)) {
        return fh_run_fail(run, "the source's cursor is longer than allowed");
    }
    run->position = (struct fh_position){.table = 0};
    run->move.progress.rows_copied = 0;
    run->move.progress.records_copied = 0;
    return FH_STEP_START_STATE;
}

enum fh_code fh_run_enter_start_state(struct fh_run *run)
{
    struct fh_request *request = fh_run_request(run, 0, FH_SIDE_TARGET, FH_OP_APPLY, &run->arena);
    const struct fh_run_state state = {.move = run->move.uuid,
                                       .epoch = run->move.source.epoch,
                                       .schema_version = run->schema->version,
                                       .position = run->position,
                                       .cursor = fh_cursor_str(&run->cursor)};
    enum fh_code code = fh_run_state_encode(&state, &run->arena, &request->as.apply.state);
    if (code != FH_OK) {
        return code;
    }
    request->as.apply.guard = fh_run_guard(run, FH_FENCE_BIT(FH_FENCE_INCOMING));
    return fh_run_submit(run, 0, FH_SIDE_TARGET);
}

enum fh_step fh_run_after_start_state(struct fh_run *run, enum fh_code code)
{
    if (code != FH_OK) {
        return fh_run_doubt(run, code, FH_STEP_START_STATE);
    }
    run->state_cursor = run->cursor;
    if (run->move.progress.copy_started_us == 0) {
        run->move.progress.copy_started_us = fh_clock_realtime_us(run->migrator->env->clock);
    }
    fh_run_advance(run, FH_MOVE_COPYING, fh_run_copy(run));
    return fh_run_close_view(run, FH_STEP_ADVANCE);
}
