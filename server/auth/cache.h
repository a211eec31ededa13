/* Verified tokens, so that a caller's second call costs a hash and not a signature.
 *
 * Keyed by SHA-256 of the token: the cache holds no token. An entry counts only for the key-set
 * generation it was verified under and within its own times; it is dropped when found to be past
 * either. Full: the least recently used entry makes room. Out of memory: nothing is cached, which
 * is slower and never wrong. Thread: the loop's.
 */
#ifndef FH_SERVER_AUTH_CACHE_H
#define FH_SERVER_AUTH_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "server/auth/claims.h"
#include "server/auth/principal.h"

#define FH_TOKEN_HASH_BYTES 32

struct fh_token_cache {
    struct fh_map by_hash;
    struct fh_list recent; /* newest first */
    size_t count_max;      /* 0: caches nothing */
};

struct fh_token_cached {
    enum fh_realm realm;
    struct fh_claims claims; /* the subject and the grants are owned by the entry */
};

void fh_token_cache_init(struct fh_token_cache *cache, size_t count_max);
void fh_token_cache_close(struct fh_token_cache *cache);
/* NULL, or an entry borrowed until the next call on the cache. */
const struct fh_token_cached *fh_token_cache_get(struct fh_token_cache *cache,
                                                 const uint8_t hash[FH_TOKEN_HASH_BYTES],
                                                 uint64_t generation, int64_t now_us);
/* Copies. The hash must not be cached already. */
void fh_token_cache_put(struct fh_token_cache *cache, const uint8_t hash[FH_TOKEN_HASH_BYTES],
                        uint64_t generation, const struct fh_token_cached *value);
size_t fh_token_cache_count(const struct fh_token_cache *cache);

#endif
