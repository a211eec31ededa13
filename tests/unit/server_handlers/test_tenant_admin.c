/* TenantAdminService: tenants come, stop, go on and go; what is refused in which words. */
#include <string.h>

#include "freehold/v1/tenant_admin.pb-c.h"
#include "tests/unit/server_handlers/kit.h"
#include "tests/unit/server_handlers/message.h"

#define TENANT(kit, call) response(Freehold__V1__Tenant, (kit), (call))

static struct fh_call *create(struct kit *kit, const Freehold__V1__Tenant *tenant,
                              const char *store, const char *request_id)
{
    Freehold__V1__CreateTenantRequest in = FREEHOLD__V1__CREATE_TENANT_REQUEST__INIT;
    in.tenant = (Freehold__V1__Tenant *)(uintptr_t)tenant;
    in.store = text_of(store);
    in.request_id = text_of(request_id);
    return kit_call(kit, &kit->tenants, "CreateTenant", &kit->operator_, &in.base);
}

static struct fh_call *create_slug(struct kit *kit, const char *slug)
{
    Freehold__V1__Tenant tenant = FREEHOLD__V1__TENANT__INIT;
    tenant.slug = text_of(slug);
    return create(kit, &tenant, "", "");
}

static struct fh_call *get(struct kit *kit, const char *name)
{
    Freehold__V1__GetTenantRequest in = FREEHOLD__V1__GET_TENANT_REQUEST__INIT;
    in.name = text_of(name);
    return kit_call(kit, &kit->tenants, "GetTenant", &kit->operator_, &in.base);
}

static struct fh_call *suspend_with(struct kit *kit, const char *name, const char *reason)
{
    Freehold__V1__SuspendTenantRequest in = FREEHOLD__V1__SUSPEND_TENANT_REQUEST__INIT;
    in.name = text_of(name);
    in.reason = text_of(reason);
    return kit_call(kit, &kit->tenants, "SuspendTenant", &kit->operator_, &in.base);
}

static struct fh_call *resume(struct kit *kit, const char *name)
{
    Freehold__V1__ResumeTenantRequest in = FREEHOLD__V1__RESUME_TENANT_REQUEST__INIT;
    in.name = text_of(name);
    return kit_call(kit, &kit->tenants, "ResumeTenant", &kit->operator_, &in.base);
}

static struct fh_call *delete_tenant(struct kit *kit, const char *name)
{
    Freehold__V1__DeleteTenantRequest in = FREEHOLD__V1__DELETE_TENANT_REQUEST__INIT;
    in.name = text_of(name);
    in.reason = text_of("asked for");
    return kit_call(kit, &kit->tenants, "DeleteTenant", &kit->operator_, &in.base);
}

static struct fh_call *list_data(struct kit *kit, const struct fh_principal *who)
{
    Freehold__V1__ListRecordsRequest in = FREEHOLD__V1__LIST_RECORDS_REQUEST__INIT;
    in.parent = text_of("tables/items");
    return kit_call(kit, &kit->data, "ListRecords", who, &in.base);
}

static void test_create(void **state)
{
    struct kit *kit = *state;
    Freehold__V1__Tenant in = FREEHOLD__V1__TENANT__INIT;
    Freehold__V1__Tenant__LabelsEntry label = FREEHOLD__V1__TENANT__LABELS_ENTRY__INIT;
    Freehold__V1__Tenant__LabelsEntry *labels[] = {&label};
    label.key = text_of("country");
    label.value = text_of("de");
    in.slug = text_of("made");
    in.display_name = text_of("M\xc3\xa4"
                              "de");
    in.plan = text_of("pro");
    in.labels = labels;
    in.n_labels = 1;
    const Freehold__V1__Tenant *out = TENANT(kit, create(kit, &in, "stores/local", "id"));
    assert_string_equal(out->slug, "made");
    assert_string_equal(out->display_name, in.display_name);
    assert_string_equal(out->plan, "pro");
    assert_int_equal(out->state, FREEHOLD__V1__TENANT__STATE__STATE_ACTIVE);
    assert_int_equal(out->n_labels, 1);
    assert_string_equal(out->labels[0]->value, "de");
    assert_string_equal(out->placement->store, "stores/local");
    assert_int_equal(out->placement->tier, FREEHOLD__V1__PLACEMENT__TIER__TIER_SHARED);
    assert_int_equal(out->placement->epoch, 1);
    assert_string_equal(out->name + strlen("tenants/"), out->uid);
    /* The same id again is the same tenant; by either name it is found. */
    assert_string_equal(TENANT(kit, create(kit, &in, "stores/local", "id"))->uid, out->uid);
    assert_string_equal(TENANT(kit, get(kit, "tenants/made"))->uid, out->uid);
    assert_string_equal(TENANT(kit, get(kit, out->name))->slug, "made");
    assert_string_equal(TENANT(kit, create_slug(kit, "plain"))->plan, "starter");
    expect_code(create_slug(kit, "made"), FH_EXISTS, "tenant.slug");
}

