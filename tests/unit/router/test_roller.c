/* The roller over a real catalog file and a store of the memory engine that can be made to fail:
 * hundreds of homes, canaries, pauses, budgets, locks, moves, and a second worker. */
#include "router/roller.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/router/rolling.h"

static void comes_to_every_home(void **state)
{
    struct fixture *f = *state;
    const uint64_t changes = FH_FAULT_OP(FH_OP_SCHEMA_APPLY);
    const uint64_t asks = FH_FAULT_OP(FH_OP_FENCE_READ);
    uint64_t before = fh_store_fault_count(f->store, changes);
    assert_int_equal(homes_at(f, 1), HOMES + 1);
    apply(f, 2, NULL);
    uint64_t asked = fh_store_fault_count(f->store, asks);
    start_roller(f, 0, 5000000);
    struct fh_rollout rollout = until(f, has_ended);
    assert_int_equal(rollout.phase, FH_ROLLOUT_DONE);
    assert_int_equal(rollout.progress.homes_total, HOMES + 1);
    assert_int_equal(rollout.progress.homes_done, HOMES + 1);
    assert_int_equal(homes_at(f, 2), HOMES + 1);
    assert_int_equal(noted_as(f, FH_ROLLOUT_HOME_DONE), HOMES + 1);
    assert_int_equal(fh_store_fault_count(f->store, changes), before + HOMES + 1); /* each once */
    /* The shared home, on each of two walks; the others are known to be done. */
    assert_int_equal(fh_store_fault_count(f->store, asks), asked + 2);
}

static bool has_stopped(const struct fh_rollout *rollout)
{
    return has_ended(rollout) || is_paused(rollout);
}

/* A tenant that is deleted behind the page it was on: its home is refused, and is not a failed one.
 */
static void what_is_on_its_way_out_does_not_fail(void **state)
{
    struct fixture *f = *state;
    struct fh_rollout_settings settings;
    fh_rollout_settings_init(&settings);
    settings.concurrency = 1;
    aim(f, 1, FH_FAULT_HOLD_BEFORE, FH_OK);
    aim(f, 2, FH_FAULT_FAIL_BEFORE, FH_CHECK_VIOLATION);
    apply(f, 2, &settings);
    start_roller(f, 0, 5000000);
    while (fh_store_fault_held(f->store) == 0) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    struct fh_catalog_request advance = {.op = FH_CATALOG_TENANT_ADVANCE};
    advance.audit.actor = FH_STR("root");
    advance.as.advance.uuid = f->tenants[1];
    advance.as.advance.from_states = 1u << FH_TENANT_ACTIVE;
    advance.as.advance.to = FH_TENANT_DELETING;
    assert_int_equal(world_ask(&f->world, &advance), FH_OK);
    fh_store_fault_release(f->store);
    assert_int_equal(until(f, has_stopped).phase, FH_ROLLOUT_DONE);
    assert_int_equal(noted_as(f, FH_ROLLOUT_HOME_GONE), 1);
    assert_int_equal(noted_as(f, FH_ROLLOUT_HOME_DONE), HOMES);
    assert_int_equal(homes_at(f, 2), HOMES);
}

/* A home that was done, and is another by its fence, is looked at again. */
static void another_home_of_the_same_tenant_is_not_missed(void **state)
{
    struct fixture *f = *state;
    struct fh_rollout_settings settings;
    fh_rollout_settings_init(&settings);
    settings.concurrency = 1;
    const uint64_t asks = FH_FAULT_OP(FH_OP_FENCE_READ);
    aim(f, HOMES, FH_FAULT_HOLD_BEFORE, FH_OK);
    apply(f, 2, &settings);
    uint64_t asked = fh_store_fault_count(f->store, asks);
    start_roller(f, 0, 5000000);
    while (fh_store_fault_held(f->store) == 0) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    struct fh_move move = move_in(f, 0, FH_MOVE_PREPARING); /* its claim raised the generation */
    end_move(f, &move);
    fh_store_fault_release(f->store);
    assert_int_equal(until(f, has_ended).phase, FH_ROLLOUT_DONE);
    assert_int_equal(fh_store_fault_count(f->store, asks), asked + 3);
    assert_int_equal(homes_at(f, 2), HOMES + 1);
}

