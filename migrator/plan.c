/* What a move would be like.
 *
 * Happy path: the tenant and its placement, whether a move of it is under way, the source's fence,
 * its size and one page of its largest unknown, the target's fence. Each answer is timed: that is
 * all the prediction is made of, since nothing is changed.
 *
 * Failures: what stands against a move is its refusal, not an error; an error is a catalog or a
 * store that does not answer.
 */
#include "base/alloc.h"
#include "migrator/internal.h"
#include "router/catalog.h"

#define ARENA_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define PAGE_ROWS 200
#define PAGE_BYTES_MAX ((size_t)256 * 1024)
#define COMMIT_US 2000 /* what writing through to a disk takes beside the way there: a guess */
#define ROW_US_GUESS 20

enum plan_step {
    PLAN_TENANT,
    PLAN_MOVES,
    PLAN_SOURCE_FENCE,
    PLAN_SIZE,
    PLAN_PAGE,
    PLAN_TARGET_FENCE,
    PLAN_END,
};

struct plan {
    struct fh_migrator *migrator;
    struct fh_move move; /* what is asked for */
    struct fh_arena arena;
    struct fh_request request;
    struct fh_catalog_request catalog;
    int64_t deadline_us;
    enum plan_step step;
    int64_t began_us;
    int64_t took_us[PLAN_END];
    uint64_t generation;            /* of the source's fence */
    const struct fh_schema *schema; /* the source's */
    size_t page_rows;
    struct fh_move_plan result;
    struct fh_error error;
    fh_migrator_plan_cb *plan_cb;
    void *arg;
};

static void next(struct plan *plan, enum fh_code code);

static void store_done_cb(struct fh_request *request)
{
    struct plan *plan = request->arg;
    plan->error = request->error;
    next(plan, request->code);
}

static void catalog_done_cb(struct fh_catalog_request *request)
{
    struct plan *plan = request->arg;
    plan->error = request->error;
    next(plan, request->code);
}

static enum fh_code ask_catalog(struct plan *plan, enum fh_catalog_op op)
{
    struct fh_catalog_request *request = &plan->catalog;
    *request = (struct fh_catalog_request){.op = op,
                                           .deadline_us = plan->deadline_us,
                                           .arena = &plan->arena,
                                           .done_cb = catalog_done_cb,
                                           .arg = plan};
    if (op == FH_CATALOG_TENANT_GET) {
        request->as.get.uuid = plan->move.tenant;
    } else {
        request->as.move_list.tenant = plan->move.tenant;
        request->as.move_list.unfinished = true;
        request->as.move_list.limit = 1;
    }
    enum fh_code code = fh_catalog_submit(plan->migrator->catalog, request);
    plan->error = request->error;
    return code;
}

static void fill(struct plan *plan, enum fh_op op)
{
    struct fh_request *request = &plan->request;
    const struct fh_schema *schema = request->scope.schema;
    const struct fh_fence_guard guard = {.generation = plan->generation,
                                         .modes = FH_FENCE_BIT(FH_FENCE_OPEN) |
                                                  FH_FENCE_BIT(FH_FENCE_FROZEN)};
    if (op == FH_OP_SIZE) {
        request->as.size.guard = guard;
    } else if (op == FH_OP_SCAN) {
        request->as.scan = (struct fh_op_scan){.guard = guard,
                                               .table = schema->tables[0],
                                               .limit = PAGE_ROWS,
                                               .bytes_max = PAGE_BYTES_MAX};
    }
}

