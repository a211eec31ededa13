/* The three layers, each from inside, and each alone. */
#include "tests/unit/stores_sqlite/fixture.h"

#include "stores/sqlite/conn.h"

static void open_conn(struct fixture *f, struct fh_sqlite_conn *conn, enum fh_sqlite_role role)
{
    struct fh_error error = FH_ERROR_INIT;
    fh_sqlite_conn_init(conn, role, f->path, &f->clock, NULL);
    assert_code(fh_sqlite_conn_open(conn, &error), FH_OK);
    assert_code(fh_sqlite_views_use(conn, &fixture_v1, &error), FH_OK);
}

static int count_cb(void *arg, int columns, char **values, char **names)
{
    (void)columns;
    (void)values;
    (void)names;
    ++*(int *)arg;
    return 0;
}

static int rows_of(struct fh_sqlite_conn *conn, const char *sql)
{
    int rows = 0;
    assert_int_equal(sqlite3_exec(conn->db, sql, count_cb, &rows, NULL), SQLITE_OK);
    return rows;
}

static void put_both(struct fixture *f)
{
    assert_code(fixture_put(f, &f->a, FH_WRITE_INSERT, 1, "of a", "x"), FH_OK);
    assert_code(fixture_put(f, &f->a, FH_WRITE_INSERT, 2, "of a", NULL), FH_OK);
    assert_code(fixture_put(f, &f->b, FH_WRITE_INSERT, 1, "of b", "x"), FH_OK);
}

static void test_views_show_the_bound_tenant(void **state)
{
    struct fixture *f = *state;
    struct fh_sqlite_conn conn;
    put_both(f);
    open_conn(f, &conn, FH_SQLITE_READER);
    conn.access = FH_SQLITE_ACCESS_READ;
    assert_int_equal(rows_of(&conn, "SELECT name FROM temp.fh_v1_items"), 0); /* unbound: nothing */
    assert_int_equal(rows_of(&conn, "SELECT epoch FROM temp.fh_v1_fh_fence"), 0);
    fh_sqlite_conn_enter(&conn, &f->a);
    assert_int_equal(rows_of(&conn, "SELECT name FROM temp.fh_v1_items"), 2);
    assert_int_equal(rows_of(&conn, "SELECT epoch FROM temp.fh_v1_fh_fence"), 1);
    assert_int_equal(rows_of(&conn, "SELECT seq FROM temp.fh_v1_fh_commit"), 2);
    fh_sqlite_conn_enter(&conn, &f->b);
    assert_int_equal(rows_of(&conn, "SELECT name FROM temp.fh_v1_items"), 1);
    fh_sqlite_conn_close(&conn);
}

static void test_readers_reach_nothing_else(void **state)
{
    static const char *const refused[] = {
        "SELECT * FROM items",
        "SELECT * FROM main.items",
        "SELECT count(*) FROM items",
        "SELECT name FROM items WHERE tenant_id=fh_tenant()",
        "SELECT * FROM fh_commit",
        "SELECT * FROM fh_fence",
        "SELECT * FROM parts JOIN temp.fh_v1_items i ON i.id=parts.item_id",
        "SELECT (SELECT name FROM items LIMIT 1) FROM temp.fh_v1_items",
        "SELECT sql FROM sqlite_schema",
        "SELECT * FROM temp.sqlite_schema",
        "PRAGMA table_info(items)",
        "PRAGMA writable_schema=ON",
        "ATTACH ':memory:' AS x",
        "CREATE TEMP VIEW v AS SELECT * FROM main.items",
        "CREATE TEMP TABLE t(x)",
        "DROP VIEW temp.fh_v1_items",
        "INSERT INTO items(tenant_id) VALUES(x'00')",
        "UPDATE items SET name='x'",
        "DELETE FROM items",
        "SELECT load_extension('x')",
        "SELECT hex(fh_tenant())",
    };
    struct fixture *f = *state;
    struct fh_sqlite_conn conn;
    put_both(f);
    open_conn(f, &conn, FH_SQLITE_READER);
    conn.access = FH_SQLITE_ACCESS_READ;
    fh_sqlite_conn_enter(&conn, &f->a);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        sqlite3_stmt *statement = NULL;
        int rc = sqlite3_prepare_v2(conn.db, refused[i], -1, &statement, NULL);
        sqlite3_finalize(statement);
        if (rc == SQLITE_OK) {
            fail_msg("allowed: %s", refused[i]);
        }
    }
    fh_sqlite_conn_close(&conn);
}

