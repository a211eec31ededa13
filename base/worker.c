/* Happy path:
 *
 *     submit (loop) -> queued -> the thread takes up to batch_max -> run() -> finished
 *                   -> uv_async -> done_cb (loop), one for each item, in the order submitted
 *
 * Stop: the flag is set, the thread runs what is queued and leaves; the loop delivers what is
 * finished, joins the thread, closes the async handle, calls stopped_cb and frees the worker. The
 * join comes before the close, so uv_async_send() never meets a closed handle.
 *
 * Failures: only start and submit can fail, both before anything was promised. `outstanding` counts
 * items from submit until just before their done_cb; that is what `queue_max` bounds, so neither
 * list can outgrow it however slow the thread or the loop is.
 */
#include "base/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/assert.h"

#define NAME_SIZE 16 /* what pthread_setname_np() takes */

struct fh_worker {
    /* Loop thread only. */
    uv_async_t async;
    size_t outstanding;
    size_t queue_max;
    fh_worker_stopped_cb *stopped_cb;
    void *stopped_arg;
    pthread_t thread;

    /* Fixed after start. */
    fh_worker_run_cb *run;
    void *ctx;
    size_t batch_max;
    char name[NAME_SIZE];

    /* Worker thread only. */
    struct fh_work **batch; /* batch_max */

    /* Shared, under the mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct fh_list queued;
    struct fh_list finished;
    bool stopping;
    bool abandoned; /* start failed: leave without a word to the loop */
    bool left;      /* the thread touches nothing but the async handle from here on */
};

static struct fh_work *work_of(struct fh_list *node)
{
    return FH_CONTAINER_OF(node, struct fh_work, node);
}

/* Waits for work and takes a batch; 0: stop. Mutex held. */
static size_t take_batch(struct fh_worker *worker)
{
    while (fh_list_empty(&worker->queued) && !worker->stopping) {
        pthread_cond_wait(&worker->wake, &worker->mutex);
    }
    size_t count = 0;
    while (count < worker->batch_max && !fh_list_empty(&worker->queued)) {
        worker->batch[count++] = work_of(fh_list_pop_front(&worker->queued));
    }
    return count;
}

static void *thread_main(void *arg)
{
    struct fh_worker *worker = arg;
    pthread_setname_np(pthread_self(), worker->name); /* for people; its failure harms nobody */
    pthread_mutex_lock(&worker->mutex);
    size_t count = 0;
    while ((count = take_batch(worker)) > 0) {
        pthread_mutex_unlock(&worker->mutex);
        worker->run(worker->ctx, worker->batch, count);
        pthread_mutex_lock(&worker->mutex);
        for (size_t i = 0; i < count; i++) {
            fh_list_push_back(&worker->finished, &worker->batch[i]->node);
        }
        uv_async_send(&worker->async);
    }
    bool tell = !worker->abandoned;
    worker->left = true;
    pthread_mutex_unlock(&worker->mutex);
    if (tell) {
        uv_async_send(&worker->async); /* the loop joins us before it closes the handle */
    }
    return NULL;
}

static void free_worker(struct fh_worker *worker)
{
    pthread_cond_destroy(&worker->wake);
    pthread_mutex_destroy(&worker->mutex);
    fh_free(worker->batch);
    fh_free(worker);
}

static void on_closed(uv_handle_t *handle)
{
    struct fh_worker *worker = handle->data;
    worker->stopped_cb(worker->stopped_arg);
    free_worker(worker);
}

static void on_async(uv_async_t *handle)
{
    struct fh_worker *worker = handle->data;
    struct fh_list ready;
    fh_list_init(&ready);

    pthread_mutex_lock(&worker->mutex);
    struct fh_list *node;
    while ((node = fh_list_pop_front(&worker->finished)) != NULL) {
        fh_list_push_back(&ready, node);
    }
    bool left = worker->left;
    pthread_mutex_unlock(&worker->mutex);

    while ((node = fh_list_pop_front(&ready)) != NULL) {
        struct fh_work *work = work_of(node);
        FH_ASSERT(worker->outstanding > 0);
        worker->outstanding--;
        work->done_cb(work); /* may free the item, submit, or stop the worker */
    }
    if (left) {
        FH_ASSERT(worker->outstanding == 0);
        int failed = pthread_join(worker->thread, NULL);
        FH_ASSERT(failed == 0);
        uv_close((uv_handle_t *)&worker->async, on_closed);
    }
}

