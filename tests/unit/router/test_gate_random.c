/* A tenant that is moved again and again while requests come, end late and are cancelled, in
 * schedules drawn from seeds: every request completes once, was carried out at most once and only
 * if it says so, none fails but for its own deadline or cancel, and none is left waiting. A seed
 * says all that happens: neither clock nor timers are real. FH_TEST_SEED, FH_TEST_SEEDS and
 * FH_TEST_STEPS repeat one, or try more. */
#include <stdio.h>

#include "tests/unit/router/gating.h"

#define REQUESTS 48
#define IN_FLIGHT_MAX 8
#define HELD_MAX 16
#define SEED 20261121
#define SEEDS 10
#define STEPS 20000
#define TURNS_MAX 1000 /* a millisecond each */

/* How far the mover is. */
enum stage { SETTLED, GATED, FROZEN, GATED_ALL, CLOSED, SWITCHED, STAGES };

struct one {
    struct fh_routed routed;
    bool live;
    bool cancelled;
    uint32_t executed;
    uint32_t done;
};

struct play {
    struct fixture *f;
    uint64_t random;
    struct one requests[REQUESTS];
    struct fh_tenant truth; /* the catalog's */
    struct fake_store *home;
    uint64_t epoch; /* of the home's fence */
    enum fh_fence_mode mode;
    bool old_gone; /* the other store's home is erased */
    bool local;    /* the mover is this process's */
    bool quiet;    /* the end: no more faults */
    bool forgets;  /* the placement, at times; then nothing refuses, for that may fail those who
                      never waited */
    enum stage stage;
    size_t completed;
    size_t late;
};

static uint32_t draw(struct play *play, uint32_t below)
{
    play->random = play->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(play->random >> 33) % below;
}

static void ended_cb(struct fh_routed *routed)
{
    struct one *one = routed->arg;
    one->done++;
}

static void start(struct play *play)
{
    struct one *one = &play->requests[draw(play, REQUESTS)];
    if (one->live) {
        if (draw(play, 8) == 0) {
            one->cancelled = true;
            fh_router_cancel(play->f->router, &one->routed);
        }
        return;
    }
    *one = (struct one){.live = true};
    struct fh_request *request = &one->routed.request;
    request->op = draw(play, 2) == 0 ? FH_OP_COMMIT : FH_OP_EVENTS;
    if (request->op == FH_OP_COMMIT) {
        request->as.commit.writes = &one_write;
        request->as.commit.count = 1;
    } else {
        request->as.events.limit = 1;
    }
    request->scope.tenant = tenant_a;
    request->deadline_us = play->f->clock.monotonic_us +
                           (draw(play, 4) == 0 ? 1 + (int64_t)draw(play, 30000) : 60000000);
    request->arena = &play->f->arena;
    one->routed.done_cb = ended_cb;
    one->routed.arg = one;
    enum fh_code code = fh_router_submit(play->f->router, &one->routed);
    if (code != FH_OK) {
        assert_int_equal(code, FH_FULL);
        one->live = false;
    }
}

static void reap(struct play *play)
{
    for (size_t i = 0; i < REQUESTS; i++) {
        struct one *one = &play->requests[i];
        assert_true(one->done <= 1);
        if (!one->live || one->done == 0) {
            continue;
        }
        switch (one->routed.code) {
        case FH_OK:
            assert_int_equal(one->executed, 1);
            break;
        case FH_DEADLINE:
            assert_int_equal(one->executed, 0);
            assert_true(play->f->clock.monotonic_us >= one->routed.request.deadline_us);
            play->late++;
            break;
        case FH_CANCELLED:
            assert_int_equal(one->executed, 0);
            assert_true(one->cancelled);
            break;
        default:
            fail_msg("ended as %s: %s", fh_code_name(one->routed.code),
                     one->routed.request.error.message);
        }
        one->live = false;
        play->completed++;
    }
}

