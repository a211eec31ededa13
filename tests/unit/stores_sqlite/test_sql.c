/* Statement texts: names quoted, the tenant's predicate everywhere, and no plan that scans. */
#include "tests/unit/stores_sqlite/fixture.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "stores/sqlite/conn.h"

static const enum fh_sqlite_shape system_reads[] = {FH_SQLITE_FENCE_READ, FH_SQLITE_FENCE_COMMIT,
                                                    FH_SQLITE_RECORD_FIND, FH_SQLITE_EVENTS,
                                                    FH_SQLITE_EVENTS_BEFORE};
static const enum fh_sqlite_shape table_reads[] = {
    FH_SQLITE_GET,      FH_SQLITE_GET_ANY,    FH_SQLITE_LIST,
    FH_SQLITE_LIST_ANY, FH_SQLITE_LIST_AFTER, FH_SQLITE_LIST_AFTER_ANY,
    FH_SQLITE_BEFORE,   FH_SQLITE_PARENT,     FH_SQLITE_COUNT};
static const enum fh_sqlite_shape table_writes[] = {FH_SQLITE_INSERT, FH_SQLITE_UPDATE,
                                                    FH_SQLITE_DELETE, FH_SQLITE_ERASE};

/* Of the first set of views that a connection makes. */
static const struct fh_sqlite_text plain = {.prefix = "", .views = "fh_v1_"};

static void open_conn(struct fixture *f, struct fh_sqlite_conn *conn, enum fh_sqlite_role role)
{
    struct fh_error error = FH_ERROR_INIT;
    fh_sqlite_conn_init(conn, role, f->path, &f->clock, NULL);
    assert_code(fh_sqlite_conn_open(conn, &error), FH_OK);
    assert_code(fh_sqlite_views_use(conn, &fixture_v1, &error), FH_OK);
}

/* The plan of the statement: every step is a search, nothing is sorted, and one step says
 * `expected` (NULL: anything). */
static void assert_plan(struct fh_sqlite_conn *conn, enum fh_sqlite_shape shape,
                        const struct fh_table *table, uint16_t ordinal, const char *expected)
{
    struct fh_buf sql;
    sqlite3_stmt *plan = NULL;
    fh_buf_init(&sql, 65536);
    fh_buf_add_text(&sql, "EXPLAIN QUERY PLAN ");
    fh_sqlite_sql(shape, table, ordinal, &plain, &sql);
    assert_code(fh_buf_code(&sql), FH_OK);
    conn->access = FH_SQLITE_ACCESS_SETUP; /* EXPLAIN itself is not allowed otherwise */
    assert_int_equal(sqlite3_prepare_v2(conn->db, sql.data, -1, &plan, NULL), SQLITE_OK);
    int steps = 0;
    bool met = expected == NULL;
    while (sqlite3_step(plan) == SQLITE_ROW) {
        const char *detail = (const char *)sqlite3_column_text(plan, 3);
        if (strstr(detail, "SCAN") != NULL || strstr(detail, "TEMP B-TREE") != NULL) {
            fail_msg("%s: %s", sql.data, detail);
        }
        steps += strstr(detail, "SEARCH") != NULL;
        met = met || strstr(detail, expected) != NULL;
    }
    assert_true(steps > 0);
    if (!met) {
        fail_msg("%s: not by %s", sql.data, expected);
    }
    sqlite3_finalize(plan);
    fh_buf_close(&sql);
}

static void assert_searches(struct fh_sqlite_conn *conn, enum fh_sqlite_shape shape,
                            const struct fh_table *table, uint16_t ordinal)
{
    assert_plan(conn, shape, table, ordinal, NULL);
}

/* Pages by (epoch, seq) walk the unique index, what is younger than a cursor stands in the other
 * one: either, where the other is meant, would read a tenant's whole epoch each time. */
static void test_plans_of_a_move(void **state)
{
    static const char by_seq[] = "sqlite_autoindex_fh_commit_1 (tenant_id=? AND epoch=? AND seq>?)";
    static const char by_txid[] =
        "COVERING INDEX fh_ix_commit_txid (tenant_id=? AND epoch=? AND txid>?)";
    struct fixture *f = *state;
    struct fh_sqlite_conn conn;
    open_conn(f, &conn, FH_SQLITE_READER);
    assert_plan(&conn, FH_SQLITE_CHANGES, NULL, 0, by_seq);
    assert_plan(&conn, FH_SQLITE_CHANGES_FIRST, NULL, 0, by_txid);
    assert_plan(&conn, FH_SQLITE_TALLY, NULL, 0, by_txid);
    assert_plan(&conn, FH_SQLITE_CURSOR, NULL, 0, "fh_ix_commit_txid (tenant_id=? AND epoch=?)");
    assert_plan(&conn, FH_SQLITE_JOURNAL, NULL, 0, "sqlite_autoindex_fh_commit_1 (tenant_id=? AND");
    assert_plan(&conn, FH_SQLITE_FENCE_COMMIT, NULL, 0,
                "sqlite_autoindex_fh_commit_1 (tenant_id=? AND epoch=?)");
    assert_plan(&conn, FH_SQLITE_FENCE_COMMIT, NULL, 0,
                "COVERING INDEX fh_ix_commit_request (tenant_id=? AND request_id=?)");
    assert_plan(&conn, FH_SQLITE_EVENTS, NULL, 0, "sqlite_autoindex_fh_commit_1 (tenant_id=?");
    assert_plan(&conn, FH_SQLITE_EVENTS_BEFORE, NULL, 0,
                "sqlite_autoindex_fh_commit_1 (tenant_id=? AND");
    assert_searches(&conn, FH_SQLITE_RECORD_COUNT, NULL, 0);
    assert_searches(&conn, FH_SQLITE_STATE_READ, NULL, 0);
    for (uint16_t bounds = 0; bounds < 4; bounds++) {
        assert_searches(&conn, FH_SQLITE_SCAN, &fixture_items, bounds);
        assert_plan(&conn, FH_SQLITE_SCAN, &fixture_parts, bounds,
                    bounds == 3   ? "(item_id,n)>(?,?) AND (item_id,n)<(?,?)"
                    : bounds == 0 ? "(tenant_id=?)"
                    : bounds == 1 ? "(item_id,n)>(?,?)"
                                  : "(item_id,n)<(?,?)");
    }
    assert_searches(&conn, FH_SQLITE_COUNT, &fixture_items, 0);
    assert_searches(&conn, FH_SQLITE_ORPHAN, &fixture_parts, 0);
    fh_sqlite_conn_close(&conn);
}

