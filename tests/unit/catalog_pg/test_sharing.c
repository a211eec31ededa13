/* Several handles on one catalog: who hears what, who wins, who makes the tables. */
#include <pthread.h>
#include <stdio.h>

#include "tests/unit/catalog_pg/kit.h"

static const struct fh_uuid nil;

static size_t count_hints(const struct kit *f, size_t handle, enum fh_catalog_hint hint)
{
    size_t count = 0;
    for (size_t i = 0; i < f->handles[handle].hint_count; i++) {
        count += f->handles[handle].hints[i].hint == hint ? 1 : 0;
    }
    return count;
}

static void tells_others_what_changed(void **state)
{
    struct kit *f = *state;
    struct fh_move move = kit_move(f);
    kit_await_hint(f, 1, FH_CATALOG_HINT_MOVE, &move.uuid);
    struct fh_catalog_request claim = kit_claim(&move);
    f->handles[1].hint_count = 0;
    assert_int_equal(kit_run(f, 0, &claim), FH_OK);
    kit_await_hint(f, 1, FH_CATALOG_HINT_MOVE, &move.uuid);
    struct fh_catalog_request store = {.op = FH_CATALOG_STORE_CREATE};
    (void)snprintf(store.as.store.name, sizeof(store.as.store.name), "west");
    store.as.store.engine = FH_STR("sqlite");
    assert_int_equal(kit_run(f, 0, &store), FH_OK);
    kit_await_hint(f, 1, FH_CATALOG_HINT_STORES, &nil);
    struct fh_catalog_request migration = {.op = FH_CATALOG_MIGRATION_ADD};
    migration.as.migration.version = 1;
    migration.as.migration.name = FH_STR("0001_a.sql");
    assert_int_equal(kit_run(f, 0, &migration), FH_OK);
    kit_await_hint(f, 1, FH_CATALOG_HINT_SCHEMA, &nil);
    struct fh_catalog_request suspended = kit_advance(&f->tenant, FH_TENANT_SUSPENDED);
    assert_int_equal(kit_run(f, 0, &suspended), FH_OK);
    kit_await_hint(f, 1, FH_CATALOG_HINT_TENANT, &f->tenant);
    /* What is heard can be read. */
    struct fh_catalog_request got = kit_get(&f->tenant);
    assert_int_equal(kit_run(f, 1, &got), FH_OK);
    assert_int_equal(got.as.get.tenant.state, FH_TENANT_SUSPENDED);
}

static void tells_its_own_changes_once(void **state)
{
    struct kit *f = *state;
    for (int i = 0; i < 10; i++) {
        struct fh_catalog_request change =
            kit_advance(&f->tenant, i % 2 == 0 ? FH_TENANT_SUSPENDED : FH_TENANT_ACTIVE);
        assert_int_equal(kit_run(f, 0, &change), FH_OK);
        assert_int_equal(count_hints(f, 0, FH_CATALOG_HINT_TENANT), i + 1); /* at once */
    }
    /* Behind the other's change everything of ours would have come as well. */
    struct fh_catalog_request store = {.op = FH_CATALOG_STORE_CREATE};
    (void)snprintf(store.as.store.name, sizeof(store.as.store.name), "west");
    store.as.store.engine = FH_STR("sqlite");
    assert_int_equal(kit_run(f, 1, &store), FH_OK);
    kit_await_hint(f, 0, FH_CATALOG_HINT_STORES, &nil);
    assert_int_equal(count_hints(f, 0, FH_CATALOG_HINT_TENANT), 10);
    while (count_hints(f, 1, FH_CATALOG_HINT_TENANT) < 10) {
        kit_turn(f);
    }
    assert_int_equal(count_hints(f, 1, FH_CATALOG_HINT_TENANT), 10);
}

/* Two changes, the second begun while the first has written and not yet committed. */
static void run_against(struct kit *f, struct fh_catalog_request *first,
                        struct fh_catalog_request *second)
{
    struct fh_pgtest_session *holder = kit_hold_commits();
    kit_submit(f, 0, first, 30 * KIT_SECOND_US);
    kit_await_number(f, KIT_WAITING, 1);
    kit_submit(f, 1, second, 30 * KIT_SECOND_US);
    kit_await_number(f, KIT_WAITING, 2);
    fh_pgtest_session_close(holder);
    kit_wait(f);
}

/* Both saw the same beat: one gets the move, and its generation is the only one that counts. */
static void lets_one_of_two_claims_win(void **state)
{
    struct kit *f = *state;
    struct fh_move move = kit_move(f);
    struct fh_catalog_request first = kit_claim(&move);
    struct fh_catalog_request second = kit_claim(&move);
    run_against(f, &first, &second);
    assert_int_equal(first.code, FH_OK);
    assert_int_equal(second.code, FH_PRECONDITION);
    assert_int_equal(first.as.move_claim.placement.generation, 2);
    assert_int_equal(second.as.move_claim.placement.generation, 2); /* as it is */
    assert_int_equal(second.as.move_claim.move.beat, 1);
    assert_int_equal(kit_number("SELECT generation FROM freehold_catalog.placements"), 2);
    assert_int_equal(kit_number("SELECT beat FROM freehold_catalog.moves"), 1);
}

