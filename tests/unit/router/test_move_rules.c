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
                         json_object_size(detail) == 4;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_with_its_counters),
        cmocka_unit_test(tells_when_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
