/* Cascades over a small store of rows in memory: what follows from a delete, in which order, and
 * where it ends. The store answers questions from its rows; a page is as long as the question's
 * limit allows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "stores/cascade.h"

#define ARENA_MAX ((size_t)64 * 1024 * 1024)
#define ROWS_MAX 2000
#define NOW_US 1000000

#define NAME(text)                              \
    {                                           \
        .data = (text), .len = sizeof(text) - 1 \
    }

/* parents(id); children(id, parent cascade); notes(id, child set null, parent cascade, parent2 set
 * null, required set null but NOT NULL); nodes(id, up cascade,
 * side cascade) */
enum { PARENTS, CHILDREN, NOTES, NODES };
enum { NOTE_ID, NOTE_CHILD, NOTE_PARENT, NOTE_REQUIRED };

static const struct fh_column parent_columns[] = {
    {.name = NAME("id"), .type = FH_TYPE_INT64, .not_null = true}};
static const struct fh_table parents = {.name = NAME("parents"),
                                        .position = PARENTS,
                                        .id = 10,
                                        .column_count = 1,
                                        .key_count = 1,
                                        .columns = parent_columns};
static const struct fh_table children;
static const struct fh_table nodes;

static const struct fh_column child_columns[] = {
    {.name = NAME("id"), .type = FH_TYPE_INT64, .not_null = true},
    {.name = NAME("parent"), .type = FH_TYPE_INT64, .position = 1, .id = 1}};
static const struct fh_foreign_key child_keys[] = {{.name = NAME("children_parent"),
                                                    .on_delete = FH_REFERENCE_CASCADE,
                                                    .target = &parents,
                                                    .column_count = 1,
                                                    .columns = {1}}};
static const struct fh_table children = {.name = NAME("children"),
                                         .position = CHILDREN,
                                         .id = 11,
                                         .column_count = 2,
                                         .key_count = 1,
                                         .foreign_key_count = 1,
                                         .columns = child_columns,
                                         .foreign_keys = child_keys};

static const struct fh_column note_columns[] = {
    {.name = NAME("id"), .type = FH_TYPE_INT64, .not_null = true},
    {.name = NAME("child"), .type = FH_TYPE_INT64, .position = NOTE_CHILD, .id = NOTE_CHILD},
    {.name = NAME("parent"), .type = FH_TYPE_INT64, .position = NOTE_PARENT, .id = NOTE_PARENT},
    {.name = NAME("required"),
     .type = FH_TYPE_INT64,
     .not_null = true,
     .position = NOTE_REQUIRED,
     .id = NOTE_REQUIRED}};
static const struct fh_foreign_key note_keys[] = {{.name = NAME("notes_child"),
                                                   .on_delete = FH_REFERENCE_SET_NULL,
                                                   .target = &children,
                                                   .column_count = 1,
                                                   .columns = {NOTE_CHILD}},
                                                  {.name = NAME("notes_parent"),
                                                   .on_delete = FH_REFERENCE_CASCADE,
                                                   .target = &parents,
                                                   .column_count = 1,
                                                   .columns = {NOTE_PARENT}},
                                                  {.name = NAME("notes_required"),
                                                   .on_delete = FH_REFERENCE_SET_NULL,
                                                   .target = &nodes,
                                                   .column_count = 1,
                                                   .columns = {NOTE_REQUIRED}}};
static const struct fh_table notes = {.name = NAME("notes"),
                                      .position = NOTES,
                                      .id = 12,
                                      .column_count = 4,
                                      .key_count = 1,
                                      .foreign_key_count = 3,
                                      .columns = note_columns,
                                      .foreign_keys = note_keys};

static const struct fh_column node_columns[] = {
    {.name = NAME("id"), .type = FH_TYPE_INT64, .not_null = true},
    {.name = NAME("up"), .type = FH_TYPE_INT64, .position = 1, .id = 1},
    {.name = NAME("side"), .type = FH_TYPE_INT64, .position = 2, .id = 2}};
