/* StoreAdminService and SchemaService, from an empty server on; and every service's table. */
#include <string.h>

#include "freehold/v1/schema.pb-c.h"
#include "freehold/v1/store_admin.pb-c.h"
#include "tests/unit/server_handlers/kit.h"
#include "tests/unit/server_handlers/message.h"

static struct fh_call *create(struct kit *kit, const char *name, const char *engine,
                              const char *location)
{
    Freehold__V1__Store store = FREEHOLD__V1__STORE__INIT;
    Freehold__V1__CreateStoreRequest in = FREEHOLD__V1__CREATE_STORE_REQUEST__INIT;
    store.name = text_of(name);
    store.engine = text_of(engine);
    store.location = text_of(location);
    store.region = text_of("eu");
    store.may_lose_writes_on_failover = 1;
    in.store = &store;
    return kit_call(kit, &kit->stores, "CreateStore", &kit->operator_, &in.base);
}

static struct fh_call *get(struct kit *kit, const char *name)
{
    Freehold__V1__GetStoreRequest in = FREEHOLD__V1__GET_STORE_REQUEST__INIT;
    in.name = text_of(name);
    return kit_call(kit, &kit->stores, "GetStore", &kit->operator_, &in.base);
}

static struct fh_call *check(struct kit *kit, const char *name)
{
    Freehold__V1__CheckStoreRequest in = FREEHOLD__V1__CHECK_STORE_REQUEST__INIT;
    in.name = text_of(name);
    return kit_call(kit, &kit->stores, "CheckStore", &kit->operator_, &in.base);
}

static struct fh_call *list(struct kit *kit, int32_t page_size, const char *token)
{
    Freehold__V1__ListStoresRequest in = FREEHOLD__V1__LIST_STORES_REQUEST__INIT;
    in.page_size = page_size;
    in.page_token = text_of(token);
    return kit_call(kit, &kit->stores, "ListStores", &kit->operator_, &in.base);
}

static void test_create_store(void **state)
{
    struct kit *kit = *state;
    const Freehold__V1__Store *made =
        response(Freehold__V1__Store, kit, create(kit, "stores/one", "memory", "x"));
    assert_string_equal(made->name, "stores/one");
    assert_string_equal(made->engine, "memory");
    assert_string_equal(made->location, "x");
    assert_string_equal(made->region, "eu");
    assert_int_equal(made->may_lose_writes_on_failover, 1);
    assert_int_equal(made->create_time->seconds, KIT_NOW_US / 1000000);
    const Freehold__V1__Store *read = response(Freehold__V1__Store, kit, get(kit, "stores/one"));
    assert_string_equal(read->location, "x");
    const Freehold__V1__CheckStoreResponse *checked =
        response(Freehold__V1__CheckStoreResponse, kit, check(kit, "stores/one"));
    assert_int_equal(checked->healthy, 1);
    expect_code(create(kit, "stores/one", "memory", "x"), FH_EXISTS, "store.name");
}

