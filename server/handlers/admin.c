/* Happy path: create, fill in, submit, answer. Failures end the call with the catalog's error. */
#include "server/handlers/admin.h"

#include <stdio.h>

#include "base/assert.h"
#include "server/auth/authenticate.h"
#include "server/handlers/refusal.h"

void *fh_admin_call_create(struct fh_call *call, struct fh_services *services, size_t size)
{
    const struct fh_principal *principal = fh_call_principal(call);
    FH_ASSERT(principal != NULL && principal->realm == FH_REALM_OPERATOR);
    FH_ASSERT(size >= sizeof(struct fh_admin_call));
    struct fh_admin_call *admin_call = fh_arena_calloc(fh_call_arena(call), 1, size);
    if (admin_call == NULL) {
        fh_call_fail_code(call, FH_NOMEM);
        return NULL;
    }
    admin_call->call = call;
    admin_call->services = services;
    return admin_call;
}

static void catalog_done_cb(struct fh_catalog_request *request)
{
    struct fh_admin_call *admin_call = request->arg;
    if (admin_call->ended != NULL) {
        admin_call->ended(admin_call);
    }
    if (request->code == FH_OK) {
        admin_call->answer(admin_call);
        return;
    }
    fh_call_fail_as(admin_call->call, request->code, &request->error);
}

void fh_admin_call_submit(struct fh_admin_call *admin_call, fh_admin_call_answer_cb *answer)
{
    struct fh_catalog_request *request = &admin_call->catalog;
    admin_call->answer = answer;
    request->deadline_us = fh_call_deadline_us(admin_call->call);
    request->arena = fh_call_arena(admin_call->call);
    request->done_cb = catalog_done_cb;
    request->arg = admin_call;
    enum fh_code code = fh_catalog_submit(admin_call->services->catalog, request);
    if (code != FH_OK) {
        fh_call_fail_as(admin_call->call, code, &request->error);
    }
}

void fh_admin_call_reply(const struct fh_admin_call *admin_call, enum fh_code code,
                         const ProtobufCMessage *answer, bool changed)
{
    if (code == FH_OK) {
        fh_call_reply(admin_call->call, answer);
    } else if (changed) {
        fh_call_fail_unanswered(admin_call->call, code);
    } else {
        fh_call_fail_code(admin_call->call, code);
    }
}

enum fh_code fh_reason_check(const char *reason, struct fh_error *error)
{
    return strlen(reason) <= FH_REASON_BYTES_MAX
               ? FH_OK
               : fh_error_field(error, FH_INVALID, "reason", "reason is longer than %d bytes",
                                FH_REASON_BYTES_MAX);
}

struct fh_audit_context fh_call_audit(struct fh_call *call, const char *reason)
{
    const struct fh_principal *principal = fh_call_principal(call);
    return (struct fh_audit_context){
        .actor = principal->subject,
        .address = fh_call_peer(call),
        .reason = fh_str_of(reason),
    };
}

enum fh_code fh_store_name_parse(const char *name, const char *field, struct fh_str *out,
                                 struct fh_error *error)
{
    struct fh_str rest = fh_str_of(name);
    struct fh_str prefix = FH_STR("stores/");
    if (!fh_str_starts_with(rest, prefix)) {
        return fh_error_field(error, FH_INVALID, field, "%s must be stores/{store}", field);
    }
    rest.data += prefix.len;
    rest.len -= prefix.len;
    if (!fh_store_name_is_valid(rest)) {
        return fh_error_field(error, FH_INVALID, field,
                              "a store's name is 1 to %d of a-z, 0-9 and -, and starts with a "
                              "letter",
                              FH_STORE_NAME_MAX);
    }
    *out = rest;
    return FH_OK;
}

enum fh_code fh_tier_from_proto(int tier, const char *field, enum fh_tier *out,
                                struct fh_error *error)
{
    if (tier < 0 || tier > FH_TIER_DATABASE) {
        return fh_error_field(error, FH_INVALID, field, "%s is none of shared, schema, database",
                              field);
    }
    *out = tier == 0 ? FH_TIER_SHARED : (enum fh_tier)tier;
    return FH_OK;
}

