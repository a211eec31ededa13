/* AuditService: a tenant's own commit records, newest first. */
#include "freehold/v1/audit.pb-c.h"

#include <inttypes.h>

#include "base/codec.h"
#include "server/handlers/page_token.h"
#include "server/handlers/record_name.h"
#include "server/handlers/records.h"
#include "server/handlers/refusal.h"
#include "server/handlers/services.h"
#include "server/handlers/tenant_call.h"
#include "server/handlers/values.h"

#define PAGE_SIZE_DEFAULT 50
#define TOKEN_PAYLOAD_LEN 16 /* epoch and seq, big-endian */

static const Freehold__V1__Change__Operation operations[] = {
    [FH_WRITE_INSERT] = FREEHOLD__V1__CHANGE__OPERATION__OPERATION_INSERT,
    [FH_WRITE_UPSERT] = FREEHOLD__V1__CHANGE__OPERATION__OPERATION_UPSERT,
    [FH_WRITE_UPDATE] = FREEHOLD__V1__CHANGE__OPERATION__OPERATION_UPDATE,
    [FH_WRITE_DELETE] = FREEHOLD__V1__CHANGE__OPERATION__OPERATION_DELETE,
    [FH_WRITE_UNDELETE] = FREEHOLD__V1__CHANGE__OPERATION__OPERATION_UNDELETE,
    [FH_WRITE_PURGE] = FREEHOLD__V1__CHANGE__OPERATION__OPERATION_PURGE,
};

