/* A random walk of steps, legal and not, against a small model of the rules.
 *
 * The model is written from the contract in router/catalog.h and shares nothing with the code. Each
 * step has an expected code and an expected state; both handles take turns, and now and then the
 * catalog is opened anew. A failure tells seed and step: FREEHOLD_SEED runs one seed alone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "router/move_rules.h"
#include "tests/conformance/catalog/suite.h"

#define STEPS 500
#define MOVES_MAX 64
#define TENANTS 2
#define ANY_STATE (31u << FH_TENANT_PROVISIONING)

static const char *const stores[] = {"north", "south", "west"};
static const char *const messages[] = {"", "slow", "behind"};

/* legal[from][to], in the order of the phases; a settled move is not reached by an advance. */
static const char *const legal[] = {
    "",
    /* planned */ " xx.......x.x.",
    /* preparing */ " .xx......x.x.",
    /* copying */ " .xxx.....x.x.",
    /* catching_up */ " .x.xx....x.x.",
    /* ready */ " .x.xxx...x.x.",
    /* switching */ " ...x.x...x.x.",
    /* settled */ " ......xx.....",
    /* cleaning */ " .......xx....",
    /* done */ " .............",
    /* cancelling */ " .........xx..",
    /* cancelled */ " .............",
    /* failing */ " ...........xx",
    /* failed */ " .............",
};

struct model_tenant {
    struct fh_uuid uuid;
    enum fh_tenant_state state;
    size_t store;
    uint64_t epoch;
    uint64_t generation;
};

struct model_move {
    struct fh_uuid uuid;
    size_t tenant;
    size_t target;
    enum fh_move_phase phase;
    enum fh_move_wish wish;
    uint64_t generation;
    uint64_t beat;
    size_t message;
    size_t events;
};

struct walk {
    struct catalog_suite *s;
    uint64_t random;
    struct model_tenant tenants[TENANTS];
    struct model_move moves[MOVES_MAX];
    size_t count;
    size_t accepted;
    size_t switches;
};

static uint64_t pick(struct walk *w, uint64_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (w->random >> 11) % below;
}

static bool one_in(struct walk *w, uint64_t n)
{
    return pick(w, n) == 0;
}

static bool finished(const struct model_move *move)
{
    return move->phase == FH_MOVE_DONE || move->phase == FH_MOVE_CANCELLED ||
           move->phase == FH_MOVE_FAILED;
}

static struct model_move *unfinished_of(struct walk *w, size_t tenant)
{
    for (size_t i = 0; i < w->count; i++) {
        if (w->moves[i].tenant == tenant && !finished(&w->moves[i])) {
            return &w->moves[i];
        }
    }
    return NULL;
}

static void check_move(struct walk *w, const struct model_move *move)
{
    struct fh_move got = catalog_move(w->s, &move->uuid);
    assert_true(fh_uuid_eq(&got.tenant, &w->tenants[move->tenant].uuid));
    assert_string_equal(got.target_store, stores[move->target]);
    assert_string_equal(fh_move_phase_name(got.phase), fh_move_phase_name(move->phase));
    assert_int_equal(got.wish, move->wish);
    assert_int_equal(got.generation, move->generation);
    assert_int_equal(got.beat, move->beat);
    assert_true(fh_str_eq(got.message, fh_str_of(messages[move->message])));
    assert_int_equal(got.finished_at_us != 0, finished(move));
}

static void check_tenant(struct walk *w, size_t tenant)
{
    const struct model_tenant *model = &w->tenants[tenant];
    struct fh_tenant got = catalog_tenant(w->s, &model->uuid);
    assert_int_equal(got.state, model->state);
    assert_string_equal(got.placement.store, stores[model->store]);
    assert_int_equal(got.placement.epoch, model->epoch);
    assert_int_equal(got.placement.generation, model->generation);
}

static void step_start(struct walk *w)
{
    size_t tenant = pick(w, TENANTS);
    size_t target = pick(w, 3);
    const struct model_tenant *model = &w->tenants[tenant];
    const struct model_move *busy = unfinished_of(w, tenant);
    /* It begins in the shared home; every move goes to its own. */
    bool lives_there = target == model->store && model->epoch > 1;
    if (w->count == MOVES_MAX || (busy != NULL && lives_there)) {
        return; /* two reasons to refuse: which is told is not promised */
    }
    enum fh_code expected = FH_OK;
    if (busy != NULL) {
        expected = FH_EXISTS;
    } else if (lives_there ||
               (model->state != FH_TENANT_ACTIVE && model->state != FH_TENANT_SUSPENDED)) {
        expected = FH_PRECONDITION;
    }
    struct fh_move made;
    assert_code(catalog_move_start(w->s, &model->uuid, stores[target], &made), expected);
    if (expected == FH_EXISTS) {
        assert_true(fh_uuid_eq(&made.uuid, &busy->uuid));
    }
    if (expected == FH_OK) {
        w->accepted++;
        w->moves[w->count++] = (struct model_move){.uuid = made.uuid,
                                                   .tenant = tenant,
                                                   .target = target,
                                                   .phase = FH_MOVE_PLANNED,
                                                   .wish = FH_MOVE_WISH_RUN,
                                                   .beat = made.beat,
                                                   .events = 1};
    }
}

