/* The prober: keeps two canaries in every store and tier, and tries to read the one's rows as the
 * other; what each answer tells is in probes.h, what came of it in a report.
 *
 * A canary is an ordinary tenant, made by the ordinary saga, but for its UUID, which says by its
 * structure that it is one (fh_uuid_is_canary()): slug "fh-canary-<store>-<tier>-a" and -b, label
 * fh_canary. One that was deleted or moved away gets a successor (-a2 .. -a9). They hold two
 * records each, in the first table of the schema that takes them.
 *
 * One run at a time, one request at a time; runs by itself every interval, if there is one. A home
 * that moves or changes under a run is looked at again, PAIR_TRIES_MAX times. Loop thread only.
 */
#ifndef FH_PROBER_PROBER_H
#define FH_PROBER_PROBER_H

#include "base/env.h"
#include "prober/report.h"
#include "router/catalog.h"
#include "router/provision.h"
#include "router/router.h"

struct fh_prober;

struct fh_prober_parts {
    const struct fh_env *env;
    struct fh_catalog *catalog;
    struct fh_router *router;
    struct fh_provisioner *provisioner;
};

struct fh_prober_options {
    int64_t interval_us; /* between two runs of its own; 0: none */
    uint32_t tiers;      /* of its own runs: bits 1 << fh_tier; 0: all that a store offers */
};

/* Borrows the parts. */
FH_MUST_CHECK enum fh_code fh_prober_create(const struct fh_prober_parts *parts,
                                            const struct fh_prober_options *options,
                                            struct fh_prober **out);
/* The first run of its own is one interval away. */
void fh_prober_start(struct fh_prober *prober);
/* Ends a run behind the request under way (its done_cb gets FH_SHUTTING_DOWN). Before the
 * provisioner's and the stores' end. */
void fh_prober_close(struct fh_prober *prober, void (*closed_cb)(void *arg), void *arg);

/* `report` is valid until the next run ends; NULL unless code is FH_OK. */
typedef void fh_prober_done_cb(enum fh_code code, const struct fh_error *error,
                               const struct fh_probe_report *report, void *arg);
/* `store` "": all of them. `tiers` as above. Once, not inside this call. FH_CONFLICT: one runs.
 * FH_NOT_FOUND: no such store. */
FH_MUST_CHECK enum fh_code fh_prober_run(struct fh_prober *prober, struct fh_str store,
                                         uint32_t tiers, int64_t deadline_us,
                                         fh_prober_done_cb *done_cb, void *arg,
                                         struct fh_error *error);
/* NULL: none yet. */
const struct fh_probe_report *fh_prober_last(const struct fh_prober *prober);

struct fh_prober_stats {
    uint64_t runs;                      /* that ended */
    uint64_t failures[FH_PROBE_LAYERS]; /* BROKEN and LEAKED by layer gone; NONE: UNKNOWN */
    int64_t last_ok_us;                 /* wall time of the last run that held; 0: none */
};
void fh_prober_stats(const struct fh_prober *prober, struct fh_prober_stats *out);

#endif
