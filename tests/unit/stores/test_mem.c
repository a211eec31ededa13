/* The nth allocation fails, for every n, in every request of the memory engine: each time an
 * answer, nothing half done, nothing leaked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "stores/mem/mem.h"
#include "tests/conformance/model.h"

struct fixture {
    uv_loop_t loop;
    struct fh_clock_virtual clock;
    struct fh_env env;
    struct fh_store *store;
    struct fh_uuid tenant;
    enum fh_tier tier; /* of requests */
    const struct fh_schema *schema;
};

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof(f));
    fh_clock_virtual_init(&f.clock, INT64_C(1795226400000000));
    f.env = (struct fh_env){.loop = &f.loop, .clock = &f.clock.clock};
    f.tenant = uuid_of(1, 1);
    f.tier = FH_TIER_SHARED;
    f.schema = &model_v1;
    *state = &f;
    return uv_loop_init(&f.loop);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    return uv_loop_close(&f->loop);
}

static void open_store(struct fixture *f)
{
    struct fh_store_config config = {.name = "memory"};
    assert_int_equal(fh_store_mem_ops.open(&f->env, &config, &f->store, NULL), FH_OK);
}

static void closed_cb(void *arg)
{
    *(bool *)arg = true;
}

static void close_store(struct fixture *f)
{
    bool closed = false;
    fh_store_close(f->store, closed_cb, &closed);
    while (!closed) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
}

static void done_cb(struct fh_request *request)
{
    *(bool *)request->arg = true;
}

static enum fh_code run(struct fixture *f, struct fh_request *request)
{
    bool done = false;
    request->done_cb = done_cb;
    request->arg = &done;
    request->deadline_us = f->clock.monotonic_us + 1000;
    request->scope.epoch = 1;
    fh_home_of(f->tier, &f->tenant, &request->scope.home);
    request->scope.schema = f->schema;
    bool tenantless = request->op == FH_OP_SCHEMA_APPLY && f->tier == FH_TIER_SHARED;
    if (!tenantless && request->op != FH_OP_CHECK) {
        request->scope.tenant = f->tenant;
    }
    enum fh_code code = fh_store_submit(f->store, request);
    if (code != FH_OK) {
        return code;
    }
    while (!done) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    return request->code;
}

static struct fh_key keys[2];
static struct fh_assignment assignment;
static struct fh_write writes[3];

/* The requests of a life, in order: each needs what those before it made. */
static const enum fh_op life[] = {FH_OP_SCHEMA_APPLY, FH_OP_HOME_CREATE, FH_OP_COMMIT,
                                  FH_OP_COMMIT,       FH_OP_GET,         FH_OP_LIST,
                                  FH_OP_EVENTS,       FH_OP_FENCE_SET,   FH_OP_FENCE_READ,
                                  FH_OP_CHECK,        FH_OP_HOME_ERASE};
#define LIFE (sizeof(life) / sizeof(life[0]))

static struct fh_request step(struct fixture *f, size_t index, struct fh_arena *arena)
{
    struct fh_request request = {.op = life[index], .arena = arena};
    (void)f;
    keys[0] = key_author(1);
    keys[1] = key_book(1, "slug");
    assignment = (struct fh_assignment){.column = AUTHOR_NAME, .value = text_value("name")};
    writes[0] = (struct fh_write){.op = FH_WRITE_INSERT,
                                  .key = key_author(1),
                                  .assignments = &assignment,
                                  .assignment_count = 1};
    writes[1] = (struct fh_write){.op = FH_WRITE_INSERT, .key = key_book(1, "slug")};
    writes[2] = (struct fh_write){.op = FH_WRITE_INSERT, .key = key_code("r", 1)};
    const struct fh_fence fence = {1, 1, FH_FENCE_OPEN};
    switch (request.op) {
    case FH_OP_SCHEMA_APPLY:
        request.as.schema.target = &model_v1;
        break;
    case FH_OP_HOME_CREATE:
    case FH_OP_HOME_ERASE:
        request.as.home.fence = fence;
        break;
    case FH_OP_COMMIT: /* then once more: a replay */
        request.as.commit = (struct fh_op_commit){
            .writes = writes, .count = 3, .request_id = FH_STR("id"), .actor = FH_STR("me")};
        break;
    case FH_OP_GET:
        request.as.get.keys = keys;
        request.as.get.count = 2;
        break;
    case FH_OP_LIST:
        request.as.list.table = &model_authors;
        request.as.list.limit = 10;
        break;
    case FH_OP_EVENTS:
        request.as.events.limit = 10;
        break;
    case FH_OP_FENCE_SET:
        request.as.fence.expected = fence;
        request.as.fence.desired = fence;
        break;
    case FH_OP_FENCE_READ:
    case FH_OP_CHECK:
    default: /* the mover's have tests of their own */
        break;
    }
    return request;
}

