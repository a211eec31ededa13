/* The fault store does what its plan says, and the same again with the same seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "stores/fault/fault.h"
#include "stores/mem/mem.h"
#include "tests/conformance/model.h"

#define ALWAYS 1000000

struct fixture {
    uv_loop_t loop;
    struct fh_clock_virtual clock;
    struct fh_env env;
    struct fh_store *memory;
    struct fh_store *store;
    struct fh_arena arena;
    struct fh_uuid tenant;
};

static void done_cb(struct fh_request *request)
{
    *(bool *)request->arg = true;
}

/* Answers the code; `turns` (may be NULL) takes how many loop turns it took. */
static enum fh_code run(struct fixture *f, struct fh_request *request, unsigned *turns)
{
    bool done = false;
    unsigned count = 0;
    request->arena = &f->arena;
    request->done_cb = done_cb;
    request->arg = &done;
    request->deadline_us = f->clock.monotonic_us + 1000;
    request->scope.epoch = 1;
    request->scope.home = (struct fh_home){.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED};
    request->scope.schema = &model_v1;
    if (request->op != FH_OP_SCHEMA_APPLY) {
        request->scope.tenant = f->tenant;
    }
    enum fh_code code = fh_store_submit(f->store, request);
    assert_false(done);
    if (code != FH_OK) {
        return code;
    }
    while (count < 1000 && !done) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        count++;
    }
    assert_true(done);
    if (turns != NULL) {
        *turns = count;
    }
    return request->code;
}

static enum fh_code insert(struct fixture *f, int64_t id)
{
    struct fh_assignment assignment = {.column = AUTHOR_NAME, .value = text_value("name")};
    struct fh_write write = {.op = FH_WRITE_INSERT,
                             .key = key_author(id),
                             .assignments = &assignment,
                             .assignment_count = 1};
    struct fh_request request = {.op = FH_OP_COMMIT};
    request.as.commit = (struct fh_op_commit){.writes = &write, .count = 1};
    enum fh_code code = run(f, &request, NULL);
    assert_int_equal(request.as.commit.rows != NULL, code == FH_OK);
    return code;
}

static enum fh_code get(struct fixture *f, int64_t id, bool *there)
{
    struct fh_key key = key_author(id);
    struct fh_request request = {.op = FH_OP_GET};
    request.as.get.keys = &key;
    request.as.get.count = 1;
    enum fh_code code = run(f, &request, NULL);
    *there = code == FH_OK && request.as.get.rows[0] != NULL;
    return code;
}

static void plan(struct fixture *f, struct fh_fault_plan p)
{
    fh_store_fault_set_plan(f->store, &p);
}

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof(f));
    if (uv_loop_init(&f.loop) != 0) {
        return -1;
    }
    fh_clock_virtual_init(&f.clock, INT64_C(1795226400000000));
    f.env = (struct fh_env){.loop = &f.loop, .clock = &f.clock.clock};
    f.tenant = uuid_of(1, 1);
    fh_arena_init(&f.arena, (size_t)64 << 20);
    struct fh_store_config config = {.name = "wrapped"};
    struct fh_fault_plan none = {.seed = 1};
    assert_int_equal(fh_store_mem_ops.open(&f.env, &config, &f.memory, NULL), FH_OK);
    assert_int_equal(fh_store_fault_create(&f.env, f.memory, &none, &f.store), FH_OK);
    struct fh_request request = {.op = FH_OP_SCHEMA_APPLY};
    request.as.schema.target = &model_v1;
    assert_int_equal(run(&f, &request, NULL), FH_OK);
    request = (struct fh_request){.op = FH_OP_HOME_CREATE};
    request.as.home.fence = (struct fh_fence){1, 1, FH_FENCE_OPEN};
    assert_int_equal(run(&f, &request, NULL), FH_OK);
    *state = &f;
    return 0;
}

static void closed_cb(void *arg)
{
    *(bool *)arg = true;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct fh_store *stores[] = {f->store, f->memory};
    for (size_t i = 0; i < 2; i++) {
        bool closed = false;
        fh_store_close(stores[i], closed_cb, &closed);
        while (!closed) {
            uv_run(&f->loop, UV_RUN_ONCE);
        }
    }
    fh_arena_close(&f->arena);
    return uv_loop_close(&f->loop);
}

