/* Fixed texts stand in one table, those of application tables are put together below. A `%s` in a
 * fixed text takes, in order, what its shape names; nothing of a caller ever gets here.
 *
 * SQLite flattens the views into these statements, so both tenant conditions (the view's and the
 * explicit one) meet in one search of the primary key.
 */
#include "stores/sqlite/sql.h"

#include "base/assert.h"

#define RECORD                                                                               \
    "c.tenant_id,c.epoch,c.seq,c.request_id,c.actor,c.address,c.at,c.txid,c.schema_version," \
    "c.changes,c.images"

#define JOURNAL                                                                       \
    "c.tenant_id,c.epoch,c.seq,c.request_id,c.request_hash,c.schema_version,c.actor," \
    "c.address,c.at,c.changes,c.images"

#define INTO_RECORDS                                                           \
    "INSERT INTO main.@fh_commit(tenant_id,epoch,seq,request_id,request_hash," \
    "schema_version,actor,address,at,changes,images) "                         \
    "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11) "

static const char *control_text(enum fh_sqlite_shape shape)
{
    static const char *const texts[] = {
        [FH_SQLITE_BEGIN_READ] = "BEGIN",
        [FH_SQLITE_BEGIN_WRITE] = "BEGIN IMMEDIATE",
        [FH_SQLITE_COMMIT] = "COMMIT",
        [FH_SQLITE_ROLLBACK] = "ROLLBACK",
        [FH_SQLITE_SAVEPOINT] = "SAVEPOINT request",
        [FH_SQLITE_ROLLBACK_TO] = "ROLLBACK TO request",
        [FH_SQLITE_RELEASE] = "RELEASE request",
        [FH_SQLITE_VERSION_READ] = "SELECT value FROM main.@fh_meta WHERE name='schema_version'",
        [FH_SQLITE_VERSION_SET] = ("UPDATE main.@fh_meta SET value=?1 WHERE name='schema_version' "
                                   "RETURNING value"),
    };
    return (size_t)shape < sizeof(texts) / sizeof(texts[0]) ? texts[shape] : NULL;
}

/* Written to the base tables, where the triggers watch. */
static const char *system_write_text(enum fh_sqlite_shape shape)
{
    switch (shape) {
    case FH_SQLITE_FENCE_INSERT:
        return "INSERT INTO main.@fh_fence(tenant_id,epoch,generation,mode) VALUES(?1,?2,?3,?4) "
               "RETURNING tenant_id";
    case FH_SQLITE_FENCE_UPDATE:
        return "UPDATE main.@fh_fence SET epoch=?2,generation=?3,mode=?4 WHERE tenant_id=?1 AND "
               "epoch=?5 AND generation=?6 AND mode=?7 RETURNING tenant_id";
    case FH_SQLITE_FENCE_CLOSE:
        return "UPDATE main.@fh_fence SET mode=?2 WHERE tenant_id=?1 AND generation=?3 "
               "RETURNING tenant_id";
    case FH_SQLITE_FENCE_DELETE:
        return "DELETE FROM main.@fh_fence WHERE tenant_id=?1 AND generation=?2 RETURNING "
               "tenant_id";
    case FH_SQLITE_RECORD_INSERT:
        return INTO_RECORDS;
    case FH_SQLITE_JOURNAL_INSERT:
        /* Another record with the request id is no reason to leave this one out, but an error. */
        return INTO_RECORDS "ON CONFLICT(tenant_id,epoch,seq) DO NOTHING";
    case FH_SQLITE_RECORD_ERASE:
        return "DELETE FROM main.@fh_commit WHERE txid IN (SELECT txid FROM main.@fh_commit WHERE "
               "tenant_id=?1 LIMIT ?2)";
    case FH_SQLITE_STATE_WRITE:
        return "INSERT INTO main.@fh_move(tenant_id,state) VALUES(?1,?2) ON CONFLICT(tenant_id) DO "
               "UPDATE SET state=excluded.state RETURNING tenant_id";
    case FH_SQLITE_STATE_ERASE:
        return "DELETE FROM main.@fh_move WHERE tenant_id=?1 RETURNING tenant_id";
    default:
        return NULL;
    }
}

void fh_sqlite_sql_name(struct fh_str name, struct fh_buf *out)
{
    fh_buf_add_char(out, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == '"') { /* the model has none; quoting holds without that promise */
            fh_buf_add_char(out, '"');
        }
        fh_buf_add_char(out, name.data[i]);
    }
    fh_buf_add_char(out, '"');
}

