/* Long views: one instant, a bounded number, an end. */
#include <stdio.h>
#include <sys/stat.h>

#include "tests/unit/stores_sqlite/moves.h"

static enum fh_code scan_in(struct fixture *f, const struct fh_uuid *tenant,
                            struct fh_snapshot *snapshot, size_t *count)
{
    struct fh_request request = moves_request(f, FH_OP_SCAN, tenant);
    request.as.scan.snapshot = snapshot;
    enum fh_code code = fixture_run(f, &request);
    *count = request.as.scan.count;
    return code;
}

static void test_a_view_is_one_instant(void **state)
{
    struct fixture *f = *state;
    size_t count = 0;
    assert_code(fixture_put(f, &f->a, FH_WRITE_INSERT, 1, "n", NULL), FH_OK);
    struct fh_snapshot *before = moves_open(f, &f->a, NULL);
    for (int64_t i = 2; i <= 50; i++) {
        assert_code(fixture_put(f, &f->a, FH_WRITE_INSERT, i, "n", NULL), FH_OK);
    }
    assert_code(fixture_put(f, &f->a, FH_WRITE_PURGE, 1, NULL, NULL), FH_OK);
    struct fh_snapshot *after = moves_open(f, &f->a, NULL);
    assert_int_equal(moves_rows(f, &f->a, before, &fixture_items, NULL), 1);
    assert_int_equal(moves_rows(f, &f->a, after, &fixture_items, NULL), 49);
    /* Also the fence: what a takeover does shows in the next view. */
    moves_fence(f, &f->a, (struct fh_fence){1, 2, FH_FENCE_FROZEN});
    assert_int_equal(moves_rows(f, &f->a, before, &fixture_items, NULL), 1);
    assert_code(scan_in(f, &f->a, NULL, &count), FH_MOVED);
    assert_code(moves_close(f, &f->a, before), FH_OK);
    assert_code(moves_close(f, &f->a, after), FH_OK);
    struct fh_request request = moves_request(f, FH_OP_SNAPSHOT_OPEN, &f->a);
    assert_code(fixture_run(f, &request), FH_MOVED);
    assert_null(request.as.snapshot.snapshot);
}

static void test_a_view_is_its_openers(void **state)
{
    struct fixture *f = *state;
    size_t count = 0;
    assert_code(fixture_put(f, &f->b, FH_WRITE_INSERT, 1, "of b", NULL), FH_OK);
    struct fh_snapshot *view = moves_open(f, &f->a, NULL);
    assert_code(scan_in(f, &f->b, view, &count), FH_INVALID);
    assert_code(moves_close(f, &f->b, view), FH_INVALID);
    assert_code(scan_in(f, &f->a, view, &count), FH_OK);
    assert_int_equal(count, 0);
    assert_code(moves_close(f, &f->a, view), FH_OK);
    assert_code(scan_in(f, &f->a, view, &count), FH_UNAVAILABLE);
    assert_code(moves_close(f, &f->a, view), FH_UNAVAILABLE);
}

static void test_views_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct fh_snapshot *views[FH_SNAPSHOTS_MAX];
    struct fh_request request = moves_request(f, FH_OP_SNAPSHOT_OPEN, &f->a);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < FH_SNAPSHOTS_MAX; i++) {
            views[i] = moves_open(f, i % 2 == 0 ? &f->a : &f->b, NULL);
        }
        assert_code(fixture_run(f, &request), FH_FULL);
        /* Whoever closes makes room at once, before the close is done. */
        struct fh_request close = moves_request(f, FH_OP_SNAPSHOT_CLOSE, &f->b);
        bool closed = false;
        bool opened = false;
        close.as.snapshot.snapshot = views[1];
        fixture_detach(f, &close);
        assert_code(fixture_submit(f, &close, &closed), FH_OK);
        request = moves_request(f, FH_OP_SNAPSHOT_OPEN, &f->b);
        assert_code(fixture_submit(f, &request, &opened), FH_OK);
        fixture_wait(f, &opened);
        assert_true(closed);
        assert_code(request.code, FH_OK);
        views[1] = request.as.snapshot.snapshot;
        for (int i = 0; i < FH_SNAPSHOTS_MAX; i++) {
            assert_code(moves_close(f, i % 2 == 0 ? &f->a : &f->b, views[i]), FH_OK);
        }
    }
    struct fh_store_stats stats;
    f->store->ops->stats(f->store, &stats);
    assert_int_equal(stats.connections, 1 + 2 + FH_SNAPSHOTS_MAX);
}

/* An open that fails gives its reader back. */
static void test_a_failed_open_holds_nothing(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2 * FH_SNAPSHOTS_MAX; i++) {
        struct fh_request request = moves_request(f, FH_OP_SNAPSHOT_OPEN, &f->a);
        request.as.snapshot.guard.generation = 9;
        assert_code(fixture_run(f, &request), FH_MOVED);
        assert_null(request.as.snapshot.snapshot);
    }
    assert_code(moves_close(f, &f->a, moves_open(f, &f->a, NULL)), FH_OK);
}

