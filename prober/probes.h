/* The probes themselves: each is one read of canary A that must not get canary B's row, and what
 * its answer says. Pure but for the arena; the prober sends them.
 */
#ifndef FH_PROBER_PROBES_H
#define FH_PROBER_PROBES_H

#include "prober/canary.h"
#include "prober/report.h"
#include "stores/store.h"

/* One pair, its homes as they are now; [0] asks, [1] is to be kept from it. */
struct fh_probe_ground {
    enum fh_tier tier;
    uint32_t capabilities; /* of the store */
    struct fh_canary_pair pair;
    struct fh_home homes[2];
    uint64_t epochs[2];
    const struct fh_schema *schemas[2];
    uint16_t table_id;
};

/* What is sent; embedded by the prober, in place while the request is under way. */
struct fh_probe_shot {
    struct fh_probe probe;
    struct fh_key key;
    struct fh_table strange; /* for the probe that brings a table of its own */
};

size_t fh_probe_count(void);
const char *fh_probe_name(size_t index);
const char *fh_probe_expected(size_t index);

/* Fills op, scope, probe and as of the request. FH_UNIMPLEMENTED: such homes have nothing of the
 * kind (`*why`: in words, for the report, or NULL: not worth a line). */
FH_MUST_CHECK enum fh_code fh_probe_aim(size_t index, const struct fh_probe_ground *ground,
                                        struct fh_arena *arena, struct fh_probe_shot *shot,
                                        struct fh_request *request, const char **why);
/* `code`: the request's, or what submit refused it with. Fills seen, verdict, gone and text.
 * `last`: it was tried again with the homes looked at anew, so a fence that does not fit, or rights
 * that are not as made, are no matter of chance. False: try again with the homes as they are now.
 */
bool fh_probe_judge(size_t index, const struct fh_probe_ground *ground,
                    const struct fh_request *request, enum fh_code code, bool last,
                    struct fh_probe_result *out);

#endif
