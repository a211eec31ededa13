/* Both keep what they get in a row until the test flushes it. */
#include "tests/unit/router/fakes.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"

static enum fh_code catalog_submit(struct fh_catalog *catalog, struct fh_catalog_request *request)
{
    struct fake_catalog *fake = (struct fake_catalog *)catalog;
    if (fake->refusal != FH_OK) {
        return fake->refusal;
    }
    FH_ASSERT(fake->pending_count < FAKE_PENDING_MAX);
    fake->pending[fake->pending_count++] = request;
    fake->asked++;
    return FH_OK;
}

static void catalog_close(struct fh_catalog *catalog, fh_catalog_closed_cb *closed_cb, void *arg)
{
    ((struct fake_catalog *)catalog)->closed = true;
    closed_cb(arg);
}

static const struct fh_catalog_ops fake_catalog_ops = {
    .engine = "fake", .submit = catalog_submit, .close = catalog_close};

void fake_catalog_init(struct fake_catalog *fake, const char *store)
{
    memset(fake, 0, sizeof(*fake));
    fh_catalog_init(&fake->catalog, &fake_catalog_ops, false);
    fake->tenant.state = FH_TENANT_ACTIVE;
    fake->tenant.placement = (struct fh_placement){
        .home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED}, .epoch = 1, .generation = 1};
    (void)snprintf(fake->tenant.placement.store, sizeof(fake->tenant.placement.store), "%s", store);
}

size_t fake_catalog_flush(struct fake_catalog *fake)
{
    struct fh_catalog_request *taken[FAKE_PENDING_MAX];
    size_t count = fake->pending_count;
    for (size_t i = 0; i < count; i++) {
        taken[i] = fake->pending[i];
    }
    fake->pending_count = 0;
    for (size_t i = 0; i < count; i++) {
        FH_ASSERT(taken[i]->op == FH_CATALOG_TENANT_GET);
        taken[i]->code = fake->code;
        taken[i]->as.get.tenant = fake->tenant;
        taken[i]->as.get.tenant.uuid = taken[i]->as.get.uuid;
        taken[i]->done_cb(taken[i]);
    }
    return count;
}

static enum fh_code store_submit(struct fh_store *store, struct fh_request *request)
{
    struct fake_store *fake = (struct fake_store *)store;
    if (fake->refusal != FH_OK) {
        return fake->refusal;
    }
    if (fake->room != 0 && fake->pending_count >= fake->room) {
        return FH_FULL;
    }
    FH_ASSERT(fake->pending_count < FAKE_PENDING_MAX);
    fake->pending[fake->pending_count++] = request;
    fake->submitted++;
    fake->last_epoch = request->scope.epoch;
    return FH_OK;
}

static void store_cancel(struct fh_store *store, struct fh_request *request)
{
    (void)request;
    ((struct fake_store *)store)->cancelled++;
}

static void store_stats(const struct fh_store *store, struct fh_store_stats *out)
{
    *out = store->counters;
}

static void store_close(struct fh_store *store, fh_store_closed_cb *closed_cb, void *arg)
{
    ((struct fake_store *)store)->closed = true;
    closed_cb(arg);
}

static const struct fh_store_ops fake_store_ops = {.engine = "fake",
                                                   .submit = store_submit,
                                                   .cancel = store_cancel,
                                                   .stats = store_stats,
                                                   .close = store_close};

void fake_store_init(struct fake_store *fake, const struct fh_env *env, const char *name)
{
    memset(fake, 0, sizeof(*fake));
    struct fh_store_config config = {.name = name};
    fh_store_init(&fake->store, &fake_store_ops, env, &config);
}

size_t fake_store_flush(struct fake_store *fake, enum fh_code code)
{
    struct fh_request *taken[FAKE_PENDING_MAX];
    size_t count = fake->pending_count;
    for (size_t i = 0; i < count; i++) {
        taken[i] = fake->pending[i];
    }
    fake->pending_count = 0;
    for (size_t i = 0; i < count; i++) {
        fh_request_complete(taken[i], code);
    }
    return count;
}

void fake_store_answer(struct fake_store *fake, enum fh_code code)
{
    FH_ASSERT(fake->pending_count > 0);
    struct fh_request *oldest = fake->pending[0];
    fake->pending_count--;
    for (size_t i = 0; i < fake->pending_count; i++) {
        fake->pending[i] = fake->pending[i + 1];
    }
    fh_request_complete(oldest, code);
}

size_t fake_store_turn_away(struct fake_store *fake, enum fh_fence_mode mode)
{
    for (size_t i = 0; i < fake->pending_count; i++) {
        fake->pending[i]->epoch_seen = fake->pending[i]->scope.epoch;
        fake->pending[i]->mode_seen = mode;
    }
    return fake_store_flush(fake, FH_MOVED);
}
