/* A record's map is walked once into a table of values by column position; assignments then come
 * out in column order, whatever order the caller sent, so that equal requests hash equal. */
#include "server/handlers/records.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/handlers/record_name.h"
#include "server/handlers/values.h"

#define ETAG_MAX 48

static struct fh_str column_of_path(const char *path)
{
    struct fh_str name = fh_str_of(path);
    struct fh_str prefix = FH_STR("fields.");
    if (fh_str_starts_with(name, prefix)) {
        name.data += prefix.len;
        name.len -= prefix.len;
    }
    return name;
}

static enum fh_code parse_mask(const Google__Protobuf__FieldMask *paths,
                               const struct fh_table *table, const char *field, bool lenient,
                               struct fh_mask *out, struct fh_error *error)
{
    memset(out, 0, sizeof(*out));
    out->given = paths != NULL && paths->n_paths > 0;
    out->all = !out->given;
    for (size_t i = 0; out->given && i < paths->n_paths; i++) {
        struct fh_str name = column_of_path(paths->paths[i]);
        if (fh_str_eq(name, FH_STR("*"))) {
            out->all = true;
            continue;
        }
        const struct fh_column *column = fh_table_column(table, name);
        if (column != NULL) {
            out->bits[column->position / 64] |= 1ULL << (column->position % 64);
        } else if (!lenient) {
            name = fh_name_shown(name);
            return fh_error_field(error, FH_INVALID, field, "%s: table %s has no column '%.*s'",
                                  field, table->name.data, FH_STR_ARG(name));
        }
    }
    return FH_OK;
}

enum fh_code fh_mask_parse(const Google__Protobuf__FieldMask *paths, const struct fh_table *table,
                           const char *field, struct fh_mask *out, struct fh_error *error)
{
    return parse_mask(paths, table, field, false, out, error);
}

enum fh_code fh_mask_parse_lenient(const Google__Protobuf__FieldMask *paths,
                                   const struct fh_table *table, struct fh_mask *out)
{
    return parse_mask(paths, table, "", true, out, NULL);
}

/* Position in the key, or -1. */
static int key_index(const struct fh_table *table, uint16_t position)
{
    for (uint16_t i = 0; i < table->key_count; i++) {
        if (table->key[i] == position) {
            return i;
        }
    }
    return -1;
}

static enum fh_code field_error(struct fh_error *error, enum fh_code code, const char *record,
                                struct fh_str name, const char *text)
{
    char field[FH_ERROR_FIELD_MAX];
    name = fh_name_shown(name);
    (void)snprintf(field, sizeof(field), "%.50s.fields.%.*s", record, FH_STR_ARG(name));
    return fh_error_field(error, code, field, "%s", text);
}

/* One entry of the record's map into `values`; `given` tells which columns are there. */
static enum fh_code take_field(const Freehold__V1__Record__FieldsEntry *entry, const char *record,
                               const struct fh_write *write, struct fh_arena *arena,
                               struct fh_value *values, bool *given, struct fh_error *error)
{
    const struct fh_table *table = write->key.table;
    struct fh_str name = fh_str_of(entry->key);
    const struct fh_column *column = fh_table_column(table, name);
    if (column == NULL) {
        return field_error(error, FH_INVALID, record, name, "the table has no such column");
    }
    if (given[column->position]) {
        return field_error(error, FH_INVALID, record, name, "given twice");
    }
    struct fh_error cause = FH_ERROR_INIT;
    enum fh_code code =
        fh_value_from_proto(entry->value, column, arena, &values[column->position], &cause);
    if (code != FH_OK) {
        cause.code = code; /* memory runs out without a word */
        return field_error(error, code, record, name, fh_error_text(&cause));
    }
    int key_at = key_index(table, column->position);
    if (key_at >= 0 && !fh_value_equal(&values[column->position], &write->key.values[key_at])) {
        return field_error(error, FH_INVALID, record, name,
                           "a key column, and not what the record's name says; leave it out");
    }
    given[column->position] = true;
    return FH_OK;
}

enum fh_code fh_record_to_assignments(const Freehold__V1__Record *record, const char *field,
                                      const struct fh_mask *mask, struct fh_arena *arena,
                                      struct fh_write *write, struct fh_error *error)
{
    const struct fh_table *table = write->key.table;
    struct fh_value *values = FH_ARENA_ARRAY(arena, struct fh_value, table->column_count);
    bool *given = FH_ARENA_ARRAY(arena, bool, table->column_count);
    struct fh_assignment *assignments =
        FH_ARENA_ARRAY(arena, struct fh_assignment, table->column_count);
    if (values == NULL || given == NULL || assignments == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < record->n_fields; i++) {
        enum fh_code code =
            take_field(record->fields[i], field, write, arena, values, given, error);
        if (code != FH_OK) {
            return code;
        }
    }
    uint16_t count = 0;
    for (uint16_t position = 0; position < table->column_count; position++) {
        bool masked = mask != NULL && mask->given;
        bool wanted = masked ? fh_mask_has(mask, position) : given[position];
        if (!wanted || key_index(table, position) >= 0) {
            continue;
        }
        assignments[count] =
            (struct fh_assignment){.column = position, .transform = FH_TRANSFORM_SET};
        assignments[count].value =
            given[position]
                ? values[position]
                : (struct fh_value){.type = table->columns[position].type, .is_null = true};
        count++;
    }
    write->assignments = assignments;
    write->assignment_count = count;
    return FH_OK;
}

