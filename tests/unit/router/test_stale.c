/* The router and homes of another schema version. The fixture is routing.h. */
#include "router/router.h"

#include "tests/unit/router/routing.h"

static const struct fh_schema one = {.version = 1};
static const struct fh_schema two = {.version = 2, .previous = &one};
static const struct fh_schema three = {.version = 3, .previous = &two};

static void answer_stale(struct fixture *f, uint32_t version_seen)
{
    f->one.pending[0]->version_seen = version_seen;
    fake_store_answer(&f->one, FH_STALE_SCHEMA);
}

static void wanted_cb(void *arg, uint32_t version)
{
    *(uint32_t *)arg = version;
}

static void begin(struct fixture *f)
{
    fh_router_set_schema(f->router, &two);
    assert_ptr_equal(fh_router_schema_of(f->router, &tenant_a), &two); /* a guess */
    assert_int_equal(submit(f, 0, &tenant_a), FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    assert_int_equal(f->one.pending_count, 1);
    assert_ptr_equal(f->one.pending[0]->scope.schema, &two);
}

static void ends_with_the_version_of_the_home(void **state)
{
    struct fixture *f = *state;
    struct fh_router_stats stats;
    begin(f);
    answer_stale(f, 1);
    assert_int_equal(f->calls[0].done, 1);
    assert_int_equal(f->calls[0].routed.code, FH_STALE_SCHEMA);
    assert_int_equal(f->calls[0].routed.request.version_seen, 1);
    assert_ptr_equal(fh_router_schema_of(f->router, &tenant_a), &one);
    assert_ptr_equal(fh_router_schema_of(f->router, &tenant_b), &two);
    fh_router_stats(f->router, &stats);
    assert_int_equal(stats.stale_schema, 1);
    assert_int_equal(stats.in_flight, 0);

    assert_int_equal(submit(f, 1, &tenant_a), FH_OK); /* the next is made for it */
    assert_ptr_equal(f->one.pending[0]->scope.schema, &one);
    answer_stale(f, 2); /* and it was upgraded meanwhile */
    assert_ptr_equal(fh_router_schema_of(f->router, &tenant_a), &two);
}

static void is_not_misled_by_a_late_answer(void **state)
{
    struct fixture *f = *state;
    begin(f);
    answer_stale(f, 1);
    assert_int_equal(submit(f, 1, &tenant_a), FH_OK);
    assert_int_equal(submit(f, 2, &tenant_a), FH_OK);
    struct fh_request *late = f->one.pending[0];
    f->one.pending[0] = f->one.pending[1];
    f->one.pending[1] = late;
    answer_stale(f, 2);
    fake_store_answer(&f->one, FH_OK); /* served at version 1, before the upgrade */
    assert_ptr_equal(fh_router_schema_of(f->router, &tenant_a), &two);
}

static void waits_for_a_version_that_is_not_known_here(void **state)
{
    struct fixture *f = *state;
    uint32_t wanted = 0;
    fh_router_on_newer_schema(f->router, wanted_cb, &wanted);
    begin(f);
    answer_stale(f, 3);
    assert_int_equal(wanted, 3);
    turn(f);
    assert_int_equal(f->calls[0].done, 0);
    assert_ptr_equal(fh_router_schema_of(f->router, &tenant_a), &two); /* the best there is */
    fh_router_set_schema(f->router, &three);
    assert_int_equal(f->calls[0].done, 0); /* not inside */
    pass_until_done(f, 0, 1000);
    assert_int_equal(f->calls[0].routed.code, FH_STALE_SCHEMA);
    assert_ptr_equal(fh_router_schema_of(f->router, &tenant_a), &three);
}

static void waits_until_the_deadline(void **state)
{
    struct fixture *f = *state;
    begin(f);
    answer_stale(f, 3);
    pass_until_done(f, 0, 11000000);
    assert_int_equal(f->calls[0].routed.code, FH_DEADLINE);
    assert_non_null(strstr(f->calls[0].routed.request.error.message, "schema"));
}

static void waits_until_it_is_cancelled(void **state)
{
    struct fixture *f = *state;
    begin(f);
    answer_stale(f, 3);
    fh_router_cancel(f->router, &f->calls[0].routed);
    assert_int_equal(f->calls[0].done, 0);
    pass_until_done(f, 0, 1000);
    assert_int_equal(f->calls[0].routed.code, FH_CANCELLED);
}

/* The engine could not say: the home is asked. */
static void asks_the_home(void **state)
{
    struct fixture *f = *state;
    begin(f);
    answer_stale(f, 0);
    assert_int_equal(f->calls[0].done, 0);
    assert_int_equal(f->one.pending_count, 1);
    assert_int_equal(f->one.pending[0]->op, FH_OP_FENCE_READ);
    f->one.pending[0]->as.fence.schema_version = 1;
    f->one.pending[0]->as.fence.seen.epoch = 1;
    fake_store_answer(&f->one, FH_OK);
    assert_int_equal(f->calls[0].done, 1);
    assert_int_equal(f->calls[0].routed.code, FH_STALE_SCHEMA);
    assert_int_equal(f->calls[0].routed.request.version_seen, 1);
}

static void asks_no_more_than_it_must(void **state)
{
    struct fixture *f = *state;
    begin(f);
    assert_int_equal(submit(f, 1, &tenant_a), FH_OK);
    answer_stale(f, 0);
    assert_int_equal(f->one.pending[1]->op, FH_OP_FENCE_READ);
    struct fh_request *question = f->one.pending[1];
    question->as.fence.schema_version = 1;
    question->as.fence.seen.epoch = 1;
    f->one.pending[1] = f->one.pending[0];
    f->one.pending[0] = question;
    fake_store_answer(&f->one, FH_OK);
    answer_stale(f, 0);
    assert_int_equal(f->one.pending_count, 0);
    assert_int_equal(f->calls[1].routed.code, FH_STALE_SCHEMA);
    assert_int_equal(f->calls[1].routed.request.version_seen, 1);
}

static void tells_what_the_home_could_not(void **state)
{
    struct fixture *f = *state;
    begin(f);
    answer_stale(f, 0);
    (void)fh_error_set(&f->one.pending[0]->error, FH_UNAVAILABLE, "10.0.0.5 is away");
    fake_store_answer(&f->one, FH_UNAVAILABLE);
    assert_int_equal(f->calls[0].routed.code, FH_UNAVAILABLE);
    assert_null(strstr(f->calls[0].routed.request.error.message, "10.0.0.5"));
}

/* Between the two questions the tenant was moved. */
static void follows_a_tenant_that_moved_meanwhile(void **state)
{
    struct fixture *f = *state;
    begin(f);
    answer_stale(f, 0);
    f->one.pending[0]->as.fence.seen.epoch = 2;
    fake_store_answer(&f->one, FH_OK);
    assert_int_equal(f->calls[0].done, 0);
    f->catalog.tenant.placement.epoch = 2;
    (void)snprintf(f->catalog.tenant.placement.store, sizeof(f->catalog.tenant.placement.store),
                   "two");
    (void)fake_catalog_flush(&f->catalog);
    turn(f);
    assert_int_equal(f->two.pending_count, 1);
    fake_store_answer(&f->two, FH_OK);
    assert_int_equal(f->calls[0].routed.code, FH_OK);
    assert_ptr_equal(fh_router_schema_of(f->router, &tenant_a), &two);
}

static void finds_no_home_when_it_asks(void **state)
{
    struct fixture *f = *state;
    begin(f);
    answer_stale(f, 0);
    fake_store_answer(&f->one, FH_NO_TENANT);
    (void)fake_catalog_flush(&f->catalog);
    assert_int_equal(f->calls[0].done, 1);
    assert_int_equal(f->calls[0].routed.code, FH_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(ends_with_the_version_of_the_home),
        T(is_not_misled_by_a_late_answer),
        T(waits_for_a_version_that_is_not_known_here),
        T(waits_until_the_deadline),
        T(waits_until_it_is_cancelled),
        T(asks_the_home),
        T(asks_no_more_than_it_must),
        T(tells_what_the_home_could_not),
        T(follows_a_tenant_that_moved_meanwhile),
        T(finds_no_home_when_it_asks),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
