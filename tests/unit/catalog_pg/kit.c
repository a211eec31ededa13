#include "tests/unit/catalog_pg/kit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"

#define TEST_US (60 * KIT_SECOND_US)

static struct fh_pgtest *server;

struct fh_pgtest *kit_server(void)
{
    return server;
}

int kit_start_server(void **state)
{
    (void)state;
    const struct fh_pgtest_options options = {.fsync_off = true};
    return fh_pgtest_start(&options, &server) == FH_OK ? 0 : -1;
}

int kit_stop_server(void **state)
{
    (void)state;
    fh_pgtest_stop(server);
    return 0;
}

const char *kit_dsn(void)
{
    return fh_pgtest_dsn(server, FH_PGTEST_OWNER, FH_PGTEST_UNIX);
}

static void tick_cb(uv_timer_t *timer)
{
    (void)timer;
}

static void hint_cb(void *arg, enum fh_catalog_hint hint, const struct fh_uuid *uuid)
{
    struct kit_handle *handle = arg;
    assert_true(handle->hint_count < KIT_HINTS_MAX);
    handle->hints[handle->hint_count++] = (struct kit_hint){.hint = hint, .uuid = *uuid};
}

void kit_open(struct kit *f, size_t handle, const char *dsn)
{
    struct kit_handle *at = &f->handles[handle];
    struct fh_error error = FH_ERROR_INIT;
    assert_null(at->catalog);
    if (fh_catalog_pg_open(&f->env, dsn, &at->catalog, &error) != FH_OK) {
        fail_msg("open: %s", fh_error_text(&error));
    }
    assert_true(at->catalog->shared);
    at->kit = f;
    at->closed = false;
    at->watcher = (struct fh_catalog_watcher){.hint_cb = hint_cb, .arg = at};
    fh_catalog_watch(at->catalog, &at->watcher);
}

static void closed_cb(void *arg)
{
    struct kit_handle *handle = arg;
    assert_false(handle->closed);
    handle->closed = true;
}

void kit_begin_close(struct kit *f, size_t handle)
{
    struct kit_handle *at = &f->handles[handle];
    fh_catalog_unwatch(&at->watcher);
    fh_catalog_close(at->catalog, closed_cb, at);
    at->catalog = NULL;
}

void kit_close(struct kit *f, size_t handle)
{
    kit_begin_close(f, handle);
    while (!f->handles[handle].closed) {
        kit_turn(f);
    }
}

void kit_turn(struct kit *f)
{
    uv_run(&f->loop, UV_RUN_ONCE);
    if (fh_clock_monotonic_us(f->env.clock) - f->started_us > TEST_US) {
        fail_msg("waited for something that never came");
    }
}

int kit_set_up_empty(void **state)
{
    struct kit *f = fh_calloc(1, sizeof(*f));
    if (f == NULL || !fh_pgtest_exec(server, FH_PGTEST_OWNER,
                                     "DROP SCHEMA IF EXISTS freehold_catalog CASCADE")) {
        fh_free(f);
        return -1;
    }
    assert_int_equal(uv_loop_init(&f->loop), 0);
    f->env = (struct fh_env){.loop = &f->loop, .clock = fh_clock_system()};
    f->started_us = fh_clock_monotonic_us(f->env.clock);
    for (size_t i = 0; i < 2 * KIT_HANDLES_MAX; i++) {
        fh_arena_init(&f->arenas[i], (size_t)64 << 20);
    }
    uv_timer_init(&f->loop, &f->tick);
    uv_timer_start(&f->tick, tick_cb, 10, 10);
    *state = f;
    return 0;
}

static void add_store(struct kit *f, const char *name)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_STORE_CREATE};
    (void)snprintf(request.as.store.name, sizeof(request.as.store.name), "%s", name);
    request.as.store.engine = FH_STR("sqlite");
    assert_int_equal(kit_run(f, 0, &request), FH_OK);
}

int kit_set_up(void **state)
{
    if (kit_set_up_empty(state) != 0) {
        return -1;
    }
    struct kit *f = *state;
    kit_open(f, 0, kit_dsn());
    kit_open(f, 1, kit_dsn());
    add_store(f, "north");
    add_store(f, "south");
    struct fh_catalog_request made = {.op = FH_CATALOG_TENANT_CREATE};
    made.as.tenant.uuid = fh_uuid_v7(fh_clock_realtime_us(f->env.clock));
    made.as.tenant.slug = FH_STR("acme");
    made.as.tenant.placement =
        (struct fh_placement){.store = "north",
                              .home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED},
                              .epoch = 1,
                              .generation = 1};
    assert_int_equal(kit_run(f, 0, &made), FH_OK);
    f->tenant = made.as.tenant.uuid;
    struct fh_catalog_request active = kit_advance(&f->tenant, FH_TENANT_ACTIVE);
    assert_int_equal(kit_run(f, 0, &active), FH_OK);
    kit_await_hint(f, 1, FH_CATALOG_HINT_TENANT, &f->tenant); /* and what came before it */
    kit_forget_hints(f);
    return 0;
}

int kit_tear_down(void **state)
{
    struct kit *f = *state;
    for (size_t i = 0; i < KIT_HANDLES_MAX; i++) {
        if (f->handles[i].catalog != NULL) {
            kit_close(f, i);
        }
    }
    for (size_t i = 0; i < 2 * KIT_HANDLES_MAX; i++) {
        fh_arena_close(&f->arenas[i]);
    }
    uv_close((uv_handle_t *)&f->tick, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&f->loop);
    fh_free(f);
    return rc;
}

