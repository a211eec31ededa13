/* Happy path: found in the map, moved to the front, bound to the tenant. Otherwise the text is
 * made, prepared and remembered, and the least recently used statement goes when there are too
 * many.
 */
#include "stores/sqlite/statements.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "stores/sqlite/conn.h"
#include "stores/sqlite/errors.h"

#define TEXT_LEN_MAX (256 * 1024)

/* Compared as bytes: no padding. */
struct statement_key {
    uint64_t table; /* the model's address: it never moves and is never freed */
    uint64_t set;   /* serial of the views; 0: the text is the same for every home */
    uint32_t shape;
    uint16_t ordinal;
    uint16_t flags;
};

struct fh_sqlite_statement {
    struct fh_list node;
    struct statement_key key;
    sqlite3_stmt *prepared;
};

static struct fh_str key_of(const void *item)
{
    const struct fh_sqlite_statement *statement = item;
    return (struct fh_str){.data = (const char *)&statement->key, .len = sizeof(statement->key)};
}

/* The keys are ours, nobody chooses them so that they meet. */
static struct fh_sqlite_statement **hot_place(struct fh_sqlite_statements *statements,
                                              const struct statement_key *key)
{
    uint64_t mixed = key->table + (key->set << 24) + ((uint64_t)key->ordinal << 8) + key->shape;
    mixed *= UINT64_C(0x9e3779b97f4a7c15); /* 2^64 over the golden ratio: its high bits are mixed */
    return &statements->hot[mixed >> (64 - 6)]; /* of FH_SQLITE_STATEMENTS_HOT */
}

static struct fh_sqlite_statement *find(struct fh_sqlite_statements *statements,
                                        const struct statement_key *key)
{
    struct fh_sqlite_statement **hot = hot_place(statements, key);
    if (*hot != NULL && memcmp(&(*hot)->key, key, sizeof(*key)) == 0) {
        return *hot;
    }
    struct fh_sqlite_statement *statement = fh_map_get(
        &statements->map, (struct fh_str){.data = (const char *)key, .len = sizeof(*key)});
    if (statement != NULL) {
        *hot = statement;
    }
    return statement;
}

void fh_sqlite_statements_init(struct fh_sqlite_statements *statements)
{
    memset((void *)statements->hot, 0, sizeof(statements->hot));
    fh_map_init(&statements->map, FH_SQLITE_STATEMENTS_MAX, key_of);
    fh_list_init(&statements->recent);
}

static void drop(struct fh_sqlite_statements *statements, struct fh_sqlite_statement *statement)
{
    struct fh_sqlite_statement **hot = hot_place(statements, &statement->key);
    if (*hot == statement) {
        *hot = NULL;
    }
    fh_map_remove(&statements->map, key_of(statement));
    fh_list_remove(&statement->node);
    sqlite3_finalize(statement->prepared);
    fh_free(statement);
}

void fh_sqlite_statements_close(struct fh_sqlite_statements *statements)
{
    while (!fh_list_empty(&statements->recent)) {
        drop(statements,
             FH_CONTAINER_OF(statements->recent.next, struct fh_sqlite_statement, node));
    }
    fh_map_close(&statements->map);
    fh_sqlite_statements_init(statements);
}

void fh_sqlite_statements_forget(struct fh_sqlite_statements *statements, uint64_t set)
{
    struct fh_list *node = statements->recent.next;
    while (node != &statements->recent) { /* at most FH_SQLITE_STATEMENTS_MAX */
        struct fh_sqlite_statement *statement =
            FH_CONTAINER_OF(node, struct fh_sqlite_statement, node);
        node = node->next;
        if (statement->key.set == set) {
            drop(statements, statement);
        }
    }
}

static void make_room(struct fh_sqlite_statements *statements)
{
    struct fh_list *node = statements->recent.prev;
    while (statements->map.count >= FH_SQLITE_STATEMENTS_MAX && node != &statements->recent) {
        struct fh_sqlite_statement *statement =
            FH_CONTAINER_OF(node, struct fh_sqlite_statement, node);
        node = node->prev;
        if (sqlite3_stmt_busy(statement->prepared) == 0) {
            drop(statements, statement);
        }
    }
}

