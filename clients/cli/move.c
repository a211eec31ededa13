/* `freehold move ...`: MoveAdminService, on the operators' listener. */
#include "clients/cli/move.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/uuid.h"
#include "clients/cli/cells.h"
#include "clients/cli/commands.h"
#include "clients/cli/listing.h"
#include "clients/cli/text.h"
#include "clients/cli/tier.h"

#define NAME_LEN_MAX 128
#define PAUSE_MS_MAX 60000
#define SERVICE (&freehold__v1__move_admin_service__descriptor)

static void name_of(const char *prefix, const char *given, char out[NAME_LEN_MAX])
{
    (void)snprintf(out, NAME_LEN_MAX, "%s%.100s", prefix, fh_name_without(prefix, given));
}

/* "500ms", "2s"; a bare number is milliseconds. */
static bool read_pause(const char *text, Google__Protobuf__Duration *out)
{
    char *rest = NULL;
    long long number = strtoll(text, &rest, 10);
    if (rest == text || number < 0 || number > PAUSE_MS_MAX) {
        return false;
    }
    if (strcmp(rest, "s") == 0) {
        number *= 1000;
    } else if (rest[0] != '\0' && strcmp(rest, "ms") != 0) {
        return false;
    }
    if (number > PAUSE_MS_MAX) {
        return false;
    }
    out->seconds = number / 1000;
    out->nanos = (int32_t)(number % 1000) * 1000000;
    return true;
}

static int read_settings(struct fh_session *session, Freehold__V1__MoveSettings *settings,
                         Google__Protobuf__Duration *pause)
{
    const struct fh_args *args = session->args;
    const char *max_pause = fh_args_value(args, "max-pause");
    struct fh_error error = FH_ERROR_INIT;
    long long rate = 0;
    long long duty = 0;
    if (max_pause != NULL) {
        if (!read_pause(max_pause, pause)) {
            return fh_session_fail(session, FH_EXIT_USAGE,
                                   "--max-pause is a time of up to a minute: 500ms, 2s");
        }
        settings->max_pause = pause;
    }
    if (fh_args_number(args, "rate", 0, UINT32_MAX, &rate, &error) != FH_OK ||
        fh_args_number(args, "duty", 1, 100, &duty, &error) != FH_OK) {
        return fh_session_fail(session, FH_EXIT_USAGE, "%s", fh_error_text(&error));
    }
    settings->rows_per_second_max = (uint32_t)rate;
    settings->duty_percent = (uint32_t)duty;
    return FH_EXIT_OK;
}

static int show_plan(struct fh_session *session, const Freehold__V1__MovePlan *plan)
{
    struct fh_grid grid;
    struct fh_buf bytes;
    if (session->output != FH_OUTPUT_TABLE) {
        return fh_session_write_json(session, &plan->base);
    }
    fh_grid_init(&grid, 0);
    fh_buf_init(&bytes, 64);
    fh_text_add_bytes(&bytes, plan->bytes);
    struct fh_buf from;
    fh_buf_init(&from, 256);
    fh_move_add_home(&from, plan->source_store, plan->source_tier);
    fh_grid_column(&grid, "from", false);
    fh_grid_column(&grid, fh_buf_code(&from) == FH_OK ? fh_buf_str(&from).data : "-", false);
    fh_grid_text(&grid, "to");
    fh_move_cell_home(&grid, plan->target_store, plan->target_tier);
    fh_grid_text(&grid, "rows");
    fh_cell_count(&grid, plan->rows);
    fh_grid_text(&grid, "commit records");
    fh_cell_count(&grid, plan->records);
    fh_grid_text(&grid, "size, about");
    fh_grid_cell(&grid, fh_buf_str(&bytes));
    fh_grid_text(&grid, "time, about");
    fh_cell_duration(&grid, plan->duration);
    fh_grid_text(&grid, "pause, about");
    fh_cell_duration(&grid, plan->pause_predicted);
    fh_grid_text(&grid, "would be refused");
    fh_grid_text(&grid, plan->refusal[0] != '\0' ? plan->refusal : "no");
    int exit_code = fh_cells_write(session, &grid);
    fh_buf_close(&bytes);
    fh_buf_close(&from);
    fh_grid_close(&grid);
    return exit_code == FH_EXIT_OK && plan->refusal[0] != '\0' ? FH_EXIT_REFUSED : exit_code;
}

