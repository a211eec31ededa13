/*
 *   create: START -> ROW -> HOME -> ACTIVATE -> END
 *                     |       |         |
 *                     |       |         +-- taken over: withdraw --+
 *                     +-------+---- failed ----+                   |
 *                                              v                   v
 *   erase, sweep: START -------------------> TAKE ----------> FENCE_READ <-> FENCE_CLOSE
 *                                              |                 |   |         |
 *                                              |          no home|   |     ERASE
 *                                              v                 v   v         v
 *                                             END <----------- FORGET <--------+
 *
 * Happy path, creating: a row that nothing serves, a home that nothing routes to, then the state
 * that makes both count. Erasing: a state that ends routing, a closed fence that ends whoever
 * routed before, the rows, and the row's last state, which keeps the slug.
 *
 * Failures: whoever wants to change a tenant first raises its generation in the catalog, and every
 * later step compares it; so of two sagas, however slow one is, only the last to take the tenant
 * can act. A creation that fails is undone by TAKE and what follows; what cannot be undone now (a
 * store is away) is left as DELETING for the sweeper. A creation that finds itself taken over takes
 * back its home if the fence is still its own. Steps record nothing in memory that the catalog or
 * the fence do not hold, so being killed anywhere is the same as failing there.
 */
#include "router/saga.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/fault_point.h"

#define ARENA_BYTES_MAX ((size_t)512 * 1024)
#define UNDO_US (10 * (int64_t)1000000)
#define FENCE_ATTEMPTS_MAX 8
#define GENERATION_FIRST 1
#define EPOCH_FIRST 1

enum state {
    START,
    ROW,
    HOME,
    ACTIVATE,
    TAKE,
    FENCE_READ,
    FENCE_CLOSE,
    ERASE,
    FORGET,
    END,
};

static bool may_move(enum state from, enum state to)
{
    static const uint16_t moves[] = {
        [START] = 1u << ROW | 1u << TAKE,
        [ROW] = 1u << HOME | 1u << TAKE | 1u << END,
        [HOME] = 1u << ACTIVATE | 1u << TAKE,
        [ACTIVATE] = 1u << TAKE | 1u << FENCE_READ | 1u << END,
        [TAKE] = 1u << FENCE_READ | 1u << END,
        [FENCE_READ] = 1u << FENCE_CLOSE | 1u << ERASE | 1u << FORGET | 1u << END,
        [FENCE_CLOSE] = 1u << FENCE_READ | 1u << ERASE | 1u << END,
        [ERASE] = 1u << FENCE_READ | 1u << FORGET | 1u << END,
        [FORGET] = 1u << END,
        [END] = 0,
    };
    return (moves[from] >> to & 1u) != 0;
}

static enum fh_code copy_texts(struct fh_saga *saga)
{
    struct fh_tenant *tenant = &saga->tenant;
    struct fh_audit_context *audit = &saga->audit;
    struct fh_str *texts[] = {&tenant->slug,     &tenant->display_name, &tenant->plan,
                              &audit->actor,     &audit->address,       &audit->reason,
                              &audit->request_id};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        enum fh_code code = fh_arena_str(&saga->arena, *texts[i], texts[i]);
        if (code != FH_OK) {
            return code;
        }
    }
    struct fh_label *labels = FH_ARENA_ARRAY(&saga->arena, struct fh_label, tenant->label_count);
    if (labels == NULL) {
        return FH_NOMEM;
    }
    for (size_t i = 0; i < tenant->label_count; i++) {
        enum fh_code code = fh_arena_str(&saga->arena, tenant->labels[i].key, &labels[i].key);
        if (code == FH_OK) {
            code = fh_arena_str(&saga->arena, tenant->labels[i].value, &labels[i].value);
        }
        if (code != FH_OK) {
            return code;
        }
    }
    tenant->labels = labels;
    return FH_OK;
}

