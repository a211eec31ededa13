/* What each kind of schema change does to the rows that are there, and to the writes behind it. */
#include "tests/conformance/lab.h"

#define ITEMS                                                                    \
    "create table items (id bigint primary key, name text not null, note text, " \
    "qty integer default 3, price numeric(8,2), raw bytea);"

#define PUT(op, key, columns) lab_put(s, FH_WRITE_##op, "items", (key), (columns))
#define TRY(op, key, columns) lab_try(s, FH_WRITE_##op, "items", (key), (columns))
#define EXPECT(key, columns) lab_expect(s, "items", (key), (columns))

/* Three rows, one of them deleted. */
static void begin(struct suite *s)
{
    lab_begin(s, ITEMS);
    PUT(INSERT, "1", "name=one;note=first;price=1.50");
    PUT(INSERT, "2", "name=two;qty=20;raw=AAEC");
    PUT(INSERT, "3", "name=three;note=gone");
    PUT(DELETE, "3", "");
}

static void test_column_add(void **state)
{
    struct suite *s = *state;
    begin(s);
    const struct fh_row *was = lab_row(s, "items", "1");
    lab_change(s, "alter table items add column size integer;"
                  "alter table items add column kind varchar(8) not null default 'plain';"
                  "alter table items add column weight numeric(9,3) default 2.5;");
    EXPECT("1", "name=one;note=first;qty=3;price=1.50;size=~;kind=plain;weight=2.500");
    EXPECT("2", "name=two;qty=20;raw=AAEC;size=~;kind=plain;weight=2.500");
    EXPECT("3", "name=three;kind=plain");
    const struct fh_row *row = lab_row(s, "items", "1");
    assert_int_equal(row->version, was->version); /* it was not written, only made larger */
    assert_int_equal(row->updated_at_us, was->updated_at_us);
    assert_int_equal(row->created_at_us, was->created_at_us);
    assert_true(lab_row(s, "items", "3")->deleted_at_us != 0);
    PUT(INSERT, "4", "name=four;size=9;kind=own");
    EXPECT("4", "size=9;kind=own;weight=2.500");
    PUT(UPDATE, "1", "size=7");
    EXPECT("1", "name=one;note=first;size=7;kind=plain");
    PUT(UNDELETE, "3", "");
    EXPECT("3", "name=three;note=gone;kind=plain");
    assert_code(TRY(UPDATE, "1", "kind=~"), FH_CHECK_VIOLATION);
    if (s->engine->durable) {
        suite_reopen(s);
        EXPECT("1", "name=one;size=7;kind=plain;weight=2.500");
    }
}

/* Every type, as an added column's default, for rows that are there. */
static void test_column_add_of_every_type(void **state)
{
    struct suite *s = *state;
    begin(s);
    lab_change(
        s, "alter table items add column d_bool boolean default true;"
           "alter table items add column d_small smallint default -5;"
           "alter table items add column d_big bigint default 9007199254740993;"
           "alter table items add column d_real real default 0.5;"
           "alter table items add column d_double double precision default -0.125;"
           "alter table items add column d_text text default 'it''s \"quoted\"';"
           "alter table items add column d_empty text not null default '';"
           "alter table items add column d_date date default '2024-02-29';"
           "alter table items add column d_at timestamptz default '2024-02-29 12:30:00.000001+00';"
           "alter table items add column d_uuid uuid "
           "default '00112233-4455-6677-8899-aabbccddeeff';"
           "alter table items add column d_json jsonb default '{\"b\": 1, \"a\": [true]}';");
    static const char columns[] =
        "d_bool=true;d_small=-5;d_big=9007199254740993;d_real=0.5;d_double=-0.125;"
        "d_text=it's \"quoted\";d_empty=;d_date=2024-02-29;d_at=2024-02-29T12:30:00.000001Z;"
        "d_uuid=00112233-4455-6677-8899-aabbccddeeff;d_json={\"a\":[true],\"b\":1}";
    EXPECT("1", columns);
    EXPECT("3", columns);
    PUT(INSERT, "4", "name=four");
    EXPECT("4", columns); /* the same whether the row or the column came first */
}

