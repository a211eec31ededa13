/* Buffer: contents, the bound, stuck errors, JSON escapes of hostile bytes, the failing heap. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/codec.h"

static void test_contents(void **state)
{
    (void)state;
    struct fh_buf buf;
    fh_buf_init(&buf, 1000);
    assert_int_equal(fh_buf_str(&buf).len, 0);
    fh_buf_add(&buf, NULL, 0);
    fh_buf_add(&buf, "a\0b", 3);
    fh_buf_add_char(&buf, 'c');
    fh_buf_add_str(&buf, FH_STR("de"));
    fh_buf_add_text(&buf, "fg");
    fh_buf_printf(&buf, "[%d]", 42);
    assert_int_equal(fh_buf_code(&buf), FH_OK);
    assert_int_equal(buf.len, 12);
    assert_memory_equal(buf.data, "a\0bcdefg[42]\0", 13);

    fh_buf_clear(&buf);
    assert_int_equal(buf.len, 0);
    fh_buf_add_be16(&buf, 0x0102);
    fh_buf_add_be32(&buf, 0x03040506);
    fh_buf_add_be64(&buf, 0x0708090A0B0C0D0Eu);
    assert_memory_equal(buf.data, "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D\x0E", 14);
    assert_int_equal(fh_be16(buf.data), 0x0102);
    assert_int_equal(fh_be32(buf.data + 2), 0x03040506);
    assert_true(fh_be64(buf.data + 6) == 0x0708090A0B0C0D0Eu);
    fh_buf_close(&buf);
}

static void test_bound(void **state)
{
    (void)state;
    for (size_t len_max = 0; len_max < 600; len_max += 37) {
        struct fh_buf buf;
        fh_buf_init(&buf, len_max);
        for (size_t i = 0; i < len_max; i++) {
            fh_buf_add_char(&buf, 'x');
        }
        assert_int_equal(fh_buf_code(&buf), FH_OK);
        assert_int_equal(buf.len, len_max);
        assert_true(buf.capacity <= len_max + 1);
        fh_buf_add_char(&buf, 'x');
        assert_int_equal(fh_buf_code(&buf), FH_TOO_LARGE);
        fh_buf_add(&buf, NULL, 0);
        fh_buf_printf(&buf, "%s", "");
        assert_int_equal(fh_buf_code(&buf), FH_TOO_LARGE); /* sticks */
        assert_int_equal(buf.len, len_max);
        fh_buf_clear(&buf);
        assert_int_equal(fh_buf_code(&buf), FH_OK);
        fh_buf_printf(&buf, "%*d", (int)len_max + 1, 1);
        assert_int_equal(fh_buf_code(&buf), FH_TOO_LARGE);
        fh_buf_close(&buf);
    }
    struct fh_buf buf;
    fh_buf_init(&buf, 10);
    fh_buf_add_text(&buf, "12345");
    fh_buf_add_text(&buf, "too long");
    fh_buf_add_text(&buf, "fits"); /* but comes after an error */
    assert_int_equal(fh_buf_code(&buf), FH_TOO_LARGE);
    assert_int_equal(buf.len, 5);
    fh_buf_close(&buf);
    volatile size_t huge = SIZE_MAX;
    fh_buf_init(&buf, huge);
    fh_buf_add_char(&buf, 'x');
    fh_buf_add(&buf, "", huge - 1);
    assert_int_equal(fh_buf_code(&buf), FH_TOO_LARGE);
    fh_buf_close(&buf);
}

static void test_json(void **state)
{
    (void)state;
    static const struct {
        struct fh_str in;
        const char *out;
    } cases[] = {
        {{NULL, 0}, ""},
        {{"plain", 5}, "plain"},
        {{"say \"hi\" \\ /", 12}, "say \\\"hi\\\" \\\\ /"},
        {{"\b\f\n\r\t", 5}, "\\b\\f\\n\\r\\t"},
        {{"\0\x01\x1F\x7F", 4}, "\\u0000\\u0001\\u001f\\u007f"},
        {{"\xC3\xA9\xF0\x9F\x98\x80", 6}, "\xC3\xA9\xF0\x9F\x98\x80"},
        {{"a\xFFz", 3}, "a\\ufffdz"},
        {{"\xC0\x80", 2}, "\\ufffd\\ufffd"},
        {{"\xED\xA0\x80", 3}, "\\ufffd\\ufffd\\ufffd"},
        {{"\xE2\x82", 2}, "\\ufffd\\ufffd"},
        {{"\xE2\x82\"", 3}, "\\ufffd\\ufffd\\\""},
    };
    struct fh_buf buf;
    fh_buf_init(&buf, 1000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fh_buf_clear(&buf);
        fh_buf_add_json(&buf, cases[i].in);
        assert_int_equal(fh_buf_code(&buf), FH_OK);
        struct fh_str want = fh_str_of(cases[i].out);
        if (!fh_str_eq(fh_buf_str(&buf), want)) {
            fail_msg("row %zu gave %.*s", i, FH_STR_ARG(fh_buf_str(&buf)));
        }
    }
    fh_buf_close(&buf);
}

static void test_every_allocation_fails(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        assert_true(n < 100);
        long before = fh_alloc_live();
        struct fh_buf buf;
        fh_buf_init(&buf, 1u << 20);
        fh_alloc_fault_on(n, 1);
        for (int i = 0; i < 1000; i++) {
            fh_buf_printf(&buf, "line %d\n", i);
            fh_buf_add_json(&buf, FH_STR("\x01\x02"));
        }
        bool faulted = fh_alloc_fault_off() != 0;
        assert_int_equal(fh_buf_code(&buf), faulted ? FH_NOMEM : FH_OK);
        fh_buf_clear(&buf);
        fh_buf_add_text(&buf, "again");
        assert_int_equal(fh_buf_code(&buf), FH_OK);
        assert_string_equal(buf.data, "again");
        fh_buf_close(&buf);
        assert_int_equal(fh_alloc_live(), before);
        if (!faulted) {
            assert_true(n > 3);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contents),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_every_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
