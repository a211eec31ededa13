/* Happy path of opening: make the file with mode 0600 if it is missing, open, harden, WAL and FULL,
 * see whose file it is, make the tables in an empty one.
 *
 * Failures: every code of SQLite becomes one of ours in fail(), with advice and without a
 * statement's text. A half-open connection is closed. A foreign file is FH_INVALID, a newer or
 * older one FH_PRECONDITION, and neither is changed. A lock of another process is waited for at
 * most two seconds and never past the request's deadline.
 */
#include "router/catalog_sqlite/db.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "router/catalog_sqlite/sql.h"

#define LOCK_WAITS_MAX 2000 /* of a millisecond */

static enum fh_code code_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return FH_OK;
    case SQLITE_FULL:
        return FH_DISK_FULL;
    case SQLITE_NOMEM:
        return FH_NOMEM;
    case SQLITE_TOOBIG:
        return FH_TOO_LARGE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return FH_CORRUPT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_NOLFS:
        return FH_UNAVAILABLE;
    default:
        return FH_INTERNAL;
    }
}

static const char *advice(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return "the catalog's disk is full: free some space; nothing was written";
    case SQLITE_CORRUPT:
        return "the catalog's file is damaged: restore it from a backup";
    case SQLITE_NOTADB:
        return "the catalog's file is not a SQLite database, or is damaged";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return "another process holds the catalog's file; retry";
    case SQLITE_IOERR:
        return "the catalog's file cannot be read or written: look at the disk";
    case SQLITE_CANTOPEN:
        return "the catalog's file cannot be opened: look at its directory";
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return "the catalog's file or directory is read-only for this process";
    default:
        return "a statement of the catalog failed";
    }
}

static enum fh_code fail(struct fh_catalog_db *db, int rc, struct fh_error *error)
{
    db->last_rc = rc;
    return fh_error_set(error, code_of(rc), "%s (sqlite %d: %s)", advice(rc), rc,
                        sqlite3_errstr(rc));
}

static int busy_cb(void *arg, int waits)
{
    const struct fh_catalog_db *db = arg;
    if (waits >= LOCK_WAITS_MAX || fh_clock_monotonic_us(db->clock) >= db->deadline_us) {
        return 0;
    }
    struct timespec millisecond = {.tv_nsec = 1000000};
    nanosleep(&millisecond, NULL);
    return 1;
}

/* SQLite gives a new file the umask's mode; ours is made before SQLite sees it. WAL and shm files
 * take the mode of the database. */
static enum fh_code make_file(const char *path, struct fh_error *error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        enum fh_code code = errno == ENOSPC || errno == EDQUOT ? FH_DISK_FULL : FH_UNAVAILABLE;
        return fh_error_set(error, code, "the catalog %s cannot be opened: %s", path,
                            strerror(errno));
    }
    struct stat status;
    bool regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    close(fd);
    return regular ? FH_OK : fh_error_set(error, FH_INVALID, "the catalog %s is not a file", path);
}

static enum fh_code exec(struct fh_catalog_db *db, const char *sql, struct fh_error *error)
{
    int rc = sqlite3_exec(db->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? FH_OK : fail(db, rc, error);
}

static enum fh_code read_int(struct fh_catalog_db *db, const char *sql, int64_t *out,
                             struct fh_error *error)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db->db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
    }
    if (rc == SQLITE_ROW) {
        *out = sqlite3_column_int64(statement, 0);
        rc = SQLITE_OK;
    } else if (rc == SQLITE_DONE) {
        rc = SQLITE_INTERNAL; /* these always have a row */
    }
    sqlite3_finalize(statement);
    return rc == SQLITE_OK ? FH_OK : fail(db, rc, error);
}

static int harden(sqlite3 *db)
{
    static const struct {
        int option;
        int value;
    } settings[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},   {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_DQS_DDL, 0},     {SQLITE_DBCONFIG_DQS_DML, 0},
        {SQLITE_DBCONFIG_ENABLE_FKEY, 1}, {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
    };
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        int rc = sqlite3_db_config(db, settings[i].option, settings[i].value, NULL);
        if (rc != SQLITE_OK) {
            return rc;
        }
    }
    sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    return SQLITE_OK;
}

