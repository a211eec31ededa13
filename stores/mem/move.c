/* Happy path: the fence is looked at, in the view when there is one, then the tenant's rows or
 * records are copied to the request's arena until a bound of the page is reached.
 *
 * Failures: a view that is not open any more is FH_UNAVAILABLE, one of another tenant or home
 * FH_INVALID, a cursor that is none of ours FH_INVALID; memory is FH_NOMEM. What says not whose it
 * is (a state, a count) is compared with the scope's tenant here, as layer three cannot.
 */
#include "stores/mem/move.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "stores/commit_record.h"
#include "stores/mem/apply.h"
#include "stores/mem/commit.h"
#include "stores/mem/home.h"

struct fh_snapshot {
    struct fh_home home;
    struct fh_uuid asked_for; /* the opener's tenant */
    struct fh_mem_tenant *tenant;
    const struct fh_schema *schema; /* the home's, when the view was opened */
};

static struct fh_snapshot **find_view(struct fh_mem_views *views, const struct fh_snapshot *view)
{
    for (size_t i = 0; i < FH_SNAPSHOTS_MAX; i++) {
        if (views->views[i] == view) {
            return &views->views[i];
        }
    }
    return NULL;
}

static void free_view(struct fh_mem_data *data, struct fh_snapshot *view)
{
    (void)fh_mem_tenant_free(data, view->tenant);
    fh_free(view);
}

void fh_mem_views_close(struct fh_mem_data *data, struct fh_mem_views *views)
{
    for (size_t i = 0; i < FH_SNAPSHOTS_MAX; i++) {
        if (views->views[i] != NULL) {
            free_view(data, views->views[i]);
            views->views[i] = NULL;
        }
    }
}

/* What the request sees: its view's tenant, or else `*tenant`; through the fence. */
static enum fh_code enter(struct fh_mem_views *views, struct fh_request *request,
                          const struct fh_mem_home *home, const struct fh_snapshot *view,
                          const struct fh_fence_guard *guard, struct fh_mem_tenant **tenant)
{
    if (view != NULL) {
        if (find_view(views, view) == NULL) {
            return fh_error_set(&request->error, FH_UNAVAILABLE, "the view is not open any more");
        }
        if (!fh_uuid_eq(&view->asked_for, &request->scope.tenant) ||
            !fh_home_equal(&view->home, &request->scope.home)) {
            return fh_error_set(&request->error, FH_INVALID, "the view is of another tenant");
        }
        *tenant = view->tenant;
    }
    if (*tenant == NULL) {
        return FH_NO_TENANT;
    }
    enum fh_code code = fh_mem_check_guard(request, &(*tenant)->fence, guard);
    const struct fh_schema *schema = view != NULL ? view->schema : home->schema;
    return code == FH_OK ? fh_mem_check_version(request, schema) : code;
}

static enum fh_code do_open(struct fh_mem_data *data, struct fh_mem_views *views,
                            const struct fh_mem_home *home, const struct fh_mem_tenant *tenant,
                            struct fh_request *request)
{
    struct fh_op_snapshot *op = &request->as.snapshot;
    struct fh_snapshot **slot = find_view(views, NULL);
    if (slot == NULL) {
        return fh_error_set(&request->error, FH_FULL, "all views are taken");
    }
    char *cursor = fh_arena_printf(request->arena, "%" PRIu64, data->txid_last);
    struct fh_snapshot *view = fh_calloc(1, sizeof(*view));
    if (cursor == NULL || view == NULL) {
        fh_free(view);
        return FH_NOMEM;
    }
    enum fh_code code = fh_mem_tenant_copy(data, tenant, &view->tenant);
    if (code != FH_OK) {
        fh_free(view);
        return code;
    }
    view->home = request->scope.home;
    view->asked_for = request->scope.tenant;
    view->schema = home->schema;
    *slot = view;
    op->snapshot = view;
    op->cursor = fh_str_of(cursor);
    return FH_OK;
}

