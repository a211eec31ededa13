/* The services of the API: what each method needs and does, over router and catalog.
 *
 * One source a service; each offers its table (descriptor, methods with the roles they need,
 * handlers). Handlers validate, convert, submit one routed request embedded in the call's arena,
 * and answer in its completion. They know neither engines nor gRPC.
 */
#ifndef FH_SERVER_HANDLERS_SERVICES_H
#define FH_SERVER_HANDLERS_SERVICES_H

#include "base/env.h"
#include "migrator/migrator.h"
#include "prober/prober.h"
#include "router/catalog.h"
#include "router/provision.h"
#include "router/roller.h"
#include "router/router.h"
#include "router/schemas.h"
#include "router/store_registry.h"
#include "server/handlers/page_token.h"
#include "server/rpc/server.h"

/* What the handlers work with; borrowed, outlives them. */
struct fh_services {
    const struct fh_env *env;
    struct fh_router *router;
    struct fh_catalog *catalog;
    struct fh_provisioner *provisioner;
    struct fh_schemas *schemas;
    struct fh_store_registry *stores;
    struct fh_page_keys *page_keys;
    struct fh_migrator *migrator; /* NULL: this server runs no moves */
    struct fh_roller *roller;     /* NULL: nor rollouts */
    struct fh_prober *prober;     /* NULL: it has ended */
    const char *default_store;    /* for tenants created without one */
    bool stopping;                /* streams are to end by themselves */
};

/* Tenant realm */
struct fh_rpc_service fh_data_service(struct fh_services *services);
struct fh_rpc_service fh_audit_service(struct fh_services *services);
/* Operator realm */
struct fh_rpc_service fh_tenant_admin_service(struct fh_services *services);
struct fh_rpc_service fh_store_admin_service(struct fh_services *services);
struct fh_rpc_service fh_schema_service(struct fh_services *services);
struct fh_rpc_service fh_move_admin_service(struct fh_services *services);
struct fh_rpc_service fh_probe_service(struct fh_services *services);

#endif
