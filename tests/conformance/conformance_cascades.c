/* What becomes of rows that reference a row which is deleted or purged: ON DELETE CASCADE, SET NULL
 * and RESTRICT, in one commit and one record. */
#include <stdio.h>

#include "tests/conformance/lab.h"

#define SCHEMA                                                                                  \
    "create table depots (id bigint primary key, name text);"                                   \
    "create table shelves (depot bigint not null references depots on delete cascade, no "      \
    "integer, "                                                                                 \
    "label text, primary key (depot, no));"                                                     \
    "create table boxes (id bigint primary key, depot bigint, shelf integer, owner bigint "     \
    "references depots on delete set null, tag text generated always as "                       \
    "(coalesce(label, 'none')) stored, label text, unique (label), "                            \
    "foreign key (depot, shelf) references shelves on delete cascade);"                         \
    "create table guards (id bigint primary key, depot bigint references depots, "              \
    "box bigint references boxes on delete set null, check (box is not null or id < 100));"     \
    "create table nodes (id bigint primary key, up bigint references nodes on delete cascade, " \
    "side bigint references nodes on delete set null);"

#define PUT(op, table, key, columns) lab_put(s, FH_WRITE_##op, table, (key), (columns))
#define TRY(op, table, key, columns) lab_try(s, FH_WRITE_##op, table, (key), (columns))
#define EXPECT(table, key, columns) lab_expect(s, table, (key), (columns))

static bool is_live(struct suite *s, const char *table, const char *key)
{
    const struct fh_row *row = lab_row(s, table, key);
    return row->deleted_at_us == 0;
}

/* Depot 1 with shelves 1 and 2; boxes 1 and 2 on shelf 1, 3 on shelf 2, 4 elsewhere but owned. */
static void begin(struct suite *s)
{
    lab_begin(s, SCHEMA);
    PUT(INSERT, "depots", "1", "name=north");
    PUT(INSERT, "depots", "2", "name=south");
    PUT(INSERT, "shelves", "1/1", "label=a");
    PUT(INSERT, "shelves", "1/2", "label=b");
    PUT(INSERT, "shelves", "2/1", "label=c");
    PUT(INSERT, "boxes", "1", "depot=1;shelf=1;label=one");
    PUT(INSERT, "boxes", "2", "depot=1;shelf=1");
    PUT(INSERT, "boxes", "3", "depot=1;shelf=2;owner=1");
    PUT(INSERT, "boxes", "4", "depot=2;shelf=1;owner=1;label=four");
    PUT(INSERT, "guards", "1", "box=1");
}

static void newest_event(struct suite *s, struct fh_commit_record *out)
{
    struct fh_op_events events = {.limit = 1};
    assert_code(suite_events(s, &s->a, &events), FH_OK);
    assert_int_equal(events.count, 1);
    *out = events.records[0];
}

static void test_delete_goes_down(void **state)
{
    struct suite *s = *state;
    struct fh_commit_record record;
    begin(s);
    PUT(DELETE, "depots", "1", "");
    assert_false(is_live(s, "shelves", "1/1"));
    assert_false(is_live(s, "shelves", "1/2"));
    assert_true(is_live(s, "shelves", "2/1"));
    assert_false(is_live(s, "boxes", "1"));
    assert_false(is_live(s, "boxes", "2"));
    assert_false(is_live(s, "boxes", "3")); /* deleted by one reference, set to null by another */
    EXPECT("boxes", "4", "owner=~;depot=2;shelf=1;label=four;tag=four");
    assert_true(is_live(s, "boxes", "4"));
    assert_int_equal(lab_row(s, "boxes", "4")->version, 2);
    EXPECT("guards", "1", "box=~");
    newest_event(s, &record);
    assert_int_equal(record.change_count, 8);
    assert_int_equal(record.changes[0].op, FH_WRITE_DELETE);
    assert_true(fh_str_eq(record.changes[0].table->name, FH_STR("depots")));
    for (size_t i = 0; i < record.change_count; i++) {
        assert_non_null(record.changes[i].before);
        assert_non_null(record.changes[i].after);
    }
    /* Its unique value is free again. */
    PUT(INSERT, "boxes", "9", "label=one");
}

