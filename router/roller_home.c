/*                         there already
 *   ASK VERSION (store) ------------------------------------------------> done
 *        | behind
 *        v          a home of its own           no move in the way
 *   ASK TENANT (catalog) ------> ASK MOVES (catalog) ------> CHANGE (store) -> done
 *
 * A shared home has no tenant to ask for. The moves are asked for behind the placement: a move that
 * begins later raises the generation that the change requires, and one of the two is refused.
 *
 * What the walk has learnt of a whole page need not be asked again: with a fence to require, the
 * catalog is left alone; and the version, too, by the worker that is the first to change homes, for
 * a change of a home that is there already changes nothing. A home that was refused is put off as
 * ever, and everything asked then; before it fails, its tenant is asked for, who may be gone.
 *
 * Failures: what may be otherwise in a while (a lock not had, a store away, a move, another
 * generation) makes the home wait; what will not (rows that break the new schema, a change that
 * took all of its time OVERDUE_MAX times) makes it fail.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/fault_point.h"
#include "router/roller_internal.h"

#define ASK_DEADLINE_US (10 * (int64_t)1000000)
#define CHANGE_DEADLINE_US (600 * (int64_t)1000000)
#define OVERDUE_MAX 3
#define OVERDUE_TEXT "the change did not end within 600 s"
#define BACK_OFF_US_MIN (100 * (int64_t)1000)
#define BACK_OFF_US_MAX (5 * (int64_t)1000000)
#define SHARED_WAIT_US (60 * (int64_t)1000000)
#define MOVES_MAX 1000

static void end(struct fh_roller_slot *slot, enum fh_rollout_home_state state, const char *why)
{
    struct fh_roller *roller = slot->roller;
    slot->home.state = state;
    (void)snprintf(slot->message, sizeof(slot->message), "%s", why);
    fh_roller_note(roller, &slot->home, slot->message);
    FH_ASSERT(roller->busy > 0);
    roller->busy--;
    slot->busy = false;
    fh_arena_reset(&slot->arena);
    fh_roller_pump(roller);
}

static void done(struct fh_roller_slot *slot)
{
    slot->roller->last_done_us = fh_roller_now_us(slot->roller);
    if (!fh_home_is_dedicated(&slot->home.home)) {
        fh_schemas_note_store(slot->roller->schemas, slot->store, slot->home.version);
    } else if (slot->fence.epoch != 0) {
        fh_roller_remember(slot->roller, &slot->home.tenant, &slot->fence);
    }
    end(slot, FH_ROLLOUT_HOME_DONE, "");
}

static void wait(struct fh_roller_slot *slot, const char *why)
{
    int64_t after_us = BACK_OFF_US_MIN;
    for (uint32_t i = 0; i < slot->home.tries && after_us < BACK_OFF_US_MAX; i++) {
        after_us *= 2;
    }
    slot->roller->walk.behind++;
    if (slot->since_us == 0) {
        slot->since_us = fh_roller_now_us(slot->roller);
    }
    fh_roller_put_off(slot->roller, slot, after_us < BACK_OFF_US_MAX ? after_us : BACK_OFF_US_MAX);
    end(slot, FH_ROLLOUT_HOME_WAITING, why);
}

static void fail(struct fh_roller_slot *slot, const char *why)
{
    struct fh_roller *roller = slot->roller;
    roller->failed++;
    roller->stats.failed++;
    roller->walk.behind++;
    FH_LOG(roller->env->log, WARN, "rollout.home_failed",
           FH_KV_UUID("rollout", roller->rollout.uuid), FH_KV_TEXT("store", slot->home.store),
           FH_KV_TEXT("home", slot->home.home.name), FH_KV_TEXT("why", why));
    end(slot, FH_ROLLOUT_HOME_FAILED, why);
}

static const char *why_of(enum fh_code code, const struct fh_error *error)
{
    return error->code == code && error->message[0] != '\0' ? error->message : fh_code_text(code);
}

/* May be otherwise in a while. */
static bool is_passing(enum fh_code code)
{
    switch (code) {
    case FH_CANCELLED:
    case FH_OUTCOME_UNKNOWN:
    case FH_DEADLINE:
    case FH_NO_TENANT:
    case FH_FULL:
    case FH_NOMEM:
    case FH_DISK_FULL:
    case FH_CONFLICT:
    case FH_UNAVAILABLE:
    case FH_MOVED:
    case FH_STALE_SCHEMA:
    case FH_HELD:
    case FH_SHUTTING_DOWN:
        return true;
    default:
        return false;
    }
}

