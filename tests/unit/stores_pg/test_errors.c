/* SQLSTATEs become our codes, and only in one place. */
#include "stores/pg/errors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_codes(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        enum fh_code code;
    } cases[] = {
        {"23505", FH_UNIQUE_VIOLATION}, {"23503", FH_REFERENCE_VIOLATION},
        {"23502", FH_CHECK_VIOLATION},  {"22003", FH_RANGE},
        {"40001", FH_CONFLICT},         {"40P01", FH_CONFLICT},
        {"55P03", FH_CONFLICT},         {"57014", FH_DEADLINE},
        {"53100", FH_DISK_FULL},        {"53200", FH_NOMEM},
        {"53300", FH_UNAVAILABLE},      {"57P01", FH_UNAVAILABLE},
        {"57P03", FH_UNAVAILABLE},      {"08006", FH_UNAVAILABLE},
        {"08P01", FH_UNAVAILABLE},      {"28P01", FH_UNAVAILABLE},
        {"25006", FH_UNAVAILABLE},      {"42501", FH_PERMISSION},
        {"42P01", FH_PRECONDITION},     {"54000", FH_TOO_LARGE},
        {"XX001", FH_CORRUPT},          {"42601", FH_INTERNAL},
        {"42704", FH_INTERNAL},         {"XX000", FH_INTERNAL},
        {"", FH_UNAVAILABLE},           {NULL, FH_UNAVAILABLE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(fh_pg_code_of_sqlstate(cases[i].sqlstate), cases[i].code);
    }
}

static void test_stale(void **state)
{
    (void)state;
    assert_true(fh_pg_is_stale_statement("26000"));
    assert_true(fh_pg_is_stale_statement("0A000"));
    assert_false(fh_pg_is_stale_statement("23505"));
    assert_false(fh_pg_is_stale_statement(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_codes), cmocka_unit_test(test_stale)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
