/* Happy path: permissions; the file opens; WAL; integrity; the schema's version; every table, index
 * and trigger that the model asks for stands in the file with exactly the text we would write, and
 * no trigger or view besides.
 *
 * Failures: a file that cannot be opened is the last finding, not an error of the check. More
 * findings than fit are cut off, the last one says so.
 */
#include "stores/sqlite/check.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stores/sqlite/conn.h"
#include "stores/sqlite/ddl.h"
#include "stores/sqlite/views.h"

#define INTEGRITY_ROWS_MAX 8

struct check {
    struct fh_sqlite_conn conn;
    struct fh_request *request;
    struct fh_finding *findings;
    size_t count;
    size_t triggers; /* present, of those the model asks for */
    size_t off;      /* objects missing or different */
    enum fh_code code;
};

static void add(struct check *check, bool ok, const char *subject, const char *text)
{
    struct fh_arena *arena = check->request->arena;
    struct fh_finding finding = {.ok = ok};
    if (check->count == FH_CHECK_FINDINGS_MAX || check->code != FH_OK) {
        return;
    }
    if (check->count == FH_CHECK_FINDINGS_MAX - 1) {
        finding.ok = false;
        subject = "check";
        text = "there are more findings; mend these and check again";
    }
    check->code = fh_arena_str(arena, fh_str_of(subject), &finding.subject);
    if (check->code == FH_OK) {
        check->code = fh_arena_str(arena, fh_str_of(text), &finding.text);
    }
    if (check->code == FH_OK) {
        check->findings[check->count++] = finding;
    }
}

static void check_permissions(struct check *check, const char *path)
{
    struct stat status;
    if (lstat(path, &status) != 0) {
        add(check, false, "file", errno == ENOENT ? "shared.db is missing" : "cannot be looked at");
    } else if (!S_ISREG(status.st_mode)) {
        add(check, false, "file", "shared.db is not a regular file");
    } else if (status.st_uid != geteuid()) {
        add(check, false, "file", "shared.db belongs to another user");
    } else if ((status.st_mode & 077) != 0) {
        add(check, false, "file", "others may open shared.db: chmod 600 it and its -wal and -shm");
    } else {
        add(check, true, "file", "for this user only");
    }
}

static void check_journal(struct check *check)
{
    int64_t wal = 0;
    struct fh_error error = FH_ERROR_INIT;
    if (fh_sqlite_conn_pragma(&check->conn, "SELECT journal_mode='wal' FROM pragma_journal_mode",
                              &wal, &error) != FH_OK) {
        add(check, false, "journal", error.message);
    } else if (wal == 0) {
        add(check, false, "journal", "not a write-ahead log; open the store once to set it");
    } else {
        add(check, true, "journal", "write-ahead log; the writer refuses to open without FULL");
    }
}

static void check_integrity(struct check *check)
{
    sqlite3_stmt *statement = NULL;
    check->conn.access = FH_SQLITE_ACCESS_SETUP;
    int rc = sqlite3_prepare_v2(check->conn.db, "PRAGMA quick_check(8)", -1, &statement, NULL);
    for (int rows = 0; rc == SQLITE_OK && rows < INTEGRITY_ROWS_MAX; rows++) {
        int step = sqlite3_step(statement);
        if (step != SQLITE_ROW) {
            rc = step;
            break;
        }
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        bool ok = text != NULL && strcmp(text, "ok") == 0;
        add(check, ok, "integrity", text != NULL ? text : "out of memory");
    }
    if (rc != SQLITE_OK && rc != SQLITE_DONE) {
        struct fh_error error = FH_ERROR_INIT;
        enum fh_code code = fh_sqlite_conn_fail(&check->conn, rc, &error);
        add(check, false, "integrity",
            code == FH_DEADLINE ? "not finished before the deadline; give it more time"
                                : error.message);
    }
    sqlite3_finalize(statement);
}

static void check_version(struct check *check)
{
    const struct fh_schema *schema = check->request->scope.schema;
    struct fh_error error = FH_ERROR_INIT;
    char text[96];
    if (fh_sqlite_conn_read_version(&check->conn, &error) != FH_OK) {
        add(check, false, "schema", error.message);
        return;
    }
    long long present = (long long)check->conn.schema_version;
    bool ok = schema == NULL || present >= (long long)schema->version;
    (void)snprintf(text, sizeof(text), ok ? "version %lld" : "version %lld; apply version %u",
                   present, schema != NULL ? schema->version : 0);
    add(check, ok, "schema", text);
}

