/* One request at a time through the loop, and one look into the file past it. */
#include "tests/unit/catalog_sqlite/kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/alloc.h"

static void done_cb(struct fh_catalog_request *request)
{
    struct kit *f = request->arg;
    assert_true(f->pending > 0);
    f->pending--;
}

void kit_closed_cb(void *arg)
{
    struct kit *f = arg;
    f->closed = true;
}

enum fh_code kit_open(struct kit *f, struct fh_error *error)
{
    return fh_catalog_sqlite_open(&f->env, f->path, &f->catalog, error);
}

void kit_close(struct kit *f)
{
    if (f->catalog != NULL) {
        f->closed = false;
        fh_catalog_close(f->catalog, kit_closed_cb, f);
        while (!f->closed) {
            uv_run(&f->loop, UV_RUN_ONCE);
        }
        f->catalog = NULL;
    }
}

int kit_set_up_empty(void **state)
{
    struct kit *f = calloc(1, sizeof(*f)); /* NOLINT(fh-alloc): the test's own */
    assert_non_null(f);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    f->env = (struct fh_env){.loop = &f->loop, .clock = fh_clock_system()};
    const char *base = getenv("TMPDIR");
    (void)snprintf(f->dir, sizeof(f->dir), "%.40s/fh-catalog-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof(f->path), "%s/catalog.db", f->dir);
    fh_arena_init(&f->arena, (size_t)64 * 1024 * 1024);
    *state = f;
    return 0;
}

int kit_set_up(void **state)
{
    assert_int_equal(kit_set_up_empty(state), 0);
    struct fh_error error = FH_ERROR_INIT;
    assert_int_equal(kit_open(*state, &error), FH_OK);
    return 0;
}

int kit_tear_down(void **state)
{
    struct kit *f = *state;
    char name[128];
    kit_close(f);
    fh_arena_close(&f->arena);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof(name), "%s%s", f->path, suffixes[i]);
        (void)unlink(name);
    }
    assert_int_equal(rmdir(f->dir), 0);
    free(f); /* NOLINT(fh-alloc): the test's own */
    assert_int_equal(fh_alloc_live(), 0);
    return 0;
}

void kit_prepare(struct kit *f, struct fh_catalog_request *request)
{
    request->arena = &f->arena;
    request->done_cb = done_cb;
    request->arg = f;
    if (request->deadline_us == 0) {
        request->deadline_us = fh_clock_monotonic_us(f->env.clock) + 60 * 1000000LL;
    }
    if (request->audit.actor.len == 0) {
        request->audit.actor = FH_STR("root@example");
        request->audit.address = FH_STR("127.0.0.1");
    }
}

enum fh_code kit_call(struct kit *f, struct fh_catalog_request *request)
{
    kit_prepare(f, request);
    f->pending++;
    enum fh_code code = fh_catalog_submit(f->catalog, request);
    if (code != FH_OK) {
        f->pending--;
        return code;
    }
    while (f->pending > 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    return request->code;
}

enum fh_code kit_add_store(struct kit *f, const char *name)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_STORE_CREATE};
    (void)snprintf(request.as.store.name, sizeof(request.as.store.name), "%s", name);
    request.as.store.engine = FH_STR("sqlite");
    request.as.store.location = FH_STR("main");
    request.as.store.region = FH_STR("eu");
    return kit_call(f, &request);
}

struct fh_catalog_request kit_creation(const char *slug, const char *request_id)
{
    static struct fh_label labels[2];
    labels[0] = (struct fh_label){FH_STR("b"), FH_STR("2")};
    labels[1] = (struct fh_label){FH_STR("a"), FH_STR("1")};
    struct fh_catalog_request request = {.op = FH_CATALOG_TENANT_CREATE};
    request.audit.request_id = fh_str_of(request_id);
    request.as.tenant.uuid = fh_uuid_v7(fh_clock_realtime_us(fh_clock_system()));
    request.as.tenant.slug = fh_str_of(slug);
    request.as.tenant.display_name = FH_STR("A tenant");
    request.as.tenant.plan = FH_STR("free");
    request.as.tenant.labels = labels;
    request.as.tenant.label_count = 2;
    request.as.tenant.placement = (struct fh_placement){
        .store = "main",
        .home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED},
        .epoch = 1,
        .generation = 1,
    };
    return request;
}

enum fh_code kit_advance(struct kit *f, const struct fh_uuid *uuid, uint32_t from,
                         uint64_t generation, enum fh_tenant_state to, bool bump,
                         struct fh_tenant *out)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_TENANT_ADVANCE};
    request.as.advance.uuid = *uuid;
    request.as.advance.from_states = from;
    request.as.advance.generation = generation;
    request.as.advance.to = to;
    request.as.advance.bump_generation = bump;
    enum fh_code code = kit_call(f, &request);
    *out = request.as.advance.tenant;
    return code;
}

/* One integer from the file, read by another connection. */
long long kit_peek(struct kit *f, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    long long value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return value;
}
