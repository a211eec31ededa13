/* The common part of operations: how they end, and how their statements are found and sent. */
#include "stores/pg/op.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "stores/pg/engine.h"

void fh_pg_op_finish(struct fh_pg_op *op, enum fh_code code)
{
    struct fh_pg_store *pg = op->store;
    struct fh_request *request = op->request;
    FH_ASSERT(op->conn == NULL && pg->active_count > 0);
    fh_list_remove(&op->active);
    pg->active_count--;
    if (pg->active_count == 0 && pg->parent != NULL && pg->parent->waiting_count > 0) {
        fh_pg_store_kick(pg->parent); /* its place may be wanted */
    }
    if (pg->store.closing && pg->active_count == 0) {
        fh_pg_store_kick(pg);
    }
    if (code != FH_OK && request->op == FH_OP_SNAPSHOT_OPEN && op->view != NULL) {
        fh_pg_view_end(op->view);
    }
    if (code != FH_OK && request->error.code == FH_OK) {
        (void)fh_error_set(&request->error, code, "%s", fh_code_text(code));
    }
    request->error.code = code;
    fh_request_complete(request, code);
}

const char *fh_pg_home_namespace(const struct fh_home *home)
{
    return home->tier == FH_TIER_DATABASE ? FH_PG_DATABASE_NAMESPACE : home->name;
}

const char *fh_pg_op_namespace(const struct fh_pg_op *op)
{
    return fh_pg_home_namespace(&op->request->scope.home);
}

const char *fh_pg_op_grantee(const struct fh_pg_op *op)
{
    return op->request->scope.home.tier == FH_TIER_SCHEMA
               ? op->request->scope.home.name
               : op->store->serving.values[FH_PG_KEYWORD_USER];
}

bool fh_pg_op_lacks_home(const struct fh_pg_op *op, const char *sqlstate)
{
    return op->request->scope.home.tier == FH_TIER_SCHEMA && strcmp(sqlstate, "22023") == 0;
}

void fh_pg_op_add_role(struct fh_pg_op *op)
{
    /* The owner has no need to, and could not go from one home to another then. */
    bool switches = op->request->scope.home.tier == FH_TIER_SCHEMA && !op->store->may_bypass &&
                    op->lane != FH_PG_LANE_OWNER;
    struct fh_home home = op->request->scope.home;
    if (op->request->probe != NULL && op->request->probe->own_role) {
        fh_home_of(home.tier, &op->request->scope.tenant, &home);
    }
    fh_pg_add_bytes(&op->store->params, fh_str_of(switches ? home.name : "none"));
}

void fh_pg_op_move(struct fh_pg_op *op, struct fh_pg_store *to)
{
    struct fh_pg_store *from = op->store;
    FH_ASSERT(op->conn == NULL && from->active_count > 0);
    fh_list_remove(&op->active);
    from->active_count--;
    fh_pg_store_kick(from); /* it may be idle now */
    op->store = to;
    fh_list_push_back(&to->active, &op->active);
    to->active_count++;
    if (op->request->deadline_us < to->deadline_next_us) {
        to->deadline_next_us = op->request->deadline_us;
    }
}

enum fh_code fh_pg_op_enter(struct fh_pg_op *op)
{
    struct fh_pg_store *pg = op->store;
    struct fh_pg_lane *lane = &pg->lanes[op->lane];
    enum fh_code code = fh_pg_view_enter(pg, op);
    if (code != FH_OK) {
        return code;
    }
    if (op->kind == &fh_pg_view_close_kind) {
        fh_pg_lane_push_front(lane, op); /* a full queue is no reason to refuse this */
        return FH_OK;
    }
    code = fh_pg_lane_push(lane, op);
    if (code != FH_OK && op->kind == &fh_pg_view_open_kind) {
        fh_pg_view_end(op->view);
    }
    return code;
}

struct fh_pg_params *fh_pg_op_params(struct fh_pg_op *op)
{
    fh_pg_params_clear(&op->store->params);
    return &op->store->params;
}

enum fh_code fh_pg_op_send(struct fh_pg_op *op, struct fh_pg_conn *conn,
                           enum fh_pg_statement_kind kind, uint32_t flags,
                           const struct fh_table *table, uint64_t extra)
{
    struct fh_pg_statement_key key;
    struct fh_pg_statement *statement = NULL;
    memset(&key, 0, sizeof(key));
    key.kind = (uint32_t)kind;
    key.flags = flags;
    key.table = table;
    key.extra = extra;
    key.version = op->request->scope.schema != NULL ? op->request->scope.schema->version : 0;
    if (kind > FH_PG_CONTEXT_EXCLUSIVE) {
        const char *namespace = fh_pg_op_namespace(op);
        memcpy(key.home, namespace, strnlen(namespace, sizeof(key.home) - 1));
    }
    enum fh_code code = fh_pg_statement_get(&op->store->statements, &key, &statement);
    if (code != FH_OK) {
        return code;
    }
    return fh_pg_conn_send(conn, statement, &op->store->params);
}

struct fh_uuid fh_pg_op_context_tenant(struct fh_pg_op *op)
{
    if (op->request->probe != NULL) {
        return op->request->probe->context;
    }
#ifdef FREEHOLD_FAULTS
    const struct fh_isolation_faults *faults = op->store->store.faults;
    if (faults != NULL && faults->wrong_context_every > 0 &&
        ++op->store->contexts % faults->wrong_context_every == 0) {
        return faults->wrong_tenant;
    }
#endif
    return op->request->scope.tenant;
}

uint32_t fh_pg_op_fault_flags(const struct fh_pg_op *op)
{
    uint32_t flags = 0;
    if (op->request->probe != NULL) {
        flags = op->request->probe->skip_predicate ? FH_PG_NO_PREDICATE : FH_PG_FENCE_OF_CONTEXT;
    }
#ifdef FREEHOLD_FAULTS
    const struct fh_isolation_faults *faults = op->store->store.faults;
    if (faults != NULL && faults->skip_predicate) {
        flags |= FH_PG_NO_PREDICATE;
    }
#endif
    return flags;
}

enum fh_code fh_pg_op_send_context(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    struct fh_uuid tenant = fh_pg_op_context_tenant(op);
    fh_pg_add_uuid_text(fh_pg_op_params(op), &tenant);
    fh_pg_op_add_role(op);
    return fh_pg_op_send(op, conn, FH_PG_CONTEXT_READ, 0, NULL, 0);
}
