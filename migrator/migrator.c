/* Looking for work: which moves are there, whose are they, and has their beat stood still?
 *
 * Happy path: a walk over the catalog's unfinished moves, page by page; what nobody has is claimed,
 * what another worker has is watched. Beats are compared with what was seen before and with this
 * process's own monotonic clock, so no two clocks are ever compared.
 *
 * Failures: a catalog that does not answer is asked again at the next poll. A move between stores
 * that this process could not open is left to those that could, for whoever has claimed it keeps
 * it; where the catalog is nobody else's it is claimed, and tells what is wrong. Bounds: moves
 * watched (WATCHED_MAX; those beyond are looked at again when there is room), moves at work
 * (moves_max), walks (one at a time, LOOK_US_MIN apart).
 */
#include "migrator/migrator.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "migrator/internal.h"
#include "migrator/run.h"

#define WATCHED_MAX 4096
#define MOVES_MAX 64
#define PAGE 200
#define LIST_ARENA_BYTES_MAX ((size_t)8 * 1024 * 1024)
#define LOOK_US_MIN (10 * (int64_t)1000)
#define LIST_DEADLINE_US (10 * (int64_t)1000000)
#define SWITCHING_TAKEOVER_US_MIN (100 * (int64_t)1000)
#define CLOSE_US (10 * (int64_t)1000000) /* for calling a switch off */

/* Another worker's move, or one that is left to another. */
struct watched {
    struct fh_uuid move;
    uint64_t beat;
    int64_t since_us; /* when this beat was seen first */
    uint64_t walk;    /* that saw it last */
    bool passed_over; /* and said so */
};

static struct fh_str watched_key(const void *item)
{
    const struct watched *watched = item;
    return (struct fh_str){.data = (const char *)watched->move.bytes,
                           .len = sizeof(watched->move.bytes)};
}

void fh_migrator_options_init(struct fh_migrator_options *options)
{
    *options = (struct fh_migrator_options){.moves_max = 4,
                                            .poll_us = 1000000,
                                            .takeover_after_us = 5000000,
                                            .beat_us = 1000000,
                                            .actor = FH_STR("freehold-migrator")};
}

static int64_t now_us(const struct fh_migrator *migrator)
{
    return fh_clock_monotonic_us(migrator->env->clock);
}

static void list_done_cb(struct fh_catalog_request *request);
static void walk_over(struct fh_migrator *migrator);

static void timer_closed_cb(uv_handle_t *handle)
{
    struct fh_migrator *migrator = handle->data;
    void (*closed_cb)(void *arg) = migrator->closed_cb;
    void *arg = migrator->closed_arg;
    size_t cursor = 0;
    struct watched *watched = NULL;
    while ((watched = fh_map_next(&migrator->watched, &cursor)) != NULL) {
        fh_free(watched);
    }
    fh_map_close(&migrator->watched);
    fh_arena_close(&migrator->arena);
    fh_free(migrator->candidates);
    fh_free(migrator);
    closed_cb(arg);
}

static void finish_close(struct fh_migrator *migrator)
{
    if (!migrator->closing || migrator->finished || migrator->listing || migrator->plans > 0 ||
        !fh_list_empty(&migrator->runs)) {
        return;
    }
    migrator->finished = true;
    uv_close((uv_handle_t *)&migrator->timer, timer_closed_cb);
}

static size_t running(const struct fh_migrator *migrator)
{
    size_t count = 0;
    for (const struct fh_list *node = migrator->runs.next; node != &migrator->runs;
         node = node->next) {
        count += !FH_CONTAINER_OF(node, const struct fh_run, node)->ended;
    }
    return count;
}

static struct fh_run *find_run(const struct fh_migrator *migrator, const struct fh_uuid *move)
{
    for (struct fh_list *node = migrator->runs.next; node != &migrator->runs; node = node->next) {
        struct fh_run *run = FH_CONTAINER_OF(node, struct fh_run, node);
        if (!run->ended && fh_uuid_eq(&run->move.uuid, move)) {
            return run;
        }
    }
    return NULL;
}

