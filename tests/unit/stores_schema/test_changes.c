/* What leads from version to version: order, kinds, words, compatibility; and that old records are
 * read with the version that wrote them. */
#include "tests/unit/stores_schema/kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "stores/commit_record.h"
#include "stores/image.h"
#include "stores/schema_change.h"

static struct fh_arena arena;

static int setup(void **state)
{
    (void)state;
    fh_arena_init(&arena, KIT_ARENA_BYTES_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fh_arena_close(&arena);
    return 0;
}

#define FIRST                                                                                   \
    "create table a (id int primary key, n text, m text not null, k int default 1,"             \
    " constraint n_short check (length(n) < 9));"                                               \
    "create table b (id int primary key, a int references a, c int, constraint big check (c > " \
    "0));"                                                                                      \
    "create index b_c on b (c)"

/* Every change, a line each, "!" before those that break. */
static void expect(const struct fh_schema *from, const char *sql, const char *wanted)
{
    const struct fh_schema *to = kit_apply(from, sql, &arena);
    struct fh_schema_change *changes = NULL;
    size_t count = 0;
    assert_int_equal(fh_schema_changes(from, to, &arena, &changes, &count), FH_OK);
    struct fh_buf text;
    fh_buf_init(&text, 65536);
    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || changes[i - 1].kind <= changes[i].kind);
        fh_buf_add_text(&text, changes[i].breaks != NULL ? "!" : "");
        fh_schema_change_describe(&changes[i], &text);
        fh_buf_add_char(&text, '\n');
    }
    assert_int_equal(fh_buf_code(&text), FH_OK);
    assert_string_equal(text.len > 0 ? text.data : "", wanted);
    fh_buf_close(&text);
}

static void test_from_nothing(void **state)
{
    (void)state;
    expect(
        NULL, FIRST,
        "create table a (id integer not null, n text, m text not null, k integer default 1, "
        "primary key (id), check (length(n) < 9))\n"
        "create table b (id integer not null, a integer, c integer, primary key (id), check (c > "
        "0))\n"
        "add index b_c on b (c)\n"
        "add reference b_a_fkey of b: foreign key (a) references a\n");
    expect(NULL, "", "");
}

static void test_changes(void **state)
{
    (void)state;
    const struct fh_schema *one = kit_apply(NULL, FIRST, &arena);
    expect(one, "", "");
    expect(one, "alter table a add w numeric(9,2) not null default 0.50",
           "add column a.w numeric(9,2) not null default 0.50\n");
    expect(one, "alter table a add g bigint generated always as (k + 1) stored",
           "add column a.g bigint generated always as (k + 1) stored\n");
    expect(one, "alter table a rename n to label", "!rename column a.n to label\n");
    expect(one, "alter table a alter k set default 2", "!alter column a.k set default 2\n");
    expect(one, "alter table a alter k drop default", "!alter column a.k drop default\n");
    expect(one, "alter table a alter m set default 'it''s'",
           "alter column a.m set default 'it''s'\n");
    expect(one, "alter table a alter k set default 1, alter k drop not null", "");
    expect(one, "alter table a alter m drop not null", "alter column a.m drop not null\n");
    expect(one, "alter table a alter n set not null", "!alter column a.n set not null\n");
    expect(one, "create unique index u on a (n)", "!add unique index u on a (n)\n");
    expect(one, "create index u on a (n, k)", "add index u on a (n, k)\n");
    expect(one, "alter table a add constraint c check (k > 0)", "!add check c of a: k > 0\n");
    expect(one, "alter table a add z int check (z > 0) unique references b",
           "add column a.z integer\nadd check a_z_check of a: z > 0\n"
           "add unique index a_z_key on a (z)\n"
           "add reference a_z_fkey of a: foreign key (z) references b\n");
    expect(one, "alter table b add foreign key (c) references a on delete cascade",
           "!add reference b_c_fkey of b: foreign key (c) references a on delete cascade\n");
    expect(one, "comment on table a is 'it''s'; comment on column a.n is 'n'",
           "comment on table a is 'it''s'\ncomment on column a.n is 'n'\n");
    expect(one, "drop index b_c; alter table b drop constraint big, drop c",
           "drop check big of b\ndrop index b_c of b\n!drop column b.c\n");
    expect(one, "drop table b", "drop reference b_a_fkey of b\n!drop table b\n");
    expect(one, "drop table b; create table b (id int primary key)",
           "drop reference b_a_fkey of b\n!drop table b\n"
           "create table b (id integer not null, primary key (id))\n");
}

/* A longer list of values takes all that the older version writes; a shorter one does not. */
static void test_enumerations(void **state)
{
    (void)state;
    const struct fh_schema *one = kit_apply(
        NULL, "create table t (id int primary key, s text, constraint e check (s in ('a', 'b')))",
        &arena);
    expect(one, "alter table t drop constraint e, add constraint e check (s in ('b', 'c', 'a'))",
           "drop check e of t\nadd check e of t: s in ('b', 'c', 'a')\n");
    expect(one, "alter table t drop constraint e, add constraint e check (s in ('b', 'c'))",
           "drop check e of t\n!add check e of t: s in ('b', 'c')\n");
    expect(one, "alter table t add constraint f check (s in ('b', 'c', 'a'))",
           "!add check f of t: s in ('b', 'c', 'a')\n");
}

