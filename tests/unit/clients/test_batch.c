/* Rows become values and writes; writes become commits with ids that repeat. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "clients/cli/batch.h"
#include "clients/cli/convert.h"
#include "clients/cli/pipeline.h"

static struct fh_arena arena;
static struct fh_error error;

static Freehold__V1__Value text(const char *in, enum fh_kind kind, enum fh_code expected)
{
    Freehold__V1__Value value;
    assert_int_equal(fh_convert_text(fh_str_of(in), kind, &arena, &value, &error), expected);
    return value;
}

static void converts_text_by_kind(void **state)
{
    (void)state;
    assert_true(text("t", FH_KIND_BOOL, FH_OK).bool_value);
    assert_false(text("0", FH_KIND_BOOL, FH_OK).bool_value);
    (void)text("TRUE?", FH_KIND_BOOL, FH_INVALID);
    assert_int_equal(text("-9223372036854775808", FH_KIND_INTEGER, FH_OK).integer_value, INT64_MIN);
    (void)text("9223372036854775808", FH_KIND_INTEGER, FH_INVALID);
    (void)text("1.0", FH_KIND_INTEGER, FH_INVALID);
    (void)text("", FH_KIND_INTEGER, FH_INVALID);
    assert_true(text("-1.5e3", FH_KIND_REAL, FH_OK).double_value == -1500);
    (void)text("nan", FH_KIND_REAL, FH_INVALID);
    (void)text("inf", FH_KIND_REAL, FH_INVALID);
    (void)text("0x10", FH_KIND_REAL, FH_INVALID);
    (void)text(" 1", FH_KIND_REAL, FH_INVALID);
    (void)text("1e999", FH_KIND_REAL, FH_INVALID);
    assert_string_equal(text("007", FH_KIND_STRING, FH_OK).string_value, "007");
    assert_string_equal(text("12.50", FH_KIND_NUMERIC, FH_OK).string_value, "12.50");
    (void)text("\xff", FH_KIND_STRING, FH_INVALID);
}

static void converts_bytes(void **state)
{
    Freehold__V1__Value value = text("\\x00fF", FH_KIND_BYTES, FH_OK);
    (void)state;
    assert_int_equal(value.bytes_value.len, 2);
    assert_memory_equal(value.bytes_value.data, "\0\xff", 2);
    value = text("AP8hYQ==", FH_KIND_BYTES, FH_OK);
    assert_int_equal(value.bytes_value.len, 4);
    assert_memory_equal(value.bytes_value.data, "\0\xff!a", 4);
    assert_int_equal(text("", FH_KIND_BYTES, FH_OK).bytes_value.len, 0);
    (void)text("\\x0", FH_KIND_BYTES, FH_INVALID);
    (void)text("\\xzz", FH_KIND_BYTES, FH_INVALID);
    (void)text("AP8", FH_KIND_BYTES, FH_INVALID);
    (void)text("A*8=", FH_KIND_BYTES, FH_INVALID);
}

static void judges_by_syntax(void **state)
{
    (void)state;
    assert_int_equal(text("true", FH_KIND_SYNTAX, FH_OK).kind_case,
                     FREEHOLD__V1__VALUE__KIND_BOOL_VALUE);
    assert_int_equal(text("-12", FH_KIND_SYNTAX, FH_OK).integer_value, -12);
    assert_int_equal(text("0", FH_KIND_SYNTAX, FH_OK).kind_case,
                     FREEHOLD__V1__VALUE__KIND_INTEGER_VALUE);
    assert_true(text("0.5", FH_KIND_SYNTAX, FH_OK).double_value == 0.5);
    static const char *const strings[] = {"007", "+1", "1.", ".5", "1.2.3", "-", "", "1e", "True"};
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        assert_string_equal(text(strings[i], FH_KIND_SYNTAX, FH_OK).string_value, strings[i]);
    }
}

static void knows_types(void **state)
{
    enum fh_kind kind;
    (void)state;
    assert_true(fh_kind_of_type(FH_STR("numeric(10,2)"), &kind) && kind == FH_KIND_NUMERIC);
    assert_true(fh_kind_of_type(FH_STR("double precision"), &kind) && kind == FH_KIND_REAL);
    assert_true(fh_kind_of_type(FH_STR("timestamp with time zone"), &kind) &&
                kind == FH_KIND_STRING);
    assert_true(fh_kind_of_type(FH_STR("bytea"), &kind) && kind == FH_KIND_BYTES);
    assert_true(fh_kind_of_type(FH_STR("smallint"), &kind) && kind == FH_KIND_INTEGER);
    assert_false(fh_kind_of_type(FH_STR("money"), &kind));
}

static void converts_json(void **state)
{
    Freehold__V1__Value value;
    json_t *json = json_loads("[null,true,7,1.5,\"8\",{\"b\":[1]}]", 0, NULL);
    (void)state;
    assert_int_equal(
        fh_convert_json(json_array_get(json, 0), FH_KIND_INTEGER, &arena, &value, &error), FH_OK);
    assert_int_equal(value.kind_case, FREEHOLD__V1__VALUE__KIND_NULL_VALUE);
    assert_int_equal(
        fh_convert_json(json_array_get(json, 3), FH_KIND_NUMERIC, &arena, &value, &error), FH_OK);
    assert_string_equal(value.string_value, "1.5");
    assert_int_equal(
        fh_convert_json(json_array_get(json, 4), FH_KIND_INTEGER, &arena, &value, &error), FH_OK);
    assert_int_equal(value.integer_value, 8);
    assert_int_equal(
        fh_convert_json(json_array_get(json, 4), FH_KIND_SYNTAX, &arena, &value, &error), FH_OK);
    assert_string_equal(value.string_value, "8");
    assert_int_equal(
        fh_convert_json(json_array_get(json, 5), FH_KIND_STRING, &arena, &value, &error), FH_OK);
    assert_string_equal(value.string_value, "{\"b\":[1]}");
    json_decref(json);
}

/* -- Batches ------------------------------------------------------------------------------------
 */

