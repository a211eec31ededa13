/* grpc.health.v1: what is served, and who watches it.
 *
 * Loop thread only. Entries are names of services with the listeners that offer them; a name set by
 * the application that no listener registered is visible on all. Limits: 64 names, 256 watchers.
 */
#ifndef FH_SERVER_RPC_HEALTH_H
#define FH_SERVER_RPC_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "server/rpc/server.h"

#define FH_RPC_HEALTH_NAMES_MAX 64
#define FH_RPC_HEALTH_NAME_MAX 128
#define FH_RPC_HEALTH_WATCHERS_MAX 256

struct rpc_listener;

struct rpc_health_entry {
    char name[FH_RPC_HEALTH_NAME_MAX];
    uint32_t listeners; /* bit by listener index */
    bool serving;
};

struct rpc_health {
    struct rpc_health_entry entries[FH_RPC_HEALTH_NAMES_MAX];
    size_t count;
    struct fh_list watchers;
    size_t watcher_count;
};

void fh_rpc_health_init(struct rpc_health *health);
/* A listener offers this service; starts as not serving. FH_FULL, FH_TOO_LARGE. */
FH_MUST_CHECK enum fh_code fh_rpc_health_offer(struct rpc_health *health, const char *service,
                                               uint32_t listener);
void fh_rpc_health_set(struct rpc_health *health, const char *service, bool serving);
/* Shutting down: everything is not serving; watchers are told. */
void fh_rpc_health_stop(struct rpc_health *health);
/* The service to register on a listener; `listener` is the handlers' argument. */
struct fh_rpc_service fh_rpc_health_service(struct rpc_listener *listener);

#endif
