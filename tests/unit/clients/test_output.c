/* What people and scripts see: texts, tables, JSON, progress. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "clients/cli/grid.h"
#include "clients/cli/json.h"
#include "clients/cli/progress.h"
#include "clients/cli/text.h"
#include "freehold/v1/data.pb-c.h"
#include "freehold/v1/tenant_admin.pb-c.h"

/* The text of a buffer, which is emptied by the next call. */
static const char *take(struct fh_buf *buf)
{
    static char text[4096];
    assert_int_equal(fh_buf_code(buf), FH_OK);
    assert_true(buf->len < sizeof(text));
    memcpy(text, buf->len > 0 ? buf->data : "", buf->len);
    text[buf->len] = '\0';
    fh_buf_clear(buf);
    return text;
}

static void writes_times_and_sizes(void **state)
{
    struct fh_buf out;
    (void)state;
    fh_buf_init(&out, 4096);
    fh_text_add_time(&out, 0, 0);
    assert_string_equal(take(&out), "1970-01-01T00:00:00Z");
    fh_text_add_time(&out, 1795232005, 120000000);
    assert_string_equal(take(&out), "2026-11-21T03:33:25.120Z");
    fh_text_add_time(&out, -1, 999999000);
    assert_string_equal(take(&out), "1969-12-31T23:59:59.999999Z");
    fh_text_add_time(&out, INT64_MAX, 0);
    assert_string_equal(take(&out), "9223372036854775807s");
    fh_text_add_count(&out, 0);
    assert_string_equal(take(&out), "0");
    fh_text_add_count(&out, 1234567);
    assert_string_equal(take(&out), "1,234,567");
    fh_text_add_bytes(&out, 999);
    assert_string_equal(take(&out), "999 B");
    fh_text_add_bytes(&out, 1500000);
    assert_string_equal(take(&out), "1.5 MB");
    fh_text_add_span(&out, 3723);
    assert_string_equal(take(&out), "1:02:03");
    fh_buf_close(&out);
}

static void reads_durations(void **state)
{
    static const char *const bad[] = {"",     "h",   "-1h", "0",
                                      "1.5h", "1 h", "1hh", "999999999999999d"};
    int64_t seconds;
    (void)state;
    assert_true(fh_text_to_duration_s("90", &seconds) && seconds == 90);
    assert_true(fh_text_to_duration_s("90s", &seconds) && seconds == 90);
    assert_true(fh_text_to_duration_s("15m", &seconds) && seconds == 900);
    assert_true(fh_text_to_duration_s("12h", &seconds) && seconds == 43200);
    assert_true(fh_text_to_duration_s("30d", &seconds) && seconds == 2592000);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(fh_text_to_duration_s(bad[i], &seconds));
    }
}

static void shows_nothing_that_steers_a_terminal(void **state)
{
    static const char override[] = {(char)0xe2, (char)0x80, (char)0xae}; /* right to left */
    struct fh_buf out;
    (void)state;
    fh_buf_init(&out, 4096);
    fh_text_add_shown(&out, FH_STR("a\x1b[31m\n\t\x7f\xff\xc2\x9b€"), 0);
    assert_string_equal(take(&out), "a\\x1b[31m\\n\\t\\x7f\\xff\\x9b€");
    fh_text_add_shown(&out, (struct fh_str){.data = override, .len = sizeof(override)}, 0);
    assert_string_equal(take(&out), "\\u202e");
    fh_text_add_shown(&out, (struct fh_str){.data = "a\0b", .len = 3}, 0);
    assert_string_equal(take(&out), "a\\x00b");
    fh_text_add_shown(&out, FH_STR("äöüäöü"), 4);
    assert_string_equal(take(&out), "äöüä…");
    fh_text_add_shown(&out, FH_STR("äöü"), 3);
    assert_string_equal(take(&out), "äöü");
    fh_buf_close(&out);
    assert_int_equal(fh_text_width(FH_STR("äö")), 2);
    assert_int_equal(fh_text_width(FH_STR("日本")), 4);
    assert_int_equal(fh_text_width(FH_STR("e\xcc\x81")), 1);
}

