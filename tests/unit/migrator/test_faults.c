/* Every request of a move fails once, in every way: before it was carried out, or behind it with
 * its answer lost, at either store and at the catalog. The move is made all the same. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/migrator/kit.h"

#define NTH_MAX 120

/* False: the move ended before the aim met anything. */
static bool move_with_aim(size_t store, const struct fh_fault_aim *aim)
{
    struct kit kit;
    struct fh_move_settings settings = kit_quick();
    kit_open(&kit, KIT_MEMORY);
    kit_preload(&kit, 60);
    kit_write(&kit, 10);
    assert_int_equal(fh_store_fault_aim(kit.stores[store], aim), FH_OK);
    kit_start_writers(&kit);
    kit_create_move(&kit, &settings);
    (void)kit_start_migrator(&kit, 0);
    kit_wait_phase(&kit, FH_MOVE_DONE);
    kit_stop_writers(&kit);
    kit_check(&kit, 1, 2);
    bool met = fh_store_fault_aims(kit.stores[store]) == 0;
    kit_close(&kit);
    return met;
}

static void fail_each(size_t store, uint64_t ops, enum fh_fault_kind kind, enum fh_code code)
{
    uint64_t nth = 1;
    while (nth < NTH_MAX) {
        const struct fh_fault_aim aim = {.ops = ops, .nth = nth, .kind = kind, .code = code};
        if (!move_with_aim(store, &aim)) {
            break;
        }
        nth++;
    }
    print_message("store %zu: %llu requests\n", store, (unsigned long long)(nth - 1));
    assert_true(nth > 1);
}

#define WRITES                                                        \
    (FH_FAULT_OP(FH_OP_HOME_CREATE) | FH_FAULT_OP(FH_OP_HOME_ERASE) | \
     FH_FAULT_OP(FH_OP_FENCE_SET) | FH_FAULT_OP(FH_OP_APPLY))

static void survives_answers_lost(void **state)
{
    (void)state;
    fail_each(0, WRITES, FH_FAULT_FAIL_AFTER, FH_OUTCOME_UNKNOWN);
    fail_each(1, WRITES, FH_FAULT_FAIL_AFTER, FH_OUTCOME_UNKNOWN);
}

static void survives_requests_lost(void **state)
{
    (void)state;
    fail_each(0, WRITES, FH_FAULT_FAIL_BEFORE, FH_OUTCOME_UNKNOWN);
    fail_each(1, WRITES, FH_FAULT_FAIL_BEFORE, FH_DEADLINE);
}

static void survives_stores_away(void **state)
{
    (void)state;
    fail_each(0, FH_FAULT_OPS_MOVER, FH_FAULT_FAIL_BEFORE, FH_UNAVAILABLE);
    fail_each(1, FH_FAULT_OPS_MOVER, FH_FAULT_FAIL_BEFORE, FH_UNAVAILABLE);
}

static void survives_refusals(void **state)
{
    (void)state;
    fail_each(0, FH_FAULT_OPS_MOVER, FH_FAULT_REFUSE, FH_FULL);
    fail_each(1, FH_FAULT_OPS_MOVER, FH_FAULT_REFUSE, FH_FULL);
}

static bool move_with_catalog(enum fh_catalog_op op, unsigned nth, bool executes, enum fh_code code)
{
    struct kit kit;
    struct fh_move_settings settings = kit_quick();
    kit_open(&kit, KIT_MEMORY);
    kit_preload(&kit, 60);
    kit_write(&kit, 10);
    kit_start_writers(&kit);
    kit_create_move(&kit, &settings);
    kit.catalog.op = op;
    kit.catalog.nth = nth;
    kit.catalog.executes = executes;
    kit.catalog.code = code;
    (void)kit_start_migrator(&kit, 0);
    kit_wait_phase(&kit, FH_MOVE_DONE);
    kit_stop_writers(&kit);
    kit_check(&kit, 1, 2);
    bool met = kit.catalog.met;
    kit_close(&kit);
    return met;
}

