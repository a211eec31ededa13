/* Happy path: fields of descriptor.proto are walked by number; a symbol is matched piece by piece
 * against the names on the way down, so no full name is ever put together.
 *
 * Failures: a set that is broken behaves as if it ended there. Recursion follows nested message
 * types, whose depth protoc bounds; it is bounded here too.
 */
#include "server/rpc/descriptor_set.h"

#include "server/rpc/wire.h"

/* Field numbers of descriptor.proto. */
#define SET_FILE 1
#define FILE_NAME 1
#define FILE_PACKAGE 2
#define FILE_DEPENDENCY 3
#define FILE_MESSAGE 4
#define FILE_ENUM 5
#define FILE_SERVICE 6
#define ANY_NAME 1
#define MESSAGE_FIELD 2
#define MESSAGE_NESTED 3
#define MESSAGE_ENUM 4
#define MESSAGE_ONEOF 8
#define ENUM_VALUE 2
#define SERVICE_METHOD 2

#define NESTING_MAX 32

static bool next_bytes(struct fh_wire_reader *reader, struct fh_wire_field *field)
{
    bool broken = false;

    while (fh_wire_next(reader, field, &broken)) {
        if (field->type == FH_WIRE_BYTES) {
            return true;
        }
    }
    return false;
}

/* First value of a field, or an empty string. */
static struct fh_str first(struct fh_str message, uint32_t number)
{
    struct fh_wire_reader reader = fh_wire_reader(message);
    struct fh_wire_field field;

    while (next_bytes(&reader, &field)) {
        if (field.number == number) {
            return field.bytes;
        }
    }
    return FH_STR("");
}

/* Takes `piece` and the dot behind it off the front of `*rest`; the whole rest leaves it empty. */
static bool take_piece(struct fh_str *rest, struct fh_str piece)
{
    if (piece.len == 0 || !fh_str_starts_with(*rest, piece)) {
        return false;
    }
    if (rest->len == piece.len) {
        *rest = FH_STR("");
        return true;
    }
    if (rest->data[piece.len] != '.' || rest->len == piece.len + 1) {
        return false;
    }
    *rest = (struct fh_str){.data = rest->data + piece.len + 1, .len = rest->len - piece.len - 1};
    return true;
}

static bool has_named(struct fh_str message, uint32_t number, struct fh_str name)
{
    struct fh_wire_reader reader = fh_wire_reader(message);
    struct fh_wire_field field;

    while (next_bytes(&reader, &field)) {
        if (field.number == number && fh_str_eq(first(field.bytes, ANY_NAME), name)) {
            return true;
        }
    }
    return false;
}

static bool in_enum(struct fh_str enumeration, struct fh_str rest)
{
    if (!take_piece(&rest, first(enumeration, ANY_NAME))) {
        return false;
    }
    return rest.len == 0 || has_named(enumeration, ENUM_VALUE, rest);
}

static bool in_message(struct fh_str message, struct fh_str rest, int depth)
{
    struct fh_wire_reader reader = fh_wire_reader(message);
    struct fh_wire_field field;

    if (depth > NESTING_MAX || !take_piece(&rest, first(message, ANY_NAME))) {
        return false;
    }
    if (rest.len == 0 || has_named(message, MESSAGE_FIELD, rest) ||
        has_named(message, MESSAGE_ONEOF, rest)) {
        return true;
    }
    while (next_bytes(&reader, &field)) {
        if ((field.number == MESSAGE_NESTED && in_message(field.bytes, rest, depth + 1)) ||
            (field.number == MESSAGE_ENUM &&
             /* Values of an enum are siblings of the enum in protobuf's naming. */
             (in_enum(field.bytes, rest) || has_named(field.bytes, ENUM_VALUE, rest)))) {
            return true;
        }
    }
    return false;
}

static bool in_service(struct fh_str service, struct fh_str rest)
{
    if (!take_piece(&rest, first(service, ANY_NAME))) {
        return false;
    }
    return rest.len == 0 || has_named(service, SERVICE_METHOD, rest);
}

static bool in_file(struct fh_str file, struct fh_str symbol)
{
    struct fh_str package = first(file, FILE_PACKAGE);
    struct fh_wire_reader reader = fh_wire_reader(file);
    struct fh_wire_field field;

    if (package.len > 0 && (!take_piece(&symbol, package) || symbol.len == 0)) {
        return false;
    }
    while (next_bytes(&reader, &field)) {
        if ((field.number == FILE_MESSAGE && in_message(field.bytes, symbol, 0)) ||
            (field.number == FILE_ENUM &&
             (in_enum(field.bytes, symbol) || has_named(field.bytes, ENUM_VALUE, symbol))) ||
            (field.number == FILE_SERVICE && in_service(field.bytes, symbol))) {
            return true;
        }
    }
    return false;
}

bool fh_descriptor_file(struct fh_str set, struct fh_str name, struct fh_str *out)
{
    struct fh_wire_reader reader = fh_wire_reader(set);
    struct fh_wire_field field;

    while (next_bytes(&reader, &field)) {
        if (field.number == SET_FILE && fh_str_eq(first(field.bytes, FILE_NAME), name)) {
            *out = field.bytes;
            return true;
        }
    }
    return false;
}

bool fh_descriptor_symbol(struct fh_str set, struct fh_str symbol, struct fh_str *out)
{
    struct fh_wire_reader reader = fh_wire_reader(set);
    struct fh_wire_field field;

    while (symbol.len > 0 && next_bytes(&reader, &field)) {
        if (field.number == SET_FILE && in_file(field.bytes, symbol)) {
            *out = field.bytes;
            return true;
        }
    }
    return false;
}

static bool contains(const struct fh_str *files, size_t count, struct fh_str file)
{
    for (size_t i = 0; i < count; i++) {
        if (files[i].data == file.data) {
            return true;
        }
    }
    return false;
}

size_t fh_descriptor_closure(struct fh_str set, struct fh_str file,
                             struct fh_str out[FH_DESCRIPTOR_FILES_MAX])
{
    size_t count = 1;

    out[0] = file;
    for (size_t i = 0; i < count; i++) {
        struct fh_wire_reader reader = fh_wire_reader(out[i]);
        struct fh_wire_field field;
        while (next_bytes(&reader, &field) && count < FH_DESCRIPTOR_FILES_MAX) {
            struct fh_str import;
            if (field.number == FILE_DEPENDENCY && fh_descriptor_file(set, field.bytes, &import) &&
                !contains(out, count, import)) {
                out[count++] = import;
            }
        }
    }
    return count;
}
