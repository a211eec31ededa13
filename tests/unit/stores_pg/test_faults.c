/* The engine against a server that dies, freezes, is full, or whose connections are cut in
 * mid-pipeline. What must hold: every request completes exactly once; an acknowledged write is
 * there; a write of unknown outcome, repeated with its request id, has happened exactly once.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/stores_pg/fixture.h"

#define LOAD 48

static long value_of(struct fixture *f, const char *sql)
{
    char text[64] = "";
    assert_true(fh_pgtest_value(f->pg, FH_PGTEST_SUPERUSER, sql, text, sizeof(text)));
    return strtol(text, NULL, 10);
}

static long authors(struct fixture *f)
{
    return value_of(f, "select count(*) from fh_shared.authors where version = 1");
}

static long records(struct fixture *f)
{
    return value_of(f, "select count(*) from fh_shared.fh_commit");
}

static void test_killed_under_load(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, NULL); /* fsync on: acknowledged means on disk */
    static struct call calls[LOAD];
    bool acknowledged[LOAD] = {false};
    for (int i = 0; i < LOAD; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "kill-%d", i);
        call_init(&calls[i], &f);
        call_insert(&calls[i], i + 1, id);
        call_submit(&calls[i], 20000);
    }
    /* Some have completed, others are in the pipelines. */
    fixture_wait(&f, calls, 3);
    assert_int_equal(fh_pgtest_kill9(f.pg), FH_OK);
    fixture_wait(&f, calls, LOAD);
    size_t ok = 0;
    for (int i = 0; i < LOAD; i++) {
        enum fh_code code = calls[i].request.code;
        assert_int_equal(calls[i].completions, 1);
        assert_true(code == FH_OK || code == FH_OUTCOME_UNKNOWN || code == FH_UNAVAILABLE);
        acknowledged[i] = code == FH_OK;
        ok += acknowledged[i];
    }
    assert_true(ok >= 3);
    assert_int_equal(fh_pgtest_restart(f.pg), FH_OK);
    for (int i = 0; i < LOAD; i++) {
        call_until_ok(&calls[i]);
        if (acknowledged[i]) {
            assert_true(calls[i].request.as.commit.replayed);
        }
        call_close(&calls[i]);
    }
    assert_int_equal(authors(&f), LOAD);
    assert_int_equal(records(&f), LOAD);
    fixture_stop(&f);
}

static void test_frozen(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, NULL);
    struct call read;
    struct call write;
    call_init(&read, &f);
    call_init(&write, &f);
    call_get(&read, key_author(1));
    call_insert(&write, 1, "frozen");
    assert_int_equal(call_run(&read, 5000), FH_OK); /* connected */
    assert_int_equal(fh_pgtest_freeze(f.pg), FH_OK);
    call_submit(&read, 200);
    call_submit(&write, 200);
    fixture_wait(&f, &read, 1);
    fixture_wait(&f, &write, 1);
    assert_int_equal(read.request.code, FH_DEADLINE);
    assert_int_equal(write.request.code, FH_OUTCOME_UNKNOWN);
    assert_int_equal(fh_pgtest_thaw(f.pg), FH_OK);
    call_until_ok(&write);
    assert_int_equal(call_run(&read, 5000), FH_OK);
    assert_non_null(read.request.as.get.rows[0]);
    assert_int_equal(authors(&f), 1);
    assert_int_equal(records(&f), 1);
    assert_int_equal(read.completions, 3);
    call_close(&read);
    call_close(&write);
    fixture_stop(&f);
}

/* Frozen before there is a connection: the request's deadline, not the connect's, ends it. */
static void test_frozen_at_connect(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, NULL);
    fixture_close(&f);
    fixture_open(&f, 1);
    assert_int_equal(fh_pgtest_freeze(f.pg), FH_OK);
    struct call read;
    call_init(&read, &f);
    call_get(&read, key_author(1));
    assert_int_equal(call_run(&read, 200), FH_DEADLINE);
    assert_int_equal(fh_pgtest_thaw(f.pg), FH_OK);
    call_until_ok(&read);
    call_close(&read);
    fixture_stop(&f);
}

static void test_out_of_connections(void **state)
{
    (void)state;
    struct fixture f;
    const struct fh_pgtest_options options = {.fsync_off = true, .connections_max = 8};
    fixture_start(&f, &options);
    fixture_close(&f);
    /* Of 8 two are the superuser's. */
    struct fh_pgtest_session *sessions[6];
    for (int i = 0; i < 6; i++) {
        sessions[i] = fh_pgtest_session_open(f.pg, FH_PGTEST_APP, "select 1");
        assert_non_null(sessions[i]);
    }
    fixture_open(&f, 2);
    struct call read;
    struct call general;
    call_init(&read, &f);
    call_get(&read, key_author(1));
    assert_int_equal(call_run(&read, 5000), FH_UNAVAILABLE);
    assert_true(read.request.error.message[0] != '\0');
    /* Again at once: still told, not queued for ever. */
    assert_int_equal(call_run(&read, 5000), FH_UNAVAILABLE);
    /* One place: reads work, and a commit that needs a slow connection is told that there is none.
     */
    fh_pgtest_session_close(sessions[0]);
    call_until_ok(&read);
    call_init(&general, &f);
    call_insert(&general, 1, "full");
    general.write.op = FH_WRITE_UPSERT;
    assert_int_equal(call_run(&general, 5000), FH_UNAVAILABLE);
    assert_int_equal(call_run(&read, 5000), FH_OK);
    for (int i = 1; i < 6; i++) {
        fh_pgtest_session_close(sessions[i]);
    }
    call_until_ok(&general);
    call_close(&read);
    call_close(&general);
    fixture_stop(&f);
}

