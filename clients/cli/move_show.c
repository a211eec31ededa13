/* A move as text: names, cells, the line that watching rewrites, the table of one move. Pure but
 * for watching and the table, which is written to the session's output; failures there are told as
 * everywhere.
 */
#include "clients/cli/move.h"

#include <inttypes.h>
#include <string.h>

#include "clients/cli/cells.h"
#include "clients/cli/text.h"
#include "clients/cli/tier.h"
#include "clients/cli/watch.h"

const char *fh_move_phase_text(Freehold__V1__MovePhase phase)
{
    static const char *const names[] = {
        "unknown", "planned",  "preparing", "copying",    "catching up", "ready",   "switching",
        "settled", "cleaning", "done",      "cancelling", "cancelled",   "failing", "failed"};
    return (size_t)phase < sizeof(names) / sizeof(names[0]) ? names[phase] : names[0];
}

bool fh_move_has_ended(Freehold__V1__MovePhase phase)
{
    return phase == FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_DONE ||
           phase == FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_CANCELLED ||
           phase == FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_FAILED;
}

void fh_move_add_line(struct fh_buf *out, const Freehold__V1__Move *move)
{
    const Freehold__V1__MoveProgress *progress = move->progress;
    fh_buf_add_text(out, fh_move_phase_text(move->phase));
    if (progress != NULL && progress->rows_total > 0) {
        uint64_t rows = move->phase == FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_READY
                            ? progress->rows_verified
                            : progress->rows_copied;
        fh_buf_add_text(out, ": ");
        fh_text_add_count(out, rows);
        fh_buf_add_text(out, " of ");
        fh_text_add_count(out, progress->rows_total);
        fh_buf_printf(out, " rows (%" PRIu64 "%%)",
                      rows < progress->rows_total ? rows * 100 / progress->rows_total : 100);
    }
    if (progress != NULL && progress->rows_per_second >= 1) {
        fh_buf_add_text(out, ", ");
        fh_text_add_count(out, (uint64_t)progress->rows_per_second);
        fh_buf_add_text(out, " rows/s");
    }
    if (progress != NULL && progress->rounds > 0) {
        fh_buf_add_text(out, ", ");
        fh_text_add_count(out, progress->lag_records);
        fh_buf_add_text(out, " records behind");
    }
    if (progress != NULL && progress->pause_predicted != NULL &&
        (progress->pause_predicted->seconds > 0 || progress->pause_predicted->nanos > 0) &&
        progress->pause == NULL) {
        fh_buf_add_text(out, ", pause about ");
        fh_cell_add_duration(out, progress->pause_predicted);
    }
    if (progress != NULL && progress->time_left != NULL) {
        fh_buf_add_text(out, ", ");
        fh_text_add_span(out, progress->time_left->seconds);
        fh_buf_add_text(out, " left");
    }
    if (move->message[0] != '\0') {
        fh_buf_add_text(out, "; ");
        fh_text_add_shown(out, fh_str_of(move->message), 200);
    }
}

void fh_move_add_home(struct fh_buf *out, const char *store, Freehold__V1__Placement__Tier tier)
{
    fh_buf_add_text(out, fh_name_without("stores/", store));
    if (tier != FREEHOLD__V1__PLACEMENT__TIER__TIER_SHARED &&
        tier != FREEHOLD__V1__PLACEMENT__TIER__TIER_UNSPECIFIED) {
        fh_buf_printf(out, "/%s", fh_tier_text(tier));
    }
}

void fh_move_cell_home(struct fh_grid *grid, const char *store, Freehold__V1__Placement__Tier tier)
{
    struct fh_buf text;
    fh_buf_init(&text, 256);
    fh_move_add_home(&text, store, tier);
    fh_grid_cell(grid, fh_buf_str(&text));
    fh_buf_close(&text);
}

static void show_progress(struct fh_grid *grid, const Freehold__V1__MoveProgress *progress)
{
    fh_grid_text(grid, "rows copied");
    fh_cell_count(grid, progress->rows_copied);
    fh_grid_text(grid, "rows applied in rounds");
    fh_cell_count(grid, progress->rows_applied);
    fh_grid_text(grid, "rows compared");
    fh_cell_count(grid, progress->rows_verified);
    fh_grid_text(grid, "commit records");
    fh_cell_count(grid, progress->records_copied);
    fh_grid_text(grid, "rows a second");
    fh_cell_count(grid, (uint64_t)progress->rows_per_second);
    fh_grid_text(grid, "switches tried");
    fh_cell_count(grid, progress->switches_tried);
    if (progress->pause != NULL) {
        fh_grid_text(grid, "writes held");
        fh_cell_duration(grid, progress->pause);
        fh_grid_text(grid, "reads held");
        fh_cell_duration(grid, progress->read_pause);
    } else {
        fh_grid_text(grid, "pause predicted");
        fh_cell_duration(grid, progress->pause_predicted);
    }
}

int fh_move_show(struct fh_session *session, const Freehold__V1__Move *move)
{
    struct fh_grid grid;
    if (session->output != FH_OUTPUT_TABLE) {
        return fh_session_write_json(session, &move->base);
    }
    fh_grid_init(&grid, 0);
    fh_grid_column(&grid, "move", false);
    fh_grid_column(&grid, fh_name_without("moves/", move->name), false);
    fh_grid_text(&grid, "tenant");
    fh_grid_text(&grid, fh_name_without("tenants/", move->tenant));
    fh_grid_text(&grid, "from");
    fh_move_cell_home(&grid, move->source_store, move->source_tier);
    fh_grid_text(&grid, "to");
    fh_move_cell_home(&grid, move->target_store, move->target_tier);
    fh_grid_text(&grid, "phase");
    fh_grid_text(&grid, fh_move_phase_text(move->phase));
    if (move->message[0] != '\0') {
        fh_grid_text(&grid, "message");
        fh_grid_text(&grid, move->message);
    }
    if (move->progress != NULL) {
        show_progress(&grid, move->progress);
    }
    fh_grid_text(&grid, "asked for by");
    fh_grid_text(&grid, move->actor);
    fh_grid_text(&grid, "reason");
    fh_grid_text(&grid, move->reason);
    fh_grid_text(&grid, "created");
    fh_cell_time(&grid, move->create_time);
    fh_grid_text(&grid, "finished");
    fh_cell_time(&grid, move->finish_time);
    int exit_code = fh_cells_write(session, &grid);
    fh_grid_close(&grid);
    return exit_code;
}

static const char *watched_phase(const ProtobufCMessage *state)
{
    return fh_move_phase_text(((const Freehold__V1__Move *)state)->phase);
}

static void add_watched(struct fh_buf *out, const ProtobufCMessage *state)
{
    fh_move_add_line(out, (const Freehold__V1__Move *)state);
}

static bool is_over(const ProtobufCMessage *state)
{
    return fh_move_has_ended(((const Freehold__V1__Move *)state)->phase);
}

static bool is_done(const ProtobufCMessage *state)
{
    return ((const Freehold__V1__Move *)state)->phase == FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_DONE;
}

static int show_watched(struct fh_session *session, const ProtobufCMessage *state)
{
    return fh_move_show(session, (const Freehold__V1__Move *)state);
}

int fh_move_watch(struct fh_session *session, const char *name)
{
    Freehold__V1__GetMoveRequest request = FREEHOLD__V1__GET_MOVE_REQUEST__INIT;
    const struct fh_watch watch = {
        .service = &freehold__v1__move_admin_service__descriptor,
        .method = "GetMove",
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
