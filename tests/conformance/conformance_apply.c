/* What a mover writes: batches, all or nothing, exactly as they were read. */
#include "tests/conformance/mover.h"

/* An author as it might have been read elsewhere; `email` may be NULL. */
static struct fh_row *author(struct suite *s, int64_t id, const char *email)
{
    struct fh_row *row = fh_row_create(&model_authors, &s->arena);
    assert_non_null(row);
    row->tenant = s->a;
    row->values[AUTHOR_ID] = int_value(FH_TYPE_INT64, id);
    row->values[AUTHOR_NAME] = text_value("name");
    if (email != NULL) {
        row->values[AUTHOR_EMAIL] = text_value(email);
    }
    row->created_at_us = INT64_C(1500000000000001) + id;
    row->updated_at_us = INT64_C(1600000000000002) + id;
    row->version = 40 + id;
    return row;
}

static struct fh_row *deleted_author(struct suite *s, int64_t id, const char *email)
{
    struct fh_row *row = author(s, id, email);
    row->deleted_at_us = INT64_C(1700000000000003);
    return row;
}

static struct fh_row *book(struct suite *s, int64_t author_id, const char *slug)
{
    struct fh_row *row = fh_row_create(&model_books, &s->arena);
    assert_non_null(row);
    row->tenant = s->a;
    row->values[BOOK_AUTHOR] = int_value(FH_TYPE_INT64, author_id);
    row->values[BOOK_SLUG] = text_value(slug);
    row->created_at_us = 1;
    row->updated_at_us = 1;
    row->version = 1;
    return row;
}

/* A target: tenant a's home is empty and incoming, at epoch 2; what arrives is of epoch 1. */
static struct mover target_of(struct suite *s)
{
    struct mover m = mover_of(s, &s->a);
    const struct fh_fence now = {1, 1, FH_FENCE_OPEN};
    const struct fh_fence incoming = {2, 1, FH_FENCE_INCOMING};
    assert_code(suite_fence_set(s, &s->a, now, incoming, NULL), FH_OK);
    m.epoch = 2;
    m.guard.modes = FH_FENCE_BIT(FH_FENCE_INCOMING);
    return m;
}

static enum fh_code put(const struct mover *m, bool keep, struct fh_row *const *rows, size_t count,
                        uint64_t *written)
{
    struct fh_op_apply apply = {.rows = rows, .row_count = count, .keep_existing = keep};
    enum fh_code code = mover_try_apply(m, &apply);
    if (written != NULL) {
        *written = apply.rows_written;
    }
    return code;
}

static void assert_authors(const struct mover *m, struct fh_row *const *rows, size_t count)
{
    struct rows there = mover_table(m, NULL, &model_authors, 100);
    const struct rows expected = {(struct fh_row **)(uintptr_t)rows, count};
    assert_same_rows_all(&there, &expected);
}

