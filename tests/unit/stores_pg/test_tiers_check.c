/* The check of dedicated homes: nothing is off in a fresh store, and each of a list of sabotages is
 * named, with what mends it. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/stores_pg/tiers.h"

/* The faults it finds; *named: whether one has the subject's and the text's part. */
static size_t check(struct fixture *f, const struct fh_home *home, const char *subject,
                    const char *part, bool *named)
{
    struct call call;
    size_t faults = 0;
    call_init(&call, f);
    call.request.op = FH_OP_CHECK;
    call.request.scope.tenant = (struct fh_uuid){{0}};
    if (home != NULL) {
        call.request.scope.home = *home;
    }
    assert_int_equal(call_run(&call, 20000), FH_OK);
    const struct fh_op_check *result = &call.request.as.check;
    for (size_t i = 0; i < result->count; i++) {
        const struct fh_finding *finding = &result->findings[i];
        faults += !finding->ok;
        if (!finding->ok && subject == NULL) {
            print_error("%.*s: %.*s\n", FH_STR_ARG(finding->subject), FH_STR_ARG(finding->text));
        }
        if (!finding->ok && subject != NULL &&
            memmem(finding->subject.data, finding->subject.len, subject, strlen(subject)) != NULL &&
            memmem(finding->text.data, finding->text.len, part, strlen(part)) != NULL) {
            *named = true;
        }
    }
    call_close(&call);
    return faults;
}

/* %s in both statements: the home's name. */
struct sabotage {
    const char *database; /* NULL: the store's; else where the home of that name is */
    const char *spoil;
    const char *mend;
    const char *subject;
    const char *part;
};

static const struct sabotage in_store[] = {
    {NULL, "alter table \"%s\".books no force row level security",
     "alter table \"%s\".books force row level security", ".books", "force row level security"},
    {NULL, "create policy more on \"%s\".authors using (true)",
     "drop policy more on \"%s\".authors", "policy t_", "drop what is there"},
    {NULL, "grant select on \"%s\".books to freehold_app",
     "revoke select on \"%s\".books from freehold_app", "grant t_", "freehold_app has SELECT"},
    {NULL, "grant usage on schema \"%s\" to public", "revoke usage on schema \"%s\" from public",
     "namespace t_", "PUBLIC has USAGE"},
    {NULL, "revoke insert on \"%1$s\".books from \"%1$s\"",
     "grant insert on \"%1$s\".books to \"%1$s\"", "grant t_", "lacks INSERT"},
    {NULL, "alter role \"%s\" bypassrls", "alter role \"%s\" nobypassrls", "role t_",
     "nobypassrls"},
    {NULL, "alter role \"%s\" login", "alter role \"%s\" nologin", "role t_", "nologin"},
    {NULL, "revoke \"%s\" from freehold_app", "grant \"%s\" to freehold_app", "role t_",
     "cannot be taken"},
    {NULL, "grant \"%s\" to freehold_bypass", "revoke \"%s\" from freehold_bypass", "role t_",
     "member freehold_bypass"},
    {NULL, "grant select on fh_shared.books to \"%s\"",
     "revoke select on fh_shared.books from \"%s\"", "role t_", "rights on table"},
    {NULL, "create table public.x (a int); alter table public.x owner to \"%s\"",
     "drop table public.x /* %s */", "role t_", "owns table"},
    {NULL, "grant connect on database \"%s\" to public",
     "revoke connect on database \"%s\" from public", "database t_", "PUBLIC has CONNECT"},
    {NULL, "grant connect on database \"%s\" to freehold_app",
     "revoke connect on database \"%s\" from freehold_app", "database t_", "freehold_app has"},
    {NULL, "revoke connect on database \"%1$s\" from \"%1$s_db\"",
     "grant connect on database \"%1$s\" to \"%1$s_db\"", "database t_", "cannot connect"},
    {NULL,
     "create database fh_home_4000000000_t_00000000000000000000000000000000 template template0 /* "
     "%s */",
     "drop database fh_home_4000000000_t_00000000000000000000000000000000 /* %s */",
     "database fh_home_4000000000_t_", "as its owner: drop database"},
    {NULL, "create role t_00000000000000000000000000000000_db noinherit /* %s */",
     "drop role t_00000000000000000000000000000000_db /* %s */", "role t_0000", "no database"},
    {NULL,
     "create role t_00000000000000000000000000000000_ro noinherit /* %s */; grant temporary on "
     "database freehold to public",
     "drop role t_00000000000000000000000000000000_ro /* %s */; revoke temporary on database "
     "freehold from public",
     "database freehold", "temporary"},
    {NULL,
     "create role t_00000000000000000000000000000000_ro noinherit /* %s */; grant execute on "
     "function pg_try_advisory_lock(int8) to public",
     "drop role t_00000000000000000000000000000000_ro /* %s */; revoke execute on function "
     "pg_try_advisory_lock(int8) from public",
     "advisory locks", "PUBLIC may take them"},
    {NULL,
     "revoke execute on function pg_try_advisory_xact_lock_shared(int8) from freehold_app /* %s */",
     "grant execute on function pg_try_advisory_xact_lock_shared(int8) to freehold_app /* %s */",
     "advisory locks", "freehold_app may not take them"},
    {NULL, "grant execute on function fh_admin.make_role to public /* %s */",
     "revoke execute on function fh_admin.make_role from public /* %s */",
     "function fh_admin.make_role", "store prepare"},
    {NULL, "alter function fh_admin.drop_role reset all /* %s */",
     "alter function fh_admin.drop_role set search_path = pg_catalog, pg_temp /* %s */",
     "function fh_admin.drop_role", "store prepare"},
    {NULL, "alter function fh_admin.drop_role owner to freehold_owner /* %s */",
     "alter function fh_admin.drop_role owner to postgres /* %s */", "function fh_admin.drop_role",
     "store prepare"},
    {NULL, "create function fh_admin.more() returns int language sql as 'select 1' /* %s */",
     "drop function fh_admin.more() /* %s */", "function fh_admin.more", "none of ours"},
    {NULL,
     "alter table \"%s\".fh_fence rename constraint fh_c_tenant to gone; alter table "
     "\"%1$s\".fh_fence drop constraint gone",
     NULL, ".fh_fence", "check (tenant_id"},
};

