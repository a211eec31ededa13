#include "tests/unit/stores_sqlite/fixture.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"

#define ARENA_BYTES_MAX ((size_t)256 << 20)
#define WALL_START_US INT64_C(1795226400000000)
#define WATCHDOG_MS 120000

#define COLUMN(column_name, column_type, at, required)                                          \
    {                                                                                           \
        .name = {.data = (column_name), .len = sizeof(column_name) - 1}, .type = (column_type), \
        .not_null = (required), .position = (at), .id = (at)                                    \
    }
#define NAME(text)                              \
    {                                           \
        .data = (text), .len = sizeof(text) - 1 \
    }

static const struct fh_column item_columns[] = {
    COLUMN("id", FH_TYPE_INT64, 0, true), COLUMN("name", FH_TYPE_TEXT, 1, true),
    COLUMN("code", FH_TYPE_TEXT, 2, false), COLUMN("qty", FH_TYPE_INT64, 3, false)};
static const struct fh_index item_indexes[] = {
    {.name = NAME("items_code_key"),
     .id = 4,
     .unique = true,
     .column_count = 1,
     .columns = {ITEM_CODE}},
    {.name = NAME("items_name_idx"),
     .id = 5,
     .unique = false,
     .column_count = 1,
     .columns = {ITEM_NAME}},
};
const struct fh_table fixture_items = {.name = NAME("items"),
                                       .position = 0,
                                       .next_id = 6,
                                       .column_count = 4,
                                       .key_count = 1,
                                       .index_count = 1,
                                       .columns = item_columns,
                                       .key = {ITEM_ID},
                                       .indexes = item_indexes};
static const struct fh_table items_v2 = {.name = NAME("items"),
                                         .position = 0,
                                         .next_id = 6,
                                         .column_count = 4,
                                         .key_count = 1,
                                         .index_count = 2,
                                         .columns = item_columns,
                                         .key = {ITEM_ID},
                                         .indexes = item_indexes};

static const struct fh_column part_columns[] = {COLUMN("item_id", FH_TYPE_INT64, 0, true),
                                                COLUMN("n", FH_TYPE_INT32, 1, true),
                                                COLUMN("data", FH_TYPE_BYTES, 2, false)};
static const struct fh_foreign_key part_keys[] = {{.name = NAME("parts_item_fkey"),
                                                   .id = 3,
                                                   .target = &fixture_items,
                                                   .column_count = 1,
                                                   .columns = {PART_ITEM}}};
const struct fh_table fixture_parts = {.name = NAME("parts"),
                                       .position = 1,
                                       .id = 1,
                                       .next_id = 4,
                                       .has_rowid = true,
                                       .column_count = 3,
                                       .key_count = 2,
                                       .foreign_key_count = 1,
                                       .columns = part_columns,
                                       .key = {PART_ITEM, PART_N},
                                       .foreign_keys = part_keys};
static const struct fh_table *const tables_v1[] = {&fixture_items, &fixture_parts};
const struct fh_schema fixture_v1 = {
    .version = 1, .next_id = 2, .table_count = 2, .tables = tables_v1};

static const struct fh_column note_columns[] = {COLUMN("id", FH_TYPE_INT64, 0, true),
                                                COLUMN("item_id", FH_TYPE_INT64, 1, false)};
static const struct fh_foreign_key note_keys[] = {{.name = NAME("notes_item_fkey"),
                                                   .id = 2,
                                                   .target = &items_v2,
                                                   .column_count = 1,
                                                   .columns = {1}}};
const struct fh_table fixture_notes = {.name = NAME("notes"),
                                       .position = 2,
                                       .id = 2,
                                       .next_id = 3,
                                       .column_count = 2,
                                       .key_count = 1,
                                       .foreign_key_count = 1,
                                       .columns = note_columns,
                                       .key = {0},
                                       .foreign_keys = note_keys};
static const struct fh_table *const tables_v2[] = {&items_v2, &fixture_parts, &fixture_notes};
const struct fh_schema fixture_v2 = {
    .version = 2, .next_id = 3, .table_count = 3, .tables = tables_v2, .previous = &fixture_v1};

void fixture_assert_code(enum fh_code actual, enum fh_code expected, const char *file, int line)
{
    if (actual != expected) {
        print_error("%s, not %s\n", fh_code_name(actual), fh_code_name(expected));
        _fail(file, line);
    }
}

static int64_t realtime_us(void *arg)
{
    struct fixture *f = arg;
    return WALL_START_US + __atomic_load_n(&f->now_us, __ATOMIC_SEQ_CST);
}

