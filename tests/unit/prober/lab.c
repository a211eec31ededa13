#include "tests/unit/prober/lab.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "router/catalog_sqlite/catalog_sqlite.h"
#include "stores/schema/parse.h"

#define DEADLINE_US (120LL * 1000000)

/* The first two tables are none for canaries: a key that cannot tell records apart, and a reference
 * that is required. */
static const char *const migrations[] = {
    "create table flags (flag boolean primary key);"
    "create table owners (name text primary key, flag boolean not null references flags(flag));"
    "create table items (id bigint primary key, title varchar(12) not null,"
    "  kind text not null check (kind in ('small', 'large')), price numeric(6,2) not null,"
    "  at timestamptz not null, note jsonb not null);",
    "alter table items add column extra text;",
};

static void wait_for(struct lab *lab)
{
    while (!lab->done) {
        uv_run(&lab->loop, UV_RUN_ONCE);
    }
}

void lab_wait(struct lab *lab)
{
    wait_for(lab);
}

static void closed_cb(void *arg)
{
    ((struct lab *)arg)->done = true;
}

static void asked_cb(struct fh_request *request)
{
    ((struct lab *)request->arg)->done = true;
}

enum fh_code lab_ask(struct lab *lab, struct fh_request *request)
{
    request->deadline_us = fh_clock_monotonic_us(lab->env.clock) + DEADLINE_US;
    request->arena = &lab->arena;
    request->done_cb = asked_cb;
    request->arg = lab;
    lab->done = false;
    enum fh_code code = fh_store_submit(lab->store, request);
    if (code != FH_OK) {
        return code;
    }
    wait_for(lab);
    return request->code;
}

static void catalog_cb(struct fh_catalog_request *request)
{
    ((struct lab *)request->arg)->done = true;
}

static void ask_catalog(struct lab *lab, struct fh_catalog_request *request)
{
    request->deadline_us = fh_clock_monotonic_us(lab->env.clock) + DEADLINE_US;
    request->arena = &lab->arena;
    request->done_cb = catalog_cb;
    request->arg = lab;
    lab->done = false;
    assert_int_equal(fh_catalog_submit(lab->catalog, request), FH_OK);
    wait_for(lab);
    assert_int_equal(request->code, FH_OK);
}

void lab_tenant(struct lab *lab, const char *slug, struct fh_tenant *out)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_TENANT_GET};
    request.as.get.slug = fh_str_of(slug);
    ask_catalog(lab, &request);
    *out = request.as.get.tenant;
}

static void make_schema(struct lab *lab)
{
    struct fh_parse_error error;
    for (size_t i = 0; i < sizeof(migrations) / sizeof(migrations[0]); i++) {
        const struct fh_migration migration = {.name = FH_STR("m.sql"),
                                               .sql = fh_str_of(migrations[i])};
        assert_int_equal(
            fh_schema_apply_migration(lab->schema, &migration, &lab->arena, &lab->schema, &error),
            FH_OK);
    }
    struct fh_request apply = {
        .op = FH_OP_SCHEMA_APPLY,
        .scope.home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED},
        .as.schema.target = lab->schema,
    };
    assert_int_equal(lab_ask(lab, &apply), FH_OK);
    fh_router_set_schema(lab->router, lab->schema);
}

void lab_open(struct lab *lab, const struct fh_store_ops *ops, const char *location,
              const char *owner_location, int64_t interval_us)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_router_options options;
    char path[128];
    const char *base = getenv("TMPDIR");
    memset(lab, 0, sizeof(*lab));
    (void)snprintf(lab->dir, sizeof(lab->dir), "%.40s/fh-prober-XXXXXX",
                   base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(lab->dir));
    (void)snprintf(path, sizeof(path), "%s/catalog.db", lab->dir);
    assert_int_equal(uv_loop_init(&lab->loop), 0);
    lab->env = (struct fh_env){.loop = &lab->loop, .clock = fh_clock_system()};
    fh_arena_init(&lab->arena, (size_t)16 * 1024 * 1024);
    assert_int_equal(fh_catalog_sqlite_open(&lab->env, path, &lab->catalog, &error), FH_OK);
    fh_router_options_init(&options);
    assert_int_equal(fh_router_create(&lab->env, lab->catalog, &options, &lab->router), FH_OK);
    const struct fh_store_config config = {.name = "main",
                                           .location = location != NULL ? location : lab->dir,
                                           .owner_location = owner_location,
                                           .faults = &lab->faults};
    assert_int_equal(ops->open(&lab->env, &config, &lab->store, &error), FH_OK);
    assert_int_equal(fh_router_add_store(lab->router, lab->store), FH_OK);
    struct fh_catalog_request request = {.op = FH_CATALOG_STORE_CREATE};
    (void)snprintf(request.as.store.name, sizeof(request.as.store.name), "main");
    request.as.store.engine = fh_str_of(ops->engine);
    ask_catalog(lab, &request);
    assert_int_equal(
        fh_provisioner_create(&lab->env, lab->catalog, lab->router, 16, &lab->provisioner), FH_OK);
    const struct fh_prober_parts parts = {.env = &lab->env,
                                          .catalog = lab->catalog,
                                          .router = lab->router,
                                          .provisioner = lab->provisioner};
    const struct fh_prober_options probes = {.interval_us = interval_us};
    assert_int_equal(fh_prober_create(&parts, &probes, &lab->prober), FH_OK);
    make_schema(lab);
}