static void test_stores_refused(void **state)
{
    struct kit *kit = *state;
    const struct {
        const char *name;
        const char *engine;
        const char *location;
        const char *field;
    } rows[] = {
        {"one", "memory", "x", "store.name"},
        {"stores/", "memory", "x", "store.name"},
        {"stores/One", "memory", "x", "store.name"},
        {"stores/1", "memory", "x", "store.name"},
        {message_text(&kit->arena, "stores/%s", message_repeat(&kit->arena, 'a', 41)), "memory",
         "x", "store.name"},
        {"stores/one", "", "x", "store.engine"},
        {"stores/one", "oracle", "x", "store.engine"},
        {"stores/one", message_repeat(&kit->arena, 'e', 4096), "x", "store.engine"},
        {"stores/one", "memory", "", "store.location"},
        {"stores/one", "memory", message_repeat(&kit->arena, 'x', 1025), "store.location"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_code(create(kit, rows[i].name, rows[i].engine, rows[i].location), FH_INVALID,
                    rows[i].field);
    }
    Freehold__V1__CreateStoreRequest in = FREEHOLD__V1__CREATE_STORE_REQUEST__INIT;
    expect_code(kit_call(kit, &kit->stores, "CreateStore", &kit->operator_, &in.base), FH_INVALID,
                "store");
    expect_code(get(kit, "stores/none"), FH_NOT_FOUND, "name");
    expect_code(check(kit, "stores/none"), FH_NOT_FOUND, "name");
    expect_code(get(kit, "none"), FH_INVALID, "name");
    expect_code(check(kit, "stores/"), FH_INVALID, "name");
    assert_null(fh_router_store(kit->router, FH_STR("one")));
}

/* A store that cannot be brought to the schema is taken out again, and can be tried anew. */
static void test_store_that_is_away(void **state)
{
    struct kit *kit = *state;
    kit->unavailable_at_open = true;
    expect_code(create(kit, "stores/away", "memory", "x"), FH_UNAVAILABLE, "");
    assert_null(fh_router_store(kit->router, FH_STR("away")));
    expect_code(get(kit, "stores/away"), FH_NOT_FOUND, "name");
    kit->unavailable_at_open = false;
    expect_code(create(kit, "stores/away", "memory", "x"), FH_OK, "");
    kit->local = fh_router_store(kit->router, FH_STR("away"));
    kit_faults(kit, (struct fh_fault_plan){.unavailable_ppm = 1000000});
    expect_code(check(kit, "stores/away"), FH_UNAVAILABLE, "");
    kit_faults(kit, (struct fh_fault_plan){.refuse_ppm = 1000000});
    expect_code(check(kit, "stores/away"), FH_FULL, "");
}

static void test_list_stores(void **state)
{
    struct kit *kit = *state;
    static const char *const names[] = {"stores/d", "stores/b", "stores/a", "stores/e", "stores/c"};
    for (size_t i = 0; i < 5; i++) {
        expect_code(create(kit, names[i], "memory", "x"), FH_OK, "");
    }
    for (int32_t size = 0; size < 7; size++) {
        const char *token = "";
        char expected[] = "stores/a";
        do {
            const Freehold__V1__ListStoresResponse *out =
                response(Freehold__V1__ListStoresResponse, kit, list(kit, size, token));
            for (size_t i = 0; i < out->n_stores; i++, expected[7]++) {
                assert_string_equal(out->stores[i]->name, expected);
            }
            token = out->next_page_token;
        } while (token[0] != '\0');
        assert_int_equal(expected[7], 'f');
    }
    /* A store that comes in front moves nothing. */
    const Freehold__V1__ListStoresResponse *out =
        response(Freehold__V1__ListStoresResponse, kit, list(kit, 2, ""));
    expect_code(create(kit, "stores/aa", "memory", "x"), FH_OK, "");
    out = response(Freehold__V1__ListStoresResponse, kit, list(kit, 2, out->next_page_token));
    assert_string_equal(out->stores[0]->name, "stores/c");
    expect_code(list(kit, -1, ""), FH_INVALID, "page_size");
    expect_code(list(kit, 1, "x"), FH_INVALID, "page_token");
}

static struct fh_call *apply(struct kit *kit, const char *const *files, size_t count,
                             bool validate_only)
{
    Freehold__V1__Migration migrations[4];
    Freehold__V1__Migration *pointers[4];
    Freehold__V1__ApplySchemaRequest in = FREEHOLD__V1__APPLY_SCHEMA_REQUEST__INIT;
    for (size_t i = 0; i < count; i++) {
        freehold__v1__migration__init(&migrations[i]);
        migrations[i].name = text_of(files[2 * i]);
        migrations[i].sql = text_of(files[2 * i + 1]);
        pointers[i] = &migrations[i];
    }
    in.migrations = pointers;
    in.n_migrations = count;
    in.validate_only = validate_only;
    return kit_call(kit, &kit->schema, "ApplySchema", &kit->operator_, &in.base);
}

static Freehold__V1__Schema *schema_now(struct kit *kit)
{
    Freehold__V1__GetSchemaRequest in = FREEHOLD__V1__GET_SCHEMA_REQUEST__INIT;
    return response(Freehold__V1__Schema, kit,
                    kit_call(kit, &kit->schema, "GetSchema", &kit->operator_, &in.base));
}

#define SQL_ONE                                                                             \
    "CREATE TABLE t (id bigint PRIMARY KEY, n numeric(7,3), s varchar(9) NOT NULL DEFAULT " \
    "'x');"
#define SQL_TWO "CREATE TABLE u (a text, b date, PRIMARY KEY (b, a));"

static void test_apply(void **state)
{
    struct kit *kit = *state;
    static const char *const files[] = {"1.sql", SQL_ONE, "2.sql", SQL_TWO};
    assert_int_equal(schema_now(kit)->version, 0);
    assert_int_equal(schema_now(kit)->n_tables, 0);
    expect_code(create(kit, "stores/one", "memory", "x"), FH_OK, "");
    expect_code(apply(kit, files, 1, true), FH_OK, "");
    assert_int_equal(schema_now(kit)->version, 0);
    const Freehold__V1__ApplySchemaResponse *out =
        response(Freehold__V1__ApplySchemaResponse, kit, apply(kit, files, 1, false));
    assert_int_equal(out->applied, 1);
    assert_int_equal(out->schema->version, 1);
    out = response(Freehold__V1__ApplySchemaResponse, kit, apply(kit, files, 2, false));
    assert_int_equal(out->applied, 1);
    const Freehold__V1__Schema *schema = schema_now(kit);
    assert_int_equal(schema->version, 2);
    assert_int_equal(schema->n_tables, 2);
    const Freehold__V1__Table *t = schema->tables[0];
    assert_string_equal(t->name, "t");
    assert_string_equal(t->columns[0]->type, "bigint");
    assert_string_equal(t->columns[1]->type, "numeric(7,3)");
    assert_string_equal(t->columns[2]->type, "varchar(9)");
    assert_int_equal(t->columns[2]->required, 1);
    assert_int_equal(t->columns[2]->has_default, 1);
    assert_int_equal(t->columns[1]->required, 0);
    assert_string_equal(schema->tables[1]->primary_key[0], "b");
    assert_string_equal(schema->tables[1]->primary_key[1], "a");
    assert_int_equal(schema->n_migrations, 2);
    assert_string_equal(schema->migrations[1]->name, "2.sql");
    assert_int_equal(strlen(schema->migrations[1]->checksum), 64);
    assert_int_equal(schema->n_stores, 1);
    assert_string_equal(schema->stores[0]->store, "stores/one");
    assert_int_equal(schema->stores[0]->version, 2);
    assert_string_equal(schema->stores[0]->error, "");
    /* Again: nothing new. A store that comes later is brought up. */
    out = response(Freehold__V1__ApplySchemaResponse, kit, apply(kit, files, 2, false));
    assert_int_equal(out->applied, 0);
    const Freehold__V1__Store *late =
        response(Freehold__V1__Store, kit, create(kit, "stores/two", "memory", "x"));
    assert_int_equal(late->schema_version, 2);
}

static void test_apply_refused(void **state)
{
    struct kit *kit = *state;
    static const char *const good[] = {"1.sql", SQL_ONE, "2.sql", SQL_TWO};
    static const char *const changed[] = {"1.sql", SQL_TWO};
    static const char *const swapped[] = {"2.sql", SQL_ONE, "1.sql", SQL_TWO};
    static const char *const same[] = {"1.sql", SQL_ONE, "1.sql", SQL_TWO};
    static const char *const nameless[] = {"", SQL_ONE};
    static const char *const trigger[] = {"1.sql", "\n CREATE VIEW v AS SELECT 1;"};
    char *long_name[] = {message_repeat(&kit->arena, 'x', 201), text_of(SQL_ONE)};
    char *long_file[] = {text_of("1.sql"), message_repeat(&kit->arena, ' ', 256 * 1024 + 1)};
    expect_code(apply(kit, NULL, 0, false), FH_INVALID, "migrations");
    expect_code(apply(kit, swapped, 2, false), FH_INVALID, "migrations");
    expect_code(apply(kit, same, 2, false), FH_INVALID, "migrations");
    expect_code(apply(kit, nameless, 1, false), FH_INVALID, "migrations");
    expect_code(apply(kit, (const char *const *)long_name, 1, false), FH_INVALID, "migrations");
    expect_code(apply(kit, (const char *const *)long_file, 1, false), FH_INVALID, "migrations");
    struct fh_call *call = apply(kit, trigger, 1, false);
    assert_non_null(strstr(call->message, "1.sql:2:2: "));
    expect_code(call, FH_INVALID, "");
    expect_code(apply(kit, good, 2, false), FH_OK, "");
    expect_code(apply(kit, changed, 1, false), FH_PRECONDITION, "migrations");
    expect_code(apply(kit, good, 1, false), FH_PRECONDITION, "migrations");
    assert_int_equal(schema_now(kit)->version, 2);
}

/* One at a time; the second is told so and may be tried again. */
static void test_apply_twice_at_once(void **state)
{
    struct kit *kit = *state;
    Freehold__V1__Migration file = FREEHOLD__V1__MIGRATION__INIT;
    Freehold__V1__Migration *files[] = {&file};
    Freehold__V1__ApplySchemaRequest in = FREEHOLD__V1__APPLY_SCHEMA_REQUEST__INIT;
    file.name = text_of("1.sql");
    file.sql = text_of(SQL_ONE);
    in.migrations = files;
    in.n_migrations = 1;
    struct fh_call *first =
        kit_prepare(kit, &kit->schema, "ApplySchema", &kit->operator_, &in.base);
    struct fh_call *second =
        kit_prepare(kit, &kit->schema, "ApplySchema", &kit->operator_, &in.base);
    fake_call_run(first);
    fake_call_run(second);
    assert_true(second->ended);
    assert_non_null(strstr(second->message, "schema"));
    expect_code(second, FH_CONFLICT, "");
    kit_wait(kit, &first->ended);
    expect_code(first, FH_OK, "");
}

static void check_table(const struct fh_rpc_service *service, uint32_t most)
{
    assert_int_equal(service->method_count, service->descriptor->n_methods);
    for (size_t i = 0; i < service->method_count; i++) {
        const struct fh_rpc_method *method = &service->methods[i];
        assert_non_null(
            protobuf_c_service_descriptor_get_method_by_name(service->descriptor, method->name));
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(method->name, service->methods[k].name);
        }
        bool streams = strncmp(method->name, "Watch", 5) == 0;
        assert_int_equal(method->kind, streams ? FH_RPC_SERVER_STREAM : FH_RPC_UNARY);
        assert_true(method->access != 0 && (method->access & ~most) == 0);
        bool reads = streams || strncmp(method->name, "Get", 3) == 0 ||
                     strncmp(method->name, "List", 4) == 0 ||
                     strncmp(method->name, "BatchGet", 8) == 0;
        if (!reads) { /* whatever changes something is beyond a reader */
            assert_int_equal(method->access & FH_ROLE_READER, 0);
        }
    }
}

static void test_roles(void **state)
{
    struct kit *kit = *state;
    const uint32_t tenant = FH_ROLE_READER | FH_ROLE_WRITER | FH_ROLE_ADMIN;
    check_table(&kit->data, tenant);
    check_table(&kit->audit, FH_ROLE_ADMIN);
    check_table(&kit->tenants, FH_ROLE_OPERATOR);
    check_table(&kit->stores, FH_ROLE_OPERATOR);
    check_table(&kit->schema, FH_ROLE_OPERATOR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST_BARE(test_create_store),
        KIT_TEST_BARE(test_stores_refused),
        KIT_TEST_BARE(test_store_that_is_away),
        KIT_TEST_BARE(test_list_stores),
        KIT_TEST_BARE(test_apply),
        KIT_TEST_BARE(test_apply_refused),
        KIT_TEST_BARE(test_apply_twice_at_once),
        KIT_TEST_BARE(test_roles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
