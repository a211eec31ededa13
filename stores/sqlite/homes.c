/* Happy path of a file: lock the directory -> nothing under the name -> make `<name>.new` whole,
 * without a log, sync it -> rename -> sync the directory -> unlock.
 * Of its end: lock -> the fence goes, in the file -> unlink -> sync -> unlink what stood
 * beside it.
 *
 * Failures: what is half made is removed before the answer; what a process that died left under
 * .new is removed by the next one that makes or erases the home. A file without a fence is what an
 * erase left that died between the fence and the name: it is swept like one.
 */
#include "stores/sqlite/homes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fault_point.h"
#include "stores/sqlite/bridge.h"
#include "stores/sqlite/ddl.h"
#include "stores/sqlite/errors.h"
#include "stores/sqlite/fence.h"
#include "stores/sqlite/identity.h"
#include "stores/sqlite/schema.h"
#include "stores/sqlite/views.h"

#define NEW_SUFFIX FH_SQLITE_NEW_SUFFIX
#define SYSTEM_TABLES_MAX 64 /* of one home; a bound for the loop that drops them */

enum fh_code fh_sqlite_homes_init(struct fh_sqlite_homes *homes,
                                  const struct fh_sqlite_layout *layout, uint32_t homes_max)
{
    *homes = (struct fh_sqlite_homes){
        .layout = layout,
        .homes_max = homes_max > 0 ? homes_max : FH_SQLITE_HOMES_MAX_DEFAULT,
    };
    return pthread_mutex_init(&homes->mutex, NULL) == 0 ? FH_OK : FH_NOMEM;
}

void fh_sqlite_homes_close(struct fh_sqlite_homes *homes)
{
    pthread_mutex_destroy(&homes->mutex);
}

/* ?1 is the prefix. */
#define TABLES_OF_HOME                                                                            \
    "SELECT name FROM main.sqlite_schema WHERE type='table' AND substr(name,1,7)<>'sqlite_' AND " \
    "substr(name,1,length(?1))=?1"
#define TABLES_OF_APPLICATION TABLES_OF_HOME " AND substr(name,length(?1)+1,3)<>'fh_'"

static enum fh_code count_table(struct fh_sqlite_conn *conn, const char *name,
                                struct fh_request *request)
{
    char sql[256];
    int64_t count = 0;
    sqlite3_snprintf(sizeof(sql), sql, "SELECT count(*) FROM main.\"%w\"", name);
    enum fh_code code = fh_sqlite_conn_pragma(conn, sql, &count, &request->error);
    request->as.home.rows_erased += (uint64_t)count;
    return code;
}

/* Both tiers: the tables, the version and the fence, in a transaction that is open. */

static enum fh_code ddl_cb(void *arg, const struct fh_sqlite_ddl *ddl, struct fh_error *error)
{
    return fh_sqlite_conn_exec(arg, ddl->sql, error);
}

static enum fh_code make_tables(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_sqlite_ddl_home home;
    fh_sqlite_ddl_home_of(&request->scope.home, &home);
    enum fh_code code = fh_sqlite_ddl_system(&home, ddl_cb, conn, &request->error);
    if (code == FH_OK) {
        code = fh_sqlite_schema_make(conn, request->scope.schema, &request->error);
    }
    return code == FH_OK ? fh_sqlite_home_create(conn, request) : code;
}

static void roll_back(struct fh_sqlite_conn *conn)
{
    if (fh_sqlite_conn_in_transaction(conn) &&
        fh_sqlite_statement_run(conn, FH_SQLITE_ROLLBACK, NULL) != FH_OK) {
        conn->broken = true; /* closing ends it */
    }
}

static enum fh_code begin(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    conn->deadline_us = request->deadline_us;
    fh_sqlite_conn_use_home(conn, &request->scope.home);
    enum fh_code code = fh_sqlite_views_use(conn, NULL, &request->error);
    return code == FH_OK ? fh_sqlite_statement_run(conn, FH_SQLITE_BEGIN_WRITE, &request->error)
                         : code;
}