/* Every type and every odd value arrives as it left, system columns included. */
static void test_rows_arrive_exactly(void **state)
{
    struct suite *s = *state;
    struct mover b = mover_of(s, &s->b);
    struct app app = app_of(s, &s->b, seed_of_run(41));
    app_run(&app, 60);
    struct fh_write *write = suite_new(s, FH_WRITE_INSERT, key_kind(1000));
    suite_put(write, KIND_BOOL, FH_TRANSFORM_SET,
              (struct fh_value){.type = FH_TYPE_BOOL, .as.boolean = true});
    suite_put_int(write, KIND_INT16, INT16_MIN);
    suite_put_int(write, KIND_INT32, INT32_MAX);
    suite_put_int(write, KIND_INT64, INT64_MIN);
    suite_put_real(write, KIND_FLOAT32, 0.1F);
    suite_put_real(write, KIND_FLOAT64, 5e-324);
    suite_put_int(write, KIND_NUMERIC, -999999999999999999);
    suite_put_int(write, KIND_NUMERIC0, 99999);
    suite_put_text(write, KIND_TEXT, "\xf0\x9f\x8e\x88 \\x00 '\"\n\t");
    suite_put_text(write, KIND_VARCHAR, "");
    suite_put(write, KIND_BYTES, FH_TRANSFORM_SET,
              (struct fh_value){.type = FH_TYPE_BYTES, .as.bytes = {"\0\xff\\x", 4}});
    suite_put_int(write, KIND_TIMESTAMP, -1);
    suite_put_int(write, KIND_DATE, -1);
    suite_put(write, KIND_UUID, FH_TRANSFORM_SET,
              (struct fh_value){.type = FH_TYPE_UUID, .as.uuid = s->a});
    suite_put_text(write, KIND_JSON, "{\"a\":1.5,\"b\":[\"\\u0001\",null]}");
    suite_must_write(s, &s->b, write);
    struct rows rows = mover_rows(&b, NULL, 100);
    struct mover m = target_of(s);
    for (size_t i = 0; i < rows.count; i++) {
        rows.rows[i] = fh_row_copy(rows.rows[i], &s->arena);
        assert_non_null(rows.rows[i]);
        rows.rows[i]->tenant = s->a; /* as if it came from another store */
    }
    mover_apply(&m, (struct fh_op_apply){.rows = rows.rows, .row_count = rows.count});
    struct rows there = mover_rows(&m, NULL, 100);
    assert_same_rows_all(&there, &rows);
}

/* What a key ring or a swap of unique values does not survive row by row. */
static void test_deletes_go_first(void **state)
{
    struct suite *s = *state;
    struct mover m = target_of(s);
    struct fh_row *old[] = {author(s, 1, "x"), author(s, 2, "y"), author(s, 3, "z"),
                            author(s, 4, NULL)};
    assert_code(put(&m, false, old, 4, NULL), FH_OK);
    struct fh_key keys[] = {key_author(1), key_author(2), key_author(3), key_author(9)};
    struct fh_row *fresh[] = {author(s, 1, "y"), author(s, 2, "z"), author(s, 3, "x"), old[3]};
    mover_apply(&m, (struct fh_op_apply){
                        .deletes = keys, .delete_count = 4, .rows = fresh, .row_count = 3});
    assert_authors(&m, fresh, 4);
    /* Deleted and not put again, and twice in the list: gone. */
    struct fh_key twice[] = {key_author(2), key_author(2)};
    mover_apply(&m, (struct fh_op_apply){.deletes = twice, .delete_count = 2});
    struct fh_row *left[] = {fresh[0], fresh[2], fresh[3]};
    assert_authors(&m, left, 3);
    mover_apply(&m, (struct fh_op_apply){.delete_count = 0}); /* nothing at all is fine */
}

static void test_keep_existing(void **state)
{
    struct suite *s = *state;
    struct mover m = target_of(s);
    uint64_t written = 0;
    struct fh_row *there[] = {author(s, 1, "x"), deleted_author(s, 2, "y"), author(s, 3, NULL)};
    assert_code(put(&m, true, there, 3, &written), FH_OK);
    assert_int_equal(written, 3);
    struct fh_row *more[] = {author(s, 1, "new"), /* its key is taken */
                             author(s, 2, "new"), /* by a deleted one */
                             author(s, 5, "x"),   /* its unique value is taken */
                             author(s, 6, "y"),   /* a deleted one holds none */
                             author(s, 7, "y"),   /* but 6 does, by now */
                             author(s, 6, "z"),   /* and has its key */
                             deleted_author(s, 8, "x"), author(s, 9, NULL)};
    assert_code(put(&m, true, more, 8, &written), FH_OK);
    assert_int_equal(written, 3);
    struct fh_row *expected[] = {there[0], there[1], there[2], more[3], more[6], more[7]};
    assert_authors(&m, expected, 6);
}

static struct fh_journal_row record(struct suite *s, uint64_t epoch, uint64_t seq, const char *id)
{
    struct fh_journal_row row = {.tenant = s->a,
                                 .epoch = epoch,
                                 .seq = seq,
                                 .request_id = fh_str_of(id),
                                 .schema_version = 1,
                                 .actor = FH_STR("users/\xc3\xa9"),
                                 .address = FH_STR("[::1]:1"),
                                 .at_us = INT64_C(1500000000000007) + (int64_t)seq,
                                 .changes = FH_STR("[[\"u\",\"authors\",\"1\"]]")};
    memset(row.request_hash, (int)seq, sizeof(row.request_hash));
    return row;
}

