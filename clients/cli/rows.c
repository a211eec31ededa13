/* What both formats share: memory, the header, and naming a CSV record's fields. */
#include "clients/cli/rows.h"

#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

enum fh_code fh_rows_open(struct fh_rows *rows, struct fh_input *input, char delimiter)
{
    memset(rows, 0, sizeof(*rows));
    rows->input = input;
    rows->delimiter = delimiter;
    rows->ndjson = delimiter == '\0';
    rows->line = 1;
    fh_buf_init(&rows->text, FH_ROW_BYTES_MAX);
    fh_buf_init(&rows->header, FH_ROW_BYTES_MAX);
    rows->cells = fh_calloc(FH_ROW_FIELDS_MAX, sizeof(*rows->cells));
    rows->names = fh_calloc(FH_ROW_FIELDS_MAX, sizeof(*rows->names));
    rows->ends = fh_calloc(FH_ROW_FIELDS_MAX, sizeof(*rows->ends));
    rows->quoted = fh_calloc(FH_ROW_FIELDS_MAX, sizeof(*rows->quoted));
    if (rows->cells == NULL || rows->names == NULL || rows->ends == NULL || rows->quoted == NULL) {
        fh_rows_close(rows);
        return FH_NOMEM;
    }
    return FH_OK;
}

void fh_rows_close(struct fh_rows *rows)
{
    json_decref(rows->object);
    rows->object = NULL;
    fh_free(rows->cells);
    fh_free(rows->names);
    fh_free(rows->ends);
    fh_free(rows->quoted);
    rows->cells = NULL;
    rows->names = NULL;
    rows->ends = NULL;
    rows->quoted = NULL;
    fh_buf_close(&rows->text);
    fh_buf_close(&rows->header);
}

static struct fh_str field(const struct fh_buf *text, const size_t *ends, size_t index)
{
    const size_t start = index > 0 ? ends[index - 1] : 0;
    return (struct fh_str){.data = text->len > 0 ? text->data + start : "",
                           .len = ends[index] - start};
}

static enum fh_code check_name(const struct fh_rows *rows, size_t index, struct fh_error *error)
{
    const struct fh_str name = rows->names[index];
    if (name.len == 0) {
        return fh_error_set(error, FH_INVALID, "column %zu of the header has no name", index + 1);
    }
    for (size_t i = 0; i < index; i++) {
        if (fh_str_eq(rows->names[i], name)) {
            return fh_error_set(error, FH_INVALID, "columns %zu and %zu have the same name", i + 1,
                                index + 1);
        }
    }
    return FH_OK;
}

enum fh_code fh_rows_header(struct fh_rows *rows, struct fh_error *error)
{
    struct fh_row row;
    if (rows->ndjson) {
        return FH_OK;
    }
    const enum fh_rows_result result = fh_csv_next(rows, &row, error);
    if (result == FH_ROWS_END) {
        return fh_error_set(error, FH_INVALID, "no header line: the file is empty");
    }
    if (result != FH_ROWS_ROW) {
        return FH_INVALID;
    }
    fh_buf_add_str(&rows->header, fh_buf_str(&rows->text));
    if (fh_buf_code(&rows->header) != FH_OK) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    rows->name_count = rows->count;
    for (size_t i = 0; i < rows->name_count; i++) {
        rows->names[i] = field(&rows->header, rows->ends, i);
    }
    for (size_t i = 0; i < rows->name_count; i++) {
        const enum fh_code code = check_name(rows, i, error);
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

static enum fh_rows_result name_fields(struct fh_rows *rows, struct fh_row *row,
                                       struct fh_error *error)
{
    if (rows->count != rows->name_count) {
        (void)fh_error_set(error, FH_INVALID, "%zu fields, the header has %zu", rows->count,
                           rows->name_count);
        return FH_ROWS_BAD;
    }
    for (size_t i = 0; i < rows->count; i++) {
        struct fh_str text = field(&rows->text, rows->ends, i);
        rows->cells[i] = (struct fh_cell){
            .name = rows->names[i],
            .text = text,
            .empty = text.len == 0 && !rows->quoted[i],
        };
    }
    row->cells = rows->cells;
    row->count = rows->count;
    return FH_ROWS_ROW;
}

enum fh_rows_result fh_rows_next(struct fh_rows *rows, struct fh_row *row, struct fh_error *error)
{
    if (rows->ndjson) {
        return fh_ndjson_next(rows, row, error);
    }
    FH_ASSERT(rows->name_count > 0);
    const enum fh_rows_result result = fh_csv_next(rows, row, error);
    return result == FH_ROWS_ROW ? name_fields(rows, row, error) : result;
}
