/* Map: against a plain array as its model, at its bound, and with every allocation failing. */
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"

#define ITEMS 500

struct item {
    char key[16];
    size_t len;
    bool in_map; /* the model */
    bool seen;
};

static struct item items[ITEMS];

static struct fh_str key_of(const void *pointer)
{
    const struct item *item = pointer;
    return (struct fh_str){.data = item->key, .len = item->len};
}

static int make_items(void **state)
{
    (void)state;
    for (size_t i = 0; i < ITEMS; i++) {
        int len = snprintf(items[i].key, sizeof(items[i].key), "k%zu", i);
        items[i] = (struct item){.len = (size_t)len};
        snprintf(items[i].key, sizeof(items[i].key), "k%zu", i);
    }
    items[0].len = 0; /* the empty key is a key */
    return 0;
}

static void check_against_model(const struct fh_map *map)
{
    size_t expected = 0;
    for (size_t i = 0; i < ITEMS; i++) {
        void *found = fh_map_get(map, key_of(&items[i]));
        assert_ptr_equal(found, items[i].in_map ? &items[i] : NULL);
        expected += items[i].in_map ? 1 : 0;
        items[i].seen = false;
    }
    assert_int_equal(map->count, expected);
    size_t cursor = 0;
    size_t walked = 0;
    for (struct item *item; (item = fh_map_next(map, &cursor)) != NULL; walked++) {
        assert_true(item->in_map);
        assert_false(item->seen);
        item->seen = true;
    }
    assert_int_equal(walked, expected);
    assert_null(fh_map_next(map, &cursor));
}

static void test_churn(void **state)
{
    (void)state;
    struct fh_map map;
    fh_map_init(&map, ITEMS, key_of);
    check_against_model(&map);
    uint32_t dice = 12345;
    for (int step = 0; step < 20000; step++) {
        dice = dice * 1664525u + 1013904223u;
        struct item *item = &items[(dice >> 8) % ITEMS];
        /* Waves: mostly filling, then mostly emptying. */
        bool put = (dice >> 28) < ((step / 4000) % 2 == 0 ? 12u : 4u);
        if (put) {
            assert_int_equal(fh_map_put(&map, item), item->in_map ? FH_EXISTS : FH_OK);
            item->in_map = true;
        } else {
            assert_ptr_equal(fh_map_remove(&map, key_of(item)), item->in_map ? item : NULL);
            item->in_map = false;
        }
        if (step % 500 == 0) {
            check_against_model(&map);
        }
    }
    for (size_t i = 0; i < ITEMS; i++) {
        assert_ptr_equal(fh_map_remove(&map, key_of(&items[i])),
                         items[i].in_map ? &items[i] : NULL);
        items[i].in_map = false;
    }
    check_against_model(&map);
    fh_map_close(&map);
}

static void test_bound(void **state)
{
    (void)state;
    struct fh_map map;
    fh_map_init(&map, 20, key_of);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(fh_map_put(&map, &items[i]), FH_OK);
    }
    assert_int_equal(fh_map_put(&map, &items[20]), FH_FULL);
    struct item twin = items[3];
    assert_int_equal(fh_map_put(&map, &twin), FH_EXISTS); /* told even when full */
    assert_ptr_equal(fh_map_get(&map, key_of(&twin)), &items[3]);
    assert_ptr_equal(fh_map_remove(&map, FH_STR("k7")), &items[7]);
    assert_int_equal(fh_map_put(&map, &items[20]), FH_OK);
    fh_map_close(&map);
    fh_map_init(&map, 0, key_of);
    assert_int_equal(fh_map_put(&map, &items[0]), FH_FULL);
    assert_null(fh_map_remove(&map, FH_STR("k1")));
    fh_map_close(&map);
}

static void test_every_allocation_fails(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        assert_true(n < 100);
        long before = fh_alloc_live();
        struct fh_map map;
        fh_map_init(&map, ITEMS, key_of);
        fh_alloc_fault_on(n, 1);
        bool refused = false;
        for (size_t i = 0; i < ITEMS; i++) {
            enum fh_code code = fh_map_put(&map, &items[i]);
            items[i].in_map = code == FH_OK;
            if (code != FH_OK) {
                assert_int_equal(code, FH_NOMEM);
                refused = true;
            }
        }
        bool faulted = fh_alloc_fault_off() != 0;
        assert_int_equal(refused, faulted);
        check_against_model(&map);
        fh_map_close(&map);
        assert_int_equal(fh_alloc_live(), before);
        if (!faulted) {
            assert_true(n > 3);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_churn, make_items),
        cmocka_unit_test_setup(test_bound, make_items),
        cmocka_unit_test_setup(test_every_allocation_fails, make_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
