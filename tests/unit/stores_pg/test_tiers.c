/* Homes of their own: made and erased whole, kept apart by the server itself, served by as many
 * connections as may be. */
#include "tests/unit/stores_pg/tiers.h"

#include <stdio.h>
#include <string.h>

#include "stores/pg/admin_sql.h"

static const enum fh_tier dedicated[] = {FH_TIER_SCHEMA, FH_TIER_DATABASE};
#define DENIED "42501"

static void home_name(enum fh_tier tier, unsigned n, struct fh_home *home)
{
    struct fh_uuid tenant = tiers_tenant(n);
    fh_home_of(tier, &tenant, home);
}

static void test_made_and_erased(void **state)
{
    (void)state;
    static char before[TRACES_SIZE];
    static char after[TRACES_SIZE];
    struct fixture f;
    fixture_start(&f, NULL);
    tiers_traces(&f, before);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(tiers_get(&f, dedicated[i], 0), FH_NO_TENANT);
        assert_int_equal(tiers_erase(&f, dedicated[i], 0, 1), FH_OK);
        tiers_make(&f, dedicated[i], 0);
        assert_int_equal(tiers_create(&f, dedicated[i], 0, 1), FH_OK);
        assert_int_equal(tiers_create(&f, dedicated[i], 0, 2), FH_EXISTS);
        assert_int_equal(tiers_get(&f, dedicated[i], 0), FH_OK);
    }
    tiers_traces(&f, after);
    assert_string_not_equal(before, after);
    for (size_t i = 0; i < 2; i++) { /* both were there at a time, as in a move */
        assert_int_equal(tiers_erase(&f, dedicated[i], 0, 2), FH_MOVED);
        assert_int_equal(tiers_get(&f, dedicated[i], 0), FH_OK);
        assert_int_equal(tiers_erase(&f, dedicated[i], 0, 1), FH_OK);
        assert_int_equal(tiers_erase(&f, dedicated[i], 0, 1), FH_OK);
        assert_int_equal(tiers_get(&f, dedicated[i], 0), FH_NO_TENANT);
    }
    tiers_traces(&f, after);
    assert_string_equal(before, after);
    for (size_t i = 0; i < 2; i++) { /* and lives here again */
        tiers_make(&f, dedicated[i], 0);
        assert_int_equal(tiers_get(&f, dedicated[i], 0), FH_OK);
    }
    fixture_stop(&f);
}

static void test_bounded(void **state)
{
    (void)state;
    static char before[TRACES_SIZE];
    static char after[TRACES_SIZE];
    struct fixture f;
    fixture_start(&f, NULL);
    tiers_reopen(&f, &(struct fh_store_config){.homes_max = 2});
    assert_int_equal(tiers_create(&f, FH_TIER_SCHEMA, 0, 1), FH_OK);
    assert_int_equal(tiers_create(&f, FH_TIER_SCHEMA, 1, 1), FH_OK);
    tiers_traces(&f, before);
    assert_int_equal(tiers_create(&f, FH_TIER_SCHEMA, 2, 1), FH_FULL);
    tiers_traces(&f, after);
    assert_string_equal(before, after);
    assert_int_equal(tiers_create(&f, FH_TIER_SCHEMA, 1, 1), FH_OK);
    assert_int_equal(tiers_erase(&f, FH_TIER_SCHEMA, 1, 1), FH_OK);
    assert_int_equal(tiers_create(&f, FH_TIER_SCHEMA, 2, 1), FH_OK);
    fixture_stop(&f);
}

