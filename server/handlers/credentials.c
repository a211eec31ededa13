/* A tenant's own login to its dedicated home.
 *
 *     tenant looked up -> home asked for its schema version -> credential read
 *         -> get: answered
 *         -> issue, revoke: the operators' event is written -> the store does it -> answered
 *
 * The event comes first: what is in the audit may not have happened, but what happened is there.
 * The secret goes into the answer and nowhere else.
 *
 * Failures: a tenant without a dedicated home, a store without logins, and a credential that is
 * there (issue) or is not (rotate, get) are refused before anything is changed. A home that is
 * changed or moved meanwhile is UNAVAILABLE: try again.
 */
#include "server/handlers/credentials.h"

#include <string.h>

#include "base/buf.h"
#include "freehold/v1/tenant_admin.pb-c.h"
#include "server/handlers/admin.h"
#include "server/handlers/refusal.h"

#define REASON_BYTES_MAX 2000

enum wish { GET, ISSUE, ROTATE, REVOKE };

struct credential_call {
    struct fh_admin_call base; /* first */
    enum wish wish;
    char **tables; /* of the message */
    size_t table_count;
    struct fh_audit_context audit;
    struct fh_placement placement;
    struct fh_uuid tenant;
    struct fh_store *store;
    const struct fh_schema *schema;
    struct fh_request request;
};

static void fail(struct credential_call *state, enum fh_code code, struct fh_error *error)
{
    switch (code) {
    case FH_STALE_SCHEMA:
    case FH_MOVED:
    case FH_HELD:
    case FH_NO_TENANT:
        code = fh_error_set(error, FH_UNAVAILABLE,
                            "the tenant's home is being changed or moved; try again");
        break;
    case FH_UNIMPLEMENTED:
        code =
            fh_error_set(error, FH_PRECONDITION,
                         "store %s has no logins; only PostgreSQL stores have", state->store->name);
        break;
    default:
        break;
    }
    fh_call_fail_as(state->base.call, code, error);
}

/* Next request to the store; `done_cb` is not called when it is refused. */
static void ask(struct credential_call *state, enum fh_op op, fh_request_done_cb *done_cb)
{
    state->request = (struct fh_request){
        .op = op,
        .scope = {.tenant = state->tenant,
                  .epoch = state->placement.epoch,
                  .home = state->placement.home,
                  .schema = state->schema},
        .deadline_us = fh_call_deadline_us(state->base.call),
        .arena = fh_call_arena(state->base.call),
        .done_cb = done_cb,
        .arg = state,
    };
}

static void submit(struct credential_call *state)
{
    enum fh_code code = fh_store_submit(state->store, &state->request);
    if (code != FH_OK) {
        fail(state, code, &state->request.error);
    }
}

static char *copy(struct fh_arena *arena, struct fh_str s)
{
    return fh_arena_copy(arena, s.data, s.len);
}

