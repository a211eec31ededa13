/* Happy path, nested: gRPC's epoll fd is readable, or our own thread queued something (kick), or
 * the timer ticks; drain() takes completions until gRPC's own poll inside the queue returned
 * nothing, calling each tag; then the turn callback; corked replies are pushed; the loop sleeps
 * again.
 *
 * A zero-deadline TIMEOUT does not mean drained: gRPC fetches up to 100 events in one poll and
 * handles one per call. And a completion posted by another thread of gRPC may leave the fd silent,
 * hence the timer.
 *
 * Happy path, pump: the thread waits on the queue, links the tag into a list under a mutex, wakes
 * the loop once per non-empty list. The list is bounded by the tags in flight: no memory is
 * allocated.
 *
 * Failures: creation undoes itself; after that nothing here can fail.
 */
#include "server/rpc/poller.h"

#include <grpc/grpc.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "server/rpc/interpose.h"

#define DRAIN_MAX 512
/* gRPC takes at most 100 events from one poll. */
#define SILENT_MAX 100
#define TICK_BUSY_MS 5
#define TICK_IDLE_MS 50

struct fh_rpc_poller {
    uv_loop_t *loop;
    struct fh_rpc_poller_config config;
    grpc_completion_queue *queue;
    struct fh_rpc_interpose *interpose;
    bool nested;
    bool busy;
    bool draining;      /* inside drain() */
    bool kicked;        /* look before the loop sleeps */
    bool shut;          /* the queue said SHUTDOWN */
    uv_timer_t timer;   /* both kinds */
    uv_prepare_t sleep; /* nested: last look before the loop sleeps */
    uv_poll_t readable; /* nested */
    uv_idle_t again;    /* nested: keeps the loop from sleeping when a drain hit its bound */
    uv_async_t async;   /* pump: completions; nested: another thread of gRPC's polled */
    uv_thread_t thread; /* pump */
    uv_mutex_t mutex;   /* pump: guards `done` and `done_shut` */
    struct fh_list done;
    bool done_shut;
    int handles_open;
    fh_rpc_poller_closed_cb *closed_cb;
    void *closed_arg;
};

static void finish_close(struct fh_rpc_poller *poller);
static void again_cb(uv_idle_t *handle);

#if defined(__SANITIZE_THREAD__)
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define TAG_GIVEN(tag) __tsan_release(tag)
#define TAG_TAKEN(tag) __tsan_acquire(tag)
#else
#define TAG_GIVEN(tag) (void)(tag)
#define TAG_TAKEN(tag) (void)(tag)
#endif

void fh_rpc_tag_give(struct fh_rpc_tag *tag)
{
    TAG_GIVEN(tag);
}

static void cork(struct fh_rpc_poller *poller, bool on)
{
    if (poller->nested && !poller->config.no_coalesce) {
        poller->interpose->cork = on;
    }
}

/* -- nested ---------------------------------------------------------------------------------- */

/* True when drained to the ground, or as far as this thread can; false when the bound was hit. */
static bool drain_queue(struct fh_rpc_poller *poller)
{
    struct fh_rpc_interpose *seen = poller->interpose;
    int silent = 0; /* time-outs in a row that saw no poll */

    for (int i = 0; i < DRAIN_MAX; i++) {
        uint64_t waits = seen->waits;
        seen->watch = true;
        cork(poller, true);
        grpc_event event =
            grpc_completion_queue_next(poller->queue, gpr_inf_past(GPR_CLOCK_MONOTONIC), NULL);
        cork(poller, false);
        seen->watch = false;
        switch (event.type) {
        case GRPC_OP_COMPLETE: {
            struct fh_rpc_tag *tag = event.tag;
            tag->cb(tag, event.success != 0);
            silent = 0;
            break;
        }
        case GRPC_QUEUE_TIMEOUT:
            if (seen->waits != waits) {
                silent = 0;
                if (seen->epoll_events <= 0) {
                    return true;
                }
            } else if (++silent > SILENT_MAX) {
                /* Not events left over from our last poll: another thread of gRPC's polls now, and
                 * wakes us. */
                return true;
            }
            break;
        case GRPC_QUEUE_SHUTDOWN:
            poller->shut = true;
            return true;
        }
    }
    return false;
}

static void drain(struct fh_rpc_poller *poller)
{
    FH_ASSERT(!poller->draining);
    if (poller->shut) {
        return;
    }
    poller->draining = true;
    poller->kicked = false;
    bool drained = drain_queue(poller);
    if (!poller->shut) {
        poller->config.turn_cb(poller->config.arg);
    }
    poller->draining = false;
    fh_rpc_interpose_push(poller->interpose);
    if (poller->shut) {
        finish_close(poller);
    } else if (!drained || poller->kicked) {
        (void)uv_idle_start(&poller->again, again_cb);
    }
}

