/* GetRecord, BatchGetRecords, ListRecords. Each: names and masks to a store request, rows to
 * messages. */
#include "server/handlers/data.h"
#include "server/handlers/page_token.h"
#include "server/handlers/record_name.h"
#include "server/handlers/records.h"
#include "server/handlers/refusal.h"
#include "server/handlers/tenant_call.h"
#include <stdio.h>

#include "base/codec.h"
#include "stores/image.h"

#define PAGE_SIZE_DEFAULT 100

struct get_call {
    struct fh_tenant_call base; /* first */
    struct fh_key key;
    struct fh_mask mask;
};

static void answer_get(struct fh_tenant_call *base)
{
    struct get_call *get = (struct get_call *)base;
    struct fh_row *row = base->routed.request.as.get.rows[0];
    Freehold__V1__Record *record = NULL;
    if (row == NULL) {
        struct fh_error error = FH_ERROR_INIT;
        (void)fh_error_field(&error, FH_NOT_FOUND, "name", "no such record in table %s",
                             get->key.table->name.data);
        fh_call_fail(base->call, &error);
        return;
    }
    enum fh_code code = fh_record_from_row(row, &get->mask, fh_call_arena(base->call), &record);
    if (code != FH_OK) {
        fh_call_fail_code(base->call, code);
        return;
    }
    fh_call_reply(base->call, &record->base);
}

static enum fh_code read_get(struct fh_tenant_call *base, struct fh_error *error)
{
    struct get_call *get = (struct get_call *)base;
    const Freehold__V1__GetRecordRequest *in =
        (const Freehold__V1__GetRecordRequest *)fh_call_request(base->call);
    enum fh_code code =
        fh_tenant_call_key(base, fh_str_of(in->name), "name", FH_GRANT_READ, &get->key, error);
    if (code == FH_OK) {
        code = fh_mask_parse(in->read_mask, get->key.table, "read_mask", &get->mask, error);
    }
    struct fh_request *request = &base->routed.request;
    request->op = FH_OP_GET;
    request->as.get =
        (struct fh_op_get){.keys = &get->key, .count = 1, .show_deleted = in->show_deleted != 0};
    return code;
}

void fh_data_get_record(struct fh_call *call, void *arg)
{
    static const struct fh_tenant_method method = {
        .size = sizeof(struct get_call), .read = read_get, .answer = answer_get};
    fh_tenant_call_run(call, arg, &method);
}

struct batch_call {
    struct fh_tenant_call base; /* first */
    struct fh_key *keys;
};

static enum fh_code fill_batch(struct batch_call *batch,
                               const Freehold__V1__BatchGetRecordsRequest *in,
                               Freehold__V1__BatchGetRecordsResponse *out)
{
    struct fh_arena *arena = fh_call_arena(batch->base.call);
    const struct fh_op_get *get = &batch->base.routed.request.as.get;
    out->records = FH_ARENA_ARRAY(arena, Freehold__V1__Record *, get->count);
    out->missing = FH_ARENA_ARRAY(arena, char *, get->count);
    if (out->records == NULL || out->missing == NULL) {
        return FH_NOMEM;
    }
    for (size_t i = 0; i < get->count; i++) {
        struct fh_mask mask;
        if (get->rows[i] == NULL) {
            out->missing[out->n_missing++] = in->names[i];
            continue;
        }
        enum fh_code code = fh_mask_parse_lenient(in->read_mask, get->keys[i].table, &mask);
        if (code == FH_OK) {
            code = fh_record_from_row(get->rows[i], &mask, arena, &out->records[out->n_records]);
        }
        if (code != FH_OK) {
            return code;
        }
        out->n_records++;
    }
    return FH_OK;
}

static void answer_batch(struct fh_tenant_call *base)
{
    Freehold__V1__BatchGetRecordsResponse out = FREEHOLD__V1__BATCH_GET_RECORDS_RESPONSE__INIT;
    const Freehold__V1__BatchGetRecordsRequest *in =
        (const Freehold__V1__BatchGetRecordsRequest *)fh_call_request(base->call);
    enum fh_code code = fill_batch((struct batch_call *)base, in, &out);
    if (code != FH_OK) {
        fh_call_fail_code(base->call, code);
        return;
    }
    fh_call_reply(base->call, &out.base);
}

