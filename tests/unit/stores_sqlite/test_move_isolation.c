/* The three layers hold for a move's operations as well, and each alone. */
#include "stores/sqlite/conn.h"
#include "tests/unit/stores_sqlite/moves.h"

/* Items 1 of both tenants, with records and a state each. */
static void fill(struct fixture *f)
{
    const struct fh_uuid *tenants[] = {&f->a, &f->b};
    for (int i = 0; i < 2; i++) {
        assert_code(fixture_put(f, tenants[i], FH_WRITE_INSERT, 1, i == 0 ? "of a" : "of b", "x"),
                    FH_OK);
        struct fh_request apply = moves_request(f, FH_OP_APPLY, tenants[i]);
        apply.as.apply.state = i == 0 ? FH_STR("state of a") : FH_STR("state of b");
        assert_code(fixture_run(f, &apply), FH_OK);
    }
    assert_code(fixture_put(f, &f->b, FH_WRITE_INSERT, 2, "of b", "y"), FH_OK);
}

static void misbehave(struct fixture *f, unsigned faults)
{
    fixture_shut(f);
    f->with_faults = true;
    f->faults = (struct fh_isolation_faults){.wrong_context_every = faults & 1,
                                             .wrong_tenant = f->b,
                                             .skip_predicate = (faults & 2) != 0,
                                             .skip_enforcement = (faults & 4) != 0,
                                             .skip_ownership_check = (faults & 8) != 0};
    fixture_open(f);
}

static void need_faults(void)
{
#ifndef FREEHOLD_FAULTS
    skip();
#endif
}

static bool may_answer(enum fh_code code)
{
    return code == FH_OK || code == FH_NO_TENANT || code == FH_FOREIGN_ROW;
}

static bool is_of(const struct fh_row *row, const char *name)
{
    return row != NULL && fh_str_eq(row->values[ITEM_NAME].as.bytes, fh_str_of(name));
}

/* Whether anything of b was seen on behalf of a. */
static bool reads_leak(struct fixture *f)
{
    bool leaks = false;
    struct fh_request request = moves_request(f, FH_OP_SCAN, &f->a);
    enum fh_code code = fixture_run(f, &request);
    assert_true(may_answer(code));
    for (size_t i = 0; code == FH_OK && i < request.as.scan.count; i++) {
        leaks |= !is_of(request.as.scan.rows[i], "of a");
    }
    request = moves_request(f, FH_OP_SCAN_JOURNAL, &f->a);
    code = fixture_run(f, &request);
    assert_true(may_answer(code));
    for (size_t i = 0; code == FH_OK && i < request.as.scan_journal.count; i++) {
        leaks |= !fh_uuid_eq(&request.as.scan_journal.rows[i].tenant, &f->a);
    }
    request = moves_request(f, FH_OP_MOVE_STATE, &f->a);
    code = fixture_run(f, &request);
    assert_true(may_answer(code));
    leaks |= code == FH_OK && fh_str_eq(request.as.move_state.state, FH_STR("state of b"));
    struct fh_request open = moves_request(f, FH_OP_SNAPSHOT_OPEN, &f->a);
    code = fixture_run(f, &open);
    assert_true(may_answer(code));
    if (code != FH_OK) {
        return leaks;
    }
    request = moves_request(f, FH_OP_CHANGES, &f->a);
    request.as.changes.snapshot = open.as.snapshot.snapshot;
    code = fixture_run(f, &request);
    assert_true(may_answer(code));
    for (size_t i = 0; code == FH_OK && i < request.as.changes.key_count; i++) {
        leaks |= request.as.changes.rows[i] != NULL && !is_of(request.as.changes.rows[i], "of a");
    }
    for (size_t i = 0; code == FH_OK && i < request.as.changes.journal_count; i++) {
        leaks |= !fh_uuid_eq(&request.as.changes.journal[i].tenant, &f->a);
    }
    assert_code(moves_close(f, &f->a, open.as.snapshot.snapshot), FH_OK);
    return leaks;
}

