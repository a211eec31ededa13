/* Drives the PostgreSQL engine against a throw-away server, with the real clock: for tests of
 * faults. */
#ifndef FH_TESTS_UNIT_STORES_PG_FIXTURE_H
#define FH_TESTS_UNIT_STORES_PG_FIXTURE_H

/* cmocka wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stores/pg/pg.h"
#include "tests/conformance/model.h"
#include "tests/lib/postgres.h"
#include "tests/lib/proxy.h"

struct fixture {
    uv_loop_t loop;
    uv_timer_t watchdog;
    struct fh_env env;
    struct fh_pgtest *pg;
    struct fh_proxy *proxy; /* NULL: the store talks to the server itself */
    struct fh_store *store;
    struct fh_uuid tenant;
    char location[256];
};

/* One request with an arena of its own; may be run again after it completed. */
struct call {
    struct fixture *fixture;
    struct fh_request request;
    struct fh_arena arena;
    struct fh_write write;
    struct fh_assignment assignments[KIND_COUNT];
    struct fh_key key;
    char request_id[32];
    char text[64];
    bool done;
    unsigned completions;
};

/* Server, schema version 1 and one open tenant. `options` may be NULL. */
void fixture_start(struct fixture *f, const struct fh_pgtest_options *options);
void fixture_stop(struct fixture *f);
/* The store's connections through a proxy from now on (it is opened anew). */
void fixture_use_proxy(struct fixture *f);
void fixture_open(struct fixture *f, uint32_t connections_max);
void fixture_close(struct fixture *f);

void call_init(struct call *call, struct fixture *f);
void call_close(struct call *call);
/* Prepares one of these; submit or run it then. */
void call_get(struct call *call, struct fh_key key);
void call_insert(struct call *call, int64_t id, const char *request_id); /* an author */
void call_score(struct call *call, int64_t id, int64_t score, const char *request_id);
/* Submits with the deadline set, waits; a refusal is an answer too. */
enum fh_code call_try(struct call *call);
void call_submit(struct call *call, int64_t timeout_ms);
void fixture_wait(struct fixture *f, struct call *calls, size_t count);
enum fh_code call_run(struct call *call, int64_t timeout_ms);
/* Runs it until it is FH_OK, giving the loop time between tries; fails after many. */
void call_until_ok(struct call *call);
/* Turns of the loop for about this long: lets back-offs pass. */
void fixture_turn(struct fixture *f, uint64_t ms);

#endif
