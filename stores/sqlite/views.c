/* Happy path: the set in use is the one wanted, or it is found in the map. Otherwise its views are
 * made, all in one transaction of the connection's own temporary database; nothing of the file is
 * looked at, since SQLite resolves a view's columns when a statement names it.
 *
 * Making or dropping a view makes SQLite prepare the connection's statements anew when they are
 * next used. So sets are kept as long as there is room.
 *
 * Failures: nothing of a set that could not be made whole stays.
 */
#include "stores/sqlite/views.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "stores/sqlite/conn.h"
#include "stores/sqlite/sql.h"

#define SQL_LEN_MAX (256 * 1024)

static const struct {
    const char *table;
    const char *columns;
} system_tables[] = {
    {"fh_fence", "tenant_id,epoch,generation,mode"},
    {"fh_commit", "txid,tenant_id,epoch,seq,request_id,request_hash,schema_version,actor,address,"
                  "at,changes,images"},
    {"fh_move", "tenant_id,state"},
};
#define SYSTEM_TABLES (sizeof(system_tables) / sizeof(system_tables[0]))

static struct fh_str key_of(const void *item)
{
    const struct fh_sqlite_view_set *set = item;
    return (struct fh_str){.data = (const char *)&set->key, .len = sizeof(set->key)};
}

void fh_sqlite_views_init(struct fh_sqlite_views *views)
{
    *views = (struct fh_sqlite_views){.serial = 0};
    fh_map_init(&views->map, FH_SQLITE_VIEWS_MAX, key_of);
    fh_list_init(&views->recent);
}

static void forget(struct fh_sqlite_views *views, struct fh_sqlite_view_set *set)
{
    if (views->current == set) {
        views->current = NULL;
    }
    fh_map_remove(&views->map, key_of(set));
    fh_list_remove(&set->node);
    fh_free(set);
}

void fh_sqlite_views_close(struct fh_sqlite_views *views)
{
    while (!fh_list_empty(&views->recent)) {
        forget(views, FH_CONTAINER_OF(views->recent.next, struct fh_sqlite_view_set, node));
    }
    fh_map_close(&views->map);
    fh_sqlite_views_init(views);
}

static void make_key(const struct fh_sqlite_conn *conn, const struct fh_schema *schema,
                     struct fh_sqlite_view_key *key)
{
    _Static_assert(sizeof(key->prefix) >= sizeof(conn->prefix), "a home's prefix must fit");
    *key = (struct fh_sqlite_view_key){.schema = (uint64_t)(uintptr_t)schema};
    memcpy(key->prefix, conn->prefix, strnlen(conn->prefix, sizeof(conn->prefix)));
}

static struct fh_sqlite_view_set *find(const struct fh_sqlite_conn *conn,
                                       const struct fh_schema *schema)
{
    struct fh_sqlite_view_set *current = conn->views.current;
    struct fh_sqlite_view_key key;
    make_key(conn, schema, &key);
    if (current != NULL && memcmp(&current->key, &key, sizeof(key)) == 0) {
        return current;
    }
    return fh_map_get(&conn->views.map,
                      (struct fh_str){.data = (const char *)&key, .len = sizeof(key)});
}

static void begin_view(const struct fh_sqlite_view_set *set, struct fh_str table,
                       struct fh_buf *out)
{
    fh_buf_clear(out);
    fh_buf_printf(out, "CREATE TEMP VIEW \"%s%.*s\" AS SELECT ", set->name, FH_STR_ARG(table));
}

static enum fh_code end_view(struct fh_sqlite_conn *conn, const struct fh_sqlite_view_set *set,
                             struct fh_str table, struct fh_buf *out, struct fh_error *error)
{
    fh_buf_printf(out, " FROM main.\"%s%.*s\" WHERE tenant_id=fh_tenant()", set->key.prefix,
                  FH_STR_ARG(table));
    enum fh_code code = fh_buf_code(out);
    return code == FH_OK ? fh_sqlite_conn_exec(conn, out->data, error)
                         : fh_error_set(error, code, "a view's text could not be made");
}

static enum fh_code make_views(struct fh_sqlite_conn *conn, const struct fh_sqlite_view_set *set,
                               struct fh_buf *sql, struct fh_error *error)
{
    const struct fh_schema *schema = set->schema;
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < SYSTEM_TABLES && code == FH_OK; i++) {
        struct fh_str name = fh_str_of(system_tables[i].table);
        begin_view(set, name, sql);
        fh_buf_add_text(sql, system_tables[i].columns);
        code = end_view(conn, set, name, sql, error);
    }
    for (uint32_t i = 0; schema != NULL && i < schema->table_count && code == FH_OK; i++) {
        const struct fh_table *table = schema->tables[i];
        begin_view(set, table->name, sql);
        fh_buf_add_text(sql, "tenant_id,created_at,updated_at,deleted_at,version");
        fh_buf_add_text(sql, table->foreign_key_count > 0 ? ",fh_live" : "");
        for (uint16_t k = 0; k < table->column_count; k++) {
            fh_buf_add_char(sql, ',');
            fh_sqlite_sql_name(table->columns[k].name, sql);
        }
        code = end_view(conn, set, table->name, sql, error);
    }
    return code;
}

static enum fh_code drop_view(struct fh_sqlite_conn *conn, const struct fh_sqlite_view_set *set,
                              struct fh_str table, struct fh_buf *sql, struct fh_error *error)
{
    fh_buf_clear(sql);
    fh_buf_printf(sql, "DROP VIEW temp.\"%s%.*s\"", set->name, FH_STR_ARG(table));
    enum fh_code code = fh_buf_code(sql);
    return code == FH_OK ? fh_sqlite_conn_exec(conn, sql->data, error)
                         : fh_error_set(error, code, "a view's text could not be made");
}

