/* StoreAdminService. Registering a store: open it, bring the schema to it (which proves that its
 * owner can reach it), check it (which proves that the serving role can), then write the catalog
 * row; whatever fails takes the opened store out again. What the check finds wanting refuses
 * nothing: CheckStore tells it. */
#include "freehold/v1/store_admin.pb-c.h"

#include "server/auth/principal.h"
#include "server/handlers/admin.h"
#include "server/handlers/refusal.h"
#include "server/handlers/services.h"
#include "server/handlers/values.h"

#define LOCATION_BYTES_MAX 1024
#define REGION_BYTES_MAX 63
#define SCRIPT_BYTES_MAX ((size_t)256 * 1024)

static char *copy(struct fh_arena *arena, struct fh_str s)
{
    return fh_arena_copy(arena, s.data, s.len);
}

static enum fh_code store_to_proto(const struct fh_services *services,
                                   const struct fh_store_record *in, struct fh_arena *arena,
                                   Freehold__V1__Store **out)
{
    Freehold__V1__Store *store = FH_ARENA_NEW(arena, Freehold__V1__Store);
    if (store == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__store__init(store);
    store->name = fh_arena_printf(arena, "stores/%s", in->name);
    store->engine = copy(arena, in->engine);
    store->location = copy(arena, in->location);
    store->owner_location = copy(arena, in->owner_location);
    store->region = copy(arena, in->region);
    store->may_lose_writes_on_failover = in->may_lose_writes;
    store->tiers = FH_ARENA_ARRAY(arena, Freehold__V1__Placement__Tier, FH_TIER_DATABASE);
    if (store->tiers == NULL) {
        return FH_NOMEM;
    }
    store->create_time = fh_timestamp_to_proto(in->created_at_us, arena);
    if (store->name == NULL || store->engine == NULL || store->location == NULL ||
        store->owner_location == NULL || store->region == NULL || store->create_time == NULL) {
        return FH_NOMEM;
    }
    const struct fh_store *open = fh_router_store(services->router, fh_str_of(in->name));
    if (open != NULL) {
        const char *behind = NULL;
        store->schema_version = fh_schemas_store_version(services->schemas, open, &behind);
        store->credentials = (open->ops->capabilities & FH_CAPABILITY_CREDENTIALS) != 0;
        for (int tier = FH_TIER_SHARED; tier <= FH_TIER_DATABASE; tier++) {
            if ((open->ops->capabilities & fh_capability_of_tier((enum fh_tier)tier)) != 0) {
                store->tiers[store->n_tiers++] = (Freehold__V1__Placement__Tier)tier;
            }
        }
    }
    *out = store;
    return FH_OK;
}

/* `made`: just now, which a failure to answer must not deny. */
static void reply_store(struct fh_admin_call *base, const struct fh_store_record *record, bool made)
{
    Freehold__V1__Store *out = NULL;
    enum fh_code code = store_to_proto(base->services, record, fh_call_arena(base->call), &out);
    if (code == FH_OK) {
        fh_call_reply(base->call, &out->base);
    } else if (made) {
        fh_call_fail_unanswered(base->call, code);
    } else {
        fh_call_fail_code(base->call, code);
    }
}

struct create_call {
    struct fh_admin_call base; /* first */
    struct fh_store_record record;
    struct fh_store *store;
    struct fh_request check;
    enum fh_code code; /* why it is being undone */
    struct fh_error error;
};

static void undone_cb(void *arg)
{
    struct create_call *create = arg;
    fh_call_fail_as(create->base.call, create->code, &create->error);
}

/* Takes the opened store out again, then fails the call. */
static void undo(struct create_call *create, enum fh_code code, const struct fh_error *error)
{
    create->code = code;
    create->error = *error;
    fh_store_registry_forget(create->base.services->stores, create->store, undone_cb, create);
}

static void row_written(struct fh_catalog_request *request)
{
    struct create_call *create = request->arg;
    if (request->code != FH_OK) {
        if (request->code ==
            FH_EXISTS) { /* the catalog names its column, not the request's field */
            (void)fh_error_field(&request->error, FH_EXISTS, "store.name",
                                 "there is a store %s already", create->record.name);
        }
        undo(create, request->code, &request->error);
        return;
    }
    reply_store(&create->base, &request->as.store, true);
}

static void write_row(struct create_call *create)
{
    struct fh_catalog_request *request = &create->base.catalog;
    request->op = FH_CATALOG_STORE_CREATE;
    request->as.store = create->record;
    request->audit = fh_call_audit(create->base.call, "");
    request->deadline_us = fh_call_deadline_us(create->base.call);
    request->arena = fh_call_arena(create->base.call);
    request->done_cb = row_written;
    request->arg = create;
    enum fh_code code = fh_catalog_submit(create->base.services->catalog, request);
    if (code != FH_OK) {
        undo(create, code, &request->error);
    }
}

static void reached_cb(struct fh_request *request)
{
    struct create_call *create = request->arg;
    if (request->code != FH_OK) {
        undo(create, request->code, &request->error);
        return;
    }
    write_row(create);
}

static void check_request_init(struct fh_request *request, const struct fh_services *services,
                               struct fh_call *call)
{
    *request = (struct fh_request){
        .op = FH_OP_CHECK,
        .scope = {.home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED},
                  .schema = fh_router_schema(services->router)},
        .deadline_us = fh_call_deadline_us(call),
        .arena = fh_call_arena(call),
    };
}

