/* The real parts together: a catalog on a file, a router, a provisioner, stores of the memory
 * engine. */
#ifndef FH_TESTS_UNIT_ROUTER_WORLD_H
#define FH_TESTS_UNIT_ROUTER_WORLD_H

#include "router/catalog.h"
#include "router/provision.h"
#include "router/router.h"

struct world {
    uv_loop_t loop;
    struct fh_env env;
    char dir[64];
    char path[96];
    struct fh_catalog *catalog;
    struct fh_router *router;
    struct fh_store *store; /* "main" */
    struct fh_provisioner *provisioner;
    struct fh_arena arena;
    bool done;
    enum fh_code code; /* of the last saga */
    struct fh_error error;
    struct fh_tenant tenant; /* texts are gone */
};

void world_open(struct world *world);
void world_close(struct world *world);
/* Parts over a directory that is there. */
void world_open_parts(struct world *world);
void world_close_parts(struct world *world);
void world_make_dir(struct world *world);
void world_remove_dir(struct world *world);

int64_t world_deadline(const struct world *world);
enum fh_code world_ask(struct world *world, struct fh_catalog_request *request);
enum fh_code world_get(struct world *world, const char *slug, struct fh_tenant *out);
/* Waits for the saga. */
enum fh_code world_create(struct world *world, const char *slug, const char *request_id);
enum fh_code world_erase(struct world *world, const struct fh_uuid *tenant);
void world_saga_done_cb(const struct fh_saga_result *result, void *arg);
void world_wait(struct world *world);
/* A whole sweep. */
void world_sweep(struct world *world, int64_t older_than_us);
enum fh_code world_fence(struct world *world, const struct fh_uuid *tenant, struct fh_fence *out);
/* Straight to the store; scope.home is filled in. */
enum fh_code world_ask_store(struct world *world, struct fh_request *request);
/* The same, with scope.home as it is. */
enum fh_code world_ask_home(struct world *world, struct fh_request *request);
/* Without a saga: epoch and generation 1, open. */
void world_make_home(struct world *world, const struct fh_uuid *tenant, const struct fh_home *home,
                     const struct fh_schema *at);
uint32_t world_version_of(struct world *world, const struct fh_uuid *tenant,
                          const struct fh_home *home);
void world_closed_cb(void *arg); /* sets done */
/* A routed read. */
enum fh_code world_read(struct world *world, const struct fh_uuid *tenant);

#endif
