/* What a request must pass when its turn comes on a worker thread: not cancelled, deadline ahead.
 */
#ifndef FH_STORES_SQLITE_ADMIT_H
#define FH_STORES_SQLITE_ADMIT_H

#include "stores/store.h"

/* FH_OK, FH_CANCELLED, FH_DEADLINE. Clears the error of an earlier turn. Worker threads. */
FH_MUST_CHECK enum fh_code fh_sqlite_admit(const struct fh_clock *clock,
                                           struct fh_request *request);
/* The loop's thread; seen by the worker if its turn has not come yet. */
void fh_sqlite_cancel(struct fh_request *request);

#endif
