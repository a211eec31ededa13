/* Switches that another process makes, as stores and hints tell of them; and what hints and age do
 * to placements. The fixture is gating.h. */
#include "tests/unit/router/gating.h"

static void tell(struct fixture *f, const struct fh_uuid *tenant)
{
    fh_catalog_tell(&f->catalog.catalog, FH_CATALOG_HINT_TENANT, tenant);
}

/* Two writes that a frozen fence turned away, and two that came later. */
static void freeze(struct fixture *f)
{
    place(f, &tenant_a);
    writes(f, 0);
    writes(f, 1);
    assert_int_equal(fake_store_turn_away(&f->one, FH_FENCE_FROZEN), 2);
    writes(f, 2);
    writes(f, 3);
    assert_int_equal(f->one.pending_count, 0);
    assert_int_equal(f->catalog.pending_count, 1); /* one asks for all */
    assert_int_equal(gate_of(f).gate, FH_GATE_WRITES);
    assert_true(gate_of(f).foreign);
}

static void follows_a_foreign_switch(void **state)
{
    struct fixture *f = *state;
    freeze(f);
    reads(f, 4);
    ASSERT_AT(f, &f->one, 4); /* reads pass */
    (void)fake_store_flush(&f->one, FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    ASSERT_AT(f, &f->one, 0); /* the same epoch: the first finds out */
    (void)fake_store_turn_away(&f->one, FH_FENCE_FROZEN);
    turn(f);
    assert_int_equal(f->one.pending_count + f->catalog.pending_count, 0);
    pass_until_asked(f);
    moved_to(f, "two", 2);
    (void)fake_catalog_flush(&f->catalog);
    turn(f);
    ASSERT_AT(f, &f->two, 0, 1, 2, 3);
    (void)fake_store_flush(&f->two, FH_OK);
    assert_all_ok(f, 5);
    assert_int_equal(gate_of(f).gate, FH_GATE_OPEN);
}

static void goes_on_when_a_foreign_switch_is_called_off(void **state)
{
    struct fixture *f = *state;
    freeze(f);
    (void)fake_catalog_flush(&f->catalog);
    fake_store_answer(&f->one, FH_UNIQUE_VIOLATION); /* any answer will do */
    turn(f);
    ASSERT_AT(f, &f->one, 1, 2, 3);
    assert_int_equal(f->calls[0].routed.code, FH_UNIQUE_VIOLATION);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_int_equal(f->calls[3].routed.code, FH_OK);
}

/* Closed holds reads as well; then the home is gone, for the placement was stale. */
static void follows_when_the_old_home_is_gone(void **state)
{
    struct fixture *f = *state;
    place(f, &tenant_a);
    reads(f, 0);
    writes(f, 1);
    assert_int_equal(fake_store_turn_away(&f->one, FH_FENCE_CLOSED), 2);
    reads(f, 2);
    assert_int_equal(gate_of(f).gate, FH_GATE_ALL);
    (void)fake_catalog_flush(&f->catalog);
    ASSERT_AT(f, &f->one, 0);
    (void)fake_store_flush(&f->one, FH_NO_TENANT);
    pass_until_asked(f);
    moved_to(f, "two", 2);
    (void)fake_catalog_flush(&f->catalog);
    turn(f);
    ASSERT_AT(f, &f->two, 0, 1, 2);
    /* Not open there yet: turned away, and on. */
    (void)fake_store_turn_away(&f->two, FH_FENCE_INCOMING);
    (void)fake_catalog_flush(&f->catalog);
    ASSERT_AT(f, &f->two, 0);
    (void)fake_store_flush(&f->two, FH_OK);
    turn(f);
    ASSERT_AT(f, &f->two, 1, 2);
    (void)fake_store_flush(&f->two, FH_OK);
    assert_all_ok(f, 3);
}

/* An answer that was asked for before the store turned somebody away would make a home look
 * missing that has moved. */
static void does_not_trust_an_older_answer(void **state)
{
    struct fixture *f = *state;
    f->catalog.catalog.shared = true;
    place(f, &tenant_a);
    fh_clock_virtual_advance(&f->clock, 11 * 1000000);
    reads(f, 0);
    assert_int_equal(f->catalog.pending_count, 1);
    (void)fake_store_flush(&f->one, FH_NO_TENANT);
    assert_int_equal(fake_catalog_flush(&f->catalog), 1); /* the older one */
    assert_int_equal(f->calls[0].done, 0);
    moved_to(f, "two", 2);
    assert_int_equal(fake_catalog_flush(&f->catalog), 1);
    turn(f);
    (void)fake_store_flush(&f->two, FH_OK);
    assert_all_ok(f, 1);
}

/* The same where the question was asked for somebody else who was turned away before. */
static void does_not_trust_an_answer_that_others_wait_for(void **state)
{
    struct fixture *f = *state;
    place(f, &tenant_a);
    reads(f, 0);
    reads(f, 1);
    fake_store_answer(&f->one, FH_MOVED);
    assert_int_equal(f->catalog.pending_count, 1);
    (void)fake_store_flush(&f->one, FH_NO_TENANT);
    assert_int_equal(fake_catalog_flush(&f->catalog), 1); /* older than that */
    assert_int_equal(f->calls[1].done, 0);
    ASSERT_AT(f, &f->one, 0);
    (void)fake_store_flush(&f->one, FH_NO_TENANT);
    pass_until_asked(f);
    moved_to(f, "two", 2);
    (void)fake_catalog_flush(&f->catalog);
    turn(f);
    ASSERT_AT(f, &f->two, 0, 1);
    (void)fake_store_flush(&f->two, FH_OK);
    assert_all_ok(f, 2);
}

/* And where a hint has it wait for what is being looked up, which came of an older hint. */
static void does_not_trust_an_older_hint(void **state)
{
    struct fixture *f = *state;
    place(f, &tenant_a);
    reads(f, 0);
    (void)fake_store_turn_away(&f->one, FH_FENCE_CLOSED);
    (void)fake_catalog_flush(&f->catalog);
    ASSERT_AT(f, &f->one, 0);
    tell(f, &tenant_a);
    (void)fake_store_flush(&f->one, FH_NO_TENANT);
    tell(f, &tenant_a);
    assert_int_equal(fake_catalog_flush(&f->catalog), 1); /* older than the home's end */
    assert_int_equal(f->calls[0].done, 0);
    moved_to(f, "two", 2);
    assert_int_equal(fake_catalog_flush(&f->catalog), 1);
    (void)fake_store_flush(&f->one, FH_NO_TENANT); /* it had asked there once more */
    turn(f);
    ASSERT_AT(f, &f->two, 0);
    (void)fake_store_flush(&f->two, FH_OK);
    assert_all_ok(f, 1);
}

/* Its home was gone, it went on to where the tenant is now, and that store had no room: it is not
 * the home at the new epoch that is missing. */
static void does_not_miss_a_home_that_it_did_not_reach(void **state)
{
    struct fixture *f = *state;
    place(f, &tenant_a);
    reads(f, 0);
    reads(f, 1);
    (void)fake_store_flush(&f->one, FH_NO_TENANT);
    moved_to(f, "two", 2);
    f->two.room = 1;
    (void)fake_catalog_flush(&f->catalog);
    turn(f);
    ASSERT_AT(f, &f->two, 0);
    (void)fake_store_turn_away(&f->two, FH_FENCE_INCOMING); /* not open yet: asked again */
    (void)fake_catalog_flush(&f->catalog);
    assert_int_equal(f->calls[1].done, 0);
    ASSERT_AT(f, &f->two, 0);
    (void)fake_store_flush(&f->two, FH_OK);
    pass_until_submitted(f, &f->two);
    ASSERT_AT(f, &f->two, 1);
    (void)fake_store_flush(&f->two, FH_OK);
    assert_all_ok(f, 2);
}

/* One store took it and turned it away; that the next one is full is the move's doing, not its. */
static void waits_for_room_where_the_tenant_lives_now(void **state)
{
    struct fixture *f = *state;
    place(f, &tenant_a);
    reads(f, 0);
    moved_to(f, "two", 2);
    tell(f, &tenant_a);
    (void)fake_catalog_flush(&f->catalog);
    f->two.refusal = FH_FULL;
    (void)fake_store_turn_away(&f->one, FH_FENCE_CLOSED);
    assert_int_equal(f->calls[0].done, 0);
    assert_int_equal(gate_of(f).held, 1);
    reads(f, 1); /* behind it */
    fh_clock_virtual_advance(&f->clock, 5000);
    turn_by_hand(f);
    assert_int_equal(gate_of(f).held, 2);
    f->two.refusal = FH_OK;
    pass_until_submitted(f, &f->two);
    ASSERT_AT(f, &f->two, 0, 1);
    (void)fake_store_flush(&f->two, FH_OK);
    assert_all_ok(f, 2);
    assert_int_equal(submit(f, 2, &tenant_a), FH_OK);
    (void)fake_store_flush(&f->two, FH_OK);
}

/* The clock stands still: only the hint can be why it looks. */
static void looks_at_once_after_a_hint(void **state)
{
    struct fixture *f = *state;
    static const struct fh_uuid nil = {{0}};
    const struct fh_uuid *hints[] = {&tenant_a, &nil};
    for (size_t i = 0; i < 2; i++) {
        moved_to(f, "one", 1 + 2 * i);
        if (i > 0) {
            tell(f, &nil);
        }
        freeze(f);
        (void)fake_catalog_flush(&f->catalog);
        (void)fake_catalog_flush(&f->catalog);
        (void)fake_store_turn_away(&f->one, FH_FENCE_FROZEN);
        turn(f);
        assert_int_equal(f->catalog.pending_count + f->one.pending_count, 0);
        tell(f, hints[i]);
        assert_int_equal(f->catalog.pending_count, 1);
        (void)fake_catalog_flush(&f->catalog); /* too early: it cannot be read yet */
        ASSERT_AT(f, &f->one, 0);              /* but it may have been called off */
        (void)fake_store_turn_away(&f->one, FH_FENCE_CLOSED);
        tell(f, hints[i]);
        tell(f, hints[i]); /* while it is being looked up: once more behind that */
        (void)fake_catalog_flush(&f->catalog);
        (void)fake_store_turn_away(&f->one, FH_FENCE_CLOSED);
        moved_to(f, "two", 2 + 2 * i);
        assert_int_equal(fake_catalog_flush(&f->catalog), 1);
        turn(f);
        ASSERT_AT(f, &f->two, 0, 1, 2, 3);
        (void)fake_store_flush(&f->two, FH_OK);
        assert_all_ok(f, 4);
        fh_router_invalidate(f->router, &tenant_a);
    }
}

static void holds_on_with_the_catalog_away(void **state)
{
    struct fixture *f = *state;
    freeze(f);
    f->catalog.code = FH_UNAVAILABLE;
    for (int round = 0; round < 10; round++) {
        f->catalog.refusal = round % 3 == 0 ? FH_SHUTTING_DOWN : FH_OK;
        (void)fake_catalog_flush(&f->catalog);
        (void)fake_store_turn_away(&f->one, FH_FENCE_FROZEN);
        fh_clock_virtual_advance(&f->clock, 20000);
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    f->catalog.refusal = FH_OK;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(f->calls[i].done, 0);
    }
    while (f->one.pending_count == 0) { /* the probe, still */
        (void)fake_catalog_flush(&f->catalog);
        fh_clock_virtual_advance(&f->clock, 20000);
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    ASSERT_AT(f, &f->one, 0);
    (void)fake_store_flush(&f->one, FH_OK); /* thawed */
    turn(f);
    ASSERT_AT(f, &f->one, 1, 2, 3);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_all_ok(f, 4);
}

/* Neither store nor catalog is hammered: 1, 2, 4, 8, 16 and then 20 ms. */
static void asks_ever_less_often(void **state)
{
    struct fixture *f = *state;
    freeze(f);
    size_t asked = f->catalog.asked;
    for (int ms = 0; ms < 500; ms++) {
        (void)fake_catalog_flush(&f->catalog);
        (void)fake_store_turn_away(&f->one, FH_FENCE_FROZEN);
        fh_clock_virtual_advance(&f->clock, 1000);
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_in_range(f->catalog.asked - asked, 5, 5 + 500 / 20);
    fh_clock_virtual_advance(&f->clock, 10000000);
    pass_until_done(f, 3, 0);
    assert_int_equal(f->calls[0].done, 1);
    assert_int_equal(f->calls[0].routed.code, FH_DEADLINE);
    assert_int_equal(gate_of(f).gate, FH_GATE_OPEN); /* nobody waits: nobody asks */
    (void)fake_catalog_flush(&f->catalog);
}

/* The probe's own end says nothing of the switch. */
static void has_another_probe_when_one_ends(void **state)
{
    struct fixture *f = *state;
    freeze(f);
    (void)fake_catalog_flush(&f->catalog);
    ASSERT_AT(f, &f->one, 0);
    fh_router_cancel(f->router, &f->calls[0].routed);
    (void)fake_store_flush(&f->one, FH_CANCELLED);
    assert_int_equal(f->calls[0].routed.code, FH_CANCELLED);
    pass_until_asked(f);
    (void)fake_catalog_flush(&f->catalog);
    ASSERT_AT(f, &f->one, 1);
    fh_router_cancel(f->router, &f->calls[1].routed);
    (void)fake_store_turn_away(&f->one, FH_FENCE_FROZEN);
    assert_int_equal(f->calls[1].routed.code, FH_CANCELLED);
    pass_until_asked(f);
    (void)fake_catalog_flush(&f->catalog);
    ASSERT_AT(f, &f->one, 2);
    (void)fake_store_flush(&f->one, FH_OK);
    turn(f);
    ASSERT_AT(f, &f->one, 3);
    (void)fake_store_flush(&f->one, FH_OK);
}

/* The probe comes back to find the gate of this process's mover in its way: another one's turn. */
static void has_another_probe_when_the_mover_holds_one(void **state)
{
    struct fixture *f = *state;
    place(f, &tenant_a);
    writes(f, 0);
    reads(f, 1);
    assert_int_equal(fake_store_turn_away(&f->one, FH_FENCE_CLOSED), 2);
    (void)fake_catalog_flush(&f->catalog);
    ASSERT_AT(f, &f->one, 0);
    assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_WRITES), FH_OK);
    (void)fake_store_turn_away(&f->one, FH_FENCE_CLOSED);
    for (int ms = 0; ms < 100 && f->one.pending_count == 0; ms++) {
        fh_clock_virtual_advance(&f->clock, 1000);
        turn_by_hand(f);
        (void)fake_catalog_flush(&f->catalog);
    }
    ASSERT_AT(f, &f->one, 1);
    (void)fake_store_flush(&f->one, FH_OK);
    fh_router_gate_open(f->router, &tenant_a, &f->catalog.tenant.placement);
    turn(f);
    ASSERT_AT(f, &f->one, 0);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_all_ok(f, 2);
}

/* This process's mover and another's at once: each holds what it holds. */
static void keeps_both_gates_apart(void **state)
{
    struct fixture *f = *state;
    place(f, &tenant_a);
    assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_WRITES), FH_OK);
    writes(f, 1);
    reads(f, 0);
    (void)fake_store_turn_away(&f->one, FH_FENCE_CLOSED);
    reads(f, 2);
    assert_int_equal(gate_of(f).gate, FH_GATE_ALL);
    assert_true(gate_of(f).foreign);
    (void)fake_catalog_flush(&f->catalog);
    ASSERT_AT(f, &f->one, 0); /* not the write: the mover's gate holds it */
    (void)fake_store_flush(&f->one, FH_OK);
    turn(f);
    ASSERT_AT(f, &f->one, 2);
    assert_int_equal(gate_of(f).gate, FH_GATE_WRITES);
    (void)fake_store_flush(&f->one, FH_OK);
    fh_router_gate_open(f->router, &tenant_a, &f->catalog.tenant.placement);
    turn(f);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_all_ok(f, 3);
    /* A foreign gate becomes the mover's. */
    writes(f, 0);
    (void)fake_store_turn_away(&f->one, FH_FENCE_FROZEN);
    assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_WRITES), FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    turn(f);
    assert_int_equal(f->one.pending_count, 0);
    fh_router_gate_open(f->router, &tenant_a, NULL);
    (void)fake_catalog_flush(&f->catalog);
    turn(f);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_all_ok(f, 1);
}

