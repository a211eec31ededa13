/* Happy path: a comparison with what the caller saw, then the change.
 *
 * Failures: whoever comes too late is told FH_PRECONDITION and what is there instead.
 */
#include "router/rollout_rules.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "stores/schema/parse.h"

#define REASON_BYTES_MAX 1024

static enum fh_code invalid(struct fh_catalog_request *request, const char *what)
{
    return fh_error_set(&request->error, FH_INVALID, "%s", what);
}

static enum fh_code refuse(struct fh_catalog_request *request, const char *why)
{
    return fh_error_set(&request->error, FH_PRECONDITION, "%s", why);
}

static bool is_text(struct fh_str text, size_t max)
{
    return text.len <= max && fh_str_is_text(text);
}

static enum fh_code check_settings(struct fh_catalog_request *request,
                                   struct fh_rollout_settings *settings)
{
    struct fh_rollout_settings defaults;
    fh_rollout_settings_init(&defaults);
    if (settings->concurrency == 0) {
        settings->concurrency = defaults.concurrency;
    }
    if (settings->lock_timeout_ms == 0) {
        settings->lock_timeout_ms = defaults.lock_timeout_ms;
    }
    if (settings->concurrency > FH_ROLLOUT_CONCURRENCY_MAX) {
        return fh_error_field(&request->error, FH_INVALID, "rollout.concurrency",
                              "1 to %d homes are changed at once in a store",
                              FH_ROLLOUT_CONCURRENCY_MAX);
    }
    if (settings->lock_timeout_ms > FH_ROLLOUT_LOCK_TIMEOUT_MS_MAX) {
        return fh_error_field(&request->error, FH_INVALID, "rollout.lock_timeout",
                              "a lock is waited for for 1 ms to 60 s");
    }
    if (settings->canary_percent > 100) {
        return fh_error_field(&request->error, FH_INVALID, "rollout.canary_percent",
                              "the canary is 0 to 100 percent of the homes");
    }
    if (settings->canary_count > FH_ROLLOUT_CANARIES_MAX) {
        return fh_error_field(&request->error, FH_INVALID, "rollout.canary_tenants",
                              "at most %d tenants can be named", FH_ROLLOUT_CANARIES_MAX);
    }
    if (settings->stop_after_canary && !fh_rollout_has_canary(settings)) {
        return fh_error_field(&request->error, FH_INVALID, "rollout.stop_after_canary",
                              "there is no canary to stop after: name tenants or a percentage");
    }
    return FH_OK;
}

static enum fh_code check_create(struct fh_catalog_request *request)
{
    struct fh_rollout *rollout = &request->as.rollout_create.rollout;
    size_t count = request->as.rollout_create.migration_count;
    if (fh_uuid_is_nil(&rollout->uuid) || rollout->version < 1 ||
        rollout->version > FH_MIGRATIONS_MAX || count > rollout->version) {
        return invalid(request, "a rollout needs a uuid and a version");
    }
    for (size_t i = 0; i < count; i++) {
        const struct fh_migration_record *migration = &request->as.rollout_create.migrations[i];
        if (migration->version != rollout->version - count + i + 1 || migration->name.len == 0 ||
            !is_text(migration->name, 256) || !is_text(migration->sql, FH_MIGRATION_BYTES_MAX)) {
            return invalid(request, "a migration's name or text is empty, too long or not text, or "
                                    "its number does not lead to the rollout's version");
        }
    }
    return check_settings(request, &rollout->settings);
}

static bool is_note(const struct fh_rollout_home *note)
{
    return memchr(note->store, '\0', sizeof(note->store)) != NULL && note->store[0] != '\0' &&
           memchr(note->home.name, '\0', sizeof(note->home.name)) != NULL &&
           note->home.name[0] != '\0' && note->home.tier >= FH_TIER_SHARED &&
           note->home.tier <= FH_TIER_DATABASE && note->state >= FH_ROLLOUT_HOME_PENDING &&
           note->state <= FH_ROLLOUT_HOME_GONE && is_text(note->message, FH_ROLLOUT_MESSAGE_MAX);
}

