/* The embedded catalog: one SQLite file (WAL, synchronous FULL), one worker thread. */
#ifndef FH_ROUTER_CATALOG_SQLITE_CATALOG_SQLITE_H
#define FH_ROUTER_CATALOG_SQLITE_CATALOG_SQLITE_H

#include "router/catalog.h"

/* Opens or creates `path` (mode 0600); refuses a file that is not a catalog or is newer than this
 * program. Blocks for milliseconds. */
FH_MUST_CHECK enum fh_code fh_catalog_sqlite_open(const struct fh_env *env, const char *path,
                                                  struct fh_catalog **out, struct fh_error *error);

#endif
