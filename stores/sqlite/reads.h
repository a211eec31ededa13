/* GET, LIST and EVENTS. A reader's thread, in a read transaction where more than one statement is
 * run.
 *
 * Each statement joins the fence, so fence and data come from one snapshot. */
#ifndef FH_STORES_SQLITE_READS_H
#define FH_STORES_SQLITE_READS_H

#include "stores/sqlite/conn.h"

FH_MUST_CHECK enum fh_code fh_sqlite_get(struct fh_sqlite_conn *conn, struct fh_request *request);
FH_MUST_CHECK enum fh_code fh_sqlite_list(struct fh_sqlite_conn *conn, struct fh_request *request);
FH_MUST_CHECK enum fh_code fh_sqlite_events(struct fh_sqlite_conn *conn,
                                            struct fh_request *request);

#endif
