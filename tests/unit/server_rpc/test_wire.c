/* The reader of the wire format: edges of varints, cut-off values, groups. */
#include "server/rpc/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define BYTES(...)                                                               \
    ((struct fh_str){.data = (const char *)(const unsigned char[]){__VA_ARGS__}, \
                     .len = sizeof((const unsigned char[]){__VA_ARGS__})})

static bool read_varint(struct fh_str bytes, uint64_t *out)
{
    struct fh_wire_reader reader = fh_wire_reader(bytes);

    return fh_wire_varint(&reader, out) && reader.at == reader.end;
}

static void test_varints(void **state)
{
    uint64_t value = 0;
    (void)state;

    assert_true(read_varint(BYTES(0), &value));
    assert_int_equal(value, 0);
    assert_true(read_varint(BYTES(0xac, 0x02), &value));
    assert_int_equal(value, 300);
    assert_true(
        read_varint(BYTES(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), &value));
    assert_true(value == UINT64_MAX);
    /* 65 bits, eleven bytes, nothing, cut off. */
    assert_false(
        read_varint(BYTES(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02), &value));
    assert_false(read_varint(
        BYTES(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00), &value));
    assert_false(read_varint(FH_STR(""), &value));
    assert_false(read_varint(BYTES(0x80), &value));
}

static void test_fields(void **state)
{
    struct fh_wire_reader reader = fh_wire_reader(BYTES(
        0x08, 0x96, 0x01, 0x12, 0x02, 'h', 'i', 0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8));
    struct fh_wire_field field;
    bool broken = true;
    (void)state;

    assert_true(fh_wire_next(&reader, &field, &broken));
    assert_int_equal(field.number, 1);
    assert_int_equal(field.type, FH_WIRE_VARINT);
    assert_int_equal(field.varint, 150);
    assert_true(fh_wire_next(&reader, &field, &broken));
    assert_int_equal(field.number, 2);
    assert_true(fh_str_eq(field.bytes, FH_STR("hi")));
    assert_true(fh_wire_next(&reader, &field, &broken));
    assert_int_equal(field.type, FH_WIRE_FIXED32);
    assert_true(fh_wire_next(&reader, &field, &broken));
    assert_int_equal(field.type, FH_WIRE_FIXED64);
    assert_false(fh_wire_next(&reader, &field, &broken));
    assert_false(broken);
}

static void assert_broken(struct fh_str bytes)
{
    struct fh_wire_reader reader = fh_wire_reader(bytes);
    struct fh_wire_field field;
    bool broken = false;

    assert_false(fh_wire_next(&reader, &field, &broken));
    assert_true(broken);
}

static void test_broken(void **state)
{
    (void)state;
    assert_broken(BYTES(0x80));
    assert_broken(BYTES(0x00, 0x01));                   /* number 0 */
    assert_broken(BYTES(0x80, 0x80, 0x80, 0x80, 0x10)); /* number 2^29 */
    assert_broken(BYTES(0x08));
    assert_broken(BYTES(0x0a, 0x02, 'x'));
    assert_broken(BYTES(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01));
    assert_broken(BYTES(0x0d, 1, 2, 3));
    assert_broken(BYTES(0x09, 1, 2, 3, 4, 5, 6, 7));
    assert_broken(BYTES(0x0b)); /* groups */
    assert_broken(BYTES(0x0c));
    assert_broken(BYTES(0x0e)); /* reserved */
    assert_broken(BYTES(0x0f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varints),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
