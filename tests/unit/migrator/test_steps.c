/* A worker that dies or sleeps before and behind every step there is: see scenarios.c. */
#include "tests/unit/migrator/kit.h"

static void survives_crashes(void **state)
{
    (void)state;
    kit_at_every_step(KIT_MEMORY, kit_crash_at, true, true);
}

static void refuses_sleepers(void **state)
{
    (void)state;
    kit_at_every_step(KIT_MEMORY, kit_sleep_at, true, true);
}

static void refuses_sleepers_that_wake_early(void **state)
{
    (void)state;
    kit_at_every_step(KIT_MEMORY, kit_wake_early_at, true, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_crashes),
        cmocka_unit_test(refuses_sleepers),
        cmocka_unit_test(refuses_sleepers_that_wake_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
