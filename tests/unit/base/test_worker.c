/* Worker: order, batches, the bound, stop with work queued, failed starts.
 *
 * `run` holds at a gate that the test opens, so what is queued when is decided here and not by the
 * scheduler. The thread only records; every check is made on the loop's thread.
 */
#include "base/worker.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"

#define ITEMS 64

struct item {
    struct fh_work work;
    struct fixture *fixture;
    int number;
    bool submitted; /* submit has returned */
    bool done;
};

struct fixture {
    uv_loop_t loop;
    struct fh_worker *worker;
    pthread_t loop_thread;
    struct item items[ITEMS];
    size_t done_count;
    int done_order[ITEMS];
    int stopped_count;
    size_t done_at_stop;
    int resubmit; /* how many more times a done item goes in again */
    bool stop_when_done;

    pthread_mutex_t mutex;
    pthread_cond_t moved;
    bool gate_open;
    size_t batch_count;
    size_t batch_sizes[ITEMS];
    size_t run_count;
    int run_order[ITEMS];
    bool ran_on_loop;
};

/* What the wrapped functions do. */
static int fail_async;
static int fail_thread;

int __real_uv_async_init(uv_loop_t *loop, uv_async_t *async, uv_async_cb cb);
int __wrap_uv_async_init(uv_loop_t *loop, uv_async_t *async, uv_async_cb cb);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg);

int __wrap_uv_async_init(uv_loop_t *loop, uv_async_t *async, uv_async_cb cb)
{
    return fail_async != 0 ? fail_async : __real_uv_async_init(loop, async, cb);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg)
{
    return fail_thread != 0 ? fail_thread : __real_pthread_create(thread, attr, start, arg);
}

static void run(void *ctx, struct fh_work **works, size_t count)
{
    struct fixture *f = ctx;
    pthread_mutex_lock(&f->mutex);
    f->batch_sizes[f->batch_count % ITEMS] = count;
    f->batch_count++;
    pthread_cond_broadcast(&f->moved);
    while (!f->gate_open) {
        pthread_cond_wait(&f->moved, &f->mutex);
    }
    for (size_t i = 0; i < count; i++) {
        struct item *item = FH_CONTAINER_OF(works[i], struct item, work);
        f->run_order[f->run_count % ITEMS] = item->number;
        f->run_count++;
    }
    f->ran_on_loop = f->ran_on_loop || pthread_equal(pthread_self(), f->loop_thread);
    pthread_mutex_unlock(&f->mutex);
}

static void wait_for_batch(struct fixture *f, size_t count)
{
    pthread_mutex_lock(&f->mutex);
    while (f->batch_count < count) {
        pthread_cond_wait(&f->moved, &f->mutex);
    }
    pthread_mutex_unlock(&f->mutex);
}

static void open_gate(struct fixture *f)
{
    pthread_mutex_lock(&f->mutex);
    f->gate_open = true;
    pthread_cond_broadcast(&f->moved);
    pthread_mutex_unlock(&f->mutex);
}

static void on_stopped(void *arg)
{
    struct fixture *f = arg;
    f->stopped_count++;
    f->done_at_stop = f->done_count;
}

static enum fh_code submit(struct fixture *f, struct item *item);

static void on_done(struct fh_work *work)
{
    struct item *item = FH_CONTAINER_OF(work, struct item, work);
    struct fixture *f = item->fixture;
    assert_true(pthread_equal(pthread_self(), f->loop_thread));
    assert_true(item->submitted);
    assert_false(item->done);
    item->done = true;
    f->done_order[f->done_count % ITEMS] = item->number;
    f->done_count++;
    if (f->resubmit > 0) {
        f->resubmit--;
        item->done = false;
        assert_int_equal(submit(f, item), FH_OK);
    } else if (f->stop_when_done) {
        f->stop_when_done = false;
        fh_worker_stop(f->worker, on_stopped, f);
    }
}

static enum fh_code submit(struct fixture *f, struct item *item)
{
    item->work.done_cb = on_done;
    item->submitted = false;
    enum fh_code code = fh_worker_submit(f->worker, &item->work);
    item->submitted = true;
    return code;
}

static int setup(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    memset(f, 0, sizeof(*f));
    f->loop_thread = pthread_self();
    for (int i = 0; i < ITEMS; i++) {
        f->items[i].number = i;
        f->items[i].fixture = f;
    }
    fail_async = 0;
    fail_thread = 0;
    *state = f;
    return uv_loop_init(&f->loop) == 0 && pthread_mutex_init(&f->mutex, NULL) == 0 &&
                   pthread_cond_init(&f->moved, NULL) == 0
               ? 0
               : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    pthread_mutex_destroy(&f->mutex);
    pthread_cond_destroy(&f->moved);
    /* A handle left behind makes the close fail. */
    return uv_loop_close(&f->loop) == 0 && fh_alloc_live() == 0 ? 0 : -1;
}

