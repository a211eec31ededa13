/* What becomes of a commit: its rows counted, or the wrong ones among them found and the others
 * written without them. A part of the pipeline; not for others. */
#ifndef FH_CLIENTS_CLI_SETTLE_H
#define FH_CLIENTS_CLI_SETTLE_H

#include "clients/cli/pipeline.h"

void fh_settle_count(struct fh_pipeline *pipeline, const Freehold__V1__CommitResponse *response,
                     size_t rows);
/* `pipeline->status` says why the batch was refused. */
void fh_settle_refused(struct fh_pipeline *pipeline, struct fh_batch *batch);
/* One line on stderr; `line_to` may be more than `line` when it is not known which. */
void fh_settle_report(const struct fh_pipeline *pipeline, uint64_t line, uint64_t line_to,
                      uint64_t number, const char *column, const char *message);

#endif