static void names_records(void **state)
{
    struct fh_buf out;
    const struct fh_str parts[] = {FH_STR("a/b,c%"), FH_STR("é-_.~"), FH_STR("")};
    (void)state;
    fh_buf_init(&out, 4096);
    fh_text_add_record_name(&out, NULL, "t", parts, 3);
    assert_string_equal(take(&out), "tables/t/records/a%2Fb%2Cc%25,%C3%A9-_.~,");
    fh_text_add_record_name(&out, "uuid", "../x", parts, 1);
    assert_string_equal(take(&out), "tenants/uuid/tables/..%2Fx/records/a%2Fb%2Cc%25");
    fh_text_add_record_key(&out, "tables/t/records/a%2Fb%2Cc%25,%C3%A9%,%4");
    assert_string_equal(take(&out), "a/b,c%, é%, %4");
    fh_text_add_record_key(&out, "something else");
    assert_string_equal(take(&out), "something else");
    fh_buf_close(&out);
    assert_true(fh_str_eq(fh_text_record_table("tenants/x/tables/t/records/1"), FH_STR("t")));
    assert_int_equal(fh_text_record_table("x").len, 0);
}

static void aligns_tables(void **state)
{
    struct fh_grid grid;
    struct fh_buf out;
    (void)state;
    fh_grid_init(&grid, 0);
    fh_buf_init(&out, 4096);
    fh_grid_column(&grid, "NAME", false);
    fh_grid_column(&grid, "N", true);
    fh_grid_column(&grid, "TEXT", false);
    fh_grid_text(&grid, "ä");
    fh_grid_text(&grid, "7");
    fh_grid_text(&grid, "x\ny");
    fh_grid_text(&grid, "日本x");
    fh_grid_text(&grid, "1234");
    fh_grid_text(&grid, "");
    assert_int_equal(fh_grid_flush(&grid, &out), FH_OK);
    assert_string_equal(take(&out), "NAME      N  TEXT\n"
                                    "ä         7  x\\ny\n"
                                    "日本x  1234  \n");
    fh_grid_text(&grid, "a");
    fh_grid_text(&grid, "b");
    fh_grid_text(&grid, "c");
    assert_int_equal(fh_grid_flush(&grid, &out), FH_OK);
    assert_string_equal(take(&out), "a         b  c\n"); /* no second header, widths kept */
    fh_buf_close(&out);
    fh_grid_close(&grid);
}

static void cuts_cells(void **state)
{
    struct fh_grid grid;
    struct fh_buf out;
    (void)state;
    fh_grid_init(&grid, 3);
    fh_buf_init(&out, 4096);
    fh_grid_column(&grid, "A", false);
    fh_grid_text(&grid, "abcdef");
    assert_int_equal(fh_grid_flush(&grid, &out), FH_OK);
    assert_string_equal(take(&out), "A\nabc…\n");
    for (int i = 1; i < FH_GRID_COLUMNS_MAX + 1; i++) {
        fh_grid_column(&grid, "B", false);
    }
    assert_int_equal(fh_grid_flush(&grid, &out), FH_TOO_LARGE);
    fh_buf_close(&out);
    fh_grid_close(&grid);
}

