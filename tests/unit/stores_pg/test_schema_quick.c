/* Changes of a dedicated home that are sent whole, for the version that it is taken to be at: what
 * they find otherwise is told as if it had been asked first, and they happen whole or not at all.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "tests/unit/stores_pg/moves.h"
#include "tests/unit/stores_pg/tiers.h"

#define VERSIONS 48
#define MORE_TABLES 24                                /* each is some statements */
#define HOME "\"t_070000000000700080000000000000a0\"" /* tenant 0's */

/* Each version has one column more than the one before, in tokens. */
static char names[VERSIONS + 1][16];
static struct fh_column columns[TOKEN_COUNT + VERSIONS];
static struct fh_table tokens[VERSIONS + 1];
static const struct fh_table *tables[VERSIONS + 1][8];
static struct fh_schema schemas[VERSIONS + 1];

static void make_schemas(void)
{
    memcpy(columns, model_tokens.columns, TOKEN_COUNT * sizeof(*columns));
    schemas[1] = model_v1;
    for (uint16_t v = 2; v <= VERSIONS; v++) {
        uint16_t at = (uint16_t)(TOKEN_COUNT + v - 2);
        (void)snprintf(names[v], sizeof(names[v]), "more_%u", (unsigned)v);
        columns[at] = (struct fh_column){.name = fh_str_of(names[v]),
                                         .type = FH_TYPE_TEXT,
                                         .position = at,
                                         .id = (uint16_t)(model_tokens.next_id + v - 2)};
        tokens[v] = model_tokens;
        tokens[v].columns = columns;
        tokens[v].column_count = (uint16_t)(at + 1);
        tokens[v].next_id = (uint16_t)(columns[at].id + 1);
        for (uint32_t t = 0; t < model_v1.table_count; t++) {
            tables[v][t] = t == model_tokens.position ? &tokens[v] : model_v1.tables[t];
        }
        schemas[v] = model_v1;
        schemas[v].version = v;
        schemas[v].tables = tables[v];
        schemas[v].previous = &schemas[v - 1];
    }
}

static void ask(struct call *call, struct fixture *f, enum fh_tier tier, uint32_t version)
{
    tiers_call(call, f, tier, 0);
    call->request.op = FH_OP_SCHEMA_APPLY;
    call->request.as.schema =
        (struct fh_op_schema){.target = &schemas[version], .guard = guard_open};
}

static enum fh_code run(struct fixture *f, enum fh_tier tier, uint32_t version, uint32_t seen)
{
    struct call call;
    ask(&call, f, tier, version);
    enum fh_code code = call_run(&call, 20000);
    assert_int_equal(call.request.as.schema.version_seen, seen);
    call_close(&call);
    return code;
}

static uint32_t version_of(struct fixture *f, enum fh_tier tier)
{
    struct call call;
    tiers_call(&call, f, tier, 0);
    call.request.op = FH_OP_FENCE_READ;
    assert_int_equal(call_run(&call, 20000), FH_OK);
    uint32_t version = call.request.as.fence.schema_version;
    call_close(&call);
    return version;
}

/* The version by note, view and columns, which are one at any time; of the schema tier's home. */
static uint32_t version_whole(struct fixture *f)
{
    return (uint32_t)server_number(
        f, "select case when m = v and m = c + 1 then m else -1 end from (select value::int8 m "
           "from " HOME ".fh_meta where name = 'schema_version') x, (select substr(relname, "
           "11)::int8 v from pg_class where relnamespace = '" HOME "'::regnamespace and relname "
           "like 'fh_fence_v%') y, (select count(*) c from pg_attribute where attrelid = '" HOME
           ".tokens'::regclass and attname like 'more%') z");
}

/* Behind, far behind, there already, ahead, not there at all. */
static void test_where_it_is(void **state)
{
    (void)state;
    static const enum fh_tier tiers[] = {FH_TIER_SCHEMA, FH_TIER_DATABASE};
    struct fixture f;
    moves_start(&f);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(run(&f, tiers[i], 2, 0), FH_NO_TENANT);
        tiers_make(&f, tiers[i], 0);
        assert_int_equal(run(&f, tiers[i], 2, 2), FH_OK);
        assert_int_equal(version_of(&f, tiers[i]), 2);
        assert_int_equal(run(&f, tiers[i], 2, 2), FH_OK);
        assert_int_equal(run(&f, tiers[i], 5, 5), FH_OK);
        assert_int_equal(version_of(&f, tiers[i]), 5);
        assert_int_equal(run(&f, tiers[i], 4, 5), FH_PRECONDITION);
        assert_int_equal(version_of(&f, tiers[i]), 5);
        assert_int_equal(tiers_get(&f, tiers[i], 0), FH_STALE_SCHEMA);
    }
    assert_int_equal(version_whole(&f), 5);
    fixture_stop(&f);
}

