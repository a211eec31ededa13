/* The physical tables, made from the model and nothing else.
 *
 * Each object (table, index, trigger) is handed to a callback with its exact text, so that one
 * generator serves applying (it is executed) and checking (it is compared with what the file says).
 * Tables come before their indexes and triggers, in the model's order; foreign keys may point
 * forward, for SQLite resolves them when rows are written.
 */
#ifndef FH_STORES_SQLITE_DDL_H
#define FH_STORES_SQLITE_DDL_H

#include "base/code.h"
#include "base/error.h"
#include "stores/model.h"

enum fh_sqlite_object { FH_SQLITE_TABLE, FH_SQLITE_INDEX, FH_SQLITE_TRIGGER, FH_SQLITE_CHANGE };

/* `name` is the object's; borrows for the call. Anything but FH_OK ends the generation. */
typedef enum fh_code fh_sqlite_ddl_cb(void *arg, enum fh_sqlite_object kind, struct fh_str name,
                                      const char *sql, struct fh_error *error);

/* fh_meta, fh_fence, fh_commit, fh_move with their triggers and indexes, and the first row of
 * fh_meta (as FH_SQLITE_CHANGE). */
FH_MUST_CHECK enum fh_code fh_sqlite_ddl_system(fh_sqlite_ddl_cb *cb, void *arg,
                                                struct fh_error *error);
/* What leads from `from` (NULL: nothing there) to `to`, additive only: FH_UNIMPLEMENTED otherwise.
 */
FH_MUST_CHECK enum fh_code fh_sqlite_ddl_schema(const struct fh_schema *from,
                                                const struct fh_schema *to, fh_sqlite_ddl_cb *cb,
                                                void *arg, struct fh_error *error);

#endif