static const struct fh_foreign_key node_keys[] = {{.name = NAME("nodes_up"),
                                                   .on_delete = FH_REFERENCE_CASCADE,
                                                   .target = &nodes,
                                                   .column_count = 1,
                                                   .columns = {1}},
                                                  {.name = NAME("nodes_side"),
                                                   .on_delete = FH_REFERENCE_CASCADE,
                                                   .target = &nodes,
                                                   .column_count = 1,
                                                   .columns = {2}}};
static const struct fh_table nodes = {.name = NAME("nodes"),
                                      .position = NODES,
                                      .id = 13,
                                      .column_count = 3,
                                      .key_count = 1,
                                      .foreign_key_count = 2,
                                      .columns = node_columns,
                                      .foreign_keys = node_keys};
static const struct fh_table *const tables[] = {&parents, &children, &notes, &nodes};
static const struct fh_schema schema = {.version = 1, .table_count = 4, .tables = tables};
static const struct fh_uuid tenant = {{7}};

struct store {
    struct fh_arena arena;
    struct fh_row *rows[ROWS_MAX];
    size_t count;
    size_t questions;
    struct fh_error error;
    size_t failed_write;
};

static void open_store(struct store *store)
{
    memset(store, 0, sizeof(*store));
    fh_arena_init(&store->arena, ARENA_MAX);
    store->failed_write = SIZE_MAX;
}

static struct fh_value number(int64_t value)
{
    return (struct fh_value){.type = FH_TYPE_INT64, .is_null = value == 0, .as.integer = value};
}

/* Up to three columns behind the key; 0 is null. */
static void add(struct store *store, const struct fh_table *table, int64_t id, int64_t a, int64_t b,
                int64_t c)
{
    int64_t columns[] = {id, a, b, c};
    struct fh_row *row = fh_row_create(table, &store->arena);
    assert_non_null(row);
    assert_true(store->count < ROWS_MAX);
    row->tenant = tenant;
    row->version = 1;
    row->created_at_us = 1;
    for (uint16_t i = 0; i < table->column_count; i++) {
        row->values[i] = number(columns[i]);
    }
    store->rows[store->count++] = row;
}

static struct fh_row *find(const struct store *store, const struct fh_key *key)
{
    for (size_t i = 0; i < store->count; i++) {
        struct fh_key other;
        fh_key_of_row(store->rows[i], &other);
        if (fh_key_compare(&other, key) == 0) {
            return store->rows[i];
        }
    }
    return NULL;
}

static bool references(const struct fh_row *row, const struct fh_cascade_question *question)
{
    const struct fh_value *value = &row->values[question->reference->columns[0]];
    return row->table == question->child && row->deleted_at_us == 0 && !value->is_null &&
           value->as.integer == question->parent->values[0].as.integer;
}

static int by_key(const void *a, const void *b)
{
    struct fh_key x;
    struct fh_key y;
    fh_key_of_row(*(struct fh_row *const *)a, &x);
    fh_key_of_row(*(struct fh_row *const *)b, &y);
    return fh_key_compare(&x, &y);
}

static size_t answer(struct store *store, const struct fh_cascade_question *question,
                     struct fh_row **page)
{
    size_t count = 0;
    qsort(store->rows, store->count, sizeof(struct fh_row *), by_key);
    store->questions++;
    for (size_t i = 0; i < store->count && count < question->limit; i++) {
        struct fh_key key;
        fh_key_of_row(store->rows[i], &key);
        if (references(store->rows[i], question) &&
            (question->after == NULL || fh_key_compare(&key, question->after) > 0)) {
            page[count++] = store->rows[i];
        }
    }
    return count;
}

static struct fh_write write_of(enum fh_write_op op, const struct fh_table *table, int64_t id)
{
    return (struct fh_write){.op = op, .key = {.table = table, .values = {number(id)}}};
}