static void stops_after_its_canary(void **state)
{
    struct fixture *f = *state;
    struct fh_rollout_settings settings;
    fh_rollout_settings_init(&settings);
    settings.canary_percent = 5;
    settings.canaries[0] = f->tenants[HOMES - 1];
    settings.canary_count = 1;
    settings.stop_after_canary = true;
    apply(f, 2, &settings);
    start_roller(f, 0, 5000000);
    struct fh_rollout rollout = until(f, is_paused);
    assert_int_equal(rollout.phase, FH_ROLLOUT_ROLLING);
    assert_int_equal(homes_at(f, 2), 11 + 1); /* 5 of 100 of 201, rounded up, and the named one */
    struct fh_home home;
    fh_home_of(FH_TIER_DATABASE, &f->tenants[HOMES - 1], &home);
    assert_int_equal(world_version_of(&f->world, &f->tenants[HOMES - 1], &home), 2);
    wish(f, FH_ROLLOUT_WISH_RUN);
    assert_int_equal(until(f, has_ended).phase, FH_ROLLOUT_DONE);
    assert_int_equal(homes_at(f, 2), HOMES + 1);
}

static void a_canary_that_fails_pauses(void **state)
{
    struct fixture *f = *state;
    struct fh_rollout_settings settings;
    fh_rollout_settings_init(&settings);
    settings.canary_percent = 1;
    settings.failures_max = 1000;
    aim(f, 1, FH_FAULT_FAIL_BEFORE, FH_CHECK_VIOLATION);
    apply(f, 2, &settings);
    start_roller(f, 0, 5000000);
    struct fh_rollout rollout = until(f, is_paused);
    assert_int_equal(rollout.phase, FH_ROLLOUT_CANARY);
    assert_int_equal(rollout.progress.homes_failed, 1);
    assert_int_equal(rollout.progress.homes_done, homes_at(f, 2));
    assert_true(rollout.progress.homes_done <= 2);
    wish(f, FH_ROLLOUT_WISH_RUN); /* the failed one is tried again */
    assert_int_equal(until(f, has_ended).phase, FH_ROLLOUT_DONE);
}

static void pauses_when_its_budget_is_spent(void **state)
{
    struct fixture *f = *state;
    for (uint64_t nth = 1; nth <= 3; nth++) {
        aim(f, nth, FH_FAULT_FAIL_BEFORE, FH_CHECK_VIOLATION);
    }
    struct fh_rollout_settings settings;
    fh_rollout_settings_init(&settings);
    settings.failures_max = 2;
    settings.concurrency = 1;
    apply(f, 2, &settings);
    start_roller(f, 0, 5000000);
    struct fh_rollout rollout = until(f, is_paused);
    assert_int_equal(rollout.progress.homes_failed, 3);
    assert_int_equal(rollout.progress.homes_done, 0); /* it stopped there and then */
    assert_int_equal(noted_as(f, FH_ROLLOUT_HOME_FAILED), 3);
    wish(f, FH_ROLLOUT_WISH_RUN);
    rollout = until(f, has_ended);
    assert_int_equal(rollout.phase, FH_ROLLOUT_DONE);
    assert_int_equal(rollout.progress.homes_failed, 0);
}

static void does_all_others_within_its_budget(void **state)
{
    struct fixture *f = *state;
    aim(f, 1, FH_FAULT_FAIL_BEFORE, FH_CHECK_VIOLATION);
    aim(f, 7, FH_FAULT_FAIL_BEFORE, FH_CHECK_VIOLATION);
    struct fh_rollout_settings settings;
    fh_rollout_settings_init(&settings);
    settings.failures_max = 2;
    apply(f, 2, &settings);
    start_roller(f, 0, 5000000);
    struct fh_rollout rollout = until(f, is_paused); /* what is left needs a person */
    assert_int_equal(rollout.progress.homes_failed, 2);
    assert_int_equal(rollout.progress.homes_done, HOMES + 1 - 2);
    assert_true(rollout.message.len > 0);
    wish(f, FH_ROLLOUT_WISH_CANCEL);
    assert_int_equal(rollout_of(f).phase, FH_ROLLOUT_CANCELLED);
    assert_int_equal(homes_at(f, 1), 2);
}

