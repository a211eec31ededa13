/* A page of a table from one home to another of the same database, in one statement of the owner's,
 * who alone may read the one and write the other. Forced row level security binds the owner to the
 * tenant of its context, so it is no back door.
 *
 *   begin; context; the target's fence locked, told, required; the source's told; references off
 *   where the table has any; the page; state; commit
 *
 * Happy path: one round trip. The page is read, cut behind its last row, inserted where key and
 * unique values are free, and counted in one statement, whose snapshot is that of the source's
 * fence too: a source that is closed or erased meanwhile fails it.
 *
 * Failures: FH_MOVED or FH_NO_TENANT from either fence; a row of another tenant FH_FOREIGN_ROW, and
 * nothing is written; FH_PRECONDITION when the owner may not switch references off: the caller
 * copies by way of itself then. From the commit on a lost connection is FH_OUTCOME_UNKNOWN, which
 * repeating mends.
 */
#include <string.h>

#include "base/assert.h"
#include "stores/image.h"
#include "stores/pg/ddl.h"
#include "stores/pg/engine.h"
#include "stores/pg/mover.h"
#include "stores/pg/rows.h"
#include "stores/pg/sql.h"

#define STATEMENT_BYTES_MAX (256u * 1024)

enum result {
    RESULT_TARGET_FENCE = 2, /* behind begin and context */
    RESULT_TARGET_GUARD,
    RESULT_SOURCE_FENCE,
    RESULT_REST,
};

enum page_column {
    COLUMN_ROWS,
    COLUMN_MORE,
    COLUMN_FENCE,
    COLUMN_OWNED,
    COLUMN_WRITTEN,
    COLUMN_KEY
};

struct copy_state {
    unsigned sent;
    unsigned replica_at; /* which result; 0: not asked */
    unsigned page_at;
};

static void fence_of(const struct fh_pg_op *op, const char *namespace, struct fh_buf *out)
{
    char name[FH_PG_FENCE_VIEW_SIZE];
    fh_pg_ddl_fence_view(name, op->request->scope.schema->version);
    fh_pg_sql_table(out, namespace, name);
}

static enum fh_code send_text(struct fh_pg_op *op, struct fh_pg_conn *conn, struct fh_buf *text,
                              struct fh_pg_params *params)
{
    struct copy_state *state = op->state;
    enum fh_code code = fh_buf_code(text);
    if (code == FH_OK) {
        state->sent++;
        code = fh_pg_conn_send_text(conn, text->data, params);
    }
    fh_buf_clear(text);
    return code;
}

static struct fh_pg_params *params_of_tenant(struct fh_pg_op *op)
{
    struct fh_pg_params *params = fh_pg_op_params(op);
    fh_pg_add_uuid(params, &op->request->scope.tenant);
    return params;
}

static void add_fence(struct fh_pg_params *params, uint64_t epoch,
                      const struct fh_fence_guard *guard)
{
    fh_pg_add_int64(params, (int64_t)epoch);
    fh_pg_add_int64(params, (int64_t)guard->generation);
    fh_pg_add_int32(params, (int32_t)guard->modes);
}

#define AS_REQUIRED(epoch, generation, modes)                                              \
    " where tenant_id = $1::uuid and epoch = " epoch "::int8 and generation = " generation \
    "::int8 and (" modes "::int4 & (1 << mode::int4)) <> 0"

static enum fh_code send_fences(struct fh_pg_op *op, struct fh_pg_conn *conn, struct fh_buf *text)
{
    const struct fh_op_copy_within *copy = &op->request->as.copy_within;
    fh_buf_add_text(text, "select epoch, generation, mode from ");
    fence_of(op, fh_pg_op_namespace(op), text);
    fh_buf_add_text(text, " where tenant_id = $1::uuid for update");
    enum fh_code code = send_text(op, conn, text, params_of_tenant(op));
    if (code == FH_OK) {
        struct fh_pg_params *params = params_of_tenant(op);
        add_fence(params, op->request->scope.epoch, &copy->guard);
        fh_buf_add_text(text, "select 1 / count(*) from ");
        fence_of(op, fh_pg_op_namespace(op), text);
        fh_buf_add_text(text, AS_REQUIRED("$2", "$3", "$4"));
        code = send_text(op, conn, text, params);
    }
    if (code == FH_OK) {
        fh_buf_add_text(text, "select epoch, generation, mode from ");
        fence_of(op, fh_pg_home_namespace(&copy->source), text);
        fh_buf_add_text(text, " where tenant_id = $1::uuid");
        code = send_text(op, conn, text, params_of_tenant(op));
    }
    return code;
}

