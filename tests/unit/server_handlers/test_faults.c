/* Stores that refuse, fail, lose answers or return another tenant's row; callers that go away. */
#include <string.h>

#include "freehold/v1/audit.pb-c.h"
#include "freehold/v1/tenant_admin.pb-c.h"
#include "tests/unit/server_handlers/kit.h"
#include "tests/unit/server_handlers/message.h"

#define K "tables/items/records/k"

static const ProtobufCMessage *get_request(struct kit *kit, const char *name)
{
    Freehold__V1__GetRecordRequest *in = FH_ARENA_NEW(&kit->arena, Freehold__V1__GetRecordRequest);
    freehold__v1__get_record_request__init(in);
    in->name = text_of(name);
    return &in->base;
}

static const ProtobufCMessage *create_request(struct kit *kit, const char *name, const char *id)
{
    Freehold__V1__CreateRecordRequest *in =
        FH_ARENA_NEW(&kit->arena, Freehold__V1__CreateRecordRequest);
    freehold__v1__create_record_request__init(in);
    in->record = message_record(&kit->arena, name, FIELDS(INT("qty", 1)));
    in->request_id = text_of(id);
    return &in->base;
}

static const ProtobufCMessage *list_request(struct kit *kit)
{
    Freehold__V1__ListRecordsRequest *in =
        FH_ARENA_NEW(&kit->arena, Freehold__V1__ListRecordsRequest);
    freehold__v1__list_records_request__init(in);
    in->parent = text_of("tables/items");
    return &in->base;
}

static const ProtobufCMessage *events_request(struct kit *kit)
{
    Freehold__V1__ListEventsRequest *in =
        FH_ARENA_NEW(&kit->arena, Freehold__V1__ListEventsRequest);
    freehold__v1__list_events_request__init(in);
    return &in->base;
}

static struct fh_call *data_call(struct kit *kit, const char *method,
                                 const ProtobufCMessage *request)
{
    return kit_call(kit, &kit->data, method, &kit->alice, request);
}

static void expect_all(struct kit *kit, enum fh_code code)
{
    expect_code(data_call(kit, "GetRecord", get_request(kit, K)), code, "");
    expect_code(data_call(kit, "ListRecords", list_request(kit)), code, "");
    expect_code(data_call(kit, "CreateRecord", create_request(kit, K "2", "")), code, "");
    expect_code(kit_call(kit, &kit->audit, "ListEvents", &kit->alice, events_request(kit)), code,
                "");
}

static void test_store_refuses(void **state)
{
    struct kit *kit = *state;
    expect_code(data_call(kit, "CreateRecord", create_request(kit, K, "")), FH_OK, "");
    kit_faults(kit, (struct fh_fault_plan){.refuse_ppm = 1000000});
    expect_all(kit, FH_FULL);
    kit_faults(kit, (struct fh_fault_plan){.unavailable_ppm = 1000000});
    expect_all(kit, FH_UNAVAILABLE);
    kit_faults(kit, (struct fh_fault_plan){0});
    expect_code(data_call(kit, "GetRecord", get_request(kit, K "2")), FH_NOT_FOUND, "name");
    expect_code(data_call(kit, "GetRecord", get_request(kit, K)), FH_OK, "");
}

/* Not known, told as such, and known again by repeating it with the same id. */
static void test_outcome_unknown(void **state)
{
    struct kit *kit = *state;
    kit_faults(kit, (struct fh_fault_plan){.unknown_before_ppm = 1000000});
    expect_code(data_call(kit, "CreateRecord", create_request(kit, K "1", "one")),
                FH_OUTCOME_UNKNOWN, "");
    kit_faults(kit, (struct fh_fault_plan){.unknown_after_ppm = 1000000});
    expect_code(data_call(kit, "CreateRecord", create_request(kit, K "2", "two")),
                FH_OUTCOME_UNKNOWN, "");
    kit_faults(kit, (struct fh_fault_plan){0});
    expect_code(data_call(kit, "GetRecord", get_request(kit, K "1")), FH_NOT_FOUND, "name");
    expect_code(data_call(kit, "GetRecord", get_request(kit, K "2")), FH_OK, "");
    expect_code(data_call(kit, "CreateRecord", create_request(kit, K "1", "one")), FH_OK, "");
    expect_code(data_call(kit, "CreateRecord", create_request(kit, K "2", "two")), FH_OK, "");
    expect_code(data_call(kit, "CreateRecord", create_request(kit, K "2", "")), FH_EXISTS, "");
}

static void test_foreign_row(void **state)
{
    struct kit *kit = *state;
    expect_code(data_call(kit, "CreateRecord", create_request(kit, K, "")), FH_OK, "");
    kit_faults(kit, (struct fh_fault_plan){.foreign_row_ppm = 1000000});
    expect_code(data_call(kit, "GetRecord", get_request(kit, K)), FH_FOREIGN_ROW, "");
    expect_code(data_call(kit, "ListRecords", list_request(kit)), FH_FOREIGN_ROW, "");
    expect_code(kit_call(kit, &kit->audit, "ListEvents", &kit->alice, events_request(kit)),
                FH_FOREIGN_ROW, "");
}

