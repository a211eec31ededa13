/* What every write means: the tables of stores/write.h, line by line. */
#include <float.h>

#include "tests/conformance/suite.h"

enum was { ABSENT, LIVE, DELETED };

/* Brings author `id` into a state. */
static void prepare(struct suite *s, int64_t id, enum was was)
{
    if (was != ABSENT) {
        struct fh_write *write = suite_author(s, FH_WRITE_INSERT, id, "before");
        suite_must_write(s, &s->a, suite_put_int(write, AUTHOR_SCORE, 1));
    }
    if (was == DELETED) {
        suite_must_write(s, &s->a, suite_author(s, FH_WRITE_DELETE, id, NULL));
    }
}

static bool assigns(enum fh_write_op op)
{
    return op == FH_WRITE_INSERT || op == FH_WRITE_UPSERT || op == FH_WRITE_UPDATE;
}

static void test_operations(void **state)
{
    struct suite *s = *state;
    static const struct {
        enum fh_write_op op;
        enum was was;
        enum fh_code code;
        enum was becomes; /* with FH_OK */
    } table[] = {
        {FH_WRITE_INSERT, ABSENT, FH_OK, LIVE},
        {FH_WRITE_INSERT, LIVE, FH_EXISTS, LIVE},
        {FH_WRITE_INSERT, DELETED, FH_EXISTS, DELETED},
        {FH_WRITE_UPSERT, ABSENT, FH_OK, LIVE},
        {FH_WRITE_UPSERT, LIVE, FH_OK, LIVE},
        {FH_WRITE_UPSERT, DELETED, FH_OK, LIVE},
        {FH_WRITE_UPDATE, ABSENT, FH_NOT_FOUND, ABSENT},
        {FH_WRITE_UPDATE, LIVE, FH_OK, LIVE},
        {FH_WRITE_UPDATE, DELETED, FH_NOT_FOUND, DELETED},
        {FH_WRITE_DELETE, ABSENT, FH_NOT_FOUND, ABSENT},
        {FH_WRITE_DELETE, LIVE, FH_OK, DELETED},
        {FH_WRITE_DELETE, DELETED, FH_NOT_FOUND, DELETED},
        {FH_WRITE_UNDELETE, ABSENT, FH_NOT_FOUND, ABSENT},
        {FH_WRITE_UNDELETE, LIVE, FH_EXISTS, LIVE},
        {FH_WRITE_UNDELETE, DELETED, FH_OK, LIVE},
        {FH_WRITE_PURGE, ABSENT, FH_NOT_FOUND, ABSENT},
        {FH_WRITE_PURGE, LIVE, FH_OK, ABSENT},
        {FH_WRITE_PURGE, DELETED, FH_OK, ABSENT},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        int64_t id = (int64_t)i;
        prepare(s, id, table[i].was);
        struct fh_row *before = NULL;
        assert_code(suite_get(s, &s->a, key_author(id), true, &before), FH_OK);
        struct fh_op_commit commit = {
            .writes = suite_author(s, table[i].op, id, assigns(table[i].op) ? "after" : NULL),
            .count = 1};
        enum fh_code code = suite_commit(s, &s->a, &commit);
        if (code != table[i].code) {
            fail_msg("line %zu: %s, not %s", i, fh_code_name(code), fh_code_name(table[i].code));
        }
        assert_int_equal(commit.failed_write, code == FH_OK ? SIZE_MAX : 0);
        struct fh_row *row = NULL;
        assert_code(suite_get(s, &s->a, key_author(id), true, &row), FH_OK);
        enum was is = row == NULL ? ABSENT : (row->deleted_at_us == 0 ? LIVE : DELETED);
        if (is != table[i].becomes) {
            fail_msg("line %zu: the record became %d", i, is);
        }
        if (code != FH_OK) {
            assert_true(before == NULL ? row == NULL : fh_row_equal(before, row));
            continue;
        }
        assert_int_equal(commit.rows[0] != NULL, row != NULL);
        if (row != NULL) {
            assert_true(fh_row_equal(commit.rows[0], row));
            assert_int_equal(row->version, before == NULL ? 1 : before->version + 1);
            assert_int_equal(row->created_at_us,
                             before == NULL ? commit.at_us : before->created_at_us);
            assert_int_equal(row->updated_at_us, commit.at_us);
            suite_assert_text(&row->values[AUTHOR_NAME], assigns(table[i].op) ? "after" : "before");
        }
    }
}