struct fh_saga *fh_saga_make(enum fh_saga_kind kind, const struct fh_saga_parts *parts,
                             const struct fh_tenant *tenant, const struct fh_audit_context *audit)
{
    struct fh_saga *saga = fh_calloc(1, sizeof(*saga));
    if (saga == NULL) {
        return NULL;
    }
    saga->kind = kind;
    saga->parts = *parts;
    saga->tenant = *tenant;
    saga->audit = *audit;
    fh_list_init(&saga->node);
    fh_arena_init(&saga->arena, ARENA_BYTES_MAX);
    if (copy_texts(saga) != FH_OK) {
        fh_saga_free(saga);
        return NULL;
    }
    return saga;
}

void fh_saga_free(struct fh_saga *saga)
{
    fh_list_remove(&saga->node);
    fh_arena_close(&saga->arena);
    fh_free(saga);
}

static void run(struct fh_saga *saga, enum fh_code code);

static void catalog_done_cb(struct fh_catalog_request *request)
{
    struct fh_saga *saga = request->arg;
    saga->error = request->error;
    run(saga, request->code);
}

static void store_done_cb(struct fh_request *request)
{
    struct fh_saga *saga = request->arg;
    saga->error = request->error;
    run(saga, request->code);
}

static enum fh_code ask_catalog(struct fh_saga *saga)
{
    struct fh_catalog_request *request = &saga->catalog_request;
    request->deadline_us = saga->deadline_us;
    request->arena = &saga->arena;
    request->done_cb = catalog_done_cb;
    request->arg = saga;
    request->audit = saga->audit;
    enum fh_code code = fh_catalog_submit(saga->parts.catalog, request);
    if (code != FH_OK) {
        saga->error = request->error;
    }
    return code;
}

static enum fh_code ask_to_create(struct fh_saga *saga)
{
    struct fh_tenant *tenant = &saga->tenant;
    if (fh_uuid_is_nil(&tenant->uuid)) {
        tenant->uuid = fh_uuid_v7(fh_clock_realtime_us(saga->parts.env->clock));
    }
    tenant->state = FH_TENANT_PROVISIONING;
    fh_home_of(tenant->placement.home.tier, &tenant->uuid, &tenant->placement.home);
    tenant->placement.epoch = EPOCH_FIRST;
    tenant->placement.generation = GENERATION_FIRST;
    saga->generation = GENERATION_FIRST;
    saga->catalog_request = (struct fh_catalog_request){.op = FH_CATALOG_TENANT_CREATE};
    saga->catalog_request.as.tenant = *tenant;
    return ask_catalog(saga);
}

static enum fh_code ask_to_advance(struct fh_saga *saga, uint32_t from_states, uint64_t generation,
                                   enum fh_tenant_state to)
{
    saga->catalog_request = (struct fh_catalog_request){.op = FH_CATALOG_TENANT_ADVANCE};
    saga->catalog_request.as.advance.uuid = saga->tenant.uuid;
    saga->catalog_request.as.advance.from_states = from_states;
    saga->catalog_request.as.advance.generation = generation;
    saga->catalog_request.as.advance.to = to;
    saga->catalog_request.as.advance.bump_generation = to == FH_TENANT_DELETING;
    return ask_catalog(saga);
}

static enum fh_code ask_to_take(struct fh_saga *saga)
{
    const uint32_t unfinished = 1u << FH_TENANT_PROVISIONING | 1u << FH_TENANT_DELETING;
    switch (saga->kind) {
    case FH_SAGA_CREATE: /* our own row, and only while it is ours */
        return ask_to_advance(saga, 1u << FH_TENANT_PROVISIONING, saga->generation,
                              FH_TENANT_DELETING);
    case FH_SAGA_SWEEP: /* as it was listed */
        return ask_to_advance(saga, unfinished, saga->tenant.placement.generation,
                              FH_TENANT_DELETING);
    case FH_SAGA_ERASE:
        return ask_to_advance(saga, unfinished | 1u << FH_TENANT_ACTIVE | 1u << FH_TENANT_SUSPENDED,
                              0, FH_TENANT_DELETING);
    }
    FH_UNREACHABLE();
}

/* An erasure must know every table that the home has. */
static enum fh_code schema_of_home(struct fh_saga *saga, const struct fh_schema **out)
{
    const struct fh_schema *newest = *out;
    if (newest == NULL) {
        return fh_error_set(&saga->error, FH_UNAVAILABLE, "the schema is not loaded yet");
    }
    *out = saga->schema_version > 0 ? fh_schema_at(newest, saga->schema_version) : newest;
    return *out != NULL ? FH_OK
                        : fh_error_set(&saga->error, FH_UNAVAILABLE,
                                       "the home is at schema version %u, this server knows %u yet",
                                       saga->schema_version, newest->version);
}

