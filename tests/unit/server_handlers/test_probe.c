/* ProbeService: its answers, its refusals, and memory that runs out under the report. What a probe
 * finds is the prober's own test; here it is what callers are told. */
#include <string.h>

#include "base/alloc.h"
#include "freehold/v1/probe.pb-c.h"
#include "tests/unit/server_handlers/kit.h"
#include "tests/unit/server_handlers/message.h"

#define ROUNDS_MAX 4000 /* more than a report allocates */

struct lab {
    struct kit *kit;
    struct fh_rpc_service service;
};

static struct lab lab;

static int setup(void **state)
{
    const struct fh_prober_options options = {0};
    if (kit_setup(state) != 0) {
        return -1;
    }
    lab.kit = *state;
    const struct fh_prober_parts parts = {.env = &lab.kit->env,
                                          .catalog = lab.kit->catalog,
                                          .router = lab.kit->router,
                                          .provisioner = lab.kit->provisioner};
    lab.service = fh_probe_service(&lab.kit->services);
    return fh_prober_create(&parts, &options, &lab.kit->services.prober) == FH_OK ? 0 : -1;
}

static void closed_cb(void *arg)
{
    *(bool *)arg = true;
}

static void close_prober(void)
{
    bool done = false;
    fh_prober_close(lab.kit->services.prober, closed_cb, &done);
    kit_wait(lab.kit, &done);
    lab.kit->services.prober = NULL;
}

static int teardown(void **state)
{
    if (lab.kit->services.prober != NULL) {
        close_prober();
    }
    return kit_teardown(state);
}

static const ProtobufCMessage *run_request(const char *store, int tier)
{
    struct fh_arena *arena = &lab.kit->arena;
    Freehold__V1__RunProbeRequest *in = FH_ARENA_NEW(arena, Freehold__V1__RunProbeRequest);
    freehold__v1__run_probe_request__init(in);
    in->store = text_of(store);
    in->tiers = FH_ARENA_ARRAY(arena, Freehold__V1__Placement__Tier, 1);
    in->tiers[0] = (Freehold__V1__Placement__Tier)tier;
    in->n_tiers = tier >= 0 ? 1 : 0;
    return &in->base;
}

static struct fh_call *call(const char *method, const ProtobufCMessage *request)
{
    return kit_call(lab.kit, &lab.service, method, &lab.kit->operator_, request);
}

static const ProtobufCMessage *get_request(void)
{
    static const Freehold__V1__GetProbeRequest in = FREEHOLD__V1__GET_PROBE_REQUEST__INIT;
    return &in.base;
}

static void assert_is_canary(const char *name)
{
    struct fh_uuid uuid;
    assert_int_equal(strncmp(name, "tenants/", 8), 0);
    assert_true(fh_uuid_parse(fh_str_of(name + 8), &uuid));
    assert_true(fh_uuid_is_canary(&uuid));
}

static void test_answers_the_report(void **state)
{
    (void)state;
    expect_code(call("GetProbe", get_request()), FH_NOT_FOUND, "");
    const Freehold__V1__ProbeReport *ran =
        response(Freehold__V1__ProbeReport, lab.kit,
                 call("RunProbe", run_request("stores/local", FH_TIER_SHARED)));
    assert_true(ran->n_results > 4);
    assert_non_null(ran->start_time);
    assert_non_null(ran->end_time);
    assert_false(ran->truncated);
    for (size_t i = 0; i < ran->n_results; i++) {
        const Freehold__V1__ProbeResult *one = ran->results[i];
        assert_string_equal(one->store, "stores/local");
        assert_int_equal(one->tier, FREEHOLD__V1__PLACEMENT__TIER__TIER_SHARED);
        assert_int_not_equal(one->verdict,
                             FREEHOLD__V1__PROBE_RESULT__VERDICT__VERDICT_UNSPECIFIED);
        assert_true(one->probe[0] != '\0');
        assert_int_equal(one->n_canaries, 2);
        assert_is_canary(one->canaries[0]);
        assert_is_canary(one->canaries[1]);
        assert_string_not_equal(one->canaries[0], one->canaries[1]);
    }
    const Freehold__V1__ProbeReport *last =
        response(Freehold__V1__ProbeReport, lab.kit, call("GetProbe", get_request()));
    assert_int_equal(last->n_results, ran->n_results);
    assert_int_equal(last->held, ran->held);
}

