/* Failures of an erase in the middle leave a closed fence and fewer rows: asking again goes on. */
#include "stores/sqlite/fence.h"

#include "stores/sqlite/homes.h"
#include "stores/sqlite/owner.h"
#include "stores/sqlite/rows.h"
#include "stores/sqlite/version.h"

static void see(struct fh_request *request, const struct fh_fence *fence)
{
    request->epoch_seen = fence->epoch;
    request->mode_seen = fence->mode;
}

/* Steps to the fence's row. The statement is the caller's to end. */
static enum fh_code step_to_fence(struct fh_sqlite_conn *conn, sqlite3_stmt *statement,
                                  const struct fh_scope *scope, struct fh_fence *out,
                                  struct fh_error *error)
{
    bool row = false;
    *out = (struct fh_fence){.epoch = 0};
    enum fh_code code = fh_sqlite_statement_step(conn, statement, &row, error);
    if (code == FH_OK && !row) {
        code = fh_error_set(error, FH_NO_TENANT, "the tenant has no home in this store");
    }
    if (code == FH_OK) {
        code = fh_sqlite_owned(conn, statement, 0, &scope->tenant, error);
    }
    if (code == FH_OK) {
        *out = (struct fh_fence){
            .epoch = (uint64_t)sqlite3_column_int64(statement, 1),
            .mode = (enum fh_fence_mode)sqlite3_column_int(statement, 2),
            .generation = (uint64_t)sqlite3_column_int64(statement, FH_SQLITE_FENCE_COLUMNS),
        };
        fh_sqlite_version_note(conn, statement, FH_SQLITE_FENCE_COLUMNS - 1);
    }
    return code;
}

/* Of a look at a fence that ended with `code`: tables that are not there, in a bridge file, also
 * for a statement that was made when they were. */
static enum fh_code explain(struct fh_sqlite_conn *conn, enum fh_code code, struct fh_error *error)
{
    if (code != FH_OK && conn->bridge && (conn->last_rc & 0xff) == SQLITE_ERROR &&
        !fh_sqlite_homes_here(conn)) {
        conn->schema_version = FH_SQLITE_VERSION_NONE;
        return fh_error_set(error, FH_NO_TENANT, "the tenant has no home in this store");
    }
    return code;
}

enum fh_code fh_sqlite_fence_find(struct fh_sqlite_conn *conn, const struct fh_scope *scope,
                                  struct fh_fence *out, struct fh_error *error)
{
    sqlite3_stmt *statement = NULL;
    *out = (struct fh_fence){.epoch = 0};
    conn->last_rc = SQLITE_OK;
    enum fh_code code = fh_sqlite_statement_get(conn, FH_SQLITE_FENCE_READ, NULL, 0, &scope->tenant,
                                                &statement, error);
    if (code == FH_OK) {
        code = step_to_fence(conn, statement, scope, out, error);
        fh_sqlite_statement_end(conn, statement);
    }
    return explain(conn, code, error);
}

enum fh_code fh_sqlite_fence_commit(struct fh_sqlite_conn *conn, struct fh_request *request,
                                    uint64_t *last_seq, bool *known)
{
    const struct fh_str id = request->as.commit.request_id;
    sqlite3_stmt *statement = NULL;
    struct fh_fence fence = {.epoch = 0};
    conn->last_rc = SQLITE_OK;
    enum fh_code code = fh_sqlite_statement_get(
        conn, FH_SQLITE_FENCE_COMMIT, NULL, 0, &request->scope.tenant, &statement, &request->error);
    if (code == FH_OK) {
        int rc = sqlite3_bind_int64(statement, 2, (sqlite3_int64)request->scope.epoch);
        if (rc == SQLITE_OK && id.len > 0) { /* null is no record's */
            rc = fh_sqlite_bind_text(statement, 3, id);
        }
        code = rc == SQLITE_OK
                   ? step_to_fence(conn, statement, &request->scope, &fence, &request->error)
                   : fh_sqlite_conn_fail(conn, rc, &request->error);
        if (code == FH_OK) {
            int at = FH_SQLITE_FENCE_COLUMNS + 1;
            *last_seq = (uint64_t)sqlite3_column_int64(statement, at);
            *known = sqlite3_column_type(statement, at + 1) != SQLITE_NULL;
        }
        fh_sqlite_statement_end(conn, statement);
    }
    code = explain(conn, code, &request->error);
    if (code == FH_OK) {
        code = fh_sqlite_fence_admit(request, &fence, true);
    }
    return code == FH_OK ? fh_sqlite_version_admit(conn, request) : code;
}