static void writes_messages_as_json(void **state)
{
    struct fh_buf out;
    Freehold__V1__Tenant tenant = FREEHOLD__V1__TENANT__INIT;
    Freehold__V1__Placement placement = FREEHOLD__V1__PLACEMENT__INIT;
    Freehold__V1__Tenant__LabelsEntry label = FREEHOLD__V1__TENANT__LABELS_ENTRY__INIT;
    Freehold__V1__Tenant__LabelsEntry *labels[] = {&label};
    (void)state;
    fh_buf_init(&out, 65536);
    label.key = (char *)(uintptr_t) "k\"";
    label.value = (char *)(uintptr_t) "v\n";
    tenant.slug = (char *)(uintptr_t) "acme";
    tenant.state = FREEHOLD__V1__TENANT__STATE__STATE_ACTIVE;
    tenant.n_labels = 1;
    tenant.labels = labels;
    placement.tier = (Freehold__V1__Placement__Tier)77;
    placement.epoch = UINT64_MAX;
    tenant.placement = &placement;
    fh_json_add_message(&out, &tenant.base, -1);
    assert_string_equal(
        take(&out),
        "{\"name\":\"\",\"uid\":\"\",\"slug\":\"acme\",\"displayName\":\"\",\"state\":\"STATE_"
        "ACTIVE\",\"plan\":\"\",\"labels\":{\"k\\\"\":\"v\\n\"},\"placement\":{\"store\":\"\","
        "\"tier\":77,\"epoch\":18446744073709551615}}");
    fh_buf_close(&out);
}

static void value_is(Freehold__V1__Value *value, const char *json)
{
    struct fh_buf out;
    fh_buf_init(&out, 65536);
    fh_json_add_message(&out, &value->base, -1);
    assert_string_equal(take(&out), json);
    fh_buf_close(&out);
}

static void writes_values_as_themselves(void **state)
{
    Freehold__V1__Value value = FREEHOLD__V1__VALUE__INIT;
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    (void)state;
    value_is(&value, "null");
    value.kind_case = FREEHOLD__V1__VALUE__KIND_INTEGER_VALUE;
    value.integer_value = INT64_MIN;
    value_is(&value, "-9223372036854775808");
    value.kind_case = FREEHOLD__V1__VALUE__KIND_DOUBLE_VALUE;
    value.double_value = 0.1;
    value_is(&value, "0.1");
    value.double_value = 1.0 / 3;
    value_is(&value, "0.3333333333333333");
    value.double_value = NAN;
    value_is(&value, "\"NaN\"");
    value.kind_case = FREEHOLD__V1__VALUE__KIND_BYTES_VALUE;
    value.bytes_value = (ProtobufCBinaryData){.len = 4, .data = (uint8_t *)(uintptr_t) "\0\xff!a"};
    value_is(&value, "\"AP8hYQ==\"");
    value.kind_case = FREEHOLD__V1__VALUE__KIND_TIMESTAMP_VALUE;
    value.timestamp_value = &time;
    value_is(&value, "\"1970-01-01T00:00:00Z\"");
}

static void writes_progress(void **state)
{
    struct fh_buf out;
    struct fh_progress_facts facts = {
        .rows = 12000,
        .bytes = 1000000,
        .bytes_total = 4000000,
        .elapsed_us = 4000000,
    };
    (void)state;
    fh_buf_init(&out, 4096);
    fh_progress_format(&out, &facts);
    assert_string_equal(take(&out), "12,000 rows, 3,000 rows/s, 1.0 MB of 4.0 MB (25%), 0:12 left");
    facts.bytes_total = 0;
    facts.errors = 2;
    fh_progress_format(&out, &facts);
    assert_string_equal(take(&out), "12,000 rows, 3,000 rows/s, 1.0 MB, 2 left out");
    facts = (struct fh_progress_facts){0};
    fh_progress_format(&out, &facts);
    assert_string_equal(take(&out), "0 rows, 0 B");
    fh_buf_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_times_and_sizes),
        cmocka_unit_test(reads_durations),
        cmocka_unit_test(shows_nothing_that_steers_a_terminal),
        cmocka_unit_test(names_records),
        cmocka_unit_test(aligns_tables),
        cmocka_unit_test(cuts_cells),
        cmocka_unit_test(writes_messages_as_json),
        cmocka_unit_test(writes_values_as_themselves),
        cmocka_unit_test(writes_progress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
