/* The bounds of the mover's operations, and what may leave them: store.c's counterpart for move.h.
 *
 * Happy path: one case an operation in each of the three functions. Failures: FH_INVALID and
 * FH_TOO_LARGE with request->error, before an engine sees anything.
 */
#include "stores/move.h"

#include "stores/store.h"

#define MODES_ALL                                                                                  \
    (FH_FENCE_BIT(FH_FENCE_OPEN) | FH_FENCE_BIT(FH_FENCE_FROZEN) | FH_FENCE_BIT(FH_FENCE_CLOSED) | \
     FH_FENCE_BIT(FH_FENCE_INCOMING))

static enum fh_code invalid(struct fh_request *request, const char *what)
{
    return fh_error_set(&request->error, FH_INVALID, "%s", what);
}

enum fh_code fh_move_guard_check(struct fh_request *request, const struct fh_fence_guard *guard)
{
    if (guard->generation > INT64_MAX || guard->modes == 0 || (guard->modes & ~MODES_ALL) != 0) {
        return invalid(request, "not a fence guard");
    }
    return FH_OK;
}

static enum fh_code check_page(struct fh_request *request, size_t limit, size_t bytes_max)
{
    if (limit < 1 || limit > FH_SCAN_ROWS_MAX || bytes_max < 1 || bytes_max > FH_SCAN_BYTES_MAX) {
        return invalid(request, "a page of a move is out of bounds");
    }
    return FH_OK;
}

static enum fh_code check_cursor(struct fh_request *request, struct fh_str cursor)
{
    return cursor.len >= 1 && cursor.len <= FH_CURSOR_MAX ? FH_OK
                                                          : invalid(request, "not a cursor");
}

static enum fh_code check_bound(struct fh_request *request, const struct fh_table *table,
                                const struct fh_key *key)
{
    if (key == NULL) {
        return FH_OK;
    }
    if (key->table != table) {
        return invalid(request, "the range's bound is of another table");
    }
    return fh_request_check_key(request, key);
}

static enum fh_code check_scan(struct fh_request *request)
{
    const struct fh_op_scan *scan = &request->as.scan;
    if (!fh_request_knows_table(request, scan->table)) {
        return invalid(request, "the table is not of the request's schema");
    }
    enum fh_code code = check_page(request, scan->limit, scan->bytes_max);
    if (code == FH_OK) {
        code = check_bound(request, scan->table, scan->after);
    }
    return code == FH_OK ? check_bound(request, scan->table, scan->until) : code;
}

static enum fh_code check_changes(struct fh_request *request)
{
    const struct fh_op_changes *changes = &request->as.changes;
    if (changes->snapshot == NULL || changes->after_seq > INT64_MAX) {
        return invalid(request, "changes are asked for in a view");
    }
    enum fh_code code = check_page(request, changes->limit, changes->bytes_max);
    return code == FH_OK ? check_cursor(request, changes->since) : code;
}

static enum fh_code check_apply(struct fh_request *request)
{
    const struct fh_op_apply *apply = &request->as.apply;
    if (apply->delete_count > FH_APPLY_ROWS_MAX || apply->row_count > FH_APPLY_ROWS_MAX ||
        apply->journal_count > FH_APPLY_ROWS_MAX ||
        apply->delete_count + apply->row_count + apply->journal_count > FH_APPLY_ROWS_MAX ||
        apply->state.len > FH_MOVE_STATE_MAX) {
        return fh_error_set(&request->error, FH_TOO_LARGE, "a batch of a move is too large");
    }
    for (size_t i = 0; i < apply->delete_count; i++) {
        enum fh_code code = fh_request_check_key(request, &apply->deletes[i]);
        if (code != FH_OK) {
            return code;
        }
    }
    for (size_t i = 0; i < apply->row_count; i++) {
        const struct fh_row *row = apply->rows[i];
        if (!fh_request_knows_table(request, row->table) ||
            !fh_uuid_eq(&row->tenant, &request->scope.tenant)) {
            return invalid(request, "a row to apply is of another table or tenant");
        }
    }
    for (size_t i = 0; i < apply->journal_count; i++) {
        if (!fh_uuid_eq(&apply->journal[i].tenant, &request->scope.tenant)) {
            return invalid(request, "a commit record to apply is another tenant's");
        }
    }
    return FH_OK;
}

static enum fh_code check_copy_within(struct fh_request *request)
{
    const struct fh_op_copy_within *copy = &request->as.copy_within;
    struct fh_uuid owner;
    if (!fh_home_is_valid(&copy->source) || fh_home_equal(&copy->source, &request->scope.home) ||
        copy->source.tier == FH_TIER_DATABASE || request->scope.home.tier == FH_TIER_DATABASE ||
        (fh_home_is_dedicated(&copy->source) &&
         !(fh_home_tenant(&copy->source, &owner) && fh_uuid_eq(&owner, &request->scope.tenant)))) {
        return invalid(request, "not two homes of the tenant in one database");
    }
    if (!fh_request_knows_table(request, copy->table) || copy->limit < 1 ||
        copy->limit > FH_APPLY_ROWS_MAX || copy->state.len > FH_MOVE_STATE_MAX ||
        copy->source_epoch > INT64_MAX) {
        return invalid(request, "a page of a move is out of bounds");
    }
    enum fh_code code = fh_move_guard_check(request, &copy->source_guard);
    return code == FH_OK ? check_bound(request, copy->table, copy->after) : code;
}

