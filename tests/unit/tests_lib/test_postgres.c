/* The harness itself: a cluster starts, is killed, restarted, and leaves nothing behind. */
#include "tests/lib/postgres.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static void test_life(void **state)
{
    (void)state;
    struct fh_pgtest *pg = NULL;
    char text[64];
    char directory[256];
    struct stat info;
    assert_int_equal(fh_pgtest_start(NULL, &pg), FH_OK);
    (void)strncpy(directory, fh_pgtest_directory(pg), sizeof(directory) - 1);
    directory[sizeof(directory) - 1] = '\0';
    assert_true(fh_pgtest_value(pg, FH_PGTEST_APP, "select current_user", text, sizeof(text)));
    assert_string_equal(text, "freehold_app");
    assert_true(fh_pgtest_exec(pg, FH_PGTEST_OWNER, "create schema s; create table s.t(i int)"));
    assert_true(fh_pgtest_exec(pg, FH_PGTEST_OWNER, "insert into s.t values (1)"));

    assert_int_equal(fh_pgtest_kill9(pg), FH_OK);
    assert_false(fh_pgtest_exec(pg, FH_PGTEST_OWNER, "select 1"));
    assert_int_equal(fh_pgtest_restart(pg), FH_OK);
    assert_true(
        fh_pgtest_value(pg, FH_PGTEST_OWNER, "select count(*) from s.t", text, sizeof(text)));
    assert_string_equal(text, "1");
    assert_int_equal(fh_pgtest_freeze(pg), FH_OK);
    assert_int_equal(fh_pgtest_thaw(pg), FH_OK);
    assert_true(fh_pgtest_exec(pg, FH_PGTEST_OWNER, "select 1"));
    assert_int_equal(fh_pgtest_kill9(pg), FH_OK);
    fh_pgtest_stop(pg);
    assert_int_not_equal(stat(directory, &info), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_life)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
