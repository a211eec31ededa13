/* The file's text of an expression agrees with fh_expr_evaluate(): random trees over random rows.
 * Both give the same value, or both an error.
 *
 * But for some: SQLite may look at an argument that evaluation had no need of, and meet an overflow
 * there; or have no need of one (`x AND false`, a sum whose other part is null) in which evaluation
 * meets an overflow; and a product of floats that underflows is an error of evaluation's alone. The
 * test bounds how many these are. */
#include "tests/unit/stores_sqlite/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "stores/expr.h"
#include "stores/sqlite/ddl.h"
#include "stores/sqlite/expression.h"
#include "stores/sqlite/rows.h"
#include "stores/sqlite/sql.h"

#define TREES 6000
#define DEPTH_MAX 4

enum { ID, INT_A, INT_B, NUM_2, NUM_4, REAL_A, REAL_B, TEXT_A, TEXT_B, FLAG, BYTES, UUID, COLUMNS };

#define NAME(text)                              \
    {                                           \
        .data = (text), .len = sizeof(text) - 1 \
    }
#define COLUMN(at, column_name, column_type, ...)                                       \
    {                                                                                   \
        .name = NAME(column_name), .type = (column_type), .position = (at), .id = (at), \
        __VA_ARGS__                                                                     \
    }

static const struct fh_column columns[COLUMNS] = {
    COLUMN(ID, "id", FH_TYPE_INT64, .not_null = true),
    COLUMN(INT_A, "int_a", FH_TYPE_INT64),
    COLUMN(INT_B, "int_b", FH_TYPE_INT16),
    COLUMN(NUM_2, "num_2", FH_TYPE_NUMERIC, .precision = 18, .scale = 2),
    COLUMN(NUM_4, "num_4", FH_TYPE_NUMERIC, .precision = 9, .scale = 4),
    COLUMN(REAL_A, "real_a", FH_TYPE_FLOAT64),
    COLUMN(REAL_B, "real_b", FH_TYPE_FLOAT32),
    COLUMN(TEXT_A, "text_a", FH_TYPE_TEXT),
    COLUMN(TEXT_B, "select", FH_TYPE_TEXT),
    COLUMN(FLAG, "flag", FH_TYPE_BOOL),
    COLUMN(BYTES, "bytes", FH_TYPE_BYTES),
    COLUMN(UUID, "uuid", FH_TYPE_UUID),
};
static const struct fh_table table = {.name = NAME("t"),
                                      .column_count = COLUMNS,
                                      .key_count = 1,
                                      .columns = columns,
                                      .key = {ID},
                                      .has_rowid = true};
static const struct fh_table *const tables[] = {&table};
static const struct fh_schema schema = {.version = 1, .table_count = 1, .tables = tables};

static uint64_t seed = 20260921;

static uint32_t next(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % below;
}

static int64_t random_integer(void)
{
    static const int64_t some[] = {0,  1,  -1,        2,         10,
                                   99, -7, INT64_MAX, INT64_MIN, INT64_C(4000000000)};
    return some[next(10)];
}

static struct fh_value random_value(enum fh_type type)
{
    static const char *const texts[] = {"", "a", "b", "it's", "\xc3\xa9t\xc3\xa9", "A", "abc"};
    static const double reals[] = {0.0, 1.0, -1.5, 0.1, 1e300, -1e300, 3.25};
    struct fh_value value = {.type = type};
    switch (type) {
    case FH_TYPE_BOOL:
        value.as.boolean = next(2) == 1;
        break;
    case FH_TYPE_INT16:
        value.as.integer = (int64_t)next(2000) - 1000;
        break;
    case FH_TYPE_NUMERIC:
        value.as.integer = (int64_t)next(2000000) - 1000000;
        break;
    case FH_TYPE_FLOAT32:
        value.as.real = (double)(float)(0.25 * (double)next(100));
        break;
    case FH_TYPE_FLOAT64:
        value.as.real = reals[next(7)];
        break;
    case FH_TYPE_TEXT:
        value.as.bytes = fh_str_of(texts[next(7)]);
        break;
    case FH_TYPE_BYTES:
        value.as.bytes = FH_STR("ab");
        value.as.bytes.len = next(3);
        break;
    case FH_TYPE_UUID:
        value.as.uuid.bytes[15] = (uint8_t)next(3);
        break;
    default:
        value.as.integer = random_integer();
        break;
    }
    return value;
}

