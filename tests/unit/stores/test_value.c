#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "stores/civil.h"
#include "stores/model.h"
#include "stores/value.h"

static struct fh_column column_of(enum fh_type type)
{
    return (struct fh_column){
        .name = FH_STR("c"), .type = type, .precision = 9, .scale = 3, .length_max = 4};
}

/* What a text becomes: parsed, formatted. NULL: refused. */
struct line {
    enum fh_type type;
    const char *text;
    const char *canonical;
};

#define SAME "="

static void check(const struct line *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct fh_arena arena;
        struct fh_buf buf;
        fh_arena_init(&arena, (size_t)1 << 20);
        fh_buf_init(&buf, 4096);
        struct fh_column column = column_of(lines[i].type);
        struct fh_value value;
        struct fh_error error = FH_ERROR_INIT;
        enum fh_code code =
            fh_value_parse(fh_str_of(lines[i].text), &column, &arena, &value, &error);
        if (lines[i].canonical == NULL) {
            if (code != FH_INVALID || error.message[0] == '\0') {
                fail_msg("%s \"%s\": %s", fh_type_name(lines[i].type), lines[i].text,
                         fh_code_name(code));
            }
        } else {
            const char *expected =
                strcmp(lines[i].canonical, SAME) == 0 ? lines[i].text : lines[i].canonical;
            if (code != FH_OK) {
                fail_msg("%s \"%s\": %s", fh_type_name(lines[i].type), lines[i].text,
                         error.message);
            }
            fh_value_format(&value, &column, &buf);
            assert_int_equal(fh_buf_code(&buf), FH_OK);
            if (!fh_str_eq(fh_buf_str(&buf), fh_str_of(expected))) {
                fail_msg("%s \"%s\" became \"%.*s\"", fh_type_name(lines[i].type), lines[i].text,
                         FH_STR_ARG(fh_buf_str(&buf)));
            }
            /* The canonical text is a fixed point, and so is the value. */
            struct fh_value again;
            assert_int_equal(fh_value_parse(fh_buf_str(&buf), &column, &arena, &again, NULL),
                             FH_OK);
            assert_true(fh_value_equal(&value, &again));
            assert_int_equal(fh_value_canonicalize(&again, &column, &arena, NULL), FH_OK);
            assert_true(fh_value_equal(&value, &again));
        }
        fh_buf_close(&buf);
        fh_arena_close(&arena);
    }
}

