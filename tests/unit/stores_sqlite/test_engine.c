/* The engine as a whole: schemas, erasing, snapshots, queues, closing. */
#include "tests/unit/stores_sqlite/fixture.h"

#include <stdio.h>

static void fill(struct fixture *f, const struct fh_uuid *tenant, int64_t first, size_t count)
{
    while (count > 0) {
        size_t batch = count < FH_COMMIT_WRITES_MAX ? count : FH_COMMIT_WRITES_MAX;
        struct fh_write *writes = FH_ARENA_ARRAY(&f->arena, struct fh_write, batch);
        assert_non_null(writes);
        for (size_t i = 0; i < batch; i++) {
            writes[i] = *fixture_write(f, FH_WRITE_INSERT, fixture_item(first++), "n", NULL);
        }
        struct fh_request request = fixture_commit(f, tenant, writes);
        request.as.commit.count = batch;
        assert_code(fixture_run(f, &request), FH_OK);
        count -= batch;
    }
}

static void test_schema(void **state)
{
    struct fixture *f = *state;
    struct fh_row *row = NULL;
    assert_code(fixture_apply(f, &fixture_v1), FH_OK); /* again: nothing happens */
    assert_code(fixture_put(f, &f->a, FH_WRITE_INSERT, 1, "n", NULL), FH_OK);
    /* A request of a newer schema than the store's: the fence goes first. */
    struct fh_request request = fixture_request(f, FH_OP_EVENTS, &f->a);
    request.scope.schema = &fixture_v2;
    request.as.events.limit = 1;
    assert_code(fixture_run(f, &request), FH_STALE_SCHEMA);
    assert_int_equal(request.version_seen, 1);
    request.scope.epoch = 2;
    assert_code(fixture_run(f, &request), FH_MOVED);
    assert_code(fixture_apply(f, &fixture_v2), FH_OK);
    request.scope.epoch = 1;
    assert_code(fixture_run(f, &request), FH_OK);
    assert_int_equal(request.as.events.count, 1);
    /* And one of an older. */
    assert_code(fixture_get(f, &f->a, 1, &row), FH_STALE_SCHEMA);
    struct fh_write note = {.op = FH_WRITE_INSERT, .key = {.table = &fixture_notes}};
    note.key.values[0] = (struct fh_value){.type = FH_TYPE_INT64, .as.integer = 1};
    struct fh_assignment item = {.column = 1, .value = {.type = FH_TYPE_INT64, .as.integer = 1}};
    note.assignments = &item;
    note.assignment_count = 1;
    struct fh_request commit = fixture_commit(f, &f->a, &note);
    commit.scope.schema = &fixture_v2;
    assert_code(fixture_run(f, &commit), FH_OK);
    /* Never backwards. */
    struct fh_request back = fixture_request(f, FH_OP_SCHEMA_APPLY, NULL);
    back.as.schema.target = &fixture_v1;
    assert_code(fixture_run(f, &back), FH_PRECONDITION);
    assert_int_equal(back.as.schema.version_seen, 2);
    fixture_shut(f);
    fixture_open(f);
    assert_code(fixture_apply(f, &fixture_v2), FH_OK);
}

/* Two servers bring the store to the same version at once: one of them does it. */
static void test_schema_by_two_servers(void **state)
{
    struct fixture *f = *state;
    struct fh_store *other = f->store;
    fixture_open(f);
    struct fh_store *stores[] = {other, f->store};
    struct fh_request requests[2];
    bool done[2];
    for (size_t i = 0; i < 2; i++) {
        requests[i] = fixture_request(f, FH_OP_SCHEMA_APPLY, NULL);
        requests[i].as.schema.target = &fixture_v2;
        fixture_detach(f, &requests[i]);
        f->store = stores[i];
        assert_code(fixture_submit(f, &requests[i], &done[i]), FH_OK);
    }
    for (size_t i = 0; i < 2; i++) {
        fixture_wait(f, &done[i]);
        assert_code(requests[i].code, FH_OK);
        assert_int_equal(requests[i].as.schema.version_seen, 2);
    }
    f->store = other;
    fixture_shut(f);
    f->store = stores[1];
}

static void test_schema_that_rows_break(void **state)
{
    struct fixture *f = *state;
    static struct fh_table changed;
    static const struct fh_table *both[] = {&changed, &fixture_parts};
    /* A unique index that what is there breaks: nothing of the version stays. */
    static struct fh_index indexes[2];
    static const struct fh_schema stricter = {
        .version = 2, .table_count = 2, .tables = both, .previous = &fixture_v1};
    changed = fixture_items;
    indexes[0] = fixture_items.indexes[0];
    indexes[1] = (struct fh_index){.name = FH_STR("items_name_key"),
                                   .id = 5,
                                   .unique = true,
                                   .column_count = 1,
                                   .columns = {ITEM_NAME}};
    changed.indexes = indexes;
    changed.index_count = 2;
    fill(f, &f->a, 0, 2);
    struct fh_request request = fixture_request(f, FH_OP_SCHEMA_APPLY, NULL);
    request.as.schema.target = &stricter;
    assert_code(fixture_run(f, &request), FH_UNIQUE_VIOLATION);
    assert_int_equal(request.as.schema.version_seen, 1);
    struct fh_request check = fixture_request(f, FH_OP_CHECK, NULL);
    assert_code(fixture_run(f, &check), FH_OK);
    for (size_t i = 0; i < check.as.check.count; i++) {
        assert_true(check.as.check.findings[i].ok);
    }
}

