/* Moves while homes are at different schema versions: as in the middle of a rollout. */
#include <string.h>

#include "tests/unit/migrator/kit.h"

static void use_tiers(enum fh_tier source, enum fh_tier target)
{
    kit_pair = (struct kit_pair){.tiers = {source, target}};
}

static void set_schema(struct kit *kit, const struct fh_schema *schema)
{
    fh_router_set_schema(kit->router, schema);
    fh_router_set_schema(kit->other, schema);
}

/* What a rollout does to a home. */
static void upgrade(struct kit *kit, size_t which, const struct fh_schema *to)
{
    struct fh_request apply = {.op = FH_OP_SCHEMA_APPLY, .as.schema.target = to};
    if (fh_home_is_dedicated(&kit->homes[which])) {
        struct fh_fence fence;
        assert_int_equal(kit_fence(kit, which, 1, &fence), FH_OK);
        apply.scope.tenant = kit->tenant;
        apply.scope.epoch = fence.epoch;
        apply.as.schema.guard = (struct fh_fence_guard){.generation = fence.generation,
                                                        .modes = FH_FENCE_BIT(fence.mode)};
    }
    assert_int_equal(kit_ask_store(kit, which, &apply), FH_OK);
}

static bool waits_for_a_version(const struct kit *kit)
{
    const struct fh_list *runs = &kit->migrators[0]->runs;
    if (fh_list_empty(runs)) {
        return false;
    }
    const struct fh_run *run = FH_CONTAINER_OF(runs->next, const struct fh_run, node);
    return strstr(run->message, "version 1") != NULL && strstr(run->message, "at 2") != NULL;
}

static void begin(struct kit *kit)
{
    struct fh_move_settings settings = kit_quick();
    kit_open(kit, KIT_MEMORY);
    kit_preload(kit, 300);
    kit_create_move(kit, &settings);
}

static void end(struct kit *kit)
{
    struct fh_fence fence;
    kit_wait_phase(kit, FH_MOVE_DONE);
    assert_int_equal(kit_fence(kit, 1, 2, &fence), FH_OK);
    assert_int_equal(fence.mode, FH_FENCE_OPEN);
    assert_int_equal(kit_fence(kit, 0, 1, &fence), FH_NO_TENANT);
    kit_close(kit);
    use_tiers(FH_TIER_SHARED, FH_TIER_SHARED);
}

static void makes_a_dedicated_home_at_the_sources_version(void **state)
{
    struct kit kit;
    (void)state;
    use_tiers(FH_TIER_SHARED, FH_TIER_SCHEMA);
    begin(&kit);
    set_schema(&kit, &model_v2); /* known, and not applied to the source yet */
    (void)kit_start_migrator(&kit, 0);
    kit_wait_phase(&kit, FH_MOVE_DONE);
    struct fh_request read = {.op = FH_OP_FENCE_READ, .scope = {.tenant = kit.tenant, .epoch = 2}};
    assert_int_equal(kit_ask_store(&kit, 1, &read), FH_OK);
    assert_int_equal(read.as.fence.schema_version, 1);
    end(&kit);
}

static void waits_for_a_shared_home_of_another_version(void **state)
{
    struct kit kit;
    (void)state;
    use_tiers(FH_TIER_SCHEMA, FH_TIER_SHARED);
    begin(&kit);
    set_schema(&kit, &model_v2);
    upgrade(&kit, 1, &model_v2);
    (void)kit_start_migrator(&kit, 0);
    kit_turn_until(&kit, waits_for_a_version);
    upgrade(&kit, 0, &model_v2);
    end(&kit);
}

static bool hook_is_met(const struct kit *kit)
{
    return kit->hook_met;
}

static void hold_at(struct kit *kit, enum fh_step step)
{
    kit->hook_step = step;
    kit->hook_done = true;
    kit->hook_nth = 1;
    kit->hook_answer = FH_HOOK_HOLD;
    (void)kit_start_migrator(kit, 0);
    kit_turn_until(kit, hook_is_met);
}

static void is_changed_at(enum fh_step step, enum fh_tier source, enum fh_tier target)
{
    struct kit kit;
    print_message("%s\n", fh_run_step_name(step));
    use_tiers(source, target);
    begin(&kit);
    hold_at(&kit, step);
    uint64_t made = kit.passes[FH_STEP_CREATE];
    set_schema(&kit, &model_v2);
    for (size_t i = 0; i < 2; i++) {
        if (i == 0 || target == FH_TIER_SHARED) {
            upgrade(&kit, i, &model_v2);
        }
    }
    fh_run_release(kit.hooked);
    kit_wait_phase(&kit, FH_MOVE_DONE);
    assert_int_equal(kit.passes[FH_STEP_CREATE], made + 1);
    struct fh_request read = {.op = FH_OP_FENCE_READ, .scope = {.tenant = kit.tenant, .epoch = 2}};
    assert_int_equal(kit_ask_store(&kit, 1, &read), FH_OK);
    assert_int_equal(read.as.fence.schema_version, 2);
    end(&kit);
}

/* Whatever the mover was at: it begins anew, at the version that the source has by now. */
static void begins_anew_when_the_source_is_changed(void **state)
{
    static const enum fh_step steps[] = {FH_STEP_SCHEMA_TARGET, FH_STEP_START_STATE,
                                         FH_STEP_COPY_APPLY,    FH_STEP_ROUND_VIEW,
                                         FH_STEP_VERIFY_SOURCE, FH_STEP_VERIFY_REFERENCES};
    (void)state;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        is_changed_at(steps[i], FH_TIER_SCHEMA, FH_TIER_DATABASE);
        is_changed_at(steps[i], FH_TIER_SHARED, FH_TIER_SHARED);
    }
}

/* Behind the switch there is only forward: the source is erased whatever version it is at. */
static void erases_a_source_that_was_changed(void **state)
{
    struct kit kit;
    (void)state;
    use_tiers(FH_TIER_SHARED, FH_TIER_DATABASE);
    begin(&kit);
    hold_at(&kit, FH_STEP_OPEN);
    set_schema(&kit, &model_v2);
    upgrade(&kit, 0, &model_v2);
    fh_run_release(kit.hooked);
    end(&kit);
}

static bool is_in_trouble(const struct kit *kit)
{
    const struct fh_list *runs = &kit->migrators[0]->runs;
    return !fh_list_empty(runs) &&
           strstr(FH_CONTAINER_OF(runs->next, const struct fh_run, node)->message,
                  "this process knows 1") != NULL;
}

static void waits_for_a_version_that_it_does_not_know(void **state)
{
    struct kit kit;
    (void)state;
    use_tiers(FH_TIER_SHARED, FH_TIER_SCHEMA);
    begin(&kit);
    upgrade(&kit, 0, &model_v2);
    (void)kit_start_migrator(&kit, 0);
    kit_turn_until(&kit, is_in_trouble);
    set_schema(&kit, &model_v2);
    end(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_a_dedicated_home_at_the_sources_version),
        cmocka_unit_test(waits_for_a_shared_home_of_another_version),
        cmocka_unit_test(begins_anew_when_the_source_is_changed),
        cmocka_unit_test(erases_a_source_that_was_changed),
        cmocka_unit_test(waits_for_a_version_that_it_does_not_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