static void test_scalars(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {FH_TYPE_BOOL, "true", SAME},
        {FH_TYPE_BOOL, "false", SAME},
        {FH_TYPE_BOOL, "TRUE", NULL},
        {FH_TYPE_BOOL, "1", NULL},
        {FH_TYPE_BOOL, "", NULL},
        {FH_TYPE_INT16, "32767", SAME},
        {FH_TYPE_INT16, "-32768", SAME},
        {FH_TYPE_INT16, "32768", NULL},
        {FH_TYPE_INT16, "-32769", NULL},
        {FH_TYPE_INT32, "2147483647", SAME},
        {FH_TYPE_INT32, "-2147483649", NULL},
        {FH_TYPE_INT64, "-9223372036854775808", SAME},
        {FH_TYPE_INT64, "9223372036854775807", SAME},
        {FH_TYPE_INT64, "9223372036854775808", NULL},
        {FH_TYPE_INT64, "1.0", NULL},
        {FH_TYPE_INT64, " 1", NULL},
        {FH_TYPE_INT64, "", NULL},
        {FH_TYPE_FLOAT64, "0.1", SAME},
        {FH_TYPE_FLOAT64, "-0", "0"},
        {FH_TYPE_FLOAT64, "1e400", NULL},
        {FH_TYPE_FLOAT64, "nan", NULL},
        {FH_TYPE_FLOAT64, "inf", NULL},
        {FH_TYPE_FLOAT64, "0x10", NULL},
        {FH_TYPE_FLOAT64, "1 ", NULL},
        {FH_TYPE_FLOAT64, "1e5", "100000"},
        {FH_TYPE_FLOAT64, "1.7976931348623157e308", "1.7976931348623157e+308"},
        {FH_TYPE_FLOAT64, "5e-324", "4.94065645841247e-324"},
        {FH_TYPE_FLOAT32, "0.1", SAME},
        {FH_TYPE_FLOAT32, "16777217", "16777216"},
        {FH_TYPE_FLOAT32, "3.4028235e38", "3.4028235e+38"},
        {FH_TYPE_FLOAT32, "3.5e38", NULL},
        {FH_TYPE_NUMERIC, "0", "0.000"},
        {FH_TYPE_NUMERIC, "-0", "0.000"},
        {FH_TYPE_NUMERIC, "-0.001", SAME},
        {FH_TYPE_NUMERIC, "+1.5", "1.500"},
        {FH_TYPE_NUMERIC, ".5", "0.500"},
        {FH_TYPE_NUMERIC, "1.50000", "1.500"},
        {FH_TYPE_NUMERIC, "1.5001", NULL},
        {FH_TYPE_NUMERIC, "999999.999", SAME},
        {FH_TYPE_NUMERIC, "-999999.999", SAME},
        {FH_TYPE_NUMERIC, "1000000", NULL},
        {FH_TYPE_NUMERIC, "99999999999999999999999", NULL},
        {FH_TYPE_NUMERIC, "1e3", NULL},
        {FH_TYPE_NUMERIC, ".", NULL},
        {FH_TYPE_NUMERIC, "-", NULL},
        {FH_TYPE_NUMERIC, "1.2.3", NULL},
        {FH_TYPE_DATE, "2026-11-21", SAME},
        {FH_TYPE_DATE, "2026-02-30", NULL},
        {FH_TYPE_TIMESTAMP, "2026-11-21T02:00:00.000001Z", SAME},
        {FH_TYPE_TIMESTAMP, "yesterday", NULL},
        {FH_TYPE_UUID, "019AA7B4-3c4d-7000-8000-0123456789ab",
         "019aa7b4-3c4d-7000-8000-0123456789ab"},
        {FH_TYPE_UUID, "019aa7b43c4d700080000123456789ab", NULL},
        {FH_TYPE_TEXT, "", SAME},
        {FH_TYPE_TEXT, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", SAME},
        {FH_TYPE_TEXT, "abcde", NULL},
        {FH_TYPE_TEXT, "\xc3", NULL},
        {FH_TYPE_BYTES, "", SAME},
        {FH_TYPE_BYTES, "_-8", SAME},
        {FH_TYPE_BYTES, "a", NULL},
        {FH_TYPE_BYTES, "+/8=", NULL},
    };
    check(lines, sizeof(lines) / sizeof(lines[0]));
}