static enum fh_code run(struct store *store, const struct fh_write *writes, size_t count,
                        const struct fh_cascade_write **out, size_t *out_count)
{
    struct fh_row *before[8] = {NULL};
    struct fh_row *after[8] = {NULL};
    struct fh_cascade *cascade = NULL;
    assert_true(count <= 8);
    *out = NULL;
    *out_count = 0;
    for (size_t i = 0; i < count; i++) {
        before[i] = find(store, &writes[i].key);
        enum fh_code code = fh_write_evaluate(&writes[i], before[i], &tenant, NOW_US, &store->arena,
                                              &after[i], &store->error);
        if (code != FH_OK) {
            return code;
        }
    }
    enum fh_code code = fh_cascade_begin(&schema, &tenant, NOW_US, writes, before, after, count,
                                         &store->arena, &cascade);
    struct fh_cascade_question question;
    while (code == FH_OK && cascade != NULL && fh_cascade_next(cascade, &question)) {
        struct fh_row *page[FH_CASCADE_PAGE_MAX];
        size_t rows = answer(store, &question, page);
        code = fh_cascade_answer(cascade, page, rows, &store->error);
    }
    if (code == FH_OK && cascade != NULL) {
        code = fh_cascade_finish(cascade, out, out_count, &store->failed_write, &store->error);
    }
    return code;
}

static void expect(const struct fh_cascade_write *write, enum fh_write_op op,
                   const struct fh_table *table, int64_t id)
{
    assert_int_equal(write->write.op, op);
    assert_ptr_equal(write->write.key.table, table);
    assert_int_equal(write->write.key.values[0].as.integer, id);
    assert_non_null(write->before);
    assert_true((write->after == NULL) == (op == FH_WRITE_PURGE));
}

/* parent 1 with children 1 and 2; notes 1 (child 1), 2 (child 2 and parent 1), 3 (child 9) */
static void fill(struct store *store)
{
    add(store, &parents, 1, 0, 0, 0);
    add(store, &parents, 2, 0, 0, 0);
    add(store, &children, 1, 1, 0, 0);
    add(store, &children, 2, 1, 0, 0);
    add(store, &children, 3, 2, 0, 0);
    add(store, &notes, 1, 1, 0, 5);
    add(store, &notes, 2, 2, 1, 5);
    add(store, &notes, 3, 9, 0, 5);
}

static void nothing_follows_where_nothing_refers(void **state)
{
    struct store store;
    const struct fh_cascade_write *writes = NULL;
    size_t count = 0;
    (void)state;
    open_store(&store);
    fill(&store);
    struct fh_write write = write_of(FH_WRITE_DELETE, &notes, 1);
    assert_int_equal(run(&store, &write, 1, &writes, &count), FH_OK);
    assert_int_equal(count, 0);
    assert_int_equal(store.questions, 0);
    fh_arena_close(&store.arena);
}

static void a_delete_goes_down_and_sets_null(void **state)
{
    struct store store;
    const struct fh_cascade_write *writes = NULL;
    size_t count = 0;
    (void)state;
    open_store(&store);
    fill(&store);
    struct fh_write write = write_of(FH_WRITE_DELETE, &parents, 1);
    assert_int_equal(run(&store, &write, 1, &writes, &count), FH_OK);
    assert_int_equal(count, 4);
    expect(&writes[0], FH_WRITE_DELETE, &children, 1);
    expect(&writes[1], FH_WRITE_DELETE, &children, 2);
    expect(&writes[2], FH_WRITE_UPDATE, &notes, 1);
    assert_true(writes[2].after->values[NOTE_CHILD].is_null);
    assert_int_equal(writes[2].after->values[NOTE_REQUIRED].as.integer, 5);
    assert_int_equal(writes[2].after->version, 2);
    /* One reference would set it to null, another deletes it: it is deleted. */
    expect(&writes[3], FH_WRITE_DELETE, &notes, 2);
    assert_int_equal(writes[3].after->deleted_at_us, NOW_US);
    assert_int_equal(writes[3].after->values[NOTE_CHILD].as.integer, 2);
    fh_arena_close(&store.arena);
}

static void a_purge_purges(void **state)
{
    struct store store;
    const struct fh_cascade_write *writes = NULL;
    size_t count = 0;
    (void)state;
    open_store(&store);
    fill(&store);
    struct fh_write write = write_of(FH_WRITE_PURGE, &parents, 2);
    assert_int_equal(run(&store, &write, 1, &writes, &count), FH_OK);
    assert_int_equal(count, 1);
    expect(&writes[0], FH_WRITE_PURGE, &children, 3);
    fh_arena_close(&store.arena);
}

