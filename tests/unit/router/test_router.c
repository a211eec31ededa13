/* The router: placements, refusals, retries, deadlines, eviction. The fixture is routing.h. */
#include "router/router.h"

#include "tests/unit/router/routing.h"

/* A store tells where it is and whom it failed to be; the tenant is told that it failed. */
static void keeps_the_stores_own_affairs_from_tenants(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum fh_code code;
        bool told;
    } cases[] = {{FH_UNAVAILABLE, false}, {FH_INTERNAL, false},        {FH_CORRUPT, false},
                 {FH_DISK_FULL, false},   {FH_UNIQUE_VIOLATION, true}, {FH_FULL, true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct fh_error *error = &f->calls[0].routed.request.error;
        assert_int_equal(submit(f, 0, &tenant_a), FH_OK);
        (void)fake_catalog_flush(&f->catalog);
        (void)fh_error_set(&f->one.pending[0]->error, cases[i].code,
                           "connection to server at \"10.0.0.5\" failed");
        fake_store_answer(&f->one, cases[i].code);
        assert_int_equal(f->calls[0].done, 1);
        assert_int_equal(error->code, cases[i].code);
        assert_int_equal(strstr(error->message, "10.0.0.5") != NULL, cases[i].told);
        assert_true(error->message[0] != '\0');
    }
}

static void asks_once_for_all_who_wait(void **state)
{
    struct fixture *f = *state;
    struct fh_router_stats stats;
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(submit(f, i, &tenant_a), FH_OK);
    }
    assert_int_equal(f->catalog.asked, 1);
    assert_int_equal(fake_catalog_flush(&f->catalog), 1);
    assert_int_equal(f->one.pending_count, 10);
    assert_int_equal(submit(f, 10, &tenant_a), FH_OK); /* now it is known */
    assert_int_equal(f->catalog.asked, 1);
    fh_router_stats(f->router, &stats);
    assert_int_equal(stats.hits, 1);
    assert_int_equal(stats.misses, 10);
    assert_int_equal(stats.in_flight, 11);
    assert_int_equal(fake_store_flush(&f->one, FH_OK), 11);
    for (size_t i = 0; i < 11; i++) {
        assert_int_equal(f->calls[i].done, 1);
        assert_int_equal(f->calls[i].routed.code, FH_OK);
        assert_ptr_equal(f->calls[i].routed.request.scope.schema, &schema);
        assert_int_equal(f->calls[i].routed.request.scope.epoch, 1);
    }
    fh_router_stats(f->router, &stats);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(stats.placements, 1);
}

static void keeps_the_schema_it_is_given(void **state)
{
    struct fixture *f = *state;
    static const struct fh_schema older = {0};
    assert_int_equal(submit(f, 0, &tenant_a), FH_OK);
    f->calls[0].routed.request.scope.schema = &older; /* as the handler had set it */
    (void)fake_catalog_flush(&f->catalog);
    assert_ptr_equal(f->calls[0].routed.request.scope.schema, &older);
    (void)fake_store_flush(&f->one, FH_OK);
    fh_router_set_schema(f->router, NULL);
    assert_int_equal(submit(f, 1, &tenant_a), FH_PRECONDITION);
}

static void bounds_a_tenants_requests(void **state)
{
    struct fixture *f = *state;
    struct fh_router_stats stats;
    close_router(f);
    make_router(f, 1000, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(submit(f, i, &tenant_a), FH_OK);
    }
    assert_int_equal(submit(f, 4, &tenant_a), FH_FULL);
    assert_int_equal(submit(f, 5, &tenant_b), FH_OK); /* its neighbour is not concerned */
    (void)fake_catalog_flush(&f->catalog);
    assert_int_equal(submit(f, 6, &tenant_a), FH_FULL);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_int_equal(submit(f, 7, &tenant_a), FH_OK);
    (void)fake_store_flush(&f->one, FH_OK);
    fh_router_stats(f->router, &stats);
    assert_int_equal(stats.refused_full, 2);
}

