/* Values as text and back. Formatting a canonical value and parsing the result gives the value
 * again (a test holds it).
 *
 * Failures: FH_INVALID with a message that names the expected form, never the text itself.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "stores/civil.h"
#include "stores/model.h"
#include "stores/value.h"
#include "stores/value_json.h"

#define NUMBER_TEXT_MAX 400 /* no sensible decimal of a double is longer */

static enum fh_code expected(struct fh_error *error, const struct fh_column *column,
                             const char *form)
{
    return fh_error_set(error, FH_INVALID, "%.*s: expected %s", FH_STR_ARG(column->name), form);
}

/* [-+]digits[.digits] to an integer scaled by `scale`. Digits beyond the scale must be zeros:
 * nothing is rounded. */
static bool numeric_parse(struct fh_str text, unsigned scale, int64_t *out)
{
    size_t at = 0;
    bool negative = false;
    if (at < text.len && (text.data[at] == '-' || text.data[at] == '+')) {
        negative = text.data[at] == '-';
        at++;
    }
    int64_t value = 0;
    unsigned fraction = 0;
    size_t digits = 0;
    bool point = false;
    for (; at < text.len; at++) {
        char c = text.data[at];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9') {
            return false;
        }
        digits++;
        if (point && fraction == scale) {
            if (c != '0') {
                return false;
            }
            continue;
        }
        fraction += point;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, c - '0', &value)) {
            return false;
        }
    }
    if (digits == 0) {
        return false;
    }
    for (; fraction < scale; fraction++) {
        if (__builtin_mul_overflow(value, 10, &value)) {
            return false;
        }
    }
    *out = negative ? -value : value;
    return true;
}

static bool real_parse(struct fh_str text, enum fh_type type, double *out)
{
    char copy[NUMBER_TEXT_MAX + 1];
    if (text.len == 0 || text.len > NUMBER_TEXT_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        /* strtod would take "inf", "nan", "0x1p3" and leading blanks */
        if (strchr("0123456789+-.eE", text.data[i]) == NULL || text.data[i] == '\0') {
            return false;
        }
    }
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    char *end = NULL;
    /* strtof, not strtod and a cast: rounding twice can differ in the last bit */
    *out = type == FH_TYPE_FLOAT32 ? (double)strtof(copy, &end) : strtod(copy, &end);
    return end == copy + text.len;
}

