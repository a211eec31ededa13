/* Happy path: the thread waits for the socket, takes what was notified into a ring and wakes the
 * loop, which tells it.
 *
 * Failures: the connection is lost: it is made anew, with the link's pauses, LISTEN is said again,
 * and then everything may have changed. The ring is full: the same without a new connection. The
 * thread is a worker with one piece of work that lasts until the catalog closes.
 */
#include "router/catalog_pg/listener.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

#define RING_MAX 256

struct hint {
    enum fh_catalog_hint hint;
    struct fh_uuid uuid;
};

struct fh_catalog_pg_listener {
    /* Loop thread only. */
    struct fh_catalog *catalog;
    struct fh_worker *worker;
    struct fh_work work;
    uv_async_t async;
    bool stopping;
    void (*stopped_cb)(void *arg);
    void *stopped_arg;

    /* The listener's thread only. */
    struct fh_catalog_pg_link *link;
    struct fh_catalog_pg_link *own[FH_CATALOG_PG_OWN_MAX]; /* only their backends */

    /* Shared, under the mutex. */
    pthread_mutex_t mutex;
    struct hint ring[RING_MAX];
    size_t count;
    bool missed; /* anything may have changed */
};

bool fh_catalog_pg_hint_parse(const char *payload, enum fh_catalog_hint *hint, struct fh_uuid *uuid)
{
    *uuid = (struct fh_uuid){{0}};
    if (strcmp(payload, "stores") == 0) {
        *hint = FH_CATALOG_HINT_STORES;
        return true;
    }
    if (strcmp(payload, "schema") == 0) {
        *hint = FH_CATALOG_HINT_SCHEMA;
        return true;
    }
    if (strncmp(payload, "tenant:", 7) == 0) {
        *hint = FH_CATALOG_HINT_TENANT;
        return fh_uuid_parse(fh_str_of(payload + 7), uuid);
    }
    if (strncmp(payload, "move:", 5) == 0) {
        *hint = FH_CATALOG_HINT_MOVE;
        return fh_uuid_parse(fh_str_of(payload + 5), uuid);
    }
    if (strncmp(payload, "rollout:", 8) == 0) {
        *hint = FH_CATALOG_HINT_ROLLOUT;
        return fh_uuid_parse(fh_str_of(payload + 8), uuid);
    }
    return false;
}

static bool is_own(struct fh_catalog_pg_listener *listener, int backend)
{
    for (size_t i = 0; i < FH_CATALOG_PG_OWN_MAX; i++) {
        if (atomic_load(&listener->own[i]->backend) == backend) {
            return true;
        }
    }
    return false;
}

static void note(struct fh_catalog_pg_listener *listener, const struct hint *hint)
{
    pthread_mutex_lock(&listener->mutex);
    if (hint != NULL && listener->count < RING_MAX) {
        listener->ring[listener->count++] = *hint;
    } else {
        listener->missed = true;
    }
    pthread_mutex_unlock(&listener->mutex);
    uv_async_send(&listener->async);
}

static void take_notified(struct fh_catalog_pg_listener *listener)
{
    PGnotify *notified = NULL;
    while ((notified = PQnotifies(listener->link->pq)) != NULL) {
        struct hint hint;
        if (!is_own(listener, notified->be_pid) &&
            fh_catalog_pg_hint_parse(notified->extra, &hint.hint, &hint.uuid)) {
            note(listener, &hint);
        }
        PQfreemem(notified);
    }
}

enum fh_code fh_catalog_pg_listen(struct fh_catalog_pg_link *link, struct fh_error *error)
{
    fh_catalog_pg_link_add(link, FH_CATALOG_PG_SQL_LISTEN, NULL);
    return fh_catalog_pg_link_run(link, error);
}

static bool is_stopping(const struct fh_catalog_pg_listener *listener, int64_t wait_us)
{
    struct pollfd watched = {.fd = listener->link->stop_fd, .events = POLLIN};
    return poll(&watched, 1, (int)((wait_us + 999) / 1000)) > 0;
}

