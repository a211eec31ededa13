#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/handlers/page_token.h"

static struct fh_page_keys ring(uint32_t newest, size_t count)
{
    struct fh_page_keys keys = {.count = count};
    for (size_t i = 0; i < count; i++) {
        keys.keys[i].id = newest - (uint32_t)i;
        memset(keys.keys[i].key, (int)(newest - i), sizeof(keys.keys[i].key));
    }
    return keys;
}

static struct fh_page_scope scope_of(uint8_t tenant, const char *method, const char *query)
{
    struct fh_page_scope scope = {.method = fh_str_of(method), .query = fh_str_of(query)};
    memset(scope.tenant.bytes, tenant, sizeof(scope.tenant.bytes));
    return scope;
}

static int set_up(void **state)
{
    static struct fh_arena arena;
    fh_arena_init(&arena, 1 << 20);
    *state = &arena;
    return 0;
}

static int tear_down(void **state)
{
    fh_arena_close(*state);
    return 0;
}

static enum fh_code open_with(struct fh_arena *arena, const struct fh_page_keys *keys,
                              struct fh_page_scope scope, struct fh_str token,
                              struct fh_str *payload)
{
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code = fh_page_token_open(keys, &scope, token, arena, payload, &error);
    if (code != FH_OK) {
        assert_string_equal(error.field, "page_token");
    }
    return code;
}

static void test_there_and_back_over_a_rotation(void **state)
{
    struct fh_page_keys old_ring = ring(1, 1);
    struct fh_page_keys new_ring = ring(2, 2);
    struct fh_page_scope scope = scope_of(7, "ListRecords", "items/0");
    struct fh_str token;
    struct fh_str payload;
    assert_int_equal(fh_page_token_seal(&old_ring, &scope, FH_STR("the key"), *state, &token),
                     FH_OK);
    assert_int_equal(open_with(*state, &new_ring, scope, token, &payload), FH_OK);
    assert_true(fh_str_eq(payload, FH_STR("the key")));
    assert_null(memmem(token.data, token.len, "the key", 7));
    struct fh_page_keys gone = ring(3, 2); /* key 1 left the ring */
    assert_int_equal(open_with(*state, &gone, scope, token, &payload), FH_INVALID);
}

static void test_bound_to_its_scope(void **state)
{
    struct fh_page_keys keys = ring(1, 1);
    struct fh_page_scope scope = scope_of(7, "ListRecords", "items/0");
    struct fh_str token;
    struct fh_str payload;
    assert_int_equal(fh_page_token_seal(&keys, &scope, FH_STR("k"), *state, &token), FH_OK);
    assert_int_equal(
        open_with(*state, &keys, scope_of(8, "ListRecords", "items/0"), token, &payload),
        FH_INVALID);
    assert_int_equal(
        open_with(*state, &keys, scope_of(7, "ListEvents", "items/0"), token, &payload),
        FH_INVALID);
    assert_int_equal(
        open_with(*state, &keys, scope_of(7, "ListRecords", "items/1"), token, &payload),
        FH_INVALID);
    /* Parts do not run into one another. */
    assert_int_equal(
        open_with(*state, &keys, scope_of(7, "ListRecordsi", "tems/0"), token, &payload),
        FH_INVALID);
}

static void test_every_flipped_bit_is_seen(void **state)
{
    struct fh_page_keys keys = ring(1, 1);
    struct fh_page_scope scope = scope_of(7, "ListRecords", "items/0");
    struct fh_str token;
    struct fh_str payload;
    char forged[FH_PAGE_TOKEN_MAX];
    assert_int_equal(fh_page_token_seal(&keys, &scope, FH_STR("key"), *state, &token), FH_OK);
    for (size_t i = 0; i < token.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(forged, token.data, token.len);
            forged[i] = (char)(forged[i] ^ (1 << bit));
            struct fh_str changed = {.data = forged, .len = token.len};
            assert_int_equal(open_with(*state, &keys, scope, changed, &payload), FH_INVALID);
        }
        struct fh_str cut = {.data = token.data, .len = i};
        assert_int_equal(open_with(*state, &keys, scope, cut, &payload), FH_INVALID);
    }
}

static void test_bounds(void **state)
{
    static char large[FH_PAGE_TOKEN_MAX + 1];
    struct fh_page_keys keys = ring(1, 1);
    struct fh_page_keys none = {.count = 0};
    struct fh_page_scope scope = scope_of(7, "ListRecords", "");
    struct fh_str out;
    memset(large, 'A', sizeof(large));
    struct fh_str text = {.data = large, .len = sizeof(large)};
    assert_int_equal(fh_page_token_seal(&keys, &scope, text, *state, &out), FH_TOO_LARGE);
    assert_int_equal(fh_page_token_seal(&none, &scope, FH_STR("k"), *state, &out), FH_INTERNAL);
    assert_int_equal(open_with(*state, &keys, scope, text, &out), FH_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_there_and_back_over_a_rotation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bound_to_its_scope, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_flipped_bit_is_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
