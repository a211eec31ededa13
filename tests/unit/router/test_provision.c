/* Sagas over a real catalog file and the memory engine: whole, failing, killed at every crash
 * point, racing, and too slow. */
#include "router/provision.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "stores/fault/fault.h"
#include "tests/unit/router/world.h"

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world)); /* NOLINT(fh-alloc): the test's own */
    assert_non_null(world);
    world_open(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    world_close(*state);
    free(*state); /* NOLINT(fh-alloc): the test's own */
    assert_int_equal(fh_alloc_live(), 0);
    return 0;
}

static void creates_and_erases(void **state)
{
    struct world *world = *state;
    struct fh_tenant tenant;
    struct fh_fence fence;
    assert_int_equal(world_create(world, "acme", ""), FH_OK);
    assert_int_equal(world->tenant.state, FH_TENANT_ACTIVE);
    struct fh_uuid uuid = world->tenant.uuid;
    assert_int_equal(world_fence(world, &uuid, &fence), FH_OK);
    assert_int_equal(fence.epoch, 1);
    assert_int_equal(fence.generation, 1);
    assert_int_equal(fence.mode, FH_FENCE_OPEN);
    assert_int_equal(world_read(world, &uuid), FH_OK);

    assert_int_equal(world_erase(world, &uuid), FH_OK);
    assert_int_equal(world->tenant.state, FH_TENANT_DELETED);
    assert_int_equal(world_fence(world, &uuid, &fence), FH_NO_TENANT);
    assert_int_equal(world_read(world, &uuid), FH_NO_TENANT);
    assert_int_equal(world_get(world, "acme", &tenant), FH_OK);
    assert_int_equal(tenant.state, FH_TENANT_DELETED);
    assert_int_equal(tenant.placement.generation, 2);
    assert_int_equal(world_erase(world, &uuid), FH_OK); /* again: as it is */
    assert_int_equal(world_create(world, "acme", ""), FH_EXISTS);
    struct fh_uuid nobody = fh_uuid_v7(1);
    assert_int_equal(world_erase(world, &nobody), FH_NO_TENANT);
}

/* "No such tenant" that was remembered a moment ago does not outlive the creation. */
static void forgets_that_it_was_unknown(void **state)
{
    struct world *world = *state;
    assert_int_equal(world_create(world, "acme", "id-1"), FH_OK);
    struct fh_uuid uuid = world->tenant.uuid;
    assert_int_equal(world_create(world, "acme", "id-1"), FH_OK); /* the same one again */
    assert_true(fh_uuid_eq(&uuid, &world->tenant.uuid));
    assert_int_equal(world_create(world, "other", "id-1"), FH_REQUEST_ID_REUSED);
    assert_int_equal(world_erase(world, &uuid), FH_OK);
    assert_int_equal(world_create(world, "acme", "id-1"), FH_PRECONDITION);
}

static void refuses_bad_input(void **state)
{
    struct world *world = *state;
    assert_int_equal(world_create(world, "x", ""), FH_INVALID);
    struct fh_tenant tenant = {.slug = FH_STR("acme"), .placement.store = "nowhere"};
    struct fh_audit_context audit = {.actor = FH_STR("root")};
    assert_int_equal(fh_tenant_provision(world->provisioner, &tenant, &audit, world_deadline(world),
                                         world_saga_done_cb, world, &world->error),
                     FH_INVALID);
}

