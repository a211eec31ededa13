/* One transaction at the target, in one round trip.
 *
 * Happy path: begin; context; the fence's row locked and told, then required to be as the guard
 * says (else the server skips the rest); references off where there are any; keys deleted, then
 * rows inserted, one statement a table with an array a column; records; state; commit. So a small
 * batch costs what a commit costs. References are switched off once a connection, with its first
 * batch, and stay off: changing that setting throws all plans away, and nothing else on the mover's
 * lane writes rows that have any.
 *
 * Failures: FH_MOVED or FH_NO_TENANT from the fence; FH_EXISTS or FH_UNIQUE_VIOLATION from an
 * insert; FH_PRECONDITION when the role may not switch references off. A batch that cannot be sent
 * whole is sent without its commit. From there on a lost connection is FH_OUTCOME_UNKNOWN.
 */
#include <string.h>

#include "base/assert.h"
#include "stores/pg/ddl.h"
#include "stores/pg/engine.h"
#include "stores/pg/mover.h"
#include "stores/pg/rows.h"

#define RESULT_FENCE 2

/* What is done to one table: indexes into the request's keys or rows, in their order. */
struct batch {
    const struct fh_table *table; /* NULL: nothing */
    uint32_t *indexes;
    size_t count;
};

struct apply_state {
    struct batch deletes[FH_TABLES_MAX]; /* by the table's position */
    struct batch inserts[FH_TABLES_MAX];
    unsigned sent;         /* results asked for */
    unsigned replica_at;   /* which result; 0: not asked */
    unsigned insert_first; /* and from here on inserted[] */
    const struct fh_table *inserted[FH_TABLES_MAX];
    unsigned insert_count;
};

static enum fh_code count_in(struct batch *batches, const struct fh_table *table)
{
    if (table->position >= FH_TABLES_MAX) {
        return FH_INVALID;
    }
    batches[table->position].table = table;
    batches[table->position].count++;
    return FH_OK;
}

static enum fh_code make_room(struct batch *batches, struct fh_arena *arena)
{
    for (int i = 0; i < FH_TABLES_MAX; i++) {
        if (batches[i].count > 0) {
            batches[i].indexes = FH_ARENA_ARRAY(arena, uint32_t, batches[i].count);
            batches[i].count = 0; /* counts up again */
            if (batches[i].indexes == NULL) {
                return FH_NOMEM;
            }
        }
    }
    return FH_OK;
}

static void put_in(struct batch *batches, const struct fh_table *table, size_t index)
{
    struct batch *batch = &batches[table->position];
    batch->indexes[batch->count++] = (uint32_t)index;
}

static enum fh_code make_state(struct fh_pg_op *op)
{
    const struct fh_op_apply *apply = &op->request->as.apply;
    struct fh_arena *arena = op->request->arena;
    struct apply_state *state = FH_ARENA_NEW(arena, struct apply_state);
    enum fh_code code = state != NULL ? FH_OK : FH_NOMEM;
    for (size_t i = 0; i < apply->delete_count && code == FH_OK; i++) {
        code = count_in(state->deletes, apply->deletes[i].table);
    }
    for (size_t i = 0; i < apply->row_count && code == FH_OK; i++) {
        code = count_in(state->inserts, apply->rows[i]->table);
    }
    if (code == FH_OK) {
        code = make_room(state->deletes, arena);
    }
    if (code == FH_OK) {
        code = make_room(state->inserts, arena);
    }
    if (code != FH_OK) {
        return code;
    }
    for (size_t i = 0; i < apply->delete_count; i++) {
        put_in(state->deletes, apply->deletes[i].table, i);
    }
    for (size_t i = 0; i < apply->row_count; i++) {
        put_in(state->inserts, apply->rows[i]->table, i);
    }
    op->state = state;
    return FH_OK;
}

