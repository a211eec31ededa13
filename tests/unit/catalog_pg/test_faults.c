/* A server that dies, freezes, hangs up or is cut off: what requests are told, and what is true. */
#include <stdio.h>

#include "tests/lib/proxy.h"
#include "tests/unit/catalog_pg/kit.h"

#define OURS "application_name LIKE 'freehold catalog%'"
#define LANES "application_name IN ('freehold catalog quick','freehold catalog slow')"
#define SHORT_US (KIT_SECOND_US / 2)
#define GENEROUS_US (20 * KIT_SECOND_US) /* against hanging only */

static enum fh_tenant_state state_of(struct kit *f)
{
    struct fh_catalog_request got = kit_get(&f->tenant);
    assert_int_equal(kit_run(f, 1, &got), FH_OK);
    return got.as.get.tenant.state;
}

/* Until the server answers again. */
static void run_until_ok(struct kit *f, size_t handle)
{
    enum fh_code code = FH_UNAVAILABLE;
    while (code == FH_UNAVAILABLE) {
        struct fh_catalog_request got = kit_get(&f->tenant);
        code = kit_run(f, handle, &got);
        kit_turn(f);
    }
    assert_int_equal(code, FH_OK);
}

static void outlives_its_server(void **state)
{
    struct kit *f = *state;
    assert_int_equal(fh_pgtest_kill9(kit_server()), FH_OK);
    for (size_t i = 0; i < 2; i++) {
        struct fh_catalog_request change = kit_advance(&f->tenant, FH_TENANT_SUSPENDED);
        struct fh_catalog_request got = kit_get(&f->tenant);
        struct fh_catalog_request list = {.op = FH_CATALOG_STORE_LIST};
        kit_submit(f, i, &change, GENEROUS_US);
        kit_submit(f, i, &got, GENEROUS_US);
        kit_submit(f, i, &list, GENEROUS_US);
        kit_wait(f);
        assert_int_equal(change.code, FH_UNAVAILABLE);
        assert_int_equal(got.code, FH_UNAVAILABLE);
        assert_int_equal(list.code, FH_UNAVAILABLE);
        assert_true(got.error.message[0] != '\0');
    }
    assert_int_equal(f->handles[0].hint_count, 0);
    assert_int_equal(fh_pgtest_restart(kit_server()), FH_OK);
    run_until_ok(f, 0);
    run_until_ok(f, 1);
    assert_int_equal(state_of(f), FH_TENANT_ACTIVE);
    /* The listener is back: anything may have changed, and from here on what does is heard. */
    kit_await_lost(f, 0);
    kit_await_lost(f, 1);
    kit_forget_hints(f);
    struct fh_catalog_request change = kit_advance(&f->tenant, FH_TENANT_SUSPENDED);
    assert_int_equal(kit_run(f, 0, &change), FH_OK);
    kit_await_hint(f, 1, FH_CATALOG_HINT_TENANT, &f->tenant);
}

