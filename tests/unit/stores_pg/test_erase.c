/* Erasing a home in batches, while others act between two of them. */
#include "tests/unit/stores_pg/moves.h"

#include <stdio.h>

#define RUN_MS 20000
#define AUTHORS 3

static void ask_erase(struct call *call, uint64_t generation)
{
    call->request.op = FH_OP_HOME_ERASE;
    call->request.as.home.fence =
        (struct fh_fence){.epoch = 1, .generation = generation, .mode = FH_FENCE_OPEN};
}

/* What another does when the last table, which is the first to be erased, has been. */
static void act_behind_first_batch(struct fixture *f, const char *act)
{
    char sql[1024];
    (void)snprintf(sql, sizeof(sql),
                   "create function fh_shared.act() returns trigger language plpgsql security "
                   "definer as $$ begin %s; return null; end $$",
                   act);
    assert_true(fh_pgtest_exec(f->pg, FH_PGTEST_SUPERUSER, sql));
    assert_true(fh_pgtest_exec(f->pg, FH_PGTEST_SUPERUSER,
                               "create trigger act after delete on fh_shared.slots for "
                               "each statement execute function fh_shared.act()"));
}

static void start(struct fixture *f)
{
    moves_start(f);
    for (int64_t id = 1; id <= AUTHORS; id++) {
        add_author(f, id);
    }
}

/* A process that slept between two batches of an erase while the tenant was taken over, and perhaps
 * came back to this store, must not go on. */
static void test_a_taken_over_home_is_left_alone(void **state)
{
    (void)state;
    struct fixture f;
    struct call call;
    start(&f);
    act_behind_first_batch(&f, "update fh_shared.fh_fence set generation = 2, epoch = 3, mode = 1");
    call_init(&call, &f);
    ask_erase(&call, 1);
    assert_int_equal(call_run(&call, RUN_MS), FH_MOVED);
    assert_int_equal(call.request.epoch_seen, 3);
    assert_int_equal(server_number(&f, "select count(*) from fh_shared.authors"), AUTHORS);
    assert_int_equal(server_number(&f, "select count(*) from fh_shared.fh_commit"), AUTHORS);
    assert_int_equal(server_number(&f, "select count(*) from fh_shared.fh_fence"), 1);
    call_close(&call);
    fixture_stop(&f);
}

/* The fence goes last: who finds none has nothing left to do. */
static void test_another_erase_has_ended_it(void **state)
{
    (void)state;
    struct fixture f;
    struct call call;
    start(&f);
    act_behind_first_batch(&f, "delete from fh_shared.authors; delete from fh_shared.fh_commit; "
                               "delete from fh_shared.fh_fence");
    call_init(&call, &f);
    ask_erase(&call, 1);
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    call_close(&call);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_taken_over_home_is_left_alone),
        cmocka_unit_test(test_another_erase_has_ended_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
