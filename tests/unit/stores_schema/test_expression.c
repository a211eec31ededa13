/* Expressions from text to value: what is read, how it prints, what it gives; and what is refused.
 */
#include "tests/unit/stores_schema/kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "stores/expr.h"
#include "stores/schema_text.h"

#define COLUMNS                                                                                   \
    "id int primary key, i smallint, n int, b bigint, f real, d double precision,"                \
    " m numeric(10,2), m4 numeric(6,4), w numeric(18,18), t varchar(9), y bytea, at timestamptz," \
    " day date, u uuid, ok boolean, no boolean, j jsonb, x int, xt text, xb boolean"

static struct fh_arena arena;

static int setup(void **state)
{
    (void)state;
    fh_arena_init(&arena, (size_t)256 * 1024 * 1024);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fh_arena_close(&arena);
    return 0;
}

static const struct fh_table *table_with(const char *expr)
{
    char *sql = fh_arena_printf(&arena, "create table t (" COLUMNS ", check (%s))", expr);
    assert_non_null(sql);
    return kit_apply(NULL, sql, &arena)->tables[0];
}

/* i = -7, n = 2147483647, b = 9223372036854775807, ...; x, xt and xb are null */
static struct fh_row *row_of(const struct fh_table *table)
{
    static const char *const values[] = {"1",
                                         "-7",
                                         "2147483647",
                                         "9223372036854775807",
                                         "0.5",
                                         "1e300",
                                         "12.30",
                                         "0.1250",
                                         "0.000000000000000001",
                                         "h\xc3\xa4us'\xf0\x9f\x8e\x81",
                                         "AP8",
                                         "2026-11-21T02:00:00.000001Z",
                                         "2026-11-21",
                                         "01000000-0000-7000-8000-000000000002",
                                         "true",
                                         "false",
                                         "{}"};
    struct fh_row *row = fh_row_create(table, &arena);
    assert_non_null(row);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_int_equal(
            fh_value_parse(fh_str_of(values[i]), &table->columns[i], &arena, &row->values[i], NULL),
            FH_OK);
    }
    return row;
}

