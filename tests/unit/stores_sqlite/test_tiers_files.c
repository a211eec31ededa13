/* How files of homes come to be: what a process that died left beside a name is not taken for the
 * file's own, and directories are made once. */
#include "tests/unit/stores_sqlite/tiers.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES_MAX ((size_t)4 << 20)

static char bytes[BYTES_MAX];

static void copy(const char *from, const char *to)
{
    int in = open(from, O_RDONLY);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(in >= 0 && out >= 0);
    ssize_t len = read(in, bytes, sizeof(bytes));
    assert_true(len > 0 && (size_t)len < sizeof(bytes));
    assert_int_equal(write(out, bytes, (size_t)len), len);
    close(in);
    close(out);
}

static bool is_there(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

/* The log of a bridge file that is gone, and what was to become one. */
static void test_a_new_bridge_file_is_new(void **state)
{
    struct fixture *f = *state;
    char path[160];
    char log[168];
    char kept[168];
    char new[168];
    struct fh_uuid tenant = tier_tenant(5);
    struct fh_uuid other = tier_tenant(64 + 5); /* of the same file */
    struct fh_op_fence fence;
    (void)snprintf(path, sizeof(path), "%s/bridge-05.db", f->directory);
    (void)snprintf(log, sizeof(log), "%s-wal", path);
    (void)snprintf(kept, sizeof(kept), "%s-kept", path);
    (void)snprintf(new, sizeof(new), "%s.new", path);
    assert_code(tier_create(f, FH_TIER_SCHEMA, &tenant, 1), FH_OK);
    copy(log, kept); /* the home's tables are in there, and nowhere else */
    fixture_shut(f);
    copy(path, new);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rename(kept, log), 0);
    fixture_open(f);
    assert_code(tier_create(f, FH_TIER_SCHEMA, &other, 1), FH_OK);
    assert_code(tier_fence(f, FH_TIER_SCHEMA, &tenant, &fence), FH_NO_TENANT);
    assert_code(tier_create(f, FH_TIER_SCHEMA, &tenant, 1), FH_OK);
    assert_false(is_there(new));
    assert_int_equal(tier_check(f, ""), 0);
}

/* One that is empty is what an earlier release left, which made the name first. */
static void test_an_empty_bridge_file_is_filled(void **state)
{
    struct fixture *f = *state;
    char path[160];
    struct fh_uuid tenant = tier_tenant(5);
    struct fh_op_fence fence;
    (void)snprintf(path, sizeof(path), "%s/bridge-05.db", f->directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_code(tier_fence(f, FH_TIER_SCHEMA, &tenant, &fence), FH_NO_TENANT);
    assert_code(tier_create(f, FH_TIER_SCHEMA, &tenant, 1), FH_OK);
    assert_code(tier_put(f, FH_TIER_SCHEMA, &tenant, 1), FH_OK);
    assert_int_equal(tier_check(f, ""), 0);
}

static void test_directories(void **state)
{
    struct fixture *f = *state;
    char path[160];
    struct fh_uuid tenants[] = {tier_tenant(1), tier_tenant(2), tier_tenant(3)};
    assert_code(tier_create(f, FH_TIER_DATABASE, &tenants[0], 1), FH_OK);
    for (int i = 0; i < 256; i++) {
        (void)snprintf(path, sizeof(path), "%s/homes/%02x", f->directory, (unsigned)i);
        struct stat status;
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode, S_IFDIR | 0700);
    }
    (void)snprintf(path, sizeof(path), "%s/homes/02", f->directory);
    assert_int_equal(rmdir(path), 0);
    assert_code(tier_create(f, FH_TIER_DATABASE, &tenants[1], 1), FH_OK);
    fixture_shut(f);
    fixture_open(f);
    assert_code(tier_create(f, FH_TIER_DATABASE, &tenants[2], 1), FH_OK);
    assert_int_equal(tier_check(f, ""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_a_new_bridge_file_is_new),
        FIXTURE_TEST(test_an_empty_bridge_file_is_filled),
        FIXTURE_TEST(test_directories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