static enum fh_code bytes_parse(struct fh_str text, const struct fh_column *column,
                                struct fh_arena *arena, struct fh_value *out,
                                struct fh_error *error)
{
    if (text.len > FH_VALUE_BYTES_MAX / 3 * 4 + 4) {
        return expected(error, column, "at most 1 MiB");
    }
    uint8_t *bytes = fh_arena_alloc(arena, text.len * 3 / 4 + 1);
    if (bytes == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    size_t len = 0;
    if (!fh_base64url_decode(text, bytes, &len)) {
        return expected(error, column, "base64url without padding");
    }
    out->as.bytes = (struct fh_str){.data = (const char *)bytes, .len = len};
    return FH_OK;
}

static enum fh_code integer_parse(struct fh_str text, const struct fh_column *column,
                                  struct fh_value *out, struct fh_error *error)
{
    long long integer = 0;
    switch (column->type) {
    case FH_TYPE_NUMERIC:
        if (!numeric_parse(text, column->scale, &out->as.integer)) {
            return fh_error_set(error, FH_INVALID,
                                "%.*s: expected a decimal with at most %u digits behind the point",
                                FH_STR_ARG(column->name), column->scale);
        }
        return FH_OK;
    case FH_TYPE_TIMESTAMP:
        if (!fh_timestamp_parse(text, &out->as.integer)) {
            return expected(error, column, "an RFC 3339 time with at most microseconds");
        }
        return FH_OK;
    case FH_TYPE_DATE:
        if (!fh_date_parse(text, &out->as.integer)) {
            return expected(error, column, "a date as YYYY-MM-DD");
        }
        return FH_OK;
    default:
        if (!fh_str_to_int64(text, &integer)) {
            return expected(error, column, "a decimal integer");
        }
        out->as.integer = integer;
        return FH_OK;
    }
}

static enum fh_code parse_by_type(struct fh_str text, const struct fh_column *column,
                                  struct fh_arena *arena, struct fh_value *out,
                                  struct fh_error *error)
{
    switch (column->type) {
    case FH_TYPE_BOOL:
        out->as.boolean = fh_str_eq(text, FH_STR("true"));
        if (!out->as.boolean && !fh_str_eq(text, FH_STR("false"))) {
            return expected(error, column, "true or false");
        }
        return FH_OK;
    case FH_TYPE_INT16:
    case FH_TYPE_INT32:
    case FH_TYPE_INT64:
    case FH_TYPE_NUMERIC:
    case FH_TYPE_TIMESTAMP:
    case FH_TYPE_DATE:
        return integer_parse(text, column, out, error);
    case FH_TYPE_FLOAT32:
    case FH_TYPE_FLOAT64:
        if (!real_parse(text, column->type, &out->as.real)) {
            return expected(error, column, "a decimal number");
        }
        return FH_OK;
    case FH_TYPE_TEXT:
        if (text.len > FH_VALUE_BYTES_MAX) {
            return expected(error, column, "at most 1 MiB");
        }
        return fh_arena_str(arena, text, &out->as.bytes);
    case FH_TYPE_BYTES:
        return bytes_parse(text, column, arena, out, error);
    case FH_TYPE_UUID:
        if (!fh_uuid_parse(text, &out->as.uuid)) {
            return expected(error, column, "a UUID of 36 characters");
        }
        return FH_OK;
    case FH_TYPE_JSON:
        out->as.bytes = text; /* canonicalising makes the copy */
        return FH_OK;
    }
    return expected(error, column, "a known type");
}

enum fh_code fh_value_parse(struct fh_str text, const struct fh_column *column,
                            struct fh_arena *arena, struct fh_value *out, struct fh_error *error)
{
    struct fh_value value = {.type = column->type};
    enum fh_code code = parse_by_type(text, column, arena, &value, error);
    if (code == FH_OK) {
        code = fh_value_canonicalize(&value, column, arena, error);
    }
    if (code == FH_OK) {
        *out = value;
    }
    return code;
}

static void numeric_format(int64_t value, unsigned scale, struct fh_buf *out)
{
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    uint64_t unit = 1;
    for (unsigned i = 0; i < scale; i++) {
        unit *= 10;
    }
    fh_buf_printf(out, "%s%llu", value < 0 ? "-" : "", (unsigned long long)(magnitude / unit));
    if (scale > 0) {
        fh_buf_printf(out, ".%0*llu", (int)scale, (unsigned long long)(magnitude % unit));
    }
}

static void base64url_format(struct fh_str bytes, struct fh_buf *out)
{
    /* In slices of a multiple of three bytes, so that only the last one has a tail. */
    char text[FH_BASE64URL_LEN(768)];
    for (size_t at = 0; at < bytes.len; at += 768) {
        size_t len = bytes.len - at < 768 ? bytes.len - at : 768;
        fh_buf_add(out, text, fh_base64url_encode(bytes.data + at, len, text));
    }
}

void fh_value_format(const struct fh_value *value, const struct fh_column *column,
                     struct fh_buf *out)
{
    char text[64];
    if (value->is_null) {
        return;
    }
    switch (value->type) {
    case FH_TYPE_BOOL:
        fh_buf_add_text(out, value->as.boolean ? "true" : "false");
        return;
    case FH_TYPE_INT16:
    case FH_TYPE_INT32:
    case FH_TYPE_INT64:
        fh_buf_printf(out, "%lld", (long long)value->as.integer);
        return;
    case FH_TYPE_NUMERIC:
        numeric_format(value->as.integer, column->scale, out);
        return;
    case FH_TYPE_FLOAT32:
        fh_float_format((float)value->as.real, text);
        fh_buf_add_text(out, text);
        return;
    case FH_TYPE_FLOAT64:
        fh_double_format(value->as.real, text);
        fh_buf_add_text(out, text);
        return;
    case FH_TYPE_TEXT:
    case FH_TYPE_JSON:
        fh_buf_add_str(out, value->as.bytes);
        return;
    case FH_TYPE_BYTES:
        base64url_format(value->as.bytes, out);
        return;
    case FH_TYPE_TIMESTAMP:
        fh_timestamp_format(value->as.integer, text);
        fh_buf_add_text(out, text);
        return;
    case FH_TYPE_DATE:
        fh_date_format(value->as.integer, text);
        fh_buf_add_text(out, text);
        return;
    case FH_TYPE_UUID:
        fh_uuid_format(&value->as.uuid, text);
        fh_buf_add_text(out, text);
        return;
    }
}