static struct fh_expr *node(struct fh_arena *arena, enum fh_expr_kind kind, enum fh_type type,
                            uint16_t count)
{
    struct fh_expr *expr = FH_ARENA_NEW(arena, struct fh_expr);
    const struct fh_expr **args = FH_ARENA_ARRAY(arena, const struct fh_expr *, count + 1u);
    assert_true(expr != NULL && args != NULL);
    *expr = (struct fh_expr){.kind = kind, .type = type, .arg_count = count, .args = args};
    return expr;
}

static void set(struct fh_expr *expr, uint16_t at, const struct fh_expr *arg)
{
    ((const struct fh_expr **)(uintptr_t)expr->args)[at] = arg;
}

static const struct fh_expr *make(struct fh_arena *arena, enum fh_type type, unsigned depth);

static const struct fh_expr *leaf(struct fh_arena *arena, enum fh_type type)
{
    static const uint16_t by_type[][2] = {
        [FH_TYPE_INT64] = {INT_A, INT_B},     [FH_TYPE_NUMERIC] = {NUM_2, NUM_4},
        [FH_TYPE_FLOAT64] = {REAL_A, REAL_B}, [FH_TYPE_TEXT] = {TEXT_A, TEXT_B},
        [FH_TYPE_BOOL] = {FLAG, FLAG},        [FH_TYPE_BYTES] = {BYTES, BYTES},
        [FH_TYPE_UUID] = {UUID, UUID},
    };
    struct fh_expr *expr = node(arena, FH_EXPR_COLUMN, type, 0);
    if (next(3) > 0) {
        expr->column = by_type[type][next(2)];
        expr->scale = columns[expr->column].scale;
        return expr;
    }
    expr->kind = FH_EXPR_CONSTANT;
    expr->constant = random_value(type);
    expr->scale = type == FH_TYPE_NUMERIC ? (uint8_t)next(4) : 0;
    return expr;
}

static unsigned scale_of(const struct fh_expr *expr)
{
    return expr->type == FH_TYPE_NUMERIC ? expr->scale : 0;
}

/* An integer may stand where a numeric may. */
static enum fh_type like(enum fh_type type)
{
    return type == FH_TYPE_NUMERIC && next(3) == 0 ? FH_TYPE_INT64 : type;
}

static const struct fh_expr *make_number(struct fh_arena *arena, enum fh_type type, unsigned depth)
{
    static const enum fh_expr_kind kinds[] = {FH_EXPR_ADD,         FH_EXPR_SUB,      FH_EXPR_MUL,
                                              FH_EXPR_NEG,         FH_EXPR_COALESCE, FH_EXPR_LENGTH,
                                              FH_EXPR_OCTET_LENGTH};
    enum fh_expr_kind kind = kinds[next(type == FH_TYPE_INT64 ? 7 : 5)];
    if (kind == FH_EXPR_LENGTH || kind == FH_EXPR_OCTET_LENGTH) {
        struct fh_expr *expr = node(arena, kind, type, 1);
        bool bytes = kind == FH_EXPR_OCTET_LENGTH && next(2) == 0;
        set(expr, 0, make(arena, bytes ? FH_TYPE_BYTES : FH_TYPE_TEXT, depth - 1));
        return expr;
    }
    struct fh_expr *expr = node(arena, kind, type, kind == FH_EXPR_NEG ? 1 : 2);
    unsigned scale = 0;
    unsigned sum = 0;
    for (uint16_t i = 0; i < expr->arg_count; i++) {
        /* The first gives the type. */
        const struct fh_expr *arg = make(arena, i == 0 ? type : like(type), depth - 1);
        set(expr, i, arg);
        scale = scale_of(arg) > scale ? scale_of(arg) : scale;
        sum += scale_of(arg);
    }
    expr->scale = (uint8_t)(kind == FH_EXPR_MUL ? sum : scale);
    if (type != FH_TYPE_NUMERIC) {
        expr->scale = 0;
    } else if (expr->scale > 18) { /* more than there is */
        return leaf(arena, type);
    }
    return expr;
}

