/* CSV and NDJSON from input that may be anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "clients/cli/rows.h"
#include "tests/unit/clients/kit.h"

struct reading {
    struct fh_input input;
    struct fh_rows rows;
    struct fh_row row;
    struct fh_error error;
    int fd;
};

static void start_bytes(struct reading *r, char delimiter, const void *data, size_t len)
{
    memset(r, 0, sizeof(*r));
    r->fd = kit_fd(data, len);
    fh_input_open_fd(&r->input, r->fd);
    assert_int_equal(fh_rows_open(&r->rows, &r->input, delimiter), FH_OK);
}

static void start(struct reading *r, char delimiter, const char *text)
{
    start_bytes(r, delimiter, text, strlen(text));
}

static void start_csv(struct reading *r, const char *text)
{
    start(r, ',', text);
    assert_int_equal(fh_rows_header(&r->rows, &r->error), FH_OK);
}

static enum fh_rows_result next(struct reading *r)
{
    memset(&r->row, 0, sizeof(r->row));
    return fh_rows_next(&r->rows, &r->row, &r->error);
}

static void stop(struct reading *r)
{
    fh_rows_close(&r->rows);
    fh_input_close(&r->input);
    assert_int_equal(close(r->fd), 0);
}

static void is(const struct reading *r, size_t index, const char *name, const char *text)
{
    assert_true(index < r->row.count);
    assert_true(fh_str_eq(r->row.cells[index].name, fh_str_of(name)));
    assert_int_equal(r->row.cells[index].text.len, strlen(text));
    assert_memory_equal(r->row.cells[index].text.data, text, strlen(text));
}

static void reads_quotes_and_line_ends(void **state)
{
    struct reading r;
    (void)state;
    start_csv(&r, "\xef\xbb\xbf"
                  "a,b\r\n1,\"x, \"\"y\"\"\nz\"\r\n\r\n,\"\"\n\n3,last");
    assert_int_equal(next(&r), FH_ROWS_ROW);
    assert_int_equal(r.row.line, 2);
    assert_int_equal(r.row.offset, 8);
    is(&r, 0, "a", "1");
    is(&r, 1, "b", "x, \"y\"\nz");
    assert_int_equal(next(&r), FH_ROWS_ROW);
    assert_int_equal(r.row.line, 5);
    assert_true(r.row.cells[0].empty);
    assert_false(r.row.cells[1].empty); /* quoted: a text without letters, not null */
    assert_int_equal(r.row.cells[1].text.len, 0);
    assert_int_equal(next(&r), FH_ROWS_ROW);
    assert_int_equal(r.row.line, 7);
    is(&r, 1, "b", "last");
    assert_int_equal(next(&r), FH_ROWS_END);
    assert_int_equal(next(&r), FH_ROWS_END);
    stop(&r);
}

static void refuses_a_row_and_goes_on(void **state)
{
    static const char *const bad[] = {
        "1\n",              /* too few */
        "1,2,3\n",          /* too many */
        "\"x\"y,2\n",       /* text behind the quote */
        "x\"y,2\n",         /* a quote inside */
        "x\ry,2\n",         /* a lone carriage return */
        "\xff,2\n",         /* not UTF-8 */
        "\xc3,2\n",         /* cut UTF-8 */
        "\xed\xa0\x80,2\n", /* a surrogate */
        "\"\"\"\" \"z\",\"multi\nline\"\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct reading r;
        char text[256];
        (void)snprintf(text, sizeof(text), "a,b\n%sgood,row\n", bad[i]);
        start_csv(&r, text);
        assert_int_equal(next(&r), FH_ROWS_BAD);
        assert_int_equal(r.row.line, 2);
        assert_true(r.error.message[0] != '\0');
        assert_int_equal(next(&r), FH_ROWS_ROW);
        is(&r, 0, "a", "good");
        assert_int_equal(next(&r), FH_ROWS_END);
        stop(&r);
    }
}

static void refuses_nul_bytes(void **state)
{
    static const char text[] = "a,b\n1\0,2\n\"\0\",2\nok,3\n";
    struct reading r;
    (void)state;
    start_bytes(&r, ',', text, sizeof(text) - 1);
    assert_int_equal(fh_rows_header(&r.rows, &r.error), FH_OK);
    assert_int_equal(next(&r), FH_ROWS_BAD);
    assert_int_equal(next(&r), FH_ROWS_BAD);
    assert_int_equal(next(&r), FH_ROWS_ROW);
    stop(&r);
}

