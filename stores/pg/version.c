/* Happy path (of a refusal): the tenant's context, the fence without a version, the nil tenant's
 * context, the version; then the code that belongs to what was seen.
 *
 * Failures: fence and version are not there at all: FH_NO_TENANT. The version is the op's own, and
 * was before the look already: a table is missing that should be there, FH_PRECONDITION.
 */
#include "stores/pg/version.h"

#include <stdio.h>
#include <string.h>

#include "stores/pg/ddl.h"
#include "stores/pg/engine.h"
#include "stores/pg/mover.h"
#include "stores/pg/rows.h"

enum result {
    RESULT_FENCE = 1,
    RESULT_VERSION = 3,
    RESULT_SOURCE_FENCE = 5, /* a copy's only */
    RESULT_SOURCE_VERSION = 7,
};

enum fh_code fh_pg_version_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    fh_pg_add_bytes(fh_pg_op_params(op), FH_STR(FH_PG_NIL_TENANT));
    fh_pg_op_add_role(op);
    enum fh_code code = fh_pg_op_send(op, conn, FH_PG_CONTEXT_READ, 0, NULL, 0);
    if (code == FH_OK) {
        (void)fh_pg_op_params(op);
        code = fh_pg_op_send(op, conn, FH_PG_VERSION, 0, NULL, 0);
    }
    return code;
}

enum fh_code fh_pg_version_read(const PGresult *result, uint32_t *version)
{
    int64_t value = 0;
    *version = 0;
    if (PQntuples(result) == 0) {
        return FH_OK; /* the namespace is there, and no schema in it yet */
    }
    if (fh_pg_field_int(result, 0, 0, &value) != FH_OK || value < 0 || value > UINT32_MAX) {
        return FH_CORRUPT;
    }
    *version = (uint32_t)value;
    return FH_OK;
}

static bool names_something_missing(const char *sqlstate)
{
    return strcmp(sqlstate, "42P01") == 0 || strcmp(sqlstate, "42703") == 0 ||
           strcmp(sqlstate, "3F000") == 0;
}

static bool takes_tables(enum fh_op op)
{
    switch (op) {
    case FH_OP_HOME_CREATE:
    case FH_OP_FENCE_READ:
    case FH_OP_FENCE_SET:
    case FH_OP_SCHEMA_APPLY:
    case FH_OP_CHECK:
    case FH_OP_CREDENTIAL:
        return false;
    default:
        return true;
    }
}

bool fh_pg_version_suspect(struct fh_pg_op *op)
{
    if (op->kind == &fh_pg_version_kind || !takes_tables(op->request->op) ||
        !names_something_missing(op->failure.sqlstate)) {
        return false;
    }
    fh_pg_version_differs(op);
    return true;
}

void fh_pg_version_differs(struct fh_pg_op *op)
{
    if (op->kind->reset != NULL) {
        op->kind->reset(op);
    }
    op->suspected = op->kind;
    op->kind = &fh_pg_version_kind;
    memset(&op->request->error, 0, sizeof(op->request->error));
}

/* A copy has two homes, and either may be at another version: the same again for its source. */
static enum fh_code send_source(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const char *source = fh_pg_home_namespace(&op->request->as.copy_within.source);
    char text[256];
    enum fh_code code = fh_pg_op_send_context(op, conn);
    if (code == FH_OK) {
        (void)snprintf(text, sizeof(text),
                       "select epoch, generation, mode from \"%s\".fh_fence where tenant_id = "
                       "$1::uuid",
                       source);
        struct fh_pg_params *params = fh_pg_op_params(op);
        fh_pg_add_uuid(params, &op->request->scope.tenant);
        code = fh_pg_conn_send_text(conn, text, params);
    }
    if (code == FH_OK) {
        code = fh_pg_conn_send_text(
            conn, "select set_config('fh.tenant', '" FH_PG_NIL_TENANT "', true)", NULL);
    }
    if (code == FH_OK) {
        (void)snprintf(text, sizeof(text),
                       "select value::int8 from \"%s\".fh_meta where tenant_id = "
                       "'" FH_PG_NIL_TENANT "' and name = 'schema_version'",
                       source);
        code = fh_pg_conn_send_text(conn, text, NULL);
    }
    return code;
}

static enum fh_code look_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    enum fh_code code = fh_pg_op_send_context(op, conn);
    if (code == FH_OK) {
        fh_pg_add_uuid(fh_pg_op_params(op), &op->request->scope.tenant);
        code = fh_pg_op_send(op, conn, FH_PG_FENCE_READ, 0, NULL, 0);
    }
    if (code == FH_OK) {
        code = fh_pg_version_send(op, conn);
    }
    return code == FH_OK && op->request->op == FH_OP_COPY_WITHIN ? send_source(op, conn) : code;
}

/* What the op itself would have made of this fence. */
static enum fh_code check_fence(struct fh_pg_op *op, const PGresult *result)
{
    struct fh_request *request = op->request;
    const struct fh_fence_guard *guard = fh_move_op_guard(request);
    if (guard != NULL) {
        return fh_pg_move_check_fence(op, result, guard);
    }
    if (request->op != FH_OP_HOME_ERASE) {
        return fh_pg_fence_check(op, result, 0, 2, request->op == FH_OP_COMMIT);
    }
    const struct fh_fence_guard any = {.generation = request->as.home.fence.generation,
                                       .modes = UINT32_MAX};
    int64_t epoch = 0;
    if (PQntuples(result) == 1 && fh_pg_field_int(result, 0, 0, &epoch) != FH_OK) {
        return FH_CORRUPT;
    }
    return fh_pg_move_check_epoch(op, result, (uint64_t)epoch, &any); /* any epoch will do */
}

static enum fh_code look_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_request *request = op->request;
    const struct fh_op_copy_within *copy = &request->as.copy_within;
    uint32_t version = 0;
    switch (index) {
    case RESULT_FENCE:
        return check_fence(op, result);
    case RESULT_VERSION:
        return fh_pg_version_read(result, &request->version_seen);
    case RESULT_SOURCE_FENCE:
        return fh_pg_move_check_epoch(op, result, copy->source_epoch, &copy->source_guard);
    case RESULT_SOURCE_VERSION: {
        enum fh_code code = fh_pg_version_read(result, &version);
        if (request->version_seen == request->scope.schema->version) {
            request->version_seen = version; /* it is not the target that is off */
        }
        return code;
    }
    default:
        return FH_OK;
    }
}

static void look_failed(struct fh_pg_op *op, unsigned index)
{
    (void)index;
    if (op->code != FH_OK) {
        op->failure.code = op->code;
    } else if (names_something_missing(op->failure.sqlstate)) {
        op->failure.code = op->request->op == FH_OP_HOME_ERASE ? FH_OK : FH_NO_TENANT;
    }
}

static enum fh_pg_next look_synced(struct fh_pg_op *op)
{
    struct fh_request *request = op->request;
    if (request->version_seen != request->scope.schema->version) {
        op->code = FH_STALE_SCHEMA;
        return FH_PG_DONE;
    }
    if (op->looks++ > 0) {
        op->code = fh_error_set(&request->error, FH_PRECONDITION,
                                "the home says it is at schema version %u, and a table of it is "
                                "missing",
                                request->version_seen);
        return FH_PG_DONE;
    }
    request->version_seen = 0;
    op->kind = op->suspected; /* the home came to our version just now */
    op->retry_elsewhere = true;
    return FH_PG_DONE;
}

const struct fh_pg_op_kind fh_pg_version_kind = {
    .send = look_send, .result = look_result, .failed = look_failed, .synced = look_synced};
