/* What leads from one schema version to the next, in one order for all:
 *
 *   1. indexes and tables that go
 *   2. table by table: columns are renamed; then, when SQLite can do all the rest in place, columns
 *      are dropped and added; otherwise the table is made anew
 *   3. tables that come, indexes that come
 *   4. queries that look for rows which break a reference that is new
 *
 * In place: dropping a column; adding one that is null or a constant in stored rows. SQLite cannot
 * change a constraint of a table, so all that concerns NOT NULL, checks, references, generated
 * columns and computed defaults makes the table anew: CREATE TABLE under another name, INSERT ...
 * SELECT of all rows, DROP TABLE, RENAME, then triggers and indexes. Renamings are always in place,
 * for they also change the REFERENCES of other tables.
 *
 * Making a shared file's table anew copies the rows of all tenants, in SETUP access and before the
 * new table has its triggers. That is safe: the statement is made of the model's identifiers alone,
 * each row keeps its tenant_id, nothing is returned to anybody, and no request runs on the
 * connection meanwhile. All of it is one transaction. It holds the file's write lock, so other
 * writes of the file wait, while reads go on: `scans` says which statements take longer the more
 * rows there are.
 *
 * Deleted rows count: they must satisfy a new check, too. A new reference is looked at for live
 * rows only, and must lead to a live row.
 */
#include "stores/sqlite/ddl.h"

#include "base/assert.h"
#include "stores/schema_change.h"
#include "stores/sqlite/expression.h"
#include "stores/sqlite/sql.h"

#define CHANGES_BYTES_MAX ((size_t)16 << 20)
#define NEW_TABLE "fh_new_"

struct upgrade {
    struct fh_sqlite_emitter emitter;
    const struct fh_schema *from;
    const struct fh_schema *to;
    const struct fh_schema_change *changes;
    size_t count;
    bool renewed[UINT16_MAX + 1]; /* by id: made anew */
};

static bool needs_renewal(const struct fh_schema_change *change)
{
    const struct fh_column *column = NULL;
    switch (change->kind) {
    case FH_CHANGE_REFERENCE_DROP:
    case FH_CHANGE_CHECK_DROP:
    case FH_CHANGE_COLUMN_NULLABLE:
    case FH_CHANGE_COLUMN_REQUIRED:
    case FH_CHANGE_CHECK_ADD:
    case FH_CHANGE_REFERENCE_ADD:
        return true;
    case FH_CHANGE_COLUMN_ADD:
        column = &change->after->columns[change->to];
        return column->generated != NULL || column->default_kind == FH_DEFAULT_NOW ||
               column->default_kind == FH_DEFAULT_UUID ||
               (column->not_null && column->default_kind == FH_DEFAULT_NONE);
    default:
        return false;
    }
}

static void find_renewed(struct upgrade *upgrade)
{
    for (size_t i = 0; i < upgrade->count; i++) {
        const struct fh_schema_change *change = &upgrade->changes[i];
        if (change->before != NULL && change->after != NULL && needs_renewal(change)) {
            upgrade->renewed[change->after->id] = true;
        }
    }
}

/* The name that a column of the older version has once columns were renamed. One that goes, and
 * whose name another takes, is renamed out of the way. */
static void add_current_name(const struct fh_table *before, const struct fh_table *after,
                             uint16_t position, struct fh_buf *out)
{
    const struct fh_column *column = &before->columns[position];
    const struct fh_column *kept = fh_table_column_by_id(after, column->id);
    if (kept != NULL) {
        fh_sqlite_sql_name(kept->name, out);
        return;
    }
    const struct fh_column *taker = fh_table_column(after, column->name);
    if (taker != NULL && fh_table_column_by_id(before, taker->id) != NULL) {
        fh_buf_printf(out, "\"fh_gone_%u\"", column->id);
        return;
    }
    fh_sqlite_sql_name(column->name, out);
}

static enum fh_code rename_column(struct upgrade *upgrade, const struct fh_table *before,
                                  const struct fh_table *after, uint16_t position)
{
    struct fh_sqlite_emitter *emitter = &upgrade->emitter;
    struct fh_buf *sql = fh_sqlite_emitter_begin(emitter);
    emitter->table = after;
    fh_buf_add_text(sql, "ALTER TABLE ");
    fh_sqlite_emitter_name(emitter, "", before->name);
    fh_buf_add_text(sql, " RENAME COLUMN ");
    fh_sqlite_sql_name(before->columns[position].name, sql);
    fh_buf_add_text(sql, " TO ");
    add_current_name(before, after, position, sql);
    return fh_sqlite_emitter_end(emitter, FH_SQLITE_CHANGE, false);
}

