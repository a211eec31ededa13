/* A development server of this user: where it listens, from the file it leaves in its data
 * directory, and tokens minted with its development keys.
 *
 * Any thread. Tokens are secrets: callers wipe the buffers they are in.
 */
#ifndef FH_CLIENTS_CLI_DEVSERVER_H
#define FH_CLIENTS_CLI_DEVSERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/code.h"
#include "base/error.h"
#include "base/str.h"

#define FH_DEVSERVER_ADDRESS_MAX 256

struct fh_devserver {
    char tenant[FH_DEVSERVER_ADDRESS_MAX]; /* "host:port"; "" when the file names none */
    char operators[FH_DEVSERVER_ADDRESS_MAX];
    long long pid;
    bool tls;
    bool running; /* the process is there */
};

/* Reads <dir>/freeholdd.json. FH_NOT_FOUND: no server wrote there; FH_PERMISSION: another user's.
 */
FH_MUST_CHECK enum fh_code fh_devserver_read(const char *dir, struct fh_devserver *out,
                                             struct fh_error *error);

#define FH_TTL_S_MAX ((int64_t)365 * 86400)

struct fh_devtoken {
    bool operators;       /* the operator realm; tenant and roles are not looked at then */
    struct fh_str tenant; /* UUID, as text */
    struct fh_str subject;
    const char *const *roles;
    size_t role_count;
    int64_t issued_s; /* Unix time */
    int64_t ttl_s;
};

/* Signs a token with <dir>/keys/{tenant,operator}.key.pem and appends it to `out`. Refuses a key
 * that others can read. FH_NOT_FOUND: no keys there. */
FH_MUST_CHECK enum fh_code fh_devtoken_mint(const char *dir, const struct fh_devtoken *request,
                                            struct fh_buf *out, struct fh_error *error);
/* The claims alone, as JSON. */
FH_MUST_CHECK enum fh_code fh_devtoken_claims(const struct fh_devtoken *request,
                                              struct fh_buf *out);

#endif
