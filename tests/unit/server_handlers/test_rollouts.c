/* SchemaService's rollouts, and what files would change: answers, refusals, pages, the stream; and
 * memory that runs out under every one of them. */
#include <string.h>

#include "base/alloc.h"
#include "freehold/v1/schema.pb-c.h"
#include "tests/unit/server_handlers/kit.h"
#include "tests/unit/server_handlers/message.h"

#define ROUNDS_MAX 2000 /* more than any handler allocates */
#define ADD_WEIGHT "ALTER TABLE extra ADD COLUMN weight bigint;"
#define MAKE_EXTRA "CREATE TABLE extra (id bigint PRIMARY KEY);"

static const ProtobufCMessage *get_request(struct kit *kit, const char *name)
{
    Freehold__V1__GetRolloutRequest *in =
        FH_ARENA_NEW(&kit->arena, Freehold__V1__GetRolloutRequest);
    freehold__v1__get_rollout_request__init(in);
    in->name = text_of(name);
    return &in->base;
}

static const ProtobufCMessage *list_request(struct kit *kit, int page_size, const char *token)
{
    Freehold__V1__ListRolloutsRequest *in =
        FH_ARENA_NEW(&kit->arena, Freehold__V1__ListRolloutsRequest);
    freehold__v1__list_rollouts_request__init(in);
    in->page_size = page_size;
    in->page_token = text_of(token);
    return &in->base;
}

static const ProtobufCMessage *homes_request(struct kit *kit, const char *name)
{
    Freehold__V1__ListRolloutHomesRequest *in =
        FH_ARENA_NEW(&kit->arena, Freehold__V1__ListRolloutHomesRequest);
    freehold__v1__list_rollout_homes_request__init(in);
    in->name = text_of(name);
    in->page_size = 1;
    return &in->base;
}

static const ProtobufCMessage *watch_request(struct kit *kit, const char *name)
{
    Freehold__V1__WatchRolloutRequest *in =
        FH_ARENA_NEW(&kit->arena, Freehold__V1__WatchRolloutRequest);
    freehold__v1__watch_rollout_request__init(in);
    in->name = text_of(name);
    return &in->base;
}

static const ProtobufCMessage *events_request(struct kit *kit, const char *name, int page_size,
                                              const char *token)
{
    Freehold__V1__ListRolloutEventsRequest *in =
        FH_ARENA_NEW(&kit->arena, Freehold__V1__ListRolloutEventsRequest);
    freehold__v1__list_rollout_events_request__init(in);
    in->name = text_of(name);
    in->page_size = page_size;
    in->page_token = text_of(token);
    return &in->base;
}

static const ProtobufCMessage *pause_request(struct kit *kit, const char *name)
{
    Freehold__V1__PauseRolloutRequest *in =
        FH_ARENA_NEW(&kit->arena, Freehold__V1__PauseRolloutRequest);
    freehold__v1__pause_rollout_request__init(in);
    in->name = text_of(name);
    return &in->base;
}

/* The kit's own file is known; two more are not. */
static Freehold__V1__Migration **files_of(struct kit *kit, const char *known, const char *newest)
{
    static const char *const names[] = {"0001_items.sql", "0002_extra.sql", "0003_weight.sql"};
    const char *texts[] = {known, MAKE_EXTRA, newest};
    Freehold__V1__Migration **files = FH_ARENA_ARRAY(&kit->arena, Freehold__V1__Migration *, 3);
    for (size_t i = 0; i < 3; i++) {
        files[i] = FH_ARENA_NEW(&kit->arena, Freehold__V1__Migration);
        freehold__v1__migration__init(files[i]);
        files[i]->name = text_of(names[i]);
        files[i]->sql = text_of(texts[i]);
    }
    return files;
}

static const ProtobufCMessage *diff_request(struct kit *kit, const char *known, const char *newest)
{
    Freehold__V1__DiffSchemaRequest *in =
        FH_ARENA_NEW(&kit->arena, Freehold__V1__DiffSchemaRequest);
    freehold__v1__diff_schema_request__init(in);
    in->migrations = files_of(kit, known, newest);
    in->n_migrations = 3;
    return &in->base;
}

static const ProtobufCMessage *apply_request(struct kit *kit)
{
    Freehold__V1__ApplySchemaRequest *in =
        FH_ARENA_NEW(&kit->arena, Freehold__V1__ApplySchemaRequest);
    freehold__v1__apply_schema_request__init(in);
    in->migrations = files_of(kit, kit_schema_sql, ADD_WEIGHT);
    in->n_migrations = 3;
    return &in->base;
}

