/* Images against the bytes that PostgreSQL 15 makes: numeric_send() and record_send() of the same
 * values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/codec.h"
#include "stores/civil.h"
#include "stores/image.h"
#include "tests/conformance/model.h"

static void assert_hex(struct fh_str bytes, const char *expected)
{
    char *hex = fh_malloc(bytes.len * 2 + 1);
    assert_non_null(hex);
    fh_hex_encode(bytes.data, bytes.len, hex);
    assert_string_equal(hex, expected);
    fh_free(hex);
}

static const struct {
    int64_t value;
    uint8_t precision;
    uint8_t scale;
    const char *hex;
} numerics[] = {
    {0, 18, 6, "0000000000000006"},
    {1, 18, 6, "0001fffe000000060064"},
    {-1, 18, 6, "0001fffe400000060064"},
    {1000000, 18, 6, "00010000000000060001"},
    {12345, 10, 2, "0002000000000002007b1194"},
    {-12345, 10, 2, "0002000040000002007b1194"},
    {99999, 5, 0, "00020001000000000009270f"},
    {10000, 5, 0, "00010001000000000001"},
    {9999, 5, 0, "0001000000000000270f"},
    {INT64_C(999999999999999999), 18, 6, "0005000200000006270f270f270f270f26ac"},
    {-INT64_C(999999999999999999), 18, 6, "0005000240000006270f270f270f270f26ac"},
    {INT64_C(120000000000000000), 18, 6, "000100020000000604b0"},
    {INT64_C(500000000000000000), 18, 18, "0001ffff000000121388"},
    {1, 18, 18, "0001fffb000000120064"},
    {INT64_C(999999999999999999), 18, 0, "00050004000000000063270f270f270f270f"},
    {10000001, 9, 1, "00030001000000010064000003e8"},
    {10001, 18, 8, "0002ffff0000000800010001"},
    {12345678, 9, 3, "0003000100000003000109291a7c"},
};

static void test_numeric(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(numerics) / sizeof(numerics[0]); i++) {
        struct fh_column column = {.type = FH_TYPE_NUMERIC,
                                   .precision = numerics[i].precision,
                                   .scale = numerics[i].scale};
        struct fh_value value = {.type = FH_TYPE_NUMERIC, .as.integer = numerics[i].value};
        struct fh_value back;
        struct fh_buf buf;
        fh_buf_init(&buf, 100);
        fh_value_encode(&value, &column, &buf);
        assert_hex(fh_buf_str(&buf), numerics[i].hex);
        assert_int_equal(fh_value_decode(fh_buf_str(&buf), &column, &back), FH_OK);
        assert_true(fh_value_equal(&value, &back));
        fh_buf_close(&buf);
    }
}

/* Every scale with values around its groups of digits. */
static void test_numeric_round_trip(void **state)
{
    (void)state;
    for (uint8_t scale = 0; scale <= 18; scale++) {
        struct fh_column column = {.type = FH_TYPE_NUMERIC, .precision = 18, .scale = scale};
        for (int64_t power = 1; power <= INT64_C(100000000000000000); power *= 10) {
            for (int64_t delta = -2; delta <= 2; delta++) {
                struct fh_value value = {.type = FH_TYPE_NUMERIC, .as.integer = power + delta};
                struct fh_value back;
                struct fh_buf buf;
                fh_buf_init(&buf, 100);
                fh_value_encode(&value, &column, &buf);
                assert_int_equal(fh_value_decode(fh_buf_str(&buf), &column, &back), FH_OK);
                assert_int_equal(back.as.integer, value.as.integer);
                fh_buf_close(&buf);
            }
        }
    }
}

static void test_numeric_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "00",
        "00000000c0000002",         /* NaN */
        "00000000d0000002",         /* infinity */
        "0001000000000002",         /* a digit short */
        "00010000000000022710",     /* a digit of 10000 */
        "0001fffe000000020001",     /* finer than the scale */
        "0001000300000002270f",     /* more than the precision */
        "00010009000000020001",     /* far more */
        "0002000000000002007b1195", /* 123.4501 in (10,2) */
        "7fff0000000000020001",     /* a count that lies */
        "00017fff000000020001",     /* a weight that lies */
        "000180000000000200010000", /* and the other way, with a tail */
    };
    struct fh_column column = {.type = FH_TYPE_NUMERIC, .precision = 10, .scale = 2};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t bytes[64];
        size_t len = strlen(bad[i]) / 2;
        assert_true(fh_hex_decode(fh_str_of(bad[i]), bytes, len));
        struct fh_value value;
        if (fh_value_decode((struct fh_str){(char *)bytes, len}, &column, &value) != FH_CORRUPT) {
            fail_msg("%s was taken", bad[i]);
        }
    }
}