static const char *const kind_names[] = {"table", "index", "trigger"};

/* Compares one object's text with the file's. */
static enum fh_code object_cb(void *arg, enum fh_sqlite_object kind, struct fh_str name,
                              const char *sql, struct fh_error *error)
{
    struct check *check = arg;
    sqlite3_stmt *statement = NULL;
    if (kind == FH_SQLITE_CHANGE) {
        return FH_OK;
    }
    check->conn.access = FH_SQLITE_ACCESS_SETUP;
    int rc = sqlite3_prepare_v2(check->conn.db,
                                "SELECT sql=?3 FROM main.sqlite_schema WHERE type=?1 AND name=?2",
                                -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_text(statement, 1, kind_names[kind], -1, SQLITE_STATIC);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_text(statement, 2, name.data, (int)name.len, SQLITE_STATIC);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_text(statement, 3, sql, -1, SQLITE_STATIC);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
    }
    bool present = rc == SQLITE_ROW;
    bool same = present && sqlite3_column_int(statement, 0) == 1;
    sqlite3_finalize(statement);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        return fh_sqlite_conn_fail(&check->conn, rc, error);
    }
    check->triggers += present && kind == FH_SQLITE_TRIGGER ? 1 : 0;
    if (!same) {
        char subject[160];
        (void)snprintf(subject, sizeof(subject), "%s %.*s", kind_names[kind], FH_STR_ARG(name));
        add(check, false, subject,
            present ? "differs from what the schema asks for" : "is missing");
        check->off++;
    }
    return check->code;
}

static void check_objects(struct check *check)
{
    const struct fh_schema *schema = check->request->scope.schema;
    struct fh_error error = FH_ERROR_INIT;
    int64_t strangers = 0;
    enum fh_code code = fh_sqlite_ddl_system(object_cb, check, &error);
    /* Tables of a version that was not applied are one finding, the schema's. */
    if (code == FH_OK && schema != NULL && check->conn.schema_version >= schema->version) {
        code = fh_sqlite_ddl_schema(NULL, schema, object_cb, check, &error);
    }
    if (code == FH_OK && (schema == NULL || check->conn.schema_version == schema->version)) {
        code = fh_sqlite_conn_pragma(
            &check->conn,
            schema != NULL
                ? "SELECT count(*) FROM main.sqlite_schema WHERE type IN ('trigger','view')"
                : "SELECT count(*) FROM main.sqlite_schema WHERE type='view'",
            &strangers, &error);
        strangers -= schema != NULL ? (int64_t)check->triggers : 0;
    }
    if (code != FH_OK) {
        add(check, false, "tables", error.message);
        return;
    }
    if (strangers > 0) {
        add(check, false, "tables", "the file holds triggers or views that are not ours");
        check->off++;
    }
    if (check->off == 0) {
        add(check, true, "tables", "tables, indexes and triggers are as the schema asks for");
    }
}

enum fh_code fh_sqlite_check(const char *path, const struct fh_clock *clock,
                             struct fh_request *request)
{
    struct check check = {.request = request};
    struct fh_error error = FH_ERROR_INIT;
    check.findings = FH_ARENA_ARRAY(request->arena, struct fh_finding, FH_CHECK_FINDINGS_MAX);
    if (check.findings == NULL) {
        return fh_error_set(&request->error, FH_NOMEM, "out of memory");
    }
    fh_sqlite_conn_init(&check.conn, FH_SQLITE_CHECKER, path, clock, NULL);
    check.conn.deadline_us = request->deadline_us;
    check_permissions(&check, path);
    if (fh_sqlite_conn_open(&check.conn, &error) != FH_OK) {
        add(&check, false, "file", error.message);
    } else {
        check_journal(&check);
        check_integrity(&check);
        check_version(&check);
        check_objects(&check);
    }
    fh_sqlite_conn_close(&check.conn);
    request->as.check.findings = check.findings;
    request->as.check.count = check.count;
    return check.code;
}
