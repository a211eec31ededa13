/* The frame of every test, and one helper an operation. */
#include "tests/conformance/suite.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"

#define ARENA_BYTES_MAX ((size_t)256 << 20)
#define WATCHDOG_MS 60000
#define WALL_START_US INT64_C(1795226400000000) /* 2026-11-21T02:00:00Z */

static const struct suite_engine *engine_under_test;
static enum fh_tier tier_under_test = FH_TIER_SHARED;

void suite_assert_code(enum fh_code actual, enum fh_code expected, const char *what,
                       const char *message, const char *file, int line)
{
    if (actual != expected) {
        print_error("%s: is %s, not %s%s%s\n", what, fh_code_name(actual), fh_code_name(expected),
                    message != NULL && message[0] != '\0' ? ": " : "",
                    message != NULL ? message : "");
        _fail(file, line);
    }
}

void suite_open(struct suite *s)
{
    struct fh_store_config config = {.name = "conformance",
                                     .queue_max = s->queue_max,
                                     .homes_max = s->homes_max,
                                     .faults = s->with_faults ? &s->faults : NULL};
    struct fh_error error = FH_ERROR_INIT;
    if (s->engine->configure != NULL) {
        s->engine->configure(s->with_faults && s->faults.skip_enforcement, &config);
    }
    enum fh_code code = s->engine->open(&s->env, &config, &s->store, &error);
    suite_assert_code(code, FH_OK, "open", error.message, __FILE__, __LINE__);
}

static void closed_cb(void *arg)
{
    *(bool *)arg = true;
}

static void close_store(struct suite *s, struct fh_store **store)
{
    bool closed = false;
    struct fh_store *wrapped = s->engine->wrapped != NULL ? s->engine->wrapped(*store) : NULL;
    fh_store_close(*store, closed_cb, &closed);
    *store = NULL;
    suite_wait(s, &closed);
    if (wrapped != NULL) {
        closed = false;
        fh_store_close(wrapped, closed_cb, &closed);
        suite_wait(s, &closed);
    }
}

void suite_close(struct suite *s)
{
    close_store(s, &s->store);
}

void suite_swap(struct suite *s)
{
    if (s->other != NULL) {
        struct fh_store *other = s->other;
        s->other = s->store;
        s->store = other;
    }
    enum fh_tier tier = s->other_tier;
    s->other_tier = s->tier;
    s->tier = tier;
}

bool suite_offers(const struct suite *s, enum fh_tier tier)
{
    static const uint32_t capabilities[] = {[FH_TIER_SHARED] = FH_CAPABILITY_SHARED,
                                            [FH_TIER_SCHEMA] = FH_CAPABILITY_SCHEMA,
                                            [FH_TIER_DATABASE] = FH_CAPABILITY_DATABASE};
    return (s->store->ops->capabilities & capabilities[tier]) != 0;
}

void suite_open_other(struct suite *s)
{
    struct fh_store_config config = {.name = "conformance-other", .queue_max = s->queue_max};
    struct fh_error error = FH_ERROR_INIT;
    assert_true(s->engine->configure_other == NULL || s->engine->configure_other(&config));
    enum fh_code code = s->engine->open(&s->env, &config, &s->other, &error);
    suite_assert_code(code, FH_OK, "open the other", error.message, __FILE__, __LINE__);
    suite_swap(s);
    suite_apply_schema(s, s->schema);
    suite_swap(s);
}

void suite_reopen(struct suite *s)
{
    suite_close(s);
    suite_open(s);
}

static void walk_cb(uv_handle_t *handle, void *arg)
{
    size_t *count = arg;
    *count += 1;
    print_error("left open: a %s handle\n", uv_handle_type_name(handle->type));
}

int suite_setup_bare(void **state)
{
    struct suite *s = fh_calloc(1, sizeof(*s));
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
    s->epoch = 1;
    s->tier = tier_under_test;
    s->other_tier = tier_under_test;
    s->schema = &model_v1;
    s->a = uuid_of(0x0a, 1);
    s->b = uuid_of(0x0b, 2);
    *state = s;
    suite_open(s);
    return 0;
}

int suite_setup(void **state)
{
    if (suite_setup_bare(state) != 0) {
        return -1;
    }
    struct suite *s = *state;
    suite_apply_schema(s, &model_v1);
    assert_code(suite_home_create(s, &s->a, 1, 1, FH_FENCE_OPEN), FH_OK);
    assert_code(suite_home_create(s, &s->b, 1, 1, FH_FENCE_OPEN), FH_OK);
    return 0;
}