static void lets_one_of_two_changes_of_state_win(void **state)
{
    struct kit *f = *state;
    struct fh_catalog_request first = kit_advance(&f->tenant, FH_TENANT_SUSPENDED);
    struct fh_catalog_request second = kit_advance(&f->tenant, FH_TENANT_DELETING);
    first.as.advance.generation = second.as.advance.generation = 1;
    first.as.advance.bump_generation = second.as.advance.bump_generation = true;
    run_against(f, &first, &second);
    assert_int_equal(first.code, FH_OK);
    assert_int_equal(second.code, FH_PRECONDITION);
    assert_int_equal(second.as.advance.tenant.state, FH_TENANT_SUSPENDED);
    assert_int_equal(second.as.advance.tenant.placement.generation, 2);
}

/* A switch against whoever takes the move over meanwhile: the switch came first, so it counts, and
 * the other hears of it. The other way round it would have been refused. */
static void lets_a_switch_or_a_takeover_win(void **state)
{
    struct kit *f = *state;
    struct fh_move move = kit_move(f);
    struct fh_catalog_request claim = kit_claim(&move);
    assert_int_equal(kit_run(f, 0, &claim), FH_OK);
    for (enum fh_move_phase phase = FH_MOVE_PLANNED; phase < FH_MOVE_SWITCHING; phase++) {
        struct fh_catalog_request step = {.op = FH_CATALOG_MOVE_ADVANCE};
        step.as.move_advance.uuid = move.uuid;
        step.as.move_advance.generation = 2;
        step.as.move_advance.from = phase;
        step.as.move_advance.to = phase + 1;
        assert_int_equal(kit_run(f, 0, &step), FH_OK);
        move = step.as.move_advance.move;
    }
    struct fh_catalog_request first = {.op = FH_CATALOG_MOVE_SWITCH};
    first.as.move_switch.uuid = move.uuid;
    first.as.move_switch.generation = 2;
    first.as.move_switch.epoch = 1;
    struct fh_catalog_request again = first;
    struct fh_catalog_request second = kit_claim(&move);
    f->handles[1].hint_count = 0;
    run_against(f, &first, &second);
    assert_int_equal(first.code, FH_OK);
    assert_string_equal(first.as.move_switch.placement.store, "south");
    assert_int_equal(first.as.move_switch.placement.epoch, 2);
    assert_int_equal(second.code, FH_PRECONDITION);
    assert_int_equal(second.as.move_claim.move.phase, FH_MOVE_SETTLED);
    kit_await_hint(f, 1, FH_CATALOG_HINT_TENANT, &f->tenant);
    /* Asked again, as behind an unknown outcome: told that it was made. */
    assert_int_equal(kit_run(f, 1, &again), FH_PRECONDITION);
    assert_int_equal(again.as.move_switch.move.phase, FH_MOVE_SETTLED);
    assert_int_equal(again.as.move_switch.placement.epoch, 2);
}

/* Events are numbered as they can be read: whoever reads on from the last number misses none. */
static void numbers_events_without_a_gap(void **state)
{
    struct kit *f = *state;
    struct fh_catalog_request changes[60];
    uint64_t seen = 0;
    struct fh_pgtest_session *holder = kit_hold_commits();
    for (size_t i = 0; i < 60; i++) {
        changes[i] = (struct fh_catalog_request){.op = FH_CATALOG_STORE_CREATE};
        (void)snprintf(changes[i].as.store.name, sizeof(changes[i].as.store.name), "s%zu", i);
        changes[i].as.store.engine = FH_STR("sqlite");
        kit_submit(f, i % 2, &changes[i], 30 * KIT_SECOND_US);
    }
    kit_await_number(f, KIT_WAITING, 2); /* both in their last step */
    fh_pgtest_session_close(holder);
    kit_wait(f);
    for (size_t i = 0; i < 60; i++) {
        assert_int_equal(changes[i].code, FH_OK);
    }
    while (true) {
        struct fh_catalog_request page = {.op = FH_CATALOG_EVENTS};
        page.as.events.after_id = seen;
        page.as.events.limit = 7;
        assert_int_equal(kit_run(f, 1, &page), FH_OK);
        for (size_t i = 0; i < page.as.events.count; i++) {
            assert_int_equal(page.as.events.events[i].id, ++seen);
        }
        if (!page.as.events.more) {
            break;
        }
    }
    assert_int_equal(seen, 2 + 2 + 60); /* of the kit: two stores, a tenant made and activated */
}

struct opener {
    pthread_t thread;
    enum fh_code code;
    struct fh_error error;
    bool closed;
};

static void opener_closed_cb(void *arg)
{
    *(bool *)arg = true;
}

