/* Homes that are at another schema version than a request was made for.
 *
 * Happy path: the store said which version its home is at; the entry remembers it, and the request
 * ends as FH_STALE_SCHEMA, to be made anew by whoever made it.
 *
 *     IN_STORE --- the version is known here --------------------------+
 *        |  \                                                          v
 *        |   +---- it is newer than all that is ----> AWAITING -----> IDLE
 *        v                                             ^  learnt,      ^
 *      ASKING -----------------------------------------+  deadline,    |
 *        the store could not say: the home is asked       cancelled    |
 *        +-------------------------------------------------------------+
 *
 * Failures: a home that is gone when it is asked, or has another fence, leads on as that answer of
 * the store would have; one that cannot be asked ends the request with that. A version that is not
 * learnt in time ends it at its deadline. Nothing was done in any of these cases.
 */
#include "router/route.h"

#include "base/assert.h"

struct question {
    struct fh_request request;
    struct fh_routed *routed;
};

static uint32_t newest(const struct fh_router *router)
{
    return router->schema != NULL ? router->schema->version : 0;
}

bool fh_stale_is_over(const struct fh_routed *routed)
{
    return routed->request.version_seen <= newest(routed->router);
}

void fh_stale_served(struct fh_routed *routed)
{
    struct fh_placement_entry *entry = routed->entry;
    const struct fh_request *request = &routed->request;
    uint32_t version = request->op == FH_OP_FENCE_READ ? request->as.fence.schema_version
                                                       : request->scope.schema->version;
    /* An answer may be older than one that came before it; homes never go back. */
    if (entry->epoch == request->scope.epoch && version > entry->schema_version) {
        entry->schema_version = version;
    }
}

static void await(struct fh_routed *routed)
{
    struct fh_router *router = routed->router;
    fh_route_move(routed, FH_ROUTE_AWAITING);
    fh_list_push_back(&router->awaiting, &routed->node);
    fh_wheel_add(&router->wheel, &routed->timer, routed->request.deadline_us);
    fh_router_want_schema(router, routed->request.version_seen);
}

/* The home is at `version`; 0: nobody knows. */
static void know(struct fh_routed *routed, uint32_t version)
{
    struct fh_placement_entry *entry = routed->entry;
    routed->request.version_seen = version;
    if (entry->epoch == routed->request.scope.epoch) {
        entry->schema_version = version;
    }
    if (routed->cancelled) {
        fh_route_finish(routed, FH_CANCELLED);
    } else if (fh_stale_is_over(routed)) {
        fh_route_finish(routed, FH_STALE_SCHEMA);
    } else if (fh_router_now_us(routed->router) >= routed->request.deadline_us) {
        fh_route_finish_late(routed);
    } else {
        await(routed);
    }
}

static void asked_cb(struct fh_request *request)
{
    const struct question *question = request->arg;
    struct fh_routed *routed = question->routed;
    const struct fh_fence *seen = &request->as.fence.seen;
    routed->attempts += routed->attempts < UINT32_MAX;
    if (routed->cancelled) {
        fh_route_finish(routed, FH_CANCELLED);
    } else if (request->code == FH_NO_TENANT) {
        fh_route_turned_away(routed, FH_NO_TENANT);
    } else if (request->code == FH_OK && seen->epoch != request->scope.epoch) {
        routed->request.epoch_seen = seen->epoch;
        routed->request.mode_seen = seen->mode;
        fh_route_turned_away(routed, FH_MOVED);
    } else if (request->code == FH_OK) {
        know(routed, request->as.fence.schema_version);
    } else {
        routed->request.error = request->error;
        fh_route_withhold_text(routed, request->code);
        fh_route_finish(routed, request->code);
    }
}

static enum fh_code ask(struct fh_routed *routed)
{
    const struct fh_request *request = &routed->request;
    struct question *question = FH_ARENA_NEW(request->arena, struct question);
    if (question == NULL) {
        return FH_NOMEM;
    }
    question->routed = routed;
    question->request = (struct fh_request){
        .op = FH_OP_FENCE_READ,
        .scope = request->scope,
        .deadline_us = request->deadline_us,
        .arena = request->arena,
        .done_cb = asked_cb,
        .arg = question,
    };
    enum fh_code code = fh_store_submit(routed->store, &question->request);
    if (code == FH_OK) {
        fh_route_move(routed, FH_ROUTE_ASKING);
    }
    return code;
}

void fh_stale_turned_away(struct fh_routed *routed)
{
    const struct fh_placement_entry *entry = routed->entry;
    const struct fh_request *request = &routed->request;
    routed->router->stats.stale_schema++;
    if (request->version_seen != 0 || routed->cancelled) {
        know(routed, request->version_seen);
        return;
    }
    /* Another of its requests may have found out meanwhile. */
    if (entry->epoch == request->scope.epoch && entry->schema_version > 0 &&
        entry->schema_version != request->scope.schema->version) {
        know(routed, entry->schema_version);
        return;
    }
    enum fh_code code = ask(routed);
    if (code != FH_OK) {
        fh_route_finish(routed, code);
    }
}

/* Not ended here: whoever sets a schema does not expect callbacks. */
void fh_stale_wake(struct fh_router *router)
{
    for (struct fh_list *node = router->awaiting.next; node != &router->awaiting;
         node = node->next) {
        struct fh_routed *routed = FH_CONTAINER_OF(node, struct fh_routed, node);
        if (fh_stale_is_over(routed)) {
            fh_wheel_remove(&router->wheel, &routed->timer);
            fh_wheel_add(&router->wheel, &routed->timer, 0);
        }
    }
}