static struct fh_row *every_type(struct fh_arena *arena)
{
    struct fh_row *row = fh_row_create(&model_kinds, arena);
    assert_non_null(row);
    struct fh_value *v = row->values;
    for (int i = 0; i < KIND_COUNT; i++) {
        v[i].is_null = false;
    }
    v[KIND_ID].as.integer = -3;
    v[KIND_BOOL].as.boolean = true;
    v[KIND_INT16].as.integer = -2;
    v[KIND_INT32].as.integer = -3;
    v[KIND_INT64].as.integer = INT64_MIN;
    v[KIND_FLOAT32].as.real = -0.5;
    v[KIND_FLOAT64].as.real = 0.1;
    v[KIND_NUMERIC].as.integer = -INT64_C(1234567890123);
    v[KIND_NUMERIC0].as.integer = 10000;
    v[KIND_TEXT].as.bytes = FH_STR("\xe2\x82\xac");
    v[KIND_VARCHAR].as.bytes = FH_STR("");
    v[KIND_BYTES].as.bytes = FH_STR("\xff\x01\x00");
    v[KIND_TIMESTAMP].as.integer = -1;
    v[KIND_DATE].as.integer = -20001;
    v[KIND_UUID].as.uuid = uuid_of(9, 9);
    v[KIND_JSON].as.bytes = FH_STR("[1,\"x\"]");
    row->tenant = uuid_of(1, 1);
    row->created_at_us = INT64_C(1795226400000000);
    row->updated_at_us = INT64_C(1795226400000001);
    row->version = 7;
    return row;
}

static const char *const every_type_hex =
    "000000140000001700000004fffffffd0000001000000001010000001500000002fffe0000001700000004fffffffd"
    "00000014000000088000000000000000000002bc00000004bf000000000002bd000000083fb999999999999a000006"
    "a4000000100004000140000006007b11d722c508fc000006a40000000a00010001000000000001000000190000000"
    "3e282ac00000019000000000000001100000003ff0100000004a000000008fffca2fec4c81fff0000043a00000004"
    "ffff871200000b86000000100900000000007000800000000000000900000072000000075b312c2278225d000004a"
    "000000008000303be7ca52800000004a000000008000303be7ca52801000004a0ffffffff00000014000000080000"
    "000000000007";

static const char *const all_null_hex =
    "0000001400000017000000040000000100000010ffffffff00000015ffffffff00000017ffffffff00000014ffffff"
    "ff000002bcffffffff000002bdffffffff000006a4ffffffff000006a4ffffffff00000019ffffffff00000019ffff"
    "ffff00000011ffffffff000004a0ffffffff0000043affffffff00000b86ffffffff00000072ffffffff000004a000"
    "000008ff1fe2ffc59c6000000004a0000000080380e70b913b7fff000004a000000008000000000000000000000014"
    "000000087fffffffffffffff";

static void test_image(void **state)
{
    (void)state;
    struct fh_arena arena;
    struct fh_buf buf;
    fh_arena_init(&arena, (size_t)1 << 20);
    fh_buf_init(&buf, 4096);
    struct fh_row *row = every_type(&arena);
    fh_image_encode(row, &buf);
    assert_hex(fh_buf_str(&buf), every_type_hex);
    struct fh_row *back = NULL;
    assert_int_equal(fh_image_decode(fh_buf_str(&buf), &model_kinds, &row->tenant, &arena, &back),
                     FH_OK);
    assert_true(fh_row_equal(row, back));

    row = fh_row_create(&model_kinds, &arena);
    row->values[KIND_ID] = int_value(FH_TYPE_INT32, 1);
    row->created_at_us = FH_TIMESTAMP_US_MIN;
    row->updated_at_us = FH_TIMESTAMP_US_MAX;
    row->deleted_at_us = INT64_C(946684800000000);
    row->version = INT64_MAX;
    fh_buf_clear(&buf);
    fh_image_encode(row, &buf);
    assert_hex(fh_buf_str(&buf), all_null_hex);
    assert_int_equal(fh_image_decode(fh_buf_str(&buf), &model_kinds, &row->tenant, &arena, &back),
                     FH_OK);
    assert_true(fh_row_equal(row, back));
    fh_buf_close(&buf);
    fh_arena_close(&arena);
}

/* Every prefix, every byte changed: an answer or FH_CORRUPT, never a step outside (the sanitizers
 * watch). */