static const struct {
    const char *sql;
    const char *printed; /* NULL: as written */
    char result;         /* t, f, n (null), r (out of range) */
} rows[] = {
    {"ok", NULL, 't'},
    {"not ok", NULL, 'f'},
    {"not xb", NULL, 'n'},
    {"ok and xb", NULL, 'n'},
    {"no and xb", NULL, 'f'},
    {"xb and no", NULL, 'f'},
    {"ok or xb", NULL, 't'},
    {"no or xb", NULL, 'n'},
    {"no or no", NULL, 'f'},
    {"ok and ok and no or ok", "(ok and ok and no) or ok", 't'},
    {"ok and (ok and (ok and ok))", "ok and ok and ok and ok", 't'},
    {"ok = true", NULL, 't'},
    {"no < ok", NULL, 't'},
    {"ok and true", NULL, 't'},
    {"x is null", NULL, 't'},
    {"x is not null", NULL, 'f'},
    {"j is not null", NULL, 't'},
    {"(x = 1) is null", NULL, 't'},
    {"x = 1", NULL, 'n'},
    {"x <> 1", NULL, 'n'},
    {"x + 1 > 0", "(x + 1) > 0", 'n'},
    /* integers */
    {"i = -7", NULL, 't'},
    {"i < - -7", "i < 7", 't'},
    {"-i = 7", "(-i) = 7", 't'},
    {"- -i = i", "(-(-i)) = i", 't'},
    {"i != n", "i <> n", 't'},
    {"i >= -6", NULL, 'f'},
    {"i <= -7", NULL, 't'},
    {"n + n = 4294967294", "(n + n) = 4294967294", 't'},
    {"n * i < 0", "(n * i) < 0", 't'},
    {"b + 1 > 0", "(b + 1) > 0", 'r'},
    {"b * 2 > 0", "(b * 2) > 0", 'r'},
    {"-b - 1 < 0", "((-b) - 1) < 0", 't'},
    {"-b - 2 < 0", "((-b) - 2) < 0", 'r'},
    {"-(-b - 1) > 0", "(-((-b) - 1)) > 0", 'r'},
    {"b > -9223372036854775808", NULL, 't'},
    {"no and b + 1 > 0", "no and ((b + 1) > 0)", 'f'},
    {"b in (1, b)", NULL, 't'},
    {"t.i = t.i", "i = i", 't'},
    {"5 > i", NULL, 't'},
    {"i > 3::bigint", "i > 3", 'f'},
    /* numerics, exact over scales, and with integers */
    {"m = 12.3", NULL, 't'},
    {"m = 12.300", NULL, 't'},
    {"m > 12.2999", NULL, 't'},
    {"m > 12", NULL, 't'},
    {"m < i", NULL, 'f'},
    {"i < 0.5", NULL, 't'},
    {"m + m4 = 12.4250", "(m + m4) = 12.4250", 't'},
    {"m - m4 = 12.1750", "(m - m4) = 12.1750", 't'},
    {"m * m4 = 1.5375", "(m * m4) = 1.5375", 't'},
    {"m * 2 = 24.6", "(m * 2) = 24.6", 't'},
    {"m * i = -86.1", "(m * i) = -86.1", 't'},
    {"b > w", NULL, 't'},
    {"w < b", NULL, 't'},
    {"-b < w", "(-b) < w", 't'},
    {"w + 1 > 0", "(w + 1) > 0", 't'},
    {"w + 10 > 0", "(w + 10) > 0", 'r'},
    {"m * b > 0", "(m * b) > 0", 'r'},
    {"-m = -12.30", "(-m) = -12.30", 't'},
    {"m > 1::numeric", "m > 1", 't'},
    {"coalesce(x, m) = 12.3", NULL, 't'},
    {"coalesce(x, i, m4) = -7", NULL, 't'},
    {"coalesce(b, w) > 0", NULL, 'r'},
    /* floats */
    {"f = 0.5", NULL, 't'},
    {"f * d < d", "(f * d) < d", 't'},
    {"d * d > 0", "(d * d) > 0", 'r'},
    {"d + 1 > d", "(d + 1) > d", 'f'},
    {"f - f = 0", "(f - f) = 0", 't'},
    {"-(f - f) = 0", "(-(f - f)) = 0", 't'},
    {"f * 1e-300 * 1e-30 = 0", "((f * 1e-300) * 1e-30) = 0", 'r'},
    {"d > 1e299", "d > 1e+299", 't'},
    /* text */
    {"t = 'h\xc3\xa4us''\xf0\x9f\x8e\x81'", NULL, 't'},
    {"length(t) = 6", NULL, 't'},
    {"char_length(t) = 6", "length(t) = 6", 't'},
    {"character_length(t) < 6", "length(t) < 6", 'f'},
    {"octet_length(t) = 10", NULL, 't'},
    {"octet_length(y) = 2", NULL, 't'},
    {"length(y) = 2", "octet_length(y) = 2", 't'},
    {"length(xt) = 0", NULL, 'n'},
    {"t || '!' || t > t", "(t || '!' || t) > t", 't'},
    {"t || xt = t", "(t || xt) = t", 'n'},
    {"t || ('a' || t) = t", "(t || 'a' || t) = t", 'f'},
    {"length(t || '') = 6", NULL, 't'},
    {"t > 'h'", NULL, 't'},
    {"t < 'h\xc3\xa4'", NULL, 'f'},
    {"t in ('a', 'b')", NULL, 'f'},
    {"t not in ('a', 'b')", "not (t in ('a', 'b'))", 't'},
    {"t in ('a', xt)", NULL, 'n'},
    {"xt in ('a', t)", NULL, 'n'},
    {"i in (1, 2.5, -7)", NULL, 't'},
    {"coalesce(xt, t, 'none') = t", NULL, 't'},
    {"coalesce(xt, xt) is null", NULL, 't'},
    {"t = 'a'::text", "t = 'a'", 'f'},
    /* the rest */
    {"y = '\\x00ff'", NULL, 't'},
    {"y < '\\x01'", NULL, 't'},
    {"at > '2026-11-21 00:00:00+00'", "at > '2026-11-21T00:00:00Z'", 't'},
    {"at < timestamptz '2026-11-22T00:00:00Z'", "at < '2026-11-22T00:00:00Z'", 't'},
    {"day between '2026-01-01' and date '2026-12-31'",
     "(day >= '2026-01-01') and (day <= '2026-12-31')", 't'},
    {"day not between '2026-01-01' and '2026-12-31'",
     "(day < '2026-01-01') or (day > '2026-12-31')", 'f'},
    {"u = '01000000-0000-7000-8000-000000000002'", NULL, 't'},
    {"x between 1 and i", "(x >= 1) and (x <= i)", 'n'},
    {"x between 1 and i or ok", "((x >= 1) and (x <= i)) or ok", 't'},
};

