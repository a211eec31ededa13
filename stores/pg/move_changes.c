/* What was committed since a cursor, and what the rows are now.
 *
 *   step 0  context, fence, a page of records that the cursor does not see
 *   step 1  the rows of the keys they name: one statement a table, in the same view
 *
 * Happy path: two round trips a page, one when nothing changed. A page is also cut where applying
 * it would pass FH_APPLY_ROWS_MAX.
 *
 * Failures: as for all reads of a move; a cursor that is not in form FH_INVALID, before anything is
 * sent, because a statement that fails would end the view; a record of a newer schema
 * FH_UNAVAILABLE, one that cannot be decoded FH_CORRUPT; two rows for a key FH_FOREIGN_ROW.
 */
#include <stdlib.h>
#include <string.h>

#include "stores/commit_record.h"
#include "stores/pg/engine.h"
#include "stores/pg/mover.h"
#include "stores/pg/rows.h"

/* A run of `keys` that is one table's. */
struct run {
    size_t first;
    size_t count;
};

struct changes_state {
    struct run *runs;
    unsigned run_count;
};

static bool take_digits(struct fh_str text, size_t *at)
{
    size_t first = *at;
    while (*at < text.len && text.data[*at] >= '0' && text.data[*at] <= '9') {
        (*at)++;
    }
    return *at > first && *at - first <= 20;
}

/* xmin:xmax:xid,xid,... */
static bool is_cursor(struct fh_str text)
{
    size_t at = 0;
    for (int i = 0; i < 2; i++) {
        if (!take_digits(text, &at) || at == text.len || text.data[at++] != ':') {
            return false;
        }
    }
    while (at < text.len) {
        if (!take_digits(text, &at) || (at < text.len && text.data[at++] != ',')) {
            return false;
        }
    }
    return text.data[text.len - 1] != ',';
}

static enum fh_code check_cursor(struct fh_pg_op *op, struct fh_str cursor)
{
    return is_cursor(cursor)
               ? FH_OK
               : fh_error_set(&op->request->error, FH_INVALID, "not a cursor of this store");
}

static void cursor_failed(struct fh_pg_op *op, unsigned index)
{
    (void)index;
    if (strcmp(op->failure.sqlstate, "22P02") == 0 || strcmp(op->failure.sqlstate, "22003") == 0) {
        op->failure.code =
            fh_error_set(&op->request->error, FH_INVALID, "not a cursor of this store");
    }
}

static enum fh_code send_records(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_op_changes *changes = &op->request->as.changes;
    enum fh_code code = check_cursor(op, changes->since);
    if (code == FH_OK) {
        code = fh_pg_move_begin(op, conn);
    }
    if (code != FH_OK) {
        return code;
    }
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid(params, &op->request->scope.tenant);
    fh_pg_add_int64(params, (int64_t)changes->limit + 1);
    fh_pg_add_int64(params, (int64_t)changes->bytes_max);
    fh_pg_add_int64(params, (int64_t)op->request->scope.epoch);
    fh_pg_add_int64(params, (int64_t)changes->after_seq);
    fh_pg_add_bytes(params, changes->since);
    return fh_pg_op_send(op, conn, FH_PG_MOVE_CHANGES, fh_pg_op_fault_flags(op), NULL, 0);
}

static enum fh_code send_look_ups(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_op_changes *changes = &op->request->as.changes;
    const struct changes_state *state = op->state;
    enum fh_code code = FH_OK;
    for (unsigned r = 0; r < state->run_count && code == FH_OK; r++) {
        const struct run *run = &state->runs[r];
        const struct fh_table *table = changes->keys[run->first].table;
        struct fh_pg_params *params = fh_pg_op_params(op);
        fh_pg_add_uuid(params, &op->request->scope.tenant);
        for (uint16_t k = 0; k < table->key_count; k++) {
            const struct fh_column *column = &table->columns[table->key[k]];
            fh_pg_array_begin(params, column->type, run->count);
            for (size_t i = 0; i < run->count; i++) {
                fh_pg_array_add(params, &changes->keys[run->first + i].values[k], column);
            }
            fh_pg_array_end(params);
        }
        code = fh_pg_op_send(op, conn, FH_PG_MOVE_LOOK_UP, fh_pg_op_fault_flags(op), table, 0);
    }
    return code;
}

