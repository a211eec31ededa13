/* Random tenants on SQLite and PostgreSQL and in all tiers at once under one router, with about 5%
 * of the store requests answered with an injected error: no answer carries anything of another
 * tenant, and at the end every tenant holds exactly what was acknowledged to it.
 *
 *   test_integration_isolation_chaos [--requests N | --seconds N | --timed]
 *
 * By default 30,000 requests a store. --timed is the test torture.isolation: a minute with
 * FREEHOLD_LONG=1 in the environment (FREEHOLD_LONG=1 ./dev test torture), five seconds without, so
 * that a run of everything stays short. FREEHOLD_SEED=N repeats a run's draws; the order in which
 * stores answer is theirs.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "tests/integration/isolation/client.h"
#include "tests/integration/isolation/layers.h"

#define REQUESTS 30000
#define CLIENTS 32
#define PLACEMENTS 70 /* of 80 tenants: some are evicted all the time */
#define WARM_UP_REQUESTS 1500

static struct fh_pgtest *cluster;
static uint64_t requests = REQUESTS;
static uint64_t milliseconds;

static const struct chaos_mix mix = {.commits = 35,
                                     .replays = 4,
                                     .reuses = 1,
                                     .batch_gets = 15,
                                     .lists = 10,
                                     .events = 5,
                                     .fences = 2};

/* A read fails with 1.5 + 2 + 1.5%, a commit with 1.5 + 2 + 1 + 1%. */
static const struct fh_fault_plan errors = {.refuse_ppm = 15000,
                                            .unavailable_ppm = 20000,
                                            .unknown_before_ppm = 10000,
                                            .unknown_after_ppm = 10000,
                                            .delay_ppm = 50000,
                                            .foreign_row_ppm = 15000};

static void say(const struct chaos_stats *stats)
{
    uint64_t answers = 0;
    for (int i = 0; i < FH_CODE_COUNT; i++) {
        answers += stats->answers[i];
        if (stats->answers[i] > 0) {
            print_message("  %8" PRIu64 " %s\n", stats->answers[i], fh_code_name((enum fh_code)i));
        }
    }
    print_message("%" PRIu64 " answers, %" PRIu64 " rows, %" PRIu64 " records; %" PRIu64
                  " retries; %" PRIu64 " unknown outcomes settled, %" PRIu64
                  " of them done already; %" PRIu64 " replays\n",
                  answers, stats->rows, stats->records, stats->retries, stats->settled,
                  stats->was_done, stats->replays);
    print_message("%" PRIu64 " leaks %s\n%" PRIu64 " mismatches %s\n", stats->leaks,
                  stats->first_leak, stats->mismatches, stats->first_mismatch);
}

static void test_no_answer_carries_another_tenants_row(void **state)
{
    struct world *world = fh_calloc(1, sizeof(*world));
    (void)state;
    assert_non_null(world);
    const struct world_options options = {.engines = ENGINE_SQLITE | ENGINE_PG,
                                          .pg = cluster,
                                          .tenants = TENANTS_MAX,
                                          .placements_max = PLACEMENTS,
                                          .seed = seed_of_run(20261121)};
    const struct chaos_run warm_up = {
        .mix = {.commits = 100}, .requests = WARM_UP_REQUESTS, .retried = CHAOS_INJECTED};
    const struct chaos_run run = {.mix = mix,
                                  .requests = requests,
                                  .milliseconds = milliseconds,
                                  .cancel_ppm = 5000,
                                  .forget_ppm = 5000,
                                  .read_failures = CHAOS_INJECTED | UINT64_C(1) << FH_FOREIGN_ROW,
                                  .retried = CHAOS_INJECTED};
    const struct fh_fault_plan none = {.seed = 1};
    struct fh_fault_plan plan = errors;
    plan.seed = options.seed;
    world_open(world, &options);
    chaos_run(world, &warm_up, CLIENTS);
    world_set_plan(world, &plan);
    chaos_run(world, &run, CLIENTS);
    world_set_plan(world, &none);
    chaos_verify(world);
    struct chaos_stats stats = world->stats;
    world_close(world);
    fh_free(world);
    say(&stats);
    assert_int_equal(stats.leaks, 0);
    assert_int_equal(stats.mismatches, 0);
    /* The faults were there, and what was to be tried was. */
    assert_true(stats.answers[FH_FULL] > 0 && stats.answers[FH_UNAVAILABLE] > 0);
    assert_true(stats.answers[FH_FOREIGN_ROW] > 0 && stats.answers[FH_CANCELLED] > 0);
    assert_true(stats.settled > stats.was_done && stats.was_done > 0 && stats.replays > 0);
    assert_true(stats.answers[FH_REQUEST_ID_REUSED] > 0);
    assert_true(stats.answers[FH_REFERENCE_VIOLATION] > 0 && stats.answers[FH_EXISTS] > 0);
}

static bool parse(int argc, char **argv)
{
    const char *slow = getenv("FREEHOLD_LONG");
    bool is_long = slow != NULL && strcmp(slow, "1") == 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--timed") == 0) {
            requests = 0;
            milliseconds = is_long ? 60000 : 5000;
        } else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
            requests = 0;
            milliseconds = strtoull(argv[++i], NULL, 10) * 1000;
        } else if (strcmp(argv[i], "--requests") == 0 && i + 1 < argc) {
            requests = strtoull(argv[++i], NULL, 10);
        } else {
            return false;
        }
    }
    return requests > 0 || milliseconds > 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_answer_carries_another_tenants_row),
    };
    if (!parse(argc, argv)) {
        print_error("usage: %s [--requests N | --seconds N | --timed]\n", argv[0]);
        return 2;
    }
    const struct fh_pgtest_options options = {.fsync_off = true, .connections_max = 150};
    if (fh_pgtest_start(&options, &cluster) != FH_OK) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fh_pgtest_stop(cluster);
    return failed == 0 ? 0 : 1;
}
