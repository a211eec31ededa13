/* Opens registered stores with the engine tables the application brought, and hands them to the
 * router.
 *
 * Owns the open stores; closes them all at the end. Loop thread only.
 */
#ifndef FH_ROUTER_STORE_REGISTRY_H
#define FH_ROUTER_STORE_REGISTRY_H

#include "base/env.h"
#include "router/catalog.h"
#include "router/router.h"
#include "stores/store.h"

struct fh_store_registry;

struct fh_store_registry_options {
    const struct fh_store_ops *const *engines; /* borrowed */
    size_t engine_count;
    const char *data_dir; /* relative SQLite locations are under it; made when missing (0700) */
    bool shared; /* others open these stores too: a relative SQLite location is refused, for each
                    would take it for one of its own */
    uint32_t homes_max; /* of each store, as fh_store_config's; 0: the engine's default */
    uint32_t open_homes_max;
    const uint8_t *secret;                    /* the same: 32 bytes, borrowed; or NULL */
    const struct fh_isolation_faults *faults; /* tests; given to every store */
};

FH_MUST_CHECK enum fh_code fh_store_registry_create(const struct fh_env *env,
                                                    struct fh_router *router,
                                                    const struct fh_store_registry_options *options,
                                                    struct fh_store_registry **out);
/* Validates name, engine and location; opens; adds to the router. FH_EXISTS for a name that is
 * open. */
FH_MUST_CHECK enum fh_code fh_store_registry_open(struct fh_store_registry *registry,
                                                  const struct fh_store_record *record,
                                                  struct fh_store **out, struct fh_error *error);
/* The operations of an engine that the application brought; NULL: it brought none of the name. */
const struct fh_store_ops *fh_store_registry_engine(const struct fh_store_registry *registry,
                                                    struct fh_str name);
/* As registered; NULL when unknown. Borrowed. */
const struct fh_store_record *fh_store_registry_record(const struct fh_store_registry *registry,
                                                       struct fh_str name);
/* Takes a store that could not be registered out again (only before any request was routed to it).
 */
void fh_store_registry_forget(struct fh_store_registry *registry, struct fh_store *store,
                              void (*closed_cb)(void *arg), void *arg);
/* Closes every store, then `closed_cb`, and the registry is gone. */
void fh_store_registry_close(struct fh_store_registry *registry, void (*closed_cb)(void *arg),
                             void *arg);

#endif