/* Cuts the connection after `bytes` in that direction while the commit is under way, then resolves
 * it by its request id. */
static enum fh_code cut_once(struct fixture *f, enum fh_proxy_direction direction, size_t bytes,
                             int64_t id, bool general)
{
    struct call call;
    char request_id[32];
    (void)snprintf(request_id, sizeof(request_id), "cut-%lld", (long long)id);
    call_init(&call, f);
    call_insert(&call, id, request_id);
    if (general) {
        call.write.op = FH_WRITE_UPSERT;
    }
    fh_proxy_cut_after(f->proxy, direction, bytes);
    enum fh_code code = call_run(&call, 10000);
    assert_int_equal(call.completions, 1);
    /* Conflict: tried again by itself while the server still had the first try's locks. */
    assert_true(code == FH_OK || code == FH_OUTCOME_UNKNOWN || code == FH_UNAVAILABLE ||
                code == FH_CONFLICT);
    long before = value_of(f, "select count(*) from fh_shared.fh_commit");
    fh_proxy_cut_after(f->proxy, direction, SIZE_MAX);
    call_until_ok(&call);
    bool was_there = call.request.as.commit.replayed;
    if (code == FH_OK) {
        assert_true(was_there);
    }
    assert_int_equal(records(f), before + (was_there ? 0 : 1));
    call_close(&call);
    return code;
}

static void sweep_cuts(bool general)
{
    struct fixture f;
    const struct fh_pgtest_options options = {.fsync_off = true};
    fixture_start(&f, &options);
    fixture_use_proxy(&f);
    int64_t id = 1;
    unsigned unknown = 0;
    /* Warm: connected and prepared, so that the bytes counted are the commit's. */
    (void)cut_once(&f, FH_PROXY_TO_CLIENT, SIZE_MAX, id++, general);
    /* A commit's own message has some 40 bytes, to be met by one of the cuts. */
    for (int direction = 0; direction < 2; direction++) {
        for (size_t bytes = 0; bytes < 1600; bytes += bytes < 200 ? 13 : 29) {
            unknown += cut_once(&f, (enum fh_proxy_direction)direction, bytes, id++, general) ==
                       FH_OUTCOME_UNKNOWN;
        }
    }
    assert_true(unknown > 0); /* else the cuts missed what they are for */
    assert_true(fh_proxy_cuts(f.proxy) > 10);
    assert_int_equal(authors(&f), id - 1);
    assert_int_equal(records(&f), id - 1);
    fixture_stop(&f);
}

static void test_cut_in_mid_pipeline(void **state)
{
    (void)state;
    sweep_cuts(false);
}

static void test_cut_in_general_commit(void **state)
{
    (void)state;
    sweep_cuts(true);
}

/* The reply to a commit never comes, though it was made: told as unknown, and the retry answers the
 * same commit. */
static void test_lost_reply_is_replayed(void **state)
{
    (void)state;
    struct fixture f;
    const struct fh_pgtest_options options = {.fsync_off = true};
    fixture_start(&f, &options);
    fixture_use_proxy(&f);
    struct call call;
    call_init(&call, &f);
    call_get(&call, key_author(1));
    assert_int_equal(call_run(&call, 5000), FH_OK);
    call_insert(&call, 1, "lost");
    assert_int_equal(call_run(&call, 5000), FH_OK); /* prepares */
    call_insert(&call, 2, "lost-2");
    fh_proxy_cut_after(f.proxy, FH_PROXY_TO_CLIENT, 0);
    assert_int_equal(call_run(&call, 5000), FH_OUTCOME_UNKNOWN);
    assert_int_equal(authors(&f), 2);
    call_until_ok(&call);
    assert_true(call.request.as.commit.replayed);
    assert_int_equal(call.request.as.commit.rows[0]->version, 1);
    assert_int_equal(authors(&f), 2);
    assert_int_equal(records(&f), 2);
    call_close(&call);
    fixture_stop(&f);
}

/* A read whose connection is cut is tried once more by itself. */
static void test_cut_reads_are_tried_again(void **state)
{
    (void)state;
    struct fixture f;
    const struct fh_pgtest_options options = {.fsync_off = true};
    fixture_start(&f, &options);
    fixture_use_proxy(&f);
    struct call call;
    call_init(&call, &f);
    call_get(&call, key_author(1));
    assert_int_equal(call_run(&call, 5000), FH_OK);
    for (size_t bytes = 0; bytes < 300; bytes += 17) {
        fh_proxy_cut_after(f.proxy, FH_PROXY_TO_CLIENT, bytes);
        assert_int_equal(call_run(&call, 5000), FH_OK);
    }
    assert_true(fh_proxy_cuts(f.proxy) >= 5);
    call_close(&call);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_under_load),
        cmocka_unit_test(test_frozen),
        cmocka_unit_test(test_frozen_at_connect),
        cmocka_unit_test(test_out_of_connections),
        cmocka_unit_test(test_cut_in_mid_pipeline),
        cmocka_unit_test(test_cut_in_general_commit),
        cmocka_unit_test(test_lost_reply_is_replayed),
        cmocka_unit_test(test_cut_reads_are_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