static char result_of(const struct fh_expr *expr, const struct fh_row *row)
{
    struct fh_value value = {0};
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code = fh_expr_evaluate(expr, row, &arena, &value, &error);
    if (code == FH_RANGE) {
        assert_int_equal(error.code, FH_RANGE);
        return 'r';
    }
    assert_int_equal(code, FH_OK);
    assert_int_equal(value.type, FH_TYPE_BOOL);
    return value.is_null ? 'n' : (value.as.boolean ? 't' : 'f');
}

static void test_read_print_evaluate(void **state)
{
    (void)state;
    struct fh_buf text;
    fh_buf_init(&text, 65536);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct fh_table *table = table_with(rows[i].sql);
        const struct fh_expr *expr = table->checks[0].expr;
        const char *wanted = rows[i].printed != NULL ? rows[i].printed : rows[i].sql;
        fh_buf_clear(&text);
        fh_schema_text_expr(expr, table, &text);
        assert_int_equal(fh_buf_code(&text), FH_OK);
        if (!fh_str_eq(fh_buf_str(&text), fh_str_of(wanted))) {
            fail_msg("%s prints %.*s", rows[i].sql, FH_STR_ARG(fh_buf_str(&text)));
        }
        char result = result_of(expr, row_of(table));
        if (result != rows[i].result) {
            fail_msg("%s is %c", rows[i].sql, result);
        }
        /* what is printed is read as the same */
        const struct fh_table *again = table_with(text.data);
        if (!fh_expr_equal(expr, table, again->checks[0].expr, again)) {
            fail_msg("%s is read otherwise", text.data);
        }
        /* and what prints otherwise is another */
        if (i > 0) {
            const char *before =
                rows[i - 1].printed != NULL ? rows[i - 1].printed : rows[i - 1].sql;
            const struct fh_table *other = table_with(before);
            assert_int_equal(fh_expr_equal(expr, table, other->checks[0].expr, other),
                             strcmp(before, wanted) == 0);
        }
    }
    fh_buf_close(&text);
}

