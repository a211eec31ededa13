/* Tokens that no server may take, made of good ones.
 *
 * Pure functions on JWTs as text. `out` is written from its start, bounded by its own limit;
 * tokens are secrets: who owns the buffers wipes them. FH_INVALID: the token is no JWT, or does
 * not have what would be changed.
 */
#ifndef FH_CLIENTS_ATTACK_FORGERY_H
#define FH_CLIENTS_ATTACK_FORGERY_H

#include "base/buf.h"
#include "base/code.h"
#include "base/str.h"

#define FH_TOKEN_TEXT_MAX 8192

/* The same claims, "alg" none, no signature. */
FH_MUST_CHECK enum fh_code fh_forgery_unsigned(struct fh_str token, struct fh_buf *out);
/* `from` (a UUID) becomes `to` (as long) in the claims; header and signature stay. */
FH_MUST_CHECK enum fh_code fh_forgery_claims(struct fh_str token, struct fh_str from,
                                             struct fh_str to, struct fh_buf *out);
/* One character of the signature differs. */
FH_MUST_CHECK enum fh_code fh_forgery_signature(struct fh_str token, struct fh_buf *out);
/* A sealed text (page token) with one character changed; still base64url. */
FH_MUST_CHECK enum fh_code fh_forgery_sealed(struct fh_str sealed, struct fh_buf *out);

#endif