static enum fh_code rename_columns(struct upgrade *upgrade, const struct fh_table *before,
                                   const struct fh_table *after)
{
    enum fh_code code = FH_OK;
    for (uint16_t i = 0; i < before->column_count && code == FH_OK; i++) {
        const struct fh_column *column = &before->columns[i];
        const struct fh_column *taker = fh_table_column(after, column->name);
        if (fh_table_column_by_id(after, column->id) == NULL && taker != NULL &&
            fh_table_column_by_id(before, taker->id) != NULL) {
            code = rename_column(upgrade, before, after, i);
        }
    }
    /* In the order of the list, where each name is free by then. */
    for (size_t i = 0; i < upgrade->count && code == FH_OK; i++) {
        const struct fh_schema_change *change = &upgrade->changes[i];
        if (change->kind == FH_CHANGE_COLUMN_RENAME && change->before == before) {
            code = rename_column(upgrade, before, after, change->from);
        }
    }
    return code;
}

static enum fh_code drop_column(struct upgrade *upgrade, const struct fh_table *before,
                                const struct fh_table *after, uint16_t position)
{
    struct fh_sqlite_emitter *emitter = &upgrade->emitter;
    struct fh_buf *sql = fh_sqlite_emitter_begin(emitter);
    fh_buf_add_text(sql, "ALTER TABLE ");
    fh_sqlite_emitter_name(emitter, "", before->name);
    fh_buf_add_text(sql, " DROP COLUMN ");
    add_current_name(before, after, position, sql);
    return fh_sqlite_emitter_end(emitter, FH_SQLITE_CHANGE, true);
}

static enum fh_code add_column(struct upgrade *upgrade, const struct fh_table *after,
                               uint16_t position)
{
    struct fh_sqlite_emitter *emitter = &upgrade->emitter;
    const struct fh_column *column = &after->columns[position];
    struct fh_buf *sql = fh_sqlite_emitter_begin(emitter);
    fh_buf_add_text(sql, "ALTER TABLE ");
    fh_sqlite_emitter_name(emitter, "", after->name);
    fh_buf_add_text(sql, " ADD COLUMN ");
    fh_sqlite_sql_name(column->name, sql);
    fh_sqlite_ddl_column(after, position, sql);
    if (column->default_kind == FH_DEFAULT_CONSTANT) {
        fh_buf_add_text(sql, " DEFAULT ");
        fh_sqlite_literal(&column->default_value, sql);
    }
    /* SQLite looks at all rows when the column has a constraint. */
    return fh_sqlite_emitter_end(emitter, FH_SQLITE_CHANGE, true);
}

static enum fh_code alter_in_place(struct upgrade *upgrade, const struct fh_table *before,
                                   const struct fh_table *after)
{
    enum fh_code code = FH_OK;
    upgrade->emitter.table = after;
    for (size_t i = 0; i < upgrade->count && code == FH_OK; i++) {
        const struct fh_schema_change *change = &upgrade->changes[i];
        if (change->before == before && change->kind == FH_CHANGE_COLUMN_DROP) {
            code = drop_column(upgrade, before, after, change->from);
        } else if (change->before == before && change->kind == FH_CHANGE_COLUMN_ADD) {
            code = add_column(upgrade, after, change->to);
        }
    }
    return code;
}

struct filling {
    const struct fh_table *before;
    const struct fh_table *after;
};

/* What a stored row gets for a column that comes; see write.h for what a new row would get. */
static void add_default(const struct fh_column *column, struct fh_buf *out)
{
    switch (column->default_kind) {
    case FH_DEFAULT_CONSTANT:
        fh_sqlite_literal(&column->default_value, out);
        return;
    case FH_DEFAULT_NOW:
        fh_buf_add_text(out, column->type == FH_TYPE_DATE ? "(fh_now()/86400000000)" : "fh_now()");
        return;
    case FH_DEFAULT_UUID:
        fh_buf_add_text(out, "fh_uuid()");
        return;
    case FH_DEFAULT_NONE:
        break;
    }
    fh_buf_add_text(out, "NULL");
}

