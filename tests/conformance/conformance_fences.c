/* Fences, homes and schemas: who may do what where, and what is there at all. */
#include "tests/conformance/suite.h"

static const enum fh_op data_ops[] = {FH_OP_GET, FH_OP_LIST, FH_OP_EVENTS, FH_OP_COMMIT};
#define DATA_OPS (sizeof(data_ops) / sizeof(data_ops[0]))

/* A small valid request of the operation. */
static enum fh_code attempt(struct suite *s, enum fh_op op, const struct fh_uuid *tenant,
                            uint64_t epoch, struct fh_request *out)
{
    struct fh_key key = key_author(1);
    struct fh_request request = suite_request(s, op, tenant);
    request.scope.epoch = epoch;
    switch (op) {
    case FH_OP_GET:
        request.as.get.keys = &key;
        request.as.get.count = 1;
        break;
    case FH_OP_LIST:
        request.as.list.table = &model_authors;
        request.as.list.limit = 10;
        break;
    case FH_OP_EVENTS:
        request.as.events.limit = 10;
        break;
    case FH_OP_COMMIT:
        request.as.commit.writes = suite_author(s, FH_WRITE_UPSERT, 1, "attempt");
        request.as.commit.count = 1;
        break;
    default:
        fail();
    }
    enum fh_code code = suite_run(s, &request);
    *out = request;
    return code;
}

static void test_modes(void **state)
{
    struct suite *s = *state;
    static const struct {
        enum fh_fence_mode mode;
        enum fh_code read;
        enum fh_code write;
    } table[] = {{FH_FENCE_FROZEN, FH_OK, FH_MOVED},
                 {FH_FENCE_CLOSED, FH_MOVED, FH_MOVED},
                 {FH_FENCE_INCOMING, FH_MOVED, FH_MOVED},
                 {FH_FENCE_OPEN, FH_OK, FH_OK}};
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "before"));
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        suite_fence_mode(s, &s->a, table[i].mode);
        for (size_t k = 0; k < DATA_OPS; k++) {
            struct fh_request request;
            enum fh_code expected = data_ops[k] == FH_OP_COMMIT ? table[i].write : table[i].read;
            assert_code(attempt(s, data_ops[k], &s->a, 1, &request), expected);
            if (expected == FH_MOVED) {
                assert_int_equal(request.epoch_seen, 1);
                assert_int_equal(request.mode_seen, table[i].mode);
            }
        }
        struct fh_request request;
        assert_code(attempt(s, FH_OP_COMMIT, &s->b, 1, &request), FH_OK); /* b is not concerned */
    }
    assert_int_equal(suite_row(s, &s->a, key_author(1))->version, 2);
}

static void test_wrong_epoch(void **state)
{
    struct suite *s = *state;
    assert_code(suite_fence_set(s, &s->a, (struct fh_fence){1, 1, FH_FENCE_OPEN},
                                (struct fh_fence){7, 3, FH_FENCE_OPEN}, NULL),
                FH_OK);
    static const uint64_t wrong[] = {0, 1, 6, 8, INT64_MAX};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        for (size_t k = 0; k < DATA_OPS; k++) {
            struct fh_request request;
            assert_code(attempt(s, data_ops[k], &s->a, wrong[i], &request), FH_MOVED);
            assert_int_equal(request.epoch_seen, 7);
            assert_int_equal(request.mode_seen, FH_FENCE_OPEN);
        }
    }
    struct fh_request request;
    assert_code(attempt(s, FH_OP_LIST, &s->a, 7, &request), FH_OK);
    assert_int_equal(request.as.list.count, 0); /* none of the stale commits got through */
    assert_code(attempt(s, FH_OP_COMMIT, &s->a, 7, &request), FH_OK);
    assert_code(attempt(s, FH_OP_EVENTS, &s->a, 7, &request), FH_OK);
    assert_int_equal(request.as.events.count, 1);
    assert_int_equal(request.as.events.records[0].epoch, 7);
}

