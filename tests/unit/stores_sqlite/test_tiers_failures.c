/* Homes are made and erased whole: killed, or refused by the disk, at each step. */
#include "tests/unit/stores_sqlite/tiers.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"

#define STEPS_MAX 4000
#define SPARSE_FROM 40 /* most steps are writes of pages that look alike */
#define SPARSE 13

static const enum fh_tier tiers[] = {FH_TIER_SCHEMA, FH_TIER_DATABASE};

static int64_t next_step(int64_t step)
{
    return step < SPARSE_FROM ? step + 1 : step + SPARSE;
}

/* A child's life: 0 when it came to the end, else it was killed. */
static bool runs_to_its_end(const struct fixture *parent, enum fh_tier tier, bool erase,
                            int64_t step)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        static struct fixture child;
        struct fh_error error = FH_ERROR_INIT;
        child = *parent; /* the directory and the tenants; the rest is made anew */
        if (uv_loop_init(&child.loop) != 0) {
            _exit(4);
        }
        child.clock.arg = &child;
        child.env = (struct fh_env){.loop = &child.loop, .clock = &child.clock};
        fh_arena_init(&child.arena, (size_t)64 << 20);
        if (fixture_try_open(&child, &error) != FH_OK) {
            _exit(5);
        }
        disk_fail_at(step, 0);
        enum fh_code code =
            erase ? tier_erase(&child, tier, &child.a, 1) : tier_create(&child, tier, &child.a, 1);
        (void)disk_heal();
        _exit(code == FH_OK ? 0 : 6);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status)) {
        assert_int_equal(WEXITSTATUS(status), 0);
        return true;
    }
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return false;
}

static void assert_usable(struct fixture *f, enum fh_tier tier, const struct fh_uuid *tenant)
{
    bool found = true;
    assert_code(tier_get(f, tier, tenant, 1, &found), FH_OK);
    assert_false(found);
    assert_code(tier_put(f, tier, tenant, 1), FH_OK);
    assert_code(tier_get(f, tier, tenant, 1, &found), FH_OK);
    assert_true(found);
    assert_int_equal(tier_check(f, ""), 0);
}

/* Whole or not there, and the next attempt makes it. */
static void check_created(struct fixture *f, enum fh_tier tier)
{
    struct fh_op_fence fence;
    enum fh_code code = tier_fence(f, tier, &f->a, &fence);
    if (code == FH_OK) {
        assert_int_equal(fence.schema_version, 1);
    } else {
        assert_code(code, FH_NO_TENANT);
        assert_int_equal(fence.schema_version, 0);
    }
    assert_code(tier_create(f, tier, &f->a, 1), FH_OK);
    assert_usable(f, tier, &f->a);
    assert_code(tier_erase(f, tier, &f->a, 1), FH_OK);
    assert_int_equal(tier_files(f), 0);
}

/* The next attempt ends it, and the tenant can live there again. */
static void check_erased(struct fixture *f, enum fh_tier tier)
{
    struct fh_op_fence fence;
    enum fh_code code = tier_fence(f, tier, &f->a, &fence);
    if (code != FH_OK) {
        assert_code(code, FH_NO_TENANT);
    }
    assert_code(tier_erase(f, tier, &f->a, 1), FH_OK);
    assert_code(tier_fence(f, tier, &f->a, &fence), FH_NO_TENANT);
    assert_int_equal(tier_files(f), 0);
    assert_code(tier_create(f, tier, &f->a, 2), FH_OK);
    assert_usable(f, tier, &f->a);
    assert_code(tier_erase(f, tier, &f->a, 1), FH_MOVED);
    assert_code(tier_erase(f, tier, &f->a, 2), FH_OK);
}

static void kill_at_each_step(struct fixture *f, enum fh_tier tier, bool erase)
{
    bool ended = false;
    int64_t step = 1;
    for (; step < STEPS_MAX && !ended; step = next_step(step)) {
        if (erase) {
            assert_code(tier_create(f, tier, &f->a, 1), FH_OK);
            assert_code(tier_put(f, tier, &f->a, 1), FH_OK);
        }
        fixture_shut(f);
        ended = runs_to_its_end(f, tier, erase, step);
        fixture_open(f);
        if (erase) {
            check_erased(f, tier);
        } else {
            check_created(f, tier);
        }
        fh_arena_reset(&f->arena);
    }
    assert_true(ended);
    assert_true(step > 5);
}

static void test_killed_while_created(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        kill_at_each_step(*state, tiers[i], false);
    }
}

static void test_killed_while_erased(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        kill_at_each_step(*state, tiers[i], true);
    }
}

/* A create that fails leaves nothing, and an erase that fails can be asked for again. */
static void fail_at_each_step(struct fixture *f, enum fh_tier tier, bool erase, int reason)
{
    bool reached = true;
    for (int64_t step = 1; step < STEPS_MAX && reached; step = next_step(step)) {
        struct fh_op_fence fence;
        if (erase) {
            assert_code(tier_create(f, tier, &f->a, 1), FH_OK);
            assert_code(tier_put(f, tier, &f->a, 1), FH_OK);
        }
        disk_fail_at(step, reason);
        enum fh_code code = erase ? tier_erase(f, tier, &f->a, 1) : tier_create(f, tier, &f->a, 1);
        reached = disk_heal();
        if (!erase && code != FH_OK && code != FH_OUTCOME_UNKNOWN) {
            assert_code(tier_fence(f, tier, &f->a, &fence), FH_NO_TENANT);
            assert_int_equal(tier_files(f), 0);
        }
        if (erase) {
            check_erased(f, tier);
        } else {
            check_created(f, tier);
        }
        fh_arena_reset(&f->arena);
    }
    assert_false(reached);
}

static void test_disk_fails_while_created(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        fail_at_each_step(*state, tiers[i], false, EIO);
        fail_at_each_step(*state, tiers[i], false, ENOSPC);
    }
}

static void test_disk_fails_while_erased(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        fail_at_each_step(*state, tiers[i], true, EIO);
    }
}

/* Every allocation of ours, of any thread. */
static void test_memory_runs_out(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 2; i++) {
        int met = 1;
        for (long nth = 0; nth < STEPS_MAX && met != 0; nth = nth < 60 ? nth + 1 : nth + 7) {
            struct fh_op_fence fence;
            fh_alloc_fault_on(nth, 1);
            enum fh_code code = tier_create(f, tiers[i], &f->a, 1);
            met = fh_alloc_fault_off();
            if (code != FH_OK) {
                assert_code(tier_fence(f, tiers[i], &f->a, &fence), FH_NO_TENANT);
            }
            check_created(f, tiers[i]);
            fh_arena_reset(&f->arena);
        }
        assert_int_equal(met, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_killed_while_created),     FIXTURE_TEST(test_killed_while_erased),
        FIXTURE_TEST(test_disk_fails_while_created), FIXTURE_TEST(test_disk_fails_while_erased),
        FIXTURE_TEST(test_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
