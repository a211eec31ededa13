/* Homes of the schema and database tiers: their files, who may have them open, and who may delete
 * them. What requests mean in them is the conformance suite's. */
#include "tests/unit/stores_sqlite/tiers.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stores/sqlite/fence.h"
#include "stores/sqlite/lanes.h"
#include "stores/sqlite/views.h"

#define HOMES 20
#define ROUNDS 6
#define FEW_DESCRIPTORS 256

static const enum fh_tier tiers[] = {FH_TIER_SCHEMA, FH_TIER_DATABASE};

static void test_life_of_a_home(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 2; i++) {
        struct fh_op_fence fence;
        bool found = false;
        assert_code(tier_fence(f, tiers[i], &f->a, &fence), FH_NO_TENANT);
        assert_int_equal(tier_files(f), 0); /* a question makes nothing */
        assert_code(tier_erase(f, tiers[i], &f->a, 1), FH_OK);
        assert_code(tier_create(f, tiers[i], &f->a, 1), FH_OK);
        assert_code(tier_create(f, tiers[i], &f->a, 1), FH_OK);
        assert_code(tier_create(f, tiers[i], &f->a, 2), FH_EXISTS);
        assert_code(tier_put(f, tiers[i], &f->a, 1), FH_OK);
        assert_code(tier_erase(f, tiers[i], &f->a, 7), FH_MOVED);
        assert_code(tier_get(f, tiers[i], &f->a, 1, &found), FH_OK);
        assert_true(found);
        assert_code(tier_fence(f, tiers[i], &f->b, &fence), FH_NO_TENANT);
        assert_code(tier_erase(f, tiers[i], &f->a, 1), FH_OK);
        assert_code(tier_put(f, tiers[i], &f->a, 1), FH_NO_TENANT);
        assert_code(tier_get(f, tiers[i], &f->a, 1, &found), FH_NO_TENANT);
        assert_int_equal(tier_files(f), 0);
    }
}

/* All of these at once, reads and writes. */
static void run_round(struct fixture *f, int round)
{
    static struct fh_request writes[HOMES];
    static struct fh_request reads[HOMES];
    static struct fh_key keys[HOMES];
    static struct fh_uuid tenants[HOMES];
    bool written[HOMES];
    bool read[HOMES];
    for (int i = 0; i < HOMES; i++) {
        enum fh_tier tier = tiers[i % 2];
        tenants[i] = tier_tenant(i);
        writes[i] = fixture_commit(
            f, &tenants[i], fixture_write(f, FH_WRITE_INSERT, fixture_item(round), "n", NULL));
        fh_home_of(tier, &tenants[i], &writes[i].scope.home);
        reads[i] = tier_request(f, FH_OP_GET, tier, &tenants[i]);
        keys[i] = fixture_item(round - 1);
        reads[i].as.get.keys = &keys[i];
        reads[i].as.get.count = 1;
        fixture_detach(f, &writes[i]);
        fixture_detach(f, &reads[i]);
        assert_code(fixture_submit(f, &writes[i], &written[i]), FH_OK);
        assert_code(fixture_submit(f, &reads[i], &read[i]), FH_OK);
    }
    for (int i = 0; i < HOMES; i++) {
        fixture_wait(f, &written[i]);
        fixture_wait(f, &read[i]);
        assert_code(writes[i].code, FH_OK);
        assert_code(reads[i].code, FH_OK);
        assert_true(round == 1 || reads[i].as.get.rows[0] != NULL);
    }
}

static uint32_t connections(const struct fixture *f)
{
    struct fh_store_stats stats;
    f->store->ops->stats(f->store, &stats);
    return stats.connections;
}

static void test_more_homes_than_may_be_open(void **state)
{
    struct fixture *f = *state;
    fixture_shut(f);
    f->open_homes_max = 4; /* one of each writing lane, two of each reading one */
    fixture_open(f);
    uint32_t idle = connections(f);
    for (int i = 0; i < HOMES; i++) {
        struct fh_uuid tenant = tier_tenant(i);
        assert_code(tier_create(f, tiers[i % 2], &tenant, 1), FH_OK);
    }
    for (int round = 1; round <= ROUNDS; round++) {
        run_round(f, round);
        /* 4 files with a writer and an eraser, 4 with a reader; 10 bridge files with all three */
        assert_in_range(connections(f) - idle, 1, 4 * 2 + 4 + 10 * 3);
    }
    for (int i = 0; i < HOMES; i++) {
        struct fh_uuid tenant = tier_tenant(i);
        bool found = false;
        for (int round = 1; round <= ROUNDS; round++) {
            assert_code(tier_get(f, tiers[i % 2], &tenant, round, &found), FH_OK);
            assert_true(found);
        }
    }
    assert_int_equal(tier_check(f, ""), 0);
}

