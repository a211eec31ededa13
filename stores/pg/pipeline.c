/* Happy path: a group is begun, statements are prepared where they are not yet and executed, a Sync
 * ends it; results come back in that order, each is handed to the op, and the Sync's own result
 * ends the group: the op is done or sends its next step.
 *
 * Failures. A statement fails: the rest of its group is skipped by the server, the implicit
 * transaction rolled back, the op ends at the Sync with the code. A deferred constraint fails: the
 * error comes between the last result and the Sync's. A prepared statement is gone or stale: the op
 * is sent anew, a few times, for each of its statements may be. An op leaves a transaction open: a
 * rollback follows on its heels.
 */
#include "stores/pg/pipeline.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "stores/pg/engine.h"
#include "stores/pg/version.h"

#define STALE_ATTEMPTS_MAX 8 /* an operation may use several statements that are due at once */

static struct fh_pg_group *group_at(struct fh_pg_conn *conn, unsigned index)
{
    return &conn->groups[(conn->group_head + index) % FH_PG_GROUPS_MAX];
}

static struct fh_pg_expected *expected_head(struct fh_pg_conn *conn)
{
    return &conn->expected[conn->expected_head];
}

static enum fh_code expected_reserve(struct fh_pg_conn *conn, unsigned more)
{
    if (conn->expected_count + more <= conn->expected_capacity) {
        return FH_OK;
    }
    if (conn->expected_count + more > FH_PG_EXPECTED_MAX) {
        return FH_TOO_LARGE;
    }
    unsigned capacity = conn->expected_capacity > 0 ? conn->expected_capacity * 2 : 64;
    struct fh_pg_expected *grown = fh_calloc(capacity, sizeof(*grown));
    if (grown == NULL) {
        return FH_NOMEM;
    }
    for (unsigned i = 0; i < conn->expected_count; i++) {
        grown[i] = conn->expected[(conn->expected_head + i) % conn->expected_capacity];
    }
    fh_free(conn->expected);
    conn->expected = grown;
    conn->expected_capacity = capacity;
    conn->expected_head = 0;
    return FH_OK;
}

static void expected_push(struct fh_pg_conn *conn, enum fh_pg_expected_kind kind,
                          struct fh_pg_statement *statement)
{
    FH_ASSERT(conn->expected_count < conn->expected_capacity);
    unsigned at = (conn->expected_head + conn->expected_count++) % conn->expected_capacity;
    conn->expected[at] = (struct fh_pg_expected){.kind = kind, .statement = statement};
    if (statement != NULL) {
        statement->pins++;
    }
}

static void expected_pop(struct fh_pg_conn *conn)
{
    struct fh_pg_expected *head = expected_head(conn);
    if (head->statement != NULL) {
        head->statement->pins--;
    }
    conn->expected_head = (conn->expected_head + 1) % conn->expected_capacity;
    conn->expected_count--;
}

void fh_pg_pipeline_begin(struct fh_pg_conn *conn, enum fh_pg_group_kind kind)
{
    FH_ASSERT(conn->group_count < FH_PG_GROUPS_MAX);
    struct fh_pg_group *group = group_at(conn, conn->group_count++);
    memset(group, 0, sizeof(*group));
    group->kind = kind;
    group->sent_at_ms = uv_now(conn->lane->store->store.env->loop);
}

void fh_pg_pipeline_forget(struct fh_pg_conn *conn, const struct fh_pg_op *op)
{
    for (unsigned i = 0; i < conn->group_count; i++) {
        struct fh_pg_group *group = group_at(conn, i);
        for (unsigned k = 0; k < group->member_count; k++) {
            if (group->members[k].op == op) {
                group->members[k].op = NULL;
            }
        }
        if (group->ends == op) {
            group->ends = NULL;
        }
    }
}

void fh_pg_pipeline_end(struct fh_pg_conn *conn)
{
    if (conn->broken) {
        return;
    }
    if (expected_reserve(conn, 1) != FH_OK || PQpipelineSync(conn->pq) != 1) {
        conn->broken = true;
        return;
    }
    expected_push(conn, FH_PG_EXPECT_SYNC, NULL);
}

static enum fh_code broken(struct fh_pg_conn *conn)
{
    conn->broken = true;
    return FH_UNAVAILABLE;
}

