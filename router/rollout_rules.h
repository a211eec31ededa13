/* What the catalog's operations on rollouts decide and change, the same for every implementation.
 *
 * An implementation reads the row under its lock, lets the rule decide, and writes the row back
 * with the event in one transaction. A rule that refuses changes nothing and fills request->error.
 * Pure functions; any thread.
 */
#ifndef FH_ROUTER_ROLLOUT_RULES_H
#define FH_ROUTER_ROLLOUT_RULES_H

#include "router/catalog.h"

/* The bounds of a request, for fh_catalog_check(); clears results, fills defaults. */
FH_MUST_CHECK enum fh_code fh_rollout_rule_check(struct fh_catalog_request *request);

/* `newest`: version of the catalog before; makes as.rollout_create.rollout as it is to be stored,
 * with what is given of it: uuid, version, settings. That no other is unfinished is the
 * implementation's (FH_EXISTS, and the other is answered). */
FH_MUST_CHECK enum fh_code fh_rollout_rule_create(struct fh_catalog_request *request,
                                                  uint32_t newest, int64_t now_us);
/* These change of the rollout: generation, beat, worker, phase, wish, progress, message,
 * updated_at, finished_at. `event`: whether the operators are to be told. */
FH_MUST_CHECK enum fh_code fh_rollout_rule_claim(struct fh_catalog_request *request,
                                                 struct fh_rollout *rollout, int64_t now_us);
/* Before notes are written. */
FH_MUST_CHECK enum fh_code fh_rollout_rule_advance(struct fh_catalog_request *request,
                                                   struct fh_rollout *rollout, int64_t now_us,
                                                   bool *event);
FH_MUST_CHECK enum fh_code fh_rollout_rule_wish(struct fh_catalog_request *request,
                                                struct fh_rollout *rollout, int64_t now_us,
                                                bool *event);

/* Of a change by this request that left the rollout so. Static; "rollout.pause". */
const char *fh_rollout_event_action(const struct fh_catalog_request *request,
                                    const struct fh_rollout *rollout);
#define FH_ROLLOUT_RESOURCE_SIZE 56
void fh_rollout_event_resource(const struct fh_uuid *rollout, char out[FH_ROLLOUT_RESOURCE_SIZE]);
/* JSON text with a NUL behind it: version, phase, wish, figures, message. */
FH_MUST_CHECK enum fh_code fh_rollout_event_detail(const struct fh_rollout *rollout,
                                                   struct fh_arena *arena, struct fh_str *out);

#endif
