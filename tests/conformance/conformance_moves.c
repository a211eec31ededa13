/* What changed between two views, counted twice; and that none of it is another tenant's. */
#include "tests/conformance/mover.h"

static void test_changes_of_every_kind(void **state)
{
    struct suite *s = *state;
    struct mover m = mover_of(s, &s->a);
    for (int64_t i = 1; i <= 5; i++) {
        suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, i, "before"));
    }
    struct view before = mover_open(&m);
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_UPDATE, 2, "updated"));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_DELETE, 3, NULL));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_PURGE, 4, NULL));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 6, "inserted"));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 7, "comes"));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_PURGE, 7, NULL)); /* and goes */
    struct view after = mover_open(&m);
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_UPDATE, 1, "too late"));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_UPDATE, 2, "too late"));

    struct fh_op_changes changes = {.snapshot = after.snapshot, .since = before.cursor};
    assert_code(mover_try_changes(&m, &changes), FH_OK);
    assert_int_equal(changes.journal_count, 6);
    assert_false(changes.more);
    assert_int_equal(changes.key_count, 5); /* 7 was written twice */
    struct delta delta = mover_delta(&m, &after, before.cursor, 2, 0);
    static const int64_t ids[] = {2, 3, 4, 6, 7};
    assert_int_equal(delta.keys.count, 5);
    for (size_t i = 0; i < 5; i++) {
        struct fh_key key = key_author(ids[i]);
        assert_int_equal(fh_key_compare(&delta.keys.keys[i], &key), 0);
        assert_ptr_equal(delta.keys.keys[i].table, &model_authors);
        assert_int_equal(delta.rows[i] == NULL, ids[i] == 4 || ids[i] == 7);
    }
    suite_assert_text(&delta.rows[0]->values[AUTHOR_NAME], "updated");
    assert_true(delta.rows[1]->deleted_at_us > 0);
    struct rows there = mover_table(&m, &after, &model_authors, 100);
    assert_true(fh_row_equal(delta.rows[1], find_row(&there, &delta.keys.keys[1])));

    /* From a cursor on itself nothing changed, and the next round has what was too late. */
    delta = mover_delta(&m, &after, after.cursor, 0, 0);
    assert_int_equal(delta.keys.count + delta.journal.count, 0);
    struct view last = mover_open(&m);
    delta = mover_delta(&m, &last, after.cursor, 0, 0);
    assert_int_equal(delta.journal.count, 2);
    assert_int_equal(delta.keys.count, 2);
    mover_close(&m, &before);
    mover_close(&m, &after);
    mover_close(&m, &last);
}

/* A round's keys are those that were written between its views, its rows are those of its view, and
 * both counts of its records agree; whatever the page. */
static void test_rounds(void **state)
{
    struct suite *s = *state;
    struct mover m = mover_of(s, &s->a);
    struct app app = app_of(s, &s->a, seed_of_run(21));
    app_run(&app, 60);
    struct view base = mover_open(&m);
    struct view since = base;
    const struct fh_op_tally start = mover_tally(&m, &base, base.cursor);
    uint64_t commits = app.commits;
    uint64_t records = 0;
    uint64_t seq_sum = 0;
    app.touched = (struct keys){.count = 0};
    for (size_t round = 0; round < 8; round++) {
        app_run(&app, draw(&app.random) % 40);
        struct view view = mover_open(&m);
        const struct keys touched = app.touched;
        const uint64_t made = app.commits - commits;
        app.touched = (struct keys){.count = 0};
        commits = app.commits;
        app_run(&app, 5); /* the next round's */
        static const size_t limits[] = {1, 3, 7, FH_SCAN_ROWS_MAX};
        struct delta delta = mover_delta(&m, &view, since.cursor, limits[round % 4], 0);
        struct delta small = mover_delta(&m, &view, since.cursor, 0, 500);
        assert_int_equal(delta.journal.count, made);
        assert_same_keys(&delta.keys, &touched);
        assert_same_keys(&small.keys, &touched);
        assert_same_journal(&small.journal, &delta.journal);
        struct rows rows = mover_rows(&m, &view, 50);
        for (size_t i = 0; i < touched.count; i++) {
            struct fh_row *row = find_row(&rows, &touched.keys[i]);
            assert_int_equal(row != NULL, delta.rows[i] != NULL);
            assert_true(row == NULL || fh_row_equal(row, delta.rows[i]));
        }
        records += delta.journal.count;
        seq_sum += delta.seq_sum;
        struct fh_op_tally now = mover_tally(&m, &view, base.cursor);
        assert_int_equal(now.count - start.count, records);
        assert_int_equal(now.seq_sum - start.seq_sum, seq_sum);
        if (since.snapshot != base.snapshot) {
            mover_close(&m, &since);
        }
        since = view;
    }
    assert_int_equal(mover_tally(&m, NULL, base.cursor).count - start.count, records + 5);
    mover_close(&m, &since);
    mover_close(&m, &base);
}

