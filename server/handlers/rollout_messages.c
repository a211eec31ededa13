/* Happy path: field by field. Failures: FH_NOMEM, and settings out of bounds. */
#include "server/handlers/rollout_messages.h"

#include <string.h>

#include "server/handlers/operator_events.h"
#include "server/handlers/parts.h"
#include "server/handlers/values.h"

#define PREFIX "rollouts/"
#define TENANT_PREFIX "tenants/"
#define SECONDS_MAX 3600

_Static_assert((int)FH_ROLLOUT_PLANNED == (int)FREEHOLD__V1__ROLLOUT_PHASE__ROLLOUT_PHASE_PLANNED &&
                   (int)FH_ROLLOUT_FAILED == (int)FREEHOLD__V1__ROLLOUT_PHASE__ROLLOUT_PHASE_FAILED,
               "phases have the same numbers in the catalog and in the API");
_Static_assert((int)FH_ROLLOUT_WISH_CANCEL == (int)FREEHOLD__V1__ROLLOUT_WISH__ROLLOUT_WISH_CANCEL,
               "wishes have the same numbers in the catalog and in the API");
_Static_assert((int)FH_ROLLOUT_HOME_GONE ==
                   (int)FREEHOLD__V1__ROLLOUT_HOME_STATE__ROLLOUT_HOME_STATE_GONE,
               "states have the same numbers in the catalog and in the API");

