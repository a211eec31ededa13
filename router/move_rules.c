/* Happy path: a comparison with what the caller saw, then the change.
 *
 * Failures: whoever comes too late is told FH_PRECONDITION and what is there instead. A generation
 * that is not that of both rows is a worker that was taken over, or a placement that the tenant's
 * own saga took; either way the worker has to claim again before it acts.
 */
#include "router/move_rules.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/fault_point.h"
#include "base/json.h"

static enum fh_code refuse(struct fh_catalog_request *request, const char *why)
{
    return fh_error_set(&request->error, FH_PRECONDITION, "%s", why);
}

static void touch(struct fh_move *move, int64_t now_us)
{
    move->beat++;
    move->updated_at_us = now_us;
}

enum fh_code fh_move_rule_replay(struct fh_catalog_request *request, const struct fh_move *replay)
{
    const struct fh_move *asked = &request->as.move;
    if (!fh_uuid_eq(&replay->tenant, &asked->tenant) ||
        strcmp(replay->target_store, asked->target_store) != 0 ||
        strcmp(replay->target_home.name, asked->target_home.name) != 0 ||
        replay->target_home.tier != asked->target_home.tier) {
        return fh_error_set(&request->error, FH_REQUEST_ID_REUSED,
                            "this request_id began another move");
    }
    request->as.move = *replay;
    return FH_OK;
}

enum fh_code fh_move_rule_create(struct fh_catalog_request *request, const struct fh_tenant *tenant,
                                 int64_t now_us)
{
    const struct fh_move asked = request->as.move;
    if (tenant->state != FH_TENANT_ACTIVE && tenant->state != FH_TENANT_SUSPENDED) {
        return fh_error_set(&request->error, FH_PRECONDITION,
                            "the tenant is %s; only an active or suspended one is moved",
                            fh_tenant_state_name(tenant->state));
    }
    if (strcmp(tenant->placement.store, asked.target_store) == 0 &&
        fh_home_equal(&tenant->placement.home, &asked.target_home)) {
        return fh_error_set(&request->error, FH_PRECONDITION,
                            "the tenant lives in store %s in the tier '%s' already",
                            asked.target_store, fh_tier_name(asked.target_home.tier));
    }
    request->as.move = (struct fh_move){
        .uuid = asked.uuid,
        .tenant = asked.tenant,
        .source = tenant->placement,
        .target_home = asked.target_home,
        .phase = FH_MOVE_PLANNED,
        .wish = FH_MOVE_WISH_RUN,
        .settings = asked.settings,
        .message = FH_STR(""),
        .actor = request->audit.actor,
        .reason = request->audit.reason,
        .created_at_us = now_us,
        .updated_at_us = now_us,
    };
    memcpy(request->as.move.target_store, asked.target_store, sizeof(asked.target_store));
    return FH_OK;
}

/* A worker's steps are made for the reason the move was asked for. */
static void inherit_reason(struct fh_catalog_request *request, const struct fh_move *move)
{
    if (request->audit.reason.len == 0) {
        request->audit.reason = move->reason;
    }
}

enum fh_code fh_move_rule_claim(struct fh_catalog_request *request, struct fh_move *move,
                                struct fh_placement *placement, int64_t now_us)
{
    if (fh_move_is_finished(move->phase)) {
        return fh_error_set(&request->error, FH_PRECONDITION, "the move is %s",
                            fh_move_phase_name(move->phase));
    }
    if (move->beat != request->as.move_claim.beat) {
        return refuse(request, "the move went on since its beat was seen");
    }
    if (placement->generation >= INT64_MAX) {
        return refuse(request, "the tenant's generations are used up");
    }
    if (!fh_fault_seeded("no_generation")) {
        placement->generation++;
    }
    move->generation = placement->generation;
    move->worker = request->as.move_claim.worker;
    touch(move, now_us);
    inherit_reason(request, move);
    return FH_OK;
}

static enum fh_code same_generation(struct fh_catalog_request *request, const struct fh_move *move,
                                    const struct fh_placement *placement, uint64_t generation)
{
    if (move->generation != generation || placement->generation != generation) {
        return fh_error_set(&request->error, FH_PRECONDITION,
                            "somebody else took the move or its tenant over: their generations are "
                            "%" PRIu64 " and %" PRIu64 " now, not %" PRIu64,
                            move->generation, placement->generation, generation);
    }
    return FH_OK;
}

/* A move that waits says how long a pause it expects, and other numbers that change with every
 * beat: that is progress, and would fill the audit without end. */
static bool differs_in_words(struct fh_str a, struct fh_str b)
{
    size_t i = 0;
    size_t k = 0;
    for (;;) {
        while (i < a.len && (a.data[i] == '.' || (a.data[i] >= '0' && a.data[i] <= '9'))) {
            i++;
        }
        while (k < b.len && (b.data[k] == '.' || (b.data[k] >= '0' && b.data[k] <= '9'))) {
            k++;
        }
        if (i == a.len || k == b.len) {
            return i != a.len || k != b.len;
        }
        if (a.data[i++] != b.data[k++]) {
            return true;
        }
    }
}