static enum fh_code check_advance(struct fh_catalog_request *request)
{
    enum fh_rollout_phase from = request->as.rollout_advance.from;
    enum fh_rollout_phase to = request->as.rollout_advance.to;
    if (fh_uuid_is_nil(&request->as.rollout_advance.uuid) ||
        request->as.rollout_advance.generation < 1 ||
        request->as.rollout_advance.generation > INT64_MAX ||
        request->as.rollout_advance.note_count > FH_ROLLOUT_NOTES_MAX) {
        return invalid(request, "not a change of a rollout");
    }
    if (from < FH_ROLLOUT_PLANNED || from > FH_ROLLOUT_FAILED || fh_rollout_is_finished(from) ||
        (from != to && !fh_rollout_may_follow(from, to))) {
        return fh_error_set(&request->error, FH_INVALID, "a rollout is not advanced from %s to %s",
                            fh_rollout_phase_name(from), fh_rollout_phase_name(to));
    }
    for (size_t i = 0; i < request->as.rollout_advance.note_count; i++) {
        if (!is_note(&request->as.rollout_advance.notes[i])) {
            return invalid(request, "not a note of a home");
        }
    }
    return is_text(request->as.rollout_advance.message, FH_ROLLOUT_MESSAGE_MAX)
               ? FH_OK
               : invalid(request, "a rollout's message is longer than 512 bytes or not text");
}

static enum fh_code check_page(struct fh_catalog_request *request, size_t limit)
{
    return limit >= 1 && limit <= FH_PAGE_MAX ? FH_OK
                                              : invalid(request, "a page holds 1 to 1000 items");
}

static enum fh_code check_homes(struct fh_catalog_request *request)
{
    request->as.rollout_homes.homes = NULL;
    request->as.rollout_homes.count = 0;
    request->as.rollout_homes.more = false;
    if (fh_uuid_is_nil(&request->as.rollout_homes.uuid) ||
        memchr(request->as.rollout_homes.after_store, '\0', FH_STORE_NAME_MAX + 1) == NULL ||
        memchr(request->as.rollout_homes.after_home, '\0', FH_HOME_NAME_MAX) == NULL) {
        return invalid(request, "which rollout?");
    }
    return check_page(request, request->as.rollout_homes.limit);
}

/* The answers that a refusal fills must not be those of an earlier use of the request. */
static void clear_results(struct fh_catalog_request *request)
{
    const struct fh_rollout none = {.phase = FH_ROLLOUT_NONE};
    switch (request->op) {
    case FH_CATALOG_ROLLOUT_GET:
        request->as.rollout_get.rollout = none;
        break;
    case FH_CATALOG_ROLLOUT_LIST:
        request->as.rollout_list.rollouts = NULL;
        request->as.rollout_list.count = 0;
        request->as.rollout_list.more = false;
        break;
    case FH_CATALOG_ROLLOUT_CLAIM:
        request->as.rollout_claim.rollout = none;
        break;
    case FH_CATALOG_ROLLOUT_ADVANCE:
        request->as.rollout_advance.rollout = none;
        break;
    case FH_CATALOG_ROLLOUT_WISH:
        request->as.rollout_wish.rollout = none;
        break;
    default:
        break;
    }
}