/* The home cannot be made: nothing is left but the slug, which stays taken. */
static void undoes_a_creation_that_fails(void **state)
{
    struct world *world = *state;
    struct fh_tenant tenant;
    struct fh_fence fence;
    struct fh_uuid first;
    assert_int_equal(world_create(world, "good", ""), FH_OK);
    first = world->tenant.uuid;

    struct fh_store *wrapped = NULL;
    struct fh_fault_plan plan = {.seed = 1, .unavailable_ppm = 1000000};
    assert_int_equal(fh_store_fault_create(&world->env, world->store, &plan, &wrapped), FH_OK);
    fh_router_remove_store(world->router, world->store);
    assert_int_equal(fh_router_add_store(world->router, wrapped), FH_OK);
    assert_int_equal(world_create(world, "acme", ""), FH_UNAVAILABLE);
    assert_int_equal(world_get(world, "acme", &tenant), FH_OK);
    assert_int_equal(tenant.state, FH_TENANT_DELETING); /* the store is away: not undone yet */
    assert_int_equal(world_erase(world, &first), FH_UNAVAILABLE);
    assert_int_equal(world_read(world, &first), FH_NO_TENANT); /* but not served any more */
    world_sweep(world, 0);
    assert_int_equal(fh_provisioner_undone(world->provisioner), 0);

    plan.unavailable_ppm = 0;
    fh_store_fault_set_plan(wrapped, &plan);
    world_sweep(world, 0);
    assert_int_equal(fh_provisioner_undone(world->provisioner), 2);
    assert_int_equal(world_get(world, "acme", &tenant), FH_OK);
    assert_int_equal(tenant.state, FH_TENANT_DELETED);
    assert_int_equal(world_fence(world, &first, &fence), FH_NO_TENANT);
    assert_int_equal(world_create(world, "acme", ""), FH_EXISTS);
    assert_int_equal(world_create(world, "acme-2", ""), FH_OK);

    fh_router_remove_store(world->router, wrapped);
    assert_int_equal(fh_router_add_store(world->router, world->store), FH_OK);
    world->done = false;
    fh_store_close(wrapped, world_closed_cb, world);
    world_wait(world);
}

static void one_of_two_wins_a_slug(void **state)
{
    struct world *one = *state;
    static struct world two; /* another callback's place, over the same parts */
    struct fh_tenant tenant = {.slug = FH_STR("acme"), .placement.store = "main"};
    struct fh_audit_context audit = {.actor = FH_STR("root")};
    one->done = false;
    two = (struct world){0};
    assert_int_equal(fh_tenant_provision(one->provisioner, &tenant, &audit, world_deadline(one),
                                         world_saga_done_cb, one, &one->error),
                     FH_OK);
    assert_int_equal(fh_tenant_provision(one->provisioner, &tenant, &audit, world_deadline(one),
                                         world_saga_done_cb, &two, &two.error),
                     FH_OK);
    while (!one->done || !two.done) {
        uv_run(&one->loop, UV_RUN_ONCE);
    }
    assert_int_equal(one->code, FH_OK);
    assert_int_equal(two.code, FH_EXISTS);
    struct fh_tenant present;
    assert_int_equal(world_get(one, "acme", &present), FH_OK);
    assert_true(fh_uuid_eq(&present.uuid, &one->tenant.uuid));
    assert_int_equal(present.state, FH_TENANT_ACTIVE);
}

static enum fh_code advance(struct world *world, const struct fh_uuid *uuid, uint32_t from,
                            enum fh_tenant_state to, bool bump)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_TENANT_ADVANCE};
    request.as.advance.uuid = *uuid;
    request.as.advance.from_states = from;
    request.as.advance.to = to;
    request.as.advance.bump_generation = bump;
    return world_ask(world, &request);
}

/* The saga is asleep between its row and its home (the test holds the catalog's answer back by not
 * turning the loop); meanwhile a sweeper of another process takes the tenant. */
static void a_slow_saga_cannot_bring_a_tenant_to_life(void **state)
{
    struct world *world = *state;
    struct world other = {0};
    struct fh_tenant tenant = {.slug = FH_STR("acme"), .placement.store = "main"};
    struct fh_audit_context audit = {.actor = FH_STR("root")};
    struct fh_tenant present;
    struct fh_fence fence;
    memcpy(other.dir, world->dir, sizeof(other.dir));
    memcpy(other.path, world->path, sizeof(other.path));
    world_open_parts(&other);

    world->done = false;
    assert_int_equal(fh_tenant_provision(world->provisioner, &tenant, &audit, world_deadline(world),
                                         world_saga_done_cb, world, &world->error),
                     FH_OK);
    /* Its row is written by its thread; its loop stands still. */
    while (world_get(&other, "acme", &present) != FH_OK) {
    }
    assert_int_equal(present.state, FH_TENANT_PROVISIONING);
    world_sweep(&other, 3600LL * 1000000); /* too young */
    assert_int_equal(fh_provisioner_undone(other.provisioner), 0);
    world_sweep(&other, 0);
    assert_int_equal(fh_provisioner_undone(other.provisioner), 1);
    world_wait(world);
    assert_int_equal(world->code, FH_PRECONDITION);
    assert_int_equal(world_get(world, "acme", &present), FH_OK);
    assert_int_equal(present.state, FH_TENANT_DELETED);
    assert_int_equal(present.placement.generation, 2);
    /* The home it had made in its store went with it. */
    assert_int_equal(world_fence(world, &present.uuid, &fence), FH_NO_TENANT);
    assert_int_equal(world_read(world, &present.uuid), FH_NO_TENANT);
    world_close_parts(&other);
}

