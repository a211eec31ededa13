/* The embedded catalog: what it keeps and what it refuses. */
#include "router/catalog_sqlite/catalog_sqlite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/catalog_sqlite/kit.h"

static void keeps_tenants_over_reopening(void **state)
{
    struct kit *f = *state;
    assert_int_equal(kit_add_store(f, "main"), FH_OK);
    struct fh_catalog_request made = kit_creation("acme", "");
    assert_int_equal(kit_call(f, &made), FH_OK);
    assert_int_equal(made.as.tenant.state, FH_TENANT_PROVISIONING);
    kit_close(f);
    struct fh_error error = FH_ERROR_INIT;
    assert_int_equal(kit_open(f, &error), FH_OK);

    struct fh_catalog_request got = {.op = FH_CATALOG_TENANT_GET};
    got.as.get.slug = FH_STR("acme");
    assert_int_equal(kit_call(f, &got), FH_OK);
    const struct fh_tenant *tenant = &got.as.get.tenant;
    assert_true(fh_uuid_eq(&tenant->uuid, &made.as.tenant.uuid));
    assert_true(fh_str_eq(tenant->display_name, FH_STR("A tenant")));
    assert_true(fh_str_eq(tenant->plan, FH_STR("free")));
    assert_int_equal(tenant->label_count, 2);
    assert_true(fh_str_eq(tenant->labels[0].key, FH_STR("a")));
    assert_true(fh_str_eq(tenant->labels[1].value, FH_STR("2")));
    assert_string_equal(tenant->placement.store, "main");
    assert_string_equal(tenant->placement.home.name, FH_HOME_SHARED);
    assert_int_equal(tenant->placement.home.tier, FH_TIER_SHARED);
    assert_int_equal(tenant->placement.epoch, 1);
    assert_true(tenant->created_at_us > 0);

    struct fh_catalog_request unknown = {.op = FH_CATALOG_TENANT_GET};
    unknown.as.get.uuid = fh_uuid_v7(1);
    assert_int_equal(kit_call(f, &unknown), FH_NO_TENANT);
}

static void never_gives_a_slug_twice(void **state)
{
    struct kit *f = *state;
    struct fh_tenant tenant;
    assert_int_equal(kit_add_store(f, "main"), FH_OK);
    struct fh_catalog_request first = kit_creation("acme", "");
    assert_int_equal(kit_call(f, &first), FH_OK);
    struct fh_catalog_request second = kit_creation("acme", "");
    assert_int_equal(kit_call(f, &second), FH_EXISTS);
    const uint32_t any = 31u << FH_TENANT_PROVISIONING;
    assert_int_equal(
        kit_advance(f, &first.as.tenant.uuid, any, 0, FH_TENANT_DELETED, false, &tenant), FH_OK);
    struct fh_catalog_request third = kit_creation("acme", "");
    assert_int_equal(kit_call(f, &third), FH_EXISTS);
    assert_int_equal(kit_peek(f, "SELECT count(*) FROM tenants"), 1);
    assert_int_equal(kit_peek(f, "SELECT count(*) FROM placements"), 1);
    assert_int_equal(kit_peek(f, "SELECT count(*) FROM labels"), 2);
}

static void refuses_what_is_out_of_bounds(void **state)
{
    struct kit *f = *state;
    assert_int_equal(kit_add_store(f, "main"), FH_OK);
    const char *const bad[] = {"ab", "1abc", "abc-", "Abc", "a_b", ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct fh_catalog_request request = kit_creation(bad[i], "");
        assert_int_equal(kit_call(f, &request), FH_INVALID);
    }
    struct fh_catalog_request elsewhere = kit_creation("acme", "");
    (void)snprintf(elsewhere.as.tenant.placement.store, FH_STORE_NAME_MAX, "nowhere");
    assert_int_equal(kit_call(f, &elsewhere), FH_PRECONDITION);
    struct fh_catalog_request twice = kit_creation("acme", "");
    twice.as.tenant.labels[1] = twice.as.tenant.labels[0];
    assert_int_equal(kit_call(f, &twice), FH_INVALID);
    /* The failed change left nothing. */
    assert_int_equal(kit_peek(f, "SELECT count(*) FROM tenants"), 0);
    assert_int_equal(kit_peek(f, "SELECT count(*) FROM operator_events"), 1);
    assert_int_equal(kit_add_store(f, "main"), FH_EXISTS);
    assert_int_equal(kit_add_store(f, "Main"), FH_INVALID);
}

