/* The application: builds every part in order, serves, and takes them down in reverse.
 *
 * One per process; loop thread only. Start-up has a part that blocks for milliseconds (files, keys,
 * catalog) and a part on the loop (stores, schema, listeners), after which `ready` is true. A
 * failure in either prints why, and stops the loop with `failed` set.
 */
#ifndef FH_SERVER_APP_H
#define FH_SERVER_APP_H

#include <stdbool.h>
#include <uv.h>

#include "base/arena.h"
#include "base/env.h"
#include "base/error.h"
#include "migrator/migrator.h"
#include "prober/prober.h"
#include "router/catalog.h"
#include "router/follower.h"
#include "router/provision.h"
#include "router/roller.h"
#include "router/router.h"
#include "router/schemas.h"
#include "router/store_registry.h"
#include "server/access_log.h"
#include "server/auth/authenticate.h"
#include "server/auth/verifier.h"
#include "server/config.h"
#include "server/handlers/services.h"
#include "server/http/http.h"
#include "server/metrics/metrics.h"
#include "server/rpc/server.h"

#define FH_APP_TIMERS 5

enum fh_app_kind {
    FH_APP_SERVER,   /* freeholdd */
    FH_APP_MIGRATOR, /* freehold-migrator: moves and /metrics, no gRPC */
};

struct fh_app {
    enum fh_app_kind kind;
    struct fh_config config;
    const struct fh_store_ops *const *engines; /* borrowed */
    size_t engine_count;
    struct fh_env env;
    struct fh_arena arena; /* start-up's catalog requests; the application's own strings */
    int lock_fd;           /* one server a data directory */

    struct fh_catalog *catalog;
    uint8_t secret[32]; /* of the stores; see secret.c */
    bool has_secret;
    struct fh_router *router;
    struct fh_store_registry *stores;
    struct fh_schemas *schemas;
    struct fh_follower *follower; /* from the schema's first load on */
    struct fh_provisioner *provisioner;
    struct fh_migrator *migrator; /* NULL: moves_max is 0 */
    struct fh_roller *roller;
    struct fh_prober *prober; /* servers only */
    struct fh_verifier *verifier;
    struct fh_authenticator authenticators[2]; /* tenant, operator */
    struct fh_metrics *metrics;
    struct fh_access_log access_log;
    struct fh_page_keys page_keys;
    struct fh_services services;
    struct fh_rpc_server *rpc;
    struct fh_http *http;

    uv_timer_t timers[FH_APP_TIMERS];
    uv_timer_t force; /* runs from the second signal on */
    uv_signal_t signals[2];
    int handles_open;
    struct fh_catalog_request catalog_request; /* start-up's, one at a time */
    struct fh_store *behind;                   /* the store being caught up, or NULL */
    bool loading;                              /* start-up's load of the schema is under way */
    bool router_waits;                         /* to be closed, for either of them */

    bool ready;
    bool stopping;
    bool failed;
};

/* Blocking part; then run the loop. On failure the caller says fh_app_fail() and runs the loop as
 * well: it takes down what was built. `engines`: the operation tables this program brings; only a
 * main names engines. */
FH_MUST_CHECK enum fh_code fh_app_start(struct fh_app *app, enum fh_app_kind kind,
                                        const struct fh_config *config,
                                        const struct fh_store_ops *const *engines,
                                        size_t engine_count, uv_loop_t *loop,
                                        struct fh_error *error);
/* A whole program: settings from argv, serving, orderly end; answers the exit status. For mains. */
int fh_app_main(enum fh_app_kind kind, int argc, char *const *argv,
                const struct fh_store_ops *const *engines, size_t engine_count);
/* Graceful; a second call cuts live calls off. A second signal does that too, and ends the process
 * (status 1) when a store that does not answer still holds it a second later. */
void fh_app_stop(struct fh_app *app);
/* After the loop ended. */
void fh_app_close(struct fh_app *app);

/* A load or a catch-up of the schema ended: an end that waited for it goes on. */
void fh_app_schema_settled(struct fh_app *app);

/* open_catalog.c: the catalog that the settings name. */
FH_MUST_CHECK enum fh_code fh_app_open_catalog(struct fh_app *app, struct fh_error *error);

/* secret.c: what the passwords of tenants' databases are made from. */
FH_MUST_CHECK enum fh_code fh_app_open_secret(struct fh_app *app, struct fh_error *error);

/* startup.c: the part on the loop. */
void fh_app_start_serving(struct fh_app *app);
void fh_app_fail(struct fh_app *app, const char *what, const struct fh_error *error);

/* run_file.c: <data_dir>/freeholdd.json tells the CLI of this machine where the server is. */
FH_MUST_CHECK enum fh_code fh_run_file_write(const struct fh_app *app, struct fh_error *error);
void fh_run_file_remove(const struct fh_app *app);

/* app_metrics.c: router's and stores' figures for /metrics; arg is a struct fh_app. */
void fh_app_metrics_source(struct fh_buf *out, void *arg);

#endif
