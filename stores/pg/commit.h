/* What the two ways to commit share: replay of a record, its parameters, the meaning of failures.
 */
#ifndef FH_STORES_PG_COMMIT_H
#define FH_STORES_PG_COMMIT_H

#include <libpq-fe.h>

#include "stores/pg/op.h"

/* The record beside the fence (see FH_PG_FENCE_AND_RECORD), when there is one: *found, and the
 * commit answered from it. */
FH_MUST_CHECK enum fh_code fh_pg_commit_replay(struct fh_pg_op *op, const PGresult *result,
                                               bool *found);
/* What a record is about: the request's writes and what follows from them, rows by write. */
struct fh_pg_recorded {
    const struct fh_write *writes;
    struct fh_row *const *before;
    struct fh_row *const *after;
    size_t count;
};
/* The parameters from the record's epoch on, in FH_PG_RECORD_INSERT's order. */
FH_MUST_CHECK enum fh_code fh_pg_add_record(struct fh_pg_op *op, struct fh_pg_params *params,
                                            int64_t at_us, const struct fh_pg_recorded *recorded);
/* The same but for the images: rows are not looked at. */
FH_MUST_CHECK enum fh_code fh_pg_add_record_header(struct fh_pg_op *op, struct fh_pg_params *params,
                                                   int64_t at_us,
                                                   const struct fh_pg_recorded *recorded);
/* Refines op->failure.code and the error's text; `write` is the one whose statement failed, or
 * NULL.
 */
void fh_pg_commit_failed(struct fh_pg_op *op, const struct fh_write *write);
/* Milliseconds until the op's deadline, as a statement_timeout: never 0, which means none. */
int64_t fh_pg_ms_left(const struct fh_pg_op *op, int64_t ms_max);

#endif
