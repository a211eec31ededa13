/* A walk over descriptors; messages with a form of their own are found in one table first. */
#include "clients/cli/json.h"

#include <inttypes.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/text.h"
#include "freehold/v1/data.pb-c.h"
#include "google/protobuf/duration.pb-c.h"

#define NAME_MAX_LEN 128
#define BASE64_STEP 3000 /* bytes at a time, a multiple of three */

static void add_value(struct fh_buf *out, const ProtobufCFieldDescriptor *field, const void *at,
                      int indent);

void fh_json_add_string(struct fh_buf *out, const char *text)
{
    fh_buf_add_char(out, '"');
    fh_buf_add_json(out, fh_str_of(text));
    fh_buf_add_char(out, '"');
}

static void add_bytes(struct fh_buf *out, const ProtobufCBinaryData *bytes)
{
    unsigned char text[BASE64_STEP / 3 * 4 + 1];
    fh_buf_add_char(out, '"');
    for (size_t at = 0; at < bytes->len; at += BASE64_STEP) {
        const size_t left = bytes->len - at;
        const int len =
            EVP_EncodeBlock(text, bytes->data + at, (int)(left < BASE64_STEP ? left : BASE64_STEP));
        fh_buf_add(out, text, (size_t)len);
    }
    fh_buf_add_char(out, '"');
}

static void add_double(struct fh_buf *out, double value)
{
    char text[40];
    if (!isfinite(value)) {
        fh_json_add_string(out, isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
        return;
    }
    /* The shortest that reads back the same. */
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    fh_buf_add_text(out, text);
}

static void add_timestamp(struct fh_buf *out, const ProtobufCMessage *message, int indent)
{
    const Google__Protobuf__Timestamp *time = (const Google__Protobuf__Timestamp *)message;
    (void)indent;
    fh_buf_add_char(out, '"');
    fh_text_add_time(out, time->seconds, time->nanos);
    fh_buf_add_char(out, '"');
}

/* As proto3's JSON has it: "2s", "0.005s". Ours are never below 0. */
static void add_duration(struct fh_buf *out, const ProtobufCMessage *message, int indent)
{
    const Google__Protobuf__Duration *span = (const Google__Protobuf__Duration *)message;
    (void)indent;
    fh_buf_printf(out, "\"%" PRId64, span->seconds);
    if (span->nanos > 0 && span->nanos < 1000000000) {
        if (span->nanos % 1000000 == 0) {
            fh_buf_printf(out, ".%03d", span->nanos / 1000000);
        } else if (span->nanos % 1000 == 0) {
            fh_buf_printf(out, ".%06d", span->nanos / 1000);
        } else {
            fh_buf_printf(out, ".%09d", span->nanos);
        }
    }
    fh_buf_add_text(out, "s\"");
}

static void add_field_value(struct fh_buf *out, const ProtobufCMessage *message, int indent)
{
    const Freehold__V1__Value *value = (const Freehold__V1__Value *)message;
    switch (value->kind_case) {
    case FREEHOLD__V1__VALUE__KIND_BOOL_VALUE:
        fh_buf_add_text(out, value->bool_value ? "true" : "false");
        return;
    case FREEHOLD__V1__VALUE__KIND_INTEGER_VALUE:
        fh_buf_printf(out, "%" PRId64, value->integer_value);
        return;
    case FREEHOLD__V1__VALUE__KIND_DOUBLE_VALUE:
        add_double(out, value->double_value);
        return;
    case FREEHOLD__V1__VALUE__KIND_STRING_VALUE:
        fh_json_add_string(out, value->string_value);
        return;
    case FREEHOLD__V1__VALUE__KIND_BYTES_VALUE:
        add_bytes(out, &value->bytes_value);
        return;
    case FREEHOLD__V1__VALUE__KIND_TIMESTAMP_VALUE:
        add_timestamp(out, &value->timestamp_value->base, indent);
        return;
    case FREEHOLD__V1__VALUE__KIND_NULL_VALUE:
    case FREEHOLD__V1__VALUE__KIND__NOT_SET:
    default:
        fh_buf_add_text(out, "null");
        return;
    }
}

static const struct {
    const ProtobufCMessageDescriptor *descriptor;
    void (*add)(struct fh_buf *out, const ProtobufCMessage *message, int indent);
} special[] = {
    {&google__protobuf__timestamp__descriptor, add_timestamp},
    {&google__protobuf__duration__descriptor, add_duration},
    {&freehold__v1__value__descriptor, add_field_value},
};

static void new_line(struct fh_buf *out, int indent)
{
    if (indent >= 0) {
        fh_buf_printf(out, "\n%*s", indent * 2, "");
    }
}

static int deeper(int indent)
{
    return indent < 0 ? -1 : indent + 1;
}

static void add_name(struct fh_buf *out, const char *name, int indent)
{
    char camel[NAME_MAX_LEN];
    size_t len = 0;
    for (; *name != '\0' && len + 1 < sizeof(camel); name++) {
        if (*name == '_' && name[1] >= 'a' && name[1] <= 'z') {
            name++;
            camel[len++] = (char)(*name - 'a' + 'A');
        } else {
            camel[len++] = *name;
        }
    }
    camel[len] = '\0';
    fh_json_add_string(out, camel);
    fh_buf_add_text(out, indent >= 0 ? ": " : ":");
}

/* protobuf-c has maps as repeated entries and forgets that they were maps. */
static bool is_map(const ProtobufCFieldDescriptor *field)
{
    if (field->label != PROTOBUF_C_LABEL_REPEATED || field->type != PROTOBUF_C_TYPE_MESSAGE) {
        return false;
    }
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    const char *name = entry->short_name;
    const size_t len = strlen(name);
    return entry->n_fields == 2 && len > 5 && strcmp(name + len - 5, "Entry") == 0 &&
           strcmp(entry->fields[0].name, "key") == 0 &&
           strcmp(entry->fields[1].name, "value") == 0 &&
           entry->fields[0].type == PROTOBUF_C_TYPE_STRING;
}

static void add_map(struct fh_buf *out, const ProtobufCFieldDescriptor *field,
                    ProtobufCMessage *const *entries, size_t count, int indent)
{
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    fh_buf_add_char(out, '{');
    for (size_t i = 0; i < count; i++) {
        const char *key;
        memcpy(&key, (const char *)entries[i] + entry->fields[0].offset, sizeof(key));
        if (i > 0) {
            fh_buf_add_char(out, ',');
        }
        new_line(out, deeper(indent));
        fh_json_add_string(out, key);
        fh_buf_add_text(out, indent >= 0 ? ": " : ":");
        add_value(out, &entry->fields[1], (const char *)entries[i] + entry->fields[1].offset,
                  deeper(indent));
    }
    if (count > 0) {
        new_line(out, indent);
    }
    fh_buf_add_char(out, '}');
}

static size_t size_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    default:
        return 4;
    }
}

