/* The three signature algorithms, and the check of one signature.
 *
 * Thread-safe (OpenSSL's own rules for a shared public key). Owns nothing. Leaves OpenSSL's error
 * queue of the thread as it was: gRPC's TLS reads the same queue.
 */
#ifndef FH_SERVER_AUTH_SIGNATURE_H
#define FH_SERVER_AUTH_SIGNATURE_H

#include <openssl/types.h>
#include <stdint.h>

#include "base/code.h"
#include "base/str.h"

enum fh_alg { FH_ALG_RS256 = 1, FH_ALG_ES256, FH_ALG_EDDSA };

#define FH_SIGNATURE_BYTES_MAX 1024 /* RSA of 8192 bits */

const char *fh_alg_name(enum fh_alg alg);

/* FH_OK; FH_UNAUTHENTICATED: does not verify; FH_NOMEM: OpenSSL could not even try. `key` is of the
 * kind that `alg` names. */
FH_MUST_CHECK enum fh_code fh_signature_check(enum fh_alg alg, EVP_PKEY *key, struct fh_str input,
                                              const uint8_t *signature, size_t len);

#endif