static void survives_the_catalog(void **state)
{
    (void)state;
    static const enum fh_catalog_op ops[] = {FH_CATALOG_MOVE_CLAIM, FH_CATALOG_MOVE_ADVANCE,
                                             FH_CATALOG_MOVE_SWITCH, FH_CATALOG_MOVE_LIST};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        for (unsigned nth = 1; nth <= 8; nth++) {
            bool met = move_with_catalog(ops[i], nth, true, FH_OUTCOME_UNKNOWN);
            met = move_with_catalog(ops[i], nth, false, FH_OUTCOME_UNKNOWN) && met;
            met = move_with_catalog(ops[i], nth, false, FH_UNAVAILABLE) && met;
            assert_true(met || nth > 1);
            if (!met) {
                break;
            }
        }
    }
}

static bool is_held(const struct kit *kit)
{
    return fh_store_fault_held(kit->stores[0]) > 0;
}

static bool is_called_off(const struct kit *kit)
{
    return kit->migrators[0]->stats.called_off > 0;
}

/* A source that does not freeze in time: the switch is called off, service goes on, and the freeze
 * that comes late at last freezes nothing. */
static void calls_off_a_slow_freeze(void **state)
{
    (void)state;
    struct kit kit;
    struct fh_move_settings settings = kit_quick();
    settings.max_pause_us = 1000000; /* that only the freeze that is held can break */
    kit_open(&kit, KIT_MEMORY);
    kit_preload(&kit, 60);
    kit_write(&kit, 10);
    kit_create_move(&kit, &settings);
    /* The first one is the claim's. */
    const struct fh_fault_aim aim = {
        .ops = FH_FAULT_OP(FH_OP_FENCE_SET), .nth = 2, .kind = FH_FAULT_HOLD_BEFORE};
    assert_int_equal(fh_store_fault_aim(kit.stores[0], &aim), FH_OK);
    kit_start_writers(&kit);
    (void)kit_start_migrator(&kit, 0);
    kit_turn_until(&kit, is_held);
    int64_t until = fh_clock_monotonic_us(kit.env.clock) + settings.max_pause_us;
    while (fh_clock_monotonic_us(kit.env.clock) <= until) {
        kit_turn(&kit);
    }
    fh_store_fault_release(kit.stores[0]); /* refused: its deadline has passed */
    kit_turn_until(&kit, is_called_off);
    kit_wait_phase(&kit, FH_MOVE_DONE);
    kit_stop_writers(&kit);
    kit_check(&kit, 1, 2);
    struct fh_move move;
    kit_move(&kit, &move);
    assert_true(move.progress.switches_tried >= 2);
    kit_close(&kit);
}

static bool hook_is_met(const struct kit *kit)
{
    return kit->hook_met;
}

/* Reads and writes go on while the catalog is away in mid-copy; the move ends when it is back. */
static void waits_for_the_catalog(void **state)
{
    (void)state;
    struct kit kit;
    struct fh_move_settings settings = kit_quick();
    kit_open(&kit, KIT_MEMORY);
    kit_preload(&kit, 60);
    kit_write(&kit, 10);
    kit_create_move(&kit, &settings);
    kit.hook_step = FH_STEP_COPY_APPLY;
    kit.hook_nth = 1;
    kit.hook_answer = FH_HOOK_HOLD;
    (void)kit_start_migrator(&kit, 0);
    kit_turn_until(&kit, hook_is_met);
    kit.catalog.unreachable = true;
    fh_run_release(kit.hooked);
    kit_write(&kit, 100);
    kit.catalog.unreachable = false;
    kit_wait_phase(&kit, FH_MOVE_DONE);
    kit_check(&kit, 1, 2);
    kit_close(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_off_a_slow_freeze), cmocka_unit_test(waits_for_the_catalog),
        cmocka_unit_test(survives_the_catalog),    cmocka_unit_test(survives_answers_lost),
        cmocka_unit_test(survives_requests_lost),  cmocka_unit_test(survives_stores_away),
        cmocka_unit_test(survives_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
