/* MoveAdminService: asks the catalog for moves; a migrator, here or elsewhere, carries them out.
 *
 * StartMove: tenant looked up -> (validate_only: plan) -> catalog row -> this process's migrator is
 * woken. Everything else is one catalog request, but for WatchMove, which follows.
 */
#include "freehold/v1/move_admin.pb-c.h"

#include <stdio.h>

#include "server/auth/principal.h"
#include "server/handlers/admin.h"
#include "server/handlers/follow.h"
#include "server/handlers/move_messages.h"
#include "server/handlers/operator_events.h"
#include "server/handlers/refusal.h"
#include "server/handlers/services.h"

#define PAGE_SIZE_DEFAULT 100

/* StartMove's */
struct move_call {
    struct fh_admin_call base; /* first */
    struct fh_audit_context audit;
    struct fh_move move; /* what is wanted */
};

static void reply_move(struct fh_admin_call *base, const struct fh_move *move, bool changed)
{
    Freehold__V1__Move *out = NULL;
    enum fh_code code = fh_move_to_proto(move, fh_call_arena(base->call), &out);
    fh_admin_call_reply(base, code, code == FH_OK ? &out->base : NULL, changed);
}

/* Into as.get. */
static enum fh_code tenant_from_proto(const char *name, struct fh_catalog_request *request,
                                      struct fh_error *error)
{
    enum fh_code code =
        fh_tenant_name_parse(name, &request->as.get.uuid, &request->as.get.slug, error);
    return code == FH_OK ? FH_OK
                         : fh_error_field(error, code, "tenant",
                                          "tenant must be tenants/{uuid} or tenants/{slug}");
}

/* -- StartMove -------------------------------------------------------------------------------- */

static void answer_start(struct fh_admin_call *base)
{
    Freehold__V1__StartMoveResponse out = FREEHOLD__V1__START_MOVE_RESPONSE__INIT;
    out.result_case = FREEHOLD__V1__START_MOVE_RESPONSE__RESULT_MOVE;
    if (base->services->migrator != NULL) {
        fh_migrator_wake(base->services->migrator);
    }
    enum fh_code code =
        fh_move_to_proto(&base->catalog.as.move, fh_call_arena(base->call), &out.move);
    fh_admin_call_reply(base, code, &out.base, true);
}

static void planned_cb(enum fh_code code, const struct fh_error *error,
                       const struct fh_move_plan *plan, void *arg)
{
    struct move_call *state = arg;
    struct fh_call *call = state->base.call;
    Freehold__V1__StartMoveResponse out = FREEHOLD__V1__START_MOVE_RESPONSE__INIT;
    out.result_case = FREEHOLD__V1__START_MOVE_RESPONSE__RESULT_PLAN;
    if (code == FH_OK) {
        code = fh_move_plan_to_proto(plan, fh_call_arena(call), &out.plan);
    }
    if (code != FH_OK) {
        struct fh_error failure = error != NULL ? *error : (struct fh_error)FH_ERROR_INIT;
        fh_call_fail_as(call, code, &failure);
        return;
    }
    fh_call_reply(call, &out.base);
}

static void plan(struct move_call *state)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_migrator *migrator = state->base.services->migrator;
    enum fh_code code =
        migrator != NULL
            ? fh_migrator_plan(migrator, &state->move, fh_call_deadline_us(state->base.call),
                               planned_cb, state, &error)
            : fh_error_set(&error, FH_PRECONDITION,
                           "this server runs no moves (moves_max is 0), so it cannot plan one; ask "
                           "one that does");
    if (code != FH_OK) {
        fh_call_fail_as(state->base.call, code, &error);
    }
}

static void tenant_found(struct fh_admin_call *base)
{
    struct move_call *state = (struct move_call *)base;
    const Freehold__V1__StartMoveRequest *in =
        (const Freehold__V1__StartMoveRequest *)fh_call_request(base->call);
    state->move.tenant = base->catalog.as.get.tenant.uuid;
    fh_home_of(state->move.target_home.tier, &state->move.tenant, &state->move.target_home);
    if (in->validate_only) {
        plan(state);
        return;
    }
    state->move.uuid = fh_uuid_v7(fh_clock_realtime_us(base->services->env->clock));
    struct fh_catalog_request *request = &base->catalog;
    memset(request, 0, sizeof(*request));
    request->op = FH_CATALOG_MOVE_CREATE;
    request->audit = state->audit;
    request->audit.request_id = fh_str_of(in->request_id);
    request->as.move = state->move;
    fh_admin_call_submit(base, answer_start);
}

