/* The roller over a real catalog file and a store of the memory engine that can be made to fail:
 * hundreds of homes, canaries, pauses, budgets, locks, moves, and a second worker. */
#include "router/roller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "stores/fault/fault.h"
#include "tests/unit/router/world.h"

#define HOMES 200
#define ROLLERS 2

struct fixture {
    struct world world;     /* first */
    struct fh_store *store; /* "main", that misbehaves when told to */
    struct fh_schemas *schemas;
    struct fh_roller *rollers[ROLLERS];
    struct fh_uuid tenants[HOMES];
    size_t tenant_count;
    bool done;
    struct fh_schemas_result result;
};

static const struct fh_migration files[] = {
    {FH_STR("0001_packages.sql"),
     FH_STR("create table packages (id bigint primary key, name text not null);")},
    {FH_STR("0002_weight.sql"), FH_STR("alter table packages add column weight bigint;")},
};

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

static void apply(struct fixture *f, size_t count, const struct fh_rollout_settings *settings)
{
    struct fh_audit_context audit = {.actor = FH_STR("root"), .reason = FH_STR("weights")};
    f->done = false;
    assert_int_equal(fh_schemas_apply(f->schemas, files, count, false, settings, &audit,
                                      world_deadline(&f->world), done_cb, f),
                     FH_OK);
    wait(f);
    assert_int_equal(f->result.code, FH_OK);
    assert_true(f->result.has_rollout);
}

static struct fh_rollout rollout_of(struct fixture *f)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_ROLLOUT_GET};
    fh_arena_reset(&f->world.arena);
    request.as.rollout_get.uuid = f->result.rollout;
    assert_int_equal(world_ask(&f->world, &request), FH_OK);
    return request.as.rollout_get.rollout;
}

static void wish(struct fixture *f, enum fh_rollout_wish what)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_ROLLOUT_WISH};
    request.audit.actor = FH_STR("root");
    request.as.rollout_wish.uuid = f->result.rollout;
    request.as.rollout_wish.wish = what;
    assert_int_equal(world_ask(&f->world, &request), FH_OK);
}

typedef bool is_met(const struct fh_rollout *rollout);

static struct fh_rollout until(struct fixture *f, is_met *met)
{
    for (;;) {
        struct fh_rollout rollout = rollout_of(f);
        if (met(&rollout)) {
            return rollout;
        }
        uv_run(&f->world.loop, UV_RUN_NOWAIT);
    }
}

static bool has_ended(const struct fh_rollout *rollout)
{
    return fh_rollout_is_finished(rollout->phase);
}

static bool is_paused(const struct fh_rollout *rollout)
{
    return rollout->wish == FH_ROLLOUT_WISH_PAUSE;
}

static void start_roller(struct fixture *f, size_t which, int64_t takeover_after_us)
{
    struct fh_roller_options options;
    fh_roller_options_init(&options);
    options.poll_us = 20000;
    options.beat_us = 20000;
    options.takeover_after_us = takeover_after_us;
    assert_int_equal(fh_roller_create(&f->world.env, f->world.catalog, f->world.router, f->schemas,
                                      &options, &f->rollers[which]),
                     FH_OK);
    fh_roller_start(f->rollers[which]);
}

static void stop_roller(struct fixture *f, size_t which)
{
    f->world.done = false;
    fh_roller_close(f->rollers[which], world_closed_cb, &f->world);
    world_wait(&f->world);
    f->rollers[which] = NULL;
}

static void stored_cb(struct fh_request *request)
{
    ((struct fixture *)request->arg)->done = true;
}

