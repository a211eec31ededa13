/* Files and directories as they should not be: each gives a code and a message that says what to
 * do, and none a crash. */
#include "tests/unit/stores_sqlite/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/alloc.h"

static int setup(void **state)
{
    struct fixture *f = fh_calloc(1, sizeof(*f));
    assert_non_null(f);
    fixture_init(f);
    *state = f;
    return 0;
}

static enum fh_code try_location(struct fixture *f, const char *location, struct fh_error *error)
{
    struct fh_store_config config = {.name = "test", .location = location};
    *error = (struct fh_error)FH_ERROR_INIT;
    enum fh_code code = fh_store_sqlite_ops.open(&f->env, &config, &f->store, error);
    if (code == FH_OK) {
        fixture_shut(f);
    } else {
        assert_true(error->message[0] != '\0');
        f->store = NULL;
    }
    return code;
}

static void poke(const char *path, off_t at, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, len, at), (ssize_t)len);
    close(fd);
}

static void test_locations(void **state)
{
    struct fixture *f = *state;
    struct fh_error error;
    char path[160];
    assert_code(try_location(f, NULL, &error), FH_INVALID);
    assert_code(try_location(f, "", &error), FH_INVALID);
    (void)snprintf(path, sizeof(path), "%s/none/deeper", f->directory);
    assert_code(try_location(f, path, &error), FH_INVALID);
    assert_non_null(strstr(error.message, "none/deeper"));
    /* A file where the directory should be, and below one. */
    (void)snprintf(path, sizeof(path), "%s/file", f->directory);
    poke(path, 0, "x", 1);
    assert_code(try_location(f, path, &error), FH_INVALID);
    (void)snprintf(path, sizeof(path), "%s/file/below", f->directory);
    assert_code(try_location(f, path, &error), FH_INVALID);
    (void)snprintf(path, sizeof(path), "%s/file", f->directory);
    assert_int_equal(unlink(path), 0);
    /* A directory where nobody may write, whoever asks. */
    assert_code(try_location(f, "/proc/self", &error), FH_INVALID);
    /* A directory that is a link is as good as its target; a file that is one is not ours. */
    (void)snprintf(path, sizeof(path), "%s/link", f->directory);
    assert_int_equal(symlink(f->directory, path), 0);
    assert_code(try_location(f, path, &error), FH_OK);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(symlink("/dev/null", f->path), 0);
    assert_code(try_location(f, f->directory, &error), FH_INVALID);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkdir(f->path, 0700), 0);
    assert_code(try_location(f, f->directory, &error), FH_INVALID);
    assert_int_equal(rmdir(f->path), 0);
    /* A last part that is missing is made, for this user only. */
    (void)snprintf(path, sizeof(path), "%s/made", f->directory);
    assert_code(try_location(f, path, &error), FH_OK);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    char file[176];
    (void)snprintf(file, sizeof(file), "%s/shared.db", path);
    assert_int_equal(stat(file, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(path), 0);
}

static void test_not_a_database(void **state)
{
    struct fixture *f = *state;
    struct fh_error error;
    static const char text[] = "This is a text, long enough to be taken for a file of pages. It is "
                               "not one, and opening it says so.........................";
    poke(f->path, 0, text, sizeof(text));
    assert_code(try_location(f, f->directory, &error), FH_CORRUPT);
    assert_non_null(strstr(error.message, "damaged"));
}

static void test_somebody_elses_database(void **state)
{
    struct fixture *f = *state;
    struct fh_error error;
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t(x)", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_code(try_location(f, f->directory, &error), FH_INVALID);
    assert_non_null(strstr(error.message, "not made by Freehold"));
}

static void test_a_newer_format(void **state)
{
    struct fixture *f = *state;
    struct fh_error error;
    sqlite3 *db = NULL;
    fixture_start(f);
    fixture_shut(f);
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=2", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_code(try_location(f, f->directory, &error), FH_PRECONDITION);
    assert_non_null(strstr(error.message, "newer"));
}

static void test_damaged_header(void **state)
{
    struct fixture *f = *state;
    struct fh_error error;
    fixture_start(f);
    fixture_shut(f);
    poke(f->path, 0, "\0\0\0\0\0\0\0\0", 8);
    assert_code(try_location(f, f->directory, &error), FH_CORRUPT);
}