static void test_column_add_generated(void **state)
{
    struct suite *s = *state;
    begin(s);
    lab_change(s, "alter table items add column total bigint "
                  "generated always as (qty * 2 + 1) stored;"
                  "alter table items add column label text "
                  "generated always as (name || '/' || coalesce(note, 'none')) stored;");
    EXPECT("1", "total=7;label=one/first");
    EXPECT("2", "total=41;label=two/none");
    EXPECT("3", "total=7;label=three/gone"); /* deleted rows too: they may come back */
    PUT(UPDATE, "1", "qty=10;note=~");
    EXPECT("1", "total=21;label=one/none");
    PUT(UPDATE, "2", "qty=~");
    EXPECT("2", "total=~;label=two/none");
    assert_code(TRY(UPDATE, "1", "total=5"), FH_INVALID);
}

static void test_column_drop(void **state)
{
    struct suite *s = *state;
    begin(s);
    lab_change(s, "alter table items drop column note;");
    EXPECT("1", "name=one;qty=3;price=1.50");
    EXPECT("2", "name=two;qty=20;raw=AAEC");
    PUT(UPDATE, "1", "qty=4");
    PUT(INSERT, "4", "name=four;price=2.00");
    EXPECT("4", "qty=3;price=2.00");
    /* The name comes back, the values do not. */
    lab_change(s, "alter table items add column note text;");
    EXPECT("1", "note=~;qty=4");
    EXPECT("3", "note=~");
    PUT(UPDATE, "1", "note=new");
    EXPECT("1", "note=new;name=one;price=1.50");
}

static void test_column_rename(void **state)
{
    struct suite *s = *state;
    begin(s);
    lab_change(s, "create unique index items_note on items (note);");
    lab_change(s, "alter table items rename column note to remark;");
    EXPECT("1", "remark=first;name=one");
    EXPECT("3", "remark=gone");
    assert_code(TRY(INSERT, "4", "name=four;remark=first"), FH_UNIQUE_VIOLATION);
    PUT(INSERT, "4", "name=four;remark=gone"); /* of a deleted one */
    /* A name that goes on in the same file, and one that comes back later. */
    lab_change(s, "alter table items rename column remark to spare;"
                  "alter table items rename column name to remark;");
    EXPECT("1", "remark=one;spare=first");
    lab_change(s, "alter table items rename column spare to name;");
    EXPECT("1", "remark=one;name=first");
    EXPECT("4", "remark=four;name=gone");
    assert_code(TRY(UPDATE, "1", "remark=~"), FH_CHECK_VIOLATION);
    PUT(UPDATE, "1", "name=~");
}

static void test_column_default(void **state)
{
    struct suite *s = *state;
    begin(s);
    lab_change(s, "alter table items alter column qty set default 30;"
                  "alter table items alter column note set default 'auto';");
    EXPECT("1", "qty=3;note=first");
    EXPECT("2", "note=~"); /* what is there stays */
    PUT(INSERT, "4", "name=four");
    EXPECT("4", "qty=30;note=auto");
    lab_change(s, "alter table items alter column qty drop default;");
    PUT(INSERT, "5", "name=five");
    EXPECT("5", "qty=~;note=auto");
}

static void test_column_nullable_and_required(void **state)
{
    struct suite *s = *state;
    begin(s);
    assert_code(TRY(UPDATE, "1", "name=~"), FH_CHECK_VIOLATION);
    lab_change(s, "alter table items alter column name drop not null;");
    PUT(UPDATE, "1", "name=~");
    EXPECT("1", "name=~");
    lab_refuse(s, "alter table items alter column name set not null;", FH_CHECK_VIOLATION);
    EXPECT("1", "name=~;note=first");
    PUT(UPDATE, "2", "name=~"); /* nothing of it is there */
    PUT(UPDATE, "1", "name=back");
    PUT(UPDATE, "2", "name=back too");
    lab_change(s, "alter table items alter column name set not null;");
    EXPECT("1", "name=back");
    assert_code(TRY(UPDATE, "1", "name=~"), FH_CHECK_VIOLATION);
    assert_code(TRY(INSERT, "4", "qty=1"), FH_CHECK_VIOLATION);
}