/* Brings a tenant and its home to life without a saga: it is the rollout that is tested. */
static void add_tenant(struct fixture *f, enum fh_tier tier)
{
    struct fh_catalog_request made = {.op = FH_CATALOG_TENANT_CREATE};
    struct fh_uuid *uuid = &f->tenants[f->tenant_count];
    char slug[32];
    *uuid = fh_uuid_v7(fh_clock_realtime_us(f->world.env.clock));
    (void)snprintf(slug, sizeof(slug), "tenant-%zu", f->tenant_count++);
    made.audit.actor = FH_STR("root");
    made.as.tenant.uuid = *uuid;
    made.as.tenant.slug = fh_str_of(slug);
    (void)snprintf(made.as.tenant.placement.store, FH_STORE_NAME_MAX + 1, "main");
    made.as.tenant.placement.epoch = 1;
    made.as.tenant.placement.generation = 1;
    fh_home_of(tier, uuid, &made.as.tenant.placement.home);
    const struct fh_home home = made.as.tenant.placement.home;
    assert_int_equal(world_ask(&f->world, &made), FH_OK);
    struct fh_request request = {
        .op = FH_OP_HOME_CREATE,
        .scope = {.tenant = *uuid,
                  .epoch = 1,
                  .home = home,
                  .schema = fh_schemas_current(f->schemas)},
        .deadline_us = world_deadline(&f->world),
        .arena = &f->world.arena,
        .as.home.fence = {.epoch = 1, .generation = 1, .mode = FH_FENCE_OPEN},
    };
    request.done_cb = stored_cb;
    request.arg = f;
    f->done = false;
    assert_int_equal(fh_store_submit(f->world.store, &request), FH_OK);
    wait(f);
    assert_int_equal(request.code, FH_OK);
    struct fh_catalog_request advance = {.op = FH_CATALOG_TENANT_ADVANCE};
    advance.audit.actor = FH_STR("root");
    advance.as.advance.uuid = *uuid;
    advance.as.advance.from_states = 1u << FH_TENANT_PROVISIONING;
    advance.as.advance.to = FH_TENANT_ACTIVE;
    assert_int_equal(world_ask(&f->world, &advance), FH_OK);
}

static uint32_t version_of(struct fixture *f, const struct fh_uuid *tenant,
                           const struct fh_home *home)
{
    struct fh_request request = {
        .op = FH_OP_FENCE_READ,
        .scope = {.tenant = *tenant, .epoch = 1, .home = *home},
        .deadline_us = world_deadline(&f->world),
        .arena = &f->world.arena,
        .done_cb = stored_cb,
        .arg = f,
    };
    f->done = false;
    assert_int_equal(fh_store_submit(f->world.store, &request), FH_OK);
    wait(f);
    return request.as.fence.schema_version;
}

static size_t homes_at(struct fixture *f, uint32_t version)
{
    struct fh_home home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED};
    size_t count = version_of(f, &f->tenants[0], &home) == version ? 1 : 0;
    for (size_t i = 0; i < f->tenant_count; i++) {
        fh_home_of(i % 2 == 0 ? FH_TIER_SCHEMA : FH_TIER_DATABASE, &f->tenants[i], &home);
        count += version_of(f, &f->tenants[i], &home) == version;
    }
    return count;
}

static size_t noted_as(struct fixture *f, enum fh_rollout_home_state state)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_ROLLOUT_HOMES};
    fh_arena_reset(&f->world.arena);
    request.as.rollout_homes.uuid = f->result.rollout;
    request.as.rollout_homes.states = 1u << state;
    request.as.rollout_homes.limit = FH_PAGE_MAX;
    assert_int_equal(world_ask(&f->world, &request), FH_OK);
    return request.as.rollout_homes.count;
}

/* Those that wait were not even tried. */
static void assert_untried(struct fixture *f, size_t count)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_ROLLOUT_HOMES};
    request.as.rollout_homes.uuid = f->result.rollout;
    request.as.rollout_homes.states = 1u << FH_ROLLOUT_HOME_WAITING;
    request.as.rollout_homes.limit = FH_PAGE_MAX;
    assert_int_equal(world_ask(&f->world, &request), FH_OK);
    assert_int_equal(request.as.rollout_homes.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(request.as.rollout_homes.homes[i].tries, 0);
        assert_true(request.as.rollout_homes.homes[i].message.len > 0);
    }
}

static void aim(struct fixture *f, uint64_t nth, enum fh_fault_kind kind, enum fh_code code)
{
    const struct fh_fault_aim aimed = {
        .ops = FH_FAULT_OP(FH_OP_SCHEMA_APPLY), .nth = nth, .kind = kind, .code = code};
    assert_int_equal(fh_store_fault_aim(f->store, &aimed), FH_OK);
}

