/* What others see of moves: lists, the operators' audit, hints. */
#include <stdio.h>

#include "base/json.h"
#include "router/move_rules.h"
#include "tests/conformance/catalog/suite.h"

static void end_move(struct catalog_suite *s, struct fh_move *move)
{
    assert_code(catalog_move_advance(s, &move->uuid, move->generation, move->phase,
                                     FH_MOVE_CANCELLING, "", move),
                FH_OK);
    assert_code(catalog_move_advance(s, &move->uuid, move->generation, FH_MOVE_CANCELLING,
                                     FH_MOVE_CANCELLED, "", move),
                FH_OK);
}

static struct fh_catalog_request list(struct catalog_suite *s, const struct fh_uuid *tenant,
                                      bool unfinished, const struct fh_uuid *before, size_t limit)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_LIST};
    if (tenant != NULL) {
        request.as.move_list.tenant = *tenant;
    }
    if (before != NULL) {
        request.as.move_list.before = *before;
    }
    request.as.move_list.unfinished = unfinished;
    request.as.move_list.limit = limit;
    assert_code(catalog_run(s, &request), FH_OK);
    return request;
}

static void lists_moves_newest_first(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_move moves[5];
    for (size_t i = 0; i < 4; i++) {
        moves[i] = catalog_move_at(s, i % 2 == 0 ? &s->a : &s->b, "south", FH_MOVE_PREPARING);
        if (i < 3) {
            end_move(s, &moves[i]);
        }
    }
    moves[4] = catalog_move_at(s, &s->a, "west", FH_MOVE_COPYING);
    struct fh_catalog_request page = list(s, NULL, false, NULL, 3);
    assert_int_equal(page.as.move_list.count, 3);
    assert_true(page.as.move_list.more);
    for (size_t i = 0; i < 3; i++) {
        catalog_assert_same_move(&page.as.move_list.moves[i], &moves[4 - i]);
    }
    page = list(s, NULL, false, &moves[2].uuid, 2); /* just what is left: no more */
    assert_int_equal(page.as.move_list.count, 2);
    assert_false(page.as.move_list.more);
    catalog_assert_same_move(&page.as.move_list.moves[1], &moves[0]);
    page = list(s, NULL, true, NULL, 10);
    assert_int_equal(page.as.move_list.count, 2);
    catalog_assert_same_move(&page.as.move_list.moves[0], &moves[4]);
    catalog_assert_same_move(&page.as.move_list.moves[1], &moves[3]);
    page = list(s, NULL, true, &moves[4].uuid, 10);
    assert_int_equal(page.as.move_list.count, 1);
    page = list(s, &s->a, false, NULL, 2);
    assert_int_equal(page.as.move_list.count, 2);
    assert_true(page.as.move_list.more);
    catalog_assert_same_move(&page.as.move_list.moves[1], &moves[2]);
    page = list(s, &s->a, false, &moves[2].uuid, 2);
    assert_int_equal(page.as.move_list.count, 1);
    assert_false(page.as.move_list.more);
    page = list(s, &s->a, true, NULL, 2);
    assert_int_equal(page.as.move_list.count, 1);
    page = list(s, &s->a, true, &moves[4].uuid, 2);
    assert_int_equal(page.as.move_list.count, 0);
    struct fh_uuid nobody = catalog_uuid(s);
    assert_int_equal(list(s, &nobody, false, NULL, 2).as.move_list.count, 0);
}

struct expected {
    const char *action;
    const char *actor;
    const char *phase;
    long long generation;
    const char *message;
};

static void assert_event(const struct fh_operator_event *event, const struct fh_move *move,
                         const struct expected *expected)
{
    char tenant[FH_UUID_TEXT_LEN + 1];
    char resource[FH_MOVE_RESOURCE_SIZE];
    json_t *detail = NULL;
    const char *why = NULL;
    fh_uuid_format(&move->tenant, tenant);
    fh_move_event_resource(&move->uuid, resource);
    assert_true(event->at_us > 0);
    assert_true(fh_str_eq(event->action, fh_str_of(expected->action)));
    assert_true(fh_str_eq(event->actor, fh_str_of(expected->actor)));
    assert_true(fh_str_eq(event->resource, fh_str_of(resource)));
    assert_int_equal(fh_json_parse_object(event->detail, &detail, &why), FH_OK);
    bool same = fh_str_eq(fh_json_text(detail, "tenant"), fh_str_of(tenant)) &&
                fh_str_eq(fh_json_text(detail, "phase"), fh_str_of(expected->phase)) &&
                json_integer_value(json_object_get(detail, "generation")) == expected->generation &&
                fh_str_eq(fh_json_text(detail, "message"), fh_str_of(expected->message));
    json_decref(detail);
    assert_true(same);
}

