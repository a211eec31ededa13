/* Tenants: what is kept, what is refused, what changes by comparison. */
#include <stdio.h>

#include "tests/conformance/catalog/suite.h"

#define ANY_STATE (31u << FH_TENANT_PROVISIONING)
#define BIT(state) (1u << (state))

static size_t tenant_count(struct catalog_suite *s)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_TENANT_LIST};
    request.as.list.limit = FH_PAGE_MAX;
    request.as.list.states = ANY_STATE;
    assert_code(catalog_run(s, &request), FH_OK);
    assert_false(request.as.list.more);
    return request.as.list.count;
}

static void assert_tenant(const struct fh_tenant *tenant, const struct fh_tenant *made)
{
    assert_true(fh_uuid_eq(&tenant->uuid, &made->uuid));
    assert_true(fh_str_eq(tenant->slug, made->slug));
    assert_true(fh_str_eq(tenant->display_name, FH_STR("A tenant")));
    assert_true(fh_str_eq(tenant->plan, FH_STR("free")));
    assert_int_equal(tenant->label_count, 2); /* by key */
    assert_true(fh_str_eq(tenant->labels[0].key, FH_STR("a")));
    assert_true(fh_str_eq(tenant->labels[0].value, FH_STR("1")));
    assert_true(fh_str_eq(tenant->labels[1].key, FH_STR("b")));
    assert_string_equal(tenant->placement.store, "north");
    assert_string_equal(tenant->placement.home.name, FH_HOME_SHARED);
    assert_int_equal(tenant->placement.home.tier, FH_TIER_SHARED);
    assert_int_equal(tenant->placement.epoch, 1);
    assert_int_equal(tenant->placement.generation, 1);
    assert_true(tenant->created_at_us > 0);
    assert_int_equal(tenant->updated_at_us, tenant->created_at_us);
}

static void keeps_tenants_over_reopening(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_catalog_request made = catalog_creation(s, "crane", "");
    assert_code(catalog_run(s, &made), FH_OK);
    assert_int_equal(made.as.tenant.state, FH_TENANT_PROVISIONING);
    assert_tenant(&made.as.tenant, &made.as.tenant);
    catalog_reopen(s);

    struct fh_catalog_request got = {.op = FH_CATALOG_TENANT_GET};
    got.as.get.slug = FH_STR("crane");
    assert_code(catalog_run(s, &got), FH_OK);
    assert_tenant(&got.as.get.tenant, &made.as.tenant);
    struct fh_tenant by_uuid = catalog_tenant(s, &made.as.tenant.uuid);
    assert_tenant(&by_uuid, &made.as.tenant);

    struct fh_catalog_request unknown = {.op = FH_CATALOG_TENANT_GET};
    unknown.as.get.uuid = catalog_uuid(s);
    assert_code(catalog_run(s, &unknown), FH_NO_TENANT);
    unknown = (struct fh_catalog_request){.op = FH_CATALOG_TENANT_GET};
    unknown.as.get.slug = FH_STR("nobody");
    assert_code(catalog_run(s, &unknown), FH_NO_TENANT);
    unknown.as.get.slug = FH_STR("No Slug");
    assert_code(catalog_run(s, &unknown), FH_NO_TENANT);
}