static enum fh_code deallocate(struct fh_pg_conn *conn, struct fh_pg_statement *statement)
{
    char text[48];
    (void)snprintf(text, sizeof(text), "deallocate %s", statement->name);
    if (PQsendQueryParams(conn->pq, text, 0, NULL, NULL, NULL, NULL, 1) != 1) {
        return broken(conn);
    }
    expected_push(conn, FH_PG_EXPECT_DEALLOCATE, NULL);
    fh_pg_prepared_remove(conn, statement);
    return FH_OK;
}

static enum fh_code prepare(struct fh_pg_conn *conn, struct fh_pg_statement *statement)
{
    struct fh_pg_statement *victim = fh_pg_prepared_victim(conn);
    enum fh_code code = victim != NULL ? deallocate(conn, victim) : FH_OK;
    if (code == FH_OK) {
        code = fh_pg_prepared_add(conn, statement);
    }
    if (code != FH_OK) {
        return code;
    }
    if (PQsendPrepare(conn->pq, statement->name, statement->text, 0, NULL) != 1) {
        fh_pg_prepared_remove(conn, statement);
        return broken(conn);
    }
    expected_push(conn, FH_PG_EXPECT_PREPARE, statement);
    return FH_OK;
}

/* The statement is prepared, or will be when what follows arrives. */
static enum fh_code ensure_prepared(struct fh_pg_conn *conn, struct fh_pg_statement *statement)
{
    struct fh_pg_prepared *entry = fh_pg_prepared_find(conn, statement);
    if (entry == NULL) {
        return prepare(conn, statement);
    }
    if (!fh_pg_prepared_is_due(entry)) {
        return FH_OK;
    }
    uint32_t renew_at = fh_pg_prepared_next_renewal(entry->renew_at);
    enum fh_code code = deallocate(conn, statement);
    if (code == FH_OK) {
        code = prepare(conn, statement);
    }
    if (code == FH_OK) {
        statement->prepared[conn->id]->renew_at = renew_at;
    }
    return code;
}

enum fh_code fh_pg_conn_send(struct fh_pg_conn *conn, struct fh_pg_statement *statement,
                             struct fh_pg_params *params)
{
    if (conn->broken) {
        return FH_UNAVAILABLE;
    }
    enum fh_code code = fh_pg_params_finish(params);
    if (code == FH_OK) {
        code = expected_reserve(conn, 3);
    }
    if (code == FH_OK) {
        code = ensure_prepared(conn, statement);
    }
    if (code != FH_OK) {
        return code;
    }
    if (PQsendQueryPrepared(conn->pq, statement->name, params->count, params->values,
                            params->lengths, params->formats, 1) != 1) {
        return broken(conn);
    }
    expected_push(conn, FH_PG_EXPECT_RESULT, statement);
    group_at(conn, conn->group_count - 1)->sent++;
    return FH_OK;
}

enum fh_code fh_pg_conn_send_text(struct fh_pg_conn *conn, const char *text,
                                  struct fh_pg_params *params)
{
    if (conn->broken) {
        return FH_UNAVAILABLE;
    }
    enum fh_code code = params != NULL ? fh_pg_params_finish(params) : FH_OK;
    if (code == FH_OK) {
        code = expected_reserve(conn, 1);
    }
    if (code != FH_OK) {
        return code;
    }
    int sent = params != NULL
                   ? PQsendQueryParams(conn->pq, text, params->count, NULL, params->values,
                                       params->lengths, params->formats, 1)
                   : PQsendQueryParams(conn->pq, text, 0, NULL, NULL, NULL, NULL, 1);
    if (sent != 1) {
        return broken(conn);
    }
    expected_push(conn, FH_PG_EXPECT_RESULT, NULL);
    group_at(conn, conn->group_count - 1)->sent++;
    return FH_OK;
}

static void end_op(struct fh_pg_op *op, enum fh_code code)
{
    op->conn = NULL;
    fh_pg_op_finish(op, code);
}

/* `counts`: the way was tried and failed; else the op was sent the wrong way, or in the wrong
 * company. */
static void try_again(struct fh_pg_op *op, bool counts)
{
    op->conn = NULL;
    op->attempts += counts;
    op->step = 0;
    op->commits = false;
    op->retry_elsewhere = false;
    op->code = FH_OK;
    memset(&op->failure, 0, sizeof(op->failure));
    if (op->kind->reset != NULL) {
        op->kind->reset(op);
    }
    fh_pg_lane_push_front(&op->store->lanes[op->lane], op);
}

/* The role of the op before is put off: whether a function may be executed is asked of the role
 * that a statement begins with, whatever role it sets. */