/* Memory, mutex and condition; NULL when any is out. */
static struct fh_worker *make_worker(const char *name, size_t queue_max, size_t batch_max)
{
    struct fh_worker *worker = fh_calloc(1, sizeof(*worker));
    if (worker == NULL) {
        return NULL;
    }
    worker->batch = fh_calloc(batch_max, sizeof(struct fh_work *));
    if (worker->batch == NULL) {
        goto free_memory;
    }
    if (pthread_mutex_init(&worker->mutex, NULL) != 0) {
        goto free_memory;
    }
    if (pthread_cond_init(&worker->wake, NULL) != 0) {
        goto destroy_mutex;
    }
    fh_list_init(&worker->queued);
    fh_list_init(&worker->finished);
    worker->queue_max = queue_max;
    worker->batch_max = batch_max;
    snprintf(worker->name, sizeof(worker->name), "%s", name);
    return worker;

destroy_mutex:
    pthread_mutex_destroy(&worker->mutex);
free_memory:
    fh_free(worker->batch);
    fh_free(worker);
    return NULL;
}

/* Signals are the loop's: the thread starts with all of them blocked. */
static int start_thread(struct fh_worker *worker)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    int failed = pthread_sigmask(SIG_SETMASK, &all, &before);
    FH_ASSERT(failed == 0);
    int result = pthread_create(&worker->thread, NULL, thread_main, worker);
    failed = pthread_sigmask(SIG_SETMASK, &before, NULL);
    FH_ASSERT(failed == 0);
    return result;
}

static void ask_to_leave(struct fh_worker *worker, bool abandoned)
{
    pthread_mutex_lock(&worker->mutex);
    worker->stopping = true;
    worker->abandoned = abandoned;
    pthread_cond_signal(&worker->wake);
    pthread_mutex_unlock(&worker->mutex);
}

enum fh_code fh_worker_start(uv_loop_t *loop, const char *name, size_t queue_max, size_t batch_max,
                             fh_worker_run_cb *run, void *ctx, struct fh_worker **out)
{
    FH_ASSERT(queue_max > 0);
    FH_ASSERT(batch_max > 0);
    struct fh_worker *worker = make_worker(name, queue_max, batch_max);
    if (worker == NULL) {
        return FH_NOMEM;
    }
    worker->run = run;
    worker->ctx = ctx;

    /* The thread comes first: it can be taken back at once, a handle only through the loop. It does
     * not touch the handle before there is work. */
    if (start_thread(worker) != 0) {
        free_worker(worker);
        return FH_FULL; /* EAGAIN: the limit of threads */
    }
    int status = uv_async_init(loop, &worker->async, on_async);
    if (status != 0) {
        ask_to_leave(worker, true);
        int failed = pthread_join(worker->thread, NULL);
        FH_ASSERT(failed == 0);
        free_worker(worker);
        return status == UV_ENOMEM ? FH_NOMEM : FH_FULL; /* else descriptors are out */
    }
    worker->async.data = worker;
    *out = worker;
    return FH_OK;
}

enum fh_code fh_worker_submit(struct fh_worker *worker, struct fh_work *work)
{
    FH_ASSERT(work->done_cb != NULL);
    if (worker->stopped_cb != NULL) {
        return FH_SHUTTING_DOWN;
    }
    if (worker->outstanding >= worker->queue_max) {
        return FH_FULL;
    }
    worker->outstanding++;
    pthread_mutex_lock(&worker->mutex);
    fh_list_push_back(&worker->queued, &work->node);
    pthread_cond_signal(&worker->wake);
    pthread_mutex_unlock(&worker->mutex);
    return FH_OK;
}

size_t fh_worker_queued(const struct fh_worker *worker)
{
    return worker->outstanding;
}

void fh_worker_stop(struct fh_worker *worker, fh_worker_stopped_cb *stopped_cb, void *arg)
{
    FH_ASSERT(stopped_cb != NULL);
    FH_ASSERT(worker->stopped_cb == NULL); /* once */
    worker->stopped_cb = stopped_cb;
    worker->stopped_arg = arg;
    ask_to_leave(worker, false);
}
