/* The catalog's conformance suite: one set of tests over struct fh_catalog_ops, the same for every
 * implementation.
 *
 * A runner (test_<engine>.c) describes its implementation and calls catalog_conformance_main().
 * Every test starts with an empty catalog, open through `s->catalog`; catalog_setup_world() has
 * added three stores and two active tenants. A test may open further handles on the same catalog
 * (catalog_open): each is what another process would have.
 *
 * Requests run one at a time unless a test says otherwise. The clock is virtual; a request that
 * never completes is caught by the watchdog of catalog_wait().
 */
#ifndef FH_TESTS_CONFORMANCE_CATALOG_SUITE_H
#define FH_TESTS_CONFORMANCE_CATALOG_SUITE_H

/* cmocka wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "router/catalog.h"

struct catalog_engine {
    const char *name; /* of fh_catalog_ops */
    bool shared;      /* as fh_catalog.shared; hints then come from other handles too */
    /* Once a program. Zero, or the suite fails as a whole. Each may be NULL. */
    int (*start)(void);
    void (*stop)(void);
    /* Before each test: whatever earlier tests stored is gone. Zero, or the test fails. */
    int (*reset)(void);
    /* The same catalog every time, also while another handle is open. Handles are closed by
     * fh_catalog_close(). */
    enum fh_code (*open)(const struct fh_env *env, struct fh_catalog **out, struct fh_error *error);
    /* After each test, every handle closed. May be NULL. */
    void (*cleanup)(void);
};

#define CATALOG_HINTS_MAX 256

struct catalog_hint {
    enum fh_catalog_hint hint;
    struct fh_uuid uuid;
};

struct catalog_suite {
    const struct catalog_engine *engine;
    uv_loop_t loop;
    struct fh_clock_virtual clock;
    struct fh_env env;
    struct fh_arena arena; /* of the test and of its requests */
    struct fh_catalog *catalog;
    struct fh_catalog *second; /* NULL, or what a test opened beside; closed at its end */
    struct fh_catalog *via;    /* what catalog_run() asks; NULL: `catalog` */
    struct fh_catalog_watcher watcher;
    struct catalog_hint hints[CATALOG_HINTS_MAX]; /* told by `catalog`, the last ones */
    size_t hint_count;
    struct catalog_hint awaited;
    bool awaited_came;
    struct fh_uuid a; /* tenants of catalog_setup_world(), active, in store "north" */
    struct fh_uuid b;
    bool watchdog_barked;
};

int catalog_conformance_main(const struct catalog_engine *engine, int argc, char **argv);

/* A part's tests. */
struct catalog_part {
    const struct CMUnitTest *tests;
    size_t count;
};
int catalog_setup(void **state);       /* empty */
int catalog_setup_world(void **state); /* stores north, south, west; tenants a and b */
int catalog_teardown(void **state);
#define CATALOG_TEST(function) \
    cmocka_unit_test_setup_teardown(function, catalog_setup, catalog_teardown)
#define CATALOG_WORLD_TEST(function) \
    cmocka_unit_test_setup_teardown(function, catalog_setup_world, catalog_teardown)
#define CATALOG_PART(name, tests)                                                \
    struct catalog_part name(void)                                               \
    {                                                                            \
        return (struct catalog_part){tests, sizeof(tests) / sizeof((tests)[0])}; \
    }
struct catalog_part catalog_part_tenants(void);
struct catalog_part catalog_part_records(void);
struct catalog_part catalog_part_moves(void);
struct catalog_part catalog_part_switch(void);
struct catalog_part catalog_part_events(void);
struct catalog_part catalog_part_walk(void);
struct catalog_part catalog_part_rollouts(void);

/* Compares codes and says their names. */
void catalog_assert_code(enum fh_code actual, enum fh_code expected, const char *what,
                         const char *file, int line);
