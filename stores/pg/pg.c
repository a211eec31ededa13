/* Happy path: submit queues an op on its lane, the dispatcher sends it before the loop polls, its
 * last result completes it.
 *
 * Failures: a full queue refuses (FH_FULL); a passed deadline ends the op, whatever its connection
 * still brings (an unanswered commit that way is FH_OUTCOME_UNKNOWN). Close waits for the ops, then
 * for every handle's close callback.
 */
#include "stores/pg/pg.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "stores/pg/admin_sql.h"
#include "stores/pg/engine.h"
#include "stores/pg/preview.h"

#define TICK_MS 10
#define CONNECTIONS_DEFAULT 4
#define QUEUE_DEFAULT 4096
#define VIEW_IDLE_MS_MIN 100
#define HOMES_DEFAULT 1000

static struct fh_pg_store *pg_of(struct fh_store *store)
{
    return FH_CONTAINER_OF(store, struct fh_pg_store, store);
}

static void idle_cb(uv_idle_t *handle)
{
    (void)handle; /* being active is its work: the loop does not sleep */
}

static void handle_closed_cb(uv_handle_t *handle)
{
    fh_pg_store_handle_closed(handle->data);
}

/* Everything has completed: connections and handles go. */
static void tear_down(struct fh_pg_store *pg)
{
    pg->torn_down = true;
    fh_pg_provision_stop(pg);
    for (int i = 0; i < FH_PG_LANE_COUNT; i++) {
        for (unsigned k = 0; k < pg->lanes[i].count; k++) { /* views end with them */
            fh_pg_conn_close(&pg->lanes[i].conns[k]);
            fh_pg_conn_free(&pg->lanes[i].conns[k]);
        }
    }
    uv_close((uv_handle_t *)&pg->tick, handle_closed_cb);
    uv_close((uv_handle_t *)&pg->session_timer, handle_closed_cb);
    uv_close((uv_handle_t *)&pg->idle, handle_closed_cb);
    uv_close((uv_handle_t *)&pg->dispatcher, handle_closed_cb);
}

void fh_pg_store_handle_closed(struct fh_pg_store *pg)
{
    FH_ASSERT(pg->handles > 0);
    pg->handles--;
    if (pg->handles > 0 || !pg->torn_down) {
        return;
    }
    fh_store_closed_cb *closed_cb = pg->closed_cb;
    void *arg = pg->closed_arg;
    fh_pg_sessions_close(&pg->sessions);
    fh_pg_statements_close(&pg->statements);
    fh_pg_params_close(&pg->params);
    fh_buf_close(&pg->scratch);
    fh_pg_conninfo_close(&pg->serving);
    fh_pg_conninfo_close(&pg->owner);
    fh_free(pg);
    closed_cb(arg);
}

static void expire(struct fh_pg_op *op, enum fh_code code)
{
    if (op->conn != NULL) {
        fh_pg_conn_forget_op(op->conn, op);
        op->conn = NULL;
        code = op->commits ? FH_OUTCOME_UNKNOWN : code;
    } else if (op->waits) {
        fh_pg_database_leave(op);
    } else {
        struct fh_pg_lane *lane = &op->store->lanes[op->lane];
        fh_list_remove(&op->node);
        lane->queued--;
    }
    fh_pg_op_finish(op, code);
}

/* Ends ops whose deadline passed or whose caller went away. */
static void sweep(struct fh_pg_store *pg)
{
    int64_t now = fh_clock_monotonic_us(pg->store.env->clock);
    if (now < pg->deadline_next_us) {
        return;
    }
    int64_t next = INT64_MAX;
    struct fh_list *node = pg->active.next;
    pg->deadline_next_us = INT64_MAX; /* callbacks below may submit or cancel, and lower it */
    while (node != &pg->active) {
        struct fh_pg_op *op = FH_CONTAINER_OF(node, struct fh_pg_op, active);
        node = node->next; /* stays valid: no op ends inside another's callback */
        if (op->working) {
            continue; /* its thread has the same deadline */
        }
        if (op->request->deadline_us <= now) {
            expire(op, FH_DEADLINE);
        } else if (op->cancelled && !(op->conn != NULL && op->commits)) {
            expire(op, FH_CANCELLED);
        } else if (op->request->deadline_us < next) {
            next = op->request->deadline_us;
        }
    }
    if (next < pg->deadline_next_us) {
        pg->deadline_next_us = next;
    }
}

