/* The wire check against protobuf-c: what passes must unpack, hold text in every string, and pass
 * again when it is packed anew. The first byte chooses among the requests of all services.
 */
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "freehold/v1/audit.pb-c.h"
#include "freehold/v1/data.pb-c.h"
#include "freehold/v1/schema.pb-c.h"
#include "freehold/v1/store_admin.pb-c.h"
#include "freehold/v1/tenant_admin.pb-c.h"
#include "server/rpc/allocator.h"
#include "server/rpc/wire_check.h"

#define INPUT_MAX 65536
#define ARENA_BYTES_MAX ((size_t)64 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCServiceDescriptor *const services[] = {
    &freehold__v1__data_service__descriptor,         &freehold__v1__audit_service__descriptor,
    &freehold__v1__tenant_admin_service__descriptor, &freehold__v1__store_admin_service__descriptor,
    &freehold__v1__schema_service__descriptor,
};

static const ProtobufCMessageDescriptor *choose(uint8_t number)
{
    size_t count = 0;
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        count += services[i]->n_methods;
    }
    size_t at = number % count;
    size_t service = 0;
    while (at >= services[service]->n_methods) {
        at -= services[service]->n_methods;
        service++;
    }
    return services[service]->methods[at].input;
}

static void check_message(const ProtobufCMessage *message);

static void check_member(const ProtobufCFieldDescriptor *field, const void *member)
{
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *text = *(const char *const *)member;
        FH_ASSERT(text != NULL && fh_str_is_text(fh_str_of(text)));
    } else if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const ProtobufCMessage *child = *(const ProtobufCMessage *const *)member;
        if (child != NULL) {
            check_message(child);
        }
    }
}

static void check_message(const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        const char *base = (const char *)message;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count = *(const size_t *)(const void *)(base + field->quantifier_offset);
            const char *array = *(const char *const *)(const void *)(base + field->offset);
            bool pointers =
                field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE;
            for (size_t k = 0; pointers && k < count; k++) {
                check_member(field, array + k * sizeof(void *));
            }
        } else if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0 ||
                   *(const uint32_t *)(const void *)(base + field->quantifier_offset) ==
                       field->id) {
            check_member(field, base + field->offset);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fh_arena arena;
    struct fh_error error = FH_ERROR_INIT;
    if (size == 0 || size > INPUT_MAX) {
        return 0;
    }
    const ProtobufCMessageDescriptor *type = choose(data[0]);
    struct fh_str bytes = {.data = (const char *)data + 1, .len = size - 1};
    enum fh_code code = fh_wire_check(type, bytes, &error);
    FH_ASSERT(code == FH_OK || (error.code == code && error.message[0] != '\0'));
    fh_arena_init(&arena, ARENA_BYTES_MAX);
    if (code == FH_OK) {
        ProtobufCAllocator allocator = fh_rpc_allocator(&arena);
        ProtobufCMessage *message =
            protobuf_c_message_unpack(type, &allocator, bytes.len, (const uint8_t *)bytes.data);
        FH_ASSERT(message != NULL);
        check_message(message);
        size_t len = protobuf_c_message_get_packed_size(message);
        uint8_t *packed = fh_arena_alloc(&arena, len);
        FH_ASSERT(packed != NULL);
        FH_ASSERT(protobuf_c_message_pack(message, packed) == len);
        code =
            fh_wire_check(type, (struct fh_str){.data = (const char *)packed, .len = len}, &error);
        FH_ASSERT(code == FH_OK);
    }
    fh_arena_close(&arena);
    return 0;
}
