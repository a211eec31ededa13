/* Strings: order, UTF-8 against a table of hostile forms, integers at their limits. */
#include "base/str.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"

struct text_case {
    struct fh_str bytes;
    bool is_text;
};

static const struct text_case text_cases[] = {
    {{NULL, 0}, true},
    {{"", 0}, true},
    {{"plain ~", 7}, true},
    {{"\x7F", 1}, true},
    {{"\xC2\x80", 2}, true},         /* U+0080 */
    {{"\xDF\xBF", 2}, true},         /* U+07FF */
    {{"\xE0\xA0\x80", 3}, true},     /* U+0800 */
    {{"\xED\x9F\xBF", 3}, true},     /* U+D7FF */
    {{"\xEE\x80\x80", 3}, true},     /* U+E000 */
    {{"\xEF\xBF\xBF", 3}, true},     /* U+FFFF */
    {{"\xF0\x90\x80\x80", 4}, true}, /* U+10000 */
    {{"\xF4\x8F\xBF\xBF", 4}, true}, /* U+10FFFF */
    {{"a\xE2\x82\xAC z", 6}, true},

    {{"\0", 1}, false},
    {{"a\0b", 3}, false},
    {{"abc\0", 4}, false},
    {{"\xC0\x80", 2}, false},                 /* overlong NUL */
    {{"\xC1\xBF", 2}, false},                 /* overlong U+007F */
    {{"\xE0\x80\x80", 3}, false},             /* overlong NUL */
    {{"\xE0\x9F\xBF", 3}, false},             /* overlong U+07FF */
    {{"\xF0\x80\x80\xAF", 4}, false},         /* overlong slash */
    {{"\xF0\x8F\xBF\xBF", 4}, false},         /* overlong U+FFFF */
    {{"\xED\xA0\x80", 3}, false},             /* U+D800 */
    {{"\xED\xAF\xBF", 3}, false},             /* U+DBFF */
    {{"\xED\xB0\x80", 3}, false},             /* U+DC00 */
    {{"\xED\xBF\xBF", 3}, false},             /* U+DFFF */
    {{"\xED\xA0\xBD\xED\xB8\x80", 6}, false}, /* a surrogate pair */
    {{"\xF4\x90\x80\x80", 4}, false},         /* U+110000 */
    {{"\xF5\x80\x80\x80", 4}, false},
    {{"\xF8\x88\x80\x80\x80", 5}, false},
    {{"\xFE", 1}, false},
    {{"\xFF", 1}, false},
    {{"\x80", 1}, false}, /* a continuation alone */
    {{"\xBF", 1}, false},
    {{"\xC3", 1}, false}, /* cut short */
    {{"\xE2\x82", 2}, false},
    {{"\xF0\x9F\x98", 3}, false},
    {{"a\xE2\x82", 3}, false},
    {{"\xC3(", 2}, false}, /* no continuation */
    {{"\xE2(\xA1", 3}, false},
    {{"\xE2\x82(", 3}, false},
    {{"\xF0\x9F\x98(", 4}, false},
    {{"\xF0\x9F(\x80", 4}, false},
    {{"\xC3\xC3", 2}, false},
};

static void test_utf8_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(text_cases) / sizeof(text_cases[0]); i++) {
        struct fh_str bytes = text_cases[i].bytes;
        /* An exact heap copy, so that a sanitizer sees any byte read behind the end. */
        char *copy = fh_malloc(bytes.len > 0 ? bytes.len : 1);
        assert_non_null(copy);
        if (bytes.len > 0) {
            memcpy(copy, bytes.data, bytes.len);
        }
        bool is_text = fh_str_is_text((struct fh_str){.data = copy, .len = bytes.len});
        fh_free(copy);
        if (is_text != text_cases[i].is_text) {
            fail_msg("row %zu of the table", i);
        }
    }
}

/* The code points themselves: encode each by arithmetic, and compare the verdict. */
static void test_utf8_every_code_point(void **state)
{
    (void)state;
    for (uint32_t c = 1; c < 0x200000; c++) {
        unsigned char bytes[4];
        size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        static const unsigned char marks[5] = {0, 0x00, 0xC0, 0xE0, 0xF0};
        for (size_t i = len - 1; i > 0; i--) {
            bytes[i] = (unsigned char)(0x80 | ((c >> (6 * (len - 1 - i))) & 0x3F));
        }
        bytes[0] = (unsigned char)(marks[len] | (c >> (6 * (len - 1))));
        bool valid = c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
        struct fh_str s = {.data = (const char *)bytes, .len = len};
        if (fh_str_is_text(s) != valid || fh_str_utf8_len(s) != (valid ? len : 0)) {
            fail_msg("U+%04X", c);
        }
    }
}

static void test_order(void **state)
{
    (void)state;
    assert_true(fh_str_cmp(FH_STR("a"), FH_STR("b")) < 0);
    assert_true(fh_str_cmp(FH_STR("b"), FH_STR("abc")) > 0);
    assert_true(fh_str_cmp(FH_STR("ab"), FH_STR("abc")) < 0);
    assert_true(fh_str_cmp(FH_STR("abc"), FH_STR("ab")) > 0);
    assert_int_equal(fh_str_cmp(FH_STR("abc"), FH_STR("abc")), 0);
    assert_true(fh_str_cmp(FH_STR("\x7F"), FH_STR("\x80")) < 0); /* unsigned bytes */
    assert_int_equal(fh_str_cmp(fh_str_of(NULL), FH_STR("")), 0);
    assert_true(fh_str_cmp(fh_str_of(NULL), FH_STR("a")) < 0);
    assert_true(fh_str_starts_with(FH_STR("tenant"), FH_STR("ten")));
    assert_true(fh_str_starts_with(FH_STR("ten"), FH_STR("")));
    assert_true(fh_str_starts_with(fh_str_of(NULL), fh_str_of(NULL)));
    assert_false(fh_str_starts_with(FH_STR("ten"), FH_STR("tenant")));
    assert_false(fh_str_starts_with(FH_STR("tenant"), FH_STR("tan")));
    assert_true(fh_str_eq(fh_str_of(NULL), FH_STR("")));
    assert_false(fh_str_eq(FH_STR("a"), FH_STR("a\0")));
}

static void test_int64(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        long long value;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"+7", true, 7},
        {"007", true, 7},
        {"9223372036854775807", true, LLONG_MAX},
        {"-9223372036854775808", true, LLONG_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"92233720368547758070", false, 0},
        {"99999999999999999999999999999", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"+", false, 0},
        {"--1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1.0", false, 0},
        {"0x1", false, 0},
        {"1a", false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        long long value = 42;
        bool good = fh_str_to_int64(fh_str_of(cases[i].text), &value);
        if (good != cases[i].good || value != (good ? cases[i].value : 42)) {
            fail_msg("\"%s\" read as %d, %lld", cases[i].text, good, value);
        }
    }
    long long value = 0;
    assert_false(fh_str_to_int64((struct fh_str){"1\0", 2}, &value));
    assert_false(fh_str_to_int64(fh_str_of(NULL), &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_table),
        cmocka_unit_test(test_utf8_every_code_point),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_int64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
