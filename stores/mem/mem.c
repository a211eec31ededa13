/* The memory engine: the contract of stores/store.h in its simplest form, for tests and for
 * measuring everything but storage.
 *
 * Happy path: submit puts the request on a queue and wakes an idle handle; on the loop's next turn
 * every queued request is executed and completed, one after the other, so that requests are serial
 * by construction and complete in order.
 *
 * Failures: a full queue is FH_FULL; memory is FH_NOMEM; everything else is an answer of the
 * semantics. Nothing survives close.
 *
 * Isolation: layer 1 is the comparison of the tenant's id, layer 2 that a database context gives
 * one tenant's own data and no other's (see data.h), layer 3 is fh_request_complete(). The faults
 * of a test build take them away.
 */
#include "stores/mem/mem.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "stores/commit_record.h"
#include "stores/mem/commit.h"
#include "stores/mem/data.h"
#include "stores/mem/home.h"
#include "stores/mem/move.h"
#include "stores/mem/schema.h"

#define QUEUE_MAX_DEFAULT 4096

struct mem_store {
    struct fh_store store; /* first */
    struct fh_mem_data data;
    struct fh_mem_views views;
    struct fh_list queue;
    uint32_t queued;
    uint32_t queue_max;
    uint32_t homes_max;  /* of the schema tier */
    uint64_t statements; /* for wrong_context_every */
    uv_idle_t idle;      /* active while the queue is not empty */
    fh_store_closed_cb *closed_cb;
    void *closed_arg;
};

/* Marks a queued request whose caller does not want it any more. */
static char cancelled_mark;

static struct mem_store *self_of(struct fh_store *store)
{
    return (struct mem_store *)store;
}

/* Where a statement runs: in the home that the request names, as its tenant; unless a fault puts it
 * into another tenant's context. In a dedicated tier that is the other one's home, too. */
struct context {
    const struct fh_mem_home *home; /* NULL: none */
    struct fh_uuid tenant;
};

static struct context context_of(struct mem_store *self, const struct fh_request *request)
{
    const struct fh_scope *scope = &request->scope;
    const struct fh_isolation_faults *faults = self->store.faults;
    struct context context = {fh_mem_home_find(&self->data, &scope->home), scope->tenant};
    if (request->probe != NULL) { /* the home is astray already */
        context.tenant = request->probe->context;
        return context;
    }
    if (faults == NULL) {
        return context;
    }
    self->statements++;
    if (faults->wrong_context_every != 0 && self->statements % faults->wrong_context_every == 0) {
        struct fh_home home;
        fh_home_of(scope->home.tier, &faults->wrong_tenant, &home);
        context = (struct context){fh_mem_home_find(&self->data, &home), faults->wrong_tenant};
    }
    return context;
}

/* Which tenant's data a statement sees in its context: its own, unless layers are taken away. */
static struct fh_mem_tenant *visible_tenant(const struct mem_store *self,
                                            const struct fh_mem_home *home,
                                            const struct fh_uuid *context,
                                            const struct fh_request *request)
{
    static const struct fh_isolation_faults none;
    const struct fh_isolation_faults *faults =
        self->store.faults != NULL ? self->store.faults : &none;
    const struct fh_scope *scope = &request->scope;
    bool predicate =
        !faults->skip_predicate && !(request->probe != NULL && request->probe->skip_predicate);
    struct fh_mem_tenant *candidates[] = {
        fh_mem_tenant_find(home, context),
        faults->skip_enforcement ? fh_mem_tenant_find(home, &scope->tenant) : NULL};
    for (size_t i = 0; i < 2; i++) {
        if (candidates[i] != NULL &&
            (!predicate || fh_uuid_eq(&candidates[i]->id, &scope->tenant))) {
            return candidates[i];
        }
    }
    return NULL;
}