/* Everybody is at version 1, and its rollout is done. */
static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f)); /* NOLINT(fh-alloc): the test's own */
    const struct fh_fault_plan plan = {.seed = 1};
    assert_non_null(f);
    world_open(&f->world);
    assert_int_equal(
        fh_schemas_create(&f->world.env, f->world.catalog, f->world.router, &f->schemas), FH_OK);
    assert_int_equal(fh_store_fault_create(&f->world.env, f->world.store, &plan, &f->store), FH_OK);
    fh_router_remove_store(f->world.router, f->world.store);
    assert_int_equal(fh_router_add_store(f->world.router, f->store), FH_OK);
    f->done = false;
    assert_int_equal(fh_schemas_load(f->schemas, world_deadline(&f->world), done_cb, f), FH_OK);
    wait(f);
    apply(f, 1, NULL);
    for (size_t i = 0; i < HOMES; i++) {
        add_tenant(f, i % 2 == 0 ? FH_TIER_SCHEMA : FH_TIER_DATABASE);
    }
    start_roller(f, 0, 5000000);
    assert_int_equal(until(f, has_ended).phase, FH_ROLLOUT_DONE);
    stop_roller(f, 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < ROLLERS; i++) {
        if (f->rollers[i] != NULL) {
            stop_roller(f, i);
        }
    }
    fh_router_remove_store(f->world.router, f->store);
    f->world.done = false;
    fh_store_close(f->store, world_closed_cb, &f->world);
    world_wait(&f->world);
    world_close_parts(&f->world);
    fh_schemas_destroy(f->schemas);
    world_remove_dir(&f->world);
    free(f); /* NOLINT(fh-alloc): the test's own */
    assert_int_equal(fh_alloc_live(), 0);
    return 0;
}

static void comes_to_every_home(void **state)
{
    struct fixture *f = *state;
    const uint64_t changes = FH_FAULT_OP(FH_OP_SCHEMA_APPLY);
    uint64_t before = fh_store_fault_count(f->store, changes);
    assert_int_equal(homes_at(f, 1), HOMES + 1);
    apply(f, 2, NULL);
    start_roller(f, 0, 5000000);
    struct fh_rollout rollout = until(f, has_ended);
    assert_int_equal(rollout.phase, FH_ROLLOUT_DONE);
    assert_int_equal(rollout.progress.homes_total, HOMES + 1);
    assert_int_equal(rollout.progress.homes_done, HOMES + 1);
    assert_int_equal(homes_at(f, 2), HOMES + 1);
    assert_int_equal(noted_as(f, FH_ROLLOUT_HOME_DONE), HOMES + 1);
    assert_int_equal(fh_store_fault_count(f->store, changes), before + HOMES + 1); /* each once */
}

static void stops_after_its_canary(void **state)
{
    struct fixture *f = *state;
    struct fh_rollout_settings settings;
    fh_rollout_settings_init(&settings);
    settings.canary_percent = 5;
    settings.canaries[0] = f->tenants[HOMES - 1];
    settings.canary_count = 1;
    settings.stop_after_canary = true;
    apply(f, 2, &settings);
    start_roller(f, 0, 5000000);
    struct fh_rollout rollout = until(f, is_paused);
    assert_int_equal(rollout.phase, FH_ROLLOUT_ROLLING);
    assert_int_equal(homes_at(f, 2), 11 + 1); /* 5 of 100 of 201, rounded up, and the named one */
    struct fh_home home;
    fh_home_of(FH_TIER_DATABASE, &f->tenants[HOMES - 1], &home);
    assert_int_equal(version_of(f, &f->tenants[HOMES - 1], &home), 2);
    wish(f, FH_ROLLOUT_WISH_RUN);
    assert_int_equal(until(f, has_ended).phase, FH_ROLLOUT_DONE);
    assert_int_equal(homes_at(f, 2), HOMES + 1);
}

static void a_canary_that_fails_pauses(void **state)
{
    struct fixture *f = *state;
    struct fh_rollout_settings settings;
    fh_rollout_settings_init(&settings);
    settings.canary_percent = 1;
    settings.failures_max = 1000;
    aim(f, 1, FH_FAULT_FAIL_BEFORE, FH_CHECK_VIOLATION);
    apply(f, 2, &settings);
    start_roller(f, 0, 5000000);
    struct fh_rollout rollout = until(f, is_paused);
    assert_int_equal(rollout.phase, FH_ROLLOUT_CANARY);
    assert_int_equal(rollout.progress.homes_failed, 1);
    assert_int_equal(rollout.progress.homes_done, homes_at(f, 2));
    assert_true(rollout.progress.homes_done <= 2);
    wish(f, FH_ROLLOUT_WISH_RUN); /* the failed one is tried again */
    assert_int_equal(until(f, has_ended).phase, FH_ROLLOUT_DONE);
}