static enum fh_code change_to_proto(const struct fh_change *in, struct fh_arena *arena,
                                    Freehold__V1__Change **out)
{
    enum fh_code code = FH_OK;
    Freehold__V1__Change *change = FH_ARENA_NEW(arena, Freehold__V1__Change);
    if (change == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__change__init(change);
    change->operation = operations[in->op];
    change->record_name = fh_record_name_text(&in->key, arena);
    if (change->record_name == NULL) {
        return FH_NOMEM;
    }
    if (in->before != NULL) {
        code = fh_record_from_row(in->before, NULL, arena, &change->before);
    }
    if (code == FH_OK && in->after != NULL) {
        code = fh_record_from_row(in->after, NULL, arena, &change->after);
    }
    *out = change;
    return code;
}

static enum fh_code event_to_proto(const struct fh_commit_record *in, struct fh_arena *arena,
                                   Freehold__V1__Event **out)
{
    Freehold__V1__Event *event = FH_ARENA_NEW(arena, Freehold__V1__Event);
    if (event == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__event__init(event);
    event->name = fh_arena_printf(arena, "events/%" PRIu64 "-%" PRIu64, in->epoch, in->seq);
    event->time = fh_timestamp_to_proto(in->at_us, arena);
    event->actor = fh_arena_copy(arena, in->actor.data, in->actor.len);
    event->address = fh_arena_copy(arena, in->address.data, in->address.len);
    event->request_id = fh_arena_copy(arena, in->request_id.data, in->request_id.len);
    event->schema_version = in->schema_version;
    event->changes = FH_ARENA_ARRAY(arena, Freehold__V1__Change *, in->change_count);
    if (event->name == NULL || event->time == NULL || event->actor == NULL ||
        event->address == NULL || event->request_id == NULL || event->changes == NULL) {
        return FH_NOMEM;
    }
    for (size_t i = 0; i < in->change_count; i++) {
        enum fh_code code = change_to_proto(&in->changes[i], arena, &event->changes[i]);
        if (code != FH_OK) {
            return code;
        }
    }
    event->n_changes = in->change_count;
    *out = event;
    return FH_OK;
}

static struct fh_page_scope page_scope(const struct fh_tenant_call *base)
{
    return (struct fh_page_scope){.tenant = base->principal->tenant,
                                  .method = FH_STR("ListEvents")};
}

static enum fh_code seal_position(const struct fh_tenant_call *base,
                                  const struct fh_commit_record *last, char **out)
{
    char bytes[TOKEN_PAYLOAD_LEN + 1];
    struct fh_buf payload;
    struct fh_str token;
    struct fh_page_scope scope = page_scope(base);
    fh_buf_init(&payload, sizeof(bytes));
    fh_buf_add_be64(&payload, last->epoch);
    fh_buf_add_be64(&payload, last->seq);
    enum fh_code code = fh_buf_code(&payload);
    if (code == FH_OK) {
        code = fh_page_token_seal(base->services->page_keys, &scope, fh_buf_str(&payload),
                                  fh_call_arena(base->call), &token);
    }
    fh_buf_close(&payload);
    if (code == FH_OK) {
        *out = (char *)(uintptr_t)token.data;
    }
    return code;
}

static void answer_events(struct fh_tenant_call *base)
{
    const struct fh_op_events *result = &base->routed.request.as.events;
    struct fh_arena *arena = fh_call_arena(base->call);
    Freehold__V1__ListEventsResponse out = FREEHOLD__V1__LIST_EVENTS_RESPONSE__INIT;
    enum fh_code code = FH_OK;
    out.events = FH_ARENA_ARRAY(arena, Freehold__V1__Event *, result->count);
    if (out.events == NULL) {
        code = FH_NOMEM;
    }
    for (size_t i = 0; code == FH_OK && i < result->count; i++) {
        code = event_to_proto(&result->records[i], arena, &out.events[i]);
        out.n_events = i + 1;
    }
    if (code == FH_OK && result->more && result->count > 0) {
        code = seal_position(base, &result->records[result->count - 1], &out.next_page_token);
    }
    if (code != FH_OK) {
        fh_call_fail_code(base->call, code);
        return;
    }
    fh_call_reply(base->call, &out.base);
}

static enum fh_code open_position(const struct fh_tenant_call *base, const char *token,
                                  struct fh_op_events *events, struct fh_error *error)
{
    struct fh_str payload;
    struct fh_page_scope scope = page_scope(base);
    enum fh_code code = fh_page_token_open(base->services->page_keys, &scope, fh_str_of(token),
                                           fh_call_arena(base->call), &payload, error);
    if (code != FH_OK) {
        return code;
    }
    if (payload.len != TOKEN_PAYLOAD_LEN) {
        return fh_error_field(error, FH_INVALID, "page_token", "page_token is malformed");
    }
    events->before_epoch = fh_be64(payload.data);
    events->before_seq = fh_be64(payload.data + 8);
    return FH_OK;
}

static enum fh_code read_events(struct fh_tenant_call *base, struct fh_error *error)
{
    const Freehold__V1__ListEventsRequest *in =
        (const Freehold__V1__ListEventsRequest *)fh_call_request(base->call);
    size_t limit = in->page_size == 0 ? PAGE_SIZE_DEFAULT : (size_t)in->page_size;
    struct fh_request *request = &base->routed.request;
    request->op = FH_OP_EVENTS;
    request->as.events = (struct fh_op_events){
        .limit = limit > FH_EVENTS_MAX ? FH_EVENTS_MAX : limit,
    };
    enum fh_code code = fh_grants_check_all(&base->principal->grants, error);
    if (code == FH_OK && in->page_size < 0) {
        code = fh_error_field(error, FH_INVALID, "page_size", "page_size is negative");
    }
    if (code == FH_OK && in->page_token[0] != '\0') {
        code = open_position(base, in->page_token, &request->as.events, error);
    }
    return code;
}

static void list_events(struct fh_call *call, void *arg)
{
    static const struct fh_tenant_method method = {
        .size = sizeof(struct fh_tenant_call), .read = read_events, .answer = answer_events};
    fh_tenant_call_run(call, arg, &method);
}

static const struct fh_rpc_method methods[] = {
    {"ListEvents", FH_RPC_UNARY, FH_ACCESS_ADMIN, list_events},
};

struct fh_rpc_service fh_audit_service(struct fh_services *services)
{
    return (struct fh_rpc_service){
        .descriptor = &freehold__v1__audit_service__descriptor,
        .methods = methods,
        .method_count = sizeof(methods) / sizeof(methods[0]),
        .arg = services,
    };
}