static void test_every_fault(void **state)
{
    struct fixture *f = *state;
    bool there = false;
    plan(f, (struct fh_fault_plan){.seed = 1, .refuse_ppm = ALWAYS});
    assert_int_equal(insert(f, 1), FH_FULL);
    plan(f, (struct fh_fault_plan){.seed = 1, .unavailable_ppm = ALWAYS});
    assert_int_equal(insert(f, 1), FH_UNAVAILABLE);
    assert_int_equal(get(f, 1, &there), FH_UNAVAILABLE);
    plan(f, (struct fh_fault_plan){.seed = 1, .unknown_before_ppm = ALWAYS});
    assert_int_equal(insert(f, 1), FH_OUTCOME_UNKNOWN);
    assert_int_equal(get(f, 1, &there), FH_OK); /* commits only */
    assert_false(there);                        /* and none was executed */
    plan(f, (struct fh_fault_plan){.seed = 1, .unknown_after_ppm = ALWAYS});
    assert_int_equal(insert(f, 1), FH_OUTCOME_UNKNOWN);
    assert_int_equal(get(f, 1, &there), FH_OK);
    assert_true(there);                        /* this one was */
    assert_int_equal(insert(f, 1), FH_EXISTS); /* a refusal is no secret */
}

static void test_a_foreign_row_never_leaves(void **state)
{
    struct fixture *f = *state;
    for (int64_t i = 1; i <= 3; i++) {
        assert_int_equal(insert(f, i), FH_OK);
    }
    plan(f, (struct fh_fault_plan){.seed = 3, .foreign_row_ppm = ALWAYS});
    struct fh_key keys[] = {key_author(9), key_author(2), key_author(8)};
    struct fh_request request = {.op = FH_OP_GET};
    request.as.get.keys = keys;
    request.as.get.count = 3;
    assert_int_equal(run(f, &request, NULL), FH_FOREIGN_ROW);
    assert_null(request.as.get.rows);
    request = (struct fh_request){.op = FH_OP_LIST};
    request.as.list = (struct fh_op_list){.table = &model_authors, .limit = 10};
    assert_int_equal(run(f, &request, NULL), FH_FOREIGN_ROW);
    request = (struct fh_request){.op = FH_OP_EVENTS};
    request.as.events.limit = 10;
    assert_int_equal(run(f, &request, NULL), FH_FOREIGN_ROW);
    /* Only the answers were false: what is stored is as it was. */
    plan(f, (struct fh_fault_plan){.seed = 3});
    request = (struct fh_request){.op = FH_OP_LIST};
    request.as.list = (struct fh_op_list){.table = &model_authors, .limit = 10};
    assert_int_equal(run(f, &request, NULL), FH_OK);
    assert_int_equal(request.as.list.count, 3);
}

static void test_delay(void **state)
{
    struct fixture *f = *state;
    unsigned prompt = 0;
    unsigned late_max = 0;
    struct fh_request request = {.op = FH_OP_FENCE_READ};
    assert_int_equal(run(f, &request, &prompt), FH_OK);
    plan(f, (struct fh_fault_plan){.seed = 5, .delay_ppm = ALWAYS});
    for (int i = 0; i < 20; i++) {
        unsigned turns = 0;
        request = (struct fh_request){.op = FH_OP_FENCE_READ};
        assert_int_equal(run(f, &request, &turns), FH_OK);
        assert_true(turns > prompt);
        late_max = turns > late_max ? turns : late_max;
    }
    assert_true(late_max > prompt + 2);
}

static size_t draw_run(struct fixture *f, uint64_t seed, enum fh_code *codes, size_t count)
{
    size_t faults = 0;
    plan(f, (struct fh_fault_plan){.seed = seed,
                                   .refuse_ppm = 50000,
                                   .unavailable_ppm = 50000,
                                   .delay_ppm = 100000,
                                   .foreign_row_ppm = 50000});
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        bool there = false;
        codes[i] = get(f, 1, &there);
        faults += codes[i] != FH_OK;
    }
    return faults;
}

static void test_a_seed_repeats(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 1000 };
    static enum fh_code first[COUNT];
    static enum fh_code again[COUNT];
    static enum fh_code other[COUNT];
    assert_int_equal(insert(f, 1), FH_OK);
    size_t faults = draw_run(f, 42, first, COUNT);
    assert_true(faults > COUNT / 20 && faults < COUNT / 4); /* 14% are asked for */
    assert_int_equal(draw_run(f, 42, again, COUNT), faults);
    assert_memory_equal(first, again, sizeof(first));
    (void)draw_run(f, 43, other, COUNT);
    assert_memory_not_equal(first, other, sizeof(first));
}