static void test_create_refused(void **state)
{
    struct kit *kit = *state;
    struct fh_arena *arena = &kit->arena;
    char *two_hundred = message_repeat(arena, 'x', 200);
    const struct {
        const char *slug;
        const char *display_name;
        const char *plan;
        const char *store;
        const char *request_id;
        const char *field;
    } rows[] = {
        {"", "", "", "", "", "tenant.slug"},
        {"ab", "", "", "", "", "tenant.slug"},
        {"Upper", "", "", "", "", "tenant.slug"},
        {"1abc", "", "", "", "", "tenant.slug"},
        {"abc-", "", "", "", "", "tenant.slug"},
        {message_repeat(arena, 'a', 64), "", "", "", "", "tenant.slug"},
        {"abc", message_repeat(arena, 'x', 201), "", "", "", "tenant.display_name"},
        {"abc", "", message_repeat(arena, 'x', 64), "", "", "tenant.plan"},
        {"abc", "", "a b", "", "", "tenant.plan"},
        {"abc", "", "", "local", "", "store"},
        {"abc", "", "", "stores/", "", "store"},
        {"abc", "", "", "stores/nowhere", "", "store"},
        {"abc", "", "", "", "a b", "request_id"},
        {"abc", "", "", "", message_repeat(arena, 'x', 65), "request_id"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Freehold__V1__Tenant tenant = FREEHOLD__V1__TENANT__INIT;
        tenant.slug = text_of(rows[i].slug);
        tenant.display_name = text_of(rows[i].display_name);
        tenant.plan = text_of(rows[i].plan);
        expect_code(create(kit, &tenant, rows[i].store, rows[i].request_id), FH_INVALID,
                    rows[i].field);
    }
    expect_code(create(kit, NULL, "", ""), FH_INVALID, "tenant");
    Freehold__V1__Tenant tenant = FREEHOLD__V1__TENANT__INIT;
    tenant.slug = text_of("longest");
    tenant.display_name = two_hundred;
    expect_code(create(kit, &tenant, "", ""), FH_OK, "");
}

static void test_labels_refused(void **state)
{
    struct kit *kit = *state;
    static Freehold__V1__Tenant__LabelsEntry entries[FH_LABELS_MAX + 1];
    static Freehold__V1__Tenant__LabelsEntry *labels[FH_LABELS_MAX + 1];
    Freehold__V1__Tenant tenant = FREEHOLD__V1__TENANT__INIT;
    tenant.slug = text_of("labelled");
    tenant.labels = labels;
    for (size_t i = 0; i < FH_LABELS_MAX + 1; i++) {
        freehold__v1__tenant__labels_entry__init(&entries[i]);
        entries[i].key = message_text(&kit->arena, "k%zu", i);
        entries[i].value = text_of("");
        labels[i] = &entries[i];
    }
    static const char *const bad[] = {"", "a b", "\xc3\xa9", "a\tb"};
    tenant.n_labels = 2;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        entries[1].key = text_of(bad[i]);
        expect_code(create(kit, &tenant, "", ""), FH_INVALID, "tenant.labels");
        entries[1].key = text_of("k1");
        entries[1].value = text_of(i == 0 ? "a b" : bad[i]);
        expect_code(create(kit, &tenant, "", ""), FH_INVALID, "tenant.labels");
        entries[1].value = text_of("");
    }
    entries[1].key = message_repeat(&kit->arena, 'x', 64);
    expect_code(create(kit, &tenant, "", ""), FH_INVALID, "tenant.labels");
    entries[1].key = text_of("k0");
    expect_code(create(kit, &tenant, "", ""), FH_INVALID, "tenant.labels");
    entries[1].key = text_of("k1");
    tenant.n_labels = FH_LABELS_MAX + 1;
    expect_code(create(kit, &tenant, "", ""), FH_INVALID, "tenant.labels");
    tenant.n_labels = FH_LABELS_MAX;
    assert_int_equal(TENANT(kit, create(kit, &tenant, "", ""))->n_labels, FH_LABELS_MAX);
}

