/* The views through which a connection sees a tenant's rows: layer 2 of the isolation for reads.
 *
 * A set of TEMP views is made for one home and one schema: of the home's fence, records and moves,
 * and of every table of the schema. All of them compare with fh_tenant(). A statement belongs to
 * the set that was in use when it was made, and the authorizer lets it see no other (conn.c), so
 * that a statement for one home of a bridge file cannot name another's tables. Views of two
 * versions may stand side by side; which version the home has is looked at by the statements
 * themselves (fence.h).
 *
 * Limits: FH_SQLITE_VIEWS_MAX sets; beyond that the one longest unused goes, with its statements.
 * That is more than a batch has requests, so preparing a batch never takes away what it prepared.
 * The connection's thread.
 */
#ifndef FH_STORES_SQLITE_VIEWS_H
#define FH_STORES_SQLITE_VIEWS_H

#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "stores/model.h"

#define FH_SQLITE_VIEWS_MAX 128

struct fh_sqlite_conn;

/* Compared as bytes: no padding. */
struct fh_sqlite_view_key {
    uint64_t schema; /* the model's address, 0: none; it never moves and is never freed */
    char prefix[48]; /* of the home's tables; padded with zeros */
};

struct fh_sqlite_view_set {
    struct fh_list node;
    struct fh_sqlite_view_key key;
    const struct fh_schema *schema; /* NULL: the system tables only */
    uint64_t serial;                /* of this connection, from 1, never used again */
    char name[24];                  /* "fh_v<serial>_", in front of the table's name */
};

struct fh_sqlite_views {
    struct fh_map map;
    struct fh_list recent; /* most recently used first */
    uint64_t serial;
    struct fh_sqlite_view_set *current; /* of the statements that run now; NULL: none yet */
};

void fh_sqlite_views_init(struct fh_sqlite_views *views);
/* The views themselves go with the connection. */
void fh_sqlite_views_close(struct fh_sqlite_views *views);

/* From here to the next call statements are of conn->home and `schema` (NULL: of its system tables
 * alone). Inside a writer's transaction only what was made before it began is there: FH_INTERNAL.
 */
FH_MUST_CHECK enum fh_code fh_sqlite_views_use(struct fh_sqlite_conn *conn,
                                               const struct fh_schema *schema,
                                               struct fh_error *error);
/* Drops all of them: ALTER TABLE would look into them, and stumble over other versions'. Outside a
 * transaction. */
FH_MUST_CHECK enum fh_code fh_sqlite_views_clear(struct fh_sqlite_conn *conn,
                                                 struct fh_error *error);

/* For the authorizer. Is `view` one of the current set? */
bool fh_sqlite_views_current(const struct fh_sqlite_conn *conn, const char *view);
/* Is `view` the current set's view of `table`, whose name is as it stands in the file? */
bool fh_sqlite_views_show(const struct fh_sqlite_conn *conn, const char *view, const char *table);

#endif
