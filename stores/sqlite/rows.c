/* STRICT tables hold the storage classes we write; a damaged file may hold anything, so every
 * column's class is looked at before it is used, and a wrong one is FH_CORRUPT.
 */
#include "stores/sqlite/rows.h"

#include "base/assert.h"
#include "stores/commit_record.h"
#include "stores/sqlite/sql.h"

int fh_sqlite_bind_text(sqlite3_stmt *statement, int at, struct fh_str text)
{
    return sqlite3_bind_text64(statement, at, text.len > 0 ? text.data : "", text.len,
                               SQLITE_STATIC, SQLITE_UTF8);
}

int fh_sqlite_bind_bytes(sqlite3_stmt *statement, int at, struct fh_str bytes)
{
    return sqlite3_bind_blob64(statement, at, bytes.len > 0 ? bytes.data : "", bytes.len,
                               SQLITE_STATIC);
}

int fh_sqlite_bind_value(sqlite3_stmt *statement, int at, const struct fh_value *value)
{
    if (value->is_null) {
        return sqlite3_bind_null(statement, at);
    }
    switch (value->type) {
    case FH_TYPE_BOOL:
        return sqlite3_bind_int(statement, at, value->as.boolean ? 1 : 0);
    case FH_TYPE_INT16:
    case FH_TYPE_INT32:
    case FH_TYPE_INT64:
    case FH_TYPE_NUMERIC:
    case FH_TYPE_TIMESTAMP:
    case FH_TYPE_DATE:
        return sqlite3_bind_int64(statement, at, value->as.integer);
    case FH_TYPE_FLOAT32:
    case FH_TYPE_FLOAT64:
        return sqlite3_bind_double(statement, at, value->as.real);
    case FH_TYPE_TEXT:
    case FH_TYPE_JSON:
        return fh_sqlite_bind_text(statement, at, value->as.bytes);
    case FH_TYPE_BYTES:
        return fh_sqlite_bind_bytes(statement, at, value->as.bytes);
    case FH_TYPE_UUID:
        return sqlite3_bind_blob(statement, at, value->as.uuid.bytes, sizeof(value->as.uuid.bytes),
                                 SQLITE_STATIC);
    }
    FH_UNREACHABLE();
}

int fh_sqlite_bind_key(sqlite3_stmt *statement, int first, const struct fh_key *key)
{
    int rc = SQLITE_OK;
    for (int i = 0; i < key->table->key_count && rc == SQLITE_OK; i++) {
        rc = fh_sqlite_bind_value(statement, first + i, &key->values[i]);
    }
    return rc;
}

int fh_sqlite_bind_row(sqlite3_stmt *statement, const struct fh_row *row)
{
    int rc = sqlite3_bind_int64(statement, 2, row->created_at_us);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int64(statement, 3, row->updated_at_us);
    }
    if (rc == SQLITE_OK) {
        rc = row->deleted_at_us != 0 ? sqlite3_bind_int64(statement, 4, row->deleted_at_us)
                                     : sqlite3_bind_null(statement, 4);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int64(statement, 5, row->version);
    }
    for (int i = 0; i < row->table->column_count && rc == SQLITE_OK; i++) {
        rc = fh_sqlite_bind_value(statement, 6 + i, &row->values[i]);
    }
    return rc;
}

bool fh_sqlite_read_uuid(sqlite3_stmt *statement, int at, struct fh_uuid *out)
{
    if (sqlite3_column_type(statement, at) != SQLITE_BLOB) {
        return false;
    }
    const void *blob = sqlite3_column_blob(statement, at);
    if (blob == NULL || sqlite3_column_bytes(statement, at) != (int)sizeof(out->bytes)) {
        return false;
    }
    memcpy(out->bytes, blob, sizeof(out->bytes));
    return true;
}

enum fh_code fh_sqlite_read_bytes(sqlite3_stmt *statement, int at, struct fh_arena *arena,
                                  struct fh_str *out)
{
    *out = (struct fh_str){.len = 0};
    int type = sqlite3_column_type(statement, at);
    if (type != SQLITE_TEXT && type != SQLITE_BLOB) {
        return FH_CORRUPT;
    }
    const char *data = sqlite3_column_blob(statement, at);
    int len = sqlite3_column_bytes(statement, at);
    if (data == NULL && len > 0) {
        return FH_NOMEM;
    }
    return fh_arena_str(arena, (struct fh_str){.data = data, .len = (size_t)len}, out);
}

