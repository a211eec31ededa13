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
 * - The application's checks are constraints with names of ours. Generated columns are ordinary
 * ones: what they hold is computed before a row is written, never by SQLite.
 *
 * Failures: what `cb` says; FH_TOO_LARGE for a text beyond DDL_LEN_MAX; FH_NOMEM.
 */
#include "stores/sqlite/ddl.h"

#include <stdio.h>

#include "stores/sqlite/errors.h"
#include "stores/sqlite/expression.h"
#include "stores/sqlite/sql.h"

#define DDL_LEN_MAX (1024 * 1024)

void fh_sqlite_ddl_home_of(const struct fh_home *home, struct fh_sqlite_ddl_home *out)
{
    *out = (struct fh_sqlite_ddl_home){.dedicated = false};
    out->dedicated = fh_home_tenant(home, &out->tenant);
    if (home->tier == FH_TIER_SCHEMA) {
        (void)snprintf(out->prefix, sizeof(out->prefix), "%.*s__", FH_HOME_NAME_MAX, home->name);
    }
}

void fh_sqlite_emitter_init(struct fh_sqlite_emitter *emitter,
                            const struct fh_sqlite_ddl_home *home, fh_sqlite_ddl_cb *cb, void *arg,
                            struct fh_error *error)
{
    *emitter = (struct fh_sqlite_emitter){.home = home, .cb = cb, .arg = arg, .error = error};
    fh_buf_init(&emitter->sql, DDL_LEN_MAX);
    fh_buf_init(&emitter->name, 256);
}

void fh_sqlite_emitter_close(struct fh_sqlite_emitter *emitter)
{
    fh_buf_close(&emitter->sql);
    fh_buf_close(&emitter->name);
}

struct fh_buf *fh_sqlite_emitter_begin(struct fh_sqlite_emitter *emitter)
{
    fh_buf_clear(&emitter->sql);
    fh_buf_clear(&emitter->name);
    return &emitter->sql;
}

static enum fh_code emit(struct fh_sqlite_emitter *emitter, const struct fh_sqlite_ddl *ddl)
{
    enum fh_code code = fh_buf_code(&emitter->sql);
    if (code == FH_OK) {
        code = fh_buf_code(&emitter->name);
    }
    if (code != FH_OK) {
        return fh_error_set(emitter->error, code, "a table's definition could not be made");
    }
    return emitter->cb(emitter->arg, ddl, emitter->error);
}

enum fh_code fh_sqlite_emitter_end(struct fh_sqlite_emitter *emitter, enum fh_sqlite_object kind,
                                   bool scans)
{
    const struct fh_sqlite_ddl ddl = {.kind = kind,
                                      .name = fh_buf_str(&emitter->name),
                                      .sql = emitter->sql.data,
                                      .scans = scans,
                                      .table = emitter->table};
    return emit(emitter, &ddl);
}

void fh_sqlite_emitter_name(struct fh_sqlite_emitter *emitter, const char *before,
                            struct fh_str name)
{
    fh_buf_printf(&emitter->sql, "\"%s%s%.*s\"", emitter->home->prefix, before, FH_STR_ARG(name));
}

/* The object that the statement makes, and its name in the statement. */
static void add_object(struct fh_sqlite_emitter *emitter, const char *before, struct fh_str name)
{
    fh_buf_printf(&emitter->name, "%s%s%.*s", emitter->home->prefix, before, FH_STR_ARG(name));
    fh_sqlite_emitter_name(emitter, before, name);
}

static enum fh_code emit_trigger(struct fh_sqlite_emitter *emitter, struct fh_str table,
                                 const char *before, const char *event, const char *condition)
{
    struct fh_buf *sql = fh_sqlite_emitter_begin(emitter);
    fh_buf_add_text(sql, "CREATE TRIGGER ");
    add_object(emitter, before, table);
    fh_buf_printf(sql, " BEFORE %s ON ", event);
    fh_sqlite_emitter_name(emitter, "", table);
    fh_buf_printf(sql, " WHEN %s BEGIN SELECT RAISE(ABORT,'fh_foreign_tenant'); END", condition);
    return fh_sqlite_emitter_end(emitter, FH_SQLITE_TRIGGER, false);
}

