/* One switch by kind; what the server checks anyway (ranges, dates, UUIDs) is left to it. */
#include "clients/cli/convert.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "base/json.h"
#include "clients/cli/text.h"

#define NUMBER_LEN_MAX 400
#define SHOWN_MAX 32

bool fh_kind_of_type(struct fh_str type, enum fh_kind *out)
{
    static const struct {
        const char *prefix;
        enum fh_kind kind;
    } types[] = {
        {"bool", FH_KIND_BOOL},       {"smallint", FH_KIND_INTEGER}, {"integer", FH_KIND_INTEGER},
        {"int", FH_KIND_INTEGER},     {"bigint", FH_KIND_INTEGER},   {"real", FH_KIND_REAL},
        {"double", FH_KIND_REAL},     {"float", FH_KIND_REAL},       {"numeric", FH_KIND_NUMERIC},
        {"decimal", FH_KIND_NUMERIC}, {"text", FH_KIND_STRING},      {"string", FH_KIND_STRING},
        {"varchar", FH_KIND_STRING},  {"character", FH_KIND_STRING}, {"timestamp", FH_KIND_STRING},
        {"date", FH_KIND_STRING},     {"uuid", FH_KIND_STRING},      {"json", FH_KIND_STRING},
        {"bytea", FH_KIND_BYTES},     {"bytes", FH_KIND_BYTES},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (fh_str_starts_with(type, fh_str_of(types[i].prefix))) {
            *out = types[i].kind;
            return true;
        }
    }
    return false;
}

static enum fh_code refuse(struct fh_error *error, struct fh_str text, const char *what)
{
    struct fh_buf shown;
    fh_buf_init(&shown, 1024);
    fh_text_add_shown(&shown, text, SHOWN_MAX);
    (void)fh_error_set(error, FH_INVALID, "'%s' is not %s",
                       fh_buf_code(&shown) == FH_OK && shown.len > 0 ? shown.data : "", what);
    fh_buf_close(&shown);
    return FH_INVALID;
}

static enum fh_code no_memory(struct fh_error *error)
{
    return fh_error_set(error, FH_NOMEM, "the batch does not fit into memory");
}

static bool to_real(struct fh_str text, double *out)
{
    char copy[NUMBER_LEN_MAX + 1];
    char *end;
    if (text.len == 0 || text.len > NUMBER_LEN_MAX || isspace((unsigned char)text.data[0]) ||
        memchr(text.data, '\0', text.len) != NULL) {
        return false;
    }
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    *out = strtod(copy, &end);
    return *end == '\0' && isfinite(*out) && strpbrk(copy, "xXnN") == NULL;
}

static enum fh_code set_string(struct fh_str text, struct fh_arena *arena, Freehold__V1__Value *out,
                               struct fh_error *error)
{
    if (!fh_str_is_text(text)) {
        return refuse(error, text, "UTF-8 text without NUL");
    }
    out->kind_case = FREEHOLD__V1__VALUE__KIND_STRING_VALUE;
    out->string_value = fh_arena_copy(arena, text.data, text.len);
    return out->string_value != NULL ? FH_OK : no_memory(error);
}

static enum fh_code set_integer(int64_t value, Freehold__V1__Value *out)
{
    out->kind_case = FREEHOLD__V1__VALUE__KIND_INTEGER_VALUE;
    out->integer_value = value;
    return FH_OK;
}

static enum fh_code set_double(double value, Freehold__V1__Value *out)
{
    out->kind_case = FREEHOLD__V1__VALUE__KIND_DOUBLE_VALUE;
    out->double_value = value;
    return FH_OK;
}

static enum fh_code set_bool(bool value, Freehold__V1__Value *out)
{
    out->kind_case = FREEHOLD__V1__VALUE__KIND_BOOL_VALUE;
    out->bool_value = value;
    return FH_OK;
}

static enum fh_code text_to_bool(struct fh_str text, Freehold__V1__Value *out,
                                 struct fh_error *error)
{
    static const char *const yes[] = {"true", "t", "1", "yes"};
    static const char *const no[] = {"false", "f", "0", "no"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (fh_str_eq(text, fh_str_of(yes[i]))) {
            return set_bool(true, out);
        }
        if (fh_str_eq(text, fh_str_of(no[i]))) {
            return set_bool(false, out);
        }
    }
    return refuse(error, text, "true or false");
}

static enum fh_code base64_to_bytes(struct fh_str text, uint8_t *data, size_t *out_len)
{
    if (text.len % 4 != 0 || text.len > INT32_MAX) {
        return FH_INVALID;
    }
    const int len =
        text.len == 0 ? 0 : EVP_DecodeBlock(data, (const unsigned char *)text.data, (int)text.len);
    if (len < 0) {
        return FH_INVALID;
    }
    size_t padding = 0;
    while (padding < 2 && padding < text.len && text.data[text.len - 1 - padding] == '=') {
        padding++;
    }
    *out_len = (size_t)len - padding;
    return FH_OK;
}

static enum fh_code text_to_bytes(struct fh_str text, struct fh_arena *arena,
                                  Freehold__V1__Value *out, struct fh_error *error)
{
    size_t len = 0;
    uint8_t *data = fh_arena_alloc(arena, text.len + 4);
    if (data == NULL) {
        return no_memory(error);
    }
    if (fh_str_starts_with(text, FH_STR("\\x"))) {
        struct fh_str hex = {.data = text.data + 2, .len = text.len - 2};
        len = hex.len / 2;
        if (hex.len % 2 != 0 || !fh_hex_decode(hex, data, len)) {
            return refuse(error, text, "\\x and pairs of hex digits");
        }
    } else if (base64_to_bytes(text, data, &len) != FH_OK) {
        return refuse(error, text, "bytes: \\x and hex digits, or base64");
    }
    out->kind_case = FREEHOLD__V1__VALUE__KIND_BYTES_VALUE;
    out->bytes_value = (ProtobufCBinaryData){.len = len, .data = data};
    return FH_OK;
}

