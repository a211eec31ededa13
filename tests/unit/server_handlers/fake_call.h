/* A struct fh_call without gRPC, put in at link time: what a handler sees and does, kept for a test
 * to read.
 *
 * As strict as the real one, and stricter: the request goes through the wire check and is unpacked
 * into the call's arena, a response is packed and unpacked again, a call that ends twice or is
 * asked for cancellation after its end aborts, and once it ended and the handler returned, its
 * arena is closed, so that a sanitizer sees whoever still touches it.
 *
 * Nothing of its own goes through base/alloc.h, so that counting allocations counts the handler's.
 */
#ifndef FH_TESTS_UNIT_SERVER_HANDLERS_FAKE_CALL_H
#define FH_TESTS_UNIT_SERVER_HANDLERS_FAKE_CALL_H

#include "base/clock.h"
#include "server/auth/principal.h"
#include "server/rpc/call.h"
#include "server/rpc/server.h"

#define FAKE_CALL_SENT_MAX 64

struct fh_call {
    /* How it ended: for tests */
    bool ended;
    enum fh_code code;
    char message[FH_ERROR_MESSAGE_MAX];
    char field[FH_ERROR_FIELD_MAX];             /* of the first violation, or "" */
    ProtobufCMessage *response;                 /* with FH_OK; lives until fake_call_free() */
    ProtobufCMessage *sent[FAKE_CALL_SENT_MAX]; /* of a stream, in order; as long */
    size_t sent_count;
    bool heard;       /* set by every message that is sent, and by the end */
    bool reader_slow; /* for tests to set: messages are refused with FH_FULL */

    /* The fake's */
    struct fh_arena arena;
    bool arena_open;
    bool in_handler;
    bool cancelled;
    const ProtobufCMessageDescriptor *output;
    const ProtobufCMessage *request;
    const void *context;
    struct fh_principal principal;
    struct fh_uuid id;
    int64_t deadline_us;
    fh_rpc_handler_cb *handler;
    void *handler_arg;
    const char *method;
    fh_call_cancelled_cb *cancelled_cb;
    void *cancelled_arg;
};

/* A call of the service's method by `principal` (copied), its request checked and unpacked. */
struct fh_call *fake_call_make(const struct fh_rpc_service *service, const char *method,
                               const struct fh_principal *principal, int64_t deadline_us,
                               const ProtobufCMessage *request);
/* The same of bytes as they come from a caller; NULL: they are refused before the handler runs. */
struct fh_call *fake_call_make_bytes(const struct fh_rpc_service *service, const char *method,
                                     const struct fh_principal *principal, int64_t deadline_us,
                                     struct fh_str bytes);
/* Runs the handler, which may end the call or leave it to the loop. */
void fake_call_run(struct fh_call *call);
/* The peer went away. */
void fake_call_cancel(struct fh_call *call);
/* After it ended. */
void fake_call_free(struct fh_call *call);

#endif