static bool is_opening(const struct fh_pg_store *pg)
{
    for (int i = 0; i < FH_PG_LANE_COUNT; i++) {
        if (!fh_pg_lane_is_idle(&pg->lanes[i])) {
            return true;
        }
    }
    return false;
}

static void idle_out_cb(uv_timer_t *timer)
{
    struct fh_pg_store *pg = timer->data;
    if (!pg->torn_down && !pg->ticking) {
        fh_pg_database_idle(pg);
    }
}

static void tick_cb(uv_timer_t *timer)
{
    struct fh_pg_store *pg = timer->data;
    sweep(pg);
    for (int i = 0; i < FH_PG_LANE_COUNT; i++) {
        fh_pg_lane_tick(&pg->lanes[i], uv_now(pg->store.env->loop));
    }
    if (pg->active_count == 0 && !is_opening(pg)) {
        (void)uv_timer_stop(&pg->tick);
        pg->ticking = false;
        if (pg->parent != NULL) {
            (void)uv_timer_start(&pg->tick, idle_out_cb, pg->database_idle_ms, 0);
        }
    }
}

static void dispatch_cb(uv_prepare_t *handle)
{
    struct fh_pg_store *pg = handle->data;
    (void)uv_prepare_stop(&pg->dispatcher);
    (void)uv_idle_stop(&pg->idle);
    fh_pg_databases_dispatch(pg);
    for (int i = 0; i < FH_PG_LANE_COUNT; i++) {
        fh_pg_lane_dispatch(&pg->lanes[i]);
    }
    if (pg->store.closing && pg->active_count == 0) {
        fh_pg_databases_close(pg); /* here, not before: who waits still gets a place */
    }
    if (pg->store.closing && pg->active_count == 0 && pg->databases_closing == 0 &&
        !pg->torn_down) {
        tear_down(pg);
    } else if (!pg->ticking && (pg->active_count > 0 || is_opening(pg))) {
        pg->ticking = uv_timer_start(&pg->tick, tick_cb, TICK_MS, TICK_MS) == 0;
    }
}

void fh_pg_store_kick(struct fh_pg_store *pg)
{
    if (!pg->torn_down) {
        (void)uv_idle_start(&pg->idle, idle_cb);
        (void)uv_prepare_start(&pg->dispatcher, dispatch_cb);
    }
}

static enum fh_code parse_config(struct fh_pg_store *pg, const struct fh_store_config *config,
                                 struct fh_error *error)
{
    enum fh_code code = fh_pg_conninfo_parse(config->location, "location", &pg->serving, error);
    if (code == FH_OK && config->owner_location != NULL) {
        code = fh_pg_conninfo_parse(config->owner_location, "owner_location", &pg->owner, error);
        pg->has_owner = code == FH_OK;
    }
    if (code == FH_OK && config->connections_max > FH_PG_FAST_MAX) {
        code = fh_error_set(error, FH_INVALID, "connections_max is at most %d", FH_PG_FAST_MAX);
    }
    pg->homes_max = config->homes_max > 0 ? config->homes_max : HOMES_DEFAULT;
    pg->databases_max =
        config->open_homes_max > 0 ? config->open_homes_max : FH_PG_DATABASES_DEFAULT;
    pg->database_idle_ms = FH_PG_DATABASE_IDLE_MS;
    pg->has_secret = config->secret != NULL;
    if (config->secret != NULL) {
        memcpy(pg->secret, config->secret, sizeof(pg->secret));
    }
    pg->view_idle_ms = (uint32_t)(FH_SNAPSHOT_IDLE_MAX_US / 1000);
#ifdef FREEHOLD_FAULTS
    pg->may_bypass = config->faults != NULL && config->faults->skip_enforcement;
    const char *general = getenv("FREEHOLD_PG_GENERAL_ONLY");
    pg->general_only = general != NULL && general[0] == '1';
    const char *idle = getenv("FREEHOLD_PG_VIEW_IDLE_MS");
    long long idle_ms = 0;
    if (idle != NULL && fh_str_to_int64(fh_str_of(idle), &idle_ms) && idle_ms >= VIEW_IDLE_MS_MIN &&
        idle_ms < pg->view_idle_ms) {
        pg->view_idle_ms = (uint32_t)idle_ms;
    }
#endif
    return code;
}

