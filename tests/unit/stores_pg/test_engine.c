/* What only this engine has: locks that never hold up a multiplexed connection, its bounded
 * prepared statements, the check, and the refusal of roles that could bypass the policies.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "stores/pg/keys.h"
#include "tests/unit/stores_pg/fixture.h"

static const struct fh_pgtest_options fast = {.fsync_off = true};

static void add_author(struct fixture *f, int64_t id)
{
    struct call call;
    call_init(&call, f);
    call_insert(&call, id, "");
    assert_int_equal(call_run(&call, 10000), FH_OK);
    call_close(&call);
}

/* Somebody holds the row: the write waits on the slow lane, reads of the same connection go on, and
 * it succeeds when the row is free. */
static void test_row_lock_does_not_hold_up_others(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, &fast);
    fixture_close(&f);
    fixture_open(&f, 1);
    add_author(&f, 1);
    struct fh_pgtest_session *holder = fh_pgtest_session_open(
        f.pg, FH_PGTEST_SUPERUSER, "begin; select 1 from fh_shared.authors for update");
    assert_non_null(holder);
    struct call write;
    struct call read;
    call_init(&write, &f);
    call_init(&read, &f);
    call_score(&write, 1, 5, "waits");
    call_get(&read, key_author(1));
    call_submit(&write, 20000);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(call_run(&read, 5000), FH_OK);
    }
    assert_false(write.done);
    fh_pgtest_session_close(holder);
    fixture_wait(&f, &write, 1);
    assert_int_equal(write.request.code, FH_OK);
    assert_int_equal(write.request.as.commit.rows[0]->values[AUTHOR_SCORE].as.integer, 5);
    call_close(&write);
    call_close(&read);
    fixture_stop(&f);
}

/* The gate being closed, or a request id in use, is told at once: nobody waits. */
static void test_gates_are_tried(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, &fast);
    add_author(&f, 1);
    struct call call;
    call_init(&call, &f);
    for (int general = 0; general < 2; general++) {
        char sql[96];
        call_score(&call, 1, 9, "once");
        call.assignments[0].transform = general ? FH_TRANSFORM_INCREMENT : FH_TRANSFORM_SET;
        (void)snprintf(sql, sizeof(sql), "select pg_advisory_lock(%lld)",
                       (long long)fh_pg_gate_key(&call.request.scope));
        struct fh_pgtest_session *holder = fh_pgtest_session_open(f.pg, FH_PGTEST_APP, sql);
        assert_non_null(holder);
        assert_int_equal(call_run(&call, 10000), FH_HELD);
        fh_pgtest_session_close(holder);
        (void)snprintf(sql, sizeof(sql), "select pg_advisory_lock(%lld)",
                       (long long)fh_pg_once_key(&call.request.scope, FH_STR("once")));
        holder = fh_pgtest_session_open(f.pg, FH_PGTEST_APP, sql);
        assert_non_null(holder);
        /* The server notices in its own time that the gate's holder left. */
        enum fh_code code = FH_HELD;
        for (int i = 0; i < 1000 && code == FH_HELD; i++) {
            code = call_run(&call, 10000);
        }
        assert_int_equal(code, FH_CONFLICT);
        fh_pgtest_session_close(holder);
    }
    call_until_ok(&call);
    call_close(&call);
    fixture_stop(&f);
}

/* Single plain writes take one round trip; what they cannot tell goes the general way. */
static void test_ways_to_commit(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, &fast);
    struct call call;
    struct fh_store_stats stats;
    call_init(&call, &f);
    call_insert(&call, 1, "a");
    assert_int_equal(call_run(&call, 10000), FH_OK);
    call_score(&call, 1, 3, "b");
    assert_int_equal(call_run(&call, 10000), FH_OK);
    fh_store_pg_ops.stats(f.store, &stats);
    if (getenv("FREEHOLD_PG_GENERAL_ONLY") == NULL) {
        assert_int_equal(stats.connections, 1); /* no slow connection was needed */
    }
    call_insert(&call, 1, "c");
    assert_int_equal(call_run(&call, 10000), FH_EXISTS);
    call_score(&call, 2, 3, "d");
    assert_int_equal(call_run(&call, 10000), FH_NOT_FOUND);
    call_score(&call, 1, 3, "b");
    assert_int_equal(call_run(&call, 10000), FH_OK);
    assert_true(call.request.as.commit.replayed);
    fh_store_pg_ops.stats(f.store, &stats);
    assert_true(stats.connections > 1);
    call_close(&call);
    fixture_stop(&f);
}

