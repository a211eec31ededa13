/* Fences and homes: the row that says who may do what with a tenant's rows in this file.
 *
 * A write reads it after BEGIN IMMEDIATE, on the one writer thread, so freezing needs no other
 * gate: what was written before the fence changed is committed with it or before it, what comes
 * after sees it. Writer's thread, in a transaction, unless said otherwise.
 */
#ifndef FH_STORES_SQLITE_FENCE_H
#define FH_STORES_SQLITE_FENCE_H

#include "stores/sqlite/conn.h"

#define FH_SQLITE_ERASE_ROWS_MAX 500 /* a transaction: bounds how long other writers wait */

/* FH_NO_TENANT when the file has no fence for the scope's tenant. Any connection. */
FH_MUST_CHECK enum fh_code fh_sqlite_fence_find(struct fh_sqlite_conn *conn,
                                                const struct fh_scope *scope, struct fh_fence *out,
                                                struct fh_error *error);
/* FH_OK, or FH_MOVED with what was seen, when the fence is not at the scope's epoch or its mode
 * forbids it. Writing needs open, reading open or frozen. */
FH_MUST_CHECK enum fh_code fh_sqlite_fence_admit(struct fh_request *request,
                                                 const struct fh_fence *fence, bool writing);
/* The same for a mover's operation (stores/move.h): epoch, generation and mode as it requires. */
FH_MUST_CHECK enum fh_code fh_sqlite_fence_guard(struct fh_request *request,
                                                 const struct fh_fence *fence,
                                                 const struct fh_fence_guard *guard);
/* The look at the fence that every commit begins with: FH_OK when fence and version admit it. Tells
 * with it, out of the same statement, what the last record's number in this epoch is (0: none), and
 * whether there is a record with the commit's request id. */
FH_MUST_CHECK enum fh_code fh_sqlite_fence_commit(struct fh_sqlite_conn *conn,
                                                  struct fh_request *request, uint64_t *last_seq,
                                                  bool *known);
/* The fence in front of a joined read's row: compares its tenant, and admits. Readers. */
FH_MUST_CHECK enum fh_code fh_sqlite_fence_joined(struct fh_sqlite_conn *conn,
                                                  struct fh_request *request,
                                                  sqlite3_stmt *statement);

FH_MUST_CHECK enum fh_code fh_sqlite_fence_read(struct fh_sqlite_conn *conn,
                                                struct fh_request *request);
FH_MUST_CHECK enum fh_code fh_sqlite_fence_set(struct fh_sqlite_conn *conn,
                                               struct fh_request *request);
FH_MUST_CHECK enum fh_code fh_sqlite_home_create(struct fh_sqlite_conn *conn,
                                                 struct fh_request *request);
/* A home is there already, and was just looked at: FH_OK when its fence is the one to be made, else
 * FH_EXISTS; FH_STALE_SCHEMA when a dedicated one has another version. */
FH_MUST_CHECK enum fh_code fh_sqlite_fence_same(const struct fh_sqlite_conn *conn,
                                                struct fh_request *request,
                                                const struct fh_fence *present);
/* Of a home that goes as a whole: takes the fence away, or closes it. FH_NO_TENANT; FH_MOVED when
 * its generation is not the request's. */
FH_MUST_CHECK enum fh_code fh_sqlite_fence_end(struct fh_sqlite_conn *conn,
                                               struct fh_request *request);
FH_MUST_CHECK enum fh_code fh_sqlite_fence_shut(struct fh_sqlite_conn *conn,
                                                struct fh_request *request);
/* One bounded batch; *more: there is another. The first closes the fence, the last removes it.
 * FH_STALE_SCHEMA when the home has other tables than scope.schema. The eraser's connection.
 */
FH_MUST_CHECK enum fh_code fh_sqlite_home_erase(struct fh_sqlite_conn *conn,
                                                struct fh_request *request, bool *more);

#endif
