/* A tenant's call on its way to its home and back: the one door from handlers to tenant data.
 *
 * Embedded first in each handler's own state, in the call's arena. The tenant comes from the
 * verified principal and from nowhere else. Cancellation is passed on; the call ends only after the
 * routed request completed.
 */
#ifndef FH_SERVER_HANDLERS_TENANT_CALL_H
#define FH_SERVER_HANDLERS_TENANT_CALL_H

#include "router/router.h"
#include "server/auth/principal.h"
#include "server/handlers/services.h"
#include "server/rpc/call.h"

struct fh_tenant_call;
/* The routed request succeeded: build and send the answer. */
typedef void fh_tenant_call_answer_cb(struct fh_tenant_call *tenant_call);
/* It was refused: may put the refusal into the request's terms. */
typedef void fh_tenant_call_explain_cb(struct fh_tenant_call *tenant_call, struct fh_error *error);

struct fh_tenant_call {
    struct fh_call *call;
    struct fh_services *services;
    const struct fh_principal *principal;
    const struct fh_schema *schema; /* this call's, from validation to answer */
    struct fh_routed routed;
    fh_tenant_call_answer_cb *answer;
    fh_tenant_call_explain_cb *explain; /* may be NULL */
};

/* Allocates `size` bytes (>= sizeof(struct fh_tenant_call)) and fills the common part. NULL: the
 * call has been failed. */
FH_MUST_CHECK void *fh_tenant_call_create(struct fh_call *call, struct fh_services *services,
                                          size_t size, fh_tenant_call_answer_cb *answer);
/* `routed.request.op` and `.as` are set; from here on the call ends by itself. */
void fh_tenant_call_submit(struct fh_tenant_call *tenant_call);

/* For memory that ran out while an answer was built. */
void fh_call_fail_nomem(struct fh_call *call);

#endif
