/*            tick, hint                 answered, not the end
 *   WAITING ------------> ASKING ------------------------------> WAITING
 *      |                    |
 *      |  cancelled         |  the move ended, cancelled, an error
 *      +------> CLOSING <---+ ---- the timer is closed: the call ends, the watch is freed
 *
 * A slow reader is not queued for: what it has not taken when the next state comes is skipped,
 * since every message holds the whole state. Failures end the stream with the catalog's error, but
 * for passing ones, which only delay it.
 */
#include "server/handlers/move_watch.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "server/handlers/move_messages.h"
#include "server/handlers/refusal.h"
#include "server/handlers/services.h"

#define TICK_MS 250
#define ASK_TIMEOUT_US (5LL * 1000000)
#define ARENA_BYTES_MAX ((size_t)256 * 1024)

enum state { WAITING, ASKING, CLOSING };

struct watch {
    struct fh_call *call;
    struct fh_services *services;
    struct fh_uuid move;
    struct fh_arena arena; /* of one look */
    struct fh_catalog_request request;
    struct fh_catalog_watcher hints;
    uv_timer_t timer;
    uint64_t beat_told;
    enum state state;
    bool told;
    bool hinted; /* while asking: ask again */
    bool gone;   /* the peer */
    enum fh_code code;
    struct fh_error error;
};

/* One loop a process; the handlers run on it. */
static size_t watch_count;

static void closed_cb(uv_handle_t *handle)
{
    struct watch *watch = handle->data;
    struct fh_call *call = watch->call;
    enum fh_code code = watch->code;
    struct fh_error error = watch->error;
    fh_arena_close(&watch->arena);
    fh_free(watch);
    FH_ASSERT(watch_count > 0);
    watch_count--;
    if (code == FH_OK) {
        fh_call_finish(call);
    } else {
        fh_call_fail_as(call, code, &error);
    }
}

static void end(struct watch *watch, enum fh_code code)
{
    FH_ASSERT(watch->state != CLOSING);
    watch->state = CLOSING;
    watch->code = code;
    fh_catalog_unwatch(&watch->hints);
    uv_close((uv_handle_t *)&watch->timer, closed_cb);
}

static void ask(struct watch *watch);

static bool is_passing(enum fh_code code)
{
    return code == FH_UNAVAILABLE || code == FH_DEADLINE || code == FH_FULL;
}

/* True: the stream goes on. */
static bool tell(struct watch *watch, const struct fh_move *move)
{
    Freehold__V1__WatchMoveResponse response = FREEHOLD__V1__WATCH_MOVE_RESPONSE__INIT;
    if (watch->told && move->beat == watch->beat_told) {
        return !fh_move_is_finished(move->phase);
    }
    enum fh_code code = fh_move_to_proto(move, &watch->arena, &response.move);
    if (code == FH_OK) {
        code = fh_call_send(watch->call, &response.base);
    }
    if (code == FH_FULL) { /* the reader is slow: the next look tells more at once */
        return true;
    }
    if (code != FH_OK) {
        end(watch, code);
        return false;
    }
    watch->told = true;
    watch->beat_told = move->beat;
    return !fh_move_is_finished(move->phase);
}

static void asked_cb(struct fh_catalog_request *request)
{
    struct watch *watch = request->arg;
    watch->state = WAITING;
    if (watch->gone) {
        end(watch, FH_CANCELLED);
        return;
    }
    if (request->code != FH_OK) {
        if (!is_passing(request->code)) {
            watch->error = request->error;
            end(watch, request->code);
        }
        return;
    }
    if (!tell(watch, &request->as.move_get.move)) {
        if (watch->state != CLOSING) {
            end(watch, FH_OK);
        }
        return;
    }
    if (watch->hinted) {
        ask(watch);
    }
}

static void ask(struct watch *watch)
{
    FH_ASSERT(watch->state == WAITING);
    watch->hinted = false;
    fh_arena_reset(&watch->arena);
    watch->request = (struct fh_catalog_request){
        .op = FH_CATALOG_MOVE_GET,
        .deadline_us = fh_clock_monotonic_us(watch->services->env->clock) + ASK_TIMEOUT_US,
        .arena = &watch->arena,
        .done_cb = asked_cb,
        .arg = watch,
        .as.move_get.uuid = watch->move,
    };
    enum fh_code code = fh_catalog_submit(watch->services->catalog, &watch->request);
    if (code == FH_OK) {
        watch->state = ASKING;
    } else if (!is_passing(code)) {
        watch->error = watch->request.error;
        end(watch, code);
    }
}

static void tick_cb(uv_timer_t *timer)
{
    struct watch *watch = timer->data;
    if (watch->state != WAITING) {
        return;
    }
    if (watch->services->stopping) {
        end(watch, FH_SHUTTING_DOWN);
        return;
    }
    ask(watch);
}

static void hint_cb(void *arg, enum fh_catalog_hint hint, const struct fh_uuid *uuid)
{
    struct watch *watch = arg;
    if (hint != FH_CATALOG_HINT_MOVE ||
        (!fh_uuid_is_nil(uuid) && !fh_uuid_eq(uuid, &watch->move))) {
        return;
    }
    /* Not from in here: it may be inside another's submit, or end the watch and with it the walk
     * over the watchers. */
    watch->hinted = true;
    if (watch->state == WAITING) {
        int rc = uv_timer_start(&watch->timer, tick_cb, 0, TICK_MS);
        FH_ASSERT(rc == 0); /* the callback is not NULL */
    }
}

static void gone_cb(struct fh_call *call, void *arg)
{
    struct watch *watch = arg;
    (void)call;
    watch->gone = true;
    if (watch->state == WAITING) {
        end(watch, FH_CANCELLED);
    }
}

void fh_move_watch(struct fh_call *call, void *arg)
{
    struct fh_services *services = arg;
    const Freehold__V1__WatchMoveRequest *in =
        (const Freehold__V1__WatchMoveRequest *)fh_call_request(call);
    struct fh_error error = FH_ERROR_INIT;
    struct fh_uuid uuid;
    enum fh_code code = fh_move_name_parse(in->name, &uuid, &error);
    if (code == FH_OK && watch_count >= FH_MOVE_WATCHES_MAX) {
        code = fh_error_set(&error, FH_FULL, "this server watches %d moves already; retry later",
                            FH_MOVE_WATCHES_MAX);
    }
    struct watch *watch = code == FH_OK ? fh_calloc(1, sizeof(*watch)) : NULL;
    if (watch == NULL) {
        fh_call_fail_as(call, code != FH_OK ? code : FH_NOMEM, &error);
        return;
    }
    watch_count++;
    watch->call = call;
    watch->services = services;
    watch->move = uuid;
    fh_arena_init(&watch->arena, ARENA_BYTES_MAX);
    int rc = uv_timer_init(services->env->loop, &watch->timer);
    FH_ASSERT(rc == 0); /* libuv: always succeeds */
    watch->timer.data = watch;
    watch->hints = (struct fh_catalog_watcher){.hint_cb = hint_cb, .arg = watch};
    fh_catalog_watch(services->catalog, &watch->hints);
    fh_call_on_cancelled(call, gone_cb, watch);
    rc = uv_timer_start(&watch->timer, tick_cb, 0, TICK_MS);
    FH_ASSERT(rc == 0); /* the callback is not NULL */
}
