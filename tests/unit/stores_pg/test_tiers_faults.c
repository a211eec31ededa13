/* Making and dropping homes, cut short: by the process's end at each step, by the server's, by the
 * memory's. What is left is finished or swept by the next attempt, and nothing is left then. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "tests/unit/stores_pg/tiers.h"

static const enum fh_tier dedicated[] = {FH_TIER_SCHEMA, FH_TIER_DATABASE};
static char before[TRACES_SIZE];
static char after[TRACES_SIZE];

/* A process of its own makes or drops the home, and ends at that point. The store is closed before,
 * so that nothing of it is shared. */
static void crash(struct fixture *f, const char *point, enum fh_op op, enum fh_tier tier)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct fixture child = *f;
        (void)setenv("FREEHOLD_CRASH_AT", point, 1);
        if (uv_loop_init(&child.loop) != 0 || uv_timer_init(&child.loop, &child.watchdog) != 0) {
            _exit(1);
        }
        child.env.loop = &child.loop;
        fixture_open(&child, 1);
        (void)(op == FH_OP_HOME_CREATE ? tiers_create(&child, tier, 0, 1)
                                       : tiers_erase(&child, tier, 0, 1));
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 137);
}

/* The back ends of a process that is gone hold its locks until they notice. */
static enum fh_code until_free(struct fixture *f, enum fh_op op, enum fh_tier tier)
{
    enum fh_code code = FH_HELD;
    for (int i = 0; i < 20 && code == FH_HELD; i++) {
        code = op == FH_OP_HOME_CREATE ? tiers_create(f, tier, 0, 1) : tiers_erase(f, tier, 0, 1);
    }
    return code;
}

static void test_crash_while_making(void **state)
{
    (void)state;
    static const char *const points[] = {"pg.home.role",   "pg.home.database", "pg.home.owned",
                                         "pg.home.tables", "pg.home.inside",   "pg.home.committed"};
    struct fixture f;
    fixture_start(&f, NULL);
    tiers_traces(&f, before);
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < sizeof(points) / sizeof(points[0]); k++) {
            bool inside = strstr(points[k], "database") != NULL ||
                          strstr(points[k], "owned") != NULL || strstr(points[k], "inside") != NULL;
            if ((inside && i == 0) || (strcmp(points[k], "pg.home.tables") == 0 && i == 1)) {
                continue; /* not on that way */
            }
            for (int finish = 0; finish < 2; finish++) {
                fixture_close(&f);
                crash(&f, points[k], FH_OP_HOME_CREATE, dedicated[i]);
                fixture_open(&f, 1);
                if (strcmp(points[k], "pg.home.committed") != 0) {
                    assert_int_equal(tiers_get(&f, dedicated[i], 0), FH_NO_TENANT);
                }
                if (finish) {
                    assert_int_equal(until_free(&f, FH_OP_HOME_CREATE, dedicated[i]), FH_OK);
                    assert_int_equal(tiers_get(&f, dedicated[i], 0), FH_NOT_FOUND);
                }
                assert_int_equal(until_free(&f, FH_OP_HOME_ERASE, dedicated[i]), FH_OK);
                tiers_traces(&f, after);
                assert_string_equal(before, after);
            }
        }
    }
    fixture_stop(&f);
}

