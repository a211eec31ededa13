/* Slab: the bound, reuse, zeroed fresh objects, every allocation failing. */
#include "base/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"

struct object {
    void *first;
    char rest[56];
};

static void test_bound_and_reuse(void **state)
{
    (void)state;
    static const struct object zero;
    struct fh_slab slab;
    struct object *objects[8];
    assert_int_equal(fh_slab_init(&slab, sizeof(struct object), 8), FH_OK);
    for (int i = 0; i < 8; i++) {
        objects[i] = fh_slab_get(&slab);
        assert_non_null(objects[i]);
        assert_memory_equal(objects[i], &zero, sizeof(zero));
        memset(objects[i], i + 1, sizeof(struct object));
    }
    assert_null(fh_slab_get(&slab));
    assert_int_equal(slab.in_use, 8);
    fh_slab_put(&slab, objects[2]);
    fh_slab_put(&slab, objects[5]);
    assert_int_equal(slab.in_use, 6);
    /* The same memory again, as left behind its first pointer. */
    long live = fh_alloc_live();
    assert_ptr_equal(fh_slab_get(&slab), objects[5]);
    assert_ptr_equal(fh_slab_get(&slab), objects[2]);
    assert_int_equal(objects[2]->rest[0], 3);
    assert_int_equal(objects[5]->rest[55], 6);
    assert_int_equal(fh_alloc_live(), live);
    assert_null(fh_slab_get(&slab));
    for (int i = 0; i < 8; i++) {
        assert_int_equal(objects[i]->rest[7], i + 1);
        fh_slab_put(&slab, objects[i]);
    }
    fh_slab_close(&slab);
}

static void test_tiny_objects(void **state)
{
    (void)state;
    struct fh_slab slab;
    assert_int_equal(fh_slab_init(&slab, 1, 2), FH_OK);
    char *a = fh_slab_get(&slab);
    char *b = fh_slab_get(&slab);
    fh_slab_put(&slab, a);
    fh_slab_put(&slab, b);
    assert_ptr_equal(fh_slab_get(&slab), b);
    fh_slab_put(&slab, b);
    fh_slab_close(&slab);
    volatile size_t huge = SIZE_MAX;
    assert_int_equal(fh_slab_init(&slab, 8, huge), FH_NOMEM);
    assert_null(fh_slab_get(&slab));
    fh_slab_close(&slab);
}

static void test_every_allocation_fails(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        assert_true(n < 100);
        long before = fh_alloc_live();
        struct fh_slab slab;
        void *objects[5];
        fh_alloc_fault_on(n, 1);
        enum fh_code code = fh_slab_init(&slab, 64, 5);
        bool refused = code != FH_OK;
        for (int i = 0; i < 5; i++) {
            objects[i] = fh_slab_get(&slab);
            refused = refused || objects[i] == NULL;
        }
        bool faulted = fh_alloc_fault_off() != 0;
        assert_int_equal(refused, faulted);
        for (int i = 0; i < 5; i++) {
            if (objects[i] != NULL) {
                fh_slab_put(&slab, objects[i]);
            }
        }
        if (code == FH_OK) { /* a failed get costs nothing of the bound */
            for (int i = 0; i < 5; i++) {
                objects[i] = fh_slab_get(&slab);
                assert_non_null(objects[i]);
            }
            assert_null(fh_slab_get(&slab));
            for (int i = 0; i < 5; i++) {
                fh_slab_put(&slab, objects[i]);
            }
        }
        fh_slab_close(&slab);
        assert_int_equal(fh_alloc_live(), before);
        if (!faulted) {
            assert_int_equal(n, 6);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound_and_reuse),
        cmocka_unit_test(test_tiny_objects),
        cmocka_unit_test(test_every_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
