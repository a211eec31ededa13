/* Statements on the application's tables. Every one names its tenant ($1), whatever the policies
 * below do: layer one. */
#include "base/assert.h"
#include "stores/pg/sql.h"

/* "is null" would let a partial unique index stand for the key's, and on a table that was empty
 * when the plan was made the planner takes it: every look-up would then walk all of the tenant's
 * rows. This says the same and matches no index. */
#define IS_LIVE(alias) "coalesce(" alias "deleted_at, 'infinity') = 'infinity'"

/* Deleted rows too: the caller tells them apart. $1 tenant, $2 epoch as routed, $3.. key -> epoch,
 * mode, row (tenant_id null: none) */
static void get(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "select f.epoch, f.mode, ");
    fh_pg_sql_row_columns(out, "i.", key->table);
    fh_buf_add_text(out, " from ");
    fh_pg_sql_fence(out, key);
    fh_buf_add_text(out, " f left join ");
    fh_pg_sql_model_table(out, key->home, key->table);
    fh_buf_add_text(out, " i on f.epoch = $2 and f.mode in (1, 2) and ");
    fh_pg_sql_predicate(out, key, "i.");
    fh_pg_sql_key_match(out, "i.", key->table, 3);
    fh_buf_add_text(out, (key->flags & FH_PG_FENCE_OF_CONTEXT) == 0
                             ? " where f.tenant_id = $1"
                             : " where f.tenant_id = current_setting('fh.tenant')::uuid");
}

static void key_columns(struct fh_buf *out, const char *alias, const struct fh_table *table)
{
    for (unsigned i = 0; i < table->key_count; i++) {
        fh_buf_printf(out, "%s%s", i > 0 ? ", " : "", alias);
        fh_pg_sql_name(out, table->columns[table->key[i]].name);
    }
}

/* (a.k1, a.k2) > ($first, ...) and */
static void after_key(struct fh_buf *out, const char *alias, const struct fh_table *table,
                      unsigned first)
{
    fh_buf_add_char(out, '(');
    key_columns(out, alias, table);
    fh_buf_add_text(out, ") > (");
    for (unsigned i = 0; i < table->key_count; i++) {
        fh_buf_printf(out, "%s$%u", i > 0 ? ", " : "", first + i);
    }
    fh_buf_add_text(out, ") and ");
}

/* $1 tenant, $2 epoch as routed, $3 limit, $4.. the key to start after -> epoch, mode, row
 * (tenant_id null: none) */
static void list(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "select f.epoch, f.mode, ");
    fh_pg_sql_row_columns(out, "i.", key->table);
    fh_buf_add_text(out, " from ");
    fh_pg_sql_fence(out, key);
    fh_buf_add_text(out, " f left join (select * from ");
    fh_pg_sql_model_table(out, key->home, key->table);
    fh_buf_add_text(out, " x where ");
    fh_pg_sql_predicate(out, key, "x.");
    if ((key->flags & FH_PG_AFTER_KEY) != 0) {
        after_key(out, "x.", key->table, 4);
    }
    fh_buf_add_text(out, (key->flags & FH_PG_SHOW_DELETED) == 0 ? IS_LIVE("x.") : "true");
    fh_buf_add_text(out, " order by ");
    key_columns(out, "x.", key->table);
    fh_buf_add_text(out, " limit $3::int8) i on f.epoch = $2 and f.mode in (1, 2) "
                         "where f.tenant_id = $1 order by ");
    key_columns(out, "i.", key->table);
}

/* $1 tenant, $2.. key -> row */
static void row_lock(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "select ");
    fh_pg_sql_row_columns(out, "", key->table);
    fh_buf_add_text(out, " from ");
    fh_pg_sql_model_table(out, key->home, key->table);
    fh_buf_add_text(out, " where ");
    fh_pg_sql_predicate(out, key, "");
    fh_pg_sql_key_match(out, "", key->table, 2);
    fh_buf_add_text(out, " for update");
}

/* $1 tenant, $2.. columns, created_at, updated_at, deleted_at, version -> tenant */
static void row_insert(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "insert into ");
    fh_pg_sql_model_table(out, key->home, key->table);
    fh_buf_add_text(out, " (");
    fh_pg_sql_row_columns(out, "", key->table);
    fh_buf_add_text(out, ") values ($1");
    for (unsigned i = 0; i < key->table->column_count + 4u; i++) {
        fh_buf_printf(out, ", $%u", 2 + i);
    }
    fh_buf_add_text(out, ") returning tenant_id");
}

static bool is_key(const struct fh_table *table, unsigned column)
{
    for (unsigned i = 0; i < table->key_count; i++) {
        if (table->key[i] == column) {
            return true;
        }
    }
    return false;
}

