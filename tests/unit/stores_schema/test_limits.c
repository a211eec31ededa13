/* Bounds, hostile text, every allocation failing, several threads at once. */
#include "tests/unit/stores_schema/kit.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"

/* Half of it for the parser at our bound; ThreadSanitizer keeps its own state of a thread there. */
#if defined(__SANITIZE_THREAD__)
#define SMALL_STACK_BYTES ((size_t)4 * 1024 * 1024)
#else
#define SMALL_STACK_BYTES ((size_t)1024 * 1024)
#endif

static struct fh_arena arena;
static struct fh_buf buf;

static int open_all(void **state)
{
    (void)state;
    fh_arena_init(&arena, KIT_ARENA_BYTES_MAX);
    fh_buf_init(&buf, (size_t)4 * 1024 * 1024);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    fh_arena_close(&arena);
    fh_buf_close(&buf);
    return 0;
}

static void repeat(const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fh_buf_add_text(&buf, text);
    }
}

static const char *text(void)
{
    assert_int_equal(fh_buf_code(&buf), FH_OK);
    return fh_buf_str(&buf).data;
}

static enum fh_code apply_bytes(struct fh_str name, struct fh_str sql, struct fh_parse_error *error)
{
    const struct fh_schema *schema = NULL;
    struct fh_migration migration = {.name = name, .sql = sql};
    return fh_schema_apply_migration(NULL, &migration, &arena, &schema, error);
}

static void assert_message(const struct fh_parse_error *error, const char *expected)
{
    if (strncmp(error->error.message, expected, strlen(expected)) != 0) {
        fail_msg("%s\nis not\n%s", error->error.message, expected);
    }
}

static void assert_starts(const char *message, const char *expected)
{
    if (strncmp(message, expected, strlen(expected)) != 0) {
        fail_msg("%s\nis not\n%s", message, expected);
    }
}

static void test_bytes(void **state)
{
    (void)state;
    struct fh_parse_error error;
    struct fh_str name = FH_STR("a.sql");
    assert_int_equal(apply_bytes(name, FH_STR("drop\0table"), &error), FH_INVALID);
    assert_message(&error, "a.sql:1:5: a NUL byte");
    assert_int_equal(apply_bytes(name, FH_STR("-- \xc3\xa4\n\xc3\xa4\xff"), &error), FH_INVALID);
    assert_message(&error, "a.sql:2:2: not valid UTF-8");
    assert_int_equal(apply_bytes(name, FH_STR("ab\xed\xa0\x80"), &error), FH_INVALID);
    assert_message(&error, "a.sql:1:3: not valid UTF-8");
    assert_int_equal(apply_bytes(name, FH_STR("\xef\xbb\xbf;"), &error), FH_INVALID);
    assert_message(&error, "a.sql:1:1: the file begins with a byte order mark");
    assert_int_equal(apply_bytes(name, (struct fh_str){.data = NULL, .len = 0}, &error), FH_OK);
    assert_int_equal(apply_bytes(name, FH_STR("drop table x"), NULL), FH_INVALID);
}

static void test_file_names(void **state)
{
    (void)state;
    struct fh_parse_error error;
    static const char *const names[] = {"", "a\nb", "\x1b[31m", "\xff"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(apply_bytes(fh_str_of(names[i]), FH_STR(""), &error), FH_INVALID);
        assert_message(&error, "migration:1:1: the file's name must be");
    }
    repeat("x", 256);
    assert_int_equal(apply_bytes(fh_buf_str(&buf), FH_STR(""), &error), FH_INVALID);
}

static void test_size(void **state)
{
    (void)state;
    struct fh_parse_error error;
    repeat(" ", FH_MIGRATION_BYTES_MAX);
    assert_int_equal(apply_bytes(FH_STR("a"), fh_buf_str(&buf), &error), FH_OK);
    repeat(" ", 1);
    assert_int_equal(apply_bytes(FH_STR("a"), fh_buf_str(&buf), &error), FH_TOO_LARGE);
    assert_message(&error, "a:1:1: the file has 262145 bytes, the limit is 262144");
}

