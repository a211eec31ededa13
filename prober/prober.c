/* A run: the stores' names are taken once, then pair.c probes one store and tier after the other,
 * each begun from the timer, so that nothing grows deep.
 *
 * Failures: those of a pair are lines of the report, and the run goes on. A run whose deadline
 * passed, or whose prober closes, has no report.
 */
#include "prober/prober.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "prober/internal.h"

#define STORES_MAX 1000
#define TIERS 3
#define RESULTS_MAX 8192
#define OWN_RUN_TIMEOUT_US (600LL * 1000000)
#define ARENA_BYTES_MAX ((size_t)8 * 1024 * 1024)

static void timer_cb(uv_timer_t *timer);

static void arm(struct fh_prober *prober, int64_t after_us)
{
    int rc = uv_timer_start(&prober->timer, timer_cb, (uint64_t)(after_us / 1000), 0);
    FH_ASSERT(rc == 0); /* the callback is not NULL, the handle not closing */
}

int64_t fh_prober_deadline_in(const struct fh_prober *prober, int64_t us)
{
    int64_t deadline_us = fh_clock_monotonic_us(prober->parts.env->clock) + us;
    return deadline_us < prober->run.deadline_us ? deadline_us : prober->run.deadline_us;
}

const struct fh_probe_place *fh_prober_here(const struct fh_prober *prober)
{
    return &prober->run.places[prober->run.at];
}

/* The next line of the report; NULL: there is no room. */
struct fh_probe_result *fh_prober_add_result(struct fh_prober *prober, const char *probe,
                                             const char *expected)
{
    struct fh_probe_run *run = &prober->run;
    if (run->report.count == run->result_max) {
        run->report.truncated = true;
        return NULL;
    }
    struct fh_probe_result *result = &run->report.results[run->report.count++];
    *result = (struct fh_probe_result){
        .tier = fh_prober_here(prober)->tier, .probe = probe, .expected = expected, .seen = "-"};
    memcpy(result->store, fh_prober_here(prober)->store, sizeof(result->store));
    memcpy(result->canaries, prober->pair.ground.pair.uuids, sizeof(result->canaries));
    return result;
}

void fh_prober_end_pair(struct fh_prober *prober)
{
    prober->run.at++;
    arm(prober, 0);
}

static void end_run(struct fh_prober *prober, enum fh_code code)
{
    struct fh_probe_run run = prober->run;
    struct fh_error error = FH_ERROR_INIT;
    memset(&prober->run, 0, sizeof(prober->run));
    fh_free(run.places);
    fh_arena_reset(&prober->arena);
    if (code != FH_OK) {
        (void)fh_error_set(&error, code, "%s", fh_code_text(code));
        fh_free(run.report.results);
    } else {
        run.report.ended_at_us = fh_clock_realtime_us(prober->parts.env->clock);
        run.report.held = !run.report.truncated;
        for (size_t i = 0; i < run.report.count; i++) {
            const struct fh_probe_result *result = &run.report.results[i];
            run.report.held = run.report.held && result->verdict <= FH_PROBE_SKIPPED;
            prober->stats.failures[FH_PROBE_LAYER_NONE] += result->verdict == FH_PROBE_UNKNOWN;
            for (unsigned layer = 1; layer < FH_PROBE_LAYERS; layer++) {
                prober->stats.failures[layer] += (result->gone >> layer) & 1;
            }
        }
        prober->stats.runs++;
        if (run.report.held) {
            prober->stats.last_ok_us = run.report.ended_at_us;
        }
        fh_free(prober->last.results);
        prober->last = run.report;
        prober->has_last = true;
    }
    if (!prober->closing && prober->started && prober->options.interval_us > 0) {
        arm(prober, prober->options.interval_us);
    }
    if (run.done_cb != NULL) {
        run.done_cb(code, &error, code == FH_OK ? &prober->last : NULL, run.arg);
    }
}

static void timer_closed_cb(uv_handle_t *handle)
{
    struct fh_prober *prober = handle->data;
    void (*closed_cb)(void *arg) = prober->closed_cb;
    void *arg = prober->closed_arg;
    fh_free(prober->last.results);
    fh_arena_close(&prober->arena);
    fh_free(prober);
    closed_cb(arg);
}

/* Behind every request: true when the run ended, for the prober is closing. */
bool fh_prober_is_over(struct fh_prober *prober)
{
    if (!prober->closing) {
        return false;
    }
    end_run(prober, FH_SHUTTING_DOWN);
    uv_close((uv_handle_t *)&prober->timer, timer_closed_cb);
    return true;
}