static enum fh_code drop_views(struct fh_sqlite_conn *conn, const struct fh_sqlite_view_set *set,
                               struct fh_buf *sql, struct fh_error *error)
{
    const struct fh_schema *schema = set->schema;
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < SYSTEM_TABLES && code == FH_OK; i++) {
        code = drop_view(conn, set, fh_str_of(system_tables[i].table), sql, error);
    }
    for (uint32_t i = 0; schema != NULL && i < schema->table_count && code == FH_OK; i++) {
        code = drop_view(conn, set, schema->tables[i]->name, sql, error);
    }
    return code;
}

/* Makes or drops a set as a whole. Also inside a reader's transaction, which is never rolled back:
 * what is made there stays. */
static enum fh_code change(struct fh_sqlite_conn *conn, const struct fh_sqlite_view_set *set,
                           bool make, struct fh_error *error)
{
    struct fh_buf sql;
    fh_buf_init(&sql, SQL_LEN_MAX);
    enum fh_code code = fh_sqlite_conn_exec(conn, "SAVEPOINT views", error);
    if (code == FH_OK) {
        code = make ? make_views(conn, set, &sql, error) : drop_views(conn, set, &sql, error);
    }
    if (code == FH_OK) {
        code = fh_sqlite_conn_exec(conn, "RELEASE views", error);
    }
    fh_buf_close(&sql);
    if (code != FH_OK && fh_sqlite_conn_in_transaction(conn) &&
        fh_sqlite_conn_exec(conn, "ROLLBACK TO views; RELEASE views", NULL) != FH_OK) {
        conn->broken = true; /* closing ends it */
    }
    return code;
}

static enum fh_code drop(struct fh_sqlite_conn *conn, struct fh_sqlite_view_set *set,
                         struct fh_error *error)
{
    enum fh_code code = change(conn, set, false, error);
    if (code == FH_OK) {
        fh_sqlite_statements_forget(&conn->statements, set->serial);
        forget(&conn->views, set);
    }
    return code;
}

enum fh_code fh_sqlite_views_clear(struct fh_sqlite_conn *conn, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    FH_ASSERT(!fh_sqlite_conn_in_transaction(conn));
    while (code == FH_OK && !fh_list_empty(&conn->views.recent)) {
        code = drop(conn, FH_CONTAINER_OF(conn->views.recent.next, struct fh_sqlite_view_set, node),
                    error);
    }
    return code;
}

static enum fh_code make(struct fh_sqlite_conn *conn, const struct fh_schema *schema,
                         struct fh_sqlite_view_set **out, struct fh_error *error)
{
    struct fh_sqlite_views *views = &conn->views;
    enum fh_code code = FH_OK;
    if (views->map.count >= FH_SQLITE_VIEWS_MAX) {
        FH_ASSERT(!fh_list_empty(&views->recent));
        code =
            drop(conn, FH_CONTAINER_OF(views->recent.prev, struct fh_sqlite_view_set, node), error);
    }
    if (code != FH_OK) {
        return code;
    }
    struct fh_sqlite_view_set *set = fh_calloc(1, sizeof(*set));
    if (set == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    fh_list_init(&set->node);
    make_key(conn, schema, &set->key);
    set->schema = schema;
    set->serial = ++views->serial;
    (void)snprintf(set->name, sizeof(set->name), "fh_v%" PRIu64 "_", set->serial);
    code = fh_map_put(&views->map, set);
    if (code != FH_OK) {
        fh_free(set);
        return fh_error_set(error, code, "a home's views could not be kept");
    }
    fh_list_push_front(&views->recent, &set->node);
    code = change(conn, set, true, error);
    if (code != FH_OK) {
        forget(views, set);
        return code;
    }
    *out = set;
    return FH_OK;
}

enum fh_code fh_sqlite_views_use(struct fh_sqlite_conn *conn, const struct fh_schema *schema,
                                 struct fh_error *error)
{
    struct fh_sqlite_view_set *set = find(conn, schema);
    if (set == NULL) {
        if (fh_sqlite_conn_in_transaction(conn) && conn->role != FH_SQLITE_READER) {
            return fh_error_set(error, FH_INTERNAL, "a home's views were not made in time");
        }
        enum fh_code code = make(conn, schema, &set, error);
        if (code != FH_OK) {
            return code;
        }
    }
    FH_ASSERT(set != NULL && set->node.next != NULL);
    if (conn->views.current != set) {
        fh_list_remove(&set->node);
        fh_list_push_front(&conn->views.recent, &set->node);
        conn->views.current = set;
    }
    return FH_OK;
}

bool fh_sqlite_views_current(const struct fh_sqlite_conn *conn, const char *view)
{
    const struct fh_sqlite_view_set *set = conn->views.current;
    return set != NULL && view != NULL && strncmp(view, set->name, strlen(set->name)) == 0;
}

bool fh_sqlite_views_show(const struct fh_sqlite_conn *conn, const char *view, const char *table)
{
    const struct fh_sqlite_view_set *set = conn->views.current;
    if (!fh_sqlite_views_current(conn, view) || table == NULL) {
        return false;
    }
    size_t prefix = strlen(set->key.prefix);
    return strncmp(table, set->key.prefix, prefix) == 0 &&
           strcmp(view + strlen(set->name), table + prefix) == 0;
}
