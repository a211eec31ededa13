/* A token command is a stranger: what it prints, leaves behind or never ends is bounded, and
 * nothing of what it printed is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "clients/attack/forgery.h"
#include "clients/cli/canary_token.h"

#define UID "00000000-0000-4000-8000-000000000001"

static struct fh_session session;
static struct fh_buf token;
static struct fh_error error;
static int64_t deadline_at_us;

static int set_up(void **state)
{
    (void)state;
    error = (struct fh_error)FH_ERROR_INIT;
    deadline_at_us = INT64_MAX;
    fh_buf_init(&token, FH_TOKEN_TEXT_MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fh_buf_close(&token);
    (void)signal(SIGCHLD, SIG_DFL);
    return 0;
}

static enum fh_code get(const char *command, fh_client_stop_cb *stop_cb)
{
    const struct fh_token_source source = {.session = &session,
                                           .command = command,
                                           .deadline_at_us = deadline_at_us,
                                           .stop_cb = stop_cb};
    const enum fh_code code = fh_token_source_get(&source, UID, &token, &error);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left to be waited for */
    assert_int_equal(errno, ECHILD);
    return code;
}

static void takes_what_is_printed(void **state)
{
    (void)state;
    assert_int_equal(get("echo \"$FREEHOLD_TENANT_UID.$FREEHOLD_ROLES\"; echo", NULL), FH_OK);
    assert_string_equal(token.data, UID ".reader,writer,admin");
    assert_int_equal(get("printf again; exec sleep 0.05 >&-", NULL),
                     FH_OK); /* longer than its pipe */
    assert_string_equal(token.data, "again");
}

static void refuses_what_is_none(void **state)
{
    (void)state;
    assert_int_equal(get("exec yes secret", NULL), FH_INVALID); /* would never end */
    assert_non_null(strstr(error.message, "more than a token"));
    assert_int_equal(get("echo", NULL), FH_INVALID);
    assert_non_null(strstr(error.message, "no token"));
    assert_int_equal(get("echo secret; exit 3", NULL), FH_UNAVAILABLE);
    assert_non_null(strstr(error.message, "status 3"));
    assert_null(strstr(error.message, "secret"));
    assert_int_equal(get("echo secret; kill -9 $$", NULL), FH_UNAVAILABLE);
    assert_non_null(strstr(error.message, "status 137"));
}

static bool stop_cb(void *arg)
{
    (void)arg;
    return true;
}

/* Also when it is what it started that keeps the pipe, or itself that goes on without one. */
static void ends_what_goes_on_when_told(void **state)
{
    (void)state;
    assert_int_equal(get("sleep 600 & exec sleep 600", stop_cb), FH_CANCELLED);
    assert_int_equal(get("echo secret; exec sleep 600 >&-", stop_cb), FH_CANCELLED);
}

/* A run over many places must not wait for the command once for each. */
static void has_no_longer_than_the_run(void **state)
{
    (void)state;
    deadline_at_us = fh_clock_monotonic_us(fh_clock_system()) + 50000;
    assert_int_equal(get("exec sleep 600", NULL), FH_DEADLINE);
    assert_non_null(strstr(error.message, "the run's time"));
    assert_int_equal(get("echo late; exec sleep 600", NULL), FH_DEADLINE);
}

/* Of a supervisor that ignores its children's ends it may have been inherited. */
static void hears_of_the_end_where_ends_are_ignored(void **state)
{
    (void)state;
    (void)signal(SIGCHLD, SIG_IGN);
    assert_int_equal(get("echo here", NULL), FH_OK);
    assert_string_equal(token.data, "here");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(takes_what_is_printed),
        TEST(refuses_what_is_none),
        TEST(ends_what_goes_on_when_told),
        TEST(has_no_longer_than_the_run),
        TEST(hears_of_the_end_where_ends_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
