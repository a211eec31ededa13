/* Everything runs on one loop; whoever waits turns it. */
#include "tests/unit/router/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "router/catalog_sqlite/catalog_sqlite.h"
#include "stores/mem/mem.h"

static const struct fh_schema schema = {0};

void world_make_dir(struct world *world)
{
    const char *base = getenv("TMPDIR");
    memset(world, 0, sizeof(*world));
    (void)snprintf(world->dir, sizeof(world->dir), "%.40s/fh-router-XXXXXX",
                   base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(world->dir));
    (void)snprintf(world->path, sizeof(world->path), "%s/catalog.db", world->dir);
}

void world_remove_dir(struct world *world)
{
    char name[128];
    const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof(name), "%s%s", world->path, suffixes[i]);
        (void)unlink(name);
    }
    assert_int_equal(rmdir(world->dir), 0);
}

int64_t world_deadline(const struct world *world)
{
    return fh_clock_monotonic_us(world->env.clock) + 60 * 1000000LL;
}

static void asked_cb(struct fh_catalog_request *request)
{
    ((struct world *)request->arg)->done = true;
}

static void store_done_cb(struct fh_request *request)
{
    ((struct world *)request->arg)->done = true;
}

void world_wait(struct world *world)
{
    while (!world->done) {
        uv_run(&world->loop, UV_RUN_ONCE);
    }
}

enum fh_code world_ask(struct world *world, struct fh_catalog_request *request)
{
    request->deadline_us = world_deadline(world);
    request->arena = &world->arena;
    request->done_cb = asked_cb;
    request->arg = world;
    world->done = false;
    enum fh_code code = fh_catalog_submit(world->catalog, request);
    if (code != FH_OK) {
        return code;
    }
    world_wait(world);
    return request->code;
}

enum fh_code world_ask_home(struct world *world, struct fh_request *request)
{
    request->deadline_us = world_deadline(world);
    request->arena = &world->arena;
    request->done_cb = store_done_cb;
    request->arg = world;
    world->done = false;
    assert_int_equal(fh_store_submit(world->store, request), FH_OK);
    world_wait(world);
    return request->code;
}

enum fh_code world_ask_store(struct world *world, struct fh_request *request)
{
    request->scope.home = (struct fh_home){.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED};
    return world_ask_home(world, request);
}

void world_make_home(struct world *world, const struct fh_uuid *tenant, const struct fh_home *home,
                     const struct fh_schema *at)
{
    struct fh_request request = {
        .op = FH_OP_HOME_CREATE,
        .scope = {.tenant = *tenant, .epoch = 1, .home = *home, .schema = at},
        .as.home.fence = {.epoch = 1, .generation = 1, .mode = FH_FENCE_OPEN},
    };
    assert_int_equal(world_ask_home(world, &request), FH_OK);
}

uint32_t world_version_of(struct world *world, const struct fh_uuid *tenant,
                          const struct fh_home *home)
{
    struct fh_request request = {
        .op = FH_OP_FENCE_READ,
        .scope = {.tenant = *tenant, .epoch = 1, .home = *home},
    };
    (void)world_ask_home(world, &request); /* the version is told with any code */
    return request.as.fence.schema_version;
}

void world_open_parts(struct world *world)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_router_options options;
    struct fh_store_config config = {.name = "main"};
    assert_int_equal(uv_loop_init(&world->loop), 0);
    world->env = (struct fh_env){.loop = &world->loop, .clock = fh_clock_system()};
    fh_arena_init(&world->arena, (size_t)16 * 1024 * 1024);
    assert_int_equal(fh_catalog_sqlite_open(&world->env, world->path, &world->catalog, &error),
                     FH_OK);
    fh_router_options_init(&options);
    assert_int_equal(fh_router_create(&world->env, world->catalog, &options, &world->router),
                     FH_OK);
    assert_int_equal(fh_store_mem_ops.open(&world->env, &config, &world->store, &error), FH_OK);
    struct fh_request apply = {.op = FH_OP_SCHEMA_APPLY, .as.schema.target = &schema};
    assert_int_equal(world_ask_store(world, &apply), FH_OK);
    assert_int_equal(fh_router_add_store(world->router, world->store), FH_OK);
    fh_router_set_schema(world->router, &schema);
    assert_int_equal(
        fh_provisioner_create(&world->env, world->catalog, world->router, 16, &world->provisioner),
        FH_OK);
    struct fh_catalog_request request = {.op = FH_CATALOG_STORE_CREATE};
    (void)snprintf(request.as.store.name, sizeof(request.as.store.name), "main");
    request.as.store.engine = FH_STR("memory");
    enum fh_code code = world_ask(world, &request);
    assert_true(code == FH_OK || code == FH_EXISTS);
}

