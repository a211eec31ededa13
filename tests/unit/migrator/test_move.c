/* Whole moves: what comes out of them, whatever is written meanwhile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "tests/unit/migrator/kit.h"

static void moves_whole(struct kit *kit, size_t authors, bool writes)
{
    uint8_t before[32];
    uint8_t after[32];
    struct fh_move_settings settings = kit_quick();
    if (authors > 0) {
        kit_preload(kit, authors);
        kit_write(kit, 50);
    }
    kit_digest(kit, 0, 1, before);
    (void)kit_start_migrator(kit, 0);
    if (writes) {
        kit_start_writers(kit);
    }
    kit_create_move(kit, &settings);
    kit_wait_phase(kit, FH_MOVE_DONE);
    kit_stop_writers(kit);
    kit_check(kit, 1, 2);
    kit_digest(kit, 1, 2, after);
    if (!writes) {
        assert_memory_equal(before, after, 32);
    }
    struct fh_move move;
    kit_move(kit, &move);
    assert_int_equal(move.message.len, 0);
    assert_true(move.progress.pause_us > 0);
    (void)printf("%s: pause %lld us, reads %lld us, longest call %lld us\n",
                 kit->engine == KIT_MEMORY ? "memory" : "sqlite", (long long)move.progress.pause_us,
                 (long long)move.progress.read_pause_us, (long long)kit->longest_us);
}

static void moves_in(enum kit_engine engine, size_t authors, bool writes)
{
    struct kit kit;
    kit_open(&kit, engine);
    moves_whole(&kit, authors, writes);
    kit_close(&kit);
}

static void moves_every_table(void **state)
{
    (void)state;
    moves_in(KIT_MEMORY, 300, false);
    moves_in(KIT_SQLITE, 300, false);
}

static void moves_an_empty_tenant(void **state)
{
    (void)state;
    moves_in(KIT_MEMORY, 0, false);
    moves_in(KIT_SQLITE, 0, false);
}

static void moves_under_writes(void **state)
{
    (void)state;
    moves_in(KIT_MEMORY, 3000, true);
    moves_in(KIT_SQLITE, 3000, true);
}

static void moves_many_rows(void **state)
{
    (void)state;
    moves_in(KIT_SQLITE, 10000, true);
}

static bool hook_is_met(const struct kit *kit)
{
    return kit->hook_met;
}

static void catches_up(void **state)
{
    (void)state;
    kit_catch_up(KIT_MEMORY);
    kit_catch_up(KIT_SQLITE);
}

static void moves_there_and_back(void **state)
{
    (void)state;
    kit_there_and_back(KIT_MEMORY);
    kit_there_and_back(KIT_SQLITE);
}

/* From the shared home into one of its own, which the move makes; where the store has no such
 * homes, the move fails, and the source is as it was. */
static void moves_into_a_home_of_its_own(void **state)
{
    (void)state;
    for (int engine = 0; engine < 2; engine++) {
        struct kit kit;
        struct fh_move_settings settings = kit_quick();
        kit_open(&kit, engine == 0 ? KIT_MEMORY : KIT_SQLITE);
        bool offered = (kit.real[1]->ops->capabilities & FH_CAPABILITY_SCHEMA) != 0;
        kit_preload(&kit, 50);
        kit_start_writers(&kit);
        (void)kit_start_migrator(&kit, 0);
        struct fh_home own;
        fh_home_of(FH_TIER_SCHEMA, &kit.tenant, &own);
        kit.homes[1] = own;
        kit_create_move(&kit, &settings);
        kit_wait_phase(&kit, offered ? FH_MOVE_DONE : FH_MOVE_FAILED);
        kit_stop_writers(&kit);
        kit.homes[1] = offered ? own : kit.homes[0];
        kit_check(&kit, offered ? 1 : 0, offered ? 2 : 1);
        kit_close(&kit);
    }
}

/* An allocation fails, wherever it is: the move is made, or its message says why it waits. */
static void survives_a_lack_of_memory(void **state)
{
    (void)state;
    bool delivered = true;
    const char *dense = getenv("KIT_EVERY"); /* every nth allocation; by default some of them */
    const long step = dense != NULL ? strtol(dense, NULL, 10) : 41;
    for (long nth = 0; delivered && nth < 4000; nth += step) {
        struct kit kit;
        struct fh_move_settings settings = kit_quick();
        kit_open(&kit, KIT_MEMORY);
        kit_preload(&kit, 20);
        kit_write(&kit, 20);
        kit_create_move(&kit, &settings);
        struct fh_migrator *migrator = kit_start_migrator(&kit, 0);
        fh_alloc_fault_on(nth, 1);
        while (migrator->stats.finished == 0) {
            assert_int_equal(migrator->stats.failed, 0);
            kit_turn(&kit);
        }
        delivered = fh_alloc_fault_off() != 0;
        kit_wait_phase(&kit, FH_MOVE_DONE);
        kit_check(&kit, 1, 2);
        kit_close(&kit);
    }
}