static void test_check_add_and_drop(void **state)
{
    struct suite *s = *state;
    begin(s);
    lab_refuse(s, "alter table items add constraint items_few check (qty < 20);",
               FH_CHECK_VIOLATION);
    PUT(UPDATE, "2", "qty=30"); /* nothing of it is there */
    lab_change(s, "alter table items add constraint items_range check (qty between 1 and 30);"
                  "alter table items add constraint items_name "
                  "check (name in ('one', 'two', 'three', 'four'));");
    EXPECT("2", "qty=30");
    assert_code(TRY(UPDATE, "1", "qty=31"), FH_CHECK_VIOLATION);
    assert_code(TRY(INSERT, "4", "name=four;qty=0"), FH_CHECK_VIOLATION);
    assert_code(TRY(INSERT, "4", "name=five"), FH_CHECK_VIOLATION);
    PUT(INSERT, "4", "name=four;qty=~"); /* null passes */
    EXPECT("1", "qty=3");
    lab_change(s, "alter table items drop constraint items_range;");
    PUT(UPDATE, "1", "qty=31");
    assert_code(TRY(UPDATE, "1", "name=five"), FH_CHECK_VIOLATION); /* the other one stays */
}

static void test_index_add_and_drop(void **state)
{
    struct suite *s = *state;
    begin(s);
    PUT(INSERT, "4", "name=one");
    lab_refuse(s, "create unique index items_name on items (name);", FH_UNIQUE_VIOLATION);
    PUT(INSERT, "5", "name=one");
    PUT(DELETE, "4", "");
    PUT(UPDATE, "5", "name=five");
    lab_change(s, "create unique index items_name on items (name);"
                  "create index items_qty on items (qty, name);"); /* 4 is deleted */
    assert_code(TRY(INSERT, "6", "name=one"), FH_UNIQUE_VIOLATION);
    assert_code(TRY(UNDELETE, "4", ""), FH_UNIQUE_VIOLATION);
    PUT(INSERT, "6", "name=six");
    lab_change(s, "drop index items_name;");
    PUT(UPDATE, "6", "name=one");
    PUT(UNDELETE, "4", "");
    lab_change(s, "alter table items add constraint items_once unique (note, price);");
    PUT(UPDATE, "6", "note=first;price=1.51");
    assert_code(TRY(UPDATE, "6", "price=1.50"), FH_UNIQUE_VIOLATION);
    lab_change(s, "alter table items drop constraint items_once;");
    PUT(UPDATE, "6", "price=1.50");
}

static void test_table_create_and_drop(void **state)
{
    struct suite *s = *state;
    begin(s);
    lab_change(s, "create table parts (item bigint, nr integer, note text unique, "
                  "primary key (item, nr), foreign key (item) references items);");
    assert_code(lab_try(s, FH_WRITE_INSERT, "parts", "9/1", ""), FH_REFERENCE_VIOLATION);
    lab_put(s, FH_WRITE_INSERT, "parts", "1/1", "note=part");
    assert_code(TRY(DELETE, "1", ""), FH_REFERENCE_VIOLATION);
    lab_change(s, "drop table parts;");
    assert_null(fh_schema_table(s->schema, FH_STR("parts")));
    PUT(DELETE, "1", ""); /* nobody references it any more */
    PUT(UNDELETE, "1", "");
    lab_change(s, "create table parts (nr integer primary key, other boolean);");
    assert_int_equal(lab_count(s, "parts"), 0); /* another one, of the same name */
    lab_put(s, FH_WRITE_INSERT, "parts", "1", "other=true");
    EXPECT("1", "name=one;note=first");
    EXPECT("2", "name=two");
}

/* What comes under a name that goes in the same file is another thing, whatever it looks like. */
static void test_names_change_hands(void **state)
{
    struct suite *s = *state;
    begin(s);
    lab_change(s, "create table parts (nr integer primary key, note text);");
    lab_put(s, FH_WRITE_INSERT, "parts", "1", "note=old");
    lab_change(s, "drop table parts;"
                  "create table parts (nr integer primary key, note text);"
                  "alter table items drop column note;"
                  "alter table items add column note text;");
    assert_int_equal(lab_count(s, "parts"), 0);
    lab_put(s, FH_WRITE_INSERT, "parts", "1", "note=new");
    EXPECT("1", "name=one;note=~");
    PUT(UPDATE, "1", "note=new");
    EXPECT("1", "note=new");
}

