/* Create, Update, Delete, Undelete, Purge: answers, refusals, replays, checks without change. */
#include <string.h>

#include "tests/unit/server_handlers/kit.h"
#include "tests/unit/server_handlers/message.h"

struct options {
    const char *mask;
    const char *etag;
    const char *request_id;
    bool validate_only;
    bool allow_missing;
};

static struct fh_call *create(struct kit *kit, const char *name, const struct field *fields,
                              struct options options)
{
    Freehold__V1__CreateRecordRequest in = FREEHOLD__V1__CREATE_RECORD_REQUEST__INIT;
    in.record = name != NULL ? message_record(&kit->arena, name, fields) : NULL;
    in.request_id = text_of(options.request_id != NULL ? options.request_id : "");
    in.validate_only = options.validate_only;
    return kit_call(kit, &kit->data, "CreateRecord", &kit->alice, &in.base);
}

static struct fh_call *update(struct kit *kit, const char *name, const struct field *fields,
                              struct options options)
{
    Freehold__V1__UpdateRecordRequest in = FREEHOLD__V1__UPDATE_RECORD_REQUEST__INIT;
    in.record = name != NULL ? message_record(&kit->arena, name, fields) : NULL;
    if (options.etag != NULL && in.record != NULL) {
        in.record->etag = text_of(options.etag);
    }
    in.update_mask = message_mask(&kit->arena, options.mask);
    in.request_id = text_of(options.request_id != NULL ? options.request_id : "");
    in.validate_only = options.validate_only;
    in.allow_missing = options.allow_missing;
    return kit_call(kit, &kit->data, "UpdateRecord", &kit->alice, &in.base);
}

/* The three messages have the same fields, at the same places. */
static struct fh_call *by_name(struct kit *kit, const char *method, const char *name,
                               struct options options)
{
    Freehold__V1__DeleteRecordRequest delete_in = FREEHOLD__V1__DELETE_RECORD_REQUEST__INIT;
    Freehold__V1__UndeleteRecordRequest undelete_in = FREEHOLD__V1__UNDELETE_RECORD_REQUEST__INIT;
    Freehold__V1__PurgeRecordRequest purge_in = FREEHOLD__V1__PURGE_RECORD_REQUEST__INIT;
    char *etag = text_of(options.etag != NULL ? options.etag : "");
    char *id = text_of(options.request_id != NULL ? options.request_id : "");
    delete_in.name = undelete_in.name = purge_in.name = text_of(name);
    delete_in.etag = undelete_in.etag = purge_in.etag = etag;
    delete_in.request_id = undelete_in.request_id = purge_in.request_id = id;
    delete_in.validate_only = options.validate_only;
    undelete_in.validate_only = options.validate_only;
    purge_in.validate_only = options.validate_only;
    const ProtobufCMessage *in = strcmp(method, "DeleteRecord") == 0     ? &delete_in.base
                                 : strcmp(method, "UndeleteRecord") == 0 ? &undelete_in.base
                                                                         : &purge_in.base;
    return kit_call(kit, &kit->data, method, &kit->alice, in);
}

static Freehold__V1__Record *get(struct kit *kit, const char *name, bool show_deleted)
{
    Freehold__V1__GetRecordRequest in = FREEHOLD__V1__GET_RECORD_REQUEST__INIT;
    in.name = text_of(name);
    in.show_deleted = show_deleted;
    struct fh_call *call = kit_call(kit, &kit->data, "GetRecord", &kit->alice, &in.base);
    if (call->code == FH_NOT_FOUND) {
        fake_call_free(call);
        return NULL;
    }
    return response(Freehold__V1__Record, kit, call);
}

#define RECORD(kit, call) response(Freehold__V1__Record, (kit), (call))
#define K "tables/items/records/k"

static void test_create(void **state)
{
    struct kit *kit = *state;
    const Freehold__V1__Record *made =
        RECORD(kit, create(kit, K, FIELDS(TEXT("id", "k"), TEXT("price", "12.5"), INT("qty", 1)),
                           (struct options){0}));
    assert_field_text(made, "price", "12.50");
    assert_int_equal(record_value(made, "flag")->bool_value, 1);
    const Freehold__V1__Record *read = get(kit, K, false);
    assert_string_equal(read->etag, made->etag);
    expect_code(create(kit, K, NO_FIELDS, (struct options){0}), FH_EXISTS, "");
    expect_code(by_name(kit, "DeleteRecord", K, (struct options){0}), FH_OK, "");
    expect_code(create(kit, K, NO_FIELDS, (struct options){0}), FH_EXISTS, "");
}