static void pauses_when_its_budget_is_spent(void **state)
{
    struct fixture *f = *state;
    for (uint64_t nth = 1; nth <= 3; nth++) {
        aim(f, nth, FH_FAULT_FAIL_BEFORE, FH_CHECK_VIOLATION);
    }
    struct fh_rollout_settings settings;
    fh_rollout_settings_init(&settings);
    settings.failures_max = 2;
    settings.concurrency = 1;
    apply(f, 2, &settings);
    start_roller(f, 0, 5000000);
    struct fh_rollout rollout = until(f, is_paused);
    assert_int_equal(rollout.progress.homes_failed, 3);
    assert_int_equal(rollout.progress.homes_done, 0); /* it stopped there and then */
    assert_int_equal(noted_as(f, FH_ROLLOUT_HOME_FAILED), 3);
    wish(f, FH_ROLLOUT_WISH_RUN);
    rollout = until(f, has_ended);
    assert_int_equal(rollout.phase, FH_ROLLOUT_DONE);
    assert_int_equal(rollout.progress.homes_failed, 0);
}

static void does_all_others_within_its_budget(void **state)
{
    struct fixture *f = *state;
    aim(f, 1, FH_FAULT_FAIL_BEFORE, FH_CHECK_VIOLATION);
    aim(f, 7, FH_FAULT_FAIL_BEFORE, FH_CHECK_VIOLATION);
    struct fh_rollout_settings settings;
    fh_rollout_settings_init(&settings);
    settings.failures_max = 2;
    apply(f, 2, &settings);
    start_roller(f, 0, 5000000);
    struct fh_rollout rollout = until(f, is_paused); /* what is left needs a person */
    assert_int_equal(rollout.progress.homes_failed, 2);
    assert_int_equal(rollout.progress.homes_done, HOMES + 1 - 2);
    assert_true(rollout.message.len > 0);
    wish(f, FH_ROLLOUT_WISH_CANCEL);
    assert_int_equal(rollout_of(f).phase, FH_ROLLOUT_CANCELLED);
    assert_int_equal(homes_at(f, 1), 2);
}

static void tries_again_what_may_pass(void **state)
{
    struct fixture *f = *state;
    static const enum fh_code codes[] = {FH_CONFLICT, FH_CONFLICT, FH_UNAVAILABLE,    FH_MOVED,
                                         FH_FULL,     FH_CONFLICT, FH_OUTCOME_UNKNOWN};
    for (uint64_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        aim(f, 3 * i + 1, FH_FAULT_FAIL_BEFORE, codes[i]);
    }
    aim(f, 40, FH_FAULT_FAIL_AFTER, FH_OUTCOME_UNKNOWN);
    aim(f, 50, FH_FAULT_REFUSE, FH_FULL);
    apply(f, 2, NULL);
    start_roller(f, 0, 5000000);
    struct fh_rollout rollout = until(f, has_ended);
    assert_int_equal(rollout.phase, FH_ROLLOUT_DONE);
    assert_int_equal(homes_at(f, 2), HOMES + 1);
    struct fh_roller_stats stats;
    fh_roller_stats(f->rollers[0], &stats);
    assert_int_equal(stats.lock_timeouts, 3);
}

