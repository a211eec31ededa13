/* Templates of tenants' databases: a home made from one is as one made without, and what is not
 * this store's, this version's and whole is never copied, nor anything else dropped. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stores/pg/keys.h"
#include "tests/unit/stores_pg/tiers.h"

#define DUMP_SIZE 262144

static void name_of(unsigned n, struct fh_home *home)
{
    struct fh_uuid tenant = tiers_tenant(n);
    fh_home_of(FH_TIER_DATABASE, &tenant, home);
}

static void make(struct fixture *f, unsigned n)
{
    assert_int_equal(tiers_create(f, FH_TIER_DATABASE, n, 1), FH_OK);
}

/* Their names, with what they say of themselves. */
static const char *templates(struct fixture *f)
{
    static char out[1024];
    assert_true(fh_pgtest_value(
        f->pg, FH_PGTEST_SUPERUSER,
        "select coalesce(string_agg(datname || ' ' || coalesce(shobj_description(oid, "
        "'pg_database'), 'half') || ' ' || datallowconn, '\n' order by datname), '') from "
        "pg_database where datname ~ '^fh_template_'",
        out, sizeof(out)));
    return out;
}

static void template_name(struct fixture *f, char out[64])
{
    (void)snprintf(out, 64, "%.*s", (int)strcspn(templates(f), " "), templates(f));
    assert_true(out[0] != '\0');
}

static void superuser(struct fixture *f, const char *database, const char *sql)
{
    assert_string_equal(tiers_sql(f, database, "postgres", NULL, sql), "");
}

/* A table that every copy would have. */
static void mark(struct fixture *f, const char *template)
{
    char sql[160];
    (void)snprintf(sql, sizeof(sql), "alter database \"%s\" allow_connections true", template);
    superuser(f, "freehold", sql);
    superuser(f, template,
              "create table app.mark (a int); alter table app.mark owner to freehold_owner");
    (void)snprintf(sql, sizeof(sql), "alter database \"%s\" allow_connections false", template);
    superuser(f, "freehold", sql);
}

static bool is_marked(struct fixture *f, unsigned n)
{
    char out[8];
    struct fh_home home;
    name_of(n, &home);
    assert_true(fh_pgtest_value_in(f->pg, home.name, "select to_regclass('app.mark') is not null",
                                   out, sizeof(out)));
    return out[0] == 't';
}

/* All that the catalog holds of a home, with T for its tenant. */
static void dump(struct fixture *f, unsigned n, char *out)
{
    static const char sql[] =
        "select replace(replace(string_agg(x, E'\n' order by x), substr(current_database(), 3), "
        "'T'), substr(current_database(), 3)::uuid::text, 'T') from ("
        "select format('class %s %s %s %s %s %s %s', c.oid::regclass, relkind, relowner::regrole, "
        "relrowsecurity, relforcerowsecurity, relacl, reloptions) as x from pg_class c where "
        "relnamespace = 'app'::regnamespace union all "
        "select format('schema %s %s %s', nspname, nspowner::regrole, nspacl) from pg_namespace "
        "where nspname !~ '^pg_(toast_)?temp' union all "
        "select format('column %s %s %s %s %s %s %s', attrelid::regclass, attnum, attname, "
        "format_type(atttypid, atttypmod), attnotnull, attcollation::regcollation, "
        "pg_get_expr(d.adbin, d.adrelid)) from pg_attribute a join pg_class c on c.oid = attrelid "
        "left join pg_attrdef d on d.adrelid = attrelid and d.adnum = attnum where relnamespace = "
        "'app'::regnamespace union all "
        "select format('constraint %s %s %s %s', conrelid::regclass, conname, convalidated, "
        "pg_get_constraintdef(oid)) from pg_constraint where connamespace = 'app'::regnamespace "
        "union all select format('index %s %s %s', indexrelid::regclass, indisvalid, "
        "pg_get_indexdef(indexrelid)) from pg_index i join pg_class c on c.oid = indexrelid where "
        "relnamespace = 'app'::regnamespace union all "
        "select format('policy %s %s %s %s', polrelid::regclass, polname, pg_get_expr(polqual, "
        "polrelid), pg_get_expr(polwithcheck, polrelid)) from pg_policy union all "
        "select format('trigger %s %s %s %s', tgrelid::regclass, tgenabled, tgdeferrable, "
        "tgfoid::regproc) from pg_trigger union all "
        "select format('view %s %s', c.oid::regclass, pg_get_viewdef(c.oid)) from pg_class c where "
        "relkind = 'v' and relnamespace = 'app'::regnamespace union all "
        "select format('meta %s', m) from app.fh_meta m union all "
        "select format('fence %s', m) from app.fh_fence m union all "
        "select format('sequence %s %s', last_value, is_called) from app.fh_commit_seq union all "
        "select format('database %s %s %s %s %s %s', datdba::regrole, datacl, datallowconn, "
        "datcollate, encoding, shobj_description(oid, 'pg_database')) from pg_database where "
        "datname = current_database()) s";
    struct fh_home home;
    name_of(n, &home);
    assert_true(fh_pgtest_value_in(f->pg, home.name, sql, out, DUMP_SIZE));
}

