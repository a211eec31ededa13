/* TenantAdminService: the catalog's tenants; creation and deletion are the router's sagas. */
#include "freehold/v1/tenant_admin.pb-c.h"

#include <stdio.h>

#include "server/auth/principal.h"
#include "server/handlers/admin.h"
#include "server/handlers/credentials.h"
#include "server/handlers/refusal.h"
#include "server/handlers/services.h"
#include "server/handlers/values.h"

#define PAGE_SIZE_DEFAULT 100
#define DISPLAY_NAME_MAX 200 /* characters */
#define LABEL_MAX 63
#define REASON_MAX 500 /* characters */
#define PLAN_DEFAULT "starter"

static char *copy(struct fh_arena *arena, struct fh_str s)
{
    return fh_arena_copy(arena, s.data, s.len);
}

static enum fh_code labels_to_proto(const struct fh_tenant *in, struct fh_arena *arena,
                                    Freehold__V1__Tenant *out)
{
    out->labels = FH_ARENA_ARRAY(arena, Freehold__V1__Tenant__LabelsEntry *, in->label_count);
    if (out->labels == NULL) {
        return FH_NOMEM;
    }
    for (size_t i = 0; i < in->label_count; i++) {
        Freehold__V1__Tenant__LabelsEntry *entry =
            FH_ARENA_NEW(arena, Freehold__V1__Tenant__LabelsEntry);
        if (entry == NULL) {
            return FH_NOMEM;
        }
        freehold__v1__tenant__labels_entry__init(entry);
        entry->key = copy(arena, in->labels[i].key);
        entry->value = copy(arena, in->labels[i].value);
        if (entry->key == NULL || entry->value == NULL) {
            return FH_NOMEM;
        }
        out->labels[i] = entry;
    }
    out->n_labels = in->label_count;
    return FH_OK;
}

static enum fh_code placement_to_proto(const struct fh_placement *in, struct fh_arena *arena,
                                       Freehold__V1__Tenant *out)
{
    Freehold__V1__Placement *placement = FH_ARENA_NEW(arena, Freehold__V1__Placement);
    if (placement == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__placement__init(placement);
    placement->store = fh_arena_printf(arena, "stores/%s", in->store);
    placement->tier = (Freehold__V1__Placement__Tier)in->home.tier;
    placement->epoch = in->epoch;
    out->placement = placement;
    return placement->store != NULL ? FH_OK : FH_NOMEM;
}

static enum fh_code tenant_to_proto(const struct fh_tenant *in, struct fh_arena *arena,
                                    Freehold__V1__Tenant **out)
{
    char uuid[FH_UUID_TEXT_LEN + 1];
    Freehold__V1__Tenant *tenant = FH_ARENA_NEW(arena, Freehold__V1__Tenant);
    if (tenant == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__tenant__init(tenant);
    fh_uuid_format(&in->uuid, uuid);
    tenant->name = fh_arena_printf(arena, "tenants/%s", uuid);
    tenant->uid = fh_arena_copy(arena, uuid, FH_UUID_TEXT_LEN);
    tenant->slug = copy(arena, in->slug);
    tenant->display_name = copy(arena, in->display_name);
    tenant->state = (Freehold__V1__Tenant__State)in->state;
    tenant->plan = copy(arena, in->plan);
    tenant->create_time = fh_timestamp_to_proto(in->created_at_us, arena);
    tenant->update_time = fh_timestamp_to_proto(in->updated_at_us, arena);
    if (tenant->name == NULL || tenant->uid == NULL || tenant->slug == NULL ||
        tenant->display_name == NULL || tenant->plan == NULL || tenant->create_time == NULL ||
        tenant->update_time == NULL) {
        return FH_NOMEM;
    }
    *out = tenant;
    enum fh_code code = labels_to_proto(in, arena, tenant);
    return code != FH_OK ? code : placement_to_proto(&in->placement, arena, tenant);
}

/* `changed`: something was, which a failure to answer must not deny. */
static void reply_tenant(struct fh_call *call, const struct fh_tenant *tenant, bool changed)
{
    Freehold__V1__Tenant *out = NULL;
    enum fh_code code = tenant_to_proto(tenant, fh_call_arena(call), &out);
    if (code == FH_OK) {
        fh_call_reply(call, &out->base);
    } else if (changed) {
        fh_call_fail_unanswered(call, code);
    } else {
        fh_call_fail_code(call, code);
    }
}

static void saga_done_cb(const struct fh_saga_result *result, void *arg)
{
    struct fh_call *call = arg;
    if (result->code != FH_OK) {
        struct fh_error error = result->error;
        if (error.field[0] != '\0' && strcmp(error.field, "tier") != 0) {
            /* the catalog's: of the tenant, as in the request */
            char field[FH_ERROR_FIELD_MAX];
            (void)snprintf(field, sizeof(field), "tenant.%.64s", error.field);
            (void)fh_error_field(&error, error.code, field, "%s", result->error.message);
        }
        fh_call_fail_as(call, result->code, &error);
        return;
    }
    reply_tenant(call, result->tenant, true);
}

/* Of well-formed UTF-8: all but the bytes that continue one. */
static size_t characters(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++) {
        count += ((unsigned char)*text & 0xC0) != 0x80 ? 1 : 0;
    }
    return count;
}

static bool is_visible_ascii(const char *text, size_t len_max)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return false;
        }
    }
    return len <= len_max;
}

