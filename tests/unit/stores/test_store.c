/* The front door against an engine that does what the test says: what is refused, what is withheld,
 * what is an outrage. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "stores/store.h"
#include "tests/conformance/model.h"

static struct fh_request *submitted;
static bool completes_in_submit;
static enum fh_code submit_code;

static enum fh_code stub_submit(struct fh_store *store, struct fh_request *request)
{
    (void)store;
    submitted = request;
    if (completes_in_submit) {
        fh_request_complete(request, FH_OK);
    }
    return submit_code;
}

static const struct fh_store_ops stub_ops = {.engine = "stub", .submit = stub_submit};

struct fixture {
    struct fh_clock_virtual clock;
    struct fh_env env;
    struct fh_store store;
    struct fh_arena arena;
    struct fh_isolation_faults faults;
    struct fh_uuid tenant;
    struct fh_uuid other;
    unsigned completions;
};

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof(f));
    fh_clock_virtual_init(&f.clock, 0);
    f.env.clock = &f.clock.clock;
    struct fh_store_config config = {.name = "stub", .faults = &f.faults};
    fh_store_init(&f.store, &stub_ops, &f.env, &config);
    fh_arena_init(&f.arena, (size_t)1 << 20);
    f.tenant = uuid_of(1, 1);
    f.other = uuid_of(2, 2);
    submitted = NULL;
    completes_in_submit = false;
    submit_code = FH_OK;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fh_arena_close(&f->arena);
    return 0;
}

static void done_cb(struct fh_request *request)
{
    struct fixture *f = request->arg;
    f->completions++;
}

static struct fh_request request_of(struct fixture *f, enum fh_op op)
{
    struct fh_request request = {.op = op,
                                 .scope = {.epoch = 1,
                                           .home = {.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED},
                                           .schema = &model_v1},
                                 .deadline_us = f->clock.monotonic_us + 1,
                                 .arena = &f->arena,
                                 .done_cb = done_cb,
                                 .arg = f};
    if (op != FH_OP_SCHEMA_APPLY && op != FH_OP_CHECK) {
        request.scope.tenant = f->tenant;
    }
    return request;
}

static struct fh_row *row_of(struct fixture *f, struct fh_uuid tenant)
{
    struct fh_row *row = fh_row_create(&model_authors, &f->arena);
    assert_non_null(row);
    row->tenant = tenant;
    return row;
}

static void refused(struct fixture *f, struct fh_request *request, enum fh_code expected)
{
    submitted = NULL;
    assert_int_equal(fh_store_submit(&f->store, request), expected);
    assert_null(submitted);
    assert_int_equal(request->phase, FH_REQUEST_IDLE);
    assert_int_equal(f->store.counters.submitted, 0);
    assert_true(request->error.message[0] != '\0');
}

static void test_scopes_refused(void **state)
{
    struct fixture *f = *state;
    static const enum fh_op ops[] = {FH_OP_EVENTS,     FH_OP_HOME_CREATE, FH_OP_HOME_ERASE,
                                     FH_OP_FENCE_READ, FH_OP_FENCE_SET,   FH_OP_SCHEMA_APPLY,
                                     FH_OP_CHECK};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        struct fh_request request = request_of(f, ops[i]);
        /* With a tenant where there is none to be, without where there must be. */
        request.scope.tenant =
            fh_uuid_is_nil(&request.scope.tenant) ? f->tenant : (struct fh_uuid){{0}};
        refused(f, &request, FH_INVALID);
    }
    static const char *const homes[] = {"",      "Shared", "fh-shared", "fh_shared; drop table x",
                                        "fh\"x", "1x",     "_x",        "\xc3\xa9"};
    for (size_t i = 0; i < sizeof(homes) / sizeof(homes[0]); i++) {
        struct fh_request request = request_of(f, FH_OP_FENCE_READ);
        (void)snprintf(request.scope.home.name, sizeof(request.scope.home.name), "%s", homes[i]);
        refused(f, &request, FH_INVALID);
    }
    struct fh_request request = request_of(f, FH_OP_FENCE_READ);
    memset(request.scope.home.name, 'a', sizeof(request.scope.home.name)); /* never ends */
    refused(f, &request, FH_INVALID);
    request = request_of(f, FH_OP_FENCE_READ);
    request.scope.home.tier = (enum fh_tier)0;
    refused(f, &request, FH_INVALID);
    request = request_of(f, FH_OP_FENCE_READ);
    request.scope.epoch = UINT64_MAX;
    refused(f, &request, FH_INVALID);
    request = request_of(f, FH_OP_HOME_ERASE);
    request.scope.schema = NULL;
    refused(f, &request, FH_INVALID);
    request = request_of(f, FH_OP_FENCE_READ);
    request.deadline_us = f->clock.monotonic_us;
    refused(f, &request, FH_DEADLINE);
    f->store.closing = true;
    request = request_of(f, FH_OP_FENCE_READ);
    refused(f, &request, FH_SHUTTING_DOWN);
}