static void keeps_every_kind_of_text(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_catalog_request made = catalog_creation(s, "crane", "");
    made.as.tenant.display_name = FH_STR("O'Neil \\ \"x\" \xF0\x9F\x8F\x97 $1 {a,b}\n");
    made.as.tenant.plan = FH_STR("");
    struct fh_label label = {FH_STR("k'\\\""), FH_STR("")};
    made.as.tenant.labels = &label;
    made.as.tenant.label_count = 1;
    assert_code(catalog_run(s, &made), FH_OK);
    struct fh_tenant got = catalog_tenant(s, &made.as.tenant.uuid);
    assert_true(fh_str_eq(got.display_name, FH_STR("O'Neil \\ \"x\" \xF0\x9F\x8F\x97 $1 {a,b}\n")));
    assert_int_equal(got.plan.len, 0);
    assert_int_equal(got.label_count, 1);
    assert_true(fh_str_eq(got.labels[0].key, FH_STR("k'\\\"")));
    assert_int_equal(got.labels[0].value.len, 0);
    struct fh_catalog_request bare = catalog_creation(s, "bare", "");
    bare.as.tenant.label_count = 0;
    assert_code(catalog_run(s, &bare), FH_OK);
    assert_int_equal(catalog_tenant(s, &bare.as.tenant.uuid).label_count, 0);
}

static void never_gives_a_slug_twice(void **state)
{
    struct catalog_suite *s = *state;
    size_t before = tenant_count(s);
    struct fh_catalog_request second = catalog_creation(s, "acme", "");
    assert_code(catalog_run(s, &second), FH_EXISTS);
    assert_string_equal(second.error.field, "slug");
    assert_code(catalog_advance(s, &s->a, ANY_STATE, 0, FH_TENANT_DELETED, false, NULL), FH_OK);
    struct fh_catalog_request third = catalog_creation(s, "acme", "");
    assert_code(catalog_run(s, &third), FH_EXISTS);
    assert_int_equal(tenant_count(s), before);
}

static void refuses_what_is_out_of_bounds(void **state)
{
    struct catalog_suite *s = *state;
    size_t before = tenant_count(s);
    const char *const bad[] = {"ab", "1abc", "abc-", "Abc", "a_b", ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct fh_catalog_request request = catalog_creation(s, bad[i], "");
        assert_code(catalog_run(s, &request), FH_INVALID);
    }
    struct fh_catalog_request elsewhere = catalog_creation(s, "crane", "");
    (void)snprintf(elsewhere.as.tenant.placement.store, FH_STORE_NAME_MAX, "nowhere");
    assert_code(catalog_run(s, &elsewhere), FH_PRECONDITION);
    struct fh_catalog_request twice = catalog_creation(s, "crane", "");
    struct fh_label same[2] = {{FH_STR("a"), FH_STR("1")}, {FH_STR("a"), FH_STR("2")}};
    twice.as.tenant.labels = same;
    assert_code(catalog_run(s, &twice), FH_INVALID);
    assert_int_equal(tenant_count(s), before); /* the failed change left nothing */
    struct fh_catalog_request after = catalog_creation(s, "crane", "");
    assert_code(catalog_run(s, &after), FH_OK);
}

static void repeats_a_creation_by_its_request_id(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_catalog_request first = catalog_creation(s, "crane", "id-1");
    struct fh_catalog_request again = catalog_creation(s, "crane", "id-1");
    struct fh_catalog_request other = catalog_creation(s, "other", "id-1");
    assert_code(catalog_run(s, &first), FH_OK);
    assert_code(
        catalog_advance(s, &first.as.tenant.uuid, ANY_STATE, 0, FH_TENANT_ACTIVE, false, NULL),
        FH_OK);
    assert_code(catalog_run(s, &again), FH_OK);
    assert_true(fh_uuid_eq(&again.as.tenant.uuid, &first.as.tenant.uuid));
    assert_int_equal(again.as.tenant.state, FH_TENANT_ACTIVE);
    assert_code(catalog_run(s, &other), FH_REQUEST_ID_REUSED);
    assert_int_equal(tenant_count(s), 3);
}

