/* The completion contract: exactly once, on the loop, never inside submit; bounds, cancelling,
 * closing. */
#include "tests/conformance/suite.h"

struct flight {
    struct fh_request request;
    struct fh_key key;
    unsigned completions;
    bool *all_done;
    size_t *left;
};

static void flight_done_cb(struct fh_request *request)
{
    struct flight *flight = request->arg;
    flight->completions++;
    *flight->left -= 1;
    *flight->all_done = *flight->left == 0;
}

static void flight_init(struct suite *s, struct flight *flight, enum fh_op op, int64_t id,
                        size_t *left, bool *all_done)
{
    flight->request = suite_request(s, op, &s->a);
    flight->request.done_cb = flight_done_cb;
    flight->request.arg = flight;
    flight->completions = 0;
    flight->left = left;
    flight->all_done = all_done;
    flight->key = key_author(id);
    if (op == FH_OP_GET) {
        flight->request.as.get.keys = &flight->key;
        flight->request.as.get.count = 1;
    } else {
        flight->request.as.commit.writes = suite_author(s, FH_WRITE_INSERT, id, "n");
        flight->request.as.commit.count = 1;
    }
    /* Its own memory: the store may use it from another thread while others are in flight. */
    flight->request.arena = FH_ARENA_NEW(&s->arena, struct fh_arena);
    assert_non_null(flight->request.arena);
    fh_arena_init(flight->request.arena, (size_t)64 << 20);
}

static void flights_close(struct flight *flights, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fh_arena_close(flights[i].request.arena);
    }
}

static void test_many_at_once(void **state)
{
    struct suite *s = *state;
    enum { COUNT = 200 };
    static struct flight flights[COUNT];
    size_t left = COUNT;
    bool all_done = false;
    for (int i = 0; i < COUNT; i++) {
        flight_init(s, &flights[i], i % 2 == 0 ? FH_OP_COMMIT : FH_OP_GET, i / 2, &left, &all_done);
        assert_code(fh_store_submit(s->store, &flights[i].request), FH_OK);
        assert_int_equal(left, COUNT); /* none inside submit */
    }
    suite_wait(s, &all_done);
    uv_run(&s->loop, UV_RUN_NOWAIT);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(flights[i].completions, 1);
        enum fh_code code = flights[i].request.code;
        if (i % 2 == 0) {
            assert_code(code, FH_OK);
        } else {
            assert_true(code == FH_OK);
        }
    }
    flights_close(flights, COUNT);
    assert_int_equal(suite_count(s, &s->a, &model_authors), COUNT / 2);
    struct fh_store_stats stats;
    s->store->ops->stats(s->store, &stats);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(stats.submitted, stats.completed);
    assert_true(stats.submitted >= COUNT);
}

/* Two commits that want the same record: one after the other, or one told to retry; never both at
 * once. */
static void test_contention(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    enum { COUNT = 40 };
    static struct flight flights[COUNT];
    size_t left = COUNT;
    bool all_done = false;
    for (int i = 0; i < COUNT; i++) {
        flight_init(s, &flights[i], FH_OP_COMMIT, 1, &left, &all_done);
        struct fh_write *write = suite_new(s, FH_WRITE_UPDATE, key_author(1));
        suite_put(write, AUTHOR_SCORE, FH_TRANSFORM_INCREMENT, int_value(FH_TYPE_INT32, 1));
        flights[i].request.as.commit.writes = write;
        assert_code(fh_store_submit(s->store, &flights[i].request), FH_OK);
    }
    suite_wait(s, &all_done);
    int64_t done = 0;
    for (int i = 0; i < COUNT; i++) {
        enum fh_code code = flights[i].request.code;
        if (code != FH_CONFLICT) {
            assert_code(code, FH_OK);
        }
        done += code == FH_OK;
    }
    flights_close(flights, COUNT);
    assert_true(done > 0);
    const struct fh_row *row = suite_row(s, &s->a, key_author(1));
    assert_int_equal(row->values[AUTHOR_SCORE].as.integer, 7 + done);
    assert_int_equal(row->version, 1 + done);
}

