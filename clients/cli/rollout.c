/* `freehold schema rollout ...`: SchemaService, on the operators' listener. */
#include "clients/cli/rollout.h"

#include <stdio.h>
#include <string.h>

#include "clients/cli/cells.h"
#include "clients/cli/commands.h"
#include "clients/cli/listing.h"
#include "clients/cli/text.h"

#define SERVICE (&freehold__v1__schema_service__descriptor)
#define NAME_LEN_MAX 128
#define NEWEST "-"

/* "rollouts/-" when none is named. */
static void name_of(const struct fh_session *session, char out[NAME_LEN_MAX])
{
    const struct fh_args *args = session->args;
    const char *given = args->argument_count > 1 ? args->arguments[1] : NEWEST;
    (void)snprintf(out, NAME_LEN_MAX, "rollouts/%.100s", fh_name_without("rollouts/", given));
}

static void rollout_head(struct fh_grid *grid, ProtobufCMessage *const *items, size_t count,
                         void *arg)
{
    (void)items;
    (void)count;
    (void)arg;
    fh_grid_column(grid, "ROLLOUT", false);
    fh_grid_column(grid, "VERSION", true);
    fh_grid_column(grid, "PHASE", false);
    fh_grid_column(grid, "HOMES", true);
    fh_grid_column(grid, "DONE", true);
    fh_grid_column(grid, "FAILED", true);
    fh_grid_column(grid, "CREATED", false);
    fh_grid_column(grid, "MESSAGE", false);
}

static void rollout_row(struct fh_grid *grid, const ProtobufCMessage *item, void *arg)
{
    const Freehold__V1__Rollout *rollout = (const Freehold__V1__Rollout *)item;
    const Freehold__V1__RolloutProgress *progress = rollout->progress;
    (void)arg;
    fh_grid_text(grid, fh_name_without("rollouts/", rollout->name));
    fh_cell_count(grid, rollout->version);
    fh_grid_text(grid, fh_rollout_phase_text(rollout));
    fh_cell_count(grid, progress != NULL ? progress->homes_total : 0);
    fh_cell_count(grid, progress != NULL ? progress->homes_done : 0);
    fh_cell_count(grid, progress != NULL ? progress->homes_failed : 0);
    fh_cell_time(grid, rollout->create_time);
    fh_grid_text(grid, rollout->message);
}

static int list_run(struct fh_session *session)
{
    Freehold__V1__ListRolloutsRequest request = FREEHOLD__V1__LIST_ROLLOUTS_REQUEST__INIT;
    struct fh_listing listing = {
        .service = SERVICE,
        .method = "ListRollouts",
        .request = &request.base,
        .head = rollout_head,
        .row = rollout_row,
    };
    const int exit_code = fh_session_operators(session, &listing.client);
    return exit_code == FH_EXIT_OK ? fh_listing_run(session, &listing) : exit_code;
}

static void home_head(struct fh_grid *grid, ProtobufCMessage *const *items, size_t count, void *arg)
{
    (void)items;
    (void)count;
    (void)arg;
    fh_grid_column(grid, "STORE", false);
    fh_grid_column(grid, "TIER", false);
    fh_grid_column(grid, "TENANT", false);
    fh_grid_column(grid, "STATE", false);
    fh_grid_column(grid, "VERSION", true);
    fh_grid_column(grid, "TRIES", true);
    fh_grid_column(grid, "MESSAGE", false);
}

static const char *state_text(Freehold__V1__RolloutHomeState state)
{
    static const char *const names[] = {"unknown", "pending", "applying", "waiting",
                                        "done",    "failed",  "gone"};
    return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state] : names[0];
}

static void home_row(struct fh_grid *grid, const ProtobufCMessage *item, void *arg)
{
    const Freehold__V1__RolloutHome *home = (const Freehold__V1__RolloutHome *)item;
    (void)arg;
    fh_grid_text(grid, fh_name_without("stores/", home->store));
    fh_grid_text(grid, home->tier);
    fh_grid_text(grid, fh_name_without("tenants/", home->tenant));
    fh_grid_text(grid, state_text(home->state));
    fh_cell_count(grid, home->version);
    fh_cell_count(grid, home->tries);
    fh_grid_text(grid, home->message);
}

static int homes_run(struct fh_session *session)
{
    Freehold__V1__ListRolloutHomesRequest request = FREEHOLD__V1__LIST_ROLLOUT_HOMES_REQUEST__INIT;
    Freehold__V1__RolloutHomeState states[2];
    struct fh_listing listing = {
        .service = SERVICE,
        .method = "ListRolloutHomes",
        .request = &request.base,
        .head = home_head,
        .row = home_row,
    };
    char name[NAME_LEN_MAX];
    name_of(session, name);
    request.name = name;
    request.states = states;
    if (fh_args_has(session->args, "failed")) {
        states[request.n_states++] = FREEHOLD__V1__ROLLOUT_HOME_STATE__ROLLOUT_HOME_STATE_FAILED;
    }
    if (fh_args_has(session->args, "waiting")) {
        states[request.n_states++] = FREEHOLD__V1__ROLLOUT_HOME_STATE__ROLLOUT_HOME_STATE_WAITING;
    }
    const int exit_code = fh_session_operators(session, &listing.client);
    return exit_code == FH_EXIT_OK ? fh_listing_run(session, &listing) : exit_code;
}