static enum fh_code ask_store(struct plan *plan, enum fh_op op, bool source)
{
    const struct fh_placement *placement = &plan->result.source;
    const char *name = source ? placement->store : plan->move.target_store;
    struct fh_store *store = fh_router_store(plan->migrator->router, fh_str_of(name));
    if (store == NULL) {
        return fh_error_set(&plan->error, FH_UNAVAILABLE, "store %s is not open here", name);
    }
    plan->request = (struct fh_request){
        .op = op,
        .scope = {.tenant = plan->move.tenant,
                  .epoch = placement->epoch + (source ? 0 : 1),
                  .home = source ? placement->home : plan->move.target_home,
                  .schema = plan->schema},
        .deadline_us = plan->deadline_us,
        .arena = &plan->arena,
        .done_cb = store_done_cb,
        .arg = plan,
    };
    fill(plan, op);
    enum fh_code code = fh_store_submit(store, &plan->request);
    plan->error = plan->request.error;
    return code;
}

/* What this process itself can tell. */
static const char *refusal(const struct plan *plan, const struct fh_tenant *tenant)
{
    const struct fh_store *target =
        fh_router_store(plan->migrator->router, fh_str_of(plan->move.target_store));
    if (tenant->state != FH_TENANT_ACTIVE && tenant->state != FH_TENANT_SUSPENDED) {
        return "the tenant is neither active nor suspended";
    }
    if (strcmp(tenant->placement.store, plan->move.target_store) == 0 &&
        fh_home_equal(&tenant->placement.home, &plan->move.target_home)) {
        return "the tenant lives in that store and tier already";
    }
    if (target == NULL) {
        return "the target store is not open here";
    }
    if ((target->ops->capabilities & fh_capability_of_tier(plan->move.target_home.tier)) == 0) {
        return "the target store does not offer that tier";
    }
    if (fh_router_schema(plan->migrator->router) == NULL) {
        return "the schema is not loaded yet";
    }
    return NULL;
}

static enum fh_code enter(struct plan *plan, enum plan_step step)
{
    switch (step) {
    case PLAN_TENANT:
        return ask_catalog(plan, FH_CATALOG_TENANT_GET);
    case PLAN_MOVES:
        return ask_catalog(plan, FH_CATALOG_MOVE_LIST);
    case PLAN_SOURCE_FENCE:
        return ask_store(plan, FH_OP_FENCE_READ, true);
    case PLAN_SIZE:
        return ask_store(plan, FH_OP_SIZE, true);
    case PLAN_PAGE:
        return ask_store(plan, FH_OP_SCAN, true);
    case PLAN_TARGET_FENCE:
        return ask_store(plan, FH_OP_FENCE_READ, false);
    case PLAN_END:
        break;
    }
    return FH_INTERNAL;
}

/* What the source is at; a mover waits for a version that it does not know. */
static bool know_schema(struct plan *plan, uint32_t version)
{
    const struct fh_schema *newest = plan->schema;
    plan->schema = version > 0 ? fh_schema_at(newest, version) : newest;
    if (plan->schema == NULL) {
        fh_router_want_schema(plan->migrator->router, version);
        plan->result.refusal = "the source is at a schema version that this server does not know "
                               "yet; ask again shortly";
    }
    return plan->schema != NULL;
}

/* The answer of the step: where to go on, PLAN_END when all is known or something is refused. */
static enum plan_step take(struct plan *plan)
{
    struct fh_move_plan *result = &plan->result;
    switch (plan->step) {
    case PLAN_TENANT:
        result->source = plan->catalog.as.get.tenant.placement;
        result->refusal = refusal(plan, &plan->catalog.as.get.tenant);
        return result->refusal == NULL ? PLAN_MOVES : PLAN_END;
    case PLAN_MOVES:
        if (plan->catalog.as.move_list.count > 0) {
            result->refusal = "another move of the tenant is not finished";
            return PLAN_END;
        }
        return PLAN_SOURCE_FENCE;
    case PLAN_SOURCE_FENCE:
        plan->generation = plan->request.as.fence.seen.generation;
        return know_schema(plan, plan->request.as.fence.schema_version) ? PLAN_SIZE : PLAN_END;
    case PLAN_SIZE:
        result->rows = plan->request.as.size.rows;
        result->records = plan->request.as.size.records;
        result->bytes = plan->request.as.size.bytes;
        return plan->schema->table_count > 0 ? PLAN_PAGE : PLAN_TARGET_FENCE;
    case PLAN_PAGE:
        plan->page_rows = plan->request.as.scan.count;
        return PLAN_TARGET_FENCE;
    case PLAN_TARGET_FENCE:
        result->refusal = "the target holds a home of this tenant already";
        return PLAN_END;
    case PLAN_END:
        break;
    }
    return PLAN_END;
}