static enum fh_code finish(struct fh_sqlite_conn *conn, struct fh_error *error)
{
    conn->last_rc = SQLITE_OK;
    enum fh_code code = fh_sqlite_statement_run(conn, FH_SQLITE_COMMIT, error);
    if (code == FH_OK) {
        return FH_OK;
    }
    bool refused = fh_sqlite_commit_refused(conn->last_rc);
    roll_back(conn);
    if (refused) {
        return code;
    }
    conn->broken = true;
    return fh_error_set(error, FH_OUTCOME_UNKNOWN,
                        "the store's file failed while the home was changed; ask again");
}

/* Database tier */

/* The file, what stands beside it and what an attempt left, durably. The name first: without its
 * log a file would show what was before, with an open fence perhaps. */
static enum fh_code remove_file(const struct fh_sqlite_place *place, struct fh_error *error)
{
    static const char *const suffixes[] = {"-wal",
                                           "-shm",
                                           "-journal",
                                           NEW_SUFFIX,
                                           NEW_SUFFIX "-wal",
                                           NEW_SUFFIX "-shm",
                                           NEW_SUFFIX "-journal"};
    bool removed = false;
    enum fh_code code = fh_sqlite_file_remove(place, "", &removed, error);
    if (code == FH_OK && removed) {
        code = fh_sqlite_directory_sync(place->directory, error);
        fh_fault_point("sqlite.erase.unnamed");
    }
    removed = false;
    if (code == FH_OK) {
        code = fh_sqlite_file_remove_all(place, suffixes, sizeof(suffixes) / sizeof(suffixes[0]),
                                         &removed, error);
    }
    return code == FH_OK && removed ? fh_sqlite_directory_sync(place->directory, error) : code;
}

static enum fh_code fill_new(struct fh_sqlite_conn *maker, struct fh_request *request)
{
    enum fh_code code = fh_sqlite_conn_open(maker, &request->error);
    if (code == FH_OK) {
        code = begin(maker, request);
    }
    if (code == FH_OK) {
        code = fh_sqlite_identify_new(maker, &request->error);
    }
    if (code == FH_OK) {
        code = make_tables(maker, request);
    }
    if (code == FH_OK) {
        code = fh_sqlite_statement_run(maker, FH_SQLITE_COMMIT, &request->error);
    }
    if (code == FH_OK) { /* whoever opens it finds a log wanted; there is none beside it yet */
        code = fh_sqlite_conn_exec(maker, "PRAGMA journal_mode=WAL", &request->error);
    }
    fh_sqlite_conn_close(maker);
    return code;
}

/* The directory's lock is held, and nothing is under the name. */
static enum fh_code make_file(const struct fh_sqlite_conn *conn, struct fh_request *request)
{
    const struct fh_sqlite_place *place = conn->place;
    struct fh_sqlite_conn maker;
    char path[FH_SQLITE_PATH_SIZE + sizeof(NEW_SUFFIX)];
    /* A log beside a new file would be taken for its own. */
    enum fh_code code = remove_file(place, &request->error);
    if (code != FH_OK) {
        return code;
    }
    (void)snprintf(path, sizeof(path), "%s" NEW_SUFFIX, place->path);
    fh_sqlite_conn_init(&maker, FH_SQLITE_ERASER, path, conn->clock, conn->faults);
    maker.making = true;
    maker.deadline_us = request->deadline_us;
    code = fh_sqlite_file_make_empty(path, &request->error);
    if (code == FH_OK) {
        code = fill_new(&maker, request);
    }
    if (code == FH_OK) {
        code = fh_sqlite_file_sync(path, &request->error);
    }
    fh_fault_point("sqlite.home.filled");
    if (code == FH_OK && rename(path, place->path) != 0) {
        code = fh_sqlite_path_error(&request->error, place->path, errno);
    }
    fh_fault_point("sqlite.home.named");
    if (code == FH_OK) {
        code = fh_sqlite_directory_sync(place->directory, &request->error);
    }
    if (code != FH_OK) {
        enum fh_code ignored = remove_file(place, NULL); /* nobody could open it yet */
        (void)ignored;                                   /* the next attempt sweeps it */
    }
    return code;
}