static void tells_a_quote_that_never_closes(void **state)
{
    struct reading r;
    (void)state;
    start_csv(&r, "a,b\n1,2\n3,\"open\n4,5\n");
    assert_int_equal(next(&r), FH_ROWS_ROW);
    assert_int_equal(next(&r), FH_ROWS_BROKEN);
    assert_non_null(strstr(r.error.message, "line 3"));
    stop(&r);
}

/* Without a NUL behind it. */
static void put(char *at, const char *bytes)
{
    for (; *bytes != '\0'; bytes++) {
        *at++ = *bytes;
    }
}

static void bounds_fields_and_rows(void **state)
{
    struct reading r;
    const size_t len = FH_ROW_FIELD_BYTES_MAX + 16;
    char *text = fh_malloc(len + 64);
    (void)state;
    assert_non_null(text);
    put(text, "a\n");
    memset(text + 2, 'x', len);
    put(text + 2 + len, "\nok\n");
    start_bytes(&r, ',', text, len + 6);
    assert_int_equal(fh_rows_header(&r.rows, &r.error), FH_OK);
    assert_int_equal(next(&r), FH_ROWS_BAD);
    assert_true(r.rows.text.capacity < 2 * FH_ROW_FIELD_BYTES_MAX + 4096);
    assert_int_equal(next(&r), FH_ROWS_ROW);
    is(&r, 0, "a", "ok");
    stop(&r);
    /* Exactly the bound is fine. */
    start_bytes(&r, ',', text, 2 + FH_ROW_FIELD_BYTES_MAX);
    assert_int_equal(fh_rows_header(&r.rows, &r.error), FH_OK);
    assert_int_equal(next(&r), FH_ROWS_ROW);
    assert_int_equal(r.row.cells[0].text.len, FH_ROW_FIELD_BYTES_MAX);
    stop(&r);
    /* More fields than any table has columns: one row of commas. */
    memset(text, ',', FH_ROW_FIELDS_MAX + 10);
    put(text + FH_ROW_FIELDS_MAX + 10, "\n");
    start_bytes(&r, ',', text, FH_ROW_FIELDS_MAX + 11);
    assert_int_equal(fh_rows_header(&r.rows, &r.error), FH_INVALID);
    stop(&r);
    fh_free(text);
}

static void refuses_a_bad_header(void **state)
{
    static const char *const bad[] = {"", "\n\n", "a,\n", "a,a\n", ",\n", "\"a\n", "a\"b\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct reading r;
        start(&r, ',', bad[i]);
        assert_int_equal(fh_rows_header(&r.rows, &r.error), FH_INVALID);
        assert_true(r.error.message[0] != '\0');
        stop(&r);
    }
}

static void survives_every_cut(void **state)
{
    static const char text[] = "a,b\r\n\"q\"\"\r\n\",2\r\n\xe2\x82\xac,\"\"\r\n";
    (void)state;
    for (size_t len = 0; len < sizeof(text); len++) {
        struct reading r;
        enum fh_rows_result result;
        start_bytes(&r, ',', text, len);
        if (fh_rows_header(&r.rows, &r.error) == FH_OK) {
            size_t rows = 0;
            while ((result = next(&r)) == FH_ROWS_ROW || result == FH_ROWS_BAD) {
                assert_true(++rows <= 2);
            }
        }
        stop(&r);
    }
}

/* Nothing to expect but an end: no crash, no endless loop, nothing for the sanitizers. */
static void survives_noise(void **state)
{
    static const char alphabet[] = "\",\n\r\\{}[]:a1 \xe2\x82\xac\xff\0x";
    uint32_t seed = 12345;
    (void)state;
    for (int run = 0; run < 400; run++) {
        char text[300];
        struct reading r;
        for (size_t i = 0; i < sizeof(text); i++) {
            seed = seed * 1664525u + 1013904223u;
            text[i] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
        }
        start_bytes(&r, run % 2 == 0 ? ',' : '\0', text, sizeof(text));
        if (fh_rows_header(&r.rows, &r.error) == FH_OK) {
            enum fh_rows_result result;
            size_t rows = 0;
            while ((result = next(&r)) == FH_ROWS_ROW || result == FH_ROWS_BAD) {
                assert_true(++rows <= sizeof(text));
            }
        }
        stop(&r);
    }
}

