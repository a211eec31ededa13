/* Happy path: the changes are read as JSON, each finds its table and key in the record's schema,
 * and takes the next pair of images.
 *
 * Failures: FH_CORRUPT when the halves do not fit together or not the schema; FH_UNAVAILABLE when
 * the record was made under a schema this process does not know yet; FH_NOMEM; FH_TOO_LARGE when
 * the arena's bound is reached.
 */
#include "stores/commit_record.h"

#include "base/json.h"
#include "stores/cascade.h"
#include "stores/image.h"

/* What references' actions add stands behind the commit's own writes. */
#define CHANGES_MAX (FH_COMMIT_WRITES_MAX + FH_CASCADE_ROWS_MAX)

static bool op_of_letter(const char *letter, enum fh_write_op *out)
{
    for (int op = FH_WRITE_INSERT; op <= FH_WRITE_PURGE; op++) {
        if (letter[0] == fh_write_op_letter((enum fh_write_op)op) && letter[1] == '\0') {
            *out = (enum fh_write_op)op;
            return true;
        }
    }
    return false;
}

static struct fh_str string_at(json_t *array, size_t index)
{
    json_t *node = json_array_get(array, index);
    return (struct fh_str){.data = json_string_value(node), .len = json_string_length(node)};
}

static enum fh_code change_decode(json_t *node, const struct fh_schema *schema,
                                  struct fh_arena *arena, struct fh_change *out)
{
    struct fh_str op = string_at(node, 0);
    struct fh_str name = string_at(node, 1);
    if (op.data == NULL || name.data == NULL || !op_of_letter(op.data, &out->op)) {
        return FH_CORRUPT;
    }
    const struct fh_table *table = fh_schema_table(schema, name);
    if (table == NULL || json_array_size(node) != 2 + (size_t)table->key_count) {
        return FH_CORRUPT;
    }
    out->table = table;
    out->key.table = table;
    for (uint16_t k = 0; k < table->key_count; k++) {
        struct fh_str part = string_at(node, 2 + (size_t)k);
        if (part.data == NULL) {
            return FH_CORRUPT;
        }
        enum fh_code code =
            fh_value_parse(part, &table->columns[table->key[k]], arena, &out->key.values[k], NULL);
        if (code != FH_OK) {
            return code == FH_INVALID ? FH_CORRUPT : code;
        }
    }
    return FH_OK;
}

static enum fh_code changes_decode(struct fh_commit_record *record, struct fh_str changes,
                                   const struct fh_schema *schema, struct fh_arena *arena)
{
    json_error_t where;
    json_t *root = NULL;
    enum fh_code code = fh_json_parse(changes, &root, &where);
    if (code != FH_OK) {
        return code == FH_INVALID ? FH_CORRUPT : code;
    }
    code = FH_CORRUPT;
    size_t count = json_array_size(root);
    if (!json_is_array(root) || count == 0 || count > CHANGES_MAX) {
        goto out;
    }
    code = FH_NOMEM;
    record->changes = FH_ARENA_ARRAY(arena, struct fh_change, count);
    if (record->changes == NULL) {
        goto out;
    }
    code = FH_OK;
    for (size_t i = 0; i < count && code == FH_OK; i++) {
        code = change_decode(json_array_get(root, i), schema, arena, &record->changes[i]);
    }
    record->change_count = count;
out:
    json_decref(root);
    return code;
}

static enum fh_code images_decode(struct fh_commit_record *record, struct fh_str images,
                                  struct fh_arena *arena)
{
    struct fh_images_reader reader;
    enum fh_code code = fh_images_open(images, &reader);
    struct fh_str before = {.len = 0};
    struct fh_str after = {.len = 0};
    for (size_t i = 0; i < record->change_count && code == FH_OK; i++) {
        struct fh_change *change = &record->changes[i];
        code = fh_images_next(&reader, &before, &after);
        if (code == FH_OK && before.data != NULL) {
            code = fh_image_decode(before, change->table, &record->tenant, arena, &change->before);
        }
        if (code == FH_OK && after.data != NULL) {
            code = fh_image_decode(after, change->table, &record->tenant, arena, &change->after);
        }
    }
    if (code == FH_NOT_FOUND || (code == FH_OK && reader.rest.len != 0)) {
        return FH_CORRUPT; /* fewer or more images than changes */
    }
    return code;
}

enum fh_code fh_commit_record_decode(struct fh_commit_record *record, struct fh_str changes,
                                     struct fh_str images, const struct fh_schema *schema,
                                     struct fh_arena *arena)
{
    record->changes = NULL;
    record->change_count = 0;
    const struct fh_schema *at = fh_schema_at(schema, record->schema_version);
    if (at == NULL) {
        return record->schema_version > schema->version ? FH_UNAVAILABLE : FH_CORRUPT;
    }
    enum fh_code code = changes_decode(record, changes, at, arena);
    if (code == FH_OK && images.data != NULL) {
        code = images_decode(record, images, arena);
    }
    if (code != FH_OK) {
        record->changes = NULL;
        record->change_count = 0;
    }
    return code;
}

enum fh_code fh_commit_replay(struct fh_op_commit *commit, const uint8_t stored_hash[32],
                              const struct fh_commit_record *record, struct fh_arena *arena)
{
    if (memcmp(commit->request_hash, stored_hash, sizeof(commit->request_hash)) != 0) {
        return FH_REQUEST_ID_REUSED;
    }
    if (record->change_count < commit->count) {
        return FH_CORRUPT; /* the same request has the same writes; what followed stands behind */
    }
    commit->rows = FH_ARENA_ARRAY(arena, struct fh_row *, commit->count);
    if (commit->rows == NULL) {
        return FH_NOMEM;
    }
    for (size_t i = 0; i < commit->count; i++) {
        commit->rows[i] = record->changes[i].after;
    }
    commit->seq = record->seq;
    commit->at_us = record->at_us;
    commit->replayed = true;
    return FH_OK;
}
