/* Happy path: a request is wrapped in an operation of ours, its copy goes to the wrapped store, and
 * what that answers is copied back and completed. What will go wrong is decided when the request
 * comes in, by the first aim that meets it or else by drawing, so that a seed and an order of
 * requests give one run.
 *
 * Completions that do not come from the wrapped store, or come late, wait on a list that an idle
 * handle walks once a loop turn; what is held is on another list until it is released. Limits:
 * OPERATIONS_MAX requests at a time, then FH_FULL.
 */
#include "stores/fault/fault.h"

#include "base/alloc.h"
#include "base/assert.h"

#define OPERATIONS_MAX 65536
#define PPM 1000000
#define DELAY_TURNS_MAX 8
#define OPS_MAX 64 /* bits of a set */
_Static_assert(FH_OP_COPY_WITHIN < OPS_MAX, "an operation has a bit in a set of them");

struct fault_store {
    struct fh_store store; /* first */
    struct fh_store_ops ops;
    struct fh_store *wrapped;
    struct fh_fault_plan plan;
    uint64_t random;
    struct fh_fault_aim aims[FH_FAULT_AIMS_MAX]; /* `nth` counts down */
    size_t aim_count;
    uint64_t seen[OPS_MAX]; /* requests, by operation */
    size_t held_count;
    struct fh_list held;
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
    enum fh_code code;    /* to complete with, once waiting */
    unsigned turns;       /* to wait still */
    enum fh_code instead; /* executed, then this where that was FH_OK; FH_OK: the truth */
    bool hold_before;     /* held when it is still to be executed */
    bool hold_after;      /* held when it was */
    bool change_tenant;   /* of one returned row */
    uint64_t which;       /* of them */
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

static void hold(struct operation *operation)
{
    fh_list_push_back(&operation->self->held, &operation->node);
    operation->self->held_count++;
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
    } else if (inner->op == FH_OP_SCAN) {
        rows = inner->as.scan.rows;
        count = inner->as.scan.count;
    } else if (inner->op == FH_OP_CHANGES) {
        rows = inner->as.changes.rows;
        count = inner->as.changes.key_count;
    } else if (inner->op == FH_OP_EVENTS && inner->as.events.count > 0) {
        inner->as.events.records[operation->which % inner->as.events.count].tenant.bytes[0] ^= 0xff;
        return;
    } else if (inner->op == FH_OP_SCAN_JOURNAL && inner->as.scan_journal.count > 0) {
        const struct fh_op_scan_journal *scan = &inner->as.scan_journal;
        scan->rows[operation->which % scan->count].tenant.bytes[0] ^= 0xff;
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
    if (inner->code == FH_OK && operation->instead != FH_OK) {
        operation->code = operation->instead;
    }
    if (operation->change_tenant && inner->code == FH_OK) {
        change_tenant(operation);
    }
    outer->as = inner->as;
    outer->error = inner->error;
    outer->epoch_seen = inner->epoch_seen;
    outer->mode_seen = inner->mode_seen;
    outer->version_seen = inner->version_seen;
    if (operation->hold_after && !operation->self->store.closing) {
        hold(operation);
        return;
    }
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
    inner->probe = outer->probe;
    inner->as = outer->as;
    inner->done_cb = inner_done_cb;
    inner->arg = operation;
    enum fh_code code = fh_store_submit(operation->self->wrapped, inner);
    if (code != FH_OK) {
        outer->error = inner->error;
    }
    return code;
}

static enum fh_code code_or(enum fh_code code, enum fh_code otherwise)
{
    return code != FH_OK ? code : otherwise;
}

/* Every aim at the operation counts; the first that comes to its request has it. */
static bool meet_aim(struct fault_store *self, enum fh_op op, struct fh_fault_aim *out)
{
    bool met = false;
    size_t kept = 0;
    for (size_t i = 0; i < self->aim_count; i++) {
        struct fh_fault_aim aim = self->aims[i];
        if ((aim.ops & FH_FAULT_OP(op)) != 0) {
            aim.nth -= aim.nth > 1 || !met; /* two for one request: the later has the next one */
            if (aim.nth == 0) {
                *out = aim;
                met = true;
                continue;
            }
        }
        self->aims[kept++] = aim;
    }
    self->aim_count = kept;
    return met;
}

/* What happens to a request; FH_OK with nothing set: nothing. */
struct fate {
    enum fh_code refusal;
    enum fh_code before; /* not FH_OK: completes with it, not executed */
    enum fh_code after;
    bool hold_before;
    bool hold_after;
    bool foreign;
    unsigned turns;
    uint64_t which;
};

/* A view is opened and known, or not opened; and closed whatever its caller hears. */
static enum fh_fault_kind kind_for(enum fh_fault_kind kind, enum fh_op op)
{
    if (op == FH_OP_SNAPSHOT_OPEN && kind == FH_FAULT_FAIL_AFTER) {
        return FH_FAULT_FAIL_BEFORE;
    }
    if (op == FH_OP_SNAPSHOT_CLOSE && kind == FH_FAULT_FAIL_BEFORE) {
        return FH_FAULT_FAIL_AFTER;
    }
    return kind;
}

static struct fate aimed_fate(const struct fh_fault_aim *aim, enum fh_op op)
{
    struct fate fate = {.refusal = FH_OK};
    enum fh_code silent = aim->kind == FH_FAULT_FAIL_BEFORE ? FH_UNAVAILABLE : FH_OUTCOME_UNKNOWN;
    switch (kind_for(aim->kind, op)) {
    case FH_FAULT_REFUSE:
        fate.refusal = code_or(aim->code, FH_FULL);
        break;
    case FH_FAULT_FAIL_BEFORE:
        fate.before = code_or(aim->code, silent);
        break;
    case FH_FAULT_FAIL_AFTER:
        fate.after = code_or(aim->code, silent);
        break;
    case FH_FAULT_HOLD_BEFORE:
        fate.hold_before = true;
        break;
    case FH_FAULT_HOLD_AFTER:
        fate.hold_after = true;
        break;
    }
    return fate;
}

static struct fate drawn_fate(struct fault_store *self, enum fh_op op)
{
    const struct fh_fault_plan *plan = &self->plan;
    bool writes =
        op == FH_OP_COMMIT || op == FH_OP_APPLY || op == FH_OP_COPY_WITHIN || op == FH_OP_FENCE_SET;
    struct fate fate = {.refusal = FH_OK};
    /* All drawn for every request, so that one fault does not shift the others. */
    bool refuse = happens(self, plan->refuse_ppm);
    bool unavailable = happens(self, plan->unavailable_ppm);
    bool unknown_before = happens(self, plan->unknown_before_ppm) && writes;
    bool unknown_after = happens(self, plan->unknown_after_ppm) && writes;
    bool delay = happens(self, plan->delay_ppm);
    bool foreign = happens(self, plan->foreign_row_ppm);
    fate.which = draw(self);
    if (op == FH_OP_SNAPSHOT_CLOSE) {
        return fate;
    }
    fate.refusal = refuse ? FH_FULL : FH_OK;
    fate.before = unavailable ? FH_UNAVAILABLE : unknown_before ? FH_OUTCOME_UNKNOWN : FH_OK;
    fate.after = unknown_after ? FH_OUTCOME_UNKNOWN : FH_OK;
    fate.foreign = foreign;
    fate.turns = delay ? 1 + (unsigned)(fate.which % DELAY_TURNS_MAX) : 0;
    return fate;
}

static enum fh_code fault_submit(struct fh_store *store, struct fh_request *request)
{
    struct fault_store *self = (struct fault_store *)store;
    struct fh_fault_aim aim;
    self->seen[request->op]++;
    struct fate fate = drawn_fate(self, request->op);
    if (meet_aim(self, request->op, &aim)) {
        fate = aimed_fate(&aim, request->op);
    }
    if (fate.refusal != FH_OK) {
        return fate.refusal;
    }
    if (store->counters.in_flight >= OPERATIONS_MAX && request->op != FH_OP_SNAPSHOT_CLOSE) {
        return FH_FULL;
    }
    struct operation *operation = fh_calloc(1, sizeof(*operation));
    if (operation == NULL) {
        return FH_NOMEM;
    }
    operation->self = self;
    operation->outer = request;
    operation->instead = fate.after;
    operation->hold_before = fate.hold_before;
    operation->hold_after = fate.hold_after;
    operation->change_tenant = fate.foreign;
    operation->which = fate.which;
    operation->turns = fate.turns;
    request->engine = operation;
    if (fate.before != FH_OK) {
        operation->code = fate.before;
        wait_turns(operation, operation->turns);
        return FH_OK;
    }
    if (fate.hold_before) {
        hold(operation);
        return FH_OK;
    }
    enum fh_code code = pass_on(operation);
    if (code != FH_OK) {
        request->engine = NULL;
        fh_free(operation);
    }
    return code;
}

/* Off the list of those held, which it is on. */
static void let_go(struct operation *operation, enum fh_code code)
{
    fh_list_remove(&operation->node);
    operation->self->held_count--;
    if (operation->hold_before && code == FH_OK) {
        operation->hold_before = false;
        code = pass_on(operation);
        if (code == FH_OK) {
            return;
        }
    }
    if (operation->hold_before || code != FH_OK) {
        operation->code = code;
    }
    wait_turns(operation, operation->turns);
}

static void fault_cancel(struct fh_store *store, struct fh_request *request)
{
    struct fault_store *self = (struct fault_store *)store;
    struct operation *operation = request->engine;
    if (operation == NULL) {
        return;
    }
    if (operation->inner.phase == FH_REQUEST_IN_FLIGHT) {
        fh_store_cancel(self->wrapped, &operation->inner);
    } else if (operation->hold_before) {
        let_go(operation, FH_CANCELLED);
        operation->hold_before = false; /* cancelling twice is once */
    }
}

static void fault_stats(const struct fh_store *store, struct fh_store_stats *out)
{
    *out = store->counters;
}

/* `unexecuted`: for what was not executed yet, instead of executing it; FH_OK: execute it. */
static void release(struct fault_store *self, enum fh_code unexecuted)
{
    while (!fh_list_empty(&self->held)) {
        struct operation *operation = FH_CONTAINER_OF(self->held.next, struct operation, node);
        let_go(operation, operation->hold_before ? unexecuted : FH_OK);
    }
}

static void fault_close(struct fh_store *store, fh_store_closed_cb *closed_cb, void *arg)
{
    struct fault_store *self = (struct fault_store *)store;
    FH_ASSERT(!store->closing);
    store->closing = true;
    self->closed_cb = closed_cb;
    self->closed_arg = arg;
    release(self, FH_SHUTTING_DOWN);
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
                                      .preview = wrapped->ops->preview,
                                      .cancel = fault_cancel,
                                      .stats = fault_stats,
                                      .close = fault_close};
    struct fh_store_config config = {.name = wrapped->name, .faults = wrapped->faults};
    fh_store_init(&self->store, &self->ops, env, &config);
    self->store.passes_on = true;
    self->wrapped = wrapped;
    fh_list_init(&self->held);
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

enum fh_code fh_store_fault_aim(struct fh_store *store, const struct fh_fault_aim *aim)
{
    struct fault_store *self = (struct fault_store *)store;
    if (aim->ops == 0 || aim->kind < FH_FAULT_REFUSE || aim->kind > FH_FAULT_HOLD_AFTER) {
        return FH_INVALID;
    }
    if (self->aim_count == FH_FAULT_AIMS_MAX) {
        return FH_FULL;
    }
    self->aims[self->aim_count] = *aim;
    if (aim->nth == 0) {
        self->aims[self->aim_count].nth = 1;
    }
    self->aim_count++;
    return FH_OK;
}

void fh_store_fault_clear_aims(struct fh_store *store)
{
    ((struct fault_store *)store)->aim_count = 0;
}

size_t fh_store_fault_aims(const struct fh_store *store)
{
    return ((const struct fault_store *)store)->aim_count;
}

size_t fh_store_fault_held(const struct fh_store *store)
{
    return ((const struct fault_store *)store)->held_count;
}

void fh_store_fault_release(struct fh_store *store)
{
    release((struct fault_store *)store, FH_OK);
}

uint64_t fh_store_fault_count(const struct fh_store *store, uint64_t ops)
{
    const struct fault_store *self = (const struct fault_store *)store;
    uint64_t count = 0;
    for (unsigned op = 0; op < OPS_MAX; op++) {
        count += (ops & FH_FAULT_OP(op)) != 0 ? self->seen[op] : 0;
    }
    return count;
}
