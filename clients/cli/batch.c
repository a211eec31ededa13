/* Happy path: a row's key columns make the record's name, the others its fields; the write is built
 * in the batch's arena and its packed size added up. Failures name the column; a wrong row leaves
 * its memory behind until the batch is reset, which the arena's bound limits. */
#include "clients/cli/batch.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/codec.h"
#include "clients/cli/convert.h"
#include "clients/cli/text.h"

/* Rows, names and protobuf-c's structs around 1 MiB of values; a row of 3 MiB fits, too. */
#define ARENA_BYTES_MAX (64u << 20)
#define NAME_BYTES_MAX 8192
#define KEY_MAX 32
#define NUMBER_LEN_MAX 32
#define DIGEST_BYTES 32
#define ID_BYTES 20 /* of the digest; 160 bits are plenty */

struct fh_str fh_batch_name_key(const void *item)
{
    return ((const struct fh_batch_name *)item)->name;
}

struct fh_batch *fh_batch_create(void)
{
    struct fh_batch *batch = fh_calloc(1, sizeof(*batch));
    if (batch != NULL) {
        fh_arena_init(&batch->arena, ARENA_BYTES_MAX);
    }
    return batch;
}

void fh_batch_destroy(struct fh_batch *batch)
{
    if (batch != NULL) {
        fh_arena_close(&batch->arena);
        fh_free(batch);
    }
}

void fh_batch_reset(struct fh_batch *batch, struct fh_map *names)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct fh_batch_name *item = fh_map_get(names, batch->rows[i].name.name);
        if (item != NULL && item->batch == batch) { /* a later batch may have taken it over */
            (void)fh_map_remove(names, batch->rows[i].name.name);
        }
    }
    fh_arena_reset(&batch->arena);
    batch->count = 0;
    batch->bytes = 0;
    batch->waits = false;
}

static enum fh_code no_memory(struct fh_error *error)
{
    return fh_error_set(error, FH_NOMEM, "a batch of rows does not fit into memory");
}

/* -- The name -----------------------------------------------------------------------------------
 */

static const struct fh_cell *find_cell(const struct fh_row *row, const char *name)
{
    const struct fh_str wanted = fh_str_of(name);
    for (size_t i = 0; i < row->count; i++) {
        if (fh_str_eq(row->cells[i].name, wanted)) {
            return &row->cells[i];
        }
    }
    return NULL;
}

static enum fh_code key_text(const struct fh_cell *cell, struct fh_arena *arena, struct fh_str *out,
                             struct fh_error *error)
{
    char number[NUMBER_LEN_MAX];
    if (cell->json == NULL) {
        *out = cell->text;
        return FH_OK;
    }
    switch (json_typeof(cell->json)) {
    case JSON_STRING:
        *out = (struct fh_str){.data = json_string_value(cell->json),
                               .len = json_string_length(cell->json)};
        return FH_OK;
    case JSON_TRUE:
        *out = FH_STR("true");
        return FH_OK;
    case JSON_FALSE:
        *out = FH_STR("false");
        return FH_OK;
    case JSON_INTEGER:
        (void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
                       json_integer_value(cell->json));
        return fh_arena_str(arena, fh_str_of(number), out) == FH_OK ? FH_OK : no_memory(error);
    default:
        return fh_error_set(error, FH_INVALID, "a key is text or a whole number");
    }
}

static enum fh_code make_name(struct fh_batch *batch, const struct fh_batch_plan *plan,
                              const struct fh_row *row, struct fh_str *out, struct fh_error *error)
{
    struct fh_str parts[KEY_MAX];
    struct fh_buf name;
    const struct fh_columns *columns = plan->columns;
    if (columns->key_count > KEY_MAX) {
        return fh_error_set(error, FH_INVALID, "the key has more than %d columns", KEY_MAX);
    }
    for (size_t i = 0; i < columns->key_count; i++) {
        struct fh_error cause = FH_ERROR_INIT;
        const struct fh_cell *cell = find_cell(row, columns->key[i]);
        if (cell == NULL || cell->empty || json_is_null(cell->json)) {
            return fh_error_field(error, FH_INVALID, columns->key[i], "the key is missing");
        }
        const enum fh_code code = key_text(cell, &batch->arena, &parts[i], &cause);
        if (code != FH_OK) {
            return fh_error_field(error, code, columns->key[i], "%s", fh_error_text(&cause));
        }
    }
    fh_buf_init(&name, NAME_BYTES_MAX);
    fh_text_add_record_name(&name, plan->tenant, plan->table, parts, columns->key_count);
    enum fh_code code = fh_buf_code(&name);
    if (code == FH_OK) {
        code =
            fh_arena_str(&batch->arena, fh_buf_str(&name), out) == FH_OK ? FH_OK : no_memory(error);
    } else {
        code = fh_error_field(error, FH_INVALID, columns->key[0], "the key is too long");
    }
    fh_buf_close(&name);
    return code;
}

