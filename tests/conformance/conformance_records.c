/* Commit records: what happened, read back exactly; and requests that come twice. */
#include "tests/conformance/suite.h"

static void test_events_tell_everything(void **state)
{
    struct suite *s = *state;
    struct fh_op_commit first = {.writes = suite_author(s, FH_WRITE_INSERT, 1, "one"),
                                 .count = 1,
                                 .request_id = FH_STR("req-1"),
                                 .actor = FH_STR("users/\xc3\xa9\"quoted\""),
                                 .address = FH_STR("127.0.0.1:5")};
    assert_code(suite_commit(s, &s->a, &first), FH_OK);
    struct fh_row *inserted = suite_row(s, &s->a, key_author(1));
    struct fh_write writes[] = {*suite_author(s, FH_WRITE_UPDATE, 1, "two"),
                                *suite_new(s, FH_WRITE_INSERT, key_code("a\"b\\c\n\xc3\xa9", -5))};
    struct fh_op_commit second = {.writes = writes, .count = 2};
    assert_code(suite_commit(s, &s->a, &second), FH_OK);

    struct fh_op_events events = {.limit = 10};
    assert_code(suite_events(s, &s->a, &events), FH_OK);
    assert_int_equal(events.count, 2);
    assert_false(events.more);
    const struct fh_commit_record *old = &events.records[1];
    assert_true(fh_uuid_eq(&old->tenant, &s->a));
    assert_int_equal(old->epoch, 1);
    assert_int_equal(old->seq, first.seq);
    assert_int_equal(old->at_us, first.at_us);
    assert_int_equal(old->schema_version, 1);
    assert_true(fh_str_eq(old->request_id, first.request_id));
    assert_true(fh_str_eq(old->actor, first.actor));
    assert_true(fh_str_eq(old->address, first.address));
    assert_int_equal(old->change_count, 1);
    assert_int_equal(old->changes[0].op, FH_WRITE_INSERT);
    assert_ptr_equal(old->changes[0].table, &model_authors);
    assert_null(old->changes[0].before);
    assert_true(fh_row_equal(old->changes[0].after, inserted));

    const struct fh_commit_record *new = &events.records[0];
    assert_true(new->seq > old->seq);
    assert_int_equal(new->seq, second.seq);
    assert_int_equal(new->request_id.len, 0);
    assert_int_equal(new->actor.len, 0);
    assert_int_equal(new->change_count, 2);
    assert_int_equal(new->changes[0].op, FH_WRITE_UPDATE);
    assert_true(fh_row_equal(new->changes[0].before, inserted));
    assert_true(fh_row_equal(new->changes[0].after, suite_row(s, &s->a, key_author(1))));
    assert_int_equal(fh_key_compare(&new->changes[1].key, &writes[1].key), 0);
    assert_null(new->changes[1].before);
    assert_non_null(new->changes[1].after);
    events = (struct fh_op_events){.limit = 10};
    assert_code(suite_events(s, &s->b, &events), FH_OK);
    assert_int_equal(events.count, 0);
}

/* Every operation, with the images before and after it. */
static void test_images_of_every_operation(void **state)
{
    struct suite *s = *state;
    static const enum fh_write_op script[] = {
        FH_WRITE_INSERT, FH_WRITE_UPDATE, FH_WRITE_UPSERT, FH_WRITE_DELETE, FH_WRITE_UNDELETE,
        FH_WRITE_DELETE, FH_WRITE_UPSERT, FH_WRITE_DELETE, FH_WRITE_PURGE,  FH_WRITE_UPSERT};
    enum { STEPS = sizeof(script) / sizeof(script[0]) };
    struct fh_row *states[STEPS + 1] = {NULL};
    for (size_t i = 0; i < STEPS; i++) {
        bool takes = script[i] == FH_WRITE_INSERT || script[i] == FH_WRITE_UPSERT ||
                     script[i] == FH_WRITE_UPDATE;
        char name[16] = {'n', (char)('a' + i)};
        struct fh_write *write = suite_author(s, script[i], 1, takes ? name : NULL);
        assert_code(suite_write(s, &s->a, write, &states[i + 1]), FH_OK);
    }
    struct fh_op_events events = {.limit = 100};
    assert_code(suite_events(s, &s->a, &events), FH_OK);
    assert_int_equal(events.count, STEPS);
    for (size_t i = 0; i < STEPS; i++) {
        const struct fh_change *change = &events.records[STEPS - 1 - i].changes[0];
        assert_int_equal(change->op, script[i]);
        assert_int_equal(change->before != NULL, states[i] != NULL);
        assert_int_equal(change->after != NULL, states[i + 1] != NULL);
        assert_true(states[i] == NULL || fh_row_equal(change->before, states[i]));
        assert_true(states[i + 1] == NULL || fh_row_equal(change->after, states[i + 1]));
    }
}

