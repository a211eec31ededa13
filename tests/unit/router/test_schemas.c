/* Schema versions over a real catalog file and stores of the memory engine, one of them away at
 * times. */
#include "router/schemas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "stores/fault/fault.h"
#include "stores/mem/mem.h"
#include "tests/unit/router/world.h"

struct fixture {
    struct world world; /* first */
    struct fh_schemas *schemas;
    bool done;
    struct fh_schemas_result result;
};

static const struct fh_migration packages = {
    FH_STR("0001_packages.sql"),
    FH_STR("create table packages (id bigint primary key, name text not null);")};
static const struct fh_migration versions = {
    FH_STR("0002_versions.sql"), FH_STR("create table versions (id bigint primary key, v text);")};

static void done_cb(const struct fh_schemas_result *result, void *arg)
{
    struct fixture *f = arg;
    f->result = *result;
    f->done = true;
}

static void wait(struct fixture *f)
{
    assert_false(f->done); /* never inside the call */
    while (!f->done) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
}

static enum fh_code load(struct fixture *f)
{
    f->done = false;
    enum fh_code code = fh_schemas_load(f->schemas, world_deadline(&f->world), done_cb, f);
    if (code == FH_OK) {
        wait(f);
        code = f->result.code;
    }
    return code;
}

static enum fh_code apply(struct fixture *f, const struct fh_migration *files, size_t count,
                          bool validate_only)
{
    struct fh_audit_context audit = {.actor = FH_STR("root")};
    f->done = false;
    enum fh_code code = fh_schemas_apply(f->schemas, files, count, validate_only, NULL, &audit,
                                         world_deadline(&f->world), done_cb, f);
    if (code == FH_OK) {
        wait(f);
        code = f->result.code;
    }
    return code;
}

/* The rollout that was begun comes to its end, as a roller would bring it. */
static void finish_rollout(struct fixture *f)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_ROLLOUT_GET};
    request.audit.actor = FH_STR("root");
    assert_int_equal(world_ask(&f->world, &request), FH_OK);
    struct fh_rollout rollout = request.as.rollout_get.rollout;
    assert_true(f->result.has_rollout);
    assert_true(fh_uuid_eq(&rollout.uuid, &f->result.rollout));
    assert_int_equal(rollout.version, fh_schemas_current(f->schemas)->version);
    request = (struct fh_catalog_request){.op = FH_CATALOG_ROLLOUT_CLAIM};
    request.as.rollout_claim.uuid = rollout.uuid;
    request.as.rollout_claim.beat = rollout.beat;
    request.as.rollout_claim.worker = rollout.uuid;
    assert_int_equal(world_ask(&f->world, &request), FH_OK);
    static const enum fh_rollout_phase phases[] = {FH_ROLLOUT_PLANNED, FH_ROLLOUT_ROLLING,
                                                   FH_ROLLOUT_DONE};
    for (size_t i = 0; i < 2; i++) {
        request = (struct fh_catalog_request){.op = FH_CATALOG_ROLLOUT_ADVANCE};
        request.as.rollout_advance.uuid = rollout.uuid;
        request.as.rollout_advance.generation = rollout.generation + 1;
        request.as.rollout_advance.from = phases[i];
        request.as.rollout_advance.to = phases[i + 1];
        assert_int_equal(world_ask(&f->world, &request), FH_OK);
    }
}

static void open_schemas(struct fixture *f)
{
    assert_int_equal(
        fh_schemas_create(&f->world.env, f->world.catalog, f->world.router, &f->schemas), FH_OK);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f)); /* NOLINT(fh-alloc): the test's own */
    assert_non_null(f);
    world_open(&f->world);
    open_schemas(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    world_close_parts(&f->world);
    fh_schemas_destroy(f->schemas);
    world_remove_dir(&f->world);
    free(f); /* NOLINT(fh-alloc): the test's own */
    assert_int_equal(fh_alloc_live(), 0);
    return 0;
}

static uint32_t store_version(struct fixture *f)
{
    const char *error = NULL;
    uint32_t version = fh_schemas_store_version(f->schemas, f->world.store, &error);
    assert_non_null(error);
    return version;
}

