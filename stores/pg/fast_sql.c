/* One statement that is a whole commit: it starts at the fence, in a snapshot taken after the gates
 * were tried (see FH_PG_CONTEXT_GATE), locks the before-image, writes, inserts the record, and
 * answers fence, seq and the new row.
 *
 * Each part feeds the next, so nothing is written unless the fence is open at our epoch, both gates
 * were granted, the request id is new and the row is as the write needs it. A row lock that is not
 * free at once is an error (nowait): the op goes to the slow lane, where waiting hurts nobody.
 * Images have record_send()'s form (see stores/image.h).
 *
 * Parameters of all: $1 tenant, $2 epoch, $3 request id or null, $4 hash, $5 schema version, $6
 * actor, $7 address, $8 at, $9 changes. Insert: $10 images, $11.. the row as FH_PG_ROW_INSERT's.
 * Update and delete: $10 expected version (0: any), $11 expected created_at, $12.. key, then the
 * assigned columns of the mask `extra` in model order.
 */
#include "base/assert.h"
#include "stores/pg/sql.h"

static void record_columns(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "r as (insert into ");
    fh_pg_sql_table(out, key->home, "fh_commit");
    fh_buf_add_text(out, " (tenant_id, epoch, request_id, request_hash, schema_version, actor, "
                         "address, at, changes, images) select $1::uuid, $2::int8, $3::text, "
                         "$4::bytea, $5::int4, $6::text, $7::text, $8::timestamptz, $9::json, ");
}

static void start_at_fence(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "with f as (select epoch, mode from ");
    fh_pg_sql_fence(out, key);
    fh_buf_add_text(out, " where tenant_id = $1), ok as (select 1 from f where epoch = $2 and mode "
                         "= 1 and current_setting('fh.gate') = 'true' and "
                         "current_setting('fh.once') = 'true' and not exists (select from ");
    fh_pg_sql_table(out, key->home, "fh_commit");
    fh_buf_add_text(out, " where tenant_id = $1 and request_id = $3)), ");
}

static void answer(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, " returning seq) select f.epoch, f.mode, r.seq, ");
    fh_pg_sql_row_columns(out, "w.", key->table);
    fh_buf_add_text(out, " from f left join r on true left join w on true");
}

/* The row's own type, so that a parameter of a select list has one. */
static void typed(struct fh_buf *out, unsigned parameter, const struct fh_column *column)
{
    fh_buf_printf(out, "$%u::%s", parameter, fh_pg_sql_type(column->type));
}

static void insert(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    const struct fh_table *table = key->table;
    unsigned system = 11u + table->column_count;
    start_at_fence(key, out);
    fh_buf_add_text(out, "w as (insert into ");
    fh_pg_sql_model_table(out, key->home, table);
    fh_buf_add_text(out, " (");
    fh_pg_sql_row_columns(out, "", table);
    fh_buf_add_text(out, ") select $1::uuid");
    for (unsigned i = 0; i < table->column_count; i++) {
        fh_buf_add_text(out, ", ");
        typed(out, 11 + i, &table->columns[i]);
    }
    fh_buf_printf(out,
                  ", $%u::timestamptz, $%u::timestamptz, $%u::timestamptz, $%u::int8 from ok on "
                  "conflict (tenant_id",
                  system, system + 1, system + 2, system + 3);
    for (unsigned i = 0; i < table->key_count; i++) {
        fh_buf_add_text(out, ", ");
        fh_pg_sql_name(out, table->columns[table->key[i]].name);
    }
    fh_buf_add_text(out, ") do nothing returning ");
    fh_pg_sql_row_columns(out, "", table);
    fh_buf_add_text(out, "), ");
    record_columns(key, out);
    fh_buf_add_text(out, "$10::bytea from w");
    answer(key, out);
}

/* record_send() of a row, with its length before it. */
static void image(struct fh_buf *out, const char *alias, const struct fh_table *table)
{
    struct fh_buf row;
    fh_buf_init(&row, out->len_max);
    fh_buf_add_text(&row, "record_send(row(");
    for (unsigned i = 0; i < table->column_count; i++) {
        fh_buf_add_text(&row, alias);
        fh_pg_sql_name(&row, table->columns[i].name);
        fh_buf_add_text(&row, ", ");
    }
    fh_buf_printf(&row, "%screated_at, %supdated_at, %sdeleted_at, %sversion))", alias, alias,
                  alias, alias);
    if (fh_buf_code(&row) != FH_OK) {
        out->code = fh_buf_code(&row);
    } else {
        fh_buf_add_str(out, fh_buf_str(&row));
    }
    fh_buf_close(&row);
}

static void change(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    const struct fh_table *table = key->table;
    unsigned parameter = 12u + table->key_count;
    start_at_fence(key, out);
    fh_buf_add_text(out, "b as (select t.* from ");
    fh_pg_sql_model_table(out, key->home, table);
    fh_buf_add_text(out, " t, ok where ");
    fh_pg_sql_predicate(out, key, "t.");
    fh_pg_sql_key_match(out, "t.", table, 12);
    fh_buf_add_text(out,
                    " and coalesce(t.deleted_at, 'infinity') = 'infinity' and ($10::int8 = 0 or "
                    "(t.version = $10 and "
                    "t.created_at = $11::timestamptz)) for update of t nowait), w as (update ");
    fh_pg_sql_model_table(out, key->home, table);
    fh_buf_add_text(out, " t set ");
    for (unsigned i = 0; i < table->column_count; i++) {
        if (i < 64 && (key->extra & (UINT64_C(1) << i)) != 0) {
            fh_pg_sql_name(out, table->columns[i].name);
            fh_buf_printf(out, " = $%u, ", parameter++);
        }
    }
    fh_buf_printf(out, "updated_at = $8::timestamptz, %sversion = b.version + 1 from b where ",
                  key->kind == FH_PG_FAST_DELETE ? "deleted_at = $8::timestamptz, " : "");
    fh_pg_sql_predicate(out, key, "t.");
    fh_pg_sql_key_match(out, "t.", table, 12);
    fh_buf_add_text(out, " returning ");
    fh_pg_sql_row_columns(out, "t.", table);
    fh_buf_add_text(out, "), i as (select ");
    image(out, "b.", table);
    fh_buf_add_text(out, " as before, ");
    image(out, "w.", table);
    fh_buf_add_text(out, " as after from b, w), ");
    record_columns(key, out);
    fh_buf_add_text(out, "'\\x01'::bytea || int4send(octet_length(i.before)) || i.before || "
                         "int4send(octet_length(i.after)) || i.after from i");
    answer(key, out);
}

void fh_pg_sql_fast(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    FH_ASSERT(key->table != NULL);
    if (key->kind == FH_PG_FAST_INSERT) {
        insert(key, out);
    } else {
        change(key, out);
    }
}