static enum fh_code labels_from_proto(const Freehold__V1__Tenant *in, struct fh_arena *arena,
                                      struct fh_tenant *out, struct fh_error *error)
{
    if (in->n_labels > FH_LABELS_MAX) {
        return fh_error_field(error, FH_INVALID, "tenant.labels", "at most %d labels",
                              FH_LABELS_MAX);
    }
    out->labels = FH_ARENA_ARRAY(arena, struct fh_label, in->n_labels);
    if (out->labels == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < in->n_labels; i++) {
        if (in->labels[i]->key[0] == '\0' || !is_visible_ascii(in->labels[i]->key, LABEL_MAX) ||
            !is_visible_ascii(in->labels[i]->value, LABEL_MAX)) {
            return fh_error_field(error, FH_INVALID, "tenant.labels",
                                  "keys of 1 to %d and values of up to %d visible ASCII "
                                  "characters",
                                  LABEL_MAX, LABEL_MAX);
        }
        for (size_t k = 0; k < i; k++) {
            if (fh_str_eq(out->labels[k].key, fh_str_of(in->labels[i]->key))) {
                return fh_error_field(error, FH_INVALID, "tenant.labels",
                                      "the same key is given twice");
            }
        }
        out->labels[i].key = fh_str_of(in->labels[i]->key);
        out->labels[i].value = fh_str_of(in->labels[i]->value);
    }
    out->label_count = in->n_labels;
    return FH_OK;
}