static enum fh_code parse_batch(const Freehold__V1__BatchGetRecordsRequest *in,
                                struct batch_call *batch, struct fh_error *error)
{
    struct fh_arena *arena = fh_call_arena(batch->base.call);
    if (in->n_names == 0 || in->n_names > FH_GET_KEYS_MAX) {
        return fh_error_field(error, FH_INVALID, "names", "give 1 to %d names, not %zu",
                              FH_GET_KEYS_MAX, in->n_names);
    }
    batch->keys = FH_ARENA_ARRAY(arena, struct fh_key, in->n_names);
    if (batch->keys == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < in->n_names; i++) {
        char field[32];
        (void)snprintf(field, sizeof(field), "names[%zu]", i);
        enum fh_code code = fh_tenant_call_key(&batch->base, fh_str_of(in->names[i]), field,
                                               FH_GRANT_READ, &batch->keys[i], error);
        if (code != FH_OK) {
            return code;
        }
    }
    return FH_OK;
}

static enum fh_code read_batch(struct fh_tenant_call *base, struct fh_error *error)
{
    struct batch_call *batch = (struct batch_call *)base;
    const Freehold__V1__BatchGetRecordsRequest *in =
        (const Freehold__V1__BatchGetRecordsRequest *)fh_call_request(base->call);
    enum fh_code code = parse_batch(in, batch, error);
    struct fh_request *request = &base->routed.request;
    request->op = FH_OP_GET;
    request->as.get = (struct fh_op_get){
        .keys = batch->keys, .count = in->n_names, .show_deleted = in->show_deleted != 0};
    return code;
}

void fh_data_batch_get_records(struct fh_call *call, void *arg)
{
    static const struct fh_tenant_method method = {
        .size = sizeof(struct batch_call), .read = read_batch, .answer = answer_batch};
    fh_tenant_call_run(call, arg, &method);
}

struct list_call {
    struct fh_tenant_call base; /* first */
    const struct fh_table *table;
    struct fh_key after;
    struct fh_mask mask;
    struct fh_page_scope page_scope;
};

/* A token holds the key of the page's last record: each part with its length. */
static enum fh_code seal_key(struct list_call *list, const struct fh_row *last, char **out)
{
    struct fh_arena *arena = fh_call_arena(list->base.call);
    struct fh_key key;
    struct fh_buf payload;
    struct fh_str token;
    fh_buf_init(&payload, FH_PAGE_TOKEN_MAX);
    fh_key_of_row(last, &key);
    for (uint16_t i = 0; i < list->table->key_count; i++) {
        struct fh_buf part;
        fh_buf_init(&part, FH_PAGE_TOKEN_MAX);
        fh_value_encode(&key.values[i], &list->table->columns[list->table->key[i]], &part);
        fh_buf_add_be32(&payload, (uint32_t)part.len);
        fh_buf_add(&payload, part.data, part.len);
        if (fh_buf_code(&part) != FH_OK) {
            payload.code = fh_buf_code(&part);
        }
        fh_buf_close(&part);
    }
    enum fh_code code = fh_buf_code(&payload);
    if (code == FH_OK) {
        code = fh_page_token_seal(list->base.services->page_keys, &list->page_scope,
                                  fh_buf_str(&payload), arena, &token);
    }
    fh_buf_close(&payload);
    if (code == FH_OK) {
        *out = (char *)(uintptr_t)token.data;
    }
    return code;
}

