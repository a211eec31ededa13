/* Happy path:
 *
 *     submit (loop) -> a lane's worker: connection ready? -> the operation, one or two round trips
 *                   -> done_cb and hint (loop)
 *
 * Two lanes, so that what a request or a move's switch waits for does not wait behind a sweep. The
 * listener hears what other servers changed.
 *
 * Failures: an idle connection that turns out dead is made anew before anything is sent; a read
 * whose connection dies is done once more on a new one; a change is not, since its caller knows
 * better. Whatever an operation left open is rolled back before the next one. Close: what is queued
 * runs to its end, each at most until its deadline and all within two seconds once something has to
 * be waited for; then the threads go and the last one frees the catalog.
 */
#include "router/catalog_pg/catalog_pg.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "router/catalog_pg/listener.h"
#include "router/catalog_pg/ops.h"
#include "router/catalog_pg/schema.h"

#define QUEUE_MAX 4096
#define OPEN_US INT64_C(10000000)
#define LANES 2

_Static_assert(LANES == FH_CATALOG_PG_OWN_MAX, "the listener knows every lane");

struct catalog;

struct lane {
    struct catalog *catalog;
    struct fh_worker *worker;
    struct fh_catalog_pg_link link; /* the worker's while it runs */
};

struct catalog {
    struct fh_catalog catalog; /* first */
    const struct fh_env *env;
    struct fh_catalog_pg_conninfo info;
    int stop_fd;
    struct lane quick;
    struct lane slow;
    struct fh_catalog_pg_link listening;
    struct fh_catalog_pg_listener *listener;
    bool closing;
    unsigned running; /* threads, while closing */
    fh_catalog_closed_cb *closed_cb;
    void *closed_arg;
};

static struct fh_catalog_request *request_of(struct fh_work *work)
{
    return FH_CONTAINER_OF(work, struct fh_catalog_request, work);
}

static const struct {
    enum fh_code (*run)(const struct fh_catalog_pg_txn *txn);
    bool reads; /* may be done twice */
    bool quick; /* somebody holds a request or a tenant meanwhile */
} operations[] = {
    [FH_CATALOG_TENANT_CREATE] = {.run = fh_catalog_pg_tenant_create},
    [FH_CATALOG_TENANT_GET] = {.run = fh_catalog_pg_tenant_get, .reads = true, .quick = true},
    [FH_CATALOG_TENANT_LIST] = {.run = fh_catalog_pg_tenant_list, .reads = true},
    [FH_CATALOG_TENANT_ADVANCE] = {.run = fh_catalog_pg_tenant_advance, .quick = true},
    [FH_CATALOG_STORE_CREATE] = {.run = fh_catalog_pg_store_create},
    [FH_CATALOG_STORE_LIST] = {.run = fh_catalog_pg_store_list, .reads = true},
    [FH_CATALOG_MIGRATION_ADD] = {.run = fh_catalog_pg_migration_add},
    [FH_CATALOG_MIGRATION_LIST] = {.run = fh_catalog_pg_migration_list, .reads = true},
    [FH_CATALOG_PAGE_KEYS] = {.run = fh_catalog_pg_page_keys},
    [FH_CATALOG_MOVE_CREATE] = {.run = fh_catalog_pg_move_create},
    [FH_CATALOG_MOVE_GET] = {.run = fh_catalog_pg_move_get, .reads = true},
    [FH_CATALOG_MOVE_LIST] = {.run = fh_catalog_pg_move_list, .reads = true},
    [FH_CATALOG_MOVE_CLAIM] = {.run = fh_catalog_pg_move_claim, .quick = true},
    [FH_CATALOG_MOVE_ADVANCE] = {.run = fh_catalog_pg_move_advance, .quick = true},
    [FH_CATALOG_MOVE_SWITCH] = {.run = fh_catalog_pg_move_switch, .quick = true},
    [FH_CATALOG_MOVE_WISH] = {.run = fh_catalog_pg_move_wish},
    [FH_CATALOG_EVENTS] = {.run = fh_catalog_pg_events, .reads = true},
    [FH_CATALOG_EVENT_ADD] = {.run = fh_catalog_pg_event_alone},
    [FH_CATALOG_ROLLOUT_CREATE] = {.run = fh_catalog_pg_rollout_create},
    [FH_CATALOG_ROLLOUT_GET] = {.run = fh_catalog_pg_rollout_get, .reads = true},
    [FH_CATALOG_ROLLOUT_LIST] = {.run = fh_catalog_pg_rollout_list, .reads = true},
    [FH_CATALOG_ROLLOUT_CLAIM] = {.run = fh_catalog_pg_rollout_claim},
    [FH_CATALOG_ROLLOUT_ADVANCE] = {.run = fh_catalog_pg_rollout_advance},
    [FH_CATALOG_ROLLOUT_WISH] = {.run = fh_catalog_pg_rollout_wish},
    [FH_CATALOG_ROLLOUT_HOMES] = {.run = fh_catalog_pg_rollout_homes, .reads = true},
};