/* The same request id twice at once: applied once. */
static void test_request_id_race(void **state)
{
    struct suite *s = *state;
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, 1, "n"));
    enum { COUNT = 10 };
    static struct flight flights[COUNT];
    size_t left = COUNT;
    bool all_done = false;
    for (int i = 0; i < COUNT; i++) {
        flight_init(s, &flights[i], FH_OP_COMMIT, 1, &left, &all_done);
        struct fh_write *write = suite_new(s, FH_WRITE_UPDATE, key_author(1));
        suite_put(write, AUTHOR_SCORE, FH_TRANSFORM_INCREMENT, int_value(FH_TYPE_INT32, 1));
        flights[i].request.as.commit.writes = write;
        flights[i].request.as.commit.request_id = FH_STR("one-of-many");
        assert_code(fh_store_submit(s->store, &flights[i].request), FH_OK);
    }
    suite_wait(s, &all_done);
    int fresh = 0;
    for (int i = 0; i < COUNT; i++) {
        enum fh_code code = flights[i].request.code;
        if (code != FH_CONFLICT) {
            assert_code(code, FH_OK);
            fresh += !flights[i].request.as.commit.replayed;
        }
    }
    flights_close(flights, COUNT);
    assert_int_equal(fresh, 1);
    assert_int_equal(suite_row(s, &s->a, key_author(1))->values[AUTHOR_SCORE].as.integer, 8);
}

static void test_cancel(void **state)
{
    struct suite *s = *state;
    enum { COUNT = 20 };
    static struct flight flights[COUNT];
    size_t left = COUNT;
    bool all_done = false;
    for (int i = 0; i < COUNT; i++) {
        flight_init(s, &flights[i], i % 2 == 0 ? FH_OP_COMMIT : FH_OP_GET, i, &left, &all_done);
        assert_code(fh_store_submit(s->store, &flights[i].request), FH_OK);
        fh_store_cancel(s->store, &flights[i].request);
        assert_int_equal(left, COUNT); /* nor inside cancel */
    }
    suite_wait(s, &all_done);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(flights[i].completions, 1);
        enum fh_code code = flights[i].request.code;
        assert_true(code == FH_OK || code == FH_CANCELLED ||
                    (i % 2 == 0 && code == FH_OUTCOME_UNKNOWN));
        struct fh_row *row = NULL;
        assert_code(suite_get(s, &s->a, key_author(i), true, &row), FH_OK);
        if (i % 2 == 0 && code == FH_OK) {
            assert_non_null(row); /* told done: done */
        }
        if (code == FH_CANCELLED) {
            assert_null(row); /* told cancelled: nothing happened */
        }
    }
    flights_close(flights, COUNT);
}

static void test_deadline_passed_already(void **state)
{
    struct suite *s = *state;
    struct fh_write *write = suite_author(s, FH_WRITE_INSERT, 1, "late");
    struct fh_request request = suite_request(s, FH_OP_COMMIT, &s->a);
    request.deadline_us = s->clock.monotonic_us;
    request.as.commit = (struct fh_op_commit){.writes = write, .count = 1};
    assert_code(suite_run(s, &request), FH_DEADLINE);
    assert_int_equal(suite_count(s, &s->a, &model_authors), 0);
}

static void test_queue_is_bounded(void **state)
{
    struct suite *s = *state;
    enum { COUNT = 4000 };
    suite_close(s);
    s->queue_max = 4;
    suite_open(s);
    suite_apply_schema(s, &model_v1);
    assert_code(suite_home_create(s, &s->a, 1, 1, FH_FENCE_OPEN), FH_OK);
    struct flight *flights = FH_ARENA_ARRAY(&s->arena, struct flight, COUNT);
    assert_non_null(flights);
    size_t left = 0;
    bool all_done = false;
    size_t accepted = 0;
    enum fh_code code = FH_OK;
    while (accepted < COUNT) {
        flight_init(s, &flights[accepted], FH_OP_COMMIT, (int64_t)accepted, &left, &all_done);
        code = fh_store_submit(s->store, &flights[accepted].request);
        if (code != FH_OK) {
            fh_arena_close(flights[accepted].request.arena);
            break;
        }
        left++;
        accepted++;
    }
    assert_code(code, FH_FULL);
    assert_true(accepted >= 4);
    suite_wait(s, &all_done);
    for (size_t i = 0; i < accepted; i++) {
        assert_int_equal(flights[i].completions, 1);
        assert_code(flights[i].request.code, FH_OK);
    }
    flights_close(flights, accepted);
    /* Room again. */
    suite_must_write(s, &s->a, suite_author(s, FH_WRITE_INSERT, COUNT, "n"));
    assert_int_equal(suite_count(s, &s->a, &model_authors), accepted + 1);
}