static void test_images_of_every_type(void **state)
{
    struct suite *s = *state;
    struct fh_write *write = suite_new(s, FH_WRITE_INSERT, key_kind(-3));
    suite_put(write, KIND_BOOL, FH_TRANSFORM_SET,
              (struct fh_value){.type = FH_TYPE_BOOL, .as.boolean = true});
    suite_put_int(suite_put_int(write, KIND_INT16, -2), KIND_INT32, -3);
    suite_put_int(suite_put_int(write, KIND_INT64, INT64_MIN), KIND_NUMERIC, -1234567890123);
    suite_put_int(suite_put_int(write, KIND_NUMERIC0, 10000), KIND_TIMESTAMP, -1);
    suite_put_int(write, KIND_DATE, -20000);
    suite_put_real(suite_put_real(write, KIND_FLOAT32, -0.5), KIND_FLOAT64, 0.1);
    suite_put_text(suite_put_text(write, KIND_TEXT, "\xe2\x82\xac"), KIND_VARCHAR, "");
    suite_put_text(suite_put_text(write, KIND_BYTES, "\xff\x01"), KIND_JSON, "[1,\"x\"]");
    suite_put(write, KIND_UUID, FH_TRANSFORM_SET,
              (struct fh_value){.type = FH_TYPE_UUID, .as.uuid = uuid_of(9, 9)});
    suite_must_write(s, &s->a, write);
    suite_must_write(s, &s->a, suite_new(s, FH_WRITE_UPSERT, key_kind(-3))); /* all null now */
    struct fh_op_events events = {.limit = 2};
    assert_code(suite_events(s, &s->a, &events), FH_OK);
    const struct fh_change *change = &events.records[0].changes[0];
    assert_true(fh_row_equal(change->before, events.records[1].changes[0].after));
    for (uint16_t i = 0; i < write->assignment_count; i++) {
        const struct fh_assignment *given = &write->assignments[i];
        assert_true(fh_value_equal(&given->value, &change->before->values[given->column]));
    }
    assert_true(fh_row_equal(change->after, suite_row(s, &s->a, key_kind(-3))));
}

static void test_pages_of_events(void **state)
{
    struct suite *s = *state;
    for (int64_t i = 1; i <= 7; i++) {
        suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, i, "n"));
        suite_must_write(s, &s->b, suite_author(s, FH_WRITE_INSERT, 100 + i, "n"));
    }
    for (size_t page = 1; page <= 8; page++) {
        struct fh_op_events events = {.limit = page};
        int64_t expected = 7;
        uint64_t seq_before = UINT64_MAX;
        for (;;) {
            assert_code(suite_events(s, &s->a, &events), FH_OK);
            for (size_t i = 0; i < events.count; i++) {
                assert_true(events.records[i].seq < seq_before);
                seq_before = events.records[i].seq;
                assert_int_equal(events.records[i].changes[0].key.values[0].as.integer, expected);
                expected--;
            }
            if (!events.more) {
                break;
            }
            assert_int_equal(events.count, page);
            events =
                (struct fh_op_events){.limit = page, .before_epoch = 1, .before_seq = seq_before};
        }
        assert_int_equal(expected, 0);
    }
    /* Before the first record there is nothing; before the next epoch there is everything. */
    struct fh_op_events all = {.limit = 100, .before_epoch = 2, .before_seq = 0};
    assert_code(suite_events(s, &s->a, &all), FH_OK);
    assert_int_equal(all.count, 7);
    struct fh_op_events none = {.limit = 100, .before_epoch = 1, .before_seq = all.records[6].seq};
    assert_code(suite_events(s, &s->a, &none), FH_OK);
    assert_int_equal(none.count, 0);
    assert_false(none.more);
}