/* Undelete brings back one record, not what went with it. */
static void test_undelete_is_of_one(void **state)
{
    struct suite *s = *state;
    begin(s);
    PUT(DELETE, "depots", "1", "");
    assert_code(TRY(UNDELETE, "shelves", "1/1", ""), FH_REFERENCE_VIOLATION);
    PUT(UNDELETE, "depots", "1", "");
    assert_false(is_live(s, "shelves", "1/1"));
    PUT(UNDELETE, "shelves", "1/1", "");
    PUT(UNDELETE, "boxes", "1", "");
    EXPECT("boxes", "1", "depot=1;shelf=1;label=one;tag=one");
}

static void test_purge_purges(void **state)
{
    struct suite *s = *state;
    struct fh_row *row = NULL;
    struct fh_commit_record record;
    begin(s);
    PUT(DELETE, "boxes", "2", "");
    PUT(PURGE, "shelves", "1/1", "");
    assert_code(suite_get(s, &s->a, lab_key(s, "shelves", "1/1"), true, &row), FH_OK);
    assert_null(row);
    assert_code(suite_get(s, &s->a, lab_key(s, "boxes", "1"), true, &row), FH_OK);
    assert_null(row);
    assert_false(is_live(s, "boxes", "2")); /* deleted before: it references nothing, and stays */
    EXPECT("guards", "1", "box=~");
    newest_event(s, &record);
    assert_int_equal(record.change_count, 3);
    assert_int_equal(record.changes[1].op, FH_WRITE_PURGE);
    assert_null(record.changes[1].after);
}

static void test_restrict_refuses_all(void **state)
{
    struct suite *s = *state;
    begin(s);
    PUT(INSERT, "guards", "2", "depot=1");
    assert_code(TRY(DELETE, "depots", "1", ""), FH_REFERENCE_VIOLATION);
    assert_code(TRY(PURGE, "depots", "1", ""), FH_REFERENCE_VIOLATION);
    assert_true(is_live(s, "shelves", "1/1"));
    assert_true(is_live(s, "boxes", "1"));
    EXPECT("boxes", "4", "owner=1");
    assert_int_equal(lab_row(s, "boxes", "4")->version, 1);
    PUT(DELETE, "guards", "2", "");
    PUT(DELETE, "depots", "1", "");
}

/* A check that the null breaks refuses the whole commit. */
static void test_what_follows_is_checked(void **state)
{
    struct suite *s = *state;
    begin(s);
    PUT(INSERT, "guards", "200", "box=2");
    assert_code(TRY(DELETE, "boxes", "2", ""), FH_CHECK_VIOLATION);
    assert_true(is_live(s, "boxes", "2"));
    EXPECT("guards", "200", "box=2");
}

static void test_cycles_end(void **state)
{
    struct suite *s = *state;
    char key[16];
    char columns[32];
    begin(s);
    PUT(INSERT, "nodes", "1", "");
    for (int i = 2; i <= 6; i++) {
        (void)snprintf(key, sizeof(key), "%d", i);
        (void)snprintf(columns, sizeof(columns), "up=%d", i - 1);
        PUT(INSERT, "nodes", key, columns);
    }
    PUT(INSERT, "nodes", "7", "side=3");
    PUT(UPDATE, "nodes", "1", "up=6");
    PUT(DELETE, "nodes", "4", "");
    for (int i = 1; i <= 6; i++) {
        (void)snprintf(key, sizeof(key), "%d", i);
        assert_false(is_live(s, "nodes", key));
    }
    EXPECT("nodes", "7", "side=~;up=~");
    assert_true(is_live(s, "nodes", "7"));
}

/* The commit's own writes stand; what still references at its end is refused. */
static void test_the_commits_own_writes_stand(void **state)
{
    struct suite *s = *state;
    begin(s);
    struct fh_write writes[] = {*lab_write(s, FH_WRITE_DELETE, "shelves", "1/1", ""),
                                *lab_write(s, FH_WRITE_UPDATE, "boxes", "1", "depot=2;shelf=1")};
    struct fh_op_commit commit = {.writes = writes, .count = 2};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    assert_true(is_live(s, "boxes", "1"));
    assert_false(is_live(s, "boxes", "2"));
    struct fh_write stays[] = {*lab_write(s, FH_WRITE_DELETE, "shelves", "2/1", ""),
                               *lab_write(s, FH_WRITE_UPDATE, "boxes", "1", "label=still")};
    commit = (struct fh_op_commit){.writes = stays, .count = 2};
    assert_code(suite_commit(s, &s->a, &commit), FH_REFERENCE_VIOLATION);
    assert_int_equal(commit.failed_write, 0);
    assert_true(is_live(s, "shelves", "2/1"));
    EXPECT("boxes", "1", "label=one");
}