/* A fence that is another is told, and nothing was done. */
static void test_guarded(void **state)
{
    (void)state;
    struct fixture f;
    struct call call;
    moves_start(&f);
    tiers_make(&f, FH_TIER_SCHEMA, 0);
    ask(&call, &f, FH_TIER_SCHEMA, 2);
    call.request.as.schema.guard.generation = 2;
    assert_int_equal(call_run(&call, 20000), FH_MOVED);
    assert_int_equal(call.request.epoch_seen, 1);
    assert_int_equal(call.request.mode_seen, FH_FENCE_OPEN);
    assert_int_equal(call.request.as.schema.version_seen, 1);
    call.request.as.schema.guard = guard_incoming;
    assert_int_equal(call_run(&call, 20000), FH_MOVED);
    call.request.as.schema.guard = guard_open;
    call.request.scope.epoch = 2;
    assert_int_equal(call_run(&call, 20000), FH_MOVED);
    assert_int_equal(version_whole(&f), 1);
    assert_int_equal(tiers_get(&f, FH_TIER_SCHEMA, 0), FH_OK);
    call_close(&call);
    fixture_stop(&f);
}

/* It asks nothing first, is told what it waited for in vain, and a change that another made
 * meanwhile is found. */
static void test_in_each_others_way(void **state)
{
    (void)state;
    struct fixture f;
    struct call calls[2];
    moves_start(&f);
    tiers_make(&f, FH_TIER_SCHEMA, 0);
    struct fh_pgtest_session *other = fh_pgtest_session_open(
        f.pg, FH_PGTEST_SUPERUSER, "begin; select count(*) from " HOME ".fh_fence_v1");
    assert_non_null(other);
    ask(&calls[0], &f, FH_TIER_SCHEMA, 2);
    calls[0].request.as.schema.lock_timeout_ms = 20;
    assert_int_equal(call_run(&calls[0], 20000), FH_CONFLICT);
    assert_int_equal(calls[0].request.as.schema.version_seen, 1);
    assert_true(fh_pgtest_session_exec(other, "commit; begin; lock table " HOME
                                              ".fh_meta in access exclusive mode"));
    ask(&calls[1], &f, FH_TIER_SCHEMA, 2);
    for (size_t i = 0; i < 2; i++) {
        calls[i].request.as.schema.lock_timeout_ms = 15000;
        call_submit(&calls[i], 60000);
    }
    server_wait(&f, "select count(*) from pg_locks where not granted and relation = '" HOME
                    ".fh_meta'::regclass and mode = 'RowExclusiveLock'");
    assert_true(fh_pgtest_session_exec(other, "commit"));
    fixture_wait(&f, calls, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(calls[i].request.code, FH_OK);
        assert_int_equal(calls[i].request.as.schema.version_seen, 2);
        call_close(&calls[i]);
    }
    assert_int_equal(version_whole(&f), 2);
    fh_pgtest_session_close(other);
    fixture_stop(&f);
}

/* One of its changes is refused: none is made. */
static void test_whole_or_not_at_all(void **state)
{
    (void)state;
    struct fixture f;
    moves_start(&f);
    tiers_make(&f, FH_TIER_SCHEMA, 0);
    assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER,
                               "alter table " HOME ".tokens add column more_2 text"));
    assert_int_not_equal(run(&f, FH_TIER_SCHEMA, 2, 1), FH_OK);
    assert_int_equal(version_of(&f, FH_TIER_SCHEMA), 1);
    assert_int_equal(tiers_get(&f, FH_TIER_SCHEMA, 0), FH_OK);
    assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER,
                               "alter table " HOME ".tokens drop column more_2"));
    assert_int_equal(run(&f, FH_TIER_SCHEMA, 2, 2), FH_OK);
    assert_int_equal(version_whole(&f), 2);
    fixture_stop(&f);
}

/* A change of more statements than a connection has room for when it is new. */
static struct fh_schema make_wide(void)
{
    static char more[MORE_TABLES][16];
    static struct fh_table made[MORE_TABLES];
    static const struct fh_table *all[8 + MORE_TABLES];
    struct fh_schema wide = model_v1;
    for (uint32_t i = 0; i < model_v1.table_count; i++) {
        all[i] = model_v1.tables[i];
    }
    for (uint16_t i = 0; i < MORE_TABLES; i++) {
        (void)snprintf(more[i], sizeof(more[i]), "more_%u", (unsigned)i);
        made[i] = model_tokens;
        made[i].name = fh_str_of(more[i]);
        made[i].position = (uint16_t)wide.table_count;
        made[i].id = wide.next_id++;
        all[wide.table_count++] = &made[i];
    }
    wide.version = 2;
    wide.tables = all;
    wide.previous = &schemas[1];
    return wide;
}

static uint32_t wide_whole(struct fixture *f)
{
    return (uint32_t)server_number(
        f, "select case when m = v and c = (case m when 1 then 0 else 24 end) then m else -1 end "
           "from (select value::int8 m from " HOME ".fh_meta where name = 'schema_version') x, "
           "(select substr(relname, 11)::int8 v from pg_class where relnamespace = '" HOME
           "'::regnamespace and relname like 'fh_fence_v%') y, (select count(*) c from pg_class "
           "where relnamespace = '" HOME "'::regnamespace and relkind = 'r' and relname like "
           "'more%') z");
}

