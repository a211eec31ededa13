/* What a move reads: pages, guards, other tenants, and what is committed while it reads. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/stores_pg/moves.h"

#define RUN_MS 20000

static void test_scan_pages(void **state)
{
    (void)state;
    struct fixture f;
    struct call call;
    moves_start(&f);
    for (int64_t id = 1; id <= 25; id++) {
        add_author(&f, id);
    }
    delete_author(&f, 3, FH_WRITE_DELETE);
    delete_author(&f, 4, FH_WRITE_PURGE);
    call_init(&call, &f);
    ask_scan(&call, NULL, &model_authors);
    struct fh_op_scan *scan = &call.request.as.scan;
    scan->limit = 10;
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(scan->count, 10);
    assert_true(scan->more);
    assert_int_equal(scan->rows[2]->values[AUTHOR_ID].as.integer, 3);
    assert_true(scan->rows[2]->deleted_at_us != 0); /* deleted ones too, with system columns */
    assert_int_equal(scan->rows[2]->version, 2);
    assert_int_equal(scan->rows[9]->values[AUTHOR_ID].as.integer, 11); /* 4 is purged */
    struct fh_key after = key_author(11);
    struct fh_key until = key_author(21);
    scan->after = &after;
    scan->until = &until;
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(scan->count, 10);
    assert_int_equal(scan->rows[9]->values[AUTHOR_ID].as.integer, 21); /* inclusive */
    assert_false(scan->more);                                          /* before `until` */
    scan->until = NULL;
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_true(scan->more);
    after = key_author(25);
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(scan->count, 0);
    assert_false(scan->more);
    call_close(&call);
    fixture_stop(&f);
}

/* bytes_max ends a page early, but never before its first row; with and without columns of
 * changing length. */
static void test_scan_bytes(void **state)
{
    (void)state;
    struct fixture f;
    struct call call;
    moves_start(&f);
    for (int64_t id = 1; id <= 12; id++) {
        add_author(&f, id);
    }
    call_init(&call, &f);
    ask_scan(&call, NULL, &model_authors);
    struct fh_op_scan *scan = &call.request.as.scan;
    scan->bytes_max = 1;
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(scan->count, 1);
    assert_true(scan->more);
    scan->bytes_max = 1000;
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_in_range(scan->count, 2, 11);
    assert_true(scan->more);
    struct fh_key after = key_author(11);
    scan->after = &after;
    scan->bytes_max = 1;
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(scan->count, 1);
    assert_false(scan->more);
    ask_journal(&call, NULL);
    call.request.as.scan_journal.bytes_max = 1;
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(call.request.as.scan_journal.count, 1);
    assert_true(call.request.as.scan_journal.more);
    call_close(&call);
    fixture_stop(&f);
}

static void test_journal_pages(void **state)
{
    (void)state;
    struct fixture f;
    struct call call;
    moves_start(&f);
    for (int64_t id = 1; id <= 5; id++) {
        add_author(&f, id);
    }
    call_init(&call, &f);
    call_insert(&call, 6, "an-id");
    call.request.as.commit.actor = FH_STR("somebody");
    call.request.as.commit.request_hash[31] = 9;
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    uint64_t last = call.request.as.commit.seq;
    int64_t at_us = call.request.as.commit.at_us;
    assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER,
                               "update fh_shared.fh_commit set images = null where seq = 1"));
    ask_journal(&call, NULL);
    struct fh_op_scan_journal *scan = &call.request.as.scan_journal;
    scan->limit = 4;
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(scan->count, 4);
    assert_true(scan->more);
    assert_null(scan->rows[0].images.data); /* redacted, and stays so */
    assert_non_null(scan->rows[1].images.data);
    scan->after_epoch = scan->rows[3].epoch;
    scan->after_seq = scan->rows[3].seq;
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(scan->count, 2);
    assert_false(scan->more);
    const struct fh_journal_row *row = &scan->rows[1];
    assert_int_equal(row->epoch, 1);
    assert_int_equal(row->seq, last);
    assert_int_equal(row->at_us, at_us);
    assert_int_equal(row->schema_version, 1);
    assert_int_equal(row->request_hash[31], 9);
    assert_true(fh_str_eq(row->request_id, FH_STR("an-id")));
    assert_true(fh_str_eq(row->actor, FH_STR("somebody")));
    assert_true(fh_str_eq(row->changes, FH_STR("[[\"i\",\"authors\",\"6\"]]")));
    scan->until_epoch = 1;
    scan->until_seq = last - 1;
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(scan->count, 1);
    assert_false(scan->more);
    call_close(&call);
    fixture_stop(&f);
}