static enum fh_code ask_store(struct fh_saga *saga, enum fh_op op)
{
    const struct fh_placement *placement = &saga->tenant.placement;
    struct fh_request *request = &saga->store_request;
    struct fh_store *store = fh_router_store(saga->parts.router, fh_str_of(placement->store));
    if (store == NULL) {
        return fh_error_set(&saga->error, FH_UNAVAILABLE, "store %s is not open here",
                            placement->store);
    }
    const struct fh_schema *schema = fh_router_schema(saga->parts.router);
    if (op == FH_OP_HOME_ERASE) {
        enum fh_code code = schema_of_home(saga, &schema);
        if (code != FH_OK) {
            return code;
        }
    }
    *request = (struct fh_request){
        .op = op,
        .scope = {.tenant = saga->tenant.uuid,
                  .epoch = placement->epoch,
                  .home = placement->home,
                  .schema = schema},
        .deadline_us = saga->deadline_us,
        .arena = &saga->arena,
        .done_cb = store_done_cb,
        .arg = saga,
    };
    if (op == FH_OP_HOME_CREATE) {
        request->as.home.fence = (struct fh_fence){
            .epoch = placement->epoch, .generation = saga->generation, .mode = FH_FENCE_OPEN};
    } else if (op == FH_OP_HOME_ERASE) {
        request->as.home.fence = saga->seen;
    } else if (op == FH_OP_FENCE_SET) {
        request->as.fence.expected = saga->seen;
        request->as.fence.desired = (struct fh_fence){
            .epoch = saga->seen.epoch, .generation = saga->generation, .mode = FH_FENCE_CLOSED};
    }
    enum fh_code code = fh_store_submit(store, request);
    if (code != FH_OK) {
        saga->error = request->error;
    }
    return code;
}

/* Begins the state's step: FH_OK, and its callback goes on; else the step has failed already. */
static enum fh_code enter(struct fh_saga *saga, enum state state)
{
    FH_ASSERT(may_move((enum state)saga->state, state));
    saga->state = (int)state;
    saga->error = (struct fh_error)FH_ERROR_INIT;
    switch (state) {
    case ROW:
        return ask_to_create(saga);
    case HOME:
        return ask_store(saga, FH_OP_HOME_CREATE);
    case ACTIVATE:
        return ask_to_advance(saga, 1u << FH_TENANT_PROVISIONING, saga->generation,
                              FH_TENANT_ACTIVE);
    case TAKE:
        return ask_to_take(saga);
    case FENCE_READ:
        return ask_store(saga, FH_OP_FENCE_READ);
    case FENCE_CLOSE:
        return ask_store(saga, FH_OP_FENCE_SET);
    case ERASE:
        return ask_store(saga, FH_OP_HOME_ERASE);
    case FORGET:
        return ask_to_advance(saga, 1u << FH_TENANT_DELETING, saga->generation, FH_TENANT_DELETED);
    case START:
    case END:
        break;
    }
    FH_UNREACHABLE();
}

/* The first failure is the one to tell. */
static void note_failure(struct fh_saga *saga, enum fh_code code)
{
    if (saga->failure.code != FH_OK) {
        return;
    }
    saga->failure = saga->error;
    if (saga->failure.code != code || saga->failure.message[0] == '\0') {
        (void)fh_error_set(&saga->failure, code, "%s", fh_code_text(code));
    }
}

static enum state give_up(struct fh_saga *saga, enum fh_code code)
{
    note_failure(saga, code);
    return END;
}

/* A creation that failed is undone in time of its own. */
static enum state undo(struct fh_saga *saga, enum fh_code code)
{
    note_failure(saga, code);
    saga->deadline_us = fh_clock_monotonic_us(saga->parts.env->clock) + UNDO_US;
    return TAKE;
}

