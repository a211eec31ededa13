/* Memory that runs out: the nth allocation fails, for every n, under every handler. It answers
 * rightly, or says that it could not; it does not crash, leak, or do what it denies. */
#include <string.h>

#include "base/alloc.h"
#include "freehold/v1/audit.pb-c.h"
#include "freehold/v1/schema.pb-c.h"
#include "freehold/v1/store_admin.pb-c.h"
#include "freehold/v1/tenant_admin.pb-c.h"
#include "tests/unit/server_handlers/kit.h"
#include "tests/unit/server_handlers/message.h"

#define ROUNDS_MAX 2000      /* more than any handler allocates */
#define ARENA_ROUNDS 1000000 /* where their numbers start: names are not used twice */

struct subject {
    const char *method;
    const struct fh_rpc_service *(*service)(struct kit *kit);
    const struct fh_principal *(*who)(struct kit *kit);
    /* The nth round's request. */
    const ProtobufCMessage *(*request)(struct kit *kit, int round);
    /* What is so afterwards, given how it ended; NULL: nothing to look at. */
    void (*check)(struct kit *kit, int round, enum fh_code code);
};

static const struct fh_rpc_service *data_of(struct kit *kit)
{
    return &kit->data;
}

static const struct fh_rpc_service *audit_of(struct kit *kit)
{
    return &kit->audit;
}

static const struct fh_rpc_service *tenants_of(struct kit *kit)
{
    return &kit->tenants;
}

static const struct fh_rpc_service *stores_of(struct kit *kit)
{
    return &kit->stores;
}

static const struct fh_rpc_service *schema_of(struct kit *kit)
{
    return &kit->schema;
}

static const struct fh_principal *alice_of(struct kit *kit)
{
    return &kit->alice;
}

static const struct fh_principal *operator_of(struct kit *kit)
{
    return &kit->operator_;
}

/* A code that a call may come to because memory ran out somewhere on its way. */
static bool is_clean(enum fh_code code)
{
    return code == FH_OK || code == FH_NOMEM || code == FH_OUTCOME_UNKNOWN ||
           code == FH_UNAVAILABLE || code == FH_FULL || code == FH_TOO_LARGE || code == FH_CORRUPT;
}

/* A call of the round's request, with the heap or the call's own arena about to fail. */
static struct fh_call *round_call(struct kit *kit, const struct subject *subject, int round)
{
    const ProtobufCMessage *request = subject->request(kit, round);
    struct fh_call *call =
        kit_prepare(kit, subject->service(kit), subject->method, subject->who(kit), request);
    fh_router_invalidate(kit->router, &kit->alice.tenant); /* the look-up's memory, too */
    return call;
}

/* Answers whether the call failed. */
static bool end_round(struct kit *kit, const struct subject *subject, int round,
                      struct fh_call *call)
{
    enum fh_code code = call->code;
    if (!is_clean(code)) {
        fail_msg("%s, round %d: %s: %s", subject->method, round, fh_code_name(code), call->message);
    }
    fake_call_free(call);
    if (subject->check != NULL) {
        subject->check(kit, round, code);
    }
    return code != FH_OK;
}

static void fail_heap(struct kit *kit, const struct subject *subject)
{
    bool delivered = true;
    bool failed = true;
    for (int round = 0; delivered; round++) {
        struct fh_call *call = round_call(kit, subject, round);
        fh_alloc_fault_on(round, 1);
        fake_call_run(call);
        kit_wait(kit, &call->ended);
        delivered = fh_alloc_fault_off() != 0;
        failed = end_round(kit, subject, round, call);
        assert_true(round < ROUNDS_MAX);
    }
    assert_false(failed);
}

/* The same by the bound of the call's arena, whose first chunk hides small allocations from the
 * heap. */
