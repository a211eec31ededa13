/* `freehold data import`: options, format, then rows into the pipeline, and what came of it.
 *
 * Failures: what is wrong with the command or the header is told before anything is sent. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "clients/cli/batch.h"
#include "clients/cli/columns.h"
#include "clients/cli/commands.h"
#include "clients/cli/json.h"
#include "clients/cli/pipeline.h"
#include "clients/cli/rows.h"
#include "clients/cli/session.h"
#include "clients/cli/text.h"

#define WINDOW_DEFAULT 8
#define SALT_LEN (FH_UUID_TEXT_LEN + 1)
/* A busy or restarting server is waited for this long before an import gives up. */
#define DEADLINE_US (120 * 1000000LL)

/* Large, so on the heap. */
struct import {
    struct fh_session *session;
    struct fh_input input;
    struct fh_rows rows;
    struct fh_columns columns;
    struct fh_batch_plan plan;
    struct fh_pipeline pipeline;
    char salt[SALT_LEN];
    bool input_open;
    bool rows_open;
};

static bool ends_with(const char *text, const char *end)
{
    const size_t text_len = strlen(text);
    const size_t end_len = strlen(end);
    return text_len >= end_len && strcmp(text + text_len - end_len, end) == 0;
}

/* The delimiter, 0 for NDJSON; -1: not known. */
static int read_format(const struct import *import, struct fh_input *input)
{
    const struct fh_args *args = import->session->args;
    const char *file = args->arguments[1];
    const char *format = fh_args_value(args, "format");
    const char *delimiter = fh_args_value(args, "delimiter");
    bool ndjson = ends_with(file, ".ndjson") || ends_with(file, ".jsonl");
    if (format != NULL && strcmp(format, "csv") != 0 && strcmp(format, "ndjson") != 0) {
        return -1;
    }
    if (format != NULL) {
        ndjson = strcmp(format, "ndjson") == 0;
    } else if (!ndjson && !ends_with(file, ".csv") && !ends_with(file, ".tsv")) {
        ndjson = fh_input_peek(input) == '{';
    }
    if (ndjson) {
        return 0;
    }
    if (delimiter == NULL) {
        return ends_with(file, ".tsv") ? '\t' : ',';
    }
    if (strcmp(delimiter, "tab") == 0 || strcmp(delimiter, "\\t") == 0) {
        return '\t';
    }
    return strlen(delimiter) == 1 && strchr("\"\r\n", delimiter[0]) == NULL ? delimiter[0] : -1;
}

static int open_file(struct import *import)
{
    struct fh_error error = FH_ERROR_INIT;
    const struct fh_session *session = import->session;
    if (fh_input_open(&import->input, session->args->arguments[1], &error) != FH_OK) {
        return fh_session_fail_error(session, &error);
    }
    import->input_open = true;
    const int delimiter = read_format(import, &import->input);
    if (delimiter < 0) {
        return fh_session_fail(session, FH_EXIT_USAGE,
                               "--format is csv or ndjson; --delimiter is one character or tab");
    }
    if (fh_rows_open(&import->rows, &import->input, (char)delimiter) != FH_OK) {
        return fh_session_fail(session, FH_EXIT_LOCAL, "out of memory");
    }
    import->rows_open = true;
    if (fh_rows_header(&import->rows, &error) != FH_OK) {
        return fh_session_fail(session, FH_EXIT_USAGE, "%s:1: %s", session->args->arguments[1],
                               fh_error_text(&error));
    }
    return FH_EXIT_OK;
}

static int open_columns(struct import *import)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_session *session = import->session;
    const char *types = fh_args_value(session->args, "types");
    const char *key = fh_args_value(session->args, "key");
    enum fh_code code = FH_OK;
    const int exit_code = fh_columns_open(&import->columns, session, session->args->arguments[0]);
    if (exit_code != FH_EXIT_OK) {
        return exit_code;
    }
    if (types != NULL) {
        code = fh_columns_set_types(&import->columns, types, &error);
    }
    if (code == FH_OK && key != NULL) {
        code = fh_columns_set_key(&import->columns, key, &error);
    }
    if (code != FH_OK) {
        return fh_session_fail_error(session, &error);
    }
    if (import->columns.key_count == 0) {
        return fh_session_fail(session, FH_EXIT_USAGE,
                               "the schema cannot be seen without operator access: name the key's "
                               "columns with --key");
    }
    return FH_EXIT_OK;
}

