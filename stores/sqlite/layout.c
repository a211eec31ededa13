/* Failures: each says the path and the reason; a full disk is FH_DISK_FULL, a path that cannot be
 * one FH_INVALID, and everything else FH_UNAVAILABLE.
 */
#include "stores/sqlite/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

/* Of a millisecond: making a file is two syncs of the disk. */
#define DIRECTORY_LOCK_WAITS_MAX 500

enum fh_code fh_sqlite_path_error(struct fh_error *error, const char *path, int reason)
{
    enum fh_code code = FH_UNAVAILABLE;
    if (reason == ENOSPC || reason == EDQUOT) {
        code = FH_DISK_FULL;
    } else if (reason == ENOTDIR || reason == ENOENT || reason == ENAMETOOLONG || reason == ELOOP) {
        code = FH_INVALID;
    }
    return fh_error_set(error, code, "%s: %s", path, strerror(reason));
}

enum fh_code fh_sqlite_layout_init(struct fh_sqlite_layout *layout, const char *location,
                                   struct fh_error *error)
{
    struct stat status;
    if (location == NULL || location[0] == '\0') {
        return fh_error_set(error, FH_INVALID, "a sqlite store needs a directory");
    }
    if (mkdir(location, 0700) != 0 && errno != EEXIST) {
        return fh_sqlite_path_error(error, location, errno);
    }
    /* Its real path, for SQLite refuses links. */
    if (realpath(location, layout->root) == NULL || stat(layout->root, &status) != 0) {
        return fh_sqlite_path_error(error, location, errno);
    }
    return S_ISDIR(status.st_mode) ? FH_OK : fh_sqlite_path_error(error, location, ENOTDIR);
}

void fh_sqlite_layout_bridge(const struct fh_sqlite_layout *layout, uint8_t number,
                             struct fh_sqlite_place *out)
{
    FH_ASSERT(number < FH_SQLITE_BRIDGE_FILES);
    out->bridge = true;
    out->number = number;
    out->directory[0] = '\0';
    (void)snprintf(out->path, sizeof(out->path), "%s/bridge-%02x.db", layout->root, number);
}

void fh_sqlite_layout_place(const struct fh_sqlite_layout *layout, const struct fh_home *home,
                            struct fh_sqlite_place *out)
{
    struct fh_uuid tenant;
    if (home->tier == FH_TIER_SHARED) {
        out->bridge = false;
        out->number = 0;
        out->directory[0] = '\0';
        (void)snprintf(out->path, sizeof(out->path), "%s/shared.db", layout->root);
        return;
    }
    bool dedicated = fh_home_tenant(home, &tenant);
    FH_ASSERT(dedicated);
    uint8_t last = tenant.bytes[sizeof(tenant.bytes) - 1];
    if (home->tier == FH_TIER_SCHEMA) {
        fh_sqlite_layout_bridge(layout, last % FH_SQLITE_BRIDGE_FILES, out);
        return;
    }
    out->bridge = false;
    out->number = last;
    (void)snprintf(out->directory, sizeof(out->directory), "%s/homes/%02x", layout->root, last);
    (void)snprintf(out->path, sizeof(out->path), "%s/homes/%02x/%.*s.db", layout->root, last,
                   (int)sizeof(home->name), home->name);
}

enum fh_code fh_sqlite_directory_sync(const char *directory, struct fh_error *error)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fh_sqlite_path_error(error, directory, errno);
    }
    int failed = fsync(fd);
    int reason = errno;
    close(fd);
    return failed == 0 ? FH_OK : fh_sqlite_path_error(error, directory, reason);
}

/* "/a/b" of "/a/b/c" */
static void parent_of(const char *path, char parent[FH_SQLITE_PATH_SIZE])
{
    const char *slash = strrchr(path, '/');
    FH_ASSERT(slash != NULL);
    (void)snprintf(parent, FH_SQLITE_PATH_SIZE, "%.*s", (int)(slash - path), path);
}

enum fh_code fh_sqlite_file_make(const struct fh_sqlite_place *place, struct fh_error *error)
{
    const char *path = place->path;
    struct stat status;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0) {
        char directory[FH_SQLITE_PATH_SIZE];
        close(fd);
        parent_of(path, directory);
        return fh_sqlite_directory_sync(directory, error);
    }
    if (errno != EEXIST) {
        return fh_sqlite_path_error(error, path, errno);
    }
    if (lstat(path, &status) != 0) {
        return fh_sqlite_path_error(error, path, errno);
    }
    if (!S_ISREG(status.st_mode)) {
        return fh_error_set(error, FH_INVALID, "%s is not a regular file", path);
    }
    return FH_OK;
}

