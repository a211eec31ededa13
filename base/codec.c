/* Pure functions. Decoders are strict: exactly one text stands for each run of bytes (but for the
 * case of hex digits), so that a signature or a page token has one spelling. On false the output
 * may be half written and must not be used. */
#include "base/codec.h"

static const char hex_digits[] = "0123456789abcdef";
static const char base64url_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void fh_hex_encode(const void *data, size_t len, char *out)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = hex_digits[bytes[i] >> 4];
        out[2 * i + 1] = hex_digits[bytes[i] & 15];
    }
    out[2 * len] = '\0';
}

/* 0..15, or -1. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

bool fh_hex_decode(struct fh_str text, uint8_t *out, size_t out_len)
{
    if (text.len % 2 != 0 || text.len / 2 != out_len) {
        return false;
    }
    for (size_t i = 0; i < out_len; i++) {
        int high = hex_value(text.data[2 * i]);
        int low = hex_value(text.data[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

size_t fh_base64url_encode(const void *data, size_t len, char *out)
{
    const uint8_t *bytes = data;
    size_t written = 0;
    uint32_t bits = 0;
    unsigned bit_count = 0;
    for (size_t i = 0; i < len; i++) {
        bits = ((bits << 8) | bytes[i]) & 0xFFFF;
        bit_count += 8;
        while (bit_count >= 6) {
            bit_count -= 6;
            out[written++] = base64url_digits[(bits >> bit_count) & 63];
        }
    }
    if (bit_count > 0) {
        out[written++] = base64url_digits[(bits << (6 - bit_count)) & 63];
    }
    return written;
}

/* 0..63, or -1. */
static int base64url_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == '-') {
        return 62;
    }
    return c == '_' ? 63 : -1;
}

bool fh_base64url_decode(struct fh_str text, uint8_t *out, size_t *out_len)
{
    if (text.len % 4 == 1) {
        return false; /* six bits hold no byte */
    }
    size_t written = 0;
    uint32_t bits = 0;
    unsigned bit_count = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = base64url_value(text.data[i]);
        if (value < 0) {
            return false;
        }
        bits = ((bits << 6) | (uint32_t)value) & 0xFFFF;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            out[written++] = (uint8_t)(bits >> bit_count);
        }
    }
    if ((bits & ((1u << bit_count) - 1)) != 0) {
        return false;
    }
    *out_len = written;
    return true;
}
