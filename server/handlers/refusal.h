/* How the handlers end a call that did not come to its answer. */
#ifndef FH_SERVER_HANDLERS_REFUSAL_H
#define FH_SERVER_HANDLERS_REFUSAL_H

#include "base/code.h"
#include "base/error.h"
#include "server/rpc/call.h"

/* Fails the call with `code`, and with what `error` says if it is about that code. */
void fh_call_fail_as(struct fh_call *call, enum fh_code code, struct fh_error *error);

/* What was asked for is done, but the answer could not be built: that must not read as if nothing
 * had happened. FH_OUTCOME_UNKNOWN, with the reason. */
void fh_call_fail_unanswered(struct fh_call *call, enum fh_code code);

#endif
