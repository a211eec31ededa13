/* Handles on a catalog in a real server, for tests of what several of them and a bad server do.
 *
 * One server a program, one schema a test. Every handle of a test lives on one loop, which is what
 * makes their order the test's own; each is to the catalog what another process would be. Whoever
 * waits, waits for completions or hints, and a watchdog ends what never comes.
 */
#ifndef FH_TESTS_UNIT_CATALOG_PG_KIT_H
#define FH_TESTS_UNIT_CATALOG_PG_KIT_H

/* cmocka wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "router/catalog_pg/catalog_pg.h"
#include "tests/lib/postgres.h"

#define KIT_HANDLES_MAX 4
#define KIT_HINTS_MAX 1024
#define KIT_SECOND_US INT64_C(1000000)

struct kit;

struct kit_hint {
    enum fh_catalog_hint hint;
    struct fh_uuid uuid;
};

struct kit_handle {
    struct kit *kit;
    struct fh_catalog *catalog; /* NULL: closed */
    struct fh_catalog_watcher watcher;
    struct kit_hint hints[KIT_HINTS_MAX];
    size_t hint_count;
    bool closed;
};

struct kit {
    uv_loop_t loop;
    struct fh_env env;
    struct fh_arena arenas[2 * KIT_HANDLES_MAX]; /* of each handle's quick requests and others */
    uv_timer_t tick;                             /* keeps the loop turning */
    int64_t started_us;
    struct kit_handle handles[KIT_HANDLES_MAX];
    size_t pending;
    struct fh_uuid tenant; /* active, in store "north"; "south" is there as well */
};

struct fh_pgtest *kit_server(void);
int kit_start_server(void **state); /* of the group */
int kit_stop_server(void **state);

/* Of a test: two handles with a tenant, or none. */
int kit_set_up(void **state);
int kit_set_up_empty(void **state);
int kit_tear_down(void **state);

const char *kit_dsn(void);
void kit_open(struct kit *f, size_t handle, const char *dsn);
void kit_begin_close(struct kit *f, size_t handle);
void kit_close(struct kit *f, size_t handle);
/* One turn of the loop, at most 10 ms; fails when the test takes too long. */
void kit_turn(struct kit *f);

void kit_prepare(struct kit *f, size_t handle, struct fh_catalog_request *request,
                 int64_t within_us);
/* Counts as pending until done. */
void kit_submit(struct kit *f, size_t handle, struct fh_catalog_request *request,
                int64_t within_us);
void kit_wait(struct kit *f); /* until none is pending */
enum fh_code kit_run(struct kit *f, size_t handle, struct fh_catalog_request *request);
enum fh_code kit_run_within(struct kit *f, size_t handle, struct fh_catalog_request *request,
                            int64_t within_us);

struct fh_catalog_request kit_get(const struct fh_uuid *tenant);
/* To SUSPENDED or ACTIVE, from any state. */
struct fh_catalog_request kit_advance(const struct fh_uuid *tenant, enum fh_tenant_state to);
/* A move of the kit's tenant to "south", made by handle 0. */
struct fh_move kit_move(struct kit *f);
struct fh_catalog_request kit_claim(const struct fh_move *move);

bool kit_told(const struct kit *f, size_t handle, enum fh_catalog_hint hint,
              const struct fh_uuid *uuid);
/* Turns the loop until the handle was told. */
void kit_await_hint(struct kit *f, size_t handle, enum fh_catalog_hint hint,
                    const struct fh_uuid *uuid);
void kit_await_lost(struct kit *f, size_t handle); /* until every kind was told of nobody */
void kit_forget_hints(struct kit *f);
/* The first column of the first row, asked by a session of its own. */
long long kit_number(const char *sql);
/* Turns the loop until the statement gives the number. */
void kit_await_number(struct kit *f, const char *sql, long long number);
/* Holds the last step of every change, behind which only COMMIT comes, until it is closed. */
struct fh_pgtest_session *kit_hold_commits(void);
/* How many of our connections wait for a lock. */
#define KIT_WAITING                                                           \
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type='Lock' AND " \
    "application_name IN ('freehold catalog quick','freehold catalog slow')"

#endif