/* As many homes are open as the process has descriptors for. */
static void test_few_descriptors(void **state)
{
    struct fixture *f = *state;
    struct rlimit before;
    bool found = false;
    fixture_shut(f);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit few = {.rlim_cur = FEW_DESCRIPTORS, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    fixture_open(f);
    for (int i = 0; i < FEW_DESCRIPTORS / 4; i++) { /* each wants five, and seven at times */
        struct fh_uuid tenant = tier_tenant(i);
        assert_code(tier_create(f, FH_TIER_DATABASE, &tenant, 1), FH_OK);
        assert_code(tier_put(f, FH_TIER_DATABASE, &tenant, 1), FH_OK);
        assert_code(tier_get(f, FH_TIER_DATABASE, &tenant, 1, &found), FH_OK);
        assert_true(found);
    }
    fixture_shut(f);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void test_idle_files_are_closed(void **state)
{
    struct fixture *f = *state;
    struct fh_uuid first = tier_tenant(4); /* of one lane, all three */
    struct fh_uuid second = tier_tenant(8);
    assert_code(tier_create(f, FH_TIER_DATABASE, &first, 1), FH_OK);
    assert_code(tier_create(f, FH_TIER_DATABASE, &second, 1), FH_OK);
    assert_code(tier_put(f, FH_TIER_DATABASE, &first, 1), FH_OK);
    assert_code(tier_put(f, FH_TIER_DATABASE, &second, 1), FH_OK);
    uint32_t before = connections(f);
    fixture_advance(f, FH_SQLITE_FILE_IDLE_US);
    assert_code(tier_put(f, FH_TIER_DATABASE, &second, 2), FH_OK);
    assert_true(connections(f) < before);
    bool found = false;
    assert_code(tier_get(f, FH_TIER_DATABASE, &first, 1, &found), FH_OK);
    assert_true(found);
}

/* Another process' part, as far as files and locks are concerned. */
static struct fh_store *swap(struct fixture *f, struct fh_store *other)
{
    struct fh_store *before = f->store;
    f->store = other;
    return before;
}

static void test_two_stores_on_one_directory(void **state)
{
    struct fixture *f = *state;
    struct fh_store *first = swap(f, NULL);
    fixture_open(f);
    struct fh_store *second = swap(f, first);
    for (size_t i = 0; i < 2; i++) {
        enum fh_tier tier = tiers[i];
        bool found = true;
        struct fh_op_fence fence;
        for (uint64_t generation = 1; generation <= 4; generation++) {
            assert_code(tier_create(f, tier, &f->a, generation), FH_OK);
            second = swap(f, second); /* which may have the file of the last round open */
            assert_code(tier_create(f, tier, &f->a, generation), FH_OK);
            assert_code(tier_get(f, tier, &f->a, 1, &found), FH_OK);
            assert_false(found);
            assert_code(tier_put(f, tier, &f->a, 1), FH_OK);
            assert_code(tier_erase(f, tier, &f->a, generation - 1), FH_MOVED); /* it slept */
            second = swap(f, second);
            assert_code(tier_get(f, tier, &f->a, 1, &found), FH_OK);
            assert_true(found);
            assert_code(tier_erase(f, tier, &f->a, generation), FH_OK);
            second = swap(f, second);
            assert_code(tier_put(f, tier, &f->a, 2), FH_NO_TENANT);
            assert_code(tier_fence(f, tier, &f->a, &fence), FH_NO_TENANT);
            second = swap(f, second);
        }
    }
    fixture_shut(f);
    f->store = second;
    assert_code(tier_create(f, FH_TIER_DATABASE, &f->a, 9), FH_OK);
    assert_int_equal(tier_check(f, ""), 0);
}

/* An old handle of a file without a name: nothing of the tenant's can be had or changed by it. */
static void test_old_handles_find_no_fence(void **state)
{
    struct fixture *f = *state;
    struct fh_sqlite_layout layout;
    struct fh_sqlite_place place;
    struct fh_sqlite_conn conn;
    struct fh_error error = FH_ERROR_INIT;
    struct fh_fence fence;
    struct fh_request request = tier_request(f, FH_OP_COMMIT, FH_TIER_DATABASE, &f->a);
    assert_code(tier_create(f, FH_TIER_DATABASE, &f->a, 1), FH_OK);
    assert_code(fh_sqlite_layout_init(&layout, f->directory, &error), FH_OK);
    fh_sqlite_layout_place(&layout, &request.scope.home, &place);
    fh_sqlite_conn_init(&conn, FH_SQLITE_WRITER, NULL, &f->clock, NULL);
    fh_sqlite_conn_use_place(&conn, &place);
    assert_code(fh_sqlite_conn_open(&conn, &error), FH_OK);
    fh_sqlite_conn_use_home(&conn, &request.scope.home);
    assert_code(fh_sqlite_views_use(&conn, NULL, &error), FH_OK);
    assert_code(fh_sqlite_fence_find(&conn, &request.scope, &fence, &error), FH_OK);

    assert_code(tier_erase(f, FH_TIER_DATABASE, &f->a, 1), FH_OK);
    assert_code(tier_create(f, FH_TIER_DATABASE, &f->a, 2), FH_OK);
    assert_code(tier_put(f, FH_TIER_DATABASE, &f->a, 1), FH_OK);
    assert_code(fh_sqlite_fence_find(&conn, &request.scope, &fence, &error), FH_NO_TENANT);

    assert_code(fh_sqlite_conn_open(&conn, &error), FH_OK); /* every batch begins with it */
    fh_sqlite_conn_use_home(&conn, &request.scope.home);
    assert_code(fh_sqlite_views_use(&conn, NULL, &error), FH_OK);
    assert_code(fh_sqlite_fence_find(&conn, &request.scope, &fence, &error), FH_OK);
    assert_int_equal(fence.generation, 2);
    fh_sqlite_conn_close(&conn);
    bool found = false;
    assert_code(tier_get(f, FH_TIER_DATABASE, &f->a, 1, &found), FH_OK);
    assert_true(found);
}

/* Closing the last connection deletes the log by its name, which may be another file's by then. */
static void test_closing_an_old_handle_leaves_the_new_log(void **state)
{
    struct fixture *f = *state;
    char path[256];
    char log[300];
    struct stat status;
    assert_code(tier_create(f, FH_TIER_DATABASE, &f->a, 1), FH_OK);
    tier_path(f, &f->a, path);
    (void)snprintf(log, sizeof(log), "%s-wal", path);
    struct fh_store *first = swap(f, NULL);
    fixture_open(f);
    assert_code(tier_put(f, FH_TIER_DATABASE, &f->a, 1), FH_OK); /* the second has it open */
    struct fh_store *second = swap(f, first);
    assert_code(tier_erase(f, FH_TIER_DATABASE, &f->a, 1), FH_OK);
    assert_code(tier_create(f, FH_TIER_DATABASE, &f->a, 2), FH_OK);
    assert_code(tier_put(f, FH_TIER_DATABASE, &f->a, 2), FH_OK);
    assert_int_equal(stat(log, &status), 0);
    first = swap(f, second);
    fixture_shut(f);
    f->store = first;
    assert_int_equal(stat(log, &status), 0);
    bool found = false;
    assert_code(tier_get(f, FH_TIER_DATABASE, &f->a, 2, &found), FH_OK);
    assert_true(found);
    assert_int_equal(tier_check(f, ""), 0);
}

/* Names are made and deleted under the directory's lock alone. */
static void test_the_directory_is_locked(void **state)
{
    struct fixture *f = *state;
    char path[256];
    struct stat status;
    assert_code(tier_create(f, FH_TIER_DATABASE, &f->a, 1), FH_OK);
    tier_path(f, &f->a, path);
    char directory[256];
    (void)snprintf(directory, sizeof(directory), "%s/homes/%02x", f->directory, f->a.bytes[15]);
    int lock = open(directory, O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(lock, LOCK_SH), 0); /* somebody is on the way from name to log */
    assert_code(tier_erase(f, FH_TIER_DATABASE, &f->a, 1), FH_UNAVAILABLE);
    assert_int_equal(stat(path, &status), 0);
    assert_code(tier_put(f, FH_TIER_DATABASE, &f->a, 1), FH_OK);
    close(lock);
    assert_code(tier_erase(f, FH_TIER_DATABASE, &f->a, 1), FH_OK);
    assert_int_equal(stat(path, &status), -1);
}

/* The check goes from a name to its log under the lock, too: it has a second handle of the file in
 * this process, and must not meet another file's log with it. */
static void test_the_check_respects_the_lock(void **state)
{
    struct fixture *f = *state;
    char directory[256];
    assert_code(tier_create(f, FH_TIER_DATABASE, &f->a, 1), FH_OK);
    (void)snprintf(directory, sizeof(directory), "%s/homes/%02x", f->directory, f->a.bytes[15]);
    int lock = open(directory, O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(lock, LOCK_EX), 0); /* somebody makes or deletes a name */
    assert_int_equal(tier_check(f, "homes/"), 1);
    close(lock);
    assert_int_equal(tier_check(f, ""), 0);
}

/* Descriptors of files without a name: their space is not given back before they are closed. */
static size_t unnamed(const struct fixture *f)
{
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    size_t count = 0;
    for (const struct dirent *entry = readdir(directory); entry != NULL;
         entry = readdir(directory)) {
        char path[512] = "";
        ssize_t len = readlinkat(dirfd(directory), entry->d_name, path, sizeof(path) - 1);
        count += len > 0 && strncmp(path, f->directory, strlen(f->directory)) == 0 &&
                         strstr(path, "(deleted)") != NULL
                     ? 1
                     : 0;
    }
    closedir(directory);
    return count;
}

/* A move asks the home that it leaves how large it is; then that one is erased. */
static void test_questions_keep_no_erased_file(void **state)
{
    struct fixture *f = *state;
    assert_code(tier_create(f, FH_TIER_DATABASE, &f->a, 1), FH_OK);
    struct fh_request request = tier_request(f, FH_OP_SIZE, FH_TIER_DATABASE, &f->a);
    request.as.size.guard = (struct fh_fence_guard){.modes = FH_FENCE_BIT(FH_FENCE_OPEN)};
    assert_code(fixture_run(f, &request), FH_OK);
    assert_code(tier_erase(f, FH_TIER_DATABASE, &f->a, 1), FH_OK);
    assert_int_equal(unnamed(f), 0);
}

static void test_homes_are_bounded(void **state)
{
    struct fixture *f = *state;
    fixture_shut(f);
    f->homes_max = 3;
    fixture_open(f);
    struct fh_uuid tenants[4];
    for (int i = 0; i < 4; i++) {
        tenants[i] = tier_tenant(i);
        assert_code(tier_create(f, FH_TIER_SCHEMA, &tenants[i], 1), i < 3 ? FH_OK : FH_FULL);
    }
    fixture_shut(f); /* it is counted anew */
    fixture_open(f);
    assert_code(tier_create(f, FH_TIER_SCHEMA, &tenants[3], 1), FH_FULL);
    assert_code(tier_create(f, FH_TIER_SCHEMA, &tenants[2], 1), FH_OK);
    assert_code(tier_create(f, FH_TIER_DATABASE, &tenants[3], 1), FH_OK);
    assert_code(tier_erase(f, FH_TIER_SCHEMA, &tenants[0], 1), FH_OK);
    assert_code(tier_create(f, FH_TIER_SCHEMA, &tenants[3], 1), FH_OK);
    assert_code(tier_create(f, FH_TIER_SCHEMA, &tenants[0], 1), FH_FULL);
}

static void spoil(const char *path, off_t at)
{
    static const char noise[4096] = "noise";
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, noise, sizeof(noise), at), sizeof(noise));
    close(fd);
}

