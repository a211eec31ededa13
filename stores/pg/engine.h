/* The engine's store: lanes of connections, the catalogue of statements, the operations under way.
 *
 * Loop thread only. Everything is driven from two places: connections' socket events, and the
 * dispatcher, which runs before the loop polls whenever something was submitted or freed (so
 * completion never happens inside submit).
 */
#ifndef FH_STORES_PG_ENGINE_H
#define FH_STORES_PG_ENGINE_H

#include <uv.h>

#include "stores/pg/conninfo.h"
#include "stores/pg/databases.h"
#include "stores/pg/op.h"
#include "stores/pg/pool.h"
#include "stores/pg/provision.h"
#include "stores/pg/sessions.h"
#include "stores/pg/statements.h"
#include "stores/pg/view.h"
#include "stores/store.h"

#define FH_PG_SECRET_BYTES 32

struct fh_pg_store {
    struct fh_store store; /* first */
    struct fh_pg_conninfo serving;
    struct fh_pg_conninfo owner;
    bool has_owner;
    bool may_bypass;   /* tests: layer two is taken away by a role the policies do not bind */
    bool general_only; /* tests: single writes take the general path too */
    struct fh_pg_lane lanes[FH_PG_LANE_COUNT];
    struct fh_snapshot views[FH_SNAPSHOTS_MAX];
    unsigned views_taken; /* a store: its own, and its databases' */
    uint32_t homes_max;   /* of the schema tier */

    /* A store: its databases that are open, the one used last first; and who waits for a place. */
    struct fh_list databases;
    unsigned database_count;
    unsigned databases_closing;
    unsigned databases_max;
    uint32_t database_idle_ms;
    struct fh_list waiting;
    size_t waiting_count;
    /* A database: whose, which, and its place on that list. */
    struct fh_pg_store *parent;
    struct fh_home home;
    struct fh_list node;

    bool has_secret;
    uint8_t secret[FH_PG_SECRET_BYTES]; /* passwords of databases' logins are made from it */
    struct fh_worker *provisioners[FH_PG_PROVISIONERS]; /* NULL: not needed so far */
    struct fh_pg_sessions sessions;                     /* for them */
    uv_timer_t session_timer;
    uint32_t view_idle_ms; /* the server ends a view that is asked nothing for so long */
    struct fh_pg_statements statements;
    struct fh_pg_params params; /* scratch of one statement */
    struct fh_buf scratch;      /* scratch of a value in it */

    struct fh_list active; /* all ops, oldest first */
    size_t active_count;
    size_t queue_max;
    int64_t deadline_next_us; /* no op's deadline is earlier */

    uv_timer_t tick;
    uv_idle_t idle; /* keeps the loop from sleeping while the dispatcher is wanted */
    uv_prepare_t dispatcher;
    unsigned handles; /* open: ours and the connections' */
    bool ticking;

    uint32_t contexts; /* sent so far: for wrong_context_every */
    fh_store_closed_cb *closed_cb;
    void *closed_arg;
    bool torn_down; /* handles are closing */
};

/* The dispatcher runs soon. */
void fh_pg_store_kick(struct fh_pg_store *pg);
/* The engine of one database of the store's; not on its list. FH_NOMEM. */
FH_MUST_CHECK enum fh_code fh_pg_store_make_child(struct fh_pg_store *pg,
                                                  const struct fh_home *home,
                                                  struct fh_pg_store **out);
/* A handle of the store's closed; the last one frees it. */
void fh_pg_store_handle_closed(struct fh_pg_store *pg);

extern const struct fh_pg_op_kind fh_pg_get_kind;
extern const struct fh_pg_op_kind fh_pg_list_kind;
extern const struct fh_pg_op_kind fh_pg_events_kind;
extern const struct fh_pg_op_kind fh_pg_commit_kind;
extern const struct fh_pg_op_kind fh_pg_fast_kind;
extern const struct fh_pg_op_kind fh_pg_home_create_kind;
extern const struct fh_pg_op_kind fh_pg_home_erase_kind;
extern const struct fh_pg_op_kind fh_pg_fence_read_kind;
extern const struct fh_pg_op_kind fh_pg_fence_set_kind;
extern const struct fh_pg_op_kind fh_pg_schema_kind;
extern const struct fh_pg_op_kind fh_pg_check_kind;
extern const struct fh_pg_op_kind fh_pg_view_open_kind;
extern const struct fh_pg_op_kind fh_pg_view_close_kind; /* needs no connection */
extern const struct fh_pg_op_kind fh_pg_scan_kind;
extern const struct fh_pg_op_kind fh_pg_scan_journal_kind;
extern const struct fh_pg_op_kind fh_pg_changes_kind;
extern const struct fh_pg_op_kind fh_pg_tally_kind;
extern const struct fh_pg_op_kind fh_pg_apply_kind;
extern const struct fh_pg_op_kind fh_pg_move_state_kind;
extern const struct fh_pg_op_kind fh_pg_references_kind;
extern const struct fh_pg_op_kind fh_pg_size_kind;
extern const struct fh_pg_op_kind fh_pg_copy_within_kind;

/* Whether the commit is one write that commit_fast.c can do in one round trip. */
bool fh_pg_fast_suits(const struct fh_pg_store *pg, const struct fh_request *request);

#endif
