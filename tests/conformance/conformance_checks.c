/* Checks, generated columns and defaults: Freehold decides, and every engine comes to the same.
 *
 * Each expression is a table of its own with a check of it. A row goes there twice: as a write,
 * which Freehold evaluates, and as a mover's row, which meets only the engine's own constraint:
 * both must say the same.
 */
#include <stdio.h>

#include "tests/conformance/lab.h"

#define COLUMNS                                                                              \
    "i integer, j integer, s smallint, l bigint, n numeric(10,2), m numeric(12,4), t text, " \
    "u varchar(40), b boolean, d date, at timestamptz, x bytea, r real, f double precision"
#define TABLES_MAX 64

struct check_case {
    const char *expr;
    const char *holds[4]; /* rows: true or null */
    const char *fails[4];
};

static const struct check_case cases[] = {
    {"i > 0", {"i=1", "i=2147483647", ""}, {"i=0", "i=-1", "i=-2147483648"}},
    {"i + j <= 10",
     {"i=5;j=5", "i=11", "i=-2147483648;j=-2147483648"},
     {"i=6;j=5", "i=2147483647;j=2147483647"}},
    {"l - i < 9223372036854775807",
     {"l=1;i=1", "l=9223372036854775807;i=1"},
     {"l=9223372036854775807;i=0"}},
    {"i * 3 = j", {"i=2;j=6", "i=0;j=0"}, {"i=2;j=7"}},
    {"-i < j", {"i=3;j=-2"}, {"i=3;j=-3", "i=-2;j=2"}},
    {"i is null or j is not null", {"", "i=1;j=1", "j=1"}, {"i=1"}},
    {"i between 1 and 3", {"i=1", "i=3"}, {"i=0", "i=4"}},
    {"i not between 1 and 3", {"i=0", "i=4", ""}, {"i=1", "i=2", "i=3"}},
    {"i in (1, 2, 3) and j <> 2", {"i=1;j=1", "", "i=3"}, {"i=4;j=1", "j=2", "i=4"}},
    {"i not in (1, 2)", {"i=3", ""}, {"i=1", "i=2"}},
    {"not (i = 1 and j = 1)", {"i=1", "i=1;j=2", "i=2"}, {"i=1;j=1"}},
    {"n >= 0", {"n=0.00", "n=12345678.90", ""}, {"n=-0.01"}},
    {"n < m", {"n=1.00;m=1.0001", "n=-1.00;m=-0.9999"}, {"n=1.00;m=1.0000", "n=2.01;m=2.0099"}},
    {"n * 2 = m", {"n=1.25;m=2.5000"}, {"n=1.25;m=2.5001"}},
    {"n * n <= 100", {"n=10.00", "n=-10.00"}, {"n=10.01"}},
    {"n + i <= 5.5", {"n=0.50;i=5"}, {"n=0.51;i=5"}},
    {"n in (1, 1.5, 2.25)", {"n=1.00", "n=2.25"}, {"n=1.25", "n=0.99"}},
    {"t = 'a'", {"t=a", ""}, {"t=A", "t=a ", "t="}},
    {"t < 'b'", {"t=a", "t=B", "t=azz"}, {"t=b", "t=\xc3\xa9"}},
    {"t in ('new', 'paid', 'it''s')", {"t=new", "t=it's"}, {"t=New", "t=its"}},
    {"length(t) <= 3", {"t=abc", "t=\xc3\xa9\xc3\xa9\xc3\xa9", "t="}, {"t=abcd"}},
    {"octet_length(t) <= 3", {"t=abc"}, {"t=\xc3\xa9\xc3\xa9"}},
    {"octet_length(x) = 2", {"x=AAE", ""}, {"x=AA", "x="}},
    {"t || u <> 'ab'", {"t=a;u=c", "t=ab"}, {"t=a;u=b", "t=ab;u="}},
    {"coalesce(t, u, 'none') <> 'none'", {"t=a", "u=b"}, {"", "t=none", "u=none"}},
    {"coalesce(i, j, 0) > 0", {"i=1", "j=1"}, {"", "i=0;j=1"}},
    {"b", {"b=true", ""}, {"b=false"}},
    {"not b or i > 0", {"b=false", "b=true;i=1", "b=true"}, {"b=true;i=0"}},
    {"b = true", {"b=true", ""}, {"b=false"}},
    {"d >= '2024-02-29'", {"d=2024-02-29", "d=9999-12-31"}, {"d=2024-02-28", "d=0001-01-01"}},
    {"at < '2024-01-01 00:00:00+00'",
     {"at=2023-12-31T23:59:59.999999Z"},
     {"at=2024-01-01T00:00:00Z"}},
    {"f > 0.5", {"f=0.5000000001", ""}, {"f=0.5", "f=-1"}},
    {"r <= 0.5", {"r=0.5", "r=-3"}, {"r=0.75"}},
    {"f + 1 < 2", {"f=0.5"}, {"f=1", "f=1.5"}},
    {"s + 1 > s", {"s=32767", "s=-32768", ""}, {NULL}},
    {"(i > 0 or j > 0) and (i < 9 or j < 9)", {"i=1", "i=10;j=1"}, {"i=0;j=0", "i=9;j=9"}},
};
#define CASES (sizeof(cases) / sizeof(cases[0]))
_Static_assert(CASES <= TABLES_MAX, "a table each");