static enum fh_code start_from_proto(const Freehold__V1__StartMoveRequest *in,
                                     const struct fh_services *services, struct fh_move *move,
                                     struct fh_error *error)
{
    struct fh_str store;
    enum fh_code code = fh_store_name_parse(in->target_store, "target_store", &store, error);
    if (code == FH_OK && fh_router_store(services->router, store) == NULL) {
        code = fh_error_field(error, FH_INVALID, "target_store", "no store '%.*s'; see ListStores",
                              FH_STR_ARG(store));
    }
    if (code == FH_OK) {
        memcpy(move->target_store, store.data, store.len);
        code =
            fh_tier_from_proto((int)in->target_tier, "target_tier", &move->target_home.tier, error);
    }
    if (code == FH_OK) {
        code = fh_store_suits(services, fh_router_store(services->router, store),
                              move->target_home.tier, "target_tier", in->region, error);
    }
    if (code == FH_OK) {
        code = fh_move_settings_from_proto(in->settings, &move->settings, error);
    }
    if (code == FH_OK && strlen(in->request_id) > FH_REQUEST_ID_MAX) {
        code = fh_error_field(error, FH_INVALID, "request_id",
                              "request_id is longer than %d characters", FH_REQUEST_ID_MAX);
    }
    return code == FH_OK ? fh_reason_check(in->reason, error) : code;
}

static void start_move(struct fh_call *call, void *arg)
{
    const Freehold__V1__StartMoveRequest *in =
        (const Freehold__V1__StartMoveRequest *)fh_call_request(call);
    struct fh_error error = FH_ERROR_INIT;
    struct move_call *state = fh_admin_call_create(call, arg, sizeof(*state));
    if (state == NULL) {
        return;
    }
    struct fh_catalog_request *request = &state->base.catalog;
    enum fh_code code = start_from_proto(in, state->base.services, &state->move, &error);
    if (code == FH_OK) {
        code = tenant_from_proto(in->tenant, request, &error);
    }
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &error);
        return;
    }
    state->audit = fh_call_audit(call, in->reason);
    request->op = FH_CATALOG_TENANT_GET;
    fh_admin_call_submit(&state->base, tenant_found);
}

/* -- GetMove, ListMoves ----------------------------------------------------------------------- */

static void answer_get(struct fh_admin_call *base)
{
    reply_move(base, &base->catalog.as.move_get.move, false);
}

static void get_move(struct fh_call *call, void *arg)
{
    const Freehold__V1__GetMoveRequest *in =
        (const Freehold__V1__GetMoveRequest *)fh_call_request(call);
    struct fh_error error = FH_ERROR_INIT;
    struct fh_admin_call *base = fh_admin_call_create(call, arg, sizeof(*base));
    if (base == NULL) {
        return;
    }
    enum fh_code code = fh_move_name_parse(in->name, &base->catalog.as.move_get.uuid, &error);
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &error);
        return;
    }
    base->catalog.op = FH_CATALOG_MOVE_GET;
    fh_admin_call_submit(base, answer_get);
}

static struct fh_page_scope list_scope(const Freehold__V1__ListMovesRequest *in,
                                       struct fh_arena *arena)
{
    const char *query = fh_arena_printf(arena, "%d %s", in->unfinished ? 1 : 0, in->tenant);
    return (struct fh_page_scope){.method = FH_STR("ListMoves"),
                                  .query = fh_str_of(query != NULL ? query : "-")};
}

static void answer_list(struct fh_admin_call *base)
{
    const Freehold__V1__ListMovesRequest *in =
        (const Freehold__V1__ListMovesRequest *)fh_call_request(base->call);
    struct fh_arena *arena = fh_call_arena(base->call);
    Freehold__V1__ListMovesResponse out = FREEHOLD__V1__LIST_MOVES_RESPONSE__INIT;
    size_t count = base->catalog.as.move_list.count;
    const struct fh_move *moves = base->catalog.as.move_list.moves;
    out.moves = FH_ARENA_ARRAY(arena, Freehold__V1__Move *, count);
    enum fh_code code = out.moves != NULL ? FH_OK : FH_NOMEM;
    for (size_t i = 0; code == FH_OK && i < count; i++) {
        code = fh_move_to_proto(&moves[i], arena, &out.moves[i]);
        out.n_moves = i + 1;
    }
    if (code == FH_OK && base->catalog.as.move_list.more && count > 0) {
        struct fh_page_scope scope = list_scope(in, arena);
        code = fh_admin_page_seal(base, &scope, &moves[count - 1].uuid, sizeof(struct fh_uuid),
                                  &out.next_page_token);
    }
    fh_admin_call_reply(base, code, &out.base, false);
}

