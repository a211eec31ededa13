/* Slab: a bounded pool of equal objects. One thread.
 *
 * Objects are allocated on first use up to `count_max` and kept for reuse until close. Memory of a
 * fresh object is zero; a reused one is as its last user left it behind its first pointer.
 */
#ifndef FH_BASE_SLAB_H
#define FH_BASE_SLAB_H

#include <stddef.h>

#include "base/code.h"

struct fh_slab {
    void *free_list;
    void **objects; /* every object ever made, for close */
    size_t object_size;
    size_t count;     /* made */
    size_t count_max; /* never more than this */
    size_t in_use;
};

FH_MUST_CHECK enum fh_code fh_slab_init(struct fh_slab *slab, size_t object_size, size_t count_max);
/* Asserts that nothing is in use. */
void fh_slab_close(struct fh_slab *slab);
FH_MUST_CHECK void *fh_slab_get(struct fh_slab *slab); /* NULL: full or out of memory */
void fh_slab_put(struct fh_slab *slab, void *object);

#endif
