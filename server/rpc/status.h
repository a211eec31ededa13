/* A refusal as the caller sees it: google.rpc.Status with the standard details. */
#ifndef FH_SERVER_RPC_STATUS_H
#define FH_SERVER_RPC_STATUS_H

#include <stdint.h>

#include "base/arena.h"
#include "base/code.h"
#include "base/error.h"
#include "base/str.h"

#define FH_STATUS_METADATA_MAX 4
#define FH_STATUS_VIOLATIONS_MAX 8

struct fh_status_pair {
    struct fh_str key;
    struct fh_str value;
};

/* Borrowed strings; lives on the stack of whoever fails a call. */
struct fh_status {
    enum fh_code code;     /* gives gRPC status and ErrorInfo.reason (domain "freehold") */
    struct fh_str message; /* empty: the code's own text */
    struct fh_status_pair metadata[FH_STATUS_METADATA_MAX]; /* ErrorInfo.metadata */
    size_t metadata_count;
    struct fh_status_pair violations[FH_STATUS_VIOLATIONS_MAX]; /* BadRequest: field, description */
    size_t violation_count;
    int64_t retry_after_ms; /* RetryInfo when > 0 */
    struct fh_str help_url; /* Help when not empty */
    struct fh_str help_description;
};

void fh_status_from_error(struct fh_status *status, const struct fh_error *error);
/* Packs google.rpc.Status for grpc-status-details-bin into the arena. */
FH_MUST_CHECK enum fh_code fh_status_pack(const struct fh_status *status, struct fh_arena *arena,
                                          struct fh_str *out);

#endif