void world_closed_cb(void *arg)
{
    ((struct world *)arg)->done = true;
}

void world_close_parts(struct world *world)
{
    world->done = false;
    fh_provisioner_close(world->provisioner, world_closed_cb, world);
    world_wait(world);
    world->done = false;
    fh_store_close(world->store, world_closed_cb, world);
    world_wait(world);
    world->done = false;
    fh_router_close(world->router, world_closed_cb, world);
    world_wait(world);
    world->done = false;
    fh_catalog_close(world->catalog, world_closed_cb, world);
    world_wait(world);
    fh_arena_close(&world->arena);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
}

void world_open(struct world *world)
{
    world_make_dir(world);
    world_open_parts(world);
}

void world_close(struct world *world)
{
    world_close_parts(world);
    world_remove_dir(world);
}

enum fh_code world_get(struct world *world, const char *slug, struct fh_tenant *out)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_TENANT_GET};
    request.as.get.slug = fh_str_of(slug);
    enum fh_code code = world_ask(world, &request);
    *out = request.as.get.tenant;
    return code;
}

void world_saga_done_cb(const struct fh_saga_result *result, void *arg)
{
    struct world *world = arg;
    world->code = result->code;
    world->error = result->error;
    world->tenant = *result->tenant;
    world->done = true;
}

enum fh_code world_create(struct world *world, const char *slug, const char *request_id)
{
    struct fh_tenant tenant = {.slug = fh_str_of(slug)};
    struct fh_audit_context audit = {.actor = FH_STR("root"), .request_id = fh_str_of(request_id)};
    (void)snprintf(tenant.placement.store, sizeof(tenant.placement.store), "main");
    world->done = false;
    enum fh_code code =
        fh_tenant_provision(world->provisioner, &tenant, &audit, world_deadline(world),
                            world_saga_done_cb, world, &world->error);
    if (code != FH_OK) {
        return code;
    }
    assert_false(world->done);
    world_wait(world);
    return world->code;
}

enum fh_code world_erase(struct world *world, const struct fh_uuid *tenant)
{
    struct fh_audit_context audit = {.actor = FH_STR("root")};
    world->done = false;
    enum fh_code code = fh_tenant_erase(world->provisioner, tenant, &audit, world_deadline(world),
                                        world_saga_done_cb, world, &world->error);
    if (code != FH_OK) {
        return code;
    }
    assert_false(world->done);
    world_wait(world);
    return world->code;
}

void world_sweep(struct world *world, int64_t older_than_us)
{
    uint64_t before = fh_provisioner_sweeps(world->provisioner);
    fh_provisioner_sweep(world->provisioner, older_than_us);
    while (fh_provisioner_sweeps(world->provisioner) == before) {
        uv_run(&world->loop, UV_RUN_ONCE);
    }
}

enum fh_code world_fence(struct world *world, const struct fh_uuid *tenant, struct fh_fence *out)
{
    struct fh_request request = {.op = FH_OP_FENCE_READ, .scope.tenant = *tenant};
    enum fh_code code = world_ask_store(world, &request);
    *out = request.as.fence.seen;
    return code;
}

static void routed_cb(struct fh_routed *routed)
{
    ((struct world *)routed->arg)->done = true;
}

enum fh_code world_read(struct world *world, const struct fh_uuid *tenant)
{
    struct fh_routed routed = {.done_cb = routed_cb, .arg = world};
    routed.request.op = FH_OP_EVENTS;
    routed.request.scope.tenant = *tenant;
    routed.request.deadline_us = world_deadline(world);
    routed.request.arena = &world->arena;
    routed.request.as.events.limit = 1;
    world->done = false;
    enum fh_code code = fh_router_submit(world->router, &routed);
    if (code != FH_OK) {
        return code;
    }
    world_wait(world);
    return routed.code;
}
