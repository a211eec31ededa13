/* The writer: the one thread that changes the file's rows; of a home in a file of its own, another
 * changes the schema (lanes.h), with a writer of its own.
 *
 * What waits is taken in groups of up to FH_SQLITE_GROUP_MAX and committed as one transaction; one
 * request's refusal undoes only itself (how: writer.c). Nothing is acknowledged before the group's
 * COMMIT. The writer is never interrupted. Erases and a move's batches come after the group, each
 * in a transaction of its own, with foreign keys off.
 */
#ifndef FH_STORES_SQLITE_WRITER_H
#define FH_STORES_SQLITE_WRITER_H

#include "base/worker.h"
#include "stores/sqlite/conn.h"

#define FH_SQLITE_GROUP_MAX 64

/* In request->code: not done yet, put it into the queue again (an erase with more rows, a request
 * that met a lock and still has time). */
#define FH_SQLITE_AGAIN FH_CODE_COUNT

struct fh_sqlite_homes;

struct fh_sqlite_writer {
    struct fh_sqlite_conn conn;
    struct fh_sqlite_conn eraser;  /* opened by the first erase or batch of a move */
    struct fh_sqlite_homes *homes; /* borrows; NULL: the file is of the shared home */
    struct fh_worker *worker;
};

/* fh_worker_run_cb; ctx is the writer. Leaves each request's outcome in request->code. */
void fh_sqlite_writer_run(void *ctx, struct fh_work **items, size_t count);

#endif