static enum fh_code read_value(sqlite3_stmt *statement, int at, const struct fh_column *column,
                               struct fh_arena *arena, struct fh_value *out)
{
    int type = sqlite3_column_type(statement, at);
    *out = (struct fh_value){.type = column->type, .is_null = type == SQLITE_NULL};
    if (out->is_null) {
        return column->not_null ? FH_CORRUPT : FH_OK;
    }
    switch (column->type) {
    case FH_TYPE_BOOL:
        out->as.boolean = sqlite3_column_int(statement, at) != 0;
        return type == SQLITE_INTEGER ? FH_OK : FH_CORRUPT;
    case FH_TYPE_INT16:
    case FH_TYPE_INT32:
    case FH_TYPE_INT64:
    case FH_TYPE_NUMERIC:
    case FH_TYPE_TIMESTAMP:
    case FH_TYPE_DATE:
        out->as.integer = sqlite3_column_int64(statement, at);
        return type == SQLITE_INTEGER ? FH_OK : FH_CORRUPT;
    case FH_TYPE_FLOAT32:
    case FH_TYPE_FLOAT64:
        out->as.real = sqlite3_column_double(statement, at);
        return type == SQLITE_FLOAT ? FH_OK : FH_CORRUPT;
    case FH_TYPE_TEXT:
    case FH_TYPE_JSON:
        return type == SQLITE_TEXT ? fh_sqlite_read_bytes(statement, at, arena, &out->as.bytes)
                                   : FH_CORRUPT;
    case FH_TYPE_BYTES:
        return type == SQLITE_BLOB ? fh_sqlite_read_bytes(statement, at, arena, &out->as.bytes)
                                   : FH_CORRUPT;
    case FH_TYPE_UUID:
        return fh_sqlite_read_uuid(statement, at, &out->as.uuid) ? FH_OK : FH_CORRUPT;
    }
    FH_UNREACHABLE();
}

enum fh_code fh_sqlite_read_row(sqlite3_stmt *statement, int first, const struct fh_table *table,
                                struct fh_arena *arena, struct fh_row **out)
{
    *out = NULL;
    if (sqlite3_column_type(statement, first) == SQLITE_NULL) {
        return FH_OK;
    }
    struct fh_row *row = fh_row_create(table, arena);
    if (row == NULL) {
        return FH_NOMEM;
    }
    if (!fh_sqlite_read_uuid(statement, first, &row->tenant)) {
        return FH_CORRUPT;
    }
    row->created_at_us = sqlite3_column_int64(statement, first + 1);
    row->updated_at_us = sqlite3_column_int64(statement, first + 2);
    row->deleted_at_us = sqlite3_column_int64(statement, first + 3);
    row->version = sqlite3_column_int64(statement, first + 4);
    int at = first + FH_SQLITE_ROW_COLUMNS;
    for (uint16_t i = 0; i < table->column_count; i++) {
        enum fh_code code =
            read_value(statement, at + i, &table->columns[i], arena, &row->values[i]);
        if (code != FH_OK) {
            return code;
        }
    }
    *out = row;
    return FH_OK;
}

/* Null is the empty string: a record without a request id. */
static enum fh_code read_optional(sqlite3_stmt *statement, int at, struct fh_arena *arena,
                                  struct fh_str *out)
{
    *out = (struct fh_str){.len = 0};
    if (sqlite3_column_type(statement, at) == SQLITE_NULL) {
        return FH_OK;
    }
    return fh_sqlite_read_bytes(statement, at, arena, out);
}

enum fh_code fh_sqlite_read_record(sqlite3_stmt *statement, int first,
                                   const struct fh_schema *schema, struct fh_arena *arena,
                                   bool *found, struct fh_commit_record *out)
{
    *out = (struct fh_commit_record){.change_count = 0};
    *found = sqlite3_column_type(statement, first) != SQLITE_NULL;
    if (!*found) {
        return FH_OK;
    }
    if (!fh_sqlite_read_uuid(statement, first, &out->tenant)) {
        return FH_CORRUPT;
    }
    out->epoch = (uint64_t)sqlite3_column_int64(statement, first + 1);
    out->seq = (uint64_t)sqlite3_column_int64(statement, first + 2);
    out->at_us = sqlite3_column_int64(statement, first + 6);
    out->txid = (uint64_t)sqlite3_column_int64(statement, first + 7);
    out->schema_version = (uint32_t)sqlite3_column_int64(statement, first + 8);
    struct fh_str changes;
    struct fh_str images;
    enum fh_code code = read_optional(statement, first + 3, arena, &out->request_id);
    if (code == FH_OK) {
        code = fh_sqlite_read_bytes(statement, first + 4, arena, &out->actor);
    }
    if (code == FH_OK) {
        code = fh_sqlite_read_bytes(statement, first + 5, arena, &out->address);
    }
    if (code == FH_OK) {
        code = fh_sqlite_read_bytes(statement, first + 9, arena, &changes);
    }
    if (code == FH_OK) {
        code = read_optional(statement, first + 10, arena, &images);
    }
    return code == FH_OK ? fh_commit_record_decode(out, changes, images, schema, arena) : code;
}
