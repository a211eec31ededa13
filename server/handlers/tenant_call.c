/* Happy path: create, the handler validates and fills in, submit, completion, answer. Failures: a
 * refusal or a failed request ends the call with its code; MOVED and HELD never come here, the
 * router has dealt with them. */
#include "server/handlers/tenant_call.h"

#include "base/assert.h"
#include "server/auth/authenticate.h"

void fh_call_fail_nomem(struct fh_call *call)
{
    fh_call_fail_code(call, FH_NOMEM);
}

void *fh_tenant_call_create(struct fh_call *call, struct fh_services *services, size_t size,
                            fh_tenant_call_answer_cb *answer)
{
    const struct fh_principal *principal = fh_call_principal(call);
    FH_ASSERT(principal != NULL && principal->realm == FH_REALM_TENANT);
    FH_ASSERT(!fh_uuid_is_nil(&principal->tenant));
    FH_ASSERT(size >= sizeof(struct fh_tenant_call));
    struct fh_tenant_call *tenant_call = fh_arena_calloc(fh_call_arena(call), 1, size);
    if (tenant_call == NULL) {
        fh_call_fail_nomem(call);
        return NULL;
    }
    tenant_call->call = call;
    tenant_call->services = services;
    tenant_call->principal = principal;
    tenant_call->schema = fh_router_schema(services->router);
    tenant_call->answer = answer;
    return tenant_call;
}

static void refuse(struct fh_tenant_call *tenant_call, enum fh_code code)
{
    struct fh_error *error = &tenant_call->routed.request.error;
    if (error->code != code) { /* the text of another refusal would mislead */
        *error = (struct fh_error){.code = code};
    }
    if (tenant_call->explain != NULL) {
        tenant_call->explain(tenant_call, error);
    }
    fh_call_fail(tenant_call->call, error);
}

static void completed_cb(struct fh_routed *routed)
{
    struct fh_tenant_call *tenant_call = routed->arg;
    if (routed->code == FH_OK) {
        tenant_call->answer(tenant_call);
    } else {
        refuse(tenant_call, routed->code);
    }
}

static void cancelled_cb(struct fh_call *call, void *arg)
{
    struct fh_tenant_call *tenant_call = arg;
    (void)call;
    fh_router_cancel(tenant_call->services->router, &tenant_call->routed);
}

void fh_tenant_call_submit(struct fh_tenant_call *tenant_call)
{
    struct fh_routed *routed = &tenant_call->routed;
    routed->request.scope.tenant = tenant_call->principal->tenant;
    routed->request.scope.schema = tenant_call->schema;
    routed->request.deadline_us = fh_call_deadline_us(tenant_call->call);
    routed->request.arena = fh_call_arena(tenant_call->call);
    routed->done_cb = completed_cb;
    routed->arg = tenant_call;
    enum fh_code code = fh_router_submit(tenant_call->services->router, routed);
    if (code != FH_OK) {
        refuse(tenant_call, code);
        return;
    }
    fh_call_on_cancelled(tenant_call->call, cancelled_cb, tenant_call);
}
