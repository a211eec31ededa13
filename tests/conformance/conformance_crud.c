/* Records in and out: every type at its bounds, defaults, nulls, many keys at once. */
#include <float.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/uuid.h"
#include "stores/civil.h"
#include "tests/conformance/suite.h"

static void test_absent(void **state)
{
    struct suite *s = *state;
    struct fh_row *row = NULL;
    assert_code(suite_get(s, &s->a, key_author(1), false, &row), FH_OK);
    assert_null(row);
    assert_code(suite_get(s, &s->a, key_author(1), true, &row), FH_OK);
    assert_null(row);
}

static void test_insert_and_get(void **state)
{
    struct suite *s = *state;
    struct fh_write *write = suite_author(s, FH_WRITE_INSERT, 1, "Ursula");
    suite_put_text(write, AUTHOR_EMAIL, "u@example.org");
    struct fh_op_commit commit = {.writes = write, .count = 1};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    const struct fh_row *made = commit.rows[0];
    assert_non_null(made);
    assert_int_equal(made->version, 1);
    assert_int_equal(made->created_at_us, commit.at_us);
    assert_int_equal(made->updated_at_us, commit.at_us);
    assert_int_equal(made->deleted_at_us, 0);
    assert_true(fh_uuid_eq(&made->tenant, &s->a));
    assert_false(commit.replayed);
    assert_int_equal(commit.failed_write, SIZE_MAX);

    struct fh_row *read = NULL;
    assert_code(suite_get(s, &s->a, key_author(1), false, &read), FH_OK);
    assert_non_null(read);
    assert_true(fh_row_equal(made, read));
    assert_ptr_equal(read->table, &model_authors);
    assert_int_equal(read->values[AUTHOR_ID].as.integer, 1);
    suite_assert_text(&read->values[AUTHOR_NAME], "Ursula");
    suite_assert_text(&read->values[AUTHOR_EMAIL], "u@example.org");
}

static void test_defaults(void **state)
{
    struct suite *s = *state;
    struct fh_op_commit commit = {.writes = suite_author(s, FH_WRITE_INSERT, 1, "Ursula"),
                                  .count = 1};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    const struct fh_row *row = suite_row(s, &s->a, key_author(1));
    assert_true(row->values[AUTHOR_EMAIL].is_null);
    assert_int_equal(row->values[AUTHOR_SCORE].as.integer, 7);
    assert_false(row->values[AUTHOR_JOINED].is_null);
    assert_int_equal(row->values[AUTHOR_JOINED].as.integer, commit.at_us);
    assert_false(row->values[AUTHOR_TOKEN].is_null);
    assert_int_equal(row->values[AUTHOR_TOKEN].as.uuid.bytes[6] >> 4, 7);
    suite_assert_text(&row->values[AUTHOR_NICK], "anon");

    /* Given values win, nulls too. */
    struct fh_write *write = suite_author(s, FH_WRITE_INSERT, 2, "Iain");
    suite_put_null(suite_put_int(write, AUTHOR_SCORE, -1), AUTHOR_NICK);
    suite_must_write(s, &s->a, write);
    row = suite_row(s, &s->a, key_author(2));
    assert_int_equal(row->values[AUTHOR_SCORE].as.integer, -1);
    assert_true(row->values[AUTHOR_NICK].is_null);
}

struct extreme {
    uint16_t column;
    int64_t low;
    int64_t high;
};

static void check_kind(struct suite *s, int64_t id, const struct fh_write *write)
{
    struct fh_row *made = NULL;
    assert_code(suite_write(s, &s->a, write, &made), FH_OK);
    const struct fh_row *read = suite_row(s, &s->a, key_kind(id));
    assert_true(fh_row_equal(made, read));
    for (uint16_t i = 0; i < write->assignment_count; i++) {
        const struct fh_assignment *given = &write->assignments[i];
        const struct fh_value *got = &read->values[given->column];
        if (!fh_value_equal(&given->value, got)) {
            fail_msg("row %lld: column %s came back changed", (long long)id,
                     model_kinds.columns[given->column].name.data);
        }
    }
}

