/* Stores, migrations, page keys, and the contract of every request. */
#include "tests/conformance/catalog/suite.h"

#include "router/catalog.h"

static void lists_stores_by_name(void **state)
{
    struct catalog_suite *s = *state;
    const struct fh_uuid nil = {0};
    assert_code(catalog_add_store(s, "zeta"), FH_OK);
    catalog_assert_told(s, FH_CATALOG_HINT_STORES, &nil);
    assert_code(catalog_add_store(s, "alpha"), FH_OK);
    assert_code(catalog_add_store(s, "west"), FH_OK);
    assert_code(catalog_add_store(s, "zeta"), FH_EXISTS);
    assert_code(catalog_add_store(s, "Zeta"), FH_INVALID);
    catalog_reopen(s);
    struct fh_catalog_request list = {.op = FH_CATALOG_STORE_LIST};
    assert_code(catalog_run(s, &list), FH_OK);
    assert_int_equal(list.as.stores.count, 3);
    const struct fh_store_record *stores = list.as.stores.stores;
    assert_string_equal(stores[0].name, "alpha");
    assert_string_equal(stores[1].name, "west");
    assert_string_equal(stores[2].name, "zeta");
    assert_true(fh_str_eq(stores[0].engine, FH_STR("sqlite")));
    assert_true(fh_str_eq(stores[0].location, FH_STR("somewhere")));
    assert_true(fh_str_eq(stores[0].owner_location, FH_STR("as-owner")));
    assert_true(fh_str_eq(stores[0].region, FH_STR("eu")));
    assert_false(stores[0].may_lose_writes);
    assert_true(stores[1].may_lose_writes);
    assert_true(stores[0].created_at_us > 0);
}

static void keeps_migrations_in_a_row(void **state)
{
    struct catalog_suite *s = *state;
    const struct fh_uuid nil = {0};
    struct fh_catalog_request add = {.op = FH_CATALOG_MIGRATION_ADD};
    add.as.migration = (struct fh_migration_record){
        .version = 2, .name = FH_STR("0002_b.sql"), .sql = FH_STR("create table b(id int)")};
    assert_code(catalog_run(s, &add), FH_CONFLICT);
    catalog_assert_silent(s);
    add.as.migration.version = 1;
    memset(add.as.migration.checksum, 7, 32);
    assert_code(catalog_run(s, &add), FH_OK);
    catalog_assert_told(s, FH_CATALOG_HINT_SCHEMA, &nil);
    assert_true(add.as.migration.applied_at_us > 0);
    assert_code(catalog_run(s, &add), FH_CONFLICT);
    add.as.migration.version = 2; /* the same name again */
    assert_code(catalog_run(s, &add), FH_CONFLICT);
    catalog_reopen(s);
    struct fh_catalog_request list = {.op = FH_CATALOG_MIGRATION_LIST};
    assert_code(catalog_run(s, &list), FH_OK);
    assert_int_equal(list.as.migrations.count, 1);
    assert_int_equal(list.as.migrations.migrations[0].version, 1);
    assert_int_equal(list.as.migrations.migrations[0].checksum[31], 7);
    assert_true(fh_str_eq(list.as.migrations.migrations[0].name, FH_STR("0002_b.sql")));
    assert_true(fh_str_eq(list.as.migrations.migrations[0].sql, add.as.migration.sql));
}

static void makes_one_page_key(void **state)
{
    struct catalog_suite *s = *state;
    const uint8_t zero[32] = {0};
    struct fh_catalog_request first = {.op = FH_CATALOG_PAGE_KEYS};
    struct fh_catalog_request second = {.op = FH_CATALOG_PAGE_KEYS};
    assert_code(catalog_run(s, &first), FH_OK);
    catalog_reopen(s);
    s->second = catalog_open(s);
    assert_code(catalog_run_on(s, s->second, &second), FH_OK);
    assert_int_equal(first.as.page_keys.count, 1);
    assert_int_equal(second.as.page_keys.count, 1);
    assert_int_equal(first.as.page_keys.keys[0].id, second.as.page_keys.keys[0].id);
    assert_memory_equal(first.as.page_keys.keys[0].key, second.as.page_keys.keys[0].key, 32);
    assert_memory_not_equal(first.as.page_keys.keys[0].key, zero, 32);
}

static void queued_done_cb(struct fh_catalog_request *request)
{
    *(bool *)request->arg = true;
}

static void closed_cb(void *arg)
{
    *(bool *)arg = true;
}

static void refuses_late_and_closing(void **state)
{
    struct catalog_suite *s = *state;
    fh_clock_virtual_advance(&s->clock, 1000);
    struct fh_catalog_request late = {.op = FH_CATALOG_STORE_LIST,
                                      .deadline_us = s->clock.monotonic_us};
    assert_code(catalog_run(s, &late), FH_DEADLINE);

    bool answered = false;
    bool closed = false;
    struct fh_catalog *leaving = catalog_open(s);
    struct fh_catalog_request queued = {.op = FH_CATALOG_STORE_LIST};
    catalog_prepare(s, &queued);
    queued.done_cb = queued_done_cb;
    queued.arg = &answered;
    assert_code(fh_catalog_submit(leaving, &queued), FH_OK);
    fh_catalog_close(leaving, closed_cb, &closed);
    struct fh_catalog_request refused = {.op = FH_CATALOG_STORE_LIST};
    catalog_prepare(s, &refused);
    refused.done_cb = queued_done_cb;
    refused.arg = &answered;
    assert_code(fh_catalog_submit(leaving, &refused), FH_SHUTTING_DOWN);
    assert_false(closed);
    catalog_wait(s, &closed);
    assert_true(answered); /* what was taken was answered */
    assert_true(queued.code == FH_OK || queued.code == FH_SHUTTING_DOWN);
}

static void says_when_the_answer_is_too_large(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_arena small;
    bool done = false;
    fh_arena_init(&small, 64);
    struct fh_catalog_request list = {.op = FH_CATALOG_TENANT_LIST};
    list.as.list.limit = 10;
    catalog_prepare(s, &list);
    list.arena = &small;
    list.done_cb = queued_done_cb;
    list.arg = &done;
    enum fh_code code = fh_catalog_submit(s->catalog, &list);
    assert_code(code, FH_OK);
    catalog_wait(s, &done);
    fh_arena_close(&small);
    assert_code(list.code, FH_TOO_LARGE);
}

static const struct CMUnitTest tests[] = {
    CATALOG_TEST(lists_stores_by_name),
    CATALOG_TEST(keeps_migrations_in_a_row),
    CATALOG_TEST(makes_one_page_key),
    CATALOG_WORLD_TEST(refuses_late_and_closing),
    CATALOG_WORLD_TEST(says_when_the_answer_is_too_large),
};

CATALOG_PART(catalog_part_records, tests)