static struct fh_move move_in(struct fixture *f, size_t tenant, enum fh_move_phase phase)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_CREATE};
    request.audit.actor = FH_STR("root");
    request.as.move.uuid = fh_uuid_v7(fh_clock_realtime_us(f->world.env.clock));
    request.as.move.tenant = f->tenants[tenant];
    (void)snprintf(request.as.move.target_store, FH_STORE_NAME_MAX + 1, "main");
    request.as.move.target_home = (struct fh_home){.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED};
    assert_int_equal(world_ask(&f->world, &request), FH_OK);
    struct fh_move move = request.as.move;
    request = (struct fh_catalog_request){.op = FH_CATALOG_MOVE_CLAIM};
    request.audit.actor = FH_STR("root");
    request.as.move_claim.uuid = move.uuid;
    request.as.move_claim.beat = move.beat;
    request.as.move_claim.worker = move.uuid;
    assert_int_equal(world_ask(&f->world, &request), FH_OK);
    move = request.as.move_claim.move;
    while (move.phase != phase) {
        request = (struct fh_catalog_request){.op = FH_CATALOG_MOVE_ADVANCE};
        request.audit.actor = FH_STR("root");
        request.as.move_advance.uuid = move.uuid;
        request.as.move_advance.generation = move.generation;
        request.as.move_advance.from = move.phase;
        request.as.move_advance.to = (enum fh_move_phase)(move.phase + 1);
        assert_int_equal(world_ask(&f->world, &request), FH_OK);
        move = request.as.move_advance.move;
    }
    return move;
}

static void end_move(struct fixture *f, const struct fh_move *move)
{
    enum fh_move_phase from = move->phase;
    static const enum fh_move_phase to[] = {FH_MOVE_CANCELLING, FH_MOVE_CANCELLED};
    for (size_t i = 0; i < 2; i++) {
        struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_ADVANCE};
        request.audit.actor = FH_STR("root");
        request.as.move_advance.uuid = move->uuid;
        request.as.move_advance.generation = move->generation;
        request.as.move_advance.from = from;
        request.as.move_advance.to = to[i];
        assert_int_equal(world_ask(&f->world, &request), FH_OK);
        from = to[i];
    }
}

static bool only_moves_are_left(const struct fh_rollout *rollout)
{
    return rollout->progress.homes_done == HOMES - 1 && rollout->progress.homes_waiting == 2;
}

/* The home it leaves, and the shared one it comes to. */
static void waits_for_a_move(void **state)
{
    struct fixture *f = *state;
    struct fh_move move = move_in(f, 3, FH_MOVE_COPYING);
    struct fh_home home;
    fh_home_of(FH_TIER_DATABASE, &f->tenants[3], &home);
    apply(f, 2, NULL);
    start_roller(f, 0, 5000000);
    (void)until(f, only_moves_are_left);
    assert_int_equal(version_of(f, &f->tenants[3], &home), 1);
    assert_int_equal(homes_at(f, 2), HOMES - 1);
    assert_untried(f, 2);
    end_move(f, &move);
    /* The claim raised the placement's generation, and nobody the fence's: it is refused by that,
     * as a schema change that a mover overtook is. */
    struct fh_request fence = {
        .op = FH_OP_FENCE_SET,
        .scope = {.tenant = f->tenants[3], .epoch = 1, .home = home},
        .deadline_us = world_deadline(&f->world),
        .arena = &f->world.arena,
        .done_cb = stored_cb,
        .arg = f,
        .as.fence = {.expected = {.epoch = 1, .generation = 1, .mode = FH_FENCE_OPEN},
                     .desired = {.epoch = 1, .generation = 2, .mode = FH_FENCE_OPEN}},
    };
    uint64_t before = fh_store_fault_count(f->store, FH_FAULT_OP(FH_OP_SCHEMA_APPLY));
    while (fh_store_fault_count(f->store, FH_FAULT_OP(FH_OP_SCHEMA_APPLY)) < before + 2) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    assert_int_equal(version_of(f, &f->tenants[3], &home), 1);
    f->done = false;
    assert_int_equal(fh_store_submit(f->world.store, &fence), FH_OK);
    wait(f);
    assert_int_equal(fence.code, FH_OK);
    assert_int_equal(until(f, has_ended).phase, FH_ROLLOUT_DONE);
    assert_int_equal(homes_at(f, 2), HOMES + 1);
}