static enum fh_code tenant_from_proto(const Freehold__V1__CreateTenantRequest *in,
                                      const struct fh_services *services, struct fh_arena *arena,
                                      struct fh_tenant *out, struct fh_error *error)
{
    const Freehold__V1__Tenant *tenant = in->tenant;
    memset(out, 0, sizeof(*out));
    if (tenant == NULL) {
        return fh_error_field(error, FH_INVALID, "tenant", "tenant is missing");
    }
    out->slug = fh_str_of(tenant->slug);
    if (!fh_slug_is_valid(out->slug)) {
        return fh_error_field(error, FH_INVALID, "tenant.slug",
                              "a slug is 3 to %d of a-z, 0-9 and -, starts with a letter and does "
                              "not end with -",
                              FH_SLUG_MAX);
    }
    out->display_name = fh_str_of(tenant->display_name);
    if (characters(tenant->display_name) > DISPLAY_NAME_MAX) {
        return fh_error_field(error, FH_INVALID, "tenant.display_name",
                              "display_name is longer than %d characters", DISPLAY_NAME_MAX);
    }
    out->plan = tenant->plan[0] != '\0' ? fh_str_of(tenant->plan) : FH_STR(PLAN_DEFAULT);
    if (!is_visible_ascii(tenant->plan, LABEL_MAX)) {
        return fh_error_field(error, FH_INVALID, "tenant.plan",
                              "a plan's name is up to %d visible ASCII characters", LABEL_MAX);
    }
    struct fh_str store = fh_str_of(services->default_store);
    if (in->store[0] != '\0') {
        enum fh_code code = fh_store_name_parse(in->store, "store", &store, error);
        if (code != FH_OK) {
            return code;
        }
    }
    if (fh_router_store(services->router, store) == NULL) {
        return fh_error_field(error, FH_INVALID, "store", "no store '%.*s'; see ListStores",
                              FH_STR_ARG(store));
    }
    memcpy(out->placement.store, store.data, store.len);
    enum fh_code code = fh_tier_from_proto((int)in->tier, "tier", &out->placement.home.tier, error);
    if (code == FH_OK) {
        code = fh_store_suits(services, fh_router_store(services->router, store),
                              out->placement.home.tier, "tier", in->region, error);
    }
    if (code != FH_OK) {
        return code;
    }
    return labels_from_proto(tenant, arena, out, error);
}

static void create_tenant(struct fh_call *call, void *arg)
{
    struct fh_services *services = arg;
    const Freehold__V1__CreateTenantRequest *in =
        (const Freehold__V1__CreateTenantRequest *)fh_call_request(call);
    struct fh_error error = FH_ERROR_INIT;
    struct fh_tenant tenant;
    enum fh_code code = tenant_from_proto(in, services, fh_call_arena(call), &tenant, &error);
    if (code == FH_OK && !is_visible_ascii(in->request_id, FH_REQUEST_ID_MAX)) {
        code = fh_error_field(&error, FH_INVALID, "request_id",
                              "request_id is up to %d visible ASCII characters", FH_REQUEST_ID_MAX);
    }
    if (code == FH_OK) {
        struct fh_audit_context audit = fh_call_audit(call, "");
        audit.request_id = fh_str_of(in->request_id);
        code = fh_tenant_provision(services->provisioner, &tenant, &audit,
                                   fh_call_deadline_us(call), saga_done_cb, call, &error);
    }
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &error);
    }
}

struct tenant_call {
    struct fh_admin_call base; /* first */
    struct fh_audit_context audit;
};

/* Starts with a look-up by name; `then` goes on from catalog.as.get.tenant. NULL: the call has been
 * failed. */
static struct tenant_call *look_up(struct fh_call *call, void *arg, const char *name,
                                   const char *reason, fh_admin_call_answer_cb *then)
{
    struct fh_error error = FH_ERROR_INIT;
    struct tenant_call *state = fh_admin_call_create(call, arg, sizeof(*state));
    if (state == NULL) {
        return NULL;
    }
    struct fh_catalog_request *request = &state->base.catalog;
    enum fh_code code =
        fh_tenant_name_parse(name, &request->as.get.uuid, &request->as.get.slug, &error);
    if (code == FH_OK && characters(reason) > REASON_MAX) {
        code = fh_error_field(&error, FH_INVALID, "reason", "reason is longer than %d characters",
                              REASON_MAX);
    }
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &error);
        return NULL;
    }
    state->audit = fh_call_audit(call, reason);
    request->op = FH_CATALOG_TENANT_GET;
    fh_admin_call_submit(&state->base, then);
    return state;
}

static void answer_get(struct fh_admin_call *base)
{
    reply_tenant(base->call, &base->catalog.as.get.tenant, false);
}

