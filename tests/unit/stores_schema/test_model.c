/* What accepted files become: columns, defaults, keys, indexes, references, names, and how the
 * schema grows. */
#include "tests/unit/stores_schema/kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct fh_arena arena;

static int open_arena(void **state)
{
    (void)state;
    fh_arena_init(&arena, KIT_ARENA_BYTES_MAX);
    return 0;
}

static int close_arena(void **state)
{
    (void)state;
    fh_arena_close(&arena);
    return 0;
}

static const struct fh_table *table_of(const struct fh_schema *schema, const char *name)
{
    for (uint32_t i = 0; i < schema->table_count; i++) {
        assert_int_equal(schema->tables[i]->position, i);
        if (fh_str_eq(schema->tables[i]->name, fh_str_of(name))) {
            return schema->tables[i];
        }
    }
    fail_msg("no table %s", name);
    return NULL;
}

/* The only table of a schema made of one statement. */
static const struct fh_table *only_table(const char *sql)
{
    const struct fh_schema *schema = kit_apply(NULL, sql, &arena);
    assert_int_equal(schema->version, 1);
    assert_null(schema->previous);
    assert_int_equal(schema->table_count, 1);
    return schema->tables[0];
}

static void assert_name(struct fh_str name, const char *expected)
{
    if (!fh_str_eq(name, fh_str_of(expected))) {
        fail_msg("%.*s is not %s", FH_STR_ARG(name), expected);
    }
}

static const struct fh_column *column_after_id(const char *declaration)
{
    char sql[512];
    (void)snprintf(sql, sizeof(sql), "create table t (id int primary key, a %s)", declaration);
    const struct fh_table *table = only_table(sql);
    assert_int_equal(table->column_count, 2);
    assert_name(table->columns[1].name, "a");
    assert_int_equal(table->columns[1].position, 1);
    return &table->columns[1];
}