static void test_update_changes_only_what_is_given(void **state)
{
    struct suite *s = *state;
    struct fh_write *write = suite_author(s, FH_WRITE_INSERT, 1, "Ursula");
    suite_must_write(s, &s->a, suite_put_text(write, AUTHOR_EMAIL, "u@x"));
    const struct fh_row *before = suite_row(s, &s->a, key_author(1));
    fh_clock_virtual_advance(&s->clock, 1000000);
    write = suite_new(s, FH_WRITE_UPDATE, key_author(1));
    suite_must_write(s, &s->a, suite_put_int(write, AUTHOR_SCORE, 9));
    const struct fh_row *after = suite_row(s, &s->a, key_author(1));
    for (uint16_t i = 0; i < model_authors.column_count; i++) {
        assert_int_equal(fh_value_equal(&before->values[i], &after->values[i]), i != AUTHOR_SCORE);
    }
    assert_int_equal(after->values[AUTHOR_SCORE].as.integer, 9);
    assert_int_equal(after->created_at_us, before->created_at_us);
}

static void test_upsert_replaces_everything(void **state)
{
    struct suite *s = *state;
    struct fh_write *write = suite_author(s, FH_WRITE_INSERT, 1, "Ursula");
    suite_put_text(write, AUTHOR_EMAIL, "u@x");
    suite_must_write(s, &s->a, suite_put_int(write, AUTHOR_SCORE, 100));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_UPSERT, 1, "Iain"));
    const struct fh_row *row = suite_row(s, &s->a, key_author(1));
    suite_assert_text(&row->values[AUTHOR_NAME], "Iain");
    assert_true(row->values[AUTHOR_EMAIL].is_null);
    assert_int_equal(row->values[AUTHOR_SCORE].as.integer, 7);
    suite_assert_text(&row->values[AUTHOR_NICK], "anon");
}

/* An update that may insert: of a live record nothing but an update, else an upsert. */
static void test_update_or_insert(void **state)
{
    struct suite *s = *state;
    static const enum was states[] = {ABSENT, LIVE, DELETED};
    for (int64_t id = 0; id < 3; id++) {
        prepare(s, id, states[id]);
        struct fh_row *before = NULL;
        assert_code(suite_get(s, &s->a, key_author(id), true, &before), FH_OK);
        struct fh_write *write = suite_author(s, FH_WRITE_UPDATE, id, "after");
        write->insert_if_missing = true;
        struct fh_row *answered = NULL;
        assert_code(suite_write(s, &s->a, write, &answered), FH_OK);
        const struct fh_row *row = suite_row(s, &s->a, key_author(id));
        assert_true(fh_row_equal(answered, row));
        suite_assert_text(&row->values[AUTHOR_NAME], "after");
        /* The score was 1; a record that was not live starts from the columns' defaults. */
        assert_int_equal(row->values[AUTHOR_SCORE].as.integer, states[id] == LIVE ? 1 : 7);
        suite_assert_text(&row->values[AUTHOR_NICK], "anon");
        assert_int_equal(row->version, before == NULL ? 1 : before->version + 1);
        assert_int_equal(row->created_at_us,
                         before == NULL ? row->updated_at_us : before->created_at_us);
    }
    /* What a record lacks is said as of an insert, and an etag is of a record that was there. */
    struct fh_write *write = suite_new(s, FH_WRITE_UPDATE, key_author(9));
    write->insert_if_missing = true;
    assert_code(suite_write(s, &s->a, write, NULL), FH_CHECK_VIOLATION);
    write = suite_author(s, FH_WRITE_UPDATE, 9, "x");
    write->insert_if_missing = true;
    write->expect_version = 1;
    assert_code(suite_write(s, &s->a, write, NULL), FH_ETAG_MISMATCH);
    write->expect_version = 0;
    write->expect = FH_EXPECT_EXISTS;
    assert_code(suite_write(s, &s->a, write, NULL), FH_PRECONDITION);
    assert_int_equal(suite_count(s, &s->a, &model_authors), 3);
    /* Only an update may. */
    write = suite_author(s, FH_WRITE_DELETE, 9, NULL);
    write->insert_if_missing = true;
    assert_code(suite_write(s, &s->a, write, NULL), FH_INVALID);
}

