/* The heap: sizes, overflow, the fault hooks and their count under threads. */
#include "base/alloc.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_counts_live(void **state)
{
    (void)state;
    long before = fh_alloc_live();
    char *a = fh_malloc(0);
    char *b = fh_calloc(3, 5);
    char *c = fh_strdup("hello");
    assert_non_null(a);
    assert_non_null(b);
    assert_string_equal(c, "hello");
    for (int i = 0; i < 15; i++) {
        assert_int_equal(b[i], 0);
    }
    assert_int_equal(fh_alloc_live(), before + 3);
    char *larger = fh_realloc(c, 100);
    assert_non_null(larger);
    assert_string_equal(larger, "hello");
    char *fresh = fh_realloc(NULL, 7);
    assert_non_null(fresh);
    assert_int_equal(fh_alloc_live(), before + 4);
    fh_free(a);
    fh_free(b);
    fh_free(larger);
    fh_free(fresh);
    fh_free(NULL);
    assert_int_equal(fh_alloc_live(), before);
}

static void test_refuses_overflow(void **state)
{
    (void)state;
    long before = fh_alloc_live();
    volatile size_t huge = SIZE_MAX;
    assert_null(fh_calloc(huge / 2, 3));
    assert_null(fh_calloc(huge, 1));
    assert_null(fh_malloc(huge));
    char *kept = fh_malloc(8);
    assert_non_null(kept);
    assert_null(fh_realloc(kept, huge));
    assert_int_equal(fh_alloc_live(), before + 1);
    fh_free(kept);
}

/* Bit i is set when allocation i failed. */
static unsigned failures_of(unsigned count)
{
    unsigned failed = 0;
    for (unsigned i = 0; i < count; i++) {
        void *memory = fh_malloc(1);
        failed |= memory == NULL ? 1u << i : 0u;
        fh_free(memory);
    }
    return failed;
}

static void test_faults(void **state)
{
    (void)state;
    fh_alloc_fault_on(2, 2);
    assert_int_equal(failures_of(8), 0x0C);
    assert_int_equal(fh_alloc_fault_off(), 1);
    fh_alloc_fault_on(3, -1);
    assert_int_equal(failures_of(8), 0xF8);
    assert_int_equal(fh_alloc_fault_off(), 1);
    fh_alloc_fault_on(100, 1);
    assert_int_equal(failures_of(8), 0);
    assert_int_equal(fh_alloc_fault_off(), 0);
    assert_int_equal(failures_of(8), 0);
}

#define THREADS 4
#define ROUNDS 2000
static atomic_long failed_in_threads;

static void *allocate_much(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        void *memory = fh_malloc(16);
        if (memory == NULL) {
            atomic_fetch_add(&failed_in_threads, 1);
        }
        fh_free(memory);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    long before = fh_alloc_live();
    pthread_t threads[THREADS];
    fh_alloc_fault_on(1000, 37);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, allocate_much, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(fh_alloc_fault_off(), 1);
    assert_int_equal(atomic_load(&failed_in_threads), 37);
    assert_int_equal(fh_alloc_live(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_live),
        cmocka_unit_test(test_refuses_overflow),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
