/* Homes that went through several versions: their rows, their records, and moves from them. */
#include "tests/conformance/lab.h"

#define BASE                                                                     \
    "create table items (id bigint primary key, name text not null, note text, " \
    "qty integer default 3);"                                                    \
    "create table logs (id bigint primary key, line text);"                      \
    "create table tags (item bigint references items, tag text, primary key (item, tag));"
/* Whatever is before it in the physical tables goes, or gets another place. */
#define SECOND                                              \
    "alter table items drop column note;"                   \
    "alter table items rename column name to title;"        \
    "alter table items add column size smallint default 1;" \
    "drop table logs;"
#define THIRD                                                                         \
    "alter table items add column note varchar(20) default 'none' not null;"          \
    "alter table items add column twice bigint generated always as (qty * 2) stored;" \
    "alter table items add constraint items_size check (size < 100);"                 \
    "create table logs (nr integer primary key, at timestamptz default now());"       \
    "create unique index tags_tag on tags (tag);"

static void begin(struct suite *s)
{
    lab_begin(s, BASE);
    lab_put(s, FH_WRITE_INSERT, "items", "1", "name=one;note=first");
    lab_put(s, FH_WRITE_INSERT, "items", "2", "name=two;qty=9");
    lab_put(s, FH_WRITE_DELETE, "items", "2", "");
    lab_put(s, FH_WRITE_INSERT, "logs", "1", "line=said");
    lab_put(s, FH_WRITE_INSERT, "tags", "1/red", "");
}

static void climb(struct suite *s)
{
    lab_change(s, SECOND);
    lab_put(s, FH_WRITE_UPDATE, "items", "1", "title=uno;size=5");
    lab_change(s, THIRD);
    lab_put(s, FH_WRITE_INSERT, "items", "3", "title=three;note=own");
    lab_put(s, FH_WRITE_INSERT, "logs", "1", "");
}

static void test_several_versions_at_once(void **state)
{
    struct suite *s = *state;
    begin(s);
    const struct fh_schema *second = lab_parse(s, s->schema, SECOND);
    suite_apply_schema(s, lab_parse(s, second, THIRD));
    assert_int_equal(suite_version(s, &s->a), 3);
    lab_expect(s, "items", "1", "title=one;size=1;note=none;twice=6");
    lab_expect(s, "items", "2", "title=two;qty=9;note=none;twice=18");
    assert_int_equal(lab_count(s, "logs"), 0);
    assert_int_equal(lab_count(s, "tags"), 1);
    lab_put(s, FH_WRITE_UPDATE, "items", "1", "qty=50");
    lab_expect(s, "items", "1", "twice=100");
    if (s->engine->durable) {
        suite_reopen(s);
        lab_expect(s, "items", "1", "title=one;size=1;note=none;twice=100");
    }
}

/* It ends at a version, and says at which. */
static void test_a_step_that_fails(void **state)
{
    struct suite *s = *state;
    begin(s);
    const struct fh_schema *first = s->schema;
    const struct fh_schema *second = lab_parse(s, first, SECOND);
    const struct fh_schema *third =
        lab_parse(s, second, "alter table items add constraint items_qty check (qty > 3);");
    struct fh_request request = suite_schema_request(s, &s->a, third);
    assert_code(suite_run(s, &request), FH_CHECK_VIOLATION);
    uint32_t version = suite_version(s, &s->a);
    assert_true(version == 1 || version == 2);
    assert_int_equal(request.as.schema.version_seen, version);
    s->schema = version == 1 ? first : second;
    lab_expect(s, "items", "1", version == 1 ? "name=one;note=first" : "title=one;size=1");
    lab_put(s, FH_WRITE_UPDATE, "items", "1", "qty=4");
    suite_apply_schema(s, third);
    assert_int_equal(suite_version(s, &s->a), 3);
    lab_expect(s, "items", "1", "title=one;size=1;qty=4");
    assert_code(lab_try(s, FH_WRITE_UPDATE, "items", "1", "qty=2"), FH_CHECK_VIOLATION);
}

/* The newest schema reads what was written under any before it, as it was then. */
static void test_old_records(void **state)
{
    struct suite *s = *state;
    begin(s);
    climb(s);
    struct fh_op_events events = {.limit = 100};
    assert_code(suite_events(s, &s->a, &events), FH_OK);
    static const struct {
        uint32_t version;
        const char *table;
        const char *column; /* of the image behind it */
        const char *value;
    } expected[] = {{3, "logs", NULL, NULL},      {3, "items", "note", "own"},
                    {2, "items", "title", "uno"}, {1, "tags", NULL, NULL},
                    {1, "logs", "line", "said"},  {1, "items", "name", "two"},
                    {1, "items", "name", "two"},  {1, "items", "note", "first"}};
    assert_int_equal(events.count, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < events.count; i++) {
        const struct fh_commit_record *record = &events.records[i];
        assert_int_equal(record->schema_version, expected[i].version);
        assert_int_equal(record->change_count, 1);
        const struct fh_table *table = record->changes[0].table;
        assert_true(fh_str_eq(table->name, fh_str_of(expected[i].table)));
        const struct fh_schema *then = fh_schema_at(s->schema, record->schema_version);
        assert_ptr_equal(fh_schema_table(then, table->name), table);
        const struct fh_row *after = record->changes[0].after;
        assert_non_null(after);
        if (expected[i].column != NULL) {
            const struct fh_column *column = fh_table_column(table, fh_str_of(expected[i].column));
            assert_non_null(column);
            suite_assert_text(&after->values[column->position], expected[i].value);
        }
    }
}