static void keys_of(struct fh_buf *out, const char *alias, const struct fh_table *table)
{
    for (unsigned i = 0; i < table->key_count; i++) {
        fh_buf_printf(out, "%s%s", i > 0 ? ", " : "", alias);
        fh_pg_sql_name(out, table->columns[table->key[i]].name);
    }
}

/* $1 tenant, $2 limit, $3..$5 the source's epoch, generation, modes, $6.. the key to start after ->
 * rows, whether there are more, the source's fence (or a failure), that all are the tenant's (or a
 * failure), rows written, last key */
static void page_text(struct fh_pg_op *op, struct fh_buf *out)
{
    const struct fh_op_copy_within *copy = &op->request->as.copy_within;
    const struct fh_table *table = copy->table;
    const char *source = fh_pg_home_namespace(&copy->source);
    struct fh_pg_statement_key key;
    memset(&key, 0, sizeof(key));
    key.flags = fh_pg_op_fault_flags(op);
    fh_buf_add_text(out, "with p as materialized (select x.*, row_number() over (order by ");
    keys_of(out, "x.", table);
    fh_buf_add_text(out, ") as fh_n from (select ");
    fh_pg_sql_row_columns(out, "x.", table);
    fh_buf_add_text(out, " from ");
    fh_pg_sql_model_table(out, source, table);
    fh_buf_add_text(out, " x where ");
    fh_pg_sql_predicate(out, &key, "x.");
    if (copy->after != NULL) {
        fh_buf_add_char(out, '(');
        keys_of(out, "x.", table);
        fh_buf_add_text(out, ") > (");
        for (unsigned i = 0; i < table->key_count; i++) {
            fh_buf_printf(out, "%s$%u", i > 0 ? ", " : "", 6 + i);
        }
        fh_buf_add_text(out, ") and ");
    }
    fh_buf_add_text(out, "true order by ");
    keys_of(out, "x.", table);
    fh_buf_add_text(out, " limit $2::int8 + 1) x), w as (insert into ");
    fh_pg_sql_model_table(out, fh_pg_op_namespace(op), table);
    fh_buf_add_text(out, " (");
    fh_pg_sql_row_columns(out, "", table);
    fh_buf_add_text(out, ") select ");
    fh_pg_sql_row_columns(out, "p.", table);
    fh_buf_add_text(out, " from p where p.fh_n <= $2::int8 order by p.fh_n on conflict do nothing "
                         "returning 1), l as (select ");
    keys_of(out, "p.", table);
    fh_buf_add_text(out, " from p where p.fh_n <= $2::int8 order by p.fh_n desc limit 1) select "
                         "c.n, c.more, (select 1 / count(*) from ");
    fence_of(op, source, out);
    fh_buf_add_text(out, AS_REQUIRED("$3", "$4", "$5") "), c.owned, (select count(*) from w), ");
    keys_of(out, "l.", table);
    fh_buf_add_text(
        out, " from (select least(count(*), $2::int8) as n, count(*) > $2::int8 as "
             "more, sqrt(case when count(*) filter (where p.tenant_id is distinct "
             "from $1::uuid) > 0 then -1 else 1 end) as owned from p) c left join l on true");
}

static enum fh_code send_page(struct fh_pg_op *op, struct fh_pg_conn *conn, struct fh_buf *text)
{
    struct copy_state *state = op->state;
    const struct fh_op_copy_within *copy = &op->request->as.copy_within;
    enum fh_code code = FH_OK;
    if (copy->table->foreign_key_count > 0) {
        state->replica_at = state->sent;
        fh_buf_add_text(text, "select set_config('session_replication_role', 'replica', true)");
        code = send_text(op, conn, text, NULL);
    }
    if (code == FH_OK) {
        struct fh_pg_params *params = params_of_tenant(op);
        fh_pg_add_int64(params, (int64_t)copy->limit);
        add_fence(params, copy->source_epoch, &copy->source_guard);
        if (copy->after != NULL) {
            fh_pg_add_key(params, copy->after);
        }
        state->page_at = state->sent;
        page_text(op, text);
        code = send_text(op, conn, text, params);
    }
    return code;
}

static enum fh_code send_state(struct fh_pg_op *op, struct fh_pg_conn *conn, struct fh_buf *text)
{
    const struct fh_op_copy_within *copy = &op->request->as.copy_within;
    if (copy->state.data == NULL) {
        return FH_OK;
    }
    struct fh_pg_params *params = params_of_tenant(op);
    fh_pg_add_bytes(params, copy->state);
    fh_buf_add_text(text, "insert into ");
    fh_pg_sql_table(text, fh_pg_op_namespace(op), "fh_move");
    fh_buf_add_text(text, " (tenant_id, state) values ($1::uuid, $2::bytea) on conflict "
                          "(tenant_id) do update set state = excluded.state");
    return send_text(op, conn, text, params);
}

