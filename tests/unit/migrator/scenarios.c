/* A worker is ended, or put to sleep, at a step; another takes over; the sleeper goes on where it
 * was. Whatever the step: no write is lost, none is there twice, no request fails, one home is
 * left.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/migrator/kit.h"

struct fh_move_settings kit_quick(void)
{
    struct fh_move_settings settings;
    fh_move_settings_init(&settings);
    settings.duty_percent = 100;
    return settings;
}

static bool hook_is_met(const struct kit *kit)
{
    return kit->hook_met;
}

static bool first_has_ended(const struct kit *kit)
{
    return fh_list_empty(&kit->migrators[0]->runs);
}

/* What leads to the steps that a plain move does not take. */
static void arrange(struct kit *kit, enum fh_step step)
{
    if (step == FH_STEP_LOOK) {
        const struct fh_fault_aim lost = {.ops = FH_FAULT_OP(FH_OP_APPLY),
                                          .nth = 3,
                                          .kind = FH_FAULT_FAIL_AFTER,
                                          .code = FH_OUTCOME_UNKNOWN};
        assert_int_equal(fh_store_fault_aim(kit->stores[1], &lost), FH_OK);
    }
    if (step == FH_STEP_TARGET_SET || step == FH_STEP_STATE_READ || step == FH_STEP_RESET) {
        /* The target's home is there before the second claim; RESET: without a state. */
        const struct fh_fault_aim lost = {.ops = FH_FAULT_OP(FH_OP_APPLY),
                                          .nth = step == FH_STEP_RESET ? 1 : 3,
                                          .kind = FH_FAULT_FAIL_BEFORE,
                                          .code = FH_OUTCOME_UNKNOWN};
        assert_int_equal(fh_store_fault_aim(kit->stores[1], &lost), FH_OK);
    }
}

static void aim_hook(struct kit *kit, enum fh_step step, bool done, enum fh_hook_answer answer)
{
    kit->hook_step = step;
    kit->hook_done = done;
    kit->hook_nth = 1;
    kit->hook_answer = answer;
    arrange(kit, step);
}

static void start(struct kit *kit, enum kit_engine engine, enum fh_step step)
{
    struct fh_move_settings settings = kit_quick();
    kit_open(kit, engine);
    kit_preload(kit, 120);
    kit_write(kit, 10);
    kit_start_writers(kit);
    kit_create_move(kit, &settings);
    if (step == FH_STEP_ERASE_TARGET) {
        const struct fh_fault_aim corrupt = {.ops = FH_FAULT_OP(FH_OP_REFERENCES),
                                             .nth = 1,
                                             .kind = FH_FAULT_FAIL_BEFORE,
                                             .code = FH_REFERENCE_VIOLATION};
        assert_int_equal(fh_store_fault_aim(kit->stores[1], &corrupt), FH_OK);
    }
}

static void finish(struct kit *kit, enum fh_step step)
{
    bool fails = step == FH_STEP_ERASE_TARGET;
    kit_wait_phase(kit, fails ? FH_MOVE_FAILED : FH_MOVE_DONE);
}

static void check(struct kit *kit, enum fh_step step)
{
    bool fails = step == FH_STEP_ERASE_TARGET;
    kit_stop_writers(kit);
    kit_check(kit, fails ? 0 : 1, fails ? 1 : 2);
}

void kit_crash_at(enum kit_engine engine, enum fh_step step, bool done)
{
    struct kit kit;
    start(&kit, engine, step);
    aim_hook(&kit, step, done, FH_HOOK_DIE);
    (void)kit_start_migrator(&kit, 0);
    kit_turn_until(&kit, hook_is_met);
    kit_stop_migrator(&kit, 0);
    (void)kit_start_migrator(&kit, 1);
    finish(&kit, step);
    check(&kit, step);
    kit_close(&kit);
}