static enum fh_code settings_to_proto(const struct fh_rollout_settings *in, struct fh_arena *arena,
                                      Freehold__V1__RolloutSettings **out)
{
    Freehold__V1__RolloutSettings *settings = FH_ARENA_NEW(arena, Freehold__V1__RolloutSettings);
    if (settings == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__rollout_settings__init(settings);
    settings->canary_percent = in->canary_percent;
    settings->stop_after_canary = in->stop_after_canary;
    settings->concurrency = in->concurrency;
    settings->failures_max = in->failures_max;
    settings->lock_timeout = fh_part_duration((int64_t)in->lock_timeout_ms * 1000, arena);
    settings->canary_tenants = FH_ARENA_ARRAY(arena, char *, in->canary_count);
    if (settings->lock_timeout == NULL || settings->canary_tenants == NULL) {
        return FH_NOMEM;
    }
    for (size_t i = 0; i < in->canary_count; i++) {
        settings->canary_tenants[i] = fh_part_name(arena, TENANT_PREFIX, &in->canaries[i]);
        if (settings->canary_tenants[i] == NULL) {
            return FH_NOMEM;
        }
        settings->n_canary_tenants = i + 1;
    }
    *out = settings;
    return FH_OK;
}

static enum fh_code progress_to_proto(const struct fh_rollout_progress *in, struct fh_arena *arena,
                                      Freehold__V1__RolloutProgress **out)
{
    Freehold__V1__RolloutProgress *progress = FH_ARENA_NEW(arena, Freehold__V1__RolloutProgress);
    if (progress == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__rollout_progress__init(progress);
    progress->homes_total = in->homes_total;
    progress->homes_done = in->homes_done;
    progress->homes_failed = in->homes_failed;
    progress->homes_waiting = in->homes_waiting;
    progress->homes_per_second = (double)in->homes_per_hour / 3600;
    progress->at_rest = in->at_rest != 0;
    if (in->seconds_left > 0) {
        progress->time_left = fh_part_duration((int64_t)in->seconds_left * 1000000, arena);
        if (progress->time_left == NULL) {
            return FH_NOMEM;
        }
    }
    *out = progress;
    return FH_OK;
}

enum fh_code fh_rollout_to_proto(const struct fh_rollout *in, struct fh_arena *arena,
                                 Freehold__V1__Rollout **out)
{
    Freehold__V1__Rollout *rollout = FH_ARENA_NEW(arena, Freehold__V1__Rollout);
    if (rollout == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__rollout__init(rollout);
    rollout->name = fh_part_name(arena, PREFIX, &in->uuid);
    rollout->version = in->version;
    rollout->phase = (Freehold__V1__RolloutPhase)in->phase;
    rollout->wish = (Freehold__V1__RolloutWish)in->wish;
    rollout->message = fh_part_text(arena, in->message);
    rollout->actor = fh_part_text(arena, in->actor);
    rollout->reason = fh_part_text(arena, in->reason);
    rollout->create_time = fh_timestamp_to_proto(in->created_at_us, arena);
    rollout->update_time = fh_timestamp_to_proto(in->updated_at_us, arena);
    if (rollout->name == NULL || rollout->message == NULL || rollout->actor == NULL ||
        rollout->reason == NULL || rollout->create_time == NULL || rollout->update_time == NULL ||
        settings_to_proto(&in->settings, arena, &rollout->settings) != FH_OK ||
        progress_to_proto(&in->progress, arena, &rollout->progress) != FH_OK) {
        return FH_NOMEM;
    }
    if (in->finished_at_us != 0) {
        rollout->finish_time = fh_timestamp_to_proto(in->finished_at_us, arena);
        if (rollout->finish_time == NULL) {
            return FH_NOMEM;
        }
    }
    *out = rollout;
    return FH_OK;
}

enum fh_code fh_rollout_home_to_proto(const struct fh_rollout_home *in, struct fh_arena *arena,
                                      Freehold__V1__RolloutHome **out)
{
    Freehold__V1__RolloutHome *home = FH_ARENA_NEW(arena, Freehold__V1__RolloutHome);
    if (home == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__rollout_home__init(home);
    home->store = fh_arena_printf(arena, "stores/%s", in->store);
    home->tier = (char *)(uintptr_t)fh_tier_name(in->home.tier);
    if (!fh_uuid_is_nil(&in->tenant)) {
        home->tenant = fh_part_name(arena, TENANT_PREFIX, &in->tenant);
    }
    home->state = (Freehold__V1__RolloutHomeState)in->state;
    home->version = in->version;
    home->canary = in->canary;
    home->tries = in->tries;
    home->message = fh_part_text(arena, in->message);
    home->update_time = fh_timestamp_to_proto(in->updated_at_us, arena);
    *out = home;
    return home->store != NULL && home->tenant != NULL && home->message != NULL &&
                   home->update_time != NULL
               ? FH_OK
               : FH_NOMEM;
}

enum fh_code fh_rollout_event_to_proto(const struct fh_operator_event *in, struct fh_arena *arena,
                                       Freehold__V1__RolloutEvent **out)
{
    Freehold__V1__RolloutEvent *event = FH_ARENA_NEW(arena, Freehold__V1__RolloutEvent);
    if (event == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__rollout_event__init(event);
    *out = event;
    return fh_event_parts(in, arena, &event->time, &event->actor, &event->action, &event->reason,
                          &event->detail);
}

static enum fh_code canaries_from_proto(const Freehold__V1__RolloutSettings *in,
                                        struct fh_rollout_settings *out, struct fh_error *error)
{
    if (in->n_canary_tenants > FH_ROLLOUT_CANARIES_MAX) {
        return fh_error_field(error, FH_INVALID, "rollout.canary_tenants",
                              "at most %d tenants can be named", FH_ROLLOUT_CANARIES_MAX);
    }
    for (size_t i = 0; i < in->n_canary_tenants; i++) {
        const char *name = in->canary_tenants[i];
        if (strncmp(name, TENANT_PREFIX, strlen(TENANT_PREFIX)) != 0 ||
            !fh_uuid_parse(fh_str_of(name + strlen(TENANT_PREFIX)), &out->canaries[i])) {
            return fh_error_field(error, FH_INVALID, "rollout.canary_tenants",
                                  "canary_tenants[%zu] must be tenants/{uuid}", i);
        }
    }
    out->canary_count = in->n_canary_tenants;
    return FH_OK;
}

enum fh_code fh_rollout_settings_from_proto(const Freehold__V1__RolloutSettings *in,
                                            struct fh_rollout_settings *out, struct fh_error *error)
{
    fh_rollout_settings_init(out);
    if (in == NULL) {
        return FH_OK;
    }
    if (in->concurrency > 0) {
        out->concurrency = in->concurrency;
    }
    out->canary_percent = in->canary_percent;
    out->stop_after_canary = in->stop_after_canary != 0;
    out->failures_max = in->failures_max;
    if (in->lock_timeout != NULL) {
        int64_t ms = in->lock_timeout->seconds >= 0 && in->lock_timeout->seconds <= SECONDS_MAX
                         ? in->lock_timeout->seconds * 1000 + in->lock_timeout->nanos / 1000000
                         : 0;
        if (ms < 1 || ms > FH_ROLLOUT_LOCK_TIMEOUT_MS_MAX) {
            return fh_error_field(error, FH_INVALID, "rollout.lock_timeout",
                                  "a lock is waited for for 1 ms to 60 s");
        }
        out->lock_timeout_ms = (uint32_t)ms;
    }
    return canaries_from_proto(in, out, error);
}

enum fh_code fh_rollout_name_parse(const char *name, struct fh_uuid *out, struct fh_error *error)
{
    *out = (struct fh_uuid){{0}};
    if (strcmp(name, PREFIX "-") == 0) {
        return FH_OK;
    }
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 ||
        !fh_uuid_parse(fh_str_of(name + strlen(PREFIX)), out) || fh_uuid_is_nil(out)) {
        return fh_error_field(error, FH_INVALID, "name",
                              "name must be rollouts/{uuid}, or rollouts/- for the newest");
    }
    return FH_OK;
}