static void done_cb(struct fh_catalog_request *request)
{
    struct kit *f = request->arg;
    assert_true(f->pending > 0);
    f->pending--;
}

/* Two requests that may run at the same time must not share an arena; those of one worker may. */
static bool is_quick(enum fh_catalog_op op)
{
    return op == FH_CATALOG_TENANT_GET || op == FH_CATALOG_TENANT_ADVANCE ||
           op == FH_CATALOG_MOVE_CLAIM || op == FH_CATALOG_MOVE_ADVANCE ||
           op == FH_CATALOG_MOVE_SWITCH;
}

void kit_prepare(struct kit *f, size_t handle, struct fh_catalog_request *request,
                 int64_t within_us)
{
    request->arena = &f->arenas[2 * handle + (is_quick(request->op) ? 0 : 1)];
    request->done_cb = done_cb;
    request->arg = f;
    request->deadline_us = fh_clock_monotonic_us(f->env.clock) + within_us;
    request->audit.actor = FH_STR("root@example");
    request->audit.address = FH_STR("127.0.0.1");
}

void kit_submit(struct kit *f, size_t handle, struct fh_catalog_request *request, int64_t within_us)
{
    kit_prepare(f, handle, request, within_us);
    assert_int_equal(fh_catalog_submit(f->handles[handle].catalog, request), FH_OK);
    f->pending++;
}

void kit_wait(struct kit *f)
{
    while (f->pending > 0) {
        kit_turn(f);
    }
}

enum fh_code kit_run_within(struct kit *f, size_t handle, struct fh_catalog_request *request,
                            int64_t within_us)
{
    kit_submit(f, handle, request, within_us);
    kit_wait(f);
    return request->code;
}

enum fh_code kit_run(struct kit *f, size_t handle, struct fh_catalog_request *request)
{
    return kit_run_within(f, handle, request, 30 * KIT_SECOND_US);
}

struct fh_catalog_request kit_get(const struct fh_uuid *tenant)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_TENANT_GET};
    request.as.get.uuid = *tenant;
    return request;
}

struct fh_catalog_request kit_advance(const struct fh_uuid *tenant, enum fh_tenant_state to)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_TENANT_ADVANCE};
    request.as.advance.uuid = *tenant;
    request.as.advance.from_states = 31u << FH_TENANT_PROVISIONING;
    request.as.advance.to = to;
    return request;
}

struct fh_move kit_move(struct kit *f)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_CREATE};
    request.as.move.uuid = fh_uuid_v7(fh_clock_realtime_us(f->env.clock));
    request.as.move.tenant = f->tenant;
    (void)snprintf(request.as.move.target_store, sizeof(request.as.move.target_store), "south");
    request.as.move.target_home = (struct fh_home){.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED};
    assert_int_equal(kit_run(f, 0, &request), FH_OK);
    return request.as.move;
}

struct fh_catalog_request kit_claim(const struct fh_move *move)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_CLAIM};
    request.as.move_claim.uuid = move->uuid;
    request.as.move_claim.beat = move->beat;
    request.as.move_claim.worker = fh_uuid_v7(1);
    return request;
}

bool kit_told(const struct kit *f, size_t handle, enum fh_catalog_hint hint,
              const struct fh_uuid *uuid)
{
    const struct kit_handle *at = &f->handles[handle];
    for (size_t i = 0; i < at->hint_count; i++) {
        if (at->hints[i].hint == hint && fh_uuid_eq(&at->hints[i].uuid, uuid)) {
            return true;
        }
    }
    return false;
}

void kit_await_hint(struct kit *f, size_t handle, enum fh_catalog_hint hint,
                    const struct fh_uuid *uuid)
{
    while (!kit_told(f, handle, hint, uuid)) {
        kit_turn(f);
    }
}

void kit_await_lost(struct kit *f, size_t handle)
{
    static const struct fh_uuid nil;
    kit_await_hint(f, handle, FH_CATALOG_HINT_TENANT, &nil);
    kit_await_hint(f, handle, FH_CATALOG_HINT_MOVE, &nil);
    kit_await_hint(f, handle, FH_CATALOG_HINT_STORES, &nil);
    kit_await_hint(f, handle, FH_CATALOG_HINT_SCHEMA, &nil);
}

void kit_forget_hints(struct kit *f)
{
    for (size_t i = 0; i < KIT_HANDLES_MAX; i++) {
        f->handles[i].hint_count = 0;
    }
}

long long kit_number(const char *sql)
{
    char text[32];
    long long number = 0;
    assert_true(fh_pgtest_value(server, FH_PGTEST_SUPERUSER, sql, text, sizeof(text)));
    assert_true(fh_str_to_int64(fh_str_of(text), &number));
    return number;
}

void kit_await_number(struct kit *f, const char *sql, long long number)
{
    while (kit_number(sql) != number) {
        kit_turn(f);
    }
}

struct fh_pgtest_session *kit_hold_commits(void)
{
    struct fh_pgtest_session *holder =
        fh_pgtest_session_open(server, FH_PGTEST_OWNER,
                               "BEGIN; UPDATE freehold_catalog.catalog SET last_event=last_event");
    assert_non_null(holder);
    return holder;
}