/* Each of these broke PostgreSQL's parser, which has no stack check of a server here, or could
 * have. Up to just under and far over our bound, on a stack far smaller than a thread's usual one.
 */
static void *deep_trees_main(void *pointer)
{
    int *wrong = pointer;
    static const struct {
        const char *before;
        const char *repeated;
        const char *middle;
        const char *closing;
        const char *after;
    } rows[] = {
        {"create table t (a int default ", "(", "1", ")", ")"},
        {"create table t (a int default 1", "+1", "", "", ")"},
        {"create table t (a int default ", "- ", "1", "", ")"},
        {"create table t (a int default (", "not ", "true", "", "))"},
        {"create table t (a int default 1", "::int", "", "", ")"},
        {"create table t (a int default 1", " is null", "", "", ")"},
        {"create table t (a int default ", "case when a then ", "1", " end", ")"},
        {"create table t (a int default a", "[1]", "", "", ")"},
        {"create table t (a int default ", "array[", "1", "]", ")"},
        {"create table t (a int", "[]", "", "", ")"},
        {"select 1", " union select 1", "", "", ""},
        {"select 1, 2", " union select 1, 2", "", "", ""},
        {"select 1, 2", " except all select 1, 2", "", "", ""},
        {"select 1, 2", " intersect select 1, 2", "", "", ""},
        {"select * from a", " join b on true", "", "", ""},
        {"select ", "(select ", "1", ")", ""},
        {"create table t (a int, check (a = 1", " and a = 1", "", "", "))"},
        {"", "explain ", "select 1", "", ""},
        {"select a", ".b", "", "", ""},
        {"", "/* ", "", "*/", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        static const size_t counts[] = {8,   30,  50,  90,  99,  110,  120,
                                        160, 240, 248, 480, 490, 4096, 32768};
        for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
            size_t n = counts[c];
            fh_buf_clear(&buf);
            fh_buf_add_text(&buf, rows[i].before);
            repeat(rows[i].repeated, n);
            fh_buf_add_text(&buf, rows[i].middle);
            repeat(rows[i].closing, n);
            fh_buf_add_text(&buf, rows[i].after);
            struct fh_parse_error error;
            enum fh_code code = apply_bytes(FH_STR("a"), fh_buf_str(&buf), &error);
            bool comment = rows[i].before[0] == '\0' && rows[i].middle[0] == '\0';
            bool right = code == FH_INVALID || code == FH_TOO_LARGE || (comment && code == FH_OK);
            *wrong += !right;
        }
    }
    return NULL;
}

static void test_deep_trees(void **state)
{
    (void)state;
    int wrong = 0;
    pthread_t thread;
    pthread_attr_t attributes;
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstacksize(&attributes, SMALL_STACK_BYTES), 0);
    assert_int_equal(pthread_create(&thread, &attributes, deep_trees_main, &wrong), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(pthread_attr_destroy(&attributes), 0);
    assert_int_equal(wrong, 0);
}

static void test_long_lists_are_not_deep(void **state)
{
    (void)state;
    fh_buf_add_text(&buf, "create table t (id int primary key");
    for (int i = 1; i < FH_COLUMNS_MAX; i++) {
        fh_buf_printf(&buf, ",\n  c%d numeric(18,2) not null default -1.25::numeric(18,2)", i);
    }
    fh_buf_add_text(&buf, ");");
    assert_int_equal(kit_apply(NULL, text(), &arena)->tables[0]->column_count, FH_COLUMNS_MAX);
}