static const char *key_names[] = {"id"};
static struct fh_columns columns = {.table = "t", .key = key_names, .key_count = 1};

static struct fh_batch_plan plan(void)
{
    return (struct fh_batch_plan){.table = "t", .columns = &columns, .salt = ""};
}

static enum fh_code prepare(struct fh_batch *batch, const struct fh_batch_plan *p, const char *id,
                            const char *value)
{
    const struct fh_cell cells[] = {
        {.name = FH_STR("id"), .text = fh_str_of(id), .empty = id[0] == '\0'},
        {.name = FH_STR("v"), .text = fh_str_of(value), .empty = value[0] == '\0'},
    };
    const struct fh_row row = {.line = 2, .offset = 10, .cells = cells, .count = 2};
    return fh_batch_prepare(batch, p, &row, 1, &error);
}

static void builds_writes(void **state)
{
    struct fh_batch *batch = fh_batch_create();
    struct fh_batch_plan p = plan();
    struct fh_map names;
    (void)state;
    fh_map_init(&names, 100, fh_batch_name_key);
    assert_int_equal(prepare(batch, &p, "a/b", ""), FH_OK);
    assert_int_equal(fh_batch_push(batch, &names, 10), FH_OK);
    const Freehold__V1__Record *record = batch->writes[0]->upsert;
    assert_string_equal(record->name, "tables/t/records/a%2Fb");
    assert_int_equal(record->n_fields, 1); /* the key is in the name alone */
    assert_string_equal(record->fields[0]->key, "v");
    assert_int_equal(record->fields[0]->value->kind_case, FREEHOLD__V1__VALUE__KIND_NULL_VALUE);
    assert_int_equal(prepare(batch, &p, "", "x"), FH_INVALID);
    assert_string_equal(error.field, "id");
    p.insert = true;
    assert_int_equal(prepare(batch, &p, "c", "x"), FH_OK);
    assert_int_equal(batch->rows[1].write->operation_case, FREEHOLD__V1__WRITE__OPERATION_INSERT);
    fh_batch_reset(batch, &names);
    assert_int_equal(names.count, 0);
    fh_map_close(&names);
    fh_batch_destroy(batch);
}