static void test_create_refused(void **state)
{
    struct kit *kit = *state;
    static const struct {
        const char *name;
        struct field fields[3];
        enum fh_code code;
        const char *field;
    } rows[] = {
        {NULL, {{0}}, FH_INVALID, "record"},
        {"", {{0}}, FH_INVALID, "record.name"},
        {"tables/items", {{0}}, FH_INVALID, "record.name"},
        {"tables/nothing/records/k", {{0}}, FH_INVALID, "record.name"},
        {"tenants/00000000-0000-7000-8000-000000000000/" K, {{0}}, FH_NOT_FOUND, "record.name"},
        {K, {INT("nothing", 1)}, FH_INVALID, "record.fields.nothing"},
        {K, {INT("tenant_id", 1)}, FH_INVALID, "record.fields.tenant_id"},
        {K, {TEXT("qty", "1")}, FH_INVALID, "record.fields.qty"},
        {K, {TEXT("id", "another")}, FH_INVALID, "record.fields.id"},
        {K, {TEXT("title", "ninechars")}, FH_INVALID, "record.fields.title"},
        {K, {TEXT("price", "1.001")}, FH_INVALID, "record.fields.price"},
        {K, {NULL_OF("flag")}, FH_CHECK_VIOLATION, "record.fields.flag"},
        {"tables/parts/records/1", {TEXT("item", "none")}, FH_REFERENCE_VIOLATION, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_code(create(kit, rows[i].name, rows[i].fields, (struct options){0}), rows[i].code,
                    rows[i].field);
    }
    assert_null(get(kit, K, true));
    expect_code(create(kit, K, FIELDS(TEXT("code", "c")), (struct options){0}), FH_OK, "");
    expect_code(create(kit, K "2", FIELDS(TEXT("code", "c")), (struct options){0}),
                FH_UNIQUE_VIOLATION, "");
}

static void test_update(void **state)
{
    struct kit *kit = *state;
    expect_code(update(kit, K, FIELDS(INT("qty", 1)), (struct options){0}), FH_NOT_FOUND, "");
    const Freehold__V1__Record *made =
        RECORD(kit, create(kit, K, FIELDS(INT("qty", 1), TEXT("title", "t")), (struct options){0}));
    const Freehold__V1__Record *second =
        RECORD(kit, update(kit, K, FIELDS(INT("qty", 2)), (struct options){.etag = made->etag}));
    assert_field_int(second, "qty", 2);
    assert_field_text(second, "title", "t");
    assert_string_not_equal(second->etag, made->etag);
    expect_code(update(kit, K, FIELDS(INT("qty", 3)), (struct options){.etag = made->etag}),
                FH_ETAG_MISMATCH, "");
    /* A mask: its fields and no others, null where the record has none. */
    const Freehold__V1__Record *third =
        RECORD(kit, update(kit, K, FIELDS(INT("qty", 9), TEXT("code", "c")),
                           (struct options){.mask = "title code"}));
    assert_field_int(third, "qty", 2);
    assert_field_null(third, "title");
    assert_field_text(third, "code", "c");
    /* Every field. */
    const Freehold__V1__Record *fourth =
        RECORD(kit, update(kit, K, FIELDS(FLAG("flag", 0)), (struct options){.mask = "*"}));
    assert_field_null(fourth, "code");
    assert_field_null(fourth, "qty");
    static const struct {
        struct field fields[2];
        struct options options;
        enum fh_code code;
        const char *field;
    } rows[] = {
        {{INT("qty", 1)}, {.mask = "nothing"}, FH_INVALID, "update_mask"},
        {{INT("qty", 1)}, {.mask = "flag"}, FH_CHECK_VIOLATION, "record.fields.flag"},
        {{INT("qty", 1)}, {.etag = "no etag"}, FH_INVALID, "record.etag"},
        {{INT("qty", 1)}, {.etag = "7fffffffffffffff-1"}, FH_ETAG_MISMATCH, ""},
        {{NULL_OF("flag")}, {0}, FH_CHECK_VIOLATION, "record.fields.flag"},
        {{TEXT("at", "yesterday")}, {0}, FH_INVALID, "record.fields.at"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_code(update(kit, K, rows[i].fields, rows[i].options), rows[i].code, rows[i].field);
    }
    expect_code(update(kit, NULL, NO_FIELDS, (struct options){0}), FH_INVALID, "record");
    assert_string_equal(get(kit, K, false)->etag, fourth->etag);
}

static void test_allow_missing(void **state)
{
    struct kit *kit = *state;
    struct options missing = {.allow_missing = true};
    expect_code(update(kit, K, FIELDS(INT("qty", 1)),
                       (struct options){.allow_missing = true, .etag = "1-1"}),
                FH_ETAG_MISMATCH, "");
    expect_code(update(kit, K, FIELDS(NULL_OF("flag")), missing), FH_CHECK_VIOLATION,
                "record.fields.flag");
    const Freehold__V1__Record *made = RECORD(kit, update(kit, K, FIELDS(INT("qty", 1)), missing));
    assert_field_int(made, "qty", 1);
    assert_int_equal(record_value(made, "flag")->bool_value, 1); /* the column's default */
    const Freehold__V1__Record *second =
        RECORD(kit, update(kit, K, FIELDS(TEXT("title", "t")), missing));
    assert_field_int(second, "qty", 1); /* live: only what is given */
    expect_code(by_name(kit, "DeleteRecord", K, (struct options){0}), FH_OK, "");
    const Freehold__V1__Record *third =
        RECORD(kit, update(kit, K, FIELDS(TEXT("code", "c")), missing));
    assert_field_null(third, "qty"); /* deleted: all anew */
    assert_null(third->delete_time);
    /* With and without it are two requests. */
    struct options with_id = {.allow_missing = true, .request_id = "id"};
    expect_code(update(kit, K, FIELDS(INT("qty", 5)), with_id), FH_OK, "");
    expect_code(update(kit, K, FIELDS(INT("qty", 5)), with_id), FH_OK, "");
    with_id.allow_missing = false;
    expect_code(update(kit, K, FIELDS(INT("qty", 5)), with_id), FH_REQUEST_ID_REUSED, "");
}

static void test_delete_undelete_purge(void **state)
{
    struct kit *kit = *state;
    static const char *const methods[] = {"DeleteRecord", "UndeleteRecord", "PurgeRecord"};
    for (size_t i = 0; i < 3; i++) {
        expect_code(by_name(kit, methods[i], K, (struct options){0}), FH_NOT_FOUND, "");
        expect_code(by_name(kit, methods[i], "tables/items", (struct options){0}), FH_INVALID,
                    "name");
        expect_code(by_name(kit, methods[i], K, (struct options){.etag = "x"}), FH_INVALID, "etag");
        expect_code(by_name(kit, methods[i], K, (struct options){.request_id = "a b"}), FH_INVALID,
                    "request_id");
    }
    const Freehold__V1__Record *made =
        RECORD(kit, create(kit, K, FIELDS(INT("qty", 4)), (struct options){0}));
    expect_code(by_name(kit, "UndeleteRecord", K, (struct options){0}), FH_EXISTS, "");
    const Freehold__V1__Record *deleted =
        RECORD(kit, by_name(kit, "DeleteRecord", K, (struct options){.etag = made->etag}));
    assert_non_null(deleted->delete_time);
    expect_code(by_name(kit, "DeleteRecord", K, (struct options){0}), FH_NOT_FOUND, "");
    expect_code(by_name(kit, "UndeleteRecord", K, (struct options){.etag = made->etag}),
                FH_ETAG_MISMATCH, "");
    const Freehold__V1__Record *back =
        RECORD(kit, by_name(kit, "UndeleteRecord", K, (struct options){.etag = deleted->etag}));
    assert_null(back->delete_time);
    assert_field_int(back, "qty", 4);
    expect_code(by_name(kit, "PurgeRecord", K, (struct options){.etag = made->etag}),
                FH_ETAG_MISMATCH, "");
    expect_code(by_name(kit, "PurgeRecord", K, (struct options){.etag = back->etag}), FH_OK, "");
    assert_null(get(kit, K, true));
}

/* The same id: the first answer again, whatever happened since. */
static void test_replays(void **state)
{
    struct kit *kit = *state;
    struct options first = {.request_id = "first"};
    const Freehold__V1__Record *made =
        RECORD(kit, create(kit, K, FIELDS(INT("qty", 1), TEXT("title", "t")), first));
    expect_code(update(kit, K, FIELDS(INT("qty", 2)), (struct options){.request_id = "second"}),
                FH_OK, "");
    const Freehold__V1__Record *again =
        RECORD(kit, create(kit, K, FIELDS(TEXT("title", "t"), INT("qty", 1)), first));
    assert_field_int(again, "qty", 1);
    assert_string_equal(again->etag, made->etag);
    expect_code(create(kit, K, FIELDS(INT("qty", 7)), first), FH_REQUEST_ID_REUSED, "");
    expect_code(by_name(kit, "PurgeRecord", K, first), FH_REQUEST_ID_REUSED, "");
    expect_code(by_name(kit, "PurgeRecord", K, (struct options){.request_id = "third"}), FH_OK, "");
    expect_code(by_name(kit, "PurgeRecord", K, (struct options){.request_id = "third"}), FH_OK, "");
    expect_code(by_name(kit, "PurgeRecord", K, (struct options){0}), FH_NOT_FOUND, "");
    again = RECORD(kit, create(kit, K, FIELDS(INT("qty", 1), TEXT("title", "t")), first));
    assert_string_equal(again->etag, made->etag);
    /* Ids are each tenant's own. */
    Freehold__V1__CreateRecordRequest in = FREEHOLD__V1__CREATE_RECORD_REQUEST__INIT;
    in.record = message_record(&kit->arena, K, FIELDS(INT("qty", 9)));
    in.request_id = text_of("first");
    const Freehold__V1__Record *his =
        RECORD(kit, kit_call(kit, &kit->data, "CreateRecord", &kit->bob, &in.base));
    assert_field_int(his, "qty", 9);
    /* As long as may be, and one more. */
    char *id = message_repeat(&kit->arena, '~', FH_REQUEST_ID_MAX);
    expect_code(create(kit, K "1", NO_FIELDS, (struct options){.request_id = id}), FH_OK, "");
    id = message_repeat(&kit->arena, '~', FH_REQUEST_ID_MAX + 1);
    expect_code(create(kit, K "2", NO_FIELDS, (struct options){.request_id = id}), FH_INVALID,
                "request_id");
}

static void test_validate_only(void **state)
{
    struct kit *kit = *state;
    struct options check = {.validate_only = true, .request_id = "id"};
    const Freehold__V1__Record *would = RECORD(kit, create(kit, K, FIELDS(INT("qty", 1)), check));
    assert_field_int(would, "qty", 1);
    assert_null(get(kit, K, true));
    expect_code(create(kit, K, FIELDS(NULL_OF("flag")), check), FH_CHECK_VIOLATION,
                "record.fields.flag");
    const Freehold__V1__Record *made =
        RECORD(kit, create(kit, K, FIELDS(INT("qty", 1)), (struct options){.request_id = "id"}));
    check.request_id = NULL;
    would = RECORD(kit, update(kit, K, FIELDS(INT("qty", 2)), check));
    assert_field_int(would, "qty", 2);
    assert_non_null(RECORD(kit, by_name(kit, "DeleteRecord", K, check))->delete_time);
    expect_code(by_name(kit, "UndeleteRecord", K, check), FH_EXISTS, "");
    expect_code(by_name(kit, "PurgeRecord", K, check), FH_OK, "");
    assert_string_equal(get(kit, K, false)->etag, made->etag);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_create),        KIT_TEST(test_create_refused),        KIT_TEST(test_update),
        KIT_TEST(test_allow_missing), KIT_TEST(test_delete_undelete_purge), KIT_TEST(test_replays),
        KIT_TEST(test_validate_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
