/* AuditService: a tenant's own commits, newest first, by pages. */
#include <string.h>

#include "freehold/v1/audit.pb-c.h"
#include "tests/unit/server_handlers/kit.h"
#include "tests/unit/server_handlers/message.h"

static struct fh_call *list(struct kit *kit, const struct fh_principal *who, int32_t page_size,
                            const char *token)
{
    Freehold__V1__ListEventsRequest in = FREEHOLD__V1__LIST_EVENTS_REQUEST__INIT;
    in.page_size = page_size;
    in.page_token = text_of(token);
    return kit_call(kit, &kit->audit, "ListEvents", who, &in.base);
}

static Freehold__V1__ListEventsResponse *page(struct kit *kit, const struct fh_principal *who,
                                              int32_t page_size, const char *token)
{
    return response(Freehold__V1__ListEventsResponse, kit, list(kit, who, page_size, token));
}

static void create(struct kit *kit, const struct fh_principal *who, const char *name,
                   const char *request_id)
{
    Freehold__V1__CreateRecordRequest in = FREEHOLD__V1__CREATE_RECORD_REQUEST__INIT;
    in.record = message_record(&kit->arena, name, FIELDS(INT("qty", 1)));
    in.request_id = text_of(request_id);
    expect_code(kit_call(kit, &kit->data, "CreateRecord", who, &in.base), FH_OK, "");
}

static void update(struct kit *kit, const char *name, bool allow_missing)
{
    Freehold__V1__UpdateRecordRequest in = FREEHOLD__V1__UPDATE_RECORD_REQUEST__INIT;
    in.record = message_record(&kit->arena, name, FIELDS(INT("qty", 2)));
    in.allow_missing = allow_missing;
    expect_code(kit_call(kit, &kit->data, "UpdateRecord", &kit->alice, &in.base), FH_OK, "");
}

static void purge(struct kit *kit, const char *name)
{
    Freehold__V1__PurgeRecordRequest in = FREEHOLD__V1__PURGE_RECORD_REQUEST__INIT;
    in.name = text_of(name);
    expect_code(kit_call(kit, &kit->data, "PurgeRecord", &kit->alice, &in.base), FH_OK, "");
}

static void test_who_did_what(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(page(kit, &kit->alice, 0, "")->n_events, 0);
    create(kit, &kit->alice, "tables/items/records/a", "the-id");
    update(kit, "tables/items/records/a", false);
    update(kit, "tables/items/records/new", true);
    purge(kit, "tables/items/records/a");
    create(kit, &kit->bob, "tables/items/records/b", "");
    const Freehold__V1__ListEventsResponse *out = page(kit, &kit->alice, 0, "");
    assert_int_equal(out->n_events, 4);
    assert_string_equal(out->next_page_token, "");
    const Freehold__V1__Event *first = out->events[3];
    assert_string_equal(first->name, "events/1-1");
    assert_string_equal(first->actor, "alice");
    assert_string_equal(first->address, "ipv4:192.0.2.1:4321");
    assert_string_equal(first->request_id, "the-id");
    assert_int_equal(first->schema_version, 1);
    assert_int_equal(first->time->seconds, KIT_NOW_US / 1000000);
    assert_int_equal(first->n_changes, 1);
    assert_int_equal(first->changes[0]->operation,
                     FREEHOLD__V1__CHANGE__OPERATION__OPERATION_INSERT);
    assert_null(first->changes[0]->before);
    assert_field_int(first->changes[0]->after, "qty", 1);
    const Freehold__V1__Change *second = out->events[2]->changes[0];
    assert_int_equal(second->operation, FREEHOLD__V1__CHANGE__OPERATION__OPERATION_UPDATE);
    assert_field_int(second->before, "qty", 1);
    assert_field_int(second->after, "qty", 2);
    const Freehold__V1__Change *third = out->events[1]->changes[0];
    assert_string_equal(third->record_name, "tables/items/records/new");
    assert_null(third->before);
    assert_non_null(third->after);
    const Freehold__V1__Change *last = out->events[0]->changes[0];
    assert_int_equal(last->operation, FREEHOLD__V1__CHANGE__OPERATION__OPERATION_PURGE);
    assert_string_equal(last->record_name, "tables/items/records/a");
    assert_field_int(last->before, "qty", 2);
    assert_null(last->after);
    out = page(kit, &kit->bob, 0, "");
    assert_int_equal(out->n_events, 1);
    assert_string_equal(out->events[0]->actor, "bob");
}

static void test_pages(void **state)
{
    struct kit *kit = *state;
    static const int32_t sizes[] = {0, 1, 7, 50, 119, 120, 121, 5000};
    for (int i = 0; i < 120; i++) {
        create(kit, &kit->alice, message_text(&kit->arena, "tables/items/records/%d", i), "");
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const char *token = "";
        int next = 119;
        do {
            const Freehold__V1__ListEventsResponse *out = page(kit, &kit->alice, sizes[i], token);
            for (size_t e = 0; e < out->n_events; e++, next--) {
                assert_string_equal(out->events[e]->changes[0]->record_name,
                                    message_text(&kit->arena, "tables/items/records/%d", next));
            }
            token = out->next_page_token;
        } while (token[0] != '\0');
        assert_int_equal(next, -1);
    }
}

static void test_refused(void **state)
{
    struct kit *kit = *state;
    for (int i = 0; i < 2; i++) {
        create(kit, &kit->alice, message_text(&kit->arena, "tables/items/records/%d", i), "");
        create(kit, &kit->bob, message_text(&kit->arena, "tables/items/records/%d", i), "");
    }
    expect_code(list(kit, &kit->alice, -1, ""), FH_INVALID, "page_size");
    expect_code(list(kit, &kit->alice, 0, "x"), FH_INVALID, "page_token");
    const char *token = page(kit, &kit->alice, 1, "")->next_page_token;
    expect_code(list(kit, &kit->bob, 0, token), FH_INVALID, "page_token");
    /* A token of another list of the same tenant. */
    Freehold__V1__ListRecordsRequest in = FREEHOLD__V1__LIST_RECORDS_REQUEST__INIT;
    in.parent = text_of("tables/items");
    in.page_token = text_of(token);
    expect_code(kit_call(kit, &kit->data, "ListRecords", &kit->alice, &in.base), FH_INVALID,
                "page_token");
    in.page_token = text_of("");
    in.page_size = 1;
    const Freehold__V1__ListRecordsResponse *records =
        response(Freehold__V1__ListRecordsResponse, kit,
                 kit_call(kit, &kit->data, "ListRecords", &kit->alice, &in.base));
    expect_code(list(kit, &kit->alice, 0, records->next_page_token), FH_INVALID, "page_token");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_who_did_what),
        KIT_TEST(test_pages),
        KIT_TEST(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