static void repeats_a_creation_by_its_request_id(void **state)
{
    struct kit *f = *state;
    assert_int_equal(kit_add_store(f, "main"), FH_OK);
    struct fh_catalog_request first = kit_creation("acme", "id-1");
    struct fh_catalog_request again = kit_creation("acme", "id-1");
    struct fh_catalog_request other = kit_creation("other", "id-1");
    assert_int_equal(kit_call(f, &first), FH_OK);
    assert_int_equal(kit_call(f, &again), FH_OK);
    assert_true(fh_uuid_eq(&again.as.tenant.uuid, &first.as.tenant.uuid));
    assert_int_equal(kit_call(f, &other), FH_REQUEST_ID_REUSED);
    assert_int_equal(kit_peek(f, "SELECT count(*) FROM tenants"), 1);
    assert_int_equal(
        kit_peek(f, "SELECT count(*) FROM operator_events WHERE action='tenant.create'"), 1);
}

static void advances_by_compare_and_set(void **state)
{
    struct kit *f = *state;
    struct fh_tenant tenant;
    assert_int_equal(kit_add_store(f, "main"), FH_OK);
    struct fh_catalog_request made = kit_creation("acme", "");
    assert_int_equal(kit_call(f, &made), FH_OK);
    const struct fh_uuid *uuid = &made.as.tenant.uuid;
    const uint32_t provisioning = 1u << FH_TENANT_PROVISIONING;
    assert_int_equal(kit_advance(f, uuid, provisioning, 1, FH_TENANT_DELETING, true, &tenant),
                     FH_OK);
    assert_int_equal(tenant.placement.generation, 2);
    assert_int_equal(tenant.state, FH_TENANT_DELETING);
    /* The one who slept: its generation is gone, and so is the state. */
    assert_int_equal(kit_advance(f, uuid, provisioning, 1, FH_TENANT_ACTIVE, false, &tenant),
                     FH_PRECONDITION);
    assert_int_equal(tenant.state, FH_TENANT_DELETING);
    assert_int_equal(tenant.placement.generation, 2);
    assert_int_equal(
        kit_advance(f, uuid, 1u << FH_TENANT_DELETING, 1, FH_TENANT_DELETED, false, &tenant),
        FH_PRECONDITION);
    assert_int_equal(
        kit_advance(f, uuid, 1u << FH_TENANT_DELETING, 2, FH_TENANT_DELETED, false, &tenant),
        FH_OK);
    struct fh_uuid nobody = fh_uuid_v7(2);
    assert_int_equal(kit_advance(f, &nobody, provisioning, 0, FH_TENANT_ACTIVE, false, &tenant),
                     FH_NO_TENANT);
    assert_int_equal(
        kit_peek(f, "SELECT count(*) FROM operator_events WHERE action='tenant.state'"), 2);
}

static void lists_in_pages(void **state)
{
    struct kit *f = *state;
    struct fh_tenant tenant;
    char slug[32];
    assert_int_equal(kit_add_store(f, "main"), FH_OK);
    for (int i = 0; i < 5; i++) {
        (void)snprintf(slug, sizeof(slug), "tenant-%d", i);
        struct fh_catalog_request made = kit_creation(slug, "");
        made.as.tenant.uuid.bytes[0] = (uint8_t)(i + 1);
        assert_int_equal(kit_call(f, &made), FH_OK);
        if (i % 2 == 0) {
            assert_int_equal(kit_advance(f, &made.as.tenant.uuid, 1u << FH_TENANT_PROVISIONING, 1,
                                         i == 4 ? FH_TENANT_DELETED : FH_TENANT_ACTIVE, false,
                                         &tenant),
                             FH_OK);
        }
    }
    struct fh_catalog_request page = {.op = FH_CATALOG_TENANT_LIST};
    page.as.list.limit = 3;
    assert_int_equal(kit_call(f, &page), FH_OK);
    assert_int_equal(page.as.list.count, 3);
    assert_true(page.as.list.more);
    assert_int_equal(page.as.list.tenants[2].label_count, 2);
    struct fh_uuid last = page.as.list.tenants[2].uuid;
    page = (struct fh_catalog_request){.op = FH_CATALOG_TENANT_LIST};
    page.as.list.limit = 3;
    page.as.list.after = last;
    assert_int_equal(kit_call(f, &page), FH_OK);
    assert_int_equal(page.as.list.count, 1); /* the deleted one is not shown */
    assert_false(page.as.list.more);

    page = (struct fh_catalog_request){.op = FH_CATALOG_TENANT_LIST};
    page.as.list.limit = 10;
    page.as.list.states = 1u << FH_TENANT_PROVISIONING | 1u << FH_TENANT_DELETING;
    assert_int_equal(kit_call(f, &page), FH_OK);
    assert_int_equal(page.as.list.count, 2);
    page.as.list.updated_before_us = 1;
    assert_int_equal(kit_call(f, &page), FH_OK);
    assert_int_equal(page.as.list.count, 0);
    page.as.list.limit = 0;
    assert_int_equal(kit_call(f, &page), FH_INVALID);
}

