/* A compact JSON Web Token (RFC 7515, section 7.1), taken apart. Nothing in it is believed yet.
 *
 * Any thread. Borrows the token's text; fh_jwt_close() frees the two JSON values.
 */
#ifndef FH_SERVER_AUTH_JWT_H
#define FH_SERVER_AUTH_JWT_H

#include <jansson.h>
#include <stdint.h>

#include "base/code.h"
#include "base/error.h"
#include "base/str.h"
#include "server/auth/signature.h"

struct fh_jwt {
    struct fh_str signing_input; /* header "." payload, as received */
    json_t *header;
    json_t *claims;
    enum fh_alg alg;      /* what the token says of itself */
    struct fh_str key_id; /* borrowed from `header` */
    uint8_t signature[FH_SIGNATURE_BYTES_MAX];
    size_t signature_len;
};

/* FH_OK, FH_NOMEM or FH_UNAUTHENTICATED. On failure nothing needs to be closed. */
FH_MUST_CHECK enum fh_code fh_jwt_decode(struct fh_str token, struct fh_jwt *out,
                                         struct fh_error *error);
void fh_jwt_close(struct fh_jwt *jwt);

#endif