static enum fh_code prepare(struct fh_sqlite_conn *conn, const struct statement_key *key,
                            const struct fh_table *table, struct fh_sqlite_statement **out,
                            struct fh_error *error)
{
    struct fh_sqlite_statement *statement = fh_calloc(1, sizeof(*statement));
    if (statement == NULL) {
        (void)fh_error_set(error, FH_NOMEM, "out of memory");
        return FH_NOMEM;
    }
    statement->key = *key;
    fh_list_init(&statement->node);
    struct fh_buf sql;
    fh_buf_init(&sql, TEXT_LEN_MAX);
    const struct fh_sqlite_view_set *set = conn->views.current;
    struct fh_sqlite_text text = {
        .prefix = key->set != 0 ? set->key.prefix : "",
        .views = key->set != 0 ? set->name : "",
        .flags = key->flags,
    };
    fh_sqlite_sql((enum fh_sqlite_shape)key->shape, table, key->ordinal, &text, &sql);
    enum fh_code code = fh_buf_code(&sql);
    if (code != FH_OK) {
        code = fh_error_set(error, code, "a statement's text could not be made");
    } else {
        int rc = sqlite3_prepare_v3(conn->db, sql.data, (int)sql.len + 1, SQLITE_PREPARE_PERSISTENT,
                                    &statement->prepared, NULL);
        if (rc != SQLITE_OK) {
            code = fh_sqlite_conn_fail(conn, rc, error);
        }
    }
    fh_buf_close(&sql);
    if (code == FH_OK) {
        make_room(&conn->statements);
        code = fh_map_put(&conn->statements.map, statement);
        if (code != FH_OK) {
            code = fh_error_set(error, code, "a statement could not be kept");
        }
    }
    if (code != FH_OK) {
        sqlite3_finalize(statement->prepared);
        fh_free(statement);
        return code;
    }
    *out = statement;
    return FH_OK;
}

enum fh_code fh_sqlite_statement_get(struct fh_sqlite_conn *conn, enum fh_sqlite_shape shape,
                                     const struct fh_table *table, uint16_t ordinal,
                                     const struct fh_uuid *tenant, sqlite3_stmt **out,
                                     struct fh_error *error)
{
    const struct fh_sqlite_view_set *set = conn->views.current;
    bool of_home = shape >= FH_SQLITE_VERSION_READ;
    FH_ASSERT(conn->db != NULL);
    FH_ASSERT(!of_home || (set != NULL && strcmp(set->key.prefix, conn->prefix) == 0));
    struct statement_key key = {
        .table = (uint64_t)(uintptr_t)table,
        .set = of_home ? set->serial : 0,
        .shape = (uint32_t)shape,
        .ordinal = ordinal,
        .flags = (uint16_t)fh_sqlite_conn_text_flags(conn),
    };
    /* Also in force when SQLite prepares the statement anew inside a step. */
    conn->access = fh_sqlite_shape_writes(shape) ? FH_SQLITE_ACCESS_WRITE : FH_SQLITE_ACCESS_READ;
    struct fh_sqlite_statement *statement = find(&conn->statements, &key);
    if (statement == NULL) {
        enum fh_code code = prepare(conn, &key, table, &statement, error);
        if (code != FH_OK) {
            return code;
        }
    }
    fh_list_remove(&statement->node);
    fh_list_push_front(&conn->statements.recent, &statement->node);
    FH_ASSERT(sqlite3_stmt_busy(statement->prepared) == 0);
    fh_sqlite_conn_enter(conn, tenant);
    if (tenant != NULL) {
        conn->first = *tenant;
        int rc = sqlite3_bind_blob(statement->prepared, 1, tenant->bytes, sizeof(tenant->bytes),
                                   SQLITE_STATIC);
        if (rc != SQLITE_OK) {
            fh_sqlite_conn_enter(conn, NULL);
            return fh_sqlite_conn_fail(conn, rc, error);
        }
    }
    *out = statement->prepared;
    return FH_OK;
}

enum fh_code fh_sqlite_statement_step(struct fh_sqlite_conn *conn, sqlite3_stmt *statement,
                                      bool *row, struct fh_error *error)
{
    int rc = sqlite3_step(statement);
    *row = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? FH_OK : fh_sqlite_conn_fail(conn, rc, error);
}

void fh_sqlite_statement_end(struct fh_sqlite_conn *conn, sqlite3_stmt *statement)
{
    sqlite3_reset(statement); /* repeats the step's error, which was told */
    sqlite3_clear_bindings(statement);
    fh_sqlite_conn_enter(conn, NULL);
}

enum fh_code fh_sqlite_statement_run(struct fh_sqlite_conn *conn, enum fh_sqlite_shape shape,
                                     struct fh_error *error)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code = fh_sqlite_statement_get(conn, shape, NULL, 0, NULL, &statement, error);
    if (code != FH_OK) {
        return code;
    }
    code = fh_sqlite_statement_step(conn, statement, &row, error);
    fh_sqlite_statement_end(conn, statement);
    return code;
}
