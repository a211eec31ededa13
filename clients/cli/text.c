/* Nothing fails here but the buffer, whose error sticks until the caller looks. */
#include "clients/cli/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void fh_text_add_time(struct fh_buf *out, int64_t seconds, int32_t nanos)
{
    struct tm tm;
    const time_t at = (time_t)seconds;
    if (gmtime_r(&at, &tm) == NULL) {
        fh_buf_printf(out, "%" PRId64 "s", seconds);
        return;
    }
    fh_buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1,
                  tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (nanos > 0 && nanos < 1000000000) {
        if (nanos % 1000000 == 0) {
            fh_buf_printf(out, ".%03d", nanos / 1000000);
        } else if (nanos % 1000 == 0) {
            fh_buf_printf(out, ".%06d", nanos / 1000);
        } else {
            fh_buf_printf(out, ".%09d", nanos);
        }
    }
    fh_buf_add_char(out, 'Z');
}

bool fh_text_to_duration_s(const char *text, int64_t *out_s)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    struct fh_str number = fh_str_of(text);
    long long count;
    int64_t factor = 1;
    for (size_t i = 0; number.len > 0 && i < sizeof(units) / sizeof(units[0]); i++) {
        if (number.data[number.len - 1] == units[i].unit) {
            factor = units[i].seconds;
            number.len--;
            break;
        }
    }
    if (!fh_str_to_int64(number, &count) || count <= 0) {
        return false;
    }
    return !__builtin_mul_overflow(count, factor, out_s);
}

void fh_text_add_count(struct fh_buf *out, uint64_t count)
{
    char digits[24];
    const int len = snprintf(digits, sizeof(digits), "%" PRIu64, count);
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            fh_buf_add_char(out, ',');
        }
        fh_buf_add_char(out, digits[i]);
    }
}

void fh_text_add_bytes(struct fh_buf *out, uint64_t bytes)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB"};
    if (bytes < 1000) {
        fh_buf_printf(out, "%" PRIu64 " B", bytes);
        return;
    }
    double value = (double)bytes / 1000;
    size_t unit = 0;
    while (value >= 999.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1000;
        unit++;
    }
    fh_buf_printf(out, "%.1f %s", value, units[unit]);
}

void fh_text_add_span(struct fh_buf *out, int64_t seconds)
{
    if (seconds >= 3600) {
        fh_buf_printf(out, "%" PRId64 ":%02d:%02d", seconds / 3600, (int)(seconds / 60 % 60),
                      (int)(seconds % 60));
    } else {
        fh_buf_printf(out, "%d:%02d", (int)(seconds / 60), (int)(seconds % 60));
    }
}

