/* Tenants' databases and who may drop them: not another store of the same server, and nobody who
 * looked before somebody else made a home of it. */
#include <string.h>

#include "base/buf.h"
#include "tests/unit/stores_pg/tiers.h"

#define DSN_SIZE 512
#define GENERATION 5

static void with_database(const char *dsn, const char *database, char out[DSN_SIZE])
{
    const char *at = strstr(dsn, "dbname=freehold ");
    assert_non_null(at);
    (void)snprintf(out, DSN_SIZE, "%.*sdbname=%s %s", (int)(at - dsn), dsn, database,
                   at + strlen("dbname=freehold "));
}

/* Another database of the server, prepared for a store. */
static void prepare_other(struct fixture *f)
{
    struct fh_buf script;
    assert_true(fh_pgtest_exec(f->pg, FH_PGTEST_SUPERUSER,
                               "create database \"other store's\" owner freehold_owner template "
                               "template0"));
    fh_buf_init(&script, 1 << 20);
    assert_int_equal(fh_store_pg_ops.prepare("freehold_owner", "freehold_app", &script), FH_OK);
    assert_string_equal(tiers_sql(f, "other store's", "postgres", NULL, script.data), "");
    fh_buf_close(&script);
}

static struct fh_store *open_other(struct fixture *f)
{
    char serving[DSN_SIZE];
    char owner[DSN_SIZE];
    struct fh_error error = FH_ERROR_INIT;
    struct fh_store *store = NULL;
    with_database(fh_pgtest_dsn(f->pg, FH_PGTEST_APP, FH_PGTEST_UNIX), "'other store\\'s'",
                  serving);
    with_database(fh_pgtest_dsn(f->pg, FH_PGTEST_OWNER, FH_PGTEST_UNIX), "'other store\\'s'",
                  owner);
    const struct fh_store_config config = {
        .name = "other", .location = serving, .owner_location = owner};
    assert_int_equal(fh_store_pg_ops.open(&f->env, &config, &store, &error), FH_OK);
    return store;
}

static enum fh_code read_fence(struct fixture *f)
{
    struct call call;
    tiers_call(&call, f, FH_TIER_DATABASE, 0);
    call.request.op = FH_OP_FENCE_READ;
    enum fh_code code = call_run(&call, 10000);
    call_close(&call);
    return code;
}

static void test_two_stores_of_one_server(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, NULL);
    prepare_other(&f);
    assert_int_equal(tiers_create(&f, FH_TIER_DATABASE, 0, GENERATION), FH_OK);
    struct fh_store *own = f.store;
    struct fh_store *other = open_other(&f);
    f.store = other;
    assert_int_equal(read_fence(&f), FH_NO_TENANT);
    assert_int_equal(tiers_create(&f, FH_TIER_DATABASE, 0, GENERATION), FH_PRECONDITION);
    assert_int_equal(tiers_erase(&f, FH_TIER_DATABASE, 0, GENERATION), FH_OK);
    f.store = own;
    assert_int_equal(tiers_get(&f, FH_TIER_DATABASE, 0), FH_NOT_FOUND); /* it is there, empty */
    assert_int_equal(read_fence(&f), FH_OK);
    assert_int_equal(tiers_erase(&f, FH_TIER_DATABASE, 0, GENERATION), FH_OK);
    f.store = other;
    assert_int_equal(tiers_create(&f, FH_TIER_DATABASE, 0, GENERATION), FH_OK);
    assert_int_equal(read_fence(&f), FH_OK);
    f.store = own;
    assert_int_equal(read_fence(&f), FH_NO_TENANT);
    f.store = other;
    assert_int_equal(tiers_erase(&f, FH_TIER_DATABASE, 0, GENERATION), FH_OK);
    fixture_close(&f);
    f.store = own;
    fixture_stop(&f);
}

static pid_t stopped(struct fixture *f, const char *point, enum fh_op op)
{
    return tiers_stopped(f, point, op, FH_TIER_DATABASE);
}

/* A maker that lost its lock goes on behind the look of whoever has it now: what it is told was
 * made is not dropped. */
static void test_lost_lock(void **state)
{
    (void)state;
    static const char *const makers[] = {"pg.home.owned", "pg.home.inside"};
    static const enum fh_op others[] = {FH_OP_HOME_CREATE, FH_OP_HOME_ERASE};
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        fixture_start(&f, NULL);
        fixture_close(&f);
        pid_t maker = stopped(&f, makers[i / 2], FH_OP_HOME_CREATE);
        assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER,
                                   "select pg_terminate_backend(pid, 5000) from pg_locks where "
                                   "locktype = 'advisory' and granted"));
        pid_t other = stopped(&f, "pg.home.looked", others[i % 2]);
        enum fh_code made = tiers_go_on(maker);
        enum fh_code code = tiers_go_on(other);
        fixture_open(&f, 1);
        enum fh_code there = read_fence(&f);
        if (made == FH_OK) {
            assert_int_equal(there, FH_OK);
        }
        assert_int_equal(code, FH_OK);
        assert_int_equal(there, others[i % 2] == FH_OP_HOME_CREATE ? FH_OK : FH_NO_TENANT);
        fixture_stop(&f);
    }
}

/* Whoever saw no database of the tenant's, and slept: another store of the server has made one
 * meanwhile, to which nothing may happen. */
