/* What rollouts wait for, and how long: schema changes that take all the time they have, and moves
 * whose switch does not end. The roller's clock is ahead of everybody else's by as much as was
 * waited. */
#include "router/roller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "tests/unit/router/world.h"

#define CHANGE_US (600 * (int64_t)1000000)
#define CHANGES_MAX 16

struct fixture {
    struct world world; /* first */
    struct fh_schemas *schemas;
    struct fh_roller *roller;
    struct fh_env env; /* the roller's */
    struct fh_clock clock;
    int64_t ahead_us;
    struct fh_store_ops ops; /* the store's, but for schema changes */
    enum fh_code (*submit)(struct fh_store *store, struct fh_request *request);
    struct fh_request *change; /* that waits for the test to say how it ends */
    struct fh_request *asked;  /* for the shared home's version: waits, too */
    bool asks_wait;
    bool slow; /* changes do */
    bool own;  /* only those of tenants' own homes */
    size_t changes;
    bool done;
    struct fh_schemas_result result;
};

static struct fixture *fixture;

static int64_t realtime_us(void *arg)
{
    (void)arg;
    return fh_clock_realtime_us(fh_clock_system());
}

static int64_t monotonic_us(void *arg)
{
    const struct fixture *f = arg;
    return fh_clock_monotonic_us(fh_clock_system()) + f->ahead_us;
}

static enum fh_code submit(struct fh_store *store, struct fh_request *request)
{
    if (request->op == FH_OP_FENCE_READ && fixture->asks_wait &&
        !fh_home_is_dedicated(&request->scope.home)) {
        fixture->asks_wait = false;
        fixture->asked = request;
        return FH_OK;
    }
    if (request->op != FH_OP_SCHEMA_APPLY || !fixture->slow ||
        (fixture->own && !fh_home_is_dedicated(&request->scope.home))) {
        return fixture->submit(store, request);
    }
    assert_null(fixture->change); /* there is one such home */
    assert_true(fixture->changes++ < CHANGES_MAX);
    fixture->change = request;
    return FH_OK;
}

static void done_cb(const struct fh_schemas_result *result, void *arg)
{
    struct fixture *f = arg;
    f->result = *result;
    f->done = true;
}

static void wait(struct fixture *f)
{
    while (!f->done) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
}

static void create_roller(struct fixture *f)
{
    struct fh_roller_options options;
    fh_roller_options_init(&options);
    options.poll_us = 20000;
    options.beat_us = 20000;
    assert_int_equal(fh_roller_create(&f->env, f->world.catalog, f->world.router, f->schemas,
                                      &options, &f->roller),
                     FH_OK);
}

static void close_roller(struct fixture *f)
{
    f->slow = false;
    if (f->change != NULL) {
        fh_request_complete(f->change, FH_CANCELLED);
        f->change = NULL;
    }
    f->world.done = false;
    fh_roller_close(f->roller, world_closed_cb, &f->world);
    world_wait(&f->world);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f)); /* NOLINT(fh-alloc): the test's own */
    static const struct fh_migration files[] = {
        {FH_STR("0001_packages.sql"), FH_STR("create table packages (id bigint primary key);")},
        {FH_STR("0002_weight.sql"), FH_STR("alter table packages add column weight bigint;")},
    };
    assert_non_null(f);
    fixture = f;
    world_open(&f->world);
    f->submit = f->world.store->ops->submit;
    f->ops = *f->world.store->ops;
    f->ops.submit = submit;
    f->world.store->ops = &f->ops;
    f->clock =
        (struct fh_clock){.realtime_us = realtime_us, .monotonic_us = monotonic_us, .arg = f};
    f->env = (struct fh_env){.loop = &f->world.loop, .clock = &f->clock};
    assert_int_equal(
        fh_schemas_create(&f->world.env, f->world.catalog, f->world.router, &f->schemas), FH_OK);
    assert_int_equal(fh_schemas_load(f->schemas, world_deadline(&f->world), done_cb, f), FH_OK);
    wait(f);
    for (size_t i = 0; i < 2; i++) {
        struct fh_audit_context audit = {.actor = FH_STR("root"), .reason = FH_STR("weights")};
        f->done = false;
        assert_int_equal(fh_schemas_apply(f->schemas, files, i + 1, false, NULL, &audit,
                                          world_deadline(&f->world), done_cb, f),
                         FH_OK);
        wait(f);
        assert_int_equal(f->result.code, FH_OK);
        if (i == 0) { /* version 1 is everybody's, without a rollout's help */
            struct fh_request request = {.op = FH_OP_SCHEMA_APPLY,
                                         .as.schema.target = fh_schemas_current(f->schemas)};
            struct fh_catalog_request over = {.op = FH_CATALOG_ROLLOUT_WISH};
            assert_int_equal(world_ask_store(&f->world, &request), FH_OK);
            over.audit.actor = FH_STR("root");
            over.as.rollout_wish.uuid = f->result.rollout;
            over.as.rollout_wish.wish = FH_ROLLOUT_WISH_CANCEL;
            assert_int_equal(world_ask(&f->world, &over), FH_OK);
        }
    }
    create_roller(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->asked != NULL) { /* of a test that failed */
        fh_request_complete(f->asked, FH_CANCELLED);
    }
    close_roller(f);
    world_close_parts(&f->world);
    fh_schemas_destroy(f->schemas);
    world_remove_dir(&f->world);
    free(f); /* NOLINT(fh-alloc): the test's own */
    assert_int_equal(fh_alloc_live(), 0);
    return 0;
}