static void aim(struct fixture *f, uint64_t ops, uint64_t nth, enum fh_fault_kind kind)
{
    const struct fh_fault_aim at = {.ops = ops, .nth = nth, .kind = kind};
    assert_int_equal(fh_store_fault_aim(f->store, &at), FH_OK);
}

static const struct fh_fence_guard guard = {1, FH_FENCE_BIT(FH_FENCE_OPEN)};

static struct fh_request open_view(void)
{
    struct fh_request request = {.op = FH_OP_SNAPSHOT_OPEN};
    request.as.snapshot.guard = guard;
    return request;
}

/* Puts one author with the mover's operation. */
static enum fh_code apply(struct fixture *f, int64_t id)
{
    struct fh_row *row = fh_row_create(&model_authors, &f->arena);
    assert_non_null(row);
    row->tenant = f->tenant;
    row->version = 1;
    row->values[AUTHOR_ID] = int_value(FH_TYPE_INT64, id);
    row->values[AUTHOR_NAME] = text_value("name");
    struct fh_request request = {.op = FH_OP_APPLY};
    request.as.apply = (struct fh_op_apply){.guard = guard, .rows = &row, .row_count = 1};
    enum fh_code code = run(f, &request, NULL);
    assert_int_equal(request.as.apply.rows_written, code == FH_OK);
    return code;
}

static void test_aims(void **state)
{
    struct fixture *f = *state;
    const uint64_t applies = FH_FAULT_OP(FH_OP_APPLY);
    bool there = false;
    aim(f, applies, 2, FH_FAULT_FAIL_AFTER);
    aim(f, applies, 2, FH_FAULT_FAIL_BEFORE); /* for the same request: has the next one */
    aim(f, applies, 4, FH_FAULT_REFUSE);
    assert_int_equal(apply(f, 1), FH_OK);
    assert_int_equal(get(f, 1, &there), FH_OK); /* not aimed at, and not counted */
    assert_int_equal(apply(f, 2), FH_OUTCOME_UNKNOWN);
    assert_int_equal(get(f, 2, &there), FH_OK);
    assert_true(there);
    assert_int_equal(apply(f, 3), FH_UNAVAILABLE);
    assert_int_equal(get(f, 3, &there), FH_OK);
    assert_false(there);
    assert_int_equal(fh_store_fault_aims(f->store), 1);
    assert_int_equal(apply(f, 4), FH_FULL);
    assert_int_equal(fh_store_fault_aims(f->store), 0);
    assert_int_equal(apply(f, 4), FH_OK);
    assert_int_equal(fh_store_fault_count(f->store, applies), 5);
    struct fh_fault_aim at = {.ops = applies, .kind = FH_FAULT_FAIL_AFTER, .code = FH_INTERNAL};
    assert_int_equal(fh_store_fault_aim(f->store, &at), FH_OK);
    assert_int_equal(apply(f, 4), FH_EXISTS); /* a refusal is no secret, and meets the aim */
    at.ops = 0;
    assert_int_equal(fh_store_fault_aim(f->store, &at), FH_INVALID);
    for (size_t i = 0; i < FH_FAULT_AIMS_MAX; i++) {
        aim(f, applies, 100, FH_FAULT_REFUSE);
    }
    at.ops = applies;
    assert_int_equal(fh_store_fault_aim(f->store, &at), FH_FULL);
    fh_store_fault_clear_aims(f->store);
    assert_int_equal(fh_store_fault_aims(f->store), 0);
}

/* A request that was made for another version comes back with the one there is. */
static void test_versions_pass_through(void **state)
{
    struct fixture *f = *state;
    struct fh_request request = {.op = FH_OP_SCHEMA_APPLY};
    request.as.schema.target = &model_v2;
    assert_int_equal(run(f, &request, NULL), FH_OK);
    struct fh_key key = key_author(1);
    request = (struct fh_request){.op = FH_OP_GET};
    request.as.get.keys = &key;
    request.as.get.count = 1;
    assert_int_equal(run(f, &request, NULL), FH_STALE_SCHEMA);
    assert_int_equal(request.version_seen, 2);
    assert_ptr_equal(f->store->ops->preview, f->memory->ops->preview);
    assert_int_equal(f->store->ops->capabilities, f->memory->ops->capabilities);
}

