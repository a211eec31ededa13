/* What a move writes: whole batches or nothing, in any order of references, as one tenant. */
#include <stdio.h>

#include "stores/sqlite/conn.h"
#include "tests/unit/stores_sqlite/moves.h"

static enum fh_code apply_rows(struct fixture *f, const struct fh_uuid *tenant,
                               const struct fh_key *deletes, size_t delete_count,
                               struct fh_row **rows, size_t row_count)
{
    struct fh_request request = moves_request(f, FH_OP_APPLY, tenant);
    request.as.apply.deletes = deletes;
    request.as.apply.delete_count = delete_count;
    request.as.apply.rows = rows;
    request.as.apply.row_count = row_count;
    enum fh_code code = fixture_run(f, &request);
    assert_int_equal(request.as.apply.rows_written, code == FH_OK ? row_count : 0);
    return code;
}

static struct fh_str state_of(struct fixture *f, const struct fh_uuid *tenant)
{
    struct fh_request request = moves_request(f, FH_OP_MOVE_STATE, tenant);
    assert_code(fixture_run(f, &request), FH_OK);
    return request.as.move_state.state;
}

static size_t records_of(struct fixture *f, const struct fh_uuid *tenant)
{
    struct fh_request request = moves_request(f, FH_OP_SIZE, tenant);
    assert_code(fixture_run(f, &request), FH_OK);
    return request.as.size.records;
}

static void test_rows_go_in_as_they_are(void **state)
{
    struct fixture *f = *state;
    struct fh_row *live = moves_item(f, &f->a, 1, "live", "x");
    struct fh_row *dead = moves_item(f, &f->a, 2, "dead", "x"); /* deleted: the code is free */
    dead->deleted_at_us = 300;
    struct fh_row *rows[] = {live, dead};
    assert_code(apply_rows(f, &f->a, NULL, 0, rows, 2), FH_OK);
    assert_true(fh_row_equal(moves_find(f, &f->a, 1), live));
    assert_true(fh_row_equal(moves_find(f, &f->a, 2), dead));
    assert_int_equal(moves_rows(f, &f->b, NULL, &fixture_items, NULL), 0);
    assert_int_equal(records_of(f, &f->a), 0); /* nobody committed anything here */
}

/* Codes change hands, and keys do: no order of single upserts would do. */
static void test_swaps_and_rings(void **state)
{
    struct fixture *f = *state;
    struct fh_row *first[] = {moves_item(f, &f->a, 1, "n", "x"), moves_item(f, &f->a, 2, "n", "y"),
                              moves_item(f, &f->a, 3, "n", "z")};
    assert_code(apply_rows(f, &f->a, NULL, 0, first, 3), FH_OK);
    struct fh_key keys[] = {fixture_item(1), fixture_item(2), fixture_item(3), fixture_item(4)};
    struct fh_row *swapped[] = {moves_item(f, &f->a, 1, "n", "y"),
                                moves_item(f, &f->a, 2, "n", "z"),
                                moves_item(f, &f->a, 3, "n", "x")};
    enum fh_code code = apply_rows(f, &f->a, NULL, 0, swapped, 3); /* key and value are taken */
    assert_true(code == FH_EXISTS || code == FH_UNIQUE_VIOLATION);
    assert_code(apply_rows(f, &f->a, keys, 4, swapped, 3), FH_OK); /* 4 was never there */
    for (int i = 0; i < 3; i++) {
        assert_true(fh_row_equal(moves_find(f, &f->a, i + 1), swapped[i]));
    }
    assert_code(apply_rows(f, &f->a, keys, 4, NULL, 0), FH_OK);
    assert_int_equal(moves_rows(f, &f->a, NULL, &fixture_items, NULL), 0);
}

