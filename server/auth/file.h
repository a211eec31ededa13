/* The two things identity does with files: look at a small one again when it changed, and make one
 * so that it is there whole or not at all.
 *
 * Blocking; the files are small and local. Any thread. Owns nothing.
 */
#ifndef FH_SERVER_AUTH_FILE_H
#define FH_SERVER_AUTH_FILE_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "base/buf.h"
#include "base/code.h"
#include "base/error.h"
#include "base/str.h"

/* What tells one state of a file from another without reading it. */
struct fh_file_stamp {
    int error; /* errno of stat(2), 0 when the file is there */
    dev_t device;
    ino_t inode;
    off_t size;
    mode_t mode;
    struct timespec modified;
    struct timespec changed; /* a copy that keeps mtime and size still shows here */
};

void fh_file_stamp_take(const char *path, struct fh_file_stamp *out);
bool fh_file_stamp_same(const struct fh_file_stamp *a, const struct fh_file_stamp *b);

/* Appends the whole of a regular file to `out`, whose len_max bounds it. `stamp` (may be NULL) is
 * of what was read. FH_NOT_FOUND, FH_TOO_LARGE, FH_INVALID (not a regular file), FH_NOMEM,
 * FH_UNAVAILABLE (the system said no). */
FH_MUST_CHECK enum fh_code fh_file_read(const char *path, struct fh_buf *out,
                                        struct fh_file_stamp *stamp, struct fh_error *error);

enum fh_file_existing { FH_FILE_KEEP_EXISTING, FH_FILE_REPLACE };
/* Writes `name` in the directory: a temporary file made with O_EXCL, synced, put in place in one
 * step, the directory synced. With KEEP, a file that is there already answers FH_EXISTS. The caller
 * holds a lock that keeps other writers of `name` out. */
FH_MUST_CHECK enum fh_code fh_file_write(int dir_fd, const char *name, mode_t mode,
                                         enum fh_file_existing existing, struct fh_str data,
                                         struct fh_error *error);

#endif
