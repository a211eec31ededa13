/* How a move is told to people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "clients/cli/cells.h"
#include "clients/cli/json.h"
#include "clients/cli/move.h"

/* The text of a buffer, which is emptied by the next call. */
static const char *take(struct fh_buf *buf)
{
    static char text[4096];
    assert_int_equal(fh_buf_code(buf), FH_OK);
    assert_true(buf->len < sizeof(text));
    memcpy(text, buf->len > 0 ? buf->data : "", buf->len);
    text[buf->len] = '\0';
    fh_buf_clear(buf);
    return text;
}

static void names_phases(void **state)
{
    (void)state;
    assert_string_equal(fh_move_phase_text(FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_PLANNED),
                        "planned");
    assert_string_equal(fh_move_phase_text(FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_CATCHING_UP),
                        "catching up");
    assert_string_equal(fh_move_phase_text(FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_FAILED), "failed");
    /* A newer server's. */
    assert_string_equal(fh_move_phase_text((Freehold__V1__MovePhase)99), "unknown");
    assert_string_equal(fh_move_phase_text((Freehold__V1__MovePhase)-1), "unknown");
    int ended = 0;
    for (int phase = 0; phase < 20; phase++) {
        ended += fh_move_has_ended((Freehold__V1__MovePhase)phase) ? 1 : 0;
    }
    assert_int_equal(ended, 3);
    assert_true(fh_move_has_ended(FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_DONE));
    assert_false(fh_move_has_ended(FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_SETTLED));
}

static void writes_durations(void **state)
{
    struct fh_buf out;
    static const struct {
        int64_t seconds;
        int32_t nanos;
        const char *text;
    } rows[] = {
        {0, 0, "0.0 ms"}, {0, 4100000, "4.1 ms"},  {0, 999000000, "999.0 ms"},
        {1, 0, "1.0 s"},  {2, 500000000, "2.5 s"}, {60, 0, "60.0 s"},
    };
    (void)state;
    fh_buf_init(&out, 4096);
    fh_cell_add_duration(&out, NULL);
    assert_string_equal(take(&out), "");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;
        duration.seconds = rows[i].seconds;
        duration.nanos = rows[i].nanos;
        fh_cell_add_duration(&out, &duration);
        assert_string_equal(take(&out), rows[i].text);
    }
    fh_buf_close(&out);
}

static void tells_how_far_it_is(void **state)
{
    struct fh_buf out;
    Freehold__V1__Move move = FREEHOLD__V1__MOVE__INIT;
    Freehold__V1__MoveProgress progress = FREEHOLD__V1__MOVE_PROGRESS__INIT;
    Google__Protobuf__Duration left = GOOGLE__PROTOBUF__DURATION__INIT;
    Google__Protobuf__Duration pause = GOOGLE__PROTOBUF__DURATION__INIT;
    (void)state;
    fh_buf_init(&out, 4096);
    move.phase = FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_PLANNED;
    fh_move_add_line(&out, &move);
    assert_string_equal(take(&out), "planned");
    move.progress = &progress;
    progress.pause_predicted = &pause; /* of nothing yet */
    fh_move_add_line(&out, &move);
    assert_string_equal(take(&out), "planned");
    move.phase = FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_COPYING;
    progress.rows_total = 58000;
    progress.rows_copied = 12000;
    progress.rows_per_second = 34000.4;
    left.seconds = 2;
    progress.time_left = &left;
    fh_move_add_line(&out, &move);
    assert_string_equal(take(&out),
                        "copying: 12,000 of 58,000 rows (20%), 34,000 rows/s, 0:02 left");
    /* More than were counted at first is not more than all. */
    progress.rows_copied = 60000;
    progress.rounds = 3;
    progress.lag_records = 1500;
    pause.nanos = 4000000;
    progress.time_left = NULL;
    move.phase = FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_CATCHING_UP;
    fh_move_add_line(&out, &move);
    assert_string_equal(take(&out), "catching up: 60,000 of 58,000 rows (100%), 34,000 rows/s, "
                                    "1,500 records behind, pause about 4.0 ms");
    /* What is compared is what counts, once all is copied. */
    move.phase = FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_READY;
    progress.rows_verified = 29000;
    fh_move_add_line(&out, &move);
    assert_string_equal(take(&out), "ready: 29,000 of 58,000 rows (50%), 34,000 rows/s, "
                                    "1,500 records behind, pause about 4.0 ms");
    fh_buf_close(&out);
}

static void shows_a_message_and_nothing_that_steers_a_terminal(void **state)
{
    struct fh_buf out;
    Freehold__V1__Move move = FREEHOLD__V1__MOVE__INIT;
    (void)state;
    fh_buf_init(&out, 4096);
    move.phase = FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_PREPARING;
    move.message = (char *)(uintptr_t) "store two\x1b[2J is not open here";
    fh_move_add_line(&out, &move);
    assert_string_equal(take(&out), "preparing; store two\\x1b[2J is not open here");
    fh_buf_close(&out);
}

static void says_durations_in_json_as_proto3_does(void **state)
{
    static const struct {
        int64_t seconds;
        int32_t nanos;
        const char *text;
    } rows[] = {{0, 0, "\"0s\""},
                {2, 0, "\"2s\""},
                {0, 500000000, "\"0.500s\""},
                {1, 4100000, "\"1.004100s\""},
                {0, 1, "\"0.000000001s\""}};
    struct fh_buf out;
    (void)state;
    fh_buf_init(&out, 4096);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;
        duration.seconds = rows[i].seconds;
        duration.nanos = rows[i].nanos;
        fh_json_add_message(&out, &duration.base, -1);
        assert_string_equal(take(&out), rows[i].text);
    }
    fh_buf_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_phases),
        cmocka_unit_test(writes_durations),
        cmocka_unit_test(tells_how_far_it_is),
        cmocka_unit_test(shows_a_message_and_nothing_that_steers_a_terminal),
        cmocka_unit_test(says_durations_in_json_as_proto3_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
