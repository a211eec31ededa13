/* Unique constraints hold at the end of a commit, SQLite checks them row by row. So there are two
 * rounds:
 *
 *   1. what frees unique values: purges, deletes, and (when there are several writes) live rows
 * whose unique values change, which are taken out
 *   2. everything else, and those rows again
 *
 * Within round two no row can collide with a value that this commit frees.
 *
 * Failures: a unique violation names the constraint's columns, found by a probe of each unique
 * index: SQLite's message would have to be parsed, and the other row's values are nobody's
 * business.
 */
#include "stores/sqlite/apply.h"

#include "base/buf.h"
#include "stores/sqlite/errors.h"
#include "stores/sqlite/owner.h"
#include "stores/sqlite/rows.h"

static bool is_live(const struct fh_row *row)
{
    return row != NULL && row->deleted_at_us == 0;
}

static bool same_columns(const struct fh_row *a, const struct fh_row *b, const uint16_t *positions,
                         uint16_t count)
{
    for (uint16_t i = 0; i < count; i++) {
        if (!fh_value_equal(&a->values[positions[i]], &b->values[positions[i]])) {
            return false;
        }
    }
    return true;
}

static bool unique_changes(const struct fh_row *before, const struct fh_row *after)
{
    const struct fh_table *table = before->table;
    for (uint16_t i = 0; i < table->index_count; i++) {
        const struct fh_index *index = &table->indexes[i];
        if (index->unique && !same_columns(before, after, index->columns, index->column_count)) {
            return true;
        }
    }
    return false;
}

static void name_columns(const struct fh_table *table, const struct fh_index *index,
                         struct fh_buf *out)
{
    for (uint16_t i = 0; i < index->column_count; i++) {
        fh_buf_printf(out, "%s%.*s", i > 0 ? "," : "",
                      FH_STR_ARG(table->columns[index->columns[i]].name));
    }
}

static enum fh_code probe(struct fh_sqlite_conn *conn, const struct fh_request *request,
                          const struct fh_row *row, uint16_t ordinal, bool *taken)
{
    const struct fh_index *index = &row->table->indexes[ordinal];
    sqlite3_stmt *statement = NULL;
    struct fh_key key;
    *taken = false;
    enum fh_code code = fh_sqlite_statement_get(conn, FH_SQLITE_UNIQUE, row->table, ordinal,
                                                &request->scope.tenant, &statement, NULL);
    if (code != FH_OK) {
        return code;
    }
    int rc = SQLITE_OK;
    for (int i = 0; i < index->column_count && rc == SQLITE_OK; i++) {
        rc = fh_sqlite_bind_value(statement, 2 + i, &row->values[index->columns[i]]);
    }
    if (rc == SQLITE_OK) {
        fh_key_of_row(row, &key);
        rc = fh_sqlite_bind_key(statement, 2 + index->column_count, &key);
    }
    code = rc == SQLITE_OK ? fh_sqlite_statement_step(conn, statement, taken, NULL)
                           : fh_sqlite_conn_fail(conn, rc, NULL);
    fh_sqlite_statement_end(conn, statement);
    return code;
}

enum fh_code fh_sqlite_explain_unique(struct fh_sqlite_conn *conn, struct fh_request *request,
                                      const struct fh_row *row)
{
    const struct fh_table *table = row->table;
    struct fh_buf names;
    fh_buf_init(&names, FH_ERROR_FIELD_MAX * 8);
    bool taken = false;
    for (uint16_t i = 0; i < table->index_count && !taken; i++) {
        if (table->indexes[i].unique && probe(conn, request, row, i, &taken) == FH_OK && taken) {
            name_columns(table, &table->indexes[i], &names);
        }
    }
    const char *columns = taken && fh_buf_code(&names) == FH_OK ? names.data : "";
    enum fh_code code = fh_error_field(&request->error, FH_UNIQUE_VIOLATION, columns,
                                       "another live record has the same value of (%s)", columns);
    fh_buf_close(&names);
    return code;
}

