/* Schema changes against a real server: the locks the generator speaks of are those the server
 * takes, what goes ahead lets others work, and what an attempt left is found by the next one. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stores/expr.h"
#include "stores/pg/ddl.h"
#include "tests/unit/stores_pg/moves.h"

#define NAME(text)                               \
    {                                            \
        .data = "" text, .len = sizeof(text) - 1 \
    }

/* authors with everything that may change: a check, a required column, another index, a reference,
 * a column more and one less. */
static const struct fh_value small = {.type = FH_TYPE_INT64, .as.integer = 1000};
static const struct fh_expr score = {
    .kind = FH_EXPR_COLUMN, .type = FH_TYPE_INT64, .column = AUTHOR_SCORE};
static const struct fh_expr thousand = {.kind = FH_EXPR_CONSTANT,
                                        .type = FH_TYPE_INT64,
                                        .constant = {.type = FH_TYPE_INT64, .as.integer = 1000}};
static const struct fh_expr *const score_args[] = {&score, &thousand};
static const struct fh_expr below = {
    .kind = FH_EXPR_LT, .type = FH_TYPE_BOOL, .arg_count = 2, .args = score_args};
static const struct fh_check checks[] = {{.name = NAME("authors_score"), .id = 20, .expr = &below}};
static const struct fh_index indexes[] = {
    {.name = NAME("authors_email"),
     .id = AUTHOR_COUNT,
     .unique = true,
     .column_count = 1,
     .columns = {AUTHOR_EMAIL}},
    {.name = NAME("authors_name"), .id = 21, .column_count = 1, .columns = {AUTHOR_NAME}}};

static struct fh_column columns[AUTHOR_COUNT + 1];
static struct fh_table changed_authors;
static struct fh_table changed_books;
static struct fh_foreign_key changed_references[2];
static const struct fh_table *changed_tables[8];
static struct fh_schema changed;

/* Version 2 of the suite's schema: authors as above, all others as they were. */
static void make_changed(void)
{
    memcpy(columns, model_authors.columns, AUTHOR_COUNT * sizeof(*columns));
    columns[AUTHOR_SCORE].not_null = true;
    columns[AUTHOR_COUNT] = (struct fh_column){.name = NAME("extra"),
                                               .type = FH_TYPE_DATE,
                                               .default_kind = FH_DEFAULT_NOW,
                                               .position = AUTHOR_COUNT,
                                               .id = 22};
    changed_authors = model_authors;
    changed_authors.columns = columns;
    changed_authors.column_count = AUTHOR_COUNT + 1;
    changed_authors.next_id = 23;
    changed_authors.check_count = 1;
    changed_authors.checks = checks;
    changed_authors.index_count = 2;
    changed_authors.indexes = indexes;
    changed_books = model_books;
    memcpy(changed_references, model_books.foreign_keys, sizeof(changed_references));
    changed_references[0].target = &changed_authors;
    changed_references[1].target = &changed_books;
    changed_books.foreign_keys = changed_references;
    for (uint32_t t = 0; t < model_v1.table_count; t++) {
        changed_tables[t] = model_v1.tables[t];
    }
    changed_tables[model_authors.position] = &changed_authors;
    changed_tables[model_books.position] = &changed_books;
    changed = model_v1;
    changed.version = 2;
    changed.tables = changed_tables;
    changed.previous = &model_v1;
}

static void ask_change(struct call *call)
{
    call->request.op = FH_OP_SCHEMA_APPLY;
    call->request.scope.tenant = (struct fh_uuid){{0}};
    call->request.as.schema = (struct fh_op_schema){.target = &changed};
}

/* An index that is built concurrently waits for it at the end, and is not valid until then. */
#define OLD_SNAPSHOT "begin isolation level repeatable read; select 1 from pg_class"

/* 0, 1, 2 as enum fh_ddl_lock: the strongest lock on a table of ours that was there before. */
#define LOCKS_OF_MINE                                                                      \
    "select coalesce(max(case when l.mode = 'AccessExclusiveLock' then 2 when l.mode in "  \
    "('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock') then 1 else 0 end), 0) from " \
    "pg_locks l join pg_class c on c.oid = l.relation and c.relkind in ('r', 'v') join "   \
    "pg_namespace n on n.oid = c.relnamespace and n.nspname = 'fh_shared' where l.pid = "  \
    "pg_backend_pid() and c.xmin::text::int8 <> (txid_current() & 4294967295)"