static void keeps_the_order_of_one_record(void **state)
{
    struct fh_batch *first = fh_batch_create();
    struct fh_batch *second = fh_batch_create();
    struct fh_batch_plan p = plan();
    struct fh_map names;
    (void)state;
    fh_map_init(&names, 100, fh_batch_name_key);
    assert_int_equal(prepare(first, &p, "a", "1"), FH_OK);
    assert_false(fh_batch_must_go(first, &names));
    assert_int_equal(fh_batch_push(first, &names, 0), FH_OK);
    assert_int_equal(prepare(first, &p, "a", "2"), FH_OK);
    assert_true(fh_batch_must_go(first, &names)); /* no two of one record in a commit */
    assert_false(first->waits);
    assert_int_equal(prepare(second, &p, "b", "1"), FH_OK);
    assert_int_equal(fh_batch_push(second, &names, 0), FH_OK);
    assert_false(second->waits);
    assert_int_equal(prepare(second, &p, "a", "2"), FH_OK);
    assert_false(fh_batch_must_go(second, &names));
    assert_int_equal(fh_batch_push(second, &names, 0), FH_OK);
    assert_true(second->waits);
    fh_batch_reset(first, &names);
    assert_int_equal(names.count, 2); /* both are the second's now */
    fh_batch_reset(second, &names);
    assert_int_equal(names.count, 0);
    fh_map_close(&names);
    fh_batch_destroy(first);
    fh_batch_destroy(second);
}

static void id_of(const struct fh_batch_plan *p, uint64_t offset, const char *value,
                  char out[FH_BATCH_REQUEST_ID_MAX])
{
    struct fh_batch *batch = fh_batch_create();
    assert_int_equal(prepare(batch, p, "a", value), FH_OK);
    batch->writes[0] = batch->rows[0].write;
    assert_int_equal(fh_batch_request_id(p, offset, batch->writes, 1, out), FH_OK);
    fh_batch_destroy(batch);
}

static void derives_ids_that_repeat(void **state)
{
    char id[FH_BATCH_REQUEST_ID_MAX];
    char other[FH_BATCH_REQUEST_ID_MAX];
    struct fh_batch_plan p = plan();
    (void)state;
    id_of(&p, 10, "1", id);
    assert_int_equal(strncmp(id, "import-", 7), 0);
    assert_int_equal(strlen(id), 47);
    assert_int_equal(strspn(id + 7, "0123456789abcdef"), 40);
    id_of(&p, 10, "1", other);
    assert_string_equal(id, other);
    id_of(&p, 11, "1", other); /* elsewhere in the file */
    assert_string_not_equal(id, other);
    id_of(&p, 10, "2", other); /* another value */
    assert_string_not_equal(id, other);
    p.insert = true;
    id_of(&p, 10, "1", other);
    assert_string_not_equal(id, other);
    p = plan();
    p.salt = "again";
    id_of(&p, 10, "1", other);
    assert_string_not_equal(id, other);
}