static void begin(struct suite *s)
{
    struct fh_buf sql;
    fh_buf_init(&sql, 1 << 16);
    for (size_t i = 0; i < CASES; i++) {
        fh_buf_printf(&sql,
                      "create table t%02zu (id bigint primary key, " COLUMNS ", check (%s));\n", i,
                      cases[i].expr);
    }
    fh_buf_add_char(&sql, '\0');
    assert_code(fh_buf_code(&sql), FH_OK);
    lab_begin(s, sql.data);
    fh_buf_close(&sql);
}

/* The write as a row that a mover brings: what its columns would be, whether it holds or not. */
static struct fh_row *row_of(struct suite *s, const struct fh_write *write)
{
    struct fh_row *row = fh_row_create(write->key.table, &s->arena);
    assert_non_null(row);
    row->tenant = s->a;
    row->created_at_us = row->updated_at_us = 1;
    row->version = 1;
    for (uint16_t i = 0; i < write->key.table->column_count; i++) {
        row->values[i] =
            (struct fh_value){.type = write->key.table->columns[i].type, .is_null = true};
    }
    row->values[write->key.table->key[0]] = write->key.values[0];
    for (uint16_t i = 0; i < write->assignment_count; i++) {
        row->values[write->assignments[i].column] = write->assignments[i].value;
    }
    return row;
}

/* Both ways; the row is gone afterwards. FH_OK or FH_CHECK_VIOLATION, or (FH_RANGE) only what
 * Freehold says. */
static void check_both_ways(struct suite *s, struct fh_write *write, enum fh_code expected,
                            const char *what)
{
    struct mover m = mover_of(s, &s->a);
    suite_assert_code(suite_write(s, &s->a, write, NULL), expected, "as a write", what, __FILE__,
                      __LINE__);
    struct fh_op_apply purge = {.deletes = &write->key, .delete_count = 1};
    mover_apply(&m, purge);
    if (expected == FH_RANGE) {
        return; /* the net has no word for it: engines differ beyond 64 bits */
    }
    struct fh_row *row = row_of(s, write);
    struct fh_op_apply apply = {.rows = &row, .row_count = 1};
    suite_assert_code(mover_try_apply(&m, &apply), expected, "as a mover's row", what, __FILE__,
                      __LINE__);
    mover_apply(&m, purge);
}

static void test_table_of_cases(void **state)
{
    struct suite *s = *state;
    begin(s);
    for (size_t i = 0; i < CASES; i++) {
        char table[8];
        (void)snprintf(table, sizeof(table), "t%02zu", i);
        for (size_t k = 0; k < 8; k++) {
            const char *row = k < 4 ? cases[i].holds[k] : cases[i].fails[k - 4];
            if (row == NULL) {
                continue;
            }
            char what[256];
            (void)snprintf(what, sizeof(what), "%s: %s", cases[i].expr, row);
            check_both_ways(s, lab_write(s, FH_WRITE_INSERT, table, "1", row),
                            k < 4 ? FH_OK : FH_CHECK_VIOLATION, what);
        }
    }
}

