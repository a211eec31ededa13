/* A token of one canary: made with a development server's keys, or by the operator's own command,
 * for servers hold no key to sign with.
 *
 * The command (--token-command) runs under /bin/sh with FREEHOLD_TENANT_UID and FREEHOLD_ROLES in
 * its environment, and prints the token. It has FH_TOKEN_COMMAND_S to do so, but no longer than the
 * run has, and is killed then, or when the session's caller is to stop. Blocking; one thread.
 * Tokens are secrets: who owns the buffer wipes it.
 */
#ifndef FH_CLIENTS_CLI_CANARY_TOKEN_H
#define FH_CLIENTS_CLI_CANARY_TOKEN_H

#include "clients/c/client.h"
#include "clients/cli/session.h"

#define FH_TOKEN_COMMAND_S 30

struct fh_token_source {
    struct fh_session *session;
    const char *command;    /* NULL: development keys */
    int64_t deadline_at_us; /* of the run, by the monotonic clock */
    fh_client_stop_cb *stop_cb;
    void *stop_arg;
};

/* Is there any source? Otherwise `*why` says in words what would be one. */
bool fh_token_source_is_there(const struct fh_token_source *source, const char **why);
/* Replaces `out`. The error's message never holds what a command printed. */
FH_MUST_CHECK enum fh_code fh_token_source_get(const struct fh_token_source *source,
                                               const char *uid, struct fh_buf *out,
                                               struct fh_error *error);
/* One that ended an hour ago; FH_UNIMPLEMENTED without development keys. `uid` NULL: an operator's.
 */
FH_MUST_CHECK enum fh_code fh_token_source_expired(const struct fh_token_source *source,
                                                   const char *uid, struct fh_buf *out,
                                                   struct fh_error *error);
/* The session's own operator token. */
FH_MUST_CHECK enum fh_code fh_token_source_operator(const struct fh_token_source *source,
                                                    struct fh_buf *out, struct fh_error *error);

#endif
