/* What a run makes of trouble: what it repeats, how long it waits, what it says. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/migrator/kit.h"

static bool hook_is_met(const struct kit *kit)
{
    return kit->hook_met;
}

static void aim(struct kit *kit, size_t store, enum fh_op op, uint64_t nth, bool executes,
                enum fh_code code)
{
    const struct fh_fault_aim at = {.ops = FH_FAULT_OP(op),
                                    .nth = nth,
                                    .kind = executes ? FH_FAULT_FAIL_AFTER : FH_FAULT_FAIL_BEFORE,
                                    .code = code};
    assert_int_equal(fh_store_fault_aim(kit->stores[store], &at), FH_OK);
}

static void start(struct kit *kit)
{
    struct fh_move_settings settings = kit_quick();
    kit_open(kit, KIT_MEMORY);
    kit_preload(kit, 600);
    kit_write(kit, 10);
    kit_create_move(kit, &settings);
}

static void finish(struct kit *kit)
{
    kit_wait_phase(kit, FH_MOVE_DONE);
    kit_check(kit, 1, 2);
    kit_close(kit);
}

/* A page whose outcome is unknown is not repeated because reading the next one failed first. */
static void finds_out_about_an_apply(void **state)
{
    (void)state;
    struct kit kit;
    start(&kit);
    aim(&kit, 0, FH_OP_SCAN, 2, false, FH_UNAVAILABLE);
    aim(&kit, 1, FH_OP_APPLY, 2, true, FH_OUTCOME_UNKNOWN);
    (void)kit_start_migrator(&kit, 0);
    kit_wait_phase(&kit, FH_MOVE_DONE);
    assert_true(kit.passes[FH_STEP_CLAIM] > 1);
    finish(&kit);
}

/* A step that took too long is given more time when its turn comes again, whatever went well in
 * between. */
static void grows_patient_with_a_step(void **state)
{
    (void)state;
    struct kit kit;
    start(&kit);
    aim(&kit, 1, FH_OP_REFERENCES, 1, false, FH_DEADLINE);
    kit.hook_step = FH_STEP_VERIFY_REFERENCES;
    kit.hook_nth = 2;
    kit.hook_answer = FH_HOOK_HOLD;
    (void)kit_start_migrator(&kit, 0);
    kit_turn_until(&kit, hook_is_met);
    struct fh_run *run = kit.hooked;
    int64_t now = fh_clock_monotonic_us(kit.env.clock);
    fh_run_release(run);
    assert_int_equal(run->calls[0].request.op, FH_OP_REFERENCES);
    assert_true(run->calls[0].request.deadline_us - now > FH_RUN_PATIENCE_US * 3 / 2);
    finish(&kit);
}

/* Behind the switch the tenant is served again although the old home does not answer. */
static void opens_while_the_source_is_away(void **state)
{
    (void)state;
    struct kit kit;
    start(&kit);
    aim(&kit, 1, FH_OP_FENCE_SET, 1, false, FH_OUTCOME_UNKNOWN); /* the opening */
    for (uint64_t nth = 3; nth < 7; nth++) { /* behind those of the first claim and of preparing */
        aim(&kit, 0, FH_OP_FENCE_READ, nth, false, FH_UNAVAILABLE);
    }
    kit.hook_step = FH_STEP_TARGET_SET;
    kit.hook_nth = 1;
    kit.hook_answer = FH_HOOK_HOLD;
    (void)kit_start_migrator(&kit, 0);
    kit_turn_until(&kit, hook_is_met);
    assert_int_equal(kit.passes[FH_STEP_SOURCE_READ], 2);
    fh_run_release(kit.hooked);
    finish(&kit);
    assert_true(kit.passes[FH_STEP_SOURCE_READ] > 5);
}

/* A cursor that is too large now is no reason to give up. */
static void waits_for_a_smaller_cursor(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 3; nth++) {
        struct kit kit;
        start(&kit);
        aim(&kit, 0, FH_OP_SNAPSHOT_OPEN, nth, false, FH_TOO_LARGE);
        (void)kit_start_migrator(&kit, 0);
        finish(&kit);
    }
}

/* What servers say may be in any encoding, and cut. */
static void says_text_only(void **state)
{
    (void)state;
    static struct fh_run run;
    static char filler[sizeof(run.message)];
    fh_run_say(&run, "%s",
               "verf\xfc"
               "gbar");
    assert_string_equal(run.message, "verf?gbar");
    fh_run_say(&run, "%s", "verf\xc3\xbcgbar");
    assert_string_equal(run.message, "verf\xc3\xbcgbar");
    memset(filler, 'x', sizeof(run.message) - 2);
    fh_run_say(&run, "%s\xc3\xbc", filler);
    assert_true(fh_str_is_text(fh_str_of(run.message)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_out_about_an_apply),
        cmocka_unit_test(grows_patient_with_a_step),
        cmocka_unit_test(opens_while_the_source_is_away),
        cmocka_unit_test(waits_for_a_smaller_cursor),
        cmocka_unit_test(says_text_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
