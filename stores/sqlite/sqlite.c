/* A directory of SQLite files as a store; layout.h says which.
 *
 * Happy path: submit hands a request of the shared home to the thread of the writer or the least
 * busy reader, one of a dedicated home to its file's lane, the mover's to one of its readers. That
 * thread executes it and leaves its code; on the loop it is completed, or put
 * into the queue again when the thread asks for that (writer.h).
 *
 * Failures: open() refuses what will not get better (no directory, not our file, damaged, no room);
 * a file that another process holds is opened later, by the first request. A full queue is FH_FULL.
 * Closing lets everything queued end; what would need another turn ends with FH_SHUTTING_DOWN. A
 * start that fails half-way is undone by the same road, without a callback.
 *
 * See lanes.h (dedicated homes), homes.h (making and dropping them), conn.h (isolation), writer.h
 * (groups), reader.h (batches), snapshot.h (views), ddl.c (tables).
 */
#include "stores/sqlite/sqlite.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/log.h"
#include "stores/sqlite/admit.h"
#include "stores/sqlite/checker.h"
#include "stores/sqlite/ddl.h"
#include "stores/sqlite/lanes.h"
#include "stores/sqlite/reader.h"
#include "stores/sqlite/snapshot.h"
#include "stores/sqlite/writer.h"

#define QUEUE_MAX_DEFAULT 4096
#define READERS_DEFAULT 2
#define READERS_MAX 64

struct sqlite_store {
    struct fh_store store; /* first */
    struct fh_sqlite_layout layout;
    struct fh_sqlite_place place; /* of shared.db */
    uint32_t queue_max;
    uint32_t outstanding; /* with a worker, or between two turns */
    struct fh_sqlite_writer writer;
    struct fh_sqlite_reader *readers;
    uint32_t reader_count; /* started */
    uint32_t next_reader;
    struct fh_sqlite_snapshots snapshots;
    struct fh_sqlite_homes homes;
    struct fh_sqlite_lanes lanes;
    bool has_lanes; /* and homes: initialised */
    struct fh_sqlite_checker checker;
    uint32_t workers; /* and a timer; not stopped yet */
    fh_store_closed_cb *closed_cb;
    void *closed_arg;
};

static struct sqlite_store *self_of(const struct fh_store *store)
{
    return (struct sqlite_store *)(uintptr_t)store;
}

static void free_store(struct sqlite_store *self)
{
    for (uint32_t i = 0; i < self->reader_count; i++) {
        fh_sqlite_conn_close(&self->readers[i].conn);
    }
    fh_sqlite_snapshots_close(&self->snapshots);
    if (self->has_lanes) {
        fh_sqlite_lanes_close(&self->lanes);
        fh_sqlite_homes_close(&self->homes);
    }
    fh_sqlite_conn_close(&self->writer.eraser);
    fh_sqlite_conn_close(&self->writer.conn); /* last: it folds the log into the file */
    fh_free(self->readers);
    fh_free(self);
}

static void stopped_cb(void *arg)
{
    struct sqlite_store *self = arg;
    FH_ASSERT(self->workers > 0);
    if (--self->workers > 0) {
        return;
    }
    FH_ASSERT(self->outstanding == 0);
    fh_store_closed_cb *closed_cb = self->closed_cb;
    void *closed_arg = self->closed_arg;
    free_store(self);
    if (closed_cb != NULL) {
        closed_cb(closed_arg);
    }
}

static void stop(struct sqlite_store *self)
{
    self->store.closing = true;
    if (self->workers == 0) {
        free_store(self);
        return;
    }
    self->workers += fh_sqlite_snapshots_stop(&self->snapshots, stopped_cb, self);
    self->workers += fh_sqlite_lanes_stop(&self->lanes, stopped_cb, self);
    self->workers += fh_sqlite_checker_stop(&self->checker, stopped_cb, self);
    fh_worker_stop(self->writer.worker, stopped_cb, self);
    for (uint32_t i = 0; i < self->reader_count; i++) {
        fh_worker_stop(self->readers[i].worker, stopped_cb, self);
    }
}

/* A lock is no reason to refuse: it will be gone some day. */
static enum fh_code try_file(struct sqlite_store *self, struct fh_error *error)
{
    struct fh_sqlite_conn *conn = &self->writer.conn;
    struct fh_error why = FH_ERROR_INIT;
    conn->deadline_us = INT64_MIN; /* do not wait */
    enum fh_code code = fh_sqlite_conn_open(conn, &why);
    if (code == FH_OK || (code == FH_UNAVAILABLE && (conn->last_rc & 0xff) == SQLITE_BUSY)) {
        return FH_OK;
    }
    return fh_error_set(error, code, "%s: %s", self->place.path, why.message);
}

