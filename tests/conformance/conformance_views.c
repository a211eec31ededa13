/* What a mover reads: views, fences' guards, rows and commit records page by page. */
#include "stores/commit_record.h"
#include "tests/conformance/mover.h"

static void test_views_open_and_close(void **state)
{
    struct suite *s = *state;
    struct mover m[] = {mover_of(s, &s->a), mover_of(s, &s->b)};
    struct view views[FH_SNAPSHOTS_MAX + 1] = {{.snapshot = NULL}};
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < FH_SNAPSHOTS_MAX; i++) {
            views[i] = mover_open(&m[i % 2]);
            for (size_t k = 0; k < i; k++) {
                assert_ptr_not_equal(views[k].snapshot, views[i].snapshot);
            }
        }
        assert_code(mover_try_open(&m[0], &views[FH_SNAPSHOTS_MAX]), FH_FULL);
        /* Nobody else waits for that. */
        suite_must_write(s, &s->a, suite_author(s, FH_WRITE_UPSERT, round, "meanwhile"));
        assert_int_equal(mover_table(&m[0], NULL, &model_authors, 10).count, round + 1);
        mover_close(&m[round % 2], &views[round % 2]);
        views[round % 2] = mover_open(&m[round % 2]);
        assert_code(mover_try_open(&m[1], &views[FH_SNAPSHOTS_MAX]), FH_FULL);
        for (size_t i = 0; i < FH_SNAPSHOTS_MAX; i++) {
            mover_close(&m[i % 2], &views[i]);
        }
    }
}

/* Views end with their store: closing it with some open is no accident. */
static void test_views_end_with_their_store(void **state)
{
    struct suite *s = *state;
    struct mover m = mover_of(s, &s->a);
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "one"));
    for (size_t i = 0; i < FH_SNAPSHOTS_MAX; i++) {
        (void)mover_open(&m);
    }
    suite_close(s);
    suite_open(s);
    if (s->engine->durable) {
        for (size_t i = 0; i < FH_SNAPSHOTS_MAX; i++) {
            (void)mover_open(&m);
        }
        assert_int_equal(mover_table(&m, NULL, &model_authors, 10).count, 1);
    }
}

/* After a mode was set a view is opened anew where one is needed, so that the fence is the same in
 * the view and outside it. */
static enum fh_code attempt(const struct mover *m, enum fh_op op, const struct view *view,
                            struct fh_request *request)
{
    *request = suite_request(m->s, op, &m->tenant);
    request->scope.epoch = m->epoch;
    switch (op) {
    case FH_OP_SNAPSHOT_OPEN:
        request->as.snapshot.guard = m->guard;
        break;
    case FH_OP_SCAN:
        request->as.scan = (struct fh_op_scan){
            .guard = m->guard, .table = &model_authors, .limit = 10, .bytes_max = 1000};
        break;
    case FH_OP_SCAN_JOURNAL:
        request->as.scan_journal =
            (struct fh_op_scan_journal){.guard = m->guard, .limit = 10, .bytes_max = 1000};
        break;
    case FH_OP_CHANGES:
        request->as.changes = (struct fh_op_changes){.guard = m->guard,
                                                     .snapshot = view->snapshot,
                                                     .since = view->cursor,
                                                     .limit = 10,
                                                     .bytes_max = 1000};
        break;
    case FH_OP_TALLY:
        request->as.tally = (struct fh_op_tally){.guard = m->guard, .since = view->cursor};
        break;
    case FH_OP_APPLY:
        request->as.apply = (struct fh_op_apply){.guard = m->guard, .state = FH_STR("{}")};
        break;
    case FH_OP_MOVE_STATE:
        request->as.move_state.guard = m->guard;
        break;
    case FH_OP_REFERENCES:
        request->as.references.guard = m->guard;
        break;
    case FH_OP_SIZE:
        request->as.size.guard = m->guard;
        break;
    default:
        fail();
    }
    enum fh_code code = suite_run(m->s, request);
    if (op == FH_OP_SNAPSHOT_OPEN && code == FH_OK) {
        struct view opened = {.snapshot = request->as.snapshot.snapshot};
        mover_close(m, &opened);
    }
    return code;
}

