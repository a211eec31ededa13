/* Everything runs on one loop; whoever waits turns it. */
#include "tests/unit/migrator/kit.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "migrator/digest.h"
#include "router/catalog_sqlite/catalog_sqlite.h"
#include "stores/mem/mem.h"
#include "stores/pg/pg.h"
#include "stores/sqlite/sqlite.h"

#define PATIENCE_US (60 * (int64_t)1000000)
#define ARENA_BYTES_MAX ((size_t)512 * 1024 * 1024)

static const struct fh_home shared = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED};

const char *kit_pg_app;
const char *kit_pg_owner;

struct kit_pair kit_pair = {.tiers = {FH_TIER_SHARED, FH_TIER_SHARED}};

static const struct fh_store_ops *engine_of(enum kit_engine engine, size_t which)
{
    bool one_store = kit_pair.one_store;
    if (engine == KIT_MEMORY) {
        return &fh_store_mem_ops;
    }
    return engine == KIT_PG && (which == 1 || one_store) ? &fh_store_pg_ops : &fh_store_sqlite_ops;
}

bool kit_offers(enum kit_engine engine, const struct kit_pair *pair)
{
    kit_pair = *pair;
    for (size_t i = 0; i < 2; i++) {
        uint32_t wanted = fh_capability_of_tier(pair->tiers[i]);
        if ((engine_of(engine, i)->capabilities & wanted) == 0) {
            return false;
        }
    }
    return true;
}

int64_t kit_deadline(const struct kit *kit)
{
    return fh_clock_monotonic_us(kit->env.clock) + PATIENCE_US;
}

void kit_turn(struct kit *kit)
{
    uv_run(&kit->loop, UV_RUN_ONCE);
}

void kit_turn_until(struct kit *kit, bool (*ready)(const struct kit *kit))
{
    int64_t deadline = kit_deadline(kit);
    while (!ready(kit)) {
        assert_true(fh_clock_monotonic_us(kit->env.clock) < deadline);
        uv_run(&kit->loop, UV_RUN_NOWAIT);
    }
}

static bool is_done(const struct kit *kit)
{
    return kit->done;
}

void kit_note_closed(void *arg)
{
    ((struct kit *)arg)->done = true;
}

/* The catalog that can be made to fail */

static void late_cb(uv_idle_t *idle)
{
    struct kit_catalog *self = idle->data;
    size_t count = self->late_count;
    struct fh_catalog_request *late[16];
    enum fh_code codes[16];
    memcpy(late, self->late, sizeof(late));
    memcpy(codes, self->late_codes, sizeof(codes));
    self->late_count = 0;
    uv_idle_stop(idle);
    for (size_t i = 0; i < count; i++) {
        late[i]->code = codes[i];
        late[i]->done_cb(late[i]);
    }
}

struct lost_answer {
    void (*done_cb)(struct fh_catalog_request *request);
    void *arg;
    enum fh_code code;
};

static void lost_cb(struct fh_catalog_request *request)
{
    struct lost_answer *lost = request->arg;
    request->done_cb = lost->done_cb;
    request->arg = lost->arg;
    request->code = lost->code;
    free(lost); /* NOLINT(fh-alloc): the test's own */
    request->done_cb(request);
}

static enum fh_code catalog_submit(struct fh_catalog *catalog, struct fh_catalog_request *request)
{
    struct kit_catalog *self = (struct kit_catalog *)catalog;
    bool meets = self->nth > 0 && request->op == self->op && --self->nth == 0;
    self->met = self->met || meets;
    if (self->unreachable || (meets && !self->executes)) {
        assert_true(self->late_count < 16);
        self->late_codes[self->late_count] = self->unreachable ? FH_UNAVAILABLE : self->code;
        self->late[self->late_count++] = request;
        (void)uv_idle_start(&self->idle, late_cb);
        return FH_OK;
    }
    if (meets) {
        struct lost_answer *lost = malloc(sizeof(*lost)); /* NOLINT(fh-alloc): the test's own */
        assert_non_null(lost);
        *lost = (struct lost_answer){request->done_cb, request->arg, self->code};
        request->done_cb = lost_cb;
        request->arg = lost;
    }
    return fh_catalog_submit(self->inner, request);
}

