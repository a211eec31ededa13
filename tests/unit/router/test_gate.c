/* The gates: what waits, in which order it goes on, and where to. The fixture is gating.h. */
#include "tests/unit/router/gating.h"

static void keeps_the_order_over_a_closed_gate(void **state)
{
    struct fixture *f = *state;
    place(f, &tenant_a);
    assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_WRITES), FH_OK);
    writes(f, 0);
    reads(f, 1);
    writes(f, 2);
    reads(f, 3);
    ASSERT_AT(f, &f->one, 1, 3); /* reads pass */
    assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_ALL), FH_OK);
    writes(f, 4);
    reads(f, 5);
    writes(f, 6);
    turn(f);
    assert_int_equal(f->one.pending_count, 2);
    assert_int_equal(gate_of(f).held, 5);
    assert_int_equal(gate_of(f).gate, FH_GATE_ALL);
    assert_false(gate_of(f).foreign);
    fh_clock_virtual_advance(&f->clock, 5000);
    assert_int_equal(gate_of(f).held_longest_us, 5000);
    moved_to(f, "two", 2);
    fh_router_gate_open(f->router, &tenant_a, &f->catalog.tenant.placement);
    reads(f, 7); /* does not overtake them */
    turn(f);
    ASSERT_AT(f, &f->two, 0, 2, 4, 5, 6, 7);
    assert_int_equal(f->two.last_epoch, 2);
    assert_int_equal(f->catalog.asked, 1); /* only for the first of all */
    (void)fake_store_flush(&f->one, FH_OK);
    (void)fake_store_flush(&f->two, FH_OK);
    assert_all_ok(f, 8);
    struct fh_router_stats stats;
    fh_router_stats(f->router, &stats);
    assert_int_equal(stats.held, 6);
    assert_int_equal(stats.held_longest_us, 5000);
    assert_int_equal(stats.held_now + stats.in_flight, 0);
    assert_int_equal(gate_of(f).gate, FH_GATE_OPEN);
}

static void lets_reads_on_when_the_gate_is_narrowed(void **state)
{
    struct fixture *f = *state;
    place(f, &tenant_a);
    assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_ALL), FH_OK);
    writes(f, 0);
    reads(f, 1);
    assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_WRITES), FH_OK);
    turn(f);
    ASSERT_AT(f, &f->one, 1);
    fh_router_gate_open(f->router, &tenant_a, &f->catalog.tenant.placement); /* called off */
    turn(f);
    ASSERT_AT(f, &f->one, 1, 0);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_all_ok(f, 2);
    fh_router_gate_open(f->router, &tenant_a, NULL); /* open already: nothing */
    fh_router_gate_open(f->router, &tenant_b, NULL);
    assert_int_equal(f->catalog.asked, 1);
}

static void takes_back_what_a_store_turned_away(void **state)
{
    struct fixture *f = *state;
    place(f, &tenant_a);
    writes(f, 0);
    writes(f, 1);
    reads(f, 2);
    assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_WRITES), FH_OK);
    writes(f, 3);
    f->one.pending[1]->epoch_seen = 1;
    f->one.pending[1]->mode_seen = FH_FENCE_FROZEN;
    struct fh_request *zero = f->one.pending[0];
    fh_request_complete(f->one.pending[1], FH_MOVED); /* the later one comes back first */
    fh_request_complete(zero, FH_HELD);
    fh_request_complete(f->one.pending[2], FH_OK);
    f->one.pending_count = 0;
    assert_int_equal(gate_of(f).held, 3);
    assert_int_equal(f->catalog.pending_count, 0); /* the mover will tell */
    fh_router_gate_open(f->router, &tenant_a, NULL);
    turn(f);
    assert_int_equal(f->one.pending_count, 0);
    assert_int_equal(fake_catalog_flush(&f->catalog), 1);
    turn(f);
    ASSERT_AT(f, &f->one, 0, 1, 3);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_all_ok(f, 4);
}

