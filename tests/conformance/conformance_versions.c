/* Exact schema versions: a request is for one version, and a home of another does nothing for it.
 */
#include "tests/conformance/mover.h"

/* A small valid request of every operation that takes a schema, for the version of `schema`. */
static const enum fh_op ops[] = {
    FH_OP_GET,          FH_OP_LIST,    FH_OP_COMMIT,       FH_OP_EVENTS, FH_OP_SCAN,
    FH_OP_SCAN_JOURNAL, FH_OP_CHANGES, FH_OP_TALLY,        FH_OP_APPLY,  FH_OP_MOVE_STATE,
    FH_OP_REFERENCES,   FH_OP_SIZE,    FH_OP_SNAPSHOT_OPEN};
#define OPS (sizeof(ops) / sizeof(ops[0]))

struct attempt {
    struct fh_request request;
    struct fh_key key;
    struct fh_row *row;
};

static const struct fh_table *codes_of(const struct fh_schema *schema)
{
    return fh_schema_table(schema, FH_STR("codes"));
}

static void attempt_init(struct suite *s, struct attempt *attempt, enum fh_op op,
                         const struct fh_uuid *tenant, const struct fh_schema *schema,
                         const struct view *view)
{
    const struct fh_fence_guard guard = {1, MOVER_MODES_ALL};
    struct fh_request *request = &attempt->request;
    *request = suite_request(s, op, tenant);
    request->scope.schema = schema;
    attempt->key = key_code("r", 1);
    attempt->key.table = codes_of(schema);
    switch (op) {
    case FH_OP_GET:
        request->as.get.keys = &attempt->key;
        request->as.get.count = 1;
        break;
    case FH_OP_LIST:
        request->as.list.table = attempt->key.table;
        request->as.list.limit = 10;
        break;
    case FH_OP_COMMIT:
        request->as.commit.writes = suite_new(s, FH_WRITE_UPSERT, attempt->key);
        request->as.commit.count = 1;
        break;
    case FH_OP_EVENTS:
        request->as.events.limit = 10;
        break;
    case FH_OP_SCAN:
        request->as.scan =
            (struct fh_op_scan){.table = attempt->key.table, .limit = 10, .bytes_max = 1000};
        break;
    case FH_OP_SCAN_JOURNAL:
        request->as.scan_journal = (struct fh_op_scan_journal){.limit = 10, .bytes_max = 1000};
        break;
    case FH_OP_CHANGES:
        request->as.changes = (struct fh_op_changes){
            .snapshot = view->snapshot, .since = view->cursor, .limit = 10, .bytes_max = 1000};
        break;
    case FH_OP_TALLY:
        request->as.tally.since = view->cursor;
        break;
    case FH_OP_APPLY:
        attempt->row = fh_row_create(attempt->key.table, &s->arena);
        assert_non_null(attempt->row);
        attempt->row->tenant = *tenant;
        attempt->row->values[CODE_REGION] = text_value("applied");
        attempt->row->values[CODE_NUMBER] = int_value(FH_TYPE_INT32, 1);
        attempt->row->created_at_us = attempt->row->updated_at_us = 1;
        attempt->row->version = 1;
        request->as.apply.rows = &attempt->row;
        request->as.apply.row_count = 1;
        request->as.apply.keep_existing = true;
        break;
    default:
        break;
    }
    if (fh_move_op_guard(request) != NULL) {
        *fh_move_op_guard(request) = guard;
    }
}

/* Runs each; a view that it opened is closed. */
static enum fh_code run(struct suite *s, struct attempt *attempt)
{
    enum fh_code code = suite_run(s, &attempt->request);
    if (attempt->request.op == FH_OP_SNAPSHOT_OPEN && code == FH_OK) {
        struct mover m = mover_of(s, &attempt->request.scope.tenant);
        struct view view = {.snapshot = attempt->request.as.snapshot.snapshot};
        mover_close(&m, &view);
    }
    return code;
}

