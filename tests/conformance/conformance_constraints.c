/* Unique values among live records, references between them; both judged at the end of a commit. */
#include "tests/conformance/suite.h"

static struct fh_write *emailed(struct suite *s, enum fh_write_op op, int64_t id, const char *email)
{
    return suite_put_text(suite_author(s, op, id, "n"), AUTHOR_EMAIL, email);
}

static void test_unique(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, emailed(s, FH_WRITE_INSERT, 1, "x@x"));
    struct fh_op_commit commit = {.writes = emailed(s, FH_WRITE_INSERT, 2, "x@x"), .count = 1};
    assert_code(suite_commit(s, &s->a, &commit), FH_UNIQUE_VIOLATION);
    assert_int_equal(suite_count(s, &s->a, &model_authors), 1);
    suite_must_write(s, &s->a, emailed(s, FH_WRITE_INSERT, 2, "y@x"));
    assert_code(suite_write(s, &s->a, emailed(s, FH_WRITE_UPDATE, 2, "x@x"), NULL),
                FH_UNIQUE_VIOLATION);
    assert_code(suite_write(s, &s->a, emailed(s, FH_WRITE_UPSERT, 2, "x@x"), NULL),
                FH_UNIQUE_VIOLATION);
    suite_assert_text(&suite_row(s, &s->a, key_author(2))->values[AUTHOR_EMAIL], "y@x");
    /* Its own value again, another case, and nulls, are no violation. */
    suite_must_write(s, &s->a, emailed(s, FH_WRITE_UPDATE, 1, "x@x"));
    suite_must_write(s, &s->a, emailed(s, FH_WRITE_INSERT, 3, "X@X"));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 4, "no email"));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 5, "no email"));
}

static void test_unique_among_live(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, emailed(s, FH_WRITE_INSERT, 1, "x@x"));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_DELETE, 1, NULL));
    suite_must_write(s, &s->a, emailed(s, FH_WRITE_INSERT, 2, "x@x")); /* free by now */
    assert_code(suite_write(s, &s->a, suite_author(s, FH_WRITE_UNDELETE, 1, NULL), NULL),
                FH_UNIQUE_VIOLATION);
    assert_true(suite_row(s, &s->a, key_author(1))->deleted_at_us != 0);
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_DELETE, 2, NULL));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_UNDELETE, 1, NULL));
    assert_code(suite_write(s, &s->a, suite_author(s, FH_WRITE_UNDELETE, 2, NULL), NULL),
                FH_UNIQUE_VIOLATION);
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_PURGE, 1, NULL));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_UNDELETE, 2, NULL));
}

static void test_unique_of_two_columns(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 2, "n"));
    struct fh_write *write = suite_book(s, FH_WRITE_INSERT, 1, "x");
    suite_must_write(s, &s->a, suite_put_text(write, BOOK_TITLE, "T"));
    write = suite_put_text(suite_book(s, FH_WRITE_INSERT, 1, "y"), BOOK_TITLE, "T");
    assert_code(suite_write(s, &s->a, write, NULL), FH_UNIQUE_VIOLATION);
    write = suite_put_text(suite_book(s, FH_WRITE_INSERT, 2, "y"), BOOK_TITLE, "T");
    suite_must_write(s, &s->a, write);
    suite_must_write(s, &s->a, suite_book(s, FH_WRITE_INSERT, 1, "n1")); /* title is null */
    suite_must_write(s, &s->a, suite_book(s, FH_WRITE_INSERT, 1, "n2"));
}

static void test_unique_at_the_end_of_a_commit(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, emailed(s, FH_WRITE_INSERT, 1, "one"));
    suite_must_write(s, &s->a, emailed(s, FH_WRITE_INSERT, 2, "two"));
    /* A swap: in any order one step is a violation, the end is not. */
    struct fh_write swap[] = {*emailed(s, FH_WRITE_UPDATE, 1, "two"),
                              *emailed(s, FH_WRITE_UPDATE, 2, "one")};
    struct fh_op_commit commit = {.writes = swap, .count = 2};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    suite_assert_text(&suite_row(s, &s->a, key_author(1))->values[AUTHOR_EMAIL], "two");
    suite_assert_text(&suite_row(s, &s->a, key_author(2))->values[AUTHOR_EMAIL], "one");
    /* A value handed on: the taker comes first. */
    struct fh_write hand[] = {*emailed(s, FH_WRITE_INSERT, 0, "two"),
                              *suite_author(s, FH_WRITE_DELETE, 1, NULL)};
    commit = (struct fh_op_commit){.writes = hand, .count = 2};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    /* Two takers in one commit. */
    struct fh_write both[] = {*emailed(s, FH_WRITE_INSERT, 10, "ten"),
                              *emailed(s, FH_WRITE_INSERT, 11, "ten")};
    commit = (struct fh_op_commit){.writes = both, .count = 2};
    assert_code(suite_commit(s, &s->a, &commit), FH_UNIQUE_VIOLATION);
    struct fh_row *row = NULL;
    assert_code(suite_get(s, &s->a, key_author(10), true, &row), FH_OK);
    assert_null(row);
}

