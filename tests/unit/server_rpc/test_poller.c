/* The poller's two kinds start and end cleanly, completions reach the loop, and where the
 * self-check fails the pump takes over. */
#include "server/rpc/poller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"

struct fixture {
    uv_loop_t loop;
    struct fh_rpc_poller *poller;
    int turns;
    int tags;
    bool closed;
    grpc_server *server;
    struct fh_rpc_tag tag;
};

static bool refuse_nesting;

int __real_fh_rpc_poller_check(grpc_completion_queue *queue);
int __wrap_fh_rpc_poller_check(grpc_completion_queue *queue);

int __wrap_fh_rpc_poller_check(grpc_completion_queue *queue)
{
    return refuse_nesting ? -1 : __real_fh_rpc_poller_check(queue);
}

static void turn_cb(void *arg)
{
    ((struct fixture *)arg)->turns++;
}

static void closed_cb(void *arg)
{
    ((struct fixture *)arg)->closed = true;
}

static void tag_cb(struct fh_rpc_tag *tag, bool success)
{
    struct fixture *fixture = FH_CONTAINER_OF(tag, struct fixture, tag);

    (void)success;
    fixture->tags++;
    grpc_server_destroy(fixture->server);
    fh_rpc_poller_close(fixture->poller, closed_cb, fixture);
}

static void run(bool force_pump, const char *expected)
{
    struct fixture fixture = {.turns = 0};
    struct fh_error error = FH_ERROR_INIT;
    struct fh_rpc_poller_config config = {
        .force_pump = force_pump, .turn_cb = turn_cb, .arg = &fixture};
    long live = fh_alloc_live();

    assert_int_equal(uv_loop_init(&fixture.loop), 0);
    assert_int_equal(fh_rpc_poller_create(&fixture.loop, &config, &fixture.poller, &error), FH_OK);
    assert_string_equal(fh_rpc_poller_name(fixture.poller), expected);
    grpc_completion_queue *queue = fh_rpc_poller_queue(fixture.poller);
    fixture.server = grpc_server_create(NULL, NULL);
    grpc_server_register_completion_queue(fixture.server, queue, NULL);
    grpc_server_start(fixture.server);
    fixture.tag.cb = tag_cb;
    grpc_server_shutdown_and_notify(fixture.server, queue, &fixture.tag);
    fh_rpc_poller_kick(fixture.poller);
    assert_int_equal(uv_run(&fixture.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(fixture.tags, 1);
    assert_true(fixture.closed);
    assert_int_equal(uv_loop_close(&fixture.loop), 0);
    assert_int_equal(fh_alloc_live(), live);
}

static void test_nested(void **state)
{
    (void)state;
    run(false, "nested");
}

static void test_pump(void **state)
{
    (void)state;
    run(true, "pump");
}

static void test_pump_where_nesting_fails(void **state)
{
    (void)state;
    refuse_nesting = true;
    run(false, "pump");
    refuse_nesting = false;
}

/* gRPC may be shut down and started again in one process. */
static void test_again(void **state)
{
    (void)state;
    run(false, "nested");
    run(true, "pump");
    run(false, "nested");
}

static void test_no_memory(void **state)
{
    struct fixture fixture = {.turns = 0};
    struct fh_error error = FH_ERROR_INIT;
    struct fh_rpc_poller_config config = {.turn_cb = turn_cb, .arg = &fixture};
    (void)state;

    assert_int_equal(uv_loop_init(&fixture.loop), 0);
    fh_alloc_fault_on(0, -1);
    assert_int_equal(fh_rpc_poller_create(&fixture.loop, &config, &fixture.poller, &error),
                     FH_NOMEM);
    assert_int_equal(fh_alloc_fault_off(), 1);
    assert_null(fixture.poller);
    assert_int_equal(uv_loop_close(&fixture.loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nested),
        cmocka_unit_test(test_pump),
        cmocka_unit_test(test_pump_where_nesting_fails),
        cmocka_unit_test(test_again),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
