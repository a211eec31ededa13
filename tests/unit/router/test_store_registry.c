/* Opening stores by their records: what is refused, where relative locations end, and closing. */
#include "router/store_registry.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "tests/unit/router/fakes.h"

/* An engine named like the one whose locations are directories; it keeps what it is given. */
static char opened_location[4200];
static char opened_owner[64];
static enum fh_code open_code;

static enum fh_code engine_open(const struct fh_env *env, const struct fh_store_config *config,
                                struct fh_store **out, struct fh_error *error)
{
    (void)snprintf(opened_location, sizeof(opened_location), "%s", config->location);
    (void)snprintf(opened_owner, sizeof(opened_owner), "%s",
                   config->owner_location != NULL ? config->owner_location : "none");
    if (open_code != FH_OK) {
        return fh_error_set(error, open_code, "the engine says no");
    }
    static struct fake_store stores[8];
    static size_t next;
    struct fake_store *fake = &stores[next++ % 8];
    fake_store_init(fake, env, config->name);
    *out = &fake->store;
    return FH_OK;
}

static struct fh_store_ops directory_engine;
static struct fh_store_ops server_engine;

struct fixture {
    uv_loop_t loop;
    struct fh_env env;
    char dir[64];
    struct fake_catalog catalog;
    struct fh_router *router;
    struct fh_store_registry *registry;
    size_t closed;
};

static void closed_cb(void *arg)
{
    ((struct fixture *)arg)->closed++;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f)); /* NOLINT(fh-alloc): the test's own */
    static const struct fh_store_ops *const engines[] = {&directory_engine, &server_engine};
    struct fh_router_options router_options;
    struct fake_store some;
    assert_non_null(f);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    f->env = (struct fh_env){.loop = &f->loop, .clock = fh_clock_system()};
    const char *base = getenv("TMPDIR");
    (void)snprintf(f->dir, sizeof(f->dir), "%.40s/fh-stores-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    fake_store_init(&some, &f->env, "some");
    directory_engine = *some.store.ops;
    directory_engine.engine = "sqlite";
    directory_engine.open = engine_open;
    server_engine = directory_engine;
    server_engine.engine = "postgresql";
    open_code = FH_OK;
    fake_catalog_init(&f->catalog, "main");
    fh_router_options_init(&router_options);
    assert_int_equal(fh_router_create(&f->env, &f->catalog.catalog, &router_options, &f->router),
                     FH_OK);
    struct fh_store_registry_options options = {
        .engines = engines, .engine_count = 2, .data_dir = f->dir};
    assert_int_equal(fh_store_registry_create(&f->env, f->router, &options, &f->registry), FH_OK);
    *state = f;
    return 0;
}

static void remove_dir(const char *dir, const char *below)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s%s", dir, below);
    assert_true(rmdir(path) == 0 || errno == ENOENT);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    size_t before = f->closed;
    fh_store_registry_close(f->registry, closed_cb, f);
    while (f->closed == before) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    fh_router_close(f->router, closed_cb, f);
    while (f->closed == before + 1) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_int_equal(uv_loop_close(&f->loop), 0);
    remove_dir(f->dir, "/stores/a/b");
    remove_dir(f->dir, "/stores/a");
    remove_dir(f->dir, "/stores/main");
    remove_dir(f->dir, "/stores");
    remove_dir(f->dir, "");
    free(f); /* NOLINT(fh-alloc): the test's own */
    assert_int_equal(fh_alloc_live(), 0);
    return 0;
}

static struct fh_store_record record_of(const char *name, const char *engine, const char *location)
{
    struct fh_store_record record = {
        .engine = fh_str_of(engine), .location = fh_str_of(location), .region = FH_STR("eu")};
    (void)snprintf(record.name, sizeof(record.name), "%s", name);
    return record;
}

static enum fh_code open_store(struct fixture *f, const struct fh_store_record *record)
{
    struct fh_store *store = NULL;
    struct fh_error error = FH_ERROR_INIT;
    enum fh_code code = fh_store_registry_open(f->registry, record, &store, &error);
    if (code == FH_OK) {
        assert_ptr_equal(fh_router_store(f->router, fh_str_of(record->name)), store);
    } else {
        assert_int_equal(error.code, code);
    }
    return code;
}