static void schema_applied_cb(const struct fh_schemas_result *result, void *arg)
{
    struct create_call *create = arg;
    if (result->code != FH_OK) {
        undo(create, result->code, &result->error);
        return;
    }
    check_request_init(&create->check, create->base.services, create->base.call);
    create->check.done_cb = reached_cb;
    create->check.arg = create;
    enum fh_code code = fh_store_submit(create->store, &create->check);
    if (code != FH_OK) {
        undo(create, code, &create->check.error);
    }
}

static enum fh_code record_from_proto(const Freehold__V1__Store *in, const struct fh_env *env,
                                      struct fh_store_record *out, struct fh_error *error)
{
    struct fh_str name;
    memset(out, 0, sizeof(*out));
    if (in == NULL) {
        return fh_error_field(error, FH_INVALID, "store", "store is missing");
    }
    enum fh_code code = fh_store_name_parse(in->name, "store.name", &name, error);
    if (code != FH_OK) {
        return code;
    }
    if (in->location[0] == '\0' || strlen(in->location) > LOCATION_BYTES_MAX ||
        strlen(in->owner_location) > LOCATION_BYTES_MAX || strlen(in->region) > REGION_BYTES_MAX) {
        return fh_error_field(error, FH_INVALID, "store.location",
                              "location is required; locations are up to %d bytes, a region up to "
                              "%d",
                              LOCATION_BYTES_MAX, REGION_BYTES_MAX);
    }
    memcpy(out->name, name.data, name.len);
    out->engine = fh_str_of(in->engine);
    out->location = fh_str_of(in->location);
    out->owner_location = fh_str_of(in->owner_location);
    out->region = fh_str_of(in->region);
    out->may_lose_writes = in->may_lose_writes_on_failover != 0;
    out->created_at_us = fh_clock_realtime_us(env->clock);
    return FH_OK;
}

static void create_store(struct fh_call *call, void *arg)
{
    struct fh_services *services = arg;
    const Freehold__V1__CreateStoreRequest *in =
        (const Freehold__V1__CreateStoreRequest *)fh_call_request(call);
    struct create_call *create = fh_admin_call_create(call, services, sizeof(*create));
    struct fh_error error = FH_ERROR_INIT;
    if (create == NULL) {
        return;
    }
    enum fh_code code = record_from_proto(in->store, services->env, &create->record, &error);
    if (code == FH_OK) {
        code = fh_store_registry_open(services->stores, &create->record, &create->store, &error);
    }
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &error);
        return;
    }
    code = fh_schemas_catch_up(services->schemas, create->store, fh_call_deadline_us(call),
                               schema_applied_cb, create);
    if (code != FH_OK) {
        undo(create, code, &error);
    }
}

struct list_call {
    struct fh_admin_call base; /* first */
    struct fh_str after;       /* name; exclusive */
    size_t limit;
};