static bool in_header(const struct fh_rows *rows, const char *name)
{
    for (size_t i = 0; i < rows->name_count; i++) {
        if (fh_str_eq(rows->names[i], fh_str_of(name))) {
            return true;
        }
    }
    return false;
}

/* The header against the columns, so that a wrong file fails at once and not row by row. */
static int check_header(const struct import *import)
{
    const struct fh_rows *rows = &import->rows;
    const struct fh_session *session = import->session;
    const char *file = session->args->arguments[1];
    for (size_t i = 0; !rows->ndjson && i < import->columns.key_count; i++) {
        if (!in_header(rows, import->columns.key[i])) {
            return fh_session_fail(session, FH_EXIT_USAGE,
                                   "%s:1: the key's column '%.64s' is missing from the header",
                                   file, import->columns.key[i]);
        }
    }
    for (size_t i = 0; import->columns.complete && i < rows->name_count; i++) {
        if (fh_columns_find(&import->columns, rows->names[i]) == NULL) {
            return fh_session_fail(session, FH_EXIT_USAGE, "%s:1: table %s has no column '%.*s'",
                                   file, import->columns.table,
                                   (int)(rows->names[i].len > 64 ? 64 : rows->names[i].len),
                                   rows->names[i].data);
        }
    }
    return FH_EXIT_OK;
}

static int open_pipeline(struct import *import)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_session *session = import->session;
    struct fh_pipeline *pipeline = &import->pipeline;
    const struct fh_args *args = session->args;
    long long window = WINDOW_DEFAULT;
    long long rows = FH_BATCH_ROWS_MAX;
    long long errors = 0;
    if (fh_args_number(args, "concurrency", 1, FH_PIPELINE_WINDOW_MAX, &window, &error) != FH_OK ||
        fh_args_number(args, "batch", 1, FH_BATCH_ROWS_MAX, &rows, &error) != FH_OK ||
        fh_args_number(args, "max-errors", 0, INT64_MAX, &errors, &error) != FH_OK) {
        return fh_session_fail_error(session, &error);
    }
    if (fh_args_has(args, "again")) {
        const struct fh_uuid id = fh_uuid_v7(fh_clock_realtime_us(fh_clock_system()));
        fh_uuid_format(&id, import->salt);
    }
    import->plan = (struct fh_batch_plan){
        .tenant = fh_session_tenant_prefix(session),
        .table = args->arguments[0],
        .columns = &import->columns,
        .insert = fh_args_has(args, "insert"),
        .salt = import->salt,
    };
    pipeline->session = session;
    pipeline->plan = &import->plan;
    pipeline->input = &import->input;
    pipeline->file = strcmp(args->arguments[1], "-") == 0 ? "(stdin)" : args->arguments[1];
    pipeline->dry_run = fh_args_has(args, "dry-run");
    pipeline->errors_max = (uint64_t)errors;
    pipeline->rows_max = (size_t)rows;
    fh_progress_init(&pipeline->progress, fh_clock_system(), isatty(STDERR_FILENO) == 1,
                     fh_args_has(args, "quiet") || session->output != FH_OUTPUT_TABLE);
    if (!fh_args_has(args, "timeout")) {
        fh_client_set_deadline_us(pipeline->client, DEADLINE_US);
    }
    return fh_pipeline_open(pipeline, (size_t)window) == FH_OK
               ? FH_EXIT_OK
               : fh_session_fail(session, FH_EXIT_LOCAL, "out of memory");
}

static void read_rows(struct import *import)
{
    struct fh_pipeline *pipeline = &import->pipeline;
    uint64_t number = 0;
    while (!pipeline->stopped) {
        struct fh_row row = {0};
        struct fh_error error = FH_ERROR_INIT;
        const enum fh_rows_result result = fh_rows_next(&import->rows, &row, &error);
        if (result == FH_ROWS_END) {
            break;
        }
        number++;
        if (result == FH_ROWS_ROW) {
            fh_pipeline_add(pipeline, &row, number);
            continue;
        }
        fh_pipeline_row_error(pipeline, row.line, number, "", fh_error_text(&error));
        if (result == FH_ROWS_BROKEN) {
            break;
        }
    }
    fh_pipeline_finish(pipeline);
}

