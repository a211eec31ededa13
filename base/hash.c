/* SipHash-2-4 as its paper states it: two rounds a word, four to finish.
 *
 * The process key is drawn once, under pthread_once. A kernel that cannot give random bytes is not
 * a place to run a multi-tenant store: that asserts.
 */
#include "base/hash.h"

#include <errno.h>
#include <pthread.h>
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

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

/* SipHash reads and counts in little-endian order, whatever the machine. */
static uint64_t read_le(const unsigned char *bytes, size_t count)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

static void rounds(uint64_t v[4], int count)
{
    for (int i = 0; i < count; i++) {
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
    }
}

uint64_t fh_hash_keyed(const unsigned char key[16], const void *data, size_t len)
{
    const unsigned char *bytes = data;
    uint64_t k0 = read_le(key, 8);
    uint64_t k1 = read_le(key + 8, 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                     k1 ^ 0x7465646279746573u};
    size_t whole = len / 8 * 8;
    for (size_t at = 0; at < whole; at += 8) {
        uint64_t word = read_le(bytes + at, 8);
        v[3] ^= word;
        rounds(v, 2);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)(len & 0xFF) << 56;
    if (len > whole) {
        last |= read_le(bytes + whole, len - whole);
    }
    v[3] ^= last;
    rounds(v, 2);
    v[0] ^= last;
    v[2] ^= 0xFF;
    rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
