/* The parts that are pure: state, digest, throttle. */
#include <stdlib.h>
#include <string.h>

#include "migrator/digest.h"
#include "migrator/state.h"
#include "migrator/throttle.h"
#include "tests/unit/migrator/kit.h"

static struct fh_arena arena;

static int set_up(void **state)
{
    (void)state;
    fh_arena_init(&arena, (size_t)1024 * 1024);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fh_arena_close(&arena);
    return 0;
}

static struct fh_run_state some_state(void)
{
    struct fh_run_state out = {.move = uuid_of(1, 2),
                               .epoch = 7,
                               .schema_version = 1,
                               .cursor = FH_STR("10:20:11,12"),
                               .rows_copied = 5,
                               .records_copied = 6};
    out.position.table = model_codes.position;
    out.position.has_key = true;
    out.position.key = key_code("eu", -3);
    return out;
}

static void state_reads_back(void **state)
{
    (void)state;
    struct fh_run_state in = some_state();
    struct fh_run_state out;
    struct fh_str text;
    assert_int_equal(fh_run_state_encode(&in, &arena, &text), FH_OK);
    assert_true(text.len <= FH_MOVE_STATE_MAX && fh_str_is_text(text));
    assert_int_equal(fh_run_state_decode(text, &model_v1, &arena, &out), FH_OK);
    assert_true(fh_uuid_eq(&in.move, &out.move));
    assert_int_equal(out.epoch, 7);
    assert_false(out.following);
    assert_true(fh_str_eq(in.cursor, out.cursor));
    assert_int_equal(out.position.table, model_codes.position);
    assert_int_equal(fh_key_compare(&in.position.key, &out.position.key), 0);
    assert_int_equal(out.rows_copied, 5);
    assert_int_equal(out.records_copied, 6);
}

static void state_takes_the_longest_cursor(void **state)
{
    (void)state;
    char cursor[FH_CURSOR_MAX];
    char region[1024];
    memset(cursor, 'c', sizeof(cursor));
    memset(region, 'r', sizeof(region));
    struct fh_run_state in = some_state();
    struct fh_str text;
    in.cursor = (struct fh_str){cursor, sizeof(cursor)};
    in.position.key.values[0].as.bytes = (struct fh_str){region, sizeof(region)};
    assert_int_equal(fh_run_state_encode(&in, &arena, &text), FH_OK);
    assert_true(text.len <= FH_MOVE_STATE_MAX);
}

static void state_of_another_schema_is_not_read(void **state)
{
    (void)state;
    struct fh_run_state in = some_state();
    struct fh_run_state out;
    struct fh_str text;
    assert_int_equal(fh_run_state_encode(&in, &arena, &text), FH_OK);
    assert_int_equal(fh_run_state_decode(text, &model_v2, &arena, &out), FH_OK);
    assert_int_equal(out.schema_version, 1);
    assert_int_equal(out.cursor.len, 0);
}

static void state_that_is_cut_or_changed_is_corrupt(void **state)
{
    (void)state;
    struct fh_run_state in = some_state();
    struct fh_run_state out;
    struct fh_str text;
    assert_int_equal(fh_run_state_encode(&in, &arena, &text), FH_OK);
    for (size_t len = 0; len < text.len; len++) {
        const struct fh_str cut = {text.data, len};
        assert_int_equal(fh_run_state_decode(cut, &model_v1, &arena, &out), FH_CORRUPT);
    }
    assert_int_equal(fh_run_state_decode(FH_STR("not hexadecimal!"), &model_v1, &arena, &out),
                     FH_CORRUPT);
}

static struct fh_digest digest_of(const struct fh_journal_row *rows, size_t count)
{
    struct fh_digest digest = {.context = NULL};
    assert_int_equal(fh_digest_begin(&digest), FH_OK);
    assert_int_equal(fh_digest_journal(&digest, rows, count), FH_OK);
    assert_int_equal(fh_digest_finish(&digest), FH_OK);
    fh_digest_close(&digest);
    return digest;
}

static void digest_sees_every_part_of_a_record(void **state)
{
    (void)state;
    const struct fh_journal_row plain = {.epoch = 1,
                                         .seq = 2,
                                         .request_id = FH_STR("r"),
                                         .schema_version = 1,
                                         .actor = FH_STR("ab"),
                                         .address = FH_STR("c"),
                                         .at_us = 5,
                                         .changes = FH_STR("[]"),
                                         .images = FH_STR("\1")};
    struct fh_journal_row others[10];
    for (size_t i = 0; i < 10; i++) {
        others[i] = plain;
    }
    others[0].epoch++;
    others[1].seq++;
    others[2].request_id = FH_STR("");
    others[3].schema_version++;
    others[4].actor = FH_STR("a"); /* what moves from one text to the next */
    others[4].address = FH_STR("bc");
    others[5].request_hash[31] = 1;
    others[6].at_us++;
    others[7].changes = FH_STR("[1]");
    others[8].images = (struct fh_str){NULL, 0};
    others[9].images = FH_STR("");
    const struct fh_digest first = digest_of(&plain, 1);
    const struct fh_digest again = digest_of(&plain, 1);
    assert_true(fh_digest_equal(&first, &again));
    for (size_t i = 0; i < 10; i++) {
        const struct fh_digest other = digest_of(&others[i], 1);
        assert_false(fh_digest_equal(&first, &other));
    }
    const struct fh_digest redacted = digest_of(&others[8], 1);
    const struct fh_digest empty = digest_of(&others[9], 1);
    assert_false(fh_digest_equal(&redacted, &empty));
}

static void throttle_sizes_pages_by_time(void **state)
{
    (void)state;
    struct fh_throttle throttle;
    fh_throttle_init(&throttle);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(fh_throttle_rest(&throttle, throttle.rows, 1000, 1000, 100, 0), 0);
    }
    assert_int_equal(throttle.rows, FH_THROTTLE_ROWS_MAX);
    for (int i = 0; i < 20; i++) {
        (void)fh_throttle_rest(&throttle, throttle.rows, 50000, 50000, 100, 0);
    }
    assert_int_equal(throttle.rows, FH_THROTTLE_ROWS_MIN);
}

static void throttle_rests_for_the_rest(void **state)
{
    (void)state;
    struct fh_throttle throttle;
    fh_throttle_init(&throttle);
    assert_int_equal(fh_throttle_rest(&throttle, 100, 10000, 10000, 50, 0), 10000);
    assert_int_equal(fh_throttle_rest(&throttle, 100, 10000, 10000, 25, 0), 30000);
    assert_int_equal(fh_throttle_rest(&throttle, 100, 10000, 10000, 100, 1000), 90000);
    /* Short ones are gathered. */
    assert_int_equal(fh_throttle_rest(&throttle, 10, 1500, 1500, 50, 0), 0);
    assert_int_equal(fh_throttle_rest(&throttle, 10, 1500, 1500, 50, 0), 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(state_reads_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(state_takes_the_longest_cursor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(state_of_another_schema_is_not_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(state_that_is_cut_or_changed_is_corrupt, set_up, tear_down),
        cmocka_unit_test(digest_sees_every_part_of_a_record),
        cmocka_unit_test(throttle_sizes_pages_by_time),
        cmocka_unit_test(throttle_rests_for_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
