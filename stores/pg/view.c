/* Happy path: a slot is taken at submit, tied to the connection when the transaction has begun, and
 * untied and freed by close; the rollback follows by itself.
 *
 * Failures: no slot is free (FH_FULL); the pointer is none of ours (FH_UNAVAILABLE: it was closed),
 * or another tenant's or home's (FH_INVALID). A view whose transaction is gone stays until it is
 * closed; what is asked of it is answered by the dispatcher.
 */
#include "stores/pg/view.h"

#include <string.h>

#include "base/assert.h"
#include "stores/pg/engine.h"

static enum fh_code take(struct fh_pg_store *pg, struct fh_pg_op *op)
{
    struct fh_pg_store *root = pg->parent != NULL ? pg->parent : pg;
    for (int i = 0; i < FH_SNAPSHOTS_MAX && root->views_taken < FH_SNAPSHOTS_MAX; i++) {
        struct fh_snapshot *view = &pg->views[i];
        if (!view->taken) {
            root->views_taken++;
            *view = (struct fh_snapshot){.taken = true,
                                         .root = root,
                                         .tenant = op->request->scope.tenant,
                                         .home = op->request->scope.home};
            op->view = view;
            return FH_OK;
        }
    }
    return fh_error_set(&op->request->error, FH_FULL, "all views of the store are taken");
}

static enum fh_code find(struct fh_pg_store *pg, struct fh_pg_op *op, struct fh_snapshot *view)
{
    const struct fh_scope *scope = &op->request->scope;
    if (view == NULL) {
        return FH_OK;
    }
    for (int i = 0; i < FH_SNAPSHOTS_MAX; i++) {
        if (&pg->views[i] != view || !view->taken) {
            continue;
        }
        if (!fh_uuid_eq(&view->tenant, &scope->tenant) ||
            strncmp(view->home.name, scope->home.name, sizeof(scope->home.name)) != 0) {
            return fh_error_set(&op->request->error, FH_INVALID, "the view is of another tenant");
        }
        op->view = view;
        return FH_OK;
    }
    return fh_error_set(&op->request->error, FH_UNAVAILABLE, "the view is not open any more");
}

enum fh_code fh_pg_view_enter(struct fh_pg_store *pg, struct fh_pg_op *op)
{
    struct fh_request *request = op->request;
    switch (request->op) {
    case FH_OP_SNAPSHOT_OPEN:
        return take(pg, op);
    case FH_OP_SNAPSHOT_CLOSE: {
        enum fh_code code = find(pg, op, request->as.snapshot.snapshot);
        if (code == FH_OK) {
            request->as.snapshot.snapshot = NULL;
            fh_pg_view_end(op->view);
            op->view = NULL;
        }
        return code;
    }
    case FH_OP_SCAN:
        return find(pg, op, request->as.scan.snapshot);
    case FH_OP_SCAN_JOURNAL:
        return find(pg, op, request->as.scan_journal.snapshot);
    case FH_OP_CHANGES:
        return find(pg, op, request->as.changes.snapshot);
    case FH_OP_TALLY:
        return find(pg, op, request->as.tally.snapshot);
    default:
        return FH_OK;
    }
}

void fh_pg_view_begun(struct fh_pg_op *op)
{
    op->view->version = op->request->scope.schema->version;
    FH_ASSERT(op->view != NULL && op->view->conn == NULL && op->conn->view == NULL);
    op->view->conn = op->conn;
    op->conn->view = op->view;
}

void fh_pg_view_end(struct fh_snapshot *view)
{
    struct fh_pg_conn *conn = view->conn;
    FH_ASSERT(view->taken && view->root->views_taken > 0);
    view->root->views_taken--;
    memset(view, 0, sizeof(*view));
    if (conn == NULL) {
        return;
    }
    /* The end of the group that is under way rolls back, or the dispatcher: not here, where we may
     * be inside the connection's own results. */
    conn->view = NULL;
    fh_pg_store_kick(conn->lane->store);
}

void fh_pg_view_lost(struct fh_pg_conn *conn)
{
    if (conn->view != NULL) {
        conn->view->conn = NULL;
        conn->view = NULL;
    }
}