static void advances_by_compare_and_set(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_tenant tenant;
    struct fh_catalog_request made = catalog_creation(s, "crane", "");
    assert_code(catalog_run(s, &made), FH_OK);
    const struct fh_uuid *uuid = &made.as.tenant.uuid;
    const uint32_t provisioning = BIT(FH_TENANT_PROVISIONING);
    fh_clock_virtual_advance(&s->clock, 5000);
    catalog_forget_hints(s);
    assert_code(catalog_advance(s, uuid, provisioning, 1, FH_TENANT_DELETING, true, &tenant),
                FH_OK);
    catalog_assert_told(s, FH_CATALOG_HINT_TENANT, uuid);
    assert_int_equal(tenant.placement.generation, 2);
    assert_int_equal(tenant.state, FH_TENANT_DELETING);
    assert_int_equal(catalog_tenant(s, uuid).placement.generation, 2);
    assert_true(catalog_tenant(s, uuid).updated_at_us > made.as.tenant.updated_at_us);
    /* The one who slept: its generation is gone, and so is the state. */
    catalog_forget_hints(s);
    assert_code(catalog_advance(s, uuid, provisioning, 1, FH_TENANT_ACTIVE, false, &tenant),
                FH_PRECONDITION);
    assert_int_equal(tenant.state, FH_TENANT_DELETING);
    assert_int_equal(tenant.placement.generation, 2);
    const uint32_t deleting = BIT(FH_TENANT_DELETING);
    assert_code(catalog_advance(s, uuid, deleting, 1, FH_TENANT_DELETED, false, &tenant),
                FH_PRECONDITION);
    assert_code(catalog_advance(s, uuid, deleting, 3, FH_TENANT_DELETED, false, &tenant),
                FH_PRECONDITION);
    struct fh_uuid nobody = catalog_uuid(s);
    assert_code(catalog_advance(s, &nobody, provisioning, 0, FH_TENANT_ACTIVE, false, &tenant),
                FH_NO_TENANT);
    catalog_assert_silent(s); /* nothing changed */
    assert_code(catalog_advance(s, uuid, deleting, 2, FH_TENANT_DELETED, false, &tenant), FH_OK);
    assert_int_equal(catalog_tenant(s, uuid).state, FH_TENANT_DELETED);
    assert_int_equal(catalog_tenant(s, uuid).placement.generation, 2);
}

static void lists_in_pages(void **state)
{
    struct catalog_suite *s = *state;
    char slug[32];
    assert_code(catalog_add_store(s, "north"), FH_OK);
    for (int i = 0; i < 5; i++) {
        (void)snprintf(slug, sizeof(slug), "tenant-%d", i);
        struct fh_catalog_request made = catalog_creation(s, slug, "");
        assert_code(catalog_run(s, &made), FH_OK);
        if (i % 2 == 0) {
            assert_code(catalog_advance(s, &made.as.tenant.uuid, ANY_STATE, 1,
                                        i == 4 ? FH_TENANT_DELETED : FH_TENANT_ACTIVE, false, NULL),
                        FH_OK);
        }
    }
    struct fh_catalog_request page = {.op = FH_CATALOG_TENANT_LIST};
    page.as.list.limit = 3;
    assert_code(catalog_run(s, &page), FH_OK);
    assert_int_equal(page.as.list.count, 3);
    assert_true(page.as.list.more);
    assert_int_equal(page.as.list.tenants[2].label_count, 2);
    for (size_t i = 1; i < 3; i++) {
        assert_true(memcmp(page.as.list.tenants[i - 1].uuid.bytes,
                           page.as.list.tenants[i].uuid.bytes, 16) < 0);
    }
    struct fh_uuid last = page.as.list.tenants[2].uuid;
    page = (struct fh_catalog_request){.op = FH_CATALOG_TENANT_LIST};
    page.as.list.limit = 3;
    page.as.list.after = last;
    assert_code(catalog_run(s, &page), FH_OK);
    assert_int_equal(page.as.list.count, 1); /* the deleted one is not shown */
    assert_false(page.as.list.more);

    page = (struct fh_catalog_request){.op = FH_CATALOG_TENANT_LIST};
    page.as.list.limit = 10;
    page.as.list.states = BIT(FH_TENANT_PROVISIONING) | BIT(FH_TENANT_DELETING);
    assert_code(catalog_run(s, &page), FH_OK);
    assert_int_equal(page.as.list.count, 2);
    page.as.list.updated_before_us = page.as.list.tenants[1].updated_at_us;
    assert_code(catalog_run(s, &page), FH_OK);
    assert_int_equal(page.as.list.count, 1); /* strictly before */
    page.as.list.updated_before_us = 0;
    page.as.list.states = BIT(FH_TENANT_DELETED);
    assert_code(catalog_run(s, &page), FH_OK);
    assert_int_equal(page.as.list.count, 1);
    page.as.list.limit = 0;
    assert_code(catalog_run(s, &page), FH_INVALID);
    page.as.list.limit = FH_PAGE_MAX + 1;
    assert_code(catalog_run(s, &page), FH_INVALID);
}