static void step_claim(struct walk *w, struct model_move *move)
{
    uint64_t beat = move->beat + (one_in(w, 4) ? 1 : 0);
    bool wins = !finished(move) && beat == move->beat;
    assert_code(catalog_move_claim(w->s, &move->uuid, beat, NULL), wins ? FH_OK : FH_PRECONDITION);
    if (wins) {
        move->generation = ++w->tenants[move->tenant].generation;
        move->beat++;
        move->events++;
        w->accepted++;
    }
}

/* Mostly the present one. */
static uint64_t generation_of(struct walk *w, const struct model_move *move)
{
    uint64_t stale = move->generation > 1 ? move->generation - 1 : 1;
    return one_in(w, 8) || move->generation == 0 ? stale : move->generation;
}

static void step_advance(struct walk *w, struct model_move *move)
{
    uint64_t generation = generation_of(w, move);
    enum fh_move_phase from =
        one_in(w, 12) ? (enum fh_move_phase)(1 + pick(w, FH_MOVE_FAILED)) : move->phase;
    enum fh_move_phase to = (enum fh_move_phase)(1 + pick(w, FH_MOVE_FAILED));
    for (size_t i = 0; i < 3 && (legal[from][to] != 'x' || to >= FH_MOVE_CANCELLING); i++) {
        to = one_in(w, 3) || from == FH_MOVE_FAILED ? from : (enum fh_move_phase)(from + 1);
    }
    size_t message = one_in(w, 4) ? pick(w, 3) : move->message;
    enum fh_code expected = FH_OK;
    if (legal[from][to] != 'x') {
        expected = FH_INVALID;
    } else if (generation != move->generation || from != move->phase ||
               generation != w->tenants[move->tenant].generation) {
        expected = FH_PRECONDITION;
    }
    assert_code(
        catalog_move_advance(w->s, &move->uuid, generation, from, to, messages[message], NULL),
        expected);
    if (expected == FH_OK) {
        move->events += to != move->phase || message != move->message ? 1 : 0;
        move->phase = to;
        move->message = message;
        move->beat++;
        w->accepted++;
    }
}

static void step_switch(struct walk *w, struct model_move *move)
{
    struct model_tenant *tenant = &w->tenants[move->tenant];
    uint64_t generation = generation_of(w, move);
    uint64_t epoch = tenant->epoch + (one_in(w, 6) ? 1 : 0);
    bool wins = move->phase == FH_MOVE_SWITCHING && generation == move->generation &&
                generation == tenant->generation && epoch == tenant->epoch;
    struct fh_placement placement;
    assert_code(catalog_move_switch(w->s, &move->uuid, generation, epoch, NULL, &placement),
                wins ? FH_OK : FH_PRECONDITION);
    if (wins) {
        tenant->store = move->target;
        tenant->epoch++;
        move->phase = FH_MOVE_SETTLED;
        move->beat++;
        move->events++;
        w->accepted++;
        w->switches++;
    }
    assert_int_equal(placement.epoch, tenant->epoch);
    assert_string_equal(placement.store, stores[tenant->store]);
}

static void step_wish(struct walk *w, struct model_move *move)
{
    enum fh_move_wish wish =
        one_in(w, 6) ? FH_MOVE_WISH_CANCEL : (enum fh_move_wish)(1 + pick(w, 2));
    bool changes = wish != move->wish;
    bool late = move->phase > FH_MOVE_SWITCHING && wish != FH_MOVE_WISH_RUN;
    bool refused = finished(move) || (changes && (move->wish == FH_MOVE_WISH_CANCEL || late));
    assert_code(catalog_move_wish(w->s, &move->uuid, wish, NULL),
                refused ? FH_PRECONDITION : FH_OK);
    if (!refused && changes) {
        move->wish = wish;
        move->beat++;
        move->events++;
        w->accepted++;
    }
}