/* In one transaction, so that a crash leaves an empty file or a whole catalog. */
static enum fh_code make_tables(struct fh_catalog_db *db, struct fh_error *error)
{
    char identity[96];
    sqlite3_snprintf(sizeof(identity), identity, "PRAGMA application_id=%d; PRAGMA user_version=%d",
                     FH_CATALOG_APPLICATION_ID, FH_CATALOG_FORMAT);
    enum fh_code code = exec(db, fh_catalog_sql_schema, error);
    return code == FH_OK ? exec(db, identity, error) : code;
}

static enum fh_code make_if_empty(struct fh_catalog_db *db, struct fh_error *error)
{
    int64_t objects = 0;
    enum fh_code code = exec(db, "BEGIN IMMEDIATE", error);
    if (code != FH_OK) {
        return code;
    }
    code = read_int(db, "SELECT count(*) FROM sqlite_schema", &objects, error);
    if (code == FH_OK && objects == 0) { /* else another process was faster */
        code = make_tables(db, error);
    }
    if (code == FH_OK) {
        code = exec(db, "COMMIT", error);
    }
    if (code != FH_OK && fh_catalog_db_in_transaction(db)) {
        enum fh_code ignored = exec(db, "ROLLBACK", NULL);
        (void)ignored; /* the connection is closed next, which rolls back as well */
    }
    return code;
}

/* Before anything is written: a foreign file stays as it is. */
static enum fh_code identify(struct fh_catalog_db *db, struct fh_error *error)
{
    int64_t id = 0;
    int64_t format = 0;
    int64_t objects = 0;
    enum fh_code code = read_int(db, "PRAGMA application_id", &id, error);
    if (code == FH_OK) {
        code = read_int(db, "PRAGMA user_version", &format, error);
    }
    if (code == FH_OK) {
        code = read_int(db, "SELECT count(*) FROM sqlite_schema", &objects, error);
    }
    if (code != FH_OK || (id == 0 && format == 0 && objects == 0)) {
        return code;
    }
    if (id != FH_CATALOG_APPLICATION_ID) {
        return fh_error_set(error, FH_INVALID,
                            "the file is a SQLite database, but not a catalog "
                            "of Freehold; name another file");
    }
    if (format > FH_CATALOG_FORMAT) {
        return fh_error_set(error, FH_PRECONDITION,
                            "the catalog has format %lld, made by a newer Freehold; this one knows "
                            "%d: use the newer program",
                            (long long)format, FH_CATALOG_FORMAT);
    }
    if (format < FH_CATALOG_FORMAT) { /* 1 was never released */
        return fh_error_set(error, FH_PRECONDITION,
                            "the catalog has format %lld, made by an older Freehold; this one "
                            "knows %d: begin a new catalog",
                            (long long)format, FH_CATALOG_FORMAT);
    }
    return FH_OK;
}

static enum fh_code configure(struct fh_catalog_db *db, struct fh_error *error)
{
    enum fh_code code = identify(db, error);
    if (code == FH_OK) {
        code = exec(db,
                    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; "
                    "PRAGMA cell_size_check=ON; PRAGMA journal_size_limit=16777216",
                    error);
    }
    return code == FH_OK ? make_if_empty(db, error) : code;
}

/* As SQLite stores do (stores/sqlite/sqlite.c), who open theirs behind the catalog: too late for a
 * setting of the process. */
