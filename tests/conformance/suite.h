/* The conformance suite: one set of tests over struct fh_store_ops, the same for every engine and
 * every tier.
 *
 * A runner (test_<engine>.c) describes its engine and calls fh_conformance_main(), whose first
 * argument names the tier (shared when it names none), and whose next is a test or a pattern of
 * them. Every test starts with an empty store and two tenants in it, a and b, each in its home of
 * that tier (suite_home()), with the schema of model.h at version 1, at epoch 1, generation 1,
 * open.
 *
 * Requests run one at a time unless a test says otherwise; the clock is virtual, so nothing here
 * depends on how fast an engine is (a request that never completes is caught by the watchdog of
 * suite_wait()).
 */
#ifndef FH_TESTS_CONFORMANCE_SUITE_H
#define FH_TESTS_CONFORMANCE_SUITE_H

/* cmocka wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "stores/store.h"
#include "tests/conformance/model.h"

struct suite_engine {
    const char *name;
    bool durable; /* closing and opening again finds everything */
    /* Once a program. Zero, or the suite fails as a whole. Each may be NULL. */
    int (*start)(void);
    void (*stop)(void);
    /* Before each test: whatever earlier tests stored is gone. */
    int (*reset)(void);
    /* Fills location, owner_location, connections_max; `skips_enforcement` asks for a login without
     * layer two where that is a matter of the login (pg). May be NULL. */
    void (*configure)(bool skips_enforcement, struct fh_store_config *config);
    /* The same for a second, empty store that shares nothing with the first: another place. False:
     * it cannot be had. NULL: open() makes a new one each time. */
    bool (*configure_other)(struct fh_store_config *config);
    enum fh_code (*open)(const struct fh_env *env, const struct fh_store_config *config,
                         struct fh_store **out, struct fh_error *error);
    /* The store that `store`, of open(), wraps: closed after it. NULL: none. */
    struct fh_store *(*wrapped)(const struct fh_store *store);
    /* After each test, the store closed. May be NULL. */
    void (*cleanup)(void);
};

struct suite {
    const struct suite_engine *engine;
    uv_loop_t loop;
    struct fh_clock_virtual clock;
    struct fh_env env;
    struct fh_arena arena; /* of the test and of its requests */
    struct fh_isolation_faults faults;
    bool with_faults;               /* open() gives `faults` to the engine */
    uint32_t queue_max;             /* 0: the engine's default */
    uint32_t homes_max;             /* 0: the engine's default */
    struct fh_store *store;         /* NULL: closed */
    struct fh_store *other;         /* NULL: not opened; see suite_open_other() */
    uint64_t epoch;                 /* of requests; 1 */
    enum fh_tier tier;              /* of all homes, but for what is elsewhere */
    enum fh_tier other_tier;        /* elsewhere; the same unless a test says otherwise */
    const struct fh_schema *schema; /* of requests and new homes; suite_apply_schema() sets it */
    struct fh_uuid a;
    struct fh_uuid b;
    bool watchdog_barked;
};

int fh_conformance_main(const struct suite_engine *engine, int argc, char **argv);

/* A part's tests. */
struct suite_part {
    const struct CMUnitTest *tests;
    size_t count;
};
int suite_setup(void **state);
int suite_setup_bare(void **state); /* without schema and tenants */
int suite_teardown(void **state);
#define SUITE_TEST(function) cmocka_unit_test_setup_teardown(function, suite_setup, suite_teardown)
#define SUITE_PART(name, tests)                                                \
    struct suite_part name(void)                                               \
    {                                                                          \
        return (struct suite_part){tests, sizeof(tests) / sizeof((tests)[0])}; \
    }
struct suite_part suite_part_crud(void);
struct suite_part suite_part_writes(void);
struct suite_part suite_part_constraints(void);
struct suite_part suite_part_lists(void);
struct suite_part suite_part_records(void);
struct suite_part suite_part_fences(void);
struct suite_part suite_part_isolation(void);
struct suite_part suite_part_contract(void);
struct suite_part suite_part_views(void);
struct suite_part suite_part_moves(void);
struct suite_part suite_part_apply(void);
struct suite_part suite_part_whole_moves(void);
struct suite_part suite_part_tiers(void);
struct suite_part suite_part_versions(void);
struct suite_part suite_part_copy_within(void);
struct suite_part suite_part_changes(void);
struct suite_part suite_part_upgrades(void);
struct suite_part suite_part_checks(void);
struct suite_part suite_part_cascades(void);

/* Compares codes and says their names. */
void suite_assert_code(enum fh_code actual, enum fh_code expected, const char *what,
                       const char *message, const char *file, int line);
