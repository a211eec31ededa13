/* The look at raw requests: what it refuses, which field it names, and that whatever it lets pass
 * protobuf-c can unpack. */
#include "server/rpc/wire_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/buf.h"
#include "rpc_test.pb-c.h"
#include "server/rpc/allocator.h"

#define ROOT (&freehold__test__v1__echo_request__descriptor)

static void add_varint(struct fh_buf *buf, uint64_t value)
{
    while (value > 0x7f) {
        fh_buf_add_char(buf, (char)(value | 0x80));
        value >>= 7;
    }
    fh_buf_add_char(buf, (char)value);
}

static void add_bytes(struct fh_buf *buf, uint32_t number, struct fh_str body)
{
    add_varint(buf, (uint64_t)number << 3 | 2);
    add_varint(buf, body.len);
    fh_buf_add_str(buf, body);
}

static void assert_refused(struct fh_str bytes, enum fh_code code, const char *field)
{
    struct fh_error error = FH_ERROR_INIT;

    assert_int_equal(fh_wire_check(ROOT, bytes, &error), code);
    assert_int_equal(error.code, code);
    assert_string_equal(error.field, field);
    assert_true(error.message[0] != '\0');
}

static void assert_passes(struct fh_str bytes)
{
    struct fh_error error = FH_ERROR_INIT;

    assert_int_equal(fh_wire_check(ROOT, bytes, &error), FH_OK);
}

/* A request with every kind of field of the test message. */
static struct fh_str whole_request(struct fh_arena *arena)
{
    Freehold__Test__V1__EchoRequest request = FREEHOLD__TEST__V1__ECHO_REQUEST__INIT;
    Freehold__Test__V1__EchoRequest__NodesEntry entry;
    Freehold__Test__V1__EchoRequest__NodesEntry *entries[] = {&entry};
    Freehold__Test__V1__Node leaf = FREEHOLD__TEST__V1__NODE__INIT;
    Freehold__Test__V1__Node node = FREEHOLD__TEST__V1__NODE__INIT;
    Freehold__Test__V1__Node *leaves[] = {&leaf, &leaf};
    int64_t numbers[] = {0, -1, INT64_MAX, 300};

    freehold__test__v1__echo_request__nodes_entry__init(&entry);
    leaf.name = (char *)(uintptr_t) "bl\xc3\xa4tter";
    node.child = &leaf;
    node.children = leaves;
    node.n_children = 2;
    entry.key = (char *)(uintptr_t) "key";
    entry.value = &leaf;
    request.text = (char *)(uintptr_t) "gr\xc3\xbc\xc3\x9f";
    request.payload = (ProtobufCBinaryData){.len = 3, .data = (uint8_t *)(uintptr_t) "\0\xff\xfe"};
    request.node = &node;
    request.numbers = numbers;
    request.n_numbers = 4;
    request.nodes = entries;
    request.n_nodes = 1;
    request.response_bytes = 7;
    uint8_t *out =
        fh_arena_alloc(arena, freehold__test__v1__echo_request__get_packed_size(&request));
    assert_non_null(out);
    size_t len = freehold__test__v1__echo_request__pack(&request, out);
    return (struct fh_str){.data = (const char *)out, .len = len};
}

static bool unpacks(struct fh_arena *arena, struct fh_str bytes)
{
    ProtobufCAllocator allocator = fh_rpc_allocator(arena);

    return protobuf_c_message_unpack(ROOT, &allocator, bytes.len, (const uint8_t *)bytes.data) !=
           NULL;
}

static void test_honest_requests_pass(void **state)
{
    struct fh_arena arena;
    (void)state;

    fh_arena_init(&arena, 1 << 20);
    assert_passes(FH_STR(""));
    struct fh_str whole = whole_request(&arena);
    assert_passes(whole);
    assert_true(unpacks(&arena, whole));
    fh_arena_close(&arena);
}

/* Cut anywhere, changed anywhere: what passes must unpack. */
static void test_what_passes_unpacks(void **state)
{
    struct fh_arena arena;
    struct fh_arena scratch;
    uint64_t random = UINT64_C(0x9e3779b97f4a7c15);
    size_t passed = 0;
    size_t refused = 0;
    (void)state;

    fh_arena_init(&arena, 1 << 20);
    fh_arena_init(&scratch, 1 << 20);
    struct fh_str whole = whole_request(&arena);
    for (size_t round = 0; round < 20000; round++) {
        struct fh_str bytes = whole;
        char *copy = fh_arena_copy(&scratch, whole.data, whole.len);
        assert_non_null(copy);
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        bytes.data = copy;
        bytes.len = round < whole.len ? round : (size_t)(random >> 33) % (whole.len + 1);
        for (size_t i = 0; round >= whole.len && i < round % 4; i++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            /* The copy has a NUL behind it, which may be hit as well. */
            copy[(random >> 40) % (whole.len + 1)] = (char)(random >> 32);
        }
        struct fh_error error = FH_ERROR_INIT;
        if (fh_wire_check(ROOT, bytes, &error) == FH_OK) {
            assert_true(unpacks(&scratch, bytes));
            passed++;
        } else {
            refused++;
        }
        fh_arena_reset(&scratch);
    }
    assert_true(passed > 500);
    assert_true(refused > 5000);
    fh_arena_close(&scratch);
    fh_arena_close(&arena);
}