static void opens_and_remembers(void **state)
{
    struct fixture *f = *state;
    char wanted[128];
    struct stat status;
    struct fh_store_record record = record_of("main", "sqlite", "a/b");
    assert_int_equal(open_store(f, &record), FH_OK);
    (void)snprintf(wanted, sizeof(wanted), "%s/stores/a/b", f->dir);
    assert_string_equal(opened_location, wanted);
    assert_int_equal(stat(wanted, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    const struct fh_store_record *kept = fh_store_registry_record(f->registry, FH_STR("main"));
    assert_non_null(kept);
    assert_true(fh_str_eq(kept->location, FH_STR("a/b"))); /* as registered */
    assert_ptr_not_equal(kept->location.data, record.location.data);
    assert_null(fh_store_registry_record(f->registry, FH_STR("other")));
    assert_int_equal(open_store(f, &record), FH_EXISTS);

    struct fh_store_record server = record_of("server", "postgresql", "host=db dbname=x");
    server.owner_location = FH_STR("host=db user=owner");
    assert_int_equal(open_store(f, &server), FH_OK);
    assert_string_equal(opened_location, "host=db dbname=x");
    assert_string_equal(opened_owner, "host=db user=owner");

    struct fh_store_record absolute = record_of("absolute", "sqlite", "/srv/freehold");
    assert_int_equal(open_store(f, &absolute), FH_OK);
    assert_string_equal(opened_location, "/srv/freehold");
    assert_string_equal(opened_owner, "none");
}

static void refuses_bad_records(void **state)
{
    struct fixture *f = *state;
    struct fh_store_record record = record_of("Main", "sqlite", "main");
    assert_int_equal(open_store(f, &record), FH_INVALID);
    record = record_of("main", "oracle", "main");
    assert_int_equal(open_store(f, &record), FH_INVALID);
    const char *const bad[] = {"",    "..", "../x", "a/../b", "a//b",  "a/",
                               "./a", ".a", "a b",  "a\\b",   "a/./b", "a\nb"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        record = record_of("main", "sqlite", bad[i]);
        assert_int_equal(open_store(f, &record), FH_INVALID);
    }
    char path[128];
    struct stat status;
    (void)snprintf(path, sizeof(path), "%s/stores", f->dir);
    assert_int_not_equal(stat(path, &status), 0); /* nothing was made */
    record = record_of("main", "sqlite", "main");
    open_code = FH_CORRUPT;
    assert_int_equal(open_store(f, &record), FH_CORRUPT);
    assert_null(fh_router_store(f->router, FH_STR("main")));
    open_code = FH_OK;
    assert_int_equal(open_store(f, &record), FH_OK);
}

/* Where several servers share the catalog, each would make a directory of its own. */
static void refuses_relative_locations_where_others_open_them_too(void **state)
{
    struct fixture *f = *state;
    static const struct fh_store_ops *const engines[] = {&directory_engine, &server_engine};
    const struct fh_store_registry_options options = {
        .engines = engines, .engine_count = 2, .data_dir = f->dir, .shared = true};
    struct fh_store_registry *own = f->registry;
    char path[128];
    struct stat status;
    assert_int_equal(fh_store_registry_create(&f->env, f->router, &options, &f->registry), FH_OK);
    struct fh_store_record record = record_of("main", "sqlite", "main");
    assert_int_equal(open_store(f, &record), FH_INVALID);
    (void)snprintf(path, sizeof(path), "%s/stores", f->dir);
    assert_int_not_equal(stat(path, &status), 0); /* nothing was made */
    record = record_of("main", "sqlite", "/srv/freehold");
    assert_int_equal(open_store(f, &record), FH_OK);
    record = record_of("server", "postgresql", "host=db dbname=x");
    assert_int_equal(open_store(f, &record), FH_OK);
    size_t before = f->closed;
    fh_store_registry_close(f->registry, closed_cb, f);
    while (f->closed == before) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    f->registry = own;
}

static void forgets(void **state)
{
    struct fixture *f = *state;
    struct fh_store *store = NULL;
    struct fh_error error = FH_ERROR_INIT;
    struct fh_store_record record = record_of("main", "sqlite", "main");
    assert_int_equal(fh_store_registry_open(f->registry, &record, &store, &error), FH_OK);
    fh_store_registry_forget(f->registry, store, closed_cb, f);
    assert_int_equal(f->closed, 1);
    assert_null(fh_router_store(f->router, FH_STR("main")));
    assert_null(fh_store_registry_record(f->registry, FH_STR("main")));
    assert_int_equal(open_store(f, &record), FH_OK); /* the name is free again */
}

static void survives_every_failed_allocation(void **state)
{
    struct fixture *f = *state;
    struct fh_store_record record = record_of("main", "sqlite", "main");
    for (long after = 0;; after++) {
        struct fh_store *store = NULL;
        struct fh_error error = FH_ERROR_INIT;
        fh_alloc_fault_on(after, 1);
        enum fh_code code = fh_store_registry_open(f->registry, &record, &store, &error);
        int delivered = fh_alloc_fault_off();
        if (code == FH_OK) {
            fh_store_registry_forget(f->registry, store, NULL, NULL);
        } else {
            assert_int_equal(code, FH_NOMEM);
            assert_null(fh_router_store(f->router, FH_STR("main")));
            assert_null(fh_store_registry_record(f->registry, FH_STR("main")));
        }
        if (!delivered) {
            assert_int_equal(code, FH_OK);
            assert_true(after > 2);
            return;
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(opens_and_remembers),
        TEST(refuses_bad_records),
        TEST(refuses_relative_locations_where_others_open_them_too),
        TEST(forgets),
        TEST(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
