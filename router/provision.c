/* Happy path: a saga object for each creation and deletion, on a list until it ends; a sweep that
 * lists what is unfinished, page by page, and takes one tenant after the other.
 *
 * Failures: a full list refuses; a tenant that cannot be finished now stays for the next sweep. A
 * sweep asked for while one runs is remembered, once. Closing waits for the sagas, each of which
 * ends by its deadline.
 */
#include "router/provision.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "router/saga.h"

#define SWEEP_PAGE 32
#define SWEEP_BYTES_MAX ((size_t)2 * 1024 * 1024) /* a page of tenants with all their labels */
#define SWEEP_LIST_US (10 * (int64_t)1000000)
#define SWEEP_SAGA_US (60 * (int64_t)1000000)

struct sweep {
    bool running;
    bool again;
    int64_t again_older_than_us;
    int64_t updated_before_us;
    struct fh_arena arena; /* of the page */
    struct fh_catalog_request request;
    size_t at; /* in the page */
};

struct fh_provisioner {
    struct fh_saga_parts parts;
    size_t sagas_max;
    struct fh_list sagas; /* those of callers and the sweep's */
    size_t count;         /* of them */
    struct sweep sweep;
    uint64_t sweeps;
    uint64_t undone;
    uv_idle_t idle; /* so that close never calls back within itself */
    bool closing;
    void (*closed_cb)(void *arg);
    void *closed_arg;
};

enum fh_code fh_provisioner_create(const struct fh_env *env, struct fh_catalog *catalog,
                                   struct fh_router *router, size_t sagas_max,
                                   struct fh_provisioner **out)
{
    FH_ASSERT(sagas_max > 0);
    struct fh_provisioner *provisioner = fh_calloc(1, sizeof(*provisioner));
    if (provisioner == NULL) {
        return FH_NOMEM;
    }
    provisioner->parts = (struct fh_saga_parts){.env = env, .catalog = catalog, .router = router};
    provisioner->sagas_max = sagas_max;
    fh_list_init(&provisioner->sagas);
    fh_arena_init(&provisioner->sweep.arena, SWEEP_BYTES_MAX);
    int failed = uv_idle_init(env->loop, &provisioner->idle);
    FH_ASSERT(failed == 0); /* it cannot fail */
    provisioner->idle.data = provisioner;
    *out = provisioner;
    return FH_OK;
}

static void idle_closed_cb(uv_handle_t *handle)
{
    struct fh_provisioner *provisioner = handle->data;
    void (*closed_cb)(void *arg) = provisioner->closed_cb;
    void *arg = provisioner->closed_arg;
    fh_arena_close(&provisioner->sweep.arena);
    fh_free(provisioner);
    closed_cb(arg);
}

static void settle(struct fh_provisioner *provisioner)
{
    if (provisioner->closing && provisioner->count == 0 && !provisioner->sweep.running &&
        !uv_is_closing((uv_handle_t *)&provisioner->idle)) {
        uv_close((uv_handle_t *)&provisioner->idle, idle_closed_cb);
    }
}

void fh_provisioner_close(struct fh_provisioner *provisioner, void (*closed_cb)(void *arg),
                          void *arg)
{
    FH_ASSERT(!provisioner->closing);
    provisioner->closing = true;
    provisioner->closed_cb = closed_cb;
    provisioner->closed_arg = arg;
    settle(provisioner);
}

static void leave(struct fh_provisioner *provisioner, struct fh_saga *saga)
{
    fh_list_remove(&saga->node);
    FH_ASSERT(provisioner->count > 0);
    provisioner->count--;
}

static void saga_end_cb(struct fh_saga *saga, const struct fh_saga_result *result)
{
    struct fh_provisioner *provisioner = saga->owner;
    leave(provisioner, saga);
    if (result->code != FH_OK) {
        FH_LOG(provisioner->parts.env->log, WARN, "tenant.saga_failed",
               FH_KV_UUID("tenant", saga->tenant.uuid),
               FH_KV_TEXT("saga", saga->kind == FH_SAGA_CREATE ? "create" : "erase"),
               FH_KV_TEXT("code", fh_code_name(result->code)),
               FH_KV_TEXT("why", fh_error_text(&result->error)));
    }
    saga->done_cb(result, saga->arg);
    settle(provisioner);
}

/* Refused before it began: the saga is freed. */
static enum fh_code start(struct fh_provisioner *provisioner, struct fh_saga *saga,
                          struct fh_error *error)
{
    saga->owner = provisioner;
    fh_list_push_back(&provisioner->sagas, &saga->node);
    provisioner->count++;
    enum fh_code code = fh_saga_start(saga, error);
    if (code != FH_OK) {
        leave(provisioner, saga);
        fh_saga_free(saga);
    }
    return code;
}

