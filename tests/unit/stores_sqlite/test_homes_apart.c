/* Two homes in one bridge file: a statement for one cannot name the other's views or tables,
 * whichever layer is taken away. */
#include "tests/unit/stores_sqlite/world.h"

#include <stdio.h>

static const char tables[] = "CREATE TABLE t(id bigint PRIMARY KEY, a text)";

static void start(struct world *w, struct fixture *f, const struct fh_schema **schema)
{
    struct fh_error error = FH_ERROR_INIT;
    world_open(w, f, FH_TIER_SCHEMA);
    *schema = world_migrate(w, NULL, tables);
    const struct fh_uuid *tenants[] = {&f->a, &f->b};
    for (int i = 0; i < 2; i++) {
        world_put_fence(w, tenants[i]);
        assert_code(world_apply(w, tenants[i], *schema, &error), FH_OK);
        world_execute(w, tenants[i],
                      "INSERT INTO @t(tenant_id,created_at,updated_at,deleted_at,version,id,a) "
                      "VALUES($,1,'mine')");
    }
}

static void use(struct fh_sqlite_conn *conn, struct world *w, const struct fh_uuid *tenant,
                const struct fh_schema *schema)
{
    struct fh_home home = world_home(w, tenant);
    struct fh_error error = FH_ERROR_INIT;
    fh_sqlite_conn_use_home(conn, &home);
    assert_code(fh_sqlite_views_use(conn, schema, &error), FH_OK);
}

static int prepare(struct fh_sqlite_conn *conn, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(conn->db, sql, -1, &statement, NULL);
    sqlite3_finalize(statement);
    return rc;
}

/* `%s` is the prefix, or the set of views. */
static const char *const by_table[] = {
    "SELECT * FROM main.\"%st\"",
    "SELECT count(*) FROM main.\"%sfh_fence\"",
    "SELECT value FROM main.\"%sfh_meta\"",
    "INSERT INTO main.\"%st\"(tenant_id,created_at,updated_at,version,id) VALUES(x'00',1,1,1,1)",
    "UPDATE main.\"%st\" SET a=1",
    "DELETE FROM main.\"%st\"",
    "DELETE FROM main.\"%sfh_fence\"",
    "UPDATE main.\"%sfh_meta\" SET value=7",
    "DROP TABLE main.\"%st\"",
};
static const char *const by_view[] = {"SELECT * FROM temp.\"%st\"",
                                      "SELECT epoch FROM temp.\"%sfh_fence\""};

static void refuse_all(struct fh_sqlite_conn *conn, const char *const *texts, size_t count,
                       const char *with)
{
    for (size_t i = 0; i < count; i++) {
        char sql[300];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(sql, sizeof(sql), texts[i], with);
#pragma GCC diagnostic pop
        if (prepare(conn, sql) != SQLITE_AUTH) {
            fail_msg("not refused: %s", sql);
        }
    }
}

static void test_the_authorizer(void **state)
{
    struct fixture *f = *state;
    static const enum fh_sqlite_access accesses[] = {FH_SQLITE_ACCESS_READ, FH_SQLITE_ACCESS_WRITE};
    struct world w;
    const struct fh_schema *schema = NULL;
    char prefix[sizeof(w.conn.prefix)];
    char views[32];
    start(&w, f, &schema);
    use(&w.conn, &w, &f->b, schema);
    memcpy(prefix, w.conn.prefix, sizeof(prefix));
    (void)snprintf(views, sizeof(views), "%s", w.conn.views.current->name);
    fh_sqlite_conn_enter(&w.conn, &f->a);
    for (size_t i = 0; i < 2; i++) {
        use(&w.conn, &w, &f->a, schema);
        w.conn.access = accesses[i];
        refuse_all(&w.conn, by_table, sizeof(by_table) / sizeof(by_table[0]), prefix);
        refuse_all(&w.conn, by_view, sizeof(by_view) / sizeof(by_view[0]), views);
        /* The same of its own home is let through. */
        char sql[128];
        (void)snprintf(sql, sizeof(sql), "SELECT * FROM temp.\"%st\"", w.conn.views.current->name);
        assert_int_equal(prepare(&w.conn, sql), SQLITE_OK);
    }
    world_close(&w);
}

/* A statement of ours, run in the other tenant's context, with one layer gone at a time: what it
 * names are its own home's tables, and what stands there is its own tenant's. */