static void test_suspend_and_resume(void **state)
{
    struct kit *kit = *state;
    expect_code(list_data(kit, &kit->alice), FH_OK, "");
    for (int i = 0; i < 2; i++) { /* a tenant that is there already is answered as it is */
        assert_int_equal(TENANT(kit, suspend_with(kit, "tenants/tenant-a", "unpaid"))->state,
                         FREEHOLD__V1__TENANT__STATE__STATE_SUSPENDED);
        expect_code(list_data(kit, &kit->alice), FH_SUSPENDED, "");
    }
    expect_code(list_data(kit, &kit->bob), FH_OK, "");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(TENANT(kit, resume(kit, "tenants/tenant-a"))->state,
                         FREEHOLD__V1__TENANT__STATE__STATE_ACTIVE);
        expect_code(list_data(kit, &kit->alice), FH_OK, "");
    }
}

static void advanced(struct fh_catalog_request *request)
{
    *(bool *)request->arg = true;
}

/* From here to there. */
static void take_all(struct fh_list *from, struct fh_list *to)
{
    while (!fh_list_empty(from)) {
        struct fh_list *node = from->next;
        fh_list_remove(node);
        fh_list_push_back(to, node);
    }
}

/* A suspension whose outcome its caller never learnt, and whose hint was lost: the catalog has it,
 * the router's cache not. Suspending once more must end the service. */
static void test_suspended_behind_the_cache(void **state)
{
    struct kit *kit = *state;
    bool done = false;
    struct fh_catalog_request request = {
        .op = FH_CATALOG_TENANT_ADVANCE,
        .deadline_us = FH_DEADLINE_NONE,
        .arena = &kit->arena,
        .done_cb = advanced,
        .arg = &done,
        .audit = {.actor = FH_STR("test"), .address = FH_STR("here")},
    };
    request.as.advance.uuid = kit->alice.tenant;
    request.as.advance.from_states = 1U << FH_TENANT_ACTIVE;
    request.as.advance.to = FH_TENANT_SUSPENDED;
    struct fh_list deaf;
    fh_list_init(&deaf);
    expect_code(list_data(kit, &kit->alice), FH_OK, "");
    take_all(&kit->catalog->watchers, &deaf);
    assert_int_equal(fh_catalog_submit(kit->catalog, &request), FH_OK);
    kit_wait(kit, &done);
    take_all(&deaf, &kit->catalog->watchers);
    assert_int_equal(request.code, FH_OK);
    expect_code(list_data(kit, &kit->alice), FH_OK, ""); /* the cache goes on */
    expect_code(suspend_with(kit, "tenants/tenant-a", ""), FH_OK, "");
    expect_code(list_data(kit, &kit->alice), FH_SUSPENDED, "");
}

static void test_delete(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(TENANT(kit, delete_tenant(kit, "tenants/tenant-a"))->state,
                     FREEHOLD__V1__TENANT__STATE__STATE_DELETED);
    expect_code(list_data(kit, &kit->alice), FH_NO_TENANT, "");
    expect_code(create_slug(kit, "tenant-a"), FH_EXISTS, "tenant.slug");
    expect_code(suspend_with(kit, "tenants/tenant-a", ""), FH_PRECONDITION, "");
    expect_code(resume(kit, "tenants/tenant-a"), FH_PRECONDITION, "");
    assert_int_equal(TENANT(kit, get(kit, "tenants/tenant-a"))->state,
                     FREEHOLD__V1__TENANT__STATE__STATE_DELETED);
    /* A suspended one may go, too. */
    expect_code(suspend_with(kit, "tenants/tenant-b", ""), FH_OK, "");
    expect_code(delete_tenant(kit, "tenants/tenant-b"), FH_OK, "");
}

