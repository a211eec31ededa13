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

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_every_fault),
                                       TEST(test_a_foreign_row_never_leaves), TEST(test_delay),
                                       TEST(test_a_seed_repeats)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