static enum fh_code send_one(struct fh_pg_op *op, struct fh_pg_conn *conn,
                             enum fh_pg_statement_kind kind, uint32_t flags,
                             const struct fh_table *table)
{
    struct apply_state *state = op->state;
    state->sent++;
    return fh_pg_op_send(op, conn, kind, flags, table, 0);
}

static enum fh_code send_bare(struct fh_pg_op *op, struct fh_pg_conn *conn,
                              enum fh_pg_statement_kind kind)
{
    (void)fh_pg_op_params(op);
    return send_one(op, conn, kind, 0, NULL);
}

static struct fh_pg_params *params_of_tenant(struct fh_pg_op *op)
{
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid(params, &op->request->scope.tenant);
    return params;
}

static enum fh_code send_guard(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_fence_guard *guard = &op->request->as.apply.guard;
    (void)params_of_tenant(op);
    enum fh_code code = send_one(op, conn, FH_PG_MOVE_FENCE_LOCK, 0, NULL);
    if (code == FH_OK) {
        struct fh_pg_params *params = params_of_tenant(op);
        fh_pg_add_int64(params, (int64_t)op->request->scope.epoch);
        fh_pg_add_int64(params, (int64_t)guard->generation);
        fh_pg_add_int32(params, (int32_t)guard->modes);
        code = send_one(op, conn, FH_PG_MOVE_GUARD, 0, NULL);
    }
    return code;
}

static bool has_references(const struct fh_schema *schema)
{
    for (uint32_t t = 0; t < schema->table_count; t++) {
        if (schema->tables[t]->foreign_key_count > 0) {
            return true;
        }
    }
    return false;
}

static enum fh_code send_begin(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    struct apply_state *state = op->state;
    const struct fh_op_apply *apply = &op->request->as.apply;
    enum fh_code code = send_bare(op, conn, FH_PG_BEGIN);
    if (code == FH_OK) {
        state->sent++;
        code = fh_pg_move_send_context(op, conn, FH_PG_CONTEXT_MOVE);
    }
    if (code == FH_OK) {
        code = send_guard(op, conn);
    }
    if (code == FH_OK && apply->delete_count + apply->row_count > 0 && !conn->enforces_nothing &&
        has_references(op->request->scope.schema)) {
        state->replica_at = state->sent;
        (void)fh_pg_op_params(op);
        fh_pg_op_add_role(op);
        state->sent++;
        code = fh_pg_op_send(op, conn, FH_PG_REPLICA, 0, NULL, 0);
    }
    return code;
}

static enum fh_code send_delete(struct fh_pg_op *op, struct fh_pg_conn *conn,
                                const struct batch *batch)
{
    const struct fh_op_apply *apply = &op->request->as.apply;
    struct fh_pg_params *params = params_of_tenant(op);
    for (uint16_t k = 0; k < batch->table->key_count; k++) {
        const struct fh_column *column = &batch->table->columns[batch->table->key[k]];
        fh_pg_array_begin(params, column->type, batch->count);
        for (size_t i = 0; i < batch->count; i++) {
            fh_pg_array_add(params, &apply->deletes[batch->indexes[i]].values[k], column);
        }
        fh_pg_array_end(params);
    }
    return send_one(op, conn, FH_PG_MOVE_DELETE, 0, batch->table);
}

enum system_column { CREATED_AT, UPDATED_AT, DELETED_AT, VERSION };

static void add_system(struct fh_pg_params *params, const struct fh_op_apply *apply,
                       const struct batch *batch, enum system_column which)
{
    const struct fh_column column = {.type = which == VERSION ? FH_TYPE_INT64 : FH_TYPE_TIMESTAMP};
    fh_pg_array_begin(params, column.type, batch->count);
    for (size_t i = 0; i < batch->count; i++) {
        const struct fh_row *row = apply->rows[batch->indexes[i]];
        int64_t value = which == CREATED_AT   ? row->created_at_us
                        : which == UPDATED_AT ? row->updated_at_us
                        : which == DELETED_AT ? row->deleted_at_us
                                              : row->version;
        const struct fh_value cell = {
            .type = column.type, .is_null = which == DELETED_AT && value == 0, .as.integer = value};
        fh_pg_array_add(params, &cell, &column);
    }
    fh_pg_array_end(params);
}

