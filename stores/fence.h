/* The fence: a row in each home that says who may use the home, and under which epoch.
 *
 * The catalog's placement is the single truth of where a tenant lives; the fence is what makes
 * that truth hold in the store's own transactions, however stale a router or a mover is. A read
 * joins it, a write reads it behind the tenant's gate, a mover's transaction locks it.
 */
#ifndef FH_STORES_FENCE_H
#define FH_STORES_FENCE_H

#include <stdbool.h>
#include <stdint.h>

enum fh_fence_mode {
    FH_FENCE_OPEN = 1, /* read and write */
    FH_FENCE_FROZEN,   /* read */
    FH_FENCE_CLOSED,   /* neither */
    FH_FENCE_INCOMING, /* the mover only */
};

struct fh_fence {
    uint64_t epoch;
    uint64_t generation;
    enum fh_fence_mode mode;
};

static inline bool fh_fence_equal(const struct fh_fence *a, const struct fh_fence *b)
{
    return a->epoch == b->epoch && a->generation == b->generation && a->mode == b->mode;
}

/* What a mover's operation requires of the fence besides the scope's epoch. */
struct fh_fence_guard {
    uint64_t generation;
    uint32_t modes; /* bits, FH_FENCE_BIT(mode) */
};

#define FH_FENCE_BIT(mode) (1u << (unsigned)(mode))

#endif
