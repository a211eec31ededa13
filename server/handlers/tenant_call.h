/* A tenant's call on its way to its home and back: the one door from handlers to tenant data.
 *
 * Embedded first in each handler's own state, in the call's arena. The tenant comes from the
 * verified principal and from nowhere else, and a table is named through fh_tenant_call_key() and
 * fh_tenant_call_table() only, which look at what the token grants before anything else.
 * Cancellation is passed on; the call ends only after the routed request completed.
 *
 * Schema versions. A request holds tables and columns of one version, and a home takes only its
 * own. So a method is two functions: `read` makes the request of the message, for the version in
 * `schema`; `answer` tells what came of it. When the home turns out to be at another version, the
 * method's state is cleared and `read` makes the request anew. A message that cannot be read is
 * refused only once the home said that it is at the version the message was read for: what the
 * newest version lacks, or has already, the home may not. Clients see nothing of a rollout.
 */
#ifndef FH_SERVER_HANDLERS_TENANT_CALL_H
#define FH_SERVER_HANDLERS_TENANT_CALL_H

#include "router/router.h"
#include "server/auth/grants.h"
#include "server/auth/principal.h"
#include "server/handlers/services.h"
#include "server/rpc/call.h"

/* How often a request is made anew: a home changes its version once in a rollout. */
#define FH_TENANT_CALL_RESTARTS_MAX 8

struct fh_tenant_call;
/* The message as `routed.request.op` and `.as`, for `schema`. Begins with the state cleared, but
 * for the common part. */
typedef enum fh_code fh_tenant_call_read_cb(struct fh_tenant_call *tenant_call,
                                            struct fh_error *error);
/* The routed request succeeded: build and send the answer. */
typedef void fh_tenant_call_answer_cb(struct fh_tenant_call *tenant_call);
/* It was refused: may put the refusal into the request's terms. */
typedef void fh_tenant_call_explain_cb(struct fh_tenant_call *tenant_call, struct fh_error *error);

struct fh_tenant_method {
    size_t size; /* of the state; >= sizeof(struct fh_tenant_call) */
    fh_tenant_call_read_cb *read;
    fh_tenant_call_answer_cb *answer;
    fh_tenant_call_explain_cb *explain; /* may be NULL */
};

struct fh_tenant_call {
    struct fh_call *call;
    struct fh_services *services;
    const struct fh_principal *principal;
    const struct fh_schema *schema; /* this attempt's, from reading to answer */
    const struct fh_tenant_method *method;
    uint32_t restarts;
    bool confirming; /* the home is asked for its version; `refusal` is what reading came to */
    struct fh_error refusal;
    struct fh_routed routed;
};

/* From here on the call ends by itself. `method` is static. */
void fh_tenant_call_run(struct fh_call *call, struct fh_services *services,
                        const struct fh_tenant_method *method);

/* "[tenants/{uuid}/]tables/{table}/records/{key}" of this attempt's schema, if the token grants
 * `access` to the table; `field` names the request's field in errors. FH_PERMISSION, FH_INVALID,
 * FH_NOT_FOUND, FH_NOMEM. */
FH_MUST_CHECK enum fh_code fh_tenant_call_key(const struct fh_tenant_call *tenant_call,
                                              struct fh_str name, const char *field,
                                              enum fh_grant access, struct fh_key *out,
                                              struct fh_error *error);
/* "[tenants/{uuid}/]tables/{table}" in the same way. */
FH_MUST_CHECK enum fh_code fh_tenant_call_table(const struct fh_tenant_call *tenant_call,
                                                struct fh_str name, const char *field,
                                                enum fh_grant access, const struct fh_table **out,
                                                struct fh_error *error);

#endif