/* fh_sqlite_column_cb: the value, in a stored row, of a column of the newer version. */
static void fill_column(void *arg, uint16_t position, struct fh_buf *out)
{
    const struct filling *filling = arg;
    const struct fh_column *column = &filling->after->columns[position];
    const struct fh_column *stored = fh_table_column_by_id(filling->before, column->id);
    if (stored != NULL) {
        fh_sqlite_sql_name(column->name, out); /* it has the newer name by now */
    } else if (column->generated != NULL) {
        fh_sqlite_expression(column->generated, fill_column, arg, out);
    } else {
        add_default(column, out);
    }
}

static enum fh_code copy_rows(struct upgrade *upgrade, const struct fh_table *before,
                              const struct fh_table *after)
{
    struct fh_sqlite_emitter *emitter = &upgrade->emitter;
    struct filling filling = {.before = before, .after = after};
    struct fh_buf *sql = fh_sqlite_emitter_begin(emitter);
    fh_buf_add_text(sql, "INSERT INTO ");
    fh_sqlite_emitter_name(emitter, NEW_TABLE, after->name);
    fh_buf_add_text(sql, "(tenant_id,created_at,updated_at,deleted_at,version");
    for (uint16_t i = 0; i < after->column_count; i++) {
        fh_buf_add_char(sql, ',');
        fh_sqlite_sql_name(after->columns[i].name, sql);
    }
    fh_buf_add_text(sql, ") SELECT tenant_id,created_at,updated_at,deleted_at,version");
    for (uint16_t i = 0; i < after->column_count; i++) {
        fh_buf_add_char(sql, ',');
        fill_column(&filling, i, sql);
    }
    fh_buf_add_text(sql, " FROM ");
    fh_sqlite_emitter_name(emitter, "", before->name);
    return fh_sqlite_emitter_end(emitter, FH_SQLITE_CHANGE, true);
}

static enum fh_code drop_table(struct upgrade *upgrade, const struct fh_table *table)
{
    struct fh_sqlite_emitter *emitter = &upgrade->emitter;
    struct fh_buf *sql = fh_sqlite_emitter_begin(emitter);
    emitter->table = table;
    fh_buf_add_text(sql, "DROP TABLE ");
    fh_sqlite_emitter_name(emitter, "", table->name);
    return fh_sqlite_emitter_end(emitter, FH_SQLITE_CHANGE, true);
}

static enum fh_code make_anew(struct upgrade *upgrade, const struct fh_table *before,
                              const struct fh_table *after)
{
    struct fh_sqlite_emitter *emitter = &upgrade->emitter;
    enum fh_code code = fh_sqlite_ddl_table(emitter, after, NEW_TABLE);
    if (code == FH_OK) {
        code = copy_rows(upgrade, before, after);
    }
    if (code == FH_OK) {
        code = drop_table(upgrade, before);
    }
    if (code == FH_OK) {
        struct fh_buf *sql = fh_sqlite_emitter_begin(emitter);
        emitter->table = after;
        fh_buf_add_text(sql, "ALTER TABLE ");
        fh_sqlite_emitter_name(emitter, NEW_TABLE, after->name);
        fh_buf_add_text(sql, " RENAME TO ");
        fh_sqlite_emitter_name(emitter, "", after->name);
        code = fh_sqlite_emitter_end(emitter, FH_SQLITE_CHANGE, false);
    }
    if (code == FH_OK) {
        code = fh_sqlite_ddl_attach(emitter, after, true);
    }
    for (uint16_t i = 0; i < after->index_count && code == FH_OK; i++) {
        code = fh_sqlite_ddl_index(emitter, after, &after->indexes[i], true);
    }
    return code;
}

static enum fh_code drop_index(struct upgrade *upgrade, const struct fh_schema_change *change)
{
    struct fh_sqlite_emitter *emitter = &upgrade->emitter;
    struct fh_buf *sql = fh_sqlite_emitter_begin(emitter);
    emitter->table = change->before;
    fh_buf_add_text(sql, "DROP INDEX ");
    fh_sqlite_emitter_name(emitter, "fh_ix_", change->before->indexes[change->from].name);
    return fh_sqlite_emitter_end(emitter, FH_SQLITE_CHANGE, false);
}

