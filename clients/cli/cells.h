/* Cells of a table that tell parts of messages: times, durations, counts, who did what. One thread.
 */
#ifndef FH_CLIENTS_CLI_CELLS_H
#define FH_CLIENTS_CLI_CELLS_H

#include "base/buf.h"
#include "clients/cli/grid.h"
#include "clients/cli/session.h"
#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"

/* Nothing for NULL. */
void fh_cell_time(struct fh_grid *grid, const Google__Protobuf__Timestamp *time);
void fh_cell_count(struct fh_grid *grid, uint64_t count);
/* "4.1 ms", "2.5 s"; nothing for NULL. */
void fh_cell_duration(struct fh_grid *grid, const Google__Protobuf__Duration *duration);
void fh_cell_add_duration(struct fh_buf *out, const Google__Protobuf__Duration *duration);
/* The name behind its prefix ("moves/"), or all of it. Borrows. */
const char *fh_name_without(const char *prefix, const char *name);

/* The columns of operators' events, as a listing's head; and a row of them. */
void fh_cell_event_head(struct fh_grid *grid, ProtobufCMessage *const *items, size_t count,
                        void *arg);
void fh_cell_event_row(struct fh_grid *grid, const Google__Protobuf__Timestamp *time,
                       const char *action, const char *actor, const char *reason,
                       const char *detail);

/* Writes the grid out; an exit code. */
int fh_cells_write(struct fh_session *session, struct fh_grid *grid);

#endif
