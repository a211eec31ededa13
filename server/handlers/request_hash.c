/* Every part goes in with its length or count before it, so that no two requests give the same
 * bytes. */
#include "server/handlers/request_hash.h"

#include <openssl/evp.h>

#include "base/buf.h"
#include "stores/image.h"

#define HASHED_BYTES_MAX (64 * 1024 * 1024)

static void add_str(struct fh_buf *buf, struct fh_str s)
{
    fh_buf_add_be32(buf, (uint32_t)s.len);
    fh_buf_add_str(buf, s);
}

static void add_value(struct fh_buf *buf, const struct fh_value *value,
                      const struct fh_column *column)
{
    fh_buf_add_char(buf, value->is_null ? 1 : 0);
    if (value->is_null) {
        return;
    }
    bool is_bytes = column->type == FH_TYPE_TEXT || column->type == FH_TYPE_BYTES ||
                    column->type == FH_TYPE_JSON;
    if (is_bytes) { /* the one kind whose length is not in its encoding */
        fh_buf_add_be32(buf, (uint32_t)value->as.bytes.len);
    }
    fh_value_encode(value, column, buf);
}

static void add_write(struct fh_buf *buf, const struct fh_write *write)
{
    const struct fh_table *table = write->key.table;
    fh_buf_add_be32(buf, (uint32_t)write->op);
    add_str(buf, table->name);
    for (uint16_t i = 0; i < table->key_count; i++) {
        add_value(buf, &write->key.values[i], &table->columns[table->key[i]]);
    }
    fh_buf_add_char(buf, write->insert_if_missing ? 1 : 0);
    fh_buf_add_be32(buf, (uint32_t)write->expect);
    fh_buf_add_be64(buf, (uint64_t)write->expect_version);
    fh_buf_add_be64(buf, (uint64_t)write->expect_created_at_us);
    fh_buf_add_be32(buf, write->assignment_count);
    for (uint16_t i = 0; i < write->assignment_count; i++) {
        const struct fh_assignment *assignment = &write->assignments[i];
        const struct fh_column *column = &table->columns[assignment->column];
        add_str(buf, column->name);
        fh_buf_add_be32(buf, (uint32_t)assignment->transform);
        if (assignment->transform != FH_TRANSFORM_SERVER_TIME) {
            add_value(buf, &assignment->value, column);
        }
    }
}

enum fh_code fh_request_hash(const char *method, const struct fh_write *writes, size_t count,
                             uint8_t out[32])
{
    struct fh_buf buf;
    fh_buf_init(&buf, HASHED_BYTES_MAX);
    add_str(&buf, fh_str_of(method));
    fh_buf_add_be32(&buf, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        add_write(&buf, &writes[i]);
    }
    enum fh_code code = fh_buf_code(&buf);
    if (code == FH_OK) {
        unsigned len = 0;
        if (EVP_Digest(buf.data, buf.len, out, &len, EVP_sha256(), NULL) != 1) {
            code = FH_NOMEM;
        }
    }
    fh_buf_close(&buf);
    return code;
}