/* A template that is half made is nobody's to copy, and gone when the next home is made. */
static void test_crash_while_making_template(void **state)
{
    (void)state;
    static const struct {
        const char *point;
        const char *left; /* of it: its comment, whether it can be connected to */
    } cases[] = {{"pg.template.created", "half true"},
                 {"pg.template.filled", "half true"},
                 {"pg.template.whole", "freehold template false"}};
    static const char *const there =
        "select coalesce(substr(shobj_description(oid, 'pg_database'), 1, 17), 'half') || ' ' || "
        "datallowconn || ' ' || oid from pg_database where datname ~ '^fh_template_'";
    char left[64];
    char now[128];
    struct fixture f;
    fixture_start(&f, NULL);
    tiers_traces(&f, before);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (i > 0) {
            assert_true(fh_pgtest_value(f.pg, FH_PGTEST_SUPERUSER,
                                        "select 'drop database ' || datname from pg_database where "
                                        "datname ~ '^fh_template_'",
                                        now, sizeof(now)));
            assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER, now));
        }
        fixture_close(&f);
        crash(&f, cases[i].point, FH_OP_HOME_CREATE, FH_TIER_DATABASE);
        assert_true(fh_pgtest_value(f.pg, FH_PGTEST_SUPERUSER, there, left, sizeof(left)));
        assert_int_equal(strncmp(left, cases[i].left, strlen(cases[i].left)), 0);
        fixture_open(&f, 1);
        assert_int_equal(until_free(&f, FH_OP_HOME_CREATE, FH_TIER_DATABASE), FH_OK);
        assert_int_equal(tiers_get(&f, FH_TIER_DATABASE, 0), FH_NOT_FOUND);
        assert_int_equal(until_free(&f, FH_OP_HOME_ERASE, FH_TIER_DATABASE), FH_OK);
        tiers_traces(&f, after);
        assert_string_equal(before, after);
        /* At the latest now; the lock of the one that is gone may have been held still. */
        assert_int_equal(until_free(&f, FH_OP_HOME_CREATE, FH_TIER_DATABASE), FH_OK);
        assert_int_equal(until_free(&f, FH_OP_HOME_ERASE, FH_TIER_DATABASE), FH_OK);
        assert_true(fh_pgtest_value(f.pg, FH_PGTEST_SUPERUSER, there, now, sizeof(now)));
        assert_int_equal(strncmp(now, "freehold template false", 23), 0);
        assert_int_equal(strcmp(left, now) == 0, i == 2); /* what is whole stays */
    }
    fixture_stop(&f);
}

static void test_crash_while_dropping(void **state)
{
    (void)state;
    static const struct {
        const char *point;
        enum fh_tier tier;
    } cases[] = {{"pg.erase.namespace", FH_TIER_SCHEMA}, {"pg.erase.committed", FH_TIER_SCHEMA},
                 {"pg.erase.fence", FH_TIER_DATABASE},   {"pg.erase.sessions", FH_TIER_DATABASE},
                 {"pg.erase.renamed", FH_TIER_DATABASE}, {"pg.erase.database", FH_TIER_DATABASE}};
    struct fixture f;
    fixture_start(&f, NULL);
    tiers_traces(&f, before);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int again = 0; again < 2; again++) {
            tiers_make(&f, cases[i].tier, 0);
            fixture_close(&f);
            crash(&f, cases[i].point, FH_OP_HOME_ERASE, cases[i].tier);
            fixture_open(&f, 1);
            if (again && strcmp(cases[i].point, "pg.erase.namespace") != 0) {
                /* The tenant comes back; what was left of its home is not what it finds. */
                assert_int_equal(until_free(&f, FH_OP_HOME_CREATE, cases[i].tier), FH_OK);
                assert_int_equal(tiers_get(&f, cases[i].tier, 0), FH_NOT_FOUND);
            }
            assert_int_equal(until_free(&f, FH_OP_HOME_ERASE, cases[i].tier), FH_OK);
            tiers_traces(&f, after);
            assert_string_equal(before, after);
        }
    }
    fixture_stop(&f);
}

/* Two sessions that change rights of one thing at once: PostgreSQL refuses one of them, and the
 * whole is begun again, not for ever. Here the function that makes roles is what collides. */
static void test_begun_again(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, NULL);
    assert_true(fh_pgtest_exec(
        f.pg, FH_PGTEST_SUPERUSER,
        "create sequence fh_admin.collisions; alter function fh_admin.make_role rename to "
        "make_role_in_peace; create function fh_admin.make_role(tenant uuid, kind text, verifier "
        "text) returns void language plpgsql security definer as $$ begin if "
        "nextval('fh_admin.collisions') < 3 then raise exception 'tuple concurrently updated' "
        "using errcode = 'XX000'; end if; perform fh_admin.make_role_in_peace(tenant, kind, "
        "verifier); end $$"));
    tiers_traces(&f, before);
    for (size_t i = 0; i < 2; i++) {
        assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER,
                                   "alter sequence fh_admin.collisions restart"));
        assert_int_equal(tiers_create(&f, dedicated[i], 0, 1), FH_OK);
        assert_int_equal(tiers_get(&f, dedicated[i], 0), FH_NOT_FOUND); /* it is there, empty */
        assert_int_equal(tiers_erase(&f, dedicated[i], 0, 1), FH_OK);
        assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER,
                                   "alter sequence fh_admin.collisions minvalue -100 restart "
                                   "with -100"));
        assert_int_equal(tiers_create(&f, dedicated[i], 0, 1), FH_INTERNAL);
        tiers_traces(&f, after);
        assert_string_equal(before, after);
        assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER,
                                   "alter sequence fh_admin.collisions minvalue -100 restart "
                                   "with 1 start with 1"));
    }
    fixture_stop(&f);
}