static enum fh_code put_off_role(struct fh_pg_op *op, const struct fh_pg_op *before,
                                 struct fh_pg_conn *conn)
{
    if (conn->broken || !op->kind->locks || before->request->scope.home.tier != FH_TIER_SCHEMA) {
        return FH_OK;
    }
    (void)fh_pg_op_params(op);
    return fh_pg_op_send(op, conn, FH_PG_ROLE_NONE, 0, NULL, 0);
}

void fh_pg_pipeline_send_step(struct fh_pg_conn *conn, struct fh_pg_op **ops, unsigned count)
{
    enum fh_code codes[FH_PG_SHARE_MAX] = {FH_OK};
    FH_ASSERT(count <= FH_PG_SHARE_MAX);
    fh_pg_pipeline_begin(conn, FH_PG_GROUP_OP);
    struct fh_pg_group *group = group_at(conn, conn->group_count - 1);
    for (unsigned i = 0; i < count; i++) {
        codes[i] = i > 0 ? put_off_role(ops[i], ops[i - 1], conn) : FH_OK;
        ops[i]->conn = conn;
        group->members[i] = (struct fh_pg_member){.op = ops[i], .first = group->sent};
        group->member_count = i + 1;
        if (codes[i] == FH_OK && !conn->broken) {
            codes[i] = ops[i]->kind->send(ops[i], conn);
        }
        group->members[i].end = group->sent;
    }
    if (!conn->broken) {
        fh_pg_pipeline_end(conn);
    }
    if (conn->broken) {
        return; /* the failing connection tells the ops */
    }
    for (unsigned i = 0; i < count; i++) {
        if (codes[i] == FH_OK) {
            continue;
        }
        group->members[i].op = NULL;
        if (ops[i]->retry_elsewhere) {
            try_again(ops[i], false);
        } else {
            end_op(ops[i], codes[i]);
        }
    }
}

/* `ends` (or NULL) is answered after it: who is told of a refusal may come again at once, and must
 * not meet the locks of its own first try. */
static void rollback(struct fh_pg_conn *conn, struct fh_pg_op *ends)
{
    fh_pg_pipeline_begin(conn, FH_PG_GROUP_ROLLBACK);
    group_at(conn, conn->group_count - 1)->ends = ends;
    if (fh_pg_conn_send_text(conn, "rollback", NULL) != FH_OK) {
        conn->broken = true;
        return;
    }
    fh_pg_pipeline_end(conn);
}

void fh_pg_pipeline_rollback(struct fh_pg_conn *conn)
{
    rollback(conn, NULL);
}

/* Whether a transaction is left open that nobody wants. With more groups behind it libpq only knows
 * "active"; there, transactions are implicit. */
static bool is_left_open(const struct fh_pg_conn *conn)
{
    return conn->group_count == 0 && conn->view == NULL && !conn->broken &&
           PQtransactionStatus(conn->pq) != PQTRANS_IDLE;
}

/* The statement was not as the server knew it; or: a reader that has its table and waits for the
 * fence's view meets a schema change that has them the other way round (PostgreSQL 15 locks a
 * cached plan's views last). Nothing was written. */
static bool is_worth_another_try(const struct fh_pg_op *op)
{
    enum fh_op what = op->request->op;
    bool reads = what == FH_OP_GET || what == FH_OP_LIST || what == FH_OP_EVENTS;
    if (fh_pg_is_stale_statement(op->failure.sqlstate)) {
        return op->attempts < STALE_ATTEMPTS_MAX; /* each of its statements may be */
    }
    return op->attempts == 0 && reads && strcmp(op->failure.sqlstate, "40P01") == 0;
}

static void op_failed(struct fh_pg_conn *conn, struct fh_pg_op *op)
{
    if (fh_pg_version_suspect(op)) {
        try_again(op, false);
    } else if (op->retry_elsewhere || is_worth_another_try(op)) {
        try_again(op, !op->retry_elsewhere);
    } else if (is_left_open(conn)) {
        op->code = op->failure.code;
        rollback(conn, op);
    } else {
        end_op(op, op->failure.code);
    }
}

static void op_synced(struct fh_pg_conn *conn, struct fh_pg_op *op)
{
    enum fh_pg_next next = FH_PG_DONE;
    /* An op that goes elsewhere is of another kind by now. */
    if (op->code == FH_OK && !op->retry_elsewhere && op->kind->synced != NULL) {
        next = op->kind->synced(op);
    }
    if (op->retry_elsewhere) {
        try_again(op, false);
    } else if (next == FH_PG_MORE) {
        fh_pg_pipeline_send_step(conn, &op, 1);
    } else if (is_left_open(conn)) {
        rollback(conn, op);
    } else {
        end_op(op, op->code);
    }
}

