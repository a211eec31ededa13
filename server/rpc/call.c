/* The life of one call.
 *
 * Happy path: a slot's request moves into a call from the slab; caller authenticated, bytes
 * checked, request unpacked, handler run. A handler that replies before it returns costs one batch
 * (metadata, message, status and close together); for any other a RECV_CLOSE batch is started, so
 * that cancellation is seen.
 *
 * Failures: no call left, or too many live: told RESOURCE_EXHAUSTED. Peer gone: RECV_CLOSE tells,
 * the handler is told, and the call waits for the handler to end it. Deadline passed: the peer has
 * its status at once, the handler is told as above, whatever it replies later is dropped. A peer
 * that does not take its answer: cut off soon behind the deadline.
 *
 * A call is freed by the release of its last hold, once it has ended and its status is settled.
 */
#include "server/rpc/call.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <stddef.h>
#include <string.h>

#include "base/assert.h"
#include "server/rpc/allocator.h"
#include "server/rpc/internal.h"
#include "server/rpc/wire_check.h"

#define DEADLINE_SLACK_US 50000
/* What a status has, behind the deadline, to get past the peer's flow control. */
#define UNREAD_US 1000000

static int64_t now_us(const struct fh_call *call)
{
    return fh_clock_monotonic_us(call->server->env.clock);
}

/* -- end ------------------------------------------------------------------------------------- */

static void observe(struct fh_call *call)
{
    const struct fh_rpc_options *options = &call->server->options;

    if (options->observe == NULL || call->observed) {
        return;
    }
    call->observed = true;
    struct fh_rpc_observation observation = {
        .call = call,
        .method = call->method->registered != NULL ? call->method->path : "unknown",
        .code = call->code,
        .duration_us = now_us(call) - call->arrived_us,
        .request_bytes = call->request_bytes,
        .response_bytes = call->response_bytes,
    };
    options->observe(&observation, options->observe_arg);
}

static void destroy(struct fh_call *call)
{
    struct fh_rpc_server *server = call->server;

    fh_rpc_stream_drop(call);
    fh_list_remove(&call->live_node);
    fh_list_remove(&call->deferred_node);
    grpc_metadata_array_destroy(&call->metadata);
    grpc_call_unref(call->grpc);
    fh_arena_reset(&call->arena);
    fh_slab_put(&server->calls, call);
    fh_rpc_server_call_gone(server);
}

void fh_rpc_call_hold(struct fh_call *call)
{
    call->holds++;
}

void fh_rpc_call_release(struct fh_call *call)
{
    FH_ASSERT(call->holds > 0);
    if (--call->holds == 0 && call->ended && call->status_done) {
        observe(call);
        destroy(call);
    }
}

/* -- cancellation ---------------------------------------------------------------------------- */

static void tell_cancelled(struct fh_call *call)
{
    fh_call_cancelled_cb *cancelled_cb = call->cancelled_cb;
    fh_call_writable_cb *writable_cb = call->writable_cb;

    fh_rpc_call_hold(call);
    call->cancelled_cb = NULL;
    call->writable_cb = NULL;
    if (cancelled_cb != NULL && !call->ended) {
        cancelled_cb(call, call->cancelled_arg);
    }
    if (writable_cb != NULL && !call->ended) {
        writable_cb(call, call->writable_arg);
    }
    fh_rpc_call_release(call);
}

/* The peer will not hear from us any more, or has its status already. */
void fh_rpc_call_cancel(struct fh_call *call, enum fh_code code)
{
    if (call->cancelled) {
        return;
    }
    fh_rpc_call_hold(call);
    call->cancelled = true;
    if (!call->status_done) {
        call->status_done = true;
        call->code = code;
    }
    fh_rpc_stream_drop(call);
    tell_cancelled(call);
    fh_rpc_call_release(call);
}

static void close_cb(struct fh_rpc_tag *tag, bool success)
{
    struct fh_call *call = FH_CONTAINER_OF(tag, struct fh_call, close_tag);

    (void)success;
    if (call->close_cancelled != 0) {
        /* A client whose deadline passed resets the stream, and its clock started before ours. */
        bool late = call->deadline_us - now_us(call) <= DEADLINE_SLACK_US;
        fh_rpc_call_cancel(call, late ? FH_DEADLINE : FH_CANCELLED);
    }
    fh_rpc_call_release(call);
}

