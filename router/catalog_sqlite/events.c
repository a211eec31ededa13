/* Happy path: the operators' audit, one row a change, written beside it and read by number.
 *
 * Failures: an answer that does not fit the arena is told as such; a smaller page may.
 */
#include "router/catalog_sqlite/ops.h"

enum fh_code fh_catalog_event(const struct fh_catalog_txn *txn, struct fh_catalog_request *request,
                              const char *action, const char *resource, const char *detail)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_EVENT_INSERT, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_int(statement, 1, txn->now_us);
    fh_catalog_bind_text(statement, 2, request->audit.actor);
    fh_catalog_bind_text(statement, 3, request->audit.address);
    fh_catalog_bind_text(statement, 4, fh_str_of(action));
    fh_catalog_bind_text(statement, 5, fh_str_of(resource));
    fh_catalog_bind_text(statement, 6, request->audit.reason);
    fh_catalog_bind_text(statement, 7, fh_str_of(detail));
    code = fh_catalog_db_step(txn->db, statement, &row, &request->error);
    fh_catalog_db_end(statement);
    return code;
}

static enum fh_code read_event(sqlite3_stmt *statement, struct fh_arena *arena,
                               struct fh_operator_event *out)
{
    out->id = (uint64_t)sqlite3_column_int64(statement, 0);
    out->at_us = sqlite3_column_int64(statement, 1);
    struct fh_str *texts[] = {&out->actor,    &out->address, &out->action,
                              &out->resource, &out->reason,  &out->detail};
    enum fh_code code = FH_OK;
    for (int i = 0; i < 6 && code == FH_OK; i++) {
        code = fh_catalog_column_text(statement, i + 2, arena, texts[i]);
    }
    return code;
}

static enum fh_code failed(struct fh_catalog_request *request, enum fh_code code)
{
    return fh_error_set(&request->error, code, "%s",
                        code == FH_TOO_LARGE ? "the answer is too large; ask for a smaller page"
                                             : fh_code_text(code));
}

enum fh_code fh_catalog_events(const struct fh_catalog_txn *txn, struct fh_catalog_request *request)
{
    size_t limit = request->as.events.limit;
    struct fh_str resource = request->as.events.resource;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    request->as.events.count = 0;
    request->as.events.more = false;
    request->as.events.events = FH_ARENA_ARRAY(request->arena, struct fh_operator_event, limit);
    if (request->as.events.events == NULL) {
        return failed(request, FH_TOO_LARGE);
    }
    enum fh_code code = fh_catalog_db_get(
        txn->db, resource.len > 0 ? FH_CATALOG_SQL_EVENTS_OF_RESOURCE : FH_CATALOG_SQL_EVENTS,
        &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_int(statement, 1, (int64_t)request->as.events.after_id);
    fh_catalog_bind_int(statement, 2, (int64_t)limit + 1);
    if (resource.len > 0) {
        fh_catalog_bind_text(statement, 3, resource);
    }
    while ((code = fh_catalog_db_step(txn->db, statement, &row, &request->error)) == FH_OK && row) {
        if (request->as.events.count == limit) {
            request->as.events.more = true;
            break;
        }
        code = read_event(statement, request->arena,
                          &request->as.events.events[request->as.events.count]);
        if (code != FH_OK) {
            code = failed(request, code);
            break;
        }
        request->as.events.count++;
    }
    fh_catalog_db_end(statement);
    return code;
}
