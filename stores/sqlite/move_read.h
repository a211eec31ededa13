/* What a move reads (stores/move.h): pages of rows and of commit records, what changed, counts,
 * references.
 *
 * Each runs inside a read transaction that the caller opened, and looks at the fence first: fence
 * and data are of one snapshot. In a long view that is the fence as it was when the view was
 * opened. A mover's own reader (snapshot.h), or any reader for FH_OP_MOVE_STATE. The deadline
 * interrupts.
 */
#ifndef FH_STORES_SQLITE_MOVE_READ_H
#define FH_STORES_SQLITE_MOVE_READ_H

#include "stores/sqlite/conn.h"

/* FH_OK, FH_NO_TENANT, FH_MOVED or FH_STALE_SCHEMA, with what was seen. Any connection. */
FH_MUST_CHECK enum fh_code fh_sqlite_move_guard(struct fh_sqlite_conn *conn,
                                                struct fh_request *request);

/* Answers FH_OP_SNAPSHOT_OPEN in the transaction that becomes the view: guard, schema, cursor. */
FH_MUST_CHECK enum fh_code fh_sqlite_move_open(struct fh_sqlite_conn *conn,
                                               struct fh_request *request);
/* Guard, then whatever the operation reads: everything but the two of the snapshots and APPLY. */
FH_MUST_CHECK enum fh_code fh_sqlite_move_read(struct fh_sqlite_conn *conn,
                                               struct fh_request *request);

/* move_changes.c; the guard was looked at */
FH_MUST_CHECK enum fh_code fh_sqlite_move_changes(struct fh_sqlite_conn *conn,
                                                  struct fh_request *request);
/* move_check.c; the guard was looked at */
FH_MUST_CHECK enum fh_code fh_sqlite_move_references(struct fh_sqlite_conn *conn,
                                                     struct fh_request *request);
FH_MUST_CHECK enum fh_code fh_sqlite_move_size(struct fh_sqlite_conn *conn,
                                               struct fh_request *request);

/* A cursor as fh_sqlite_move_open() made it: a txid. FH_INVALID with the request's error. */
FH_MUST_CHECK enum fh_code fh_sqlite_move_cursor(struct fh_request *request, struct fh_str cursor,
                                                 int64_t *txid);
/* Columns from the first as FH_SQLITE_JOURNAL_COLUMNS. */
FH_MUST_CHECK enum fh_code fh_sqlite_read_journal(sqlite3_stmt *statement, struct fh_arena *arena,
                                                  struct fh_journal_row *out);

/* A page of `limit` things ends early when `bytes_max` of the arena went into it, but never before
 * its first. */
static inline bool fh_sqlite_page_full(const struct fh_arena *arena, size_t start, size_t count,
                                       size_t limit, size_t bytes_max)
{
    return count == limit || (count > 0 && arena->bytes_used - start >= bytes_max);
}

#endif
