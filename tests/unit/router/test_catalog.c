/* The rules of names and the words for states. */
#include "router/catalog.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void slugs(void **state)
{
    (void)state;
    const char *const good[] = {"abc", "a-b", "acme-2", "a--b"};
    const char *const bad[] = {"", "ab", "1ab", "-ab", "ab-", "aBc", "a_c", "a.c", "\xc3\xa4zy"};
    char longest[FH_SLUG_MAX + 2];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(fh_slug_is_valid(fh_str_of(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(fh_slug_is_valid(fh_str_of(bad[i])));
    }
    memset(longest, 'x', sizeof(longest));
    assert_true(fh_slug_is_valid((struct fh_str){longest, FH_SLUG_MAX}));
    assert_false(fh_slug_is_valid((struct fh_str){longest, FH_SLUG_MAX + 1}));
    assert_false(fh_slug_is_valid((struct fh_str){"ab\0c", 4}));
}

static void store_names(void **state)
{
    (void)state;
    char longest[FH_STORE_NAME_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    assert_true(fh_store_name_is_valid(FH_STR("a")));
    assert_true(fh_store_name_is_valid(FH_STR("main-2")));
    assert_false(fh_store_name_is_valid(FH_STR("")));
    assert_false(fh_store_name_is_valid(FH_STR("2main")));
    assert_false(fh_store_name_is_valid(FH_STR("Main")));
    assert_false(fh_store_name_is_valid(FH_STR("../x")));
    assert_true(fh_store_name_is_valid((struct fh_str){longest, FH_STORE_NAME_MAX}));
    assert_false(fh_store_name_is_valid((struct fh_str){longest, FH_STORE_NAME_MAX + 1}));
}

static void states(void **state)
{
    (void)state;
    assert_string_equal(fh_tenant_state_name(FH_TENANT_PROVISIONING), "provisioning");
    assert_string_equal(fh_tenant_state_name(FH_TENANT_ACTIVE), "active");
    assert_string_equal(fh_tenant_state_name(FH_TENANT_SUSPENDED), "suspended");
    assert_string_equal(fh_tenant_state_name(FH_TENANT_DELETING), "deleting");
    assert_string_equal(fh_tenant_state_name(FH_TENANT_DELETED), "deleted");
    assert_string_equal(fh_tenant_state_name((enum fh_tenant_state)9), "unknown");
}

static struct fh_catalog_request creation(void)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_CREATE};
    request.as.move.uuid = fh_uuid_v7(1);
    request.as.move.tenant = fh_uuid_v7(2);
    memcpy(request.as.move.target_store, "south", 6);
    request.as.move.target_home = (struct fh_home){FH_TIER_SHARED, FH_HOME_SHARED};
    return request;
}

static void bounds_of_a_move(void **state)
{
    (void)state;
    struct fh_catalog_request request = creation();
    assert_int_equal(fh_catalog_check(&request), FH_OK);
    assert_int_equal(request.as.move.settings.max_pause_us, 500000);
    assert_int_equal(request.as.move.settings.duty_percent, 50);
    assert_int_equal(request.as.move.settings.rows_per_second_max, 0);
    request.as.move.settings = (struct fh_move_settings){.max_pause_us = 60000001};
    assert_int_equal(fh_catalog_check(&request), FH_INVALID);
    assert_string_equal(request.error.field, "settings.max_pause");
    request.as.move.settings = (struct fh_move_settings){.duty_percent = 101};
    assert_int_equal(fh_catalog_check(&request), FH_INVALID);
    assert_string_equal(request.error.field, "settings.duty_percent");
    request = creation(); /* unterminated names are not read past their end */
    memset(request.as.move.target_store, 'a', sizeof(request.as.move.target_store));
    assert_int_equal(fh_catalog_check(&request), FH_INVALID);
    request = creation();
    memset(request.as.move.target_home.name, 'a', sizeof(request.as.move.target_home.name));
    assert_int_equal(fh_catalog_check(&request), FH_INVALID);
    request = creation();
    request.as.move.tenant = (struct fh_uuid){0};
    assert_int_equal(fh_catalog_check(&request), FH_INVALID);
}

static enum fh_code check_step(enum fh_move_phase from, enum fh_move_phase to, uint64_t generation)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_ADVANCE};
    request.as.move_advance.uuid = fh_uuid_v7(1);
    request.as.move_advance.generation = generation;
    request.as.move_advance.from = from;
    request.as.move_advance.to = to;
    request.as.move_advance.move.beat = 7; /* left by an earlier use */
    enum fh_code code = fh_catalog_check(&request);
    assert_int_equal(request.as.move_advance.move.beat, 0);
    return code;
}

static void bounds_of_a_step(void **state)
{
    (void)state;
    assert_int_equal(check_step(FH_MOVE_PLANNED, FH_MOVE_PREPARING, 1), FH_OK);
    assert_int_equal(check_step(FH_MOVE_COPYING, FH_MOVE_COPYING, 1), FH_OK);
    assert_int_equal(check_step(FH_MOVE_SETTLED, FH_MOVE_SETTLED, INT64_MAX), FH_OK);
    assert_int_equal(check_step(FH_MOVE_PLANNED, FH_MOVE_PREPARING, 0), FH_INVALID);
    assert_int_equal(check_step(FH_MOVE_PLANNED, FH_MOVE_PREPARING, UINT64_MAX), FH_INVALID);
    assert_int_equal(check_step(FH_MOVE_PLANNED, FH_MOVE_COPYING, 1), FH_INVALID);
    assert_int_equal(check_step(FH_MOVE_SWITCHING, FH_MOVE_SETTLED, 1), FH_INVALID);
    assert_int_equal(check_step(FH_MOVE_DONE, FH_MOVE_DONE, 1), FH_INVALID);
    assert_int_equal(check_step(FH_MOVE_NONE, FH_MOVE_NONE, 1), FH_INVALID);
    assert_int_equal(check_step((enum fh_move_phase)99, (enum fh_move_phase)99, 1), FH_INVALID);
}

static void clears_what_was_answered(void **state)
{
    (void)state;
    struct fh_move some;
    struct fh_operator_event event;
    struct fh_catalog_request list = {.op = FH_CATALOG_MOVE_LIST};
    list.as.move_list.limit = FH_PAGE_MAX;
    list.as.move_list.moves = &some;
    list.as.move_list.count = 1;
    list.as.move_list.more = true;
    assert_int_equal(fh_catalog_check(&list), FH_OK);
    assert_null(list.as.move_list.moves);
    assert_int_equal(list.as.move_list.count, 0);
    assert_false(list.as.move_list.more);
    struct fh_catalog_request events = {.op = FH_CATALOG_EVENTS};
    events.as.events.limit = 1;
    events.as.events.events = &event;
    events.as.events.count = 1;
    assert_int_equal(fh_catalog_check(&events), FH_OK);
    assert_null(events.as.events.events);
    assert_int_equal(events.as.events.count, 0);
    events.as.events.after_id = UINT64_MAX;
    assert_int_equal(fh_catalog_check(&events), FH_INVALID);
    struct fh_catalog_request unknown = {.op = (enum fh_catalog_op)99};
    assert_int_equal(fh_catalog_check(&unknown), FH_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slugs),
        cmocka_unit_test(store_names),
        cmocka_unit_test(states),
        cmocka_unit_test(bounds_of_a_move),
        cmocka_unit_test(bounds_of_a_step),
        cmocka_unit_test(clears_what_was_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
