/* PostgreSQL: layers taken away as an administrator's mistake would, by SQL, and by fault switches.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "stores/pg/pg.h"
#include "tests/lib/postgres.h"
#include "tests/unit/prober/lab.h"

static struct fh_pgtest *cluster;
static struct lab lab;

static int start(void **state)
{
    const struct fh_pgtest_options options = {.fsync_off = true};
    (void)state;
    return fh_pgtest_start(&options, &cluster) == FH_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    fh_pgtest_stop(cluster);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    assert_true(fh_pgtest_reset_homes(cluster));
    lab_open(&lab, &fh_store_pg_ops, fh_pgtest_dsn(cluster, FH_PGTEST_APP, FH_PGTEST_UNIX),
             fh_pgtest_dsn(cluster, FH_PGTEST_OWNER, FH_PGTEST_UNIX), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    lab_close(&lab);
    return 0;
}

static void run(const char *format, const char *a, const char *b)
{
    char sql[1024];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(sql, sizeof(sql), format, a, b);
#pragma GCC diagnostic pop
    assert_true(fh_pgtest_exec(cluster, FH_PGTEST_SUPERUSER, sql));
}

static void holds_in_every_tier(void **state)
{
    (void)state;
    lab_probe(&lab, 0);
    lab_assert_held(&lab, FH_TIER_SHARED);
    lab_assert_held(&lab, FH_TIER_SCHEMA);
    lab_assert_held(&lab, FH_TIER_DATABASE);
    const struct fh_probe_result *border = lab_result(&lab, FH_TIER_SCHEMA, "border");
    assert_non_null(border);
    assert_int_equal(border->verdict, FH_PROBE_HELD);
    assert_null(lab_result(&lab, FH_TIER_SHARED, "border"));
}

/* Row-level security switched off where it matters, by whoever may: layer 2, and nothing leaks. */
static void names_row_level_security(void **state)
{
    (void)state;
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    run("alter table fh_shared.items disable row level security;"
        "alter table fh_shared.fh_fence disable row level security",
        "", "");
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    lab_assert_gone(&lab, FH_TIER_SHARED, "enforcement", FH_PROBE_LAYER_ENFORCEMENT);
    lab_assert_gone(&lab, FH_TIER_SHARED, "predicate", FH_PROBE_LAYER_ENFORCEMENT);
    run("alter table fh_shared.items enable row level security;"
        "alter table fh_shared.fh_fence enable row level security",
        "", "");
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    lab_assert_held(&lab, FH_TIER_SHARED);
}

static void names_it_in_dedicated_homes(void **state)
{
    struct fh_tenant b;
    (void)state;
    lab_probe(&lab, 1u << FH_TIER_SCHEMA);
    lab_tenant(&lab, "fh-canary-main-schema-b", &b);
    run("alter table %s.items disable row level security;"
        "alter table %s.fh_fence disable row level security",
        b.placement.home.name, b.placement.home.name);
    lab_probe(&lab, 1u << FH_TIER_SCHEMA);
    lab_assert_gone(&lab, FH_TIER_SCHEMA, "enforcement", FH_PROBE_LAYER_ENFORCEMENT);
}

/* The rows' own table alone: the fence still is the tenant's, and the row is seen behind it. */
static void names_it_of_one_table(void **state)
{
    (void)state;
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    run("alter table fh_shared.items disable row level security", "", "");
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    lab_assert_gone(&lab, FH_TIER_SHARED, "enforcement", FH_PROBE_LAYER_ENFORCEMENT);
}

/* A login that no policy binds is not served at all: nothing can be probed, which is told. */
static void tells_of_a_bypassing_role(void **state)
{
    (void)state;
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    run("alter role freehold_app bypassrls", "", "");
    run("select pg_terminate_backend(pid, 10000) from pg_stat_activity where usename = "
        "'freehold_app'",
        "", "");
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    run("alter role freehold_app nobypassrls", "", "");
    assert_false(lab.report->held);
    print_message("%s\n", lab.report->results[0].text);
    assert_int_equal(lab.report->results[0].verdict, FH_PROBE_UNKNOWN);
}

/* A's role is let into B's schema by mistake. */
static void names_the_border(void **state)
{
    struct fh_tenant a;
    struct fh_tenant b;
    (void)state;
    lab_probe(&lab, 1u << FH_TIER_SCHEMA);
    lab_assert_held(&lab, FH_TIER_SCHEMA);
    lab_tenant(&lab, "fh-canary-main-schema-a", &a);
    lab_tenant(&lab, "fh-canary-main-schema-b", &b);
    run("grant usage on schema %s to %s", b.placement.home.name, a.placement.home.name);
    run("grant select on all tables in schema %s to %s", b.placement.home.name,
        a.placement.home.name);
    lab_probe(&lab, 1u << FH_TIER_SCHEMA);
    lab_assert_gone(&lab, FH_TIER_SCHEMA, "border", FH_PROBE_LAYER_BORDER);
}

/* What no canary's read can meet: another table of the store's, a table that has no rows of its own
 * to be read, an ordinary tenant's home. */