/* It was begun, not only waited in the store for its turn, and came no version further in all the
 * time it had, as far as is known: the first change of a home may not know where it began. */
static bool is_overdue(const struct fh_roller_slot *slot, const struct fh_request *request)
{
    uint32_t seen = request->as.schema.version_seen;
    return (request->code == FH_DEADLINE || request->code == FH_OUTCOME_UNKNOWN) &&
           fh_roller_now_us(slot->roller) >= request->deadline_us && seen > 0 &&
           (slot->home.version == 0 || seen <= slot->home.version);
}

static void refuse(struct fh_roller_slot *slot, const char *why);

static void changed_cb(struct fh_request *request)
{
    struct fh_roller_slot *slot = request->arg;
    struct fh_roller *roller = slot->roller;
    bool overdue = is_overdue(slot, request);
    slot->applying = false;
    if (request->as.schema.version_seen > 0) {
        slot->home.version = request->as.schema.version_seen;
    }
    if (request->code == FH_OK) {
        fh_fault_point("rollout.applied");
        slot->home.version = roller->rollout.version;
        roller->stats.applied++;
        roller->walk.behind++;
        done(slot);
    } else if (request->code == FH_PRECONDITION &&
               slot->home.version >=
                   roller->rollout.version) { /* ahead, as another worker left it */
        done(slot);
    } else if (request->code == FH_MOVED) {
        wait(slot, "its tenant was taken by a move meanwhile");
    } else if (overdue) {
        slot->overdue++;
        wait(slot, OVERDUE_TEXT); /* it may have ended behind that: its version is asked for */
    } else if (is_passing(request->code)) {
        roller->stats.lock_timeouts += request->code == FH_CONFLICT;
        wait(slot, why_of(request->code, &request->error));
    } else {
        refuse(slot, why_of(request->code, &request->error));
    }
}

static void change(struct fh_roller_slot *slot)
{
    struct fh_roller *roller = slot->roller;
    if (roller->state != FH_ROLLER_WORKING) {
        wait(slot, "the rollout was stopped");
        return;
    }
    if (slot->overdue >= OVERDUE_MAX) {
        fail(slot, OVERDUE_TEXT ", three times; make the home smaller or the change lighter, or "
                                "try when the store has less to do");
        return;
    }
    fh_fault_point("rollout.apply");
    slot->home.tries++;
    slot->applying = true;
    slot->request = (struct fh_request){
        .op = FH_OP_SCHEMA_APPLY,
        .scope = {.tenant = slot->home.tenant, .epoch = slot->fence.epoch, .home = slot->home.home},
        .deadline_us = fh_roller_now_us(roller) + CHANGE_DEADLINE_US,
        .arena = &slot->arena,
        .done_cb = changed_cb,
        .arg = slot,
    };
    slot->request.as.schema.target = roller->target;
    slot->request.as.schema.lock_timeout_ms = roller->rollout.settings.lock_timeout_ms;
    slot->request.as.schema.guard = (struct fh_fence_guard){
        .generation = slot->fence.generation,
        .modes = FH_FENCE_BIT(FH_FENCE_OPEN) | FH_FENCE_BIT(FH_FENCE_FROZEN) |
                 FH_FENCE_BIT(FH_FENCE_CLOSED),
    };
    enum fh_code code = fh_store_submit(slot->store, &slot->request);
    if (code != FH_OK) {
        slot->applying = false;
        if (is_passing(code)) {
            wait(slot, why_of(code, &slot->request.error));
        } else {
            fail(slot, why_of(code, &slot->request.error));
        }
    }
}

