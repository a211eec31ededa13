/* References' actions, asked of the file: stores/cascade.h decides, this answers its questions.
 *
 * Happy path: the common commit has no question, and costs a look at the schema. Otherwise each
 * page of live rows comes by the foreign key's own index, through the tenant's view.
 *
 * Failures: SQLite's own, a row of another tenant (FH_FOREIGN_ROW), and what the rules refuse.
 */
#include "stores/cascade.h"

#include "stores/sqlite/apply.h"
#include "stores/sqlite/owner.h"
#include "stores/sqlite/rows.h"

static int bind_question(sqlite3_stmt *statement, const struct fh_cascade_question *question)
{
    int rc = sqlite3_bind_int64(statement, 2, (sqlite3_int64)question->limit);
    if (rc == SQLITE_OK) {
        rc = fh_sqlite_bind_key(statement, 3, question->parent);
    }
    if (rc == SQLITE_OK && question->after != NULL) {
        rc = fh_sqlite_bind_key(statement, 3 + question->parent->table->key_count, question->after);
    }
    return rc;
}

static enum fh_code read_children(struct fh_sqlite_conn *conn, struct fh_request *request,
                                  sqlite3_stmt *statement,
                                  const struct fh_cascade_question *question, struct fh_row **rows,
                                  size_t *count)
{
    const struct fh_uuid *tenant = &request->scope.tenant;
    for (*count = 0; *count < question->limit;) {
        bool found = false;
        enum fh_code code = fh_sqlite_statement_step(conn, statement, &found, &request->error);
        if (code != FH_OK || !found) {
            return code;
        }
        code = fh_sqlite_owned(conn, statement, 0, tenant, &request->error);
        if (code == FH_OK) {
            code = fh_sqlite_read_row(statement, 0, question->child, request->arena, &rows[*count]);
        }
        if (code != FH_OK) {
            return code;
        }
        ++*count;
    }
    return FH_OK;
}

struct asked {
    struct fh_sqlite_conn *conn;
    struct fh_request *request;
};

static enum fh_code find_cb(const struct fh_cascade_question *question, struct fh_row **rows,
                            size_t *count, void *arg)
{
    const struct asked *asked = arg;
    struct fh_sqlite_conn *conn = asked->conn;
    struct fh_request *request = asked->request;
    sqlite3_stmt *statement = NULL;
    size_t reference = (size_t)(question->reference - question->child->foreign_keys);
    uint16_t ordinal = (uint16_t)(2 * reference + (question->after != NULL ? 1 : 0));
    enum fh_code code =
        fh_sqlite_statement_get(conn, FH_SQLITE_CHILDREN, question->child, ordinal,
                                &request->scope.tenant, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    int rc = bind_question(statement, question);
    code = rc == SQLITE_OK ? read_children(conn, request, statement, question, rows, count)
                           : fh_sqlite_conn_fail(conn, rc, &request->error);
    fh_sqlite_statement_end(conn, statement);
    return code;
}

static enum fh_code append(struct fh_request *request, const struct fh_cascade_write *derived,
                           size_t count, struct fh_sqlite_changes *changes)
{
    size_t total = changes->count + count;
    const struct fh_write *writes =
        fh_cascade_behind(changes->writes, changes->count, derived, count, request->arena);
    struct fh_sqlite_change *list = FH_ARENA_ARRAY(request->arena, struct fh_sqlite_change, total);
    if (writes == NULL || list == NULL) {
        return fh_error_set(&request->error, FH_NOMEM, "out of memory");
    }
    memcpy(list, changes->list, changes->count * sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        list[changes->count + i] = (struct fh_sqlite_change){
            .before = derived[i].before, .after = derived[i].after, .origin = derived[i].origin};
    }
    *changes = (struct fh_sqlite_changes){.writes = writes, .list = list, .count = total};
    return FH_OK;
}

enum fh_code fh_sqlite_cascade(struct fh_sqlite_conn *conn, struct fh_request *request,
                               struct fh_sqlite_changes *changes)
{
    struct fh_op_commit *commit = &request->as.commit;
    struct asked asked = {.conn = conn, .request = request};
    const struct fh_cascade_write *derived = NULL;
    size_t count = 0;
    struct fh_row **before = FH_ARENA_ARRAY(request->arena, struct fh_row *, commit->count);
    struct fh_row **after = FH_ARENA_ARRAY(request->arena, struct fh_row *, commit->count);
    if (before == NULL || after == NULL) {
        return fh_error_set(&request->error, FH_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < commit->count; i++) {
        before[i] = changes->list[i].before;
        after[i] = changes->list[i].after;
    }
    enum fh_code code =
        fh_cascade_run(request, commit->at_us, before, after, find_cb, &asked, &derived, &count);
    return code == FH_OK && count > 0 ? append(request, derived, count, changes) : code;
}
