/* Happy path: pop the free list. Else make a zeroed object, unless `count_max` are made already or
 * the heap is out: both answer NULL and change nothing. The link of the free list lies in the
 * object's first pointer. */
#include "base/slab.h"

#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

enum fh_code fh_slab_init(struct fh_slab *slab, size_t object_size, size_t count_max)
{
    size_t size = object_size > sizeof(void *) ? object_size : sizeof(void *);
    *slab = (struct fh_slab){.object_size = size};
    slab->objects = fh_calloc(count_max, sizeof(*slab->objects));
    if (slab->objects == NULL) {
        return FH_NOMEM; /* still fit for fh_slab_close(); fh_slab_get() finds it full */
    }
    slab->count_max = count_max;
    return FH_OK;
}

void fh_slab_close(struct fh_slab *slab)
{
    FH_ASSERT(slab->in_use == 0);
    for (size_t i = 0; i < slab->count; i++) {
        fh_free(slab->objects[i]);
    }
    fh_free(slab->objects);
    *slab = (struct fh_slab){.object_size = slab->object_size};
}

void *fh_slab_get(struct fh_slab *slab)
{
    void *object = slab->free_list;
    if (object != NULL) {
        memcpy(&slab->free_list, object, sizeof(slab->free_list));
    } else {
        if (slab->count >= slab->count_max) {
            return NULL;
        }
        object = fh_calloc(1, slab->object_size);
        if (object == NULL) {
            return NULL;
        }
        slab->objects[slab->count] = object;
        slab->count++;
    }
    slab->in_use++;
    FH_ASSERT(slab->in_use <= slab->count);
    return object;
}

void fh_slab_put(struct fh_slab *slab, void *object)
{
    FH_ASSERT(object != NULL);
    FH_ASSERT(object != slab->free_list); /* the commonest double put */
    FH_ASSERT(slab->in_use > 0);
    memcpy(object, &slab->free_list, sizeof(slab->free_list));
    slab->free_list = object;
    slab->in_use--;
}