static bool is_shared_of(const struct fh_roller_slot *slot, const char *store,
                         const struct fh_home *home)
{
    return fh_home_equal(home, &slot->home.home) && strcmp(store, slot->home.store) == 0;
}

/* Whether it copies, or what it has copied is not yet, or no longer, the tenant's only truth. */
static bool is_in_the_way(const struct fh_roller_slot *slot, const struct fh_move *move)
{
    if (fh_home_is_dedicated(&slot->home.home)) {
        return move->phase >= FH_MOVE_COPYING && move->phase <= FH_MOVE_SETTLED;
    }
    return move->phase >= FH_MOVE_COPYING && move->phase <= FH_MOVE_SWITCHING &&
           (is_shared_of(slot, move->source.store, &move->source.home) ||
            is_shared_of(slot, move->target_store, &move->target_home));
}

static void moves_cb(struct fh_catalog_request *request)
{
    struct fh_roller_slot *slot = request->arg;
    struct fh_roller *roller = slot->roller;
    bool in_the_way = false;
    if (request->code != FH_OK) {
        wait(slot, why_of(request->code, &request->error));
        return;
    }
    for (size_t i = 0; i < request->as.move_list.count && !in_the_way; i++) {
        in_the_way = is_in_the_way(slot, &request->as.move_list.moves[i]);
    }
    if (in_the_way && fh_home_is_dedicated(&slot->home.home)) {
        wait(slot, "its tenant is being moved");
    } else if (in_the_way && (slot->since_us == 0 ||
                              fh_roller_now_us(roller) - slot->since_us < SHARED_WAIT_US)) {
        wait(slot, "tenants are being moved into it or out of it");
    } else {
        change(slot);
    }
}

static void ask_catalog(struct fh_roller_slot *slot, struct fh_catalog_request *request,
                        void (*done_cb)(struct fh_catalog_request *request))
{
    struct fh_roller *roller = slot->roller;
    request->deadline_us = fh_roller_now_us(roller) + FH_ROLLER_CATALOG_DEADLINE_US;
    request->arena = &slot->arena;
    request->done_cb = done_cb;
    request->arg = slot;
    enum fh_code code = fh_catalog_submit(roller->catalog, request);
    if (code != FH_OK) {
        wait(slot, why_of(code, &request->error));
    }
}

static void ask_moves(struct fh_roller_slot *slot)
{
    fh_arena_reset(&slot->arena);
    slot->catalog = (struct fh_catalog_request){.op = FH_CATALOG_MOVE_LIST};
    slot->catalog.as.move_list.tenant = slot->home.tenant;
    slot->catalog.as.move_list.unfinished = true;
    slot->catalog.as.move_list.limit = fh_home_is_dedicated(&slot->home.home) ? 1 : MOVES_MAX;
    ask_catalog(slot, &slot->catalog, moves_cb);
}

static void tenant_cb(struct fh_catalog_request *request)
{
    struct fh_roller_slot *slot = request->arg;
    const struct fh_tenant *tenant = &request->as.get.tenant;
    if (request->code == FH_NO_TENANT) {
        end(slot, FH_ROLLOUT_HOME_GONE, "");
        return;
    }
    if (request->code != FH_OK) {
        wait(slot, why_of(request->code, &request->error));
        return;
    }
    if (tenant->state == FH_TENANT_DELETING || tenant->state == FH_TENANT_DELETED) {
        end(slot, FH_ROLLOUT_HOME_GONE, "");
        return;
    }
    if (strcmp(tenant->placement.store, slot->home.store) != 0 ||
        !fh_home_equal(&tenant->placement.home, &slot->home.home)) {
        slot->roller->walk
            .behind++; /* where it lives now is another walk's, so there must be one */
        end(slot, FH_ROLLOUT_HOME_GONE, "");
        return;
    }
    if (slot->refused) {
        char why[FH_ROLLER_MESSAGE_SIZE];
        memcpy(why, slot->message, sizeof(why));
        fail(slot, why);
        return;
    }
    if (slot->home.version == 0) {
        wait(slot, tenant->state == FH_TENANT_PROVISIONING ? "the home is being made"
                                                           : "the home is not there");
        return;
    }
    slot->fence.epoch = tenant->placement.epoch;
    slot->fence.generation = tenant->placement.generation;
    ask_moves(slot);
}

