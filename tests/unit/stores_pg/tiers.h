/* Dedicated homes for tests of the tiers: tenants a, b, c, their homes, and a look at everything
 * that a home leaves on a server. */
#ifndef FH_TESTS_UNIT_STORES_PG_TIERS_H
#define FH_TESTS_UNIT_STORES_PG_TIERS_H

#include <sys/types.h>

#include "tests/unit/stores_pg/fixture.h"

#define TRACES_SIZE 65536

struct fh_uuid tiers_tenant(unsigned n); /* from 0 */
/* A call on behalf of that tenant in its home of that tier, prepared as call_init() does. */
void tiers_call(struct call *call, struct fixture *f, enum fh_tier tier, unsigned n);
enum fh_code tiers_create(struct fixture *f, enum fh_tier tier, unsigned n, uint64_t generation);
enum fh_code tiers_erase(struct fixture *f, enum fh_tier tier, unsigned n, uint64_t generation);
/* Made, with author 1. */
void tiers_make(struct fixture *f, enum fh_tier tier, unsigned n);
enum fh_code tiers_get(struct fixture *f, enum fh_tier tier, unsigned n);
/* The store anew, with these settings over the fixture's. */
void tiers_reopen(struct fixture *f, const struct fh_store_config *over);

/* A process of its own makes or erases tenant a's home (generation 1), and stops at that point. The
 * store is closed before, so that nothing of it is shared. */
pid_t tiers_stopped(struct fixture *f, const char *point, enum fh_op op, enum fh_tier tier);
/* It goes on, to its end: what came of it. */
enum fh_code tiers_go_on(pid_t pid);

/* Every role, database and dedicated schema of the server, and rights that depend on roles. */
void tiers_traces(struct fixture *f, char out[TRACES_SIZE]);

/* Connects and runs; "" when all went well, "connect" when that was refused, else the SQLSTATE. */
const char *tiers_sql(struct fixture *f, const char *database, const char *user,
                      const char *password, const char *sql);

#endif
