/* Set-up of a server: what listen refuses, and every allocation failing in turn. Calls are tried
 * from outside, in the integration tests. */
#include "server/rpc/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "rpc_test.pb-c.h"
#include "server/rpc/call.h"

#define METHODS 8

struct fixture {
    uv_loop_t loop;
    struct fh_env env;
    struct fh_rpc_options options;
    struct fh_rpc_server *server;
    struct fh_rpc_method methods[METHODS];
    struct fh_rpc_service service;
    struct fh_rpc_listener listener;
    struct fh_error error;
    int stopped;
};

static void handler_cb(struct fh_call *call, void *arg)
{
    (void)arg;
    fh_call_fail_code(call, FH_UNIMPLEMENTED);
}

static void stopped_cb(void *arg)
{
    ((struct fixture *)arg)->stopped++;
}

static int setup(void **state)
{
    static struct fixture fixture;
    const ProtobufCServiceDescriptor *descriptor = &freehold__test__v1__test_service__descriptor;

    fixture = (struct fixture){.stopped = 0};
    fixture.env = (struct fh_env){.loop = &fixture.loop, .clock = fh_clock_system()};
    fh_rpc_options_init(&fixture.options);
    assert_int_equal(descriptor->n_methods, METHODS);
    for (size_t i = 0; i < METHODS; i++) {
        fixture.methods[i] = (struct fh_rpc_method){
            .name = descriptor->methods[i].name, .kind = FH_RPC_UNARY, .handler = handler_cb};
    }
    fixture.service = (struct fh_rpc_service){
        .descriptor = descriptor, .methods = fixture.methods, .method_count = METHODS};
    fixture.listener = (struct fh_rpc_listener){
        .name = "test", .address = "127.0.0.1:0", .services = &fixture.service, .service_count = 1};
    *state = &fixture;
    return uv_loop_init(&fixture.loop);
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    if (fixture->server != NULL) {
        fh_rpc_server_stop(fixture->server, stopped_cb, fixture);
        (void)uv_run(&fixture->loop, UV_RUN_DEFAULT);
        assert_int_equal(fixture->stopped, 1);
    }
    assert_int_equal(fh_alloc_live(), 0);
    return uv_loop_close(&fixture->loop);
}

static void create(struct fixture *fixture)
{
    assert_int_equal(
        fh_rpc_server_create(&fixture->env, &fixture->options, &fixture->server, &fixture->error),
        FH_OK);
}

static enum fh_code listen_on(struct fixture *fixture)
{
    return fh_rpc_server_listen(fixture->server, &fixture->listener, &fixture->error);
}

static void test_never_used(void **state)
{
    create(*state);
}

static void test_two_listeners(void **state)
{
    struct fixture *fixture = *state;

    create(fixture);
    assert_int_equal(listen_on(fixture), FH_OK);
    fixture->listener.name = "operator";
    fixture->listener.service_count = 0;
    assert_int_equal(listen_on(fixture), FH_OK);
    assert_int_equal(fh_rpc_server_start(fixture->server, &fixture->error), FH_OK);
    int port = fh_rpc_server_port(fixture->server, "test");
    int other = fh_rpc_server_port(fixture->server, "operator");
    assert_true(port > 0 && other > 0 && port != other);
    assert_int_equal(fh_rpc_server_port(fixture->server, "nobody"), 0);
    assert_int_equal(fh_rpc_server_live_calls(fixture->server), 0);
    /* Not any more. */
    fixture->listener.name = "late";
    assert_int_equal(listen_on(fixture), FH_FULL);
}

static void test_one_a_process(void **state)
{
    struct fixture *fixture = *state;
    struct fh_rpc_server *second = NULL;

    create(fixture);
    assert_int_equal(
        fh_rpc_server_create(&fixture->env, &fixture->options, &second, &fixture->error),
        FH_EXISTS);
    assert_null(second);
}

static void test_options(void **state)
{
    struct fixture *fixture = *state;

    fixture->options.calls_max = 0;
    assert_int_equal(
        fh_rpc_server_create(&fixture->env, &fixture->options, &fixture->server, &fixture->error),
        FH_INVALID);
    fh_rpc_options_init(&fixture->options);
    fixture->options.metadata_bytes_max = UINT32_MAX;
    assert_int_equal(
        fh_rpc_server_create(&fixture->env, &fixture->options, &fixture->server, &fixture->error),
        FH_INVALID);
    assert_null(fixture->server);
}

