/*            none, or at rest                  lost to another
 *          +------------------+             +------------------+
 *          v                  |             v                  |
 *   RESTING -> LOOKING -> CLAIMING -> WORKING -> DRAINING -> RESTING
 *
 * Working is a row of walks (roller_walk.c), and this decides what follows each:
 *
 *   survey -> canary (while the phase is before rolling) -> full, again until one finds nothing
 *   behind, before which nobody was switching (roller_switches.c) -> the end
 *
 * where the first full walk of a rollout that was taken over is not the last: what the worker
 * before had begun may have ended in it; with a retry in between while homes wait. One pump does
 * all: it is called after everything that ends and by the tick, begins what can be begun, and looks
 * whether the walk has come to its end.
 *
 * Failures: more failed homes than the settings allow, or any in the canary, pause the rollout; so
 * do failed ones when nothing else is left. A worker that is told to stop, or learns that the
 * rollout is another's, begins nothing more, waits for what runs, and rests.
 */
#include "router/roller.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/fault_point.h"
#include "router/roller_internal.h"

#define TICK_MS 20
#define LOOK_US_MIN (10 * (int64_t)1000)
#define ARENA_BYTES_MAX ((size_t)8 * 1024 * 1024)
#define SLOT_ARENA_BYTES_MAX ((size_t)4 * 1024 * 1024)

void fh_roller_options_init(struct fh_roller_options *options)
{
    *options = (struct fh_roller_options){.poll_us = 1000000,
                                          .takeover_after_us = 5000000,
                                          .beat_us = 1000000,
                                          .actor = FH_STR("freehold-migrator")};
}

static void timer_closed_cb(uv_handle_t *handle)
{
    struct fh_roller *roller = handle->data;
    void (*closed_cb)(void *arg) = roller->closed_cb;
    void *arg = roller->closed_arg;
    for (size_t i = 0; i < FH_ROLLER_SLOTS_MAX; i++) {
        fh_arena_close(&roller->slots[i].arena);
    }
    fh_arena_close(&roller->arena);
    fh_arena_close(&roller->flush_arena);
    fh_free(roller);
    closed_cb(arg);
}

static void finish_close(struct fh_roller *roller)
{
    if (roller->closing && !roller->finished && roller->state == FH_ROLLER_RESTING) {
        roller->finished = true;
        uv_close((uv_handle_t *)&roller->timer, timer_closed_cb);
    }
}

static void timer_cb(uv_timer_t *timer);

static void tick_in(struct fh_roller *roller, int64_t us, bool repeat)
{
    uint64_t ms = us > 0 ? (uint64_t)((us + 999) / 1000) : 0;
    int rc = uv_timer_start(&roller->timer, timer_cb, ms, repeat ? TICK_MS : 0);
    FH_ASSERT(rc == 0); /* it fails for a closing handle only */
}

static void rest(struct fh_roller *roller, int64_t us)
{
    roller->state = FH_ROLLER_RESTING;
    roller->stats.working = false;
    roller->stats.version = 0;
    if (roller->closing) {
        finish_close(roller);
        return;
    }
    tick_in(roller, roller->again ? LOOK_US_MIN : us, false);
}

/* -- Working ----------------------------------------------------------------------------------- */

void fh_roller_stop_working(struct fh_roller *roller)
{
    if (roller->state == FH_ROLLER_WORKING) {
        roller->state = FH_ROLLER_DRAINING;
    }
}

static bool has_something_to_send(const struct fh_roller *roller)
{
    return roller->unsent || roller->note_count[roller->collecting] > 0 ||
           roller->next_phase != FH_ROLLOUT_NONE || roller->pause_wanted;
}

static void pause_for(struct fh_roller *roller, const char *why)
{
    (void)snprintf(roller->message, sizeof(roller->message),
                   "%llu homes failed%s; see them with 'freehold schema rollout homes --failed', "
                   "put them right and resume, or cancel",
                   (unsigned long long)roller->failed, why);
    roller->pause_wanted = true;
}

static void begin_rolling(struct fh_roller *roller, bool canary)
{
    roller->next_phase = FH_ROLLOUT_ROLLING;
    if (canary) {
        fh_fault_point("rollout.canary");
        bool stop = roller->rollout.settings.stop_after_canary;
        (void)snprintf(roller->message, sizeof(roller->message), "%s",
                       stop ? "the canary is done; resume to go on with all homes" : "");
        roller->pause_wanted = stop;
    }
    fh_roller_walk_begin(roller, FH_ROLLER_FULL);
    roller->walk.over = true; /* what is wanted goes first; then it begins */
    roller->walk.behind = 1;
}

