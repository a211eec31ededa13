/* What prober.c (runs and their report) and pair.c (one store and tier) share. Not for users. */
#ifndef FH_PROBER_INTERNAL_H
#define FH_PROBER_INTERNAL_H

#include <uv.h>

#include "prober/prober.h"
#include "prober/probes.h"

#define FH_PROBER_GAVE_UP_MAX 64

struct fh_probe_place {
    char store[FH_STORE_NAME_MAX + 1];
    enum fh_tier tier;
};

struct fh_probe_run {
    bool running;
    bool own; /* nobody asked for it */
    uint32_t tiers;
    int64_t deadline_us;
    fh_prober_done_cb *done_cb;
    void *arg;
    struct fh_probe_place *places;
    size_t place_count;
    size_t at;
    struct fh_probe_report report;
    size_t result_max;
};

struct fh_probe_pair {
    struct fh_store *store;
    struct fh_probe_ground ground;
    bool found[2];
    bool named[2]; /* its plain slug was tried */
    bool being_made;
    unsigned which; /* of the two, the request under way is for */
    unsigned tries;
    unsigned makes;
    size_t table_at;
    bool probing;
    size_t probe_at;
};

struct fh_prober {
    struct fh_prober_parts parts;
    struct fh_prober_options options;
    uv_timer_t timer;
    bool started;
    bool closing;
    void (*closed_cb)(void *arg);
    void *closed_arg;
    struct fh_prober_stats stats;
    struct fh_probe_report last;
    bool has_last;
    struct fh_probe_place gave_up[FH_PROBER_GAVE_UP_MAX];
    size_t gave_up_count;

    struct fh_probe_run run;
    struct fh_probe_pair pair;
    struct fh_arena arena; /* of the pair */
    struct fh_catalog_request catalog_request;
    struct fh_request request;
    struct fh_probe_shot shot;
    struct fh_key keys[FH_CANARY_RECORDS];
    struct fh_write writes[FH_CANARY_RECORDS];
};

/* An absolute deadline, within the run's. */
int64_t fh_prober_deadline_in(const struct fh_prober *prober, int64_t us);
const struct fh_probe_place *fh_prober_here(const struct fh_prober *prober);
/* The next line of the report; NULL: there is no room. */
struct fh_probe_result *fh_prober_add_result(struct fh_prober *prober, const char *probe,
                                             const char *expected);
/* Behind every request: true when the run ended, for the prober is closing. */
bool fh_prober_is_over(struct fh_prober *prober);
/* pair.c: probes fh_prober_here(), and says fh_prober_end_pair() at its end. */
void fh_prober_begin_pair(struct fh_prober *prober);
void fh_prober_end_pair(struct fh_prober *prober);

#endif
