/* request->engine is the mark: store.c clears it before the request is queued, and it is the one
 * field that the loop may touch while a worker has the request. */
#include "stores/sqlite/admit.h"

enum fh_code fh_sqlite_admit(const struct fh_clock *clock, struct fh_request *request)
{
    request->error = (struct fh_error)FH_ERROR_INIT;
    if (__atomic_load_n(&request->engine, __ATOMIC_RELAXED) != NULL) {
        return fh_error_set(&request->error, FH_CANCELLED, "%s", fh_code_text(FH_CANCELLED));
    }
    if (request->deadline_us <= fh_clock_monotonic_us(clock)) {
        return fh_error_set(&request->error, FH_DEADLINE, "the deadline passed in the queue");
    }
    return FH_OK;
}

void fh_sqlite_cancel(struct fh_request *request)
{
    __atomic_store_n(&request->engine, request, __ATOMIC_RELAXED);
}