static void groups_writes_and_isolates_failures(void **state)
{
    struct kit *f = *state;
    static struct fh_catalog_request requests[100];
    static char slugs[100][32];
    assert_int_equal(kit_add_store(f, "main"), FH_OK);
    for (size_t i = 0; i < 100; i++) {
        /* Every tenth asks for a slug that its predecessor takes in the same group. */
        (void)snprintf(slugs[i], sizeof(slugs[i]), "tenant-%zu", i % 10 == 9 ? i - 1 : i);
        requests[i] = kit_creation(slugs[i], "");
        kit_prepare(f, &requests[i]);
        f->pending++;
        assert_int_equal(fh_catalog_submit(f->catalog, &requests[i]), FH_OK);
    }
    while (f->pending > 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(requests[i].code, i % 10 == 9 ? FH_EXISTS : FH_OK);
    }
    assert_int_equal(kit_peek(f, "SELECT count(*) FROM tenants"), 90);
}

static void keeps_migrations_in_a_row(void **state)
{
    struct kit *f = *state;
    struct fh_catalog_request add = {.op = FH_CATALOG_MIGRATION_ADD};
    add.as.migration = (struct fh_migration_record){
        .version = 2, .name = FH_STR("0002_b.sql"), .sql = FH_STR("create table b(id int)")};
    assert_int_equal(kit_call(f, &add), FH_CONFLICT);
    add.as.migration.version = 1;
    memset(add.as.migration.checksum, 7, 32);
    assert_int_equal(kit_call(f, &add), FH_OK);
    assert_true(add.as.migration.applied_at_us > 0);
    assert_int_equal(kit_call(f, &add), FH_CONFLICT);
    add.as.migration.version = 2; /* the same name again */
    assert_int_equal(kit_call(f, &add), FH_CONFLICT);
    struct fh_catalog_request list = {.op = FH_CATALOG_MIGRATION_LIST};
    assert_int_equal(kit_call(f, &list), FH_OK);
    assert_int_equal(list.as.migrations.count, 1);
    assert_int_equal(list.as.migrations.migrations[0].checksum[31], 7);
    assert_true(fh_str_eq(list.as.migrations.migrations[0].sql, add.as.migration.sql));
}

static void makes_one_page_key(void **state)
{
    struct kit *f = *state;
    struct fh_catalog_request first = {.op = FH_CATALOG_PAGE_KEYS};
    struct fh_catalog_request second = {.op = FH_CATALOG_PAGE_KEYS};
    uint8_t zero[32] = {0};
    assert_int_equal(kit_call(f, &first), FH_OK);
    assert_int_equal(kit_call(f, &second), FH_OK);
    assert_int_equal(first.as.page_keys.count, 1);
    assert_int_equal(second.as.page_keys.count, 1);
    assert_memory_equal(first.as.page_keys.keys[0].key, second.as.page_keys.keys[0].key, 32);
    assert_memory_not_equal(first.as.page_keys.keys[0].key, zero, 32);
}

static void lists_stores_by_name(void **state)
{
    struct kit *f = *state;
    assert_int_equal(kit_add_store(f, "zeta"), FH_OK);
    assert_int_equal(kit_add_store(f, "alpha"), FH_OK);
    struct fh_catalog_request list = {.op = FH_CATALOG_STORE_LIST};
    assert_int_equal(kit_call(f, &list), FH_OK);
    assert_int_equal(list.as.stores.count, 2);
    assert_string_equal(list.as.stores.stores[0].name, "alpha");
    assert_true(fh_str_eq(list.as.stores.stores[1].region, FH_STR("eu")));
}

static void refuses_late_and_closing(void **state)
{
    struct kit *f = *state;
    struct fh_catalog_request late = {.op = FH_CATALOG_STORE_LIST, .deadline_us = 1};
    assert_int_equal(kit_call(f, &late), FH_DEADLINE);
    struct fh_catalog_request queued = {.op = FH_CATALOG_STORE_LIST};
    kit_prepare(f, &queued);
    f->pending++;
    assert_int_equal(fh_catalog_submit(f->catalog, &queued), FH_OK);
    f->closed = false;
    fh_catalog_close(f->catalog, kit_closed_cb, f);
    struct fh_catalog_request refused = {.op = FH_CATALOG_STORE_LIST};
    kit_prepare(f, &refused);
    assert_int_equal(fh_catalog_submit(f->catalog, &refused), FH_SHUTTING_DOWN);
    while (!f->closed) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_int_equal(f->pending, 0); /* what was taken was answered */
    assert_int_equal(queued.code, FH_OK);
    f->catalog = NULL;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keeps_tenants_over_reopening),
        TEST(never_gives_a_slug_twice),
        TEST(refuses_what_is_out_of_bounds),
        TEST(repeats_a_creation_by_its_request_id),
        TEST(advances_by_compare_and_set),
        TEST(lists_in_pages),
        TEST(groups_writes_and_isolates_failures),
        TEST(keeps_migrations_in_a_row),
        TEST(makes_one_page_key),
        TEST(lists_stores_by_name),
        TEST(refuses_late_and_closing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
