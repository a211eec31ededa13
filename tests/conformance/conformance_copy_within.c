/* Pages that go from one home to another of the same database without going through us. */
#include "tests/conformance/mover.h"

struct copying {
    struct suite *s;
    struct mover target;
    struct fh_op_copy_within op; /* but for table, after and limit */
};

static bool possible(const struct suite *s)
{
    return (s->store->ops->capabilities & FH_CAPABILITY_COPY_WITHIN) != 0 &&
           s->tier != FH_TIER_DATABASE;
}

/* From a's home in the suite's tier to one in the other of the two tiers, which is swapped to. */
static struct copying begin(struct suite *s)
{
    struct copying copying = {.s = s, .target = mover_of(s, &s->a)};
    copying.op = (struct fh_op_copy_within){.source = suite_home(s, &s->a),
                                            .source_epoch = 1,
                                            .source_guard = {1, FH_FENCE_BIT(FH_FENCE_OPEN)}};
    s->other_tier = s->tier == FH_TIER_SHARED ? FH_TIER_SCHEMA : FH_TIER_SHARED;
    suite_swap(s);
    if (s->tier == FH_TIER_SHARED) {
        suite_apply_schema(s, s->schema);
    }
    assert_code(suite_home_create(s, &s->a, 2, 1, FH_FENCE_INCOMING), FH_OK);
    copying.target.epoch = 2;
    copying.target.guard.modes = FH_FENCE_BIT(FH_FENCE_INCOMING);
    copying.op.guard = copying.target.guard;
    return copying;
}

static enum fh_code try_copy(const struct copying *copying, struct fh_op_copy_within *op,
                             struct fh_request *request)
{
    *request = suite_request(copying->s, FH_OP_COPY_WITHIN, &copying->target.tenant);
    request->scope.epoch = copying->target.epoch;
    request->as.copy_within = *op;
    enum fh_code code = suite_run(copying->s, request);
    *op = request->as.copy_within;
    assert_true(code == FH_OK || (op->rows == 0 && !op->more && op->last.table == NULL));
    return code;
}

static uint64_t copy_table(const struct copying *copying, const struct fh_table *table,
                           size_t limit)
{
    struct fh_op_copy_within op = copying->op;
    struct fh_request request;
    struct fh_key after;
    uint64_t rows = 0;
    op.table = table;
    op.limit = limit;
    for (size_t pages = 0;; pages++) {
        assert_true(pages < 10000);
        op.state = FH_STR("a page");
        assert_code(try_copy(copying, &op, &request), FH_OK);
        assert_true(op.rows <= limit && (op.rows == limit || !op.more));
        assert_int_equal(op.last.table != NULL, op.rows > 0);
        rows += op.rows;
        if (!op.more) {
            return rows;
        }
        assert_ptr_equal(op.last.table, table);
        assert_true(op.after == NULL || fh_key_compare(&op.last, &after) > 0);
        after = op.last;
        op.after = &after;
    }
}

static void test_pages(void **state)
{
    struct suite *s = *state;
    if (!possible(s)) {
        skip();
    }
    struct app apps[] = {app_of(s, &s->a, seed_of_run(61)), app_of(s, &s->b, 62)};
    app_run(&apps[0], 200);
    app_run(&apps[1], 50);
    struct mover source = mover_of(s, &s->a);
    struct mover b = mover_of(s, &s->b);
    struct rows rows = mover_rows(&source, NULL, 100);
    struct rows of_b = mover_rows(&b, NULL, 100);
    struct copying copying = begin(s);
    uint64_t copied = 0;
    static const size_t limits[] = {1, 3, FH_APPLY_ROWS_MAX};
    for (uint32_t t = 0; t < s->schema->table_count; t++) {
        copied += copy_table(&copying, s->schema->tables[t], limits[t % 3]);
    }
    assert_int_equal(copied, rows.count);
    struct rows there = mover_rows(&copying.target, NULL, 100);
    assert_same_rows_all(&there, &rows); /* deleted ones too, as they stand; and none of b's */
    struct fh_str kept;
    assert_code(mover_try_state(&copying.target, &kept), FH_OK);
    assert_true(fh_str_eq(kept, FH_STR("a page")));
    struct journal journal = mover_journal(&copying.target, NULL, 10);
    assert_int_equal(journal.count, 0); /* records are brought otherwise */
    /* Again: everything is read, nothing changes. */
    assert_true(copy_table(&copying, s->schema->tables[0], 2) > 0);
    there = mover_rows(&copying.target, NULL, 100);
    assert_same_rows_all(&there, &rows);
    struct fh_fence fence;
    assert_code(suite_fence_read(s, &s->b, &fence), FH_NO_TENANT);
    suite_swap(s);
    struct rows after = mover_rows(&source, NULL, 100);
    assert_same_rows_all(&after, &rows);
    after = mover_rows(&b, NULL, 100);
    assert_same_rows_all(&after, &of_b);
}

