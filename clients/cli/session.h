/* One run of the command: its arguments, its context, its two clients and its output.
 *
 * Functions that can fail tell the user on stderr, with the next step, and answer an exit code; 0
 * means go on. One thread.
 */
#ifndef FH_CLIENTS_CLI_SESSION_H
#define FH_CLIENTS_CLI_SESSION_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/code.h"
#include "base/error.h"
#include "base/uuid.h"
#include "clients/c/client.h"
#include "clients/cli/args.h"
#include "clients/cli/context.h"

/* Documented in --help: never change one. */
enum fh_exit {
    FH_EXIT_OK = 0,
    FH_EXIT_REFUSED = 1,
    FH_EXIT_USAGE = 2,
    FH_EXIT_UNREACHABLE = 3,
    FH_EXIT_LOCAL = 4,
    FH_EXIT_PARTIAL = 5,
    FH_EXIT_UNKNOWN = 6,
};

enum fh_output {
    FH_OUTPUT_TABLE,
    FH_OUTPUT_JSON,
    FH_OUTPUT_NDJSON, /* lists: one item a line; else as JSON on one line */
};

#define FH_OUTPUT_BYTES_MAX (64u << 20)

struct fh_session {
    const struct fh_args *args;
    struct fh_context context;
    enum fh_output output;
    bool out_is_terminal;
    int64_t deadline_us;             /* of each call */
    struct fh_client *tenant_client; /* opened on first use */
    struct fh_client *operator_client;
    char tenant[FH_UUID_TEXT_LEN + 1]; /* UUID of --tenant, once known; "" */
};

/* Loads context and output options. `args` is borrowed. */
int fh_session_open(struct fh_session *session, const struct fh_args *args);
void fh_session_close(struct fh_session *session);

/* The client of a realm; borrowed. */
int fh_session_operators(struct fh_session *session, struct fh_client **out);
int fh_session_tenant(struct fh_session *session, struct fh_client **out);
/* A client of the caller's own, with this token; NULL: none is sent. */
int fh_session_connect(struct fh_session *session, bool operators, const char *token,
                       struct fh_client **out);
/* Could operator calls work at all? Says nothing; asks nobody. */
bool fh_session_has_operators(const struct fh_session *session);
/* A slug or UUID as UUID; a slug is asked for at the operators' listener. */
int fh_session_tenant_uuid(struct fh_session *session, const char *tenant,
                           char out[FH_UUID_TEXT_LEN + 1]);
/* The tenant that names must say, or NULL. After fh_session_tenant(). */
const char *fh_session_tenant_prefix(const struct fh_session *session);

/* A call that must succeed. `*out` is freed with fh_client_message_free(). */
int fh_session_invoke(struct fh_session *session, struct fh_client *client,
                      const ProtobufCServiceDescriptor *service, const char *method,
                      const ProtobufCMessage *request, ProtobufCMessage **out);

/* Failures: said on stderr, answered as exit code. */
int fh_session_fail(const struct fh_session *session, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int fh_session_fail_error(const struct fh_session *session, const struct fh_error *error);
int fh_session_fail_status(const struct fh_session *session, const struct fh_client_status *status);
/* The exit code alone. */
int fh_session_exit_of(const struct fh_client_status *status);
/* What to try next; NULL. Static. */
const char *fh_session_next_step(const struct fh_client_status *status);

/* Writes and empties the buffer. */
int fh_session_write(const struct fh_session *session, struct fh_buf *buf);
/* The message as JSON, whatever the format says. */
int fh_session_write_json(const struct fh_session *session, const ProtobufCMessage *message);
/* A line on stderr, for people; not with -o json. */
void fh_session_note(const struct fh_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