static void test_not_null(void **state)
{
    struct suite *s = *state;
    struct fh_write *write = suite_new(s, FH_WRITE_INSERT, key_author(1));
    assert_code(suite_write(s, &s->a, write, NULL), FH_CHECK_VIOLATION);
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    write = suite_put_null(suite_new(s, FH_WRITE_UPDATE, key_author(1)), AUTHOR_NAME);
    assert_code(suite_write(s, &s->a, write, NULL), FH_CHECK_VIOLATION);
    assert_int_equal(suite_row(s, &s->a, key_author(1))->version, 1);
}

static void test_expectations(void **state)
{
    struct suite *s = *state;
    static const struct {
        enum fh_expect expect;
        enum was was;
        enum fh_code code;
    } table[] = {
        {FH_EXPECT_ANY, ABSENT, FH_OK},     {FH_EXPECT_ANY, LIVE, FH_OK},
        {FH_EXPECT_ANY, DELETED, FH_OK},    {FH_EXPECT_EXISTS, ABSENT, FH_PRECONDITION},
        {FH_EXPECT_EXISTS, LIVE, FH_OK},    {FH_EXPECT_EXISTS, DELETED, FH_PRECONDITION},
        {FH_EXPECT_ABSENT, ABSENT, FH_OK},  {FH_EXPECT_ABSENT, LIVE, FH_PRECONDITION},
        {FH_EXPECT_ABSENT, DELETED, FH_OK},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        prepare(s, (int64_t)i, table[i].was);
        struct fh_write *write = suite_author(s, FH_WRITE_UPSERT, (int64_t)i, "after");
        write->expect = table[i].expect;
        enum fh_code code = suite_write(s, &s->a, write, NULL);
        if (code != table[i].code) {
            fail_msg("line %zu: %s, not %s", i, fh_code_name(code), fh_code_name(table[i].code));
        }
    }
}

static void test_etags(void **state)
{
    struct suite *s = *state;
    struct fh_row *made = NULL;
    assert_code(suite_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "one"), &made), FH_OK);
    struct fh_write *write = suite_author(s, FH_WRITE_UPDATE, 1, "two");
    write->expect_version = made->version;
    write->expect_created_at_us = made->created_at_us;
    struct fh_row *second = NULL;
    assert_code(suite_write(s, &s->a, write, &second), FH_OK);
    assert_int_equal(second->version, 2);
    /* The same etag again is stale now, for every operation. */
    static const enum fh_write_op stale[] = {FH_WRITE_UPDATE, FH_WRITE_UPSERT, FH_WRITE_DELETE,
                                             FH_WRITE_PURGE};
    for (size_t i = 0; i < sizeof(stale) / sizeof(stale[0]); i++) {
        write = suite_author(s, stale[i], 1, assigns(stale[i]) ? "three" : NULL);
        write->expect_version = made->version;
        write->expect_created_at_us = made->created_at_us;
        assert_code(suite_write(s, &s->a, write, NULL), FH_ETAG_MISMATCH);
    }
    /* A record that was purged and made again has another creation time. */
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_PURGE, 1, NULL));
    write = suite_author(s, FH_WRITE_UPDATE, 1, "x");
    write->expect_version = 1;
    write->expect_created_at_us = made->created_at_us;
    assert_code(suite_write(s, &s->a, write, NULL), FH_NOT_FOUND);
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "again"));
    write->expect_created_at_us = suite_row(s, &s->a, key_author(1))->created_at_us - 1;
    assert_code(suite_write(s, &s->a, write, NULL), FH_ETAG_MISMATCH);
    assert_int_equal(suite_row(s, &s->a, key_author(1))->version, 1);
    /* An upsert with an etag of a record that is not there. */
    write = suite_author(s, FH_WRITE_UPSERT, 2, "x");
    write->expect_version = 1;
    write->expect_created_at_us = made->created_at_us;
    assert_code(suite_write(s, &s->a, write, NULL), FH_ETAG_MISMATCH);
}

