/* The mover's operations at the front door, against an engine that does what the test says: which
 * bounds hold, what is cleared and withheld, and whose rows leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "stores/store.h"
#include "tests/conformance/model.h"

static struct fh_request *submitted;

static enum fh_code stub_submit(struct fh_store *store, struct fh_request *request)
{
    (void)store;
    submitted = request;
    return FH_OK;
}

static const struct fh_store_ops stub_ops = {.engine = "stub", .submit = stub_submit};

struct fixture {
    struct fh_clock_virtual clock;
    struct fh_env env;
    struct fh_store store;
    struct fh_arena arena;
    struct fh_uuid tenant;
    struct fh_uuid other;
};

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof(f));
    fh_clock_virtual_init(&f.clock, 0);
    f.env.clock = &f.clock.clock;
    struct fh_store_config config = {.name = "stub"};
    fh_store_init(&f.store, &stub_ops, &f.env, &config);
    fh_arena_init(&f.arena, (size_t)8 << 20);
    f.tenant = uuid_of(1, 1);
    f.other = uuid_of(2, 2);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fh_arena_close(&f->arena);
    return 0;
}

static void done_cb(struct fh_request *request)
{
    *(bool *)request->arg = true;
}

static bool done;
static char view; /* stands for an engine's */
#define VIEW ((struct fh_snapshot *)(void *)&view)

/* A valid one of each, as large as it may be where that costs nothing. */
static struct fh_request request_of(struct fixture *f, enum fh_op op)
{
    static const char cursor[FH_CURSOR_MAX];
    struct fh_request request = {.op = op,
                                 .scope = {.tenant = f->tenant,
                                           .epoch = 1,
                                           .home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED},
                                           .schema = &model_v1},
                                 .deadline_us = f->clock.monotonic_us + 1,
                                 .arena = &f->arena,
                                 .done_cb = done_cb,
                                 .arg = &done};
    switch (op) {
    case FH_OP_SNAPSHOT_CLOSE:
        request.as.snapshot.snapshot = VIEW;
        return request;
    case FH_OP_SCAN:
        request.as.scan.table = &model_authors;
        request.as.scan.limit = FH_SCAN_ROWS_MAX;
        request.as.scan.bytes_max = FH_SCAN_BYTES_MAX;
        break;
    case FH_OP_SCAN_JOURNAL:
        request.as.scan_journal.limit = FH_SCAN_ROWS_MAX;
        request.as.scan_journal.bytes_max = FH_SCAN_BYTES_MAX;
        break;
    case FH_OP_CHANGES:
        request.as.changes.snapshot = VIEW;
        request.as.changes.since = (struct fh_str){cursor, sizeof(cursor)};
        request.as.changes.limit = FH_SCAN_ROWS_MAX;
        request.as.changes.bytes_max = FH_SCAN_BYTES_MAX;
        break;
    case FH_OP_TALLY:
        request.as.tally.since = (struct fh_str){cursor, sizeof(cursor)};
        break;
    case FH_OP_COPY_WITHIN:
        fh_home_of(FH_TIER_SCHEMA, &f->tenant, &request.as.copy_within.source);
        request.as.copy_within.source_guard = (struct fh_fence_guard){1, 2};
        request.as.copy_within.table = &model_authors;
        request.as.copy_within.limit = FH_APPLY_ROWS_MAX;
        break;
    default:
        break;
    }
    *fh_move_op_guard(&request) = (struct fh_fence_guard){INT64_MAX, FH_FENCE_BIT(FH_FENCE_OPEN)};
    return request;
}

static void passes(struct fixture *f, struct fh_request *request)
{
    submitted = NULL;
    done = false;
    assert_int_equal(fh_store_submit(&f->store, request), FH_OK);
    assert_ptr_equal(submitted, request);
    fh_request_complete(request, FH_OK);
    assert_true(done);
}

