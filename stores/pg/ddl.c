/* Each function appends one statement or the statements of one thing; errors stick in the buffer.
 */
#include "stores/pg/ddl.h"

#include <stdio.h>
#include <string.h>

#include "stores/pg/sql.h"

#define SCRIPT_BYTES_MAX (16u * 1024 * 1024)
#define NAME_SIZE 80

void fh_pg_script_init(struct fh_pg_script *script)
{
    fh_buf_init(&script->text, SCRIPT_BYTES_MAX);
}

void fh_pg_script_close(struct fh_pg_script *script)
{
    fh_buf_close(&script->text);
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

static void end_statement(struct fh_buf *out)
{
    fh_buf_add_char(out, '\0');
}

void fh_pg_ddl_fence_view(char out[FH_PG_FENCE_VIEW_SIZE], uint32_t version)
{
    (void)snprintf(out, FH_PG_FENCE_VIEW_SIZE, "fh_fence_v%u", (unsigned)version);
}

static void index_name(char out[NAME_SIZE], const struct fh_table *table,
                       const struct fh_index *index)
{
    (void)snprintf(out, NAME_SIZE, "fh_x%u_%.*s", (unsigned)table->position,
                   FH_STR_ARG(index->name));
}

const struct fh_index *fh_pg_ddl_index_of(const struct fh_table *table, const char *constraint)
{
    for (uint16_t i = 0; i < table->index_count; i++) {
        char name[NAME_SIZE];
        index_name(name, table, &table->indexes[i]);
        if (strcmp(name, constraint) == 0) {
            return &table->indexes[i];
        }
    }
    return NULL;
}

static void type_name(struct fh_buf *out, const struct fh_column *column)
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

/* Policy and rights of one table; `rights` is what the serving role may do. */
static void protect(struct fh_buf *out, const char *home, struct fh_str table, const char *role,
                    const char *rights)
{
    char name[2 * NAME_SIZE];
    (void)snprintf(name, sizeof(name), "\"%s\".\"%.*s\"", home, FH_STR_ARG(table));
    fh_buf_printf(out, "alter table %s enable row level security", name);
    end_statement(out);
    fh_buf_printf(out, "alter table %s force row level security", name);
    end_statement(out);
    fh_buf_printf(out,
                  "create policy " FH_PG_POLICY " on %s using (tenant_id = "
                  "current_setting('fh.tenant')::uuid) with check (tenant_id = "
                  "current_setting('fh.tenant')::uuid)",
                  name);
    end_statement(out);
    fh_buf_printf(out, "revoke all on %s from public", name);
    end_statement(out);
    fh_buf_printf(out, "grant %s on %s to ", rights, name);
    fh_pg_sql_name(out, fh_str_of(role));
    end_statement(out);
}

static void column_list(struct fh_buf *out, const struct fh_table *table, const uint16_t *columns,
                        uint16_t count)
{
    for (uint16_t i = 0; i < count; i++) {
        fh_buf_add_text(out, ", ");
        fh_pg_sql_name(out, table->columns[columns[i]].name);
    }
}

static void create_table(struct fh_buf *out, const char *home, const struct fh_table *table)
{
    fh_buf_add_text(out, "create table ");
    fh_pg_sql_model_table(out, home, table);
    fh_buf_add_text(out, " (tenant_id uuid not null");
    for (uint16_t i = 0; i < table->column_count; i++) {
        fh_buf_add_text(out, ", ");
        fh_pg_sql_name(out, table->columns[i].name);
        fh_buf_add_char(out, ' ');
        type_name(out, &table->columns[i]);
        fh_buf_add_text(out, table->columns[i].not_null ? " not null" : "");
    }
    fh_buf_add_text(out, ", created_at timestamptz not null, updated_at timestamptz not null, "
                         "deleted_at timestamptz, version bigint not null");
    if (table->foreign_key_count > 0) {
        fh_buf_add_text(out, ", fh_live uuid generated always as "
                             "(case when deleted_at is null then tenant_id end) stored");
    }
    fh_buf_printf(out, ", constraint \"fh_p_%.*s\" primary key (tenant_id",
                  FH_STR_ARG(table->name));
    column_list(out, table, table->key, table->key_count);
    fh_buf_add_text(out, "))");
    end_statement(out);
}

static void create_index(struct fh_buf *out, const char *home, const struct fh_table *table,
                         const struct fh_index *index)
{
    char name[NAME_SIZE];
    index_name(name, table, index);
    fh_buf_printf(out, "create %sindex \"%s\" on ", index->unique ? "unique " : "", name);
    fh_pg_sql_model_table(out, home, table);
    fh_buf_add_text(out, " (tenant_id");
    column_list(out, table, index->columns, index->column_count);
    fh_buf_add_text(out, index->unique ? ") where deleted_at is null" : ")");
    end_statement(out);
}

static void create_reference(struct fh_buf *out, const char *home, const struct fh_table *table,
                             const struct fh_foreign_key *reference)
{
    fh_buf_printf(out, "create index \"fh_k%u_%.*s\" on ", (unsigned)table->position,
                  FH_STR_ARG(reference->name));
    fh_pg_sql_model_table(out, home, table);
    fh_buf_add_text(out, " (fh_live");
    column_list(out, table, reference->columns, reference->column_count);
    fh_buf_add_char(out, ')');
    end_statement(out);
    fh_buf_add_text(out, "alter table ");
    fh_pg_sql_model_table(out, home, table);
    fh_buf_printf(out, " add constraint \"fh_f_%.*s\" foreign key (fh_live",
                  FH_STR_ARG(reference->name));
    column_list(out, table, reference->columns, reference->column_count);
    fh_buf_add_text(out, ") references ");
    fh_pg_sql_model_table(out, home, reference->target);
    fh_buf_add_text(out, " (tenant_id");
    column_list(out, reference->target, reference->target->key, reference->target->key_count);
    fh_buf_add_text(out, ") deferrable initially deferred");
    end_statement(out);
}

static bool has_index(const struct fh_table *table, struct fh_str name)
{
    for (uint16_t i = 0; table != NULL && i < table->index_count; i++) {
        if (fh_str_eq(table->indexes[i].name, name)) {
            return true;
        }
    }
    return false;
}

void fh_pg_ddl_upgrade(struct fh_pg_script *script, const char *home, const char *role,
                       const struct fh_schema *from, const struct fh_schema *to)
{
    struct fh_buf *out = &script->text;
    uint32_t old_count = from != NULL ? from->table_count : 0;
    if (from == to) {
        return;
    }
    fh_buf_printf(out, "drop view if exists \"%s\".fh_fence_v%u", home,
                  from != NULL ? from->version : 0);
    end_statement(out);
    for (uint32_t t = 0; t < to->table_count; t++) {
        const struct fh_table *table = to->tables[t];
        const struct fh_table *old = t < old_count ? from->tables[t] : NULL;
        if (old == NULL) {
            create_table(out, home, table);
            protect(out, home, table->name, role, "select, insert, update, delete");
        }
        for (uint16_t i = 0; i < table->index_count; i++) {
            if (!has_index(old, table->indexes[i].name)) {
                create_index(out, home, table, &table->indexes[i]);
            }
        }
    }
    for (uint32_t t = old_count; t < to->table_count; t++) {
        for (uint16_t i = 0; i < to->tables[t]->foreign_key_count; i++) {
            create_reference(out, home, to->tables[t], &to->tables[t]->foreign_keys[i]);
        }
    }
    fh_buf_printf(out,
                  "create view \"%s\".fh_fence_v%u with (security_invoker = true) as select "
                  "tenant_id, epoch, generation, mode from \"%s\".fh_fence",
                  home, to->version, home);
    end_statement(out);
    fh_buf_printf(out, "grant select, update on \"%s\".fh_fence_v%u to ", home, to->version);
    fh_pg_sql_name(out, fh_str_of(role));
    end_statement(out);
}

void fh_pg_ddl_system(struct fh_pg_script *script, const char *home, const char *role)
{
    struct fh_buf *out = &script->text;
    fh_buf_printf(out, "create schema if not exists \"%s\"", home);
    end_statement(out);
    fh_buf_printf(out, "revoke all on schema \"%s\" from public", home);
    end_statement(out);
    fh_buf_printf(out, "grant usage on schema \"%s\" to ", home);
    fh_pg_sql_name(out, fh_str_of(role));
    end_statement(out);
    /* fillfactor: a fence's updates stay on its page. */
    fh_buf_printf(out,
                  "create table \"%s\".fh_fence (tenant_id uuid not null, epoch bigint not null "
                  "check (epoch >= 0), generation bigint not null check (generation >= 0), mode "
                  "smallint not null check (mode between 1 and 4), constraint fh_p_fh_fence "
                  "primary key (tenant_id)) with (fillfactor = 70)",
                  home);
    end_statement(out);
    protect(out, home, FH_STR("fh_fence"), role, "select, insert, update, delete");
    fh_buf_printf(out, "create sequence \"%s\".fh_commit_seq", home);
    end_statement(out);
    fh_buf_printf(out, "revoke all on sequence \"%s\".fh_commit_seq from public", home);
    end_statement(out);
    fh_buf_printf(out, "grant usage on sequence \"%s\".fh_commit_seq to ", home);
    fh_pg_sql_name(out, fh_str_of(role));
    end_statement(out);
    fh_buf_printf(out,
                  "create table \"%s\".fh_commit (tenant_id uuid not null, epoch bigint not null, "
                  "seq bigint not null default nextval('\"%s\".fh_commit_seq'), request_id text "
                  "collate \"C\", request_hash bytea not null, schema_version integer not null, "
                  "actor text collate \"C\" not null, address text collate \"C\" not null, at "
                  "timestamptz not null, txid xid8 not null default pg_current_xact_id(), changes "
                  "json not null, images bytea, constraint fh_p_fh_commit primary key (tenant_id, "
                  "epoch, seq))",
                  home, home);
    end_statement(out);
    fh_buf_printf(out,
                  "create unique index fh_x_commit_request on \"%s\".fh_commit (tenant_id, "
                  "request_id) where request_id is not null",
                  home);
    end_statement(out);
    /* The mover asks what was committed since a snapshot. Sequence order is not commit order, so no
     * bound on seq says it, and a tenant's epoch may hold millions: hence an index of its own. */
    fh_buf_printf(out, "create index fh_x_commit_txid on \"%s\".fh_commit (tenant_id, epoch, txid)",
                  home);
    end_statement(out);
    protect(out, home, FH_STR("fh_commit"), role, "select, insert, delete");
    fh_buf_printf(out,
                  "create table \"%s\".fh_move (tenant_id uuid not null, state bytea not null, "
                  "constraint fh_p_fh_move primary key (tenant_id)) with (fillfactor = 70)",
                  home);
    end_statement(out);
    protect(out, home, FH_STR("fh_move"), role, "select, insert, update, delete");
    fh_buf_printf(out,
                  "create table \"%s\".fh_meta (tenant_id uuid not null, name text collate \"C\" "
                  "not null, value text not null, constraint fh_p_fh_meta primary key (tenant_id, "
                  "name))",
                  home);
    end_statement(out);
    protect(out, home, FH_STR("fh_meta"), role, "select");
}
