/* Moves between homes of all tiers, in two stores and in one. */
#include "tests/unit/migrator/kit.h"

static const enum fh_tier tiers[] = {FH_TIER_SHARED, FH_TIER_SCHEMA, FH_TIER_DATABASE};

static void at_every_pair(enum kit_engine engine, void (*scenario)(enum kit_engine engine))
{
    for (size_t i = 0; i < 18; i++) {
        const struct kit_pair pair = {.tiers = {tiers[i % 3], tiers[i / 3 % 3]},
                                      .one_store = i >= 9};
        bool is_a_move = pair.tiers[0] != pair.tiers[1] || !pair.one_store;
        if (is_a_move && kit_offers(engine, &pair)) {
            print_message("%s to %s, %s\n", fh_tier_name(pair.tiers[0]),
                          fh_tier_name(pair.tiers[1]), pair.one_store ? "one store" : "two stores");
            scenario(engine);
        }
    }
    kit_pair = (struct kit_pair){.tiers = {FH_TIER_SHARED, FH_TIER_SHARED}};
}

static void moves_there_and_back(void **state)
{
    (void)state;
    at_every_pair(KIT_MEMORY, kit_there_and_back);
    at_every_pair(KIT_SQLITE, kit_there_and_back);
}

static void catches_up(void **state)
{
    (void)state;
    at_every_pair(KIT_MEMORY, kit_catch_up);
}

static void with_pair(enum fh_tier source, enum fh_tier target, bool one_store,
                      kit_scenario *scenario)
{
    const struct kit_pair pair = {.tiers = {source, target}, .one_store = one_store};
    assert_true(kit_offers(KIT_MEMORY, &pair));
    kit_at_every_step(KIT_MEMORY, scenario, true, true);
    kit_pair = (struct kit_pair){.tiers = {FH_TIER_SHARED, FH_TIER_SHARED}};
}

static void survives_crashes(void **state)
{
    (void)state;
    with_pair(FH_TIER_SHARED, FH_TIER_SCHEMA, true, kit_crash_at);
    with_pair(FH_TIER_DATABASE, FH_TIER_SHARED, true, kit_crash_at);
    with_pair(FH_TIER_SCHEMA, FH_TIER_DATABASE, false, kit_crash_at);
}

static void refuses_sleepers_that_wake_early(void **state)
{
    (void)state;
    with_pair(FH_TIER_SCHEMA, FH_TIER_SHARED, true, kit_wake_early_at);
    with_pair(FH_TIER_SHARED, FH_TIER_DATABASE, false, kit_wake_early_at);
}

static bool hook_is_met(const struct kit *kit)
{
    return kit->hook_met;
}

static bool sleeper_has_ended(const struct kit *kit)
{
    struct fh_migrator_stats stats;
    fh_migrator_stats(kit->migrators[0], &stats);
    return stats.running == 0;
}

/* A home that is made behind a cancel is nobody's, and goes again. */
static void made_too_late(enum fh_tier target)
{
    struct kit kit;
    struct fh_fence fence;
    struct fh_move_settings settings = kit_quick();
    kit_pair = (struct kit_pair){.tiers = {FH_TIER_SHARED, target}};
    kit_open(&kit, KIT_MEMORY);
    kit_preload(&kit, 20);
    kit_create_move(&kit, &settings);
    kit.hook_step = FH_STEP_CREATE;
    kit.hook_nth = 1;
    kit.hook_answer = FH_HOOK_HOLD;
    (void)kit_start_migrator(&kit, 0);
    kit_turn_until(&kit, hook_is_met);
    kit_wish(&kit, FH_MOVE_WISH_CANCEL);
    (void)kit_start_migrator(&kit, 1);
    kit_wait_phase(&kit, FH_MOVE_CANCELLED);
    fh_run_release(kit.hooked);
    kit_turn_until(&kit, sleeper_has_ended);
    assert_int_equal(kit_fence(&kit, 1, 2, &fence), FH_NO_TENANT);
    kit_check(&kit, 0, 1);
    kit_close(&kit);
    kit_pair = (struct kit_pair){.tiers = {FH_TIER_SHARED, FH_TIER_SHARED}};
}

static void takes_away_what_was_made_too_late(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(tiers) / sizeof(tiers[0]); i++) {
        made_too_late(tiers[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_away_what_was_made_too_late),
        cmocka_unit_test(moves_there_and_back),
        cmocka_unit_test(catches_up),
        cmocka_unit_test(survives_crashes),
        cmocka_unit_test(refuses_sleepers_that_wake_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
