/* What a move reads: pages, what changed, counts, references, and who may not read it. */
#include <stdio.h>

#include "stores/sqlite/conn.h"
#include "tests/unit/stores_sqlite/moves.h"

static const enum fh_op reads[] = {FH_OP_SNAPSHOT_OPEN, FH_OP_SCAN,       FH_OP_SCAN_JOURNAL,
                                   FH_OP_TALLY,         FH_OP_MOVE_STATE, FH_OP_REFERENCES,
                                   FH_OP_SIZE,          FH_OP_APPLY};
#define READS (sizeof(reads) / sizeof(reads[0]))

static const char *const names[] = {"one", "two", "three", "four", "five"};

static void put_items(struct fixture *f, const struct fh_uuid *tenant, int64_t count)
{
    for (int64_t i = 1; i <= count; i++) {
        assert_code(fixture_put(f, tenant, FH_WRITE_INSERT, i, names[(i - 1) % 5], NULL), FH_OK);
    }
}

static void test_the_guard(void **state)
{
    struct fixture *f = *state;
    const struct fh_uuid stranger = {.bytes = {0x0c}};
    for (size_t i = 0; i < READS; i++) {
        struct fh_request request = moves_request(f, reads[i], &f->a);
        fh_move_op_guard(&request)->generation = 2;
        bool size = reads[i] == FH_OP_SIZE;
        assert_code(fixture_run(f, &request), size ? FH_OK : FH_MOVED);
        assert_int_equal(request.epoch_seen, 1);
        assert_int_equal(request.mode_seen, FH_FENCE_OPEN);

        request = moves_request(f, reads[i], &f->a);
        fh_move_op_guard(&request)->modes = FH_FENCE_BIT(FH_FENCE_FROZEN);
        assert_code(fixture_run(f, &request), FH_MOVED);

        request = moves_request(f, reads[i], &f->a);
        request.scope.epoch = 2;
        assert_code(fixture_run(f, &request), FH_MOVED);
        assert_int_equal(request.epoch_seen, 1);

        request = moves_request(f, reads[i], &stranger);
        assert_code(fixture_run(f, &request), FH_NO_TENANT);

        request = moves_request(f, reads[i], &f->a);
        request.scope.schema = &fixture_v2; /* which the file has not */
        if (reads[i] == FH_OP_SCAN) {
            request.as.scan.table = fixture_v2.tables[0];
        }
        assert_code(fixture_run(f, &request), FH_STALE_SCHEMA);
        request.scope.epoch = 2;
        assert_code(fixture_run(f, &request), FH_MOVED);
    }
}

/* A mover with an old model would leave rows of newer tables behind. */
static void test_a_newer_schema_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_code(fixture_apply(f, &fixture_v2), FH_OK);
    struct fh_request request = moves_request(f, FH_OP_SNAPSHOT_OPEN, &f->a);
    assert_code(fixture_run(f, &request), FH_STALE_SCHEMA);
    assert_null(request.as.snapshot.snapshot);
    request = moves_request(f, FH_OP_APPLY, &f->a);
    assert_code(fixture_run(f, &request), FH_STALE_SCHEMA);
    request = moves_request(f, FH_OP_SNAPSHOT_OPEN, &f->a);
    request.scope.schema = &fixture_v2;
    assert_code(fixture_run(f, &request), FH_OK);
}

static void test_scan_pages(void **state)
{
    struct fixture *f = *state;
    put_items(f, &f->a, 5);
    put_items(f, &f->b, 3);
    assert_code(fixture_put(f, &f->a, FH_WRITE_DELETE, 3, NULL, NULL), FH_OK);
    struct fh_request request = moves_request(f, FH_OP_SCAN, &f->a);
    struct fh_op_scan *scan = &request.as.scan;
    scan->limit = 2;
    struct fh_key after = fixture_item(0);
    int64_t next = 1;
    for (int page = 0; page < 3; page++) {
        assert_code(fixture_run(f, &request), FH_OK);
        assert_int_equal(scan->count, page < 2 ? 2 : 1);
        assert_int_equal(scan->more, page < 2);
        for (size_t i = 0; i < scan->count; i++, next++) {
            assert_int_equal(scan->rows[i]->values[ITEM_ID].as.integer, next);
            assert_true((scan->rows[i]->deleted_at_us != 0) == (next == 3));
        }
        fh_key_of_row(scan->rows[scan->count - 1], &after);
        scan->after = &after;
    }
    struct fh_key until = fixture_item(3);
    after = fixture_item(1);
    scan->until = &until; /* 2 and 3 */
    assert_code(fixture_run(f, &request), FH_OK);
    assert_int_equal(scan->count, 2);
    assert_false(scan->more);
    scan->after = NULL; /* 1 to 3 */
    scan->limit = 10;
    assert_code(fixture_run(f, &request), FH_OK);
    assert_int_equal(scan->count, 3);
    scan->bytes_max = 1; /* the first all the same */
    assert_code(fixture_run(f, &request), FH_OK);
    assert_int_equal(scan->count, 1);
    assert_true(scan->more);
}

