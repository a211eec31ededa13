/* What the conformance suite does not see from outside: the encoding, the order of locks, what
 * fails when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "stores/civil.h"
#include "stores/write.h"
#include "tests/conformance/model.h"

#define NOW_US INT64_C(1795226400000000)

static void test_changes_encode(void **state)
{
    (void)state;
    struct fh_write writes[] = {{.op = FH_WRITE_INSERT, .key = key_author(-1)},
                                {.op = FH_WRITE_UPSERT, .key = key_book(7, "a\"b\\\n\xc3\xa9")},
                                {.op = FH_WRITE_UPDATE, .key = key_code("", 0)},
                                {.op = FH_WRITE_DELETE, .key = key_token(uuid_of(1, 2))},
                                {.op = FH_WRITE_UNDELETE, .key = key_kind(3)},
                                {.op = FH_WRITE_PURGE, .key = key_author(INT64_MIN)}};
    struct fh_buf buf;
    fh_buf_init(&buf, 4096);
    fh_changes_encode(writes, 6, &buf);
    assert_int_equal(fh_buf_code(&buf), FH_OK);
    assert_string_equal(buf.data, "[[\"i\",\"authors\",\"-1\"],"
                                  "[\"s\",\"books\",\"7\",\"a\\\"b\\\\\\n\xc3\xa9\"],"
                                  "[\"u\",\"codes\",\"\",\"0\"],"
                                  "[\"d\",\"tokens\",\"01000000-0000-7000-8000-000000000002\"],"
                                  "[\"n\",\"kinds\",\"3\"],"
                                  "[\"p\",\"authors\",\"-9223372036854775808\"]]");
    fh_buf_close(&buf);
}

static void test_lock_order(void **state)
{
    (void)state;
    struct fh_write writes[] = {{.key = key_code("b", 1)},  {.key = key_author(5)},
                                {.key = key_code("b", -1)}, {.key = key_author(-5)},
                                {.key = key_code("a", 9)},  {.key = key_kind(0)},
                                {.key = key_book(1, "z")},  {.key = key_book(1, "Z")}};
    static const uint16_t expected[] = {3, 1, 7, 6, 5, 4, 2, 0};
    uint16_t order[8];
    fh_writes_lock_order(writes, 8, order);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(order[i], expected[i]);
    }
}

struct evaluated {
    enum fh_code code;
    struct fh_row *after;
    struct fh_error error;
};

static struct evaluated evaluate(const struct fh_write *write, const struct fh_row *before,
                                 struct fh_arena *arena)
{
    struct fh_uuid tenant = uuid_of(1, 1);
    struct evaluated result = {.after = NULL};
    result.code =
        fh_write_evaluate(write, before, &tenant, NOW_US, arena, &result.after, &result.error);
    return result;
}

/* Preconditions come first, then presence, then the etag. */
static void test_order_of_refusals(void **state)
{
    (void)state;
    struct fh_arena arena;
    fh_arena_init(&arena, (size_t)1 << 20);
    struct fh_row *live = fh_row_create(&model_authors, &arena);
    live->values[AUTHOR_ID] = int_value(FH_TYPE_INT64, 1);
    live->values[AUTHOR_NAME] = text_value("n");
    live->version = 3;
    live->created_at_us = 5;
    struct fh_write write = {.op = FH_WRITE_UPDATE,
                             .key = key_author(1),
                             .expect = FH_EXPECT_EXISTS,
                             .expect_version = 9};
    assert_int_equal(evaluate(&write, NULL, &arena).code, FH_PRECONDITION);
    write.expect = FH_EXPECT_ANY;
    assert_int_equal(evaluate(&write, NULL, &arena).code, FH_NOT_FOUND);
    assert_int_equal(evaluate(&write, live, &arena).code, FH_ETAG_MISMATCH);
    write.expect_version = 3;
    assert_int_equal(evaluate(&write, live, &arena).code, FH_ETAG_MISMATCH); /* created then? */
    write.expect_created_at_us = 5;
    struct evaluated ok = evaluate(&write, live, &arena);
    assert_int_equal(ok.code, FH_OK);
    assert_int_equal(ok.after->version, 4);
    assert_int_equal(ok.after->updated_at_us, NOW_US);
    write.op = FH_WRITE_INSERT;
    assert_int_equal(evaluate(&write, live, &arena).code, FH_EXISTS);
    /* Every refusal says something. */
    assert_true(evaluate(&write, live, &arena).error.message[0] != '\0');
    fh_arena_close(&arena);
}