/* Asks each operation with the guard that `spoil` leaves, and without a tenant. */
static void ask_all(struct fixture *f, const struct view *view, const struct fh_fence_guard *guard,
                    uint64_t epoch, enum fh_code expected)
{
    struct call call;
    call_init(&call, f);
    for (int op = FH_OP_SNAPSHOT_OPEN; op <= FH_OP_SIZE; op++) {
        bool ignores = op == FH_OP_SIZE && guard->generation != guard_open.generation;
        if (op == FH_OP_SNAPSHOT_CLOSE || ignores) {
            continue;
        }
        if (op == FH_OP_CHANGES) {
            ask_changes(&call, view, view->cursor);
        } else if (op == FH_OP_TALLY) {
            ask_tally(&call, NULL, view->cursor);
        } else if (op == FH_OP_SCAN) {
            ask_scan(&call, NULL, &model_authors);
        } else if (op == FH_OP_SCAN_JOURNAL) {
            ask_journal(&call, NULL);
        } else {
            memset(&call.request.as, 0, sizeof(call.request.as));
            call.request.op = (enum fh_op)op;
        }
        /* The guard is the first member of each. */
        memcpy(&call.request.as, guard, sizeof(*guard));
        call.request.scope.epoch = epoch;
        assert_int_equal(call_run(&call, RUN_MS), expected);
        if (expected == FH_MOVED) {
            assert_int_equal(call.request.epoch_seen, 1);
            assert_int_equal(call.request.mode_seen, FH_FENCE_OPEN);
        }
    }
    call_close(&call);
}

/* Rows that a policy hides are not there for a mover either: it would find nothing to copy, and
 * nothing that differs, and erase the source. */
static void test_hidden_rows(void **state)
{
    (void)state;
    static const char *const spoils[][2] = {
        {"drop policy fh_tenant on fh_shared.authors",
         "create policy fh_tenant on fh_shared.authors using (tenant_id = "
         "pg_catalog.current_setting('fh.tenant')::uuid) with check (tenant_id = "
         "pg_catalog.current_setting('fh.tenant')::uuid)"},
        {"create policy none on fh_shared.authors as restrictive using (false)",
         "drop policy none on fh_shared.authors"},
        {"alter table fh_shared.fh_commit disable row level security",
         "alter table fh_shared.fh_commit enable row level security"},
    };
    struct fixture f;
    struct call call;
    struct view view;
    moves_start(&f);
    call_init(&call, &f);
    for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
        assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER, spoils[i][0]));
        ask_open(&call);
        assert_int_equal(call_run(&call, RUN_MS), FH_PRECONDITION);
        assert_non_null(
            strstr(fh_error_text(&call.request.error), i < 2 ? "authors" : "fh_commit"));
        assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER, spoils[i][1]));
        view_open(&f, &view);
        view_close(&f, &view);
    }
    call_close(&call);
    fixture_stop(&f);
}