static bool is_known(enum fh_catalog_op op)
{
    return (size_t)op < sizeof(operations) / sizeof(operations[0]) && operations[op].run != NULL;
}

/* One attempt. */
static enum fh_code run_once(struct lane *lane, struct fh_catalog_request *request)
{
    const struct fh_env *env = lane->catalog->env;
    struct fh_catalog_pg_txn txn = {.link = &lane->link, .request = request};
    memset(&request->error, 0, sizeof(request->error));
    if (request->deadline_us <= fh_clock_monotonic_us(env->clock)) {
        return fh_error_set(&request->error, FH_DEADLINE, "%s", fh_code_text(FH_DEADLINE));
    }
    enum fh_code code =
        fh_catalog_pg_link_ready(&lane->link, request->deadline_us, &request->error);
    if (code == FH_OK) {
        txn.now_us = fh_clock_realtime_us(env->clock);
        code = operations[request->op].run(&txn);
        fh_catalog_pg_link_rollback(&lane->link);
    }
    return code;
}

static void run_cb(void *ctx, struct fh_work **items, size_t count)
{
    struct lane *lane = ctx;
    FH_ASSERT(count == 1);
    struct fh_catalog_request *request = request_of(items[0]);
    bool was_ready = lane->link.state == FH_CATALOG_PG_LINK_READY;
    request->code = run_once(lane, request);
    if (request->code == FH_UNAVAILABLE && operations[request->op].reads && was_ready &&
        lane->link.state == FH_CATALOG_PG_LINK_CLOSED) {
        request->code = run_once(lane, request);
    }
}

static void done_cb(struct fh_work *work)
{
    struct fh_catalog_request *request = request_of(work);
    struct catalog *self = request->engine;
    enum fh_catalog_hint hint = FH_CATALOG_HINT_TENANT;
    struct fh_uuid uuid;
    request->error.code = request->code;
    /* Of an unknown outcome the listener may have heard, and left it to us. */
    if ((request->code == FH_OK || request->code == FH_OUTCOME_UNKNOWN) &&
        fh_catalog_hint_of(request, &hint, &uuid)) {
        fh_catalog_tell(&self->catalog, hint, &uuid); /* behind done_cb the request may be gone */
    }
    request->done_cb(request);
}

static enum fh_code submit(struct fh_catalog *catalog, struct fh_catalog_request *request)
{
    struct catalog *self = (struct catalog *)catalog;
    FH_ASSERT(request->arena != NULL && request->done_cb != NULL);
    enum fh_code code = fh_catalog_check(request);
    if (code != FH_OK) {
        return code;
    }
    if (!is_known(request->op)) {
        return fh_error_set(&request->error, FH_INVALID, "unknown operation");
    }
    if (self->closing) {
        return fh_error_set(&request->error, FH_SHUTTING_DOWN, "the catalog is closing");
    }
    if (request->deadline_us <= fh_clock_monotonic_us(self->env->clock)) {
        return fh_error_set(&request->error, FH_DEADLINE, "%s", fh_code_text(FH_DEADLINE));
    }
    request->engine = self;
    request->work.done_cb = done_cb;
    struct lane *lane = operations[request->op].quick ? &self->quick : &self->slow;
    code = fh_worker_submit(lane->worker, &request->work);
    return code == FH_OK
               ? FH_OK
               : fh_error_set(&request->error, code, "the catalog's queue is full; retry later");
}

/* Of what is not running any more. */
static void free_catalog(struct catalog *self)
{
    fh_catalog_pg_link_drop(&self->quick.link);
    fh_catalog_pg_link_drop(&self->slow.link);
    fh_catalog_pg_link_drop(&self->listening);
    fh_catalog_pg_conninfo_close(&self->info);
    if (self->stop_fd >= 0) {
        close(self->stop_fd);
    }
    fh_free(self);
}

static void stopped_cb(void *arg)
{
    struct catalog *self = arg;
    FH_ASSERT(self->running > 0);
    if (--self->running > 0) {
        return;
    }
    fh_catalog_closed_cb *closed_cb = self->closed_cb;
    void *closed_arg = self->closed_arg;
    free_catalog(self);
    if (closed_cb != NULL) {
        closed_cb(closed_arg);
    }
}

