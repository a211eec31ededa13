/* Happy path: the child is found on the list and moves to its front.
 *
 * Failures: the database is gone: its connections fail, the store says that there is none, the
 * child is closed and the ops end as FH_NO_TENANT. Out of memory while a child is made: nothing is
 * left of it.
 */
#include "stores/pg/databases.h"

#include <string.h>

#include "base/assert.h"
#include "stores/pg/engine.h"

static bool is_busy(const struct fh_pg_store *child)
{
    for (int i = 0; i < FH_SNAPSHOTS_MAX; i++) {
        if (child->views[i].taken) {
            return true;
        }
    }
    return child->active_count > 0;
}

static struct fh_pg_store *find(struct fh_pg_store *pg, const struct fh_home *home)
{
    for (struct fh_list *at = pg->databases.next; at != &pg->databases; at = at->next) {
        struct fh_pg_store *child = FH_CONTAINER_OF(at, struct fh_pg_store, node);
        if (fh_home_equal(&child->home, home)) {
            return child;
        }
    }
    return NULL;
}

static void closed_cb(void *arg)
{
    struct fh_pg_store *pg = arg;
    FH_ASSERT(pg->databases_closing > 0);
    pg->databases_closing--;
    fh_pg_store_kick(pg);
}

/* Not here and now: a request may be submitted from within one of the child's own results. */
static void close_child(struct fh_pg_store *child)
{
    struct fh_pg_store *pg = child->parent;
    fh_list_remove(&child->node);
    pg->database_count--;
    pg->databases_closing++;
    child->store.closing = true;
    child->closed_cb = closed_cb;
    child->closed_arg = pg;
    fh_pg_store_kick(child);
}

/* Makes room for one more, by the one that was idle longest. */
static bool make_room(struct fh_pg_store *pg)
{
    if (pg->database_count < pg->databases_max) {
        return true;
    }
    for (struct fh_list *at = pg->databases.prev; at != &pg->databases; at = at->prev) {
        struct fh_pg_store *child = FH_CONTAINER_OF(at, struct fh_pg_store, node);
        if (!is_busy(child)) {
            close_child(child);
            return true;
        }
    }
    return false;
}

enum fh_code fh_pg_database_get(struct fh_pg_store *pg, const struct fh_home *home,
                                struct fh_pg_store **out)
{
    struct fh_pg_store *child = find(pg, home);
    if (child != NULL) {
        fh_list_remove(&child->node);
        fh_list_push_front(&pg->databases, &child->node);
        *out = child;
        return FH_OK;
    }
    if (!make_room(pg)) {
        return FH_FULL;
    }
    enum fh_code code = fh_pg_store_make_child(pg, home, &child);
    if (code == FH_OK) {
        fh_list_push_front(&pg->databases, &child->node);
        pg->database_count++;
        *out = child;
    }
    return code;
}

enum fh_code fh_pg_database_wait(struct fh_pg_op *op)
{
    struct fh_pg_store *pg = op->store;
    if (pg->waiting_count >= pg->queue_max) {
        return FH_FULL;
    }
    op->waits = true;
    fh_list_push_back(&pg->waiting, &op->node);
    pg->waiting_count++;
    fh_pg_store_kick(pg);
    return FH_OK;
}

void fh_pg_database_leave(struct fh_pg_op *op)
{
    op->waits = false;
    fh_list_remove(&op->node);
    op->store->waiting_count--;
}

void fh_pg_databases_dispatch(struct fh_pg_store *pg)
{
    struct fh_list *node = pg->waiting.next;
    while (node != &pg->waiting) {
        struct fh_pg_op *op = FH_CONTAINER_OF(node, struct fh_pg_op, node);
        struct fh_pg_store *child = NULL;
        node = node->next; /* stays valid: others are only added meanwhile */
        enum fh_code code = fh_pg_database_get(pg, &op->request->scope.home, &child);
        if (code == FH_FULL) {
            continue; /* another may be for a child that is open */
        }
        fh_pg_database_leave(op);
        if (code == FH_OK) {
            fh_pg_op_move(op, child);
            code = fh_pg_op_enter(op);
        }
        if (code != FH_OK) {
            fh_pg_op_finish(op, code);
        }
    }
}

void fh_pg_database_drop(struct fh_pg_store *pg, const struct fh_home *home)
{
    struct fh_pg_store *child = find(pg, home);
    if (child != NULL && !is_busy(child)) {
        close_child(child);
    }
}

void fh_pg_database_idle(struct fh_pg_store *child)
{
    if (!child->store.closing && !is_busy(child)) {
        close_child(child);
    }
}

void fh_pg_databases_close(struct fh_pg_store *pg)
{
    while (!fh_list_empty(&pg->databases)) {
        close_child(FH_CONTAINER_OF(pg->databases.next, struct fh_pg_store, node));
    }
}

/* One that is half made or half dropped is none: its login may connect to it from its fence's row
 * on, is closed behind its fence's end, and an interrupted DROP DATABASE leaves it for nobody to
 * connect to. */
static enum fh_code ask_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_bytes(params, fh_str_of(op->request->scope.home.name));
    return fh_pg_conn_send_text(
        conn,
        "select 1 from pg_catalog.pg_database d where datname = $1::text and datconnlimit <> -2 "
        "and exists (select from pg_catalog.pg_roles r where rolname = d.datname || '_db' and "
        "rolcanlogin and has_database_privilege(r.oid, d.oid, 'CONNECT')) and "
        "not " FH_PG_IS_FOREIGN("d.oid", "current_database()"),
        params);
}

static enum fh_code ask_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    (void)index;
    if (PQntuples(result) > 0) {
        return FH_UNAVAILABLE;
    }
    memset(&op->request->error, 0, sizeof(op->request->error));
    fh_pg_database_drop(op->store, &op->request->scope.home);
    return FH_NO_TENANT;
}

static const struct fh_pg_op_kind ask_kind = {.send = ask_send, .result = ask_result};

void fh_pg_database_ask(struct fh_pg_op *op, const struct fh_error *error)
{
    struct fh_pg_store *pg = op->store->parent;
    if (op->request->op == FH_OP_SNAPSHOT_OPEN && op->view != NULL) {
        fh_pg_view_end(op->view);
    }
    op->view = NULL;
    op->request->error = *error;
    op->request->error.code = FH_UNAVAILABLE;
    op->kind = &ask_kind;
    op->lane = FH_PG_LANE_FAST;
    op->step = 0;
    op->commits = false;
    fh_pg_op_move(op, pg);
    fh_pg_lane_push_front(&pg->lanes[op->lane], op);
}