/* Every operation, for the version that the home is not at; then for the one it is. */
static void check_refused(struct suite *s, const struct fh_schema *right,
                          const struct fh_schema *wrong)
{
    struct mover m = mover_of(s, &s->a);
    struct view view = mover_open(&m);
    size_t there = suite_count(s, &s->a, codes_of(right));
    for (size_t i = 0; i < OPS; i++) {
        struct attempt attempt;
        attempt_init(s, &attempt, ops[i], &s->a, wrong, &view);
        enum fh_code code = run(s, &attempt);
        suite_assert_code(code, FH_STALE_SCHEMA, "of another version",
                          attempt.request.error.message, __FILE__, (int)ops[i]);
        assert_true(attempt.request.version_seen == right->version ||
                    attempt.request.version_seen == 0);
        /* A fence that is wrong too is told first. */
        attempt.request.scope.epoch = 2;
        assert_code(run(s, &attempt), FH_MOVED);
        assert_int_equal(attempt.request.epoch_seen, 1);
        /* And nobody's rows are in no version. */
        const struct fh_uuid stranger = uuid_of(0xcc, 3);
        if (ops[i] != FH_OP_CHANGES) { /* its view is a's */
            attempt_init(s, &attempt, ops[i], &stranger, wrong, &view);
            assert_code(run(s, &attempt), FH_NO_TENANT);
        }
    }
    assert_int_equal(suite_count(s, &s->a, codes_of(right)), there);
    struct fh_op_events events = {.limit = 10};
    assert_code(suite_events(s, &s->a, &events), FH_OK);
    assert_int_equal(events.count, 0);
    for (size_t i = 0; i < OPS; i++) {
        struct attempt attempt;
        attempt_init(s, &attempt, ops[i], &s->a, right, &view);
        suite_assert_code(run(s, &attempt), FH_OK, "of its version", attempt.request.error.message,
                          __FILE__, (int)ops[i]);
    }
    assert_int_equal(suite_count(s, &s->a, codes_of(right)), there + 2);
    mover_close(&m, &view);
}

static void test_newer_is_refused(void **state)
{
    check_refused(*state, &model_v1, &model_v2);
}

static void test_older_is_refused(void **state)
{
    struct suite *s = *state;
    suite_apply_schema(s, &model_v2);
    check_refused(s, &model_v2, &model_v1);
}

/* Erasing a tenant's rows needs to know its tables; a dedicated home goes whatever it holds. */
static void test_erase_for_another_version(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    struct fh_request erase = suite_request(s, FH_OP_HOME_ERASE, &s->a);
    erase.scope.schema = &model_v2;
    erase.as.home.fence.generation = 2;
    assert_code(suite_run(s, &erase), FH_MOVED); /* the fence first */
    erase.as.home.fence.generation = 1;
    if (s->tier == FH_TIER_SHARED) {
        assert_code(suite_run(s, &erase), FH_STALE_SCHEMA);
        assert_int_equal(suite_count(s, &s->a, &model_authors), 1);
        erase.scope.schema = &model_v1;
    }
    assert_code(suite_run(s, &erase), FH_OK);
    struct fh_fence fence;
    assert_code(suite_fence_read(s, &s->a, &fence), FH_NO_TENANT);
}

/* In a rollout some homes are ahead: each is served with its own version. */
static void test_two_homes_at_two_versions(void **state)
{
    struct suite *s = *state;
    if (s->tier == FH_TIER_SHARED) {
        skip();
    }
    struct fh_request apply = suite_schema_request(s, &s->a, &model_v2);
    assert_code(suite_run(s, &apply), FH_OK);
    assert_int_equal(apply.as.schema.version_seen, 2);
    assert_int_equal(suite_version(s, &s->a), 2);
    assert_int_equal(suite_version(s, &s->b), 1);
    suite_must_write(s, &s->b, suite_author(s, FH_WRITE_INSERT, 1, "at one"));
    struct fh_row *row = NULL;
    assert_code(suite_get(s, &s->a, key_author(1), true, &row), FH_STALE_SCHEMA);
    s->schema = &model_v2;
    struct fh_key key = {.table = &model_reviews, .values = {int_value(FH_TYPE_INT64, 5)}};
    suite_must_write(s, &s->a, suite_new(s, FH_WRITE_INSERT, key));
    assert_code(suite_write(s, &s->b, suite_new(s, FH_WRITE_INSERT, key), NULL), FH_STALE_SCHEMA);
    /* A home that is made now is made at the version that is asked for. */
    const struct fh_uuid fresh = uuid_of(0xcc, 3);
    assert_code(suite_home_create(s, &fresh, 1, 1, FH_FENCE_OPEN), FH_OK);
    assert_int_equal(suite_version(s, &fresh), 2);
    if (s->engine->durable) {
        suite_reopen(s);
    }
    assert_int_equal(suite_version(s, &s->a), 2);
    assert_int_equal(suite_version(s, &s->b), 1);
    assert_int_equal(suite_count(s, &s->a, &model_reviews), 1);
    s->schema = &model_v1;
    assert_int_equal(suite_count(s, &s->b, &model_authors), 1);
}

