/* Happy path: the fence of a dedicated home is as the guard requires; the version is read; what
 * leads from there to the target is executed; the version is set.
 *
 * Failures: FH_NO_TENANT and FH_MOVED of a dedicated home; never backwards, and only from a version
 * that the new schema builds on (FH_PRECONDITION); stored rows that break what is new
 * (FH_CHECK_VIOLATION, FH_UNIQUE_VIOLATION, FH_REFERENCE_VIOLATION, naming table and constraint);
 * the deadline (FH_DEADLINE). Nothing of it stays then.
 */
#include "stores/sqlite/schema.h"

#include "base/assert.h"
#include "stores/sqlite/admit.h"
#include "stores/sqlite/ddl.h"
#include "stores/sqlite/errors.h"
#include "stores/sqlite/fence.h"
#include "stores/sqlite/version.h"

#define PROGRESS_STEPS 2000 /* of the virtual machine: some 100 us */

struct run {
    struct fh_sqlite_conn *conn;
    int64_t now_us; /* of the change: the same for all rows */
};

enum fh_code fh_sqlite_schema_begin(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    const struct fh_op_schema *op = &request->as.schema;
    uint32_t patience = op->lock_timeout_ms > 0 ? op->lock_timeout_ms : FH_SQLITE_SCHEMA_LOCK_MS;
    uint32_t slices = (patience + FH_SQLITE_LOCK_WAITS_MAX - 1) / FH_SQLITE_LOCK_WAITS_MAX;
    enum fh_code code = FH_OK;
    conn->deadline_us = request->deadline_us;
    do { /* each waits for FH_SQLITE_LOCK_WAITS_MAX milliseconds */
        code = fh_sqlite_admit(conn->clock, request);
        if (code != FH_OK) {
            return code;
        }
        conn->last_rc = SQLITE_OK;
        code = fh_sqlite_statement_run(conn, FH_SQLITE_BEGIN_WRITE, &request->error);
    } while (code != FH_OK && (conn->last_rc & 0xff) == SQLITE_BUSY && --slices > 0);
    if (code != FH_OK && (conn->last_rc & 0xff) == SQLITE_BUSY) {
        return fh_error_set(&request->error, FH_CONFLICT,
                            "the store's file was locked for %u ms; nothing was changed, retry",
                            patience);
    }
    return code;
}

static void now_cb(sqlite3_context *context, int count, sqlite3_value **values)
{
    const struct run *run = sqlite3_user_data(context);
    (void)count;
    (void)values;
    sqlite3_result_int64(context, run->now_us);
}

static void uuid_cb(sqlite3_context *context, int count, sqlite3_value **values)
{
    const struct run *run = sqlite3_user_data(context);
    struct fh_uuid uuid = fh_uuid_v7(run->now_us);
    (void)count;
    (void)values;
    sqlite3_result_blob(context, uuid.bytes, sizeof(uuid.bytes), SQLITE_TRANSIENT);
}

static int progress_cb(void *arg)
{
    const struct run *run = arg;
    return fh_clock_monotonic_us(run->conn->clock) >= run->conn->deadline_us;
}

/* Only while it runs, for a group must never be interrupted. */
static enum fh_code set_up(struct run *run, struct fh_error *error)
{
    sqlite3 *db = run->conn->db;
    int rc = sqlite3_create_function_v2(db, "fh_now", 0, SQLITE_UTF8 | SQLITE_DIRECTONLY, run,
                                        now_cb, NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_create_function_v2(db, "fh_uuid", 0, SQLITE_UTF8 | SQLITE_DIRECTONLY, run,
                                        uuid_cb, NULL, NULL, NULL);
    }
    sqlite3_progress_handler(db, PROGRESS_STEPS, progress_cb, run);
    return rc == SQLITE_OK ? FH_OK : fh_sqlite_conn_fail(run->conn, rc, error);
}

static void tear_down(struct run *run)
{
    sqlite3 *db = run->conn->db;
    sqlite3_progress_handler(db, 0, NULL, NULL);
    if (sqlite3_create_function_v2(db, "fh_now", 0, SQLITE_UTF8, NULL, NULL, NULL, NULL, NULL) !=
            SQLITE_OK ||
        sqlite3_create_function_v2(db, "fh_uuid", 0, SQLITE_UTF8, NULL, NULL, NULL, NULL, NULL) !=
            SQLITE_OK) {
        run->conn->broken = true; /* they point to what is gone */
    }
}