/* More statements than a connection keeps: the oldest are deallocated and prepared anew when they
 * come back. */
static void test_prepared_statements_are_bounded(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, &fast);
    fixture_close(&f);
    fixture_open(&f, 1);
    struct call call;
    char sql[64];
    char text[32];
    call_init(&call, &f);
    call.write = (struct fh_write){.op = FH_WRITE_INSERT, .key = key_kind(1)};
    call.write.assignments = call.assignments;
    call.request.op = FH_OP_COMMIT;
    call.request.as.commit = (struct fh_op_commit){.writes = &call.write, .count = 1};
    assert_int_equal(call_run(&call, 10000), FH_OK);
    call.write.op = FH_WRITE_UPDATE;
    int updates = 0;
    for (int round = 0; round < 2; round++) {
        for (unsigned mask = 1; mask < 300; mask++) {
            call.write.assignment_count = 0;
            for (unsigned column = KIND_BOOL; column <= KIND_TEXT; column++) {
                if ((mask & (1u << (column - KIND_BOOL))) != 0) {
                    call.assignments[call.write.assignment_count++] = (struct fh_assignment){
                        .column = (uint16_t)column,
                        .value = {.type = model_kinds.columns[column].type, .is_null = true}};
                }
            }
            assert_int_equal(call_run(&call, 10000), FH_OK);
            updates++;
        }
    }
    (void)snprintf(sql, sizeof(sql), "select version from fh_shared.kinds");
    assert_true(fh_pgtest_value(f.pg, FH_PGTEST_SUPERUSER, sql, text, sizeof(text)));
    assert_int_equal(strtol(text, NULL, 10), 1 + updates);
    call_close(&call);
    fixture_stop(&f);
}

/* Writes that share a Sync: one that fails is told so, and the others are not its victims. */
static void test_shared_groups(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, &fast);
    fixture_close(&f);
    fixture_open(&f, 1);
    static struct call calls[40];
    static char emails[40][16];
    for (int i = 0; i < 40; i++) {
        char id[32];
        call_init(&calls[i], &f);
        (void)snprintf(id, sizeof(id), "share-%d", i % 39); /* the last repeats the first's id */
        call_insert(&calls[i], i % 39 + 1, id);
        if (i % 10 == 3 || i % 10 == 4) { /* the second of each pair breaks the unique constraint */
            (void)snprintf(emails[i], sizeof(emails[i]), "same %d", i / 10);
            calls[i].assignments[1] =
                (struct fh_assignment){.column = AUTHOR_EMAIL, .value = text_value(emails[i])};
            calls[i].write.assignment_count = 2;
        }
        call_submit(&calls[i], 20000);
    }
    fixture_wait(&f, calls, 40);
    size_t violations = 0;
    for (int i = 0; i < 39; i++) {
        assert_int_equal(calls[i].completions, 1);
        violations += calls[i].request.code == FH_UNIQUE_VIOLATION;
        if (i % 10 != 3 && i % 10 != 4 && i != 0) {
            assert_int_equal(calls[i].request.code, FH_OK);
            assert_false(calls[i].request.as.commit.replayed);
        }
    }
    assert_int_equal(violations, 4);
    /* Two with one request id: done once, the other is told again, or that it is under way. */
    struct fh_request *first = &calls[0].request;
    struct fh_request *again = &calls[39].request;
    assert_true(first->code == FH_OK || again->code == FH_OK);
    assert_true(first->code == FH_OK || first->code == FH_CONFLICT);
    assert_true(again->code == FH_OK || again->code == FH_CONFLICT);
    if (first->code == FH_OK && again->code == FH_OK) {
        assert_int_equal(first->as.commit.seq, again->as.commit.seq);
        assert_true(first->as.commit.replayed != again->as.commit.replayed);
    }
    for (int i = 0; i < 40; i++) {
        call_close(&calls[i]);
    }
    char text[32];
    assert_true(fh_pgtest_value(f.pg, FH_PGTEST_SUPERUSER,
                                "select count(*) from fh_shared.fh_commit", text, sizeof(text)));
    assert_int_equal(strtol(text, NULL, 10), 35);
    fixture_stop(&f);
}

