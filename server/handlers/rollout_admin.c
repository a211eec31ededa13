/* SchemaService's methods on rollouts: name and bounds looked at, one catalog request, its answer
 * converted. A name of the newest rollout ("rollouts/-") is looked up first where a change or a
 * list needs to know which. */
#include "server/handlers/rollout_admin.h"

#include <stdio.h>

#include "server/auth/principal.h"
#include "server/handlers/admin.h"
#include "server/handlers/follow.h"
#include "server/handlers/operator_events.h"
#include "server/handlers/refusal.h"
#include "server/handlers/rollout_messages.h"
#include "server/handlers/services.h"

#define PAGE_SIZE_DEFAULT 100

/* Of a change or a list that names its rollout. */
struct rollout_call {
    struct fh_admin_call base; /* first */
    struct fh_uuid uuid;
    enum fh_rollout_wish wish;
    const char *reason;
    fh_admin_call_answer_cb *found; /* uuid is known */
};

static void reply_rollout(struct fh_admin_call *base, const struct fh_rollout *rollout,
                          bool changed)
{
    Freehold__V1__Rollout *out = NULL;
    enum fh_code code = fh_rollout_to_proto(rollout, fh_call_arena(base->call), &out);
    fh_admin_call_reply(base, code, code == FH_OK ? &out->base : NULL, changed);
}

static void looked_up(struct fh_admin_call *base)
{
    struct rollout_call *state = (struct rollout_call *)base;
    state->uuid = base->catalog.as.rollout_get.rollout.uuid;
    state->found(base);
}

static void find(struct rollout_call *state, const char *name, fh_admin_call_answer_cb *found)
{
    struct fh_error error = FH_ERROR_INIT;
    state->found = found;
    enum fh_code code = fh_rollout_name_parse(name, &state->uuid, &error);
    if (code != FH_OK) {
        fh_call_fail_as(state->base.call, code, &error);
    } else if (!fh_uuid_is_nil(&state->uuid)) {
        found(&state->base);
    } else {
        state->base.catalog.op = FH_CATALOG_ROLLOUT_GET;
        fh_admin_call_submit(&state->base, looked_up);
    }
}

/* -- GetRollout, ListRollouts ------------------------------------------------------------------ */

static void answer_get(struct fh_admin_call *base)
{
    reply_rollout(base, &base->catalog.as.rollout_get.rollout, false);
}

void fh_rollout_get(struct fh_call *call, void *arg)
{
    const Freehold__V1__GetRolloutRequest *in =
        (const Freehold__V1__GetRolloutRequest *)fh_call_request(call);
    struct fh_error error = FH_ERROR_INIT;
    struct fh_admin_call *base = fh_admin_call_create(call, arg, sizeof(*base));
    if (base == NULL) {
        return;
    }
    base->catalog.op = FH_CATALOG_ROLLOUT_GET;
    enum fh_code code = fh_rollout_name_parse(in->name, &base->catalog.as.rollout_get.uuid, &error);
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &error);
        return;
    }
    fh_admin_call_submit(base, answer_get);
}

static struct fh_page_scope list_scope(const Freehold__V1__ListRolloutsRequest *in)
{
    return (struct fh_page_scope){.method = FH_STR("ListRollouts"),
                                  .query = in->unfinished ? FH_STR("1") : FH_STR("0")};
}

static void answer_list(struct fh_admin_call *base)
{
    const Freehold__V1__ListRolloutsRequest *in =
        (const Freehold__V1__ListRolloutsRequest *)fh_call_request(base->call);
    struct fh_arena *arena = fh_call_arena(base->call);
    Freehold__V1__ListRolloutsResponse out = FREEHOLD__V1__LIST_ROLLOUTS_RESPONSE__INIT;
    size_t count = base->catalog.as.rollout_list.count;
    const struct fh_rollout *rollouts = base->catalog.as.rollout_list.rollouts;
    out.rollouts = FH_ARENA_ARRAY(arena, Freehold__V1__Rollout *, count);
    enum fh_code code = out.rollouts != NULL ? FH_OK : FH_NOMEM;
    for (size_t i = 0; code == FH_OK && i < count; i++) {
        code = fh_rollout_to_proto(&rollouts[i], arena, &out.rollouts[i]);
        out.n_rollouts = i + 1;
    }
    if (code == FH_OK && base->catalog.as.rollout_list.more && count > 0) {
        struct fh_page_scope scope = list_scope(in);
        code = fh_admin_page_seal(base, &scope, &rollouts[count - 1].uuid, sizeof(struct fh_uuid),
                                  &out.next_page_token);
    }
    fh_admin_call_reply(base, code, &out.base, false);
}

