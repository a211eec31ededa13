/* One switch by the column's type each way; text forms go through fh_value_parse, so that a value
 * means the same in a key, a field and an import. */
#include "server/handlers/values.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define US_PER_S 1000000LL
#define TEXT_MAX 64 /* numeric, date, uuid in text */

static enum fh_code wrong_kind(const struct fh_column *column, const char *takes,
                               struct fh_error *error)
{
    return fh_error_set(error, FH_INVALID, "column %s is %s: give %s", column->name.data,
                        fh_type_name(column->type), takes);
}

static enum fh_code from_integer(int64_t integer, const struct fh_column *column,
                                 struct fh_arena *arena, struct fh_value *out,
                                 struct fh_error *error)
{
    switch (column->type) {
    case FH_TYPE_INT16:
    case FH_TYPE_INT32:
    case FH_TYPE_INT64:
        out->as.integer = integer;
        return FH_OK;
    case FH_TYPE_FLOAT32:
    case FH_TYPE_FLOAT64:
        out->as.real = (double)integer;
        return FH_OK;
    case FH_TYPE_NUMERIC: {
        char text[TEXT_MAX];
        int len = snprintf(text, sizeof(text), "%" PRId64, integer);
        return fh_value_parse((struct fh_str){.data = text, .len = (size_t)len}, column, arena, out,
                              error);
    }
    default:
        return wrong_kind(column, "another kind than integer_value", error);
    }
}

static enum fh_code from_string(const char *string, const struct fh_column *column,
                                struct fh_arena *arena, struct fh_value *out,
                                struct fh_error *error)
{
    struct fh_str text = fh_str_of(string);
    switch (column->type) {
    case FH_TYPE_TEXT:
    case FH_TYPE_JSON:
        out->as.bytes = text;
        return FH_OK;
    case FH_TYPE_NUMERIC:
    case FH_TYPE_DATE:
    case FH_TYPE_UUID:
    case FH_TYPE_TIMESTAMP:
        return fh_value_parse(text, column, arena, out, error);
    default:
        return wrong_kind(column, "another kind than string_value", error);
    }
}

static enum fh_code from_timestamp(const Google__Protobuf__Timestamp *timestamp,
                                   const struct fh_column *column, struct fh_value *out,
                                   struct fh_error *error)
{
    if (column->type != FH_TYPE_TIMESTAMP) {
        return wrong_kind(column, "another kind than timestamp_value", error);
    }
    if (timestamp->nanos < 0 || timestamp->nanos > 999999999 || timestamp->nanos % 1000 != 0) {
        return fh_error_set(error, FH_INVALID,
                            "column %s takes whole microseconds: nanos must be 0..999999000 in "
                            "steps of 1000",
                            column->name.data);
    }
    int64_t at_us;
    if (__builtin_mul_overflow(timestamp->seconds, US_PER_S, &at_us) ||
        __builtin_add_overflow(at_us, timestamp->nanos / 1000, &at_us)) {
        return fh_error_set(error, FH_INVALID, "column %s: the timestamp is out of range",
                            column->name.data);
    }
    out->as.integer = at_us;
    return FH_OK;
}

enum fh_code fh_value_from_proto(const Freehold__V1__Value *in, const struct fh_column *column,
                                 struct fh_arena *arena, struct fh_value *out,
                                 struct fh_error *error)
{
    enum fh_code code = FH_OK;
    *out = (struct fh_value){.type = column->type};
    switch (in != NULL ? in->kind_case : FREEHOLD__V1__VALUE__KIND__NOT_SET) {
    case FREEHOLD__V1__VALUE__KIND_NULL_VALUE:
        out->is_null = true;
        return FH_OK;
    case FREEHOLD__V1__VALUE__KIND_BOOL_VALUE:
        if (column->type != FH_TYPE_BOOL) {
            return wrong_kind(column, "another kind than bool_value", error);
        }
        out->as.boolean = in->bool_value != 0;
        break;
    case FREEHOLD__V1__VALUE__KIND_INTEGER_VALUE:
        code = from_integer(in->integer_value, column, arena, out, error);
        break;
    case FREEHOLD__V1__VALUE__KIND_DOUBLE_VALUE:
        if (column->type != FH_TYPE_FLOAT32 && column->type != FH_TYPE_FLOAT64) {
            return wrong_kind(column, "another kind than double_value", error);
        }
        out->as.real = in->double_value;
        break;
    case FREEHOLD__V1__VALUE__KIND_STRING_VALUE:
        code = from_string(in->string_value, column, arena, out, error);
        break;
    case FREEHOLD__V1__VALUE__KIND_BYTES_VALUE:
        if (column->type != FH_TYPE_BYTES) {
            return wrong_kind(column, "another kind than bytes_value", error);
        }
        out->as.bytes =
            (struct fh_str){.data = (const char *)in->bytes_value.data, .len = in->bytes_value.len};
        break;
    case FREEHOLD__V1__VALUE__KIND_TIMESTAMP_VALUE:
        code = from_timestamp(in->timestamp_value, column, out, error);
        break;
    case FREEHOLD__V1__VALUE__KIND__NOT_SET:
    default:
        return fh_error_set(error, FH_INVALID,
                            "column %s: the value has no kind; give null_value "
                            "for NULL",
                            column->name.data);
    }
    return code != FH_OK ? code : fh_value_canonicalize(out, column, arena, error);
}

