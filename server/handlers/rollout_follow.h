/* Following a rollout: what it is, then again whenever it changed, until whoever follows has seen
 * enough.
 *
 * Hints of the catalog make it quick, a look four times a second makes it sure. At most
 * FH_ROLLOUT_FOLLOWERS_MAX at once in a process (FH_FULL). Loop thread only.
 */
#ifndef FH_SERVER_HANDLERS_ROLLOUT_FOLLOW_H
#define FH_SERVER_HANDLERS_ROLLOUT_FOLLOW_H

#include "server/handlers/services.h"
#include "server/rpc/call.h"

#define FH_ROLLOUT_FOLLOWERS_MAX 128

/* The rollout as it is, its texts borrowed for the call; `last`: the time is over, there will be no
 * other. FH_OK: go on (but for the last); FH_CANCELLED: enough; any other code ends with it. */
typedef enum fh_code fh_rollout_seen_cb(const struct fh_rollout *rollout, bool last, void *arg);
/* Once, at the end; FH_OK when `seen_cb` had enough or has seen the last. Not inside the calls
 * above, nor below. */
typedef void fh_rollout_ended_cb(enum fh_code code, const struct fh_error *error, void *arg);

/* Ends with FH_CANCELLED when the call's peer is gone; after `until_us` (FH_DEADLINE_NONE: never)
 * with what is seen last. */
FH_MUST_CHECK enum fh_code fh_rollout_follow(struct fh_services *services, struct fh_call *call,
                                             const struct fh_uuid *rollout, int64_t until_us,
                                             fh_rollout_seen_cb *seen_cb,
                                             fh_rollout_ended_cb *ended_cb, void *arg);

/* SchemaService.WatchRollout; `arg` is a struct fh_services. */
void fh_rollout_watch(struct fh_call *call, void *arg);

#endif