static void run_cb(void *ctx, struct fh_work **items, size_t count)
{
    struct fh_catalog_pg_listener *listener = ctx;
    struct fh_catalog_pg_link *link = listener->link;
    (void)items;
    (void)count;
    while (!is_stopping(listener, fh_catalog_pg_link_pause_us(link))) {
        bool anew = link->state != FH_CATALOG_PG_LINK_READY;
        enum fh_code code = FH_OK;
        if (anew) {
            code = fh_catalog_pg_link_ready(link, FH_DEADLINE_NONE, NULL);
            code = code == FH_OK ? fh_catalog_pg_listen(link, NULL) : code;
            if (code == FH_OK) {
                note(listener, NULL);
            }
        }
        if (code == FH_OK) {
            take_notified(listener); /* some may have come with another answer */
            code = fh_catalog_pg_link_listen(link);
        }
        if (code == FH_OK) {
            take_notified(listener);
        }
    }
    fh_catalog_pg_link_drop(link);
}

static void work_done_cb(struct fh_work *work)
{
    (void)work;
}

static void async_cb(uv_async_t *async)
{
    struct fh_catalog_pg_listener *listener = async->data;
    static const struct fh_uuid nil;
    struct hint hints[RING_MAX];
    pthread_mutex_lock(&listener->mutex);
    size_t count = listener->count;
    bool missed = listener->missed;
    memcpy(hints, listener->ring, count * sizeof(hints[0]));
    listener->count = 0;
    listener->missed = false;
    pthread_mutex_unlock(&listener->mutex);
    for (size_t i = 0; i < count && !listener->stopping; i++) {
        fh_catalog_tell(listener->catalog, hints[i].hint, &hints[i].uuid);
    }
    for (int kind = FH_CATALOG_HINT_TENANT; missed && kind <= FH_CATALOG_HINT_SCHEMA; kind++) {
        if (!listener->stopping) {
            fh_catalog_tell(listener->catalog, (enum fh_catalog_hint)kind, &nil);
        }
    }
}

static void async_closed_cb(uv_handle_t *handle)
{
    struct fh_catalog_pg_listener *listener = handle->data;
    void (*stopped_cb)(void *arg) = listener->stopped_cb;
    void *arg = listener->stopped_arg;
    pthread_mutex_destroy(&listener->mutex);
    fh_free(listener);
    if (stopped_cb != NULL) {
        stopped_cb(arg);
    }
}

enum fh_code
fh_catalog_pg_listener_start(struct fh_catalog *catalog, const struct fh_env *env,
                             struct fh_catalog_pg_link *link,
                             struct fh_catalog_pg_link *const own[FH_CATALOG_PG_OWN_MAX],
                             struct fh_catalog_pg_listener **out, struct fh_error *error)
{
    struct fh_catalog_pg_listener *listener = fh_calloc(1, sizeof(*listener));
    if (listener == NULL || pthread_mutex_init(&listener->mutex, NULL) != 0) {
        fh_free(listener);
        return fh_error_set(error, FH_NOMEM, "%s", fh_code_text(FH_NOMEM));
    }
    listener->catalog = catalog;
    listener->link = link;
    memcpy(listener->own, own, sizeof(listener->own));
    listener->work.done_cb = work_done_cb;
    enum fh_code code = FH_FULL;
    if (uv_async_init(env->loop, &listener->async, async_cb) != 0) {
        goto free_listener;
    }
    listener->async.data = listener;
    code = fh_worker_start(env->loop, "catalog-listen", 1, 1, run_cb, listener, &listener->worker);
    if (code != FH_OK) {
        uv_close((uv_handle_t *)&listener->async, async_closed_cb); /* frees it */
        return fh_error_set(error, code, "the catalog's listener cannot be started");
    }
    code = fh_worker_submit(listener->worker, &listener->work);
    FH_ASSERT(code == FH_OK); /* the first, into an empty queue */
    *out = listener;
    return FH_OK;

free_listener:
    pthread_mutex_destroy(&listener->mutex);
    fh_free(listener);
    return fh_error_set(error, code, "the catalog's listener cannot be started");
}

static void worker_stopped_cb(void *arg)
{
    struct fh_catalog_pg_listener *listener = arg;
    uv_close((uv_handle_t *)&listener->async, async_closed_cb);
}

void fh_catalog_pg_listener_stop(struct fh_catalog_pg_listener *listener,
                                 void (*stopped_cb)(void *arg), void *arg)
{
    FH_ASSERT(!listener->stopping);
    listener->stopping = true;
    listener->stopped_cb = stopped_cb;
    listener->stopped_arg = arg;
    fh_worker_stop(listener->worker, worker_stopped_cb, listener);
}
