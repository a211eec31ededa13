/* Happy path: catalog, router, registry, schemas and sagas as the application makes them, then the
 * first store, the schema and two tenants by calls of the operators' services. */
#include "tests/unit/server_handlers/kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "freehold/v1/schema.pb-c.h"
#include "freehold/v1/store_admin.pb-c.h"
#include "freehold/v1/tenant_admin.pb-c.h"
#include "router/catalog_sqlite/catalog_sqlite.h"
#include "router/roller.h"
#include "server/rpc/allocator.h"
#include "stores/mem/mem.h"

#define WATCHDOG_MS 30000
#define DEADLINE_US (30LL * 1000000)
#define ARENA_BYTES_MAX ((size_t)256 * 1024 * 1024)

const char kit_schema_sql[] =
    "CREATE TABLE items (id text PRIMARY KEY, qty bigint, title varchar(8), price numeric(10,2),"
    " at timestamptz, flag boolean NOT NULL DEFAULT true, code text UNIQUE);\n"
    "CREATE TABLE pairs (a text, b integer, note text, PRIMARY KEY (a, b));\n"
    "CREATE TABLE parts (id bigint PRIMARY KEY, item text REFERENCES items (id));\n";

static struct kit the_kit;

/* -- the engine "memory": the memory engine under a fault store ------------------------------- */

struct wrapped {
    struct fh_store *inner;
    struct fh_store *outer;
};
static struct wrapped wrapped[KIT_STORES_MAX];
static size_t wrapped_count;
static size_t inner_open;

static void inner_closed_cb(void *arg)
{
    (void)arg;
    inner_open--;
}

static enum fh_code kit_store_open(const struct fh_env *env, const struct fh_store_config *config,
                                   struct fh_store **out, struct fh_error *error)
{
    const struct fh_fault_plan plan = {
        .seed = 1, .unavailable_ppm = the_kit.unavailable_at_open ? 1000000 : 0};
    struct wrapped *pair = &wrapped[wrapped_count];
    if (wrapped_count == KIT_STORES_MAX) {
        return FH_FULL;
    }
    struct fh_store_config with_faults = *config;
    with_faults.faults = &the_kit.isolation;
    enum fh_code code = fh_store_mem_ops.open(env, &with_faults, &pair->inner, error);
    if (code != FH_OK) {
        return code;
    }
    inner_open++;
    code = fh_store_fault_create(env, pair->inner, &plan, out);
    if (code != FH_OK) {
        fh_store_close(pair->inner, inner_closed_cb, NULL);
        return code;
    }
    pair->outer = *out;
    wrapped_count++;
    return FH_OK;
}

/* The others come with the fault store's own table, which every store it makes carries. */
static const struct fh_store_ops kit_engine = {.engine = "memory", .open = kit_store_open};
static const struct fh_store_ops *const engines[] = {&kit_engine};

void kit_faults(struct kit *kit, struct fh_fault_plan plan)
{
    plan.seed = 1;
    fh_store_fault_set_plan(kit->local, &plan);
}

/* -- the loop --------------------------------------------------------------------------------- */

static void watchdog_cb(uv_timer_t *timer)
{
    struct kit *kit = timer->data;
    kit->watchdog_barked = true;
}

void kit_wait(struct kit *kit, const bool *done)
{
    uv_timer_t watchdog;
    kit->watchdog_barked = false;
    assert_int_equal(uv_timer_init(&kit->loop, &watchdog), 0);
    watchdog.data = kit;
    assert_int_equal(uv_timer_start(&watchdog, watchdog_cb, WATCHDOG_MS, 0), 0);
    while (!*done && !kit->watchdog_barked) {
        (void)uv_run(&kit->loop, UV_RUN_ONCE);
    }
    bool barked = kit->watchdog_barked;
    uv_close((uv_handle_t *)&watchdog, NULL);
    (void)uv_run(&kit->loop, UV_RUN_NOWAIT);
    if (barked) {
        fail_msg("what was waited for never came");
    }
}

static void set_cb(void *arg)
{
    *(bool *)arg = true;
}

/* -- calls ------------------------------------------------------------------------------------ */

struct fh_call *kit_prepare(struct kit *kit, const struct fh_rpc_service *service,
                            const char *method, const struct fh_principal *principal,
                            const ProtobufCMessage *request)
{
    return fake_call_make(service, method, principal, kit->clock.monotonic_us + DEADLINE_US,
                          request);
}

struct fh_call *kit_call(struct kit *kit, const struct fh_rpc_service *service, const char *method,
                         const struct fh_principal *principal, const ProtobufCMessage *request)
{
    struct fh_call *call = kit_prepare(kit, service, method, principal, request);
    fake_call_run(call);
    kit_wait(kit, &call->ended);
    return call;
}

