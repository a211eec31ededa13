/* Commit: operations, transforms, preconditions, bounds; which write a refusal names. */
#include <string.h>

#include "tests/unit/server_handlers/kit.h"
#include "tests/unit/server_handlers/message.h"

typedef Freehold__V1__Write write_message;
typedef Freehold__V1__Transform transform_message;

#define COMMIT_MAX (FH_COMMIT_WRITES_MAX + 1)

static write_message *write_new(struct kit *kit)
{
    write_message *write = FH_ARENA_NEW(&kit->arena, write_message);
    assert_non_null(write);
    freehold__v1__write__init(write);
    return write;
}

static write_message *put(struct kit *kit, enum fh_write_op op, const char *name,
                          const struct field *fields)
{
    write_message *write = write_new(kit);
    Freehold__V1__Record *record = message_record(&kit->arena, name, fields);
    if (op == FH_WRITE_INSERT) {
        write->operation_case = FREEHOLD__V1__WRITE__OPERATION_INSERT;
        write->insert = record;
    } else if (op == FH_WRITE_UPSERT) {
        write->operation_case = FREEHOLD__V1__WRITE__OPERATION_UPSERT;
        write->upsert = record;
    } else {
        write->operation_case = FREEHOLD__V1__WRITE__OPERATION_UPDATE;
        write->update = record;
    }
    return write;
}

static write_message *take(struct kit *kit, enum fh_write_op op, const char *name)
{
    write_message *write = write_new(kit);
    if (op == FH_WRITE_DELETE) {
        write->operation_case = FREEHOLD__V1__WRITE__OPERATION_DELETE;
        write->delete_ = text_of(name);
    } else if (op == FH_WRITE_UNDELETE) {
        write->operation_case = FREEHOLD__V1__WRITE__OPERATION_UNDELETE;
        write->undelete = text_of(name);
    } else {
        write->operation_case = FREEHOLD__V1__WRITE__OPERATION_PURGE;
        write->purge = text_of(name);
    }
    return write;
}

static write_message *with_exists(struct kit *kit, write_message *write, bool exists)
{
    write->precondition = FH_ARENA_NEW(&kit->arena, Freehold__V1__Precondition);
    freehold__v1__precondition__init(write->precondition);
    write->precondition->condition_case = FREEHOLD__V1__PRECONDITION__CONDITION_EXISTS;
    write->precondition->exists = exists;
    return write;
}

static write_message *with_etag(struct kit *kit, write_message *write, const char *etag)
{
    write->precondition = FH_ARENA_NEW(&kit->arena, Freehold__V1__Precondition);
    freehold__v1__precondition__init(write->precondition);
    write->precondition->condition_case = FREEHOLD__V1__PRECONDITION__CONDITION_ETAG;
    write->precondition->etag = text_of(etag);
    return write;
}

/* `operand` NULL: server time. */
static write_message *with_transform(struct kit *kit, write_message *write, const char *column,
                                     Freehold__V1__Transform__OperationCase operation,
                                     const struct field *operand)
{
    transform_message *transform = FH_ARENA_NEW(&kit->arena, transform_message);
    assert_non_null(transform);
    freehold__v1__transform__init(transform);
    transform->field = text_of(column);
    transform->operation_case = operation;
    if (operation == FREEHOLD__V1__TRANSFORM__OPERATION_INCREMENT) {
        transform->increment = message_value(&kit->arena, operand);
    } else if (operation == FREEHOLD__V1__TRANSFORM__OPERATION_MINIMUM) {
        transform->minimum = message_value(&kit->arena, operand);
    } else if (operation == FREEHOLD__V1__TRANSFORM__OPERATION_MAXIMUM) {
        transform->maximum = message_value(&kit->arena, operand);
    } else if (operation == FREEHOLD__V1__TRANSFORM__OPERATION_SERVER_TIME) {
        transform->server_time = 1;
    }
    if (write->transforms == NULL) {
        write->transforms = FH_ARENA_ARRAY(&kit->arena, transform_message *, 16);
    }
    write->transforms[write->n_transforms++] = transform;
    return write;
}

static struct fh_call *commit(struct kit *kit, write_message **writes, size_t count,
                              const char *request_id)
{
    Freehold__V1__CommitRequest in = FREEHOLD__V1__COMMIT_REQUEST__INIT;
    in.writes = writes;
    in.n_writes = count;
    in.request_id = text_of(request_id);
    return kit_call(kit, &kit->data, "Commit", &kit->alice, &in.base);
}

#define COMMIT(kit, ...)                            \
    commit((kit), (write_message *[]){__VA_ARGS__}, \
           sizeof((write_message *[]){__VA_ARGS__}) / sizeof(write_message *), "")
