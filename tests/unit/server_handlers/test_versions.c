/* Calls to homes that are at another schema version than the server's newest, and tokens that are
 * restricted to tables. */
#include <string.h>

#include "freehold/v1/audit.pb-c.h"
#include "router/schema_versions.h"
#include "tests/unit/server_handlers/kit.h"
#include "tests/unit/server_handlers/message.h"

struct rollout {
    const struct fh_schema *first;
    struct fh_schema_version *second;
};

/* Version 2: title is called caption. */
static void prepare(struct kit *kit, struct rollout *rollout)
{
    const struct fh_migration file = {
        .name = FH_STR("0002_caption.sql"),
        .sql = FH_STR("alter table items rename column title to caption;\n")};
    struct fh_error error = FH_ERROR_INIT;
    rollout->first = fh_router_schema(kit->router);
    assert_int_equal(fh_schema_version_make(rollout->first, &file, &rollout->second, &error),
                     FH_OK);
}

static void finish(struct kit *kit, struct rollout *rollout)
{
    fh_router_set_schema(kit->router, rollout->first);
    fh_schema_version_free(rollout->second);
}

static void applied_cb(struct fh_request *request)
{
    *(bool *)request->arg = true;
}

static void upgrade_home(struct kit *kit, const struct rollout *rollout)
{
    bool done = false;
    struct fh_request request = {.op = FH_OP_SCHEMA_APPLY,
                                 .scope.home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED},
                                 .deadline_us = kit->clock.monotonic_us + 30000000,
                                 .arena = &kit->arena,
                                 .done_cb = applied_cb,
                                 .arg = &done,
                                 .as.schema.target = rollout->second->schema};
    assert_int_equal(fh_store_submit(kit->local, &request), FH_OK);
    kit_wait(kit, &done);
    assert_int_equal(request.code, FH_OK);
}

static struct fh_call *create(struct kit *kit, const struct fh_principal *who, const char *name,
                              const struct field *fields)
{
    Freehold__V1__CreateRecordRequest in = FREEHOLD__V1__CREATE_RECORD_REQUEST__INIT;
    in.record = message_record(&kit->arena, name, fields);
    return kit_call(kit, &kit->data, "CreateRecord", who, &in.base);
}

static struct fh_call *list(struct kit *kit, const struct fh_principal *who, const char *table)
{
    Freehold__V1__ListRecordsRequest in = FREEHOLD__V1__LIST_RECORDS_REQUEST__INIT;
    in.parent = text_of(table);
    return kit_call(kit, &kit->data, "ListRecords", who, &in.base);
}

static void serves_each_home_with_its_own_version(void **state)
{
    struct kit *kit = *state;
    struct rollout rollout;
    prepare(kit, &rollout);
    fh_router_set_schema(kit->router, rollout.second->schema); /* the home is at version 1 still */
    expect_code(create(kit, &kit->alice, "tables/items/records/a", FIELDS(TEXT("title", "old"))),
                FH_OK, "");
    struct fh_call *call =
        create(kit, &kit->alice, "tables/items/records/b", FIELDS(TEXT("caption", "new")));
    assert_non_null(strstr(call->message, "schema version 1"));
    expect_code(call, FH_INVALID, "record.fields.caption");

    upgrade_home(kit, &rollout);
    const Freehold__V1__ListRecordsResponse *page =
        response(Freehold__V1__ListRecordsResponse, kit, list(kit, &kit->alice, "tables/items"));
    assert_int_equal(page->n_records, 1);
    assert_field_text(page->records[0], "caption", "old");
    expect_code(create(kit, &kit->alice, "tables/items/records/b", FIELDS(TEXT("caption", "new"))),
                FH_OK, "");
    call = create(kit, &kit->alice, "tables/items/records/c", FIELDS(TEXT("title", "old")));
    assert_null(strstr(call->message, "schema version"));
    expect_code(call, FH_INVALID, "record.fields.title");
    finish(kit, &rollout);
}