struct closing {
    bool closed;
    size_t left_at_close;
    const size_t *left;
};

static void closing_cb(void *arg)
{
    struct closing *closing = arg;
    closing->left_at_close = *closing->left;
    closing->closed = true;
}

static void test_close_completes_what_is_in_flight(void **state)
{
    struct suite *s = *state;
    enum { COUNT = 50 };
    static struct flight flights[COUNT];
    size_t left = COUNT;
    bool all_done = false;
    for (int i = 0; i < COUNT; i++) {
        flight_init(s, &flights[i], i % 2 == 0 ? FH_OP_COMMIT : FH_OP_GET, i, &left, &all_done);
        assert_code(fh_store_submit(s->store, &flights[i].request), FH_OK);
    }
    struct closing closing = {.left = &left};
    struct fh_store *wrapped = s->engine->wrapped != NULL ? s->engine->wrapped(s->store) : NULL;
    struct fh_store *store = s->store;
    s->store = NULL;
    fh_store_close(store, closing_cb, &closing);
    assert_false(closing.closed); /* not inside close either */
    struct fh_request late = suite_request(s, FH_OP_LIST, &s->a);
    late.as.list = (struct fh_op_list){.table = &model_authors, .limit = 1};
    assert_code(fh_store_submit(store, &late), FH_SHUTTING_DOWN);
    suite_wait(s, &closing.closed);
    assert_int_equal(closing.left_at_close, 0);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(flights[i].completions, 1);
        assert_true(flights[i].request.code == FH_OK ||
                    flights[i].request.code == FH_SHUTTING_DOWN);
    }
    flights_close(flights, COUNT);
    if (wrapped != NULL) {
        closing.closed = false;
        fh_store_close(wrapped, closing_cb, &closing);
        suite_wait(s, &closing.closed);
    }
}

struct chain {
    struct suite *s;
    struct fh_key key;
    int left;
    bool done;
};

static void chain_cb(struct fh_request *request)
{
    struct chain *chain = request->arg;
    if (request->code != FH_OK || --chain->left == 0) {
        chain->done = true;
        return;
    }
    /* The same request again, from within its own completion. */
    enum fh_code code = fh_store_submit(chain->s->store, request);
    if (code != FH_OK) {
        fail_msg("submit from a callback: %s", fh_code_name(code));
    }
}

static void test_submit_from_a_callback(void **state)
{
    struct suite *s = *state;
    struct chain chain = {.s = s, .key = key_author(1), .left = 50};
    struct fh_request request = suite_request(s, FH_OP_GET, &s->a);
    request.as.get.keys = &chain.key;
    request.as.get.count = 1;
    request.done_cb = chain_cb;
    request.arg = &chain;
    assert_code(fh_store_submit(s->store, &request), FH_OK);
    suite_wait(s, &chain.done);
    assert_code(request.code, FH_OK);
    assert_int_equal(chain.left, 0);
}

static const struct CMUnitTest tests[] = {
    SUITE_TEST(test_many_at_once),
    SUITE_TEST(test_contention),
    SUITE_TEST(test_request_id_race),
    SUITE_TEST(test_cancel),
    SUITE_TEST(test_deadline_passed_already),
    SUITE_TEST(test_queue_is_bounded),
    SUITE_TEST(test_close_completes_what_is_in_flight),
    SUITE_TEST(test_submit_from_a_callback),
};
SUITE_PART(suite_part_contract, tests)