void fh_rollout_list(struct fh_call *call, void *arg)
{
    const Freehold__V1__ListRolloutsRequest *in =
        (const Freehold__V1__ListRolloutsRequest *)fh_call_request(call);
    struct fh_error error = FH_ERROR_INIT;
    struct fh_admin_call *base = fh_admin_call_create(call, arg, sizeof(*base));
    if (base == NULL) {
        return;
    }
    struct fh_catalog_request *request = &base->catalog;
    struct fh_page_scope scope = list_scope(in);
    request->op = FH_CATALOG_ROLLOUT_LIST;
    request->as.rollout_list.unfinished = in->unfinished != 0;
    enum fh_code code = fh_page_size_parse(in->page_size, PAGE_SIZE_DEFAULT,
                                           &request->as.rollout_list.limit, &error);
    if (code == FH_OK) {
        code = fh_admin_page_open(base, &scope, in->page_token, &request->as.rollout_list.before,
                                  sizeof(struct fh_uuid), &error);
    }
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &error);
        return;
    }
    fh_admin_call_submit(base, answer_list);
}

/* -- ListRolloutHomes -------------------------------------------------------------------------- */

struct homes_end {
    struct fh_uuid rollout; /* "rollouts/-" may be another one by the next page */
    char store[FH_STORE_NAME_MAX + 1];
    char home[FH_HOME_NAME_MAX];
};

static uint32_t states_of(const Freehold__V1__ListRolloutHomesRequest *in)
{
    uint32_t states = 0;
    for (size_t i = 0; i < in->n_states; i++) {
        int state = (int)in->states[i];
        states |=
            state >= FH_ROLLOUT_HOME_PENDING && state <= FH_ROLLOUT_HOME_GONE ? 1u << state : 0;
    }
    return states;
}

static struct fh_page_scope homes_scope(const Freehold__V1__ListRolloutHomesRequest *in,
                                        struct fh_arena *arena)
{
    const char *query = fh_arena_printf(arena, "%u %s", states_of(in), in->name);
    return (struct fh_page_scope){.method = FH_STR("ListRolloutHomes"),
                                  .query = fh_str_of(query != NULL ? query : "-")};
}

static enum fh_code seal_homes(struct fh_admin_call *base,
                               const Freehold__V1__ListRolloutHomesRequest *in, char **out)
{
    const struct rollout_call *state = (const struct rollout_call *)base;
    const struct fh_rollout_home *last =
        &base->catalog.as.rollout_homes.homes[base->catalog.as.rollout_homes.count - 1];
    struct fh_page_scope scope = homes_scope(in, fh_call_arena(base->call));
    struct homes_end end;
    memset(&end, 0, sizeof(end));
    end.rollout = state->uuid;
    memcpy(end.store, last->store, sizeof(end.store));
    memcpy(end.home, last->home.name, sizeof(end.home));
    return fh_admin_page_seal(base, &scope, &end, sizeof(end), out);
}

static void answer_homes(struct fh_admin_call *base)
{
    const Freehold__V1__ListRolloutHomesRequest *in =
        (const Freehold__V1__ListRolloutHomesRequest *)fh_call_request(base->call);
    struct fh_arena *arena = fh_call_arena(base->call);
    Freehold__V1__ListRolloutHomesResponse out = FREEHOLD__V1__LIST_ROLLOUT_HOMES_RESPONSE__INIT;
    size_t count = base->catalog.as.rollout_homes.count;
    out.homes = FH_ARENA_ARRAY(arena, Freehold__V1__RolloutHome *, count);
    enum fh_code code = out.homes != NULL ? FH_OK : FH_NOMEM;
    for (size_t i = 0; code == FH_OK && i < count; i++) {
        code = fh_rollout_home_to_proto(&base->catalog.as.rollout_homes.homes[i], arena,
                                        &out.homes[i]);
        out.n_homes = i + 1;
    }
    if (code == FH_OK && base->catalog.as.rollout_homes.more && count > 0) {
        code = seal_homes(base, in, &out.next_page_token);
    }
    fh_admin_call_reply(base, code, &out.base, false);
}

