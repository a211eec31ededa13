/* GetRecord, BatchGetRecords, ListRecords: what they answer, and what they refuse in which words.
 */
#include <stdio.h>
#include <string.h>

#include "server/handlers/record_name.h"
#include "tests/unit/server_handlers/kit.h"
#include "tests/unit/server_handlers/message.h"

#define FOREIGN_FORMAT "tenants/%s/tables/items/records/k"

static Freehold__V1__Record *create(struct kit *kit, const struct fh_principal *who,
                                    const char *name, const struct field *fields)
{
    Freehold__V1__CreateRecordRequest in = FREEHOLD__V1__CREATE_RECORD_REQUEST__INIT;
    in.record = message_record(&kit->arena, name, fields);
    return response(Freehold__V1__Record, kit,
                    kit_call(kit, &kit->data, "CreateRecord", who, &in.base));
}

static void delete_record(struct kit *kit, const char *name)
{
    Freehold__V1__DeleteRecordRequest in = FREEHOLD__V1__DELETE_RECORD_REQUEST__INIT;
    in.name = text_of(name);
    expect_code(kit_call(kit, &kit->data, "DeleteRecord", &kit->alice, &in.base), FH_OK, "");
}

static struct fh_call *get(struct kit *kit, const struct fh_principal *who, const char *name,
                           const char *mask, bool show_deleted)
{
    Freehold__V1__GetRecordRequest in = FREEHOLD__V1__GET_RECORD_REQUEST__INIT;
    in.name = text_of(name);
    in.read_mask = message_mask(&kit->arena, mask);
    in.show_deleted = show_deleted;
    return kit_call(kit, &kit->data, "GetRecord", who, &in.base);
}

static const char *tenant_text(struct kit *kit, const struct fh_principal *who)
{
    char uuid[FH_UUID_TEXT_LEN + 1];
    fh_uuid_format(&who->tenant, uuid);
    return message_text(&kit->arena, "%s", uuid);
}

static void test_get(void **state)
{
    struct kit *kit = *state;
    create(kit, &kit->alice, "tables/items/records/a%2Cb",
           FIELDS(INT("qty", 3), TEXT("price", "1")));
    const Freehold__V1__Record *record =
        response(Freehold__V1__Record, kit,
                 get(kit, &kit->alice, "tables/items/records/a%2Cb", NULL, false));
    assert_string_equal(record->name, "tables/items/records/a%2Cb");
    assert_int_equal(record->n_fields, 7);
    assert_field_text(record, "id", "a,b");
    assert_field_int(record, "qty", 3);
    assert_field_text(record, "price", "1.00");
    assert_field_null(record, "title");
    assert_int_equal(record_value(record, "flag")->bool_value, 1);
    assert_int_equal(record->create_time->seconds, KIT_NOW_US / 1000000);
    assert_null(record->delete_time);
    /* With the tenant in the name, and a mask. */
    const char *full = message_text(&kit->arena, "tenants/%s/tables/items/records/a%%2cb",
                                    tenant_text(kit, &kit->alice));
    record =
        response(Freehold__V1__Record, kit, get(kit, &kit->alice, full, "qty fields.price", false));
    assert_int_equal(record->n_fields, 2);
    assert_field_int(record, "qty", 3);
    record = response(Freehold__V1__Record, kit, get(kit, &kit->alice, full, "qty *", false));
    assert_int_equal(record->n_fields, 7);
}

