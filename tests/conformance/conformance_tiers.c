/* What a home is in its tier: made whole, gone whole, and nobody else's. */
#include "tests/conformance/mover.h"

static bool dedicated(const struct suite *s)
{
    return s->tier != FH_TIER_SHARED;
}

static void assert_whole_and_empty(struct suite *s, const struct fh_uuid *tenant)
{
    assert_int_equal(suite_version(s, tenant), s->schema->version);
    for (uint32_t t = 0; t < s->schema->table_count; t++) {
        assert_int_equal(suite_count(s, tenant, s->schema->tables[t]), 0);
    }
    struct fh_op_events events = {.limit = 10};
    assert_code(suite_events(s, tenant, &events), FH_OK);
    assert_int_equal(events.count, 0);
    struct mover m = mover_of(s, tenant);
    struct fh_str kept;
    assert_code(mover_try_state(&m, &kept), FH_OK);
    assert_int_equal(kept.len, 0);
    struct fh_error error = FH_ERROR_INIT;
    assert_code(mover_try_references(&m, &error), FH_OK);
}

/* Made at the version of its first request, and made once. */
static void test_create_makes_a_whole_home(void **state)
{
    struct suite *s = *state;
    suite_apply_schema(s, &model_v2);
    assert_int_equal(suite_version(s, &s->a), dedicated(s) ? 0 : 2);
    assert_code(suite_home_create(s, &s->a, 1, 1, FH_FENCE_OPEN), FH_OK);
    assert_whole_and_empty(s, &s->a);
    assert_code(suite_home_create(s, &s->a, 1, 1, FH_FENCE_OPEN), FH_OK);
    assert_code(suite_home_create(s, &s->a, 1, 2, FH_FENCE_OPEN), FH_EXISTS);
    struct fh_key key = {.table = &model_reviews, .values = {int_value(FH_TYPE_INT64, 5)}};
    suite_must_write(s, &s->a, suite_new(s, FH_WRITE_INSERT, key));
    assert_code(suite_home_create(s, &s->a, 1, 1, FH_FENCE_OPEN), FH_OK);
    assert_int_equal(suite_count(s, &s->a, &model_reviews), 1);
    struct fh_fence fence;
    assert_code(suite_fence_read(s, &s->b, &fence), FH_NO_TENANT);
}

/* Who comes with the fence that is there, but for another version, is told which one there is. */
static void test_create_again_at_another_version(void **state)
{
    struct suite *s = *state;
    struct fh_request request = suite_request(s, FH_OP_HOME_CREATE, &s->a);
    request.scope.schema = &model_v2;
    request.as.home.fence = (struct fh_fence){1, 1, FH_FENCE_OPEN};
    if (!dedicated(s)) {
        assert_code(suite_run(s, &request), FH_OK); /* its tables are not this request's matter */
        return;
    }
    assert_code(suite_run(s, &request), FH_STALE_SCHEMA);
    assert_int_equal(request.version_seen, 1);
    request.as.home.fence.generation = 2;
    assert_code(suite_run(s, &request), FH_EXISTS); /* the fence is told first */
    assert_int_equal(suite_version(s, &s->a), 1);
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
}