static void list_homes(struct fh_admin_call *base)
{
    struct rollout_call *state = (struct rollout_call *)base;
    const Freehold__V1__ListRolloutHomesRequest *in =
        (const Freehold__V1__ListRolloutHomesRequest *)fh_call_request(base->call);
    struct fh_catalog_request *request = &base->catalog;
    struct fh_error error = FH_ERROR_INIT;
    struct fh_page_scope scope = homes_scope(in, fh_call_arena(base->call));
    struct homes_end end;
    memset(&end, 0, sizeof(end));
    memset(request, 0, sizeof(*request));
    request->op = FH_CATALOG_ROLLOUT_HOMES;
    request->as.rollout_homes.states = states_of(in);
    enum fh_code code = fh_page_size_parse(in->page_size, PAGE_SIZE_DEFAULT,
                                           &request->as.rollout_homes.limit, &error);
    if (code == FH_OK) {
        code = fh_admin_page_open(base, &scope, in->page_token, &end, sizeof(end), &error);
    }
    if (code != FH_OK) {
        fh_call_fail_as(base->call, code, &error);
        return;
    }
    if (!fh_uuid_is_nil(&end.rollout)) {
        state->uuid = end.rollout;
    }
    request->as.rollout_homes.uuid = state->uuid;
    memcpy(request->as.rollout_homes.after_store, end.store, sizeof(end.store));
    memcpy(request->as.rollout_homes.after_home, end.home, sizeof(end.home));
    fh_admin_call_submit(base, answer_homes);
}

void fh_rollout_list_homes(struct fh_call *call, void *arg)
{
    const Freehold__V1__ListRolloutHomesRequest *in =
        (const Freehold__V1__ListRolloutHomesRequest *)fh_call_request(call);
    struct rollout_call *state = fh_admin_call_create(call, arg, sizeof(*state));
    if (state != NULL) {
        find(state, in->name, list_homes);
    }
}

/* -- ListRolloutEvents ------------------------------------------------------------------------- */

struct events_call {
    struct rollout_call rollout; /* first */
    struct fh_events_query query;
};

static void answer_events(struct fh_admin_call *base)
{
    const struct events_call *state = (const struct events_call *)base;
    struct fh_arena *arena = fh_call_arena(base->call);
    Freehold__V1__ListRolloutEventsResponse out = FREEHOLD__V1__LIST_ROLLOUT_EVENTS_RESPONSE__INIT;
    const size_t count = base->catalog.as.events.count;
    out.events = FH_ARENA_ARRAY(arena, Freehold__V1__RolloutEvent *, count);
    enum fh_code code = out.events != NULL ? FH_OK : FH_NOMEM;
    for (size_t i = 0; code == FH_OK && i < count; i++) {
        code = fh_rollout_event_to_proto(&base->catalog.as.events.events[i], arena, &out.events[i]);
        out.n_events = i + 1;
    }
    if (code == FH_OK) {
        code = fh_events_next_page(base, &state->query, &out.next_page_token);
    }
    fh_admin_call_reply(base, code, &out.base, false);
}

static void list_events(struct fh_admin_call *base)
{
    struct events_call *state = (struct events_call *)base;
    const Freehold__V1__ListRolloutEventsRequest *in =
        (const Freehold__V1__ListRolloutEventsRequest *)fh_call_request(base->call);
    struct fh_error error = FH_ERROR_INIT;
    state->query = (struct fh_events_query){.method = FH_STR("ListRolloutEvents"),
                                            .prefix = "rollouts/",
                                            .name = in->name,
                                            .uuid = state->rollout.uuid,
                                            .page_size = in->page_size,
                                            .page_token = in->page_token};
    enum fh_code code = fh_events_request(base, &state->query, &error);
    if (code != FH_OK) {
        fh_call_fail_as(base->call, code, &error);
        return;
    }
    fh_admin_call_submit(base, answer_events);
}

