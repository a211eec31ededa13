/* Schema changes of homes in files of their own, beside other writes: whom they keep waiting, and
 * whom not. A change is held up by another connection that has its file's lock. */
#include <sqlite3.h>
#include <stdio.h>

#include "tests/unit/stores_sqlite/tiers.h"

#define PATIENCE_MS 20000 /* of a change: how long a test takes that fails */
#define OTHERS 8          /* more than there are lanes */

/* All of one lane, and of one directory. */
static struct fh_uuid neighbour(int number)
{
    return tier_tenant(number * 256 + 4);
}

static sqlite3 *lock_file(const struct fixture *f, const struct fh_uuid *tenant)
{
    char path[256];
    sqlite3 *db = NULL;
    tier_path(f, tenant, path);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static void unlock_file(sqlite3 *db)
{
    assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static struct fh_request change_of(struct fixture *f, const struct fh_uuid *tenant)
{
    struct fh_request request = tier_request(f, FH_OP_SCHEMA_APPLY, FH_TIER_DATABASE, tenant);
    request.as.schema.target = &fixture_v2;
    request.as.schema.guard =
        (struct fh_fence_guard){.generation = 1, .modes = FH_FENCE_BIT(FH_FENCE_OPEN)};
    request.as.schema.lock_timeout_ms = PATIENCE_MS;
    fixture_detach(f, &request);
    return request;
}

static struct fh_request put_of(struct fixture *f, const struct fh_uuid *tenant,
                                enum fh_write_op op, const struct fh_schema *schema)
{
    struct fh_key key = fixture_item(1);
    key.table = schema->tables[0];
    struct fh_request request = fixture_commit(f, tenant, fixture_write(f, op, key, "n", NULL));
    fh_home_of(FH_TIER_DATABASE, tenant, &request.scope.home);
    request.scope.schema = schema;
    fixture_detach(f, &request);
    return request;
}

static void test_other_homes_do_not_wait(void **state)
{
    struct fixture *f = *state;
    struct fh_uuid slow = neighbour(0);
    bool done = false;
    bool found = false;
    for (int i = 0; i <= OTHERS; i++) {
        struct fh_uuid tenant = neighbour(i);
        assert_code(tier_create(f, FH_TIER_DATABASE, &tenant, 1), FH_OK);
    }
    assert_code(tier_put(f, FH_TIER_DATABASE, &slow, 1), FH_OK);
    sqlite3 *lock = lock_file(f, &slow);
    struct fh_request change = change_of(f, &slow);
    assert_code(fixture_submit(f, &change, &done), FH_OK);
    for (int i = 1; i <= OTHERS; i++) {
        struct fh_uuid tenant = neighbour(i);
        assert_code(tier_put(f, FH_TIER_DATABASE, &tenant, 1), FH_OK);
    }
    assert_code(tier_get(f, FH_TIER_DATABASE, &slow, 1, &found), FH_OK);
    assert_true(found);
    assert_false(done);
    unlock_file(lock);
    fixture_wait(f, &done);
    assert_code(change.code, FH_OK);
}

/* A change is told when it is done, whatever changes are behind it. */
static void test_changes_end_one_by_one(void **state)
{
    struct fixture *f = *state;
    struct fh_request changes[3];
    bool done[3] = {false};
    struct fh_uuid tenants[3];
    for (int i = 0; i < 3; i++) {
        tenants[i] = neighbour(i);
        assert_code(tier_create(f, FH_TIER_DATABASE, &tenants[i], 1), FH_OK);
        changes[i] = change_of(f, &tenants[i]);
    }
    sqlite3 *lock = lock_file(f, &tenants[2]);
    for (int i = 0; i < 3; i++) {
        assert_code(fixture_submit(f, &changes[i], &done[i]), FH_OK);
    }
    fixture_wait(f, &done[1]);
    assert_true(done[0]);
    assert_false(done[2]);
    unlock_file(lock);
    fixture_wait(f, &done[2]);
    for (int i = 0; i < 3; i++) {
        assert_code(changes[i].code, FH_OK);
    }
}

static void test_writes_do_not_keep_a_change_waiting(void **state)
{
    struct fixture *f = *state;
    struct fh_uuid changed = neighbour(0);
    struct fh_uuid busy = neighbour(1);
    bool done = false;
    assert_code(tier_create(f, FH_TIER_DATABASE, &changed, 1), FH_OK);
    assert_code(tier_create(f, FH_TIER_DATABASE, &busy, 1), FH_OK);
    struct fh_request change = change_of(f, &changed);
    struct fh_request writes[2];
    bool written[2];
    assert_code(fixture_submit(f, &change, &done), FH_OK);
    for (size_t n = 0; n < 2; n++) {
        writes[n] = put_of(f, &busy, FH_WRITE_UPSERT, &fixture_v1);
        assert_code(fixture_submit(f, &writes[n], &written[n]), FH_OK);
    }
    size_t i = 0;
    while (!done) { /* one always waits in the lane */
        fixture_wait(f, &written[i]);
        assert_code(writes[i].code, FH_OK);
        if (!done) {
            assert_code(fixture_submit(f, &writes[i], &written[i]), FH_OK);
        }
        i = 1 - i;
    }
    fixture_wait(f, &written[0]);
    fixture_wait(f, &written[1]);
    assert_code(change.code, FH_OK);
}

/* The home's own requests keep their order, also around its changes. */
static void test_own_writes_follow(void **state)
{
    struct fixture *f = *state;
    struct fh_uuid tenant = neighbour(0);
    bool done[5] = {false};
    assert_code(tier_create(f, FH_TIER_DATABASE, &tenant, 1), FH_OK);
    sqlite3 *lock = lock_file(f, &tenant);
    struct fh_request requests[5] = {
        change_of(f, &tenant),
        put_of(f, &tenant, FH_WRITE_INSERT, &fixture_v1), /* late by a version */
        put_of(f, &tenant, FH_WRITE_INSERT, &fixture_v2),
        change_of(f, &tenant),
        put_of(f, &tenant, FH_WRITE_INSERT, &fixture_v2), /* the key is taken */
    };
    static const enum fh_code expected[5] = {FH_OK, FH_STALE_SCHEMA, FH_OK, FH_OK, FH_EXISTS};
    for (int i = 0; i < 5; i++) {
        assert_code(fixture_submit(f, &requests[i], &done[i]), FH_OK);
    }
    unlock_file(lock);
    for (int i = 0; i < 5; i++) {
        fixture_wait(f, &done[i]);
        assert_code(requests[i].code, expected[i]);
    }
}

static void closed_cb(void *arg)
{
    *(bool *)arg = true;
}

static void test_closing_ends_what_waits(void **state)
{
    struct fixture *f = *state;
    struct fh_uuid tenant = neighbour(0);
    bool done[3] = {false};
    bool closed = false;
    assert_code(tier_create(f, FH_TIER_DATABASE, &tenant, 1), FH_OK);
    sqlite3 *lock = lock_file(f, &tenant);
    struct fh_request requests[3] = {change_of(f, &tenant),
                                     put_of(f, &tenant, FH_WRITE_INSERT, &fixture_v2),
                                     change_of(f, &tenant)};
    static const enum fh_code expected[3] = {FH_OK, FH_SHUTTING_DOWN, FH_SHUTTING_DOWN};
    for (int i = 0; i < 3; i++) {
        assert_code(fixture_submit(f, &requests[i], &done[i]), FH_OK);
    }
    fh_store_close(f->store, closed_cb, &closed);
    f->store = NULL;
    unlock_file(lock);
    fixture_wait(f, &closed);
    for (int i = 0; i < 3; i++) {
        assert_true(done[i]);
        assert_code(requests[i].code, expected[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_other_homes_do_not_wait, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_changes_end_one_by_one, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_writes_do_not_keep_a_change_waiting, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_own_writes_follow, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_closing_ends_what_waits, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
