/* MoveAdminService: moves are asked for, read, paused, taken up again and cancelled; what is
 * refused in which words. Nobody carries them out here: the test takes the worker's steps. */
#include <string.h>

#include "tests/unit/server_handlers/kit.h"
#include "tests/unit/server_handlers/message.h"
#include "tests/unit/server_handlers/moves.h"

#define NOBODY "moves/01a1fbd4-f500-7000-8000-000000000000"

static struct fh_call *start_with(struct kit *kit, const char *tenant, const char *store,
                                  const char *reason, const char *request_id)
{
    Freehold__V1__StartMoveRequest in = FREEHOLD__V1__START_MOVE_REQUEST__INIT;
    in.tenant = text_of(tenant);
    in.target_store = text_of(store);
    in.reason = text_of(reason);
    in.request_id = text_of(request_id);
    return kit_call(kit, &kit->moves, "StartMove", &kit->operator_, &in.base);
}

static struct fh_call *plan_of(struct kit *kit, const char *tenant, const char *store)
{
    Freehold__V1__StartMoveRequest in = FREEHOLD__V1__START_MOVE_REQUEST__INIT;
    in.tenant = text_of(tenant);
    in.target_store = text_of(store);
    in.validate_only = true;
    return kit_call(kit, &kit->moves, "StartMove", &kit->operator_, &in.base);
}

static void test_start(void **state)
{
    struct kit *kit = *state;
    Freehold__V1__StartMoveRequest in = FREEHOLD__V1__START_MOVE_REQUEST__INIT;
    Freehold__V1__MoveSettings settings = FREEHOLD__V1__MOVE_SETTINGS__INIT;
    Google__Protobuf__Duration pause = GOOGLE__PROTOBUF__DURATION__INIT;
    pause.nanos = 20000000;
    settings.max_pause = &pause;
    settings.rows_per_second_max = 5000;
    settings.duty_percent = 100;
    in.tenant = text_of("tenants/tenant-a");
    in.target_store = text_of("stores/other");
    in.settings = &settings;
    in.reason = text_of("bigger disks");
    const Freehold__V1__Move *move =
        response(Freehold__V1__StartMoveResponse, kit,
                 kit_call(kit, &kit->moves, "StartMove", &kit->operator_, &in.base))
            ->move;
    assert_non_null(move);
    assert_int_equal(move->phase, FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_PLANNED);
    assert_int_equal(move->wish, FREEHOLD__V1__MOVE_WISH__MOVE_WISH_RUN);
    assert_string_equal(move->source_store, "stores/local");
    assert_string_equal(move->target_store, "stores/other");
    assert_int_equal(move->source_epoch, 1);
    assert_int_equal(move->settings->max_pause->nanos, 20000000);
    assert_int_equal(move->settings->rows_per_second_max, 5000);
    assert_int_equal(move->settings->duty_percent, 100);
    assert_string_equal(move->actor, "olga");
    assert_string_equal(move->reason, "bigger disks");
    assert_string_equal(move->message, "");
    assert_int_equal(move->create_time->seconds, KIT_NOW_US / 1000000);
    assert_null(move->finish_time);
    assert_null(move->progress->pause);
    assert_null(move->progress->time_left);
    /* It is there for others to read. */
    const Freehold__V1__Move *again = moves_get(kit, move->name);
    assert_string_equal(again->tenant, move->tenant);
    assert_int_equal(again->settings->duty_percent, 100);
    assert_string_equal(again->reason, "bigger disks");
}

static void test_defaults(void **state)
{
    struct kit *kit = *state;
    const Freehold__V1__Move *move = moves_start(kit, "tenant-a");
    assert_int_equal(move->settings->max_pause->nanos, 500000000);
    assert_int_equal(move->settings->rows_per_second_max, 0);
    assert_int_equal(move->settings->duty_percent, 50);
}