#define RESULT(kit, call) response(Freehold__V1__CommitResponse, (kit), (call))
#define A "tables/items/records/a"
#define B "tables/items/records/b"
#define C "tables/items/records/c"

static void test_all_operations(void **state)
{
    struct kit *kit = *state;
    const Freehold__V1__CommitResponse *out = RESULT(
        kit,
        COMMIT(kit, put(kit, FH_WRITE_INSERT, A, FIELDS(INT("qty", 1))),
               put(kit, FH_WRITE_UPSERT, B, FIELDS(INT("qty", 2))),
               put(kit, FH_WRITE_INSERT, C, NO_FIELDS),
               put(kit, FH_WRITE_INSERT, "tables/parts/records/1", FIELDS(TEXT("item", "b")))));
    assert_int_equal(out->n_results, 4);
    assert_string_equal(out->results[0]->record->name, A);
    assert_string_equal(out->results[3]->record->name, "tables/parts/records/1");
    assert_int_equal(out->commit_time->seconds, KIT_NOW_US / 1000000);
    assert_int_equal(out->replayed, 0);
    const char *etag = out->results[1]->record->etag;
    out = RESULT(kit, COMMIT(kit, take(kit, FH_WRITE_PURGE, "tables/parts/records/1"),
                             with_etag(kit, take(kit, FH_WRITE_DELETE, B), etag),
                             put(kit, FH_WRITE_UPDATE, A, FIELDS(TEXT("title", "t"))),
                             with_exists(kit, put(kit, FH_WRITE_UPSERT, C, NO_FIELDS), true)));
    assert_null(out->results[0]->record);
    assert_non_null(out->results[1]->record->delete_time);
    assert_field_int(out->results[2]->record, "qty", 1);
    out = RESULT(kit, COMMIT(kit, take(kit, FH_WRITE_UNDELETE, B)));
    assert_null(out->results[0]->record->delete_time);
}

static void test_transforms(void **state)
{
    struct kit *kit = *state;
    expect_code(COMMIT(kit, put(kit, FH_WRITE_INSERT, A, FIELDS(TEXT("price", "10.00")))), FH_OK,
                "");
    write_message *write = put(kit, FH_WRITE_UPDATE, A, FIELDS(TEXT("title", "t")));
    with_transform(kit, write, "qty", FREEHOLD__V1__TRANSFORM__OPERATION_INCREMENT,
                   FIELDS(INT("", 5)));
    with_transform(kit, write, "price", FREEHOLD__V1__TRANSFORM__OPERATION_MINIMUM,
                   FIELDS(TEXT("", "9.99")));
    with_transform(kit, write, "at", FREEHOLD__V1__TRANSFORM__OPERATION_SERVER_TIME, NULL);
    const Freehold__V1__CommitResponse *out = RESULT(kit, COMMIT(kit, write));
    const Freehold__V1__Record *record = out->results[0]->record;
    assert_field_int(record, "qty", 5);
    assert_field_text(record, "price", "9.99");
    assert_field_text(record, "title", "t");
    assert_int_equal(record_value(record, "at")->timestamp_value->seconds,
                     out->commit_time->seconds);
    write = put(kit, FH_WRITE_UPDATE, A, NO_FIELDS);
    with_transform(kit, write, "qty", FREEHOLD__V1__TRANSFORM__OPERATION_MAXIMUM,
                   FIELDS(INT("", 4)));
    assert_field_int(RESULT(kit, COMMIT(kit, write))->results[0]->record, "qty", 5);
    write = put(kit, FH_WRITE_UPDATE, A, NO_FIELDS);
    with_transform(kit, write, "qty", FREEHOLD__V1__TRANSFORM__OPERATION_INCREMENT,
                   FIELDS(INT("", INT64_MAX)));
    expect_code(COMMIT(kit, write), FH_RANGE, "writes[0].update.fields.qty");
}