static void refused(struct fixture *f, struct fh_request request, enum fh_code expected)
{
    submitted = NULL;
    assert_int_equal(fh_store_submit(&f->store, &request), expected);
    assert_null(submitted);
    assert_true(request.error.message[0] != '\0');
}

static void test_every_operation_passes(void **state)
{
    struct fixture *f = *state;
    for (enum fh_op op = FH_OP_SNAPSHOT_OPEN; op <= FH_OP_COPY_WITHIN; op++) {
        struct fh_request request = request_of(f, op);
        passes(f, &request);
    }
    struct fh_request request = request_of(f, FH_OP_SNAPSHOT_OPEN);
    request.op = (enum fh_op)(FH_OP_COPY_WITHIN + 1);
    refused(f, request, FH_INVALID);
}

static void test_scopes_and_guards(void **state)
{
    struct fixture *f = *state;
    for (enum fh_op op = FH_OP_SNAPSHOT_OPEN; op <= FH_OP_COPY_WITHIN; op++) {
        struct fh_request request = request_of(f, op);
        request.scope.tenant = (struct fh_uuid){{0}};
        refused(f, request, FH_INVALID);
        request = request_of(f, op);
        request.scope.schema = NULL;
        refused(f, request, FH_INVALID);
        request = request_of(f, op);
        request.scope.home.name[0] = '"';
        refused(f, request, FH_INVALID);
        if (op == FH_OP_SNAPSHOT_CLOSE) {
            request = request_of(f, op); /* it has no guard, but a view */
            request.as.snapshot.snapshot = NULL;
            refused(f, request, FH_INVALID);
            continue;
        }
        static const struct fh_fence_guard bad[] = {
            {(uint64_t)INT64_MAX + 1, 2}, {1, 0}, {1, 1}, {1, 2 | 1 << 5}, {1, UINT32_MAX}};
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            request = request_of(f, op);
            *fh_move_op_guard(&request) = bad[i];
            refused(f, request, FH_INVALID);
        }
    }
}

static void test_pages(void **state)
{
    struct fixture *f = *state;
    static const struct {
        size_t limit;
        size_t bytes_max;
        enum fh_code code;
    } table[] = {{1, 1, FH_OK},
                 {0, 1, FH_INVALID},
                 {FH_SCAN_ROWS_MAX + 1, 1, FH_INVALID},
                 {SIZE_MAX, 1, FH_INVALID},
                 {1, 0, FH_INVALID},
                 {1, FH_SCAN_BYTES_MAX + 1, FH_INVALID}};
    static const enum fh_op ops[] = {FH_OP_SCAN, FH_OP_SCAN_JOURNAL, FH_OP_CHANGES};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        for (size_t k = 0; k < 3; k++) {
            struct fh_request request = request_of(f, ops[k]);
            size_t *limits[] = {&request.as.scan.limit, &request.as.scan_journal.limit,
                                &request.as.changes.limit};
            size_t *bytes[] = {&request.as.scan.bytes_max, &request.as.scan_journal.bytes_max,
                               &request.as.changes.bytes_max};
            *limits[k] = table[i].limit;
            *bytes[k] = table[i].bytes_max;
            if (table[i].code == FH_OK) {
                passes(f, &request);
            } else {
                refused(f, request, table[i].code);
            }
        }
    }
}

static void test_scan_bounds(void **state)
{
    struct fixture *f = *state;
    struct fh_key good = key_author(1);
    struct fh_key other = key_code("r", 1);
    struct fh_key null = key_author(1);
    null.values[0].is_null = true;
    struct fh_key foreign = {.table = &model_reviews, .values = {int_value(FH_TYPE_INT64, 1)}};
    struct fh_request request = request_of(f, FH_OP_SCAN);
    request.as.scan.after = &good;
    request.as.scan.until = &good;
    passes(f, &request);
    const struct fh_key *const bad[] = {&other, &null, &foreign};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        request = request_of(f, FH_OP_SCAN);
        request.as.scan.after = bad[i];
        refused(f, request, FH_INVALID);
        request = request_of(f, FH_OP_SCAN);
        request.as.scan.until = bad[i];
        refused(f, request, FH_INVALID);
    }
    request = request_of(f, FH_OP_SCAN);
    request.as.scan.table = &model_reviews; /* of the next version */
    refused(f, request, FH_INVALID);
    request.as.scan.table = NULL;
    refused(f, request, FH_INVALID);
}

