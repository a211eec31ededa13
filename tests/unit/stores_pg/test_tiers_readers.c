/* A tenant's own reader (read-only credential) that is in the way of its home's end: whatever it
 * holds, the home is erased; and where the home stays, so does the reader. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stores/pg/keys.h"
#include "tests/unit/stores_pg/tiers.h"

#define TEXT_SIZE 256
#define FIRST_GENERATION 1 /* as tiers_make() has it */

struct reader {
    struct fixture *f;
    char database[64];
    char user[64];
    char secret[128];
    char namespace[64];
};

static void copy(char *out, size_t size, struct fh_str text)
{
    (void)snprintf(out, size, "%.*s", FH_STR_ARG(text));
}

static void issue(struct fixture *f, enum fh_tier tier, struct reader *out)
{
    struct call call;
    tiers_call(&call, f, tier, 0);
    call.request.op = FH_OP_CREDENTIAL;
    call.request.as.credential = (struct fh_op_credential){.action = FH_CREDENTIAL_ISSUE};
    assert_int_equal(call_run(&call, 30000), FH_OK);
    const struct fh_op_credential *credential = &call.request.as.credential;
    *out = (struct reader){.f = f};
    copy(out->database, sizeof(out->database), credential->database);
    copy(out->user, sizeof(out->user), credential->user);
    copy(out->secret, sizeof(out->secret), credential->secret);
    copy(out->namespace, sizeof(out->namespace), credential->namespace);
    call_close(&call);
}

static const char *read_as(struct reader *reader, const char *sql)
{
    return tiers_sql(reader->f, reader->database, reader->user, reader->secret, sql);
}

static _Noreturn void take_again(struct reader *reader, const char *sql)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test does not end() it */
    for (;;) {
        (void)read_as(reader, sql);
        (void)usleep(1000);
    }
}

/* A process of its own takes that and keeps it, and takes it again whenever its session is ended;
 * it has it when this returns. */
static pid_t keep(struct reader *reader, const char *sql, const char *held)
{
    char text[2 * TEXT_SIZE];
    char value[8] = "";
    (void)snprintf(text, sizeof(text), "%s; select pg_sleep(600)", sql);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        take_again(reader, text);
    }
    for (int i = 0; i < 3000 && strcmp(value, "t") != 0; i++) {
        assert_true(
            fh_pgtest_value_in(reader->f->pg, reader->database, held, value, sizeof(value)));
        fixture_turn(reader->f, 10);
    }
    assert_string_equal(value, "t");
    return pid;
}

static void end(pid_t pid)
{
    int status = 0;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

/* The gate, in the tenant's own database. */
static pid_t keep_gate(struct fixture *f, struct reader *reader)
{
    struct call call;
    char text[TEXT_SIZE];
    tiers_call(&call, f, FH_TIER_DATABASE, 0);
    (void)snprintf(text, sizeof(text),
                   "set statement_timeout = 0; select pg_advisory_lock_shared(%lld)",
                   (long long)fh_pg_gate_key(&call.request.scope));
    call_close(&call);
    return keep(reader, text,
                "select exists (select from pg_locks where locktype = 'advisory' and mode = "
                "'ShareLock' and granted)");
}

static void die_erasing(struct fixture *f, const char *point)
{
    fixture_close(f);
    end(tiers_stopped(f, point, FH_OP_HOME_ERASE, FH_TIER_DATABASE));
    fixture_open(f, 1);
}

static void test_gate_held(void **state)
{
    (void)state;
    static const char *const points[] = {"pg.erase.kept_out", "pg.erase.reader"};
    struct fixture f;
    struct reader reader;
    fixture_start(&f, NULL);
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        tiers_make(&f, FH_TIER_DATABASE, 0);
        issue(&f, FH_TIER_DATABASE, &reader);
        pid_t pid = keep_gate(&f, &reader);
        if (i == 0) { /* another generation's eraser is refused, and the reader stays */
            assert_int_equal(tiers_erase(&f, FH_TIER_DATABASE, 0, FIRST_GENERATION + 1), FH_MOVED);
            assert_int_equal(tiers_get(&f, FH_TIER_DATABASE, 0), FH_OK);
            assert_string_equal(read_as(&reader, "select 1 / count(*) from authors"), "");
        }
        /* One that dies behind taking the reader's right leaves what the next one ends. */
        die_erasing(&f, points[i]);
        assert_int_equal(tiers_erase(&f, FH_TIER_DATABASE, 0, FIRST_GENERATION), FH_OK);
        assert_int_equal(tiers_get(&f, FH_TIER_DATABASE, 0), FH_NO_TENANT);
        assert_string_equal(read_as(&reader, "select 1"), "connect");
        end(pid);
    }
    fixture_stop(&f);
}

/* An eraser took the reader's right and died, and the home is another generation's: the reader has
 * its right again with the credential's next issue. */
static void test_kept_out(void **state)
{
    (void)state;
    struct fixture f;
    struct reader reader;
    fixture_start(&f, NULL);
    tiers_make(&f, FH_TIER_DATABASE, 0);
    issue(&f, FH_TIER_DATABASE, &reader);
    pid_t pid = keep_gate(&f, &reader);
    die_erasing(&f, "pg.erase.kept_out");
    assert_int_equal(tiers_erase(&f, FH_TIER_DATABASE, 0, FIRST_GENERATION + 1), FH_MOVED);
    assert_string_equal(read_as(&reader, "select 1"), "connect");
    issue(&f, FH_TIER_DATABASE, &reader);
    assert_string_equal(read_as(&reader, "select 1 / count(*) from authors"), "");
    end(pid);
    fixture_stop(&f);
}

/* A table, by a reader that comes back as soon as it is thrown out. */
static void test_table_held(void **state)
{
    (void)state;
    struct fixture f;
    struct reader reader;
    char text[TEXT_SIZE];
    fixture_start(&f, NULL);
    tiers_make(&f, FH_TIER_SCHEMA, 0);
    issue(&f, FH_TIER_SCHEMA, &reader);
    fixture_close(&f);
    pid_t eraser = tiers_stopped(&f, "pg.erase.sessions", FH_OP_HOME_ERASE, FH_TIER_SCHEMA);
    (void)snprintf(text, sizeof(text),
                   "begin; set local statement_timeout = 0; lock table \"%s\".authors in access "
                   "share mode",
                   reader.namespace);
    pid_t pid = keep(&reader, text,
                     "select exists (select from pg_locks l join pg_stat_activity a using (pid) "
                     "where a.usename ~ '_ro$' and l.locktype = 'relation' and l.granted and "
                     "l.relation::regclass::text ~ 'authors')");
    assert_int_equal(tiers_go_on(eraser), FH_OK);
    fixture_open(&f, 1);
    assert_int_equal(tiers_get(&f, FH_TIER_SCHEMA, 0), FH_NO_TENANT);
    assert_string_equal(read_as(&reader, "select 1"), "connect");
    end(pid);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gate_held),
        cmocka_unit_test(test_kept_out),
        cmocka_unit_test(test_table_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
