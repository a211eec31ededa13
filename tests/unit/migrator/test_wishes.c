/* What operators ask of a move, and what ends one for good. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stores/sqlite/sqlite.h"
#include "tests/unit/migrator/kit.h"

static bool hook_is_met(const struct kit *kit)
{
    return kit->hook_met;
}

static bool nothing_runs(const struct kit *kit)
{
    return fh_list_empty(&kit->migrators[0]->runs);
}

/* A move that is held at a step. */
static void open_at(struct kit *kit, enum kit_engine engine, enum fh_step step)
{
    struct fh_move_settings settings = kit_quick();
    kit_open(kit, engine);
    kit_preload(kit, 120);
    kit_write(kit, 10);
    kit_start_writers(kit);
    kit_create_move(kit, &settings);
    kit->hook_step = step;
    kit->hook_nth = 1;
    kit->hook_answer = FH_HOOK_HOLD;
    (void)kit_start_migrator(kit, 0);
    kit_turn_until(kit, hook_is_met);
}

/* One step of each phase before the switch, and the ones that hold the gate. */
static const enum fh_step everywhere[] = {
    FH_STEP_SOURCE_READ, FH_STEP_SIZE,          FH_STEP_CREATE,        FH_STEP_START_STATE,
    FH_STEP_COPY_READ,   FH_STEP_COPY_APPLY,    FH_STEP_ROUND_VIEW,    FH_STEP_ROUND_APPLY,
    FH_STEP_VIEW_CLOSE,  FH_STEP_VERIFY_SOURCE, FH_STEP_VERIFY_TARGET, FH_STEP_FREEZE,
    FH_STEP_FINAL_VIEW,  FH_STEP_FINAL_APPLY,   FH_STEP_CLOSE};
#define EVERYWHERE (sizeof(everywhere) / sizeof(everywhere[0]))

static void cancels_everywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < EVERYWHERE; i++) {
        struct kit kit;
        print_message("%s\n", fh_run_step_name(everywhere[i]));
        open_at(&kit, KIT_MEMORY, everywhere[i]);
        kit_wish(&kit, FH_MOVE_WISH_CANCEL);
        kit.hooked->move.wish = FH_MOVE_WISH_CANCEL; /* heard: else a switch might be faster */
        fh_run_release(kit.hooked);
        kit_wait_phase(&kit, FH_MOVE_CANCELLED);
        kit_stop_writers(&kit);
        kit_check(&kit, 0, 1);
        kit_close(&kit);
    }
}

static void pauses_and_goes_on_everywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < EVERYWHERE; i++) {
        struct kit kit;
        print_message("%s\n", fh_run_step_name(everywhere[i]));
        open_at(&kit, KIT_MEMORY, everywhere[i]);
        kit_wish(&kit, FH_MOVE_WISH_PAUSE);
        fh_run_release(kit.hooked);
        kit_turn_until(&kit, nothing_runs);
        struct fh_move move;
        kit_move(&kit, &move);
        if (move.phase < FH_MOVE_SETTLED) { /* a pause does not stop a switch under way */
            assert_true(fh_str_eq(move.message, FH_STR("paused")));
            assert_int_equal(move.worker.bytes[0], kit.migrators[0]->options.worker.bytes[0]);
            kit_write(&kit, 20);
            kit_start_writers(&kit);
            kit_move(&kit, &move);
            assert_true(move.phase < FH_MOVE_SETTLED);
            kit_wish(&kit, FH_MOVE_WISH_RUN);
        }
        kit_wait_phase(&kit, FH_MOVE_DONE);
        kit_stop_writers(&kit);
        kit_check(&kit, 1, 2);
        kit_close(&kit);
    }
}

static void cancels_a_paused_move(void **state)
{
    (void)state;
    struct kit kit;
    open_at(&kit, KIT_MEMORY, FH_STEP_COPY_APPLY);
    kit_wish(&kit, FH_MOVE_WISH_PAUSE);
    fh_run_release(kit.hooked);
    kit_turn_until(&kit, nothing_runs);
    kit_wish(&kit, FH_MOVE_WISH_CANCEL);
    kit_wait_phase(&kit, FH_MOVE_CANCELLED);
    kit_stop_writers(&kit);
    kit_check(&kit, 0, 1);
    kit_close(&kit);
}

/* Closing waits for no move, but for a switch. */
static void closes_everywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < EVERYWHERE; i++) {
        struct kit kit;
        print_message("%s\n", fh_run_step_name(everywhere[i]));
        open_at(&kit, KIT_MEMORY, everywhere[i]);
        struct fh_migrator *first = kit.migrators[0];
        struct fh_run *run = kit.hooked;
        kit.migrators[0] = NULL;
        kit.done = false;
        fh_migrator_close(first, kit_note_closed, &kit);
        fh_run_release(run);
        while (!kit.done) {
            kit_turn(&kit);
        }
        (void)kit_start_migrator(&kit, 1);
        kit_wait_phase(&kit, FH_MOVE_DONE);
        kit_stop_writers(&kit);
        kit_check(&kit, 1, 2);
        kit_close(&kit);
    }
}