/* What each statement keeps others from, asked of the server that has just executed it. */
static void check_locks(bool ahead)
{
    struct fixture f;
    struct fh_pg_script script;
    struct fh_arena arena;
    struct fh_pg_ddl_step step;
    size_t cursor = 0;
    size_t seen[3] = {0};
    const struct fh_pg_ddl_home home = {
        .namespace = "fh_shared", .role = "freehold_app", .ahead = ahead};
    moves_start(&f);
    add_author(&f, 1);
    fh_arena_init(&arena, 1 << 20);
    fh_pg_script_init(&script);
    assert_int_equal(fh_pg_ddl_between(&script, &home, &model_v1, &changed, &arena), FH_OK);
    for (int pass = 0; pass < 2; pass++) { /* those that go ahead go first */
        cursor = 0;
        for (size_t i = 0; fh_pg_script_step(&script, i, &cursor, &step); i++) {
            char text[4096];
            char before[16] = "";
            if (step.ahead != (pass == 0)) {
                continue;
            }
            bool concurrent = strstr(step.sql, " concurrently ") != NULL;
            (void)snprintf(text, sizeof(text), concurrent ? "%s" : "begin; %s; " LOCKS_OF_MINE,
                           step.sql);
            if (concurrent) {
                assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_OWNER, text));
            } else {
                assert_true(fh_pgtest_value(f.pg, FH_PGTEST_OWNER, text, before, sizeof(before)));
                /* xmin of what it changed is its own, so the catalogue tells after it is done. */
                (void)snprintf(text, sizeof(text), "%s", step.sql);
                assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_OWNER, text));
            }
            seen[step.lock]++;
            if (before[0] != '\0' && strtol(before, NULL, 10) > (long)step.lock) {
                fail_msg("%s: takes %s, says %d", step.sql, before, (int)step.lock);
            }
        }
    }
    assert_true(seen[FH_DDL_LOCK_ALL] > 0);
    assert_int_equal(
        server_number(&f, "select count(*) from pg_constraint where conname like 'fh_c0_20%' "
                          "and convalidated"),
        1);
    fh_pg_script_close(&script);
    fh_arena_close(&arena);
    fixture_stop(&f);
}

static void test_locks_ahead(void **state)
{
    (void)state;
    check_locks(true);
}

static void test_locks_at_once(void **state)
{
    (void)state;
    check_locks(false);
}

/* While an index is built that goes ahead, rows are read and written. */
static void test_work_goes_on(void **state)
{
    (void)state;
    struct fixture f;
    struct call change;
    struct call call;
    assert_int_equal(setenv("FREEHOLD_PG_SMALL_BYTES", "-1", 1), 0);
    moves_start(&f);
    add_author(&f, 1);
    struct fh_pgtest_session *other = fh_pgtest_session_open(
        f.pg, FH_PGTEST_SUPERUSER,
        "begin; lock table fh_shared.authors in row exclusive mode; select txid_current()");
    assert_non_null(other);
    call_init(&change, &f);
    ask_change(&change);
    change.request.as.schema.lock_timeout_ms = 20;
    assert_int_equal(call_run(&change, 20000), FH_CONFLICT);
    assert_int_equal(change.request.as.schema.version_seen, 1);
    add_author(&f, 2); /* nothing was changed, nobody is kept */
    assert_true(fh_pgtest_session_exec(other, "commit; " OLD_SNAPSHOT));
    change.request.as.schema.lock_timeout_ms = 5000;
    call_submit(&change, 60000);
    server_wait(&f, "select count(*) from pg_index where not indisvalid");
    assert_int_equal(
        server_number(&f, "select count(*) from pg_locks where relation = "
                          "'fh_shared.authors'::regclass and granted and mode in "
                          "('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', "
                          "'ShareLock')"),
        0);
    add_author(&f, 3);
    set_score(&f, 1, 5);
    call_init(&call, &f);
    call_get(&call, key_author(3));
    assert_int_equal(call_run(&call, 20000), FH_OK);
    assert_non_null(call.request.as.get.rows[0]);
    assert_true(fh_pgtest_session_exec(other, "commit"));
    fixture_wait(&f, &change, 1);
    assert_int_equal(change.request.code, FH_OK);
    assert_int_equal(change.request.as.schema.version_seen, 2);
    assert_int_equal(server_number(&f, "select count(*) from pg_index where not indisvalid"), 0);
    /* And now the older version is refused. */
    assert_int_equal(call_run(&call, 20000), FH_STALE_SCHEMA);
    assert_int_equal(call.request.version_seen, 2);
    fh_pgtest_session_close(other);
    call_close(&call);
    call_close(&change);
    fixture_stop(&f);
    (void)unsetenv("FREEHOLD_PG_SMALL_BYTES");
}