enum fh_code fh_move_rule_advance(struct fh_catalog_request *request, struct fh_move *move,
                                  const struct fh_placement *placement, int64_t now_us, bool *event)
{
    enum fh_move_phase from = request->as.move_advance.from;
    enum fh_move_phase to = request->as.move_advance.to;
    enum fh_code code =
        same_generation(request, move, placement, request->as.move_advance.generation);
    if (code != FH_OK) {
        return code;
    }
    if (move->phase != from) {
        return fh_error_set(&request->error, FH_PRECONDITION, "the move is %s, not %s",
                            fh_move_phase_name(move->phase), fh_move_phase_name(from));
    }
    *event = to != from || differs_in_words(move->message, request->as.move_advance.message);
    move->phase = to;
    move->progress = request->as.move_advance.progress;
    move->message = request->as.move_advance.message;
    touch(move, now_us);
    if (fh_move_is_finished(to)) {
        move->finished_at_us = now_us;
    }
    inherit_reason(request, move);
    return FH_OK;
}

enum fh_code fh_move_rule_switch(struct fh_catalog_request *request, struct fh_move *move,
                                 struct fh_placement *placement, int64_t now_us)
{
    enum fh_code code =
        same_generation(request, move, placement, request->as.move_switch.generation);
    if (code != FH_OK) {
        return code;
    }
    if (move->phase != FH_MOVE_SWITCHING) {
        return fh_error_set(&request->error, FH_PRECONDITION, "the move is %s, not %s",
                            fh_move_phase_name(move->phase), fh_move_phase_name(FH_MOVE_SWITCHING));
    }
    if (placement->epoch != request->as.move_switch.epoch || placement->epoch >= INT64_MAX) {
        return fh_error_set(&request->error, FH_PRECONDITION,
                            "the tenant's epoch is %" PRIu64 ", not %" PRIu64, placement->epoch,
                            request->as.move_switch.epoch);
    }
    memcpy(placement->store, move->target_store, sizeof(placement->store));
    placement->home = move->target_home;
    placement->epoch++;
    move->phase = FH_MOVE_SETTLED;
    touch(move, now_us);
    inherit_reason(request, move);
    return FH_OK;
}

enum fh_code fh_move_rule_wish(struct fh_catalog_request *request, struct fh_move *move,
                               int64_t now_us, bool *event)
{
    enum fh_move_wish wish = request->as.move_wish.wish;
    *event = false;
    if (fh_move_is_finished(move->phase)) {
        return fh_error_set(&request->error, FH_PRECONDITION, "the move is %s",
                            fh_move_phase_name(move->phase));
    }
    if (move->wish == wish) { /* said twice */
        return FH_OK;
    }
    if (move->wish == FH_MOVE_WISH_CANCEL) {
        return refuse(request, "the move is cancelled, which is not taken back");
    }
    if (wish != FH_MOVE_WISH_RUN && !fh_move_is_before_switch(move->phase)) {
        return fh_error_set(&request->error, FH_PRECONDITION,
                            "the move is %s: only a move before its switch is paused or cancelled",
                            fh_move_phase_name(move->phase));
    }
    move->wish = wish;
    touch(move, now_us);
    *event = true;
    return FH_OK;
}

const char *fh_move_event_action(const struct fh_catalog_request *request)
{
    switch (request->op) {
    case FH_CATALOG_MOVE_CREATE:
        return "move.create";
    case FH_CATALOG_MOVE_CLAIM:
        return "move.claim";
    case FH_CATALOG_MOVE_ADVANCE:
        return "move.advance";
    case FH_CATALOG_MOVE_SWITCH:
        return "move.switch";
    case FH_CATALOG_MOVE_WISH:
        switch (request->as.move_wish.wish) {
        case FH_MOVE_WISH_RUN:
            return "move.resume";
        case FH_MOVE_WISH_PAUSE:
            return "move.pause";
        case FH_MOVE_WISH_CANCEL:
            return "move.cancel";
        }
        return "move.wish";
    default:
        return "move";
    }
}

void fh_move_event_resource(const struct fh_uuid *move, char out[FH_MOVE_RESOURCE_SIZE])
{
    char text[FH_UUID_TEXT_LEN + 1];
    fh_uuid_format(move, text);
    (void)snprintf(out, FH_MOVE_RESOURCE_SIZE, "moves/%s", text);
}

enum fh_code fh_move_event_detail(const struct fh_move *move, struct fh_arena *arena,
                                  struct fh_str *out)
{
    char tenant[FH_UUID_TEXT_LEN + 1];
    fh_uuid_format(&move->tenant, tenant);
    json_t *detail = json_pack(
        "{s:s,s:s,s:I,s:s%,s:s,s:s,s:s,s:s}", "tenant", tenant, "phase",
        fh_move_phase_name(move->phase), "generation", (json_int_t)move->generation, "message",
        move->message.len > 0 ? move->message.data : "", move->message.len, "source_store",
        move->source.store, "source_tier", fh_tier_name(move->source.home.tier), "target_store",
        move->target_store, "target_tier", fh_tier_name(move->target_home.tier));
    return fh_json_dump(detail, arena, out);
}
