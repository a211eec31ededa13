/* The prober over real parts: a catalog on a file, a router, a provisioner, one store of any
 * engine, whose layers a test takes away through `faults`. */
#ifndef FH_TESTS_UNIT_PROBER_LAB_H
#define FH_TESTS_UNIT_PROBER_LAB_H

#include "prober/prober.h"

struct lab {
    uv_loop_t loop;
    struct fh_env env;
    char dir[64];
    struct fh_isolation_faults faults; /* the store's, as they are from now on */
    struct fh_catalog *catalog;
    struct fh_router *router;
    struct fh_store *store; /* "main" */
    struct fh_provisioner *provisioner;
    struct fh_prober *prober;
    struct fh_arena arena;
    const struct fh_schema *schema; /* version 2 */
    bool done;
    enum fh_code code;
    const struct fh_probe_report *report;
};

/* `location` NULL: a directory of the lab's own. `interval_us`: the prober's. */
void lab_open(struct lab *lab, const struct fh_store_ops *ops, const char *location,
              const char *owner_location, int64_t interval_us);
void lab_close(struct lab *lab);
void lab_wait(struct lab *lab);

/* A run, which must end well. `tiers`: bits. */
void lab_probe(struct lab *lab, uint32_t tiers);
/* The report's line; NULL: it has none. */
const struct fh_probe_result *lab_result(const struct lab *lab, enum fh_tier tier,
                                         const char *probe);
/* Every line held (or had nothing to probe), and the layers' probes are there for that tier. */
void lab_assert_held(const struct lab *lab, enum fh_tier tier);
/* That probe says that this layer, and no other, is gone; nothing leaked; all other probes
 * held but those that say the same. */
void lab_assert_gone(const struct lab *lab, enum fh_tier tier, const char *probe,
                     enum fh_probe_layer layer);

/* Straight to the store. */
enum fh_code lab_ask(struct lab *lab, struct fh_request *request);
void lab_tenant(struct lab *lab, const char *slug, struct fh_tenant *out);

#endif