static enum fh_code changes_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    return op->step == 0 ? send_records(op, conn) : send_look_ups(op, conn);
}

/* The record's changes, their tables those of the scope's schema, found by id: a key's columns and
 * their types are the same in every version. */
static enum fh_code decode(struct fh_pg_op *op, const struct fh_journal_row *row,
                           struct fh_commit_record *out)
{
    const struct fh_schema *schema = op->request->scope.schema;
    *out = (struct fh_commit_record){.tenant = row->tenant, .schema_version = row->schema_version};
    /* Another tenant's is not looked into: completion withholds it, whatever is in it. */
    if (!fh_uuid_eq(&row->tenant, &op->request->scope.tenant)) {
        return FH_OK;
    }
    enum fh_code code = fh_commit_record_decode(out, row->changes, (struct fh_str){.data = NULL},
                                                schema, op->request->arena);
    size_t kept = 0;
    for (size_t i = 0; code == FH_OK && i < out->change_count; i++) {
        const struct fh_table *table = fh_schema_table_by_id(schema, out->changes[i].key.table->id);
        if (table != NULL) { /* NULL: dropped since, and its rows with it */
            out->changes[kept] = out->changes[i];
            out->changes[kept++].key.table = table;
        }
    }
    out->change_count = kept;
    return code;
}

static int compare_keys(const void *a, const void *b)
{
    return fh_key_compare(a, b);
}

/* Sorted by table and key, each once, cut into runs of one table. */
static enum fh_code collect(struct fh_pg_op *op, const struct fh_commit_record *records,
                            size_t total)
{
    struct fh_op_changes *changes = &op->request->as.changes;
    struct changes_state *state = op->state;
    changes->keys = FH_ARENA_ARRAY(op->request->arena, struct fh_key, total);
    changes->rows = FH_ARENA_ARRAY(op->request->arena, struct fh_row *, total);
    state->runs = FH_ARENA_ARRAY(op->request->arena, struct run, FH_TABLES_MAX);
    if (changes->keys == NULL || changes->rows == NULL || state->runs == NULL) {
        return FH_NOMEM;
    }
    total = 0;
    for (size_t i = 0; i < changes->journal_count; i++) {
        for (size_t k = 0; k < records[i].change_count; k++) {
            changes->keys[total++] = records[i].changes[k].key;
        }
    }
    if (total > 0) {
        qsort(changes->keys, total, sizeof(struct fh_key), compare_keys);
    }
    changes->key_count = 0;
    for (size_t i = 0; i < total; i++) {
        const struct fh_key key = changes->keys[i];
        size_t count = changes->key_count;
        if (count > 0 && fh_key_compare(&changes->keys[count - 1], &key) == 0) {
            continue;
        }
        if (count == 0 || changes->keys[count - 1].table != key.table) {
            state->runs[state->run_count++].first = count;
        }
        state->runs[state->run_count - 1].count++;
        changes->keys[changes->key_count++] = key;
    }
    return FH_OK;
}

static enum fh_code take_records(struct fh_pg_op *op, const PGresult *result)
{
    struct fh_op_changes *changes = &op->request->as.changes;
    struct fh_arena *arena = op->request->arena;
    size_t count = 0;
    size_t total = 0;
    enum fh_code code =
        fh_pg_move_page(result, changes->limit, changes->bytes_max, &count, &changes->more);
    if (code == FH_OK) {
        code = fh_pg_move_read_records(result, arena, count, &changes->journal);
    }
    struct fh_commit_record *records = FH_ARENA_ARRAY(arena, struct fh_commit_record, count);
    op->state = FH_ARENA_NEW(arena, struct changes_state);
    if (records == NULL || op->state == NULL) {
        return FH_NOMEM;
    }
    changes->journal_count = 0;
    for (size_t i = 0; i < count && code == FH_OK; i++) {
        code = decode(op, &changes->journal[i], &records[i]);
        /* Each key is deleted and, as a row, inserted. */
        if (i > 0 && 2 * (total + records[i].change_count) + i + 1 > FH_APPLY_ROWS_MAX) {
            changes->more = true;
            break;
        }
        total += records[i].change_count;
        changes->journal_count++;
    }
    return code == FH_OK ? collect(op, records, total) : code;
}

