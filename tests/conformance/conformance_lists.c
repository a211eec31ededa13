/* Pages in key order: byte-wise, whatever the engine's collation; deleted records hidden or shown.
 */
#include "stores/civil.h"
#include "tests/conformance/suite.h"

/* Walks the table in pages of `page`, checking the order, and answers the number of rows. */
static size_t walk(struct suite *s, const struct fh_uuid *tenant, const struct fh_table *table,
                   size_t page, bool show_deleted, struct fh_key *seen, size_t seen_max)
{
    size_t count = 0;
    struct fh_key after;
    struct fh_op_list list = {.table = table, .limit = page, .show_deleted = show_deleted};
    do {
        assert_code(suite_list(s, tenant, &list), FH_OK);
        assert_true(list.count <= page);
        assert_true(!list.more || list.count == page);
        for (size_t i = 0; i < list.count; i++) {
            assert_true(count < seen_max);
            assert_true(fh_uuid_eq(&list.rows[i]->tenant, tenant));
            fh_key_of_row(list.rows[i], &seen[count]);
            if (count > 0) {
                assert_true(fh_key_compare(&seen[count - 1], &seen[count]) < 0);
            }
            count++;
        }
        if (list.count > 0) {
            after = seen[count - 1];
        }
        list = (struct fh_op_list){.table = table,
                                   .limit = list.more ? page : 0,
                                   .show_deleted = show_deleted,
                                   .after = &after};
    } while (list.limit != 0);
    return count;
}

static void test_empty(void **state)
{
    struct suite *s = *state;
    struct fh_key seen[1];
    assert_int_equal(walk(s, &s->a, &model_codes, 10, true, seen, 1), 0);
    struct fh_key after = key_code("x", 1);
    struct fh_op_list list = {.table = &model_codes, .limit = 1, .after = &after};
    assert_code(suite_list(s, &s->a, &list), FH_OK);
    assert_int_equal(list.count, 0);
    assert_false(list.more);
}

static const struct {
    const char *region;
    int64_t number;
} sorted_codes[] = {
    /* In byte order, which is no language's: upper case first, then _, then lower case, then
       two-byte letters. */
    {"", INT32_MIN},
    {"", -1},
    {"", 0},
    {"", 1},
    {" ", 0},
    {"A", 5},
    {"B", -7},
    {"Z", 0},
    {"_", 0},
    {"a", -100},
    {"a", -2},
    {"a", 10},
    {"a", 9000},
    {"a", INT32_MAX},
    {"a b", 1},
    {"aa", 1},
    {"ab", 1},
    {"b", 1},
    {"z", 1},
    {"\xc3\xa4", 1},
    {"\xc3\xa9", 1},
    {"\xce\xb1", 1},
    {"\xef\xbf\xbd", 1},
    {"\xf0\x9f\x8c\x8d", 1},
};
#define CODES (sizeof(sorted_codes) / sizeof(sorted_codes[0]))

static void test_composite_order(void **state)
{
    struct suite *s = *state;
    struct fh_write writes[CODES];
    for (size_t i = 0; i < CODES; i++) {
        size_t from = (i * 7 + 3) % CODES; /* 7 and 24 have no common factor: every one once */
        writes[i] = *suite_new(s, FH_WRITE_INSERT,
                               key_code(sorted_codes[from].region, sorted_codes[from].number));
    }
    struct fh_op_commit commit = {.writes = writes, .count = CODES};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    for (size_t page = 1; page <= CODES + 1; page += 5) {
        struct fh_key seen[CODES];
        assert_int_equal(walk(s, &s->a, &model_codes, page, false, seen, CODES), CODES);
        for (size_t i = 0; i < CODES; i++) {
            struct fh_key expected = key_code(sorted_codes[i].region, sorted_codes[i].number);
            if (fh_key_compare(&seen[i], &expected) != 0) {
                fail_msg("page size %zu: place %zu is another key", page, i);
            }
        }
    }
    assert_int_equal(suite_count(s, &s->b, &model_codes), 0);
}

static void test_start_between_keys(void **state)
{
    struct suite *s = *state;
    for (int64_t i = -10; i <= 10; i += 2) {
        suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, i, "n"));
    }
    static const struct {
        int64_t after;
        size_t count;
    } table[] = {{-11, 11}, {-10, 10}, {-9, 10}, {-1, 6}, {0, 5}, {9, 1}, {10, 0}, {11, 0}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct fh_key after = key_author(table[i].after);
        struct fh_op_list list = {.table = &model_authors, .limit = 100, .after = &after};
        assert_code(suite_list(s, &s->a, &list), FH_OK);
        assert_int_equal(list.count, table[i].count);
        assert_false(list.more);
        for (size_t k = 0; k < list.count; k++) {
            assert_true(list.rows[k]->values[AUTHOR_ID].as.integer > table[i].after);
        }
    }
}

static void test_more_is_exact(void **state)
{
    struct suite *s = *state;
    for (int64_t i = 1; i <= 4; i++) {
        suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, i, "n"));
    }
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_DELETE, 4, NULL));
    static const struct {
        size_t limit;
        bool show_deleted;
        size_t count;
        bool more;
    } table[] = {{2, false, 2, true}, {3, false, 3, false}, {4, false, 3, false},
                 {3, true, 3, true},  {4, true, 4, false},  {5, true, 4, false}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct fh_op_list list = {.table = &model_authors,
                                  .limit = table[i].limit,
                                  .show_deleted = table[i].show_deleted};
        assert_code(suite_list(s, &s->a, &list), FH_OK);
        assert_int_equal(list.count, table[i].count);
        assert_int_equal(list.more, table[i].more);
    }
}

