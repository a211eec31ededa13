/* FH_OP_CHANGES: what was committed since a cursor, and what became of it.
 *
 *   1. the first page finds the least seq that is younger than the cursor (later pages know it)
 *   2. records are read from there by seq, until the page is full
 *   3. record by record, each key that the page does not have yet is read as it stands in the view;
 *      when that fills the page, the records behind are left for the next one
 *
 * Records of one commit are never split: a page that holds a record holds all its keys. A key that
 * two pages name comes twice, from the same view, with the same row.
 *
 * Failures: FH_UNAVAILABLE when a record was made under a schema newer than the scope's; FH_CORRUPT
 * when a record does not fit its schema; FH_NOMEM.
 */
#include "base/map.h"
#include "stores/commit_record.h"
#include "stores/image.h"
#include "stores/sqlite/move_read.h"
#include "stores/sqlite/owner.h"
#include "stores/sqlite/rows.h"

#define KEYS_MAX ((size_t)FH_SCAN_ROWS_MAX * FH_COMMIT_WRITES_MAX)
#define KEYS_START 256
#define KEY_LEN_MAX (FH_KEY_COLUMNS_MAX * (FH_VALUE_BYTES_MAX + 16u))
#define SCRATCH_BYTES_MAX ((size_t)256 << 20)

struct page {
    struct fh_request *request;
    struct fh_map seen;      /* of struct fh_str, in `names` */
    struct fh_arena names;   /* the keys seen, encoded */
    struct fh_arena scratch; /* of one record */
    struct fh_buf text;      /* one encoded key */
    size_t capacity;         /* of keys and rows */
    size_t bytes;            /* that keys and rows took */
};

static struct fh_str name_of(const void *item)
{
    return *(const struct fh_str *)item;
}

static void page_init(struct page *page, struct fh_request *request)
{
    *page = (struct page){.request = request};
    fh_map_init(&page->seen, KEYS_MAX, name_of);
    fh_arena_init(&page->names, SCRATCH_BYTES_MAX);
    fh_arena_init(&page->scratch, SCRATCH_BYTES_MAX);
    fh_buf_init(&page->text, KEY_LEN_MAX);
}

static void page_close(struct page *page)
{
    fh_buf_close(&page->text);
    fh_arena_close(&page->scratch);
    fh_arena_close(&page->names);
    fh_map_close(&page->seen);
}

static enum fh_code say(struct fh_request *request, enum fh_code code)
{
    return code == FH_OK ? code : fh_error_set(&request->error, code, "%s", fh_code_text(code));
}

/* FH_EXISTS: the page has the key. */
static enum fh_code note_key(struct page *page, const struct fh_key *key)
{
    fh_buf_clear(&page->text);
    fh_buf_printf(&page->text, "%u", key->table->id);
    for (uint16_t i = 0; i < key->table->key_count; i++) {
        const struct fh_value *value = &key->values[i];
        /* All others have a fixed length, or (numeric) begin with it. */
        if (value->type == FH_TYPE_TEXT || value->type == FH_TYPE_BYTES ||
            value->type == FH_TYPE_JSON) {
            fh_buf_printf(&page->text, ":%zu", value->as.bytes.len);
        }
        fh_buf_add_char(&page->text, ':');
        fh_value_encode(value, &key->table->columns[key->table->key[i]], &page->text);
    }
    enum fh_code code = fh_buf_code(&page->text);
    if (code != FH_OK) {
        return code;
    }
    if (fh_map_get(&page->seen, fh_buf_str(&page->text)) != NULL) {
        return FH_EXISTS;
    }
    struct fh_str *name = FH_ARENA_NEW(&page->names, struct fh_str);
    if (name == NULL) {
        return FH_NOMEM;
    }
    code = fh_arena_str(&page->names, fh_buf_str(&page->text), name);
    return code == FH_OK ? fh_map_put(&page->seen, name) : code;
}