static void ends_what_waits_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    place(f, &tenant_a);
    assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_ALL), FH_OK);
    assert_int_equal(write_until(f, 0, &tenant_a, f->clock.monotonic_us + 10000), FH_OK);
    writes(f, 1);
    writes(f, 2);
    fh_router_cancel(f->router, &f->calls[1].routed);
    assert_int_equal(f->calls[1].done, 0); /* not inside cancel */
    pass_until_done(f, 1, 1000);
    assert_int_equal(f->calls[1].routed.code, FH_CANCELLED);
    pass_until_done(f, 0, 10000);
    assert_int_equal(f->calls[0].routed.code, FH_DEADLINE);
    assert_string_equal(f->calls[0].routed.request.error.message,
                        "the deadline passed while the tenant was being moved; nothing was done");
    assert_int_equal(gate_of(f).held, 1);
    /* Cancelled, or late, when the gate opens before the timer looks. */
    writes(f, 3);
    assert_int_equal(write_until(f, 4, &tenant_a, f->clock.monotonic_us + 10000), FH_OK);
    fh_router_cancel(f->router, &f->calls[3].routed);
    fh_clock_virtual_advance(&f->clock, 10000);
    fh_router_gate_open(f->router, &tenant_a, &f->catalog.tenant.placement);
    turn(f);
    ASSERT_AT(f, &f->one, 2);
    assert_int_equal(f->calls[3].routed.code, FH_CANCELLED);
    assert_int_equal(f->calls[4].routed.code, FH_DEADLINE);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_int_equal(f->calls[2].routed.code, FH_OK);
}

static void bounds_what_waits(void **state)
{
    struct fixture *f = *state;
    remake_router(f, 2, 4);
    place(f, &tenant_a);
    writes(f, 0);
    writes(f, 1);
    assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_WRITES), FH_OK);
    for (size_t i = 2; i < 6; i++) {
        writes(f, i); /* beside those in flight */
    }
    assert_int_equal(write_until(f, 6, &tenant_a, f->clock.monotonic_us + 1000), FH_FULL);
    assert_int_equal(gate_of(f).held_max, 4);
    (void)fake_store_turn_away(&f->one, FH_FENCE_FROZEN); /* they were admitted once */
    assert_int_equal(gate_of(f).held, 6);
    assert_int_equal(submit(f, 7, &tenant_b), FH_OK); /* the neighbour is not concerned */
    (void)fake_catalog_flush(&f->catalog);
    (void)fake_store_flush(&f->one, FH_OK);
    moved_to(f, "two", 2);
    fh_router_gate_open(f->router, &tenant_a, &f->catalog.tenant.placement);
    for (size_t i = 0; i < 6; i += 2) {
        turn(f);
        ASSERT_AT(f, &f->two, i, i + 1); /* no more than may be in flight */
        (void)fake_store_flush(&f->two, FH_OK);
    }
    assert_all_ok(f, 6);
}

/* A store that takes no more just now costs time, and nothing else. */
static void waits_for_room_in_the_store(void **state)
{
    struct fixture *f = *state;
    place(f, &tenant_a);
    assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_ALL), FH_OK);
    for (size_t i = 0; i < 4; i++) {
        writes(f, i);
    }
    f->one.refusal = FH_FULL;
    fh_router_gate_open(f->router, &tenant_a, &f->catalog.tenant.placement);
    turn(f);
    writes(f, 4);
    assert_int_equal(gate_of(f).held, 5);
    f->one.refusal = FH_OK;
    turn(f);
    assert_int_equal(f->one.pending_count, 0); /* not before a while */
    pass_until_submitted(f, &f->one);
    turn(f);
    ASSERT_AT(f, &f->one, 0, 1, 2, 3, 4);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_all_ok(f, 5);
}

/* The new home's store is not open here yet: who is held waits for it. */
static void waits_for_a_store_that_is_not_known_yet(void **state)
{
    struct fixture *f = *state;
    place(f, &tenant_a);
    assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_ALL), FH_OK);
    reads(f, 0);
    writes(f, 1);
    moved_to(f, "six", 2);
    fh_router_gate_open(f->router, &tenant_a, &f->catalog.tenant.placement);
    for (int round = 0; round < 6; round++) {
        pass_until_asked(f);
        (void)fake_catalog_flush(&f->catalog);
        (void)fake_store_turn_away(&f->one, FH_FENCE_CLOSED);
        turn(f);
    }
    assert_int_equal(f->calls[0].done + f->calls[1].done, 0);
    struct fake_store six;
    fake_store_init(&six, &f->env, "six");
    assert_int_equal(fh_router_add_store(f->router, &six.store), FH_OK);
    pass_until_asked(f);
    (void)fake_catalog_flush(&f->catalog);
    turn(f);
    ASSERT_AT(f, &six, 0, 1);
    (void)fake_store_flush(&six, FH_OK);
    assert_all_ok(f, 2);
    fh_router_remove_store(f->router, &six.store);
}