/* A text of many small nodes is bounded by memory, not by its bytes. */
static void test_many_nodes(void **state)
{
    (void)state;
    struct fh_parse_error error;
    fh_buf_add_text(&buf, "select 1");
    repeat(",1", FH_MIGRATION_BYTES_MAX / 2 - 8);
    assert_int_equal(apply_bytes(FH_STR("a"), fh_buf_str(&buf), &error), FH_INVALID);
    assert_message(&error, "a:1:1: SELECT is not supported");
    fh_buf_clear(&buf);
    repeat("a", 1);
    repeat(";a", FH_MIGRATION_BYTES_MAX / 2 - 8);
    assert_int_equal(apply_bytes(FH_STR("a"), fh_buf_str(&buf), &error), FH_INVALID);
}

static void test_columns(void **state)
{
    (void)state;
    fh_buf_add_text(&buf, "create table t (id int primary key");
    for (int i = 1; i <= FH_COLUMNS_MAX; i++) {
        fh_buf_printf(&buf, ",\nc%d int", i);
    }
    fh_buf_add_text(&buf, ")");
    assert_starts(kit_refuse(NULL, text()), "201:1: more than 200 columns in a table");
}

static void test_tables(void **state)
{
    (void)state;
    for (int i = 0; i < FH_TABLES_MAX; i++) {
        fh_buf_printf(&buf, "create table t%d (id int primary key);\n", i);
    }
    const struct fh_schema *schema = kit_apply(NULL, text(), &arena);
    assert_int_equal(schema->table_count, FH_TABLES_MAX);
    fh_buf_add_text(&buf, "create table more (id int primary key);");
    assert_starts(kit_refuse(NULL, text()), "257:14: more than 256 tables in a schema");
    assert_starts(kit_refuse(schema, "create table more (id int primary key)"),
                  "1:14: more than 256 tables");
}

static void test_indexes_and_keys(void **state)
{
    (void)state;
    fh_buf_add_text(&buf, "create table t (id int primary key");
    for (int i = 0; i < 40; i++) {
        fh_buf_printf(&buf, ", c%d int", i);
    }
    fh_buf_add_text(&buf, ");\n");
    const struct fh_schema *schema = kit_apply(NULL, text(), &arena);
    fh_buf_clear(&buf);
    for (int i = 0; i < FH_TABLE_INDEXES_MAX; i++) {
        fh_buf_printf(&buf, "create index on t (c%d);\n", i);
    }
    const struct fh_schema *full = kit_apply(schema, text(), &arena);
    assert_int_equal(full->tables[0]->index_count, FH_TABLE_INDEXES_MAX);
    assert_starts(kit_refuse(full, "create index on t (id)"),
                  "1:17: table t has more than 32 indexes");
    fh_buf_clear(&buf);
    fh_buf_add_text(&buf, "create index on t (c0");
    for (int i = 1; i <= FH_INDEX_COLUMNS_MAX; i++) {
        fh_buf_printf(&buf, ",\nc%d", i);
    }
    fh_buf_add_text(&buf, ")");
    assert_starts(kit_refuse(schema, text()), "17:1: more than 16 columns");
}

static void test_foreign_keys(void **state)
{
    (void)state;
    fh_buf_add_text(&buf, "create table t (id int primary key");
    for (int i = 0; i <= FH_TABLE_FOREIGN_KEYS_MAX; i++) {
        fh_buf_printf(&buf, ",\nc%d int references t", i);
    }
    fh_buf_add_text(&buf, ")");
    assert_starts(kit_refuse(NULL, text()), "34:9: table t has more than 32 foreign keys");
}

static void test_versions(void **state)
{
    (void)state;
    struct fh_schema base = {.version = FH_MIGRATIONS_MAX};
    assert_starts(kit_refuse(&base, ""), "1:1: more than 1000 migrations");
    base.version = FH_MIGRATIONS_MAX - 1;
    assert_int_equal(kit_apply(&base, "", &arena)->version, FH_MIGRATIONS_MAX);
}