static void assert_refused(struct fixture *fixture, enum fh_code code, const char *why)
{
    create(fixture);
    assert_int_equal(listen_on(fixture), code);
    if (strstr(fixture->error.message, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", fixture->error.message, why);
    }
    assert_int_equal(fh_rpc_server_start(fixture->server, &fixture->error), FH_PRECONDITION);
}

static void test_plaintext_beyond_loopback(void **state)
{
    ((struct fixture *)*state)->listener.address = "0.0.0.0:0";
    assert_refused(*state, FH_INVALID, "needs TLS");
}

static void test_plaintext_beyond_loopback_by_name(void **state)
{
    /* Begins like loopback, and is not. */
    ((struct fixture *)*state)->listener.address = "localhost.example.org:0";
    assert_refused(*state, FH_INVALID, "needs TLS");
}

static void test_plaintext_beyond_loopback_by_digits(void **state)
{
    ((struct fixture *)*state)->listener.address = "127.example.org:0";
    assert_refused(*state, FH_INVALID, "needs TLS");
}

static void test_half_of_tls(void **state)
{
    ((struct fixture *)*state)->listener.tls_key_pem = "/dev/null";
    assert_refused(*state, FH_INVALID, "both");
}

static void test_no_pem(void **state)
{
    struct fixture *fixture = *state;

    fixture->listener.tls_key_pem = "/dev/null";
    fixture->listener.tls_certificate_pem = "/dev/null";
    assert_refused(fixture, FH_INVALID, "not a PEM file");
}

static void test_method_missing(void **state)
{
    ((struct fixture *)*state)->service.method_count = METHODS - 1;
    assert_refused(*state, FH_INVALID, "has 8 methods");
}

static void test_method_unknown(void **state)
{
    ((struct fixture *)*state)->methods[2].name = "Nope";
    assert_refused(*state, FH_INVALID, "no method Nope");
}

static void test_method_twice(void **state)
{
    struct fixture *fixture = *state;

    fixture->methods[2].name = fixture->methods[1].name;
    assert_refused(fixture, FH_EXISTS, "twice");
}

static void test_client_stream(void **state)
{
    ((struct fixture *)*state)->methods[0].kind = FH_RPC_CLIENT_STREAM;
    assert_refused(*state, FH_UNIMPLEMENTED, "client streaming");
}

static void test_no_such_address(void **state)
{
    struct fixture *fixture = *state;
    static const char *const addresses[] = {
        "", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:-1", "127.0.0.1:65536"};

    create(fixture);
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        fixture->listener.address = addresses[i];
        assert_int_equal(listen_on(fixture), FH_INVALID);
    }
}

static void test_not_our_address(void **state)
{
    ((struct fixture *)*state)->listener.address = "192.0.2.1:0";
    ((struct fixture *)*state)->listener.insecure = true;
    assert_refused(*state, FH_UNAVAILABLE, "cannot listen on");
}

/* Every allocation of create, listen and start fails once: refused cleanly each time, no leak. */
static void test_allocations_fail_in_turn(void **state)
{
    struct fixture *fixture = *state;
    bool faulted = true;
    long after = 0;

    for (; faulted && after < 1000; after++) {
        fixture->server = NULL;
        fixture->stopped = 0;
        fh_alloc_fault_on(after, 1);
        enum fh_code code = fh_rpc_server_create(&fixture->env, &fixture->options, &fixture->server,
                                                 &fixture->error);
        if (code == FH_OK) {
            code = listen_on(fixture);
        }
        if (code == FH_OK) {
            code = fh_rpc_server_start(fixture->server, &fixture->error);
        }
        faulted = fh_alloc_fault_off() != 0;
        assert_int_equal(code, faulted ? FH_NOMEM : FH_OK);
        if (fixture->server != NULL) {
            fh_rpc_server_stop(fixture->server, stopped_cb, fixture);
        }
        (void)uv_run(&fixture->loop, UV_RUN_DEFAULT);
        assert_int_equal(fixture->stopped, fixture->server != NULL);
        assert_int_equal(fh_alloc_live(), 0);
        fixture->server = NULL;
    }
    assert_true(after > 10 && after < 1000);
}

#define CASE(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(never_used),
        CASE(two_listeners),
        CASE(one_a_process),
        CASE(options),
        CASE(plaintext_beyond_loopback),
        CASE(plaintext_beyond_loopback_by_name),
        CASE(plaintext_beyond_loopback_by_digits),
        CASE(half_of_tls),
        CASE(no_pem),
        CASE(method_missing),
        CASE(method_unknown),
        CASE(method_twice),
        CASE(client_stream),
        CASE(no_such_address),
        CASE(not_our_address),
        CASE(allocations_fail_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
