/* The same on SQLite, at one side of every step. */
#include "tests/unit/migrator/kit.h"

static void survives_crashes(void **state)
{
    (void)state;
    kit_at_every_step(KIT_SQLITE, kit_crash_at, false, true);
}

static void refuses_sleepers_that_wake_early(void **state)
{
    (void)state;
    kit_at_every_step(KIT_SQLITE, kit_wake_early_at, true, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_crashes),
        cmocka_unit_test(refuses_sleepers_that_wake_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