static enum fh_code start_workers(struct sqlite_store *self, uint32_t readers,
                                  struct fh_error *error)
{
    const struct fh_env *env = self->store.env;
    enum fh_code code =
        fh_worker_start(env->loop, "fh-sqlite-w", self->queue_max, FH_SQLITE_GROUP_MAX,
                        fh_sqlite_writer_run, &self->writer, &self->writer.worker);
    self->workers = code == FH_OK ? 1 : 0;
    for (uint32_t i = 0; i < readers && code == FH_OK; i++) {
        struct fh_sqlite_reader *reader = &self->readers[i];
        fh_sqlite_conn_init(&reader->conn, FH_SQLITE_READER, self->place.path, env->clock,
                            self->store.faults);
        code = fh_worker_start(env->loop, "fh-sqlite-r", self->queue_max, FH_SQLITE_READ_BATCH_MAX,
                               fh_sqlite_reader_run, reader, &reader->worker);
        if (code == FH_OK) {
            self->reader_count++;
            self->workers++;
        }
    }
    return code == FH_OK ? FH_OK : fh_error_set(error, code, "a thread could not be started");
}

/* SQLite counts its allocations under one lock for the whole process, and nobody reads the count.
 * Too late when the process has used SQLite before: then it merely stays slower. */
static void configure_once(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static enum fh_code make_homes(struct sqlite_store *self, const struct fh_store_config *config,
                               uint32_t readers, struct fh_error *error)
{
    struct fh_sqlite_lanes_config lanes = {
        .readers = readers,
        .open_homes_max = config->open_homes_max,
        .queue_max = self->queue_max,
    };
    if (fh_sqlite_homes_init(&self->homes, &self->layout, config->homes_max) != FH_OK) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    fh_sqlite_lanes_init(&self->lanes, self->store.env, self->store.faults, &self->layout,
                         &self->homes, &lanes);
    self->has_lanes = true;
    return FH_OK;
}

static enum fh_code sqlite_open(const struct fh_env *env, const struct fh_store_config *config,
                                struct fh_store **out, struct fh_error *error)
{
    uint32_t readers = config->connections_max > 0 ? config->connections_max : READERS_DEFAULT;
    readers = readers < READERS_MAX ? readers : READERS_MAX;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, configure_once);
    struct sqlite_store *self = fh_calloc(1, sizeof(*self));
    if (self == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    fh_store_init(&self->store, &fh_store_sqlite_ops, env, config);
    self->queue_max = config->queue_max > 0 ? config->queue_max : QUEUE_MAX_DEFAULT;
    fh_sqlite_conn_init(&self->writer.conn, FH_SQLITE_WRITER, NULL, env->clock, self->store.faults);
    fh_sqlite_conn_init(&self->writer.eraser, FH_SQLITE_ERASER, NULL, env->clock,
                        self->store.faults);
    fh_sqlite_snapshots_init(&self->snapshots, env, &self->layout, self->store.faults,
                             self->queue_max);
    self->checker = (struct fh_sqlite_checker){
        .env = env, .layout = &self->layout, .queue_max = self->queue_max};
    enum fh_code code = make_homes(self, config, readers, error);
    if (code == FH_OK) {
        code = fh_sqlite_layout_init(&self->layout, config->location, error);
    }
    if (code == FH_OK) {
        struct fh_home shared = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED};
        fh_sqlite_layout_place(&self->layout, &shared, &self->place);
        fh_sqlite_conn_use_place(&self->writer.conn, &self->place);
        fh_sqlite_conn_use_place(&self->writer.eraser, &self->place);
        code = fh_sqlite_file_make(&self->place, error);
    }
    if (code == FH_OK) {
        code = try_file(self, error);
    }
    if (code == FH_OK) {
        self->readers = fh_calloc(readers, sizeof(*self->readers));
        code = self->readers != NULL ? start_workers(self, readers, error)
                                     : fh_error_set(error, FH_NOMEM, "out of memory");
    }
    if (code != FH_OK) {
        stop(self);
        return code;
    }
    *out = &self->store;
    return FH_OK;
}

static struct fh_worker *choose_reader(struct sqlite_store *self)
{
    uint32_t best = self->next_reader % self->reader_count;
    self->next_reader = best + 1;
    for (uint32_t i = 0; i < self->reader_count; i++) {
        if (fh_worker_queued(self->readers[i].worker) <
            fh_worker_queued(self->readers[best].worker)) {
            best = i;
        }
    }
    return self->readers[best].worker;
}