static const struct fh_expr *make_text(struct fh_arena *arena, unsigned depth)
{
    struct fh_expr *expr =
        node(arena, next(2) == 0 ? FH_EXPR_CONCAT : FH_EXPR_COALESCE, FH_TYPE_TEXT, 2);
    set(expr, 0, make(arena, FH_TYPE_TEXT, depth - 1));
    set(expr, 1, make(arena, FH_TYPE_TEXT, depth - 1));
    return expr;
}

static const struct fh_expr *make_bool(struct fh_arena *arena, unsigned depth)
{
    static const enum fh_type types[] = {FH_TYPE_INT64, FH_TYPE_NUMERIC, FH_TYPE_FLOAT64,
                                         FH_TYPE_TEXT,  FH_TYPE_BYTES,   FH_TYPE_UUID,
                                         FH_TYPE_BOOL};
    enum fh_expr_kind kind = (enum fh_expr_kind)(FH_EXPR_AND + next(FH_EXPR_IN - FH_EXPR_AND + 1));
    enum fh_type type = types[next(7)];
    uint16_t count = 2;
    if (kind == FH_EXPR_AND || kind == FH_EXPR_OR) {
        type = FH_TYPE_BOOL;
        count = (uint16_t)(2 + next(2));
    } else if (kind == FH_EXPR_NOT || kind == FH_EXPR_IS_NULL || kind == FH_EXPR_IS_NOT_NULL) {
        type = kind == FH_EXPR_NOT ? FH_TYPE_BOOL : type;
        count = 1;
    } else if (kind == FH_EXPR_IN) {
        count = (uint16_t)(2 + next(3));
    }
    struct fh_expr *expr = node(arena, kind, FH_TYPE_BOOL, count);
    for (uint16_t i = 0; i < count; i++) {
        set(expr, i, make(arena, like(type), depth - 1));
    }
    return expr;
}

static const struct fh_expr *make(struct fh_arena *arena, enum fh_type type, unsigned depth)
{
    if (depth == 0 || next(5) == 0) {
        return leaf(arena, type);
    }
    switch (type) {
    case FH_TYPE_BOOL:
        return make_bool(arena, depth);
    case FH_TYPE_TEXT:
        return make_text(arena, depth);
    case FH_TYPE_INT64:
    case FH_TYPE_NUMERIC:
    case FH_TYPE_FLOAT64:
        return make_number(arena, type, depth);
    default:
        return leaf(arena, type);
    }
}

static void name_column(void *arg, uint16_t position, struct fh_buf *out)
{
    (void)arg;
    fh_sqlite_sql_name(columns[position].name, out);
}

static enum fh_code ddl_cb(void *arg, const struct fh_sqlite_ddl *ddl, struct fh_error *error)
{
    (void)error;
    if (ddl->kind != FH_SQLITE_TABLE) { /* no triggers here */
        return FH_OK;
    }
    return sqlite3_exec(arg, ddl->sql, NULL, NULL, NULL) == SQLITE_OK ? FH_OK : FH_INTERNAL;
}