static void init_lanes(struct fh_pg_store *pg, unsigned fast, unsigned slow)
{
    unsigned owners = pg->parent != NULL ? 1 : FH_PG_OWNER_MAX;
    owners = pg->has_owner ? owners : 0;
    fh_pg_lane_init(&pg->lanes[FH_PG_LANE_FAST], pg, FH_PG_LANE_FAST, &pg->serving, fast, 0);
    fh_pg_lane_init(&pg->lanes[FH_PG_LANE_SLOW], pg, FH_PG_LANE_SLOW, &pg->serving, slow, fast);
    fh_pg_lane_init(&pg->lanes[FH_PG_LANE_OWNER], pg, FH_PG_LANE_OWNER, &pg->owner, owners,
                    fast + slow);
    fh_pg_lane_init(&pg->lanes[FH_PG_LANE_MOVER], pg, FH_PG_LANE_MOVER, &pg->serving,
                    FH_PG_MOVER_MAX + FH_SNAPSHOTS_MAX, fast + slow + owners);
}

/* Everything but configuration and lanes; cannot fail. */
static void init_store(struct fh_pg_store *pg, const struct fh_env *env)
{
    fh_list_init(&pg->active);
    fh_list_init(&pg->databases);
    fh_list_init(&pg->waiting);
    fh_list_init(&pg->node);
    pg->deadline_next_us = INT64_MAX;
    fh_pg_statements_init(&pg->statements);
    fh_pg_params_init(&pg->params);
    fh_buf_init(&pg->scratch, FH_PG_PARAMS_BYTES_MAX);
    fh_pg_sessions_init(&pg->sessions);
    (void)uv_timer_init(env->loop, &pg->tick);
    (void)uv_timer_init(env->loop, &pg->session_timer);
    uv_unref((uv_handle_t *)&pg->session_timer);
    (void)uv_idle_init(env->loop, &pg->idle);
    (void)uv_prepare_init(env->loop, &pg->dispatcher);
    pg->tick.data = pg;
    pg->session_timer.data = pg;
    pg->idle.data = pg;
    pg->dispatcher.data = pg;
    pg->handles = 4;
}