static enum fh_code take_rows(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_op_changes *changes = &op->request->as.changes;
    const struct changes_state *state = op->state;
    const struct run *run = &state->runs[index];
    const struct fh_table *table = changes->keys[run->first].table;
    for (int i = 0; i < PQntuples(result); i++) {
        int64_t n = 0;
        if (fh_pg_field_int(result, i, 0, &n) != FH_OK || n < 1 || (uint64_t)n > run->count) {
            return FH_CORRUPT;
        }
        struct fh_row **row = &changes->rows[run->first + (size_t)n - 1];
        if (*row != NULL) {
            return FH_FOREIGN_ROW; /* two rows of one key are two tenants' */
        }
        enum fh_code code = fh_pg_row_read(result, i, 1, table, op->request->arena, row);
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

static enum fh_code changes_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    if (op->step > 0) {
        return take_rows(op, index, result);
    }
    if (index == FH_PG_MOVE_RESULTS_FIRST - 1) {
        return fh_pg_move_check_fence(op, result, &op->request->as.changes.guard);
    }
    return index < FH_PG_MOVE_RESULTS_FIRST ? FH_OK : take_records(op, result);
}

static enum fh_pg_next changes_synced(struct fh_pg_op *op)
{
    if (op->step++ > 0 || op->request->as.changes.key_count == 0) {
        return FH_PG_DONE;
    }
    return FH_PG_MORE;
}

static void changes_reset(struct fh_pg_op *op)
{
    op->state = NULL;
}

const struct fh_pg_op_kind fh_pg_changes_kind = {.send = changes_send,
                                                 .result = changes_result,
                                                 .failed = cursor_failed,
                                                 .synced = changes_synced,
                                                 .reset = changes_reset};

static enum fh_code tally_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_op_tally *tally = &op->request->as.tally;
    enum fh_code code = check_cursor(op, tally->since);
    if (code == FH_OK) {
        code = fh_pg_move_begin(op, conn);
    }
    if (code != FH_OK) {
        return code;
    }
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid(params, &op->request->scope.tenant);
    fh_pg_add_int64(params, (int64_t)op->request->scope.epoch);
    fh_pg_add_bytes(params, tally->since);
    return fh_pg_op_send(op, conn, FH_PG_MOVE_TALLY, fh_pg_op_fault_flags(op), NULL, 0);
}

static enum fh_code tally_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    struct fh_op_tally *tally = &op->request->as.tally;
    int64_t count = 0;
    int64_t high = 0;
    int64_t low = 0;
    if (index == FH_PG_MOVE_RESULTS_FIRST - 1) {
        return fh_pg_move_check_fence(op, result, &tally->guard);
    }
    if (index < FH_PG_MOVE_RESULTS_FIRST) {
        return FH_OK;
    }
    if (fh_pg_field_int(result, 0, 0, &count) != FH_OK ||
        fh_pg_field_int(result, 0, 1, &high) != FH_OK ||
        fh_pg_field_int(result, 0, 2, &low) != FH_OK) {
        return FH_CORRUPT;
    }
    tally->count = (uint64_t)count;
    tally->seq_sum = ((uint64_t)high << 32) + (uint64_t)low;
    return FH_OK;
}

const struct fh_pg_op_kind fh_pg_tally_kind = {
    .send = tally_send, .result = tally_result, .failed = cursor_failed};
