/* One request under way in the engine: what carries it from submit to completion.
 *
 * Lives in its request's arena. Is on exactly one list by `node`: its lane's queue, or none while a
 * connection carries it (then the connection's group points at it). A kind is a small state machine
 * of groups: send() sends the statements of the current step, result() takes each result, synced()
 * says whether another step follows.
 */
#ifndef FH_STORES_PG_OP_H
#define FH_STORES_PG_OP_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "base/list.h"
#include "stores/pg/errors.h"
#include "stores/pg/params.h"
#include "stores/pg/statements.h"
#include "stores/store.h"

struct fh_pg_conn;
struct fh_pg_op;
struct fh_pg_store;
struct fh_snapshot;

enum fh_pg_lane_kind {
    FH_PG_LANE_FAST, /* multiplexed: one group an op, nothing that waits */
    FH_PG_LANE_SLOW, /* one op at a time, transactions of several steps */
    FH_PG_LANE_OWNER,
    FH_PG_LANE_MOVER, /* one op at a time, and the views' connections */
    FH_PG_LANE_COUNT
};

enum fh_pg_next { FH_PG_DONE, FH_PG_MORE };

struct fh_pg_op_kind {
    bool shares; /* one step, no transaction of its own: may share a Sync with others of its kind */
    bool locks;  /* begins with locks, which tenants' roles may not take: as the login, therefore */
    /* Sends the statements of op->step with fh_pg_send(); the Sync is the connection's. On failure
     * the group is ended and ignored, and the op completes with the code. */
    enum fh_code (*send)(struct fh_pg_op *op, struct fh_pg_conn *conn);
    /* Result `index` of the step, a good one; its rows are gone afterwards. A failure fails the op
     * at the group's end. */
    enum fh_code (*result)(struct fh_pg_op *op, unsigned index, const PGresult *result);
    /* May refine op->failure.code after a statement failed; may be NULL. */
    void (*failed)(struct fh_pg_op *op, unsigned index);
    /* All went well: DONE (completes with op->code) or MORE (next step; op->step was advanced). May
     * be NULL: DONE. */
    enum fh_pg_next (*synced)(struct fh_pg_op *op);
    /* Forgets what earlier attempts left; may be NULL. */
    void (*reset)(struct fh_pg_op *op);
};

struct fh_pg_op {
    struct fh_pg_store *store;
    struct fh_request *request;
    const struct fh_pg_op_kind *kind;
    void *state; /* the kind's own, in the request's arena */
    struct fh_list node;
    struct fh_list active; /* on the store's list, from submit to completion */
    struct fh_pg_conn *conn;
    struct fh_snapshot *view; /* it opens this one, or runs in it; NULL: neither */
    enum fh_pg_lane_kind lane;
    unsigned step;
    bool commits; /* the step under way may commit a write: lost now, its outcome is unknown */
    bool retry_elsewhere; /* not refused for good: run once more, on the lane set */
    bool cancelled;
    bool waits;   /* for a database to be opened */
    bool working; /* a thread has it, and its request's arena */
    bool alone;   /* shares its Sync with nobody: a group it was in failed */
    unsigned attempts;
    uint64_t tenant_hash; /* 0: not computed yet; for the connection it keeps to (pool.c) */
    const struct fh_pg_op_kind *suspected; /* what it was before it looks at the home's version */
    unsigned looks;                        /* that found nothing wrong (version.h) */
    enum fh_code code;
    struct fh_pg_failure failure; /* of the step's first failed statement */
};

/* Gives the op, which is nowhere, to another store of the same family: it is under way there. */
void fh_pg_op_move(struct fh_pg_op *op, struct fh_pg_store *to);
/* Finds its view and its lane. FH_FULL, and what fh_pg_view_enter() says. */
FH_MUST_CHECK enum fh_code fh_pg_op_enter(struct fh_pg_op *op);
/* Ends the request. The op's memory is the caller's again afterwards. */
void fh_pg_op_finish(struct fh_pg_op *op, enum fh_code code);

/* Where a home's tables are: wherever a statement names a table, its namespace comes from here, not
 * from the home's name. */
#define FH_PG_DATABASE_NAMESPACE "app"
const char *fh_pg_home_namespace(const struct fh_home *home);
const char *fh_pg_op_namespace(const struct fh_pg_op *op);
/* Whom the home's tables are granted to: the tenant's role in the schema tier, else the login that
 * serves (that of the database, for a home with one of its own: op->store is the database's then).
 */
const char *fh_pg_op_grantee(const struct fh_pg_op *op);
/* The role that a statement runs as, for every context statement: the last thing that it sets,
 * "none" but in the schema tier. */
void fh_pg_op_add_role(struct fh_pg_op *op);
/* Whether the failure says that there is no such role, and so no such home. */
bool fh_pg_op_lacks_home(const struct fh_pg_op *op, const char *sqlstate);

/* Parameters: the store's scratch, cleared; for one statement at a time. */
struct fh_pg_params *fh_pg_op_params(struct fh_pg_op *op);
/* Sends one statement with the scratch parameters. `table` NULL for those without. */
FH_MUST_CHECK enum fh_code fh_pg_op_send(struct fh_pg_op *op, struct fh_pg_conn *conn,
                                         enum fh_pg_statement_kind kind, uint32_t flags,
                                         const struct fh_table *table, uint64_t extra);
/* The tenant for a context statement: the scope's, but for probes and deliberate faults. */
struct fh_uuid fh_pg_op_context_tenant(struct fh_pg_op *op);
/* What a probe or a test takes away from a read. */
uint32_t fh_pg_op_fault_flags(const struct fh_pg_op *op);
/* Sends FH_PG_CONTEXT_READ. */
FH_MUST_CHECK enum fh_code fh_pg_op_send_context(struct fh_pg_op *op, struct fh_pg_conn *conn);

#endif
