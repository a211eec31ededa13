/* The memory engine and SQLite: every layer taken away in turn, and what the prober says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "stores/mem/mem.h"
#include "stores/sqlite/sqlite.h"
#include "tests/unit/prober/lab.h"

static struct lab lab;

static int tear_down(void **state)
{
    (void)state;
    lab_close(&lab);
    assert_int_equal(fh_alloc_live(), 0);
    return 0;
}

static int set_up_mem(void **state)
{
    (void)state;
    lab_open(&lab, &fh_store_mem_ops, NULL, NULL, 0);
    return 0;
}

static int set_up_sqlite(void **state)
{
    (void)state;
    lab_open(&lab, &fh_store_sqlite_ops, NULL, NULL, 0);
    return 0;
}

static int set_up_own_runs(void **state)
{
    (void)state;
    lab_open(&lab, &fh_store_mem_ops, NULL, NULL, 1000);
    return 0;
}

static void holds_when_all_is_there(void **state)
{
    (void)state;
    struct fh_prober_stats stats;
    lab_probe(&lab, 0);
    lab_assert_held(&lab, FH_TIER_SHARED);
    for (int tier = FH_TIER_SCHEMA; tier <= FH_TIER_DATABASE; tier++) {
        if ((lab.store->ops->capabilities & fh_capability_of_tier((enum fh_tier)tier)) != 0) {
            lab_assert_held(&lab, (enum fh_tier)tier);
        }
    }
    fh_prober_stats(lab.prober, &stats);
    assert_int_equal(stats.runs, 1);
    assert_true(stats.last_ok_us > 0);
    for (int i = 0; i < FH_PROBE_LAYERS; i++) {
        assert_int_equal(stats.failures[i], 0);
    }
}

/* Canaries are made once, are tenants like others, and say that they are canaries. */
static void keeps_its_canaries(void **state)
{
    (void)state;
    struct fh_tenant first;
    struct fh_tenant again;
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    lab_tenant(&lab, "fh-canary-main-shared-a", &first);
    assert_int_equal(first.state, FH_TENANT_ACTIVE);
    assert_true(fh_uuid_is_canary(&first.uuid));
    assert_int_equal(first.label_count, 1);
    assert_true(fh_str_eq(first.labels[0].key, FH_STR("fh_canary")));
    assert_true(fh_str_eq(first.labels[0].value, FH_STR("a")));
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    lab_tenant(&lab, "fh-canary-main-shared-a", &again);
    assert_true(fh_uuid_eq(&first.uuid, &again.uuid));
    lab_assert_held(&lab, FH_TIER_SHARED);
}

static void erased_cb(const struct fh_saga_result *result, void *arg)
{
    assert_int_equal(result->code, FH_OK);
    *(bool *)arg = true;
}

static void replaces_a_canary_that_was_deleted(void **state)
{
    (void)state;
    struct fh_tenant canary;
    struct fh_error error = FH_ERROR_INIT;
    const struct fh_audit_context audit = {.actor = FH_STR("root")};
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    lab_tenant(&lab, "fh-canary-main-shared-b", &canary);
    lab.done = false;
    assert_int_equal(fh_tenant_erase(lab.provisioner, &canary.uuid, &audit,
                                     fh_clock_monotonic_us(lab.env.clock) + 60 * 1000000LL,
                                     erased_cb, &lab.done, &error),
                     FH_OK);
    lab_wait(&lab);
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    lab_assert_held(&lab, FH_TIER_SHARED);
}

static void is_refused_for_ordinary_tenants(void **state)
{
    (void)state;
    struct fh_tenant canary;
    struct fh_value id = {.type = FH_TYPE_INT64, .as.integer = 1};
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    lab_tenant(&lab, "fh-canary-main-shared-a", &canary);
    const struct fh_uuid ordinary = fh_uuid_v7(1);
    const struct fh_table *items = fh_schema_table(lab.schema, FH_STR("items"));
    const struct fh_key key = {.table = items, .values[0] = id};
    const struct fh_uuid pairs[][2] = {{ordinary, canary.uuid}, {canary.uuid, ordinary}};
    for (size_t i = 0; i < 2; i++) {
        const struct fh_probe probe = {.context = pairs[i][1], .skip_predicate = true};
        struct fh_request request = {
            .op = FH_OP_GET,
            .scope = {.tenant = pairs[i][0],
                      .epoch = 1,
                      .home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED},
                      .schema = lab.schema},
            .probe = &probe,
            .as.get = {.keys = &key, .count = 1},
        };
        assert_int_equal(lab_ask(&lab, &request), FH_INVALID);
    }
    const struct fh_probe probe = {.context = canary.uuid, .skip_predicate = true};
    struct fh_request list = {
        .op = FH_OP_LIST, /* between canaries, but no GET */
        .scope = {.tenant = canary.uuid,
                  .epoch = 1,
                  .home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED},
                  .schema = lab.schema},
        .probe = &probe,
        .as.list = {.table = items, .limit = 1},
    };
    assert_int_equal(lab_ask(&lab, &list), FH_INVALID);
}

static void one_run_at_a_time(void **state)
{
    (void)state;
    struct fh_error error = FH_ERROR_INIT;
    int64_t deadline_us = fh_clock_monotonic_us(lab.env.clock) + 60 * 1000000LL;
    assert_null(fh_prober_last(lab.prober));
    assert_int_equal(
        fh_prober_run(lab.prober, FH_STR("nowhere"), 0, deadline_us, NULL, NULL, &error),
        FH_NOT_FOUND);
    assert_int_equal(fh_prober_run(lab.prober, FH_STR("main"), 0, deadline_us, NULL, NULL, &error),
                     FH_OK);
    assert_int_equal(fh_prober_run(lab.prober, FH_STR("main"), 0, deadline_us, NULL, NULL, &error),
                     FH_CONFLICT); /* and the first is ended by the close */
}

