/* Errors: filled, cut at whole characters, wrapped in themselves. */
#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

static void test_set_and_field(void **state)
{
    (void)state;
    struct fh_error error = FH_ERROR_INIT;
    assert_string_equal(fh_error_text(&error), "ok");
    assert_int_equal(fh_error_field(&error, FH_INVALID, "page_size", "%d is negative", -3),
                     FH_INVALID);
    assert_int_equal(error.code, FH_INVALID);
    assert_string_equal(error.message, "-3 is negative");
    assert_string_equal(error.field, "page_size");
    assert_int_equal(fh_error_set(&error, FH_INTERNAL, "boom"), FH_INTERNAL);
    assert_string_equal(error.field, ""); /* nothing of the older error stays */
    assert_string_equal(fh_error_text(&error), "boom");
    assert_int_equal(fh_error_set(NULL, FH_NOMEM, "x"), FH_NOMEM);
    assert_int_equal(fh_error_field(NULL, FH_NOMEM, "f", "x"), FH_NOMEM);
    assert_int_equal(fh_error_set(&error, FH_NOT_FOUND, "%s", ""), FH_NOT_FOUND);
    assert_string_equal(fh_error_text(&error), "not found");
}

static void test_wraps_itself(void **state)
{
    (void)state;
    struct fh_error error = FH_ERROR_INIT;
    fh_error_field(&error, FH_INVALID, "name", "empty");
    fh_error_field(&error, FH_INVALID, error.field, "record: %s", error.message);
    assert_string_equal(error.message, "record: empty");
    assert_string_equal(error.field, "name");
}

static void test_cuts_at_a_character(void **state)
{
    (void)state;
    /* A character of 1 to 4 bytes across every position of the end. */
    static const char *const characters[] = {"x", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    for (size_t c = 0; c < 4; c++) {
        for (size_t lead = FH_ERROR_MESSAGE_MAX - 8; lead < FH_ERROR_MESSAGE_MAX + 2; lead++) {
            char text[FH_ERROR_MESSAGE_MAX + 32];
            memset(text, 'a', lead);
            strcpy(text + lead, characters[c]);
            struct fh_error error = FH_ERROR_INIT;
            fh_error_field(&error, FH_INVALID, text, "%s", text);
            assert_true(fh_str_is_text(fh_str_of(error.message)));
            size_t whole = lead + strlen(characters[c]);
            size_t most = FH_ERROR_MESSAGE_MAX - 1;
            size_t expected = whole <= most ? whole : (lead < most ? lead : most);
            assert_int_equal(strlen(error.message), expected);
            assert_int_equal(strlen(error.field), FH_ERROR_FIELD_MAX - 1);
        }
    }
}

static void test_cuts_bytes_that_are_no_text(void **state)
{
    (void)state;
    char text[FH_ERROR_MESSAGE_MAX + 32];
    memset(text, 0x80, sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct fh_error error = FH_ERROR_INIT;
    fh_error_set(&error, FH_INVALID, "%s", text);
    assert_in_range(strlen(error.message), FH_ERROR_MESSAGE_MAX - 4, FH_ERROR_MESSAGE_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_and_field),
        cmocka_unit_test(test_wraps_itself),
        cmocka_unit_test(test_cuts_at_a_character),
        cmocka_unit_test(test_cuts_bytes_that_are_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
