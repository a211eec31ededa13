/* The mover's lane: which op goes to which connection.
 *
 * Happy path: an op in a view waits for the view's connection; any other takes one that no view
 * has. Of those, MOVER_MAX are used at once, and the last one only by a change of fence: a cutover
 * must not wait behind a chunk. The whole queue is walked, so nobody waits for another's view.
 *
 * Failures: a view whose transaction is gone answers FH_UNAVAILABLE; so does a lane without a
 * connection that cannot open one.
 */
#include "base/assert.h"
#include "stores/pg/engine.h"
#include "stores/pg/version.h"

struct plain {
    unsigned open; /* or opening */
    unsigned busy;
    bool opening;
    struct fh_pg_conn *idle;
    struct fh_pg_conn *closed;
};

static struct plain count_plain(struct fh_pg_lane *lane)
{
    struct plain plain = {.open = 0};
    for (unsigned i = 0; i < lane->count; i++) {
        struct fh_pg_conn *conn = &lane->conns[i];
        if (conn->view != NULL) {
            continue;
        }
        if (conn->state == FH_PG_CONN_CLOSED) {
            plain.closed = conn;
            continue;
        }
        plain.open++;
        if (conn->state != FH_PG_CONN_READY) {
            plain.opening = true;
        } else if (fh_pg_conn_has_room(conn)) {
            plain.idle = conn;
        } else {
            plain.busy++;
        }
    }
    return plain;
}

static void take_off(struct fh_pg_lane *lane, struct fh_pg_op *op)
{
    fh_list_remove(&op->node);
    lane->queued--;
}

static void refuse(struct fh_pg_lane *lane, struct fh_pg_op *op, const char *text)
{
    take_off(lane, op);
    if (lane->store->parent != NULL && text == lane->error.message && text[0] != '\0') {
        fh_pg_database_ask(op, &lane->error);
        return;
    }
    (void)fh_error_set(&op->request->error, FH_UNAVAILABLE, "%s",
                       text[0] != '\0' ? text : fh_code_text(FH_UNAVAILABLE));
    fh_pg_op_finish(op, FH_UNAVAILABLE);
}

static void start(struct fh_pg_lane *lane, struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    take_off(lane, op);
    fh_pg_conn_start(conn, &op, 1);
}

static void place(struct fh_pg_lane *lane, struct fh_pg_op *op)
{
    struct plain plain = count_plain(lane);
    unsigned busy_max = op->request->op == FH_OP_FENCE_SET ? FH_PG_MOVER_MAX : FH_PG_MOVER_MAX - 1;
    if (plain.busy >= busy_max) {
        return;
    }
    if (plain.idle == NULL && !plain.opening && plain.closed != NULL &&
        plain.open < FH_PG_MOVER_MAX && uv_now(lane->store->store.env->loop) >= lane->retry_at_ms) {
        fh_pg_conn_open(plain.closed);
        plain = count_plain(lane);
    }
    if (plain.idle != NULL) {
        start(lane, op, plain.idle);
    } else if (plain.open == 0) {
        refuse(lane, op, lane->error.message);
    }
}

static void place_in_view(struct fh_pg_lane *lane, struct fh_pg_op *op)
{
    struct fh_pg_conn *conn = op->view->conn;
    if (conn == NULL) {
        refuse(lane, op, "the view's transaction is gone");
    } else if (op->view->version != op->request->scope.schema->version) {
        fh_pg_version_differs(op);
        place(lane, op);
    } else if (fh_pg_conn_has_room(conn)) {
        start(lane, op, conn);
    }
}

/* What views that were closed have left. */
static void roll_back(struct fh_pg_lane *lane)
{
    for (unsigned i = 0; i < lane->count; i++) {
        struct fh_pg_conn *conn = &lane->conns[i];
        if (conn->view == NULL && fh_pg_conn_has_room(conn) &&
            PQtransactionStatus(conn->pq) != PQTRANS_IDLE) {
            fh_pg_conn_rollback(conn);
        }
    }
}

void fh_pg_lane_dispatch_mover(struct fh_pg_lane *lane)
{
    roll_back(lane);
    struct fh_list *node = lane->queue.next;
    while (node != &lane->queue) {
        struct fh_pg_op *op = FH_CONTAINER_OF(node, struct fh_pg_op, node);
        node = node->next; /* stays valid: others are only added meanwhile */
        if (op->kind == &fh_pg_view_close_kind) {
            take_off(lane, op);
            fh_pg_op_finish(op, FH_OK);
        } else if (op->view != NULL && op->kind != &fh_pg_view_open_kind &&
                   op->kind != &fh_pg_version_kind) {
            place_in_view(lane, op);
        } else {
            place(lane, op);
        }
    }
}