enum fh_code fh_sqlite_file_find(const char *path, struct fh_error *error)
{
    struct stat status;
    if (lstat(path, &status) == 0) {
        return S_ISREG(status.st_mode)
                   ? FH_OK
                   : fh_error_set(error, FH_INVALID, "%s is not a regular file", path);
    }
    if (errno == ENOENT) {
        return fh_error_set(error, FH_NO_TENANT, "the tenant has no home in this store");
    }
    return fh_sqlite_path_error(error, path, errno);
}

static enum fh_code make_directory(const char *path, struct fh_error *error)
{
    struct stat status;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        return FH_OK;
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST ? FH_OK
                                                     : fh_sqlite_path_error(error, path, errno);
}

enum fh_code fh_sqlite_directories_make(const struct fh_sqlite_layout *layout,
                                        struct fh_error *error)
{
    char homes[FH_SQLITE_PATH_SIZE];
    char path[FH_SQLITE_PATH_SIZE];
    (void)snprintf(homes, sizeof(homes), "%s/homes", layout->root);
    enum fh_code code = make_directory(homes, error);
    for (int i = 0; i < FH_SQLITE_HOME_DIRECTORIES && code == FH_OK; i++) {
        (void)snprintf(path, sizeof(path), "%s/homes/%02x", layout->root, (unsigned)i);
        code = make_directory(path, error);
    }
    /* Also where all were there: who made them may have died before it came to this. */
    if (code == FH_OK) {
        code = fh_sqlite_directory_sync(homes, error);
    }
    return code == FH_OK ? fh_sqlite_directory_sync(layout->root, error) : code;
}

bool fh_sqlite_directory_exists(const struct fh_sqlite_place *place)
{
    struct stat status;
    return stat(place->directory, &status) == 0 && S_ISDIR(status.st_mode);
}

enum fh_code fh_sqlite_directory_lock(const struct fh_sqlite_place *place, bool exclusive,
                                      const struct fh_clock *clock, int64_t deadline_us, int *out,
                                      struct fh_error *error)
{
    FH_ASSERT(place->directory[0] != '\0');
    int fd = open(place->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT
                   ? fh_error_set(error, FH_NO_TENANT, "the tenant has no home in this store")
                   : fh_sqlite_path_error(error, place->directory, errno);
    }
    for (int waits = 0; flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0; waits++) {
        int reason = errno;
        if (reason != EWOULDBLOCK && reason != EINTR) {
            close(fd);
            return fh_sqlite_path_error(error, place->directory, reason);
        }
        if (waits >= DIRECTORY_LOCK_WAITS_MAX || fh_clock_monotonic_us(clock) >= deadline_us) {
            close(fd);
            return fh_error_set(error, FH_UNAVAILABLE,
                                "homes next to this one are being made or deleted; retry");
        }
        struct timespec millisecond = {.tv_nsec = 1000000};
        nanosleep(&millisecond, NULL);
    }
    *out = fd;
    return FH_OK;
}

void fh_sqlite_directory_unlock(int lock)
{
    close(lock); /* nobody inherited it */
}

enum fh_code fh_sqlite_file_remove(const struct fh_sqlite_place *place, const char *suffix,
                                   bool *removed, struct fh_error *error)
{
    char path[FH_SQLITE_PATH_SIZE + 16];
    (void)snprintf(path, sizeof(path), "%s%s", place->path, suffix);
    if (unlink(path) == 0) {
        *removed = true;
        return FH_OK;
    }
    return errno == ENOENT ? FH_OK : fh_sqlite_path_error(error, path, errno);
}

enum fh_code fh_sqlite_file_remove_all(const struct fh_sqlite_place *place,
                                       const char *const *suffixes, size_t count, bool *removed,
                                       struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < count; i++) {
        struct fh_error why = FH_ERROR_INIT;
        enum fh_code one = fh_sqlite_file_remove(place, suffixes[i], removed, &why);
        if (one != FH_OK && code == FH_OK) {
            code = fh_error_set(error, one, "%s", why.message);
        }
    }
    return code;
}

enum fh_code fh_sqlite_file_make_empty(const char *path, struct fh_error *error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fh_sqlite_path_error(error, path, errno);
    }
    close(fd);
    return FH_OK;
}

enum fh_code fh_sqlite_file_sync(const char *path, struct fh_error *error)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return fh_sqlite_path_error(error, path, errno);
    }
    int failed = fsync(fd);
    int reason = errno;
    close(fd); /* no connection has it open: no lock goes with it */
    return failed == 0 ? FH_OK : fh_sqlite_path_error(error, path, reason);
}
