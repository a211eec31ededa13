/* Happy path: an op is queued, the dispatcher gives it to the connection with the fewest groups in
 * flight. Connections are opened when there is none or the least busy has several groups, up to the
 * lane's number.
 *
 * Failures: no connection, none opening, and back-off or refusal: whoever waits is told
 * FH_UNAVAILABLE with the reason.
 */
#include "stores/pg/pool.h"

#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "stores/pg/engine.h"

#define BUSY_GROUPS 2 /* from here on another connection is worth opening */
#define SHARE_LOOKAHEAD 64
#define BACKOFF_MS_FIRST 100
#define BACKOFF_MS_MAX 5000
#define STALL_MS_FAST 10000 /* twice the statement_timeout: the server does not answer */
#define STALL_MS_SLOW 60000
#define STALL_MS_OWNER 3900000 /* an index of a large table; schema_send.c bounds it */
#define STALL_MS_MOVER 150000

void fh_pg_lane_init(struct fh_pg_lane *lane, struct fh_pg_store *store, enum fh_pg_lane_kind kind,
                     const struct fh_pg_conninfo *info, unsigned count, unsigned id_first)
{
    memset(lane, 0, sizeof(*lane));
    lane->store = store;
    lane->kind = kind;
    lane->info = info;
    lane->count = count;
    lane->depth = kind == FH_PG_LANE_FAST ? FH_PG_DEPTH : 1;
    fh_list_init(&lane->queue);
    for (unsigned i = 0; i < count; i++) {
        fh_pg_conn_init(&lane->conns[i], lane, id_first + i);
    }
}

enum fh_code fh_pg_lane_push(struct fh_pg_lane *lane, struct fh_pg_op *op)
{
    size_t queued = 0;
    for (int i = 0; i < FH_PG_LANE_COUNT; i++) {
        queued += lane->store->lanes[i].queued;
    }
    if (queued >= lane->store->queue_max) {
        return FH_FULL;
    }
    fh_list_push_back(&lane->queue, &op->node);
    lane->queued++;
    fh_pg_store_kick(lane->store);
    return FH_OK;
}

void fh_pg_lane_push_front(struct fh_pg_lane *lane, struct fh_pg_op *op)
{
    fh_list_push_front(&lane->queue, &op->node);
    lane->queued++;
    fh_pg_store_kick(lane->store);
}

static struct fh_pg_conn *least_busy(struct fh_pg_lane *lane)
{
    struct fh_pg_conn *best = NULL;
    for (unsigned i = 0; i < lane->count; i++) {
        struct fh_pg_conn *conn = &lane->conns[i];
        if (fh_pg_conn_has_room(conn) && (best == NULL || conn->group_count < best->group_count)) {
            best = conn;
        }
    }
    return best;
}

/* Weight of a connection for a tenant: the two multipliers of SplitMix64 (Steele, Lea and Flood,
 * 2014) spread one hash of the tenant over all of them. */
static uint64_t weight_of(uint64_t tenant_hash, unsigned conn)
{
    return (tenant_hash ^ ((conn + 1) * UINT64_C(0x9e3779b97f4a7c15))) *
           UINT64_C(0xbf58476d1ce4e5b9);
}

/* The ready connection that a dedicated home keeps to, as long as the same ones are ready: its
 * statements have names of their own there, and no connection can hold everybody's. NULL: it is
 * full, or the op is of a shared home. Asked for every op that others look past, so the tenant is
 * hashed once. */
static struct fh_pg_conn *keeps_to(struct fh_pg_lane *lane, struct fh_pg_op *op)
{
    const struct fh_scope *scope = &op->request->scope;
    struct fh_pg_conn *best = NULL;
    uint64_t best_weight = 0;
    if (scope->home.tier != FH_TIER_SCHEMA) {
        return NULL;
    }
    if (op->tenant_hash == 0) {
        op->tenant_hash = fh_hash(scope->tenant.bytes, sizeof(scope->tenant.bytes)) | 1;
    }
    for (unsigned i = 0; i < lane->count; i++) {
        struct fh_pg_conn *conn = &lane->conns[i];
        if (conn->state != FH_PG_CONN_READY || conn->broken) {
            continue;
        }
        uint64_t weight = weight_of(op->tenant_hash, i);
        if (best == NULL || weight > best_weight) {
            best = conn;
            best_weight = weight;
        }
    }
    return best != NULL && fh_pg_conn_has_room(best) ? best : NULL;
}

