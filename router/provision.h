/* Tenants come and go: the sagas over catalog and home, and the sweeper that finishes what was
 * interrupted.
 *
 * create: catalog row PROVISIONING (generation 1) -> home (fence open at epoch 1) -> catalog
 * ACTIVE. Any failure goes back: catalog DELETING (generation + 1) -> home erased -> DELETED.
 * Nothing is served before ACTIVE, and a home that a dead saga left is found by the sweeper, which
 * takes over by raising the generation first, so a saga that slept cannot bring the tenant to life.
 * delete: catalog DELETING (generation + 1), cache forgotten, fence closed -> home erased ->
 * DELETED.
 *
 * A dedicated home is made whole by its store and dropped whole; what a creation that died left of
 * one before it had a fence is dropped by the sweeper, too.
 *
 * Each saga is one heap object; at most `sagas_max` at once (FH_FULL). Crash points (debug builds)
 * are named here for the tests: "create.after_row", "create.after_home", "delete.after_row",
 * "delete.after_erase"; the environment variable FREEHOLD_CRASH_AT=<name> makes the process
 * _exit(137) there.
 */
#ifndef FH_ROUTER_PROVISION_H
#define FH_ROUTER_PROVISION_H

#include "base/env.h"
#include "router/catalog.h"
#include "router/router.h"

struct fh_provisioner;

FH_MUST_CHECK enum fh_code fh_provisioner_create(const struct fh_env *env,
                                                 struct fh_catalog *catalog,
                                                 struct fh_router *router, size_t sagas_max,
                                                 struct fh_provisioner **out);
/* Waits for running sagas to end (each is bounded by its deadline, and ten seconds of undoing). */
void fh_provisioner_close(struct fh_provisioner *provisioner, void (*closed_cb)(void *arg),
                          void *arg);

struct fh_saga_result {
    enum fh_code code;
    struct fh_error error;
    const struct fh_tenant *tenant; /* as of the end; valid during the callback */
};
typedef void fh_saga_done_cb(const struct fh_saga_result *result, void *arg);

/* `tenant`: slug, display_name, plan, labels, placement.store and placement.home.tier (copied; 0:
 * shared). The store must be known to the router (FH_INVALID) and offer the tier (FH_PRECONDITION).
 */
FH_MUST_CHECK enum fh_code fh_tenant_provision(struct fh_provisioner *provisioner,
                                               const struct fh_tenant *tenant,
                                               const struct fh_audit_context *audit,
                                               int64_t deadline_us, fh_saga_done_cb *done_cb,
                                               void *arg, struct fh_error *error);
FH_MUST_CHECK enum fh_code fh_tenant_erase(struct fh_provisioner *provisioner,
                                           const struct fh_uuid *tenant,
                                           const struct fh_audit_context *audit,
                                           int64_t deadline_us, fh_saga_done_cb *done_cb, void *arg,
                                           struct fh_error *error);

/* One sweep: what is PROVISIONING for longer than `older_than_us`, and everything DELETING that no
 * saga of this process is at work on. Runs in the background in bounded steps; the application
 * calls it at start (older_than_us 0) and every minute (5 minutes). */
void fh_provisioner_sweep(struct fh_provisioner *provisioner, int64_t older_than_us);
/* Sweeps done and tenants undone since start: tests wait on these, not on time. */
uint64_t fh_provisioner_sweeps(const struct fh_provisioner *provisioner);
uint64_t fh_provisioner_undone(const struct fh_provisioner *provisioner);

#endif