static void each_goes_its_own_way(void **state)
{
    struct store store;
    const struct fh_cascade_write *writes = NULL;
    size_t count = 0;
    (void)state;
    open_store(&store);
    add(&store, &nodes, 1, 0, 0, 0);
    add(&store, &nodes, 2, 1, 0, 0);
    add(&store, &nodes, 3, 2, 0, 0);
    add(&store, &parents, 1, 0, 0, 0);
    add(&store, &children, 1, 1, 0, 0);
    struct fh_write commit[] = {write_of(FH_WRITE_DELETE, &parents, 1),
                                write_of(FH_WRITE_PURGE, &nodes, 1)};
    assert_int_equal(run(&store, commit, 2, &writes, &count), FH_OK);
    assert_int_equal(count, 3);
    expect(&writes[0], FH_WRITE_DELETE, &children, 1);
    expect(&writes[1], FH_WRITE_PURGE, &nodes, 2);
    expect(&writes[2], FH_WRITE_PURGE, &nodes, 3);
    assert_int_equal(writes[0].origin, 0);
    assert_int_equal(writes[2].origin, 1);
    fh_arena_close(&store.arena);
}

static void cycles_end(void **state)
{
    struct store store;
    const struct fh_cascade_write *writes = NULL;
    size_t count = 0;
    (void)state;
    open_store(&store);
    for (int64_t i = 1; i <= 5; i++) {
        add(&store, &nodes, i, i % 5 + 1, 0, 0);
    }
    struct fh_write write = write_of(FH_WRITE_DELETE, &nodes, 3);
    assert_int_equal(run(&store, &write, 1, &writes, &count), FH_OK);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(writes[i].write.op, FH_WRITE_DELETE);
        assert_int_not_equal(writes[i].write.key.values[0].as.integer, 3);
    }
    fh_arena_close(&store.arena);
}

/* A cycle that is entered from beside, and never leads back to where it began. */
static void a_key_is_taken_once(void **state)
{
    struct store store;
    const struct fh_cascade_write *writes = NULL;
    size_t count = 0;
    (void)state;
    open_store(&store);
    add(&store, &nodes, 1, 2, 9, 0);
    add(&store, &nodes, 2, 1, 0, 0);
    add(&store, &nodes, 9, 0, 0, 0);
    struct fh_write write = write_of(FH_WRITE_DELETE, &nodes, 9);
    assert_int_equal(run(&store, &write, 1, &writes, &count), FH_OK);
    assert_int_equal(count, 2);
    assert_int_equal(store.questions, 9); /* three references to each of three keys */
    fh_arena_close(&store.arena);
}

static void a_purge_wins_over_a_delete(void **state)
{
    struct store store;
    const struct fh_cascade_write *writes = NULL;
    size_t count = 0;
    (void)state;
    open_store(&store);
    add(&store, &nodes, 1, 0, 0, 0);
    add(&store, &nodes, 2, 0, 0, 0);
    add(&store, &nodes, 3, 1, 2, 0);
    add(&store, &nodes, 4, 3, 0, 0);
    for (int purged = 1; purged <= 2; purged++) {
        struct fh_write commit[] = {
            write_of(purged == 1 ? FH_WRITE_PURGE : FH_WRITE_DELETE, &nodes, 1),
            write_of(purged == 2 ? FH_WRITE_PURGE : FH_WRITE_DELETE, &nodes, 2)};
        assert_int_equal(run(&store, commit, 2, &writes, &count), FH_OK);
        assert_int_equal(count, 2);
        expect(&writes[0], FH_WRITE_PURGE, &nodes, 3);
        expect(&writes[1], FH_WRITE_PURGE, &nodes, 4);
    }
    fh_arena_close(&store.arena);
}

static void what_the_commit_writes_is_left_to_it(void **state)
{
    struct store store;
    const struct fh_cascade_write *writes = NULL;
    size_t count = 0;
    (void)state;
    open_store(&store);
    fill(&store);
    struct fh_write commit[] = {write_of(FH_WRITE_DELETE, &parents, 1),
                                write_of(FH_WRITE_UPDATE, &children, 1)};
    assert_int_equal(run(&store, commit, 2, &writes, &count), FH_OK);
    assert_int_equal(count, 2);
    expect(&writes[0], FH_WRITE_DELETE, &children, 2);
    expect(&writes[1], FH_WRITE_DELETE, &notes, 2);
    fh_arena_close(&store.arena);
}