/* What an update that may insert starts from: the row, if it is live, else key and defaults. */
static void test_update_or_insert(void **state)
{
    (void)state;
    struct fh_arena arena;
    fh_arena_init(&arena, (size_t)1 << 20);
    struct fh_row *row = fh_row_create(&model_authors, &arena);
    row->values[AUTHOR_ID] = int_value(FH_TYPE_INT64, 1);
    row->values[AUTHOR_NAME] = text_value("old");
    row->values[AUTHOR_EMAIL] = text_value("e");
    row->version = 3;
    row->created_at_us = 5;
    const struct fh_assignment name = {AUTHOR_NAME, FH_TRANSFORM_SET, text_value("new")};
    struct fh_write write = {.op = FH_WRITE_UPDATE,
                             .key = key_author(1),
                             .assignments = &name,
                             .assignment_count = 1,
                             .insert_if_missing = true};
    struct evaluated result = evaluate(&write, NULL, &arena);
    assert_int_equal(result.code, FH_OK);
    assert_int_equal(result.after->version, 1);
    assert_int_equal(result.after->created_at_us, NOW_US);
    assert_int_equal(result.after->values[AUTHOR_ID].as.integer, 1);
    result = evaluate(&write, row, &arena);
    assert_int_equal(result.code, FH_OK);
    assert_false(result.after->values[AUTHOR_EMAIL].is_null);
    row->deleted_at_us = 6;
    result = evaluate(&write, row, &arena);
    assert_int_equal(result.code, FH_OK);
    assert_true(result.after->values[AUTHOR_EMAIL].is_null);
    assert_int_equal(result.after->deleted_at_us, 0);
    assert_int_equal(result.after->created_at_us, 5);
    write.insert_if_missing = false;
    assert_int_equal(evaluate(&write, row, &arena).code, FH_NOT_FOUND);
    fh_arena_close(&arena);
}

static void test_assignments_refused(void **state)
{
    (void)state;
    struct fh_arena arena;
    fh_arena_init(&arena, (size_t)1 << 20);
    const struct fh_value one = int_value(FH_TYPE_INT32, 1);
    const struct {
        enum fh_write_op op;
        struct fh_assignment assignment;
        enum fh_code code;
        const char *field;
    } table[] = {
        {FH_WRITE_INSERT,
         {AUTHOR_ID, FH_TRANSFORM_SET, int_value(FH_TYPE_INT64, 2)},
         FH_INVALID,
         "id"},
        {FH_WRITE_INSERT, {99, FH_TRANSFORM_SET, one}, FH_INVALID, ""},
        {FH_WRITE_INSERT, {AUTHOR_NAME, FH_TRANSFORM_SET, one}, FH_INVALID, "name"},
        {FH_WRITE_INSERT, {AUTHOR_SCORE, FH_TRANSFORM_INCREMENT, one}, FH_INVALID, "score"},
        {FH_WRITE_INSERT, {AUTHOR_SCORE, FH_TRANSFORM_SERVER_TIME, one}, FH_INVALID, "score"},
        {FH_WRITE_INSERT,
         {AUTHOR_SCORE, FH_TRANSFORM_SET, one},
         FH_CHECK_VIOLATION,
         "name"}, /* which is not null, and not given */
        {FH_WRITE_DELETE, {AUTHOR_SCORE, FH_TRANSFORM_SET, one}, FH_INVALID, ""},
        {FH_WRITE_UPDATE,
         {AUTHOR_SCORE, FH_TRANSFORM_INCREMENT, {.type = FH_TYPE_INT32, .is_null = true}},
         FH_INVALID,
         "score"},
        {FH_WRITE_UPDATE,
         {AUTHOR_TOKEN, FH_TRANSFORM_MAX, {.type = FH_TYPE_UUID}},
         FH_INVALID,
         "token"},
    };
    struct fh_row *live = fh_row_create(&model_authors, &arena);
    live->values[AUTHOR_NAME] = text_value("n");
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        bool inserts = table[i].op == FH_WRITE_INSERT;
        struct fh_write write = {.op = table[i].op,
                                 .key = key_author(1),
                                 .assignments = &table[i].assignment,
                                 .assignment_count = 1};
        struct evaluated result = evaluate(&write, inserts ? NULL : live, &arena);
        if (result.code != table[i].code || strcmp(result.error.field, table[i].field) != 0) {
            fail_msg("line %zu: %s at \"%s\"", i, fh_code_name(result.code), result.error.field);
        }
        assert_null(result.after);
    }
    fh_arena_close(&arena);
}

