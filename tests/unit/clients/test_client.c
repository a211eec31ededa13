/* The client without a server: rules, decoding, options, and a port nobody listens on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "clients/c/client.h"
#include "clients/c/internal.h"
#include "freehold/v1/data.pb-c.h"
#include "freehold/v1/tenant_admin.pb-c.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"

static void repeats_only_what_is_safe(void **state)
{
    Freehold__V1__GetRecordRequest get = FREEHOLD__V1__GET_RECORD_REQUEST__INIT;
    Freehold__V1__CommitRequest commit = FREEHOLD__V1__COMMIT_REQUEST__INIT;
    Freehold__V1__DeleteTenantRequest drop = FREEHOLD__V1__DELETE_TENANT_REQUEST__INIT;
    (void)state;
    assert_true(fh_client_is_repeatable("GetRecord", &get.base));
    assert_true(fh_client_is_repeatable("BatchGetRecords", &get.base));
    assert_false(fh_client_is_repeatable("Commit", &commit.base));
    commit.request_id = (char *)(uintptr_t) "x";
    assert_true(fh_client_is_repeatable("Commit", &commit.base));
    assert_false(fh_client_is_repeatable("DeleteTenant", &drop.base));
}

static void backs_off(void **state)
{
    (void)state;
    assert_int_equal(fh_client_backoff_us(1, 0, 1000), 50000);
    assert_int_equal(fh_client_backoff_us(2, 0, 1000), 100000);
    assert_int_equal(fh_client_backoff_us(60, 0, 1000), 2000000);
    assert_int_equal(fh_client_backoff_us(1, 0, 0), 37500);
    assert_int_equal(fh_client_backoff_us(1, 0, 2000), 62500);
    assert_int_equal(fh_client_backoff_us(1, 500000, 1000), 500000); /* the server's wish */
}

static void add(Google__Protobuf__Any *any, const char *type, const ProtobufCMessage *message,
                uint8_t *space)
{
    google__protobuf__any__init(any);
    any->type_url = (char *)(uintptr_t)type;
    any->value.len = protobuf_c_message_pack(message, space);
    any->value.data = space;
}

static size_t pack_details(uint8_t *out)
{
    static uint8_t spaces[4][512];
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    Google__Protobuf__Any anys[4];
    Google__Protobuf__Any *pointers[] = {&anys[0], &anys[1], &anys[2], &anys[3]};
    Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
    Google__Rpc__BadRequest bad = GOOGLE__RPC__BAD_REQUEST__INIT;
    Google__Rpc__BadRequest__FieldViolation violation =
        GOOGLE__RPC__BAD_REQUEST__FIELD_VIOLATION__INIT;
    Google__Rpc__BadRequest__FieldViolation *violations[] = {&violation};
    Google__Rpc__RetryInfo retry = GOOGLE__RPC__RETRY_INFO__INIT;
    Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;
    info.reason = (char *)(uintptr_t) "CONFLICT";
    info.domain = (char *)(uintptr_t) "freehold";
    violation.field = (char *)(uintptr_t) "record.name";
    violation.description = (char *)(uintptr_t) "no";
    bad.n_field_violations = 1;
    bad.field_violations = violations;
    delay.nanos = 20000000;
    retry.retry_delay = &delay;
    add(&anys[0], "type.googleapis.com/google.rpc.ErrorInfo", &info.base, spaces[0]);
    add(&anys[1], "type.googleapis.com/google.rpc.BadRequest", &bad.base, spaces[1]);
    add(&anys[2], "type.googleapis.com/google.rpc.RetryInfo", &retry.base, spaces[2]);
    add(&anys[3], "type.googleapis.com/not.known.Here", &info.base, spaces[3]);
    status.n_details = 4;
    status.details = pointers;
    return google__rpc__status__pack(&status, out);
}

static void decodes_details(void **state)
{
    uint8_t bytes[2048];
    struct fh_client_status status;
    const size_t len = pack_details(bytes);
    (void)state;
    fh_client_status_set(&status, FH_GRPC_ABORTED, "m");
    assert_false(fh_client_status_is_passing(&status)); /* ABORTED alone may be an etag */
    assert_true(
        fh_client_status_decode(&status, (struct fh_str){.data = (char *)bytes, .len = len}));
    assert_string_equal(status.reason, "CONFLICT");
    assert_string_equal(status.domain, "freehold");
    assert_int_equal(status.violation_count, 1);
    assert_string_equal(status.violations[0].field, "record.name");
    assert_int_equal(status.retry_after_us, 20000);
    assert_true(fh_client_status_is_passing(&status));
    (void)snprintf(status.reason, sizeof(status.reason), "%s", "ETAG_MISMATCH");
    assert_false(fh_client_status_is_passing(&status));
    assert_int_equal(fh_alloc_live(), 0);
}