static void test_a_batch_is_whole(void **state)
{
    struct fixture *f = *state;
    struct fh_row *taken = moves_item(f, &f->a, 9, "taken", "code");
    assert_code(apply_rows(f, &f->a, NULL, 0, &taken, 1), FH_OK);
    struct fh_row *rows[] = {moves_item(f, &f->a, 1, "good", NULL),
                             moves_item(f, &f->a, 2, "bad", "code")};
    struct fh_key key = fixture_item(9);
    struct fh_journal_row record = moves_record(&f->a, 1, 1, "r", "[[\"i\",\"items\",\"1\"]]");
    struct fh_request request = moves_request(f, FH_OP_APPLY, &f->a);
    struct fh_op_apply *apply = &request.as.apply;
    apply->rows = rows;
    apply->row_count = 2;
    apply->journal = &record;
    apply->journal_count = 1;
    apply->state = FH_STR("after");
    assert_code(fixture_run(f, &request), FH_UNIQUE_VIOLATION);
    assert_string_equal(request.error.field, "code");
    assert_int_equal(apply->rows_written, 0);
    assert_null(moves_find(f, &f->a, 1));
    assert_int_equal(state_of(f, &f->a).len, 0);
    assert_int_equal(records_of(f, &f->a), 0);
    fh_move_op_guard(&request)->generation = 2; /* a mover that slept */
    apply->deletes = &key;
    apply->delete_count = 1;
    assert_code(fixture_run(f, &request), FH_MOVED);
    assert_non_null(moves_find(f, &f->a, 9));
    fh_move_op_guard(&request)->generation = 1;
    assert_code(fixture_run(f, &request), FH_OK);
    assert_int_equal(apply->rows_written, 2);
    assert_true(fh_str_eq(state_of(f, &f->a), FH_STR("after")));
    assert_int_equal(records_of(f, &f->a), 1);
}

static void test_keep_existing(void **state)
{
    struct fixture *f = *state;
    struct fh_row *here = moves_item(f, &f->a, 1, "here", "code");
    assert_code(apply_rows(f, &f->a, NULL, 0, &here, 1), FH_OK);
    struct fh_row *rows[] = {moves_item(f, &f->a, 1, "stale", "other"),
                             moves_item(f, &f->a, 2, "clash", "code"),
                             moves_item(f, &f->a, 3, "fresh", "new")};
    struct fh_request request = moves_request(f, FH_OP_APPLY, &f->a);
    request.as.apply.rows = rows;
    request.as.apply.row_count = 3;
    request.as.apply.keep_existing = true;
    assert_code(fixture_run(f, &request), FH_OK);
    assert_int_equal(request.as.apply.rows_written, 1);
    assert_true(fh_row_equal(moves_find(f, &f->a, 1), here));
    assert_null(moves_find(f, &f->a, 2));
    assert_non_null(moves_find(f, &f->a, 3));
    rows[2] = moves_item(f, &f->a, 4, "broken", NULL);
    rows[2]->version = 0; /* what a CHECK refuses is not passed over */
    assert_code(fixture_run(f, &request), FH_CHECK_VIOLATION);
}

static void test_references_come_in_any_order(void **state)
{
    struct fixture *f = *state;
    struct fh_row *part = moves_part(f, &f->a, 1, 1);
    assert_code(apply_rows(f, &f->a, NULL, 0, &part, 1), FH_OK);
    struct fh_row *item = moves_item(f, &f->a, 1, "n", NULL);
    assert_code(apply_rows(f, &f->a, NULL, 0, &item, 1), FH_OK);
    struct fh_key key = fixture_item(1); /* and may go in any order */
    assert_code(apply_rows(f, &f->a, &key, 1, NULL, 0), FH_OK);
    struct fh_request request = moves_request(f, FH_OP_REFERENCES, &f->a);
    assert_code(fixture_run(f, &request), FH_REFERENCE_VIOLATION);
}

static void test_only_the_tenants_rows(void **state)
{
    struct fixture *f = *state;
    struct fh_row *theirs = moves_item(f, &f->b, 1, "of b", "x");
    struct fh_row *ours = moves_item(f, &f->a, 1, "of a", "x");
    assert_code(apply_rows(f, &f->b, NULL, 0, &theirs, 1), FH_OK);
    assert_code(apply_rows(f, &f->a, NULL, 0, &theirs, 1), FH_INVALID);
    assert_code(apply_rows(f, &f->a, NULL, 0, &ours, 1), FH_OK);
    struct fh_key key = fixture_item(1);
    assert_code(apply_rows(f, &f->a, &key, 1, NULL, 0), FH_OK);
    assert_true(fh_row_equal(moves_find(f, &f->b, 1), theirs));
}