static void test_cursors(void **state)
{
    struct fixture *f = *state;
    struct fh_request changes = request_of(f, FH_OP_CHANGES);
    struct fh_request tally = request_of(f, FH_OP_TALLY);
    for (size_t i = 0; i < 2; i++) {
        changes.as.changes.since.len = i == 0 ? 0 : FH_CURSOR_MAX + 1;
        tally.as.tally.since.len = changes.as.changes.since.len;
        refused(f, changes, FH_INVALID);
        refused(f, tally, FH_INVALID);
    }
    changes = request_of(f, FH_OP_CHANGES);
    changes.as.changes.snapshot = NULL;
    refused(f, changes, FH_INVALID);
    changes = request_of(f, FH_OP_CHANGES);
    changes.as.changes.after_seq = (uint64_t)INT64_MAX + 1;
    refused(f, changes, FH_INVALID);
}

static struct fh_row *row_of(struct fixture *f, const struct fh_table *table,
                             const struct fh_uuid *tenant)
{
    struct fh_row *row = fh_row_create(table, &f->arena);
    assert_non_null(row);
    row->tenant = *tenant;
    return row;
}

static void test_batches(void **state)
{
    struct fixture *f = *state;
    struct fh_key *keys = FH_ARENA_ARRAY(&f->arena, struct fh_key, FH_APPLY_ROWS_MAX);
    assert_non_null(keys);
    for (size_t i = 0; i < FH_APPLY_ROWS_MAX; i++) {
        keys[i] = key_author(1);
    }
    static const char state_bytes[FH_MOVE_STATE_MAX + 1];
    struct fh_row *mine = row_of(f, &model_authors, &f->tenant);
    struct fh_journal_row record = {.tenant = f->tenant};
    struct fh_request request = request_of(f, FH_OP_APPLY);
    struct fh_op_apply *apply = &request.as.apply;
    apply->deletes = keys;
    apply->delete_count = FH_APPLY_ROWS_MAX - 2;
    apply->rows = &mine;
    apply->row_count = 1;
    apply->journal = &record;
    apply->journal_count = 1;
    apply->state = (struct fh_str){state_bytes, FH_MOVE_STATE_MAX};
    passes(f, &request);
    apply->delete_count++; /* all together */
    refused(f, request, FH_TOO_LARGE);
    apply->delete_count = 1;
    apply->row_count = FH_APPLY_ROWS_MAX + 1;
    refused(f, request, FH_TOO_LARGE);
    apply->row_count = SIZE_MAX - 1; /* the sum would wrap */
    refused(f, request, FH_TOO_LARGE);
    apply->row_count = 1;
    apply->journal_count = SIZE_MAX;
    refused(f, request, FH_TOO_LARGE);
    apply->journal_count = 1;
    apply->state.len++;
    refused(f, request, FH_TOO_LARGE);
    apply->state.len = 0;
    passes(f, &request);
    keys[0].values[0].is_null = true;
    refused(f, request, FH_INVALID);
    keys[0] = key_author(1);
    struct fh_row *bad[] = {row_of(f, &model_authors, &f->other),
                            row_of(f, &model_reviews, &f->tenant)};
    for (size_t i = 0; i < 2; i++) {
        apply->rows = &bad[i];
        refused(f, request, FH_INVALID);
    }
    apply->rows = &mine;
    record.tenant = f->other;
    refused(f, request, FH_INVALID);
}

