/* Pure functions over borrowed bytes; they answer false or 0 and nothing else can fail.
 *
 * UTF-8 follows table 3-7 of the Unicode standard: the range of the second byte depends on the
 * first, and that alone keeps out overlong forms, surrogates and what lies above U+10FFFF.
 */
#include "base/str.h"

int fh_str_cmp(struct fh_str a, struct fh_str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    if (order != 0) {
        return order;
    }
    return (a.len > b.len) - (a.len < b.len);
}

bool fh_str_starts_with(struct fh_str s, struct fh_str prefix)
{
    return prefix.len <= s.len && (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

/* What a lead byte asks for: the length of the character and the range of its second byte. */
struct lead {
    size_t len; /* 0: not a lead byte */
    unsigned char second_min;
    unsigned char second_max;
};

static struct lead lead_of(unsigned char byte)
{
    if (byte < 0x80) {
        return (struct lead){.len = 1};
    }
    if (byte < 0xC2 || byte > 0xF4) {
        return (struct lead){.len = 0};
    }
    if (byte < 0xE0) {
        return (struct lead){.len = 2, .second_min = 0x80, .second_max = 0xBF};
    }
    if (byte < 0xF0) {
        return (struct lead){.len = 3,
                             .second_min = byte == 0xE0 ? 0xA0 : 0x80,
                             .second_max = byte == 0xED ? 0x9F : 0xBF};
    }
    return (struct lead){.len = 4,
                         .second_min = byte == 0xF0 ? 0x90 : 0x80,
                         .second_max = byte == 0xF4 ? 0x8F : 0xBF};
}

size_t fh_str_utf8_len(struct fh_str s)
{
    if (s.len == 0) {
        return 0;
    }
    const unsigned char *bytes = (const unsigned char *)s.data;
    struct lead lead = lead_of(bytes[0]);
    if (lead.len > s.len) {
        return 0;
    }
    if (lead.len >= 2 && (bytes[1] < lead.second_min || bytes[1] > lead.second_max)) {
        return 0;
    }
    for (size_t i = 2; i < lead.len; i++) {
        if ((bytes[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return lead.len;
}

bool fh_str_is_text(struct fh_str s)
{
    size_t at = 0;
    while (at < s.len) {
        if (s.data[at] == '\0') {
            return false;
        }
        size_t len = fh_str_utf8_len((struct fh_str){.data = s.data + at, .len = s.len - at});
        if (len == 0) {
            return false;
        }
        at += len;
    }
    return true;
}

bool fh_str_to_int64(struct fh_str s, long long *out)
{
    size_t at = 0;
    bool negative = false;
    if (s.len > 0 && (s.data[0] == '-' || s.data[0] == '+')) {
        negative = s.data[0] == '-';
        at = 1;
    }
    if (at == s.len) {
        return false;
    }
    long long value = 0;
    for (; at < s.len; at++) {
        if (s.data[at] < '0' || s.data[at] > '9') {
            return false;
        }
        int digit = s.data[at] - '0';
        /* Downwards for negative numbers, so that the smallest one needs no special case. */
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value)) {
            return false;
        }
    }
    *out = value;
    return true;
}
