/* Happy path of opening: open, harden, register fh_tenant() and the authorizer, WAL and FULL, look
 * at who made the file; a writer makes the system tables in an empty one. Then, whenever a newer
 * model arrives, the version of the file is read again and the views are made.
 *
 * Failures: anything of SQLite's through fh_sqlite_conn_fail(), and a half-open connection is
 * closed. A file of somebody else's is FH_INVALID, one of a newer format FH_PRECONDITION.
 */
#include "stores/sqlite/conn.h"

#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "stores/sqlite/errors.h"
#include "stores/sqlite/identity.h"
#include "stores/sqlite/layout.h"

#define PROGRESS_STEPS \
    2000 /* of the virtual machine, between two looks at the clock: some 100 us */
#define SQL_LEN_MAX (1024 * 1024)

void fh_sqlite_conn_init(struct fh_sqlite_conn *conn, enum fh_sqlite_role role, const char *path,
                         const struct fh_clock *clock, const struct fh_isolation_faults *faults)
{
    *conn = (struct fh_sqlite_conn){
        .role = role,
        .path = path,
        .clock = clock,
        .faults = faults,
        .deadline_us = FH_DEADLINE_NONE,
        .schema_version = -1,
    };
    fh_sqlite_statements_init(&conn->statements);
    fh_sqlite_views_init(&conn->views);
}

void fh_sqlite_conn_use_home(struct fh_sqlite_conn *conn, const struct fh_home *home)
{
    size_t len = strnlen(home->name, sizeof(home->name) - 1);
    conn->home = *home;
    if (!conn->bridge) {
        conn->prefix[0] = '\0';
        return;
    }
    memcpy(conn->prefix, home->name, len);
    memcpy(conn->prefix + len, "__", sizeof("__"));
}

void fh_sqlite_conn_use_place(struct fh_sqlite_conn *conn, const struct fh_sqlite_place *place)
{
    if (conn->db != NULL && strcmp(conn->path, place->path) != 0) {
        fh_sqlite_conn_close(conn);
    }
    conn->place = place;
    conn->path = place->path;
    conn->bridge = place->bridge;
}

/* One home's file, whose name comes and goes. */
static bool is_alone(const struct fh_sqlite_conn *conn)
{
    return conn->place != NULL && conn->place->directory[0] != '\0';
}