static void test_records_span_epochs(void **state)
{
    struct suite *s = *state;
    struct fh_op_commit first = {.writes = suite_author(s, FH_WRITE_INSERT, 1, "one"),
                                 .count = 1,
                                 .request_id = FH_STR("r1")};
    assert_code(suite_commit(s, &s->a, &first), FH_OK);
    assert_code(suite_fence_set(s, &s->a, (struct fh_fence){1, 1, FH_FENCE_OPEN},
                                (struct fh_fence){2, 1, FH_FENCE_OPEN}, NULL),
                FH_OK);
    struct fh_request request;
    assert_code(attempt(s, FH_OP_COMMIT, &s->a, 2, &request), FH_OK);
    assert_code(attempt(s, FH_OP_EVENTS, &s->a, 2, &request), FH_OK);
    assert_int_equal(request.as.events.count, 2);
    assert_int_equal(request.as.events.records[0].epoch, 2);
    assert_int_equal(request.as.events.records[1].epoch, 1);
    uint64_t newest_seq = request.as.events.records[0].seq;
    request = suite_request(s, FH_OP_EVENTS, &s->a);
    request.scope.epoch = 2;
    request.as.events.limit = 10;
    request.as.events.before_epoch = 2;
    request.as.events.before_seq = newest_seq;
    assert_code(suite_run(s, &request), FH_OK);
    assert_int_equal(request.as.events.count, 1);
    assert_int_equal(request.as.events.records[0].epoch, 1);
    /* A request id of the earlier epoch is still known. */
    request = suite_request(s, FH_OP_COMMIT, &s->a);
    request.scope.epoch = 2;
    request.as.commit = first;
    assert_code(suite_run(s, &request), FH_OK);
    assert_true(request.as.commit.replayed);
}

static void test_no_fence(void **state)
{
    struct suite *s = *state;
    struct fh_uuid stranger = uuid_of(0xcc, 3);
    for (size_t k = 0; k < DATA_OPS; k++) {
        struct fh_request request;
        assert_code(attempt(s, data_ops[k], &stranger, 1, &request), FH_NO_TENANT);
    }
    struct fh_fence fence;
    assert_code(suite_fence_read(s, &stranger, &fence), FH_NO_TENANT);
    assert_code(suite_fence_set(s, &stranger, (struct fh_fence){1, 1, FH_FENCE_OPEN},
                                (struct fh_fence){2, 1, FH_FENCE_OPEN}, NULL),
                FH_NO_TENANT);
    assert_code(suite_fence_read(s, &stranger, &fence), FH_NO_TENANT);
}

static void test_fence_set_compares(void **state)
{
    struct suite *s = *state;
    const struct fh_fence is = {1, 1, FH_FENCE_OPEN};
    const struct fh_fence desired = {2, 5, FH_FENCE_FROZEN};
    const struct fh_fence wrong[] = {{2, 1, FH_FENCE_OPEN},
                                     {1, 2, FH_FENCE_OPEN},
                                     {1, 0, FH_FENCE_OPEN},
                                     {1, 1, FH_FENCE_FROZEN}};
    struct fh_fence seen;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_code(suite_fence_set(s, &s->a, wrong[i], desired, &seen), FH_MOVED);
        assert_int_equal(seen.epoch, is.epoch);
        assert_int_equal(seen.generation, is.generation);
        assert_int_equal(seen.mode, is.mode);
    }
    assert_code(suite_fence_set(s, &s->a, is, desired, &seen), FH_OK);
    assert_int_equal(seen.epoch, 2);
    assert_code(suite_fence_set(s, &s->a, is, desired, &seen), FH_MOVED); /* once only */
    assert_code(suite_fence_read(s, &s->a, &seen), FH_OK);
    assert_int_equal(seen.epoch, desired.epoch);
    assert_int_equal(seen.generation, desired.generation);
    assert_int_equal(seen.mode, desired.mode);
    assert_code(suite_fence_read(s, &s->b, &seen), FH_OK);
    assert_int_equal(seen.epoch, 1);
    if (s->engine->durable) {
        suite_reopen(s);
        assert_code(suite_fence_read(s, &s->a, &seen), FH_OK);
        assert_int_equal(seen.generation, desired.generation);
        assert_int_equal(seen.mode, desired.mode);
    }
}