static int64_t monotonic_us(void *arg)
{
    struct fixture *f = arg;
    int64_t tick = __atomic_load_n(&f->tick_us, __ATOMIC_SEQ_CST);
    return __atomic_add_fetch(&f->now_us, tick, __ATOMIC_SEQ_CST);
}

void fixture_advance(struct fixture *f, int64_t by_us)
{
    __atomic_add_fetch(&f->now_us, by_us, __ATOMIC_SEQ_CST);
}

void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    assert_int_equal(uv_loop_init(&f->loop), 0);
    f->now_us = 1000000;
    f->clock =
        (struct fh_clock){.realtime_us = realtime_us, .monotonic_us = monotonic_us, .arg = f};
    f->env = (struct fh_env){.loop = &f->loop, .clock = &f->clock};
    fh_arena_init(&f->arena, ARENA_BYTES_MAX);
    f->a.bytes[0] = 0x0a;
    f->a.bytes[15] = 1;
    f->b.bytes[0] = 0x0b;
    f->b.bytes[15] = 2;
    (void)snprintf(f->directory, sizeof(f->directory), "/tmp/fh-sqlite-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    (void)snprintf(f->path, sizeof(f->path), "%s/shared.db", f->directory);
}

static int remove_cb(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void fixture_close(struct fixture *f)
{
    if (f->store != NULL) {
        fixture_shut(f);
    }
    uv_run(&f->loop, UV_RUN_DEFAULT); /* a failed open still has to take its threads back */
    assert_int_equal(uv_loop_close(&f->loop), 0);
    fh_arena_close(&f->arena);
    for (size_t i = 0; i < f->arena_count; i++) {
        fh_arena_close(&f->arenas[i]);
    }
    assert_int_equal(nftw(f->directory, remove_cb, 16, FTW_DEPTH | FTW_PHYS), 0);
}

enum fh_code fixture_try_open(struct fixture *f, struct fh_error *error)
{
    struct fh_store_config config = {.name = "test",
                                     .location = f->directory,
                                     .connections_max = f->readers,
                                     .queue_max = f->queue_max,
                                     .homes_max = f->homes_max,
                                     .open_homes_max = f->open_homes_max,
                                     .faults = f->with_faults ? &f->faults : NULL};
    return fh_store_sqlite_ops.open(&f->env, &config, &f->store, error);
}

void fixture_open(struct fixture *f)
{
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code = fixture_try_open(f, &error);
    if (code != FH_OK) {
        print_error("%s\n", error.message);
    }
    assert_code(code, FH_OK);
}

static void closed_cb(void *arg)
{
    *(bool *)arg = true;
}

void fixture_shut(struct fixture *f)
{
    bool closed = false;
    fh_store_close(f->store, closed_cb, &closed);
    f->store = NULL;
    fixture_wait(f, &closed);
}

void fixture_start(struct fixture *f)
{
    fixture_open(f);
    assert_code(fixture_apply(f, &fixture_v1), FH_OK);
    assert_code(fixture_home(f, &f->a), FH_OK);
    assert_code(fixture_home(f, &f->b), FH_OK);
}

int fixture_setup(void **state)
{
    struct fixture *f = fh_calloc(1, sizeof(*f));
    assert_non_null(f);
    fixture_init(f);
    fixture_start(f);
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    fixture_close(*state);
    fh_free(*state);
    return 0;
}

static void bark_cb(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

void fixture_wait(struct fixture *f, const bool *done)
{
    bool barked = false;
    uv_timer_t watchdog;
    uv_timer_init(&f->loop, &watchdog);
    watchdog.data = &barked;
    uv_timer_start(&watchdog, bark_cb, WATCHDOG_MS, 0);
    while (!*done && !barked) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&watchdog, NULL);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    if (barked) {
        fail_msg("waited for something that never came");
    }
}

struct fh_request fixture_request(struct fixture *f, enum fh_op op, const struct fh_uuid *tenant)
{
    struct fh_request request = {
        .op = op,
        .scope = {.epoch = 1,
                  .home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED},
                  .schema = &fixture_v1},
        .deadline_us = __atomic_load_n(&f->now_us, __ATOMIC_SEQ_CST) + INT64_C(600000000),
        .arena = &f->arena,
    };
    if (tenant != NULL) {
        request.scope.tenant = *tenant;
    }
    return request;
}

void fixture_detach(struct fixture *f, struct fh_request *request)
{
    assert_true(f->arena_count < FIXTURE_ARENAS);
    request->arena = &f->arenas[f->arena_count++];
    fh_arena_init(request->arena, ARENA_BYTES_MAX);
}

static void done_cb(struct fh_request *request)
{
    bool *done = request->arg;
    assert_false(*done);
    *done = true;
}

