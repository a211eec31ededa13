#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/handlers/records.h"
#include "server/handlers/request_hash.h"
#include "server/handlers/values.h"
#include "tests/unit/server_handlers/model.h"

typedef Freehold__V1__Value value_message;
typedef Freehold__V1__Record__FieldsEntry entry_message;

static int set_up(void **state)
{
    static struct fh_arena arena;
    fh_arena_init(&arena, 4 << 20);
    *state = &arena;
    return 0;
}

static int tear_down(void **state)
{
    fh_arena_close(*state);
    return 0;
}

static value_message *text_value(struct fh_arena *arena, const char *text)
{
    value_message *value = FH_ARENA_NEW(arena, value_message);
    freehold__v1__value__init(value);
    value->kind_case = FREEHOLD__V1__VALUE__KIND_STRING_VALUE;
    value->string_value = (char *)(uintptr_t)text;
    return value;
}

static value_message *integer_value(struct fh_arena *arena, int64_t integer)
{
    value_message *value = FH_ARENA_NEW(arena, value_message);
    freehold__v1__value__init(value);
    value->kind_case = FREEHOLD__V1__VALUE__KIND_INTEGER_VALUE;
    value->integer_value = integer;
    return value;
}

static void add_field(struct fh_arena *arena, Freehold__V1__Record *record, const char *name,
                      value_message *value)
{
    if (record->fields == NULL) {
        record->fields = FH_ARENA_ARRAY(arena, entry_message *, 16);
    }
    entry_message *entry = FH_ARENA_NEW(arena, entry_message);
    freehold__v1__record__fields_entry__init(entry);
    entry->key = (char *)(uintptr_t)name;
    entry->value = value;
    record->fields[record->n_fields++] = entry;
}

static struct fh_write write_to_items(const char *key)
{
    struct fh_write write = {.op = FH_WRITE_UPDATE, .key = {.table = &item_table}};
    write.key.values[0] = (struct fh_value){.type = FH_TYPE_TEXT, .as.bytes = fh_str_of(key)};
    return write;
}

static enum fh_code assign(struct fh_arena *arena, Freehold__V1__Record *record,
                           const struct fh_mask *mask, struct fh_write *write, const char *field)
{
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code = fh_record_to_assignments(record, "record", mask, arena, write, &error);
    if (code != FH_OK) {
        assert_string_equal(error.field, field);
    }
    return code;
}

static void test_assignments_come_in_column_order(void **state)
{
    Freehold__V1__Record record = FREEHOLD__V1__RECORD__INIT;
    struct fh_write write = write_to_items("k");
    add_field(*state, &record, "price", text_value(*state, "12.5"));
    add_field(*state, &record, "small", integer_value(*state, -3));
    add_field(*state, &record, "id", text_value(*state, "k")); /* says what the name says */
    assert_int_equal(assign(*state, &record, NULL, &write, ""), FH_OK);
    assert_int_equal(write.assignment_count, 2);
    assert_int_equal(write.assignments[0].column, 2);
    assert_int_equal(write.assignments[0].value.as.integer, -3);
    assert_int_equal(write.assignments[1].column, 5);
    assert_int_equal(write.assignments[1].value.as.integer, 1250);
}

static void test_mask_makes_absent_fields_null(void **state)
{
    Freehold__V1__Record record = FREEHOLD__V1__RECORD__INIT;
    struct fh_write write = write_to_items("k");
    char *paths[] = {(char *)(uintptr_t) "big", (char *)(uintptr_t) "fields.title"};
    Google__Protobuf__FieldMask message = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
    struct fh_mask mask;
    struct fh_error error = FH_ERROR_INIT;
    message.n_paths = 2;
    message.paths = paths;
    add_field(*state, &record, "big", integer_value(*state, 9));
    add_field(*state, &record, "small", integer_value(*state, 1)); /* not in the mask */
    assert_int_equal(fh_mask_parse(&message, &item_table, "update_mask", &mask, &error), FH_OK);
    assert_int_equal(assign(*state, &record, &mask, &write, ""), FH_OK);
    assert_int_equal(write.assignment_count, 2);
    assert_int_equal(write.assignments[0].value.as.integer, 9);
    assert_int_equal(write.assignments[1].column, 6);
    assert_true(write.assignments[1].value.is_null);
}