enum fh_code fh_sqlite_fence_admit(struct fh_request *request, const struct fh_fence *fence,
                                   bool writing)
{
    see(request, fence);
    bool allowed = fence->mode == FH_FENCE_OPEN || (!writing && fence->mode == FH_FENCE_FROZEN);
    if (fence->epoch == request->scope.epoch && allowed) {
        return FH_OK;
    }
    return fh_error_set(&request->error, FH_MOVED, "%s", fh_code_text(FH_MOVED));
}

enum fh_code fh_sqlite_fence_guard(struct fh_request *request, const struct fh_fence *fence,
                                   const struct fh_fence_guard *guard)
{
    see(request, fence);
    if (fence->epoch == request->scope.epoch && (guard->modes & FH_FENCE_BIT(fence->mode)) != 0 &&
        (request->op == FH_OP_SIZE || fence->generation == guard->generation)) {
        return FH_OK;
    }
    return fh_error_set(&request->error, FH_MOVED, "%s", fh_code_text(FH_MOVED));
}

enum fh_code fh_sqlite_fence_joined(struct fh_sqlite_conn *conn, struct fh_request *request,
                                    sqlite3_stmt *statement)
{
    const struct fh_uuid *owner =
        request->probe != NULL ? fh_probe_owner(request->probe) : &request->scope.tenant;
    enum fh_code code = fh_sqlite_owned(conn, statement, 0, owner, &request->error);
    if (code != FH_OK) {
        return code;
    }
    struct fh_fence fence = {
        .epoch = (uint64_t)sqlite3_column_int64(statement, 1),
        .mode = (enum fh_fence_mode)sqlite3_column_int(statement, 2),
    };
    fh_sqlite_version_note(conn, statement, FH_SQLITE_FENCE_COLUMNS - 1);
    code = fh_sqlite_fence_admit(request, &fence, false);
    return code == FH_OK ? fh_sqlite_version_admit(conn, request) : code;
}

enum fh_code fh_sqlite_fence_read(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_op_fence *op = &request->as.fence;
    enum fh_code code = fh_sqlite_fence_find(conn, &request->scope, &op->seen, &request->error);
    if (code == FH_OK) {
        see(request, &op->seen);
    } else if (code == FH_NO_TENANT && fh_sqlite_conn_read_version(conn, NULL) != FH_OK) {
        conn->schema_version = FH_SQLITE_VERSION_NONE; /* there is no home */
    }
    if (code == FH_OK || code == FH_NO_TENANT) {
        op->schema_version = conn->schema_version > 0 ? (uint32_t)conn->schema_version : 0;
    }
    return code;
}

static int bind_fence(sqlite3_stmt *statement, int first, const struct fh_fence *fence)
{
    int rc = sqlite3_bind_int64(statement, first, (sqlite3_int64)fence->epoch);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int64(statement, first + 1, (sqlite3_int64)fence->generation);
    }
    return rc == SQLITE_OK ? sqlite3_bind_int(statement, first + 2, (int)fence->mode) : rc;
}

