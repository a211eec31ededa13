/* A migrator between real parts: two stores, each behind one that can be made to fail, a catalog on
 * a file behind one that can be made to fail, a router, and clients that write all the while and
 * know what the tenant's rows must be. */
#ifndef FH_TESTS_UNIT_MIGRATOR_KIT_H
#define FH_TESTS_UNIT_MIGRATOR_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "migrator/internal.h"
#include "migrator/run.h"
#include "router/router.h"
#include "stores/fault/fault.h"
#include "tests/conformance/model.h"

#define KIT_WRITERS 3
#define KIT_KEYS 6

enum kit_engine { KIT_MEMORY, KIT_SQLITE, KIT_PG /* "one" is SQLite still */ };

/* For KIT_PG: serving role and owner. */
extern const char *kit_pg_app;
extern const char *kit_pg_owner;

/* Between which homes kits opened from now on move: the tenant's tier in each of the two, and
 * whether both are in one store. Two shared ones in two stores unless said otherwise. */
struct kit_pair {
    enum fh_tier tiers[2];
    bool one_store;
};
extern struct kit_pair kit_pair;
/* Whether the engines offer that, as far as they have come. */
bool kit_offers(enum kit_engine engine, const struct kit_pair *pair);

/* A catalog before another: the nth request of an operation is refused or its answer is lost. */
struct kit_catalog {
    struct fh_catalog catalog; /* first */
    struct fh_catalog *inner;
    struct fh_catalog_watcher watcher;
    enum fh_catalog_op op;
    unsigned nth; /* 0: none; else counts down */
    bool executes;
    bool met;
    enum fh_code code; /* to complete with */
    bool unreachable;  /* everything fails */
    uv_idle_t idle;
    struct fh_catalog_request *late[16];
    enum fh_code late_codes[16];
    size_t late_count;
    fh_catalog_closed_cb *closed_cb;
    void *closed_arg;
};

struct kit_key {
    bool live;
    int64_t score;
    char email[40];
};

struct kit;
struct kit_writer {
    struct kit *kit;
    unsigned number;
    struct fh_routed routed;
    struct fh_arena arena;
    struct fh_write writes[2];
    struct fh_assignment assignments[2][3];
    struct kit_key after[2]; /* what the keys are once the commit is acknowledged */
    size_t indexes[2];
    struct kit_key keys[KIT_KEYS];
    uint64_t serial;
    char request_id[48];
    char emails[2][40];
    bool in_flight;
    int64_t began_us;
};

struct kit {
    uv_loop_t loop;
    struct fh_env env;
    struct fh_log *log;
    char dir[96];
    long live_before; /* allocations */
    enum kit_engine engine;
    struct fh_catalog *inner_catalog;
    struct kit_catalog catalog;
    struct fh_router *router;
    struct fh_router *other; /* another server's: the mover's gate is not its */
    struct fh_store *real[2];
    struct fh_store *stores[2]; /* "one", "two" */
    struct fh_home homes[2];    /* where the tenant is to live in each */
    size_t to;                  /* the next move's target */
    struct fh_migrator *migrators[2];
    unsigned closing;
    struct fh_arena arena;
    struct fh_uuid tenant;
    struct fh_uuid move;
    bool done;
    bool stopping;
    struct kit_writer writers[KIT_WRITERS];
    uint64_t random;
    uint64_t acknowledged;
    uint64_t failed; /* requests */
    int64_t longest_us;
    uint8_t preloaded_digest[32];

    /* The first worker's hook, and the second's (always a hold) */
    enum fh_step second_step; /* FH_STEP_WAIT: none */
    struct fh_run *second;    /* who is held */
    enum fh_step hook_step;
    bool hook_done;
    unsigned hook_nth;
    enum fh_hook_answer hook_answer;
    struct fh_run *hooked; /* who is held */
    bool hook_met;
    uint64_t passes[FH_STEP_COUNT];
};

void kit_open(struct kit *kit, enum kit_engine engine);
void kit_close(struct kit *kit); /* asserts that nothing is left */
int64_t kit_deadline(const struct kit *kit);
enum fh_code kit_ask(struct kit *kit, struct fh_catalog_request *request);
enum fh_code kit_ask_store(struct kit *kit, size_t store, struct fh_request *request);
/* Rows in every table, and authors with ids from 1,000,000 on: `authors` of them. */
void kit_preload(struct kit *kit, size_t authors);
void kit_purge(struct kit *kit);                 /* some of those authors, in one commit */
void kit_write(struct kit *kit, size_t commits); /* that many, and waits for them */
void kit_start_writers(struct kit *kit);
void kit_stop_writers(struct kit *kit);

/* Worker 0 or 1, with quick polls. */
struct fh_migrator *kit_start_migrator(struct kit *kit, size_t which);
void kit_note_closed(void *kit); /* sets done */
void kit_stop_migrator(struct kit *kit, size_t which);
const char *kit_store_name(const struct kit *kit, size_t which);
void kit_create_move(struct kit *kit, const struct fh_move_settings *settings);
void kit_wish(struct kit *kit, enum fh_move_wish wish);
void kit_move(struct kit *kit, struct fh_move *out); /* texts in the arena */
/* Turns the loop until the move is in this phase (or finished: then it must be that one). */
void kit_wait_phase(struct kit *kit, enum fh_move_phase phase);
void kit_turn(struct kit *kit); /* once */
void kit_turn_until(struct kit *kit, bool (*ready)(const struct kit *kit));
enum fh_code kit_fence(struct kit *kit, size_t store, uint64_t epoch, struct fh_fence *out);
/* All rows and records of the home, as one digest. */
void kit_digest(struct kit *kit, size_t store, uint64_t epoch, uint8_t out[32]);
/* What the clients know is what is there, exactly one home is open, it is in this store at this
 * epoch, and the other one is gone. */
void kit_check(struct kit *kit, size_t store, uint64_t epoch);
/* The same without asserting: NULL, or what is wrong. */
const char *kit_find_fault(struct kit *kit, size_t store, uint64_t epoch);

/* scenarios.c */
struct fh_move_settings kit_quick(void); /* the default ones, unthrottled */
typedef void kit_scenario(enum kit_engine engine, enum fh_step step, bool done);
void kit_crash_at(enum kit_engine engine, enum fh_step step, bool done);
void kit_sleep_at(enum kit_engine engine, enum fh_step step, bool done);
void kit_wake_early_at(enum kit_engine engine, enum fh_step step, bool done);
/* The second move takes the records of two epochs along, and finds the first one's traces. */
void kit_there_and_back(enum kit_engine engine);
/* More records than one transaction takes have come since copying began: keys on several pages,
 * unique values that went from row to row. */
void kit_catch_up(enum kit_engine engine);
/* KIT_STEP=<name>: only at that one. */
void kit_at_every_step(enum kit_engine engine, kit_scenario *scenario, bool before, bool behind);

#endif