static void get_tenant(struct fh_call *call, void *arg)
{
    const Freehold__V1__GetTenantRequest *in =
        (const Freehold__V1__GetTenantRequest *)fh_call_request(call);
    (void)look_up(call, arg, in->name, "", answer_get);
}

static void answer_advance(struct fh_admin_call *base)
{
    reply_tenant(base->call, &base->catalog.as.advance.tenant, true);
}

/* Whatever came of it: a change whose outcome is not known may have been made, and the cached
 * placement would go on serving a suspended tenant. */
static void advance_ended(struct fh_admin_call *base)
{
    fh_router_invalidate(base->services->router, &base->catalog.as.advance.uuid);
}

/* Suspend and resume: from one state to the other; a tenant that is there already is answered as it
 * is. */
static void advance(struct fh_admin_call *base, enum fh_tenant_state from, enum fh_tenant_state to)
{
    struct tenant_call *state = (struct tenant_call *)base;
    struct fh_tenant tenant = base->catalog.as.get.tenant;
    if (tenant.state == to) { /* perhaps by a call whose outcome its caller never learnt */
        fh_router_invalidate(base->services->router, &tenant.uuid);
        reply_tenant(base->call, &tenant, false);
        return;
    }
    if (tenant.state != from) {
        struct fh_error error = FH_ERROR_INIT;
        (void)fh_error_set(&error, FH_PRECONDITION, "the tenant is %s",
                           fh_tenant_state_name(tenant.state));
        fh_call_fail(base->call, &error);
        return;
    }
    struct fh_catalog_request *request = &base->catalog;
    memset(request, 0, sizeof(*request));
    request->op = FH_CATALOG_TENANT_ADVANCE;
    request->audit = state->audit;
    request->as.advance.uuid = tenant.uuid;
    request->as.advance.from_states = 1U << from;
    request->as.advance.to = to;
    base->ended = advance_ended;
    fh_admin_call_submit(base, answer_advance);
}

static void suspend_found(struct fh_admin_call *base)
{
    advance(base, FH_TENANT_ACTIVE, FH_TENANT_SUSPENDED);
}

static void resume_found(struct fh_admin_call *base)
{
    advance(base, FH_TENANT_SUSPENDED, FH_TENANT_ACTIVE);
}

static void delete_found(struct fh_admin_call *base)
{
    struct tenant_call *state = (struct tenant_call *)base;
    struct fh_error error = FH_ERROR_INIT;
    const struct fh_uuid uuid = base->catalog.as.get.tenant.uuid;
    enum fh_code code =
        fh_tenant_erase(base->services->provisioner, &uuid, &state->audit,
                        fh_call_deadline_us(base->call), saga_done_cb, base->call, &error);
    if (code != FH_OK) {
        fh_call_fail_as(base->call, code, &error);
    }
}

static void suspend_tenant(struct fh_call *call, void *arg)
{
    const Freehold__V1__SuspendTenantRequest *in =
        (const Freehold__V1__SuspendTenantRequest *)fh_call_request(call);
    (void)look_up(call, arg, in->name, in->reason, suspend_found);
}

static void resume_tenant(struct fh_call *call, void *arg)
{
    const Freehold__V1__ResumeTenantRequest *in =
        (const Freehold__V1__ResumeTenantRequest *)fh_call_request(call);
    (void)look_up(call, arg, in->name, "", resume_found);
}

static void delete_tenant(struct fh_call *call, void *arg)
{
    const Freehold__V1__DeleteTenantRequest *in =
        (const Freehold__V1__DeleteTenantRequest *)fh_call_request(call);
    (void)look_up(call, arg, in->name, in->reason, delete_found);
}

static struct fh_page_scope page_scope(const Freehold__V1__ListTenantsRequest *in)
{
    return (struct fh_page_scope){.method = FH_STR("ListTenants"),
                                  .query = in->show_deleted ? FH_STR("1") : FH_STR("0")};
}