static void test_failed_commits_leave_no_record(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    assert_code(suite_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"), NULL), FH_EXISTS);
    assert_code(suite_write(s, &s->a, suite_book(s, FH_WRITE_INSERT, 9, "x"), NULL),
                FH_REFERENCE_VIOLATION);
    struct fh_op_events events = {.limit = 10};
    assert_code(suite_events(s, &s->a, &events), FH_OK);
    assert_int_equal(events.count, 1);
}

static struct fh_op_commit stock_plus(struct suite *s, const char *request_id, uint8_t hash)
{
    struct fh_write *write = suite_new(s, FH_WRITE_UPDATE, key_author(1));
    suite_put(write, AUTHOR_SCORE, FH_TRANSFORM_INCREMENT, int_value(FH_TYPE_INT32, 1));
    return (struct fh_op_commit){.writes = write,
                                 .count = 1,
                                 .request_id = fh_str_of(request_id),
                                 .request_hash = {hash, 2, 3}};
}

static void test_request_id_replays(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    struct fh_op_commit first = stock_plus(s, "once", 1);
    assert_code(suite_commit(s, &s->a, &first), FH_OK);
    assert_false(first.replayed);
    fh_clock_virtual_advance(&s->clock, 5000000);
    struct fh_op_commit other = stock_plus(s, "other", 1);
    assert_code(suite_commit(s, &s->a, &other), FH_OK);
    /* Again: the first answer, not the record as it is by now. */
    for (int i = 0; i < 3; i++) {
        struct fh_op_commit again = stock_plus(s, "once", 1);
        assert_code(suite_commit(s, &s->a, &again), FH_OK);
        assert_true(again.replayed);
        assert_int_equal(again.seq, first.seq);
        assert_int_equal(again.at_us, first.at_us);
        assert_true(fh_row_equal(again.rows[0], first.rows[0]));
    }
    assert_int_equal(suite_row(s, &s->a, key_author(1))->values[AUTHOR_SCORE].as.integer, 9);
    /* The same id for something else. */
    struct fh_op_commit reused = stock_plus(s, "once", 99);
    assert_code(suite_commit(s, &s->a, &reused), FH_REQUEST_ID_REUSED);
    assert_null(reused.rows);
    /* Another case is another id; no id is never a repetition. */
    struct fh_op_commit cased = stock_plus(s, "ONCE", 1);
    assert_code(suite_commit(s, &s->a, &cased), FH_OK);
    assert_false(cased.replayed);
    for (int i = 0; i < 2; i++) {
        struct fh_op_commit none = stock_plus(s, "", 1);
        assert_code(suite_commit(s, &s->a, &none), FH_OK);
        assert_false(none.replayed);
    }
    assert_int_equal(suite_row(s, &s->a, key_author(1))->values[AUTHOR_SCORE].as.integer, 12);
}

static void test_request_ids_are_the_tenants(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    suite_must_write(s, &s->b, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    struct fh_op_commit mine = stock_plus(s, "same", 1);
    struct fh_op_commit theirs = stock_plus(s, "same", 2);
    assert_code(suite_commit(s, &s->a, &mine), FH_OK);
    assert_code(suite_commit(s, &s->b, &theirs), FH_OK);
    assert_false(theirs.replayed);
    assert_true(fh_uuid_eq(&theirs.rows[0]->tenant, &s->b));
}

static void test_failed_commit_does_not_spend_the_id(void **state)
{
    struct suite *s = *state;
    struct fh_op_commit commit = stock_plus(s, "id", 1);
    assert_code(suite_commit(s, &s->a, &commit), FH_NOT_FOUND);
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    commit = stock_plus(s, "id", 2);
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    assert_false(commit.replayed);
}

static void test_replay_of_many_writes(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 9, "n"));
    struct fh_write writes[] = {*suite_author(s, FH_WRITE_INSERT, 2, "two"),
                                *suite_author(s, FH_WRITE_PURGE, 9, NULL),
                                *suite_author(s, FH_WRITE_INSERT, 1, "one")};
    struct fh_op_commit first = {.writes = writes,
                                 .count = 3,
                                 .request_id = FH_STR("0123456789012345678901234567890123456789"
                                                      "01234567890123456789ABCD")};
    assert_code(suite_commit(s, &s->a, &first), FH_OK);
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_PURGE, 2, NULL));
    struct fh_op_commit again = first;
    assert_code(suite_commit(s, &s->a, &again), FH_OK);
    assert_true(again.replayed);
    assert_null(again.rows[1]);
    assert_true(fh_row_equal(again.rows[0], first.rows[0]));
    assert_true(fh_row_equal(again.rows[2], first.rows[2]));
}

static void test_replay_after_restart(void **state)
{
    struct suite *s = *state;
    if (!s->engine->durable) {
        skip();
    }
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    struct fh_op_commit first = stock_plus(s, "once", 1);
    assert_code(suite_commit(s, &s->a, &first), FH_OK);
    suite_reopen(s);
    struct fh_op_commit again = stock_plus(s, "once", 1);
    assert_code(suite_commit(s, &s->a, &again), FH_OK);
    assert_true(again.replayed);
    assert_int_equal(again.seq, first.seq);
    assert_true(fh_row_equal(again.rows[0], first.rows[0]));
    struct fh_op_commit reused = stock_plus(s, "once", 7);
    assert_code(suite_commit(s, &s->a, &reused), FH_REQUEST_ID_REUSED);
    struct fh_op_commit next = stock_plus(s, "next", 1);
    assert_code(suite_commit(s, &s->a, &next), FH_OK);
    assert_true(next.seq > first.seq); /* the sequence goes on where it was */
    struct fh_op_events events = {.limit = 10};
    assert_code(suite_events(s, &s->a, &events), FH_OK);
    assert_int_equal(events.count, 3);
    assert_true(fh_row_equal(events.records[1].changes[0].after, first.rows[0]));
}

static const struct CMUnitTest tests[] = {
    SUITE_TEST(test_events_tell_everything),
    SUITE_TEST(test_images_of_every_operation),
    SUITE_TEST(test_images_of_every_type),
    SUITE_TEST(test_pages_of_events),
    SUITE_TEST(test_failed_commits_leave_no_record),
    SUITE_TEST(test_request_id_replays),
    SUITE_TEST(test_request_ids_are_the_tenants),
    SUITE_TEST(test_failed_commit_does_not_spend_the_id),
    SUITE_TEST(test_replay_of_many_writes),
    SUITE_TEST(test_replay_after_restart),
};
SUITE_PART(suite_part_records, tests)