static const ProtobufCMessage *preview_request(struct kit *kit)
{
    Freehold__V1__PreviewSchemaRequest *in =
        FH_ARENA_NEW(&kit->arena, Freehold__V1__PreviewSchemaRequest);
    freehold__v1__preview_schema_request__init(in);
    in->migrations = files_of(kit, kit_schema_sql, ADD_WEIGHT);
    in->n_migrations = 3;
    return &in->base;
}

static struct fh_call *call(struct kit *kit, const char *method, const ProtobufCMessage *request)
{
    return kit_call(kit, &kit->schema, method, &kit->operator_, request);
}

static void test_shows_rollouts(void **state)
{
    struct kit *kit = *state;
    const Freehold__V1__Rollout *newest = response(
        Freehold__V1__Rollout, kit, call(kit, "GetRollout", get_request(kit, "rollouts/-")));
    assert_int_equal(newest->phase, FREEHOLD__V1__ROLLOUT_PHASE__ROLLOUT_PHASE_DONE);
    assert_int_equal(newest->version, 1);
    assert_int_equal(newest->progress->homes_failed, 0);
    assert_int_equal(newest->progress->homes_done, newest->progress->homes_total);
    assert_non_null(newest->finish_time);
    const Freehold__V1__Rollout *named = response(
        Freehold__V1__Rollout, kit, call(kit, "GetRollout", get_request(kit, newest->name)));
    assert_string_equal(named->name, newest->name);
    const Freehold__V1__ListRolloutsResponse *all =
        response(Freehold__V1__ListRolloutsResponse, kit,
                 call(kit, "ListRollouts", list_request(kit, 1, "")));
    assert_int_equal(all->n_rollouts, 1);
    assert_string_equal(all->rollouts[0]->name, newest->name);
    const Freehold__V1__ListRolloutHomesResponse *homes =
        response(Freehold__V1__ListRolloutHomesResponse, kit,
                 call(kit, "ListRolloutHomes", homes_request(kit, "rollouts/-")));
    assert_int_equal(homes->n_homes, 1);
    assert_string_equal(homes->homes[0]->tier, "shared");
    assert_int_equal(homes->homes[0]->state,
                     FREEHOLD__V1__ROLLOUT_HOME_STATE__ROLLOUT_HOME_STATE_DONE);
}

static void test_refuses(void **state)
{
    struct kit *kit = *state;
    static const char *const bad[] = {"", "rollouts/", "rollouts/1", "moves/-", "-"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect_code(call(kit, "GetRollout", get_request(kit, bad[i])), FH_INVALID, "name");
        expect_code(call(kit, "ListRolloutHomes", homes_request(kit, bad[i])), FH_INVALID, "name");
        expect_code(call(kit, "PauseRollout", pause_request(kit, bad[i])), FH_INVALID, "name");
        expect_code(call(kit, "ListRolloutEvents", events_request(kit, bad[i], 1, "")), FH_INVALID,
                    "name");
        expect_code(call(kit, "WatchRollout", watch_request(kit, bad[i])), FH_INVALID, "name");
    }
    const char *unknown = "rollouts/01900000-0000-7000-8000-000000000001";
    expect_code(call(kit, "GetRollout", get_request(kit, unknown)), FH_NOT_FOUND, "");
    expect_code(call(kit, "WatchRollout", watch_request(kit, unknown)), FH_NOT_FOUND, "");
    expect_code(call(kit, "ListRolloutHomes", homes_request(kit, unknown)), FH_NOT_FOUND, "");
    expect_code(call(kit, "PauseRollout", pause_request(kit, unknown)), FH_NOT_FOUND, "");
    expect_code(call(kit, "PauseRollout", pause_request(kit, "rollouts/-")), FH_PRECONDITION, "");
    expect_code(call(kit, "ListRollouts", list_request(kit, 1, "forged")), FH_INVALID,
                "page_token");
    expect_code(call(kit, "ListRollouts", list_request(kit, -1, "")), FH_INVALID, "page_size");
}

/* From asked for to done, a page each. What "rollouts/-" meant for the first page it means for all,
 * though another rollout comes meanwhile. */