/* Asks for the page behind `before`. */
static void ask(struct fh_migrator *migrator, const struct fh_uuid *before)
{
    struct fh_catalog_request *request = &migrator->list;
    fh_arena_reset(&migrator->arena);
    *request = (struct fh_catalog_request){.op = FH_CATALOG_MOVE_LIST,
                                           .deadline_us = now_us(migrator) + LIST_DEADLINE_US,
                                           .arena = &migrator->arena,
                                           .done_cb = list_done_cb,
                                           .arg = migrator};
    request->as.move_list.unfinished = true;
    request->as.move_list.before = *before;
    request->as.move_list.limit = PAGE;
    migrator->listing = fh_catalog_submit(migrator->catalog, request) == FH_OK;
    if (!migrator->listing) {
        migrator->failed = true;
        walk_over(migrator);
    }
}

static void timer_cb(uv_timer_t *timer)
{
    struct fh_migrator *migrator = timer->data;
    const struct fh_uuid newest = {.bytes = {0}};
    migrator->again = false;
    migrator->failed = false;
    migrator->counting = 0;
    migrator->candidate_count = 0;
    migrator->sooner_us = 0;
    migrator->walk++;
    migrator->looked_us = now_us(migrator);
    ask(migrator, &newest);
}

static void look_in(struct fh_migrator *migrator, int64_t us)
{
    uint64_t ms = us > 0 ? (uint64_t)((us + 999) / 1000) : 0;
    int rc = uv_timer_start(&migrator->timer, timer_cb, ms, 0);
    FH_ASSERT(rc == 0); /* it fails for a closing handle only */
}

/* NULL: there is no room, or no memory. */
static struct watched *watch(struct fh_migrator *migrator, const struct fh_move *move)
{
    struct watched *watched =
        fh_map_get(&migrator->watched, (struct fh_str){.data = (const char *)move->uuid.bytes,
                                                       .len = sizeof(move->uuid.bytes)});
    if (watched == NULL) {
        watched = fh_calloc(1, sizeof(*watched));
        if (watched == NULL) {
            return NULL;
        }
        watched->move = move->uuid;
        watched->beat = move->beat;
        watched->since_us = now_us(migrator);
        if (fh_map_put(&migrator->watched, watched) != FH_OK) {
            fh_free(watched);
            return NULL;
        }
    }
    watched->walk = migrator->walk;
    return watched;
}

/* Whether the beat has stood still for long enough; if not, when it will have. */
static bool stands_still(struct fh_migrator *migrator, const struct fh_move *move)
{
    int64_t patience_us = migrator->options.takeover_after_us;
    if (move->phase == FH_MOVE_SWITCHING) {
        patience_us = move->settings.max_pause_us > SWITCHING_TAKEOVER_US_MIN
                          ? move->settings.max_pause_us
                          : SWITCHING_TAKEOVER_US_MIN;
    }
    struct watched *watched = watch(migrator, move);
    if (watched == NULL) {
        return false;
    }
    if (watched->beat != move->beat) {
        watched->beat = move->beat;
        watched->since_us = now_us(migrator);
    }
    int64_t due_us = watched->since_us + patience_us;
    if (now_us(migrator) >= due_us) {
        return true;
    }
    if (migrator->sooner_us == 0 || due_us < migrator->sooner_us) {
        migrator->sooner_us = due_us;
    }
    return false;
}

/* There is nothing to do for a paused move, but to undo a switch that was cut short. */
static bool is_at_rest(const struct fh_move *move)
{
    return move->wish == FH_MOVE_WISH_PAUSE && fh_move_is_before_switch(move->phase) &&
           move->phase != FH_MOVE_SWITCHING;
}