static enum fh_code transform(struct suite *s, uint16_t column, enum fh_transform kind,
                              int64_t operand)
{
    struct fh_write *write = suite_new(s, FH_WRITE_UPDATE, key_book(1, "t"));
    suite_put(write, column, kind, int_value(model_books.columns[column].type, operand));
    return suite_write(s, &s->a, write, NULL);
}

static int64_t stored(struct suite *s, uint16_t column)
{
    const struct fh_row *row = suite_row(s, &s->a, key_book(1, "t"));
    assert_false(row->values[column].is_null);
    return row->values[column].as.integer;
}

static void test_transforms_of_integers(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    suite_must_write(s, &s->a, suite_book(s, FH_WRITE_INSERT, 1, "t"));
    /* null counts as 0, or takes the operand */
    assert_code(transform(s, BOOK_STOCK, FH_TRANSFORM_INCREMENT, 5), FH_OK);
    assert_int_equal(stored(s, BOOK_STOCK), 5);
    assert_code(transform(s, BOOK_PRICE, FH_TRANSFORM_MAX, -150), FH_OK);
    assert_int_equal(stored(s, BOOK_PRICE), -150);
    assert_code(transform(s, BOOK_PRICE, FH_TRANSFORM_INCREMENT, 151), FH_OK);
    assert_int_equal(stored(s, BOOK_PRICE), 1);
    assert_code(transform(s, BOOK_STOCK, FH_TRANSFORM_INCREMENT, -10), FH_OK);
    assert_int_equal(stored(s, BOOK_STOCK), -5);
    assert_code(transform(s, BOOK_STOCK, FH_TRANSFORM_MIN, -6), FH_OK);
    assert_int_equal(stored(s, BOOK_STOCK), -6);
    assert_code(transform(s, BOOK_STOCK, FH_TRANSFORM_MIN, 6), FH_OK);
    assert_int_equal(stored(s, BOOK_STOCK), -6);
    assert_code(transform(s, BOOK_STOCK, FH_TRANSFORM_MAX, 32767), FH_OK);
    assert_code(transform(s, BOOK_STOCK, FH_TRANSFORM_INCREMENT, 1), FH_RANGE);
    assert_int_equal(stored(s, BOOK_STOCK), 32767);
    /* numeric(10,2) ends at ten digits */
    assert_code(transform(s, BOOK_PRICE, FH_TRANSFORM_MAX, INT64_C(9999999999)), FH_OK);
    assert_code(transform(s, BOOK_PRICE, FH_TRANSFORM_INCREMENT, 1), FH_RANGE);
    /* a whole commit falls with one overflow */
    assert_int_equal(suite_row(s, &s->a, key_book(1, "t"))->version, 9);
}