/* A tenant is made on a store that fails: nothing of it is served. */
static void test_tenant_on_a_failing_store(void **state)
{
    struct kit *kit = *state;
    Freehold__V1__Tenant tenant = FREEHOLD__V1__TENANT__INIT;
    Freehold__V1__CreateTenantRequest in = FREEHOLD__V1__CREATE_TENANT_REQUEST__INIT;
    tenant.slug = text_of("unlucky");
    in.tenant = &tenant;
    kit_faults(kit, (struct fh_fault_plan){.unavailable_ppm = 1000000});
    expect_code(kit_call(kit, &kit->tenants, "CreateTenant", &kit->operator_, &in.base),
                FH_UNAVAILABLE, "");
    kit_faults(kit, (struct fh_fault_plan){0});
    Freehold__V1__GetTenantRequest get = FREEHOLD__V1__GET_TENANT_REQUEST__INIT;
    get.name = text_of("tenants/unlucky");
    const Freehold__V1__Tenant *made =
        response(Freehold__V1__Tenant, kit,
                 kit_call(kit, &kit->tenants, "GetTenant", &kit->operator_, &get.base));
    assert_true(made->state == FREEHOLD__V1__TENANT__STATE__STATE_DELETING ||
                made->state == FREEHOLD__V1__TENANT__STATE__STATE_DELETED);
}

/* Gone while the placement is looked up: the store is not asked. */
static void test_cancelled_in_look_up(void **state)
{
    struct kit *kit = *state;
    struct fh_call *call =
        kit_prepare(kit, &kit->data, "CreateRecord", &kit->alice, create_request(kit, K, "the-id"));
    fh_router_invalidate(kit->router, &kit->alice.tenant);
    fake_call_run(call);
    assert_false(call->ended);
    fake_call_cancel(call);
    assert_false(call->ended); /* it waits for what is in flight */
    kit_wait(kit, &call->ended);
    expect_code(call, FH_CANCELLED, "");
    expect_code(data_call(kit, "GetRecord", get_request(kit, K)), FH_NOT_FOUND, "name");
}

/* Gone while the store is at work: ends once, as done or as cancelled, and says which. */
static void test_cancelled_in_flight(void **state)
{
    struct kit *kit = *state;
    expect_code(data_call(kit, "GetRecord", get_request(kit, K)), FH_NOT_FOUND, "name");
    kit_faults(kit, (struct fh_fault_plan){.delay_ppm = 1000000});
    for (int i = 0; i < 8; i++) {
        const char *name = message_text(&kit->arena, K "%d", i);
        struct fh_call *call = kit_prepare(kit, &kit->data, "CreateRecord", &kit->alice,
                                           create_request(kit, name, ""));
        fake_call_run(call);
        for (int turn = 0; turn < i && !call->ended; turn++) {
            (void)uv_run(&kit->loop, UV_RUN_NOWAIT);
        }
        fake_call_cancel(call);
        kit_wait(kit, &call->ended);
        bool done = call->code == FH_OK;
        expect_code(call, done ? FH_OK : FH_CANCELLED, "");
        struct fh_call *read = data_call(kit, "GetRecord", get_request(kit, name));
        expect_code(read, done ? FH_OK : FH_NOT_FOUND, done ? "" : "name");
    }
}

/* Many at once, some cancelled, every one ends. */
static void test_many_at_once(void **state)
{
    struct kit *kit = *state;
    struct fh_call *calls[600];
    size_t full = 0;
    kit_faults(kit, (struct fh_fault_plan){.delay_ppm = 500000, .unavailable_ppm = 50000});
    for (size_t i = 0; i < 600; i++) {
        calls[i] = kit_prepare(kit, &kit->data, "GetRecord", &kit->alice, get_request(kit, K));
        fake_call_run(calls[i]);
        if (i % 5 == 0 && !calls[i]->ended) {
            fake_call_cancel(calls[i]);
        }
    }
    for (size_t i = 0; i < 600; i++) {
        kit_wait(kit, &calls[i]->ended);
        enum fh_code code = calls[i]->code;
        full += code == FH_FULL ? 1 : 0;
        assert_true(code == FH_NOT_FOUND || code == FH_FULL || code == FH_UNAVAILABLE ||
                    code == FH_CANCELLED);
        fake_call_free(calls[i]);
    }
    assert_int_equal(full, 600 - 512); /* a tenant's bound */
    kit_faults(kit, (struct fh_fault_plan){0});
    expect_code(data_call(kit, "GetRecord", get_request(kit, K)), FH_NOT_FOUND, "name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_store_refuses),        KIT_TEST(test_outcome_unknown),
        KIT_TEST(test_foreign_row),          KIT_TEST(test_tenant_on_a_failing_store),
        KIT_TEST(test_cancelled_in_look_up), KIT_TEST(test_cancelled_in_flight),
        KIT_TEST(test_many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