static enum fh_code emit_triggers(struct fh_sqlite_emitter *emitter, struct fh_str table)
{
    enum fh_code code =
        emit_trigger(emitter, table, "fh_ti_", "INSERT", "NEW.tenant_id IS NOT fh_tenant()");
    if (code == FH_OK) {
        code = emit_trigger(emitter, table, "fh_tu_", "UPDATE",
                            "NEW.tenant_id IS NOT fh_tenant() OR OLD.tenant_id IS NOT fh_tenant()");
    }
    if (code == FH_OK) {
        code = emit_trigger(emitter, table, "fh_td_", "DELETE", "OLD.tenant_id IS NOT fh_tenant()");
    }
    return code;
}

/* CHECK(...) of a tenant_id: 16 bytes, or a dedicated home's own. */
static void add_tenant_check(const struct fh_sqlite_ddl_home *home, struct fh_buf *sql)
{
    if (!home->dedicated) {
        fh_buf_add_text(sql, "CHECK(length(tenant_id)=16)");
        return;
    }
    fh_buf_add_text(sql, "CHECK(tenant_id=x'");
    for (size_t i = 0; i < sizeof(home->tenant.bytes); i++) {
        fh_buf_printf(sql, "%02x", home->tenant.bytes[i]);
    }
    fh_buf_add_text(sql, "')");
}

/* In a text, `@` stands for the home's prefix and `$` for the tenant's check. */
static enum fh_code emit_text(struct fh_sqlite_emitter *emitter, enum fh_sqlite_object kind,
                              const char *name, const char *text)
{
    struct fh_buf *sql = fh_sqlite_emitter_begin(emitter);
    fh_buf_printf(&emitter->name, "%s%s", emitter->home->prefix, name);
    for (; *text != '\0'; text++) {
        if (*text == '@') {
            fh_buf_add_text(sql, emitter->home->prefix);
        } else if (*text == '$') {
            add_tenant_check(emitter->home, sql);
        } else {
            fh_buf_add_char(sql, *text);
        }
    }
    return fh_sqlite_emitter_end(emitter, kind, false);
}