/* The server dies in the middle of an index: what is left of it is made anew. */
static void test_killed_while_building(void **state)
{
    (void)state;
    struct fixture f;
    struct call change;
    assert_int_equal(setenv("FREEHOLD_PG_SMALL_BYTES", "-1", 1), 0);
    moves_start(&f);
    add_author(&f, 1);
    struct fh_pgtest_session *other =
        fh_pgtest_session_open(f.pg, FH_PGTEST_SUPERUSER, OLD_SNAPSHOT);
    call_init(&change, &f);
    ask_change(&change);
    call_submit(&change, 60000);
    server_wait(&f, "select count(*) from pg_index where not indisvalid");
    assert_int_equal(fh_pgtest_kill9(f.pg), FH_OK);
    fh_pgtest_session_close(other);
    fixture_wait(&f, &change, 1);
    assert_true(change.request.code == FH_UNAVAILABLE || change.request.code == FH_OUTCOME_UNKNOWN);
    assert_int_equal(fh_pgtest_restart(f.pg), FH_OK);
    assert_int_equal(server_number(&f, "select count(*) from pg_index where not indisvalid"), 1);
    add_author(&f, 2);
    call_until_ok(&change);
    assert_int_equal(change.request.as.schema.version_seen, 2);
    assert_int_equal(server_number(&f, "select count(*) from pg_index i join pg_class c on c.oid "
                                       "= i.indexrelid where i.indisvalid and c.relname = "
                                       "'fh_x0_21_authors_name'"),
                     1);
    call_close(&change);
    fixture_stop(&f);
    (void)unsetenv("FREEHOLD_PG_SMALL_BYTES");
}

/* Rows that do not fit: what, and no trace of it. */
static void test_rows_that_do_not_fit(void **state)
{
    (void)state;
    struct fixture f;
    struct call change;
    static const char *const small_bytes[] = {"-1", "1000000000"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(setenv("FREEHOLD_PG_SMALL_BYTES", small_bytes[i], 1), 0);
        moves_start(&f);
        add_author(&f, 1);
        set_score(&f, 1, small.as.integer);
        call_init(&change, &f);
        ask_change(&change);
        assert_int_equal(call_run(&change, 20000), FH_CHECK_VIOLATION);
        assert_non_null(strstr(change.request.error.message, "fh_c0_20_authors_score"));
        assert_null(strstr(change.request.error.message, "1000"));
        assert_int_equal(change.request.as.schema.version_seen, 1);
        assert_int_equal(
            server_number(&f, "select count(*) from pg_constraint where conname like 'fh_c%'"), 0);
        set_score(&f, 1, 2000); /* the older version is not bound by it */
        set_score(&f, 1, 7);
        assert_int_equal(call_run(&change, 20000), FH_OK);
        assert_int_equal(
            server_number(&f, "select count(*) from fh_shared.authors where extra is null"), 0);
        call_close(&change);
        fixture_stop(&f);
    }
    (void)unsetenv("FREEHOLD_PG_SMALL_BYTES");
}

/* A process finds rows that do not fit, sleeps, and loses its connections; others mend the rows and
 * change the home. What it wakes up to undo is theirs now. */
static void test_late_undo(void **state)
{
    (void)state;
    struct fixture f;
    struct call change;
    int status = 0;
    assert_int_equal(setenv("FREEHOLD_PG_SMALL_BYTES", "-1", 1), 0);
    moves_start(&f);
    add_author(&f, 1);
    set_score(&f, 1, small.as.integer);
    fixture_close(&f);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct fixture child = f;
        (void)setenv("FREEHOLD_STOP_AT", "pg.schema.undo", 1);
        if (uv_loop_init(&child.loop) != 0 || uv_timer_init(&child.loop, &child.watchdog) != 0) {
            _exit(99);
        }
        child.env.loop = &child.loop;
        fixture_open(&child, 1);
        call_init(&change, &child);
        ask_change(&change);
        _exit((int)call_run(&change, 20000));
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER,
                               "select pg_terminate_backend(pid, 5000) from pg_stat_activity where "
                               "usename = 'freehold_owner'"));
    fixture_open(&f, 1);
    set_score(&f, 1, 7);
    call_init(&change, &f);
    ask_change(&change);
    assert_int_equal(call_run(&change, 20000), FH_OK);
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), FH_CHECK_VIOLATION);
    assert_int_equal(
        server_number(&f, "select count(*) from pg_constraint where conname like 'fh_c0_20%'"), 1);
    assert_int_equal(
        server_number(&f, "select count(*) from pg_class where relname like 'fh_x0_21%'"), 1);
    assert_int_equal(server_number(&f, "select count(*) from pg_locks where locktype = 'advisory'"),
                     0);
    call_close(&change);
    fixture_stop(&f);
    (void)unsetenv("FREEHOLD_PG_SMALL_BYTES");
}

static int set_up(void **state)
{
    (void)state;
    make_changed();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_locks_ahead),          cmocka_unit_test(test_locks_at_once),
        cmocka_unit_test(test_work_goes_on),         cmocka_unit_test(test_killed_while_building),
        cmocka_unit_test(test_rows_that_do_not_fit), cmocka_unit_test(test_late_undo)};
    return cmocka_run_group_tests(tests, set_up, NULL);
}