static void test_renames_make_way(void **state)
{
    (void)state;
    const struct fh_schema *one =
        kit_apply(NULL, "create table t (id int primary key, a int, b int, c int, d int)", &arena);
    expect(one,
           "alter table t drop d; alter table t rename c to d; alter table t rename b to c;"
           "alter table t rename a to b; alter table t add a int",
           "!drop column t.d\n!rename column t.c to d\n!rename column t.b to c\n"
           "!rename column t.a to b\nadd column t.a integer\n");
}

/* Dropped and added again in one file: the same reference with another action, no row is looked at.
 */
static void test_action_of_a_reference(void **state)
{
    (void)state;
    const struct fh_schema *one = kit_apply(NULL, FIRST, &arena);
    expect(one,
           "alter table b drop constraint b_a_fkey,"
           " add foreign key (a) references a on delete set null",
           "!alter reference b_a_fkey of b on delete set null\n");
    expect(one,
           "alter table b drop constraint b_a_fkey;"
           "alter table b add constraint b_a_fkey foreign key (c) references a",
           "drop reference b_a_fkey of b\n"
           "!add reference b_a_fkey of b: foreign key (c) references a\n");
    expect(one,
           "alter table b drop constraint b_a_fkey; alter table b drop a, add a int;"
           "alter table b add foreign key (a) references a",
           "drop reference b_a_fkey of b\n!drop column b.a\nadd column b.a integer\n"
           "add reference b_a_fkey of b: foreign key (a) references a\n");
}

static void test_no_memory(void **state)
{
    (void)state;
    const struct fh_schema *one = kit_apply(NULL, FIRST, &arena);
    enum fh_code code = FH_NOMEM;
    for (size_t bytes = 0; code != FH_OK; bytes += 16) {
        assert_true(bytes < 4096);
        struct fh_arena small;
        fh_arena_init(&small, bytes);
        struct fh_schema_change *changes = NULL;
        size_t count = 0;
        code = fh_schema_changes(NULL, one, &small, &changes, &count);
        assert_true(code == FH_OK ? count == 4 : code == FH_NOMEM && count == 0);
        fh_arena_close(&small);
    }
}

/* A record of version 1, read by who knows version 4, where hardly anything is left of its table.
 */
static void test_old_records(void **state)
{
    (void)state;
    const struct fh_schema *one = kit_apply(
        NULL,
        "create table a (n text, id int primary key, m int); create table z (id int primary key)",
        &arena);
    struct fh_row *row = fh_row_create(one->tables[0], &arena);
    row->values[0] = (struct fh_value){.type = FH_TYPE_TEXT, .as.bytes = FH_STR("old")};
    row->values[1] = (struct fh_value){.type = FH_TYPE_INT32, .as.integer = 7};
    row->values[2] = (struct fh_value){.type = FH_TYPE_INT32, .as.integer = 8};
    row->version = 1;
    struct fh_write writes[] = {{.op = FH_WRITE_INSERT, .key.table = one->tables[0]},
                                {.op = FH_WRITE_PURGE, .key.table = one->tables[1]}};
    fh_key_of_row(row, &writes[0].key);
    writes[1].key.values[0] = row->values[1];
    struct fh_buf changes;
    struct fh_buf images;
    fh_buf_init(&changes, 4096);
    fh_buf_init(&images, 4096);
    fh_changes_encode(writes, 2, &changes);
    fh_images_begin(&images);
    fh_images_add(&images, NULL, row);
    fh_images_add(&images, NULL, NULL);

    const struct fh_schema *newest = kit_apply(
        one, "alter table a rename n to label; alter table a rename id to key; drop table z",
        &arena);
    newest = kit_apply(
        newest, "alter table a drop m, add m text; create table z (s text primary key)", &arena);
    newest = kit_apply(newest, "drop table a; create table a (x uuid primary key)", &arena);
    struct fh_commit_record record = {.schema_version = 1, .tenant = row->tenant};
    assert_int_equal(
        fh_commit_record_decode(&record, fh_buf_str(&changes), fh_buf_str(&images), newest, &arena),
        FH_OK);
    assert_int_equal(record.change_count, 2);
    assert_ptr_equal(record.changes[0].table, one->tables[0]);
    assert_true(fh_row_equal(record.changes[0].after, row));
    assert_ptr_equal(record.changes[1].table, one->tables[1]);
    assert_null(fh_schema_table_by_id(newest, record.changes[0].table->id));
    fh_buf_close(&images);
    fh_buf_close(&changes);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_from_nothing),          CASE(test_changes),
        CASE(test_enumerations),          CASE(test_renames_make_way),
        CASE(test_action_of_a_reference), CASE(test_no_memory),
        CASE(test_old_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