static void test_scan_keys_of_two_columns(void **state)
{
    struct fixture *f = *state;
    struct fh_row *rows[9];
    for (int i = 0; i < 9; i++) {
        rows[i] = moves_part(f, &f->a, i / 3, i % 3);
    }
    struct fh_request request = moves_request(f, FH_OP_APPLY, &f->a);
    request.as.apply.rows = rows;
    request.as.apply.row_count = 9;
    assert_code(fixture_run(f, &request), FH_OK);
    struct fh_key after = fixture_part(0, 2);
    struct fh_key until = fixture_part(2, 1);
    request = moves_request(f, FH_OP_SCAN, &f->a);
    request.as.scan.table = &fixture_parts;
    request.as.scan.after = &after;
    request.as.scan.until = &until;
    assert_code(fixture_run(f, &request), FH_OK);
    assert_int_equal(request.as.scan.count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_true(fh_row_equal(request.as.scan.rows[i], rows[i + 3]));
    }
}

static void test_journal_pages(void **state)
{
    struct fixture *f = *state;
    put_items(f, &f->a, 4);
    put_items(f, &f->b, 2);
    struct fh_request request = moves_request(f, FH_OP_SCAN_JOURNAL, &f->a);
    struct fh_op_scan_journal *scan = &request.as.scan_journal;
    scan->limit = 3;
    assert_code(fixture_run(f, &request), FH_OK);
    assert_int_equal(scan->count, 3);
    assert_true(scan->more);
    for (size_t i = 0; i < 3; i++) {
        const struct fh_journal_row *row = &scan->rows[i];
        assert_int_equal(row->epoch, 1);
        assert_int_equal(row->seq, i + 1);
        assert_true(fh_uuid_eq(&row->tenant, &f->a));
        assert_true(fh_str_eq(row->actor, FH_STR("tester")));
        assert_int_equal(row->request_id.len, 0);
        assert_int_equal(row->schema_version, 1);
        assert_non_null(row->images.data);
        assert_true(fh_str_starts_with(row->changes, FH_STR("[[\"i\",\"items\",")));
    }
    scan->after_epoch = 1;
    scan->after_seq = 3;
    assert_code(fixture_run(f, &request), FH_OK);
    assert_int_equal(scan->count, 1);
    assert_false(scan->more);
    scan->after_seq = 1;
    scan->until_epoch = 1;
    scan->until_seq = 3;
    assert_code(fixture_run(f, &request), FH_OK);
    assert_int_equal(scan->count, 2);
    assert_false(scan->more);
    scan->bytes_max = 1;
    assert_code(fixture_run(f, &request), FH_OK);
    assert_int_equal(scan->count, 1);
    assert_true(scan->more);
}

static struct fh_op_changes *ask_changes(struct fixture *f, struct fh_request *request)
{
    assert_code(fixture_run(f, request), FH_OK);
    return &request->as.changes;
}