/* Others may have them open. */
static bool is_for_others(struct fh_migrator *migrator, const struct fh_move *move)
{
    const char *missing = NULL;
    const char *names[] = {move->source.store, move->target_store};
    for (size_t i = 0; i < 2 && missing == NULL; i++) {
        missing = fh_router_store(migrator->router, fh_str_of(names[i])) == NULL ? names[i] : NULL;
    }
    if (!migrator->catalog->shared || missing == NULL) {
        return false;
    }
    struct watched *watched = watch(migrator, move);
    if (watched != NULL && !watched->passed_over) {
        watched->passed_over = true;
        FH_LOG(migrator->env->log, WARN, "move.store_missing", FH_KV_UUID("move", move->uuid),
               FH_KV_UUID("tenant", move->tenant), FH_KV_TEXT("store", missing));
    }
    return true;
}

static void consider(struct fh_migrator *migrator, const struct fh_move *move)
{
    struct fh_run *run = find_run(migrator, &move->uuid);
    migrator->counting++;
    if (run != NULL) {
        fh_run_hear(run, move);
        return;
    }
    bool free_to_take =
        fh_uuid_is_nil(&move->worker) || fh_uuid_eq(&move->worker, &migrator->options.worker);
    if (is_at_rest(move) || is_for_others(migrator, move) ||
        (!free_to_take && !stands_still(migrator, move))) {
        return;
    }
    /* The list is newest first, and the oldest are to be taken: later ones push earlier out. */
    size_t max = migrator->options.moves_max;
    if (migrator->candidate_count == max) {
        memmove(&migrator->candidates[0], &migrator->candidates[1],
                (max - 1) * sizeof(migrator->candidates[0]));
        migrator->candidate_count--;
    }
    struct fh_move *candidate = &migrator->candidates[migrator->candidate_count++];
    *candidate = *move;
    candidate->message = (struct fh_str){.data = NULL}; /* the page's */
}

/* What was not seen in this walk is finished, or gone. */
static void forget_gone(struct fh_migrator *migrator)
{
    size_t cursor = 0;
    struct watched *watched = NULL;
    struct watched *gone[32];
    size_t count = 0;
    while (count < 32 && (watched = fh_map_next(&migrator->watched, &cursor)) != NULL) {
        if (watched->walk != migrator->walk) {
            gone[count++] = watched;
        }
    }
    for (size_t i = 0; i < count; i++) {
        (void)fh_map_remove(&migrator->watched, watched_key(gone[i]));
        fh_free(gone[i]);
    }
}

static void take_some(struct fh_migrator *migrator)
{
    /* From the back: the oldest. */
    while (migrator->candidate_count > 0 && running(migrator) < migrator->options.moves_max) {
        const struct fh_move *move = &migrator->candidates[--migrator->candidate_count];
        if (fh_run_start(migrator, move) != FH_OK) {
            return;
        }
    }
}

static void walk_over(struct fh_migrator *migrator)
{
    if (migrator->closing) {
        finish_close(migrator);
        return;
    }
    if (!migrator->failed) {
        migrator->asked = true;
        migrator->unfinished = migrator->counting;
        forget_gone(migrator);
        take_some(migrator);
    }
    int64_t in_us = migrator->options.poll_us;
    if (migrator->sooner_us != 0 && migrator->sooner_us - now_us(migrator) < in_us) {
        in_us = migrator->sooner_us - now_us(migrator);
    }
    if (migrator->again || in_us < LOOK_US_MIN) {
        in_us = LOOK_US_MIN;
    }
    look_in(migrator, in_us);
}

static void list_done_cb(struct fh_catalog_request *request)
{
    struct fh_migrator *migrator = request->arg;
    migrator->listing = false;
    if (migrator->closing || request->code != FH_OK) {
        migrator->failed = true;
        walk_over(migrator);
        return;
    }
    for (size_t i = 0; i < request->as.move_list.count; i++) {
        consider(migrator, &request->as.move_list.moves[i]);
    }
    if (request->as.move_list.more && request->as.move_list.count > 0) {
        struct fh_uuid last = request->as.move_list.moves[request->as.move_list.count - 1].uuid;
        ask(migrator, &last);
        return;
    }
    walk_over(migrator);
}

void fh_migrator_wake(struct fh_migrator *migrator)
{
    if (!migrator->started || migrator->closing) {
        return;
    }
    if (migrator->listing) {
        migrator->again = true;
        return;
    }
    look_in(migrator, migrator->looked_us + LOOK_US_MIN - now_us(migrator));
}