static enum fh_code fill_list(struct list_call *list, Freehold__V1__ListStoresResponse *out)
{
    struct fh_arena *arena = fh_call_arena(list->base.call);
    size_t total = list->base.catalog.as.stores.count;
    const struct fh_store_record *records = list->base.catalog.as.stores.stores;
    size_t from = 0; /* by name */
    while (from < total && fh_str_cmp(fh_str_of(records[from].name), list->after) <= 0) {
        from++;
    }
    size_t to = total - from > list->limit ? from + list->limit : total;
    out->stores = FH_ARENA_ARRAY(arena, Freehold__V1__Store *, to - from);
    if (out->stores == NULL) {
        return FH_NOMEM;
    }
    for (size_t i = from; i < to; i++) {
        enum fh_code code =
            store_to_proto(list->base.services, &records[i], arena, &out->stores[out->n_stores]);
        if (code != FH_OK) {
            return code;
        }
        out->n_stores++;
    }
    if (to == total) {
        return FH_OK;
    }
    struct fh_page_scope scope = {.method = FH_STR("ListStores")};
    struct fh_str token;
    enum fh_code code = fh_page_token_seal(list->base.services->page_keys, &scope,
                                           fh_str_of(records[to - 1].name), arena, &token);
    if (code == FH_OK) {
        out->next_page_token = (char *)(uintptr_t)token.data;
    }
    return code;
}

static void answer_list(struct fh_admin_call *base)
{
    Freehold__V1__ListStoresResponse out = FREEHOLD__V1__LIST_STORES_RESPONSE__INIT;
    enum fh_code code = fill_list((struct list_call *)base, &out);
    if (code != FH_OK) {
        fh_call_fail_code(base->call, code);
        return;
    }
    fh_call_reply(base->call, &out.base);
}

static void list_stores(struct fh_call *call, void *arg)
{
    const Freehold__V1__ListStoresRequest *in =
        (const Freehold__V1__ListStoresRequest *)fh_call_request(call);
    struct list_call *list = fh_admin_call_create(call, arg, sizeof(*list));
    struct fh_error error = FH_ERROR_INIT;
    if (list == NULL) {
        return;
    }
    enum fh_code code = fh_page_size_parse(in->page_size, FH_PAGE_MAX, &list->limit, &error);
    if (code == FH_OK && in->page_token[0] != '\0') {
        struct fh_page_scope scope = {.method = FH_STR("ListStores")};
        code = fh_page_token_open(list->base.services->page_keys, &scope, fh_str_of(in->page_token),
                                  fh_call_arena(call), &list->after, &error);
    }
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &error);
        return;
    }
    list->base.catalog.op = FH_CATALOG_STORE_LIST;
    fh_admin_call_submit(&list->base, answer_list);
}

static void get_store(struct fh_call *call, void *arg)
{
    struct fh_services *services = arg;
    const Freehold__V1__GetStoreRequest *in =
        (const Freehold__V1__GetStoreRequest *)fh_call_request(call);
    struct fh_admin_call *base = fh_admin_call_create(call, services, sizeof(*base));
    struct fh_error error = FH_ERROR_INIT;
    struct fh_str name;
    if (base == NULL) {
        return;
    }
    if (fh_store_name_parse(in->name, "name", &name, &error) != FH_OK) {
        fh_call_fail(call, &error);
        return;
    }
    const struct fh_store_record *record = fh_store_registry_record(services->stores, name);
    if (record == NULL) {
        (void)fh_error_field(&error, FH_NOT_FOUND, "name", "no store '%.*s'", FH_STR_ARG(name));
        fh_call_fail(call, &error);
        return;
    }
    reply_store(base, record, false);
}

struct check_call {
    struct fh_call *call;
    struct fh_request request;
};

static enum fh_code fill_findings(const struct fh_op_check *check, struct fh_arena *arena,
                                  Freehold__V1__CheckStoreResponse *out)
{
    out->healthy = 1;
    out->findings = FH_ARENA_ARRAY(arena, Freehold__V1__StoreFinding *, check->count);
    if (out->findings == NULL) {
        return FH_NOMEM;
    }
    for (size_t i = 0; i < check->count; i++) {
        Freehold__V1__StoreFinding *finding = FH_ARENA_NEW(arena, Freehold__V1__StoreFinding);
        if (finding == NULL) {
            return FH_NOMEM;
        }
        freehold__v1__store_finding__init(finding);
        finding->ok = check->findings[i].ok;
        finding->subject = copy(arena, check->findings[i].subject);
        finding->text = copy(arena, check->findings[i].text);
        if (finding->subject == NULL || finding->text == NULL) {
            return FH_NOMEM;
        }
        out->healthy = out->healthy && finding->ok;
        out->findings[out->n_findings++] = finding;
    }
    return FH_OK;
}