static void runs_by_itself(void **state)
{
    (void)state;
    struct fh_prober_stats stats = {0};
    fh_prober_start(lab.prober);
    while (stats.runs < 3) {
        uv_run(&lab.loop, UV_RUN_ONCE);
        fh_prober_stats(lab.prober, &stats);
    }
    assert_true(fh_prober_last(lab.prober)->held);
}

#ifdef FREEHOLD_FAULTS

static uint32_t failures(enum fh_probe_layer layer)
{
    struct fh_prober_stats stats;
    fh_prober_stats(lab.prober, &stats);
    return (uint32_t)stats.failures[layer];
}

static void names_layer_1(void **state)
{
    (void)state;
    lab_probe(&lab, 0);
    lab.faults.skip_predicate = true;
    lab_probe(&lab, 0);
    lab_assert_gone(&lab, FH_TIER_SHARED, "predicate", FH_PROBE_LAYER_PREDICATE);
    assert_true(failures(FH_PROBE_LAYER_PREDICATE) > 0);
    assert_int_equal(failures(FH_PROBE_LAYER_ENFORCEMENT), 0);
    lab.faults.skip_predicate = false;
    lab_probe(&lab, 0);
    assert_true(lab.report->held);
}

static void names_layer_2(void **state)
{
    (void)state;
    bool is_mem = lab.store->ops == &fh_store_mem_ops;
    lab_probe(&lab, 0);
    lab.faults.skip_enforcement = true;
    lab_probe(&lab, 0);
    lab_assert_gone(&lab, FH_TIER_SHARED, is_mem ? "predicate" : "enforcement",
                    FH_PROBE_LAYER_ENFORCEMENT);
    if (!is_mem) { /* whose dedicated homes have but one tenant to be seen */
        lab_assert_gone(&lab, FH_TIER_SCHEMA, "enforcement", FH_PROBE_LAYER_ENFORCEMENT);
        lab_assert_gone(&lab, FH_TIER_DATABASE, "enforcement", FH_PROBE_LAYER_ENFORCEMENT);
    }
    assert_int_equal(failures(FH_PROBE_LAYER_PREDICATE), 0);
    assert_true(failures(FH_PROBE_LAYER_ENFORCEMENT) > 0);
}

/* The prober takes the other two away itself; no other probe, and no ordinary read, sees a row. */
static void names_layer_3(void **state)
{
    (void)state;
    lab_probe(&lab, 0);
    lab.faults.skip_ownership_check = true;
    lab_probe(&lab, 0);
    lab_assert_gone(&lab, FH_TIER_SHARED, "ownership", FH_PROBE_LAYER_OWNERSHIP);
    assert_int_equal(lab_result(&lab, FH_TIER_SHARED, "predicate")->verdict, FH_PROBE_HELD);
    assert_int_equal(lab_result(&lab, FH_TIER_SHARED, "enforcement")->verdict, FH_PROBE_HELD);
    assert_int_equal(lab_result(&lab, FH_TIER_SHARED, "key of another")->verdict, FH_PROBE_HELD);
}

static void names_several(void **state)
{
    (void)state;
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    lab.faults.skip_predicate = true;
    lab.faults.skip_ownership_check = true;
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    const struct fh_probe_result *result = lab_result(&lab, FH_TIER_SHARED, "predicate");
    assert_int_equal(result->verdict, FH_PROBE_BROKEN);
    assert_int_equal(result->gone, 1u << FH_PROBE_LAYER_PREDICATE | 1u << FH_PROBE_LAYER_OWNERSHIP);
    result = lab_result(&lab, FH_TIER_SHARED, "key of another");
    assert_int_equal(result->verdict, FH_PROBE_HELD); /* layer 2 is there */
    lab.faults.skip_enforcement = true;
    lab_probe(&lab, 1u << FH_TIER_SHARED);
    assert_false(lab.report->held);
}

#define FAULTS(set_up)                                                     \
    cmocka_unit_test_setup_teardown(names_layer_1, set_up, tear_down),     \
        cmocka_unit_test_setup_teardown(names_layer_2, set_up, tear_down), \
        cmocka_unit_test_setup_teardown(names_layer_3, set_up, tear_down), \
        cmocka_unit_test_setup_teardown(names_several, set_up, tear_down),
#else
#define FAULTS(set_up)
#endif

#define TESTS(set_up)                                                                           \
    cmocka_unit_test_setup_teardown(holds_when_all_is_there, set_up, tear_down),                \
        cmocka_unit_test_setup_teardown(keeps_its_canaries, set_up, tear_down),                 \
        cmocka_unit_test_setup_teardown(replaces_a_canary_that_was_deleted, set_up, tear_down), \
        cmocka_unit_test_setup_teardown(is_refused_for_ordinary_tenants, set_up, tear_down),    \
        cmocka_unit_test_setup_teardown(one_run_at_a_time, set_up, tear_down), FAULTS(set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* clang-format off */
        TESTS(set_up_mem)
        TESTS(set_up_sqlite)
        cmocka_unit_test_setup_teardown(runs_by_itself, set_up_own_runs, tear_down),
        /* clang-format on */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