static void add_column(const char *alias, const struct fh_table *table, uint16_t position,
                       struct fh_buf *out)
{
    fh_buf_add_text(out, alias);
    fh_sqlite_sql_name(table->columns[position].name, out);
}

static void add_prefixed(const char *prefix, struct fh_str name, struct fh_buf *out)
{
    fh_buf_printf(out, "\"%s%.*s\"", prefix, FH_STR_ARG(name));
}

/* The home's own table. */
static void add_base(struct fh_str name, const struct fh_sqlite_text *text, struct fh_buf *out)
{
    fh_buf_add_text(out, "main.");
    add_prefixed(text->prefix, name, out);
}

/* The tenant's view, or the base table when layer 2 is switched off. */
static void add_source(struct fh_str name, const struct fh_sqlite_text *text, struct fh_buf *out)
{
    if ((text->flags & FH_SQLITE_TEXT_NO_VIEWS) != 0) {
        add_base(name, text, out);
        return;
    }
    fh_buf_add_text(out, "temp.");
    add_prefixed(text->views, name, out);
}

/* A fixed text: `@` stands for the home's prefix. */
static void add_fixed(const char *fixed, const struct fh_sqlite_text *text, struct fh_buf *out)
{
    for (; *fixed != '\0'; fixed++) {
        if (*fixed == '@') {
            fh_buf_add_text(out, text->prefix);
        } else {
            fh_buf_add_char(out, *fixed);
        }
    }
}

static void add_tenant(const char *alias, const struct fh_sqlite_text *text, struct fh_buf *out)
{
    if ((text->flags & FH_SQLITE_TEXT_NO_PREDICATE) != 0) {
        fh_buf_add_text(out, "?1 IS NOT NULL");
        return;
    }
    fh_buf_printf(out, "%stenant_id=?1", alias);
}

/* The version is looked at in the statement that looks at the fence: it costs one search of a table
 * of a few rows, and no transaction around two statements. */
static void add_fence(const struct fh_sqlite_text *text, struct fh_buf *out)
{
    add_fixed("SELECT f.tenant_id,f.epoch,f.mode,"
              "(SELECT value FROM main.@fh_meta WHERE name='schema_version')",
              text, out);
}

static void add_fence_from(const struct fh_sqlite_text *text, struct fh_buf *out)
{
    fh_buf_add_text(out, " FROM ");
    add_source(FH_STR("fh_fence"), text, out);
    fh_buf_add_text(out, " f");
}

/* "SELECT <columns> FROM fh_commit c WHERE <tenant>" */
static void add_records(const char *columns, const struct fh_sqlite_text *text, struct fh_buf *out)
{
    fh_buf_printf(out, "SELECT %s FROM ", columns);
    add_source(FH_STR("fh_commit"), text, out);
    fh_buf_add_text(out, " c WHERE ");
    add_tenant("c.", text, out);
}

/* Which index serves is not left to the planner, which knows no sizes: a `+` keeps a term away from
 * it. What is younger than a cursor is found in (tenant_id, epoch, txid, seq) alone; pages by seq
 * walk the unique index, from where the first of them is. */
static void mover_read_text(enum fh_sqlite_shape shape, const struct fh_sqlite_text *text,
                            struct fh_buf *out)
{
    switch (shape) {
    case FH_SQLITE_CURSOR:
        add_records("max(c.txid)", text, out);
        fh_buf_add_text(out, " AND c.epoch=?2");
        return;
    case FH_SQLITE_JOURNAL:
        add_records(JOURNAL, text, out);
        fh_buf_add_text(out, " AND (c.epoch,c.seq)>(?3,?4) AND (c.epoch,c.seq)<=(?5,?6) "
                             "ORDER BY c.epoch,c.seq LIMIT ?2");
        return;
    case FH_SQLITE_CHANGES_FIRST:
        add_records("min(+c.seq)", text, out);
        fh_buf_add_text(out, " AND c.epoch=?2 AND c.txid>?3");
        return;
    case FH_SQLITE_CHANGES:
        add_records(JOURNAL, text, out);
        fh_buf_add_text(out, " AND c.epoch=?2 AND c.seq>?4 AND +c.txid>?3 ORDER BY c.seq LIMIT ?5");
        return;
    case FH_SQLITE_TALLY:
        /* In halves: SQLite's sum() refuses to overflow. */
        add_records("count(*),sum(c.seq & 4294967295),sum(c.seq >> 32)", text, out);
        fh_buf_add_text(out, " AND c.epoch=?2 AND c.txid>?3");
        return;
    case FH_SQLITE_RECORD_COUNT:
        add_records("count(*)", text, out);
        return;
    case FH_SQLITE_STATE_READ:
        fh_buf_add_text(out, "SELECT m.tenant_id,m.state FROM ");
        add_source(FH_STR("fh_move"), text, out);
        fh_buf_add_text(out, " m WHERE ");
        add_tenant("m.", text, out);
        return;
    default:
        FH_UNREACHABLE();
    }
}

