/* Each function appends one statement or the statements of one thing; errors stick in the buffer.
 */
#include "stores/pg/ddl.h"

#include <stdio.h>
#include <string.h>

#include "stores/expr.h"
#include "stores/pg/sql.h"

#define SCRIPT_BYTES_MAX (16u * 1024 * 1024)

void fh_pg_script_init(struct fh_pg_script *script)
{
    fh_buf_init(&script->text, SCRIPT_BYTES_MAX);
    fh_buf_init(&script->notes, SCRIPT_BYTES_MAX);
}

void fh_pg_script_close(struct fh_pg_script *script)
{
    fh_buf_close(&script->text);
    fh_buf_close(&script->notes);
}

enum fh_code fh_pg_script_code(const struct fh_pg_script *script)
{
    enum fh_code code = fh_buf_code(&script->text);
    return code == FH_OK ? fh_buf_code(&script->notes) : code;
}

const char *fh_pg_script_next(const struct fh_pg_script *script, size_t *cursor)
{
    if (*cursor >= script->text.len) {
        return NULL;
    }
    const char *statement = script->text.data + *cursor;
    *cursor += strlen(statement) + 1;
    return statement;
}

bool fh_pg_script_step(const struct fh_pg_script *script, size_t index, size_t *cursor,
                       struct fh_pg_ddl_step *out)
{
    const char *sql = fh_pg_script_next(script, cursor);
    if (sql == NULL || (index + 1) * sizeof(*out) > script->notes.len) {
        return false;
    }
    memcpy(out, script->notes.data + index * sizeof(*out), sizeof(*out));
    out->sql = sql;
    return true;
}

void fh_pg_script_end_step(struct fh_pg_script *script, const struct fh_pg_ddl_step *step)
{
    fh_buf_add_char(&script->text, '\0');
    fh_buf_add(&script->notes, step, sizeof(*step));
}

void fh_pg_script_end(struct fh_pg_script *script)
{
    struct fh_pg_ddl_step step;
    memset(&step, 0, sizeof(step));
    fh_pg_script_end_step(script, &step);
}

void fh_pg_ddl_fence_view(char out[FH_PG_FENCE_VIEW_SIZE], uint32_t version)
{
    (void)snprintf(out, FH_PG_FENCE_VIEW_SIZE, "fh_fence_v%u", (unsigned)version);
}

void fh_pg_ddl_name(char out[FH_PG_NAME_SIZE], char letter, const struct fh_table *table,
                    uint16_t id, struct fh_str name)
{
    (void)snprintf(out, FH_PG_NAME_SIZE, "fh_%c%u_%u_%.*s", letter, (unsigned)table->id,
                   (unsigned)id, FH_STR_ARG(name));
}

const struct fh_index *fh_pg_ddl_index_of(const struct fh_table *table, const char *constraint)
{
    for (uint16_t i = 0; i < table->index_count; i++) {
        char name[FH_PG_NAME_SIZE];
        fh_pg_ddl_name(name, 'x', table, table->indexes[i].id, table->indexes[i].name);
        if (strcmp(name, constraint) == 0) {
            return &table->indexes[i];
        }
    }
    return NULL;
}

const struct fh_check *fh_pg_ddl_check_of(const struct fh_table *table, const char *constraint)
{
    for (uint16_t i = 0; i < table->check_count; i++) {
        char name[FH_PG_NAME_SIZE];
        fh_pg_ddl_name(name, 'c', table, table->checks[i].id, table->checks[i].name);
        if (strcmp(name, constraint) == 0) {
            return &table->checks[i];
        }
    }
    return NULL;
}

void fh_pg_ddl_type(struct fh_buf *out, const struct fh_column *column)
{
    switch (column->type) {
    case FH_TYPE_NUMERIC:
        fh_buf_printf(out, "numeric(%u,%u)", column->precision, column->scale);
        return;
    case FH_TYPE_TEXT: /* lengths were checked at ingress, in characters */
        fh_buf_add_text(out, "text collate \"C\"");
        return;
    case FH_TYPE_BYTES:
        fh_buf_add_text(out, "bytea");
        return;
    case FH_TYPE_TIMESTAMP:
        fh_buf_add_text(out, "timestamptz");
        return;
    case FH_TYPE_JSON: /* keeps the canonical text byte for byte */
        fh_buf_add_text(out, "json");
        return;
    case FH_TYPE_BOOL:
    case FH_TYPE_INT16:
    case FH_TYPE_INT32:
    case FH_TYPE_INT64:
    case FH_TYPE_FLOAT32:
    case FH_TYPE_FLOAT64:
    case FH_TYPE_DATE:
    case FH_TYPE_UUID:
        fh_buf_add_text(out, fh_type_name(column->type));
        return;
    }
}

