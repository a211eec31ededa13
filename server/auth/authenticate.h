/* The authenticator of a listener: "authorization: Bearer <token>" to a principal on the call. */
#ifndef FH_SERVER_AUTH_AUTHENTICATE_H
#define FH_SERVER_AUTH_AUTHENTICATE_H

#include "server/auth/principal.h"
#include "server/auth/verifier.h"
#include "server/rpc/call.h"
#include "server/rpc/server.h"

struct fh_authenticator {
    struct fh_verifier *verifier; /* borrowed */
    enum fh_realm realm;
};

/* An fh_rpc_authenticate_cb; arg is a struct fh_authenticator. A role that does not suffice:
 * FH_PERMISSION. An `access` of 0 is a method nobody thought about: refused. */
FH_MUST_CHECK enum fh_code fh_authenticate(struct fh_call *call, uint32_t access, void *arg,
                                           struct fh_error *error);

/* The principal that fh_authenticate put on the call; never NULL inside a handler behind it. */
const struct fh_principal *fh_call_principal(const struct fh_call *call);

#endif