void kit_expect(struct fh_call *call, enum fh_code code, const char *field, const char *file,
                int line)
{
    if (call->code != code || strcmp(call->field, field) != 0) {
        print_error("%s, field '%s', expected %s, field '%s': %s\n", fh_code_name(call->code),
                    call->field, fh_code_name(code), field, call->message);
        _fail(file, line);
    }
    if (code != FH_OK && call->message[0] == '\0') {
        print_error("a refusal without a word\n");
        _fail(file, line);
    }
    fake_call_free(call);
}

void *kit_response(struct kit *kit, struct fh_call *call, const char *file, int line)
{
    if (call->code != FH_OK) {
        print_error("%s, field '%s': %s\n", fh_code_name(call->code), call->field, call->message);
        _fail(file, line);
    }
    size_t len = protobuf_c_message_get_packed_size(call->response);
    uint8_t *bytes = fh_arena_alloc(&kit->arena, len);
    ProtobufCAllocator allocator = fh_rpc_allocator(&kit->arena);
    assert_non_null(bytes);
    (void)protobuf_c_message_pack(call->response, bytes);
    void *copy = protobuf_c_message_unpack(call->response->descriptor, &allocator, len, bytes);
    assert_non_null(copy);
    fake_call_free(call);
    return copy;
}

/* -- up and down ------------------------------------------------------------------------------ */

static struct fh_principal principal_of(const char *subject, enum fh_realm realm, uint32_t roles)
{
    return (struct fh_principal){
        .realm = realm, .subject = fh_str_of(subject), .roles = roles, .expires_at_us = INT64_MAX};
}

static void loaded_cb(const struct fh_schemas_result *result, void *arg)
{
    assert_int_equal(result->code, FH_OK);
    *(bool *)arg = true;
}

static void open_parts(struct kit *kit)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_router_options options;
    char path[64];
    const struct fh_store_registry_options registry = {
        .engines = engines, .engine_count = 1, .data_dir = kit->dir};
    (void)snprintf(path, sizeof(path), "%s/catalog.db", kit->dir);
    assert_int_equal(fh_catalog_sqlite_open(&kit->env, path, &kit->catalog, &error), FH_OK);
    fh_router_options_init(&options);
    assert_int_equal(fh_router_create(&kit->env, kit->catalog, &options, &kit->router), FH_OK);
    assert_int_equal(fh_store_registry_create(&kit->env, kit->router, &registry, &kit->registry),
                     FH_OK);
    assert_int_equal(fh_schemas_create(&kit->env, kit->catalog, kit->router, &kit->schemas), FH_OK);
    assert_int_equal(
        fh_provisioner_create(&kit->env, kit->catalog, kit->router, 8, &kit->provisioner), FH_OK);
    bool loaded = false;
    assert_int_equal(
        fh_schemas_load(kit->schemas, kit->clock.monotonic_us + DEADLINE_US, loaded_cb, &loaded),
        FH_OK);
    kit_wait(kit, &loaded);
    struct fh_roller_options rollouts;
    fh_roller_options_init(&rollouts);
    assert_int_equal(fh_roller_create(&kit->env, kit->catalog, kit->router, kit->schemas, &rollouts,
                                      &kit->roller),
                     FH_OK);
    fh_roller_start(kit->roller);
}

void kit_open_bare(struct kit *kit)
{
    memset(kit, 0, sizeof(*kit));
    memset(wrapped, 0, sizeof(wrapped));
    wrapped_count = 0;
    (void)snprintf(kit->dir, sizeof(kit->dir), "%s", "/tmp/fh-handlers-XXXXXX");
    assert_non_null(mkdtemp(kit->dir));
    assert_int_equal(uv_loop_init(&kit->loop), 0);
    fh_clock_virtual_init(&kit->clock, KIT_NOW_US);
    kit->env = (struct fh_env){.loop = &kit->loop, .clock = &kit->clock.clock};
    fh_arena_init(&kit->arena, ARENA_BYTES_MAX);
    fh_hash_seed();
    open_parts(kit);
    kit->page_keys.count = 1;
    kit->page_keys.keys[0] = (struct fh_page_key){.id = 7, .key = {1, 2, 3}};
    kit->services = (struct fh_services){
        .env = &kit->env,
        .router = kit->router,
        .catalog = kit->catalog,
        .provisioner = kit->provisioner,
        .schemas = kit->schemas,
        .stores = kit->registry,
        .page_keys = &kit->page_keys,
        .roller = kit->roller,
        .default_store = "local",
    };
    kit->data = fh_data_service(&kit->services);
    kit->audit = fh_audit_service(&kit->services);
    kit->tenants = fh_tenant_admin_service(&kit->services);
    kit->stores = fh_store_admin_service(&kit->services);
    kit->schema = fh_schema_service(&kit->services);
    kit->moves = fh_move_admin_service(&kit->services);
    kit->operator_ = principal_of("olga", FH_REALM_OPERATOR, FH_ROLE_OPERATOR);
    kit->alice = principal_of("alice", FH_REALM_TENANT, FH_ROLE_ADMIN);
    kit->bob = principal_of("bob", FH_REALM_TENANT, FH_ROLE_ADMIN);
}