static void test_guards(void **state)
{
    (void)state;
    struct fixture f;
    struct view view;
    moves_start(&f);
    view_open(&f, &view);
    struct fh_fence_guard guard = guard_open;
    ask_all(&f, &view, &guard, 1, FH_OK);
    ask_all(&f, &view, &guard, 2, FH_MOVED);
    guard.generation = 2;
    ask_all(&f, &view, &guard, 1, FH_MOVED);
    guard = guard_open;
    guard.modes = FH_FENCE_BIT(FH_FENCE_FROZEN) | FH_FENCE_BIT(FH_FENCE_CLOSED);
    ask_all(&f, &view, &guard, 1, FH_MOVED);
    guard = guard_open;
    ask_all(&f, &view, &guard, 1, FH_OK); /* a refusal ends no view */
    view_close(&f, &view);
    struct call call;
    call_init(&call, &f);
    call.request.scope.tenant = uuid_of(7, 7);
    ask_scan(&call, NULL, &model_authors);
    assert_int_equal(call_run(&call, RUN_MS), FH_NO_TENANT);
    ask_open(&call);
    assert_int_equal(call_run(&call, RUN_MS), FH_NO_TENANT);
    assert_null(call.request.as.snapshot.snapshot);
    call.request.op = FH_OP_APPLY;
    call.request.as.apply = (struct fh_op_apply){.guard = guard_open, .state = FH_STR("mine")};
    assert_int_equal(call_run(&call, RUN_MS), FH_NO_TENANT);
    call_close(&call);
    assert_int_equal(server_number(&f, "select count(*) from fh_shared.fh_move"), 0);
    fixture_stop(&f);
}

/* Two tenants with the same keys in one home. */
static void test_other_tenants_are_not_seen(void **state)
{
    (void)state;
    struct fixture f;
    struct call call;
    struct view view;
    moves_start(&f);
    add_author(&f, 1);
    struct fh_uuid mine = f.tenant;
    f.tenant = uuid_of(9, 9);
    call_init(&call, &f);
    call.request.op = FH_OP_HOME_CREATE;
    call.request.as.home.fence =
        (struct fh_fence){.epoch = 1, .generation = 1, .mode = FH_FENCE_OPEN};
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    view_open(&f, &view);
    for (int64_t id = 1; id <= 3; id++) {
        add_author(&f, id);
    }
    struct fh_op_apply *apply = &call.request.as.apply;
    call.request.op = FH_OP_APPLY;
    *apply = (struct fh_op_apply){.guard = guard_open, .state = FH_STR("theirs")};
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    call_close(&call);
    f.tenant = mine;
    call_init(&call, &f);
    ask_scan(&call, NULL, &model_authors);
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(call.request.as.scan.count, 1);
    ask_journal(&call, NULL);
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(call.request.as.scan_journal.count, 1);
    ask_tally(&call, NULL, view.cursor);
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(call.request.as.tally.count, 0);
    call.request.op = FH_OP_SIZE;
    call.request.as.size = (struct fh_op_size){.guard = guard_open};
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(call.request.as.size.rows, 1);
    assert_int_equal(call.request.as.size.records, 1);
    assert_true(call.request.as.size.bytes > 0);
    call.request.op = FH_OP_MOVE_STATE;
    call.request.as.move_state = (struct fh_op_move_state){.guard = guard_open};
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(call.request.as.move_state.state.len, 0);
    /* Their view is not ours. */
    ask_scan(&call, &view, &model_authors);
    call.request.deadline_us = fh_clock_monotonic_us(fh_clock_system()) + RUN_MS * 1000;
    assert_int_equal(call_try(&call), FH_INVALID);
    struct fh_key key = key_author(1);
    call.request.op = FH_OP_APPLY;
    *apply = (struct fh_op_apply){.guard = guard_open, .deletes = &key, .delete_count = 1};
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    call_close(&call);
    assert_int_equal(server_number(&f, "select count(*) from fh_shared.authors"), 3);
    f.tenant = uuid_of(9, 9);
    view_close(&f, &view);
    fixture_stop(&f);
}