static void configure_once(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

enum fh_code fh_catalog_db_open(struct fh_catalog_db *db, const char *path,
                                const struct fh_clock *clock, struct fh_error *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, configure_once);
    memset(db, 0, sizeof(*db));
    db->clock = clock;
    db->deadline_us = FH_DEADLINE_NONE;
    enum fh_code code = make_file(path, error);
    if (code != FH_OK) {
        return code;
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(path, &db->db, flags, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_busy_handler(db->db, busy_cb, db);
    }
    if (rc == SQLITE_OK) {
        rc = harden(db->db);
    }
    code = rc == SQLITE_OK ? configure(db, error) : fail(db, rc, error);
    if (code == FH_OK && chmod(path, 0600) != 0) {
        code = fh_error_set(error, FH_UNAVAILABLE, "the catalog %s cannot be made private: %s",
                            path, strerror(errno));
    }
    if (code != FH_OK) {
        fh_catalog_db_close(db);
    }
    return code;
}

void fh_catalog_db_close(struct fh_catalog_db *db)
{
    for (size_t i = 0; i < FH_CATALOG_SQL_COUNT; i++) {
        sqlite3_finalize(db->statements[i]);
        db->statements[i] = NULL;
    }
    if (db->db != NULL) {
        int rc = sqlite3_close(db->db);
        FH_ASSERT(rc == SQLITE_OK); /* BUSY: a statement was left behind */
        db->db = NULL;
    }
}

enum fh_code fh_catalog_db_get(struct fh_catalog_db *db, enum fh_catalog_statement which,
                               sqlite3_stmt **out, struct fh_error *error)
{
    sqlite3_stmt **slot = &db->statements[which];
    if (*slot == NULL) {
        int rc = sqlite3_prepare_v3(db->db, fh_catalog_sql(which), -1, SQLITE_PREPARE_PERSISTENT,
                                    slot, NULL);
        if (rc != SQLITE_OK) {
            *out = NULL;
            return fail(db, rc, error);
        }
    }
    FH_ASSERT(!sqlite3_stmt_busy(*slot));
    *out = *slot;
    return FH_OK;
}

enum fh_code fh_catalog_db_step(struct fh_catalog_db *db, sqlite3_stmt *statement, bool *row,
                                struct fh_error *error)
{
    int rc = sqlite3_step(statement);
    *row = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? FH_OK : fail(db, rc, error);
}

void fh_catalog_db_end(sqlite3_stmt *statement)
{
    if (statement != NULL) {
        sqlite3_reset(statement); /* repeats the step's error, which was told already */
        sqlite3_clear_bindings(statement);
    }
}

enum fh_code fh_catalog_db_run(struct fh_catalog_db *db, enum fh_catalog_statement which,
                               struct fh_error *error)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code = fh_catalog_db_get(db, which, &statement, error);
    if (code == FH_OK) {
        code = fh_catalog_db_step(db, statement, &row, error);
    }
    fh_catalog_db_end(statement);
    return code;
}

bool fh_catalog_db_in_transaction(const struct fh_catalog_db *db)
{
    return db->db != NULL && sqlite3_get_autocommit(db->db) == 0;
}

bool fh_catalog_db_commit_unknown(const struct fh_catalog_db *db)
{
    /* A failed write kept the commit frame out of the log; a failed sync came after it. */
    return (db->last_rc & 0xff) == SQLITE_IOERR && db->last_rc != SQLITE_IOERR_WRITE;
}

static void bound(int rc)
{
    FH_ASSERT(rc == SQLITE_OK);
}

void fh_catalog_bind_text(sqlite3_stmt *statement, int at, struct fh_str text)
{
    bound(sqlite3_bind_text64(statement, at, text.len > 0 ? text.data : "", text.len, SQLITE_STATIC,
                              SQLITE_UTF8));
}

void fh_catalog_bind_text_or_null(sqlite3_stmt *statement, int at, struct fh_str text)
{
    if (text.len == 0) {
        bound(sqlite3_bind_null(statement, at));
        return;
    }
    fh_catalog_bind_text(statement, at, text);
}

void fh_catalog_bind_blob(sqlite3_stmt *statement, int at, const void *data, size_t len)
{
    bound(sqlite3_bind_blob64(statement, at, data, len, SQLITE_STATIC));
}

void fh_catalog_bind_uuid(sqlite3_stmt *statement, int at, const struct fh_uuid *uuid)
{
    fh_catalog_bind_blob(statement, at, uuid->bytes, sizeof(uuid->bytes));
}

void fh_catalog_bind_int(sqlite3_stmt *statement, int at, int64_t value)
{
    bound(sqlite3_bind_int64(statement, at, value));
}

enum fh_code fh_catalog_column_text(sqlite3_stmt *statement, int at, struct fh_arena *arena,
                                    struct fh_str *out)
{
    const char *text = (const char *)sqlite3_column_text(statement, at);
    if (text == NULL) {
        return sqlite3_column_type(statement, at) == SQLITE_NULL ? FH_CORRUPT : FH_NOMEM;
    }
    struct fh_str in = {.data = text, .len = (size_t)sqlite3_column_bytes(statement, at)};
    return fh_arena_str(arena, in, out);
}

bool fh_catalog_column_bytes(sqlite3_stmt *statement, int at, void *out, size_t len)
{
    const void *data = sqlite3_column_blob(statement, at);
    if (data == NULL || (size_t)sqlite3_column_bytes(statement, at) != len) {
        return false;
    }
    memcpy(out, data, len);
    return true;
}

bool fh_catalog_column_name(sqlite3_stmt *statement, int at, char *out, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(statement, at);
    size_t len = (size_t)sqlite3_column_bytes(statement, at);
    if (text == NULL || len == 0 || len >= size || strlen(text) != len) {
        return false;
    }
    memcpy(out, text, len + 1);
    return true;
}
