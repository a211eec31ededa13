/* The threads of dedicated homes: a fixed few, on which files are hashed.
 *
 * Each file has one writing and one reading thread, a lane, and its connections belong to those
 * alone: so a file has one writer of rows, groups are committed per file, as shared.db's are, and
 * nothing here needs a lock. A lane keeps the files that were used last open, and closes those
 * that were not used for a while. Bridge files stay open: they are few, and opening one parses the
 * schemas of all its homes.
 *
 * Schema changes of the database tier have lanes of their own, for each is a durable transaction
 * with several syncs, and a rollout brings them by the thousand: other homes' writes must not wait
 * behind them. What is written to the home itself waits on the loop until its change is done, in
 * the order it came, so that it neither meets the change's lock nor overtakes it; what came before
 * may still be in the writing lane, and then they wait for each other's lock. A bridge file is one
 * lock for all its homes: its schema changes stay in the writing lane.
 *
 * Limits: open_homes_max files of the database tier open for writing, as many for reading, and as
 * many for schema changes, in equal shares of the lanes (at least one each), but never more than
 * half of the process' descriptors are enough for, as its limit is when the store opens;
 * FH_SQLITE_BRIDGE_FILES bridge files. Queues: the caller bounds what is outstanding; each lane
 * takes as much (FH_FULL).
 *
 * Thread: the loop's; what is said of a lane is its thread's. Threads start with the first request.
 */
#ifndef FH_STORES_SQLITE_LANES_H
#define FH_STORES_SQLITE_LANES_H

#include <uv.h>

#include "base/env.h"
#include "base/map.h"
#include "stores/sqlite/homes.h"
#include "stores/sqlite/reader.h"
#include "stores/sqlite/writer.h"

#define FH_SQLITE_OPEN_HOMES_DEFAULT 256
#define FH_SQLITE_WRITE_LANES 4 /* and as many for schema changes */
#define FH_SQLITE_READ_LANES_MAX 64
#define FH_SQLITE_LANE_BATCH_MAX 64 /* also what one file's group takes */
#define FH_SQLITE_FILE_IDLE_US 60000000

struct fh_sqlite_lanes;

struct fh_sqlite_lane {
    struct fh_sqlite_lanes *lanes;
    struct fh_worker *worker; /* NULL: not started */
    const char *name;         /* the thread's */
    bool writes;              /* or changes schemas */
    size_t taken_max;         /* at once; all of it is told when the last of it has ended */
    uint32_t files_max;       /* of the database tier */
    uint32_t alone;           /* how many of them there are */
    struct fh_map files;      /* struct fh_sqlite_file by place */
    struct fh_list recent;    /* most recently used first */
    uint32_t open;            /* connections; atomic, for statistics */
    struct fh_work tidy;      /* asks the thread to close what is idle */
    bool tidy_queued;         /* the loop's */
};

struct fh_sqlite_lanes {
    const struct fh_env *env;
    const struct fh_isolation_faults *faults; /* borrows */
    const struct fh_sqlite_layout *layout;    /* borrows */
    struct fh_sqlite_homes *homes;            /* borrows */
    size_t queue_max;
    struct fh_sqlite_lane writers[FH_SQLITE_WRITE_LANES];
    struct fh_sqlite_lane changers[FH_SQLITE_WRITE_LANES];
    struct fh_sqlite_lane readers[FH_SQLITE_READ_LANES_MAX];
    uint32_t reader_count;
    struct fh_map changes; /* schema changes under way, by home */
    uv_timer_t timer;
    bool has_timer;
    bool stopping; /* a worker may be gone */
    fh_worker_stopped_cb *stopped_cb;
    void *stopped_arg;
};

struct fh_sqlite_lanes_config {
    uint32_t readers;
    uint32_t open_homes_max; /* 0: the default */
    size_t queue_max;
};

void fh_sqlite_lanes_init(struct fh_sqlite_lanes *lanes, const struct fh_env *env,
                          const struct fh_isolation_faults *faults,
                          const struct fh_sqlite_layout *layout, struct fh_sqlite_homes *homes,
                          const struct fh_sqlite_lanes_config *config);
/* A request of a dedicated home; request->work.done_cb is set by the caller. */
FH_MUST_CHECK enum fh_code fh_sqlite_lanes_submit(struct fh_sqlite_lanes *lanes,
                                                  struct fh_request *request, bool writes);
/* Of every request that was submitted, before it is completed or submitted again. Lets go of what
 * waited for it; what a lane does not take any more gets its done_cb, with the lane's code. */
void fh_sqlite_lanes_done(struct fh_sqlite_lanes *lanes, const struct fh_request *request);
uint32_t fh_sqlite_lanes_connections(const struct fh_sqlite_lanes *lanes);
/* Lets what is queued end; what waits for a schema change of its home is FH_SHUTTING_DOWN when that
 * has ended. `stopped_cb` is called as often as the answer says, later. */
FH_MUST_CHECK uint32_t fh_sqlite_lanes_stop(struct fh_sqlite_lanes *lanes,
                                            fh_worker_stopped_cb *stopped_cb, void *arg);
/* After the last stopped_cb. */
void fh_sqlite_lanes_close(struct fh_sqlite_lanes *lanes);

#endif
