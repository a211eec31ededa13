/* Following a move or a rollout: what it is, then again whenever it changed, until whoever follows
 * has seen enough.
 *
 * Hints of the catalog make it quick, a look four times a second makes it sure. A process follows
 * FH_FOLLOWED_MOVES_MAX moves and FH_FOLLOWED_ROLLOUTS_MAX rollouts at once (FH_FULL beyond). Loop
 * thread only.
 */
#ifndef FH_SERVER_HANDLERS_FOLLOW_H
#define FH_SERVER_HANDLERS_FOLLOW_H

#include "server/handlers/services.h"
#include "server/rpc/call.h"

#define FH_FOLLOWED_MOVES_MAX 64
#define FH_FOLLOWED_ROLLOUTS_MAX 128

enum fh_followed {
    FH_FOLLOWED_MOVE,
    FH_FOLLOWED_ROLLOUT, /* nil: the one that is newest at the first look */
};

/* What was asked of the catalog, answered (as.move_get.move, as.rollout_get.rollout), its texts
 * borrowed for the call; `last`: the time is over, there will be no other. FH_OK: go on (but for
 * the last); FH_FULL: not taken, the next look is handed in even if it is the same; FH_CANCELLED:
 * enough; any other code ends with it. */
typedef enum fh_code fh_follow_seen_cb(const struct fh_catalog_request *seen, bool last, void *arg);
/* Once, at the end; FH_OK when `seen_cb` had enough or has seen the last. Not inside the calls
 * above, nor below. */
typedef void fh_follow_ended_cb(enum fh_code code, const struct fh_error *error, void *arg);

/* Ends with FH_CANCELLED when the call's peer is gone; after `until_us` (FH_DEADLINE_NONE: never)
 * with what is seen last. */
FH_MUST_CHECK enum fh_code fh_follow(struct fh_services *services, struct fh_call *call,
                                     enum fh_followed what, const struct fh_uuid *uuid,
                                     int64_t until_us, fh_follow_seen_cb *seen_cb,
                                     fh_follow_ended_cb *ended_cb, void *arg,
                                     struct fh_error *error);

/* One message of a stream, in the arena; *finished: nothing will change any more. */
typedef enum fh_code fh_follow_message_cb(const struct fh_catalog_request *seen,
                                          struct fh_arena *arena, ProtobufCMessage **out,
                                          bool *finished);
/* A call that streams a message for every change, and ends with what it follows. A slow reader is
 * not queued for: what it has not taken when the next state comes is skipped, since every message
 * holds the whole state. */
void fh_follow_stream(struct fh_services *services, struct fh_call *call, enum fh_followed what,
                      const struct fh_uuid *uuid, fh_follow_message_cb *message_cb);

#endif
