/* A rollout as text: its phase, the line that watching rewrites, the table of one, and watching. */
#include "clients/cli/rollout.h"

#include <inttypes.h>

#include "clients/cli/cells.h"
#include "clients/cli/text.h"
#include "clients/cli/watch.h"

#define LINE_BYTES_MAX 1024
#define DONE FREEHOLD__V1__ROLLOUT_PHASE__ROLLOUT_PHASE_DONE

bool fh_rollout_has_ended(const Freehold__V1__Rollout *rollout)
{
    return rollout->phase >= DONE;
}

static bool is_paused(const Freehold__V1__Rollout *rollout)
{
    return !fh_rollout_has_ended(rollout) &&
           rollout->wish == FREEHOLD__V1__ROLLOUT_WISH__ROLLOUT_WISH_PAUSE;
}

const char *fh_rollout_phase_text(const Freehold__V1__Rollout *rollout)
{
    static const char *const names[] = {"unknown", "planned",   "canary", "rolling",
                                        "done",    "cancelled", "failed"};
    if (is_paused(rollout)) {
        return "paused";
    }
    return (size_t)rollout->phase < sizeof(names) / sizeof(names[0]) ? names[rollout->phase]
                                                                     : names[0];
}

void fh_rollout_add_line(struct fh_buf *out, const Freehold__V1__Rollout *rollout)
{
    const Freehold__V1__RolloutProgress *progress = rollout->progress;
    fh_buf_printf(out, "version %u, %s", rollout->version, fh_rollout_phase_text(rollout));
    if (progress == NULL) {
        return;
    }
    if (progress->homes_total > 0) {
        fh_buf_add_text(out, ": ");
        fh_text_add_count(out, progress->homes_done);
        fh_buf_add_text(out, " of ");
        fh_text_add_count(out, progress->homes_total);
        fh_buf_printf(out, " homes (%" PRIu64 "%%)",
                      progress->homes_done * 100 / progress->homes_total);
    }
    if (!fh_rollout_has_ended(rollout) && progress->homes_per_second > 0) {
        fh_buf_printf(out, ", %.1f homes/s", progress->homes_per_second);
        if (progress->time_left != NULL && !is_paused(rollout)) {
            fh_buf_add_text(out, ", ");
            fh_text_add_span(out, progress->time_left->seconds);
            fh_buf_add_text(out, " left");
        }
    }
    if (progress->homes_waiting > 0) {
        fh_buf_printf(out, ", %" PRIu64 " waiting", progress->homes_waiting);
    }
    if (progress->homes_failed > 0) {
        fh_buf_printf(out, ", %" PRIu64 " failed", progress->homes_failed);
    }
}

static void count_row(struct fh_grid *grid, const char *title, uint64_t count)
{
    fh_grid_text(grid, title);
    fh_cell_count(grid, count);
}

int fh_rollout_show(struct fh_session *session, const Freehold__V1__Rollout *rollout)
{
    const Freehold__V1__RolloutProgress *progress = rollout->progress;
    struct fh_grid grid;
    struct fh_buf state;
    if (session->output != FH_OUTPUT_TABLE) {
        return fh_session_write_json(session, &rollout->base);
    }
    fh_grid_init(&grid, 0);
    fh_buf_init(&state, LINE_BYTES_MAX);
    fh_rollout_add_line(&state, rollout);
    fh_grid_column(&grid, "rollout", false);
    fh_grid_column(&grid, fh_name_without("rollouts/", rollout->name), false);
    fh_grid_text(&grid, "state");
    fh_grid_cell(&grid, fh_buf_str(&state));
    if (progress != NULL) {
        count_row(&grid, "homes", progress->homes_total);
        count_row(&grid, "done", progress->homes_done);
        count_row(&grid, "waiting", progress->homes_waiting);
        count_row(&grid, "failed", progress->homes_failed);
    }
    fh_grid_text(&grid, "message");
    fh_grid_text(&grid, rollout->message);
    fh_grid_text(&grid, "asked by");
    fh_grid_text(&grid, rollout->actor);
    fh_grid_text(&grid, "reason");
    fh_grid_text(&grid, rollout->reason);
    fh_grid_text(&grid, "begun");
    fh_cell_time(&grid, rollout->create_time);
    fh_grid_text(&grid, "ended");
    fh_cell_time(&grid, rollout->finish_time);
    int exit_code = fh_cells_write(session, &grid);
    fh_buf_close(&state);
    fh_grid_close(&grid);
    return exit_code;
}

static const char *watched_phase(const ProtobufCMessage *state)
{
    return fh_rollout_phase_text((const Freehold__V1__Rollout *)state);
}

static void add_watched(struct fh_buf *out, const ProtobufCMessage *state)
{
    fh_rollout_add_line(out, (const Freehold__V1__Rollout *)state);
}

/* A paused one goes on when somebody acts: that is not waited for. */
static bool is_over(const ProtobufCMessage *state)
{
    const Freehold__V1__Rollout *rollout = (const Freehold__V1__Rollout *)state;
    return fh_rollout_has_ended(rollout) || is_paused(rollout);
}

static bool is_done(const ProtobufCMessage *state)
{
    return ((const Freehold__V1__Rollout *)state)->phase == DONE;
}

static int show_watched(struct fh_session *session, const ProtobufCMessage *state)
{
    return fh_rollout_show(session, (const Freehold__V1__Rollout *)state);
}

int fh_rollout_watch(struct fh_session *session, const char *name)
{
    Freehold__V1__GetRolloutRequest request = FREEHOLD__V1__GET_ROLLOUT_REQUEST__INIT;
    const struct fh_watch watch = {
        .service = &freehold__v1__schema_service__descriptor,
        .method = "GetRollout",
        .request = &request.base,
        .phase = watched_phase,
        .add_line = add_watched,
        .is_over = is_over,
        .is_done = is_done,
        .show = show_watched,
    };
    request.name = fh_text_field(name);
    return fh_watch_run(session, &watch);
}
