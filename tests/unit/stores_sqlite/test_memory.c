/* Every allocation of SQLite fails in turn, in the middle of a group: FH_OK means stored, FH_NOMEM
 * not stored, and only FH_OUTCOME_UNKNOWN may mean either. Asking again with the same request id
 * tells which it was. */
#include "tests/unit/stores_sqlite/fixture.h"

#include <stdio.h>

#include "stores/sqlite/move_read.h"
#include "stores/sqlite/reader.h"
#include "stores/sqlite/writer.h"
#include "tests/unit/stores_sqlite/moves.h"

#define GROUP 3
#define ALLOCATIONS_MAX 20000

static sqlite3_mem_methods real;
static int64_t countdown = -1; /* atomic; below zero: off */
static int64_t delivered;      /* atomic */

static bool strikes(void)
{
    if (__atomic_load_n(&countdown, __ATOMIC_SEQ_CST) < 0 ||
        __atomic_fetch_sub(&countdown, 1, __ATOMIC_SEQ_CST) != 0) {
        return false;
    }
    __atomic_add_fetch(&delivered, 1, __ATOMIC_SEQ_CST);
    return true;
}

static void *faulty_malloc(int size)
{
    return strikes() ? NULL : real.xMalloc(size);
}

static void *faulty_realloc(void *memory, int size)
{
    return strikes() ? NULL : real.xRealloc(memory, size);
}

static void arm(int64_t after)
{
    __atomic_store_n(&delivered, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&countdown, after, __ATOMIC_SEQ_CST);
}

static bool disarm(void)
{
    __atomic_store_n(&countdown, -1, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&delivered, __ATOMIC_SEQ_CST) > 0;
}

/* Inserts, of items that only this round has, each with a request id. */
static void make_group(struct fixture *f, int64_t round, struct fh_request *requests,
                       struct fh_work **items)
{
    for (int i = 0; i < GROUP; i++) {
        int64_t id = round * GROUP + i;
        requests[i] = fixture_commit(
            f, &f->a, fixture_write(f, FH_WRITE_INSERT, fixture_item(id), "n", NULL));
        requests[i].as.commit.at_us = 1;
        requests[i].as.commit.request_id =
            fh_str_of(fh_arena_printf(&f->arena, "request-%lld", (long long)id));
        items[i] = &requests[i].work;
    }
}

static void write_round(struct fixture *f, struct fh_sqlite_writer *writer, int64_t round,
                        int64_t fail_at, bool *fault)
{
    struct fh_request requests[GROUP];
    struct fh_work *items[GROUP];
    enum fh_code first[GROUP];
    make_group(f, round, requests, items);
    arm(fail_at);
    fh_sqlite_writer_run(writer, items, GROUP);
    *fault = disarm();
    for (int i = 0; i < GROUP; i++) {
        first[i] = requests[i].code;
        if (first[i] != FH_OK && first[i] != FH_NOMEM && first[i] != FH_OUTCOME_UNKNOWN &&
            first[i] != FH_UNAVAILABLE) {
            fail_msg("allocation %lld: %s: %s", (long long)fail_at, fh_code_name(first[i]),
                     requests[i].error.message);
        }
    }
    make_group(f, round, requests, items);
    fh_sqlite_writer_run(writer, items, GROUP);
    for (int i = 0; i < GROUP; i++) {
        assert_code(requests[i].code, FH_OK);
        if (first[i] != FH_OUTCOME_UNKNOWN) {
            assert_int_equal(requests[i].as.commit.replayed, first[i] == FH_OK);
        }
    }
}

static void test_writer(void **state)
{
    struct fixture *f = *state;
    struct fh_sqlite_writer writer = {.worker = NULL};
    fixture_shut(f);
    fh_sqlite_conn_init(&writer.conn, FH_SQLITE_WRITER, f->path, &f->clock, NULL);
    fh_sqlite_conn_init(&writer.eraser, FH_SQLITE_ERASER, f->path, &f->clock, NULL);
    bool fault = true;
    int64_t round = 0;
    /* The connection stays open: what fails is the group itself. */
    for (int64_t n = 0; fault; n++) {
        assert_true(n < ALLOCATIONS_MAX);
        write_round(f, &writer, round++, n, &fault);
        fh_arena_reset(&f->arena);
    }
    /* And with a connection to open and statements to prepare, in steps. */
    fault = true;
    for (int64_t n = 0; fault; n += 7) {
        assert_true(n < ALLOCATIONS_MAX);
        fh_sqlite_conn_close(&writer.conn);
        write_round(f, &writer, round++, n, &fault);
        fh_arena_reset(&f->arena);
    }
    assert_true(round > 100);
    fh_sqlite_conn_close(&writer.conn);
}

static void test_reader(void **state)
{
    struct fixture *f = *state;
    struct fh_sqlite_reader reader = {.worker = NULL};
    struct fh_key key = fixture_item(1);
    assert_code(fixture_put(f, &f->a, FH_WRITE_INSERT, 1, "n", NULL), FH_OK);
    fixture_shut(f); /* a reader alone, so that the nth allocation is always the same */
    fh_sqlite_conn_init(&reader.conn, FH_SQLITE_READER, f->path, &f->clock, NULL);
    bool fault = true;
    for (int64_t n = 0; fault; n++) {
        assert_true(n < ALLOCATIONS_MAX);
        struct fh_request requests[2];
        struct fh_work *items[2];
        for (int i = 0; i < 2; i++) {
            requests[i] = fixture_request(f, FH_OP_GET, &f->a);
            requests[i].as.get.keys = &key;
            requests[i].as.get.count = 1;
            items[i] = &requests[i].work;
        }
        if (n % 2 == 0) {
            fh_sqlite_conn_close(&reader.conn);
        }
        arm(n / 2);
        fh_sqlite_reader_run(&reader, items, 2);
        fault = disarm() || n % 2 == 1;
        for (int i = 0; i < 2; i++) {
            enum fh_code code = requests[i].code;
            assert_true(code == FH_OK || code == FH_NOMEM || code == FH_UNAVAILABLE);
            if (code == FH_OK) {
                assert_non_null(requests[i].as.get.rows[0]);
            }
        }
        fh_arena_reset(&f->arena);
    }
    fh_sqlite_conn_close(&reader.conn);
}