/* Cut or flipped anywhere: the plain status stands, nothing leaks. */
static void survives_broken_details(void **state)
{
    uint8_t bytes[2048];
    const size_t len = pack_details(bytes);
    struct fh_client_status status;
    (void)state;
    for (size_t i = 0; i < len; i++) {
        fh_client_status_set(&status, FH_GRPC_ABORTED, "m");
        (void)fh_client_status_decode(&status, (struct fh_str){.data = (char *)bytes, .len = i});
        bytes[i] ^= 0xff;
        (void)fh_client_status_decode(&status, (struct fh_str){.data = (char *)bytes, .len = len});
        bytes[i] ^= 0xff;
        assert_int_equal(status.grpc, FH_GRPC_ABORTED);
    }
    for (long after = 0;; after++) {
        fh_alloc_fault_on(after, 1);
        const bool good =
            fh_client_status_decode(&status, (struct fh_str){.data = (char *)bytes, .len = len});
        if (!fh_alloc_fault_off()) {
            assert_true(good);
            break;
        }
        assert_false(good);
        assert_int_equal(fh_alloc_live(), 0);
    }
}

static enum fh_code create(const char *address, const char *token, bool insecure)
{
    struct fh_client_options options;
    struct fh_client *client = NULL;
    struct fh_error error = FH_ERROR_INIT;
    fh_client_options_init(&options);
    options.address = address;
    options.token = token;
    options.insecure = insecure;
    const enum fh_code code = fh_client_create(&options, &client, &error);
    assert_int_equal(client != NULL, code == FH_OK);
    if (token != NULL && code != FH_OK) {
        assert_null(strstr(error.message, token));
    }
    fh_client_destroy(client);
    return code;
}

static void refuses_plaintext_beyond_loopback(void **state)
{
    (void)state;
    assert_int_equal(create("127.0.0.1:1", "TOKEN7", false), FH_OK);
    assert_int_equal(create("127.9.9.9:1", "TOKEN7", false), FH_OK);
    assert_int_equal(create("localhost:1", NULL, false), FH_OK);
    assert_int_equal(create("[::1]:1", NULL, false), FH_OK);
    assert_int_equal(create("10.0.0.1:1", "TOKEN7", false), FH_INVALID);
    assert_int_equal(create("localhost.example:1", "TOKEN7", false), FH_INVALID);
    assert_int_equal(create("127.0.0.1.example:1", "TOKEN7", false), FH_INVALID);
    assert_int_equal(create("10.0.0.1:1", "TOKEN7", true), FH_OK);
    assert_int_equal(create("", "TOKEN7", false), FH_INVALID);
    assert_int_equal(create("127.0.0.1:1", "secret\r\nx: y", false), FH_INVALID);
}

/* A bound socket that does not listen: its port refuses, and nobody else can take it. */
static int closed_port(char *address, size_t size)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    (void)snprintf(address, size, "127.0.0.1:%d", ntohs(in.sin_port));
    return fd;
}

struct outcome {
    int called;
    bool message;
};

static void got_cb(const Freehold__V1__Record *message, void *arg)
{
    struct outcome *outcome = arg;
    outcome->called++;
    outcome->message = message != NULL;
}

static void tells_that_nobody_listens(void **state)
{
    char address[64];
    struct fh_client_options options;
    struct fh_client *client = NULL;
    struct fh_error error = FH_ERROR_INIT;
    struct fh_client_stub stub;
    struct outcome outcome = {0};
    Freehold__V1__GetRecordRequest request = FREEHOLD__V1__GET_RECORD_REQUEST__INIT;
    const int fd = closed_port(address, sizeof(address));
    (void)state;
    fh_client_options_init(&options);
    options.address = address;
    options.calls_max = 2;
    assert_int_equal(fh_client_create(&options, &client, &error), FH_OK);
    fh_client_stub_init(&stub, client, &freehold__v1__data_service__descriptor);
    freehold__v1__data_service__get_record(&stub.base, &request, got_cb, &outcome);
    assert_int_equal(outcome.called, 1);
    assert_false(outcome.message);
    assert_int_equal(fh_client_last_status(client)->grpc, FH_GRPC_UNAVAILABLE);
    assert_false(fh_client_last_status(client)->from_server);

    struct fh_client_call *calls[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fh_client_call_start(client, &freehold__v1__data_service__descriptor,
                                              "GetRecord", &request.base, &outcome, &calls[i],
                                              &error),
                         i < 2 ? FH_OK : FH_FULL);
    }
    assert_int_equal(fh_client_live(client), 2);
    struct fh_client_call *call = fh_client_next(client);
    assert_non_null(call);
    assert_ptr_equal(fh_client_call_arg(call), &outcome);
    assert_null(fh_client_call_response(call));
    assert_int_equal(fh_client_call_status(call)->grpc, FH_GRPC_UNAVAILABLE);
    assert_int_equal(fh_client_call_tries(call), 1); /* it never answered: not waited for */
    fh_client_call_free(call);
    assert_int_equal(fh_client_call_start(client, &freehold__v1__data_service__descriptor,
                                          "NoSuchMethod", &request.base, NULL, &calls[2], &error),
                     FH_INVALID);
    assert_int_equal(fh_client_live(client), 1);
    fh_client_destroy(client); /* with one still live */
    assert_int_equal(close(fd), 0);
    assert_int_equal(fh_alloc_live(), 0);
}

