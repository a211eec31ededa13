/* What the general way to commit keeps from step to step: the request's own writes, and behind them
 * what follows from references' actions (commit_cascade.c). In the request's arena.
 */
#ifndef FH_STORES_PG_COMMIT_STATE_H
#define FH_STORES_PG_COMMIT_STATE_H

#include <libpq-fe.h>

#include "stores/cascade.h"
#include "stores/pg/op.h"

struct fh_pg_planned;

struct fh_pg_commit_state {
    int64_t now_us;
    bool replayed;
    const struct fh_write *writes;
    size_t count;
    uint16_t *order; /* of them: lock order, then what follows in its own */
    size_t *origins; /* of those that follow: which of the request's writes; NULL: none follow */
    struct fh_row **before;
    struct fh_row **after;
    struct fh_cascade *cascade; /* NULL: nothing follows */
    struct fh_cascade_question question;
    struct fh_pg_planned *plan; /* what result i of the step that writes belongs to */
    unsigned plan_count;
    unsigned plan_capacity;
};

/* Which of the request's writes this one is, or follows from. */
static inline size_t fh_pg_commit_origin(const struct fh_pg_commit_state *state, size_t own,
                                         size_t write)
{
    return write < own ? write : state->origins[write - own];
}

/* Behind the evaluation of the request's writes. *asks: the first question is to be sent. */
FH_MUST_CHECK enum fh_code fh_pg_cascade_begin(struct fh_pg_op *op,
                                               struct fh_pg_commit_state *state, bool *asks);
/* Sends the question: the live rows that reference a key, locked. */
FH_MUST_CHECK enum fh_code fh_pg_cascade_send(struct fh_pg_op *op, struct fh_pg_conn *conn,
                                              const struct fh_pg_commit_state *state);
FH_MUST_CHECK enum fh_code
fh_pg_cascade_result(struct fh_pg_op *op, struct fh_pg_commit_state *state, const PGresult *result);
/* Another question, or none: then what follows stands behind the request's writes. */
FH_MUST_CHECK enum fh_code fh_pg_cascade_next(struct fh_pg_op *op, struct fh_pg_commit_state *state,
                                              bool *asks);

#endif
