/* The limit of descriptors is raised as far as it may be, and nothing else about it changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/resource.h>

#include "server/files.h"

#define LOW 128

static void test_raised_to_the_hard_limit(void **state)
{
    struct rlimit before;
    struct rlimit after;
    struct fh_file_limit told;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit low = {.rlim_cur = LOW, .rlim_max = before.rlim_max};
    assert_true(before.rlim_max > LOW);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    for (int i = 0; i < 2; i++) { /* again is harmless */
        fh_file_limit_raise(&told);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
        assert_true(after.rlim_cur == before.rlim_max);
        assert_true(after.rlim_max == before.rlim_max);
        assert_int_equal(told.before, i == 0 ? LOW : told.now);
        assert_true(told.now == (int64_t)before.rlim_max || told.now == -1);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_raised_to_the_hard_limit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