static enum fh_code open_key(struct list_call *list, const char *token, struct fh_error *error)
{
    struct fh_str rest;
    enum fh_code code =
        fh_page_token_open(list->base.services->page_keys, &list->page_scope, fh_str_of(token),
                           fh_call_arena(list->base.call), &rest, error);
    if (code != FH_OK) {
        return code;
    }
    list->after.table = list->table;
    for (uint16_t i = 0; i < list->table->key_count; i++) {
        struct fh_str part = {0};
        if (rest.len >= 4 && fh_be32(rest.data) <= rest.len - 4) {
            part = (struct fh_str){.data = rest.data + 4, .len = fh_be32(rest.data)};
            rest.data += 4 + part.len;
            rest.len -= 4 + part.len;
        } else {
            return fh_error_field(error, FH_INVALID, "page_token", "page_token is malformed");
        }
        code = fh_value_decode(part, &list->table->columns[list->table->key[i]],
                               &list->after.values[i]);
        if (code != FH_OK) { /* sealed by us under another shape of the key */
            return fh_error_field(error, FH_INVALID, "page_token",
                                  "page_token is of an older schema; start again without it");
        }
    }
    return FH_OK;
}

static void answer_list(struct fh_tenant_call *base)
{
    struct list_call *list = (struct list_call *)base;
    const struct fh_op_list *result = &base->routed.request.as.list;
    struct fh_arena *arena = fh_call_arena(base->call);
    Freehold__V1__ListRecordsResponse out = FREEHOLD__V1__LIST_RECORDS_RESPONSE__INIT;
    enum fh_code code = FH_OK;
    out.records = FH_ARENA_ARRAY(arena, Freehold__V1__Record *, result->count);
    if (out.records == NULL) {
        code = FH_NOMEM;
    }
    for (size_t i = 0; code == FH_OK && i < result->count; i++) {
        code = fh_record_from_row(result->rows[i], &list->mask, arena, &out.records[i]);
        out.n_records = i + 1;
    }
    if (code == FH_OK && result->more && result->count > 0) {
        code = seal_key(list, result->rows[result->count - 1], &out.next_page_token);
    }
    if (code != FH_OK) {
        fh_call_fail_code(base->call, code);
        return;
    }
    fh_call_reply(base->call, &out.base);
}

static enum fh_code parse_list(const Freehold__V1__ListRecordsRequest *in, struct list_call *list,
                               struct fh_error *error)
{
    enum fh_code code = fh_tenant_call_table(&list->base, fh_str_of(in->parent), "parent",
                                             FH_GRANT_READ, &list->table, error);
    if (code != FH_OK) {
        return code;
    }
    if (in->page_size < 0) {
        return fh_error_field(error, FH_INVALID, "page_size", "page_size is negative");
    }
    code = fh_mask_parse(in->read_mask, list->table, "read_mask", &list->mask, error);
    if (code != FH_OK) {
        return code;
    }
    const char *query = fh_arena_printf(fh_call_arena(list->base.call), "%s/%d",
                                        list->table->name.data, in->show_deleted != 0);
    if (query == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    list->page_scope = (struct fh_page_scope){.tenant = list->base.principal->tenant,
                                              .method = FH_STR("ListRecords"),
                                              .query = fh_str_of(query)};
    return in->page_token[0] != '\0' ? open_key(list, in->page_token, error) : FH_OK;
}

static enum fh_code read_list(struct fh_tenant_call *base, struct fh_error *error)
{
    struct list_call *list = (struct list_call *)base;
    const Freehold__V1__ListRecordsRequest *in =
        (const Freehold__V1__ListRecordsRequest *)fh_call_request(base->call);
    enum fh_code code = parse_list(in, list, error);
    size_t limit = in->page_size == 0 ? PAGE_SIZE_DEFAULT : (size_t)in->page_size;
    struct fh_request *request = &base->routed.request;
    request->op = FH_OP_LIST;
    request->as.list = (struct fh_op_list){
        .table = list->table,
        .after = in->page_token[0] != '\0' ? &list->after : NULL,
        .limit = limit > FH_LIST_ROWS_MAX ? FH_LIST_ROWS_MAX : limit,
        .show_deleted = in->show_deleted != 0,
    };
    return code;
}

void fh_data_list_records(struct fh_call *call, void *arg)
{
    static const struct fh_tenant_method method = {
        .size = sizeof(struct list_call), .read = read_list, .answer = answer_list};
    fh_tenant_call_run(call, arg, &method);
}