/* When the fence is frozen, every writer has left: what is there then is all that ever will be. */
static void test_freezing_drains_writers(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, &fast);
    static struct call calls[64];
    int64_t id = 1;
    for (uint64_t round = 0; round < 12; round++) {
        struct call freeze;
        char before[32];
        char after[32];
        call_init(&freeze, &f);
        freeze.request.op = FH_OP_FENCE_SET;
        freeze.request.as.fence =
            (struct fh_op_fence){.expected = {.epoch = 1, .generation = 1, .mode = FH_FENCE_OPEN},
                                 .desired = {.epoch = 1, .generation = 1, .mode = FH_FENCE_FROZEN}};
        for (int i = 0; i < 64; i++) {
            call_init(&calls[i], &f);
            call_insert(&calls[i], id++, "");
            calls[i].write.op = i % 3 == 0 ? FH_WRITE_UPSERT : FH_WRITE_INSERT; /* both ways */
            call_submit(&calls[i], 20000);
            if ((uint64_t)i == round * 5) {
                call_submit(&freeze, 20000);
            }
        }
        fixture_wait(&f, &freeze, 1);
        assert_int_equal(freeze.request.code, FH_OK);
        static const char count[] = "select count(*) from fh_shared.authors";
        assert_true(fh_pgtest_value(f.pg, FH_PGTEST_SUPERUSER, count, before, sizeof(before)));
        fixture_wait(&f, calls, 64);
        for (int i = 0; i < 64; i++) {
            enum fh_code code = calls[i].request.code;
            assert_true(code == FH_OK || code == FH_HELD || code == FH_MOVED);

            call_close(&calls[i]);
        }
        assert_true(fh_pgtest_value(f.pg, FH_PGTEST_SUPERUSER, count, after, sizeof(after)));
        assert_string_equal(before, after);
        freeze.request.as.fence.expected.mode = FH_FENCE_FROZEN;
        freeze.request.as.fence.desired.mode = FH_FENCE_OPEN;
        assert_int_equal(call_run(&freeze, 20000), FH_OK);
        call_close(&freeze);
    }
    fixture_stop(&f);
}

/* The nth allocation fails, for every n: the request ends with a code, nothing leaks, and the store
 * works on. */
static void torture(struct fixture *f, void (*prepare)(struct call *, int64_t), int64_t start)
{
    struct call call;
    int64_t id = start;
    int waits = 0;
    bool failed = true;
    for (long n = 0; failed && n < 500; n++) {
        call_init(&call, f);
        prepare(&call, id++);
        call.request.deadline_us = fh_clock_monotonic_us(fh_clock_system()) + 10000000;
        fh_alloc_fault_on(n, 1);
        enum fh_code code = call_try(&call);
        failed = fh_alloc_fault_off() != 0;
        if (failed) {
            assert_true(code == FH_OK || code == FH_NOMEM || code == FH_UNAVAILABLE ||
                        code == FH_OUTCOME_UNKNOWN);
        }
        if (!failed && code == FH_UNAVAILABLE && ++waits < 100) {
            failed = true; /* backing off from an earlier failed connect: the same n again */
            n--;
            fixture_turn(f, 50);
        } else if (!failed) {
            assert_int_equal(code, FH_OK);
        }
        call_close(&call);
        call_init(&call, f);
        call_get(&call, key_author(1));
        call_until_ok(&call);
        call_close(&call);
    }
    assert_false(failed);
}

static void prepare_get(struct call *call, int64_t id)
{
    call_get(call, key_author(id));
}

static void prepare_insert(struct call *call, int64_t id)
{
    call_insert(call, id, "");
}

static void prepare_upsert(struct call *call, int64_t id)
{
    call_insert(call, id, "");
    call->write.op = FH_WRITE_UPSERT;
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, &fast);
    /* Cold each: connecting and preparing allocate too. */
    static void (*const prepares[])(struct call *, int64_t) = {prepare_get, prepare_insert,
                                                               prepare_upsert};
    for (size_t i = 0; i < 3; i++) {
        fixture_close(&f);
        fixture_open(&f, 1);
        torture(&f, prepares[i], 1000 * (int64_t)(i + 1));
    }
    fixture_stop(&f);
}

