/* A commit is all or nothing, so one wrong row takes up to 499 good ones with it. Where the refusal
 * names the write, that one is left out; where it does not, the commit is halved until one row is
 * left. Every part is a commit of its own, with a request id of its own.
 *
 * With no errors allowed nothing is written any more: the halves are only validated, to say which
 * row it was. */
#include "clients/cli/settle.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/json.h"
#include "clients/cli/text.h"

#define SERVICE (&freehold__v1__data_service__descriptor)
#define REPORT_BYTES_MAX 8192

long fh_pipeline_index_of(const struct fh_client_status *status)
{
    static const char mark[] = "writes[";
    const char *at = NULL;
    for (size_t i = 0; i < status->violation_count && at == NULL; i++) {
        at = strstr(status->violations[i].field, mark);
    }
    if (at == NULL) {
        at = strstr(status->message, mark);
    }
    /* Two writes named: neither is wrong by itself. */
    if (at == NULL || strstr(at + 1, mark) != NULL) {
        return -1;
    }
    char *end;
    const long index = strtol(at + sizeof(mark) - 1, &end, 10);
    return *end == ']' && index >= 0 && index < FH_BATCH_ROWS_MAX ? index : -1;
}

const char *fh_pipeline_column_of(const struct fh_client_status *status)
{
    static const char mark[] = "fields.";
    for (size_t i = 0; i < status->violation_count; i++) {
        const char *at = strstr(status->violations[i].field, mark);
        if (at != NULL) {
            return at + sizeof(mark) - 1;
        }
    }
    return "";
}

bool fh_pipeline_is_row_fault(const struct fh_client_status *status)
{
    static const char *const elsewhere[] = {"REQUEST_ID_REUSED", "TENANT_SUSPENDED",
                                            "TENANT_NOT_FOUND"};
    for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
        if (strcmp(status->reason, elsewhere[i]) == 0) {
            return false;
        }
    }
    switch (status->grpc) {
    case FH_GRPC_INVALID_ARGUMENT:
    case FH_GRPC_NOT_FOUND:
    case FH_GRPC_ALREADY_EXISTS:
    case FH_GRPC_FAILED_PRECONDITION:
    case FH_GRPC_OUT_OF_RANGE:
        return true;
    case FH_GRPC_RESOURCE_EXHAUSTED:
        return strcmp(status->reason, "TOO_LARGE") == 0;
    default:
        return false;
    }
}

void fh_settle_count(struct fh_pipeline *pipeline, const Freehold__V1__CommitResponse *response,
                     size_t rows)
{
    pipeline->commits++;
    pipeline->rows_written += rows;
    if (response->replayed) {
        pipeline->rows_replayed += rows;
    }
}

static void report_json(const struct fh_pipeline *pipeline, struct fh_buf *out, uint64_t line,
                        uint64_t line_to, uint64_t number, const char *column, const char *message)
{
    fh_buf_add_text(out, "{\"error\":{\"file\":");
    fh_json_add_string(out, pipeline->file);
    fh_buf_printf(
        out, ",\"line\":%" PRIu64 ",\"lastLine\":%" PRIu64 ",\"row\":%" PRIu64 ",\"column\":", line,
        line_to, number);
    fh_json_add_string(out, column);
    fh_buf_add_text(out, ",\"message\":");
    fh_json_add_string(out, message);
    fh_buf_add_text(out, "}}\n");
}

void fh_settle_report(const struct fh_pipeline *pipeline, uint64_t line, uint64_t line_to,
                      uint64_t number, const char *column, const char *message)
{
    struct fh_buf out;
    fh_buf_init(&out, REPORT_BYTES_MAX);
    if (pipeline->session->output != FH_OUTPUT_TABLE) {
        report_json(pipeline, &out, line, line_to, number, column, message);
    } else {
        fh_text_add_shown(&out, fh_str_of(pipeline->file), 0);
        fh_buf_printf(&out, ":%" PRIu64, line);
        if (line_to > line) {
            fh_buf_printf(&out, "-%" PRIu64, line_to);
        }
        fh_buf_printf(&out, ": row %" PRIu64, number);
        if (column[0] != '\0') {
            fh_buf_add_text(&out, ", column ");
            fh_text_add_shown(&out, fh_str_of(column), 0);
        }
        fh_buf_add_text(&out, ": ");
        fh_text_add_shown(&out, fh_str_of(message), 0);
        fh_buf_add_char(&out, '\n');
    }
    (void)fputs(fh_buf_code(&out) == FH_OK ? out.data : "freehold: out of memory\n", stderr);
    fh_buf_close(&out);
}