static void test_deleted_hidden_or_shown(void **state)
{
    struct suite *s = *state;
    struct fh_key seen[100];
    for (int64_t i = 0; i < 20; i++) {
        suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, i, "n"));
        if (i % 3 == 0) {
            suite_must_write(s, &s->a, suite_author(s, FH_WRITE_DELETE, i, NULL));
        }
    }
    assert_int_equal(walk(s, &s->a, &model_authors, 4, false, seen, 100), 13);
    for (size_t i = 0; i < 13; i++) {
        assert_true(seen[i].values[0].as.integer % 3 != 0);
    }
    assert_int_equal(walk(s, &s->a, &model_authors, 4, true, seen, 100), 20);
}

static void test_uuid_order(void **state)
{
    struct suite *s = *state;
    struct fh_key seen[8];
    static const uint8_t firsts[] = {0x80, 0x00, 0xff, 0x7f, 0x01};
    for (size_t i = 0; i < sizeof(firsts); i++) {
        suite_must_write(s, &s->a, suite_new(s, FH_WRITE_INSERT, key_token(uuid_of(firsts[i], 1))));
    }
    assert_int_equal(walk(s, &s->a, &model_tokens, 2, false, seen, 8), 5);
    assert_int_equal(seen[0].values[0].as.uuid.bytes[0], 0x00);
    assert_int_equal(seen[4].values[0].as.uuid.bytes[0], 0xff);
}

static struct fh_key key_slot(int64_t day, int64_t at, const char *raw, bool flag, int64_t amount)
{
    struct fh_value bytes = text_value(raw);
    bytes.type = FH_TYPE_BYTES;
    return (struct fh_key){.table = &model_slots,
                           .values = {int_value(FH_TYPE_DATE, day),
                                      int_value(FH_TYPE_TIMESTAMP, at),
                                      bytes,
                                      {.type = FH_TYPE_BOOL, .as.boolean = flag},
                                      int_value(FH_TYPE_NUMERIC, amount)}};
}

static void test_order_of_other_types(void **state)
{
    struct suite *s = *state;
    const struct fh_key sorted[] = {
        key_slot(FH_DAYS_MIN, 0, "x", true, 0),
        key_slot(-1, FH_TIMESTAMP_US_MIN, "x", true, 0),
        key_slot(-1, FH_TIMESTAMP_US_MAX, "", false, -1),
        key_slot(0, -1, "", false, -999999999),
        key_slot(0, -1, "", false, -1000),
        key_slot(0, -1, "", false, -1),
        key_slot(0, -1, "", false, 0),
        key_slot(0, -1, "", false, 2),
        key_slot(0, -1, "", false, 10),
        key_slot(0, -1, "", false, 999999999),
        key_slot(0, -1, "", true, -5),
        key_slot(0, -1, "\x01", false, 0),
        key_slot(0, -1, "\x7f", false, 0),
        key_slot(0, -1, "\x80", false, 0),
        key_slot(0, -1, "\xff", false, 0),
        key_slot(0, 1, "", false, 0),
        key_slot(FH_DAYS_MAX, 0, "", false, 0),
    };
    enum { COUNT = sizeof(sorted) / sizeof(sorted[0]) };
    for (size_t i = COUNT; i > 0; i--) {
        suite_must_write(s, &s->a, suite_new(s, FH_WRITE_INSERT, sorted[i - 1]));
    }
    struct fh_key seen[COUNT];
    assert_int_equal(walk(s, &s->a, &model_slots, 3, false, seen, COUNT), COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(fh_key_compare(&seen[i], &sorted[i]), 0);
        (void)suite_row(s, &s->a, sorted[i]);
    }
}

static void test_largest_page(void **state)
{
    struct suite *s = *state;
    static struct fh_key seen[FH_LIST_ROWS_MAX + 1];
    for (int64_t from = 0; from <= FH_LIST_ROWS_MAX; from += FH_COMMIT_WRITES_MAX) {
        struct fh_write *writes = FH_ARENA_ARRAY(&s->arena, struct fh_write, FH_COMMIT_WRITES_MAX);
        assert_non_null(writes);
        size_t count = 0;
        for (int64_t i = from; i <= FH_LIST_ROWS_MAX && count < FH_COMMIT_WRITES_MAX; i++) {
            writes[count++] = *suite_new(s, FH_WRITE_INSERT, key_code("r", i));
        }
        struct fh_op_commit commit = {.writes = writes, .count = count};
        assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    }
    struct fh_op_list list = {.table = &model_codes, .limit = FH_LIST_ROWS_MAX};
    assert_code(suite_list(s, &s->a, &list), FH_OK);
    assert_int_equal(list.count, FH_LIST_ROWS_MAX);
    assert_true(list.more);
    assert_int_equal(walk(s, &s->a, &model_codes, 300, false, seen, FH_LIST_ROWS_MAX + 1),
                     FH_LIST_ROWS_MAX + 1);
}

static const struct CMUnitTest tests[] = {
    SUITE_TEST(test_empty),
    SUITE_TEST(test_composite_order),
    SUITE_TEST(test_start_between_keys),
    SUITE_TEST(test_more_is_exact),
    SUITE_TEST(test_deleted_hidden_or_shown),
    SUITE_TEST(test_uuid_order),
    SUITE_TEST(test_order_of_other_types),
    SUITE_TEST(test_largest_page),
};
SUITE_PART(suite_part_lists, tests)