static void test_a_clash_changes_nothing(void **state)
{
    struct suite *s = *state;
    struct mover m = target_of(s);
    struct fh_row *there[] = {author(s, 1, "x"), author(s, 2, "y")};
    struct fh_journal_row first = record(s, 1, 1, "");
    mover_apply(&m, (struct fh_op_apply){.rows = there,
                                         .row_count = 2,
                                         .journal = &first,
                                         .journal_count = 1,
                                         .state = FH_STR("one")});
    const struct {
        struct fh_row *row;
        enum fh_code code;
    } clashes[] = {{author(s, 1, "free"), FH_EXISTS},
                   {author(s, 3, "x"), FH_UNIQUE_VIOLATION},
                   {author(s, 5, "free"), FH_EXISTS},            /* with the one before it */
                   {author(s, 6, "five"), FH_UNIQUE_VIOLATION}}; /* the same */
    for (size_t i = 0; i < sizeof(clashes) / sizeof(clashes[0]); i++) {
        struct fh_key gone = key_author(2);
        struct fh_row *rows[] = {author(s, 5, "five"), clashes[i].row};
        struct fh_journal_row second = record(s, 1, 2, "id");
        struct fh_op_apply apply = {.deletes = &gone,
                                    .delete_count = 1,
                                    .rows = rows,
                                    .row_count = 2,
                                    .journal = &second,
                                    .journal_count = 1,
                                    .state = FH_STR("two")};
        assert_code(mover_try_apply(&m, &apply), clashes[i].code);
        assert_int_equal(apply.rows_written, 0);
        assert_authors(&m, there, 2);
        struct journal journal = mover_journal(&m, NULL, 10);
        assert_int_equal(journal.count, 1);
        assert_true(journal_row_equal(&journal.rows[0], &first));
        struct fh_str kept;
        assert_code(mover_try_state(&m, &kept), FH_OK);
        assert_true(fh_str_eq(kept, FH_STR("one")));
    }
    /* Nor does a batch that comes too late. */
    m.guard.generation = 0;
    struct fh_row *late[] = {author(s, 7, NULL)};
    assert_code(put(&m, false, late, 1, NULL), FH_MOVED);
    m.guard.generation = 1;
    assert_authors(&m, there, 2);
}

static void test_records_arrive_verbatim(void **state)
{
    struct suite *s = *state;
    struct mover b = mover_of(s, &s->b);
    struct app app = app_of(s, &s->b, seed_of_run(42));
    app_run(&app, 50);
    struct journal journal = mover_journal(&b, NULL, 100);
    for (size_t i = 0; i < journal.count; i++) {
        journal.rows[i].tenant = s->a;
        journal.rows[i].images = i % 5 == 1 ? (struct fh_str){0} : journal.rows[i].images;
    }
    struct mover m = target_of(s);
    /* The younger half, then all: history comes in the background. */
    size_t half = journal.count / 2;
    mover_apply(&m, (struct fh_op_apply){.journal = journal.rows + half,
                                         .journal_count = journal.count - half});
    for (int i = 0; i < 2; i++) {
        mover_apply(&m,
                    (struct fh_op_apply){.journal = journal.rows, .journal_count = journal.count});
        struct journal there = mover_journal(&m, NULL, 7);
        assert_same_journal(&there, &journal);
    }
    /* What is there is left as it is, whatever comes under its name. */
    struct fh_journal_row other = journal.rows[0];
    other.actor = FH_STR("somebody else");
    mover_apply(&m, (struct fh_op_apply){.journal = &other, .journal_count = 1});
    struct journal there = mover_journal(&m, NULL, 100);
    assert_same_journal(&there, &journal);
    /* And read as records of this home. */
    suite_fence_mode(s, &s->a, FH_FENCE_OPEN);
    s->epoch = 2;
    struct fh_op_events events = {.limit = FH_EVENTS_MAX};
    assert_code(suite_events(s, &s->a, &events), FH_OK);
    assert_int_equal(events.count, journal.count);
    for (size_t i = 0; i < events.count; i++) {
        const struct fh_journal_row *row = &journal.rows[journal.count - 1 - i];
        const struct fh_commit_record *read = &events.records[i];
        assert_int_equal(read->epoch, row->epoch);
        assert_int_equal(read->seq, row->seq);
        bool images = read->changes[0].before != NULL || read->changes[0].after != NULL;
        assert_int_equal(images, row->images.data != NULL);
    }
}

