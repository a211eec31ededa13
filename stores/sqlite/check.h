/* FH_OP_CHECK: is the file what this engine promises? */
#ifndef FH_STORES_SQLITE_CHECK_H
#define FH_STORES_SQLITE_CHECK_H

#include "stores/sqlite/layout.h"
#include "stores/store.h"

/* One file: of one home, or (`home` NULL) a bridge file with all its homes. On a connection of its
 * own, so that it disturbs none; a worker's thread. What is off becomes a finding, behind those
 * that the request has already (of other files); an error code means that the check itself could
 * not be made. */
FH_MUST_CHECK enum fh_code fh_sqlite_check(const struct fh_sqlite_place *place,
                                           const struct fh_home *home, const struct fh_clock *clock,
                                           struct fh_request *request);

#endif