static struct fh_catalog_request batch[100];
static size_t batch_pending;

static void batch_done_cb(struct fh_catalog_request *request)
{
    assert_true(batch_pending > 0);
    batch_pending--;
    if (batch_pending == 0) {
        *(bool *)request->arg = true;
    }
}

static void isolates_the_failures_of_neighbours(void **state)
{
    struct catalog_suite *s = *state;
    static char slugs[100][32];
    bool done = false;
    batch_pending = 100;
    for (size_t i = 0; i < 100; i++) {
        /* Every tenth asks for a slug that its predecessor takes, perhaps in one group. */
        (void)snprintf(slugs[i], sizeof(slugs[i]), "tenant-%zu", i % 10 == 9 ? i - 1 : i);
        batch[i] = catalog_creation(s, slugs[i], "");
        catalog_prepare(s, &batch[i]);
        batch[i].done_cb = batch_done_cb;
        batch[i].arg = &done;
    }
    for (size_t i = 0; i < 100; i++) {
        assert_code(fh_catalog_submit(s->catalog, &batch[i]), FH_OK);
    }
    catalog_wait(s, &done);
    for (size_t i = 0; i < 100; i++) {
        if (i % 10 < 8) {
            assert_code(batch[i].code, FH_OK);
        } else if (i % 10 == 9) { /* one of the two, in whatever order they ran */
            assert_true((batch[i].code == FH_EXISTS && batch[i - 1].code == FH_OK) ||
                        (batch[i].code == FH_OK && batch[i - 1].code == FH_EXISTS));
        }
    }
    assert_int_equal(tenant_count(s), 92);
}

static void shows_one_handle_what_another_changed(void **state)
{
    struct catalog_suite *s = *state;
    s->second = catalog_open(s);
    struct fh_catalog_request made = catalog_creation(s, "crane", "id-1");
    assert_code(catalog_run_on(s, s->second, &made), FH_OK);
    assert_int_equal(catalog_tenant(s, &made.as.tenant.uuid).state, FH_TENANT_PROVISIONING);
    struct fh_catalog_request again = catalog_creation(s, "crane", "id-1");
    assert_code(catalog_run(s, &again), FH_OK);
    assert_true(fh_uuid_eq(&again.as.tenant.uuid, &made.as.tenant.uuid));
}

static const struct CMUnitTest tests[] = {
    CATALOG_WORLD_TEST(keeps_tenants_over_reopening),
    CATALOG_WORLD_TEST(keeps_every_kind_of_text),
    CATALOG_WORLD_TEST(never_gives_a_slug_twice),
    CATALOG_WORLD_TEST(refuses_what_is_out_of_bounds),
    CATALOG_WORLD_TEST(repeats_a_creation_by_its_request_id),
    CATALOG_WORLD_TEST(advances_by_compare_and_set),
    CATALOG_TEST(lists_in_pages),
    CATALOG_WORLD_TEST(isolates_the_failures_of_neighbours),
    CATALOG_WORLD_TEST(shows_one_handle_what_another_changed),
};

CATALOG_PART(catalog_part_tenants, tests)