static void test_unprepared(void **state)
{
    (void)state;
    static const struct {
        const char *spoil;
        const char *mend;
    } cases[] = {
        {"alter schema fh_admin rename to away", "alter schema away rename to fh_admin"},
        {"revoke usage on schema fh_admin from freehold_owner",
         "grant usage on schema fh_admin to freehold_owner"},
    };
    static char before[TRACES_SIZE];
    static char after[TRACES_SIZE];
    struct fixture f;
    fixture_start(&f, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER, cases[i].spoil));
        tiers_traces(&f, before);
        for (size_t k = 0; k < 2; k++) {
            assert_int_equal(tiers_create(&f, dedicated[k], 0, 1), FH_PRECONDITION);
        }
        tiers_traces(&f, after);
        assert_string_equal(before, after);
        assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER, cases[i].mend));
    }
    assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER, "alter role freehold_owner nocreatedb"));
    tiers_traces(&f, before);
    assert_int_equal(tiers_create(&f, FH_TIER_DATABASE, 0, 1), FH_PRECONDITION);
    tiers_traces(&f, after);
    assert_string_equal(before, after);
    fixture_stop(&f);
}

/* Predicate, policies and the comparison of rows are not asked: the server refuses the table. */
static void test_schemas_apart(void **state)
{
    (void)state;
    struct fixture f;
    struct fh_home a;
    struct fh_home b;
    char text[512];
    fixture_start(&f, NULL);
    tiers_make(&f, FH_TIER_SCHEMA, 0);
    tiers_make(&f, FH_TIER_SCHEMA, 1);
    home_name(FH_TIER_SCHEMA, 0, &a);
    home_name(FH_TIER_SCHEMA, 1, &b);
    (void)snprintf(text, sizeof(text),
                   "alter table \"%s\".authors disable row level security; alter table "
                   "fh_shared.authors disable row level security",
                   b.name);
    assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER, text));
    (void)snprintf(text, sizeof(text), "set role \"%s\"; select * from \"%s\".authors", b.name,
                   b.name);
    assert_string_equal(tiers_sql(&f, "freehold", "freehold_app", NULL, text), "");
    (void)snprintf(text, sizeof(text), "set role \"%s\"; select * from \"%s\".authors", a.name,
                   b.name);
    assert_string_equal(tiers_sql(&f, "freehold", "freehold_app", NULL, text), DENIED);
    (void)snprintf(text, sizeof(text), "set role \"%s\"; select * from fh_shared.authors", a.name);
    assert_string_equal(tiers_sql(&f, "freehold", "freehold_app", NULL, text), DENIED);
    (void)snprintf(text, sizeof(text), "select * from \"%s\".authors", b.name);
    assert_string_equal(tiers_sql(&f, "freehold", "freehold_app", NULL, text), DENIED);
    /* Nor does a foreign row get in by the owner's own hand. */
    (void)snprintf(text, sizeof(text), "insert into \"%s\".fh_fence select '%s', 1, 1, 1", a.name,
                   "00000000-0000-4000-8000-000000000001");
    assert_string_equal(tiers_sql(&f, "freehold", "postgres", NULL, text), "23514");
    fixture_stop(&f);
}

#define MANY 48

/* Ops of all tiers under way together, many in one transaction: each runs as the role it must. */
static void test_side_by_side(void **state)
{
    (void)state;
    static struct call calls[MANY];
    struct fixture f;
    fixture_start(&f, NULL);
    tiers_reopen(&f, &(struct fh_store_config){.connections_max = 1});
    for (unsigned n = 0; n < 3; n++) {
        tiers_make(&f, FH_TIER_SCHEMA, n);
    }
    tiers_make(&f, FH_TIER_DATABASE, 0);
    struct call first;
    call_init(&first, &f);
    call_insert(&first, 1, "");
    assert_int_equal(call_run(&first, 10000), FH_OK);
    call_close(&first);
    for (unsigned i = 0; i < MANY; i++) {
        if (i % 5 < 3) {
            tiers_call(&calls[i], &f, FH_TIER_SCHEMA, i % 5);
        } else if (i % 5 == 3) {
            tiers_call(&calls[i], &f, FH_TIER_DATABASE, 0);
        } else {
            call_init(&calls[i], &f);
        }
        if (i % 2 == 0) {
            call_get(&calls[i], key_author(1));
        } else {
            call_insert(&calls[i], 100 + i, "");
        }
        call_submit(&calls[i], 20000);
    }
    fixture_wait(&f, calls, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(calls[i].request.code, FH_OK);
        if (calls[i].request.op == FH_OP_GET) {
            assert_non_null(calls[i].request.as.get.rows[0]);
        }
        call_close(&calls[i]);
    }
    fixture_stop(&f);
}