static void *open_and_close(void *arg)
{
    struct opener *opener = arg;
    uv_loop_t loop;
    struct fh_catalog *catalog = NULL;
    if (uv_loop_init(&loop) != 0) {
        return NULL;
    }
    struct fh_env env = {.loop = &loop, .clock = fh_clock_system()};
    opener->code = fh_catalog_pg_open(&env, kit_dsn(), &catalog, &opener->error);
    if (opener->code == FH_OK) {
        fh_catalog_close(catalog, opener_closed_cb, &opener->closed);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    return NULL;
}

static void makes_its_tables_once_for_all(void **state)
{
    struct kit *f = *state;
    struct opener openers[4] = {{.code = FH_INTERNAL}};
    for (size_t i = 0; i < 4; i++) {
        openers[i].code = FH_INTERNAL;
        assert_int_equal(pthread_create(&openers[i].thread, NULL, open_and_close, &openers[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(openers[i].thread, NULL), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(openers[i].error.message, "");
        assert_int_equal(openers[i].code, FH_OK);
        assert_true(openers[i].closed);
    }
    kit_open(f, 0, kit_dsn());
    assert_int_equal(kit_number("SELECT count(*) FROM freehold_catalog.catalog"), 1);
    assert_int_equal(kit_number("SELECT format FROM freehold_catalog.catalog"), 3);
}

static void assert_refused(struct kit *f, enum fh_code code, enum fh_pgtest_role role)
{
    struct fh_catalog *catalog = NULL;
    struct fh_error error = FH_ERROR_INIT;
    const char *dsn = fh_pgtest_dsn(kit_server(), role, FH_PGTEST_UNIX);
    assert_int_equal(fh_catalog_pg_open(&f->env, dsn, &catalog, &error), code);
    assert_int_equal(error.code, code);
    assert_true(error.message[0] != '\0');
}

static void refuses_what_is_no_catalog_of_ours(void **state)
{
    struct kit *f = *state;
    assert_refused(f, FH_PERMISSION, FH_PGTEST_APP);
    assert_true(fh_pgtest_exec(kit_server(), FH_PGTEST_OWNER, "CREATE SCHEMA freehold_catalog"));
    assert_refused(f, FH_INVALID, FH_PGTEST_OWNER);
    assert_true(
        fh_pgtest_exec(kit_server(), FH_PGTEST_OWNER, "DROP SCHEMA freehold_catalog CASCADE"));
    kit_open(f, 0, kit_dsn());
    kit_close(f, 0);
    assert_true(fh_pgtest_exec(kit_server(), FH_PGTEST_OWNER,
                               "UPDATE freehold_catalog.catalog SET format = 4"));
    assert_refused(f, FH_PRECONDITION, FH_PGTEST_OWNER);
}

/* Once it is there, a role without CREATE may use it. */
static void serves_a_role_that_owns_nothing(void **state)
{
    struct kit *f = *state;
    kit_open(f, 0, kit_dsn());
    assert_true(fh_pgtest_exec(
        kit_server(), FH_PGTEST_OWNER,
        "GRANT USAGE ON SCHEMA freehold_catalog TO freehold_app;"
        "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA freehold_catalog TO freehold_app"));
    kit_open(f, 1, fh_pgtest_dsn(kit_server(), FH_PGTEST_APP, FH_PGTEST_UNIX));
    struct fh_catalog_request keys = {.op = FH_CATALOG_PAGE_KEYS};
    assert_int_equal(kit_run(f, 1, &keys), FH_OK);
    assert_int_equal(keys.as.page_keys.count, 1);
}

static void reads_placements_beside_a_sweep(void **state)
{
    struct kit *f = *state;
    /* What the other connection waits for does not hold this one up. */
    struct fh_pgtest_session *holder = fh_pgtest_session_open(
        kit_server(), FH_PGTEST_OWNER,
        "BEGIN; LOCK TABLE freehold_catalog.labels IN ACCESS EXCLUSIVE MODE");
    assert_non_null(holder);
    struct fh_catalog_request store = {.op = FH_CATALOG_TENANT_LIST};
    store.as.list.limit = 1000;
    kit_submit(f, 0, &store, 30 * KIT_SECOND_US);
    kit_await_number(f,
                     "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type='Lock' AND "
                     "application_name='freehold catalog slow'",
                     1);
    struct fh_catalog_request nobody = kit_claim(&(struct fh_move){.uuid = f->tenant});
    kit_submit(f, 0, &nobody, 30 * KIT_SECOND_US);
    while (f->pending > 1) {
        kit_turn(f);
    }
    assert_int_equal(nobody.code, FH_NOT_FOUND);
    fh_pgtest_session_close(holder);
    kit_wait(f);
    assert_int_equal(store.code, FH_OK);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)
#define EMPTY_TEST(name) cmocka_unit_test_setup_teardown(name, kit_set_up_empty, kit_tear_down)
        TEST(tells_others_what_changed),
        TEST(tells_its_own_changes_once),
        TEST(lets_one_of_two_claims_win),
        TEST(lets_one_of_two_changes_of_state_win),
        TEST(lets_a_switch_or_a_takeover_win),
        TEST(numbers_events_without_a_gap),
        TEST(reads_placements_beside_a_sweep),
        EMPTY_TEST(makes_its_tables_once_for_all),
        EMPTY_TEST(refuses_what_is_no_catalog_of_ours),
        EMPTY_TEST(serves_a_role_that_owns_nothing),
    };
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests(tests, kit_start_server, kit_stop_server);
}
