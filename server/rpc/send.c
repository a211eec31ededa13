/* How a call ends, and how messages are packed.
 *
 * Happy path: one batch holds what is still owed (initial metadata, the message, the status, and
 * RECV_CLOSE when nobody asked for it yet); its completion settles the call.
 *
 * Failures: a response above the limit, or memory out, becomes a status instead; a cancelled call
 * sends nothing; details that do not fit in the arena are left out, the status goes all the same.
 */
#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <string.h>

#include "base/assert.h"
#include "server/rpc/internal.h"

static grpc_slice borrow_text(const char *text)
{
    return grpc_slice_from_static_string(text);
}

static grpc_slice copy_str(struct fh_str s)
{
    return grpc_slice_from_copied_buffer(s.len > 0 ? s.data : "", s.len);
}

size_t fh_rpc_send_initial_op(struct fh_call *call, grpc_op *op, grpc_metadata *metadata)
{
    if (call->initial_sent) {
        return 0;
    }
    call->initial_sent = true;
    memset(op, 0, sizeof(*op));
    memset(metadata, 0, sizeof(*metadata));
    metadata->key = borrow_text("freehold-request-id");
    /* Lives in the slab, which outlives gRPC's server. */
    metadata->value = grpc_slice_from_static_buffer(call->id_text, FH_UUID_TEXT_LEN);
    op->op = GRPC_OP_SEND_INITIAL_METADATA;
    op->data.send_initial_metadata.count = 1;
    op->data.send_initial_metadata.metadata = metadata;
    return 1;
}

enum fh_code fh_rpc_send_pack(struct fh_call *call, const ProtobufCMessage *message,
                              grpc_byte_buffer **out, size_t *bytes)
{
    size_t size = protobuf_c_message_get_packed_size(message);

    *out = NULL;
    *bytes = size;
    if (size > call->server->options.response_bytes_max) {
        return FH_TOO_LARGE;
    }
    /* gRPC aborts the process when it cannot allocate; the size is bounded above. */
    grpc_slice slice = grpc_slice_malloc(size);
    (void)protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    *out = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return FH_OK;
}

static void status_sent_cb(struct fh_rpc_tag *tag, bool success)
{
    struct fh_call *call = FH_CONTAINER_OF(tag, struct fh_call, send_tag);

    grpc_byte_buffer_destroy(call->sent);
    call->sent = NULL;
    if ((!success || call->close_cancelled != 0) && call->code == FH_OK) {
        call->code = call->cut ? FH_DEADLINE : FH_CANCELLED;
    }
    fh_rpc_call_release(call);
}

static size_t add_trailers(const struct fh_call *call, grpc_metadata *trailers)
{
    size_t count = 0;

    memset(trailers, 0, sizeof(*trailers) * (FH_RPC_TRAILERS_MAX + 1));
    if (call->final_details.len > 0) {
        trailers[count].key = borrow_text("grpc-status-details-bin");
        trailers[count++].value = copy_str(call->final_details);
    }
    for (size_t i = 0; i < call->trailer_count; i++) {
        trailers[count].key = copy_str(call->trailer_keys[i]);
        trailers[count++].value = copy_str(call->trailer_values[i]);
    }
    return count;
}

void fh_rpc_send_status(struct fh_call *call, grpc_byte_buffer *message)
{
    grpc_op ops[4];
    grpc_metadata initial;
    grpc_metadata trailers[FH_RPC_TRAILERS_MAX + 1];
    size_t trailer_count = add_trailers(call, trailers);
    grpc_slice text = copy_str(call->final_message);
    size_t count = fh_rpc_send_initial_op(call, ops, &initial);

    FH_ASSERT(!call->status_done && !call->sending && call->sent == NULL);
    memset(ops + count, 0, sizeof(ops) - count * sizeof(ops[0]));
    if (message != NULL) {
        ops[count].op = GRPC_OP_SEND_MESSAGE;
        ops[count++].data.send_message.send_message = message;
    }
    ops[count].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[count].data.send_status_from_server.status =
        (grpc_status_code)fh_code_grpc_status(call->code);
    ops[count].data.send_status_from_server.trailing_metadata = trailers;
    ops[count].data.send_status_from_server.trailing_metadata_count = trailer_count;
    ops[count++].data.send_status_from_server.status_details =
        call->final_message.len > 0 ? &text : NULL;
    if (!call->close_asked) {
        ops[count].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
        ops[count++].data.recv_close_on_server.cancelled = &call->close_cancelled;
        call->close_asked = true;
    }
    call->status_done = true;
    call->sent = message;
    call->send_tag.cb = status_sent_cb;
    fh_rpc_call_hold(call);
    if (!fh_rpc_poller_batch(call->server->poller, call->grpc, ops, count, &call->send_tag)) {
        FH_LOG(call->server->env.log, ERROR, "rpc.batch_refused",
               FH_KV_TEXT("method", call->method->path));
        (void)grpc_call_cancel(call->grpc, NULL);
        grpc_byte_buffer_destroy(message);
        call->sent = NULL;
        fh_rpc_call_release(call);
    }
    grpc_slice_unref(text);
    for (size_t i = 0; i < trailer_count; i++) {
        grpc_slice_unref(trailers[i].key);
        grpc_slice_unref(trailers[i].value);
    }
}

