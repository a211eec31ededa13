/* Encodings: the vectors of RFC 4648, round trips, and every wrong spelling refused. */
#include "base/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"

static void test_hex(void **state)
{
    (void)state;
    char text[9];
    uint8_t bytes[4];
    fh_hex_encode("\x00\x7F\xA5\xFF", 4, text);
    assert_string_equal(text, "007fa5ff");
    assert_true(fh_hex_decode(FH_STR("007fA5Ff"), bytes, 4));
    assert_memory_equal(bytes, "\x00\x7F\xA5\xFF", 4);
    fh_hex_encode(NULL, 0, text);
    assert_string_equal(text, "");
    assert_true(fh_hex_decode(FH_STR(""), bytes, 0));
    static const char *const bad[] = {"007fa5f",  "007fa5",   "007fa5ff0", "007fa5ff00",
                                      "007fa5fg", "0x7fa5ff", " 07fa5ff",  "007fa5f/",
                                      "007fa5f:", "007fa5f@", "007fa5f`"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(fh_hex_decode(fh_str_of(bad[i]), bytes, 4));
    }
}

static void test_base64url_vectors(void **state)
{
    (void)state;
    static const struct {
        struct fh_str bytes;
        const char *text;
    } vectors[] = {
        {{"", 0}, ""},
        {{"f", 1}, "Zg"},
        {{"fo", 2}, "Zm8"},
        {{"foo", 3}, "Zm9v"},
        {{"foob", 4}, "Zm9vYg"},
        {{"fooba", 5}, "Zm9vYmE"},
        {{"foobar", 6}, "Zm9vYmFy"},
        {{"\xFB\xFF\xBF", 3}, "-_-_"},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char text[16];
        uint8_t bytes[16];
        size_t len = fh_base64url_encode(vectors[i].bytes.data, vectors[i].bytes.len, text);
        assert_true(fh_str_eq((struct fh_str){text, len}, fh_str_of(vectors[i].text)));
        assert_true(fh_base64url_decode(fh_str_of(vectors[i].text), bytes, &len));
        assert_true(fh_str_eq((struct fh_str){(char *)bytes, len}, vectors[i].bytes));
    }
}

static void test_base64url_round_trip(void **state)
{
    (void)state;
    uint32_t dice = 99;
    for (size_t len = 0; len < 200; len++) {
        uint8_t in[200];
        for (size_t i = 0; i < len; i++) {
            dice = dice * 1664525u + 1013904223u;
            in[i] = (uint8_t)(dice >> 24);
        }
        /* Exactly the room that the header asks for, so that a sanitizer sees one byte more. */
        char *text = fh_malloc(FH_BASE64URL_LEN(len) + 1);
        assert_non_null(text);
        size_t text_len = fh_base64url_encode(in, len, text);
        assert_true(text_len <= FH_BASE64URL_LEN(len));
        uint8_t *out = fh_malloc(text_len * 3 / 4 + 1);
        assert_non_null(out);
        size_t out_len = 0;
        assert_true(fh_base64url_decode((struct fh_str){text, text_len}, out, &out_len));
        assert_int_equal(out_len, len);
        assert_int_equal(out_len, text_len * 3 / 4);
        assert_memory_equal(out, in, len);
        fh_free(out);
        fh_free(text);
    }
}

static void test_base64url_is_strict(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "A",          "AAAAA",                      /* six bits hold no byte */
        "Zh",         "Zm9",   "Zm9vYm", "Zm9vYmF", /* unused bits are set */
        "Zg==",       "Zm8=",  "Zm9v\n", " Zm9",    "Zm 9", "Zm+/", "Zm9v.", /* other spellings */
        "Zm\xC3\xA9",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t out[16];
        size_t len = 77;
        if (fh_base64url_decode(fh_str_of(bad[i]), out, &len)) {
            fail_msg("\"%s\" was taken", bad[i]);
        }
        assert_int_equal(len, 77);
    }
    uint8_t out[16];
    size_t len = 0;
    assert_false(fh_base64url_decode((struct fh_str){"Zg\0A", 4}, out, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_base64url_vectors),
        cmocka_unit_test(test_base64url_round_trip),
        cmocka_unit_test(test_base64url_is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