static void answer_list(struct fh_admin_call *base)
{
    const Freehold__V1__ListTenantsRequest *in =
        (const Freehold__V1__ListTenantsRequest *)fh_call_request(base->call);
    struct fh_arena *arena = fh_call_arena(base->call);
    Freehold__V1__ListTenantsResponse out = FREEHOLD__V1__LIST_TENANTS_RESPONSE__INIT;
    size_t count = base->catalog.as.list.count;
    const struct fh_tenant *tenants = base->catalog.as.list.tenants;
    out.tenants = FH_ARENA_ARRAY(arena, Freehold__V1__Tenant *, count);
    enum fh_code code = out.tenants != NULL ? FH_OK : FH_NOMEM;
    for (size_t i = 0; code == FH_OK && i < count; i++) {
        code = tenant_to_proto(&tenants[i], arena, &out.tenants[i]);
        out.n_tenants = i + 1;
    }
    if (code == FH_OK && base->catalog.as.list.more && count > 0) {
        struct fh_page_scope scope = page_scope(in);
        code = fh_admin_page_seal(base, &scope, &tenants[count - 1].uuid, sizeof(struct fh_uuid),
                                  &out.next_page_token);
    }
    if (code != FH_OK) {
        fh_call_fail_code(base->call, code);
        return;
    }
    fh_call_reply(base->call, &out.base);
}

static void list_tenants(struct fh_call *call, void *arg)
{
    const Freehold__V1__ListTenantsRequest *in =
        (const Freehold__V1__ListTenantsRequest *)fh_call_request(call);
    struct fh_admin_call *base = fh_admin_call_create(call, arg, sizeof(*base));
    struct fh_error error = FH_ERROR_INIT;
    if (base == NULL) {
        return;
    }
    struct fh_catalog_request *request = &base->catalog;
    request->op = FH_CATALOG_TENANT_LIST;
    request->as.list.states = in->show_deleted ? UINT32_MAX : 0;
    enum fh_code code =
        fh_page_size_parse(in->page_size, PAGE_SIZE_DEFAULT, &request->as.list.limit, &error);
    if (code == FH_OK) {
        struct fh_page_scope scope = page_scope(in);
        code = fh_admin_page_open(base, &scope, in->page_token, &request->as.list.after,
                                  sizeof(struct fh_uuid), &error);
    }
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &error);
        return;
    }
    fh_admin_call_submit(base, answer_list);
}

static const struct fh_rpc_method methods[] = {
    {"CreateTenant", FH_RPC_UNARY, FH_ACCESS_OPERATOR, create_tenant},
    {"GetTenant", FH_RPC_UNARY, FH_ACCESS_OPERATOR, get_tenant},
    {"ListTenants", FH_RPC_UNARY, FH_ACCESS_OPERATOR, list_tenants},
    {"SuspendTenant", FH_RPC_UNARY, FH_ACCESS_OPERATOR, suspend_tenant},
    {"ResumeTenant", FH_RPC_UNARY, FH_ACCESS_OPERATOR, resume_tenant},
    {"DeleteTenant", FH_RPC_UNARY, FH_ACCESS_OPERATOR, delete_tenant},
    {"IssueCredential", FH_RPC_UNARY, FH_ACCESS_OPERATOR, fh_credential_issue},
    {"GetCredential", FH_RPC_UNARY, FH_ACCESS_OPERATOR, fh_credential_get},
    {"RevokeCredential", FH_RPC_UNARY, FH_ACCESS_OPERATOR, fh_credential_revoke},
};

struct fh_rpc_service fh_tenant_admin_service(struct fh_services *services)
{
    return (struct fh_rpc_service){
        .descriptor = &freehold__v1__tenant_admin_service__descriptor,
        .methods = methods,
        .method_count = sizeof(methods) / sizeof(methods[0]),
        .arg = services,
    };
}