/* Rows and records there are by now. */
static void count(struct fixture *f, size_t *rows, size_t *records)
{
    struct fh_arena arena;
    fh_arena_init(&arena, (size_t)1 << 20);
    *rows = 0;
    const struct fh_table *const tables[] = {&model_authors, &model_books, &model_codes};
    for (size_t i = 0; i < 3; i++) {
        struct fh_request request = {.op = FH_OP_LIST, .arena = &arena};
        request.as.list = (struct fh_op_list){.table = tables[i], .limit = 10};
        assert_int_equal(run(f, &request), FH_OK);
        *rows += request.as.list.count;
    }
    struct fh_request request = {.op = FH_OP_EVENTS, .arena = &arena};
    request.as.events.limit = 10;
    assert_int_equal(run(f, &request), FH_OK);
    *records = request.as.events.count;
    fh_arena_close(&arena);
}

static void test_every_allocation_of_every_request(void **state)
{
    struct fixture *f = *state;
    long live = fh_alloc_live();
    long failures[LIFE] = {0};
    open_store(f);
    for (size_t i = 0; i < LIFE; i++) {
        enum fh_code code = FH_NOMEM;
        for (long n = 0; code != FH_OK; n++) {
            struct fh_arena arena;
            fh_arena_init(&arena, (size_t)1 << 20);
            struct fh_request request = step(f, i, &arena);
            fh_alloc_fault_on(n, 1);
            code = run(f, &request);
            int delivered = fh_alloc_fault_off();
            if (code != (delivered ? FH_NOMEM : FH_OK)) {
                fail_msg("step %zu, allocation %ld: %s", i, n, fh_code_name(code));
            }
            failures[i] += delivered;
            fh_arena_close(&arena);
            if (life[i] == FH_OP_COMMIT) {
                size_t rows = 0;
                size_t records = 0;
                count(f, &rows, &records);
                bool made = code == FH_OK || i == 3;
                assert_int_equal(rows, made ? 3 : 0); /* all or nothing */
                assert_int_equal(records, made ? 1 : 0);
            }
        }
    }
    /* The loop did fail allocations where there are some. */
    static const size_t allocating[] = {0, 1, 2, 3, 4, 5, 6, 9};
    for (size_t i = 0; i < sizeof(allocating) / sizeof(allocating[0]); i++) {
        assert_true(failures[allocating[i]] > 0);
    }
    assert_true(failures[2] > 8);
    close_store(f);
    assert_int_equal(fh_alloc_live(), live);
}

/* The mover's, after the first three of the life above; CLOSE comes last. */
static const enum fh_op moves[] = {
    FH_OP_SNAPSHOT_OPEN, FH_OP_SCAN,       FH_OP_SCAN_JOURNAL, FH_OP_CHANGES, FH_OP_TALLY,
    FH_OP_APPLY,         FH_OP_MOVE_STATE, FH_OP_REFERENCES,   FH_OP_SIZE,    FH_OP_SNAPSHOT_CLOSE};
#define MOVES (sizeof(moves) / sizeof(moves[0]))

/* Takes one row away and puts two others, with two records of which one is there already. */
static void fill_apply(struct fixture *f, struct fh_request *request)
{
    static struct fh_value values[2][7];
    static struct fh_row rows[2];
    static struct fh_row *pointers[2];
    static struct fh_journal_row records[2];
    keys[0] = key_code("r", 1);
    for (int i = 0; i < 2; i++) {
        for (uint16_t c = 0; c < 7; c++) {
            values[i][c] =
                (struct fh_value){.type = model_authors.columns[c].type, .is_null = true};
        }
        values[i][AUTHOR_ID] = int_value(FH_TYPE_INT64, 10 + i);
        values[i][AUTHOR_NAME] = text_value("brought");
        rows[i] = (struct fh_row){
            .table = &model_authors, .tenant = f->tenant, .values = values[i], .version = 1};
        pointers[i] = &rows[i];
        records[i] = (struct fh_journal_row){.tenant = f->tenant,
                                             .epoch = (uint64_t)i,
                                             .seq = 1,
                                             .request_id = FH_STR("brought"),
                                             .schema_version = 1,
                                             .changes = FH_STR("[[\"p\",\"authors\",\"9\"]]")};
    }
    request->as.apply = (struct fh_op_apply){.deletes = keys,
                                             .delete_count = 1,
                                             .rows = pointers,
                                             .row_count = 2,
                                             .journal = records,
                                             .journal_count = 2,
                                             .state = FH_STR("state")};
}