static void test_view_is_one_instant(void **state)
{
    (void)state;
    struct fixture f;
    struct call call;
    struct view before;
    struct view after;
    moves_start(&f);
    add_author(&f, 1);
    add_author(&f, 2);
    view_open(&f, &before);
    set_score(&f, 1, 99);
    delete_author(&f, 2, FH_WRITE_PURGE);
    add_author(&f, 3);
    call_init(&call, &f);
    ask_scan(&call, &before, &model_authors);
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(call.request.as.scan.count, 2);
    assert_int_equal(call.request.as.scan.rows[0]->values[AUTHOR_SCORE].as.integer, 7);
    ask_changes(&call, &before, before.cursor);
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(call.request.as.changes.journal_count, 0);
    assert_int_equal(call.request.as.changes.key_count, 0);
    view_open(&f, &after);
    set_score(&f, 1, 100); /* in neither view */
    ask_changes(&call, &after, before.cursor);
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    const struct fh_op_changes *changes = &call.request.as.changes;
    assert_int_equal(changes->journal_count, 3);
    assert_int_equal(changes->key_count, 3);
    assert_int_equal(changes->keys[0].values[0].as.integer, 1);
    assert_int_equal(changes->rows[0]->values[AUTHOR_SCORE].as.integer, 99);
    assert_null(changes->rows[1]); /* there is none any more */
    assert_int_equal(changes->rows[2]->values[AUTHOR_ID].as.integer, 3);
    assert_false(changes->more);
    view_close(&f, &before);
    view_close(&f, &after);
    call_close(&call);
    fixture_stop(&f);
}

static void test_changes_pages(void **state)
{
    (void)state;
    struct fixture f;
    struct call call;
    struct view before;
    struct view after;
    moves_start(&f);
    view_open(&f, &before);
    for (int64_t id = 1; id <= 7; id++) {
        add_author(&f, id);
        set_score(&f, id, 1);
    }
    view_open(&f, &after);
    call_init(&call, &f);
    ask_changes(&call, &after, before.cursor);
    struct fh_op_changes *changes = &call.request.as.changes;
    changes->limit = 4;
    size_t records = 0;
    size_t keys = 0;
    do {
        assert_int_equal(call_run(&call, RUN_MS), FH_OK);
        assert_in_range(changes->journal_count, 1, 4);
        records += changes->journal_count;
        keys += changes->key_count; /* each once in a page: two records, one key */
        for (size_t i = 0; i < changes->journal_count; i++) {
            assert_true(changes->journal[i].seq > changes->after_seq);
            changes->after_seq = changes->journal[i].seq;
        }
    } while (changes->more);
    assert_int_equal(records, 14);
    assert_int_equal(keys, 7);
    changes->after_seq = 0;
    changes->bytes_max = 1;
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(changes->journal_count, 1);
    assert_true(changes->more);
    view_close(&f, &before);
    view_close(&f, &after);
    call_close(&call);
    fixture_stop(&f);
}

/* A transaction that took its number first and commits last. A cursor of sequence numbers would
 * have moved past it: when the later number was seen, the earlier one was not there yet, and
 * "everything above" never comes back for it. A cursor of transactions has it still outstanding. */
static void test_sequence_is_not_commit_order(void **state)
{
    (void)state;
    struct fixture f;
    struct call call;
    struct view start;
    struct view between;
    struct view end;
    char sql[1024];
    char tenant[FH_UUID_TEXT_LEN + 1];
    moves_start(&f);
    fh_uuid_format(&f.tenant, tenant);
    view_open(&f, &start);
    (void)snprintf(
        sql, sizeof(sql),
        "begin; insert into fh_shared.authors (tenant_id, id, name, created_at, "
        "updated_at, version) values ('%s', 1, 'slow', now(), now(), 1); insert into "
        "fh_shared.fh_commit (tenant_id, epoch, request_hash, schema_version, actor, "
        "address, at, changes) values ('%s', 1, decode(repeat('00', 32), 'hex'), 1, '', '', now(), "
        "'[[\"i\",\"authors\",\"1\"]]')",
        tenant, tenant);
    struct fh_pgtest_session *slow = fh_pgtest_session_open(f.pg, FH_PGTEST_SUPERUSER, sql);
    assert_non_null(slow);
    add_author(&f, 2);
    view_open(&f, &between);
    call_init(&call, &f);
    ask_changes(&call, &between, start.cursor);
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(call.request.as.changes.journal_count, 1);
    uint64_t seen = call.request.as.changes.journal[0].seq;
    ask_tally(&call, &between, between.cursor);
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    uint64_t count = call.request.as.tally.count;
    uint64_t sum = call.request.as.tally.seq_sum;
    assert_true(fh_pgtest_session_exec(slow, "commit"));
    fh_pgtest_session_close(slow);
    view_open(&f, &end);
    ask_changes(&call, &end, between.cursor);
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    const struct fh_op_changes *changes = &call.request.as.changes;
    assert_int_equal(changes->journal_count, 1);
    assert_true(changes->journal[0].seq < seen);
    assert_int_equal(changes->key_count, 1);
    assert_int_equal(changes->keys[0].values[0].as.integer, 1);
    assert_non_null(changes->rows[0]);
    uint64_t late = changes->journal[0].seq;
    /* The tally counts what was in flight on both sides: the difference is what had to be applied.
     */
    ask_tally(&call, NULL, between.cursor);
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    assert_int_equal(call.request.as.tally.count - count, 1);
    assert_int_equal(call.request.as.tally.seq_sum - sum, late);
    view_close(&f, &start);
    view_close(&f, &between);
    view_close(&f, &end);
    call_close(&call);
    fixture_stop(&f);
}