static void after_survey(struct fh_roller *roller)
{
    fh_fault_point("rollout.surveyed");
    enum fh_rollout_phase phase = roller->rollout.phase;
    if (phase == FH_ROLLOUT_PLANNED && fh_rollout_has_canary(&roller->rollout.settings)) {
        roller->next_phase = FH_ROLLOUT_CANARY;
        fh_roller_walk_begin(roller, FH_ROLLER_CANARY);
    } else if (phase == FH_ROLLOUT_CANARY) {
        fh_roller_walk_begin(roller, FH_ROLLER_CANARY);
    } else {
        if (phase == FH_ROLLOUT_PLANNED) {
            roller->next_phase = FH_ROLLOUT_ROLLING;
        }
        fh_roller_walk_begin(roller, FH_ROLLER_FULL);
    }
}

/* The walk is over and everything it found is in the catalog. */
static void after_walk(struct fh_roller *roller)
{
    struct fh_roller_walk *walk = &roller->walk;
    enum fh_roller_walk_kind kind = walk->retried;
    if (kind == FH_ROLLER_SURVEY) {
        after_survey(roller);
    } else if (roller->later_count > 0) {
        if (walk->kind != FH_ROLLER_RETRY) {
            fh_roller_walk_begin(roller, FH_ROLLER_RETRY);
        }
    } else if (kind == FH_ROLLER_CANARY) {
        if (roller->failed > 0) {
            pause_for(roller, " in the canary");
        } else {
            begin_rolling(roller, true);
        }
    } else if (roller->failed > 0) {
        pause_for(roller, ", all others are done");
    } else if (walk->behind > 0 || !roller->swept) {
        if (walk->index > 0 || walk->behind == 0) { /* not only a new phase */
            roller->untouched = false; /* what is not remembered must be asked, or it never ends */
            roller->swept = true;
        }
        walk->behind = 1; /* and who is switching is asked anew */
        fh_roller_walk_begin(roller, FH_ROLLER_FULL);
    } else if (roller->switches.count > 0) {
        (void)snprintf(roller->message, sizeof(roller->message),
                       "all homes are done but for those that %zu moves, which were switching "
                       "meanwhile, may open; it waits for them",
                       roller->switches.count);
        fh_roller_walk_begin(roller, FH_ROLLER_FULL);
    } else {
        roller->message[0] = '\0';
        roller->next_phase = FH_ROLLOUT_DONE;
    }
}

static void drained(struct fh_roller *roller)
{
    enum fh_rollout_phase phase = roller->rollout.phase;
    FH_LOG(roller->env->log, INFO, "rollout.rests", FH_KV_UUID("rollout", roller->rollout.uuid),
           FH_KV_INT("version", roller->rollout.version),
           FH_KV_TEXT("phase", fh_rollout_phase_name(phase)));
    rest(roller, LOOK_US_MIN);
}

static bool is_walk_over(const struct fh_roller *roller)
{
    const struct fh_roller_walk *walk = &roller->walk;
    return walk->over && walk->page_count == 0 && !walk->asking && roller->busy == 0;
}

static void work(struct fh_roller *roller)
{
    const struct fh_rollout_settings *settings = &roller->rollout.settings;
    bool wants = roller->next_phase != FH_ROLLOUT_NONE || roller->pause_wanted;
    uint64_t failures_max =
        roller->rollout.phase == FH_ROLLOUT_ROLLING ? settings->failures_max : 0;
    if (!wants && roller->failed > failures_max && !roller->pause_wanted) {
        pause_for(roller, "");
        wants = true;
    }
    if (!wants) {
        fh_roller_walk_go(roller);
    }
    if (is_walk_over(roller) && !roller->flushing && !has_something_to_send(roller)) {
        after_walk(roller);
    }
    fh_roller_flush(roller);
}

void fh_roller_pump(struct fh_roller *roller)
{
    if (roller->pumping) { /* what ended inside is seen by the pump that runs */
        roller->pump_again = true;
        return;
    }
    roller->pumping = true;
    do {
        roller->pump_again = false;
        if (roller->state == FH_ROLLER_WORKING && roller->closing) {
            roller->state = FH_ROLLER_DRAINING;
        }
        if (roller->state == FH_ROLLER_WORKING) {
            work(roller);
        } else if (roller->state == FH_ROLLER_DRAINING && roller->busy == 0 &&
                   !roller->walk.asking && !roller->flushing) {
            bool send = !roller->closing && roller->rollout.wish == FH_ROLLOUT_WISH_PAUSE &&
                        has_something_to_send(roller);
            if (send) { /* or at a later tick */
                fh_roller_flush(roller);
            } else {
                drained(roller);
            }
        }
    } while (roller->pump_again);
    roller->pumping = false;
    struct fh_roller_stats *stats = &roller->stats;
    stats->progress = roller->rollout.progress;
    stats->running_us = fh_roller_now_us(roller) - roller->claimed_us;
}