static enum fh_code begin(struct fh_provisioner *provisioner, enum fh_saga_kind kind,
                          const struct fh_tenant *tenant, const struct fh_audit_context *audit,
                          int64_t deadline_us, fh_saga_done_cb *done_cb, void *arg,
                          struct fh_error *error)
{
    struct fh_error own = FH_ERROR_INIT;
    if (error == NULL) {
        error = &own;
    }
    if (provisioner->closing) {
        return fh_error_set(error, FH_SHUTTING_DOWN, "%s", fh_code_text(FH_SHUTTING_DOWN));
    }
    if (provisioner->count >= provisioner->sagas_max) {
        return fh_error_set(error, FH_FULL,
                            "too many tenants are being created or deleted; retry later");
    }
    struct fh_saga *saga = fh_saga_make(kind, &provisioner->parts, tenant, audit);
    if (saga == NULL) {
        return fh_error_set(error, FH_NOMEM, "%s", fh_code_text(FH_NOMEM));
    }
    saga->deadline_us = deadline_us;
    saga->end_cb = saga_end_cb;
    saga->done_cb = done_cb;
    saga->arg = arg;
    return start(provisioner, saga, error);
}

enum fh_code fh_tenant_provision(struct fh_provisioner *provisioner, const struct fh_tenant *tenant,
                                 const struct fh_audit_context *audit, int64_t deadline_us,
                                 fh_saga_done_cb *done_cb, void *arg, struct fh_error *error)
{
    const struct fh_placement *placement = &tenant->placement;
    if (memchr(placement->store, '\0', sizeof(placement->store)) == NULL ||
        fh_router_store(provisioner->parts.router, fh_str_of(placement->store)) == NULL) {
        return fh_error_field(error, FH_INVALID, "store", "no store '%.*s'", FH_STORE_NAME_MAX,
                              placement->store);
    }
    struct fh_tenant wanted = *tenant;
    enum fh_tier *tier = &wanted.placement.home.tier;
    *tier = *tier == 0 ? FH_TIER_SHARED : *tier;
    const struct fh_store *store =
        fh_router_store(provisioner->parts.router, fh_str_of(placement->store));
    if ((store->ops->capabilities & fh_capability_of_tier(*tier)) == 0) {
        return fh_error_field(error, FH_PRECONDITION, "tier",
                              "store %s does not offer the tier '%s'", placement->store,
                              fh_tier_name(*tier));
    }
    return begin(provisioner, FH_SAGA_CREATE, &wanted, audit, deadline_us, done_cb, arg, error);
}

enum fh_code fh_tenant_erase(struct fh_provisioner *provisioner, const struct fh_uuid *tenant,
                             const struct fh_audit_context *audit, int64_t deadline_us,
                             fh_saga_done_cb *done_cb, void *arg, struct fh_error *error)
{
    struct fh_tenant named = {.uuid = *tenant};
    return begin(provisioner, FH_SAGA_ERASE, &named, audit, deadline_us, done_cb, arg, error);
}

static bool is_at_work(const struct fh_provisioner *provisioner, const struct fh_uuid *tenant)
{
    for (const struct fh_list *node = provisioner->sagas.next; node != &provisioner->sagas;
         node = node->next) {
        const struct fh_saga *saga = FH_CONTAINER_OF(node, const struct fh_saga, node);
        if (fh_uuid_eq(&saga->tenant.uuid, tenant)) {
            return true;
        }
    }
    return false;
}

static void sweep_begin(struct fh_provisioner *provisioner, int64_t older_than_us);

static void sweep_end(struct fh_provisioner *provisioner)
{
    struct sweep *sweep = &provisioner->sweep;
    FH_ASSERT(sweep->running);
    sweep->running = false;
    provisioner->sweeps++;
    fh_arena_reset(&sweep->arena);
    if (sweep->again && !provisioner->closing) {
        sweep->again = false;
        sweep_begin(provisioner, sweep->again_older_than_us);
        return;
    }
    settle(provisioner);
}

static void sweep_next(struct fh_provisioner *provisioner);

static void sweep_saga_end_cb(struct fh_saga *saga, const struct fh_saga_result *result)
{
    struct fh_provisioner *provisioner = saga->owner;
    leave(provisioner, saga);
    if (result->code == FH_OK) {
        provisioner->undone++;
        FH_LOG(provisioner->parts.env->log, INFO, "tenant.undone",
               FH_KV_UUID("tenant", saga->tenant.uuid));
    } else {
        FH_LOG(provisioner->parts.env->log, WARN, "tenant.not_undone",
               FH_KV_UUID("tenant", saga->tenant.uuid),
               FH_KV_TEXT("why", fh_error_text(&result->error)));
    }
    sweep_next(provisioner);
}

