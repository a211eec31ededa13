/* What the catalog's operations on moves decide and change, the same for every implementation.
 *
 * An implementation reads the rows under its lock (a claim, an advance, a switch and a wish lock
 * the move and the tenant's placement), lets the rule decide, and writes back the columns that may
 * have changed, with the event, in one transaction. A rule that refuses changes nothing and fills
 * request->error. Pure functions; any thread.
 */
#ifndef FH_ROUTER_MOVE_RULES_H
#define FH_ROUTER_MOVE_RULES_H

#include "router/catalog.h"

/* `replay`: the move that was made under the same request id, or NULL; FH_OK: it is the answer. */
FH_MUST_CHECK enum fh_code fh_move_rule_replay(struct fh_catalog_request *request,
                                               const struct fh_move *replay);
/* Fills request->as.move as it is to be stored: source, phase, wish, times, actor, reason. Whether
 * the target store is there and whether another move is unfinished is the implementation's. */
FH_MUST_CHECK enum fh_code fh_move_rule_create(struct fh_catalog_request *request,
                                               const struct fh_tenant *tenant, int64_t now_us);
/* Those below give the event the reason of the move where the caller gave none, and change: of the
 * move generation, beat, worker, phase, wish, progress, message,
 * updated_at, finished_at. `event`: whether the operators are to be told. */
FH_MUST_CHECK enum fh_code fh_move_rule_claim(struct fh_catalog_request *request,
                                              struct fh_move *move, struct fh_placement *placement,
                                              int64_t now_us);
FH_MUST_CHECK enum fh_code fh_move_rule_advance(struct fh_catalog_request *request,
                                                struct fh_move *move,
                                                const struct fh_placement *placement,
                                                int64_t now_us, bool *event);
FH_MUST_CHECK enum fh_code fh_move_rule_switch(struct fh_catalog_request *request,
                                               struct fh_move *move, struct fh_placement *placement,
                                               int64_t now_us);
/* Not `*event`: the wish is there already, and nothing changes. */
FH_MUST_CHECK enum fh_code fh_move_rule_wish(struct fh_catalog_request *request,
                                             struct fh_move *move, int64_t now_us, bool *event);

/* Of a change by this request that left the move so. Static; "move.pause". */
const char *fh_move_event_action(const struct fh_catalog_request *request);
#define FH_MOVE_RESOURCE_SIZE 48
void fh_move_event_resource(const struct fh_uuid *move, char out[FH_MOVE_RESOURCE_SIZE]);
/* JSON text with a NUL behind it: tenant, phase, generation, message, source and target. */
FH_MUST_CHECK enum fh_code fh_move_event_detail(const struct fh_move *move, struct fh_arena *arena,
                                                struct fh_str *out);

#define FH_MOVE_BLOCKS_DELETION "a move of the tenant is under way; cancel it or wait for its end"

#endif