static int remove_cb(const char *path, const struct stat *stat, int kind, struct FTW *ftw)
{
    (void)stat;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void lab_close(struct lab *lab)
{
    lab->done = false;
    fh_prober_close(lab->prober, closed_cb, lab);
    wait_for(lab);
    lab->done = false;
    fh_provisioner_close(lab->provisioner, closed_cb, lab);
    wait_for(lab);
    lab->done = false;
    fh_store_close(lab->store, closed_cb, lab);
    wait_for(lab);
    lab->done = false;
    fh_router_close(lab->router, closed_cb, lab);
    wait_for(lab);
    lab->done = false;
    fh_catalog_close(lab->catalog, closed_cb, lab);
    wait_for(lab);
    fh_arena_close(&lab->arena);
    uv_run(&lab->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&lab->loop), 0);
    assert_int_equal(nftw(lab->dir, remove_cb, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void probed_cb(enum fh_code code, const struct fh_error *error,
                      const struct fh_probe_report *report, void *arg)
{
    struct lab *lab = arg;
    (void)error;
    lab->code = code;
    lab->report = report;
    lab->done = true;
}

void lab_probe(struct lab *lab, uint32_t tiers)
{
    struct fh_error error = FH_ERROR_INIT;
    lab->done = false;
    assert_int_equal(fh_prober_run(lab->prober, FH_STR(""), tiers,
                                   fh_clock_monotonic_us(lab->env.clock) + DEADLINE_US, probed_cb,
                                   lab, &error),
                     FH_OK);
    assert_false(lab->done);
    wait_for(lab);
    assert_int_equal(lab->code, FH_OK);
}

const struct fh_probe_result *lab_result(const struct lab *lab, enum fh_tier tier,
                                         const char *probe)
{
    for (size_t i = 0; i < lab->report->count; i++) {
        const struct fh_probe_result *result = &lab->report->results[i];
        if (result->tier == tier && strcmp(result->probe, probe) == 0) {
            return result;
        }
    }
    return NULL;
}

static void tell(const struct fh_probe_result *result)
{
    print_message("%s %s '%s': expected %s, saw %s, verdict %d, gone %x: %s\n", result->store,
                  fh_tier_name(result->tier), result->probe, result->expected, result->seen,
                  (int)result->verdict, result->gone, result->text);
}

void lab_assert_held(const struct lab *lab, enum fh_tier tier)
{
    static const char *const probes[] = {"key of another",
                                         "predicate",
                                         "enforcement",
                                         "ownership",
                                         "other epoch",
                                         "other schema version",
                                         "home of another",
                                         "table of another schema",
                                         "probe of an ordinary tenant"};
    for (size_t i = 0; i < lab->report->count; i++) {
        if (lab->report->results[i].verdict != FH_PROBE_HELD) {
            tell(&lab->report->results[i]);
        }
    }
    for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
        const struct fh_probe_result *result = lab_result(lab, tier, probes[i]);
        assert_non_null(result);
        assert_int_equal(result->verdict, FH_PROBE_HELD);
        assert_int_equal(result->gone, 0);
    }
    assert_true(lab->report->held);
}

void lab_assert_gone(const struct lab *lab, enum fh_tier tier, const char *probe,
                     enum fh_probe_layer layer)
{
    const struct fh_probe_result *named = lab_result(lab, tier, probe);
    assert_non_null(named);
    assert_int_equal(named->verdict, FH_PROBE_BROKEN);
    assert_non_null(strstr(named->text, fh_probe_layer_text(layer)));
    for (size_t i = 0; i < lab->report->count; i++) {
        const struct fh_probe_result *result = &lab->report->results[i];
        if (result->verdict != FH_PROBE_HELD) {
            tell(result);
        }
        assert_true(result->verdict != FH_PROBE_LEAKED);
        assert_true(result->gone == 0 || result->gone == 1u << layer);
        assert_true(result->verdict != FH_PROBE_UNKNOWN);
    }
    assert_false(lab->report->held);
}
