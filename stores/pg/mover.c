/* Happy path: three statements' worth of ceremony, then pages cut where their running sum says.
 *
 * Failures: another fence than required is FH_MOVED, told by result; columns that are not in form
 * are FH_CORRUPT.
 */
#include "stores/pg/mover.h"

#include <stdio.h>
#include <string.h>

#include "stores/pg/commit.h"
#include "stores/pg/engine.h"
#include "stores/pg/rows.h"

#define ROW_BYTES 64
#define COLUMN_BYTES 16

enum record_column {
    COLUMN_SUM,
    COLUMN_TENANT,
    COLUMN_EPOCH,
    COLUMN_SEQ,
    COLUMN_REQUEST_ID,
    COLUMN_HASH,
    COLUMN_SCHEMA_VERSION,
    COLUMN_ACTOR,
    COLUMN_ADDRESS,
    COLUMN_AT,
    COLUMN_CHANGES,
    COLUMN_IMAGES,
};

static void add_ms(struct fh_pg_params *params, int64_t ms)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%lld", (long long)ms);
    fh_pg_add_bytes(params, fh_str_of(text));
}

enum fh_code fh_pg_move_send_context(struct fh_pg_op *op, struct fh_pg_conn *conn,
                                     enum fh_pg_statement_kind kind)
{
    struct fh_uuid tenant = fh_pg_op_context_tenant(op);
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid_text(params, &tenant);
    add_ms(params, fh_pg_ms_left(op, FH_PG_MOVE_MS_MAX));
    add_ms(params, fh_pg_ms_left(op, FH_PG_MOVE_LOCK_MS_MAX));
    fh_pg_op_add_role(op);
    if (kind == FH_PG_CONTEXT_VIEW) {
        add_ms(params, op->store->view_idle_ms);
    }
    return fh_pg_op_send(op, conn, kind, 0, NULL, 0);
}

enum fh_code fh_pg_move_begin(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    enum fh_code code = fh_pg_move_send_context(op, conn, FH_PG_CONTEXT_MOVE);
    if (code == FH_OK) {
        fh_pg_add_uuid(fh_pg_op_params(op), &op->request->scope.tenant);
        code = fh_pg_op_send(op, conn, FH_PG_MOVE_FENCE, 0, NULL, 0);
    }
    return code;
}

enum fh_code fh_pg_move_check_fence(struct fh_pg_op *op, const PGresult *result,
                                    const struct fh_fence_guard *guard)
{
    return fh_pg_move_check_epoch(op, result, op->request->scope.epoch, guard);
}

enum fh_code fh_pg_move_check_epoch(struct fh_pg_op *op, const PGresult *result, uint64_t required,
                                    const struct fh_fence_guard *guard)
{
    struct fh_request *request = op->request;
    int64_t epoch = 0;
    int64_t generation = 0;
    int64_t mode = 0;
    if (PQntuples(result) == 0) {
        return FH_NO_TENANT;
    }
    if (fh_pg_field_int(result, 0, 0, &epoch) != FH_OK ||
        fh_pg_field_int(result, 0, 1, &generation) != FH_OK ||
        fh_pg_field_int(result, 0, 2, &mode) != FH_OK || mode < FH_FENCE_OPEN ||
        mode > FH_FENCE_INCOMING) {
        return FH_CORRUPT;
    }
    bool same = (uint64_t)generation == guard->generation || request->op == FH_OP_SIZE;
    if (same && (uint64_t)epoch == required && (guard->modes & FH_FENCE_BIT(mode)) != 0) {
        return FH_OK;
    }
    request->epoch_seen = (uint64_t)epoch;
    request->mode_seen = (enum fh_fence_mode)mode;
    return FH_MOVED;
}

unsigned fh_pg_move_row_bytes(const struct fh_table *table)
{
    return ROW_BYTES + COLUMN_BYTES * (unsigned)table->column_count;
}

enum fh_code fh_pg_move_page(const PGresult *result, size_t limit, size_t bytes_max, size_t *count,
                             bool *more)
{
    size_t rows = (size_t)PQntuples(result);
    size_t kept = 0;
    for (; kept < rows && kept < limit; kept++) {
        int64_t sum = 0;
        if (fh_pg_field_int(result, (int)kept, 0, &sum) != FH_OK || sum < 0) {
            return FH_CORRUPT;
        }
        if (kept > 0 && (uint64_t)sum > bytes_max) {
            break;
        }
    }
    *count = kept;
    *more = rows > kept;
    return FH_OK;
}

static enum fh_code read_record(const PGresult *result, int row, struct fh_arena *arena,
                                struct fh_journal_row *out)
{
    int64_t epoch = 0;
    int64_t seq = 0;
    int64_t version = 0;
    struct fh_str hash = fh_pg_field(result, row, COLUMN_HASH);
    if (fh_pg_field_uuid(result, row, COLUMN_TENANT, &out->tenant) != FH_OK ||
        fh_pg_field_int(result, row, COLUMN_EPOCH, &epoch) != FH_OK ||
        fh_pg_field_int(result, row, COLUMN_SEQ, &seq) != FH_OK ||
        fh_pg_field_int(result, row, COLUMN_SCHEMA_VERSION, &version) != FH_OK ||
        fh_pg_field_time(result, row, COLUMN_AT, &out->at_us) != FH_OK || hash.data == NULL ||
        hash.len != sizeof(out->request_hash)) {
        return FH_CORRUPT;
    }
    out->epoch = (uint64_t)epoch;
    out->seq = (uint64_t)seq;
    out->schema_version = (uint32_t)version;
    memcpy(out->request_hash, hash.data, sizeof(out->request_hash));
    const struct {
        int column;
        struct fh_str *to;
    } parts[] = {{COLUMN_REQUEST_ID, &out->request_id},
                 {COLUMN_ACTOR, &out->actor},
                 {COLUMN_ADDRESS, &out->address},
                 {COLUMN_CHANGES, &out->changes},
                 {COLUMN_IMAGES, &out->images}};
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && code == FH_OK; i++) {
        code = fh_pg_field_copy(result, row, parts[i].column, arena, parts[i].to);
    }
    return code;
}

enum fh_code fh_pg_move_read_records(const PGresult *result, struct fh_arena *arena, size_t count,
                                     struct fh_journal_row **out)
{
    *out = FH_ARENA_ARRAY(arena, struct fh_journal_row, count);
    if (*out == NULL) {
        return FH_NOMEM;
    }
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < count && code == FH_OK; i++) {
        code = read_record(result, (int)i, arena, &(*out)[i]);
    }
    return code;
}