static const struct sabotage in_database[] = {
    {"", "alter table app.books disable row level security",
     "alter table app.books enable row level security", ".books", "enable row level security"},
    {"", "grant select on app.books to public", "revoke select on app.books from public",
     "grant app", "PUBLIC has SELECT"},
    {"", "revoke select on app.books from \"%s_db\"", "grant select on app.books to \"%s_db\"",
     "grant app", "lacks SELECT"},
    {"", "alter view app.fh_fence_v1 set (security_invoker = false)",
     "alter view app.fh_fence_v1 set (security_invoker = true)", "view app", "security_invoker"},
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the texts above */
static void run(struct fixture *f, const struct sabotage *sabotage, const char *text,
                const char *home)
{
    char sql[512];
    (void)snprintf(sql, sizeof(sql), text, home);
    assert_string_equal(
        tiers_sql(f, sabotage->database != NULL ? home : "freehold", "postgres", NULL, sql), "");
}
#pragma GCC diagnostic pop

static void try_all(struct fixture *f, const struct fh_home *home, const struct sabotage *list,
                    size_t count)
{
    struct fh_uuid tenant = tiers_tenant(0);
    struct fh_home dedicated;
    fh_home_of(FH_TIER_DATABASE, &tenant, &dedicated);
    for (size_t i = 0; i < count; i++) {
        bool named = false;
        run(f, &list[i], list[i].spoil, dedicated.name);
        assert_true(check(f, home, list[i].subject, list[i].part, &named) >= 1);
        if (!named) {
            print_error("not named: %s\n", list[i].spoil);
            (void)check(f, home, NULL, NULL, NULL);
        }
        assert_true(named);
        if (list[i].mend != NULL) {
            run(f, &list[i], list[i].mend, dedicated.name);
            assert_int_equal(check(f, home, NULL, NULL, NULL), 0);
        }
    }
}

static void test_sabotage(void **state)
{
    (void)state;
    struct fixture f;
    struct fh_uuid tenant = tiers_tenant(0);
    struct fh_home home;
    struct call call;
    fixture_start(&f, NULL);
    assert_int_equal(check(&f, NULL, NULL, NULL, NULL), 0);
    for (enum fh_tier tier = FH_TIER_SCHEMA; tier <= FH_TIER_DATABASE; tier++) {
        tiers_make(&f, tier, 0);
        tiers_call(&call, &f, tier, 0);
        call.request.op = FH_OP_CREDENTIAL;
        call.request.as.credential.action = FH_CREDENTIAL_ISSUE;
        assert_int_equal(call_run(&call, 20000), FH_OK);
        call_close(&call);
    }
    assert_int_equal(check(&f, NULL, NULL, NULL, NULL), 0);
    fh_home_of(FH_TIER_DATABASE, &tenant, &home);
    assert_int_equal(check(&f, &home, NULL, NULL, NULL), 0);
    try_all(&f, &home, in_database, sizeof(in_database) / sizeof(in_database[0]));
    try_all(&f, NULL, in_store, sizeof(in_store) / sizeof(in_store[0]));
    fixture_stop(&f);
}

/* More than there is room for. */
static void test_too_many(void **state)
{
    (void)state;
    struct fixture f;
    bool named = false;
    fixture_start(&f, NULL);
    for (unsigned n = 0; n < 6; n++) {
        assert_int_equal(tiers_create(&f, FH_TIER_SCHEMA, n, 1), FH_OK);
    }
    assert_true(fh_pgtest_exec(
        f.pg, FH_PGTEST_SUPERUSER,
        "do $$ declare t text; begin for t in select format('alter table %I.%I no force row level "
        "security; grant select on %1$I.%2$I to public', nspname, relname) from pg_class c join "
        "pg_namespace n on n.oid = c.relnamespace where nspname ~ '^t_' and relkind = 'r' loop "
        "execute t; end loop; end $$"));
    assert_int_equal(
        check(&f, NULL, "check", "more faults are not listed", &named) <= FH_CHECK_FINDINGS_MAX, 1);
    assert_true(named);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sabotage),
                                       cmocka_unit_test(test_too_many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