static void test_erase_is_guarded_and_whole(void **state)
{
    struct suite *s = *state;
    const struct fh_uuid *const both[] = {&s->a, &s->b};
    for (size_t i = 0; i < 2; i++) {
        suite_must_write(s, both[i], suite_author(s, FH_WRITE_INSERT, 1, "n"));
        suite_must_write(s, both[i], suite_book(s, FH_WRITE_INSERT, 1, "x"));
    }
    struct mover m = mover_of(s, &s->a);
    mover_apply(&m, (struct fh_op_apply){.state = FH_STR("left")});
    assert_code(suite_home_erase(s, &s->a, 7, NULL), FH_MOVED);
    assert_int_equal(suite_count(s, &s->a, &model_books), 1);
    uint64_t rows = 0;
    assert_code(suite_home_erase(s, &s->a, 1, &rows), FH_OK);
    assert_true(rows >= 2 || dedicated(s));
    assert_int_equal(suite_version(s, &s->a), dedicated(s) ? 0 : 1);
    struct fh_row *row = NULL;
    assert_code(suite_get(s, &s->a, key_author(1), true, &row), FH_NO_TENANT);
    assert_code(suite_home_erase(s, &s->a, 1, &rows), FH_OK); /* nothing is there */
    assert_int_equal(rows, 0);
    /* It lives here again: an eraser that slept finds another generation. */
    assert_code(suite_home_create(s, &s->a, 1, 3, FH_FENCE_OPEN), FH_OK);
    m.guard.generation = 3;
    assert_int_equal(suite_count(s, &s->a, &model_authors), 0);
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 2, "again"));
    assert_code(suite_home_erase(s, &s->a, 1, &rows), FH_MOVED);
    assert_int_equal(suite_count(s, &s->a, &model_authors), 1);
    struct fh_str kept;
    assert_code(mover_try_state(&m, &kept), FH_OK);
    assert_int_equal(kept.len, 0);
    assert_int_equal(suite_count(s, &s->b, &model_books), 1); /* b was never touched */
    if (s->engine->durable) {
        suite_reopen(s);
        assert_int_equal(suite_count(s, &s->a, &model_authors), 1);
    }
}

/* Many times over: nothing is left of a home that would be in the way of the next. */
static void test_made_and_erased_again(void **state)
{
    struct suite *s = *state;
    const struct fh_uuid tenant = uuid_of(0xcc, 3);
    for (uint64_t round = 1; round <= 5; round++) {
        assert_code(suite_home_create(s, &tenant, 1, round, FH_FENCE_OPEN), FH_OK);
        assert_int_equal(suite_count(s, &tenant, &model_authors), 0);
        suite_must_write(s, &tenant, suite_author(s, FH_WRITE_INSERT, 1, "n"));
        assert_code(suite_home_erase(s, &tenant, round, NULL), FH_OK);
    }
    assert_int_equal(suite_version(s, &tenant), dedicated(s) ? 0 : 1);
}

/* A request that names another's home is refused before the engine sees it. */
static void test_homes_of_others(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->b, suite_author(s, FH_WRITE_INSERT, 1, "of b"));
    static const enum fh_op ops[] = {FH_OP_EVENTS,     FH_OP_HOME_CREATE,   FH_OP_HOME_ERASE,
                                     FH_OP_FENCE_READ, FH_OP_SNAPSHOT_OPEN, FH_OP_SIZE,
                                     FH_OP_LIST,       FH_OP_SCHEMA_APPLY};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        for (enum fh_tier tier = FH_TIER_SCHEMA; tier <= FH_TIER_DATABASE; tier++) {
            struct fh_request request = suite_request(s, ops[i], &s->a);
            fh_home_of(tier, &s->b, &request.scope.home);
            assert_code(suite_run(s, &request), FH_INVALID);
        }
    }
    assert_int_equal(suite_count(s, &s->b, &model_authors), 1);
}

/* The store has the tier, but the tenant has no home in it. */
static void test_no_home_in_that_tier(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    for (enum fh_tier tier = FH_TIER_SHARED; tier <= FH_TIER_DATABASE; tier++) {
        if (tier == s->tier || !suite_offers(s, tier)) {
            continue;
        }
        s->other_tier = tier;
        suite_swap(s);
        struct fh_row *row = NULL;
        assert_code(suite_get(s, &s->a, key_author(1), true, &row), FH_NO_TENANT);
        assert_code(suite_write(s, &s->a, suite_author(s, FH_WRITE_UPSERT, 1, "lost"), NULL),
                    FH_NO_TENANT);
        assert_int_equal(suite_version(s, &s->a), 0);
        assert_code(suite_home_erase(s, &s->a, 1, NULL), FH_OK);
        struct mover m = mover_of(s, &s->a);
        struct view view;
        assert_code(mover_try_open(&m, &view), FH_NO_TENANT);
        if (tier == FH_TIER_SHARED) { /* nor is there a schema */
            assert_code(suite_home_create(s, &s->a, 1, 1, FH_FENCE_OPEN), FH_PRECONDITION);
        }
        suite_swap(s);
    }
    suite_assert_text(&suite_row(s, &s->a, key_author(1))->values[AUTHOR_NAME], "n");
}

