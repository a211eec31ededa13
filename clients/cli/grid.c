/* Cells are a list in the arena; widths grow as cells come, so one pass prints. */
#include "clients/cli/grid.h"

#include "clients/cli/text.h"

#define GRID_BYTES_MAX (64u << 20)
#define GAP 2

struct fh_grid_cell {
    struct fh_grid_cell *next;
    struct fh_str text;
    size_t width;
};

void fh_grid_init(struct fh_grid *grid, size_t cell_len_max)
{
    memset(grid, 0, sizeof(*grid));
    fh_arena_init(&grid->arena, GRID_BYTES_MAX);
    grid->cell_len_max = cell_len_max;
}

void fh_grid_close(struct fh_grid *grid)
{
    fh_arena_close(&grid->arena);
}

void fh_grid_column(struct fh_grid *grid, const char *title, bool right)
{
    if (grid->column_count == FH_GRID_COLUMNS_MAX) {
        grid->code = FH_TOO_LARGE;
        return;
    }
    grid->right[grid->column_count] = right;
    grid->titles[grid->column_count] = title;
    grid->widths[grid->column_count] = fh_text_width(fh_str_of(title));
    grid->column_count++;
}

void fh_grid_cell(struct fh_grid *grid, struct fh_str text)
{
    struct fh_buf shown;
    struct fh_grid_cell *cell = FH_ARENA_NEW(&grid->arena, struct fh_grid_cell);
    fh_buf_init(&shown, GRID_BYTES_MAX);
    fh_text_add_shown(&shown, text, grid->cell_len_max);
    if (fh_buf_code(&shown) != FH_OK || cell == NULL ||
        fh_arena_str(&grid->arena, fh_buf_str(&shown), &cell->text) != FH_OK) {
        grid->code = FH_NOMEM;
        fh_buf_close(&shown);
        return;
    }
    fh_buf_close(&shown);
    cell->width = fh_text_width(cell->text);
    const size_t column = grid->column_count > 0 ? grid->cells % grid->column_count : 0;
    if (cell->width > grid->widths[column]) {
        grid->widths[column] = cell->width;
    }
    if (grid->last != NULL) {
        grid->last->next = cell;
    } else {
        grid->first = cell;
    }
    grid->last = cell;
    grid->cells++;
}

void fh_grid_text(struct fh_grid *grid, const char *text)
{
    fh_grid_cell(grid, fh_str_of(text));
}

static void put(struct fh_grid *grid, struct fh_buf *out, size_t column, struct fh_str text,
                size_t width)
{
    const size_t pad = grid->widths[column] > width ? grid->widths[column] - width : 0;
    const bool last = column + 1 == grid->column_count;
    if (grid->right[column]) {
        fh_buf_printf(out, "%*s", (int)pad, "");
    }
    fh_buf_add_str(out, text);
    if (!grid->right[column] && !last) {
        fh_buf_printf(out, "%*s", (int)pad, "");
    }
    if (last) {
        fh_buf_add_char(out, '\n');
    } else {
        fh_buf_printf(out, "%*s", GAP, "");
    }
}

enum fh_code fh_grid_flush(struct fh_grid *grid, struct fh_buf *out)
{
    size_t column = 0;
    if (grid->code != FH_OK) {
        return grid->code;
    }
    if (grid->column_count == 0) {
        return fh_buf_code(out);
    }
    for (size_t i = 0; i < grid->column_count && !grid->header_done; i++) {
        struct fh_str title = fh_str_of(grid->titles[i]);
        put(grid, out, i, title, fh_text_width(title));
    }
    grid->header_done = true;
    for (struct fh_grid_cell *cell = grid->first; cell != NULL; cell = cell->next) {
        put(grid, out, column, cell->text, cell->width);
        column = (column + 1) % grid->column_count;
    }
    grid->first = NULL;
    grid->last = NULL;
    grid->cells = 0;
    fh_arena_reset(&grid->arena);
    return fh_buf_code(out);
}