static void test_refused_fields(void **state)
{
    value_message no_kind = FREEHOLD__V1__VALUE__INIT;
    const struct {
        const char *name;
        value_message *value;
        const char *field;
    } cases[] = {
        {"nothing", integer_value(*state, 1), "record.fields.nothing"},
        {"big", text_value(*state, "1"), "record.fields.big"},
        {"small", integer_value(*state, 32768), "record.fields.small"},
        {"title", text_value(*state, "sixsix"), "record.fields.title"},
        {"price", text_value(*state, "1.234"), "record.fields.price"},
        {"price", text_value(*state, "100000000.00"), "record.fields.price"},
        {"day", text_value(*state, "2026-02-29"), "record.fields.day"},
        {"ref", text_value(*state, "not-a-uuid"), "record.fields.ref"},
        {"doc", text_value(*state, "{\"a\":1,\"a\":2}"), "record.fields.doc"},
        {"doc", text_value(*state, "{"), "record.fields.doc"},
        {"flag", integer_value(*state, 1), "record.fields.flag"},
        {"id", text_value(*state, "another"), "record.fields.id"},
        {"big", &no_kind, "record.fields.big"},
        {"big", NULL, "record.fields.big"},
        {"tenant_id", text_value(*state, "x"), "record.fields.tenant_id"},
        {"version", integer_value(*state, 1), "record.fields.version"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        Freehold__V1__Record record = FREEHOLD__V1__RECORD__INIT;
        struct fh_write write = write_to_items("k");
        add_field(*state, &record, cases[i].name, cases[i].value);
        assert_int_equal(assign(*state, &record, NULL, &write, cases[i].field), FH_INVALID);
    }
}

static void test_the_same_field_twice(void **state)
{
    Freehold__V1__Record record = FREEHOLD__V1__RECORD__INIT;
    struct fh_write write = write_to_items("k");
    add_field(*state, &record, "big", integer_value(*state, 1));
    add_field(*state, &record, "big", integer_value(*state, 2));
    assert_int_equal(assign(*state, &record, NULL, &write, "record.fields.big"), FH_INVALID);
}

static void test_rows_to_records(void **state)
{
    struct fh_row *row = fh_row_create(&item_table, *state);
    Freehold__V1__Record *record = NULL;
    for (uint16_t i = 0; i < item_table.column_count; i++) {
        row->values[i] = (struct fh_value){.type = item_columns[i].type, .is_null = true};
    }
    row->values[0] = (struct fh_value){.type = FH_TYPE_TEXT, .as.bytes = FH_STR("a b")};
    row->values[5] = (struct fh_value){.type = FH_TYPE_NUMERIC, .as.integer = -5};
    row->version = 255;
    row->created_at_us = 16;
    row->updated_at_us = -1; /* before 1970 */
    assert_int_equal(fh_record_from_row(row, NULL, *state, &record), FH_OK);
    assert_string_equal(record->name, "tables/items/records/a%20b");
    assert_string_equal(record->etag, "ff-10");
    assert_int_equal(record->n_fields, 12);
    assert_string_equal(record->fields[5]->value->string_value, "-0.05");
    assert_int_equal(record->fields[1]->value->kind_case, FREEHOLD__V1__VALUE__KIND_NULL_VALUE);
    assert_int_equal(record->update_time->seconds, -1);
    assert_int_equal(record->update_time->nanos, 999999000);
    assert_null(record->delete_time);
}

static void test_etags(void **state)
{
    static const char *const bad[] = {"1",
                                      "-",
                                      "1-",
                                      "01-2",
                                      "g-1",
                                      "1-2 ",
                                      "FF-10",
                                      "0-1",
                                      "1-2-3",
                                      "10000000000000000-1",
                                      "8000000000000000-1"};
    struct fh_write write = write_to_items("k");
    struct fh_error error = FH_ERROR_INIT;
    (void)state;
    assert_int_equal(fh_etag_parse("", "etag", &write, &error), FH_OK);
    assert_int_equal(write.expect_version, 0);
    assert_int_equal(fh_etag_parse("ff-10", "etag", &write, &error), FH_OK);
    assert_int_equal(write.expect_version, 255);
    assert_int_equal(write.expect_created_at_us, 16);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (fh_etag_parse(bad[i], "etag", &write, &error) != FH_INVALID) {
            fail_msg("etag '%s' was taken", bad[i]);
        }
    }
}

static void hash_of(struct fh_arena *arena, const char *first, const char *second,
                    const char *method, uint8_t out[32])
{
    Freehold__V1__Record record = FREEHOLD__V1__RECORD__INIT;
    struct fh_write write = write_to_items("k");
    add_field(arena, &record, first, integer_value(arena, 1));
    add_field(arena, &record, second, integer_value(arena, 1));
    assert_int_equal(assign(arena, &record, NULL, &write, ""), FH_OK);
    assert_int_equal(fh_request_hash(method, &write, 1, out), FH_OK);
}

static void test_hash_means_the_request(void **state)
{
    uint8_t a[32];
    uint8_t b[32];
    hash_of(*state, "small", "big", "UpdateRecord", a);
    hash_of(*state, "big", "small", "UpdateRecord", b);
    assert_memory_equal(a, b, sizeof(a)); /* the order of a map's fields does not matter */
    hash_of(*state, "ratio", "small", "UpdateRecord", b);
    assert_memory_not_equal(a, b, sizeof(a));
    hash_of(*state, "big", "small", "CreateRecord", b);
    assert_memory_not_equal(a, b, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_assignments_come_in_column_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mask_makes_absent_fields_null, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_same_field_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rows_to_records, set_up, tear_down),
        cmocka_unit_test(test_etags),
        cmocka_unit_test_setup_teardown(test_hash_means_the_request, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