static void exec_expect(struct fh_sqlite_conn *conn, const char *sql, int expected)
{
    conn->access = FH_SQLITE_ACCESS_WRITE;
    int rc = sqlite3_exec(conn->db, sql, NULL, NULL, NULL);
    if (rc != expected) {
        fail_msg("%s: %d (%s), not %d", sql, rc, sqlite3_errmsg(conn->db), expected);
    }
}

#define A_ID "x'0a000000000000000000000000000001'"
#define B_ID "x'0b000000000000000000000000000002'"
#define NEW_ROW(tenant)                                                                 \
    "INSERT INTO items(tenant_id,id,name,created_at,updated_at,version) VALUES(" tenant \
    ",9,'n',1,1,1)"

static void test_triggers_refuse_foreign_rows(void **state)
{
    struct fixture *f = *state;
    struct fh_sqlite_conn conn;
    put_both(f);
    open_conn(f, &conn, FH_SQLITE_WRITER);
    /* Unbound: every row is foreign. */
    exec_expect(&conn, NEW_ROW(A_ID), SQLITE_CONSTRAINT_TRIGGER);
    exec_expect(&conn, "UPDATE items SET qty=1", SQLITE_CONSTRAINT_TRIGGER);
    exec_expect(&conn, "DELETE FROM items", SQLITE_CONSTRAINT_TRIGGER);
    fh_sqlite_conn_enter(&conn, &f->a);
    exec_expect(&conn, NEW_ROW(B_ID), SQLITE_CONSTRAINT_TRIGGER);
    exec_expect(&conn, "UPDATE items SET qty=1", SQLITE_CONSTRAINT_TRIGGER); /* b's among them */
    exec_expect(&conn, "UPDATE items SET qty=1 WHERE tenant_id=" B_ID, SQLITE_CONSTRAINT_TRIGGER);
    exec_expect(&conn, "UPDATE items SET tenant_id=" B_ID " WHERE tenant_id=" A_ID,
                SQLITE_CONSTRAINT_TRIGGER);
    exec_expect(&conn, "UPDATE items SET tenant_id=" A_ID ",id=77 WHERE tenant_id=" B_ID,
                SQLITE_CONSTRAINT_TRIGGER);
    exec_expect(&conn, "DELETE FROM items", SQLITE_CONSTRAINT_TRIGGER);
    exec_expect(&conn, "UPDATE fh_fence SET mode=3 WHERE tenant_id=" B_ID,
                SQLITE_CONSTRAINT_TRIGGER);
    exec_expect(&conn, "DELETE FROM fh_commit WHERE tenant_id=" B_ID, SQLITE_CONSTRAINT_TRIGGER);
    exec_expect(&conn, NEW_ROW(A_ID), SQLITE_OK);
    exec_expect(&conn, "UPDATE items SET qty=1 WHERE tenant_id=" A_ID, SQLITE_OK);
    exec_expect(&conn, "DELETE FROM items WHERE tenant_id=" A_ID " AND id=9", SQLITE_OK);
    fh_sqlite_conn_close(&conn);
    assert_int_equal(fixture_count(f, &f->b), 1);
}

