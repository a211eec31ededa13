/* The list of outcomes: complete, stable, and safe for numbers outside it. */
#include "base/code.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_every_code_is_described(void **state)
{
    (void)state;
    for (int i = 0; i < FH_CODE_COUNT; i++) {
        enum fh_code code = (enum fh_code)i;
        assert_true(strlen(fh_code_name(code)) > 0);
        assert_true(strlen(fh_code_text(code)) > 0);
        assert_in_range(fh_code_grpc_status(code), 0, 16);
        assert_int_equal(fh_code_grpc_status(code) == 0, code == FH_OK);
        /* A client tells outcomes apart by the reason alone. */
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(fh_code_reason(code), fh_code_reason((enum fh_code)j));
        }
    }
}

static void test_known_codes(void **state)
{
    (void)state;
    assert_int_equal(FH_OK, 0);
    assert_string_equal(fh_code_name(FH_NO_TENANT), "NO_TENANT");
    assert_string_equal(fh_code_reason(FH_NO_TENANT), "TENANT_NOT_FOUND");
    assert_int_equal(fh_code_grpc_status(FH_NO_TENANT), 5);
    assert_int_equal(fh_code_grpc_status(FH_UNAUTHENTICATED), 16);
    assert_int_equal(fh_code_grpc_status(FH_ETAG_MISMATCH), 10);
}

static void test_unknown_is_internal(void **state)
{
    (void)state;
    const int outside[] = {FH_CODE_COUNT, FH_CODE_COUNT + 1, 100000};
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        enum fh_code code;
        memcpy(&code, &outside[i], sizeof(code));
        assert_string_equal(fh_code_reason(code), "INTERNAL");
        assert_int_equal(fh_code_grpc_status(code), 13);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_is_described),
        cmocka_unit_test(test_known_codes),
        cmocka_unit_test(test_unknown_is_internal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
