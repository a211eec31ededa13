/* A commit of one write in one round trip, on a multiplexed connection: context with the gates
 * tried, then the statement of fast_sql.c, one Sync. Inserts, updates that set columns, and
 * deletes, where no reference needs a look and no check or generated column reads what is set.
 *
 * Failures: gate closing FH_HELD, request id in use FH_CONFLICT, fence FH_MOVED or FH_NO_TENANT, a
 * unique constraint. Whatever is not plain success beyond these (the record's request id is known,
 * the row is not as the write needs it, a lock is not free) is tried anew the general way, which
 * tells exactly. A connection lost here is FH_OUTCOME_UNKNOWN.
 */
#include <string.h>

#include "stores/expr.h"
#include "stores/pg/commit.h"
#include "stores/pg/engine.h"
#include "stores/pg/keys.h"
#include "stores/pg/rows.h"

#define MASK_COLUMNS 64

static bool is_referenced(const struct fh_schema *schema, const struct fh_table *table)
{
    for (uint32_t t = 0; t < schema->table_count; t++) {
        for (uint16_t i = 0; i < schema->tables[t]->foreign_key_count; i++) {
            if (schema->tables[t]->foreign_keys[i].target->id == table->id) {
                return true;
            }
        }
    }
    return false;
}

static bool in_reference(const struct fh_table *table, uint16_t column)
{
    for (uint16_t i = 0; i < table->foreign_key_count; i++) {
        for (uint16_t k = 0; k < table->foreign_keys[i].column_count; k++) {
            if (table->foreign_keys[i].columns[k] == column) {
                return true;
            }
        }
    }
    return false;
}

static bool is_key(const struct fh_table *table, uint16_t column)
{
    for (uint16_t i = 0; i < table->key_count; i++) {
        if (table->key[i] == column) {
            return true;
        }
    }
    return false;
}

/* What is computed from the column, or must hold for it together with others, has to be decided
 * with the whole row at hand: by Freehold, in fh_write_evaluate(), as on every engine. The physical
 * check would refuse the same writes, but it is the net, not the rule. */
static bool is_used(const struct fh_table *table, uint16_t column)
{
    for (uint16_t i = 0; i < table->check_count; i++) {
        if (fh_expr_uses(table->checks[i].expr, column)) {
            return true;
        }
    }
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct fh_expr *generated = table->columns[i].generated;
        if (generated != NULL && (i == column || fh_expr_uses(generated, column))) {
            return true;
        }
    }
    return false;
}

/* The columns an update sets, as a mask; false when it needs the general way. */
static bool plain_update(const struct fh_write *write, uint64_t *mask)
{
    const struct fh_table *table = write->key.table;
    *mask = 0;
    for (uint16_t i = 0; i < write->assignment_count; i++) {
        const struct fh_assignment *assignment = &write->assignments[i];
        if (assignment->column >= table->column_count || assignment->column >= MASK_COLUMNS) {
            return false;
        }
        const struct fh_column *column = &table->columns[assignment->column];
        bool sets = assignment->transform == FH_TRANSFORM_SET &&
                    assignment->value.type == column->type &&
                    !(assignment->value.is_null && column->not_null);
        bool repeated = (*mask & (UINT64_C(1) << assignment->column)) != 0;
        if (!sets || repeated || is_key(table, assignment->column) ||
            in_reference(table, assignment->column) || is_used(table, assignment->column)) {
            return false;
        }
        *mask |= UINT64_C(1) << assignment->column;
    }
    return true;
}

bool fh_pg_fast_suits(const struct fh_pg_store *pg, const struct fh_request *request)
{
    const struct fh_op_commit *commit = &request->as.commit;
    const struct fh_write *write = &commit->writes[0];
    uint64_t mask = 0;
    if (pg->general_only || commit->count != 1 || commit->validate_only ||
        write->key.table->column_count + 16 > FH_PG_PARAMS_MAX) {
        return false;
    }
    switch (write->op) {
    case FH_WRITE_INSERT:
        return write->expect == FH_EXPECT_ANY && write->expect_version == 0 &&
               write->key.table->foreign_key_count == 0;
    case FH_WRITE_UPDATE:
        return write->expect != FH_EXPECT_ABSENT && !write->insert_if_missing &&
               plain_update(write, &mask);
    case FH_WRITE_DELETE:
        return write->expect != FH_EXPECT_ABSENT && write->assignment_count == 0 &&
               !is_referenced(request->scope.schema, write->key.table);
    case FH_WRITE_UPSERT:
    case FH_WRITE_UNDELETE:
    case FH_WRITE_PURGE:
        return false;
    }
    return false;
}

static void go_general(struct fh_pg_op *op)
{
    op->kind = &fh_pg_commit_kind;
    op->lane = FH_PG_LANE_SLOW;
    op->state = NULL;
    op->retry_elsewhere = true;
    memset(&op->request->error, 0, sizeof(op->request->error));
}

static enum fh_code send_gate(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_scope *scope = &op->request->scope;
    struct fh_str request_id = op->request->as.commit.request_id;
    struct fh_uuid tenant = fh_pg_op_context_tenant(op);
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid_text(params, &tenant);
    fh_pg_add_int64(params, fh_pg_gate_key(scope));
    if (request_id.len > 0) {
        fh_pg_add_int64(params, fh_pg_once_key(scope, request_id));
    } else {
        fh_pg_add_null(params);
    }
    fh_pg_op_add_role(op);
    return fh_pg_op_send(op, conn, FH_PG_CONTEXT_GATE, 0, NULL, 0);
}

