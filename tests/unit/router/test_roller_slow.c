/* Schema changes that take all the time they have: tried a few times, then the home has failed. The
 * roller's clock is ahead of everybody else's by as much as such changes took. */
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
    bool slow;                 /* changes do */
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
    if (request->op != FH_OP_SCHEMA_APPLY || !fixture->slow) {
        return fixture->submit(store, request);
    }
    assert_null(fixture->change); /* there is one home */
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

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f)); /* NOLINT(fh-alloc): the test's own */
    struct fh_roller_options options;
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
    f->slow = true;
    fh_roller_options_init(&options);
    options.poll_us = 20000;
    options.beat_us = 20000;
    assert_int_equal(fh_roller_create(&f->env, f->world.catalog, f->world.router, f->schemas,
                                      &options, &f->roller),
                     FH_OK);
    fh_roller_start(f->roller);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    f->world.done = false;
    fh_roller_close(f->roller, world_closed_cb, &f->world);
    world_wait(&f->world);
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

static void fails_what_takes_too_long_three_times(void **state)
{
    struct fixture *f = *state;
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
    end_change(f, FH_DEADLINE, 1, true);
    end_change(f, FH_DEADLINE, 1, true);
    f->slow = false;
    struct fh_request request = {.op = FH_OP_SCHEMA_APPLY,
                                 .as.schema.target = fh_schemas_current(f->schemas)};
    assert_null(f->change);
    f->slow = true;
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fails_what_takes_too_long_three_times),
        TEST(goes_on_trying_what_was_not_begun_or_cut_short),
        TEST(asks_before_it_fails_a_home),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
