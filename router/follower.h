/* Keeps this process in step with what others register: stores and schema versions.
 *
 * Where several servers share a catalog, one opens the store and applies the migration, the others
 * must learn of it. After a hint, and every 5 s on a shared catalog (a hint may be lost), the
 * follower lists what the catalog holds, opens the stores that are not open here, and brings the
 * schema up to date; also when the router met a home whose version is not known here. Start it when
 * the first load of the schema is done.
 *
 * Borrows everything, the stores and schemas until it is closed. Loop thread only. One round at a
 * time, however many hints come.
 */
#ifndef FH_ROUTER_FOLLOWER_H
#define FH_ROUTER_FOLLOWER_H

#include "base/env.h"
#include "router/catalog.h"
#include "router/schemas.h"
#include "router/store_registry.h"

struct fh_follower;

struct fh_follower_parts {
    const struct fh_env *env;
    struct fh_catalog *catalog;
    struct fh_router *router; /* may be NULL; else it tells of versions that homes are at already */
    struct fh_store_registry *stores;
    struct fh_schemas *schemas;
};

FH_MUST_CHECK enum fh_code fh_follower_create(const struct fh_follower_parts *parts,
                                              struct fh_follower **out);
/* A round now, or behind the one that runs. */
void fh_follower_look(struct fh_follower *follower);
/* Ends the round that runs, then `closed_cb` (never inside this call). Before the stores are
 * closed, for a round may open one. */
void fh_follower_close(struct fh_follower *follower, void (*closed_cb)(void *arg), void *arg);

#endif
