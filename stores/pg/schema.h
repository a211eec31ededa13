/* A schema change under way: what schema.c decides and schema_send.c sends. Loop thread only. */
#ifndef FH_STORES_PG_SCHEMA_H
#define FH_STORES_PG_SCHEMA_H

#include "stores/pg/ddl.h"
#include "stores/pg/op.h"

enum fh_pg_schema_stage {
    STAGE_FIRST, /* QUICK or LOCK */
    STAGE_QUICK, /* all in one, of a home that is taken to be one version behind */
    STAGE_LOCK,
    STAGE_CHECK,
    STAGE_SIZE,
    STAGE_RUN,
    STAGE_AHEAD_OPEN, /* rolled back; settings and a lock of the session */
    STAGE_AHEAD_LOOK, /* what is there of statement `at`? */
    STAGE_AHEAD_DROP, /* an index that is not valid */
    STAGE_AHEAD_MAKE,
    STAGE_UNDO_OPEN, /* the locks again, perhaps of another session; is the version as it was? */
    STAGE_UNDO,
    STAGE_UNDO_CLOSE, /* the session's locks go */
};

struct fh_pg_schema_state {
    enum fh_pg_schema_stage stage;
    bool slow; /* it was not as QUICK took it to be */
    bool exists;
    bool large;
    uint32_t version;                 /* what the home is at */
    const struct fh_schema *from;     /* QUICK: what it is taken to be at */
    const struct fh_schema *to;       /* what it comes to next */
    const struct fh_schema *prepared; /* for this one everything was made ahead; NULL: for none */
    struct fh_pg_ddl_step *steps;     /* of AHEAD and UNDO, in the request's arena */
    size_t step_count;
    size_t at;    /* the step under way */
    bool missing; /* what LOOK found */
    bool invalid;
    unsigned fence_at; /* which result of CHECK or RUN is the fence; 0: none */
    unsigned sent;
    bool may_undo;    /* what UNDO_OPEN found */
    enum fh_code why; /* of UNDO */
    struct fh_error error;
};

bool fh_pg_schema_is_dedicated(const struct fh_pg_op *op);
/* Sends the statements of the state's stage. */
FH_MUST_CHECK enum fh_code fh_pg_schema_send(struct fh_pg_op *op, struct fh_pg_conn *conn);
/* What goes ahead of coming to state->to, kept for as long as the op lives. FH_NOMEM. */
FH_MUST_CHECK enum fh_code fh_pg_schema_take_steps(struct fh_pg_op *op);

#endif
