#include "tests/unit/stores_pg/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"

#define WATCHDOG_MS 60000
#define TRIES_MAX 200

static void barked_cb(uv_timer_t *timer)
{
    (void)timer;
    (void)fprintf(stderr, "waited for something that never came\n");
    abort();
}

static void closed_cb(void *arg)
{
    *(bool *)arg = true;
}

void fixture_open(struct fixture *f, uint32_t connections_max)
{
    struct fh_error error = FH_ERROR_INIT;
    const struct fh_store_config config = {
        .name = "faults",
        .location = f->location,
        .owner_location = fh_pgtest_dsn(f->pg, FH_PGTEST_OWNER, FH_PGTEST_UNIX),
        .connections_max = connections_max};
    assert_int_equal(fh_store_pg_ops.open(&f->env, &config, &f->store, &error), FH_OK);
}

void fixture_close(struct fixture *f)
{
    bool closed = false;
    fh_store_close(f->store, closed_cb, &closed);
    while (!closed) {
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
    f->store = NULL;
}

void fixture_start(struct fixture *f, const struct fh_pgtest_options *options)
{
    memset(f, 0, sizeof(*f));
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(uv_timer_init(&f->loop, &f->watchdog), 0);
    assert_int_equal(uv_timer_start(&f->watchdog, barked_cb, WATCHDOG_MS, 0), 0);
    f->env = (struct fh_env){.loop = &f->loop, .clock = fh_clock_system()};
    f->tenant = uuid_of(1, 2);
    assert_int_equal(fh_pgtest_start(options, &f->pg), FH_OK);
    (void)snprintf(f->location, sizeof(f->location), "%s",
                   fh_pgtest_dsn(f->pg, FH_PGTEST_APP, FH_PGTEST_UNIX));
    fixture_open(f, 2);

    struct call call;
    call_init(&call, f);
    call.request.op = FH_OP_SCHEMA_APPLY;
    call.request.scope.tenant = (struct fh_uuid){{0}};
    call.request.as.schema.target = &model_v1;
    assert_int_equal(call_run(&call, 20000), FH_OK);
    call_close(&call);
    call_init(&call, f);
    call.request.op = FH_OP_HOME_CREATE;
    call.request.as.home.fence =
        (struct fh_fence){.epoch = 1, .generation = 1, .mode = FH_FENCE_OPEN};
    assert_int_equal(call_run(&call, 20000), FH_OK);
    call_close(&call);
}

void fixture_use_proxy(struct fixture *f)
{
    fixture_close(f);
    assert_int_equal(fh_proxy_start(fh_pgtest_port(f->pg), &f->proxy), FH_OK);
    (void)snprintf(f->location, sizeof(f->location),
                   "hostaddr=127.0.0.1 port=%u dbname=freehold user=freehold_app sslmode=disable",
                   fh_proxy_port(f->proxy));
    fixture_open(f, 1);
}

static void watchdog_closed_cb(uv_handle_t *handle)
{
    (void)handle;
}

void fixture_stop(struct fixture *f)
{
    if (f->store != NULL) {
        fixture_close(f);
    }
    fh_proxy_stop(f->proxy);
    fh_pgtest_stop(f->pg);
    uv_close((uv_handle_t *)&f->watchdog, watchdog_closed_cb);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0); /* nothing left open */
}

void call_init(struct call *call, struct fixture *f)
{
    memset(call, 0, sizeof(*call));
    call->fixture = f;
    fh_arena_init(&call->arena, 16 << 20);
    call->request.arena = &call->arena;
    call->request.arg = call;
    call->request.scope = (struct fh_scope){.tenant = f->tenant,
                                            .epoch = 1,
                                            .home = {.tier = FH_TIER_SHARED, .name = "fh_shared"},
                                            .schema = &model_v1};
}

void call_close(struct call *call)
{
    fh_arena_close(&call->arena);
}

