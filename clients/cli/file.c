/* Happy path: open, look at what it is, read to the end or the bound. Writing goes through a file
 * beside the target and a rename, so that a reader never sees half of it. */
#include "clients/cli/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 4096
#define PATH_BYTES_MAX 4096

static enum fh_code failed(struct fh_error *error, const char *what, const char *path)
{
    const int number = errno;
    return fh_error_set(error, number == ENOENT ? FH_NOT_FOUND : FH_UNAVAILABLE, "cannot %s %s: %s",
                        what, path, strerror(number));
}

static enum fh_code read_fd(int fd, const char *path, struct fh_buf *out, struct fh_error *error)
{
    char chunk[CHUNK];
    for (;;) {
        const ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return failed(error, "read", path);
        }
        if (got == 0) {
            break;
        }
        fh_buf_add(out, chunk, (size_t)got);
    }
    explicit_bzero(chunk, sizeof(chunk));
    const enum fh_code code = fh_buf_code(out);
    if (code == FH_TOO_LARGE) {
        return fh_error_set(error, code, "%s is larger than %zu bytes", path, out->len_max);
    }
    return code == FH_OK ? FH_OK : fh_error_set(error, code, "out of memory");
}

enum fh_code fh_file_read_all(const char *path, struct fh_buf *out, struct fh_file_facts *facts,
                              struct fh_error *error)
{
    struct stat stat;
    /* Non-blocking, so that opening a pipe does not wait for its writer. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return failed(error, "open", path);
    }
    enum fh_code code;
    if (fstat(fd, &stat) != 0) {
        code = failed(error, "read", path);
    } else if (!S_ISREG(stat.st_mode)) {
        code = fh_error_set(error, FH_INVALID, "%s is not a file", path);
    } else {
        code = read_fd(fd, path, out, error);
    }
    if (code == FH_OK && facts != NULL) {
        facts->readable_by_others = (stat.st_mode & 077) != 0;
        facts->owned = stat.st_uid == geteuid() || stat.st_uid == 0;
    }
    (void)close(fd);
    return code;
}

enum fh_code fh_file_read_line(const char *path, struct fh_buf *out, struct fh_error *error)
{
    struct fh_buf whole;
    fh_buf_init(&whole, out->len_max);
    enum fh_code code = fh_file_read_all(path, &whole, NULL, error);
    if (code == FH_OK) {
        struct fh_str text = fh_buf_str(&whole);
        while (text.len > 0 && (unsigned char)text.data[0] <= ' ') {
            text.data++;
            text.len--;
        }
        size_t len = 0;
        while (len < text.len && (unsigned char)text.data[len] > ' ') {
            len++;
        }
        fh_buf_add(out, text.data, len);
        code = len == 0 ? fh_error_set(error, FH_INVALID, "%s is empty", path) : fh_buf_code(out);
    }
    if (whole.data != NULL) {
        explicit_bzero(whole.data, whole.capacity);
    }
    fh_buf_close(&whole);
    return code;
}

static enum fh_code make_folders(const char *path, struct fh_error *error)
{
    char folder[PATH_BYTES_MAX];
    (void)snprintf(folder, sizeof(folder), "%s", path);
    for (char *slash = strchr(folder + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
            return failed(error, "make the folder", folder);
        }
        *slash = '/';
    }
    return FH_OK;
}

static enum fh_code write_fd(int fd, struct fh_str data, const char *path, struct fh_error *error)
{
    while (data.len > 0) {
        const ssize_t put = write(fd, data.data, data.len);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return failed(error, "write", path);
        }
        data.data += put;
        data.len -= (size_t)put;
    }
    return fsync(fd) == 0 ? FH_OK : failed(error, "write", path);
}

enum fh_code fh_file_write(const char *path, unsigned mode, struct fh_str data,
                           struct fh_error *error)
{
    char beside[PATH_BYTES_MAX];
    if (snprintf(beside, sizeof(beside), "%s.XXXXXX", path) >= (int)sizeof(beside)) {
        return fh_error_set(error, FH_INVALID, "the path %.64s... is too long", path);
    }
    const int fd = mkostemp(beside, O_CLOEXEC); /* mode 0600 */
    if (fd < 0) {
        return failed(error, "write beside", path);
    }
    enum fh_code code = write_fd(fd, data, path, error);
    if (code == FH_OK && fchmod(fd, (mode_t)mode) != 0) {
        code = failed(error, "set the mode of", path);
    }
    if (close(fd) != 0 && code == FH_OK) {
        code = failed(error, "write", path);
    }
    if (code == FH_OK && rename(beside, path) != 0) {
        code = failed(error, "replace", path);
    }
    if (code != FH_OK) {
        (void)unlink(beside);
    }
    return code;
}

enum fh_code fh_file_write_private(const char *path, struct fh_str data, struct fh_error *error)
{
    const enum fh_code code = make_folders(path, error);
    return code == FH_OK ? fh_file_write(path, 0600, data, error) : code;
}
