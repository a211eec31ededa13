/* The handlers with everything behind them but gRPC: a router, the embedded catalog in a temporary
 * directory, the schema service, sagas, and the memory engine under a fault store. Time is virtual.
 *
 * kit_open() makes two tenants on the store "local" and applies KIT_SCHEMA by way of the handlers
 * themselves. Calls are made by kit_call(), which waits until the call ended.
 */
#ifndef FH_TESTS_UNIT_SERVER_HANDLERS_KIT_H
#define FH_TESTS_UNIT_SERVER_HANDLERS_KIT_H

/* cmocka wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/handlers/services.h"
#include "stores/fault/fault.h"
#include "tests/unit/server_handlers/fake_call.h"

#define KIT_STORES_MAX 256
#define KIT_NOW_US INT64_C(1795226400000000) /* 2026-11-21T06:00:00Z */

/* items(id text key, qty bigint, title varchar(8), price numeric(10,2), at timestamptz, flag
 * boolean not null default true, code text unique); pairs(a text, b integer, note text; key a, b);
 * parts(id bigint key, item text -> items) */
extern const char kit_schema_sql[];

struct kit {
    uv_loop_t loop;
    struct fh_clock_virtual clock;
    struct fh_env env;
    char dir[32];
    struct fh_catalog *catalog;
    struct fh_router *router;
    struct fh_store_registry *registry;
    struct fh_schemas *schemas;
    struct fh_provisioner *provisioner;
    struct fh_roller *roller;
    struct fh_page_keys page_keys;
    struct fh_services services;
    struct fh_rpc_service data;
    struct fh_rpc_service audit;
    struct fh_rpc_service tenants;
    struct fh_rpc_service stores;
    struct fh_rpc_service schema;
    struct fh_rpc_service moves;
    struct fh_arena arena;                /* of the messages a test builds */
    struct fh_principal alice;            /* of tenant a */
    struct fh_principal bob;              /* of tenant b */
    struct fh_principal operator_;        /* of none */
    struct fh_store *local;               /* the fault store over the memory engine */
    struct fh_isolation_faults isolation; /* of every store, as they are from now on */
    bool unavailable_at_open;             /* stores opened from now on answer FH_UNAVAILABLE */
    bool watchdog_barked;
};

/* Everything but tenants and schema; then those. */
void kit_open_bare(struct kit *kit);
void kit_open(struct kit *kit);
void kit_close(struct kit *kit);

/* cmocka's fixtures: *state is the kit. */
int kit_setup(void **state);
int kit_setup_bare(void **state);
int kit_teardown(void **state);
#define KIT_TEST(function) cmocka_unit_test_setup_teardown(function, kit_setup, kit_teardown)
#define KIT_TEST_BARE(function) \
    cmocka_unit_test_setup_teardown(function, kit_setup_bare, kit_teardown)

/* Runs the loop until *done; fails the test when that never comes. */
void kit_wait(struct kit *kit, const bool *done);
/* A whole call; give it back with fake_call_free(). */
struct fh_call *kit_call(struct kit *kit, const struct fh_rpc_service *service, const char *method,
                         const struct fh_principal *principal, const ProtobufCMessage *request);
/* The same, left to the test to run. */
struct fh_call *kit_prepare(struct kit *kit, const struct fh_rpc_service *service,
                            const char *method, const struct fh_principal *principal,
                            const ProtobufCMessage *request);

/* What a call must have come to; all free the call. */
void kit_expect(struct fh_call *call, enum fh_code code, const char *field, const char *file,
                int line);
#define expect_code(call, code, field) kit_expect((call), (code), (field), __FILE__, __LINE__)
/* The response, which lives as long as the kit's arena. */
void *kit_response(struct kit *kit, struct fh_call *call, const char *file, int line);
#define response(type, kit, call) ((type *)kit_response((kit), (call), __FILE__, __LINE__))

/* Gives the store `local` a plan of faults; zeroes end them. */
void kit_faults(struct kit *kit, struct fh_fault_plan plan);

#endif