static void test_made_meanwhile(void **state)
{
    (void)state;
    static const struct {
        const char *point;
        enum fh_op op;
        enum fh_code code;
    } cases[] = {{"pg.home.looked", FH_OP_HOME_ERASE, FH_OK},
                 {"pg.home.making", FH_OP_HOME_CREATE, FH_HELD}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        fixture_start(&f, NULL);
        prepare_other(&f);
        fixture_close(&f);
        pid_t sleeper = stopped(&f, cases[i].point, cases[i].op);
        f.store = open_other(&f);
        tiers_make(&f, FH_TIER_DATABASE, 0);
        enum fh_code code = tiers_go_on(sleeper);
        assert_int_equal(tiers_get(&f, FH_TIER_DATABASE, 0), FH_OK);
        fixture_close(&f); /* with its connections */
        f.store = open_other(&f);
        assert_int_equal(tiers_get(&f, FH_TIER_DATABASE, 0), FH_OK);
        assert_int_equal(code, cases[i].code);
        fixture_stop(&f);
    }
}

/* Two stores of one server make and erase the same tenant's database at once. Whoever slept at any
 * step may not touch what the other has made meanwhile; one without a comment (restored by hand)
 * is anybody's to drop, until it is another's. */
static void test_at_once(void **state)
{
    (void)state;
    static const struct {
        const char *point;
        enum fh_op op;
        enum fh_code code;
    } cases[] = {{"pg.home.database", FH_OP_HOME_CREATE, FH_HELD},
                 {"pg.erase.sessions", FH_OP_HOME_ERASE, FH_HELD}};
    char sql[128];
    struct fh_home home;
    struct fh_uuid tenant = tiers_tenant(0);
    fh_home_of(FH_TIER_DATABASE, &tenant, &home);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        fixture_start(&f, NULL);
        prepare_other(&f);
        if (cases[i].op == FH_OP_HOME_ERASE) {
            tiers_make(&f, FH_TIER_DATABASE, 0);
            (void)snprintf(sql, sizeof(sql), "comment on database \"%s\" is null", home.name);
            assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER, sql));
        }
        fixture_close(&f);
        pid_t sleeper = stopped(&f, cases[i].point, cases[i].op);
        f.store = open_other(&f);
        if (cases[i].op == FH_OP_HOME_ERASE) {
            assert_int_equal(tiers_erase(&f, FH_TIER_DATABASE, 0, 1), FH_OK);
        }
        tiers_make(&f, FH_TIER_DATABASE, 0);
        fixture_close(&f); /* with its connections, which would keep anybody from dropping it */
        enum fh_code code = tiers_go_on(sleeper);
        f.store = open_other(&f);
        assert_int_equal(tiers_get(&f, FH_TIER_DATABASE, 0), FH_OK);
        assert_int_equal(code, cases[i].code);
        fixture_close(&f);
        fixture_open(&f, 1);
        assert_int_equal(tiers_erase(&f, FH_TIER_DATABASE, 0, 1), FH_OK); /* ours, which is gone */
        fixture_close(&f);
        f.store = open_other(&f);
        assert_int_equal(tiers_get(&f, FH_TIER_DATABASE, 0), FH_OK);
        fixture_stop(&f);
    }
}

/* A template that is half made lets nobody in but the owner: a session that stays would keep all
 * others from copying it. */
static void test_half_template_closed(void **state)
{
    (void)state;
    static const char *const points[] = {"pg.template.created", "pg.template.filled"};
    static const char *const none =
        "select format('drop database %I', datname) from pg_database where datname ~ "
        "'^fh_template_'";
    char sql[128];
    struct fixture f;
    fixture_start(&f, NULL);
    fixture_close(&f);
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        if (fh_pgtest_value(f.pg, FH_PGTEST_SUPERUSER, none, sql, sizeof(sql))) {
            assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER, sql));
        }
        pid_t maker = stopped(&f, points[i], FH_OP_HOME_CREATE);
        assert_true(fh_pgtest_value(f.pg, FH_PGTEST_SUPERUSER, none, sql, sizeof(sql)));
        const char *name = sql + strlen("drop database ");
        assert_string_equal(tiers_sql(&f, name, "freehold_app", NULL, "select 1"), "connect");
        assert_string_equal(tiers_sql(&f, name, "freehold_owner", NULL, "select 1"), "");
        assert_int_equal(tiers_go_on(maker), FH_OK);
        fixture_open(&f, 1);
        assert_int_equal(tiers_erase(&f, FH_TIER_DATABASE, 0, 1), FH_OK);
        fixture_close(&f);
    }
    fixture_open(&f, 1);
    fixture_stop(&f);
}

/* Nor does a tenant's database, before anybody is let in: who stayed would keep it from ever being
 * dropped. */
static void test_new_database_closed(void **state)
{
    (void)state;
    static const char *const points[] = {"pg.home.database", "pg.home.owned"};
    struct fixture f;
    struct fh_home home;
    struct fh_uuid tenant = tiers_tenant(0);
    fh_home_of(FH_TIER_DATABASE, &tenant, &home);
    fixture_start(&f, NULL);
    fixture_close(&f);
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        pid_t maker = stopped(&f, points[i], FH_OP_HOME_CREATE);
        assert_string_equal(tiers_sql(&f, home.name, "freehold_app", NULL, "select 1"), "connect");
        assert_int_equal(tiers_go_on(maker), FH_OK);
        assert_string_equal(tiers_sql(&f, home.name, "freehold_app", NULL, "select 1"), "connect");
        fixture_open(&f, 1);
        assert_int_equal(tiers_get(&f, FH_TIER_DATABASE, 0), FH_NOT_FOUND);
        assert_int_equal(tiers_erase(&f, FH_TIER_DATABASE, 0, 1), FH_OK);
        fixture_close(&f);
    }
    fixture_open(&f, 1);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_stores_of_one_server), cmocka_unit_test(test_lost_lock),
        cmocka_unit_test(test_made_meanwhile),           cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_half_template_closed),     cmocka_unit_test(test_new_database_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
