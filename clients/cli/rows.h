/* Rows of a CSV or NDJSON file, one at a time, from input that may be anything.
 *
 * CSV after RFC 4180: a header line, quotes doubled inside quotes, LF or CRLF, any one-byte
 * delimiter; blank lines are skipped. NDJSON: a JSON object a line. A row that is wrong is told and
 * skipped; what makes the rest of the file meaningless (a quote that never closes, a read that
 * fails) ends it. One thread. Limits below; a larger row is a wrong row, its bytes are not kept.
 */
#ifndef FH_CLIENTS_CLI_ROWS_H
#define FH_CLIENTS_CLI_ROWS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "clients/cli/input.h"

#define FH_ROW_FIELDS_MAX 1600
#define FH_ROW_FIELD_BYTES_MAX (1u << 20)
#define FH_ROW_BYTES_MAX (3u << 20)

enum fh_rows_result {
    FH_ROWS_ROW,
    FH_ROWS_BAD, /* this row is skipped; go on */
    FH_ROWS_END,
    FH_ROWS_BROKEN, /* nothing behind this can be read */
};

struct fh_cell {
    struct fh_str name;
    struct fh_str text; /* CSV */
    bool empty;         /* CSV: nothing at all between the delimiters, no quotes: null */
    const json_t *json; /* NDJSON; NULL in CSV */
};

struct fh_row {
    uint64_t line;               /* where it starts, from 1 */
    uint64_t offset;             /* likewise, in bytes */
    const struct fh_cell *cells; /* borrowed until the next row */
    size_t count;
};

struct fh_rows {
    struct fh_input *input; /* borrowed */
    bool ndjson;
    char delimiter;
    uint64_t line; /* of the next byte */
    struct fh_buf text;
    struct fh_buf header; /* names, behind each other */
    struct fh_cell *cells;
    struct fh_str *names; /* of the columns, in `header` */
    size_t name_count;
    size_t *ends; /* of each field in `text` */
    bool *quoted;
    size_t count; /* fields of the row being read */
    json_t *object;
};

/* `delimiter` 0: NDJSON. Reads no byte. FH_NOMEM only. */
FH_MUST_CHECK enum fh_code fh_rows_open(struct fh_rows *rows, struct fh_input *input,
                                        char delimiter);
void fh_rows_close(struct fh_rows *rows);
/* CSV: reads the names; refuses empty, doubled and broken ones. NDJSON: does nothing. */
FH_MUST_CHECK enum fh_code fh_rows_header(struct fh_rows *rows, struct fh_error *error);
/* On BAD and BROKEN `row` has line and offset, and `error` the reason. */
enum fh_rows_result fh_rows_next(struct fh_rows *rows, struct fh_row *row, struct fh_error *error);

/* csv.c and ndjson.c, for rows.c. */
enum fh_rows_result fh_csv_next(struct fh_rows *rows, struct fh_row *row, struct fh_error *error);
enum fh_rows_result fh_ndjson_next(struct fh_rows *rows, struct fh_row *row,
                                   struct fh_error *error);

#endif