/* One statement that must write one row. */
static enum fh_code write_fence(struct fh_sqlite_conn *conn, struct fh_request *request,
                                enum fh_sqlite_shape shape, const struct fh_fence *fence,
                                const struct fh_fence *expected)
{
    sqlite3_stmt *statement = NULL;
    size_t count = 0;
    enum fh_code code = fh_sqlite_statement_get(conn, shape, NULL, 0, &request->scope.tenant,
                                                &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    int rc = bind_fence(statement, 2, fence);
    if (rc == SQLITE_OK && expected != NULL) {
        rc = bind_fence(statement, 5, expected);
    }
    if (rc != SQLITE_OK) {
        code = fh_sqlite_conn_fail(conn, rc, &request->error);
    } else {
        code =
            fh_sqlite_write_rows(conn, statement, &request->scope.tenant, &count, &request->error);
    }
    fh_sqlite_statement_end(conn, statement);
    if (code == FH_OK && count != 1) {
        return fh_error_set(&request->error, FH_INTERNAL, "the fence was not written");
    }
    return code;
}

enum fh_code fh_sqlite_fence_set(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_op_fence *op = &request->as.fence;
    enum fh_code code = fh_sqlite_fence_find(conn, &request->scope, &op->seen, &request->error);
    if (code != FH_OK) {
        return code;
    }
    see(request, &op->seen);
    if (!fh_fence_equal(&op->seen, &op->expected)) {
        return fh_error_set(&request->error, FH_MOVED, "the fence is not as expected");
    }
    code = write_fence(conn, request, FH_SQLITE_FENCE_UPDATE, &op->desired, &op->expected);
    if (code == FH_OK) {
        op->seen = op->desired;
        see(request, &op->seen);
    }
    return code;
}

enum fh_code fh_sqlite_fence_same(const struct fh_sqlite_conn *conn, struct fh_request *request,
                                  const struct fh_fence *present)
{
    see(request, present);
    if (!fh_fence_equal(present, &request->as.home.fence)) {
        return fh_error_set(&request->error, FH_EXISTS,
                            "the tenant has a home in this store, with another fence");
    }
    int64_t version = conn->schema_version;
    if (fh_home_is_dedicated(&request->scope.home) &&
        version != (int64_t)request->scope.schema->version) {
        request->version_seen = version > 0 ? (uint32_t)version : 0;
        return fh_error_set(&request->error, FH_STALE_SCHEMA, "%s", fh_code_text(FH_STALE_SCHEMA));
    }
    return FH_OK;
}

enum fh_code fh_sqlite_home_create(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    const struct fh_fence *wanted = &request->as.home.fence;
    struct fh_fence present;
    enum fh_code code = fh_sqlite_conn_read_version(conn, &request->error);
    if (code == FH_OK && conn->schema_version < 0) {
        return fh_error_set(&request->error, FH_PRECONDITION, "the store has no schema yet");
    }
    if (code == FH_OK) {
        code = fh_sqlite_fence_find(conn, &request->scope, &present, &request->error);
    }
    if (code == FH_OK) {
        return fh_sqlite_fence_same(conn, request, &present);
    }
    if (code != FH_NO_TENANT) {
        return code;
    }
    request->error = (struct fh_error)FH_ERROR_INIT;
    code = write_fence(conn, request, FH_SQLITE_FENCE_INSERT, wanted, NULL);
    if (code == FH_OK) {
        see(request, wanted);
    }
    return code;
}

static enum fh_code erase_rows(struct fh_sqlite_conn *conn, struct fh_request *request,
                               enum fh_sqlite_shape shape, const struct fh_table *table,
                               int64_t *budget)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code = fh_sqlite_statement_get(conn, shape, table, 0, &request->scope.tenant,
                                                &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    int rc = sqlite3_bind_int64(statement, 2, *budget);
    code = rc == SQLITE_OK ? fh_sqlite_statement_step(conn, statement, &row, &request->error)
                           : fh_sqlite_conn_fail(conn, rc, &request->error);
    if (code == FH_OK) {
        int64_t erased = sqlite3_changes64(conn->db);
        *budget -= erased;
        if (shape == FH_SQLITE_ERASE) {
            request->as.home.rows_erased += (uint64_t)erased;
        }
    }
    fh_sqlite_statement_end(conn, statement);
    return code;
}

/* ?2 and ?3 are integers, as the two shapes that come here want them. */
static enum fh_code touch_fence(struct fh_sqlite_conn *conn, struct fh_request *request,
                                enum fh_sqlite_shape shape, int64_t second, int64_t third)
{
    sqlite3_stmt *statement = NULL;
    size_t count = 0;
    enum fh_code code = fh_sqlite_statement_get(conn, shape, NULL, 0, &request->scope.tenant,
                                                &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    int rc = sqlite3_bind_int64(statement, 2, second);
    if (rc == SQLITE_OK && shape == FH_SQLITE_FENCE_CLOSE) {
        rc = sqlite3_bind_int64(statement, 3, third);
    }
    code = rc == SQLITE_OK ? fh_sqlite_write_rows(conn, statement, &request->scope.tenant, &count,
                                                  &request->error)
                           : fh_sqlite_conn_fail(conn, rc, &request->error);
    fh_sqlite_statement_end(conn, statement);
    if (code == FH_OK && count != 1) {
        return fh_error_set(&request->error, FH_INTERNAL, "the fence was not written");
    }
    return code;
}

/* Of a home that goes as a whole. */
static enum fh_code find_to_erase(struct fh_sqlite_conn *conn, struct fh_request *request,
                                  struct fh_fence *present)
{
    enum fh_code code = fh_sqlite_fence_find(conn, &request->scope, present, &request->error);
    if (code != FH_OK) {
        return code;
    }
    see(request, present);
    return present->generation == request->as.home.fence.generation
               ? FH_OK
               : fh_error_set(&request->error, FH_MOVED, "the fence has another generation");
}

enum fh_code fh_sqlite_fence_end(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_fence present;
    enum fh_code code = find_to_erase(conn, request, &present);
    return code == FH_OK
               ? touch_fence(conn, request, FH_SQLITE_FENCE_DELETE, (int64_t)present.generation, 0)
               : code;
}

enum fh_code fh_sqlite_fence_shut(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_fence present;
    enum fh_code code = find_to_erase(conn, request, &present);
    return code == FH_OK && present.mode != FH_FENCE_CLOSED
               ? touch_fence(conn, request, FH_SQLITE_FENCE_CLOSE, FH_FENCE_CLOSED,
                             (int64_t)present.generation)
               : code;
}

/* The state of a move into this home; perhaps there is none. */
static enum fh_code erase_state(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    sqlite3_stmt *statement = NULL;
    size_t count = 0;
    enum fh_code code = fh_sqlite_statement_get(
        conn, FH_SQLITE_STATE_ERASE, NULL, 0, &request->scope.tenant, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    code = fh_sqlite_write_rows(conn, statement, &request->scope.tenant, &count, &request->error);
    fh_sqlite_statement_end(conn, statement);
    return code;
}

enum fh_code fh_sqlite_home_erase(struct fh_sqlite_conn *conn, struct fh_request *request,
                                  bool *more)
{
    const struct fh_schema *schema = request->scope.schema;
    const struct fh_fence *wanted = &request->as.home.fence;
    struct fh_fence present;
    *more = false;
    enum fh_code code = fh_sqlite_fence_find(conn, &request->scope, &present, &request->error);
    if (code == FH_NO_TENANT) {
        request->error = (struct fh_error)FH_ERROR_INIT;
        return FH_OK; /* nothing is there: rows never outlive their fence */
    }
    if (code != FH_OK) {
        return code;
    }
    see(request, &present);
    if (present.generation != wanted->generation) {
        return fh_error_set(&request->error, FH_MOVED, "the fence has another generation");
    }
    code = fh_sqlite_version_admit(conn, request); /* rows of tables it does not know would stay */
    if (code == FH_OK && present.mode != FH_FENCE_CLOSED) { /* nobody is to meet it half-erased */
        code = touch_fence(conn, request, FH_SQLITE_FENCE_CLOSE, FH_FENCE_CLOSED,
                           (int64_t)wanted->generation);
    }
    int64_t budget = FH_SQLITE_ERASE_ROWS_MAX;
    for (uint32_t i = 0; i < schema->table_count && code == FH_OK && budget > 0; i++) {
        code = erase_rows(conn, request, FH_SQLITE_ERASE, schema->tables[i], &budget);
    }
    if (code == FH_OK && budget > 0) {
        code = erase_rows(conn, request, FH_SQLITE_RECORD_ERASE, NULL, &budget);
    }
    if (code == FH_OK && budget > 0) {
        code = erase_state(conn, request);
    }
    if (code == FH_OK && budget > 0) {
        return touch_fence(conn, request, FH_SQLITE_FENCE_DELETE, (int64_t)wanted->generation, 0);
    }
    *more = code == FH_OK;
    return code;
}