static void fail_arena(struct kit *kit, const struct subject *subject)
{
    size_t room = 0;
    int round = ARENA_ROUNDS;
    bool failed = true;
    for (; failed; round++) {
        struct fh_call *call = round_call(kit, subject, round);
        call->arena.bytes_max = call->arena.bytes_used + room;
        fake_call_run(call);
        kit_wait(kit, &call->ended);
        failed = end_round(kit, subject, round, call);
        room += 16 + room / 64 / 16 * 16;
        assert_true(round < ARENA_ROUNDS + ROUNDS_MAX);
    }
    assert_true(round > ARENA_ROUNDS + 1); /* with no room at all it must have failed */
}

static void torture(struct kit *kit, const struct subject *subject)
{
    fail_heap(kit, subject);
    fail_arena(kit, subject);
}

static const char *item(struct kit *kit, const char *prefix, int round)
{
    return message_text(&kit->arena, "tables/items/records/%s%d", prefix, round);
}

static enum fh_code get(struct kit *kit, const char *name, bool show_deleted)
{
    Freehold__V1__GetRecordRequest in = FREEHOLD__V1__GET_RECORD_REQUEST__INIT;
    in.name = text_of(name);
    in.show_deleted = show_deleted;
    struct fh_call *call = kit_call(kit, &kit->data, "GetRecord", &kit->alice, &in.base);
    enum fh_code code = call->code;
    fake_call_free(call);
    return code;
}

static void create(struct kit *kit, const char *name)
{
    Freehold__V1__CreateRecordRequest in = FREEHOLD__V1__CREATE_RECORD_REQUEST__INIT;
    in.record = message_record(&kit->arena, name, FIELDS(INT("qty", 1), TEXT("price", "1.5")));
    expect_code(kit_call(kit, &kit->data, "CreateRecord", &kit->alice, &in.base), FH_OK, "");
}

static void delete_record(struct kit *kit, const char *name)
{
    Freehold__V1__DeleteRecordRequest in = FREEHOLD__V1__DELETE_RECORD_REQUEST__INIT;
    in.name = text_of(name);
    expect_code(kit_call(kit, &kit->data, "DeleteRecord", &kit->alice, &in.base), FH_OK, "");
}

#define NEW_REQUEST(type, init)                 \
    type *in = FH_ARENA_NEW(&kit->arena, type); \
    assert_non_null(in);                        \
    init(in)

static const ProtobufCMessage *get_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__GetRecordRequest, freehold__v1__get_record_request__init);
    (void)round;
    in->name = text_of("tables/items/records/there");
    in->read_mask = message_mask(&kit->arena, "qty price at");
    return &in->base;
}

static const ProtobufCMessage *batch_request(struct kit *kit, int round)
{
    static char *names[40];
    NEW_REQUEST(Freehold__V1__BatchGetRecordsRequest,
                freehold__v1__batch_get_records_request__init);
    (void)round;
    for (size_t i = 0; i < 40; i++) {
        names[i] = text_of(i % 2 == 0 ? "tables/items/records/there" : "tables/pairs/records/a,1");
    }
    in->names = names;
    in->n_names = 40;
    return &in->base;
}

static const ProtobufCMessage *list_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__ListRecordsRequest, freehold__v1__list_records_request__init);
    (void)round;
    in->parent = text_of("tables/items");
    in->page_size = 20;
    return &in->base;
}

static const ProtobufCMessage *create_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__CreateRecordRequest, freehold__v1__create_record_request__init);
    in->record = message_record(&kit->arena, item(kit, "create-", round),
                                FIELDS(INT("qty", 1), TEXT("price", "1.5"), TEXT("title", "t")));
    in->request_id = message_text(&kit->arena, "create-%d", round);
    return &in->base;
}

static void check_created(struct kit *kit, int round, enum fh_code code)
{
    bool done = code == FH_OK || code == FH_OUTCOME_UNKNOWN;
    const ProtobufCMessage *again = create_request(kit, round);
    assert_int_equal(get(kit, item(kit, "create-", round), true), done ? FH_OK : FH_NOT_FOUND);
    /* Repeating it is safe in every case. */
    expect_code(kit_call(kit, &kit->data, "CreateRecord", &kit->alice, again), FH_OK, "");
}