static void test_damaged_image(void **state)
{
    (void)state;
    struct fh_arena arena;
    struct fh_buf buf;
    fh_arena_init(&arena, (size_t)64 << 20);
    fh_buf_init(&buf, 4096);
    const struct fh_row *row = every_type(&arena);
    fh_image_encode(row, &buf);
    for (size_t len = 0; len <= buf.len + 1; len++) {
        /* On the heap and exactly as long, so that a read past the end is caught. */
        char *copy = fh_calloc(1, len > 0 ? len : 1);
        assert_non_null(copy);
        memcpy(copy, buf.data, len <= buf.len ? len : buf.len);
        struct fh_row *back = NULL;
        enum fh_code code =
            fh_image_decode((struct fh_str){copy, len}, &model_kinds, &row->tenant, &arena, &back);
        assert_int_equal(code, len == buf.len ? FH_OK : FH_CORRUPT);
        fh_free(copy);
    }
    for (size_t at = 0; at < buf.len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            struct fh_arena scratch;
            struct fh_row *back = NULL;
            fh_arena_init(&scratch, (size_t)1 << 20);
            buf.data[at] = (char)(buf.data[at] ^ (1 << bit));
            enum fh_code code =
                fh_image_decode(fh_buf_str(&buf), &model_kinds, &row->tenant, &scratch, &back);
            assert_true(code == FH_OK || code == FH_CORRUPT);
            assert_true(code != FH_OK || !fh_row_equal(row, back));
            buf.data[at] = (char)(buf.data[at] ^ (1 << bit));
            fh_arena_close(&scratch);
        }
    }
    /* Another table's image. */
    struct fh_row *back = NULL;
    assert_int_equal(fh_image_decode(fh_buf_str(&buf), &model_books, &row->tenant, &arena, &back),
                     FH_CORRUPT);
    fh_buf_close(&buf);
    fh_arena_close(&arena);
}

static void test_images(void **state)
{
    (void)state;
    struct fh_arena arena;
    struct fh_buf buf;
    struct fh_images_reader reader;
    struct fh_str before;
    struct fh_str after;
    fh_arena_init(&arena, (size_t)1 << 20);
    fh_buf_init(&buf, 65536);
    const struct fh_row *row = every_type(&arena);
    fh_images_begin(&buf);
    fh_images_add(&buf, NULL, row);
    fh_images_add(&buf, row, NULL);
    fh_images_add(&buf, NULL, NULL);
    assert_int_equal(fh_images_open(fh_buf_str(&buf), &reader), FH_OK);
    assert_int_equal(fh_images_next(&reader, &before, &after), FH_OK);
    assert_null(before.data);
    assert_hex(after, every_type_hex);
    assert_int_equal(fh_images_next(&reader, &before, &after), FH_OK);
    assert_hex(before, every_type_hex);
    assert_null(after.data);
    assert_int_equal(fh_images_next(&reader, &before, &after), FH_OK);
    assert_null(before.data);
    assert_int_equal(fh_images_next(&reader, &before, &after), FH_NOT_FOUND);
    /* Cut short, of another format, or empty. */
    assert_int_equal(fh_images_open((struct fh_str){buf.data, buf.len - 1}, &reader), FH_OK);
    assert_int_equal(fh_images_next(&reader, &before, &after), FH_OK);
    assert_int_equal(fh_images_next(&reader, &before, &after), FH_OK);
    assert_int_equal(fh_images_next(&reader, &before, &after), FH_CORRUPT);
    assert_int_equal(fh_images_open(FH_STR("\x02"), &reader), FH_CORRUPT);
    assert_int_equal(fh_images_open(FH_STR(""), &reader), FH_CORRUPT);
    fh_buf_close(&buf);
    fh_arena_close(&arena);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct fh_arena arena;
    fh_arena_init(&arena, (size_t)1 << 20);
    const struct fh_row *row = every_type(&arena);
    enum fh_code code = FH_NOMEM;
    long failures = 0;
    for (long n = 0; code != FH_OK; n++) {
        long live = fh_alloc_live();
        struct fh_arena scratch;
        struct fh_buf buf;
        struct fh_row *back = NULL;
        struct fh_images_reader reader;
        struct fh_str before;
        struct fh_str after;
        fh_arena_init(&scratch, (size_t)1 << 20);
        fh_buf_init(&buf, 65536);
        fh_alloc_fault_on(n, 1);
        fh_images_begin(&buf);
        fh_images_add(&buf, row, row);
        code = fh_buf_code(&buf);
        if (code == FH_OK) {
            assert_int_equal(fh_images_open(fh_buf_str(&buf), &reader), FH_OK);
            assert_int_equal(fh_images_next(&reader, &before, &after), FH_OK);
            code = fh_image_decode(after, &model_kinds, &row->tenant, &scratch, &back);
        }
        int delivered = fh_alloc_fault_off();
        assert_int_equal(code, delivered ? FH_NOMEM : FH_OK);
        failures += delivered;
        fh_buf_close(&buf);
        fh_arena_close(&scratch);
        assert_int_equal(fh_alloc_live(), live);
    }
    assert_true(failures > 1);
    /* A bound that is too small is told, not overrun. */
    struct fh_buf small;
    fh_buf_init(&small, 64);
    fh_image_encode(row, &small);
    assert_int_equal(fh_buf_code(&small), FH_TOO_LARGE);
    fh_buf_close(&small);
    fh_arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numeric),         cmocka_unit_test(test_numeric_round_trip),
        cmocka_unit_test(test_numeric_refused), cmocka_unit_test(test_image),
        cmocka_unit_test(test_damaged_image),   cmocka_unit_test(test_images),
        cmocka_unit_test(test_out_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