static void test_plans_search(void **state)
{
    struct fixture *f = *state;
    struct fh_sqlite_conn conn;
    open_conn(f, &conn, FH_SQLITE_READER);
    for (size_t i = 0; i < sizeof(system_reads) / sizeof(system_reads[0]); i++) {
        assert_searches(&conn, system_reads[i], NULL, 0);
    }
    for (size_t i = 0; i < sizeof(table_reads) / sizeof(table_reads[0]); i++) {
        assert_searches(&conn, table_reads[i], &fixture_items, 0);
        assert_searches(&conn, table_reads[i], &fixture_parts, 0);
    }
    assert_searches(&conn, FH_SQLITE_CHILD, &fixture_parts, 0);
    assert_searches(&conn, FH_SQLITE_UNIQUE, &fixture_items, 0);
    assert_searches(&conn, FH_SQLITE_UPDATE, &fixture_items, 0);
    assert_searches(&conn, FH_SQLITE_DELETE, &fixture_items, 0);
    assert_searches(&conn, FH_SQLITE_ERASE, &fixture_items, 0);
    assert_searches(&conn, FH_SQLITE_ERASE, &fixture_parts, 0);
    fh_sqlite_conn_close(&conn);
}

static void test_every_text_names_the_tenant(void **state)
{
    (void)state;
    struct fh_buf sql;
    fh_buf_init(&sql, 65536);
    for (size_t i = 0; i < sizeof(table_reads) / sizeof(table_reads[0]); i++) {
        fh_buf_clear(&sql);
        fh_sqlite_sql(table_reads[i], &fixture_items, 0, &plain, &sql);
        assert_non_null(strstr(sql.data, "d.tenant_id=?1"));
        assert_non_null(strstr(sql.data, "temp.\"fh_v1_items\""));
        assert_null(strstr(sql.data, "main.\"items"));
    }
    for (size_t i = 1; i < sizeof(table_writes) / sizeof(table_writes[0]); i++) {
        fh_buf_clear(&sql);
        fh_sqlite_sql(table_writes[i], &fixture_items, 0, &plain, &sql);
        assert_non_null(strstr(sql.data, "tenant_id=?1"));
    }
    fh_buf_close(&sql);
}

static void test_names_are_quoted(void **state)
{
    (void)state;
    struct fh_buf out;
    fh_buf_init(&out, 256);
    fh_sqlite_sql_name(FH_STR("select"), &out);
    assert_string_equal(out.data, "\"select\"");
    fh_buf_clear(&out);
    fh_sqlite_sql_name(FH_STR("a\"b; drop"), &out);
    assert_string_equal(out.data, "\"a\"\"b; drop\"");
    fh_buf_close(&out);
}

/* More shapes than are kept: the oldest goes, and all still work. */
static void test_statements_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct fh_sqlite_conn conn;
    struct fh_error error = FH_ERROR_INIT;
    open_conn(f, &conn, FH_SQLITE_READER);
    size_t tables = FH_SQLITE_STATEMENTS_MAX + 40;
    struct fh_table *copies = fh_calloc(tables, sizeof(*copies));
    assert_non_null(copies);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < tables; i++) {
            sqlite3_stmt *statement = NULL;
            bool row = true;
            memcpy(&copies[i], &fixture_items,
                   sizeof(copies[i])); /* another address, another key */
            assert_code(fh_sqlite_statement_get(&conn, FH_SQLITE_BEFORE, &copies[i], 0, &f->a,
                                                &statement, &error),
                        FH_OK);
            assert_int_equal(sqlite3_bind_int64(statement, 2, 1), SQLITE_OK);
            assert_code(fh_sqlite_statement_step(&conn, statement, &row, &error), FH_OK);
            assert_false(row);
            fh_sqlite_statement_end(&conn, statement);
            assert_true(conn.statements.map.count <= FH_SQLITE_STATEMENTS_MAX);
        }
    }
    fh_sqlite_conn_close(&conn);
    fh_free(copies);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_plans_search),
        FIXTURE_TEST(test_plans_of_a_move),
        cmocka_unit_test(test_every_text_names_the_tenant),
        cmocka_unit_test(test_names_are_quoted),
        FIXTURE_TEST(test_statements_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
