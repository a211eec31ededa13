/* The whole path below gRPC on one loop: catalog on a file, router, registry, schemas, provisioner,
 * and one or two stores, each wrapped in the fault store.
 *
 * world_open() makes everything with no fault switched on; chaos_run() (client.h) works it.
 * Loop thread only; the caller owns the struct.
 */
#ifndef FH_TESTS_INTEGRATION_ISOLATION_WORLD_H
#define FH_TESTS_INTEGRATION_ISOLATION_WORLD_H

/* cmocka wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "router/catalog.h"
#include "router/provision.h"
#include "router/router.h"
#include "router/schemas.h"
#include "router/store_registry.h"
#include "stores/fault/fault.h"
#include "tests/integration/isolation/model.h"
#include "tests/lib/postgres.h"

#define STORES_MAX 2
#define TENANTS_MAX 40 /* a store */
#define CLIENTS_MAX 32 /* a store */

enum { ENGINE_SQLITE = 1, ENGINE_PG = 2 };

struct world_options {
    unsigned engines;      /* bits */
    struct fh_pgtest *pg;  /* with ENGINE_PG */
    size_t tenants;        /* a store */
    size_t placements_max; /* 0: the router's default */
    uint64_t seed;
    bool with_faults;  /* world.faults is given to the stores; not in release builds */
    bool bypass;       /* PostgreSQL: log in as who is above RLS */
    enum fh_tier tier; /* of all tenants; 0: of each store's tenants some in each that it offers */
};

struct world_store {
    struct fh_store *outer; /* with the faults; the registry's */
    struct fh_store *inner;
    struct chaos_tenant tenants[TENANTS_MAX];
    uint64_t issued; /* requests drawn so far in a run */
};

struct chaos_stats {
    uint64_t answers[FH_CODE_COUNT];
    uint64_t rows;       /* looked at */
    uint64_t records;    /* commit records looked at */
    uint64_t retries;    /* of commits */
    uint64_t settled;    /* commits whose outcome was unknown, and is known */
    uint64_t was_done;   /* of those: had been done the first time */
    uint64_t replays;    /* asked for, and answered as such */
    uint64_t leaks;      /* anything of another tenant in an answer */
    uint64_t mismatches; /* an answer that the model does not allow */
    char first_leak[160];
    char first_mismatch[160];
};

struct world {
    struct world_options options;
    uint64_t random;
    uv_loop_t loop;
    struct fh_env env;
    char dir[128];
    struct fh_catalog *catalog;
    struct fh_router *router;
    struct fh_store_registry *registry;
    struct fh_schemas *schemas;
    struct fh_provisioner *provisioner;
    const struct fh_table *items;
    const struct fh_table *notes;
    struct world_store stores[STORES_MAX];
    size_t store_count;
    struct fh_isolation_faults faults; /* to be changed only while nothing is in flight */
    struct chaos_stats stats;
    uint64_t built;        /* requests, for wrong_scope_every */
    struct fh_arena arena; /* of set-up and verification */
    size_t outstanding;    /* of set-up */
    bool done;
};

/* Everything up, with options->tenants in each store; a failure fails the test. */
void world_open(struct world *world, const struct world_options *options);
/* Everything down; nothing may be left open. */
void world_close(struct world *world);
/* Sets the fault plan of every store. */
void world_set_plan(struct world *world, const struct fh_fault_plan *plan);
/* Turns the loop until world->done. */
void world_wait(struct world *world);
int64_t world_deadline(const struct world *world);

/* Counts, and keeps the first. */
void world_leak(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
void world_mismatch(struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