static size_t check(struct fixture *f, const char *subject, const char *part)
{
    struct call call;
    size_t faults = 0;
    bool found = subject == NULL;
    call_init(&call, f);
    call.request.op = FH_OP_CHECK;
    call.request.scope.tenant = (struct fh_uuid){{0}};
    assert_int_equal(call_run(&call, 10000), FH_OK);
    const struct fh_op_check *result = &call.request.as.check;
    assert_true(result->count > 8);
    for (size_t i = 0; i < result->count; i++) {
        const struct fh_finding *finding = &result->findings[i];
        if (finding->ok) {
            continue;
        }
        faults++;
        if (subject == NULL) {
            print_error("%.*s %.*s\n", FH_STR_ARG(finding->subject), FH_STR_ARG(finding->text));
        } else if (fh_str_eq(finding->subject, fh_str_of(subject)) &&
                   memmem(finding->text.data, finding->text.len, part, strlen(part)) != NULL) {
            found = true;
        }
    }
    assert_true(found);
    call_close(&call);
    return faults;
}

static void test_check(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, NULL);
    assert_int_equal(check(&f, NULL, NULL), 0);
    static const struct {
        enum fh_pgtest_role role;
        const char *spoil;
        const char *mend;
        const char *subject;
        const char *part;
    } cases[] = {
        {FH_PGTEST_OWNER, "alter table fh_shared.books no force row level security",
         "alter table fh_shared.books force row level security", "table fh_shared.books", "forced"},
        {FH_PGTEST_OWNER, "alter table fh_shared.fh_commit disable row level security",
         "alter table fh_shared.fh_commit enable row level security", "table fh_shared.fh_commit",
         "enable row level security"},
        {FH_PGTEST_OWNER, "create policy more on fh_shared.authors using (true)",
         "drop policy more on fh_shared.authors", "policy fh_shared.authors", "drop what is there"},
        {FH_PGTEST_OWNER,
         "alter policy fh_tenant on fh_shared.kinds using (true) with check (true)",
         "alter policy fh_tenant on fh_shared.kinds using (tenant_id = "
         "current_setting('fh.tenant')::uuid) with check (tenant_id = "
         "current_setting('fh.tenant')::uuid)",
         "policy fh_shared.kinds", "create policy"},
        {FH_PGTEST_OWNER, "grant truncate on fh_shared.books to freehold_app",
         "revoke truncate on fh_shared.books from freehold_app", "grant fh_shared.books",
         "TRUNCATE"},
        {FH_PGTEST_OWNER, "grant select on fh_shared.books to public",
         "revoke select on fh_shared.books from public", "grant fh_shared.books", "PUBLIC"},
        {FH_PGTEST_OWNER, "revoke delete on fh_shared.tokens from freehold_app",
         "grant delete on fh_shared.tokens to freehold_app", "grant fh_shared.tokens",
         "lacks DELETE"},
        {FH_PGTEST_SUPERUSER, "grant freehold_owner to freehold_app",
         "revoke freehold_owner from freehold_app", "role freehold_app",
         "is a member of freehold_owner"},
        {FH_PGTEST_SUPERUSER, "alter role freehold_app createrole",
         "alter role freehold_app nocreaterole", "role freehold_app", "nocreaterole"},
        {FH_PGTEST_SUPERUSER, "alter role freehold_app bypassrls",
         "alter role freehold_app nobypassrls", "role freehold_app", "BYPASSRLS"},
        {FH_PGTEST_SUPERUSER, "create schema s; alter schema s owner to freehold_app",
         "drop schema s", "role freehold_app", "owns schema s"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(fh_pgtest_exec(f.pg, cases[i].role, cases[i].spoil));
        assert_true(check(&f, cases[i].subject, cases[i].part) >= 1);
        assert_true(fh_pgtest_exec(f.pg, cases[i].role, cases[i].mend));
    }
    assert_int_equal(check(&f, NULL, NULL), 0);
    /* Settings of a role hold from its next session on. */
    assert_true(fh_pgtest_exec(f.pg, FH_PGTEST_SUPERUSER,
                               "alter role freehold_app set log_error_verbosity = verbose"));
    fixture_close(&f);
    fixture_open(&f, 1);
    assert_int_equal(check(&f, "setting log_error_verbosity", "alter role freehold_app set"), 1);
    fixture_stop(&f);
}

/* PostgreSQL as it is installed logs more than we may let it. */
static void test_check_of_default_logging(void **state)
{
    (void)state;
    struct fixture f;
    const struct fh_pgtest_options options = {.logs_statements = true};
    fixture_start(&f, &options);
    assert_int_equal(check(&f, "setting log_min_error_statement", "panic"), 2);
    fixture_stop(&f);
}