static void test_state(void **state)
{
    struct suite *s = *state;
    struct mover m = target_of(s);
    struct fh_str kept;
    assert_code(mover_try_state(&m, &kept), FH_OK);
    assert_int_equal(kept.len, 0);
    char *large = fh_arena_alloc(&s->arena, FH_MOVE_STATE_MAX);
    assert_non_null(large);
    memset(large, '\'', FH_MOVE_STATE_MAX);
    const struct fh_str states[] = {FH_STR("{ \"b\": 1,  \"a\": \"\xc3\xa9\\n\" }"),
                                    {large, FH_MOVE_STATE_MAX},
                                    FH_STR(""),
                                    FH_STR("last")};
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        mover_apply(&m, (struct fh_op_apply){.state = states[i]});
        assert_code(mover_try_state(&m, &kept), FH_OK);
        assert_true(fh_str_eq(kept, states[i]));
        struct fh_row *row[] = {author(s, (int64_t)i, NULL)};
        assert_code(put(&m, false, row, 1, NULL), FH_OK); /* leaves it */
        assert_code(mover_try_state(&m, &kept), FH_OK);
        assert_true(fh_str_eq(kept, states[i]));
    }
    if (s->engine->durable) {
        suite_reopen(s);
        assert_code(mover_try_state(&m, &kept), FH_OK);
        assert_true(fh_str_eq(kept, FH_STR("last")));
    }
    /* Whoever erases the home erases it too. */
    struct fh_request erase = suite_request(s, FH_OP_HOME_ERASE, &s->a);
    erase.as.home.fence.generation = 1;
    assert_code(suite_run(s, &erase), FH_OK);
    assert_code(mover_try_state(&m, &kept), FH_NO_TENANT);
    assert_code(suite_home_create(s, &s->a, 2, 1, FH_FENCE_INCOMING), FH_OK);
    assert_code(mover_try_state(&m, &kept), FH_OK);
    assert_int_equal(kept.len, 0);
}