static void starts_with_nothing(void **state)
{
    struct fixture *f = *state;
    size_t count = 9;
    assert_null(fh_schemas_current(f->schemas));
    assert_int_equal(
        fh_schemas_catch_up(f->schemas, f->world.store, world_deadline(&f->world), done_cb, f),
        FH_UNAVAILABLE);
    assert_int_equal(load(f), FH_OK);
    assert_int_equal(fh_schemas_current(f->schemas)->version, 0);
    assert_ptr_equal(fh_router_schema(f->world.router), fh_schemas_current(f->schemas));
    (void)fh_schemas_migrations(f->schemas, &count);
    assert_int_equal(count, 0);
}

static void applies_and_loads_again(void **state)
{
    struct fixture *f = *state;
    struct fh_migration files[] = {packages, versions};
    size_t count = 0;
    assert_int_equal(load(f), FH_OK);
    assert_int_equal(apply(f, files, 1, false), FH_OK);
    assert_int_equal(f->result.applied, 1);
    assert_int_equal(store_version(f), 1); /* a fresh store waits for no rollout */
    assert_int_equal(apply(f, files, 2, false), FH_PRECONDITION); /* one is under way */
    assert_int_equal(fh_router_schema(f->world.router)->version, 1);
    struct fh_uuid first = {{0}};
    assert_int_equal(apply(f, files, 1, false), FH_OK); /* which is answered again */
    assert_int_equal(f->result.applied, 0);
    first = f->result.rollout;
    finish_rollout(f);
    assert_int_equal(apply(f, files, 2, false), FH_OK);
    assert_int_equal(f->result.applied, 1);
    assert_false(fh_uuid_eq(&f->result.rollout, &first));
    finish_rollout(f);
    assert_int_equal(apply(f, files, 2, false), FH_OK); /* nothing new */
    assert_int_equal(f->result.applied, 0);
    assert_true(f->result.has_rollout);
    const struct fh_schema *schema = fh_router_schema(f->world.router);
    assert_int_equal(schema->version, 2);
    assert_int_equal(schema->table_count, 2);
    assert_int_equal(schema->previous->version, 1);
    const struct fh_migration_record *records = fh_schemas_migrations(f->schemas, &count);
    assert_int_equal(count, 2);
    assert_true(fh_str_eq(records[1].name, versions.name));
    assert_true(records[1].applied_at_us > 0);

    /* Another process finds it all, and brings its (empty) store to it. */
    world_close_parts(&f->world);
    fh_schemas_destroy(f->schemas);
    world_open_parts(&f->world);
    open_schemas(f);
    assert_int_equal(load(f), FH_OK);
    assert_int_equal(fh_router_schema(f->world.router)->version, 2);
    assert_int_equal(store_version(f), 2);
}

static void only_validates_when_told(void **state)
{
    struct fixture *f = *state;
    struct fh_migration files[] = {packages, versions};
    assert_int_equal(load(f), FH_OK);
    assert_int_equal(apply(f, files, 2, true), FH_OK);
    assert_int_equal(f->result.applied, 2);
    assert_int_equal(fh_schemas_current(f->schemas)->version, 0);
    struct fh_catalog_request list = {.op = FH_CATALOG_MIGRATION_LIST};
    assert_int_equal(world_ask(&f->world, &list), FH_OK);
    assert_int_equal(list.as.migrations.count, 0);
}

static void refuses_what_does_not_fit(void **state)
{
    struct fixture *f = *state;
    struct fh_migration files[] = {packages, versions};
    assert_int_equal(load(f), FH_OK);
    assert_int_equal(apply(f, files, 2, false), FH_OK);
    finish_rollout(f);
    /* Shorter, changed, renamed, out of order. */
    assert_int_equal(apply(f, files, 1, false), FH_PRECONDITION);
    files[0].sql = FH_STR("create table packages (id bigint primary key);");
    assert_int_equal(apply(f, files, 2, false), FH_PRECONDITION);
    assert_non_null(strstr(f->result.error.message, "0001_packages.sql"));
    files[0] = packages;
    files[1].name = FH_STR("0002_other.sql");
    assert_int_equal(apply(f, files, 2, false), FH_PRECONDITION);
    struct fh_migration swapped[] = {versions, packages};
    assert_int_equal(apply(f, swapped, 2, false), FH_INVALID);
    /* A file that is no good: named with line and column, and nothing of the rest is kept. */
    struct fh_migration more[] = {
        packages,
        versions,
        {FH_STR("0003_ok.sql"), FH_STR("create table t (id int primary key);")},
        {FH_STR("0004_bad.sql"), FH_STR("\ndrop table nothing;")}};
    assert_int_not_equal(apply(f, more, 4, false), FH_OK);
    assert_non_null(strstr(f->result.error.message, "0004_bad.sql:2:"));
    assert_int_equal(f->result.applied, 0);
    assert_int_equal(fh_schemas_current(f->schemas)->version, 2);
    assert_int_equal(apply(f, more, 3, false), FH_OK);
}

