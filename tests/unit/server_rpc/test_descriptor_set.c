/* Look-ups of reflection in the embedded descriptor set, and in broken ones. */
#include "server/rpc/descriptor_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"

extern const unsigned char fh_proto_descriptor_set[];
extern const unsigned long fh_proto_descriptor_set_size;

static struct fh_str whole_set(void)
{
    return (struct fh_str){.data = (const char *)fh_proto_descriptor_set,
                           .len = fh_proto_descriptor_set_size};
}

static bool is_file(struct fh_str file, const char *name)
{
    struct fh_str found;

    return fh_descriptor_file(whole_set(), fh_str_of(name), &found) && found.data == file.data &&
           found.len == file.len;
}

static void assert_in(const char *symbol, const char *file)
{
    struct fh_str found;

    assert_true(fh_descriptor_symbol(whole_set(), fh_str_of(symbol), &found));
    assert_true(is_file(found, file));
}

static void test_symbols(void **state)
{
    const char *health = "grpc/health/v1/health.proto";
    (void)state;

    assert_in("grpc.health.v1.Health", health);
    assert_in("grpc.health.v1.Health.Watch", health);
    assert_in("grpc.health.v1.HealthCheckResponse", health);
    assert_in("grpc.health.v1.HealthCheckResponse.status", health);
    assert_in("grpc.health.v1.HealthCheckResponse.ServingStatus", health);
    assert_in("grpc.health.v1.HealthCheckResponse.ServingStatus.SERVING", health);
    assert_in("grpc.health.v1.HealthCheckResponse.SERVING", health);
    assert_in("grpc.health.v1.HealthListResponse.StatusesEntry.value", health);
    assert_in("google.rpc.BadRequest.FieldViolation.field", "google/rpc/error_details.proto");
    assert_in("grpc.reflection.v1.ServerReflectionRequest.message_request",
              "grpc/reflection/v1/reflection.proto");
    assert_in("grpc.reflection.v1alpha.ServerReflection",
              "grpc/reflection/v1alpha/reflection.proto");
    assert_in("google.protobuf.Any", "google/protobuf/any.proto");
}

static void test_no_such_symbol(void **state)
{
    static const char *const names[] = {"",
                                        ".",
                                        "grpc",
                                        "grpc.health",
                                        "grpc.health.v1",
                                        "grpc.health.v1.",
                                        ".grpc.health.v1.Health",
                                        "grpc.health.v1.Health.",
                                        "grpc.health.v1.Healt",
                                        "grpc.health.v1.Healthy",
                                        "grpc.health.v1.Health.Watch.x",
                                        "grpc.health.v1.HealthCheckResponse.nothing",
                                        "Health"};
    struct fh_str found;
    (void)state;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_false(fh_descriptor_symbol(whole_set(), fh_str_of(names[i]), &found));
    }
    assert_false(fh_descriptor_file(whole_set(), FH_STR(""), &found));
    assert_false(fh_descriptor_file(whole_set(), FH_STR("health.proto"), &found));
}

static void test_closure(void **state)
{
    struct fh_str files[FH_DESCRIPTOR_FILES_MAX];
    struct fh_str file;
    (void)state;

    assert_true(fh_descriptor_file(whole_set(), FH_STR("google/rpc/status.proto"), &file));
    assert_int_equal(fh_descriptor_closure(whole_set(), file, files), 2);
    assert_true(is_file(files[0], "google/rpc/status.proto"));
    assert_true(is_file(files[1], "google/protobuf/any.proto"));
    assert_true(fh_descriptor_file(whole_set(), FH_STR("google/protobuf/any.proto"), &file));
    assert_int_equal(fh_descriptor_closure(whole_set(), file, files), 1);
}

/* FileDescriptorSet of two files that import each other: name "a" imports "b", and the reverse. */
static void test_circle(void **state)
{
    struct fh_str set = FH_STR("\x0a\x06\x0a\x01"
                               "a\x1a\x01"
                               "b\x0a\x06\x0a\x01"
                               "b\x1a\x01"
                               "a");
    struct fh_str files[FH_DESCRIPTOR_FILES_MAX];
    struct fh_str file;
    (void)state;

    assert_true(fh_descriptor_file(set, FH_STR("a"), &file));
    assert_int_equal(fh_descriptor_closure(set, file, files), 2);
}

static void test_broken_sets(void **state)
{
    struct fh_str whole = whole_set();
    (void)state;

    for (size_t len = 0; len < whole.len; len += 7) {
        char *copy = fh_malloc(len + 1);
        struct fh_str found;
        assert_non_null(copy);
        memcpy(copy, whole.data, len);
        /* An exact allocation: a sanitizer sees any read behind it. */
        copy = fh_realloc(copy, len > 0 ? len : 1);
        assert_non_null(copy);
        struct fh_str cut = {.data = copy, .len = len};
        (void)fh_descriptor_symbol(cut, FH_STR("grpc.reflection.v1.ServerReflection"), &found);
        assert_false(fh_descriptor_symbol(cut, FH_STR("no.such.Symbol"), &found));
        fh_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_symbols),     cmocka_unit_test(test_no_such_symbol),
        cmocka_unit_test(test_closure),     cmocka_unit_test(test_circle),
        cmocka_unit_test(test_broken_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