static const enum fh_op guarded[] = {FH_OP_SNAPSHOT_OPEN, FH_OP_SCAN,       FH_OP_SCAN_JOURNAL,
                                     FH_OP_CHANGES,       FH_OP_TALLY,      FH_OP_APPLY,
                                     FH_OP_MOVE_STATE,    FH_OP_REFERENCES, FH_OP_SIZE};
#define GUARDED (sizeof(guarded) / sizeof(guarded[0]))

static void test_guards(void **state)
{
    struct suite *s = *state;
    struct mover m = mover_of(s, &s->a);
    static const enum fh_fence_mode modes[] = {FH_FENCE_OPEN, FH_FENCE_FROZEN, FH_FENCE_CLOSED,
                                               FH_FENCE_INCOMING};
    for (size_t i = 0; i < 4; i++) {
        suite_fence_mode(s, &s->a, modes[i]);
        struct view view = mover_open(&m);
        for (size_t k = 0; k < GUARDED; k++) {
            struct fh_request request;
            const struct {
                uint64_t epoch;
                uint64_t generation;
                uint32_t modes;
                bool in;
            } tries[] = {{1, 1, MOVER_MODES_ALL, true},
                         {1, 1, FH_FENCE_BIT(modes[i]), true},
                         {1, 1, MOVER_MODES_ALL & ~FH_FENCE_BIT(modes[i]), false},
                         {2, 1, MOVER_MODES_ALL, false},
                         {0, 1, MOVER_MODES_ALL, false},
                         {1, 0, MOVER_MODES_ALL, guarded[k] == FH_OP_SIZE},
                         {1, 2, MOVER_MODES_ALL, guarded[k] == FH_OP_SIZE}};
            for (size_t t = 0; t < sizeof(tries) / sizeof(tries[0]); t++) {
                m.epoch = tries[t].epoch;
                m.guard = (struct fh_fence_guard){tries[t].generation, tries[t].modes};
                enum fh_code code = attempt(&m, guarded[k], &view, &request);
                if (code != (tries[t].in ? FH_OK : FH_MOVED)) {
                    fail_msg("operation %d, mode %d, try %zu: %s", (int)guarded[k], (int)modes[i],
                             t, fh_code_name(code));
                }
                if (!tries[t].in) {
                    assert_int_equal(request.epoch_seen, 1);
                    assert_int_equal(request.mode_seen, modes[i]);
                }
            }
        }
        m = (struct mover){s, s->a, 1, {1, MOVER_MODES_ALL}};
        mover_close(&m, &view);
    }
}

static void test_no_tenant(void **state)
{
    struct suite *s = *state;
    struct mover a = mover_of(s, &s->a);
    struct mover nobody = a;
    nobody.tenant = uuid_of(0x0c, 3);
    struct view view = mover_open(&a);
    for (size_t k = 0; k < GUARDED; k++) {
        struct fh_request request;
        if (guarded[k] != FH_OP_CHANGES) { /* it has no view to ask in */
            enum fh_code code = attempt(&nobody, guarded[k], &view, &request);
            suite_assert_code(code, FH_NO_TENANT, "nobody", NULL, __FILE__, (int)k);
        }
    }
    mover_close(&a, &view);
}

/* One row of every table, deleted ones too, as LIST shows them. */
static void assert_scans_as_listed(struct suite *s, const struct mover *m)
{
    for (uint32_t t = 0; t < model_v1.table_count; t++) {
        const struct fh_table *table = model_v1.tables[t];
        struct fh_op_list list = {.table = table, .limit = FH_LIST_ROWS_MAX, .show_deleted = true};
        assert_code(suite_list(s, &m->tenant, &list), FH_OK);
        const struct rows listed = {list.rows, list.count};
        const size_t limits[] = {1, 2, 3, list.count > 0 ? list.count : 1, FH_SCAN_ROWS_MAX};
        for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
            struct rows scanned = mover_table(m, NULL, table, limits[i]);
            assert_same_rows_all(&scanned, &listed);
        }
    }
}