static void test_lists_events(void **state)
{
    struct kit *kit = *state;
    const char *name = response(Freehold__V1__Rollout, kit,
                                call(kit, "GetRollout", get_request(kit, "rollouts/-")))
                           ->name;
    const Freehold__V1__ListRolloutEventsResponse *all =
        response(Freehold__V1__ListRolloutEventsResponse, kit,
                 call(kit, "ListRolloutEvents", events_request(kit, name, 0, "")));
    assert_true(all->n_events >= 3);
    assert_string_equal(all->events[0]->action, "rollout.create");
    assert_string_equal(all->events[1]->action, "rollout.claim");
    assert_string_equal(all->events[all->n_events - 1]->action, "rollout.done");
    assert_non_null(strstr(all->events[0]->detail, "\"version\":1"));
    assert_string_equal(all->next_page_token, "");
    const char *token = "";
    for (size_t i = 0; i < all->n_events; i++) {
        const Freehold__V1__ListRolloutEventsResponse *page =
            response(Freehold__V1__ListRolloutEventsResponse, kit,
                     call(kit, "ListRolloutEvents", events_request(kit, "rollouts/-", 1, token)));
        assert_int_equal(page->n_events, 1);
        assert_string_equal(page->events[0]->action, all->events[i]->action);
        assert_string_equal(page->events[0]->actor, all->events[i]->actor);
        assert_string_equal(page->events[0]->reason, all->events[i]->reason);
        assert_string_equal(page->events[0]->detail, all->events[i]->detail);
        assert_int_equal(page->events[0]->time->seconds, KIT_NOW_US / 1000000);
        token = page->next_page_token;
        assert_int_equal(token[0] == '\0', i + 1 == all->n_events);
        if (i == 0) { /* it is of this method and this name */
            expect_code(call(kit, "ListRolloutEvents", events_request(kit, name, 1, token)),
                        FH_INVALID, "page_token");
            expect_code(call(kit, "ListRollouts", list_request(kit, 1, token)), FH_INVALID,
                        "page_token");
            expect_code(call(kit, "ApplySchema", apply_request(kit)), FH_OK, "");
        }
    }
    expect_code(call(kit, "ListRolloutEvents", events_request(kit, name, -1, "")), FH_INVALID,
                "page_size");
    /* One that never was has none. */
    const char *unknown = "rollouts/01900000-0000-7000-8000-000000000001";
    assert_int_equal(response(Freehold__V1__ListRolloutEventsResponse, kit,
                              call(kit, "ListRolloutEvents", events_request(kit, unknown, 0, "")))
                         ->n_events,
                     0);
}

static void test_watches_an_ended_one_once(void **state)
{
    struct kit *kit = *state;
    struct fh_call *watch = call(kit, "WatchRollout", watch_request(kit, "rollouts/-"));
    assert_int_equal(watch->sent_count, 1);
    expect_code(watch, FH_OK, "");
}

static void asked_cb(struct fh_catalog_request *request)
{
    *(bool *)request->arg = true;
}

/* Submitted, not waited for: what is submitted next comes behind it, before anybody looks. */
static void ask_catalog(struct kit *kit, struct fh_catalog_request *request, bool *done)
{
    request->deadline_us = INT64_MAX;
    request->arena = &kit->arena;
    request->done_cb = asked_cb;
    request->arg = done;
    request->audit.actor = FH_STR("olga");
    assert_int_equal(fh_catalog_submit(kit->catalog, request), FH_OK);
}

/* One that ends, and another one that comes, between two looks. */
static void test_watch_keeps_to_its_rollout(void **state)
{
    struct kit *kit = *state;
    Freehold__V1__RolloutSettings settings = FREEHOLD__V1__ROLLOUT_SETTINGS__INIT;
    Freehold__V1__ApplySchemaRequest apply =
        *(const Freehold__V1__ApplySchemaRequest *)apply_request(kit);
    settings.canary_percent = 100;
    settings.stop_after_canary = true;
    apply.rollout = &settings;
    expect_code(call(kit, "ApplySchema", &apply.base), FH_OK, "");
    struct fh_call *watch = kit_prepare(kit, &kit->schema, "WatchRollout", &kit->operator_,
                                        watch_request(kit, "rollouts/-"));
    fake_call_run(watch);
    kit_wait(kit, &watch->heard);
    const Freehold__V1__Rollout *first =
        ((const Freehold__V1__WatchRolloutResponse *)watch->sent[0])->rollout;
    bool done[2] = {false};
    struct fh_catalog_request cancel = {.op = FH_CATALOG_ROLLOUT_WISH};
    struct fh_catalog_request create = {.op = FH_CATALOG_ROLLOUT_CREATE};
    assert_true(
        fh_uuid_parse(fh_str_of(first->name + strlen("rollouts/")), &cancel.as.rollout_wish.uuid));
    cancel.as.rollout_wish.wish = FH_ROLLOUT_WISH_CANCEL;
    create.as.rollout_create.rollout = (struct fh_rollout){
        .uuid = {{0xff, 1, 2, 3, 4, 5, 0x70, 7, 0x80, 9}},
        .version = 3,
        .settings = {.concurrency = 1, .lock_timeout_ms = 1000},
    };
    ask_catalog(kit, &cancel, &done[0]);
    ask_catalog(kit, &create, &done[1]);
    kit_wait(kit, &done[1]);
    assert_int_equal(cancel.code, FH_OK);
    assert_int_equal(create.code, FH_OK);
    kit_wait(kit, &watch->ended);
    const Freehold__V1__Rollout *last =
        ((const Freehold__V1__WatchRolloutResponse *)watch->sent[watch->sent_count - 1])->rollout;
    assert_string_equal(last->name, first->name);
    assert_int_equal(last->phase, FREEHOLD__V1__ROLLOUT_PHASE__ROLLOUT_PHASE_CANCELLED);
    expect_code(watch, FH_OK, "");
}