static void tries_again_what_may_pass(void **state)
{
    struct fixture *f = *state;
    static const enum fh_code codes[] = {FH_CONFLICT, FH_CONFLICT, FH_UNAVAILABLE,    FH_MOVED,
                                         FH_FULL,     FH_CONFLICT, FH_OUTCOME_UNKNOWN};
    for (uint64_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        aim(f, 3 * i + 1, FH_FAULT_FAIL_BEFORE, codes[i]);
    }
    aim(f, 40, FH_FAULT_FAIL_AFTER, FH_OUTCOME_UNKNOWN);
    aim(f, 50, FH_FAULT_REFUSE, FH_FULL);
    apply(f, 2, NULL);
    start_roller(f, 0, 5000000);
    struct fh_rollout rollout = until(f, has_ended);
    assert_int_equal(rollout.phase, FH_ROLLOUT_DONE);
    assert_int_equal(homes_at(f, 2), HOMES + 1);
    struct fh_roller_stats stats;
    fh_roller_stats(f->rollers[0], &stats);
    assert_int_equal(stats.lock_timeouts, 3);
}

static bool only_moves_are_left(const struct fh_rollout *rollout)
{
    return rollout->progress.homes_done == HOMES - 1 && rollout->progress.homes_waiting == 2;
}

/* The home it leaves, and the shared one it comes to. */
static void waits_for_a_move(void **state)
{
    struct fixture *f = *state;
    struct fh_move move = move_in(f, 3, FH_MOVE_COPYING);
    struct fh_home home;
    fh_home_of(FH_TIER_DATABASE, &f->tenants[3], &home);
    apply(f, 2, NULL);
    start_roller(f, 0, 5000000);
    (void)until(f, only_moves_are_left);
    assert_int_equal(world_version_of(&f->world, &f->tenants[3], &home), 1);
    assert_int_equal(homes_at(f, 2), HOMES - 1);
    assert_untried(f, 2);
    end_move(f, &move);
    /* The claim raised the placement's generation, and nobody the fence's: it is refused by that,
     * as a schema change that a mover overtook is. */
    struct fh_request fence = {
        .op = FH_OP_FENCE_SET,
        .scope = {.tenant = f->tenants[3], .epoch = 1, .home = home},
        .as.fence = {.expected = {.epoch = 1, .generation = 1, .mode = FH_FENCE_OPEN},
                     .desired = {.epoch = 1, .generation = 2, .mode = FH_FENCE_OPEN}},
    };
    uint64_t before = fh_store_fault_count(f->store, FH_FAULT_OP(FH_OP_SCHEMA_APPLY));
    while (fh_store_fault_count(f->store, FH_FAULT_OP(FH_OP_SCHEMA_APPLY)) < before + 2) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    assert_int_equal(world_version_of(&f->world, &f->tenants[3], &home), 1);
    assert_int_equal(world_ask_home(&f->world, &fence), FH_OK);
    assert_int_equal(until(f, has_ended).phase, FH_ROLLOUT_DONE);
    assert_int_equal(homes_at(f, 2), HOMES + 1);
}

static void is_taken_over_by_another(void **state)
{
    struct fixture *f = *state;
    f->world.catalog->shared = true; /* as if the other worker were another process */
    struct fh_rollout_settings settings;
    fh_rollout_settings_init(&settings);
    settings.concurrency = 1;
    aim(f, 10, FH_FAULT_HOLD_BEFORE, FH_OK);
    apply(f, 2, &settings);
    start_roller(f, 0, 5000000);
    while (fh_store_fault_held(f->store) == 0) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    struct fh_rollout rollout = rollout_of(f);
    uint64_t generation = rollout.generation;
    /* What a stalled worker looks like to others: somebody claims over it. */
    struct fh_catalog_request claim = {.op = FH_CATALOG_ROLLOUT_CLAIM};
    do {
        claim.audit.actor = FH_STR("root");
        claim.as.rollout_claim.uuid = rollout.uuid;
        claim.as.rollout_claim.beat = rollout_of(f).beat;
        claim.as.rollout_claim.worker = f->tenants[0];
    } while (world_ask(&f->world, &claim) != FH_OK);
    assert_int_equal(claim.as.rollout_claim.rollout.generation, generation + 1);
    start_roller(f, 1, 50000); /* and stands still, too */
    rollout = until(f, has_ended);
    assert_int_equal(rollout.phase, FH_ROLLOUT_DONE);
    assert_int_equal(homes_at(f, 2), HOMES + 1); /* the held one, too */
    fh_store_fault_release(f->store);
    stop_roller(f, 0); /* it lets go, and what it had held does no harm */
    assert_int_equal(homes_at(f, 2), HOMES + 1);
    assert_int_equal(rollout_of(f).phase, FH_ROLLOUT_DONE);
}

