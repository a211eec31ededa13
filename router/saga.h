/* One saga over catalog and home: creating a tenant, erasing one, or finishing what another left.
 *
 * The provisioner (provision.c) owns the list of them and their number; a saga frees itself behind
 * its end callback. Loop thread only.
 */
#ifndef FH_ROUTER_SAGA_H
#define FH_ROUTER_SAGA_H

#include "router/provision.h"

enum fh_saga_kind { FH_SAGA_CREATE, FH_SAGA_ERASE, FH_SAGA_SWEEP };

struct fh_saga;
/* Once, never inside start. `result` and what it points to are valid during the call. */
typedef void fh_saga_end_cb(struct fh_saga *saga, const struct fh_saga_result *result);

struct fh_saga_parts {
    const struct fh_env *env;
    struct fh_catalog *catalog;
    struct fh_router *router;
};

struct fh_saga {
    /* The starter's */
    enum fh_saga_kind kind;
    struct fh_saga_parts parts;
    int64_t deadline_us;
    fh_saga_end_cb *end_cb;
    void *owner;
    fh_saga_done_cb *done_cb; /* the owner's, for its caller */
    void *arg;
    struct fh_list node; /* the owner's list */

    /* Its own */
    int state;
    bool withdrawing;    /* somebody else has the tenant: take back only what this saga made */
    uint32_t attempts;   /* at closing the fence */
    uint64_t generation; /* the one this saga may act with */
    struct fh_fence seen;
    uint32_t schema_version; /* of the home, as its fence was read; 0: not known */
    struct fh_tenant tenant; /* texts in the arena */
    struct fh_audit_context audit;
    struct fh_arena arena;
    struct fh_catalog_request catalog_request;
    struct fh_request store_request;
    struct fh_error error;   /* of the step */
    struct fh_error failure; /* the first one, to be told; code FH_OK: none */
};

/* Copies tenant and audit; NULL: out of memory. */
FH_MUST_CHECK struct fh_saga *fh_saga_make(enum fh_saga_kind kind,
                                           const struct fh_saga_parts *parts,
                                           const struct fh_tenant *tenant,
                                           const struct fh_audit_context *audit);
/* Refused: the saga is still the caller's, to free. */
FH_MUST_CHECK enum fh_code fh_saga_start(struct fh_saga *saga, struct fh_error *error);
void fh_saga_free(struct fh_saga *saga);

#endif