static enum fh_code drop_things(struct upgrade *upgrade)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < upgrade->count && code == FH_OK; i++) {
        const struct fh_schema_change *change = &upgrade->changes[i];
        if (change->kind == FH_CHANGE_TABLE_DROP) {
            code = drop_table(upgrade, change->before);
        } else if (change->kind == FH_CHANGE_INDEX_DROP && change->after != NULL) {
            /* Of a table that is made anew, too: another may take the name before its turn. */
            code = drop_index(upgrade, change);
        }
    }
    return code;
}

static enum fh_code alter_tables(struct upgrade *upgrade)
{
    enum fh_code code = FH_OK;
    /* All renamings first: a table that is made anew names the columns of others. */
    for (uint32_t i = 0; i < upgrade->to->table_count && code == FH_OK; i++) {
        const struct fh_table *after = upgrade->to->tables[i];
        const struct fh_table *before = fh_schema_table_by_id(upgrade->from, after->id);
        code = before != NULL ? rename_columns(upgrade, before, after) : FH_OK;
    }
    for (uint32_t i = 0; i < upgrade->to->table_count && code == FH_OK; i++) {
        const struct fh_table *after = upgrade->to->tables[i];
        const struct fh_table *before = fh_schema_table_by_id(upgrade->from, after->id);
        if (before == NULL) {
            continue;
        }
        code = upgrade->renewed[after->id] ? make_anew(upgrade, before, after)
                                           : alter_in_place(upgrade, before, after);
    }
    return code;
}

static enum fh_code make_things(struct upgrade *upgrade)
{
    struct fh_sqlite_emitter *emitter = &upgrade->emitter;
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < upgrade->count && code == FH_OK; i++) {
        const struct fh_schema_change *change = &upgrade->changes[i];
        if (change->kind == FH_CHANGE_TABLE_CREATE) {
            code = fh_sqlite_ddl_table(emitter, change->after, "");
            if (code == FH_OK) {
                code = fh_sqlite_ddl_attach(emitter, change->after, false);
            }
        } else if (change->kind == FH_CHANGE_INDEX_ADD && !upgrade->renewed[change->after->id]) {
            code = fh_sqlite_ddl_index(emitter, change->after, &change->after->indexes[change->to],
                                       change->before != NULL);
        }
    }
    return code;
}

/* A live row that has all columns of the reference, and leads to no live row. */
static enum fh_code probe_reference(struct upgrade *upgrade, const struct fh_table *table,
                                    const struct fh_foreign_key *fk)
{
    struct fh_sqlite_emitter *emitter = &upgrade->emitter;
    struct fh_buf *sql = fh_sqlite_emitter_begin(emitter);
    fh_buf_add_text(sql, "SELECT 1 FROM ");
    fh_sqlite_emitter_name(emitter, "", table->name);
    fh_buf_add_text(sql, " d WHERE d.deleted_at IS NULL");
    for (uint16_t i = 0; i < fk->column_count; i++) {
        fh_buf_add_text(sql, " AND d.");
        fh_sqlite_sql_name(table->columns[fk->columns[i]].name, sql);
        fh_buf_add_text(sql, " IS NOT NULL");
    }
    fh_buf_add_text(sql, " AND NOT EXISTS(SELECT 1 FROM ");
    fh_sqlite_emitter_name(emitter, "", fk->target->name);
    fh_buf_add_text(sql, " p WHERE p.tenant_id=d.tenant_id AND p.deleted_at IS NULL");
    for (uint16_t i = 0; i < fk->column_count; i++) {
        fh_buf_add_text(sql, " AND p.");
        fh_sqlite_sql_name(fk->target->columns[fk->target->key[i]].name, sql);
        fh_buf_add_text(sql, "=d.");
        fh_sqlite_sql_name(table->columns[fk->columns[i]].name, sql);
    }
    fh_buf_add_text(sql, ") LIMIT 1");
    enum fh_code code = fh_buf_code(sql);
    const struct fh_sqlite_ddl ddl = {
        .kind = FH_SQLITE_PROBE, .sql = sql->data, .scans = true, .table = table, .foreign = fk};
    return code == FH_OK ? emitter->cb(emitter->arg, &ddl, emitter->error)
                         : fh_error_set(emitter->error, code, "a query could not be made");
}

