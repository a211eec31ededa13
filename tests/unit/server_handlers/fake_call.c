/* Happy path: make, run, end; the outcome is copied out of the call's arena before that is closed.
 * Failures abort: they are a handler's misuse of the call. */
#include "tests/unit/server_handlers/fake_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "server/rpc/allocator.h"
#include "server/rpc/wire_check.h"

#define ARENA_BYTES_MAX (64 * 1024 * 1024)
#define MESSAGE_BYTES_MAX (16 * 1024 * 1024)

static uint8_t packed[MESSAGE_BYTES_MAX];

static const struct fh_rpc_method *find_method(const struct fh_rpc_service *service,
                                               const char *name)
{
    for (size_t i = 0; i < service->method_count; i++) {
        if (strcmp(service->methods[i].name, name) == 0) {
            return &service->methods[i];
        }
    }
    FH_ASSERT(name == NULL); /* no such method */
    return NULL;
}

static bool unpack_request(struct fh_call *call, const ProtobufCMessageDescriptor *input,
                           struct fh_str bytes)
{
    ProtobufCAllocator allocator = fh_rpc_allocator(&call->arena);
    struct fh_error error = FH_ERROR_INIT;
    if (fh_wire_check(input, bytes, &error) != FH_OK) {
        FH_ASSERT(error.code != FH_OK && error.message[0] != '\0');
        return false;
    }
    call->request =
        protobuf_c_message_unpack(input, &allocator, bytes.len, (const uint8_t *)bytes.data);
    return call->request != NULL;
}

struct fh_call *fake_call_make_bytes(const struct fh_rpc_service *service, const char *method,
                                     const struct fh_principal *principal, int64_t deadline_us,
                                     struct fh_str bytes)
{
    static uint8_t number;
    const struct fh_rpc_method *row = find_method(service, method);
    const ProtobufCMethodDescriptor *descriptor =
        protobuf_c_service_descriptor_get_method_by_name(service->descriptor, method);
    /* NOLINTNEXTLINE(fh-alloc): the test's own memory, which a failing heap must not reach */
    struct fh_call *call = calloc(1, sizeof(*call));
    FH_ASSERT(call != NULL && descriptor != NULL);
    fh_arena_init(&call->arena, ARENA_BYTES_MAX);
    call->arena_open = true;
    call->output = descriptor->output;
    call->handler = row->handler;
    call->handler_arg = service->arg;
    call->method = row->name;
    call->deadline_us = deadline_us;
    call->id.bytes[15] = ++number;
    call->principal = *principal;
    call->context = &call->principal;
    enum fh_code code = fh_arena_str(&call->arena, principal->subject, &call->principal.subject);
    FH_ASSERT(code == FH_OK);
    if (!unpack_request(call, descriptor->input, bytes)) {
        fh_arena_close(&call->arena);
        free(call); /* NOLINT(fh-alloc): as it was made */
        return NULL;
    }
    return call;
}

struct fh_call *fake_call_make(const struct fh_rpc_service *service, const char *method,
                               const struct fh_principal *principal, int64_t deadline_us,
                               const ProtobufCMessage *request)
{
    FH_ASSERT(protobuf_c_message_get_packed_size(request) <= sizeof(packed));
    struct fh_str bytes = {.data = (const char *)packed,
                           .len = protobuf_c_message_pack(request, packed)};
    struct fh_call *call = fake_call_make_bytes(service, method, principal, deadline_us, bytes);
    FH_ASSERT(call != NULL && call->request->descriptor == request->descriptor);
    return call;
}

/* Nobody may touch what the call owned any more. */
static void settle(struct fh_call *call)
{
    if (call->ended && !call->in_handler && call->arena_open) {
        call->arena_open = false;
        call->context = NULL;
        fh_arena_close(&call->arena);
    }
}

void fake_call_run(struct fh_call *call)
{
    FH_ASSERT(!call->in_handler && !call->ended);
    call->in_handler = true;
    call->handler(call, call->handler_arg);
    call->in_handler = false;
    settle(call);
}

void fake_call_cancel(struct fh_call *call)
{
    fh_call_cancelled_cb *cancelled_cb = call->cancelled_cb;
    call->cancelled = true;
    call->cancelled_cb = NULL;
    if (cancelled_cb != NULL) {
        call->in_handler = true;
        cancelled_cb(call, call->cancelled_arg);
        call->in_handler = false;
        settle(call);
    }
}

void fake_call_free(struct fh_call *call)
{
    FH_ASSERT(call->ended && !call->arena_open);
    if (call->response != NULL) {
        protobuf_c_message_free_unpacked(call->response, NULL);
    }
    for (size_t i = 0; i < call->sent_count; i++) {
        protobuf_c_message_free_unpacked(call->sent[i], NULL);
    }
    free(call); /* NOLINT(fh-alloc): as it was made */
}