static void make_store(struct kit *kit)
{
    Freehold__V1__Store store = FREEHOLD__V1__STORE__INIT;
    Freehold__V1__CreateStoreRequest in = FREEHOLD__V1__CREATE_STORE_REQUEST__INIT;
    store.name = (char *)(uintptr_t) "stores/local";
    store.engine = (char *)(uintptr_t) "memory";
    store.location = (char *)(uintptr_t) "nowhere";
    in.store = &store;
    expect_code(kit_call(kit, &kit->stores, "CreateStore", &kit->operator_, &in.base), FH_OK, "");
    kit->local = fh_router_store(kit->router, FH_STR("local"));
    assert_non_null(kit->local);
}

static void apply_schema(struct kit *kit)
{
    Freehold__V1__Migration file = FREEHOLD__V1__MIGRATION__INIT;
    Freehold__V1__Migration *files[] = {&file};
    Freehold__V1__ApplySchemaRequest in = FREEHOLD__V1__APPLY_SCHEMA_REQUEST__INIT;
    file.name = (char *)(uintptr_t) "0001_items.sql";
    file.sql = (char *)(uintptr_t)kit_schema_sql;
    in.n_migrations = 1;
    in.migrations = files;
    expect_code(kit_call(kit, &kit->schema, "ApplySchema", &kit->operator_, &in.base), FH_OK, "");
}

static void make_tenant(struct kit *kit, const char *slug, struct fh_uuid *uuid)
{
    Freehold__V1__Tenant tenant = FREEHOLD__V1__TENANT__INIT;
    Freehold__V1__CreateTenantRequest in = FREEHOLD__V1__CREATE_TENANT_REQUEST__INIT;
    tenant.slug = (char *)(uintptr_t)slug;
    in.tenant = &tenant;
    const Freehold__V1__Tenant *made =
        response(Freehold__V1__Tenant, kit,
                 kit_call(kit, &kit->tenants, "CreateTenant", &kit->operator_, &in.base));
    assert_true(fh_uuid_parse(fh_str_of(made->uid), uuid));
}

void kit_open(struct kit *kit)
{
    kit_open_bare(kit);
    make_store(kit);
    apply_schema(kit);
    make_tenant(kit, "tenant-a", &kit->alice.tenant);
    make_tenant(kit, "tenant-b", &kit->bob.tenant);
}

static void remove_files(const struct kit *kit)
{
    static const char *const leaves[] = {"catalog.db", "catalog.db-wal", "catalog.db-shm"};
    char path[64];
    for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", kit->dir, leaves[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(kit->dir), 0);
}

void kit_close(struct kit *kit)
{
    bool done[5] = {false};
    fh_roller_close(kit->roller, set_cb, &done[4]);
    kit_wait(kit, &done[4]);
    fh_provisioner_close(kit->provisioner, set_cb, &done[0]);
    kit_wait(kit, &done[0]);
    fh_store_registry_close(kit->registry, set_cb, &done[1]);
    kit_wait(kit, &done[1]);
    for (size_t i = 0; i < wrapped_count; i++) {
        fh_store_close(wrapped[i].inner, inner_closed_cb, NULL);
    }
    while (inner_open > 0) {
        (void)uv_run(&kit->loop, UV_RUN_ONCE);
    }
    fh_router_close(kit->router, set_cb, &done[2]);
    kit_wait(kit, &done[2]);
    fh_catalog_close(kit->catalog, set_cb, &done[3]);
    kit_wait(kit, &done[3]);
    fh_schemas_destroy(kit->schemas);
    (void)uv_run(&kit->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&kit->loop), 0);
    fh_arena_close(&kit->arena);
    remove_files(kit);
}

int kit_setup(void **state)
{
    kit_open(&the_kit);
    *state = &the_kit;
    return 0;
}

int kit_setup_bare(void **state)
{
    kit_open_bare(&the_kit);
    *state = &the_kit;
    return 0;
}

int kit_teardown(void **state)
{
    kit_close(*state);
    return 0;
}
