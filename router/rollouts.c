/* Happy path: tables of names, and JSON of flat figures.
 *
 * Failures: memory, and texts that are not what was written once.
 */
#include "router/rollouts.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

static const struct {
    const char *name;
    bool finished;
} phases[] = {[FH_ROLLOUT_NONE] = {"none", false},
#define PHASE_ROW(symbol, name, finished) [FH_ROLLOUT_##symbol] = {name, finished},
              FH_ROLLOUT_PHASES(PHASE_ROW)
#undef PHASE_ROW
};
#define PHASE_COUNT (sizeof(phases) / sizeof(phases[0]))

const char *fh_rollout_phase_name(enum fh_rollout_phase phase)
{
    return (size_t)phase < PHASE_COUNT ? phases[phase].name : "unknown";
}

enum fh_rollout_phase fh_rollout_phase_of(struct fh_str name)
{
    for (size_t i = 1; i < PHASE_COUNT; i++) {
        if (fh_str_eq(name, fh_str_of(phases[i].name))) {
            return (enum fh_rollout_phase)i;
        }
    }
    return FH_ROLLOUT_NONE;
}

bool fh_rollout_is_finished(enum fh_rollout_phase phase)
{
    return (size_t)phase < PHASE_COUNT && phases[phase].finished;
}

bool fh_rollout_may_follow(enum fh_rollout_phase from, enum fh_rollout_phase to)
{
    if (fh_rollout_is_finished(from) || from == FH_ROLLOUT_NONE) {
        return false;
    }
    switch (to) {
    case FH_ROLLOUT_CANARY:
        return from == FH_ROLLOUT_PLANNED;
    case FH_ROLLOUT_ROLLING:
        return from == FH_ROLLOUT_PLANNED || from == FH_ROLLOUT_CANARY;
    case FH_ROLLOUT_DONE:
        return from == FH_ROLLOUT_ROLLING;
    case FH_ROLLOUT_CANCELLED:
    case FH_ROLLOUT_FAILED:
        return true;
    default:
        return false;
    }
}

void fh_rollout_settings_init(struct fh_rollout_settings *settings)
{
    *settings = (struct fh_rollout_settings){.concurrency = 4, .lock_timeout_ms = 1000};
}

static const char *const home_states[] = {
    [FH_ROLLOUT_HOME_PENDING] = "pending", [FH_ROLLOUT_HOME_APPLYING] = "applying",
    [FH_ROLLOUT_HOME_WAITING] = "waiting", [FH_ROLLOUT_HOME_DONE] = "done",
    [FH_ROLLOUT_HOME_FAILED] = "failed",   [FH_ROLLOUT_HOME_GONE] = "gone",
};
#define HOME_STATE_COUNT (sizeof(home_states) / sizeof(home_states[0]))

const char *fh_rollout_home_state_name(enum fh_rollout_home_state state)
{
    return (size_t)state < HOME_STATE_COUNT && home_states[state] != NULL ? home_states[state]
                                                                          : "unknown";
}

bool fh_rollout_home_state_of(struct fh_str name, enum fh_rollout_home_state *out)
{
    for (size_t i = 1; i < HOME_STATE_COUNT; i++) {
        if (fh_str_eq(name, fh_str_of(home_states[i]))) {
            *out = (enum fh_rollout_home_state)i;
            return true;
        }
    }
    return false;
}

#define FIGURES(FIGURE)    \
    FIGURE(homes_total)    \
    FIGURE(homes_done)     \
    FIGURE(homes_failed)   \
    FIGURE(homes_waiting)  \
    FIGURE(passes)         \
    FIGURE(homes_per_hour) \
    FIGURE(seconds_left)   \
    FIGURE(at_rest)

enum fh_code fh_rollout_progress_encode(const struct fh_rollout_progress *progress,
                                        struct fh_arena *arena, struct fh_str *out)
{
    char text[FH_ROLLOUT_PROGRESS_TEXT_MAX];
    size_t len = 0;
#define FIGURE_PRINT(name)                                                          \
    len += (size_t)snprintf(text + len, sizeof(text) - len, "%c\"" #name "\":%lld", \
                            len == 0 ? '{' : ',', (long long)progress->name);
    FIGURES(FIGURE_PRINT)
#undef FIGURE_PRINT
    (void)snprintf(text + len, sizeof(text) - len, "}");
    return fh_arena_str(arena, fh_str_of(text), out);
}

static enum fh_code parse(struct fh_str text, json_t **out)
{
    const char *why = NULL;
    enum fh_code code = fh_json_parse_object(text, out, &why);
    return code == FH_OK || code == FH_NOMEM ? code : FH_CORRUPT;
}