static void test_names_refused(void **state)
{
    struct kit *kit = *state;
    static const struct {
        const char *name;
        enum fh_code code;
    } rows[] = {
        {"", FH_INVALID},
        {"tenant-a", FH_INVALID},
        {"tenants/", FH_INVALID},
        {"tenants/Tenant-A", FH_INVALID},
        {"tenants/tenant-a/tables", FH_INVALID},
        {"tenants/00000000-0000-0000-0000-000000000000", FH_INVALID},
        {"tenants/nobody", FH_NO_TENANT},
        {"tenants/01a1fbd4-f500-7000-8000-000000000000", FH_NO_TENANT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *field = rows[i].code == FH_INVALID ? "name" : "";
        expect_code(get(kit, rows[i].name), rows[i].code, field);
        expect_code(suspend_with(kit, rows[i].name, ""), rows[i].code, field);
        expect_code(resume(kit, rows[i].name), rows[i].code, field);
        expect_code(delete_tenant(kit, rows[i].name), rows[i].code, field);
    }
    char *reason = message_repeat(&kit->arena, 'x', 501);
    expect_code(suspend_with(kit, "tenants/tenant-a", reason), FH_INVALID, "reason");
    reason[500] = '\0';
    expect_code(suspend_with(kit, "tenants/tenant-a", reason), FH_OK, "");
}

static struct fh_call *list(struct kit *kit, int32_t page_size, const char *token,
                            bool show_deleted)
{
    Freehold__V1__ListTenantsRequest in = FREEHOLD__V1__LIST_TENANTS_REQUEST__INIT;
    in.page_size = page_size;
    in.page_token = text_of(token);
    in.show_deleted = show_deleted;
    return kit_call(kit, &kit->tenants, "ListTenants", &kit->operator_, &in.base);
}

static size_t walk(struct kit *kit, int32_t page_size, bool show_deleted)
{
    const char *token = "";
    char last[64] = "";
    size_t count = 0;
    do {
        const Freehold__V1__ListTenantsResponse *out = response(
            Freehold__V1__ListTenantsResponse, kit, list(kit, page_size, token, show_deleted));
        for (size_t i = 0; i < out->n_tenants; i++) {
            assert_true(strcmp(last, out->tenants[i]->uid) < 0);
            memcpy(last, out->tenants[i]->uid, strlen(out->tenants[i]->uid) + 1);
        }
        count += out->n_tenants;
        token = out->next_page_token;
    } while (token[0] != '\0');
    return count;
}

static void test_list(void **state)
{
    struct kit *kit = *state;
    for (int i = 0; i < 9; i++) {
        expect_code(create_slug(kit, message_text(&kit->arena, "more-%d", i)), FH_OK, "");
    }
    expect_code(delete_tenant(kit, "tenants/more-3"), FH_OK, "");
    static const int32_t sizes[] = {0, 1, 3, 9, 10, 11, 100000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(walk(kit, sizes[i], false), 10);
        assert_int_equal(walk(kit, sizes[i], true), 11);
    }
    const Freehold__V1__ListTenantsResponse *out =
        response(Freehold__V1__ListTenantsResponse, kit, list(kit, 1, "", false));
    expect_code(list(kit, 1, out->next_page_token, true), FH_INVALID, "page_token");
    expect_code(list(kit, 1, "x", false), FH_INVALID, "page_token");
    expect_code(list(kit, -1, "", false), FH_INVALID, "page_size");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_create),
        KIT_TEST(test_create_refused),
        KIT_TEST(test_labels_refused),
        KIT_TEST(test_suspend_and_resume),
        KIT_TEST(test_suspended_behind_the_cache),
        KIT_TEST(test_delete),
        KIT_TEST(test_names_refused),
        KIT_TEST(test_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