static void ask_close(struct fh_call *call)
{
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};

    op.data.recv_close_on_server.cancelled = &call->close_cancelled;
    call->close_asked = true;
    call->close_tag.cb = close_cb;
    fh_rpc_call_hold(call);
    if (!fh_rpc_poller_batch(call->server->poller, call->grpc, &op, 1, &call->close_tag)) {
        fh_rpc_call_cancel(call, FH_CANCELLED);
        fh_rpc_call_release(call);
    }
}

/* The deadline passed while the handler was at work. */
static void expire(struct fh_call *call)
{
    fh_rpc_call_hold(call);
    if (!call->status_done) {
        call->code = FH_DEADLINE;
        if (call->sending) {
            /* A status cannot overtake the message in flight; gRPC's own cancellation can. */
            (void)grpc_call_cancel_with_status(call->grpc, GRPC_STATUS_DEADLINE_EXCEEDED,
                                               fh_code_text(FH_DEADLINE), NULL);
            call->status_done = true;
        } else {
            fh_rpc_send_status(call, NULL);
        }
    }
    fh_rpc_call_cancel(call, FH_DEADLINE);
    fh_rpc_call_release(call);
}

void fh_rpc_call_check_deadlines(struct fh_rpc_server *server, int64_t now)
{
    struct fh_list due;
    struct fh_list *node = server->live.next;

    /* First gathered, because a callback may end other calls: those leave whichever list they are
     * on. */
    fh_list_init(&due);
    while (node != &server->live) {
        struct fh_call *call = FH_CONTAINER_OF(node, struct fh_call, live_node);
        node = node->next;
        if (call->deadline_us <= now && !call->status_done) {
            fh_list_remove(&call->live_node);
            fh_list_push_back(&due, &call->live_node);
        } else if (call->deadline_us <= now - UNREAD_US && !call->cut) {
            /* A peer that sets no deadline and reads nothing would keep the answer for ever. The
             * batch completes, which ends the call, on a later turn. */
            call->cut = true;
            (void)grpc_call_cancel_with_status(call->grpc, GRPC_STATUS_DEADLINE_EXCEEDED,
                                               fh_code_text(FH_DEADLINE), NULL);
        }
    }
    while ((node = fh_list_pop_front(&due)) != NULL) {
        struct fh_call *call = FH_CONTAINER_OF(node, struct fh_call, live_node);
        fh_list_push_back(&server->live, &call->live_node);
        expire(call);
    }
}

void fh_rpc_call_run_deferred(struct fh_rpc_server *server)
{
    struct fh_list due;
    struct fh_list *node;

    fh_list_init(&due);
    while ((node = fh_list_pop_front(&server->deferred)) != NULL) {
        fh_list_push_back(&due, node);
    }
    while ((node = fh_list_pop_front(&due)) != NULL) {
        tell_cancelled(FH_CONTAINER_OF(node, struct fh_call, deferred_node));
    }
}

/* -- arrival --------------------------------------------------------------------------------- */

static int64_t deadline_of(const struct fh_rpc_options *options, enum fh_rpc_kind kind,
                           gpr_timespec deadline, int64_t now)
{
    bool given = gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) != 0;
    int64_t left = options->deadline_us_default;

    if (given) {
        gpr_timespec span = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
        /* A year is forever, and keeps the arithmetic far from overflow. */
        left = span.tv_sec > 31536000 ? INT64_C(31536000000000)
                                      : span.tv_sec * 1000000 + span.tv_nsec / 1000;
    } else if (kind != FH_RPC_UNARY) {
        return FH_DEADLINE_NONE;
    }
    if (kind == FH_RPC_UNARY && left > options->deadline_us_max) {
        left = options->deadline_us_max;
    }
    return now + left;
}

/* NULL: none left even for a refusal. */
static struct fh_call *take(struct fh_rpc_server *server)
{
    struct fh_call *call = fh_slab_get(&server->calls);

    if (call == NULL) {
        return NULL;
    }
    if (!call->arena_ready) {
        fh_arena_init(&call->arena, server->options.arena_bytes_max);
        call->arena_ready = true;
    }
    memset((char *)call + offsetof(struct fh_call, server), 0,
           offsetof(struct fh_call, queue) - offsetof(struct fh_call, server));
    call->server = server;
    fh_list_init(&call->deferred_node);
    fh_list_push_back(&server->live, &call->live_node);
    server->live_count++;
    return call;
}