static void one_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct fh_audit_context audit = {.actor = FH_STR("root")};
    f->done = false;
    assert_int_equal(fh_schemas_load(f->schemas, world_deadline(&f->world), done_cb, f), FH_OK);
    assert_int_equal(fh_schemas_apply(f->schemas, &packages, 1, false, NULL, &audit,
                                      world_deadline(&f->world), done_cb, f),
                     FH_CONFLICT);
    assert_int_equal(fh_schemas_load(f->schemas, world_deadline(&f->world), done_cb, f),
                     FH_CONFLICT);
    wait(f);
    assert_int_equal(apply(f, &packages, 1, false), FH_OK);
}

static void catches_up_a_store_that_was_away(void **state)
{
    struct fixture *f = *state;
    struct fh_store *wrapped = NULL;
    struct fh_fault_plan plan = {.seed = 1, .unavailable_ppm = 1000000};
    const char *error = NULL;
    assert_int_equal(load(f), FH_OK);
    assert_int_equal(fh_store_fault_create(&f->world.env, f->world.store, &plan, &wrapped), FH_OK);
    fh_router_remove_store(f->world.router, f->world.store);
    assert_int_equal(fh_router_add_store(f->world.router, wrapped), FH_OK);

    assert_int_equal(apply(f, &packages, 1, false), FH_OK);
    assert_int_equal(fh_router_schema(f->world.router)->version, 1);
    assert_int_equal(fh_schemas_store_version(f->schemas, wrapped, &error), 0);
    assert_string_not_equal(error, "");
    f->done = false;
    assert_int_equal(
        fh_schemas_catch_up(f->schemas, wrapped, world_deadline(&f->world), done_cb, f), FH_OK);
    wait(f);
    assert_int_equal(f->result.code, FH_UNAVAILABLE);

    plan.unavailable_ppm = 0;
    fh_store_fault_set_plan(wrapped, &plan);
    f->done = false;
    assert_int_equal(
        fh_schemas_catch_up(f->schemas, wrapped, world_deadline(&f->world), done_cb, f), FH_OK);
    wait(f);
    assert_int_equal(f->result.code, FH_OK);
    assert_int_equal(fh_schemas_store_version(f->schemas, wrapped, &error), 1);
    assert_string_equal(error, "");

    fh_router_remove_store(f->world.router, wrapped);
    f->world.done = false;
    fh_store_close(wrapped, world_closed_cb, &f->world);
    world_wait(&f->world);
}

static struct fh_store *open_away(struct fixture *f, const char *name, struct fh_store **inner)
{
    const struct fh_fault_plan away = {.seed = 1, .unavailable_ppm = 1000000};
    const struct fh_store_config config = {.name = name};
    struct fh_error error = FH_ERROR_INIT;
    struct fh_store *store = NULL;
    assert_int_equal(fh_store_mem_ops.open(&f->world.env, &config, inner, &error), FH_OK);
    assert_int_equal(fh_store_fault_create(&f->world.env, *inner, &away, &store), FH_OK);
    assert_int_equal(fh_router_add_store(f->world.router, store), FH_OK);
    return store;
}

static void close_store(struct fixture *f, struct fh_store *store)
{
    f->world.done = false;
    fh_store_close(store, world_closed_cb, &f->world);
    world_wait(&f->world);
}

/* Also before the first file: a tenant can be made then, so a fresh store needs its version 0. And
 * one that stays away keeps no other waiting. */
static void looks_again_at_each_that_was_away(void **state)
{
    struct fixture *f = *state;
    const struct fh_fault_plan here = {.seed = 1};
    struct fh_store *inner[2];
    struct fh_store *stores[] = {open_away(f, "one", &inner[0]), open_away(f, "two", &inner[1])};
    assert_null(fh_schemas_next_behind(f->schemas)); /* nothing is known */
    assert_int_equal(load(f), FH_OK);
    struct fh_store *first = fh_schemas_next_behind(f->schemas);
    struct fh_store *second = fh_schemas_next_behind(f->schemas);
    assert_true((first == stores[0] && second == stores[1]) ||
                (first == stores[1] && second == stores[0]));
    assert_ptr_equal(fh_schemas_next_behind(f->schemas), first);
    fh_store_fault_set_plan(second, &here);
    f->done = false;
    assert_int_equal(fh_schemas_catch_up(f->schemas, second, world_deadline(&f->world), done_cb, f),
                     FH_OK);
    wait(f);
    assert_int_equal(f->result.code, FH_OK);
    assert_ptr_equal(fh_schemas_next_behind(f->schemas), first);
    assert_ptr_equal(fh_schemas_next_behind(f->schemas), first);
    for (size_t i = 0; i < 2; i++) {
        fh_router_remove_store(f->world.router, stores[i]);
        close_store(f, stores[i]);
        close_store(f, inner[i]);
    }
}