static void predict(struct plan *plan)
{
    struct fh_move_plan *result = &plan->result;
    const int64_t *took = plan->took_us;
    int64_t row_us =
        plan->page_rows > 0 ? took[PLAN_PAGE] / (int64_t)plan->page_rows + 1 : ROW_US_GUESS;
    uint32_t duty = plan->move.settings.duty_percent > 0 ? plan->move.settings.duty_percent : 100;
    /* Read twice and written once, at about what reading takes each. */
    result->duration_us =
        3 * row_us * (int64_t)(result->rows + result->records) * 100 / (int64_t)duty;
    /* Freeze, view, changes, close; apply, open; switch. */
    result->pause_predicted_us = 4 * took[PLAN_SOURCE_FENCE] + 2 * took[PLAN_TARGET_FENCE] +
                                 took[PLAN_TENANT] + (int64_t)5 * COMMIT_US;
}

static void end(struct plan *plan, enum fh_code code)
{
    struct fh_migrator *migrator = plan->migrator;
    if (code == FH_OK && plan->result.refusal == NULL) {
        predict(plan);
    }
    if (code != FH_OK && plan->error.code != code) {
        (void)fh_error_set(&plan->error, code, "%s", fh_code_text(code));
    }
    plan->plan_cb(code, &plan->error, &plan->result, plan->arg);
    fh_arena_close(&plan->arena);
    fh_free(plan);
    fh_migrator_plan_ended(migrator);
}

static void next(struct plan *plan, enum fh_code code)
{
    for (;;) {
        int64_t now = fh_clock_monotonic_us(plan->migrator->env->clock);
        plan->took_us[plan->step] = now - plan->began_us;
        if (code == FH_NO_TENANT && plan->step == PLAN_TARGET_FENCE) {
            end(plan, FH_OK); /* as it should be */
            return;
        }
        enum plan_step step = code == FH_OK ? take(plan) : PLAN_END;
        if (step == PLAN_END) {
            end(plan, code);
            return;
        }
        plan->step = step;
        plan->began_us = now;
        fh_arena_reset(&plan->arena);
        code = enter(plan, step);
        if (code == FH_OK) {
            return;
        }
    }
}

enum fh_code fh_migrator_plan(struct fh_migrator *migrator, const struct fh_move *move,
                              int64_t deadline_us, fh_migrator_plan_cb *plan_cb, void *arg,
                              struct fh_error *error)
{
    if (migrator->closing) {
        return fh_error_set(error, FH_SHUTTING_DOWN, "the migrator is closing");
    }
    struct plan *plan = fh_calloc(1, sizeof(*plan));
    if (plan == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    plan->migrator = migrator;
    plan->move = *move;
    plan->deadline_us = deadline_us;
    plan->plan_cb = plan_cb;
    plan->arg = arg;
    memcpy(plan->result.target_store, move->target_store, sizeof(move->target_store));
    plan->result.target_home = move->target_home;
    plan->schema = fh_router_schema(migrator->router);
    plan->step = PLAN_TENANT;
    plan->began_us = fh_clock_monotonic_us(migrator->env->clock);
    fh_arena_init(&plan->arena, ARENA_BYTES_MAX);
    enum fh_code code = enter(plan, PLAN_TENANT);
    if (code != FH_OK) {
        if (error != NULL) {
            *error = plan->error;
        }
        fh_arena_close(&plan->arena);
        fh_free(plan);
        return code;
    }
    migrator->plans++;
    return FH_OK;
}
