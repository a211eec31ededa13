/* Many short delays on one uv_timer, without allocating: a wheel of 64 slots of a millisecond.
 *
 * A delay longer than the wheel is looked at again each time round. Delays are by the env's clock,
 * which may be a virtual one; the uv_timer only says when to look. Loop thread only. Nodes are
 * embedded by the caller and zeroed before their first use.
 */
#ifndef FH_ROUTER_WHEEL_H
#define FH_ROUTER_WHEEL_H

#include <stdint.h>
#include <uv.h>

#include "base/env.h"
#include "base/list.h"

#define FH_WHEEL_SLOTS 64 /* a power of two */

struct fh_wheel_node {
    struct fh_list node;
    int64_t due_us;
};

typedef void fh_wheel_due_cb(struct fh_wheel_node *node, void *arg);
typedef void fh_wheel_closed_cb(void *arg);

struct fh_wheel {
    uv_timer_t timer;
    const struct fh_clock *clock;
    fh_wheel_due_cb *due_cb; /* never inside add or remove; may add and remove nodes */
    void *arg;
    fh_wheel_closed_cb *closed_cb;
    void *closed_arg;
    int64_t tick;       /* milliseconds; everything up to here was looked at */
    int64_t armed_tick; /* the timer fires about then; 0: it is stopped */
    size_t count;
    struct fh_list slots[FH_WHEEL_SLOTS];
};

void fh_wheel_init(struct fh_wheel *wheel, const struct fh_env *env, fh_wheel_due_cb *due_cb,
                   void *arg);
void fh_wheel_add(struct fh_wheel *wheel, struct fh_wheel_node *node, int64_t due_us);
/* A node that is not on the wheel is left alone. */
void fh_wheel_remove(struct fh_wheel *wheel, struct fh_wheel_node *node);
/* Nothing may be on it. */
void fh_wheel_close(struct fh_wheel *wheel, fh_wheel_closed_cb *closed_cb, void *arg);

#endif