static void group_ended(struct fh_pg_conn *conn)
{
    struct fh_pg_group group = *group_at(conn, 0);
    conn->group_head = (conn->group_head + 1) % FH_PG_GROUPS_MAX;
    conn->group_count--;
    if (group.kind == FH_PG_GROUP_SETUP) {
        if (group.failed) {
            conn->broken = true;
        } else if (!conn->broken) {
            conn->state = FH_PG_CONN_READY;
            fh_pg_lane_connected(conn->lane);
        }
        return;
    }
    if (conn->view != NULL && PQtransactionStatus(conn->pq) != PQTRANS_INTRANS) {
        fh_pg_view_lost(conn); /* a statement failed, and its transaction with it */
    }
    for (unsigned i = 0; i < group.member_count; i++) {
        struct fh_pg_op *op = group.members[i].op;
        if (op == NULL) {
            continue;
        }
        if (!group.failed) {
            op_synced(conn, op); /* goes on, or ends the op */
        } else if (group.member_count > 1) {
            op->alone = true; /* undone with the others; alone it will tell what is its own fault */
            try_again(op, false);
        } else {
            op_failed(conn, op);
        }
    }
    if (group.ends != NULL) {
        end_op(group.ends, group.ends->code);
    }
    if (is_left_open(conn)) { /* the op sent neither its next step nor its rollback */
        rollback(conn, NULL);
    }
    fh_pg_store_kick(conn->lane->store);
}

/* What a set-up may tell: the serving role must not be able to bypass the policies, and a tenant's
 * database must not be another store's. */
static void check_role(struct fh_pg_conn *conn, const PGresult *result)
{
    bool may_bypass = PQntuples(result) != 1 || PQgetlength(result, 0, 0) != 1 ||
                      PQgetlength(result, 0, 1) != 1 || PQgetvalue(result, 0, 0)[0] != 0 ||
                      PQgetvalue(result, 0, 1)[0] != 0;
    bool serves = conn->lane->kind != FH_PG_LANE_OWNER;
    if (serves && may_bypass && !conn->lane->store->may_bypass) {
        (void)fh_error_set(&conn->lane->error, FH_PRECONDITION,
                           "the serving role is a superuser or has BYPASSRLS: refused");
        conn->broken = true;
    }
    if (PQntuples(result) == 1 && PQgetlength(result, 0, 2) == 1 &&
        PQgetvalue(result, 0, 2)[0] != 0) {
        (void)fh_error_set(&conn->lane->error, FH_PRECONDITION,
                           "the tenant's database on this server is another store's");
        conn->broken = true;
    }
}

/* Whose result comes next. */
static struct fh_pg_member *member_now(struct fh_pg_group *group)
{
    unsigned at = 0;
    while (at + 1 < group->member_count && group->members[at + 1].first <= group->received) {
        at++;
    }
    return &group->members[at];
}

static void take_failure(struct fh_pg_conn *conn, struct fh_pg_group *group, const PGresult *result)
{
    bool first = !group->failed;
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    const char *table = PQresultErrorField(result, PG_DIAG_TABLE_NAME);
    group->failed = true;
    if (group->kind == FH_PG_GROUP_SETUP) {
        (void)fh_error_set(&conn->lane->error, FH_UNAVAILABLE, "session set-up failed (%s)",
                           sqlstate != NULL ? sqlstate : "connection lost");
        return;
    }
    struct fh_pg_member *member = member_now(group);
    struct fh_pg_op *op = member->op;
    /* The failure of a shared group is everybody's and nobody's: all are sent again. */
    if (op == NULL || !first || group->member_count > 1) {
        return;
    }
    op->failure.code = fh_pg_code_of_sqlstate(sqlstate);
    if (sqlstate != NULL && fh_pg_op_lacks_home(op, sqlstate)) {
        op->failure.code = FH_NO_TENANT;
    }
    (void)snprintf(op->failure.sqlstate, sizeof(op->failure.sqlstate), "%s",
                   sqlstate != NULL ? sqlstate : "");
    (void)snprintf(op->failure.constraint, sizeof(op->failure.constraint), "%s",
                   constraint != NULL ? constraint : "");
    (void)snprintf(op->failure.table, sizeof(op->failure.table), "%s", table != NULL ? table : "");
    if (op->kind->failed != NULL) {
        op->kind->failed(op, group->received - member->first);
    }
}