/* What a commit asks besides the fence: in one statement, for three would cost three times the
 * entering, binding and leaving. */
static void add_commit_questions(const struct fh_sqlite_text *text, struct fh_buf *out)
{
    fh_buf_add_text(out, ",(");
    add_records("max(c.seq)", text, out);
    fh_buf_add_text(out, " AND c.epoch=?2),(");
    add_records("c.txid", text, out);
    fh_buf_add_text(out, " AND c.request_id=?3)");
}

static void system_read_text(enum fh_sqlite_shape shape, const struct fh_sqlite_text *text,
                             struct fh_buf *out)
{
    switch (shape) {
    case FH_SQLITE_FENCE_READ:
    case FH_SQLITE_FENCE_COMMIT:
        add_fence(text, out);
        fh_buf_add_text(out, ",f.generation");
        if (shape == FH_SQLITE_FENCE_COMMIT) {
            add_commit_questions(text, out);
        }
        add_fence_from(text, out);
        fh_buf_add_text(out, " WHERE ");
        add_tenant("f.", text, out);
        return;
    case FH_SQLITE_RECORD_FIND:
        add_records(RECORD ",c.request_hash", text, out);
        fh_buf_add_text(out, " AND c.request_id=?2");
        return;
    case FH_SQLITE_EVENTS:
    case FH_SQLITE_EVENTS_BEFORE:
        add_fence(text, out);
        fh_buf_add_text(out, "," RECORD);
        add_fence_from(text, out);
        fh_buf_add_text(out, " LEFT JOIN ");
        add_source(FH_STR("fh_commit"), text, out);
        fh_buf_add_text(out, " c ON f.epoch=?2 AND f.mode IN (1,2) AND ");
        add_tenant("c.", text, out);
        if (shape == FH_SQLITE_EVENTS_BEFORE) {
            fh_buf_add_text(out, " AND (c.epoch,c.seq)<(?4,?5)");
        }
        fh_buf_add_text(out, " WHERE ");
        add_tenant("f.", text, out);
        fh_buf_add_text(out, " ORDER BY c.epoch DESC,c.seq DESC LIMIT ?3");
        return;
    default:
        mover_read_text(shape, text, out);
    }
}

/* "a"=?first AND "b"=?first+1 ... */
static void add_equals(const char *alias, const struct fh_table *table, const uint16_t *positions,
                       uint16_t count, unsigned first, struct fh_buf *out)
{
    for (uint16_t i = 0; i < count; i++) {
        fh_buf_add_text(out, i > 0 ? " AND " : "");
        add_column(alias, table, positions[i], out);
        fh_buf_printf(out, "=?%u", first + i);
    }
}

static void add_key_list(const char *alias, const struct fh_table *table, const char *suffix,
                         struct fh_buf *out)
{
    for (uint16_t i = 0; i < table->key_count; i++) {
        fh_buf_add_text(out, i > 0 ? "," : "");
        add_column(alias, table, table->key[i], out);
        fh_buf_add_text(out, suffix);
    }
}

/* (key)<comparison>(?first,...) */
static void add_key_bound(const struct fh_table *table, const char *comparison, unsigned first,
                          struct fh_buf *out)
{
    fh_buf_add_char(out, '(');
    add_key_list("d.", table, "", out);
    fh_buf_printf(out, ")%s(", comparison);
    for (unsigned i = 0; i < table->key_count; i++) {
        fh_buf_printf(out, "%s?%u", i > 0 ? "," : "", first + i);
    }
    fh_buf_add_char(out, ')');
}

