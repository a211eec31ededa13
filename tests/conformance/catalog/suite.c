/* The frame of every test, and the helpers.
 *
 * Failures: cmocka leaves a test by longjmp, so what a test opened is closed in its teardown.
 */
#include "tests/conformance/catalog/suite.h"

#include <stdio.h>

#include "base/alloc.h"

#define ARENA_BYTES_MAX ((size_t)256 << 20)
#define WATCHDOG_MS 60000
#define WALL_START_US INT64_C(1795226400000000) /* 2026-11-21T02:00:00Z */
#define REQUEST_US INT64_C(600000000)

static const struct catalog_engine *engine_under_test;

void catalog_assert_code(enum fh_code actual, enum fh_code expected, const char *what,
                         const char *file, int line)
{
    if (actual != expected) {
        print_error("%s: is %s, not %s\n", what, fh_code_name(actual), fh_code_name(expected));
        _fail(file, line);
    }
}

struct fh_catalog *catalog_open(struct catalog_suite *s)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_catalog *catalog = NULL;
    if (s->engine->open(&s->env, &catalog, &error) != FH_OK) {
        print_error("open: %s\n", fh_error_text(&error));
        fail();
    }
    assert_string_equal(catalog->ops->engine, s->engine->name);
    assert_int_equal(catalog->shared, s->engine->shared);
    return catalog;
}

static void closed_cb(void *arg)
{
    *(bool *)arg = true;
}

void catalog_close(struct catalog_suite *s, struct fh_catalog *catalog)
{
    bool closed = false;
    fh_catalog_close(catalog, closed_cb, &closed);
    assert_false(closed);
    catalog_wait(s, &closed);
}

static void hint_cb(void *arg, enum fh_catalog_hint hint, const struct fh_uuid *uuid)
{
    struct catalog_suite *s = arg;
    if (s->awaited.hint == hint && fh_uuid_eq(&s->awaited.uuid, uuid)) {
        s->awaited_came = true;
    }
    if (s->hint_count == CATALOG_HINTS_MAX) {
        memmove(s->hints, s->hints + 1, sizeof(s->hints) - sizeof(s->hints[0]));
        s->hint_count--;
    }
    s->hints[s->hint_count++] = (struct catalog_hint){.hint = hint, .uuid = *uuid};
}

void catalog_assert_told(struct catalog_suite *s, enum fh_catalog_hint hint,
                         const struct fh_uuid *uuid)
{
    for (size_t i = 0; i < s->hint_count; i++) {
        if (s->hints[i].hint == hint && fh_uuid_eq(&s->hints[i].uuid, uuid)) {
            return;
        }
    }
    s->awaited = (struct catalog_hint){.hint = hint, .uuid = *uuid};
    s->awaited_came = false;
    catalog_wait(s, &s->awaited_came);
}

void catalog_assert_silent(const struct catalog_suite *s)
{
    if (!s->engine->shared) {
        assert_int_equal(s->hint_count, 0);
    }
}

void catalog_forget_hints(struct catalog_suite *s)
{
    s->hint_count = 0;
}

static void open_watched(struct catalog_suite *s)
{
    s->catalog = catalog_open(s);
    s->watcher = (struct fh_catalog_watcher){.hint_cb = hint_cb, .arg = s};
    fh_catalog_watch(s->catalog, &s->watcher);
}

static void close_watched(struct catalog_suite *s)
{
    struct fh_catalog *catalog = s->catalog;
    fh_catalog_unwatch(&s->watcher);
    s->catalog = NULL;
    catalog_close(s, catalog);
}

void catalog_reopen(struct catalog_suite *s)
{
    close_watched(s);
    open_watched(s);
}

int catalog_setup(void **state)
{
    struct catalog_suite *s = fh_calloc(1, sizeof(*s));
    if (s == NULL || uv_loop_init(&s->loop) != 0) {
        fh_free(s);
        return -1;
    }
    s->engine = engine_under_test;
    if (s->engine->reset != NULL && s->engine->reset() != 0) {
        uv_loop_close(&s->loop);
        fh_free(s);
        return -1;
    }
    fh_clock_virtual_init(&s->clock, WALL_START_US);
    s->env = (struct fh_env){.loop = &s->loop, .clock = &s->clock.clock};
    fh_arena_init(&s->arena, ARENA_BYTES_MAX);
    *state = s;
    open_watched(s);
    return 0;
}