static enum fh_code to_proto(const struct credential_call *state, Freehold__V1__Credential **out)
{
    const struct fh_op_credential *in = &state->request.as.credential;
    struct fh_arena *arena = fh_call_arena(state->base.call);
    Freehold__V1__Credential *credential = FH_ARENA_NEW(arena, Freehold__V1__Credential);
    char uuid[FH_UUID_TEXT_LEN + 1];
    if (credential == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__credential__init(credential);
    fh_uuid_format(&state->tenant, uuid);
    credential->tenant = fh_arena_printf(arena, "tenants/%s", uuid);
    credential->user = copy(arena, in->user);
    credential->database = copy(arena, in->database);
    credential->host = copy(arena, in->host);
    credential->port = copy(arena, in->port);
    credential->namespace_ = copy(arena, in->namespace);
    *out = credential;
    return credential->tenant != NULL && credential->user != NULL && credential->database != NULL &&
                   credential->host != NULL && credential->port != NULL &&
                   credential->namespace_ != NULL
               ? FH_OK
               : FH_NOMEM;
}

static void done_cb(struct fh_request *request)
{
    struct credential_call *state = request->arg;
    if (request->code != FH_OK) {
        fail(state, request->code, &request->error);
        return;
    }
    if (state->wish == REVOKE) {
        Freehold__V1__RevokeCredentialResponse out = FREEHOLD__V1__REVOKE_CREDENTIAL_RESPONSE__INIT;
        fh_call_reply(state->base.call, &out.base);
        return;
    }
    Freehold__V1__IssueCredentialResponse out = FREEHOLD__V1__ISSUE_CREDENTIAL_RESPONSE__INIT;
    enum fh_code code = to_proto(state, &out.credential);
    out.secret = copy(fh_call_arena(state->base.call), request->as.credential.secret);
    if (code != FH_OK || out.secret == NULL) {
        fh_call_fail_unanswered(state->base.call, FH_NOMEM);
        return;
    }
    fh_call_reply(state->base.call, &out.base);
}

/* The names in the request as tables of the home's schema. */
static enum fh_code find_tables(struct credential_call *state, const struct fh_table *const **out,
                                struct fh_error *error)
{
    const struct fh_table **tables = FH_ARENA_ARRAY(fh_call_arena(state->base.call),
                                                    const struct fh_table *, state->table_count);
    if (tables == NULL) {
        return FH_NOMEM;
    }
    for (size_t i = 0; i < state->table_count; i++) {
        tables[i] = fh_schema_table(state->schema, fh_str_of(state->tables[i]));
        if (tables[i] == NULL) {
            return fh_error_field(error, FH_INVALID, "tables",
                                  "no table '%.64s' in schema version %u, which the home is at",
                                  state->tables[i], state->schema->version);
        }
    }
    *out = tables;
    return FH_OK;
}

static void noted(struct fh_admin_call *base)
{
    struct credential_call *state = (struct credential_call *)base;
    struct fh_error error = FH_ERROR_INIT;
    ask(state, FH_OP_CREDENTIAL, done_cb);
    struct fh_op_credential *credential = &state->request.as.credential;
    credential->action = state->wish == REVOKE ? FH_CREDENTIAL_REVOKE : FH_CREDENTIAL_ISSUE;
    if (state->wish != REVOKE) {
        enum fh_code code = find_tables(state, &credential->tables, &error);
        if (code != FH_OK) {
            fail(state, code, &error);
            return;
        }
        credential->table_count = state->table_count;
    }
    submit(state);
}

static enum fh_code detail_of(const struct credential_call *state, const char **out)
{
    struct fh_buf text;
    struct fh_str copied;
    fh_buf_init(&text, FH_EVENT_DETAIL_MAX);
    fh_buf_add_text(&text, "{\"store\":");
    fh_buf_add_json(&text, fh_str_of(state->placement.store));
    fh_buf_add_text(&text, ",\"tier\":");
    fh_buf_add_json(&text, fh_str_of(fh_tier_name(state->placement.home.tier)));
    fh_buf_add_text(&text, ",\"tables\":[");
    for (size_t i = 0; i < state->table_count; i++) {
        if (i > 0) {
            fh_buf_add_char(&text, ',');
        }
        fh_buf_add_json(&text, fh_str_of(state->tables[i]));
    }
    fh_buf_add_text(&text, "]}");
    enum fh_code code = fh_buf_code(&text);
    if (code == FH_OK) {
        code = fh_arena_str(fh_call_arena(state->base.call), fh_buf_str(&text), &copied);
    }
    fh_buf_close(&text);
    *out = code == FH_OK ? copied.data : "";
    return code;
}

/* The operators' event, then the change. */
static void note(struct credential_call *state)
{
    static const char *const actions[] = {[ISSUE] = "credential.issue",
                                          [ROTATE] = "credential.rotate",
                                          [REVOKE] = "credential.revoke"};
    struct fh_catalog_request *request = &state->base.catalog;
    struct fh_error error = FH_ERROR_INIT;
    char uuid[FH_UUID_TEXT_LEN + 1];
    fh_uuid_format(&state->tenant, uuid);
    memset(request, 0, sizeof(*request));
    request->op = FH_CATALOG_EVENT_ADD;
    request->audit = state->audit;
    request->as.event_add.action = actions[state->wish];
    request->as.event_add.resource =
        fh_arena_printf(fh_call_arena(state->base.call), "tenants/%s", uuid);
    enum fh_code code = detail_of(state, &request->as.event_add.detail);
    if (code != FH_OK || request->as.event_add.resource == NULL) {
        fail(state, FH_NOMEM, &error);
        return;
    }
    fh_admin_call_submit(&state->base, noted);
}

static void read_cb(struct fh_request *request)
{
    struct credential_call *state = request->arg;
    enum fh_code code = request->code;
    bool there = code == FH_OK;
    if (code != FH_OK && code != FH_NOT_FOUND) {
        fail(state, code, &request->error);
        return;
    }
    if (!there && (state->wish == GET || state->wish == ROTATE)) {
        fail(state,
             fh_error_set(&request->error, FH_NOT_FOUND,
                          "the tenant has no credential; issue one first"),
             &request->error);
        return;
    }
    if (there && state->wish == ISSUE) {
        fail(state,
             fh_error_set(&request->error, FH_EXISTS,
                          "the tenant has a credential already; rotate it for a new secret, or "
                          "revoke it"),
             &request->error);
        return;
    }
    if (state->wish != GET) {
        note(state);
        return;
    }
    Freehold__V1__Credential *out = NULL;
    code = to_proto(state, &out);
    if (code != FH_OK) {
        fh_call_fail_code(state->base.call, code);
        return;
    }
    fh_call_reply(state->base.call, &out->base);
}

static void fence_cb(struct fh_request *request)
{
    struct credential_call *state = request->arg;
    const struct fh_schema *newest = fh_router_schema(state->base.services->router);
    const struct fh_table *const *tables = NULL;
    if (request->code != FH_OK) {
        fail(state, request->code, &request->error);
        return;
    }
    uint32_t version = request->as.fence.schema_version;
    state->schema = version > 0 ? fh_schema_at(newest, version) : newest;
    if (state->schema == NULL) {
        fh_router_want_schema(state->base.services->router, version);
        fail(state, FH_STALE_SCHEMA, &request->error);
        return;
    }
    enum fh_code code = find_tables(state, &tables, &request->error); /* before anything is done */
    if (code != FH_OK) {
        fail(state, code, &request->error);
        return;
    }
    ask(state, FH_OP_CREDENTIAL, read_cb);
    state->request.as.credential.action = FH_CREDENTIAL_READ;
    submit(state);
}

static enum fh_code check(struct credential_call *state, const struct fh_tenant *tenant,
                          struct fh_error *error)
{
    if (tenant->state != FH_TENANT_ACTIVE && tenant->state != FH_TENANT_SUSPENDED) {
        return fh_error_set(error, FH_PRECONDITION, "the tenant is %s",
                            fh_tenant_state_name(tenant->state));
    }
    if (!fh_home_is_dedicated(&tenant->placement.home)) {
        return fh_error_set(
            error, FH_PRECONDITION,
            "the tenant lives in a shared home, where it cannot have a login of its "
            "own; move it to the tier schema or database first");
    }
    state->store =
        fh_router_store(state->base.services->router, fh_str_of(tenant->placement.store));
    if (state->store == NULL) {
        return fh_error_set(error, FH_UNAVAILABLE, "store %s is not open here",
                            tenant->placement.store);
    }
    if ((state->store->ops->capabilities & FH_CAPABILITY_CREDENTIALS) == 0) {
        return fh_error_set(error, FH_PRECONDITION,
                            "store %s has no logins; only PostgreSQL stores have",
                            tenant->placement.store);
    }
    if (fh_router_schema(state->base.services->router) == NULL) {
        return fh_error_set(error, FH_UNAVAILABLE, "the schema is not loaded yet");
    }
    return FH_OK;
}

static void found(struct fh_admin_call *base)
{
    struct credential_call *state = (struct credential_call *)base;
    const struct fh_tenant *tenant = &base->catalog.as.get.tenant;
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code = check(state, tenant, &error);
    if (code != FH_OK) {
        fh_call_fail_as(base->call, code, &error);
        return;
    }
    state->tenant = tenant->uuid;
    state->placement = tenant->placement;
    state->schema = fh_router_schema(base->services->router);
    ask(state, FH_OP_FENCE_READ, fence_cb);
    submit(state);
}

static void begin(struct fh_call *call, void *arg, enum wish wish, const char *name,
                  const char *reason, char **tables, size_t table_count)
{
    struct fh_error error = FH_ERROR_INIT;
    struct credential_call *state = fh_admin_call_create(call, arg, sizeof(*state));
    if (state == NULL) {
        return;
    }
    struct fh_catalog_request *request = &state->base.catalog;
    enum fh_code code =
        fh_tenant_name_parse(name, &request->as.get.uuid, &request->as.get.slug, &error);
    if (code == FH_OK && table_count > FH_CREDENTIAL_TABLES_MAX) {
        code = fh_error_field(&error, FH_INVALID, "tables", "at most %d tables, or none for all",
                              FH_CREDENTIAL_TABLES_MAX);
    }
    if (code == FH_OK && strlen(reason) > REASON_BYTES_MAX) {
        code = fh_error_field(&error, FH_INVALID, "reason", "reason is longer than %d bytes",
                              REASON_BYTES_MAX);
    }
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &error);
        return;
    }
    state->wish = wish;
    state->tables = tables;
    state->table_count = table_count;
    state->audit = fh_call_audit(call, reason);
    request->op = FH_CATALOG_TENANT_GET;
    fh_admin_call_submit(&state->base, found);
}

void fh_credential_issue(struct fh_call *call, void *arg)
{
    const Freehold__V1__IssueCredentialRequest *in =
        (const Freehold__V1__IssueCredentialRequest *)fh_call_request(call);
    begin(call, arg, in->rotate ? ROTATE : ISSUE, in->name, in->reason, in->tables, in->n_tables);
}

void fh_credential_get(struct fh_call *call, void *arg)
{
    const Freehold__V1__GetCredentialRequest *in =
        (const Freehold__V1__GetCredentialRequest *)fh_call_request(call);
    begin(call, arg, GET, in->name, "", NULL, 0);
}

void fh_credential_revoke(struct fh_call *call, void *arg)
{
    const Freehold__V1__RevokeCredentialRequest *in =
        (const Freehold__V1__RevokeCredentialRequest *)fh_call_request(call);
    begin(call, arg, REVOKE, in->name, in->reason, NULL, 0);
}
