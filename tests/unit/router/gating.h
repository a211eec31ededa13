/* routing.h for the tests of gates and hints: commits too, and what is at a store by number. */
#ifndef FH_TESTS_UNIT_ROUTER_GATING_H
#define FH_TESTS_UNIT_ROUTER_GATING_H

#include "tests/unit/router/routing.h"

static const struct fh_table table = {.name = {.data = "t", .len = 1}};
static const struct fh_table *const tables[] = {&table};
static const struct fh_schema schema_one = {.version = 1, .table_count = 1, .tables = tables};
static const struct fh_write one_write = {.op = FH_WRITE_DELETE, .key.table = &table};

static inline enum fh_code write_until(struct fixture *f, size_t which,
                                       const struct fh_uuid *tenant, int64_t deadline_us)
{
    struct call *call = &f->calls[which];
    memset(call, 0, sizeof(*call));
    call->routed.request.op = FH_OP_COMMIT;
    call->routed.request.scope.tenant = *tenant;
    call->routed.request.deadline_us = deadline_us;
    call->routed.request.arena = &f->arena;
    call->routed.request.as.commit.writes = &one_write;
    call->routed.request.as.commit.count = 1;
    call->routed.done_cb = done_cb;
    call->routed.arg = call;
    enum fh_code code = fh_router_submit(f->router, &call->routed);
    call->submitted = true;
    return code;
}

static inline void reads(struct fixture *f, size_t which)
{
    assert_int_equal(submit(f, which, &tenant_a), FH_OK);
}

static inline void writes(struct fixture *f, size_t which)
{
    assert_int_equal(write_until(f, which, &tenant_a, f->clock.monotonic_us + 10000000), FH_OK);
}

/* The tenant's placement is known, and nothing is in flight. */
static inline void place(struct fixture *f, const struct fh_uuid *tenant)
{
    assert_int_equal(submit(f, CALLS - 1, tenant), FH_OK);
    (void)fake_catalog_flush(&f->catalog);
    assert_int_equal(fake_store_flush(&f->one, FH_OK), 1);
    assert_int_equal(f->calls[CALLS - 1].routed.code, FH_OK);
}

/* What is at the store, in order: calls by number. */
static inline void assert_at(struct fixture *f, const struct fake_store *store,
                             const size_t *expected, size_t count)
{
    assert_int_equal(store->pending_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(store->pending[i], &f->calls[expected[i]].routed.request);
    }
}
#define ASSERT_AT(f, store, ...)                           \
    assert_at((f), (store), (const size_t[]){__VA_ARGS__}, \
              sizeof((const size_t[]){__VA_ARGS__}) / sizeof(size_t))

static inline void assert_all_ok(struct fixture *f, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(f->calls[i].done, 1);
        assert_int_equal(f->calls[i].routed.code, FH_OK);
    }
}

static inline struct fh_gate_stats gate_of(const struct fixture *f)
{
    struct fh_gate_stats stats;
    fh_router_gate_stats(f->router, &tenant_a, &stats);
    return stats;
}

/* What the catalog says from now on. */
static inline void moved_to(struct fixture *f, const char *store, uint64_t epoch)
{
    struct fh_placement *placement = &f->catalog.tenant.placement;
    assert_true(strlen(store) < sizeof(placement->store));
    memcpy(placement->store, store, strlen(store) + 1);
    placement->epoch = epoch;
}

static inline void pass_until_asked(struct fixture *f)
{
    while (f->catalog.pending_count == 0) {
        fh_clock_virtual_advance(&f->clock, 1000);
        uv_run(&f->loop, UV_RUN_ONCE);
    }
}

static inline void turn_handle_cb(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_active(handle)) {
        return;
    }
    if (handle->type == UV_TIMER) {
        uv_timer_t *timer = (uv_timer_t *)handle;
        uv_timer_stop(timer);
        timer->timer_cb(timer);
    } else if (handle->type == UV_IDLE) {
        uv_idle_t *idle = (uv_idle_t *)handle;
        idle->idle_cb(idle);
    }
}

/* A turn of the loop that does not look at the real clock: the router's timers only say when to
 * look at the virtual one, and so all of them look now. What happens hangs on the test alone. */
static inline void turn_by_hand(struct fixture *f)
{
    uv_walk(&f->loop, turn_handle_cb, NULL);
}

static inline int set_up_gating(void **state)
{
    int failed = set_up(state);
    fh_router_set_schema(((struct fixture *)*state)->router, &schema_one);
    return failed;
}

/* The fixture's router again, with other bounds. */
static inline void remake_router(struct fixture *f, uint32_t in_flight_max, uint32_t held_max)
{
    struct fh_router_options options;
    close_router(f);
    fh_router_options_init(&options);
    options.tenant_in_flight_max = in_flight_max;
    options.held_max = held_max;
    assert_int_equal(fh_router_create(&f->env, &f->catalog.catalog, &options, &f->router), FH_OK);
    assert_int_equal(fh_router_add_store(f->router, &f->one.store), FH_OK);
    assert_int_equal(fh_router_add_store(f->router, &f->two.store), FH_OK);
    fh_router_set_schema(f->router, &schema_one);
}

#endif