/* -- The fields ---------------------------------------------------------------------------------
 */

static bool is_key(const struct fh_columns *columns, struct fh_str name)
{
    for (size_t i = 0; i < columns->key_count; i++) {
        if (fh_str_eq(fh_str_of(columns->key[i]), name)) {
            return true;
        }
    }
    return false;
}

static enum fh_code convert(const struct fh_cell *cell, enum fh_kind kind, struct fh_arena *arena,
                            Freehold__V1__Value *out, struct fh_error *error)
{
    if (cell->json != NULL) {
        return fh_convert_json(cell->json, kind, arena, out, error);
    }
    if (cell->empty) {
        freehold__v1__value__init(out);
        out->kind_case = FREEHOLD__V1__VALUE__KIND_NULL_VALUE;
        return FH_OK;
    }
    return fh_convert_text(cell->text, kind, arena, out, error);
}

static enum fh_code add_field(struct fh_batch *batch, const struct fh_columns *columns,
                              const struct fh_cell *cell, Freehold__V1__Record *record,
                              struct fh_error *error)
{
    char name[FH_ERROR_FIELD_MAX];
    struct fh_error cause = FH_ERROR_INIT;
    (void)snprintf(name, sizeof(name), "%.*s",
                   (int)(cell->name.len < sizeof(name) ? cell->name.len : sizeof(name) - 1),
                   cell->name.data);
    if (columns->complete && fh_columns_find(columns, cell->name) == NULL) {
        return fh_error_field(error, FH_INVALID, name, "table %s has no such column",
                              columns->table);
    }
    Freehold__V1__Record__FieldsEntry *entry =
        FH_ARENA_NEW(&batch->arena, Freehold__V1__Record__FieldsEntry);
    Freehold__V1__Value *value = FH_ARENA_NEW(&batch->arena, Freehold__V1__Value);
    char *key = fh_arena_copy(&batch->arena, cell->name.data, cell->name.len);
    if (entry == NULL || value == NULL || key == NULL) {
        return no_memory(error);
    }
    const enum fh_code code =
        convert(cell, fh_columns_kind(columns, cell->name), &batch->arena, value, &cause);
    if (code != FH_OK) {
        return fh_error_field(error, code, name, "%s", fh_error_text(&cause));
    }
    freehold__v1__record__fields_entry__init(entry);
    entry->key = key;
    entry->value = value;
    record->fields[record->n_fields++] = entry;
    return FH_OK;
}

static enum fh_code make_write(struct fh_batch *batch, const struct fh_batch_plan *plan,
                               const struct fh_row *row, struct fh_str name,
                               Freehold__V1__Write **out, struct fh_error *error)
{
    Freehold__V1__Write *write = FH_ARENA_NEW(&batch->arena, Freehold__V1__Write);
    Freehold__V1__Record *record = FH_ARENA_NEW(&batch->arena, Freehold__V1__Record);
    Freehold__V1__Record__FieldsEntry **fields =
        FH_ARENA_ARRAY(&batch->arena, Freehold__V1__Record__FieldsEntry *, row->count);
    if (write == NULL || record == NULL || fields == NULL) {
        return no_memory(error);
    }
    freehold__v1__write__init(write);
    freehold__v1__record__init(record);
    record->name = (char *)(uintptr_t)name.data;
    record->fields = fields;
    for (size_t i = 0; i < row->count; i++) {
        if (!is_key(plan->columns, row->cells[i].name)) {
            const enum fh_code code =
                add_field(batch, plan->columns, &row->cells[i], record, error);
            if (code != FH_OK) {
                return code;
            }
        }
    }
    if (plan->insert) {
        write->operation_case = FREEHOLD__V1__WRITE__OPERATION_INSERT;
        write->insert = record;
    } else {
        write->operation_case = FREEHOLD__V1__WRITE__OPERATION_UPSERT;
        write->upsert = record;
    }
    *out = write;
    return FH_OK;
}