static bool peek_single(grpc_byte_buffer_reader *reader, struct fh_str *out)
{
    grpc_slice *first = NULL;
    grpc_slice *second = NULL;

    if (grpc_byte_buffer_reader_peek(reader, &first) == 0) {
        *out = FH_STR("");
        return true;
    }
    if (grpc_byte_buffer_reader_peek(reader, &second) != 0) {
        return false;
    }
    *out = (struct fh_str){.data = (const char *)GRPC_SLICE_START_PTR(*first),
                           .len = GRPC_SLICE_LENGTH(*first)};
    return true;
}

static enum fh_code unpack_bytes(struct fh_call *call, struct fh_str bytes, struct fh_error *error)
{
    const ProtobufCMessageDescriptor *input = call->method->input;
    enum fh_code code = fh_wire_check(input, bytes, error);

    if (code != FH_OK) {
        return code;
    }
    ProtobufCAllocator allocator = fh_rpc_allocator(&call->arena);
    call->request =
        protobuf_c_message_unpack(input, &allocator, bytes.len, (const uint8_t *)bytes.data);
    if (call->request == NULL) {
        return fh_error_set(error, FH_TOO_LARGE,
                            "the request needs more memory than a call may use");
    }
    return FH_OK;
}

static enum fh_code unpack(struct fh_call *call, grpc_byte_buffer *payload, struct fh_error *error)
{
    grpc_byte_buffer_reader reader;
    struct fh_str bytes;

    if (payload == NULL) {
        return fh_error_set(error, FH_INVALID, "the call carries no request message");
    }
    if (payload->data.raw.compression != GRPC_COMPRESS_NONE) {
        return fh_error_set(error, FH_UNIMPLEMENTED, "compressed requests are not offered");
    }
    call->request_bytes += grpc_byte_buffer_length(payload);
    if (grpc_byte_buffer_reader_init(&reader, payload) == 0) {
        return fh_error_set(error, FH_INVALID, "the request cannot be read");
    }
    enum fh_code code;
    if (peek_single(&reader, &bytes)) {
        code = unpack_bytes(call, bytes, error);
    } else {
        grpc_byte_buffer_reader_destroy(&reader);
        (void)grpc_byte_buffer_reader_init(&reader, payload);
        grpc_slice whole = grpc_byte_buffer_reader_readall(&reader);
        bytes = (struct fh_str){.data = (const char *)GRPC_SLICE_START_PTR(whole),
                                .len = GRPC_SLICE_LENGTH(whole)};
        code = unpack_bytes(call, bytes, error);
        grpc_slice_unref(whole);
    }
    grpc_byte_buffer_reader_destroy(&reader);
    return code;
}

bool fh_rpc_call_unpack(struct fh_call *call, grpc_byte_buffer *payload)
{
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code = unpack(call, payload, &error);

    if (code != FH_OK) {
        error.code = code;
        fh_call_fail(call, &error);
        return false;
    }
    return true;
}

/* As HTTP/2 counts them: names, values, and 32 bytes each. */
static size_t metadata_bytes(const struct fh_call *call)
{
    size_t bytes = 0;

    for (size_t i = 0; i < call->metadata.count; i++) {
        bytes += GRPC_SLICE_LENGTH(call->metadata.metadata[i].key) +
                 GRPC_SLICE_LENGTH(call->metadata.metadata[i].value) + 32;
    }
    return bytes;
}

/* Ends the call and answers false when it must not go on. */
static bool admit(struct fh_call *call)
{
    const struct rpc_method *method = call->method;
    const struct rpc_listener *listener = method->listener;
    struct fh_rpc_server *server = call->server;
    struct fh_error error = FH_ERROR_INIT;

    if (server->live_count > server->options.calls_max) {
        (void)fh_error_set(&error, FH_FULL,
                           "the server has as many calls as it may have; retry later");
        fh_call_fail(call, &error);
        return false;
    }
    if (metadata_bytes(call) > server->options.metadata_bytes_max) {
        (void)fh_error_set(&error, FH_TOO_LARGE, "the call's metadata is larger than %u bytes",
                           server->options.metadata_bytes_max);
        fh_call_fail(call, &error);
        return false;
    }
    if (method->registered == NULL) {
        (void)fh_error_set(&error, FH_UNIMPLEMENTED, "this listener has no such method");
        fh_call_fail(call, &error);
        return false;
    }
    if (listener->authenticate == NULL || (method->builtin && listener->open_introspection)) {
        return true;
    }
    enum fh_code code =
        listener->authenticate(call, method->access, listener->authenticate_arg, &error);
    if (code != FH_OK) {
        error.code = code;
        fh_call_fail(call, &error);
        return false;
    }
    return true;
}