static enum fh_code send_insert(struct fh_pg_op *op, struct fh_pg_conn *conn, int64_t now_us)
{
    const struct fh_write *write = &op->request->as.commit.writes[0];
    struct fh_row *before = NULL;
    struct fh_row *after = NULL;
    enum fh_code code = fh_write_evaluate(write, NULL, &op->request->scope.tenant, now_us,
                                          op->request->arena, &after, &op->request->error);
    if (code != FH_OK) {
        go_general(op); /* the key being taken is told before that */
        return code;
    }
    code = send_gate(op, conn);
    if (code != FH_OK) {
        return code;
    }
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid(params, &op->request->scope.tenant);
    const struct fh_pg_recorded recorded = {
        .writes = write, .before = &before, .after = &after, .count = 1};
    code = fh_pg_add_record(op, params, now_us, &recorded);
    if (code != FH_OK) {
        return code;
    }
    fh_pg_add_row(params, after);
    op->commits = true;
    return fh_pg_op_send(op, conn, FH_PG_FAST_INSERT, fh_pg_op_fault_flags(op), write->key.table,
                         0);
}

static void add_assigned(struct fh_pg_params *params, const struct fh_write *write)
{
    const struct fh_table *table = write->key.table;
    for (uint16_t column = 0; column < table->column_count; column++) {
        for (uint16_t i = 0; i < write->assignment_count; i++) {
            if (write->assignments[i].column == column) {
                fh_pg_add_value(params, &write->assignments[i].value, &table->columns[column]);
            }
        }
    }
}

static enum fh_code send_change(struct fh_pg_op *op, struct fh_pg_conn *conn, int64_t now_us)
{
    const struct fh_write *write = &op->request->as.commit.writes[0];
    uint64_t mask = 0;
    bool deletes = write->op == FH_WRITE_DELETE;
    (void)plain_update(write, &mask);
    enum fh_code code = send_gate(op, conn);
    if (code != FH_OK) {
        return code;
    }
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid(params, &op->request->scope.tenant);
    const struct fh_pg_recorded recorded = {.writes = write, .count = 1};
    code = fh_pg_add_record_header(op, params, now_us, &recorded);
    if (code != FH_OK) {
        return code;
    }
    fh_pg_add_int64(params, write->expect_version);
    fh_pg_add_time(params, write->expect_created_at_us);
    fh_pg_add_key(params, &write->key);
    if (!deletes) {
        add_assigned(params, write);
    }
    op->commits = true;
    return fh_pg_op_send(op, conn, deletes ? FH_PG_FAST_DELETE : FH_PG_FAST_UPDATE,
                         fh_pg_op_fault_flags(op), write->key.table, mask);
}

static enum fh_code fast_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    struct fh_op_commit *commit = &op->request->as.commit;
    commit->at_us = fh_clock_realtime_us(op->store->store.env->clock);
    commit->rows = FH_ARENA_ARRAY(op->request->arena, struct fh_row *, 1);
    if (commit->rows == NULL) {
        return FH_NOMEM;
    }
    return commit->writes[0].op == FH_WRITE_INSERT ? send_insert(op, conn, commit->at_us)
                                                   : send_change(op, conn, commit->at_us);
}

static enum fh_code take_gates(const PGresult *result)
{
    if (PQntuples(result) != 1) {
        return FH_CORRUPT;
    }
    if (!fh_str_eq(fh_pg_field(result, 0, 1), FH_STR("true"))) {
        return FH_HELD;
    }
    return fh_str_eq(fh_pg_field(result, 0, 2), FH_STR("true")) ? FH_OK : FH_CONFLICT;
}

static enum fh_code fast_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_op_commit *commit = &op->request->as.commit;
    int64_t seq = 0;
    if (index == 0) {
        return take_gates(result);
    }
    enum fh_code code = fh_pg_fence_check(op, result, 0, 1, true);
    if (code != FH_OK) {
        return code;
    }
    if (PQgetisnull(result, 0, 2) != 0) {
        go_general(op); /* nothing was written; why, it will tell */
        return FH_OK;
    }
    code = fh_pg_field_int(result, 0, 2, &seq);
    if (code == FH_OK) {
        commit->seq = (uint64_t)seq;
        code = fh_pg_row_read(result, 0, 3, commit->writes[0].key.table, op->request->arena,
                              &commit->rows[0]);
    }
    /* It is committed with the Sync whatever we make of the answer: never told as if it was not. */
    return code == FH_OK && commit->rows[0] != NULL ? FH_OK : FH_OUTCOME_UNKNOWN;
}

static void fast_failed(struct fh_pg_op *op, unsigned index)
{
    (void)index;
    if (strcmp(op->failure.sqlstate, "55P03") == 0) {
        go_general(op); /* somebody holds the row: wait where waiting hurts nobody */
        return;
    }
    bool of_record = strcmp(op->failure.constraint, "fh_x_commit_request") == 0;
    struct fh_op_commit *commit = &op->request->as.commit;
    if (!of_record) {
        commit->failed_write = 0;
    }
    fh_pg_commit_failed(op, of_record ? NULL : &commit->writes[0]);
}

const struct fh_pg_op_kind fh_pg_fast_kind = {
    .shares = true, .locks = true, .send = fast_send, .result = fast_result, .failed = fast_failed};
