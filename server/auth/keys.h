/* Development keys and tokens: made on first start in an empty data directory, so that `freehold
 * token` works at once.
 *
 * For each realm an Ed25519 key: <dir>/<realm>.key.pem (mode 0600, created with O_EXCL, never
 * overwritten) and <dir>/<realm>.jwks.json.
 */
#ifndef FH_SERVER_AUTH_KEYS_H
#define FH_SERVER_AUTH_KEYS_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/code.h"
#include "base/error.h"
#include "server/auth/principal.h"

#define FH_DEVELOPMENT_ISSUER_TENANT "freehold-development"
#define FH_DEVELOPMENT_ISSUER_OPERATOR "freehold-development-operator"
#define FH_AUDIENCE_TENANT "freehold"
#define FH_AUDIENCE_OPERATOR "freehold-operator"

/* Makes what is missing in `dir` (created with mode 0700). Idempotent, safe to be killed in. */
FH_MUST_CHECK enum fh_code fh_keys_ensure(const char *dir, struct fh_error *error);

struct fh_token_request {
    enum fh_realm realm;
    struct fh_uuid tenant; /* tenant realm */
    struct fh_str subject;
    uint32_t roles;
    int64_t lifetime_s; /* 1..365 days */
};
/* Signs a token with the development key in `dir`; appends it to `out`. */
FH_MUST_CHECK enum fh_code fh_token_mint(const char *dir, const struct fh_token_request *request,
                                         const struct fh_clock *clock, struct fh_buf *out,
                                         struct fh_error *error);

#endif
