/* Canonical form is a fixed point: canonicalising twice changes nothing (a test holds it for every
 * type).
 *
 * Failures: everything that is not a value of the column is FH_INVALID with a message that names
 * the rule and never the value.
 */
#include "stores/value.h"

#include <float.h>
#include <math.h>

#include "base/assert.h"
#include "stores/civil.h"
#include "stores/model.h"
#include "stores/value_json.h"

const char *fh_type_name(enum fh_type type)
{
    switch (type) {
    case FH_TYPE_BOOL:
        return "boolean";
    case FH_TYPE_INT16:
        return "smallint";
    case FH_TYPE_INT32:
        return "integer";
    case FH_TYPE_INT64:
        return "bigint";
    case FH_TYPE_FLOAT32:
        return "real";
    case FH_TYPE_FLOAT64:
        return "double precision";
    case FH_TYPE_NUMERIC:
        return "numeric";
    case FH_TYPE_TEXT:
        return "text";
    case FH_TYPE_BYTES:
        return "bytea";
    case FH_TYPE_TIMESTAMP:
        return "timestamp with time zone";
    case FH_TYPE_DATE:
        return "date";
    case FH_TYPE_UUID:
        return "uuid";
    case FH_TYPE_JSON:
        return "jsonb";
    }
    return "unknown";
}

static enum fh_code invalid(struct fh_error *error, const struct fh_column *column,
                            const char *what)
{
    return fh_error_set(error, FH_INVALID, "%.*s: %s", FH_STR_ARG(column->name), what);
}

bool fh_integer_in_range(int64_t value, const struct fh_column *column)
{
    switch (column->type) {
    case FH_TYPE_INT16:
        return value >= INT16_MIN && value <= INT16_MAX;
    case FH_TYPE_INT32:
        return value >= INT32_MIN && value <= INT32_MAX;
    case FH_TYPE_INT64:
        return true;
    case FH_TYPE_NUMERIC: {
        int64_t limit = 1;
        for (unsigned i = 0; i < column->precision; i++) {
            limit *= 10; /* precision <= 18, so this fits */
        }
        return value > -limit && value < limit;
    }
    case FH_TYPE_TIMESTAMP:
        return value >= FH_TIMESTAMP_US_MIN && value <= FH_TIMESTAMP_US_MAX;
    case FH_TYPE_DATE:
        return value >= FH_DAYS_MIN && value <= FH_DAYS_MAX;
    case FH_TYPE_BOOL:
    case FH_TYPE_FLOAT32:
    case FH_TYPE_FLOAT64:
    case FH_TYPE_TEXT:
    case FH_TYPE_BYTES:
    case FH_TYPE_UUID:
    case FH_TYPE_JSON:
        break;
    }
    return false;
}

bool fh_real_normalize(double *value, enum fh_type type)
{
    if (!isfinite(*value)) {
        return false;
    }
    if (type == FH_TYPE_FLOAT32) {
        /* Beyond the largest float plus half a step the conversion overflows. */
        if (fabs(*value) > (double)FLT_MAX * (1.0 + (double)FLT_EPSILON / 4.0)) {
            return false;
        }
        float narrow = (float)*value;
        if (!isfinite(narrow)) {
            return false;
        }
        *value = (double)narrow;
    }
    if (*value == 0.0) {
        *value = 0.0; /* the sign of zero is not kept */
    }
    return true;
}

size_t fh_text_characters(struct fh_str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += ((unsigned char)text.data[i] & 0xC0) != 0x80;
    }
    return count;
}