static enum fh_code send_insert(struct fh_pg_op *op, struct fh_pg_conn *conn,
                                const struct batch *batch)
{
    struct apply_state *state = op->state;
    const struct fh_op_apply *apply = &op->request->as.apply;
    struct fh_pg_params *params = params_of_tenant(op);
    for (uint16_t c = 0; c < batch->table->column_count; c++) {
        const struct fh_column *column = &batch->table->columns[c];
        fh_pg_array_begin(params, column->type, batch->count);
        for (size_t i = 0; i < batch->count; i++) {
            fh_pg_array_add(params, &apply->rows[batch->indexes[i]]->values[c], column);
        }
        fh_pg_array_end(params);
    }
    for (int which = CREATED_AT; which <= VERSION; which++) {
        add_system(params, apply, batch, (enum system_column)which);
    }
    state->inserted[state->insert_count++] = batch->table;
    return send_one(op, conn, FH_PG_MOVE_INSERT, apply->keep_existing ? FH_PG_KEEP_EXISTING : 0,
                    batch->table);
}

static enum fh_code send_rows(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    struct apply_state *state = op->state;
    enum fh_code code = FH_OK;
    for (int i = 0; i < FH_TABLES_MAX && code == FH_OK; i++) {
        if (state->deletes[i].count > 0) {
            code = send_delete(op, conn, &state->deletes[i]);
        }
    }
    state->insert_first = state->sent;
    for (int i = 0; i < FH_TABLES_MAX && code == FH_OK; i++) {
        if (state->inserts[i].count > 0) {
            code = send_insert(op, conn, &state->inserts[i]);
        }
    }
    return code;
}

/* The columns of a record in the order of FH_PG_MOVE_RECORDS. */
static struct fh_value record_cell(const struct fh_journal_row *row, int column)
{
    switch (column) {
    case 0:
        return (struct fh_value){.type = FH_TYPE_INT64, .as.integer = (int64_t)row->epoch};
    case 1:
        return (struct fh_value){.type = FH_TYPE_INT64, .as.integer = (int64_t)row->seq};
    case 2:
        return (struct fh_value){
            .type = FH_TYPE_TEXT, .is_null = row->request_id.len == 0, .as.bytes = row->request_id};
    case 3:
        return (struct fh_value){.type = FH_TYPE_BYTES,
                                 .as.bytes = {.data = (const char *)row->request_hash,
                                              .len = sizeof(row->request_hash)}};
    case 4:
        return (struct fh_value){.type = FH_TYPE_INT32, .as.integer = row->schema_version};
    case 5:
        return (struct fh_value){.type = FH_TYPE_TEXT, .as.bytes = row->actor};
    case 6:
        return (struct fh_value){.type = FH_TYPE_TEXT, .as.bytes = row->address};
    case 7:
        return (struct fh_value){.type = FH_TYPE_TIMESTAMP, .as.integer = row->at_us};
    case 8:
        return (struct fh_value){.type = FH_TYPE_JSON, .as.bytes = row->changes};
    default:
        return (struct fh_value){
            .type = FH_TYPE_BYTES, .is_null = row->images.data == NULL, .as.bytes = row->images};
    }
}

#define RECORD_CELLS 10

static enum fh_code send_records(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_op_apply *apply = &op->request->as.apply;
    if (apply->journal_count == 0) {
        return FH_OK;
    }
    struct fh_pg_params *params = params_of_tenant(op);
    for (int c = 0; c < RECORD_CELLS; c++) {
        const struct fh_column column = {.type = record_cell(&apply->journal[0], c).type};
        fh_pg_array_begin(params, column.type, apply->journal_count);
        for (size_t i = 0; i < apply->journal_count; i++) {
            const struct fh_value cell = record_cell(&apply->journal[i], c);
            fh_pg_array_add(params, &cell, &column);
        }
        fh_pg_array_end(params);
    }
    return send_one(op, conn, FH_PG_MOVE_RECORDS, 0, NULL);
}