static void test_roles_that_bypass_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, &fast);
    static const enum fh_pgtest_role roles[] = {FH_PGTEST_SUPERUSER, FH_PGTEST_BYPASS};
    for (size_t i = 0; i < 2; i++) {
        fixture_close(&f);
        (void)snprintf(f.location, sizeof(f.location), "%s",
                       fh_pgtest_dsn(f.pg, roles[i], FH_PGTEST_UNIX));
        fixture_open(&f, 1);
        struct call call;
        call_init(&call, &f);
        call_get(&call, key_author(1));
        assert_int_equal(call_run(&call, 5000), FH_UNAVAILABLE);
        assert_non_null(strstr(call.request.error.message, "BYPASSRLS"));
        call_close(&call);
    }
    fixture_stop(&f);
}

/* A host name goes through the resolver, and one that leads nowhere is told. */
static void test_host_names(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, &fast);
    struct call call;
    call_init(&call, &f);
    call_get(&call, key_author(1));
    fixture_close(&f);
    (void)snprintf(f.location, sizeof(f.location),
                   "host=localhost port=%u dbname=freehold user=freehold_app",
                   fh_pgtest_port(f.pg));
    fixture_open(&f, 1);
    assert_int_equal(call_run(&call, 10000), FH_OK);
    fixture_close(&f);
    (void)snprintf(f.location, sizeof(f.location),
                   "host=nowhere.invalid dbname=freehold user=freehold_app");
    fixture_open(&f, 1);
    assert_int_equal(call_run(&call, 20000), FH_UNAVAILABLE);
    fixture_close(&f);
    fixture_open(&f, 1); /* closed while it resolves */
    call_submit(&call, 1);
    fixture_wait(&f, &call, 1);
    call_close(&call);
    fixture_stop(&f);
}

/* A server that is not there fails requests, not open. */
static void test_no_server(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, &fast);
    fixture_close(&f);
    assert_int_equal(fh_pgtest_kill9(f.pg), FH_OK);
    fixture_open(&f, 2);
    struct call call;
    call_init(&call, &f);
    call_get(&call, key_author(1));
    assert_int_equal(call_run(&call, 5000), FH_UNAVAILABLE);
    assert_int_equal(fh_pgtest_restart(f.pg), FH_OK);
    call_until_ok(&call);
    call_close(&call);
    fixture_stop(&f);
}

/* Two servers bring the store to the same version at once: one of them does it, the other waits and
 * finds it done. Somebody holds their lock until both have asked for it. */
static void test_schema_by_two_servers(void **state)
{
    (void)state;
    struct fixture f;
    char text[96];
    fixture_start(&f, &fast);
    struct fh_store *stores[2] = {f.store};
    fixture_open(&f, 2);
    stores[1] = f.store;
    const struct fh_home home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED};
    (void)snprintf(text, sizeof(text), "begin; select pg_advisory_xact_lock(%lld)",
                   (long long)fh_pg_schema_key(&home));
    struct fh_pgtest_session *holder = fh_pgtest_session_open(f.pg, FH_PGTEST_SUPERUSER, text);
    assert_non_null(holder);
    struct call calls[2];
    for (size_t i = 0; i < 2; i++) {
        f.store = stores[i];
        call_init(&calls[i], &f);
        calls[i].request.op = FH_OP_SCHEMA_APPLY;
        calls[i].request.scope.tenant = (struct fh_uuid){{0}};
        calls[i].request.scope.home = home;
        calls[i].request.as.schema.target = &model_v2;
        call_submit(&calls[i], 20000);
    }
    fixture_turn(&f, 200);
    assert_false(calls[0].done || calls[1].done);
    fh_pgtest_session_close(holder);
    fixture_wait(&f, calls, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(calls[i].request.code, FH_OK);
        assert_int_equal(calls[i].request.as.schema.version_seen, 2);
        call_close(&calls[i]);
    }
    f.store = stores[0];
    fixture_close(&f);
    f.store = stores[1];
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_row_lock_does_not_hold_up_others),
        cmocka_unit_test(test_gates_are_tried),
        cmocka_unit_test(test_ways_to_commit),
        cmocka_unit_test(test_prepared_statements_are_bounded),
        cmocka_unit_test(test_shared_groups),
        cmocka_unit_test(test_freezing_drains_writers),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_check_of_default_logging),
        cmocka_unit_test(test_roles_that_bypass_are_refused),
        cmocka_unit_test(test_host_names),
        cmocka_unit_test(test_schema_by_two_servers),
        cmocka_unit_test(test_no_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
