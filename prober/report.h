/* What a run of the prober found: one line a probe, store and tier. No value of any row is in it.
 *
 * Immutable once the run ended; owned by the prober until its next run ends (prober.h).
 */
#ifndef FH_PROBER_REPORT_H
#define FH_PROBER_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"
#include "router/catalog.h"
#include "stores/home.h"

#define FH_PROBE_TEXT_MAX 240

/* Which part of the isolation a probe is about, and which one a bad answer says is gone. */
enum fh_probe_layer {
    FH_PROBE_LAYER_NONE,
    FH_PROBE_LAYER_PREDICATE,   /* 1: the tenant in every statement */
    FH_PROBE_LAYER_ENFORCEMENT, /* 2: row-level security; views and authorizer */
    FH_PROBE_LAYER_OWNERSHIP,   /* 3: every row's tenant compared before it leaves the store */
    FH_PROBE_LAYER_BORDER,      /* dedicated homes: a tenant's role is nobody in another's home */
    FH_PROBE_LAYER_ADMISSION,   /* what the store refuses before a statement, or with the fence */
    FH_PROBE_LAYERS,
};

enum fh_probe_verdict {
    FH_PROBE_HELD,
    FH_PROBE_SKIPPED, /* there is nothing to probe, and `text` says why */
    FH_PROBE_UNKNOWN, /* it could not be found out: the store is away, a canary could not be made */
    FH_PROBE_BROKEN,  /* a layer is gone */
    FH_PROBE_LEAKED,  /* an ordinary read answered a row of the other canary */
};

struct fh_probe_result {
    char store[FH_STORE_NAME_MAX + 1];
    enum fh_tier tier;
    struct fh_uuid canaries[2]; /* a and b; nil: not known */
    const char *probe;          /* static: "predicate" */
    const char *expected;       /* static */
    const char *seen;           /* static: a code's name, or what came */
    enum fh_probe_verdict verdict;
    uint32_t gone; /* bits 1 << fh_probe_layer: BROKEN and LEAKED */
    char text[FH_PROBE_TEXT_MAX];
};

struct fh_probe_report {
    int64_t started_at_us; /* wall time */
    int64_t ended_at_us;
    struct fh_probe_result *results;
    size_t count;
    bool truncated; /* there was no room for more */
    bool held;      /* nothing UNKNOWN, BROKEN or LEAKED, and not truncated */
};

/* "layer 1 (predicate)"; static. */
const char *fh_probe_layer_text(enum fh_probe_layer layer);
/* "predicate": for metrics. */
const char *fh_probe_layer_name(enum fh_probe_layer layer);

#endif