/* A sweep leaves the sagas of its own process alone, whatever their age. */
static void a_sweep_leaves_living_sagas_alone(void **state)
{
    struct world *world = *state;
    struct fh_tenant tenant = {.slug = FH_STR("acme"), .placement.store = "main"};
    struct fh_audit_context audit = {.actor = FH_STR("root")};
    world->done = false;
    assert_int_equal(fh_tenant_provision(world->provisioner, &tenant, &audit, world_deadline(world),
                                         world_saga_done_cb, world, &world->error),
                     FH_OK);
    for (int i = 0; i < 3; i++) {
        fh_provisioner_sweep(world->provisioner, 0); /* the third is one with the second */
    }
    while (!world->done || fh_provisioner_sweeps(world->provisioner) < 2) {
        uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_int_equal(world->code, FH_OK);
    assert_int_equal(fh_provisioner_undone(world->provisioner), 0);
    assert_int_equal(fh_provisioner_sweeps(world->provisioner), 2);
}

static void bounds_sagas_and_waits_for_them(void **state)
{
    struct world *world = *state;
    static struct world places[20];
    static char slugs[20][32];
    struct fh_audit_context audit = {.actor = FH_STR("root")};
    for (int i = 0; i < 17; i++) {
        (void)snprintf(slugs[i], sizeof(slugs[i]), "tenant-%d", i);
        struct fh_tenant tenant = {.slug = fh_str_of(slugs[i]), .placement.store = "main"};
        places[i] = (struct world){0};
        enum fh_code code =
            fh_tenant_provision(world->provisioner, &tenant, &audit, world_deadline(world),
                                world_saga_done_cb, &places[i], &world->error);
        assert_int_equal(code, i < 16 ? FH_OK : FH_FULL);
    }
    world_close_parts(world); /* sagas first, then the rest */
    for (int i = 0; i < 16; i++) {
        assert_true(places[i].done);
        assert_int_equal(places[i].code, FH_OK);
    }
    world_open_parts(world);
}

/* In a child that dies at the crash point. */
static void die_at(struct world *world, const char *point)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)setenv("FREEHOLD_CRASH_AT", point, 1);
        world_open_parts(world);
        struct fh_uuid uuid = {{0}};
        if (world_create(world, "acme", "") == FH_OK) {
            uuid = world->tenant.uuid;
            enum fh_code ignored = world_erase(world, &uuid);
            (void)ignored;
        }
        _exit(1); /* it should not have come here */
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 137);
}

/* What the memory engine held is gone with the child; a home is made again where the real engines
 * would still have one. */
static void leave_a_home(struct world *world, const struct fh_tenant *tenant)
{
    struct fh_request request = {.op = FH_OP_HOME_CREATE, .scope.tenant = tenant->uuid};
    request.as.home.fence = (struct fh_fence){.epoch = 1, .generation = 1, .mode = FH_FENCE_OPEN};
    assert_int_equal(world_ask_store(world, &request), FH_OK);
}