static void expect_failure(struct kit *kit, const char *words)
{
    struct fh_move move;
    kit_wait_phase(kit, FH_MOVE_FAILED);
    kit_move(kit, &move);
    char text[FH_MOVE_MESSAGE_MAX + 1];
    (void)snprintf(text, sizeof(text), "%.*s", FH_STR_ARG(move.message));
    if (strstr(text, words) == NULL) {
        fail_msg("it says: %s", text);
    }
    kit_stop_writers(kit);
    assert_int_equal(kit->failed, 0);
}

/* A home at the target that this move did not make is neither used nor erased. */
static void leaves_a_foreign_home_alone(void **state)
{
    (void)state;
    struct kit kit;
    struct fh_move_settings settings = kit_quick();
    kit_open(&kit, KIT_MEMORY);
    kit_preload(&kit, 10);
    struct fh_request home = {.op = FH_OP_HOME_CREATE, .scope = {.tenant = kit.tenant, .epoch = 7}};
    home.as.home.fence = (struct fh_fence){7, 1, FH_FENCE_OPEN};
    assert_int_equal(kit_ask_store(&kit, 1, &home), FH_OK);
    kit_create_move(&kit, &settings);
    (void)kit_start_migrator(&kit, 0);
    expect_failure(&kit, "not of this move");
    struct fh_fence fence;
    assert_int_equal(kit_fence(&kit, 1, 7, &fence), FH_OK);
    assert_int_equal(fence.epoch, 7);
    assert_int_equal(kit_fence(&kit, 0, 1, &fence), FH_OK);
    assert_int_equal(fence.mode, FH_FENCE_OPEN);
    kit_close(&kit);
}

static void fails_without_a_source(void **state)
{
    (void)state;
    struct kit kit;
    struct fh_move_settings settings = kit_quick();
    kit_open(&kit, KIT_MEMORY);
    struct fh_request erase = {.op = FH_OP_HOME_ERASE, .scope = {.tenant = kit.tenant, .epoch = 1}};
    erase.as.home.fence = (struct fh_fence){1, 1, FH_FENCE_OPEN};
    assert_int_equal(kit_ask_store(&kit, 0, &erase), FH_OK);
    kit_create_move(&kit, &settings);
    (void)kit_start_migrator(&kit, 0);
    expect_failure(&kit, "no home of this tenant");
    kit_close(&kit);
}

/* Changes the target behind the mover's back, under its own guard. */
static void tamper(struct kit *kit, bool too_many, bool record)
{
    struct fh_request apply = {.op = FH_OP_APPLY, .scope = {.tenant = kit->tenant, .epoch = 2}};
    apply.as.apply.guard = (struct fh_fence_guard){.generation = kit->hooked->generation,
                                                   .modes = FH_FENCE_BIT(FH_FENCE_INCOMING)};
    struct fh_key key = key_token(uuid_of(3, 3));
    struct fh_row *row = fh_row_create(&model_tokens, &kit->arena);
    assert_non_null(row);
    row->tenant = kit->tenant;
    row->version = 1;
    row->values[TOKEN_ID].type = FH_TYPE_UUID;
    row->values[TOKEN_ID].is_null = false;
    row->values[TOKEN_ID].as.uuid = uuid_of(250, 250);
    row->values[TOKEN_TAG] = text_value("x");
    struct fh_row *rows[] = {row};
    struct fh_journal_row journal = {.tenant = kit->tenant,
                                     .epoch = 1,
                                     .seq = 1000000,
                                     .schema_version = 1,
                                     .changes = FH_STR("[]")};
    if (record) {
        apply.as.apply.journal = &journal;
        apply.as.apply.journal_count = 1;
    } else if (too_many) {
        apply.as.apply.rows = rows;
        apply.as.apply.row_count = 1;
    } else {
        apply.as.apply.deletes = &key;
        apply.as.apply.delete_count = 1;
    }
    assert_int_equal(kit_ask_store(kit, 1, &apply), FH_OK);
}

static void finds_a_difference(void **state)
{
    (void)state;
    for (int kind = 0; kind < 6; kind++) {
        struct kit kit;
        open_at(&kit, kind < 3 ? KIT_MEMORY : KIT_SQLITE, FH_STEP_VERIFY_TALLY);
        tamper(&kit, kind % 3 == 1, kind % 3 == 2);
        fh_run_release(kit.hooked);
        expect_failure(&kit, kind % 3 == 2 ? "fh_commit" : "tokens");
        kit_check(&kit, 0, 1);
        kit_close(&kit);
    }
}

static void notices_missed_records(void **state)
{
    (void)state;
    struct kit kit;
    open_at(&kit, KIT_MEMORY, FH_STEP_FINAL_APPLY);
    kit.hooked->verify.count--; /* as if one had not been read */
    fh_run_release(kit.hooked);
    expect_failure(&kit, "records were missed");
    kit_check(&kit, 0, 1);
    kit_close(&kit);
}