static void looks_again_after_a_hint_and_serves_meanwhile(void **state)
{
    struct fixture *f = *state;
    place(f, &tenant_a);
    tell(f, &tenant_b); /* nobody's */
    assert_int_equal(f->catalog.asked, 1);
    fh_catalog_tell(&f->catalog.catalog, FH_CATALOG_HINT_MOVE, &tenant_a);
    assert_int_equal(f->catalog.asked, 1);
    tell(f, &tenant_a);
    assert_int_equal(f->catalog.asked, 2);
    reads(f, 0);
    ASSERT_AT(f, &f->one, 0);
    moved_to(f, "two", 2);
    (void)fake_catalog_flush(&f->catalog);
    reads(f, 1);
    ASSERT_AT(f, &f->two, 1); /* without a store that had to refuse */
    /* Suspended, while one look-up is under way: that one's answer, or the next one's. */
    tell(f, &tenant_a);
    tell(f, &tenant_a);
    (void)fake_catalog_flush(&f->catalog);
    f->catalog.tenant.state = FH_TENANT_SUSPENDED;
    (void)fake_catalog_flush(&f->catalog);
    assert_int_equal(submit(f, 2, &tenant_a), FH_SUSPENDED);
    /* And active again. */
    f->catalog.tenant.state = FH_TENANT_ACTIVE;
    tell(f, &tenant_a);
    reads(f, 3);
    (void)fake_catalog_flush(&f->catalog);
    ASSERT_AT(f, &f->two, 1, 3);
    (void)fake_store_flush(&f->one, FH_OK);
    (void)fake_store_flush(&f->two, FH_OK);
    /* To a store that is not open here yet: the old one shall say that it is closed. */
    moved_to(f, "six", 3);
    tell(f, &tenant_a);
    (void)fake_catalog_flush(&f->catalog);
    reads(f, 4);
    ASSERT_AT(f, &f->two, 4);
    (void)fake_store_flush(&f->two, FH_OK);
}