enum fh_code fh_batch_prepare(struct fh_batch *batch, const struct fh_batch_plan *plan,
                              const struct fh_row *row, uint64_t number, struct fh_error *error)
{
    struct fh_batch_row *out = &batch->rows[batch->count];
    FH_ASSERT(batch->count < FH_BATCH_ROWS_MAX);
    *out = (struct fh_batch_row){.line = row->line, .number = number};
    out->name.batch = batch;
    enum fh_code code = make_name(batch, plan, row, &out->name.name, error);
    if (code == FH_OK) {
        code = make_write(batch, plan, row, out->name.name, &out->write, error);
    }
    if (code == FH_OK &&
        protobuf_c_message_get_packed_size(&out->write->base) > FH_BATCH_ROW_BYTES_MAX) {
        code = fh_error_set(error, FH_INVALID, "the row is larger than 3 MiB");
    }
    return code;
}

bool fh_batch_must_go(const struct fh_batch *batch, const struct fh_map *names)
{
    const struct fh_batch_row *row = &batch->rows[batch->count];
    if (batch->count == 0) {
        return false;
    }
    const struct fh_batch_name *same = fh_map_get(names, row->name.name);
    return (same != NULL && same->batch == batch) ||
           batch->bytes + protobuf_c_message_get_packed_size(&row->write->base) >
               FH_BATCH_BYTES_MAX;
}

enum fh_code fh_batch_push(struct fh_batch *batch, struct fh_map *names, uint64_t offset)
{
    struct fh_batch_row *row = &batch->rows[batch->count];
    if (fh_map_remove(names, row->name.name) != NULL) {
        batch->waits = true; /* an earlier batch is writing it: the order of the file holds */
    }
    const enum fh_code code = fh_map_put(names, &row->name);
    if (code != FH_OK) {
        return code;
    }
    if (batch->count == 0) {
        batch->offset = offset;
    }
    batch->bytes += protobuf_c_message_get_packed_size(&row->write->base);
    batch->writes[batch->count++] = row->write;
    return FH_OK;
}

/* -- The request id ------------------------------------------------------------------------------
 */

static bool digest_text(EVP_MD_CTX *context, const char *text)
{
    return EVP_DigestUpdate(context, text, strlen(text) + 1) == 1; /* the NUL keeps parts apart */
}

enum fh_code fh_batch_request_id(const struct fh_batch_plan *plan, uint64_t offset,
                                 Freehold__V1__Write **writes, size_t count,
                                 char out[FH_BATCH_REQUEST_ID_MAX])
{
    uint8_t digest[DIGEST_BYTES];
    uint8_t place[8];
    Freehold__V1__CommitRequest request = FREEHOLD__V1__COMMIT_REQUEST__INIT;
    request.writes = writes;
    request.n_writes = count;
    const size_t size = protobuf_c_message_get_packed_size(&request.base);
    uint8_t *packed = fh_malloc(size > 0 ? size : 1);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    enum fh_code code = FH_NOMEM;
    for (size_t i = 0; i < sizeof(place); i++) {
        place[i] = (uint8_t)(offset >> (56 - 8 * i));
    }
    if (packed != NULL && context != NULL &&
        protobuf_c_message_pack(&request.base, packed) == size &&
        EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
        digest_text(context, "freehold import 1") && digest_text(context, plan->table) &&
        digest_text(context, plan->salt) && EVP_DigestUpdate(context, place, sizeof(place)) == 1 &&
        EVP_DigestUpdate(context, packed, size) == 1 &&
        EVP_DigestFinal_ex(context, digest, NULL) == 1) {
        const int len = snprintf(out, FH_BATCH_REQUEST_ID_MAX, "import-");
        fh_hex_encode(digest, ID_BYTES, out + len);
        code = FH_OK;
    }
    EVP_MD_CTX_free(context);
    fh_free(packed);
    return code;
}