static void report_row(struct fh_pipeline *pipeline, const struct fh_batch_row *row)
{
    const struct fh_client_status *status = &pipeline->status;
    const char *text = status->violation_count > 0 && status->violations[0].description[0] != '\0'
                           ? status->violations[0].description
                           : status->message;
    fh_pipeline_row_error(pipeline, row->line, row->number, fh_pipeline_column_of(status), text);
}

/* Writes [from, to) of the batch as a commit of their own; the outcome is in pipeline->status. */
static bool commit(struct fh_pipeline *pipeline, struct fh_batch *batch, size_t from, size_t to)
{
    Freehold__V1__CommitRequest request = FREEHOLD__V1__COMMIT_REQUEST__INIT;
    ProtobufCMessage *response = NULL;
    char request_id[FH_BATCH_REQUEST_ID_MAX];
    if (fh_batch_request_id(pipeline->plan, batch->offset, batch->writes + from, to - from,
                            request_id) != FH_OK) {
        fh_client_status_set(&pipeline->status, FH_GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return false;
    }
    request.writes = batch->writes + from;
    request.n_writes = to - from;
    request.validate_only = pipeline->dry_run || pipeline->probing;
    if (!request.validate_only) {
        request.request_id = request_id;
    }
    const bool good = fh_client_invoke(pipeline->client, SERVICE, "Commit", &request.base,
                                       &response, &pipeline->status);
    if (good && !pipeline->probing) {
        fh_settle_count(pipeline, (const Freehold__V1__CommitResponse *)response, to - from);
    }
    fh_client_message_free(response);
    return good;
}

static void stop_fatal(struct fh_pipeline *pipeline)
{
    fh_progress_wipe(&pipeline->progress);
    pipeline->stopped = true;
    pipeline->exit_code = fh_session_fail_status(pipeline->session, &pipeline->status);
}

/* Depth is bounded by the rows of a batch; the large things live in the pipeline. */
static void settle(struct fh_pipeline *pipeline, struct fh_batch *batch, size_t from, size_t to)
{
    while (from < to && !pipeline->stopped && !commit(pipeline, batch, from, to)) {
        const long index = fh_pipeline_index_of(&pipeline->status);
        if (!fh_pipeline_is_row_fault(&pipeline->status)) {
            stop_fatal(pipeline);
        } else if (index >= 0 && from + (size_t)index < to) {
            const size_t at = from + (size_t)index;
            report_row(pipeline, &batch->rows[at]);
            settle(pipeline, batch, from, at);
            from = at + 1;
        } else if (to - from == 1) {
            report_row(pipeline, &batch->rows[from]);
            return;
        } else {
            const size_t middle = from + (to - from) / 2;
            settle(pipeline, batch, from, middle);
            from = middle;
        }
    }
}

void fh_settle_refused(struct fh_pipeline *pipeline, struct fh_batch *batch)
{
    const long index = fh_pipeline_index_of(&pipeline->status);
    if (!fh_pipeline_is_row_fault(&pipeline->status)) {
        stop_fatal(pipeline);
        return;
    }
    if (pipeline->errors < pipeline->errors_max) {
        settle(pipeline, batch, 0, batch->count);
        return;
    }
    if (index >= 0 && (size_t)index < batch->count) {
        report_row(pipeline, &batch->rows[index]);
        return;
    }
    const struct fh_client_status refusal = pipeline->status;
    const uint64_t errors = pipeline->errors;
    pipeline->probing = true;
    settle(pipeline, batch, 0, batch->count);
    pipeline->probing = false;
    if (pipeline->errors == errors && !pipeline->stopped) {
        /* Validating found nothing: the rows clash with each other, or with others' writes. */
        fh_progress_wipe(&pipeline->progress);
        fh_settle_report(pipeline, batch->rows[0].line, batch->rows[batch->count - 1].line,
                         batch->rows[0].number, "", refusal.message);
        pipeline->errors++;
        pipeline->stopped = true;
        pipeline->exit_code = FH_EXIT_PARTIAL;
    }
}
