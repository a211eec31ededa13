/* Field by field; lengths are checked before anything is read. */
#include "stores/pg/rows.h"

#include <string.h>

#include "base/codec.h"
#include "stores/image.h"

static const struct fh_column time_column = {.type = FH_TYPE_TIMESTAMP};

struct fh_str fh_pg_field(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column) != 0) {
        return (struct fh_str){.data = NULL, .len = 0};
    }
    return (struct fh_str){.data = PQgetvalue(result, row, column),
                           .len = (size_t)PQgetlength(result, row, column)};
}

enum fh_code fh_pg_field_copy(const PGresult *result, int row, int column, struct fh_arena *arena,
                              struct fh_str *out)
{
    struct fh_str field = fh_pg_field(result, row, column);
    if (field.data == NULL) {
        *out = field;
        return FH_OK;
    }
    return fh_arena_str(arena, field, out);
}

enum fh_code fh_pg_field_int(const PGresult *result, int row, int column, int64_t *out)
{
    struct fh_str field = fh_pg_field(result, row, column);
    switch (field.data == NULL ? 0 : field.len) {
    case 2:
        *out = (int16_t)fh_be16(field.data);
        return FH_OK;
    case 4:
        *out = (int32_t)fh_be32(field.data);
        return FH_OK;
    case 8:
        *out = (int64_t)fh_be64(field.data);
        return FH_OK;
    default:
        return FH_CORRUPT;
    }
}

enum fh_code fh_pg_field_bool(const PGresult *result, int row, int column, bool *out)
{
    struct fh_str field = fh_pg_field(result, row, column);
    if (field.data == NULL || field.len != 1) {
        return FH_CORRUPT;
    }
    *out = field.data[0] != 0;
    return FH_OK;
}

enum fh_code fh_pg_field_uuid(const PGresult *result, int row, int column, struct fh_uuid *out)
{
    struct fh_str field = fh_pg_field(result, row, column);
    if (field.data == NULL || field.len != sizeof(out->bytes)) {
        return FH_CORRUPT;
    }
    memcpy(out->bytes, field.data, sizeof(out->bytes));
    return FH_OK;
}

enum fh_code fh_pg_field_time(const PGresult *result, int row, int column, int64_t *out_us)
{
    struct fh_str field = fh_pg_field(result, row, column);
    struct fh_value value;
    if (field.data == NULL || fh_value_decode(field, &time_column, &value) != FH_OK) {
        return FH_CORRUPT;
    }
    *out_us = value.as.integer;
    return FH_OK;
}

static enum fh_code read_values(const PGresult *result, int row, int first, struct fh_arena *arena,
                                struct fh_row *out)
{
    for (uint16_t i = 0; i < out->table->column_count; i++) {
        const struct fh_column *column = &out->table->columns[i];
        struct fh_str field = fh_pg_field(result, row, first + i);
        struct fh_value *value = &out->values[i];
        if (field.data == NULL) {
            continue; /* null as created */
        }
        enum fh_code code = fh_value_decode(field, column, value);
        if (code != FH_OK) {
            return code;
        }
        if (column->type == FH_TYPE_TEXT || column->type == FH_TYPE_BYTES ||
            column->type == FH_TYPE_JSON) {
            code = fh_arena_str(arena, field, &value->as.bytes);
            if (code != FH_OK) {
                return code;
            }
        }
    }
    return FH_OK;
}

enum fh_code fh_pg_row_read(const PGresult *result, int row, int first,
                            const struct fh_table *table, struct fh_arena *arena,
                            struct fh_row **out)
{
    *out = NULL;
    if (PQnfields(result) != first + table->column_count + 5) {
        return FH_CORRUPT;
    }
    if (PQgetisnull(result, row, first) != 0) {
        return FH_OK;
    }
    struct fh_row *made = fh_row_create(table, arena);
    if (made == NULL) {
        return FH_NOMEM;
    }
    enum fh_code code = fh_pg_field_uuid(result, row, first, &made->tenant);
    if (code == FH_OK) {
        code = read_values(result, row, first + 1, arena, made);
    }
    int system = first + 1 + table->column_count;
    if (code == FH_OK) {
        code = fh_pg_field_time(result, row, system, &made->created_at_us);
    }
    if (code == FH_OK) {
        code = fh_pg_field_time(result, row, system + 1, &made->updated_at_us);
    }
    if (code == FH_OK && PQgetisnull(result, row, system + 2) == 0) {
        code = fh_pg_field_time(result, row, system + 2, &made->deleted_at_us);
    }
    if (code == FH_OK) {
        code = fh_pg_field_int(result, row, system + 3, &made->version);
    }
    if (code == FH_OK) {
        *out = made;
    }
    return code;
}

enum fh_code fh_pg_fence_check(struct fh_pg_op *op, const PGresult *result, int epoch_column,
                               int mode_column, bool writes)
{
    struct fh_request *request = op->request;
    int64_t epoch = 0;
    int64_t mode = 0;
    if (PQntuples(result) == 0) {
        return FH_NO_TENANT;
    }
    if (fh_pg_field_int(result, 0, epoch_column, &epoch) != FH_OK ||
        fh_pg_field_int(result, 0, mode_column, &mode) != FH_OK || mode < FH_FENCE_OPEN ||
        mode > FH_FENCE_INCOMING) {
        return FH_CORRUPT;
    }
    bool open = mode == FH_FENCE_OPEN || (!writes && mode == FH_FENCE_FROZEN);
    if (open && (uint64_t)epoch == request->scope.epoch) {
        return FH_OK;
    }
    request->epoch_seen = (uint64_t)epoch;
    request->mode_seen = (enum fh_fence_mode)mode;
    return FH_MOVED;
}
