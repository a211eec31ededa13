/* List: order, removal, harmless second removal. */
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
    int number;
    struct fh_list node;
};

static int pop(struct fh_list *head)
{
    struct fh_list *node = fh_list_pop_front(head);
    return node != NULL ? FH_CONTAINER_OF(node, struct item, node)->number : -1;
}

static void test_order(void **state)
{
    (void)state;
    struct fh_list head;
    struct item items[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    fh_list_init(&head);
    assert_true(fh_list_empty(&head));
    assert_int_equal(pop(&head), -1);
    fh_list_push_back(&head, &items[1].node);
    fh_list_push_back(&head, &items[2].node);
    fh_list_push_front(&head, &items[0].node);
    fh_list_push_back(&head, &items[3].node);
    assert_false(fh_list_empty(&head));
    fh_list_remove(&items[2].node);
    fh_list_remove(&items[2].node);
    assert_int_equal(pop(&head), 0);
    assert_int_equal(pop(&head), 1);
    assert_int_equal(pop(&head), 3);
    assert_int_equal(pop(&head), -1);
    assert_true(fh_list_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