static void test_transforms_of_others(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    suite_must_write(s, &s->a, suite_book(s, FH_WRITE_INSERT, 1, "t"));
    struct fh_write *write = suite_new(s, FH_WRITE_UPDATE, key_book(1, "t"));
    suite_put(write, BOOK_RATING, FH_TRANSFORM_INCREMENT, real_value(FH_TYPE_FLOAT64, 0.5));
    suite_put(write, BOOK_WEIGHT, FH_TRANSFORM_MAX, real_value(FH_TYPE_FLOAT32, 1.5));
    suite_put(write, BOOK_SEEN, FH_TRANSFORM_SERVER_TIME, (struct fh_value){.is_null = true});
    suite_put(write, BOOK_DAY, FH_TRANSFORM_MIN, int_value(FH_TYPE_DATE, 5));
    struct fh_op_commit commit = {.writes = write, .count = 1};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    const struct fh_row *row = suite_row(s, &s->a, key_book(1, "t"));
    assert_true(row->values[BOOK_RATING].as.real == 0.5);
    assert_true(row->values[BOOK_WEIGHT].as.real == 1.5);
    assert_int_equal(row->values[BOOK_SEEN].as.integer, commit.at_us);
    assert_int_equal(row->values[BOOK_DAY].as.integer, 5);

    write = suite_new(s, FH_WRITE_UPDATE, key_book(1, "t"));
    suite_put(write, BOOK_RATING, FH_TRANSFORM_MAX, real_value(FH_TYPE_FLOAT64, DBL_MAX));
    suite_must_write(s, &s->a, write);
    write = suite_new(s, FH_WRITE_UPDATE, key_book(1, "t"));
    suite_put(write, BOOK_RATING, FH_TRANSFORM_INCREMENT, real_value(FH_TYPE_FLOAT64, DBL_MAX));
    assert_code(suite_write(s, &s->a, write, NULL), FH_RANGE);
    /* What cannot be incremented, and what is no update. */
    write = suite_new(s, FH_WRITE_UPDATE, key_book(1, "t"));
    suite_put(write, BOOK_TITLE, FH_TRANSFORM_INCREMENT, text_value("x"));
    assert_code(suite_write(s, &s->a, write, NULL), FH_INVALID);
    write = suite_new(s, FH_WRITE_UPSERT, key_book(1, "t"));
    suite_put(write, BOOK_STOCK, FH_TRANSFORM_INCREMENT, int_value(FH_TYPE_INT16, 1));
    assert_code(suite_write(s, &s->a, write, NULL), FH_INVALID);
    /* Server time in an insert is allowed. */
    write = suite_book(s, FH_WRITE_INSERT, 1, "u");
    suite_put(write, BOOK_SEEN, FH_TRANSFORM_SERVER_TIME, (struct fh_value){.is_null = true});
    suite_must_write(s, &s->a, write);
}

/* Undelete gives back what was deleted, not less. */
static void test_soft_delete_keeps_the_record(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "Ursula"));
    const struct fh_row *before = suite_row(s, &s->a, key_author(1));
    struct fh_op_commit commit = {.writes = suite_author(s, FH_WRITE_DELETE, 1, NULL), .count = 1};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    assert_int_equal(commit.rows[0]->deleted_at_us, commit.at_us);
    struct fh_row *row = NULL;
    assert_code(suite_get(s, &s->a, key_author(1), false, &row), FH_OK);
    assert_null(row);
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_UNDELETE, 1, NULL));
    row = suite_row(s, &s->a, key_author(1));
    assert_int_equal(row->deleted_at_us, 0);
    assert_int_equal(row->version, 3);
    for (uint16_t i = 0; i < model_authors.column_count; i++) {
        assert_true(fh_value_equal(&before->values[i], &row->values[i]));
    }
}

static void test_commit_is_atomic(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 5, "there"));
    struct fh_write writes[] = {*suite_author(s, FH_WRITE_INSERT, 1, "one"),
                                *suite_author(s, FH_WRITE_UPDATE, 5, "changed"),
                                *suite_book(s, FH_WRITE_INSERT, 1, "x"),
                                *suite_author(s, FH_WRITE_UPDATE, 99, "nobody"),
                                *suite_author(s, FH_WRITE_INSERT, 2, "two")};
    struct fh_op_commit commit = {.writes = writes, .count = 5};
    assert_code(suite_commit(s, &s->a, &commit), FH_NOT_FOUND);
    assert_int_equal(commit.failed_write, 3);
    assert_null(commit.rows);
    assert_int_equal(suite_count(s, &s->a, &model_authors), 1);
    assert_int_equal(suite_count(s, &s->a, &model_books), 0);
    suite_assert_text(&suite_row(s, &s->a, key_author(5))->values[AUTHOR_NAME], "there");
    /* The same without the bad write. */
    writes[3] = *suite_author(s, FH_WRITE_DELETE, 4, NULL);
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 4, "four"));
    commit = (struct fh_op_commit){.writes = writes, .count = 5};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    for (size_t i = 0; i < 5; i++) {
        struct fh_key key;
        assert_non_null(commit.rows[i]);
        fh_key_of_row(commit.rows[i], &key); /* in the order of the writes, not of the locks */
        assert_int_equal(fh_key_compare(&key, &writes[i].key), 0);
        assert_true(fh_row_equal(commit.rows[i], suite_row(s, &s->a, key)));
    }
    assert_int_equal(suite_count(s, &s->a, &model_books), 1);
}