static void test_integer_bounds(void **state)
{
    struct suite *s = *state;
    static const struct extreme extremes[] = {
        {KIND_INT16, INT16_MIN, INT16_MAX},
        {KIND_INT32, INT32_MIN, INT32_MAX},
        {KIND_INT64, INT64_MIN, INT64_MAX},
        {KIND_NUMERIC, -INT64_C(999999999999999999), INT64_C(999999999999999999)},
        {KIND_NUMERIC0, -99999, 99999},
        {KIND_TIMESTAMP, FH_TIMESTAMP_US_MIN, FH_TIMESTAMP_US_MAX},
        {KIND_DATE, FH_DAYS_MIN, FH_DAYS_MAX},
    };
    struct fh_write *low = suite_new(s, FH_WRITE_INSERT, key_kind(INT32_MIN));
    struct fh_write *high = suite_new(s, FH_WRITE_INSERT, key_kind(INT32_MAX));
    struct fh_write *zero = suite_new(s, FH_WRITE_INSERT, key_kind(0));
    struct fh_write *minus_one = suite_new(s, FH_WRITE_INSERT, key_kind(-1));
    for (size_t i = 0; i < sizeof(extremes) / sizeof(extremes[0]); i++) {
        suite_put_int(low, extremes[i].column, extremes[i].low);
        suite_put_int(high, extremes[i].column, extremes[i].high);
        suite_put_int(zero, extremes[i].column, 0);
        suite_put_int(minus_one, extremes[i].column, -1);
    }
    check_kind(s, INT32_MIN, low);
    check_kind(s, INT32_MAX, high);
    check_kind(s, 0, zero);
    check_kind(s, -1, minus_one);
}

static void test_numeric_digits(void **state)
{
    struct suite *s = *state;
    /* Around the groups of four decimal digits in which PostgreSQL keeps a numeric. */
    static const int64_t values[] = {
        1,      10,       100,      1000,         9999,          10000,        99999,
        100000, 123456,   1000000,  1000001,      12345678,      -1,           -9999,
        -10000, -1000000, -1000001, 999999999999, 1000000000000, 120000000000, 500000000000000000};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct fh_write *write = suite_new(s, FH_WRITE_INSERT, key_kind((int64_t)i));
        suite_put_int(write, KIND_NUMERIC, values[i]);
        if (values[i] > -99999 && values[i] < 99999) {
            suite_put_int(write, KIND_NUMERIC0, values[i]);
        }
        check_kind(s, (int64_t)i, write);
    }
}

static void test_real_bounds(void **state)
{
    struct suite *s = *state;
    static const double doubles[] = {
        0.0,      1.0,     -1.0,     0.1,   1.0 / 3.0,          DBL_MAX,
        -DBL_MAX, DBL_MIN, 4.9e-324, 1e308, 9007199254740993.0, -2.5};
    static const float floats[] = {0.0F,     1.0F,    -1.0F,    0.1F,  1.0F / 3.0F, FLT_MAX,
                                   -FLT_MAX, FLT_MIN, 1.4e-45F, 1e38F, 16777216.0F, -2.5F};
    for (size_t i = 0; i < sizeof(doubles) / sizeof(doubles[0]); i++) {
        struct fh_write *write = suite_new(s, FH_WRITE_INSERT, key_kind((int64_t)i));
        suite_put_real(write, KIND_FLOAT64, doubles[i]);
        suite_put_real(write, KIND_FLOAT32, (double)floats[i]);
        check_kind(s, (int64_t)i, write);
    }
}