static struct fh_uuid active_tenant(struct catalog_suite *s, const char *slug)
{
    struct fh_catalog_request made = catalog_creation(s, slug, "");
    assert_code(catalog_run(s, &made), FH_OK);
    assert_code(catalog_advance(s, &made.as.tenant.uuid, 1u << FH_TENANT_PROVISIONING, 1,
                                FH_TENANT_ACTIVE, false, NULL),
                FH_OK);
    return made.as.tenant.uuid;
}

int catalog_setup_world(void **state)
{
    static const char *const stores[] = {"north", "south", "west"};
    if (catalog_setup(state) != 0) {
        return -1;
    }
    struct catalog_suite *s = *state;
    for (size_t i = 0; i < 3; i++) {
        assert_code(catalog_add_store(s, stores[i]), FH_OK);
    }
    s->a = active_tenant(s, "acme");
    s->b = active_tenant(s, "bolt");
    catalog_forget_hints(s);
    return 0;
}

static void walk_cb(uv_handle_t *handle, void *arg)
{
    size_t *count = arg;
    *count += 1;
    print_error("left open: a %s handle\n", uv_handle_type_name(handle->type));
}

int catalog_teardown(void **state)
{
    struct catalog_suite *s = *state;
    if (s->second != NULL) {
        catalog_close(s, s->second);
    }
    if (s->catalog != NULL) {
        close_watched(s);
    }
    fh_arena_close(&s->arena);
    size_t handles = 0;
    uv_walk(&s->loop, walk_cb, &handles);
    int rc = uv_loop_close(&s->loop);
    if (s->engine->cleanup != NULL) {
        s->engine->cleanup();
    }
    fh_free(s);
    return handles == 0 && rc == 0 ? 0 : -1;
}

struct fh_uuid catalog_uuid(struct catalog_suite *s)
{
    fh_clock_virtual_advance(&s->clock, 1000);
    return fh_uuid_v7(s->clock.realtime_us);
}

static void run_done_cb(struct fh_catalog_request *request)
{
    bool *done = request->arg;
    if (*done) {
        fail_msg("completed twice");
    }
    *done = true;
}

void catalog_prepare(struct catalog_suite *s, struct fh_catalog_request *request)
{
    request->arena = &s->arena;
    if (request->deadline_us == 0) {
        request->deadline_us = s->clock.monotonic_us + REQUEST_US;
    }
    if (request->audit.actor.len == 0) {
        request->audit.actor = FH_STR("root@example");
        request->audit.address = FH_STR("127.0.0.1");
    }
}

static void watchdog_cb(uv_timer_t *timer)
{
    struct catalog_suite *s = timer->data;
    s->watchdog_barked = true;
}

static void watchdog_closed_cb(uv_handle_t *handle)
{
    fh_free(handle);
}

void catalog_wait(struct catalog_suite *s, const bool *done)
{
    uv_timer_t *watchdog = fh_calloc(1, sizeof(*watchdog));
    assert_non_null(watchdog);
    uv_timer_init(&s->loop, watchdog);
    watchdog->data = s;
    s->watchdog_barked = false;
    uv_timer_start(watchdog, watchdog_cb, WATCHDOG_MS, 0);
    while (!*done && !s->watchdog_barked) {
        uv_run(&s->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)watchdog, watchdog_closed_cb);
    uv_run(&s->loop, UV_RUN_NOWAIT); /* frees the timer; a second completion would show here */
    if (s->watchdog_barked) {
        fail_msg("waited for something that never came");
    }
}

enum fh_code catalog_run_on(struct catalog_suite *s, struct fh_catalog *catalog,
                            struct fh_catalog_request *request)
{
    bool done = false;
    size_t hints = s->hint_count;
    catalog_prepare(s, request);
    request->done_cb = run_done_cb;
    request->arg = &done;
    enum fh_code code = fh_catalog_submit(catalog, request);
    assert_false(done); /* never inside submit, refused or not */
    assert_int_equal(s->hint_count, hints);
    if (code != FH_OK) {
        assert_int_equal(request->error.code, code);
        uv_run(&s->loop, UV_RUN_NOWAIT);
        assert_false(done); /* refused: never at all */
        return code;
    }
    catalog_wait(s, &done);
    assert_int_equal(request->error.code, request->code);
    return request->code;
}

