/* Moves before the switch: how they begin, who works on them, and what they refuse. */
#include <stdio.h>

#include "tests/conformance/catalog/suite.h"

#define ANY_STATE (31u << FH_TENANT_PROVISIONING)

static void begins_a_move(void **state)
{
    struct catalog_suite *s = *state;
    const struct fh_uuid nobody = {0};
    struct fh_catalog_request made = catalog_move_creation(s, &s->a, "south", "");
    made.as.move.settings.rows_per_second_max = UINT32_MAX;
    assert_code(catalog_run(s, &made), FH_OK);
    const struct fh_move *move = &made.as.move;
    assert_true(fh_uuid_eq(&move->tenant, &s->a));
    assert_string_equal(move->source.store, "north");
    assert_string_equal(move->source.home.name, FH_HOME_SHARED);
    assert_int_equal(move->source.home.tier, FH_TIER_SHARED);
    assert_int_equal(move->source.epoch, 1);
    assert_int_equal(move->source.generation, 1);
    assert_string_equal(move->target_store, "south");
    assert_int_equal(move->target_home.tier, FH_TIER_SCHEMA);
    assert_int_equal(move->phase, FH_MOVE_PLANNED);
    assert_int_equal(move->wish, FH_MOVE_WISH_RUN);
    assert_true(fh_uuid_eq(&move->worker, &nobody));
    assert_int_equal(move->settings.max_pause_us, 500000); /* zero means the default */
    assert_int_equal(move->settings.duty_percent, 50);
    assert_true(move->settings.rows_per_second_max == UINT32_MAX);
    assert_int_equal(move->message.len, 0);
    assert_true(fh_str_eq(move->actor, FH_STR("root@example")));
    assert_true(fh_str_eq(move->reason, FH_STR("nearer to its readers")));
    assert_true(move->created_at_us > 0);
    assert_int_equal(move->finished_at_us, 0);
    catalog_reopen(s);
    struct fh_move got = catalog_move(s, &move->uuid);
    catalog_assert_same_move(&got, move);
    /* Nothing happened to the tenant. */
    struct fh_tenant tenant = catalog_tenant(s, &s->a);
    assert_string_equal(tenant.placement.store, "north");
    assert_int_equal(tenant.placement.generation, 1);
}

static void keeps_progress_and_message(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_move move = catalog_move_at(s, &s->a, "south", FH_MOVE_COPYING);
    struct fh_catalog_request step = {.op = FH_CATALOG_MOVE_ADVANCE};
    char longest[FH_MOVE_MESSAGE_MAX + 1];
    memset(longest, '"', sizeof(longest));
    step.as.move_advance.uuid = move.uuid;
    step.as.move_advance.generation = move.generation;
    step.as.move_advance.from = FH_MOVE_COPYING;
    step.as.move_advance.to = FH_MOVE_COPYING;
    step.as.move_advance.message = (struct fh_str){longest, FH_MOVE_MESSAGE_MAX};
    step.as.move_advance.progress = (struct fh_move_progress){
        .rows_total = INT64_MAX,
        .bytes_total = 2,
        .rows_copied = 3,
        .records_copied = 4,
        .rows_applied = 5,
        .rows_verified = 6,
        .rounds = 7,
        .lag_records = 8,
        .switches_tried = 9,
        .copy_started_us = 10,
        .copy_us = 11,
        .pause_predicted_us = 12,
        .pause_us = 13,
        .read_pause_us = INT64_MAX,
    };
    assert_code(catalog_run(s, &step), FH_OK);
    assert_int_equal(step.as.move_advance.move.beat, move.beat + 1);
    catalog_reopen(s);
    struct fh_move got = catalog_move(s, &move.uuid);
    catalog_assert_same_move(&got, &step.as.move_advance.move);
    assert_memory_equal(&got.progress, &step.as.move_advance.progress, sizeof(got.progress));
    assert_true(fh_str_eq(got.message, step.as.move_advance.message));
    step.as.move_advance.message.len = sizeof(longest);
    assert_code(catalog_run(s, &step), FH_INVALID);
    step.as.move_advance.message = FH_STR("\xff");
    assert_code(catalog_run(s, &step), FH_INVALID);
}

