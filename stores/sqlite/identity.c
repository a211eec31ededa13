/* Happy path: application_id and user_version are as they should be, and a bridge file's note says
 * the number that its name says. All of it is made in one transaction, so that a crash leaves an
 * empty file or a complete one.
 */
#include "stores/sqlite/identity.h"

#include "stores/sqlite/ddl.h"
#include "stores/sqlite/layout.h"

#define FORMAT_MASK 0xff
#define COUNT_SHIFT 8

static enum fh_code ddl_cb(void *arg, const struct fh_sqlite_ddl *ddl, struct fh_error *error)
{
    return fh_sqlite_conn_exec(arg, ddl->sql, error);
}

enum fh_code fh_sqlite_identify_new(struct fh_sqlite_conn *conn, struct fh_error *error)
{
    char sql[96];
    sqlite3_snprintf(sizeof(sql), sql, "PRAGMA application_id=%d; PRAGMA user_version=%d",
                     FH_SQLITE_APPLICATION_ID, FH_SQLITE_FORMAT);
    return fh_sqlite_conn_exec(conn, sql, error);
}

static enum fh_code note_bridge(struct fh_sqlite_conn *conn, uint8_t number, struct fh_error *error)
{
    char sql[160];
    sqlite3_snprintf(sizeof(sql), sql,
                     "CREATE TABLE fh_bridge(files INTEGER NOT NULL,number INTEGER NOT NULL)"
                     " STRICT; INSERT INTO fh_bridge(files,number) VALUES(%d,%d)",
                     FH_SQLITE_BRIDGE_FILES, number);
    return fh_sqlite_conn_exec(conn, sql, error);
}

enum fh_code fh_sqlite_identify_bridge(struct fh_sqlite_conn *conn, uint8_t number,
                                       struct fh_error *error)
{
    enum fh_code code = note_bridge(conn, number, error);
    return code == FH_OK ? fh_sqlite_identify_new(conn, error) : code;
}

static enum fh_code make_content(struct fh_sqlite_conn *conn, struct fh_error *error)
{
    if (conn->bridge) {
        return note_bridge(conn, conn->place->number, error);
    }
    struct fh_home shared;
    struct fh_sqlite_ddl_home home;
    fh_home_of(FH_TIER_SHARED, &(struct fh_uuid){{0}}, &shared);
    fh_sqlite_ddl_home_of(&shared, &home);
    return fh_sqlite_ddl_system(&home, ddl_cb, conn, error);
}

static enum fh_code make(struct fh_sqlite_conn *conn, struct fh_error *error)
{
    int64_t id = 0;
    enum fh_code code = fh_sqlite_conn_exec(conn, "BEGIN IMMEDIATE", error);
    if (code != FH_OK) {
        return code;
    }
    code = fh_sqlite_conn_pragma(conn, "PRAGMA application_id", &id, error);
    if (code == FH_OK && id == 0) { /* else another process was faster */
        code = make_content(conn, error);
        if (code == FH_OK) {
            code = fh_sqlite_identify_new(conn, error);
        }
    }
    if (code == FH_OK) {
        code = fh_sqlite_conn_exec(conn, "COMMIT", error);
    }
    if (code != FH_OK && fh_sqlite_conn_in_transaction(conn)) {
        enum fh_code ignored = fh_sqlite_conn_exec(conn, "ROLLBACK", NULL);
        (void)ignored; /* the connection is closed next, which rolls back as well */
    }
    return code;
}

static const char *name_of(const struct fh_sqlite_conn *conn)
{
    const char *slash = strrchr(conn->path, '/');
    return slash != NULL ? slash + 1 : conn->path;
}

static enum fh_code compare_bridge(struct fh_sqlite_conn *conn, struct fh_error *error)
{
    char sql[128];
    int64_t same = 0;
    sqlite3_snprintf(sizeof(sql), sql,
                     "SELECT count(*) FROM main.fh_bridge WHERE files=%d AND number=%d",
                     FH_SQLITE_BRIDGE_FILES, conn->place->number);
    enum fh_code code = fh_sqlite_conn_pragma(conn, sql, &same, error);
    if (code == FH_OK && same != 1) {
        return fh_error_set(error, FH_INVALID,
                            "%s in the store's directory is another bridge file, or one of another "
                            "number of them; restore the one that was there",
                            name_of(conn));
    }
    return code;
}

/* Nothing is in the file. Files of the database tier get their name when they are whole. */
static enum fh_code fill(struct fh_sqlite_conn *conn, struct fh_error *error)
{
    if (conn->place != NULL && conn->place->directory[0] != '\0') {
        return fh_error_set(error, FH_CORRUPT, "%s is empty; restore it from a backup",
                            name_of(conn));
    }
    if (conn->role == FH_SQLITE_WRITER || (conn->bridge && conn->role == FH_SQLITE_ERASER)) {
        return make(conn, error);
    }
    return conn->bridge
               ? fh_error_set(error, FH_NO_TENANT, "the tenant has no home in this store")
               : fh_error_set(error, FH_UNAVAILABLE, "the store's file is being made; retry");
}

enum fh_code fh_sqlite_identify(struct fh_sqlite_conn *conn, struct fh_error *error)
{
    int64_t id = 0;
    int64_t format = 0;
    int64_t objects = 0;
    enum fh_code code = fh_sqlite_conn_pragma(conn, "PRAGMA application_id", &id, error);
    if (code == FH_OK) {
        code =
            fh_sqlite_conn_pragma(conn, "SELECT count(*) FROM main.sqlite_schema", &objects, error);
    }
    if (code == FH_OK && id == 0 && objects == 0) {
        code = fill(conn, error);
        id = FH_SQLITE_APPLICATION_ID;
    }
    if (code == FH_OK && id != FH_SQLITE_APPLICATION_ID) {
        return fh_error_set(error, FH_INVALID,
                            "%s in the store's directory was not made by Freehold", name_of(conn));
    }
    if (code == FH_OK) {
        code = fh_sqlite_conn_pragma(conn, "PRAGMA user_version", &format, error);
    }
    if (code == FH_OK && (format & FORMAT_MASK) > FH_SQLITE_FORMAT) {
        return fh_error_set(error, FH_PRECONDITION,
                            "the store's file has format %lld, made by a newer Freehold; this one "
                            "knows %d",
                            (long long)(format & FORMAT_MASK), FH_SQLITE_FORMAT);
    }
    return code == FH_OK && conn->bridge ? compare_bridge(conn, error) : code;
}

enum fh_code fh_sqlite_bridge_count(struct fh_sqlite_conn *conn, uint32_t *out,
                                    struct fh_error *error)
{
    int64_t version = 0;
    enum fh_code code = fh_sqlite_conn_pragma(conn, "PRAGMA user_version", &version, error);
    *out = (uint32_t)(version >> COUNT_SHIFT);
    return code;
}

enum fh_code fh_sqlite_bridge_count_set(struct fh_sqlite_conn *conn, uint32_t count,
                                        struct fh_error *error)
{
    char sql[64];
    sqlite3_snprintf(sizeof(sql), sql, "PRAGMA user_version=%d",
                     (int)(count << COUNT_SHIFT | FH_SQLITE_FORMAT));
    return fh_sqlite_conn_exec(conn, sql, error);
}
