#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "stores/civil.h"

static const struct {
    const char *text;
    int64_t days;
} dates[] = {
    {"0001-01-01", FH_DAYS_MIN}, {"9999-12-31", FH_DAYS_MAX}, {"1970-01-01", 0},
    {"1969-12-31", -1},          {"2000-01-01", 10957},       {"2000-02-29", 11016},
    {"1900-02-28", -25509},      {"1900-03-01", -25508},      {"2024-02-29", 19782},
    {"2026-11-21", 20778},       {"1915-03-30", -20001},
};

static void test_dates(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        int64_t days = 0;
        char text[FH_DATE_TEXT_LEN + 1];
        assert_true(fh_date_parse(fh_str_of(dates[i].text), &days));
        assert_int_equal(days, dates[i].days);
        fh_date_format(days, text);
        assert_string_equal(text, dates[i].text);
    }
}

/* Every day there is, one after the other. */
static void test_every_day(void **state)
{
    (void)state;
    char before[FH_DATE_TEXT_LEN + 1] = "";
    for (int64_t day = FH_DAYS_MIN; day <= FH_DAYS_MAX; day++) {
        char text[FH_DATE_TEXT_LEN + 1];
        int64_t back = 0;
        fh_date_format(day, text);
        assert_true(fh_date_parse(fh_str_of(text), &back));
        if (back != day || strcmp(before, text) >= 0) {
            fail_msg("%s after %s", text, before);
        }
        memcpy(before, text, sizeof(before));
    }
}

static void test_dates_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",           "2026-11-2",  "2026-11-211", "2026-13-01",
                                      "2026-00-01", "2026-01-00", "2026-01-32",  "2026-02-29",
                                      "1900-02-29", "0000-01-01", "10000-01-01", "2026/01/01",
                                      "2026-1-01 ", "+026-01-01", "2026-04-31",  "-001-01-01"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t days = 0;
        if (fh_date_parse(fh_str_of(bad[i]), &days)) {
            fail_msg("\"%s\" was taken", bad[i]);
        }
    }
}

static const struct {
    const char *text;
    int64_t us;
    const char *canonical;
} times[] = {
    {"1970-01-01T00:00:00Z", 0, NULL},
    {"1969-12-31T23:59:59.999999Z", -1, NULL},
    {"2026-11-21T02:00:00.000001Z", INT64_C(1795226400000001), NULL},
    {"2026-11-21T02:00:00.1Z", INT64_C(1795226400100000), NULL},
    {"2026-11-21t02:00:00.100000z", INT64_C(1795226400100000), "2026-11-21T02:00:00.1Z"},
    {"2026-11-21T03:30:00+01:30", INT64_C(1795226400000000), "2026-11-21T02:00:00Z"},
    {"2026-11-20T18:00:00-08:00", INT64_C(1795226400000000), "2026-11-21T02:00:00Z"},
    {"0001-01-01T00:00:00Z", FH_TIMESTAMP_US_MIN, NULL},
    {"9999-12-31T23:59:59.999999Z", FH_TIMESTAMP_US_MAX, NULL},
};

static void test_times(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        int64_t us = 0;
        char text[FH_TIMESTAMP_TEXT_MAX + 1];
        assert_true(fh_timestamp_parse(fh_str_of(times[i].text), &us));
        assert_int_equal(us, times[i].us);
        fh_timestamp_format(us, text);
        assert_string_equal(text, times[i].canonical != NULL ? times[i].canonical : times[i].text);
    }
    assert_int_equal(fh_days_of_us(-1), -1);
    assert_int_equal(fh_days_of_us(0), 0);
    assert_int_equal(fh_days_of_us(FH_US_PER_DAY - 1), 0);
    assert_int_equal(fh_days_of_us(-FH_US_PER_DAY), -1);
}

static void test_times_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "2026-11-21",
                                      "2026-11-21T02:00:00",
                                      "2026-11-21 02:00:00Z",
                                      "2026-11-21T02:00Z",
                                      "2026-11-21T24:00:00Z",
                                      "2026-11-21T02:60:00Z",
                                      "2026-12-31T23:59:60Z",
                                      "2026-11-21T02:00:00.Z",
                                      "2026-11-21T02:00:00.1234567Z",
                                      "2026-11-21T02:00:00ZZ",
                                      "2026-11-21T02:00:00+0130",
                                      "2026-11-21T02:00:00+24:00",
                                      "2026-11-21T02:00:00+01:60",
                                      "2026-11-21T02:00:00 01:00",
                                      "0001-01-01T00:00:00+00:01",
                                      "9999-12-31T23:59:59-00:01",
                                      "0000-12-31T23:59:59-01:00"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t us = 0;
        if (fh_timestamp_parse(fh_str_of(bad[i]), &us)) {
            fail_msg("\"%s\" was taken", bad[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates), cmocka_unit_test(test_every_day),
        cmocka_unit_test(test_dates_refused), cmocka_unit_test(test_times),
        cmocka_unit_test(test_times_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
