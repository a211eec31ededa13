/* Happy path: read, submit, completion, answer.
 *
 * Failures: a refusal or a failed request ends the call with its code; MOVED and HELD never come
 * here, the router has dealt with them. A home of another schema version:
 *
 *     read --- ok ---> the home --- FH_STALE_SCHEMA ---> read, for the version it is at
 *      ^  \--- FH_INVALID ---> the home is asked (FH_OP_FENCE_READ) --- the same ---> refused
 *      +------------------------------ another -----------------------+
 *
 * each at most FH_TENANT_CALL_RESTARTS_MAX times in all, and within the call's deadline, which the
 * router keeps.
 */
#include "server/handlers/tenant_call.h"

#include <string.h>

#include "base/assert.h"
#include "server/auth/authenticate.h"
#include "server/handlers/record_name.h"
#include "server/handlers/refusal.h"

static void completed_cb(struct fh_routed *routed);
static void cancelled_cb(struct fh_call *call, void *arg);

static void refuse(struct fh_tenant_call *tenant_call, enum fh_code code)
{
    struct fh_error *error = &tenant_call->routed.request.error;
    if (error->code != code) { /* the text of another refusal would mislead */
        *error = (struct fh_error){.code = code};
    }
    if (tenant_call->method->explain != NULL && !tenant_call->confirming) {
        tenant_call->method->explain(tenant_call, error);
    }
    fh_call_fail(tenant_call->call, error);
}

static void submit(struct fh_tenant_call *tenant_call)
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

/* Of a message that cannot be read. In a rollout the same message is right for other homes. */
static void refuse_message(struct fh_tenant_call *tenant_call, const struct fh_schema *home)
{
    struct fh_error *error = &tenant_call->refusal;
    const struct fh_schema *newest = fh_router_schema(tenant_call->services->router);
    if (home != NULL && home != newest && error->code == FH_INVALID) {
        char text[FH_ERROR_MESSAGE_MAX];
        char field[FH_ERROR_FIELD_MAX];
        memcpy(text, error->message, sizeof(text));
        memcpy(field, error->field, sizeof(field));
        (void)fh_error_field(error, FH_INVALID, field,
                             "%.400s (the tenant's home is at schema version %u)", text,
                             home->version);
    }
    fh_call_fail(tenant_call->call, error);
}

/* Reads the message for what the home is thought to be at, and sends what it says. */
static void attempt(struct fh_tenant_call *tenant_call)
{
    const struct fh_tenant_method *method = tenant_call->method;
    struct fh_routed *routed = &tenant_call->routed;
    struct fh_error error = FH_ERROR_INIT;
    memset(routed, 0, sizeof(*routed));
    memset((char *)tenant_call + sizeof(*tenant_call), 0, method->size - sizeof(*tenant_call));
    tenant_call->confirming = false;
    tenant_call->schema =
        fh_router_schema_of(tenant_call->services->router, &tenant_call->principal->tenant);
    enum fh_code code = method->read(tenant_call, &error);
    if (code == FH_OK) {
        submit(tenant_call);
        return;
    }
    if (error.code != code) { /* the text of another refusal would mislead */
        error = (struct fh_error){.code = code};
    }
    tenant_call->refusal = error;
    if (code != FH_INVALID || tenant_call->schema == NULL) {
        refuse_message(tenant_call, NULL);
        return;
    }
    tenant_call->confirming = true;
    memset(&routed->request, 0, sizeof(routed->request));
    routed->request.op = FH_OP_FENCE_READ;
    submit(tenant_call);
}

static void attempt_again(struct fh_tenant_call *tenant_call)
{
    if (++tenant_call->restarts <= FH_TENANT_CALL_RESTARTS_MAX) {
        attempt(tenant_call);
        return;
    }
    struct fh_error error = FH_ERROR_INIT;
    (void)fh_error_set(&error, FH_UNAVAILABLE,
                       "the tenant's home is at schema version %u, and is being changed; nothing "
                       "was done; retry",
                       tenant_call->routed.request.version_seen);
    fh_call_fail(tenant_call->call, &error);
}

/* What the home is at, if it could be asked; a message that no version may make sense of is refused
 * as such when the tenant is not served at all. */
static void confirmed(struct fh_tenant_call *tenant_call, enum fh_code code)
{
    const struct fh_schema *home =
        fh_router_schema_of(tenant_call->services->router, &tenant_call->principal->tenant);
    switch (code) {
    case FH_OK:
        if (home != tenant_call->schema) {
            attempt_again(tenant_call);
            return;
        }
        refuse_message(tenant_call, home);
        return;
    case FH_NO_TENANT:
    case FH_SUSPENDED:
        refuse_message(tenant_call, NULL);
        return;
    default:
        refuse(tenant_call, code);
    }
}

static void completed_cb(struct fh_routed *routed)
{
    struct fh_tenant_call *tenant_call = routed->arg;
    if (tenant_call->confirming) {
        confirmed(tenant_call, routed->code);
    } else if (routed->code == FH_OK) {
        tenant_call->method->answer(tenant_call);
    } else if (routed->code == FH_STALE_SCHEMA) {
        attempt_again(tenant_call);
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

void fh_tenant_call_run(struct fh_call *call, struct fh_services *services,
                        const struct fh_tenant_method *method)
{
    const struct fh_principal *principal = fh_call_principal(call);
    FH_ASSERT(principal != NULL && principal->realm == FH_REALM_TENANT);
    FH_ASSERT(!fh_uuid_is_nil(&principal->tenant));
    FH_ASSERT(method->size >= sizeof(struct fh_tenant_call));
    struct fh_tenant_call *tenant_call = fh_arena_calloc(fh_call_arena(call), 1, method->size);
    if (tenant_call == NULL) {
        fh_call_fail_code(call, FH_NOMEM);
        return;
    }
    tenant_call->call = call;
    tenant_call->services = services;
    tenant_call->principal = principal;
    tenant_call->method = method;
    attempt(tenant_call);
}

enum fh_code fh_tenant_call_key(const struct fh_tenant_call *tenant_call, struct fh_str name,
                                const char *field, enum fh_grant access, struct fh_key *out,
                                struct fh_error *error)
{
    const struct fh_principal *principal = tenant_call->principal;
    enum fh_code code =
        fh_grants_check(&principal->grants, fh_record_name_table(name), access, error);
    return code != FH_OK
               ? code
               : fh_record_name_parse(name, field, &principal->tenant, tenant_call->schema,
                                      fh_call_arena(tenant_call->call), out, error);
}

enum fh_code fh_tenant_call_table(const struct fh_tenant_call *tenant_call, struct fh_str name,
                                  const char *field, enum fh_grant access,
                                  const struct fh_table **out, struct fh_error *error)
{
    const struct fh_principal *principal = tenant_call->principal;
    enum fh_code code =
        fh_grants_check(&principal->grants, fh_record_name_table(name), access, error);
    return code != FH_OK ? code
                         : fh_table_name_parse(name, field, &principal->tenant, tenant_call->schema,
                                               out, error);
}
