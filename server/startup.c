/* The part of start-up that runs on the loop, one step calling the next:
 *
 *   stores listed -> (first start: the default store registered) -> stores opened -> page keys
 *   -> schema loaded -> listeners -> HTTP -> run file -> ready, sweep
 *
 * A store that cannot be opened is logged and left out; its tenants are UNAVAILABLE until a start
 * finds that it can. Everything else that fails stops the server. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "server/app.h"

#define START_TIMEOUT_US (60LL * 1000000)
#define CATCH_UP_TIMEOUT_US (30LL * 1000000)
#define FLUSH_MS 200
#define RELOAD_MS 1000
#define SWEEP_MS 60000
#define CATCH_UP_MS 5000
#define IDLE_LOOK_MS 100
#define SWEEP_OLDER_THAN_US (5LL * 60 * 1000000)

void fh_app_fail(struct fh_app *app, const char *what, const struct fh_error *error)
{
    FH_LOG(app->env.log, ERROR, "server.failed", FH_KV_TEXT("what", what),
           FH_KV_TEXT("why", fh_error_text(error)));
    (void)fprintf(stderr, "freeholdd: %s: %s\n", what, fh_error_text(error));
    app->failed = true;
    fh_app_stop(app);
}

/* With what `error` says if it is about `code`. */
static void fail_as(struct fh_app *app, const char *what, enum fh_code code,
                    const struct fh_error *error)
{
    fh_app_fail(app, what, error->code == code ? error : &(struct fh_error){.code = code});
}

static void submit_catalog(struct fh_app *app, enum fh_catalog_op op,
                           void (*done_cb)(struct fh_catalog_request *request))
{
    struct fh_catalog_request *request = &app->catalog_request;
    request->op = op;
    request->deadline_us = fh_clock_monotonic_us(app->env.clock) + START_TIMEOUT_US;
    request->arena = &app->arena;
    request->done_cb = done_cb;
    request->arg = app;
    request->audit = (struct fh_audit_context){
        .actor = FH_STR("freeholdd"), .address = FH_STR("local"), .reason = FH_STR("start-up")};
    enum fh_code code = fh_catalog_submit(app->catalog, request);
    if (code != FH_OK) {
        fail_as(app, "catalog", code, &request->error);
    }
}

static void on_flush(uv_timer_t *timer)
{
    struct fh_app *app = timer->data;
    fh_log_flush(app->env.log);
}

static void on_reload(uv_timer_t *timer)
{
    struct fh_app *app = timer->data;
    fh_verifier_reload(app->verifier);
}

static void on_sweep(uv_timer_t *timer)
{
    struct fh_app *app = timer->data;
    if (!app->stopping) {
        fh_provisioner_sweep(app->provisioner, SWEEP_OLDER_THAN_US);
    }
}

static void caught_up_cb(const struct fh_schemas_result *result, void *arg)
{
    struct fh_app *app = arg;
    if (result->code != FH_OK) {
        FH_LOG(app->env.log, WARN, "store.behind", FH_KV_TEXT("store", app->behind->name),
               FH_KV_TEXT("why", fh_error_text(&result->error)));
    }
    app->behind = NULL;
    fh_app_schema_settled(app);
}

/* One store a turn; those that are not behind answer at once. */
static void on_catch_up(uv_timer_t *timer)
{
    struct fh_app *app = timer->data;
    if (app->stopping || app->behind != NULL) {
        return;
    }
    app->behind = fh_schemas_next_behind(app->schemas);
    if (app->behind == NULL) {
        return;
    }
    int64_t deadline_us = fh_clock_monotonic_us(app->env.clock) + CATCH_UP_TIMEOUT_US;
    if (fh_schemas_catch_up(app->schemas, app->behind, deadline_us, caught_up_cb, app) != FH_OK) {
        app->behind = NULL;
    }
}

