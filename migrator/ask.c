/* What a run asks, and what it makes of refusals.
 *
 * Happy path: a request is filled in with the scope, the deadline and the callback, and counts as
 * pending until it is done.
 *
 * Failures: a store this process does not have open counts as one that is away. What can never
 * succeed ends the move; what executed nothing is asked again after a growing pause; a write whose
 * outcome is unknown, or what a fence or a home of another schema version refused, leads back to a
 * claim.
 */
#include <stdio.h>

#include "base/assert.h"
#include "migrator/internal.h"
#include "migrator/run.h"

#define SECOND_US ((int64_t)1000000)
#define BACKOFF_US_MIN (50 * (int64_t)1000)
#define BACKOFF_US_MAX (10 * SECOND_US)
#define PATIENCE_US_MAX (600 * SECOND_US)
#define GATED_US_MIN 1000 /* a request is given at least that, also at the end of the budget */

int64_t fh_run_now(const struct fh_run *run)
{
    return fh_clock_monotonic_us(run->migrator->env->clock);
}

void fh_run_say(struct fh_run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(run->message, sizeof(run->message), format, args);
    va_end(args);
    /* Servers speak in encodings of their own, and a text may be cut within a character: a catalog
     * would refuse it, and with it every beat. */
    for (char *c = run->message; *c != '\0' && !fh_str_is_text(fh_str_of(run->message)); c++) {
        if ((*c & 0x80) != 0) {
            *c = '?';
        }
    }
}

bool fh_cursor_set(struct fh_cursor *cursor, struct fh_str text)
{
    if (text.len == 0 || text.len > sizeof(cursor->bytes)) {
        return false;
    }
    memcpy(cursor->bytes, text.data, text.len);
    cursor->len = text.len;
    return true;
}

struct fh_str fh_cursor_str(const struct fh_cursor *cursor)
{
    return (struct fh_str){.data = cursor->bytes, .len = cursor->len};
}

bool fh_cursor_equal(const struct fh_cursor *a, const struct fh_cursor *b)
{
    return fh_str_eq(fh_cursor_str(a), fh_cursor_str(b));
}

struct fh_fence_guard fh_run_guard(const struct fh_run *run, uint32_t modes)
{
    return (struct fh_fence_guard){.generation = run->generation, .modes = modes};
}

void fh_run_note(struct fh_run *run, enum fh_code code, const struct fh_error *error)
{
    if (run->code != FH_OK || code == FH_OK) {
        return;
    }
    run->code = code;
    if (error != NULL) {
        run->error = *error;
    }
    if (run->error.message[0] == '\0') {
        (void)fh_error_set(&run->error, code, "%s", fh_code_text(code));
    }
}

static void call_done_cb(struct fh_request *request)
{
    struct fh_run_call *call = request->arg;
    struct fh_run *run = call->run;
    fh_run_note(run, request->code, &request->error);
    if (--run->pending == 0) {
        fh_run_finish_step(run);
    }
}

static void catalog_done_cb(struct fh_catalog_request *request)
{
    struct fh_run *run = request->arg;
    fh_run_note(run, request->code, &request->error);
    if (--run->pending == 0) {
        fh_run_finish_step(run);
    }
}

static int64_t request_deadline(const struct fh_run *run)
{
    int64_t now = fh_run_now(run);
    int64_t patience_us = run->patience_us[run->step];
    int64_t deadline = now + (patience_us > 0 ? patience_us : FH_RUN_PATIENCE_US);
    if (run->gated && run->recovered && !run->committed) {
        int64_t budget = run->gate_closed_us + run->move.settings.max_pause_us;
        budget = budget > now + GATED_US_MIN ? budget : now + GATED_US_MIN;
        deadline = budget < deadline ? budget : deadline;
    }
    return deadline;
}

enum fh_code fh_run_schema_at(struct fh_run *run, uint32_t version, const struct fh_schema **out)
{
    const struct fh_router *router = run->migrator->router;
    const struct fh_schema *newest = fh_router_schema(router);
    *out = newest != NULL && version > 0 ? fh_schema_at(newest, version) : newest;
    if (*out != NULL) {
        return FH_OK;
    }
    if (newest == NULL) {
        return fh_error_set(&run->error, FH_UNAVAILABLE, "the schema is not loaded yet");
    }
    fh_router_want_schema(router, version);
    return fh_error_set(&run->error, FH_UNAVAILABLE,
                        "a home is at schema version %u, this process knows %u yet", version,
                        newest->version);
}

struct fh_request *fh_run_request(struct fh_run *run, unsigned which, enum fh_side side,
                                  enum fh_op op, struct fh_arena *arena)
{
    struct fh_request *request = &run->calls[which].request;
    bool source = side == FH_SIDE_SOURCE;
    if (arena == &run->arena) {
        fh_arena_reset(arena);
    }
    *request = (struct fh_request){
        .op = op,
        .scope = {.tenant = run->move.tenant,
                  .epoch = run->move.source.epoch + (source ? 0 : 1),
                  .home = source ? run->move.source.home : run->move.target_home,
                  .schema = run->schema},
        .deadline_us = request_deadline(run),
        .arena = arena,
        .done_cb = call_done_cb,
        .arg = &run->calls[which],
    };
    run->calls[which].run = run;
    return request;
}

enum fh_code fh_run_submit(struct fh_run *run, unsigned which, enum fh_side side)
{
    const char *name = side == FH_SIDE_SOURCE ? run->move.source.store : run->move.target_store;
    struct fh_store *store = fh_router_store(run->migrator->router, fh_str_of(name));
    struct fh_request *request = &run->calls[which].request;
    enum fh_code code = FH_OK;
    if (store == NULL) {
        code = fh_error_set(&request->error, FH_UNAVAILABLE, "store %s is not open here", name);
    } else {
        code = fh_store_submit(store, request);
    }
    if (code == FH_OK) {
        run->pending++;
        return FH_OK;
    }
    request->code = code;
    fh_run_note(run, code, &request->error);
    return code;
}