/* The fence and the version: who may do what here, now. */
static enum fh_code enter(struct mem_store *self, struct fh_request *request, bool writes,
                          struct fh_mem_tenant **out)
{
    const struct context context = context_of(self, request);
    struct fh_mem_tenant *tenant =
        context.home != NULL ? visible_tenant(self, context.home, &context.tenant, request) : NULL;
    if (tenant == NULL) {
        return FH_NO_TENANT;
    }
    request->epoch_seen = tenant->fence.epoch;
    request->mode_seen = tenant->fence.mode;
    bool open =
        tenant->fence.mode == FH_FENCE_OPEN || (!writes && tenant->fence.mode == FH_FENCE_FROZEN);
    if (tenant->fence.epoch != request->scope.epoch || !open) {
        return FH_MOVED;
    }
    *out = tenant;
    return fh_mem_check_version(request, context.home->schema);
}

static enum fh_code do_get(struct mem_store *self, struct fh_request *request)
{
    struct fh_op_get *get = &request->as.get;
    struct fh_mem_tenant *tenant = NULL;
    enum fh_code code = enter(self, request, false, &tenant);
    if (code != FH_OK) {
        return code;
    }
    get->rows = FH_ARENA_ARRAY(request->arena, struct fh_row *, get->count);
    if (get->rows == NULL) {
        return FH_NOMEM;
    }
    for (size_t i = 0; i < get->count; i++) {
        const struct fh_table *table = get->keys[i].table;
        const struct fh_mem_row *stored =
            fh_mem_table_get(fh_mem_table_at(tenant, table->id), &get->keys[i]);
        if (stored == NULL || (stored->row.deleted_at_us != 0 && !get->show_deleted)) {
            continue;
        }
        get->rows[i] = fh_mem_row_read(stored, table, request->arena);
        if (get->rows[i] == NULL) {
            return FH_NOMEM;
        }
    }
    return FH_OK;
}

static enum fh_code do_list(struct mem_store *self, struct fh_request *request)
{
    struct fh_op_list *list = &request->as.list;
    struct fh_mem_tenant *tenant = NULL;
    enum fh_code code = enter(self, request, false, &tenant);
    if (code != FH_OK) {
        return code;
    }
    list->rows = FH_ARENA_ARRAY(request->arena, struct fh_row *, list->limit);
    if (list->rows == NULL) {
        return FH_NOMEM;
    }
    const struct fh_mem_table *table = fh_mem_table_at(tenant, list->table->id);
    if (table == NULL) {
        return FH_OK;
    }
    size_t at = 0;
    if (list->after != NULL) {
        bool found = false;
        at = fh_mem_table_seek(table, list->after, &found);
        at += found;
    }
    for (; at < table->count; at++) {
        const struct fh_mem_row *stored = table->rows[at];
        if (stored->row.deleted_at_us != 0 && !list->show_deleted) {
            continue;
        }
        if (list->count == list->limit) {
            list->more = true;
            break;
        }
        struct fh_row *row = fh_mem_row_read(stored, list->table, request->arena);
        if (row == NULL) {
            return FH_NOMEM;
        }
        list->rows[list->count++] = row;
    }
    return FH_OK;
}

static enum fh_code do_commit(struct mem_store *self, struct fh_request *request)
{
    struct fh_mem_tenant *tenant = NULL;
    enum fh_code code = enter(self, request, true, &tenant);
    if (code != FH_OK) {
        return code;
    }
    const struct fh_isolation_faults *faults = self->store.faults;
    if (!fh_uuid_eq(&tenant->id, &request->scope.tenant) &&
        !(faults != NULL && faults->skip_enforcement)) {
        return FH_FOREIGN_ROW; /* layer two also refuses to write into another tenant's data */
    }
    return fh_mem_commit(&self->data, tenant, request,
                         fh_clock_realtime_us(self->store.env->clock));
}