static void test_copies_within(void **state)
{
    struct fixture *f = *state;
    static const char state_bytes[FH_MOVE_STATE_MAX + 1];
    struct fh_request request = request_of(f, FH_OP_COPY_WITHIN);
    struct fh_op_copy_within *copy = &request.as.copy_within;
    const struct fh_op_copy_within good = *copy;
    const struct fh_home shared = request.scope.home;
    request.scope.home = good.source; /* and back */
    copy->source = shared;
    passes(f, &request);
    copy->source = good.source; /* from a home into itself */
    refused(f, request, FH_INVALID);
    request.scope.home = shared;
    fh_home_of(FH_TIER_DATABASE, &f->tenant, &copy->source);
    refused(f, request, FH_INVALID);
    fh_home_of(FH_TIER_SCHEMA, &f->other, &copy->source); /* not the tenant's */
    refused(f, request, FH_INVALID);
    *copy = good;
    fh_home_of(FH_TIER_DATABASE, &f->tenant, &request.scope.home);
    refused(f, request, FH_INVALID);
    request.scope.home = shared;
    static const struct fh_home bad_sources[] = {
        {0, FH_HOME_SHARED}, {FH_TIER_SHARED, "fh\"x"}, {FH_TIER_SHARED, ""}};
    for (size_t i = 0; i < sizeof(bad_sources) / sizeof(bad_sources[0]); i++) {
        fh_home_of(FH_TIER_SCHEMA, &f->tenant, &request.scope.home);
        copy->source = bad_sources[i];
        refused(f, request, FH_INVALID);
    }
    request.scope.home = shared;
    *copy = good;
    copy->source_guard.modes = 0;
    refused(f, request, FH_INVALID);
    *copy = good;
    copy->table = &model_reviews; /* of the next version */
    refused(f, request, FH_INVALID);
    *copy = good;
    copy->limit = 0;
    refused(f, request, FH_INVALID);
    copy->limit = FH_APPLY_ROWS_MAX + 1;
    refused(f, request, FH_INVALID);
    *copy = good;
    struct fh_key other = key_code("r", 1);
    copy->after = &other;
    refused(f, request, FH_INVALID);
    *copy = good;
    copy->source_epoch = UINT64_MAX;
    refused(f, request, FH_INVALID);
    *copy = good;
    copy->state = (struct fh_str){state_bytes, FH_MOVE_STATE_MAX + 1};
    refused(f, request, FH_INVALID);
}

/* Starts a request and lets the engine put these results in it. */
static void begin(struct fixture *f, struct fh_request *request, enum fh_op op)
{
    *request = request_of(f, op);
    done = false;
    assert_int_equal(fh_store_submit(&f->store, request), FH_OK);
}

static void test_foreign_rows(void **state)
{
    struct fixture *f = *state;
    struct fh_row *rows[] = {row_of(f, &model_authors, &f->tenant), NULL,
                             row_of(f, &model_authors, &f->tenant)};
    struct fh_journal_row records[] = {{.tenant = f->tenant}, {.tenant = f->tenant}};
    struct fh_key keys[3] = {key_author(1), key_author(2), key_author(3)};
    for (int foreign = 0; foreign < 3; foreign++) {
        rows[2]->tenant = foreign == 1 ? f->other : f->tenant;
        records[1].tenant = foreign == 2 ? f->other : f->tenant;
        struct fh_request request;

        begin(f, &request, FH_OP_SCAN);
        request.as.scan.rows = rows;
        request.as.scan.count = 3;
        request.as.scan.more = true;
        fh_request_complete(&request, FH_OK);
        assert_int_equal(request.code, foreign == 1 ? FH_FOREIGN_ROW : FH_OK);
        assert_int_equal(request.as.scan.rows == NULL, foreign == 1);
        assert_int_equal(request.as.scan.count, foreign == 1 ? 0 : 3);
        assert_int_equal(request.as.scan.more, foreign != 1);

        begin(f, &request, FH_OP_SCAN_JOURNAL);
        request.as.scan_journal.rows = records;
        request.as.scan_journal.count = 2;
        fh_request_complete(&request, FH_OK);
        assert_int_equal(request.code, foreign == 2 ? FH_FOREIGN_ROW : FH_OK);
        assert_int_equal(request.as.scan_journal.rows == NULL, foreign == 2);
        assert_int_equal(request.as.scan_journal.count, foreign == 2 ? 0 : 2);

        begin(f, &request, FH_OP_CHANGES);
        struct fh_op_changes *changes = &request.as.changes;
        changes->rows = rows;
        changes->keys = keys;
        changes->key_count = 3;
        changes->journal = records;
        changes->journal_count = 2;
        changes->more = true;
        fh_request_complete(&request, FH_OK);
        assert_int_equal(request.code, foreign != 0 ? FH_FOREIGN_ROW : FH_OK);
        assert_int_equal(changes->rows == NULL, foreign != 0);
        assert_int_equal(changes->keys == NULL, foreign != 0); /* a key tells, too */
        assert_int_equal(changes->journal == NULL, foreign != 0);
        assert_int_equal(changes->key_count, foreign != 0 ? 0 : 3);
        assert_int_equal(changes->journal_count, foreign != 0 ? 0 : 2);
        assert_int_equal(changes->more, foreign == 0);
    }
}