/* Stops the threads that were started; `running` is their number. */
static void stop(struct catalog *self)
{
    uint64_t one = 1;
    self->closing = true;
    ssize_t written = write(self->stop_fd, &one, sizeof(one));
    FH_ASSERT(written == sizeof(one)); /* of an eventfd at zero */
    /* The count first: what stops calls back later, never from here. */
    self->running = (self->quick.worker != NULL ? 1u : 0u) + (self->slow.worker != NULL ? 1u : 0u) +
                    (self->listener != NULL ? 1u : 0u);
    if (self->quick.worker != NULL) {
        fh_worker_stop(self->quick.worker, stopped_cb, self);
    }
    if (self->slow.worker != NULL) {
        fh_worker_stop(self->slow.worker, stopped_cb, self);
    }
    if (self->listener != NULL) {
        fh_catalog_pg_listener_stop(self->listener, stopped_cb, self);
    }
}

static void close_catalog(struct fh_catalog *catalog, fh_catalog_closed_cb *closed_cb, void *arg)
{
    struct catalog *self = (struct catalog *)catalog;
    FH_ASSERT(!self->closing);
    self->closed_cb = closed_cb;
    self->closed_arg = arg;
    stop(self);
}

static const struct fh_catalog_ops catalog_ops = {
    .engine = "postgresql",
    .submit = submit,
    .close = close_catalog,
};

/* Tables and LISTEN, on the connection the listener takes over. */
static enum fh_code set_up(struct catalog *self, struct fh_error *error)
{
    struct fh_catalog_pg_link *link = &self->listening;
    int64_t deadline_us =
        fh_clock_monotonic_us(self->env->clock) + self->info.connect_timeout_us + OPEN_US;
    enum fh_code code = fh_catalog_pg_link_ready(link, deadline_us, error);
    if (code == FH_OK) {
        code = fh_catalog_pg_schema_ensure(link, error);
    }
    return code == FH_OK ? fh_catalog_pg_listen(link, error) : code;
}

static enum fh_code start(struct catalog *self, struct fh_error *error)
{
    struct fh_catalog_pg_link *own[LANES] = {&self->quick.link, &self->slow.link};
    uv_loop_t *loop = self->env->loop;
    enum fh_code code = fh_worker_start(loop, "catalog-quick", QUEUE_MAX, 1, run_cb, &self->quick,
                                        &self->quick.worker);
    if (code == FH_OK) {
        code = fh_worker_start(loop, "catalog-slow", QUEUE_MAX, 1, run_cb, &self->slow,
                               &self->slow.worker);
    }
    if (code != FH_OK) {
        return fh_error_set(error, code, "the catalog's threads cannot be started");
    }
    return fh_catalog_pg_listener_start(&self->catalog, self->env, &self->listening, own,
                                        &self->listener, error);
}

static void lane_init(struct catalog *self, struct lane *lane, const char *name)
{
    lane->catalog = self;
    fh_catalog_pg_link_init(&lane->link, &self->info, self->env, name, self->stop_fd);
}

enum fh_code fh_catalog_pg_open(const struct fh_env *env, const char *conninfo,
                                struct fh_catalog **out, struct fh_error *error)
{
    struct catalog *self = fh_calloc(1, sizeof(*self));
    if (self == NULL) {
        return fh_error_set(error, FH_NOMEM, "%s", fh_code_text(FH_NOMEM));
    }
    fh_catalog_init(&self->catalog, &catalog_ops, true);
    self->env = env;
    self->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    lane_init(self, &self->quick, "freehold catalog quick");
    lane_init(self, &self->slow, "freehold catalog slow");
    fh_catalog_pg_link_init(&self->listening, &self->info, env, "freehold catalog listener",
                            self->stop_fd);
    enum fh_code code = FH_OK;
    if (self->stop_fd < 0) {
        code = fh_error_set(error, FH_FULL, "file descriptors are out");
    }
    if (code == FH_OK) {
        code = fh_catalog_pg_conninfo_parse(conninfo, &self->info, error);
    }
    if (code == FH_OK) {
        code = set_up(self, error);
    }
    if (code != FH_OK) {
        free_catalog(self);
        return code;
    }
    code = start(self, error);
    if (code != FH_OK) { /* what runs by now ends on the loop */
        if (self->quick.worker != NULL) {
            stop(self);
        } else {
            free_catalog(self);
        }
        return code;
    }
    *out = &self->catalog;
    return FH_OK;
}