static size_t faults(struct fixture *f, const struct fh_home *home, const char *part)
{
    struct call call;
    size_t count = 0;
    call_init(&call, f);
    call.request.op = FH_OP_CHECK;
    call.request.scope.tenant = (struct fh_uuid){{0}};
    if (home != NULL) {
        call.request.scope.home = *home;
    }
    assert_int_equal(call_run(&call, 20000), FH_OK);
    for (size_t i = 0; i < call.request.as.check.count; i++) {
        const struct fh_finding *finding = &call.request.as.check.findings[i];
        if (!finding->ok && (part == NULL || memmem(finding->text.data, finding->text.len, part,
                                                    strlen(part)) != NULL)) {
            print_message("%.*s: %.*s\n", FH_STR_ARG(finding->subject), FH_STR_ARG(finding->text));
            count++;
        }
    }
    call_close(&call);
    return count;
}

static void test_equal(void **state)
{
    (void)state;
    static char without[DUMP_SIZE];
    static char with[DUMP_SIZE];
    char sql[64];
    struct fixture f;
    struct fh_home home;
    fixture_start(&f, NULL);
    (void)snprintf(sql, sizeof(sql), "select pg_advisory_lock(%lld)",
                   (long long)fh_pg_template_key());
    struct fh_pgtest_session *session = fh_pgtest_session_open(f.pg, FH_PGTEST_SUPERUSER, sql);
    assert_non_null(session);
    make(&f, 0); /* another makes the template meanwhile */
    assert_string_equal(templates(&f), "");
    dump(&f, 0, without);
    fh_pgtest_session_close(session);
    make(&f, 1);
    assert_non_null(strstr(templates(&f), "freehold template, version 1, "));
    make(&f, 2);
    for (unsigned n = 1; n < 3; n++) {
        dump(&f, n, with);
        assert_string_equal(without, with);
        name_of(n, &home);
        assert_int_equal(faults(&f, &home, NULL), 0);
    }
    assert_int_equal(faults(&f, NULL, NULL), 0);
    char name[64];
    template_name(&f, name);
    mark(&f, name); /* so that it is known to be copied */
    make(&f, 3);
    assert_true(is_marked(&f, 3));
    for (unsigned n = 0; n < 4; n++) { /* and goes with none of them */
        assert_int_equal(tiers_erase(&f, FH_TIER_DATABASE, n, 1), FH_OK);
    }
    make(&f, 0);
    assert_true(is_marked(&f, 0));
    fixture_stop(&f);
}

static enum fh_code create_at(struct fixture *f, unsigned n, const struct fh_schema *schema,
                              int64_t ms)
{
    struct call call;
    tiers_call(&call, f, FH_TIER_DATABASE, n);
    call.request.op = FH_OP_HOME_CREATE;
    call.request.scope.schema = schema;
    call.request.as.home.fence =
        (struct fh_fence){.epoch = 1, .generation = 1, .mode = FH_FENCE_OPEN};
    enum fh_code code = call_run(&call, ms);
    call_close(&call);
    return code;
}

/* Of another version, of another build, half made, made by another role: not taken. */
static void test_stale(void **state)
{
    (void)state;
    static const char *const spoils[] = {
        "comment on database \"%s\" is 'freehold template, version 1, another build''s'",
        "comment on database \"%s\" is null",
        "alter database \"%s\" allow_connections true",
    };
    char name[64];
    char now[64];
    char sql[256];
    unsigned n = 0;
    struct fixture f;
    fixture_start(&f, NULL);
    make(&f, n++);
    template_name(&f, name);
    for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
        mark(&f, name);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the texts above */
        (void)snprintf(sql, sizeof(sql), spoils[i], name);
#pragma GCC diagnostic pop
        superuser(&f, "freehold", sql);
        make(&f, n);
        assert_false(is_marked(&f, n++));
        template_name(&f, now);
        assert_string_equal(name, now); /* made anew */
        assert_non_null(strstr(templates(&f), " false"));
    }
    mark(&f, name);
    assert_int_equal(create_at(&f, n, &model_v2, 30000), FH_OK);
    assert_false(is_marked(&f, n++));
    template_name(&f, now);
    assert_string_not_equal(name, now); /* and the older one is gone */
    assert_null(strchr(templates(&f), '\n'));
    make(&f, n++); /* by a server that is at the older version still */
    template_name(&f, name);
    assert_string_equal(name, now);
    fixture_stop(&f);
}

