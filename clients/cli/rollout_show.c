/* A rollout as text: its phase, the line that watching rewrites, the table of one, and watching:
 * one GetRollout after another, as `move watch` does and for the same reasons. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clients/cli/grid.h"
#include "clients/cli/json.h"
#include "clients/cli/move.h"
#include "clients/cli/rollout.h"
#include "clients/cli/text.h"

#define ASK_MS_MIN 10
#define ASK_MS_MAX 200
#define FAILURES_MAX 50
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

static void add_left(struct fh_buf *out, const Google__Protobuf__Duration *left)
{
    int64_t s = left->seconds;
    if (s >= 3600) {
        fh_buf_printf(out, ", %" PRId64 ":%02d:%02d left", s / 3600, (int)(s / 60 % 60),
                      (int)(s % 60));
    } else {
        fh_buf_printf(out, ", %d:%02d left", (int)(s / 60), (int)(s % 60));
    }
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
            add_left(out, progress->time_left);
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
    fh_move_cell_count(grid, count);
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
    fh_grid_column(&grid, fh_move_without("rollouts/", rollout->name), false);
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
    fh_move_cell_time(&grid, rollout->create_time);
    fh_grid_text(&grid, "ended");
    fh_move_cell_time(&grid, rollout->finish_time);
    int exit_code = fh_move_write_grid(session, &grid);
    fh_buf_close(&state);
    fh_grid_close(&grid);
    return exit_code;
}

struct teller {
    struct fh_session *session;
    bool terminal;
    bool shown;
    const char *phase;
};

static void tell(struct teller *teller, const Freehold__V1__Rollout *rollout)
{
    struct fh_buf line;
    bool lines = teller->session->output == FH_OUTPUT_NDJSON;
    if (teller->session->output == FH_OUTPUT_JSON ||
        (!lines && !teller->terminal && teller->phase == fh_rollout_phase_text(rollout))) {
        return;
    }
    teller->phase = fh_rollout_phase_text(rollout);
    fh_buf_init(&line, lines ? FH_OUTPUT_BYTES_MAX : LINE_BYTES_MAX);
    if (lines) {
        fh_json_add_message(&line, &rollout->base, -1);
        fh_buf_add_char(&line, '\n');
        (void)fh_session_write(teller->session, &line);
    } else {
        fh_rollout_add_line(&line, rollout);
        if (fh_buf_code(&line) == FH_OK) {
            (void)fprintf(stderr, teller->terminal ? "\r\033[K%s" : "%s\n", line.data);
            (void)fflush(stderr);
            teller->shown = teller->terminal;
        }
    }
    fh_buf_close(&line);
}

static void wipe(const struct teller *teller)
{
    if (teller->shown) {
        (void)fputs("\r\033[K", stderr);
    }
}

static void rest(long *ms)
{
    const struct timespec span = {.tv_nsec = *ms * 1000000L};
    (void)nanosleep(&span, NULL); /* cut short by a signal: asks a little early */
    *ms = *ms * 3 / 2 < ASK_MS_MAX ? *ms * 3 / 2 : ASK_MS_MAX;
}

static int end(struct fh_session *session, const Freehold__V1__Rollout *rollout)
{
    int exit_code =
        session->output == FH_OUTPUT_NDJSON ? FH_EXIT_OK : fh_rollout_show(session, rollout);
    return exit_code == FH_EXIT_OK && rollout->phase != DONE ? FH_EXIT_REFUSED : exit_code;
}

int fh_rollout_watch(struct fh_session *session, const char *name)
{
    Freehold__V1__GetRolloutRequest request = FREEHOLD__V1__GET_ROLLOUT_REQUEST__INIT;
    struct teller teller = {.session = session, .terminal = isatty(STDERR_FILENO) == 1};
    struct fh_client *client = NULL;
    unsigned failures = 0;
    long rest_ms = ASK_MS_MIN;
    int exit_code = fh_session_operators(session, &client);
    if (exit_code != FH_EXIT_OK) {
        return exit_code;
    }
    request.name =
        (char *)(uintptr_t)name; /* protobuf-c has no const strings; it only reads them */
    for (;;) {
        struct fh_client_status status;
        ProtobufCMessage *response = NULL;
        if (fh_client_invoke(client, &freehold__v1__schema_service__descriptor, "GetRollout",
                             &request.base, &response, &status)) {
            const Freehold__V1__Rollout *rollout = (const Freehold__V1__Rollout *)response;
            failures = 0;
            tell(&teller, rollout);
            if (fh_rollout_has_ended(rollout) || is_paused(rollout)) {
                wipe(&teller);
                exit_code = end(session, rollout);
                fh_client_message_free(response);
                return exit_code;
            }
            fh_client_message_free(response);
        } else if (!fh_client_status_is_passing(&status) || ++failures == FAILURES_MAX) {
            wipe(&teller);
            return fh_session_fail_status(session, &status);
        }
        rest(&rest_ms);
    }
}
