#include "server/app.h"

static void router_metrics(const struct fh_app *app, struct fh_buf *out)
{
    struct fh_router_stats stats;
    fh_router_stats(app->router, &stats);
    fh_metrics_head(out, "freehold_placements", "gauge", "Placements cached.");
    fh_metrics_sample(out, "freehold_placements", NULL, NULL, (double)stats.placements);
    fh_metrics_head(out, "freehold_routed_in_flight", "gauge", "Tenant requests at the stores.");
    fh_metrics_sample(out, "freehold_routed_in_flight", NULL, NULL, (double)stats.in_flight);
    fh_metrics_head(out, "freehold_placement_lookups_total", "counter",
                    "Placements looked up, by where they were found.");
    fh_metrics_sample(out, "freehold_placement_lookups_total", "found", "cache",
                      (double)stats.hits);
    fh_metrics_sample(out, "freehold_placement_lookups_total", "found", "catalog",
                      (double)stats.misses);
    fh_metrics_head(out, "freehold_routed_retries_total", "counter",
                    "Requests sent again because the tenant moved or was held.");
    fh_metrics_sample(out, "freehold_routed_retries_total", "why", "moved",
                      (double)stats.moved_retries);
    fh_metrics_sample(out, "freehold_routed_retries_total", "why", "held",
                      (double)stats.held_retries);
    fh_metrics_head(out, "freehold_routed_held", "gauge",
                    "Requests that wait because their tenant is being moved.");
    fh_metrics_sample(out, "freehold_routed_held", NULL, NULL, (double)stats.held_now);
    fh_metrics_head(out, "freehold_routed_held_total", "counter",
                    "Requests that ever waited because their tenant was being moved.");
    fh_metrics_sample(out, "freehold_routed_held_total", NULL, NULL, (double)stats.held);
    fh_metrics_head(out, "freehold_routed_held_longest_seconds", "gauge",
                    "The longest any of them waited, since start.");
    fh_metrics_sample(out, "freehold_routed_held_longest_seconds", NULL, NULL,
                      (double)stats.held_longest_us / 1e6);
    fh_metrics_head(out, "freehold_routed_refused_total", "counter",
                    "Requests refused at a tenant's concurrency bound.");
    fh_metrics_sample(out, "freehold_routed_refused_total", NULL, NULL, (double)stats.refused_full);
}

typedef double store_figure_cb(const struct fh_store_stats *stats);

static double figure_submitted(const struct fh_store_stats *stats)
{
    return (double)stats->submitted;
}

static double figure_failed(const struct fh_store_stats *stats)
{
    return (double)stats->failed;
}

static double figure_in_flight(const struct fh_store_stats *stats)
{
    return (double)stats->in_flight;
}

static double figure_queued(const struct fh_store_stats *stats)
{
    return (double)stats->queued;
}

static double figure_connections(const struct fh_store_stats *stats)
{
    return (double)stats->connections;
}

static void store_metric(const struct fh_app *app, struct fh_buf *out, const char *name,
                         const char *type, const char *help, store_figure_cb *figure)
{
    size_t cursor = 0;
    const struct fh_store *store;
    fh_metrics_head(out, name, type, help);
    while ((store = fh_router_next_store(app->router, &cursor)) != NULL) {
        struct fh_store_stats stats;
        store->ops->stats(store, &stats);
        fh_metrics_sample(out, name, "store", store->name, figure(&stats));
    }
}

static void rollout_metrics(const struct fh_app *app, struct fh_buf *out)
{
    static const char name[] = "freehold_rollout_homes";
    struct fh_roller_stats stats;
    if (app->roller == NULL) {
        return;
    }
    fh_roller_stats(app->roller, &stats);
    const struct fh_rollout_progress *progress = &stats.progress;
    if (stats.working) {
        uint64_t known = progress->homes_done + progress->homes_failed + progress->homes_waiting;
        uint64_t pending = progress->homes_total > known ? progress->homes_total - known : 0;
        fh_metrics_head(out, name, "gauge", "Homes of the rollout that is worked on here.");
        fh_metrics_sample(out, name, "state", "pending", (double)pending);
        fh_metrics_sample(out, name, "state", "done", (double)progress->homes_done);
        fh_metrics_sample(out, name, "state", "failed", (double)progress->homes_failed);
        fh_metrics_sample(out, name, "state", "waiting", (double)progress->homes_waiting);
    }
    const struct {
        const char *name;
        const char *type;
        const char *help;
        double figure;
    } rows[] = {
        {"freehold_rollout_running", "gauge", "Whether a rollout is worked on here.",
         stats.working ? 1 : 0},
        {"freehold_rollout_seconds", "gauge", "For how long it has been.",
         stats.working ? (double)stats.running_us / 1e6 : 0},
        {"freehold_rollout_homes_applied_total", "counter", "Homes brought to a newer version.",
         (double)stats.applied},
        {"freehold_rollout_homes_failed_total", "counter", "Homes that could not be.",
         (double)stats.failed},
        {"freehold_rollout_lock_timeouts_total", "counter", "Locks not had in time; tried again.",
         (double)stats.lock_timeouts},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        fh_metrics_head(out, rows[i].name, rows[i].type, rows[i].help);
        fh_metrics_sample(out, rows[i].name, NULL, NULL, rows[i].figure);
    }
}