/* A row of a query that looks for broken references. */
static enum fh_code probe(struct fh_sqlite_conn *conn, const struct fh_sqlite_ddl *ddl,
                          struct fh_error *error)
{
    int64_t found = 0;
    enum fh_code code = fh_sqlite_conn_pragma(conn, ddl->sql, &found, error);
    if (code == FH_OK && found != 0) {
        return fh_error_set(error, FH_REFERENCE_VIOLATION,
                            "table %.*s, constraint %.*s: a live record references a record that "
                            "is not there or deleted",
                            FH_STR_ARG(ddl->table->name), FH_STR_ARG(ddl->foreign->name));
    }
    return code;
}

/* Stored rows break what a statement asks of them. */
static enum fh_code explain(struct fh_sqlite_conn *conn, const struct fh_sqlite_ddl *ddl,
                            enum fh_code code, struct fh_error *error)
{
    const struct fh_table *table = ddl->table;
    if ((conn->last_rc & 0xff) != SQLITE_CONSTRAINT || table == NULL) {
        return code;
    }
    const struct fh_check *check = fh_sqlite_broken_check(conn->db, table);
    if (check != NULL) {
        return fh_error_set(error, FH_CHECK_VIOLATION, "table %.*s: a record breaks check %.*s",
                            FH_STR_ARG(table->name), FH_STR_ARG(check->name));
    }
    if (code == FH_UNIQUE_VIOLATION) {
        return fh_error_set(error, code, "table %.*s: records break unique index %.*s",
                            FH_STR_ARG(table->name), FH_STR_ARG(ddl->name));
    }
    return fh_error_set(error, code, "table %.*s: a record has no value where one is required",
                        FH_STR_ARG(table->name));
}

static enum fh_code ddl_cb(void *arg, const struct fh_sqlite_ddl *ddl, struct fh_error *error)
{
    struct run *run = arg;
    if (ddl->kind == FH_SQLITE_PROBE) {
        return probe(run->conn, ddl, error);
    }
    run->conn->last_rc = SQLITE_OK;
    enum fh_code code = fh_sqlite_conn_exec(run->conn, ddl->sql, error);
    return code == FH_OK ? FH_OK : explain(run->conn, ddl, code, error);
}

static enum fh_code bring(struct fh_sqlite_conn *conn, int64_t version,
                          const struct fh_schema *target, struct fh_error *error)
{
    struct fh_sqlite_ddl_home home;
    struct run run = {.conn = conn, .now_us = fh_clock_realtime_us(conn->clock)};
    fh_sqlite_ddl_home_of(&conn->home, &home);
    enum fh_code code = set_up(&run, error);
    if (code == FH_OK) {
        code = fh_sqlite_ddl_bring(&home, version, target, ddl_cb, &run, error);
    }
    tear_down(&run);
    return code == FH_OK ? fh_sqlite_version_set(conn, target->version, error) : code;
}

enum fh_code fh_sqlite_schema_make(struct fh_sqlite_conn *conn, const struct fh_schema *schema,
                                   struct fh_error *error)
{
    return bring(conn, 0, schema, error);
}

static enum fh_code guard(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_fence fence;
    if (!fh_home_is_dedicated(&request->scope.home)) {
        return FH_OK;
    }
    enum fh_code code = fh_sqlite_fence_find(conn, &request->scope, &fence, &request->error);
    return code == FH_OK ? fh_sqlite_fence_guard(request, &fence, &request->as.schema.guard) : code;
}

enum fh_code fh_sqlite_schema_apply(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_op_schema *op = &request->as.schema;
    enum fh_code code = guard(conn, request);
    if (code == FH_OK) {
        code = fh_sqlite_conn_read_version(conn, &request->error);
    }
    if (code != FH_OK) {
        return code;
    }
    int64_t present = conn->schema_version;
    op->version_seen = present > 0 ? (uint32_t)present : 0;
    request->version_seen = op->version_seen;
    if (present == (int64_t)op->target->version) {
        return FH_OK;
    }
    code = bring(conn, present, op->target, &request->error);
    if (code == FH_OK) {
        op->version_seen = op->target->version;
        request->version_seen = op->version_seen;
    }
    return code;
}
