/* Happy path: fh_app_start() builds what needs no loop, startup.c the rest; a signal stops:
 * listeners drain first, then probes, moves, sagas, HTTP, stores, router, catalog, and at last
 * timers and signals, after which the loop has nothing left and ends.
 *
 * Failures: whatever is NULL was never built and is passed over on the way down. */
#include "server/app.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/hash.h"
#include "server/auth/keys.h"

#define ARENA_BYTES_MAX (64 * 1024 * 1024)
#define TOKEN_CACHE_MAX 65536
#define SAGAS_MAX 64
#define PATH_BYTES_MAX 4096
#define FORCE_MS 1000
#define BEATS_BEFORE_TAKEOVER 5

static enum fh_log_level log_level_of(const char *text)
{
    return strcmp(text, "debug") == 0   ? FH_LOG_DEBUG
           : strcmp(text, "warn") == 0  ? FH_LOG_WARN
           : strcmp(text, "error") == 0 ? FH_LOG_ERROR
                                        : FH_LOG_INFO;
}

static const char *program_name(enum fh_app_kind kind)
{
    return kind == FH_APP_MIGRATOR ? "freehold-migrator" : "freeholdd";
}

static const char *path_in(struct fh_app *app, const char *leaf)
{
    return fh_arena_printf(&app->arena, "%s/%s", app->config.data_dir, leaf);
}