/* What this server thought of the home is out of date, and the message is right for what it is. */
static void asks_before_it_refuses(void **state)
{
    struct kit *kit = *state;
    struct rollout rollout;
    prepare(kit, &rollout);
    expect_code(create(kit, &kit->alice, "tables/items/records/a", FIELDS(TEXT("title", "old"))),
                FH_OK, "");
    fh_router_set_schema(kit->router, rollout.second->schema);
    upgrade_home(kit, &rollout);
    expect_code(create(kit, &kit->alice, "tables/items/records/b", FIELDS(TEXT("caption", "new"))),
                FH_OK, "");
    finish(kit, &rollout);
}

struct learner {
    struct kit *kit;
    const struct rollout *rollout;
    uint32_t wanted;
};

static void newer_cb(void *arg, uint32_t version)
{
    struct learner *learner = arg;
    learner->wanted = version;
    fh_router_set_schema(learner->kit->router, learner->rollout->second->schema);
    fh_clock_virtual_advance(&learner->kit->clock, 2000); /* who waits goes on a moment later */
}

static void waits_for_a_version_that_others_rolled_out(void **state)
{
    struct kit *kit = *state;
    struct rollout rollout;
    prepare(kit, &rollout);
    struct learner learner = {.kit = kit, .rollout = &rollout};
    upgrade_home(kit, &rollout);
    fh_router_on_newer_schema(kit->router, newer_cb, &learner);
    expect_code(create(kit, &kit->alice, "tables/items/records/a", FIELDS(INT("qty", 1))), FH_OK,
                "");
    assert_int_equal(learner.wanted, 2);
    fh_router_set_schema(kit->router, rollout.first);
    learner.wanted = 0; /* and the same for a message that this version cannot read */
    expect_code(create(kit, &kit->bob, "tables/items/records/b", FIELDS(TEXT("caption", "new"))),
                FH_INVALID, "record.fields.caption");
    fh_router_on_newer_schema(kit->router, NULL, NULL);
    finish(kit, &rollout);
}

static void keeps_to_the_tables_of_a_token(void **state)
{
    struct kit *kit = *state;
    struct fh_principal reader = kit->alice;
    reader.grants = (struct fh_grants){.restricted = true, .tables = FH_STR("items:r,parts:w")};
    const Freehold__V1__ListRecordsResponse *page =
        response(Freehold__V1__ListRecordsResponse, kit, list(kit, &reader, "tables/items"));
    assert_int_equal(page->n_records, 0);
    expect_code(create(kit, &reader, "tables/parts/records/1", NO_FIELDS), FH_OK, "");
    expect_code(list(kit, &reader, "tables/parts"), FH_OK, "");
    expect_code(create(kit, &reader, "tables/items/records/a", FIELDS(TEXT("no", "such"))),
                FH_PERMISSION, "");
    static const char *const names[] = {"tables/pairs", "tables/item", "tables/none", "tables/"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        expect_code(list(kit, &reader, names[i]), FH_PERMISSION, "");
    }
    struct fh_call *call = list(kit, &reader, "tables/pairs");
    assert_non_null(strstr(call->message, "read on table pairs"));
    expect_code(call, FH_PERMISSION, "");
    Freehold__V1__GetRecordRequest get = FREEHOLD__V1__GET_RECORD_REQUEST__INIT;
    get.name = text_of("tables/pairs/records/a,1");
    expect_code(kit_call(kit, &kit->data, "GetRecord", &reader, &get.base), FH_PERMISSION, "");
    Freehold__V1__ListEventsRequest events = FREEHOLD__V1__LIST_EVENTS_REQUEST__INIT;
    expect_code(kit_call(kit, &kit->audit, "ListEvents", &reader, &events.base), FH_PERMISSION, "");
    reader.grants.tables = FH_STR("");
    expect_code(list(kit, &reader, "tables/items"), FH_PERMISSION, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(serves_each_home_with_its_own_version),
        KIT_TEST(asks_before_it_refuses),
        KIT_TEST(waits_for_a_version_that_others_rolled_out),
        KIT_TEST(keeps_to_the_tables_of_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
