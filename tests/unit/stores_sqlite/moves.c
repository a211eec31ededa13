#include "tests/unit/stores_sqlite/moves.h"

struct fh_request moves_request(struct fixture *f, enum fh_op op, const struct fh_uuid *tenant)
{
    struct fh_request request = fixture_request(f, op, tenant);
    struct fh_fence_guard *guard = fh_move_op_guard(&request);
    if (guard != NULL) { /* closing a view asks nothing */
        *guard = (struct fh_fence_guard){.generation = 1, .modes = MOVES_ANY};
    }
    if (op == FH_OP_SCAN) {
        request.as.scan.table = &fixture_items;
        request.as.scan.limit = FH_SCAN_ROWS_MAX;
        request.as.scan.bytes_max = FH_SCAN_BYTES_MAX;
    } else if (op == FH_OP_SCAN_JOURNAL) {
        request.as.scan_journal.limit = FH_SCAN_ROWS_MAX;
        request.as.scan_journal.bytes_max = FH_SCAN_BYTES_MAX;
    } else if (op == FH_OP_CHANGES) {
        request.as.changes.since = FH_STR("0");
        request.as.changes.limit = FH_SCAN_ROWS_MAX;
        request.as.changes.bytes_max = FH_SCAN_BYTES_MAX;
    } else if (op == FH_OP_TALLY) {
        request.as.tally.since = FH_STR("0");
    }
    return request;
}

struct fh_snapshot *moves_open(struct fixture *f, const struct fh_uuid *tenant,
                               struct fh_str *cursor)
{
    struct fh_request request = moves_request(f, FH_OP_SNAPSHOT_OPEN, tenant);
    assert_code(fixture_run(f, &request), FH_OK);
    assert_non_null(request.as.snapshot.snapshot);
    if (cursor != NULL) {
        *cursor = request.as.snapshot.cursor;
    }
    return request.as.snapshot.snapshot;
}

enum fh_code moves_close(struct fixture *f, const struct fh_uuid *tenant,
                         struct fh_snapshot *snapshot)
{
    struct fh_request request = moves_request(f, FH_OP_SNAPSHOT_CLOSE, tenant);
    request.as.snapshot.snapshot = snapshot;
    return fixture_run(f, &request);
}

static struct fh_row *make_row(struct fixture *f, const struct fh_table *table,
                               const struct fh_uuid *tenant)
{
    struct fh_row *row = fh_row_create(table, &f->arena);
    assert_non_null(row);
    row->tenant = *tenant;
    row->created_at_us = 100;
    row->updated_at_us = 200;
    row->version = 3;
    for (uint16_t i = 0; i < table->column_count; i++) {
        row->values[i] = (struct fh_value){.type = table->columns[i].type, .is_null = true};
    }
    return row;
}

struct fh_row *moves_item(struct fixture *f, const struct fh_uuid *tenant, int64_t id,
                          const char *name, const char *code)
{
    struct fh_row *row = make_row(f, &fixture_items, tenant);
    row->values[ITEM_ID] = (struct fh_value){.type = FH_TYPE_INT64, .as.integer = id};
    row->values[ITEM_NAME] = (struct fh_value){.type = FH_TYPE_TEXT, .as.bytes = fh_str_of(name)};
    row->values[ITEM_CODE] = (struct fh_value){
        .type = FH_TYPE_TEXT, .is_null = code == NULL, .as.bytes = fh_str_of(code)};
    return row;
}

struct fh_row *moves_part(struct fixture *f, const struct fh_uuid *tenant, int64_t item, int64_t n)
{
    struct fh_row *row = make_row(f, &fixture_parts, tenant);
    row->values[PART_ITEM] = (struct fh_value){.type = FH_TYPE_INT64, .as.integer = item};
    row->values[PART_N] = (struct fh_value){.type = FH_TYPE_INT32, .as.integer = n};
    return row;
}

struct fh_journal_row moves_record(const struct fh_uuid *tenant, uint64_t epoch, uint64_t seq,
                                   const char *request_id, const char *changes)
{
    return (struct fh_journal_row){.tenant = *tenant,
                                   .epoch = epoch,
                                   .seq = seq,
                                   .request_id = fh_str_of(request_id),
                                   .schema_version = 1,
                                   .actor = FH_STR("mover"),
                                   .address = FH_STR("127.0.0.1"),
                                   .at_us = 77,
                                   .changes = fh_str_of(changes),
                                   .images = {.data = NULL}};
}

size_t moves_rows(struct fixture *f, const struct fh_uuid *tenant, struct fh_snapshot *snapshot,
                  const struct fh_table *table, struct fh_row ***rows)
{
    struct fh_request request = moves_request(f, FH_OP_SCAN, tenant);
    request.as.scan.table = table;
    request.as.scan.snapshot = snapshot;
    assert_code(fixture_run(f, &request), FH_OK);
    assert_false(request.as.scan.more);
    if (rows != NULL) {
        *rows = request.as.scan.rows;
    }
    return request.as.scan.count;
}

struct fh_row *moves_find(struct fixture *f, const struct fh_uuid *tenant, int64_t id)
{
    struct fh_row **rows = NULL;
    size_t count = moves_rows(f, tenant, NULL, &fixture_items, &rows);
    for (size_t i = 0; i < count; i++) {
        if (rows[i]->values[ITEM_ID].as.integer == id) {
            return rows[i];
        }
    }
    return NULL;
}

void moves_fence(struct fixture *f, const struct fh_uuid *tenant, struct fh_fence desired)
{
    struct fh_request request = fixture_request(f, FH_OP_FENCE_SET, tenant);
    request.as.fence.expected = (struct fh_fence){1, 1, FH_FENCE_OPEN};
    request.as.fence.desired = desired;
    assert_code(fixture_run(f, &request), FH_OK);
}
