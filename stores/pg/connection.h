/* One connection: life cycle, pipeline of groups, prepared statements.
 *
 *     CLOSED -> RESOLVING -> CONNECTING -> SETUP -> READY -> CLOSED
 *        ^__________|____________|___________|
 *
 * Invariants: a group is the statements up to one Sync and belongs to one op (or to the connection:
 * set-up, rollback). Results arrive in the order in which statements were sent, so a ring of what
 * is expected says what each one is. When the connection fails, every op on it ends: with the code
 * of its failed statement, as FH_OUTCOME_UNKNOWN when its commit may have happened, else it is
 * tried once more elsewhere, then FH_UNAVAILABLE.
 */
#ifndef FH_STORES_PG_CONNECTION_H
#define FH_STORES_PG_CONNECTION_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <uv.h>

#include "base/error.h"
#include "base/list.h"
#include "stores/pg/statements.h"

struct fh_pg_lane;
struct fh_pg_op;
struct fh_pg_params;
struct fh_pg_resolver;
struct fh_snapshot;

#define FH_PG_GROUPS_MAX 8
#define FH_PG_SHARE_MAX 8 /* ops that share a Sync */
#define FH_PG_EXPECTED_MAX 16384

enum fh_pg_conn_state {
    FH_PG_CONN_CLOSED,
    FH_PG_CONN_RESOLVING,
    FH_PG_CONN_CONNECTING,
    FH_PG_CONN_SETUP,
    FH_PG_CONN_READY,
};

enum fh_pg_group_kind { FH_PG_GROUP_OP, FH_PG_GROUP_SETUP, FH_PG_GROUP_ROLLBACK };

/* One op's share of a group. */
struct fh_pg_member {
    struct fh_pg_op *op; /* NULL: nobody waits any more */
    unsigned first;      /* which of the group's results is its first */
    unsigned end;        /* and the first that is not its any more */
};

struct fh_pg_group {
    enum fh_pg_group_kind kind;
    struct fh_pg_member members[FH_PG_SHARE_MAX];
    unsigned member_count;
    struct fh_pg_op *ends; /* a rollback's: told its outcome once its locks are free */
    bool failed;
    unsigned sent;     /* results of ours asked for */
    unsigned received; /* and come in */
    uint64_t sent_at_ms;
};

enum fh_pg_expected_kind {
    FH_PG_EXPECT_RESULT,
    FH_PG_EXPECT_PREPARE,
    FH_PG_EXPECT_DEALLOCATE,
    FH_PG_EXPECT_SYNC,
};

struct fh_pg_expected {
    enum fh_pg_expected_kind kind;
    struct fh_pg_statement *statement; /* pinned until its result is in */
};

struct fh_pg_conn {
    struct fh_pg_lane *lane;
    unsigned id; /* of the store's connections */
    enum fh_pg_conn_state state;
    PGconn *pq;
    uv_poll_t *poll; /* on the heap: outlives the connection by its close callback */
    int poll_fd;
    struct fh_pg_resolver *resolver;
    uint64_t started_ms;
    bool broken;              /* to be failed by whoever called */
    bool enforces_nothing;    /* references are off in this session */
    struct fh_snapshot *view; /* its transaction stays open between groups; NULL: none */

    struct fh_pg_group groups[FH_PG_GROUPS_MAX]; /* ring */
    unsigned group_head;
    unsigned group_count;

    struct fh_pg_expected *expected; /* ring, grown by doubling */
    unsigned expected_capacity;
    unsigned expected_head;
    unsigned expected_count;

    struct fh_list prepared; /* LRU of struct fh_pg_prepared, newest first */
    unsigned prepared_count;
};

void fh_pg_conn_init(struct fh_pg_conn *conn, struct fh_pg_lane *lane, unsigned id);
/* Starts connecting; tells the lane how it went. Only when CLOSED. */
void fh_pg_conn_open(struct fh_pg_conn *conn);
/* Gives the ops the connection and sends their first step in one group. Only when it has room. */
void fh_pg_conn_start(struct fh_pg_conn *conn, struct fh_pg_op **ops, unsigned count);
bool fh_pg_conn_has_room(const struct fh_pg_conn *conn);
/* Nobody waits for the op's results any more. */
void fh_pg_conn_forget_op(struct fh_pg_conn *conn, const struct fh_pg_op *op);
/* Ends it: every op on it is told, see above. `message` for people. */
void fh_pg_conn_fail(struct fh_pg_conn *conn, const char *message);
/* Ends the transaction that is open between groups. */
void fh_pg_conn_rollback(struct fh_pg_conn *conn);
/* Orderly end of an idle connection. */
void fh_pg_conn_close(struct fh_pg_conn *conn);
void fh_pg_conn_free(struct fh_pg_conn *conn); /* memory of a closed one */

/* Adds one statement to the group being sent. A text without statement is sent unnamed. */
FH_MUST_CHECK enum fh_code fh_pg_conn_send(struct fh_pg_conn *conn,
                                           struct fh_pg_statement *statement,
                                           struct fh_pg_params *params);
FH_MUST_CHECK enum fh_code fh_pg_conn_send_text(struct fh_pg_conn *conn, const char *text,
                                                struct fh_pg_params *params);

#endif
