/* Migration files of a request, and what they would change. */
#ifndef FH_SERVER_HANDLERS_SCHEMA_FILES_H
#define FH_SERVER_HANDLERS_SCHEMA_FILES_H

#include "freehold/v1/schema.pb-c.h"

#include "server/rpc/call.h"
#include "stores/schema/parse.h"

/* Borrows from the request; FH_INVALID names what is out of bounds or out of order. */
FH_MUST_CHECK enum fh_code fh_schema_files_parse(Freehold__V1__Migration *const *in, size_t count,
                                                 struct fh_arena *arena, struct fh_migration **out,
                                                 struct fh_error *error);

/* DiffSchema, PreviewSchema; `arg` is a struct fh_services. */
void fh_schema_diff(struct fh_call *call, void *arg);
void fh_schema_preview(struct fh_call *call, void *arg);

#endif