static void follows_a_tenant_that_moved(void **state)
{
    struct fixture *f = *state;
    struct fh_router_stats stats;
    assert_int_equal(submit(f, 0, &tenant_a), FH_OK);
    assert_int_equal(submit(f, 1, &tenant_a), FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    f->catalog.tenant.placement.epoch = 2;
    memcpy(f->catalog.tenant.placement.store, "two", 4);
    (void)fake_store_flush(&f->one, FH_MOVED);
    assert_int_equal(f->catalog.asked, 2); /* one for both */
    (void)fake_catalog_flush(&f->catalog);
    turn(f);
    assert_int_equal(f->two.pending_count, 2); /* at once: the epoch is newer */
    assert_int_equal(f->two.last_epoch, 2);
    (void)fake_store_flush(&f->two, FH_OK);
    assert_int_equal(f->calls[0].done + f->calls[1].done, 2);
    assert_int_equal(f->calls[1].routed.code, FH_OK);
    fh_router_stats(f->router, &stats);
    assert_int_equal(stats.moved_retries, 2);
}

static void backs_off_while_the_catalog_says_the_same(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(submit(f, 0, &tenant_a), FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    for (int round = 0; round < 8; round++) {
        assert_int_equal(fake_store_flush(&f->one, FH_MOVED), 1);
        if (round > 0) { /* the first time the catalog and the store are asked at once */
            turn(f);
            assert_int_equal(f->catalog.pending_count, 0);
            while (f->catalog.pending_count == 0) {
                fh_clock_virtual_advance(&f->clock, 1000);
                uv_run(&f->loop, UV_RUN_ONCE);
            }
        }
        assert_int_equal(fake_catalog_flush(&f->catalog), 1);
        assert_int_equal(f->one.pending_count, 1);
    }
    (void)fake_store_flush(&f->one, FH_OK); /* the move was given up */
    assert_int_equal(f->calls[0].routed.code, FH_OK);
}

static void tells_the_deadline_not_the_move(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(submit_until(f, 0, &tenant_a, f->clock.monotonic_us + 30000), FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    while (f->calls[0].done == 0) {
        (void)fake_store_flush(&f->one, FH_MOVED);
        (void)fake_catalog_flush(&f->catalog);
        fh_clock_virtual_advance(&f->clock, 1000);
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_int_equal(f->calls[0].routed.code, FH_DEADLINE);
    assert_non_null(strstr(f->calls[0].routed.request.error.message, "moved"));
    assert_true(f->one.submitted > 1);
}

static void waits_for_a_held_tenant(void **state)
{
    struct fixture *f = *state;
    struct fh_router_stats stats;
    assert_int_equal(submit(f, 0, &tenant_a), FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    for (int round = 0; round < 3; round++) {
        (void)fake_store_flush(&f->one, FH_HELD);
        assert_int_equal(f->one.pending_count, 0);
        pass_until_submitted(f, &f->one);
    }
    (void)fake_store_flush(&f->one, FH_OK);
    assert_int_equal(f->calls[0].routed.code, FH_OK);
    assert_int_equal(f->catalog.asked, 1);
    fh_router_stats(f->router, &stats);
    assert_int_equal(stats.held_retries, 3);

    assert_int_equal(submit_until(f, 1, &tenant_a, f->clock.monotonic_us + 5000), FH_OK);
    while (f->calls[1].done == 0) {
        (void)fake_store_flush(&f->one, FH_HELD);
        fh_clock_virtual_advance(&f->clock, 1000);
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_int_equal(f->calls[1].routed.code, FH_DEADLINE);
}

static void serves_on_with_the_catalog_away(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(submit(f, 0, &tenant_a), FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    (void)fake_store_flush(&f->one, FH_OK);

    f->catalog.code = FH_UNAVAILABLE;
    assert_int_equal(submit(f, 1, &tenant_a), FH_OK);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_int_equal(f->calls[1].routed.code, FH_OK);
    /* Who is not cached is told so, and nothing is remembered. */
    assert_int_equal(submit(f, 2, &tenant_b), FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    assert_int_equal(f->calls[2].routed.code, FH_UNAVAILABLE);
    /* A fence that was frozen for a while: the old placement is still the best there is. */
    assert_int_equal(submit(f, 3, &tenant_a), FH_OK);
    (void)fake_store_flush(&f->one, FH_MOVED);
    (void)fake_catalog_flush(&f->catalog);
    assert_int_equal(f->one.pending_count, 1);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_int_equal(f->calls[3].routed.code, FH_OK);
    /* The same with a catalog that refuses. */
    f->catalog.refusal = FH_SHUTTING_DOWN;
    assert_int_equal(submit(f, 4, &tenant_b), FH_UNAVAILABLE);
    assert_int_equal(submit(f, 5, &tenant_a), FH_OK);
    (void)fake_store_flush(&f->one, FH_MOVED);
    pass_until_submitted(f, &f->one);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_int_equal(f->calls[5].routed.code, FH_OK);
    f->catalog.refusal = FH_OK;
    f->catalog.code = FH_OK;
    assert_int_equal(submit(f, 6, &tenant_b), FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_int_equal(f->calls[6].routed.code, FH_OK);
}

static void refuses_who_is_not_active(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum fh_tenant_state state;
        enum fh_code code;
    } cases[] = {
        {FH_TENANT_PROVISIONING, FH_NO_TENANT},
        {FH_TENANT_SUSPENDED, FH_SUSPENDED},
        {FH_TENANT_DELETING, FH_NO_TENANT},
        {FH_TENANT_DELETED, FH_NO_TENANT},
    };
    for (size_t i = 0; i < 4; i++) {
        struct fh_uuid tenant = {{(uint8_t)(i + 1)}};
        f->catalog.tenant.state = cases[i].state;
        assert_int_equal(submit(f, i, &tenant), FH_OK);
        (void)fake_catalog_flush(&f->catalog);
        assert_int_equal(f->calls[i].done, 1);
        assert_int_equal(f->calls[i].routed.code, cases[i].code);
    }
    assert_int_equal(f->one.submitted, 0);
}

static void remembers_who_is_unknown_for_a_while(void **state)
{
    struct fixture *f = *state;
    f->catalog.code = FH_NO_TENANT;
    assert_int_equal(submit(f, 0, &tenant_a), FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    assert_int_equal(f->calls[0].routed.code, FH_NO_TENANT);
    assert_int_equal(submit(f, 1, &tenant_a), FH_NO_TENANT);
    assert_int_equal(f->catalog.asked, 1);
    fh_clock_virtual_advance(&f->clock, 1000000);
    f->catalog.code = FH_OK;
    assert_int_equal(submit(f, 2, &tenant_a), FH_OK);
    assert_int_equal(f->catalog.asked, 2);
    (void)fake_catalog_flush(&f->catalog);
    (void)fake_store_flush(&f->one, FH_OK);
    /* Created meanwhile, and told so. */
    f->catalog.code = FH_NO_TENANT;
    assert_int_equal(submit(f, 3, &tenant_b), FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    fh_router_invalidate(f->router, &tenant_b);
    f->catalog.code = FH_OK;
    assert_int_equal(submit(f, 4, &tenant_b), FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_int_equal(f->calls[4].routed.code, FH_OK);
}

static void asks_again_when_invalidated_in_between(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(submit(f, 0, &tenant_a), FH_OK);
    fh_router_invalidate(f->router, &tenant_a);
    (void)fake_catalog_flush(&f->catalog); /* what was asked before counts for nothing */
    assert_int_equal(f->one.submitted, 0);
    assert_int_equal(f->calls[0].done, 0);
    f->catalog.tenant.state = FH_TENANT_SUSPENDED;
    (void)fake_catalog_flush(&f->catalog);
    assert_int_equal(f->calls[0].routed.code, FH_SUSPENDED);
    assert_int_equal(f->one.submitted, 0);
}

static void evicts_the_least_recently_used(void **state)
{
    struct fixture *f = *state;
    struct fh_router_stats stats;
    close_router(f);
    make_router(f, 2, 512);
    const struct fh_uuid *order[] = {&tenant_a, &tenant_b, &tenant_a, &tenant_c};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(submit(f, i, order[i]), FH_OK);
        (void)fake_catalog_flush(&f->catalog);
        (void)fake_store_flush(&f->one, FH_OK);
    }
    assert_int_equal(f->catalog.asked, 3);
    fh_router_stats(f->router, &stats);
    assert_int_equal(stats.placements, 2);
    assert_int_equal(submit(f, 4, &tenant_a), FH_OK); /* used later than b: still there */
    assert_int_equal(f->catalog.asked, 3);
    assert_int_equal(submit(f, 5, &tenant_c), FH_OK);
    assert_int_equal(f->catalog.asked, 3);
    /* Both are in flight, also when one of two requests has ended: nobody goes, the newcomer is
     * refused. */
    assert_int_equal(submit(f, 8, &tenant_a), FH_OK);
    fake_store_answer(&f->one, FH_OK);
    assert_int_equal(submit(f, 6, &tenant_b), FH_FULL);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_int_equal(submit(f, 7, &tenant_b), FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_int_equal(f->catalog.asked, 4);
}

static void cancels_wherever_it_is(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(submit(f, 0, &tenant_a), FH_OK);
    fh_router_cancel(f->router, &f->calls[0].routed);
    assert_int_equal(f->calls[0].done, 0); /* not inside cancel */
    pass_until_done(f, 0, 2000);
    assert_int_equal(f->calls[0].routed.code, FH_CANCELLED);
    /* Cancelled, and answered before the timer looks. */
    assert_int_equal(submit(f, 1, &tenant_a), FH_OK);
    fh_router_cancel(f->router, &f->calls[1].routed);
    (void)fake_catalog_flush(&f->catalog);
    assert_int_equal(f->calls[1].done, 1);
    assert_int_equal(f->calls[1].routed.code, FH_CANCELLED);
    /* In the store: the store's to decide, but never again. */
    assert_int_equal(submit(f, 2, &tenant_a), FH_OK);
    fh_router_cancel(f->router, &f->calls[2].routed);
    assert_int_equal(f->one.cancelled, 1);
    (void)fake_store_flush(&f->one, FH_MOVED);
    assert_int_equal(f->calls[2].routed.code, FH_CANCELLED);
    /* Backing off. */
    assert_int_equal(submit(f, 3, &tenant_a), FH_OK);
    (void)fake_store_flush(&f->one, FH_HELD);
    fh_router_cancel(f->router, &f->calls[3].routed);
    pass_until_done(f, 3, 2000);
    assert_int_equal(f->calls[3].routed.code, FH_CANCELLED);
    fh_router_cancel(f->router, &f->calls[3].routed); /* too late: nothing */
    assert_int_equal(f->calls[3].done, 1);
}

static void ends_a_look_up_at_the_deadline(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(submit_until(f, 0, &tenant_a, f->clock.monotonic_us + 200000), FH_OK);
    assert_int_equal(submit_until(f, 1, &tenant_a, f->clock.monotonic_us + 900000), FH_OK);
    fh_clock_virtual_advance(&f->clock, 100000);
    uv_run(&f->loop, UV_RUN_ONCE); /* the timer looked, half-way */
    assert_int_equal(f->calls[0].done, 0);
    pass_until_done(f, 0, 100000);
    assert_int_equal(f->calls[0].routed.code, FH_DEADLINE);
    assert_int_equal(f->calls[1].done, 0);
    (void)fake_catalog_flush(&f->catalog);
    (void)fake_store_flush(&f->one, FH_OK);
    assert_int_equal(f->calls[1].routed.code, FH_OK);
}

static void tells_of_a_home_that_is_missing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(submit(f, 0, &tenant_a), FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    (void)fake_store_flush(&f->one, FH_NO_TENANT);
    assert_int_equal(f->calls[0].done, 0); /* it may have moved and been erased here */
    (void)fake_catalog_flush(&f->catalog);
    assert_int_equal(f->calls[0].routed.code, FH_UNAVAILABLE);
    /* Erased: the catalog says so. */
    assert_int_equal(submit(f, 1, &tenant_a), FH_OK);
    (void)fake_store_flush(&f->one, FH_NO_TENANT);
    f->catalog.tenant.state = FH_TENANT_DELETING;
    (void)fake_catalog_flush(&f->catalog);
    turn(f);
    assert_int_equal(f->calls[1].routed.code, FH_NO_TENANT);
}

static void refuses_what_is_not_routed(void **state)
{
    struct fixture *f = *state;
    struct fh_uuid nil = {{0}};
    assert_int_equal(submit(f, 0, &nil), FH_INVALID);
    assert_int_equal(submit_until(f, 1, &tenant_a, f->clock.monotonic_us), FH_DEADLINE);
    struct fh_routed routed = {.done_cb = done_cb};
    routed.request.op = FH_OP_HOME_ERASE;
    routed.request.scope.tenant = tenant_a;
    routed.request.arena = &f->arena;
    assert_int_equal(fh_router_submit(f->router, &routed), FH_INVALID);
    /* The store's own refusal is the submit's. */
    assert_int_equal(submit(f, 2, &tenant_a), FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    (void)fake_store_flush(&f->one, FH_OK);
    f->one.refusal = FH_FULL;
    assert_int_equal(submit(f, 3, &tenant_a), FH_FULL);
    /* After a look-up it is the answer. */
    assert_int_equal(submit(f, 4, &tenant_b), FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    assert_int_equal(f->calls[4].routed.code, FH_FULL);
    /* A store that is not open here is not remembered. */
    memcpy(f->catalog.tenant.placement.store, "six", 4);
    assert_int_equal(submit(f, 5, &tenant_c), FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    assert_int_equal(f->calls[5].routed.code, FH_UNAVAILABLE);
}

/* Every allocation on the way fails once: a refusal or an answer, never a leak, and the router
 * serves afterwards. */
static void survives_every_failed_allocation(void **state)
{
    struct fixture *f = *state;
    for (long after = 0;; after++) {
        struct fh_uuid tenant = {{0x77, (uint8_t)after}};
        fh_alloc_fault_on(after, 1);
        enum fh_code code = submit(f, 0, &tenant);
        if (code == FH_OK) {
            (void)fake_catalog_flush(&f->catalog);
            (void)fake_store_flush(&f->one, FH_OK);
            assert_int_equal(f->calls[0].done, 1);
            code = f->calls[0].routed.code;
        }
        int delivered = fh_alloc_fault_off();
        assert_true(code == FH_OK || code == FH_NOMEM);
        assert_int_equal(submit(f, 1, &tenant), FH_OK);
        (void)fake_catalog_flush(&f->catalog);
        (void)fake_store_flush(&f->one, FH_OK);
        assert_int_equal(f->calls[1].routed.code, FH_OK);
        if (!delivered) {
            assert_true(after > 1);
            return;
        }
        assert_int_equal(code, FH_NOMEM);
    }
}

/* Closing does not wait for a look-up's callers, but for the look-up. */
static void closes_behind_a_look_up(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(submit_until(f, 0, &tenant_a, f->clock.monotonic_us + 1000), FH_OK);
    pass_until_done(f, 0, 5000);
    assert_int_equal(f->catalog.pending_count, 1);
    f->closed = false;
    fh_router_close(f->router, closed_cb, f);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_false(f->closed);
    (void)fake_catalog_flush(&f->catalog);
    assert_true(f->closed);
    make_router(f, 10, 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keeps_the_stores_own_affairs_from_tenants),
        TEST(asks_once_for_all_who_wait),
        TEST(keeps_the_schema_it_is_given),
        TEST(bounds_a_tenants_requests),
        TEST(follows_a_tenant_that_moved),
        TEST(backs_off_while_the_catalog_says_the_same),
        TEST(tells_the_deadline_not_the_move),
        TEST(waits_for_a_held_tenant),
        TEST(serves_on_with_the_catalog_away),
        TEST(refuses_who_is_not_active),
        TEST(remembers_who_is_unknown_for_a_while),
        TEST(asks_again_when_invalidated_in_between),
        TEST(evicts_the_least_recently_used),
        TEST(cancels_wherever_it_is),
        TEST(ends_a_look_up_at_the_deadline),
        TEST(tells_of_a_home_that_is_missing),
        TEST(refuses_what_is_not_routed),
        TEST(survives_every_failed_allocation),
        TEST(closes_behind_a_look_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
