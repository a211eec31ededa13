/* Each case: a world whose stores have some layers removed, filled while all contexts are right;
 * then load in rounds, every thousandth database context set to a tenant that changes with the
 * round; then contexts are right again, and every tenant is looked through.
 *
 * The context is what layer two (row-level security; views and authorizer) goes by, so a wrong one
 * is for layer one (the explicit predicate), layer three (the ownership check) or the fence to
 * stop. Where any of them is left, no row of another tenant may come out; where none is, the
 * checker must see one: in the shared home. In dedicated tiers requests go to another tenant's
 * home, too; there the fence is not theirs either, and where an engine starts from the fence that
 * border holds alone: a leak may be seen or not, and is said. An answer may be wrong in a wrong
 * context, though (no such record): SQLite sets the context for each statement, the fence's and the
 * write's.
 */
#include "tests/integration/isolation/layers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "tests/integration/isolation/client.h"

#define TENANTS 12
#define CLIENTS 16
#define WARM_UP_REQUESTS 600
#define ROUNDS 5
#define ROUNDS_TO_DETECTION_MAX 60
#define ROUND_REQUESTS 800
#define WRONG_EVERY 1000

uint64_t seed_of_run(uint64_t otherwise)
{
    const char *text = getenv("FREEHOLD_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : otherwise;
    print_message("FREEHOLD_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

#ifdef FREEHOLD_FAULTS

struct layer_case {
    const char *name;
    struct fh_isolation_faults faults;
    bool reads_only; /* layer three judges what comes out: alone it keeps no write from going in */
    unsigned leaks;  /* engines on which one must be seen */
    bool anywhere;   /* in dedicated homes as well: it is no context that is wrong */
    unsigned exact;  /* engines on which every answer must be right, too */
    uint32_t wrong_scope_every;
    bool foreign_row; /* the fault store changes rows' tenants */
};

static unsigned engine_under_test;
static enum fh_tier tier_under_test = FH_TIER_SHARED;
static struct fh_pgtest *cluster;

static const struct chaos_mix mixed = {.commits = 35,
                                       .replays = 4,
                                       .reuses = 1,
                                       .batch_gets = 15,
                                       .lists = 10,
                                       .events = 5,
                                       .fences = 2};
static const struct chaos_mix reading = {.batch_gets = 25, .lists = 20, .events = 10, .fences = 2};

static void fill(struct world *world)
{
    const struct chaos_run run = {
        .mix = {.commits = 100}, .requests = WARM_UP_REQUESTS, .retried = CHAOS_INJECTED};
    chaos_run(world, &run, CLIENTS);
}

static void run_round(struct world *world, const struct layer_case *c, unsigned round)
{
    /* A context that is wrong may also answer that there is no such tenant, record or commit, or
     * that the store is not as it should be: nothing of that is a leak. */
    const uint64_t strange = CHAOS_INJECTED | UINT64_C(1) << FH_FOREIGN_ROW |
                             UINT64_C(1) << FH_INTERNAL | UINT64_C(1) << FH_PERMISSION;
    const struct chaos_run run = {.wrong_scope_every = c->wrong_scope_every,
                                  .mix = c->reads_only ? reading : mixed,
                                  .requests = ROUND_REQUESTS,
                                  .cancel_ppm = 5000,
                                  .forget_ppm = 5000,
                                  .read_failures = strange,
                                  .retried = strange};
    const struct fh_fault_plan plan = {.seed = world->options.seed + round,
                                       .refuse_ppm = 10000,
                                       .unavailable_ppm = 10000,
                                       .unknown_before_ppm = 10000,
                                       .unknown_after_ppm = 10000,
                                       .delay_ppm = 20000,
                                       .foreign_row_ppm = c->foreign_row ? 10000 : 0};
    const struct fh_fault_plan none = {.seed = 1};
    world->faults = c->faults;
    world->faults.wrong_tenant = world->stores[0].tenants[round % TENANTS].uuid;
    if (tier_under_test != FH_TIER_SHARED) { /* and every other round in that tenant's home */
        world->faults.wrong_home_every =
            c->faults.wrong_context_every / 4 * (round % 2); /* rows are few there */
    }
    world_set_plan(world, &plan);
    chaos_run(world, &run, CLIENTS);
    world_set_plan(world, &none);
    world->faults.wrong_context_every = 0;
    world->faults.wrong_home_every = 0;
}

static void check_case(const struct layer_case *c)
{
    struct world *world = fh_calloc(1, sizeof(*world));
    assert_non_null(world);
    const struct world_options options = {.engines = engine_under_test,
                                          .pg = cluster,
                                          .tenants = TENANTS,
                                          .seed = seed_of_run(1),
                                          .with_faults = true,
                                          .bypass = c->faults.skip_enforcement,
                                          .tier = tier_under_test};
    world_open(world, &options);
    world->faults = (struct fh_isolation_faults){.skip_enforcement = options.bypass};
    fill(world);
    assert_int_equal(world->stats.leaks, 0);
    assert_int_equal(world->stats.mismatches, 0);
    bool leaks = (c->leaks & engine_under_test) != 0;
    unsigned rounds = leaks ? ROUNDS_TO_DETECTION_MAX : ROUNDS;
    for (unsigned i = 0; i < rounds && !(leaks && world->stats.leaks > 0); i++) {
        run_round(world, c, i);
    }
    struct chaos_stats stats = world->stats;
    if (!leaks) {
        world->faults = (struct fh_isolation_faults){.skip_enforcement = options.bypass};
        chaos_verify(world);
        stats = world->stats;
    }
    world_close(world);
    fh_free(world);
    print_message("%s: %llu rows and %llu records looked at, %llu withheld, %llu leaks%s%s, "
                  "%llu mismatches%s%s\n",
                  c->name, (unsigned long long)stats.rows, (unsigned long long)stats.records,
                  (unsigned long long)stats.answers[FH_FOREIGN_ROW],
                  (unsigned long long)stats.leaks, stats.leaks > 0 ? ": " : "", stats.first_leak,
                  (unsigned long long)stats.mismatches, stats.mismatches > 0 ? ": " : "",
                  stats.first_mismatch);
    assert_true(stats.rows + stats.answers[FH_FOREIGN_ROW] > 1000);
    if (!leaks || tier_under_test == FH_TIER_SHARED || c->anywhere) {
        assert_true((stats.leaks > 0) == leaks);
    } else if (stats.leaks == 0) {
        print_message("%s: the home's own fence holds\n", c->name);
    }
    if ((c->exact & engine_under_test) != 0) {
        assert_int_equal(stats.mismatches, 0);
    }
}

static void test_case(void **state)
{
    check_case(*state);
}

#define BOTH (ENGINE_SQLITE | ENGINE_PG)

static struct layer_case cases[] = {
    {.name = "all layers", .faults = {.wrong_context_every = WRONG_EVERY}, .exact = ENGINE_PG},
    {.name = "without the predicate",
     .faults = {.wrong_context_every = WRONG_EVERY, .skip_predicate = true},
     .exact = ENGINE_PG},
    {.name = "without enforcement",
     .faults = {.wrong_context_every = WRONG_EVERY, .skip_enforcement = true},
     .exact = BOTH},
    {.name = "without the ownership check",
     .faults = {.wrong_context_every = WRONG_EVERY, .skip_ownership_check = true},
     .exact = ENGINE_PG},
    {.name = "the predicate alone",
     .faults = {.wrong_context_every = WRONG_EVERY,
                .skip_enforcement = true,
                .skip_ownership_check = true},
     .exact = BOTH},
    {.name = "enforcement alone",
     .faults = {.skip_predicate = true, .skip_ownership_check = true},
     .exact = ENGINE_PG},
    {.name = "the ownership check alone",
     .faults = {.wrong_context_every = WRONG_EVERY,
                .skip_predicate = true,
                .skip_enforcement = true},
     .reads_only = true},
    {.name = "rows changed before the ownership check", .foreign_row = true, .exact = BOTH},
    {.name = "a wrong context, and nobody looks at its rows",
     .faults = {.wrong_context_every = WRONG_EVERY,
                .skip_predicate = true,
                .skip_ownership_check = true},
     /* On PostgreSQL the tenant's fence is not there in another tenant's context, and without it
      * there is no row. */
     .leaks = ENGINE_SQLITE,
     .exact = ENGINE_PG},
    {.name = "all layers gone",
     .faults = {.wrong_context_every = WRONG_EVERY,
                .skip_predicate = true,
                .skip_enforcement = true,
                .skip_ownership_check = true},
     .reads_only = true,
     .leaks = BOTH},
    {.name = "all layers, and requests on behalf of the wrong tenant",
     .wrong_scope_every = WRONG_EVERY,
     .leaks = BOTH,
     .anywhere = true},
    {.name = "changed rows, and no ownership check",
     .faults = {.skip_ownership_check = true},
     .foreign_row = true,
     .leaks = BOTH,
     .anywhere = true},
};

int layers_main(const char *name, unsigned engine, int argc, char **argv)
{
    struct CMUnitTest tests[sizeof(cases) / sizeof(cases[0])];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tests[i] = (struct CMUnitTest){
            .name = cases[i].name, .test_func = test_case, .initial_state = &cases[i]};
    }
    int next = 1;
    next += argc > next && fh_tier_of_name(fh_str_of(argv[next]), &tier_under_test);
    if (argc > next) {
        cmocka_set_test_filter(argv[next]); /* one case by name, or a pattern */
    }
    engine_under_test = engine;
    const struct fh_pgtest_options options = {.fsync_off = true, .connections_max = 150};
    if ((engine & ENGINE_PG) != 0 && fh_pgtest_start(&options, &cluster) != FH_OK) {
        return 1;
    }
    int failed = _cmocka_run_group_tests(name, tests, sizeof(tests) / sizeof(tests[0]), NULL, NULL);
    fh_pgtest_stop(cluster);
    return failed == 0 ? 0 : 1;
}

#else

int layers_main(const char *name, unsigned engine, int argc, char **argv)
{
    (void)engine;
    (void)argc;
    (void)argv;
    (void)fprintf(stderr, "%s: this build cannot remove a layer\n", name);
    return 77;
}

#endif
