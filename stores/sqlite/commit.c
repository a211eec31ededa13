/* Happy path: the fence is open at the routed epoch, the request id is new (one statement tells
 * both, and the last record's number, which stays the last: this is the only writer), each write's
 * row is read and evaluated, what follows from references' actions is put behind them, all rows are
 * stored, the reference rules hold, the record goes in.
 *
 * Failures: the first refusal ends it, failed_write says where; an earlier commit with the request
 * id is answered again. seq counts within (tenant, epoch), so that it tells nothing about other
 * tenants; the order over the whole file is txid's.
 */
#include "stores/sqlite/commit.h"

#include "base/buf.h"
#include "stores/commit_record.h"
#include "stores/image.h"
#include "stores/sqlite/apply.h"
#include "stores/sqlite/fence.h"
#include "stores/sqlite/owner.h"
#include "stores/sqlite/rows.h"
#include "stores/sqlite/version.h"

#define CHANGES_LEN_MAX (16u * 1024 * 1024)
#define IMAGES_LEN_MAX (128u * 1024 * 1024)

static enum fh_code say(struct fh_request *request, enum fh_code code)
{
    return code == FH_OK ? code : fh_error_set(&request->error, code, "%s", fh_code_text(code));
}

/* FH_NOT_FOUND: the request id is new. Otherwise the answer of the request. */
static enum fh_code replay(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_op_commit *commit = &request->as.commit;
    struct fh_commit_record record;
    sqlite3_stmt *statement = NULL;
    bool found = false;
    enum fh_code code = fh_sqlite_statement_get(
        conn, FH_SQLITE_RECORD_FIND, NULL, 0, &request->scope.tenant, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    int rc = fh_sqlite_bind_text(statement, 2, commit->request_id);
    code = rc == SQLITE_OK ? fh_sqlite_statement_step(conn, statement, &found, &request->error)
                           : fh_sqlite_conn_fail(conn, rc, &request->error);
    if (code == FH_OK && !found) {
        code = FH_NOT_FOUND;
    } else if (code == FH_OK) {
        code = fh_sqlite_owned(conn, statement, 0, &request->scope.tenant, &request->error);
    }
    if (code == FH_OK) {
        const void *hash = sqlite3_column_blob(statement, FH_SQLITE_RECORD_COLUMNS);
        bool whole = hash != NULL && sqlite3_column_bytes(statement, FH_SQLITE_RECORD_COLUMNS) ==
                                         (int)sizeof(commit->request_hash);
        code = whole ? fh_sqlite_read_record(statement, 0, request->scope.schema, request->arena,
                                             &found, &record)
                     : FH_CORRUPT;
        code = code == FH_OK ? fh_commit_replay(commit, hash, &record, request->arena) : code;
        code = say(request, code);
    }
    fh_sqlite_statement_end(conn, statement);
    return code;
}

static enum fh_code read_before(struct fh_sqlite_conn *conn, struct fh_request *request,
                                const struct fh_key *key, struct fh_row **out)
{
    sqlite3_stmt *statement = NULL;
    bool found = false;
    *out = NULL;
    enum fh_code code = fh_sqlite_statement_get(
        conn, FH_SQLITE_BEFORE, key->table, 0, &request->scope.tenant, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    int rc = fh_sqlite_bind_key(statement, 2, key);
    code = rc == SQLITE_OK ? fh_sqlite_statement_step(conn, statement, &found, &request->error)
                           : fh_sqlite_conn_fail(conn, rc, &request->error);
    if (code == FH_OK && found) {
        code = fh_sqlite_owned(conn, statement, 0, &request->scope.tenant, &request->error);
        if (code == FH_OK) {
            code = say(request, fh_sqlite_read_row(statement, 0, key->table, request->arena, out));
        }
    }
    fh_sqlite_statement_end(conn, statement);
    return code;
}

static enum fh_code evaluate(struct fh_sqlite_conn *conn, struct fh_request *request,
                             struct fh_sqlite_change *changes)
{
    struct fh_op_commit *commit = &request->as.commit;
    for (size_t i = 0; i < commit->count; i++) {
        const struct fh_write *write = &commit->writes[i];
        changes[i].origin = i;
        enum fh_code code = read_before(conn, request, &write->key, &changes[i].before);
        if (code == FH_OK) {
            code =
                fh_write_evaluate(write, changes[i].before, &request->scope.tenant, commit->at_us,
                                  request->arena, &changes[i].after, &request->error);
        }
        if (code != FH_OK) {
            commit->failed_write = i;
            return code;
        }
    }
    return FH_OK;
}

static int bind_record(sqlite3_stmt *statement, const struct fh_request *request, uint64_t seq,
                       struct fh_str changes, struct fh_str images)
{
    const struct fh_op_commit *commit = &request->as.commit;
    int rc = sqlite3_bind_int64(statement, 2, (sqlite3_int64)request->scope.epoch);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int64(statement, 3, (sqlite3_int64)seq);
    }
    if (rc == SQLITE_OK) {
        rc = commit->request_id.len > 0 ? fh_sqlite_bind_text(statement, 4, commit->request_id)
                                        : sqlite3_bind_null(statement, 4);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_blob(statement, 5, commit->request_hash, sizeof(commit->request_hash),
                               SQLITE_STATIC);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int64(statement, 6, request->scope.schema->version);
    }
    if (rc == SQLITE_OK) {
        rc = fh_sqlite_bind_text(statement, 7, commit->actor);
    }
    if (rc == SQLITE_OK) {
        rc = fh_sqlite_bind_text(statement, 8, commit->address);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int64(statement, 9, commit->at_us);
    }
    if (rc == SQLITE_OK) {
        rc = fh_sqlite_bind_text(statement, 10, changes);
    }
    return rc == SQLITE_OK ? fh_sqlite_bind_bytes(statement, 11, images) : rc;
}

static enum fh_code insert_record(struct fh_sqlite_conn *conn, struct fh_request *request,
                                  uint64_t seq, struct fh_str changes, struct fh_str images)
{
    sqlite3_stmt *statement = NULL;
    size_t count = 0;
    enum fh_code code =
        fh_sqlite_statement_get(conn, FH_SQLITE_RECORD_INSERT, NULL, 0, &request->scope.tenant,
                                &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    int rc = bind_record(statement, request, seq, changes, images);
    code = rc == SQLITE_OK
               ? fh_sqlite_put_row(conn, statement, &request->scope.tenant, &count, &request->error)
               : fh_sqlite_conn_fail(conn, rc, &request->error);
    fh_sqlite_statement_end(conn, statement);
    if (code == FH_OK && count != 1) {
        code = fh_error_set(&request->error, FH_INTERNAL, "the commit record was not written");
    }
    request->as.commit.seq = seq;
    return code;
}

static enum fh_code record(struct fh_sqlite_conn *conn, struct fh_request *request, uint64_t seq,
                           const struct fh_sqlite_changes *set)
{
    struct fh_buf changes;
    struct fh_buf images;
    fh_buf_init(&changes, CHANGES_LEN_MAX);
    fh_buf_init(&images, IMAGES_LEN_MAX);
    fh_changes_encode(set->writes, set->count, &changes);
    fh_images_begin(&images);
    for (size_t i = 0; i < set->count; i++) {
        fh_images_add(&images, set->list[i].before, set->list[i].after);
    }
    enum fh_code code = fh_buf_code(&changes);
    if (code == FH_OK) {
        code = fh_buf_code(&images);
    }
    code = say(request, code);
    if (code == FH_OK) {
        code = insert_record(conn, request, seq, fh_buf_str(&changes), fh_buf_str(&images));
    }
    fh_buf_close(&changes);
    fh_buf_close(&images);
    return code;
}

static void clear_results(struct fh_op_commit *commit)
{
    commit->rows = NULL;
    commit->seq = 0;
    commit->replayed = false;
    commit->failed_write = SIZE_MAX;
}

enum fh_code fh_sqlite_commit(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_op_commit *commit = &request->as.commit;
    uint64_t last_seq = 0;
    bool known = false;
    clear_results(commit);
    enum fh_code code = fh_sqlite_fence_commit(conn, request, &last_seq, &known);
    if (code == FH_OK && known) {
        code = replay(conn, request);
        if (code != FH_NOT_FOUND) {
            return code;
        }
        code = FH_OK;
    }
    if (code != FH_OK) {
        return code;
    }
    struct fh_sqlite_changes changes = {
        .writes = commit->writes,
        .list = FH_ARENA_ARRAY(request->arena, struct fh_sqlite_change, commit->count),
        .count = commit->count};
    struct fh_row **rows = FH_ARENA_ARRAY(request->arena, struct fh_row *, commit->count);
    if (changes.list == NULL || rows == NULL) {
        return say(request, FH_NOMEM);
    }
    code = evaluate(conn, request, changes.list);
    if (code == FH_OK) {
        code = fh_sqlite_cascade(conn, request, &changes);
    }
    if (code == FH_OK) {
        code = fh_sqlite_apply(conn, request, &changes);
    }
    if (code == FH_OK) {
        code = fh_sqlite_references(conn, request, &changes);
    }
    if (code == FH_OK && !commit->validate_only) {
        code = record(conn, request, last_seq + 1, &changes);
    }
    for (size_t i = 0; i < commit->count && code == FH_OK; i++) {
        rows[i] = changes.list[i].after;
    }
    commit->rows = code == FH_OK ? rows : NULL;
    return code;
}
