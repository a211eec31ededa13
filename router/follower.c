/* Happy path of a round:
 *
 *     LISTING -> new stores opened -> CATCHING_UP (one new store after another) -> REFRESHING ->
 * end
 *
 * of which only what was wanted is done. A hint that comes meanwhile makes another round follow.
 *
 * Failures: whatever fails is logged when it was well before, and is tried again with the next
 * round; the clock brings one only on a shared catalog, for nobody else changes another. A store
 * that cannot be opened keeps none of the others from it.
 */
#include "router/follower.h"

#include "base/alloc.h"
#include "base/assert.h"

#define EVERY_MS 5000
#define ROUND_US (30 * (int64_t)1000000)
#define ARENA_BYTES_MAX ((size_t)16 * 1024 * 1024) /* a thousand stores: 10 KiB each at most */
#define NEW_STORES_MAX 64 /* of a round; the others are behind until somebody catches them up */

enum state { RESTING, LISTING, CATCHING_UP, REFRESHING };

struct fh_follower {
    struct fh_follower_parts parts;
    struct fh_catalog_watcher watcher;
    struct fh_catalog_request request;
    struct fh_arena arena;
    uv_timer_t timer;
    enum state state;
    bool look_at_stores; /* in the next round */
    bool look_at_schema;
    bool schema_wanted; /* in this round */
    bool closing;
    struct fh_store *opened[NEW_STORES_MAX];
    size_t opened_count;
    size_t caught_up;
    size_t failures; /* of this round */
    size_t failures_before;
    void (*closed_cb)(void *arg);
    void *closed_arg;
};

static int64_t deadline(const struct fh_follower *follower)
{
    return fh_clock_monotonic_us(follower->parts.env->clock) + ROUND_US;
}

static void note_failure(struct fh_follower *follower, const char *what, const char *name,
                         const char *why)
{
    follower->failures++;
    if (follower->failures > follower->failures_before) { /* not the same every 5 s */
        FH_LOG(follower->parts.env->log, WARN, "follower.failed", FH_KV_TEXT("what", what),
               FH_KV_TEXT("name", name), FH_KV_TEXT("why", why));
    }
}

static void timer_closed_cb(uv_handle_t *handle)
{
    struct fh_follower *follower = handle->data;
    void (*closed_cb)(void *arg) = follower->closed_cb;
    void *arg = follower->closed_arg;
    fh_arena_close(&follower->arena);
    fh_free(follower);
    closed_cb(arg);
}

static void begin(struct fh_follower *follower);

static void end(struct fh_follower *follower)
{
    follower->state = RESTING;
    follower->failures_before = follower->failures;
    fh_arena_reset(&follower->arena);
    if (follower->closing) {
        uv_close((uv_handle_t *)&follower->timer, timer_closed_cb);
    } else if (follower->look_at_stores || follower->look_at_schema) {
        begin(follower);
    }
}

static void refreshed_cb(const struct fh_schemas_result *result, void *arg)
{
    struct fh_follower *follower = arg;
    /* FH_CONFLICT: an apply of this process's runs, which lists and brings up all there is. */
    if (result->code != FH_OK && result->code != FH_CONFLICT) {
        note_failure(follower, "schema", "", fh_error_text(&result->error));
    }
    end(follower);
}

static void refresh(struct fh_follower *follower)
{
    if (!follower->schema_wanted || follower->closing) {
        end(follower);
        return;
    }
    follower->state = REFRESHING;
    enum fh_code code =
        fh_schemas_refresh(follower->parts.schemas, deadline(follower), refreshed_cb, follower);
    if (code != FH_OK) {
        note_failure(follower, "schema", "", fh_code_text(code));
        end(follower);
    }
}

static void catch_up(struct fh_follower *follower);

static void caught_up_cb(const struct fh_schemas_result *result, void *arg)
{
    struct fh_follower *follower = arg;
    if (result->code != FH_OK) {
        note_failure(follower, "store is behind", follower->opened[follower->caught_up]->name,
                     fh_error_text(&result->error));
    }
    follower->caught_up++;
    catch_up(follower);
}

static void catch_up(struct fh_follower *follower)
{
    follower->state = CATCHING_UP;
    for (; follower->caught_up < follower->opened_count && !follower->closing;
         follower->caught_up++) {
        struct fh_store *store = follower->opened[follower->caught_up];
        enum fh_code code = fh_schemas_catch_up(follower->parts.schemas, store, deadline(follower),
                                                caught_up_cb, follower);
        if (code == FH_OK) {
            return;
        }
        note_failure(follower, "store is behind", store->name, fh_code_text(code));
    }
    refresh(follower);
}

