/* Values and rows between SQLite's columns and parameters and ours.
 *
 * Storage: bool 0/1, integers, scaled numerics, microseconds and days as INTEGER, floats as REAL,
 * text and canonical json as TEXT, bytes as BLOB, uuid as BLOB of 16. Binding borrows: the value
 * outlives the statement's run. Reading copies into the arena. The connection's thread.
 */
#ifndef FH_STORES_SQLITE_ROWS_H
#define FH_STORES_SQLITE_ROWS_H

#include <sqlite3.h>

#include "stores/row.h"
#include "stores/store.h"

/* These answer SQLite's code. */
FH_MUST_CHECK int fh_sqlite_bind_value(sqlite3_stmt *statement, int at,
                                       const struct fh_value *value);
FH_MUST_CHECK int fh_sqlite_bind_key(sqlite3_stmt *statement, int first, const struct fh_key *key);
/* An empty string is bound as "", not as null. */
FH_MUST_CHECK int fh_sqlite_bind_text(sqlite3_stmt *statement, int at, struct fh_str text);
FH_MUST_CHECK int fh_sqlite_bind_bytes(sqlite3_stmt *statement, int at, struct fh_str bytes);
/* ?2 created, ?3 updated, ?4 deleted, ?5 version, ?6.. columns. */
FH_MUST_CHECK int fh_sqlite_bind_row(sqlite3_stmt *statement, const struct fh_row *row);

/* Columns from `first` as FH_SQLITE_ROW_COLUMNS and the table's. A null tenant_id (nothing joined)
 * gives *out NULL. FH_CORRUPT when the file holds what the model forbids, FH_NOMEM. */
FH_MUST_CHECK enum fh_code fh_sqlite_read_row(sqlite3_stmt *statement, int first,
                                              const struct fh_table *table, struct fh_arena *arena,
                                              struct fh_row **out);
/* False when the column is not 16 bytes. */
bool fh_sqlite_read_uuid(sqlite3_stmt *statement, int at, struct fh_uuid *out);
/* Copies text or bytes. */
FH_MUST_CHECK enum fh_code fh_sqlite_read_bytes(sqlite3_stmt *statement, int at,
                                                struct fh_arena *arena, struct fh_str *out);
/* Columns from `first` as FH_SQLITE_RECORD_COLUMNS; null tenant_id: *found false. */
FH_MUST_CHECK enum fh_code fh_sqlite_read_record(sqlite3_stmt *statement, int first,
                                                 const struct fh_schema *schema,
                                                 struct fh_arena *arena, bool *found,
                                                 struct fh_commit_record *out);

#endif