static bool has_moved(const struct fh_sqlite_conn *conn)
{
    int moved = 0;
    int rc = sqlite3_file_control(conn->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    return rc != SQLITE_OK || moved != 0;
}

static bool enforced(const struct fh_sqlite_conn *conn)
{
    return conn->faults == NULL || !conn->faults->skip_enforcement;
}

uint32_t fh_sqlite_conn_text_flags(const struct fh_sqlite_conn *conn)
{
    uint32_t flags = 0;
    if (conn->probe != NULL) {
        flags = conn->probe->skip_predicate
                    ? FH_SQLITE_TEXT_FENCE_OF_FIRST | FH_SQLITE_TEXT_NO_PREDICATE
                    : FH_SQLITE_TEXT_FENCE_OF_CONTEXT;
    }
    if (conn->faults == NULL) {
        return flags;
    }
    return flags | (conn->faults->skip_predicate ? FH_SQLITE_TEXT_NO_PREDICATE : 0) |
           (conn->faults->skip_enforcement ? FH_SQLITE_TEXT_NO_VIEWS : 0);
}

bool fh_sqlite_conn_in_transaction(const struct fh_sqlite_conn *conn)
{
    return conn->db != NULL && sqlite3_get_autocommit(conn->db) == 0;
}

enum fh_code fh_sqlite_conn_fail(struct fh_sqlite_conn *conn, int rc, struct fh_error *error)
{
    conn->last_rc = rc;
    if (fh_sqlite_is_fatal(rc)) {
        conn->broken = true;
    }
    return fh_sqlite_error(rc, error);
}

void fh_sqlite_conn_enter(struct fh_sqlite_conn *conn, const struct fh_uuid *tenant)
{
    conn->bound = tenant != NULL;
    if (tenant == NULL) {
        return;
    }
    conn->tenant = *tenant;
    if (conn->probe != NULL) {
        conn->tenant = conn->probe->context;
        return;
    }
    const struct fh_isolation_faults *faults = conn->faults;
    if (faults != NULL && faults->wrong_context_every > 0 &&
        ++conn->contexts % faults->wrong_context_every == 0) {
        conn->tenant = faults->wrong_tenant;
    }
}

static void tenant_cb(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    (void)values;
    const struct fh_sqlite_conn *conn = sqlite3_user_data(context);
    if (!conn->bound) {
        sqlite3_result_null(context);
        return;
    }
    sqlite3_result_blob(context, conn->tenant.bytes, sizeof(conn->tenant.bytes), SQLITE_STATIC);
}

/* A table of the home in hand, as it is named in the file. */
static bool is_own(const struct fh_sqlite_conn *conn, const char *table)
{
    return table != NULL && strncmp(table, conn->prefix, strlen(conn->prefix)) == 0;
}

static bool may_read(const struct fh_sqlite_conn *conn, const char *table, const char *database,
                     const char *via)
{
    if (table == NULL || database == NULL) {
        return false;
    }
    if (strcmp(database, "temp") == 0) {
        return fh_sqlite_views_current(conn, table);
    }
    if (strcmp(database, "main") != 0) {
        return false;
    }
    if (!enforced(conn) || fh_sqlite_views_show(conn, via, table)) {
        return true;
    }
    return is_own(conn, table) && (conn->access == FH_SQLITE_ACCESS_WRITE ||
                                   strcmp(table + strlen(conn->prefix), "fh_meta") == 0);
}

static bool may_call(const char *function)
{
    static const char *const functions[] = {"fh_tenant", "max", "min", "count", "sum", "length"};
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]) && function != NULL; i++) {
        if (strcmp(function, functions[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Layer 2 for reads. Called while a statement is prepared, so it costs nothing when one runs. */
static int authorize_cb(void *arg, int action, const char *a, const char *b, const char *database,
                        const char *via)
{
    const struct fh_sqlite_conn *conn = arg;
    if (conn->access == FH_SQLITE_ACCESS_SETUP) {
        return SQLITE_OK;
    }
    bool allowed = false;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
        allowed = true;
        break;
    case SQLITE_FUNCTION:
        allowed = may_call(b);
        break;
    case SQLITE_READ:
        allowed = may_read(conn, a, database, via);
        break;
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
        allowed = conn->access == FH_SQLITE_ACCESS_WRITE && database != NULL &&
                  strcmp(database, "main") == 0 && is_own(conn, a);
        break;
    default:
        break;
    }
    return allowed ? SQLITE_OK : SQLITE_DENY;
}

static int busy_cb(void *arg, int waits)
{
    const struct fh_sqlite_conn *conn = arg;
    if (waits >= FH_SQLITE_LOCK_WAITS_MAX ||
        fh_clock_monotonic_us(conn->clock) >= conn->deadline_us) {
        return 0;
    }
    struct timespec millisecond = {.tv_nsec = 1000000};
    nanosleep(&millisecond, NULL);
    return 1;
}

static int progress_cb(void *arg)
{
    const struct fh_sqlite_conn *conn = arg;
    return fh_clock_monotonic_us(conn->clock) >= conn->deadline_us;
}

enum fh_code fh_sqlite_conn_exec(struct fh_sqlite_conn *conn, const char *sql,
                                 struct fh_error *error)
{
    enum fh_sqlite_access before = conn->access;
    conn->access = FH_SQLITE_ACCESS_SETUP;
    int rc = sqlite3_exec(conn->db, sql, NULL, NULL, NULL);
    conn->access = before;
    return rc == SQLITE_OK ? FH_OK : fh_sqlite_conn_fail(conn, rc, error);
}

enum fh_code fh_sqlite_conn_pragma(struct fh_sqlite_conn *conn, const char *sql, int64_t *out,
                                   struct fh_error *error)
{
    sqlite3_stmt *statement = NULL;
    enum fh_sqlite_access before = conn->access;
    conn->access = FH_SQLITE_ACCESS_SETUP;
    int rc = sqlite3_prepare_v2(conn->db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
        *out = rc == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    }
    conn->access = before;
    sqlite3_finalize(statement);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? FH_OK : fh_sqlite_conn_fail(conn, rc, error);
}

static int register_hooks(struct fh_sqlite_conn *conn)
{
    /* Deterministic within a statement, which is what lets the primary key be searched with it. */
    int rc = sqlite3_create_function_v2(conn->db, "fh_tenant", 0,
                                        SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, conn,
                                        tenant_cb, NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_set_authorizer(conn->db, authorize_cb, conn);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_busy_handler(conn->db, busy_cb, conn);
    }
    if (rc == SQLITE_OK && (conn->role == FH_SQLITE_READER || conn->role == FH_SQLITE_CHECKER)) {
        /* Never on a writer: an interrupt there may roll the whole group back. */
        sqlite3_progress_handler(conn->db, PROGRESS_STEPS, progress_cb, conn);
    }
    return rc;
}

static int harden(struct fh_sqlite_conn *conn)
{
    static const struct {
        int option;
        int value;
    } settings[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_DQS_DDL, 0},        {SQLITE_DBCONFIG_DQS_DML, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 1}, {SQLITE_DBCONFIG_ENABLE_VIEW, 1},
    };
    int rc = SQLITE_OK;
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]) && rc == SQLITE_OK; i++) {
        rc = sqlite3_db_config(conn->db, settings[i].option, settings[i].value, (int *)NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_db_config(conn->db, SQLITE_DBCONFIG_ENABLE_FKEY,
                               conn->role == FH_SQLITE_WRITER, (int *)NULL);
    }
    if (rc == SQLITE_OK && is_alone(conn)) { /* layout.h */
        rc = sqlite3_db_config(conn->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
    }
    sqlite3_limit(conn->db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_limit(conn->db, SQLITE_LIMIT_SQL_LENGTH, SQL_LEN_MAX);
    sqlite3_limit(conn->db, SQLITE_LIMIT_WORKER_THREADS, 0);
    return rc;
}

static enum fh_code configure(struct fh_sqlite_conn *conn, struct fh_error *error)
{
    char sql[160];
    sqlite3_snprintf(sizeof(sql), sql,
                     "PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON; PRAGMA cache_size=-%d",
                     is_alone(conn) ? FH_SQLITE_CACHE_SMALL_KIB : FH_SQLITE_CACHE_KIB);
    enum fh_code code = fh_sqlite_conn_exec(conn, sql, error);
    if (code == FH_OK && conn->making) { /* thrown away unless whole: synced once, at its end */
        return fh_sqlite_conn_exec(conn,
                                   "PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=OFF;"
                                   "PRAGMA journal_mode=MEMORY",
                                   error);
    }
    if (code != FH_OK || conn->role == FH_SQLITE_READER || conn->role == FH_SQLITE_CHECKER) {
        return code;
    }
    code = fh_sqlite_conn_exec(conn,
                               "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                               "PRAGMA journal_size_limit=67108864",
                               error);
    int64_t durable = 0;
    if (code == FH_OK) {
        code = fh_sqlite_conn_pragma(conn,
                                     "SELECT (SELECT journal_mode='wal' FROM pragma_journal_mode) "
                                     "AND (SELECT synchronous=2 FROM pragma_synchronous)",
                                     &durable, error);
    }
    if (code == FH_OK && durable == 0) {
        return fh_error_set(error, FH_UNAVAILABLE,
                            "the store's file system does not offer write-ahead logging; use a "
                            "local one");
    }
    return code;
}

/* The fault "no enforcement" also stops the triggers. */
static void follow_faults(struct fh_sqlite_conn *conn)
{
    if (conn->faults == NULL || conn->role == FH_SQLITE_READER || conn->role == FH_SQLITE_CHECKER) {
        return;
    }
    int wanted = enforced(conn) ? 1 : 0;
    int present = 1;
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, -1, &present);
    if (present != wanted) {
        sqlite3_db_config(conn->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, wanted, (int *)NULL);
    }
}

static enum fh_code open_file(struct fh_sqlite_conn *conn, struct fh_error *error)
{
    bool reads = conn->role == FH_SQLITE_READER || conn->role == FH_SQLITE_CHECKER;
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW |
                (reads ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
    int rc = sqlite3_open_v2(conn->path, &conn->db, flags, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_extended_result_codes(conn->db, 1);
        conn->access = FH_SQLITE_ACCESS_SETUP;
        rc = register_hooks(conn);
    }
    if (rc == SQLITE_OK) {
        rc = harden(conn);
    }
    enum fh_code code = rc == SQLITE_OK ? FH_OK : fh_sqlite_conn_fail(conn, rc, error);
    if (code == FH_OK) {
        code = configure(conn, error);
    }
    if (code == FH_OK && !conn->making && !conn->unidentified) {
        code = fh_sqlite_identify(conn, error);
    }
    if (code != FH_OK) {
        fh_sqlite_conn_close(conn);
        return code;
    }
    follow_faults(conn);
    return FH_OK;
}

/* From the name to the open log under the directory's lock (layout.h). */
static enum fh_code open_home(struct fh_sqlite_conn *conn, struct fh_error *error)
{
    int lock = -1;
    enum fh_code code =
        fh_sqlite_directory_lock(conn->place, false, conn->clock, conn->deadline_us, &lock, error);
    if (code != FH_OK) {
        return code;
    }
    code = fh_sqlite_file_find(conn->path, error);
    if (code == FH_OK) {
        code = open_file(conn, error);
    }
    fh_sqlite_directory_unlock(lock);
    return code;
}

enum fh_code fh_sqlite_conn_open(struct fh_sqlite_conn *conn, struct fh_error *error)
{
    if (conn->broken || (conn->db != NULL && is_alone(conn) && has_moved(conn))) {
        fh_sqlite_conn_close(conn);
    }
    if (conn->db != NULL) {
        follow_faults(conn);
        return FH_OK;
    }
    if (is_alone(conn) && !conn->lock_held) {
        return open_home(conn, error);
    }
    enum fh_code code = conn->bridge ? fh_sqlite_file_find(conn->path, error) : FH_OK;
    return code == FH_OK ? open_file(conn, error) : code;
}

void fh_sqlite_conn_close(struct fh_sqlite_conn *conn)
{
    fh_sqlite_statements_close(&conn->statements);
    fh_sqlite_views_close(&conn->views);
    if (conn->db != NULL) {
        int rc = sqlite3_close(conn->db);
        FH_ASSERT(rc == SQLITE_OK); /* BUSY: a statement was left behind */
    }
    conn->db = NULL;
    conn->broken = false;
    conn->bound = false;
    conn->schema_version = -1;
}

void fh_sqlite_conn_fold(struct fh_sqlite_conn *conn)
{
    int lock = -1;
    bool locked =
        conn->db != NULL && is_alone(conn) && !conn->broken &&
        fh_sqlite_directory_lock(conn->place, true, conn->clock, INT64_MIN, &lock, NULL) == FH_OK;
    if (locked && !has_moved(conn)) {
        /* SQLite looks by itself whether this is the last connection. */
        sqlite3_db_config(conn->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, (int *)NULL);
    }
    fh_sqlite_conn_close(conn);
    if (locked) {
        fh_sqlite_directory_unlock(lock);
    }
}