/* An invalidated tenant is looked up first, and what waits is not failed for a catalog that is away
 * meanwhile. */
static void looks_up_who_is_not_known(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_ALL), FH_OK);
    writes(f, 0);
    reads(f, 1);
    assert_int_equal(f->catalog.asked, 0);
    f->catalog.code = FH_UNAVAILABLE;
    moved_to(f, "two", 2);
    fh_router_gate_open(f->router, &tenant_a, &f->catalog.tenant.placement);
    for (int round = 0; round < 4; round++) {
        pass_until_asked(f);
        (void)fake_catalog_flush(&f->catalog);
    }
    f->catalog.code = FH_OK;
    pass_until_asked(f);
    (void)fake_catalog_flush(&f->catalog);
    turn(f);
    ASSERT_AT(f, &f->two, 0, 1);
    /* Invalidated while they are at the store that turns them away: the same. */
    fh_router_invalidate(f->router, &tenant_a);
    f->catalog.code = FH_UNAVAILABLE;
    (void)fake_store_turn_away(&f->two, FH_FENCE_CLOSED);
    (void)fake_catalog_flush(&f->catalog);
    f->catalog.refusal = FH_SHUTTING_DOWN;
    for (int i = 0; i < 30; i++) {
        fh_clock_virtual_advance(&f->clock, 1000);
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_int_equal(f->calls[0].done + f->calls[1].done, 0);
    f->catalog.refusal = FH_OK;
    f->catalog.code = FH_OK;
    pass_until_asked(f);
    (void)fake_catalog_flush(&f->catalog);
    turn(f);
    (void)fake_store_flush(&f->two, FH_OK);
    turn(f);
    (void)fake_store_flush(&f->two, FH_OK);
    assert_all_ok(f, 2);
}

/* Released, but not on its way yet when the tenant is invalidated: it is not failed either. */
static void looks_up_who_is_invalidated_on_the_way(void **state)
{
    struct fixture *f = *state;
    place(f, &tenant_a);
    assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_ALL), FH_OK);
    writes(f, 0);
    reads(f, 1);
    fh_router_gate_open(f->router, &tenant_a, &f->catalog.tenant.placement);
    fh_router_invalidate(f->router, &tenant_a);
    f->catalog.refusal = FH_SHUTTING_DOWN;
    turn(f);
    f->catalog.refusal = FH_OK;
    f->catalog.code = FH_UNAVAILABLE;
    for (int round = 0; round < 3; round++) {
        pass_until_asked(f);
        (void)fake_catalog_flush(&f->catalog);
    }
    f->catalog.code = FH_OK;
    pass_until_asked(f);
    (void)fake_catalog_flush(&f->catalog);
    turn(f);
    ASSERT_AT(f, &f->one, 0, 1);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_all_ok(f, 2);
}

/* A look-up that was begun before the switch must not undo it. */
static void does_not_go_back_behind_the_switch(void **state)
{
    struct fixture *f = *state;
    f->catalog.catalog.shared = true;
    place(f, &tenant_a);
    fh_clock_virtual_advance(&f->clock, 11 * 1000000);
    reads(f, 0); /* begins a look-up in the background */
    assert_int_equal(f->catalog.pending_count, 1);
    assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_ALL), FH_OK);
    reads(f, 1);
    struct fh_placement placement = f->catalog.tenant.placement;
    placement.epoch = 2;
    memcpy(placement.store, "two", 4);
    fh_router_gate_open(f->router, &tenant_a, &placement);
    (void)fake_catalog_flush(&f->catalog); /* as it was before */
    turn(f);
    ASSERT_AT(f, &f->two, 1);
    reads(f, 2);
    ASSERT_AT(f, &f->two, 1, 2);
    moved_to(f, "two", 2);
    assert_int_equal(fake_catalog_flush(&f->catalog), 1);
    (void)fake_store_flush(&f->one, FH_OK);
    (void)fake_store_flush(&f->two, FH_OK);
    assert_all_ok(f, 3);
    /* Nor must a mover that tells late. */
    assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_ALL), FH_OK);
    reads(f, 0);
    placement.epoch = 1;
    memcpy(placement.store, "one", 4);
    fh_router_gate_open(f->router, &tenant_a, &placement);
    turn(f);
    ASSERT_AT(f, &f->two, 0);
    (void)fake_store_flush(&f->two, FH_OK);
}

