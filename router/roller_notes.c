/* Happy path: what was found of homes is collected; when a batch is half full, a beat is due, or
 * the phase is to change, it goes to the catalog in one advance, whose answer says what the
 * operators wish by now.
 *
 * Failures: a batch that the catalog did not take is sent again, unchanged, before the next; a
 * refusal means that somebody else has the rollout, or that it is cancelled: the work is dropped.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault_point.h"
#include "router/roller_internal.h"

#define FLUSH_AT (FH_ROLLOUT_NOTES_MAX / 2)
#define AT_REST_AFTER_US (3 * (int64_t)1000000)
#define RETRY_US (200 * (int64_t)1000)

bool fh_roller_has_room(const struct fh_roller *roller, size_t count)
{
    return roller->note_count[roller->collecting] + roller->busy + FH_ROLLER_SLOTS_MAX + count <=
           FH_ROLLOUT_NOTES_MAX;
}

void fh_roller_note(struct fh_roller *roller, const struct fh_rollout_home *home,
                    const char *message)
{
    size_t *count = &roller->note_count[roller->collecting];
    FH_ASSERT(*count < FH_ROLLOUT_NOTES_MAX);
    struct fh_roller_note *note = &roller->notes[roller->collecting][(*count)++];
    note->home = *home;
    (void)snprintf(note->text, sizeof(note->text), "%s", message);
}

static void note_what_runs(struct fh_roller *roller)
{
    for (size_t i = 0; i < FH_ROLLER_SLOTS_MAX; i++) {
        struct fh_roller_slot *slot = &roller->slots[i];
        if (slot->busy && slot->applying && !slot->applying_noted) {
            slot->applying_noted = true;
            slot->home.state = FH_ROLLOUT_HOME_APPLYING;
            fh_roller_note(roller, &slot->home, "");
        }
    }
}

static void estimate(struct fh_roller *roller)
{
    struct fh_rollout_progress *progress = &roller->rollout.progress;
    int64_t elapsed_us = fh_roller_now_us(roller) - roller->claimed_us;
    uint64_t done =
        progress->homes_done > roller->done_before ? progress->homes_done - roller->done_before : 0;
    uint64_t left = progress->homes_total > progress->homes_done
                        ? progress->homes_total - progress->homes_done
                        : 0;
    progress->homes_per_hour = 0;
    progress->seconds_left = 0;
    if (elapsed_us > 0 && done > 0) {
        double per_second = (double)done * 1e6 / (double)elapsed_us;
        progress->homes_per_hour = (uint64_t)(per_second * 3600);
        progress->seconds_left = (uint64_t)((double)left / per_second + 0.5);
    }
    bool waits = roller->walk.kind == FH_ROLLER_RETRY || roller->switches.following;
    progress->at_rest = waits && roller->busy == 0 &&
                        fh_roller_now_us(roller) - roller->last_done_us > AT_REST_AFTER_US;
}

static void flushed_cb(struct fh_catalog_request *request)
{
    struct fh_roller *roller = request->arg;
    roller->flushing = false;
    roller->flushed_us = fh_roller_now_us(roller);
    if (request->code == FH_OK) {
        fh_fault_point("rollout.noted");
        roller->unsent = false;
        roller->note_count[1 - roller->collecting] = 0;
        roller->rollout = request->as.rollout_advance.rollout;
        roller->rollout.message = (struct fh_str){.data = NULL}; /* the request's */
        roller->rollout.actor = (struct fh_str){.data = NULL};
        roller->rollout.reason = (struct fh_str){.data = NULL};
        roller->next_phase = FH_ROLLOUT_NONE;
        roller->pause_wanted = false;
        if (roller->rollout.wish != FH_ROLLOUT_WISH_RUN ||
            fh_rollout_is_finished(roller->rollout.phase)) {
            fh_roller_stop_working(roller);
        }
    } else if (request->code == FH_PRECONDITION || request->code == FH_NOT_FOUND ||
               request->code == FH_INVALID) {
        FH_LOG(roller->env->log, INFO, "rollout.let_go",
               FH_KV_UUID("rollout", roller->rollout.uuid),
               FH_KV_TEXT("why", fh_error_text(&request->error)));
        roller->unsent = false;
        roller->note_count[0] = 0;
        roller->note_count[1] = 0;
        roller->next_phase = FH_ROLLOUT_NONE;
        roller->pause_wanted = false;
        fh_roller_stop_working(roller);
    }
    fh_roller_pump(roller);
}

static bool is_due(const struct fh_roller *roller)
{
    int64_t since_us = fh_roller_now_us(roller) - roller->flushed_us;
    if (roller->unsent) {
        return since_us >= RETRY_US;
    }
    if (roller->note_count[roller->collecting] >= FLUSH_AT || roller->beat_wanted ||
        since_us >= roller->options.beat_us) {
        return true;
    }
    if (roller->busy > 0) {
        return false;
    }
    if (roller->next_phase != FH_ROLLOUT_NONE || roller->pause_wanted) {
        return true; /* nothing else begins before */
    }
    /* A walk that has come to its end waits for its notes; so does whoever watches. */
    return (roller->walk.over || roller->state == FH_ROLLER_DRAINING) &&
           roller->note_count[roller->collecting] > 0;
}

/* The phase changes behind all that was found before. */
static bool is_complete(const struct fh_roller *roller)
{
    return roller->busy == 0;
}

void fh_roller_flush(struct fh_roller *roller)
{
    struct fh_catalog_request *request = &roller->flush;
    if (roller->flushing || !is_due(roller)) {
        return;
    }
    if (!roller->unsent) {
        note_what_runs(roller);
        roller->collecting = 1 - roller->collecting;
        roller->unsent = true;
    }
    size_t batch = 1 - roller->collecting;
    for (size_t i = 0; i < roller->note_count[batch]; i++) {
        roller->sending[i] = roller->notes[batch][i].home;
        roller->sending[i].message = fh_str_of(roller->notes[batch][i].text);
    }
    estimate(roller);
    bool changes = is_complete(roller) && roller->note_count[roller->collecting] == 0;
    fh_arena_reset(&roller->flush_arena);
    *request = (struct fh_catalog_request){
        .op = FH_CATALOG_ROLLOUT_ADVANCE,
        .deadline_us = fh_roller_now_us(roller) + FH_ROLLER_CATALOG_DEADLINE_US,
        .arena = &roller->flush_arena,
        .done_cb = flushed_cb,
        .arg = roller,
        .audit = {.actor = roller->options.actor},
    };
    request->as.rollout_advance.uuid = roller->rollout.uuid;
    request->as.rollout_advance.generation = roller->rollout.generation;
    request->as.rollout_advance.from = roller->rollout.phase;
    request->as.rollout_advance.to = changes && roller->next_phase != FH_ROLLOUT_NONE
                                         ? roller->next_phase
                                         : roller->rollout.phase;
    request->as.rollout_advance.pause = changes && roller->pause_wanted;
    request->as.rollout_advance.progress = roller->rollout.progress;
    request->as.rollout_advance.message = fh_str_of(roller->message);
    request->as.rollout_advance.notes = roller->sending;
    request->as.rollout_advance.note_count = roller->note_count[batch];
    fh_fault_point(request->as.rollout_advance.to == FH_ROLLOUT_DONE ? "rollout.ending"
                                                                     : "rollout.note");
    roller->beat_wanted = false;
    roller->flushing = fh_catalog_submit(roller->catalog, request) == FH_OK;
    if (!roller->flushing) {
        roller->flushed_us = fh_roller_now_us(roller);
    }
}