static void try_to_write(struct fixture *f)
{
    struct fh_key key = fixture_item(1);
    struct fh_row *row = moves_item(f, &f->a, 1, "of a", "x");
    struct fh_journal_row record = moves_record(&f->a, 9, 9, "r", "[[\"p\",\"items\",\"1\"]]");
    struct fh_request apply = moves_request(f, FH_OP_APPLY, &f->a);
    apply.as.apply.deletes = &key;
    apply.as.apply.delete_count = 1;
    apply.as.apply.rows = &row;
    apply.as.apply.row_count = 1;
    apply.as.apply.journal = &record;
    apply.as.apply.journal_count = 1;
    apply.as.apply.state = FH_STR("state of a");
    assert_true(may_answer(fixture_run(f, &apply)));
}

static void test_two_layers_may_fail(void **state)
{
    struct fixture *f = *state;
    need_faults();
    fill(f);
    for (unsigned faults = 0; faults < 16; faults++) {
        if ((faults & 10) == 10 && (faults & 5) != 0) {
            continue; /* layer two is gone when its context is wrong: none is left */
        }
        misbehave(f, faults);
        if (reads_leak(f)) {
            fail_msg("with faults %x something of b was read", faults);
        }
        try_to_write(f);
        misbehave(f, 0);
        struct fh_row *row = moves_find(f, &f->b, 1);
        assert_true(is_of(row, "of b"));
        assert_int_equal(row->version, 1);
        assert_int_equal(moves_rows(f, &f->b, NULL, &fixture_items, NULL), 2);
        struct fh_request request = moves_request(f, FH_OP_MOVE_STATE, &f->b);
        assert_code(fixture_run(f, &request), FH_OK);
        assert_true(fh_str_eq(request.as.move_state.state, FH_STR("state of b")));
        struct fh_request size = moves_request(f, FH_OP_SIZE, &f->b);
        assert_code(fixture_run(f, &size), FH_OK);
        assert_int_equal(size.as.size.records, 2);
    }
}

/* With no layer left it leaks: so the faults above are real. */
static void test_without_layers_it_leaks(void **state)
{
    struct fixture *f = *state;
    need_faults();
    fill(f);
    misbehave(f, 15);
    assert_true(reads_leak(f));
}

static void test_the_state_has_triggers_and_a_view(void **state)
{
    struct fixture *f = *state;
    struct fh_sqlite_conn conn;
    struct fh_error error = FH_ERROR_INIT;
    static const char *const refused[] = {"SELECT state FROM fh_move",
                                          "SELECT count(*) FROM fh_move",
                                          "SELECT sum(txid) FROM fh_commit"};
    fill(f);
    fh_sqlite_conn_init(&conn, FH_SQLITE_READER, f->path, &f->clock, NULL);
    assert_code(fh_sqlite_conn_open(&conn, &error), FH_OK);
    assert_code(fh_sqlite_views_use(&conn, &fixture_v1, &error), FH_OK);
    conn.access = FH_SQLITE_ACCESS_READ;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        sqlite3_stmt *statement = NULL;
        assert_int_not_equal(sqlite3_prepare_v2(conn.db, refused[i], -1, &statement, NULL),
                             SQLITE_OK);
        sqlite3_finalize(statement);
    }
    fh_sqlite_conn_close(&conn);

    fh_sqlite_conn_init(&conn, FH_SQLITE_ERASER, f->path, &f->clock, NULL);
    assert_code(fh_sqlite_conn_open(&conn, &error), FH_OK);
    conn.access = FH_SQLITE_ACCESS_WRITE;
    fh_sqlite_conn_enter(&conn, &f->a);
    assert_int_equal(sqlite3_exec(conn.db, "UPDATE fh_move SET state=x'00'", NULL, NULL, NULL),
                     SQLITE_CONSTRAINT_TRIGGER);
    assert_int_equal(sqlite3_exec(conn.db, "DELETE FROM fh_move", NULL, NULL, NULL),
                     SQLITE_CONSTRAINT_TRIGGER);
    fh_sqlite_conn_close(&conn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_two_layers_may_fail),
        FIXTURE_TEST(test_without_layers_it_leaks),
        FIXTURE_TEST(test_the_state_has_triggers_and_a_view),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
