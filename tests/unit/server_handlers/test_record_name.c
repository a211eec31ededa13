#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/handlers/record_name.h"
#include "tests/unit/server_handlers/model.h"

static const struct fh_uuid tenant = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
#define TENANT "01020304-0506-0708-090a-0b0c0d0e0f10"
#define OTHER "01020304-0506-0708-090a-0b0c0d0e0f11"

static int set_up(void **state)
{
    static struct fh_arena arena;
    fh_arena_init(&arena, 1 << 20);
    *state = &arena;
    return 0;
}

static int tear_down(void **state)
{
    fh_arena_close(*state);
    return 0;
}

static enum fh_code parse(struct fh_arena *arena, const char *name, struct fh_key *key)
{
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code =
        fh_record_name_parse(fh_str_of(name), "name", &tenant, &model, arena, key, &error);
    if (code != FH_OK) {
        assert_int_equal(error.code, code);
        assert_string_equal(error.field, "name");
        assert_true(error.message[0] != '\0');
    }
    return code;
}

static void test_names_and_back(void **state)
{
    static const char *const names[] = {
        "tables/items/records/a",
        "tables/items/records/",
        "tables/items/records/a%2Fb%2Cc%25%20%C3%A9",
        "tables/pairs/records/x,-2147483648",
        "tables/pairs/records/,0",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct fh_key key;
        assert_int_equal(parse(*state, names[i], &key), FH_OK);
        assert_string_equal(fh_record_name_text(&key, *state), names[i]);
    }
}

static void test_own_tenant_may_be_named(void **state)
{
    struct fh_key key;
    assert_int_equal(parse(*state, "tenants/" TENANT "/tables/items/records/a", &key), FH_OK);
    assert_true(fh_str_eq(key.values[0].as.bytes, FH_STR("a")));
}

static void test_refused(void **state)
{
    static const struct {
        const char *name;
        enum fh_code code;
    } cases[] = {
        {"", FH_INVALID},
        {"items/a", FH_INVALID},
        {"tables/items", FH_INVALID},
        {"tables/items/", FH_INVALID},
        {"tables/items/record/a", FH_INVALID},
        {"tables/nothing/records/a", FH_INVALID},
        {"tables/ITEMS/records/a", FH_INVALID},
        {"tables/items;drop/records/a", FH_INVALID},
        {"tables/items/records/a,b", FH_INVALID},
        {"tables/items/records/a%", FH_INVALID},
        {"tables/items/records/a%2", FH_INVALID},
        {"tables/items/records/a%zz", FH_INVALID},
        {"tables/items/records/a%00", FH_INVALID},
        {"tables/items/records/%FF%FE", FH_INVALID},
        {"tables/pairs/records/x", FH_INVALID},
        {"tables/pairs/records/x,1,2", FH_INVALID},
        {"tables/pairs/records/x,2147483648", FH_INVALID},
        {"tables/pairs/records/x,1e3", FH_INVALID},
        {"tables/pairs/records/x,", FH_INVALID},
        {"tenants/" OTHER "/tables/items/records/a", FH_NOT_FOUND},
        {"tenants/acme/tables/items/records/a", FH_NOT_FOUND},
        {"tenants/" TENANT, FH_INVALID},
        {"tenants/" TENANT "/items", FH_INVALID},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fh_key key;
        enum fh_code code = parse(*state, cases[i].name, &key);
        if (code != cases[i].code) {
            fail_msg("%s: %s", cases[i].name, fh_code_name(code));
        }
    }
}

static void test_bounds(void **state)
{
    char name[FH_RECORD_NAME_MAX + 64];
    struct fh_key key;
    memset(name, 'a', sizeof(name));
    memcpy(name, "tables/items/records/", 21);
    name[21 + FH_KEY_TEXT_MAX] = '\0';
    assert_int_equal(parse(*state, name, &key), FH_OK);
    name[21 + FH_KEY_TEXT_MAX] = 'a';
    name[22 + FH_KEY_TEXT_MAX] = '\0';
    assert_int_equal(parse(*state, name, &key), FH_INVALID);
    name[22 + FH_KEY_TEXT_MAX] = 'a';
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(parse(*state, name, &key), FH_INVALID);
}

static void test_no_schema_yet(void **state)
{
    struct fh_key key;
    struct fh_error error = FH_ERROR_INIT;
    assert_int_equal(fh_record_name_parse(FH_STR("tables/items/records/a"), "name", &tenant, NULL,
                                          *state, &key, &error),
                     FH_INVALID);
}

static void test_table_names(void **state)
{
    const struct fh_table *table = NULL;
    struct fh_error error = FH_ERROR_INIT;
    (void)state;
    assert_int_equal(
        fh_table_name_parse(FH_STR("tables/pairs"), "parent", &tenant, &model, &table, &error),
        FH_OK);
    assert_ptr_equal(table, &pair_table);
    assert_int_equal(
        fh_table_name_parse(FH_STR("tables/pairs/"), "parent", &tenant, &model, &table, &error),
        FH_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names_and_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_own_tenant_may_be_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_schema_yet, set_up, tear_down),
        cmocka_unit_test(test_table_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
