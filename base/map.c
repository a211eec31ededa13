/* Happy path: hash, probe from the home slot until the key or an empty slot.
 *
 * At most three quarters of the slots are taken, so every probe ends. Removal shifts the followers
 * back instead of leaving tombstones, so probes stay short after much churn. Failures: growth that
 * finds no memory leaves the map as it was.
 */
#include "base/map.h"

#include <stdbool.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"

#define CAPACITY_FIRST ((size_t)16)

void fh_map_init(struct fh_map *map, size_t count_max, fh_map_key_cb *key_of)
{
    *map = (struct fh_map){.count_max = count_max, .key_of = key_of};
}

void fh_map_close(struct fh_map *map)
{
    fh_free(map->slots);
    *map = (struct fh_map){.count_max = map->count_max, .key_of = map->key_of};
}

/* Index of the key's slot, or of the empty slot where it would go. Needs capacity > 0. */
static size_t probe(const struct fh_map *map, uint64_t hash, struct fh_str key)
{
    size_t mask = map->capacity - 1;
    size_t at = (size_t)hash & mask;
    for (size_t steps = 0; steps < map->capacity; steps++) {
        const struct fh_map_slot *slot = &map->slots[at];
        if (slot->item == NULL || (slot->hash == hash && fh_str_eq(map->key_of(slot->item), key))) {
            return at;
        }
        at = (at + 1) & mask;
    }
    FH_UNREACHABLE(); /* a quarter of the slots is empty */
}

void *fh_map_get(const struct fh_map *map, struct fh_str key)
{
    if (map->count == 0) {
        return NULL;
    }
    return map->slots[probe(map, fh_hash(key.data, key.len), key)].item;
}

static enum fh_code grow(struct fh_map *map)
{
    size_t capacity = CAPACITY_FIRST;
    if (map->capacity > 0 && __builtin_mul_overflow(map->capacity, (size_t)2, &capacity)) {
        return FH_NOMEM;
    }
    struct fh_map_slot *slots = fh_calloc(capacity, sizeof(*slots));
    if (slots == NULL) {
        return FH_NOMEM;
    }
    /* Keys are known to differ: an empty slot is all that is looked for. */
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].item == NULL) {
            continue;
        }
        size_t at = (size_t)map->slots[i].hash & (capacity - 1);
        while (slots[at].item != NULL) {
            at = (at + 1) & (capacity - 1);
        }
        slots[at] = map->slots[i];
    }
    fh_free(map->slots);
    map->slots = slots;
    map->capacity = capacity;
    return FH_OK;
}

enum fh_code fh_map_put(struct fh_map *map, void *item)
{
    FH_ASSERT(item != NULL);
    struct fh_str key = map->key_of(item);
    uint64_t hash = fh_hash(key.data, key.len);
    if (map->count > 0 && map->slots[probe(map, hash, key)].item != NULL) {
        return FH_EXISTS;
    }
    if (map->count >= map->count_max) {
        return FH_FULL;
    }
    if (map->count + 1 > map->capacity / 4 * 3) {
        enum fh_code code = grow(map);
        if (code != FH_OK) {
            return code;
        }
    }
    map->slots[probe(map, hash, key)] = (struct fh_map_slot){.hash = hash, .item = item};
    map->count++;
    return FH_OK;
}

void *fh_map_remove(struct fh_map *map, struct fh_str key)
{
    if (map->count == 0) {
        return NULL;
    }
    size_t mask = map->capacity - 1;
    size_t hole = probe(map, fh_hash(key.data, key.len), key);
    void *item = map->slots[hole].item;
    if (item == NULL) {
        return NULL;
    }
    /* A follower moves into the hole unless the hole lies before its home slot. */
    for (size_t at = (hole + 1) & mask; map->slots[at].item != NULL; at = (at + 1) & mask) {
        size_t home = (size_t)map->slots[at].hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole] = (struct fh_map_slot){.item = NULL};
    map->count--;
    return item;
}

void *fh_map_next(const struct fh_map *map, size_t *cursor)
{
    while (*cursor < map->capacity) {
        void *item = map->slots[*cursor].item;
        (*cursor)++;
        if (item != NULL) {
            return item;
        }
    }
    return NULL;
}