struct fh_fence_guard *fh_move_op_guard(struct fh_request *request)
{
    switch (request->op) {
    case FH_OP_SNAPSHOT_OPEN:
        return &request->as.snapshot.guard;
    case FH_OP_SCAN:
        return &request->as.scan.guard;
    case FH_OP_SCAN_JOURNAL:
        return &request->as.scan_journal.guard;
    case FH_OP_CHANGES:
        return &request->as.changes.guard;
    case FH_OP_TALLY:
        return &request->as.tally.guard;
    case FH_OP_APPLY:
        return &request->as.apply.guard;
    case FH_OP_MOVE_STATE:
        return &request->as.move_state.guard;
    case FH_OP_REFERENCES:
        return &request->as.references.guard;
    case FH_OP_SIZE:
        return &request->as.size.guard;
    case FH_OP_COPY_WITHIN:
        return &request->as.copy_within.guard;
    default:
        return NULL;
    }
}

enum fh_code fh_move_op_check(struct fh_request *request)
{
    const struct fh_fence_guard *guard = fh_move_op_guard(request);
    enum fh_code code = guard != NULL ? fh_move_guard_check(request, guard) : FH_OK;
    if (code != FH_OK) {
        return code;
    }
    switch (request->op) {
    case FH_OP_SNAPSHOT_CLOSE:
        return request->as.snapshot.snapshot != NULL ? FH_OK : invalid(request, "no view to close");
    case FH_OP_SCAN:
        return check_scan(request);
    case FH_OP_SCAN_JOURNAL:
        return check_page(request, request->as.scan_journal.limit,
                          request->as.scan_journal.bytes_max);
    case FH_OP_CHANGES:
        return check_changes(request);
    case FH_OP_TALLY:
        return check_cursor(request, request->as.tally.since);
    case FH_OP_APPLY:
        return check_apply(request);
    case FH_OP_COPY_WITHIN:
        return check_copy_within(request);
    case FH_OP_SNAPSHOT_OPEN:
    case FH_OP_MOVE_STATE:
    case FH_OP_REFERENCES:
    case FH_OP_SIZE:
        return FH_OK;
    default:
        return invalid(request, "unknown operation");
    }
}

void fh_move_op_withhold(struct fh_request *request)
{
    switch (request->op) {
    case FH_OP_SNAPSHOT_OPEN:
        request->as.snapshot.snapshot = NULL;
        request->as.snapshot.cursor = (struct fh_str){0};
        return;
    case FH_OP_SCAN:
        request->as.scan.rows = NULL;
        request->as.scan.count = 0;
        request->as.scan.more = false;
        return;
    case FH_OP_SCAN_JOURNAL:
        request->as.scan_journal.rows = NULL;
        request->as.scan_journal.count = 0;
        request->as.scan_journal.more = false;
        return;
    case FH_OP_CHANGES:
        request->as.changes.journal = NULL;
        request->as.changes.journal_count = 0;
        request->as.changes.keys = NULL;
        request->as.changes.rows = NULL;
        request->as.changes.key_count = 0;
        request->as.changes.more = false;
        return;
    case FH_OP_TALLY:
        request->as.tally.count = 0;
        request->as.tally.seq_sum = 0;
        return;
    case FH_OP_APPLY:
        request->as.apply.rows_written = 0;
        return;
    case FH_OP_MOVE_STATE:
        request->as.move_state.state = (struct fh_str){0};
        return;
    case FH_OP_SIZE:
        request->as.size.rows = 0;
        request->as.size.records = 0;
        request->as.size.bytes = 0;
        return;
    case FH_OP_COPY_WITHIN:
        request->as.copy_within.last = (struct fh_key){.table = NULL};
        request->as.copy_within.rows = 0;
        request->as.copy_within.more = false;
        return;
    default:
        return;
    }
}

static bool rows_owned(struct fh_row *const *rows, size_t count, const struct fh_uuid *tenant)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i] != NULL && !fh_uuid_eq(&rows[i]->tenant, tenant)) {
            return false;
        }
    }
    return true;
}

static bool journal_owned(const struct fh_journal_row *rows, size_t count,
                          const struct fh_uuid *tenant)
{
    for (size_t i = 0; i < count; i++) {
        if (!fh_uuid_eq(&rows[i].tenant, tenant)) {
            return false;
        }
    }
    return true;
}

bool fh_move_op_owned(const struct fh_request *request)
{
    const struct fh_uuid *tenant = &request->scope.tenant;
    switch (request->op) {
    case FH_OP_SCAN:
        return rows_owned(request->as.scan.rows, request->as.scan.count, tenant);
    case FH_OP_SCAN_JOURNAL:
        return journal_owned(request->as.scan_journal.rows, request->as.scan_journal.count, tenant);
    case FH_OP_CHANGES:
        return rows_owned(request->as.changes.rows, request->as.changes.key_count, tenant) &&
               journal_owned(request->as.changes.journal, request->as.changes.journal_count,
                             tenant);
    case FH_OP_SNAPSHOT_OPEN:
    case FH_OP_SNAPSHOT_CLOSE:
    case FH_OP_TALLY:
    case FH_OP_APPLY:
    case FH_OP_MOVE_STATE:
    case FH_OP_REFERENCES:
    case FH_OP_SIZE:
    case FH_OP_COPY_WITHIN:
        return true;
    default:
        return false;
    }
}