/* The directory, and the lock that keeps a second server out of it. */
static enum fh_code open_data_dir(struct fh_app *app, struct fh_error *error)
{
    const char *dir = app->config.data_dir;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        return fh_error_set(error, FH_UNAVAILABLE, "cannot make the data directory %s: %s", dir,
                            strerror(errno));
    }
    if (app->kind == FH_APP_MIGRATOR && app->config.catalog[0] != '\0') {
        return FH_OK; /* beside a server of this directory: what they share is in PostgreSQL */
    }
    const char *lock = path_in(app, "lock");
    if (lock == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    app->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (app->lock_fd < 0) {
        return fh_error_set(error, FH_UNAVAILABLE, "cannot open %s: %s", lock, strerror(errno));
    }
    if (flock(app->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(app->lock_fd); /* whoever holds the lock owns the run file too */
        app->lock_fd = -1;
        return fh_error_set(error, FH_UNAVAILABLE,
                            app->kind == FH_APP_MIGRATOR
                                ? "a freeholdd serves %s and carries out its moves; a migrator "
                                  "beside it needs a shared --catalog"
                                : "another freeholdd serves %s; stop it or choose another "
                                  "--data-dir",
                            dir);
    }
    return FH_OK;
}

/* Development keys for a realm without an issuer of its own. */
static enum fh_code open_verifier(struct fh_app *app, struct fh_error *error)
{
    const struct fh_config *config = &app->config;
    const char *keys = path_in(app, "keys");
    const char *tenant_jwks = path_in(app, "keys/tenant.jwks.json");
    const char *operator_jwks = path_in(app, "keys/operator.jwks.json");
    bool own_tenant = config->tenant_issuer[0] == '\0';
    bool own_operator = config->operator_issuer[0] == '\0';
    if (keys == NULL || tenant_jwks == NULL || operator_jwks == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    if ((!own_tenant && config->tenant_jwks[0] == '\0') ||
        (!own_operator && config->operator_jwks[0] == '\0')) {
        return fh_error_set(error, FH_INVALID,
                            "an issuer needs its key set: give tenant_jwks and operator_jwks with "
                            "tenant_issuer and operator_issuer");
    }
    if (own_tenant || own_operator) {
        enum fh_code code = fh_keys_ensure(keys, error);
        if (code != FH_OK) {
            return code;
        }
        if (config->catalog[0] != '\0') { /* what another server lets in is a stranger here */
            FH_LOG(app->env.log, WARN, "server.own_keys", FH_KV_TEXT("keys", keys));
        }
    }
    const struct fh_issuer_config issuers[] = {
        {.realm = FH_REALM_TENANT,
         .issuer = own_tenant ? FH_DEVELOPMENT_ISSUER_TENANT : config->tenant_issuer,
         .audience = config->tenant_audience,
         .jwks_path = own_tenant ? tenant_jwks : config->tenant_jwks},
        {.realm = FH_REALM_OPERATOR,
         .issuer = own_operator ? FH_DEVELOPMENT_ISSUER_OPERATOR : config->operator_issuer,
         .audience = config->operator_audience,
         .jwks_path = own_operator ? operator_jwks : config->operator_jwks},
    };
    enum fh_code code =
        fh_verifier_create(&app->env, issuers, 2, TOKEN_CACHE_MAX, &app->verifier, error);
    app->authenticators[0] =
        (struct fh_authenticator){.verifier = app->verifier, .realm = FH_REALM_TENANT};
    app->authenticators[1] =
        (struct fh_authenticator){.verifier = app->verifier, .realm = FH_REALM_OPERATOR};
    return code;
}

static enum fh_code open_router(struct fh_app *app, struct fh_error *error)
{
    struct fh_router_options options;
    enum fh_code code = fh_app_open_secret(app, error);
    if (code != FH_OK) {
        return code;
    }
    const struct fh_store_registry_options registry = {
        .engines = app->engines,
        .engine_count = app->engine_count,
        .data_dir = app->config.data_dir,
        .shared = app->config.catalog[0] != '\0',
        .homes_max = (uint32_t)app->config.homes_max,
        .open_homes_max = (uint32_t)app->config.open_homes_max,
        .secret = app->has_secret ? app->secret : NULL,
    };
    code = fh_app_open_catalog(app, error);
    if (code != FH_OK) {
        return code;
    }
    fh_router_options_init(&options);
    options.tenant_in_flight_max = (uint32_t)app->config.tenant_calls_max;
    code = fh_router_create(&app->env, app->catalog, &options, &app->router);
    if (code == FH_OK) {
        code = fh_store_registry_create(&app->env, app->router, &registry, &app->stores);
    }
    if (code == FH_OK) {
        code = fh_schemas_create(&app->env, app->catalog, app->router, &app->schemas);
    }
    if (code == FH_OK) {
        code = fh_provisioner_create(&app->env, app->catalog, app->router, SAGAS_MAX,
                                     &app->provisioner);
    }
    if (code == FH_OK) {
        struct fh_roller_options rollouts;
        fh_roller_options_init(&rollouts);
        rollouts.takeover_after_us = app->config.takeover_ms * 1000;
        rollouts.beat_us = rollouts.takeover_after_us / BEATS_BEFORE_TAKEOVER;
        rollouts.poll_us = rollouts.beat_us;
        rollouts.actor = fh_str_of(program_name(app->kind));
        code = fh_roller_create(&app->env, app->catalog, app->router, app->schemas, &rollouts,
                                &app->roller);
    }
    if (code == FH_OK && app->kind == FH_APP_SERVER) {
        const struct fh_prober_parts parts = {.env = &app->env,
                                              .catalog = app->catalog,
                                              .router = app->router,
                                              .provisioner = app->provisioner};
        const struct fh_prober_options probes = {.interval_us =
                                                     app->config.probe_interval_s * 1000000};
        code = fh_prober_create(&parts, &probes, &app->prober);
    }
    if (code == FH_OK && app->config.moves_max > 0) {
        struct fh_migrator_options moves;
        fh_migrator_options_init(&moves);
        moves.moves_max = (size_t)app->config.moves_max;
        moves.takeover_after_us = app->config.takeover_ms * 1000;
        moves.beat_us = moves.takeover_after_us / BEATS_BEFORE_TAKEOVER;
        moves.poll_us = moves.beat_us;
        moves.actor = fh_str_of(program_name(app->kind));
        code = fh_migrator_create(&app->env, app->catalog, app->router, &moves, &app->migrator);
    }
    return code == FH_OK ? FH_OK : fh_error_set(error, code, "%s", fh_code_text(code));
}

static enum fh_code open_metrics(struct fh_app *app, struct fh_error *error)
{
    enum fh_code code = fh_metrics_create(&app->metrics);
    if (code == FH_OK) {
        code = fh_metrics_add_source(app->metrics, fh_app_metrics_source, app);
    }
    if (code != FH_OK) {
        return fh_error_set(error, code, "%s", fh_code_text(code));
    }
    app->access_log = (struct fh_access_log){
        .log = app->env.log,
        .metrics = app->metrics,
        .per_mille = (uint32_t)app->config.access_log_per_mille,
    };
    return FH_OK;
}

/* Writes that are under way then end as after a kill: committed or not, as a retry will tell. */
static void on_force(uv_timer_t *timer)
{
    struct fh_app *app = timer->data;
    FH_LOG(app->env.log, WARN, "server.forced");
    fh_log_flush(app->env.log);
    if (app->kind == FH_APP_SERVER) {
        fh_run_file_remove(app);
    }
    _exit(EXIT_FAILURE);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct fh_app *app = handle->data;
    FH_LOG(app->env.log, INFO, "server.signal", FH_KV_INT("signal", number));
    fh_log_flush(app->env.log);
    if (app->stopping && !uv_is_active((uv_handle_t *)&app->force)) {
        int rc = uv_timer_start(&app->force, on_force, FORCE_MS, 0);
        FH_ASSERT(rc == 0); /* the callback is not NULL */
    }
    fh_app_stop(app);
}

static void start_signals(struct fh_app *app)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    int rc = uv_timer_init(app->env.loop, &app->force);
    FH_ASSERT(rc == 0); /* libuv: always succeeds */
    app->force.data = app;
    app->handles_open++;
    for (int i = 0; i < 2; i++) {
        rc = uv_signal_init(app->env.loop, &app->signals[i]);
        FH_ASSERT(rc == 0); /* fails only without a loop */
        app->signals[i].data = app;
        app->handles_open++;
        rc = uv_signal_start(&app->signals[i], on_signal, numbers[i]);
        FH_ASSERT(rc == 0);
    }
}

enum fh_code fh_app_start(struct fh_app *app, enum fh_app_kind kind, const struct fh_config *config,
                          const struct fh_store_ops *const *engines, size_t engine_count,
                          uv_loop_t *loop, struct fh_error *error)
{
    memset(app, 0, sizeof(*app));
    app->kind = kind;
    app->config = *config;
    app->engines = engines;
    app->engine_count = engine_count;
    app->lock_fd = -1;
    app->env.loop = loop;
    app->env.clock = fh_clock_system();
    fh_arena_init(&app->arena, ARENA_BYTES_MAX);
    fh_hash_seed();
    (void)signal(SIGPIPE, SIG_IGN); /* a vanished peer is an error code, not a death */
    enum fh_code code = fh_log_create(STDERR_FILENO, log_level_of(config->log_level),
                                      app->env.clock, &app->env.log);
    if (code != FH_OK) {
        return fh_error_set(error, code, "cannot start the log");
    }
    start_signals(app);
    code = open_data_dir(app, error);
    if (code == FH_OK && kind == FH_APP_SERVER) {
        code = open_verifier(app, error);
    }
    if (code == FH_OK) {
        code = open_metrics(app, error);
    }
    if (code == FH_OK) {
        code = open_router(app, error);
    }
    if (code == FH_OK) {
        fh_app_start_serving(app);
    }
    return code;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct fh_app *app = handle->data;
    app->handles_open--;
}

static void stop_handles(struct fh_app *app)
{
    for (size_t i = 0; i < FH_APP_TIMERS; i++) {
        if (app->timers[i].data != NULL) {
            uv_close((uv_handle_t *)&app->timers[i], on_handle_closed);
        }
    }
    uv_close((uv_handle_t *)&app->force, on_handle_closed);
    for (size_t i = 0; i < 2; i++) {
        if (app->signals[i].data != NULL) {
            uv_close((uv_handle_t *)&app->signals[i], on_handle_closed);
        }
    }
}

static void catalog_closed_cb(void *arg)
{
    struct fh_app *app = arg;
    app->catalog = NULL;
    FH_LOG(app->env.log, INFO, "server.stopped", FH_KV_INT("failed", app->failed));
    stop_handles(app);
}

static void router_closed_cb(void *arg)
{
    struct fh_app *app = arg;
    app->router = NULL;
    if (app->catalog != NULL) {
        fh_catalog_close(app->catalog, catalog_closed_cb, app);
    } else {
        catalog_closed_cb(app);
    }
}

/* The schema's jobs walk the router's stores, of which there are none any more: they end soon. */
static void close_router(struct fh_app *app)
{
    app->router_waits = app->loading || app->behind != NULL;
    if (app->router_waits) {
        return;
    }
    if (app->router != NULL) {
        fh_router_close(app->router, router_closed_cb, app);
    } else {
        router_closed_cb(app);
    }
}

void fh_app_schema_settled(struct fh_app *app)
{
    if (app->router_waits) {
        close_router(app);
    }
}

static void stores_closed_cb(void *arg)
{
    struct fh_app *app = arg;
    app->stores = NULL;
    close_router(app);
}

static void follower_closed_cb(void *arg)
{
    struct fh_app *app = arg;
    app->follower = NULL;
    if (app->stores != NULL) {
        fh_store_registry_close(app->stores, stores_closed_cb, app);
    } else {
        stores_closed_cb(app);
    }
}

static void http_stopped_cb(void *arg)
{
    struct fh_app *app = arg;
    app->http = NULL;
    if (app->follower != NULL) {
        fh_follower_close(app->follower, follower_closed_cb, app);
    } else {
        follower_closed_cb(app);
    }
}

static void provisioner_closed_cb(void *arg)
{
    struct fh_app *app = arg;
    app->provisioner = NULL;
    if (app->http != NULL) {
        fh_http_stop(app->http, http_stopped_cb, app);
    } else {
        http_stopped_cb(app);
    }
}

static void roller_closed_cb(void *arg)
{
    struct fh_app *app = arg;
    app->roller = NULL;
    app->services.roller = NULL;
    if (app->provisioner != NULL) {
        fh_provisioner_close(app->provisioner, provisioner_closed_cb, app);
    } else {
        provisioner_closed_cb(app);
    }
}

static void migrator_closed_cb(void *arg)
{
    struct fh_app *app = arg;
    app->migrator = NULL;
    app->services.migrator = NULL;
    if (app->roller != NULL) {
        fh_roller_close(app->roller, roller_closed_cb, app);
    } else {
        roller_closed_cb(app);
    }
}

static void prober_closed_cb(void *arg)
{
    struct fh_app *app = arg;
    app->prober = NULL;
    app->services.prober = NULL;
    if (app->migrator != NULL) {
        fh_migrator_close(app->migrator, migrator_closed_cb, app);
    } else {
        migrator_closed_cb(app);
    }
}

static void rpc_stopped_cb(void *arg)
{
    struct fh_app *app = arg;
    app->rpc = NULL;
    if (app->prober != NULL) {
        fh_prober_close(app->prober, prober_closed_cb, app);
    } else {
        prober_closed_cb(app);
    }
}

void fh_app_stop(struct fh_app *app)
{
    bool again = app->stopping;
    app->stopping = true;
    app->services.stopping = true;
    app->ready = false;
    if (app->rpc != NULL) { /* again: cuts live calls off */
        fh_rpc_server_stop(app->rpc, rpc_stopped_cb, app);
    } else if (!again) {
        rpc_stopped_cb(app);
    }
}

void fh_app_close(struct fh_app *app)
{
    FH_ASSERT(app->handles_open == 0);
    fh_schemas_destroy(app->schemas);
    if (app->verifier != NULL) {
        fh_verifier_destroy(app->verifier);
    }
    fh_metrics_destroy(app->metrics);
    if (app->lock_fd >= 0) {
        if (app->kind == FH_APP_SERVER) {
            fh_run_file_remove(app);
        }
        (void)close(app->lock_fd);
    }
    fh_log_destroy(app->env.log);
    fh_arena_close(&app->arena);
}