static enum fh_code apply_record(struct fixture *f, const struct fh_journal_row *record)
{
    struct fh_request request = moves_request(f, FH_OP_APPLY, &f->a);
    request.as.apply.journal = record;
    request.as.apply.journal_count = 1;
    return fixture_run(f, &request);
}

static void test_records_are_verbatim(void **state)
{
    struct fixture *f = *state;
    struct fh_journal_row record = moves_record(&f->a, 7, 3, "id", "[[\"p\",\"items\",\"1\"]]");
    memset(record.request_hash, 0xab, sizeof(record.request_hash));
    record.images = FH_STR("\1abc");
    assert_code(apply_record(f, &record), FH_OK);
    struct fh_request scan = moves_request(f, FH_OP_SCAN_JOURNAL, &f->a);
    assert_code(fixture_run(f, &scan), FH_OK);
    assert_int_equal(scan.as.scan_journal.count, 1);
    const struct fh_journal_row *seen = &scan.as.scan_journal.rows[0];
    assert_int_equal(seen->epoch, 7);
    assert_int_equal(seen->seq, 3);
    assert_int_equal(seen->at_us, 77);
    assert_memory_equal(seen->request_hash, record.request_hash, sizeof(seen->request_hash));
    assert_true(fh_str_eq(seen->request_id, record.request_id));
    assert_true(fh_str_eq(seen->actor, record.actor));
    assert_true(fh_str_eq(seen->address, record.address));
    assert_true(fh_str_eq(seen->changes, record.changes));
    assert_true(fh_str_eq(seen->images, record.images));
    /* There already: left as it is, even when something else is brought. */
    record.actor = FH_STR("somebody else");
    assert_code(apply_record(f, &record), FH_OK);
    assert_int_equal(records_of(f, &f->a), 1);
    record.seq = 4; /* another record with the request id is an error */
    assert_code(apply_record(f, &record), FH_UNIQUE_VIOLATION);
    record.request_id = FH_STR("");
    record.images = (struct fh_str){.data = NULL};
    assert_code(apply_record(f, &record), FH_OK);
    assert_code(fixture_run(f, &scan), FH_OK);
    assert_int_equal(scan.as.scan_journal.count, 2);
    assert_int_equal(scan.as.scan_journal.rows[1].request_id.len, 0);
    assert_null(scan.as.scan_journal.rows[1].images.data);
}

/* Copied records are younger than the cursor, but of another epoch: no round of this one. */
static void test_copied_records_are_no_changes(void **state)
{
    struct fixture *f = *state;
    struct fh_str cursor;
    struct fh_snapshot *before = moves_open(f, &f->a, &cursor);
    struct fh_journal_row record = moves_record(&f->a, 7, 3, "", "[[\"p\",\"items\",\"1\"]]");
    assert_code(apply_record(f, &record), FH_OK);
    struct fh_request tally = moves_request(f, FH_OP_TALLY, &f->a);
    tally.as.tally.since = cursor;
    assert_code(fixture_run(f, &tally), FH_OK);
    assert_int_equal(tally.as.tally.count, 0);
    record.epoch = 1;
    record.seq = INT64_MAX;
    assert_code(apply_record(f, &record), FH_OK);
    record.seq = INT64_MAX - 1; /* younger, with a lesser seq */
    assert_code(apply_record(f, &record), FH_OK);
    assert_code(fixture_run(f, &tally), FH_OK);
    assert_int_equal(tally.as.tally.count, 2);
    assert_true(tally.as.tally.seq_sum == (uint64_t)INT64_MAX * 2 - 1);
    struct fh_request changes = moves_request(f, FH_OP_CHANGES, &f->a);
    changes.as.changes.snapshot = before;
    changes.as.changes.since = cursor;
    assert_code(fixture_run(f, &changes), FH_OK);
    assert_int_equal(changes.as.changes.journal_count, 0);
    changes.as.changes.snapshot = moves_open(f, &f->a, NULL);
    assert_code(fixture_run(f, &changes), FH_OK);
    assert_int_equal(changes.as.changes.journal_count, 2);
    assert_true(changes.as.changes.journal[0].seq == (uint64_t)INT64_MAX - 1);
    /* And a record of greater seq that the cursor has is not among what comes after it. */
    (void)moves_open(f, &f->a, &cursor);
    record.seq = 5;
    assert_code(apply_record(f, &record), FH_OK);
    changes.as.changes.snapshot = moves_open(f, &f->a, NULL);
    changes.as.changes.since = cursor;
    assert_code(fixture_run(f, &changes), FH_OK);
    assert_int_equal(changes.as.changes.journal_count, 1);
    assert_int_equal(changes.as.changes.journal[0].seq, 5);
}