static enum fh_code pg_open(const struct fh_env *env, const struct fh_store_config *config,
                            struct fh_store **out, struct fh_error *error)
{
    struct fh_pg_store *pg = fh_calloc(1, sizeof(*pg));
    if (pg == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    enum fh_code code = parse_config(pg, config, error);
    if (code != FH_OK) {
        fh_pg_conninfo_close(&pg->serving);
        fh_pg_conninfo_close(&pg->owner);
        fh_free(pg);
        return code;
    }
    fh_store_init(&pg->store, &fh_store_pg_ops, env, config);
    pg->queue_max = config->queue_max > 0 ? config->queue_max : QUEUE_DEFAULT;
    init_store(pg, env);
    unsigned fast = config->connections_max > 0 ? config->connections_max : CONNECTIONS_DEFAULT;
    init_lanes(pg, fast, FH_PG_SLOW_MAX);
    *out = &pg->store;
    return FH_OK;
}

enum fh_code fh_pg_store_make_child(struct fh_pg_store *pg, const struct fh_home *home,
                                    struct fh_pg_store **out)
{
    char role[FH_PG_ROLE_SIZE];
    char password[FH_PG_PASSWORD_SIZE] = "";
    struct fh_pg_store *child = fh_calloc(1, sizeof(*child));
    if (child == NULL) {
        return FH_NOMEM;
    }
    fh_pg_admin_role(home, false, role);
    enum fh_code code = FH_OK;
    if (pg->has_secret) {
        code = fh_pg_login_password(pg->secret, home, password);
    }
    if (code == FH_OK) {
        code = fh_pg_conninfo_derive(&pg->serving, home->name, pg->may_bypass ? NULL : role,
                                     password, &child->serving);
    }
    if (code == FH_OK && pg->has_owner) {
        code = fh_pg_conninfo_derive(&pg->owner, home->name, NULL, NULL, &child->owner);
        child->has_owner = code == FH_OK;
    }
    if (code != FH_OK) {
        fh_pg_conninfo_close(&child->serving);
        fh_free(child);
        return code;
    }
    child->store = pg->store; /* name, environment, faults */
    child->store.closing = false;
    memset(&child->store.counters, 0, sizeof(child->store.counters));
    child->parent = pg;
    child->home = *home;
    child->queue_max = pg->queue_max;
    child->may_bypass = pg->may_bypass;
    child->general_only = pg->general_only;
    child->view_idle_ms = pg->view_idle_ms;
    child->database_idle_ms = pg->database_idle_ms;
    init_store(child, pg->store.env);
    init_lanes(child, FH_PG_DATABASE_FAST, FH_PG_DATABASE_SLOW);
    *out = child;
    return FH_OK;
}

static const struct fh_pg_op_kind *mover_kind_of(const struct fh_request *request)
{
    switch (request->op) {
    case FH_OP_SNAPSHOT_OPEN:
        return &fh_pg_view_open_kind;
    case FH_OP_SNAPSHOT_CLOSE:
        return &fh_pg_view_close_kind;
    case FH_OP_SCAN:
        return &fh_pg_scan_kind;
    case FH_OP_SCAN_JOURNAL:
        return &fh_pg_scan_journal_kind;
    case FH_OP_CHANGES:
        return &fh_pg_changes_kind;
    case FH_OP_TALLY:
        return &fh_pg_tally_kind;
    case FH_OP_APPLY:
        return &fh_pg_apply_kind;
    case FH_OP_MOVE_STATE:
        return &fh_pg_move_state_kind;
    case FH_OP_REFERENCES:
        return &fh_pg_references_kind;
    case FH_OP_SIZE:
        return &fh_pg_size_kind;
    default:
        return NULL;
    }
}

static const struct fh_pg_op_kind *
kind_of(const struct fh_pg_store *pg, const struct fh_request *request, enum fh_pg_lane_kind *lane)
{
    *lane = FH_PG_LANE_FAST;
    if (fh_pg_provision_suits(request)) {
        return &fh_pg_provision_kind;
    }
    switch (request->op) {
    case FH_OP_GET:
        return &fh_pg_get_kind;
    case FH_OP_LIST:
        *lane = request->as.list.limit > 100 ? FH_PG_LANE_SLOW : FH_PG_LANE_FAST;
        return &fh_pg_list_kind;
    case FH_OP_COMMIT:
        if (fh_pg_fast_suits(pg, request)) {
            return &fh_pg_fast_kind;
        }
        *lane = FH_PG_LANE_SLOW;
        return &fh_pg_commit_kind;
    case FH_OP_EVENTS:
        *lane = FH_PG_LANE_SLOW;
        return &fh_pg_events_kind;
    case FH_OP_HOME_CREATE:
        return &fh_pg_home_create_kind;
    case FH_OP_HOME_ERASE:
        *lane = FH_PG_LANE_SLOW;
        return &fh_pg_home_erase_kind;
    case FH_OP_FENCE_READ:
        return &fh_pg_fence_read_kind;
    case FH_OP_FENCE_SET: /* not behind long commits and pages of events */
        *lane = FH_PG_LANE_MOVER;
        return &fh_pg_fence_set_kind;
    case FH_OP_SCHEMA_APPLY:
        *lane = FH_PG_LANE_OWNER;
        return &fh_pg_schema_kind;
    case FH_OP_CHECK:
        *lane = FH_PG_LANE_SLOW;
        return &fh_pg_check_kind;
    case FH_OP_COPY_WITHIN: /* from one home to another: nobody else may */
        *lane = FH_PG_LANE_OWNER;
        return &fh_pg_copy_within_kind;
    default:
        *lane = FH_PG_LANE_MOVER;
        return mover_kind_of(request);
    }
}

/* To the thread, the lane, or the database that it is for. */
static enum fh_code enter(struct fh_pg_store *pg, struct fh_pg_op *op)
{
    const struct fh_home *home = &op->request->scope.home;
    if (op->kind == &fh_pg_provision_kind) {
        if (home->tier == FH_TIER_DATABASE && op->request->op == FH_OP_HOME_ERASE) {
            fh_pg_database_drop(pg, home); /* a database that is in use cannot be dropped */
        }
        return fh_pg_provision_start(op);
    }
    if (home->tier == FH_TIER_DATABASE) {
        enum fh_code code = fh_pg_database_get(pg, home, &op->store);
        if (code == FH_FULL) {
            return fh_pg_database_wait(op);
        }
        if (code != FH_OK) {
            return code;
        }
    }
    return fh_pg_op_enter(op);
}

static enum fh_code pg_submit(struct fh_store *store, struct fh_request *request)
{
    struct fh_pg_store *pg = pg_of(store);
    enum fh_pg_lane_kind lane = FH_PG_LANE_FAST;
    const struct fh_pg_op_kind *kind = kind_of(pg, request, &lane);
    if (kind == NULL) {
        return fh_error_set(&request->error, FH_UNIMPLEMENTED, "this store cannot do that");
    }
    if (lane == FH_PG_LANE_OWNER && !pg->has_owner) {
        return fh_error_set(&request->error, FH_PRECONDITION,
                            "the store has no owner_location: its schema cannot be changed");
    }
    struct fh_pg_op *op = FH_ARENA_NEW(request->arena, struct fh_pg_op);
    if (op == NULL) {
        return fh_error_set(&request->error, FH_NOMEM, "out of memory");
    }
    op->store = pg;
    op->request = request;
    op->kind = kind;
    op->lane = lane;
    fh_list_init(&op->node);
    enum fh_code code = enter(pg, op);
    if (code != FH_OK && request->error.code == FH_OK) {
        (void)fh_error_set(&request->error, code, "the store's queue is full");
    }
    if (code != FH_OK) {
        return code;
    }
    pg = op->store;
    fh_list_push_back(&pg->active, &op->active);
    pg->active_count++;
    if (request->deadline_us < pg->deadline_next_us) {
        pg->deadline_next_us = request->deadline_us;
    }
    request->engine = op;
    return FH_OK;
}

static void pg_cancel(struct fh_store *store, struct fh_request *request)
{
    struct fh_pg_op *op = request->engine;
    (void)store;
    op->cancelled = true;
    op->store->deadline_next_us = INT64_MIN; /* the next sweep looks at every op */
}

static void add_stats(const struct fh_pg_store *pg, struct fh_store_stats *out)
{
    for (int i = 0; i < FH_PG_LANE_COUNT; i++) {
        out->queued += (uint32_t)pg->lanes[i].queued;
        for (unsigned k = 0; k < pg->lanes[i].count; k++) {
            out->connections += pg->lanes[i].conns[k].state == FH_PG_CONN_READY;
        }
    }
}

static void pg_stats(const struct fh_store *store, struct fh_store_stats *out)
{
    const struct fh_pg_store *pg = FH_CONTAINER_OF(store, struct fh_pg_store, store);
    *out = store->counters;
    out->queued = (uint32_t)pg->waiting_count;
    out->connections = 0;
    add_stats(pg, out);
    for (const struct fh_list *at = pg->databases.next; at != &pg->databases; at = at->next) {
        add_stats(FH_CONTAINER_OF(at, struct fh_pg_store, node), out);
    }
}

static void pg_close(struct fh_store *store, fh_store_closed_cb *closed_cb, void *arg)
{
    struct fh_pg_store *pg = pg_of(store);
    FH_ASSERT(!store->closing);
    store->closing = true;
    pg->closed_cb = closed_cb;
    pg->closed_arg = arg;
    fh_pg_store_kick(pg);
}

const struct fh_store_ops fh_store_pg_ops = {
    .engine = "postgresql",
    .capabilities = FH_CAPABILITY_SHARED | FH_CAPABILITY_SCHEMA | FH_CAPABILITY_DATABASE |
                    FH_CAPABILITY_CREDENTIALS | FH_CAPABILITY_DURABLE | FH_CAPABILITY_COPY_WITHIN,
    .open = pg_open,
    .submit = pg_submit,
    .preview = fh_pg_preview,
    .prepare = fh_pg_admin_script,
    .cancel = pg_cancel,
    .stats = pg_stats,
    .close = pg_close,
};
