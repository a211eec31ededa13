/* Dedicated homes: made and dropped whole.
 *
 * In a bridge file both are one transaction, so a crash leaves all of it or nothing. A file of the
 * database tier is made under a name that nobody looks for and renamed when it is whole and
 * durable; it is dropped as layout.h argues.
 *
 * Limits: homes_max of the schema tier, over all bridge files (FH_FULL). Counted on
 * first use and whenever the bound is met, never past it within this process; a second process may
 * go past it by what it makes at the same moment.
 *
 * Thread: any that writes; `homes` is shared by all of them.
 */
#ifndef FH_STORES_SQLITE_HOMES_H
#define FH_STORES_SQLITE_HOMES_H

#include <pthread.h>

#include "stores/sqlite/conn.h"
#include "stores/sqlite/layout.h"

#define FH_SQLITE_HOMES_MAX_DEFAULT 1000

struct fh_sqlite_homes {
    const struct fh_sqlite_layout *layout; /* borrows */
    uint32_t homes_max;
    pthread_mutex_t mutex; /* of what follows */
    bool directories;      /* of the database tier: there, and durable */
    bool counted;
    uint32_t counts[FH_SQLITE_BRIDGE_FILES]; /* as last seen */
    uint32_t reserved;                       /* being made */
};

FH_MUST_CHECK enum fh_code fh_sqlite_homes_init(struct fh_sqlite_homes *homes,
                                                const struct fh_sqlite_layout *layout,
                                                uint32_t homes_max);
void fh_sqlite_homes_close(struct fh_sqlite_homes *homes);

/* FH_OP_HOME_CREATE of a dedicated home. `conn` is of the home's place, and no transaction is open
 * on it. */
FH_MUST_CHECK enum fh_code fh_sqlite_homes_create(struct fh_sqlite_homes *homes,
                                                  struct fh_sqlite_conn *conn,
                                                  struct fh_request *request);
/* FH_OP_HOME_ERASE in the database tier. */
FH_MUST_CHECK enum fh_code fh_sqlite_homes_erase_file(struct fh_sqlite_conn *conn,
                                                      struct fh_request *request);
/* FH_OP_HOME_ERASE in a bridge file, one step of it: a transaction that closes the fence, if it is
 * open, and drops a table; the last drops the fence. *more: there is another. So others of the file
 * wait for the largest table at most. The caller commits. */
FH_MUST_CHECK enum fh_code fh_sqlite_homes_erase_namespace(struct fh_sqlite_conn *conn,
                                                           struct fh_request *request, bool *more);
/* Does conn->home have tables in its bridge file? As the connection last saw the schema. */
bool fh_sqlite_homes_here(struct fh_sqlite_conn *conn);

#endif
