/*            tick, hint                 answered, to go on
 *   WAITING ------------> ASKING ------------------------------> WAITING
 *      |                    |
 *      |  peer gone         |  enough, an error
 *      +------> CLOSING <---+ ---- the timer is closed: ended_cb, the follower is freed
 *
 * Failures end with the catalog's error, but for passing ones, which only delay.
 */
#include "server/handlers/follow.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "server/handlers/refusal.h"

#define TICK_MS 250
#define ASK_TIMEOUT_US (5LL * 1000000)
#define ARENA_BYTES_MAX ((size_t)256 * 1024)

enum state { WAITING, ASKING, CLOSING };

struct follower {
    struct fh_services *services;
    enum fh_followed what;
    struct fh_uuid uuid;
    int64_t until_us;
    fh_follow_seen_cb *seen_cb;
    fh_follow_ended_cb *ended_cb;
    void *arg;
    struct fh_arena arena; /* of one look */
    struct fh_catalog_request request;
    struct fh_catalog_watcher hints;
    uv_timer_t timer;
    uint64_t beat_seen;
    enum state state;
    bool seen;
    bool hinted; /* while asking: ask again */
    bool gone;   /* the peer */
    enum fh_code code;
    struct fh_error error;
};

static const struct kind {
    enum fh_catalog_op op;
    enum fh_catalog_hint hint;
    size_t followers_max;
    const char *name;
} kinds[] = {
    [FH_FOLLOWED_MOVE] = {FH_CATALOG_MOVE_GET, FH_CATALOG_HINT_MOVE, FH_FOLLOWED_MOVES_MAX,
                          "moves"},
    [FH_FOLLOWED_ROLLOUT] = {FH_CATALOG_ROLLOUT_GET, FH_CATALOG_HINT_ROLLOUT,
                             FH_FOLLOWED_ROLLOUTS_MAX, "rollouts"},
};

/* One loop a process; the handlers run on it. */
static size_t follower_counts[sizeof(kinds) / sizeof(kinds[0])];

static uint64_t beat_of(const struct fh_catalog_request *seen)
{
    return seen->op == FH_CATALOG_MOVE_GET ? seen->as.move_get.move.beat
                                           : seen->as.rollout_get.rollout.beat;
}

static void closed_cb(uv_handle_t *handle)
{
    struct follower *follower = handle->data;
    struct follower ended = *follower;
    fh_arena_close(&follower->arena);
    fh_free(follower);
    FH_ASSERT(follower_counts[ended.what] > 0);
    follower_counts[ended.what]--;
    ended.ended_cb(ended.code, &ended.error, ended.arg);
}

static void end(struct follower *follower, enum fh_code code)
{
    FH_ASSERT(follower->state != CLOSING);
    follower->state = CLOSING;
    follower->code = code;
    fh_catalog_unwatch(&follower->hints);
    uv_close((uv_handle_t *)&follower->timer, closed_cb);
}

static void ask(struct follower *follower);

static bool is_passing(enum fh_code code)
{
    return code == FH_UNAVAILABLE || code == FH_DEADLINE || code == FH_FULL;
}

static bool is_over(const struct follower *follower)
{
    return fh_clock_monotonic_us(follower->services->env->clock) >= follower->until_us;
}

static void look(struct follower *follower, const struct fh_catalog_request *seen)
{
    bool last = is_over(follower);
    if (follower->what == FH_FOLLOWED_ROLLOUT) { /* the newest, at the first look, stays the one */
        follower->uuid = seen->as.rollout_get.rollout.uuid;
    }
    if (follower->seen && beat_of(seen) == follower->beat_seen && !last) {
        return;
    }
    enum fh_code code = follower->seen_cb(seen, last, follower->arg);
    if (code == FH_CANCELLED || (code == FH_OK && last)) {
        end(follower, FH_OK);
    } else if (code == FH_OK) {
        follower->seen = true;
        follower->beat_seen = beat_of(seen);
    } else if (code != FH_FULL) { /* full: a slow reader; the next look tells more at once */
        end(follower, code);
    }
}

static void asked_cb(struct fh_catalog_request *request)
{
    struct follower *follower = request->arg;
    follower->state = WAITING;
    if (follower->gone) {
        end(follower, FH_CANCELLED);
    } else if (request->code == FH_OK) {
        look(follower, request);
    } else if (!is_passing(request->code) || is_over(follower)) {
        follower->error = request->error;
        end(follower, request->code);
    }
    if (follower->state == WAITING && follower->hinted) {
        ask(follower);
    }
}

static void ask(struct follower *follower)
{
    FH_ASSERT(follower->state == WAITING);
    follower->hinted = false;
    fh_arena_reset(&follower->arena);
    follower->request = (struct fh_catalog_request){
        .op = kinds[follower->what].op,
        .deadline_us = fh_clock_monotonic_us(follower->services->env->clock) + ASK_TIMEOUT_US,
        .arena = &follower->arena,
        .done_cb = asked_cb,
        .arg = follower,
    };
    if (follower->what == FH_FOLLOWED_MOVE) {
        follower->request.as.move_get.uuid = follower->uuid;
    } else {
        follower->request.as.rollout_get.uuid = follower->uuid;
    }
    enum fh_code code = fh_catalog_submit(follower->services->catalog, &follower->request);
    if (code == FH_OK) {
        follower->state = ASKING;
    } else if (!is_passing(code) || is_over(follower)) {
        follower->error = follower->request.error;
        end(follower, code);
    }
}