static void test_out_of_memory(void **state)
{
    (void)state;
    const struct fh_schema wide = make_wide();
    struct fixture f;
    bool delivered = true;
    moves_start(&f);
    tiers_make(&f, FH_TIER_SCHEMA, 0);
    fixture_close(&f);
    fixture_open(&f, 1);
    assert_int_equal(run(&f, FH_TIER_SCHEMA, 1, 1), FH_OK); /* which opens a new connection */
    for (long n = 0; delivered && n < 2000; n++) {
        struct call call;
        ask(&call, &f, FH_TIER_SCHEMA, 2);
        call.request.as.schema.target = &wide;
        call.request.deadline_us = fh_clock_monotonic_us(fh_clock_system()) + INT64_C(20000000);
        fh_alloc_fault_on(n, 1);
        enum fh_code code = call_try(&call);
        delivered = fh_alloc_fault_off() != 0;
        if (code != FH_OK && code != FH_NOMEM) {
            fail_msg("%ld: %s: %s", n, fh_code_name(code), fh_error_text(&call.request.error));
        }
        assert_int_equal(wide_whole(&f), code == FH_OK ? 2 : 1);
        if (code == FH_OK && delivered) {
            assert_int_equal(tiers_erase(&f, FH_TIER_SCHEMA, 0, 1), FH_OK);
            tiers_make(&f, FH_TIER_SCHEMA, 0);
        }
        call_close(&call);
    }
    assert_false(delivered);
    fixture_stop(&f);
}

/* The note of the version is hidden: nothing is changed that it would not tell of. */
static void test_hidden_note(void **state)
{
    (void)state;
    struct fixture f;
    moves_start(&f);
    tiers_make(&f, FH_TIER_SCHEMA, 0);
    assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER,
                               "create policy none on " HOME
                               ".fh_meta as restrictive using (false)"));
    assert_int_not_equal(run(&f, FH_TIER_SCHEMA, 2, 0), FH_OK);
    assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER, "drop policy none on " HOME ".fh_meta"));
    assert_int_equal(version_whole(&f), 1);
    assert_int_equal(run(&f, FH_TIER_SCHEMA, 2, 2), FH_OK);
    fixture_stop(&f);
}

/* The owner's connection is cut anywhere, from its start to behind the commit. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    static const size_t step[] = {[FH_PROXY_TO_SERVER] = 131, [FH_PROXY_TO_CLIENT] = 53};
    static const size_t last[] = {[FH_PROXY_TO_SERVER] = 2500, [FH_PROXY_TO_CLIENT] = 1000};
    struct fixture f;
    struct fh_error error = FH_ERROR_INIT;
    char owner[256];
    uint32_t version = 1;
    unsigned unknown = 0;
    moves_start(&f);
    tiers_make(&f, FH_TIER_SCHEMA, 0);
    fixture_close(&f);
    assert_int_equal(fh_proxy_start(fh_pgtest_port(f.pg), &f.proxy), FH_OK);
    (void)snprintf(owner, sizeof(owner),
                   "hostaddr=127.0.0.1 port=%u dbname=freehold user=freehold_owner sslmode=disable",
                   fh_proxy_port(f.proxy));
    const struct fh_store_config config = {
        .name = "cut", .location = f.location, .owner_location = owner};
    assert_int_equal(fh_store_pg_ops.open(&f.env, &config, &f.store, &error), FH_OK);
    for (int d = 0; d < 2; d++) {
        enum fh_proxy_direction direction = d == 0 ? FH_PROXY_TO_SERVER : FH_PROXY_TO_CLIENT;
        for (size_t bytes = 0; bytes < last[direction]; bytes += step[direction]) {
            struct call call;
            assert_true(version < VERSIONS);
            ask(&call, &f, FH_TIER_SCHEMA, version + 1);
            fh_proxy_cut_after(f.proxy, direction, bytes);
            enum fh_code code = call_run(&call, 20000);
            uint32_t now = version_whole(&f);
            assert_true(now == version + 1 || (now == version && code != FH_OK));
            unknown += code == FH_OUTCOME_UNKNOWN;
            fh_proxy_cut_after(f.proxy, direction, SIZE_MAX);
            call_until_ok(&call);
            assert_int_equal(version_whole(&f), ++version);
            call_close(&call);
        }
    }
    assert_true(unknown > 0); /* else the cuts missed what they are for */
    assert_true(fh_proxy_cuts(f.proxy) > 10);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where_it_is),        cmocka_unit_test(test_guarded),
        cmocka_unit_test(test_in_each_others_way), cmocka_unit_test(test_whole_or_not_at_all),
        cmocka_unit_test(test_out_of_memory),      cmocka_unit_test(test_hidden_note),
        cmocka_unit_test(test_cut_anywhere)};
    make_schemas();
    return cmocka_run_group_tests_name("postgresql: whole schema changes", tests, NULL, NULL);
}
