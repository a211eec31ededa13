/* The catalog's file: private, and clear about what is wrong when it cannot serve. */
#include "router/catalog_sqlite/catalog_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "tests/unit/catalog_sqlite/kit.h"

static void is_private_and_hardened(void **state)
{
    struct kit *f = *state;
    struct stat status;
    assert_int_equal(stat(f->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(kit_peek(f, "PRAGMA application_id"), 0x46484354);
    assert_int_equal(kit_peek(f, "PRAGMA user_version"), 3);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void exec(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void refuses_files_that_are_not_a_catalog(void **state)
{
    struct kit *f = *state;
    struct fh_error error = FH_ERROR_INIT;
    write_file(f->path, "this is a letter to a friend, and it is long enough to be looked at as a "
                        "database header, which it is not in the least, sorry for that, bye");
    assert_int_equal(kit_open(f, &error), FH_CORRUPT);
    assert_int_equal(unlink(f->path), 0);
    exec(f->path, "CREATE TABLE somebody_elses(x)");
    assert_int_equal(kit_open(f, &error), FH_INVALID);
    exec(f->path, "DROP TABLE somebody_elses; PRAGMA application_id=1179140948;"
                  "PRAGMA user_version=99");
    assert_int_equal(kit_open(f, &error), FH_PRECONDITION);
    assert_non_null(strstr(error.message, "newer"));
    exec(f->path, "PRAGMA user_version=1");
    assert_int_equal(kit_open(f, &error), FH_PRECONDITION);
    assert_non_null(strstr(error.message, "older"));
    /* Directory in the way. */
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkdir(f->path, 0700), 0);
    assert_int_equal(kit_open(f, &error), FH_UNAVAILABLE);
    assert_int_equal(rmdir(f->path), 0);
}

static void says_when_it_is_locked(void **state)
{
    struct kit *f = *state;
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    struct fh_catalog_request request = {.op = FH_CATALOG_PAGE_KEYS};
    request.deadline_us = fh_clock_monotonic_us(f->env.clock) + 50000;
    assert_int_equal(kit_call(f, &request), FH_UNAVAILABLE);
    assert_non_null(strstr(request.error.message, "another process"));
    /* Readers are not disturbed. */
    struct fh_catalog_request list = {.op = FH_CATALOG_STORE_LIST};
    assert_int_equal(kit_call(f, &list), FH_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    struct fh_catalog_request again = {.op = FH_CATALOG_PAGE_KEYS};
    assert_int_equal(kit_call(f, &again), FH_OK);
}

/* The system's pwrite for SQLite, which finds the disk full while the test says so. */
static volatile int disk_full;
static ssize_t pwrite_or_full(int fd, const void *data, size_t len, off_t at)
{
    if (disk_full != 0) {
        errno = ENOSPC;
        return -1;
    }
    return pwrite(fd, data, len, at);
}

static void says_when_the_disk_is_full(void **state)
{
    struct kit *f = *state;
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    const char *const names[] = {"pwrite", "pwrite64"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(vfs->xSetSystemCall(vfs, names[i], (sqlite3_syscall_ptr)pwrite_or_full),
                         SQLITE_OK);
    }
    assert_int_equal(kit_add_store(f, "main"), FH_OK);
    disk_full = 1;
    static struct fh_catalog_request requests[5];
    for (size_t i = 0; i < 5; i++) {
        requests[i] = kit_creation("acme", "");
        kit_prepare(f, &requests[i]);
        f->pending++;
        assert_int_equal(fh_catalog_submit(f->catalog, &requests[i]), FH_OK);
    }
    while (f->pending > 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(requests[i].code, FH_DISK_FULL);
    }
    disk_full = 0;
    struct fh_catalog_request after = kit_creation("acme", "");
    assert_int_equal(kit_call(f, &after), FH_OK);
    assert_int_equal(kit_peek(f, "SELECT count(*) FROM tenants"), 1);
    assert_int_equal(vfs->xSetSystemCall(vfs, NULL, NULL), SQLITE_OK);
}

static void says_when_the_file_is_damaged(void **state)
{
    struct kit *f = *state;
    assert_int_equal(kit_add_store(f, "main"), FH_OK);
    struct fh_catalog_request made = kit_creation("acme", "");
    assert_int_equal(kit_call(f, &made), FH_OK);
    int64_t page = kit_peek(f, "SELECT rootpage FROM sqlite_master WHERE name='tenants'");
    kit_close(f);
    /* A page of tenants; the header and the schema, which are read first, are left alone. */
    int fd = open(f->path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    char junk[4096];
    memset(junk, 0xA5, sizeof(junk));
    assert_int_equal(pwrite(fd, junk, sizeof(junk), (off_t)(page - 1) * 4096), 4096);
    assert_int_equal(close(fd), 0);
    struct fh_error error = FH_ERROR_INIT;
    assert_int_equal(kit_open(f, &error), FH_OK);
    struct fh_catalog_request get = {.op = FH_CATALOG_TENANT_GET};
    get.as.get.slug = FH_STR("acme");
    assert_int_equal(kit_call(f, &get), FH_CORRUPT);
    assert_int_equal(get.error.code, FH_CORRUPT);
}

/* As another user, for root may write everywhere. */
static void says_when_it_is_read_only(void **state)
{
    struct kit *f = *state;
    if (getuid() != 0) {
        assert_int_equal(chmod(f->dir, 0500), 0);
        struct fh_error error = FH_ERROR_INIT;
        assert_int_equal(kit_open(f, &error), FH_UNAVAILABLE);
        assert_int_equal(chmod(f->dir, 0700), 0);
        return;
    }
    assert_int_equal(chmod(f->dir, 0555), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct fh_error error = FH_ERROR_INIT;
        bool right = setgid(65534) == 0 && setuid(65534) == 0 &&
                     kit_open(f, &error) == FH_UNAVAILABLE && error.message[0] != '\0';
        _exit(right ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(chmod(f->dir, 0700), 0);
}

static void says_when_the_answer_is_too_large(void **state)
{
    struct kit *f = *state;
    struct fh_arena small;
    assert_int_equal(kit_add_store(f, "main"), FH_OK);
    struct fh_catalog_request made = kit_creation("acme", "");
    assert_int_equal(kit_call(f, &made), FH_OK);
    fh_arena_init(&small, 64);
    struct fh_catalog_request list = {.op = FH_CATALOG_TENANT_LIST};
    list.as.list.limit = 10;
    kit_prepare(f, &list);
    list.arena = &small;
    f->pending++;
    assert_int_equal(fh_catalog_submit(f->catalog, &list), FH_OK);
    while (f->pending > 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_int_equal(list.code, FH_TOO_LARGE);
    fh_arena_close(&small);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)
#define TEST_EMPTY(name) cmocka_unit_test_setup_teardown(name, kit_set_up_empty, kit_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(is_private_and_hardened),           TEST(says_when_it_is_locked),
        TEST(says_when_the_disk_is_full),        TEST(says_when_the_file_is_damaged),
        TEST(says_when_the_answer_is_too_large), TEST_EMPTY(refuses_files_that_are_not_a_catalog),
        TEST_EMPTY(says_when_it_is_read_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