/* As JSON spells numbers: so "007" and "+1" stay text. */
static bool looks_like_number(struct fh_str text)
{
    const size_t sign = text.len > 0 && text.data[0] == '-' ? 1 : 0;
    if (text.len <= sign || !isdigit((unsigned char)text.data[sign])) {
        return false;
    }
    return text.data[sign] != '0' || text.len == sign + 1 || text.data[sign + 1] == '.' ||
           text.data[sign + 1] == 'e' || text.data[sign + 1] == 'E';
}

static enum fh_code by_syntax(struct fh_str text, struct fh_arena *arena, Freehold__V1__Value *out,
                              struct fh_error *error)
{
    long long integer;
    double real;
    if (fh_str_eq(text, FH_STR("true")) || fh_str_eq(text, FH_STR("false"))) {
        return set_bool(text.len == 4, out);
    }
    if (looks_like_number(text) && fh_str_to_int64(text, &integer)) {
        return set_integer(integer, out);
    }
    if (looks_like_number(text) && text.data[text.len - 1] != '.' && to_real(text, &real)) {
        return set_double(real, out);
    }
    return set_string(text, arena, out, error);
}

enum fh_code fh_convert_text(struct fh_str text, enum fh_kind kind, struct fh_arena *arena,
                             Freehold__V1__Value *out, struct fh_error *error)
{
    long long integer;
    double real;
    freehold__v1__value__init(out);
    switch (kind) {
    case FH_KIND_BOOL:
        return text_to_bool(text, out, error);
    case FH_KIND_INTEGER:
        return fh_str_to_int64(text, &integer) ? set_integer(integer, out)
                                               : refuse(error, text, "a whole number of 64 bits");
    case FH_KIND_REAL:
        return to_real(text, &real) ? set_double(real, out) : refuse(error, text, "a number");
    case FH_KIND_BYTES:
        return text_to_bytes(text, arena, out, error);
    case FH_KIND_NUMERIC:
    case FH_KIND_STRING:
        return set_string(text, arena, out, error);
    case FH_KIND_SYNTAX:
        break;
    }
    return by_syntax(text, arena, out, error);
}

static enum fh_code json_to_string(const json_t *json, struct fh_arena *arena,
                                   Freehold__V1__Value *out, struct fh_error *error)
{
    struct fh_str text;
    if (fh_json_dump(json_incref((json_t *)(uintptr_t)json), arena, &text) != FH_OK) {
        return no_memory(error);
    }
    out->kind_case = FREEHOLD__V1__VALUE__KIND_STRING_VALUE;
    out->string_value = fh_text_field(text.data);
    return FH_OK;
}

enum fh_code fh_convert_json(const json_t *json, enum fh_kind kind, struct fh_arena *arena,
                             Freehold__V1__Value *out, struct fh_error *error)
{
    freehold__v1__value__init(out);
    switch (json_typeof(json)) {
    case JSON_NULL:
        out->kind_case = FREEHOLD__V1__VALUE__KIND_NULL_VALUE;
        return FH_OK;
    case JSON_TRUE:
    case JSON_FALSE:
        return set_bool(json_is_true(json), out);
    case JSON_INTEGER:
        return set_integer(json_integer_value(json), out);
    case JSON_REAL:
        if (kind == FH_KIND_NUMERIC) {
            return json_to_string(json, arena, out, error);
        }
        return set_double(json_real_value(json), out);
    case JSON_STRING: {
        struct fh_str text = {.data = json_string_value(json), .len = json_string_length(json)};
        return fh_convert_text(text, kind == FH_KIND_SYNTAX ? FH_KIND_STRING : kind, arena, out,
                               error);
    }
    case JSON_OBJECT:
    case JSON_ARRAY:
        return json_to_string(json, arena, out, error);
    }
    return fh_error_set(error, FH_INTERNAL, "an unknown kind of JSON");
}

void fh_convert_to_text(struct fh_buf *out, const Freehold__V1__Value *value)
{
    switch (value->kind_case) {
    case FREEHOLD__V1__VALUE__KIND_BOOL_VALUE:
        fh_buf_add_text(out, value->bool_value ? "true" : "false");
        return;
    case FREEHOLD__V1__VALUE__KIND_INTEGER_VALUE:
        fh_buf_printf(out, "%" PRId64, value->integer_value);
        return;
    case FREEHOLD__V1__VALUE__KIND_DOUBLE_VALUE:
        fh_buf_printf(out, "%.15g", value->double_value);
        return;
    case FREEHOLD__V1__VALUE__KIND_STRING_VALUE:
        fh_buf_add_text(out, value->string_value);
        return;
    case FREEHOLD__V1__VALUE__KIND_BYTES_VALUE:
        fh_buf_add_text(out, "\\x");
        for (size_t i = 0; i < value->bytes_value.len; i++) {
            fh_buf_printf(out, "%02x", value->bytes_value.data[i]);
        }
        return;
    case FREEHOLD__V1__VALUE__KIND_TIMESTAMP_VALUE:
        fh_text_add_time(out, value->timestamp_value->seconds, value->timestamp_value->nanos);
        return;
    case FREEHOLD__V1__VALUE__KIND_NULL_VALUE:
    case FREEHOLD__V1__VALUE__KIND__NOT_SET:
    default:
        fh_buf_add_text(out, "null");
        return;
    }
}