/* As "%x" writes it, in front of `end`; answers where it begins. */
static char *hex_before(char *end, uint64_t number)
{
    do {
        *--end = "0123456789abcdef"[number & 15];
        number >>= 4;
    } while (number != 0);
    return end;
}

/* Without printf, which took longer over it than packing the whole record. */
static char *etag_text(const struct fh_row *row, struct fh_arena *arena)
{
    char text[ETAG_MAX];
    char *end = text + sizeof(text);
    char *at = hex_before(end, (uint64_t)row->created_at_us);
    *--at = '-';
    at = hex_before(at, (uint64_t)row->version);
    return fh_arena_copy(arena, at, (size_t)(end - at));
}

static enum fh_code fill_fields(const struct fh_row *row, const struct fh_mask *mask,
                                struct fh_arena *arena, Freehold__V1__Record *record)
{
    const struct fh_table *table = row->table;
    size_t count = 0;
    for (uint16_t i = 0; i < table->column_count; i++) {
        count += fh_mask_has(mask, i) ? 1 : 0;
    }
    Freehold__V1__Record__FieldsEntry **pointers =
        FH_ARENA_ARRAY(arena, Freehold__V1__Record__FieldsEntry *, count);
    Freehold__V1__Record__FieldsEntry *entries =
        FH_ARENA_ARRAY(arena, Freehold__V1__Record__FieldsEntry, count);
    Freehold__V1__Value *values = FH_ARENA_ARRAY(arena, Freehold__V1__Value, count);
    if (pointers == NULL || entries == NULL || values == NULL) {
        return FH_NOMEM;
    }
    size_t at = 0;
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (!fh_mask_has(mask, i)) {
            continue;
        }
        freehold__v1__record__fields_entry__init(&entries[at]);
        entries[at].key = (char *)(uintptr_t)table->columns[i].name.data;
        entries[at].value = &values[at];
        enum fh_code code =
            fh_value_to_proto(&row->values[i], &table->columns[i], arena, &values[at]);
        if (code != FH_OK) {
            return code;
        }
        pointers[at] = &entries[at];
        at++;
    }
    record->n_fields = count;
    record->fields = pointers;
    return FH_OK;
}

enum fh_code fh_record_from_row(const struct fh_row *row, const struct fh_mask *mask,
                                struct fh_arena *arena, Freehold__V1__Record **out)
{
    static const struct fh_mask everything = {.all = true};
    struct fh_key key;
    Freehold__V1__Record *record = FH_ARENA_NEW(arena, Freehold__V1__Record);
    if (record == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__record__init(record);
    fh_key_of_row(row, &key);
    record->name = fh_record_name_text(&key, arena);
    record->etag = etag_text(row, arena);
    record->create_time = fh_timestamp_to_proto(row->created_at_us, arena);
    record->update_time = fh_timestamp_to_proto(row->updated_at_us, arena);
    if (record->name == NULL || record->etag == NULL || record->create_time == NULL ||
        record->update_time == NULL) {
        return FH_NOMEM;
    }
    if (row->deleted_at_us != 0) {
        record->delete_time = fh_timestamp_to_proto(row->deleted_at_us, arena);
        if (record->delete_time == NULL) {
            return FH_NOMEM;
        }
    }
    *out = record;
    return fill_fields(row, mask != NULL ? mask : &everything, arena, record);
}

enum fh_code fh_etag_parse(const char *etag, const char *field, struct fh_write *write,
                           struct fh_error *error)
{
    char again[ETAG_MAX];
    char *dash = NULL;
    if (etag[0] == '\0') {
        return FH_OK;
    }
    uint64_t version = strtoull(etag, &dash, 16);
    uint64_t created_at = *dash == '-' ? strtoull(dash + 1, NULL, 16) : 0;
    bool ok = strlen(etag) < ETAG_MAX;
    if (ok) { /* only our own spelling: printing it again gives the same bytes */
        (void)snprintf(again, sizeof(again), "%" PRIx64 "-%" PRIx64, version, created_at);
        ok = strcmp(again, etag) == 0 && version > 0 && version <= INT64_MAX;
    }
    if (!ok) {
        return fh_error_field(error, FH_INVALID, field, "%s is not an etag of this server", field);
    }
    write->expect_version = (int64_t)version;
    write->expect_created_at_us = (int64_t)created_at;
    return FH_OK;
}
