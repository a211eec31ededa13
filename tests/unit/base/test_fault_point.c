/* Points that end or stop the process: watched from a parent. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault_point.h"

#ifdef FREEHOLD_FAULTS

/* How a child ends that passes the point three times. */
static int status_of(const char *variable, const char *value)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)setenv(variable, value, 1);
        for (int i = 1; i <= 3; i++) {
            fh_fault_point("some.point");
            fh_fault_point("some.point.done");
        }
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    if (WIFSTOPPED(status)) {
        int last = 0;
        assert_int_equal(kill(pid, SIGCONT), 0);
        assert_int_equal(waitpid(pid, &last, 0), pid);
        assert_true(WIFEXITED(last) && WEXITSTATUS(last) == 0);
    }
    return status;
}

static void ends_the_process(void **state)
{
    (void)state;
    static const char *const values[] = {"some.point", "some.point:3", "some.point.done:2"};
    for (size_t i = 0; i < 3; i++) {
        int status = status_of("FREEHOLD_CRASH_AT", values[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 137);
    }
}

static void passes_other_points(void **state)
{
    (void)state;
    static const char *const values[] = {"some", "some.point:4", "some.point.don", "other", ""};
    for (size_t i = 0; i < 5; i++) {
        int status = status_of("FREEHOLD_CRASH_AT", values[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static void stops_the_process(void **state)
{
    (void)state;
    int status = status_of("FREEHOLD_STOP_AT", "some.point:2");
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
}

static void seeds_one_bug(void **state)
{
    (void)state;
    assert_int_equal(setenv("FREEHOLD_SEED_BUG", "moth", 1), 0);
    assert_true(fh_fault_seeded("moth"));
    assert_false(fh_fault_seeded("mot"));
    assert_int_equal(unsetenv("FREEHOLD_SEED_BUG"), 0);
    assert_false(fh_fault_seeded("moth"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_the_process),
        cmocka_unit_test(passes_other_points),
        cmocka_unit_test(stops_the_process),
        cmocka_unit_test(seeds_one_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

/* A release build has no such points. */
int main(void)
{
    fh_fault_point("some.point");
    return fh_fault_seeded("moth") ? 1 : 0;
}

#endif