/* A rollout brings homes to the new version meanwhile: their requests must not wait for it. */
static void serves_the_newest_while_a_store_hangs(void **state)
{
    struct fixture *f = *state;
    struct fh_store *wrapped = NULL;
    const struct fh_fault_plan plan = {.seed = 1};
    const struct fh_fault_aim hang = {
        .ops = FH_FAULT_OP(FH_OP_FENCE_READ), .nth = 1, .kind = FH_FAULT_HOLD_BEFORE};
    const struct fh_audit_context audit = {.actor = FH_STR("root")};
    assert_int_equal(load(f), FH_OK);
    assert_int_equal(fh_store_fault_create(&f->world.env, f->world.store, &plan, &wrapped), FH_OK);
    fh_router_remove_store(f->world.router, f->world.store);
    assert_int_equal(fh_router_add_store(f->world.router, wrapped), FH_OK);
    assert_int_equal(fh_store_fault_aim(wrapped, &hang), FH_OK);
    f->done = false;
    assert_int_equal(fh_schemas_apply(f->schemas, &packages, 1, false, NULL, &audit,
                                      world_deadline(&f->world), done_cb, f),
                     FH_OK);
    while (fh_store_fault_held(wrapped) == 0) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    assert_false(f->done);
    assert_int_equal(fh_router_schema(f->world.router)->version, 1);
    fh_store_fault_release(wrapped);
    wait(f);
    assert_int_equal(f->result.code, FH_OK);
    fh_router_remove_store(f->world.router, wrapped);
    f->world.done = false;
    fh_store_close(wrapped, world_closed_cb, &f->world);
    world_wait(&f->world);
}

/* Another process applied: its files are learnt first, and ours must fit them. */
static void learns_what_others_applied(void **state)
{
    struct fixture *f = *state;
    struct fixture other = {0};
    struct fh_migration files[] = {packages, versions};
    assert_int_equal(load(f), FH_OK);
    memcpy(other.world.dir, f->world.dir, sizeof(other.world.dir));
    memcpy(other.world.path, f->world.path, sizeof(other.world.path));
    world_open_parts(&other.world);
    open_schemas(&other);
    assert_int_equal(load(&other), FH_OK);
    assert_int_equal(apply(&other, files, 1, false), FH_OK);
    finish_rollout(&other);
    assert_int_equal(apply(f, &versions, 1, false), FH_PRECONDITION);
    assert_int_equal(apply(f, files, 2, false), FH_OK);
    assert_int_equal(f->result.applied, 1);
    world_close_parts(&other.world);
    fh_schemas_destroy(other.schemas);
}

static void survives_every_failed_allocation(void **state)
{
    struct fixture *f = *state;
    struct fh_migration files[] = {packages, versions};
    assert_int_equal(load(f), FH_OK);
    for (long after = 0;; after++) {
        fh_alloc_fault_on(after, 1);
        enum fh_code code = apply(f, files, 2, false);
        int delivered = fh_alloc_fault_off();
        /* Whatever was added stays; the next one goes on from there. */
        assert_true(fh_schemas_current(f->schemas)->version <= 2);
        if (!delivered) {
            assert_int_equal(code, FH_OK);
            break;
        }
    }
    assert_int_equal(fh_router_schema(f->world.router)->version, 2);
    assert_int_equal(store_version(f), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(starts_with_nothing),
        TEST(applies_and_loads_again),
        TEST(only_validates_when_told),
        TEST(refuses_what_does_not_fit),
        TEST(one_at_a_time),
        TEST(catches_up_a_store_that_was_away),
        TEST(looks_again_at_each_that_was_away),
        TEST(serves_the_newest_while_a_store_hangs),
        TEST(learns_what_others_applied),
        TEST(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