static struct fh_request move_step(struct fixture *f, enum fh_op op, struct fh_snapshot *view,
                                   struct fh_arena *arena)
{
    const struct fh_fence_guard guard = {1, FH_FENCE_BIT(FH_FENCE_OPEN)};
    struct fh_request request = {.op = op, .arena = arena};
    switch (op) {
    case FH_OP_SNAPSHOT_OPEN:
    case FH_OP_SNAPSHOT_CLOSE:
        request.as.snapshot = (struct fh_op_snapshot){.guard = guard, .snapshot = view};
        break;
    case FH_OP_SCAN:
        request.as.scan = (struct fh_op_scan){
            .guard = guard, .table = &model_authors, .limit = 10, .bytes_max = 100000};
        break;
    case FH_OP_SCAN_JOURNAL:
        request.as.scan_journal =
            (struct fh_op_scan_journal){.guard = guard, .limit = 10, .bytes_max = 100000};
        break;
    case FH_OP_CHANGES:
        request.as.changes = (struct fh_op_changes){.guard = guard,
                                                    .snapshot = view,
                                                    .since = FH_STR("0"),
                                                    .limit = 10,
                                                    .bytes_max = 100000};
        break;
    case FH_OP_TALLY:
        request.as.tally = (struct fh_op_tally){.guard = guard, .since = FH_STR("0")};
        break;
    case FH_OP_APPLY:
        fill_apply(f, &request);
        request.as.apply.guard = guard;
        break;
    case FH_OP_MOVE_STATE:
        request.as.move_state.guard = guard;
        break;
    case FH_OP_REFERENCES:
        request.as.references.guard = guard;
        break;
    default:
        request.as.size.guard = guard;
        break;
    }
    return request;
}

static void test_every_allocation_of_the_mover(void **state)
{
    struct fixture *f = *state;
    long live = fh_alloc_live();
    long failures[MOVES] = {0};
    struct fh_snapshot *view = NULL;
    open_store(f);
    for (size_t i = 0; i < 3; i++) {
        struct fh_arena arena;
        fh_arena_init(&arena, (size_t)1 << 20);
        struct fh_request request = step(f, i, &arena);
        assert_int_equal(run(f, &request), FH_OK);
        fh_arena_close(&arena);
    }
    for (size_t i = 0; i < MOVES; i++) {
        bool applies = moves[i] == FH_OP_APPLY;
        enum fh_code code = FH_NOMEM;
        for (long n = 0; code != FH_OK; n++) {
            struct fh_arena arena;
            size_t rows = 0;
            size_t records = 0;
            fh_arena_init(&arena, (size_t)1 << 20);
            struct fh_request request = move_step(f, moves[i], view, &arena);
            fh_alloc_fault_on(n, 1);
            code = run(f, &request);
            int delivered = fh_alloc_fault_off();
            if (code != (delivered ? FH_NOMEM : FH_OK)) {
                fail_msg("step %zu, allocation %ld: %s", i, n, fh_code_name(code));
            }
            failures[i] += delivered;
            if (moves[i] == FH_OP_SNAPSHOT_OPEN) {
                view = request.as.snapshot.snapshot;
            }
            fh_arena_close(&arena);
            count(f, &rows, &records);
            bool applied = i > 5 || (applies && code == FH_OK);
            assert_int_equal(rows, applied ? 4 : 3); /* all or nothing */
            assert_int_equal(records, applied ? 2 : 1);
        }
    }
    /* TALLY, REFERENCES, SIZE and CLOSE need none. */
    static const size_t allocating[] = {0, 1, 2, 3, 5, 6};
    for (size_t i = 0; i < sizeof(allocating) / sizeof(allocating[0]); i++) {
        assert_true(failures[allocating[i]] > 0);
    }
    assert_true(failures[5] > 5);
    close_store(f);
    assert_int_equal(fh_alloc_live(), live);
}

static void test_open_out_of_memory(void **state)
{
    struct fixture *f = *state;
    struct fh_store_config config = {.name = "memory"};
    struct fh_error error = FH_ERROR_INIT;
    fh_alloc_fault_on(0, 1);
    assert_int_equal(fh_store_mem_ops.open(&f->env, &config, &f->store, &error), FH_NOMEM);
    assert_true(fh_alloc_fault_off());
    assert_true(error.message[0] != '\0');
}