static void test_references(void **state)
{
    struct suite *s = *state;
    struct mover m = target_of(s);
    struct fh_error error = FH_ERROR_INIT;
    assert_code(mover_try_references(&m, &error), FH_OK);
    struct fh_row *orphan = book(s, 1, "orphan");
    mover_apply(&m, (struct fh_op_apply){.rows = &orphan, .row_count = 1});
    assert_code(mover_try_references(&m, &error), FH_REFERENCE_VIOLATION);
    assert_non_null(strstr(error.message, "books"));
    assert_non_null(strstr(error.message, "books_author"));
    struct mover b = mover_of(s, &s->b);
    struct fh_error none = FH_ERROR_INIT;
    assert_code(mover_try_references(&b, &none), FH_OK); /* not b's affair */
    suite_must_write(s, &s->b, suite_author(s, FH_WRITE_INSERT, 1, "b's"));
    assert_code(mover_try_references(&m, &error), FH_REFERENCE_VIOLATION); /* nor a help */
    struct fh_row *parent = author(s, 1, NULL);
    mover_apply(&m, (struct fh_op_apply){.rows = &parent, .row_count = 1});
    assert_code(mover_try_references(&m, &error), FH_OK);
    /* A ring of sequels, and one that leads out of it. */
    struct fh_row *ring[] = {book(s, 1, "a"), book(s, 1, "b")};
    for (size_t i = 0; i < 2; i++) {
        ring[i]->values[BOOK_SEQUEL_AUTHOR] = int_value(FH_TYPE_INT64, 1);
        ring[i]->values[BOOK_SEQUEL_SLUG] = text_value(i == 0 ? "b" : "a");
    }
    mover_apply(&m, (struct fh_op_apply){.rows = ring, .row_count = 2});
    assert_code(mover_try_references(&m, &error), FH_OK);
    struct fh_key key = key_book(1, "b");
    mover_apply(&m, (struct fh_op_apply){.deletes = &key, .delete_count = 1});
    assert_code(mover_try_references(&m, &error), FH_REFERENCE_VIOLATION);
    assert_non_null(strstr(error.message, "books_sequel"));
    /* Of a deleted row nobody asks it. */
    key = key_book(1, "a");
    ring[0]->deleted_at_us = 5;
    mover_apply(
        &m, (struct fh_op_apply){.deletes = &key, .delete_count = 1, .rows = ring, .row_count = 1});
    assert_code(mover_try_references(&m, &error), FH_OK);
    /* A parent goes while its children stay: enforced for commits, not for batches. */
    key = key_author(1);
    mover_apply(&m, (struct fh_op_apply){.deletes = &key, .delete_count = 1});
    assert_code(mover_try_references(&m, &error), FH_REFERENCE_VIOLATION);
}

/* The largest batch, and the largest pages. */
static void test_large_batches(void **state)
{
    struct suite *s = *state;
    struct mover m = target_of(s);
    enum { ROWS = 6000, RECORDS = 2500, KEYS = FH_APPLY_ROWS_MAX - ROWS - RECORDS };
    struct fh_row **rows = FH_ARENA_ARRAY(&s->arena, struct fh_row *, ROWS);
    struct fh_journal_row *records = FH_ARENA_ARRAY(&s->arena, struct fh_journal_row, RECORDS);
    struct fh_key *keys = FH_ARENA_ARRAY(&s->arena, struct fh_key, KEYS);
    assert_true(rows != NULL && records != NULL && keys != NULL);
    for (int64_t i = 0; i < ROWS; i++) {
        rows[i] = fh_row_create(&model_codes, &s->arena);
        assert_non_null(rows[i]);
        rows[i]->tenant = s->a;
        rows[i]->values[CODE_REGION] = text_value("r");
        rows[i]->values[CODE_NUMBER] = int_value(FH_TYPE_INT32, i);
        rows[i]->version = 1;
    }
    for (size_t i = 0; i < RECORDS; i++) {
        records[i] = record(s, 1, i + 1, "");
    }
    for (int64_t i = 0; i < KEYS; i++) {
        keys[i] = key_code("r", i);
    }
    struct fh_op_apply apply = {.deletes = keys,
                                .delete_count = KEYS,
                                .rows = rows,
                                .row_count = ROWS,
                                .journal = records,
                                .journal_count = RECORDS};
    for (int i = 0; i < 2; i++) { /* into nothing, then over itself */
        mover_apply(&m, apply);
        struct rows there = mover_table(&m, NULL, &model_codes, FH_SCAN_ROWS_MAX);
        const struct rows expected = {rows, ROWS};
        assert_same_rows_all(&there, &expected);
        assert_int_equal(mover_journal(&m, NULL, FH_SCAN_ROWS_MAX).count, RECORDS);
    }
    apply.row_count++;
    assert_code(mover_try_apply(&m, &apply), FH_TOO_LARGE);
}

static const struct CMUnitTest tests[] = {
    SUITE_TEST(test_rows_arrive_exactly),
    SUITE_TEST(test_deletes_go_first),
    SUITE_TEST(test_keep_existing),
    SUITE_TEST(test_a_clash_changes_nothing),
    SUITE_TEST(test_records_arrive_verbatim),
    SUITE_TEST(test_state),
    SUITE_TEST(test_references),
    SUITE_TEST(test_large_batches),
};
SUITE_PART(suite_part_apply, tests)
