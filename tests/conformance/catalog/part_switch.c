/* The switch, wishes, and who may no longer act. */
#include <string.h>

#include "router/move_rules.h"
#include "tests/conformance/catalog/suite.h"

#define ANY_STATE (31u << FH_TENANT_PROVISIONING)

static void switches_a_tenant(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_move before = catalog_move_at(s, &s->a, "south", FH_MOVE_SWITCHING);
    struct fh_move move;
    struct fh_placement placement;
    struct fh_tenant tenant = catalog_tenant(s, &s->a);
    fh_clock_virtual_advance(&s->clock, 1000);
    assert_code(catalog_move_switch(s, &before.uuid, before.generation, 1, &move, &placement),
                FH_OK);
    assert_string_equal(placement.store, "south");
    assert_string_equal(placement.home.name, before.target_home.name);
    assert_int_equal(placement.home.tier, FH_TIER_SCHEMA);
    assert_int_equal(placement.epoch, 2);
    assert_int_equal(placement.generation, before.generation);
    assert_int_equal(move.phase, FH_MOVE_SETTLED);
    assert_int_equal(move.beat, before.beat + 1);
    assert_int_equal(move.finished_at_us, 0);
    assert_int_equal(move.source.epoch, 1); /* as of its creation */
    assert_string_equal(move.source.store, "north");
    catalog_reopen(s);
    struct fh_tenant after = catalog_tenant(s, &s->a);
    assert_string_equal(after.placement.store, "south");
    assert_string_equal(after.placement.home.name, before.target_home.name);
    assert_int_equal(after.placement.home.tier, FH_TIER_SCHEMA);
    assert_int_equal(after.placement.epoch, 2);
    assert_int_equal(after.placement.generation, before.generation);
    assert_int_equal(after.state, FH_TENANT_ACTIVE);
    assert_true(after.updated_at_us > tenant.updated_at_us);
    assert_string_equal(catalog_tenant(s, &s->b).placement.store, "north");
    assert_code(catalog_move_advance(s, &move.uuid, move.generation, FH_MOVE_SETTLED,
                                     FH_MOVE_CLEANING, "", &move),
                FH_OK);
    assert_int_equal(move.finished_at_us, 0);
    assert_code(catalog_move_advance(s, &move.uuid, move.generation, FH_MOVE_CLEANING, FH_MOVE_DONE,
                                     "", &move),
                FH_OK);
    assert_true(move.finished_at_us > 0);
    /* And back. */
    move = catalog_move_at(s, &s->a, "north", FH_MOVE_SWITCHING);
    assert_int_equal(move.source.epoch, 2);
    assert_code(catalog_move_switch(s, &move.uuid, move.generation, 1, NULL, NULL),
                FH_PRECONDITION);
    assert_code(catalog_move_switch(s, &move.uuid, move.generation, 2, NULL, &placement), FH_OK);
    assert_string_equal(placement.store, "north");
    assert_int_equal(placement.epoch, 3);
}

static void switches_only_by_comparison(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_move move = catalog_move_at(s, &s->a, "south", FH_MOVE_READY);
    struct fh_move seen;
    struct fh_placement placement;
    assert_code(catalog_move_switch(s, &move.uuid, move.generation, 1, &seen, &placement),
                FH_PRECONDITION); /* not switching yet */
    catalog_assert_same_move(&seen, &move);
    assert_string_equal(placement.store, "north");
    assert_int_equal(placement.epoch, 1);
    assert_int_equal(placement.generation, move.generation);
    assert_code(catalog_move_advance(s, &move.uuid, move.generation, FH_MOVE_READY,
                                     FH_MOVE_SWITCHING, "", &move),
                FH_OK);
    assert_code(catalog_move_switch(s, &move.uuid, move.generation, 2, &seen, NULL),
                FH_PRECONDITION);
    assert_code(catalog_move_switch(s, &move.uuid, move.generation - 1, 1, &seen, NULL),
                FH_PRECONDITION);
    assert_code(catalog_move_switch(s, &move.uuid, move.generation + 1, 1, &seen, NULL),
                FH_PRECONDITION);
    catalog_assert_same_move(&seen, &move);
    assert_code(catalog_move_advance(s, &move.uuid, move.generation, FH_MOVE_SWITCHING,
                                     FH_MOVE_SETTLED, "", NULL),
                FH_INVALID); /* never by an advance */
    assert_string_equal(catalog_tenant(s, &s->a).placement.store, "north");
    assert_code(catalog_move_switch(s, &move.uuid, move.generation, 1, &move, NULL), FH_OK);
    assert_code(catalog_move_switch(s, &move.uuid, move.generation, 1, &seen, &placement),
                FH_PRECONDITION); /* once */
    catalog_assert_same_move(&seen, &move);
    assert_string_equal(placement.store, "south");
    assert_int_equal(placement.epoch, 2);
}

