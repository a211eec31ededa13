/* Happy path of a view:
 *
 *     OPEN -> a free reader is held by a new handle -> (thread) BEGIN, guard, cursor
 *          -> questions, each on that thread in that transaction
 *          -> CLOSE: the reader is free at once, the thread ends the transaction before whatever
 *             the next holder queued, and the handle goes when that is done
 *
 * Failures: an OPEN that fails gives its reader back. A view that lies idle is ended on its thread,
 * its handle remembers that. A fatal error leaves the view without a transaction: what is asked of
 * it then is FH_UNAVAILABLE, and only the next OPEN opens the connection anew, for a new
 * transaction would be another instant.
 */
#include "stores/sqlite/snapshot.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "stores/sqlite/admit.h"
#include "stores/sqlite/move_read.h"

#define LOOK_EVERY_MS 5000

struct fh_snapshot {
    struct fh_list node;
    struct fh_sqlite_view *view; /* NULL: ended */
    struct fh_uuid tenant;
    struct fh_home home;
    uint32_t pending; /* requests submitted and not done */
    bool closing;
    int64_t used_us;
};

static enum fh_code unavailable(struct fh_request *request)
{
    return fh_error_set(&request->error, FH_UNAVAILABLE,
                        "the view has ended; begin again with a new one");
}

/* Threads */

static void end_transaction(struct fh_sqlite_conn *conn)
{
    conn->deadline_us = FH_DEADLINE_NONE; /* nothing was written: ending cannot take long */
    if (fh_sqlite_conn_in_transaction(conn) &&
        fh_sqlite_statement_run(conn, FH_SQLITE_COMMIT, NULL) != FH_OK) {
        fh_sqlite_conn_close(conn); /* which ends it */
    }
}

/* Also of the file, if it is one of a single home: erased, it would keep its space otherwise. */
static void leave(struct fh_sqlite_conn *conn)
{
    end_transaction(conn);
    if (conn->place != NULL && conn->place->directory[0] != '\0') {
        fh_sqlite_conn_fold(conn);
    }
}

static void use_place(struct fh_sqlite_view *view, const struct fh_home *home)
{
    struct fh_sqlite_place place;
    fh_sqlite_layout_place(view->snapshots->layout, home, &place);
    if (strcmp(place.path, view->place.path) != 0) {
        fh_sqlite_conn_fold(&view->conn);
        view->place = place;
    }
    fh_sqlite_conn_use_place(&view->conn, &view->place);
}