/* freehold-migrator --once: nothing is left to do. */
static void on_idle_look(uv_timer_t *timer)
{
    struct fh_app *app = timer->data;
    if (app->stopping || app->roller == NULL) {
        return; /* it is closed while the timer still runs */
    }
    if ((app->migrator == NULL || fh_migrator_is_idle(app->migrator)) &&
        fh_roller_is_idle(app->roller)) {
        fh_app_stop(app);
    }
}

/* What a migrator is spared: it verifies no tokens and leaves sweeping to the servers. */
static bool is_wanted(const struct fh_app *app, uv_timer_cb timer)
{
    if (timer == on_idle_look) {
        return app->config.once;
    }
    return app->kind == FH_APP_SERVER || (timer != on_reload && timer != on_sweep);
}

static void start_timers(struct fh_app *app)
{
    static const struct {
        uv_timer_cb run;
        uint64_t every_ms;
    } timers[FH_APP_TIMERS] = {
        {on_flush, FLUSH_MS},       {on_reload, RELOAD_MS},       {on_sweep, SWEEP_MS},
        {on_catch_up, CATCH_UP_MS}, {on_idle_look, IDLE_LOOK_MS},
    };
    for (size_t i = 0; i < FH_APP_TIMERS; i++) {
        if (!is_wanted(app, timers[i].run)) {
            continue;
        }
        int rc = uv_timer_init(app->env.loop, &app->timers[i]);
        FH_ASSERT(rc == 0); /* libuv: always succeeds */
        app->timers[i].data = app;
        app->handles_open++;
        rc = uv_timer_start(&app->timers[i], timers[i].run, timers[i].every_ms, timers[i].every_ms);
        FH_ASSERT(rc == 0); /* the callback is not NULL */
    }
}

static enum fh_code listen_on(struct fh_app *app, bool is_operator, struct fh_error *error)
{
    const struct fh_rpc_service tenant_services[] = {
        fh_data_service(&app->services),
        fh_audit_service(&app->services),
    };
    const struct fh_rpc_service operator_services[] = {
        fh_tenant_admin_service(&app->services), fh_store_admin_service(&app->services),
        fh_schema_service(&app->services),       fh_move_admin_service(&app->services),
        fh_probe_service(&app->services),
    };
    const struct fh_rpc_listener listener = {
        .name = is_operator ? "operator" : "tenant",
        .address = is_operator ? app->config.operator_listen : app->config.listen,
        .tls_certificate_pem =
            app->config.tls_certificate[0] != '\0' ? app->config.tls_certificate : NULL,
        .tls_key_pem = app->config.tls_key[0] != '\0' ? app->config.tls_key : NULL,
        .insecure = app->config.insecure,
        .services = is_operator ? operator_services : tenant_services,
        .service_count = is_operator ? sizeof(operator_services) / sizeof(operator_services[0])
                                     : sizeof(tenant_services) / sizeof(tenant_services[0]),
        .authenticate = fh_authenticate,
        .authenticate_arg = &app->authenticators[is_operator ? 1 : 0],
    };
    return fh_rpc_server_listen(app->rpc, &listener, error);
}

static enum fh_code start_rpc(struct fh_app *app, struct fh_error *error)
{
    struct fh_rpc_options options;
    fh_rpc_options_init(&options);
    options.calls_max = (uint32_t)app->config.calls_max;
    options.drain_us = app->config.drain_ms * 1000;
    options.force_pump = app->config.pump;
    options.observe = fh_access_log_observe;
    options.observe_arg = &app->access_log;
    enum fh_code code = fh_rpc_server_create(&app->env, &options, &app->rpc, error);
    if (code == FH_OK) {
        code = listen_on(app, false, error);
    }
    if (code == FH_OK) {
        code = listen_on(app, true, error);
    }
    if (code == FH_OK) {
        code = fh_rpc_server_start(app->rpc, error);
    }
    return code;
}

static void render_metrics(struct fh_buf *out, void *arg)
{
    struct fh_app *app = arg;
    fh_metrics_render(app->metrics, out);
}

