/* Happy path:
 *
 *     submit (loop) -> worker: up to 64 requests, one transaction, a savepoint for each that writes
 *                   -> COMMIT (one sync for all) -> done_cb (loop), one for each
 *
 * Failures: a request that fails is rolled back to its savepoint and its neighbours go on. If
 * SQLite gave the transaction up (full disk, I/O, memory) or COMMIT failed, every request of the
 * batch is run again, each in a transaction of its own, so that one bad request costs its
 * neighbours time only. A COMMIT whose outcome cannot be known is FH_OUTCOME_UNKNOWN.
 */
#include "router/catalog_sqlite/catalog_sqlite.h"

#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "router/catalog_sqlite/db.h"
#include "router/catalog_sqlite/ops.h"

#define QUEUE_MAX 4096
#define BATCH_MAX 64

struct catalog {
    struct fh_catalog catalog; /* first */
    const struct fh_env *env;
    struct fh_worker *worker;
    struct fh_catalog_db db;                    /* the worker's while it runs */
    struct fh_catalog_request asked[BATCH_MAX]; /* as they were before the batch was run */
    bool closing;
    fh_catalog_closed_cb *closed_cb;
    void *closed_arg;
};

static struct fh_catalog_request *request_of(struct fh_work *work)
{
    return FH_CONTAINER_OF(work, struct fh_catalog_request, work);
}

bool fh_catalog_op_writes(enum fh_catalog_op op)
{
    switch (op) {
    case FH_CATALOG_TENANT_CREATE:
    case FH_CATALOG_TENANT_ADVANCE:
    case FH_CATALOG_STORE_CREATE:
    case FH_CATALOG_MIGRATION_ADD:
    case FH_CATALOG_PAGE_KEYS:
        return true;
    case FH_CATALOG_TENANT_GET:
    case FH_CATALOG_TENANT_LIST:
    case FH_CATALOG_STORE_LIST:
    case FH_CATALOG_MIGRATION_LIST:
    case FH_CATALOG_MOVE_GET:
    case FH_CATALOG_MOVE_LIST:
    case FH_CATALOG_EVENTS:
    case FH_CATALOG_ROLLOUT_GET:
    case FH_CATALOG_ROLLOUT_LIST:
    case FH_CATALOG_ROLLOUT_HOMES:
        return false;
    case FH_CATALOG_EVENT_ADD:
    case FH_CATALOG_MOVE_CREATE:
    case FH_CATALOG_MOVE_CLAIM:
    case FH_CATALOG_MOVE_ADVANCE:
    case FH_CATALOG_MOVE_SWITCH:
    case FH_CATALOG_MOVE_WISH:
    case FH_CATALOG_ROLLOUT_CREATE:
    case FH_CATALOG_ROLLOUT_CLAIM:
    case FH_CATALOG_ROLLOUT_ADVANCE:
    case FH_CATALOG_ROLLOUT_WISH:
        return true;
    }
    return true;
}

enum fh_code fh_catalog_op_run(const struct fh_catalog_txn *txn, struct fh_catalog_request *request)
{
    switch (request->op) {
    case FH_CATALOG_TENANT_CREATE:
        return fh_catalog_tenant_create(txn, request);
    case FH_CATALOG_TENANT_GET:
        return fh_catalog_tenant_get(txn, request);
    case FH_CATALOG_TENANT_LIST:
        return fh_catalog_tenant_list(txn, request);
    case FH_CATALOG_TENANT_ADVANCE:
        return fh_catalog_tenant_advance(txn, request);
    case FH_CATALOG_STORE_CREATE:
        return fh_catalog_store_create(txn, request);
    case FH_CATALOG_STORE_LIST:
        return fh_catalog_store_list(txn, request);
    case FH_CATALOG_MIGRATION_ADD:
        return fh_catalog_migration_add(txn, request);
    case FH_CATALOG_MIGRATION_LIST:
        return fh_catalog_migration_list(txn, request);
    case FH_CATALOG_PAGE_KEYS:
        return fh_catalog_page_keys(txn, request);
    case FH_CATALOG_MOVE_CREATE:
        return fh_catalog_move_create(txn, request);
    case FH_CATALOG_MOVE_GET:
        return fh_catalog_move_get(txn, request);
    case FH_CATALOG_MOVE_LIST:
        return fh_catalog_move_list(txn, request);
    case FH_CATALOG_MOVE_CLAIM:
        return fh_catalog_move_claim(txn, request);
    case FH_CATALOG_MOVE_ADVANCE:
        return fh_catalog_move_advance(txn, request);
    case FH_CATALOG_MOVE_SWITCH:
        return fh_catalog_move_switch(txn, request);
    case FH_CATALOG_MOVE_WISH:
        return fh_catalog_move_wish(txn, request);
    case FH_CATALOG_EVENTS:
        return fh_catalog_events(txn, request);
    case FH_CATALOG_EVENT_ADD:
        return fh_catalog_event(txn, request, request->as.event_add.action,
                                request->as.event_add.resource, request->as.event_add.detail);
    case FH_CATALOG_ROLLOUT_CREATE:
        return fh_catalog_rollout_create(txn, request);
    case FH_CATALOG_ROLLOUT_GET:
        return fh_catalog_rollout_get(txn, request);
    case FH_CATALOG_ROLLOUT_LIST:
        return fh_catalog_rollout_list(txn, request);
    case FH_CATALOG_ROLLOUT_CLAIM:
        return fh_catalog_rollout_claim(txn, request);
    case FH_CATALOG_ROLLOUT_ADVANCE:
        return fh_catalog_rollout_advance(txn, request);
    case FH_CATALOG_ROLLOUT_WISH:
        return fh_catalog_rollout_wish(txn, request);
    case FH_CATALOG_ROLLOUT_HOMES:
        return fh_catalog_rollout_homes(txn, request);
    }
    return FH_INTERNAL; /* checked before */
}

