/* SipHash-2-4 as its paper states it: two rounds a word, four to finish.
 *
 * The process key is drawn once, under pthread_once. A kernel that cannot give random bytes is not
 * a place to run a multi-tenant store: that asserts.
 */
#include "base/hash.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base/assert.h"

static pthread_once_t seed_once = PTHREAD_ONCE_INIT;
static unsigned char process_key[16];

static void draw_key(void)
{
    ssize_t got = -1;
    do {
        got = getrandom(process_key, sizeof(process_key), 0);
    } while (got < 0 && errno == EINTR);
    FH_ASSERT(got == (ssize_t)sizeof(process_key));
}

void fh_hash_seed(void)
{
    int failed = pthread_once(&seed_once, draw_key);
    FH_ASSERT(failed == 0);
}

uint64_t fh_hash(const void *data, size_t len)
{
    fh_hash_seed();
    return fh_hash_keyed(process_key, data, len);
}

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

/* SipHash reads and counts in little-endian order, whatever the machine. */
static inline uint64_t read_le64(const unsigned char *bytes)
{
    uint64_t value = 0;
    memcpy(&value, bytes, sizeof(value));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

struct state {
    uint64_t v0;
    uint64_t v1;
    uint64_t v2;
    uint64_t v3;
};

/* Inlined and by value, so that the four words stay in registers. */
static inline struct state round_of(struct state s)
{
    s.v0 += s.v1;
    s.v1 = rotate(s.v1, 13) ^ s.v0;
    s.v0 = rotate(s.v0, 32);
    s.v2 += s.v3;
    s.v3 = rotate(s.v3, 16) ^ s.v2;
    s.v0 += s.v3;
    s.v3 = rotate(s.v3, 21) ^ s.v0;
    s.v2 += s.v1;
    s.v1 = rotate(s.v1, 17) ^ s.v2;
    s.v2 = rotate(s.v2, 32);
    return s;
}

static inline struct state take(struct state s, uint64_t word)
{
    s.v3 ^= word;
    s = round_of(round_of(s));
    s.v0 ^= word;
    return s;
}

uint64_t fh_hash_keyed(const unsigned char key[16], const void *data, size_t len)
{
    const unsigned char *bytes = data;
    const uint64_t k0 = read_le64(key);
    const uint64_t k1 = read_le64(key + 8);
    struct state s = {.v0 = k0 ^ 0x736f6d6570736575u,
                      .v1 = k1 ^ 0x646f72616e646f6du,
                      .v2 = k0 ^ 0x6c7967656e657261u,
                      .v3 = k1 ^ 0x7465646279746573u};
    const size_t whole = len / 8 * 8;
    for (size_t at = 0; at < whole; at += 8) {
        s = take(s, read_le64(bytes + at));
    }
    uint64_t last = (uint64_t)(len & 0xFF) << 56;
    for (size_t i = whole; i < len; i++) {
        last |= (uint64_t)bytes[i] << (8 * (i - whole));
    }
    s = take(s, last);
    s.v2 ^= 0xFF;
    s = round_of(round_of(round_of(round_of(s))));
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