static enum fh_code send_all(struct fh_pg_op *op, struct fh_pg_conn *conn, struct fh_buf *text)
{
    struct copy_state *state = op->state;
    fh_buf_add_text(text, "begin isolation level read committed");
    enum fh_code code = send_text(op, conn, text, NULL);
    if (code == FH_OK) {
        state->sent++;
        code = fh_pg_move_send_context(op, conn, FH_PG_CONTEXT_MOVE);
    }
    if (code == FH_OK) {
        code = send_fences(op, conn, text);
    }
    if (code == FH_OK) {
        code = send_page(op, conn, text);
    }
    if (code == FH_OK) {
        code = send_state(op, conn, text);
    }
    if (code == FH_OK) {
        op->commits = true;
        fh_buf_add_text(text, "commit");
        code = send_text(op, conn, text, NULL);
    }
    return code;
}

static enum fh_code copy_send(struct fh_pg_op *op, struct fh_pg_conn *conn)
{
    struct fh_buf text;
    op->state = FH_ARENA_NEW(op->request->arena, struct copy_state);
    if (op->state == NULL) {
        return FH_NOMEM;
    }
    fh_buf_init(&text, STATEMENT_BYTES_MAX);
    enum fh_code code = send_all(op, conn, &text);
    fh_buf_close(&text);
    return code;
}

static enum fh_code take_key(struct fh_pg_op *op, const PGresult *result)
{
    struct fh_op_copy_within *copy = &op->request->as.copy_within;
    copy->last.table = copy->table;
    for (uint16_t k = 0; k < copy->table->key_count; k++) {
        const struct fh_column *column = &copy->table->columns[copy->table->key[k]];
        struct fh_value value;
        struct fh_str field = fh_pg_field(result, 0, COLUMN_KEY + k);
        enum fh_code code =
            field.data != NULL ? fh_value_decode(field, column, &value) : FH_CORRUPT;
        if (code == FH_OK) {
            code = fh_value_copy(&value, op->request->arena, &copy->last.values[k]);
        }
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

/* It is committed whatever we make of the answer: what is not in form is never told as a refusal.
 */
static enum fh_code take_page(struct fh_pg_op *op, const PGresult *result)
{
    struct fh_op_copy_within *copy = &op->request->as.copy_within;
    int64_t rows = 0;
    if (PQntuples(result) != 1 || fh_pg_field_int(result, 0, COLUMN_ROWS, &rows) != FH_OK ||
        rows < 0 || fh_pg_field_bool(result, 0, COLUMN_MORE, &copy->more) != FH_OK) {
        return FH_OUTCOME_UNKNOWN;
    }
    copy->rows = (uint64_t)rows;
    copy->last = (struct fh_key){.table = NULL};
    return rows > 0 && take_key(op, result) != FH_OK ? FH_OUTCOME_UNKNOWN : FH_OK;
}

static enum fh_code copy_result(struct fh_pg_op *op, unsigned index, const PGresult *result)
{
    const struct copy_state *state = op->state;
    const struct fh_op_copy_within *copy = &op->request->as.copy_within;
    if (index == RESULT_TARGET_FENCE) {
        return fh_pg_move_check_fence(op, result, &copy->guard);
    }
    if (index == RESULT_SOURCE_FENCE) {
        return fh_pg_move_check_epoch(op, result, copy->source_epoch, &copy->source_guard);
    }
    return index == state->page_at ? take_page(op, result) : FH_OK;
}

static void copy_failed(struct fh_pg_op *op, unsigned index)
{
    const struct copy_state *state = op->state;
    if (op->code != FH_OK) {
        op->failure.code = op->code; /* a fence was told, then its guard failed for it */
    } else if (state->replica_at > 0 && index == state->replica_at &&
               op->failure.code == FH_PERMISSION) {
        op->failure.code =
            fh_error_set(&op->request->error, FH_PRECONDITION,
                         "the owning role may not switch references off; as superuser: grant set "
                         "on parameter session_replication_role to the owner");
    } else if (index == state->page_at && strcmp(op->failure.sqlstate, "22012") == 0) {
        op->failure.code = FH_CONFLICT; /* the source's fence changed just now */
    } else if (index == state->page_at &&
               (strcmp(op->failure.sqlstate, "2201F") == 0 || op->failure.code == FH_PERMISSION)) {
        op->failure.code = FH_FOREIGN_ROW; /* counted, or the policy would not have it */
    }
}

static void copy_reset(struct fh_pg_op *op)
{
    op->state = NULL;
}

const struct fh_pg_op_kind fh_pg_copy_within_kind = {
    .send = copy_send, .result = copy_result, .failed = copy_failed, .reset = copy_reset};