static unsigned in_state(const struct fh_pg_lane *lane, bool opening)
{
    unsigned count = 0;
    for (unsigned i = 0; i < lane->count; i++) {
        enum fh_pg_conn_state state = lane->conns[i].state;
        bool is_opening = state != FH_PG_CONN_CLOSED && state != FH_PG_CONN_READY;
        count += opening ? is_opening : state == FH_PG_CONN_CLOSED;
    }
    return count;
}

/* True: one more was started (it may have failed by now). */
static bool open_another(struct fh_pg_lane *lane)
{
    if (uv_now(lane->store->store.env->loop) < lane->retry_at_ms || in_state(lane, true) > 0) {
        return false;
    }
    for (unsigned i = 0; i < lane->count; i++) {
        if (lane->conns[i].state == FH_PG_CONN_CLOSED) {
            fh_pg_conn_open(&lane->conns[i]);
            return true;
        }
    }
    return false;
}

static struct fh_pg_op *pop(struct fh_pg_lane *lane)
{
    struct fh_list *node = fh_list_pop_front(&lane->queue);
    lane->queued--;
    return FH_CONTAINER_OF(node, struct fh_pg_op, node);
}

/* How many ops a group should take, so that every ready connection gets its part. */
static unsigned share_of(const struct fh_pg_lane *lane)
{
    unsigned ready = 0;
    for (unsigned i = 0; i < lane->count; i++) {
        ready += fh_pg_conn_has_room(&lane->conns[i]);
    }
    size_t share = ready > 0 ? (lane->queued + ready - 1) / ready : 1;
    return share < FH_PG_SHARE_MAX ? (unsigned)share : FH_PG_SHARE_MAX;
}

/* By tenant, then key, as every group does: groups on two connections then meet in the same order.
 */
static int compare_ops(const struct fh_pg_op *a, const struct fh_pg_op *b)
{
    int order = memcmp(a->request->scope.tenant.bytes, b->request->scope.tenant.bytes,
                       sizeof(a->request->scope.tenant.bytes));
    if (order == 0 && a->request->op == FH_OP_COMMIT) {
        order = fh_key_compare(&a->request->as.commit.writes[0].key,
                               &b->request->as.commit.writes[0].key);
    }
    return order;
}

static struct fh_pg_op *first_of(const struct fh_pg_lane *lane)
{
    return FH_CONTAINER_OF(lane->queue.next, struct fh_pg_op, node);
}

/* Takes the first op and those behind it that may share its Sync: none that keeps to another
 * connection and can have it. Those whose own is full go where there is room, together. */
static unsigned take_group(struct fh_pg_lane *lane, const struct fh_pg_conn *conn,
                           struct fh_pg_op **ops)
{
    unsigned share = share_of(lane);
    unsigned count = 0;
    ops[count++] = pop(lane);
    if (!ops[0]->kind->shares || ops[0]->alone) {
        return count;
    }
    struct fh_list *node = lane->queue.next;
    for (unsigned i = 0; i < SHARE_LOOKAHEAD && count < share && node != &lane->queue; i++) {
        struct fh_pg_op *op = FH_CONTAINER_OF(node, struct fh_pg_op, node);
        node = node->next;
        if (op->kind != ops[0]->kind || op->alone) {
            continue;
        }
        const struct fh_pg_conn *own = keeps_to(lane, op);
        if (own != NULL && own != conn) {
            continue;
        }
        fh_list_remove(&op->node);
        lane->queued--;
        unsigned at = count++;
        for (; at > 0 && compare_ops(ops[at - 1], op) > 0; at--) {
            ops[at] = ops[at - 1];
        }
        ops[at] = op;
    }
    return count;
}