static void step_tenant(struct walk *w)
{
    size_t index = pick(w, TENANTS);
    struct model_tenant *tenant = &w->tenants[index];
    bool deletes = one_in(w, 3);
    bool bump = one_in(w, 3);
    bool wins = !deletes || unfinished_of(w, index) == NULL;
    enum fh_tenant_state to = one_in(w, 2) ? FH_TENANT_ACTIVE : FH_TENANT_SUSPENDED;
    assert_code(catalog_advance(w->s, &tenant->uuid, ANY_STATE, tenant->generation,
                                deletes ? FH_TENANT_DELETING : to, bump, NULL),
                wins ? FH_OK : FH_PRECONDITION);
    if (wins) {
        tenant->state = deletes ? FH_TENANT_DELETING : to;
        tenant->generation += bump ? 1 : 0;
        w->accepted++;
    }
}

static void step(struct walk *w)
{
    struct model_move *move = NULL;
    if (w->count > 0) {
        struct model_move *open = unfinished_of(w, pick(w, TENANTS));
        move = open == NULL || one_in(w, 8) ? &w->moves[pick(w, w->count)] : open;
    }
    uint64_t what = pick(w, 32);
    if (move == NULL || what < 4) {
        step_start(w);
    } else if (what < 8) {
        step_claim(w, move);
    } else if (what < 23) {
        step_advance(w, move);
    } else if (what < 28) {
        step_switch(w, move);
    } else if (what < 30) {
        step_wish(w, move);
    } else {
        step_tenant(w);
    }
    if (move != NULL) {
        check_move(w, move);
        check_tenant(w, move->tenant);
    }
}

static void check_all(struct walk *w)
{
    char resource[FH_MOVE_RESOURCE_SIZE];
    size_t open = 0;
    for (size_t i = 0; i < w->count; i++) {
        check_move(w, &w->moves[i]);
        open += finished(&w->moves[i]) ? 0 : 1;
        fh_move_event_resource(&w->moves[i].uuid, resource);
        assert_int_equal(catalog_events_of(w->s, resource).count, w->moves[i].events);
    }
    for (size_t i = 0; i < TENANTS; i++) {
        check_tenant(w, i);
    }
    struct fh_catalog_request list = {.op = FH_CATALOG_MOVE_LIST};
    list.as.move_list.limit = FH_PAGE_MAX;
    assert_code(catalog_run(w->s, &list), FH_OK);
    size_t mine = 0;
    for (size_t i = 0; i < list.as.move_list.count; i++) {
        mine += fh_uuid_eq(&list.as.move_list.moves[i].tenant, &w->tenants[0].uuid) ||
                fh_uuid_eq(&list.as.move_list.moves[i].tenant, &w->tenants[1].uuid);
    }
    assert_int_equal(mine, w->count);
    list.as.move_list.unfinished = true;
    assert_code(catalog_run(w->s, &list), FH_OK);
    assert_int_equal(list.as.move_list.count, open);
}

static void run_walk(struct catalog_suite *s, uint64_t seed)
{
    static struct walk w;
    w = (struct walk){.s = s, .random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1};
    w.tenants[0] = (struct model_tenant){s->a, FH_TENANT_ACTIVE, 0, 1, 1};
    w.tenants[1] = (struct model_tenant){s->b, FH_TENANT_ACTIVE, 0, 1, 1};
    s->second = catalog_open(s);
    print_message("seed %" PRIu64 "\n", seed);
    for (size_t i = 0; i < STEPS; i++) {
        s->via = one_in(&w, 2) ? s->catalog : s->second;
        step(&w);
        if (i % 100 == 99) {
            s->via = NULL;
            catalog_reopen(s);
            check_all(&w);
        }
    }
    print_message("seed %" PRIu64 ": %zu moves, %zu switches, %zu of %d steps accepted\n", seed,
                  w.count, w.switches, w.accepted, STEPS);
    assert_true(w.accepted > STEPS / 5); /* a walk that is refused everywhere proves little */
}

static uint64_t seed_or(uint64_t seed)
{
    const char *asked = getenv("FREEHOLD_SEED");
    return asked != NULL ? strtoull(asked, NULL, 10) : seed;
}

static void walks_as_the_model_1(void **state)
{
    run_walk(*state, seed_or(1));
}

static void walks_as_the_model_2(void **state)
{
    run_walk(*state, seed_or(2));
}

static void walks_as_the_model_3(void **state)
{
    run_walk(*state, seed_or(3));
}

static const struct CMUnitTest tests[] = {
    CATALOG_WORLD_TEST(walks_as_the_model_1),
    CATALOG_WORLD_TEST(walks_as_the_model_2),
    CATALOG_WORLD_TEST(walks_as_the_model_3),
};

CATALOG_PART(catalog_part_walk, tests)
