/* Happy path: the connection is open and knows every request's schema; one read transaction around
 * the batch; each request is answered.
 *
 * Failures: a connection that does not open fails the whole batch and is tried again with the next
 * one; so does a transaction that does not begin. A fatal error closes the connection after the
 * batch.
 */
#include "stores/sqlite/reader.h"

#include "base/assert.h"
#include "stores/sqlite/admit.h"
#include "stores/sqlite/fence.h"
#include "stores/sqlite/move_read.h"
#include "stores/sqlite/reads.h"
#include "stores/sqlite/version.h"

static enum fh_code dispatch(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    switch (request->op) {
    case FH_OP_GET:
        return fh_sqlite_get(conn, request);
    case FH_OP_LIST:
        return fh_sqlite_list(conn, request);
    case FH_OP_EVENTS:
        return fh_sqlite_events(conn, request);
    case FH_OP_FENCE_READ:
        return fh_sqlite_fence_read(conn, request);
    case FH_OP_MOVE_STATE: /* the one question of a move that never takes long */
        return fh_sqlite_move_read(conn, request);
    default:
        FH_UNREACHABLE();
    }
}

/* A statement may fail to be prepared because the home is at another version. */
static enum fh_code attempt(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    enum fh_code code = dispatch(conn, request);
    if (code != FH_OK) {
        code = fh_sqlite_version_explain(conn, request, code);
        code = code == FH_OK ? dispatch(conn, request) : code;
    }
    return code;
}

static const struct fh_schema *schema_of(const struct fh_request *request)
{
    return fh_sqlite_version_matters(request->op) ? request->scope.schema : NULL;
}

static bool runs(const struct fh_request *request)
{
    return request->code == FH_OK;
}

/* One statement is its own snapshot. A move's question is two: the fence comes first. */
static bool needs_transaction(struct fh_request *const *requests, size_t count)
{
    size_t statements = 0;
    for (size_t i = 0; i < count; i++) {
        if (runs(requests[i])) {
            statements += requests[i]->op == FH_OP_GET ? requests[i]->as.get.count : 1;
            statements += requests[i]->op == FH_OP_MOVE_STATE ? 1 : 0;
        }
    }
    return statements > 1;
}

/* The connection, and what each request needs there: nothing that may happen inside a transaction.
 */
static void prepare(struct fh_sqlite_conn *conn, struct fh_request **requests, size_t count)
{
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code opened = FH_OK;
    bool tried = false;
    for (size_t i = 0; i < count; i++) {
        struct fh_request *request = requests[i];
        request->code = fh_sqlite_admit(conn->clock, request);
        if (!runs(request)) {
            continue;
        }
        conn->deadline_us = request->deadline_us;
        if (!tried) { /* once a batch: a lock is not waited for again and again */
            opened = fh_sqlite_conn_open(conn, &error);
            tried = true;
        }
        if (opened != FH_OK) {
            request->code = opened;
            request->error = error;
            continue;
        }
        fh_sqlite_conn_use_home(conn, &request->scope.home);
        const struct fh_schema *schema = schema_of(request);
        request->code = fh_sqlite_views_use(conn, schema, &request->error);
    }
}

static void end_transaction(struct fh_sqlite_conn *conn)
{
    conn->deadline_us = FH_DEADLINE_NONE; /* nothing was written: ending cannot take long */
    if (fh_sqlite_conn_in_transaction(conn) &&
        fh_sqlite_statement_run(conn, FH_SQLITE_COMMIT, NULL) != FH_OK) {
        conn->broken = true; /* closing ends it */
    }
}

static void run_batch(struct fh_sqlite_reader *reader, struct fh_request **requests, size_t count)
{
    struct fh_sqlite_conn *conn = &reader->conn;
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code begun = FH_OK;
    if (needs_transaction(requests, count)) {
        begun = fh_sqlite_statement_run(conn, FH_SQLITE_BEGIN_READ, &error);
    }
    for (size_t i = 0; i < count; i++) {
        struct fh_request *request = requests[i];
        if (!runs(request)) {
            continue;
        }
        if (begun != FH_OK) {
            request->error = error;
            request->code = begun;
            continue;
        }
        conn->deadline_us = request->deadline_us;
        fh_sqlite_conn_use_home(conn, &request->scope.home);
        conn->last_rc = SQLITE_OK;
        request->code = fh_sqlite_views_use(conn, schema_of(request), &request->error);
        if (request->code == FH_OK) {
            request->code = attempt(conn, request);
        }
    }
    if (conn->db != NULL) {
        end_transaction(conn);
    }
}

void fh_sqlite_reader_run(void *ctx, struct fh_work **items, size_t count)
{
    struct fh_sqlite_reader *reader = ctx;
    struct fh_request *requests[FH_SQLITE_READ_BATCH_MAX];
    FH_ASSERT(count <= FH_SQLITE_READ_BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        requests[i] = FH_CONTAINER_OF(items[i], struct fh_request, work);
    }
    prepare(&reader->conn, requests, count);
    run_batch(reader, requests, count);
}
