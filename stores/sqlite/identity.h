/* Whose file it is: ours, of which format, and a bridge file's place among the others.
 *
 * user_version holds the format in its low 8 bits, and in a bridge file how many homes it has
 * above: that can be read without parsing the schema of all of them.
 */
#ifndef FH_STORES_SQLITE_IDENTITY_H
#define FH_STORES_SQLITE_IDENTITY_H

#include "stores/sqlite/conn.h"

#define FH_SQLITE_APPLICATION_ID 0x46484442 /* "FHDB" */
#define FH_SQLITE_FORMAT 1

/* Outside a transaction, after opening. A writer makes the system tables in an empty shared.db, and
 * what says which one it is in an empty bridge file. FH_INVALID: not ours, or a bridge file under
 * another's name; FH_PRECONDITION: of a newer format; FH_NO_TENANT: a bridge file that is empty. */
FH_MUST_CHECK enum fh_code fh_sqlite_identify(struct fh_sqlite_conn *conn, struct fh_error *error);
/* Marks a new file as ours, in the transaction that makes its tables. */
FH_MUST_CHECK enum fh_code fh_sqlite_identify_new(struct fh_sqlite_conn *conn,
                                                  struct fh_error *error);
/* The same of a new bridge file, and says in it which one it is. */
FH_MUST_CHECK enum fh_code fh_sqlite_identify_bridge(struct fh_sqlite_conn *conn, uint8_t number,
                                                     struct fh_error *error);
/* How many homes the bridge file has. */
FH_MUST_CHECK enum fh_code fh_sqlite_bridge_count(struct fh_sqlite_conn *conn, uint32_t *out,
                                                  struct fh_error *error);
/* In the transaction that makes or drops a home. */
FH_MUST_CHECK enum fh_code fh_sqlite_bridge_count_set(struct fh_sqlite_conn *conn, uint32_t count,
                                                      struct fh_error *error);

#endif
