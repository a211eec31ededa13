/* fh_file_write: <name>.tmp is written and synced, then takes the name by link(2), which never
 * overwrites, or by rename(2), which always does. Killed in between, a .tmp stays; the next writer
 * removes it. */
#include "server/auth/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME_MAX_BYTES 128

static void stamp_from(const struct stat *status, struct fh_file_stamp *out)
{
    *out = (struct fh_file_stamp){.device = status->st_dev,
                                  .inode = status->st_ino,
                                  .size = status->st_size,
                                  .mode = status->st_mode,
                                  .modified = status->st_mtim,
                                  .changed = status->st_ctim};
}

void fh_file_stamp_take(const char *path, struct fh_file_stamp *out)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        *out = (struct fh_file_stamp){.error = errno};
        return;
    }
    stamp_from(&status, out);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool fh_file_stamp_same(const struct fh_file_stamp *a, const struct fh_file_stamp *b)
{
    return a->error == b->error && a->device == b->device && a->inode == b->inode &&
           a->size == b->size && a->mode == b->mode && same_time(&a->modified, &b->modified) &&
           same_time(&a->changed, &b->changed);
}

static enum fh_code read_all(int fd, const char *path, struct fh_buf *out, struct fh_error *error)
{
    char chunk[4096];
    /* Ends: every turn but the last adds to a buffer that is bounded. */
    while (fh_buf_code(out) == FH_OK) {
        const ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fh_error_set(error, FH_UNAVAILABLE, "cannot read %s: %s", path, strerror(errno));
        }
        if (got == 0) {
            break;
        }
        fh_buf_add(out, chunk, (size_t)got);
    }
    explicit_bzero(chunk, sizeof(chunk)); /* may have been a private key */
    switch (fh_buf_code(out)) {
    case FH_OK:
        return FH_OK;
    case FH_TOO_LARGE:
        return fh_error_set(error, FH_TOO_LARGE, "%s is larger than %zu bytes", path, out->len_max);
    default:
        return fh_error_set(error, FH_NOMEM, "out of memory reading %s", path);
    }
}

enum fh_code fh_file_read(const char *path, struct fh_buf *out, struct fh_file_stamp *stamp,
                          struct fh_error *error)
{
    struct stat status;
    /* O_NONBLOCK: a FIFO in the file's place must not hang the loop. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return fh_error_set(error, errno == ENOENT ? FH_NOT_FOUND : FH_UNAVAILABLE,
                            "cannot open %s: %s", path, strerror(errno));
    }
    enum fh_code code = FH_OK;
    if (fstat(fd, &status) != 0) {
        code = fh_error_set(error, FH_UNAVAILABLE, "cannot look at %s: %s", path, strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        code = fh_error_set(error, FH_INVALID, "%s is not a regular file", path);
    } else {
        if (stamp != NULL) {
            stamp_from(&status, stamp);
        }
        code = read_all(fd, path, out, error);
    }
    close(fd);
    return code;
}

static bool write_all(int fd, struct fh_str data)
{
    while (data.len > 0) {
        const ssize_t put = write(fd, data.data, data.len);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return false;
        }
        data.data += put;
        data.len -= (size_t)put;
    }
    return true;
}

static bool write_temporary(int dir_fd, const char *name, mode_t mode, struct fh_str data)
{
    if (unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT) {
        return false;
    }
    const int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        return false;
    }
    /* fchmod: the mode is a promise, whatever the umask. */
    const bool written = fchmod(fd, mode) == 0 && write_all(fd, data) && fsync(fd) == 0;
    const int reason = errno;
    close(fd);
    errno = reason;
    return written;
}

static bool put_in_place(int dir_fd, const char *temporary, const char *name,
                         enum fh_file_existing existing)
{
    if (existing == FH_FILE_REPLACE) {
        return renameat(dir_fd, temporary, dir_fd, name) == 0;
    }
    return linkat(dir_fd, temporary, dir_fd, name, 0) == 0 && unlinkat(dir_fd, temporary, 0) == 0;
}

enum fh_code fh_file_write(int dir_fd, const char *name, mode_t mode,
                           enum fh_file_existing existing, struct fh_str data,
                           struct fh_error *error)
{
    char temporary[NAME_MAX_BYTES];
    const int len = snprintf(temporary, sizeof(temporary), "%s.tmp", name);
    if (len < 0 || (size_t)len >= sizeof(temporary)) {
        return fh_error_set(error, FH_INVALID, "file name is too long");
    }
    if (write_temporary(dir_fd, temporary, mode, data) &&
        put_in_place(dir_fd, temporary, name, existing) && fsync(dir_fd) == 0) {
        return FH_OK;
    }
    const int reason = errno;
    (void)unlinkat(dir_fd, temporary, 0);
    if (reason == EEXIST) {
        return fh_error_set(error, FH_EXISTS, "%s is there already", name);
    }
    return fh_error_set(error, reason == ENOSPC || reason == EDQUOT ? FH_DISK_FULL : FH_UNAVAILABLE,
                        "cannot write %s: %s", name, strerror(reason));
}