static void ask_tenant(struct fh_roller_slot *slot)
{
    fh_arena_reset(&slot->arena);
    slot->catalog = (struct fh_catalog_request){.op = FH_CATALOG_TENANT_GET};
    slot->catalog.as.get.uuid = slot->home.tenant;
    ask_catalog(slot, &slot->catalog, tenant_cb);
}

/* One that is being erased, or has moved, is gone, and did not fail. */
static void refuse(struct fh_roller_slot *slot, const char *why)
{
    if (!fh_home_is_dedicated(&slot->home.home)) {
        fail(slot, why);
        return;
    }
    (void)snprintf(slot->message, sizeof(slot->message), "%.*s", FH_ROLLER_MESSAGE_SIZE - 1, why);
    slot->refused = true;
    ask_tenant(slot);
}

static void asked_cb(struct fh_request *request)
{
    struct fh_roller_slot *slot = request->arg;
    if (request->code != FH_OK && request->code != FH_NO_TENANT) {
        if (is_passing(request->code)) {
            wait(slot, why_of(request->code, &request->error));
        } else {
            fail(slot, why_of(request->code, &request->error));
        }
        return;
    }
    slot->home.version = request->as.fence.schema_version;
    if (slot->home.version >= slot->roller->rollout.version) {
        done(slot);
        return;
    }
    if (!fh_home_is_dedicated(&slot->home.home)) {
        ask_moves(slot);
    } else if (slot->fence.epoch != 0 && slot->home.version > 0) {
        change(slot);
    } else {
        ask_tenant(slot);
    }
}

void fh_roller_home_begin(struct fh_roller_slot *slot, const struct fh_rollout_home *home,
                          struct fh_roller_fence fence, const struct fh_roller_later *before)
{
    struct fh_roller *roller = slot->roller;
    FH_ASSERT(!slot->busy);
    slot->busy = true;
    roller->busy++;
    slot->home = *home;
    slot->home.version = 0;
    slot->since_us = before != NULL ? before->since_us : 0;
    slot->overdue = before != NULL ? before->overdue : 0;
    slot->fence = fence;
    slot->applying = false;
    slot->applying_noted = false;
    slot->refused = false;
    slot->store = fh_router_store(roller->router, fh_str_of(home->store));
    if (slot->store == NULL) {
        wait(slot, "the worker of this rollout has not opened the store");
        return;
    }
    if (fence.epoch != 0 && roller->untouched) {
        change(slot);
        return;
    }
    slot->request = (struct fh_request){
        .op = FH_OP_FENCE_READ,
        .scope = {.tenant = home->tenant, .epoch = 1, .home = home->home},
        .deadline_us = fh_roller_now_us(roller) + ASK_DEADLINE_US,
        .arena = &slot->arena,
        .done_cb = asked_cb,
        .arg = slot,
    };
    if (fh_uuid_is_nil(&home->tenant)) { /* any: it is the home's version that is asked for */
        slot->request.scope.tenant = roller->rollout.uuid;
    }
    enum fh_code code = fh_store_submit(slot->store, &slot->request);
    if (code != FH_OK) {
        wait(slot, why_of(code, &slot->request.error));
    }
}
