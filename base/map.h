/* Hash map from byte strings to items of the caller's. One thread.
 *
 * Open addressing with linear probing; the map stores pointers only, the key lives inside the item
 * and is found through `key_of`. Grows by doubling up to `count_max` items, then refuses.
 */
#ifndef FH_BASE_MAP_H
#define FH_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/code.h"
#include "base/str.h"

typedef struct fh_str fh_map_key_cb(const void *item);

struct fh_map_slot {
    uint64_t hash;
    void *item; /* NULL: empty */
};

struct fh_map {
    struct fh_map_slot *slots;
    size_t capacity; /* power of two, or 0 */
    size_t count;
    size_t count_max;
    fh_map_key_cb *key_of;
};

void fh_map_init(struct fh_map *map, size_t count_max, fh_map_key_cb *key_of);
void fh_map_close(struct fh_map *map); /* does not free items */
void *fh_map_get(const struct fh_map *map, struct fh_str key);
/* Refuses a key that is present (FH_EXISTS), a full map (FH_FULL), out of memory (FH_NOMEM). */
FH_MUST_CHECK enum fh_code fh_map_put(struct fh_map *map, void *item);
void *fh_map_remove(struct fh_map *map, struct fh_str key); /* the item, or NULL */
/* Iterate: *cursor starts at 0; NULL at the end. The map must not change meanwhile. */
void *fh_map_next(const struct fh_map *map, size_t *cursor);

#endif