static enum fh_code canonicalize_bytes(struct fh_value *value, const struct fh_column *column,
                                       struct fh_arena *arena, struct fh_error *error)
{
    if (value->as.bytes.len > FH_VALUE_BYTES_MAX) {
        return invalid(error, column, "longer than 1 MiB");
    }
    switch (column->type) {
    case FH_TYPE_TEXT:
        if (!fh_str_is_text(value->as.bytes)) {
            return invalid(error, column, "not UTF-8 text, or holds a NUL");
        }
        if (column->length_max > 0 && fh_text_characters(value->as.bytes) > column->length_max) {
            return fh_error_set(error, FH_INVALID, "%.*s: longer than %u characters",
                                FH_STR_ARG(column->name), column->length_max);
        }
        return FH_OK;
    case FH_TYPE_JSON:
        return fh_json_canonicalize(value->as.bytes, arena, &value->as.bytes, error);
    default:
        return FH_OK;
    }
}

enum fh_code fh_value_canonicalize(struct fh_value *value, const struct fh_column *column,
                                   struct fh_arena *arena, struct fh_error *error)
{
    if (value->type != column->type) {
        return fh_error_set(error, FH_INVALID, "%.*s: is %s, not %s", FH_STR_ARG(column->name),
                            fh_type_name(column->type), fh_type_name(value->type));
    }
    if (value->is_null) {
        return FH_OK;
    }
    switch (value->type) {
    case FH_TYPE_BOOL:
    case FH_TYPE_UUID:
        return FH_OK;
    case FH_TYPE_INT16:
    case FH_TYPE_INT32:
    case FH_TYPE_INT64:
    case FH_TYPE_NUMERIC:
    case FH_TYPE_TIMESTAMP:
    case FH_TYPE_DATE:
        if (!fh_integer_in_range(value->as.integer, column)) {
            return invalid(error, column, "out of the type's range");
        }
        return FH_OK;
    case FH_TYPE_FLOAT32:
    case FH_TYPE_FLOAT64:
        if (!fh_real_normalize(&value->as.real, value->type)) {
            return invalid(error, column, "not a finite number of the type's range");
        }
        return FH_OK;
    case FH_TYPE_TEXT:
    case FH_TYPE_BYTES:
    case FH_TYPE_JSON:
        return canonicalize_bytes(value, column, arena, error);
    }
    return invalid(error, column, "unknown type");
}

static int order(bool less, bool greater)
{
    return less ? -1 : (greater ? 1 : 0);
}

int fh_value_compare(const struct fh_value *a, const struct fh_value *b)
{
    FH_ASSERT(a->type == b->type);
    if (a->is_null || b->is_null) {
        return order(!a->is_null && b->is_null, a->is_null && !b->is_null);
    }
    switch (a->type) {
    case FH_TYPE_BOOL:
        return order(!a->as.boolean && b->as.boolean, a->as.boolean && !b->as.boolean);
    case FH_TYPE_INT16:
    case FH_TYPE_INT32:
    case FH_TYPE_INT64:
    case FH_TYPE_NUMERIC:
    case FH_TYPE_TIMESTAMP:
    case FH_TYPE_DATE:
        return order(a->as.integer<b->as.integer, a->as.integer> b->as.integer);
    case FH_TYPE_FLOAT32:
    case FH_TYPE_FLOAT64:
        return order(a->as.real<b->as.real, a->as.real> b->as.real);
    case FH_TYPE_TEXT:
    case FH_TYPE_BYTES:
    case FH_TYPE_JSON:
        return fh_str_cmp(a->as.bytes, b->as.bytes);
    case FH_TYPE_UUID:
        return memcmp(a->as.uuid.bytes, b->as.uuid.bytes, sizeof(a->as.uuid.bytes));
    }
    FH_UNREACHABLE();
}

enum fh_code fh_value_copy(const struct fh_value *in, struct fh_arena *arena, struct fh_value *out)
{
    struct fh_value copy = *in;
    bool has_bytes =
        in->type == FH_TYPE_TEXT || in->type == FH_TYPE_BYTES || in->type == FH_TYPE_JSON;
    if (has_bytes && !in->is_null) {
        enum fh_code code = fh_arena_str(arena, in->as.bytes, &copy.as.bytes);
        if (code != FH_OK) {
            return code;
        }
    }
    *out = copy;
    return FH_OK;
}