/* An open connection that has the request's schema, in a read transaction. */
static enum fh_code begin(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    const struct fh_schema *schema = request->scope.schema;
    use_place(FH_CONTAINER_OF(conn, struct fh_sqlite_view, conn), &request->scope.home);
    enum fh_code code = fh_sqlite_conn_open(conn, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_sqlite_conn_use_home(conn, &request->scope.home);
    code = fh_sqlite_views_use(conn, schema, &request->error);
    return code == FH_OK ? fh_sqlite_statement_run(conn, FH_SQLITE_BEGIN_READ, &request->error)
                         : code;
}

static enum fh_code open_view(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    FH_ASSERT(!fh_sqlite_conn_in_transaction(conn));
    enum fh_code code = begin(conn, request);
    if (code == FH_OK) {
        code = fh_sqlite_move_open(conn, request);
    }
    if (code != FH_OK) {
        leave(conn);
    }
    return code;
}

static enum fh_code ask_view(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    if (conn->broken || !fh_sqlite_conn_in_transaction(conn)) {
        return unavailable(request);
    }
    /* Made in the view's own transaction, if need be, and looked at there: FH_STALE_SCHEMA. */
    fh_sqlite_conn_use_home(conn, &request->scope.home);
    enum fh_code code = fh_sqlite_views_use(conn, request->scope.schema, &request->error);
    return code == FH_OK ? fh_sqlite_move_read(conn, request) : code;
}

static void run_in_view(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    if (request->op == FH_OP_SNAPSHOT_CLOSE) { /* whoever asks late or cancels means it, too */
        leave(conn);
        request->code = FH_OK;
        return;
    }
    request->code = fh_sqlite_admit(conn->clock, request);
    if (request->code != FH_OK) {
        return;
    }
    conn->deadline_us = request->deadline_us;
    request->code =
        request->op == FH_OP_SNAPSHOT_OPEN ? open_view(conn, request) : ask_view(conn, request);
}

static void view_run(void *ctx, struct fh_work **items, size_t count)
{
    struct fh_sqlite_view *view = ctx;
    for (size_t i = 0; i < count; i++) {
        if (items[i] == &view->end) {
            leave(&view->conn);
        } else {
            run_in_view(&view->conn, FH_CONTAINER_OF(items[i], struct fh_request, work));
        }
    }
}

static void common_run(void *ctx, struct fh_work **items, size_t count)
{
    struct fh_sqlite_view *common = ctx;
    struct fh_sqlite_conn *conn = &common->conn;
    for (size_t i = 0; i < count; i++) {
        struct fh_request *request = FH_CONTAINER_OF(items[i], struct fh_request, work);
        if (request->op == FH_OP_SNAPSHOT_CLOSE) { /* of a view that had ended */
            request->code = FH_OK;
            continue;
        }
        request->code = fh_sqlite_admit(conn->clock, request);
        conn->deadline_us = request->deadline_us;
        if (request->code == FH_OK) {
            request->code = begin(conn, request);
        }
        if (request->code == FH_OK) {
            request->code = fh_sqlite_move_read(conn, request);
        }
        leave(conn);
    }
}

/* Loop */

void fh_sqlite_snapshots_init(struct fh_sqlite_snapshots *snapshots, const struct fh_env *env,
                              const struct fh_sqlite_layout *layout,
                              const struct fh_isolation_faults *faults, size_t queue_max)
{
    *snapshots = (struct fh_sqlite_snapshots){.env = env, .layout = layout, .queue_max = queue_max};
    fh_list_init(&snapshots->handles);
    for (size_t i = 0; i < FH_SNAPSHOTS_MAX; i++) {
        snapshots->views[i].snapshots = snapshots;
        fh_sqlite_conn_init(&snapshots->views[i].conn, FH_SQLITE_READER, NULL, env->clock, faults);
    }
    snapshots->common.snapshots = snapshots;
    fh_sqlite_conn_init(&snapshots->common.conn, FH_SQLITE_READER, NULL, env->clock, faults);
}

bool fh_sqlite_snapshots_serve(enum fh_op op)
{
    return op == FH_OP_SNAPSHOT_OPEN || op == FH_OP_SNAPSHOT_CLOSE || op == FH_OP_SCAN ||
           op == FH_OP_SCAN_JOURNAL || op == FH_OP_CHANGES || op == FH_OP_TALLY ||
           op == FH_OP_REFERENCES || op == FH_OP_SIZE;
}

/* The view that a request names; NULL: none. */
static struct fh_snapshot *named_by(const struct fh_request *request)
{
    switch (request->op) {
    case FH_OP_SNAPSHOT_OPEN:
    case FH_OP_SNAPSHOT_CLOSE:
        return request->as.snapshot.snapshot;
    case FH_OP_SCAN:
        return request->as.scan.snapshot;
    case FH_OP_SCAN_JOURNAL:
        return request->as.scan_journal.snapshot;
    case FH_OP_CHANGES:
        return request->as.changes.snapshot;
    case FH_OP_TALLY:
        return request->as.tally.snapshot;
    default:
        return NULL;
    }
}

/* Compares pointers only: what a caller kept too long is not looked into. */
static struct fh_snapshot *find(const struct fh_sqlite_snapshots *snapshots,
                                const struct fh_snapshot *wanted)
{
    for (struct fh_list *node = snapshots->handles.next; node != &snapshots->handles;
         node = node->next) { /* at most FH_SQLITE_HANDLES_MAX */
        struct fh_snapshot *snapshot = FH_CONTAINER_OF(node, struct fh_snapshot, node);
        if (snapshot == wanted) {
            return snapshot;
        }
    }
    return NULL;
}

static void drop(struct fh_sqlite_snapshots *snapshots, struct fh_snapshot *snapshot)
{
    if (snapshot->view != NULL && snapshot->view->held_by == snapshot) {
        snapshot->view->held_by = NULL;
    }
    fh_list_remove(&snapshot->node);
    snapshots->handle_count--;
    fh_free(snapshot);
}

static void ended_cb(struct fh_work *work)
{
    struct fh_sqlite_view *view = FH_CONTAINER_OF(work, struct fh_sqlite_view, end);
    view->end_queued = false;
}

/* True when a view is left that may become idle. */
static bool end_idle(struct fh_sqlite_snapshots *snapshots)
{
    int64_t now = fh_clock_monotonic_us(snapshots->env->clock);
    bool left = false;
    for (size_t i = 0; i < FH_SNAPSHOTS_MAX; i++) {
        struct fh_sqlite_view *view = &snapshots->views[i];
        struct fh_snapshot *snapshot = view->held_by;
        if (snapshot == NULL) {
            continue;
        }
        if (snapshot->pending > 0 || now - snapshot->used_us < FH_SNAPSHOT_IDLE_MAX_US ||
            view->end_queued) {
            left = true;
            continue;
        }
        view->end.done_cb = ended_cb;
        if (fh_worker_submit(view->worker, &view->end) != FH_OK) {
            left = true; /* the next look finds room */
            continue;
        }
        view->end_queued = true;
        view->held_by = NULL;
        snapshot->view = NULL;
        FH_LOG(snapshots->env->log, WARN, "sqlite.idle_view_ended",
               FH_KV_UUID("tenant", snapshot->tenant));
    }
    return left;
}

static void look_cb(uv_timer_t *timer)
{
    struct fh_sqlite_snapshots *snapshots = timer->data;
    if (!end_idle(snapshots)) {
        uv_timer_stop(timer);
    }
}

static void look_after(struct fh_sqlite_snapshots *snapshots)
{
    if (!snapshots->has_timer) {
        int failed = uv_timer_init(snapshots->env->loop, &snapshots->timer);
        FH_ASSERT(failed == 0);
        snapshots->timer.data = snapshots;
        uv_unref((uv_handle_t *)&snapshots->timer); /* no reason for a loop to go on */
        snapshots->has_timer = true;
    }
    int failed = uv_timer_start(&snapshots->timer, look_cb, LOOK_EVERY_MS, LOOK_EVERY_MS);
    FH_ASSERT(failed == 0);
}

static enum fh_code start(struct fh_sqlite_snapshots *snapshots, struct fh_sqlite_view *view,
                          fh_worker_run_cb *run)
{
    /* Closing is never refused for want of room, nor is the end of an idle view. */
    size_t queue_max = snapshots->queue_max + FH_SQLITE_HANDLES_MAX + 1;
    if (view->worker != NULL) {
        return FH_OK;
    }
    return fh_worker_start(snapshots->env->loop, "fh-sqlite-m", queue_max, 1, run, view,
                           &view->worker);
}

static struct fh_sqlite_view *free_view(struct fh_sqlite_snapshots *snapshots)
{
    struct fh_sqlite_view *found = NULL;
    for (size_t i = 0; i < FH_SNAPSHOTS_MAX; i++) {
        struct fh_sqlite_view *view = &snapshots->views[i];
        if (view->held_by == NULL && (found == NULL || (found->worker == NULL && view->worker))) {
            found = view; /* one that runs already, if there is one */
        }
    }
    return found;
}

static enum fh_code submit_open(struct fh_sqlite_snapshots *snapshots, struct fh_request *request)
{
    struct fh_sqlite_view *view = free_view(snapshots);
    if (view == NULL || snapshots->handle_count >= FH_SQLITE_HANDLES_MAX) {
        return fh_error_set(&request->error, FH_FULL, "the store has as many views as it can have");
    }
    struct fh_snapshot *snapshot = fh_calloc(1, sizeof(*snapshot));
    if (snapshot == NULL) {
        return fh_error_set(&request->error, FH_NOMEM, "out of memory");
    }
    enum fh_code code = start(snapshots, view, view_run);
    if (code == FH_OK) {
        code = fh_worker_submit(view->worker, &request->work);
    }
    if (code != FH_OK) {
        fh_free(snapshot);
        return fh_error_set(&request->error, code, "a view could not be opened");
    }
    snapshot->view = view;
    snapshot->tenant = request->scope.tenant;
    snapshot->home = request->scope.home;
    snapshot->pending = 1;
    view->held_by = snapshot;
    fh_list_push_back(&snapshots->handles, &snapshot->node);
    snapshots->handle_count++;
    request->as.snapshot.snapshot = snapshot;
    look_after(snapshots);
    return FH_OK;
}

static enum fh_code submit_common(struct fh_sqlite_snapshots *snapshots, struct fh_request *request)
{
    enum fh_code code = start(snapshots, &snapshots->common, common_run);
    return code == FH_OK ? fh_worker_submit(snapshots->common.worker, &request->work)
                         : fh_error_set(&request->error, code, "a thread could not be started");
}

/* In a view: a question, or its end. */
static enum fh_code submit_in_view(struct fh_sqlite_snapshots *snapshots,
                                   struct fh_request *request, struct fh_snapshot *snapshot)
{
    bool close = request->op == FH_OP_SNAPSHOT_CLOSE;
    if (snapshot == NULL || snapshot->closing) {
        return unavailable(request); /* it was closed */
    }
    if (!fh_uuid_eq(&snapshot->tenant, &request->scope.tenant) ||
        !fh_home_equal(&snapshot->home, &request->scope.home)) {
        return fh_error_set(&request->error, FH_INVALID, "the view is another tenant's or home's");
    }
    if (snapshot->view == NULL && !close) {
        return unavailable(request);
    }
    enum fh_code code = snapshot->view == NULL
                            ? submit_common(snapshots, request)
                            : fh_worker_submit(snapshot->view->worker, &request->work);
    if (code != FH_OK) {
        return code;
    }
    snapshot->pending++;
    snapshot->closing = close;
    if (close && snapshot->view != NULL) {
        snapshot->view->held_by = NULL; /* whoever is next queues behind */
        snapshot->view = NULL;
    }
    return FH_OK;
}

enum fh_code fh_sqlite_snapshots_submit(struct fh_sqlite_snapshots *snapshots,
                                        struct fh_request *request)
{
    (void)end_idle(snapshots);
    if (request->op == FH_OP_SNAPSHOT_OPEN) {
        return submit_open(snapshots, request);
    }
    const struct fh_snapshot *named = named_by(request);
    return named != NULL ? submit_in_view(snapshots, request, find(snapshots, named))
                         : submit_common(snapshots, request);
}

void fh_sqlite_snapshots_done(struct fh_sqlite_snapshots *snapshots, struct fh_request *request)
{
    struct fh_snapshot *snapshot = find(snapshots, named_by(request));
    if (snapshot == NULL) {
        return;
    }
    FH_ASSERT(snapshot->pending > 0);
    snapshot->pending--;
    snapshot->used_us = fh_clock_monotonic_us(snapshots->env->clock);
    if (request->op == FH_OP_SNAPSHOT_CLOSE ||
        (request->op == FH_OP_SNAPSHOT_OPEN && request->code != FH_OK)) {
        FH_ASSERT(snapshot->pending == 0); /* nobody else knew it before, or may ask after */
        drop(snapshots, snapshot);
        request->as.snapshot.snapshot = NULL;
    }
}

uint32_t fh_sqlite_snapshots_connections(const struct fh_sqlite_snapshots *snapshots)
{
    uint32_t count = snapshots->common.worker != NULL ? 1 : 0;
    for (size_t i = 0; i < FH_SNAPSHOTS_MAX; i++) {
        count += snapshots->views[i].worker != NULL ? 1 : 0;
    }
    return count;
}

static void timer_closed_cb(uv_handle_t *handle)
{
    struct fh_sqlite_snapshots *snapshots = handle->data;
    snapshots->stopped_cb(snapshots->stopped_arg);
}

uint32_t fh_sqlite_snapshots_stop(struct fh_sqlite_snapshots *snapshots,
                                  fh_worker_stopped_cb *stopped_cb, void *arg)
{
    uint32_t count = fh_sqlite_snapshots_connections(snapshots);
    if (snapshots->common.worker != NULL) {
        fh_worker_stop(snapshots->common.worker, stopped_cb, arg);
    }
    for (size_t i = 0; i < FH_SNAPSHOTS_MAX; i++) {
        if (snapshots->views[i].worker != NULL) {
            fh_worker_stop(snapshots->views[i].worker, stopped_cb, arg);
        }
    }
    if (snapshots->has_timer) {
        snapshots->stopped_cb = stopped_cb;
        snapshots->stopped_arg = arg;
        uv_close((uv_handle_t *)&snapshots->timer, timer_closed_cb);
        count++;
    }
    return count;
}

void fh_sqlite_snapshots_close(struct fh_sqlite_snapshots *snapshots)
{
    while (!fh_list_empty(&snapshots->handles)) {
        drop(snapshots, FH_CONTAINER_OF(snapshots->handles.next, struct fh_snapshot, node));
    }
    for (size_t i = 0; i < FH_SNAPSHOTS_MAX; i++) {
        fh_sqlite_conn_close(&snapshots->views[i].conn);
    }
    fh_sqlite_conn_close(&snapshots->common.conn);
}