static void open_store(struct fh_follower *follower, const struct fh_store_record *record)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_store *store = NULL;
    if (fh_store_registry_record(follower->parts.stores, fh_str_of(record->name)) != NULL) {
        return;
    }
    enum fh_code code = fh_store_registry_open(follower->parts.stores, record, &store, &error);
    if (code == FH_EXISTS) { /* opened by somebody else, not through the registry */
        return;
    }
    if (code != FH_OK) {
        note_failure(follower, "store", record->name, fh_error_text(&error));
        return;
    }
    if (follower->opened_count < NEW_STORES_MAX) {
        follower->opened[follower->opened_count++] = store;
    }
}

static void listed_cb(struct fh_catalog_request *request)
{
    struct fh_follower *follower = request->arg;
    if (request->code != FH_OK) {
        note_failure(follower, "stores", "", fh_code_text(request->code));
    } else {
        for (size_t i = 0; i < request->as.stores.count && !follower->closing; i++) {
            open_store(follower, &request->as.stores.stores[i]);
        }
    }
    catch_up(follower);
}

static void begin(struct fh_follower *follower)
{
    bool stores_wanted = follower->look_at_stores;
    follower->schema_wanted = follower->look_at_schema;
    follower->look_at_stores = false;
    follower->look_at_schema = false;
    follower->opened_count = 0;
    follower->caught_up = 0;
    follower->failures = 0;
    if (!stores_wanted) {
        refresh(follower);
        return;
    }
    follower->state = LISTING;
    follower->request = (struct fh_catalog_request){
        .op = FH_CATALOG_STORE_LIST,
        .deadline_us = deadline(follower),
        .arena = &follower->arena,
        .done_cb = listed_cb,
        .arg = follower,
    };
    enum fh_code code = fh_catalog_submit(follower->parts.catalog, &follower->request);
    if (code != FH_OK) {
        note_failure(follower, "stores", "", fh_code_text(code));
        refresh(follower);
    }
}

static void want(struct fh_follower *follower, bool stores, bool schema)
{
    follower->look_at_stores |= stores;
    follower->look_at_schema |= schema;
    if (follower->state == RESTING && !follower->closing && (stores || schema)) {
        begin(follower);
    }
}

static void hint_cb(void *arg, enum fh_catalog_hint hint, const struct fh_uuid *uuid)
{
    (void)uuid;
    want(arg, hint == FH_CATALOG_HINT_STORES, hint == FH_CATALOG_HINT_SCHEMA);
}

static void newer_cb(void *arg, uint32_t version)
{
    (void)version;
    want(arg, false, true);
}

static void timer_cb(uv_timer_t *timer)
{
    fh_follower_look(timer->data);
}

void fh_follower_look(struct fh_follower *follower)
{
    want(follower, true, true);
}

enum fh_code fh_follower_create(const struct fh_follower_parts *parts, struct fh_follower **out)
{
    struct fh_follower *follower = fh_calloc(1, sizeof(*follower));
    if (follower == NULL) {
        return FH_NOMEM;
    }
    follower->parts = *parts;
    fh_arena_init(&follower->arena, ARENA_BYTES_MAX);
    follower->watcher = (struct fh_catalog_watcher){.hint_cb = hint_cb, .arg = follower};
    int failed = uv_timer_init(parts->env->loop, &follower->timer);
    FH_ASSERT(failed == 0); /* it cannot fail */
    follower->timer.data = follower;
    if (parts->catalog->shared) {
        failed = uv_timer_start(&follower->timer, timer_cb, EVERY_MS, EVERY_MS);
        FH_ASSERT(failed == 0); /* the callback is not NULL */
    }
    fh_catalog_watch(parts->catalog, &follower->watcher);
    if (parts->router != NULL) {
        fh_router_on_newer_schema(parts->router, newer_cb, follower);
    }
    *out = follower;
    return FH_OK;
}

void fh_follower_close(struct fh_follower *follower, void (*closed_cb)(void *arg), void *arg)
{
    FH_ASSERT(!follower->closing);
    follower->closing = true;
    follower->closed_cb = closed_cb;
    follower->closed_arg = arg;
    fh_catalog_unwatch(&follower->watcher);
    if (follower->parts.router != NULL) {
        fh_router_on_newer_schema(follower->parts.router, NULL, NULL);
    }
    uv_timer_stop(&follower->timer);
    if (follower->state == RESTING) {
        uv_close((uv_handle_t *)&follower->timer, timer_closed_cb);
    }
}