static void test_reference_must_lead_somewhere(void **state)
{
    struct suite *s = *state;
    struct fh_op_commit commit = {.writes = suite_book(s, FH_WRITE_INSERT, 1, "x"), .count = 1};
    assert_code(suite_commit(s, &s->a, &commit), FH_REFERENCE_VIOLATION);
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    suite_must_write(s, &s->a, suite_book(s, FH_WRITE_INSERT, 1, "x"));
    /* A deleted record is no target. */
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 2, "n"));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_DELETE, 2, NULL));
    assert_code(suite_write(s, &s->a, suite_book(s, FH_WRITE_INSERT, 2, "x"), NULL),
                FH_REFERENCE_VIOLATION);
    /* A reference with a null in it leads nowhere, and may. */
    struct fh_write *write = suite_book(s, FH_WRITE_UPDATE, 1, "x");
    suite_must_write(s, &s->a, suite_put_int(write, BOOK_SEQUEL_AUTHOR, 50));
    write = suite_book(s, FH_WRITE_UPDATE, 1, "x");
    suite_put_text(write, BOOK_SEQUEL_SLUG, "nowhere");
    assert_code(suite_write(s, &s->a, write, NULL), FH_REFERENCE_VIOLATION);
}

static void test_referenced_record_stays(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    suite_must_write(s, &s->a, suite_book(s, FH_WRITE_INSERT, 1, "x"));
    assert_code(suite_write(s, &s->a, suite_author(s, FH_WRITE_DELETE, 1, NULL), NULL),
                FH_REFERENCE_VIOLATION);
    assert_code(suite_write(s, &s->a, suite_author(s, FH_WRITE_PURGE, 1, NULL), NULL),
                FH_REFERENCE_VIOLATION);
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_UPDATE, 1, "renamed"));
    /* What is deleted itself holds nothing. */
    suite_must_write(s, &s->a, suite_book(s, FH_WRITE_DELETE, 1, "x"));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_DELETE, 1, NULL));
    assert_code(suite_write(s, &s->a, suite_book(s, FH_WRITE_UNDELETE, 1, "x"), NULL),
                FH_REFERENCE_VIOLATION);
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_UNDELETE, 1, NULL));
    suite_must_write(s, &s->a, suite_book(s, FH_WRITE_UNDELETE, 1, "x"));
}

static void test_purge_behind_a_deleted_reference(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    suite_must_write(s, &s->a, suite_book(s, FH_WRITE_INSERT, 1, "x"));
    suite_must_write(s, &s->a, suite_book(s, FH_WRITE_DELETE, 1, "x"));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_PURGE, 1, NULL));
    assert_true(suite_row(s, &s->a, key_book(1, "x"))->deleted_at_us != 0);
    assert_code(suite_write(s, &s->a, suite_book(s, FH_WRITE_UNDELETE, 1, "x"), NULL),
                FH_REFERENCE_VIOLATION);
}