static const ProtobufCMessage *update_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__UpdateRecordRequest, freehold__v1__update_record_request__init);
    create(kit, item(kit, "update-", round));
    in->record = message_record(&kit->arena, item(kit, "update-", round),
                                FIELDS(INT("qty", 2), TEXT("title", "t")));
    in->update_mask = message_mask(&kit->arena, "qty title");
    return &in->base;
}

static const ProtobufCMessage *delete_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__DeleteRecordRequest, freehold__v1__delete_record_request__init);
    create(kit, item(kit, "delete-", round));
    in->name = text_of(item(kit, "delete-", round));
    return &in->base;
}

static void check_deleted(struct kit *kit, int round, enum fh_code code)
{
    bool done = code == FH_OK || code == FH_OUTCOME_UNKNOWN;
    assert_int_equal(get(kit, item(kit, "delete-", round), false), done ? FH_NOT_FOUND : FH_OK);
}

static const ProtobufCMessage *undelete_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__UndeleteRecordRequest, freehold__v1__undelete_record_request__init);
    create(kit, item(kit, "undelete-", round));
    delete_record(kit, item(kit, "undelete-", round));
    in->name = text_of(item(kit, "undelete-", round));
    return &in->base;
}

static const ProtobufCMessage *purge_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__PurgeRecordRequest, freehold__v1__purge_record_request__init);
    create(kit, item(kit, "purge-", round));
    in->name = text_of(item(kit, "purge-", round));
    in->request_id = message_text(&kit->arena, "purge-%d", round);
    return &in->base;
}

static void check_purged(struct kit *kit, int round, enum fh_code code)
{
    bool done = code == FH_OK || code == FH_OUTCOME_UNKNOWN;
    assert_int_equal(get(kit, item(kit, "purge-", round), true), done ? FH_NOT_FOUND : FH_OK);
}

static const ProtobufCMessage *commit_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__CommitRequest, freehold__v1__commit_request__init);
    in->writes = FH_ARENA_ARRAY(&kit->arena, Freehold__V1__Write *, 3);
    for (size_t i = 0; i < 3; i++) {
        Freehold__V1__Write *write = FH_ARENA_NEW(&kit->arena, Freehold__V1__Write);
        freehold__v1__write__init(write);
        write->operation_case = FREEHOLD__V1__WRITE__OPERATION_UPSERT;
        write->upsert = message_record(
            &kit->arena, message_text(&kit->arena, "tables/items/records/commit-%d-%zu", round, i),
            FIELDS(INT("qty", 1)));
        in->writes[i] = write;
    }
    in->n_writes = 3;
    in->request_id = message_text(&kit->arena, "commit-%d", round);
    return &in->base;
}

static void check_committed(struct kit *kit, int round, enum fh_code code)
{
    bool done = code == FH_OK || code == FH_OUTCOME_UNKNOWN;
    for (size_t i = 0; i < 3; i++) {
        const char *name =
            message_text(&kit->arena, "tables/items/records/commit-%d-%zu", round, i);
        assert_int_equal(get(kit, name, true), done ? FH_OK : FH_NOT_FOUND);
    }
}

static const ProtobufCMessage *events_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__ListEventsRequest, freehold__v1__list_events_request__init);
    (void)round;
    in->page_size = 10;
    return &in->base;
}

static const struct subject data_subjects[] = {
    {"GetRecord", data_of, alice_of, get_request, NULL},
    {"BatchGetRecords", data_of, alice_of, batch_request, NULL},
    {"ListRecords", data_of, alice_of, list_request, NULL},
    {"CreateRecord", data_of, alice_of, create_request, check_created},
    {"UpdateRecord", data_of, alice_of, update_request, NULL},
    {"DeleteRecord", data_of, alice_of, delete_request, check_deleted},
    {"UndeleteRecord", data_of, alice_of, undelete_request, NULL},
    {"PurgeRecord", data_of, alice_of, purge_request, check_purged},
    {"Commit", data_of, alice_of, commit_request, check_committed},
    {"ListEvents", audit_of, alice_of, events_request, NULL},
};

