/* A catalog and a store that answer when and what the test says. */
#ifndef FH_TESTS_UNIT_ROUTER_FAKES_H
#define FH_TESTS_UNIT_ROUTER_FAKES_H

#include "router/catalog.h"
#include "stores/store.h"

#define FAKE_PENDING_MAX 4096

struct fake_catalog {
    struct fh_catalog catalog; /* first */
    struct fh_catalog_request *pending[FAKE_PENDING_MAX];
    size_t pending_count;
    size_t asked;
    enum fh_code refusal;    /* of submit */
    enum fh_code code;       /* of what is answered */
    struct fh_tenant tenant; /* what a look-up finds; the uuid is the one asked for */
    bool closed;
};

void fake_catalog_init(struct fake_catalog *fake, const char *store);
/* Answers what was pending when it was called; how many. */
size_t fake_catalog_flush(struct fake_catalog *fake);

struct fake_store {
    struct fh_store store; /* first */
    struct fh_request *pending[FAKE_PENDING_MAX];
    size_t pending_count;
    size_t submitted;
    size_t cancelled;
    uint64_t last_epoch;
    enum fh_code refusal;
    size_t room; /* beyond: FH_FULL; 0: no bound */
    bool closed;
};

void fake_store_init(struct fake_store *fake, const struct fh_env *env, const char *name);
size_t fake_store_flush(struct fake_store *fake, enum fh_code code);
/* Only the oldest. */
void fake_store_answer(struct fake_store *fake, enum fh_code code);
/* All that is pending: FH_MOVED, by a fence at the epoch that was routed. */
size_t fake_store_turn_away(struct fake_store *fake, enum fh_fence_mode mode);

#endif
