/* Happy path: a request is wrapped in an operation of ours, its copy goes to the wrapped store, and
 * what that answers is copied back and completed. What will go wrong is drawn when the request
 * comes in, so that a seed and an order of requests give one run.
 *
 * Completions that do not come from the wrapped store, or come late, wait on a list that an idle
 * handle walks once a loop turn. Limits: OPERATIONS_MAX requests at a time, then FH_FULL.
 */
#include "stores/fault/fault.h"

#include "base/alloc.h"
#include "base/assert.h"

#define OPERATIONS_MAX 65536
#define PPM 1000000
#define DELAY_TURNS_MAX 8

struct fault_store {
    struct fh_store store; /* first */
    struct fh_store_ops ops;
    struct fh_store *wrapped;
    struct fh_fault_plan plan;
    uint64_t random;
    struct fh_list waiting; /* operations to complete in a later turn */
    uv_idle_t idle;         /* active while the list is not empty */
    fh_store_closed_cb *closed_cb;
    void *closed_arg;
};

struct operation {
    struct fh_list node;
    struct fault_store *self;
    struct fh_request *outer;
    struct fh_request inner;
    enum fh_code code;  /* to complete with, once waiting */
    unsigned turns;     /* to wait still */
    bool lose_answer;   /* executed, then FH_OUTCOME_UNKNOWN */
    bool change_tenant; /* of one returned row */
    uint64_t which;     /* of them */
};