static void starts_over_where_it_was(void **state)
{
    struct fixture *f = *state;
    struct fh_rollout_settings settings;
    fh_rollout_settings_init(&settings);
    settings.concurrency = 1;
    aim(f, 30, FH_FAULT_HOLD_BEFORE, FH_OK);
    apply(f, 2, &settings);
    start_roller(f, 0, 5000000);
    while (fh_store_fault_held(f->store) == 0) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    f->world.done = false;
    fh_roller_close(f->rollers[0], world_closed_cb, &f->world);
    f->rollers[0] = NULL;
    fh_store_fault_release(f->store);
    world_wait(&f->world);
    size_t before = homes_at(f, 2);
    assert_true(before >= 29 && before <= 30);
    start_roller(f, 1, 5000000);
    assert_int_equal(until(f, has_ended).phase, FH_ROLLOUT_DONE);
    struct fh_roller_stats stats;
    fh_roller_stats(f->rollers[1], &stats);
    assert_int_equal(stats.applied, HOMES + 1 - before); /* nothing is done twice */
}

/* The home that is held keeps the rollout from its end until the worker knows what is wished: it
 * asks once in a tick. */
static void tell_while_held(struct fixture *f, enum fh_rollout_wish what)
{
    struct fh_roller_stats stats = {.draining = false};
    while (fh_store_fault_held(f->store) == 0) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    wish(f, what);
    while (!stats.draining) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
        fh_roller_stats(f->rollers[0], &stats);
    }
    assert_false(fh_roller_is_idle(f->rollers[0]));
    fh_store_fault_release(f->store);
    while (!fh_roller_is_idle(f->rollers[0])) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
}

static void pauses_and_cancels_when_told(void **state)
{
    struct fixture *f = *state;
    struct fh_rollout_settings settings;
    fh_rollout_settings_init(&settings);
    settings.concurrency = 1;
    aim(f, 20, FH_FAULT_HOLD_BEFORE, FH_OK);
    apply(f, 2, &settings);
    start_roller(f, 0, 5000000);
    tell_while_held(f, FH_ROLLOUT_WISH_PAUSE);
    const size_t paused_at = homes_at(f, 2);
    assert_in_range(paused_at, 1, 20); /* the one that was held was the twentieth try */
    aim(f, 20, FH_FAULT_HOLD_BEFORE, FH_OK);
    wish(f, FH_ROLLOUT_WISH_RUN);
    tell_while_held(f, FH_ROLLOUT_WISH_CANCEL);
    assert_int_equal(rollout_of(f).phase, FH_ROLLOUT_CANCELLED);
    assert_in_range(homes_at(f, 2), paused_at + 1, 40);
    /* The same files again begin another, which takes along what is behind. */
    apply(f, 2, NULL);
    assert_int_equal(until(f, has_ended).phase, FH_ROLLOUT_DONE);
    assert_int_equal(homes_at(f, 2), HOMES + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(comes_to_every_home),
        TEST(what_is_on_its_way_out_does_not_fail),
        TEST(another_home_of_the_same_tenant_is_not_missed),
        TEST(stops_after_its_canary),
        TEST(a_canary_that_fails_pauses),
        TEST(pauses_when_its_budget_is_spent),
        TEST(does_all_others_within_its_budget),
        TEST(tries_again_what_may_pass),
        TEST(waits_for_a_move),
        TEST(is_taken_over_by_another),
        TEST(starts_over_where_it_was),
        TEST(pauses_and_cancels_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
