/* Happy path: the parts in the order in which the server brings them up; the stores come out of the
 * registry, which knows engines whose open() wraps the real one's store in the fault store.
 *
 * Failures fail the test at once: nothing here is under test.
 */
#include "tests/integration/isolation/world.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "router/catalog_sqlite/catalog_sqlite.h"
#include "stores/pg/pg.h"
#include "stores/sqlite/sqlite.h"

#define ARENA_BYTES_MAX ((size_t)1 << 30)
#define SAGAS_MAX 128
#define DEADLINE_US (INT64_C(240) * 1000000)

static const struct fh_migration migrations[] = {
    {FH_STR("0001_items.sql"),
     FH_STR("create table items (id bigint primary key, code text not null unique, "
            "owner text not null, hits bigint not null default 0, body text);")},
    {FH_STR("0002_notes.sql"),
     FH_STR("create table notes (item_id bigint not null references items, slug text not null, "
            "owner text not null, hits bigint not null default 0, body text, "
            "primary key (item_id, slug));")},
};

void world_leak(struct world *world, const char *format, ...)
{
    if (world->stats.leaks++ == 0) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(world->stats.first_leak, sizeof(world->stats.first_leak), format, args);
        va_end(args);
    }
}

void world_mismatch(struct world *world, const char *format, ...)
{
    if (world->stats.mismatches++ == 0) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(world->stats.first_mismatch, sizeof(world->stats.first_mismatch), format,
                        args);
        va_end(args);
    }
}

int64_t world_deadline(const struct world *world)
{
    return fh_clock_monotonic_us(world->env.clock) + DEADLINE_US;
}

void world_wait(struct world *world)
{
    while (!world->done) {
        uv_run(&world->loop, UV_RUN_ONCE);
    }
    world->done = false;
}

static void done_cb(void *arg)
{
    ((struct world *)arg)->done = true;
}

/* open() of an engine has no argument for the likes of us. */
static struct world *opening;

static enum fh_code open_wrapped(const struct fh_store_ops *engine, const struct fh_env *env,
                                 const struct fh_store_config *config, struct fh_store **out,
                                 struct fh_error *error)
{
    static const struct fh_fault_plan none = {.seed = 1};
    struct world_store *store = &opening->stores[opening->store_count];
    enum fh_code code = engine->open(env, config, &store->inner, error);
    if (code == FH_OK) {
        code = fh_store_fault_create(env, store->inner, &none, out);
        assert_int_equal(code, FH_OK);
    }
    return code;
}

static enum fh_code open_sqlite(const struct fh_env *env, const struct fh_store_config *config,
                                struct fh_store **out, struct fh_error *error)
{
    return open_wrapped(&fh_store_sqlite_ops, env, config, out, error);
}

static enum fh_code open_pg(const struct fh_env *env, const struct fh_store_config *config,
                            struct fh_store **out, struct fh_error *error)
{
    return open_wrapped(&fh_store_pg_ops, env, config, out, error);
}

static const struct fh_store_ops wrapped_sqlite = {.engine = "sqlite", .open = open_sqlite};
static const struct fh_store_ops wrapped_pg = {.engine = "postgresql", .open = open_pg};
static const struct fh_store_ops *const engines[] = {&wrapped_sqlite, &wrapped_pg};

static void asked_cb(struct fh_catalog_request *request)
{
    done_cb(request->arg);
}

static void add_store(struct world *world, const struct fh_store_record *record)
{
    struct fh_error error = FH_ERROR_INIT;
    struct world_store *store = &world->stores[world->store_count];
    struct fh_catalog_request request = {.op = FH_CATALOG_STORE_CREATE,
                                         .deadline_us = world_deadline(world),
                                         .arena = &world->arena,
                                         .done_cb = asked_cb,
                                         .arg = world,
                                         .audit.actor = FH_STR("chaos"),
                                         .as.store = *record};
    assert_int_equal(fh_catalog_submit(world->catalog, &request), FH_OK);
    world_wait(world);
    assert_int_equal(request.code, FH_OK);
    opening = world;
    enum fh_code code = fh_store_registry_open(world->registry, record, &store->outer, &error);
    if (code != FH_OK) {
        fail_msg("store %s: %s", record->name, error.message);
    }
    world->store_count++;
}