static void test_text(void **state)
{
    struct fh_buf inner;
    struct fh_buf outer;
    (void)state;

    fh_buf_init(&inner, 1000);
    fh_buf_init(&outer, 1000);
    assert_refused(FH_STR("\x0a\x02"
                          "\xc3\x28"),
                   FH_INVALID, "text");
    assert_refused(FH_STR("\x0a\x03"
                          "a\0b"),
                   FH_INVALID, "text");
    /* Bytes are free to be anything. */
    assert_passes(FH_STR("\x12\x03"
                         "\xff\0b"));
    add_bytes(&inner, 1, FH_STR("\xff"));
    add_bytes(&outer, 2, fh_buf_str(&inner));
    fh_buf_clear(&inner);
    add_bytes(&inner, 3, fh_buf_str(&outer));
    fh_buf_clear(&outer);
    add_bytes(&outer, 3, fh_buf_str(&inner));
    assert_refused(fh_buf_str(&outer), FH_INVALID, "node.children.child.name");
    fh_buf_close(&inner);
    fh_buf_close(&outer);
}

static void test_types(void **state)
{
    (void)state;
    assert_refused(FH_STR("\x08\x01"), FH_INVALID, "text");
    assert_refused(FH_STR("\x1d\x01\x02\x03\x04"), FH_INVALID, "node");
    assert_refused(FH_STR("\x25\x01\x02\x03\x04"), FH_INVALID, "numbers");
    /* Packed or one by one, numbers may come either way. */
    assert_passes(FH_STR("\x22\x02\x01\x02"));
    assert_passes(FH_STR("\x20\x01\x20\x02"));
    assert_refused(FH_STR("\x22\x02\x01\xff"), FH_INVALID, "numbers");
    /* But one that is no list may not be packed. */
    assert_refused(FH_STR("\x32\x01\x05"), FH_INVALID, "response_bytes");
}

static void test_messages_given_twice(void **state)
{
    (void)state;
    assert_refused(FH_STR("\x1a\x00\x1a\x00"), FH_INVALID, "node");
    assert_refused(FH_STR("\x1a\x00\x0a\x00\x1a\x00"), FH_INVALID, "node");
    /* Texts may: the last one counts. */
    assert_passes(FH_STR("\x0a\x01"
                         "a\x0a\x01"
                         "b"));
}

/* A varint may be padded with zero bytes. Tags and lengths of more than five bytes pass nowhere:
 * protobuf-c would not unpack them. */
static void test_padded_tags_and_lengths(void **state)
{
    (void)state;
    assert_passes(FH_STR("\x8a\x80\x80\x80\x00\x01x"));
    assert_refused(FH_STR("\x8a\x80\x80\x80\x80\x00\x01x"), FH_INVALID, "");
    assert_passes(FH_STR("\x0a\x81\x80\x80\x80\x00x"));
    assert_refused(FH_STR("\x0a\x81\x80\x80\x80\x80\x00x"), FH_INVALID, "");
}

static void test_depth(void **state)
{
    struct fh_buf a;
    struct fh_buf b;
    (void)state;

    fh_buf_init(&a, 1000);
    fh_buf_init(&b, 1000);
    /* The root and the node are two levels; each round adds one. */
    for (size_t depth = 2; depth < 60; depth++) {
        fh_buf_clear(&b);
        add_bytes(&b, 3, fh_buf_str(&a));
        if (depth <= FH_WIRE_DEPTH_MAX) {
            assert_passes(fh_buf_str(&b));
        } else {
            struct fh_error error = FH_ERROR_INIT;
            assert_int_equal(fh_wire_check(ROOT, fh_buf_str(&b), &error), FH_INVALID);
            assert_true(strlen(error.field) > 20);
        }
        fh_buf_clear(&b);
        add_bytes(&b, 2, fh_buf_str(&a));
        struct fh_buf swap = a;
        a = b;
        b = swap;
    }
    fh_buf_close(&a);
    fh_buf_close(&b);
}

static void test_elements(void **state)
{
    struct fh_buf body;
    struct fh_buf request;
    (void)state;

    fh_buf_init(&body, FH_WIRE_ELEMENTS_MAX + 10);
    fh_buf_init(&request, FH_WIRE_ELEMENTS_MAX + 20);
    for (size_t i = 0; i + 1 < FH_WIRE_ELEMENTS_MAX; i++) {
        fh_buf_add_char(&body, 1);
    }
    add_bytes(&request, 4, fh_buf_str(&body));
    assert_int_equal(fh_buf_code(&request), FH_OK);
    assert_passes(fh_buf_str(&request));
    fh_buf_add(&request, "\x20\x01", 2);
    assert_refused(fh_buf_str(&request), FH_TOO_LARGE, "");
    fh_buf_clear(&request);
    fh_buf_add_char(&body, 1);
    add_bytes(&request, 4, fh_buf_str(&body));
    assert_refused(fh_buf_str(&request), FH_TOO_LARGE, "numbers");
    fh_buf_close(&body);
    fh_buf_close(&request);
}

/* What passed may still be too much for a call's memory: then unpacking says so, and nothing
 * breaks. */
static void test_memory_of_a_call(void **state)
{
    struct fh_arena arena;
    struct fh_arena whole_arena;
    (void)state;

    fh_arena_init(&whole_arena, 1 << 20);
    struct fh_str whole = whole_request(&whole_arena);
    bool passed = false;
    for (size_t bound = 1; bound < 8192 && !passed; bound += 16) {
        fh_arena_init(&arena, bound);
        passed = unpacks(&arena, whole);
        assert_true(passed || bound < 4096);
        fh_arena_close(&arena);
    }
    assert_true(passed);
    fh_arena_close(&whole_arena);
    assert_int_equal(fh_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_honest_requests_pass),
        cmocka_unit_test(test_what_passes_unpacks),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_messages_given_twice),
        cmocka_unit_test(test_padded_tags_and_lengths),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_elements),
        cmocka_unit_test(test_memory_of_a_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