/* A file that was put under a wrong name is not swept. */
static enum fh_code look_for_others(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    int64_t fences = 0;
    enum fh_code code =
        fh_sqlite_conn_pragma(conn, "SELECT count(*) FROM main.fh_fence", &fences, &request->error);
    if (code != FH_OK) {
        return code;
    }
    return fences == 0 ? FH_NO_TENANT
                       : fh_error_set(&request->error, FH_CORRUPT,
                                      "the file of the tenant's home is another tenant's; put it "
                                      "back under its own name");
}

/* What the file under the name says of the tenant. The directory's lock is held. */
static enum fh_code look(struct fh_sqlite_conn *conn, struct fh_request *request,
                         struct fh_fence *present)
{
    enum fh_code code = fh_sqlite_file_find(conn->path, &request->error);
    if (code != FH_OK) {
        return code;
    }
    conn->lock_held = true;
    conn->deadline_us = request->deadline_us;
    code = fh_sqlite_conn_open(conn, &request->error);
    if (code == FH_OK) {
        fh_sqlite_conn_use_home(conn, &request->scope.home);
        code = fh_sqlite_views_use(conn, NULL, &request->error);
    }
    if (code == FH_OK) {
        code = fh_sqlite_fence_find(conn, &request->scope, present, &request->error);
    }
    if (code == FH_NO_TENANT) {
        code = look_for_others(conn, request);
    }
    conn->lock_held = false;
    return code;
}

static enum fh_code have_directory(struct fh_sqlite_homes *homes,
                                   const struct fh_sqlite_place *place, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    pthread_mutex_lock(&homes->mutex);
    if (!homes->directories || !fh_sqlite_directory_exists(place)) {
        code = fh_sqlite_directories_make(homes->layout, error);
        homes->directories = code == FH_OK;
    }
    pthread_mutex_unlock(&homes->mutex);
    return code;
}

static enum fh_code create_file(struct fh_sqlite_homes *homes, struct fh_sqlite_conn *conn,
                                struct fh_request *request)
{
    struct fh_fence present;
    int lock = -1;
    enum fh_code code = have_directory(homes, conn->place, &request->error);
    if (code == FH_OK) {
        code = fh_sqlite_directory_lock(conn->place, true, conn->clock, request->deadline_us, &lock,
                                        &request->error);
    }
    if (code != FH_OK) {
        return code;
    }
    code = look(conn, request, &present);
    if (code == FH_OK) {
        code = fh_sqlite_fence_same(conn, request, &present);
    } else if (code == FH_NO_TENANT) {
        request->error = (struct fh_error)FH_ERROR_INIT;
        fh_sqlite_conn_close(conn);
        code = make_file(conn, request);
    }
    fh_sqlite_directory_unlock(lock);
    return code;
}

/* For the answer: rows of the application's tables. */
static enum fh_code count_rows(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    sqlite3_stmt *statement = NULL;
    enum fh_code code = FH_OK;
    conn->access = FH_SQLITE_ACCESS_SETUP;
    int rc = sqlite3_prepare_v2(conn->db, TABLES_OF_APPLICATION, -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_text(statement, 1, conn->prefix, -1, SQLITE_STATIC);
    }
    while (rc == SQLITE_OK && code == FH_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        code = count_table(conn, (const char *)sqlite3_column_text(statement, 0), request);
        rc = SQLITE_OK;
    }
    if (code == FH_OK && rc != SQLITE_DONE) {
        code = fh_sqlite_conn_fail(conn, rc, &request->error);
    }
    sqlite3_finalize(statement);
    return code;
}

/* The fence goes, so that no handle of the file can be used for this tenant any more. */
static enum fh_code end_fence(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    enum fh_code code = begin(conn, request);
    if (code == FH_OK) {
        code = fh_sqlite_fence_end(conn, request);
    }
    if (code == FH_OK) {
        code = count_rows(conn, request);
    }
    if (code == FH_OK) {
        return finish(conn, &request->error);
    }
    roll_back(conn);
    return code;
}