static void begin_work(struct fh_roller *roller, const struct fh_rollout *rollout)
{
    roller->rollout = *rollout;
    roller->rollout.message = (struct fh_str){.data = NULL}; /* the request's */
    roller->rollout.actor = (struct fh_str){.data = NULL};
    roller->rollout.reason = (struct fh_str){.data = NULL};
    roller->message[0] = '\0';
    roller->claimed_us = fh_roller_now_us(roller);
    roller->flushed_us = roller->claimed_us;
    roller->last_done_us = roller->claimed_us;
    roller->untouched = rollout->phase == FH_ROLLOUT_PLANNED;
    roller->swept = roller->untouched;
    roller->done_before = rollout->progress.homes_done;
    fh_roller_forget_all(roller);
    roller->failed = 0;
    roller->later_count = 0;
    roller->note_count[0] = 0;
    roller->note_count[1] = 0;
    roller->unsent = false;
    roller->beat_wanted = false;
    roller->next_phase = FH_ROLLOUT_NONE;
    roller->pause_wanted = false;
    roller->stats.claimed++;
    roller->stats.working = true;
    roller->stats.version = rollout->version;
    roller->state = FH_ROLLER_WORKING;
    fh_roller_walk_begin(roller, FH_ROLLER_SURVEY);
    tick_in(roller, 0, true);
    FH_LOG(roller->env->log, INFO, "rollout.claimed", FH_KV_UUID("rollout", rollout->uuid),
           FH_KV_INT("version", rollout->version),
           FH_KV_INT("generation", (int64_t)rollout->generation));
}

/* -- Looking for work -------------------------------------------------------------------------- */

static void claimed_cb(struct fh_catalog_request *request)
{
    struct fh_roller *roller = request->arg;
    if (request->code != FH_OK || roller->closing ||
        request->as.rollout_claim.rollout.wish != FH_ROLLOUT_WISH_RUN) {
        rest(roller, roller->options.poll_us);
        return;
    }
    fh_fault_point("rollout.claimed");
    begin_work(roller, &request->as.rollout_claim.rollout);
}

static void claim(struct fh_roller *roller, const struct fh_rollout *rollout)
{
    struct fh_catalog_request *request = &roller->request;
    struct fh_uuid uuid = rollout->uuid;
    uint64_t beat = rollout->beat;
    fh_arena_reset(&roller->arena);
    *request = (struct fh_catalog_request){
        .op = FH_CATALOG_ROLLOUT_CLAIM,
        .deadline_us = fh_roller_now_us(roller) + FH_ROLLER_CATALOG_DEADLINE_US,
        .arena = &roller->arena,
        .done_cb = claimed_cb,
        .arg = roller,
        .audit = {.actor = roller->options.actor},
    };
    request->as.rollout_claim.uuid = uuid;
    request->as.rollout_claim.beat = beat;
    request->as.rollout_claim.worker = roller->options.worker;
    roller->state = FH_ROLLER_CLAIMING;
    if (fh_catalog_submit(roller->catalog, request) != FH_OK) {
        rest(roller, roller->options.poll_us);
    }
}

/* How long until the beat has stood still for long enough; a catalog that is nobody else's knows no
 * other worker that lives. */
static int64_t patience_us(struct fh_roller *roller, const struct fh_rollout *rollout)
{
    if (!roller->catalog->shared || fh_uuid_is_nil(&rollout->worker) ||
        fh_uuid_eq(&rollout->worker, &roller->options.worker)) {
        return 0;
    }
    if (!fh_uuid_eq(&roller->seen, &rollout->uuid) || roller->seen_beat != rollout->beat) {
        roller->seen = rollout->uuid;
        roller->seen_beat = rollout->beat;
        roller->seen_since_us = fh_roller_now_us(roller);
    }
    return roller->seen_since_us + roller->options.takeover_after_us - fh_roller_now_us(roller);
}

static void looked_cb(struct fh_catalog_request *request)
{
    struct fh_roller *roller = request->arg;
    const struct fh_rollout *rollout = NULL;
    if (request->code != FH_OK || roller->closing) {
        rest(roller, roller->options.poll_us);
        return;
    }
    if (request->as.rollout_list.count > 0) {
        rollout = &request->as.rollout_list.rollouts[0];
    }
    roller->asked = true;
    roller->idle = rollout == NULL || rollout->wish != FH_ROLLOUT_WISH_RUN;
    if (roller->idle) {
        rest(roller, roller->options.poll_us);
        return;
    }
    int64_t wait_us = patience_us(roller, rollout);
    const struct fh_schema *newest = fh_schemas_current(roller->schemas);
    roller->target = newest != NULL ? fh_schema_at(newest, rollout->version) : NULL;
    if (wait_us > 0 || roller->target == NULL) { /* not learnt here yet: the follower will */
        bool soon = wait_us > 0 && wait_us < roller->options.poll_us;
        rest(roller, soon ? wait_us : roller->options.poll_us);
        return;
    }
    claim(roller, rollout);
}

