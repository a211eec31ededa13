/* `freehold schema diff` and `preview`: what files would change, told to people. One thread. */
#ifndef FH_CLIENTS_CLI_SCHEMA_DIFF_H
#define FH_CLIENTS_CLI_SCHEMA_DIFF_H

#include "clients/cli/session.h"
#include "freehold/v1/schema.pb-c.h"

/* Each asks and writes; an exit code. */
int fh_schema_diff_show(struct fh_session *session, Freehold__V1__Migration **files, size_t count);
int fh_schema_preview_show(struct fh_session *session, Freehold__V1__Migration **files,
                           size_t count);

#endif