/* splitmix64 (Steele, Lea and Flood, 2014): one state word, good enough to draw faults. */
static uint64_t draw(struct fault_store *self)
{
    self->random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = self->random;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static bool happens(struct fault_store *self, uint32_t ppm)
{
    return draw(self) % PPM < ppm;
}

static void idle_closed_cb(uv_handle_t *handle)
{
    struct fault_store *self = handle->data;
    fh_store_closed_cb *closed_cb = self->closed_cb;
    void *arg = self->closed_arg;
    fh_free(self);
    closed_cb(arg);
}

static void finish_close(struct fault_store *self)
{
    uv_handle_t *idle = (uv_handle_t *)&self->idle;
    if (self->store.closing && self->store.counters.in_flight == 0 && !uv_is_closing(idle)) {
        uv_close(idle, idle_closed_cb);
    }
}

static void complete(struct operation *operation)
{
    struct fault_store *self = operation->self;
    struct fh_request *outer = operation->outer;
    enum fh_code code = operation->code;
    fh_free(operation);
    fh_request_complete(outer, code);
    finish_close(self);
}

static void idle_cb(uv_idle_t *handle)
{
    struct fault_store *self = handle->data;
    struct fh_list due;
    fh_list_init(&due);
    struct fh_list *next = NULL;
    for (struct fh_list *node = self->waiting.next; node != &self->waiting; node = next) {
        next = node->next;
        struct operation *operation = FH_CONTAINER_OF(node, struct operation, node);
        if (operation->turns-- == 0) {
            fh_list_remove(node);
            fh_list_push_back(&due, node);
        }
    }
    if (fh_list_empty(&self->waiting)) {
        uv_idle_stop(&self->idle);
    }
    struct fh_list *node = NULL;
    while ((node = fh_list_pop_front(&due)) != NULL) {
        complete(FH_CONTAINER_OF(node, struct operation, node));
    }
}

static void wait_turns(struct operation *operation, unsigned turns)
{
    operation->turns = turns;
    fh_list_push_back(&operation->self->waiting, &operation->node);
    if (!uv_is_closing((uv_handle_t *)&operation->self->idle)) {
        int rc = uv_idle_start(&operation->self->idle, idle_cb);
        FH_ASSERT(rc == 0);
    }
}

/* Gives one of the rows to somebody else. */
static void change_tenant(struct operation *operation)
{
    const struct fh_request *inner = &operation->inner;
    struct fh_row *const *rows = NULL;
    size_t count = 0;
    if (inner->op == FH_OP_GET) {
        rows = inner->as.get.rows;
        count = inner->as.get.count;
    } else if (inner->op == FH_OP_LIST) {
        rows = inner->as.list.rows;
        count = inner->as.list.count;
    } else if (inner->op == FH_OP_EVENTS && inner->as.events.count > 0) {
        inner->as.events.records[operation->which % inner->as.events.count].tenant.bytes[0] ^= 0xff;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct fh_row *row = rows[(operation->which + i) % count];
        if (row != NULL) {
            row->tenant.bytes[0] ^= 0xff;
            return;
        }
    }
}

static void inner_done_cb(struct fh_request *inner)
{
    struct operation *operation = inner->arg;
    struct fh_request *outer = operation->outer;
    operation->code = inner->code;
    if (operation->lose_answer && inner->code == FH_OK) {
        operation->code = FH_OUTCOME_UNKNOWN;
    }
    if (operation->change_tenant && inner->code == FH_OK) {
        change_tenant(operation);
    }
    outer->as = inner->as;
    outer->error = inner->error;
    outer->epoch_seen = inner->epoch_seen;
    outer->mode_seen = inner->mode_seen;
    if (operation->turns > 0) {
        wait_turns(operation, operation->turns);
        return;
    }
    complete(operation);
}

static enum fh_code fault_open(const struct fh_env *env, const struct fh_store_config *config,
                               struct fh_store **out, struct fh_error *error)
{
    (void)env;
    (void)config;
    (void)out;
    return fh_error_set(error, FH_UNIMPLEMENTED, "a fault store wraps another: create it");
}

static enum fh_code pass_on(struct operation *operation)
{
    struct fh_request *outer = operation->outer;
    struct fh_request *inner = &operation->inner;
    inner->op = outer->op;
    inner->scope = outer->scope;
    inner->deadline_us = outer->deadline_us;
    inner->arena = outer->arena;
    inner->as = outer->as;
    inner->done_cb = inner_done_cb;
    inner->arg = operation;
    enum fh_code code = fh_store_submit(operation->self->wrapped, inner);
    if (code != FH_OK) {
        outer->error = inner->error;
    }
    return code;
}

static enum fh_code fault_submit(struct fh_store *store, struct fh_request *request)
{
    struct fault_store *self = (struct fault_store *)store;
    const struct fh_fault_plan *plan = &self->plan;
    bool commits = request->op == FH_OP_COMMIT;
    /* All drawn for every request, so that one fault does not shift the others. */
    bool refuse = happens(self, plan->refuse_ppm);
    bool unavailable = happens(self, plan->unavailable_ppm);
    bool unknown_before = happens(self, plan->unknown_before_ppm) && commits;
    bool unknown_after = happens(self, plan->unknown_after_ppm) && commits;
    bool delay = happens(self, plan->delay_ppm);
    bool foreign = happens(self, plan->foreign_row_ppm);
    uint64_t which = draw(self);
    if (refuse || store->counters.in_flight >= OPERATIONS_MAX) {
        return FH_FULL;
    }
    struct operation *operation = fh_calloc(1, sizeof(*operation));
    if (operation == NULL) {
        return FH_NOMEM;
    }
    operation->self = self;
    operation->outer = request;
    operation->lose_answer = unknown_after;
    operation->change_tenant = foreign;
    operation->which = which;
    operation->turns = delay ? 1 + (unsigned)(which % DELAY_TURNS_MAX) : 0;
    request->engine = operation;
    if (unavailable || unknown_before) {
        operation->code = unavailable ? FH_UNAVAILABLE : FH_OUTCOME_UNKNOWN;
        wait_turns(operation, operation->turns);
        return FH_OK;
    }
    enum fh_code code = pass_on(operation);
    if (code != FH_OK) {
        request->engine = NULL;
        fh_free(operation);
    }
    return code;
}

static void fault_cancel(struct fh_store *store, struct fh_request *request)
{
    struct fault_store *self = (struct fault_store *)store;
    struct operation *operation = request->engine;
    if (operation != NULL && operation->inner.phase == FH_REQUEST_IN_FLIGHT) {
        fh_store_cancel(self->wrapped, &operation->inner);
    }
}

static void fault_stats(const struct fh_store *store, struct fh_store_stats *out)
{
    *out = store->counters;
}

static void fault_close(struct fh_store *store, fh_store_closed_cb *closed_cb, void *arg)
{
    struct fault_store *self = (struct fault_store *)store;
    FH_ASSERT(!store->closing);
    store->closing = true;
    self->closed_cb = closed_cb;
    self->closed_arg = arg;
    finish_close(self);
}

enum fh_code fh_store_fault_create(const struct fh_env *env, struct fh_store *wrapped,
                                   const struct fh_fault_plan *plan, struct fh_store **out)
{
    struct fault_store *self = fh_calloc(1, sizeof(*self));
    if (self == NULL) {
        return FH_NOMEM;
    }
    self->ops = (struct fh_store_ops){.engine = "fault",
                                      .capabilities = wrapped->ops->capabilities,
                                      .open = fault_open,
                                      .submit = fault_submit,
                                      .cancel = fault_cancel,
                                      .stats = fault_stats,
                                      .close = fault_close};
    struct fh_store_config config = {.name = wrapped->name, .faults = wrapped->faults};
    fh_store_init(&self->store, &self->ops, env, &config);
    self->wrapped = wrapped;
    fh_list_init(&self->waiting);
    int rc = uv_idle_init(env->loop, &self->idle);
    FH_ASSERT(rc == 0); /* it cannot fail */
    self->idle.data = self;
    fh_store_fault_set_plan(&self->store, plan);
    *out = &self->store;
    return FH_OK;
}

void fh_store_fault_set_plan(struct fh_store *store, const struct fh_fault_plan *plan)
{
    struct fault_store *self = (struct fault_store *)store;
    self->plan = *plan;
    self->random = plan->seed;
}