static void test_get_refused(void **state)
{
    struct kit *kit = *state;
    const char *foreign = message_text(&kit->arena, FOREIGN_FORMAT, tenant_text(kit, &kit->bob));
    const char *own_only = message_text(&kit->arena, "tenants/%s", tenant_text(kit, &kit->alice));
    const char *eight_kilobytes =
        message_text(&kit->arena, "tables/items/records/%s", message_repeat(&kit->arena, 'x', 400));
    const struct {
        const char *name;
        const char *mask;
        enum fh_code code;
        const char *field;
    } rows[] = {
        {"", NULL, FH_INVALID, "name"},
        {"items/k", NULL, FH_INVALID, "name"},
        {"tables/items", NULL, FH_INVALID, "name"},
        {"tables/items/records", NULL, FH_INVALID, "name"},
        {"tables/nothing/records/k", NULL, FH_INVALID, "name"},
        {"tables/fh_fences/records/k", NULL, FH_INVALID, "name"},
        {"tables/items/records/k", NULL, FH_NOT_FOUND, "name"},
        {"tables/items/records/k,l", NULL, FH_INVALID, "name"},
        {"tables/items/records/k/l", NULL, FH_NOT_FOUND, "name"},
        {"tables/items/records/%", NULL, FH_INVALID, "name"},
        {"tables/items/records/%00", NULL, FH_INVALID, "name"},
        {"tables/items/records/%ff", NULL, FH_INVALID, "name"},
        {"tables/pairs/records/k", NULL, FH_INVALID, "name"},
        {"tables/pairs/records/k,x", NULL, FH_INVALID, "name"},
        {"tables/pairs/records/k,2147483648", NULL, FH_INVALID, "name"},
        {"tables/parts/records/", NULL, FH_INVALID, "name"},
        {"tables/items/records/k", "nothing", FH_INVALID, "read_mask"},
        {"tables/items/records/k", "tenant_id", FH_INVALID, "read_mask"},
        {foreign, NULL, FH_NOT_FOUND, "name"},
        {"tenants/x/tables/items/records/k", NULL, FH_NOT_FOUND, "name"},
        {"tenants/tenant-a/tables/items/records/k", NULL, FH_NOT_FOUND, "name"},
        {own_only, NULL, FH_INVALID, "name"},
        {eight_kilobytes, NULL, FH_NOT_FOUND, "name"},
        /* Cut between the bytes of a character no more than anywhere else. */
        {"tables/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\xc3\xa9/records/k",
         NULL, FH_INVALID, "name"},
        {"tables/items/records/k",
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\xc3\xa9", FH_INVALID,
         "read_mask"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_code(get(kit, &kit->alice, rows[i].name, rows[i].mask, false), rows[i].code,
                    rows[i].field);
    }
}

/* The same key, two tenants; and one tenant's record by the other's name. */
static void test_tenants_apart(void **state)
{
    struct kit *kit = *state;
    create(kit, &kit->alice, "tables/items/records/k", FIELDS(TEXT("title", "hers")));
    expect_code(get(kit, &kit->bob, "tables/items/records/k", NULL, true), FH_NOT_FOUND, "name");
    create(kit, &kit->bob, "tables/items/records/k", FIELDS(TEXT("title", "his")));
    const Freehold__V1__Record *record = response(
        Freehold__V1__Record, kit, get(kit, &kit->alice, "tables/items/records/k", NULL, false));
    assert_field_text(record, "title", "hers");
    const char *hers = message_text(&kit->arena, FOREIGN_FORMAT, tenant_text(kit, &kit->alice));
    expect_code(get(kit, &kit->bob, hers, NULL, false), FH_NOT_FOUND, "name");
}

static void test_deleted(void **state)
{
    struct kit *kit = *state;
    create(kit, &kit->alice, "tables/items/records/k", NO_FIELDS);
    delete_record(kit, "tables/items/records/k");
    expect_code(get(kit, &kit->alice, "tables/items/records/k", NULL, false), FH_NOT_FOUND, "name");
    const Freehold__V1__Record *record = response(
        Freehold__V1__Record, kit, get(kit, &kit->alice, "tables/items/records/k", NULL, true));
    assert_non_null(record->delete_time);
}

static struct fh_call *batch(struct kit *kit, char **names, size_t count, const char *mask,
                             bool show_deleted)
{
    Freehold__V1__BatchGetRecordsRequest in = FREEHOLD__V1__BATCH_GET_RECORDS_REQUEST__INIT;
    in.names = names;
    in.n_names = count;
    in.read_mask = message_mask(&kit->arena, mask);
    in.show_deleted = show_deleted;
    return kit_call(kit, &kit->data, "BatchGetRecords", &kit->alice, &in.base);
}

static void test_batch(void **state)
{
    struct kit *kit = *state;
    create(kit, &kit->alice, "tables/items/records/k", FIELDS(INT("qty", 1)));
    create(kit, &kit->alice, "tables/items/records/gone", NO_FIELDS);
    create(kit, &kit->alice, "tables/pairs/records/x,-7", FIELDS(TEXT("note", "n")));
    delete_record(kit, "tables/items/records/gone");
    char *names[] = {text_of("tables/pairs/records/x,-7"), text_of("tables/items/records/none"),
                     text_of("tables/items/records/k"), text_of("tables/items/records/gone"),
                     text_of("tables/items/records/k")};
    const Freehold__V1__BatchGetRecordsResponse *out =
        response(Freehold__V1__BatchGetRecordsResponse, kit,
                 batch(kit, names, 5, "note qty nothing", false));
    assert_int_equal(out->n_records, 3);
    assert_string_equal(out->records[0]->name, "tables/pairs/records/x,-7");
    assert_int_equal(out->records[0]->n_fields, 1);
    assert_field_text(out->records[0], "note", "n");
    assert_field_int(out->records[1], "qty", 1);
    assert_field_int(out->records[2], "qty", 1);
    assert_int_equal(out->n_missing, 2);
    assert_string_equal(out->missing[0], names[1]);
    assert_string_equal(out->missing[1], names[3]);
    out = response(Freehold__V1__BatchGetRecordsResponse, kit, batch(kit, names, 5, NULL, true));
    assert_int_equal(out->n_records, 4);
    assert_int_equal(out->n_missing, 1);
}

static void test_batch_refused(void **state)
{
    struct kit *kit = *state;
    static char *names[FH_GET_KEYS_MAX + 1];
    for (size_t i = 0; i < FH_GET_KEYS_MAX + 1; i++) {
        names[i] = text_of("tables/items/records/k");
    }
    expect_code(batch(kit, names, 0, NULL, false), FH_INVALID, "names");
    expect_code(batch(kit, names, FH_GET_KEYS_MAX + 1, NULL, false), FH_INVALID, "names");
    expect_code(batch(kit, names, FH_GET_KEYS_MAX, NULL, false), FH_OK, "");
    names[99] = text_of("tables/nothing/records/k");
    expect_code(batch(kit, names, FH_GET_KEYS_MAX, NULL, false), FH_INVALID, "names[99]");
    names[3] = message_text(&kit->arena, FOREIGN_FORMAT, tenant_text(kit, &kit->bob));
    expect_code(batch(kit, names, FH_GET_KEYS_MAX, NULL, false), FH_NOT_FOUND, "names[3]");
}

struct list_query {
    const char *parent;
    int32_t page_size;
    const char *token;
    bool show_deleted;
    const char *mask;
};

static struct fh_call *list(struct kit *kit, const struct fh_principal *who,
                            const struct list_query *query)
{
    Freehold__V1__ListRecordsRequest in = FREEHOLD__V1__LIST_RECORDS_REQUEST__INIT;
    in.parent = text_of(query->parent);
    in.page_size = query->page_size;
    in.page_token = text_of(query->token != NULL ? query->token : "");
    in.show_deleted = query->show_deleted;
    in.read_mask = message_mask(&kit->arena, query->mask);
    return kit_call(kit, &kit->data, "ListRecords", who, &in.base);
}

/* Every page to the end; answers how many records and how many pages. */
static size_t walk(struct kit *kit, struct list_query query, size_t *pages)
{
    size_t records = 0;
    char last[64] = "";
    for (*pages = 1;; ++*pages) {
        const Freehold__V1__ListRecordsResponse *out =
            response(Freehold__V1__ListRecordsResponse, kit, list(kit, &kit->alice, &query));
        for (size_t i = 0; i < out->n_records; i++) {
            assert_true(strcmp(last, out->records[i]->name) < 0);
            (void)snprintf(last, sizeof(last), "%s", out->records[i]->name);
        }
        records += out->n_records;
        query.token = out->next_page_token;
        if (query.token[0] == '\0') {
            return records;
        }
        assert_int_equal(out->n_records, query.page_size == 0 ? 100 : query.page_size);
    }
}

static void fill(struct kit *kit, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        create(kit, &kit->alice, message_text(&kit->arena, "tables/items/records/k%04zu", i),
               FIELDS(INT("qty", (int64_t)i)));
    }
}