static void test_largest_commit(void **state)
{
    struct suite *s = *state;
    struct fh_write *writes = FH_ARENA_ARRAY(&s->arena, struct fh_write, FH_COMMIT_WRITES_MAX);
    assert_non_null(writes);
    for (int i = 0; i < FH_COMMIT_WRITES_MAX; i++) {
        /* Descending, so that the order of locks differs. */
        writes[i] = *suite_author(s, FH_WRITE_INSERT, FH_COMMIT_WRITES_MAX - i, "n");
    }
    struct fh_op_commit commit = {.writes = writes, .count = FH_COMMIT_WRITES_MAX};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    assert_int_equal(suite_count(s, &s->a, &model_authors), FH_COMMIT_WRITES_MAX);
}

static void test_validate_only(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "one"));
    const struct fh_row *before = suite_row(s, &s->a, key_author(1));
    struct fh_write writes[] = {*suite_author(s, FH_WRITE_UPDATE, 1, "changed"),
                                *suite_author(s, FH_WRITE_INSERT, 2, "two"),
                                *suite_book(s, FH_WRITE_INSERT, 2, "x")};
    struct fh_op_commit commit = {
        .writes = writes, .count = 3, .validate_only = true, .request_id = FH_STR("validated")};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    assert_int_equal(commit.seq, 0);
    assert_int_equal(commit.rows[0]->version, 2);
    suite_assert_text(&commit.rows[0]->values[AUTHOR_NAME], "changed");
    assert_true(fh_row_equal(before, suite_row(s, &s->a, key_author(1))));
    assert_int_equal(suite_count(s, &s->a, &model_authors), 1);
    assert_int_equal(suite_count(s, &s->a, &model_books), 0);
    struct fh_op_events events = {.limit = 10};
    assert_code(suite_events(s, &s->a, &events), FH_OK);
    assert_int_equal(events.count, 1);
    /* It tells what would fail: here a reference. */
    writes[2] = *suite_book(s, FH_WRITE_INSERT, 77, "x");
    commit = (struct fh_op_commit){.writes = writes, .count = 3, .validate_only = true};
    assert_code(suite_commit(s, &s->a, &commit), FH_REFERENCE_VIOLATION);
    /* The request id was not spent. */
    writes[2] = *suite_book(s, FH_WRITE_INSERT, 2, "x");
    commit = (struct fh_op_commit){
        .writes = writes, .count = 3, .request_id = FH_STR("validated"), .request_hash = {9}};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    assert_false(commit.replayed);
}

static const struct CMUnitTest tests[] = {
    SUITE_TEST(test_operations),
    SUITE_TEST(test_update_changes_only_what_is_given),
    SUITE_TEST(test_upsert_replaces_everything),
    SUITE_TEST(test_update_or_insert),
    SUITE_TEST(test_not_null),
    SUITE_TEST(test_expectations),
    SUITE_TEST(test_etags),
    SUITE_TEST(test_transforms_of_integers),
    SUITE_TEST(test_transforms_of_others),
    SUITE_TEST(test_soft_delete_keeps_the_record),
    SUITE_TEST(test_commit_is_atomic),
    SUITE_TEST(test_largest_commit),
    SUITE_TEST(test_validate_only),
};
SUITE_PART(suite_part_writes, tests)
