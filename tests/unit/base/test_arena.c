/* Arena: alignment, growth, the bound, reset, and every allocation failing in turn. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"

static int check_no_leak(void **state)
{
    return fh_alloc_live() == (long)(intptr_t)*state ? 0 : -1;
}

static int note_live(void **state)
{
    *state = (void *)(intptr_t)fh_alloc_live();
    return 0;
}

static void test_objects_do_not_overlap(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    static unsigned char *objects[COUNT];
    struct fh_arena arena;
    fh_arena_init(&arena, 16u << 20);
    for (unsigned i = 0; i < COUNT; i++) {
        size_t size = (i * 37u) % 9000;
        objects[i] = fh_arena_alloc(&arena, size);
        assert_non_null(objects[i]);
        assert_int_equal((uintptr_t)objects[i] % 16, 0);
        memset(objects[i], (int)(i & 0xFF), size);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        for (size_t at = 0; at < (i * 37u) % 9000; at++) {
            if (objects[i][at] != (i & 0xFF)) {
                fail_msg("object %u, byte %zu", i, at);
            }
        }
    }
    fh_arena_close(&arena);
}

static void test_grows_by_few_chunks(void **state)
{
    (void)state;
    struct fh_arena arena;
    fh_arena_init(&arena, 1u << 20);
    long before = fh_alloc_live();
    for (int i = 0; i < 1024; i++) {
        assert_non_null(fh_arena_alloc(&arena, 512));
    }
    /* 512 KiB: 4, 8, 16, 32, then 64 KiB each. */
    assert_in_range(fh_alloc_live() - before, 10, 14);
    fh_arena_close(&arena);
}

static void test_large_objects_stand_alone(void **state)
{
    (void)state;
    struct fh_arena arena;
    fh_arena_init(&arena, 4u << 20);
    char *small = fh_arena_alloc(&arena, 16);
    char *large = fh_arena_alloc(&arena, 1u << 20);
    char *next = fh_arena_alloc(&arena, 16);
    assert_non_null(small);
    assert_non_null(large);
    memset(large, 1, 1u << 20);
    assert_ptr_equal(next, small + 16); /* the small chunk is still in use */
    fh_arena_reset(&arena);
    assert_ptr_equal(fh_arena_alloc(&arena, 16), small); /* and was kept */
    fh_arena_close(&arena);

    /* A large object first. */
    large = fh_arena_alloc(&arena, 1u << 20);
    assert_non_null(large);
    assert_non_null(fh_arena_alloc(&arena, 16));
    fh_arena_reset(&arena);
    assert_int_equal(arena.bytes_used, 0);
    fh_arena_close(&arena);
}

static void test_bound(void **state)
{
    (void)state;
    struct fh_arena arena;
    fh_arena_init(&arena, 1024);
    assert_null(fh_arena_alloc(&arena, 1025));
    assert_non_null(fh_arena_alloc(&arena, 1008));
    assert_null(fh_arena_alloc(&arena, 17));
    assert_non_null(fh_arena_alloc(&arena, 0)); /* costs 16, so that zeros are bounded too */
    assert_null(fh_arena_alloc(&arena, 0));
    assert_int_equal(arena.bytes_used, 1024);
    struct fh_str out = {.data = NULL};
    assert_int_equal(fh_arena_str(&arena, FH_STR("x"), &out), FH_TOO_LARGE);
    assert_null(fh_arena_printf(&arena, "%d", 1));
    assert_null(fh_arena_copy(&arena, "x", 1));
    fh_arena_reset(&arena);
    assert_non_null(fh_arena_alloc(&arena, 1024));
    fh_arena_close(&arena);

    volatile size_t huge = SIZE_MAX;
    fh_arena_init(&arena, huge);
    assert_null(fh_arena_alloc(&arena, huge));
    assert_null(fh_arena_alloc(&arena, huge - 8));
    assert_null(fh_arena_calloc(&arena, huge / 2, 4));
    assert_null(fh_arena_copy(&arena, "", huge));
    assert_int_equal(fh_arena_str(&arena, (struct fh_str){"", huge}, &out), FH_TOO_LARGE);
    assert_int_equal(arena.bytes_used, 0);
    fh_arena_close(&arena);
}

static void test_helpers(void **state)
{
    (void)state;
    struct fh_arena arena;
    fh_arena_init(&arena, 1u << 20);
    char *dirty = fh_arena_alloc(&arena, 512);
    assert_non_null(dirty);
    memset(dirty, 0xFF, 512);
    fh_arena_reset(&arena);
    uint64_t *zeros = FH_ARENA_ARRAY(&arena, uint64_t, 64);
    assert_ptr_equal(zeros, dirty);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(zeros[i], 0);
    }
    char *copy = fh_arena_copy(&arena, "a\0b", 3);
    assert_memory_equal(copy, "a\0b\0", 4);
    assert_string_equal(fh_arena_copy(&arena, NULL, 0), "");
    assert_string_equal(fh_arena_printf(&arena, "%s-%05d", "x", 42), "x-00042");
    char *wide = fh_arena_printf(&arena, "%5000d", 7);
    assert_int_equal(strlen(wide), 5000);
    struct fh_str out;
    assert_int_equal(fh_arena_str(&arena, (struct fh_str){"a\0b", 3}, &out), FH_OK);
    assert_int_equal(out.len, 3);
    assert_memory_equal(out.data, "a\0b\0", 4);
    assert_int_equal(fh_arena_str(&arena, fh_str_of(NULL), &out), FH_OK);
    assert_int_equal(out.len, 0);
    fh_arena_close(&arena);
}

/* Uses each entry point; answers whether all of it worked. */
static bool use_arena(struct fh_arena *arena)
{
    struct fh_str out;
    bool good = fh_arena_alloc(arena, 3000) != NULL;
    good = fh_arena_calloc(arena, 100, 30) != NULL && good;
    good = fh_arena_copy(arena, "abc", 3) != NULL && good;
    good = fh_arena_printf(arena, "%9000d", 1) != NULL && good;
    good = fh_arena_str(arena, FH_STR("text"), &out) == FH_OK && good;
    return good;
}

static void test_every_allocation_fails(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        assert_true(n < 100);
        struct fh_arena arena;
        fh_arena_init(&arena, 1u << 20);
        long before = fh_alloc_live();
        fh_alloc_fault_on(n, 1);
        bool good = use_arena(&arena);
        bool faulted = fh_alloc_fault_off() != 0;
        assert_int_equal(good, !faulted);
        /* The arena stays fit for use. */
        assert_true(use_arena(&arena));
        fh_arena_reset(&arena);
        assert_true(use_arena(&arena));
        fh_arena_close(&arena);
        assert_int_equal(fh_alloc_live(), before);
        if (!faulted) {
            assert_true(n >= 3);
            break;
        }
    }
    struct fh_arena arena;
    struct fh_str out;
    fh_arena_init(&arena, 1024);
    fh_alloc_fault_on(0, -1);
    enum fh_code code = fh_arena_str(&arena, FH_STR("x"), &out);
    fh_alloc_fault_off();
    assert_int_equal(code, FH_NOMEM);
    fh_arena_close(&arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, note_live, check_no_leak)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_objects_do_not_overlap),
        TEST(test_grows_by_few_chunks),
        TEST(test_large_objects_stand_alone),
        TEST(test_bound),
        TEST(test_helpers),
        TEST(test_every_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