static void rollbacks(struct fixture *f, char out[24])
{
    assert_true(fh_pgtest_value(f->pg, FH_PGTEST_SUPERUSER,
                                "select xact_rollback from pg_stat_database where datname = "
                                "'freehold'",
                                out, 24));
}

/* Writes that share a Sync take their locks as the login, whatever role the one before has set:
 * no group is rolled back, to be sent again one by one. */
static void test_locks_in_groups(void **state)
{
    (void)state;
    static struct call calls[MANY];
    char before[24];
    char after[24];
    struct fixture f;
    fixture_start(&f, NULL);
    for (unsigned n = 0; n < 2; n++) {
        tiers_make(&f, FH_TIER_SCHEMA, n);
    }
    tiers_reopen(&f, &(struct fh_store_config){.connections_max = 1});
    rollbacks(&f, before);
    for (unsigned i = 0; i < MANY; i++) {
        if (i % 3 == 2) {
            call_init(&calls[i], &f);
        } else {
            tiers_call(&calls[i], &f, FH_TIER_SCHEMA, i % 3);
        }
        call_insert(&calls[i], 100 + i, "");
        call_submit(&calls[i], 20000);
    }
    fixture_wait(&f, calls, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(calls[i].request.code, FH_OK);
        call_close(&calls[i]);
    }
    fixture_close(&f); /* a session tells its numbers when it ends, at the latest */
    assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER,
                               "do $$ begin while exists (select from pg_stat_activity where "
                               "usename = 'freehold_app') loop perform pg_sleep(0.01); perform "
                               "pg_stat_clear_snapshot(); end loop; end $$"));
    rollbacks(&f, after);
    assert_string_equal(before, after);
    fixture_stop(&f);
}

static void test_databases_apart(void **state)
{
    (void)state;
    struct fixture f;
    struct fh_home a;
    char login[FH_PG_ROLE_SIZE];
    fixture_start(&f, NULL);
    tiers_make(&f, FH_TIER_DATABASE, 0);
    tiers_make(&f, FH_TIER_DATABASE, 1);
    tiers_make(&f, FH_TIER_SCHEMA, 1);
    home_name(FH_TIER_DATABASE, 0, &a);
    assert_string_equal(tiers_sql(&f, a.name, "freehold_app", NULL, "select 1"), "connect");
    fh_pg_admin_role(&a, false, login);
    assert_string_equal(tiers_sql(&f, a.name, login, NULL, "select 1"), "");
    home_name(FH_TIER_DATABASE, 1, &a);
    assert_string_equal(tiers_sql(&f, a.name, login, NULL, "select 1"), "connect");
    assert_string_equal(tiers_sql(&f, "freehold", login, NULL, "select * from fh_shared.authors"),
                        DENIED);
    assert_string_equal(tiers_sql(&f, "freehold", login, NULL, "set role freehold_app"), DENIED);
    fixture_stop(&f);
}

/* Three databases take turns in two places; whoever finds none waits. */
static void test_places(void **state)
{
    (void)state;
    static struct call calls[MANY];
    struct fixture f;
    fixture_start(&f, NULL);
    tiers_reopen(&f, &(struct fh_store_config){.open_homes_max = 2});
    for (unsigned n = 0; n < 3; n++) {
        tiers_make(&f, FH_TIER_DATABASE, n);
    }
    for (unsigned i = 0; i < MANY; i++) {
        tiers_call(&calls[i], &f, FH_TIER_DATABASE, i % 3);
        call_get(&calls[i], key_author(1));
        call_submit(&calls[i], 20000);
    }
    fixture_wait(&f, calls, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(calls[i].request.code, FH_OK);
        call_close(&calls[i]);
    }
    for (unsigned i = 0; i < 6; i++) {
        char count[16];
        assert_int_equal(tiers_get(&f, FH_TIER_DATABASE, i % 3), FH_OK);
        assert_true(fh_pgtest_value(f.pg, FH_PGTEST_SUPERUSER,
                                    "select count(distinct datname) from pg_stat_activity where "
                                    "datname like 't\\_%' and state <> 'disabled'",
                                    count, sizeof(count)));
        assert_true(count[0] <= '3'); /* a back end that was told to end may still be there */
    }
    fixture_stop(&f);
}