static void is_taken_over_by_another(void **state)
{
    struct fixture *f = *state;
    f->world.catalog->shared = true; /* as if the other worker were another process */
    struct fh_rollout_settings settings;
    fh_rollout_settings_init(&settings);
    settings.concurrency = 1;
    aim(f, 10, FH_FAULT_HOLD_BEFORE, FH_OK);
    apply(f, 2, &settings);
    start_roller(f, 0, 5000000);
    while (fh_store_fault_held(f->store) == 0) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    struct fh_rollout rollout = rollout_of(f);
    uint64_t generation = rollout.generation;
    /* What a stalled worker looks like to others: somebody claims over it. */
    struct fh_catalog_request claim = {.op = FH_CATALOG_ROLLOUT_CLAIM};
    do {
        claim.audit.actor = FH_STR("root");
        claim.as.rollout_claim.uuid = rollout.uuid;
        claim.as.rollout_claim.beat = rollout_of(f).beat;
        claim.as.rollout_claim.worker = f->tenants[0];
    } while (world_ask(&f->world, &claim) != FH_OK);
    assert_int_equal(claim.as.rollout_claim.rollout.generation, generation + 1);
    start_roller(f, 1, 50000); /* and stands still, too */
    rollout = until(f, has_ended);
    assert_int_equal(rollout.phase, FH_ROLLOUT_DONE);
    assert_int_equal(homes_at(f, 2), HOMES + 1); /* the held one, too */
    fh_store_fault_release(f->store);
    stop_roller(f, 0); /* it lets go, and what it had held does no harm */
    assert_int_equal(homes_at(f, 2), HOMES + 1);
    assert_int_equal(rollout_of(f).phase, FH_ROLLOUT_DONE);
}

static void starts_over_where_it_was(void **state)
{
    struct fixture *f = *state;
    struct fh_rollout_settings settings;
    fh_rollout_settings_init(&settings);
    settings.concurrency = 1;
    aim(f, 30, FH_FAULT_HOLD_BEFORE, FH_OK);
    apply(f, 2, &settings);
    start_roller(f, 0, 5000000);
    while (fh_store_fault_held(f->store) == 0) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    f->world.done = false;
    fh_roller_close(f->rollers[0], world_closed_cb, &f->world);
    f->rollers[0] = NULL;
    fh_store_fault_release(f->store);
    world_wait(&f->world);
    size_t before = homes_at(f, 2);
    assert_true(before >= 29 && before <= 30);
    start_roller(f, 1, 5000000);
    assert_int_equal(until(f, has_ended).phase, FH_ROLLOUT_DONE);
    struct fh_roller_stats stats;
    fh_roller_stats(f->rollers[1], &stats);
    assert_int_equal(stats.applied, HOMES + 1 - before); /* nothing is done twice */
}

static void pauses_and_cancels_when_told(void **state)
{
    struct fixture *f = *state;
    struct fh_rollout_settings settings;
    fh_rollout_settings_init(&settings);
    settings.concurrency = 1;
    aim(f, 20, FH_FAULT_HOLD_BEFORE, FH_OK);
    apply(f, 2, &settings);
    start_roller(f, 0, 5000000);
    while (fh_store_fault_held(f->store) == 0) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    wish(f, FH_ROLLOUT_WISH_PAUSE);
    fh_store_fault_release(f->store);
    while (!fh_roller_is_idle(f->rollers[0])) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    size_t paused_at = homes_at(f, 2);
    assert_true(paused_at >= 19 && paused_at < HOMES);
    aim(f, 20, FH_FAULT_HOLD_BEFORE, FH_OK);
    wish(f, FH_ROLLOUT_WISH_RUN);
    while (fh_store_fault_held(f->store) == 0) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    wish(f, FH_ROLLOUT_WISH_CANCEL);
    fh_store_fault_release(f->store);
    while (!fh_roller_is_idle(f->rollers[0])) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
    assert_int_equal(rollout_of(f).phase, FH_ROLLOUT_CANCELLED);
    assert_true(homes_at(f, 1) > 0);
    /* The same files again begin another, which takes along what is behind. */
    apply(f, 2, NULL);
    assert_int_equal(until(f, has_ended).phase, FH_ROLLOUT_DONE);
    assert_int_equal(homes_at(f, 2), HOMES + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(comes_to_every_home),
        TEST(stops_after_its_canary),
        TEST(a_canary_that_fails_pauses),
        TEST(pauses_when_its_budget_is_spent),
        TEST(does_all_others_within_its_budget),
        TEST(tries_again_what_may_pass),
        TEST(waits_for_a_move),
        TEST(is_taken_over_by_another),
        TEST(starts_over_where_it_was),
        TEST(pauses_and_cancels_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