Google__Protobuf__Timestamp *fh_timestamp_to_proto(int64_t at_us, struct fh_arena *arena)
{
    Google__Protobuf__Timestamp *timestamp = FH_ARENA_NEW(arena, Google__Protobuf__Timestamp);
    if (timestamp == NULL) {
        return NULL;
    }
    google__protobuf__timestamp__init(timestamp);
    int64_t seconds = at_us / US_PER_S;
    int64_t rest_us = at_us % US_PER_S;
    if (rest_us < 0) { /* nanos count forward, also before 1970 */
        rest_us += US_PER_S;
        seconds--;
    }
    timestamp->seconds = seconds;
    timestamp->nanos = (int32_t)(rest_us * 1000);
    return timestamp;
}

static enum fh_code to_string(const struct fh_value *in, const struct fh_column *column,
                              struct fh_arena *arena, Freehold__V1__Value *out)
{
    struct fh_buf buf;
    fh_buf_init(&buf, TEXT_MAX);
    fh_value_format(in, column, &buf);
    enum fh_code code = fh_buf_code(&buf);
    if (code == FH_OK) {
        out->string_value = fh_arena_copy(arena, buf.data, buf.len);
        code = out->string_value != NULL ? FH_OK : FH_NOMEM;
    }
    fh_buf_close(&buf);
    out->kind_case = FREEHOLD__V1__VALUE__KIND_STRING_VALUE;
    return code;
}

enum fh_code fh_value_to_proto(const struct fh_value *in, const struct fh_column *column,
                               struct fh_arena *arena, Freehold__V1__Value *out)
{
    freehold__v1__value__init(out);
    if (in->is_null) {
        out->kind_case = FREEHOLD__V1__VALUE__KIND_NULL_VALUE;
        return FH_OK;
    }
    switch (column->type) {
    case FH_TYPE_BOOL:
        out->kind_case = FREEHOLD__V1__VALUE__KIND_BOOL_VALUE;
        out->bool_value = in->as.boolean;
        return FH_OK;
    case FH_TYPE_INT16:
    case FH_TYPE_INT32:
    case FH_TYPE_INT64:
        out->kind_case = FREEHOLD__V1__VALUE__KIND_INTEGER_VALUE;
        out->integer_value = in->as.integer;
        return FH_OK;
    case FH_TYPE_FLOAT32:
    case FH_TYPE_FLOAT64:
        out->kind_case = FREEHOLD__V1__VALUE__KIND_DOUBLE_VALUE;
        out->double_value = in->as.real;
        return FH_OK;
    case FH_TYPE_TEXT:
    case FH_TYPE_JSON: /* the message wants a NUL behind the text; the store promises none */
        out->kind_case = FREEHOLD__V1__VALUE__KIND_STRING_VALUE;
        out->string_value = fh_arena_copy(arena, in->as.bytes.data, in->as.bytes.len);
        return out->string_value != NULL ? FH_OK : FH_NOMEM;
    case FH_TYPE_BYTES:
        out->kind_case = FREEHOLD__V1__VALUE__KIND_BYTES_VALUE;
        out->bytes_value.data = (uint8_t *)(uintptr_t)in->as.bytes.data;
        out->bytes_value.len = in->as.bytes.len;
        return FH_OK;
    case FH_TYPE_TIMESTAMP:
        out->kind_case = FREEHOLD__V1__VALUE__KIND_TIMESTAMP_VALUE;
        out->timestamp_value = fh_timestamp_to_proto(in->as.integer, arena);
        return out->timestamp_value != NULL ? FH_OK : FH_NOMEM;
    case FH_TYPE_NUMERIC:
    case FH_TYPE_DATE:
    case FH_TYPE_UUID:
        return to_string(in, column, arena, out);
    }
    return FH_INTERNAL;
}
