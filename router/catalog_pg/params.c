/* Happy path: PostgreSQL's binary forms are the bytes themselves, or integers in network order.
 *
 * Failures: an arena that is full is the arena's code; a form that is not the one expected is
 * FH_CORRUPT, and nothing is read past a value's length.
 */
#include "router/catalog_pg/params.h"

#include <string.h>

#include "base/assert.h"

#define BINARY 1
#define TEXT_OID 25

static void add(struct fh_catalog_pg_params *params, const void *data, size_t len)
{
    FH_ASSERT(params->count < FH_CATALOG_PG_PARAMS_MAX);
    FH_ASSERT(len <= INT32_MAX);
    params->values[params->count] = data;
    params->lengths[params->count] = (int)len;
    params->formats[params->count] = BINARY;
    params->count++;
}

void fh_catalog_pg_param_text(struct fh_catalog_pg_params *params, struct fh_str text)
{
    add(params, text.len > 0 ? text.data : "", text.len);
}

void fh_catalog_pg_param_text_or_null(struct fh_catalog_pg_params *params, struct fh_str text)
{
    add(params, text.len > 0 ? text.data : NULL, text.len);
}

void fh_catalog_pg_param_uuid(struct fh_catalog_pg_params *params, const struct fh_uuid *uuid)
{
    add(params, uuid->bytes, sizeof(uuid->bytes));
}

void fh_catalog_pg_param_bytes(struct fh_catalog_pg_params *params, const void *data, size_t len)
{
    add(params, data, len);
}

void fh_catalog_pg_param_int(struct fh_catalog_pg_params *params, int64_t value)
{
    FH_ASSERT(params->count < FH_CATALOG_PG_PARAMS_MAX);
    uint8_t *bytes = params->numbers[params->count];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)((uint64_t)value >> (56 - 8 * i));
    }
    add(params, bytes, 8);
}

void fh_catalog_pg_param_bool(struct fh_catalog_pg_params *params, bool value)
{
    add(params, value ? "\1" : "\0", 1);
}

static uint64_t big_endian(const uint8_t *bytes, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

/* False: no such column, or NULL. */
static bool value_of(const PGresult *result, int row, int column, struct fh_str *out)
{
    if (row >= PQntuples(result) || column >= PQnfields(result) ||
        PQfformat(result, column) != BINARY || PQgetisnull(result, row, column) != 0) {
        return false;
    }
    out->data = PQgetvalue(result, row, column);
    out->len = (size_t)PQgetlength(result, row, column);
    return true;
}

bool fh_catalog_pg_is_null(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) != 0;
}

enum fh_code fh_catalog_pg_text(const PGresult *result, int row, int column, struct fh_arena *arena,
                                struct fh_str *out)
{
    struct fh_str text;
    return value_of(result, row, column, &text) ? fh_arena_str(arena, text, out) : FH_CORRUPT;
}

enum fh_code fh_catalog_pg_name(const PGresult *result, int row, int column, char *out, size_t size)
{
    struct fh_str text;
    if (!value_of(result, row, column, &text) || text.len == 0 || text.len >= size) {
        return FH_CORRUPT;
    }
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return FH_OK;
}

enum fh_code fh_catalog_pg_bytes(const PGresult *result, int row, int column, void *out, size_t len)
{
    struct fh_str bytes;
    if (!value_of(result, row, column, &bytes) || bytes.len != len) {
        return FH_CORRUPT;
    }
    memcpy(out, bytes.data, len);
    return FH_OK;
}

enum fh_code fh_catalog_pg_uuid(const PGresult *result, int row, int column, struct fh_uuid *out)
{
    return fh_catalog_pg_bytes(result, row, column, out->bytes, sizeof(out->bytes));
}

enum fh_code fh_catalog_pg_int(const PGresult *result, int row, int column, int64_t min,
                               int64_t max, int64_t *out)
{
    uint8_t bytes[8];
    enum fh_code code = fh_catalog_pg_bytes(result, row, column, bytes, sizeof(bytes));
    if (code != FH_OK) {
        return code;
    }
    int64_t value = (int64_t)big_endian(bytes, sizeof(bytes));
    if (value < min || value > max) {
        return FH_CORRUPT;
    }
    *out = value;
    return FH_OK;
}

enum fh_code fh_catalog_pg_bool(const PGresult *result, int row, int column, bool *out)
{
    uint8_t byte = 0;
    enum fh_code code = fh_catalog_pg_bytes(result, row, column, &byte, 1);
    *out = byte != 0;
    return code;
}

/* The next four bytes of what is left. */
static bool take_int32(struct fh_str *left, uint32_t *out)
{
    if (left->len < 4) {
        return false;
    }
    *out = (uint32_t)big_endian((const uint8_t *)left->data, 4);
    left->data += 4;
    left->len -= 4;
    return true;
}

/* Dimensions, flags, element type, then size and lower bound of each dimension. */
static bool take_array_head(struct fh_str *left, size_t *elements)
{
    uint32_t dimensions = 0;
    uint32_t ignored = 0;
    uint32_t type = 0;
    uint64_t product = 1;
    if (!take_int32(left, &dimensions) || !take_int32(left, &ignored) || !take_int32(left, &type) ||
        type != TEXT_OID || dimensions > 2) {
        return false;
    }
    for (uint32_t i = 0; i < dimensions; i++) {
        uint32_t size = 0;
        if (!take_int32(left, &size) || !take_int32(left, &ignored)) {
            return false;
        }
        product *= size; /* of two 32-bit numbers */
    }
    *elements = dimensions == 0 ? 0 : (size_t)product;
    return true;
}

enum fh_code fh_catalog_pg_texts(const PGresult *result, int row, int column, size_t count_max,
                                 struct fh_arena *arena, struct fh_str **out, size_t *count)
{
    struct fh_str left;
    *out = NULL;
    *count = 0;
    if (column < PQnfields(result) && PQgetisnull(result, row, column) != 0) {
        return FH_OK;
    }
    if (!value_of(result, row, column, &left) || !take_array_head(&left, count) ||
        *count > count_max) {
        return FH_CORRUPT;
    }
    *out = FH_ARENA_ARRAY(arena, struct fh_str, *count);
    if (*out == NULL) {
        return FH_TOO_LARGE;
    }
    for (size_t i = 0; i < *count; i++) {
        uint32_t len = 0;
        if (!take_int32(&left, &len) || len > left.len) { /* NULL is of length -1 */
            return FH_CORRUPT;
        }
        enum fh_code code = fh_arena_str(arena, (struct fh_str){left.data, len}, &(*out)[i]);
        if (code != FH_OK) {
            return code;
        }
        left.data += len;
        left.len -= len;
    }
    return FH_OK;
}