/* The code point of a well-formed character of `len` bytes. */
static uint32_t decode(const char *data, size_t len)
{
    static const uint8_t lead[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t point = (uint8_t)data[0] & lead[len];
    for (size_t i = 1; i < len; i++) {
        point = (point << 6) | ((uint8_t)data[i] & 0x3f);
    }
    return point;
}

/* Characters that steer a terminal or reorder what stands around them. */
static bool is_unsafe(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x061c || point == 0x200e ||
           point == 0x200f || (point >= 0x2028 && point <= 0x202e) ||
           (point >= 0x2066 && point <= 0x2069) || point == 0xfeff;
}

static void add_escape(struct fh_buf *out, uint32_t point)
{
    if (point == '\n') {
        fh_buf_add_text(out, "\\n");
    } else if (point == '\t') {
        fh_buf_add_text(out, "\\t");
    } else if (point == '\r') {
        fh_buf_add_text(out, "\\r");
    } else if (point < 0x100) {
        fh_buf_printf(out, "\\x%02x", point);
    } else {
        fh_buf_printf(out, "\\u%04x", point);
    }
}

void fh_text_add_shown(struct fh_buf *out, struct fh_str text, size_t len_max)
{
    size_t shown = 0;
    size_t at = 0;
    while (at < text.len) {
        if (len_max > 0 && shown == len_max) {
            fh_buf_add_text(out, "…");
            return;
        }
        struct fh_str rest = {.data = text.data + at, .len = text.len - at};
        const size_t len = fh_str_utf8_len(rest);
        if (len == 0) {
            add_escape(out, (uint8_t)rest.data[0]);
            at++;
        } else {
            const uint32_t point = decode(rest.data, len);
            if (is_unsafe(point)) {
                add_escape(out, point);
            } else {
                fh_buf_add(out, rest.data, len);
            }
            at += len;
        }
        shown++;
    }
}

/* By range and not by wcwidth(), which depends on the locale of who runs us. */
static size_t width_of(uint32_t point)
{
    if ((point >= 0x300 && point <= 0x36f) || (point >= 0x200b && point <= 0x200d) ||
        (point >= 0xfe00 && point <= 0xfe0f) || (point >= 0x20d0 && point <= 0x20ff)) {
        return 0;
    }
    if ((point >= 0x1100 && point <= 0x115f) || (point >= 0x2e80 && point <= 0xa4cf) ||
        (point >= 0xac00 && point <= 0xd7a3) || (point >= 0xf900 && point <= 0xfaff) ||
        (point >= 0xfe30 && point <= 0xfe6f) || (point >= 0xff00 && point <= 0xff60) ||
        (point >= 0xffe0 && point <= 0xffe6) || (point >= 0x1f300 && point <= 0x1faff) ||
        (point >= 0x20000 && point <= 0x3fffd)) {
        return 2;
    }
    return 1;
}

size_t fh_text_width(struct fh_str text)
{
    size_t width = 0;
    size_t at = 0;
    while (at < text.len) {
        struct fh_str rest = {.data = text.data + at, .len = text.len - at};
        const size_t len = fh_str_utf8_len(rest);
        width += len > 0 ? width_of(decode(rest.data, len)) : 1;
        at += len > 0 ? len : 1;
    }
    return width;
}

/* -- Names of records ----------------------------------------------------------------------------
 */

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

static void add_encoded(struct fh_buf *out, struct fh_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (is_unreserved(text.data[i])) {
            fh_buf_add_char(out, text.data[i]);
        } else {
            fh_buf_printf(out, "%%%02X", (unsigned)(uint8_t)text.data[i]);
        }
    }
}

void fh_text_add_record_name(struct fh_buf *out, const char *tenant, const char *table,
                             const struct fh_str *parts, size_t part_count)
{
    if (tenant != NULL) {
        fh_buf_add_text(out, "tenants/");
        add_encoded(out, fh_str_of(tenant));
        fh_buf_add_char(out, '/');
    }
    fh_buf_add_text(out, "tables/");
    add_encoded(out, fh_str_of(table));
    fh_buf_add_text(out, "/records/");
    for (size_t i = 0; i < part_count; i++) {
        if (i > 0) {
            fh_buf_add_char(out, ',');
        }
        add_encoded(out, parts[i]);
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void fh_text_add_record_key(struct fh_buf *out, const char *name)
{
    const char *at = strstr(name, "/records/");
    if (at == NULL) {
        fh_buf_add_text(out, name);
        return;
    }
    for (at += sizeof("/records/") - 1; *at != '\0'; at++) {
        if (*at == ',') {
            fh_buf_add_text(out, ", ");
        } else if (*at == '%' && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0) {
            fh_buf_add_char(out, (char)(hex_digit(at[1]) * 16 + hex_digit(at[2])));
            at += 2;
        } else {
            fh_buf_add_char(out, *at);
        }
    }
}

struct fh_str fh_text_record_table(const char *name)
{
    const char *start = strstr(name, "tables/");
    const char *end = strstr(name, "/records/");
    if (start == NULL || end == NULL || end < start) {
        return (struct fh_str){0};
    }
    start += sizeof("tables/") - 1;
    return (struct fh_str){.data = start, .len = (size_t)(end - start)};
}

char *fh_text_field(const char *text)
{
    return (char *)(uintptr_t)(text != NULL ? text : "");
}
