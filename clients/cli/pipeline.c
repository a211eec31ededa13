/* Happy path: add() fills a batch and sends it; when the window is full an answer is waited for;
 * answers are looked at in the order of sending. Failures: a refusal that lies in the rows goes to
 * settle() in settle.c; any other stops the import with the server's words, and running it again
 * goes on where it stopped. */
#include "clients/cli/pipeline.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "clients/cli/settle.h"

#define SERVICE (&freehold__v1__data_service__descriptor)

enum fh_code fh_pipeline_open(struct fh_pipeline *pipeline, size_t window)
{
    FH_ASSERT(window > 0 && window <= FH_PIPELINE_WINDOW_MAX);
    fh_map_init(&pipeline->names, (window + 1) * FH_BATCH_ROWS_MAX, fh_batch_name_key);
    for (size_t i = 0; i < window + 1; i++) {
        struct fh_batch *batch = fh_batch_create();
        if (batch == NULL) {
            return FH_NOMEM;
        }
        pipeline->batches[pipeline->batch_count++] = batch;
        pipeline->free[pipeline->free_count++] = batch;
    }
    return FH_OK;
}

void fh_pipeline_close(struct fh_pipeline *pipeline)
{
    for (size_t i = 0; i < pipeline->batch_count; i++) {
        fh_client_call_free(pipeline->batches[i]->ended);
        fh_batch_destroy(pipeline->batches[i]);
    }
    fh_map_close(&pipeline->names);
}

static void stop(struct fh_pipeline *pipeline, int exit_code)
{
    if (!pipeline->stopped) {
        pipeline->stopped = true;
        pipeline->exit_code = exit_code;
    }
}

static void stop_local(struct fh_pipeline *pipeline, enum fh_code code)
{
    fh_progress_wipe(&pipeline->progress);
    stop(pipeline, fh_session_fail(pipeline->session, FH_EXIT_LOCAL, "the import cannot go on: %s",
                                   fh_code_text(code)));
}

static void tell_progress(struct fh_pipeline *pipeline)
{
    pipeline->facts.rows = pipeline->rows_written;
    pipeline->facts.errors = pipeline->errors;
    pipeline->facts.bytes = pipeline->input->offset;
    pipeline->facts.bytes_total = pipeline->input->size;
    fh_progress_tell(&pipeline->progress, &pipeline->facts);
}

/* The oldest batch under way has its answer: counts its rows, or finds out what was wrong. */
static void settle_oldest(struct fh_pipeline *pipeline)
{
    struct fh_batch *batch = pipeline->sent[0];
    struct fh_client_call *call = batch->ended;
    const Freehold__V1__CommitResponse *response =
        (const Freehold__V1__CommitResponse *)fh_client_call_response(call);
    const bool good = response != NULL;
    pipeline->status = *fh_client_call_status(call);
    if (good) {
        fh_settle_count(pipeline, response, batch->count);
    }
    batch->ended = NULL;
    fh_client_call_free(call);
    pipeline->sent_count--;
    memmove(pipeline->sent, pipeline->sent + 1, pipeline->sent_count * sizeof(void *));
    if (!good && !pipeline->stopped) {
        fh_settle_refused(pipeline, batch);
    }
    fh_batch_reset(batch, &pipeline->names);
    pipeline->free[pipeline->free_count++] = batch;
    tell_progress(pipeline);
}

/* Waits for one answer; false when none is to come. */
static bool take_one(struct fh_pipeline *pipeline)
{
    struct fh_client_call *call = fh_client_next(pipeline->client);
    if (call == NULL) {
        return false;
    }
    struct fh_batch *batch = fh_client_call_arg(call);
    batch->ended = call;
    while (pipeline->sent_count > 0 && pipeline->sent[0]->ended != NULL) {
        settle_oldest(pipeline);
    }
    return true;
}