static void test_home_create_is_idempotent(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "kept"));
    assert_code(suite_home_create(s, &s->a, 1, 1, FH_FENCE_OPEN), FH_OK);
    assert_code(suite_home_create(s, &s->a, 2, 1, FH_FENCE_OPEN), FH_EXISTS);
    assert_code(suite_home_create(s, &s->a, 1, 2, FH_FENCE_OPEN), FH_EXISTS);
    assert_code(suite_home_create(s, &s->a, 1, 1, FH_FENCE_CLOSED), FH_EXISTS);
    struct fh_fence seen;
    assert_code(suite_fence_read(s, &s->a, &seen), FH_OK);
    assert_int_equal(seen.epoch, 1);
    assert_int_equal(seen.mode, FH_FENCE_OPEN);
    assert_int_equal(suite_count(s, &s->a, &model_authors), 1);
    struct fh_uuid fresh = uuid_of(0xcc, 3);
    assert_code(suite_home_create(s, &fresh, 4, 9, FH_FENCE_INCOMING), FH_OK);
    assert_code(suite_fence_read(s, &fresh, &seen), FH_OK);
    assert_int_equal(seen.epoch, 4);
    assert_int_equal(seen.generation, 9);
    assert_int_equal(seen.mode, FH_FENCE_INCOMING);
}

static void test_erase(void **state)
{
    struct suite *s = *state;
    struct fh_uuid *both[] = {&s->a, &s->b};
    for (size_t i = 0; i < 2; i++) {
        suite_must_write(s, both[i], suite_author(s, FH_WRITE_INSERT, 1, "n"));
        suite_must_write(s, both[i], suite_book(s, FH_WRITE_INSERT, 1, "x"));
        suite_must_write(s, both[i], suite_author(s, FH_WRITE_INSERT, 2, "n"));
        suite_must_write(s, both[i], suite_author(s, FH_WRITE_DELETE, 2, NULL));
        for (int64_t k = 0; k < 50; k++) {
            suite_must_write(s, both[i], suite_new(s, FH_WRITE_INSERT, key_code("r", k)));
        }
    }
    struct fh_op_commit named = {.writes = suite_author(s, FH_WRITE_INSERT, 7, "n"),
                                 .count = 1,
                                 .request_id = FH_STR("known")};
    assert_code(suite_commit(s, &s->a, &named), FH_OK);
    uint64_t rows = 0;
    assert_code(suite_home_erase(s, &s->a, 2, &rows),
                FH_MOVED); /* another generation: not ours to erase */
    assert_int_equal(suite_count(s, &s->a, &model_codes), 50);
    assert_code(suite_home_erase(s, &s->a, 1, &rows), FH_OK);
    assert_true(rows >= 54);
    struct fh_fence fence;
    assert_code(suite_fence_read(s, &s->a, &fence), FH_NO_TENANT);
    assert_code(suite_home_erase(s, &s->a, 1, &rows), FH_OK);
    assert_int_equal(rows, 0);
    /* b has everything still. */
    assert_int_equal(suite_count(s, &s->b, &model_codes), 50);
    assert_int_equal(suite_count(s, &s->b, &model_authors), 2);
    assert_int_equal(suite_count(s, &s->b, &model_books), 1);
    struct fh_op_events events = {.limit = 1000};
    assert_code(suite_events(s, &s->b, &events), FH_OK);
    assert_int_equal(events.count, 54);
    /* Made anew, it is empty, and knows nothing of before. */
    assert_code(suite_home_create(s, &s->a, 1, 1, FH_FENCE_OPEN), FH_OK);
    assert_int_equal(suite_count(s, &s->a, &model_codes), 0);
    assert_int_equal(suite_count(s, &s->a, &model_authors), 0);
    events = (struct fh_op_events){.limit = 10};
    assert_code(suite_events(s, &s->a, &events), FH_OK);
    assert_int_equal(events.count, 0);
    assert_code(suite_commit(s, &s->a, &named), FH_OK);
    assert_false(named.replayed);
}

