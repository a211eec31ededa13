/* Clocks: the virtual one moves only when told; the system's agree with the system. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

static void test_virtual(void **state)
{
    (void)state;
    struct fh_clock_virtual clock;
    fh_clock_virtual_init(&clock, 1700000000000000);
    assert_true(fh_clock_realtime_us(&clock.clock) == 1700000000000000);
    int64_t start = fh_clock_monotonic_us(&clock.clock);
    assert_true(fh_clock_monotonic_us(&clock.clock) == start);
    fh_clock_virtual_advance(&clock, 1500);
    assert_true(fh_clock_realtime_us(&clock.clock) == 1700000000001500);
    assert_true(fh_clock_monotonic_us(&clock.clock) == start + 1500);
    clock.realtime_us -= 1000000; /* people set wall clocks back; deadlines do not notice */
    assert_true(fh_clock_monotonic_us(&clock.clock) == start + 1500);
}

static void test_system(void **state)
{
    (void)state;
    const struct fh_clock *clock = fh_clock_system();
    struct timespec before;
    struct timespec after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    int64_t now_us = fh_clock_monotonic_us(clock);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(now_us >= (int64_t)before.tv_sec * 1000000 + before.tv_nsec / 1000);
    assert_true(now_us <= (int64_t)after.tv_sec * 1000000 + after.tv_nsec / 1000);
    assert_true(fh_clock_realtime_us(clock) > 1500000000000000); /* microseconds since 1970 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_virtual),
        cmocka_unit_test(test_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