static void test_text_and_bytes(void **state)
{
    struct suite *s = *state;
    static const char *const texts[] = {"",
                                        " ",
                                        "'",
                                        "\"; drop table kinds; --",
                                        "%_\\",
                                        "\xc3\xa9t\xc3\xa9",
                                        "\xf0\x9f\x8c\x8d",
                                        "line\nbreak\ttab\x01"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct fh_write *write = suite_new(s, FH_WRITE_INSERT, key_kind((int64_t)i));
        suite_put_text(suite_put_text(write, KIND_TEXT, texts[i]), KIND_BYTES, texts[i]);
        check_kind(s, (int64_t)i, write);
    }
    char every[256];
    for (int i = 0; i < 256; i++) {
        every[i] = (char)i;
    }
    struct fh_write *write = suite_new(s, FH_WRITE_INSERT, key_kind(100));
    suite_put(write, KIND_BYTES, FH_TRANSFORM_SET,
              (struct fh_value){.type = FH_TYPE_BYTES, .as.bytes = {every, sizeof(every)}});
    suite_put_text(write, KIND_VARCHAR, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9");
    check_kind(s, 100, write);
}

static void test_largest_values(void **state)
{
    struct suite *s = *state;
    char *big = fh_malloc(FH_VALUE_BYTES_MAX);
    assert_non_null(big);
    memset(big, 'x', FH_VALUE_BYTES_MAX);
    struct fh_str bytes = {.data = big, .len = FH_VALUE_BYTES_MAX};
    struct fh_write *write = suite_new(s, FH_WRITE_INSERT, key_kind(1));
    suite_put(write, KIND_TEXT, FH_TRANSFORM_SET,
              (struct fh_value){.type = FH_TYPE_TEXT, .as.bytes = bytes});
    suite_put(write, KIND_BYTES, FH_TRANSFORM_SET,
              (struct fh_value){.type = FH_TYPE_BYTES, .as.bytes = bytes});
    check_kind(s, 1, write);
    fh_free(big);
}

static void test_other_types(void **state)
{
    struct suite *s = *state;
    struct fh_write *write = suite_new(s, FH_WRITE_INSERT, key_kind(1));
    suite_put(write, KIND_BOOL, FH_TRANSFORM_SET,
              (struct fh_value){.type = FH_TYPE_BOOL, .as.boolean = true});
    suite_put(write, KIND_UUID, FH_TRANSFORM_SET,
              (struct fh_value){.type = FH_TYPE_UUID, .as.uuid = uuid_of(0xff, 0xfe)});
    suite_put_text(write, KIND_JSON, "{\"a\":[1,2.5,null,true],\"b\":{\"c\":\"\\u0001\xc3\xa9\"}}");
    check_kind(s, 1, write);
    write = suite_new(s, FH_WRITE_INSERT, key_kind(2));
    suite_put(write, KIND_BOOL, FH_TRANSFORM_SET,
              (struct fh_value){.type = FH_TYPE_BOOL, .as.boolean = false});
    suite_put(write, KIND_UUID, FH_TRANSFORM_SET, (struct fh_value){.type = FH_TYPE_UUID});
    suite_put_text(write, KIND_JSON, "null"); /* JSON's null is a value, not NULL */
    check_kind(s, 2, write);
}

static void test_all_null(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_new(s, FH_WRITE_INSERT, key_kind(1)));
    const struct fh_row *row = suite_row(s, &s->a, key_kind(1));
    for (int i = 1; i < KIND_COUNT; i++) {
        assert_true(row->values[i].is_null);
        assert_int_equal(row->values[i].type, model_kinds.columns[i].type);
    }
    /* From value to null and back. */
    struct fh_write *write = suite_new(s, FH_WRITE_UPDATE, key_kind(1));
    suite_must_write(s, &s->a, suite_put_int(write, KIND_INT64, 5));
    assert_int_equal(suite_row(s, &s->a, key_kind(1))->values[KIND_INT64].as.integer, 5);
    write = suite_new(s, FH_WRITE_UPDATE, key_kind(1));
    suite_must_write(s, &s->a, suite_put_null(write, KIND_INT64));
    assert_true(suite_row(s, &s->a, key_kind(1))->values[KIND_INT64].is_null);
}

