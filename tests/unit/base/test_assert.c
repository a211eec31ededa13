/* A failed assertion says where and aborts; a true one costs and says nothing. */
#include "base/assert.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Runs `act` in a child; answers its wait status and what it wrote to stderr. */
static int run_child(void (*act)(void), char *said, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL); /* sanitizers and cmocka may have their own */
        dup2(ends[1], STDERR_FILENO);
        act();
        _exit(0);
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t got = 0;
    while (len < size - 1 && (got = read(ends[0], said + len, size - 1 - len)) > 0) {
        len += (size_t)got;
    }
    said[len] = '\0';
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void break_invariant(void)
{
    volatile int one = 1;
    FH_ASSERT(one == 2);
}

static void break_at_length(void)
{
    static char text[2000];
    memset(text, 'x', sizeof(text) - 1);
    fh_assert_fail(text, "file.c", 7);
}

static void succeed(void)
{
    volatile int one = 1;
    FH_ASSERT(one == 1);
}

static void test_fails_loudly(void **state)
{
    (void)state;
    char said[4096];
    int status = run_child(break_invariant, said, sizeof(said));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(said, "test_assert.c:"));
    assert_non_null(strstr(said, "assertion failed: one == 2\n"));
}

static void test_long_condition_is_cut(void **state)
{
    (void)state;
    char said[4096];
    int status = run_child(break_at_length, said, sizeof(said));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_true(strncmp(said, "file.c:7: assertion failed: xxx", 31) == 0);
    assert_true(strlen(said) < 600);
    assert_int_equal(said[strlen(said) - 1], '\n');
}

static void test_true_is_silent(void **state)
{
    (void)state;
    char said[4096];
    int status = run_child(succeed, said, sizeof(said));
    assert_true(WIFEXITED(status));
    assert_string_equal(said, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fails_loudly),
        cmocka_unit_test(test_long_condition_is_cut),
        cmocka_unit_test(test_true_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
