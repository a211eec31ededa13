#include "tests/unit/stores_sqlite/tiers.h"

#include <dlfcn.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fh_request tier_request(struct fixture *f, enum fh_op op, enum fh_tier tier,
                               const struct fh_uuid *tenant)
{
    struct fh_request request = fixture_request(f, op, tenant);
    fh_home_of(tier, tenant, &request.scope.home);
    return request;
}

enum fh_code tier_create(struct fixture *f, enum fh_tier tier, const struct fh_uuid *tenant,
                         uint64_t generation)
{
    struct fh_request request = tier_request(f, FH_OP_HOME_CREATE, tier, tenant);
    request.as.home.fence =
        (struct fh_fence){.epoch = 1, .generation = generation, .mode = FH_FENCE_OPEN};
    return fixture_run(f, &request);
}

enum fh_code tier_erase(struct fixture *f, enum fh_tier tier, const struct fh_uuid *tenant,
                        uint64_t generation)
{
    struct fh_request request = tier_request(f, FH_OP_HOME_ERASE, tier, tenant);
    request.as.home.fence.generation = generation;
    return fixture_run(f, &request);
}

enum fh_code tier_fence(struct fixture *f, enum fh_tier tier, const struct fh_uuid *tenant,
                        struct fh_op_fence *out)
{
    struct fh_request request = tier_request(f, FH_OP_FENCE_READ, tier, tenant);
    enum fh_code code = fixture_run(f, &request);
    *out = request.as.fence;
    return code;
}

enum fh_code tier_put(struct fixture *f, enum fh_tier tier, const struct fh_uuid *tenant,
                      int64_t id)
{
    struct fh_request request =
        fixture_commit(f, tenant, fixture_write(f, FH_WRITE_UPSERT, fixture_item(id), "n", NULL));
    fh_home_of(tier, tenant, &request.scope.home);
    return fixture_run(f, &request);
}

enum fh_code tier_get(struct fixture *f, enum fh_tier tier, const struct fh_uuid *tenant,
                      int64_t id, bool *found)
{
    struct fh_key key = fixture_item(id);
    struct fh_request request = tier_request(f, FH_OP_GET, tier, tenant);
    request.as.get.keys = &key;
    request.as.get.count = 1;
    enum fh_code code = fixture_run(f, &request);
    *found = code == FH_OK && request.as.get.rows[0] != NULL;
    return code;
}

size_t tier_check(struct fixture *f, const char *naming)
{
    struct fh_request request = fixture_request(f, FH_OP_CHECK, NULL);
    size_t off = 0;
    assert_code(fixture_run(f, &request), FH_OK);
    for (size_t i = 0; i < request.as.check.count; i++) {
        const struct fh_finding *finding = &request.as.check.findings[i];
        char subject[512];
        (void)snprintf(subject, sizeof(subject), "%.*s", FH_STR_ARG(finding->subject));
        if (!finding->ok && strstr(subject, naming) != NULL) {
            print_message("%s: %.*s\n", subject, FH_STR_ARG(finding->text));
            off++;
        }
    }
    return off;
}

static size_t files;

static int count_cb(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)path;
    (void)status;
    (void)walk;
    files += kind == FTW_F ? 1 : 0;
    return 0;
}

size_t tier_files(const struct fixture *f)
{
    char path[128];
    files = 0;
    (void)snprintf(path, sizeof(path), "%s/homes", f->directory);
    (void)nftw(path, count_cb, 16, FTW_PHYS);
    return files;
}

void tier_path(const struct fixture *f, const struct fh_uuid *tenant, char out[256])
{
    struct fh_home home;
    fh_home_of(FH_TIER_DATABASE, tenant, &home);
    (void)snprintf(out, 256, "%s/homes/%02x/%s.db", f->directory, tenant->bytes[15], home.name);
}

struct fh_uuid tier_tenant(int number)
{
    struct fh_uuid tenant = {.bytes = {0x77}};
    tenant.bytes[14] = (uint8_t)(number >> 8);
    tenant.bytes[15] = (uint8_t)number;
    return tenant;
}

/* The disk. This program's functions stand in front of the C library's, also for SQLite. */

static int64_t countdown; /* 0: nothing is to happen; atomic */
static int reason_of;
static int met; /* atomic */

void disk_fail_at(int64_t nth, int reason)
{
    reason_of = reason;
    __atomic_store_n(&met, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&countdown, nth, __ATOMIC_SEQ_CST);
}

bool disk_heal(void)
{
    __atomic_store_n(&countdown, 0, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&met, __ATOMIC_SEQ_CST) != 0;
}

static bool strikes(void)
{
    if (__atomic_load_n(&countdown, __ATOMIC_SEQ_CST) <= 0 ||
        __atomic_sub_fetch(&countdown, 1, __ATOMIC_SEQ_CST) != 0) {
        return false;
    }
    __atomic_store_n(&met, 1, __ATOMIC_SEQ_CST);
    if (reason_of == 0) {
        kill(getpid(), SIGKILL);
    }
    errno = reason_of;
    return true;
}

#define IN_FRONT_OF(result, name, parameters, arguments) \
    result name parameters;                              \
    result name parameters                               \
    {                                                    \
        static result(*real) parameters;                 \
        if (real == NULL) {                              \
            *(void **)&real = dlsym(RTLD_NEXT, #name);   \
        }                                                \
        return strikes() ? -1 : real arguments;          \
    }

IN_FRONT_OF(int, fsync, (int fd), (fd))
IN_FRONT_OF(int, fdatasync, (int fd), (fd))
IN_FRONT_OF(int, rename, (const char *from, const char *to), (from, to))
IN_FRONT_OF(int, unlink, (const char *path), (path))
IN_FRONT_OF(int, mkdir, (const char *path, mode_t mode), (path, mode))
IN_FRONT_OF(int, ftruncate, (int fd, off_t size), (fd, size))
IN_FRONT_OF(int, ftruncate64, (int fd, off_t size), (fd, size))
IN_FRONT_OF(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at),
            (fd, data, size, at))
IN_FRONT_OF(ssize_t, pwrite64, (int fd, const void *data, size_t size, off_t at),
            (fd, data, size, at))
