/* One public key of a key set (RFC 7517): RSA of 2048..8192 bits, EC on P-256, or OKP Ed25519.
 *
 * The key decides the algorithm; the token only has to agree with it.
 * Any thread. fh_jwk_close() gives back what fh_jwk_parse() made.
 */
#ifndef FH_SERVER_AUTH_JWK_H
#define FH_SERVER_AUTH_JWK_H

#include <jansson.h>
#include <openssl/types.h>
#include <stdbool.h>

#include "base/code.h"
#include "base/error.h"
#include "base/str.h"
#include "server/auth/signature.h"

#define FH_KID_BYTES_MAX 256
#define FH_RSA_BITS_MIN 2048
#define FH_RSA_BITS_MAX 8192

struct fh_jwk {
    enum fh_alg alg;
    EVP_PKEY *key;    /* owned */
    struct fh_str id; /* "kid"; owned */
};

/* FH_OK with `*usable` false: a well-formed key that is not for verifying with our algorithms
 * (another kty, curve, alg, use or key_ops), to be passed over as RFC 7517 section 5 asks.
 * FH_INVALID: malformed, or it holds a secret. */
FH_MUST_CHECK enum fh_code fh_jwk_parse(const json_t *object, struct fh_jwk *out, bool *usable,
                                        struct fh_error *error);
void fh_jwk_close(struct fh_jwk *jwk);

#endif