static void test_aims_at_copies(void **state)
{
    struct fixture *f = *state;
    struct fh_request request = {.op = FH_OP_COPY_WITHIN};
    struct fh_op_copy_within *copy = &request.as.copy_within;
    *copy = (struct fh_op_copy_within){
        .guard = guard, .source_guard = guard, .table = &model_authors, .limit = 10};
    fh_home_of(FH_TIER_SCHEMA, &f->tenant, &copy->source);
    assert_int_equal(run(f, &request, NULL), FH_NO_TENANT); /* the wrapped store's answer */
    aim(f, FH_FAULT_OPS_MOVER, 1, FH_FAULT_FAIL_BEFORE);
    assert_int_equal(run(f, &request, NULL), FH_UNAVAILABLE);
    plan(f, (struct fh_fault_plan){.seed = 1, .unknown_before_ppm = ALWAYS});
    assert_int_equal(run(f, &request, NULL), FH_OUTCOME_UNKNOWN);
    assert_int_equal(fh_store_fault_count(f->store, FH_FAULT_OP(FH_OP_COPY_WITHIN)), 3);
}

static void test_a_plan_and_the_mover(void **state)
{
    struct fixture *f = *state;
    bool there = false;
    plan(f, (struct fh_fault_plan){.seed = 1, .unknown_before_ppm = ALWAYS});
    assert_int_equal(apply(f, 1), FH_OUTCOME_UNKNOWN);
    assert_int_equal(get(f, 1, &there), FH_OK);
    assert_false(there);
    plan(f, (struct fh_fault_plan){.seed = 1, .unknown_after_ppm = ALWAYS});
    assert_int_equal(apply(f, 1), FH_OUTCOME_UNKNOWN);
    assert_int_equal(get(f, 1, &there), FH_OK);
    assert_true(there);
    struct fh_request fence = {.op = FH_OP_FENCE_SET};
    fence.as.fence.expected = (struct fh_fence){1, 1, FH_FENCE_OPEN};
    fence.as.fence.desired = (struct fh_fence){1, 1, FH_FENCE_FROZEN};
    assert_int_equal(run(f, &fence, NULL), FH_OUTCOME_UNKNOWN);
    struct fh_request read = {.op = FH_OP_FENCE_READ};
    assert_int_equal(run(f, &read, NULL), FH_OK);
    assert_int_equal(read.as.fence.seen.mode, FH_FENCE_FROZEN);
    fence.as.fence.expected.mode = FH_FENCE_FROZEN;
    fence.as.fence.desired.mode = FH_FENCE_OPEN;
    plan(f, (struct fh_fault_plan){.seed = 1});
    assert_int_equal(run(f, &fence, NULL), FH_OK);
    struct fh_request view = open_view();
    assert_int_equal(run(f, &view, NULL), FH_OK);
    plan(f, (struct fh_fault_plan){.seed = 3, .foreign_row_ppm = ALWAYS});
    struct fh_request scan = {.op = FH_OP_SCAN};
    scan.as.scan = (struct fh_op_scan){
        .guard = guard, .table = &model_authors, .limit = 10, .bytes_max = 1000000};
    assert_int_equal(run(f, &scan, NULL), FH_FOREIGN_ROW);
    assert_int_equal(insert(f, 9), FH_OK);
    scan = (struct fh_request){.op = FH_OP_SCAN_JOURNAL};
    scan.as.scan_journal =
        (struct fh_op_scan_journal){.guard = guard, .limit = 10, .bytes_max = 1000000};
    assert_int_equal(run(f, &scan, NULL), FH_FOREIGN_ROW);
    plan(f, (struct fh_fault_plan){.seed = 3, .refuse_ppm = ALWAYS, .unavailable_ppm = ALWAYS});
    struct fh_request other = open_view();
    assert_int_equal(run(f, &other, NULL), FH_FULL);
    view.op = FH_OP_SNAPSHOT_CLOSE;
    assert_int_equal(run(f, &view, NULL), FH_OK); /* whatever the plan */
}

/* However the openings and closings fail, no view stays behind. */
static void test_views_do_not_leak(void **state)
{
    struct fixture *f = *state;
    const enum fh_fault_kind kinds[] = {FH_FAULT_FAIL_BEFORE, FH_FAULT_FAIL_AFTER};
    for (size_t i = 0; i < (size_t)4 * FH_SNAPSHOTS_MAX; i++) {
        struct fh_request view = open_view();
        aim(f, FH_FAULT_OP(FH_OP_SNAPSHOT_OPEN), 1, kinds[i % 2]);
        assert_int_equal(run(f, &view, NULL), i % 2 == 0 ? FH_UNAVAILABLE : FH_OUTCOME_UNKNOWN);
        assert_null(view.as.snapshot.snapshot);
        assert_int_equal(run(f, &view, NULL), FH_OK);
        aim(f, FH_FAULT_OP(FH_OP_SNAPSHOT_CLOSE), 1, kinds[i % 2]);
        view.op = FH_OP_SNAPSHOT_CLOSE;
        assert_int_equal(run(f, &view, NULL), i % 2 == 0 ? FH_UNAVAILABLE : FH_OUTCOME_UNKNOWN);
    }
}