/* True: a saga runs, whose end goes on. */
static bool sweep_tenant(struct fh_provisioner *provisioner, const struct fh_tenant *tenant)
{
    static const struct fh_audit_context audit = {.actor = {"sweeper", 7},
                                                  .reason = {"finishing what was interrupted", 30}};
    if (tenant->state == FH_TENANT_PROVISIONING &&
        tenant->updated_at_us > provisioner->sweep.updated_before_us) {
        return false; /* its saga may be alive */
    }
    if (is_at_work(provisioner, &tenant->uuid) ||
        fh_router_store(provisioner->parts.router, fh_str_of(tenant->placement.store)) == NULL) {
        return false;
    }
    struct fh_saga *saga = fh_saga_make(FH_SAGA_SWEEP, &provisioner->parts, tenant, &audit);
    if (saga == NULL) {
        return false; /* the next sweep may have memory */
    }
    struct fh_error ignored = FH_ERROR_INIT;
    saga->deadline_us = fh_clock_monotonic_us(provisioner->parts.env->clock) + SWEEP_SAGA_US;
    saga->end_cb = sweep_saga_end_cb;
    return start(provisioner, saga, &ignored) == FH_OK;
}

static void sweep_list(struct fh_provisioner *provisioner, struct fh_uuid after);

static void sweep_next(struct fh_provisioner *provisioner)
{
    struct sweep *sweep = &provisioner->sweep;
    while (!provisioner->closing && sweep->at < sweep->request.as.list.count) {
        if (sweep_tenant(provisioner, &sweep->request.as.list.tenants[sweep->at++])) {
            return;
        }
    }
    if (!provisioner->closing && sweep->request.as.list.more) {
        sweep_list(provisioner, sweep->request.as.list.tenants[sweep->at - 1].uuid);
        return;
    }
    sweep_end(provisioner);
}

static void sweep_listed_cb(struct fh_catalog_request *request)
{
    struct fh_provisioner *provisioner = request->arg;
    if (request->code != FH_OK) {
        FH_LOG(provisioner->parts.env->log, WARN, "tenant.sweep_failed",
               FH_KV_TEXT("why", fh_error_text(&request->error)));
        sweep_end(provisioner);
        return;
    }
    sweep_next(provisioner);
}

static void sweep_list(struct fh_provisioner *provisioner, struct fh_uuid after)
{
    struct sweep *sweep = &provisioner->sweep;
    fh_arena_reset(&sweep->arena);
    sweep->at = 0;
    sweep->request = (struct fh_catalog_request){
        .op = FH_CATALOG_TENANT_LIST,
        .deadline_us = fh_clock_monotonic_us(provisioner->parts.env->clock) + SWEEP_LIST_US,
        .arena = &sweep->arena,
        .done_cb = sweep_listed_cb,
        .arg = provisioner,
    };
    sweep->request.as.list.after = after;
    sweep->request.as.list.states = 1u << FH_TENANT_PROVISIONING | 1u << FH_TENANT_DELETING;
    sweep->request.as.list.limit = SWEEP_PAGE;
    if (fh_catalog_submit(provisioner->parts.catalog, &sweep->request) != FH_OK) {
        sweep_end(provisioner);
    }
}

static void sweep_begin(struct fh_provisioner *provisioner, int64_t older_than_us)
{
    struct sweep *sweep = &provisioner->sweep;
    sweep->running = true;
    sweep->updated_before_us = fh_clock_realtime_us(provisioner->parts.env->clock) - older_than_us;
    sweep_list(provisioner, (struct fh_uuid){{0}});
}

void fh_provisioner_sweep(struct fh_provisioner *provisioner, int64_t older_than_us)
{
    struct sweep *sweep = &provisioner->sweep;
    if (provisioner->closing) {
        return;
    }
    if (!sweep->running) {
        sweep_begin(provisioner, older_than_us);
        return;
    }
    if (!sweep->again || older_than_us < sweep->again_older_than_us) {
        sweep->again_older_than_us = older_than_us;
    }
    sweep->again = true;
}

uint64_t fh_provisioner_sweeps(const struct fh_provisioner *provisioner)
{
    return provisioner->sweeps;
}

uint64_t fh_provisioner_undone(const struct fh_provisioner *provisioner)
{
    return provisioner->undone;
}
