/* Happy path: the home is found by its tier and name, the tenant in it, and the fence is made, read
 * or changed.
 *
 * Failures: nothing is changed before everything that can fail has been done; a dedicated home
 * whose tenant could not be made is dropped again.
 */
#include "stores/mem/home.h"

enum fh_code fh_mem_check_version(struct fh_request *request, const struct fh_schema *schema)
{
    uint32_t version = schema != NULL ? schema->version : 0;
    if (version == request->scope.schema->version) {
        return FH_OK;
    }
    request->version_seen = version;
    return FH_STALE_SCHEMA;
}

static enum fh_code moved(struct fh_request *request, const struct fh_fence *fence)
{
    request->epoch_seen = fence->epoch;
    request->mode_seen = fence->mode;
    return FH_MOVED;
}

enum fh_code fh_mem_check_guard(struct fh_request *request, const struct fh_fence *fence,
                                const struct fh_fence_guard *guard)
{
    bool generation = request->op == FH_OP_SIZE || fence->generation == guard->generation;
    if (fence->epoch != request->scope.epoch || !generation ||
        (guard->modes & FH_FENCE_BIT(fence->mode)) == 0) {
        return moved(request, fence);
    }
    request->epoch_seen = fence->epoch;
    request->mode_seen = fence->mode;
    return FH_OK;
}

/* There is one already. */
static enum fh_code meet(struct fh_request *request, const struct fh_mem_home *home,
                         const struct fh_mem_tenant *tenant)
{
    if (!fh_fence_equal(&tenant->fence, &request->as.home.fence)) {
        return FH_EXISTS;
    }
    return fh_home_is_dedicated(&home->id) ? fh_mem_check_version(request, home->schema) : FH_OK;
}

enum fh_code fh_mem_home_op_create(struct fh_mem_data *data, uint32_t homes_max,
                                   struct fh_request *request)
{
    const struct fh_scope *scope = &request->scope;
    struct fh_mem_home *home = fh_mem_home_find(data, &scope->home);
    const struct fh_mem_tenant *tenant =
        home != NULL ? fh_mem_tenant_find(home, &scope->tenant) : NULL;
    if (tenant != NULL) {
        return meet(request, home, tenant);
    }
    if (home != NULL) {
        return fh_mem_tenant_create(home, &scope->tenant, &request->as.home.fence);
    }
    if (!fh_home_is_dedicated(&scope->home)) {
        return fh_error_set(&request->error, FH_PRECONDITION, "the home has no schema yet");
    }
    if (scope->home.tier == FH_TIER_SCHEMA && data->schema_homes >= homes_max) {
        return fh_error_set(&request->error, FH_FULL, "the store has all the homes it may have");
    }
    enum fh_code code = fh_mem_home_create(data, &scope->home, scope->schema, &home);
    if (code != FH_OK) {
        return code;
    }
    code = fh_mem_tenant_create(home, &scope->tenant, &request->as.home.fence);
    if (code != FH_OK) {
        fh_mem_home_drop(data, home);
    }
    return code;
}

enum fh_code fh_mem_home_op_erase(struct fh_mem_data *data, struct fh_request *request)
{
    struct fh_mem_home *home = fh_mem_home_find(data, &request->scope.home);
    struct fh_mem_tenant *tenant =
        home != NULL ? fh_mem_tenant_find(home, &request->scope.tenant) : NULL;
    if (tenant == NULL) {
        return FH_OK;
    }
    if (tenant->fence.generation != request->as.home.fence.generation) {
        return moved(request, &tenant->fence);
    }
    /* A dedicated home goes as a whole, whatever tables it has. */
    bool dedicated = fh_home_is_dedicated(&home->id);
    enum fh_code code = dedicated ? FH_OK : fh_mem_check_version(request, home->schema);
    if (code != FH_OK) {
        return code;
    }
    request->as.home.rows_erased = fh_mem_tenant_erase(data, home, tenant);
    if (dedicated) {
        fh_mem_home_drop(data, home);
    }
    return FH_OK;
}

enum fh_code fh_mem_home_op_fence(const struct fh_mem_data *data, struct fh_request *request)
{
    struct fh_op_fence *op = &request->as.fence;
    const struct fh_mem_home *home = fh_mem_home_find(data, &request->scope.home);
    if (home == NULL) {
        return FH_NO_TENANT;
    }
    if (request->op == FH_OP_FENCE_READ) {
        op->schema_version = home->schema->version;
    }
    struct fh_mem_tenant *tenant = fh_mem_tenant_find(home, &request->scope.tenant);
    if (tenant == NULL) {
        return FH_NO_TENANT;
    }
    if (request->op == FH_OP_FENCE_SET) {
        if (!fh_fence_equal(&tenant->fence, &op->expected)) {
            op->seen = tenant->fence;
            return moved(request, &tenant->fence);
        }
        tenant->fence = op->desired;
    }
    op->seen = tenant->fence;
    return FH_OK;
}
