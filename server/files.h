/* How many descriptors the process may have: files of tenants' homes and connections take most.
 *
 * Once, at start-up, before anything is opened: stores look at the limit when they open.
 */
#ifndef FH_SERVER_FILES_H
#define FH_SERVER_FILES_H

#include <stdint.h>

struct fh_file_limit {
    int64_t before; /* the soft limit as it was; -1: none, or unknown */
    int64_t now;    /* the same, after; as high as the hard limit lets it be */
};

void fh_file_limit_raise(struct fh_file_limit *out);

#endif