struct fh_catalog_request *fh_run_catalog_request(struct fh_run *run, enum fh_catalog_op op)
{
    struct fh_catalog_request *request = &run->catalog;
    fh_arena_reset(&run->catalog_arena);
    *request = (struct fh_catalog_request){
        .op = op,
        .deadline_us = request_deadline(run),
        .arena = &run->catalog_arena,
        .done_cb = catalog_done_cb,
        .arg = run,
        .audit = {.actor = run->migrator->options.actor},
    };
    return request;
}

enum fh_code fh_run_catalog_submit(struct fh_run *run)
{
    enum fh_code code = fh_catalog_submit(run->migrator->catalog, &run->catalog);
    if (code == FH_OK) {
        run->pending++;
        return FH_OK;
    }
    run->catalog.code = code;
    fh_run_note(run, code, &run->catalog.error);
    return code;
}

void fh_run_adopt(struct fh_run *run, const struct fh_move *move)
{
    struct fh_move_progress progress = run->move.progress;
    bool first = !run->claimed;
    run->move = *move;
    if (!first) {
        run->move.progress = progress; /* ours is newer */
    } else {
        fh_run_say(run, "%.*s", FH_STR_ARG(move->message));
    }
    run->move.message = (struct fh_str){.data = NULL};
    run->move.actor = (struct fh_str){.data = NULL};
    run->move.reason = (struct fh_str){.data = NULL};
}

void fh_run_progressed(struct fh_run *run)
{
    run->backoff_us = 0;
    if (run->complained) {
        run->complained = false;
        fh_run_say(run, "%s", "");
    }
}

/* Each step has a patience of its own, which nothing but the run's end takes back: what looks at
 * every row takes a large tenant long each time it is asked, however well all else goes. */
static void be_more_patient(struct fh_run *run)
{
    int64_t *us = &run->patience_us[run->step];
    *us = *us > 0 ? 2 * *us : 2 * FH_RUN_PATIENCE_US;
    *us = *us < PATIENCE_US_MAX ? *us : PATIENCE_US_MAX;
}

static enum fh_step later(struct fh_run *run, enum fh_code code, enum fh_step again)
{
    run->backoff_us = run->backoff_us == 0 ? BACKOFF_US_MIN : 2 * run->backoff_us;
    run->backoff_us = run->backoff_us < BACKOFF_US_MAX ? run->backoff_us : BACKOFF_US_MAX;
    if (code == FH_DEADLINE) {
        be_more_patient(run);
    }
    if (!run->failing) {
        run->complained = true;
        fh_run_say(run, "%s: %s; trying again", fh_run_step_name(run->step),
                   fh_error_text(&run->error));
    }
    FH_LOG(run->migrator->env->log, WARN, "move.trouble", FH_KV_UUID("move", run->move.uuid),
           FH_KV_TEXT("step", fh_run_step_name(run->step)), FH_KV_TEXT("code", fh_code_name(code)),
           FH_KV_TEXT("error", fh_error_text(&run->error)));
    return fh_run_close_view(run, fh_run_wait(run, run->backoff_us, again));
}

bool fh_run_is_permanent(enum fh_code code)
{
    switch (code) {
    case FH_INVALID:
    case FH_UNIMPLEMENTED:
    case FH_CORRUPT:
    case FH_FOREIGN_ROW:
    case FH_TOO_LARGE:
    case FH_EXISTS:
    case FH_UNIQUE_VIOLATION:
    case FH_REFERENCE_VIOLATION:
    case FH_CHECK_VIOLATION:
    case FH_RANGE:
        return true;
    default:
        return false;
    }
}

/* Before the commit point a move may fail; behind it there is only forward. */
static bool may_fail(const struct fh_run *run)
{
    return run->claimed && !run->committed && fh_move_is_before_switch(run->move.phase) &&
           !run->failing;
}

enum fh_step fh_run_trouble(struct fh_run *run, enum fh_code code, enum fh_step again)
{
    if (fh_run_is_permanent(code) && may_fail(run)) {
        return fh_run_fail(run, "%s: %s", fh_run_step_name(run->step), fh_error_text(&run->error));
    }
    if (code == FH_MOVED || code == FH_NO_TENANT || code == FH_STALE_SCHEMA) {
        return fh_run_reclaim(run);
    }
    return later(run, code, again);
}

enum fh_step fh_run_doubt(struct fh_run *run, enum fh_code code, enum fh_step again)
{
    switch (code) {
    case FH_OUTCOME_UNKNOWN:
    case FH_DEADLINE:
    case FH_INTERNAL:
    case FH_CANCELLED:
        return fh_run_reclaim(run);
    default:
        return fh_run_trouble(run, code, again);
    }
}

enum fh_step fh_run_reclaim(struct fh_run *run)
{
    run->recovered = false;
    return later(run, run->code, FH_STEP_LOOK);
}

enum fh_step fh_run_fail(struct fh_run *run, const char *format, ...)
{
    char text[sizeof(run->message)];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fh_run_say(run, "%s", text);
    run->failing = true;
    run->complained = false;
    FH_LOG(run->migrator->env->log, ERROR, "move.failing", FH_KV_UUID("move", run->move.uuid),
           FH_KV_UUID("tenant", run->move.tenant), FH_KV_TEXT("reason", run->message));
    if (run->gated) {
        return fh_run_call_off(run, NULL);
    }
    return run->recovered ? fh_run_give_up(run) : fh_run_reclaim(run);
}
