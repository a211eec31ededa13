/* Pure but for fh_cells_write(), whose failures are told as everywhere. */
#include "clients/cli/cells.h"

#include <string.h>

#include "clients/cli/text.h"

void fh_cell_time(struct fh_grid *grid, const Google__Protobuf__Timestamp *time)
{
    struct fh_buf text;
    fh_buf_init(&text, 64);
    if (time != NULL) {
        fh_text_add_time(&text, time->seconds, 0);
    }
    fh_grid_cell(grid, fh_buf_str(&text));
    fh_buf_close(&text);
}

void fh_cell_count(struct fh_grid *grid, uint64_t count)
{
    struct fh_buf text;
    fh_buf_init(&text, 64);
    fh_text_add_count(&text, count);
    fh_grid_cell(grid, fh_buf_str(&text));
    fh_buf_close(&text);
}

void fh_cell_add_duration(struct fh_buf *out, const Google__Protobuf__Duration *duration)
{
    if (duration == NULL) {
        return;
    }
    double ms = (double)duration->seconds * 1e3 + (double)duration->nanos / 1e6;
    if (ms < 1000) {
        fh_buf_printf(out, "%.1f ms", ms);
    } else {
        fh_buf_printf(out, "%.1f s", ms / 1e3);
    }
}

void fh_cell_duration(struct fh_grid *grid, const Google__Protobuf__Duration *duration)
{
    struct fh_buf text;
    fh_buf_init(&text, 64);
    fh_cell_add_duration(&text, duration);
    fh_grid_cell(grid, fh_buf_str(&text));
    fh_buf_close(&text);
}

const char *fh_name_without(const char *prefix, const char *name)
{
    size_t len = strlen(prefix);
    return strncmp(name, prefix, len) == 0 ? name + len : name;
}

void fh_cell_event_head(struct fh_grid *grid, ProtobufCMessage *const *items, size_t count,
                        void *arg)
{
    (void)items;
    (void)count;
    (void)arg;
    fh_grid_column(grid, "TIME", false);
    fh_grid_column(grid, "ACTION", false);
    fh_grid_column(grid, "ACTOR", false);
    fh_grid_column(grid, "REASON", false);
    fh_grid_column(grid, "DETAIL", false);
}

void fh_cell_event_row(struct fh_grid *grid, const Google__Protobuf__Timestamp *time,
                       const char *action, const char *actor, const char *reason,
                       const char *detail)
{
    fh_cell_time(grid, time);
    fh_grid_text(grid, action);
    fh_grid_text(grid, actor);
    fh_grid_text(grid, reason);
    fh_grid_text(grid, detail);
}

int fh_cells_write(struct fh_session *session, struct fh_grid *grid)
{
    struct fh_buf out;
    fh_buf_init(&out, FH_OUTPUT_BYTES_MAX);
    const enum fh_code code = fh_grid_flush(grid, &out);
    const int exit_code = code == FH_OK ? fh_session_write(session, &out)
                                        : fh_session_fail(session, FH_EXIT_LOCAL, "out of memory");
    fh_buf_close(&out);
    return exit_code;
}
