/* Pages that are copied from home to home by the owner, with layers of the isolation taken away:
 * nothing of another tenant's is ever read, written or counted. */
#include <stdio.h>

#include "tests/unit/stores_pg/moves.h"

#define RUN_MS 20000

static struct fh_home home_of_a(const struct fixture *f)
{
    struct fh_home home;
    fh_home_of(FH_TIER_SCHEMA, &f->tenant, &home);
    return home;
}

/* Authors of two tenants in the shared home, ids 1..count each, and the first one's schema home,
 * incoming. */
static void start(struct fixture *f, struct fh_uuid *b, int64_t count)
{
    struct fh_uuid a = uuid_of(1, 2);
    *b = uuid_of(9, 9);
    moves_start(f);
    f->tenant = *b;
    struct call call;
    call_init(&call, f);
    call.request.op = FH_OP_HOME_CREATE;
    call.request.as.home.fence = (struct fh_fence){1, 1, FH_FENCE_OPEN};
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    call_close(&call);
    for (int64_t i = 1; i <= count + 3; i++) {
        add_author(f, i);
    }
    f->tenant = a;
    for (int64_t i = 1; i <= count; i++) {
        add_author(f, i);
    }
    call_init(&call, f);
    call.request.op = FH_OP_HOME_CREATE;
    call.request.scope.epoch = 2;
    call.request.scope.home = home_of_a(f);
    call.request.as.home.fence = (struct fh_fence){2, 1, FH_FENCE_INCOMING};
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    call_close(&call);
}

static void ask_copy(struct call *call)
{
    call->request.op = FH_OP_COPY_WITHIN;
    call->request.scope.epoch = 2;
    call->request.scope.home = home_of_a(call->fixture);
    call->request.as.copy_within =
        (struct fh_op_copy_within){.guard = guard_incoming,
                                   .source = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED},
                                   .source_epoch = 1,
                                   .source_guard = guard_open,
                                   .table = &model_authors,
                                   .limit = 100,
                                   .state = FH_STR("here")};
}

static long copied(struct fixture *f, const char *what)
{
    char sql[256];
    struct fh_home home = home_of_a(f);
    (void)snprintf(sql, sizeof(sql), "select count(*) from \"%s\".%s", home.name, what);
    return server_number(f, sql);
}

static void reopen(struct fixture *f, const struct fh_isolation_faults *faults)
{
    struct fh_error error = FH_ERROR_INIT;
    fixture_close(f);
    const struct fh_store_config config = {
        .name = "faults",
        .location = f->location,
        .owner_location = fh_pgtest_dsn(f->pg, FH_PGTEST_OWNER, FH_PGTEST_UNIX),
        .connections_max = 2,
        .faults = faults};
    assert_int_equal(fh_store_pg_ops.open(&f->env, &config, &f->store, &error), FH_OK);
}

static void test_page(void **state)
{
    (void)state;
    struct fixture f;
    struct fh_uuid b;
    struct call call;
    start(&f, &b, 5);
    call_init(&call, &f);
    ask_copy(&call);
    assert_int_equal(call_run(&call, RUN_MS), FH_OK);
    const struct fh_op_copy_within *copy = &call.request.as.copy_within;
    assert_int_equal(copy->rows, 5);
    assert_false(copy->more);
    assert_ptr_equal(copy->last.table, &model_authors);
    assert_int_equal(copy->last.values[0].as.integer, 5);
    assert_int_equal(copied(&f, "authors"), 5);
    assert_int_equal(copied(&f, "fh_move"), 1);
    call_close(&call);
    fixture_stop(&f);
}