#define assert_code(actual, expected) \
    suite_assert_code((actual), (expected), #actual, NULL, __FILE__, __LINE__)

void suite_open(struct suite *s);
void suite_close(struct suite *s);
void suite_reopen(struct suite *s); /* for durable engines: everything stored is still there */
/* Elsewhere: a second store of the engine, with the schema and without tenants, or (no other store
 * opened) homes of other_tier in the same one. suite_swap() makes it where requests go. */
void suite_open_other(struct suite *s);
void suite_swap(struct suite *s);
/* The tenant's home in the suite's tier; NULL: the shared one. */
struct fh_home suite_home(const struct suite *s, const struct fh_uuid *tenant);
bool suite_offers(const struct suite *s, enum fh_tier tier);
struct fh_scope suite_scope(const struct suite *s, const struct fh_uuid *tenant);
/* A zeroed request of the operation for the tenant (NULL: none). */
struct fh_request suite_request(struct suite *s, enum fh_op op, const struct fh_uuid *tenant);
/* Waits until *done, failing the test when it never comes. */
void suite_wait(struct suite *s, const bool *done);
/* Submits, waits, and answers the code; checks the completion contract. */
enum fh_code suite_run(struct suite *s, struct fh_request *request);

/* Brings the shared home, or the homes that a and b have, to this schema, and requests with them.
 */
void suite_apply_schema(struct suite *s, const struct fh_schema *schema);
/* The request that asks for it: `tenant` is whose dedicated home it is (its guard is what the fence
 * is now), and not looked at in a shared one. */
struct fh_request suite_schema_request(struct suite *s, const struct fh_uuid *tenant,
                                       const struct fh_schema *schema);
enum fh_code suite_home_create(struct suite *s, const struct fh_uuid *tenant, uint64_t epoch,
                               uint64_t generation, enum fh_fence_mode mode);
enum fh_code suite_home_erase(struct suite *s, const struct fh_uuid *tenant, uint64_t generation,
                              uint64_t *rows_erased);
/* What the home says it is at; 0: there is no home. */
uint32_t suite_version(struct suite *s, const struct fh_uuid *tenant);
enum fh_code suite_fence_read(struct suite *s, const struct fh_uuid *tenant, struct fh_fence *out);
enum fh_code suite_fence_set(struct suite *s, const struct fh_uuid *tenant,
                             struct fh_fence expected, struct fh_fence desired,
                             struct fh_fence *seen);
/* Sets the mode, keeping epoch and generation. */
void suite_fence_mode(struct suite *s, const struct fh_uuid *tenant, enum fh_fence_mode mode);

enum fh_code suite_get(struct suite *s, const struct fh_uuid *tenant, struct fh_key key,
                       bool show_deleted, struct fh_row **out);
/* The row, which must be there. */
struct fh_row *suite_row(struct suite *s, const struct fh_uuid *tenant, struct fh_key key);
/* `list` holds table, after, limit, show_deleted, and takes the results. */
enum fh_code suite_list(struct suite *s, const struct fh_uuid *tenant, struct fh_op_list *list);
enum fh_code suite_events(struct suite *s, const struct fh_uuid *tenant,
                          struct fh_op_events *events);
/* `commit` holds everything but the results, and takes those. */
enum fh_code suite_commit(struct suite *s, const struct fh_uuid *tenant,
                          struct fh_op_commit *commit);
/* One write in a commit of its own; `row` (may be NULL) takes the row after it. */
enum fh_code suite_write(struct suite *s, const struct fh_uuid *tenant,
                         const struct fh_write *write, struct fh_row **row);

/* Building writes: suite_put_*(suite_new(s, op, key), ...) */
struct fh_write *suite_new(struct suite *s, enum fh_write_op op, struct fh_key key);
struct fh_write *suite_put(struct fh_write *write, uint16_t column, enum fh_transform transform,
                           struct fh_value value);
struct fh_write *suite_put_int(struct fh_write *write, uint16_t column, int64_t value);
struct fh_write *suite_put_real(struct fh_write *write, uint16_t column, double value);
struct fh_write *suite_put_text(struct fh_write *write, uint16_t column, const char *value);
struct fh_write *suite_put_null(struct fh_write *write, uint16_t column);

/* An author with this name, or a book of an author. */
struct fh_write *suite_author(struct suite *s, enum fh_write_op op, int64_t id, const char *name);
struct fh_write *suite_book(struct suite *s, enum fh_write_op op, int64_t author, const char *slug);
/* With every layer of the isolation gone a probe in another's context must see a leak, to show that
 * it can: in the shared home. In another's dedicated home the fence is not the tenant's either, and
 * where an engine starts from the fence, that border holds alone: then it is said. */
void suite_assert_leaks(const struct suite *s, size_t leaks);
void suite_must_write(struct suite *s, const struct fh_uuid *tenant, const struct fh_write *write);
void suite_assert_text(const struct fh_value *value, const char *expected);
size_t suite_count(struct suite *s, const struct fh_uuid *tenant, const struct fh_table *table);

#endif