static void test_start_refused(void **state)
{
    struct kit *kit = *state;
    struct fh_arena *arena = &kit->arena;
    const struct {
        const char *tenant;
        const char *store;
        const char *reason;
        const char *request_id;
        enum fh_code code;
        const char *field;
    } rows[] = {
        {"", "stores/other", "", "", FH_INVALID, "tenant"},
        {"tenant-a", "stores/other", "", "", FH_INVALID, "tenant"},
        {"tenants/", "stores/other", "", "", FH_INVALID, "tenant"},
        {"tenants/Tenant-A", "stores/other", "", "", FH_INVALID, "tenant"},
        {"tenants/tenant-a", "", "", "", FH_INVALID, "target_store"},
        {"tenants/tenant-a", "other", "", "", FH_INVALID, "target_store"},
        {"tenants/tenant-a", "stores/Other", "", "", FH_INVALID, "target_store"},
        {"tenants/tenant-a", "stores/nowhere", "", "", FH_INVALID, "target_store"},
        {"tenants/tenant-a", "stores/other", message_repeat(arena, 'x', 1001), "", FH_INVALID,
         "reason"},
        {"tenants/tenant-a", "stores/other", "", message_repeat(arena, 'x', 65), FH_INVALID,
         "request_id"},
        {"tenants/nobody", "stores/other", "", "", FH_NO_TENANT, ""},
        {"tenants/01a1fbd4-f500-7000-8000-000000000000", "stores/other", "", "", FH_NO_TENANT, ""},
        {"tenants/tenant-a", "stores/local", "", "", FH_PRECONDITION, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_code(
            start_with(kit, rows[i].tenant, rows[i].store, rows[i].reason, rows[i].request_id),
            rows[i].code, rows[i].field);
    }
    assert_int_equal(moves_count(kit, "", false), 0);
    /* At their bounds. */
    expect_code(start_with(kit, "tenants/tenant-a", "stores/other",
                           message_repeat(arena, 'x', 1000), message_repeat(arena, 'x', 64)),
                FH_OK, "");
}

static void test_settings(void **state)
{
    struct kit *kit = *state;
    static const struct {
        int64_t seconds;
        int32_t nanos;
        uint32_t duty_percent;
        const char *field; /* NULL: well */
    } rows[] = {
        {0, 0, 0, "settings.max_pause"},
        {0, 999999, 0, "settings.max_pause"},
        {60, 1000, 0, "settings.max_pause"},
        {-1, 0, 0, "settings.max_pause"},
        {0, -1, 0, "settings.max_pause"},
        {1, 1000000000, 0, "settings.max_pause"},
        {INT64_MAX, 999999999, 0, "settings.max_pause"},
        {1, 0, 101, "settings.duty_percent"},
        {0, 1000000, 0, NULL},
        {60, 0, 1, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Freehold__V1__StartMoveRequest in = FREEHOLD__V1__START_MOVE_REQUEST__INIT;
        Freehold__V1__MoveSettings settings = FREEHOLD__V1__MOVE_SETTINGS__INIT;
        Google__Protobuf__Duration pause = GOOGLE__PROTOBUF__DURATION__INIT;
        pause.seconds = rows[i].seconds;
        pause.nanos = rows[i].nanos;
        settings.max_pause = &pause;
        settings.duty_percent = rows[i].duty_percent;
        in.tenant = text_of(i % 2 == 0 ? "tenants/tenant-a" : "tenants/tenant-b");
        in.target_store = text_of("stores/other");
        in.settings = &settings;
        expect_code(kit_call(kit, &kit->moves, "StartMove", &kit->operator_, &in.base),
                    rows[i].field != NULL ? FH_INVALID : FH_OK,
                    rows[i].field != NULL ? rows[i].field : "");
    }
}

static void test_request_id(void **state)
{
    struct kit *kit = *state;
    const char *store = "stores/other";
    const Freehold__V1__StartMoveResponse *first =
        response(Freehold__V1__StartMoveResponse, kit,
                 start_with(kit, "tenants/tenant-a", store, "why", "one"));
    const Freehold__V1__StartMoveResponse *again =
        response(Freehold__V1__StartMoveResponse, kit,
                 start_with(kit, "tenants/tenant-a", store, "why", "one"));
    assert_string_equal(again->move->name, first->move->name);
    assert_int_equal(moves_count(kit, "", false), 1);
    expect_code(start_with(kit, "tenants/tenant-a", store, "", "two"), FH_EXISTS, "");
    expect_code(start_with(kit, "tenants/tenant-a", store, "", ""), FH_EXISTS, "");
    expect_code(start_with(kit, "tenants/tenant-b", store, "why", "one"), FH_REQUEST_ID_REUSED, "");
    /* When it has ended, too. */
    moves_end(kit, first->move->name);
    again = response(Freehold__V1__StartMoveResponse, kit,
                     start_with(kit, "tenants/tenant-a", store, "why", "one"));
    assert_string_equal(again->move->name, first->move->name);
    assert_int_equal(again->move->phase, FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_CANCELLED);
    expect_code(start_with(kit, "tenants/tenant-a", store, "", "two"), FH_OK, "");
}

static void closed_cb(void *arg)
{
    *(bool *)arg = true;
}

static void test_plan(void **state)
{
    struct kit *kit = *state;
    bool closed = false;
    expect_code(plan_of(kit, "tenants/tenant-a", "stores/other"), FH_PRECONDITION, "");
    struct fh_migrator_options options;
    fh_migrator_options_init(&options);
    assert_int_equal(
        fh_migrator_create(&kit->env, kit->catalog, kit->router, &options, &kit->services.migrator),
        FH_OK);
    const Freehold__V1__MovePlan *plan = response(Freehold__V1__StartMoveResponse, kit,
                                                  plan_of(kit, "tenants/tenant-a", "stores/other"))
                                             ->plan;
    assert_non_null(plan);
    assert_string_equal(plan->refusal, "");
    assert_string_equal(plan->source_store, "stores/local");
    assert_int_equal(plan->rows, 0);
    plan = response(Freehold__V1__StartMoveResponse, kit,
                    plan_of(kit, "tenants/tenant-a", "stores/local"))
               ->plan;
    assert_string_not_equal(plan->refusal, "");
    expect_code(plan_of(kit, "tenants/nobody", "stores/other"), FH_NO_TENANT, "");
    expect_code(plan_of(kit, "tenants/tenant-a", "stores/nowhere"), FH_INVALID, "target_store");
    assert_int_equal(moves_count(kit, "", false), 0); /* nothing was begun */
    fh_migrator_close(kit->services.migrator, closed_cb, &closed);
    kit_wait(kit, &closed);
    kit->services.migrator = NULL;
}

static void test_names_refused(void **state)
{
    struct kit *kit = *state;
    static const struct {
        const char *name;
        enum fh_code code;
    } rows[] = {
        {"", FH_INVALID},
        {"moves/", FH_INVALID},
        {"moves/x", FH_INVALID},
        {"tenants/01a1fbd4-f500-7000-8000-000000000000", FH_INVALID},
        {"moves/00000000-0000-0000-0000-000000000000", FH_INVALID},
        {NOBODY "/events", FH_INVALID},
        {NOBODY, FH_NOT_FOUND},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *field = rows[i].code == FH_INVALID ? "name" : "";
        const char *methods[] = {"GetMove", "PauseMove", "ResumeMove", "CancelMove", "WatchMove"};
        for (size_t m = 0; m < sizeof(methods) / sizeof(methods[0]); m++) {
            expect_code(moves_call(kit, methods[m], rows[i].name, ""), rows[i].code, field);
        }
        if (rows[i].code == FH_INVALID) {
            expect_code(moves_events(kit, rows[i].name, 0, ""), FH_INVALID, "name");
        }
    }
}

static void test_wishes(void **state)
{
    struct kit *kit = *state;
    const char *name = moves_start(kit, "tenant-a")->name;
    const struct {
        const char *method;
        enum fh_code code;
        Freehold__V1__MoveWish wish;
    } steps[] = {
        {"ResumeMove", FH_OK, FREEHOLD__V1__MOVE_WISH__MOVE_WISH_RUN},
        {"PauseMove", FH_OK, FREEHOLD__V1__MOVE_WISH__MOVE_WISH_PAUSE},
        {"PauseMove", FH_OK, FREEHOLD__V1__MOVE_WISH__MOVE_WISH_PAUSE},
        {"ResumeMove", FH_OK, FREEHOLD__V1__MOVE_WISH__MOVE_WISH_RUN},
        {"PauseMove", FH_OK, FREEHOLD__V1__MOVE_WISH__MOVE_WISH_PAUSE},
        {"CancelMove", FH_OK, FREEHOLD__V1__MOVE_WISH__MOVE_WISH_CANCEL},
        {"CancelMove", FH_OK, FREEHOLD__V1__MOVE_WISH__MOVE_WISH_CANCEL},
        {"ResumeMove", FH_PRECONDITION, FREEHOLD__V1__MOVE_WISH__MOVE_WISH_CANCEL},
        {"PauseMove", FH_PRECONDITION, FREEHOLD__V1__MOVE_WISH__MOVE_WISH_CANCEL},
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct fh_call *call = moves_call(kit, steps[i].method, name, "because");
        if (steps[i].code == FH_OK) {
            assert_int_equal(response(Freehold__V1__Move, kit, call)->wish, steps[i].wish);
        } else {
            expect_code(call, steps[i].code, "");
        }
        assert_int_equal(moves_get(kit, name)->wish, steps[i].wish);
    }
    char *reason = message_repeat(&kit->arena, 'x', 1001);
    expect_code(moves_call(kit, "PauseMove", name, reason), FH_INVALID, "reason");
    /* A cancelled one that has ended, and one behind its switch. */
    moves_end(kit, name);
    expect_code(moves_call(kit, "PauseMove", name, ""), FH_PRECONDITION, "");
    expect_code(moves_call(kit, "ResumeMove", name, ""), FH_PRECONDITION, "");
    expect_code(moves_call(kit, "CancelMove", name, ""), FH_PRECONDITION, "");
    name = moves_start(kit, "tenant-b")->name;
    moves_switch(kit, name);
    expect_code(moves_call(kit, "PauseMove", name, ""), FH_PRECONDITION, "");
    expect_code(moves_call(kit, "CancelMove", name, ""), FH_PRECONDITION, "");
    expect_code(moves_call(kit, "ResumeMove", name, ""), FH_OK, "");
}

/* What the worker writes into the catalog is what callers read. */
static void test_progress(void **state)
{
    struct kit *kit = *state;
    const char *name = moves_start(kit, "tenant-a")->name;
    struct fh_move_progress progress = {.rows_total = 1000,
                                        .rows_copied = 250,
                                        .copy_us = 500000,
                                        .rounds = 2,
                                        .lag_records = 7,
                                        .pause_predicted_us = 4500};
    moves_claim(kit, name);
    moves_advance(kit, name, FH_MOVE_PREPARING, NULL, "");
    moves_advance(kit, name, FH_MOVE_COPYING, &progress, "the target does not answer");
    const Freehold__V1__Move *move = moves_get(kit, name);
    assert_int_equal(move->phase, FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_COPYING);
    assert_string_equal(move->message, "the target does not answer");
    assert_int_equal(move->progress->rows_total, 1000);
    assert_int_equal(move->progress->rows_copied, 250);
    assert_int_equal(move->progress->lag_records, 7);
    assert_true(move->progress->rows_per_second == 500.0);
    assert_int_equal(move->progress->pause_predicted->nanos, 4500000);
    /* 750 rows to copy, and 1000 to compare at twice the rate: 2 ms and 1 ms each. */
    assert_int_equal(move->progress->time_left->seconds, 2);
    assert_int_equal(move->progress->time_left->nanos, 500000000);
    assert_null(move->progress->pause); /* not made yet */
    assert_true(move->generation > 1);
}

static void test_list(void **state)
{
    struct kit *kit = *state;
    const char *names[5];
    for (size_t i = 0; i < 5; i++) {
        names[i] = moves_start(kit, "tenant-a")->name;
        if (i < 4) {
            moves_end(kit, names[i]);
        }
    }
    const char *of_b = moves_start(kit, "tenant-b")->name;
    static const int32_t sizes[] = {0, 1, 2, 5, 6, 100000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(moves_walk(kit, sizes[i], "", false), 6);
        assert_int_equal(moves_walk(kit, sizes[i], "", true), 2);
        assert_int_equal(moves_walk(kit, sizes[i], "tenants/tenant-a", false), 5);
        assert_int_equal(moves_walk(kit, sizes[i], "tenants/tenant-a", true), 1);
    }
    const Freehold__V1__ListMovesResponse *out = response(
        Freehold__V1__ListMovesResponse, kit, moves_list(kit, 1, "", "tenants/tenant-b", false));
    assert_int_equal(out->n_moves, 1);
    assert_string_equal(out->moves[0]->name, of_b);
    assert_string_equal(out->next_page_token, "");
    /* Newest first. */
    out = response(Freehold__V1__ListMovesResponse, kit, moves_list(kit, 2, "", "", false));
    assert_string_equal(out->moves[0]->name, of_b);
    assert_string_equal(out->moves[1]->name, names[4]);
    const char *token = out->next_page_token;
    /* A token is good for what it was given for. */
    expect_code(moves_list(kit, 2, token, "", true), FH_INVALID, "page_token");
    expect_code(moves_list(kit, 2, token, "tenants/tenant-a", false), FH_INVALID, "page_token");
    expect_code(moves_events(kit, of_b, 2, token), FH_INVALID, "page_token");
    expect_code(moves_list(kit, 2, "x", "", false), FH_INVALID, "page_token");
    char *forged = message_text(&kit->arena, "%s", token);
    forged[20] = forged[20] == 'A' ? 'B' : 'A';
    expect_code(moves_list(kit, 2, forged, "", false), FH_INVALID, "page_token");
    expect_code(moves_list(kit, -1, "", "", false), FH_INVALID, "page_size");
    expect_code(moves_list(kit, -1, "", "tenants/tenant-a", false), FH_INVALID, "page_size");
    expect_code(moves_list(kit, 1, "", "tenant-a", false), FH_INVALID, "tenant");
    expect_code(moves_list(kit, 1, "", "tenants/nobody", false), FH_NO_TENANT, "");
    expect_code(moves_list(kit, 2, token, "", false), FH_OK, "");
}

static void test_events(void **state)
{
    struct kit *kit = *state;
    const char *name = moves_start(kit, "tenant-a")->name;
    expect_code(moves_call(kit, "PauseMove", name, "not at noon"), FH_OK, "");
    expect_code(moves_call(kit, "ResumeMove", name, "it is evening"), FH_OK, "");
    moves_claim(kit, name);
    expect_code(moves_call(kit, "CancelMove", name, "after all"), FH_OK, "");
    static const struct {
        const char *action;
        const char *actor;
        const char *reason;
    } rows[] = {
        {"move.create", "olga", "test"},          {"move.pause", "olga", "not at noon"},
        {"move.resume", "olga", "it is evening"}, {"move.claim", "worker", "test"},
        {"move.cancel", "olga", "after all"},
    };
    const size_t count = sizeof(rows) / sizeof(rows[0]);
    const char *token = "";
    /* A worker has no reason of its own: it is that of who asked. */
    for (size_t i = 0; i < count; i++) { /* a page each */
        const Freehold__V1__ListMoveEventsResponse *out =
            response(Freehold__V1__ListMoveEventsResponse, kit, moves_events(kit, name, 1, token));
        assert_int_equal(out->n_events, 1);
        assert_string_equal(out->events[0]->action, rows[i].action);
        assert_string_equal(out->events[0]->actor, rows[i].actor);
        assert_string_equal(out->events[0]->reason, rows[i].reason);
        assert_non_null(strstr(out->events[0]->detail, "\"phase\""));
        assert_int_equal(out->events[0]->time->seconds, KIT_NOW_US / 1000000);
        token = out->next_page_token;
        assert_int_equal(token[0] == '\0', i + 1 == count);
        if (i == 0) {
            expect_code(moves_events(kit, NOBODY, 1, token), FH_INVALID, "page_token");
            expect_code(moves_list(kit, 1, token, "", false), FH_INVALID, "page_token");
        }
    }
    expect_code(moves_events(kit, name, 1, "x"), FH_INVALID, "page_token");
    expect_code(moves_events(kit, name, -1, ""), FH_INVALID, "page_size");
    /* One that never was has none. */
    assert_int_equal(
        response(Freehold__V1__ListMoveEventsResponse, kit, moves_events(kit, NOBODY, 0, ""))
            ->n_events,
        0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MOVES_TEST(test_start),    MOVES_TEST(test_defaults),      MOVES_TEST(test_start_refused),
        MOVES_TEST(test_settings), MOVES_TEST(test_request_id),    MOVES_TEST(test_plan),
        MOVES_TEST(test_wishes),   MOVES_TEST(test_names_refused), MOVES_TEST(test_progress),
        MOVES_TEST(test_list),     MOVES_TEST(test_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
