/* Statements by meaning: each (kind, flags, table, home, version) has one text, one name, and is
 * prepared where it is used.
 *
 * The catalogue is bounded: when full, a statement that no connection holds makes room, else
 * FH_FULL. Each connection keeps at most FH_PG_PREPARED_MAX of them prepared (an LRU of its own;
 * about 17 kB each on the server). Loop thread only.
 */
#ifndef FH_STORES_PG_STATEMENTS_H
#define FH_STORES_PG_STATEMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/code.h"
#include "base/list.h"
#include "base/map.h"
#include "stores/model.h"
#include "stores/store.h"

#define FH_PG_STATEMENTS_MAX 4096
#define FH_PG_PREPARED_MAX 256
#define FH_PG_CONNECTIONS_MAX 24 /* of one store, all lanes */

enum fh_pg_statement_kind {
    FH_PG_BEGIN = 1,
    FH_PG_COMMIT,
    FH_PG_ROLLBACK,
    FH_PG_CHECK_DEFERRED, /* set constraints all immediate */
    FH_PG_CONTEXT_READ,
    FH_PG_CONTEXT_WRITE,
    FH_PG_CONTEXT_GATE, /* the fast path's: outcome of the locks kept in settings */
    FH_PG_CONTEXT_MOVE,
    FH_PG_CONTEXT_VIEW,
    FH_PG_ROLE_NONE, /* as the login again */
    FH_PG_CURSOR,
    FH_PG_REPLICA,           /* references are not enforced on this connection, once it commits */
    FH_PG_CONTEXT_EXCLUSIVE, /* the last one that is the same in every home */
    FH_PG_FENCE_READ,
    FH_PG_FENCE_LOCK,
    FH_PG_FENCE_INSERT,
    FH_PG_FENCE_UPDATE,
    FH_PG_FENCE_DELETE,
    FH_PG_VERSION, /* of the home; under the nil tenant's context */
    FH_PG_FENCE_AND_RECORD,
    FH_PG_RECORD_INSERT,
    FH_PG_EVENTS,
    FH_PG_GET,
    FH_PG_LIST,
    FH_PG_ROW_LOCK,
    FH_PG_ROW_INSERT,
    FH_PG_ROW_UPDATE,
    FH_PG_ROW_PARK, /* out of the partial unique indexes, for a moment */
    FH_PG_ROW_PURGE,
    FH_PG_PARENT_LOCK, /* `extra`: which foreign key of the table */
    FH_PG_CHILD_FIND,
    FH_PG_CHILDREN_LOCK,
    FH_PG_ERASE_ROWS,
    FH_PG_ERASE_RECORDS,
    FH_PG_FAST_INSERT,
    FH_PG_FAST_UPDATE,
    FH_PG_FAST_DELETE,
    FH_PG_MOVE_GUARD, /* the mover's, from here to the end (move_sql.c) */
    FH_PG_MOVE_FENCE,
    FH_PG_MOVE_FENCE_LOCK,
    FH_PG_MOVE_SCAN,
    FH_PG_MOVE_JOURNAL,
    FH_PG_MOVE_CHANGES,
    FH_PG_MOVE_LOOK_UP,
    FH_PG_MOVE_TALLY,
    FH_PG_MOVE_REFERENCE, /* `extra`: which foreign key of the table */
    FH_PG_MOVE_SIZE,      /* without a table: of the records */
    FH_PG_MOVE_DELETE,
    FH_PG_MOVE_INSERT,
    FH_PG_MOVE_RECORDS,
    FH_PG_MOVE_STATE,
    FH_PG_MOVE_STATE_PUT,
    FH_PG_MOVE_STATE_DROP,
};

enum fh_pg_statement_flag {
    FH_PG_SHOW_DELETED = 1 << 0,
    FH_PG_AFTER_KEY = 1 << 1,
    FH_PG_NO_PREDICATE = 1 << 2, /* probes and tests: layer one taken away */
    FH_PG_ERASE_ALL = 1 << 3,
    FH_PG_UNTIL_KEY = 1 << 4,
    FH_PG_KEEP_EXISTING = 1 << 5,
    FH_PG_FENCE_OF_CONTEXT = 1 << 6, /* probes: fh_probe_owner() */
};

/* Zeroed before it is filled: compared as bytes. */
struct fh_pg_statement_key {
    uint32_t kind;
    uint32_t flags;
    uint64_t extra;
    uint64_t version; /* of the schema whose tables it takes: names the fence's view (ddl.h) */
    const struct fh_table *table; /* NULL: none */
    char home[FH_HOME_NAME_MAX];
};

struct fh_pg_prepared {
    struct fh_list node; /* on its connection's LRU, newest first */
    struct fh_pg_statement *statement;
    bool confirmed;    /* the server said so */
    uint32_t uses;     /* since it was prepared */
    uint32_t renew_at; /* uses after which it is prepared anew: 0 never */
};

struct fh_pg_statement {
    struct fh_pg_statement_key key;
    struct fh_list node; /* on the catalogue's LRU */
    char name[16];
    char *text;
    struct fh_pg_prepared *prepared[FH_PG_CONNECTIONS_MAX]; /* by connection id */
    uint32_t holders;                                       /* connections that hold it */
    uint32_t pins; /* results under way on some connection */
};

struct fh_pg_statements {
    struct fh_map map;
    struct fh_list lru;
    uint32_t next_name;
};

void fh_pg_statements_init(struct fh_pg_statements *statements);
void fh_pg_statements_close(struct fh_pg_statements *statements);

/* Finds or makes it. FH_FULL, FH_NOMEM. */
FH_MUST_CHECK enum fh_code fh_pg_statement_get(struct fh_pg_statements *statements,
                                               const struct fh_pg_statement_key *key,
                                               struct fh_pg_statement **out);

#endif