#define assert_code(actual, expected) \
    catalog_assert_code((actual), (expected), #actual, __FILE__, __LINE__)

struct fh_catalog *catalog_open(struct catalog_suite *s);
void catalog_close(struct catalog_suite *s, struct fh_catalog *catalog);
void catalog_reopen(struct catalog_suite *s); /* `s->catalog` */
/* A new uuid of version 7, later than all before it: a millisecond passes. */
struct fh_uuid catalog_uuid(struct catalog_suite *s);

/* Fills what every request needs and is not set yet: arena, deadline, actor. */
void catalog_prepare(struct catalog_suite *s, struct fh_catalog_request *request);
/* Waits until *done, failing the test when it never comes. */
void catalog_wait(struct catalog_suite *s, const bool *done);
/* Prepares, submits, waits, and answers the code; checks the completion contract. */
enum fh_code catalog_run(struct catalog_suite *s, struct fh_catalog_request *request);
enum fh_code catalog_run_on(struct catalog_suite *s, struct fh_catalog *catalog,
                            struct fh_catalog_request *request);

enum fh_code catalog_add_store(struct catalog_suite *s, const char *name);
/* In store "north", shared tier, two labels, state PROVISIONING. */
struct fh_catalog_request catalog_creation(struct catalog_suite *s, const char *slug,
                                           const char *request_id);
/* `out` may be NULL. */
enum fh_code catalog_advance(struct catalog_suite *s, const struct fh_uuid *uuid,
                             uint32_t from_states, uint64_t generation, enum fh_tenant_state to,
                             bool bump, struct fh_tenant *out);
/* The tenant, which must be there. */
struct fh_tenant catalog_tenant(struct catalog_suite *s, const struct fh_uuid *uuid);
struct catalog_events {
    struct fh_operator_event *events;
    size_t count;
};
/* The operators' events of a resource ("" for all), at most FH_PAGE_MAX. */
struct catalog_events catalog_events_of(struct catalog_suite *s, const char *resource);

/* Waits until `s->catalog` told this; what was told since the last catalog_forget_hints() counts.
 */
void catalog_assert_told(struct catalog_suite *s, enum fh_catalog_hint hint,
                         const struct fh_uuid *uuid);
/* Nothing was told. In a shared catalog an earlier hint may come late: there it asserts nothing. */
void catalog_assert_silent(const struct catalog_suite *s);
void catalog_forget_hints(struct catalog_suite *s);

/* Moves: each answers the code, and in *out (may be NULL) the move as answered. */
struct fh_catalog_request catalog_move_creation(struct catalog_suite *s,
                                                const struct fh_uuid *tenant, const char *target,
                                                const char *request_id);
enum fh_code catalog_move_start(struct catalog_suite *s, const struct fh_uuid *tenant,
                                const char *target, struct fh_move *out);
enum fh_code catalog_move_claim(struct catalog_suite *s, const struct fh_uuid *move, uint64_t beat,
                                struct fh_move *out);
enum fh_code catalog_move_advance(struct catalog_suite *s, const struct fh_uuid *move,
                                  uint64_t generation, enum fh_move_phase from,
                                  enum fh_move_phase to, const char *message, struct fh_move *out);
enum fh_code catalog_move_switch(struct catalog_suite *s, const struct fh_uuid *move,
                                 uint64_t generation, uint64_t epoch, struct fh_move *out,
                                 struct fh_placement *placement);
enum fh_code catalog_move_wish(struct catalog_suite *s, const struct fh_uuid *move,
                               enum fh_move_wish wish, struct fh_move *out);
/* The move, which must be there. */
struct fh_move catalog_move(struct catalog_suite *s, const struct fh_uuid *move);
/* Starts, claims, and brings it to the phase (READY or before, or SWITCHING). */
struct fh_move catalog_move_at(struct catalog_suite *s, const struct fh_uuid *tenant,
                               const char *target, enum fh_move_phase phase);
void catalog_assert_same_move(const struct fh_move *a, const struct fh_move *b);

#endif