static const char *const pools[][8] = {
    {"i", "0", "1", "-1", "2147483647", "-2147483648", "5", "~"},
    {"j", "0", "1", "2", "2147483647", "-2147483648", "6", "~"},
    {"s", "0", "1", "-1", "32767", "-32768", "7", "~"},
    {"l", "0", "1", "-1", "9223372036854775807", "-9223372036854775808", "77", "~"},
    {"n", "0.00", "1.00", "1.50", "-99999999.99", "99999999.99", "0.01", "~"},
    {"m", "0.0000", "1.0000", "3.0000", "-99999999.9999", "99999999.9999", "0.0001", "~"},
    {"t", "", "a", "ab", "none", "\xc3\xa9t\xc3\xa9", "it's", "~"},
    {"u", "", "b", "none", "\xf0\x9f\x99\x82", "B", "%", "~"},
    {"b", "true", "false", "true", "false", "~", "~", "~"},
    {"d", "2024-02-29", "2024-02-28", "0001-01-01", "9999-12-31", "1970-01-01", "~", "~"},
    {"at", "2023-12-31T23:59:59.999999Z", "2024-01-01T00:00:00Z", "0001-01-01T00:00:00Z",
     "9999-12-31T23:59:59.999999Z", "~", "~", "~"},
    {"x", "", "AA", "AAE", "AAEC", "~", "~", "~"},
    {"r", "0", "0.5", "0.75", "-3", "1e30", "~", "~"},
    {"f", "0", "0.5", "0.5000000001", "-1", "1e300", "1", "~"}};
#define POOLS (sizeof(pools) / sizeof(pools[0]))

static const char *random_columns(struct suite *s, uint64_t *random)
{
    struct fh_buf text;
    fh_buf_init(&text, 4096);
    for (size_t i = 0; i < POOLS; i++) {
        fh_buf_printf(&text, "%s%s=%s", i > 0 ? ";" : "", pools[i][0],
                      pools[i][1 + draw(random) % 7]);
    }
    char *copy = fh_arena_copy(&s->arena, text.data, text.len);
    fh_buf_close(&text);
    assert_non_null(copy);
    return copy;
}

/* What Freehold's own evaluation says of the write, without any engine. */
static enum fh_code evaluate(struct suite *s, const struct fh_write *write)
{
    struct fh_row *after = NULL;
    struct fh_error error = FH_ERROR_INIT;
    return fh_write_evaluate(write, NULL, &s->a, s->clock.realtime_us, &s->arena, &after, &error);
}

static void test_random_rows(void **state)
{
    struct suite *s = *state;
    uint64_t random = seed_of_run(71);
    begin(s);
    size_t counts[2] = {0, 0};
    for (size_t i = 0; i < 300; i++) {
        char table[8];
        (void)snprintf(table, sizeof(table), "t%02zu", (size_t)(draw(&random) % CASES));
        const char *columns = random_columns(s, &random);
        struct fh_write *write = lab_write(s, FH_WRITE_INSERT, table, "1", columns);
        enum fh_code expected = evaluate(s, write);
        assert_true(expected == FH_OK || expected == FH_CHECK_VIOLATION || expected == FH_RANGE);
        check_both_ways(s, write, expected, columns);
        counts[expected == FH_OK]++;
    }
    assert_true(counts[0] > 30 && counts[1] > 30);
}

#define GENERATED                                                             \
    "create table g (id bigint primary key, " COLUMNS ", "                    \
    "g_sum bigint generated always as (i + j) stored, "                       \
    "g_small integer generated always as (s * 2) stored, "                    \
    "g_price numeric(14,2) generated always as (n * 3) stored, "              \
    "g_name text generated always as (t || '-' || coalesce(u, '?')) stored, " \
    "g_big boolean generated always as (i > 100 or j is null) stored, "       \
    "g_len bigint generated always as (length(t)) stored, "                   \
    "check (g_sum < 1000));"