static enum fh_code read_record(const struct fh_mem_record *stored, struct fh_request *request,
                                struct fh_commit_record *out)
{
    struct fh_arena *arena = request->arena;
    struct fh_str images = {.data = NULL}; /* redacted */
    *out = stored->header;
    enum fh_code code = fh_arena_str(arena, stored->header.request_id, &out->request_id);
    if (code == FH_OK) {
        code = fh_arena_str(arena, stored->header.actor, &out->actor);
    }
    if (code == FH_OK) {
        code = fh_arena_str(arena, stored->header.address, &out->address);
    }
    if (code == FH_OK && stored->images.data != NULL) {
        code = fh_arena_str(arena, stored->images, &images); /* the rows borrow from them */
    }
    if (code == FH_OK) {
        code = fh_commit_record_decode(out, stored->changes, images, request->scope.schema, arena);
    }
    return code;
}

static enum fh_code do_events(struct mem_store *self, struct fh_request *request)
{
    struct fh_op_events *events = &request->as.events;
    struct fh_mem_tenant *tenant = NULL;
    enum fh_code code = enter(self, request, false, &tenant);
    if (code != FH_OK) {
        return code;
    }
    events->records = FH_ARENA_ARRAY(request->arena, struct fh_commit_record, events->limit);
    if (events->records == NULL) {
        return FH_NOMEM;
    }
    bool from_newest = events->before_epoch == 0 && events->before_seq == 0;
    for (size_t i = tenant->record_count; i > 0; i--) {
        const struct fh_mem_record *stored = tenant->records[i - 1];
        bool before = stored->header.epoch < events->before_epoch ||
                      (stored->header.epoch == events->before_epoch &&
                       stored->header.seq < events->before_seq);
        if (!from_newest && !before) {
            continue;
        }
        if (events->count == events->limit) {
            events->more = true;
            break;
        }
        code = read_record(stored, request, &events->records[events->count]);
        if (code != FH_OK) {
            return code;
        }
        events->count++;
    }
    return FH_OK;
}

static enum fh_code do_check(struct fh_request *request)
{
    struct fh_op_check *op = &request->as.check;
    op->findings = FH_ARENA_ARRAY(request->arena, struct fh_finding, 1);
    if (op->findings == NULL) {
        return FH_NOMEM;
    }
    op->findings[0] = (struct fh_finding){
        .ok = true, .subject = FH_STR("memory"), .text = FH_STR("nothing outlives the process")};
    op->count = 1;
    return FH_OK;
}

static enum fh_code do_move(struct mem_store *self, struct fh_request *request)
{
    const struct context context = context_of(self, request);
    struct fh_mem_tenant *tenant =
        context.home != NULL ? visible_tenant(self, context.home, &context.tenant, request) : NULL;
    return fh_mem_move(&self->data, &self->views, context.home, tenant, request);
}

static enum fh_code execute(struct mem_store *self, struct fh_request *request)
{
    if (request->op == FH_OP_SNAPSHOT_CLOSE) {
        return do_move(self, request); /* wanted or not, late or not: it frees a view */
    }
    if (request->engine == &cancelled_mark) {
        return FH_CANCELLED;
    }
    if (request->deadline_us <= fh_clock_monotonic_us(self->store.env->clock)) {
        return FH_DEADLINE;
    }
    switch (request->op) {
    case FH_OP_GET:
        return do_get(self, request);
    case FH_OP_LIST:
        return do_list(self, request);
    case FH_OP_COMMIT:
        return do_commit(self, request);
    case FH_OP_EVENTS:
        return do_events(self, request);
    case FH_OP_HOME_CREATE:
        return fh_mem_home_op_create(&self->data, self->homes_max, request);
    case FH_OP_HOME_ERASE:
        return fh_mem_home_op_erase(&self->data, request);
    case FH_OP_FENCE_READ:
    case FH_OP_FENCE_SET:
        return fh_mem_home_op_fence(&self->data, request);
    case FH_OP_SCHEMA_APPLY:
        return fh_mem_schema_apply(&self->data, request,
                                   fh_clock_realtime_us(self->store.env->clock));
    case FH_OP_CHECK:
        return do_check(request);
    case FH_OP_CREDENTIAL:
        return fh_error_set(&request->error, FH_UNIMPLEMENTED, "memory has no logins");
    default:
        return do_move(self, request);
    }
}