static enum fh_code refuse_tier(const struct fh_store *store, enum fh_tier tier, const char *field,
                                struct fh_error *error)
{
    char offered[64] = "";
    size_t used = 0;
    for (int i = FH_TIER_SHARED; i <= FH_TIER_DATABASE; i++) {
        if ((store->ops->capabilities & fh_capability_of_tier((enum fh_tier)i)) != 0) {
            used += (size_t)snprintf(offered + used, sizeof(offered) - used, "%s%s",
                                     used > 0 ? ", " : "", fh_tier_name((enum fh_tier)i));
        }
    }
    return fh_error_field(error, FH_PRECONDITION, field,
                          "store %s does not offer the tier '%s', but %s; choose another store",
                          store->name, fh_tier_name(tier), offered);
}

enum fh_code fh_store_suits(const struct fh_services *services, const struct fh_store *store,
                            enum fh_tier tier, const char *tier_field, const char *region,
                            struct fh_error *error)
{
    if ((store->ops->capabilities & fh_capability_of_tier(tier)) == 0) {
        return refuse_tier(store, tier, tier_field, error);
    }
    const struct fh_store_record *record =
        fh_store_registry_record(services->stores, fh_str_of(store->name));
    struct fh_str label = record != NULL ? record->region : FH_STR("");
    if (region[0] == '\0' || fh_str_eq(label, fh_str_of(region))) {
        return FH_OK;
    }
    return label.len == 0
               ? fh_error_field(error, FH_PRECONDITION, "region",
                                "store %s has no region label; see ListStores", store->name)
               : fh_error_field(error, FH_PRECONDITION, "region",
                                "store %s is in region '%.*s', not '%.64s'; see ListStores",
                                store->name, FH_STR_ARG(label), region);
}

enum fh_code fh_tenant_name_parse(const char *name, struct fh_uuid *uuid, struct fh_str *slug,
                                  struct fh_error *error)
{
    struct fh_str rest = fh_str_of(name);
    struct fh_str prefix = FH_STR("tenants/");
    memset(uuid, 0, sizeof(*uuid));
    *slug = (struct fh_str){0};
    if (!fh_str_starts_with(rest, prefix)) {
        return fh_error_field(error, FH_INVALID, "name",
                              "name must be tenants/{uuid} or tenants/{slug}");
    }
    rest.data += prefix.len;
    rest.len -= prefix.len;
    if (fh_uuid_parse(rest, uuid) && !fh_uuid_is_nil(uuid)) {
        return FH_OK;
    }
    memset(uuid, 0, sizeof(*uuid));
    if (!fh_slug_is_valid(rest)) {
        return fh_error_field(error, FH_INVALID, "name",
                              "name is neither tenants/{uuid} nor tenants/{slug}");
    }
    *slug = rest;
    return FH_OK;
}

enum fh_code fh_admin_page_open(const struct fh_admin_call *admin_call,
                                const struct fh_page_scope *scope, const char *token, void *out,
                                size_t size, struct fh_error *error)
{
    struct fh_str payload;
    if (token[0] == '\0') {
        return FH_OK;
    }
    enum fh_code code = fh_page_token_open(admin_call->services->page_keys, scope, fh_str_of(token),
                                           fh_call_arena(admin_call->call), &payload, error);
    if (code == FH_OK && payload.len != size) {
        code = fh_error_field(error, FH_INVALID, "page_token", "page_token is malformed");
    }
    if (code == FH_OK) {
        memcpy(out, payload.data, size);
    }
    return code;
}

enum fh_code fh_admin_page_seal(const struct fh_admin_call *admin_call,
                                const struct fh_page_scope *scope, const void *end, size_t size,
                                char **out)
{
    struct fh_str token;
    enum fh_code code = fh_page_token_seal(admin_call->services->page_keys, scope,
                                           (struct fh_str){.data = end, .len = size},
                                           fh_call_arena(admin_call->call), &token);
    if (code == FH_OK) {
        *out = (char *)(uintptr_t)token.data;
    }
    return code;
}

enum fh_code fh_page_size_parse(int32_t page_size, size_t page_size_default, size_t *out,
                                struct fh_error *error)
{
    if (page_size < 0) {
        return fh_error_field(error, FH_INVALID, "page_size", "page_size is negative");
    }
    *out = page_size == 0 ? page_size_default : (size_t)page_size;
    if (*out > FH_PAGE_MAX) {
        *out = FH_PAGE_MAX;
    }
    return FH_OK;
}
