/* Verifies JSON Web Tokens (RFC 7519, RFC 8725) against the issuers' key sets.
 *
 * Accepted: RS256 (keys of 2048..8192 bits), ES256, EdDSA (Ed25519); the algorithm must be the one
 * of the key that `kid` names. Refused, each with FH_UNAUTHENTICATED and a message that tells the
 * caller's developer why without telling a stranger more: alg none, HMAC, unknown or missing kid,
 * unknown issuer, wrong audience, expired or not yet valid (leeway 30 s), no exp, duplicate claims,
 * `crit` headers, tokens over 8 KiB, a realm other than the listener's, tenant claims that are not
 * a UUID.
 *
 * Claims: iss, aud (string or array), sub, exp, nbf?, iat?, "tenant" (UUID; tenant realm only),
 * "roles" (array of "reader", "writer", "admin"; operator realm: "operator").
 *
 * Key sets are JWKS files, one an issuer, looked at again when their mtime, size or inode changes
 * (checked on a timer by the application through fh_verifier_reload()); on a parse error the old
 * set stays and the error is logged. Every reload that changes a set bumps the generation. Verified
 * tokens are cached (bounded, keyed by SHA-256 of the token, tied to the generation and to exp).
 *
 * Thread: the loop's. Times come from the clock given.
 */
#ifndef FH_SERVER_AUTH_VERIFIER_H
#define FH_SERVER_AUTH_VERIFIER_H

#include "base/arena.h"
#include "base/code.h"
#include "base/env.h"
#include "base/error.h"
#include "base/str.h"
#include "server/auth/principal.h"

#define FH_TOKEN_BYTES_MAX 8192

struct fh_issuer_config {
    enum fh_realm realm;
    const char *issuer;    /* "iss", exact */
    const char *audience;  /* must be among "aud" */
    const char *jwks_path; /* file */
};

struct fh_verifier;

FH_MUST_CHECK enum fh_code fh_verifier_create(const struct fh_env *env,
                                              const struct fh_issuer_config *issuers, size_t count,
                                              size_t cache_max, struct fh_verifier **out,
                                              struct fh_error *error);
void fh_verifier_destroy(struct fh_verifier *verifier);
/* Looks at the files; cheap (stat) when nothing changed. */
void fh_verifier_reload(struct fh_verifier *verifier);
uint64_t fh_verifier_generation(const struct fh_verifier *verifier);

/* `out`'s strings are copied into the arena. */
FH_MUST_CHECK enum fh_code fh_verifier_verify(struct fh_verifier *verifier, enum fh_realm realm,
                                              struct fh_str token, struct fh_arena *arena,
                                              struct fh_principal *out, struct fh_error *error);

#endif
