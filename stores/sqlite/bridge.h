/* A bridge file comes to be: whole, or not at all.
 *
 * It used to be opened empty, and made to have a log and its tables by two transactions of their
 * own: nine syncs with its first home's, of which this leaves five.
 *
 * Thread: any that writes.
 */
#ifndef FH_STORES_SQLITE_BRIDGE_H
#define FH_STORES_SQLITE_BRIDGE_H

#include "stores/sqlite/conn.h"
#include "stores/sqlite/layout.h"

/* Makes the file of conn's place where there is none. `conn` is not opened. */
FH_MUST_CHECK enum fh_code fh_sqlite_bridge_have(const struct fh_sqlite_layout *layout,
                                                 const struct fh_sqlite_conn *conn,
                                                 int64_t deadline_us, struct fh_error *error);

#endif
