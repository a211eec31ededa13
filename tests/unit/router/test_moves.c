/* Phases, which may follow which, and progress as text. */
#include "router/moves.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"

#define PHASES FH_MOVE_FAILED

static void names_both_ways(void **state)
{
    (void)state;
    static const char *const names[] = {
        "planned",  "preparing", "copying",    "catching_up", "ready",   "switching", "settled",
        "cleaning", "done",      "cancelling", "cancelled",   "failing", "failed"};
    assert_int_equal(sizeof(names) / sizeof(names[0]), PHASES);
    for (int i = 1; i <= PHASES; i++) {
        enum fh_move_phase phase = (enum fh_move_phase)i;
        assert_string_equal(fh_move_phase_name(phase), names[i - 1]);
        assert_int_equal(fh_move_phase_of(fh_str_of(names[i - 1])), phase);
    }
    assert_string_equal(fh_move_phase_name(FH_MOVE_NONE), "unknown");
    assert_string_equal(fh_move_phase_name((enum fh_move_phase)(PHASES + 1)), "unknown");
    const char *const strangers[] = {"", "unknown", "Planned", "plan", "planned ", "readyy"};
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        assert_int_equal(fh_move_phase_of(fh_str_of(strangers[i])), FH_MOVE_NONE);
    }
}

static void tells_what_is_over_and_what_can_be_called_off(void **state)
{
    (void)state;
    for (int i = 0; i <= PHASES + 1; i++) {
        enum fh_move_phase phase = (enum fh_move_phase)i;
        bool over = phase == FH_MOVE_DONE || phase == FH_MOVE_CANCELLED || phase == FH_MOVE_FAILED;
        assert_int_equal(fh_move_is_finished(phase), over);
        assert_int_equal(fh_move_is_before_switch(phase),
                         phase >= FH_MOVE_PLANNED && phase <= FH_MOVE_SWITCHING);
    }
}

/* What holds of any sound list, rather than the list once more. */
static void follows_soundly(void **state)
{
    (void)state;
    for (int i = 0; i <= PHASES + 1; i++) {
        enum fh_move_phase from = (enum fh_move_phase)i;
        size_t ways = 0;
        for (int k = 0; k <= PHASES + 1; k++) {
            enum fh_move_phase to = (enum fh_move_phase)k;
            if (!fh_move_may_follow(from, to)) {
                continue;
            }
            ways++;
            assert_true(from >= FH_MOVE_PLANNED && from <= FH_MOVE_FAILED);
            assert_true(to > FH_MOVE_PLANNED && to <= FH_MOVE_FAILED); /* no way back to planned */
            assert_int_not_equal(from, to);
            assert_false(fh_move_is_finished(from));
            if (!fh_move_is_before_switch(from)) { /* behind the commit point: only forward */
                assert_false(fh_move_is_before_switch(to));
                assert_int_equal(to, from + 1);
            }
            if (to == FH_MOVE_SETTLED) {
                assert_int_equal(from, FH_MOVE_SWITCHING);
            }
            if (fh_move_is_finished(to)) { /* behind the clean-up */
                assert_int_equal(from, to - 1);
            }
        }
        if (fh_move_is_before_switch(from)) {
            assert_true(fh_move_may_follow(from, FH_MOVE_CANCELLING));
            assert_true(fh_move_may_follow(from, FH_MOVE_FAILING));
            assert_true(fh_move_may_follow(from, (enum fh_move_phase)(from + 1)));
        }
        bool is_phase = from >= FH_MOVE_PLANNED && from <= FH_MOVE_FAILED;
        assert_int_equal(ways > 0, is_phase && !fh_move_is_finished(from));
    }
    assert_false(fh_move_may_follow(FH_MOVE_SWITCHING, FH_MOVE_READY));
    assert_true(fh_move_may_follow(FH_MOVE_SWITCHING, FH_MOVE_CATCHING_UP));
}

static void settles_on_defaults(void **state)
{
    (void)state;
    struct fh_move_settings settings;
    memset(&settings, 0xff, sizeof(settings));
    fh_move_settings_init(&settings);
    assert_int_equal(settings.max_pause_us, 500000);
    assert_int_equal(settings.rows_per_second_max, 0);
    assert_int_equal(settings.duty_percent, 50);
}

static void keeps_every_figure(void **state)
{
    (void)state;
    struct fh_arena arena;
    struct fh_str text;
    struct fh_move_progress in;
    struct fh_move_progress out;
    fh_arena_init(&arena, 1 << 16);
    /* All members are of 64 bits: each its own value, so that none can stand for another. */
    uint64_t figures[sizeof(in) / sizeof(uint64_t)];
    assert_int_equal(sizeof(figures), sizeof(in));
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        figures[i] = INT64_MAX - i;
    }
    memcpy(&in, figures, sizeof(in));
    assert_int_equal(fh_move_progress_encode(&in, &arena, &text), FH_OK);
    assert_true(text.len <= FH_MOVE_PROGRESS_TEXT_MAX);
    memset(&out, 0xee, sizeof(out));
    assert_int_equal(fh_move_progress_decode(text, &out), FH_OK);
    assert_memory_equal(&in, &out, sizeof(in));
    memset(&in, 0, sizeof(in));
    assert_int_equal(fh_move_progress_encode(&in, &arena, &text), FH_OK);
    assert_int_equal(fh_move_progress_decode(text, &out), FH_OK);
    assert_memory_equal(&in, &out, sizeof(in));
    fh_arena_close(&arena);
}

static void reads_what_a_newer_one_wrote(void **state)
{
    (void)state;
    struct fh_move_progress out;
    assert_int_equal(
        fh_move_progress_decode(FH_STR("{\"rounds\":3,\"colour\":\"red\",\"list\":[1,{}]}"), &out),
        FH_OK);
    assert_int_equal(out.rounds, 3);
    assert_int_equal(out.rows_total, 0);
    assert_int_equal(fh_move_progress_decode(FH_STR("{}"), &out), FH_OK);
    assert_int_equal(out.rounds, 0);
}

static void refuses_garbage(void **state)
{
    (void)state;
    const struct fh_str garbage[] = {
        FH_STR(""),
        FH_STR("7"),
        FH_STR("[]"),
        FH_STR("null"),
        FH_STR("{\"rounds\":3"),
        FH_STR("{\"rounds\":3,\"rounds\":4}"),
        FH_STR("{\"rounds\":99999999999999999999}"),
        FH_STR("{\"rounds\":3}x"),
        FH_STR("\xff\xfe"),
        FH_STR("{\"rounds\":\0}"),
    };
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        struct fh_move_progress out;
        assert_int_equal(fh_move_progress_decode(garbage[i], &out), FH_CORRUPT);
    }
}

static void says_when_memory_runs_out(void **state)
{
    (void)state;
    struct fh_arena small;
    struct fh_str text;
    const struct fh_move_progress progress = {.rounds = 1};
    fh_arena_init(&small, 16);
    assert_int_not_equal(fh_move_progress_encode(&progress, &small, &text), FH_OK);
    fh_arena_close(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_both_ways),
        cmocka_unit_test(tells_what_is_over_and_what_can_be_called_off),
        cmocka_unit_test(follows_soundly),
        cmocka_unit_test(settles_on_defaults),
        cmocka_unit_test(keeps_every_figure),
        cmocka_unit_test(reads_what_a_newer_one_wrote),
        cmocka_unit_test(refuses_garbage),
        cmocka_unit_test(says_when_memory_runs_out),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed == 0 && fh_alloc_live() == 0 ? 0 : 1;
}