static void readable_cb(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    drain(handle->data);
}

static void again_cb(uv_idle_t *handle)
{
    (void)uv_idle_stop(handle);
    drain(handle->data);
}

static void sleep_cb(uv_prepare_t *handle)
{
    struct fh_rpc_poller *poller = handle->data;

    if (poller->kicked) {
        drain(poller);
    } else {
        /* Replies sent by other handles' callbacks of this turn. */
        fh_rpc_interpose_push(poller->interpose);
    }
}

/* -- pump ------------------------------------------------------------------------------------ */

static void pump_run(void *arg)
{
    struct fh_rpc_poller *poller = arg;
    bool shut = false;

    fh_rpc_interpose_self()->watch = true;
    while (!shut) {
        grpc_event event =
            grpc_completion_queue_next(poller->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_QUEUE_TIMEOUT) {
            continue;
        }
        shut = event.type == GRPC_QUEUE_SHUTDOWN;
        uv_mutex_lock(&poller->mutex);
        bool wake = fh_list_empty(&poller->done);
        if (shut) {
            poller->done_shut = true;
            wake = true;
        } else {
            struct fh_rpc_tag *tag = event.tag;
            TAG_TAKEN(tag);
            tag->success = event.success != 0;
            fh_list_push_back(&poller->done, &tag->node);
        }
        uv_mutex_unlock(&poller->mutex);
        if (wake) {
            (void)uv_async_send(&poller->async);
        }
    }
}

/* The next completion the pump handed over, or NULL; `*shut` once there will be no more. */
static struct fh_rpc_tag *pump_take(struct fh_rpc_poller *poller, bool *shut)
{
    uv_mutex_lock(&poller->mutex);
    struct fh_list *node = fh_list_pop_front(&poller->done);
    *shut = node == NULL && poller->done_shut;
    uv_mutex_unlock(&poller->mutex);
    return node != NULL ? FH_CONTAINER_OF(node, struct fh_rpc_tag, node) : NULL;
}

static void pump_drain(struct fh_rpc_poller *poller)
{
    bool shut = false;
    struct fh_rpc_tag *tag = NULL;
    int count = 0;

    poller->kicked = false;
    while (count < DRAIN_MAX && (tag = pump_take(poller, &shut)) != NULL) {
        tag->cb(tag, tag->success);
        count++;
    }
    if (count == DRAIN_MAX) {
        (void)uv_async_send(&poller->async);
    }
    if (shut) {
        poller->shut = true;
        finish_close(poller);
    } else {
        poller->config.turn_cb(poller->config.arg);
    }
}

static void timer_cb(uv_timer_t *handle)
{
    struct fh_rpc_poller *poller = handle->data;

    if (poller->nested) {
        drain(poller);
    } else if (!poller->shut) {
        poller->config.turn_cb(poller->config.arg);
    }
}

/* -- life ------------------------------------------------------------------------------------ */

static void wake_cb(uv_async_t *handle)
{
    struct fh_rpc_poller *poller = handle->data;

    if (poller->shut) {
        return;
    }
    if (poller->nested) {
        drain(poller);
    } else {
        pump_drain(poller);
    }
}

static bool start_nested(struct fh_rpc_poller *poller)
{
    int fd = fh_rpc_poller_check(poller->queue);

    if (fd < 0 || uv_poll_init(poller->loop, &poller->readable, fd) != 0) {
        return false;
    }
    poller->nested = true;
    poller->readable.data = poller;
    (void)uv_poll_start(&poller->readable, UV_READABLE, readable_cb);
    (void)uv_prepare_init(poller->loop, &poller->sleep);
    poller->sleep.data = poller;
    (void)uv_prepare_start(&poller->sleep, sleep_cb);
    (void)uv_idle_init(poller->loop, &poller->again);
    poller->again.data = poller;
    fh_rpc_interpose_wake(&poller->async);
    return true;
}