void fh_rpc_call_handle(struct fh_call *call)
{
    fh_rpc_call_hold(call);
    call->method->handler(call, call->method->arg);
    fh_rpc_call_release(call);
}

void fh_rpc_call_arrived(struct rpc_slot *slot)
{
    const struct rpc_method *method = slot->method;
    struct fh_rpc_server *server = method->listener->server;
    struct fh_call *call = take(server);
    grpc_byte_buffer *payload = slot->payload;

    slot->payload = NULL;
    if (call == NULL) {
        /* Only a flood of refusals gets here: the stream is reset without words. */
        (void)grpc_call_cancel_with_status(slot->call, GRPC_STATUS_RESOURCE_EXHAUSTED, "", NULL);
        grpc_call_unref(slot->call);
        slot->call = NULL;
        grpc_byte_buffer_destroy(payload);
        return;
    }
    call->method = method;
    call->grpc = slot->call;
    slot->call = NULL;
    call->metadata = slot->metadata;
    grpc_metadata_array_init(&slot->metadata);
    call->arrived_us = now_us(call);
    call->deadline_us =
        deadline_of(&server->options, method->kind, slot->deadline, call->arrived_us);
    call->id = fh_uuid_v7(fh_clock_realtime_us(server->env.clock));
    fh_uuid_format(&call->id, call->id_text);
    fh_rpc_poller_busy(server->poller, true);

    fh_rpc_call_hold(call);
    if (admit(call)) {
        if (method->kind == FH_RPC_BIDI) {
            fh_rpc_stream_open(call);
            fh_rpc_stream_read(call);
        } else if (fh_rpc_call_unpack(call, payload)) {
            fh_rpc_call_handle(call);
            if (method->kind == FH_RPC_SERVER_STREAM) {
                fh_rpc_stream_open(call);
            }
        }
    }
    grpc_byte_buffer_destroy(payload);
    if (!call->close_asked) {
        ask_close(call);
    }
    fh_rpc_call_release(call);
}

/* -- what handlers see ----------------------------------------------------------------------- */

struct fh_arena *fh_call_arena(struct fh_call *call)
{
    return &call->arena;
}

const ProtobufCMessage *fh_call_request(const struct fh_call *call)
{
    return call->request;
}

int64_t fh_call_deadline_us(const struct fh_call *call)
{
    return call->deadline_us;
}

struct fh_str fh_call_metadata(const struct fh_call *call, const char *key)
{
    size_t len = strlen(key);

    for (size_t i = 0; i < call->metadata.count; i++) {
        const grpc_metadata *entry = &call->metadata.metadata[i];
        if (GRPC_SLICE_LENGTH(entry->key) == len &&
            memcmp(GRPC_SLICE_START_PTR(entry->key), key, len) == 0) {
            return (struct fh_str){.data = (const char *)GRPC_SLICE_START_PTR(entry->value),
                                   .len = GRPC_SLICE_LENGTH(entry->value)};
        }
    }
    return FH_STR("");
}

struct fh_str fh_call_peer(const struct fh_call *call)
{
    /* Asked for by few, so made on demand; the call stays the same to its user. */
    struct fh_call *self = (struct fh_call *)(uintptr_t)call;

    if (call->peer.data == NULL) {
        char *peer = grpc_call_get_peer(call->grpc);
        if (fh_arena_str(&self->arena, fh_str_of(peer), &self->peer) != FH_OK) {
            self->peer = FH_STR("");
        }
        gpr_free(peer);
    }
    return call->peer;
}

const struct fh_uuid *fh_call_id(const struct fh_call *call)
{
    return &call->id;
}

const char *fh_call_method(const struct fh_call *call)
{
    return call->method->path;
}

void fh_call_set_context(struct fh_call *call, const void *context)
{
    call->context = context;
}

const void *fh_call_context(const struct fh_call *call)
{
    return call->context;
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
    if (call->cancelled) {
        fh_list_remove(&call->deferred_node);
        fh_list_push_back(&call->server->deferred, &call->deferred_node);
        fh_rpc_poller_kick(call->server->poller);
    }
}

void fh_call_on_writable(struct fh_call *call, fh_call_writable_cb *writable_cb, void *arg)
{
    FH_ASSERT(!call->ended);
    call->writable_cb = writable_cb;
    call->writable_arg = arg;
    if (call->cancelled) {
        fh_list_remove(&call->deferred_node);
        fh_list_push_back(&call->server->deferred, &call->deferred_node);
        fh_rpc_poller_kick(call->server->poller);
    }
}