static enum fh_code emit_system(struct fh_sqlite_emitter *emitter)
{
    static const struct {
        enum fh_sqlite_object kind;
        const char *name;
        const char *sql;
    } objects[] = {
        {FH_SQLITE_TABLE, "fh_meta",
         "CREATE TABLE @fh_meta(name TEXT PRIMARY KEY,value INTEGER NOT NULL) STRICT,WITHOUT "
         "ROWID"},
        {FH_SQLITE_TABLE, "fh_fence",
         "CREATE TABLE @fh_fence(tenant_id BLOB PRIMARY KEY $,"
         "epoch INTEGER NOT NULL,generation INTEGER NOT NULL,"
         "mode INTEGER NOT NULL CHECK(mode BETWEEN 1 AND 4)) STRICT,WITHOUT ROWID"},
        /* txid counts every record of the home and is never used again: exact order of commits. */
        {FH_SQLITE_TABLE, "fh_commit",
         "CREATE TABLE @fh_commit(txid INTEGER PRIMARY KEY AUTOINCREMENT,"
         "tenant_id BLOB NOT NULL $,epoch INTEGER NOT NULL,"
         "seq INTEGER NOT NULL,request_id TEXT,request_hash BLOB NOT NULL CHECK("
         "length(request_hash)=32),schema_version INTEGER NOT NULL,actor TEXT NOT NULL,"
         "address TEXT NOT NULL,at INTEGER NOT NULL,changes TEXT NOT NULL,images BLOB,"
         "UNIQUE(tenant_id,epoch,seq)) STRICT"},
        {FH_SQLITE_INDEX, "fh_ix_commit_request",
         "CREATE UNIQUE INDEX @fh_ix_commit_request ON @fh_commit(tenant_id,request_id) "
         "WHERE request_id IS NOT NULL"},
        /* A mover's rounds: this tenant, this epoch, younger than a cursor; seq rides along so that
         * the table is not touched. */
        {FH_SQLITE_INDEX, "fh_ix_commit_txid",
         "CREATE INDEX @fh_ix_commit_txid ON @fh_commit(tenant_id,epoch,txid,seq)"},
        {FH_SQLITE_TABLE, "fh_move",
         "CREATE TABLE @fh_move(tenant_id BLOB PRIMARY KEY $,"
         "state BLOB NOT NULL) STRICT,WITHOUT ROWID"},
        {FH_SQLITE_CHANGE, "schema_version",
         "INSERT INTO @fh_meta(name,value) VALUES('schema_version',-1)"},
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

void fh_sqlite_ddl_column(const struct fh_table *table, uint16_t position, struct fh_buf *sql)
{
    const struct fh_column *column = &table->columns[position];
    fh_buf_printf(sql, " %s", storage_class(column->type));
    fh_buf_add_text(sql, column->not_null || is_key(table, position) ? " NOT NULL" : "");
    add_check(column, sql);
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

static void name_column(void *arg, uint16_t position, struct fh_buf *out)
{
    const struct fh_table *table = arg;
    fh_sqlite_sql_name(table->columns[position].name, out);
}

/* With names of ours, which an error tells (errors.h). */
static void add_checks(const struct fh_table *table, struct fh_buf *sql)
{
    for (uint16_t i = 0; i < table->check_count; i++) {
        fh_buf_printf(sql, ",CONSTRAINT \"" FH_SQLITE_CHECK_PREFIX "%.*s\" CHECK(",
                      FH_STR_ARG(table->checks[i].name));
        fh_sqlite_expression(table->checks[i].expr, name_column, (void *)(uintptr_t)table, sql);
        fh_buf_add_char(sql, ')');
    }
}

static void add_references(struct fh_sqlite_emitter *emitter, const struct fh_table *table)
{
    struct fh_buf *sql = &emitter->sql;
    for (uint16_t i = 0; i < table->foreign_key_count; i++) {
        const struct fh_foreign_key *fk = &table->foreign_keys[i];
        fh_buf_add_text(sql, ",FOREIGN KEY(fh_live");
        add_columns(table, fk->columns, fk->column_count, sql);
        fh_buf_add_text(sql, ") REFERENCES ");
        fh_sqlite_emitter_name(emitter, "", fk->target->name);
        fh_buf_add_text(sql, "(tenant_id");
        add_columns(fk->target, fk->target->key, fk->target->key_count, sql);
        fh_buf_add_text(sql, ") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED");
    }
}

enum fh_code fh_sqlite_ddl_table(struct fh_sqlite_emitter *emitter, const struct fh_table *table,
                                 const char *before)
{
    struct fh_buf *sql = fh_sqlite_emitter_begin(emitter);
    emitter->table = table;
    fh_buf_add_text(sql, "CREATE TABLE ");
    add_object(emitter, before, table->name);
    fh_buf_add_text(sql, "(tenant_id BLOB NOT NULL ");
    add_tenant_check(emitter->home, sql);
    for (uint16_t i = 0; i < table->column_count; i++) {
        fh_buf_add_char(sql, ',');
        fh_sqlite_sql_name(table->columns[i].name, sql);
        fh_sqlite_ddl_column(table, i, sql);
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
    add_references(emitter, table);
    add_checks(table, sql);
    fh_buf_add_text(sql, table->has_rowid ? ") STRICT" : ") STRICT,WITHOUT ROWID");
    return fh_sqlite_emitter_end(emitter, FH_SQLITE_TABLE, false);
}

enum fh_code fh_sqlite_ddl_index(struct fh_sqlite_emitter *emitter, const struct fh_table *table,
                                 const struct fh_index *index, bool scans)
{
    struct fh_buf *sql = fh_sqlite_emitter_begin(emitter);
    emitter->table = table;
    fh_buf_add_text(sql, index->unique ? "CREATE UNIQUE INDEX " : "CREATE INDEX ");
    add_object(emitter, "fh_ix_", index->name);
    fh_buf_add_text(sql, " ON ");
    fh_sqlite_emitter_name(emitter, "", table->name);
    fh_buf_add_text(sql, "(tenant_id");
    add_columns(table, index->columns, index->column_count, sql);
    fh_buf_add_text(sql, index->unique ? ") WHERE deleted_at IS NULL" : ")");
    return fh_sqlite_emitter_end(emitter, FH_SQLITE_INDEX, scans);
}

/* Also where a declared index would do: that one may be partial, and may go in a later version. The
 * `.` is in no identifier: b_c of table a is not c of table a_b. */
static enum fh_code emit_fk_index(struct fh_sqlite_emitter *emitter, const struct fh_table *table,
                                  const struct fh_foreign_key *fk, bool scans)
{
    struct fh_buf *sql = fh_sqlite_emitter_begin(emitter);
    fh_buf_printf(&emitter->name, "%sfh_fk_%.*s.%.*s", emitter->home->prefix,
                  FH_STR_ARG(table->name), FH_STR_ARG(fk->name));
    fh_buf_printf(sql, "CREATE INDEX \"%sfh_fk_%.*s.%.*s\" ON ", emitter->home->prefix,
                  FH_STR_ARG(table->name), FH_STR_ARG(fk->name));
    fh_sqlite_emitter_name(emitter, "", table->name);
    fh_buf_add_text(sql, "(fh_live");
    add_columns(table, fk->columns, fk->column_count, sql);
    fh_buf_add_char(sql, ')');
    return fh_sqlite_emitter_end(emitter, FH_SQLITE_INDEX, scans);
}

enum fh_code fh_sqlite_ddl_attach(struct fh_sqlite_emitter *emitter, const struct fh_table *table,
                                  bool scans)
{
    emitter->table = table;
    enum fh_code code = emit_triggers(emitter, table->name);
    for (uint16_t i = 0; i < table->foreign_key_count && code == FH_OK; i++) {
        code = emit_fk_index(emitter, table, &table->foreign_keys[i], scans);
    }
    return code;
}

enum fh_code fh_sqlite_ddl_system(const struct fh_sqlite_ddl_home *home, fh_sqlite_ddl_cb *cb,
                                  void *arg, struct fh_error *error)
{
    struct fh_sqlite_emitter emitter;
    fh_sqlite_emitter_init(&emitter, home, cb, arg, error);
    enum fh_code code = emit_system(&emitter);
    fh_sqlite_emitter_close(&emitter);
    return code;
}

enum fh_code fh_sqlite_ddl_schema(const struct fh_sqlite_ddl_home *home,
                                  const struct fh_schema *schema, fh_sqlite_ddl_cb *cb, void *arg,
                                  struct fh_error *error)
{
    struct fh_sqlite_emitter emitter;
    enum fh_code code = FH_OK;
    fh_sqlite_emitter_init(&emitter, home, cb, arg, error);
    for (uint32_t i = 0; i < schema->table_count && code == FH_OK; i++) {
        const struct fh_table *table = schema->tables[i];
        code = fh_sqlite_ddl_table(&emitter, table, "");
        if (code == FH_OK) {
            code = fh_sqlite_ddl_attach(&emitter, table, false);
        }
        for (uint16_t k = 0; k < table->index_count && code == FH_OK; k++) {
            code = fh_sqlite_ddl_index(&emitter, table, &table->indexes[k], false);
        }
    }
    fh_sqlite_emitter_close(&emitter);
    return code;
}