static void move_metrics(const struct fh_app *app, struct fh_buf *out)
{
    struct fh_migrator_stats stats;
    if (app->migrator == NULL) { /* moves_max is 0 */
        return;
    }
    fh_migrator_stats(app->migrator, &stats);
    const struct {
        const char *name;
        const char *type;
        const char *help;
        double figure;
    } rows[] = {
        {"freehold_moves_running", "gauge", "Moves of tenants under way here.",
         (double)stats.running},
        {"freehold_moves_claimed_total", "counter", "Moves begun or taken over.",
         (double)stats.claimed},
        {"freehold_moves_finished_total", "counter", "Moves that came to their end here.",
         (double)stats.finished},
        {"freehold_moves_failed_total", "counter", "Moves that failed here.", (double)stats.failed},
        {"freehold_moves_called_off_total", "counter",
         "Switches that were called off, to be tried again.", (double)stats.called_off},
        {"freehold_move_rows_copied_total", "counter", "Rows copied.", (double)stats.rows_copied},
        {"freehold_move_pause_last_seconds", "gauge", "How long the last switch held writes.",
         (double)stats.pause_last_us / 1e6},
        {"freehold_move_pause_longest_seconds", "gauge", "The longest of them, since start.",
         (double)stats.pause_longest_us / 1e6},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        fh_metrics_head(out, rows[i].name, rows[i].type, rows[i].help);
        fh_metrics_sample(out, rows[i].name, NULL, NULL, rows[i].figure);
    }
}

static void probe_metrics(const struct fh_app *app, struct fh_buf *out)
{
    struct fh_prober_stats stats;
    if (app->prober == NULL) {
        return;
    }
    fh_prober_stats(app->prober, &stats);
    fh_metrics_head(out, "freehold_probe_runs_total", "counter", "Runs of the prober that ended.");
    fh_metrics_sample(out, "freehold_probe_runs_total", NULL, NULL, (double)stats.runs);
    fh_metrics_head(out, "freehold_probe_failures", "counter",
                    "Probes that found a layer of the isolation gone, by layer; none: that could "
                    "not find out.");
    for (int layer = 0; layer < FH_PROBE_LAYERS; layer++) {
        fh_metrics_sample(out, "freehold_probe_failures", "layer",
                          fh_probe_layer_name((enum fh_probe_layer)layer),
                          (double)stats.failures[layer]);
    }
    fh_metrics_head(out, "freehold_probe_last_ok_seconds", "gauge",
                    "Wall time of the last run in which everything held; 0: none yet.");
    fh_metrics_sample(out, "freehold_probe_last_ok_seconds", NULL, NULL,
                      (double)stats.last_ok_us / 1e6);
}

void fh_app_metrics_source(struct fh_buf *out, void *arg)
{
    const struct fh_app *app = arg;
    router_metrics(app, out);
    move_metrics(app, out);
    rollout_metrics(app, out);
    probe_metrics(app, out);
    store_metric(app, out, "freehold_store_requests_total", "counter", "Requests submitted.",
                 figure_submitted);
    store_metric(app, out, "freehold_store_failures_total", "counter",
                 "Requests that failed through no fault of the caller.", figure_failed);
    store_metric(app, out, "freehold_store_in_flight", "gauge", "Requests not yet answered.",
                 figure_in_flight);
    store_metric(app, out, "freehold_store_queued", "gauge", "Requests waiting for a connection.",
                 figure_queued);
    store_metric(app, out, "freehold_store_connections", "gauge", "Connections or threads open.",
                 figure_connections);
}