static void names_tables_of_others(void **state)
{
    (void)state;
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    lab_assert_held(&lab, FH_TIER_SHARED);
    const struct fh_probe_result *rights = lab_result(&lab, FH_TIER_SHARED, "rights and policies");
    assert_non_null(rights);
    assert_int_equal(rights->verdict, FH_PROBE_HELD);
    run("alter table fh_shared.fh_commit no force row level security", "", "");
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    lab_assert_gone(&lab, FH_TIER_SHARED, "rights and policies", FH_PROBE_LAYER_ENFORCEMENT);
    assert_int_equal(lab_result(&lab, FH_TIER_SHARED, "enforcement")->verdict, FH_PROBE_HELD);
    run("alter table fh_shared.fh_commit force row level security", "", "");
    run("create role t_00000000000000000000000000000000 noinherit nologin;"
        "grant select on fh_shared.fh_commit to t_00000000000000000000000000000000",
        "", "");
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    lab_assert_gone(&lab, FH_TIER_SHARED, "rights and policies", FH_PROBE_LAYER_BORDER);
    run("drop owned by t_00000000000000000000000000000000;"
        "drop role t_00000000000000000000000000000000",
        "", "");
    /* What is off, but no layer of the isolation, is not the probe's. */
    run("alter role freehold_app set log_min_error_statement = error", "", "");
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    run("alter role freehold_app reset log_min_error_statement", "", "");
    lab_assert_held(&lab, FH_TIER_SHARED);
}

/* Between the prober and the store, for as long as `real` is set: counts the checks, and mends
 * before the second what the first one found, as it is with a table that was dropped meanwhile. */
static struct {
    const struct fh_store_ops *real;
    struct fh_store_ops ops;
    unsigned checks;
    bool refuses_first;
    const char *mend;
} between;

static enum fh_code submit_between(struct fh_store *store, struct fh_request *request)
{
    if (request->op == FH_OP_CHECK) {
        between.checks++;
        if (between.checks == 1 && between.refuses_first) {
            return fh_error_set(&request->error, FH_INTERNAL, "role does not exist");
        }
        if (between.checks == 2 && between.mend != NULL) {
            run("%s", between.mend, "");
        }
    }
    return between.real->submit(store, request);
}

static void probe_between(bool refuses_first, const char *mend)
{
    between.real = lab.store->ops;
    between.ops = *lab.store->ops;
    between.ops.submit = submit_between;
    between.checks = 0;
    between.refuses_first = refuses_first;
    between.mend = mend;
    lab.store->ops = &between.ops;
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    lab.store->ops = between.real;
}

/* What is found once, and not again, was a home's end and no layer's. */
static void asks_again_before_it_tells(void **state)
{
    (void)state;
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    lab_assert_held(&lab, FH_TIER_SHARED);
    run("alter table fh_shared.fh_commit no force row level security", "", "");
    probe_between(false, "alter table fh_shared.fh_commit force row level security");
    assert_int_equal(between.checks, 2);
    lab_assert_held(&lab, FH_TIER_SHARED);
    probe_between(true, NULL);
    assert_int_equal(between.checks, 2);
    lab_assert_held(&lab, FH_TIER_SHARED);
    probe_between(false, NULL);
    assert_int_equal(between.checks, 1);
    /* What stays is told, and asked for a bounded number of times. */
    run("alter table fh_shared.fh_commit no force row level security", "", "");
    probe_between(false, NULL);
    assert_int_equal(between.checks, 5);
    lab_assert_gone(&lab, FH_TIER_SHARED, "rights and policies", FH_PROBE_LAYER_ENFORCEMENT);
    run("alter table fh_shared.fh_commit force row level security", "", "");
}

static void looks_into_databases(void **state)
{
    struct fh_tenant a;
    char value[8];
    (void)state;
    lab_probe(&lab, 1u << FH_TIER_DATABASE);
    lab_assert_held(&lab, FH_TIER_DATABASE);
    lab_tenant(&lab, "fh-canary-main-database-a", &a);
    assert_true(fh_pgtest_value_in(cluster, a.placement.home.name,
                                   "alter table app.fh_commit disable row level security; select 1",
                                   value, sizeof(value)));
    lab_probe(&lab, 1u << FH_TIER_DATABASE);
    lab_assert_gone(&lab, FH_TIER_DATABASE, "rights and policies", FH_PROBE_LAYER_ENFORCEMENT);
}

#ifdef FREEHOLD_FAULTS

static void names_layers_1_and_3(void **state)
{
    (void)state;
    lab_probe(&lab, 0);
    lab.faults.skip_predicate = true;
    lab_probe(&lab, 0);
    for (int tier = FH_TIER_SHARED; tier <= FH_TIER_DATABASE; tier++) {
        lab_assert_gone(&lab, (enum fh_tier)tier, "predicate", FH_PROBE_LAYER_PREDICATE);
    }
    lab.faults.skip_predicate = false;
    lab.faults.skip_ownership_check = true;
    lab_probe(&lab, 0);
    for (int tier = FH_TIER_SHARED; tier <= FH_TIER_DATABASE; tier++) {
        lab_assert_gone(&lab, (enum fh_tier)tier, "ownership", FH_PROBE_LAYER_OWNERSHIP);
    }
    lab.faults.skip_ownership_check = false;
    lab_probe(&lab, 0);
    assert_true(lab.report->held);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(holds_in_every_tier, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_row_level_security, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_it_in_dedicated_homes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_it_of_one_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_of_a_bypassing_role, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_the_border, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_tables_of_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(asks_again_before_it_tells, set_up, tear_down),
        cmocka_unit_test_setup_teardown(looks_into_databases, set_up, tear_down),
#ifdef FREEHOLD_FAULTS
        cmocka_unit_test_setup_teardown(names_layers_1_and_3, set_up, tear_down),
#endif
    };
    return cmocka_run_group_tests(tests, start, stop);
}