struct flight {
    struct fh_request request;
    bool done;
};

static void take_off(struct suite *s, struct flight *flight)
{
    flight->done = false;
    flight->request.arg = &flight->done;
    /* Many at a time, so each has memory of its own. */
    flight->request.arena = FH_ARENA_NEW(&s->arena, struct fh_arena);
    assert_non_null(flight->request.arena);
    fh_arena_init(flight->request.arena, (size_t)1 << 20);
    assert_code(fh_store_submit(s->store, &flight->request), FH_OK);
}

/* Views are opened while commits are on their way: whichever of them a view has, the deltas between
 * views have each once, and a view's rows are those of the commits it has. */
static void test_rounds_with_commits_in_flight(void **state)
{
    enum { VIEWS = 2, BATCH = 25, COUNT = BATCH * (VIEWS + 1) };
    struct suite *s = *state;
    struct mover m = mover_of(s, &s->a);
    struct flight commits[COUNT];
    struct flight opens[VIEWS];
    struct view views[VIEWS + 2] = {mover_open(&m)};
    for (size_t i = 0; i < COUNT; i++) {
        commits[i].request = suite_request(s, FH_OP_COMMIT, &s->a);
        commits[i].request.as.commit = (struct fh_op_commit){
            .writes = suite_author(s, FH_WRITE_INSERT, (int64_t)i + 1, "in flight"), .count = 1};
        take_off(s, &commits[i]);
        if (i % BATCH == BATCH - 1 && i / BATCH < VIEWS) {
            struct flight *open = &opens[i / BATCH];
            open->request = suite_request(s, FH_OP_SNAPSHOT_OPEN, &s->a);
            open->request.as.snapshot.guard = m.guard;
            take_off(s, open);
        }
    }
    for (size_t i = 0; i < COUNT; i++) {
        suite_wait(s, &commits[i].done);
        assert_code(commits[i].request.code, FH_OK);
        fh_arena_close(commits[i].request.arena);
    }
    for (size_t i = 0; i < VIEWS; i++) {
        suite_wait(s, &opens[i].done);
        assert_code(opens[i].request.code, FH_OK);
        views[i + 1] = (struct view){opens[i].request.as.snapshot.snapshot,
                                     opens[i].request.as.snapshot.cursor};
    }
    views[VIEWS + 1] = mover_open(&m);
    /* The second view may have been opened before the first: then it is the first's delta that has
     * what is between them, and there is nothing the other way. */
    size_t counts[VIEWS + 2];
    for (size_t i = 0; i < VIEWS + 2; i++) {
        counts[i] = mover_table(&m, &views[i], &model_authors, 100).count;
    }
    for (size_t i = 0; i < VIEWS + 2; i++) {
        for (size_t k = 0; k < VIEWS + 2; k++) {
            struct delta delta = mover_delta(&m, &views[k], views[i].cursor, 7, 0);
            size_t expected = counts[k] > counts[i] ? counts[k] - counts[i] : 0;
            assert_int_equal(delta.journal.count, expected);
            assert_int_equal(delta.keys.count, expected);
        }
    }
    assert_int_equal(counts[VIEWS + 1], COUNT);
    for (size_t i = 0; i < VIEWS + 2; i++) {
        mover_close(&m, &views[i]);
    }
    for (size_t i = 0; i < VIEWS; i++) {
        fh_arena_close(opens[i].request.arena); /* it held the cursor */
    }
}