static enum fh_code erase(struct fixture *f, uint64_t generation, uint64_t *erased)
{
    struct fh_request request = fixture_request(f, FH_OP_HOME_ERASE, &f->a);
    request.as.home.fence.generation = generation;
    enum fh_code code = fixture_run(f, &request);
    *erased = request.as.home.rows_erased;
    return code;
}

static void test_erase(void **state)
{
    struct fixture *f = *state;
    struct fh_row *row = NULL;
    uint64_t erased = 0;
    fill(f, &f->a, 0, 1300);
    fill(f, &f->b, 0, 10);
    for (int64_t n = 0; n < 30;
         n++) { /* parents go before their children: foreign keys must not mind */
        struct fh_request part = fixture_commit(
            f, &f->a, fixture_write(f, FH_WRITE_INSERT, fixture_part(n, n), NULL, NULL));
        assert_code(fixture_run(f, &part), FH_OK);
    }
    assert_code(erase(f, 9, &erased), FH_MOVED);
    assert_int_equal(erased, 0);
    assert_int_equal(fixture_count(f, &f->b), 10);
    /* Others write between its batches. */
    struct fh_request request = fixture_request(f, FH_OP_HOME_ERASE, &f->a);
    request.as.home.fence.generation = 1;
    bool done = false;
    fixture_detach(f, &request);
    assert_code(fixture_submit(f, &request, &done), FH_OK);
    int64_t writes = 0;
    while (!done) {
        assert_code(fixture_put(f, &f->b, FH_WRITE_INSERT, 100 + writes++, "n", NULL), FH_OK);
    }
    assert_code(request.code, FH_OK);
    assert_int_equal(request.as.home.rows_erased, 1330);
    assert_true(writes > 1);
    assert_code(fixture_get(f, &f->a, 1, &row), FH_NO_TENANT);
    assert_int_equal(fixture_count(f, &f->b), (size_t)(10 + writes));
    assert_code(erase(f, 1, &erased), FH_OK); /* nothing is there */
    assert_int_equal(erased, 0);
    assert_code(fixture_home(f, &f->a), FH_OK); /* and what comes anew is empty */
    assert_int_equal(fixture_count(f, &f->a), 0);
    struct fh_request events = fixture_request(f, FH_OP_EVENTS, &f->a);
    events.as.events.limit = 10;
    assert_code(fixture_run(f, &events), FH_OK);
    assert_int_equal(events.as.events.count, 0);
}

/* A half-erased home serves nobody, and is erased on the next request. */
static void test_erase_goes_on(void **state)
{
    struct fixture *f = *state;
    struct fh_row *row = NULL;
    uint64_t erased = 0;
    fill(f, &f->a, 0, 1500);
    struct fh_request request = fixture_request(f, FH_OP_HOME_ERASE, &f->a);
    request.as.home.fence.generation = 1;
    bool done = false;
    assert_code(fixture_submit(f, &request, &done), FH_OK);
    fixture_shut(f); /* while it is under way: what is in a batch ends, the rest does not */
    assert_true(done);
    assert_code(request.code, FH_SHUTTING_DOWN);
    fixture_open(f);
    assert_code(fixture_get(f, &f->a, 1499, &row), FH_MOVED);
    assert_code(erase(f, 1, &erased), FH_OK);
    assert_int_equal(erased, 1000);
    assert_code(fixture_get(f, &f->a, 1499, &row), FH_NO_TENANT);
}

/* A running statement is interrupted at its deadline: the clock moves whenever somebody looks at
 * it. */
static void test_deadline_of_a_running_read(void **state)
{
    struct fixture *f = *state;
    struct fh_row *row = NULL;
    fill(f, &f->a, 0, 1000);
    struct fh_request list = fixture_request(f, FH_OP_LIST, &f->a);
    list.as.list.table = &fixture_items;
    list.as.list.limit = 1000;
    list.deadline_us = f->now_us + 4000;
    __atomic_store_n(&f->tick_us, 1000, __ATOMIC_SEQ_CST);
    enum fh_code code = fixture_run(f, &list);
    __atomic_store_n(&f->tick_us, 0, __ATOMIC_SEQ_CST);
    assert_code(code, FH_DEADLINE);
    assert_non_null(strstr(list.error.message, "while the statement ran"));
    assert_null(list.as.list.rows);
    assert_code(fixture_get(f, &f->a, 1, &row), FH_OK); /* the connection is as good as before */
    assert_non_null(row);
}