static struct fh_op_check check(struct fixture *f)
{
    struct fh_request request = fixture_request(f, FH_OP_CHECK, NULL);
    assert_code(fixture_run(f, &request), FH_OK);
    assert_true(request.as.check.count > 0);
    return request.as.check;
}

static bool has_finding(const struct fh_op_check *op, bool ok, const char *part)
{
    for (size_t i = 0; i < op->count; i++) {
        const struct fh_finding *finding = &op->findings[i];
        if (finding->ok == ok && (strstr(finding->subject.data, part) != NULL ||
                                  strstr(finding->text.data, part) != NULL)) {
            return true;
        }
    }
    return false;
}

/* Pages in the middle are overwritten: rows there are lost and said to be, the store lives on. */
static void test_damaged_middle(void **state)
{
    struct fixture *f = *state;
    struct fh_row *row = NULL;
    struct stat status;
    char name[1500];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    fixture_start(f);
    for (int64_t id = 0; id < 300; id++) {
        assert_code(fixture_put(f, &f->a, FH_WRITE_INSERT, id, name, NULL), FH_OK);
    }
    fixture_shut(f);
    assert_int_equal(stat(f->path, &status), 0);
    char garbage[4096];
    memset(garbage, 0xa5, sizeof(garbage));
    for (off_t at = 40 * 4096; at + 4096 <= status.st_size; at += 4096) {
        poke(f->path, at, garbage, sizeof(garbage));
    }
    fixture_open(f);
    size_t lost = 0;
    for (int64_t id = 0; id < 300; id++) {
        enum fh_code code = fixture_get(f, &f->a, id, &row);
        assert_true(code == FH_OK || code == FH_CORRUPT);
        lost += code == FH_CORRUPT;
    }
    assert_true(lost > 0);
    enum fh_code code = fixture_put(f, &f->a, FH_WRITE_UPDATE, 299, "m", NULL);
    assert_true(code == FH_OK || code == FH_CORRUPT);
    struct fh_op_check findings = check(f);
    assert_true(has_finding(&findings, false, "integrity"));
}

static void test_cut_off(void **state)
{
    struct fixture *f = *state;
    struct fh_error error;
    struct fh_row *row = NULL;
    fixture_start(f);
    fixture_shut(f);
    assert_int_equal(truncate(f->path, 5000), 0);
    enum fh_code code = fixture_try_open(f, &error);
    assert_true(code == FH_OK || code == FH_CORRUPT);
    if (code == FH_OK) {
        code = fixture_get(f, &f->a, 1, &row);
        assert_true(code == FH_CORRUPT || code == FH_UNAVAILABLE);
    } else {
        f->store = NULL;
    }
}

static sqlite3 *lock(struct fixture *f, const char *how)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, how, NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static void test_locked(void **state)
{
    struct fixture *f = *state;
    struct fh_row *row = NULL;
    fixture_start(f);
    assert_code(fixture_put(f, &f->a, FH_WRITE_INSERT, 1, "n", NULL), FH_OK);
    sqlite3 *db = lock(f, "BEGIN EXCLUSIVE");
    /* Somebody holds it for longer than we wait. */
    struct fh_request request =
        fixture_commit(f, &f->a, fixture_write(f, FH_WRITE_INSERT, fixture_item(2), "n", NULL));
    assert_code(fixture_run(f, &request), FH_UNAVAILABLE);
    assert_non_null(strstr(request.error.message, "another process"));
    assert_code(fixture_get(f, &f->a, 1, &row), FH_OK); /* readers do not mind */
    assert_non_null(row);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_code(fixture_run(f, &request), FH_OK);
    assert_int_equal(fixture_count(f, &f->a), 2);
}

/* Deadlines under a lock: the one that passes ends, the others go back and are done when the lock
 * is gone. */