static void hint_cb(void *arg, enum fh_catalog_hint hint, const struct fh_uuid *uuid)
{
    if (hint == FH_CATALOG_HINT_MOVE || fh_uuid_is_nil(uuid)) {
        fh_migrator_wake(arg);
    }
}

enum fh_code fh_migrator_create(const struct fh_env *env, struct fh_catalog *catalog,
                                struct fh_router *router, const struct fh_migrator_options *options,
                                struct fh_migrator **out)
{
    if (options->moves_max < 1 || options->moves_max > MOVES_MAX || options->poll_us < 1 ||
        options->beat_us < 1) {
        return FH_INVALID;
    }
    struct fh_migrator *migrator = fh_calloc(1, sizeof(*migrator));
    if (migrator == NULL) {
        return FH_NOMEM;
    }
    migrator->candidates = fh_calloc(options->moves_max, sizeof(struct fh_move));
    if (migrator->candidates == NULL) {
        fh_free(migrator);
        return FH_NOMEM;
    }
    migrator->env = env;
    migrator->catalog = catalog;
    migrator->router = router;
    migrator->options = *options;
    if (fh_uuid_is_nil(&migrator->options.worker)) {
        migrator->options.worker = fh_uuid_v7(fh_clock_realtime_us(env->clock));
    }
    fh_list_init(&migrator->runs);
    fh_arena_init(&migrator->arena, LIST_ARENA_BYTES_MAX);
    fh_map_init(&migrator->watched, WATCHED_MAX, watched_key);
    int rc = uv_timer_init(env->loop, &migrator->timer);
    FH_ASSERT(rc == 0); /* it cannot fail */
    migrator->timer.data = migrator;
    migrator->watcher = (struct fh_catalog_watcher){.hint_cb = hint_cb, .arg = migrator};
    fh_catalog_watch(catalog, &migrator->watcher);
    *out = migrator;
    return FH_OK;
}

void fh_migrator_start(struct fh_migrator *migrator)
{
    migrator->started = true;
    look_in(migrator, 0);
}

void fh_migrator_close(struct fh_migrator *migrator, void (*closed_cb)(void *arg), void *arg)
{
    FH_ASSERT(!migrator->closing);
    migrator->closing = true;
    migrator->closed_cb = closed_cb;
    migrator->closed_arg = arg;
    migrator->close_by_us = now_us(migrator) + CLOSE_US;
    fh_catalog_unwatch(&migrator->watcher);
    (void)uv_timer_stop(&migrator->timer);
    struct fh_list *next = NULL;
    for (struct fh_list *node = migrator->runs.next; node != &migrator->runs; node = next) {
        struct fh_run *run = FH_CONTAINER_OF(node, struct fh_run, node);
        next = node->next;
        if (run->gated && migrator->close_by_us <
                              run->gate_closed_us + run->move.settings.max_pause_us + CLOSE_US) {
            migrator->close_by_us =
                run->gate_closed_us + run->move.settings.max_pause_us + CLOSE_US;
        }
        fh_run_nudge(run);
    }
    finish_close(migrator);
}

void fh_migrator_run_ended(struct fh_migrator *migrator, struct fh_run *run)
{
    migrator->stats.finished += run->move.phase == FH_MOVE_DONE;
    migrator->stats.failed += run->move.phase == FH_MOVE_FAILED;
    fh_migrator_wake(migrator);
    finish_close(migrator);
}

void fh_migrator_plan_ended(struct fh_migrator *migrator)
{
    migrator->plans--;
    finish_close(migrator);
}

void fh_migrator_stats(const struct fh_migrator *migrator, struct fh_migrator_stats *out)
{
    *out = migrator->stats;
    out->running = running(migrator);
}

bool fh_migrator_is_idle(const struct fh_migrator *migrator)
{
    return migrator->asked && !migrator->listing && !migrator->again && migrator->unfinished == 0 &&
           fh_list_empty(&migrator->runs);
}