/* One of those that are at the store, as the fence decides. */
static void answer(struct play *play, struct fake_store *store)
{
    if (store->pending_count == 0) {
        return;
    }
    size_t which = draw(play, (uint32_t)store->pending_count);
    struct fh_request *request = store->pending[which];
    for (size_t i = which + 1; i < store->pending_count; i++) {
        store->pending[i - 1] = store->pending[i];
    }
    store->pending_count--;
    struct one *one =
        FH_CONTAINER_OF(FH_CONTAINER_OF(request, struct fh_routed, request), struct one, routed);
    bool write = request->op == FH_OP_COMMIT;
    if (store != play->home && play->old_gone) {
        fh_request_complete(request, FH_NO_TENANT);
        return;
    }
    request->epoch_seen = store == play->home ? play->epoch : play->epoch - 1;
    request->mode_seen = store == play->home ? play->mode : FH_FENCE_CLOSED;
    bool open =
        request->mode_seen == FH_FENCE_OPEN || (request->mode_seen == FH_FENCE_FROZEN && !write);
    if (write && play->stage == GATED && draw(play, 3) == 0) {
        fh_request_complete(request, FH_HELD);
    } else if (request->scope.epoch != request->epoch_seen || !open) {
        fh_request_complete(request, FH_MOVED);
    } else {
        one->executed++;
        fh_request_complete(request, FH_OK);
    }
}

/* What is asked is read when it is asked; the answer takes its time. */
static void read_catalog(struct play *play)
{
    struct fake_catalog *catalog = &play->f->catalog;
    for (size_t i = 0; i < catalog->pending_count; i++) {
        if (fh_uuid_is_nil(&catalog->pending[i]->as.get.tenant.uuid)) {
            catalog->pending[i]->as.get.tenant = play->truth;
        }
    }
}

static void answer_catalog(struct play *play)
{
    struct fake_catalog *catalog = &play->f->catalog;
    bool faults = !play->quiet && !play->forgets;
    catalog->refusal = faults && draw(play, 10) == 0 ? FH_SHUTTING_DOWN : FH_OK;
    if (catalog->pending_count == 0) {
        return;
    }
    read_catalog(play);
    struct fh_catalog_request *request = catalog->pending[--catalog->pending_count];
    /* Who is not known cannot be served without the catalog; so it answers the first time. */
    bool known = play->completed > 0;
    request->code = faults && known && draw(play, 4) == 0 ? FH_UNAVAILABLE : FH_OK;
    request->done_cb(request);
}

static void switch_over(struct play *play)
{
    struct fixture *f = play->f;
    play->home = play->home == &f->one ? &f->two : &f->one;
    play->epoch++;
    play->mode = FH_FENCE_INCOMING;
    play->old_gone = false;
    play->truth.placement.epoch = play->epoch;
    (void)snprintf(play->truth.placement.store, sizeof(play->truth.placement.store), "%.40s",
                   play->home->store.name);
}

static void call_off(struct play *play)
{
    play->mode = FH_FENCE_OPEN;
    if (play->local) {
        bool told = draw(play, 2) == 0;
        fh_router_gate_open(play->f->router, &tenant_a, told ? &play->truth.placement : NULL);
    }
    play->stage = SETTLED;
}

static void advance(struct play *play)
{
    struct fixture *f = play->f;
    if (play->stage != SETTLED && play->stage != SWITCHED && draw(play, 6) == 0) {
        call_off(play);
        return;
    }
    play->stage = (enum stage)((play->stage + 1) % STAGES);
    switch (play->stage) {
    case GATED:
        play->local = draw(play, 2) == 0;
        play->old_gone = true; /* cleaned, long after the last switch */
        if (play->local) {
            assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_WRITES), FH_OK);
        }
        return;
    case FROZEN:
        play->mode = FH_FENCE_FROZEN;
        return;
    case GATED_ALL:
        if (play->local) {
            assert_int_equal(fh_router_gate_close(f->router, &tenant_a, FH_GATE_ALL), FH_OK);
        }
        return;
    case CLOSED:
        play->mode = FH_FENCE_CLOSED;
        return;
    case SWITCHED:
        switch_over(play);
        return;
    default: /* SETTLED: the target opens */
        play->mode = FH_FENCE_OPEN;
        if (play->local) {
            fh_router_gate_open(f->router, &tenant_a,
                                draw(play, 2) == 0 ? &play->truth.placement : NULL);
        }
    }
}

static void hint(struct play *play)
{
    static const struct fh_uuid nil = {{0}};
    if (play->forgets && draw(play, 2) == 0) {
        fh_router_invalidate(play->f->router, &tenant_a);
        return;
    }
    fh_catalog_tell(&play->f->catalog.catalog, FH_CATALOG_HINT_TENANT,
                    draw(play, 4) == 0 ? &nil : &tenant_a);
}

