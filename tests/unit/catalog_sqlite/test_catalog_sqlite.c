/* The embedded catalog: what is its own. What every catalog does is in tests/conformance/catalog.
 */
#include "router/catalog_sqlite/catalog_sqlite.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "tests/unit/catalog_sqlite/kit.h"

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

static void leaves_nothing_of_a_refused_change(void **state)
{
    struct kit *f = *state;
    assert_int_equal(kit_add_store(f, "main"), FH_OK);
    struct fh_catalog_request twice = kit_creation("acme", "");
    twice.as.tenant.labels[1] = twice.as.tenant.labels[0];
    assert_int_equal(kit_call(f, &twice), FH_INVALID);
    assert_int_equal(kit_peek(f, "SELECT count(*) FROM tenants"), 0);
    assert_int_equal(kit_peek(f, "SELECT count(*) FROM placements"), 0);
    assert_int_equal(kit_peek(f, "SELECT count(*) FROM labels"), 0);
    assert_int_equal(kit_peek(f, "SELECT count(*) FROM operator_events"), 1); /* the store's */
}

static struct fh_uuid active_tenant(struct kit *f)
{
    struct fh_tenant tenant;
    assert_int_equal(kit_add_store(f, "main"), FH_OK);
    assert_int_equal(kit_add_store(f, "south"), FH_OK);
    assert_int_equal(kit_add_store(f, "west"), FH_OK);
    struct fh_catalog_request made = kit_creation("acme", "");
    assert_int_equal(kit_call(f, &made), FH_OK);
    assert_int_equal(kit_advance(f, &made.as.tenant.uuid, 1u << FH_TENANT_PROVISIONING, 0,
                                 FH_TENANT_ACTIVE, false, &tenant),
                     FH_OK);
    return tenant.uuid;
}

static struct fh_catalog_request move_creation(const struct fh_uuid *tenant, const char *target)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_CREATE};
    request.as.move.uuid = fh_uuid_v7(fh_clock_realtime_us(fh_clock_system()));
    request.as.move.tenant = *tenant;
    request.as.move.target_home = (struct fh_home){FH_TIER_SHARED, FH_HOME_SHARED};
    (void)snprintf(request.as.move.target_store, sizeof(request.as.move.target_store), "%s",
                   target);
    return request;
}

/* The system's pwrite for SQLite, which finds the disk full that many times. */
static volatile int fulls;
static ssize_t pwrite_or_full(int fd, const void *data, size_t len, off_t at)
{
    if (fulls > 0) {
        fulls--;
        errno = ENOSPC;
        return -1;
    }
    return pwrite(fd, data, len, at);
}

/* The second creation is answered with the first one's move, which is then lost with the batch and
 * in its own second try: the second try of the other must make what was asked for, not what was
 * answered. */
static void asks_again_what_was_asked_at_first(void **state)
{
    struct kit *f = *state;
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    const char *const names[] = {"pwrite", "pwrite64"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(vfs->xSetSystemCall(vfs, names[i], (sqlite3_syscall_ptr)pwrite_or_full),
                         SQLITE_OK);
    }
    struct fh_uuid tenant = active_tenant(f);
    sqlite3 *lock = NULL; /* so that the two come into one batch */
    assert_int_equal(sqlite3_open(f->path, &lock), SQLITE_OK);
    assert_int_equal(sqlite3_exec(lock, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    struct fh_catalog_request requests[] = {{.op = FH_CATALOG_PAGE_KEYS},
                                            move_creation(&tenant, "south"),
                                            move_creation(&tenant, "west")};
    struct fh_uuid asked = requests[2].as.move.uuid;
    for (size_t i = 0; i < 3; i++) {
        kit_prepare(f, &requests[i]);
        f->pending++;
        assert_int_equal(fh_catalog_submit(f->catalog, &requests[i]), FH_OK);
    }
    fulls = 3; /* the page key alone or the whole batch, the two, the first of the two */
    assert_int_equal(sqlite3_close(lock), SQLITE_OK);
    while (f->pending > 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_int_equal(vfs->xSetSystemCall(vfs, NULL, NULL), SQLITE_OK);
    assert_int_equal(fulls, 0);
    assert_int_equal(requests[0].code, FH_DISK_FULL);
    assert_int_equal(requests[1].code, FH_DISK_FULL);
    assert_int_equal(requests[2].code, FH_OK);
    assert_true(fh_uuid_eq(&requests[2].as.move.uuid, &asked));
    assert_string_equal(requests[2].as.move.target_store, "west");
    assert_int_equal(kit_peek(f, "SELECT count(*) FROM moves WHERE target_store='west'"), 1);
}

static void patch(struct kit *f, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void says_when_a_move_cannot_be_read(void **state)
{
    struct kit *f = *state;
    struct fh_uuid tenant = active_tenant(f);
    struct fh_catalog_request made = move_creation(&tenant, "south");
    assert_int_equal(kit_call(f, &made), FH_OK);
    const char *const damages[][2] = {
        {"UPDATE moves SET phase='dreaming'", "UPDATE moves SET phase='planned'"},
        {"UPDATE moves SET phase='done'", "UPDATE moves SET phase='planned'"},
        {"UPDATE moves SET progress='{'", "UPDATE moves SET progress='{}'"},
        {"UPDATE moves SET target_home=''", "UPDATE moves SET target_home='fh_shared'"},
    };
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        patch(f, damages[i][0]);
        struct fh_catalog_request get = {.op = FH_CATALOG_MOVE_GET};
        get.as.move_get.uuid = made.as.move.uuid;
        assert_int_equal(kit_call(f, &get), FH_CORRUPT);
        struct fh_catalog_request list = {.op = FH_CATALOG_MOVE_LIST};
        list.as.move_list.limit = 1;
        assert_int_equal(kit_call(f, &list), FH_CORRUPT);
        patch(f, damages[i][1]);
    }
    struct fh_catalog_request get = {.op = FH_CATALOG_MOVE_GET};
    get.as.move_get.uuid = made.as.move.uuid;
    assert_int_equal(kit_call(f, &get), FH_OK);
}

/* The file itself keeps the rule, whatever a program does. */
static void keeps_one_unfinished_move_by_an_index(void **state)
{
    struct kit *f = *state;
    struct fh_uuid tenant = active_tenant(f);
    struct fh_catalog_request made = move_creation(&tenant, "south");
    assert_int_equal(kit_call(f, &made), FH_OK);
    patch(f, "CREATE TEMP TABLE copy AS SELECT * FROM moves;"
             "UPDATE copy SET uuid=randomblob(16),finished_at=1,phase='done';"
             "INSERT INTO moves SELECT * FROM copy");
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE moves SET finished_at=0", NULL, NULL, NULL),
                     SQLITE_CONSTRAINT);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(groups_writes_and_isolates_failures),   TEST(leaves_nothing_of_a_refused_change),
        TEST(asks_again_what_was_asked_at_first),    TEST(says_when_a_move_cannot_be_read),
        TEST(keeps_one_unfinished_move_by_an_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