/* A home as a target has it: incoming at the next epoch, filled, opened; what was committed under
 * the old epoch is replayed, and new commits count from one. */
static void test_a_home_that_came(void **state)
{
    struct fixture *f = *state;
    struct fh_uuid moved = {.bytes = {0x0d}};
    struct fh_request create = fixture_request(f, FH_OP_HOME_CREATE, &moved);
    create.as.home.fence = (struct fh_fence){2, 1, FH_FENCE_INCOMING};
    assert_code(fixture_run(f, &create), FH_OK);

    /* At the source (here: b) a commit with a request id. */
    struct fh_request commit =
        fixture_commit(f, &f->b, fixture_write(f, FH_WRITE_INSERT, fixture_item(1), "old", NULL));
    commit.as.commit.request_id = FH_STR("once");
    assert_code(fixture_run(f, &commit), FH_OK);
    struct fh_request scan = moves_request(f, FH_OP_SCAN_JOURNAL, &f->b);
    assert_code(fixture_run(f, &scan), FH_OK);
    struct fh_journal_row record = scan.as.scan_journal.rows[0];
    record.tenant = moved;
    struct fh_row *row = moves_find(f, &f->b, 1);
    row->tenant = moved;

    struct fh_request apply = moves_request(f, FH_OP_APPLY, &moved);
    apply.scope.epoch = 2;
    apply.as.apply.guard.modes = FH_FENCE_BIT(FH_FENCE_INCOMING);
    apply.as.apply.rows = &row;
    apply.as.apply.row_count = 1;
    apply.as.apply.journal = &record;
    apply.as.apply.journal_count = 1;
    assert_code(fixture_run(f, &apply), FH_OK);

    commit.scope.tenant = moved;
    commit.scope.epoch = 2;
    assert_code(fixture_run(f, &commit), FH_MOVED);
    assert_int_equal(commit.mode_seen, FH_FENCE_INCOMING);
    struct fh_request set = fixture_request(f, FH_OP_FENCE_SET, &moved);
    set.as.fence.expected = (struct fh_fence){2, 1, FH_FENCE_INCOMING};
    set.as.fence.desired = (struct fh_fence){2, 1, FH_FENCE_OPEN};
    assert_code(fixture_run(f, &set), FH_OK);
    assert_code(fixture_run(f, &apply), FH_MOVED);

    assert_code(fixture_run(f, &commit), FH_OK);
    assert_true(commit.as.commit.replayed);
    assert_int_equal(commit.as.commit.seq, 1);
    assert_true(fh_str_eq(commit.as.commit.rows[0]->values[ITEM_NAME].as.bytes, FH_STR("old")));
    commit =
        fixture_commit(f, &moved, fixture_write(f, FH_WRITE_UPDATE, fixture_item(1), "new", NULL));
    commit.scope.epoch = 2;
    assert_code(fixture_run(f, &commit), FH_OK);
    assert_int_equal(commit.as.commit.seq, 1);
    struct fh_request events = fixture_request(f, FH_OP_EVENTS, &moved);
    events.scope.epoch = 2;
    events.as.events.limit = 10;
    assert_code(fixture_run(f, &events), FH_OK);
    assert_int_equal(events.as.events.count, 2);
    assert_int_equal(events.as.events.records[0].epoch, 2);
    assert_int_equal(events.as.events.records[1].epoch, 1);
}