/* An audited request: who asks is in the event. */
static void wish_as(struct catalog_suite *s, const struct fh_uuid *move, enum fh_move_wish wish,
                    struct fh_str actor)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_WISH};
    request.audit.actor = actor;
    request.audit.address = FH_STR("10.1.1.1");
    request.audit.reason = FH_STR("it's \"late\"");
    request.as.move_wish.uuid = *move;
    request.as.move_wish.wish = wish;
    assert_code(catalog_run(s, &request), FH_OK);
}

static void tells_operators_in_order(void **state)
{
    struct catalog_suite *s = *state;
    const char *root = "root@example";
    const char *tricky = "it's \"so\" \\ \xE2\x9C\x93";
    char resource[FH_MOVE_RESOURCE_SIZE];
    struct fh_move move;
    assert_code(catalog_move_start(s, &s->a, "south", &move), FH_OK);
    assert_code(catalog_move_claim(s, &move.uuid, move.beat, &move), FH_OK);
    const struct fh_uuid *uuid = &move.uuid;
    assert_code(catalog_move_advance(s, uuid, 2, FH_MOVE_PLANNED, FH_MOVE_PREPARING, "", NULL),
                FH_OK);
    assert_code(catalog_move_advance(s, uuid, 2, FH_MOVE_PREPARING, FH_MOVE_PREPARING, "", NULL),
                FH_OK); /* a confirmation: no event */
    assert_code(
        catalog_move_advance(s, uuid, 2, FH_MOVE_PREPARING, FH_MOVE_PREPARING, tricky, NULL),
        FH_OK);
    assert_code(catalog_move_advance(s, uuid, 1, FH_MOVE_PREPARING, FH_MOVE_COPYING, "", NULL),
                FH_PRECONDITION); /* refused: no event */
    wish_as(s, uuid, FH_MOVE_WISH_PAUSE, FH_STR("ada@example"));
    wish_as(s, uuid, FH_MOVE_WISH_PAUSE, FH_STR("eve@example")); /* said twice: no event */
    wish_as(s, uuid, FH_MOVE_WISH_RUN, FH_STR("bob@example"));
    for (enum fh_move_phase phase = FH_MOVE_PREPARING; phase < FH_MOVE_SWITCHING; phase++) {
        assert_code(
            catalog_move_advance(s, uuid, 2, phase, (enum fh_move_phase)(phase + 1), "", NULL),
            FH_OK);
    }
    assert_code(catalog_move_switch(s, uuid, 2, 1, NULL, NULL), FH_OK);
    struct fh_move other = catalog_move_at(s, &s->b, "west", FH_MOVE_PLANNED);
    wish_as(s, &other.uuid, FH_MOVE_WISH_CANCEL, FH_STR("ada@example"));
    catalog_reopen(s);

    const struct expected expected[] = {
        {"move.create", root, "planned", 0, ""},
        {"move.claim", root, "planned", 2, ""},
        {"move.advance", root, "preparing", 2, ""},
        {"move.advance", root, "preparing", 2, tricky},
        {"move.pause", "ada@example", "preparing", 2, tricky},
        {"move.resume", "bob@example", "preparing", 2, tricky},
        {"move.advance", root, "copying", 2, ""},
        {"move.advance", root, "catching_up", 2, ""},
        {"move.advance", root, "ready", 2, ""},
        {"move.advance", root, "switching", 2, ""},
        {"move.switch", root, "settled", 2, ""},
    };
    const size_t count = sizeof(expected) / sizeof(expected[0]);
    fh_move_event_resource(uuid, resource);
    struct catalog_events events = catalog_events_of(s, resource);
    assert_int_equal(events.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_event(&events.events[i], &move, &expected[i]);
        assert_true(i == 0 || events.events[i].id > events.events[i - 1].id);
    }
    for (size_t i = 0; i < count; i++) { /* a worker's steps have the move's reason */
        bool wished = i == 4 || i == 5;
        assert_true(fh_str_eq(events.events[i].reason,
                              wished ? FH_STR("it's \"late\"") : FH_STR("nearer to its readers")));
    }
    assert_true(fh_str_eq(events.events[4].address, FH_STR("10.1.1.1")));
    fh_move_event_resource(&other.uuid, resource);
    events = catalog_events_of(s, resource);
    assert_int_equal(events.count, 3);
    assert_true(fh_str_eq(events.events[2].action, FH_STR("move.cancel")));
}