static void add_row_columns(const struct fh_table *table, struct fh_buf *out)
{
    fh_buf_add_text(out, "d.tenant_id,d.created_at,d.updated_at,d.deleted_at,d.version");
    for (uint16_t i = 0; i < table->column_count; i++) {
        fh_buf_add_char(out, ',');
        add_column("d.", table, i, out);
    }
}

static void select_rows(const struct fh_table *table, const struct fh_sqlite_text *text,
                        struct fh_buf *out)
{
    fh_buf_add_text(out, "SELECT ");
    add_row_columns(table, out);
    fh_buf_add_text(out, " FROM ");
    add_source(table->name, text, out);
    fh_buf_add_text(out, " d WHERE ");
    add_tenant("d.", text, out);
}

static void add_joined(const struct fh_table *table, const struct fh_sqlite_text *text,
                       struct fh_buf *out)
{
    add_fence(text, out);
    fh_buf_add_char(out, ',');
    add_row_columns(table, out);
    add_fence_from(text, out);
    fh_buf_add_text(out, " LEFT JOIN ");
    add_source(table->name, text, out);
    fh_buf_add_text(out, " d ON f.epoch=?2 AND f.mode IN (1,2) AND ");
    add_tenant("d.", text, out);
}

static void read_text(enum fh_sqlite_shape shape, const struct fh_table *table,
                      const struct fh_sqlite_text *text, struct fh_buf *out)
{
    bool any = shape == FH_SQLITE_GET_ANY || shape == FH_SQLITE_LIST_ANY ||
               shape == FH_SQLITE_LIST_AFTER_ANY;
    bool list = shape != FH_SQLITE_GET && shape != FH_SQLITE_GET_ANY;
    add_joined(table, text, out);
    if (!list) {
        fh_buf_add_text(out, " AND ");
        add_equals("d.", table, table->key, table->key_count, 3, out);
    }
    if (shape == FH_SQLITE_LIST_AFTER || shape == FH_SQLITE_LIST_AFTER_ANY) {
        fh_buf_add_text(out, " AND ");
        add_key_bound(table, ">", 4, out);
    }
    fh_buf_add_text(out, any ? "" : " AND d.deleted_at IS NULL");
    fh_buf_add_text(out, " WHERE ");
    fh_buf_add_text(out, fh_sqlite_fence_predicate(text->flags));
    if (list) {
        fh_buf_add_text(out, " ORDER BY ");
        add_key_list("d.", table, "", out);
        fh_buf_add_text(out, " LIMIT ?3");
    }
}

static void insert_text(const struct fh_table *table, bool free_only,
                        const struct fh_sqlite_text *text, struct fh_buf *out)
{
    fh_buf_add_text(out, "INSERT INTO ");
    add_base(table->name, text, out);
    fh_buf_add_text(out, "(tenant_id,created_at,updated_at,deleted_at,version");
    for (uint16_t i = 0; i < table->column_count; i++) {
        fh_buf_add_char(out, ',');
        add_column("", table, i, out);
    }
    fh_buf_add_text(out, ") VALUES(?1,?2,?3,?4,?5");
    for (unsigned i = 0; i < table->column_count; i++) {
        fh_buf_printf(out, ",?%u", 6 + i);
    }
    /* Not OR IGNORE, which would also pass over a broken CHECK or NOT NULL. */
    fh_buf_add_text(out, free_only ? ") ON CONFLICT DO NOTHING" : ")");
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

static void update_text(const struct fh_table *table, const struct fh_sqlite_text *text,
                        struct fh_buf *out)
{
    fh_buf_add_text(out, "UPDATE ");
    add_base(table->name, text, out);
    fh_buf_add_text(out, " SET created_at=?2,updated_at=?3,deleted_at=?4,version=?5");
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (!is_key(table, i)) {
            fh_buf_add_char(out, ',');
            add_column("", table, i, out);
            fh_buf_printf(out, "=?%u", 6u + i);
        }
    }
    fh_buf_add_text(out, " WHERE ");
    add_tenant("", text, out);
    for (uint16_t i = 0; i < table->key_count; i++) {
        fh_buf_add_text(out, " AND ");
        add_column("", table, table->key[i], out);
        fh_buf_printf(out, "=?%u", 6u + table->key[i]);
    }
    fh_buf_add_text(out, " RETURNING tenant_id");
}

