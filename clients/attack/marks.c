/* Happy path: a message's fields are walked by its descriptor, down to the records. */
#include "clients/attack/marks.h"

#include <stdint.h>
#include <string.h>

#include "freehold/v1/data.pb-c.h"

static bool has(const struct fh_marks *marks, const char *etag)
{
    for (size_t i = 0; i < marks->count; i++) {
        if (strcmp(marks->etags[i], etag) == 0) {
            return true;
        }
    }
    return false;
}

/* Answers true to end the walk. */
typedef bool visit_cb(const Freehold__V1__Record *record, void *arg);

static bool walk(const ProtobufCMessage *message, visit_cb *visit, void *arg);

static bool walk_field(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                       visit_cb *visit, void *arg)
{
    const char *base = (const char *)message;
    if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
        return false;
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = 0;
        const void *items = NULL;
        memcpy(&count, base + field->quantifier_offset, sizeof(count));
        memcpy(&items, base + field->offset, sizeof(items));
        for (size_t i = 0; i < count; i++) {
            if (walk(((const ProtobufCMessage *const *)items)[i], visit, arg)) {
                return true;
            }
        }
        return false;
    }
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        uint32_t which = 0;
        memcpy(&which, base + field->quantifier_offset, sizeof(which));
        if (which != field->id) {
            return false;
        }
    }
    const void *item = NULL;
    memcpy(&item, base + field->offset, sizeof(item));
    return item != NULL && walk(item, visit, arg);
}

/* As deep as the API's messages are. */
/* NOLINTNEXTLINE(misc-no-recursion): see above */
static bool walk(const ProtobufCMessage *message, visit_cb *visit, void *arg)
{
    if (message->descriptor == &freehold__v1__record__descriptor) {
        return visit((const Freehold__V1__Record *)message, arg);
    }
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        if (walk_field(message, &message->descriptor->fields[i], visit, arg)) {
            return true;
        }
    }
    return false;
}

static bool take_cb(const Freehold__V1__Record *record, void *arg)
{
    struct fh_marks *marks = arg;
    const size_t len = strlen(record->etag);
    if (len > 0 && len < FH_MARK_LEN_MAX && marks->count < FH_MARKS_MAX &&
        !has(marks, record->etag)) {
        memcpy(marks->etags[marks->count++], record->etag, len + 1);
    }
    return false;
}

static bool find_cb(const Freehold__V1__Record *record, void *arg)
{
    return has(arg, record->etag);
}

void fh_marks_take(struct fh_marks *marks, const ProtobufCMessage *message)
{
    if (message != NULL) {
        (void)walk(message, take_cb, marks);
    }
}

bool fh_marks_are_in(const struct fh_marks *marks, const ProtobufCMessage *message)
{
    return walk(message, find_cb, (void *)(uintptr_t)marks);
}

bool fh_marks_meet(const struct fh_marks *a, const struct fh_marks *b)
{
    for (size_t i = 0; i < a->count; i++) {
        if (has(b, a->etags[i])) {
            return true;
        }
    }
    return false;
}
