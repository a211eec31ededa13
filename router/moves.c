/* Happy path: tables from the lists in the header. Failures: a progress text that is not ours is
 * FH_CORRUPT. */
#include "router/moves.h"

#include <stdio.h>

#include "base/json.h"

static const struct {
    const char *name;
    bool finished;
} phases[] = {
#define PHASE_ROW(symbol, text, is_finished) \
    [FH_MOVE_##symbol] = {.name = (text), .finished = (is_finished)},
    FH_MOVE_PHASES(PHASE_ROW)};

#define PHASE_COUNT (sizeof(phases) / sizeof(phases[0]))

const char *fh_move_phase_name(enum fh_move_phase phase)
{
    return phase > FH_MOVE_NONE && (size_t)phase < PHASE_COUNT ? phases[phase].name : "unknown";
}

enum fh_move_phase fh_move_phase_of(struct fh_str name)
{
    for (size_t i = 1; i < PHASE_COUNT; i++) {
        if (fh_str_eq(fh_str_of(phases[i].name), name)) {
            return (enum fh_move_phase)i;
        }
    }
    return FH_MOVE_NONE;
}

bool fh_move_is_finished(enum fh_move_phase phase)
{
    return phase > FH_MOVE_NONE && (size_t)phase < PHASE_COUNT && phases[phase].finished;
}

bool fh_move_may_follow(enum fh_move_phase from, enum fh_move_phase to)
{
#define FOLLOW_TEST(a, b)                           \
    if (from == FH_MOVE_##a && to == FH_MOVE_##b) { \
        return true;                                \
    }
    FH_MOVE_FOLLOWS(FOLLOW_TEST)
#undef FOLLOW_TEST
    return false;
}

bool fh_move_is_before_switch(enum fh_move_phase phase)
{
    return phase >= FH_MOVE_PLANNED && phase <= FH_MOVE_SWITCHING;
}

void fh_move_settings_init(struct fh_move_settings *settings)
{
    *settings = (struct fh_move_settings){.max_pause_us = 500 * 1000, .duty_percent = 50};
}

/* One list for both directions. */
#define FIGURES(FIGURE)        \
    FIGURE(rows_total)         \
    FIGURE(bytes_total)        \
    FIGURE(rows_copied)        \
    FIGURE(records_copied)     \
    FIGURE(rows_applied)       \
    FIGURE(rows_verified)      \
    FIGURE(rounds)             \
    FIGURE(lag_records)        \
    FIGURE(switches_tried)     \
    FIGURE(copy_started_us)    \
    FIGURE(copy_us)            \
    FIGURE(pause_predicted_us) \
    FIGURE(pause_us)           \
    FIGURE(read_pause_us)

enum fh_code fh_move_progress_encode(const struct fh_move_progress *progress,
                                     struct fh_arena *arena, struct fh_str *out)
{
    char text[FH_MOVE_PROGRESS_TEXT_MAX];
    size_t len = 0;
#define FIGURE_PRINT(name)                                                          \
    len += (size_t)snprintf(text + len, sizeof(text) - len, "%c\"" #name "\":%lld", \
                            len == 0 ? '{' : ',', (long long)progress->name);
    FIGURES(FIGURE_PRINT)
#undef FIGURE_PRINT
    (void)snprintf(text + len, sizeof(text) - len, "}");
    return fh_arena_str(arena, fh_str_of(text), out);
}

enum fh_code fh_move_progress_decode(struct fh_str text, struct fh_move_progress *out)
{
    json_t *object = NULL;
    const char *why = NULL;
    enum fh_code code = fh_json_parse_object(text, &object, &why);
    if (code != FH_OK) {
        return code == FH_NOMEM ? FH_NOMEM : FH_CORRUPT;
    }
    *out = (struct fh_move_progress){0};
#define FIGURE_READ(name) \
    out->name = (__typeof__(out->name))json_integer_value(json_object_get(object, #name));
    FIGURES(FIGURE_READ)
#undef FIGURE_READ
    json_decref(object);
    return FH_OK;
}
