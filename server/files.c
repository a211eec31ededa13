/* The soft limit is low for programs that still use select(); nothing here does.
 *
 * Failures: the limit stays as it is, which whoever reads the log can see.
 */
#include "server/files.h"

#include <sys/resource.h>

static int64_t number_of(rlim_t limit)
{
    return limit == RLIM_INFINITY || limit > INT64_MAX ? -1 : (int64_t)limit;
}

void fh_file_limit_raise(struct fh_file_limit *out)
{
    struct rlimit limit;
    *out = (struct fh_file_limit){.before = -1, .now = -1};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    out->before = number_of(limit.rlim_cur);
    out->now = out->before;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0) {
        out->now = number_of(limit.rlim_cur);
    }
}