void fh_rollout_list_events(struct fh_call *call, void *arg)
{
    const Freehold__V1__ListRolloutEventsRequest *in =
        (const Freehold__V1__ListRolloutEventsRequest *)fh_call_request(call);
    struct events_call *state = fh_admin_call_create(call, arg, sizeof(*state));
    if (state != NULL) {
        find(&state->rollout, in->name, list_events);
    }
}

/* -- WatchRollout ------------------------------------------------------------------------------ */

static enum fh_code watch_message_cb(const struct fh_catalog_request *seen, struct fh_arena *arena,
                                     ProtobufCMessage **out, bool *finished)
{
    const struct fh_rollout *rollout = &seen->as.rollout_get.rollout;
    Freehold__V1__WatchRolloutResponse *response =
        FH_ARENA_NEW(arena, Freehold__V1__WatchRolloutResponse);
    if (response == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__watch_rollout_response__init(response);
    *out = &response->base;
    *finished = fh_rollout_is_finished(rollout->phase);
    return fh_rollout_to_proto(rollout, arena, &response->rollout);
}

void fh_rollout_watch(struct fh_call *call, void *arg)
{
    const Freehold__V1__WatchRolloutRequest *in =
        (const Freehold__V1__WatchRolloutRequest *)fh_call_request(call);
    struct fh_error error = FH_ERROR_INIT;
    struct fh_uuid uuid;
    enum fh_code code = fh_rollout_name_parse(in->name, &uuid, &error);
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &error);
        return;
    }
    fh_follow_stream(arg, call, FH_FOLLOWED_ROLLOUT, &uuid, watch_message_cb);
}

/* -- PauseRollout, ResumeRollout, CancelRollout ------------------------------------------------ */

static void answer_wish(struct fh_admin_call *base)
{
    if (base->services->roller != NULL) {
        fh_roller_wake(base->services->roller);
    }
    reply_rollout(base, &base->catalog.as.rollout_wish.rollout, true);
}

static void submit_wish(struct fh_admin_call *base)
{
    struct rollout_call *state = (struct rollout_call *)base;
    struct fh_catalog_request *request = &base->catalog;
    memset(request, 0, sizeof(*request));
    request->op = FH_CATALOG_ROLLOUT_WISH;
    request->audit = fh_call_audit(base->call, state->reason);
    request->as.rollout_wish.uuid = state->uuid;
    request->as.rollout_wish.wish = state->wish;
    fh_admin_call_submit(base, answer_wish);
}

static void wish(struct fh_call *call, void *arg, const char *name, const char *reason,
                 enum fh_rollout_wish what)
{
    struct fh_error error = FH_ERROR_INIT;
    struct rollout_call *state = fh_admin_call_create(call, arg, sizeof(*state));
    if (state == NULL) {
        return;
    }
    enum fh_code code = fh_reason_check(reason, &error);
    if (code != FH_OK) {
        fh_call_fail_as(call, code, &error);
        return;
    }
    state->wish = what;
    state->reason = reason;
    find(state, name, submit_wish);
}

void fh_rollout_pause(struct fh_call *call, void *arg)
{
    const Freehold__V1__PauseRolloutRequest *in =
        (const Freehold__V1__PauseRolloutRequest *)fh_call_request(call);
    wish(call, arg, in->name, in->reason, FH_ROLLOUT_WISH_PAUSE);
}

void fh_rollout_resume(struct fh_call *call, void *arg)
{
    const Freehold__V1__ResumeRolloutRequest *in =
        (const Freehold__V1__ResumeRolloutRequest *)fh_call_request(call);
    wish(call, arg, in->name, in->reason, FH_ROLLOUT_WISH_RUN);
}

void fh_rollout_cancel(struct fh_call *call, void *arg)
{
    const Freehold__V1__CancelRolloutRequest *in =
        (const Freehold__V1__CancelRolloutRequest *)fh_call_request(call);
    wish(call, arg, in->name, in->reason, FH_ROLLOUT_WISH_CANCEL);
}