/* The next change ends so, behind its deadline or before it. */
static void end_change(struct fixture *f, enum fh_code code, uint32_t seen, bool late)
{
    while (f->change == NULL) {
        f->ahead_us += 100000; /* the pause before it is long */
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    struct fh_request *request = f->change;
    f->change = NULL;
    f->ahead_us += late ? CHANGE_US : 0;
    request->as.schema.version_seen = seen;
    fh_request_complete(request, code);
}

static struct fh_rollout rollout_of(struct fixture *f)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_ROLLOUT_GET};
    fh_arena_reset(&f->world.arena);
    request.as.rollout_get.uuid = f->result.rollout;
    assert_int_equal(world_ask(&f->world, &request), FH_OK);
    return request.as.rollout_get.rollout;
}

static void assert_failed(struct fixture *f, size_t changes)
{
    while (rollout_of(f).wish != FH_ROLLOUT_WISH_PAUSE) {
        assert_null(f->change); /* not once more */
        f->ahead_us += 100000;
        uv_run(&f->world.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(rollout_of(f).progress.homes_failed, 1);
    assert_int_equal(f->changes, changes);
    struct fh_catalog_request homes = {.op = FH_CATALOG_ROLLOUT_HOMES};
    homes.as.rollout_homes.uuid = f->result.rollout;
    homes.as.rollout_homes.states = 1u << FH_ROLLOUT_HOME_FAILED;
    homes.as.rollout_homes.limit = FH_PAGE_MAX;
    assert_int_equal(world_ask(&f->world, &homes), FH_OK);
    assert_int_equal(homes.as.rollout_homes.count, 1);
    assert_non_null(strstr(homes.as.rollout_homes.homes[0].message.data, "within 600 s"));
}

static void resume(struct fixture *f)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_ROLLOUT_WISH};
    f->slow = false;
    request.audit.actor = FH_STR("root");
    request.as.rollout_wish.uuid = f->result.rollout;
    request.as.rollout_wish.wish = FH_ROLLOUT_WISH_RUN;
    assert_int_equal(world_ask(&f->world, &request), FH_OK);
    while (rollout_of(f).phase != FH_ROLLOUT_DONE) {
        uv_run(&f->world.loop, UV_RUN_NOWAIT);
    }
}

static void start_slow(struct fixture *f)
{
    f->slow = true;
    fh_roller_start(f->roller);
}

static void fails_what_takes_too_long_three_times(void **state)
{
    struct fixture *f = *state;
    start_slow(f);
    end_change(f, FH_DEADLINE, 1, true);
    end_change(f, FH_OUTCOME_UNKNOWN, 1, true); /* that is how a lost commit ends */
    end_change(f, FH_DEADLINE, 1, true);
    assert_failed(f, 3);
    resume(f);
}

/* What else ends so counts for nothing, however often. */
static void goes_on_trying_what_was_not_begun_or_cut_short(void **state)
{
    struct fixture *f = *state;
    start_slow(f);
    for (size_t i = 0; i < 2; i++) {
        end_change(f, FH_DEADLINE, 0, true);         /* others were before it in the store */
        end_change(f, FH_DEADLINE, 1, false);        /* somebody ended its statement */
        end_change(f, FH_OUTCOME_UNKNOWN, 1, false); /* the connection was lost */
        end_change(f, FH_CONFLICT, 1, true);         /* a lock */
        end_change(f, FH_DEADLINE, 1, true);         /* this counts */
    }
    end_change(f, FH_DEADLINE, 1, true);
    assert_failed(f, 11);
    resume(f);
}

