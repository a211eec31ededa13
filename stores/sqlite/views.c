/* Happy path: the system tables' views are made once a connection; whenever a newer model arrives,
 * the version of the file is read again and the views of its tables are made.
 *
 * Failures: a file that is behind is FH_UNAVAILABLE, told after the views that are there.
 */
#include "stores/sqlite/views.h"

#include "base/assert.h"
#include "stores/sqlite/sql.h"

#define SQL_LEN_MAX (256 * 1024)

enum fh_code fh_sqlite_conn_read_version(struct fh_sqlite_conn *conn, struct fh_error *error)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code =
        fh_sqlite_statement_get(conn, FH_SQLITE_VERSION_READ, NULL, 0, NULL, &statement, error);
    if (code != FH_OK) {
        return code;
    }
    code = fh_sqlite_statement_step(conn, statement, &row, error);
    if (code == FH_OK && row) {
        conn->schema_version = sqlite3_column_int64(statement, 0);
    } else if (code == FH_OK) {
        code = fh_error_set(error, FH_CORRUPT, "the store's file has lost its schema version");
    }
    fh_sqlite_statement_end(conn, statement);
    return code;
}

static enum fh_code make_view(struct fh_sqlite_conn *conn, struct fh_str name, const char *sql,
                              struct fh_error *error)
{
    struct fh_buf drop;
    fh_buf_init(&drop, 256);
    fh_buf_printf(&drop, "DROP VIEW IF EXISTS temp.\"fh_v_%.*s\"", FH_STR_ARG(name));
    enum fh_code code = fh_buf_code(&drop);
    if (code == FH_OK) {
        code = fh_sqlite_conn_exec(conn, drop.data, error);
    }
    fh_buf_close(&drop);
    return code == FH_OK ? fh_sqlite_conn_exec(conn, sql, error) : code;
}

static enum fh_code make_system_views(struct fh_sqlite_conn *conn, struct fh_error *error)
{
    enum fh_code code = make_view(conn, FH_STR("fh_fence"),
                                  "CREATE TEMP VIEW fh_v_fh_fence AS SELECT tenant_id,epoch,"
                                  "generation,mode FROM main.fh_fence WHERE tenant_id=fh_tenant()",
                                  error);
    if (code == FH_OK) {
        code = make_view(conn, FH_STR("fh_commit"),
                         "CREATE TEMP VIEW fh_v_fh_commit AS SELECT txid,tenant_id,epoch,seq,"
                         "request_id,request_hash,schema_version,actor,address,at,changes,images "
                         "FROM main.fh_commit WHERE tenant_id=fh_tenant()",
                         error);
    }
    if (code == FH_OK) {
        code = make_view(conn, FH_STR("fh_move"),
                         "CREATE TEMP VIEW fh_v_fh_move AS SELECT tenant_id,state "
                         "FROM main.fh_move WHERE tenant_id=fh_tenant()",
                         error);
    }
    conn->has_views = code == FH_OK;
    return code;
}

static enum fh_code make_table_views(struct fh_sqlite_conn *conn, const struct fh_schema *schema,
                                     struct fh_error *error)
{
    enum fh_code code = FH_OK;
    struct fh_buf sql;
    fh_buf_init(&sql, SQL_LEN_MAX);
    for (uint32_t i = 0; i < schema->table_count && code == FH_OK; i++) {
        fh_buf_clear(&sql);
        fh_sqlite_sql_view(schema->tables[i], &sql);
        code = fh_buf_code(&sql);
        if (code == FH_OK) {
            code = make_view(conn, schema->tables[i]->name, sql.data, error);
        }
    }
    fh_buf_close(&sql);
    return code;
}

enum fh_code fh_sqlite_conn_use_schema(struct fh_sqlite_conn *conn, const struct fh_schema *schema,
                                       struct fh_error *error)
{
    FH_ASSERT(!fh_sqlite_conn_in_transaction(conn));
    enum fh_code code = conn->has_views ? FH_OK : make_system_views(conn, error);
    if (code != FH_OK || schema == NULL) {
        return code;
    }
    int64_t wanted = schema->version;
    if (wanted > conn->schema_version) {
        code = fh_sqlite_conn_read_version(conn, error);
    }
    if (code == FH_OK && wanted > conn->schema_version) {
        return fh_error_set(error, FH_UNAVAILABLE,
                            "the store's schema is older than version %u, which the request "
                            "needs; apply it to this store first",
                            schema->version);
    }
    if (code == FH_OK && conn->views_version < wanted) {
        code = make_table_views(conn, schema, error);
        conn->views_version = code == FH_OK ? wanted : conn->views_version;
    }
    return code;
}
