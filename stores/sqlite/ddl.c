/* What a table looks like, and why:
 *
 * - STRICT, tenant_id first in the primary key and in every index. WITHOUT ROWID, so that a
 * tenant's rows stand together in key order and a read is one search; but not with bytes or json
 * columns, whose long rows would crowd the inner pages of such a tree.
 * - Unique indexes are partial, WHERE deleted_at IS NULL: they hold among live rows only.
 * - Foreign keys are physical, deferred, NO ACTION: the net under the reference rules, which are
 * checked row by row before (references.c). They start at fh_live, a generated column that is the
 * tenant's id in live rows and null in deleted ones: a deleted row references nothing, so what it
 * named may be purged. Each has an index of its own, for deletes search the children.
 * - Three BEFORE triggers a table abort any write to a row whose tenant is not fh_tenant(). They
 * stand in the file: every connection meets them.
 * - Names of ours start with fh_, which no identifier of the model may.
 *
 * Failures: what `cb` says; FH_UNIMPLEMENTED for a change that is not additive; FH_NOMEM.
 */
#include "stores/sqlite/ddl.h"

#include "base/buf.h"
#include "stores/sqlite/sql.h"

#define DDL_LEN_MAX (128 * 1024)

struct emitter {
    fh_sqlite_ddl_cb *cb;
    void *arg;
    struct fh_error *error;
    struct fh_buf sql;
    struct fh_buf name;
};

static void begin(struct emitter *emitter)
{
    fh_buf_clear(&emitter->sql);
    fh_buf_clear(&emitter->name);
}

static enum fh_code emit(struct emitter *emitter, enum fh_sqlite_object kind)
{
    enum fh_code code = fh_buf_code(&emitter->sql);
    if (code == FH_OK) {
        code = fh_buf_code(&emitter->name);
    }
    if (code != FH_OK) {
        return fh_error_set(emitter->error, code, "a table's definition could not be made");
    }
    return emitter->cb(emitter->arg, kind, fh_buf_str(&emitter->name), emitter->sql.data,
                       emitter->error);
}

static enum fh_code emit_trigger(struct emitter *emitter, struct fh_str table, const char *prefix,
                                 const char *event, const char *condition)
{
    begin(emitter);
    fh_buf_printf(&emitter->name, "%s_%.*s", prefix, FH_STR_ARG(table));
    fh_buf_add_text(&emitter->sql, "CREATE TRIGGER ");
    fh_sqlite_sql_name(fh_buf_str(&emitter->name), &emitter->sql);
    fh_buf_printf(&emitter->sql, " BEFORE %s ON ", event);
    fh_sqlite_sql_name(table, &emitter->sql);
    fh_buf_printf(&emitter->sql, " WHEN %s BEGIN SELECT RAISE(ABORT,'fh_foreign_tenant'); END",
                  condition);
    return emit(emitter, FH_SQLITE_TRIGGER);
}

static enum fh_code emit_triggers(struct emitter *emitter, struct fh_str table)
{
    enum fh_code code =
        emit_trigger(emitter, table, "fh_ti", "INSERT", "NEW.tenant_id IS NOT fh_tenant()");
    if (code == FH_OK) {
        code = emit_trigger(emitter, table, "fh_tu", "UPDATE",
                            "NEW.tenant_id IS NOT fh_tenant() OR OLD.tenant_id IS NOT fh_tenant()");
    }
    if (code == FH_OK) {
        code = emit_trigger(emitter, table, "fh_td", "DELETE", "OLD.tenant_id IS NOT fh_tenant()");
    }
    return code;
}

static enum fh_code emit_text(struct emitter *emitter, enum fh_sqlite_object kind, const char *name,
                              const char *sql)
{
    begin(emitter);
    fh_buf_add_text(&emitter->name, name);
    fh_buf_add_text(&emitter->sql, sql);
    return emit(emitter, kind);
}