static bool start_pump(struct fh_rpc_poller *poller)
{
    sigset_t all;
    sigset_t before;

    if (uv_mutex_init(&poller->mutex) != 0) {
        return false;
    }
    /* Signals belong to the loop's thread. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = uv_thread_create(&poller->thread, pump_run, poller);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        uv_mutex_destroy(&poller->mutex);
    }
    return failed == 0;
}

static void failed_close_cb(uv_handle_t *handle)
{
    fh_free(handle->data);
}

/* gRPC reads these once, in the first grpc_init(): the self-check knows epoll1, and nothing of
 * ours forks with gRPC running. */
static void pin_environment(void)
{
    (void)setenv("GRPC_POLL_STRATEGY", "epoll1", 1);
    (void)setenv("GRPC_ENABLE_FORK_SUPPORT", "0", 1);
}

enum fh_code fh_rpc_poller_create(uv_loop_t *loop, const struct fh_rpc_poller_config *config,
                                  struct fh_rpc_poller **out, struct fh_error *error)
{
    struct fh_rpc_poller *poller = fh_calloc(1, sizeof(*poller));

    *out = NULL;
    if (poller == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory for the gRPC poller");
    }
    poller->loop = loop;
    poller->config = *config;
    poller->interpose = fh_rpc_interpose_self();
    fh_list_init(&poller->done);
    if (uv_async_init(loop, &poller->async, wake_cb) != 0) {
        fh_free(poller);
        return fh_error_set(error, FH_UNAVAILABLE, "cannot make an eventfd to wake the loop");
    }
    poller->async.data = poller;
    pin_environment();
    grpc_init();
    poller->queue = grpc_completion_queue_create_for_next(NULL);
    if ((config->force_pump || !start_nested(poller)) && !start_pump(poller)) {
        grpc_completion_queue_shutdown(poller->queue);
        grpc_completion_queue_destroy(poller->queue);
        grpc_shutdown();
        uv_close((uv_handle_t *)&poller->async, failed_close_cb);
        return fh_error_set(error, FH_UNAVAILABLE, "cannot start a thread to poll gRPC");
    }
    (void)uv_timer_init(loop, &poller->timer);
    poller->timer.data = poller;
    (void)uv_timer_start(&poller->timer, timer_cb, TICK_IDLE_MS, TICK_IDLE_MS);
    *out = poller;
    return FH_OK;
}

grpc_completion_queue *fh_rpc_poller_queue(struct fh_rpc_poller *poller)
{
    return poller->queue;
}

const char *fh_rpc_poller_name(const struct fh_rpc_poller *poller)
{
    return poller->nested ? "nested" : "pump";
}

bool fh_rpc_poller_batch(struct fh_rpc_poller *poller, grpc_call *call, const grpc_op *ops,
                         size_t count, struct fh_rpc_tag *tag)
{
    TAG_GIVEN(tag);
    cork(poller, true);
    grpc_call_error failed = grpc_call_start_batch(call, ops, count, tag, NULL);
    cork(poller, false);
    /* The pump's thread waits in the queue itself. */
    poller->kicked = poller->kicked || poller->nested;
    return failed == GRPC_CALL_OK;
}

void fh_rpc_poller_kick(struct fh_rpc_poller *poller)
{
    if (!poller->kicked) {
        poller->kicked = true;
        if (!poller->nested) {
            (void)uv_async_send(&poller->async);
        }
    }
}

void fh_rpc_poller_busy(struct fh_rpc_poller *poller, bool busy)
{
    if (busy != poller->busy) {
        poller->busy = busy;
        uv_timer_set_repeat(&poller->timer, busy ? TICK_BUSY_MS : TICK_IDLE_MS);
        (void)uv_timer_again(&poller->timer);
    }
}

static void handle_closed_cb(uv_handle_t *handle)
{
    struct fh_rpc_poller *poller = handle->data;

    if (--poller->handles_open > 0) {
        return;
    }
    fh_rpc_poller_closed_cb *closed_cb = poller->closed_cb;
    void *closed_arg = poller->closed_arg;
    fh_free(poller);
    closed_cb(closed_arg);
}

static void close_handle(struct fh_rpc_poller *poller, uv_handle_t *handle)
{
    poller->handles_open++;
    uv_close(handle, handle_closed_cb);
}

/* The loop lets go of gRPC's epoll fd first; the handle that gRPC's threads may wake goes after
 * them. */
static void finish_close(struct fh_rpc_poller *poller)
{
    close_handle(poller, (uv_handle_t *)&poller->timer);
    if (poller->nested) {
        close_handle(poller, (uv_handle_t *)&poller->readable);
        close_handle(poller, (uv_handle_t *)&poller->sleep);
        close_handle(poller, (uv_handle_t *)&poller->again);
    } else {
        /* It has returned, or is about to: SHUTDOWN was the last thing it told. */
        (void)uv_thread_join(&poller->thread);
        uv_mutex_destroy(&poller->mutex);
    }
    grpc_completion_queue_destroy(poller->queue);
    grpc_shutdown();
    fh_rpc_interpose_wake(NULL);
    close_handle(poller, (uv_handle_t *)&poller->async);
}

void fh_rpc_poller_close(struct fh_rpc_poller *poller, fh_rpc_poller_closed_cb *closed_cb,
                         void *arg)
{
    poller->closed_cb = closed_cb;
    poller->closed_arg = arg;
    grpc_completion_queue_shutdown(poller->queue);
    fh_rpc_poller_kick(poller);
}
