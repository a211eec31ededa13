/* How a call ended, with google.rpc details decoded.
 *
 * Fixed size, no allocation: long texts are cut, further violations dropped. Any thread.
 * Everything in here was said by the server: escape it before showing it on a terminal.
 */
#ifndef FH_CLIENTS_C_STATUS_H
#define FH_CLIENTS_C_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define FH_CLIENT_MESSAGE_MAX 1024
#define FH_CLIENT_FIELD_MAX 128
#define FH_CLIENT_DESCRIPTION_MAX 512
#define FH_CLIENT_REASON_MAX 64
#define FH_CLIENT_REQUEST_ID_MAX 80
#define FH_CLIENT_VIOLATIONS_MAX 8

/* gRPC's status numbers, as in its specification. */
enum fh_client_grpc {
    FH_GRPC_OK = 0,
    FH_GRPC_CANCELLED = 1,
    FH_GRPC_UNKNOWN = 2,
    FH_GRPC_INVALID_ARGUMENT = 3,
    FH_GRPC_DEADLINE_EXCEEDED = 4,
    FH_GRPC_NOT_FOUND = 5,
    FH_GRPC_ALREADY_EXISTS = 6,
    FH_GRPC_PERMISSION_DENIED = 7,
    FH_GRPC_RESOURCE_EXHAUSTED = 8,
    FH_GRPC_FAILED_PRECONDITION = 9,
    FH_GRPC_ABORTED = 10,
    FH_GRPC_OUT_OF_RANGE = 11,
    FH_GRPC_UNIMPLEMENTED = 12,
    FH_GRPC_INTERNAL = 13,
    FH_GRPC_UNAVAILABLE = 14,
    FH_GRPC_DATA_LOSS = 15,
    FH_GRPC_UNAUTHENTICATED = 16,
};

struct fh_client_violation {
    char field[FH_CLIENT_FIELD_MAX];
    char description[FH_CLIENT_DESCRIPTION_MAX];
};

struct fh_client_status {
    int grpc; /* enum fh_client_grpc; other numbers are possible */
    char message[FH_CLIENT_MESSAGE_MAX];
    char reason[FH_CLIENT_REASON_MAX]; /* ErrorInfo.reason, "" when there is none */
    char domain[FH_CLIENT_REASON_MAX]; /* ErrorInfo.domain */
    struct fh_client_violation violations[FH_CLIENT_VIOLATIONS_MAX]; /* BadRequest */
    size_t violation_count;
    int64_t retry_after_us; /* RetryInfo; 0: none */
    char help_url[FH_CLIENT_DESCRIPTION_MAX];
    char request_id[FH_CLIENT_REQUEST_ID_MAX]; /* metadata freehold-request-id, "" when unknown */
    bool from_server; /* the server answered; false: the transport failed on the way */
};

void fh_client_status_set(struct fh_client_status *status, int grpc, const char *message);
/* Decodes grpc-status-details-bin into reason, violations, retry and help. Broken bytes change
 * nothing: the plain status stands. False then. */
bool fh_client_status_decode(struct fh_client_status *status, struct fh_str details);
/* May the same request succeed a moment later? UNAVAILABLE, ABORTED (CONFLICT), OUTCOME_UNKNOWN,
 * and a full server that says when to come back. */
bool fh_client_status_is_passing(const struct fh_client_status *status);
/* "NOT_FOUND"; "UNKNOWN" for numbers out of the list. Static. */
const char *fh_client_grpc_name(int grpc);

#endif