static enum fh_code emit_system(struct emitter *emitter)
{
    static const struct {
        enum fh_sqlite_object kind;
        const char *name;
        const char *sql;
    } objects[] = {
        {FH_SQLITE_TABLE, "fh_meta",
         "CREATE TABLE fh_meta(name TEXT PRIMARY KEY,value INTEGER NOT NULL) STRICT,WITHOUT ROWID"},
        {FH_SQLITE_TABLE, "fh_fence",
         "CREATE TABLE fh_fence(tenant_id BLOB PRIMARY KEY CHECK(length(tenant_id)=16),"
         "epoch INTEGER NOT NULL,generation INTEGER NOT NULL,"
         "mode INTEGER NOT NULL CHECK(mode BETWEEN 1 AND 4)) STRICT,WITHOUT ROWID"},
        /* txid counts every record of the file and is never used again: exact order of commits. */
        {FH_SQLITE_TABLE, "fh_commit",
         "CREATE TABLE fh_commit(txid INTEGER PRIMARY KEY AUTOINCREMENT,"
         "tenant_id BLOB NOT NULL CHECK(length(tenant_id)=16),epoch INTEGER NOT NULL,"
         "seq INTEGER NOT NULL,request_id TEXT,request_hash BLOB NOT NULL CHECK("
         "length(request_hash)=32),schema_version INTEGER NOT NULL,actor TEXT NOT NULL,"
         "address TEXT NOT NULL,at INTEGER NOT NULL,changes TEXT NOT NULL,images BLOB,"
         "UNIQUE(tenant_id,epoch,seq)) STRICT"},
        {FH_SQLITE_INDEX, "fh_ix_commit_request",
         "CREATE UNIQUE INDEX fh_ix_commit_request ON fh_commit(tenant_id,request_id) "
         "WHERE request_id IS NOT NULL"},
        /* A mover's rounds: this tenant, this epoch, younger than a cursor; seq rides along so that
         * the table is not touched. */
        {FH_SQLITE_INDEX, "fh_ix_commit_txid",
         "CREATE INDEX fh_ix_commit_txid ON fh_commit(tenant_id,epoch,txid,seq)"},
        {FH_SQLITE_TABLE, "fh_move",
         "CREATE TABLE fh_move(tenant_id BLOB PRIMARY KEY CHECK(length(tenant_id)=16),"
         "state BLOB NOT NULL) STRICT,WITHOUT ROWID"},
        {FH_SQLITE_CHANGE, "schema_version",
         "INSERT INTO fh_meta(name,value) VALUES('schema_version',-1)"},
    };
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]) && code == FH_OK; i++) {
        code = emit_text(emitter, objects[i].kind, objects[i].name, objects[i].sql);
    }
    if (code == FH_OK) {
        code = emit_triggers(emitter, FH_STR("fh_fence"));
    }
    if (code == FH_OK) {
        code = emit_triggers(emitter, FH_STR("fh_commit"));
    }
    return code == FH_OK ? emit_triggers(emitter, FH_STR("fh_move")) : code;
}

static const char *storage_class(enum fh_type type)
{
    switch (type) {
    case FH_TYPE_FLOAT32:
    case FH_TYPE_FLOAT64:
        return "REAL";
    case FH_TYPE_TEXT:
    case FH_TYPE_JSON:
        return "TEXT";
    case FH_TYPE_BYTES:
    case FH_TYPE_UUID:
        return "BLOB";
    default:
        return "INTEGER";
    }
}

static int64_t power_of_ten(unsigned exponent)
{
    int64_t power = 1;
    while (exponent-- > 0) {
        power *= 10;
    }
    return power;
}

static void add_range(const struct fh_column *column, int64_t limit_low, int64_t limit_high,
                      struct fh_buf *sql)
{
    fh_buf_add_text(sql, " CHECK(");
    fh_sqlite_sql_name(column->name, sql);
    fh_buf_printf(sql, " BETWEEN %lld AND %lld)", (long long)limit_low, (long long)limit_high);
}

/* What STRICT does not say about the type; null passes. */
static void add_check(const struct fh_column *column, struct fh_buf *sql)
{
    int64_t limit = 0;
    switch (column->type) {
    case FH_TYPE_BOOL:
        add_range(column, 0, 1, sql);
        return;
    case FH_TYPE_INT16:
        add_range(column, INT16_MIN, INT16_MAX, sql);
        return;
    case FH_TYPE_INT32:
        add_range(column, INT32_MIN, INT32_MAX, sql);
        return;
    case FH_TYPE_NUMERIC:
        limit = power_of_ten(column->precision) - 1;
        add_range(column, -limit, limit, sql);
        return;
    case FH_TYPE_UUID:
        fh_buf_add_text(sql, " CHECK(length(");
        fh_sqlite_sql_name(column->name, sql);
        fh_buf_add_text(sql, ")=16)");
        return;
    case FH_TYPE_TEXT:
        if (column->length_max > 0) {
            fh_buf_add_text(sql, " CHECK(length(");
            fh_sqlite_sql_name(column->name, sql);
            fh_buf_printf(sql, ")<=%u)", column->length_max);
        }
        return;
    default:
        return;
    }
}

