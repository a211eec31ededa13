/* One call: what a handler sees and does.
 *
 * The call owns its arena; everything reached through it dies when the call ends, which is some
 * time after reply/finish/fail returned: a handler touches the call no more after that. A handler
 * whose work is in flight elsewhere (a store request embedded in the arena) must wait for its
 * completion before it ends the call, also when the call was cancelled.
 */
#ifndef FH_SERVER_RPC_CALL_H
#define FH_SERVER_RPC_CALL_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/code.h"
#include "base/error.h"
#include "base/str.h"
#include "base/uuid.h"
#include "server/rpc/status.h"

struct fh_call;

struct fh_arena *fh_call_arena(struct fh_call *call);
/* The unpacked request, of the type the method's descriptor names. Valid UTF-8 without NUL in every
 * string field, known to have been within the size limit. NULL before the handler runs. */
const ProtobufCMessage *fh_call_request(const struct fh_call *call);
/* Absolute, monotonic; never FH_DEADLINE_NONE for a unary call. */
int64_t fh_call_deadline_us(const struct fh_call *call);
/* First value of a metadata key (lower case), or an empty string. Borrowed until the call ends. */
struct fh_str fh_call_metadata(const struct fh_call *call, const char *key);
/* "ipv4:127.0.0.1:1234", as gRPC says it. */
struct fh_str fh_call_peer(const struct fh_call *call);
/* Ours, made at arrival; sent to the caller in initial metadata as "freehold-request-id". */
const struct fh_uuid *fh_call_id(const struct fh_call *call);
const char *fh_call_method(const struct fh_call *call);

void fh_call_set_context(struct fh_call *call, const void *context);
const void *fh_call_context(const struct fh_call *call);

/* Adds to the trailing metadata (copied; at most 8). */
void fh_call_add_trailer(struct fh_call *call, const char *key, struct fh_str value);

/* Unary: packs and sends the response with status OK. Ends the call. */
void fh_call_reply(struct fh_call *call, const ProtobufCMessage *response);
/* Ends the call, unary or streaming, with a status that carries google.rpc details. */
void fh_call_fail_status(struct fh_call *call, const struct fh_status *status);
/* The same from an error: ErrorInfo with the code's reason, BadRequest when a field is named,
 * RetryInfo when the code invites a retry. */
void fh_call_fail(struct fh_call *call, const struct fh_error *error);
void fh_call_fail_code(struct fh_call *call, enum fh_code code);

/* Server streaming. Packs now, sends when flow control permits. FH_FULL: the bounded queue (16
 * messages, or 4 MiB) is full, wait for `writable_cb`; FH_CANCELLED: the peer went away, finish. */
FH_MUST_CHECK enum fh_code fh_call_send(struct fh_call *call, const ProtobufCMessage *message);
typedef void fh_call_writable_cb(struct fh_call *call, void *arg);
/* Called whenever the queue fell to half after an FH_FULL, and once on cancellation. */
void fh_call_on_writable(struct fh_call *call, fh_call_writable_cb *writable_cb, void *arg);
/* Ends a stream with OK after everything queued. */
void fh_call_finish(struct fh_call *call);

bool fh_call_cancelled(const struct fh_call *call);
typedef void fh_call_cancelled_cb(struct fh_call *call, void *arg);
/* Called once if the peer cancels, vanishes, or the deadline passes before the call ended; at once
 * (on the next turn of the loop) if that has already happened. */
void fh_call_on_cancelled(struct fh_call *call, fh_call_cancelled_cb *cancelled_cb, void *arg);

#endif