/* The secret makes the logins' passwords; the server asks for them. */
static void test_passwords(void **state)
{
    (void)state;
    static const uint8_t secret[32] = {1, 2, 3};
    static const uint8_t other[32] = {9};
    char hba[512];
    struct fixture f;
    fixture_start(&f, NULL);
    (void)snprintf(hba, sizeof(hba), "%s/data/pg_hba.conf", fh_pgtest_directory(f.pg));
    FILE *file = fopen(hba, "we");
    assert_non_null(file);
    assert_true(fputs("local all postgres,freehold_owner,freehold_app trust\n"
                      "local all all scram-sha-256\n",
                      file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER, "select pg_reload_conf()"));
    tiers_reopen(&f, &(struct fh_store_config){.secret = secret});
    tiers_make(&f, FH_TIER_DATABASE, 0);
    assert_int_equal(tiers_get(&f, FH_TIER_DATABASE, 0), FH_OK);
    tiers_reopen(&f, &(struct fh_store_config){.secret = other});
    assert_int_equal(tiers_get(&f, FH_TIER_DATABASE, 0), FH_UNAVAILABLE);
    fixture_stop(&f);
}

static void issue(struct fixture *f, enum fh_tier tier, const struct fh_table *const *tables,
                  size_t count, struct call *call)
{
    tiers_call(call, f, tier, 0);
    call->request.op = FH_OP_CREDENTIAL;
    call->request.as.credential = (struct fh_op_credential){
        .action = FH_CREDENTIAL_ISSUE, .tables = tables, .table_count = count};
    assert_int_equal(call_run(call, 30000), FH_OK);
}

static enum fh_code act(struct fixture *f, enum fh_tier tier, enum fh_credential_action action)
{
    struct call call;
    tiers_call(&call, f, tier, 0);
    call.request.op = FH_OP_CREDENTIAL;
    call.request.as.credential.action = action;
    enum fh_code code = call_run(&call, 30000);
    call_close(&call);
    return code;
}

static const char *as_reader(struct call *call, const char *sql)
{
    const struct fh_op_credential *credential = &call->request.as.credential;
    return tiers_sql(call->fixture, credential->database.data, credential->user.data,
                     credential->secret.data, sql);
}