static void test_generated(void **state)
{
    struct suite *s = *state;
    lab_begin(s, GENERATED);
    static const char *const rows[][2] = {
        {"i=1;j=2;s=-5;n=1.25;t=a;u=b", "g_sum=3;g_small=-10;g_price=3.75;g_name=a-b;g_big=false"},
        {"i=1;t=\xc3\xa9\xc3\xa9", "g_sum=~;g_small=~;g_price=~;g_name=\xc3\xa9\xc3\xa9-?;"
                                   "g_big=true;g_len=2"},
        {"", "g_sum=~;g_small=~;g_price=~;g_name=~;g_big=true;g_len=~"},
        {"i=500;j=-2147483648;s=32767;n=-99999999.99;t=;u=",
         "g_sum=-2147483148;g_small=65534;g_price=-299999999.97;g_name=-;g_big=true;g_len=0"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char key[8];
        (void)snprintf(key, sizeof(key), "%zu", i);
        lab_put(s, FH_WRITE_INSERT, "g", key, rows[i][0]);
        lab_expect(s, "g", key, rows[i][1]);
        lab_put(s, FH_WRITE_UPSERT, "g", "99", rows[i][0]);
        lab_expect(s, "g", "99", rows[i][1]); /* all of it anew */
    }
    lab_put(s, FH_WRITE_UPDATE, "g", "0", "j=~;t=x");
    lab_expect(s, "g", "0", "i=1;g_sum=~;g_name=x-b;g_big=true;g_price=3.75");
    assert_code(lab_try(s, FH_WRITE_INSERT, "g", "7", "g_sum=1"), FH_INVALID);
    assert_code(lab_try(s, FH_WRITE_UPDATE, "g", "0", "g_name=mine"), FH_INVALID);
    assert_code(lab_try(s, FH_WRITE_UPDATE, "g", "0", "i=999;j=1"), FH_CHECK_VIOLATION);
    lab_put(s, FH_WRITE_UPDATE, "g", "0", "i=998;j=1");
    lab_expect(s, "g", "0", "g_sum=999");
    /* Increments are seen by what is computed of them. */
    struct fh_write *write = lab_write(s, FH_WRITE_UPDATE, "g", "0", "");
    const struct fh_column *i = fh_table_column(write->key.table, FH_STR("i"));
    suite_put(write, i->position, FH_TRANSFORM_INCREMENT, int_value(FH_TYPE_INT32, -8));
    suite_must_write(s, &s->a, write);
    lab_expect(s, "g", "0", "i=990;g_sum=991");
    write = lab_write(s, FH_WRITE_UPDATE, "g", "0", "");
    suite_put(write, i->position, FH_TRANSFORM_INCREMENT, int_value(FH_TYPE_INT32, 10));
    assert_code(suite_write(s, &s->a, write, NULL), FH_CHECK_VIOLATION);
    if (s->engine->durable) {
        suite_reopen(s);
        lab_expect(s, "g", "0", "i=990;g_sum=991;g_name=x-b");
    }
}

static void test_defaults_of_new_rows(void **state)
{
    struct suite *s = *state;
    lab_begin(s, "create table d (id bigint primary key, i integer default -7, "
                 "n numeric(9,3) default 1.5, t text default 'it''s', b boolean default false, "
                 "j jsonb default '[1, 2]', x bytea default '\\x0001', "
                 "at timestamptz default now(), u uuid default gen_random_uuid(), "
                 "kind text not null default 'a' check (kind in ('a', 'b')), "
                 "k bigint generated always as (i + 1) stored);");
    lab_put(s, FH_WRITE_INSERT, "d", "1", "");
    lab_expect(s, "d", "1", "i=-7;n=1.500;t=it's;b=false;j=[1,2];x=AAE;kind=a;k=-6");
    const struct fh_row *row = lab_row(s, "d", "1");
    const struct fh_column *at = fh_table_column(row->table, FH_STR("at"));
    assert_int_equal(row->values[at->position].as.integer, row->created_at_us);
    assert_false(row->values[fh_table_column(row->table, FH_STR("u"))->position].is_null);
    lab_put(s, FH_WRITE_INSERT, "d", "2", "i=~;n=~;t=~;b=~;j=~;x=~;at=~;u=~");
    lab_expect(s, "d", "2", "i=~;n=~;t=~;b=~;j=~;x=~;at=~;u=~;kind=a;k=~");
    assert_code(lab_try(s, FH_WRITE_INSERT, "d", "3", "kind=c"), FH_CHECK_VIOLATION);
    assert_code(lab_try(s, FH_WRITE_INSERT, "d", "3", "kind=~"), FH_CHECK_VIOLATION);
}

/* All or nothing, and the failing one is named. */
static void test_in_a_commit(void **state)
{
    struct suite *s = *state;
    lab_begin(s, "create table c (id bigint primary key, i integer, check (i < 10));");
    struct fh_write writes[3];
    static const char *const columns[] = {"i=1", "i=10", "i=2"};
    for (int k = 0; k < 3; k++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "%d", k);
        writes[k] = *lab_write(s, FH_WRITE_INSERT, "c", key, columns[k]);
    }
    for (int validate = 0; validate < 2; validate++) {
        struct fh_op_commit commit = {.writes = writes, .count = 3, .validate_only = validate == 1};
        assert_code(suite_commit(s, &s->a, &commit), FH_CHECK_VIOLATION);
        assert_int_equal(commit.failed_write, 1);
        assert_int_equal(lab_count(s, "c"), 0);
    }
}

static const struct CMUnitTest tests[] = {
    LAB_TEST(test_table_of_cases),       LAB_TEST(test_random_rows), LAB_TEST(test_generated),
    LAB_TEST(test_defaults_of_new_rows), LAB_TEST(test_in_a_commit),
};
SUITE_PART(suite_part_checks, tests)
