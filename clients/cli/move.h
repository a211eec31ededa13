/* What the `move` commands share: how a move is told to people. One thread. */
#ifndef FH_CLIENTS_CLI_MOVE_H
#define FH_CLIENTS_CLI_MOVE_H

#include <stdbool.h>

#include "base/buf.h"
#include "clients/cli/grid.h"
#include "clients/cli/session.h"
#include "freehold/v1/move_admin.pb-c.h"

/* "catching_up" */
const char *fh_move_phase_text(Freehold__V1__MovePhase phase);
bool fh_move_has_ended(Freehold__V1__MovePhase phase);
/* "copying: 12,000 of 58,000 rows (20%), 34,000 rows/s, 3 records behind, 0:02 left" */
void fh_move_add_line(struct fh_buf *out, const Freehold__V1__Move *move);

/* "main", or "main/schema": the store, and the tier where it is another than shared. */
void fh_move_add_home(struct fh_buf *out, const char *store, Freehold__V1__Placement__Tier tier);
void fh_move_cell_home(struct fh_grid *grid, const char *store, Freehold__V1__Placement__Tier tier);

/* Asks for `name` ("moves/...") until the move has ended, telling on the way; shows it at the end.
 * Exit code 0 for done, FH_EXIT_REFUSED for cancelled and failed. */
int fh_move_watch(struct fh_session *session, const char *name);
/* As a table, or as JSON. */
int fh_move_show(struct fh_session *session, const Freehold__V1__Move *move);

#endif