static bool is_ready(const char **why_not, void *arg)
{
    struct fh_app *app = arg;
    *why_not = app->stopping ? "stopping" : "starting";
    return app->ready;
}

static enum fh_code start_http(struct fh_app *app, struct fh_error *error)
{
    const struct fh_http_options options = {
        .address = app->config.http_listen,
        .insecure = app->config.insecure,
        .metrics = render_metrics,
        .ready = is_ready,
        .arg = app,
    };
    return fh_http_start(&app->env, &options, &app->http, error);
}

static void serve(struct fh_app *app)
{
    static struct fh_rpc_service (*const services[])(struct fh_services *) = {
        fh_data_service,   fh_audit_service,      fh_tenant_admin_service, fh_store_admin_service,
        fh_schema_service, fh_move_admin_service, fh_probe_service,
    };
    struct fh_error error = FH_ERROR_INIT;
    app->services = (struct fh_services){
        .env = &app->env,
        .router = app->router,
        .catalog = app->catalog,
        .provisioner = app->provisioner,
        .schemas = app->schemas,
        .stores = app->stores,
        .page_keys = &app->page_keys,
        .migrator = app->migrator,
        .roller = app->roller,
        .prober = app->prober,
        .default_store = app->config.default_store,
    };
    enum fh_code code = start_rpc(app, &error);
    if (code == FH_OK) {
        code = start_http(app, &error);
    }
    if (code == FH_OK) {
        code = fh_run_file_write(app, &error);
    }
    if (code != FH_OK) {
        fail_as(app, "cannot serve", code, &error);
        return;
    }
    app->ready = true;
    fh_rpc_server_set_serving(app->rpc, "", true);
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        fh_rpc_server_set_serving(app->rpc, services[i](&app->services).descriptor->name, true);
    }
    start_timers(app);
    fh_provisioner_sweep(app->provisioner, 0);
    if (app->migrator != NULL) {
        fh_migrator_start(app->migrator);
    }
    fh_roller_start(app->roller);
    fh_prober_start(app->prober);
    FH_LOG(app->env.log, INFO, "server.ready", FH_KV_TEXT("data_dir", app->config.data_dir),
           FH_KV_INT("tenant_port", fh_rpc_server_port(app->rpc, "tenant")),
           FH_KV_INT("operator_port", fh_rpc_server_port(app->rpc, "operator")),
           FH_KV_INT("http_port", fh_http_port(app->http)),
           FH_KV_TEXT("poller", fh_rpc_server_poller(app->rpc)));
    fh_log_flush(app->env.log);
    (void)printf("freeholdd ready: tenants %d, operators %d, http %d\n",
                 fh_rpc_server_port(app->rpc, "tenant"), fh_rpc_server_port(app->rpc, "operator"),
                 fh_http_port(app->http));
    (void)fflush(stdout);
}

static void work(struct fh_app *app)
{
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code = start_http(app, &error);
    if (code != FH_OK) {
        fail_as(app, "cannot start", code, &error);
        return;
    }
    app->ready = true;
    start_timers(app);
    if (app->migrator != NULL) {
        fh_migrator_start(app->migrator);
    }
    fh_roller_start(app->roller);
    FH_LOG(app->env.log, INFO, "migrator.ready", FH_KV_INT("http_port", fh_http_port(app->http)));
    fh_log_flush(app->env.log);
    (void)printf("freehold-migrator ready: http %d\n", fh_http_port(app->http));
    (void)fflush(stdout);
}