/* A date's now() is the day in UTC, also before 1970. */
static void test_default_of_a_date(void **state)
{
    (void)state;
    static const struct fh_column columns[] = {
        {.name = {"id", 2}, .type = FH_TYPE_INT64, .not_null = true},
        {.name = {"day", 3}, .type = FH_TYPE_DATE, .default_kind = FH_DEFAULT_NOW, .position = 1}};
    static const struct fh_table table = {
        .name = {"t", 1}, .column_count = 2, .key_count = 1, .columns = columns};
    struct fh_arena arena;
    struct fh_uuid tenant = uuid_of(1, 1);
    struct fh_write write = {.op = FH_WRITE_INSERT,
                             .key = {.table = &table, .values = {int_value(FH_TYPE_INT64, 1)}}};
    struct fh_row *row = NULL;
    fh_arena_init(&arena, (size_t)1 << 20);
    assert_int_equal(fh_write_evaluate(&write, NULL, &tenant, -1, &arena, &row, NULL), FH_OK);
    assert_int_equal(row->values[1].as.integer, -1);
    assert_int_equal(fh_write_evaluate(&write, NULL, &tenant, NOW_US, &arena, &row, NULL), FH_OK);
    assert_int_equal(row->values[1].as.integer, 20778);
    fh_arena_close(&arena);
}

/* The row keeps nothing of the caller's memory. */
static void test_bytes_are_copied(void **state)
{
    (void)state;
    struct fh_arena arena;
    char name[] = "name";
    char slug[] = "slug";
    fh_arena_init(&arena, (size_t)1 << 20);
    struct fh_assignment assignment = {.column = BOOK_TITLE, .value = text_value(name)};
    struct fh_write write = {.op = FH_WRITE_INSERT,
                             .key = key_book(1, slug),
                             .assignments = &assignment,
                             .assignment_count = 1};
    struct evaluated result = evaluate(&write, NULL, &arena);
    memset(name, 'x', 4);
    memset(slug, 'x', 4);
    assert_true(fh_str_eq(result.after->values[BOOK_TITLE].as.bytes, FH_STR("name")));
    assert_true(fh_str_eq(result.after->values[BOOK_SLUG].as.bytes, FH_STR("slug")));
    fh_arena_close(&arena);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    enum fh_code code = FH_NOMEM;
    struct fh_assignment assignment = {.column = AUTHOR_NAME, .value = text_value("name")};
    struct fh_write write = {.op = FH_WRITE_UPSERT,
                             .key = key_author(1),
                             .assignments = &assignment,
                             .assignment_count = 1};
    long failures = 0;
    for (long n = 0; code != FH_OK; n++) {
        long live = fh_alloc_live();
        struct fh_arena arena;
        struct fh_buf buf;
        fh_arena_init(&arena, (size_t)1 << 20);
        fh_buf_init(&buf, 4096);
        fh_alloc_fault_on(n, 1);
        code = evaluate(&write, NULL, &arena).code;
        if (code == FH_OK) {
            fh_changes_encode(&write, 1, &buf);
            code = fh_buf_code(&buf);
        }
        int delivered = fh_alloc_fault_off();
        assert_int_equal(code, delivered ? FH_NOMEM : FH_OK);
        failures += delivered;
        fh_buf_close(&buf);
        fh_arena_close(&arena);
        assert_int_equal(fh_alloc_live(), live);
    }
    assert_true(failures >= 3); /* the arena, the buffer and its scratch */
    /* An arena that is too small for the row. */
    struct fh_arena arena;
    fh_arena_init(&arena, 128);
    assert_int_equal(evaluate(&write, NULL, &arena).code, FH_NOMEM);
    fh_arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_encode),    cmocka_unit_test(test_lock_order),
        cmocka_unit_test(test_order_of_refusals), cmocka_unit_test(test_assignments_refused),
        cmocka_unit_test(test_update_or_insert),  cmocka_unit_test(test_default_of_a_date),
        cmocka_unit_test(test_bytes_are_copied),  cmocka_unit_test(test_out_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