/* A dedicated home is its tenant's alone. */
static void test_dedicated_homes_refused(void **state)
{
    struct fixture *f = *state;
    static const enum fh_op ops[] = {FH_OP_EVENTS,     FH_OP_HOME_CREATE,  FH_OP_HOME_ERASE,
                                     FH_OP_FENCE_READ, FH_OP_SCHEMA_APPLY, FH_OP_CREDENTIAL,
                                     FH_OP_SIZE};
    const struct fh_uuid other = uuid_of(0x77, 7);
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        for (enum fh_tier tier = FH_TIER_SCHEMA; tier <= FH_TIER_DATABASE; tier++) {
            struct fh_request request = request_of(f, ops[i]);
            request.scope.tenant = f->tenant;
            fh_home_of(tier, &other, &request.scope.home);
            refused(f, &request, FH_INVALID);
            (void)snprintf(request.scope.home.name, sizeof(request.scope.home.name), "%s",
                           FH_HOME_SHARED);
            refused(f, &request, FH_INVALID);
            fh_home_of(tier, &f->tenant, &request.scope.home);
            request.scope.tenant = (struct fh_uuid){{0}};
            refused(f, &request, FH_INVALID);
        }
    }
    struct fh_request request = request_of(f, FH_OP_HOME_CREATE);
    fh_home_of(FH_TIER_SCHEMA, &f->tenant, &request.scope.home);
    request.as.home.fence = (struct fh_fence){1, 1, FH_FENCE_OPEN};
    request.scope.schema = NULL; /* it is made with its tables */
    refused(f, &request, FH_INVALID);
}

static void test_schema_guards(void **state)
{
    struct fixture *f = *state;
    static const struct fh_fence_guard bad[] = {
        {(uint64_t)INT64_MAX + 1, 2}, {1, 0}, {1, 1}, {1, 2 | 1 << 5}};
    struct fh_request request = request_of(f, FH_OP_SCHEMA_APPLY);
    request.scope.tenant = f->tenant;
    request.as.schema.target = &model_v1;
    fh_home_of(FH_TIER_DATABASE, &f->tenant, &request.scope.home);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        request.as.schema.guard = bad[i];
        refused(f, &request, FH_INVALID);
    }
    request.as.schema.guard = (struct fh_fence_guard){1, FH_FENCE_BIT(FH_FENCE_OPEN)};
    assert_int_equal(fh_store_submit(&f->store, &request), FH_OK);
    fh_request_complete(&request, FH_OK);
    request = request_of(f, FH_OP_SCHEMA_APPLY); /* a shared home's is not looked at */
    request.as.schema.target = &model_v1;
    assert_int_equal(fh_store_submit(&f->store, &request), FH_OK);
    fh_request_complete(&request, FH_OK);
}