/* Room for one more key and row; what is outgrown stays in the arena until the request is done. */
static enum fh_code make_room(struct page *page)
{
    struct fh_op_changes *op = &page->request->as.changes;
    if (op->key_count < page->capacity) {
        return FH_OK;
    }
    size_t capacity = page->capacity > 0 ? page->capacity * 2 : KEYS_START;
    struct fh_key *keys = FH_ARENA_ARRAY(page->request->arena, struct fh_key, capacity);
    struct fh_row **rows = FH_ARENA_ARRAY(page->request->arena, struct fh_row *, capacity);
    if (keys == NULL || rows == NULL) {
        return FH_NOMEM;
    }
    if (op->key_count > 0) {
        memcpy(keys, op->keys, op->key_count * sizeof(*keys));
        memcpy(rows, op->rows, op->key_count * sizeof(struct fh_row *));
    }
    op->keys = keys;
    op->rows = rows;
    page->capacity = capacity;
    return FH_OK;
}

/* The row that has the key in the view; *out NULL: none any more. */
static enum fh_code read_now(struct fh_sqlite_conn *conn, struct fh_request *request,
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
        code = say(request, fh_sqlite_read_row(statement, 0, key->table, request->arena, out));
    }
    fh_sqlite_statement_end(conn, statement);
    return code;
}

/* The record may be of an older model: the same table, as the scope's schema has it; NULL: it has
 * been dropped. */
static const struct fh_table *table_now(const struct fh_request *request,
                                        const struct fh_table *then)
{
    const struct fh_table *now = fh_schema_table_by_id(request->scope.schema, then->id);
    return now != NULL && now->key_count == then->key_count ? now : NULL;
}

static enum fh_code add_key(struct fh_sqlite_conn *conn, struct page *page,
                            const struct fh_key *named)
{
    struct fh_request *request = page->request;
    struct fh_op_changes *op = &request->as.changes;
    struct fh_key key = *named; /* its bytes are the record's */
    key.table = table_now(request, named->table);
    if (key.table == NULL) {
        return FH_OK; /* dropped since: nothing is left to move */
    }
    enum fh_code code = note_key(page, &key);
    if (code == FH_EXISTS) {
        return FH_OK;
    }
    if (code == FH_OK) {
        code = make_room(page);
    }
    size_t before = request->arena->bytes_used;
    for (uint16_t i = 0; i < key.table->key_count && code == FH_OK; i++) {
        code = fh_value_copy(&named->values[i], request->arena, &key.values[i]);
    }
    if (code != FH_OK) {
        return say(request, code);
    }
    op->keys[op->key_count] = key;
    code = read_now(conn, request, &key, &op->rows[op->key_count]);
    op->key_count += code == FH_OK ? 1 : 0;
    page->bytes += sizeof(key) + (request->arena->bytes_used - before);
    return code;
}

static enum fh_code add_record(struct fh_sqlite_conn *conn, struct page *page,
                               const struct fh_journal_row *row)
{
    struct fh_request *request = page->request;
    struct fh_commit_record record = {
        .tenant = row->tenant,
        .epoch = row->epoch,
        .seq = row->seq,
        .schema_version = row->schema_version,
    };
    struct fh_str no_images = {.data = NULL};
    fh_arena_reset(&page->scratch);
    enum fh_code code = fh_commit_record_decode(&record, row->changes, no_images,
                                                request->scope.schema, &page->scratch);
    if (code == FH_UNAVAILABLE) {
        return fh_error_set(&request->error, code,
                            "a commit was made under schema version %u, which the request does "
                            "not know",
                            row->schema_version);
    }
    if (code != FH_OK) {
        return say(request, code);
    }
    for (size_t i = 0; i < record.change_count && code == FH_OK; i++) {
        code = add_key(conn, page, &record.changes[i].key);
    }
    return code;
}

/* Step 3. `ends[i]`: what of the arena went into records 0..i. */
static enum fh_code add_keys(struct fh_sqlite_conn *conn, struct fh_request *request,
                             const size_t *ends)
{
    struct fh_op_changes *op = &request->as.changes;
    struct page page;
    page_init(&page, request);
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < op->journal_count && code == FH_OK; i++) {
        code = add_record(conn, &page, &op->journal[i]);
        bool full = ends[i] + page.bytes >= op->bytes_max;
        if (code == FH_OK && full && i + 1 < op->journal_count) {
            op->journal_count = i + 1;
            op->more = true;
        }
    }
    page_close(&page);
    return code;
}

