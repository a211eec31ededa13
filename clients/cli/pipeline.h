/* The commits of an import: filled, sent up to a window at once, taken back, and when refused cut
 * up until the wrong rows are known.
 *
 * States of a batch: free -> filling (one at most) -> under way -> free. A batch whose rows name a
 * record that is under way waits until all are back, so that the file's order holds for each
 * record. One thread; borrows the session and the plan. Limits: FH_PIPELINE_WINDOW_MAX under way.
 */
#ifndef FH_CLIENTS_CLI_PIPELINE_H
#define FH_CLIENTS_CLI_PIPELINE_H

#include "base/map.h"
#include "clients/cli/batch.h"
#include "clients/cli/input.h"
#include "clients/cli/progress.h"
#include "clients/cli/session.h"

#define FH_PIPELINE_WINDOW_MAX 32

struct fh_pipeline {
    struct fh_session *session;
    struct fh_client *client;
    const struct fh_batch_plan *plan;
    const struct fh_input *input; /* for progress */
    const char *file;             /* for messages */
    struct fh_progress progress;
    struct fh_progress_facts facts;
    bool dry_run;
    bool probing; /* looking for the wrong row with validate_only */
    uint64_t errors_max;
    size_t rows_max; /* of a batch */

    struct fh_batch *batches[FH_PIPELINE_WINDOW_MAX + 1];
    struct fh_batch *free[FH_PIPELINE_WINDOW_MAX + 1];
    size_t batch_count;
    size_t free_count;
    /* Under way, oldest first. Answers are looked at in the order of sending, so that which row is
     * told first, and which ones are written before a stop, does not depend on the network. */
    struct fh_batch *sent[FH_PIPELINE_WINDOW_MAX + 1];
    size_t sent_count;
    struct fh_batch *filling; /* NULL: none yet */
    struct fh_map names;
    struct fh_client_status status; /* of the commit looked at last */

    uint64_t rows_written;
    uint64_t rows_replayed; /* of those, recognised from an earlier run */
    uint64_t commits;
    uint64_t errors;
    bool stopped;  /* too many errors, or something no later row can get past */
    int exit_code; /* why */
};

FH_MUST_CHECK enum fh_code fh_pipeline_open(struct fh_pipeline *pipeline, size_t window);
void fh_pipeline_close(struct fh_pipeline *pipeline);

/* Converts the row and adds it; sends the batch when it is full. Check `stopped` behind it. */
void fh_pipeline_add(struct fh_pipeline *pipeline, const struct fh_row *row, uint64_t number);
/* Sends what is left and takes everything back. */
void fh_pipeline_finish(struct fh_pipeline *pipeline);
/* Tells of a wrong row; stops the pipeline when there were too many. */
void fh_pipeline_row_error(struct fh_pipeline *pipeline, uint64_t line, uint64_t number,
                           const char *column, const char *message);
/* The write's index in a refusal ("writes[17].upsert.name"); -1 when it names none. Pure. */
long fh_pipeline_index_of(const struct fh_client_status *status);
/* The column in a refusal ("record.fields.size"); "" when it names none. Borrows. */
const char *fh_pipeline_column_of(const struct fh_client_status *status);
/* Does the refusal lie in the rows, so that others may still be written? */
bool fh_pipeline_is_row_fault(const struct fh_client_status *status);

#endif