static void test_credentials(void **state)
{
    (void)state;
    static char before[TRACES_SIZE];
    static char after[TRACES_SIZE];
    static const char *const locks[] = {"select pg_advisory_lock(1)",
                                        "select pg_advisory_lock_shared(1, 2)",
                                        "select pg_advisory_xact_lock(1)",
                                        "select pg_try_advisory_lock_shared(1)",
                                        "select pg_try_advisory_xact_lock(1, 2)",
                                        "select pg_try_advisory_xact_lock_shared(1)"};
    const struct fh_table *const tables[] = {&model_authors};
    struct fixture f;
    struct call call;
    char text[256];
    fixture_start(&f, NULL);
    for (size_t i = 0; i < 2; i++) {
        tiers_make(&f, dedicated[i], 0);
        tiers_make(&f, dedicated[i], 1);
        tiers_traces(&f, before);
        assert_int_equal(act(&f, dedicated[i], FH_CREDENTIAL_READ), FH_NOT_FOUND);
        assert_int_equal(act(&f, dedicated[i], FH_CREDENTIAL_REVOKE), FH_OK);
        issue(&f, dedicated[i], tables, 1, &call);
        assert_int_equal(act(&f, dedicated[i], FH_CREDENTIAL_READ), FH_OK);
        const char *space = call.request.as.credential.namespace.data;
        (void)snprintf(text, sizeof(text), "select 1 / count(*) from \"%s\".authors", space);
        assert_string_equal(as_reader(&call, text), "");
        assert_string_equal(as_reader(&call, "select 1 / count(*) from authors"), "");
        (void)snprintf(text, sizeof(text), "select * from \"%s\".books", space);
        assert_string_equal(as_reader(&call, text), DENIED);
        (void)snprintf(text, sizeof(text), "select * from \"%s\".fh_commit", space);
        assert_string_equal(as_reader(&call, text), DENIED);
        (void)snprintf(text, sizeof(text), "delete from \"%s\".authors", space);
        assert_string_equal(as_reader(&call, text), "25006");
        (void)snprintf(text, sizeof(text),
                       "begin read write; delete from "
                       "\"%s\".authors",
                       space);
        assert_string_equal(as_reader(&call, text), DENIED);
        assert_string_equal(as_reader(&call, "create temporary table t (a int)"), "25006");
        assert_string_equal(
            as_reader(&call, "begin read write; create temporary table t (a int); commit"), DENIED);
        if (dedicated[i] == FH_TIER_SCHEMA) {
            assert_string_equal(as_reader(&call, "begin read write; select lo_create(0); commit"),
                                DENIED);
            for (size_t k = 0; k < sizeof(locks) / sizeof(locks[0]); k++) {
                assert_string_equal(as_reader(&call, locks[k]), DENIED);
            }
        }
        /* Whichever database it is for, the store's lets it in, and take nothing there. */
        assert_string_equal(tiers_sql(&f, "freehold", call.request.as.credential.user.data,
                                      call.request.as.credential.secret.data, locks[0]),
                            DENIED);
        call_close(&call);
        issue(&f, dedicated[i], NULL, 0, &call);
        space = call.request.as.credential.namespace.data;
        (void)snprintf(text, sizeof(text), "select * from \"%s\".books", space);
        assert_string_equal(as_reader(&call, text), "");
        assert_int_equal(act(&f, dedicated[i], FH_CREDENTIAL_REVOKE), FH_OK);
        assert_string_equal(as_reader(&call, "select 1"), "connect");
        tiers_traces(&f, after);
        assert_string_equal(before, after);
        call_close(&call);
        /* It goes with the home. */
        issue(&f, dedicated[i], NULL, 0, &call);
        assert_int_equal(tiers_erase(&f, dedicated[i], 0, 1), FH_OK);
        assert_string_equal(as_reader(&call, "select 1"), "connect");
        assert_int_equal(act(&f, dedicated[i], FH_CREDENTIAL_READ), FH_NOT_FOUND);
        call_close(&call);
    }
    fixture_stop(&f);
}

/* The script that Python's clusters install is the generator's. */
static void test_script(void **state)
{
    (void)state;
    static char text[65536];
    struct fh_buf script;
    fh_buf_init(&script, sizeof(text));
    assert_int_equal(fh_pg_admin_script("freehold_owner", "freehold_app", &script), FH_OK);
    FILE *file = fopen(FH_TEST_ADMIN_SQL, "re");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    assert_int_equal(fclose(file), 0);
    text[len] = '\0';
    assert_string_equal(text, script.data);
    fh_buf_clear(&script);
    assert_int_equal(fh_pg_admin_script("a$b", "freehold_app", &script), FH_INVALID);
    assert_int_equal(fh_pg_admin_script("owner", "", &script), FH_INVALID);
    fh_buf_close(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_script),          cmocka_unit_test(test_made_and_erased),
        cmocka_unit_test(test_bounded),         cmocka_unit_test(test_unprepared),
        cmocka_unit_test(test_schemas_apart),   cmocka_unit_test(test_side_by_side),
        cmocka_unit_test(test_locks_in_groups), cmocka_unit_test(test_databases_apart),
        cmocka_unit_test(test_places),          cmocka_unit_test(test_passwords),
        cmocka_unit_test(test_credentials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
