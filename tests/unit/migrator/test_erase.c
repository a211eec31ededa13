/* A worker that ends in the middle of erasing a target: the store has closed the fence, and some
 * rows are gone. */
#include <stdlib.h>

#include "tests/unit/migrator/kit.h"

static bool hook_is_met(const struct kit *kit)
{
    return kit->hook_met;
}

static void start(struct kit *kit, enum kit_engine engine, enum fh_op op, enum fh_code code)
{
    const struct fh_fault_aim aim = {
        .ops = FH_FAULT_OP(op), .nth = 1, .kind = FH_FAULT_FAIL_BEFORE, .code = code};
    struct fh_move_settings settings = kit_quick();
    kit_open(kit, engine);
    kit_preload(kit, 120);
    kit_write(kit, 10);
    kit_create_move(kit, &settings);
    assert_int_equal(fh_store_fault_aim(kit->stores[1], &aim), FH_OK);
}

/* What an erase has done when it is cut short: the fence is closed, and a row is gone; the state
 * goes last. */
static void erase_a_little(struct kit *kit)
{
    struct fh_fence fence;
    assert_int_equal(kit_fence(kit, 1, 2, &fence), FH_OK);
    assert_int_equal(fence.mode, FH_FENCE_INCOMING);
    struct fh_key key = {.table = &model_authors,
                         .values = {{.type = FH_TYPE_INT64, .as.integer = 1000000}}};
    struct fh_request apply = {.op = FH_OP_APPLY, .scope = {.tenant = kit->tenant, .epoch = 2}};
    apply.as.apply.guard = (struct fh_fence_guard){.generation = fence.generation,
                                                   .modes = FH_FENCE_BIT(FH_FENCE_INCOMING)};
    apply.as.apply.deletes = &key;
    apply.as.apply.delete_count = 1;
    assert_int_equal(kit_ask_store(kit, 1, &apply), FH_OK);
    struct fh_request set = {.op = FH_OP_FENCE_SET, .scope = {.tenant = kit->tenant, .epoch = 2}};
    set.as.fence.expected = fence;
    set.as.fence.desired = (struct fh_fence){2, fence.generation, FH_FENCE_CLOSED};
    assert_int_equal(kit_ask_store(kit, 1, &set), FH_OK);
}

static void die_at(struct kit *kit, enum fh_step step)
{
    kit->hook_step = step;
    kit->hook_nth = 1;
    kit->hook_answer = FH_HOOK_DIE;
    (void)kit_start_migrator(kit, 0);
    kit_turn_until(kit, hook_is_met);
    kit_stop_migrator(kit, 0);
    erase_a_little(kit);
    (void)kit_start_migrator(kit, 1);
}

/* A move that fails, or is cancelled, leaves nothing behind. */
static void undoes_to_the_end(enum kit_engine engine)
{
    struct kit kit;
    start(&kit, engine, FH_OP_REFERENCES, FH_REFERENCE_VIOLATION);
    die_at(&kit, FH_STEP_ERASE_TARGET);
    kit_wait_phase(&kit, FH_MOVE_FAILED);
    kit_check(&kit, 0, 1);
    kit_close(&kit);
}

/* A target that is emptied for a new beginning is, and the move goes on. */
static void empties_to_the_end(enum kit_engine engine)
{
    struct kit kit;
    start(&kit, engine, FH_OP_APPLY, FH_OUTCOME_UNKNOWN);
    die_at(&kit, FH_STEP_RESET);
    kit_wait_phase(&kit, FH_MOVE_DONE);
    kit_check(&kit, 1, 2);
    kit_close(&kit);
}

static void ends_an_erase(void **state)
{
    (void)state;
    undoes_to_the_end(KIT_MEMORY);
    undoes_to_the_end(KIT_SQLITE);
    empties_to_the_end(KIT_MEMORY);
    empties_to_the_end(KIT_SQLITE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ends_an_erase)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