static enum fh_code with_settings(struct catalog_suite *s, int64_t max_pause_us, uint32_t duty)
{
    struct fh_catalog_request request = catalog_move_creation(s, &s->a, "south", "");
    request.as.move.settings.max_pause_us = max_pause_us;
    request.as.move.settings.duty_percent = duty;
    enum fh_code code = catalog_run(s, &request);
    if (code == FH_OK) {
        struct fh_move move;
        assert_int_equal(request.as.move.settings.max_pause_us, max_pause_us);
        assert_int_equal(request.as.move.settings.duty_percent, duty);
        assert_code(catalog_move_claim(s, &request.as.move.uuid, request.as.move.beat, &move),
                    FH_OK);
        assert_code(catalog_move_advance(s, &move.uuid, move.generation, FH_MOVE_PLANNED,
                                         FH_MOVE_CANCELLING, "", &move),
                    FH_OK);
        assert_code(catalog_move_advance(s, &move.uuid, move.generation, FH_MOVE_CANCELLING,
                                         FH_MOVE_CANCELLED, "", &move),
                    FH_OK);
    }
    return code;
}

static void refuses_what_is_out_of_bounds(void **state)
{
    struct catalog_suite *s = *state;
    assert_code(with_settings(s, 1000, 1), FH_OK);
    assert_code(with_settings(s, 60000000, 100), FH_OK);
    assert_code(with_settings(s, 999, 50), FH_INVALID);
    assert_code(with_settings(s, 60000001, 50), FH_INVALID);
    assert_code(with_settings(s, -1, 50), FH_INVALID);
    assert_code(with_settings(s, 500000, 101), FH_INVALID);
    struct fh_catalog_request bad = catalog_move_creation(s, &s->a, "South", "");
    assert_code(catalog_run(s, &bad), FH_INVALID);
    bad = catalog_move_creation(s, &s->a, "south", "");
    bad.as.move.target_home.name[0] = '\0';
    assert_code(catalog_run(s, &bad), FH_INVALID);
    bad = catalog_move_creation(s, &s->a, "south", "");
    bad.as.move.target_home.tier = (enum fh_tier)0;
    assert_code(catalog_run(s, &bad), FH_INVALID);
    bad = catalog_move_creation(s, &s->a, "south", "");
    bad.as.move.uuid = (struct fh_uuid){0};
    assert_code(catalog_run(s, &bad), FH_INVALID);
    struct fh_catalog_request list = {.op = FH_CATALOG_MOVE_LIST};
    assert_code(catalog_run(s, &list), FH_INVALID);
    struct fh_catalog_request events = {.op = FH_CATALOG_EVENTS};
    events.as.events.limit = FH_PAGE_MAX + 1;
    assert_code(catalog_run(s, &events), FH_INVALID);
    struct fh_catalog_request claim = {.op = FH_CATALOG_MOVE_CLAIM};
    claim.as.move_claim.uuid = s->a;
    assert_code(catalog_run(s, &claim), FH_INVALID); /* nobody claims */
    struct fh_uuid nothing = catalog_uuid(s);
    assert_code(catalog_move_claim(s, &nothing, 0, NULL), FH_NOT_FOUND);
    assert_code(catalog_move_wish(s, &nothing, FH_MOVE_WISH_PAUSE, NULL), FH_NOT_FOUND);
    assert_code(catalog_move_wish(s, &nothing, (enum fh_move_wish)4, NULL), FH_INVALID);
    assert_code(catalog_move_switch(s, &nothing, 1, 1, NULL, NULL), FH_NOT_FOUND);
    assert_code(catalog_move_advance(s, &nothing, 1, FH_MOVE_PLANNED, FH_MOVE_PLANNED, "", NULL),
                FH_NOT_FOUND);
    struct fh_catalog_request get = {.op = FH_CATALOG_MOVE_GET};
    get.as.move_get.uuid = nothing;
    assert_code(catalog_run(s, &get), FH_NOT_FOUND);
}