static void test_without_predicate(void **state)
{
    (void)state;
    static const struct fh_isolation_faults faults = {.skip_predicate = true};
    struct fixture f;
    struct fh_uuid b;
    struct call call;
    start(&f, &b, 5);
    reopen(&f, &faults);
    call_init(&call, &f);
    ask_copy(&call);
    assert_int_equal(call_run(&call, RUN_MS), FH_OK); /* the policies let nobody else's through */
    assert_int_equal(call.request.as.copy_within.rows, 5);
    assert_int_equal(copied(&f, "authors"), 5);
    call_close(&call);
    fixture_stop(&f);
}

/* In another tenant's context neither fence is to be seen. */
static void test_wrong_context(void **state)
{
    (void)state;
    struct fh_isolation_faults faults = {.wrong_context_every = 1};
    struct fixture f;
    struct fh_uuid b;
    struct call call;
    start(&f, &b, 5);
    faults.wrong_tenant = b;
    reopen(&f, &faults);
    call_init(&call, &f);
    ask_copy(&call);
    assert_int_equal(call_run(&call, RUN_MS), FH_NO_TENANT);
    faults.skip_predicate = true;
    assert_int_equal(call_run(&call, RUN_MS), FH_NO_TENANT);
    assert_int_equal(copied(&f, "authors"), 0);
    assert_int_equal(copied(&f, "fh_move"), 0);
    call_close(&call);
    fixture_stop(&f);
}

/* Neither predicate nor policies: the statement itself finds that not all is the tenant's. */
static void test_ownership_alone(void **state)
{
    (void)state;
    static const struct fh_isolation_faults faults = {.skip_predicate = true};
    struct fixture f;
    struct fh_uuid b;
    struct call call;
    start(&f, &b, 5);
    reopen(&f, &faults);
    assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER,
                               "alter table fh_shared.authors disable row level security"));
    char sql[256];
    struct fh_home home = home_of_a(&f);
    (void)snprintf(sql, sizeof(sql), "alter table \"%s\".authors disable row level security",
                   home.name);
    assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER, sql));
    call_init(&call, &f);
    ask_copy(&call);
    assert_int_equal(call_run(&call, RUN_MS), FH_FOREIGN_ROW);
    assert_int_equal(copied(&f, "authors"), 0);
    assert_int_equal(copied(&f, "fh_move"), 0);
    call_close(&call);
    fixture_stop(&f);
}

static void test_fences(void **state)
{
    (void)state;
    struct fixture f;
    struct fh_uuid b;
    struct call call;
    start(&f, &b, 2);
    call_init(&call, &f);
    ask_copy(&call);
    call.request.as.copy_within.source_guard.generation = 2;
    assert_int_equal(call_run(&call, RUN_MS), FH_MOVED);
    assert_int_equal(call.request.epoch_seen, 1);
    ask_copy(&call);
    call.request.as.copy_within.source_epoch = 7;
    assert_int_equal(call_run(&call, RUN_MS), FH_MOVED);
    ask_copy(&call);
    call.request.as.copy_within.guard.modes = FH_FENCE_BIT(FH_FENCE_OPEN);
    assert_int_equal(call_run(&call, RUN_MS), FH_MOVED);
    assert_int_equal(call.request.mode_seen, FH_FENCE_INCOMING);
    assert_int_equal(copied(&f, "authors"), 0);
    /* The source comes to another version, the target does not. */
    struct call apply;
    call_init(&apply, &f);
    apply.request.op = FH_OP_SCHEMA_APPLY;
    apply.request.scope.tenant = (struct fh_uuid){{0}};
    apply.request.as.schema.target = &model_v2;
    assert_int_equal(call_run(&apply, RUN_MS), FH_OK);
    ask_copy(&call);
    assert_int_equal(call_run(&call, RUN_MS), FH_STALE_SCHEMA);
    assert_int_equal(call.request.version_seen, 2);
    assert_int_equal(copied(&f, "authors"), 0);
    call_close(&apply);
    call_close(&call);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page), cmocka_unit_test(test_without_predicate),
        cmocka_unit_test(test_wrong_context), cmocka_unit_test(test_ownership_alone),
        cmocka_unit_test(test_fences)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