/* What a delta has brought already is newer than the page. */
static void test_existing_rows_are_kept(void **state)
{
    struct suite *s = *state;
    if (!possible(s)) {
        skip();
    }
    for (int64_t i = 1; i <= 4; i++) {
        struct fh_write *write = suite_author(s, FH_WRITE_INSERT, i, "source");
        suite_must_write(s, &s->a, i == 4 ? suite_put_text(write, AUTHOR_EMAIL, "taken") : write);
    }
    struct copying copying = begin(s);
    struct fh_row *row = fh_row_create(&model_authors, &s->arena);
    assert_non_null(row);
    row->tenant = s->a;
    row->values[AUTHOR_ID] = int_value(FH_TYPE_INT64, 2);
    row->values[AUTHOR_NAME] = text_value("delta");
    row->values[AUTHOR_EMAIL] = text_value("taken"); /* which the page's row 4 had */
    row->created_at_us = row->updated_at_us = 5;
    row->version = 9;
    mover_apply(&copying.target, (struct fh_op_apply){.rows = &row, .row_count = 1});
    assert_int_equal(copy_table(&copying, &model_authors, 10), 4);
    struct rows there = mover_table(&copying.target, NULL, &model_authors, 10);
    assert_int_equal(there.count, 3); /* 4 comes with a later delta, by construction */
    struct fh_key key = key_author(2);
    assert_true(fh_row_equal(find_row(&there, &key), row));
}

static void test_both_fences_are_asked(void **state)
{
    struct suite *s = *state;
    if (!possible(s)) {
        skip();
    }
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    struct copying copying = begin(s);
    copying.op.table = &model_authors;
    copying.op.limit = 10;
    copying.op.state = FH_STR("never");
    for (int i = 0; i < 6; i++) {
        struct copying wrong = copying;
        wrong.target.epoch += i == 0;
        wrong.op.guard.generation += i == 1;
        wrong.op.guard.modes = i == 2 ? FH_FENCE_BIT(FH_FENCE_OPEN) : wrong.op.guard.modes;
        wrong.op.source_epoch += i == 3;
        wrong.op.source_guard.generation += i == 4;
        wrong.op.source_guard.modes =
            i == 5 ? FH_FENCE_BIT(FH_FENCE_FROZEN) : wrong.op.source_guard.modes;
        struct fh_request request;
        assert_code(try_copy(&wrong, &wrong.op, &request), FH_MOVED);
        assert_int_equal(mover_rows(&copying.target, NULL, 10).count, 0);
        struct fh_str kept;
        assert_code(mover_try_state(&copying.target, &kept), FH_OK);
        assert_int_equal(kept.len, 0);
    }
    struct fh_request request;
    struct fh_op_copy_within op = copying.op;
    assert_code(try_copy(&copying, &op, &request), FH_OK);
    assert_int_equal(op.rows, 1);
}

static void test_homes_that_are_not_there(void **state)
{
    struct suite *s = *state;
    if (!possible(s)) {
        skip();
    }
    struct copying copying = begin(s);
    copying.op.table = &model_authors;
    copying.op.limit = 10;
    struct fh_request request;
    struct fh_op_copy_within op = copying.op;
    assert_code(try_copy(&copying, &op, &request), FH_OK); /* nothing to copy */
    assert_int_equal(op.rows, 0);
    suite_swap(s);
    assert_code(suite_home_erase(s, &s->a, 1, NULL), FH_OK);
    suite_swap(s);
    op = copying.op;
    assert_code(try_copy(&copying, &op, &request), FH_NO_TENANT);
    assert_code(suite_home_erase(s, &s->a, 1, NULL), FH_OK);
    op = copying.op;
    assert_code(try_copy(&copying, &op, &request), FH_NO_TENANT);
}

static void test_versions_must_be_equal(void **state)
{
    struct suite *s = *state;
    if (!possible(s)) {
        skip();
    }
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    struct copying copying = begin(s);
    copying.op.table = &model_authors;
    copying.op.limit = 10;
    suite_swap(s);
    suite_apply_schema(s, &model_v2); /* the source's only */
    suite_swap(s);
    const struct fh_schema *const schemas[] = {&model_v1, &model_v2};
    for (size_t i = 0; i < 2; i++) {
        s->schema = schemas[i];
        struct fh_op_copy_within op = copying.op;
        op.table = i == 0 ? &model_authors : &model_authors_v2;
        struct fh_request request;
        assert_code(try_copy(&copying, &op, &request), FH_STALE_SCHEMA);
    }
    s->schema = &model_v1;
    assert_int_equal(mover_rows(&copying.target, NULL, 10).count, 0);
}

static void test_not_offered(void **state)
{
    struct suite *s = *state;
    if ((s->store->ops->capabilities & FH_CAPABILITY_COPY_WITHIN) != 0) {
        skip();
    }
    struct fh_request request = suite_request(s, FH_OP_COPY_WITHIN, &s->a);
    struct fh_home home;
    fh_home_of(s->tier == FH_TIER_SHARED ? FH_TIER_SCHEMA : FH_TIER_SHARED, &s->a, &home);
    const struct fh_fence_guard guard = {1, MOVER_MODES_ALL};
    request.as.copy_within = (struct fh_op_copy_within){.guard = guard,
                                                        .source = home,
                                                        .source_epoch = 1,
                                                        .source_guard = guard,
                                                        .table = &model_authors,
                                                        .limit = 10};
    assert_code(suite_run(s, &request),
                s->tier == FH_TIER_DATABASE ? FH_INVALID : FH_UNIMPLEMENTED);
}

static const struct CMUnitTest tests[] = {
    SUITE_TEST(test_pages),
    SUITE_TEST(test_existing_rows_are_kept),
    SUITE_TEST(test_both_fences_are_asked),
    SUITE_TEST(test_homes_that_are_not_there),
    SUITE_TEST(test_versions_must_be_equal),
    SUITE_TEST(test_not_offered),
};
SUITE_PART(suite_part_copy_within, tests)