static void test_compares_files(void **state)
{
    struct kit *kit = *state;
    const Freehold__V1__DiffSchemaResponse *diff =
        response(Freehold__V1__DiffSchemaResponse, kit,
                 call(kit, "DiffSchema", diff_request(kit, kit_schema_sql, ADD_WEIGHT)));
    assert_int_equal(diff->from_version, 1);
    assert_int_equal(diff->to_version, 3);
    assert_int_equal(diff->n_versions, 2);
    assert_string_equal(diff->versions[1]->name, "0003_weight.sql");
    assert_int_equal(diff->versions[1]->n_changes, 1);
    assert_non_null(strstr(diff->versions[1]->changes[0]->description, "extra.weight"));
    assert_string_equal(diff->versions[1]->changes[0]->breaks, "");
    const Freehold__V1__PreviewSchemaResponse *preview = response(
        Freehold__V1__PreviewSchemaResponse, kit, call(kit, "PreviewSchema", preview_request(kit)));
    assert_true(preview->n_plans > 0);
    assert_true(preview->plans[0]->n_statements > 0);
    assert_string_equal(preview->plans[0]->tier, "shared");
    /* Known files must be as they were; and nothing of all this is kept. */
    expect_code(call(kit, "DiffSchema", diff_request(kit, "CREATE TABLE a ();", ADD_WEIGHT)),
                FH_PRECONDITION, "migrations");
    expect_code(call(kit, "DiffSchema", diff_request(kit, kit_schema_sql, "DROP TABLE nobody;")),
                FH_INVALID, "");
    assert_int_equal(fh_schemas_current(kit->schemas)->version, 1);
}

static bool is_clean(enum fh_code code)
{
    return code == FH_OK || code == FH_NOMEM || code == FH_OUTCOME_UNKNOWN || code == FH_FULL ||
           code == FH_UNAVAILABLE || code == FH_TOO_LARGE || code == FH_CORRUPT;
}

/* One round after another, until the failure is not reached any more. */
static void without_memory(struct kit *kit, const char *method, bool of_arena, enum fh_code at_last,
                           const ProtobufCMessage *request)
{
    bool more = true;
    enum fh_code code = FH_NOMEM;
    size_t room = 0;
    for (int round = 0; more; round++) {
        struct fh_call *one = kit_prepare(kit, &kit->schema, method, &kit->operator_, request);
        if (of_arena) {
            one->arena.bytes_max = one->arena.bytes_used + room;
        } else {
            fh_alloc_fault_on(round, 1);
        }
        fake_call_run(one);
        kit_wait(kit, &one->ended);
        code = one->code;
        more = of_arena ? code != at_last : fh_alloc_fault_off() != 0;
        if (!is_clean(code) && code != at_last) {
            fail_msg("%s, round %d: %s: %s", method, round, fh_code_name(code), one->message);
        }
        fake_call_free(one);
        room += 16 + room / 64 / 16 * 16;
        assert_true(round < ROUNDS_MAX);
    }
    assert_int_equal(code, at_last);
}

static void test_memory(void **state)
{
    struct kit *kit = *state;
    for (int of_arena = 0; of_arena < 2; of_arena++) {
        bool arena = of_arena != 0;
        without_memory(kit, "GetRollout", arena, FH_OK, get_request(kit, "rollouts/-"));
        without_memory(kit, "ListRollouts", arena, FH_OK, list_request(kit, 1, ""));
        without_memory(kit, "ListRolloutHomes", arena, FH_OK, homes_request(kit, "rollouts/-"));
        without_memory(kit, "ListRolloutEvents", arena, FH_OK,
                       events_request(kit, "rollouts/-", 1, ""));
        without_memory(kit, "PauseRollout", arena, FH_PRECONDITION,
                       pause_request(kit, "rollouts/-"));
        without_memory(kit, "DiffSchema", arena, FH_OK,
                       diff_request(kit, kit_schema_sql, ADD_WEIGHT));
        without_memory(kit, "PreviewSchema", arena, FH_OK, preview_request(kit));
    }
    without_memory(kit, "WatchRollout", false, FH_OK, watch_request(kit, "rollouts/-"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_shows_rollouts),
        KIT_TEST(test_refuses),
        KIT_TEST(test_lists_events),
        KIT_TEST(test_watches_an_ended_one_once),
        KIT_TEST(test_watch_keeps_to_its_rollout),
        KIT_TEST(test_compares_files),
        KIT_TEST(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