/* A database that is half dropped is no home: its login is closed, or PostgreSQL lets nobody in.
 * One that only cannot be reached is one. */
static void test_half_dropped(void **state)
{
    (void)state;
    static const struct {
        const char *spoil; /* %1$s: the home's name */
        const char *mend;
        enum fh_code code;
    } cases[] = {
        {"alter role \"%1$s_db\" nologin", "alter role \"%1$s_db\" login", FH_NO_TENANT},
        {"alter role \"%1$s_db\" rename to away", "alter role away rename to \"%1$s_db\"",
         FH_NO_TENANT},
        {"update pg_database set datconnlimit = -2 where datname = '%1$s'",
         "update pg_database set datconnlimit = -1 where datname = '%1$s'", FH_NO_TENANT},
        {"revoke connect on database \"%1$s\" from \"%1$s_db\"",
         "grant connect on database \"%1$s\" to \"%1$s_db\"", FH_NO_TENANT},
        {"alter database \"%1$s\" allow_connections false",
         "alter database \"%1$s\" allow_connections true", FH_UNAVAILABLE},
    };
    char sql[256];
    struct fh_home home;
    struct fh_uuid tenant = tiers_tenant(0);
    struct fixture f;
    fixture_start(&f, NULL);
    fh_home_of(FH_TIER_DATABASE, &tenant, &home);
    tiers_make(&f, FH_TIER_DATABASE, 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture_close(&f); /* with the connections that it has in there */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the texts above */
        (void)snprintf(sql, sizeof(sql), cases[i].spoil, home.name);
        assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER, sql));
        fixture_open(&f, 1);
        assert_int_equal(tiers_get(&f, FH_TIER_DATABASE, 0), cases[i].code);
        (void)snprintf(sql, sizeof(sql), cases[i].mend, home.name);
#pragma GCC diagnostic pop
        assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER, sql));
        fixture_close(&f); /* whoever was refused tries again later only */
        fixture_open(&f, 1);
        assert_int_equal(tiers_get(&f, FH_TIER_DATABASE, 0), FH_OK);
    }
    fixture_stop(&f);
}

/* An eraser that waits for the home's lock while others erase it and make it anew meets another
 * generation. */
static void test_late_eraser(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, NULL);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(tiers_create(&f, dedicated[i], 0, 1), FH_OK);
        assert_int_equal(tiers_erase(&f, dedicated[i], 0, 1), FH_OK);
        assert_int_equal(tiers_create(&f, dedicated[i], 0, 2), FH_OK);
        assert_int_equal(tiers_erase(&f, dedicated[i], 0, 1), FH_MOVED);
        assert_int_equal(tiers_get(&f, dedicated[i], 0), FH_NOT_FOUND); /* it is there, empty */
        assert_int_equal(tiers_erase(&f, dedicated[i], 0, 2), FH_OK);
    }
    fixture_stop(&f);
}

/* A fence that cannot be seen, for somebody has changed its policy, is not one that is not there:
 * whoever makes or erases a home leaves what it finds alone. */