static void test_changes_since_a_cursor(void **state)
{
    struct fixture *f = *state;
    struct fh_str cursor;
    put_items(f, &f->a, 3);
    assert_code(moves_close(f, &f->a, moves_open(f, &f->a, &cursor)), FH_OK);
    assert_code(fixture_put(f, &f->a, FH_WRITE_UPDATE, 1, "once", NULL), FH_OK);
    assert_code(fixture_put(f, &f->b, FH_WRITE_INSERT, 1, "of b", NULL), FH_OK);
    assert_code(fixture_put(f, &f->a, FH_WRITE_UPDATE, 1, "twice", NULL), FH_OK);
    assert_code(fixture_put(f, &f->a, FH_WRITE_PURGE, 2, NULL, NULL), FH_OK);
    struct fh_snapshot *view = moves_open(f, &f->a, NULL);
    assert_code(fixture_put(f, &f->a, FH_WRITE_UPDATE, 1, "too late", NULL), FH_OK);
    struct fh_request request = moves_request(f, FH_OP_CHANGES, &f->a);
    request.as.changes.snapshot = view;
    request.as.changes.since = cursor;
    struct fh_op_changes *changes = ask_changes(f, &request);
    assert_int_equal(changes->journal_count, 3);
    assert_int_equal(changes->journal[0].seq, 4);
    assert_int_equal(changes->journal[2].seq, 6);
    assert_int_equal(changes->key_count, 2);
    assert_int_equal(changes->keys[0].values[0].as.integer, 1);
    assert_true(fh_str_eq(changes->rows[0]->values[ITEM_NAME].as.bytes, FH_STR("twice")));
    assert_int_equal(changes->keys[1].values[0].as.integer, 2);
    assert_null(changes->rows[1]);
    assert_false(changes->more);

    changes->limit = 2;
    assert_true(ask_changes(f, &request)->more);
    assert_int_equal(changes->journal_count, 2);
    assert_int_equal(changes->key_count, 1);
    changes->after_seq = changes->journal[1].seq;
    assert_false(ask_changes(f, &request)->more);
    assert_int_equal(changes->journal_count, 1);
    assert_int_equal(changes->key_count, 1);
    changes->after_seq = 0;
    changes->bytes_max = 1;
    assert_true(ask_changes(f, &request)->more);
    assert_int_equal(changes->journal_count, 1);

    struct fh_request tally = moves_request(f, FH_OP_TALLY, &f->a);
    tally.as.tally.since = cursor;
    tally.as.tally.snapshot = view;
    assert_code(fixture_run(f, &tally), FH_OK);
    assert_int_equal(tally.as.tally.count, 3);
    assert_int_equal(tally.as.tally.seq_sum, 4 + 5 + 6);
    tally.as.tally.snapshot = NULL;
    assert_code(fixture_run(f, &tally), FH_OK);
    assert_int_equal(tally.as.tally.count, 4);
    tally.as.tally.since = FH_STR("1x");
    assert_code(fixture_run(f, &tally), FH_INVALID);
    request.as.changes.since = FH_STR("-1");
    assert_code(fixture_run(f, &request), FH_INVALID);
}

/* Rows fill a page as records do, and a record is never split. */
static void test_changes_are_cut_between_records(void **state)
{
    struct fixture *f = *state;
    char large[3000];
    memset(large, 'x', sizeof(large));
    large[sizeof(large) - 1] = '\0';
    for (int64_t i = 1; i <= 20; i++) {
        assert_code(fixture_put(f, &f->a, FH_WRITE_INSERT, i, large, NULL), FH_OK);
    }
    struct fh_request request = moves_request(f, FH_OP_CHANGES, &f->a);
    struct fh_op_changes *changes = &request.as.changes;
    changes->snapshot = moves_open(f, &f->a, NULL);
    changes->bytes_max = 30000;
    uint64_t seq = 0;
    int pages = 0;
    do {
        changes->after_seq = seq;
        assert_code(fixture_run(f, &request), FH_OK);
        assert_true(changes->journal_count > 0);
        assert_int_equal(changes->journal_count, changes->key_count); /* one key a record */
        for (size_t i = 0; i < changes->journal_count; i++) {
            assert_int_equal(changes->journal[i].seq, ++seq);
            assert_int_equal(changes->keys[i].values[0].as.integer, seq);
            assert_non_null(changes->rows[i]);
        }
        pages++;
    } while (changes->more);
    assert_int_equal(seq, 20);
    assert_in_range(pages, 3, 10);
}

/* A record of an older model leads to tables of the scope's; one of a newer model to nothing. */
static void test_changes_over_versions(void **state)
{
    struct fixture *f = *state;
    put_items(f, &f->a, 1);
    assert_code(fixture_apply(f, &fixture_v2), FH_OK);
    struct fh_request open = moves_request(f, FH_OP_SNAPSHOT_OPEN, &f->a);
    open.scope.schema = &fixture_v2;
    assert_code(fixture_run(f, &open), FH_OK);
    struct fh_request request = moves_request(f, FH_OP_CHANGES, &f->a);
    request.scope.schema = &fixture_v2;
    request.as.changes.snapshot = open.as.snapshot.snapshot;
    assert_code(fixture_run(f, &request), FH_OK);
    assert_int_equal(request.as.changes.key_count, 1);
    assert_ptr_equal(request.as.changes.keys[0].table, fixture_v2.tables[0]);
    assert_ptr_equal(request.as.changes.rows[0]->table, fixture_v2.tables[0]);
}