static void moves_only_who_can_be_moved(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_move move;
    struct fh_uuid nobody = catalog_uuid(s);
    assert_code(catalog_move_start(s, &nobody, "south", NULL), FH_NO_TENANT);
    assert_code(catalog_move_start(s, &s->a, "nowhere", NULL), FH_PRECONDITION);
    struct fh_catalog_request home = catalog_move_creation(s, &s->a, "north", "");
    home.as.move.target_home = (struct fh_home){.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED};
    assert_code(catalog_run(s, &home), FH_PRECONDITION); /* it lives there */
    struct fh_catalog_request made = catalog_creation(s, "crane", "");
    assert_code(catalog_run(s, &made), FH_OK);
    const struct fh_uuid *crane = &made.as.tenant.uuid;
    assert_code(catalog_move_start(s, crane, "south", NULL), FH_PRECONDITION);
    assert_code(catalog_advance(s, crane, ANY_STATE, 0, FH_TENANT_DELETING, false, NULL), FH_OK);
    assert_code(catalog_move_start(s, crane, "south", NULL), FH_PRECONDITION);
    assert_code(catalog_advance(s, crane, ANY_STATE, 0, FH_TENANT_DELETED, false, NULL), FH_OK);
    assert_code(catalog_move_start(s, crane, "south", NULL), FH_PRECONDITION);
    assert_code(catalog_advance(s, &s->b, ANY_STATE, 0, FH_TENANT_SUSPENDED, false, NULL), FH_OK);
    assert_code(catalog_move_start(s, &s->b, "south", &move), FH_OK);
    struct fh_catalog_request list = {.op = FH_CATALOG_MOVE_LIST};
    list.as.move_list.limit = 10;
    assert_code(catalog_run(s, &list), FH_OK);
    assert_int_equal(list.as.move_list.count, 1); /* what was refused left nothing */
}

static void moves_a_tenant_once_at_a_time(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_move first;
    struct fh_move second;
    assert_code(catalog_move_start(s, &s->a, "south", &first), FH_OK);
    assert_code(catalog_move_start(s, &s->a, "west", &second), FH_EXISTS);
    catalog_assert_same_move(&second, &first); /* that move is answered */
    assert_code(catalog_move_start(s, &s->b, "south", NULL), FH_OK);
    assert_code(catalog_move_claim(s, &first.uuid, first.beat, &first), FH_OK);
    assert_code(catalog_move_advance(s, &first.uuid, first.generation, FH_MOVE_PLANNED,
                                     FH_MOVE_FAILING, "no room", &first),
                FH_OK);
    assert_code(catalog_move_start(s, &s->a, "west", &second), FH_EXISTS);
    assert_code(catalog_move_advance(s, &first.uuid, first.generation, FH_MOVE_FAILING,
                                     FH_MOVE_FAILED, "no room", &first),
                FH_OK);
    assert_true(first.finished_at_us > 0);
    assert_code(catalog_move_start(s, &s->a, "west", &second), FH_OK);
    assert_int_equal(second.source.generation, 2); /* what the first's claim left */
    assert_code(catalog_move_claim(s, &first.uuid, first.beat, NULL), FH_PRECONDITION);
}

static void repeats_a_creation_by_its_request_id(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_catalog_request first = catalog_move_creation(s, &s->a, "south", "id-1");
    struct fh_catalog_request again = catalog_move_creation(s, &s->a, "south", "id-1");
    struct fh_catalog_request late = catalog_move_creation(s, &s->a, "south", "id-1");
    struct fh_catalog_request target = catalog_move_creation(s, &s->a, "west", "id-1");
    struct fh_catalog_request tenant = catalog_move_creation(s, &s->b, "south", "id-1");
    struct fh_catalog_request other = catalog_move_creation(s, &s->a, "south", "id-2");
    struct fh_move move;
    assert_code(catalog_run(s, &first), FH_OK);
    assert_code(catalog_move_claim(s, &first.as.move.uuid, first.as.move.beat, &move), FH_OK);
    assert_code(catalog_run(s, &again), FH_OK);
    catalog_assert_same_move(&again.as.move, &move); /* as it is now */
    assert_code(catalog_run(s, &target), FH_REQUEST_ID_REUSED);
    assert_code(catalog_run(s, &tenant), FH_REQUEST_ID_REUSED);
    assert_code(catalog_run(s, &other), FH_EXISTS);
    assert_code(catalog_move_advance(s, &move.uuid, move.generation, FH_MOVE_PLANNED,
                                     FH_MOVE_CANCELLING, "", &move),
                FH_OK);
    assert_code(catalog_move_advance(s, &move.uuid, move.generation, FH_MOVE_CANCELLING,
                                     FH_MOVE_CANCELLED, "", &move),
                FH_OK);
    assert_code(catalog_run(s, &late), FH_OK);
    catalog_assert_same_move(&late.as.move, &move);
}

static struct fh_catalog_request race[2];
static size_t racing;

static void raced_cb(struct fh_catalog_request *request)
{
    assert_true(racing > 0);
    racing--;
    *(bool *)request->arg = racing == 0;
}