static void idle_closed_cb(uv_handle_t *handle)
{
    struct mem_store *self = handle->data;
    fh_store_closed_cb *closed_cb = self->closed_cb;
    void *arg = self->closed_arg;
    fh_mem_views_close(&self->data, &self->views);
    fh_mem_data_close(&self->data);
    fh_free(self);
    closed_cb(arg);
}

static void idle_cb(uv_idle_t *handle)
{
    struct mem_store *self = handle->data;
    /* What callbacks submit waits for the next turn, so that one turn is bounded by the queue. */
    for (uint32_t batch = self->queued; batch > 0; batch--) {
        struct fh_request *request =
            FH_CONTAINER_OF(fh_list_pop_front(&self->queue), struct fh_request, node);
        self->queued--;
        fh_request_complete(request, execute(self, request));
    }
    if (self->queued == 0) {
        uv_idle_stop(&self->idle);
        if (self->store.closing && !uv_is_closing((uv_handle_t *)&self->idle)) {
            uv_close((uv_handle_t *)&self->idle, idle_closed_cb);
        }
    }
}

static enum fh_code mem_open(const struct fh_env *env, const struct fh_store_config *config,
                             struct fh_store **out, struct fh_error *error)
{
    struct mem_store *self = fh_calloc(1, sizeof(*self));
    if (self == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    fh_store_init(&self->store, &fh_store_mem_ops, env, config);
    fh_mem_data_init(&self->data);
    fh_list_init(&self->queue);
    self->queue_max = config->queue_max > 0 ? config->queue_max : QUEUE_MAX_DEFAULT;
    self->homes_max = config->homes_max > 0 ? config->homes_max : FH_MEM_SCHEMA_HOMES_MAX;
    int rc = uv_idle_init(env->loop, &self->idle);
    FH_ASSERT(rc == 0); /* it cannot fail */
    self->idle.data = self;
    *out = &self->store;
    return FH_OK;
}

static enum fh_code mem_submit(struct fh_store *store, struct fh_request *request)
{
    struct mem_store *self = self_of(store);
    if (self->queued == self->queue_max) {
        return FH_FULL;
    }
    fh_list_push_back(&self->queue, &request->node);
    self->queued++;
    int rc = uv_idle_start(&self->idle, idle_cb);
    FH_ASSERT(rc == 0);
    return FH_OK;
}

static void mem_cancel(struct fh_store *store, struct fh_request *request)
{
    (void)store;
    request->engine = &cancelled_mark;
}

static void mem_stats(const struct fh_store *store, struct fh_store_stats *out)
{
    *out = store->counters;
    out->queued = ((const struct mem_store *)store)->queued;
}

static void mem_close(struct fh_store *store, fh_store_closed_cb *closed_cb, void *arg)
{
    struct mem_store *self = self_of(store);
    FH_ASSERT(!store->closing);
    store->closing = true;
    self->closed_cb = closed_cb;
    self->closed_arg = arg;
    if (self->queued == 0 && !uv_is_active((uv_handle_t *)&self->idle)) {
        uv_close((uv_handle_t *)&self->idle, idle_closed_cb);
    }
}

const struct fh_store_ops fh_store_mem_ops = {
    .engine = "memory",
    .capabilities = FH_CAPABILITY_SHARED | FH_CAPABILITY_SCHEMA | FH_CAPABILITY_DATABASE |
                    FH_CAPABILITY_COPY_WITHIN,
    .open = mem_open,
    .submit = mem_submit,
    .preview = fh_mem_schema_preview,
    .cancel = mem_cancel,
    .stats = mem_stats,
    .close = mem_close};
