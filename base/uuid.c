/* Layout of version 7 (RFC 9562, 5.7): 48 bits of milliseconds, version, 12 random bits, variant,
 * 62 random bits. Random bytes come from the kernel for many at once: every call has an id, and
 * asking for each was half of a busy server's system calls. Each thread has its own; a child begins
 * with none, or it would make its parent's. A kernel without random bytes asserts, as in hash.c. */
#include "base/uuid.h"

#include <errno.h>
#include <pthread.h>
#include <sys/random.h>

#include "base/assert.h"
#include "base/codec.h"

#define FIXED_BYTES 6 /* a time, or what canaries begin with */
#define RANDOM_BYTES 10
#define POOL_BYTES (25 * RANDOM_BYTES) /* getrandom() gives up to 256 whole, signals or not */

static _Thread_local struct {
    uint8_t bytes[POOL_BYTES];
    size_t left; /* at the end */
} pool;

static pthread_once_t watched = PTHREAD_ONCE_INIT;

/* The thread that forked is the only one there. */
static void forked_cb(void)
{
    pool.left = 0;
}

static void watch_forks(void)
{
    int failed = pthread_atfork(NULL, NULL, forked_cb);
    FH_ASSERT(failed == 0); /* it fails without memory only, in a program that just began */
}

static void refill(void)
{
    ssize_t got = -1;
    (void)pthread_once(&watched, watch_forks);
    do {
        got = getrandom(pool.bytes, sizeof(pool.bytes), 0);
    } while (got < 0 && errno == EINTR);
    FH_ASSERT(got == (ssize_t)sizeof(pool.bytes));
    pool.left = sizeof(pool.bytes);
}

/* All but the first six bytes random, version and variant set. */
static void fill(struct fh_uuid *uuid, uint8_t version)
{
    if (pool.left == 0) {
        refill();
    }
    memcpy(uuid->bytes + FIXED_BYTES, pool.bytes + sizeof(pool.bytes) - pool.left, RANDOM_BYTES);
    pool.left -= RANDOM_BYTES;
    uuid->bytes[6] = (uint8_t)(version << 4 | (uuid->bytes[6] & 0x0F));
    uuid->bytes[8] = (uint8_t)(0x80 | (uuid->bytes[8] & 0x3F));
}

struct fh_uuid fh_uuid_v7(int64_t realtime_us)
{
    struct fh_uuid uuid;
    fill(&uuid, 7);
    /* A clock set before 1970 must not wrap into the far future. */
    uint64_t ms = realtime_us > 0 ? (uint64_t)realtime_us / 1000 : 0;
    for (unsigned i = 0; i < 6; i++) {
        uuid.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    }
    return uuid;
}

static const uint8_t canary_prefix[FIXED_BYTES] = {'f', 'h', '-', 'c', 'a', 'n'};

struct fh_uuid fh_uuid_canary(void)
{
    struct fh_uuid uuid;
    fill(&uuid, 8);
    memcpy(uuid.bytes, canary_prefix, sizeof(canary_prefix));
    return uuid;
}

bool fh_uuid_is_canary(const struct fh_uuid *uuid)
{
    return memcmp(uuid->bytes, canary_prefix, sizeof(canary_prefix)) == 0 &&
           uuid->bytes[6] >> 4 == 8 && uuid->bytes[8] >> 6 == 2;
}

/* Bytes in each of the five groups of the text form. */
static const uint8_t groups[5] = {4, 2, 2, 2, 6};

void fh_uuid_format(const struct fh_uuid *uuid, char out[FH_UUID_TEXT_LEN + 1])
{
    size_t byte = 0;
    size_t at = 0;
    for (size_t i = 0; i < sizeof(groups); i++) {
        if (i > 0) {
            out[at++] = '-';
        }
        fh_hex_encode(uuid->bytes + byte, groups[i], out + at);
        byte += groups[i];
        at += 2u * groups[i];
    }
    FH_ASSERT(at == FH_UUID_TEXT_LEN);
}

bool fh_uuid_parse(struct fh_str text, struct fh_uuid *out)
{
    if (text.len != FH_UUID_TEXT_LEN) {
        return false;
    }
    struct fh_uuid uuid;
    size_t byte = 0;
    size_t at = 0;
    for (size_t i = 0; i < sizeof(groups); i++) {
        if (i > 0 && text.data[at++] != '-') {
            return false;
        }
        struct fh_str group = {.data = text.data + at, .len = 2u * groups[i]};
        if (!fh_hex_decode(group, uuid.bytes + byte, groups[i])) {
            return false;
        }
        byte += groups[i];
        at += group.len;
    }
    *out = uuid;
    return true;
}

bool fh_uuid_is_nil(const struct fh_uuid *uuid)
{
    static const struct fh_uuid nil;
    return fh_uuid_eq(uuid, &nil);
}