static enum fh_code take_places(struct fh_prober *prober, struct fh_str name, uint32_t tiers,
                                struct fh_probe_run *run)
{
    size_t cursor = 0;
    const struct fh_store *store;
    run->places = fh_calloc((size_t)STORES_MAX * TIERS, sizeof(*run->places));
    if (run->places == NULL) {
        return FH_NOMEM;
    }
    while ((store = fh_router_next_store(prober->parts.router, &cursor)) != NULL) {
        if (name.len > 0 && !fh_str_eq(name, fh_str_of(store->name))) {
            continue;
        }
        for (enum fh_tier tier = FH_TIER_SHARED; tier <= FH_TIER_DATABASE; tier++) {
            uint32_t offered = store->ops->capabilities & fh_capability_of_tier(tier);
            if (offered == 0 || (tiers != 0 && (tiers & (1u << tier)) == 0) ||
                run->place_count == (size_t)STORES_MAX * TIERS) {
                continue;
            }
            struct fh_probe_place *place = &run->places[run->place_count++];
            (void)snprintf(place->store, sizeof(place->store), "%.*s", FH_STORE_NAME_MAX,
                           store->name);
            place->tier = tier;
        }
    }
    run->result_max = run->place_count * (fh_probe_count() + 1);
    run->result_max = run->result_max < RESULTS_MAX ? run->result_max : RESULTS_MAX;
    run->report.results = fh_calloc(run->result_max + 1, sizeof(*run->report.results));
    if (run->report.results == NULL) {
        fh_free(run->places);
        return FH_NOMEM;
    }
    return FH_OK;
}

enum fh_code fh_prober_run(struct fh_prober *prober, struct fh_str store, uint32_t tiers,
                           int64_t deadline_us, fh_prober_done_cb *done_cb, void *arg,
                           struct fh_error *error)
{
    struct fh_probe_run run = {.running = true,
                               .own = done_cb == NULL,
                               .tiers = tiers,
                               .deadline_us = deadline_us,
                               .done_cb = done_cb,
                               .arg = arg};
    if (prober->closing) {
        return fh_error_set(error, FH_SHUTTING_DOWN, "%s", fh_code_text(FH_SHUTTING_DOWN));
    }
    if (prober->run.running) {
        return fh_error_set(error, FH_CONFLICT, "the prober is at work already; ask again");
    }
    if (store.len > 0 && fh_router_store(prober->parts.router, store) == NULL) {
        return fh_error_field(error, FH_NOT_FOUND, "store", "no store '%.*s'", FH_STR_ARG(store));
    }
    enum fh_code code = take_places(prober, store, tiers, &run);
    if (code != FH_OK) {
        return fh_error_set(error, code, "%s", fh_code_text(code));
    }
    run.report.started_at_us = fh_clock_realtime_us(prober->parts.env->clock);
    prober->run = run;
    arm(prober, 0);
    return FH_OK;
}

/* The next pair of the run, or the next run of our own. */
static void timer_cb(uv_timer_t *timer)
{
    struct fh_prober *prober = timer->data;
    if (!prober->run.running) {
        int64_t deadline_us = fh_clock_monotonic_us(prober->parts.env->clock) + OWN_RUN_TIMEOUT_US;
        if (fh_prober_run(prober, FH_STR(""), prober->options.tiers, deadline_us, NULL, NULL,
                          NULL) != FH_OK) {
            arm(prober, prober->options.interval_us);
        }
        return;
    }
    if (prober->run.at == prober->run.place_count) {
        end_run(prober, FH_OK);
    } else if (prober->run.deadline_us <= fh_clock_monotonic_us(prober->parts.env->clock)) {
        end_run(prober, FH_DEADLINE);
    } else {
        fh_prober_begin_pair(prober);
    }
}

enum fh_code fh_prober_create(const struct fh_prober_parts *parts,
                              const struct fh_prober_options *options, struct fh_prober **out)
{
    struct fh_prober *prober = fh_calloc(1, sizeof(*prober));
    if (prober == NULL) {
        return FH_NOMEM;
    }
    prober->parts = *parts;
    prober->options = *options;
    fh_arena_init(&prober->arena, ARENA_BYTES_MAX);
    int rc = uv_timer_init(parts->env->loop, &prober->timer);
    FH_ASSERT(rc == 0); /* libuv: always succeeds */
    prober->timer.data = prober;
    *out = prober;
    return FH_OK;
}

void fh_prober_start(struct fh_prober *prober)
{
    prober->started = true;
    if (prober->options.interval_us > 0 && !prober->run.running) {
        arm(prober, prober->options.interval_us);
    }
}

void fh_prober_close(struct fh_prober *prober, void (*closed_cb)(void *arg), void *arg)
{
    bool waits = uv_is_active((uv_handle_t *)&prober->timer) != 0;
    prober->closing = true;
    prober->closed_cb = closed_cb;
    prober->closed_arg = arg;
    if (prober->run.running && !waits) {
        return; /* a request is under way: fh_prober_is_over() */
    }
    if (prober->run.running) {
        end_run(prober, FH_SHUTTING_DOWN);
    }
    uv_close((uv_handle_t *)&prober->timer, timer_closed_cb);
}

const struct fh_probe_report *fh_prober_last(const struct fh_prober *prober)
{
    return prober->has_last ? &prober->last : NULL;
}

void fh_prober_stats(const struct fh_prober *prober, struct fh_prober_stats *out)
{
    *out = prober->stats;
}