static void put_row(sqlite3 *db, struct fh_row *row)
{
    static const struct fh_sqlite_text text = {.prefix = "", .views = ""};
    struct fh_buf sql;
    sqlite3_stmt *statement = NULL;
    for (int i = 1; i < COLUMNS; i++) {
        row->values[i] = random_value(columns[i].type);
        row->values[i].is_null = next(5) == 0;
    }
    row->values[ID] = (struct fh_value){.type = FH_TYPE_INT64, .as.integer = 1};
    row->version = 1;
    assert_int_equal(sqlite3_exec(db, "DELETE FROM t", NULL, NULL, NULL), SQLITE_OK);
    fh_buf_init(&sql, 65536);
    fh_sqlite_sql(FH_SQLITE_INSERT, &table, 0, &text, &sql);
    assert_int_equal(sqlite3_prepare_v2(db, sql.data, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_bind_blob(statement, 1, row->tenant.bytes, 16, SQLITE_STATIC),
                     SQLITE_OK);
    assert_int_equal(fh_sqlite_bind_row(statement, row), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
    sqlite3_finalize(statement);
    fh_buf_close(&sql);
}

static bool same(sqlite3_stmt *statement, const struct fh_value *value)
{
    bool null = sqlite3_column_type(statement, 0) == SQLITE_NULL;
    if (null || value->is_null) {
        return null == value->is_null;
    }
    switch (value->type) {
    case FH_TYPE_BOOL:
        return sqlite3_column_int(statement, 0) == (value->as.boolean ? 1 : 0);
    case FH_TYPE_FLOAT64:
        return sqlite3_column_double(statement, 0) == value->as.real;
    case FH_TYPE_TEXT:
        return (size_t)sqlite3_column_bytes(statement, 0) == value->as.bytes.len &&
               (value->as.bytes.len == 0 || memcmp(sqlite3_column_blob(statement, 0),
                                                   value->as.bytes.data, value->as.bytes.len) == 0);
    default:
        return sqlite3_column_type(statement, 0) == SQLITE_INTEGER &&
               sqlite3_column_int64(statement, 0) == value->as.integer;
    }
}

struct tally {
    size_t values;
    size_t overflows;
    size_t stricter; /* SQLite's */
    size_t laxer;
};

static void compare(sqlite3 *db, const struct fh_expr *expr, const struct fh_row *row,
                    struct fh_arena *arena, struct tally *tally)
{
    struct fh_buf sql;
    struct fh_value value;
    sqlite3_stmt *statement = NULL;
    fh_buf_init(&sql, 1 << 20);
    fh_buf_add_text(&sql, "SELECT ");
    fh_sqlite_expression(expr, name_column, NULL, &sql);
    fh_buf_add_text(&sql, " FROM t");
    assert_code(fh_buf_code(&sql), FH_OK);
    if (sqlite3_prepare_v2(db, sql.data, -1, &statement, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql.data, sqlite3_errmsg(db));
    }
    enum fh_code code = fh_expr_evaluate(expr, row, arena, &value, NULL);
    int rc = sqlite3_step(statement);
    bool overflow = rc == SQLITE_ERROR && strstr(sqlite3_errmsg(db), "overflow") != NULL;
    if (rc != SQLITE_ROW && !overflow) {
        fail_msg("%s: %s", sql.data, sqlite3_errmsg(db));
    }
    if (code == FH_OK && !overflow) {
        if (!same(statement, &value)) {
            fail_msg("another value: %s gives %s", sql.data, sqlite3_column_text(statement, 0));
        }
        tally->values++;
    } else if (code == FH_OK) {
        tally->stricter++;
    } else if (overflow) {
        tally->overflows++;
    } else {
        tally->laxer++;
    }
    sqlite3_finalize(statement);
    fh_buf_close(&sql);
}

static void test_random_expressions(void **state)
{
    static const enum fh_type types[] = {FH_TYPE_BOOL, FH_TYPE_INT64, FH_TYPE_NUMERIC,
                                         FH_TYPE_FLOAT64, FH_TYPE_TEXT};
    static const struct fh_sqlite_ddl_home home = {.dedicated = false};
    struct tally tally = {.values = 0};
    struct fh_error error = FH_ERROR_INIT;
    struct fh_arena arena;
    sqlite3 *db = NULL;
    (void)state;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_code(fh_sqlite_ddl_schema(&home, &schema, ddl_cb, db, &error), FH_OK);
    for (int i = 0; i < TREES; i++) {
        fh_arena_init(&arena, 1 << 20);
        struct fh_row *row = fh_row_create(&table, &arena);
        assert_non_null(row);
        put_row(db, row);
        const struct fh_expr *expr = make(&arena, types[next(5)], DEPTH_MAX);
        for (int k = 0; k < 2; k++) {
            compare(db, expr, row, &arena, &tally);
            put_row(db, row);
        }
        fh_arena_close(&arena);
    }
    print_message("%zu values, %zu overflows, %zu of SQLite only, %zu not of SQLite\n",
                  tally.values, tally.overflows, tally.stricter, tally.laxer);
    assert_true(tally.values > TREES && tally.overflows > TREES / 50);
    assert_true(tally.stricter < TREES / 50 && tally.laxer < TREES / 50);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_expressions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