/* Parameters as row_insert's; the key's columns find the row. -> tenant */
static void row_update(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    const struct fh_table *table = key->table;
    unsigned system = 2u + table->column_count;
    fh_buf_add_text(out, "update ");
    fh_pg_sql_model_table(out, key->home, table);
    fh_buf_add_text(out, " set ");
    for (unsigned i = 0; i < table->column_count; i++) {
        if (!is_key(table, i)) {
            fh_pg_sql_name(out, table->columns[i].name);
            fh_buf_printf(out, " = $%u, ", 2 + i);
        }
    }
    fh_buf_printf(out, "created_at = $%u, updated_at = $%u, deleted_at = $%u, version = $%u where ",
                  system, system + 1, system + 2, system + 3);
    fh_pg_sql_predicate(out, key, "");
    for (unsigned i = 0; i < table->key_count; i++) {
        fh_buf_add_text(out, i > 0 ? " and " : "");
        fh_pg_sql_name(out, table->columns[table->key[i]].name);
        fh_buf_printf(out, " = $%u", 2u + table->key[i]);
    }
    fh_buf_add_text(out, " returning tenant_id");
}

/* $1 tenant, $2.. key -> tenant */
static void row_end(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, key->kind == FH_PG_ROW_PURGE ? "delete from " : "update ");
    fh_pg_sql_model_table(out, key->home, key->table);
    if (key->kind == FH_PG_ROW_PARK) {
        fh_buf_add_text(out, " set deleted_at = updated_at");
    }
    fh_buf_add_text(out, " where ");
    fh_pg_sql_predicate(out, key, "");
    fh_pg_sql_key_match(out, "", key->table, 2);
    fh_buf_add_text(out, " returning tenant_id");
}

/* The referenced record, locked against delete, when it is live. $1 tenant, $2.. its key */
static void parent_lock(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    fh_buf_add_text(out, "select tenant_id from ");
    fh_pg_sql_model_table(out, key->home, key->table);
    fh_buf_add_text(out, " where ");
    fh_pg_sql_predicate(out, key, "");
    fh_pg_sql_key_match(out, "", key->table, 2);
    fh_buf_add_text(out, " and " IS_LIVE("") " for share");
}

/* A live record that references. `extra`: the foreign key. $1 tenant, $2.. the target's key */
static void child_find(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    FH_ASSERT(key->extra < key->table->foreign_key_count);
    const struct fh_foreign_key *reference = &key->table->foreign_keys[key->extra];
    fh_buf_add_text(out, "select tenant_id from ");
    fh_pg_sql_model_table(out, key->home, key->table);
    fh_buf_add_text(out, " where ");
    fh_pg_sql_predicate(out, key, "");
    for (unsigned i = 0; i < reference->column_count; i++) {
        fh_pg_sql_name(out, key->table->columns[reference->columns[i]].name);
        fh_buf_printf(out, " = $%u and ", 2 + i);
    }
    /* fh_live leads the index of the reference; see ddl.h. */
    fh_buf_add_text(out, (key->flags & FH_PG_NO_PREDICATE) == 0 ? "fh_live = $1 limit 1"
                                                                : "deleted_at is null limit 1");
}

/* Live records that reference, whole, locked, in key order. `extra`: the foreign key. $1 tenant, $2
 * limit, then the target's key, then, AFTER_KEY, the key behind which to go on */
static void children_lock(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    FH_ASSERT(key->extra < key->table->foreign_key_count);
    const struct fh_table *table = key->table;
    const struct fh_foreign_key *reference = &table->foreign_keys[key->extra];
    fh_buf_add_text(out, "select ");
    fh_pg_sql_row_columns(out, "", table);
    fh_buf_add_text(out, " from ");
    fh_pg_sql_model_table(out, key->home, table);
    fh_buf_add_text(out, " where ");
    fh_pg_sql_predicate(out, key, "");
    for (unsigned i = 0; i < reference->column_count; i++) {
        fh_pg_sql_name(out, table->columns[reference->columns[i]].name);
        fh_buf_printf(out, " = $%u and ", 3 + i);
    }
    if ((key->flags & FH_PG_AFTER_KEY) != 0) {
        after_key(out, "", table, 3u + reference->column_count);
    }
    fh_buf_add_text(out, (key->flags & FH_PG_NO_PREDICATE) == 0 ? "fh_live = $1 order by "
                                                                : "deleted_at is null order by ");
    key_columns(out, "", table);
    fh_buf_add_text(out, " limit $2::int8 for update");
}

void fh_pg_sql_row(const struct fh_pg_statement_key *key, struct fh_buf *out)
{
    switch (key->kind) {
    case FH_PG_GET:
        get(key, out);
        return;
    case FH_PG_LIST:
        list(key, out);
        return;
    case FH_PG_ROW_LOCK:
        row_lock(key, out);
        return;
    case FH_PG_ROW_INSERT:
        row_insert(key, out);
        return;
    case FH_PG_ROW_UPDATE:
        row_update(key, out);
        return;
    case FH_PG_ROW_PARK:
    case FH_PG_ROW_PURGE:
        row_end(key, out);
        return;
    case FH_PG_PARENT_LOCK:
        parent_lock(key, out);
        return;
    case FH_PG_CHILD_FIND:
        child_find(key, out);
        return;
    case FH_PG_CHILDREN_LOCK:
        children_lock(key, out);
        return;
    default:
        FH_UNREACHABLE();
    }
}