static bool is_write(enum fh_op op)
{
    return op == FH_OP_COMMIT || op == FH_OP_HOME_CREATE || op == FH_OP_HOME_ERASE ||
           op == FH_OP_FENCE_SET || op == FH_OP_SCHEMA_APPLY || op == FH_OP_APPLY;
}

static enum fh_code dispatch(struct sqlite_store *self, struct fh_request *request)
{
    bool writes = is_write(request->op);
    if (fh_sqlite_snapshots_serve(request->op)) {
        return fh_sqlite_snapshots_submit(&self->snapshots, request);
    }
    if (request->op == FH_OP_CHECK) {
        return fh_sqlite_checker_submit(&self->checker, request);
    }
    if (fh_home_is_dedicated(&request->scope.home)) {
        return fh_sqlite_lanes_submit(&self->lanes, request, writes);
    }
    return fh_worker_submit(writes ? self->writer.worker : choose_reader(self), &request->work);
}

static void done_cb(struct fh_work *work)
{
    struct fh_request *request = FH_CONTAINER_OF(work, struct fh_request, work);
    struct sqlite_store *self = self_of(request->store);
    fh_sqlite_lanes_done(&self->lanes, request);
    if (request->code == FH_SQLITE_AGAIN) {
        enum fh_code code = dispatch(self, request);
        if (code == FH_OK) {
            return; /* the request is the worker's again */
        }
        request->code = code;
        request->error = (struct fh_error)FH_ERROR_INIT;
    }
    FH_ASSERT(self->outstanding > 0);
    self->outstanding--;
    if (fh_sqlite_snapshots_serve(request->op)) {
        fh_sqlite_snapshots_done(&self->snapshots, request);
    }
    fh_request_complete(request, request->code);
}

static enum fh_code sqlite_submit(struct fh_store *store, struct fh_request *request)
{
    struct sqlite_store *self = self_of(store);
    if (request->op == FH_OP_CREDENTIAL) {
        return fh_error_set(&request->error, FH_UNIMPLEMENTED,
                            "a sqlite store has no logins; give the tenant a copy of its file, or "
                            "a home on a PostgreSQL store");
    }
    if (request->op == FH_OP_COPY_WITHIN) {
        return fh_error_set(&request->error, FH_UNIMPLEMENTED,
                            "homes of a sqlite store are in different files");
    }
    const struct fh_home *home = &request->scope.home;
    if (request->op != FH_OP_CHECK && !fh_home_is_dedicated(home) &&
        strcmp(home->name, FH_HOME_SHARED) != 0) {
        return fh_error_set(&request->error, FH_INVALID, "a store has one shared home");
    }
    /* The end of a view makes room; it is never refused for want of it. */
    if (self->outstanding >= self->queue_max && request->op != FH_OP_SNAPSHOT_CLOSE) {
        return fh_error_set(&request->error, FH_FULL, "the store's queue is full");
    }
    if (request->op == FH_OP_COMMIT) {
        /* Taken here: clocks belong to the loop, and submission order is commit order. */
        request->as.commit.at_us = fh_clock_realtime_us(store->env->clock);
    }
    request->work.done_cb = done_cb;
    enum fh_code code = dispatch(self, request);
    if (code == FH_OK) {
        self->outstanding++;
    }
    return code;
}

static void sqlite_cancel(struct fh_store *store, struct fh_request *request)
{
    (void)store;
    fh_sqlite_cancel(request);
}

static void sqlite_stats(const struct fh_store *store, struct fh_store_stats *out)
{
    const struct sqlite_store *self = self_of(store);
    *out = store->counters;
    out->queued = self->outstanding;
    out->connections = 1 + self->reader_count + fh_sqlite_snapshots_connections(&self->snapshots) +
                       fh_sqlite_lanes_connections(&self->lanes);
}

static void sqlite_close(struct fh_store *store, fh_store_closed_cb *closed_cb, void *arg)
{
    struct sqlite_store *self = self_of(store);
    FH_ASSERT(!store->closing);
    self->closed_cb = closed_cb;
    self->closed_arg = arg;
    stop(self);
}

const struct fh_store_ops fh_store_sqlite_ops = {
    .engine = "sqlite",
    .capabilities = FH_CAPABILITY_SHARED | FH_CAPABILITY_SCHEMA | FH_CAPABILITY_DATABASE |
                    FH_CAPABILITY_DURABLE,
    .open = sqlite_open,
    .submit = sqlite_submit,
    .preview = fh_sqlite_ddl_preview,
    .cancel = sqlite_cancel,
    .stats = sqlite_stats,
    .close = sqlite_close,
};