/* Timers never fire early, but late. */
static void pass(struct play *play, int64_t us)
{
    fh_clock_virtual_advance(&play->f->clock, us);
    if (draw(play, 4) != 0) {
        turn_by_hand(play->f);
    }
}

static void check(struct play *play)
{
    struct fh_gate_stats gate = gate_of(play->f);
    struct fh_router_stats stats;
    fh_router_stats(play->f->router, &stats);
    assert_int_equal(gate.held, stats.held_now);
    /* Those that come back: writes, and reads that passed while writes were held. */
    assert_true(stats.held_now <= HELD_MAX + 2 * IN_FLIGHT_MAX + 1);
    assert_true(stats.in_flight <= IN_FLIGHT_MAX + 1); /* and a probe */
    size_t live = 0;
    for (size_t i = 0; i < REQUESTS; i++) {
        live += play->requests[i].live ? 1 : 0;
    }
    assert_int_equal(live, stats.held_now + stats.in_flight);
}

static void step(struct play *play)
{
    struct fixture *f = play->f;
    uint32_t what = draw(play, 100);
    if (what < 35) {
        start(play);
    } else if (what < 60) {
        answer(play, draw(play, 2) == 0 ? &f->one : &f->two);
    } else if (what < 75) {
        answer_catalog(play);
    } else if (what < 78) {
        advance(play);
    } else if (what < 80) {
        hint(play);
    } else if (what < 82) {
        f->one.refusal = !play->forgets && draw(play, 4) == 0 ? FH_FULL : FH_OK;
        f->two.refusal = !play->forgets && draw(play, 4) == 0 ? FH_FULL : FH_OK;
    } else {
        pass(play, draw(play, 1500));
    }
    read_catalog(play);
    reap(play);
    check(play);
}

/* Whatever was going on ends well, and long before any deadline would end it. */
static void settle(struct play *play)
{
    struct fixture *f = play->f;
    play->quiet = true;
    f->one.refusal = FH_OK;
    f->two.refusal = FH_OK;
    while (play->stage != SETTLED) {
        advance(play);
    }
    for (size_t turns = 0;; turns++) {
        size_t live = 0;
        for (size_t i = 0; i < REQUESTS; i++) {
            live += play->requests[i].live ? 1 : 0;
        }
        if (live == 0) {
            break;
        }
        if (turns == TURNS_MAX) {
            fail_msg("%zu requests wait for nothing", live);
        }
        answer_catalog(play);
        answer(play, &f->one);
        answer(play, &f->two);
        fh_clock_virtual_advance(&f->clock, 1000);
        turn_by_hand(f);
        read_catalog(play);
        reap(play);
    }
    assert_int_equal(gate_of(f).held, 0);
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void play_one(struct fixture *f, uint64_t seed, uint64_t steps)
{
    struct play *play = calloc(1, sizeof(*play)); /* NOLINT(fh-alloc): the test's own */
    assert_non_null(play);
    *play = (struct play){
        .f = f, .random = seed, .epoch = 1, .mode = FH_FENCE_OPEN, .forgets = seed % 3 == 0};
    play->home = &f->one;
    play->truth = f->catalog.tenant;
    play->truth.uuid = tenant_a;
    remake_router(f, IN_FLIGHT_MAX, HELD_MAX);
    place(f, &tenant_a);
    play->completed = 1;
    for (uint64_t i = 0; i < steps; i++) {
        step(play);
    }
    settle(play);
    struct fh_router_stats stats;
    fh_router_stats(f->router, &stats);
    uint64_t turned_away = stats.moved_retries + stats.held_retries;
    print_message("seed %llu: %zu requests, %zu late, %llu held, %llu turned away\n",
                  (unsigned long long)seed, play->completed, play->late,
                  (unsigned long long)stats.held, (unsigned long long)turned_away);
    assert_true(play->completed > steps / 20 && stats.held > steps / 200);
    free(play); /* NOLINT(fh-alloc): the test's own */
}

static void loses_nothing_and_does_nothing_twice(void **state)
{
    (void)state;
    uint64_t first = setting("FH_TEST_SEED", SEED);
    uint64_t seeds = setting("FH_TEST_SEEDS", getenv("FH_TEST_SEED") != NULL ? 1 : SEEDS);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        void *fixture = NULL;
        assert_int_equal(set_up_gating(&fixture), 0);
        play_one(fixture, seed, setting("FH_TEST_STEPS", STEPS));
        assert_int_equal(tear_down(&fixture), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loses_nothing_and_does_nothing_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
