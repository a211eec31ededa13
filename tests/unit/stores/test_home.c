/* Names of homes: made from a tenant, and read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stores/home.h"

static const struct fh_uuid tenant = {
    {0x01, 0x9a, 0xff, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0x0f}};

static void names_lead_back_to_the_tenant(void **state)
{
    (void)state;
    for (int tier = FH_TIER_SCHEMA; tier <= FH_TIER_DATABASE; tier++) {
        struct fh_home home;
        struct fh_uuid seen;
        fh_home_of((enum fh_tier)tier, &tenant, &home);
        assert_string_equal(home.name, "t_019aff0000007000800000000000000f");
        assert_true(fh_home_tenant(&home, &seen));
        assert_true(fh_uuid_eq(&seen, &tenant));
    }
}

static void a_shared_home_is_nobodys(void **state)
{
    struct fh_home home;
    struct fh_uuid seen;
    (void)state;
    fh_home_of(FH_TIER_SHARED, &tenant, &home);
    assert_string_equal(home.name, FH_HOME_SHARED);
    assert_false(fh_home_tenant(&home, &seen));
}

static void strange_names_are_nobodys(void **state)
{
    static const char *const names[] = {"",
                                        "t_",
                                        "t_019aff000000700080000000000000",
                                        "fh_shared",
                                        "t_019aff0000007000800000000000000f0",
                                        "t_019AFF0000007000800000000000000F",
                                        "x_019aff0000007000800000000000000f",
                                        "t_019aff000000700080000000000000g0"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct fh_home home = {.tier = FH_TIER_SCHEMA};
        struct fh_uuid seen;
        memcpy(home.name, names[i], strlen(names[i]));
        assert_false(fh_home_tenant(&home, &seen));
    }
}

static void tiers_have_names(void **state)
{
    enum fh_tier tier = FH_TIER_SHARED;
    (void)state;
    assert_true(fh_tier_of_name(FH_STR("database"), &tier));
    assert_int_equal(tier, FH_TIER_DATABASE);
    assert_string_equal(fh_tier_name(FH_TIER_SCHEMA), "schema");
    assert_false(fh_tier_of_name(FH_STR("silo"), &tier));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_lead_back_to_the_tenant),
        cmocka_unit_test(a_shared_home_is_nobodys),
        cmocka_unit_test(strange_names_are_nobodys),
        cmocka_unit_test(tiers_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