/* Idle connections that the server ended: found before anything is sent, so nobody notices. */
static void does_not_send_into_a_dead_connection(void **state)
{
    struct kit *f = *state;
    for (int i = 0; i < 5; i++) {
        assert_true(fh_pgtest_exec(kit_server(), FH_PGTEST_SUPERUSER,
                                   "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                   "WHERE " OURS));
        kit_await_number(f, "SELECT count(*) FROM pg_stat_activity WHERE " LANES, 0);
        struct fh_catalog_request change =
            kit_advance(&f->tenant, i % 2 == 0 ? FH_TENANT_SUSPENDED : FH_TENANT_ACTIVE);
        assert_int_equal(kit_run(f, 0, &change), FH_OK);
    }
    assert_int_equal(state_of(f), FH_TENANT_SUSPENDED);
}

static int64_t elapsed_us(struct kit *f, int64_t since_us)
{
    return fh_clock_monotonic_us(f->env.clock) - since_us;
}

static void keeps_deadlines_with_a_frozen_server(void **state)
{
    struct kit *f = *state;
    assert_int_equal(fh_pgtest_freeze(kit_server()), FH_OK);
    int64_t since_us = fh_clock_monotonic_us(f->env.clock);
    struct fh_catalog_request change = kit_advance(&f->tenant, FH_TENANT_SUSPENDED);
    struct fh_catalog_request behind = kit_get(&f->tenant);
    struct fh_catalog_request list = {.op = FH_CATALOG_STORE_LIST};
    kit_submit(f, 0, &change, SHORT_US);
    kit_submit(f, 0, &behind, SHORT_US);
    kit_submit(f, 0, &list, SHORT_US);
    kit_wait(f);
    assert_true(elapsed_us(f, since_us) < GENEROUS_US);
    assert_int_equal(change.code, FH_DEADLINE); /* nothing was to be committed yet */
    assert_int_equal(behind.code, FH_DEADLINE);
    assert_int_equal(list.code, FH_DEADLINE);
    assert_int_equal(fh_pgtest_thaw(kit_server()), FH_OK);
    run_until_ok(f, 0);
    assert_int_equal(state_of(f), FH_TENANT_ACTIVE);
}

/* COMMIT was sent when the server froze: unknown, within the deadline. Asked again, the change
 * waits for what became of the first, and is made once. */
static void tells_an_unknown_outcome(void **state)
{
    struct kit *f = *state;
    struct fh_pgtest_session *holder = kit_hold_commits();
    struct fh_catalog_request change = kit_advance(&f->tenant, FH_TENANT_SUSPENDED);
    change.as.advance.from_states = 1u << FH_TENANT_ACTIVE;
    change.as.advance.generation = 1;
    change.as.advance.bump_generation = true;
    struct fh_catalog_request again = change;
    int64_t since_us = fh_clock_monotonic_us(f->env.clock);
    kit_submit(f, 0, &change, 5 * KIT_SECOND_US);
    kit_await_number(f, KIT_WAITING, 1);
    assert_int_equal(fh_pgtest_freeze(kit_server()), FH_OK);
    kit_wait(f);
    assert_int_equal(change.code, FH_OUTCOME_UNKNOWN);
    assert_true(elapsed_us(f, since_us) < GENEROUS_US);
    assert_true(kit_told(f, 0, FH_CATALOG_HINT_TENANT, &f->tenant)); /* look again */
    assert_int_equal(fh_pgtest_thaw(kit_server()), FH_OK);
    fh_pgtest_session_close(holder);
    enum fh_code code = FH_UNAVAILABLE;
    while (code == FH_UNAVAILABLE) {
        code = kit_run(f, 0, &again);
        kit_turn(f);
    }
    if (code == FH_PRECONDITION) { /* the first was made */
        assert_int_equal(again.as.advance.tenant.state, FH_TENANT_SUSPENDED);
    } else {
        assert_int_equal(code, FH_OK);
    }
    assert_int_equal(state_of(f), FH_TENANT_SUSPENDED);
    assert_int_equal(kit_number("SELECT generation FROM freehold_catalog.placements"), 2);
    assert_int_equal(kit_number("SELECT count(*) FROM freehold_catalog.operator_events WHERE "
                                "detail='active -> suspended, generation 2'"),
                     1);
}

/* A lock that nobody lets go: the change gives up by itself, and nothing happened. */
static void does_not_wait_for_ever_for_a_lock(void **state)
{
    struct kit *f = *state;
    struct fh_pgtest_session *holder =
        fh_pgtest_session_open(kit_server(), FH_PGTEST_OWNER,
                               "BEGIN; SELECT * FROM freehold_catalog.placements FOR UPDATE");
    assert_non_null(holder);
    struct fh_catalog_request late = kit_advance(&f->tenant, FH_TENANT_SUSPENDED);
    assert_int_equal(kit_run_within(f, 0, &late, SHORT_US), FH_DEADLINE);
    struct fh_catalog_request refused = kit_advance(&f->tenant, FH_TENANT_SUSPENDED);
    assert_int_equal(kit_run(f, 0, &refused), FH_UNAVAILABLE);
    fh_pgtest_session_close(holder);
    assert_int_equal(state_of(f), FH_TENANT_ACTIVE);
    struct fh_catalog_request change = kit_advance(&f->tenant, FH_TENANT_SUSPENDED);
    assert_int_equal(kit_run(f, 0, &change), FH_OK);
}

static struct fh_proxy *open_through_proxy(struct kit *f, size_t handle)
{
    struct fh_proxy *proxy = NULL;
    char dsn[256];
    assert_int_equal(fh_proxy_start(fh_pgtest_port(kit_server()), &proxy), FH_OK);
    (void)snprintf(dsn, sizeof(dsn), "host=127.0.0.1 port=%u user=freehold_owner dbname=freehold",
                   fh_proxy_port(proxy));
    kit_open(f, handle, dsn);
    return proxy;
}

static enum fh_code toggle(struct kit *f, size_t handle, int round)
{
    struct fh_catalog_request change =
        kit_advance(&f->tenant, round % 2 == 0 ? FH_TENANT_SUSPENDED : FH_TENANT_ACTIVE);
    return kit_run(f, handle, &change);
}

static struct fh_catalog_request creation(struct kit *f)
{
    struct fh_catalog_request made = {.op = FH_CATALOG_TENANT_CREATE};
    made.as.tenant.uuid = fh_uuid_v7(fh_clock_realtime_us(f->env.clock));
    made.as.tenant.slug = FH_STR("bolt");
    made.as.tenant.placement =
        (struct fh_placement){.store = "north",
                              .home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED},
                              .epoch = 1,
                              .generation = 1};
    return made;
}

/* The answer to COMMIT is cut off: it may have been made, and was; asked again, it is found. */
static void tells_a_cut_behind_commit(void **state)
{
    struct kit *f = *state;
    struct fh_proxy *proxy = open_through_proxy(f, 2);
    struct fh_pgtest_session *holder = kit_hold_commits();
    struct fh_catalog_request made = creation(f); /* nobody is told of: no byte but the answer's */
    struct fh_catalog_request again = creation(f);
    kit_prepare(f, 2, &made, GENEROUS_US);
    made.audit.request_id = FH_STR("once");
    assert_int_equal(fh_catalog_submit(f->handles[2].catalog, &made), FH_OK);
    f->pending++;
    kit_await_number(f, KIT_WAITING, 1);
    fh_proxy_cut_after(proxy, FH_PROXY_TO_CLIENT, 0);
    fh_pgtest_session_close(holder);
    kit_wait(f);
    assert_int_equal(made.code, FH_OUTCOME_UNKNOWN);
    assert_int_equal(fh_proxy_cuts(proxy), 1);
    kit_prepare(f, 2, &again, GENEROUS_US);
    again.audit.request_id = FH_STR("once");
    assert_int_equal(fh_catalog_submit(f->handles[2].catalog, &again), FH_OK);
    f->pending++;
    kit_wait(f);
    assert_int_equal(again.code, FH_OK);
    assert_true(fh_uuid_eq(&again.as.tenant.uuid, &made.as.tenant.uuid));
    kit_close(f, 2);
    fh_proxy_stop(proxy);
}

/* COMMIT itself is cut off: told the same, and was not made. */
static void tells_a_cut_within_commit(void **state)
{
    struct kit *f = *state;
    const size_t sync = 5; /* bytes, behind COMMIT */
    struct fh_proxy *proxy = open_through_proxy(f, 2);
    for (int i = 0; i < 2; i++) { /* every statement is prepared now */
        assert_int_equal(toggle(f, 2, i), FH_OK);
    }
    size_t before = fh_proxy_carried(proxy, FH_PROXY_TO_SERVER);
    assert_int_equal(toggle(f, 2, 0), FH_OK);
    size_t bytes = fh_proxy_carried(proxy, FH_PROXY_TO_SERVER) - before;
    assert_int_equal(toggle(f, 2, 1), FH_OK);
    fh_proxy_cut_after(proxy, FH_PROXY_TO_SERVER, bytes - sync - 1);
    assert_int_equal(toggle(f, 2, 0), FH_OUTCOME_UNKNOWN);
    assert_int_equal(fh_proxy_cuts(proxy), 1);
    struct fh_catalog_request again = kit_advance(&f->tenant, FH_TENANT_SUSPENDED);
    again.as.advance.from_states = 1u << FH_TENANT_ACTIVE;
    assert_int_equal(kit_run(f, 2, &again), FH_OK);
    kit_close(f, 2);
    fh_proxy_stop(proxy);
}

/* Cut in the first half of a change: nothing happened, and it is told so. A read is done again. */
static void tells_a_cut_before_commit(void **state)
{
    struct kit *f = *state;
    struct fh_proxy *proxy = open_through_proxy(f, 2);
    assert_int_equal(toggle(f, 2, 0), FH_OK);
    assert_int_equal(toggle(f, 2, 1), FH_OK);
    fh_proxy_cut_after(proxy, FH_PROXY_TO_SERVER, 10);
    assert_int_equal(toggle(f, 2, 0), FH_UNAVAILABLE);
    assert_int_equal(fh_proxy_cuts(proxy), 1);
    assert_int_equal(state_of(f), FH_TENANT_ACTIVE);
    struct fh_catalog_request got = kit_get(&f->tenant);
    assert_int_equal(kit_run(f, 2, &got), FH_OK);
    fh_proxy_cut_after(proxy, FH_PROXY_TO_SERVER, 10);
    assert_int_equal(kit_run(f, 2, &got), FH_OK);
    assert_int_equal(fh_proxy_cuts(proxy), 2);
    kit_close(f, 2);
    fh_proxy_stop(proxy);
}

/* A peer that takes nothing and says nothing: to connect fails in its own time, which a request
 * with little time does not have; then requests fail at once for a while. */
static void gives_up_connecting_to_a_silent_peer(void **state)
{
    struct kit *f = *state;
    struct fh_proxy *proxy = NULL;
    char dsn[256];
    assert_int_equal(fh_proxy_start(fh_pgtest_port(kit_server()), &proxy), FH_OK);
    (void)snprintf(dsn, sizeof(dsn),
                   "host=127.0.0.1 port=%u user=freehold_owner dbname=freehold connect_timeout=1",
                   fh_proxy_port(proxy));
    kit_open(f, 2, dsn);
    fh_proxy_hold(proxy, true);
    struct fh_catalog_request early = kit_get(&f->tenant);
    assert_int_equal(kit_run_within(f, 2, &early, KIT_SECOND_US / 20), FH_DEADLINE);
    struct fh_catalog_request patient = kit_get(&f->tenant);
    assert_int_equal(kit_run_within(f, 2, &patient, GENEROUS_US), FH_UNAVAILABLE);
    fh_proxy_hold(proxy, false);
    run_until_ok(f, 2);
    struct fh_catalog *catalog = NULL;
    struct fh_error error = FH_ERROR_INIT;
    fh_proxy_hold(proxy, true);
    assert_int_equal(fh_catalog_pg_open(&f->env, dsn, &catalog, &error), FH_UNAVAILABLE);
    kit_close(f, 2);
    fh_proxy_stop(proxy);
}

static void closes_with_requests_in_flight(void **state)
{
    struct kit *f = *state;
    struct fh_pgtest_session *holder = kit_hold_commits();
    struct fh_catalog_request requests[9];
    requests[0] = kit_advance(&f->tenant, FH_TENANT_SUSPENDED);
    kit_submit(f, 0, &requests[0], 30 * KIT_SECOND_US);
    kit_await_number(f, KIT_WAITING, 1);
    assert_int_equal(fh_pgtest_freeze(kit_server()), FH_OK);
    for (size_t i = 1; i < 9; i++) {
        requests[i] = kit_get(&f->tenant);
        if (i % 2 == 0) {
            requests[i] = (struct fh_catalog_request){.op = FH_CATALOG_STORE_LIST};
        }
        kit_submit(f, 0, &requests[i], 600 * KIT_SECOND_US);
    }
    kit_close(f, 0); /* fails when it takes a minute */
    assert_int_equal(f->pending, 0);
    assert_int_equal(requests[0].code, FH_OUTCOME_UNKNOWN);
    for (size_t i = 1; i < 9; i++) {
        assert_true(requests[i].code == FH_SHUTTING_DOWN || requests[i].code == FH_UNAVAILABLE);
    }
    assert_int_equal(fh_pgtest_thaw(kit_server()), FH_OK);
    fh_pgtest_session_close(holder);
}

static void answers_what_is_queued_when_it_closes(void **state)
{
    struct kit *f = *state;
    struct fh_catalog_request requests[200];
    for (size_t i = 0; i < 200; i++) {
        requests[i] = i % 2 == 0 ? kit_get(&f->tenant)
                                 : (struct fh_catalog_request){.op = FH_CATALOG_STORE_LIST};
        kit_submit(f, 0, &requests[i], 30 * KIT_SECOND_US);
    }
    kit_close(f, 0);
    assert_int_equal(f->pending, 0);
    for (size_t i = 0; i < 200; i++) {
        assert_true(requests[i].code == FH_OK || requests[i].code == FH_SHUTTING_DOWN);
    }
    assert_int_equal(requests[0].code, FH_OK);
}

static void refuses_more_than_its_queue_holds(void **state)
{
    struct kit *f = *state;
    static struct fh_catalog_request requests[4200];
    size_t taken = 0;
    assert_int_equal(fh_pgtest_freeze(kit_server()), FH_OK);
    while (taken < 4200) {
        requests[taken] = kit_get(&f->tenant);
        kit_prepare(f, 0, &requests[taken], 600 * KIT_SECOND_US);
        if (fh_catalog_submit(f->handles[0].catalog, &requests[taken]) != FH_OK) {
            break;
        }
        f->pending++;
        taken++;
    }
    assert_int_equal(taken, 4096);
    assert_int_equal(requests[taken].error.code, FH_FULL);
    assert_int_equal(fh_pgtest_thaw(kit_server()), FH_OK);
    kit_wait(f);
    for (size_t i = 0; i < taken; i++) {
        assert_int_equal(requests[i].code, FH_OK);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)
        TEST(outlives_its_server),
        TEST(does_not_send_into_a_dead_connection),
        TEST(keeps_deadlines_with_a_frozen_server),
        TEST(tells_an_unknown_outcome),
        TEST(does_not_wait_for_ever_for_a_lock),
        TEST(tells_a_cut_behind_commit),
        TEST(tells_a_cut_within_commit),
        TEST(tells_a_cut_before_commit),
        TEST(gives_up_connecting_to_a_silent_peer),
        TEST(closes_with_requests_in_flight),
        TEST(answers_what_is_queued_when_it_closes),
        TEST(refuses_more_than_its_queue_holds),
    };
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests(tests, kit_start_server, kit_stop_server);
}