static bool is_key(const struct fh_table *table, uint16_t position)
{
    for (uint16_t i = 0; i < table->key_count; i++) {
        if (table->key[i] == position) {
            return true;
        }
    }
    return false;
}

static bool has_rowid(const struct fh_table *table)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].type == FH_TYPE_BYTES || table->columns[i].type == FH_TYPE_JSON) {
            return true;
        }
    }
    return false;
}

/* ,"a","b": what follows tenant_id */
static void add_columns(const struct fh_table *table, const uint16_t *positions, uint16_t count,
                        struct fh_buf *sql)
{
    for (uint16_t i = 0; i < count; i++) {
        fh_buf_add_char(sql, ',');
        fh_sqlite_sql_name(table->columns[positions[i]].name, sql);
    }
}

static enum fh_code emit_table(struct emitter *emitter, const struct fh_table *table)
{
    struct fh_buf *sql = &emitter->sql;
    begin(emitter);
    fh_buf_add_str(&emitter->name, table->name);
    fh_buf_add_text(sql, "CREATE TABLE ");
    fh_sqlite_sql_name(table->name, sql);
    fh_buf_add_text(sql, "(tenant_id BLOB NOT NULL CHECK(length(tenant_id)=16)");
    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct fh_column *column = &table->columns[i];
        fh_buf_add_char(sql, ',');
        fh_sqlite_sql_name(column->name, sql);
        fh_buf_printf(sql, " %s", storage_class(column->type));
        fh_buf_add_text(sql, column->not_null || is_key(table, i) ? " NOT NULL" : "");
        add_check(column, sql);
    }
    fh_buf_add_text(sql, ",created_at INTEGER NOT NULL,updated_at INTEGER NOT NULL,"
                         "deleted_at INTEGER,version INTEGER NOT NULL CHECK(version>0)");
    if (table->foreign_key_count > 0) {
        fh_buf_add_text(sql, ",fh_live BLOB GENERATED ALWAYS AS "
                             "(CASE WHEN deleted_at IS NULL THEN tenant_id END) VIRTUAL");
    }
    fh_buf_add_text(sql, ",PRIMARY KEY(tenant_id");
    add_columns(table, table->key, table->key_count, sql);
    fh_buf_add_char(sql, ')');
    for (uint16_t i = 0; i < table->foreign_key_count; i++) {
        const struct fh_foreign_key *fk = &table->foreign_keys[i];
        fh_buf_add_text(sql, ",FOREIGN KEY(fh_live");
        add_columns(table, fk->columns, fk->column_count, sql);
        fh_buf_add_text(sql, ") REFERENCES ");
        fh_sqlite_sql_name(fk->target->name, sql);
        fh_buf_add_text(sql, "(tenant_id");
        add_columns(fk->target, fk->target->key, fk->target->key_count, sql);
        fh_buf_add_text(sql, ") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED");
    }
    fh_buf_add_text(sql, has_rowid(table) ? ") STRICT" : ") STRICT,WITHOUT ROWID");
    return emit(emitter, FH_SQLITE_TABLE);
}

static enum fh_code emit_index(struct emitter *emitter, const struct fh_table *table,
                               const struct fh_index *index)
{
    struct fh_buf *sql = &emitter->sql;
    begin(emitter);
    fh_buf_printf(&emitter->name, "fh_ix_%.*s", FH_STR_ARG(index->name));
    fh_buf_add_text(sql, index->unique ? "CREATE UNIQUE INDEX " : "CREATE INDEX ");
    fh_sqlite_sql_name(fh_buf_str(&emitter->name), sql);
    fh_buf_add_text(sql, " ON ");
    fh_sqlite_sql_name(table->name, sql);
    fh_buf_add_text(sql, "(tenant_id");
    add_columns(table, index->columns, index->column_count, sql);
    fh_buf_add_text(sql, index->unique ? ") WHERE deleted_at IS NULL" : ")");
    return emit(emitter, FH_SQLITE_INDEX);
}