void fh_pg_ddl_protect(struct fh_pg_script *script, const char *namespace, struct fh_str table,
                       const char *role, const char *rights)
{
    struct fh_buf *out = &script->text;
    char name[2 * FH_PG_NAME_SIZE];
    (void)snprintf(name, sizeof(name), "\"%s\".\"%.*s\"", namespace, FH_STR_ARG(table));
    fh_buf_printf(out, "alter table %s enable row level security", name);
    fh_pg_script_end(script);
    fh_buf_printf(out, "alter table %s force row level security", name);
    fh_pg_script_end(script);
    fh_buf_printf(out,
                  "create policy " FH_PG_POLICY " on %s using (tenant_id = "
                  "current_setting('fh.tenant')::uuid) with check (tenant_id = "
                  "current_setting('fh.tenant')::uuid)",
                  name);
    fh_pg_script_end(script);
    fh_buf_printf(out, "revoke all on %s from public", name);
    fh_pg_script_end(script);
    fh_buf_printf(out, "grant %s on %s to ", rights, name);
    fh_pg_sql_name(out, fh_str_of(role));
    fh_pg_script_end(script);
}

static void create_columns(struct fh_buf *out, const struct fh_table *table)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct fh_column *column = &table->columns[i];
        fh_buf_add_text(out, ", ");
        fh_pg_sql_name(out, column->name);
        fh_buf_add_char(out, ' ');
        fh_pg_ddl_type(out, column);
        if (column->default_kind == FH_DEFAULT_CONSTANT) {
            fh_buf_add_text(out, " default (");
            fh_pg_sql_constant(out, &column->default_value, column->scale);
            fh_buf_add_char(out, ')');
        }
        fh_buf_add_text(out, column->not_null ? " not null" : "");
    }
}

static void tenant_check(struct fh_buf *out, const struct fh_pg_ddl_home *home,
                         const struct fh_table *table)
{
    char uuid[FH_UUID_TEXT_LEN + 1];
    fh_uuid_format(home->tenant, uuid);
    fh_buf_printf(out, "constraint fh_t%u check (tenant_id = '%s'::uuid)", (unsigned)table->id,
                  uuid);
}

void fh_pg_ddl_tenant_check(struct fh_pg_script *script, const struct fh_pg_ddl_home *home,
                            const struct fh_table *table)
{
    fh_buf_add_text(&script->text, "alter table ");
    fh_pg_sql_model_table(&script->text, home->namespace, table);
    fh_buf_add_text(&script->text, " add ");
    tenant_check(&script->text, home, table);
    fh_pg_script_end(script);
}

static void create_checks(struct fh_buf *out, const struct fh_pg_ddl_home *home,
                          const struct fh_table *table)
{
    char name[FH_PG_NAME_SIZE];
    for (uint16_t i = 0; i < table->check_count; i++) {
        fh_pg_ddl_name(name, 'c', table, table->checks[i].id, table->checks[i].name);
        fh_buf_printf(out, ", constraint \"%s\" check (", name);
        fh_pg_sql_expr(out, table->checks[i].expr, table, table);
        fh_buf_add_char(out, ')');
    }
    if (home->tenant != NULL && !home->blank) {
        fh_buf_add_text(out, ", ");
        tenant_check(out, home, table);
    }
}

void fh_pg_ddl_create_table(struct fh_pg_script *script, const struct fh_pg_ddl_home *home,
                            const struct fh_table *table)
{
    struct fh_buf *out = &script->text;
    fh_buf_add_text(out, "create table ");
    fh_pg_sql_model_table(out, home->namespace, table);
    fh_buf_add_text(out, " (tenant_id uuid not null");
    create_columns(out, table);
    fh_buf_add_text(out, ", created_at timestamptz not null, updated_at timestamptz not null, "
                         "deleted_at timestamptz, version bigint not null");
    if (table->foreign_key_count > 0) {
        fh_buf_add_text(out, ", " FH_PG_LIVE_COLUMN);
    }
    fh_buf_printf(out, ", constraint \"fh_p%u_%.*s\" primary key (tenant_id", (unsigned)table->id,
                  FH_STR_ARG(table->name));
    for (uint16_t i = 0; i < table->key_count; i++) {
        fh_buf_add_text(out, ", ");
        fh_pg_sql_name(out, table->columns[table->key[i]].name);
    }
    fh_buf_add_char(out, ')');
    create_checks(out, home, table);
    fh_buf_add_char(out, ')');
    fh_pg_script_end(script);
    fh_pg_ddl_protect(script, home->namespace, table->name, home->role,
                      "select, insert, update, delete");
}

