/* Who is calling: the immutable result of verifying a token. Every handler receives one. */
#ifndef FH_SERVER_AUTH_PRINCIPAL_H
#define FH_SERVER_AUTH_PRINCIPAL_H

#include <stdint.h>

#include "base/str.h"
#include "base/uuid.h"
#include "server/auth/grants.h"

/* Tenants and operators are two realms: own listener, own issuer, own audience. */
enum fh_realm { FH_REALM_TENANT = 1, FH_REALM_OPERATOR };

/* Bits, so that a method can name the ones that will do. */
enum fh_role {
    FH_ROLE_READER = 1 << 0,
    FH_ROLE_WRITER = 1 << 1,
    FH_ROLE_ADMIN = 1 << 2,
    FH_ROLE_OPERATOR = 1 << 3,
};
/* What a method may require (fh_rpc_method.access): any one of these roles. Wider roles include
 * narrower ones. */
#define FH_ACCESS_READ (FH_ROLE_READER | FH_ROLE_WRITER | FH_ROLE_ADMIN)
#define FH_ACCESS_WRITE (FH_ROLE_WRITER | FH_ROLE_ADMIN)
#define FH_ACCESS_ADMIN (FH_ROLE_ADMIN)
#define FH_ACCESS_OPERATOR (FH_ROLE_OPERATOR)

#define FH_SUBJECT_MAX 200 /* bytes, visible ASCII */

struct fh_principal {
    enum fh_realm realm;
    struct fh_uuid tenant;   /* nil in the operator realm */
    struct fh_str subject;   /* "sub"; borrowed from the call's arena */
    uint32_t roles;          /* fh_role bits */
    struct fh_grants grants; /* on tables; as the subject, of the call's arena */
    int64_t expires_at_us;   /* wall time */
};

#endif