#ifdef FREEHOLD_FAULTS
/* The engine gets the other's home; the caller never sees it. */
static void test_requests_gone_astray(void **state)
{
    struct fixture *f = *state;
    struct fh_home mine;
    struct fh_home theirs;
    fh_home_of(FH_TIER_DATABASE, &f->tenant, &mine);
    fh_home_of(FH_TIER_DATABASE, &f->other, &theirs);
    f->faults.wrong_home_every = 2;
    f->faults.wrong_tenant = f->other;
    for (int i = 1; i <= 4; i++) {
        struct fh_request request = request_of(f, FH_OP_EVENTS);
        request.scope.home = mine;
        request.as.events.limit = 1;
        assert_int_equal(fh_store_submit(&f->store, &request), FH_OK);
        assert_true(fh_home_equal(&request.scope.home, i % 2 == 0 ? &theirs : &mine));
        fh_request_complete(&request, FH_OK);
        assert_true(fh_home_equal(&request.scope.home, &mine));
    }
    static const enum fh_op others[] = {FH_OP_HOME_ERASE, FH_OP_FENCE_READ, FH_OP_EVENTS};
    f->faults.wrong_home_every = 1;
    for (size_t i = 0; i < 3; i++) { /* fences and homes stay, and so does who is in a shared one */
        struct fh_request request = request_of(f, others[i]);
        request.scope.home = i < 2 ? mine : request.scope.home;
        request.as.events.limit = i < 2 ? 0 : 1;
        const struct fh_home home = request.scope.home;
        assert_int_equal(fh_store_submit(&f->store, &request), FH_OK);
        assert_true(fh_home_equal(&request.scope.home, &home));
        fh_request_complete(&request, FH_OK);
    }
    f->store.passes_on = true;
    struct fh_request request = request_of(f, FH_OP_EVENTS);
    request.scope.home = mine;
    request.as.events.limit = 1;
    assert_int_equal(fh_store_submit(&f->store, &request), FH_OK);
    assert_true(fh_home_equal(&request.scope.home, &mine));
    fh_request_complete(&request, FH_OK);
}
#endif

static void test_credentials(void **state)
{
    struct fixture *f = *state;
    const struct fh_table *tables[FH_CREDENTIAL_TABLES_MAX + 1];
    for (size_t i = 0; i <= FH_CREDENTIAL_TABLES_MAX; i++) {
        tables[i] = &model_authors;
    }
    struct fh_request request = request_of(f, FH_OP_CREDENTIAL);
    refused(f, &request, FH_PRECONDITION); /* in a shared home there are others' rows */
    fh_home_of(FH_TIER_DATABASE, &f->tenant, &request.scope.home);
    request.as.credential.tables = tables;
    request.as.credential.table_count = FH_CREDENTIAL_TABLES_MAX + 1;
    refused(f, &request, FH_INVALID);
    request.as.credential.table_count = 1;
    tables[0] = &model_reviews; /* of version 2 */
    refused(f, &request, FH_INVALID);
    tables[0] = &model_authors;
    request.as.credential.action = (enum fh_credential_action)(FH_CREDENTIAL_REVOKE + 1);
    refused(f, &request, FH_INVALID);
    request.as.credential.action = FH_CREDENTIAL_ISSUE;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fh_store_submit(&f->store, &request), FH_OK);
        assert_int_equal(request.as.credential.secret.len, 0);
        request.as.credential.user = FH_STR("user");
        request.as.credential.secret = FH_STR("secret");
        request.as.credential.host = FH_STR("host");
        fh_request_complete(&request, i == 0 ? FH_OUTCOME_UNKNOWN : FH_OK);
        assert_int_equal(request.as.credential.secret.len, i == 0 ? 0 : 6);
        assert_int_equal(request.as.credential.user.len, i == 0 ? 0 : 4);
        assert_int_equal(request.as.credential.host.len, i == 0 ? 0 : 4);
    }
}

