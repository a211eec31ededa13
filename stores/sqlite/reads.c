/* Happy path: the statement's first row carries the fence, which must admit the request; then rows
 * are copied until there are enough. A row without data behind the fence means: nothing found.
 *
 * Failures: no row at all is FH_NO_TENANT, a fence that does not admit FH_MOVED.
 */
#include "stores/sqlite/reads.h"

#include "stores/sqlite/fence.h"
#include "stores/sqlite/rows.h"

static enum fh_code say(struct fh_request *request, enum fh_code code)
{
    return code == FH_OK ? code : fh_error_set(&request->error, code, "%s", fh_code_text(code));
}

/* The first step of a joined read: there is a fence, and it admits. */
static enum fh_code first_step(struct fh_sqlite_conn *conn, struct fh_request *request,
                               sqlite3_stmt *statement)
{
    bool row = false;
    enum fh_code code = fh_sqlite_statement_step(conn, statement, &row, &request->error);
    if (code == FH_OK && !row) {
        return fh_error_set(&request->error, FH_NO_TENANT, "the tenant has no home in this store");
    }
    return code == FH_OK ? fh_sqlite_fence_joined(conn, request, statement) : code;
}

static enum fh_code get_one(struct fh_sqlite_conn *conn, struct fh_request *request,
                            const struct fh_key *key, struct fh_row **out)
{
    sqlite3_stmt *statement = NULL;
    const struct fh_probe *probe = request->probe;
    const struct fh_uuid *tenant =
        probe != NULL && probe->skip_predicate ? fh_probe_owner(probe) : &request->scope.tenant;
    enum fh_code code = fh_sqlite_statement_get(
        conn, request->as.get.show_deleted ? FH_SQLITE_GET_ANY : FH_SQLITE_GET, key->table, 0,
        tenant, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    int rc = sqlite3_bind_int64(statement, 2, (sqlite3_int64)request->scope.epoch);
    if (rc == SQLITE_OK) {
        rc = fh_sqlite_bind_key(statement, 3, key);
    }
    code = rc == SQLITE_OK ? first_step(conn, request, statement)
                           : fh_sqlite_conn_fail(conn, rc, &request->error);
    if (code == FH_OK) {
        code = say(request, fh_sqlite_read_row(statement, FH_SQLITE_FENCE_COLUMNS, key->table,
                                               request->arena, out));
    }
    fh_sqlite_statement_end(conn, statement);
    return code;
}

enum fh_code fh_sqlite_get(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_op_get *get = &request->as.get;
    enum fh_code code = FH_OK;
    get->rows = NULL;
    struct fh_row **rows = FH_ARENA_ARRAY(request->arena, struct fh_row *, get->count);
    if (rows == NULL) {
        return say(request, FH_NOMEM);
    }
    conn->probe = request->probe;
    for (size_t i = 0; i < get->count && code == FH_OK; i++) {
        code = get_one(conn, request, &get->keys[i], &rows[i]);
    }
    conn->probe = NULL;
    get->rows = code == FH_OK ? rows : NULL;
    return code;
}

static enum fh_sqlite_shape list_shape(const struct fh_op_list *list)
{
    if (list->after != NULL) {
        return list->show_deleted ? FH_SQLITE_LIST_AFTER_ANY : FH_SQLITE_LIST_AFTER;
    }
    return list->show_deleted ? FH_SQLITE_LIST_ANY : FH_SQLITE_LIST;
}

/* From the admitted first row on: up to `limit`, and whether there is one more. */
static enum fh_code collect(struct fh_sqlite_conn *conn, struct fh_request *request,
                            sqlite3_stmt *statement, struct fh_row **rows)
{
    struct fh_op_list *list = &request->as.list;
    bool row = true;
    while (row) { /* at most limit + 1 rows: the statement's LIMIT */
        if (list->count == list->limit) {
            list->more = true;
            return FH_OK;
        }
        enum fh_code code =
            say(request, fh_sqlite_read_row(statement, FH_SQLITE_FENCE_COLUMNS, list->table,
                                            request->arena, &rows[list->count]));
        if (code != FH_OK || rows[list->count] == NULL) {
            return code;
        }
        list->count++;
        code = fh_sqlite_statement_step(conn, statement, &row, &request->error);
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

enum fh_code fh_sqlite_list(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_op_list *list = &request->as.list;
    sqlite3_stmt *statement = NULL;
    list->rows = NULL;
    list->count = 0;
    list->more = false;
    struct fh_row **rows = FH_ARENA_ARRAY(request->arena, struct fh_row *, list->limit);
    if (rows == NULL) {
        return say(request, FH_NOMEM);
    }
    enum fh_code code =
        fh_sqlite_statement_get(conn, list_shape(list), list->table, 0, &request->scope.tenant,
                                &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    int rc = sqlite3_bind_int64(statement, 2, (sqlite3_int64)request->scope.epoch);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int64(statement, 3, (sqlite3_int64)list->limit + 1);
    }
    if (rc == SQLITE_OK && list->after != NULL) {
        rc = fh_sqlite_bind_key(statement, 4, list->after);
    }
    code = rc == SQLITE_OK ? first_step(conn, request, statement)
                           : fh_sqlite_conn_fail(conn, rc, &request->error);
    if (code == FH_OK) {
        code = collect(conn, request, statement, rows);
    }
    fh_sqlite_statement_end(conn, statement);
    if (code == FH_OK) {
        list->rows = rows;
    } else {
        list->count = 0;
        list->more = false;
    }
    return code;
}

static enum fh_code collect_events(struct fh_sqlite_conn *conn, struct fh_request *request,
                                   sqlite3_stmt *statement, struct fh_commit_record *records)
{
    struct fh_op_events *events = &request->as.events;
    bool row = true;
    while (row) {
        if (events->count == events->limit) {
            events->more = true;
            return FH_OK;
        }
        bool found = false;
        enum fh_code code =
            say(request,
                fh_sqlite_read_record(statement, FH_SQLITE_FENCE_COLUMNS, request->scope.schema,
                                      request->arena, &found, &records[events->count]));
        if (code != FH_OK || !found) {
            return code;
        }
        events->count++;
        code = fh_sqlite_statement_step(conn, statement, &row, &request->error);
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

static int bind_events(sqlite3_stmt *statement, const struct fh_request *request, bool before)
{
    const struct fh_op_events *events = &request->as.events;
    int rc = sqlite3_bind_int64(statement, 2, (sqlite3_int64)request->scope.epoch);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int64(statement, 3, (sqlite3_int64)events->limit + 1);
    }
    if (rc == SQLITE_OK && before) {
        rc = sqlite3_bind_int64(statement, 4, (sqlite3_int64)events->before_epoch);
    }
    if (rc == SQLITE_OK && before) {
        rc = sqlite3_bind_int64(statement, 5, (sqlite3_int64)events->before_seq);
    }
    return rc;
}

enum fh_code fh_sqlite_events(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_op_events *events = &request->as.events;
    bool before = events->before_epoch != 0 || events->before_seq != 0;
    sqlite3_stmt *statement = NULL;
    events->records = NULL;
    events->count = 0;
    events->more = false;
    struct fh_commit_record *records =
        FH_ARENA_ARRAY(request->arena, struct fh_commit_record, events->limit);
    if (records == NULL) {
        return say(request, FH_NOMEM);
    }
    enum fh_code code =
        fh_sqlite_statement_get(conn, before ? FH_SQLITE_EVENTS_BEFORE : FH_SQLITE_EVENTS, NULL, 0,
                                &request->scope.tenant, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    int rc = bind_events(statement, request, before);
    code = rc == SQLITE_OK ? first_step(conn, request, statement)
                           : fh_sqlite_conn_fail(conn, rc, &request->error);
    if (code == FH_OK) {
        code = collect_events(conn, request, statement, records);
    }
    fh_sqlite_statement_end(conn, statement);
    if (code == FH_OK) {
        events->records = records;
    } else {
        events->count = 0;
        events->more = false;
    }
    return code;
}