static void send(struct fh_pipeline *pipeline)
{
    struct fh_batch *batch = pipeline->filling;
    struct fh_client_call *call = NULL;
    struct fh_error error = FH_ERROR_INIT;
    Freehold__V1__CommitRequest request = FREEHOLD__V1__COMMIT_REQUEST__INIT;
    while (batch->waits && !pipeline->stopped && take_one(pipeline)) {
    }
    pipeline->filling = NULL;
    enum fh_code code = FH_OK;
    if (!pipeline->stopped) {
        code = fh_batch_request_id(pipeline->plan, batch->offset, batch->writes, batch->count,
                                   batch->request_id);
    }
    if (code == FH_OK && !pipeline->stopped) {
        request.writes = batch->writes;
        request.n_writes = batch->count;
        request.validate_only = pipeline->dry_run;
        if (!pipeline->dry_run) { /* nothing is written, so nothing is remembered under an id */
            request.request_id = batch->request_id;
        }
        code = fh_client_call_start(pipeline->client, SERVICE, "Commit", &request.base, batch,
                                    &call, &error);
    }
    if (call != NULL) {
        pipeline->sent[pipeline->sent_count++] = batch;
    } else {
        fh_batch_reset(batch, &pipeline->names);
        pipeline->free[pipeline->free_count++] = batch;
    }
    if (code != FH_OK) {
        stop_local(pipeline, code);
    }
}

/* A batch to fill; taking answers back until one is free. NULL when stopped. */
static struct fh_batch *filling(struct fh_pipeline *pipeline)
{
    while (pipeline->filling == NULL && pipeline->free_count == 0) {
        if (!take_one(pipeline)) {
            break;
        }
    }
    if (pipeline->filling == NULL && pipeline->free_count > 0 && !pipeline->stopped) {
        pipeline->filling = pipeline->free[--pipeline->free_count];
    }
    return pipeline->stopped ? NULL : pipeline->filling;
}

/* Builds the row in the batch being filled; when its arena is full, in the next one. */
static enum fh_code prepare(struct fh_pipeline *pipeline, const struct fh_row *row, uint64_t number,
                            struct fh_error *error)
{
    struct fh_batch *batch = filling(pipeline);
    if (batch == NULL) {
        return FH_CANCELLED;
    }
    enum fh_code code = fh_batch_prepare(batch, pipeline->plan, row, number, error);
    if (code == FH_NOMEM) { /* wrong rows leave their memory in the arena: start afresh */
        if (batch->count > 0) {
            send(pipeline);
        } else {
            fh_batch_reset(batch, &pipeline->names);
        }
        batch = filling(pipeline);
        code = batch == NULL ? FH_CANCELLED
                             : fh_batch_prepare(batch, pipeline->plan, row, number, error);
    }
    return code;
}

void fh_pipeline_add(struct fh_pipeline *pipeline, const struct fh_row *row, uint64_t number)
{
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code = prepare(pipeline, row, number, &error);
    if (code == FH_OK && fh_batch_must_go(pipeline->filling, &pipeline->names)) {
        send(pipeline);
        code = prepare(pipeline, row, number, &error);
    }
    if (code == FH_OK) {
        code = fh_batch_push(pipeline->filling, &pipeline->names, row->offset);
    }
    if (code == FH_OK && pipeline->filling->count >= pipeline->rows_max) {
        send(pipeline);
    }
    if (code == FH_INVALID) {
        fh_pipeline_row_error(pipeline, row->line, number, error.field, fh_error_text(&error));
    } else if (code != FH_OK && code != FH_CANCELLED) {
        stop_local(pipeline, code);
    }
}

void fh_pipeline_finish(struct fh_pipeline *pipeline)
{
    if (pipeline->filling != NULL && pipeline->filling->count > 0 && !pipeline->stopped) {
        send(pipeline);
    }
    /* After too many wrong rows what is under way still counts; after a fatal failure not. */
    while (!(pipeline->stopped && pipeline->exit_code != FH_EXIT_PARTIAL) && take_one(pipeline)) {
    }
    fh_progress_wipe(&pipeline->progress);
}

void fh_pipeline_row_error(struct fh_pipeline *pipeline, uint64_t line, uint64_t number,
                           const char *column, const char *message)
{
    fh_progress_wipe(&pipeline->progress);
    fh_settle_report(pipeline, line, line, number, column, message);
    pipeline->errors++;
    if (pipeline->errors > pipeline->errors_max) {
        stop(pipeline, FH_EXIT_PARTIAL);
    }
}