/* Both at once, through two handles. */
static void run_race(struct catalog_suite *s)
{
    bool done = false;
    racing = 2;
    for (size_t i = 0; i < 2; i++) {
        catalog_prepare(s, &race[i]);
        race[i].done_cb = raced_cb;
        race[i].arg = &done;
    }
    struct fh_arena beside; /* two threads may fill them at the same time */
    fh_arena_init(&beside, (size_t)1 << 20);
    race[1].arena = &beside;
    assert_code(fh_catalog_submit(s->catalog, &race[0]), FH_OK);
    assert_code(fh_catalog_submit(s->second, &race[1]), FH_OK);
    catalog_wait(s, &done);
    fh_arena_close(&beside);
}

static void lets_one_of_two_claims_win(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_move move;
    s->second = catalog_open(s);
    assert_code(catalog_move_start(s, &s->a, "south", &move), FH_OK);
    for (size_t round = 0; round < 20; round++) {
        for (size_t i = 0; i < 2; i++) {
            race[i] = (struct fh_catalog_request){.op = FH_CATALOG_MOVE_CLAIM};
            race[i].as.move_claim.uuid = move.uuid;
            race[i].as.move_claim.beat = move.beat;
            race[i].as.move_claim.worker = catalog_uuid(s);
        }
        run_race(s);
        size_t winner = race[0].code == FH_OK ? 0 : 1;
        assert_code(race[winner].code, FH_OK);
        assert_code(race[1 - winner].code, FH_PRECONDITION);
        const struct fh_move *lost = &race[1 - winner].as.move_claim.move;
        assert_true(fh_uuid_eq(&lost->worker, &race[winner].as.move_claim.worker));
        assert_int_equal(race[1 - winner].as.move_claim.placement.generation, lost->generation);
        uint64_t generation = move.generation;
        move = catalog_move(s, &move.uuid);
        assert_int_equal(move.beat, lost->beat);
        assert_int_equal(move.generation, round == 0 ? 2 : generation + 1);
        assert_int_equal(catalog_tenant(s, &s->a).placement.generation, move.generation);
    }
}

static void lets_one_of_two_creations_win(void **state)
{
    struct catalog_suite *s = *state;
    s->second = catalog_open(s);
    race[0] = catalog_move_creation(s, &s->a, "south", "");
    race[1] = catalog_move_creation(s, &s->a, "west", "");
    run_race(s);
    size_t winner = race[0].code == FH_OK ? 0 : 1;
    assert_code(race[winner].code, FH_OK);
    assert_code(race[1 - winner].code, FH_EXISTS);
    assert_true(fh_uuid_eq(&race[0].as.move.uuid, &race[1].as.move.uuid));

    race[0] = catalog_move_creation(s, &s->b, "south", "same");
    race[1] = catalog_move_creation(s, &s->b, "south", "same");
    run_race(s); /* the same creation, sent twice */
    assert_code(race[0].code, FH_OK);
    assert_code(race[1].code, FH_OK);
    assert_true(fh_uuid_eq(&race[0].as.move.uuid, &race[1].as.move.uuid));
}

static void lets_a_creation_or_a_deletion_win(void **state)
{
    struct catalog_suite *s = *state;
    s->second = catalog_open(s);
    race[0] = catalog_move_creation(s, &s->a, "south", "");
    race[1] = (struct fh_catalog_request){.op = FH_CATALOG_TENANT_ADVANCE};
    race[1].as.advance.uuid = s->a;
    race[1].as.advance.from_states = ANY_STATE;
    race[1].as.advance.to = FH_TENANT_DELETING;
    run_race(s);
    size_t winner = race[0].code == FH_OK ? 0 : 1;
    assert_code(race[winner].code, FH_OK);
    assert_code(race[1 - winner].code, FH_PRECONDITION);
    assert_int_equal(catalog_tenant(s, &s->a).state,
                     winner == 0 ? FH_TENANT_ACTIVE : FH_TENANT_DELETING);
}

static const struct CMUnitTest tests[] = {
    CATALOG_WORLD_TEST(begins_a_move),
    CATALOG_WORLD_TEST(keeps_progress_and_message),
    CATALOG_WORLD_TEST(refuses_what_is_out_of_bounds),
    CATALOG_WORLD_TEST(moves_only_who_can_be_moved),
    CATALOG_WORLD_TEST(moves_a_tenant_once_at_a_time),
    CATALOG_WORLD_TEST(repeats_a_creation_by_its_request_id),
    CATALOG_WORLD_TEST(lets_one_of_two_claims_win),
    CATALOG_WORLD_TEST(lets_one_of_two_creations_win),
    CATALOG_WORLD_TEST(lets_a_creation_or_a_deletion_win),
};

CATALOG_PART(catalog_part_moves, tests)
