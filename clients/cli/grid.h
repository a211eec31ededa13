/* A table for people: cells aligned by what a terminal shows, numbers to the right.
 *
 * Filled row by row, printed, emptied for the next page with the widths kept. One thread. Bounds:
 * FH_GRID_COLUMNS_MAX columns, rows up to the arena's bound. Errors stick until printing.
 */
#ifndef FH_CLIENTS_CLI_GRID_H
#define FH_CLIENTS_CLI_GRID_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/code.h"
#include "base/str.h"

#define FH_GRID_COLUMNS_MAX 64

struct fh_grid_cell;

struct fh_grid {
    struct fh_arena arena;
    size_t column_count;
    bool right[FH_GRID_COLUMNS_MAX];
    size_t widths[FH_GRID_COLUMNS_MAX];
    const char *titles[FH_GRID_COLUMNS_MAX]; /* borrowed until the grid is closed */
    struct fh_grid_cell *first;
    struct fh_grid_cell *last;
    size_t cells;
    size_t cell_len_max; /* characters; 0: no cut */
    bool header_done;
    enum fh_code code;
};

void fh_grid_init(struct fh_grid *grid, size_t cell_len_max);
void fh_grid_close(struct fh_grid *grid);
void fh_grid_column(struct fh_grid *grid, const char *title, bool right);
/* The next cell; copied, made safe. Cells come row by row. */
void fh_grid_cell(struct fh_grid *grid, struct fh_str text);
void fh_grid_text(struct fh_grid *grid, const char *text);
/* Appends the header (once) and the rows, then forgets the rows. */
FH_MUST_CHECK enum fh_code fh_grid_flush(struct fh_grid *grid, struct fh_buf *out);

#endif