static void leaves_a_suspended_tenant_suspended(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_move move = catalog_move_at(s, &s->a, "south", FH_MOVE_SWITCHING);
    assert_code(catalog_advance(s, &s->a, ANY_STATE, 0, FH_TENANT_SUSPENDED, false, NULL), FH_OK);
    assert_code(catalog_move_switch(s, &move.uuid, move.generation, 1, NULL, NULL), FH_OK);
    struct fh_tenant tenant = catalog_tenant(s, &s->a);
    assert_int_equal(tenant.state, FH_TENANT_SUSPENDED);
    assert_string_equal(tenant.placement.store, "south");
}

static void assert_powerless(struct catalog_suite *s, const struct fh_move *stale,
                             const struct fh_move *now)
{
    struct fh_move seen;
    uint64_t generation = stale->generation;
    assert_code(catalog_move_switch(s, &stale->uuid, generation, 1, &seen, NULL), FH_PRECONDITION);
    catalog_assert_same_move(&seen, now);
    assert_code(catalog_move_advance(s, &stale->uuid, generation, FH_MOVE_SWITCHING,
                                     FH_MOVE_SWITCHING, "", &seen),
                FH_PRECONDITION);
    catalog_assert_same_move(&seen, now);
    assert_code(catalog_move_advance(s, &stale->uuid, generation, FH_MOVE_SWITCHING,
                                     FH_MOVE_CATCHING_UP, "", NULL),
                FH_PRECONDITION);
    struct fh_move after = catalog_move(s, &stale->uuid);
    catalog_assert_same_move(&after, now);
}

static void takes_no_step_of_a_worker_that_was_taken_over(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_tenant tenant;
    struct fh_move sleeper = catalog_move_at(s, &s->a, "south", FH_MOVE_SWITCHING);
    struct fh_move other;
    assert_code(catalog_move_claim(s, &sleeper.uuid, sleeper.beat - 1, &other), FH_PRECONDITION);
    catalog_assert_same_move(&other, &sleeper);
    assert_code(catalog_move_claim(s, &sleeper.uuid, sleeper.beat, &other), FH_OK);
    assert_int_equal(other.generation, sleeper.generation + 1);
    assert_int_equal(other.phase, FH_MOVE_SWITCHING);
    assert_powerless(s, &sleeper, &other);
    /* The tenant's own saga takes the placement: whoever holds the move has to claim again. */
    assert_code(
        catalog_advance(s, &s->a, ANY_STATE, other.generation, FH_TENANT_SUSPENDED, true, &tenant),
        FH_OK);
    assert_int_equal(tenant.placement.generation, other.generation + 1);
    assert_powerless(s, &other, &other);
    struct fh_move third = other;
    third.generation = tenant.placement.generation; /* the placement's alone does not do either */
    assert_powerless(s, &third, &other);
    assert_code(catalog_move_claim(s, &other.uuid, other.beat, &third), FH_OK);
    assert_int_equal(third.generation, other.generation + 2);
    assert_code(catalog_move_switch(s, &third.uuid, third.generation, 1, &third, NULL), FH_OK);
    /* After the switch as before. */
    assert_code(catalog_move_claim(s, &third.uuid, third.beat, &other), FH_OK);
    assert_code(catalog_move_advance(s, &third.uuid, third.generation, FH_MOVE_SETTLED,
                                     FH_MOVE_CLEANING, "", NULL),
                FH_PRECONDITION);
}

static void needs_a_claim_first(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_move move;
    assert_code(catalog_move_start(s, &s->a, "south", &move), FH_OK);
    assert_code(
        catalog_move_advance(s, &move.uuid, 1, FH_MOVE_PLANNED, FH_MOVE_PREPARING, "", NULL),
        FH_PRECONDITION); /* the placement's generation, which nobody claimed */
    assert_code(
        catalog_move_advance(s, &move.uuid, 0, FH_MOVE_PLANNED, FH_MOVE_PREPARING, "", NULL),
        FH_INVALID);
    assert_code(catalog_move_claim(s, &move.uuid, move.beat, &move), FH_OK);
    assert_code(catalog_move_advance(s, &move.uuid, move.generation, FH_MOVE_COPYING,
                                     FH_MOVE_CATCHING_UP, "", NULL),
                FH_PRECONDITION); /* not the phase it is in */
    assert_code(catalog_move_advance(s, &move.uuid, move.generation, FH_MOVE_PLANNED,
                                     FH_MOVE_PREPARING, "", NULL),
                FH_OK);
}