/* A schema change and a move never cross: it needs the fence that it was planned under. */
static void test_a_change_needs_its_fence(void **state)
{
    struct suite *s = *state;
    if (s->tier == FH_TIER_SHARED) {
        skip();
    }
    static const struct {
        uint64_t epoch;
        uint64_t generation;
        uint32_t modes;
    } wrong[] = {{2, 1, MOVER_MODES_ALL},
                 {0, 1, MOVER_MODES_ALL},
                 {1, 2, MOVER_MODES_ALL},
                 {1, 0, MOVER_MODES_ALL},
                 {1, 1, MOVER_MODES_ALL & ~FH_FENCE_BIT(FH_FENCE_OPEN)}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        /* Whether there is something to do or not. */
        const struct fh_schema *const targets[] = {&model_v2, &model_v1};
        for (size_t k = 0; k < 2; k++) {
            struct fh_request apply = suite_schema_request(s, &s->a, targets[k]);
            apply.scope.epoch = wrong[i].epoch;
            apply.as.schema.guard = (struct fh_fence_guard){wrong[i].generation, wrong[i].modes};
            assert_code(suite_run(s, &apply), FH_MOVED);
            assert_int_equal(apply.epoch_seen, 1);
            assert_int_equal(apply.mode_seen, FH_FENCE_OPEN);
            assert_int_equal(suite_version(s, &s->a), 1);
        }
    }
    suite_fence_mode(s, &s->a, FH_FENCE_INCOMING);
    struct fh_request apply = suite_schema_request(s, &s->a, &model_v2);
    apply.as.schema.guard.modes = FH_FENCE_BIT(FH_FENCE_OPEN) | FH_FENCE_BIT(FH_FENCE_FROZEN);
    assert_code(suite_run(s, &apply), FH_MOVED);
    assert_int_equal(apply.mode_seen, FH_FENCE_INCOMING);
    apply.as.schema.guard.modes |= FH_FENCE_BIT(FH_FENCE_INCOMING);
    assert_code(suite_run(s, &apply), FH_OK);
    assert_code(suite_run(s, &apply), FH_OK); /* once is enough */
    assert_int_equal(apply.as.schema.version_seen, 2);
    apply.as.schema.target = &model_v1;
    assert_code(suite_run(s, &apply), FH_PRECONDITION);
    assert_int_equal(apply.as.schema.version_seen, 2);
    const struct fh_uuid stranger = uuid_of(0xcc, 3);
    apply = suite_schema_request(s, &stranger, &model_v2);
    assert_code(suite_run(s, &apply), FH_NO_TENANT);
    assert_int_equal(suite_version(s, &stranger), 0);
}

/* Of everybody in it: no fence is asked. */
static void test_a_shared_home_changes_under_all(void **state)
{
    struct suite *s = *state;
    if (s->tier != FH_TIER_SHARED) {
        skip();
    }
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    suite_fence_mode(s, &s->a, FH_FENCE_FROZEN);
    suite_fence_mode(s, &s->b, FH_FENCE_INCOMING);
    suite_apply_schema(s, &model_v2);
    assert_int_equal(suite_version(s, &s->a), 2);
    const struct fh_uuid stranger = uuid_of(0xcc, 3);
    assert_int_equal(suite_version(s, &stranger), 2); /* told also to who has no fence there */
    assert_int_equal(suite_count(s, &s->a, &model_authors_v2), 1);
}

/* What was answered before the change is answered again behind it. */
static void test_replay_across_versions(void **state)
{
    struct suite *s = *state;
    struct fh_op_commit commit = {.writes = suite_author(s, FH_WRITE_INSERT, 1, "once"),
                                  .count = 1,
                                  .request_id = FH_STR("r1")};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    const uint64_t seq = commit.seq;
    suite_apply_schema(s, &model_v2);
    struct fh_key key = {.table = &model_authors_v2, .values = {int_value(FH_TYPE_INT64, 1)}};
    struct fh_write *write = suite_new(s, FH_WRITE_INSERT, key);
    commit = (struct fh_op_commit){.writes = suite_put_text(write, AUTHOR_NAME, "once"),
                                   .count = 1,
                                   .request_id = FH_STR("r1")};
    assert_code(suite_commit(s, &s->a, &commit), FH_OK);
    assert_true(commit.replayed);
    assert_int_equal(commit.seq, seq);
    assert_non_null(commit.rows[0]);
    suite_assert_text(&commit.rows[0]->values[AUTHOR_NAME], "once");
}

static const struct CMUnitTest tests[] = {
    SUITE_TEST(test_newer_is_refused),          SUITE_TEST(test_older_is_refused),
    SUITE_TEST(test_erase_for_another_version), SUITE_TEST(test_two_homes_at_two_versions),
    SUITE_TEST(test_a_change_needs_its_fence),  SUITE_TEST(test_a_shared_home_changes_under_all),
    SUITE_TEST(test_replay_across_versions),
};
SUITE_PART(suite_part_versions, tests)