static void idle_closed_cb(uv_handle_t *handle)
{
    struct kit_catalog *self = handle->data;
    self->closed_cb(self->closed_arg);
}

static void catalog_close(struct fh_catalog *catalog, fh_catalog_closed_cb *done_cb, void *arg)
{
    struct kit_catalog *self = (struct kit_catalog *)catalog;
    self->closed_cb = done_cb;
    self->closed_arg = arg;
    fh_catalog_unwatch(&self->watcher);
    uv_close((uv_handle_t *)&self->idle, idle_closed_cb);
}

static void hint_cb(void *arg, enum fh_catalog_hint hint, const struct fh_uuid *uuid)
{
    fh_catalog_tell(arg, hint, uuid);
}

static const struct fh_catalog_ops catalog_ops = {
    .engine = "kit", .submit = catalog_submit, .close = catalog_close};

static void open_catalog(struct kit *kit)
{
    char path[128];
    struct fh_error error = FH_ERROR_INIT;
    struct kit_catalog *self = &kit->catalog;
    (void)snprintf(path, sizeof(path), "%s/catalog.db", kit->dir);
    assert_int_equal(fh_catalog_sqlite_open(&kit->env, path, &kit->inner_catalog, &error), FH_OK);
    fh_catalog_init(&self->catalog, &catalog_ops, false);
    self->inner = kit->inner_catalog;
    self->watcher = (struct fh_catalog_watcher){.hint_cb = hint_cb, .arg = &self->catalog};
    fh_catalog_watch(self->inner, &self->watcher);
    (void)uv_idle_init(&kit->loop, &self->idle);
    self->idle.data = self;
}

static void asked_cb(struct fh_catalog_request *request)
{
    ((struct kit *)request->arg)->done = true;
}

enum fh_code kit_ask(struct kit *kit, struct fh_catalog_request *request)
{
    request->deadline_us = kit_deadline(kit);
    request->arena = &kit->arena;
    request->done_cb = asked_cb;
    request->arg = kit;
    request->audit.actor = FH_STR("root");
    request->audit.address = FH_STR("127.0.0.1");
    kit->done = false;
    enum fh_code code = fh_catalog_submit(kit->inner_catalog, request);
    if (code != FH_OK) {
        return code;
    }
    kit_turn_until(kit, is_done);
    return request->code;
}

static void store_done_cb(struct fh_request *request)
{
    ((struct kit *)request->arg)->done = true;
}

/* Past the faults. */
enum fh_code kit_ask_store(struct kit *kit, size_t store, struct fh_request *request)
{
    request->deadline_us = kit_deadline(kit);
    request->arena = &kit->arena;
    request->done_cb = store_done_cb;
    request->arg = kit;
    request->scope.home = kit->homes[store];
    request->scope.schema = &model_v1;
    kit->done = false;
    enum fh_code code = fh_store_submit(kit->real[store], request);
    if (code != FH_OK) {
        return code;
    }
    kit_turn_until(kit, is_done);
    return request->code;
}

static void open_store(struct kit *kit, size_t which)
{
    static const char *const names[] = {"one", "two"};
    char path[128];
    struct fh_error error = FH_ERROR_INIT;
    const struct fh_fault_plan plan = {.seed = 1};
    (void)snprintf(path, sizeof(path), "%s/%s", kit->dir, names[which]);
    struct fh_store_config config = {.name = names[which], .location = path};
    const struct fh_store_ops *ops = engine_of(kit->engine, which);
    if (which == 1 && kit_pair.one_store) {
        kit->real[1] = kit->real[0];
        kit->stores[1] = kit->stores[0];
        return;
    }
    if (ops == &fh_store_pg_ops) {
        config.location = kit_pg_app;
        config.owner_location = kit_pg_owner;
    }
    assert_int_equal(ops->open(&kit->env, &config, &kit->real[which], &error), FH_OK);
    assert_int_equal(fh_store_fault_create(&kit->env, kit->real[which], &plan, &kit->stores[which]),
                     FH_OK);
    assert_int_equal(fh_router_add_store(kit->router, kit->stores[which]), FH_OK);
    assert_int_equal(fh_router_add_store(kit->other, kit->stores[which]), FH_OK);
    struct fh_request apply = {.op = FH_OP_SCHEMA_APPLY, .as.schema.target = &model_v1};
    assert_int_equal(kit_ask_store(kit, which, &apply), FH_OK);
    struct fh_catalog_request create = {.op = FH_CATALOG_STORE_CREATE};
    (void)snprintf(create.as.store.name, sizeof(create.as.store.name), "%s", names[which]);
    create.as.store.engine = FH_STR("memory");
    assert_int_equal(kit_ask(kit, &create), FH_OK);
}