static void checked_cb(struct fh_request *request)
{
    struct check_call *check = request->arg;
    Freehold__V1__CheckStoreResponse out = FREEHOLD__V1__CHECK_STORE_RESPONSE__INIT;
    if (request->code != FH_OK) {
        fh_call_fail_as(check->call, request->code, &request->error);
        return;
    }
    enum fh_code code = fill_findings(&request->as.check, fh_call_arena(check->call), &out);
    if (code != FH_OK) {
        fh_call_fail_code(check->call, code);
        return;
    }
    fh_call_reply(check->call, &out.base);
}

static void check_store(struct fh_call *call, void *arg)
{
    struct fh_services *services = arg;
    const Freehold__V1__CheckStoreRequest *in =
        (const Freehold__V1__CheckStoreRequest *)fh_call_request(call);
    struct check_call *check = FH_ARENA_NEW(fh_call_arena(call), struct check_call);
    struct fh_error error = FH_ERROR_INIT;
    struct fh_str name;
    if (check == NULL) {
        fh_call_fail_code(call, FH_NOMEM);
        return;
    }
    if (fh_store_name_parse(in->name, "name", &name, &error) != FH_OK) {
        fh_call_fail(call, &error);
        return;
    }
    struct fh_store *store = fh_router_store(services->router, name);
    if (store == NULL) {
        (void)fh_error_field(&error, FH_NOT_FOUND, "name", "no store '%.*s'", FH_STR_ARG(name));
        fh_call_fail(call, &error);
        return;
    }
    check->call = call;
    check_request_init(&check->request, services, call);
    check->request.done_cb = checked_cb;
    check->request.arg = check;
    enum fh_code code = fh_store_submit(store, &check->request);
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &check->request.error);
    }
}

static enum fh_code write_script(const struct fh_services *services,
                                 const Freehold__V1__PrepareStoreRequest *in,
                                 struct fh_arena *arena, char **out, struct fh_error *error)
{
    struct fh_str engine = in->engine[0] != '\0' ? fh_str_of(in->engine) : FH_STR("postgresql");
    const struct fh_store_ops *ops = fh_store_registry_engine(services->stores, engine);
    if (ops == NULL) {
        return fh_error_field(error, FH_INVALID, "engine", "this server has no engine '%.64s'",
                              in->engine);
    }
    if (ops->prepare == NULL) {
        return fh_error_field(error, FH_PRECONDITION, "engine",
                              "stores of the engine %s need no preparation", ops->engine);
    }
    struct fh_buf script;
    fh_buf_init(&script, SCRIPT_BYTES_MAX);
    enum fh_code code = ops->prepare(in->owner, in->serving, &script);
    if (code == FH_OK) {
        code = fh_buf_code(&script);
    }
    *out = code == FH_OK ? copy(arena, fh_buf_str(&script)) : NULL;
    fh_buf_close(&script);
    if (code == FH_INVALID) {
        return fh_error_field(error, code, "owner",
                              "owner and serving are the names of two roles, of 1 to 63 bytes");
    }
    return code == FH_OK && *out == NULL ? FH_NOMEM : code;
}

static void prepare_store(struct fh_call *call, void *arg)
{
    const Freehold__V1__PrepareStoreRequest *in =
        (const Freehold__V1__PrepareStoreRequest *)fh_call_request(call);
    Freehold__V1__PrepareStoreResponse out = FREEHOLD__V1__PREPARE_STORE_RESPONSE__INIT;
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code = write_script(arg, in, fh_call_arena(call), &out.sql, &error);
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &error);
        return;
    }
    fh_call_reply(call, &out.base);
}

static const struct fh_rpc_method methods[] = {
    {"CreateStore", FH_RPC_UNARY, FH_ACCESS_OPERATOR, create_store},
    {"GetStore", FH_RPC_UNARY, FH_ACCESS_OPERATOR, get_store},
    {"ListStores", FH_RPC_UNARY, FH_ACCESS_OPERATOR, list_stores},
    {"CheckStore", FH_RPC_UNARY, FH_ACCESS_OPERATOR, check_store},
    {"PrepareStore", FH_RPC_UNARY, FH_ACCESS_OPERATOR, prepare_store},
};

struct fh_rpc_service fh_store_admin_service(struct fh_services *services)
{
    return (struct fh_rpc_service){
        .descriptor = &freehold__v1__store_admin_service__descriptor,
        .methods = methods,
        .method_count = sizeof(methods) / sizeof(methods[0]),
        .arg = services,
    };
}