/* -- what handlers say ----------------------------------------------------------------------- */

static void end(struct fh_call *call)
{
    FH_ASSERT(!call->ended);
    call->ended = true;
    call->cancelled_cb = NULL;
    call->writable_cb = NULL;
}

void fh_call_add_trailer(struct fh_call *call, const char *key, struct fh_str value)
{
    grpc_slice key_slice = grpc_slice_from_static_string(key);
    grpc_slice value_slice =
        grpc_slice_from_static_buffer(value.len > 0 ? value.data : "", value.len);
    size_t at = call->trailer_count;

    /* Refused ones are left out: a trailer is a courtesy, the status matters more. */
    if (at == FH_RPC_TRAILERS_MAX || !grpc_header_key_is_legal(key_slice) ||
        (!grpc_is_binary_header(key_slice) && !grpc_header_nonbin_value_is_legal(value_slice))) {
        return;
    }
    if (fh_arena_str(&call->arena, fh_str_of(key), &call->trailer_keys[at]) == FH_OK &&
        fh_arena_str(&call->arena, value, &call->trailer_values[at]) == FH_OK) {
        call->trailer_count++;
    }
}

void fh_call_reply(struct fh_call *call, const ProtobufCMessage *response)
{
    grpc_byte_buffer *buffer = NULL;
    size_t bytes = 0;

    FH_ASSERT(call->method->kind == FH_RPC_UNARY);
    if (!call->status_done) {
        enum fh_code code = fh_rpc_send_pack(call, response, &buffer, &bytes);
        if (code != FH_OK) {
            fh_call_fail_code(call, code);
            return;
        }
    }
    fh_rpc_call_hold(call);
    end(call);
    if (!call->status_done) {
        call->code = FH_OK;
        call->response_bytes = bytes;
        fh_rpc_send_status(call, buffer);
    }
    fh_rpc_call_release(call);
}

void fh_call_fail_status(struct fh_call *call, const struct fh_status *status)
{
    FH_ASSERT(status->code != FH_OK);
    fh_rpc_call_hold(call);
    end(call);
    if (!call->status_done) {
        struct fh_str message =
            status->message.len > 0 ? status->message : fh_str_of(fh_code_text(status->code));
        call->code = status->code;
        if (fh_arena_str(&call->arena, message, &call->final_message) != FH_OK) {
            call->final_message = fh_str_of(fh_code_text(status->code));
        }
        if (fh_status_pack(status, &call->arena, &call->final_details) != FH_OK) {
            call->final_details = FH_STR("");
        }
        fh_rpc_stream_pump(call);
    }
    fh_rpc_call_release(call);
}

void fh_call_fail(struct fh_call *call, const struct fh_error *error)
{
    struct fh_status status;

    fh_status_from_error(&status, error);
    fh_call_fail_status(call, &status);
}

void fh_call_fail_code(struct fh_call *call, enum fh_code code)
{
    struct fh_error error = FH_ERROR_INIT;

    error.code = code;
    fh_call_fail(call, &error);
}

void fh_call_finish(struct fh_call *call)
{
    FH_ASSERT(call->method->kind != FH_RPC_UNARY);
    fh_rpc_call_hold(call);
    end(call);
    if (!call->status_done) {
        call->code = FH_OK;
        fh_rpc_stream_pump(call);
    }
    fh_rpc_call_release(call);
}