static void test_list_to_the_end(void **state)
{
    struct kit *kit = *state;
    size_t pages = 0;
    struct list_query query = {.parent = "tables/items"};
    assert_int_equal(walk(kit, query, &pages), 0);
    assert_int_equal(pages, 1);
    fill(kit, 230);
    create(kit, &kit->bob, "tables/items/records/k0001x", NO_FIELDS);
    assert_int_equal(walk(kit, query, &pages), 230);
    assert_int_equal(pages, 3);
    static const int32_t sizes[] = {1, 2, 7, 115, 229, 230, 231, 1000, 2000000000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        query.page_size = sizes[i];
        assert_int_equal(walk(kit, query, &pages), 230);
        size_t size = (size_t)sizes[i];
        assert_int_equal(pages, (230 + size - 1) / size);
    }
    delete_record(kit, "tables/items/records/k0003");
    query.page_size = 10;
    assert_int_equal(walk(kit, query, &pages), 229);
    query.show_deleted = true;
    assert_int_equal(walk(kit, query, &pages), 230);
}

/* Records that come and go between pages move nothing else. */
static void test_list_while_it_changes(void **state)
{
    struct kit *kit = *state;
    struct list_query query = {.parent = "tables/items", .page_size = 2, .mask = "qty"};
    fill(kit, 4);
    const Freehold__V1__ListRecordsResponse *out =
        response(Freehold__V1__ListRecordsResponse, kit, list(kit, &kit->alice, &query));
    assert_int_equal(out->records[1]->n_fields, 1);
    query.token = out->next_page_token;
    delete_record(kit, "tables/items/records/k0001"); /* where the page ended */
    create(kit, &kit->alice, "tables/items/records/k0000a", NO_FIELDS);
    out = response(Freehold__V1__ListRecordsResponse, kit, list(kit, &kit->alice, &query));
    assert_int_equal(out->n_records, 2);
    assert_string_equal(out->records[0]->name, "tables/items/records/k0002");
    assert_string_equal(out->next_page_token, "");
}