static void looks_at_all_again_when_anybody_may_have_changed(void **state)
{
    struct fixture *f = *state;
    static const struct fh_uuid nil = {{0}};
    place(f, &tenant_a);
    place(f, &tenant_b);
    f->catalog.code = FH_NO_TENANT;
    assert_int_equal(submit(f, 0, &tenant_c), FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    f->catalog.code = FH_OK;
    tell(f, &nil);
    assert_int_equal(f->catalog.asked, 3); /* only when they are used */
    reads(f, 0);
    reads(f, 1);
    ASSERT_AT(f, &f->one, 0, 1);
    assert_int_equal(f->catalog.asked, 4);
    f->catalog.tenant.state = FH_TENANT_SUSPENDED;
    (void)fake_catalog_flush(&f->catalog);
    assert_int_equal(submit(f, 2, &tenant_a), FH_SUSPENDED);
    f->catalog.tenant.state = FH_TENANT_ACTIVE;
    assert_int_equal(submit(f, 3, &tenant_c), FH_OK); /* no "no such tenant" from memory */
    (void)fake_catalog_flush(&f->catalog);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_int_equal(f->calls[3].routed.code, FH_OK);
}

static void looks_again_by_age_where_others_change_the_catalog(void **state)
{
    struct fixture *f = *state;
    place(f, &tenant_a);
    fh_clock_virtual_advance(&f->clock, 3600LL * 1000000);
    reads(f, 0);
    assert_int_equal(f->catalog.asked, 1); /* nobody else changes it */
    (void)fake_store_flush(&f->one, FH_OK);
    f->catalog.catalog.shared = true;
    place(f, &tenant_b);
    fh_clock_virtual_advance(&f->clock, 9999999);
    assert_int_equal(submit(f, 1, &tenant_b), FH_OK);
    assert_int_equal(f->catalog.asked, 2);
    fh_clock_virtual_advance(&f->clock, 1);
    assert_int_equal(submit(f, 2, &tenant_b), FH_OK);
    assert_int_equal(submit(f, 3, &tenant_b), FH_OK);
    assert_int_equal(f->catalog.asked, 3);
    ASSERT_AT(f, &f->one, 1, 2, 3); /* meanwhile it serves */
    f->catalog.code = FH_UNAVAILABLE;
    (void)fake_catalog_flush(&f->catalog);
    assert_int_equal(submit(f, 4, &tenant_b), FH_OK); /* and goes on */
    assert_int_equal(f->catalog.asked, 3);            /* asked again, but not with every request */
    fh_clock_virtual_advance(&f->clock, 1000000);
    f->catalog.refusal = FH_UNAVAILABLE;
    assert_int_equal(submit(f, 5, &tenant_b), FH_OK);
    f->catalog.refusal = FH_OK;
    f->catalog.code = FH_OK;
    assert_int_equal(submit(f, 6, &tenant_b), FH_OK);
    assert_int_equal(f->catalog.asked, 3);
    fh_clock_virtual_advance(&f->clock, 1000000);
    assert_int_equal(submit(f, 7, &tenant_b), FH_OK);
    assert_int_equal(f->catalog.asked, 4);
    (void)fake_catalog_flush(&f->catalog);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_all_ok(f, 8);
}

static struct fixture *forgetful;

static void forget_cb(struct fh_routed *routed)
{
    done_cb(routed);
    fh_router_invalidate(forgetful->router, &tenant_a);
}

/* The first that waits ends as it is about to find out, and its caller makes the placement unknown:
 * those behind it must not be left without anybody who asks for them. */
static void goes_on_when_a_callback_forgets_the_placement(void **state)
{
    struct fixture *f = *state;
    forgetful = f;
    place(f, &tenant_a);
    int64_t soon_us = f->clock.monotonic_us + 5000;
    assert_int_equal(write_until(f, 0, &tenant_a, soon_us), FH_OK);
    f->calls[0].routed.done_cb = forget_cb;
    writes(f, 1);
    assert_int_equal(fake_store_turn_away(&f->one, FH_FENCE_FROZEN), 2);
    fh_clock_virtual_advance(&f->clock, 5000);
    (void)fake_catalog_flush(&f->catalog); /* the same epoch: the first is to try, and is late */
    assert_int_equal(f->calls[0].done, 1);
    assert_int_equal(f->calls[0].routed.code, FH_DEADLINE);
    assert_int_equal(f->catalog.pending_count, 1);
    moved_to(f, "two", 2);
    (void)fake_catalog_flush(&f->catalog);
    turn(f);
    ASSERT_AT(f, &f->two, 1);
    (void)fake_store_flush(&f->two, FH_OK);
    assert_int_equal(f->calls[1].routed.code, FH_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_gating, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(follows_a_foreign_switch),
        TEST(goes_on_when_a_foreign_switch_is_called_off),
        TEST(follows_when_the_old_home_is_gone),
        TEST(does_not_trust_an_older_answer),
        TEST(does_not_trust_an_answer_that_others_wait_for),
        TEST(does_not_trust_an_older_hint),
        TEST(does_not_miss_a_home_that_it_did_not_reach),
        TEST(waits_for_room_where_the_tenant_lives_now),
        TEST(looks_at_once_after_a_hint),
        TEST(holds_on_with_the_catalog_away),
        TEST(asks_ever_less_often),
        TEST(has_another_probe_when_one_ends),
        TEST(has_another_probe_when_the_mover_holds_one),
        TEST(goes_on_when_a_callback_forgets_the_placement),
        TEST(keeps_both_gates_apart),
        TEST(looks_again_after_a_hint_and_serves_meanwhile),
        TEST(looks_at_all_again_when_anybody_may_have_changed),
        TEST(looks_again_by_age_where_others_change_the_catalog),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