enum fh_code fh_rollout_progress_decode(struct fh_str text, struct fh_rollout_progress *out)
{
    json_t *object = NULL;
    enum fh_code code = parse(text, &object);
    if (code != FH_OK) {
        return code;
    }
    *out = (struct fh_rollout_progress){0};
#define FIGURE_READ(name) out->name = (uint64_t)json_integer_value(json_object_get(object, #name));
    FIGURES(FIGURE_READ)
#undef FIGURE_READ
    json_decref(object);
    return FH_OK;
}

/* NULL when memory runs out. */
static json_t *canaries_to_json(const struct fh_rollout_settings *settings)
{
    json_t *canaries = json_array();
    for (size_t i = 0; canaries != NULL && i < settings->canary_count; i++) {
        char text[FH_UUID_TEXT_LEN + 1];
        fh_uuid_format(&settings->canaries[i], text);
        if (json_array_append_new(canaries, json_string(text)) != 0) {
            json_decref(canaries);
            canaries = NULL;
        }
    }
    return canaries;
}

enum fh_code fh_rollout_settings_encode(const struct fh_rollout_settings *settings,
                                        struct fh_arena *arena, struct fh_str *out)
{
    json_t *canaries = canaries_to_json(settings);
    if (canaries == NULL) {
        return FH_NOMEM;
    }
    json_t *object = json_pack(
        "{s:I,s:o,s:b,s:I,s:I,s:I}", "canary_percent", (json_int_t)settings->canary_percent,
        "canaries", canaries, "stop_after_canary", settings->stop_after_canary ? 1 : 0,
        "concurrency", (json_int_t)settings->concurrency, "lock_timeout_ms",
        (json_int_t)settings->lock_timeout_ms, "failures_max", (json_int_t)settings->failures_max);
    return fh_json_dump(object, arena, out);
}

static uint32_t number(const json_t *object, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(object, name));
    return value >= 0 && value <= UINT32_MAX ? (uint32_t)value : 0;
}

enum fh_code fh_rollout_settings_decode(struct fh_str text, struct fh_rollout_settings *out)
{
    json_t *object = NULL;
    enum fh_code code = parse(text, &object);
    if (code != FH_OK) {
        return code;
    }
    const json_t *canaries = json_object_get(object, "canaries");
    *out = (struct fh_rollout_settings){
        .canary_percent = number(object, "canary_percent"),
        .canary_count = json_array_size(canaries),
        .stop_after_canary = json_is_true(json_object_get(object, "stop_after_canary")),
        .concurrency = number(object, "concurrency"),
        .lock_timeout_ms = number(object, "lock_timeout_ms"),
        .failures_max = number(object, "failures_max"),
    };
    if (out->canary_count > FH_ROLLOUT_CANARIES_MAX || out->concurrency < 1 ||
        out->concurrency > FH_ROLLOUT_CONCURRENCY_MAX) {
        code = FH_CORRUPT;
    }
    for (size_t i = 0; code == FH_OK && i < out->canary_count; i++) {
        const char *uuid = json_string_value(json_array_get(canaries, i));
        if (uuid == NULL || !fh_uuid_parse(fh_str_of(uuid), &out->canaries[i])) {
            code = FH_CORRUPT;
        }
    }
    json_decref(object);
    return code;
}

static json_t *note_to_json(const struct fh_rollout_home *home, size_t index)
{
    char tenant[FH_UUID_TEXT_LEN + 1] = "";
    if (!fh_uuid_is_nil(&home->tenant)) {
        fh_uuid_format(&home->tenant, tenant);
    }
    return json_pack("{s:I,s:s,s:s,s:I,s:s,s:s,s:I,s:I,s:I,s:s%}", "i", (json_int_t)index, "tenant",
                     tenant, "store", home->store, "tier", (json_int_t)home->home.tier, "home",
                     home->home.name, "state", fh_rollout_home_state_name(home->state), "canary",
                     (json_int_t)(home->canary ? 1 : 0), "version", (json_int_t)home->version,
                     "tries", (json_int_t)home->tries, "message",
                     home->message.len > 0 ? home->message.data : "", home->message.len);
}

enum fh_code fh_rollout_notes_encode(const struct fh_rollout_home *homes, size_t count,
                                     struct fh_arena *arena, struct fh_str *out)
{
    json_t *notes = json_array();
    for (size_t i = 0; notes != NULL && i < count; i++) {
        if (json_array_append_new(notes, note_to_json(&homes[i], i)) != 0) {
            json_decref(notes);
            notes = NULL;
        }
    }
    return fh_json_dump(notes, arena, out);
}
