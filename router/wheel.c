/* Happy path: add puts the node into the slot of its millisecond; the timer takes the slots up to
 * now, calls back for what is due and puts the rest back.
 *
 * Failures: none; nothing is allocated. A clock that stands still (a virtual one) makes the timer
 * look once a millisecond.
 */
#include "router/wheel.h"

#include "base/assert.h"

#define US_PER_TICK 1000

static int64_t now_tick(const struct fh_wheel *wheel)
{
    return fh_clock_monotonic_us(wheel->clock) / US_PER_TICK;
}

/* Rounded up: never early. */
static int64_t tick_of(int64_t due_us)
{
    return due_us / US_PER_TICK + (due_us % US_PER_TICK > 0 ? 1 : 0);
}

static struct fh_list *slot_of(struct fh_wheel *wheel, int64_t tick)
{
    return &wheel->slots[(uint64_t)tick & (FH_WHEEL_SLOTS - 1)];
}

static void timer_cb(uv_timer_t *timer);

static void arm(struct fh_wheel *wheel, int64_t tick)
{
    int64_t delay = tick - now_tick(wheel);
    wheel->armed_tick = tick;
    int failed = uv_timer_start(&wheel->timer, timer_cb, delay > 1 ? (uint64_t)delay : 1, 0);
    FH_ASSERT(failed == 0);
}

static int64_t put(struct fh_wheel *wheel, struct fh_wheel_node *node)
{
    int64_t tick = tick_of(node->due_us);
    if (tick <= wheel->tick) {
        tick = wheel->tick + 1;
    } else if (tick > wheel->tick + FH_WHEEL_SLOTS - 1) {
        tick = wheel->tick + FH_WHEEL_SLOTS - 1;
    }
    fh_list_push_back(slot_of(wheel, tick), &node->node);
    wheel->count++;
    return tick;
}

static void arm_next(struct fh_wheel *wheel)
{
    for (int64_t i = 1; wheel->count > 0 && i < FH_WHEEL_SLOTS; i++) {
        if (!fh_list_empty(slot_of(wheel, wheel->tick + i))) {
            arm(wheel, wheel->tick + i);
            return;
        }
    }
    FH_ASSERT(wheel->count == 0);
}

static void timer_cb(uv_timer_t *timer)
{
    struct fh_wheel *wheel = timer->data;
    int64_t now = now_tick(wheel);
    struct fh_list taken;
    fh_list_init(&taken);
    wheel->armed_tick = 0;
    for (int64_t i = 1; i <= FH_WHEEL_SLOTS && wheel->tick + i <= now; i++) {
        struct fh_list *node;
        while ((node = fh_list_pop_front(slot_of(wheel, wheel->tick + i))) != NULL) {
            fh_list_push_back(&taken, node);
        }
    }
    if (now > wheel->tick) {
        wheel->tick = now;
    }
    /* Callbacks may remove any node, also one that is still in `taken`. */
    int64_t now_us = fh_clock_monotonic_us(wheel->clock);
    struct fh_list *next;
    while ((next = fh_list_pop_front(&taken)) != NULL) {
        struct fh_wheel_node *node = FH_CONTAINER_OF(next, struct fh_wheel_node, node);
        FH_ASSERT(wheel->count > 0);
        wheel->count--;
        if (node->due_us <= now_us) {
            wheel->due_cb(node, wheel->arg);
        } else {
            (void)put(wheel, node);
        }
    }
    if (wheel->count > 0) {
        arm_next(wheel);
    }
}

void fh_wheel_init(struct fh_wheel *wheel, const struct fh_env *env, fh_wheel_due_cb *due_cb,
                   void *arg)
{
    *wheel = (struct fh_wheel){.clock = env->clock, .due_cb = due_cb, .arg = arg};
    int failed = uv_timer_init(env->loop, &wheel->timer);
    FH_ASSERT(failed == 0); /* it cannot fail */
    wheel->timer.data = wheel;
    for (size_t i = 0; i < FH_WHEEL_SLOTS; i++) {
        fh_list_init(&wheel->slots[i]);
    }
}

static bool is_on(const struct fh_wheel_node *node)
{
    return node->node.next != NULL && !fh_list_empty(&node->node);
}

void fh_wheel_add(struct fh_wheel *wheel, struct fh_wheel_node *node, int64_t due_us)
{
    FH_ASSERT(!is_on(node));
    if (wheel->count == 0) {
        wheel->tick = now_tick(wheel);
    }
    node->due_us = due_us;
    int64_t tick = put(wheel, node);
    if (wheel->armed_tick == 0 || tick < wheel->armed_tick) {
        arm(wheel, tick);
    }
}

void fh_wheel_remove(struct fh_wheel *wheel, struct fh_wheel_node *node)
{
    if (!is_on(node)) {
        return;
    }
    fh_list_remove(&node->node);
    FH_ASSERT(wheel->count > 0);
    wheel->count--;
    if (wheel->count == 0) {
        wheel->armed_tick = 0;
        uv_timer_stop(&wheel->timer);
    }
}

static void closed_cb(uv_handle_t *handle)
{
    struct fh_wheel *wheel = handle->data;
    wheel->closed_cb(wheel->closed_arg);
}

void fh_wheel_close(struct fh_wheel *wheel, fh_wheel_closed_cb *done_cb, void *arg)
{
    FH_ASSERT(wheel->count == 0);
    wheel->closed_cb = done_cb;
    wheel->closed_arg = arg;
    uv_close((uv_handle_t *)&wheel->timer, closed_cb);
}
