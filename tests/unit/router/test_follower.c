/* What another server registered becomes known here. The other server is a router and schemas of
 * its own over the same catalog. */
#include "router/follower.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "stores/mem/mem.h"
#include "tests/unit/router/world.h"

struct fixture {
    struct world world; /* first */
    struct fh_schemas *schemas;
    struct fh_store_registry *registry;
    struct fh_follower *follower;
    struct fh_router *other_router;
    struct fh_schemas *other_schemas;
    bool done;
    struct fh_schemas_result result;
};

static const struct fh_migration packages = {
    FH_STR("0001_packages.sql"),
    FH_STR("create table packages (id bigint primary key, name text not null);")};

static void done_cb(const struct fh_schemas_result *result, void *arg)
{
    struct fixture *f = arg;
    f->result = *result;
    f->done = true;
}

static void wait(struct fixture *f)
{
    while (!f->done) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    assert_int_equal(f->result.code, FH_OK);
}

static void load(struct fixture *f, struct fh_schemas *schemas)
{
    f->done = false;
    assert_int_equal(fh_schemas_load(schemas, world_deadline(&f->world), done_cb, f), FH_OK);
    wait(f);
}

static int set_up(void **state)
{
    static const struct fh_store_ops *const engines[] = {&fh_store_mem_ops};
    const struct fh_store_registry_options options = {.engines = engines, .engine_count = 1};
    struct fixture *f = calloc(1, sizeof(*f)); /* NOLINT(fh-alloc): the test's own */
    assert_non_null(f);
    struct world *world = &f->world;
    world_open(world);
    assert_int_equal(fh_schemas_create(&world->env, world->catalog, world->router, &f->schemas),
                     FH_OK);
    assert_int_equal(fh_store_registry_create(&world->env, world->router, &options, &f->registry),
                     FH_OK);
    load(f, f->schemas);
    const struct fh_follower_parts parts = {.env = &world->env,
                                            .catalog = world->catalog,
                                            .stores = f->registry,
                                            .schemas = f->schemas};
    assert_int_equal(fh_follower_create(&parts, &f->follower), FH_OK);
    struct fh_router_options router_options;
    fh_router_options_init(&router_options);
    assert_int_equal(
        fh_router_create(&world->env, world->catalog, &router_options, &f->other_router), FH_OK);
    assert_int_equal(
        fh_schemas_create(&world->env, world->catalog, f->other_router, &f->other_schemas), FH_OK);
    *state = f;
    return 0;
}

static void close_follower(struct fixture *f)
{
    f->world.done = false;
    fh_follower_close(f->follower, world_closed_cb, &f->world);
    assert_false(f->world.done);
    world_wait(&f->world);
    f->follower = NULL;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct world *world = &f->world;
    if (f->follower != NULL) {
        close_follower(f);
    }
    world->done = false;
    fh_store_registry_close(f->registry, world_closed_cb, world);
    world_wait(world);
    world->done = false;
    fh_router_close(f->other_router, world_closed_cb, world);
    world_wait(world);
    world_close_parts(world);
    fh_schemas_destroy(f->schemas);
    fh_schemas_destroy(f->other_schemas);
    world_remove_dir(world);
    free(f); /* NOLINT(fh-alloc): the test's own */
    assert_int_equal(fh_alloc_live(), 0);
    return 0;
}

static void register_store(struct fixture *f, const char *name, const char *engine)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_STORE_CREATE};
    (void)snprintf(request.as.store.name, sizeof(request.as.store.name), "%s", name);
    request.as.store.engine = fh_str_of(engine);
    assert_int_equal(world_ask(&f->world, &request), FH_OK);
}

static void apply_elsewhere(struct fixture *f)
{
    struct fh_audit_context audit = {.actor = FH_STR("root")};
    load(f, f->other_schemas);
    f->done = false;
    assert_int_equal(fh_schemas_apply(f->other_schemas, &packages, 1, false, NULL, &audit,
                                      world_deadline(&f->world), done_cb, f),
                     FH_OK);
    wait(f);
}

static uint32_t version_of(struct fixture *f, const char *name)
{
    const char *why = NULL;
    const struct fh_store *store = fh_router_store(f->world.router, fh_str_of(name));
    return store != NULL ? fh_schemas_store_version(f->schemas, store, &why) : 0;
}

static void learns_of_a_schema_version(void **state)
{
    struct fixture *f = *state;
    static const struct fh_uuid nil = {{0}};
    apply_elsewhere(f);
    fh_catalog_tell(f->world.catalog, FH_CATALOG_HINT_SCHEMA, &nil);
    while (fh_router_schema(f->world.router)->version != 1) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    while (version_of(f, "main") != 1) { /* the router does not wait for the stores */
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    /* With nothing new, nothing changes. */
    const struct fh_schema *schema = fh_router_schema(f->world.router);
    f->done = false;
    assert_int_equal(fh_schemas_refresh(f->schemas, world_deadline(&f->world), done_cb, f), FH_OK);
    wait(f);
    assert_ptr_equal(fh_router_schema(f->world.router), schema);
}

static void learns_of_stores(void **state)
{
    struct fixture *f = *state;
    static const struct fh_uuid nil = {{0}};
    register_store(f, "alien", "no-such-engine"); /* keeps nobody else from being opened */
    register_store(f, "second", "memory");
    apply_elsewhere(f);
    fh_catalog_tell(f->world.catalog, FH_CATALOG_HINT_STORES, &nil);
    fh_catalog_tell(f->world.catalog, FH_CATALOG_HINT_SCHEMA, &nil); /* during that round */
    while (version_of(f, "second") != 1) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    register_store(f, "third", "memory");
    fh_follower_look(f->follower);
    while (version_of(f, "third") != 1) { /* it is new, and the schema is not */
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    assert_null(fh_router_store(f->world.router, FH_STR("alien")));
}

static void lets_an_apply_through(void **state)
{
    struct fixture *f = *state;
    struct fh_audit_context audit = {.actor = FH_STR("root")};
    fh_follower_look(f->follower);
    f->done = false;
    assert_int_equal(fh_schemas_apply(f->schemas, &packages, 1, false, NULL, &audit,
                                      world_deadline(&f->world), done_cb, f),
                     FH_OK);
    fh_follower_look(f->follower);
    wait(f);
    assert_int_equal(fh_router_schema(f->world.router)->version, 1);
}

static void closes_in_the_middle_of_a_round(void **state)
{
    struct fixture *f = *state;
    register_store(f, "second", "memory");
    fh_follower_look(f->follower);
    close_follower(f);
    assert_null(fh_router_store(f->world.router, FH_STR("second")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(learns_of_a_schema_version),
        TEST(learns_of_stores),
        TEST(lets_an_apply_through),
        TEST(closes_in_the_middle_of_a_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
