/* Happy path: submit gives the op to a thread, the thread opens the owner's connection to the
 * store's database, or takes one that was kept, does what the tier asks, closes or keeps it, and
 * the loop ends the op, and closes what was kept once its time is over.
 *
 * Failures: every step's code ends the walk, and FH_INTERNAL begins it again on a new connection, a
 * few times (TRIES_MAX); connections are closed, so locks and open transactions
 * are gone before anybody is told. The functions of admin_sql.h are missing: FH_PRECONDITION, and
 * what to do about it.
 */
#include "stores/pg/provision.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault_point.h"
#include "stores/pg/engine.h"
#include "stores/pg/keys.h"

#define NAME_SIZE 64
/* Two sessions that change rights of one thing at once: PostgreSQL refuses one of them (XX000,
 * "tuple concurrently updated") instead of having it wait. Every action here may be begun again. */
#define TRIES_MAX 3

struct job {
    struct fh_work work;
    struct fh_pg_op *op;
    enum fh_code code;
};

bool fh_pg_provision_suits(const struct fh_request *request)
{
    return fh_home_is_dedicated(&request->scope.home) &&
           (request->op == FH_OP_HOME_CREATE || request->op == FH_OP_HOME_ERASE ||
            request->op == FH_OP_CREDENTIAL);
}

static enum fh_code act(struct fh_pg_site *site)
{
    bool database = site->request->scope.home.tier == FH_TIER_DATABASE;
    switch (site->request->op) {
    case FH_OP_HOME_CREATE:
        return database ? fh_pg_database_home_create(site) : fh_pg_schema_home_create(site);
    case FH_OP_HOME_ERASE:
        return database ? fh_pg_database_home_erase(site) : fh_pg_schema_home_erase(site);
    default:
        return fh_pg_credential(site);
    }
}

/* What needs no more than a transaction, and leaves nothing of itself in the session. */
static bool is_brief(const struct fh_request *request)
{
    return request->scope.home.tier == FH_TIER_SCHEMA && request->op != FH_OP_CREDENTIAL;
}

/* Once, on a connection of its own. */
static enum fh_code attempt(struct fh_pg_site *site)
{
    struct fh_pg_store *pg = site->pg;
    struct fh_request *request = site->request;
    const struct fh_clock *clock = pg->store.env->clock;
    struct fh_pg_session session = {.pq = NULL};
    memset(&request->error, 0, sizeof(request->error));
    enum fh_code code =
        is_brief(request)
            ? fh_pg_sessions_open(&pg->sessions, &pg->owner, clock, request->deadline_us,
                                  &request->error, &site->main, &session)
            : fh_pg_blocking_open(&site->main, &pg->owner, NULL, clock, request->deadline_us,
                                  &request->error);
    if (code == FH_OK) {
        code = act(site);
    }
    if (is_brief(request)) {
        fh_pg_sessions_give(&pg->sessions, &session, &site->main);
    } else {
        fh_pg_blocking_close(&site->main);
    }
    return code;
}

/* On the thread. */
static void run_cb(void *ctx, struct fh_work **items, size_t count)
{
    struct fh_pg_store *pg = ctx;
    FH_ASSERT(count == 1);
    struct job *job = FH_CONTAINER_OF(items[0], struct job, work);
    struct fh_pg_site site;
    memset(&site, 0, sizeof(site));
    site.pg = pg;
    site.request = job->op->request;
    fh_uuid_format(&site.request->scope.tenant, site.tenant);
    fh_pg_admin_role(&site.request->scope.home, false, site.role);
    fh_pg_admin_role(&site.request->scope.home, true, site.reader);
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        job->code = attempt(&site);
        if (job->code != FH_INTERNAL) {
            break;
        }
    }
    if (job->code == FH_OK) {
        memset(&site.request->error, 0,
               sizeof(site.request->error)); /* of a step that was undone */
    }
}

static void session_timer_cb(uv_timer_t *timer)
{
    struct fh_pg_store *pg = timer->data;
    int64_t next_us =
        fh_pg_sessions_expire(&pg->sessions, fh_clock_monotonic_us(pg->store.env->clock));
    if (next_us > 0) {
        (void)uv_timer_start(timer, session_timer_cb, (uint64_t)next_us / 1000 + 1, 0);
    }
}

static void done_cb(struct fh_work *work)
{
    struct job *job = FH_CONTAINER_OF(work, struct job, work);
    struct fh_pg_store *pg = job->op->store;
    if (!uv_is_active((uv_handle_t *)&pg->session_timer)) {
        session_timer_cb(&pg->session_timer);
    }
    job->op->working = false;
    fh_pg_op_finish(job->op, job->code);
}

static enum fh_code worker_of(struct fh_pg_store *pg, struct fh_worker **out)
{
    struct fh_worker *best = NULL;
    for (int i = 0; i < FH_PG_PROVISIONERS; i++) {
        struct fh_worker *worker = pg->provisioners[i];
        if (worker == NULL && (best == NULL || fh_worker_queued(best) > 0)) {
            enum fh_code code =
                fh_worker_start(pg->store.env->loop, "fh-pg-home", FH_PG_PROVISION_QUEUE_MAX, 1,
                                run_cb, pg, &pg->provisioners[i]);
            if (code != FH_OK && best == NULL) {
                return code;
            }
            worker = code == FH_OK ? pg->provisioners[i] : NULL;
            pg->handles += code == FH_OK;
        }
        if (worker != NULL && (best == NULL || fh_worker_queued(worker) < fh_worker_queued(best))) {
            best = worker;
        }
    }
    *out = best;
    return FH_OK;
}

enum fh_code fh_pg_provision_start(struct fh_pg_op *op)
{
    struct fh_pg_store *pg = op->store;
    struct fh_worker *worker = NULL;
    if (!pg->has_owner) {
        return fh_error_set(&op->request->error, FH_PRECONDITION,
                            "the store has no owner_location: it cannot make or drop homes");
    }
    struct job *job = FH_ARENA_NEW(op->request->arena, struct job);
    enum fh_code code = job != NULL ? worker_of(pg, &worker) : FH_NOMEM;
    if (code == FH_OK) {
        job->op = op;
        job->work.done_cb = done_cb;
        code = fh_worker_submit(worker, &job->work);
    }
    if (code != FH_OK) {
        return fh_error_set(&op->request->error, code, "%s",
                            code == FH_FULL ? "too many homes are being made" : fh_code_text(code));
    }
    op->working = true;
    return FH_OK;
}

static void stopped_cb(void *arg)
{
    fh_pg_store_handle_closed(arg);
}

void fh_pg_provision_stop(struct fh_pg_store *pg)
{
    for (int i = 0; i < FH_PG_PROVISIONERS; i++) {
        if (pg->provisioners[i] != NULL) {
            fh_worker_stop(pg->provisioners[i], stopped_cb, pg);
            pg->provisioners[i] = NULL;
        }
    }
}

const struct fh_pg_op_kind fh_pg_provision_kind = {.shares = false};