static void pages_are_asked_for_until_the_last(void **state)
{
    struct store store;
    const struct fh_cascade_write *writes = NULL;
    size_t count = 0;
    (void)state;
    open_store(&store);
    add(&store, &parents, 1, 0, 0, 0);
    for (int64_t i = 1; i <= FH_CASCADE_ROWS_MAX; i++) {
        add(&store, &children, i, 1, 0, 0);
    }
    struct fh_write write = write_of(FH_WRITE_DELETE, &parents, 1);
    assert_int_equal(run(&store, &write, 1, &writes, &count), FH_OK);
    assert_int_equal(count, FH_CASCADE_ROWS_MAX);
    for (size_t i = 0; i < count; i++) {
        expect(&writes[i], FH_WRITE_DELETE, &children, (int64_t)i + 1);
    }
    fh_arena_close(&store.arena);
}

static void too_much_is_refused(void **state)
{
    struct store store;
    const struct fh_cascade_write *writes = NULL;
    size_t count = 0;
    (void)state;
    open_store(&store);
    add(&store, &parents, 1, 0, 0, 0);
    for (int64_t i = 1; i <= FH_CASCADE_ROWS_MAX + 1; i++) {
        add(&store, &children, i, 1, 0, 0);
    }
    struct fh_write write = write_of(FH_WRITE_DELETE, &parents, 1);
    assert_int_equal(run(&store, &write, 1, &writes, &count), FH_TOO_LARGE);
    assert_non_null(strstr(store.error.message, "children"));
    fh_arena_close(&store.arena);
}

static void a_column_that_must_be_there_refuses(void **state)
{
    struct store store;
    const struct fh_cascade_write *writes = NULL;
    size_t count = 0;
    (void)state;
    open_store(&store);
    fill(&store);
    add(&store, &nodes, 5, 0, 0, 0);
    struct fh_write commit[] = {write_of(FH_WRITE_DELETE, &parents, 2),
                                write_of(FH_WRITE_DELETE, &nodes, 5)};
    assert_int_equal(run(&store, commit, 2, &writes, &count), FH_CHECK_VIOLATION);
    assert_int_equal(store.failed_write, 1);
    assert_string_equal(store.error.field, "required");
    fh_arena_close(&store.arena);
}

/* Each allocation fails in turn: refused, never half done. */
static void memory_runs_out(void **state)
{
    (void)state;
    enum fh_code code = FH_NOMEM;
    for (size_t max = 4096; code != FH_OK; max += 512) {
        struct store store;
        const struct fh_cascade_write *writes = NULL;
        size_t count = 0;
        open_store(&store);
        add(&store, &parents, 1, 0, 0, 0);
        for (int64_t i = 1; i <= 40; i++) {
            add(&store, &children, i, 1, 0, 0);
        }
        store.arena.bytes_max = store.arena.bytes_used + max;
        struct fh_write write = write_of(FH_WRITE_DELETE, &parents, 1);
        code = run(&store, &write, 1, &writes, &count);
        assert_true(code == FH_OK || code == FH_NOMEM);
        assert_int_equal(count, code == FH_OK ? 40 : 0);
        fh_arena_close(&store.arena);
        assert_true(max < ARENA_MAX);
    }
    assert_int_equal(fh_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_follows_where_nothing_refers),
        cmocka_unit_test(a_delete_goes_down_and_sets_null),
        cmocka_unit_test(a_purge_purges),
        cmocka_unit_test(each_goes_its_own_way),
        cmocka_unit_test(cycles_end),
        cmocka_unit_test(a_key_is_taken_once),
        cmocka_unit_test(a_purge_wins_over_a_delete),
        cmocka_unit_test(what_the_commit_writes_is_left_to_it),
        cmocka_unit_test(pages_are_asked_for_until_the_last),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(a_column_that_must_be_there_refuses),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