static enum fh_code send_state(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    const struct fh_op_apply *apply = &op->request->as.apply;
    if (apply->state.data == NULL) {
        return FH_OK;
    }
    fh_pg_add_bytes(params_of_tenant(op), apply->state);
    return send_one(op, conn, FH_PG_MOVE_STATE_PUT, 0, NULL);
}

static enum fh_code apply_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    op->request->as.apply.rows_written = 0;
    enum fh_code code = make_state(op);
    if (code == FH_OK) {
        code = send_begin(op, conn);
    }
    if (code == FH_OK) {
        code = send_rows(op, conn);
    }
    if (code == FH_OK) {
        code = send_records(op, conn);
    }
    if (code == FH_OK) {
        code = send_state(op, conn);
    }
    if (code == FH_OK) {
        op->commits = true;
        code = send_bare(op, conn, FH_PG_COMMIT);
    }
    return code;
}

static enum fh_code apply_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    const struct apply_state *state = op->state;
    struct fh_op_apply *apply = &op->request->as.apply;
    if (index == RESULT_FENCE) {
        return fh_pg_move_check_fence(op, result, &apply->guard);
    }
    if (index < state->insert_first || index >= state->insert_first + state->insert_count) {
        return FH_OK;
    }
    const char *written = PQcmdTuples((PGresult *)(uintptr_t)result);
    long long count = 0;
    if (!fh_str_to_int64(fh_str_of(written), &count) || count < 0) {
        return FH_OUTCOME_UNKNOWN; /* it may be committed whatever we make of the answer */
    }
    apply->rows_written += (uint64_t)count;
    return FH_OK;
}

static void insert_failed(struct fh_pg_op *op, const struct fh_table *table)
{
    struct fh_pg_failure *failure = &op->failure;
    if (failure->code != FH_UNIQUE_VIOLATION) {
        return;
    }
    const struct fh_index *index = fh_pg_ddl_index_of(table, failure->constraint);
    failure->code =
        index != NULL
            ? fh_error_set(&op->request->error, FH_UNIQUE_VIOLATION,
                           "a record of %.*s to apply has what another has (%.*s)",
                           FH_STR_ARG(table->name), FH_STR_ARG(index->name))
            : fh_error_set(&op->request->error, FH_EXISTS,
                           "a record of %.*s to apply is there already", FH_STR_ARG(table->name));
}

static void apply_failed(struct fh_pg_op *op, unsigned index)
{
    const struct apply_state *state = op->state;
    if (op->code != FH_OK) {
        op->failure.code = op->code; /* the fence was told, then the guard failed for it */
    } else if (state->replica_at != 0 && index == state->replica_at &&
               op->failure.code == FH_PERMISSION) {
        op->failure.code =
            fh_error_set(&op->request->error, FH_PRECONDITION,
                         "the serving role may not apply moves; as superuser: grant set on "
                         "parameter session_replication_role to \"%s\"",
                         op->store->serving.values[FH_PG_KEYWORD_USER]);
    } else if (index >= state->insert_first && index < state->insert_first + state->insert_count) {
        insert_failed(op, state->inserted[index - state->insert_first]);
    }
}

static enum fh_pg_next apply_synced(struct fh_pg_op *op)
{
    const struct apply_state *state = op->state;
    op->conn->enforces_nothing |= state->replica_at != 0;
    return FH_PG_DONE;
}

static void apply_reset(struct fh_pg_op *op)
{
    op->state = NULL;
}

const struct fh_pg_op_kind fh_pg_apply_kind = {.send = apply_send,
                                               .result = apply_result,
                                               .failed = apply_failed,
                                               .synced = apply_synced,
                                               .reset = apply_reset};