void fh_pg_ddl_note_version(struct fh_pg_script *script, const char *namespace, uint32_t version)
{
    fh_buf_add_text(&script->text, "select set_config('fh.tenant', '" FH_PG_NIL_TENANT "', true)");
    fh_pg_script_end(script);
    fh_buf_printf(&script->text,
                  "insert into \"%s\".fh_meta (tenant_id, name, value) values "
                  "('" FH_PG_NIL_TENANT "', 'schema_version', '%u') on conflict (tenant_id, name) "
                  "do update set value = excluded.value",
                  namespace, (unsigned)version);
    fh_pg_script_end(script);
}

void fh_pg_ddl_system(struct fh_pg_script *script, const char *home, const char *role)
{
    struct fh_buf *out = &script->text;
    fh_buf_printf(out, "create schema if not exists \"%s\"", home);
    fh_pg_script_end(script);
    fh_buf_printf(out, "revoke all on schema \"%s\" from public", home);
    fh_pg_script_end(script);
    fh_buf_printf(out, "grant usage on schema \"%s\" to ", home);
    fh_pg_sql_name(out, fh_str_of(role));
    fh_pg_script_end(script);
    /* fillfactor: a fence's updates stay on its page. */
    fh_buf_printf(out,
                  "create table \"%s\".fh_fence (tenant_id uuid not null, epoch bigint not null "
                  "check (epoch >= 0), generation bigint not null check (generation >= 0), mode "
                  "smallint not null check (mode between 1 and 4), constraint fh_p_fh_fence "
                  "primary key (tenant_id)) with (fillfactor = 70)",
                  home);
    fh_pg_script_end(script);
    fh_pg_ddl_protect(script, home, FH_STR("fh_fence"), role, "select, insert, update, delete");
    fh_buf_printf(out, "create sequence \"%s\".fh_commit_seq", home);
    fh_pg_script_end(script);
    fh_buf_printf(out, "revoke all on sequence \"%s\".fh_commit_seq from public", home);
    fh_pg_script_end(script);
    fh_buf_printf(out, "grant usage on sequence \"%s\".fh_commit_seq to ", home);
    fh_pg_sql_name(out, fh_str_of(role));
    fh_pg_script_end(script);
    fh_buf_printf(out,
                  "create table \"%s\".fh_commit (tenant_id uuid not null, epoch bigint not null, "
                  "seq bigint not null default nextval('\"%s\".fh_commit_seq'), request_id text "
                  "collate \"C\", request_hash bytea not null, schema_version integer not null, "
                  "actor text collate \"C\" not null, address text collate \"C\" not null, at "
                  "timestamptz not null, txid xid8 not null default pg_current_xact_id(), changes "
                  "json not null, images bytea, constraint fh_p_fh_commit primary key (tenant_id, "
                  "epoch, seq))",
                  home, home);
    fh_pg_script_end(script);
    fh_buf_printf(out,
                  "create unique index fh_x_commit_request on \"%s\".fh_commit (tenant_id, "
                  "request_id) where request_id is not null",
                  home);
    fh_pg_script_end(script);
    /* The mover asks what was committed since a snapshot. Sequence order is not commit order, so no
     * bound on seq says it, and a tenant's epoch may hold millions: hence an index of its own. */
    fh_buf_printf(out, "create index fh_x_commit_txid on \"%s\".fh_commit (tenant_id, epoch, txid)",
                  home);
    fh_pg_script_end(script);
    fh_pg_ddl_protect(script, home, FH_STR("fh_commit"), role, "select, insert, delete");
    fh_buf_printf(out,
                  "create table \"%s\".fh_move (tenant_id uuid not null, state bytea not null, "
                  "constraint fh_p_fh_move primary key (tenant_id)) with (fillfactor = 70)",
                  home);
    fh_pg_script_end(script);
    fh_pg_ddl_protect(script, home, FH_STR("fh_move"), role, "select, insert, update, delete");
    fh_buf_printf(out,
                  "create table \"%s\".fh_meta (tenant_id uuid not null, name text collate \"C\" "
                  "not null, value text not null, constraint fh_p_fh_meta primary key (tenant_id, "
                  "name))",
                  home);
    fh_pg_script_end(script);
    fh_pg_ddl_protect(script, home, FH_STR("fh_meta"), role, "select");
}