static void event_row(struct fh_grid *grid, const ProtobufCMessage *item, void *arg)
{
    const Freehold__V1__RolloutEvent *event = (const Freehold__V1__RolloutEvent *)item;
    (void)arg;
    fh_cell_event_row(grid, event->time, event->action, event->actor, event->reason, event->detail);
}

static int events_run(struct fh_session *session)
{
    Freehold__V1__ListRolloutEventsRequest request =
        FREEHOLD__V1__LIST_ROLLOUT_EVENTS_REQUEST__INIT;
    struct fh_listing listing = {
        .service = SERVICE,
        .method = "ListRolloutEvents",
        .request = &request.base,
        .head = fh_cell_event_head,
        .row = event_row,
    };
    char name[NAME_LEN_MAX];
    name_of(session, name);
    request.name = name;
    const int exit_code = fh_session_operators(session, &listing.client);
    return exit_code == FH_EXIT_OK ? fh_listing_run(session, &listing) : exit_code;
}

/* Calls a method that answers a rollout, and shows it. */
static int call(struct fh_session *session, const char *method, const ProtobufCMessage *request)
{
    struct fh_client *client = NULL;
    ProtobufCMessage *response = NULL;
    int exit_code = fh_session_operators(session, &client);
    if (exit_code == FH_EXIT_OK) {
        exit_code = fh_session_invoke(session, client, SERVICE, method, request, &response);
    }
    if (exit_code == FH_EXIT_OK) {
        exit_code = fh_rollout_show(session, (const Freehold__V1__Rollout *)response);
    }
    fh_client_message_free(response);
    return exit_code;
}

static int show_run(struct fh_session *session)
{
    Freehold__V1__GetRolloutRequest request = FREEHOLD__V1__GET_ROLLOUT_REQUEST__INIT;
    char name[NAME_LEN_MAX];
    name_of(session, name);
    request.name = name;
    return call(session, "GetRollout", &request.base);
}

static int watch_run(struct fh_session *session)
{
    char name[NAME_LEN_MAX];
    name_of(session, name);
    return fh_rollout_watch(session, name);
}

static int pause_run(struct fh_session *session)
{
    Freehold__V1__PauseRolloutRequest request = FREEHOLD__V1__PAUSE_ROLLOUT_REQUEST__INIT;
    char name[NAME_LEN_MAX];
    name_of(session, name);
    request.name = name;
    request.reason = fh_text_field(fh_args_value(session->args, "reason"));
    return call(session, "PauseRollout", &request.base);
}

static int resume_run(struct fh_session *session)
{
    Freehold__V1__ResumeRolloutRequest request = FREEHOLD__V1__RESUME_ROLLOUT_REQUEST__INIT;
    char name[NAME_LEN_MAX];
    name_of(session, name);
    request.name = name;
    request.reason = fh_text_field(fh_args_value(session->args, "reason"));
    return call(session, "ResumeRollout", &request.base);
}

static int cancel_run(struct fh_session *session)
{
    Freehold__V1__CancelRolloutRequest request = FREEHOLD__V1__CANCEL_ROLLOUT_REQUEST__INIT;
    char name[NAME_LEN_MAX];
    name_of(session, name);
    request.name = name;
    request.reason = fh_text_field(fh_args_value(session->args, "reason"));
    return call(session, "CancelRollout", &request.base);
}

const struct fh_option fh_rollout_options[] = {
    FH_LISTING_OPTIONS,
    {"failed", 0, NULL, "homes: those that failed"},
    {"waiting", 0, NULL, "homes: those that wait"},
    {"reason", 0, "TEXT", "pause, resume, cancel: for the operators' record"},
    {0},
};

int fh_rollout_run(struct fh_session *session)
{
    static const struct {
        const char *name;
        int (*run)(struct fh_session *session);
    } actions[] = {
        {"list", list_run},   {"show", show_run},   {"homes", homes_run},   {"events", events_run},
        {"watch", watch_run}, {"pause", pause_run}, {"resume", resume_run}, {"cancel", cancel_run},
    };
    const char *action = session->args->arguments[0];
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(actions[i].name, action) == 0) {
            return actions[i].run(session);
        }
    }
    return fh_session_fail(session, FH_EXIT_USAGE,
                           "no action '%s'; there are list, show, homes, events, watch, pause, "
                           "resume and cancel",
                           action);
}