static void test_size_and_references(void **state)
{
    struct fixture *f = *state;
    put_items(f, &f->a, 5);
    put_items(f, &f->b, 2);
    assert_code(fixture_put(f, &f->a, FH_WRITE_DELETE, 5, NULL, NULL), FH_OK);
    struct fh_row *part = moves_part(f, &f->a, 1, 1);
    struct fh_row *gone = moves_part(f, &f->a, 99, 1);
    gone->deleted_at_us = 5; /* a deleted one references nothing */
    struct fh_row *rows[] = {part, gone};
    struct fh_request apply = moves_request(f, FH_OP_APPLY, &f->a);
    apply.as.apply.rows = rows;
    apply.as.apply.row_count = 2;
    assert_code(fixture_run(f, &apply), FH_OK);
    struct fh_request request = moves_request(f, FH_OP_SIZE, &f->a);
    assert_code(fixture_run(f, &request), FH_OK);
    assert_int_equal(request.as.size.rows, 7);
    assert_int_equal(request.as.size.records, 6);
    assert_in_range(request.as.size.bytes, 500, 10000);

    request = moves_request(f, FH_OP_REFERENCES, &f->a);
    assert_code(fixture_run(f, &request), FH_OK);
    struct fh_row *orphan = moves_part(f, &f->a, 98, 1);
    apply.as.apply.rows = &orphan;
    apply.as.apply.row_count = 1;
    assert_code(fixture_run(f, &apply), FH_OK);
    assert_code(fixture_run(f, &request), FH_REFERENCE_VIOLATION);
    assert_non_null(strstr(request.error.message, "parts"));
    assert_non_null(strstr(request.error.message, "parts_item_fkey"));
    request = moves_request(f, FH_OP_REFERENCES, &f->b); /* not b's affair */
    assert_code(fixture_run(f, &request), FH_OK);
    orphan = moves_item(f, &f->a, 98, "parent", NULL);
    assert_code(fixture_run(f, &apply), FH_OK);
    request = moves_request(f, FH_OP_REFERENCES, &f->a);
    assert_code(fixture_run(f, &request), FH_OK);
}

static void test_every_system_table_is_declared(void **state)
{
    struct fixture *f = *state;
    struct fh_sqlite_conn conn;
    struct fh_error error = FH_ERROR_INIT;
    sqlite3_stmt *statement = NULL;
    static const char *const declared[] = {
#define NAME_OF(name, kind) name,
        FH_HOME_TABLES(NAME_OF)
#undef NAME_OF
    };
    size_t count = 0;
    fh_sqlite_conn_init(&conn, FH_SQLITE_READER, f->path, &f->clock, NULL);
    assert_code(fh_sqlite_conn_open(&conn, &error), FH_OK);
    conn.access = FH_SQLITE_ACCESS_SETUP;
    assert_int_equal(sqlite3_prepare_v2(conn.db,
                                        "SELECT name FROM main.sqlite_schema WHERE type='table' "
                                        "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        bool known = fh_schema_table(&fixture_v1, fh_str_of(name)) != NULL;
        for (size_t i = 0; i < sizeof(declared) / sizeof(declared[0]); i++) {
            if (strcmp(declared[i], name) == 0) {
                known = true;
                count++;
            }
        }
        if (!known) {
            fail_msg("table %s: say in FH_HOME_TABLES what a move does with it", name);
        }
    }
    assert_int_equal(count, sizeof(declared) / sizeof(declared[0]));
    sqlite3_finalize(statement);
    fh_sqlite_conn_close(&conn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_the_guard),
        FIXTURE_TEST(test_a_newer_schema_is_refused),
        FIXTURE_TEST(test_scan_pages),
        FIXTURE_TEST(test_scan_keys_of_two_columns),
        FIXTURE_TEST(test_journal_pages),
        FIXTURE_TEST(test_changes_since_a_cursor),
        FIXTURE_TEST(test_changes_are_cut_between_records),
        FIXTURE_TEST(test_changes_over_versions),
        FIXTURE_TEST(test_size_and_references),
        FIXTURE_TEST(test_every_system_table_is_declared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
