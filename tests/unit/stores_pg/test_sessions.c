/* Sessions of the owner that are kept: nothing of one use is there in the next, and one that the
 * server has ended, or whose time is over, is replaced. */
#include <stdio.h>
#include <string.h>

#include "stores/pg/sessions.h"
#include "tests/unit/stores_pg/tiers.h"

#define SECOND_US INT64_C(1000000)
#define DEADLINE_US (60 * SECOND_US)
#define TEXT_SIZE 512

struct bench {
    struct fh_pgtest *pg;
    struct fh_pg_conninfo info;
    struct fh_clock_virtual clock;
    struct fh_pg_sessions sessions;
    struct fh_error error;
};

static struct fh_pgtest *server;

static int server_start(void **state)
{
    static const struct fh_pgtest_options options = {.fsync_off = true};
    (void)state;
    return fh_pgtest_start(&options, &server) == FH_OK ? 0 : 1;
}

static int server_stop(void **state)
{
    (void)state;
    fh_pgtest_stop(server);
    return 0;
}

static void bench_start(struct bench *b)
{
    memset(b, 0, sizeof(*b));
    b->pg = server;
    assert_int_equal(fh_pg_conninfo_parse(fh_pgtest_dsn(b->pg, FH_PGTEST_OWNER, FH_PGTEST_UNIX),
                                          "owner", &b->info, &b->error),
                     FH_OK);
    fh_clock_virtual_init(&b->clock, 0);
    fh_pg_sessions_init(&b->sessions);
}

static void bench_stop(struct bench *b)
{
    fh_pg_sessions_close(&b->sessions);
    fh_pg_conninfo_close(&b->info);
}

static int64_t now_us(const struct bench *b)
{
    return fh_clock_monotonic_us(&b->clock.clock);
}

/* The back end's process. */
static int take(struct bench *b, struct fh_pg_blocking *conn, struct fh_pg_session *session)
{
    enum fh_code code = fh_pg_sessions_open(&b->sessions, &b->info, &b->clock.clock,
                                            now_us(b) + DEADLINE_US, &b->error, conn, session);
    assert_int_equal(code, FH_OK);
    assert_int_equal(b->error.code, FH_OK);
    return PQbackendPID(conn->pq);
}

/* Taken and given back. */
static int use(struct bench *b)
{
    struct fh_pg_blocking conn;
    struct fh_pg_session session;
    int pid = take(b, &conn, &session);
    fh_pg_sessions_give(&b->sessions, &session, &conn);
    assert_null(conn.pq);
    return pid;
}

static void value(struct fh_pg_blocking *conn, const char *sql, char out[TEXT_SIZE])
{
    assert_int_equal(fh_pg_blocking_value(conn, sql, NULL, 0, out, TEXT_SIZE), FH_OK);
}

static void test_nothing_leaks(void **state)
{
    (void)state;
    static const char *const left[] = {
        "set role pg_read_all_stats",
        "set search_path = fh_left",
        "set statement_timeout = 60001",
        "set synchronous_commit = off",
        "select set_config('fh.tenant', '7c1a7a52-70a1-4d10-8a3b-6f2f0c1d2e3f', false)",
        "select pg_advisory_lock(77)",
        "create temporary table left_over (x integer)",
        "prepare left_over as select 1",
        "declare left_over cursor with hold for select 1",
        "listen left_over",
    };
    static const char *const looks =
        "select concat_ws(' ', current_user, session_user, current_setting('search_path'), "
        "current_setting('statement_timeout'), current_setting('synchronous_commit'), "
        "'<' || current_setting('fh.tenant', true) || '>', (select count(*) from pg_locks where "
        "locktype = 'advisory'), (select count(*) from pg_class where relname = 'left_over'), "
        "(select count(*) from pg_prepared_statements where name = 'left_over'), (select count(*) "
        "from pg_cursors where name = 'left_over'), (select count(*) from "
        "pg_listening_channels()))";
    struct bench b;
    struct fh_pg_blocking conn;
    struct fh_pg_session session;
    char new[TEXT_SIZE];
    char reset[TEXT_SIZE];
    bench_start(&b);
    assert_true(
        fh_pgtest_exec(b.pg, FH_PGTEST_SUPERUSER, "grant pg_read_all_stats to freehold_owner"));
    int pid = take(&b, &conn, &session);
    value(&conn, looks, new);
    for (size_t i = sizeof(left) / sizeof(left[0]); i > 0; i--) { /* the role last */
        assert_int_equal(fh_pg_blocking_run(&conn, left[i - 1]), FH_OK);
    }
    fh_pg_sessions_give(&b.sessions, &session, &conn);
    assert_int_equal(take(&b, &conn, &session), pid);
    value(&conn, looks, reset);
    assert_null(strstr(new, "left"));
    /* a setting of our own is empty once it was set, and not absent as before */
    char *tenant = strstr(reset, " <>");
    assert_non_null(tenant);
    memmove(tenant, tenant + 3, strlen(tenant + 3) + 1);
    assert_string_equal(new, reset);
    fh_pg_sessions_give(&b.sessions, &session, &conn);
    bench_stop(&b);
}

static void test_unfinished(void **state)
{
    (void)state;
    struct bench b;
    struct fh_pg_blocking conn;
    struct fh_pg_session session;
    bench_start(&b);
    int pid = take(&b, &conn, &session);
    assert_int_equal(fh_pg_blocking_run(&conn, "begin"), FH_OK);
    fh_pg_sessions_give(&b.sessions, &session, &conn);
    assert_int_equal(b.sessions.count, 0);
    int other = take(&b, &conn, &session);
    assert_int_not_equal(other, pid);
    assert_int_equal(fh_pg_blocking_run(&conn, "begin"), FH_OK);
    assert_int_not_equal(fh_pg_blocking_run(&conn, "select 1/0"), FH_OK);
    memset(&b.error, 0, sizeof(b.error));
    fh_pg_sessions_give(&b.sessions, &session, &conn);
    assert_int_equal(b.sessions.count, 0);
    take(&b, &conn, &session);
    fh_pg_blocking_close(&conn);
    fh_pg_sessions_give(&b.sessions, &session, &conn);
    assert_int_equal(b.sessions.count, 0);
    bench_stop(&b);
}

