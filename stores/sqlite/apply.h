/* Puts the rows of one commit into the file, and checks what must hold at its end.
 *
 * The writer's thread, in the request's savepoint. On a refusal commit->failed_write tells which
 * write.
 */
#ifndef FH_STORES_SQLITE_APPLY_H
#define FH_STORES_SQLITE_APPLY_H

#include "stores/sqlite/conn.h"

/* One write's effect: what was there, what is to be there (NULL: nothing). */
struct fh_sqlite_change {
    struct fh_row *before;
    struct fh_row *after; /* its tenant is the scope's */
    bool released;        /* taken out first, for another write may take its unique values */
    bool stored;
    size_t origin; /* which of the request's writes it is, or follows from */
};

/* The request's writes, and behind them what follows from references' actions. */
struct fh_sqlite_changes {
    const struct fh_write *writes;
    struct fh_sqlite_change *list; /* one a write */
    size_t count;
};

/* Puts behind the request's writes, which are evaluated, what follows from them (stores/cascade.h).
 */
FH_MUST_CHECK enum fh_code fh_sqlite_cascade(struct fh_sqlite_conn *conn,
                                             struct fh_request *request,
                                             struct fh_sqlite_changes *changes);
FH_MUST_CHECK enum fh_code fh_sqlite_apply(struct fh_sqlite_conn *conn, struct fh_request *request,
                                           struct fh_sqlite_changes *changes);
/* FH_UNIQUE_VIOLATION, naming the constraint's columns: a statement that put `row` in met one, and
 * has ended. */
enum fh_code fh_sqlite_explain_unique(struct fh_sqlite_conn *conn, struct fh_request *request,
                                      const struct fh_row *row);
/* FH_CHECK_VIOLATION, naming the check, when a statement that put `row` in met one of the table's;
 * otherwise `code`. The statement has not been reset yet, or the error would be gone. */
enum fh_code fh_sqlite_explain_check(struct fh_sqlite_conn *conn, struct fh_request *request,
                                     const struct fh_row *row, enum fh_code code);
/* Live rows reference live rows only, and nothing live references what went. */
FH_MUST_CHECK enum fh_code fh_sqlite_references(struct fh_sqlite_conn *conn,
                                                struct fh_request *request,
                                                const struct fh_sqlite_changes *changes);

#endif
