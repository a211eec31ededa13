/* A key set: the JWKS file of one issuer, parsed. Immutable once made.
 *
 * Limits: 64 keys, 256 KiB of text. An empty set is valid: it ends every token of its issuer.
 * Any thread. Owns its keys.
 */
#ifndef FH_SERVER_AUTH_JWKS_H
#define FH_SERVER_AUTH_JWKS_H

#include "base/code.h"
#include "base/error.h"
#include "base/str.h"
#include "server/auth/jwk.h"

#define FH_JWKS_KEYS_MAX 64
#define FH_JWKS_BYTES_MAX ((size_t)256 * 1024)

struct fh_jwks {
    size_t count;
    size_t skipped; /* keys of the file that are not for us */
    struct fh_jwk keys[FH_JWKS_KEYS_MAX];
};

FH_MUST_CHECK enum fh_code fh_jwks_parse(struct fh_str text, struct fh_jwks **out,
                                         struct fh_error *error);
void fh_jwks_destroy(struct fh_jwks *jwks); /* NULL is fine */
/* NULL when no key has this id. */
const struct fh_jwk *fh_jwks_find(const struct fh_jwks *jwks, struct fh_str id);

#endif
