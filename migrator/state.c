/* Happy path: one byte of format, fixed fields in big-endian order, then lengths and bytes; all of
 * it in hexadecimal. Failures: whatever does not read back exactly is FH_CORRUPT. */
#include "migrator/state.h"

#include "base/buf.h"
#include "base/codec.h"
#include "stores/image.h"

#define FORMAT 1

static const struct fh_column *key_column(const struct fh_table *table, uint16_t i)
{
    return &table->columns[table->key[i]];
}

static void encode_key(const struct fh_key *key, struct fh_buf *out)
{
    for (uint16_t i = 0; i < key->table->key_count; i++) {
        struct fh_buf value;
        fh_buf_init(&value, FH_MOVE_STATE_MAX);
        fh_value_encode(&key->values[i], key_column(key->table, i), &value);
        if (value.code != FH_OK) {
            out->code = value.code;
        }
        fh_buf_add_be32(out, (uint32_t)value.len);
        fh_buf_add_str(out, fh_buf_str(&value));
        fh_buf_close(&value);
    }
}

enum fh_code fh_run_state_encode(const struct fh_run_state *state, struct fh_arena *arena,
                                 struct fh_str *out)
{
    const struct fh_position *position = &state->position;
    struct fh_buf buf;
    fh_buf_init(&buf, FH_MOVE_STATE_MAX / 2);
    fh_buf_add_char(&buf, FORMAT);
    fh_buf_add(&buf, state->move.bytes, sizeof(state->move.bytes));
    fh_buf_add_be64(&buf, state->epoch);
    fh_buf_add_be32(&buf, state->schema_version);
    fh_buf_add_char(&buf, state->following ? 1 : 0);
    fh_buf_add_be64(&buf, state->rows_copied);
    fh_buf_add_be64(&buf, state->records_copied);
    fh_buf_add_be32(&buf, (uint32_t)state->cursor.len);
    fh_buf_add_str(&buf, state->cursor);
    fh_buf_add_be32(&buf, position->table);
    fh_buf_add_be64(&buf, position->epoch);
    fh_buf_add_be64(&buf, position->seq);
    fh_buf_add_char(&buf, position->has_key ? 1 : 0);
    if (position->has_key) {
        encode_key(&position->key, &buf);
    }
    enum fh_code code = fh_buf_code(&buf);
    char *text = code == FH_OK ? fh_arena_alloc(arena, 2 * buf.len + 1) : NULL;
    if (text != NULL) {
        fh_hex_encode(buf.data, buf.len, text);
        *out = (struct fh_str){.data = text, .len = 2 * buf.len};
    } else if (code == FH_OK) {
        code = FH_NOMEM;
    }
    fh_buf_close(&buf);
    return code;
}

struct reader {
    const uint8_t *at;
    size_t left;
    bool failed;
};

static const uint8_t *take(struct reader *reader, size_t len)
{
    if (reader->failed || reader->left < len) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *bytes = reader->at;
    reader->at += len;
    reader->left -= len;
    return bytes;
}

static uint64_t take64(struct reader *reader)
{
    const uint8_t *bytes = take(reader, 8);
    return bytes != NULL ? fh_be64(bytes) : 0;
}

static uint32_t take32(struct reader *reader)
{
    const uint8_t *bytes = take(reader, 4);
    return bytes != NULL ? fh_be32(bytes) : 0;
}

static bool take_flag(struct reader *reader)
{
    const uint8_t *byte = take(reader, 1);
    return byte != NULL && *byte == 1;
}

static struct fh_str take_text(struct reader *reader)
{
    uint32_t len = take32(reader);
    const uint8_t *bytes = take(reader, len);
    return (struct fh_str){.data = (const char *)bytes, .len = bytes != NULL ? len : 0};
}

static enum fh_code take_position(struct reader *reader, const struct fh_schema *schema,
                                  struct fh_position *out)
{
    out->table = take32(reader);
    out->epoch = take64(reader);
    out->seq = take64(reader);
    out->has_key = take_flag(reader);
    if (reader->failed || out->table > schema->table_count + 1 ||
        (out->has_key && out->table >= schema->table_count)) {
        return FH_CORRUPT;
    }
    if (!out->has_key) {
        return FH_OK;
    }
    out->key.table = schema->tables[out->table];
    for (uint16_t i = 0; i < out->key.table->key_count; i++) {
        struct fh_str value = take_text(reader);
        if (reader->failed ||
            fh_value_decode(value, key_column(out->key.table, i), &out->key.values[i]) != FH_OK) {
            return FH_CORRUPT;
        }
    }
    return FH_OK;
}

enum fh_code fh_run_state_decode(struct fh_str text, const struct fh_schema *schema,
                                 struct fh_arena *arena, struct fh_run_state *out)
{
    *out = (struct fh_run_state){.following = false};
    if (text.len % 2 != 0 || text.len > FH_MOVE_STATE_MAX) {
        return FH_CORRUPT;
    }
    uint8_t *bytes = fh_arena_alloc(arena, text.len / 2 + 1);
    if (bytes == NULL) {
        return FH_NOMEM;
    }
    if (!fh_hex_decode(text, bytes, text.len / 2)) {
        return FH_CORRUPT;
    }
    struct reader reader = {.at = bytes, .left = text.len / 2};
    const uint8_t *format = take(&reader, 1);
    const uint8_t *move = take(&reader, sizeof(out->move.bytes));
    if (format == NULL || *format != FORMAT || move == NULL) {
        return FH_CORRUPT;
    }
    memcpy(out->move.bytes, move, sizeof(out->move.bytes));
    out->epoch = take64(&reader);
    out->schema_version = take32(&reader);
    if (reader.failed || out->schema_version != schema->version) {
        return reader.failed ? FH_CORRUPT : FH_OK;
    }
    out->following = take_flag(&reader);
    out->rows_copied = take64(&reader);
    out->records_copied = take64(&reader);
    out->cursor = take_text(&reader);
    enum fh_code code = take_position(&reader, schema, &out->position);
    return code == FH_OK && reader.left != 0 ? FH_CORRUPT : code;
}

enum fh_code fh_key_copy(const struct fh_key *key, struct fh_arena *arena, struct fh_key *out)
{
    out->table = key->table;
    for (uint16_t i = 0; i < key->table->key_count; i++) {
        enum fh_code code = fh_value_copy(&key->values[i], arena, &out->values[i]);
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}
