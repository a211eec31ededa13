/* Happy path: ASK -> there is a version: the end; there is none: MAKE -> the end.
 *
 * Failures: whatever the store says, told to done_cb.
 */
#include "router/store_bringup.h"

#include <stdio.h>
#include <string.h>

#define ARENA_BYTES_MAX ((size_t)1024 * 1024)

static void made_cb(struct fh_request *request)
{
    struct fh_store_bringup *bringup = request->arg;
    bringup->done_cb(bringup, request->code, request->as.schema.version_seen);
}

static void asked_cb(struct fh_request *request)
{
    struct fh_store_bringup *bringup = request->arg;
    uint32_t version = request->as.fence.schema_version;
    bool answered = request->code == FH_OK || request->code == FH_NO_TENANT;
    if (!answered || version > 0) {
        bringup->done_cb(bringup, answered ? FH_OK : request->code, version);
        return;
    }
    int64_t deadline_us = request->deadline_us;
    fh_arena_reset(&bringup->arena);
    *request = (struct fh_request){
        .op = FH_OP_SCHEMA_APPLY,
        .scope = {.home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED}},
        .deadline_us = deadline_us,
        .arena = &bringup->arena,
        .done_cb = made_cb,
        .arg = bringup,
        .as.schema.target = bringup->newest,
    };
    enum fh_code code = fh_store_submit(bringup->store, request);
    if (code != FH_OK) {
        bringup->done_cb(bringup, code, 0);
    }
}

enum fh_code fh_store_bringup_begin(struct fh_store_bringup *bringup, struct fh_store *store,
                                    const struct fh_schema *newest, int64_t deadline_us)
{
    bringup->store = store;
    bringup->newest = newest;
    (void)snprintf(bringup->name, sizeof(bringup->name), "%s", store->name);
    fh_arena_init(&bringup->arena, ARENA_BYTES_MAX);
    bringup->request = (struct fh_request){
        .op = FH_OP_FENCE_READ,
        .scope = {.home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED}},
        .deadline_us = deadline_us,
        .arena = &bringup->arena,
        .done_cb = asked_cb,
        .arg = bringup,
    };
    /* Nobody's: it is the home's version that is asked for. */
    memset(bringup->request.scope.tenant.bytes, 0xff, sizeof(bringup->request.scope.tenant.bytes));
    return fh_store_submit(store, &bringup->request);
}

void fh_store_bringup_close(struct fh_store_bringup *bringup)
{
    fh_arena_close(&bringup->arena);
}