/* Also where a declared index would do: that one may be partial, and may go in a later version. */
static enum fh_code emit_fk_index(struct emitter *emitter, const struct fh_table *table,
                                  uint16_t ordinal)
{
    const struct fh_foreign_key *fk = &table->foreign_keys[ordinal];
    struct fh_buf *sql = &emitter->sql;
    begin(emitter);
    fh_buf_printf(&emitter->name, "fh_fk_%.*s_%u", FH_STR_ARG(table->name), ordinal);
    fh_buf_add_text(sql, "CREATE INDEX ");
    fh_sqlite_sql_name(fh_buf_str(&emitter->name), sql);
    fh_buf_add_text(sql, " ON ");
    fh_sqlite_sql_name(table->name, sql);
    fh_buf_add_text(sql, "(fh_live");
    add_columns(table, fk->columns, fk->column_count, sql);
    fh_buf_add_char(sql, ')');
    return emit(emitter, FH_SQLITE_INDEX);
}

static bool same_columns(const struct fh_table *a, const struct fh_table *b)
{
    if (a->column_count != b->column_count || a->key_count != b->key_count ||
        a->foreign_key_count != b->foreign_key_count) {
        return false;
    }
    for (uint16_t i = 0; i < a->column_count; i++) {
        const struct fh_column *x = &a->columns[i];
        const struct fh_column *y = &b->columns[i];
        if (!fh_str_eq(x->name, y->name) || x->type != y->type || x->not_null != y->not_null ||
            x->precision != y->precision || x->scale != y->scale ||
            x->length_max != y->length_max) {
            return false;
        }
    }
    return memcmp(a->key, b->key, a->key_count * sizeof(a->key[0])) == 0;
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

static enum fh_code emit_whole_table(struct emitter *emitter, const struct fh_table *old,
                                     const struct fh_table *table)
{
    enum fh_code code = FH_OK;
    if (old != NULL && !same_columns(old, table)) {
        return fh_error_set(emitter->error, FH_UNIMPLEMENTED,
                            "table %.*s: changing the columns of a table is not offered yet",
                            FH_STR_ARG(table->name));
    }
    if (old == NULL) {
        code = emit_table(emitter, table);
        if (code == FH_OK) {
            code = emit_triggers(emitter, table->name);
        }
        for (uint16_t i = 0; i < table->foreign_key_count && code == FH_OK; i++) {
            code = emit_fk_index(emitter, table, i);
        }
    }
    for (uint16_t i = 0; i < table->index_count && code == FH_OK; i++) {
        if (!has_index(old, table->indexes[i].name)) {
            code = emit_index(emitter, table, &table->indexes[i]);
        }
    }
    return code;
}

static void emitter_init(struct emitter *emitter, fh_sqlite_ddl_cb *cb, void *arg,
                         struct fh_error *error)
{
    *emitter = (struct emitter){.cb = cb, .arg = arg, .error = error};
    fh_buf_init(&emitter->sql, DDL_LEN_MAX);
    fh_buf_init(&emitter->name, 256);
}

static void emitter_close(struct emitter *emitter)
{
    fh_buf_close(&emitter->sql);
    fh_buf_close(&emitter->name);
}

enum fh_code fh_sqlite_ddl_system(fh_sqlite_ddl_cb *cb, void *arg, struct fh_error *error)
{
    struct emitter emitter;
    emitter_init(&emitter, cb, arg, error);
    enum fh_code code = emit_system(&emitter);
    emitter_close(&emitter);
    return code;
}

enum fh_code fh_sqlite_ddl_schema(const struct fh_schema *from, const struct fh_schema *to,
                                  fh_sqlite_ddl_cb *cb, void *arg, struct fh_error *error)
{
    struct emitter emitter;
    emitter_init(&emitter, cb, arg, error);
    enum fh_code code = FH_OK;
    for (uint32_t i = 0; from != NULL && i < from->table_count && code == FH_OK; i++) {
        if (fh_schema_table(to, from->tables[i]->name) == NULL) {
            code = fh_error_set(error, FH_UNIMPLEMENTED,
                                "table %.*s: dropping a table is not offered yet",
                                FH_STR_ARG(from->tables[i]->name));
        }
    }
    for (uint32_t i = 0; i < to->table_count && code == FH_OK; i++) {
        const struct fh_table *old =
            from != NULL ? fh_schema_table(from, to->tables[i]->name) : NULL;
        code = emit_whole_table(&emitter, old, to->tables[i]);
    }
    emitter_close(&emitter);
    return code;
}