static void test_references_at_the_end_of_a_commit(void **state)
{
    struct suite *s = *state;
    /* The reference before its target. */
    struct fh_write make[] = {*suite_book(s, FH_WRITE_INSERT, 1, "x"),
                              *suite_author(s, FH_WRITE_INSERT, 1, "n")};
    struct fh_op_commit commit = {.writes = make, .count = 2};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    /* The target before its reference. */
    struct fh_write drop[] = {*suite_author(s, FH_WRITE_DELETE, 1, NULL),
                              *suite_book(s, FH_WRITE_DELETE, 1, "x")};
    commit = (struct fh_op_commit){.writes = drop, .count = 2};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    struct fh_write purge[] = {*suite_author(s, FH_WRITE_PURGE, 1, NULL),
                               *suite_book(s, FH_WRITE_PURGE, 1, "x")};
    commit = (struct fh_op_commit){.writes = purge, .count = 2};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    assert_null(commit.rows[0]);
    assert_int_equal(suite_count(s, &s->a, &model_books), 0);
    /* Together with one that does not go: nothing goes. */
    commit = (struct fh_op_commit){.writes = make, .count = 2};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    suite_must_write(s, &s->a, suite_book(s, FH_WRITE_INSERT, 1, "y"));
    commit = (struct fh_op_commit){.writes = drop, .count = 2};
    assert_code(suite_commit(s, &s->a, &commit), FH_REFERENCE_VIOLATION);
    assert_int_equal(suite_row(s, &s->a, key_author(1))->deleted_at_us, 0);
    assert_int_equal(suite_row(s, &s->a, key_book(1, "x"))->deleted_at_us, 0);
}

static void test_reference_to_itself(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    struct fh_write *write = suite_book(s, FH_WRITE_INSERT, 1, "loop");
    suite_put_text(suite_put_int(write, BOOK_SEQUEL_AUTHOR, 1), BOOK_SEQUEL_SLUG, "loop");
    suite_must_write(s, &s->a, write);
    suite_must_write(s, &s->a, suite_book(s, FH_WRITE_DELETE, 1, "loop"));
    suite_must_write(s, &s->a, suite_book(s, FH_WRITE_UNDELETE, 1, "loop"));
    suite_must_write(s, &s->a, suite_book(s, FH_WRITE_PURGE, 1, "loop"));
    /* Two that lead to each other. */
    struct fh_write *one = suite_book(s, FH_WRITE_INSERT, 1, "one");
    struct fh_write *two = suite_book(s, FH_WRITE_INSERT, 1, "two");
    suite_put_text(suite_put_int(one, BOOK_SEQUEL_AUTHOR, 1), BOOK_SEQUEL_SLUG, "two");
    suite_put_text(suite_put_int(two, BOOK_SEQUEL_AUTHOR, 1), BOOK_SEQUEL_SLUG, "one");
    struct fh_write pair[] = {*one, *two};
    struct fh_op_commit commit = {.writes = pair, .count = 2};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    assert_code(suite_write(s, &s->a, suite_book(s, FH_WRITE_PURGE, 1, "one"), NULL),
                FH_REFERENCE_VIOLATION);
    struct fh_write both[] = {*suite_book(s, FH_WRITE_PURGE, 1, "one"),
                              *suite_book(s, FH_WRITE_PURGE, 1, "two")};
    commit = (struct fh_op_commit){.writes = both, .count = 2};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
}

static void test_constraints_do_not_cross_tenants(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, emailed(s, FH_WRITE_INSERT, 1, "x@x"));
    suite_must_write(s, &s->b, emailed(s, FH_WRITE_INSERT, 1, "x@x"));
    /* b's author 2 is no target for a's book. */
    suite_must_write(s, &s->b, suite_author(s, FH_WRITE_INSERT, 2, "n"));
    assert_code(suite_write(s, &s->a, suite_book(s, FH_WRITE_INSERT, 2, "x"), NULL),
                FH_REFERENCE_VIOLATION);
    /* b's book does not hold a's author. */
    suite_must_write(s, &s->b, suite_book(s, FH_WRITE_INSERT, 1, "x"));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_PURGE, 1, NULL));
    assert_int_equal(suite_count(s, &s->b, &model_authors), 2);
}

static const struct CMUnitTest tests[] = {
    SUITE_TEST(test_unique),
    SUITE_TEST(test_unique_among_live),
    SUITE_TEST(test_unique_of_two_columns),
    SUITE_TEST(test_unique_at_the_end_of_a_commit),
    SUITE_TEST(test_reference_must_lead_somewhere),
    SUITE_TEST(test_referenced_record_stays),
    SUITE_TEST(test_purge_behind_a_deleted_reference),
    SUITE_TEST(test_references_at_the_end_of_a_commit),
    SUITE_TEST(test_reference_to_itself),
    SUITE_TEST(test_constraints_do_not_cross_tenants),
};
SUITE_PART(suite_part_constraints, tests)