static void look(struct fh_roller *roller)
{
    struct fh_catalog_request *request = &roller->request;
    roller->again = false;
    fh_arena_reset(&roller->arena);
    *request = (struct fh_catalog_request){
        .op = FH_CATALOG_ROLLOUT_LIST,
        .deadline_us = fh_roller_now_us(roller) + FH_ROLLER_CATALOG_DEADLINE_US,
        .arena = &roller->arena,
        .done_cb = looked_cb,
        .arg = roller,
    };
    request->as.rollout_list.unfinished = true;
    request->as.rollout_list.limit = 1;
    roller->state = FH_ROLLER_LOOKING;
    if (fh_catalog_submit(roller->catalog, request) != FH_OK) {
        rest(roller, roller->options.poll_us);
    }
}

static void timer_cb(uv_timer_t *timer)
{
    struct fh_roller *roller = timer->data;
    if (roller->state == FH_ROLLER_RESTING) {
        look(roller);
    } else {
        roller->walk.broken = false;
        fh_roller_pump(roller);
    }
}

void fh_roller_wake(struct fh_roller *roller)
{
    if (!roller->started || roller->closing) {
        return;
    }
    if (roller->state == FH_ROLLER_RESTING) {
        tick_in(roller, LOOK_US_MIN, false);
    } else if (roller->state == FH_ROLLER_WORKING) {
        roller->beat_wanted = roller->beat_wanted || !roller->flushing; /* asks for the wish */
    } else {
        roller->again = true;
    }
}

static void hint_cb(void *arg, enum fh_catalog_hint hint, const struct fh_uuid *uuid)
{
    if (hint == FH_CATALOG_HINT_ROLLOUT || hint == FH_CATALOG_HINT_SCHEMA || fh_uuid_is_nil(uuid)) {
        fh_roller_wake(arg);
    }
}

enum fh_code fh_roller_create(const struct fh_env *env, struct fh_catalog *catalog,
                              struct fh_router *router, struct fh_schemas *schemas,
                              const struct fh_roller_options *options, struct fh_roller **out)
{
    if (options->poll_us < 1 || options->beat_us < 1) {
        return FH_INVALID;
    }
    struct fh_roller *roller = fh_calloc(1, sizeof(*roller));
    if (roller == NULL) {
        return FH_NOMEM;
    }
    roller->env = env;
    roller->catalog = catalog;
    roller->router = router;
    roller->schemas = schemas;
    roller->options = *options;
    if (fh_uuid_is_nil(&roller->options.worker)) {
        roller->options.worker = fh_uuid_v7(fh_clock_realtime_us(env->clock));
    }
    fh_arena_init(&roller->arena, ARENA_BYTES_MAX);
    fh_arena_init(&roller->flush_arena, ARENA_BYTES_MAX);
    for (size_t i = 0; i < FH_ROLLER_SLOTS_MAX; i++) {
        roller->slots[i].roller = roller;
        fh_arena_init(&roller->slots[i].arena, SLOT_ARENA_BYTES_MAX);
    }
    int rc = uv_timer_init(env->loop, &roller->timer);
    FH_ASSERT(rc == 0); /* it cannot fail */
    roller->timer.data = roller;
    roller->watcher = (struct fh_catalog_watcher){.hint_cb = hint_cb, .arg = roller};
    fh_catalog_watch(catalog, &roller->watcher);
    *out = roller;
    return FH_OK;
}

void fh_roller_start(struct fh_roller *roller)
{
    roller->started = true;
    tick_in(roller, 0, false);
}

void fh_roller_close(struct fh_roller *roller, void (*closed_cb)(void *arg), void *arg)
{
    FH_ASSERT(!roller->closing);
    roller->closing = true;
    roller->closed_cb = closed_cb;
    roller->closed_arg = arg;
    fh_catalog_unwatch(&roller->watcher);
    for (size_t i = 0; i < FH_ROLLER_SLOTS_MAX; i++) {
        struct fh_roller_slot *slot = &roller->slots[i];
        if (slot->busy && slot->applying) {
            fh_store_cancel(slot->store, &slot->request);
        }
    }
    fh_roller_pump(roller);
    finish_close(roller);
}

bool fh_roller_is_idle(const struct fh_roller *roller)
{
    return roller->asked && roller->idle && roller->state == FH_ROLLER_RESTING && !roller->again;
}

void fh_roller_stats(const struct fh_roller *roller, struct fh_roller_stats *out)
{
    *out = roller->stats;
    out->draining = roller->state == FH_ROLLER_DRAINING;
}