static void idles(void **state)
{
    (void)state;
    struct kit kit;
    struct fh_move_settings settings = kit_quick();
    kit_open(&kit, KIT_MEMORY);
    struct fh_migrator *migrator = kit_start_migrator(&kit, 0);
    assert_false(fh_migrator_is_idle(migrator)); /* nobody was asked yet */
    while (!fh_migrator_is_idle(migrator)) {
        kit_turn(&kit);
    }
    kit_create_move(&kit, &settings);
    kit_wait_phase(&kit, FH_MOVE_DONE);
    while (!fh_migrator_is_idle(migrator)) {
        kit_turn(&kit);
    }
    struct fh_migrator_stats stats;
    fh_migrator_stats(migrator, &stats);
    assert_int_equal(stats.running, 0);
    assert_int_equal(stats.claimed, 1);
    assert_int_equal(stats.finished, 1);
    kit_close(&kit);
}

struct planned {
    bool done;
    enum fh_code code;
    struct fh_move_plan plan;
};

static void planned_cb(enum fh_code code, const struct fh_error *error,
                       const struct fh_move_plan *plan, void *arg)
{
    struct planned *planned = arg;
    (void)error;
    planned->done = true;
    planned->code = code;
    planned->plan = *plan;
}

static struct planned plan_of(struct kit *kit, const char *store)
{
    struct planned planned = {.done = false};
    struct fh_error error = FH_ERROR_INIT;
    struct fh_move move = {.tenant = kit->tenant,
                           .target_home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED},
                           .settings = kit_quick()};
    (void)snprintf(move.target_store, sizeof(move.target_store), "%s", store);
    assert_int_equal(
        fh_migrator_plan(kit->migrators[0], &move, kit_deadline(kit), planned_cb, &planned, &error),
        FH_OK);
    assert_false(planned.done);
    while (!planned.done) {
        kit_turn(kit);
    }
    return planned;
}

static void plans(void **state)
{
    (void)state;
    struct kit kit;
    struct fh_move_settings settings = kit_quick();
    kit_open(&kit, KIT_MEMORY);
    kit_preload(&kit, 100);
    (void)kit_start_migrator(&kit, 0);
    struct planned planned = plan_of(&kit, "two");
    assert_int_equal(planned.code, FH_OK);
    assert_null(planned.plan.refusal);
    assert_int_equal(planned.plan.rows, 161);
    assert_int_equal(planned.plan.records, kit.acknowledged);
    assert_true(planned.plan.duration_us > 0 && planned.plan.pause_predicted_us > 0);
    assert_non_null(plan_of(&kit, "one").plan.refusal);
    assert_non_null(plan_of(&kit, "three").plan.refusal);
    kit_stop_migrator(&kit, 0);
    kit_create_move(&kit, &settings);
    kit.hook_step = FH_STEP_COPY_READ;
    kit.hook_nth = 1;
    kit.hook_answer = FH_HOOK_HOLD;
    (void)kit_start_migrator(&kit, 0);
    assert_non_null(plan_of(&kit, "two").plan.refusal);
    kit_turn_until(&kit, hook_is_met);
    fh_run_release(kit.hooked);
    kit_wait_phase(&kit, FH_MOVE_DONE);
    kit_close(&kit);
}

static bool has_looked_often(const struct kit *kit)
{
    return kit->migrators[0]->walk >= 5 && fh_list_empty(&kit->migrators[0]->runs);
}

/* Whoever claims a move keeps it: not one between stores that only others could open. */
static void leaves_to_others_what_is_not_open_here(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct kit kit;
        struct fh_move move;
        struct fh_move_settings settings = kit_quick();
        kit_open(&kit, KIT_MEMORY);
        kit.catalog.catalog.shared = true;
        kit_preload(&kit, 10);
        fh_router_remove_store(kit.router, kit.stores[i]);
        kit_create_move(&kit, &settings);
        (void)kit_start_migrator(&kit, 0);
        kit_turn_until(&kit, has_looked_often);
        kit_move(&kit, &move);
        assert_int_equal(move.phase, FH_MOVE_PLANNED);
        assert_int_equal(move.generation, 0); /* never claimed */
        assert_int_equal(fh_router_add_store(kit.router, kit.stores[i]), FH_OK);
        kit_wait_phase(&kit, FH_MOVE_DONE);
        kit_close(&kit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idles),
        cmocka_unit_test(plans),
        cmocka_unit_test(leaves_to_others_what_is_not_open_here),
        cmocka_unit_test(leaves_a_foreign_home_alone),
        cmocka_unit_test(fails_without_a_source),
        cmocka_unit_test(finds_a_difference),
        cmocka_unit_test(notices_missed_records),
        cmocka_unit_test(cancels_a_paused_move),
        cmocka_unit_test(closes_everywhere),
        cmocka_unit_test(cancels_everywhere),
        cmocka_unit_test(pauses_and_goes_on_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
