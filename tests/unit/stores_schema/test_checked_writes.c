/* What checks and generated columns mean to a write. The table comes from text, as tables do. */
#include "tests/unit/stores_schema/kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "stores/write.h"

#define NOW_US INT64_C(1795226400000000)

enum { ID, QUANTITY, PRICE, NOTE, TOTAL, LABEL };

static struct fh_arena arena;
static const struct fh_table *table;

static int setup(void **state)
{
    (void)state;
    fh_arena_init(&arena, KIT_ARENA_BYTES_MAX);
    table = kit_apply(NULL,
                      "create table lines (id int primary key, quantity int not null default 1,"
                      " price numeric(9,2), note text,"
                      " total numeric(9,2) generated always as (price * quantity) stored,"
                      " label varchar(6) generated always as (note || '!') stored,"
                      " constraint sold check (quantity > 0),"
                      " constraint cheap check (total < 1000 or note = 'dear'),"
                      " constraint small check (quantity * 9000000000000000 > 0))",
                      &arena)
                ->tables[0];
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fh_arena_close(&arena);
    return 0;
}

static struct fh_value number(uint16_t column, int64_t value)
{
    return (struct fh_value){.type = table->columns[column].type, .as.integer = value};
}

static struct fh_value text(const char *value)
{
    return (struct fh_value){.type = FH_TYPE_TEXT, .as.bytes = fh_str_of(value)};
}

struct result {
    enum fh_code code;
    struct fh_row *row;
    struct fh_error error;
};

static struct result run(enum fh_write_op op, const struct fh_row *before,
                         const struct fh_assignment *assignments, uint16_t count)
{
    const struct fh_uuid tenant = {{1}};
    struct fh_write write = {.op = op,
                             .key = {.table = table, .values = {number(ID, 1)}},
                             .assignments = assignments,
                             .assignment_count = count};
    struct result result = {.row = NULL, .error = FH_ERROR_INIT};
    result.code =
        fh_write_evaluate(&write, before, &tenant, NOW_US, &arena, &result.row, &result.error);
    assert_int_equal(result.code == FH_OK && op != FH_WRITE_PURGE, result.row != NULL);
    return result;
}

static void expect(struct result result, enum fh_code code, const char *field, const char *message)
{
    assert_int_equal(result.code, code);
    assert_string_equal(result.error.field, field);
    assert_string_equal(result.error.message, message);
}

static void test_generated(void **state)
{
    (void)state;
    const struct fh_assignment first[] = {{.column = QUANTITY, .value = number(QUANTITY, 3)},
                                          {.column = PRICE, .value = number(PRICE, 1250)}};
    struct fh_row *row = run(FH_WRITE_INSERT, NULL, first, 2).row;
    assert_int_equal(row->values[TOTAL].as.integer, 3750);
    assert_int_equal(row->values[TOTAL].type, FH_TYPE_NUMERIC);
    assert_true(row->values[LABEL].is_null);

    /* an update of one column, and what follows from it */
    const struct fh_assignment more = {
        .column = QUANTITY, .transform = FH_TRANSFORM_INCREMENT, .value = number(QUANTITY, 1)};
    row = run(FH_WRITE_UPDATE, row, &more, 1).row;
    assert_int_equal(row->values[TOTAL].as.integer, 5000);

    /* an upsert replaces all */
    const struct fh_assignment note = {.column = NOTE, .value = text("four")};
    row = run(FH_WRITE_UPSERT, row, &note, 1).row;
    assert_true(row->values[TOTAL].is_null);
    assert_true(fh_str_eq(row->values[LABEL].as.bytes, FH_STR("four!")));

    /* a deletion and its undoing change nothing of it */
    row = run(FH_WRITE_DELETE, row, NULL, 0).row;
    assert_true(fh_str_eq(row->values[LABEL].as.bytes, FH_STR("four!")));
    row = run(FH_WRITE_UNDELETE, row, NULL, 0).row;
    assert_true(fh_str_eq(row->values[LABEL].as.bytes, FH_STR("four!")));
    assert_int_equal(run(FH_WRITE_PURGE, row, NULL, 0).error.code, FH_OK);
}