/* The last one had ended well, behind what was heard of it. */
static void asks_before_it_fails_a_home(void **state)
{
    struct fixture *f = *state;
    start_slow(f);
    end_change(f, FH_DEADLINE, 1, true);
    end_change(f, FH_DEADLINE, 1, true);
    struct fh_request request = {.op = FH_OP_SCHEMA_APPLY,
                                 .as.schema.target = fh_schemas_current(f->schemas)};
    while (f->change == NULL) {
        f->ahead_us += 100000;
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    f->slow = false;
    assert_int_equal(world_ask_store(&f->world, &request), FH_OK);
    end_change(f, FH_OUTCOME_UNKNOWN, 1, true);
    while (rollout_of(f).phase != FH_ROLLOUT_DONE) {
        f->ahead_us += 100000;
        uv_run(&f->world.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(rollout_of(f).progress.homes_failed, 0);
    assert_int_equal(f->changes, 3);
}

/* The first change of a home that nobody has asked for its version counts as well. */
static void counts_from_the_first_change(void **state)
{
    struct fixture *f = *state;
    struct fh_home home;
    struct fh_catalog_request request = {.op = FH_CATALOG_TENANT_CREATE};
    const struct fh_uuid tenant = fh_uuid_v7(fh_clock_realtime_us(f->world.env.clock));
    fh_home_of(FH_TIER_SCHEMA, &tenant, &home);
    world_make_home(&f->world, &tenant, &home, fh_schema_at(fh_schemas_current(f->schemas), 1));
    request.audit.actor = FH_STR("root");
    request.as.tenant.uuid = tenant;
    request.as.tenant.slug = FH_STR("acme");
    request.as.tenant.placement =
        (struct fh_placement){.store = "main", .epoch = 1, .generation = 1, .home = home};
    assert_int_equal(world_ask(&f->world, &request), FH_OK);
    request = (struct fh_catalog_request){.op = FH_CATALOG_TENANT_ADVANCE};
    request.audit.actor = FH_STR("root");
    request.as.advance.uuid = tenant;
    request.as.advance.from_states = 1u << FH_TENANT_PROVISIONING;
    request.as.advance.to = FH_TENANT_ACTIVE;
    assert_int_equal(world_ask(&f->world, &request), FH_OK);
    f->own = true;
    start_slow(f);
    for (size_t i = 0; i < 3; i++) {
        end_change(f, FH_DEADLINE, 1, true);
    }
    assert_failed(f, 3);
    resume(f);
}

static void advance(struct fixture *f, struct fh_move *move, enum fh_move_phase to)
{
    while (move->phase != to) {
        struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_ADVANCE};
        request.audit.actor = FH_STR("root");
        request.as.move_advance.uuid = move->uuid;
        request.as.move_advance.generation = move->generation;
        request.as.move_advance.from = move->phase;
        request.as.move_advance.to = (enum fh_move_phase)(move->phase + 1);
        assert_int_equal(world_ask(&f->world, &request), FH_OK);
        *move = request.as.move_advance.move;
    }
}

/* Out of the shared home, into one of its own that is made at version 1. */
static struct fh_move move_out(struct fixture *f, struct fh_uuid *tenant, struct fh_home *home,
                               enum fh_move_phase phase)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_CREATE};
    assert_int_equal(world_create(&f->world, "acme", "one"), FH_OK);
    *tenant = f->world.tenant.uuid;
    fh_home_of(FH_TIER_SCHEMA, tenant, home);
    world_make_home(&f->world, tenant, home, fh_schema_at(fh_schemas_current(f->schemas), 1));
    request.audit.actor = FH_STR("root");
    request.as.move.uuid = fh_uuid_v7(fh_clock_realtime_us(f->world.env.clock));
    request.as.move.tenant = *tenant;
    (void)snprintf(request.as.move.target_store, FH_STORE_NAME_MAX + 1, "main");
    request.as.move.target_home = *home;
    assert_int_equal(world_ask(&f->world, &request), FH_OK);
    struct fh_move move = request.as.move;
    request = (struct fh_catalog_request){.op = FH_CATALOG_MOVE_CLAIM};
    request.audit.actor = FH_STR("root");
    request.as.move_claim.uuid = move.uuid;
    request.as.move_claim.beat = move.beat;
    request.as.move_claim.worker = move.uuid;
    assert_int_equal(world_ask(&f->world, &request), FH_OK);
    move = request.as.move_claim.move;
    advance(f, &move, phase);
    return move;
}

