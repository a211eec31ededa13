/* What cannot be seen through a catalog: the ends of counters, and the event's text when memory
 * runs out. The rules themselves are asked in tests/conformance/catalog. */
#include "router/move_rules.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/json.h"

static void ends_with_its_counters(void **state)
{
    (void)state;
    struct fh_move move = {.phase = FH_MOVE_SWITCHING, .beat = 3, .generation = INT64_MAX};
    struct fh_placement placement = {.epoch = INT64_MAX, .generation = INT64_MAX};
    struct fh_catalog_request claim = {.op = FH_CATALOG_MOVE_CLAIM};
    claim.as.move_claim.beat = 3;
    assert_int_equal(fh_move_rule_claim(&claim, &move, &placement, 1), FH_PRECONDITION);
    assert_int_equal(move.beat, 3);
    assert_true(placement.generation == INT64_MAX);
    struct fh_catalog_request change = {.op = FH_CATALOG_MOVE_SWITCH};
    change.as.move_switch.generation = INT64_MAX;
    change.as.move_switch.epoch = INT64_MAX;
    assert_int_equal(fh_move_rule_switch(&change, &move, &placement, 1), FH_PRECONDITION);
    assert_int_equal(move.phase, FH_MOVE_SWITCHING);
}

static void tells_when_memory_runs_out(void **state)
{
    (void)state;
    const struct fh_move move = {.phase = FH_MOVE_COPYING,
                                 .generation = 7,
                                 .source = {.store = "main", .home = {.tier = FH_TIER_SHARED}},
                                 .target_store = "main",
                                 .target_home = {.tier = FH_TIER_DATABASE},
                                 .message = FH_STR("a \"message\" that is long enough to grow")};
    bool delivered = true;
    size_t failures = 0;
    for (long nth = 0; delivered; nth++) {
        struct fh_arena arena;
        struct fh_str text;
        fh_arena_init(&arena, 1 << 16);
        fh_alloc_fault_on(nth, 1);
        enum fh_code code = fh_move_event_detail(&move, &arena, &text);
        delivered = fh_alloc_fault_off() != 0;
        if (code == FH_OK) { /* and then whole */
            json_t *detail = NULL;
            const char *why = NULL;
            assert_int_equal(text.data[text.len], '\0');
            assert_int_equal(fh_json_parse_object(text, &detail, &why), FH_OK);
            bool whole = fh_str_eq(fh_json_text(detail, "message"), move.message) &&
                         fh_str_eq(fh_json_text(detail, "phase"), FH_STR("copying")) &&
                         fh_str_eq(fh_json_text(detail, "source_tier"), FH_STR("shared")) &&
                         fh_str_eq(fh_json_text(detail, "target_tier"), FH_STR("database")) &&
                         json_object_size(detail) == 8;
            json_decref(detail);
            assert_true(whole);
        } else {
            assert_int_equal(code, FH_NOMEM);
            failures++;
        }
        fh_arena_close(&arena);
        assert_int_equal(fh_alloc_live(), 0);
    }
    assert_true(failures > 5);
}

/* Whether an advance that changes the message from one to the other is told to the operators. */
static bool is_told(struct fh_str from, struct fh_str to)
{
    struct fh_move move = {.phase = FH_MOVE_READY, .generation = 7, .message = from};
    const struct fh_placement placement = {.epoch = 1, .generation = 7};
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_ADVANCE};
    bool event = false;
    request.as.move_advance.generation = 7;
    request.as.move_advance.from = FH_MOVE_READY;
    request.as.move_advance.to = FH_MOVE_READY;
    request.as.move_advance.message = to;
    assert_int_equal(fh_move_rule_advance(&request, &move, &placement, 1, &event), FH_OK);
    assert_true(fh_str_eq(move.message, to));
    return event;
}

static void tells_words_not_numbers(void **state)
{
    (void)state;
    assert_false(is_told(FH_STR(""), FH_STR("")));
    assert_false(is_told(FH_STR("12 records behind"), FH_STR("7 records behind")));
    assert_false(is_told(FH_STR("a pause of 9.5 ms"), FH_STR("a pause of 612 ms")));
    assert_true(is_told(FH_STR(""), FH_STR("paused")));
    assert_true(is_told(FH_STR("paused"), FH_STR("")));
    assert_true(is_told(FH_STR("12 records behind"), FH_STR("12 rows behind")));
    assert_true(is_told(FH_STR("step 1"), FH_STR("step 1: away")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_with_its_counters),
        cmocka_unit_test(tells_when_memory_runs_out),
        cmocka_unit_test(tells_words_not_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