static void test_data(void **state)
{
    struct kit *kit = *state;
    create(kit, "tables/items/records/there");
    for (int i = 0; i < 30; i++) {
        create(kit, item(kit, "x", i));
    }
    for (size_t i = 0; i < sizeof(data_subjects) / sizeof(data_subjects[0]); i++) {
        torture(kit, &data_subjects[i]);
    }
}

static const char *slug(struct kit *kit, const char *prefix, int round)
{
    return message_text(&kit->arena, "%s-%d", prefix, round);
}

static struct fh_call *get_tenant(struct kit *kit, const char *name)
{
    Freehold__V1__GetTenantRequest in = FREEHOLD__V1__GET_TENANT_REQUEST__INIT;
    in.name = text_of(message_text(&kit->arena, "tenants/%s", name));
    return kit_call(kit, &kit->tenants, "GetTenant", &kit->operator_, &in.base);
}

static const ProtobufCMessage *create_tenant_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__CreateTenantRequest, freehold__v1__create_tenant_request__init);
    in->tenant = FH_ARENA_NEW(&kit->arena, Freehold__V1__Tenant);
    freehold__v1__tenant__init(in->tenant);
    in->tenant->slug = text_of(slug(kit, "create", round));
    return &in->base;
}

/* What is told as failed is not served. */
static void check_tenant(struct kit *kit, int round, enum fh_code code)
{
    struct fh_call *call = get_tenant(kit, slug(kit, "create", round));
    if (call->code != FH_OK) {
        assert_int_not_equal(code, FH_OK);
        expect_code(call, FH_NO_TENANT, "");
        return;
    }
    const Freehold__V1__Tenant *tenant = response(Freehold__V1__Tenant, kit, call);
    bool done = code == FH_OK || code == FH_OUTCOME_UNKNOWN;
    assert_int_equal(tenant->state == FREEHOLD__V1__TENANT__STATE__STATE_ACTIVE, done);
}

static void make_tenant(struct kit *kit, const char *name)
{
    Freehold__V1__CreateTenantRequest in = FREEHOLD__V1__CREATE_TENANT_REQUEST__INIT;
    Freehold__V1__Tenant tenant = FREEHOLD__V1__TENANT__INIT;
    tenant.slug = text_of(name);
    in.tenant = &tenant;
    expect_code(kit_call(kit, &kit->tenants, "CreateTenant", &kit->operator_, &in.base), FH_OK, "");
}

static const ProtobufCMessage *get_tenant_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__GetTenantRequest, freehold__v1__get_tenant_request__init);
    (void)round;
    in->name = text_of("tenants/tenant-a");
    return &in->base;
}

static const ProtobufCMessage *list_tenants_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__ListTenantsRequest, freehold__v1__list_tenants_request__init);
    (void)round;
    in->page_size = 1;
    return &in->base;
}

static const ProtobufCMessage *suspend_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__SuspendTenantRequest, freehold__v1__suspend_tenant_request__init);
    make_tenant(kit, slug(kit, "suspend", round));
    in->name = message_text(&kit->arena, "tenants/%s", slug(kit, "suspend", round));
    return &in->base;
}

static const ProtobufCMessage *resume_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__ResumeTenantRequest, freehold__v1__resume_tenant_request__init);
    Freehold__V1__SuspendTenantRequest suspend = FREEHOLD__V1__SUSPEND_TENANT_REQUEST__INIT;
    make_tenant(kit, slug(kit, "resume", round));
    in->name = message_text(&kit->arena, "tenants/%s", slug(kit, "resume", round));
    suspend.name = in->name;
    expect_code(kit_call(kit, &kit->tenants, "SuspendTenant", &kit->operator_, &suspend.base),
                FH_OK, "");
    return &in->base;
}

static const ProtobufCMessage *delete_tenant_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__DeleteTenantRequest, freehold__v1__delete_tenant_request__init);
    make_tenant(kit, slug(kit, "delete", round));
    in->name = message_text(&kit->arena, "tenants/%s", slug(kit, "delete", round));
    return &in->base;
}

