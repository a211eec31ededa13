/* One SQLite store in a temporary directory, two tenants, a small schema, and a clock that tests
 * move from any thread.
 *
 * items(id bigint key, name text not null, code text unique, qty bigint)
 * parts(item_id bigint, n integer, data bytea); key (item_id, n); item_id -> items
 * Version 2 adds notes(id bigint key, item_id bigint -> items) and an index on items(name).
 */
#ifndef FH_TESTS_STORES_SQLITE_FIXTURE_H
#define FH_TESTS_STORES_SQLITE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stores/sqlite/sqlite.h"

extern const struct fh_table fixture_items;
extern const struct fh_table fixture_parts;
extern const struct fh_table fixture_notes;
extern const struct fh_schema fixture_v1;
extern const struct fh_schema fixture_v2;
enum { ITEM_ID, ITEM_NAME, ITEM_CODE, ITEM_QTY };
enum { PART_ITEM, PART_N, PART_DATA };

#define FIXTURE_ARENAS 256

struct fixture {
    uv_loop_t loop;
    struct fh_clock clock;
    int64_t now_us;  /* atomic */
    int64_t tick_us; /* atomic: every look at the monotonic clock moves it */
    struct fh_env env;
    struct fh_arena arena;                  /* of the test, and of requests that run alone */
    struct fh_arena arenas[FIXTURE_ARENAS]; /* of requests that run together */
    size_t arena_count;
    struct fh_isolation_faults faults;
    bool with_faults;
    uint32_t readers; /* 0: the default */
    uint32_t queue_max;
    uint32_t homes_max;
    uint32_t open_homes_max;
    struct fh_store *store; /* NULL: closed */
    char directory[64];
    char path[96]; /* of shared.db */
    struct fh_uuid a;
    struct fh_uuid b;
};

/* Directory only. */
void fixture_init(struct fixture *f);
/* Closes what is open and removes the directory. */
void fixture_close(struct fixture *f);
enum fh_code fixture_try_open(struct fixture *f, struct fh_error *error);
void fixture_open(struct fixture *f);
void fixture_shut(struct fixture *f); /* closes the store */
/* Open, schema 1 applied, tenants a and b at epoch 1, generation 1. */
void fixture_start(struct fixture *f);
/* cmocka's set-up and tear-down around fixture_start(). */
int fixture_setup(void **state);
int fixture_teardown(void **state);

void fixture_advance(struct fixture *f, int64_t by_us);
/* Runs the loop until *done. */
void fixture_wait(struct fixture *f, const bool *done);

struct fh_request fixture_request(struct fixture *f, enum fh_op op, const struct fh_uuid *tenant);
/* Gives the request an arena of its own: an arena has one owner at a time, and requests that are in
 * flight together run on several threads. */
void fixture_detach(struct fixture *f, struct fh_request *request);
/* Submits; *done is set on completion. */
enum fh_code fixture_submit(struct fixture *f, struct fh_request *request, bool *done);
enum fh_code fixture_run(struct fixture *f, struct fh_request *request);

enum fh_code fixture_apply(struct fixture *f, const struct fh_schema *schema);
enum fh_code fixture_home(struct fixture *f, const struct fh_uuid *tenant);
enum fh_code fixture_fence_mode(struct fixture *f, const struct fh_uuid *tenant,
                                enum fh_fence_mode from, enum fh_fence_mode to);

struct fh_key fixture_item(int64_t id);
struct fh_key fixture_part(int64_t item, int64_t n);
/* A write of an item with name and code (NULL: none), in the arena. */
struct fh_write *fixture_write(struct fixture *f, enum fh_write_op op, struct fh_key key,
                               const char *name, const char *code);
/* A commit of one write, ready to be submitted. */
struct fh_request fixture_commit(struct fixture *f, const struct fh_uuid *tenant,
                                 const struct fh_write *write);
enum fh_code fixture_put(struct fixture *f, const struct fh_uuid *tenant, enum fh_write_op op,
                         int64_t id, const char *name, const char *code);
/* *out is NULL when there is no such live item. */
enum fh_code fixture_get(struct fixture *f, const struct fh_uuid *tenant, int64_t id,
                         struct fh_row **out);
/* Live items of the tenant. */
size_t fixture_count(struct fixture *f, const struct fh_uuid *tenant);

#define assert_code(actual, expected) fixture_assert_code((actual), (expected), __FILE__, __LINE__)
void fixture_assert_code(enum fh_code actual, enum fh_code expected, const char *file, int line);

#define FIXTURE_TEST(function) \
    cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

#endif