static const char torture_one[] =
    "create table a (id uuid primary key default gen_random_uuid(), n text unique, "
    "j jsonb default '{\"a\": [1, 2]}', b bytea default '\\x00', d numeric(5,2) default -1.5, "
    "at timestamptz default '2026-01-02 03:04:05+00');"
    "create table b (x int, y uuid references a, primary key (x, y)); create index on b (x);";
static const char torture_two[] = "create index on a (n, id); create table c (id int primary key)";

/* libpg_query takes its own memory from the C library; ours all fails in turn. */
static void test_every_allocation_fails(void **state)
{
    (void)state;
    bool done = false;
    long n = 0;
    for (; !done; n++) {
        struct fh_arena mine;
        fh_arena_init(&mine, KIT_ARENA_BYTES_MAX);
        long live = fh_alloc_live();
        const struct fh_schema *one = NULL;
        const struct fh_schema *two = NULL;
        struct fh_parse_error error = {.error = FH_ERROR_INIT};
        struct fh_migration first = {.name = FH_STR("1"), .sql = fh_str_of(torture_one)};
        struct fh_migration second = {.name = FH_STR("2"), .sql = fh_str_of(torture_two)};
        fh_alloc_fault_on(n, 1);
        enum fh_code code = fh_schema_apply_migration(NULL, &first, &mine, &one, &error);
        if (code == FH_OK) {
            code = fh_schema_apply_migration(one, &second, &mine, &two, &error);
        }
        bool delivered = fh_alloc_fault_off() != 0;
        if (code == FH_OK) {
            done = !delivered;
            assert_true(done);
            assert_int_equal(two->table_count, 3);
        } else {
            assert_int_equal(code, FH_NOMEM);
            assert_int_equal(error.error.code, FH_NOMEM);
        }
        fh_arena_close(&mine);
        assert_true(fh_alloc_live() <= live);
        assert_true(n < 10000);
    }
    assert_true(n > 10);
}

static void test_small_arena(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < 4096; bytes += 64) {
        struct fh_arena mine;
        fh_arena_init(&mine, bytes);
        const struct fh_schema *schema = NULL;
        struct fh_parse_error error;
        struct fh_migration first = {.name = FH_STR("1"), .sql = fh_str_of(torture_one)};
        enum fh_code code = fh_schema_apply_migration(NULL, &first, &mine, &schema, &error);
        if (code != FH_OK && code != FH_NOMEM) {
            fail_msg("%zu bytes: %s", bytes, error.error.message);
        }
        fh_arena_close(&mine);
    }
}

#define THREADS 4

static void *thread_main(void *pointer)
{
    int *failures = pointer;
    for (int i = 0; i < 50; i++) {
        struct fh_arena mine;
        fh_arena_init(&mine, KIT_ARENA_BYTES_MAX);
        const struct fh_schema *schema = NULL;
        struct fh_parse_error error;
        struct fh_migration good = {.name = FH_STR("1"), .sql = fh_str_of(torture_one)};
        struct fh_migration bad = {.name = FH_STR("2"), .sql = FH_STR("create\ntabel")};
        *failures += fh_schema_apply_migration(NULL, &good, &mine, &schema, &error) != FH_OK;
        *failures += fh_schema_apply_migration(NULL, &bad, &mine, &schema, &error) != FH_INVALID;
        *failures += error.line != 2 || error.column != 1;
        fh_arena_close(&mine);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int failures[THREADS] = {0};
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, thread_main, &failures[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(failures[i], 0);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_bytes),
        CASE(test_file_names),
        CASE(test_size),
        CASE(test_deep_trees),
        CASE(test_long_lists_are_not_deep),
        CASE(test_many_nodes),
        CASE(test_columns),
        CASE(test_tables),
        CASE(test_indexes_and_keys),
        CASE(test_foreign_keys),
        CASE(test_versions),
        CASE(test_every_allocation_fails),
        CASE(test_small_arena),
        CASE(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