static void delete_text(const struct fh_table *table, const struct fh_sqlite_text *text,
                        struct fh_buf *out)
{
    fh_buf_add_text(out, "DELETE FROM ");
    add_base(table->name, text, out);
    fh_buf_add_text(out, " WHERE ");
    add_tenant("", text, out);
    fh_buf_add_text(out, " AND ");
    add_equals("", table, table->key, table->key_count, 2, out);
    fh_buf_add_text(out, " RETURNING tenant_id");
}

/* `DELETE ... LIMIT` is a compile-time option of SQLite; a row-value IN is not. */
static void erase_text(const struct fh_table *table, const struct fh_sqlite_text *text,
                       struct fh_buf *out)
{
    fh_buf_add_text(out, "DELETE FROM ");
    add_base(table->name, text, out);
    fh_buf_add_text(out, " WHERE (tenant_id,");
    add_key_list("", table, "", out);
    fh_buf_add_text(out, ") IN (SELECT tenant_id,");
    add_key_list("", table, "", out);
    fh_buf_add_text(out, " FROM ");
    add_base(table->name, text, out);
    fh_buf_add_text(out, " WHERE tenant_id=?1 LIMIT ?2)");
}

/* SELECT d.tenant_id FROM view d WHERE <tenant> AND <columns equal> AND live */
static void probe_text(const struct fh_table *table, const uint16_t *positions, uint16_t count,
                       const struct fh_sqlite_text *text, struct fh_buf *out)
{
    fh_buf_add_text(out, "SELECT d.tenant_id FROM ");
    add_source(table->name, text, out);
    fh_buf_add_text(out, " d WHERE ");
    add_tenant("d.", text, out);
    fh_buf_add_text(out, " AND ");
    add_equals("d.", table, positions, count, 2, out);
    fh_buf_add_text(out, " AND d.deleted_at IS NULL");
}

static void unique_text(const struct fh_table *table, uint16_t ordinal,
                        const struct fh_sqlite_text *text, struct fh_buf *out)
{
    const struct fh_index *index = &table->indexes[ordinal];
    probe_text(table, index->columns, index->column_count, text, out);
    fh_buf_add_text(out, " AND NOT (");
    add_equals("d.", table, table->key, table->key_count, 2u + index->column_count, out);
    fh_buf_add_text(out, ") LIMIT 1");
}

static void children_text(const struct fh_table *table, uint16_t ordinal,
                          const struct fh_sqlite_text *text, struct fh_buf *out)
{
    const struct fh_foreign_key *fk = &table->foreign_keys[ordinal / 2];
    bool predicate = (text->flags & FH_SQLITE_TEXT_NO_PREDICATE) == 0;
    select_rows(table, text, out);
    fh_buf_printf(out, " AND d.deleted_at IS NULL AND %s", predicate ? "d.fh_live=?1 AND " : "");
    add_equals("d.", table, fk->columns, fk->column_count, 3, out);
    if (ordinal % 2 == 1) {
        fh_buf_add_text(out, " AND ");
        add_key_bound(table, ">", 3u + fk->column_count, out);
    }
    fh_buf_add_text(out, " ORDER BY ");
    add_key_list("d.", table, "", out);
    fh_buf_add_text(out, " LIMIT ?2");
}

static void scan_text(const struct fh_table *table, uint16_t ordinal,
                      const struct fh_sqlite_text *text, struct fh_buf *out)
{
    bool after = (ordinal & FH_SQLITE_SCAN_AFTER) != 0;
    select_rows(table, text, out);
    if (after) {
        fh_buf_add_text(out, " AND ");
        add_key_bound(table, ">", 3, out);
    }
    if ((ordinal & FH_SQLITE_SCAN_UNTIL) != 0) {
        fh_buf_add_text(out, " AND ");
        add_key_bound(table, "<=", after ? 3u + table->key_count : 3u, out);
    }
    fh_buf_add_text(out, " ORDER BY ");
    add_key_list("d.", table, "", out);
    fh_buf_add_text(out, " LIMIT ?2");
}