void call_get(struct call *call, struct fh_key key)
{
    call->request.op = FH_OP_GET;
    call->key = key;
    call->request.as.get = (struct fh_op_get){.keys = &call->key, .count = 1};
}

static void prepare_write(struct call *call, const char *request_id)
{
    (void)snprintf(call->request_id, sizeof(call->request_id), "%s", request_id);
    call->write.assignments = call->assignments;
    call->request.op = FH_OP_COMMIT;
    call->request.as.commit = (struct fh_op_commit){
        .writes = &call->write, .count = 1, .request_id = fh_str_of(call->request_id)};
}

void call_insert(struct call *call, int64_t id, const char *request_id)
{
    (void)snprintf(call->text, sizeof(call->text), "author %lld", (long long)id);
    call->write = (struct fh_write){.op = FH_WRITE_INSERT, .key = key_author(id)};
    call->assignments[0] =
        (struct fh_assignment){.column = AUTHOR_NAME, .value = text_value(call->text)};
    call->write.assignment_count = 1;
    prepare_write(call, request_id);
}

void call_score(struct call *call, int64_t id, int64_t score, const char *request_id)
{
    call->write = (struct fh_write){.op = FH_WRITE_UPDATE, .key = key_author(id)};
    call->assignments[0] =
        (struct fh_assignment){.column = AUTHOR_SCORE, .value = int_value(FH_TYPE_INT32, score)};
    call->write.assignment_count = 1;
    prepare_write(call, request_id);
}

static void done_cb(struct fh_request *request)
{
    struct call *call = request->arg;
    call->done = true;
    call->completions++;
}

enum fh_code call_try(struct call *call)
{
    call->done = false;
    call->request.done_cb = done_cb;
    enum fh_code code = fh_store_submit(call->fixture->store, &call->request);
    if (code != FH_OK) {
        return code;
    }
    fixture_wait(call->fixture, call, 1);
    return call->request.code;
}

void call_submit(struct call *call, int64_t timeout_ms)
{
    fh_arena_reset(&call->arena);
    call->done = false;
    call->request.done_cb = done_cb;
    call->request.deadline_us = fh_clock_monotonic_us(fh_clock_system()) + timeout_ms * 1000;
    enum fh_code code = fh_store_submit(call->fixture->store, &call->request);
    if (code != FH_OK) {
        print_error("submit: %s\n", fh_error_text(&call->request.error));
    }
    assert_int_equal(code, FH_OK);
    assert_false(call->done);
}

void fixture_wait(struct fixture *f, struct call *calls, size_t count)
{
    (void)uv_timer_start(&f->watchdog, barked_cb, WATCHDOG_MS, 0);
    for (size_t i = 0; i < count; i++) {
        while (!calls[i].done) {
            (void)uv_run(&f->loop, UV_RUN_ONCE);
        }
    }
}

enum fh_code call_run(struct call *call, int64_t timeout_ms)
{
    call_submit(call, timeout_ms);
    fixture_wait(call->fixture, call, 1);
    return call->request.code;
}

static void turned_cb(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
    uv_stop(timer->loop); /* due before the loop first looks, it is not waited for behind that */
}

void fixture_turn(struct fixture *f, uint64_t ms)
{
    bool over = false;
    uv_timer_t timer;
    (void)uv_timer_init(&f->loop, &timer);
    timer.data = &over;
    (void)uv_timer_start(&timer, turned_cb, ms, 0);
    while (!over) {
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&timer, watchdog_closed_cb);
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
}

void call_until_ok(struct call *call)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        enum fh_code code = call_run(call, 10000);
        if (code == FH_OK) {
            return;
        }
        if (code != FH_UNAVAILABLE && code != FH_OUTCOME_UNKNOWN && code != FH_CONFLICT) {
            print_error("%s: %s\n", fh_code_name(code), fh_error_text(&call->request.error));
            fail();
        }
        fixture_turn(call->fixture, 50);
    }
    fail_msg("never OK");
}