static void test_replay_answers_the_commits_own(void **state)
{
    struct suite *s = *state;
    begin(s);
    struct fh_write *write = lab_write(s, FH_WRITE_DELETE, "depots", "1", "");
    for (int i = 0; i < 2; i++) {
        struct fh_op_commit commit = {
            .writes = write, .count = 1, .request_id = FH_STR("once"), .request_hash = {1}};
        assert_code(suite_commit(s, &s->a, &commit), FH_OK);
        assert_int_equal(commit.replayed, i == 1);
        assert_non_null(commit.rows[0]);
        assert_int_equal(commit.rows[0]->version, 2);
    }
    struct fh_op_commit trial = {.writes = lab_write(s, FH_WRITE_DELETE, "depots", "2", ""),
                                 .count = 1,
                                 .validate_only = true};
    assert_code(suite_commit(s, &s->a, &trial), FH_OK);
    assert_true(is_live(s, "shelves", "2/1"));
}

static void test_it_is_bounded(void **state)
{
    struct suite *s = *state;
    const int batch = FH_COMMIT_WRITES_MAX;
    char key[24];
    begin(s);
    for (int first = 0; first < 3 * batch; first += batch) {
        struct fh_write *writes = FH_ARENA_ARRAY(&s->arena, struct fh_write, FH_COMMIT_WRITES_MAX);
        struct fh_op_commit commit = {.writes = writes, .count = (size_t)batch};
        assert_non_null(writes);
        if (first == 2 * batch) {
            commit.count = 1; /* one more than may go with a depot */
        }
        for (size_t i = 0; i < commit.count; i++) {
            (void)snprintf(key, sizeof(key), "%zu", 1000 + (size_t)first + i);
            writes[i] = *lab_write(s, FH_WRITE_INSERT, "boxes", key, "owner=2");
        }
        assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    }
    PUT(DELETE, "boxes", "4", "");
    PUT(DELETE, "shelves", "2/1", "");
    assert_code(TRY(DELETE, "depots", "2", ""), FH_TOO_LARGE);
    assert_true(is_live(s, "depots", "2"));
    EXPECT("boxes", "1000", "owner=2");
    PUT(PURGE, "boxes", "1000", "");
    PUT(DELETE, "depots", "2", "");
    EXPECT("boxes", "1500", "owner=~");
    EXPECT("boxes", "2000", "owner=~");
}

/* Another tenant's rows with the same keys stay as they are. */
static void test_only_the_tenants_own(void **state)
{
    struct suite *s = *state;
    begin(s);
    struct fh_uuid a = s->a;
    s->a = s->b;
    PUT(INSERT, "depots", "1", "name=theirs");
    PUT(INSERT, "shelves", "1/1", "");
    PUT(INSERT, "boxes", "1", "depot=1;shelf=1;owner=1");
    s->a = a;
    PUT(DELETE, "depots", "1", "");
    s->a = s->b;
    assert_true(is_live(s, "shelves", "1/1"));
    EXPECT("boxes", "1", "depot=1;shelf=1;owner=1");
    assert_int_equal(lab_row(s, "boxes", "1")->version, 1);
    s->a = a;
}

static const struct CMUnitTest tests[] = {
    LAB_TEST(test_delete_goes_down),
    LAB_TEST(test_undelete_is_of_one),
    LAB_TEST(test_purge_purges),
    LAB_TEST(test_restrict_refuses_all),
    LAB_TEST(test_what_follows_is_checked),
    LAB_TEST(test_cycles_end),
    LAB_TEST(test_the_commits_own_writes_stand),
    LAB_TEST(test_replay_answers_the_commits_own),
    LAB_TEST(test_it_is_bounded),
    LAB_TEST(test_only_the_tenants_own),
};

SUITE_PART(suite_part_cascades, tests)
