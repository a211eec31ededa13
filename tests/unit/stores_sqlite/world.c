#include "tests/unit/stores_sqlite/world.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stores/schema/parse.h"
#include "stores/sqlite/check.h"
#include "stores/sqlite/ddl.h"
#include "stores/sqlite/schema.h"

const struct fh_schema *world_migrate(struct world *w, const struct fh_schema *base,
                                      const char *sql)
{
    struct fh_migration migration = {.name = FH_STR("1.sql"), .sql = fh_str_of(sql)};
    struct fh_parse_error error;
    const struct fh_schema *schema = NULL;
    if (fh_schema_apply_migration(base, &migration, &w->arena, &schema, &error) != FH_OK) {
        fail_msg("%s: %s", sql, error.error.message);
    }
    return schema;
}

static enum fh_code raw_cb(void *arg, const struct fh_sqlite_ddl *ddl, struct fh_error *error)
{
    (void)error;
    return sqlite3_exec(arg, ddl->sql, NULL, NULL, NULL) == SQLITE_OK ? FH_OK : FH_INTERNAL;
}

struct fh_home world_home(const struct world *w, const struct fh_uuid *tenant)
{
    struct fh_home home;
    fh_home_of(w->tier, tenant, &home);
    return home;
}

static void raw(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s: %s", sql, message);
    }
}

/* A file with the system tables of the tenants' homes. */
static void make_file(struct world *w)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(w->f->path, &db), SQLITE_OK);
    raw(db, "PRAGMA journal_mode=WAL; PRAGMA application_id=1179141186; PRAGMA user_version=1");
    for (int i = 0; i < (w->tier == FH_TIER_SCHEMA ? 2 : 1); i++) {
        struct fh_home home = world_home(w, i == 0 ? &w->f->a : &w->f->b);
        struct fh_sqlite_ddl_home ddl_home;
        struct fh_error error = FH_ERROR_INIT;
        fh_sqlite_ddl_home_of(&home, &ddl_home);
        assert_code(fh_sqlite_ddl_system(&ddl_home, raw_cb, db, &error), FH_OK);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(chmod(w->f->path, 0600), 0);
}

void world_open(struct world *w, struct fixture *f, enum fh_tier tier)
{
    struct fh_error error = FH_ERROR_INIT;
    char wal[128];
    char shm[128];
    memset(w, 0, sizeof(*w));
    w->f = f;
    w->tier = tier;
    fh_arena_init(&w->arena, (size_t)256 << 20);
    (void)snprintf(wal, sizeof(wal), "%s-wal", f->path);
    (void)snprintf(shm, sizeof(shm), "%s-shm", f->path);
    (void)unlink(f->path);
    (void)unlink(wal);
    (void)unlink(shm);
    make_file(w);
    fh_sqlite_conn_init(&w->conn, FH_SQLITE_ERASER, f->path, &f->clock, NULL);
    assert_code(fh_sqlite_conn_open(&w->conn, &error), FH_OK);
    w->conn.bridge = tier == FH_TIER_SCHEMA; /* from here on it only says how tables are named */
}

void world_close(struct world *w)
{
    fh_sqlite_conn_close(&w->conn);
    fh_arena_close(&w->arena);
}

enum fh_code world_run_apply(struct world *w, struct fh_request *request)
{
    struct fh_sqlite_conn *conn = &w->conn;
    fh_sqlite_conn_use_home(conn, &request->scope.home);
    conn->deadline_us = request->deadline_us;
    assert_code(fh_sqlite_views_clear(conn, &request->error), FH_OK);
    assert_code(fh_sqlite_views_use(conn, NULL, &request->error), FH_OK);
    assert_code(fh_sqlite_schema_begin(conn, request), FH_OK);
    enum fh_code code = fh_sqlite_schema_apply(conn, request);
    if (fh_sqlite_conn_in_transaction(conn)) { /* an interrupt ends it */
        enum fh_sqlite_shape end = code == FH_OK ? FH_SQLITE_COMMIT : FH_SQLITE_ROLLBACK;
        assert_code(fh_sqlite_statement_run(conn, end, NULL), FH_OK);
    }
    return code;
}

/* The tenant's fence, in a dedicated home, before the first apply. */
void world_put_fence(struct world *w, const struct fh_uuid *tenant)
{
    struct fh_home home = world_home(w, tenant);
    char sql[200];
    fh_sqlite_conn_use_home(&w->conn, &home);
    fh_sqlite_conn_enter(&w->conn, tenant);
    (void)snprintf(sql, sizeof(sql), "INSERT INTO %sfh_fence VALUES(fh_tenant(),1,1,1)",
                   w->conn.prefix);
    assert_code(fh_sqlite_conn_exec(&w->conn, sql, NULL), FH_OK);
    fh_sqlite_conn_enter(&w->conn, NULL);
}