static int answer_start(struct fh_session *session, const Freehold__V1__StartMoveResponse *response)
{
    if (response->result_case == FREEHOLD__V1__START_MOVE_RESPONSE__RESULT_PLAN) {
        return show_plan(session, response->plan);
    }
    if (response->result_case != FREEHOLD__V1__START_MOVE_RESPONSE__RESULT_MOVE) {
        return fh_session_fail(session, FH_EXIT_REFUSED,
                               "the server answered neither move nor "
                               "plan");
    }
    return fh_args_has(session->args, "watch") ? fh_move_watch(session, response->move->name)
                                               : fh_move_show(session, response->move);
}

static int start(struct fh_session *session, bool plan_only)
{
    Freehold__V1__StartMoveRequest request = FREEHOLD__V1__START_MOVE_REQUEST__INIT;
    Freehold__V1__MoveSettings settings = FREEHOLD__V1__MOVE_SETTINGS__INIT;
    Google__Protobuf__Duration pause = GOOGLE__PROTOBUF__DURATION__INIT;
    const struct fh_args *args = session->args;
    const char *to = fh_args_value(args, fh_args_has(args, "store") ? "store" : "to");
    const char *region = fh_args_value(args, "region");
    const char *reason = fh_args_value(args, "reason");
    const char *request_id = fh_args_value(args, "request-id");
    char tenant[NAME_LEN_MAX];
    char store[NAME_LEN_MAX];
    char made_id[FH_UUID_TEXT_LEN + 1];
    struct fh_client *client = NULL;
    ProtobufCMessage *response = NULL;
    if (to == NULL) {
        return fh_session_fail(session, FH_EXIT_USAGE,
                               "--to STORE is needed, the present one for another tier; see "
                               "freehold store list");
    }
    const struct fh_uuid id = fh_uuid_v7(fh_clock_realtime_us(fh_clock_system()));
    fh_uuid_format(&id, made_id);
    name_of("tenants/", args->arguments[0], tenant);
    name_of("stores/", to, store);
    request.tenant = tenant;
    request.target_store = store;
    request.settings = &settings;
    request.reason = fh_text_field(reason);
    request.request_id = fh_text_field(request_id != NULL ? request_id : made_id);
    request.validate_only = plan_only;
    request.region = fh_text_field(region);
    int exit_code = read_settings(session, &settings, &pause);
    if (exit_code == FH_EXIT_OK) {
        exit_code = fh_tier_option(session, &request.target_tier);
    }
    if (exit_code == FH_EXIT_OK) {
        exit_code = fh_session_operators(session, &client);
    }
    if (exit_code == FH_EXIT_OK) {
        exit_code =
            fh_session_invoke(session, client, SERVICE, "StartMove", &request.base, &response);
    }
    if (exit_code == FH_EXIT_OK) {
        exit_code = answer_start(session, (const Freehold__V1__StartMoveResponse *)response);
    }
    fh_client_message_free(response);
    return exit_code;
}

static int start_run(struct fh_session *session)
{
    return start(session, false);
}

static int plan_run(struct fh_session *session)
{
    return start(session, true);
}

static void move_head(struct fh_grid *grid, ProtobufCMessage *const *items, size_t count, void *arg)
{
    (void)items;
    (void)count;
    (void)arg;
    fh_grid_column(grid, "MOVE", false);
    fh_grid_column(grid, "TENANT", false);
    fh_grid_column(grid, "FROM", false);
    fh_grid_column(grid, "TO", false);
    fh_grid_column(grid, "PHASE", false);
    fh_grid_column(grid, "ROWS", true);
    fh_grid_column(grid, "PAUSE", true);
    fh_grid_column(grid, "CREATED", false);
    fh_grid_column(grid, "MESSAGE", false);
}

