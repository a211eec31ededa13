/* UUIDs (RFC 9562): version 7 for everything we make but canaries, any version accepted on input.
 */
#ifndef FH_BASE_UUID_H
#define FH_BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

#define FH_UUID_TEXT_LEN 36

struct fh_uuid {
    uint8_t bytes[16]; /* network order */
};

/* Version 7: milliseconds since the epoch, then 74 random bits of the kernel's. Thread-safe. */
struct fh_uuid fh_uuid_v7(int64_t realtime_us);
/* Canonical lower-case text with a NUL. */
void fh_uuid_format(const struct fh_uuid *uuid, char out[FH_UUID_TEXT_LEN + 1]);
/* The 36-character form only, either case. */
bool fh_uuid_parse(struct fh_str text, struct fh_uuid *out);
bool fh_uuid_is_nil(const struct fh_uuid *uuid);

/* A canary: a tenant of the prober's, known by its structure alone. Version 8, which nothing else
 * here makes, behind six fixed bytes; 74 random bits. Sorts behind every tenant of version 7. */
struct fh_uuid fh_uuid_canary(void);
bool fh_uuid_is_canary(const struct fh_uuid *uuid);

static inline bool fh_uuid_eq(const struct fh_uuid *a, const struct fh_uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

#endif