static void gives_events_in_pages(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_catalog_request page = {.op = FH_CATALOG_EVENTS};
    static const char *const actions[] = {"store.create",  "store.create", "store.create",
                                          "tenant.create", "tenant.state", "tenant.create",
                                          "tenant.state"};
    size_t seen = 0;
    do {
        page.as.events.limit = 3;
        assert_code(catalog_run(s, &page), FH_OK);
        assert_true(page.as.events.count > 0);
        for (size_t i = 0; i < page.as.events.count; i++) {
            const struct fh_operator_event *event = &page.as.events.events[i];
            assert_true(seen < 7);
            assert_true(fh_str_eq(event->action, fh_str_of(actions[seen])));
            assert_true(fh_str_eq(event->actor, FH_STR("root@example")));
            assert_true(event->id > page.as.events.after_id);
            page.as.events.after_id = event->id;
            seen++;
        }
    } while (page.as.events.more);
    assert_int_equal(seen, 7);
    char resource[64];
    char uuid[FH_UUID_TEXT_LEN + 1];
    fh_uuid_format(&s->a, uuid);
    (void)snprintf(resource, sizeof(resource), "tenants/%s", uuid);
    assert_int_equal(catalog_events_of(s, resource).count, 2);
    assert_int_equal(catalog_events_of(s, "stores/west").count, 1);
    assert_int_equal(catalog_events_of(s, "stores/wes").count, 0);
}

static void tells_what_changed(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_move move;
    assert_code(catalog_move_start(s, &s->a, "south", &move), FH_OK);
    catalog_assert_told(s, FH_CATALOG_HINT_MOVE, &move.uuid);
    catalog_forget_hints(s);
    assert_code(catalog_move_claim(s, &move.uuid, move.beat, &move), FH_OK);
    catalog_assert_told(s, FH_CATALOG_HINT_MOVE, &move.uuid);
    catalog_forget_hints(s);
    assert_code(catalog_move_claim(s, &move.uuid, move.beat + 1, NULL), FH_PRECONDITION);
    assert_code(catalog_move_switch(s, &move.uuid, move.generation, 1, NULL, NULL),
                FH_PRECONDITION);
    catalog_assert_silent(s);
    while (move.phase != FH_MOVE_SWITCHING) {
        catalog_forget_hints(s);
        assert_code(catalog_move_advance(s, &move.uuid, move.generation, move.phase,
                                         (enum fh_move_phase)(move.phase + 1), "", &move),
                    FH_OK);
        catalog_assert_told(s, FH_CATALOG_HINT_MOVE, &move.uuid);
    }
    catalog_forget_hints(s);
    assert_code(catalog_move_wish(s, &move.uuid, FH_MOVE_WISH_PAUSE, NULL), FH_OK);
    catalog_assert_told(s, FH_CATALOG_HINT_MOVE, &move.uuid);
    catalog_forget_hints(s);
    assert_code(catalog_move_switch(s, &move.uuid, move.generation, 1, NULL, NULL), FH_OK);
    catalog_assert_told(s, FH_CATALOG_HINT_TENANT, &s->a);
}

/* A hint may be lost, so the change is repeated until one came; catalog_wait()'s bound is the
 * suite's. */
static void hears_of_other_handles(void **state)
{
    struct catalog_suite *s = *state;
    if (!s->engine->shared) {
        return;
    }
    s->second = catalog_open(s);
    struct fh_move move;
    assert_code(catalog_move_start(s, &s->a, "south", &move), FH_OK);
    assert_code(catalog_move_claim(s, &move.uuid, move.beat, &move), FH_OK);
    s->awaited = (struct catalog_hint){FH_CATALOG_HINT_MOVE, move.uuid};
    s->awaited_came = false;
    s->via = s->second;
    for (size_t i = 0; i < 5000 && !s->awaited_came; i++) {
        assert_code(catalog_move_advance(s, &move.uuid, move.generation, FH_MOVE_PLANNED,
                                         FH_MOVE_PLANNED, i % 2 == 0 ? "even" : "odd", &move),
                    FH_OK);
    }
    assert_true(s->awaited_came);
}

static void keeps_events_of_what_is_done_elsewhere(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_catalog_request add = {.op = FH_CATALOG_EVENT_ADD};
    add.as.event_add.action = "credential.issue";
    add.as.event_add.resource = "tenants/there";
    add.as.event_add.detail = "{\"tables\":[\"it's\"]}";
    assert_code(catalog_run(s, &add), FH_OK);
    struct catalog_events events = catalog_events_of(s, "tenants/there");
    assert_int_equal(events.count, 1);
    assert_true(fh_str_eq(events.events[0].action, FH_STR("credential.issue")));
    assert_true(fh_str_eq(events.events[0].detail, FH_STR("{\"tables\":[\"it's\"]}")));
    add.as.event_add.action = "";
    assert_code(catalog_run(s, &add), FH_INVALID);
}

static const struct CMUnitTest tests[] = {
    CATALOG_WORLD_TEST(lists_moves_newest_first),
    CATALOG_WORLD_TEST(tells_operators_in_order),
    CATALOG_WORLD_TEST(gives_events_in_pages),
    CATALOG_WORLD_TEST(tells_what_changed),
    CATALOG_WORLD_TEST(hears_of_other_handles),
    CATALOG_WORLD_TEST(keeps_events_of_what_is_done_elsewhere),
};

CATALOG_PART(catalog_part_events, tests)