static void test_schema_goes_forward(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "old"));
    suite_must_write(s, &s->a, suite_book(s, FH_WRITE_INSERT, 1, "x"));
    struct fh_row *old = suite_row(s, &s->a, key_author(1));
    suite_apply_schema(s, &model_v1);
    suite_apply_schema(s, &model_v2);
    suite_apply_schema(s, &model_v2);
    struct fh_request back = suite_schema_request(s, &s->a, &model_v1);
    assert_code(suite_run(s, &back), FH_PRECONDITION);
    assert_int_equal(back.as.schema.version_seen, 2);
    /* What was there is there, as the new version sees it. */
    struct fh_key author = {.table = &model_authors_v2, .values = {int_value(FH_TYPE_INT64, 1)}};
    struct fh_row *now = suite_row(s, &s->a, author);
    assert_ptr_equal(now->table, &model_authors_v2);
    assert_true(fh_row_equal(old, now));
    suite_must_write(s, &s->a,
                     suite_put_text(suite_new(s, FH_WRITE_UPDATE, author), AUTHOR_NAME, "newer"));
    /* It has the new table, and its references. */
    struct fh_key key = {.table = &model_reviews, .values = {int_value(FH_TYPE_INT64, 5)}};
    struct fh_write *write = suite_new(s, FH_WRITE_INSERT, key);
    suite_put_text(suite_put_int(write, REVIEW_AUTHOR, 1), REVIEW_SLUG, "absent");
    assert_code(suite_write(s, &s->a, write, NULL), FH_REFERENCE_VIOLATION);
    write = suite_new(s, FH_WRITE_INSERT, key);
    suite_put_text(suite_put_int(write, REVIEW_AUTHOR, 1), REVIEW_SLUG, "x");
    suite_must_write(s, &s->a, write);
    /* Records of both versions are read with the newer schema. */
    struct fh_op_events events = {.limit = 10};
    assert_code(suite_events(s, &s->a, &events), FH_OK);
    assert_int_equal(events.count, 4);
    assert_int_equal(events.records[0].schema_version, 2);
    assert_ptr_equal(events.records[0].changes[0].table, &model_reviews);
    assert_int_equal(events.records[3].schema_version, 1);
    assert_ptr_equal(events.records[3].changes[0].table, &model_authors);
}

static void test_schema_survives(void **state)
{
    struct suite *s = *state;
    if (!s->engine->durable) {
        skip();
    }
    suite_apply_schema(s, &model_v2);
    suite_reopen(s);
    struct fh_request back = suite_schema_request(s, &s->a, &model_v1);
    assert_code(suite_run(s, &back), FH_PRECONDITION);
    assert_int_equal(back.as.schema.version_seen, 2);
    struct fh_key key = {.table = &model_reviews, .values = {int_value(FH_TYPE_INT64, 5)}};
    suite_must_write(s, &s->a, suite_new(s, FH_WRITE_INSERT, key));
}

/* Two steps at once, in a store where nothing is yet. */
static void test_schema_from_nothing(void **state)
{
    struct suite *s = *state;
    suite_apply_schema(s, &model_v2);
    assert_code(suite_home_create(s, &s->a, 1, 1, FH_FENCE_OPEN), FH_OK);
    assert_int_equal(suite_version(s, &s->a), 2);
    struct fh_key key = {.table = &model_reviews, .values = {int_value(FH_TYPE_INT64, 5)}};
    struct fh_row *row = NULL;
    assert_code(suite_get(s, &s->a, key, true, &row), FH_OK);
    assert_null(row);
    suite_must_write(s, &s->a, suite_new(s, FH_WRITE_INSERT, key));
}

static void test_check(void **state)
{
    struct suite *s = *state;
    struct fh_request request = suite_request(s, FH_OP_CHECK, NULL);
    assert_code(suite_run(s, &request), FH_OK);
    assert_true(request.as.check.count >= 1);
    assert_true(request.as.check.count <= FH_CHECK_FINDINGS_MAX);
    for (size_t i = 0; i < request.as.check.count; i++) {
        assert_true(request.as.check.findings[i].subject.len > 0);
        assert_true(request.as.check.findings[i].ok || request.as.check.findings[i].text.len > 0);
    }
}

static const struct CMUnitTest tests[] = {
    SUITE_TEST(test_modes),
    SUITE_TEST(test_wrong_epoch),
    SUITE_TEST(test_records_span_epochs),
    SUITE_TEST(test_no_fence),
    SUITE_TEST(test_fence_set_compares),
    SUITE_TEST(test_home_create_is_idempotent),
    SUITE_TEST(test_erase),
    SUITE_TEST(test_schema_goes_forward),
    SUITE_TEST(test_schema_survives),
    cmocka_unit_test_setup_teardown(test_schema_from_nothing, suite_setup_bare, suite_teardown),
    SUITE_TEST(test_check),
};
SUITE_PART(suite_part_fences, tests)
