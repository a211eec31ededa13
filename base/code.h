/* The one list of outcomes.
 *
 * Every function of Freehold that can fail returns an `enum fh_code`. Codes of libraries (SQLSTATE,
 * sqlite3, errno) end in their adapter; a gRPC status appears only at the edge, taken from this
 * list. `reason` is the stable ErrorInfo.reason that clients may match on: never change one, only
 * add.
 */
#ifndef FH_BASE_CODE_H
#define FH_BASE_CODE_H

/* X(name, reason, gRPC status number, text for people) */
#define FH_CODES(X)                                                                                \
    X(OK, "OK", 0, "ok")                                                                           \
    X(CANCELLED, "CANCELLED", 1, "the caller cancelled the request")                               \
    X(OUTCOME_UNKNOWN, "OUTCOME_UNKNOWN", 2,                                                       \
      "the connection to the store died after the write was sent; retry with the same request_id") \
    X(INVALID, "INVALID_ARGUMENT", 3, "the request is not valid")                                  \
    X(REQUEST_ID_REUSED, "REQUEST_ID_REUSED", 3,                                                   \
      "this request_id was used before with another body")                                         \
    X(DEADLINE, "DEADLINE_EXCEEDED", 4, "the deadline passed")                                     \
    X(NOT_FOUND, "NOT_FOUND", 5, "not found")                                                      \
    X(NO_TENANT, "TENANT_NOT_FOUND", 5, "no such tenant")                                          \
    X(EXISTS, "ALREADY_EXISTS", 6, "already exists")                                               \
    X(UNIQUE_VIOLATION, "UNIQUE_VIOLATION", 6, "another live record has the same unique value")    \
    X(PERMISSION, "PERMISSION_DENIED", 7, "the caller lacks the role this method needs")           \
    X(FULL, "RESOURCE_EXHAUSTED", 8, "a bound of the server is reached; retry later")              \
    X(TOO_LARGE, "TOO_LARGE", 8, "larger than the limit")                                          \
    X(NOMEM, "OUT_OF_MEMORY", 8, "out of memory")                                                  \
    X(DISK_FULL, "DISK_FULL", 8, "the store's disk is full")                                       \
    X(PRECONDITION, "FAILED_PRECONDITION", 9, "a precondition does not hold")                      \
    X(SUSPENDED, "TENANT_SUSPENDED", 9, "the tenant is suspended")                                 \
    X(REFERENCE_VIOLATION, "REFERENCE_VIOLATION", 9,                                               \
      "a referenced record is missing, or this record is still referenced")                        \
    X(CHECK_VIOLATION, "CHECK_VIOLATION", 3, "a value breaks a constraint of the table")           \
    X(ETAG_MISMATCH, "ETAG_MISMATCH", 10, "the record changed since it was read")                  \
    X(CONFLICT, "CONFLICT", 10, "a concurrent request holds the same record or request_id; retry") \
    X(RANGE, "OUT_OF_RANGE", 11, "out of range")                                                   \
    X(UNIMPLEMENTED, "UNIMPLEMENTED", 12, "not offered by this server")                            \
    X(INTERNAL, "INTERNAL", 13, "internal error")                                                  \
    X(FOREIGN_ROW, "ISOLATION_VIOLATION", 13,                                                      \
      "a row of another tenant reached the ownership check and was withheld")                      \
    X(UNAVAILABLE, "UNAVAILABLE", 14, "the store cannot be reached now; retry")                    \
    X(MOVED, "TENANT_MOVED", 14, "the tenant's home changed; the router refreshes and retries")    \
    X(STALE_SCHEMA, "SCHEMA_CHANGED", 14,                                                          \
      "the home is at another schema version than the request was made for; nothing was done")     \
    X(HELD, "TENANT_HELD", 14, "the tenant is being moved; the request is held")                   \
    X(SHUTTING_DOWN, "SHUTTING_DOWN", 14, "the server is shutting down; retry elsewhere")          \
    X(CORRUPT, "DATA_LOSS", 15, "stored data failed a check")                                      \
    X(UNAUTHENTICATED, "UNAUTHENTICATED", 16, "a valid token is required")

enum fh_code {
#define FH_CODE_ENUM(name, reason, grpc, text) FH_##name,
    FH_CODES(FH_CODE_ENUM)
#undef FH_CODE_ENUM
        FH_CODE_COUNT
};

#define FH_MUST_CHECK __attribute__((warn_unused_result))

/* Static strings; an unknown code answers as FH_INTERNAL. */
const char *fh_code_name(enum fh_code code);   /* "NOT_FOUND" */
const char *fh_code_reason(enum fh_code code); /* the stable ErrorInfo.reason */
const char *fh_code_text(enum fh_code code);   /* for people */
int fh_code_grpc_status(enum fh_code code);    /* 0..16 */

#endif