/* With any null column there is no reference (MATCH SIMPLE). */
static void orphan_text(const struct fh_table *table, uint16_t ordinal,
                        const struct fh_sqlite_text *text, struct fh_buf *out)
{
    const struct fh_foreign_key *fk = &table->foreign_keys[ordinal];
    fh_buf_add_text(out, "SELECT d.tenant_id FROM ");
    add_source(table->name, text, out);
    fh_buf_add_text(out, " d WHERE ");
    add_tenant("d.", text, out);
    fh_buf_add_text(out, " AND d.deleted_at IS NULL");
    for (uint16_t i = 0; i < fk->column_count; i++) {
        fh_buf_add_text(out, " AND ");
        add_column("d.", table, fk->columns[i], out);
        fh_buf_add_text(out, " IS NOT NULL");
    }
    fh_buf_add_text(out, " AND NOT EXISTS(SELECT 1 FROM ");
    add_source(fk->target->name, text, out);
    fh_buf_add_text(out, " p WHERE ");
    add_tenant("p.", text, out);
    for (uint16_t i = 0; i < fk->column_count; i++) {
        fh_buf_add_text(out, " AND ");
        add_column("p.", fk->target, fk->target->key[i], out);
        fh_buf_add_char(out, '=');
        add_column("d.", table, fk->columns[i], out);
    }
    fh_buf_add_text(out, ") LIMIT 1");
}

static void count_text(const struct fh_table *table, const struct fh_sqlite_text *text,
                       struct fh_buf *out)
{
    fh_buf_add_text(out, "SELECT count(*) FROM ");
    add_source(table->name, text, out);
    fh_buf_add_text(out, " d WHERE ");
    add_tenant("d.", text, out);
}

static void table_text(enum fh_sqlite_shape shape, const struct fh_table *table, uint16_t ordinal,
                       const struct fh_sqlite_text *text, struct fh_buf *out)
{
    const struct fh_foreign_key *fk = NULL;
    switch (shape) {
    case FH_SQLITE_BEFORE:
        select_rows(table, text, out);
        fh_buf_add_text(out, " AND ");
        add_equals("d.", table, table->key, table->key_count, 2, out);
        return;
    case FH_SQLITE_INSERT:
    case FH_SQLITE_INSERT_FREE:
        insert_text(table, shape == FH_SQLITE_INSERT_FREE, text, out);
        return;
    case FH_SQLITE_UPDATE:
        update_text(table, text, out);
        return;
    case FH_SQLITE_DELETE:
        delete_text(table, text, out);
        return;
    case FH_SQLITE_PARENT:
        probe_text(table, table->key, table->key_count, text, out);
        return;
    case FH_SQLITE_CHILD:
        fk = &table->foreign_keys[ordinal];
        probe_text(table, fk->columns, fk->column_count, text, out);
        /* The foreign key's index starts with fh_live. */
        fh_buf_add_text(out, (text->flags & FH_SQLITE_TEXT_NO_PREDICATE) != 0
                                 ? " LIMIT 1"
                                 : " AND d.fh_live=?1 LIMIT 1");
        return;
    case FH_SQLITE_CHILDREN:
        children_text(table, ordinal, text, out);
        return;
    case FH_SQLITE_UNIQUE:
        unique_text(table, ordinal, text, out);
        return;
    case FH_SQLITE_ERASE:
        erase_text(table, text, out);
        return;
    case FH_SQLITE_SCAN:
        scan_text(table, ordinal, text, out);
        return;
    case FH_SQLITE_COUNT:
        count_text(table, text, out);
        return;
    case FH_SQLITE_ORPHAN:
        orphan_text(table, ordinal, text, out);
        return;
    default:
        read_text(shape, table, text, out);
        return;
    }
}

bool fh_sqlite_shape_writes(enum fh_sqlite_shape shape)
{
    return system_write_text(shape) != NULL || shape == FH_SQLITE_VERSION_SET ||
           shape == FH_SQLITE_INSERT || shape == FH_SQLITE_INSERT_FREE ||
           shape == FH_SQLITE_UPDATE || shape == FH_SQLITE_DELETE || shape == FH_SQLITE_ERASE;
}

void fh_sqlite_sql(enum fh_sqlite_shape shape, const struct fh_table *table, uint16_t ordinal,
                   const struct fh_sqlite_text *text, struct fh_buf *out)
{
    const char *control = control_text(shape);
    const char *fixed = control != NULL ? control : system_write_text(shape);
    if (fixed != NULL) {
        add_fixed(fixed, text, out);
        return;
    }
    if (shape < FH_SQLITE_GET) {
        system_read_text(shape, text, out);
        return;
    }
    FH_ASSERT(table != NULL);
    table_text(shape, table, ordinal, text, out);
}
