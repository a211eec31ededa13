/* Messages of a stream, one SEND_MESSAGE in flight, a bounded queue behind it.
 *
 * Happy path: fh_call_send packs and queues; pump() starts the next batch whenever none is in
 * flight; its completion (flow control let the message pass) takes the next. The last message and
 * the status go together. Streams both ways read one message, answer it, and read the next when the
 * answer has passed.
 *
 * Failures: a full queue answers FH_FULL, and `writable_cb` tells when it fell to half; a peer that
 * went away makes the queue be dropped, and send answers FH_CANCELLED.
 */
#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <string.h>

#include "base/assert.h"
#include "server/rpc/internal.h"

static void pop(struct fh_call *call)
{
    struct rpc_queued *first = &call->queue[call->queue_first];

    call->queue_first = (call->queue_first + 1) % FH_RPC_QUEUE_MAX;
    call->queue_count--;
    call->queue_bytes -= first->bytes;
    first->buffer = NULL;
}

void fh_rpc_stream_drop(struct fh_call *call)
{
    while (call->queue_count > 0) {
        grpc_byte_buffer_destroy(call->queue[call->queue_first].buffer);
        pop(call);
    }
}

static bool full(const struct fh_call *call)
{
    return call->queue_count == FH_RPC_QUEUE_MAX ||
           (call->queue_count > 0 && call->queue_bytes >= FH_RPC_QUEUE_BYTES_MAX);
}

static void tell_writable(struct fh_call *call)
{
    if (call->want_writable && !call->ended && call->writable_cb != NULL &&
        call->queue_count <= FH_RPC_QUEUE_MAX / 2 &&
        call->queue_bytes <= FH_RPC_QUEUE_BYTES_MAX / 2) {
        call->want_writable = false;
        call->writable_cb(call, call->writable_arg);
    }
}

static void start(struct fh_call *call, grpc_byte_buffer *message)
{
    grpc_op ops[2];
    grpc_metadata initial;
    size_t count = fh_rpc_send_initial_op(call, ops, &initial);

    if (message != NULL) {
        memset(&ops[count], 0, sizeof(ops[count]));
        ops[count].op = GRPC_OP_SEND_MESSAGE;
        ops[count++].data.send_message.send_message = message;
    }
    if (count == 0) {
        return;
    }
    call->sending = true;
    call->sent = message;
    call->stream_tag.cb = fh_rpc_stream_sent_cb;
    fh_rpc_call_hold(call);
    if (!fh_rpc_poller_batch(call->server->poller, call->grpc, ops, count, &call->stream_tag)) {
        call->sending = false;
        grpc_byte_buffer_destroy(message);
        call->sent = NULL;
        fh_rpc_call_cancel(call, FH_CANCELLED);
        fh_rpc_call_release(call);
    }
}

void fh_rpc_stream_pump(struct fh_call *call)
{
    grpc_byte_buffer *message = NULL;

    if (call->sending || call->status_done) {
        return;
    }
    if (call->queue_count > 0) {
        message = call->queue[call->queue_first].buffer;
        call->response_bytes += call->queue[call->queue_first].bytes;
        pop(call);
    }
    if (call->ended && call->queue_count == 0) {
        fh_rpc_send_status(call, message);
    } else if (message != NULL) {
        start(call, message);
    }
}

void fh_rpc_stream_sent_cb(struct fh_rpc_tag *tag, bool success)
{
    struct fh_call *call = FH_CONTAINER_OF(tag, struct fh_call, stream_tag);

    call->sending = false;
    grpc_byte_buffer_destroy(call->sent);
    call->sent = NULL;
    if (!success) {
        fh_rpc_call_cancel(call, FH_CANCELLED);
    }
    fh_rpc_stream_pump(call);
    if (!call->cancelled) {
        tell_writable(call);
        fh_rpc_stream_read(call);
    }
    fh_rpc_call_release(call);
}

void fh_rpc_stream_open(struct fh_call *call)
{
    if (!call->initial_sent && !call->ended && !call->sending && !call->status_done) {
        start(call, NULL);
    }
}

enum fh_code fh_call_send(struct fh_call *call, const ProtobufCMessage *message)
{
    struct rpc_queued queued;

    FH_ASSERT(call->method->kind != FH_RPC_UNARY && !call->ended);
    if (call->cancelled || call->status_done) {
        return FH_CANCELLED;
    }
    if (full(call)) {
        call->want_writable = true;
        return FH_FULL;
    }
    enum fh_code code = fh_rpc_send_pack(call, message, &queued.buffer, &queued.bytes);
    if (code != FH_OK) {
        return code;
    }
    call->queue[(call->queue_first + call->queue_count) % FH_RPC_QUEUE_MAX] = queued;
    call->queue_count++;
    call->queue_bytes += queued.bytes;
    fh_rpc_call_hold(call);
    fh_rpc_stream_pump(call);
    fh_rpc_call_release(call);
    return FH_OK;
}

/* -- both ways ------------------------------------------------------------------------------- */

void fh_rpc_stream_read(struct fh_call *call)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

    if (call->method->kind != FH_RPC_BIDI || call->reading || call->read_closed || call->ended ||
        call->queue_count > 0) {
        return;
    }
    call->reading = true;
    op.data.recv_message.recv_message = &call->received;
    call->read_tag.cb = fh_rpc_stream_read_cb;
    fh_rpc_call_hold(call);
    if (!fh_rpc_poller_batch(call->server->poller, call->grpc, &op, 1, &call->read_tag)) {
        call->reading = false;
        fh_rpc_call_cancel(call, FH_CANCELLED);
        fh_rpc_call_release(call);
    }
}

void fh_rpc_stream_read_cb(struct fh_rpc_tag *tag, bool success)
{
    struct fh_call *call = FH_CONTAINER_OF(tag, struct fh_call, read_tag);
    grpc_byte_buffer *received = call->received;

    call->reading = false;
    call->received = NULL;
    if (!success || received == NULL) {
        call->read_closed = true;
        if (!call->ended) {
            fh_call_finish(call);
        }
    } else if (!call->ended) {
        /* Nothing of the last message is alive: its answer was packed. But the authenticator's
         * context lives here too; with one, a stream has all its messages in the arena's bound. */
        if (call->context == NULL) {
            fh_arena_reset(&call->arena);
            call->peer = (struct fh_str){0};
        }
        if (fh_rpc_call_unpack(call, received)) {
            fh_rpc_call_handle(call);
            /* A completed send asks for the next message; when it completed already, we do. */
            if (!call->sending) {
                fh_rpc_stream_read(call);
            }
        }
    }
    grpc_byte_buffer_destroy(received);
    fh_rpc_call_release(call);
}