static void end(struct fh_call *call, enum fh_code code)
{
    FH_ASSERT(!call->ended);
    call->ended = true;
    call->heard = true;
    call->code = code;
    call->cancelled_cb = NULL;
}

/* -- server/rpc/call.h ----------------------------------------------------------------------- */

struct fh_arena *fh_call_arena(struct fh_call *call)
{
    FH_ASSERT(call->arena_open);
    return &call->arena;
}

const ProtobufCMessage *fh_call_request(const struct fh_call *call)
{
    FH_ASSERT(call->arena_open);
    return call->request;
}

int64_t fh_call_deadline_us(const struct fh_call *call)
{
    return call->deadline_us;
}

struct fh_str fh_call_metadata(const struct fh_call *call, const char *key)
{
    (void)call;
    (void)key;
    return FH_STR("");
}

struct fh_str fh_call_peer(const struct fh_call *call)
{
    (void)call;
    return FH_STR("ipv4:192.0.2.1:4321");
}

const struct fh_uuid *fh_call_id(const struct fh_call *call)
{
    return &call->id;
}

const char *fh_call_method(const struct fh_call *call)
{
    return call->method;
}

void fh_call_set_context(struct fh_call *call, const void *context)
{
    call->context = context;
}

const void *fh_call_context(const struct fh_call *call)
{
    return call->context;
}

void fh_call_add_trailer(struct fh_call *call, const char *key, struct fh_str value)
{
    (void)call;
    (void)key;
    (void)value;
}

/* What went out, as its reader has it; it is as well-formed as what may come in. */
static ProtobufCMessage *carry(const struct fh_call *call, const ProtobufCMessage *message)
{
    FH_ASSERT(message->descriptor == call->output);
    FH_ASSERT(protobuf_c_message_get_packed_size(message) <= sizeof(packed));
    size_t len = protobuf_c_message_pack(message, packed);
    struct fh_str bytes = {.data = (const char *)packed, .len = len};
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code = fh_wire_check(call->output, bytes, &error);
    FH_ASSERT(code == FH_OK);
    ProtobufCMessage *out = protobuf_c_message_unpack(call->output, NULL, len, packed);
    FH_ASSERT(out != NULL);
    return out;
}

void fh_call_reply(struct fh_call *call, const ProtobufCMessage *response)
{
    FH_ASSERT(call->sent_count == 0);
    end(call, FH_OK);
    call->response = carry(call, response);
    settle(call);
}

void fh_call_fail_status(struct fh_call *call, const struct fh_status *status)
{
    FH_ASSERT(status->code != FH_OK);
    end(call, status->code);
    struct fh_str message =
        status->message.len > 0 ? status->message : fh_str_of(fh_code_text(status->code));
    FH_ASSERT(fh_str_is_text(message));
    (void)snprintf(call->message, sizeof(call->message), "%.*s", FH_STR_ARG(message));
    if (status->violation_count > 0) {
        FH_ASSERT(fh_str_is_text(status->violations[0].key));
        (void)snprintf(call->field, sizeof(call->field), "%.*s",
                       FH_STR_ARG(status->violations[0].key));
    }
    settle(call);
}

void fh_call_fail(struct fh_call *call, const struct fh_error *error)
{
    struct fh_status status;
    FH_ASSERT(error->code != FH_OK);
    fh_status_from_error(&status, error);
    fh_call_fail_status(call, &status);
}

void fh_call_fail_code(struct fh_call *call, enum fh_code code)
{
    const struct fh_error error = {.code = code};
    fh_call_fail(call, &error);
}

enum fh_code fh_call_send(struct fh_call *call, const ProtobufCMessage *message)
{
    FH_ASSERT(!call->ended);
    if (call->reader_slow) {
        return FH_FULL;
    }
    FH_ASSERT(call->sent_count < FAKE_CALL_SENT_MAX);
    call->sent[call->sent_count++] = carry(call, message);
    call->heard = true;
    return FH_OK;
}

void fh_call_on_writable(struct fh_call *call, fh_call_writable_cb *writable_cb, void *arg)
{
    (void)call;
    (void)writable_cb;
    (void)arg;
}

void fh_call_finish(struct fh_call *call)
{
    end(call, FH_OK);
    settle(call);
}

bool fh_call_cancelled(const struct fh_call *call)
{
    return call->cancelled;
}

void fh_call_on_cancelled(struct fh_call *call, fh_call_cancelled_cb *cancelled_cb, void *arg)
{
    FH_ASSERT(!call->ended);
    call->cancelled_cb = cancelled_cb;
    call->cancelled_arg = arg;
}