static void rollback(struct catalog *self)
{
    if (fh_catalog_db_in_transaction(&self->db)) {
        enum fh_code ignored = fh_catalog_db_run(&self->db, FH_CATALOG_SQL_ROLLBACK, NULL);
        (void)ignored; /* it fails only when SQLite rolled back by itself */
    }
    FH_ASSERT(!fh_catalog_db_in_transaction(&self->db));
}

/* One request in the transaction that is open. False: the whole transaction is lost. */
static bool run_in_savepoint(struct catalog *self, const struct fh_catalog_txn *txn,
                             struct fh_catalog_request *request)
{
    memset(&request->error, 0, sizeof(request->error));
    if (request->deadline_us <= fh_clock_monotonic_us(self->env->clock)) {
        request->code = fh_error_set(&request->error, FH_DEADLINE, "%s", fh_code_text(FH_DEADLINE));
        return true;
    }
    if (!fh_catalog_op_writes(request->op)) {
        request->code = fh_catalog_op_run(txn, request);
        return fh_catalog_db_in_transaction(&self->db);
    }
    request->code = fh_catalog_db_run(&self->db, FH_CATALOG_SQL_SAVEPOINT, &request->error);
    if (request->code != FH_OK) {
        return false;
    }
    request->code = fh_catalog_op_run(txn, request);
    if (!fh_catalog_db_in_transaction(&self->db)) {
        return false;
    }
    if (request->code != FH_OK &&
        fh_catalog_db_run(&self->db, FH_CATALOG_SQL_ROLLBACK_TO, NULL) != FH_OK) {
        return false;
    }
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code = fh_catalog_db_run(&self->db, FH_CATALOG_SQL_RELEASE, &error);
    if (code != FH_OK && request->code == FH_OK) {
        request->code = code;
        request->error = error;
    }
    return code == FH_OK;
}

static void fail_all(struct fh_work **items, size_t count, enum fh_code code,
                     const struct fh_error *error)
{
    for (size_t i = 0; i < count; i++) {
        struct fh_catalog_request *request = request_of(items[i]);
        request->code = code;
        request->error = *error;
        request->error.code = code;
    }
}

/* A failed COMMIT: nothing was written, or nobody knows. */
static enum fh_code commit_failed(struct catalog *self, enum fh_code code, struct fh_error *error)
{
    if (!fh_catalog_db_commit_unknown(&self->db)) {
        return code;
    }
    return fh_error_set(error, FH_OUTCOME_UNKNOWN,
                        "the catalog's file could not be synced: the change may or may not be "
                        "there; look, or repeat it with the same request_id");
}

/* The items in one transaction. False: nothing was committed and they should be run singly; never
 * for one item, whose outcome is final. */