static void test_transforms_refused(void **state)
{
    struct kit *kit = *state;
    const Freehold__V1__Transform__OperationCase increment =
        FREEHOLD__V1__TRANSFORM__OPERATION_INCREMENT;
    const Freehold__V1__Transform__OperationCase server_time =
        FREEHOLD__V1__TRANSFORM__OPERATION_SERVER_TIME;
    const struct field one = INT("", 1);
    const struct field text = TEXT("", "x");
    const struct field null = NULL_OF("");
    const struct {
        const char *column;
        Freehold__V1__Transform__OperationCase operation;
        const struct field *operand;
    } rows[] = {
        {"nothing", increment, &one}, {"id", increment, &one},
        {"title", increment, &text},  {"flag", increment, &one},
        {"qty", increment, &text},    {"qty", increment, &null},
        {"qty", server_time, NULL},   {"qty", FREEHOLD__V1__TRANSFORM__OPERATION__NOT_SET, NULL},
    };
    expect_code(COMMIT(kit, put(kit, FH_WRITE_INSERT, A, NO_FIELDS)), FH_OK, "");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        write_message *write = put(kit, FH_WRITE_UPDATE, A, NO_FIELDS);
        with_transform(kit, write, "at", server_time, NULL);
        with_transform(kit, write, rows[i].column, rows[i].operation, rows[i].operand);
        expect_code(COMMIT(kit, take(kit, FH_WRITE_DELETE, B), write), FH_INVALID,
                    "writes[1].transforms[1]");
    }
    /* The same column twice: by two transforms, by a field and a transform. */
    write_message *write = put(kit, FH_WRITE_UPDATE, A, NO_FIELDS);
    with_transform(kit, write, "qty", increment, &one);
    with_transform(kit, write, "qty", increment, &one);
    expect_code(COMMIT(kit, write), FH_INVALID, "writes[0].transforms[1]");
    write = put(kit, FH_WRITE_UPDATE, A, FIELDS(INT("qty", 1)));
    with_transform(kit, write, "qty", increment, &one);
    expect_code(COMMIT(kit, write), FH_INVALID, "writes[0].transforms[0]");
    /* With anything but an update; more than there are columns. */
    write = put(kit, FH_WRITE_UPSERT, A, NO_FIELDS);
    with_transform(kit, write, "qty", increment, &one);
    expect_code(COMMIT(kit, write), FH_INVALID, "writes[0].transforms");
    write = take(kit, FH_WRITE_DELETE, A);
    with_transform(kit, write, "qty", increment, &one);
    expect_code(COMMIT(kit, write), FH_INVALID, "writes[0].transforms");
    write = put(kit, FH_WRITE_UPDATE, A, NO_FIELDS);
    for (size_t i = 0; i < 8; i++) {
        with_transform(kit, write, "qty", increment, &one);
    }
    expect_code(COMMIT(kit, write), FH_INVALID, "writes[0].transforms");
}

static void test_preconditions(void **state)
{
    struct kit *kit = *state;
    const Freehold__V1__CommitResponse *out =
        RESULT(kit, COMMIT(kit, with_exists(kit, put(kit, FH_WRITE_UPSERT, A, NO_FIELDS), false)));
    const char *etag = out->results[0]->record->etag;
    expect_code(COMMIT(kit, with_exists(kit, put(kit, FH_WRITE_UPSERT, A, NO_FIELDS), false)),
                FH_PRECONDITION, "writes[0]");
    expect_code(COMMIT(kit, put(kit, FH_WRITE_UPSERT, C, NO_FIELDS),
                       with_exists(kit, put(kit, FH_WRITE_UPSERT, B, NO_FIELDS), true)),
                FH_PRECONDITION, "writes[1]");
    expect_code(COMMIT(kit, with_etag(kit, put(kit, FH_WRITE_UPDATE, A, NO_FIELDS), etag)), FH_OK,
                "");
    expect_code(COMMIT(kit, with_etag(kit, put(kit, FH_WRITE_UPDATE, A, NO_FIELDS), etag)),
                FH_ETAG_MISMATCH, "writes[0]");
    expect_code(COMMIT(kit, with_etag(kit, put(kit, FH_WRITE_UPDATE, A, NO_FIELDS), "x")),
                FH_INVALID, "writes[0].precondition");
    /* An etag that says nothing is no precondition, and must not pass for one. */
    expect_code(COMMIT(kit, with_etag(kit, put(kit, FH_WRITE_UPDATE, A, NO_FIELDS), "")),
                FH_INVALID, "writes[0].precondition");
    write_message *write = with_exists(kit, put(kit, FH_WRITE_UPDATE, A, NO_FIELDS), true);
    write->precondition->condition_case = FREEHOLD__V1__PRECONDITION__CONDITION__NOT_SET;
    expect_code(COMMIT(kit, write), FH_INVALID, "writes[0].precondition");
}