static void test_state(void **state)
{
    struct fixture *f = *state;
    char large[FH_MOVE_STATE_MAX];
    memset(large, 0xee, sizeof(large));
    struct fh_request request = moves_request(f, FH_OP_APPLY, &f->a);
    assert_int_equal(state_of(f, &f->a).len, 0);
    request.as.apply.state = (struct fh_str){.data = large, .len = sizeof(large)};
    assert_code(fixture_run(f, &request), FH_OK);
    assert_true(fh_str_eq(state_of(f, &f->a), request.as.apply.state));
    request.as.apply.state = (struct fh_str){.data = NULL};
    assert_code(fixture_run(f, &request), FH_OK);
    assert_int_equal(state_of(f, &f->a).len, sizeof(large));
    request.as.apply.state = (struct fh_str){.data = "", .len = 0};
    assert_code(fixture_run(f, &request), FH_OK);
    assert_int_equal(state_of(f, &f->a).len, 0);
    assert_int_equal(state_of(f, &f->b).len, 0);
    request.as.apply.state = FH_STR("kept");
    assert_code(fixture_run(f, &request), FH_OK);
    fixture_shut(f);
    fixture_open(f);
    assert_true(fh_str_eq(state_of(f, &f->a), FH_STR("kept")));
}

static int64_t count_states(struct fixture *f)
{
    struct fh_sqlite_conn conn;
    struct fh_error error = FH_ERROR_INIT;
    int64_t count = -1;
    fh_sqlite_conn_init(&conn, FH_SQLITE_READER, f->path, &f->clock, NULL);
    assert_code(fh_sqlite_conn_open(&conn, &error), FH_OK);
    assert_code(fh_sqlite_conn_pragma(&conn, "SELECT count(*) FROM main.fh_move", &count, &error),
                FH_OK);
    fh_sqlite_conn_close(&conn);
    return count;
}

static void test_erase_takes_the_state(void **state)
{
    struct fixture *f = *state;
    struct fh_request request = moves_request(f, FH_OP_APPLY, &f->a);
    request.as.apply.state = FH_STR("of a");
    assert_code(fixture_run(f, &request), FH_OK);
    request = moves_request(f, FH_OP_APPLY, &f->b);
    request.as.apply.state = FH_STR("of b");
    assert_code(fixture_run(f, &request), FH_OK);
    struct fh_request erase = fixture_request(f, FH_OP_HOME_ERASE, &f->a);
    erase.as.home.fence.generation = 1;
    assert_code(fixture_run(f, &erase), FH_OK);
    assert_int_equal(count_states(f), 1);
    assert_true(fh_str_eq(state_of(f, &f->b), FH_STR("of b")));
}

/* The deadline is looked at within a batch: nothing of it stays. */
static void test_a_batch_gives_up(void **state)
{
    struct fixture *f = *state;
    struct fh_row *rows[600];
    for (int i = 0; i < 600; i++) {
        rows[i] = moves_item(f, &f->a, i, "n", NULL);
    }
    struct fh_request request = moves_request(f, FH_OP_APPLY, &f->a);
    request.as.apply.rows = rows;
    request.as.apply.row_count = 600;
    __atomic_store_n(&f->tick_us, INT64_C(250000000), __ATOMIC_SEQ_CST);
    enum fh_code code = fixture_run(f, &request);
    __atomic_store_n(&f->tick_us, 0, __ATOMIC_SEQ_CST);
    assert_code(code, FH_DEADLINE);
    assert_int_equal(moves_rows(f, &f->a, NULL, &fixture_items, NULL), 0);
    request.deadline_us = __atomic_load_n(&f->now_us, __ATOMIC_SEQ_CST) + 600000000;
    assert_code(fixture_run(f, &request), FH_OK);
    assert_int_equal(moves_rows(f, &f->a, NULL, &fixture_items, NULL), 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_rows_go_in_as_they_are),
        FIXTURE_TEST(test_swaps_and_rings),
        FIXTURE_TEST(test_a_batch_is_whole),
        FIXTURE_TEST(test_keep_existing),
        FIXTURE_TEST(test_references_come_in_any_order),
        FIXTURE_TEST(test_only_the_tenants_rows),
        FIXTURE_TEST(test_records_are_verbatim),
        FIXTURE_TEST(test_copied_records_are_no_changes),
        FIXTURE_TEST(test_a_home_that_came),
        FIXTURE_TEST(test_state),
        FIXTURE_TEST(test_erase_takes_the_state),
        FIXTURE_TEST(test_a_batch_gives_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
