/* Which schema version each store's shared home was at, when last looked at by this process, and
 * why it could not be looked at. By name; at most 1000 stores. Loop thread only.
 */
#ifndef FH_ROUTER_STORE_VERSIONS_H
#define FH_ROUTER_STORE_VERSIONS_H

#include <stdint.h>

#include "base/map.h"

struct fh_store_versions {
    struct fh_map map;
};

void fh_store_versions_init(struct fh_store_versions *versions);
void fh_store_versions_close(struct fh_store_versions *versions);
/* `version` 0 leaves the version that is known; `why` is "" when nothing is wrong. Out of memory
 * nothing is noted, and the store counts as never looked at. */
void fh_store_versions_note(struct fh_store_versions *versions, const char *store, uint32_t version,
                            const char *why);
/* False: it was never looked at. */
bool fh_store_versions_get(const struct fh_store_versions *versions, const char *store,
                           uint32_t *version, const char **why);

#endif
