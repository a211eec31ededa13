/* The rules of names and the words for states. */
#include "router/catalog.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void slugs(void **state)
{
    (void)state;
    const char *const good[] = {"abc", "a-b", "acme-2", "a--b"};
    const char *const bad[] = {"", "ab", "1ab", "-ab", "ab-", "aBc", "a_c", "a.c", "\xc3\xa4zy"};
    char longest[FH_SLUG_MAX + 2];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(fh_slug_is_valid(fh_str_of(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(fh_slug_is_valid(fh_str_of(bad[i])));
    }
    memset(longest, 'x', sizeof(longest));
    assert_true(fh_slug_is_valid((struct fh_str){longest, FH_SLUG_MAX}));
    assert_false(fh_slug_is_valid((struct fh_str){longest, FH_SLUG_MAX + 1}));
    assert_false(fh_slug_is_valid((struct fh_str){"ab\0c", 4}));
}

static void store_names(void **state)
{
    (void)state;
    char longest[FH_STORE_NAME_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    assert_true(fh_store_name_is_valid(FH_STR("a")));
    assert_true(fh_store_name_is_valid(FH_STR("main-2")));
    assert_false(fh_store_name_is_valid(FH_STR("")));
    assert_false(fh_store_name_is_valid(FH_STR("2main")));
    assert_false(fh_store_name_is_valid(FH_STR("Main")));
    assert_false(fh_store_name_is_valid(FH_STR("../x")));
    assert_true(fh_store_name_is_valid((struct fh_str){longest, FH_STORE_NAME_MAX}));
    assert_false(fh_store_name_is_valid((struct fh_str){longest, FH_STORE_NAME_MAX + 1}));
}

static void states(void **state)
{
    (void)state;
    assert_string_equal(fh_tenant_state_name(FH_TENANT_PROVISIONING), "provisioning");
    assert_string_equal(fh_tenant_state_name(FH_TENANT_ACTIVE), "active");
    assert_string_equal(fh_tenant_state_name(FH_TENANT_SUSPENDED), "suspended");
    assert_string_equal(fh_tenant_state_name(FH_TENANT_DELETING), "deleting");
    assert_string_equal(fh_tenant_state_name(FH_TENANT_DELETED), "deleted");
    assert_string_equal(fh_tenant_state_name((enum fh_tenant_state)9), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slugs),
        cmocka_unit_test(store_names),
        cmocka_unit_test(states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