static void test_reads_refused(void **state)
{
    struct fixture *f = *state;
    struct fh_key keys[FH_GET_KEYS_MAX + 1];
    for (int i = 0; i <= FH_GET_KEYS_MAX; i++) {
        keys[i] = key_author(i);
    }
    struct fh_request request = request_of(f, FH_OP_GET);
    request.as.get.keys = keys;
    refused(f, &request, FH_INVALID);
    request.as.get.count = FH_GET_KEYS_MAX + 1;
    refused(f, &request, FH_INVALID);
    keys[1].values[0].is_null = true;
    request.as.get.count = 2;
    refused(f, &request, FH_INVALID);
    keys[1] = key_author(1);
    keys[1].values[0].type = FH_TYPE_INT32;
    refused(f, &request, FH_INVALID);
    keys[1] = (struct fh_key){.table = &model_reviews}; /* of version 2; the scope says 1 */
    refused(f, &request, FH_INVALID);
    keys[1] = (struct fh_key){.table = NULL};
    refused(f, &request, FH_INVALID);

    request = request_of(f, FH_OP_LIST);
    request.as.list.table = &model_authors;
    refused(f, &request, FH_INVALID);
    request.as.list.limit = FH_LIST_ROWS_MAX + 1;
    refused(f, &request, FH_INVALID);
    request.as.list.limit = 1;
    struct fh_key after = key_code("x", 1);
    request.as.list.after = &after;
    refused(f, &request, FH_INVALID);
    request = request_of(f, FH_OP_EVENTS);
    refused(f, &request, FH_INVALID);
    request.as.events.limit = FH_EVENTS_MAX + 1;
    refused(f, &request, FH_INVALID);
    request = request_of(f, FH_OP_HOME_CREATE);
    refused(f, &request, FH_INVALID); /* no mode */
    request = request_of(f, FH_OP_SCHEMA_APPLY);
    refused(f, &request, FH_INVALID); /* no target */
}

static void test_commits_refused(void **state)
{
    struct fixture *f = *state;
    static struct fh_write writes[FH_COMMIT_WRITES_MAX + 1];
    for (int i = 0; i <= FH_COMMIT_WRITES_MAX; i++) {
        writes[i] = (struct fh_write){.key = key_author(i)};
    }
    struct fh_request request = request_of(f, FH_OP_COMMIT);
    request.as.commit.writes = writes;
    refused(f, &request, FH_INVALID);
    request.as.commit.count = FH_COMMIT_WRITES_MAX + 1;
    refused(f, &request, FH_INVALID);
    /* The same key twice, wherever. */
    request.as.commit.count = FH_COMMIT_WRITES_MAX;
    writes[400].key = key_author(3);
    refused(f, &request, FH_INVALID);
    assert_int_equal(request.as.commit.failed_write, 400);
    writes[400].key = key_author(400);
    static char id[FH_REQUEST_ID_MAX + 1];
    memset(id, 'x', sizeof(id));
    request.as.commit.request_id = (struct fh_str){id, sizeof(id)};
    refused(f, &request, FH_INVALID);
    static const char *const ids[] = {"a b", "\xc3\xa9", "a\n", "\x7f"};
    for (size_t i = 0; i < 4; i++) {
        request.as.commit.request_id = fh_str_of(ids[i]);
        refused(f, &request, FH_INVALID);
    }
    request.as.commit.request_id = (struct fh_str){id, FH_REQUEST_ID_MAX};
    static char actor[FH_ACTOR_MAX + 1];
    memset(actor, 'x', sizeof(actor));
    request.as.commit.actor = (struct fh_str){actor, sizeof(actor)};
    refused(f, &request, FH_INVALID);
    request.as.commit.actor = FH_STR("\xff");
    refused(f, &request, FH_INVALID);
    request.as.commit.actor = (struct fh_str){actor, FH_ACTOR_MAX};
    request.as.commit.address = (struct fh_str){actor, FH_ADDRESS_MAX + 1};
    refused(f, &request, FH_INVALID);
    request.as.commit.address = (struct fh_str){actor, FH_ADDRESS_MAX};
    writes[7].expect_version = -1;
    refused(f, &request, FH_INVALID);
    assert_int_equal(request.as.commit.failed_write, 7);
    writes[7].expect_version = 0;
    /* At the bounds it passes. */
    assert_int_equal(fh_store_submit(&f->store, &request), FH_OK);
    assert_ptr_equal(submitted, &request);
    fh_request_complete(&request, FH_CONFLICT);
}