void kit_sleep_at(enum kit_engine engine, enum fh_step step, bool done)
{
    struct kit kit;
    start(&kit, engine, step);
    aim_hook(&kit, step, done, FH_HOOK_HOLD);
    (void)kit_start_migrator(&kit, 0);
    kit_turn_until(&kit, hook_is_met);
    (void)kit_start_migrator(&kit, 1);
    finish(&kit, step);
    fh_run_release(kit.hooked);
    kit_turn_until(&kit, first_has_ended);
    struct fh_migrator_stats stats;
    fh_migrator_stats(kit.migrators[0], &stats);
    assert_int_equal(stats.finished, 0); /* it saw that the move is not its own */
    check(&kit, step);
    kit_close(&kit);
}

/* The sleeper wakes while the other is still at it. */
void kit_wake_early_at(enum kit_engine engine, enum fh_step step, bool done)
{
    struct kit kit;
    start(&kit, engine, step);
    aim_hook(&kit, step, done, FH_HOOK_HOLD);
    (void)kit_start_migrator(&kit, 0);
    kit_turn_until(&kit, hook_is_met);
    struct fh_migrator *other = kit_start_migrator(&kit, 1);
    while (other->stats.claimed == 0) {
        kit_turn(&kit);
    }
    fh_run_release(kit.hooked);
    finish(&kit, step);
    kit_turn_until(&kit, first_has_ended);
    check(&kit, step);
    kit_close(&kit);
}

void kit_at_every_step(enum kit_engine engine, kit_scenario *scenario, bool before, bool behind)
{
    const char *only = getenv("KIT_STEP");
    for (enum fh_step step = FH_STEP_LOOK; step < FH_STEP_COUNT; step++) {
        if (only != NULL && strcmp(only, fh_run_step_name(step)) != 0) {
            continue;
        }
        bool within = kit_pair.one_store && kit_pair.tiers[0] != FH_TIER_DATABASE &&
                      kit_pair.tiers[1] != FH_TIER_DATABASE;
        if (step == FH_STEP_COPY_WITHIN && !within) {
            continue;
        }
        print_message("%s\n", fh_run_step_name(step));
        if (before) {
            scenario(engine, step, false);
        }
        if (behind) {
            scenario(engine, step, true);
        }
    }
}

void kit_there_and_back(enum kit_engine engine)
{
    struct kit kit;
    struct fh_move_settings settings = kit_quick();
    kit_open(&kit, engine);
    kit_preload(&kit, 50);
    kit_start_writers(&kit);
    (void)kit_start_migrator(&kit, 0);
    for (size_t i = 0; i < 3; i++) {
        kit.to = 1 - i % 2;
        kit_create_move(&kit, &settings);
        kit_wait_phase(&kit, FH_MOVE_DONE);
    }
    kit_stop_writers(&kit);
    kit_check(&kit, 1, 4);
    kit_close(&kit);
}

static bool is_comparing(const struct kit *kit)
{
    return kit->passes[FH_STEP_VERIFY_TALLY] > 0;
}

void kit_catch_up(enum kit_engine engine)
{
    struct kit kit;
    struct fh_move_settings settings = kit_quick();
    kit_open(&kit, engine);
    kit_preload(&kit, 100);
    kit_create_move(&kit, &settings);
    kit.hook_step = FH_STEP_COPY_APPLY;
    kit.hook_done = true;
    kit.hook_nth = 1;
    kit.hook_answer = FH_HOOK_HOLD;
    (void)kit_start_migrator(&kit, 0);
    kit_turn_until(&kit, hook_is_met);
    kit_write(&kit, 1300);
    uint64_t pages = kit.passes[FH_STEP_ROUND_APPLY];
    kit_start_writers(&kit);
    fh_run_release(kit.hooked);
    kit_turn_until(&kit, is_comparing); /* a phase may be over before anybody looks */
    assert_true(kit.passes[FH_STEP_ROUND_APPLY] >= pages + 6); /* three pages, twice */
    kit_wait_phase(&kit, FH_MOVE_DONE);
    kit_stop_writers(&kit);
    kit_check(&kit, 1, 2);
    kit_close(&kit);
}