static void test_an_idle_view_ends(void **state)
{
    struct fixture *f = *state;
    struct fh_snapshot *idle[FH_SNAPSHOTS_MAX];
    size_t count = 0;
    for (int i = 0; i < FH_SNAPSHOTS_MAX; i++) {
        idle[i] = moves_open(f, &f->a, NULL);
    }
    fixture_advance(f, FH_SNAPSHOT_IDLE_MAX_US - 1000);
    assert_code(scan_in(f, &f->a, idle[0], &count), FH_OK); /* in use again */
    fixture_advance(f, 2000);
    assert_code(scan_in(f, &f->a, idle[1], &count), FH_UNAVAILABLE);
    assert_code(scan_in(f, &f->a, idle[0], &count), FH_OK);
    struct fh_snapshot *next = moves_open(f, &f->a, NULL); /* there is room */
    assert_code(scan_in(f, &f->a, next, &count), FH_OK);
    assert_code(moves_close(f, &f->a, idle[1]),
                FH_OK); /* its handle is to be closed all the same */
    assert_code(moves_close(f, &f->a, idle[1]), FH_UNAVAILABLE);
    assert_code(moves_close(f, &f->a, next), FH_OK);
    assert_code(moves_close(f, &f->a, idle[0]), FH_OK);
}

/* Nobody closes, nobody asks: handles are bounded, too. */
static void test_handles_are_bounded(void **state)
{
    struct fixture *f = *state;
    enum fh_code code = FH_OK;
    int opened = 0;
    for (; opened < 1000 && code == FH_OK; opened++) {
        struct fh_request request = moves_request(f, FH_OP_SNAPSHOT_OPEN, &f->a);
        code = fixture_run(f, &request);
        fixture_advance(f, FH_SNAPSHOT_IDLE_MAX_US + 1);
    }
    assert_code(code, FH_FULL);
    assert_in_range(opened, FH_SNAPSHOTS_MAX + 1, 100);
}

static void test_views_end_with_their_store(void **state)
{
    struct fixture *f = *state;
    struct fh_snapshot *view = moves_open(f, &f->a, NULL);
    struct fh_request request = moves_request(f, FH_OP_SCAN, &f->a);
    bool done = false;
    request.as.scan.snapshot = view;
    fixture_detach(f, &request);
    assert_code(fixture_submit(f, &request, &done), FH_OK);
    (void)moves_open(f, &f->b, NULL);
    fixture_shut(f); /* what is in flight ends first */
    assert_true(done);
    assert_code(request.code, FH_OK);
    fixture_open(f);
    assert_int_equal(moves_rows(f, &f->a, NULL, &fixture_items, NULL), 0);
}

/* Closing is what a late or cancelled request means, too. */
static void test_close_is_never_in_vain(void **state)
{
    struct fixture *f = *state;
    struct fh_request request = moves_request(f, FH_OP_SNAPSHOT_CLOSE, &f->a);
    bool done = false;
    request.as.snapshot.snapshot = moves_open(f, &f->a, NULL);
    assert_code(fixture_submit(f, &request, &done), FH_OK);
    fh_store_cancel(f->store, &request);
    fixture_wait(f, &done);
    assert_code(request.code, FH_OK);
    assert_null(request.as.snapshot.snapshot);
}

/* A view must not keep writers or other readers waiting, and the log is folded back after it. */
static void test_the_log_is_folded_back(void **state)
{
    struct fixture *f = *state;
    char large[20000];
    memset(large, 'x', sizeof(large));
    large[sizeof(large) - 1] = '\0';
    struct fh_snapshot *view = moves_open(f, &f->a, NULL);
    for (int64_t i = 1; i <= 300; i++) {
        assert_code(fixture_put(f, &f->a, FH_WRITE_INSERT, i, large, NULL), FH_OK);
    }
    char wal[128];
    struct stat held;
    struct stat later;
    (void)snprintf(wal, sizeof(wal), "%s-wal", f->path);
    assert_int_equal(stat(wal, &held), 0);
    assert_int_equal(moves_rows(f, &f->a, view, &fixture_items, NULL), 0);
    assert_code(moves_close(f, &f->a, view), FH_OK);
    for (int64_t i = 301; i <= 600; i++) {
        assert_code(fixture_put(f, &f->a, FH_WRITE_INSERT, i, large, NULL), FH_OK);
        fh_arena_reset(&f->arena);
    }
    assert_int_equal(stat(wal, &later), 0);
    assert_true(held.st_size > 6000000);               /* all of it was kept */
    assert_true(later.st_size < held.st_size * 3 / 2); /* and then used again */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_a_view_is_one_instant),
        FIXTURE_TEST(test_a_view_is_its_openers),
        FIXTURE_TEST(test_views_are_bounded),
        FIXTURE_TEST(test_a_failed_open_holds_nothing),
        FIXTURE_TEST(test_an_idle_view_ends),
        FIXTURE_TEST(test_handles_are_bounded),
        FIXTURE_TEST(test_views_end_with_their_store),
        FIXTURE_TEST(test_close_is_never_in_vain),
        FIXTURE_TEST(test_the_log_is_folded_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