static void test_refused(void **state)
{
    struct kit *kit = *state;
    expect_code(commit(kit, NULL, 0, ""), FH_INVALID, "writes");
    expect_code(COMMIT(kit, write_new(kit)), FH_INVALID, "writes[0]");
    write_message *good = put(kit, FH_WRITE_INSERT, C, NO_FIELDS);
    const struct {
        write_message *write;
        enum fh_code code;
        const char *field;
    } rows[] = {
        {put(kit, FH_WRITE_INSERT, "x", NO_FIELDS), FH_INVALID, "writes[1].insert.name"},
        {put(kit, FH_WRITE_UPSERT, "tenants/x/" A, NO_FIELDS), FH_NOT_FOUND,
         "writes[1].upsert.name"},
        {put(kit, FH_WRITE_UPDATE, A, FIELDS(INT("nothing", 1))), FH_INVALID,
         "writes[1].update.fields.nothing"},
        {put(kit, FH_WRITE_UPDATE, A, FIELDS(INT("title", 1))), FH_INVALID,
         "writes[1].update.fields.title"},
        {put(kit, FH_WRITE_UPDATE, A, NO_FIELDS), FH_NOT_FOUND, "writes[1]"},
        {put(kit, FH_WRITE_INSERT, A, FIELDS(NULL_OF("flag"))), FH_CHECK_VIOLATION,
         "writes[1].insert.fields.flag"},
        {take(kit, FH_WRITE_DELETE, "x"), FH_INVALID, "writes[1].delete"},
        {take(kit, FH_WRITE_UNDELETE, ""), FH_INVALID, "writes[1].undelete"},
        {take(kit, FH_WRITE_PURGE, "tables/items"), FH_INVALID, "writes[1].purge"},
        {take(kit, FH_WRITE_PURGE, C), FH_INVALID, "writes"}, /* the same record twice */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_code(COMMIT(kit, good, rows[i].write), rows[i].code, rows[i].field);
    }
    write_message *masked = put(kit, FH_WRITE_UPDATE, C, NO_FIELDS);
    masked->update_mask = message_mask(&kit->arena, "nothing");
    expect_code(COMMIT(kit, masked), FH_INVALID, "writes[0].update_mask");
    expect_code(commit(kit, &good, 1, "\xc3\xa9"), FH_INVALID, "request_id");
    /* Nothing of all that was done. */
    expect_code(COMMIT(kit, good), FH_OK, "");
}

static void test_bounds(void **state)
{
    struct kit *kit = *state;
    static write_message *writes[COMMIT_MAX];
    for (size_t i = 0; i < COMMIT_MAX; i++) {
        writes[i] = put(kit, FH_WRITE_INSERT,
                        message_text(&kit->arena, "tables/items/records/%zu", i), NO_FIELDS);
    }
    expect_code(commit(kit, writes, COMMIT_MAX, ""), FH_INVALID, "writes");
    const Freehold__V1__CommitResponse *out =
        RESULT(kit, commit(kit, writes, FH_COMMIT_WRITES_MAX, ""));
    assert_int_equal(out->n_results, FH_COMMIT_WRITES_MAX);
    assert_string_equal(out->results[499]->record->name, "tables/items/records/499");
    /* All or none. */
    writes[0] = put(kit, FH_WRITE_UPDATE, "tables/items/records/0", FIELDS(INT("qty", 1)));
    expect_code(commit(kit, writes, 2, ""), FH_EXISTS, "writes[1]");
    out = RESULT(kit, commit(kit, writes, 1, ""));
    assert_string_equal(out->results[0]->record->etag[0] == '2' ? "2" : "", "2");
}

static void test_replayed(void **state)
{
    struct kit *kit = *state;
    write_message *both[] = {put(kit, FH_WRITE_INSERT, A, FIELDS(INT("qty", 1))),
                             put(kit, FH_WRITE_INSERT, B, NO_FIELDS)};
    const Freehold__V1__CommitResponse *first = RESULT(kit, commit(kit, both, 2, "id"));
    fh_clock_virtual_advance(&kit->clock, 5000000);
    const Freehold__V1__CommitResponse *again = RESULT(kit, commit(kit, both, 2, "id"));
    assert_int_equal(first->replayed, 0);
    assert_int_equal(again->replayed, 1);
    assert_int_equal(again->commit_time->seconds, first->commit_time->seconds);
    assert_string_equal(again->results[1]->record->etag, first->results[1]->record->etag);
    write_message *swapped[] = {both[1], both[0]};
    expect_code(commit(kit, swapped, 2, "id"), FH_REQUEST_ID_REUSED, "");
    expect_code(commit(kit, both, 1, "id"), FH_REQUEST_ID_REUSED, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_all_operations), KIT_TEST(test_transforms), KIT_TEST(test_transforms_refused),
        KIT_TEST(test_preconditions),  KIT_TEST(test_refused),    KIT_TEST(test_bounds),
        KIT_TEST(test_replayed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