static void move_row(struct fh_grid *grid, const ProtobufCMessage *item, void *arg)
{
    const Freehold__V1__Move *move = (const Freehold__V1__Move *)item;
    (void)arg;
    fh_grid_text(grid, fh_name_without("moves/", move->name));
    fh_grid_text(grid, fh_name_without("tenants/", move->tenant));
    fh_move_cell_home(grid, move->source_store, move->source_tier);
    fh_move_cell_home(grid, move->target_store, move->target_tier);
    fh_grid_text(grid, fh_move_phase_text(move->phase));
    fh_cell_count(grid, move->progress != NULL ? move->progress->rows_copied : 0);
    fh_cell_duration(grid, move->progress != NULL ? move->progress->pause : NULL);
    fh_cell_time(grid, move->create_time);
    fh_grid_text(grid, move->message);
}

static int list_run(struct fh_session *session)
{
    Freehold__V1__ListMovesRequest request = FREEHOLD__V1__LIST_MOVES_REQUEST__INIT;
    struct fh_listing listing = {
        .service = SERVICE,
        .method = "ListMoves",
        .request = &request.base,
        .head = move_head,
        .row = move_row,
    };
    char tenant[NAME_LEN_MAX];
    const char *of = fh_args_value(session->args, "of");
    if (of != NULL) {
        name_of("tenants/", of, tenant);
        request.tenant = tenant;
    }
    request.unfinished = fh_args_has(session->args, "unfinished");
    const int exit_code = fh_session_operators(session, &listing.client);
    return exit_code == FH_EXIT_OK ? fh_listing_run(session, &listing) : exit_code;
}

/* Calls a method that answers a move, and shows it. */
static int call(struct fh_session *session, const char *method, const ProtobufCMessage *request)
{
    struct fh_client *client = NULL;
    ProtobufCMessage *response = NULL;
    int exit_code = fh_session_operators(session, &client);
    if (exit_code == FH_EXIT_OK) {
        exit_code = fh_session_invoke(session, client, SERVICE, method, request, &response);
    }
    if (exit_code == FH_EXIT_OK) {
        exit_code = fh_move_show(session, (const Freehold__V1__Move *)response);
    }
    fh_client_message_free(response);
    return exit_code;
}

static int show_run(struct fh_session *session)
{
    Freehold__V1__GetMoveRequest request = FREEHOLD__V1__GET_MOVE_REQUEST__INIT;
    char name[NAME_LEN_MAX];
    name_of("moves/", session->args->arguments[0], name);
    request.name = name;
    return call(session, "GetMove", &request.base);
}

static int watch_run(struct fh_session *session)
{
    char name[NAME_LEN_MAX];
    name_of("moves/", session->args->arguments[0], name);
    return fh_move_watch(session, name);
}

static int pause_run(struct fh_session *session)
{
    Freehold__V1__PauseMoveRequest request = FREEHOLD__V1__PAUSE_MOVE_REQUEST__INIT;
    char name[NAME_LEN_MAX];
    name_of("moves/", session->args->arguments[0], name);
    request.name = name;
    request.reason = fh_text_field(fh_args_value(session->args, "reason"));
    return call(session, "PauseMove", &request.base);
}

static int resume_run(struct fh_session *session)
{
    Freehold__V1__ResumeMoveRequest request = FREEHOLD__V1__RESUME_MOVE_REQUEST__INIT;
    char name[NAME_LEN_MAX];
    name_of("moves/", session->args->arguments[0], name);
    request.name = name;
    request.reason = fh_text_field(fh_args_value(session->args, "reason"));
    return call(session, "ResumeMove", &request.base);
}

static int cancel_run(struct fh_session *session)
{
    Freehold__V1__CancelMoveRequest request = FREEHOLD__V1__CANCEL_MOVE_REQUEST__INIT;
    char name[NAME_LEN_MAX];
    name_of("moves/", session->args->arguments[0], name);
    request.name = name;
    request.reason = fh_text_field(fh_args_value(session->args, "reason"));
    return call(session, "CancelMove", &request.base);
}