static void is_clean_after_being_killed_anywhere(void **state)
{
    (void)state;
    static const struct {
        const char *point;
        enum fh_tenant_state left;
        bool home;
    } cases[] = {
        {"create.after_row", FH_TENANT_PROVISIONING, false},
        {"create.after_home", FH_TENANT_PROVISIONING, true},
        {"delete.after_row", FH_TENANT_DELETING, true},
        {"delete.after_erase", FH_TENANT_DELETING, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world world;
        struct fh_tenant tenant;
        struct fh_fence fence;
        world_make_dir(&world);
        die_at(&world, cases[i].point);
        world_open_parts(&world);
        assert_int_equal(world_get(&world, "acme", &tenant), FH_OK);
        assert_int_equal(tenant.state, cases[i].left);
        if (cases[i].home) {
            leave_a_home(&world, &tenant);
        }
        assert_int_equal(world_read(&world, &tenant.uuid), FH_NO_TENANT); /* nothing half-made */
        world_sweep(&world, 0);
        assert_int_equal(fh_provisioner_undone(world.provisioner), 1);
        assert_int_equal(world_get(&world, "acme", &tenant), FH_OK);
        assert_int_equal(tenant.state, FH_TENANT_DELETED);
        assert_int_equal(world_fence(&world, &tenant.uuid, &fence), FH_NO_TENANT);
        assert_int_equal(world_create(&world, "acme", ""), FH_EXISTS);
        assert_int_equal(world_create(&world, "acme-2", ""), FH_OK);
        world_close(&world);
    }
}

/* Every allocation of a creation fails once; afterwards the tenant is there or it is not, and a
 * sweep leaves nothing in between. */
static void survives_every_failed_allocation(void **state)
{
    struct world *world = *state;
    for (long after = 0;; after++) {
        char slug[32];
        struct fh_tenant tenant;
        (void)snprintf(slug, sizeof(slug), "tenant-%ld", after);
        fh_alloc_fault_on(after, 1);
        enum fh_code code = world_create(world, slug, "");
        int delivered = fh_alloc_fault_off();
        world_sweep(world, 0);
        enum fh_code found = world_get(world, slug, &tenant);
        if (found == FH_OK) {
            assert_int_equal(tenant.state, code == FH_OK ? FH_TENANT_ACTIVE : FH_TENANT_DELETED);
        } else {
            assert_int_equal(found, FH_NO_TENANT);
            assert_int_not_equal(code, FH_OK);
        }
        if (!delivered) {
            assert_int_equal(code, FH_OK);
            assert_true(after > 3);
            return;
        }
    }
}

/* The catalog under test, but for what it says of a tenant's change: that is done, and unknown. */
static const struct fh_catalog_ops *true_ops;
static void (*true_done_cb)(struct fh_catalog_request *request);

static void unknown_done_cb(struct fh_catalog_request *request)
{
    assert_int_equal(request->code, FH_OK);
    request->code = fh_error_set(&request->error, FH_OUTCOME_UNKNOWN, "the disk said nothing");
    true_done_cb(request);
}

static enum fh_code unknown_submit(struct fh_catalog *catalog, struct fh_catalog_request *request)
{
    if (request->op == FH_CATALOG_TENANT_ADVANCE) {
        true_done_cb = request->done_cb;
        request->done_cb = unknown_done_cb;
    }
    return true_ops->submit(catalog, request);
}

/* A tenant that may be as good as gone is not served from what was remembered. */
static void forgets_a_placement_that_may_have_changed(void **state)
{
    struct world *world = *state;
    assert_int_equal(world_create(world, "acme", ""), FH_OK);
    struct fh_uuid uuid = world->tenant.uuid;
    assert_int_equal(world_read(world, &uuid), FH_OK);
    true_ops = world->catalog->ops;
    struct fh_catalog_ops ops = *true_ops;
    ops.submit = unknown_submit;
    world->catalog->ops = &ops;
    assert_int_equal(world_erase(world, &uuid), FH_OUTCOME_UNKNOWN);
    world->catalog->ops = true_ops;
    assert_int_equal(world_read(world, &uuid), FH_NO_TENANT);
    world_sweep(world, 0);
    assert_int_equal(fh_provisioner_undone(world->provisioner), 1);
}

/* An operator suspends while a deletion runs, or the other way round: one after the other, whole.
 */
static void deletes_a_suspended_tenant(void **state)
{
    struct world *world = *state;
    assert_int_equal(world_create(world, "acme", ""), FH_OK);
    struct fh_uuid uuid = world->tenant.uuid;
    assert_int_equal(world_read(world, &uuid), FH_OK);
    assert_int_equal(advance(world, &uuid, 1u << FH_TENANT_ACTIVE, FH_TENANT_SUSPENDED, false),
                     FH_OK);
    fh_router_invalidate(world->router, &uuid);
    assert_int_equal(world_read(world, &uuid), FH_SUSPENDED);
    assert_int_equal(world_erase(world, &uuid), FH_OK);
    assert_int_equal(world_read(world, &uuid), FH_NO_TENANT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(creates_and_erases),
        TEST(forgets_that_it_was_unknown),
        TEST(refuses_bad_input),
        TEST(undoes_a_creation_that_fails),
        TEST(one_of_two_wins_a_slug),
        TEST(a_slow_saga_cannot_bring_a_tenant_to_life),
        TEST(a_sweep_leaves_living_sagas_alone),
        TEST(bounds_sagas_and_waits_for_them),
        TEST(survives_every_failed_allocation),
        TEST(forgets_a_placement_that_may_have_changed),
        TEST(deletes_a_suspended_tenant),
        cmocka_unit_test(is_clean_after_being_killed_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
