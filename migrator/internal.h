/* The migrator from inside: what its runs need of it, and the hook by which tests hold or end a run
 * at a step. Loop thread only. */
#ifndef FH_MIGRATOR_INTERNAL_H
#define FH_MIGRATOR_INTERNAL_H

#include "base/map.h"
#include "migrator/migrator.h"
#include "migrator/steps.h"

struct fh_run;

/* What a test wants at a point of a run. */
enum fh_hook_answer {
    FH_HOOK_GO,
    FH_HOOK_HOLD, /* as SIGSTOP would: until fh_run_release() */
    FH_HOOK_DIE,  /* as SIGKILL would: only what dies with a process (views, the gate) is undone */
};
typedef enum fh_hook_answer fh_hook_cb(struct fh_run *run, enum fh_step step, bool done, void *arg);

struct fh_migrator {
    const struct fh_env *env;
    struct fh_catalog *catalog;
    struct fh_router *router;
    struct fh_migrator_options options;
    struct fh_catalog_watcher watcher;
    struct fh_list runs;
    struct fh_migrator_stats stats;
    bool started;
    bool closing;
    bool finished; /* closing: its handle and its last request are gone */
    int64_t close_by_us;
    void (*closed_cb)(void *arg);
    void *closed_arg;

    /* Looking for work */
    uv_timer_t timer;
    struct fh_catalog_request list;
    struct fh_arena arena;
    bool listing;
    bool again;  /* something changed meanwhile */
    bool asked;  /* the catalog has answered once */
    bool failed; /* the last time it did not */
    size_t unfinished;
    size_t counting;   /* of the walk that is going on */
    uint64_t walk;     /* its number */
    int64_t sooner_us; /* when somebody's beat will have stood still long enough; 0: nobody's */
    struct fh_map watched;
    struct fh_move *candidates; /* moves_max of them, of this walk: the oldest */
    size_t candidate_count;
    int64_t looked_us;
    size_t plans; /* at work */

    fh_hook_cb *hook_cb; /* tests, in builds with FREEHOLD_FAULTS */
    void *hook_arg;
};

/* A run has ended and will be freed. */
void fh_migrator_run_ended(struct fh_migrator *migrator, struct fh_run *run);
/* A plan has ended. */
void fh_migrator_plan_ended(struct fh_migrator *migrator);

#endif