static void create_tenant(struct kit *kit)
{
    kit->tenant = fh_uuid_v7(fh_clock_realtime_us(kit->env.clock));
    for (size_t i = 0; i < 2; i++) {
        fh_home_of(kit_pair.tiers[i], &kit->tenant, &kit->homes[i]);
    }
    struct fh_catalog_request create = {.op = FH_CATALOG_TENANT_CREATE};
    create.as.tenant.uuid = kit->tenant;
    create.as.tenant.slug = FH_STR("acme");
    create.as.tenant.display_name = FH_STR("Acme");
    create.as.tenant.plan = FH_STR("free");
    create.as.tenant.placement =
        (struct fh_placement){.store = "one", .home = kit->homes[0], .epoch = 1, .generation = 1};
    assert_int_equal(kit_ask(kit, &create), FH_OK);
    struct fh_request home = {.op = FH_OP_HOME_CREATE,
                              .scope = {.tenant = kit->tenant, .epoch = 1}};
    home.as.home.fence = (struct fh_fence){1, 1, FH_FENCE_OPEN};
    assert_int_equal(kit_ask_store(kit, 0, &home), FH_OK);
    struct fh_catalog_request advance = {.op = FH_CATALOG_TENANT_ADVANCE};
    advance.as.advance.uuid = kit->tenant;
    advance.as.advance.from_states = 1u << FH_TENANT_PROVISIONING;
    advance.as.advance.to = FH_TENANT_ACTIVE;
    assert_int_equal(kit_ask(kit, &advance), FH_OK);
}

void kit_open(struct kit *kit, enum kit_engine engine)
{
    const char *base = getenv("TMPDIR");
    struct fh_router_options options;
    memset(kit, 0, sizeof(*kit));
    kit->engine = engine;
    kit->random = 1;
    kit->live_before = fh_alloc_live();
    kit->homes[0] = shared;
    kit->homes[1] = shared;
    kit->to = 1;
    (void)snprintf(kit->dir, sizeof(kit->dir), "%.60s/fh-migrator-XXXXXX",
                   base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(kit->dir));
    assert_int_equal(uv_loop_init(&kit->loop), 0);
    if (getenv("KIT_LOG") != NULL) {
        assert_int_equal(fh_log_create(2, FH_LOG_DEBUG, fh_clock_system(), &kit->log), FH_OK);
    }
    kit->env = (struct fh_env){.loop = &kit->loop, .clock = fh_clock_system(), .log = kit->log};
    fh_arena_init(&kit->arena, ARENA_BYTES_MAX);
    open_catalog(kit);
    fh_router_options_init(&options);
    assert_int_equal(fh_router_create(&kit->env, &kit->catalog.catalog, &options, &kit->router),
                     FH_OK);
    assert_int_equal(fh_router_create(&kit->env, &kit->catalog.catalog, &options, &kit->other),
                     FH_OK);
    fh_router_set_schema(kit->router, &model_v1);
    fh_router_set_schema(kit->other, &model_v1);
    open_store(kit, 0);
    open_store(kit, 1);
    create_tenant(kit);
    for (unsigned i = 0; i < KIT_WRITERS; i++) {
        kit->writers[i].kit = kit;
        kit->writers[i].number = i;
        fh_arena_init(&kit->writers[i].arena, (size_t)4 * 1024 * 1024);
    }
}

