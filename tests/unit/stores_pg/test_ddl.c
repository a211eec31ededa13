/* The physical layout that is generated from the model, and statements' texts: identifiers quoted,
 * tenant first. */
#include "stores/pg/ddl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stores/pg/sql.h"
#include "tests/conformance/model.h"

static bool has(const struct fh_pg_script *script, const char *part)
{
    size_t cursor = 0;
    const char *statement = NULL;
    while ((statement = fh_pg_script_next(script, &cursor)) != NULL) {
        if (strstr(statement, part) != NULL) {
            return true;
        }
    }
    return false;
}

static size_t count(const struct fh_pg_script *script, const char *start)
{
    size_t cursor = 0;
    size_t found = 0;
    const char *statement = NULL;
    while ((statement = fh_pg_script_next(script, &cursor)) != NULL) {
        found += strncmp(statement, start, strlen(start)) == 0;
    }
    return found;
}

static void between(struct fh_pg_script *script, const struct fh_pg_ddl_home *home,
                    const struct fh_schema *from, const struct fh_schema *to)
{
    struct fh_arena arena;
    fh_arena_init(&arena, 1 << 20);
    assert_int_equal(fh_pg_ddl_between(script, home, from, to, &arena), FH_OK);
    fh_arena_close(&arena);
}

static const struct fh_pg_ddl_home shared = {.namespace = "fh_shared", .role = "app\"role"};

static void test_tables(void **state)
{
    (void)state;
    struct fh_pg_script script;
    fh_pg_script_init(&script);
    fh_pg_ddl_system(&script, "fh_shared", "app\"role");
    between(&script, &shared, NULL, &model_v1);
    size_t tables = model_v1.table_count + 4; /* and ours */
    assert_int_equal(count(&script, "create table"), tables);
    assert_int_equal(count(&script, "create policy"), tables);
    assert_int_equal(count(&script, "grant "), tables + 3);
    size_t cursor = 0;
    size_t forced = 0;
    const char *statement = NULL;
    while ((statement = fh_pg_script_next(&script, &cursor)) != NULL) {
        forced += strstr(statement, " force row level security") != NULL;
    }
    assert_int_equal(forced, tables);
    assert_true(has(&script, "create table \"fh_shared\".\"authors\" (tenant_id uuid not null, "));
    assert_true(has(&script, "primary key (tenant_id, \"author_id\", \"slug\")"));
    assert_true(has(&script, "\"name\" text collate \"C\" not null"));
    assert_true(has(&script, "deferrable initially deferred"));
    assert_true(has(&script, "to \"app\"\"role\""));
    assert_false(has(&script, "gen_random_uuid"));
    fh_pg_script_close(&script);
}

static void test_upgrade_adds_only(void **state)
{
    (void)state;
    struct fh_pg_script script;
    fh_pg_script_init(&script);
    between(&script, &shared, &model_v1, &model_v2);
    assert_int_equal(count(&script, "create table"), 1);
    assert_true(has(&script, "\"reviews\""));
    assert_false(has(&script, "create table \"fh_shared\".\"authors\""));
    assert_true(has(&script, " on \"fh_shared\".\"authors\" (tenant_id, \"name\")"));
    assert_false(has(&script, "\"email\"")); /* the index that was there */
    assert_true(has(&script, "alter view \"fh_shared\".\"fh_fence_v1\" rename to \"fh_fence_v2\""));
    assert_false(has(&script, "create view"));
    fh_pg_script_close(&script);
}

/* From books without references to books with them, in a home whose tables are large. */
static void add_references(struct fh_pg_script *script, const struct fh_uuid *tenant)
{
    struct fh_table books = model_books;
    const struct fh_table *tables[8];
    struct fh_schema from = model_v1;
    struct fh_schema to = model_v1;
    const struct fh_pg_ddl_home home = {
        .namespace = "fh_shared", .role = "app", .tenant = tenant, .ahead = true};
    memcpy(tables, model_v1.tables, model_v1.table_count * sizeof(struct fh_table *));
    books.foreign_key_count = 0;
    tables[model_books.position] = &books;
    from.tables = tables;
    to.version = 2;
    to.previous = &from;
    between(script, &home, &from, &to);
}

/* While row level security is not forced on the owner, nothing is committed. */
static void test_always_forced(void **state)
{
    (void)state;
    static const struct fh_uuid tenant = {{1}};
    const struct fh_uuid *const tenants[] = {NULL, &tenant};
    for (size_t i = 0; i < 2; i++) {
        struct fh_pg_script script;
        struct fh_pg_ddl_step step;
        size_t cursor = 0;
        unsigned off = 0;
        unsigned on = 0;
        unsigned ahead = 0;
        fh_pg_script_init(&script);
        add_references(&script, tenants[i]);
        for (size_t k = 0; fh_pg_script_step(&script, k, &cursor, &step); k++) {
            bool forces = strstr(step.sql, "force row level security") != NULL;
            assert_false(forces && step.ahead);
            off += strstr(step.sql, "no force row level security") != NULL;
            on += forces && strstr(step.sql, "no force") == NULL;
            ahead += step.ahead;
        }
        assert_int_equal(off, on);
        assert_int_equal(off > 0, i == 0);
        assert_true(ahead > 0);
        fh_pg_script_close(&script);
    }
}

static void test_index_of(void **state)
{
    (void)state;
    struct fh_pg_script script;
    fh_pg_script_init(&script);
    between(&script, &shared, NULL, &model_v1);
    size_t found = 0;
    size_t cursor = 0;
    const char *statement = NULL;
    while ((statement = fh_pg_script_next(&script, &cursor)) != NULL) {
        if (strncmp(statement, "create unique index \"", 21) != 0) {
            continue;
        }
        char name[80] = "";
        strncpy(name, statement + 21, sizeof(name) - 1);
        *strchr(name, '"') = '\0';
        const struct fh_table *table =
            strstr(statement, "\"authors\"") != NULL ? &model_authors : &model_books;
        const struct fh_index *index = fh_pg_ddl_index_of(table, name);
        assert_non_null(index);
        assert_true(index->unique);
        found++;
    }
    assert_true(found >= 2);
    assert_null(fh_pg_ddl_index_of(&model_authors, "fh_p0_authors"));
    assert_null(fh_pg_ddl_index_of(&model_authors, ""));
    fh_pg_script_close(&script);
}

/* Every statement on tenants' data names the tenant, unless a test took that layer away. */
static void test_predicates(void **state)
{
    (void)state;
    for (uint32_t kind = FH_PG_GET; kind <= FH_PG_CHILD_FIND; kind++) {
        struct fh_pg_statement_key key;
        memset(&key, 0, sizeof(key));
        key.kind = kind;
        key.table = &model_books;
        strcpy(key.home, "fh_shared");
        struct fh_buf text;
        fh_buf_init(&text, 1 << 20);
        fh_pg_sql(&key, &text);
        assert_int_equal(fh_buf_code(&text), FH_OK);
        if (kind != FH_PG_ROW_INSERT) {
            assert_non_null(strstr(text.data, "tenant_id = $1 and "));
        }
        assert_non_null(strstr(text.data, "\"fh_shared\".\"books\""));
        fh_buf_close(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables), cmocka_unit_test(test_upgrade_adds_only),
        cmocka_unit_test(test_index_of), cmocka_unit_test(test_predicates),
        cmocka_unit_test(test_always_forced)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