static void test_nonsense_is_refused(void **state)
{
    struct suite *s = *state;
    struct mover m = mover_of(s, &s->a);
    struct view view = mover_open(&m);
    struct fh_op_changes changes = {.snapshot = view.snapshot, .since = FH_STR("no cursor")};
    assert_code(mover_try_changes(&m, &changes), FH_INVALID);
    struct fh_op_tally tally = {.since = FH_STR("'; drop table fh_commit; --")};
    assert_code(mover_try_tally(&m, &tally), FH_INVALID);
    changes = (struct fh_op_changes){.snapshot = view.snapshot, .since = view.cursor};
    assert_code(mover_try_changes(&m, &changes), FH_OK); /* and harmed nothing */
    mover_close(&m, &view);
}

static void test_size(void **state)
{
    struct suite *s = *state;
    struct mover m = mover_of(s, &s->a);
    struct fh_op_size size;
    assert_code(mover_try_size(&m, &size), FH_OK);
    assert_int_equal(size.rows + size.records, 0);
    struct app app = app_of(s, &s->a, seed_of_run(22));
    app_run(&app, 80);
    assert_code(mover_try_size(&m, &size), FH_OK);
    assert_int_equal(size.rows, mover_rows(&m, NULL, 1000).count);
    assert_int_equal(size.records, app.commits);
    assert_true(size.bytes > 0);
    struct mover b = mover_of(s, &s->b);
    assert_code(mover_try_size(&b, &size), FH_OK);
    assert_int_equal(size.rows + size.records, 0);
}

/* Everything that a mover of the tenant can see; leaves out what it cannot read. */
struct sight {
    struct rows rows;
    struct journal journal;
};

static struct sight sight_of(struct suite *s, const struct fh_uuid *tenant)
{
    struct mover m = mover_of(s, tenant);
    return (struct sight){mover_rows(&m, NULL, 1000), mover_journal(&m, NULL, 1000)};
}

static void assert_same_sight(const struct sight *x, const struct sight *y)
{
    assert_same_rows_all(&x->rows, &y->rows);
    assert_same_journal(&x->journal, &y->journal);
}

/* Two tenants with the same keys, unique values and request ids. */
static void put_twins(struct suite *s)
{
    const struct fh_uuid *const tenants[] = {&s->a, &s->b};
    for (size_t i = 0; i < 2; i++) {
        struct app app = app_of(s, tenants[i], 31 + i); /* not the same values */
        app_run(&app, 30);
    }
}

static size_t foreign_rows(const struct suite *s, struct fh_row *const *rows, size_t count)
{
    size_t leaks = 0;
    for (size_t i = 0; i < count; i++) {
        leaks += rows[i] != NULL && !fh_uuid_eq(&rows[i]->tenant, &s->a);
    }
    return leaks;
}

static size_t foreign_records(const struct suite *s, const struct fh_journal_row *rows,
                              size_t count)
{
    size_t leaks = 0;
    for (size_t i = 0; i < count; i++) {
        leaks += !fh_uuid_eq(&rows[i].tenant, &s->a);
    }
    return leaks;
}

static size_t probe_scans(const struct mover *m, struct fh_snapshot *snapshot)
{
    size_t leaks = 0;
    for (uint32_t t = 0; t < model_v1.table_count; t++) {
        struct fh_op_scan scan = {.snapshot = snapshot, .table = model_v1.tables[t]};
        if (mover_try_scan(m, &scan) == FH_OK) {
            leaks += foreign_rows(m->s, scan.rows, scan.count);
        }
    }
    struct fh_op_scan_journal journal = {.snapshot = snapshot};
    if (mover_try_scan_journal(m, &journal) == FH_OK) {
        leaks += foreign_records(m->s, journal.rows, journal.count);
    }
    return leaks;
}