static void test_ended(void **state)
{
    (void)state;
    struct bench b;
    bench_start(&b);
    int pid = use(&b);
    assert_int_equal(use(&b), pid);
    assert_true(fh_pgtest_exec(b.pg, FH_PGTEST_SUPERUSER,
                               "select pg_terminate_backend(pid, 30000) from pg_stat_activity "
                               "where usename = 'freehold_owner'"));
    int other = use(&b);
    assert_int_not_equal(other, pid);
    assert_int_equal(use(&b), other);
    assert_int_equal(fh_pgtest_restart(b.pg), FH_OK);
    assert_int_not_equal(use(&b), other);
    bench_stop(&b);
}

static void test_bounds(void **state)
{
    (void)state;
    struct bench b;
    struct fh_pg_blocking conns[FH_PG_SESSIONS_MAX + 1];
    struct fh_pg_session sessions[FH_PG_SESSIONS_MAX + 1];
    bench_start(&b);
    assert_int_equal(fh_pg_sessions_expire(&b.sessions, now_us(&b)), 0);
    int pid = use(&b);
    for (unsigned i = 1; i < FH_PG_SESSION_USES_MAX; i++) {
        assert_int_equal(use(&b), pid);
    }
    assert_int_equal(b.sessions.count, 0); /* it was used often enough */

    for (unsigned i = 0; i <= FH_PG_SESSIONS_MAX; i++) {
        take(&b, &conns[i], &sessions[i]);
    }
    for (unsigned i = 0; i <= FH_PG_SESSIONS_MAX; i++) {
        fh_pg_sessions_give(&b.sessions, &sessions[i], &conns[i]);
        assert_null(conns[i].pq);
    }
    assert_int_equal(b.sessions.count, FH_PG_SESSIONS_MAX);

    fh_clock_virtual_advance(&b.clock, FH_PG_SESSION_IDLE_US - SECOND_US);
    pid = use(&b);
    assert_int_equal(fh_pg_sessions_expire(&b.sessions, now_us(&b)), SECOND_US);
    assert_int_equal(b.sessions.count, FH_PG_SESSIONS_MAX);
    fh_clock_virtual_advance(&b.clock, SECOND_US);
    assert_int_equal(fh_pg_sessions_expire(&b.sessions, now_us(&b)),
                     FH_PG_SESSION_IDLE_US - SECOND_US);
    assert_int_equal(b.sessions.count, 1);

    int64_t used_us = FH_PG_SESSION_IDLE_US; /* busy all the time, and old at last */
    while (used_us + FH_PG_SESSION_IDLE_US / 2 < FH_PG_SESSION_AGE_US) {
        fh_clock_virtual_advance(&b.clock, FH_PG_SESSION_IDLE_US / 2);
        used_us += FH_PG_SESSION_IDLE_US / 2;
        assert_int_equal(use(&b), pid);
    }
    fh_clock_virtual_advance(&b.clock, FH_PG_SESSION_AGE_US - used_us);
    assert_int_not_equal(use(&b), pid);
    fh_clock_virtual_advance(&b.clock, FH_PG_SESSION_AGE_US);
    assert_int_equal(fh_pg_sessions_expire(&b.sessions, now_us(&b)), 0);
    assert_int_equal(b.sessions.count, 0);
    bench_stop(&b);
}

static void owners(struct fixture *f, char out[TEXT_SIZE])
{
    assert_true(
        fh_pgtest_value(f->pg, FH_PGTEST_SUPERUSER,
                        "select count(*) || ':' || coalesce(string_agg(pid::text, ',' order "
                        "by pid), '') from pg_stat_activity where usename = "
                        "'freehold_owner' and datname = 'freehold'",
                        out, TEXT_SIZE));
}

static void test_homes(void **state)
{
    (void)state;
    static const struct fh_pgtest_options options = {.fsync_off = true};
    char one[TEXT_SIZE];
    char two[TEXT_SIZE];
    struct fixture f;
    fixture_start(&f, &options);
    owners(&f, one);
    tiers_make(&f, FH_TIER_SCHEMA, 0);
    owners(&f, two);
    assert_string_not_equal(one, two);
    tiers_make(&f, FH_TIER_SCHEMA, 1);
    assert_int_equal(tiers_erase(&f, FH_TIER_SCHEMA, 0, 1), FH_OK);
    owners(&f, one);
    assert_string_equal(one, two);
    assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER,
                               "select pg_terminate_backend(pid, 30000) from pg_stat_activity "
                               "where usename = 'freehold_owner'"));
    tiers_make(&f, FH_TIER_SCHEMA, 0);
    assert_int_equal(tiers_get(&f, FH_TIER_SCHEMA, 1), FH_OK);
    fixture_close(&f);
    assert_true(
        fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER,
                       "do $$ begin for i in 1..3000 loop exit when not exists (select from "
                       "pg_stat_activity where usename = 'freehold_owner'); perform "
                       "pg_sleep(0.01), pg_stat_clear_snapshot(); end loop; end $$"));
    owners(&f, one);
    assert_string_equal(one, "0:");
    fixture_open(&f, 1);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_leaks), cmocka_unit_test(test_unfinished),
        cmocka_unit_test(test_ended),         cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_homes),
    };
    return cmocka_run_group_tests(tests, server_start, server_stop);
}
