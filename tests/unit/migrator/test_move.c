/* Whole moves: what comes out of them, whatever is written meanwhile. */
#include <stdio.h>
#include <string.h>

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
    for (enum fh_step step = FH_STEP_LOOK; step < FH_STEP_COUNT; step++) {
        (void)kit->passes[step];
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_an_empty_tenant),
        cmocka_unit_test(moves_every_table),
        cmocka_unit_test(moves_under_writes),
        cmocka_unit_test(moves_many_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
