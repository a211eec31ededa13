/* The development key of one realm: its files, and the key itself.
 *
 * Any thread. The caller frees the EVP_PKEY.
 */
#ifndef FH_SERVER_AUTH_DEVKEY_H
#define FH_SERVER_AUTH_DEVKEY_H

#include <openssl/types.h>

#include "base/buf.h"
#include "base/code.h"
#include "base/codec.h"
#include "base/error.h"
#include "server/auth/principal.h"

#define FH_DEVKEY_PUBLIC_TEXT_MAX 64 /* 32 bytes in base64url, and a NUL */

struct fh_devkey {
    EVP_PKEY *key;
    char x[FH_DEVKEY_PUBLIC_TEXT_MAX];   /* the public key as in a JWK */
    char kid[FH_DEVKEY_PUBLIC_TEXT_MAX]; /* its thumbprint (RFC 7638) */
};

const char *fh_devkey_realm_name(enum fh_realm realm);
FH_MUST_CHECK enum fh_code fh_devkey_generate(struct fh_devkey *out, struct fh_error *error);
/* Refuses a file that others than its owner can read. */
FH_MUST_CHECK enum fh_code fh_devkey_load(const char *dir, enum fh_realm realm,
                                          struct fh_devkey *out, struct fh_error *error);
/* PKCS #8 PEM. `out` then holds a secret: wipe it. */
FH_MUST_CHECK enum fh_code fh_devkey_to_pem(const struct fh_devkey *devkey, struct fh_buf *out);
FH_MUST_CHECK enum fh_code fh_devkey_to_jwks(const struct fh_devkey *devkey, struct fh_buf *out);
void fh_devkey_close(struct fh_devkey *devkey);

#endif