/* A program that knows nothing of us cannot write past the triggers either. */
static void test_a_stranger_cannot_write(void **state)
{
    struct fixture *f = *state;
    sqlite3 *db = NULL;
    put_both(f);
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_not_equal(sqlite3_exec(db, "DELETE FROM items", NULL, NULL, NULL), SQLITE_OK);
    assert_int_not_equal(sqlite3_exec(db, NEW_ROW(A_ID), NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(fixture_count(f, &f->a), 2);
}

/* Reopens with the faults in force: every statement runs in b's context. */
static void misbehave(struct fixture *f, bool wrong_context, bool skip_predicate,
                      bool skip_enforcement, bool skip_ownership_check)
{
    fixture_shut(f);
    f->with_faults = true;
    f->faults = (struct fh_isolation_faults){.wrong_context_every = wrong_context ? 1 : 0,
                                             .wrong_tenant = f->b,
                                             .skip_predicate = skip_predicate,
                                             .skip_enforcement = skip_enforcement,
                                             .skip_ownership_check = skip_ownership_check};
    fixture_open(f);
}

/* Release builds ignore the faults. */
static void need_faults(void)
{
#ifndef FREEHOLD_FAULTS
    skip();
#endif
}

static bool is_of(const struct fh_row *row, const char *name)
{
    return row != NULL && fh_str_eq(row->values[ITEM_NAME].as.bytes, fh_str_of(name));
}

/* Every fault but all at once: a reads and writes, and never meets b's row. */
static void test_two_layers_may_fail(void **state)
{
    struct fixture *f = *state;
    need_faults();
    put_both(f);
    for (unsigned faults = 0; faults < 16; faults++) {
        bool context = (faults & 1) != 0;
        bool predicate = (faults & 2) != 0;
        bool enforcement = (faults & 4) != 0;
        bool ownership = (faults & 8) != 0;
        /* Layer two is gone when its context is wrong. */
        if (predicate && ownership && (enforcement || context)) {
            continue;
        }
        misbehave(f, context, predicate, enforcement, ownership);
        struct fh_row *row = NULL;
        enum fh_code code = fixture_get(f, &f->a, 1, &row);
        assert_false(is_of(row, "of b"));
        assert_true(code == FH_OK || code == FH_NO_TENANT || code == FH_FOREIGN_ROW);
        code = fixture_put(f, &f->a, FH_WRITE_UPDATE, 1, "of a", NULL);
        assert_true(code == FH_OK || code == FH_NO_TENANT || code == FH_FOREIGN_ROW);
        struct fh_request list = fixture_request(f, FH_OP_LIST, &f->a);
        list.as.list.table = &fixture_items;
        list.as.list.limit = 10;
        code = fixture_run(f, &list);
        for (size_t i = 0; code == FH_OK && i < list.as.list.count; i++) {
            assert_true(is_of(list.as.list.rows[i], "of a"));
        }
        struct fh_request events = fixture_request(f, FH_OP_EVENTS, &f->a);
        events.as.events.limit = 100;
        code = fixture_run(f, &events);
        for (size_t i = 0; code == FH_OK && i < events.as.events.count; i++) {
            assert_true(fh_uuid_eq(&events.as.events.records[i].tenant, &f->a));
        }
        misbehave(f, false, false, false, false);
        assert_code(fixture_get(f, &f->b, 1, &row), FH_OK);
        assert_true(is_of(row, "of b"));
        assert_int_equal(row->version, 1);
    }
}

static void test_what_each_layer_answers(void **state)
{
    struct fixture *f = *state;
    need_faults();
    struct fh_row *row = NULL;
    put_both(f);
    misbehave(f, true, false, false, true); /* the predicate alone */
    assert_code(fixture_get(f, &f->a, 1, &row), FH_NO_TENANT);
    misbehave(f, false, true, false, true); /* the views alone */
    assert_code(fixture_get(f, &f->a, 1, &row), FH_OK);
    assert_true(is_of(row, "of a"));
    misbehave(f, true, true, false, false); /* the comparison alone */
    assert_code(fixture_get(f, &f->a, 1, &row), FH_FOREIGN_ROW);
    assert_code(fixture_put(f, &f->a, FH_WRITE_UPDATE, 1, "taken", NULL), FH_FOREIGN_ROW);
    misbehave(f, false, true, true, false);
    assert_code(fixture_get(f, &f->b, 1, &row), FH_FOREIGN_ROW); /* a's fence comes first */
    /* With none left it leaks: so the faults above are real. */
    misbehave(f, true, true, false, true);
    assert_code(fixture_get(f, &f->a, 1, &row), FH_OK);
    assert_true(is_of(row, "of b"));
    /* The triggers still stand: a's row does not go into b's context. */
    assert_code(fixture_put(f, &f->a, FH_WRITE_INSERT, 50, "stray", NULL), FH_FOREIGN_ROW);
}

/* RETURNING is compared before RELEASE: nothing of a foreign write stays. */
static void test_returned_tenants_are_compared(void **state)
{
    struct fixture *f = *state;
    need_faults();
    put_both(f);
    /* Without predicate and triggers an update of a's row 1 also meets b's row 1; a is first
     * everywhere, so fence and before-image look right. */
    misbehave(f, false, true, true, false);
    assert_code(fixture_put(f, &f->a, FH_WRITE_UPDATE, 1, "both", NULL), FH_FOREIGN_ROW);
    misbehave(f, false, false, false, false);
    struct fh_row *row = NULL;
    assert_code(fixture_get(f, &f->a, 1, &row), FH_OK);
    assert_true(is_of(row, "of a"));
    assert_code(fixture_get(f, &f->b, 1, &row), FH_OK);
    assert_true(is_of(row, "of b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_views_show_the_bound_tenant),
        FIXTURE_TEST(test_readers_reach_nothing_else),
        FIXTURE_TEST(test_triggers_refuse_foreign_rows),
        FIXTURE_TEST(test_a_stranger_cannot_write),
        FIXTURE_TEST(test_two_layers_may_fail),
        FIXTURE_TEST(test_what_each_layer_answers),
        FIXTURE_TEST(test_returned_tenants_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