/* Each seeded bug is noticed: by the move itself, or by the clients. */
static void expect_fault(struct kit *kit)
{
    struct fh_move move;
    do {
        kit_turn(kit);
        fh_arena_reset(&kit->arena);
        kit_move(kit, &move);
    } while (!fh_move_is_finished(move.phase));
    kit_stop_writers(kit);
    const char *fault = move.phase == FH_MOVE_DONE ? kit_find_fault(kit, 1, 2) : "it failed";
    print_message("%s: %.*s\n", fault != NULL ? fault : "nothing", FH_STR_ARG(move.message));
    assert_non_null(fault);
    kit_close(kit);
    assert_int_equal(unsetenv("FREEHOLD_SEED_BUG"), 0);
}

static void open_seeded(struct kit *kit, const char *bug, enum fh_step step, bool done)
{
    struct fh_move_settings settings = kit_quick();
    settings.max_pause_us = 60000000;
    kit_open(kit, KIT_MEMORY);
    kit_preload(kit, 20);
    kit_write(kit, 60);
    assert_int_equal(setenv("FREEHOLD_SEED_BUG", bug, 1), 0);
    kit_create_move(kit, &settings);
    kit->hook_step = step;
    kit->hook_done = done;
    kit->hook_nth = 1;
    kit->hook_answer = FH_HOOK_HOLD;
    (void)kit_start_migrator(kit, 0);
    kit_turn_until(kit, hook_is_met);
}

static void notices_a_late_chunk(void **state)
{
    (void)state;
    struct kit kit;
    open_seeded(&kit, "chunk_after_delete", FH_STEP_COPY_APPLY, true);
    kit_write(&kit, 200);
    kit_purge(&kit);
    fh_run_release(kit.hooked);
    expect_fault(&kit);
}

static void notices_a_lost_journal(void **state)
{
    (void)state;
    struct kit kit;
    open_seeded(&kit, "journal_left_behind", FH_STEP_ROUND_VIEW, false);
    kit_write(&kit, 20);
    fh_run_release(kit.hooked);
    expect_fault(&kit);
}

static void notices_a_source_not_frozen(void **state)
{
    (void)state;
    struct kit kit;
    open_seeded(&kit, "skip_fence", FH_STEP_FINAL_APPLY, true);
    uint64_t before = kit.acknowledged;
    kit_start_writers(&kit);
    while (kit.acknowledged < before + 10) {
        kit_turn(&kit); /* through the other server, which no gate stops */
    }
    fh_run_release(kit.hooked);
    expect_fault(&kit);
}

static bool second_is_held(const struct kit *kit)
{
    return kit->second != NULL;
}

static void sleeps_through_a_takeover(const char *bug, bool harms)
{
    struct kit kit;
    open_seeded(&kit, bug, FH_STEP_COPY_APPLY, false);
    kit_write(&kit, 200); /* what the sleeper has read is out of date */
    kit_purge(&kit);
    kit.second_step = FH_STEP_VERIFY_TALLY;
    (void)kit_start_migrator(&kit, 1);
    kit_turn_until(&kit, second_is_held);
    uint64_t applied = kit.passes[FH_STEP_COPY_APPLY];
    fh_run_release(kit.hooked);
    /* Its page is in, or it saw that the move is not its own. */
    while (kit.passes[FH_STEP_COPY_APPLY] == applied && !fh_list_empty(&kit.migrators[0]->runs)) {
        kit_turn(&kit);
    }
    kit.hook_step = FH_STEP_WAIT;
    fh_run_release(kit.second);
    if (harms) {
        expect_fault(&kit);
        return;
    }
    assert_int_equal(unsetenv("FREEHOLD_SEED_BUG"), 0);
    kit_wait_phase(&kit, FH_MOVE_DONE);
    kit_check(&kit, 1, 2);
    kit_close(&kit);
}

static void notices_a_missing_generation(void **state)
{
    (void)state;
    sleeps_through_a_takeover("none", false);
    sleeps_through_a_takeover("no_generation", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_an_empty_tenant),
        cmocka_unit_test(moves_every_table),
        cmocka_unit_test(moves_under_writes),
        cmocka_unit_test(moves_many_rows),
        cmocka_unit_test(catches_up),
        cmocka_unit_test(moves_there_and_back),
        cmocka_unit_test(moves_into_a_home_of_its_own),
        cmocka_unit_test(survives_a_lack_of_memory),
        cmocka_unit_test(notices_a_late_chunk),
        cmocka_unit_test(notices_a_lost_journal),
        cmocka_unit_test(notices_a_source_not_frozen),
        cmocka_unit_test(notices_a_missing_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