/* The row of an earlier creation with the same request id. */
static enum state after_replay(struct fh_saga *saga, const struct fh_tenant *stored)
{
    saga->tenant = *stored;
    switch (stored->state) {
    case FH_TENANT_ACTIVE:
    case FH_TENANT_SUSPENDED:
        return END;
    case FH_TENANT_PROVISIONING:
        (void)fh_error_set(&saga->error, FH_CONFLICT,
                           "the same request is creating the tenant now; retry");
        return give_up(saga, FH_CONFLICT);
    case FH_TENANT_DELETING:
    case FH_TENANT_DELETED:
        break;
    }
    (void)fh_error_set(&saga->error, FH_PRECONDITION,
                       "this creation failed and was undone, or the tenant was deleted since; use "
                       "another slug and another request_id");
    return give_up(saga, FH_PRECONDITION);
}

static enum state after_row(struct fh_saga *saga, enum fh_code code)
{
    switch (code) {
    case FH_OK:
        break;
    case FH_OUTCOME_UNKNOWN: /* the row may be there: look */
    case FH_DEADLINE:
    case FH_CANCELLED:
    case FH_UNAVAILABLE:
    case FH_INTERNAL:
        return undo(saga, code);
    default:
        return give_up(saga, code);
    }
    const struct fh_tenant *stored = &saga->catalog_request.as.tenant;
    if (!fh_uuid_eq(&stored->uuid, &saga->tenant.uuid)) {
        return after_replay(saga, stored);
    }
    saga->tenant = *stored;
    fh_fault_point("create.after_row");
    return HOME;
}

static enum state after_home(struct fh_saga *saga, enum fh_code code)
{
    if (code != FH_OK) {
        return undo(saga, code);
    }
    fh_fault_point("create.after_home");
    return ACTIVATE;
}

static enum state after_activate(struct fh_saga *saga, enum fh_code code)
{
    if (code == FH_OK) {
        saga->tenant = saga->catalog_request.as.advance.tenant;
        fh_router_invalidate(saga->parts.router, &saga->tenant.uuid); /* "no such tenant" */
        return END;
    }
    if (code != FH_PRECONDITION) {
        return undo(saga, code);
    }
    note_failure(saga, code);
    saga->withdrawing = true;
    saga->deadline_us = fh_clock_monotonic_us(saga->parts.env->clock) + UNDO_US;
    return FENCE_READ;
}

static enum state after_take(struct fh_saga *saga, enum fh_code code)
{
    const struct fh_tenant *present = &saga->catalog_request.as.advance.tenant;
    /* Whatever came of it: with an outcome unknown, what is remembered may be wrong. */
    fh_router_invalidate(saga->parts.router, &saga->tenant.uuid);
    if (code == FH_OK) {
        saga->tenant = *present;
        saga->generation = present->placement.generation;
        fh_fault_point("delete.after_row");
        return FENCE_READ;
    }
    if (code == FH_PRECONDITION && saga->kind == FH_SAGA_CREATE &&
        present->state == FH_TENANT_ACTIVE && present->placement.generation == saga->generation) {
        /* The activation whose outcome was unknown took place. */
        saga->tenant = *present;
        saga->failure = (struct fh_error)FH_ERROR_INIT;
        return END;
    }
    if (code == FH_PRECONDITION && saga->kind == FH_SAGA_ERASE &&
        present->state == FH_TENANT_DELETED) {
        saga->tenant = *present;
        return END;
    }
    return give_up(saga, code);
}

static enum state nothing_there(const struct fh_saga *saga)
{
    return saga->withdrawing ? END : FORGET;
}

/* No fence, so nobody lives there. Of a dedicated home something may be there all the same: what a
 * creation that died had made of it before the fence. */
static enum state no_fence(struct fh_saga *saga)
{
    const struct fh_placement *placement = &saga->tenant.placement;
    if (saga->withdrawing || !fh_home_is_dedicated(&placement->home)) {
        return nothing_there(saga);
    }
    saga->seen = (struct fh_fence){
        .epoch = placement->epoch, .generation = saga->generation, .mode = FH_FENCE_CLOSED};
    return ERASE;
}

