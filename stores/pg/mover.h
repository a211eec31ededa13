/* What the mover's operations share: their context and fence, pages of rows and of records.
 *
 * Every one of them starts with the same statements, so results are counted from
 * FH_PG_MOVE_RESULTS_FIRST on. Functions of the loop's thread.
 */
#ifndef FH_STORES_PG_MOVER_H
#define FH_STORES_PG_MOVER_H

#include <libpq-fe.h>

#include "stores/pg/op.h"

#define FH_PG_MOVE_RESULTS_FIRST 2 /* after the context's and the fence's */
#define FH_PG_MOVE_MS_MAX 120000   /* of one statement */
#define FH_PG_MOVE_LOCK_MS_MAX 3000

/* Context and fence: what is sent behind them is read through them. */
FH_MUST_CHECK enum fh_code fh_pg_move_begin(struct fh_pg_op *op, struct fh_pg_conn *conn);
/* The context alone; `kind` is FH_PG_CONTEXT_MOVE or FH_PG_CONTEXT_VIEW. */
FH_MUST_CHECK enum fh_code fh_pg_move_send_context(struct fh_pg_op *op, struct fh_pg_conn *conn,
                                                   enum fh_pg_statement_kind kind);
/* The fence's row, as FH_PG_MOVE_FENCE gives it: FH_NO_TENANT, or FH_MOVED with what is seen. */
FH_MUST_CHECK enum fh_code fh_pg_move_check_fence(struct fh_pg_op *op, const PGresult *result,
                                                  const struct fh_fence_guard *guard);

/* The same with another epoch than the scope's. */
FH_MUST_CHECK enum fh_code fh_pg_move_check_epoch(struct fh_pg_op *op, const PGresult *result,
                                                  uint64_t required,
                                                  const struct fh_fence_guard *guard);

/* Bytes a row has besides its text, bytes and documents; whether it has no such columns. */
unsigned fh_pg_move_row_bytes(const struct fh_table *table);
bool fh_pg_move_is_narrow(const struct fh_table *table);

/* How many of a page's rows are within its bounds: the first, and others up to bytes_max by the
 * running sum in column 0. *more: there are others behind. */
FH_MUST_CHECK enum fh_code fh_pg_move_page(const PGresult *result, size_t limit, size_t bytes_max,
                                           size_t *count, bool *more);
/* A page's records into the arena. */
FH_MUST_CHECK enum fh_code fh_pg_move_read_records(const PGresult *result, struct fh_arena *arena,
                                                   size_t count, struct fh_journal_row **out);

#endif