static void event_row(struct fh_grid *grid, const ProtobufCMessage *item, void *arg)
{
    const Freehold__V1__MoveEvent *event = (const Freehold__V1__MoveEvent *)item;
    (void)arg;
    fh_cell_event_row(grid, event->time, event->action, event->actor, event->reason, event->detail);
}

static int events_run(struct fh_session *session)
{
    Freehold__V1__ListMoveEventsRequest request = FREEHOLD__V1__LIST_MOVE_EVENTS_REQUEST__INIT;
    struct fh_listing listing = {
        .service = SERVICE,
        .method = "ListMoveEvents",
        .request = &request.base,
        .head = fh_cell_event_head,
        .row = event_row,
    };
    char name[NAME_LEN_MAX];
    name_of("moves/", session->args->arguments[0], name);
    request.name = name;
    const int exit_code = fh_session_operators(session, &listing.client);
    return exit_code == FH_EXIT_OK ? fh_listing_run(session, &listing) : exit_code;
}

#define SETTINGS_OPTIONS                                                                    \
    {"to", 0, "STORE", "where it is to live"}, {"store", 0, "STORE", "the same as --to"},   \
        {"tier", 0, "TIER", "its home there: shared (default), schema or database"},        \
        {"region", 0, "LABEL", "refuse unless the store has this label"},                   \
        {"max-pause", 0, "TIME", "the longest write pause: 500ms (default), 2s"},           \
        {"rate", 0, "N", "copy at most so many rows a second (default: no limit)"},         \
    {                                                                                       \
        "duty", 0, "PERCENT", "share of time copying may keep the stores busy (default 50)" \
    }

static const struct fh_option start_options[] = {
    SETTINGS_OPTIONS,
    {"reason", 0, "TEXT", "for the operators' record"},
    {"request-id", 0, "ID", "makes repeating the command safe (default: a new one)"},
    {"watch", 'w', NULL, "stay and tell how far it is"},
    {0},
};
static const struct fh_option plan_options[] = {
    SETTINGS_OPTIONS,
    {0},
};
static const struct fh_option list_options[] = {
    FH_LISTING_OPTIONS,
    {"of", 0, "SLUG|UUID", "only this tenant's"},
    {"unfinished", 0, NULL, "only those under way"},
    {0},
};
static const struct fh_option page_options[] = {
    FH_LISTING_OPTIONS,
    {0},
};
static const struct fh_option reason_options[] = {
    {"reason", 0, "TEXT", "for the operators' record"},
    {0},
};

const struct fh_command fh_move_commands[] = {
    {"move", "start", "TENANT", "Move a live tenant to another store or tier",
     "It is read and written throughout; nothing is lost, and no request fails because of it.",
     start_options, 1, 1, start_run},
    {"move", "plan", "TENANT", "Tell what a move would take; change nothing",
     "Exit code 1 when it would be refused.", plan_options, 1, 1, plan_run},
    {"move", "list", "", "List moves, newest first", NULL, list_options, 0, 0, list_run},
    {"move", "show", "MOVE", "Show a move", NULL, NULL, 1, 1, show_run},
    {"move", "watch", "MOVE", "Tell how far a move is, until it has ended",
     "Exit code 1 when it was cancelled or failed.", NULL, 1, 1, watch_run},
    {"move", "pause", "MOVE", "Let a move rest; the tenant stays where it is",
     "Before the switch only.", reason_options, 1, 1, pause_run},
    {"move", "resume", "MOVE", "Let a paused move go on", NULL, reason_options, 1, 1, resume_run},
    {"move", "cancel", "MOVE", "Call a move off for good",
     "Before the switch only. What was copied is erased; the tenant stays where it is.",
     reason_options, 1, 1, cancel_run},
    {"move", "events", "MOVE", "List every step of a move", NULL, page_options, 1, 1, events_run},
    {0},
};