/* Tenant a's mover reads all it can; how much of that is not a's. */
static size_t probe_reads(const struct mover *m)
{
    size_t leaks = probe_scans(m, NULL);
    struct view view = {.snapshot = NULL};
    struct view later = {.snapshot = NULL};
    if (mover_try_open(m, &view) == FH_OK) {
        leaks += probe_scans(m, view.snapshot);
    }
    (void)suite_write(m->s, &m->s->a, suite_author(m->s, FH_WRITE_UPSERT, 3, "again"), NULL);
    (void)suite_write(m->s, &m->s->b, suite_author(m->s, FH_WRITE_UPSERT, 3, "again"), NULL);
    if (view.snapshot != NULL && mover_try_open(m, &later) == FH_OK) {
        struct fh_op_changes changes = {.snapshot = later.snapshot, .since = view.cursor};
        if (mover_try_changes(m, &changes) == FH_OK) {
            leaks += foreign_rows(m->s, changes.rows, changes.key_count);
            leaks += foreign_records(m->s, changes.journal, changes.journal_count);
        }
    }
    mover_close(m, &view);
    mover_close(m, &later);
    struct fh_str mine;
    if (mover_try_state(m, &mine) == FH_OK) {
        leaks += fh_str_eq(mine, FH_STR("of-b"));
    }
    return leaks;
}

static void put_states(struct suite *s)
{
    const struct fh_uuid *const tenants[] = {&s->a, &s->b};
    for (size_t i = 0; i < 2; i++) {
        struct mover m = mover_of(s, tenants[i]);
        mover_apply(&m, (struct fh_op_apply){.state = i == 0 ? FH_STR("of-a") : FH_STR("of-b")});
    }
}

/* Takes from a all that it shares with b by name, and puts it back. */
static void probe_writes(const struct mover *m, const struct sight *a)
{
    struct fh_key keys[] = {key_author(3), key_author(5), key_code("a", 1), key_kind(2)};
    struct fh_op_apply apply = {.deletes = keys, .delete_count = 4, .state = FH_STR("of-a")};
    (void)mover_try_apply(m, &apply);
    apply = (struct fh_op_apply){.rows = a->rows.rows,
                                 .row_count = a->rows.count,
                                 .keep_existing = true,
                                 .journal = a->journal.rows,
                                 .journal_count = a->journal.count};
    (void)mover_try_apply(m, &apply);
}

static void test_twins(void **state)
{
    struct suite *s = *state;
    struct mover m = mover_of(s, &s->a);
    put_twins(s);
    put_states(s);
    assert_int_equal(probe_reads(&m), 0);
    struct sight a = sight_of(s, &s->a);
    struct sight b = sight_of(s, &s->b);
    assert_true(a.rows.count > 10 && b.rows.count > 10);
    probe_writes(&m, &a);
    struct sight after = sight_of(s, &s->b);
    assert_same_sight(&after, &b);
    after = sight_of(s, &s->a);
    assert_same_sight(&after, &a);
    /* Each counts its own. */
    struct mover other = mover_of(s, &s->b);
    struct view views[] = {mover_open(&m), mover_open(&other)};
    suite_must_write(s, &s->b, suite_author(s, FH_WRITE_UPSERT, 900, "more"));
    const struct fh_op_tally before = mover_tally(&m, &views[0], views[0].cursor);
    assert_int_equal(mover_tally(&m, NULL, views[0].cursor).count, before.count);
    const struct fh_op_tally others = mover_tally(&other, &views[1], views[1].cursor);
    assert_int_equal(mover_tally(&other, NULL, views[1].cursor).count, others.count + 1);
    /* A view is of no use to another tenant's mover: it sees what is b's, or nothing. */
    struct fh_op_scan scan = {.snapshot = views[0].snapshot, .table = &model_authors};
    if (mover_try_scan(&other, &scan) == FH_OK) {
        for (size_t i = 0; i < scan.count; i++) {
            assert_true(fh_uuid_eq(&scan.rows[i]->tenant, &s->b));
        }
    }
    mover_close(&m, &views[0]);
    mover_close(&other, &views[1]);
}

#ifdef FREEHOLD_FAULTS

static void begin_faults(struct suite *s, struct fh_isolation_faults faults)
{
    suite_close(s);
    s->with_faults = true;
    s->faults = faults; /* which login to use is decided at open */
    suite_open(s);
    s->faults = (struct fh_isolation_faults){.wrong_context_every = 0};
    suite_apply_schema(s, &model_v1);
    const struct fh_uuid *const tenants[] = {&s->a, &s->b};
    for (size_t i = 0; i < 2; i++) {
        enum fh_code code = suite_home_create(s, tenants[i], 1, 1, FH_FENCE_OPEN);
        assert_true(code == FH_OK || code == FH_EXISTS);
    }
    put_twins(s);
    put_states(s);
}