enum fh_code fh_sqlite_homes_erase_file(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_fence present;
    int lock = -1;
    enum fh_code code = fh_sqlite_directory_lock(conn->place, true, conn->clock,
                                                 request->deadline_us, &lock, &request->error);
    if (code == FH_NO_TENANT) {
        request->error = (struct fh_error)FH_ERROR_INIT;
        return FH_OK; /* not even its directory */
    }
    if (code != FH_OK) {
        return code;
    }
    code = look(conn, request, &present);
    if (code == FH_OK) {
        code = end_fence(conn, request);
        fh_fault_point("sqlite.erase.fence");
    }
    if (code == FH_OK || code == FH_NO_TENANT) {
        request->error = (struct fh_error)FH_ERROR_INIT;
        code = remove_file(conn->place, &request->error);
    }
    fh_sqlite_conn_close(conn); /* of a file without a name, or to be looked at anew */
    fh_sqlite_directory_unlock(lock);
    return code;
}

/* Schema tier */

bool fh_sqlite_homes_here(struct fh_sqlite_conn *conn)
{
    char table[FH_SQLITE_PREFIX_MAX + sizeof("fh_fence")];
    (void)snprintf(table, sizeof(table), "%sfh_fence", conn->prefix);
    return sqlite3_table_column_metadata(conn->db, "main", table, NULL, NULL, NULL, NULL, NULL,
                                         NULL) == SQLITE_OK;
}

static uint32_t total(const struct fh_sqlite_homes *homes)
{
    uint32_t sum = homes->reserved;
    for (size_t i = 0; i < FH_SQLITE_BRIDGE_FILES; i++) {
        sum += homes->counts[i];
    }
    return sum;
}

/* Without identify(), which would parse the schema of all homes. A file that does not open counts
 * for nothing: its own homes cannot be used either. */
static uint32_t count_file(const struct fh_sqlite_homes *homes, const struct fh_sqlite_conn *conn,
                           uint8_t number)
{
    struct fh_sqlite_place place;
    struct fh_sqlite_conn counter;
    uint32_t count = 0;
    fh_sqlite_layout_bridge(homes->layout, number, &place);
    fh_sqlite_conn_init(&counter, FH_SQLITE_READER, place.path, conn->clock, NULL);
    counter.place = &place;
    counter.unidentified = true;
    counter.deadline_us = conn->deadline_us;
    if (fh_sqlite_file_find(place.path, NULL) == FH_OK &&
        fh_sqlite_conn_open(&counter, NULL) == FH_OK &&
        fh_sqlite_bridge_count(&counter, &count, NULL) != FH_OK) {
        count = 0;
    }
    fh_sqlite_conn_close(&counter);
    return count;
}

static enum fh_code reserve(struct fh_sqlite_homes *homes, const struct fh_sqlite_conn *conn,
                            struct fh_error *error)
{
    enum fh_code code = FH_OK;
    pthread_mutex_lock(&homes->mutex);
    if (!homes->counted || total(homes) >= homes->homes_max) {
        for (uint8_t i = 0; i < FH_SQLITE_BRIDGE_FILES; i++) {
            homes->counts[i] = count_file(homes, conn, i);
        }
        homes->counted = true;
    }
    if (total(homes) >= homes->homes_max) {
        code = fh_error_set(error, FH_FULL, "the store has %u homes of the schema tier already",
                            homes->homes_max);
    } else {
        homes->reserved++;
    }
    pthread_mutex_unlock(&homes->mutex);
    return code;
}

static void settle(struct fh_sqlite_homes *homes, uint8_t number, const uint32_t *count)
{
    pthread_mutex_lock(&homes->mutex);
    homes->reserved--;
    if (count != NULL) {
        homes->counts[number] = *count;
    }
    pthread_mutex_unlock(&homes->mutex);
}

static enum fh_code change_count(struct fh_sqlite_conn *conn, int by, uint32_t *count,
                                 struct fh_error *error)
{
    enum fh_code code = fh_sqlite_bridge_count(conn, count, error);
    if (code != FH_OK) {
        return code;
    }
    *count = by < 0 && *count == 0 ? 0 : (uint32_t)((int)*count + by);
    return fh_sqlite_bridge_count_set(conn, *count, error);
}