static int remove_cb(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void kit_close(struct kit *kit)
{
    for (size_t i = 0; i < 2; i++) {
        kit_stop_migrator(kit, i);
    }
    kit_stop_writers(kit);
    for (size_t i = 0; i < (kit->real[0] == kit->real[1] ? 1 : 2); i++) {
        struct fh_store *const stores[] = {kit->stores[i], kit->real[i]};
        for (size_t k = 0; k < 2; k++) {
            kit->done = false;
            fh_store_close(stores[k], kit_note_closed, kit);
            kit_turn_until(kit, is_done);
        }
    }
    kit->done = false;
    fh_router_close(kit->router, kit_note_closed, kit);
    kit_turn_until(kit, is_done);
    kit->done = false;
    fh_router_close(kit->other, kit_note_closed, kit);
    kit_turn_until(kit, is_done);
    kit->done = false;
    fh_catalog_close(&kit->catalog.catalog, kit_note_closed, kit);
    kit_turn_until(kit, is_done);
    kit->done = false;
    fh_catalog_close(kit->inner_catalog, kit_note_closed, kit);
    kit_turn_until(kit, is_done);
    for (size_t i = 0; i < KIT_WRITERS; i++) {
        fh_arena_close(&kit->writers[i].arena);
    }
    fh_arena_close(&kit->arena);
    uv_run(&kit->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&kit->loop), 0);
    fh_log_destroy(kit->log);
    (void)nftw(kit->dir, remove_cb, 16, FTW_DEPTH | FTW_PHYS);
    assert_int_equal(fh_alloc_live(), kit->live_before);
}

/* Migrators */

static enum fh_hook_answer hook_cb(struct fh_run *run, enum fh_step step, bool done, void *arg)
{
    struct kit *kit = arg;
    kit->passes[step] += done;
    if (kit->hook_nth == 0 || step != kit->hook_step || done != kit->hook_done ||
        --kit->hook_nth > 0) {
        return FH_HOOK_GO;
    }
    kit->hook_met = true;
    kit->hooked = kit->hook_answer == FH_HOOK_HOLD ? run : NULL;
    return kit->hook_answer;
}

static enum fh_hook_answer second_cb(struct fh_run *run, enum fh_step step, bool done, void *arg)
{
    struct kit *kit = arg;
    if (kit->second_step != step || done) {
        return FH_HOOK_GO;
    }
    kit->second_step = FH_STEP_WAIT;
    kit->second = run;
    return FH_HOOK_HOLD;
}

struct fh_migrator *kit_start_migrator(struct kit *kit, size_t which)
{
    struct fh_migrator_options options;
    fh_migrator_options_init(&options);
    options.poll_us = 5000;
    options.takeover_after_us = 60000;
    options.beat_us = 20000;
    assert_int_equal(fh_migrator_create(&kit->env, &kit->catalog.catalog, kit->router, &options,
                                        &kit->migrators[which]),
                     FH_OK);
    kit->migrators[which]->hook_cb = which == 0 ? hook_cb : second_cb;
    kit->migrators[which]->hook_arg = kit;
    fh_migrator_start(kit->migrators[which]);
    return kit->migrators[which];
}

void kit_stop_migrator(struct kit *kit, size_t which)
{
    if (kit->migrators[which] == NULL) {
        return;
    }
    kit->done = false;
    fh_migrator_close(kit->migrators[which], kit_note_closed, kit);
    kit_turn_until(kit, is_done);
    kit->migrators[which] = NULL;
}

const char *kit_store_name(const struct kit *kit, size_t which)
{
    return which == 0 || kit->real[0] == kit->real[1] ? "one" : "two";
}

void kit_create_move(struct kit *kit, const struct fh_move_settings *settings)
{
    struct fh_catalog_request create = {.op = FH_CATALOG_MOVE_CREATE};
    kit->move = fh_uuid_v7(fh_clock_realtime_us(kit->env.clock));
    create.as.move.uuid = kit->move;
    create.as.move.tenant = kit->tenant;
    create.as.move.target_home = kit->homes[kit->to];
    (void)snprintf(create.as.move.target_store, sizeof(create.as.move.target_store), "%s",
                   kit_store_name(kit, kit->to));
    create.as.move.settings = *settings;
    assert_int_equal(kit_ask(kit, &create), FH_OK);
}