static bool run_transaction(struct catalog *self, struct fh_work **items, size_t count)
{
    struct fh_catalog_txn txn = {.db = &self->db, .now_us = fh_clock_realtime_us(self->env->clock)};
    bool writes = false;
    self->db.deadline_us = 0; /* the longest: a lock that is held is held for all */
    for (size_t i = 0; i < count; i++) {
        const struct fh_catalog_request *request = request_of(items[i]);
        writes = writes || fh_catalog_op_writes(request->op);
        if (request->deadline_us > self->db.deadline_us) {
            self->db.deadline_us = request->deadline_us;
        }
    }
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code = fh_catalog_db_run(
        &self->db, writes ? FH_CATALOG_SQL_BEGIN_WRITE : FH_CATALOG_SQL_BEGIN_READ, &error);
    if (code != FH_OK) {
        rollback(self);
        fail_all(items, count, code, &error);
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        struct fh_catalog_request *request = request_of(items[i]);
        if (!run_in_savepoint(self, &txn, request)) {
            rollback(self);
            if (count == 1 && request->code == FH_OK) {
                request->code = fh_error_set(&request->error, FH_INTERNAL,
                                             "the catalog's transaction was lost");
            }
            return count == 1;
        }
    }
    code = fh_catalog_db_run(&self->db, FH_CATALOG_SQL_COMMIT, &error);
    if (code == FH_OK) {
        return true;
    }
    rollback(self);
    if (count > 1) {
        return false;
    }
    if (writes) {
        code = commit_failed(self, code, &error);
    }
    if (request_of(items[0])->code == FH_OK) {
        fail_all(items, count, code, &error);
    }
    return true;
}

static void run_cb(void *ctx, struct fh_work **items, size_t count)
{
    struct catalog *self = ctx;
    FH_ASSERT(count <= BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        self->asked[i] = *request_of(items[i]);
    }
    if (run_transaction(self, items, count)) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        /* A creation's answer stands where its question stood. */
        struct fh_catalog_request *request = request_of(items[i]);
        memcpy(&request->as, &self->asked[i].as, sizeof(request->as));
        bool final = run_transaction(self, &items[i], 1);
        FH_ASSERT(final);
    }
}

static void done_cb(struct fh_work *work)
{
    struct fh_catalog_request *request = request_of(work);
    struct catalog *self = request->engine;
    enum fh_catalog_hint hint = FH_CATALOG_HINT_TENANT;
    struct fh_uuid uuid;
    request->error.code = request->code;
    if (request->code == FH_OK && fh_catalog_hint_of(request, &hint, &uuid)) {
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
    if (self->closing) {
        return fh_error_set(&request->error, FH_SHUTTING_DOWN, "the catalog is closing");
    }
    if (request->deadline_us <= fh_clock_monotonic_us(self->env->clock)) {
        return fh_error_set(&request->error, FH_DEADLINE, "%s", fh_code_text(FH_DEADLINE));
    }
    request->engine = self;
    request->work.done_cb = done_cb;
    code = fh_worker_submit(self->worker, &request->work);
    return code == FH_OK
               ? FH_OK
               : fh_error_set(&request->error, code, "the catalog's queue is full; retry later");
}

static void stopped_cb(void *arg)
{
    struct catalog *self = arg;
    fh_catalog_closed_cb *closed_cb = self->closed_cb;
    void *closed_arg = self->closed_arg;
    fh_catalog_db_close(&self->db);
    fh_free(self);
    closed_cb(closed_arg);
}

static void close_catalog(struct fh_catalog *catalog, fh_catalog_closed_cb *closed_cb, void *arg)
{
    struct catalog *self = (struct catalog *)catalog;
    FH_ASSERT(!self->closing);
    self->closing = true;
    self->closed_cb = closed_cb;
    self->closed_arg = arg;
    fh_worker_stop(self->worker, stopped_cb, self);
}

static const struct fh_catalog_ops catalog_ops = {
    .engine = "sqlite",
    .submit = submit,
    .close = close_catalog,
};

enum fh_code fh_catalog_sqlite_open(const struct fh_env *env, const char *path,
                                    struct fh_catalog **out, struct fh_error *error)
{
    struct catalog *self = fh_calloc(1, sizeof(*self));
    if (self == NULL) {
        return fh_error_set(error, FH_NOMEM, "%s", fh_code_text(FH_NOMEM));
    }
    fh_catalog_init(&self->catalog, &catalog_ops, false);
    self->env = env;
    enum fh_code code = fh_catalog_db_open(&self->db, path, env->clock, error);
    if (code != FH_OK) {
        goto free_self;
    }
    code = fh_worker_start(env->loop, "catalog", QUEUE_MAX, BATCH_MAX, run_cb, self, &self->worker);
    if (code != FH_OK) {
        code = fh_error_set(error, code, "the catalog's thread cannot be started");
        goto close_db;
    }
    *out = &self->catalog;
    return FH_OK;

close_db:
    fh_catalog_db_close(&self->db);
free_self:
    fh_free(self);
    return code;
}
