/* Schema changes on tables with rows: each kind, in the shared home with two tenants, in a bridge
 * file with two homes, and in a file of one home. After each the check must find nothing off, and
 * a change that rows break must leave everything as it was. */
#include "tests/unit/stores_sqlite/fixture.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stores/schema/parse.h"
#include "stores/sqlite/check.h"
#include "stores/sqlite/conn.h"
#include "stores/sqlite/ddl.h"
#include "stores/sqlite/schema.h"
#include "stores/sqlite/version.h"

#define APPLICATION_ID 0x46484442
#define TEXT_MAX 4096

static const enum fh_tier tiers[] = {FH_TIER_SHARED, FH_TIER_SCHEMA, FH_TIER_DATABASE};
#define TIERS (sizeof(tiers) / sizeof(tiers[0]))

struct world {
    struct fixture *f;
    enum fh_tier tier;
    struct fh_sqlite_conn conn;
    struct fh_arena arena;
};

static const struct fh_schema *migrate(struct world *w, const struct fh_schema *base,
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

static struct fh_home home_of(const struct world *w, const struct fh_uuid *tenant)
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
        struct fh_home home = home_of(w, i == 0 ? &w->f->a : &w->f->b);
        struct fh_sqlite_ddl_home ddl_home;
        struct fh_error error = FH_ERROR_INIT;
        fh_sqlite_ddl_home_of(&home, &ddl_home);
        assert_code(fh_sqlite_ddl_system(&ddl_home, raw_cb, db, &error), FH_OK);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(chmod(w->f->path, 0600), 0);
}

static void world_open(struct world *w, struct fixture *f, enum fh_tier tier)
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

static void world_close(struct world *w)
{
    fh_sqlite_conn_close(&w->conn);
    fh_arena_close(&w->arena);
}

static enum fh_code run_apply(struct world *w, struct fh_request *request)
{
    struct fh_sqlite_conn *conn = &w->conn;
    fh_sqlite_conn_use_home(conn, &request->scope.home);
    conn->deadline_us = request->deadline_us;
    assert_code(fh_sqlite_views_clear(conn, &request->error), FH_OK);
    assert_code(fh_sqlite_views_use(conn, NULL, &request->error), FH_OK);
    assert_code(fh_sqlite_schema_begin(conn, request), FH_OK);
    enum fh_code code = fh_sqlite_schema_apply(conn, request);
    assert_code(
        fh_sqlite_statement_run(conn, code == FH_OK ? FH_SQLITE_COMMIT : FH_SQLITE_ROLLBACK, NULL),
        FH_OK);
    return code;
}

/* The tenant's fence, in a dedicated home, before the first apply. */
static void put_fence(struct world *w, const struct fh_uuid *tenant)
{
    struct fh_home home = home_of(w, tenant);
    char sql[200];
    fh_sqlite_conn_use_home(&w->conn, &home);
    fh_sqlite_conn_enter(&w->conn, tenant);
    (void)snprintf(sql, sizeof(sql), "INSERT INTO %sfh_fence VALUES(fh_tenant(),1,1,1)",
                   w->conn.prefix);
    assert_code(fh_sqlite_conn_exec(&w->conn, sql, NULL), FH_OK);
    fh_sqlite_conn_enter(&w->conn, NULL);
}

static struct fh_request apply_request(struct world *w, const struct fh_uuid *tenant,
                                       const struct fh_schema *target)
{
    bool dedicated = w->tier != FH_TIER_SHARED;
    struct fh_request request =
        fixture_request(w->f, FH_OP_SCHEMA_APPLY, dedicated ? tenant : NULL);
    request.scope.home = home_of(w, tenant);
    request.as.schema.target = target;
    request.as.schema.guard = (struct fh_fence_guard){
        .generation = 1, .modes = FH_FENCE_BIT(FH_FENCE_OPEN) | FH_FENCE_BIT(FH_FENCE_FROZEN)};
    return request;
}

static enum fh_code apply(struct world *w, const struct fh_uuid *tenant,
                          const struct fh_schema *target, struct fh_error *error)
{
    struct fh_request request = apply_request(w, tenant, target);
    enum fh_code code = run_apply(w, &request);
    *error = request.error;
    return code;
}

/* `@` in the text stands for the prefix of the tenant's tables, `$` for its id. */
static void expand(struct world *w, const struct fh_uuid *tenant, const char *text,
                   char out[TEXT_MAX])
{
    struct fh_home home = home_of(w, tenant);
    size_t len = 0;
    fh_sqlite_conn_use_home(&w->conn, &home);
    for (; *text != '\0' && len < TEXT_MAX - 64; text++) {
        int added = *text == '@'   ? snprintf(out + len, 64, "%s", w->conn.prefix)
                    : *text == '$' ? snprintf(out + len, 64, "fh_tenant(),1,2,NULL,1")
                                   : snprintf(out + len, 64, "%c", *text);
        len += (size_t)added;
    }
    out[len] = '\0';
}

