/* A router between a catalog and two stores that answer when the test says, under a clock that
 * moves when the test says. One translation unit includes it. */
#ifndef FH_TESTS_UNIT_ROUTER_ROUTING_H
#define FH_TESTS_UNIT_ROUTER_ROUTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "router/router.h"
#include "tests/unit/router/fakes.h"

#define CALLS 64

struct call {
    struct fh_routed routed;
    bool submitted;
    int done;
};

struct fixture {
    uv_loop_t loop;
    struct fh_clock_virtual clock;
    struct fh_env env;
    struct fake_catalog catalog;
    struct fake_store one;
    struct fake_store two;
    struct fh_router *router;
    struct fh_arena arena;
    struct call calls[CALLS];
    bool closed;
};

static const struct fh_schema schema = {0};
static const struct fh_uuid tenant_a = {{0xa}};
static const struct fh_uuid tenant_b = {{0xb}};
static const struct fh_uuid tenant_c = {{0xc}};

static inline void make_router(struct fixture *f, size_t placements_max, uint32_t in_flight_max)
{
    struct fh_router_options options;
    fh_router_options_init(&options);
    options.placements_max = placements_max;
    options.tenant_in_flight_max = in_flight_max;
    assert_int_equal(fh_router_create(&f->env, &f->catalog.catalog, &options, &f->router), FH_OK);
    assert_int_equal(fh_router_add_store(f->router, &f->one.store), FH_OK);
    assert_int_equal(fh_router_add_store(f->router, &f->two.store), FH_OK);
    fh_router_set_schema(f->router, &schema);
}

static inline void closed_cb(void *arg)
{
    ((struct fixture *)arg)->closed = true;
}

static inline void close_router(struct fixture *f)
{
    f->closed = false;
    fh_router_close(f->router, closed_cb, f);
    while (!f->closed) {
        (void)fake_catalog_flush(&f->catalog);
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
}

static inline int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f)); /* NOLINT(fh-alloc): the test's own */
    assert_non_null(f);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    fh_clock_virtual_init(&f->clock, 1000000);
    fh_clock_virtual_advance(&f->clock, 1000000);
    f->env = (struct fh_env){.loop = &f->loop, .clock = &f->clock.clock};
    fake_catalog_init(&f->catalog, "one");
    fake_store_init(&f->one, &f->env, "one");
    fake_store_init(&f->two, &f->env, "two");
    fh_arena_init(&f->arena, (size_t)1024 * 1024);
    make_router(f, 1000, 512);
    *state = f;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    close_router(f);
    fh_arena_close(&f->arena);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f); /* NOLINT(fh-alloc): the test's own */
    assert_int_equal(fh_alloc_live(), 0);
    return 0;
}

static inline void done_cb(struct fh_routed *routed)
{
    struct call *call = routed->arg;
    assert_true(call->submitted); /* never inside submit */
    call->done++;
    assert_int_not_equal(routed->code, FH_MOVED);
    assert_int_not_equal(routed->code, FH_HELD);
    assert_int_equal(routed->code, routed->request.code);
}

static inline enum fh_code submit_until(struct fixture *f, size_t which,
                                        const struct fh_uuid *tenant, int64_t deadline_us)
{
    struct call *call = &f->calls[which];
    memset(call, 0, sizeof(*call));
    call->routed.request.op = FH_OP_EVENTS;
    call->routed.request.scope.tenant = *tenant;
    call->routed.request.deadline_us = deadline_us;
    call->routed.request.arena = &f->arena;
    call->routed.request.as.events.limit = 1;
    call->routed.done_cb = done_cb;
    call->routed.arg = call;
    enum fh_code code = fh_router_submit(f->router, &call->routed);
    call->submitted = true;
    if (code != FH_OK) {
        assert_int_equal(call->routed.request.error.code, code);
    }
    return code;
}

static inline enum fh_code submit(struct fixture *f, size_t which, const struct fh_uuid *tenant)
{
    return submit_until(f, which, tenant, f->clock.monotonic_us + 10000000);
}

/* What was released goes on, as far as it may. */
static inline void turn(struct fixture *f)
{
    for (int i = 0; i < 4; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
}

/* Moves the clock and turns the loop until the request has ended. */
static inline void pass_until_done(struct fixture *f, size_t which, int64_t by_us)
{
    fh_clock_virtual_advance(&f->clock, by_us);
    while (f->calls[which].done == 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_int_equal(f->calls[which].done, 1);
}

/* Until the timer has brought something to the store. */
static inline void pass_until_submitted(struct fixture *f, struct fake_store *store)
{
    size_t before = store->submitted;
    while (store->submitted == before) {
        fh_clock_virtual_advance(&f->clock, 1000);
        uv_run(&f->loop, UV_RUN_ONCE);
    }
}

#endif
