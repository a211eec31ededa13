/* Small files read whole, and written. Blocking; any thread. */
#ifndef FH_CLIENTS_CLI_FILE_H
#define FH_CLIENTS_CLI_FILE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/code.h"
#include "base/error.h"

struct fh_file_facts {
    bool readable_by_others; /* group or others have any right on it */
    bool owned;              /* by this user or root */
};

/* Appends the file to `out`, whose bound is the file's. `facts` may be NULL. FH_NOT_FOUND: there is
 * none; FH_TOO_LARGE, FH_NOMEM; else FH_UNAVAILABLE. Never follows into a directory or a pipe. */
FH_MUST_CHECK enum fh_code fh_file_read_all(const char *path, struct fh_buf *out,
                                            struct fh_file_facts *facts, struct fh_error *error);
/* The file's first line, without its end and blanks around it. For tokens. */
FH_MUST_CHECK enum fh_code fh_file_read_line(const char *path, struct fh_buf *out,
                                             struct fh_error *error);
/* Replaces `path` whole or not at all. */
FH_MUST_CHECK enum fh_code fh_file_write(const char *path, unsigned mode, struct fh_str data,
                                         struct fh_error *error);
/* The same, mode 0600; makes its folder (0700) if that is missing. */
FH_MUST_CHECK enum fh_code fh_file_write_private(const char *path, struct fh_str data,
                                                 struct fh_error *error);

#endif
