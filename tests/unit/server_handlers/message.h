/* Building and reading messages of DataService, in an arena. Out of memory fails the test. */
#ifndef FH_TESTS_UNIT_SERVER_HANDLERS_MESSAGE_H
#define FH_TESTS_UNIT_SERVER_HANDLERS_MESSAGE_H

#include "base/arena.h"
#include "freehold/v1/data.pb-c.h"

struct field {
    const char *name; /* NULL ends a list */
    Freehold__V1__Value__KindCase kind;
    const char *text;
    int64_t integer;
};
#define TEXT(column, value)                                          \
    {                                                                \
        (column), FREEHOLD__V1__VALUE__KIND_STRING_VALUE, (value), 0 \
    }
#define INT(column, value)                                               \
    {                                                                    \
        (column), FREEHOLD__V1__VALUE__KIND_INTEGER_VALUE, NULL, (value) \
    }
#define FLAG(column, value)                                           \
    {                                                                 \
        (column), FREEHOLD__V1__VALUE__KIND_BOOL_VALUE, NULL, (value) \
    }
#define NULL_OF(column)                                         \
    {                                                           \
        (column), FREEHOLD__V1__VALUE__KIND_NULL_VALUE, NULL, 0 \
    }
#define FIELDS(...) ((const struct field[]){__VA_ARGS__, {0}})
#define NO_FIELDS ((const struct field[]){{0}})

/* Messages have `char *`; nothing writes through it. */
static inline char *text_of(const char *text)
{
    return (char *)(uintptr_t)text;
}

Freehold__V1__Value *message_value(struct fh_arena *arena, const struct field *field);
Freehold__V1__Record *message_record(struct fh_arena *arena, const char *name,
                                     const struct field *fields);
/* Paths separated by blanks; NULL gives NULL. */
Google__Protobuf__FieldMask *message_mask(struct fh_arena *arena, const char *paths);
char *message_text(struct fh_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A string of `len` times `c`. */
char *message_repeat(struct fh_arena *arena, char c, size_t len);

/* NULL: the record has no such field. */
const Freehold__V1__Value *record_value(const Freehold__V1__Record *record, const char *name);
/* The field must be there, with this kind and value; NULL text and no integer: null. */
void assert_field_text(const Freehold__V1__Record *record, const char *name, const char *text);
void assert_field_int(const Freehold__V1__Record *record, const char *name, int64_t integer);
void assert_field_null(const Freehold__V1__Record *record, const char *name);

#endif
