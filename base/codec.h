/* Small encodings everybody needs: hex, base64url, big-endian reads. Pure functions. */
#ifndef FH_BASE_CODEC_H
#define FH_BASE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* `out` has room for 2 * len + 1. */
void fh_hex_encode(const void *data, size_t len, char *out);
bool fh_hex_decode(struct fh_str text, uint8_t *out, size_t out_len); /* exactly out_len bytes */

#define FH_BASE64URL_LEN(n) (((n) + 2) / 3 * 4)
/* Without padding; answers the length written (no NUL). `out` has room for FH_BASE64URL_LEN(len).
 */
size_t fh_base64url_encode(const void *data, size_t len, char *out);
/* Strict: no padding, no blanks, unused trailing bits zero. False, or *out_len set. `out` has room
 * for text.len * 3 / 4. */
bool fh_base64url_decode(struct fh_str text, uint8_t *out, size_t *out_len);

static inline uint16_t fh_be16(const void *p)
{
    const uint8_t *b = p;
    return (uint16_t)((b[0] << 8) | b[1]);
}

static inline uint32_t fh_be32(const void *p)
{
    const uint8_t *b = p;
    return ((uint32_t)b[0] << 24) | ((uint32_t)b[1] << 16) | ((uint32_t)b[2] << 8) | b[3];
}

static inline uint64_t fh_be64(const void *p)
{
    const uint8_t *b = p;
    return ((uint64_t)fh_be32(b) << 32) | fh_be32(b + 4);
}

#endif