static enum fh_code probe_references(struct upgrade *upgrade)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < upgrade->count && code == FH_OK; i++) {
        const struct fh_schema_change *change = &upgrade->changes[i];
        if (change->kind == FH_CHANGE_REFERENCE_ADD && change->before != NULL) {
            code =
                probe_reference(upgrade, change->after, &change->after->foreign_keys[change->to]);
        }
    }
    return code;
}

static enum fh_code run(struct upgrade *upgrade)
{
    find_renewed(upgrade);
    enum fh_code code = drop_things(upgrade);
    if (code == FH_OK) {
        code = alter_tables(upgrade);
    }
    if (code == FH_OK) {
        code = make_things(upgrade);
    }
    return code == FH_OK ? probe_references(upgrade) : code;
}

enum fh_code fh_sqlite_ddl_upgrade(const struct fh_sqlite_ddl_home *home,
                                   const struct fh_schema *from, const struct fh_schema *to,
                                   fh_sqlite_ddl_cb *cb, void *arg, struct fh_error *error)
{
    struct fh_arena arena;
    struct fh_schema_change *changes = NULL;
    fh_arena_init(&arena, CHANGES_BYTES_MAX);
    struct upgrade *upgrade = FH_ARENA_NEW(&arena, struct upgrade);
    size_t count = 0;
    enum fh_code code =
        upgrade != NULL ? fh_schema_changes(from, to, &arena, &changes, &count) : FH_NOMEM;
    if (code != FH_OK) {
        fh_arena_close(&arena);
        return fh_error_set(error, code, "%s", fh_code_text(code));
    }
    *upgrade = (struct upgrade){.from = from, .to = to, .changes = changes, .count = count};
    fh_sqlite_emitter_init(&upgrade->emitter, home, cb, arg, error);
    code = run(upgrade);
    fh_sqlite_emitter_close(&upgrade->emitter);
    fh_arena_close(&arena);
    return code;
}

enum fh_code fh_sqlite_ddl_bring(const struct fh_sqlite_ddl_home *home, int64_t version,
                                 const struct fh_schema *to, fh_sqlite_ddl_cb *cb, void *arg,
                                 struct fh_error *error)
{
    if (version <= 0) {
        return fh_sqlite_ddl_schema(home, to, cb, arg, error);
    }
    enum fh_code code = FH_OK;
    if (version > (int64_t)to->version) {
        return fh_error_set(error, FH_PRECONDITION,
                            "the home has schema version %lld, newer than %u", (long long)version,
                            to->version);
    }
    for (uint32_t next = (uint32_t)version + 1; next <= to->version && code == FH_OK; next++) {
        const struct fh_schema *from = fh_schema_at(to, next - 1);
        const struct fh_schema *step = fh_schema_at(to, next);
        if (from == NULL || step == NULL) {
            return fh_error_set(error, FH_PRECONDITION,
                                "the home has schema version %lld, which the new schema does not "
                                "build on",
                                (long long)version);
        }
        code = fh_sqlite_ddl_upgrade(home, from, step, cb, arg, error);
    }
    return code;
}

struct preview {
    fh_ddl_cb *cb;
    void *arg;
};

static enum fh_code preview_cb(void *arg, const struct fh_sqlite_ddl *ddl, struct fh_error *error)
{
    const struct preview *preview = arg;
    /* SQLite has one lock for all writes of a file, and none that keeps readers out. */
    const struct fh_ddl_statement statement = {
        .sql = ddl->sql, .lock = FH_DDL_LOCK_WRITES, .scans = ddl->scans};
    (void)error;
    return preview->cb(preview->arg, &statement);
}

enum fh_code fh_sqlite_ddl_preview(const struct fh_schema *from, const struct fh_schema *to,
                                   const struct fh_home *home, fh_ddl_cb *cb, void *arg,
                                   struct fh_error *error)
{
    struct preview preview = {.cb = cb, .arg = arg};
    struct fh_sqlite_ddl_home of;
    fh_sqlite_ddl_home_of(home, &of);
    return fh_sqlite_ddl_bring(&of, from != NULL ? (int64_t)from->version : 0, to, preview_cb,
                               &preview, error);
}