enum fh_code fixture_submit(struct fixture *f, struct fh_request *request, bool *done)
{
    *done = false;
    request->arg = done;
    request->done_cb = done_cb;
    return fh_store_submit(f->store, request);
}

enum fh_code fixture_run(struct fixture *f, struct fh_request *request)
{
    bool done = false;
    enum fh_code code = fixture_submit(f, request, &done);
    if (code != FH_OK) {
        return code;
    }
    assert_false(done);
    fixture_wait(f, &done);
    return request->code;
}

enum fh_code fixture_apply(struct fixture *f, const struct fh_schema *schema)
{
    struct fh_request request = fixture_request(f, FH_OP_SCHEMA_APPLY, NULL);
    request.as.schema.target = schema;
    return fixture_run(f, &request);
}

enum fh_code fixture_home(struct fixture *f, const struct fh_uuid *tenant)
{
    struct fh_request request = fixture_request(f, FH_OP_HOME_CREATE, tenant);
    request.as.home.fence = (struct fh_fence){.epoch = 1, .generation = 1, .mode = FH_FENCE_OPEN};
    return fixture_run(f, &request);
}

enum fh_code fixture_fence_mode(struct fixture *f, const struct fh_uuid *tenant,
                                enum fh_fence_mode from, enum fh_fence_mode to)
{
    struct fh_request request = fixture_request(f, FH_OP_FENCE_SET, tenant);
    request.as.fence.expected = (struct fh_fence){.epoch = 1, .generation = 1, .mode = from};
    request.as.fence.desired = (struct fh_fence){.epoch = 1, .generation = 1, .mode = to};
    return fixture_run(f, &request);
}

struct fh_key fixture_item(int64_t id)
{
    struct fh_key key = {.table = &fixture_items};
    key.values[0] = (struct fh_value){.type = FH_TYPE_INT64, .as.integer = id};
    return key;
}

struct fh_key fixture_part(int64_t item, int64_t n)
{
    struct fh_key key = {.table = &fixture_parts};
    key.values[0] = (struct fh_value){.type = FH_TYPE_INT64, .as.integer = item};
    key.values[1] = (struct fh_value){.type = FH_TYPE_INT32, .as.integer = n};
    return key;
}

struct fh_write *fixture_write(struct fixture *f, enum fh_write_op op, struct fh_key key,
                               const char *name, const char *code)
{
    struct fh_write *write = FH_ARENA_NEW(&f->arena, struct fh_write);
    struct fh_assignment *set = FH_ARENA_ARRAY(&f->arena, struct fh_assignment, 2);
    assert_non_null(write);
    assert_non_null(set);
    write->op = op;
    write->key = key;
    write->assignments = set;
    if (name != NULL) {
        set[write->assignment_count++] = (struct fh_assignment){
            .column = ITEM_NAME, .value = {.type = FH_TYPE_TEXT, .as.bytes = fh_str_of(name)}};
    }
    if (code != NULL) {
        set[write->assignment_count++] = (struct fh_assignment){
            .column = ITEM_CODE, .value = {.type = FH_TYPE_TEXT, .as.bytes = fh_str_of(code)}};
    }
    return write;
}

struct fh_request fixture_commit(struct fixture *f, const struct fh_uuid *tenant,
                                 const struct fh_write *write)
{
    struct fh_request request = fixture_request(f, FH_OP_COMMIT, tenant);
    request.as.commit.writes = write;
    request.as.commit.count = 1;
    request.as.commit.actor = FH_STR("tester");
    request.as.commit.address = FH_STR("127.0.0.1");
    return request;
}

enum fh_code fixture_put(struct fixture *f, const struct fh_uuid *tenant, enum fh_write_op op,
                         int64_t id, const char *name, const char *code)
{
    struct fh_request request =
        fixture_commit(f, tenant, fixture_write(f, op, fixture_item(id), name, code));
    return fixture_run(f, &request);
}

enum fh_code fixture_get(struct fixture *f, const struct fh_uuid *tenant, int64_t id,
                         struct fh_row **out)
{
    struct fh_request request = fixture_request(f, FH_OP_GET, tenant);
    struct fh_key key = fixture_item(id);
    request.as.get.keys = &key;
    request.as.get.count = 1;
    enum fh_code code = fixture_run(f, &request);
    *out = code == FH_OK ? request.as.get.rows[0] : NULL;
    return code;
}

size_t fixture_count(struct fixture *f, const struct fh_uuid *tenant)
{
    struct fh_request request = fixture_request(f, FH_OP_LIST, tenant);
    request.as.list.table = &fixture_items;
    request.as.list.limit = FH_LIST_ROWS_MAX;
    assert_code(fixture_run(f, &request), FH_OK);
    assert_false(request.as.list.more);
    return request.as.list.count;
}