static void add_repeated(struct fh_buf *out, const ProtobufCFieldDescriptor *field,
                         const ProtobufCMessage *message, int indent)
{
    const char *base = (const char *)message;
    size_t count;
    const char *items;
    memcpy(&count, base + field->quantifier_offset, sizeof(count));
    memcpy(&items, base + field->offset, sizeof(items));
    if (is_map(field)) {
        add_map(out, field, (ProtobufCMessage *const *)(const void *)items, count, indent);
        return;
    }
    fh_buf_add_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            fh_buf_add_char(out, ',');
        }
        new_line(out, deeper(indent));
        add_value(out, field, items + i * size_of(field->type), deeper(indent));
    }
    if (count > 0) {
        new_line(out, indent);
    }
    fh_buf_add_char(out, ']');
}

static void add_number(struct fh_buf *out, ProtobufCType type, const void *at)
{
    int64_t wide;
    int32_t narrow;
    if (size_of(type) == 8) {
        memcpy(&wide, at, sizeof(wide));
        if (type == PROTOBUF_C_TYPE_UINT64 || type == PROTOBUF_C_TYPE_FIXED64) {
            fh_buf_printf(out, "%" PRIu64, (uint64_t)wide);
        } else {
            fh_buf_printf(out, "%" PRId64, wide);
        }
        return;
    }
    memcpy(&narrow, at, sizeof(narrow));
    if (type == PROTOBUF_C_TYPE_UINT32 || type == PROTOBUF_C_TYPE_FIXED32) {
        fh_buf_printf(out, "%" PRIu32, (uint32_t)narrow);
    } else {
        fh_buf_printf(out, "%" PRId32, narrow);
    }
}

static void add_enum(struct fh_buf *out, const ProtobufCEnumDescriptor *descriptor, const void *at)
{
    int32_t number;
    memcpy(&number, at, sizeof(number));
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(descriptor, number);
    if (value != NULL) {
        fh_json_add_string(out, value->name);
    } else {
        fh_buf_printf(out, "%" PRId32, number);
    }
}

static void add_value(struct fh_buf *out, const ProtobufCFieldDescriptor *field, const void *at,
                      int indent)
{
    const void *pointer;
    double real;
    float narrow;
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        memcpy(&pointer, at, sizeof(pointer));
        fh_json_add_string(out, pointer != NULL ? pointer : "");
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        memcpy(&pointer, at, sizeof(pointer));
        if (pointer == NULL) {
            fh_buf_add_text(out, "null");
        } else {
            fh_json_add_message(out, pointer, indent);
        }
        return;
    case PROTOBUF_C_TYPE_BYTES:
        add_bytes(out, at);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        fh_buf_add_text(out, *(const protobuf_c_boolean *)at ? "true" : "false");
        return;
    case PROTOBUF_C_TYPE_ENUM:
        add_enum(out, field->descriptor, at);
        return;
    case PROTOBUF_C_TYPE_DOUBLE:
        memcpy(&real, at, sizeof(real));
        add_double(out, real);
        return;
    case PROTOBUF_C_TYPE_FLOAT:
        memcpy(&narrow, at, sizeof(narrow));
        add_double(out, (double)narrow);
        return;
    default:
        add_number(out, field->type, at);
        return;
    }
}

/* Unset messages and the other arms of a oneof are left out. */
static bool is_present(const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message)
{
    const char *base = (const char *)message;
    uint32_t chosen;
    const void *pointer;
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        memcpy(&chosen, base + field->quantifier_offset, sizeof(chosen));
        return chosen == field->id;
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE && field->label != PROTOBUF_C_LABEL_REPEATED) {
        memcpy(&pointer, base + field->offset, sizeof(pointer));
        return pointer != NULL;
    }
    return true;
}

void fh_json_add_message(struct fh_buf *out, const ProtobufCMessage *message, int indent)
{
    bool any = false;
    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
        if (special[i].descriptor == message->descriptor) {
            special[i].add(out, message, indent);
            return;
        }
    }
    fh_buf_add_char(out, '{');
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (!is_present(field, message)) {
            continue;
        }
        if (any) {
            fh_buf_add_char(out, ',');
        }
        any = true;
        new_line(out, deeper(indent));
        add_name(out, field->name, indent);
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            add_repeated(out, field, message, deeper(indent));
        } else {
            add_value(out, field, (const char *)message + field->offset, deeper(indent));
        }
    }
    if (any) {
        new_line(out, indent);
    }
    fh_buf_add_char(out, '}');
}