static void take_prepared(struct fh_pg_conn *conn, struct fh_pg_statement *statement,
                          const PGresult *result, bool good)
{
    struct fh_pg_prepared *entry = statement->prepared[conn->id];
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    /* "Exists already": its deallocation was skipped in a group that had failed. */
    bool there = good || (sqlstate != NULL && strcmp(sqlstate, "42P05") == 0);
    if (there && entry != NULL) {
        entry->confirmed = true;
    } else if (entry != NULL && !entry->confirmed) {
        fh_pg_prepared_remove(conn, statement);
    }
}

static void take_result(struct fh_pg_conn *conn, const PGresult *result)
{
    struct fh_pg_group *group = group_at(conn, 0);
    struct fh_pg_expected *head = expected_head(conn);
    ExecStatusType status = PQresultStatus(result);
    bool good = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
    if (head->kind == FH_PG_EXPECT_PREPARE) {
        take_prepared(conn, head->statement, result, good);
    }
    if (!good) {
        if (status != PGRES_PIPELINE_ABORTED) {
            take_failure(conn, group, result);
        }
        group->failed = true;
        return;
    }
    if (head->kind != FH_PG_EXPECT_RESULT) {
        return;
    }
    if (group->kind == FH_PG_GROUP_SETUP) {
        check_role(conn, result);
    } else if (group->kind == FH_PG_GROUP_OP) {
        struct fh_pg_member *member = member_now(group);
        struct fh_pg_op *op = member->op;
        if (op != NULL && op->code == FH_OK && group->received < member->end) {
            op->code = op->kind->result(op, group->received - member->first, result);
        }
    }
    group->received++;
}

void fh_pg_pipeline_receive(struct fh_pg_conn *conn)
{
    while (!conn->broken && conn->expected_count > 0 && PQisBusy(conn->pq) == 0) {
        PGresult *result = PQgetResult(conn->pq);
        bool dead = PQstatus(conn->pq) == CONNECTION_BAD;
        if (result == NULL) {
            if (expected_head(conn)->kind != FH_PG_EXPECT_SYNC) {
                expected_pop(conn);
            } else if (dead) {
                break;
            }
            continue;
        }
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_PIPELINE_SYNC) {
            FH_ASSERT(expected_head(conn)->kind == FH_PG_EXPECT_SYNC);
            expected_pop(conn);
            group_ended(conn);
        } else if (dead && PQresultErrorField(result, PG_DIAG_SQLSTATE) == NULL) {
            PQclear(result); /* libpq's own word for the end, not the server's */
            break;
        } else {
            take_result(conn, result);
        }
        PQclear(result);
    }
}

static void op_lost(struct fh_pg_op *op, bool failed)
{
    bool refused = failed && op->failure.code != FH_OK && op->failure.code != FH_UNAVAILABLE;
    if (failed && op->retry_elsewhere && !op->store->store.closing) {
        try_again(op, false); /* its failure was told before, and is none that ends it */
    } else if (refused) {
        end_op(op, op->failure.code);
    } else if (op->commits) {
        end_op(op, FH_OUTCOME_UNKNOWN);
    } else if (op->attempts == 0 && !op->store->store.closing) {
        try_again(op, true);
    } else {
        end_op(op, FH_UNAVAILABLE);
    }
}

void fh_pg_pipeline_abandon(struct fh_pg_conn *conn)
{
    struct fh_pg_group groups[FH_PG_GROUPS_MAX];
    unsigned count = conn->group_count;
    for (unsigned i = 0; i < count; i++) {
        groups[i] = *group_at(conn, i);
    }
    conn->group_count = 0;
    while (conn->expected_count > 0) {
        expected_pop(conn);
    }
    fh_pg_prepared_clear(conn);
    /* Newest first, so that pushing to the queue's front keeps their order. */
    for (unsigned i = count; i > 0; i--) {
        for (unsigned k = groups[i - 1].member_count; k > 0; k--) {
            struct fh_pg_op *op = groups[i - 1].members[k - 1].op;
            if (op != NULL) {
                op_lost(op, groups[i - 1].failed);
            }
        }
        if (groups[i - 1].ends != NULL) {
            end_op(groups[i - 1].ends, groups[i - 1].ends->code);
        }
    }
}