static void test_queue_is_bounded(void **state)
{
    enum { MOST = 4 };
    struct fixture *f = *state;
    struct fh_request requests[MOST + 1];
    bool done[MOST + 1];
    struct fh_store_stats stats;
    fixture_shut(f);
    f->queue_max = MOST;
    fixture_open(f);
    for (int i = 0; i <= MOST; i++) {
        requests[i] =
            fixture_commit(f, &f->a, fixture_write(f, FH_WRITE_INSERT, fixture_item(i), "n", NULL));
        fixture_detach(f, &requests[i]);
        /* No turn of the loop in between, so nothing can have been completed. */
        assert_code(fixture_submit(f, &requests[i], &done[i]), i < MOST ? FH_OK : FH_FULL);
    }
    f->store->ops->stats(f->store, &stats);
    assert_int_equal(stats.queued, MOST);
    assert_int_equal(stats.in_flight, MOST);
    assert_int_equal(stats.connections, 3);
    for (int i = 0; i < MOST; i++) {
        fixture_wait(f, &done[i]);
        assert_code(requests[i].code, FH_OK);
    }
    assert_int_equal(fixture_count(f, &f->a), MOST);
}

/* Closing ends everything that is queued, each once. */
static void test_close_with_work_queued(void **state)
{
    enum { MANY = 200 };
    static struct fh_request requests[MANY];
    static bool done[MANY];
    struct fixture *f = *state;
    for (int i = 0; i < MANY; i++) {
        if (i % 2 == 0) {
            requests[i] = fixture_commit(
                f, &f->a, fixture_write(f, FH_WRITE_INSERT, fixture_item(i), "n", NULL));
        } else {
            requests[i] = fixture_request(f, FH_OP_EVENTS, &f->a);
            requests[i].as.events.limit = 10;
        }
        fixture_detach(f, &requests[i]);
        assert_code(fixture_submit(f, &requests[i], &done[i]), FH_OK);
    }
    fixture_shut(f);
    for (int i = 0; i < MANY; i++) {
        assert_true(done[i]);
        assert_code(requests[i].code, FH_OK);
    }
    fixture_open(f);
    assert_int_equal(fixture_count(f, &f->a), MANY / 2);
}

/* What was acknowledged is seen by every read that is submitted afterwards, whichever reader takes
 * it. */
static void test_reads_follow_writes(void **state)
{
    enum { READS = 16 };
    struct fixture *f = *state;
    struct fh_request reads[READS];
    bool done[READS];
    struct fh_key key = fixture_item(1);
    assert_code(fixture_put(f, &f->a, FH_WRITE_INSERT, 1, "n", NULL), FH_OK);
    for (int i = 0; i < READS; i++) {
        reads[i] = fixture_request(f, FH_OP_GET, &f->a);
        reads[i].as.get.keys = &key;
        reads[i].as.get.count = 1;
        fixture_detach(f, &reads[i]);
    }
    for (int round = 0; round < 50; round++) {
        assert_code(fixture_put(f, &f->a, FH_WRITE_UPDATE, 1, "n", NULL), FH_OK);
        for (int i = 0; i < READS; i++) {
            assert_code(fixture_submit(f, &reads[i], &done[i]), FH_OK);
        }
        for (int i = 0; i < READS; i++) {
            fixture_wait(f, &done[i]);
            assert_code(reads[i].code, FH_OK);
            assert_int_equal(reads[i].as.get.rows[0]->version, round + 2);
        }
    }
}

static void test_homes_that_are_not_there(void **state)
{
    struct fixture *f = *state;
    for (enum fh_tier tier = FH_TIER_SCHEMA; tier <= FH_TIER_DATABASE; tier++) {
        struct fh_request request = fixture_request(f, FH_OP_FENCE_READ, &f->a);
        fh_home_of(tier, &f->a, &request.scope.home);
        assert_code(fixture_run(f, &request), FH_NO_TENANT);
        assert_int_equal(request.as.fence.schema_version, 0);
    }
    struct fh_request request = fixture_request(f, FH_OP_FENCE_READ, &f->a);
    (void)snprintf(request.scope.home.name, sizeof(request.scope.home.name), "t_1");
    assert_code(fixture_run(f, &request), FH_INVALID);
    request = fixture_request(f, FH_OP_FENCE_READ, &f->a);
    assert_code(fixture_run(f, &request), FH_OK);
    assert_int_equal(request.as.fence.seen.generation, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_schema),
        FIXTURE_TEST(test_schema_by_two_servers),
        FIXTURE_TEST(test_schema_that_rows_break),
        FIXTURE_TEST(test_erase),
        FIXTURE_TEST(test_erase_goes_on),
        FIXTURE_TEST(test_deadline_of_a_running_read),
        FIXTURE_TEST(test_queue_is_bounded),
        FIXTURE_TEST(test_close_with_work_queued),
        FIXTURE_TEST(test_reads_follow_writes),
        FIXTURE_TEST(test_homes_that_are_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