/* A batch of a move is whole or not there, whichever allocation fails. */
static void test_apply(void **state)
{
    struct fixture *f = *state;
    struct fh_sqlite_writer writer = {.worker = NULL};
    fixture_shut(f);
    fh_sqlite_conn_init(&writer.conn, FH_SQLITE_WRITER, f->path, &f->clock, NULL);
    fh_sqlite_conn_init(&writer.eraser, FH_SQLITE_ERASER, f->path, &f->clock, NULL);
    bool fault = true;
    int64_t n = 0;
    for (; fault; n++) {
        assert_true(n < ALLOCATIONS_MAX);
        struct fh_key key = fixture_item(n);
        struct fh_row *rows[] = {moves_item(f, &f->a, n + 1, "n", NULL),
                                 moves_part(f, &f->a, n, n)};
        struct fh_journal_row record =
            moves_record(&f->a, 1, (uint64_t)n + 1, "", "[[\"p\",\"items\",\"1\"]]");
        struct fh_request request = moves_request(f, FH_OP_APPLY, &f->a);
        struct fh_work *item = &request.work;
        request.as.apply.deletes = &key;
        request.as.apply.delete_count = 1;
        request.as.apply.rows = rows;
        request.as.apply.row_count = 2;
        request.as.apply.keep_existing = true; /* what a lost COMMIT left */
        request.as.apply.journal = &record;
        request.as.apply.journal_count = 1;
        request.as.apply.state = fh_str_of(fh_arena_printf(&f->arena, "%lld", (long long)n));
        if (n % 7 == 0) {
            fh_sqlite_conn_close(&writer.eraser);
        }
        arm(n % 7 == 0 ? n * 3 : n);
        fh_sqlite_writer_run(&writer, &item, 1);
        fault = disarm() || n % 7 == 0;
        enum fh_code code = request.code;
        if (code == FH_OK) {
            assert_int_equal(request.as.apply.rows_written, 2);
        } else if (code != FH_NOMEM && code != FH_UNAVAILABLE && code != FH_OUTCOME_UNKNOWN) {
            fail_msg("allocation %lld: %s", (long long)n, request.error.message);
        }
        fh_sqlite_writer_run(&writer, &item, 1);
        assert_code(request.code, FH_OK);
        if (code != FH_OUTCOME_UNKNOWN) { /* the first attempt left all or nothing */
            assert_int_equal(request.as.apply.rows_written, code == FH_OK ? 0 : 2);
        }
        fh_arena_reset(&f->arena);
    }
    assert_true(n > 10);
    fh_sqlite_conn_close(&writer.eraser);
    fh_sqlite_conn_close(&writer.conn);
}

/* What a move asks is answered whole, or not. */
static void test_move_reads(void **state)
{
    struct fixture *f = *state;
    for (int64_t i = 1; i <= 3; i++) {
        assert_code(fixture_put(f, &f->a, FH_WRITE_INSERT, i, "n", NULL), FH_OK);
    }
    fixture_shut(f);
    struct fh_sqlite_conn conn;
    struct fh_error error = FH_ERROR_INIT;
    static const enum fh_op ops[] = {FH_OP_SCAN,  FH_OP_SCAN_JOURNAL, FH_OP_CHANGES,
                                     FH_OP_TALLY, FH_OP_REFERENCES,   FH_OP_SIZE};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        bool fault = true;
        for (int64_t n = 0; fault; n++) {
            assert_true(n < ALLOCATIONS_MAX);
            /* Statements are prepared anew each time. */
            fh_sqlite_conn_init(&conn, FH_SQLITE_READER, f->path, &f->clock, NULL);
            assert_code(fh_sqlite_conn_open(&conn, &error), FH_OK);
            assert_code(fh_sqlite_views_use(&conn, &fixture_v1, &error), FH_OK);
            assert_code(fh_sqlite_statement_run(&conn, FH_SQLITE_BEGIN_READ, &error), FH_OK);
            struct fh_request request = moves_request(f, ops[i], &f->a);
            arm(n);
            enum fh_code code = fh_sqlite_move_read(&conn, &request);
            fault = disarm();
            assert_true(code == FH_OK || code == FH_NOMEM);
            assert_true(code == FH_OK || fault);
            if (code == FH_OK && ops[i] == FH_OP_CHANGES) {
                assert_int_equal(request.as.changes.key_count, 3);
            }
            fh_sqlite_conn_close(&conn);
            fh_arena_reset(&f->arena);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {FIXTURE_TEST(test_writer), FIXTURE_TEST(test_reader),
                                       FIXTURE_TEST(test_apply), FIXTURE_TEST(test_move_reads)};
    sqlite3_mem_methods faulty;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real) != SQLITE_OK) {
        return 1;
    }
    faulty = real;
    faulty.xMalloc = faulty_malloc;
    faulty.xRealloc = faulty_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &faulty) != SQLITE_OK) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