struct held {
    struct fh_request request;
    struct fh_key key;
    bool done;
};

static void begin_get(struct fixture *f, struct held *held, int64_t id)
{
    *held = (struct held){.key = key_author(id), .request = {.op = FH_OP_GET}};
    struct fh_request *request = &held->request;
    request->as.get.keys = &held->key;
    request->as.get.count = 1;
    request->arena = &f->arena;
    request->done_cb = done_cb;
    request->arg = &held->done;
    request->deadline_us = f->clock.monotonic_us + 1000;
    request->scope = (struct fh_scope){.tenant = f->tenant,
                                       .epoch = 1,
                                       .home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED},
                                       .schema = &model_v1};
    assert_int_equal(fh_store_submit(f->store, request), FH_OK);
}

static void turn(struct fixture *f, unsigned turns)
{
    for (unsigned i = 0; i < turns; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
}

static void test_hold_and_release(void **state)
{
    struct fixture *f = *state;
    const uint64_t gets = FH_FAULT_OP(FH_OP_GET);
    struct held before;
    struct held after;
    struct held free;
    aim(f, gets, 1, FH_FAULT_HOLD_BEFORE);
    aim(f, gets, 2, FH_FAULT_HOLD_AFTER);
    begin_get(f, &before, 1);
    begin_get(f, &after, 1);
    begin_get(f, &free, 1);
    turn(f, 100);
    assert_true(free.done);
    assert_false(before.done || after.done);
    assert_int_equal(fh_store_fault_held(f->store), 2);
    assert_int_equal(insert(f, 1), FH_OK); /* the others go past */
    fh_store_fault_release(f->store);
    assert_int_equal(fh_store_fault_held(f->store), 0);
    assert_false(before.done || after.done); /* never inside the call */
    turn(f, 100);
    assert_true(before.done && after.done);
    assert_int_equal(before.request.code, FH_OK);
    assert_non_null(before.request.as.get.rows[0]); /* executed late */
    assert_null(after.request.as.get.rows[0]);      /* only its answer was late */

    aim(f, gets, 1, FH_FAULT_HOLD_BEFORE);
    begin_get(f, &before, 1);
    f->clock.monotonic_us += 5000;
    fh_store_fault_release(f->store);
    turn(f, 100);
    assert_int_equal(before.request.code, FH_DEADLINE);

    aim(f, gets, 1, FH_FAULT_HOLD_BEFORE);
    begin_get(f, &before, 1);
    fh_store_cancel(f->store, &before.request);
    fh_store_cancel(f->store, &before.request);
    assert_int_equal(fh_store_fault_held(f->store), 0);
    turn(f, 100);
    assert_true(before.done);
    assert_int_equal(before.request.code, FH_CANCELLED);
}

static void test_close_lets_go(void **state)
{
    struct fixture *f = *state;
    const struct fh_fault_plan none = {.seed = 1};
    struct held before;
    struct held after;
    aim(f, FH_FAULT_OP(FH_OP_GET), 1, FH_FAULT_HOLD_BEFORE);
    aim(f, FH_FAULT_OP(FH_OP_GET), 2, FH_FAULT_HOLD_AFTER);
    begin_get(f, &before, 1);
    begin_get(f, &after, 1);
    turn(f, 100);
    bool closed = false;
    fh_store_close(f->store, closed_cb, &closed);
    while (!closed) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_true(before.done && after.done);
    assert_int_equal(before.request.code, FH_SHUTTING_DOWN);
    assert_int_equal(after.request.code, FH_OK);
    assert_int_equal(fh_store_fault_create(&f->env, f->memory, &none, &f->store), FH_OK);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_every_fault),
                                       TEST(test_a_foreign_row_never_leaves),
                                       TEST(test_delay),
                                       TEST(test_a_seed_repeats),
                                       TEST(test_aims),
                                       TEST(test_a_plan_and_the_mover),
                                       TEST(test_versions_pass_through),
                                       TEST(test_aims_at_copies),
                                       TEST(test_views_do_not_leak),
                                       TEST(test_hold_and_release),
                                       TEST(test_close_lets_go)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