/* What is no cursor is refused before the server sees it, and the view lives on. */
static void test_cursors_are_checked(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "1",      "1:2", "1:2:3,", "a:b:",    "1:2:3,,4",
        "1:2:3 ", "::",  "-1:2:",  "1:2:3;4", "999999999999999999999999:2:"};
    struct fixture f;
    struct call call;
    struct view view;
    moves_start(&f);
    view_open(&f, &view);
    call_init(&call, &f);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ask_changes(&call, &view, wrong[i]);
        assert_int_equal(call_run(&call, RUN_MS), FH_INVALID);
        ask_tally(&call, &view, wrong[i]);
        assert_int_equal(call_run(&call, RUN_MS), FH_INVALID);
    }
    ask_tally(&call, NULL, "9:1:"); /* in form, and refused by the server */
    assert_int_equal(call_run(&call, RUN_MS), FH_INVALID);
    ask_changes(&call, &view, view.cursor);
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    view_close(&f, &view);
    call_close(&call);
    fixture_stop(&f);
}

/* Which tables a home has is known to the mover: one that nobody declared would be left behind. */
static void test_home_tables_are_declared(void **state)
{
    (void)state;
#define QUOTED(name, kind) "'" name "', "
    struct fixture f;
    moves_start(&f);
    assert_int_equal(server_number(&f,
                                   "select count(*) from pg_class c join pg_namespace n on "
                                   "n.oid = c.relnamespace where n.nspname = 'fh_shared' and "
                                   "c.relkind in ('r', 'p', 'm', 'f') and c.relname like "
                                   "'fh\\_%' and c.relname not in (" FH_HOME_TABLES(QUOTED) "'')"),
                     0);
    assert_int_equal(server_number(&f, "select count(*) from pg_class c join pg_namespace n on "
                                       "n.oid = c.relnamespace where n.nspname = 'fh_shared' and "
                                       "c.relkind in ('r', 'p') and c.relname in "
                                       "(" FH_HOME_TABLES(QUOTED) "'')"),
                     4);
    /* And those that are not ours are the schema's. */
    assert_int_equal(server_number(&f, "select count(*) from pg_class c join pg_namespace n on "
                                       "n.oid = c.relnamespace where n.nspname = 'fh_shared' and "
                                       "c.relkind in ('r', 'p', 'm', 'f') and c.relname not like "
                                       "'fh\\_%'"),
                     (long)model_v1.table_count);
    fixture_stop(&f);
#undef QUOTED
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_pages),
        cmocka_unit_test(test_scan_bytes),
        cmocka_unit_test(test_journal_pages),
        cmocka_unit_test(test_hidden_rows),
        cmocka_unit_test(test_guards),
        cmocka_unit_test(test_other_tenants_are_not_seen),
        cmocka_unit_test(test_view_is_one_instant),
        cmocka_unit_test(test_changes_pages),
        cmocka_unit_test(test_sequence_is_not_commit_order),
        cmocka_unit_test(test_cursors_are_checked),
        cmocka_unit_test(test_home_tables_are_declared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
