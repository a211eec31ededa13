/* JSON when memory runs out at any point: nothing is read beyond its end, nothing is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"

#define LONG_LEN 20000 /* beyond the reserve that needs no heap */
#define ROUNDS_MAX 1000

/* Parsed from a block of its own, so that a sanitizer sees who reads beyond it. */
static void parse_with_failures(const char *text, long failures)
{
    const size_t len = strlen(text);
    bool delivered = true;
    char *exact = malloc(len); /* NOLINT(fh-alloc): not to be failed */
    assert_non_null(exact);
    for (size_t i = 0; i < len; i++) {
        exact[i] = text[i];
    }
    for (int round = 0; delivered; round++) {
        json_t *value = NULL;
        json_error_t where;
        fh_alloc_fault_on(round, failures);
        enum fh_code code =
            fh_json_parse((struct fh_str){.data = exact, .len = len}, &value, &where);
        delivered = fh_alloc_fault_off() != 0;
        assert_int_equal(code, delivered ? FH_NOMEM : FH_OK);
        assert_int_equal(value != NULL, !delivered);
        json_decref(value);
        assert_true(round < ROUNDS_MAX);
    }
    free(exact); /* NOLINT(fh-alloc): as it was made */
}

/* One allocation fails, or all from one on. */
static void parse_without_memory(const char *text)
{
    parse_with_failures(text, 1);
    parse_with_failures(text, -1);
}

static void test_short_of_memory(void **state)
{
    (void)state;
    parse_without_memory("{}");
    parse_without_memory("{\"a\":[1,2.5,null,true,\"\\u00e4\"],\"b\":{\"c\":-7}}");
    /* Lengths at which a buffer grows with every kind of byte, the closing quote among them. */
    for (size_t len = 1; len < 140; len++) {
        char text[200] = "[\"";
        for (size_t i = 0; i < len; i++) {
            text[2 + i] = i % 7 == 5 && i + 1 < len ? '\\' : i % 7 == 6 ? 'n' : 'x';
        }
        text[2 + len] = '"';
        text[3 + len] = ']'; /* behind it zeroes */
        parse_without_memory(text);
    }
}

static void test_long_text(void **state)
{
    static char text[LONG_LEN + 3];
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[0] = '"';
    text[LONG_LEN + 1] = '"';
    parse_without_memory(text);
}

static void test_refused(void **state)
{
    static const char *const bad[] = {"",    "{",       "\"x", "[1,]", "{\"a\":1,\"a\":2}",
                                      "1 2", "\"\xff\""};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        json_t *value = NULL;
        json_error_t where;
        assert_int_equal(fh_json_parse(fh_str_of(bad[i]), &value, &where), FH_INVALID);
        assert_null(value);
    }
}

static void dump_with_failures(long failures)
{
    static const char expected[] = "{\"a\":[1,0.10000000000000001,null],\"b\":\"\\n\"}";
    bool delivered = true;
    for (int round = 0; delivered; round++) {
        struct fh_arena arena;
        struct fh_str text = {.data = NULL};
        fh_arena_init(&arena, 4096);
        fh_alloc_fault_on(round, failures);
        json_t *value = json_pack("{s:[I,f,n],s:s}", "a", (json_int_t)1, 0.1, "b", "\n");
        enum fh_code code = fh_json_dump(value, &arena, &text);
        delivered = fh_alloc_fault_off() != 0;
        if (code == FH_OK) { /* jansson sorts keys in an array of its own, or does without */
            assert_int_equal(text.len, strlen(expected));
            assert_string_equal(text.data, expected);
        } else {
            assert_true(delivered);
            assert_int_equal(code, FH_NOMEM);
            assert_null(text.data);
        }
        fh_arena_close(&arena);
        assert_true(round < ROUNDS_MAX);
    }
}

static void test_dump(void **state)
{
    (void)state;
    dump_with_failures(1);
    dump_with_failures(-1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_of_memory),
        cmocka_unit_test(test_long_text),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_dump),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