static const struct {
    const char *expr;
    const char *message; /* behind the place */
    int column;          /* within the expression, from 1 */
} refused[] = {
    {"t like 'a%'", "LIKE is not supported in an expression", 3},
    {"t ~ 'a'", "operator ~ is not supported in an expression", 3},
    {"n / 2 > 1", "operator / is not supported in an expression", 3},
    {"n % 2 = 0", "operator % is not supported in an expression", 3},
    {"n operator(pg_catalog.+) 1 > 0", "operator + is not supported in an expression", 3},
    {"lower(t) = t", "function lower() is not supported in an expression", 1},
    {"length(distinct t) = 1", "function length() is not supported in an expression", 1},
    {"length(t, t) = 1", "function length() is not supported in an expression", 1},
    {"pg_catalog.length(t) = 1", "function length() is not supported in an expression", 1},
    {"length(n) = 1", "a length is of text or bytea, not of bigint", 1},
    {"exists (select 1)", "a subquery is not supported in an expression", 0},
    {"n in (select 1)", "a subquery is not supported in an expression", 0},
    {"n = any (array[1])", "ANY or ALL is not supported in an expression", 3},
    {"case when ok then ok end", "CASE is not supported in an expression", 0},
    {"now() > at", "function now() is not supported in an expression", 1},
    {"at > current_timestamp", "this expression is not supported in an expression", 0},
    {"n is distinct from 1", "IS DISTINCT FROM is not supported in an expression", 3},
    {"ok is true", "IS TRUE is not supported in an expression", 4},
    {"n between symmetric 1 and 2", "BETWEEN SYMMETRIC is not supported in an expression", 3},
    {"nullif(n, 1) = 1", "NULLIF is not supported in an expression", 0},
    {"greatest(n, 1) = 1", "GREATEST or LEAST is not supported in an expression", 0},
    {"t collate \"C\" = 'a'", "COLLATE is not supported in an expression", 0},
    {"n::bigint = 1", "a cast of anything but a constant is not supported", 2},
    {"t = 'abc'::varchar(2)", "a cast with a length or precision is not supported", 12},
    {"m = 1.55::numeric(3,1)", "a cast with a length or precision is not supported", 11},
    {"n = '1'::text", "a cast in an expression must be to the type", 10},
    {"n = null", "NULL is not supported in an expression: write IS NULL", 5},
    {"coalesce(n, null) = 1", "NULL is not supported in an expression", 13},
    {"n = '5'", "this constant stands where bigint is needed", 5},
    {"t = 5", "this constant stands where text is needed", 5},
    {"ok = 'true'", "this constant stands where boolean is needed", 6},
    {"ok = 1", "this constant stands where boolean is needed", 6},
    {"n = 1e3", "this constant stands where bigint is needed", 5},
    {"m > 0.1234567890123456789", "this constant stands where numeric is needed", 5},
    {"b < 9223372036854775808", "this constant does not fit the column", 5},
    {"day = 'today'", "this constant does not fit the column", 7},
    {"u = 'x'", "this constant does not fit the column", 5},
    {"n = b'1'", "an expression with a bit string is not supported", 5},
    {"n = t", "bigint and text do not go together here", 0},
    {"n < f", "bigint and double precision do not go together here", 0},
    {"m < d", "numeric and double precision do not go together here", 0},
    {"at > day", "timestamp with time zone and date do not go together here", 0},
    {"coalesce(n, t) = 1", "bigint and text do not go together here", 0},
    {"j = j", "comparing jsonb is not supported in an expression", 3},
    {"day + 1 > day", "this constant stands where date is needed", 7},
    {"t + t = t", "arithmetic with text is not supported in an expression", 3},
    {"n || t = t", "bigint and text do not go together here", 0},
    {"n || n = t", "|| needs text, not bigint", 0},
    {"-t = t", "operator - needs a number, not text", 1},
    {"+n = 1", "operator + is not supported in an expression", 1},
    {"-'a' = t", "operator - here is not supported in an expression", 1},
    {"w * m > 0", "a product with 20 decimal places is not supported: at most 18", 3},
    {"n", "a CHECK must be boolean, this is bigint", 0},
    {"true", "a constant alone is not supported in an expression", 1},
    {"1 < 2", "an operation on constants only is not supported in an expression", 3},
    {"1 + 2 < n", "an operation on constants only is not supported in an expression", 3},
    {"not true", "an operation on constants only is not supported in an expression", 1},
    {"1 is null", "an operation on constants only is not supported in an expression", 0},
    {"length('a') < n", "an operation on constants only is not supported in an expression", 1},
    {"n and ok", "AND, OR or NOT needs boolean, not bigint", 0},
    {"not n", "AND, OR or NOT needs boolean, not bigint", 0},
    {"nope > 1", "table t has no column nope", 1},
    {"s.n > 1", "a column of another table is not supported in an expression", 1},
    {"public.t.n > 1", "a column of another table is not supported in an expression", 1},
    {"t.* is null", "a column of another table is not supported in an expression", 1},
    {"version > 1", "table t has no column version", 1},
    {"(n, n) = (1, 2)", "ROW is not supported in an expression", 0},
    {"$1 > n", "a parameter is not supported in an expression", 0},
};

