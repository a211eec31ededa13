/* Clients: each has one routed request at a time on the way, of a random tenant of its store, and
 * looks at everything that comes back.
 *
 * Rows are held against the tenant's marker always, and against the model exactly when no writer
 * was in their slot while the request was on its way. A commit that was turned away, or whose
 * outcome is unknown, is repeated with its request id until it is settled.
 *
 * client.c runs them, request.c draws and builds, check.c judges. Loop thread only.
 */
#ifndef FH_TESTS_INTEGRATION_ISOLATION_CLIENT_H
#define FH_TESTS_INTEGRATION_ISOLATION_CLIENT_H

#include "tests/integration/isolation/world.h"

#define CLIENT_KEYS_MAX 16
#define ATTEMPTS_MAX 1000 /* of one commit */

/* In percent of the requests drawn; what is left of a hundred are gets of one record. */
struct chaos_mix {
    unsigned commits;
    unsigned replays;
    unsigned reuses; /* of a request id, for something else */
    unsigned batch_gets;
    unsigned lists;
    unsigned events;
    unsigned fences;
};

struct chaos_run {
    struct chaos_mix mix;
    /* Every nth request is sent on behalf of another tenant; 0: none. */
    uint32_t wrong_scope_every;
    uint64_t requests;      /* a store; 0: until `milliseconds` are over */
    uint64_t milliseconds;  /* with requests 0 */
    unsigned cancel_ppm;    /* of requests that are cancelled at once */
    unsigned forget_ppm;    /* of requests before which the router forgets the placement */
    uint64_t read_failures; /* bits 1 << fh_code: what a read may be answered besides FH_OK */
    uint64_t retried;       /* bits: after which a commit is repeated */
};

/* What the fault store, a full router and a cancellation answer. */
#define CHAOS_INJECTED                                                                            \
    (UINT64_C(1) << FH_FULL | UINT64_C(1) << FH_UNAVAILABLE | UINT64_C(1) << FH_OUTCOME_UNKNOWN | \
     UINT64_C(1) << FH_CANCELLED | UINT64_C(1) << FH_CONFLICT)

enum request_kind {
    REQUEST_GET,
    REQUEST_LIST,
    REQUEST_EVENTS,
    REQUEST_FENCE,
    REQUEST_COMMIT,
    REQUEST_REPLAY,
    REQUEST_REUSE,
};

struct client {
    struct world *world;
    struct world_store *store;
    const struct chaos_run *run;
    struct clients *clients;
    struct fh_list node; /* of those that wait for the next turn */
    struct fh_routed routed;
    struct fh_arena arena;

    enum request_kind kind;
    struct chaos_tenant *tenant;
    struct plan plan; /* commit, replay, reuse */
    uint32_t attempts;
    bool was_unknown;
    struct fh_key keys[CLIENT_KEYS_MAX];
    struct fh_key after;                /* of a list */
    uint8_t key_slots[CLIENT_KEYS_MAX]; /* slot * SLOT_RECORDS + record */
    int after_at;                       /* the same; -1: none */
    size_t key_count;
    bool steady[SLOTS]; /* no writer was there when the request went out */
    uint32_t touched[SLOTS];
};

/* Runs as many clients a store until the run's bound is reached and every commit is settled. */
void chaos_run(struct world *world, const struct chaos_run *run, size_t clients);

/* request.c: what next. Nothing when all slots are busy and it was to be a commit: then a read. */
void client_draw(struct client *client);
/* Builds the request in the arena, which is reset first; the same again for a repeated commit. */
void client_build(struct client *client);
void key_of(const struct world *world, size_t slot, size_t record, struct fh_key *out);

/* check.c: counts what is wrong. True: the commit has to be repeated. */
bool client_check(struct client *client, enum fh_code code);
/* Whether a row is the tenant's own in everything it says. */
void check_own_row(struct world *world, const struct chaos_tenant *tenant,
                   const struct fh_row *row);
/* Whether it is exactly this record; `slot` and `record` name its key. */
void check_exact_row(struct world *world, const struct chaos_tenant *tenant, size_t slot,
                     size_t record, const struct record *expected, const struct fh_row *row);
void check_commit_record(struct world *world, const struct chaos_tenant *tenant,
                         const struct fh_commit_record *record);
/* "r-17" */
bool number_of_request_id(struct fh_str request_id, uint32_t *out);

/* verify.c: with nothing in flight and no fault, every tenant's rows and records are what was
 * acknowledged, no more and no less. */
void chaos_verify(struct world *world);

#endif