static void test_unseen_fence(void **state)
{
    (void)state;
    static const char *const spoils[] = {
        "drop policy fh_tenant on \"%1$s\".fh_fence",
        "create policy none on \"%1$s\".fh_fence as restrictive using (false)",
    };
    static const char *const mends[] = {
        "create policy fh_tenant on \"%1$s\".fh_fence using (tenant_id = "
        "pg_catalog.current_setting('fh.tenant')::uuid) with check (tenant_id = "
        "pg_catalog.current_setting('fh.tenant')::uuid)",
        "drop policy none on \"%1$s\".fh_fence",
    };
    char sql[512];
    struct fh_home home;
    struct fixture f;
    struct fh_uuid tenant = tiers_tenant(0);
    fixture_start(&f, NULL);
    for (size_t i = 0; i < 4; i++) {
        enum fh_tier tier = dedicated[i / 2];
        fh_home_of(tier, &tenant, &home);
        const char *namespace = tier == FH_TIER_SCHEMA ? home.name : "app";
        const char *database = tier == FH_TIER_SCHEMA ? "freehold" : home.name;
        tiers_make(&f, tier, 0);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the texts above */
        (void)snprintf(sql, sizeof(sql), spoils[i % 2], namespace);
        assert_string_equal(tiers_sql(&f, database, "postgres", NULL, sql), "");
        assert_int_equal(tiers_create(&f, tier, 0, 2), FH_PRECONDITION);
        assert_int_equal(tiers_erase(&f, tier, 0, 2), FH_PRECONDITION);
        (void)snprintf(sql, sizeof(sql), mends[i % 2], namespace);
#pragma GCC diagnostic pop
        assert_string_equal(tiers_sql(&f, database, "postgres", NULL, sql), "");
        assert_int_equal(tiers_get(&f, tier, 0), FH_OK);
        assert_int_equal(tiers_erase(&f, tier, 0, 2), FH_MOVED);
        assert_int_equal(tiers_erase(&f, tier, 0, 1), FH_OK);
    }
    fixture_stop(&f);
}

static void test_server_killed(void **state)
{
    (void)state;
    struct fixture f;
    struct call call;
    fixture_start(&f, NULL);
    for (size_t i = 0; i < 2; i++) {
        tiers_call(&call, &f, dedicated[i], 0);
        call.request.op = FH_OP_HOME_CREATE;
        call.request.as.home.fence =
            (struct fh_fence){.epoch = 1, .generation = 1, .mode = FH_FENCE_OPEN};
        call_submit(&call, 10000);
        fixture_turn(&f, 10);
        assert_int_equal(fh_pgtest_kill9(f.pg), FH_OK);
        fixture_wait(&f, &call, 1);
        assert_int_equal(fh_pgtest_restart(f.pg), FH_OK);
        call_until_ok(&call);
        call_close(&call);
        assert_int_equal(tiers_get(&f, dedicated[i], 0), FH_NOT_FOUND);
        assert_int_equal(tiers_erase(&f, dedicated[i], 0, 1), FH_OK);
    }
    fixture_stop(&f);
}

/* The nth allocation fails, for every n until all goes well. */
static void test_memory(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, NULL);
    for (size_t i = 0; i < 2; i++) {
        bool delivered = true;
        for (long n = 0; delivered && n < 400; n += i == 0 ? 1 : 3) {
            struct call call;
            tiers_call(&call, &f, dedicated[i], 0);
            call.request.op = FH_OP_HOME_CREATE;
            call.request.as.home.fence =
                (struct fh_fence){.epoch = 1, .generation = 1, .mode = FH_FENCE_OPEN};
            call.request.deadline_us = fh_clock_monotonic_us(fh_clock_system()) + INT64_C(20000000);
            fh_alloc_fault_on(n, 1);
            enum fh_code code = call_try(&call);
            delivered = fh_alloc_fault_off() != 0;
            if (code != FH_OK && code != FH_NOMEM) {
                print_error("%ld: %s: %s\n", n, fh_code_name(code),
                            fh_error_text(&call.request.error));
            }
            assert_true(code == FH_OK || code == FH_NOMEM);
            if (code == FH_OK) {
                assert_int_equal(tiers_erase(&f, dedicated[i], 0, 1), FH_OK);
            }
            call_close(&call);
        }
        assert_false(delivered);
        tiers_traces(&f, after);
        if (i == 0) {
            memcpy(before, after, sizeof(before));
        }
        assert_string_equal(before, after);
    }
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash_while_making),
        cmocka_unit_test(test_crash_while_making_template),
        cmocka_unit_test(test_crash_while_dropping),
        cmocka_unit_test(test_begun_again),
        cmocka_unit_test(test_half_dropped),
        cmocka_unit_test(test_late_eraser),
        cmocka_unit_test(test_unseen_fence),
        cmocka_unit_test(test_server_killed),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
