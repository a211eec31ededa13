/* A reader: one thread, one read-only connection.
 *
 * What waits is taken in batches and answered from one snapshot, which is newer than every request
 * in the batch: so each still sees everything that was acknowledged before it was submitted. A
 * statement past its request's deadline is interrupted.
 */
#ifndef FH_STORES_SQLITE_READER_H
#define FH_STORES_SQLITE_READER_H

#include "base/worker.h"
#include "stores/sqlite/conn.h"

#define FH_SQLITE_READ_BATCH_MAX 32

struct fh_sqlite_reader {
    struct fh_sqlite_conn conn;
    struct fh_worker *worker;
};

/* fh_worker_run_cb; ctx is the reader. Leaves each request's outcome in request->code. */
void fh_sqlite_reader_run(void *ctx, struct fh_work **items, size_t count);

#endif