static enum state after_fence_read(struct fh_saga *saga, enum fh_code code)
{
    if (code == FH_OK || code == FH_NO_TENANT) {
        saga->schema_version = saga->store_request.as.fence.schema_version;
    }
    if (code == FH_NO_TENANT) {
        return no_fence(saga);
    }
    if (code != FH_OK) {
        return give_up(saga, code);
    }
    saga->seen = saga->store_request.as.fence.seen;
    if (saga->seen.generation > saga->generation) {
        (void)fh_error_set(&saga->error, FH_CONFLICT, "somebody else took the tenant over");
        return give_up(saga, FH_CONFLICT);
    }
    if (saga->withdrawing) {
        return saga->seen.generation == saga->generation ? ERASE : END;
    }
    bool closed = saga->seen.mode == FH_FENCE_CLOSED && saga->seen.generation == saga->generation;
    return closed ? ERASE : FENCE_CLOSE;
}

static enum state after_fence_close(struct fh_saga *saga, enum fh_code code)
{
    if (code == FH_OK) {
        saga->seen = saga->store_request.as.fence.desired;
        return ERASE;
    }
    /* Changed meanwhile, gone, or its gate is busy: look again. */
    if ((code == FH_MOVED || code == FH_HELD || code == FH_NO_TENANT ||
         code == FH_OUTCOME_UNKNOWN) &&
        ++saga->attempts < FENCE_ATTEMPTS_MAX) {
        return FENCE_READ;
    }
    if (code == FH_MOVED || code == FH_HELD) {
        code =
            fh_error_set(&saga->error, FH_UNAVAILABLE, "the tenant's fence cannot be closed now");
    }
    return give_up(saga, code);
}

static enum state after_erase(struct fh_saga *saga, enum fh_code code)
{
    if (code == FH_STALE_SCHEMA && ++saga->attempts < FENCE_ATTEMPTS_MAX) {
        return FENCE_READ; /* it was changed in between */
    }
    if (code != FH_OK) {
        if (code == FH_MOVED || code == FH_HELD) {
            code = fh_error_set(&saga->error, FH_CONFLICT, "somebody else took the tenant over");
        }
        return give_up(saga, code);
    }
    fh_fault_point("delete.after_erase");
    return nothing_there(saga);
}

static enum state after_forget(struct fh_saga *saga, enum fh_code code)
{
    if (code != FH_OK) {
        return give_up(saga, code);
    }
    saga->tenant = saga->catalog_request.as.advance.tenant;
    return END;
}

static enum state next_state(struct fh_saga *saga, enum fh_code code)
{
    switch ((enum state)saga->state) {
    case START:
        return saga->kind == FH_SAGA_CREATE ? ROW : TAKE;
    case ROW:
        return after_row(saga, code);
    case HOME:
        return after_home(saga, code);
    case ACTIVATE:
        return after_activate(saga, code);
    case TAKE:
        return after_take(saga, code);
    case FENCE_READ:
        return after_fence_read(saga, code);
    case FENCE_CLOSE:
        return after_fence_close(saga, code);
    case ERASE:
        return after_erase(saga, code);
    case FORGET:
        return after_forget(saga, code);
    case END:
        break;
    }
    FH_UNREACHABLE();
}

static void end(struct fh_saga *saga)
{
    FH_ASSERT(may_move((enum state)saga->state, END));
    saga->state = END;
    struct fh_saga_result result = {
        .code = saga->failure.code, .error = saga->failure, .tenant = &saga->tenant};
    saga->end_cb(saga, &result);
    fh_saga_free(saga);
}

/* From the outcome of one step to the next that waits. */
static void run(struct fh_saga *saga, enum fh_code code)
{
    for (;;) {
        enum state next = next_state(saga, code);
        if (next == END) {
            end(saga);
            return;
        }
        code = enter(saga, next);
        if (code == FH_OK) {
            return;
        }
    }
}

enum fh_code fh_saga_start(struct fh_saga *saga, struct fh_error *error)
{
    FH_ASSERT(saga->state == START);
    enum fh_code code = enter(saga, next_state(saga, FH_OK));
    if (code != FH_OK) {
        saga->state = START;
        *error = saga->error;
        if (error->code != code) {
            (void)fh_error_set(error, code, "%s", fh_code_text(code));
        }
    }
    return code;
}