static void bounds_a_row(void **state)
{
    struct fh_batch *batch = fh_batch_create();
    struct fh_batch_plan p = plan();
    struct fh_map names;
    const size_t len = (1u << 20) - 1;
    char *large = fh_calloc(1, len + 1);
    (void)state;
    fh_map_init(&names, 100, fh_batch_name_key);
    memset(large, 'x', len);
    assert_int_equal(prepare(batch, &p, "a", large), FH_OK);
    assert_int_equal(fh_batch_push(batch, &names, 0), FH_OK);
    assert_int_equal(prepare(batch, &p, "b", "1"), FH_OK);
    assert_true(fh_batch_must_go(batch, &names));
    const struct fh_cell cells[] = {
        {.name = FH_STR("id"), .text = FH_STR("c")},
        {.name = FH_STR("v"), .text = {.data = large, .len = len}},
        {.name = FH_STR("w"), .text = {.data = large, .len = len}},
        {.name = FH_STR("x"), .text = {.data = large, .len = len}},
        {.name = FH_STR("y"), .text = {.data = large, .len = len}},
    };
    const struct fh_row row = {.cells = cells, .count = 5};
    assert_int_equal(fh_batch_prepare(batch, &p, &row, 1, &error), FH_INVALID);
    fh_batch_reset(batch, &names);
    fh_map_close(&names);
    fh_batch_destroy(batch);
    fh_free(large);
}

/* -- Refusals -----------------------------------------------------------------------------------
 */

static struct fh_client_status refusal(const char *field, const char *message)
{
    struct fh_client_status status;
    fh_client_status_set(&status, FH_GRPC_INVALID_ARGUMENT, message);
    if (field != NULL) {
        (void)snprintf(status.violations[0].field, FH_CLIENT_FIELD_MAX, "%s", field);
        status.violation_count = 1;
    }
    return status;
}

static void finds_the_row_in_a_refusal(void **state)
{
    struct fh_client_status status = refusal("writes[17].upsert.fields.size", "");
    (void)state;
    assert_int_equal(fh_pipeline_index_of(&status), 17);
    assert_string_equal(fh_pipeline_column_of(&status), "size");
    status = refusal("record.fields.size", "writes[3]: no");
    assert_int_equal(fh_pipeline_index_of(&status), 3);
    status = refusal("writes", "writes[3] and writes[4] name the same record");
    assert_int_equal(fh_pipeline_index_of(&status), -1);
    status = refusal("writes[500]", "");
    assert_int_equal(fh_pipeline_index_of(&status), -1);
    status = refusal("writes[-1]", "");
    assert_int_equal(fh_pipeline_index_of(&status), -1);
    status = refusal("writes[1", "");
    assert_int_equal(fh_pipeline_index_of(&status), -1);
    status = refusal(NULL, "no");
    assert_int_equal(fh_pipeline_index_of(&status), -1);
    assert_string_equal(fh_pipeline_column_of(&status), "");
}

static void knows_whose_fault_it_is(void **state)
{
    struct fh_client_status status = refusal(NULL, "");
    (void)state;
    assert_true(fh_pipeline_is_row_fault(&status));
    (void)snprintf(status.reason, FH_CLIENT_REASON_MAX, "%s", "REQUEST_ID_REUSED");
    assert_false(fh_pipeline_is_row_fault(&status));
    fh_client_status_set(&status, FH_GRPC_FAILED_PRECONDITION, "");
    (void)snprintf(status.reason, FH_CLIENT_REASON_MAX, "%s", "TENANT_SUSPENDED");
    assert_false(fh_pipeline_is_row_fault(&status));
    fh_client_status_set(&status, FH_GRPC_UNAVAILABLE, "");
    assert_false(fh_pipeline_is_row_fault(&status));
    fh_client_status_set(&status, FH_GRPC_UNAUTHENTICATED, "");
    assert_false(fh_pipeline_is_row_fault(&status));
}

static int setup(void **state)
{
    (void)state;
    fh_arena_init(&arena, 1u << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fh_arena_close(&arena);
    return fh_alloc_live() == 0 ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(converts_text_by_kind),
        TEST(converts_bytes),
        TEST(judges_by_syntax),
        TEST(knows_types),
        TEST(converts_json),
        TEST(builds_writes),
        TEST(keeps_the_order_of_one_record),
        TEST(derives_ids_that_repeat),
        TEST(bounds_a_row),
        TEST(finds_the_row_in_a_refusal),
        TEST(knows_whose_fault_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