static const struct subject tenant_subjects[] = {
    {"CreateTenant", tenants_of, operator_of, create_tenant_request, check_tenant},
    {"GetTenant", tenants_of, operator_of, get_tenant_request, NULL},
    {"ListTenants", tenants_of, operator_of, list_tenants_request, NULL},
    {"SuspendTenant", tenants_of, operator_of, suspend_request, NULL},
    {"ResumeTenant", tenants_of, operator_of, resume_request, NULL},
    {"DeleteTenant", tenants_of, operator_of, delete_tenant_request, NULL},
};

static void test_tenants(void **state)
{
    struct kit *kit = *state;
    for (size_t i = 0; i < sizeof(tenant_subjects) / sizeof(tenant_subjects[0]); i++) {
        torture(kit, &tenant_subjects[i]);
    }
}

static const ProtobufCMessage *create_store_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__CreateStoreRequest, freehold__v1__create_store_request__init);
    in->store = FH_ARENA_NEW(&kit->arena, Freehold__V1__Store);
    freehold__v1__store__init(in->store);
    in->store->name = message_text(&kit->arena, "stores/store-%d", round);
    in->store->engine = text_of("memory");
    in->store->location = text_of("x");
    return &in->base;
}

/* Either all of it is there, or nothing. */
static void check_store(struct kit *kit, int round, enum fh_code code)
{
    Freehold__V1__GetStoreRequest in = FREEHOLD__V1__GET_STORE_REQUEST__INIT;
    bool done = code == FH_OK || code == FH_OUTCOME_UNKNOWN;
    in.name = message_text(&kit->arena, "stores/store-%d", round);
    expect_code(kit_call(kit, &kit->stores, "GetStore", &kit->operator_, &in.base),
                done ? FH_OK : FH_NOT_FOUND, done ? "" : "name");
}

static const ProtobufCMessage *get_store_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__GetStoreRequest, freehold__v1__get_store_request__init);
    (void)round;
    in->name = text_of("stores/local");
    return &in->base;
}

static const ProtobufCMessage *check_store_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__CheckStoreRequest, freehold__v1__check_store_request__init);
    (void)round;
    in->name = text_of("stores/local");
    return &in->base;
}

static const ProtobufCMessage *list_stores_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__ListStoresRequest, freehold__v1__list_stores_request__init);
    (void)round;
    in->page_size = 1;
    return &in->base;
}

static const ProtobufCMessage *get_schema_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__GetSchemaRequest, freehold__v1__get_schema_request__init);
    (void)round;
    return &in->base;
}

/* The files so far, and one more. */
static const ProtobufCMessage *apply_request(struct kit *kit, int round)
{
    NEW_REQUEST(Freehold__V1__ApplySchemaRequest, freehold__v1__apply_schema_request__init);
    in->migrations = FH_ARENA_ARRAY(&kit->arena, Freehold__V1__Migration *, 2);
    for (size_t i = 0; i < 2; i++) {
        in->migrations[i] = FH_ARENA_NEW(&kit->arena, Freehold__V1__Migration);
        freehold__v1__migration__init(in->migrations[i]);
    }
    in->migrations[0]->name = text_of("0001_items.sql");
    in->migrations[0]->sql = text_of(kit_schema_sql);
    in->migrations[1]->name = text_of("0002_more.sql");
    in->migrations[1]->sql = text_of("CREATE TABLE more (id bigint PRIMARY KEY);");
    in->n_migrations = 2;
    (void)round;
    return &in->base;
}

static const struct subject store_subjects[] = {
    {"CreateStore", stores_of, operator_of, create_store_request, check_store},
    {"GetStore", stores_of, operator_of, get_store_request, NULL},
    {"CheckStore", stores_of, operator_of, check_store_request, NULL},
    {"ListStores", stores_of, operator_of, list_stores_request, NULL},
    {"GetSchema", schema_of, operator_of, get_schema_request, NULL},
    {"ApplySchema", schema_of, operator_of, apply_request, NULL},
};

static void test_stores_and_schema(void **state)
{
    struct kit *kit = *state;
    for (size_t i = 0; i < sizeof(store_subjects) / sizeof(store_subjects[0]); i++) {
        torture(kit, &store_subjects[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_data),
        KIT_TEST(test_tenants),
        KIT_TEST(test_stores_and_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