/* A mover that comes back behind a change gets the keys in the tables of today. */
static void test_changes_of_older_versions(void **state)
{
    struct suite *s = *state;
    begin(s);
    struct mover m = mover_of(s, &s->a);
    struct view base = mover_open(&m);
    struct fh_str cursor;
    assert_code(fh_arena_str(&s->arena, base.cursor, &cursor), FH_OK);
    mover_close(&m, &base);
    lab_put(s, FH_WRITE_UPDATE, "items", "1", "note=again");
    lab_put(s, FH_WRITE_INSERT, "logs", "2", "line=more"); /* of a table that goes */
    lab_put(s, FH_WRITE_PURGE, "items", "2", "");
    climb(s);
    struct view view = mover_open(&m);
    struct delta delta = mover_delta(&m, &view, cursor, 2, 0);
    assert_int_equal(delta.journal.count, 6);
    assert_int_equal(delta.keys.count, 4);
    const struct fh_key keys[] = {lab_key(s, "items", "1"), lab_key(s, "items", "2"),
                                  lab_key(s, "items", "3"), lab_key(s, "logs", "1")};
    for (size_t i = 0; i < 4; i++) {
        size_t k = 0;
        while (k < 4 && fh_key_compare(&delta.keys.keys[k], &keys[i]) != 0) {
            k++;
        }
        assert_true(k < 4);
        assert_ptr_equal(delta.keys.keys[k].table, keys[i].table);
        assert_int_equal(delta.rows[k] == NULL, i == 1);
    }
    mover_close(&m, &view);
}

/* A home that grew and one that was made as it is now hold the same, for a mover. */
static void test_a_home_that_grew_moves(void **state)
{
    struct suite *s = *state;
    begin(s);
    climb(s);
    suite_open_other(s);
    struct mover m = mover_of(s, &s->a);
    struct rows rows = mover_rows(&m, NULL, 2);
    struct journal journal = mover_journal(&m, NULL, 3);
    assert_int_equal(rows.count, 5);
    struct fh_row *was = lab_row(s, "items", "1");
    suite_swap(s);
    assert_code(suite_home_create(s, &s->a, 2, 1, FH_FENCE_OPEN), FH_OK);
    s->epoch = m.epoch = 2; /* its own records begin anew */
    mover_apply(&m, (struct fh_op_apply){.rows = rows.rows,
                                         .row_count = rows.count,
                                         .journal = journal.rows,
                                         .journal_count = journal.count});
    struct rows there = mover_rows(&m, NULL, 100);
    struct journal recorded = mover_journal(&m, NULL, 100);
    assert_same_rows_all(&there, &rows);
    assert_same_journal(&recorded, &journal);
    struct fh_error error = FH_ERROR_INIT;
    assert_code(mover_try_references(&m, &error), FH_OK);
    assert_true(fh_row_equal(lab_row(s, "items", "1"), was));
    lab_put(s, FH_WRITE_UPDATE, "items", "1", "qty=8");
    lab_expect(s, "items", "1", "title=uno;size=5;note=none;twice=16");
    struct fh_op_events events = {.limit = 100};
    assert_code(suite_events(s, &s->a, &events), FH_OK);
    assert_int_equal(events.count, journal.count + 1);
    suite_swap(s);
}

static void test_tables_of_an_older_version(void **state)
{
    struct suite *s = *state;
    begin(s);
    struct fh_key old = lab_key(s, "items", "1");
    lab_change(s, SECOND);
    struct fh_row *row = NULL;
    assert_code(suite_get(s, &s->a, old, true, &row), FH_INVALID);
    struct fh_write *write = suite_new(s, FH_WRITE_PURGE, old);
    assert_code(suite_write(s, &s->a, write, NULL), FH_INVALID);
    lab_expect(s, "items", "1", "title=one");
}

static void test_replay_of_an_older_version(void **state)
{
    struct suite *s = *state;
    begin(s);
    struct fh_op_commit commit = {
        .writes = lab_write(s, FH_WRITE_INSERT, "items", "7", "name=seven;note=n"),
        .count = 1,
        .request_id = FH_STR("seven")};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    const uint64_t seq = commit.seq;
    climb(s);
    commit.writes = lab_write(s, FH_WRITE_INSERT, "items", "7", "title=seven");
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    assert_true(commit.replayed);
    assert_int_equal(commit.seq, seq);
    assert_non_null(commit.rows[0]);
    lab_expect(s, "items", "7", "title=seven");
}

static const struct CMUnitTest tests[] = {
    LAB_TEST(test_several_versions_at_once),
    LAB_TEST(test_a_step_that_fails),
    LAB_TEST(test_old_records),
    LAB_TEST(test_changes_of_older_versions),
    LAB_TEST(test_a_home_that_grew_moves),
    LAB_TEST(test_tables_of_an_older_version),
    LAB_TEST(test_replay_of_an_older_version),
};
SUITE_PART(suite_part_upgrades, tests)
