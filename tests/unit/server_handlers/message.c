#include "tests/unit/server_handlers/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define PATHS_MAX 16

Freehold__V1__Value *message_value(struct fh_arena *arena, const struct field *field)
{
    Freehold__V1__Value *value = FH_ARENA_NEW(arena, Freehold__V1__Value);
    assert_non_null(value);
    freehold__v1__value__init(value);
    value->kind_case = field->kind;
    if (field->kind == FREEHOLD__V1__VALUE__KIND_STRING_VALUE) {
        value->string_value = text_of(field->text);
    } else if (field->kind == FREEHOLD__V1__VALUE__KIND_BOOL_VALUE) {
        value->bool_value = field->integer != 0;
    } else if (field->kind == FREEHOLD__V1__VALUE__KIND_INTEGER_VALUE) {
        value->integer_value = field->integer;
    }
    return value;
}

Freehold__V1__Record *message_record(struct fh_arena *arena, const char *name,
                                     const struct field *fields)
{
    Freehold__V1__Record *record = FH_ARENA_NEW(arena, Freehold__V1__Record);
    size_t count = 0;
    while (fields[count].name != NULL) {
        count++;
    }
    assert_non_null(record);
    freehold__v1__record__init(record);
    record->name = text_of(name);
    record->fields = FH_ARENA_ARRAY(arena, Freehold__V1__Record__FieldsEntry *, count);
    assert_non_null(record->fields);
    for (size_t i = 0; i < count; i++) {
        Freehold__V1__Record__FieldsEntry *entry =
            FH_ARENA_NEW(arena, Freehold__V1__Record__FieldsEntry);
        assert_non_null(entry);
        freehold__v1__record__fields_entry__init(entry);
        entry->key = text_of(fields[i].name);
        entry->value = message_value(arena, &fields[i]);
        record->fields[record->n_fields++] = entry;
    }
    return record;
}

Google__Protobuf__FieldMask *message_mask(struct fh_arena *arena, const char *paths)
{
    if (paths == NULL) {
        return NULL;
    }
    Google__Protobuf__FieldMask *mask = FH_ARENA_NEW(arena, Google__Protobuf__FieldMask);
    assert_non_null(mask);
    google__protobuf__field_mask__init(mask);
    mask->paths = FH_ARENA_ARRAY(arena, char *, PATHS_MAX);
    assert_non_null(mask->paths);
    while (*paths != '\0') {
        size_t len = strcspn(paths, " ");
        assert_true(mask->n_paths < PATHS_MAX);
        mask->paths[mask->n_paths] = fh_arena_copy(arena, paths, len);
        assert_non_null(mask->paths[mask->n_paths]);
        mask->n_paths++;
        paths += len + (paths[len] == ' ' ? 1 : 0);
    }
    return mask;
}

char *message_text(struct fh_arena *arena, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    assert_true(len >= 0 && (size_t)len < sizeof(text));
    char *copy = fh_arena_copy(arena, text, (size_t)len);
    assert_non_null(copy);
    return copy;
}

char *message_repeat(struct fh_arena *arena, char c, size_t len)
{
    char *text = fh_arena_alloc(arena, len + 1);
    assert_non_null(text);
    memset(text, c, len);
    text[len] = '\0';
    return text;
}

const Freehold__V1__Value *record_value(const Freehold__V1__Record *record, const char *name)
{
    for (size_t i = 0; i < record->n_fields; i++) {
        if (strcmp(record->fields[i]->key, name) == 0) {
            return record->fields[i]->value;
        }
    }
    return NULL;
}

static const Freehold__V1__Value *value_of_kind(const Freehold__V1__Record *record,
                                                const char *name,
                                                Freehold__V1__Value__KindCase kind)
{
    const Freehold__V1__Value *value = record_value(record, name);
    assert_non_null(value);
    assert_int_equal(value->kind_case, kind);
    return value;
}

void assert_field_text(const Freehold__V1__Record *record, const char *name, const char *text)
{
    assert_string_equal(
        value_of_kind(record, name, FREEHOLD__V1__VALUE__KIND_STRING_VALUE)->string_value, text);
}

void assert_field_int(const Freehold__V1__Record *record, const char *name, int64_t integer)
{
    assert_int_equal(
        value_of_kind(record, name, FREEHOLD__V1__VALUE__KIND_INTEGER_VALUE)->integer_value,
        integer);
}

void assert_field_null(const Freehold__V1__Record *record, const char *name)
{
    (void)value_of_kind(record, name, FREEHOLD__V1__VALUE__KIND_NULL_VALUE);
}