static void tick_cb(uv_timer_t *timer)
{
    struct follower *follower = timer->data;
    if (follower->state != WAITING) {
        return;
    }
    if (follower->services->stopping) {
        end(follower, FH_SHUTTING_DOWN);
        return;
    }
    ask(follower);
}

static void hint_cb(void *arg, enum fh_catalog_hint hint, const struct fh_uuid *uuid)
{
    struct follower *follower = arg;
    if (hint != kinds[follower->what].hint ||
        (!fh_uuid_is_nil(uuid) && !fh_uuid_is_nil(&follower->uuid) &&
         !fh_uuid_eq(uuid, &follower->uuid))) {
        return;
    }
    /* Not from in here: it may be inside another's submit, or end the follower and with it the
     * walk over the watchers. */
    follower->hinted = true;
    if (follower->state == WAITING) {
        int rc = uv_timer_start(&follower->timer, tick_cb, 0, TICK_MS);
        FH_ASSERT(rc == 0); /* the callback is not NULL */
    }
}

static void gone_cb(struct fh_call *call, void *arg)
{
    struct follower *follower = arg;
    (void)call;
    if (follower->state == CLOSING) {
        return;
    }
    follower->gone = true;
    if (follower->state == WAITING) {
        end(follower, FH_CANCELLED);
    }
}

enum fh_code fh_follow(struct fh_services *services, struct fh_call *call, enum fh_followed what,
                       const struct fh_uuid *uuid, int64_t until_us, fh_follow_seen_cb *seen_cb,
                       fh_follow_ended_cb *ended_cb, void *arg, struct fh_error *error)
{
    if (follower_counts[what] >= kinds[what].followers_max) {
        return fh_error_set(error, FH_FULL, "this server watches %zu %s already; retry later",
                            kinds[what].followers_max, kinds[what].name);
    }
    struct follower *follower = fh_calloc(1, sizeof(*follower));
    if (follower == NULL) {
        return FH_NOMEM;
    }
    follower_counts[what]++;
    follower->services = services;
    follower->what = what;
    follower->uuid = *uuid;
    follower->until_us = until_us;
    follower->seen_cb = seen_cb;
    follower->ended_cb = ended_cb;
    follower->arg = arg;
    fh_arena_init(&follower->arena, ARENA_BYTES_MAX);
    int rc = uv_timer_init(services->env->loop, &follower->timer);
    FH_ASSERT(rc == 0); /* libuv: always succeeds */
    follower->timer.data = follower;
    follower->hints = (struct fh_catalog_watcher){.hint_cb = hint_cb, .arg = follower};
    fh_catalog_watch(services->catalog, &follower->hints);
    fh_call_on_cancelled(call, gone_cb, follower);
    rc = uv_timer_start(&follower->timer, tick_cb, 0, TICK_MS);
    FH_ASSERT(rc == 0); /* the callback is not NULL */
    return FH_OK;
}

/* -- streams ----------------------------------------------------------------------------------- */

struct stream {
    struct fh_call *call;
    fh_follow_message_cb *message_cb;
    struct fh_arena arena; /* of one message */
};

static enum fh_code tell_cb(const struct fh_catalog_request *seen, bool last, void *arg)
{
    struct stream *stream = arg;
    ProtobufCMessage *message = NULL;
    bool finished = false;
    (void)last;
    fh_arena_reset(&stream->arena);
    enum fh_code code = stream->message_cb(seen, &stream->arena, &message, &finished);
    if (code == FH_OK) {
        code = fh_call_send(stream->call, message);
    }
    return code == FH_OK && finished ? FH_CANCELLED : code;
}

static void told_cb(enum fh_code code, const struct fh_error *error, void *arg)
{
    struct stream *stream = arg;
    struct fh_call *call = stream->call;
    struct fh_error failure = *error;
    fh_arena_close(&stream->arena);
    fh_free(stream);
    if (code == FH_OK) {
        fh_call_finish(call);
    } else {
        fh_call_fail_as(call, code, &failure);
    }
}

void fh_follow_stream(struct fh_services *services, struct fh_call *call, enum fh_followed what,
                      const struct fh_uuid *uuid, fh_follow_message_cb *message_cb)
{
    struct fh_error error = FH_ERROR_INIT;
    struct stream *stream = fh_calloc(1, sizeof(*stream));
    if (stream == NULL) {
        fh_call_fail_code(call, FH_NOMEM);
        return;
    }
    stream->call = call;
    stream->message_cb = message_cb;
    fh_arena_init(&stream->arena, ARENA_BYTES_MAX);
    enum fh_code code =
        fh_follow(services, call, what, uuid, FH_DEADLINE_NONE, tell_cb, told_cb, stream, &error);
    if (code != FH_OK) {
        fh_arena_close(&stream->arena);
        fh_free(stream);
        fh_call_fail_as(call, code, &error);
    }
}