static void execute(struct world *w, const struct fh_uuid *tenant, const char *text)
{
    char sql[TEXT_MAX];
    char *message = NULL;
    expand(w, tenant, text, sql);
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

static void expect(struct world *w, const struct fh_uuid *tenant, const char *text,
                   const char *expected)
{
    char sql[TEXT_MAX];
    struct fh_buf out;
    fh_buf_init(&out, TEXT_MAX);
    expand(w, tenant, text, sql);
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

/* The check finds nothing off, by the newest schema that is applied. */
static void check_is_clean(struct world *w, const struct fh_schema *schema)
{
    struct fh_home home = home_of(w, &w->f->a);
    struct fh_request request = fixture_request(w->f, FH_OP_CHECK, NULL);
    request.scope.schema = schema;
    assert_code(fh_sqlite_check(w->f->path, w->tier == FH_TIER_SCHEMA ? NULL : &home, &w->f->clock,
                                &request),
                FH_OK);
    for (size_t i = 0; i < request.as.check.count; i++) {
        const struct fh_finding *finding = &request.as.check.findings[i];
        if (!finding->ok) {
            fail_msg("%.*s: %.*s", FH_STR_ARG(finding->subject), FH_STR_ARG(finding->text));
        }
    }
}

struct change {
    const char *from;
    const char *rows; /* each tenant's, before */
    const char *to;
    const char *query; /* of the tenant's rows, after */
    const char *expected;
    enum fh_code code;   /* FH_OK, or why not; then the query is asked all the same */
    const char *message; /* part of the error's */
};

#define TABLES                                                               \
    "CREATE TABLE p(id bigint PRIMARY KEY, name text NOT NULL);"             \
    "CREATE TABLE t(id bigint PRIMARY KEY, a text, b integer, p_id bigint);" \
    "CREATE INDEX t_b ON t(b);"
#define ROWS                                                                          \
    "INSERT INTO @p(tenant_id,created_at,updated_at,deleted_at,version,id,name) "     \
    "VALUES($,1,'p1'),($,2,'p2');"                                                    \
    "INSERT INTO @t(tenant_id,created_at,updated_at,deleted_at,version,id,a,b,p_id) " \
    "VALUES($,1,'x',10,1),($,2,'y',20,2),($,3,NULL,30,NULL);"
#define MINE " WHERE tenant_id=fh_tenant() ORDER BY id"

static const struct change changes[] = {
    {TABLES, ROWS, "ALTER TABLE t ADD COLUMN c text", "SELECT id,a,b,c FROM @t" MINE,
     "1,x,10,-;2,y,20,-;3,-,30,-;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t ADD COLUMN c varchar(9) NOT NULL DEFAULT 'it''s'",
     "SELECT id,c FROM @t" MINE, "1,it's;2,it's;3,it's;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t ADD COLUMN c numeric(9,2) NOT NULL DEFAULT 1.5",
     "SELECT id,c FROM @t" MINE, "1,150;2,150;3,150;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t ADD COLUMN c timestamptz NOT NULL DEFAULT now()",
     "SELECT count(*),count(DISTINCT c),min(c)>1000000 FROM @t", NULL, FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t DROP COLUMN a", "SELECT * FROM @t" MINE, NULL, FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t RENAME COLUMN b TO bb", "SELECT id,bb FROM @t" MINE,
     "1,10;2,20;3,30;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t DROP COLUMN a; ALTER TABLE t RENAME COLUMN b TO a",
     "SELECT id,a FROM @t" MINE, "1,10;2,20;3,30;", FH_OK, NULL},
    {TABLES, ROWS,
     "ALTER TABLE t DROP COLUMN a; ALTER TABLE t RENAME COLUMN b TO a;"
     "ALTER TABLE t ADD COLUMN b text; ALTER TABLE t ADD CONSTRAINT t_a CHECK (a > 0)",
     "SELECT id,a,b FROM @t" MINE, "1,10,-;2,20,-;3,30,-;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t ALTER COLUMN b SET NOT NULL", "SELECT id,b FROM @t" MINE,
     "1,10;2,20;3,30;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t ALTER COLUMN a SET NOT NULL", "SELECT id,a FROM @t" MINE,
     "1,x;2,y;3,-;", FH_CHECK_VIOLATION, "table t"},
    {TABLES, ROWS, "ALTER TABLE p ALTER COLUMN name DROP NOT NULL", "SELECT id,name FROM @p" MINE,
     "1,p1;2,p2;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t ADD CONSTRAINT small CHECK (b <= 30 AND length(a) = 1)",
     "SELECT id,b FROM @t" MINE, "1,10;2,20;3,30;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t ADD CONSTRAINT small CHECK (b < 30)", "SELECT id,b FROM @t" MINE,
     "1,10;2,20;3,30;", FH_CHECK_VIOLATION, "small"},
    {TABLES "ALTER TABLE t ADD CONSTRAINT small CHECK (b < 99);", ROWS,
     "ALTER TABLE t DROP CONSTRAINT small", "SELECT id,b FROM @t" MINE, "1,10;2,20;3,30;", FH_OK,
     NULL},
    {TABLES, ROWS,
     "ALTER TABLE t ADD COLUMN c bigint GENERATED ALWAYS AS (b * 2 + length(coalesce(a, ''))) "
     "STORED",
     "SELECT id,c FROM @t" MINE, "1,21;2,41;3,60;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t ADD CONSTRAINT t_p FOREIGN KEY (p_id) REFERENCES p(id)",
     "SELECT id,p_id FROM @t" MINE, "1,1;2,2;3,-;", FH_OK, NULL},
    {TABLES, ROWS "UPDATE @p SET deleted_at=5 WHERE id=2 AND tenant_id=fh_tenant();",
     "ALTER TABLE t ADD CONSTRAINT t_p FOREIGN KEY (p_id) REFERENCES p(id)",
     "SELECT id,p_id FROM @t" MINE, "1,1;2,2;3,-;", FH_REFERENCE_VIOLATION, "t_p"},
    {TABLES "ALTER TABLE t ADD CONSTRAINT t_p FOREIGN KEY (p_id) REFERENCES p(id);", ROWS,
     "ALTER TABLE t DROP CONSTRAINT t_p", "SELECT id,p_id FROM @t" MINE, "1,1;2,2;3,-;", FH_OK,
     NULL},
    {TABLES "ALTER TABLE t ADD CONSTRAINT t_p FOREIGN KEY (p_id) REFERENCES p(id);", ROWS,
     "ALTER TABLE p RENAME COLUMN id TO key; ALTER TABLE p ADD CONSTRAINT p_k CHECK (key > 0)",
     "SELECT key,name FROM @p WHERE tenant_id=fh_tenant() ORDER BY key", "1,p1;2,p2;", FH_OK, NULL},
    {TABLES "ALTER TABLE t ADD CONSTRAINT t_p FOREIGN KEY (p_id) REFERENCES p(id);", ROWS,
     "ALTER TABLE t DROP CONSTRAINT t_p; DROP TABLE p", "SELECT id,p_id FROM @t" MINE,
     "1,1;2,2;3,-;", FH_OK, NULL},
    {TABLES, ROWS, "CREATE UNIQUE INDEX t_u ON t(b)", "SELECT id FROM @t" MINE, "1;2;3;", FH_OK,
     NULL},
    {TABLES, ROWS "UPDATE @t SET b=10 WHERE tenant_id=fh_tenant();",
     "CREATE UNIQUE INDEX t_u ON t(b)", "SELECT id FROM @t" MINE, "1;2;3;", FH_UNIQUE_VIOLATION,
     "t_u"},
    {TABLES, ROWS, "DROP INDEX t_b", "SELECT id FROM @t" MINE, "1;2;3;", FH_OK, NULL},
    {TABLES, ROWS, "CREATE TABLE n(id bigint PRIMARY KEY, t_id bigint REFERENCES t(id))",
     "SELECT count(*) FROM @n", "0;", FH_OK, NULL},
    {TABLES, ROWS, "ALTER TABLE t ALTER COLUMN b SET DEFAULT 7; COMMENT ON TABLE t IS 'tt'",
     "SELECT id,b FROM @t" MINE, "1,10;2,20;3,30;", FH_OK, NULL},
};
#define CHANGES (sizeof(changes) / sizeof(changes[0]))

static void run_change(struct world *w, const struct change *change)
{
    struct fh_error error = FH_ERROR_INIT;
    const struct fh_schema *v1 = migrate(w, NULL, change->from);
    const struct fh_schema *v2 = migrate(w, v1, change->to);
    const struct fh_uuid *tenants[] = {&w->f->a, &w->f->b};
    int count = w->tier == FH_TIER_DATABASE ? 1 : 2;
    for (int i = 0; i < count; i++) {
        put_fence(w, tenants[i]);
        assert_code(apply(w, tenants[i], v1, &error), FH_OK); /* shared: the second is idempotent */
        execute(w, tenants[i], change->rows);
    }
    check_is_clean(w, v1);
    for (int i = 0; i < count; i++) {
        enum fh_code code = apply(w, tenants[i], v2, &error);
        if (code != change->code) {
            fail_msg("%s: %s: %s", change->to, fh_code_name(code), error.message);
        }
        if (change->message != NULL) {
            assert_non_null(strstr(error.message, change->message));
        }
        if (w->tier == FH_TIER_SCHEMA && i == 0) {
            check_is_clean(w, v2); /* two homes at different versions in one file */
        }
    }
    for (int i = 0; i < count && change->expected != NULL; i++) {
        expect(w, tenants[i], change->query, change->expected);
    }
    expect(w, tenants[0], "PRAGMA foreign_key_check", "");
    check_is_clean(w, change->code == FH_OK ? v2 : v1);
}

static void test_changes(void **state)
{
    struct fixture *f = *state;
    for (size_t t = 0; t < TIERS; t++) {
        for (size_t i = 0; i < CHANGES; i++) {
            struct world w;
            world_open(&w, f, tiers[t]);
            run_change(&w, &changes[i]);
            world_close(&w);
        }
    }
}

static int setup(void **state)
{
    static struct fixture f;
    fixture_init(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture_close(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