/* Cancelling what fh_client_next() gave already: nothing comes a second time. */
static void cancels_only_what_is_live(void **state)
{
    char address[64];
    struct fh_client_options options;
    struct fh_client *client = NULL;
    struct fh_client_call *call = NULL;
    struct fh_error error = FH_ERROR_INIT;
    Freehold__V1__GetRecordRequest request = FREEHOLD__V1__GET_RECORD_REQUEST__INIT;
    const int fd = closed_port(address, sizeof(address));
    (void)state;
    fh_client_options_init(&options);
    options.address = address;
    options.deadline_us = 300000; /* some tries, and then one that would come too late */
    assert_int_equal(fh_client_create(&options, &client, &error), FH_OK);
    client->answered = true; /* so that it tries again */
    assert_int_equal(fh_client_call_start(client, &freehold__v1__data_service__descriptor,
                                          "GetRecord", &request.base, NULL, &call, &error),
                     FH_OK);
    assert_ptr_equal(fh_client_next(client), call);
    fh_client_call_cancel(call);
    assert_true(fh_list_empty(&client->ended));
    fh_client_call_free(call);
    fh_client_destroy(client);
    assert_int_equal(close(fd), 0);
    assert_int_equal(fh_alloc_live(), 0);
}

static bool third_look_cb(void *arg)
{
    return ++*(int *)arg >= 3;
}

/* The peer takes the connection and says nothing: only the stop ends the calls, by far before their
 * deadline. */
static void stops_waiting_when_told(void **state)
{
    char address[64];
    struct fh_client_options options;
    struct fh_client *client = NULL;
    struct fh_client_call *calls[2] = {NULL};
    struct fh_error error = FH_ERROR_INIT;
    int looks = 0;
    Freehold__V1__GetRecordRequest request = FREEHOLD__V1__GET_RECORD_REQUEST__INIT;
    const struct fh_client_header headers[] = {{"tenant", "nobody"}, {"authorization", "x"}};
    const int fd = closed_port(address, sizeof(address));
    (void)state;
    assert_int_equal(listen(fd, 4), 0);
    fh_client_options_init(&options);
    options.address = address;
    options.token = "first";
    options.deadline_us = 3600LL * 1000000;
    assert_int_equal(fh_client_create(&options, &client, &error), FH_OK);
    assert_int_equal(fh_client_set_token(client, "no\ntoken"), FH_INVALID);
    assert_int_equal(fh_client_set_token(client, NULL), FH_OK);
    assert_int_equal(fh_client_set_token(client, "second"), FH_OK);
    fh_client_set_headers(client, headers, 2);
    fh_client_set_stop(client, third_look_cb, &looks);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fh_client_call_start(client, &freehold__v1__data_service__descriptor,
                                              "GetRecord", &request.base, NULL, &calls[i], &error),
                         FH_OK);
    }
    for (int i = 0; i < 2; i++) {
        struct fh_client_call *call = fh_client_next(client);
        assert_int_equal(fh_client_call_status(call)->grpc, FH_GRPC_CANCELLED);
        fh_client_call_free(call);
    }
    assert_true(looks >= 3);
    fh_client_destroy(client);
    assert_int_equal(close(fd), 0);
    assert_int_equal(fh_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repeats_only_what_is_safe),
        cmocka_unit_test(backs_off),
        cmocka_unit_test(decodes_details),
        cmocka_unit_test(survives_broken_details),
        cmocka_unit_test(refuses_plaintext_beyond_loopback),
        cmocka_unit_test(tells_that_nobody_listens),
        cmocka_unit_test(cancels_only_what_is_live),
        cmocka_unit_test(stops_waiting_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