/* Garbage from an earlier use goes when a request is submitted, results when it fails; what the
 * caller put in stays. */
static void test_what_is_withheld(void **state)
{
    struct fixture *f = *state;
    for (int when = 0; when < 2; when++) {
        struct fh_request open = request_of(f, FH_OP_SNAPSHOT_OPEN);
        struct fh_request tally = request_of(f, FH_OP_TALLY);
        struct fh_request apply = request_of(f, FH_OP_APPLY);
        struct fh_request kept = request_of(f, FH_OP_MOVE_STATE);
        struct fh_request size = request_of(f, FH_OP_SIZE);
        struct fh_request *const requests[] = {&open, &tally, &apply, &kept, &size};
        for (size_t i = 0; i < 5; i++) {
            if (when == 1) {
                assert_int_equal(fh_store_submit(&f->store, requests[i]), FH_OK);
            }
        }
        open.as.snapshot.snapshot = VIEW;
        open.as.snapshot.cursor = FH_STR("cursor");
        tally.as.tally.count = 1;
        tally.as.tally.seq_sum = 2;
        apply.as.apply.rows_written = 3;
        kept.as.move_state.state = FH_STR("state");
        size.as.size.rows = size.as.size.records = size.as.size.bytes = 4;
        for (size_t i = 0; i < 5; i++) {
            if (when == 0) {
                assert_int_equal(fh_store_submit(&f->store, requests[i]), FH_OK);
            } else {
                fh_request_complete(requests[i], FH_UNAVAILABLE);
            }
        }
        assert_null(open.as.snapshot.snapshot);
        assert_int_equal(open.as.snapshot.cursor.len, 0);
        assert_int_equal(tally.as.tally.count + tally.as.tally.seq_sum, 0);
        assert_int_equal(tally.as.tally.since.len, FH_CURSOR_MAX);
        assert_int_equal(apply.as.apply.rows_written, 0);
        assert_int_equal(kept.as.move_state.state.len, 0);
        assert_int_equal(size.as.size.rows + size.as.size.records + size.as.size.bytes, 0);
        for (size_t i = 0; i < 5 && when == 0; i++) {
            fh_request_complete(requests[i], FH_OK);
        }
    }
    struct fh_request close = request_of(f, FH_OP_SNAPSHOT_CLOSE);
    assert_int_equal(fh_store_submit(&f->store, &close), FH_OK);
    assert_ptr_equal(close.as.snapshot.snapshot, VIEW); /* the engine's to close */
    fh_request_complete(&close, FH_OK);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_every_operation_passes),
                                       TEST(test_scopes_and_guards),
                                       TEST(test_pages),
                                       TEST(test_scan_bounds),
                                       TEST(test_cursors),
                                       TEST(test_batches),
                                       TEST(test_copies_within),
                                       TEST(test_foreign_rows),
                                       TEST(test_what_is_withheld)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
