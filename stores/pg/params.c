/* Each add notes where its value starts and how long it is; finish turns offsets into pointers. Too
 * many parameters or too many bytes: FH_TOO_LARGE, out of memory: FH_NOMEM, both told by finish.
 */
#include "stores/pg/params.h"

#include "stores/image.h"

static const struct fh_column time_column = {.type = FH_TYPE_TIMESTAMP};

void fh_pg_params_init(struct fh_pg_params *params)
{
    params->count = 0;
    params->code = FH_OK;
    fh_buf_init(&params->bytes, FH_PG_PARAMS_BYTES_MAX);
}

void fh_pg_params_close(struct fh_pg_params *params)
{
    fh_buf_close(&params->bytes);
}

void fh_pg_params_clear(struct fh_pg_params *params)
{
    params->count = 0;
    params->code = FH_OK;
    fh_buf_clear(&params->bytes);
}

/* The slot for the next value, or -1. */
static int begin(struct fh_pg_params *params)
{
    if (params->count == FH_PG_PARAMS_MAX) {
        params->code = FH_TOO_LARGE;
        return -1;
    }
    int at = params->count++;
    params->offsets[at] = params->bytes.len;
    params->formats[at] = 1;
    params->lengths[at] = -1;
    return at;
}

static void end(struct fh_pg_params *params, int at)
{
    if (at >= 0) {
        params->lengths[at] = (int)(params->bytes.len - params->offsets[at]);
    }
}

void fh_pg_add_null(struct fh_pg_params *params)
{
    (void)begin(params);
}

void fh_pg_add_int16(struct fh_pg_params *params, int16_t value)
{
    int at = begin(params);
    fh_buf_add_be16(&params->bytes, (uint16_t)value);
    end(params, at);
}

void fh_pg_add_int32(struct fh_pg_params *params, int32_t value)
{
    int at = begin(params);
    fh_buf_add_be32(&params->bytes, (uint32_t)value);
    end(params, at);
}

void fh_pg_add_int64(struct fh_pg_params *params, int64_t value)
{
    int at = begin(params);
    fh_buf_add_be64(&params->bytes, (uint64_t)value);
    end(params, at);
}

void fh_pg_add_bytes(struct fh_pg_params *params, struct fh_str bytes)
{
    int at = begin(params);
    fh_buf_add_str(&params->bytes, bytes);
    end(params, at);
}

void fh_pg_add_uuid(struct fh_pg_params *params, const struct fh_uuid *uuid)
{
    int at = begin(params);
    fh_buf_add(&params->bytes, uuid->bytes, sizeof(uuid->bytes));
    end(params, at);
}

void fh_pg_add_uuid_text(struct fh_pg_params *params, const struct fh_uuid *uuid)
{
    char text[FH_UUID_TEXT_LEN + 1];
    fh_uuid_format(uuid, text);
    fh_pg_add_bytes(params, (struct fh_str){.data = text, .len = FH_UUID_TEXT_LEN});
}

void fh_pg_add_time(struct fh_pg_params *params, int64_t at_us)
{
    const struct fh_value value = {.type = FH_TYPE_TIMESTAMP, .as.integer = at_us};
    fh_pg_add_value(params, &value, &time_column);
}

void fh_pg_add_value(struct fh_pg_params *params, const struct fh_value *value,
                     const struct fh_column *column)
{
    int at = begin(params);
    if (!value->is_null) {
        fh_value_encode(value, column, &params->bytes);
        end(params, at);
    }
}

void fh_pg_add_key(struct fh_pg_params *params, const struct fh_key *key)
{
    for (uint16_t i = 0; i < key->table->key_count; i++) {
        fh_pg_add_value(params, &key->values[i], &key->table->columns[key->table->key[i]]);
    }
}

void fh_pg_add_row(struct fh_pg_params *params, const struct fh_row *row)
{
    for (uint16_t i = 0; i < row->table->column_count; i++) {
        fh_pg_add_value(params, &row->values[i], &row->table->columns[i]);
    }
    fh_pg_add_time(params, row->created_at_us);
    fh_pg_add_time(params, row->updated_at_us);
    if (row->deleted_at_us == 0) {
        fh_pg_add_null(params);
    } else {
        fh_pg_add_time(params, row->deleted_at_us);
    }
    fh_pg_add_int64(params, row->version);
}

static void patch_be32(char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (char)(uint8_t)(value >> (24 - 8 * i));
    }
}

void fh_pg_array_begin(struct fh_pg_params *params, enum fh_type type, size_t count)
{
    (void)begin(params);
    fh_buf_add_be32(&params->bytes, 1); /* dimensions */
    fh_buf_add_be32(&params->bytes, 1); /* there may be nulls */
    fh_buf_add_be32(&params->bytes, fh_type_oid(type));
    fh_buf_add_be32(&params->bytes, (uint32_t)count);
    fh_buf_add_be32(&params->bytes, 1); /* the first one's index */
}

void fh_pg_array_add(struct fh_pg_params *params, const struct fh_value *value,
                     const struct fh_column *column)
{
    struct fh_buf *bytes = &params->bytes;
    size_t at = bytes->len;
    fh_buf_add_be32(bytes, UINT32_MAX); /* null, or the length once it is known */
    if (value->is_null) {
        return;
    }
    fh_value_encode(value, column, bytes);
    if (fh_buf_code(bytes) == FH_OK) {
        patch_be32(bytes->data + at, (uint32_t)(bytes->len - at - 4));
    }
}

void fh_pg_array_end(struct fh_pg_params *params)
{
    if (params->code == FH_OK) {
        end(params, params->count - 1);
    }
}

enum fh_code fh_pg_params_finish(struct fh_pg_params *params)
{
    if (params->code == FH_OK) {
        params->code = fh_buf_code(&params->bytes);
    }
    if (params->code != FH_OK) {
        return params->code;
    }
    for (int i = 0; i < params->count; i++) {
        /* An empty value needs a pointer too: NULL would mean null. */
        params->values[i] = params->lengths[i] < 0       ? NULL
                            : params->bytes.data == NULL ? ""
                                                         : params->bytes.data + params->offsets[i];
        if (params->lengths[i] < 0) {
            params->lengths[i] = 0;
        }
    }
    return FH_OK;
}