static void hears_wishes(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_move move = catalog_move_at(s, &s->a, "south", FH_MOVE_COPYING);
    struct fh_move seen;
    assert_code(catalog_move_wish(s, &move.uuid, FH_MOVE_WISH_PAUSE, &seen), FH_OK);
    assert_int_equal(seen.wish, FH_MOVE_WISH_PAUSE);
    assert_int_equal(seen.beat, move.beat + 1);
    assert_int_equal(seen.generation, move.generation); /* no takeover */
    assert_code(catalog_move_advance(s, &move.uuid, move.generation, FH_MOVE_COPYING,
                                     FH_MOVE_COPYING, "paused", &move),
                FH_OK);
    assert_int_equal(move.wish, FH_MOVE_WISH_PAUSE); /* an advance does not undo it */
    assert_code(catalog_move_wish(s, &move.uuid, FH_MOVE_WISH_PAUSE, &seen), FH_OK);
    catalog_assert_same_move(&seen, &move); /* said twice: nothing changes */
    assert_code(catalog_move_wish(s, &move.uuid, FH_MOVE_WISH_RUN, &move), FH_OK);
    assert_int_equal(move.wish, FH_MOVE_WISH_RUN);
    assert_code(catalog_move_wish(s, &move.uuid, FH_MOVE_WISH_CANCEL, &move), FH_OK);
    assert_code(catalog_move_wish(s, &move.uuid, FH_MOVE_WISH_CANCEL, &seen), FH_OK);
    catalog_assert_same_move(&seen, &move);
    assert_code(catalog_move_wish(s, &move.uuid, FH_MOVE_WISH_RUN, &seen), FH_PRECONDITION);
    catalog_assert_same_move(&seen, &move);
    assert_code(catalog_move_wish(s, &move.uuid, FH_MOVE_WISH_PAUSE, NULL), FH_PRECONDITION);
    assert_code(catalog_move_advance(s, &move.uuid, move.generation, FH_MOVE_COPYING,
                                     FH_MOVE_CANCELLING, "", NULL),
                FH_OK);
    assert_code(catalog_move_advance(s, &move.uuid, move.generation, FH_MOVE_CANCELLING,
                                     FH_MOVE_CANCELLED, "", NULL),
                FH_OK);
    assert_code(catalog_move_wish(s, &move.uuid, FH_MOVE_WISH_CANCEL, &seen), FH_PRECONDITION);
    assert_int_equal(seen.phase, FH_MOVE_CANCELLED);

    move = catalog_move_at(s, &s->b, "south", FH_MOVE_SWITCHING);
    assert_code(catalog_move_wish(s, &move.uuid, FH_MOVE_WISH_PAUSE, NULL), FH_OK);
    assert_code(catalog_move_switch(s, &move.uuid, move.generation, 1, &move, NULL), FH_OK);
    assert_code(catalog_move_wish(s, &move.uuid, FH_MOVE_WISH_CANCEL, &seen), FH_PRECONDITION);
    catalog_assert_same_move(&seen, &move);
    assert_code(catalog_move_wish(s, &move.uuid, FH_MOVE_WISH_RUN, &seen), FH_OK);
    assert_code(catalog_move_wish(s, &move.uuid, FH_MOVE_WISH_PAUSE, NULL), FH_PRECONDITION);
}

static void deletes_no_tenant_under_a_move(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_tenant tenant;
    struct fh_move move = catalog_move_at(s, &s->a, "south", FH_MOVE_SWITCHING);
    const enum fh_tenant_state ends[] = {FH_TENANT_DELETING, FH_TENANT_DELETED};
    for (size_t i = 0; i < 2; i++) {
        struct fh_catalog_request request = {.op = FH_CATALOG_TENANT_ADVANCE};
        request.as.advance.uuid = s->a;
        request.as.advance.from_states = ANY_STATE;
        request.as.advance.to = ends[i];
        request.as.advance.bump_generation = true;
        assert_code(catalog_run(s, &request), FH_PRECONDITION);
        assert_string_equal(request.error.message, FH_MOVE_BLOCKS_DELETION);
        assert_int_equal(request.as.advance.tenant.state, FH_TENANT_ACTIVE);
        assert_int_equal(request.as.advance.tenant.placement.generation, move.generation);
    }
    assert_code(catalog_advance(s, &s->b, ANY_STATE, 0, FH_TENANT_DELETING, false, NULL), FH_OK);
    assert_code(catalog_move_switch(s, &move.uuid, move.generation, 1, &move, NULL), FH_OK);
    assert_code(catalog_advance(s, &s->a, ANY_STATE, 0, FH_TENANT_DELETING, false, NULL),
                FH_PRECONDITION);
    assert_code(catalog_move_advance(s, &move.uuid, move.generation, FH_MOVE_SETTLED,
                                     FH_MOVE_CLEANING, "", NULL),
                FH_OK);
    assert_code(catalog_move_advance(s, &move.uuid, move.generation, FH_MOVE_CLEANING, FH_MOVE_DONE,
                                     "", NULL),
                FH_OK);
    assert_code(catalog_advance(s, &s->a, ANY_STATE, 0, FH_TENANT_DELETING, true, &tenant), FH_OK);
    assert_int_equal(tenant.placement.generation, move.generation + 1);
}

static const struct CMUnitTest tests[] = {
    CATALOG_WORLD_TEST(switches_a_tenant),
    CATALOG_WORLD_TEST(switches_only_by_comparison),
    CATALOG_WORLD_TEST(leaves_a_suspended_tenant_suspended),
    CATALOG_WORLD_TEST(takes_no_step_of_a_worker_that_was_taken_over),
    CATALOG_WORLD_TEST(needs_a_claim_first),
    CATALOG_WORLD_TEST(hears_wishes),
    CATALOG_WORLD_TEST(deletes_no_tenant_under_a_move),
};

CATALOG_PART(catalog_part_switch, tests)
