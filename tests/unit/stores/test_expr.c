/* Expressions made by hand: what no parser would let through in text, and what tells two apart.
 * What operations mean is tested from text, in stores_schema. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "stores/expr.h"
#include "tests/conformance/model.h"

static const struct fh_expr author_name = {
    .kind = FH_EXPR_COLUMN, .type = FH_TYPE_TEXT, .column = AUTHOR_NAME};
static const struct fh_expr author_email = {
    .kind = FH_EXPR_COLUMN, .type = FH_TYPE_TEXT, .column = AUTHOR_EMAIL};
static const struct fh_expr *const both[] = {&author_name, &author_email};
static const struct fh_expr joined = {
    .kind = FH_EXPR_CONCAT, .type = FH_TYPE_TEXT, .arg_count = 2, .args = both};

static struct fh_row *author(struct fh_arena *arena, size_t name, size_t email)
{
    static char text[FH_VALUE_BYTES_MAX];
    memset(text, 'x', sizeof(text));
    struct fh_row *row = fh_row_create(&model_authors, arena);
    assert_non_null(row);
    row->values[AUTHOR_NAME] = text_value("");
    row->values[AUTHOR_NAME].as.bytes = (struct fh_str){.data = text, .len = name};
    row->values[AUTHOR_EMAIL] = text_value("");
    row->values[AUTHOR_EMAIL].as.bytes = (struct fh_str){.data = text, .len = email};
    return row;
}

static void test_text_has_a_limit(void **state)
{
    (void)state;
    struct fh_arena arena;
    fh_arena_init(&arena, (size_t)8 << 20);
    struct fh_value value;
    struct fh_error error = FH_ERROR_INIT;
    assert_int_equal(fh_expr_evaluate(&joined, author(&arena, FH_VALUE_BYTES_MAX - 3, 3), &arena,
                                      &value, &error),
                     FH_OK);
    assert_int_equal(value.as.bytes.len, FH_VALUE_BYTES_MAX);
    assert_int_equal(fh_expr_evaluate(&joined, author(&arena, FH_VALUE_BYTES_MAX - 3, 4), &arena,
                                      &value, &error),
                     FH_RANGE);
    assert_int_equal(error.code, FH_RANGE);
    assert_int_equal(fh_expr_evaluate(&joined, author(&arena, 0, 0), &arena, &value, NULL), FH_OK);
    assert_int_equal(value.as.bytes.len, 0);
    fh_arena_close(&arena);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct fh_arena arena;
    struct fh_arena none;
    fh_arena_init(&arena, (size_t)1 << 20);
    fh_arena_init(&none, 16);
    struct fh_value value;
    struct fh_error error = FH_ERROR_INIT;
    assert_int_equal(fh_expr_evaluate(&joined, author(&arena, 100, 100), &none, &value, &error),
                     FH_NOMEM);
    assert_int_equal(error.code, FH_NOMEM);
    fh_arena_close(&none);
    fh_arena_close(&arena);
}

static void test_uses(void **state)
{
    (void)state;
    assert_true(fh_expr_uses(&joined, AUTHOR_NAME));
    assert_true(fh_expr_uses(&joined, AUTHOR_EMAIL));
    assert_false(fh_expr_uses(&joined, AUTHOR_ID));
}

/* Columns are told apart by id, wherever they stand. */
static void test_equal(void **state)
{
    (void)state;
    const struct fh_column moved_columns[] = {
        {.name = FH_STR("email"), .type = FH_TYPE_TEXT, .position = 0, .id = AUTHOR_EMAIL},
        {.name = FH_STR("called"), .type = FH_TYPE_TEXT, .position = 1, .id = AUTHOR_NAME}};
    const struct fh_table moved = {.column_count = 2, .columns = moved_columns};
    const struct fh_expr first = {.kind = FH_EXPR_COLUMN, .type = FH_TYPE_TEXT, .column = 0};
    const struct fh_expr second = {.kind = FH_EXPR_COLUMN, .type = FH_TYPE_TEXT, .column = 1};
    const struct fh_expr *const same[] = {&second, &first};
    const struct fh_expr *const other[] = {&first, &second};
    struct fh_expr expr = {
        .kind = FH_EXPR_CONCAT, .type = FH_TYPE_TEXT, .arg_count = 2, .args = same};
    assert_true(fh_expr_equal(&joined, &model_authors, &expr, &moved));
    expr.args = other;
    assert_false(fh_expr_equal(&joined, &model_authors, &expr, &moved));
    expr.args = same;
    expr.kind = FH_EXPR_COALESCE;
    assert_false(fh_expr_equal(&joined, &model_authors, &expr, &moved));
    expr.kind = FH_EXPR_CONCAT;
    expr.arg_count = 1;
    assert_false(fh_expr_equal(&joined, &model_authors, &expr, &moved));

    struct fh_expr a = {.kind = FH_EXPR_CONSTANT,
                        .type = FH_TYPE_NUMERIC,
                        .scale = 1,
                        .constant = int_value(FH_TYPE_NUMERIC, 15)};
    struct fh_expr b = a;
    assert_true(fh_expr_equal(&a, &model_authors, &b, &model_authors));
    b.scale = 2; /* 1.5 and 0.15 */
    assert_false(fh_expr_equal(&a, &model_authors, &b, &model_authors));
    b = a;
    b.constant.as.integer = 16;
    assert_false(fh_expr_equal(&a, &model_authors, &b, &model_authors));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_has_a_limit),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_uses),
        cmocka_unit_test(test_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