static void test_a_foreign_row_is_withheld(void **state)
{
    struct fixture *f = *state;
    struct fh_key keys[] = {key_author(1), key_author(2), key_author(3)};
    struct fh_row *rows[] = {row_of(f, f->tenant), NULL, row_of(f, f->other)};
    struct fh_request request = request_of(f, FH_OP_GET);
    request.as.get.keys = keys;
    request.as.get.count = 3;
    assert_int_equal(fh_store_submit(&f->store, &request), FH_OK);
    request.as.get.rows = rows;
    fh_request_complete(&request, FH_OK);
    assert_int_equal(request.code, FH_FOREIGN_ROW);
    assert_null(request.as.get.rows);

    request = request_of(f, FH_OP_LIST);
    request.as.list.table = &model_authors;
    request.as.list.limit = 3;
    assert_int_equal(fh_store_submit(&f->store, &request), FH_OK);
    request.as.list.rows = rows;
    request.as.list.count = 3;
    request.as.list.more = true;
    fh_request_complete(&request, FH_OK);
    assert_int_equal(request.code, FH_FOREIGN_ROW);
    assert_null(request.as.list.rows);
    assert_int_equal(request.as.list.count, 0);
    assert_false(request.as.list.more);

    struct fh_write writes[] = {
        {.key = key_author(1)}, {.key = key_author(2)}, {.key = key_author(3)}};
    request = request_of(f, FH_OP_COMMIT);
    request.as.commit.writes = writes;
    request.as.commit.count = 3;
    assert_int_equal(fh_store_submit(&f->store, &request), FH_OK);
    request.as.commit.rows = rows;
    request.as.commit.seq = 5;
    fh_request_complete(&request, FH_OK);
    assert_int_equal(request.code, FH_FOREIGN_ROW);
    assert_null(request.as.commit.rows);
    assert_int_equal(request.as.commit.seq, 0);
    assert_int_equal(f->completions, 3);
    assert_int_equal(f->store.counters.failed, 3);
}

static void test_foreign_events_are_withheld(void **state)
{
    struct fixture *f = *state;
    /* The record itself, an image before, an image after. */
    for (int which = 0; which < 4; which++) {
        struct fh_change change = {.before = row_of(f, which == 1 ? f->other : f->tenant),
                                   .after = row_of(f, which == 2 ? f->other : f->tenant)};
        struct fh_commit_record record = {
            .tenant = which == 0 ? f->other : f->tenant, .changes = &change, .change_count = 1};
        struct fh_request request = request_of(f, FH_OP_EVENTS);
        request.as.events.limit = 1;
        assert_int_equal(fh_store_submit(&f->store, &request), FH_OK);
        request.as.events.records = &record;
        request.as.events.count = 1;
        fh_request_complete(&request, FH_OK);
        assert_int_equal(request.code, which == 3 ? FH_OK : FH_FOREIGN_ROW);
        assert_int_equal(request.as.events.count, which == 3);
        assert_int_equal(request.as.events.records != NULL, which == 3);
    }
}