/* Step 1: *after is what step 2 starts behind. */
static enum fh_code find_first(struct fh_sqlite_conn *conn, struct fh_request *request,
                               int64_t since, int64_t *after)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code =
        fh_sqlite_statement_get(conn, FH_SQLITE_CHANGES_FIRST, NULL, 0, &request->scope.tenant,
                                &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    int rc = sqlite3_bind_int64(statement, 2, (sqlite3_int64)request->scope.epoch);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int64(statement, 3, since);
    }
    code = rc == SQLITE_OK ? fh_sqlite_statement_step(conn, statement, &row, &request->error)
                           : fh_sqlite_conn_fail(conn, rc, &request->error);
    bool some = code == FH_OK && row && sqlite3_column_type(statement, 0) != SQLITE_NULL;
    *after = some ? sqlite3_column_int64(statement, 0) - 1 : INT64_MAX;
    fh_sqlite_statement_end(conn, statement);
    return code;
}

static enum fh_code collect(struct fh_sqlite_conn *conn, struct fh_request *request,
                            sqlite3_stmt *statement, size_t *ends)
{
    struct fh_op_changes *op = &request->as.changes;
    size_t start = request->arena->bytes_used;
    for (;;) { /* at most limit + 1 rows: the statement's LIMIT */
        bool row = false;
        enum fh_code code = fh_sqlite_statement_step(conn, statement, &row, &request->error);
        if (code != FH_OK || !row) {
            return code;
        }
        if (fh_sqlite_page_full(request->arena, start, op->journal_count, op->limit,
                                op->bytes_max)) {
            op->more = true;
            return FH_OK;
        }
        code = fh_sqlite_read_journal(statement, request->arena, &op->journal[op->journal_count]);
        if (code != FH_OK) {
            return say(request, code);
        }
        ends[op->journal_count++] = request->arena->bytes_used - start;
    }
}

/* Step 2. */
static enum fh_code read_journal(struct fh_sqlite_conn *conn, struct fh_request *request,
                                 int64_t since, int64_t after, size_t *ends)
{
    const struct fh_op_changes *op = &request->as.changes;
    sqlite3_stmt *statement = NULL;
    enum fh_code code = fh_sqlite_statement_get(
        conn, FH_SQLITE_CHANGES, NULL, 0, &request->scope.tenant, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    const int64_t parameters[] = {(int64_t)request->scope.epoch, since, after,
                                  (int64_t)op->limit + 1};
    int rc = SQLITE_OK;
    for (int i = 0; i < 4 && rc == SQLITE_OK; i++) {
        rc = sqlite3_bind_int64(statement, 2 + i, parameters[i]);
    }
    code = rc == SQLITE_OK ? collect(conn, request, statement, ends)
                           : fh_sqlite_conn_fail(conn, rc, &request->error);
    fh_sqlite_statement_end(conn, statement);
    return code;
}

enum fh_code fh_sqlite_move_changes(struct fh_sqlite_conn *conn, struct fh_request *request)
{
    struct fh_op_changes *op = &request->as.changes;
    int64_t since = 0;
    int64_t after = (int64_t)op->after_seq;
    enum fh_code code = fh_sqlite_move_cursor(request, op->since, &since);
    if (code == FH_OK && after == 0) {
        code = find_first(conn, request, since, &after);
    }
    if (code != FH_OK) {
        return code;
    }
    op->journal = FH_ARENA_ARRAY(request->arena, struct fh_journal_row, op->limit);
    size_t *ends = FH_ARENA_ARRAY(request->arena, size_t, op->limit);
    if (op->journal == NULL || ends == NULL) {
        return say(request, FH_NOMEM);
    }
    code = read_journal(conn, request, since, after, ends);
    return code == FH_OK ? add_keys(conn, request, ends) : code;
}
