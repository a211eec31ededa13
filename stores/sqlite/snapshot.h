/* The mover's readers: long views, and its questions outside of one.
 *
 * They look at any home of the store: each opens the file that it is asked for.
 *
 * A view (struct fh_snapshot) is a read transaction on a connection of its own, with a thread of
 * its own, because a page of a move may take long and the store's readers must not wait for it.
 * There are FH_SNAPSHOTS_MAX such readers and one more for what is asked without a view; each is
 * started when it is first needed and kept until the store closes.
 *
 * A long read transaction holds back the log: SQLite's checkpoint cannot pass what a view still
 * sees, so the -wal file grows with all that is written to the file (by all tenants) while the view
 * is open, and every read searches a longer log. So views are to be short, one round or one
 * comparison, and one that is asked nothing for FH_SNAPSHOT_IDLE_MAX_US is ended; a timer of the
 * loop's, that runs while there are views, looks after that. Afterwards the log is folded back by
 * the next checkpoint and reused (journal_size_limit).
 *
 * A handle stays valid until it is closed, also when its view has ended: then what is asked of it
 * is FH_UNAVAILABLE. A view answers its opener's tenant only. Requests of one view run one after
 * another.
 *
 * Limits: FH_SNAPSHOTS_MAX views, FH_SQLITE_HANDLES_MAX handles that are not closed (FH_FULL).
 *
 * Thread: the loop's; connections are their threads' alone.
 */
#ifndef FH_STORES_SQLITE_SNAPSHOT_H
#define FH_STORES_SQLITE_SNAPSHOT_H

#include <uv.h>

#include "base/worker.h"
#include "stores/sqlite/conn.h"
#include "stores/sqlite/layout.h"

#define FH_SQLITE_HANDLES_MAX 64

struct fh_sqlite_view {
    struct fh_sqlite_snapshots *snapshots;
    struct fh_sqlite_conn conn;   /* the thread's once it is started */
    struct fh_sqlite_place place; /* of the home it looks at; the thread's, too */
    struct fh_worker *worker;     /* NULL: not started yet */
    struct fh_snapshot *held_by;  /* NULL: free */
    struct fh_work end;           /* asks the thread to end the view */
    bool end_queued;
};

struct fh_sqlite_snapshots {
    const struct fh_sqlite_layout *layout; /* borrows */
    const struct fh_env *env;
    size_t queue_max;
    struct fh_sqlite_view views[FH_SNAPSHOTS_MAX];
    struct fh_sqlite_view common; /* questions without a view */
    struct fh_list handles;
    size_t handle_count;
    uv_timer_t timer;
    bool has_timer;
    fh_worker_stopped_cb *stopped_cb;
    void *stopped_arg;
};

/* Nothing is started yet; `faults` is borrowed. */
void fh_sqlite_snapshots_init(struct fh_sqlite_snapshots *snapshots, const struct fh_env *env,
                              const struct fh_sqlite_layout *layout,
                              const struct fh_isolation_faults *faults, size_t queue_max);
/* Is it a request for these readers? */
bool fh_sqlite_snapshots_serve(enum fh_op op);
/* request->work.done_cb is set by the caller. Refuses with FH_FULL, FH_INVALID, FH_UNAVAILABLE or
 * what a thread's start says. */
FH_MUST_CHECK enum fh_code fh_sqlite_snapshots_submit(struct fh_sqlite_snapshots *snapshots,
                                                      struct fh_request *request);
/* The thread is done with a request; before fh_request_complete(). */
void fh_sqlite_snapshots_done(struct fh_sqlite_snapshots *snapshots, struct fh_request *request);
uint32_t fh_sqlite_snapshots_connections(const struct fh_sqlite_snapshots *snapshots);
/* Lets what is queued end. `stopped_cb` is called as often as the answer says, later. */
FH_MUST_CHECK uint32_t fh_sqlite_snapshots_stop(struct fh_sqlite_snapshots *snapshots,
                                                fh_worker_stopped_cb *stopped_cb, void *arg);
/* After the last stopped_cb: ends all views, and all handles are void. */
void fh_sqlite_snapshots_close(struct fh_sqlite_snapshots *snapshots);

#endif
