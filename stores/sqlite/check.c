/* Happy path: permissions; the file opens; WAL; integrity; then, home by home (a bridge file has
 * many): the schema's version; every table, index and trigger that the model asks for stands in the
 * file with exactly the text we would write (expected.h), and nothing besides.
 *
 * Failures: a file that cannot be opened is the last finding, not an error of the check. More
 * findings than fit are cut off, the last one says so.
 */
#include "stores/sqlite/check.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "stores/sqlite/conn.h"
#include "stores/sqlite/expected.h"
#include "stores/sqlite/version.h"
#include "stores/sqlite/views.h"

#define INTEGRITY_ROWS_MAX 8
#define COMPARED_BYTES_MAX ((size_t)256 << 20)
#define TEXT_LEN_MAX 256

struct check {
    struct fh_sqlite_conn conn;
    struct fh_request *request;
    struct fh_finding *findings;
    size_t count;
    const char *file; /* its name */
    bool bridge;
    struct fh_arena arena; /* what is compared */
    struct fh_sqlite_expected expected;
    size_t off; /* findings that are not ok, of homes */
    size_t homes;
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
        add(check, false, check->file,
            errno == ENOENT ? "the file is missing" : "cannot be looked at");
    } else if (!S_ISREG(status.st_mode)) {
        add(check, false, check->file, "is not a regular file");
    } else if (status.st_uid != geteuid()) {
        add(check, false, check->file, "belongs to another user");
    } else if ((status.st_mode & 077) != 0) {
        add(check, false, check->file, "others may open it: chmod 600 it and its -wal and -shm");
    } else {
        add(check, true, check->file, "for this user only");
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

/* A finding about the home in hand; of a bridge file's home with its name. */
static void add_of_home(struct check *check, bool ok, const char *subject, const char *text)
{
    char full[TEXT_LEN_MAX];
    const char *prefix = check->bridge ? check->conn.home.name : "";
    (void)snprintf(full, sizeof(full), "%s%s%s", prefix, check->bridge ? " " : "", subject);
    if (!ok) {
        check->off++;
    }
    if (!ok || !check->bridge) { /* of a thousand homes only those that are off */
        add(check, ok, full, text);
    }
}

/* *schema: what the home's tables are to be compared with; NULL: the system tables only. */
static enum fh_code check_version(struct check *check, const struct fh_schema **schema)
{
    const struct fh_schema *wanted = check->request->scope.schema;
    char text[96];
    struct fh_error error = FH_ERROR_INIT;
    *schema = NULL;
    enum fh_code code = fh_sqlite_views_use(&check->conn, NULL, &error);
    if (code == FH_OK) {
        code = fh_sqlite_conn_read_version(&check->conn, &error);
    }
    if (code != FH_OK) {
        add_of_home(check, false, "schema", error.message);
        return code;
    }
    long long present = (long long)check->conn.schema_version;
    long long newest = wanted != NULL ? (long long)wanted->version : present;
    /* Dedicated homes are brought along one after another. */
    bool behind = present < newest && !fh_home_is_dedicated(&check->conn.home);
    (void)snprintf(text, sizeof(text), behind ? "version %lld; apply version %lld" : "version %lld",
                   present, newest);
    add_of_home(check, !behind, "schema", text);
    if (present > 0 && present <= newest && wanted != NULL) {
        *schema = fh_schema_at(wanted, (uint32_t)present);
    }
    return FH_OK;
}

static int compare_names(const struct fh_sqlite_object_text *a,
                         const struct fh_sqlite_object_text *b)
{
    size_t len = a->name.len < b->name.len ? a->name.len : b->name.len;
    int order = memcmp(a->name.data, b->name.data, len);
    return order != 0 ? order : (a->name.len > b->name.len) - (a->name.len < b->name.len);
}

static void report(struct check *check, const struct fh_sqlite_object_text *object,
                   const char *text)
{
    char subject[TEXT_LEN_MAX];
    struct fh_str name = object->name;
    size_t prefix = strlen(check->conn.prefix);
    if (name.len >= prefix) {
        name = (struct fh_str){.data = name.data + prefix, .len = name.len - prefix};
    }
    (void)snprintf(subject, sizeof(subject), "%.*s %.*s", FH_STR_ARG(object->type),
                   FH_STR_ARG(name));
    add_of_home(check, false, subject, text);
}

/* Both are in the order of names. How many are off; each is told when `tell`. */
static size_t compare(struct check *check, const struct fh_sqlite_object_list *wanted,
                      const struct fh_sqlite_object_list *present, bool all, bool tell)
{
    size_t off = 0;
    size_t i = 0;
    size_t k = 0;
    while (i < wanted->count || k < present->count) {
        const struct fh_sqlite_object_text *w = i < wanted->count ? &wanted->objects[i] : NULL;
        const struct fh_sqlite_object_text *p = k < present->count ? &present->objects[k] : NULL;
        int order = w == NULL ? 1 : p == NULL ? -1 : compare_names(w, p);
        const char *text = NULL;
        FH_ASSERT(w != NULL || p != NULL);
        if (w != NULL && p != NULL && order == 0 &&
            (!fh_str_eq(w->type, p->type) || !fh_str_eq(w->sql, p->sql))) {
            text = "differs from what the schema asks for";
        } else if (order < 0) {
            text = "is missing";
        } else if (order > 0 && p != NULL && (all || fh_str_eq(p->type, FH_STR("view")))) {
            text = "is not ours";
        }
        if (text != NULL) {
            off++;
            if (tell) {
                report(check, order > 0 ? p : w, text);
            }
        }
        i += order <= 0 ? 1 : 0;
        k += order >= 0 ? 1 : 0;
    }
    return off;
}

/* Compares with what each version leads to, and tells what is off by the one that comes nearest. */
static enum fh_code compare_all(struct check *check, const struct fh_sqlite_object_list *present,
                                bool all, struct fh_error *error)
{
    const struct fh_sqlite_object_list *nearest = NULL;
    size_t least = SIZE_MAX;
    size_t count = fh_sqlite_expected_count(&check->expected);
    for (size_t i = 0; i < count && least > 0; i++) {
        const struct fh_sqlite_object_list *wanted = NULL;
        enum fh_code code = fh_sqlite_expected_get(&check->expected, i, &wanted, error);
        if (code != FH_OK) {
            return code;
        }
        size_t off = compare(check, wanted, present, all, false);
        if (off < least) {
            least = off;
            nearest = wanted;
        }
    }
    FH_ASSERT(nearest != NULL); /* there is one to compare with at least */
    if (least > 0) {
        (void)compare(check, nearest, present, all, true);
    }
    return FH_OK;
}

static void check_home(struct check *check, const struct fh_home *home)
{
    const struct fh_schema *schema = NULL;
    struct fh_sqlite_ddl_home ddl_home;
    struct fh_sqlite_object_list present;
    struct fh_error error = FH_ERROR_INIT;
    FH_ASSERT(home != NULL);
    fh_sqlite_conn_use_home(&check->conn, home);
    check->homes++;
    if (check_version(check, &schema) != FH_OK) {
        return;
    }
    if (check->homes == 1 || check->expected.schema != schema) {
        fh_sqlite_expected_init(&check->expected, home->tier, schema, &check->arena);
    }
    fh_sqlite_ddl_home_of(home, &ddl_home);
    check->conn.access = FH_SQLITE_ACCESS_SETUP;
    enum fh_code code =
        fh_sqlite_object_list(check->conn.db, &ddl_home, &check->arena, &present, &error);
    if (code == FH_OK) {
        /* Without the model nobody knows which tables are the application's. */
        bool all = schema != NULL || check->conn.schema_version <= 0;
        code = compare_all(check, &present, all, &error);
    }
    if (code != FH_OK) {
        add_of_home(check, false, "tables", error.message);
    }
}

/* Each home of a bridge file has an fh_meta. */
static enum fh_code check_homes(struct check *check, struct fh_error *error)
{
    sqlite3_stmt *statement = NULL;
    check->conn.access = FH_SQLITE_ACCESS_SETUP;
    int rc = sqlite3_prepare_v2(check->conn.db,
                                "SELECT substr(name,1,34) FROM main.sqlite_schema WHERE "
                                "type='table' AND name GLOB 't_*' AND length(name)=43 AND "
                                "substr(name,35)='__fh_meta' ORDER BY 1",
                                -1, &statement, NULL);
    while (rc == SQLITE_OK && check->code == FH_OK) { /* ends with the rows */
        int step = sqlite3_step(statement);
        if (step != SQLITE_ROW) {
            rc = step;
            break;
        }
        struct fh_home home = {.tier = FH_TIER_SCHEMA};
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        (void)snprintf(home.name, sizeof(home.name), "%s", name != NULL ? name : "");
        if (fh_home_is_valid(&home)) {
            check_home(check, &home);
        }
        check->conn.access = FH_SQLITE_ACCESS_SETUP;
    }
    sqlite3_finalize(statement);
    return rc == SQLITE_OK || rc == SQLITE_DONE ? FH_OK
                                                : fh_sqlite_conn_fail(&check->conn, rc, error);
}

/* What belongs to none of a bridge file's homes. */
static void check_strangers(struct check *check)
{
    int64_t strangers = 0;
    struct fh_error error = FH_ERROR_INIT;
    if (fh_sqlite_conn_pragma(
            &check->conn,
            "SELECT count(*) FROM main.sqlite_schema s WHERE substr(s.name,1,7)<>'sqlite_' AND "
            "sql IS NOT NULL AND NOT(s.type='table' AND s.name='fh_bridge') AND NOT EXISTS(SELECT "
            "1 FROM main.sqlite_schema m WHERE "
            "m.type='table' "
            "AND m.name=substr(s.name,1,36)||'fh_meta')",
            &strangers, &error) != FH_OK) {
        add(check, false, "tables", error.message);
    } else if (strangers > 0) {
        check->off++;
        add(check, false, "tables", "the file holds tables, triggers or views that are not ours");
    }
}

static void check_tables(struct check *check, const struct fh_home *home)
{
    struct fh_error error = FH_ERROR_INIT;
    char text[TEXT_LEN_MAX];
    if (!check->bridge) {
        check_home(check, home);
    } else {
        if (check_homes(check, &error) != FH_OK) {
            check->off++;
            add(check, false, "tables", error.message);
        }
        check_strangers(check);
    }
    if (check->off == 0) {
        (void)snprintf(text, sizeof(text),
                       "tables, indexes and triggers of %zu home%s are as the schema asks for",
                       check->homes, check->homes == 1 ? "" : "s");
        add(check, true, "tables", text);
    }
}

static enum fh_code init(struct check *check, const struct fh_sqlite_place *place,
                         const struct fh_clock *clock, bool bridge)
{
    struct fh_op_check *op = &check->request->as.check;
    const char *slash = strrchr(place->path, '/');
    check->file = slash != NULL ? slash + 1 : place->path;
    check->bridge = bridge;
    check->findings = op->findings;
    check->count = op->count;
    fh_sqlite_conn_init(&check->conn, FH_SQLITE_CHECKER, place->path, clock, NULL);
    if (place->directory[0] != '\0') { /* from its name to its log under the lock (layout.h) */
        check->conn.place = place;
    }
    check->conn.deadline_us = check->request->deadline_us;
    fh_arena_init(&check->arena, COMPARED_BYTES_MAX);
    if (check->findings == NULL) {
        check->count = 0;
        check->findings =
            FH_ARENA_ARRAY(check->request->arena, struct fh_finding, FH_CHECK_FINDINGS_MAX);
    }
    return check->findings != NULL ? FH_OK : FH_NOMEM;
}

enum fh_code fh_sqlite_check(const struct fh_sqlite_place *place, const struct fh_home *home,
                             const struct fh_clock *clock, struct fh_request *request)
{
    struct check check = {.request = request};
    struct fh_error error = FH_ERROR_INIT;
    if (init(&check, place, clock, home == NULL) != FH_OK) {
        fh_arena_close(&check.arena);
        return fh_error_set(&request->error, FH_NOMEM, "out of memory");
    }
    check_permissions(&check, place->path);
    if (fh_sqlite_conn_open(&check.conn, &error) != FH_OK) {
        add(&check, false, check.file, error.message);
    } else {
        check.conn.bridge = check.bridge;
        check_journal(&check);
        check_integrity(&check);
        check_tables(&check, home);
    }
    fh_sqlite_conn_close(&check.conn);
    fh_arena_close(&check.arena);
    request->as.check.findings = check.findings;
    request->as.check.count = check.count;
    return check.code;
}