static void test_batch_get(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "one"));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 2, "two"));
    suite_must_write(s, &s->a, suite_book(s, FH_WRITE_INSERT, 1, "x"));
    suite_must_write(s, &s->a, suite_new(s, FH_WRITE_INSERT, key_token(uuid_of(1, 1))));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_DELETE, 2, NULL));
    struct fh_key keys[] = {
        key_book(1, "x"),         key_author(2), key_author(99),   key_author(1),
        key_token(uuid_of(1, 1)), key_author(1), key_book(2, "x"), key_book(1, "X")};
    struct fh_request request = suite_request(s, FH_OP_GET, &s->a);
    request.as.get.keys = keys;
    request.as.get.count = sizeof(keys) / sizeof(keys[0]);
    assert_code(suite_run(s, &request), FH_OK);
    struct fh_row **rows = request.as.get.rows;
    for (size_t i = 0; i < request.as.get.count; i++) {
        bool there = i == 0 || i == 3 || i == 4 || i == 5;
        assert_int_equal(rows[i] != NULL, there);
        if (there) {
            struct fh_key key;
            fh_key_of_row(rows[i], &key);
            assert_int_equal(fh_key_compare(&key, &keys[i]), 0);
        }
    }
    request = suite_request(s, FH_OP_GET, &s->a);
    request.as.get.keys = keys;
    request.as.get.count = 2;
    request.as.get.show_deleted = true;
    assert_code(suite_run(s, &request), FH_OK);
    assert_non_null(request.as.get.rows[1]);
    assert_true(request.as.get.rows[1]->deleted_at_us != 0);
}

static void test_batch_of_the_most(void **state)
{
    struct suite *s = *state;
    struct fh_key keys[FH_GET_KEYS_MAX];
    for (int i = 0; i < FH_GET_KEYS_MAX; i++) {
        keys[i] = key_author(i);
        if (i % 3 == 0) {
            suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, i, "n"));
        }
    }
    struct fh_request request = suite_request(s, FH_OP_GET, &s->a);
    request.as.get.keys = keys;
    request.as.get.count = FH_GET_KEYS_MAX;
    assert_code(suite_run(s, &request), FH_OK);
    for (int i = 0; i < FH_GET_KEYS_MAX; i++) {
        assert_int_equal(request.as.get.rows[i] != NULL, i % 3 == 0);
    }
}

static void test_durable(void **state)
{
    struct suite *s = *state;
    if (!s->engine->durable) {
        skip();
    }
    struct fh_row *made = NULL;
    assert_code(suite_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "kept"), &made), FH_OK);
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 2, "gone"));
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_DELETE, 2, NULL));
    suite_reopen(s);
    assert_true(fh_row_equal(made, suite_row(s, &s->a, key_author(1))));
    assert_true(suite_row(s, &s->a, key_author(2))->deleted_at_us != 0);
    assert_int_equal(suite_count(s, &s->b, &model_authors), 0);
    suite_apply_schema(s, &model_v1); /* knows what it has */
}

static const struct CMUnitTest tests[] = {
    SUITE_TEST(test_absent),         SUITE_TEST(test_insert_and_get),
    SUITE_TEST(test_defaults),       SUITE_TEST(test_integer_bounds),
    SUITE_TEST(test_numeric_digits), SUITE_TEST(test_real_bounds),
    SUITE_TEST(test_text_and_bytes), SUITE_TEST(test_largest_values),
    SUITE_TEST(test_other_types),    SUITE_TEST(test_all_null),
    SUITE_TEST(test_batch_get),      SUITE_TEST(test_batch_of_the_most),
    SUITE_TEST(test_durable),
};
SUITE_PART(suite_part_crud, tests)