static enum fh_code do_close(struct fh_mem_data *data, struct fh_mem_views *views,
                             struct fh_request *request)
{
    struct fh_snapshot **slot = find_view(views, request->as.snapshot.snapshot);
    request->as.snapshot.snapshot = NULL;
    if (slot == NULL) {
        return fh_error_set(&request->error, FH_UNAVAILABLE, "the view is not open any more");
    }
    free_view(data, *slot);
    *slot = NULL;
    return FH_OK;
}

/* The page ends before an item that would pass bytes_max, but never before its first. */
static bool page_full(size_t count, size_t limit, size_t *bytes, size_t more, size_t bytes_max)
{
    *bytes += more;
    return count == limit || (count > 0 && *bytes > bytes_max);
}

static enum fh_code do_scan(const struct fh_mem_tenant *tenant, struct fh_request *request)
{
    struct fh_op_scan *scan = &request->as.scan;
    scan->rows = FH_ARENA_ARRAY(request->arena, struct fh_row *, scan->limit);
    if (scan->rows == NULL) {
        return FH_NOMEM;
    }
    const struct fh_mem_table *table = fh_mem_table_at(tenant, scan->table->id);
    if (table == NULL) {
        return FH_OK;
    }
    bool found = false;
    size_t at = scan->after != NULL ? fh_mem_table_seek(table, scan->after, &found) : 0;
    at += found;
    found = false;
    size_t end = scan->until != NULL ? fh_mem_table_seek(table, scan->until, &found) : table->count;
    end += found;
    size_t bytes = 0;
    for (; at < end; at++) {
        const struct fh_mem_row *stored = table->rows[at];
        if (page_full(scan->count, scan->limit, &bytes, stored->bytes, scan->bytes_max)) {
            scan->more = true;
            break;
        }
        struct fh_row *row = fh_mem_row_read(stored, scan->table, request->arena);
        if (row == NULL) {
            return FH_NOMEM;
        }
        scan->rows[scan->count++] = row;
    }
    return FH_OK;
}

