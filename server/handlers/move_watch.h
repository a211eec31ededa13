/* MoveAdminService.WatchMove: a move as it is, then again whenever it changed, until it has ended.
 *
 * Hints of the catalog make it quick, a look four times a second makes it sure. At most
 * FH_MOVE_WATCHES_MAX at once in a process (RESOURCE_EXHAUSTED). Loop thread only.
 */
#ifndef FH_SERVER_HANDLERS_MOVE_WATCH_H
#define FH_SERVER_HANDLERS_MOVE_WATCH_H

#include "server/rpc/call.h"

#define FH_MOVE_WATCHES_MAX 64

/* The handler; `arg` is a struct fh_services. */
void fh_move_watch(struct fh_call *call, void *arg);

#endif