enum fh_code fh_rollout_rule_check(struct fh_catalog_request *request)
{
    clear_results(request);
    switch (request->op) {
    case FH_CATALOG_ROLLOUT_CREATE:
        return check_create(request);
    case FH_CATALOG_ROLLOUT_GET:
        return FH_OK;
    case FH_CATALOG_ROLLOUT_LIST:
        return check_page(request, request->as.rollout_list.limit);
    case FH_CATALOG_ROLLOUT_CLAIM:
        return fh_uuid_is_nil(&request->as.rollout_claim.uuid) ||
                       fh_uuid_is_nil(&request->as.rollout_claim.worker) ||
                       request->as.rollout_claim.beat > INT64_MAX
                   ? invalid(request, "a claim needs a rollout and a worker")
                   : FH_OK;
    case FH_CATALOG_ROLLOUT_ADVANCE:
        return check_advance(request);
    case FH_CATALOG_ROLLOUT_WISH:
        return fh_uuid_is_nil(&request->as.rollout_wish.uuid) ||
                       request->as.rollout_wish.wish < FH_ROLLOUT_WISH_RUN ||
                       request->as.rollout_wish.wish > FH_ROLLOUT_WISH_CANCEL
                   ? invalid(request, "not a wish for a rollout")
                   : FH_OK;
    case FH_CATALOG_ROLLOUT_HOMES:
        return check_homes(request);
    default:
        return invalid(request, "unknown operation");
    }
}

static void touch(struct fh_rollout *rollout, int64_t now_us)
{
    rollout->beat++;
    rollout->updated_at_us = now_us;
}

/* A worker's steps are made for the reason the rollout was asked for. */
static void inherit_reason(struct fh_catalog_request *request, const struct fh_rollout *rollout)
{
    if (request->audit.reason.len == 0) {
        request->audit.reason = rollout->reason;
    }
}

enum fh_code fh_rollout_rule_create(struct fh_catalog_request *request, uint32_t newest,
                                    int64_t now_us)
{
    const struct fh_rollout asked = request->as.rollout_create.rollout;
    size_t count = request->as.rollout_create.migration_count;
    if (newest + count != asked.version) {
        return fh_error_set(&request->error, FH_CONFLICT,
                            "the catalog's schema is at version %u, which %zu files do not lead to "
                            "%u; another apply was faster",
                            newest, count, asked.version);
    }
    request->as.rollout_create.rollout = (struct fh_rollout){
        .uuid = asked.uuid,
        .version = asked.version,
        .phase = FH_ROLLOUT_PLANNED,
        .wish = FH_ROLLOUT_WISH_RUN,
        .settings = asked.settings,
        .message = FH_STR(""),
        .actor = request->audit.actor,
        .reason = request->audit.reason,
        .created_at_us = now_us,
        .updated_at_us = now_us,
    };
    return FH_OK;
}

static enum fh_code is_over(struct fh_catalog_request *request, const struct fh_rollout *rollout)
{
    return fh_error_set(&request->error, FH_PRECONDITION, "the rollout is %s",
                        fh_rollout_phase_name(rollout->phase));
}

enum fh_code fh_rollout_rule_claim(struct fh_catalog_request *request, struct fh_rollout *rollout,
                                   int64_t now_us)
{
    if (fh_rollout_is_finished(rollout->phase)) {
        return is_over(request, rollout);
    }
    if (rollout->beat != request->as.rollout_claim.beat) {
        return refuse(request, "the rollout went on since its beat was seen");
    }
    rollout->generation++;
    rollout->worker = request->as.rollout_claim.worker;
    touch(rollout, now_us);
    inherit_reason(request, rollout);
    return FH_OK;
}

enum fh_code fh_rollout_rule_advance(struct fh_catalog_request *request, struct fh_rollout *rollout,
                                     int64_t now_us, bool *event)
{
    enum fh_rollout_phase from = request->as.rollout_advance.from;
    enum fh_rollout_phase to = request->as.rollout_advance.to;
    if (rollout->generation != request->as.rollout_advance.generation) {
        return fh_error_set(&request->error, FH_PRECONDITION,
                            "somebody else took the rollout over: its generation is %" PRIu64
                            " now, not %" PRIu64,
                            rollout->generation, request->as.rollout_advance.generation);
    }
    if (rollout->phase != from) {
        return fh_error_set(&request->error, FH_PRECONDITION, "the rollout is %s, not %s",
                            fh_rollout_phase_name(rollout->phase), fh_rollout_phase_name(from));
    }
    bool pauses = request->as.rollout_advance.pause && rollout->wish == FH_ROLLOUT_WISH_RUN;
    *event = to != from || pauses;
    rollout->phase = to;
    if (pauses) {
        rollout->wish = FH_ROLLOUT_WISH_PAUSE;
    }
    rollout->progress = request->as.rollout_advance.progress;
    rollout->message = request->as.rollout_advance.message;
    touch(rollout, now_us);
    if (fh_rollout_is_finished(to)) {
        rollout->finished_at_us = now_us;
    }
    inherit_reason(request, rollout);
    return FH_OK;
}