static void test_json(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {FH_TYPE_JSON, "null", SAME},
        {FH_TYPE_JSON, " [ 1 , 2 ] ", "[1,2]"},
        {FH_TYPE_JSON, "{\"b\":1,\"a\":{\"d\":2,\"c\":3}}", "{\"a\":{\"c\":3,\"d\":2},\"b\":1}"},
        {FH_TYPE_JSON, "{\"\\u00e9\":1,\"z\":2,\"Z\":3}", "{\"Z\":3,\"z\":2,\"\xc3\xa9\":1}"},
        {FH_TYPE_JSON, "\"\\u0041\\/\\n\\u0001\\\"\\\\\"", "\"A/\\n\\u0001\\\"\\\\\""},
        {FH_TYPE_JSON, "\"\\ud83c\\udf0d\"", "\"\xf0\x9f\x8c\x8d\""},
        {FH_TYPE_JSON, "[1,1.0,1e0,-0.0,0,1E2]", "[1,1,1,0,0,100]"},
        {FH_TYPE_JSON, "[0.1,1e-7,1e300,1.5,-2.5e10]", "[0.1,1e-07,1e+300,1.5,-25000000000]"},
        {FH_TYPE_JSON, "[9223372036854775807,-9223372036854775808]", SAME},
        {FH_TYPE_JSON, "[0.30000000000000004,1e17]", "[0.30000000000000004,1e+17]"},
        {FH_TYPE_JSON, "{}", SAME},
        {FH_TYPE_JSON, "[]", SAME},
        {FH_TYPE_JSON, "[true,false,null]", SAME},
        {FH_TYPE_JSON, "", NULL},
        {FH_TYPE_JSON, "{", NULL},
        {FH_TYPE_JSON, "[1,]", NULL},
        {FH_TYPE_JSON, "1 2", NULL},
        {FH_TYPE_JSON, "{\"a\":1,\"a\":2}", NULL},
        {FH_TYPE_JSON, "9223372036854775808", NULL},
        {FH_TYPE_JSON, "1e400", NULL},
        {FH_TYPE_JSON, "NaN", NULL},
        {FH_TYPE_JSON, "\"\\u0000\"", NULL},
        {FH_TYPE_JSON, "\"\xff\"", NULL},
        {FH_TYPE_JSON, "\"\\ud83c\"", NULL},
        {FH_TYPE_JSON, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", SAME},
        {FH_TYPE_JSON, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", NULL},
    };
    check(lines, sizeof(lines) / sizeof(lines[0]));
}

/* The nth allocation fails, for every n: the whole text, or FH_NOMEM; never a text with a hole. */
static void test_json_out_of_memory(void **state)
{
    (void)state;
    static const char text[] =
        "{\"address\":\"a rather long text that has to grow its buffer more than once\","
        "\"lines\":[1,2.5,\"caf\xc3\xa9\",{\"a key that is long enough to grow too\":null}]}";
    struct fh_column column = column_of(FH_TYPE_JSON);
    enum fh_code code = FH_NOMEM;
    long failures = 0;
    for (long n = 0; code != FH_OK; n++) {
        struct fh_arena arena;
        struct fh_value value;
        long live = fh_alloc_live();
        fh_arena_init(&arena, (size_t)1 << 20);
        fh_alloc_fault_on(n, 1);
        code = fh_value_parse(fh_str_of(text), &column, &arena, &value, NULL);
        int delivered = fh_alloc_fault_off();
        assert_int_equal(code, delivered ? FH_NOMEM : FH_OK);
        if (code == FH_OK) {
            assert_true(fh_str_eq(value.as.bytes, fh_str_of(text)));
        }
        failures += delivered;
        fh_arena_close(&arena);
        assert_int_equal(fh_alloc_live(), live);
    }
    assert_true(failures > 20); /* jansson's are among them */
}

static void test_canonicalize_refuses(void **state)
{
    (void)state;
    struct fh_arena arena;
    fh_arena_init(&arena, (size_t)1 << 20);
    struct fh_column real = column_of(FH_TYPE_FLOAT64);
    struct fh_value value = {.type = FH_TYPE_FLOAT64, .as.real = NAN};
    assert_int_equal(fh_value_canonicalize(&value, &real, &arena, NULL), FH_INVALID);
    value.as.real = INFINITY;
    assert_int_equal(fh_value_canonicalize(&value, &real, &arena, NULL), FH_INVALID);
    value.as.real = -0.0;
    assert_int_equal(fh_value_canonicalize(&value, &real, &arena, NULL), FH_OK);
    assert_false(signbit(value.as.real));
    struct fh_column narrow = column_of(FH_TYPE_FLOAT32);
    value = (struct fh_value){.type = FH_TYPE_FLOAT32, .as.real = 0.1};
    assert_int_equal(fh_value_canonicalize(&value, &narrow, &arena, NULL), FH_OK);
    assert_true(value.as.real == (double)0.1F);
    value.as.real = DBL_MAX;
    assert_int_equal(fh_value_canonicalize(&value, &narrow, &arena, NULL), FH_INVALID);
    /* Another type than the column's, even as a null. */
    value = (struct fh_value){.type = FH_TYPE_INT64, .is_null = true};
    assert_int_equal(fh_value_canonicalize(&value, &real, &arena, NULL), FH_INVALID);
    struct fh_column text = column_of(FH_TYPE_TEXT);
    value = (struct fh_value){.type = FH_TYPE_TEXT, .as.bytes = {"a\0b", 3}};
    assert_int_equal(fh_value_canonicalize(&value, &text, &arena, NULL), FH_INVALID);
    value = (struct fh_value){.type = FH_TYPE_TEXT, .is_null = true};
    assert_int_equal(fh_value_canonicalize(&value, &text, &arena, NULL), FH_OK);
    struct fh_column time = column_of(FH_TYPE_TIMESTAMP);
    value = (struct fh_value){.type = FH_TYPE_TIMESTAMP, .as.integer = FH_TIMESTAMP_US_MAX + 1};
    assert_int_equal(fh_value_canonicalize(&value, &time, &arena, NULL), FH_INVALID);
    fh_arena_close(&arena);
}

static void test_longest(void **state)
{
    (void)state;
    struct fh_arena arena;
    fh_arena_init(&arena, (size_t)8 << 20);
    char *big = fh_malloc(FH_VALUE_BYTES_MAX + 1);
    assert_non_null(big);
    memset(big, ' ', FH_VALUE_BYTES_MAX + 1);
    static const enum fh_type types[] = {FH_TYPE_TEXT, FH_TYPE_BYTES, FH_TYPE_JSON};
    for (size_t i = 0; i < 3; i++) {
        struct fh_column column = {.name = FH_STR("c"), .type = types[i]};
        struct fh_value value = {.type = types[i], .as.bytes = {big, FH_VALUE_BYTES_MAX}};
        big[0] = '1';
        assert_int_equal(fh_value_canonicalize(&value, &column, &arena, NULL), FH_OK);
        value.as.bytes = (struct fh_str){big, FH_VALUE_BYTES_MAX + 1};
        assert_int_equal(fh_value_canonicalize(&value, &column, &arena, NULL), FH_INVALID);
    }
    fh_free(big);
    fh_arena_close(&arena);
}

static void test_order(void **state)
{
    (void)state;
    struct fh_value null = {.type = FH_TYPE_INT64, .is_null = true};
    struct fh_value low = {.type = FH_TYPE_INT64, .as.integer = INT64_MIN};
    struct fh_value high = {.type = FH_TYPE_INT64, .as.integer = INT64_MAX};
    assert_true(fh_value_compare(&low, &high) < 0);
    assert_true(fh_value_compare(&high, &low) > 0);
    assert_true(fh_value_compare(&high, &null) < 0); /* nulls last */
    assert_true(fh_value_compare(&null, &low) > 0);
    assert_true(fh_value_equal(&null, &null));
    struct fh_value a = {.type = FH_TYPE_TEXT, .as.bytes = FH_STR("Z")};
    struct fh_value b = {.type = FH_TYPE_TEXT, .as.bytes = FH_STR("a")};
    struct fh_value c = {.type = FH_TYPE_TEXT, .as.bytes = FH_STR("a ")};
    struct fh_value d = {.type = FH_TYPE_TEXT, .as.bytes = FH_STR("\xc3\xa4")};
    assert_true(fh_value_compare(&a, &b) < 0);
    assert_true(fh_value_compare(&b, &c) < 0);
    assert_true(fh_value_compare(&c, &d) < 0);
}

/* Every allocation of parsing fails in turn. */
static void test_out_of_memory(void **state)
{
    (void)state;
    static const struct {
        enum fh_type type;
        const char *text;
    } inputs[] = {{FH_TYPE_JSON, "{\"b\":[1,2],\"a\":{\"x\":\"y\"}}"},
                  {FH_TYPE_TEXT, "abc"},
                  {FH_TYPE_BYTES, "AAAA"}};
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        struct fh_column column = column_of(inputs[i].type);
        enum fh_code code = FH_NOMEM;
        long failures = 0;
        for (long n = 0; code != FH_OK; n++) {
            long live = fh_alloc_live();
            struct fh_arena arena;
            struct fh_value value;
            fh_arena_init(&arena, (size_t)1 << 20);
            fh_alloc_fault_on(n, 1);
            code = fh_value_parse(fh_str_of(inputs[i].text), &column, &arena, &value, NULL);
            int delivered = fh_alloc_fault_off();
            fh_arena_close(&arena);
            assert_int_equal(fh_alloc_live(), live);
            assert_int_equal(code, delivered ? FH_NOMEM : FH_OK);
            failures += delivered;
            assert_true(n < 1000);
        }
        assert_true(failures > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_scalars),
                                       cmocka_unit_test(test_json),
                                       cmocka_unit_test(test_json_out_of_memory),
                                       cmocka_unit_test(test_canonicalize_refuses),
                                       cmocka_unit_test(test_longest),
                                       cmocka_unit_test(test_order),
                                       cmocka_unit_test(test_out_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