static void test_homes_are_bounded(void **state)
{
    struct suite *s = *state;
    if (s->tier != FH_TIER_SCHEMA) {
        skip();
    }
    suite_close(s);
    s->homes_max = 5;
    suite_open(s);
    const size_t room = s->engine->durable ? 3 : 5; /* a and b are there still, or gone */
    struct fh_uuid tenants[6];
    for (size_t i = 0; i <= room; i++) {
        tenants[i] = uuid_of((uint8_t)(0xc0 + i), 1);
        assert_code(suite_home_create(s, &tenants[i], 1, 1, FH_FENCE_OPEN),
                    i < room ? FH_OK : FH_FULL);
    }
    assert_int_equal(suite_version(s, &tenants[room]), 0);
    assert_code(suite_home_create(s, &tenants[0], 1, 1, FH_FENCE_OPEN), FH_OK); /* it is there */
    assert_code(suite_home_erase(s, &tenants[0], 1, NULL), FH_OK);
    assert_code(suite_home_create(s, &tenants[room], 1, 1, FH_FENCE_OPEN), FH_OK);
}

struct preview {
    size_t statements;
    size_t end_at; /* which one ends it; 0: none */
};

static enum fh_code preview_cb(void *arg, const struct fh_ddl_statement *statement)
{
    struct preview *preview = arg;
    assert_non_null(statement->sql);
    assert_true(statement->sql[0] != '\0');
    preview->statements++;
    return preview->statements == preview->end_at ? FH_CANCELLED : FH_OK;
}

static void test_preview(void **state)
{
    struct suite *s = *state;
    const struct fh_home home = suite_home(s, &s->a);
    const struct {
        const struct fh_schema *from;
        const struct fh_schema *to;
        enum fh_code code;
        bool some;
    } table[] = {{NULL, &model_v1, FH_OK, true},
                 {NULL, &model_v2, FH_OK, true},
                 {&model_v1, &model_v2, FH_OK, true},
                 {&model_v2, &model_v2, FH_OK, false},
                 {&model_v2, &model_v1, FH_PRECONDITION, false}};
    assert_non_null(s->store->ops->preview);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct preview preview = {.statements = 0};
        struct fh_error error = FH_ERROR_INIT;
        assert_code(
            s->store->ops->preview(table[i].from, table[i].to, &home, preview_cb, &preview, &error),
            table[i].code);
        assert_int_equal(preview.statements > 0, table[i].some);
        if (table[i].some) {
            struct preview ended = {.end_at = preview.statements};
            assert_code(s->store->ops->preview(table[i].from, table[i].to, &home, preview_cb,
                                               &ended, &error),
                        FH_CANCELLED);
            assert_int_equal(ended.statements, preview.statements);
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_create_makes_a_whole_home, suite_setup_bare,
                                    suite_teardown),
    SUITE_TEST(test_create_again_at_another_version),
    SUITE_TEST(test_erase_is_guarded_and_whole),
    SUITE_TEST(test_made_and_erased_again),
    SUITE_TEST(test_homes_of_others),
    SUITE_TEST(test_no_home_in_that_tier),
    SUITE_TEST(test_homes_are_bounded),
    SUITE_TEST(test_preview),
};
SUITE_PART(suite_part_tiers, tests)