static void test_list_by_composite_key(void **state)
{
    struct kit *kit = *state;
    static const char *const keys[] = {"a,-5", "a,10", "b,2", "b%2C,1"};
    for (size_t i = 0; i < 4; i++) {
        create(kit, &kit->alice, message_text(&kit->arena, "tables/pairs/records/%s", keys[3 - i]),
               NO_FIELDS);
    }
    struct list_query query = {.parent = "tables/pairs", .page_size = 1};
    for (size_t i = 0; i < 4; i++) {
        const Freehold__V1__ListRecordsResponse *out =
            response(Freehold__V1__ListRecordsResponse, kit, list(kit, &kit->alice, &query));
        assert_int_equal(out->n_records, 1);
        assert_string_equal(out->records[0]->name + strlen("tables/pairs/records/"), keys[i]);
        query.token = out->next_page_token;
    }
    assert_string_equal(query.token, "");
}

static void test_list_refused(void **state)
{
    struct kit *kit = *state;
    const char *foreign =
        message_text(&kit->arena, "tenants/%s/tables/items", tenant_text(kit, &kit->bob));
    const struct {
        struct list_query query;
        enum fh_code code;
        const char *field;
    } rows[] = {
        {{.parent = ""}, FH_INVALID, "parent"},
        {{.parent = "tables/"}, FH_INVALID, "parent"},
        {{.parent = "tables/items/"}, FH_INVALID, "parent"},
        {{.parent = "tables/items/records/k"}, FH_INVALID, "parent"},
        {{.parent = "tables/nothing"}, FH_INVALID, "parent"},
        {{.parent = foreign}, FH_NOT_FOUND, "parent"},
        {{.parent = "tables/items", .page_size = -1}, FH_INVALID, "page_size"},
        {{.parent = "tables/items", .mask = "nothing"}, FH_INVALID, "read_mask"},
        {{.parent = "tables/items", .token = "x"}, FH_INVALID, "page_token"},
        {{.parent = "tables/items", .token = "no token at all"}, FH_INVALID, "page_token"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_code(list(kit, &kit->alice, &rows[i].query), rows[i].code, rows[i].field);
    }
}

/* A token is good for its tenant, table and show_deleted only. */
static void test_list_tokens(void **state)
{
    struct kit *kit = *state;
    struct list_query query = {.parent = "tables/items", .page_size = 1};
    fill(kit, 3);
    for (size_t i = 0; i < 2; i++) {
        create(kit, &kit->bob, message_text(&kit->arena, "tables/items/records/k%zu", i),
               NO_FIELDS);
    }
    const Freehold__V1__ListRecordsResponse *out =
        response(Freehold__V1__ListRecordsResponse, kit, list(kit, &kit->alice, &query));
    query.token = out->next_page_token;
    expect_code(list(kit, &kit->bob, &query), FH_INVALID, "page_token");
    query.show_deleted = true;
    expect_code(list(kit, &kit->alice, &query), FH_INVALID, "page_token");
    query.show_deleted = false;
    query.parent = "tables/pairs";
    expect_code(list(kit, &kit->alice, &query), FH_INVALID, "page_token");
    query.parent =
        message_text(&kit->arena, "tenants/%s/tables/items", tenant_text(kit, &kit->alice));
    expect_code(list(kit, &kit->alice, &query), FH_OK, "");
    query.parent = "tables/items";
    query.page_size = 2; /* another size is the same list */
    expect_code(list(kit, &kit->alice, &query), FH_OK, "");
    /* A character changed, cut off, added. */
    char *token = message_text(&kit->arena, "%s", out->next_page_token);
    token[10] = token[10] == 'A' ? 'B' : 'A';
    query.token = token;
    expect_code(list(kit, &kit->alice, &query), FH_INVALID, "page_token");
    token[10] = out->next_page_token[10];
    token[strlen(token) - 4] = '\0';
    expect_code(list(kit, &kit->alice, &query), FH_INVALID, "page_token");
    query.token = message_text(&kit->arena, "%sAAAA", out->next_page_token);
    expect_code(list(kit, &kit->alice, &query), FH_INVALID, "page_token");
    query.token = message_repeat(&kit->arena, 'A', FH_PAGE_TOKEN_MAX + 1);
    expect_code(list(kit, &kit->alice, &query), FH_INVALID, "page_token");
    /* Keys rotate: the newest seals, the old one still opens, a forgotten one does not. */
    query.token = out->next_page_token;
    kit->page_keys.count = 2;
    kit->page_keys.keys[1] = kit->page_keys.keys[0];
    kit->page_keys.keys[0] = (struct fh_page_key){.id = 8, .key = {9}};
    expect_code(list(kit, &kit->alice, &query), FH_OK, "");
    kit->page_keys.count = 1;
    expect_code(list(kit, &kit->alice, &query), FH_INVALID, "page_token");
}

/* The longest keys still make names and tokens. */
static void test_long_keys(void **state)
{
    struct kit *kit = *state;
    struct fh_arena *arena = &kit->arena;
    char *name = fh_arena_alloc(arena, 8192);
    struct list_query query = {.parent = "tables/items", .page_size = 1};
    for (size_t round = 0; round < 2; round++) { /* every byte escaped: 3 for one */
        size_t len = (size_t)snprintf(name, 8192, "tables/items/records/");
        for (size_t i = 0; i < FH_KEY_TEXT_MAX - 1; i++) {
            len += (size_t)snprintf(name + len, 8192 - len, "%%20");
        }
        name[len] = "ab"[round];
        name[len + 1] = '\0';
        const Freehold__V1__Record *made = create(kit, &kit->alice, name, NO_FIELDS);
        assert_string_equal(made->name, name);
    }
    const Freehold__V1__ListRecordsResponse *out =
        response(Freehold__V1__ListRecordsResponse, kit, list(kit, &kit->alice, &query));
    query.token = out->next_page_token;
    out = response(Freehold__V1__ListRecordsResponse, kit, list(kit, &kit->alice, &query));
    assert_string_equal(out->records[0]->name, name);
    size_t len = strlen(name);
    name[len] = 'x';
    name[len + 1] = '\0';
    expect_code(get(kit, &kit->alice, name, NULL, false), FH_INVALID, "name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_get),
        KIT_TEST(test_get_refused),
        KIT_TEST(test_tenants_apart),
        KIT_TEST(test_deleted),
        KIT_TEST(test_batch),
        KIT_TEST(test_batch_refused),
        KIT_TEST(test_list_to_the_end),
        KIT_TEST(test_list_while_it_changes),
        KIT_TEST(test_list_by_composite_key),
        KIT_TEST(test_list_refused),
        KIT_TEST(test_list_tokens),
        KIT_TEST(test_long_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