static void start(struct fixture *f, size_t queue_max, size_t batch_max)
{
    assert_int_equal(fh_worker_start(&f->loop, "test-worker-with-a-long-name", queue_max, batch_max,
                                     run, f, &f->worker),
                     FH_OK);
}

static void test_order_and_batches(void **state)
{
    struct fixture *f = *state;
    start(f, ITEMS, 4);
    assert_int_equal(submit(f, &f->items[0]), FH_OK);
    wait_for_batch(f, 1);
    for (int i = 1; i < 12; i++) {
        assert_int_equal(submit(f, &f->items[i]), FH_OK);
    }
    assert_int_equal(fh_worker_queued(f->worker), 12);
    assert_int_equal(f->done_count, 0);
    open_gate(f);
    fh_worker_stop(f->worker, on_stopped, f);
    assert_int_equal(f->done_count, 0); /* callbacks come from the loop only */
    assert_int_equal(f->stopped_count, 0);
    assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
    static const size_t sizes[] = {1, 4, 4, 3};
    assert_int_equal(f->batch_count, 4);
    assert_memory_equal(f->batch_sizes, sizes, sizeof(sizes));
    assert_int_equal(f->run_count, 12);
    assert_int_equal(f->done_count, 12);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(f->run_order[i], i);
        assert_int_equal(f->done_order[i], i);
    }
    assert_false(f->ran_on_loop);
    assert_int_equal(f->stopped_count, 1);
    assert_int_equal(f->done_at_stop, 12);
}

static void test_bound(void **state)
{
    struct fixture *f = *state;
    start(f, 3, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(submit(f, &f->items[i]), FH_OK);
    }
    assert_int_equal(submit(f, &f->items[3]), FH_FULL);
    wait_for_batch(f, 1);
    assert_int_equal(submit(f, &f->items[3]), FH_FULL); /* running ones count too */
    open_gate(f);
    while (f->done_count < 3) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_false(f->items[3].done);
    assert_int_equal(fh_worker_queued(f->worker), 0);
    assert_int_equal(submit(f, &f->items[3]), FH_OK);
    while (f->done_count < 4) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_true(f->items[3].done);
    fh_worker_stop(f->worker, on_stopped, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->stopped_count, 1);
    assert_int_equal(f->run_count, 4);
}

static void test_stop_drains(void **state)
{
    struct fixture *f = *state;
    start(f, ITEMS, 5);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(submit(f, &f->items[i]), FH_OK);
    }
    fh_worker_stop(f->worker, on_stopped, f);
    assert_int_equal(submit(f, &f->items[30]), FH_SHUTTING_DOWN);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->stopped_count, 0); /* the gate is shut: nothing ran */
    open_gate(f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->stopped_count, 1);
    assert_int_equal(f->done_at_stop, 30);
    assert_false(f->items[30].done);
}

static void test_stop_idle(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 50; i++) {
        start(f, 1, 1);
        fh_worker_stop(f->worker, on_stopped, f);
        uv_run(&f->loop, UV_RUN_DEFAULT);
        assert_int_equal(f->stopped_count, i + 1);
    }
}

static void test_from_callbacks(void **state)
{
    struct fixture *f = *state;
    start(f, 2, 2);
    f->resubmit = 500;
    f->stop_when_done = true;
    open_gate(f);
    assert_int_equal(submit(f, &f->items[0]), FH_OK);
    assert_int_equal(submit(f, &f->items[1]), FH_OK);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->done_count, 502);
    assert_int_equal(f->run_count, 502);
    assert_int_equal(f->stopped_count, 1);
    assert_int_equal(f->done_at_stop, 502);
}

static void test_failed_starts(void **state)
{
    struct fixture *f = *state;
    struct fh_worker *worker = NULL;
    for (long n = 0;; n++) {
        fh_alloc_fault_on(n, 1);
        enum fh_code code = fh_worker_start(&f->loop, "w", 4, 4, run, f, &f->worker);
        if (fh_alloc_fault_off() == 0) {
            assert_int_equal(code, FH_OK);
            assert_int_equal(n, 2);
            break;
        }
        assert_int_equal(code, FH_NOMEM);
        assert_int_equal(fh_alloc_live(), 0);
    }
    long live = fh_alloc_live();
    fail_thread = EAGAIN;
    assert_int_equal(fh_worker_start(&f->loop, "w", 4, 4, run, f, &worker), FH_FULL);
    fail_thread = 0;
    fail_async = UV_EMFILE;
    assert_int_equal(fh_worker_start(&f->loop, "w", 4, 4, run, f, &worker), FH_FULL);
    fail_async = UV_ENOMEM;
    assert_int_equal(fh_worker_start(&f->loop, "w", 4, 4, run, f, &worker), FH_NOMEM);
    fail_async = 0;
    assert_null(worker);
    assert_int_equal(fh_alloc_live(), live); /* thread joined, memory back, without the loop */
    fh_worker_stop(f->worker, on_stopped, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->stopped_count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_order_and_batches), TEST(test_bound),          TEST(test_stop_drains),
        TEST(test_stop_idle),         TEST(test_from_callbacks), TEST(test_failed_starts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
