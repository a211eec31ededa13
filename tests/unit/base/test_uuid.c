/* UUIDs: layout and order of version 7, the text form both ways. */
#include "base/uuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/codec.h"

static void test_v7_layout(void **state)
{
    (void)state;
    /* The example of RFC 9562, appendix A.6: 2022-02-22 19:22:22 UTC. */
    for (int i = 0; i < 200; i++) {
        struct fh_uuid uuid = fh_uuid_v7(1645557742000999);
        assert_memory_equal(uuid.bytes, "\x01\x7F\x22\xE2\x79\xB0", 6);
        assert_int_equal(uuid.bytes[6] >> 4, 7);
        assert_int_equal(uuid.bytes[8] >> 6, 2);
    }
    struct fh_uuid past = fh_uuid_v7(-5000000);
    assert_memory_equal(past.bytes, "\0\0\0\0\0\0", 6);
}

static void test_v7_order(void **state)
{
    (void)state;
    char before[FH_UUID_TEXT_LEN + 1] = "";
    for (int64_t ms = 0; ms < 2000; ms++) {
        struct fh_uuid uuid = fh_uuid_v7((1700000000000 + ms * 977) * 1000);
        char text[FH_UUID_TEXT_LEN + 1];
        fh_uuid_format(&uuid, text);
        assert_true(strcmp(before, text) < 0);
        memcpy(before, text, sizeof(text));
    }
}

static void test_v7_is_random(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    static struct fh_uuid made[COUNT];
    uint8_t ones[16] = {0};
    uint8_t zeros[16] = {0};
    for (int i = 0; i < COUNT; i++) {
        made[i] = fh_uuid_v7(1700000000000000);
        for (int j = 0; j < i; j++) {
            assert_false(fh_uuid_eq(&made[i], &made[j]));
        }
        for (int b = 0; b < 16; b++) {
            ones[b] |= made[i].bytes[b];
            zeros[b] |= (uint8_t)~made[i].bytes[b];
        }
    }
    /* Each of the 74 bits was seen both ways; the chance of missing one is below 2^-290. */
    assert_int_equal(ones[6] & zeros[6], 0x0F);
    assert_int_equal(ones[8] & zeros[8], 0x3F);
    for (int b = 7; b < 16; b++) {
        assert_int_equal(ones[b] & zeros[b], b == 8 ? 0x3F : 0xFF);
    }
}

static void test_text(void **state)
{
    (void)state;
    static const char canonical[] = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
    struct fh_uuid uuid;
    struct fh_uuid upper;
    char text[FH_UUID_TEXT_LEN + 1];
    assert_true(fh_uuid_parse(fh_str_of(canonical), &uuid));
    assert_int_equal(uuid.bytes[0], 0x01);
    assert_int_equal(uuid.bytes[15], 0x8F);
    fh_uuid_format(&uuid, text);
    assert_string_equal(text, canonical);
    assert_true(fh_uuid_parse(FH_STR("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), &upper));
    assert_true(fh_uuid_eq(&uuid, &upper));
    assert_false(fh_uuid_is_nil(&uuid));
    assert_true(fh_uuid_parse(FH_STR("00000000-0000-0000-0000-000000000000"), &uuid));
    assert_true(fh_uuid_is_nil(&uuid));
}

static void test_refuses_other_text(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "017f22e279b07cc398c4dc0c0c07398f",
        "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
        "017f22e2_79b0-7cc3-98c4-dc0c0c07398f",
        "017f22e27-9b0-7cc3-98c4-dc0c0c07398f",
        "017f22e2-79b0-7cc3-98c4--c0c0c07398f",
        " 17f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "+17f22e2-79b0-7cc3-98c4-dc0c0c07398f",
    };
    struct fh_uuid uuid;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(fh_uuid_parse(fh_str_of(bad[i]), &uuid));
    }
    assert_false(
        fh_uuid_parse((struct fh_str){"017f22e2-79b0-7cc3-98c4-dc0c0c07398\0", 36}, &uuid));
    assert_false(fh_uuid_parse(fh_str_of(NULL), &uuid));
}

static void tells_canaries(void **state)
{
    (void)state;
    struct fh_uuid canary = fh_uuid_canary();
    struct fh_uuid other = fh_uuid_canary();
    assert_true(fh_uuid_is_canary(&canary));
    assert_false(fh_uuid_eq(&canary, &other));
    struct fh_uuid ordinary = fh_uuid_v7(INT64_C(1700000000000000));
    assert_false(fh_uuid_is_canary(&ordinary));
    assert_true(memcmp(ordinary.bytes, canary.bytes, sizeof(canary.bytes)) < 0);
    for (unsigned i = 0; i < 48; i++) { /* any bit of the prefix, and the version */
        other = canary;
        other.bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_false(fh_uuid_is_canary(&other));
    }
    other = canary;
    other.bytes[6] = (uint8_t)(0x70 | (other.bytes[6] & 0x0f));
    assert_false(fh_uuid_is_canary(&other));
}

/* More than the kernel is asked for at once, and none is the parent's. */
static void test_child_draws_its_own(void **state)
{
    struct fh_uuid drawn[2][40];
    int ends[2];
    (void)state;
    (void)fh_uuid_v7(0);
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    for (size_t i = 0; i < 40; i++) {
        drawn[pid == 0][i] = fh_uuid_v7(0);
    }
    if (pid == 0) {
        _exit(write(ends[1], drawn[1], sizeof(drawn[1])) == (ssize_t)sizeof(drawn[1]) ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(read(ends[0], drawn[1], sizeof(drawn[1])), sizeof(drawn[1]));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    for (size_t i = 0; i < 80; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_false(fh_uuid_eq(&drawn[i / 40][i % 40], &drawn[j / 40][j % 40]));
        }
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_canaries),
        cmocka_unit_test(test_v7_layout),
        cmocka_unit_test(test_v7_order),
        cmocka_unit_test(test_v7_is_random),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_refuses_other_text),
        cmocka_unit_test(test_child_draws_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