static void test_generated_is_not_assigned(void **state)
{
    (void)state;
    const struct fh_assignment total = {.column = TOTAL, .value = number(TOTAL, 1)};
    expect(run(FH_WRITE_INSERT, NULL, &total, 1), FH_INVALID, "total",
           "total: a generated column cannot be assigned");
    expect(run(FH_WRITE_UPSERT, NULL, &total, 1), FH_INVALID, "total",
           "total: a generated column cannot be assigned");
}

static void test_generated_must_fit(void **state)
{
    (void)state;
    const struct fh_assignment values[] = {{.column = QUANTITY, .value = number(QUANTITY, 1000)},
                                           {.column = PRICE, .value = number(PRICE, 999999999)}};
    expect(run(FH_WRITE_INSERT, NULL, values, 2), FH_RANGE, "total",
           "total: what it is generated to does not fit");
    const struct fh_assignment note = {.column = NOTE, .value = text("sixsix")};
    expect(run(FH_WRITE_INSERT, NULL, &note, 1), FH_RANGE, "label",
           "label: what it is generated to does not fit");
}

static void test_checks(void **state)
{
    (void)state;
    const struct fh_assignment none = {.column = QUANTITY, .value = number(QUANTITY, 0)};
    expect(run(FH_WRITE_INSERT, NULL, &none, 1), FH_CHECK_VIOLATION, "quantity",
           "check sold does not hold");
    /* one that reads several columns, one of them generated */
    struct fh_assignment values[] = {{.column = PRICE, .value = number(PRICE, 100000)},
                                     {.column = NOTE, .value = text("no")}};
    expect(run(FH_WRITE_INSERT, NULL, values, 2), FH_CHECK_VIOLATION, "",
           "check cheap does not hold");
    assert_int_equal(run(FH_WRITE_INSERT, NULL, values, 1).code, FH_OK); /* note: null passes */
    values[1].value = text("dear");
    assert_int_equal(run(FH_WRITE_INSERT, NULL, values, 2).code, FH_OK);
    /* NOT NULL comes first */
    struct fh_value null = number(QUANTITY, 0);
    null.is_null = true;
    const struct fh_assignment nothing = {.column = QUANTITY, .value = null};
    expect(run(FH_WRITE_INSERT, NULL, &nothing, 1), FH_CHECK_VIOLATION, "quantity",
           "quantity: must not be null");
    /* a check that leaves the range of 64 bits */
    const struct fh_assignment many = {.column = QUANTITY, .value = number(QUANTITY, 1025)};
    expect(run(FH_WRITE_INSERT, NULL, &many, 1), FH_RANGE, "quantity",
           "check small leaves the range of its numbers");
    /* an update that breaks one leaves the row before as it was */
    struct fh_row *row = run(FH_WRITE_INSERT, NULL, NULL, 0).row;
    const struct fh_assignment less = {
        .column = QUANTITY, .transform = FH_TRANSFORM_INCREMENT, .value = number(QUANTITY, -1)};
    expect(run(FH_WRITE_UPDATE, row, &less, 1), FH_CHECK_VIOLATION, "quantity",
           "check sold does not hold");
    assert_int_equal(row->values[QUANTITY].as.integer, 1);
}

static void test_no_memory(void **state)
{
    (void)state;
    const struct fh_uuid tenant = {{1}};
    const struct fh_assignment note = {.column = NOTE, .value = text("four")};
    const struct fh_write write = {.op = FH_WRITE_INSERT,
                                   .key = {.table = table, .values = {number(ID, 1)}},
                                   .assignments = &note,
                                   .assignment_count = 1};
    enum fh_code code = FH_NOMEM;
    for (size_t bytes = 0; code != FH_OK; bytes += 16) {
        assert_true(bytes < 4096);
        struct fh_arena small;
        struct fh_row *row = NULL;
        struct fh_error error = FH_ERROR_INIT;
        fh_arena_init(&small, bytes);
        code = fh_write_evaluate(&write, NULL, &tenant, NOW_US, &small, &row, &error);
        assert_true(code == FH_OK || code == FH_NOMEM || code == FH_TOO_LARGE);
        assert_int_equal(code == FH_OK, row != NULL);
        assert_int_equal(error.code, code);
        fh_arena_close(&small);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_generated),          CASE(test_generated_is_not_assigned),
        CASE(test_generated_must_fit), CASE(test_checks),
        CASE(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