static void test_check_names_files(void **state)
{
    struct fixture *f = *state;
    char path[256];
    char stranger[256];
    for (int i = 0; i < 4; i++) {
        struct fh_uuid tenant = tier_tenant(i);
        assert_code(tier_create(f, tiers[i % 2], &tenant, 1), FH_OK);
    }
    assert_int_equal(tier_check(f, ""), 0);
    fixture_shut(f);
    struct fh_uuid damaged = tier_tenant(1);
    tier_path(f, &damaged, path);
    spoil(path, 4096);
    (void)snprintf(stranger, sizeof(stranger), "%s/homes/03/notes.txt", f->directory);
    int fd = open(stranger, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    (void)snprintf(path, sizeof(path), "%s/bridge-00.db", f->directory);
    spoil(path, 0);
    fixture_open(f);
    assert_true(tier_check(f, "homes/01/t_") > 0);
    assert_int_equal(tier_check(f, "homes/03/notes.txt"), 1);
    assert_int_equal(tier_check(f, "homes/03/t_"), 0);
    assert_true(tier_check(f, "bridge-00.db") > 0);
    assert_int_equal(tier_check(f, "bridge-02.db"), 0);
    struct fh_uuid well = tier_tenant(3);
    assert_code(tier_put(f, FH_TIER_DATABASE, &well, 1), FH_OK);
}

/* A file that says it is another bridge file is not used. */
static void test_bridge_files_know_their_place(void **state)
{
    struct fixture *f = *state;
    char from[128];
    char to[128];
    struct fh_uuid tenant = tier_tenant(5);
    struct fh_uuid other = tier_tenant(6);
    struct fh_op_fence fence;
    assert_code(tier_create(f, FH_TIER_SCHEMA, &tenant, 1), FH_OK);
    fixture_shut(f);
    (void)snprintf(from, sizeof(from), "%s/bridge-05.db", f->directory);
    (void)snprintf(to, sizeof(to), "%s/bridge-06.db", f->directory);
    assert_int_equal(rename(from, to), 0);
    fixture_open(f);
    assert_code(tier_create(f, FH_TIER_SCHEMA, &other, 1), FH_INVALID);
    assert_code(tier_fence(f, FH_TIER_SCHEMA, &other, &fence), FH_INVALID);
}

/* Nor is a home's file under another's name swept like one that lost its fence. */
static void test_files_under_wrong_names(void **state)
{
    struct fixture *f = *state;
    char from[256];
    char to[256];
    struct fh_uuid tenant = tier_tenant(5);
    struct fh_uuid other = tier_tenant(256 + 5); /* of the same directory */
    bool found = false;
    assert_code(tier_create(f, FH_TIER_DATABASE, &tenant, 1), FH_OK);
    assert_code(tier_put(f, FH_TIER_DATABASE, &tenant, 1), FH_OK);
    fixture_shut(f);
    tier_path(f, &tenant, from);
    tier_path(f, &other, to);
    assert_int_equal(rename(from, to), 0);
    fixture_open(f);
    assert_code(tier_get(f, FH_TIER_DATABASE, &other, 1, &found), FH_NO_TENANT);
    assert_code(tier_erase(f, FH_TIER_DATABASE, &other, 1), FH_CORRUPT);
    assert_code(tier_create(f, FH_TIER_DATABASE, &other, 1), FH_CORRUPT);
    fixture_shut(f);
    assert_int_equal(rename(to, from), 0);
    fixture_open(f);
    assert_code(tier_get(f, FH_TIER_DATABASE, &tenant, 1, &found), FH_OK);
    assert_true(found);
}

static void test_no_logins(void **state)
{
    struct fixture *f = *state;
    struct fh_request request = tier_request(f, FH_OP_CREDENTIAL, FH_TIER_DATABASE, &f->a);
    assert_code(fixture_run(f, &request), FH_UNIMPLEMENTED);
    assert_true(request.error.message[0] != '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_life_of_a_home),
        FIXTURE_TEST(test_more_homes_than_may_be_open),
        FIXTURE_TEST(test_few_descriptors),
        FIXTURE_TEST(test_idle_files_are_closed),
        FIXTURE_TEST(test_two_stores_on_one_directory),
        FIXTURE_TEST(test_old_handles_find_no_fence),
        FIXTURE_TEST(test_closing_an_old_handle_leaves_the_new_log),
        FIXTURE_TEST(test_the_directory_is_locked),
        FIXTURE_TEST(test_the_check_respects_the_lock),
        FIXTURE_TEST(test_questions_keep_no_erased_file),
        FIXTURE_TEST(test_homes_are_bounded),
        FIXTURE_TEST(test_check_names_files),
        FIXTURE_TEST(test_bridge_files_know_their_place),
        FIXTURE_TEST(test_files_under_wrong_names),
        FIXTURE_TEST(test_no_logins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