enum fh_code catalog_run(struct catalog_suite *s, struct fh_catalog_request *request)
{
    return catalog_run_on(s, s->via != NULL ? s->via : s->catalog, request);
}

enum fh_code catalog_add_store(struct catalog_suite *s, const char *name)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_STORE_CREATE};
    (void)snprintf(request.as.store.name, sizeof(request.as.store.name), "%s", name);
    request.as.store.engine = FH_STR("sqlite");
    request.as.store.location = FH_STR("somewhere");
    request.as.store.owner_location = FH_STR("as-owner");
    request.as.store.region = FH_STR("eu");
    request.as.store.may_lose_writes = name[0] == 'w';
    return catalog_run(s, &request);
}

struct fh_catalog_request catalog_creation(struct catalog_suite *s, const char *slug,
                                           const char *request_id)
{
    static struct fh_label labels[2];
    labels[0] = (struct fh_label){FH_STR("b"), FH_STR("2")};
    labels[1] = (struct fh_label){FH_STR("a"), FH_STR("1")};
    struct fh_catalog_request request = {.op = FH_CATALOG_TENANT_CREATE};
    request.audit.request_id = fh_str_of(request_id);
    request.as.tenant.uuid = catalog_uuid(s);
    request.as.tenant.slug = fh_str_of(slug);
    request.as.tenant.display_name = FH_STR("A tenant");
    request.as.tenant.plan = FH_STR("free");
    request.as.tenant.labels = labels;
    request.as.tenant.label_count = 2;
    request.as.tenant.placement = (struct fh_placement){
        .store = "north",
        .home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED},
        .epoch = 1,
        .generation = 1,
    };
    return request;
}

enum fh_code catalog_advance(struct catalog_suite *s, const struct fh_uuid *uuid,
                             uint32_t from_states, uint64_t generation, enum fh_tenant_state to,
                             bool bump, struct fh_tenant *out)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_TENANT_ADVANCE};
    request.as.advance.uuid = *uuid;
    request.as.advance.from_states = from_states;
    request.as.advance.generation = generation;
    request.as.advance.to = to;
    request.as.advance.bump_generation = bump;
    enum fh_code code = catalog_run(s, &request);
    if (out != NULL) {
        *out = request.as.advance.tenant;
    }
    return code;
}

struct fh_tenant catalog_tenant(struct catalog_suite *s, const struct fh_uuid *uuid)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_TENANT_GET};
    request.as.get.uuid = *uuid;
    assert_code(catalog_run(s, &request), FH_OK);
    return request.as.get.tenant;
}

struct catalog_events catalog_events_of(struct catalog_suite *s, const char *resource)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_EVENTS};
    request.as.events.resource = fh_str_of(resource);
    request.as.events.limit = FH_PAGE_MAX;
    assert_code(catalog_run(s, &request), FH_OK);
    assert_false(request.as.events.more);
    return (struct catalog_events){request.as.events.events, request.as.events.count};
}

int catalog_conformance_main(const struct catalog_engine *engine, int argc, char **argv)
{
    struct catalog_part (*const parts[])(void) = {
        catalog_part_tenants, catalog_part_records, catalog_part_moves,    catalog_part_switch,
        catalog_part_events,  catalog_part_walk,    catalog_part_rollouts,
    };
    struct CMUnitTest tests[128];
    size_t count = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct catalog_part part = parts[i]();
        for (size_t t = 0; t < part.count; t++) {
            if (count == sizeof(tests) / sizeof(tests[0])) {
                (void)fprintf(stderr, "more tests than the suite has room for\n");
                return 1;
            }
            tests[count++] = part.tests[t];
        }
    }
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    engine_under_test = engine;
    if (engine->start != NULL && engine->start() != 0) {
        (void)fprintf(stderr, "%s: cannot start\n", engine->name);
        return 1;
    }
    int failed = _cmocka_run_group_tests(engine->name, tests, count, NULL, NULL);
    if (engine->stop != NULL) {
        engine->stop();
    }
    return failed == 0 ? 0 : 1;
}
