/* Happy path: field by field. Failures: FH_NOMEM, and settings out of bounds. */
#include "server/handlers/move_messages.h"

#include "server/handlers/operator_events.h"
#include "server/handlers/parts.h"
#include "server/handlers/values.h"

#define PAUSE_US_MIN 1000
#define PAUSE_US_MAX (60LL * 1000000)

_Static_assert((int)FH_MOVE_PLANNED == (int)FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_PLANNED &&
                   (int)FH_MOVE_SETTLED == (int)FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_SETTLED &&
                   (int)FH_MOVE_FAILED == (int)FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_FAILED,
               "phases have the same numbers in the catalog and in the API");
_Static_assert((int)FH_MOVE_WISH_CANCEL == (int)FREEHOLD__V1__MOVE_WISH__MOVE_WISH_CANCEL,
               "wishes have the same numbers in the catalog and in the API");

static bool is_copying(enum fh_move_phase phase)
{
    return phase == FH_MOVE_COPYING || phase == FH_MOVE_CATCHING_UP || phase == FH_MOVE_READY;
}

/* What is left to copy at the rate so far; comparing both sides takes about half as long again. */
static int64_t time_left_us(const struct fh_move *move)
{
    const struct fh_move_progress *progress = &move->progress;
    if (!is_copying(move->phase) || progress->rows_copied == 0 || progress->copy_us <= 0) {
        return -1;
    }
    double us_per_row = (double)progress->copy_us / (double)progress->rows_copied;
    uint64_t to_copy = progress->rows_total > progress->rows_copied
                           ? progress->rows_total - progress->rows_copied
                           : 0;
    uint64_t to_verify = progress->rows_total > progress->rows_verified
                             ? progress->rows_total - progress->rows_verified
                             : 0;
    return (int64_t)(us_per_row * ((double)to_copy + (double)to_verify / 2));
}