static void add_summary(const struct import *import, struct fh_buf *out)
{
    const struct fh_pipeline *pipeline = &import->pipeline;
    const struct fh_progress_facts facts = {
        .rows = pipeline->rows_written,
        .errors = pipeline->errors,
        .bytes = import->input.offset,
        .elapsed_us = fh_progress_elapsed_us(&pipeline->progress),
    };
    fh_buf_add_text(out, pipeline->dry_run ? "checked " : "imported ");
    fh_progress_format(out, &facts);
    fh_buf_add_text(out, ", ");
    fh_text_add_span(out, facts.elapsed_us / 1000000);
    fh_buf_add_char(out, '\n');
    if (pipeline->rows_replayed > 0) {
        fh_buf_add_text(out, "  of these ");
        fh_text_add_count(out, pipeline->rows_replayed);
        fh_buf_add_text(out, " were written by an earlier run (--again writes them anew)\n");
    }
}

static void add_json(const struct import *import, struct fh_buf *out)
{
    const struct fh_pipeline *pipeline = &import->pipeline;
    fh_buf_printf(
        out,
        "{\"rows\":%" PRIu64 ",\"replayedRows\":%" PRIu64 ",\"errors\":%" PRIu64
        ",\"commits\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"seconds\":%.3f,\"dryRun\":%s}\n",
        pipeline->rows_written, pipeline->rows_replayed, pipeline->errors, pipeline->commits,
        import->input.offset, (double)fh_progress_elapsed_us(&pipeline->progress) / 1e6,
        pipeline->dry_run ? "true" : "false");
}

static int print_summary(const struct import *import)
{
    const struct fh_pipeline *pipeline = &import->pipeline;
    struct fh_buf out;
    fh_buf_init(&out, FH_OUTPUT_BYTES_MAX);
    if (import->session->output == FH_OUTPUT_TABLE) {
        add_summary(import, &out);
    } else {
        add_json(import, &out);
    }
    const int exit_code = fh_session_write(import->session, &out);
    fh_buf_close(&out);
    if (pipeline->stopped) {
        fh_session_note(
            import->session,
            "The import stopped before the end. Running the same command again goes on "
            "without writing anything twice%s.",
            pipeline->exit_code == FH_EXIT_PARTIAL ? "; --max-errors N leaves wrong rows out" : "");
        return pipeline->exit_code;
    }
    if (exit_code == FH_EXIT_OK && pipeline->errors > 0) {
        return FH_EXIT_PARTIAL;
    }
    return exit_code;
}

static int run(struct import *import)
{
    int exit_code = fh_session_tenant(import->session, &import->pipeline.client);
    if (exit_code == FH_EXIT_OK) {
        exit_code = open_file(import);
    }
    if (exit_code == FH_EXIT_OK) {
        exit_code = open_columns(import);
    }
    if (exit_code == FH_EXIT_OK) {
        exit_code = check_header(import);
    }
    if (exit_code == FH_EXIT_OK) {
        exit_code = open_pipeline(import);
    }
    if (exit_code == FH_EXIT_OK) {
        read_rows(import);
        exit_code = print_summary(import);
    }
    return exit_code;
}

int fh_import_run(struct fh_session *session)
{
    struct import *import = fh_calloc(1, sizeof(*import));
    if (import == NULL) {
        return fh_session_fail(session, FH_EXIT_LOCAL, "out of memory");
    }
    import->session = session;
    const int exit_code = run(import);
    fh_pipeline_close(&import->pipeline);
    fh_columns_close(&import->columns);
    if (import->rows_open) {
        fh_rows_close(&import->rows);
    }
    if (import->input_open) {
        fh_input_close(&import->input);
    }
    fh_free(import);
    return exit_code;
}

const struct fh_option fh_import_options[] = {
    {"insert", 0, NULL, "keys must be free (default: replace what is there)"},
    {"format", 0, "FORMAT", "csv or ndjson (default: by the file's name, or its first byte)"},
    {"delimiter", 0, "CHAR", "of CSV (default: comma; tab for .tsv)"},
    {"types", 0, "COL=TYPE,...", "column types, over those of the schema"},
    {"key", 0, "COL,...", "the key's columns, when the schema cannot be seen"},
    {"max-errors", 0, "N", "leave out up to N wrong rows (default: 0, stop at the first)"},
    {"batch", 0, "N", "rows a commit (default and at most 500)"},
    {"concurrency", 0, "N", "commits under way at once (default 8)"},
    {"again", 0, NULL, "write everything, also what an earlier run has written"},
    {"dry-run", 0, NULL, "check every row, write nothing"},
    {"quiet", 'q', NULL, "no progress"},
    {0},
};