static enum fh_code list_request(struct fh_admin_call *base,
                                 const Freehold__V1__ListMovesRequest *in, struct fh_error *error)
{
    struct fh_catalog_request *request = &base->catalog;
    struct fh_page_scope scope = list_scope(in, fh_call_arena(base->call));
    enum fh_code code =
        fh_page_size_parse(in->page_size, PAGE_SIZE_DEFAULT, &request->as.move_list.limit, error);
    if (code == FH_OK) {
        code = fh_admin_page_open(base, &scope, in->page_token, &request->as.move_list.before,
                                  sizeof(struct fh_uuid), error);
    }
    request->as.move_list.unfinished = in->unfinished;
    return code;
}

static void list_tenant_found(struct fh_admin_call *base)
{
    struct fh_error error = FH_ERROR_INIT;
    const Freehold__V1__ListMovesRequest *in =
        (const Freehold__V1__ListMovesRequest *)fh_call_request(base->call);
    struct fh_uuid tenant = base->catalog.as.get.tenant.uuid;
    memset(&base->catalog, 0, sizeof(base->catalog));
    base->catalog.op = FH_CATALOG_MOVE_LIST;
    base->catalog.as.move_list.tenant = tenant;
    enum fh_code code = list_request(base, in, &error);
    if (code != FH_OK) {
        fh_call_fail_as(base->call, code, &error);
        return;
    }
    fh_admin_call_submit(base, answer_list);
}

static void list_moves(struct fh_call *call, void *arg)
{
    const Freehold__V1__ListMovesRequest *in =
        (const Freehold__V1__ListMovesRequest *)fh_call_request(call);
    struct fh_error error = FH_ERROR_INIT;
    struct fh_admin_call *base = fh_admin_call_create(call, arg, sizeof(*base));
    enum fh_code code = FH_OK;
    if (base == NULL) {
        return;
    }
    if (in->tenant[0] != '\0') {
        base->catalog.op = FH_CATALOG_TENANT_GET;
        code = tenant_from_proto(in->tenant, &base->catalog, &error);
    } else {
        base->catalog.op = FH_CATALOG_MOVE_LIST;
        code = list_request(base, in, &error);
    }
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &error);
        return;
    }
    fh_admin_call_submit(base, in->tenant[0] != '\0' ? list_tenant_found : answer_list);
}

/* -- PauseMove, ResumeMove, CancelMove --------------------------------------------------------- */

static void answer_wish(struct fh_admin_call *base)
{
    if (base->services->migrator != NULL) {
        fh_migrator_wake(base->services->migrator);
    }
    reply_move(base, &base->catalog.as.move_wish.move, true);
}

static void wish(struct fh_call *call, void *arg, const char *name, const char *reason,
                 enum fh_move_wish what)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_admin_call *base = fh_admin_call_create(call, arg, sizeof(*base));
    if (base == NULL) {
        return;
    }
    struct fh_catalog_request *request = &base->catalog;
    enum fh_code code = fh_move_name_parse(name, &request->as.move_wish.uuid, &error);
    if (code == FH_OK) {
        code = fh_reason_check(reason, &error);
    }
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &error);
        return;
    }
    request->op = FH_CATALOG_MOVE_WISH;
    request->audit = fh_call_audit(call, reason);
    request->as.move_wish.wish = what;
    fh_admin_call_submit(base, answer_wish);
}

static void pause_move(struct fh_call *call, void *arg)
{
    const Freehold__V1__PauseMoveRequest *in =
        (const Freehold__V1__PauseMoveRequest *)fh_call_request(call);
    wish(call, arg, in->name, in->reason, FH_MOVE_WISH_PAUSE);
}

static void resume_move(struct fh_call *call, void *arg)
{
    const Freehold__V1__ResumeMoveRequest *in =
        (const Freehold__V1__ResumeMoveRequest *)fh_call_request(call);
    wish(call, arg, in->name, in->reason, FH_MOVE_WISH_RUN);
}

static void cancel_move(struct fh_call *call, void *arg)
{
    const Freehold__V1__CancelMoveRequest *in =
        (const Freehold__V1__CancelMoveRequest *)fh_call_request(call);
    wish(call, arg, in->name, in->reason, FH_MOVE_WISH_CANCEL);
}

