/* The C client of Freehold: a channel, its credentials, deadlines, and typed calls.
 *
 * Two ways to call, on one client and freely mixed:
 *   - by the generated stubs, blocking:
 *         struct fh_client_stub stub;
 *         fh_client_stub_init(&stub, client, &freehold__v1__data_service__descriptor);
 *         freehold__v1__data_service__get_record(&stub.base, &request, got_cb, arg);
 *     The closure is called once before the stub returns, with NULL on failure; then
 *     fh_client_last_status() says why.
 *   - by call handles: start up to `calls_max` calls, take them as they end with fh_client_next().
 *
 * A call that failed for a passing reason (see fh_client_status_is_passing) is sent again with the
 * same bytes, so with the same request_id, while its deadline allows, but only where that is safe:
 * the method reads, or the request carries a request_id. A server that never answered this client
 * is not waited for: such calls fail at once with UNAVAILABLE.
 *
 * Thread: compatible; one client belongs to one thread at a time. It polls only inside
 * fh_client_next() and what is built on it; no thread of its own.
 * Ownership: said at each function. Everything a client made must be gone before the client.
 * Limits: `calls_max` live calls, `response_bytes_max` a response, FH_CLIENT_TRIES_MAX tries a
 * call.
 *
 * Server streams are not offered yet. They come as calls whose handle yields more than one message:
 * receiving the status is a batch of its own then, and fh_client_next() gives the same handle once
 * a message; nothing of what is here changes.
 */
#ifndef FH_CLIENTS_C_CLIENT_H
#define FH_CLIENTS_C_CLIENT_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/code.h"
#include "base/error.h"
#include "clients/c/status.h"

#define FH_CLIENT_TRIES_MAX 64
#define FH_CLIENT_CALLS_MAX 1024
#define FH_CLIENT_HEADERS_MAX 8

struct fh_client;
struct fh_client_call;

/* Strings are copied by fh_client_create(). */
struct fh_client_options {
    const char *address;         /* "host:port"; required */
    const char *token;           /* bearer token; NULL: none is sent */
    bool tls;                    /* with the system's authorities, unless `ca_pem` */
    const char *ca_pem;          /* the text of PEM certificates to trust; implies tls */
    bool insecure;               /* permit plaintext beyond loopback: the token can be read there */
    int64_t deadline_us;         /* of each call, retries included; default 30 s */
    uint32_t calls_max;          /* default 64; at most FH_CLIENT_CALLS_MAX */
    uint32_t response_bytes_max; /* default 16 MiB */
    const struct fh_clock *clock; /* default fh_clock_system() */
};

void fh_client_options_init(struct fh_client_options *options);

/* Connects lazily: an address nobody listens on shows with the first call. */
FH_MUST_CHECK enum fh_code fh_client_create(const struct fh_client_options *options,
                                            struct fh_client **out, struct fh_error *error);
/* Cancels and frees the calls that are left, blocking until gRPC let go of them. NULL is fine. */
void fh_client_destroy(struct fh_client *client);
/* For later calls. */
void fh_client_set_deadline_us(struct fh_client *client, int64_t deadline_us);
/* Sends another token (copied; NULL: none) over the same connection. No call may be live.
 * FH_INVALID as in fh_client_create(). */
FH_MUST_CHECK enum fh_code fh_client_set_token(struct fh_client *client, const char *token);

/* More metadata than the token, sent before it; keys are lower case. */
struct fh_client_header {
    const char *key;
    const char *value;
};
/* For later calls. At most FH_CLIENT_HEADERS_MAX; borrowed, texts included, until replaced (count
 * 0: none) and no call is live. */
void fh_client_set_headers(struct fh_client *client, const struct fh_client_header *headers,
                           size_t count);

/* True: whoever waits in fh_client_next() is not to wait any longer. Then every live call is
 * cancelled. Asked about five times a second while a call is waited for. */
typedef bool fh_client_stop_cb(void *arg);
/* NULL: none, as at first. */
void fh_client_set_stop(struct fh_client *client, fh_client_stop_cb *stop_cb, void *arg);

/* -- Blocking -----------------------------------------------------------------------------------
 */

/* Calls `method` ("GetRecord") of `service` with `request`, which is borrowed for the call only.
 * True: `*out` is the response, to be freed with fh_client_message_free(). False: `*out` is NULL
 * and `status` says why. */
FH_MUST_CHECK bool fh_client_invoke(struct fh_client *client,
                                    const ProtobufCServiceDescriptor *service, const char *method,
                                    const ProtobufCMessage *request, ProtobufCMessage **out,
                                    struct fh_client_status *status);
void fh_client_message_free(ProtobufCMessage *message); /* NULL is fine */

/* What generated stubs take. Plain memory, nothing to close; borrows the client. */
struct fh_client_stub {
    ProtobufCService base;
    struct fh_client *client;
};
void fh_client_stub_init(struct fh_client_stub *stub, struct fh_client *client,
                         const ProtobufCServiceDescriptor *service);
/* Of the last blocking call. Borrowed until the next one. */
const struct fh_client_status *fh_client_last_status(const struct fh_client *client);

/* -- Many at once -------------------------------------------------------------------------------
 */

/* Starts a call; `arg` is the caller's own. FH_OK: the handle comes out of fh_client_next() once,
 * and is then the caller's to free. FH_FULL: `calls_max` are live; take one first. Else FH_INVALID
 * (unknown method), FH_TOO_LARGE, FH_NOMEM. The request is packed here and not kept. */
FH_MUST_CHECK enum fh_code fh_client_call_start(struct fh_client *client,
                                                const ProtobufCServiceDescriptor *service,
                                                const char *method, const ProtobufCMessage *request,
                                                void *arg, struct fh_client_call **out,
                                                struct fh_error *error);
/* Blocks until some call ended, and gives it; NULL when none is live. Every call has a deadline, so
 * this returns. */
struct fh_client_call *fh_client_next(struct fh_client *client);
/* Live calls: started and not yet given by fh_client_next(). */
size_t fh_client_live(const struct fh_client *client);
/* The call will end soon, as CANCELLED unless it was quicker. */
void fh_client_call_cancel(struct fh_client_call *call);

void *fh_client_call_arg(const struct fh_client_call *call);
/* After it was given by fh_client_next(). Borrowed until the call is freed; NULL on failure. */
const ProtobufCMessage *fh_client_call_response(const struct fh_client_call *call);
const struct fh_client_status *fh_client_call_status(const struct fh_client_call *call);
/* How often it was sent. */
unsigned fh_client_call_tries(const struct fh_client_call *call);
/* Only what fh_client_next() gave. NULL is fine. */
void fh_client_call_free(struct fh_client_call *call);

/* -- The rules, for tests and other transports --------------------------------------------------
 */

/* May this request be sent twice? A method that only reads (Get, BatchGet, List, Check), or a
 * request whose field request_id is set. */
bool fh_client_is_repeatable(const char *method, const ProtobufCMessage *request);
/* How long to wait before try number `tries` + 1: 50 ms doubling to 2 s, give or take a quarter by
 * `random`, and never less than the server asked for. */
int64_t fh_client_backoff_us(unsigned tries, int64_t retry_after_us, uint32_t random);

#endif