/* Many are released in turns of the loop, and the loop is not kept. */
static void releases_in_batches(void **state)
{
    struct fixture *f = *state;
    place(f, &tenant_a);
    assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_ALL), FH_OK);
    enum { MANY = 1000 };
    struct call *calls = calloc(MANY, sizeof(*calls)); /* NOLINT(fh-alloc): the test's own */
    assert_non_null(calls);
    for (size_t i = 0; i < MANY; i++) {
        struct fh_routed *routed = &calls[i].routed;
        routed->request = (struct fh_request){.op = FH_OP_EVENTS,
                                              .scope.tenant = tenant_a,
                                              .deadline_us = FH_DEADLINE_NONE,
                                              .arena = &f->arena,
                                              .as.events.limit = 1};
        routed->done_cb = done_cb;
        routed->arg = &calls[i];
        assert_int_equal(fh_router_submit(f->router, routed), FH_OK);
        calls[i].submitted = true;
    }
    fh_router_gate_open(f->router, &tenant_a, &f->catalog.tenant.placement);
    assert_int_equal(f->one.pending_count, 0); /* not inside the mover's call */
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_in_range(f->one.pending_count, 1, 256);
    size_t next = 0;
    while (next < MANY) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        struct fh_router_stats stats;
        fh_router_stats(f->router, &stats);
        assert_in_range(stats.in_flight, 1, 512);
        if (f->one.pending_count > 0) {
            assert_ptr_equal(f->one.pending[0], &calls[next].routed.request);
            next++;
            fake_store_answer(&f->one, FH_OK);
        }
    }
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(calls[i].done, 1);
        assert_int_equal(calls[i].routed.code, FH_OK);
    }
    free(calls); /* NOLINT(fh-alloc): the test's own */
}

static void survives_every_failed_allocation(void **state)
{
    struct fixture *f = *state;
    for (long after = 0;; after++) {
        struct fh_uuid tenant = {{0x77, (uint8_t)after}};
        fh_alloc_fault_on(after, 1);
        enum fh_code gate = fh_router_gate_close(f->router, &tenant, FH_GATE_ALL);
        enum fh_code code = submit(f, 0, &tenant);
        if (code == FH_OK) {
            fh_router_gate_open(f->router, &tenant, NULL);
            for (int i = 0; f->calls[0].done == 0; i++) {
                (void)fake_catalog_flush(&f->catalog);
                (void)(i < 20 ? fake_store_turn_away(&f->one, FH_FENCE_CLOSED)
                              : fake_store_flush(&f->one, FH_OK));
                fh_clock_virtual_advance(&f->clock, 1000);
                uv_run(&f->loop, UV_RUN_ONCE);
            }
            assert_int_equal(f->calls[0].done, 1);
            code = f->calls[0].routed.code;
        }
        int delivered = fh_alloc_fault_off();
        fh_router_gate_open(f->router, &tenant, NULL);
        (void)fake_catalog_flush(&f->catalog);
        assert_true(gate == FH_OK || gate == FH_NOMEM);
        assert_true(code == FH_OK || code == FH_NOMEM);
        if (!delivered) {
            assert_true(after > 3);
            return;
        }
    }
}

/* A mover that ended without opening: the router closes all the same. */
static void closes_with_a_gate_closed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_ALL), FH_OK);
    assert_int_equal(fh_router_gate_close(f->router, &tenant_b, FH_GATE_WRITES), FH_OK);
    assert_int_equal(submit_until(f, 0, &tenant_a, f->clock.monotonic_us + 1000), FH_OK);
    pass_until_done(f, 0, 2000);
    remake_router(f, 10, 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_gating, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keeps_the_order_over_a_closed_gate),
        TEST(lets_reads_on_when_the_gate_is_narrowed),
        TEST(takes_back_what_a_store_turned_away),
        TEST(ends_what_waits_at_its_deadline),
        TEST(bounds_what_waits),
        TEST(waits_for_room_in_the_store),
        TEST(waits_for_a_store_that_is_not_known_yet),
        TEST(looks_up_who_is_not_known),
        TEST(looks_up_who_is_invalidated_on_the_way),
        TEST(does_not_go_back_behind_the_switch),
        TEST(releases_in_batches),
        TEST(survives_every_failed_allocation),
        TEST(closes_with_a_gate_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
