/* Happy path: size and token looked at, one catalog request, a token for what is left. Failures: a
 * size or token that is none, no memory. */
#include "server/handlers/operator_events.h"

#include "server/handlers/parts.h"
#include "server/handlers/values.h"

#define PAGE_SIZE_DEFAULT 100

/* Where a page ends. */
struct events_end {
    struct fh_uuid of; /* "rollouts/-" may be another one by the next page */
    uint64_t id;
};

static struct fh_page_scope scope_of(const struct fh_events_query *query)
{
    return (struct fh_page_scope){.method = query->method, .query = fh_str_of(query->name)};
}

enum fh_code fh_events_request(struct fh_admin_call *base, struct fh_events_query *query,
                               struct fh_error *error)
{
    struct fh_catalog_request *request = &base->catalog;
    const struct fh_page_scope scope = scope_of(query);
    struct events_end end = {.of = query->uuid};
    memset(request, 0, sizeof(*request));
    request->op = FH_CATALOG_EVENTS;
    enum fh_code code =
        fh_page_size_parse(query->page_size, PAGE_SIZE_DEFAULT, &request->as.events.limit, error);
    if (code == FH_OK) {
        code = fh_admin_page_open(base, &scope, query->page_token, &end, sizeof(end), error);
    }
    if (code != FH_OK) {
        return code;
    }
    query->uuid = end.of;
    request->as.events.after_id = end.id;
    const char *resource = fh_part_name(fh_call_arena(base->call), query->prefix, &query->uuid);
    if (resource == NULL) {
        return FH_NOMEM;
    }
    request->as.events.resource = fh_str_of(resource);
    return FH_OK;
}

enum fh_code fh_events_next_page(const struct fh_admin_call *base,
                                 const struct fh_events_query *query, char **out)
{
    const struct fh_page_scope scope = scope_of(query);
    const size_t count = base->catalog.as.events.count;
    if (!base->catalog.as.events.more || count == 0) {
        return FH_OK;
    }
    const struct events_end end = {.of = query->uuid,
                                   .id = base->catalog.as.events.events[count - 1].id};
    return fh_admin_page_seal(base, &scope, &end, sizeof(end), out);
}

enum fh_code fh_event_parts(const struct fh_operator_event *in, struct fh_arena *arena,
                            Google__Protobuf__Timestamp **time, char **actor, char **action,
                            char **reason, char **detail)
{
    *time = fh_timestamp_to_proto(in->at_us, arena);
    *actor = fh_part_text(arena, in->actor);
    *action = fh_part_text(arena, in->action);
    *reason = fh_part_text(arena, in->reason);
    *detail = fh_part_text(arena, in->detail);
    return *time != NULL && *actor != NULL && *action != NULL && *reason != NULL && *detail != NULL
               ? FH_OK
               : FH_NOMEM;
}