enum fh_code fh_sqlite_explain_check(struct fh_sqlite_conn *conn, struct fh_request *request,
                                     const struct fh_row *row, enum fh_code code)
{
    const struct fh_check *check =
        code == FH_CHECK_VIOLATION ? fh_sqlite_broken_check(conn->db, row->table) : NULL;
    return check == NULL ? code
                         : fh_error_set(&request->error, code, "check %.*s of table %.*s is broken",
                                        FH_STR_ARG(check->name), FH_STR_ARG(row->table->name));
}

/* Stores `row` (INSERT, UPDATE) or removes `key` (DELETE); exactly one row must have been meant. */
static enum fh_code store(struct fh_sqlite_conn *conn, struct fh_request *request,
                          enum fh_sqlite_shape shape, struct fh_row *row)
{
    sqlite3_stmt *statement = NULL;
    size_t count = 0;
    struct fh_key key;
    enum fh_code code = fh_sqlite_statement_get(conn, shape, row->table, 0, &request->scope.tenant,
                                                &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    int rc = SQLITE_OK;
    if (shape == FH_SQLITE_DELETE) {
        fh_key_of_row(row, &key);
        rc = fh_sqlite_bind_key(statement, 2, &key);
    } else {
        rc = fh_sqlite_bind_row(statement, row);
    }
    conn->last_rc = SQLITE_OK;
    if (rc != SQLITE_OK) {
        code = fh_sqlite_conn_fail(conn, rc, &request->error);
    } else if (shape == FH_SQLITE_INSERT) {
        code = fh_sqlite_put_row(conn, statement, &request->scope.tenant, &count, &request->error);
    } else {
        code =
            fh_sqlite_write_rows(conn, statement, &request->scope.tenant, &count, &request->error);
    }
    code = fh_sqlite_explain_check(conn, request, row, code);
    fh_sqlite_statement_end(conn, statement);
    if (code == FH_OK && count != 1) {
        return fh_error_set(&request->error, FH_INTERNAL, "a write met %zu rows", count);
    }
    if (code == FH_UNIQUE_VIOLATION && conn->last_rc == SQLITE_CONSTRAINT_UNIQUE) {
        return fh_sqlite_explain_unique(conn, request, row);
    }
    return code;
}

/* Round one for one change. */
static enum fh_code release(struct fh_sqlite_conn *conn, struct fh_request *request, bool alone,
                            struct fh_sqlite_change *change)
{
    change->released = false;
    change->stored = false;
    if (change->before == NULL) {
        return FH_OK;
    }
    if (change->after == NULL) {
        change->stored = true;
        return store(conn, request, FH_SQLITE_DELETE, change->before);
    }
    if (!is_live(change->before)) {
        return FH_OK;
    }
    if (!is_live(change->after)) {
        change->stored = true;
        return store(conn, request, FH_SQLITE_UPDATE, change->after);
    }
    if (!alone && unique_changes(change->before, change->after)) {
        change->released = true;
        return store(conn, request, FH_SQLITE_DELETE, change->before);
    }
    return FH_OK;
}

enum fh_code fh_sqlite_apply(struct fh_sqlite_conn *conn, struct fh_request *request,
                             struct fh_sqlite_changes *changes)
{
    size_t *failed_write = &request->as.commit.failed_write;
    for (size_t i = 0; i < changes->count; i++) {
        enum fh_code code = release(conn, request, changes->count == 1, &changes->list[i]);
        if (code != FH_OK) {
            *failed_write = changes->list[i].origin;
            return code;
        }
    }
    for (size_t i = 0; i < changes->count; i++) {
        struct fh_sqlite_change *change = &changes->list[i];
        if (change->stored) {
            continue;
        }
        bool fresh = change->before == NULL || change->released;
        enum fh_code code =
            store(conn, request, fresh ? FH_SQLITE_INSERT : FH_SQLITE_UPDATE, change->after);
        if (code != FH_OK) {
            *failed_write = change->origin;
            return code;
        }
        change->stored = true;
    }
    return FH_OK;
}