static void test_deadline_under_a_lock(void **state)
{
    struct fixture *f = *state;
    struct fh_request requests[8];
    bool done[8];
    fixture_start(f);
    int64_t now_us = f->now_us; /* before anybody else looks at it */
    sqlite3 *db = lock(f, "BEGIN IMMEDIATE");
    for (int i = 0; i < 8; i++) {
        requests[i] =
            fixture_commit(f, &f->a, fixture_write(f, FH_WRITE_INSERT, fixture_item(i), "n", NULL));
        fixture_detach(f, &requests[i]);
        requests[i].deadline_us = now_us + (i == 0 ? 1000 : 100000000);
        assert_code(fixture_submit(f, &requests[i], &done[i]), FH_OK);
    }
    fh_store_cancel(f->store, &requests[7]);
    fixture_advance(f, 2000);
    fixture_wait(f, &done[0]);
    assert_code(requests[0].code, FH_DEADLINE);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    for (int i = 1; i < 8; i++) {
        fixture_wait(f, &done[i]);
    }
    for (int i = 1; i < 7; i++) {
        assert_code(requests[i].code, FH_OK);
    }
    /* A wish: granted unless its turn had come. */
    assert_true(requests[7].code == FH_CANCELLED || requests[7].code == FH_OK);
    assert_int_equal(fixture_count(f, &f->a), requests[7].code == FH_OK ? 7 : 6);
}

/* Locked when the store is opened: it opens, and works when the lock is gone. */
static void test_locked_at_open(void **state)
{
    struct fixture *f = *state;
    struct fh_row *row = NULL;
    sqlite3 *db = lock(f, "BEGIN EXCLUSIVE"); /* an empty file, and not yet in WAL mode */
    fixture_open(f);
    assert_code(fixture_apply(f, &fixture_v1), FH_UNAVAILABLE);
    assert_code(fixture_get(f, &f->a, 1, &row), FH_UNAVAILABLE);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_code(fixture_apply(f, &fixture_v1), FH_OK);
    assert_code(fixture_get(f, &f->a, 1, &row), FH_NO_TENANT);
}

static void alter(struct fixture *f, const char *sql)
{
    sqlite3 *db = lock(f, sql);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_check(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct fh_op_check op = check(f);
    for (size_t i = 0; i < op.count; i++) {
        if (!op.findings[i].ok) {
            fail_msg("%s: %s", op.findings[i].subject.data, op.findings[i].text.data);
        }
    }
    assert_true(has_finding(&op, true, "integrity"));
    assert_true(has_finding(&op, true, "write-ahead"));
    alter(f, "DROP TRIGGER fh_tu_items; DROP INDEX fh_ix_items_code_key");
    alter(f, "DROP TRIGGER fh_td_parts; CREATE TRIGGER fh_td_parts BEFORE DELETE ON parts BEGIN "
             "SELECT 1; END");
    alter(f, "CREATE TRIGGER stranger AFTER INSERT ON items BEGIN SELECT 1; END");
    assert_int_equal(chmod(f->path, 0644), 0);
    op = check(f);
    assert_true(has_finding(&op, false, "fh_tu_items"));
    assert_true(has_finding(&op, false, "fh_ix_items_code_key"));
    assert_true(has_finding(&op, false, "fh_td_parts"));
    assert_true(has_finding(&op, false, "not ours"));
    assert_true(has_finding(&op, false, "chmod 600"));
}

static void test_check_of_a_newer_schema(void **state)
{
    struct fixture *f = *state;
    fixture_start(f);
    struct fh_request request = fixture_request(f, FH_OP_CHECK, NULL);
    request.scope.schema = &fixture_v2;
    assert_code(fixture_run(f, &request), FH_OK);
    assert_true(has_finding(&request.as.check, false, "apply version 2"));
    assert_code(fixture_apply(f, &fixture_v2), FH_OK);
    assert_code(fixture_run(f, &request), FH_OK);
    for (size_t i = 0; i < request.as.check.count; i++) {
        assert_true(request.as.check.findings[i].ok);
    }
}

int main(void)
{
#define FILE_TEST(function) cmocka_unit_test_setup_teardown(function, setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        FILE_TEST(test_locations),
        FILE_TEST(test_not_a_database),
        FILE_TEST(test_somebody_elses_database),
        FILE_TEST(test_a_newer_format),
        FILE_TEST(test_damaged_header),
        FILE_TEST(test_damaged_middle),
        FILE_TEST(test_cut_off),
        FILE_TEST(test_locked),
        FILE_TEST(test_deadline_under_a_lock),
        FILE_TEST(test_locked_at_open),
        FILE_TEST(test_check),
        FILE_TEST(test_check_of_a_newer_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
