/* The wheel under a clock that the test moves: nothing early, nothing lost, in the order of delays
 * to the millisecond. */
#include "router/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define NODES 500

struct node {
    struct fh_wheel_node wheel;
    int64_t due_at_us; /* when it was called; 0: not yet */
};

struct fixture {
    uv_loop_t loop;
    struct fh_clock_virtual clock;
    struct fh_env env;
    struct fh_wheel wheel;
    struct node nodes[NODES];
    size_t due;
    struct node *also_remove;
    int again; /* how many more times a node goes in again */
    bool closed;
};

static void due_cb(struct fh_wheel_node *wheel_node, void *arg)
{
    struct fixture *f = arg;
    struct node *node = FH_CONTAINER_OF(wheel_node, struct node, wheel);
    assert_true(wheel_node->due_us <= f->clock.monotonic_us);
    node->due_at_us = f->clock.monotonic_us;
    f->due++;
    if (f->also_remove != NULL) {
        fh_wheel_remove(&f->wheel, &f->also_remove->wheel);
    }
    if (f->again > 0) {
        f->again--;
        fh_wheel_add(&f->wheel, wheel_node, f->clock.monotonic_us + 1000);
    }
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f)); /* NOLINT(fh-alloc): the test's own */
    assert_non_null(f);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    fh_clock_virtual_init(&f->clock, 1);
    fh_clock_virtual_advance(&f->clock, 123456789);
    f->env = (struct fh_env){.loop = &f->loop, .clock = &f->clock.clock};
    fh_wheel_init(&f->wheel, &f->env, due_cb, f);
    *state = f;
    return 0;
}

static void closed_cb(void *arg)
{
    ((struct fixture *)arg)->closed = true;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    fh_wheel_close(&f->wheel, closed_cb, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_true(f->closed);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f); /* NOLINT(fh-alloc): the test's own */
    return 0;
}

static void calls_in_time(void **state)
{
    struct fixture *f = *state;
    uint32_t random = 7;
    for (size_t i = 0; i < NODES; i++) {
        random = random * 1664525u + 1013904223u;
        int64_t delay_us = random >> 8 & 0x3ffff; /* up to 262 ms, four times round */
        fh_wheel_add(&f->wheel, &f->nodes[i].wheel, f->clock.monotonic_us + delay_us);
    }
    int64_t last_us = 0;
    while (f->due < NODES) {
        fh_clock_virtual_advance(&f->clock, 1000);
        last_us = f->clock.monotonic_us;
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    /* The timer may sleep up to a round of real time while the clock runs on. */
    assert_true(last_us > 0);
    for (size_t i = 0; i < NODES; i++) {
        assert_true(f->nodes[i].due_at_us >= f->nodes[i].wheel.due_us);
    }
    assert_false(uv_is_active((uv_handle_t *)&f->wheel.timer));
}

static void survives_changes_from_within(void **state)
{
    struct fixture *f = *state;
    int64_t due_us = f->clock.monotonic_us + 2000;
    for (size_t i = 0; i < 3; i++) {
        fh_wheel_add(&f->wheel, &f->nodes[i].wheel, due_us);
    }
    f->also_remove = &f->nodes[2];
    fh_clock_virtual_advance(&f->clock, 5000);
    while (f->due < 2) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    f->also_remove = NULL;
    assert_int_equal(f->nodes[2].due_at_us, 0);
    assert_int_equal(f->wheel.count, 0);

    f->again = 3;
    fh_wheel_add(&f->wheel, &f->nodes[0].wheel, 0); /* long past: at the next turn, not now */
    assert_int_equal(f->due, 2);
    while (f->due < 6) {
        fh_clock_virtual_advance(&f->clock, 1000);
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    fh_wheel_remove(&f->wheel, &f->nodes[0].wheel); /* not on it: nothing */
    struct fh_wheel_node fresh = {0};
    fh_wheel_remove(&f->wheel, &fresh);
    assert_int_equal(f->wheel.count, 0);
}

static void wakes_sooner_for_a_shorter_delay(void **state)
{
    struct fixture *f = *state;
    fh_wheel_add(&f->wheel, &f->nodes[0].wheel, f->clock.monotonic_us + 3600000000LL);
    fh_wheel_add(&f->wheel, &f->nodes[1].wheel, f->clock.monotonic_us + 1000);
    fh_clock_virtual_advance(&f->clock, 2000);
    uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(f->due, 1);
    assert_int_equal(f->nodes[0].due_at_us, 0);
    fh_clock_virtual_advance(&f->clock, 3600000000LL); /* a whole hour at once */
    while (f->due < 2) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(calls_in_time),
        TEST(survives_changes_from_within),
        TEST(wakes_sooner_for_a_shorter_delay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