void kit_wish(struct kit *kit, enum fh_move_wish wish)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_WISH};
    request.as.move_wish.uuid = kit->move;
    request.as.move_wish.wish = wish;
    assert_int_equal(kit_ask(kit, &request), FH_OK);
}

void kit_move(struct kit *kit, struct fh_move *out)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_GET};
    request.as.move_get.uuid = kit->move;
    assert_int_equal(kit_ask(kit, &request), FH_OK);
    *out = request.as.move_get.move;
}

void kit_wait_phase(struct kit *kit, enum fh_move_phase phase)
{
    int64_t deadline = kit_deadline(kit);
    for (;;) {
        struct fh_move move;
        fh_arena_reset(&kit->arena);
        kit_move(kit, &move);
        if (move.phase == phase) {
            return;
        }
        if (fh_move_is_finished(move.phase) || fh_clock_monotonic_us(kit->env.clock) > deadline) {
            fail_msg("the move is %s, not %s: %.*s", fh_move_phase_name(move.phase),
                     fh_move_phase_name(phase), FH_STR_ARG(move.message));
        }
        for (int i = 0; i < 20; i++) {
            uv_run(&kit->loop, UV_RUN_NOWAIT);
        }
    }
}

enum fh_code kit_fence(struct kit *kit, size_t store, uint64_t epoch, struct fh_fence *out)
{
    struct fh_request request = {.op = FH_OP_FENCE_READ,
                                 .scope = {.tenant = kit->tenant, .epoch = epoch}};
    enum fh_code code = kit_ask_store(kit, store, &request);
    *out = request.as.fence.seen;
    return code;
}

void kit_digest(struct kit *kit, size_t store, uint64_t epoch, uint8_t out[32])
{
    struct fh_digest digest = {.context = NULL};
    struct fh_fence fence;
    assert_int_equal(kit_fence(kit, store, epoch, &fence), FH_OK);
    const struct fh_fence_guard guard = {.generation = fence.generation,
                                         .modes = FH_FENCE_BIT(fence.mode)};
    assert_int_equal(fh_digest_begin(&digest), FH_OK);
    for (uint32_t t = 0; t < model_v1.table_count; t++) {
        struct fh_key after;
        bool more = true;
        bool first = true;
        while (more) {
            struct fh_request request = {.op = FH_OP_SCAN,
                                         .scope = {.tenant = kit->tenant, .epoch = epoch}};
            request.as.scan = (struct fh_op_scan){.guard = guard,
                                                  .table = model_v1.tables[t],
                                                  .after = first ? NULL : &after,
                                                  .limit = FH_SCAN_ROWS_MAX,
                                                  .bytes_max = FH_SCAN_BYTES_MAX};
            assert_int_equal(kit_ask_store(kit, store, &request), FH_OK);
            const struct fh_op_scan *scan = &request.as.scan;
            assert_int_equal(fh_digest_rows(&digest, scan->rows, scan->count), FH_OK);
            more = scan->more;
            first = false;
            if (scan->count > 0) {
                fh_key_of_row(scan->rows[scan->count - 1], &after);
            }
        }
    }
    uint64_t after_epoch = 0;
    uint64_t after_seq = 0;
    bool more = true;
    while (more) {
        struct fh_request request = {.op = FH_OP_SCAN_JOURNAL,
                                     .scope = {.tenant = kit->tenant, .epoch = epoch}};
        request.as.scan_journal = (struct fh_op_scan_journal){.guard = guard,
                                                              .after_epoch = after_epoch,
                                                              .after_seq = after_seq,
                                                              .limit = FH_SCAN_ROWS_MAX,
                                                              .bytes_max = FH_SCAN_BYTES_MAX};
        assert_int_equal(kit_ask_store(kit, store, &request), FH_OK);
        const struct fh_op_scan_journal *scan = &request.as.scan_journal;
        assert_int_equal(fh_digest_journal(&digest, scan->rows, scan->count), FH_OK);
        more = scan->more;
        if (scan->count > 0) {
            after_epoch = scan->rows[scan->count - 1].epoch;
            after_seq = scan->rows[scan->count - 1].seq;
        }
    }
    assert_int_equal(fh_digest_finish(&digest), FH_OK);
    memcpy(out, digest.value, 32);
    fh_digest_close(&digest);
}