static void put_slot(struct suite *s, int64_t day, int64_t at, const char *raw, bool flag)
{
    struct fh_key key = {.table = &model_slots,
                         .values = {int_value(FH_TYPE_DATE, day),
                                    int_value(FH_TYPE_TIMESTAMP, at),
                                    {.type = FH_TYPE_BYTES, .as.bytes = fh_str_of(raw)},
                                    {.type = FH_TYPE_BOOL, .as.boolean = flag},
                                    int_value(FH_TYPE_NUMERIC, -day)}};
    suite_must_write(s, &s->a,
                     suite_put_text(suite_new(s, FH_WRITE_INSERT, key), SLOT_NOTE, "note"));
}

static void test_scan_is_exact(void **state)
{
    struct suite *s = *state;
    struct mover m = mover_of(s, &s->a);
    assert_scans_as_listed(s, &m); /* nothing at all */
    struct app app = app_of(s, &s->a, seed_of_run(11));
    app_run(&app, 60);
    for (int i = -3; i < 3; i++) {
        put_slot(s, i, i * INT64_C(1000003), i % 2 == 0 ? "\xff\x01" : "", i % 3 == 0);
    }
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 100, "deleted"));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_DELETE, 100, NULL));
    assert_scans_as_listed(s, &m);
    struct fh_key key = key_author(100);
    struct rows authors = mover_table(&m, NULL, &model_authors, 7);
    assert_true(find_row(&authors, &key)->deleted_at_us > 0);
}

static void test_scan_ranges(void **state)
{
    struct suite *s = *state;
    struct mover m = mover_of(s, &s->a);
    for (int64_t i = 1; i <= 9; i++) {
        suite_must_write(s, &s->a, suite_new(s, FH_WRITE_INSERT, key_code(i < 5 ? "a" : "b", i)));
    }
    static const struct {
        int64_t after; /* 0: none */
        int64_t until;
        size_t limit;
        size_t count;
        bool more;
    } table[] = {{0, 0, 9, 9, false}, {0, 0, 8, 8, true},  {0, 4, 9, 4, false},
                 {0, 4, 4, 4, false}, {0, 4, 3, 3, true},  {3, 6, 9, 3, false},
                 {3, 6, 2, 2, true},  {4, 4, 9, 0, false}, {9, 0, 9, 0, false},
                 {8, 0, 1, 1, false}, {8, 9, 1, 1, false}, {5, 3, 9, 0, false}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct fh_key after = key_code(table[i].after < 5 ? "a" : "b", table[i].after);
        struct fh_key until = key_code(table[i].until < 5 ? "a" : "b", table[i].until);
        struct fh_op_scan scan = {.table = &model_codes,
                                  .after = table[i].after != 0 ? &after : NULL,
                                  .until = table[i].until != 0 ? &until : NULL,
                                  .limit = table[i].limit};
        assert_code(mover_try_scan(&m, &scan), FH_OK);
        assert_int_equal(scan.count, table[i].count);
        assert_int_equal(scan.more, table[i].more);
        for (size_t k = 0; k < scan.count; k++) {
            assert_int_equal(scan.rows[k]->values[CODE_NUMBER].as.integer,
                             table[i].after + 1 + (int64_t)k);
        }
    }
    /* Bounds need not be there. */
    struct fh_key after = key_code("a", 100);
    struct fh_key until = key_code("b", 7);
    struct fh_op_scan scan = {.table = &model_codes, .after = &after, .until = &until};
    assert_code(mover_try_scan(&m, &scan), FH_OK);
    assert_int_equal(scan.count, 3);
}