/* -- WatchMove --------------------------------------------------------------------------------- */

static enum fh_code watch_message_cb(const struct fh_catalog_request *seen, struct fh_arena *arena,
                                     ProtobufCMessage **out, bool *finished)
{
    const struct fh_move *move = &seen->as.move_get.move;
    Freehold__V1__WatchMoveResponse *response =
        FH_ARENA_NEW(arena, Freehold__V1__WatchMoveResponse);
    if (response == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__watch_move_response__init(response);
    *out = &response->base;
    *finished = fh_move_is_finished(move->phase);
    return fh_move_to_proto(move, arena, &response->move);
}

static void watch_move(struct fh_call *call, void *arg)
{
    const Freehold__V1__WatchMoveRequest *in =
        (const Freehold__V1__WatchMoveRequest *)fh_call_request(call);
    struct fh_error error = FH_ERROR_INIT;
    struct fh_uuid uuid;
    enum fh_code code = fh_move_name_parse(in->name, &uuid, &error);
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &error);
        return;
    }
    fh_follow_stream(arg, call, FH_FOLLOWED_MOVE, &uuid, watch_message_cb);
}

/* -- ListMoveEvents ---------------------------------------------------------------------------- */

struct events_call {
    struct fh_admin_call base; /* first */
    struct fh_events_query query;
};

static void answer_events(struct fh_admin_call *base)
{
    const struct events_call *state = (const struct events_call *)base;
    struct fh_arena *arena = fh_call_arena(base->call);
    Freehold__V1__ListMoveEventsResponse out = FREEHOLD__V1__LIST_MOVE_EVENTS_RESPONSE__INIT;
    const size_t count = base->catalog.as.events.count;
    out.events = FH_ARENA_ARRAY(arena, Freehold__V1__MoveEvent *, count);
    enum fh_code code = out.events != NULL ? FH_OK : FH_NOMEM;
    for (size_t i = 0; code == FH_OK && i < count; i++) {
        code = fh_move_event_to_proto(&base->catalog.as.events.events[i], arena, &out.events[i]);
        out.n_events = i + 1;
    }
    if (code == FH_OK) {
        code = fh_events_next_page(base, &state->query, &out.next_page_token);
    }
    fh_admin_call_reply(base, code, &out.base, false);
}

static void list_move_events(struct fh_call *call, void *arg)
{
    const Freehold__V1__ListMoveEventsRequest *in =
        (const Freehold__V1__ListMoveEventsRequest *)fh_call_request(call);
    struct fh_error error = FH_ERROR_INIT;
    struct events_call *state = fh_admin_call_create(call, arg, sizeof(*state));
    if (state == NULL) {
        return;
    }
    state->query = (struct fh_events_query){.method = FH_STR("ListMoveEvents"),
                                            .prefix = "moves/",
                                            .name = in->name,
                                            .page_size = in->page_size,
                                            .page_token = in->page_token};
    enum fh_code code = fh_move_name_parse(in->name, &state->query.uuid, &error);
    if (code == FH_OK) {
        code = fh_events_request(&state->base, &state->query, &error);
    }
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &error);
        return;
    }
    fh_admin_call_submit(&state->base, answer_events);
}

static const struct fh_rpc_method methods[] = {
    {"StartMove", FH_RPC_UNARY, FH_ACCESS_OPERATOR, start_move},
    {"GetMove", FH_RPC_UNARY, FH_ACCESS_OPERATOR, get_move},
    {"ListMoves", FH_RPC_UNARY, FH_ACCESS_OPERATOR, list_moves},
    {"WatchMove", FH_RPC_SERVER_STREAM, FH_ACCESS_OPERATOR, watch_move},
    {"PauseMove", FH_RPC_UNARY, FH_ACCESS_OPERATOR, pause_move},
    {"ResumeMove", FH_RPC_UNARY, FH_ACCESS_OPERATOR, resume_move},
    {"CancelMove", FH_RPC_UNARY, FH_ACCESS_OPERATOR, cancel_move},
    {"ListMoveEvents", FH_RPC_UNARY, FH_ACCESS_OPERATOR, list_move_events},
};

struct fh_rpc_service fh_move_admin_service(struct fh_services *services)
{
    return (struct fh_rpc_service){
        .descriptor = &freehold__v1__move_admin_service__descriptor,
        .methods = methods,
        .method_count = sizeof(methods) / sizeof(methods[0]),
        .arg = services,
    };
}
