/* SchemaService's methods on rollouts. `arg` is a struct fh_services. */
#ifndef FH_SERVER_HANDLERS_ROLLOUT_ADMIN_H
#define FH_SERVER_HANDLERS_ROLLOUT_ADMIN_H

#include "server/rpc/call.h"

void fh_rollout_get(struct fh_call *call, void *arg);
void fh_rollout_list(struct fh_call *call, void *arg);
void fh_rollout_list_homes(struct fh_call *call, void *arg);
void fh_rollout_list_events(struct fh_call *call, void *arg);
void fh_rollout_watch(struct fh_call *call, void *arg);
void fh_rollout_pause(struct fh_call *call, void *arg);
void fh_rollout_resume(struct fh_call *call, void *arg);
void fh_rollout_cancel(struct fh_call *call, void *arg);

#endif
