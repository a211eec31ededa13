#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/metrics/metrics.h"

static void add_gauge(struct fh_buf *out, void *arg)
{
    fh_metrics_head(out, "extra", "gauge", "An extra figure.");
    fh_metrics_sample(out, "extra", "store", arg, 2.5);
}

static void test_calls_are_counted_by_method_and_code(void **state)
{
    struct fh_metrics *metrics = NULL;
    struct fh_buf out;
    static char store[] = "a\"b";
    (void)state;
    assert_int_equal(fh_metrics_create(&metrics), FH_OK);
    assert_int_equal(fh_metrics_add_source(metrics, add_gauge, store), FH_OK);
    const char *method = "/p.S/M";
    fh_metrics_call(metrics, method, FH_OK, 64, 10, 20);
    fh_metrics_call(metrics, method, FH_OK, 65, 10, 20);
    fh_metrics_call(metrics, method, FH_NOT_FOUND, 60000000, 1, 2); /* beyond the last bucket */
    fh_buf_init(&out, 1 << 20);
    fh_metrics_render(metrics, &out);
    assert_int_equal(fh_buf_code(&out), FH_OK);
    assert_non_null(strstr(out.data, "freehold_calls_total{method=\"/p.S/M\",code=\"OK\"} 2\n"));
    assert_non_null(
        strstr(out.data, "freehold_calls_total{method=\"/p.S/M\",code=\"NOT_FOUND\"} 1\n"));
    assert_non_null(strstr(
        out.data, "freehold_call_duration_seconds_bucket{method=\"/p.S/M\",le=\"6.4e-05\"} 1\n"));
    assert_non_null(strstr(
        out.data, "freehold_call_duration_seconds_bucket{method=\"/p.S/M\",le=\"0.000128\"} 2\n"));
    assert_non_null(strstr(
        out.data, "freehold_call_duration_seconds_bucket{method=\"/p.S/M\",le=\"16.777216\"} 2\n"));
    assert_non_null(strstr(
        out.data, "freehold_call_duration_seconds_bucket{method=\"/p.S/M\",le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(out.data, "extra{store=\"a\\\"b\"} 2.5\n"));
    fh_buf_close(&out);
    fh_metrics_destroy(metrics);
}

static void test_methods_are_bounded(void **state)
{
    static char names[FH_METRIC_METHODS_MAX + 8][8];
    struct fh_metrics *metrics = NULL;
    struct fh_buf out;
    (void)state;
    assert_int_equal(fh_metrics_create(&metrics), FH_OK);
    for (size_t i = 0; i < FH_METRIC_METHODS_MAX + 8; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "m%zu", i);
        fh_metrics_call(metrics, names[i], FH_OK, 1, 0, 0);
    }
    fh_buf_init(&out, 8 << 20);
    fh_metrics_render(metrics, &out);
    assert_int_equal(fh_buf_code(&out), FH_OK);
    assert_non_null(strstr(out.data, "freehold_calls_total{method=\"other\",code=\"OK\"} 8\n"));
    fh_buf_close(&out);
    fh_metrics_destroy(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_are_counted_by_method_and_code),
        cmocka_unit_test(test_methods_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
