/* The reference rules of stores/write.h, row by row, when all rows of the commit are in place:
 *
 * - a row that is live, and was not or referenced something else before: its parents must be live
 * - a row that was live and is no more: no live row may reference it
 *
 * Every other combination held before this commit and is not touched by it. A deleted row
 * references nothing. Under both rules lies the physical constraint, which says the same of rows
 * that are there at all.
 *
 * Failures: FH_REFERENCE_VIOLATION naming this tenant's own columns and tables, never a row.
 */
#include "stores/sqlite/apply.h"
#include "stores/sqlite/rows.h"

static bool is_live(const struct fh_row *row)
{
    return row != NULL && row->deleted_at_us == 0;
}

/* With any null column there is no reference (MATCH SIMPLE). */
static bool references(const struct fh_row *row, const struct fh_foreign_key *fk)
{
    for (uint16_t i = 0; i < fk->column_count; i++) {
        if (row->values[fk->columns[i]].is_null) {
            return false;
        }
    }
    return true;
}

static bool same_reference(const struct fh_row *a, const struct fh_row *b,
                           const struct fh_foreign_key *fk)
{
    for (uint16_t i = 0; i < fk->column_count; i++) {
        if (!fh_value_equal(&a->values[fk->columns[i]], &b->values[fk->columns[i]])) {
            return false;
        }
    }
    return true;
}

/* Is there a live row of `table` (PARENT) or one that references `key` by its foreign key (CHILD)?
 */
static enum fh_code probe(struct fh_sqlite_conn *conn, struct fh_request *request,
                          enum fh_sqlite_shape shape, const struct fh_table *table,
                          uint16_t ordinal, const struct fh_key *key, bool *found)
{
    sqlite3_stmt *statement = NULL;
    enum fh_code code = fh_sqlite_statement_get(conn, shape, table, ordinal, &request->scope.tenant,
                                                &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    int rc = fh_sqlite_bind_key(statement, 2, key);
    code = rc == SQLITE_OK ? fh_sqlite_statement_step(conn, statement, found, &request->error)
                           : fh_sqlite_conn_fail(conn, rc, &request->error);
    fh_sqlite_statement_end(conn, statement);
    return code;
}

static enum fh_code check_parents(struct fh_sqlite_conn *conn, struct fh_request *request,
                                  const struct fh_sqlite_change *change)
{
    const struct fh_row *row = change->after;
    for (uint16_t i = 0; i < row->table->foreign_key_count; i++) {
        const struct fh_foreign_key *fk = &row->table->foreign_keys[i];
        if (!references(row, fk) ||
            (is_live(change->before) && same_reference(change->before, row, fk))) {
            continue;
        }
        struct fh_key key = {.table = fk->target};
        for (uint16_t k = 0; k < fk->column_count; k++) {
            key.values[k] = row->values[fk->columns[k]];
        }
        bool found = false;
        enum fh_code code = probe(conn, request, FH_SQLITE_PARENT, fk->target, 0, &key, &found);
        if (code != FH_OK) {
            return code;
        }
        if (!found) {
            char field[FH_IDENTIFIER_MAX + 1] = "";
            struct fh_str name = row->table->columns[fk->columns[0]].name;
            memcpy(field, name.data, name.len < sizeof(field) ? name.len : sizeof(field) - 1);
            return fh_error_field(&request->error, FH_REFERENCE_VIOLATION, field,
                                  "%s: there is no live record of %.*s with this key", field,
                                  FH_STR_ARG(fk->target->name));
        }
    }
    return FH_OK;
}

static enum fh_code check_children_in(struct fh_sqlite_conn *conn, struct fh_request *request,
                                      const struct fh_table *child, const struct fh_key *key)
{
    for (uint16_t i = 0; i < child->foreign_key_count; i++) {
        if (child->foreign_keys[i].target->id != key->table->id) {
            continue;
        }
        bool found = false;
        enum fh_code code = probe(conn, request, FH_SQLITE_CHILD, child, i, key, &found);
        if (code != FH_OK) {
            return code;
        }
        if (found) {
            return fh_error_set(&request->error, FH_REFERENCE_VIOLATION,
                                "a live record of %.*s references this record",
                                FH_STR_ARG(child->name));
        }
    }
    return FH_OK;
}

static enum fh_code check_children(struct fh_sqlite_conn *conn, struct fh_request *request,
                                   const struct fh_row *gone)
{
    const struct fh_schema *schema = request->scope.schema;
    struct fh_key key;
    fh_key_of_row(gone, &key);
    for (uint32_t i = 0; i < schema->table_count; i++) {
        enum fh_code code = check_children_in(conn, request, schema->tables[i], &key);
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

/* SQLite counts broken constraints and tells only at COMMIT, too late for one request of a group.
 */
static enum fh_code check_physical(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    int open = 0;
    int highest = 0;
    int rc = sqlite3_db_status(conn->db, SQLITE_DBSTATUS_DEFERRED_FKS, &open, &highest, 0);
    if (rc != SQLITE_OK) {
        return fh_sqlite_conn_fail(conn, rc, &request->error);
    }
    return open == 0 ? FH_OK
                     : fh_error_set(&request->error, FH_REFERENCE_VIOLATION,
                                    "a foreign key of the store's file is broken");
}

enum fh_code fh_sqlite_references(struct fh_sqlite_conn *conn, struct fh_request *request,
                                  const struct fh_sqlite_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        const struct fh_sqlite_change *change = &changes->list[i];
        enum fh_code code = FH_OK;
        if (is_live(change->after)) {
            code = check_parents(conn, request, change);
        } else if (is_live(change->before)) {
            code = check_children(conn, request, change->before);
        }
        if (code != FH_OK) {
            request->as.commit.failed_write = change->origin;
            return code;
        }
    }
    return check_physical(conn, request);
}