static enum fh_code make_namespace(struct fh_sqlite_homes *homes, struct fh_sqlite_conn *conn,
                                   struct fh_request *request)
{
    uint32_t count = 0;
    enum fh_code code = reserve(homes, conn, &request->error);
    if (code != FH_OK) {
        return code;
    }
    code = make_tables(conn, request);
    if (code == FH_OK) {
        code = change_count(conn, 1, &count, &request->error);
    }
    if (code == FH_OK && !fh_sqlite_conn_in_transaction(conn)) {
        code = fh_error_set(&request->error, FH_INTERNAL, "the transaction was lost");
    }
    fh_fault_point("sqlite.home.tables");
    if (code == FH_OK) {
        code = finish(conn, &request->error);
    }
    fh_fault_point("sqlite.home.committed");
    settle(homes, conn->place->number, code == FH_OK ? &count : NULL);
    return code;
}

static enum fh_code create_namespace(struct fh_sqlite_homes *homes, struct fh_sqlite_conn *conn,
                                     struct fh_request *request)
{
    enum fh_code code =
        fh_sqlite_bridge_have(homes->layout, conn, request->deadline_us, &request->error);
    conn->deadline_us = request->deadline_us;
    if (code == FH_OK) {
        code = fh_sqlite_conn_open(conn, &request->error);
    }
    if (code == FH_OK) {
        code = begin(conn, request);
    }
    if (code != FH_OK) {
        return code;
    }
    struct fh_fence present;
    code = fh_sqlite_fence_find(conn, &request->scope, &present, &request->error);
    if (code == FH_OK) {
        code = fh_sqlite_fence_same(conn, request, &present);
    } else if (code == FH_NO_TENANT && fh_sqlite_homes_here(conn)) {
        code = fh_error_set(&request->error, FH_CORRUPT, "the home's tables have lost their fence");
    } else if (code == FH_NO_TENANT) {
        request->error = (struct fh_error)FH_ERROR_INIT;
        code = make_namespace(homes, conn, request);
    }
    roll_back(conn);
    return code;
}

enum fh_code fh_sqlite_homes_create(struct fh_sqlite_homes *homes, struct fh_sqlite_conn *conn,
                                    struct fh_request *request)
{
    return conn->bridge ? create_namespace(homes, conn, request)
                        : create_file(homes, conn, request);
}

/* The first that `query` finds, dropped; *found is false when there is none. */
static enum fh_code drop_one(struct fh_sqlite_conn *conn, const char *query, bool counted,
                             bool *found, struct fh_request *request)
{
    sqlite3_stmt *statement = NULL;
    char name[160] = "";
    char sql[200];
    conn->access = FH_SQLITE_ACCESS_SETUP;
    int rc = sqlite3_prepare_v2(conn->db, query, -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_text(statement, 1, conn->prefix, -1, SQLITE_STATIC);
    }
    rc = rc == SQLITE_OK ? sqlite3_step(statement) : rc;
    *found = rc == SQLITE_ROW;
    if (*found) {
        sqlite3_snprintf(sizeof(name), name, "%s", sqlite3_column_text(statement, 0));
        sqlite3_snprintf(sizeof(sql), sql, "DROP TABLE main.\"%w\"", name);
    }
    sqlite3_finalize(statement);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        return fh_sqlite_conn_fail(conn, rc, &request->error);
    }
    enum fh_code code = *found && counted ? count_table(conn, name, request) : FH_OK;
    return code == FH_OK && *found ? fh_sqlite_conn_exec(conn, sql, &request->error) : code;
}

enum fh_code fh_sqlite_homes_erase_namespace(struct fh_sqlite_conn *conn,
                                             struct fh_request *request, bool *more)
{
    uint32_t count = 0;
    enum fh_code code = fh_sqlite_fence_shut(conn, request);
    *more = false;
    if (code == FH_NO_TENANT) {
        request->error = (struct fh_error)FH_ERROR_INIT;
        return FH_OK;
    }
    if (code == FH_OK) {
        code = drop_one(conn, TABLES_OF_APPLICATION " LIMIT 1", true, more, request);
    }
    fh_fault_point("sqlite.erase.table");
    if (code != FH_OK || *more) {
        return code;
    }
    bool found = true;
    for (int i = 0; i < SYSTEM_TABLES_MAX && code == FH_OK && found; i++) {
        code = drop_one(conn, TABLES_OF_HOME " LIMIT 1", false, &found, request);
    }
    return code == FH_OK ? change_count(conn, -1, &count, &request->error) : code;
}