#ifdef FREEHOLD_FAULTS
static void test_names_the_layer_that_is_gone(void **state)
{
    (void)state;
    unsigned named = 0;
    lab.kit->isolation.skip_ownership_check = true;
    const Freehold__V1__ProbeReport *ran = response(
        Freehold__V1__ProbeReport, lab.kit, call("RunProbe", run_request("", FH_TIER_SHARED)));
    assert_false(ran->held);
    for (size_t i = 0; i < ran->n_results; i++) {
        const Freehold__V1__ProbeResult *one = ran->results[i];
        if (one->verdict == FREEHOLD__V1__PROBE_RESULT__VERDICT__VERDICT_BROKEN) {
            assert_int_equal(one->n_gone, 1);
            assert_string_equal(one->gone[0], "ownership");
            named++;
        }
    }
    assert_true(named > 0);
}
#endif

/* The store is away: nothing is known, and nobody is told that all is well. */
static void test_what_cannot_be_found_out(void **state)
{
    (void)state;
    fake_call_free(call("RunProbe", run_request("", FH_TIER_SHARED)));
    kit_faults(lab.kit, (struct fh_fault_plan){.unavailable_ppm = 1000000});
    const Freehold__V1__ProbeReport *ran = response(
        Freehold__V1__ProbeReport, lab.kit, call("RunProbe", run_request("", FH_TIER_SHARED)));
    kit_faults(lab.kit, (struct fh_fault_plan){0});
    assert_false(ran->held);
    assert_int_equal(ran->results[0]->verdict,
                     FREEHOLD__V1__PROBE_RESULT__VERDICT__VERDICT_UNKNOWN);
    assert_int_equal(ran->results[0]->n_gone, 0);
    assert_true(ran->results[0]->text[0] != '\0');
}

static void test_refuses(void **state)
{
    (void)state;
    expect_code(call("RunProbe", run_request("local", -1)), FH_INVALID, "store");
    expect_code(call("RunProbe", run_request("stores/nowhere", -1)), FH_NOT_FOUND, "store");
    expect_code(call("RunProbe", run_request("", 99)), FH_INVALID, "tiers");
}

static void test_one_run_at_a_time(void **state)
{
    (void)state;
    struct fh_call *first = kit_prepare(lab.kit, &lab.service, "RunProbe", &lab.kit->operator_,
                                        run_request("", FH_TIER_SHARED));
    fake_call_run(first);
    assert_false(first->ended);
    expect_code(call("RunProbe", run_request("", FH_TIER_SHARED)), FH_CONFLICT, "");
    kit_wait(lab.kit, &first->ended);
    expect_code(first, FH_OK, "");
}

static void test_ends(void **state)
{
    (void)state;
    struct fh_call *under_way = kit_prepare(lab.kit, &lab.service, "RunProbe", &lab.kit->operator_,
                                            run_request("", FH_TIER_SHARED));
    fake_call_run(under_way);
    close_prober();
    kit_wait(lab.kit, &under_way->ended);
    expect_code(under_way, FH_SHUTTING_DOWN, "");
    expect_code(call("RunProbe", run_request("", -1)), FH_SHUTTING_DOWN, "");
    expect_code(call("GetProbe", get_request()), FH_NOT_FOUND, "");
}

/* The nth allocation of the heap fails; or the call's arena ends one step later each time. */
static void test_memory(void **state)
{
    (void)state;
    fake_call_free(call("RunProbe", run_request("", FH_TIER_SHARED)));
    for (int of_arena = 0; of_arena < 2; of_arena++) {
        bool more = true;
        for (int round = 0; more; round++) {
            struct fh_call *one =
                kit_prepare(lab.kit, &lab.service, "GetProbe", &lab.kit->operator_, get_request());
            if (of_arena != 0) {
                one->arena.bytes_max = one->arena.bytes_used + (size_t)round * 16;
            } else {
                fh_alloc_fault_on(round, 1);
            }
            fake_call_run(one);
            assert_true(one->ended);
            more = of_arena != 0 ? one->code != FH_OK : fh_alloc_fault_off() != 0;
            assert_true(one->code == FH_OK || one->code == FH_NOMEM);
            fake_call_free(one);
            assert_true(round < ROUNDS_MAX);
        }
    }
}

#define LAB_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(test_answers_the_report),
#ifdef FREEHOLD_FAULTS
        LAB_TEST(test_names_the_layer_that_is_gone),
#endif
        LAB_TEST(test_what_cannot_be_found_out),
        LAB_TEST(test_refuses),
        LAB_TEST(test_one_run_at_a_time),
        LAB_TEST(test_ends),
        LAB_TEST(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