static void test_refused(void **state)
{
    (void)state;
    static const char head[] = "create table t (" COLUMNS ", check (";
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        const char *sql = fh_arena_printf(&arena, "%s%s))", head, refused[i].expr);
        const char *message = kit_refuse(NULL, sql);
        unsigned line = 0;
        unsigned column = 0;
        int at = 0;
        /* NOLINTNEXTLINE(cert-err34-c): small numbers of our own making */
        assert_int_equal(sscanf(message, "%u:%u: %n", &line, &column, &at), 2);
        bool placed = refused[i].column == 0
                          ? column >= sizeof(head)
                          : column == sizeof(head) + (unsigned)refused[i].column - 1;
        if (!placed || strncmp(message + at, refused[i].message, strlen(refused[i].message)) != 0) {
            print_error("%s\n  expected: %d %s\n  got:      %d %s\n", refused[i].expr,
                        refused[i].column, refused[i].message, (int)(column - sizeof(head)) + 1,
                        message + at);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

/* `count` times `item` with `between` in between. */
static const char *repeated(const char *head, const char *item, const char *between, size_t count,
                            const char *tail)
{
    struct fh_buf buf;
    fh_buf_init(&buf, (size_t)1 << 20);
    fh_buf_add_text(&buf, head);
    for (size_t i = 0; i < count; i++) {
        fh_buf_add_text(&buf, i > 0 ? between : "");
        fh_buf_add_text(&buf, item);
    }
    fh_buf_add_text(&buf, tail);
    assert_int_equal(fh_buf_code(&buf), FH_OK);
    char *copy = fh_arena_copy(&arena, buf.data, buf.len);
    fh_buf_close(&buf);
    assert_non_null(copy);
    return copy;
}

static const char *refusal_of(const char *expr)
{
    return kit_refuse(NULL,
                      fh_arena_printf(&arena, "create table t (" COLUMNS ", check (%s))", expr));
}

static void test_limits(void **state)
{
    (void)state;
    const struct fh_table *table = table_with(repeated("n in (", "1", ",", 99, ")"));
    assert_int_equal(table->checks[0].expr->arg_count, FH_EXPR_ARGS_MAX);
    assert_non_null(strstr(refusal_of(repeated("n in (", "1", ",", 100, ")")),
                           "more than 100 operands of one operation"));
    /* a chain of AND is flat */
    table = table_with(repeated("", "ok", " and ", 100, ""));
    assert_int_equal(table->checks[0].expr->arg_count, 100);
    assert_int_equal(result_of(table->checks[0].expr, row_of(table)), 't');
    assert_non_null(strstr(refusal_of(repeated("", "ok", " and ", 101, "")),
                           "more than 100 operands of one operation"));
    /* a sum is deep: each plus is a level */
    (void)table_with(repeated("n = ", "i", " + ", 31, ""));
    assert_non_null(
        strstr(refusal_of(repeated("n = ", "i", " + ", 32, "")), "operations more than 32 deep"));
    /* nodes: the list has 100, so have the others */
    (void)table_with(repeated(
        "n in (", "1", ",", 80,
        repeated(") and n in (", "1", ",", 80, repeated(") or i in (", "1", ",", 80, ")"))));
    assert_non_null(
        strstr(refusal_of(repeated("n in (", "1", ",", 90,
                                   repeated(") and n in (", "1", ",", 90,
                                            repeated(") or i in (", "1", ",", 90, ")")))),
               "more than 256 operations, columns and constants"));
    /* checks of a table */
    const char *many = repeated("create table t (id int primary key, ", "check (id > 0)", ",",
                                FH_TABLE_CHECKS_MAX, ")");
    assert_int_equal(kit_apply(NULL, many, &arena)->tables[0]->check_count, FH_TABLE_CHECKS_MAX);
    many = repeated("create table t (id int primary key, ", "check (id > 0)", ",",
                    FH_TABLE_CHECKS_MAX + 1, ")");
    assert_non_null(strstr(kit_refuse(NULL, many), "more than 32 checks"));
}

static void test_names_of_checks(void **state)
{
    (void)state;
    const struct fh_table *table =
        kit_apply(NULL,
                  "create table t (id int primary key check (id > 0), a int check (a > id),"
                  " check (a < 9), check (a < 8), constraint mine check (a <> 3))",
                  &arena)
            ->tables[0];
    static const char *const names[] = {"t_id_check", "t_check", "t_a_check", "t_a_check1", "mine"};
    assert_int_equal(table->check_count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_true(fh_str_eq(table->checks[i].name, fh_str_of(names[i])));
    }
}

static const struct {
    const char *column; /* of t(COLUMNS, g <column>) */
    const char *value;  /* as text; "null", "range" */
} generated[] = {
    {"int generated always as (i * 2) stored", "-14"},
    {"smallint generated always as (n) stored", "range"},
    {"int generated always as (n + 1) stored", "range"},
    {"bigint generated always as (n + 1) stored", "2147483648"},
    {"numeric(10,4) generated always as (m * 2) stored", "24.6000"},
    {"numeric(3,2) generated always as (m) stored", "range"},
    {"numeric(10,6) generated always as (m * m4) stored", "1.537500"},
    {"numeric(18,18) generated always as (i) stored", "range"},
    {"real generated always as (f * 3) stored", "1.5"},
    {"real generated always as (d) stored", "range"},
    {"text generated always as (t || '-' || t) stored",
     "h\xc3\xa4us'\xf0\x9f\x8e\x81-h\xc3\xa4us'\xf0\x9f\x8e\x81"},
    {"varchar(6) generated always as (t) stored", "h\xc3\xa4us'\xf0\x9f\x8e\x81"},
    {"varchar(5) generated always as (t) stored", "range"},
    {"boolean generated always as (x is null) stored", "true"},
    {"date generated always as (coalesce(day, '2000-01-01')) stored", "2026-11-21"},
    {"bytea generated always as (y) stored", "AP8"},
    {"text generated always as (xt) stored", "null"},
    {"int generated always as (x + i) stored", "null"},
    {"bigint generated always as (octet_length(t)) stored", "10"},
};

static void test_generated(void **state)
{
    (void)state;
    struct fh_buf text;
    fh_buf_init(&text, 65536);
    for (size_t i = 0; i < sizeof(generated) / sizeof(generated[0]); i++) {
        const char *sql =
            fh_arena_printf(&arena, "create table t (" COLUMNS ", g %s)", generated[i].column);
        const struct fh_table *table = kit_apply(NULL, sql, &arena)->tables[0];
        const struct fh_column *column = fh_table_column(table, FH_STR("g"));
        struct fh_value value;
        enum fh_code code = fh_column_generate(column, row_of(table), &arena, &value, NULL);
        fh_buf_clear(&text);
        if (code == FH_RANGE) {
            fh_buf_add_text(&text, "range");
        } else {
            assert_int_equal(code, FH_OK);
            assert_int_equal(value.type, column->type);
            fh_value_format(&value, column, &text);
            fh_buf_add_text(&text, value.is_null ? "null" : "");
        }
        if (!fh_str_eq(fh_buf_str(&text), fh_str_of(generated[i].value))) {
            fail_msg("%s gives %.*s", generated[i].column, FH_STR_ARG(fh_buf_str(&text)));
        }
    }
    fh_buf_close(&text);
}

static const struct kit_refusal generated_refused[] = {
    {"create table t (id int generated always as (a) stored, a int, primary key (id))",
     "1:76: column id: a generated column cannot be in a primary key"},
    {"create table t (id int primary key, a int default 1 generated always as (id) stored)",
     "1:37: column a is generated and has a default"},
    {"create table t (id int primary key, a int generated always as (b) stored,"
     " b int generated always as (id) stored)",
     "1:14: generated column a reads b, which is generated"},
    {"create table t (id int primary key, a int generated always as (id) stored,"
     " b int generated always as (a) stored)",
     "1:103: column a is generated itself"},
    {"create table t (id int primary key, a text generated always as (id) stored)",
     "1:65: column a is text, but its expression gives bigint"},
    {"create table t (id int primary key, m numeric(9,3), a numeric(9,2) generated always as (m) "
     "stored)",
     "1:89: column a is numeric, but its expression gives numeric with more decimal places"},
    {"create table t (id int primary key, a real generated always as (id) stored)",
     "1:65: column a is real, but its expression gives bigint"},
    {"create table t (id int primary key, j jsonb, a jsonb generated always as (j) stored)",
     "1:75: column a is jsonb, but its expression gives jsonb"},
    {"create table t (id int primary key, a int generated always as (5) stored)",
     "1:64: a constant alone is not supported in an expression: use DEFAULT"},
    {"create table t (id int primary key, a int generated always as (now()) stored)",
     "1:64: function now() is not supported in an expression"},
};

static void test_generated_refused(void **state)
{
    (void)state;
    kit_expect_refused(generated_refused, sizeof(generated_refused) / sizeof(generated_refused[0]));
}

/* Every word of PostgreSQL's grammar may name a table and a column, and be used unchanged. */
static void test_keywords_are_quoted(void **state)
{
    (void)state;
    static const char *const words[] = {
        "all",      "between", "character", "check",     "coalesce", "date",         "default",
        "double",   "in",      "int",       "interval",  "is",       "length",       "not",
        "null",     "numeric", "order",     "position",  "row",      "select",       "substring",
        "table",    "text",    "time",      "timestamp", "true",     "user",         "year",
        "zone",     "value",   "name",      "and",       "case",     "current_user", "values",
        "xmlparse", "json",    "precision"};
    struct fh_buf text;
    fh_buf_init(&text, 65536);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const char *sql = fh_arena_printf(
            &arena, "create table \"%s\" (id int primary key, \"%s\" int, check (\"%s\" + 1 > 0))",
            words[i], words[i], words[i]);
        const struct fh_table *table = kit_apply(NULL, sql, &arena)->tables[0];
        fh_buf_clear(&text);
        fh_buf_add_text(&text, "create table ");
        fh_schema_text_name(table->name, &text);
        fh_buf_add_text(&text, " (id int primary key, ");
        fh_schema_text_column(&table->columns[1], table, &text);
        fh_buf_add_text(&text, ", check (");
        fh_schema_text_expr(table->checks[0].expr, table, &text);
        fh_buf_add_text(&text, "))");
        assert_int_equal(fh_buf_code(&text), FH_OK);
        const struct fh_table *again = kit_apply(NULL, text.data, &arena)->tables[0];
        assert_true(fh_str_eq(again->columns[1].name, fh_str_of(words[i])));
        assert_true(fh_expr_equal(table->checks[0].expr, table, again->checks[0].expr, again));
    }
    fh_buf_close(&text);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_read_print_evaluate), CASE(test_refused),   CASE(test_limits),
        CASE(test_names_of_checks),     CASE(test_generated), CASE(test_generated_refused),
        CASE(test_keywords_are_quoted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