static void test_types(void **state)
{
    (void)state;
    static const struct {
        const char *spelling;
        enum fh_type type;
        uint8_t precision;
        uint8_t scale;
        uint32_t length_max;
    } rows[] = {
        {"boolean", FH_TYPE_BOOL, 0, 0, 0},
        {"bool", FH_TYPE_BOOL, 0, 0, 0},
        {"smallint", FH_TYPE_INT16, 0, 0, 0},
        {"int2", FH_TYPE_INT16, 0, 0, 0},
        {"integer", FH_TYPE_INT32, 0, 0, 0},
        {"int", FH_TYPE_INT32, 0, 0, 0},
        {"INT4", FH_TYPE_INT32, 0, 0, 0},
        {"bigint", FH_TYPE_INT64, 0, 0, 0},
        {"int8", FH_TYPE_INT64, 0, 0, 0},
        {"real", FH_TYPE_FLOAT32, 0, 0, 0},
        {"float4", FH_TYPE_FLOAT32, 0, 0, 0},
        {"float(24)", FH_TYPE_FLOAT32, 0, 0, 0},
        {"double precision", FH_TYPE_FLOAT64, 0, 0, 0},
        {"float8", FH_TYPE_FLOAT64, 0, 0, 0},
        {"float", FH_TYPE_FLOAT64, 0, 0, 0},
        {"numeric(18,0)", FH_TYPE_NUMERIC, 18, 0, 0},
        {"numeric(1)", FH_TYPE_NUMERIC, 1, 0, 0},
        {"decimal(10,2)", FH_TYPE_NUMERIC, 10, 2, 0},
        {"dec(3,3)", FH_TYPE_NUMERIC, 3, 3, 0},
        {"text", FH_TYPE_TEXT, 0, 0, 0},
        {"varchar", FH_TYPE_TEXT, 0, 0, 0},
        {"varchar(1)", FH_TYPE_TEXT, 0, 0, 1},
        {"character varying(1048576)", FH_TYPE_TEXT, 0, 0, 1048576},
        {"bytea", FH_TYPE_BYTES, 0, 0, 0},
        {"timestamptz", FH_TYPE_TIMESTAMP, 0, 0, 0},
        {"timestamptz(6)", FH_TYPE_TIMESTAMP, 0, 0, 0},
        {"timestamp with time zone", FH_TYPE_TIMESTAMP, 0, 0, 0},
        {"date", FH_TYPE_DATE, 0, 0, 0},
        {"uuid", FH_TYPE_UUID, 0, 0, 0},
        {"jsonb", FH_TYPE_JSON, 0, 0, 0},
        {"pg_catalog.int4", FH_TYPE_INT32, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct fh_column *column = column_after_id(rows[i].spelling);
        assert_int_equal(column->type, rows[i].type);
        assert_int_equal(column->precision, rows[i].precision);
        assert_int_equal(column->scale, rows[i].scale);
        assert_int_equal(column->length_max, rows[i].length_max);
        assert_false(column->not_null);
        assert_int_equal(column->default_kind, FH_DEFAULT_NONE);
    }
}

static void test_constant_defaults(void **state)
{
    (void)state;
    static const struct {
        const char *declaration;
        const char *text; /* as fh_value_format() prints it */
    } rows[] = {
        {"int default 5", "5"},
        {"int default 0", "0"},
        {"int default -5", "-5"},
        {"int default - 5", "-5"},
        {"int default (-5)", "-5"},
        {"int default -(-5)", "5"},
        {"int default '5'", "5"},
        {"int default 5::int", "5"},
        {"int default '5'::int4", "5"},
        {"int default cast(5 as integer)", "5"},
        {"bigint default -1::bigint", "-1"},
        {"bigint default 9223372036854775807", "9223372036854775807"},
        {"bigint default -9223372036854775808", "-9223372036854775808"},
        {"smallint default 32767", "32767"},
        {"boolean default true", "true"},
        {"boolean default false", "false"},
        {"boolean default 't'", "true"},
        {"boolean default 'false'::boolean", "false"},
        {"real default 1.5", "1.5"},
        {"double precision default -1.5e3", "-1500"},
        {"double precision default 0", "0"},
        {"numeric(10,2) default 1", "1.00"},
        {"numeric(10,2) default -1.5", "-1.50"},
        {"numeric(10,2) default 0::numeric", "0.00"},
        {"numeric(10,2) default '1.25'::numeric(10,2)", "1.25"},
        {"text default ''", ""},
        {"text default 'it''s'", "it's"},
        {"text default 'x'::text", "x"},
        {"text default 'x'::varchar", "x"},
        {"varchar(3) default 'abc'::character varying", "abc"},
        {"varchar(3) default 'äöü'::varchar(3)", "äöü"},
        {"text default E'a\\tb'", "a\tb"},
        {"text default $$x'y$$", "x'y"},
        {"text default U&'\\00e4'", "ä"},
        {"bytea default '\\x00fF'", "AP8"},
        {"bytea default '\\x'::bytea", ""},
        {"date default '2026-02-28'", "2026-02-28"},
        {"date default date '2026-02-28'", "2026-02-28"},
        {"timestamptz default '2026-01-02T03:04:05Z'", "2026-01-02T03:04:05Z"},
        {"timestamptz default '2026-01-02 03:04:05.25+00'", "2026-01-02T03:04:05.25Z"},
        {"uuid default '00000000-0000-0000-0000-00000000000A'",
         "00000000-0000-0000-0000-00000000000a"},
        {"jsonb default '{}'::jsonb", "{}"},
        {"jsonb default '{\"b\": 1, \"a\" : [ ]}'", "{\"a\":[],\"b\":1}"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct fh_column *column = column_after_id(rows[i].declaration);
        assert_int_equal(column->default_kind, FH_DEFAULT_CONSTANT);
        assert_int_equal(column->default_value.type, column->type);
        assert_false(column->default_value.is_null);
        struct fh_buf buf;
        fh_buf_init(&buf, 1024);
        fh_value_format(&column->default_value, column, &buf);
        assert_int_equal(fh_buf_code(&buf), FH_OK);
        if (!fh_str_eq(fh_buf_str(&buf), fh_str_of(rows[i].text))) {
            fail_msg("%s: %.*s", rows[i].declaration, FH_STR_ARG(fh_buf_str(&buf)));
        }
        fh_buf_close(&buf);
    }
}

static void test_other_defaults(void **state)
{
    (void)state;
    static const struct {
        const char *declaration;
        enum fh_default_kind kind;
    } rows[] = {
        {"int", FH_DEFAULT_NONE},
        {"int default null", FH_DEFAULT_NONE},
        {"text default null::text", FH_DEFAULT_NONE},
        {"timestamptz default now()", FH_DEFAULT_NOW},
        {"timestamptz default NOW ( )", FH_DEFAULT_NOW},
        {"timestamptz default pg_catalog.now()", FH_DEFAULT_NOW},
        {"timestamptz default current_timestamp", FH_DEFAULT_NOW},
        {"timestamptz not null default CURRENT_TIMESTAMP", FH_DEFAULT_NOW},
        {"uuid default gen_random_uuid()", FH_DEFAULT_UUID},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(column_after_id(rows[i].declaration)->default_kind, rows[i].kind);
    }
}

static void test_nullability(void **state)
{
    (void)state;
    assert_false(column_after_id("int null")->not_null);
    assert_true(column_after_id("int not null")->not_null);
    assert_true(column_after_id("int not null not null")->not_null);
    assert_true(column_after_id("int default 1 not null unique")->not_null);
    const struct fh_table *table = only_table("create table t (a int, b text, c uuid not null,"
                                              " constraint whatever primary key (b, a))");
    assert_true(table->columns[0].not_null && table->columns[1].not_null);
    assert_int_equal(table->key_count, 2);
    assert_int_equal(table->key[0], 1);
    assert_int_equal(table->key[1], 0);
}

static void test_key_types(void **state)
{
    (void)state;
    static const char *const types[] = {"boolean", "smallint",   "int",  "bigint", "numeric(5,2)",
                                        "text",    "varchar(9)", "date", "uuid",   "timestamptz"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        char sql[128];
        (void)snprintf(sql, sizeof(sql), "create table t (id %s primary key)", types[i]);
        const struct fh_table *table = only_table(sql);
        assert_int_equal(table->key_count, 1);
        assert_int_equal(table->key[0], 0);
        assert_true(table->columns[0].not_null);
    }
}

static void test_unique_and_indexes(void **state)
{
    (void)state;
    const struct fh_table *table =
        only_table("create table t (id int primary key, a int unique, b text, c date,\n"
                   "  unique (b, c), constraint mine unique (c, b));\n"
                   "create index on t (a asc nulls last, b);\n"
                   "create unique index named on t using btree (c);\n"
                   "create index on t (a, b);\n");
    static const struct {
        const char *name;
        bool unique;
        uint16_t count;
        uint16_t columns[2];
    } rows[] = {
        {"t_a_key", true, 1, {1}}, {"t_b_c_key", true, 2, {2, 3}},
        {"mine", true, 2, {3, 2}}, {"t_a_b_idx", false, 2, {1, 2}},
        {"named", true, 1, {3}},   {"t_a_b_idx1", false, 2, {1, 2}},
    };
    assert_int_equal(table->index_count, sizeof(rows) / sizeof(rows[0]));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct fh_index *index = &table->indexes[i];
        assert_name(index->name, rows[i].name);
        assert_int_equal(index->unique, rows[i].unique);
        assert_int_equal(index->column_count, rows[i].count);
        assert_memory_equal(index->columns, rows[i].columns, rows[i].count * sizeof(uint16_t));
    }
}

static void test_foreign_keys(void **state)
{
    (void)state;
    const struct fh_schema *schema =
        kit_apply(NULL,
                  "create table p (x int, y text, primary key (y, x));\n"
                  "create table c (id uuid primary key, a int, b text, up uuid references c,\n"
                  "  foreign key (a, b) references p (x, y) on delete no action,\n"
                  "  constraint other foreign key (b, a) references p on update restrict,\n"
                  "  over uuid references c (id) match simple);\n",
                  &arena);
    const struct fh_table *p = table_of(schema, "p");
    const struct fh_table *c = table_of(schema, "c");
    assert_int_equal(c->foreign_key_count, 4);
    assert_name(c->foreign_keys[0].name, "c_up_fkey");
    assert_ptr_equal(c->foreign_keys[0].target, c);
    assert_name(c->foreign_keys[1].name, "c_a_b_fkey");
    assert_name(c->foreign_keys[2].name, "other");
    for (int i = 1; i < 3; i++) {
        assert_ptr_equal(c->foreign_keys[i].target, p);
        assert_int_equal(c->foreign_keys[i].column_count, 2);
        assert_int_equal(c->foreign_keys[i].columns[0], 2); /* b for y */
        assert_int_equal(c->foreign_keys[i].columns[1], 1); /* a for x */
    }
    assert_name(c->foreign_keys[3].name, "c_over_fkey");
}

/* PostgreSQL's way: the longer part is cut first; numbers until the name is free. */
static void test_made_up_names(void **state)
{
    (void)state;
    const struct fh_schema *schema = kit_apply(
        NULL,
        "create table aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeee "
        "(id int primary key, aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeee int unique,"
        " aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeef int unique);"
        "create table s (id int primary key, u_a int unique, u int, a int, unique (u, a));"
        "create table s_u (id int primary key, a int unique)",
        &arena);
    const struct fh_table *table = schema->tables[0];
    assert_name(table->indexes[0].name, "aaaaaaaaaabbbbbbbbbbcc_aaaaaaaaaabbbbbbbbbbc_key");
    assert_int_equal(table->indexes[0].name.len, FH_IDENTIFIER_MAX);
    assert_name(table->indexes[1].name, "aaaaaaaaaabbbbbbbbbbc_aaaaaaaaaabbbbbbbbbbc_key1");
    assert_int_equal(table->indexes[1].name.len, FH_IDENTIFIER_MAX);
    assert_name(schema->tables[1]->indexes[0].name, "s_u_a_key");
    assert_name(schema->tables[1]->indexes[1].name, "s_u_a_key1");
    assert_name(schema->tables[2]->indexes[0].name, "s_u_a_key2");
    assert_string_equal(kit_refuse(NULL, "create table t (id int primary key, a int);"
                                         "create index t_pkey on t (a)"),
                        "1:57: t_pkey already names a table, an index or a constraint");
}

static void test_nothing_to_do(void **state)
{
    (void)state;
    static const char *const files[] = {"", ";", " ;;\n ;", "-- only words\n", "/* /* */ */"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        const struct fh_schema *schema = kit_apply(NULL, files[i], &arena);
        assert_int_equal(schema->version, 1);
        assert_int_equal(schema->table_count, 0);
    }
    assert_int_equal(only_table("create table t (id int primary key) without oids")->key_count, 1);
}

static void test_growth_over_files(void **state)
{
    (void)state;
    const struct fh_schema *one =
        kit_apply(NULL,
                  "create table a (id int primary key, n text);"
                  "create table b (id int primary key, a int references a);"
                  "create table c (id int primary key, b int references b);"
                  "create table d (id int primary key)",
                  &arena);
    const struct fh_schema *two =
        kit_apply(one, "create table e (id int primary key, d int references d)", &arena);
    assert_int_equal(two->version, 2);
    assert_ptr_equal(two->previous, one);
    assert_int_equal(one->table_count, 4);
    assert_int_equal(two->table_count, 5);
    /* tables are of their version, lists that did not change are shared */
    for (uint32_t i = 0; i < one->table_count; i++) {
        assert_ptr_not_equal(two->tables[i], one->tables[i]);
        assert_int_equal(two->tables[i]->id, one->tables[i]->id);
        assert_ptr_equal(two->tables[i]->columns, one->tables[i]->columns);
    }
    assert_ptr_equal(table_of(two, "e")->foreign_keys[0].target, table_of(two, "d"));

    const struct fh_schema *three = kit_apply(two, "create index on a (n)", &arena);
    assert_int_equal(three->version, 3);
    const struct fh_table *a = table_of(three, "a");
    const struct fh_table *b = table_of(three, "b");
    const struct fh_table *c = table_of(three, "c");
    assert_ptr_not_equal(a, table_of(two, "a"));
    assert_int_equal(table_of(two, "a")->index_count, 0);
    assert_int_equal(a->index_count, 1);
    assert_name(a->indexes[0].name, "a_n_idx");
    assert_ptr_equal(b->foreign_keys[0].target, a);
    assert_ptr_equal(c->foreign_keys[0].target, b);
    assert_ptr_equal(table_of(two, "b")->foreign_keys[0].target, table_of(two, "a"));

    const struct fh_schema *four =
        kit_apply(three, "create index on a (n); create unique index on a (n, id)", &arena);
    a = table_of(four, "a");
    assert_int_equal(a->index_count, 3);
    assert_name(a->indexes[1].name, "a_n_idx1");
    assert_name(a->indexes[2].name, "a_n_id_idx");
    assert_int_equal(table_of(three, "a")->index_count, 1);
}

/* The places of the second and later lines, and in characters. */
static void test_refused_over_files(void **state)
{
    (void)state;
    const struct fh_schema *one = kit_apply(
        NULL, "create table a (id int primary key, n text unique, up int references a)", &arena);
    static const struct kit_refusal rows[] = {
        {"create table a (id int primary key)", "1:14: a already names"},
        {"create table a_n_key (id int primary key)", "1:14: a_n_key already names"},
        {"create table a_pkey (id int primary key)", "1:14: a_pkey already names"},
        {"create table b (id int primary key);\n\ncreate index a_up_fkey on b (id)",
         "3:14: a_up_fkey already names"},
        {"-- größer\r\n/* ü */ create index on a (\r\n\tid,\r\n\t/* ä */ nope)",
         "4:10: table a has no column nope"},
        {"create table b (id int primary key, a text references a)", "1:44: column a is text, but "
                                                                     "a.id is integer"},
        {"\n\n  drop view a", "3:3: DROP VIEW is not supported"},
        {"select 'ü' from from", "1:17: syntax error at or near \"from\""},
        {"-- ü\nselect 'ü' from from", "2:17: syntax error at or near \"from\""},
        {"create index on a (id); -- ü\n/*ü*/ alter view a rename to b",
         "2:7: ALTER VIEW is not supported"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *message = kit_refuse(one, rows[i].sql);
        if (strncmp(message, rows[i].message, strlen(rows[i].message)) != 0) {
            fail_msg("%s\n%s", rows[i].sql, message);
        }
    }
    assert_int_equal(one->table_count, 1);
    assert_int_equal(one->tables[0]->index_count, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_arena, close_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_types),
        CASE(test_constant_defaults),
        CASE(test_other_defaults),
        CASE(test_nullability),
        CASE(test_key_types),
        CASE(test_unique_and_indexes),
        CASE(test_foreign_keys),
        CASE(test_made_up_names),
        CASE(test_nothing_to_do),
        CASE(test_growth_over_files),
        CASE(test_refused_over_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