static enum fh_code journal_row(const struct fh_mem_record *stored, struct fh_arena *arena,
                                struct fh_journal_row *out)
{
    const struct fh_commit_record *header = &stored->header;
    *out = (struct fh_journal_row){.tenant = header->tenant,
                                   .epoch = header->epoch,
                                   .seq = header->seq,
                                   .schema_version = header->schema_version,
                                   .at_us = header->at_us};
    memcpy(out->request_hash, stored->request_hash, sizeof(out->request_hash));
    const struct fh_str from[] = {header->request_id, header->actor, header->address,
                                  stored->changes, stored->images};
    struct fh_str *const to[] = {&out->request_id, &out->actor, &out->address, &out->changes,
                                 &out->images};
    for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
        if (from[i].data == NULL) {
            continue; /* redacted images stay so */
        }
        enum fh_code code = fh_arena_str(arena, from[i], to[i]);
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

static enum fh_code do_scan_journal(const struct fh_mem_tenant *tenant, struct fh_request *request)
{
    struct fh_op_scan_journal *scan = &request->as.scan_journal;
    scan->rows = FH_ARENA_ARRAY(request->arena, struct fh_journal_row, scan->limit);
    if (scan->rows == NULL) {
        return FH_NOMEM;
    }
    bool found = false;
    size_t at = fh_mem_record_seek(tenant, scan->after_epoch, scan->after_seq, &found);
    at += found;
    size_t end = tenant->record_count;
    if (scan->until_epoch != 0 || scan->until_seq != 0) {
        found = false;
        end = fh_mem_record_seek(tenant, scan->until_epoch, scan->until_seq, &found);
        end += found;
    }
    size_t bytes = 0;
    for (; at < end; at++) {
        const struct fh_mem_record *stored = tenant->records[at];
        if (page_full(scan->count, scan->limit, &bytes, stored->bytes, scan->bytes_max)) {
            scan->more = true;
            break;
        }
        enum fh_code code = journal_row(stored, request->arena, &scan->rows[scan->count]);
        if (code != FH_OK) {
            return code;
        }
        scan->count++;
    }
    return FH_OK;
}

static enum fh_code parse_cursor(struct fh_request *request, struct fh_str cursor, uint64_t *out)
{
    long long txid = 0;
    if (!fh_str_to_int64(cursor, &txid) || txid < 0) {
        return fh_error_set(&request->error, FH_INVALID, "not a cursor of this store");
    }
    *out = (uint64_t)txid;
    return FH_OK;
}

static bool younger(const struct fh_mem_record *record, const struct fh_request *request,
                    uint64_t since)
{
    return record->header.epoch == request->scope.epoch && record->header.txid > since;
}

static int compare_keys(const void *a, const void *b)
{
    return fh_key_compare(a, b);
}

/* The changes a record names, and how many bytes the rows they lead to have. The keys' tables are
 * the scope's, whatever version the record is of; those of tables that are gone are left out. */
static enum fh_code changed_keys(const struct fh_mem_tenant *tenant, struct fh_request *request,
                                 const struct fh_mem_record *stored,
                                 struct fh_commit_record *decoded, size_t *bytes)
{
    const struct fh_schema *schema = request->scope.schema;
    *decoded = stored->header;
    enum fh_code code = fh_commit_record_decode(decoded, stored->changes, (struct fh_str){0},
                                                schema, request->arena);
    if (code != FH_OK) {
        return code;
    }
    *bytes = stored->bytes;
    size_t kept = 0;
    for (size_t i = 0; i < decoded->change_count; i++) {
        struct fh_key *key = &decoded->changes[kept].key;
        *key = decoded->changes[i].key;
        key->table = fh_schema_table_by_id(schema, key->table->id);
        if (key->table == NULL) {
            continue;
        }
        kept++;
        const struct fh_mem_row *row =
            fh_mem_table_get(fh_mem_table_at(tenant, key->table->id), key);
        *bytes += sizeof(struct fh_key) + (row != NULL ? row->bytes : 0);
    }
    decoded->change_count = kept;
    return FH_OK;
}

/* Each key once, and its row as of now. */
static enum fh_code collect_rows(const struct fh_mem_tenant *tenant, struct fh_request *request,
                                 const struct fh_commit_record *records)
{
    struct fh_op_changes *changes = &request->as.changes;
    size_t total = 0;
    for (size_t i = 0; i < changes->journal_count; i++) {
        total += records[i].change_count;
    }
    changes->keys = FH_ARENA_ARRAY(request->arena, struct fh_key, total);
    changes->rows = FH_ARENA_ARRAY(request->arena, struct fh_row *, total);
    if (changes->keys == NULL || changes->rows == NULL) {
        return FH_NOMEM;
    }
    total = 0;
    for (size_t i = 0; i < changes->journal_count; i++) {
        for (size_t k = 0; k < records[i].change_count; k++) {
            changes->keys[total++] = records[i].changes[k].key;
        }
    }
    if (total > 0) {
        qsort(changes->keys, total, sizeof(struct fh_key), compare_keys);
    }
    for (size_t i = 0; i < total; i++) {
        const struct fh_key key = changes->keys[i];
        if (i > 0 && fh_key_compare(&changes->keys[changes->key_count - 1], &key) == 0) {
            continue;
        }
        const struct fh_mem_row *stored =
            fh_mem_table_get(fh_mem_table_at(tenant, key.table->id), &key);
        struct fh_row *row = NULL;
        if (stored != NULL) {
            row = fh_mem_row_read(stored, key.table, request->arena);
            if (row == NULL) {
                return FH_NOMEM;
            }
        }
        changes->keys[changes->key_count] = key;
        changes->rows[changes->key_count++] = row;
    }
    return FH_OK;
}

static enum fh_code do_changes(const struct fh_mem_tenant *tenant, struct fh_request *request)
{
    struct fh_op_changes *changes = &request->as.changes;
    uint64_t since = 0;
    enum fh_code code = parse_cursor(request, changes->since, &since);
    if (code != FH_OK) {
        return code;
    }
    changes->journal = FH_ARENA_ARRAY(request->arena, struct fh_journal_row, changes->limit);
    struct fh_commit_record *decoded =
        FH_ARENA_ARRAY(request->arena, struct fh_commit_record, changes->limit);
    if (changes->journal == NULL || decoded == NULL) {
        return FH_NOMEM;
    }
    bool found = false;
    size_t at = fh_mem_record_seek(tenant, request->scope.epoch, changes->after_seq, &found);
    size_t bytes = 0;
    for (at += found; at < tenant->record_count; at++) {
        const struct fh_mem_record *stored = tenant->records[at];
        if (!younger(stored, request, since)) {
            continue;
        }
        if (changes->journal_count == changes->limit) {
            changes->more = true;
            break;
        }
        size_t count = changes->journal_count;
        size_t more = 0;
        code = changed_keys(tenant, request, stored, &decoded[count], &more);
        if (code == FH_OK && page_full(count, changes->limit, &bytes, more, changes->bytes_max)) {
            changes->more = true;
            break;
        }
        if (code == FH_OK) {
            code = journal_row(stored, request->arena, &changes->journal[count]);
        }
        if (code != FH_OK) {
            return code;
        }
        changes->journal_count++;
    }
    return collect_rows(tenant, request, decoded);
}

static enum fh_code do_tally(const struct fh_mem_tenant *tenant, struct fh_request *request)
{
    struct fh_op_tally *tally = &request->as.tally;
    uint64_t since = 0;
    enum fh_code code = parse_cursor(request, tally->since, &since);
    for (size_t i = 0; code == FH_OK && i < tenant->record_count; i++) {
        if (younger(tenant->records[i], request, since)) {
            tally->count++;
            tally->seq_sum += tenant->records[i]->header.seq;
        }
    }
    return code;
}

static enum fh_code do_move_state(const struct fh_mem_tenant *tenant, struct fh_request *request)
{
    struct fh_str *state = &request->as.move_state.state;
    return tenant->move_state.data != NULL ? fh_arena_str(request->arena, tenant->move_state, state)
                                           : FH_OK;
}

static enum fh_code do_references(const struct fh_mem_tenant *tenant, struct fh_request *request)
{
    for (size_t t = 0; t < tenant->table_count; t++) {
        const struct fh_mem_table *table = &tenant->tables[t];
        for (size_t i = 0; i < table->count; i++) {
            const struct fh_row *row = &table->rows[i]->row;
            const struct fh_foreign_key *broken =
                row->deleted_at_us == 0 ? fh_mem_broken_reference(tenant, row, false) : NULL;
            if (broken != NULL) {
                return fh_error_set(&request->error, FH_REFERENCE_VIOLATION,
                                    "%.*s: %.*s leads to no record", FH_STR_ARG(row->table->name),
                                    FH_STR_ARG(broken->name));
            }
        }
    }
    return FH_OK;
}

static enum fh_code do_size(const struct fh_mem_tenant *tenant, struct fh_request *request)
{
    struct fh_op_size *size = &request->as.size;
    for (size_t t = 0; t < tenant->table_count; t++) {
        const struct fh_mem_table *table = &tenant->tables[t];
        size->rows += table->count;
        for (size_t i = 0; i < table->count; i++) {
            size->bytes += table->rows[i]->bytes;
        }
    }
    size->records = tenant->record_count;
    for (size_t i = 0; i < tenant->record_count; i++) {
        size->bytes += tenant->records[i]->bytes;
    }
    return FH_OK;
}

static const struct fh_snapshot *view_of(const struct fh_request *request)
{
    switch (request->op) {
    case FH_OP_SCAN:
        return request->as.scan.snapshot;
    case FH_OP_SCAN_JOURNAL:
        return request->as.scan_journal.snapshot;
    case FH_OP_CHANGES:
        return request->as.changes.snapshot;
    case FH_OP_TALLY:
        return request->as.tally.snapshot;
    default:
        return NULL;
    }
}

/* The source's rows are handed to an APPLY of the target, in one turn of the loop. */
static enum fh_code copy_within(struct fh_mem_data *data, struct fh_mem_tenant *tenant,
                                struct fh_request *request)
{
    struct fh_op_copy_within *copy = &request->as.copy_within;
    const struct fh_mem_home *home = fh_mem_home_find(data, &copy->source);
    const struct fh_mem_tenant *source =
        home != NULL ? fh_mem_tenant_find(home, &request->scope.tenant) : NULL;
    if (source == NULL) {
        return FH_NO_TENANT;
    }
    struct fh_request part = *request; /* the same scope, but for where it is */
    part.scope.home = copy->source;
    part.scope.epoch = copy->source_epoch;
    enum fh_code code = fh_mem_check_guard(&part, &source->fence, &copy->source_guard);
    if (code == FH_OK) {
        code = fh_mem_check_version(&part, home->schema);
    }
    if (code == FH_OK) {
        part.as.scan = (struct fh_op_scan){.table = copy->table,
                                           .after = copy->after,
                                           .limit = copy->limit,
                                           .bytes_max = SIZE_MAX};
        code = do_scan(source, &part);
    }
    request->epoch_seen = part.epoch_seen;
    request->mode_seen = part.mode_seen;
    request->version_seen = part.version_seen;
    if (code != FH_OK) {
        return code;
    }
    const struct fh_op_scan page = part.as.scan;
    part.scope = request->scope;
    part.as.apply = (struct fh_op_apply){
        .rows = page.rows, .row_count = page.count, .keep_existing = true, .state = copy->state};
    code = fh_mem_apply(data, tenant, &part);
    request->error = part.error;
    if (code == FH_OK) {
        copy->rows = page.count;
        copy->more = page.more;
        if (page.count > 0) {
            fh_key_of_row(page.rows[page.count - 1], &copy->last);
        }
    }
    return code;
}

/* Whether what the operation returns says whose it is, so that the completion compares it. */
static bool names_tenant(enum fh_op op)
{
    return op == FH_OP_SCAN || op == FH_OP_SCAN_JOURNAL || op == FH_OP_CHANGES ||
           op == FH_OP_SNAPSHOT_OPEN;
}

enum fh_code fh_mem_move(struct fh_mem_data *data, struct fh_mem_views *views,
                         const struct fh_mem_home *home, struct fh_mem_tenant *tenant,
                         struct fh_request *request)
{
    if (request->op == FH_OP_SNAPSHOT_CLOSE) {
        return do_close(data, views, request);
    }
    enum fh_code code =
        enter(views, request, home, view_of(request), fh_move_op_guard(request), &tenant);
    if (code != FH_OK) {
        return code;
    }
    if (!fh_uuid_eq(&tenant->id, &request->scope.tenant) && !names_tenant(request->op)) {
        return FH_FOREIGN_ROW; /* nobody behind us can see it */
    }
    switch (request->op) {
    case FH_OP_SNAPSHOT_OPEN:
        return do_open(data, views, home, tenant, request);
    case FH_OP_SCAN:
        return do_scan(tenant, request);
    case FH_OP_SCAN_JOURNAL:
        return do_scan_journal(tenant, request);
    case FH_OP_CHANGES:
        return do_changes(tenant, request);
    case FH_OP_TALLY:
        return do_tally(tenant, request);
    case FH_OP_APPLY:
        return fh_mem_apply(data, tenant, request);
    case FH_OP_COPY_WITHIN:
        return copy_within(data, tenant, request);
    case FH_OP_MOVE_STATE:
        return do_move_state(tenant, request);
    case FH_OP_REFERENCES:
        return do_references(tenant, request);
    case FH_OP_SIZE:
        return do_size(tenant, request);
    default:
        return FH_INTERNAL; /* submit lets no other operation through */
    }
}