static void test_rows_leave_only_with_ok(void **state)
{
    struct fixture *f = *state;
    struct fh_key key = key_author(1);
    struct fh_row *rows[] = {row_of(f, f->tenant)};
    struct fh_request request = request_of(f, FH_OP_GET);
    request.as.get.keys = &key;
    request.as.get.count = 1;
    assert_int_equal(fh_store_submit(&f->store, &request), FH_OK);
    request.as.get.rows = rows;
    request.epoch_seen = 4;
    fh_request_complete(&request, FH_MOVED);
    assert_int_equal(request.code, FH_MOVED);
    assert_null(request.as.get.rows);
    assert_int_equal(request.epoch_seen, 4);
    assert_int_equal(f->store.counters.failed, 0);
    /* Submitted again, it starts from nothing. */
    request.deadline_us = f->clock.monotonic_us + 1;
    assert_int_equal(fh_store_submit(&f->store, &request), FH_OK);
    assert_int_equal(request.epoch_seen, 0);
    request.as.get.rows = rows;
    fh_request_complete(&request, FH_OK);
    assert_ptr_equal(request.as.get.rows, rows);
    assert_int_equal(f->store.counters.submitted, 2);
    assert_int_equal(f->store.counters.completed, 2);
    assert_int_equal(f->store.counters.in_flight, 0);
    /* The engine's own refusal counts as nothing. */
    submit_code = FH_FULL;
    assert_int_equal(fh_store_submit(&f->store, &request), FH_FULL);
    assert_int_equal(f->store.counters.submitted, 2);
    assert_int_equal(f->store.counters.in_flight, 0);
    assert_int_equal(f->completions, 2);
}

#ifdef FREEHOLD_FAULTS
static void test_the_check_can_be_taken_away(void **state)
{
    struct fixture *f = *state;
    struct fh_key key = key_author(1);
    struct fh_row *rows[] = {row_of(f, f->other)};
    struct fh_request request = request_of(f, FH_OP_GET);
    request.as.get.keys = &key;
    request.as.get.count = 1;
    f->faults.skip_ownership_check = true;
    assert_int_equal(fh_store_submit(&f->store, &request), FH_OK);
    request.as.get.rows = rows;
    fh_request_complete(&request, FH_OK);
    assert_int_equal(request.code, FH_OK);
}
#endif

/* Runs in a child that must die by SIGABRT. */
static void assert_aborts(struct fixture *f, void (*outrage)(struct fixture *f))
{
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL); /* not cmocka's, nor a sanitizer's */
        if (freopen("/dev/null", "w", stderr) == NULL) {
            _exit(1);
        }
        outrage(f);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void complete_twice(struct fixture *f)
{
    struct fh_request request = request_of(f, FH_OP_FENCE_READ);
    if (fh_store_submit(&f->store, &request) == FH_OK) {
        fh_request_complete(&request, FH_OK);
        fh_request_complete(&request, FH_OK);
    }
}

static void complete_in_submit(struct fixture *f)
{
    /* With another one in flight, so that the counters alone would not tell. */
    struct fh_request before = request_of(f, FH_OP_FENCE_READ);
    struct fh_request request = request_of(f, FH_OP_FENCE_READ);
    if (fh_store_submit(&f->store, &before) != FH_OK) {
        _exit(1);
    }
    completes_in_submit = true;
    if (fh_store_submit(&f->store, &request) != FH_OK) {
        _exit(1);
    }
}

static void submit_twice(struct fixture *f)
{
    struct fh_request request = request_of(f, FH_OP_FENCE_READ);
    enum fh_code first = fh_store_submit(&f->store, &request);
    enum fh_code second = fh_store_submit(&f->store, &request);
    _exit(first == second ? 1 : 2);
}

static void test_broken_contracts_abort(void **state)
{
    struct fixture *f = *state;
    assert_aborts(f, complete_twice);
    assert_aborts(f, complete_in_submit);
    assert_aborts(f, submit_twice);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_scopes_refused),
                                       TEST(test_dedicated_homes_refused),
                                       TEST(test_schema_guards),
                                       TEST(test_credentials),
                                       TEST(test_reads_refused),
                                       TEST(test_commits_refused),
                                       TEST(test_a_foreign_row_is_withheld),
                                       TEST(test_foreign_events_are_withheld),
                                       TEST(test_rows_leave_only_with_ok),
#ifdef FREEHOLD_FAULTS
                                       TEST(test_the_check_can_be_taken_away),
                                       TEST(test_requests_gone_astray),
#endif
                                       TEST(test_broken_contracts_abort)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