/* However few bytes a page may have, it has a row; and it stays near what it may have. */
static void test_scan_bytes(void **state)
{
    struct suite *s = *state;
    struct mover m = mover_of(s, &s->a);
    enum { ROWS = 40, TEXT = 10000 };
    char *text = fh_arena_alloc(&s->arena, TEXT + 1);
    assert_non_null(text);
    memset(text, 'x', TEXT);
    text[TEXT] = '\0';
    for (int64_t i = 1; i <= ROWS; i++) {
        suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, i, text));
    }
    struct fh_op_scan scan = {.table = &model_authors, .bytes_max = 1};
    assert_code(mover_try_scan(&m, &scan), FH_OK);
    assert_int_equal(scan.count, 1);
    assert_true(scan.more);
    scan = (struct fh_op_scan){.table = &model_authors, .bytes_max = (size_t)10 * TEXT};
    assert_code(mover_try_scan(&m, &scan), FH_OK);
    assert_in_range(scan.count, 5, 11);
    assert_true(scan.more);
    struct fh_op_scan_journal journal = {.bytes_max = 1};
    assert_code(mover_try_scan_journal(&m, &journal), FH_OK);
    assert_int_equal(journal.count, 1);
    assert_true(journal.more);
    journal = (struct fh_op_scan_journal){.bytes_max = (size_t)10 * TEXT};
    assert_code(mover_try_scan_journal(&m, &journal), FH_OK);
    assert_in_range(journal.count, 5, 11);
    struct view before = mover_open(&m);
    for (int64_t i = 1; i <= ROWS; i++) {
        suite_must_write(s, &s->a, suite_author(s, FH_WRITE_UPSERT, i, text));
    }
    struct view after = mover_open(&m);
    struct fh_op_changes changes = {
        .snapshot = after.snapshot, .since = before.cursor, .bytes_max = 1};
    assert_code(mover_try_changes(&m, &changes), FH_OK);
    assert_int_equal(changes.journal_count, 1);
    assert_int_equal(changes.key_count, 1);
    assert_true(changes.more);
    assert_int_equal(mover_delta(&m, &after, before.cursor, 0, (size_t)6 * TEXT).keys.count, ROWS);
    mover_close(&m, &before);
    mover_close(&m, &after);
}

static void test_a_view_stands_still(void **state)
{
    struct suite *s = *state;
    struct mover m = mover_of(s, &s->a);
    struct app app = app_of(s, &s->a, seed_of_run(12));
    struct view views[FH_SNAPSHOTS_MAX];
    struct rows rows[FH_SNAPSHOTS_MAX];
    struct journal journals[FH_SNAPSHOTS_MAX];
    for (size_t i = 0; i < FH_SNAPSHOTS_MAX; i++) {
        app_run(&app, 25);
        rows[i] = mover_rows(&m, NULL, 1000);
        journals[i] = mover_journal(&m, NULL, 1000);
        views[i] = mover_open(&m);
        app_run(&app, 25); /* before anything was read in the view */
    }
    for (size_t i = 0; i < FH_SNAPSHOTS_MAX; i++) {
        struct rows seen = mover_rows(&m, &views[i], 5);
        struct journal recorded = mover_journal(&m, &views[i], 5);
        assert_same_rows_all(&seen, &rows[i]);
        assert_same_journal(&recorded, &journals[i]);
        app_run(&app, 5);
        seen = mover_rows(&m, &views[i], 100);
        assert_same_rows_all(&seen, &rows[i]);
    }
    assert_true(mover_journal(&m, NULL, 100).count > journals[FH_SNAPSHOTS_MAX - 1].count);
    for (size_t i = 0; i < FH_SNAPSHOTS_MAX; i++) {
        mover_close(&m, &views[i]);
    }
}

static void assert_is_record(struct suite *s, const struct fh_journal_row *row,
                             const struct fh_commit_record *record)
{
    assert_int_equal(row->epoch, record->epoch);
    assert_int_equal(row->seq, record->seq);
    assert_int_equal(row->at_us, record->at_us);
    assert_int_equal(row->schema_version, record->schema_version);
    assert_true(fh_str_eq(row->request_id, record->request_id));
    assert_true(fh_str_eq(row->actor, record->actor));
    assert_true(fh_str_eq(row->address, record->address));
    struct fh_commit_record decoded = {
        .tenant = row->tenant, .epoch = row->epoch, .schema_version = row->schema_version};
    assert_code(fh_commit_record_decode(&decoded, row->changes, row->images, &model_v1, &s->arena),
                FH_OK);
    assert_int_equal(decoded.change_count, record->change_count);
    for (size_t i = 0; i < decoded.change_count; i++) {
        const struct fh_change *x = &decoded.changes[i];
        const struct fh_change *y = &record->changes[i];
        assert_int_equal(x->op, y->op);
        assert_int_equal(fh_key_compare(&x->key, &y->key), 0);
        assert_int_equal(x->before != NULL, y->before != NULL);
        assert_int_equal(x->after != NULL, y->after != NULL);
        assert_true(x->before == NULL || fh_row_equal(x->before, y->before));
        assert_true(x->after == NULL || fh_row_equal(x->after, y->after));
    }
}

