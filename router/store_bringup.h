/* One store's shared home: asked for its version, and made at the newest when it has none, as that
 * of a fresh store, where nobody lives. Loop thread only.
 */
#ifndef FH_ROUTER_STORE_BRINGUP_H
#define FH_ROUTER_STORE_BRINGUP_H

#include "stores/store.h"

struct fh_store_bringup {
    /* The caller's */
    char name[sizeof(((struct fh_store *)NULL)->name)]; /* the store may be gone by the end */
    /* Once, on the loop, not inside begin; `version`: it is at now, 0: not known. */
    void (*done_cb)(struct fh_store_bringup *bringup, enum fh_code code, uint32_t version);
    void *arg;
    struct fh_request request; /* its error tells more */

    /* Its own */
    struct fh_arena arena;
    struct fh_store *store;
    const struct fh_schema *newest;
};

/* Fills the rest; `request.error` tells why it is refused. */
FH_MUST_CHECK enum fh_code fh_store_bringup_begin(struct fh_store_bringup *bringup,
                                                  struct fh_store *store,
                                                  const struct fh_schema *newest,
                                                  int64_t deadline_us);
void fh_store_bringup_close(struct fh_store_bringup *bringup); /* also of one never begun */

#endif