static void schemas_loaded_cb(const struct fh_schemas_result *result, void *arg)
{
    struct fh_app *app = arg;
    app->loading = false;
    if (app->stopping) {
        fh_app_schema_settled(app);
        return;
    }
    if (result->code != FH_OK) {
        fail_as(app, "schema", result->code, &result->error);
        return;
    }
    const struct fh_follower_parts parts = {
        .env = &app->env,
        .catalog = app->catalog,
        .router = app->router,
        .stores = app->stores,
        .schemas = app->schemas,
    };
    enum fh_code code = fh_follower_create(&parts, &app->follower);
    if (code != FH_OK) {
        fail_as(app, "follower", code, &(struct fh_error){.code = FH_OK});
    } else if (app->kind == FH_APP_SERVER) {
        serve(app);
    } else {
        work(app);
    }
}

static void keys_listed_cb(struct fh_catalog_request *request)
{
    struct fh_app *app = request->arg;
    if (app->stopping) {
        return;
    }
    if (request->code != FH_OK) {
        fail_as(app, "page keys", request->code, &request->error);
        return;
    }
    app->page_keys.count = request->as.page_keys.count < FH_PAGE_KEYS_MAX
                               ? request->as.page_keys.count
                               : FH_PAGE_KEYS_MAX;
    for (size_t i = 0; i < app->page_keys.count; i++) {
        app->page_keys.keys[i] = request->as.page_keys.keys[i];
    }
    int64_t deadline_us = fh_clock_monotonic_us(app->env.clock) + START_TIMEOUT_US;
    enum fh_code code = fh_schemas_load(app->schemas, deadline_us, schemas_loaded_cb, app);
    app->loading = code == FH_OK;
    if (code != FH_OK) {
        fh_app_fail(app, "schema", &(struct fh_error){.code = code});
    }
}

static void open_store(struct fh_app *app, const struct fh_store_record *record)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_store *store = NULL;
    if (fh_store_registry_open(app->stores, record, &store, &error) != FH_OK) {
        FH_LOG(app->env.log, ERROR, "store.not_opened", FH_KV_TEXT("store", record->name),
               FH_KV_TEXT("why", fh_error_text(&error)));
    }
}

static void default_store_made_cb(struct fh_catalog_request *request)
{
    struct fh_app *app = request->arg;
    if (app->stopping) {
        return;
    }
    if (request->code != FH_OK) {
        fail_as(app, "default store", request->code, &request->error);
        return;
    }
    open_store(app, &request->as.store);
    submit_catalog(app, FH_CATALOG_PAGE_KEYS, keys_listed_cb);
}

/* First start: a SQLite store under the data directory, so that everything works at once. */
static void make_default_store(struct fh_app *app)
{
    struct fh_store_record *record = &app->catalog_request.as.store;
    *record = (struct fh_store_record){
        .engine = FH_STR("sqlite"),
        .location = fh_str_of(app->config.default_store),
        .created_at_us = fh_clock_realtime_us(app->env.clock),
    };
    if (!fh_store_name_is_valid(fh_str_of(app->config.default_store))) {
        fh_app_fail(app, "default_store",
                    &(struct fh_error){.code = FH_INVALID, .message = "not a store name"});
        return;
    }
    (void)snprintf(record->name, sizeof(record->name), "%s", app->config.default_store);
    submit_catalog(app, FH_CATALOG_STORE_CREATE, default_store_made_cb);
}

static void stores_listed_cb(struct fh_catalog_request *request)
{
    struct fh_app *app = request->arg;
    if (app->stopping) {
        return;
    }
    if (request->code != FH_OK) {
        fail_as(app, "stores", request->code, &request->error);
        return;
    }
    /* Servers that share a catalog share their stores: a directory of this one's own is none. */
    if (request->as.stores.count == 0 && app->kind == FH_APP_SERVER && !app->catalog->shared) {
        make_default_store(app);
        return;
    }
    for (size_t i = 0; i < request->as.stores.count; i++) {
        open_store(app, &request->as.stores.stores[i]);
    }
    submit_catalog(app, FH_CATALOG_PAGE_KEYS, keys_listed_cb);
}

void fh_app_start_serving(struct fh_app *app)
{
    submit_catalog(app, FH_CATALOG_STORE_LIST, stores_listed_cb);
}