static void add_stores(struct world *world)
{
    const struct world_options *options = &world->options;
    if ((options->engines & ENGINE_SQLITE) != 0) {
        const struct fh_store_record record = {
            .name = "files", .engine = FH_STR("sqlite"), .location = FH_STR("main")};
        add_store(world, &record);
    }
    if ((options->engines & ENGINE_PG) != 0) {
        enum fh_pgtest_role role = options->bypass ? FH_PGTEST_BYPASS : FH_PGTEST_APP;
        const struct fh_store_record record = {
            .name = "shard",
            .engine = FH_STR("postgresql"),
            .location = fh_str_of(fh_pgtest_dsn(options->pg, role, FH_PGTEST_UNIX)),
            .owner_location =
                fh_str_of(fh_pgtest_dsn(options->pg, FH_PGTEST_OWNER, FH_PGTEST_UNIX)),
        };
        assert_true(fh_pgtest_reset_homes(options->pg));
        add_store(world, &record);
    }
}

static void schema_cb(const struct fh_schemas_result *result, void *arg)
{
    if (result->code != FH_OK) {
        fail_msg("schema: %s", result->error.message);
    }
    done_cb(arg);
}

static void apply_schema(struct world *world)
{
    const struct fh_audit_context audit = {.actor = FH_STR("chaos")};
    assert_int_equal(fh_schemas_apply(world->schemas, migrations,
                                      sizeof(migrations) / sizeof(migrations[0]), false, NULL,
                                      &audit, world_deadline(world), schema_cb, world),
                     FH_OK);
    world_wait(world);
    const struct fh_schema *schema = fh_schemas_current(world->schemas);
    world->items = fh_schema_table(schema, FH_STR("items"));
    world->notes = fh_schema_table(schema, FH_STR("notes"));
    assert_non_null(world->items);
    assert_non_null(world->notes);
    assert_int_equal(world->items->column_count, COLUMN_COUNT);
    assert_int_equal(world->notes->column_count, COLUMN_COUNT);
    size_t cursor = 0;
    struct fh_store *store = NULL;
    while ((store = fh_router_next_store(world->router, &cursor)) != NULL) {
        const char *behind = "";
        (void)fh_schemas_store_version(world->schemas, store, &behind);
        assert_string_equal(behind, "");
    }
}

struct making {
    struct world *world;
    struct chaos_tenant *tenant;
};

static void provisioned_cb(const struct fh_saga_result *result, void *arg)
{
    struct making *making = arg;
    if (result->code != FH_OK) {
        fail_msg("tenant %s: %s", making->tenant->slug, result->error.message);
    }
    making->tenant->uuid = result->tenant->uuid;
    making->world->done = --making->world->outstanding == 0;
}

static bool offers(const struct fh_store *store, enum fh_tier tier)
{
    static const uint32_t capabilities[] = {[FH_TIER_SHARED] = FH_CAPABILITY_SHARED,
                                            [FH_TIER_SCHEMA] = FH_CAPABILITY_SCHEMA,
                                            [FH_TIER_DATABASE] = FH_CAPABILITY_DATABASE};
    return (store->ops->capabilities & capabilities[tier]) != 0;
}

static enum fh_tier tier_of(const struct world *world, const struct world_store *store, size_t i)
{
    if (world->options.tier != 0) {
        return world->options.tier;
    }
    enum fh_tier tier = (enum fh_tier)(FH_TIER_SHARED + i % 3);
    return offers(store->outer, tier) ? tier : FH_TIER_SHARED;
}

