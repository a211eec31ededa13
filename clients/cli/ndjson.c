/* A line is read whole, up to the bound, then parsed strictly: doubled keys, NUL, numbers that do
 * not fit and broken UTF-8 are refused by the parser. */
#include <string.h>

#include "clients/cli/rows.h"

/* False at the end. A line over the bound sticks as an error in `text`, and is read to its end. */
static bool read_line(struct fh_rows *rows)
{
    bool any = false;
    int c;
    fh_buf_clear(&rows->text);
    while ((c = fh_input_get(rows->input)) >= 0) {
        any = true;
        if (c == '\n') {
            rows->line++;
            break;
        }
        fh_buf_add_char(&rows->text, (char)c);
    }
    return any;
}

static bool is_blank(struct fh_str line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r') {
            return false;
        }
    }
    return true;
}

static enum fh_rows_result bad(struct fh_error *error, const char *what)
{
    (void)fh_error_set(error, FH_INVALID, "%s", what);
    return FH_ROWS_BAD;
}

static enum fh_rows_result parse(struct fh_rows *rows, struct fh_row *row, struct fh_error *error)
{
    json_error_t where;
    const char *key;
    json_t *value;
    size_t count = 0;
    rows->object = json_loadb(rows->text.data, rows->text.len, JSON_REJECT_DUPLICATES, &where);
    if (rows->object == NULL) {
        (void)fh_error_set(error, FH_INVALID, "not JSON: %.100s (byte %d)", where.text,
                           where.position);
        return FH_ROWS_BAD;
    }
    if (!json_is_object(rows->object)) {
        return bad(error, "not a JSON object");
    }
    json_object_foreach(rows->object, key, value)
    {
        if (count == FH_ROW_FIELDS_MAX) {
            return bad(error, "more keys than any table has columns");
        }
        if (json_is_string(value) && json_string_length(value) > FH_ROW_FIELD_BYTES_MAX) {
            return bad(error, "a value is larger than 1 MiB");
        }
        rows->cells[count++] = (struct fh_cell){.name = fh_str_of(key), .json = value};
    }
    row->cells = rows->cells;
    row->count = count;
    return FH_ROWS_ROW;
}

enum fh_rows_result fh_ndjson_next(struct fh_rows *rows, struct fh_row *row, struct fh_error *error)
{
    json_decref(rows->object);
    rows->object = NULL;
    for (;;) {
        row->line = rows->line;
        row->offset = rows->input->offset;
        const bool any = read_line(rows);
        if (rows->input->failed != 0) {
            (void)fh_error_set(error, FH_UNAVAILABLE, "cannot read on: %s",
                               strerror(rows->input->failed));
            return FH_ROWS_BROKEN;
        }
        if (!any) {
            return FH_ROWS_END;
        }
        if (fh_buf_code(&rows->text) != FH_OK) {
            return bad(error, "the line is larger than 3 MiB, or memory is out");
        }
        if (!is_blank(fh_buf_str(&rows->text))) {
            return parse(rows, row, error);
        }
    }
}