/* What is of the template's name and not the owner's is neither copied nor dropped; nor is what
 * other stores of the server have. */
static void test_not_ours(void **state)
{
    (void)state;
    char name[64];
    char sql[256];
    struct fixture f;
    fixture_start(&f, NULL);
    make(&f, 0);
    template_name(&f, name);
    mark(&f, name);
    (void)snprintf(sql, sizeof(sql), "alter database \"%s\" owner to postgres", name);
    superuser(&f, "freehold", sql);
    superuser(&f, "freehold",
              "create database fh_template_1_v0_0000000000000000 owner freehold_owner");
    superuser(&f, "freehold", "create database fh_template_mine owner freehold_owner");
    make(&f, 1);
    assert_false(is_marked(&f, 1));
    assert_non_null(strstr(templates(&f), name));
    assert_int_equal(create_at(&f, 2, &model_v2, 30000), FH_OK);
    assert_non_null(strstr(templates(&f), name));
    assert_non_null(strstr(templates(&f), "fh_template_1_v0_0000000000000000 half true"));
    assert_non_null(strstr(templates(&f), "fh_template_mine half true"));
    fixture_stop(&f);
}

static void test_two_makers(void **state)
{
    (void)state;
    static char first[DUMP_SIZE];
    static char second[DUMP_SIZE];
    struct call calls[2];
    struct fixture f;
    fixture_start(&f, NULL);
    for (unsigned n = 0; n < 2; n++) {
        tiers_call(&calls[n], &f, FH_TIER_DATABASE, n);
        calls[n].request.op = FH_OP_HOME_CREATE;
        calls[n].request.as.home.fence =
            (struct fh_fence){.epoch = 1, .generation = 1, .mode = FH_FENCE_OPEN};
        call_submit(&calls[n], 30000);
    }
    fixture_wait(&f, calls, 2);
    for (unsigned n = 0; n < 2; n++) {
        assert_int_equal(calls[n].request.code, FH_OK);
        call_close(&calls[n]);
    }
    dump(&f, 0, first);
    dump(&f, 1, second);
    assert_string_equal(first, second);
    assert_non_null(strstr(templates(&f), "freehold template, version 1, "));
    assert_null(strchr(templates(&f), '\n'));
    fixture_stop(&f);
}

/* Dropping a database waits for a checkpoint, and those may take longer than a request has: the
 * home is made all the same. */
static void test_slow_drop(void **state)
{
    (void)state;
    char pid[24];
    char name[64];
    struct fixture f;
    fixture_start(&f, NULL);
    make(&f, 0);
    template_name(&f, name);
    assert_true(fh_pgtest_value(f.pg, FH_PGTEST_SUPERUSER,
                                "select pid from pg_stat_activity where backend_type = "
                                "'checkpointer'",
                                pid, sizeof(pid)));
    const pid_t checkpointer = (pid_t)strtol(pid, NULL, 10);
    assert_int_equal(kill(checkpointer, SIGSTOP), 0);
    enum fh_code code = create_at(&f, 1, &model_v2, 12000);
    assert_int_equal(kill(checkpointer, SIGCONT), 0);
    assert_int_equal(code, FH_OK);
    assert_non_null(strstr(templates(&f), "freehold template, version 2, "));
    assert_non_null(strstr(templates(&f), name)); /* until another one is made */
    fixture_stop(&f);
}

static void test_checked(void **state)
{
    (void)state;
    char name[64];
    char sql[256];
    struct fixture f;
    fixture_start(&f, NULL);
    make(&f, 0);
    template_name(&f, name);
    assert_int_equal(faults(&f, NULL, NULL), 0);
    (void)snprintf(sql, sizeof(sql), "alter database \"%s\" allow_connections true", name);
    superuser(&f, "freehold", sql);
    assert_int_equal(faults(&f, NULL, "allow_connections false"), 1);
    superuser(&f, "freehold", "create database fh_template_1_v7_0123456789abcdef");
    assert_int_equal(faults(&f, NULL, "drop database fh_template_1_v7_0123456789abcdef"), 0);
    superuser(&f, "freehold", "create database fh_template_99999_v7_0123456789abcdef");
    assert_int_equal(faults(&f, NULL, "drop database fh_template_99999_v7_0123456789abcdef"), 1);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal),     cmocka_unit_test(test_stale),
        cmocka_unit_test(test_not_ours),  cmocka_unit_test(test_two_makers),
        cmocka_unit_test(test_slow_drop), cmocka_unit_test(test_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
