/* SQLite's result codes end here: each becomes an fh_code and a text for people.
 *
 * Texts are SQLite's fixed ones and ours; never sqlite3_errmsg(), which may quote a statement.
 * Pure functions, any thread.
 */
#ifndef FH_STORES_SQLITE_ERRORS_H
#define FH_STORES_SQLITE_ERRORS_H

#include <stdbool.h>

#include "base/code.h"
#include "base/error.h"
#include "stores/model.h"

struct sqlite3;

/* In front of a check's name in the file. */
#define FH_SQLITE_CHECK_PREFIX "fh_ck_"

/* Of an extended result code, met anywhere but in COMMIT. */
enum fh_code fh_sqlite_code(int rc);
/* Fills `error` (may be NULL) and answers fh_sqlite_code(rc). */
enum fh_code fh_sqlite_error(int rc, struct fh_error *error);
/* The check of `table` that the connection's last failed statement broke; NULL: it was not one. Its
 * name is found among the model's: nothing else of SQLite's message gets out. */
const struct fh_check *fh_sqlite_broken_check(struct sqlite3 *db, const struct fh_table *table);
/* COMMIT answered `rc`: was the transaction certainly not made durable? Otherwise nobody can tell:
 * the commit frame may stand in the log and come back with recovery. */
bool fh_sqlite_commit_refused(int rc);
/* After such an error the connection is closed, and opened anew for the next request. */
bool fh_sqlite_is_fatal(int rc);

#endif