enum fh_code fh_rollout_rule_wish(struct fh_catalog_request *request, struct fh_rollout *rollout,
                                  int64_t now_us, bool *event)
{
    enum fh_rollout_wish wish = request->as.rollout_wish.wish;
    *event = false;
    if (rollout->phase == FH_ROLLOUT_CANCELLED && wish == FH_ROLLOUT_WISH_CANCEL) {
        return FH_OK; /* said twice */
    }
    if (fh_rollout_is_finished(rollout->phase)) {
        return is_over(request, rollout);
    }
    if (rollout->wish == wish) {
        return FH_OK;
    }
    rollout->wish = wish;
    if (wish == FH_ROLLOUT_WISH_CANCEL) {
        rollout->phase = FH_ROLLOUT_CANCELLED;
        rollout->finished_at_us = now_us;
    }
    if (wish == FH_ROLLOUT_WISH_RUN) {
        rollout->worker = (struct fh_uuid){{0}}; /* whoever comes first */
        rollout->message = FH_STR("");
    }
    touch(rollout, now_us);
    *event = true;
    return FH_OK;
}

const char *fh_rollout_event_action(const struct fh_catalog_request *request,
                                    const struct fh_rollout *rollout)
{
    switch (request->op) {
    case FH_CATALOG_ROLLOUT_CREATE:
        return "rollout.create";
    case FH_CATALOG_ROLLOUT_CLAIM:
        return "rollout.claim";
    case FH_CATALOG_ROLLOUT_ADVANCE:
        if (rollout->phase == FH_ROLLOUT_DONE) {
            return "rollout.done";
        }
        return request->as.rollout_advance.pause ? "rollout.pause" : "rollout.advance";
    case FH_CATALOG_ROLLOUT_WISH:
        switch (request->as.rollout_wish.wish) {
        case FH_ROLLOUT_WISH_RUN:
            return "rollout.resume";
        case FH_ROLLOUT_WISH_PAUSE:
            return "rollout.pause";
        case FH_ROLLOUT_WISH_CANCEL:
            return "rollout.cancel";
        }
        return "rollout.wish";
    default:
        return "rollout";
    }
}

void fh_rollout_event_resource(const struct fh_uuid *rollout, char out[FH_ROLLOUT_RESOURCE_SIZE])
{
    char text[FH_UUID_TEXT_LEN + 1];
    fh_uuid_format(rollout, text);
    (void)snprintf(out, FH_ROLLOUT_RESOURCE_SIZE, "rollouts/%s", text);
}

enum fh_code fh_rollout_event_detail(const struct fh_rollout *rollout, struct fh_arena *arena,
                                     struct fh_str *out)
{
    json_t *detail = json_pack(
        "{s:I,s:s,s:I,s:I,s:I,s:I,s:s%}", "version", (json_int_t)rollout->version, "phase",
        fh_rollout_phase_name(rollout->phase), "generation", (json_int_t)rollout->generation,
        "homes_total", (json_int_t)rollout->progress.homes_total, "homes_done",
        (json_int_t)rollout->progress.homes_done, "homes_failed",
        (json_int_t)rollout->progress.homes_failed, "message",
        rollout->message.len > 0 ? rollout->message.data : "", rollout->message.len);
    return fh_json_dump(detail, arena, out);
}