static void test_reference_add_and_drop(void **state)
{
    struct suite *s = *state;
    begin(s);
    lab_change(s, "create table parts (nr integer primary key, item bigint);");
    lab_put(s, FH_WRITE_INSERT, "parts", "1", "item=1");
    lab_put(s, FH_WRITE_INSERT, "parts", "2", "item=~");
    lab_put(s, FH_WRITE_INSERT, "parts", "3", "item=77");
    static const char add[] = "alter table parts add constraint parts_item "
                              "foreign key (item) references items (id);";
    lab_refuse(s, add, FH_REFERENCE_VIOLATION);
    lab_put(s, FH_WRITE_UPDATE, "parts", "3", "item=78"); /* nothing of it is there */
    lab_put(s, FH_WRITE_DELETE, "parts", "3", "");
    lab_change(s, add); /* a deleted row references nothing */
    assert_code(lab_try(s, FH_WRITE_INSERT, "parts", "4", "item=5"), FH_REFERENCE_VIOLATION);
    assert_code(lab_try(s, FH_WRITE_UNDELETE, "parts", "3", ""), FH_REFERENCE_VIOLATION);
    assert_code(TRY(DELETE, "1", ""), FH_REFERENCE_VIOLATION);
    lab_put(s, FH_WRITE_INSERT, "parts", "4", "item=2");
    lab_change(s, "alter table parts drop constraint parts_item;");
    PUT(DELETE, "1", "");
    lab_put(s, FH_WRITE_UNDELETE, "parts", "3", "");
}

/* A live record references live records only: also when the reference comes later. */
static void test_reference_add_looks_for_live_rows(void **state)
{
    struct suite *s = *state;
    begin(s);
    lab_change(s, "create table parts (nr integer primary key, item bigint);");
    lab_put(s, FH_WRITE_INSERT, "parts", "1", "item=3"); /* which is deleted */
    static const char add[] = "alter table parts add constraint parts_item "
                              "foreign key (item) references items;";
    lab_refuse(s, add, FH_REFERENCE_VIOLATION);
    PUT(UNDELETE, "3", "");
    lab_change(s, add);
}

static void test_nothing_physical(void **state)
{
    struct suite *s = *state;
    begin(s);
    lab_change(s, "comment on table items is 'what there is';"
                  "comment on column items.name is 'how it is called';");
    assert_int_equal(suite_version(s, &s->a), 2);
    EXPECT("1", "name=one;note=first");
    PUT(UPDATE, "1", "note=more");
}

/* The change of one tenant's rows is no other's: in a shared home both change, in dedicated ones
 * each by itself. */
static void test_both_tenants(void **state)
{
    struct suite *s = *state;
    begin(s);
    struct fh_write *write = lab_write(s, FH_WRITE_INSERT, "items", "1", "name=of b;qty=8");
    suite_must_write(s, &s->b, write);
    lab_change(
        s, "alter table items drop column note;"
           "alter table items add column twice integer generated always as (qty + qty) stored;");
    EXPECT("1", "name=one;twice=6");
    struct fh_row *row = suite_row(s, &s->b, lab_key(s, "items", "1"));
    const struct fh_column *twice = fh_table_column(row->table, FH_STR("twice"));
    assert_int_equal(row->values[twice->position].as.integer, 16);
    assert_true(fh_uuid_eq(&row->tenant, &s->b));
}

static const struct CMUnitTest tests[] = {
    LAB_TEST(test_column_add),
    LAB_TEST(test_column_add_of_every_type),
    LAB_TEST(test_column_add_generated),
    LAB_TEST(test_column_drop),
    LAB_TEST(test_column_rename),
    LAB_TEST(test_column_default),
    LAB_TEST(test_column_nullable_and_required),
    LAB_TEST(test_check_add_and_drop),
    LAB_TEST(test_index_add_and_drop),
    LAB_TEST(test_table_create_and_drop),
    LAB_TEST(test_names_change_hands),
    LAB_TEST(test_reference_add_and_drop),
    LAB_TEST(test_reference_add_looks_for_live_rows),
    LAB_TEST(test_nothing_physical),
    LAB_TEST(test_both_tenants),
};
SUITE_PART(suite_part_changes, tests)