static void reads_ndjson(void **state)
{
    struct reading r;
    (void)state;
    start(&r, '\0', "{\"a\":1,\"b\":null}\r\n\n  \n{\"a\":\"x\"}");
    assert_int_equal(fh_rows_header(&r.rows, &r.error), FH_OK);
    assert_int_equal(next(&r), FH_ROWS_ROW);
    assert_int_equal(r.row.count, 2);
    assert_int_equal(json_integer_value(r.row.cells[0].json), 1);
    assert_true(json_is_null(r.row.cells[1].json));
    assert_int_equal(next(&r), FH_ROWS_ROW);
    assert_int_equal(r.row.line, 4);
    assert_string_equal(json_string_value(r.row.cells[0].json), "x");
    assert_int_equal(next(&r), FH_ROWS_END);
    stop(&r);
}

static void refuses_bad_ndjson(void **state)
{
    static const char *const bad[] = {
        "{\"a\":1",
        "[1]",
        "7",
        "{\"a\":1}{\"a\":2}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\xff\"}",
        "{\"a\":99999999999999999999}",
        "{\"a\":NaN}",
        "{'a':1}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct reading r;
        char text[256];
        (void)snprintf(text, sizeof(text), "%s\n{\"a\":5}\n", bad[i]);
        start(&r, '\0', text);
        assert_int_equal(next(&r), FH_ROWS_BAD);
        assert_int_equal(r.row.line, 1);
        assert_int_equal(next(&r), FH_ROWS_ROW);
        assert_int_equal(next(&r), FH_ROWS_END);
        stop(&r);
    }
}

static void bounds_ndjson(void **state)
{
    struct reading r;
    const size_t len = FH_ROW_BYTES_MAX + 100;
    char *text = fh_malloc(len + 16);
    (void)state;
    assert_non_null(text);
    memset(text, ' ', len);
    put(text + len, "\n{\"a\":5}\n");
    start_bytes(&r, '\0', text, len + 9);
    assert_int_equal(next(&r), FH_ROWS_BAD);
    assert_int_equal(next(&r), FH_ROWS_ROW);
    stop(&r);
    /* Nested beyond what the parser allows. */
    memset(text, '[', 100000);
    text[0] = '{';
    put(text + 1, "\"a\":");
    start_bytes(&r, '\0', text, 100000);
    assert_int_equal(next(&r), FH_ROWS_BAD);
    assert_int_equal(next(&r), FH_ROWS_END);
    stop(&r);
    fh_free(text);
}

static void survives_running_out_of_memory(void **state)
{
    (void)state;
    for (long after = 0;; after++) {
        struct reading r;
        memset(&r, 0, sizeof(r));
        r.fd = kit_fd("a,b\n1,2\n", 8);
        fh_input_open_fd(&r.input, r.fd);
        fh_alloc_fault_on(after, 1);
        if (fh_rows_open(&r.rows, &r.input, ',') == FH_OK &&
            fh_rows_header(&r.rows, &r.error) == FH_OK) {
            (void)next(&r);
        }
        const int delivered = fh_alloc_fault_off();
        stop(&r);
        if (!delivered) {
            break;
        }
    }
    assert_int_equal(fh_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_quotes_and_line_ends),
        cmocka_unit_test(refuses_a_row_and_goes_on),
        cmocka_unit_test(refuses_nul_bytes),
        cmocka_unit_test(tells_a_quote_that_never_closes),
        cmocka_unit_test(bounds_fields_and_rows),
        cmocka_unit_test(refuses_a_bad_header),
        cmocka_unit_test(survives_every_cut),
        cmocka_unit_test(survives_noise),
        cmocka_unit_test(reads_ndjson),
        cmocka_unit_test(refuses_bad_ndjson),
        cmocka_unit_test(bounds_ndjson),
        cmocka_unit_test(survives_running_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