static enum fh_code progress_to_proto(const struct fh_move *move, struct fh_arena *arena,
                                      Freehold__V1__MoveProgress **out)
{
    const struct fh_move_progress *in = &move->progress;
    Freehold__V1__MoveProgress *progress = FH_ARENA_NEW(arena, Freehold__V1__MoveProgress);
    if (progress == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__move_progress__init(progress);
    progress->rows_total = in->rows_total;
    progress->bytes_total = in->bytes_total;
    progress->rows_copied = in->rows_copied;
    progress->records_copied = in->records_copied;
    progress->rows_applied = in->rows_applied;
    progress->rows_verified = in->rows_verified;
    progress->rounds = in->rounds;
    progress->lag_records = in->lag_records;
    progress->switches_tried = in->switches_tried;
    if (in->copy_us > 0) {
        progress->rows_per_second = (double)in->rows_copied * 1e6 / (double)in->copy_us;
    }
    progress->pause_predicted = fh_part_duration(in->pause_predicted_us, arena);
    if (progress->pause_predicted == NULL) {
        return FH_NOMEM;
    }
    int64_t left_us = time_left_us(move);
    if (left_us >= 0 && (progress->time_left = fh_part_duration(left_us, arena)) == NULL) {
        return FH_NOMEM;
    }
    if (move->phase == FH_MOVE_SETTLED || move->phase == FH_MOVE_CLEANING ||
        move->phase == FH_MOVE_DONE) {
        progress->pause = fh_part_duration(in->pause_us, arena);
        progress->read_pause = fh_part_duration(in->read_pause_us, arena);
        if (progress->pause == NULL || progress->read_pause == NULL) {
            return FH_NOMEM;
        }
    }
    *out = progress;
    return FH_OK;
}

static enum fh_code settings_to_proto(const struct fh_move_settings *in, struct fh_arena *arena,
                                      Freehold__V1__MoveSettings **out)
{
    Freehold__V1__MoveSettings *settings = FH_ARENA_NEW(arena, Freehold__V1__MoveSettings);
    if (settings == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__move_settings__init(settings);
    settings->max_pause = fh_part_duration(in->max_pause_us, arena);
    settings->rows_per_second_max = in->rows_per_second_max;
    settings->duty_percent = in->duty_percent;
    *out = settings;
    return settings->max_pause != NULL ? FH_OK : FH_NOMEM;
}

static enum fh_code texts_to_proto(const struct fh_move *in, struct fh_arena *arena,
                                   Freehold__V1__Move *move)
{
    move->name = fh_part_name(arena, "moves/", &in->uuid);
    move->tenant = fh_part_name(arena, "tenants/", &in->tenant);
    move->source_store = fh_arena_printf(arena, "stores/%s", in->source.store);
    move->target_store = fh_arena_printf(arena, "stores/%s", in->target_store);
    move->message = fh_part_text(arena, in->message);
    move->actor = fh_part_text(arena, in->actor);
    move->reason = fh_part_text(arena, in->reason);
    move->create_time = fh_timestamp_to_proto(in->created_at_us, arena);
    move->update_time = fh_timestamp_to_proto(in->updated_at_us, arena);
    if (in->finished_at_us != 0 &&
        (move->finish_time = fh_timestamp_to_proto(in->finished_at_us, arena)) == NULL) {
        return FH_NOMEM;
    }
    return move->name != NULL && move->tenant != NULL && move->source_store != NULL &&
                   move->target_store != NULL && move->message != NULL && move->actor != NULL &&
                   move->reason != NULL && move->create_time != NULL && move->update_time != NULL
               ? FH_OK
               : FH_NOMEM;
}

enum fh_code fh_move_to_proto(const struct fh_move *in, struct fh_arena *arena,
                              Freehold__V1__Move **out)
{
    Freehold__V1__Move *move = FH_ARENA_NEW(arena, Freehold__V1__Move);
    if (move == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__move__init(move);
    move->phase = (Freehold__V1__MovePhase)in->phase;
    move->wish = (Freehold__V1__MoveWish)in->wish;
    move->source_tier = (Freehold__V1__Placement__Tier)in->source.home.tier;
    move->target_tier = (Freehold__V1__Placement__Tier)in->target_home.tier;
    move->source_epoch = in->source.epoch;
    move->generation = in->generation;
    enum fh_code code = texts_to_proto(in, arena, move);
    if (code == FH_OK) {
        code = settings_to_proto(&in->settings, arena, &move->settings);
    }
    if (code == FH_OK) {
        code = progress_to_proto(in, arena, &move->progress);
    }
    *out = move;
    return code;
}

enum fh_code fh_move_plan_to_proto(const struct fh_move_plan *in, struct fh_arena *arena,
                                   Freehold__V1__MovePlan **out)
{
    Freehold__V1__MovePlan *plan = FH_ARENA_NEW(arena, Freehold__V1__MovePlan);
    if (plan == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__move_plan__init(plan);
    plan->source_store = fh_arena_printf(arena, "stores/%s", in->source.store);
    plan->source_tier = (Freehold__V1__Placement__Tier)in->source.home.tier;
    plan->target_store = fh_arena_printf(arena, "stores/%s", in->target_store);
    plan->target_tier = (Freehold__V1__Placement__Tier)in->target_home.tier;
    plan->rows = in->rows;
    plan->records = in->records;
    plan->bytes = in->bytes;
    plan->duration = fh_part_duration(in->duration_us, arena);
    plan->pause_predicted = fh_part_duration(in->pause_predicted_us, arena);
    plan->refusal = fh_part_text(arena, fh_str_of(in->refusal != NULL ? in->refusal : ""));
    *out = plan;
    return plan->source_store != NULL && plan->target_store != NULL && plan->duration != NULL &&
                   plan->pause_predicted != NULL && plan->refusal != NULL
               ? FH_OK
               : FH_NOMEM;
}

enum fh_code fh_move_event_to_proto(const struct fh_operator_event *in, struct fh_arena *arena,
                                    Freehold__V1__MoveEvent **out)
{
    Freehold__V1__MoveEvent *event = FH_ARENA_NEW(arena, Freehold__V1__MoveEvent);
    if (event == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__move_event__init(event);
    *out = event;
    return fh_event_parts(in, arena, &event->time, &event->actor, &event->action, &event->reason,
                          &event->detail);
}

enum fh_code fh_move_settings_from_proto(const Freehold__V1__MoveSettings *in,
                                         struct fh_move_settings *out, struct fh_error *error)
{
    fh_move_settings_init(out);
    if (in == NULL) {
        return FH_OK;
    }
    if (in->max_pause != NULL) {
        const Google__Protobuf__Duration *pause = in->max_pause;
        if (pause->seconds < 0 || pause->seconds > 60 || pause->nanos < 0 ||
            pause->nanos > 999999999) {
            out->max_pause_us = 0;
        } else {
            out->max_pause_us = pause->seconds * 1000000 + pause->nanos / 1000;
        }
        if (out->max_pause_us < PAUSE_US_MIN || out->max_pause_us > PAUSE_US_MAX) {
            return fh_error_field(error, FH_INVALID, "settings.max_pause",
                                  "settings.max_pause is 1 ms to 60 s");
        }
    }
    out->rows_per_second_max = in->rows_per_second_max;
    if (in->duty_percent > 100) {
        return fh_error_field(error, FH_INVALID, "settings.duty_percent",
                              "settings.duty_percent is 1 to 100, or 0 for the default");
    }
    if (in->duty_percent != 0) {
        out->duty_percent = in->duty_percent;
    }
    return FH_OK;
}

enum fh_code fh_move_name_parse(const char *name, struct fh_uuid *out, struct fh_error *error)
{
    struct fh_str rest = fh_str_of(name);
    struct fh_str prefix = FH_STR("moves/");
    if (fh_str_starts_with(rest, prefix)) {
        rest.data += prefix.len;
        rest.len -= prefix.len;
        if (fh_uuid_parse(rest, out) && !fh_uuid_is_nil(out)) {
            return FH_OK;
        }
    }
    return fh_error_field(error, FH_INVALID, "name", "name must be moves/{uuid}");
}
