/* The catalog's file and its statements.
 *
 * One connection, opened without mutexes: the opener's thread until the worker starts, then the
 * worker's alone. Statements are fixed texts, prepared once each. Codes of SQLite end in db.c.
 */
#ifndef FH_ROUTER_CATALOG_SQLITE_DB_H
#define FH_ROUTER_CATALOG_SQLITE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/code.h"
#include "base/error.h"
#include "base/str.h"
#include "base/uuid.h"

#define FH_CATALOG_APPLICATION_ID 0x46484354 /* "FHCT" */
#define FH_CATALOG_FORMAT 3                  /* user_version */

enum fh_catalog_statement {
    FH_CATALOG_SQL_BEGIN_READ,
    FH_CATALOG_SQL_BEGIN_WRITE,
    FH_CATALOG_SQL_COMMIT,
    FH_CATALOG_SQL_ROLLBACK,
    FH_CATALOG_SQL_SAVEPOINT,
    FH_CATALOG_SQL_RELEASE,
    FH_CATALOG_SQL_ROLLBACK_TO,
    FH_CATALOG_SQL_TENANT_INSERT,
    FH_CATALOG_SQL_PLACEMENT_INSERT,
    FH_CATALOG_SQL_LABEL_INSERT,
    FH_CATALOG_SQL_TENANT_BY_UUID,
    FH_CATALOG_SQL_TENANT_BY_SLUG,
    FH_CATALOG_SQL_TENANT_BY_REQUEST_ID,
    FH_CATALOG_SQL_TENANTS,
    FH_CATALOG_SQL_TENANTS_UNFINISHED,
    FH_CATALOG_SQL_LABELS,
    FH_CATALOG_SQL_TENANT_ADVANCE,
    FH_CATALOG_SQL_GENERATION_SET,
    FH_CATALOG_SQL_STORE_INSERT,
    FH_CATALOG_SQL_STORE_EXISTS,
    FH_CATALOG_SQL_STORES,
    FH_CATALOG_SQL_MIGRATION_NEWEST,
    FH_CATALOG_SQL_MIGRATION_INSERT,
    FH_CATALOG_SQL_MIGRATIONS,
    FH_CATALOG_SQL_PAGE_KEY_INSERT,
    FH_CATALOG_SQL_PAGE_KEYS,
    FH_CATALOG_SQL_EVENT_INSERT,
    FH_CATALOG_SQL_EVENTS,
    FH_CATALOG_SQL_EVENTS_OF_RESOURCE,
    FH_CATALOG_SQL_MOVE_INSERT,
    FH_CATALOG_SQL_MOVE_UPDATE,
    FH_CATALOG_SQL_MOVE_BY_UUID,
    FH_CATALOG_SQL_MOVE_BY_REQUEST_ID,
    FH_CATALOG_SQL_MOVE_UNFINISHED_OF_TENANT,
    FH_CATALOG_SQL_MOVES,
    FH_CATALOG_SQL_MOVES_UNFINISHED,
    FH_CATALOG_SQL_MOVES_OF_TENANT,
    FH_CATALOG_SQL_PLACEMENT_SET,
    FH_CATALOG_SQL_TENANT_TOUCH,
    FH_CATALOG_SQL_ROLLOUT_INSERT,
    FH_CATALOG_SQL_ROLLOUT_UPDATE,
    FH_CATALOG_SQL_ROLLOUT_BY_UUID,
    FH_CATALOG_SQL_ROLLOUT_NEWEST,
    FH_CATALOG_SQL_ROLLOUT_UNFINISHED,
    FH_CATALOG_SQL_ROLLOUTS,
    FH_CATALOG_SQL_ROLLOUT_NOTE,
    FH_CATALOG_SQL_ROLLOUT_COUNT,
    FH_CATALOG_SQL_ROLLOUT_HOMES,
    FH_CATALOG_SQL_COUNT
};

struct fh_catalog_db {
    sqlite3 *db;
    const struct fh_clock *clock;
    int64_t deadline_us; /* lock waits end then, and after two seconds in any case */
    int last_rc;         /* of the last failure */
    sqlite3_stmt *statements[FH_CATALOG_SQL_COUNT];
};

FH_MUST_CHECK enum fh_code fh_catalog_db_open(struct fh_catalog_db *db, const char *path,
                                              const struct fh_clock *clock, struct fh_error *error);
void fh_catalog_db_close(struct fh_catalog_db *db);

/* Prepared and without bindings; borrowed until fh_catalog_db_end(). One user at a time. */
FH_MUST_CHECK enum fh_code fh_catalog_db_get(struct fh_catalog_db *db,
                                             enum fh_catalog_statement which, sqlite3_stmt **out,
                                             struct fh_error *error);
/* FH_OK, and whether there is a row. */
FH_MUST_CHECK enum fh_code fh_catalog_db_step(struct fh_catalog_db *db, sqlite3_stmt *statement,
                                              bool *row, struct fh_error *error);
void fh_catalog_db_end(sqlite3_stmt *statement); /* NULL is fine */
/* A statement without parameters and rows. */
FH_MUST_CHECK enum fh_code fh_catalog_db_run(struct fh_catalog_db *db,
                                             enum fh_catalog_statement which,
                                             struct fh_error *error);
bool fh_catalog_db_in_transaction(const struct fh_catalog_db *db);
/* Whether a failed COMMIT may still be found in the file after a crash. */
bool fh_catalog_db_commit_unknown(const struct fh_catalog_db *db);

/* Bindings borrow: what they point to stays until the statement's end. They cannot fail: indexes
 * are ours and nothing is copied. */
void fh_catalog_bind_text(sqlite3_stmt *statement, int at, struct fh_str text);
void fh_catalog_bind_text_or_null(sqlite3_stmt *statement, int at, struct fh_str text);
void fh_catalog_bind_uuid(sqlite3_stmt *statement, int at, const struct fh_uuid *uuid);
void fh_catalog_bind_blob(sqlite3_stmt *statement, int at, const void *data, size_t len);
void fh_catalog_bind_int(sqlite3_stmt *statement, int at, int64_t value);

/* Columns, copied into the arena. */
FH_MUST_CHECK enum fh_code fh_catalog_column_text(sqlite3_stmt *statement, int at,
                                                  struct fh_arena *arena, struct fh_str *out);
/* False: not `len` bytes. */
FH_MUST_CHECK bool fh_catalog_column_bytes(sqlite3_stmt *statement, int at, void *out, size_t len);
/* False: does not fit, with its NUL. */
FH_MUST_CHECK bool fh_catalog_column_name(sqlite3_stmt *statement, int at, char *out, size_t size);

#endif