static void read_with(struct world *w, const struct fh_schema *schema,
                      const struct fh_isolation_faults *faults)
{
    struct fixture *f = w->f;
    struct fh_sqlite_conn conn;
    struct fh_error error = FH_ERROR_INIT;
    fh_sqlite_conn_init(&conn, FH_SQLITE_READER, f->path, &f->clock, faults);
    assert_code(fh_sqlite_conn_open(&conn, &error), FH_OK);
    conn.bridge = true;
    use(&conn, w, &f->b, schema); /* its views stand on the connection, too */
    use(&conn, w, &f->a, schema);
    sqlite3_stmt *statement = NULL;
    bool row = false;
    assert_code(fh_sqlite_statement_get(&conn, FH_SQLITE_SCAN, schema->tables[0], 0, &f->a,
                                        &statement, &error),
                FH_OK);
    const char *text = sqlite3_sql(statement);
    char other[64];
    struct fh_home home = world_home(w, &f->b);
    (void)snprintf(other, sizeof(other), "%.40s", home.name);
    assert_null(strstr(text, other));
    assert_int_equal(sqlite3_bind_int64(statement, 2, 100), SQLITE_OK);
    do {
        assert_code(fh_sqlite_statement_step(&conn, statement, &row, &error), FH_OK);
        if (row) {
            assert_memory_equal(sqlite3_column_blob(statement, 0), f->a.bytes, sizeof(f->a.bytes));
        }
    } while (row);
    fh_sqlite_statement_end(&conn, statement);
    fh_sqlite_conn_close(&conn);
}

static void test_each_layer_gone(void **state)
{
    struct fixture *f = *state;
    struct world w;
    const struct fh_schema *schema = NULL;
    start(&w, f, &schema);
    const struct fh_isolation_faults faults[] = {
        {.wrong_context_every = 0},
        {.skip_predicate = true},
        {.skip_enforcement = true},
        {.skip_ownership_check = true},
        {.wrong_context_every = 1, .wrong_tenant = f->b},
        {.wrong_context_every = 1, .wrong_tenant = f->b, .skip_predicate = true},
        {.skip_predicate = true, .skip_enforcement = true, .skip_ownership_check = true},
    };
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        read_with(&w, schema, &faults[i]);
    }
    world_close(&w);
}

/* The file itself refuses another tenant's row in a dedicated home, also without triggers. */
static void test_the_constraint_holds_alone(void **state)
{
    static const char *const inserts[] = {
        "INSERT INTO main.\"%sfh_fence\" VALUES(x'0b000000000000000000000000000002',1,1,1)",
        "INSERT INTO main.\"%sfh_move\" VALUES(x'0b000000000000000000000000000002',x'00')",
        ("INSERT INTO main.\"%st\"(tenant_id,created_at,updated_at,version,id) "
         "VALUES(x'0b000000000000000000000000000002',1,1,1,7)")};
    struct fixture *f = *state;
    struct world w;
    const struct fh_schema *schema = NULL;
    start(&w, f, &schema);
    assert_int_equal(sqlite3_db_config(w.conn.db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, (int *)NULL),
                     SQLITE_OK);
    use(&w.conn, &w, &f->a, schema);
    for (size_t i = 0; i < sizeof(inserts) / sizeof(inserts[0]); i++) {
        char sql[300];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(sql, sizeof(sql), inserts[i], w.conn.prefix);
#pragma GCC diagnostic pop
        assert_code(fh_sqlite_conn_exec(&w.conn, sql, NULL), FH_CHECK_VIOLATION);
    }
    world_close(&w);
}

/* More homes than sets of views are kept: all are served, and the oldest go. */
static void test_views_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct fh_sqlite_conn conn;
    struct fh_error error = FH_ERROR_INIT;
    struct world w;
    const struct fh_schema *schema = NULL;
    start(&w, f, &schema);
    fh_sqlite_conn_init(&conn, FH_SQLITE_READER, f->path, &f->clock, NULL);
    assert_code(fh_sqlite_conn_open(&conn, &error), FH_OK);
    conn.bridge = true;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < FH_SQLITE_VIEWS_MAX + 20; i++) {
            struct fh_uuid tenant = {.bytes = {0x77, (uint8_t)i}};
            use(&conn, &w, &tenant, schema);
            assert_in_range(conn.views.map.count, 1, FH_SQLITE_VIEWS_MAX);
        }
        use(&conn, &w, &f->a, schema);
        sqlite3_stmt *statement = NULL;
        bool row = false;
        assert_code(fh_sqlite_statement_get(&conn, FH_SQLITE_FENCE_READ, NULL, 0, &f->a, &statement,
                                            &error),
                    FH_OK);
        assert_code(fh_sqlite_statement_step(&conn, statement, &row, &error), FH_OK);
        assert_true(row);
        fh_sqlite_statement_end(&conn, statement);
    }
    int64_t left = 0;
    assert_code(
        fh_sqlite_conn_pragma(&conn, "SELECT count(*) FROM temp.sqlite_schema", &left, &error),
        FH_OK);
    assert_int_equal(left, 4 * FH_SQLITE_VIEWS_MAX);
    fh_sqlite_conn_close(&conn);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_authorizer, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_each_layer_gone, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_the_constraint_holds_alone, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(test_views_are_bounded, world_setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