static void test_journal_is_exact(void **state)
{
    struct suite *s = *state;
    struct mover m = mover_of(s, &s->a);
    assert_int_equal(mover_journal(&m, NULL, 10).count, 0);
    struct app app = app_of(s, &s->a, seed_of_run(13));
    app_run(&app, 60);
    struct fh_op_commit commit = {.writes = suite_author(s, FH_WRITE_INSERT, 900, "n"),
                                  .count = 1,
                                  .request_id = FH_STR("the-id"),
                                  .actor = FH_STR("users/\xc3\xa9\"q"),
                                  .address = FH_STR("[::1]:5")};
    memset(commit.request_hash, 0xa5, sizeof(commit.request_hash));
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    struct fh_op_events events = {.limit = FH_EVENTS_MAX};
    assert_code(suite_events(s, &s->a, &events), FH_OK);
    assert_int_equal(events.count, app.commits + 1);
    struct journal journal = mover_journal(&m, NULL, 1000);
    assert_int_equal(journal.count, events.count);
    for (size_t i = 0; i < journal.count; i++) {
        assert_is_record(s, &journal.rows[i], &events.records[events.count - 1 - i]);
    }
    const struct fh_journal_row *last = &journal.rows[journal.count - 1];
    assert_memory_equal(last->request_hash, commit.request_hash, sizeof(commit.request_hash));
    for (size_t limit = 1; limit <= 8; limit++) {
        struct journal paged = mover_journal(&m, NULL, limit);
        assert_same_journal(&paged, &journal);
    }
    struct fh_op_scan_journal scan = {.after_epoch = 1,
                                      .after_seq = journal.rows[2].seq,
                                      .until_epoch = 1,
                                      .until_seq = journal.rows[7].seq};
    assert_code(mover_try_scan_journal(&m, &scan), FH_OK);
    assert_int_equal(scan.count, 5);
    assert_false(scan.more);
    assert_int_equal(scan.rows[0].seq, journal.rows[3].seq);
    scan =
        (struct fh_op_scan_journal){.until_epoch = 1, .until_seq = journal.rows[7].seq, .limit = 7};
    assert_code(mover_try_scan_journal(&m, &scan), FH_OK);
    assert_true(scan.more); /* one is left before the end of the range */
    scan = (struct fh_op_scan_journal){.after_epoch = 1, .after_seq = last->seq};
    assert_code(mover_try_scan_journal(&m, &scan), FH_OK);
    assert_int_equal(scan.count, 0);
    scan = (struct fh_op_scan_journal){.after_epoch = 2};
    assert_code(mover_try_scan_journal(&m, &scan), FH_OK);
    assert_int_equal(scan.count, 0);
    scan = (struct fh_op_scan_journal){.until_epoch = 0, .until_seq = 1}; /* before all of them */
    assert_code(mover_try_scan_journal(&m, &scan), FH_OK);
    assert_int_equal(scan.count, 0);
}

static const struct CMUnitTest tests[] = {
    SUITE_TEST(test_views_open_and_close),
    SUITE_TEST(test_views_end_with_their_store),
    SUITE_TEST(test_guards),
    SUITE_TEST(test_no_tenant),
    SUITE_TEST(test_scan_is_exact),
    SUITE_TEST(test_scan_ranges),
    SUITE_TEST(test_scan_bytes),
    SUITE_TEST(test_a_view_stands_still),
    SUITE_TEST(test_journal_is_exact),
};
SUITE_PART(suite_part_views, tests)