/* An arena that is too small answers, too; and the store goes on. */
static void test_small_arena(void **state)
{
    struct fixture *f = *state;
    open_store(f);
    struct fh_arena arena;
    fh_arena_init(&arena, (size_t)1 << 20);
    for (size_t i = 0; i < 2; i++) {
        struct fh_request request = step(f, i, &arena);
        assert_int_equal(run(f, &request), FH_OK);
    }
    enum fh_code code = FH_NOMEM;
    size_t refusals = 0;
    for (size_t bytes = 16; code != FH_OK; bytes += 64) {
        struct fh_arena small;
        fh_arena_init(&small, bytes);
        struct fh_request request = step(f, 2, &small);
        code = run(f, &request);
        assert_true(code == FH_OK || code == FH_NOMEM || code == FH_TOO_LARGE);
        refusals += code != FH_OK;
        fh_arena_close(&small);
    }
    assert_true(refusals > 3);
    size_t rows = 0;
    size_t records = 0;
    count(f, &rows, &records);
    assert_int_equal(rows, 3);
    assert_int_equal(records, 1);
    fh_arena_close(&arena);
    close_store(f);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

/* A dedicated home comes into being, is copied into, and changes its schema: whole or not at all.
 */
static void test_every_allocation_of_a_dedicated_home(void **state)
{
    struct fixture *f = *state;
    long live = fh_alloc_live();
    long failures[3] = {0};
    open_store(f);
    for (size_t i = 0; i < 3; i++) {
        struct fh_arena arena;
        fh_arena_init(&arena, (size_t)1 << 20);
        struct fh_request request = step(f, i, &arena); /* the shared one is the source */
        assert_int_equal(run(f, &request), FH_OK);
        fh_arena_close(&arena);
    }
    const struct fh_fence_guard guard = {1, FH_FENCE_BIT(FH_FENCE_OPEN)};
    struct fh_home shared;
    fh_home_of(FH_TIER_SHARED, &f->tenant, &shared);
    f->tier = FH_TIER_SCHEMA;
    static const enum fh_op life_of_it[] = {FH_OP_HOME_CREATE, FH_OP_COPY_WITHIN,
                                            FH_OP_SCHEMA_APPLY};
    for (size_t i = 0; i < 3; i++) {
        enum fh_code code = FH_NOMEM;
        for (long n = 0; code != FH_OK; n++) {
            struct fh_arena arena;
            fh_arena_init(&arena, (size_t)1 << 20);
            struct fh_request request = {.op = life_of_it[i], .arena = &arena};
            if (i == 0) {
                request.as.home.fence = (struct fh_fence){1, 1, FH_FENCE_OPEN};
            } else if (i == 1) {
                request.as.copy_within = (struct fh_op_copy_within){.guard = guard,
                                                                    .source = shared,
                                                                    .source_epoch = 1,
                                                                    .source_guard = guard,
                                                                    .table = &model_codes,
                                                                    .limit = 10};
            } else {
                request.as.schema = (struct fh_op_schema){.target = &model_v2, .guard = guard};
            }
            fh_alloc_fault_on(n, 1);
            code = run(f, &request);
            int delivered = fh_alloc_fault_off();
            assert_int_equal(code, delivered ? FH_NOMEM : FH_OK);
            failures[i] += delivered;
            if (i == 2) {
                f->schema = code == FH_OK ? &model_v2 : &model_v1;
                assert_int_equal(request.as.schema.version_seen, f->schema->version);
            }
            request = (struct fh_request){.op = FH_OP_LIST, .arena = &arena};
            request.as.list.table = &model_codes;
            request.as.list.limit = 10;
            bool there = i > 0 || code == FH_OK;
            assert_int_equal(run(f, &request), there ? FH_OK : FH_NO_TENANT);
            assert_int_equal(request.as.list.count, i > 1 || (i == 1 && code == FH_OK) ? 1 : 0);
            fh_arena_close(&arena);
        }
    }
    assert_true(failures[0] >= 2 && failures[1] >= 2 && failures[2] >= 2);
    close_store(f);
    assert_int_equal(fh_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_every_allocation_of_every_request),
                                       TEST(test_every_allocation_of_the_mover),
                                       TEST(test_every_allocation_of_a_dedicated_home),
                                       TEST(test_open_out_of_memory), TEST(test_small_arena)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