int suite_teardown(void **state)
{
    struct suite *s = *state;
    if (s->store != NULL) {
        suite_close(s);
    }
    if (s->other != NULL) {
        close_store(s, &s->other);
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

struct fh_home suite_home(const struct suite *s, const struct fh_uuid *tenant)
{
    struct fh_home home;
    fh_home_of(tenant != NULL ? s->tier : FH_TIER_SHARED, tenant, &home);
    return home;
}

struct fh_scope suite_scope(const struct suite *s, const struct fh_uuid *tenant)
{
    struct fh_scope scope = {.epoch = s->epoch, .home = suite_home(s, tenant), .schema = s->schema};
    if (tenant != NULL) {
        scope.tenant = *tenant;
    }
    return scope;
}

static void run_done_cb(struct fh_request *request)
{
    bool *done = request->arg;
    if (*done) {
        fail_msg("completed twice");
    }
    *done = true;
}

struct fh_request suite_request(struct suite *s, enum fh_op op, const struct fh_uuid *tenant)
{
    return (struct fh_request){.op = op,
                               .scope = suite_scope(s, tenant),
                               .deadline_us = s->clock.monotonic_us + INT64_C(600000000),
                               .arena = &s->arena,
                               .done_cb = run_done_cb};
}

static void watchdog_cb(uv_timer_t *timer)
{
    struct suite *s = timer->data;
    s->watchdog_barked = true;
}

static void watchdog_closed_cb(uv_handle_t *handle)
{
    fh_free(handle);
}

void suite_wait(struct suite *s, const bool *done)
{
    uv_timer_t *watchdog = fh_calloc(1, sizeof(*watchdog));
    assert_non_null(watchdog);
    uv_timer_init(&s->loop, watchdog);
    watchdog->data = s;
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

enum fh_code suite_run(struct suite *s, struct fh_request *request)
{
    bool done = false;
    request->done_cb = run_done_cb;
    request->arg = &done;
    enum fh_code code = fh_store_submit(s->store, request);
    assert_false(done); /* never inside submit, refused or not */
    if (code != FH_OK) {
        uv_run(&s->loop, UV_RUN_NOWAIT);
        assert_false(done); /* refused: never at all */
        return code;
    }
    suite_wait(s, &done);
    return request->code;
}

struct fh_request suite_schema_request(struct suite *s, const struct fh_uuid *tenant,
                                       const struct fh_schema *schema)
{
    if (s->tier == FH_TIER_SHARED) {
        struct fh_request request = suite_request(s, FH_OP_SCHEMA_APPLY, NULL);
        request.as.schema.target = schema;
        return request;
    }
    struct fh_fence fence = {.epoch = 0};
    enum fh_code code = suite_fence_read(s, tenant, &fence);
    assert_true(code == FH_OK || code == FH_NO_TENANT);
    struct fh_request request = suite_request(s, FH_OP_SCHEMA_APPLY, tenant);
    request.scope.epoch = fence.epoch;
    request.as.schema.target = schema;
    request.as.schema.guard = (struct fh_fence_guard){
        fence.generation, FH_FENCE_BIT(code == FH_OK ? fence.mode : FH_FENCE_OPEN)};
    return request;
}

void suite_apply_schema(struct suite *s, const struct fh_schema *schema)
{
    const struct fh_uuid *const tenants[] = {&s->a, &s->b};
    for (size_t i = 0; i < (s->tier == FH_TIER_SHARED ? 1 : 2); i++) {
        if (s->tier != FH_TIER_SHARED && suite_version(s, tenants[i]) == 0) {
            continue;
        }
        struct fh_request request = suite_schema_request(s, tenants[i], schema);
        enum fh_code code = suite_run(s, &request);
        suite_assert_code(code, FH_OK, "schema apply", request.error.message, __FILE__, __LINE__);
        assert_int_equal(request.as.schema.version_seen, schema->version);
    }
    s->schema = schema;
}

uint32_t suite_version(struct suite *s, const struct fh_uuid *tenant)
{
    struct fh_request request = suite_request(s, FH_OP_FENCE_READ, tenant);
    enum fh_code code = suite_run(s, &request);
    assert_true(code == FH_OK || code == FH_NO_TENANT);
    return request.as.fence.schema_version;
}

enum fh_code suite_home_create(struct suite *s, const struct fh_uuid *tenant, uint64_t epoch,
                               uint64_t generation, enum fh_fence_mode mode)
{
    struct fh_request request = suite_request(s, FH_OP_HOME_CREATE, tenant);
    request.scope.epoch = epoch;
    request.as.home.fence =
        (struct fh_fence){.epoch = epoch, .generation = generation, .mode = mode};
    return suite_run(s, &request);
}

enum fh_code suite_home_erase(struct suite *s, const struct fh_uuid *tenant, uint64_t generation,
                              uint64_t *rows_erased)
{
    struct fh_request request = suite_request(s, FH_OP_HOME_ERASE, tenant);
    request.as.home.fence.generation = generation;
    enum fh_code code = suite_run(s, &request);
    if (rows_erased != NULL) {
        *rows_erased = request.as.home.rows_erased;
    }
    return code;
}

enum fh_code suite_fence_read(struct suite *s, const struct fh_uuid *tenant, struct fh_fence *out)
{
    struct fh_request request = suite_request(s, FH_OP_FENCE_READ, tenant);
    enum fh_code code = suite_run(s, &request);
    *out = request.as.fence.seen;
    return code;
}

enum fh_code suite_fence_set(struct suite *s, const struct fh_uuid *tenant,
                             struct fh_fence expected, struct fh_fence desired,
                             struct fh_fence *seen)
{
    struct fh_request request = suite_request(s, FH_OP_FENCE_SET, tenant);
    request.scope.epoch = expected.epoch;
    request.as.fence.expected = expected;
    request.as.fence.desired = desired;
    enum fh_code code = suite_run(s, &request);
    if (seen != NULL) {
        *seen = request.as.fence.seen;
    }
    return code;
}

void suite_fence_mode(struct suite *s, const struct fh_uuid *tenant, enum fh_fence_mode mode)
{
    struct fh_fence now;
    assert_code(suite_fence_read(s, tenant, &now), FH_OK);
    struct fh_fence desired = now;
    desired.mode = mode;
    assert_code(suite_fence_set(s, tenant, now, desired, NULL), FH_OK);
}

enum fh_code suite_get(struct suite *s, const struct fh_uuid *tenant, struct fh_key key,
                       bool show_deleted, struct fh_row **out)
{
    struct fh_request request = suite_request(s, FH_OP_GET, tenant);
    request.as.get.keys = &key;
    request.as.get.count = 1;
    request.as.get.show_deleted = show_deleted;
    enum fh_code code = suite_run(s, &request);
    *out = NULL;
    if (code == FH_OK) {
        assert_non_null(request.as.get.rows);
        *out = request.as.get.rows[0];
    } else {
        assert_null(request.as.get.rows);
    }
    return code;
}

struct fh_row *suite_row(struct suite *s, const struct fh_uuid *tenant, struct fh_key key)
{
    struct fh_row *row = NULL;
    assert_code(suite_get(s, tenant, key, true, &row), FH_OK);
    assert_non_null(row);
    return row;
}

enum fh_code suite_list(struct suite *s, const struct fh_uuid *tenant, struct fh_op_list *list)
{
    struct fh_request request = suite_request(s, FH_OP_LIST, tenant);
    request.as.list = *list;
    enum fh_code code = suite_run(s, &request);
    *list = request.as.list;
    return code;
}

enum fh_code suite_events(struct suite *s, const struct fh_uuid *tenant,
                          struct fh_op_events *events)
{
    struct fh_request request = suite_request(s, FH_OP_EVENTS, tenant);
    request.as.events = *events;
    enum fh_code code = suite_run(s, &request);
    *events = request.as.events;
    return code;
}

enum fh_code suite_commit(struct suite *s, const struct fh_uuid *tenant,
                          struct fh_op_commit *commit)
{
    struct fh_request request = suite_request(s, FH_OP_COMMIT, tenant);
    request.as.commit = *commit;
    enum fh_code code = suite_run(s, &request);
    *commit = request.as.commit;
    if (code == FH_INTERNAL || code == FH_CORRUPT) {
        print_error("commit: %s\n", request.error.message);
    }
    return code;
}

enum fh_code suite_write(struct suite *s, const struct fh_uuid *tenant,
                         const struct fh_write *write, struct fh_row **row)
{
    struct fh_op_commit commit = {.writes = write, .count = 1};
    enum fh_code code = suite_commit(s, tenant, &commit);
    if (row != NULL) {
        *row = code == FH_OK ? commit.rows[0] : NULL;
    }
    return code;
}

struct fh_write *suite_new(struct suite *s, enum fh_write_op op, struct fh_key key)
{
    struct fh_write *write = FH_ARENA_NEW(&s->arena, struct fh_write);
    assert_non_null(write);
    write->op = op;
    write->key = key;
    write->assignments = FH_ARENA_ARRAY(&s->arena, struct fh_assignment, 64);
    assert_non_null(write->assignments);
    return write;
}

struct fh_write *suite_put(struct fh_write *write, uint16_t column, enum fh_transform transform,
                           struct fh_value value)
{
    assert_true(write->assignment_count < 64);
    struct fh_assignment *to =
        (struct fh_assignment *)(uintptr_t)&write->assignments[write->assignment_count++];
    *to = (struct fh_assignment){.column = column, .transform = transform, .value = value};
    return write;
}

struct fh_write *suite_put_int(struct fh_write *write, uint16_t column, int64_t value)
{
    return suite_put(write, column, FH_TRANSFORM_SET,
                     int_value(write->key.table->columns[column].type, value));
}

struct fh_write *suite_put_real(struct fh_write *write, uint16_t column, double value)
{
    return suite_put(write, column, FH_TRANSFORM_SET,
                     real_value(write->key.table->columns[column].type, value));
}

struct fh_write *suite_put_text(struct fh_write *write, uint16_t column, const char *value)
{
    struct fh_value v = text_value(value);
    v.type = write->key.table->columns[column].type; /* text, bytes or json */
    return suite_put(write, column, FH_TRANSFORM_SET, v);
}

struct fh_write *suite_put_null(struct fh_write *write, uint16_t column)
{
    return suite_put(
        write, column, FH_TRANSFORM_SET,
        (struct fh_value){.type = write->key.table->columns[column].type, .is_null = true});
}

struct fh_write *suite_author(struct suite *s, enum fh_write_op op, int64_t id, const char *name)
{
    struct fh_write *write = suite_new(s, op, key_author(id));
    return name != NULL ? suite_put_text(write, AUTHOR_NAME, name) : write;
}

struct fh_write *suite_book(struct suite *s, enum fh_write_op op, int64_t author, const char *slug)
{
    return suite_new(s, op, key_book(author, slug));
}

void suite_assert_leaks(const struct suite *s, size_t leaks)
{
    if (s->tier == FH_TIER_SHARED) {
        assert_true(leaks > 0);
    } else if (leaks == 0) {
        print_message("without any layer the home's own fence holds (%s.%s)\n", s->engine->name,
                      fh_tier_name(s->tier));
    }
}

void suite_must_write(struct suite *s, const struct fh_uuid *tenant, const struct fh_write *write)
{
    assert_code(suite_write(s, tenant, write, NULL), FH_OK);
}

void suite_assert_text(const struct fh_value *value, const char *expected)
{
    assert_false(value->is_null);
    assert_int_equal(value->as.bytes.len, strlen(expected));
    assert_memory_equal(value->as.bytes.data, expected, strlen(expected));
}

size_t suite_count(struct suite *s, const struct fh_uuid *tenant, const struct fh_table *table)
{
    struct fh_op_list list = {.table = table, .limit = FH_LIST_ROWS_MAX, .show_deleted = true};
    assert_code(suite_list(s, tenant, &list), FH_OK);
    assert_false(list.more);
    return list.count;
}

static int run_parts(const char *name, const char *filter)
{
    struct suite_part parts[] = {
        suite_part_crud(),      suite_part_writes(),   suite_part_constraints(),
        suite_part_lists(),     suite_part_records(),  suite_part_fences(),
        suite_part_isolation(), suite_part_contract(), suite_part_views(),
        suite_part_moves(),     suite_part_apply(),    suite_part_whole_moves(),
        suite_part_tiers(),     suite_part_versions(), suite_part_copy_within(),
        suite_part_changes(),   suite_part_upgrades(), suite_part_checks(),
        suite_part_cascades()};
    static struct CMUnitTest tests[512];
    size_t count = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        for (size_t k = 0; k < parts[i].count; k++) {
            assert_true(count < sizeof(tests) / sizeof(tests[0]));
            tests[count++] = parts[i].tests[k];
        }
    }
    if (filter != NULL) {
        cmocka_set_test_filter(filter);
    }
    return _cmocka_run_group_tests(name, tests, count, NULL, NULL);
}

int fh_conformance_main(const struct suite_engine *engine, int argc, char **argv)
{
    int next = 1;
    next += argc > next && fh_tier_of_name(fh_str_of(argv[next]), &tier_under_test);
    char name[64];
    (void)snprintf(name, sizeof(name), "%s.%s", engine->name, fh_tier_name(tier_under_test));
    engine_under_test = engine;
    if (engine->start != NULL && engine->start() != 0) {
        (void)fprintf(stderr, "%s did not start\n", engine->name);
        return 1;
    }
    int failed = run_parts(name, argc > next ? argv[next] : NULL);
    if (engine->stop != NULL) {
        engine->stop();
    }
    return failed == 0 ? 0 : 1;
}
