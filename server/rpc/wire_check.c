/* Happy path: each field is read, looked up in the descriptor, its wire type compared; strings are
 * checked, messages entered. Unknown fields are skipped, as protobuf wants.
 *
 * Failures: the first fault ends the walk and names the path of the field. Recursion is bounded by
 * FH_WIRE_DEPTH_MAX, work by the length of the input and FH_WIRE_ELEMENTS_MAX.
 */
#include "server/rpc/wire_check.h"

#include <stdio.h>

#include "server/rpc/wire.h"

struct walk {
    size_t elements;
    struct fh_error *error;
    const char *path[FH_WIRE_DEPTH_MAX + 1];
    size_t depth;
};

static enum fh_code refuse(const struct walk *walk, enum fh_code code, const char *what)
{
    char path[FH_ERROR_FIELD_MAX] = "";
    size_t len = 0;

    for (size_t i = 0; i < walk->depth; i++) {
        int more =
            snprintf(path + len, sizeof(path) - len, "%s%s", i > 0 ? "." : "", walk->path[i]);
        if (more < 0 || (size_t)more >= sizeof(path) - len) {
            break;
        }
        len += (size_t)more;
    }
    if (path[0] == '\0') {
        return fh_error_set(walk->error, code, "%s", what);
    }
    return fh_error_field(walk->error, code, path, "%s: %s", path, what);
}

static enum fh_wire_type wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return FH_WIRE_FIXED64;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return FH_WIRE_FIXED32;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return FH_WIRE_BYTES;
    default:
        return FH_WIRE_VARINT;
    }
}

static enum fh_code count_elements(struct walk *walk, size_t count)
{
    walk->elements += count;
    if (walk->elements > FH_WIRE_ELEMENTS_MAX) {
        return refuse(walk, FH_TOO_LARGE, "the request has too many elements");
    }
    return FH_OK;
}

static enum fh_code check_packed(struct walk *walk, enum fh_wire_type element, struct fh_str bytes)
{
    if (element != FH_WIRE_VARINT) {
        size_t width = element == FH_WIRE_FIXED64 ? 8 : 4;
        if (bytes.len % width != 0) {
            return refuse(walk, FH_INVALID, "the list of numbers is cut off");
        }
        return count_elements(walk, bytes.len / width);
    }
    struct fh_wire_reader reader = fh_wire_reader(bytes);
    while (reader.at != reader.end) {
        uint64_t ignored = 0;
        if (!fh_wire_varint(&reader, &ignored)) {
            return refuse(walk, FH_INVALID, "the list of numbers is cut off");
        }
        enum fh_code code = count_elements(walk, 1);
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

static enum fh_code check_message(struct walk *walk, const ProtobufCMessageDescriptor *type,
                                  struct fh_str bytes);

static enum fh_code check_field(struct walk *walk, const ProtobufCFieldDescriptor *field,
                                const struct fh_wire_field *value)
{
    enum fh_wire_type wanted = wire_type_of(field->type);

    if (value->type != wanted) {
        if (field->label == PROTOBUF_C_LABEL_REPEATED && value->type == FH_WIRE_BYTES &&
            wanted != FH_WIRE_BYTES) {
            return check_packed(walk, wanted, value->bytes);
        }
        return refuse(walk, FH_INVALID, "the value is not of the field's type");
    }
    if (field->type == PROTOBUF_C_TYPE_STRING && !fh_str_is_text(value->bytes)) {
        return refuse(walk, FH_INVALID, "the text is not UTF-8, or has a NUL byte");
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        return check_message(walk, field->descriptor, value->bytes);
    }
    return FH_OK;
}

/* True when this message field was seen before in the same message. Legal, but no library sends it,
 * and protobuf-c merges the two by copying: quadratic work. Fields beyond the 256th are let pass.
 */
static bool seen_before(uint64_t seen[4], const ProtobufCMessageDescriptor *type,
                        const ProtobufCFieldDescriptor *field)
{
    size_t index = (size_t)(field - type->fields);

    if (field->type != PROTOBUF_C_TYPE_MESSAGE || field->label == PROTOBUF_C_LABEL_REPEATED ||
        index >= 256) {
        return false;
    }
    uint64_t bit = UINT64_C(1) << (index % 64);
    bool before = (seen[index / 64] & bit) != 0;
    seen[index / 64] |= bit;
    return before;
}

static enum fh_code check_fields(struct walk *walk, const ProtobufCMessageDescriptor *type,
                                 struct fh_str bytes)
{
    struct fh_wire_reader reader = fh_wire_reader(bytes);
    struct fh_wire_field value;
    bool broken = false;
    uint64_t seen[4] = {0};

    while (fh_wire_next(&reader, &value, &broken)) {
        enum fh_code code = count_elements(walk, 1);
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(type, value.number);
        if (code == FH_OK && field != NULL) {
            walk->path[walk->depth++] = field->name;
            if (seen_before(seen, type, field)) {
                code = refuse(walk, FH_INVALID, "the message is given more than once");
            } else {
                code = check_field(walk, field, &value);
            }
            walk->depth--;
        }
        if (code != FH_OK) {
            return code;
        }
    }
    return broken ? refuse(walk, FH_INVALID, "the request is cut off, or not a protobuf message")
                  : FH_OK;
}

static enum fh_code check_message(struct walk *walk, const ProtobufCMessageDescriptor *type,
                                  struct fh_str bytes)
{
    if (walk->depth >= FH_WIRE_DEPTH_MAX) {
        return refuse(walk, FH_INVALID, "messages are nested too deep");
    }
    return check_fields(walk, type, bytes);
}

enum fh_code fh_wire_check(const ProtobufCMessageDescriptor *type, struct fh_str bytes,
                           struct fh_error *error)
{
    struct walk walk = {.error = error};

    return check_message(&walk, type, bytes);
}