/* Without the layer that `faults` takes away, and in b's context every so often, a's mover neither
 * sees nor changes what is b's. */
static void check_layer(struct suite *s, struct fh_isolation_faults faults, bool writes)
{
    struct mover m = mover_of(s, &s->a);
    faults.wrong_tenant = s->b;
    begin_faults(s, faults);
    struct fh_isolation_faults right = faults;
    right.wrong_context_every = 0;
    /* In dedicated tiers requests go to b's home, too, and then both are wrong. */
    const bool dedicated = s->tier != FH_TIER_SHARED;
    static const uint32_t every[] = {1, 2, 3, 5, 7};
    for (size_t i = 0; i < (dedicated ? 15 : 5); i++) {
        struct fh_isolation_faults wrong = faults;
        wrong.wrong_context_every = i / 5 != 1 ? every[i % 5] : 0;
        wrong.wrong_home_every = i / 5 != 0 ? every[i % 5] : 0;
        s->faults = wrong;
        assert_int_equal(probe_reads(&m), 0);
        s->faults = right;
        if (!writes) {
            continue;
        }
        struct sight a = sight_of(s, &s->a);
        struct sight before = sight_of(s, &s->b);
        s->faults = wrong;
        probe_writes(&m, &a);
        s->faults = right;
        struct sight after = sight_of(s, &s->b);
        assert_same_sight(&after, &before);
        probe_writes(&m, &a);
    }
}

static void test_mover_in_a_wrong_context(void **state)
{
    check_layer(*state, (struct fh_isolation_faults){.wrong_context_every = 1}, true);
}

static void test_mover_without_predicate(void **state)
{
    check_layer(*state, (struct fh_isolation_faults){.skip_predicate = true}, true);
}

static void test_mover_without_enforcement(void **state)
{
    check_layer(*state, (struct fh_isolation_faults){.skip_enforcement = true}, true);
}

static void test_mover_without_ownership_check(void **state)
{
    check_layer(*state, (struct fh_isolation_faults){.skip_ownership_check = true}, true);
}

/* Layer three alone: it judges what comes out, so reads. */
static void test_mover_ownership_check_alone(void **state)
{
    check_layer(*state,
                (struct fh_isolation_faults){.skip_predicate = true, .skip_enforcement = true},
                false);
}

static void test_mover_without_any_layer_sees(void **state)
{
    struct suite *s = *state;
    struct mover m = mover_of(s, &s->a);
    const struct fh_isolation_faults all = {.wrong_context_every = 1,
                                            .wrong_home_every = 1, /* where it is dedicated */
                                            .wrong_tenant = s->b,
                                            .skip_predicate = true,
                                            .skip_enforcement = true,
                                            .skip_ownership_check = true};
    begin_faults(s, all);
    assert_int_equal(probe_reads(&m), 0);
    s->faults = all;
    suite_assert_leaks(s, probe_scans(&m, NULL));
    s->faults = (struct fh_isolation_faults){.wrong_context_every = 0};
    assert_int_equal(probe_reads(&m), 0);
}

#endif

static const struct CMUnitTest tests[] = {
    SUITE_TEST(test_changes_of_every_kind),
    SUITE_TEST(test_rounds),
    SUITE_TEST(test_rounds_with_commits_in_flight),
    SUITE_TEST(test_nonsense_is_refused),
    SUITE_TEST(test_size),
    SUITE_TEST(test_twins),
#ifdef FREEHOLD_FAULTS
    SUITE_TEST(test_mover_in_a_wrong_context),
    SUITE_TEST(test_mover_without_predicate),
    SUITE_TEST(test_mover_without_enforcement),
    SUITE_TEST(test_mover_without_ownership_check),
    SUITE_TEST(test_mover_ownership_check_alone),
    SUITE_TEST(test_mover_without_any_layer_sees),
#endif
};
SUITE_PART(suite_part_moves, tests)
