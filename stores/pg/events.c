/* Commit records, newest first: one statement with the fence, on the slow lane, for a page may be
 * large.
 *
 * Failures: as for reads; a record that cannot be decoded is FH_CORRUPT, one made under a newer
 * schema FH_UNAVAILABLE.
 */
#include <string.h>

#include "stores/commit_record.h"
#include "stores/pg/engine.h"
#include "stores/pg/rows.h"

enum events_column {
    COLUMN_TENANT = 2,
    COLUMN_EPOCH,
    COLUMN_SEQ,
    COLUMN_REQUEST_ID,
    COLUMN_ACTOR,
    COLUMN_ADDRESS,
    COLUMN_AT,
    COLUMN_TXID,
    COLUMN_SCHEMA_VERSION,
    COLUMN_CHANGES,
    COLUMN_IMAGES,
};

static enum fh_code events_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_op_events *events = &op->request->as.events;
    bool newest = events->before_epoch == 0 && events->before_seq == 0;
    enum fh_code code = fh_pg_op_send_context(op, conn);
    if (code != FH_OK) {
        return code;
    }
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid(params, &op->request->scope.tenant);
    fh_pg_add_int64(params, (int64_t)op->request->scope.epoch);
    fh_pg_add_int64(params, newest || events->before_epoch > INT64_MAX
                                ? INT64_MAX
                                : (int64_t)events->before_epoch);
    fh_pg_add_int64(params, newest || events->before_seq > INT64_MAX ? INT64_MAX
                                                                     : (int64_t)events->before_seq);
    fh_pg_add_int64(params, (int64_t)events->limit + 1);
    return fh_pg_op_send(op, conn, FH_PG_EVENTS, fh_pg_op_fault_flags(op), NULL, 0);
}

static enum fh_code read_header(const PGresult *result, int row, struct fh_arena *arena,
                                struct fh_commit_record *record)
{
    int64_t epoch = 0;
    int64_t seq = 0;
    int64_t txid = 0;
    int64_t version = 0;
    if (fh_pg_field_uuid(result, row, COLUMN_TENANT, &record->tenant) != FH_OK ||
        fh_pg_field_int(result, row, COLUMN_EPOCH, &epoch) != FH_OK ||
        fh_pg_field_int(result, row, COLUMN_SEQ, &seq) != FH_OK ||
        fh_pg_field_int(result, row, COLUMN_TXID, &txid) != FH_OK ||
        fh_pg_field_int(result, row, COLUMN_SCHEMA_VERSION, &version) != FH_OK ||
        fh_pg_field_time(result, row, COLUMN_AT, &record->at_us) != FH_OK) {
        return FH_CORRUPT;
    }
    record->epoch = (uint64_t)epoch;
    record->seq = (uint64_t)seq;
    record->txid = (uint64_t)txid;
    record->schema_version = (uint32_t)version;
    enum fh_code code =
        fh_pg_field_copy(result, row, COLUMN_REQUEST_ID, arena, &record->request_id);
    if (code == FH_OK) {
        code = fh_pg_field_copy(result, row, COLUMN_ACTOR, arena, &record->actor);
    }
    if (code == FH_OK) {
        code = fh_pg_field_copy(result, row, COLUMN_ADDRESS, arena, &record->address);
    }
    return code;
}

static enum fh_code read_record(struct fh_pg_op *op, const PGresult *result, int row,
                                struct fh_commit_record *record)
{
    struct fh_arena *arena = op->request->arena;
    struct fh_str images;
    enum fh_code code = read_header(result, row, arena, record);
    /* Another tenant's record is not decoded: completion withholds it, whatever is in it. */
    if (code != FH_OK || !fh_uuid_eq(&record->tenant, &op->request->scope.tenant)) {
        return code;
    }
    code = fh_pg_field_copy(result, row, COLUMN_IMAGES, arena, &images);
    if (code != FH_OK) {
        return code;
    }
    return fh_commit_record_decode(record, fh_pg_field(result, row, COLUMN_CHANGES), images,
                                   op->request->scope.schema, arena);
}

static enum fh_code events_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_op_events *events = &op->request->as.events;
    if (index == 0) {
        return FH_OK;
    }
    enum fh_code code = fh_pg_fence_check(op, result, 0, 1, false);
    if (code != FH_OK) {
        return code;
    }
    size_t count = (size_t)PQntuples(result);
    if (PQgetisnull(result, 0, COLUMN_TENANT) != 0) {
        count = 0;
    }
    events->more = count > events->limit;
    events->count = events->more ? events->limit : count;
    events->records = FH_ARENA_ARRAY(op->request->arena, struct fh_commit_record, events->count);
    if (events->records == NULL) {
        return FH_NOMEM;
    }
    for (size_t i = 0; i < events->count && code == FH_OK; i++) {
        code = read_record(op, result, (int)i, &events->records[i]);
    }
    return code;
}

const struct fh_pg_op_kind fh_pg_events_kind = {.send = events_send, .result = events_result};
