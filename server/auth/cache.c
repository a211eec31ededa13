/* A map for finding and a list for age, both through the same entry. */
#include "server/auth/cache.h"

#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

struct entry {
    struct fh_list node;
    uint8_t hash[FH_TOKEN_HASH_BYTES];
    uint64_t generation;
    struct fh_token_cached value;
    char texts[]; /* the subject, the grants */
};

static struct fh_str entry_key(const void *item)
{
    const struct entry *entry = item;
    return (struct fh_str){.data = (const char *)entry->hash, .len = sizeof(entry->hash)};
}

static struct fh_str hash_key(const uint8_t hash[FH_TOKEN_HASH_BYTES])
{
    return (struct fh_str){.data = (const char *)hash, .len = FH_TOKEN_HASH_BYTES};
}

static void drop(struct fh_token_cache *cache, struct entry *entry)
{
    void *removed = fh_map_remove(&cache->by_hash, entry_key(entry));
    FH_ASSERT(removed == entry);
    fh_list_remove(&entry->node);
    fh_free(entry);
}

void fh_token_cache_init(struct fh_token_cache *cache, size_t count_max)
{
    fh_map_init(&cache->by_hash, count_max, entry_key);
    fh_list_init(&cache->recent);
    cache->count_max = count_max;
}

void fh_token_cache_close(struct fh_token_cache *cache)
{
    struct fh_list *node = fh_list_pop_front(&cache->recent);
    while (node != NULL) {
        fh_free(FH_CONTAINER_OF(node, struct entry, node));
        node = fh_list_pop_front(&cache->recent);
    }
    fh_map_close(&cache->by_hash);
}

const struct fh_token_cached *fh_token_cache_get(struct fh_token_cache *cache,
                                                 const uint8_t hash[FH_TOKEN_HASH_BYTES],
                                                 uint64_t generation, int64_t now_us)
{
    struct entry *entry = fh_map_get(&cache->by_hash, hash_key(hash));
    if (entry == NULL) {
        return NULL;
    }
    if (entry->generation != generation ||
        fh_claims_check_time(&entry->value.claims, now_us, NULL) != FH_OK) {
        drop(cache, entry);
        return NULL;
    }
    fh_list_remove(&entry->node);
    fh_list_push_front(&cache->recent, &entry->node);
    return &entry->value;
}

void fh_token_cache_put(struct fh_token_cache *cache, const uint8_t hash[FH_TOKEN_HASH_BYTES],
                        uint64_t generation, const struct fh_token_cached *value)
{
    if (cache->count_max == 0) {
        return;
    }
    const struct fh_str subject = value->claims.subject;
    const struct fh_str tables = value->claims.grants.tables;
    struct entry *entry = fh_malloc(sizeof(*entry) + subject.len + tables.len);
    if (entry == NULL) {
        return;
    }
    memcpy(entry->hash, hash, sizeof(entry->hash));
    entry->generation = generation;
    entry->value = *value;
    memcpy(entry->texts, subject.data, subject.len);
    entry->value.claims.subject.data = entry->texts;
    if (tables.len > 0) {
        memcpy(entry->texts + subject.len, tables.data, tables.len);
        entry->value.claims.grants.tables.data = entry->texts + subject.len;
    }
    if (fh_token_cache_count(cache) >= cache->count_max) {
        drop(cache, FH_CONTAINER_OF(cache->recent.prev, struct entry, node));
    }
    if (fh_map_put(&cache->by_hash, entry) != FH_OK) {
        fh_free(entry);
        return;
    }
    fh_list_push_front(&cache->recent, &entry->node);
}

size_t fh_token_cache_count(const struct fh_token_cache *cache)
{
    return cache->by_hash.count;
}
