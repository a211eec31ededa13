/* Happy path: bytes go through four states into one buffer, with the ends of the fields beside it.
 *
 * Failures: the first thing wrong in a record is remembered, the rest of the record read and not
 * kept, so that the next one starts where it should. */
#include <string.h>

#include "clients/cli/rows.h"

enum state {
    AT_START, /* of a field */
    IN_PLAIN,
    IN_QUOTES,
    BEHIND_QUOTE /* a quote inside quotes: doubled, or the end */
};

struct reader {
    struct fh_rows *rows;
    struct fh_error *error;
    enum state state;
    uint64_t quote_line; /* where the open quote stands */
    size_t field_start;
    bool quoted;
    bool bad;
};

static void refuse(struct reader *reader, const char *what)
{
    if (!reader->bad) {
        (void)fh_error_set(reader->error, FH_INVALID, "field %zu: %s", reader->rows->count + 1,
                           what);
        reader->bad = true;
    }
}

static void keep(struct reader *reader, char c)
{
    struct fh_buf *text = &reader->rows->text;
    if (reader->bad) {
        return;
    }
    if (text->len - reader->field_start >= FH_ROW_FIELD_BYTES_MAX) {
        refuse(reader, "larger than 1 MiB");
        return;
    }
    fh_buf_add_char(text, c);
    if (fh_buf_code(text) != FH_OK) {
        refuse(reader, "the row is larger than 3 MiB, or memory is out");
    }
}

static void end_field(struct reader *reader)
{
    struct fh_rows *rows = reader->rows;
    if (!reader->bad) {
        struct fh_str field = {.data =
                                   rows->text.len > 0 ? rows->text.data + reader->field_start : "",
                               .len = rows->text.len - reader->field_start};
        if (!fh_str_is_text(field)) {
            refuse(reader, "not UTF-8 text, or holds a NUL");
        }
    }
    if (!reader->bad && rows->count == FH_ROW_FIELDS_MAX) {
        refuse(reader, "more fields than any table has columns");
    }
    if (!reader->bad) {
        rows->ends[rows->count] = rows->text.len;
        rows->quoted[rows->count] = reader->quoted;
        rows->count++;
    }
    reader->field_start = rows->text.len;
    reader->quoted = false;
    reader->state = AT_START;
}

/* One byte outside of quotes; true at the record's end. */
static bool take_plain(struct reader *reader, int c)
{
    struct fh_rows *rows = reader->rows;
    if (c == '\n') {
        rows->line++;
        end_field(reader);
        return true;
    }
    if (c == '\r') {
        if (fh_input_peek(rows->input) != '\n') {
            refuse(reader, "a carriage return that ends no line");
        }
        return false;
    }
    if (c == rows->delimiter) {
        end_field(reader);
        return false;
    }
    if (c == '"' && reader->state == AT_START) {
        reader->state = IN_QUOTES;
        reader->quoted = true;
        reader->quote_line = rows->line;
        return false;
    }
    if (reader->state == BEHIND_QUOTE) {
        refuse(reader, "text behind the closing quote");
    } else if (c == '"') {
        refuse(reader, "a quote inside a field that has none around it");
    }
    reader->state = IN_PLAIN;
    keep(reader, (char)c);
    return false;
}

static void take_quoted(struct reader *reader, int c)
{
    if (c == '"') {
        reader->state = BEHIND_QUOTE;
        return;
    }
    if (c == '\n') {
        reader->rows->line++;
    }
    keep(reader, (char)c);
}

static enum fh_rows_result at_end(struct reader *reader)
{
    const struct fh_rows *rows = reader->rows;
    if (rows->input->failed != 0) {
        (void)fh_error_set(reader->error, FH_UNAVAILABLE, "cannot read on: %s",
                           strerror(rows->input->failed));
        return FH_ROWS_BROKEN;
    }
    if (reader->state == IN_QUOTES) {
        (void)fh_error_set(reader->error, FH_INVALID,
                           "the quote opened in line %llu is never closed",
                           (unsigned long long)reader->quote_line);
        return FH_ROWS_BROKEN;
    }
    end_field(reader);
    return reader->bad ? FH_ROWS_BAD : FH_ROWS_ROW;
}

static void skip_blank_lines(struct fh_rows *rows)
{
    int c;
    while ((c = fh_input_peek(rows->input)) == '\n' || c == '\r') {
        if (c == '\n') {
            rows->line++;
        }
        (void)fh_input_get(rows->input);
    }
}

enum fh_rows_result fh_csv_next(struct fh_rows *rows, struct fh_row *row, struct fh_error *error)
{
    struct reader reader = {.rows = rows, .error = error};
    fh_buf_clear(&rows->text);
    rows->count = 0;
    skip_blank_lines(rows);
    row->line = rows->line;
    row->offset = rows->input->offset;
    if (fh_input_peek(rows->input) < 0 && rows->input->failed == 0) {
        return FH_ROWS_END;
    }
    for (;;) {
        const int c = fh_input_get(rows->input);
        if (c < 0) {
            return at_end(&reader);
        }
        if (reader.state == IN_QUOTES) {
            take_quoted(&reader, c);
        } else if (reader.state == BEHIND_QUOTE && c == '"') {
            reader.state = IN_QUOTES;
            keep(&reader, '"');
        } else if (take_plain(&reader, c)) {
            return reader.bad ? FH_ROWS_BAD : FH_ROWS_ROW;
        }
    }
}