struct fh_request world_apply_request(struct world *w, const struct fh_uuid *tenant,
                                      const struct fh_schema *target)
{
    bool dedicated = w->tier != FH_TIER_SHARED;
    struct fh_request request =
        fixture_request(w->f, FH_OP_SCHEMA_APPLY, dedicated ? tenant : NULL);
    request.scope.home = world_home(w, tenant);
    request.as.schema.target = target;
    request.as.schema.guard = (struct fh_fence_guard){
        .generation = 1, .modes = FH_FENCE_BIT(FH_FENCE_OPEN) | FH_FENCE_BIT(FH_FENCE_FROZEN)};
    return request;
}

enum fh_code world_apply(struct world *w, const struct fh_uuid *tenant,
                         const struct fh_schema *target, struct fh_error *error)
{
    struct fh_request request = world_apply_request(w, tenant, target);
    enum fh_code code = world_run_apply(w, &request);
    *error = request.error;
    return code;
}

/* `@` in the text stands for the prefix of the tenant's tables, `$` for its id. */
void world_expand(struct world *w, const struct fh_uuid *tenant, const char *text,
                  char out[WORLD_TEXT_MAX])
{
    struct fh_home home = world_home(w, tenant);
    size_t len = 0;
    fh_sqlite_conn_use_home(&w->conn, &home);
    for (; *text != '\0' && len < WORLD_TEXT_MAX - 64; text++) {
        int added = *text == '@'   ? snprintf(out + len, 64, "%s", w->conn.prefix)
                    : *text == '$' ? snprintf(out + len, 64, "fh_tenant(),1,2,NULL,1")
                                   : snprintf(out + len, 64, "%c", *text);
        len += (size_t)added;
    }
    out[len] = '\0';
}

void world_execute(struct world *w, const struct fh_uuid *tenant, const char *text)
{
    char sql[WORLD_TEXT_MAX];
    char *message = NULL;
    world_expand(w, tenant, text, sql);
    fh_sqlite_conn_enter(&w->conn, tenant);
    w->conn.access = FH_SQLITE_ACCESS_SETUP;
    if (sqlite3_exec(w->conn.db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s: %s", sql, message);
    }
    fh_sqlite_conn_enter(&w->conn, NULL);
}

static int append_cb(void *arg, int columns, char **values, char **names)
{
    struct fh_buf *out = arg;
    (void)names;
    for (int i = 0; i < columns; i++) {
        fh_buf_printf(out, "%s%s", i > 0 ? "," : "", values[i] != NULL ? values[i] : "-");
    }
    fh_buf_add_char(out, ';');
    return 0;
}

void world_expect(struct world *w, const struct fh_uuid *tenant, const char *text,
                  const char *expected)
{
    char sql[WORLD_TEXT_MAX];
    struct fh_buf out;
    fh_buf_init(&out, WORLD_TEXT_MAX);
    world_expand(w, tenant, text, sql);
    fh_sqlite_conn_enter(&w->conn, tenant);
    w->conn.access = FH_SQLITE_ACCESS_SETUP;
    if (sqlite3_exec(w->conn.db, sql, append_cb, &out, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(w->conn.db));
    }
    fh_sqlite_conn_enter(&w->conn, NULL);
    fh_buf_add_char(&out, '\0');
    assert_string_equal(out.data, expected);
    fh_buf_close(&out);
}

enum fh_code world_check(const struct world *w, const struct fh_home *home,
                         struct fh_request *request)
{
    struct fh_sqlite_place place = {.bridge = home == NULL};
    (void)snprintf(place.path, sizeof(place.path), "%s", w->f->path);
    return fh_sqlite_check(&place, home, &w->f->clock, request);
}

/* The check finds nothing off, by the newest schema that is applied. */
void world_check_is_clean(struct world *w, const struct fh_schema *schema)
{
    struct fh_home home = world_home(w, &w->f->a);
    struct fh_request request = fixture_request(w->f, FH_OP_CHECK, NULL);
    request.scope.schema = schema;
    assert_code(world_check(w, w->tier == FH_TIER_SCHEMA ? NULL : &home, &request), FH_OK);
    for (size_t i = 0; i < request.as.check.count; i++) {
        const struct fh_finding *finding = &request.as.check.findings[i];
        if (!finding->ok) {
            fail_msg("%.*s: %.*s", FH_STR_ARG(finding->subject), FH_STR_ARG(finding->text));
        }
    }
}

int world_setup(void **state)
{
    static struct fixture f;
    fixture_init(&f);
    *state = &f;
    return 0;
}

int world_teardown(void **state)
{
    fixture_close(*state);
    return 0;
}