static void provision(struct world *world)
{
    const struct fh_audit_context audit = {.actor = FH_STR("chaos")};
    size_t count = world->options.tenants;
    struct making *all = FH_ARENA_ARRAY(&world->arena, struct making, count * world->store_count);
    assert_non_null(all);
    for (size_t i = 0; i < count * world->store_count; i++) {
        struct world_store *store = &world->stores[i / count];
        struct chaos_tenant *made = &store->tenants[i % count];
        struct fh_tenant tenant = {.slug = FH_STR("")};
        struct fh_error error = FH_ERROR_INIT;
        (void)snprintf(made->slug, sizeof(made->slug), "tenant-%zu", i);
        (void)snprintf(made->marker, sizeof(made->marker), MARKER_PREFIX "%016llx",
                       (unsigned long long)random_next(&world->random));
        (void)snprintf(tenant.placement.store, sizeof(tenant.placement.store), "%.40s",
                       store->outer->name);
        tenant.placement.home.tier = tier_of(world, store, i);
        tenant.slug = fh_str_of(made->slug);
        all[i] = (struct making){.world = world, .tenant = made};
        world->outstanding++;
        enum fh_code code =
            fh_tenant_provision(world->provisioner, &tenant, &audit, world_deadline(world),
                                provisioned_cb, &all[i], &error);
        if (code != FH_OK) {
            fail_msg("tenant %s: %s", made->slug, error.message);
        }
    }
    world_wait(world);
}

static void make_directory(struct world *world)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(world->dir, sizeof(world->dir), "%.80s/freehold-isolation-XXXXXX",
                   base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(world->dir));
}

void world_open(struct world *world, const struct world_options *options)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_router_options router;
    char path[160];
    memset(world, 0, sizeof(*world));
    world->options = *options;
    world->random = options->seed;
    make_directory(world);
    (void)snprintf(path, sizeof(path), "%s/catalog.db", world->dir);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    world->env = (struct fh_env){.loop = &world->loop, .clock = fh_clock_system()};
    fh_arena_init(&world->arena, ARENA_BYTES_MAX);
    assert_int_equal(fh_catalog_sqlite_open(&world->env, path, &world->catalog, &error), FH_OK);
    fh_router_options_init(&router);
    if (options->placements_max > 0) {
        router.placements_max = options->placements_max;
    }
    assert_int_equal(fh_router_create(&world->env, world->catalog, &router, &world->router), FH_OK);
    const struct fh_store_registry_options registry = {
        .engines = engines,
        .engine_count = sizeof(engines) / sizeof(engines[0]),
        .data_dir = world->dir,
        .faults = options->with_faults ? &world->faults : NULL};
    assert_int_equal(
        fh_store_registry_create(&world->env, world->router, &registry, &world->registry), FH_OK);
    world->faults.skip_enforcement = options->bypass;
    add_stores(world);
    assert_int_equal(fh_schemas_create(&world->env, world->catalog, world->router, &world->schemas),
                     FH_OK);
    apply_schema(world);
    assert_int_equal(fh_provisioner_create(&world->env, world->catalog, world->router, SAGAS_MAX,
                                           &world->provisioner),
                     FH_OK);
    provision(world);
    fh_arena_reset(&world->arena);
}

void world_set_plan(struct world *world, const struct fh_fault_plan *plan)
{
    for (size_t i = 0; i < world->store_count; i++) {
        struct fh_fault_plan own = *plan;
        own.seed += i;
        fh_store_fault_set_plan(world->stores[i].outer, &own);
    }
}

static int remove_cb(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void world_close(struct world *world)
{
    fh_provisioner_close(world->provisioner, done_cb, world);
    world_wait(world);
    fh_store_registry_close(world->registry, done_cb, world);
    world_wait(world);
    for (size_t i = 0; i < world->store_count; i++) {
        struct world_store *store = &world->stores[i];
        fh_store_close(store->inner, done_cb, world);
        world_wait(world);
        for (size_t k = 0; k < TENANTS_MAX; k++) {
            fh_free(store->tenants[k].commits);
        }
    }
    fh_router_close(world->router, done_cb, world);
    world_wait(world);
    fh_schemas_destroy(world->schemas);
    fh_catalog_close(world->catalog, done_cb, world);
    world_wait(world);
    fh_arena_close(&world->arena);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    assert_int_equal(nftw(world->dir, remove_cb, 16, FTW_DEPTH | FTW_PHYS), 0);
}
