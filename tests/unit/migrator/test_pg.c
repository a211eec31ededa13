/* Between SQLite and a real PostgreSQL: another cursor, another order of transactions, and answers
 * that come over a network. */
#include "tests/lib/postgres.h"
#include "tests/unit/migrator/kit.h"

static struct fh_pgtest *pg;

static int start(void **state)
{
    (void)state;
    const struct fh_pgtest_options options = {.fsync_off = true};
    if (fh_pgtest_start(&options, &pg) != FH_OK) {
        return -1;
    }
    kit_pg_app = fh_pgtest_dsn(pg, FH_PGTEST_APP, FH_PGTEST_UNIX);
    kit_pg_owner = fh_pgtest_dsn(pg, FH_PGTEST_OWNER, FH_PGTEST_UNIX);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fh_pgtest_stop(pg);
    return 0;
}

static void moves_there_and_back(void **state)
{
    (void)state;
    kit_there_and_back(KIT_PG);
}

static void catches_up(void **state)
{
    (void)state;
    kit_catch_up(KIT_PG);
}

static void survives_crashes(void **state)
{
    (void)state;
    kit_at_every_step(KIT_PG, kit_crash_at, false, true);
}

static void refuses_sleepers_that_wake_early(void **state)
{
    (void)state;
    kit_at_every_step(KIT_PG, kit_wake_early_at, true, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_there_and_back),
        cmocka_unit_test(catches_up),
        cmocka_unit_test(survives_crashes),
        cmocka_unit_test(refuses_sleepers_that_wake_early),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