void fh_pg_lane_dispatch(struct fh_pg_lane *lane)
{
    if (lane->kind == FH_PG_LANE_MOVER) {
        fh_pg_lane_dispatch_mover(lane);
        return;
    }
    while (!fh_list_empty(&lane->queue)) {
        struct fh_pg_conn *conn = least_busy(lane);
        if (conn == NULL || (lane->kind == FH_PG_LANE_FAST && conn->group_count >= BUSY_GROUPS)) {
            (void)open_another(lane);
            conn = least_busy(lane);
        }
        if (conn != NULL) {
            struct fh_pg_op *ops[FH_PG_SHARE_MAX];
            struct fh_pg_conn *own = keeps_to(lane, first_of(lane));
            conn = own != NULL ? own : conn;
            unsigned count = take_group(lane, conn, ops);
            fh_pg_conn_start(conn, ops, count);
            continue;
        }
        if (in_state(lane, false) < lane->count) {
            return; /* one is opening, or all are busy */
        }
        struct fh_pg_op *op = pop(lane);
        if (lane->store->parent != NULL && lane->error.code != FH_OK) {
            fh_pg_database_ask(op, &lane->error);
            continue;
        }
        (void)fh_error_set(&op->request->error, FH_UNAVAILABLE, "%s",
                           lane->error.message[0] != '\0' ? lane->error.message
                                                          : fh_code_text(FH_UNAVAILABLE));
        fh_pg_op_finish(op, FH_UNAVAILABLE);
    }
    for (unsigned i = 0; lane->kind == FH_PG_LANE_OWNER && i < lane->count; i++) {
        struct fh_pg_conn *conn = &lane->conns[i];
        if (conn->state == FH_PG_CONN_READY && conn->group_count == 0) {
            fh_pg_conn_close(conn); /* an owner's rights are held for as long as needed */
        }
    }
}

void fh_pg_lane_connected(struct fh_pg_lane *lane)
{
    lane->failures = 0;
    lane->retry_at_ms = 0;
    fh_pg_store_kick(lane->store);
}

void fh_pg_lane_connect_failed(struct fh_pg_lane *lane, const struct fh_error *error)
{
    uint64_t wait = BACKOFF_MS_FIRST;
    for (unsigned i = 0; i < lane->failures && wait < BACKOFF_MS_MAX; i++) {
        wait *= 2;
    }
    lane->failures++;
    lane->retry_at_ms =
        uv_now(lane->store->store.env->loop) + (wait < BACKOFF_MS_MAX ? wait : BACKOFF_MS_MAX);
    lane->error = *error;
    FH_LOG(lane->store->store.env->log, WARN, "store.connect_failed",
           FH_KV_TEXT("store", lane->store->store.name), FH_KV_TEXT("error", error->message),
           FH_KV_INT("failures", lane->failures));
}

void fh_pg_lane_tick(struct fh_pg_lane *lane, uint64_t now_ms)
{
    static const uint64_t stall_ms[FH_PG_LANE_COUNT] = {STALL_MS_FAST, STALL_MS_SLOW,
                                                        STALL_MS_OWNER, STALL_MS_MOVER};
    for (unsigned i = 0; i < lane->count; i++) {
        struct fh_pg_conn *conn = &lane->conns[i];
        if (conn->state == FH_PG_CONN_CLOSED) {
            continue;
        }
        if (conn->state != FH_PG_CONN_READY) {
            if (now_ms - conn->started_ms >= lane->info->connect_timeout_ms) {
                fh_pg_conn_fail(conn, "timeout while connecting");
            }
        } else if (conn->group_count > 0 &&
                   now_ms - conn->groups[conn->group_head].sent_at_ms >= stall_ms[lane->kind]) {
            fh_pg_conn_fail(conn, "the server does not answer");
        }
    }
}

bool fh_pg_lane_is_idle(const struct fh_pg_lane *lane)
{
    for (unsigned i = 0; i < lane->count; i++) {
        const struct fh_pg_conn *conn = &lane->conns[i];
        if (conn->group_count > 0 ||
            (conn->state != FH_PG_CONN_READY && conn->state != FH_PG_CONN_CLOSED)) {
            return false;
        }
    }
    return fh_list_empty(&lane->queue);
}
