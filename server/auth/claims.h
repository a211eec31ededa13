/* What a token claims, checked and typed.
 *
 * Any thread. Strings are borrowed from the JSON value.
 */
#ifndef FH_SERVER_AUTH_CLAIMS_H
#define FH_SERVER_AUTH_CLAIMS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/code.h"
#include "base/error.h"
#include "server/auth/principal.h"

#define FH_AUDIENCES_MAX 16
#define FH_ROLES_MAX 16
#define FH_LEEWAY_US ((int64_t)30 * 1000 * 1000)

struct fh_claims {
    struct fh_str subject;
    struct fh_uuid tenant;   /* nil in the operator realm */
    struct fh_grants grants; /* read apart: fh_grants_read() */
    uint32_t roles; /* the known ones of this realm; may be 0: known, and allowed nothing */
    int64_t expires_us;
    int64_t not_before_us; /* INT64_MIN when not said */
};

/* FH_OK or FH_UNAUTHENTICATED. */
FH_MUST_CHECK enum fh_code fh_claims_read(const json_t *claims, enum fh_realm realm,
                                          struct fh_str audience, struct fh_claims *out,
                                          struct fh_error *error);
/* With a leeway of 30 s either way. */
FH_MUST_CHECK enum fh_code fh_claims_check_time(const struct fh_claims *claims, int64_t now_us,
                                                struct fh_error *error);

bool fh_subject_valid(struct fh_str subject);
/* The bit of a role in a realm, 0 when it has no such role. */
uint32_t fh_role_bit(enum fh_realm realm, struct fh_str name);
/* The name of one role bit. */
const char *fh_role_name(enum fh_role role);

#endif
