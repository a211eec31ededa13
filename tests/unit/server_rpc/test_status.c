/* Refusals packed as google.rpc.Status, read back with the generated code. */
#include "server/rpc/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"

static Google__Rpc__Status *read_back(struct fh_str packed)
{
    Google__Rpc__Status *status =
        google__rpc__status__unpack(NULL, packed.len, (const uint8_t *)packed.data);

    assert_non_null(status);
    return status;
}

static const Google__Protobuf__Any *detail(const Google__Rpc__Status *status, const char *name)
{
    for (size_t i = 0; i < status->n_details; i++) {
        const char *slash = strchr(status->details[i]->type_url, '/');
        assert_non_null(slash);
        if (strcmp(slash + 1, name) == 0) {
            return status->details[i];
        }
    }
    return NULL;
}

static void test_every_code(void **state)
{
    (void)state;
    for (int code = FH_OK + 1; code < FH_CODE_COUNT; code++) {
        struct fh_error error = FH_ERROR_INIT;
        struct fh_status status;
        struct fh_arena arena;
        struct fh_str packed;

        error.code = (enum fh_code)code;
        fh_arena_init(&arena, 1 << 16);
        fh_status_from_error(&status, &error);
        assert_int_equal(fh_status_pack(&status, &arena, &packed), FH_OK);
        Google__Rpc__Status *back = read_back(packed);
        assert_int_equal(back->code, fh_code_grpc_status((enum fh_code)code));
        assert_string_equal(back->message, fh_code_text((enum fh_code)code));
        const Google__Protobuf__Any *any = detail(back, "google.rpc.ErrorInfo");
        assert_non_null(any);
        Google__Rpc__ErrorInfo *info =
            google__rpc__error_info__unpack(NULL, any->value.len, any->value.data);
        assert_non_null(info);
        assert_string_equal(info->reason, fh_code_reason((enum fh_code)code));
        assert_string_equal(info->domain, "freehold");
        assert_null(detail(back, "google.rpc.BadRequest"));
        assert_null(detail(back, "google.rpc.Help"));
        /* UNAVAILABLE without a hint when to come back would be retried by clients at their own
         * pace. */
        if (fh_code_grpc_status((enum fh_code)code) == 14) {
            assert_non_null(detail(back, "google.rpc.RetryInfo"));
        }
        google__rpc__error_info__free_unpacked(info, NULL);
        google__rpc__status__free_unpacked(back, NULL);
        fh_arena_close(&arena);
    }
}

static void test_field_at_fault(void **state)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_status status;
    struct fh_arena arena;
    struct fh_str packed;
    (void)state;

    fh_arena_init(&arena, 1 << 16);
    (void)fh_error_field(&error, FH_INVALID, "record.fields.name", "too long by %d", 3);
    fh_status_from_error(&status, &error);
    assert_int_equal(fh_status_pack(&status, &arena, &packed), FH_OK);
    Google__Rpc__Status *back = read_back(packed);
    const Google__Protobuf__Any *any = detail(back, "google.rpc.BadRequest");
    assert_non_null(any);
    Google__Rpc__BadRequest *bad =
        google__rpc__bad_request__unpack(NULL, any->value.len, any->value.data);
    assert_non_null(bad);
    assert_int_equal(bad->n_field_violations, 1);
    assert_string_equal(bad->field_violations[0]->field, "record.fields.name");
    assert_string_equal(bad->field_violations[0]->description, "too long by 3");
    assert_string_equal(back->message, "too long by 3");
    google__rpc__bad_request__free_unpacked(bad, NULL);
    google__rpc__status__free_unpacked(back, NULL);
    fh_arena_close(&arena);
}

static void test_an_error_that_says_ok_is_internal(void **state)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_status status;
    (void)state;

    fh_status_from_error(&status, &error);
    assert_int_equal(status.code, FH_INTERNAL);
}

static struct fh_status full_status(void)
{
    struct fh_status status = {
        .code = FH_HELD,
        .message = FH_STR("being moved"),
        .metadata = {{FH_STR("a"), FH_STR("1")},
                     {FH_STR("b"), FH_STR("2")},
                     {FH_STR("c"), FH_STR("3")},
                     {FH_STR("d"), FH_STR("")}},
        .metadata_count = FH_STATUS_METADATA_MAX,
        .retry_after_ms = 2500,
        .help_url = FH_STR("https://example.org/x"),
        .help_description = FH_STR("about moves"),
        .violation_count = FH_STATUS_VIOLATIONS_MAX,
    };

    for (size_t i = 0; i < FH_STATUS_VIOLATIONS_MAX; i++) {
        status.violations[i] = (struct fh_status_pair){FH_STR("field"), FH_STR("wrong")};
    }
    return status;
}

static void test_everything(void **state)
{
    struct fh_status status = full_status();
    struct fh_arena arena;
    struct fh_str packed;
    (void)state;

    fh_arena_init(&arena, 1 << 16);
    assert_int_equal(fh_status_pack(&status, &arena, &packed), FH_OK);
    Google__Rpc__Status *back = read_back(packed);
    assert_int_equal(back->n_details, 4);
    const Google__Protobuf__Any *any = detail(back, "google.rpc.RetryInfo");
    assert_non_null(any);
    Google__Rpc__RetryInfo *retry =
        google__rpc__retry_info__unpack(NULL, any->value.len, any->value.data);
    assert_int_equal(retry->retry_delay->seconds, 2);
    assert_int_equal(retry->retry_delay->nanos, 500000000);
    any = detail(back, "google.rpc.ErrorInfo");
    assert_non_null(any);
    Google__Rpc__ErrorInfo *info =
        google__rpc__error_info__unpack(NULL, any->value.len, any->value.data);
    assert_int_equal(info->n_metadata, 4);
    assert_string_equal(info->metadata[1]->key, "b");
    assert_string_equal(info->metadata[1]->value, "2");
    google__rpc__error_info__free_unpacked(info, NULL);
    google__rpc__retry_info__free_unpacked(retry, NULL);
    google__rpc__status__free_unpacked(back, NULL);
    fh_arena_close(&arena);
}

static void test_no_memory(void **state)
{
    struct fh_status status = full_status();
    enum fh_code code = FH_NOMEM;
    (void)state;

    for (size_t bound = 1; bound < 8192; bound += 8) {
        struct fh_arena arena;
        struct fh_str packed = FH_STR("untouched");
        fh_arena_init(&arena, bound);
        code = fh_status_pack(&status, &arena, &packed);
        if (code == FH_OK) {
            google__rpc__status__free_unpacked(read_back(packed), NULL);
        } else {
            assert_int_equal(code, FH_NOMEM);
            assert_int_equal(packed.len, 0);
        }
        fh_arena_close(&arena);
    }
    assert_int_equal(code, FH_OK);
    assert_int_equal(fh_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code),
        cmocka_unit_test(test_field_at_fault),
        cmocka_unit_test(test_an_error_that_says_ok_is_internal),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