static void lets_time_pass(struct fixture *f)
{
    f->ahead_us += 100000;
    uv_run(&f->world.loop, UV_RUN_NOWAIT);
}

/* The shared home goes ahead of a switch that stands still, whose target is a version behind: the
 * rollout is not over before that is seen to. */
static void follows_a_move_that_was_switching(void **state)
{
    struct fixture *f = *state;
    const struct fh_home shared = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED};
    struct fh_uuid tenant;
    struct fh_home home;
    struct fh_move move = move_out(f, &tenant, &home, FH_MOVE_SWITCHING);
    fh_roller_start(f->roller);
    while (rollout_of(f).message.len == 0) {
        lets_time_pass(f);
        assert_int_not_equal(rollout_of(f).phase, FH_ROLLOUT_DONE);
    }
    assert_int_equal(world_version_of(&f->world, &tenant, &shared), 2);
    uint64_t passes = rollout_of(f).progress.passes;
    for (int i = 0; i < 100 || !rollout_of(f).progress.at_rest; i++) {
        lets_time_pass(f);
    }
    assert_int_equal(rollout_of(f).phase, FH_ROLLOUT_ROLLING);
    assert_true(rollout_of(f).progress.passes <= passes + 1); /* it asks for the move alone */
    assert_int_equal(world_version_of(&f->world, &tenant, &home), 1);
    /* The generation that a mover's claim raises is the fence's, too. */
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_SWITCH};
    request.audit.actor = FH_STR("root");
    request.as.move_switch.uuid = move.uuid;
    request.as.move_switch.generation = move.generation;
    request.as.move_switch.epoch = 1;
    assert_int_equal(world_ask(&f->world, &request), FH_OK);
    assert_int_equal(request.as.move_switch.move.phase, FH_MOVE_SETTLED);
    struct fh_request fence = {
        .op = FH_OP_FENCE_SET,
        .scope = {.tenant = tenant, .epoch = 1, .home = home},
        .as.fence = {.expected = {.epoch = 1, .generation = 1, .mode = FH_FENCE_OPEN},
                     .desired = {.epoch = request.as.move_switch.placement.epoch,
                                 .generation = request.as.move_switch.placement.generation,
                                 .mode = FH_FENCE_OPEN}},
    };
    assert_int_equal(world_ask_home(&f->world, &fence), FH_OK);
    move = request.as.move_switch.move;
    advance(f, &move, FH_MOVE_DONE); /* a home whose source is not erased yet waits */
    while (rollout_of(f).phase != FH_ROLLOUT_DONE) {
        lets_time_pass(f);
    }
    assert_int_equal(world_version_of(&f->world, &tenant, &home), 2);
    assert_int_equal(rollout_of(f).message.len, 0);
}

/* What a dead worker had begun ends while its follower walks: the follower finds nothing behind,
 * though a move began to switch before that, which no question of that walk's told. */
static void follows_a_move_that_switched_under_a_dead_worker(void **state)
{
    struct fixture *f = *state;
    struct fh_uuid tenant;
    struct fh_home home;
    struct fh_request ended = {.op = FH_OP_SCHEMA_APPLY,
                               .as.schema.target = fh_schemas_current(f->schemas)};
    struct fh_move move = move_out(f, &tenant, &home, FH_MOVE_PREPARING);
    start_slow(f);
    while (f->change == NULL) {
        lets_time_pass(f);
    }
    close_roller(f);
    create_roller(f);
    f->asks_wait = true;
    fh_roller_start(f->roller);
    while (f->asked == NULL) {
        lets_time_pass(f);
    }
    struct fh_request *asked = f->asked;
    f->asked = NULL;
    advance(f, &move, FH_MOVE_SWITCHING);
    assert_int_equal(world_ask_store(&f->world, &ended), FH_OK);
    assert_int_equal(f->submit(f->world.store, asked), FH_OK);
    while (rollout_of(f).message.len == 0) { /* it waits for the move */
        lets_time_pass(f);
        assert_int_not_equal(rollout_of(f).phase, FH_ROLLOUT_DONE);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fails_what_takes_too_long_three_times),
        TEST(goes_on_trying_what_was_not_begun_or_cut_short),
        TEST(asks_before_it_fails_a_home),
        TEST(counts_from_the_first_change),
        TEST(follows_a_move_that_was_switching),
        TEST(follows_a_move_that_switched_under_a_dead_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
