/* A roller over a real catalog file and a store of the memory engine that can be made to fail, with
 * hundreds of homes at version 1; and how tests steer and look at them. */
#ifndef FH_TESTS_UNIT_ROUTER_ROLLING_H
#define FH_TESTS_UNIT_ROUTER_ROLLING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "router/roller.h"
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

static inline void done_cb(const struct fh_schemas_result *result, void *arg)
{
    struct fixture *f = arg;
    f->result = *result;
    f->done = true;
}

static inline void wait(struct fixture *f)
{
    while (!f->done) {
        uv_run(&f->world.loop, UV_RUN_ONCE);
    }
}

static inline void apply(struct fixture *f, size_t count,
                         const struct fh_rollout_settings *settings)
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

static inline struct fh_rollout rollout_of(struct fixture *f)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_ROLLOUT_GET};
    fh_arena_reset(&f->world.arena);
    request.as.rollout_get.uuid = f->result.rollout;
    assert_int_equal(world_ask(&f->world, &request), FH_OK);
    return request.as.rollout_get.rollout;
}

static inline void wish(struct fixture *f, enum fh_rollout_wish what)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_ROLLOUT_WISH};
    request.audit.actor = FH_STR("root");
    request.as.rollout_wish.uuid = f->result.rollout;
    request.as.rollout_wish.wish = what;
    assert_int_equal(world_ask(&f->world, &request), FH_OK);
}

typedef bool is_met(const struct fh_rollout *rollout);

static inline struct fh_rollout until(struct fixture *f, is_met *met)
{
    for (;;) {
        struct fh_rollout rollout = rollout_of(f);
        if (met(&rollout)) {
            return rollout;
        }
        uv_run(&f->world.loop, UV_RUN_NOWAIT);
    }
}

static inline bool has_ended(const struct fh_rollout *rollout)
{
    return fh_rollout_is_finished(rollout->phase);
}

static inline bool is_paused(const struct fh_rollout *rollout)
{
    return rollout->wish == FH_ROLLOUT_WISH_PAUSE;
}

static inline void start_roller(struct fixture *f, size_t which, int64_t takeover_after_us)
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

static inline void stop_roller(struct fixture *f, size_t which)
{
    f->world.done = false;
    fh_roller_close(f->rollers[which], world_closed_cb, &f->world);
    world_wait(&f->world);
    f->rollers[which] = NULL;
}

/* Brings a tenant and its home to life without a saga: it is the rollout that is tested. */
static inline void add_tenant(struct fixture *f, enum fh_tier tier)
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
    world_make_home(&f->world, uuid, &home, fh_schemas_current(f->schemas));
    struct fh_catalog_request advance = {.op = FH_CATALOG_TENANT_ADVANCE};
    advance.audit.actor = FH_STR("root");
    advance.as.advance.uuid = *uuid;
    advance.as.advance.from_states = 1u << FH_TENANT_PROVISIONING;
    advance.as.advance.to = FH_TENANT_ACTIVE;
    assert_int_equal(world_ask(&f->world, &advance), FH_OK);
}

static inline size_t homes_at(struct fixture *f, uint32_t version)
{
    struct fh_home home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED};
    size_t count = world_version_of(&f->world, &f->tenants[0], &home) == version ? 1 : 0;
    for (size_t i = 0; i < f->tenant_count; i++) {
        fh_home_of(i % 2 == 0 ? FH_TIER_SCHEMA : FH_TIER_DATABASE, &f->tenants[i], &home);
        count += world_version_of(&f->world, &f->tenants[i], &home) == version;
    }
    return count;
}

static inline size_t noted_as(struct fixture *f, enum fh_rollout_home_state state)
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
static inline void assert_untried(struct fixture *f, size_t count)
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

static inline void aim(struct fixture *f, uint64_t nth, enum fh_fault_kind kind, enum fh_code code)
{
    const struct fh_fault_aim aimed = {
        .ops = FH_FAULT_OP(FH_OP_SCHEMA_APPLY), .nth = nth, .kind = kind, .code = code};
    assert_int_equal(fh_store_fault_aim(f->store, &aimed), FH_OK);
}

static inline struct fh_move move_in(struct fixture *f, size_t tenant, enum fh_move_phase phase)
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

static inline void end_move(struct fixture *f, const struct fh_move *move)
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

/* Everybody is at version 1, and its rollout is done. */
static inline int set_up(void **state)
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

static inline int tear_down(void **state)
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

#endif
