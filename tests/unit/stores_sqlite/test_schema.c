/* SCHEMA_APPLY: what it requires, and that whatever fails leaves the older version whole. */
#include "tests/unit/stores_sqlite/world.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "stores/sqlite/fence.h"
#include "stores/sqlite/schema.h"
#include "stores/sqlite/version.h"
#include "tests/unit/stores_sqlite/vfs.h"

#define STEPS_MAX 5000

static const char first[] = "CREATE TABLE t(id bigint PRIMARY KEY, a text)";
static const char second[] = "ALTER TABLE t ADD CONSTRAINT has_a CHECK (a <> ''); CREATE TABLE "
                             "n(id bigint PRIMARY KEY); CREATE INDEX t_a ON t(a)";

struct pair {
    const struct fh_schema *v1;
    const struct fh_schema *v2;
};

static void start(struct world *w, struct fixture *f, enum fh_tier tier, struct pair *pair)
{
    struct fh_error error = FH_ERROR_INIT;
    world_open(w, f, tier);
    pair->v1 = world_migrate(w, NULL, first);
    pair->v2 = world_migrate(w, pair->v1, second);
    world_put_fence(w, &f->a);
    assert_code(world_apply(w, &f->a, pair->v1, &error), FH_OK);
}

static void fill(struct world *w, const struct fh_uuid *tenant, int rows)
{
    char sql[WORLD_TEXT_MAX];
    (void)snprintf(sql, sizeof(sql),
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<%d) "
                   "INSERT INTO @t(tenant_id,created_at,updated_at,deleted_at,version,id,a) "
                   "SELECT $,i,'x' FROM n",
                   rows);
    world_execute(w, tenant, sql);
}

/* Which version the home is at, wholly: 1 or 2. */
static int version_of(struct world *w, const struct pair *pair)
{
    struct fh_error error = FH_ERROR_INIT;
    struct fh_home home = world_home(w, &w->f->a);
    fh_sqlite_conn_use_home(&w->conn, &home);
    assert_code(fh_sqlite_conn_open(&w->conn, &error), FH_OK);
    assert_code(fh_sqlite_views_use(&w->conn, NULL, &error), FH_OK);
    assert_code(fh_sqlite_conn_read_version(&w->conn, &error), FH_OK);
    int64_t version = w->conn.schema_version;
    assert_in_range(version, 1, 2);
    world_check_is_clean(w, version == 1 ? pair->v1 : pair->v2);
    return (int)version;
}

static void test_guard(void **state)
{
    static const struct {
        uint64_t epoch;
        uint64_t generation;
        uint32_t modes;
        enum fh_code code;
    } rows[] = {
        {2, 1, FH_FENCE_BIT(FH_FENCE_OPEN), FH_MOVED},
        {1, 2, FH_FENCE_BIT(FH_FENCE_OPEN), FH_MOVED},
        {1, 1, FH_FENCE_BIT(FH_FENCE_FROZEN), FH_MOVED},
        {1, 1, FH_FENCE_BIT(FH_FENCE_OPEN), FH_OK},
        {1, 2, FH_FENCE_BIT(FH_FENCE_OPEN), FH_MOVED}, /* also when nothing is left to do */
    };
    static const enum fh_tier tiers[] = {FH_TIER_SCHEMA, FH_TIER_DATABASE};
    for (size_t t = 0; t < 2; t++) {
        struct world w;
        struct pair pair;
        start(&w, *state, tiers[t], &pair);
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            struct fh_request request = world_apply_request(&w, &w.f->a, pair.v2);
            request.scope.epoch = rows[i].epoch;
            request.as.schema.guard.generation = rows[i].generation;
            request.as.schema.guard.modes = rows[i].modes;
            assert_code(world_run_apply(&w, &request), rows[i].code);
            assert_int_equal(request.epoch_seen, 1);
            assert_int_equal(request.mode_seen, FH_FENCE_OPEN);
            assert_int_equal(version_of(&w, &pair), i < 3 ? 1 : 2);
        }
        if (tiers[t] == FH_TIER_SCHEMA) { /* a home that has no fence */
            struct fh_request request = world_apply_request(&w, &w.f->b, pair.v2);
            assert_code(world_run_apply(&w, &request), FH_NO_TENANT);
        }
        world_close(&w);
    }
}

static void test_never_backwards(void **state)
{
    struct world w;
    struct pair pair;
    struct fh_error error = FH_ERROR_INIT;
    start(&w, *state, FH_TIER_SHARED, &pair);
    assert_code(world_apply(&w, &w.f->a, pair.v2, &error), FH_OK);
    struct fh_request request = world_apply_request(&w, &w.f->a, pair.v1);
    assert_code(world_run_apply(&w, &request), FH_PRECONDITION);
    assert_int_equal(request.as.schema.version_seen, 2);
    assert_int_equal(version_of(&w, &pair), 2);
    world_close(&w);
}

/* Somebody holds the file's lock: nothing is changed, and the wait is bounded. */
static void test_lock(void **state)
{
    struct world w;
    struct pair pair;
    sqlite3 *other = NULL;
    start(&w, *state, FH_TIER_SHARED, &pair);
    assert_int_equal(sqlite3_open(w.f->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    struct fh_request request = world_apply_request(&w, &w.f->a, pair.v2);
    request.as.schema.lock_timeout_ms = 20;
    fh_sqlite_conn_use_home(&w.conn, &request.scope.home);
    assert_code(fh_sqlite_views_use(&w.conn, NULL, &request.error), FH_OK);
    assert_code(fh_sqlite_schema_begin(&w.conn, &request), FH_CONFLICT);
    assert_false(fh_sqlite_conn_in_transaction(&w.conn));
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_code(world_run_apply(&w, &request), FH_OK);
    world_close(&w);
}

/* The deadline passes while rows are copied. */
static void test_deadline(void **state)
{
    struct world w;
    struct pair pair;
    start(&w, *state, FH_TIER_SHARED, &pair);
    fill(&w, &w.f->a, 5000);
    struct fh_request request = world_apply_request(&w, &w.f->a, pair.v2);
    request.deadline_us = w.f->now_us + 50;
    w.f->tick_us = 20; /* every look at the clock */
    assert_code(world_run_apply(&w, &request), FH_DEADLINE);
    w.f->tick_us = 0;
    assert_int_equal(version_of(&w, &pair), 1);
    world_close(&w);
}

static int64_t allocations_left; /* negative: unlimited */
static bool refused;

static bool may_allocate(void)
{
    if (allocations_left < 0) {
        return true;
    }
    if (allocations_left == 0) {
        refused = true;
        return false;
    }
    allocations_left--;
    return true;
}

static void *(*real_malloc)(int);
static void *(*real_realloc)(void *, int);

static void *sqlite_malloc(int size)
{
    return may_allocate() ? real_malloc(size) : NULL;
}

static void *sqlite_realloc(void *old, int size)
{
    return may_allocate() ? real_realloc(old, size) : NULL;
}

static void hook_sqlite(void)
{
    static sqlite3_mem_methods methods;
    assert_int_equal(sqlite3_shutdown(), SQLITE_OK);
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &methods), SQLITE_OK);
    real_malloc = methods.xMalloc;
    real_realloc = methods.xRealloc;
    methods.xMalloc = sqlite_malloc;
    methods.xRealloc = sqlite_realloc;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods), SQLITE_OK);
    assert_int_equal(sqlite3_initialize(), SQLITE_OK);
}

/* As world_run_apply(), but everything may fail. */
static enum fh_code try_apply(struct world *w, struct fh_request *request)
{
    struct fh_sqlite_conn *conn = &w->conn;
    fh_sqlite_conn_use_home(conn, &request->scope.home);
    enum fh_code code = fh_sqlite_conn_open(conn, &request->error);
    if (code == FH_OK) {
        code = fh_sqlite_views_clear(conn, &request->error);
    }
    if (code == FH_OK) {
        code = fh_sqlite_views_use(conn, NULL, &request->error);
    }
    if (code == FH_OK) {
        code = fh_sqlite_schema_begin(conn, request);
    }
    if (code != FH_OK) {
        return code;
    }
    code = fh_sqlite_schema_apply(conn, request);
    if (code == FH_OK) {
        code = fh_sqlite_statement_run(conn, FH_SQLITE_COMMIT, &request->error);
    }
    return code;
}

/* Whatever the failure, another process sees one version, whole. */
static void test_memory(void **state)
{
    struct world w;
    struct pair pair;
    start(&w, *state, FH_TIER_SCHEMA, &pair);
    fill(&w, &w.f->a, 20);
    int version = 1;
    int64_t n = 0;
    for (; version == 1; n += 11) {
        assert_true(n < 20000);
        struct fh_request request = world_apply_request(&w, &w.f->a, pair.v2);
        allocations_left = n;
        enum fh_code code = try_apply(&w, &request);
        allocations_left = -1;
        assert_true(code == FH_OK || refused);
        refused = false;
        fh_sqlite_conn_close(&w.conn);
        w.conn.bridge = false; /* as world_open() does it */
        struct fh_error error = FH_ERROR_INIT;
        assert_code(fh_sqlite_conn_open(&w.conn, &error), FH_OK);
        w.conn.bridge = true;
        version = version_of(&w, &pair);
        assert_true((code == FH_OK) == (version == 2));
    }
    assert_true(n > 100);
    world_close(&w);
}

static void test_disk(void **state)
{
    static const int codes[] = {SQLITE_FULL, SQLITE_IOERR_WRITE};
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        struct pair pair;
        start(&w, *state, FH_TIER_SHARED, &pair);
        fill(&w, &w.f->a, 500);
        int version = 1;
        int n = 0;
        for (; version == 1; n++) {
            assert_true(n < STEPS_MAX);
            struct fh_request request = world_apply_request(&w, &w.f->a, pair.v2);
            vfs_fail_writes(n, 1, codes[i]);
            enum fh_code code = try_apply(&w, &request);
            vfs_heal();
            assert_true(code == FH_OK || code == FH_DISK_FULL || code == FH_UNAVAILABLE);
            fh_sqlite_conn_close(&w.conn);
            version = version_of(&w, &pair);
            assert_true((code == FH_OK) == (version == 2));
        }
        assert_true(n > 3);
        world_close(&w);
    }
}

/* A child rebuilds a table, and is killed at its nth write to the log. */
static int kill_after;

static void be_child(struct world *w, const struct pair *pair)
{
    struct fh_request request = world_apply_request(w, &w->f->a, pair->v2);
    vfs_kill_at_write(kill_after);
    enum fh_code code = try_apply(w, &request);
    _exit(code == FH_OK ? 0 : 1);
}

static void test_kill(void **state)
{
    struct world w;
    struct pair pair;
    start(&w, *state, FH_TIER_SHARED, &pair);
    fill(&w, &w.f->a, 500);
    bool killed = true;
    int rounds = 0;
    for (kill_after = 0; killed; kill_after++) {
        assert_true(kill_after < STEPS_MAX);
        fh_sqlite_conn_close(&w.conn); /* nothing of SQLite's is carried through the fork */
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            be_child(&w, &pair);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        killed = WIFSIGNALED(status);
        assert_true(killed ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
        assert_int_equal(version_of(&w, &pair), killed ? 1 : 2);
        world_expect(&w, &w.f->a, "SELECT count(*) FROM @t", "500;");
        rounds++;
    }
    assert_true(rounds > 3);
    world_close(&w);
}

/* Two homes of one file, at two versions: each takes what was made for its own. */
static void test_two_versions_in_one_file(void **state)
{
    struct world w;
    struct pair pair;
    struct fh_error error = FH_ERROR_INIT;
    start(&w, *state, FH_TIER_SCHEMA, &pair);
    world_put_fence(&w, &w.f->b);
    assert_code(world_apply(&w, &w.f->b, pair.v1, &error), FH_OK);
    assert_code(world_apply(&w, &w.f->b, pair.v2, &error), FH_OK);
    for (int i = 0; i < 4; i++) {
        const struct fh_uuid *tenant = i % 2 == 0 ? &w.f->a : &w.f->b;
        struct fh_request request = fixture_request(w.f, FH_OP_GET, tenant);
        struct fh_fence fence;
        request.scope.home = world_home(&w, tenant);
        request.scope.schema = i < 2 ? pair.v1 : pair.v2;
        fh_sqlite_conn_use_home(&w.conn, &request.scope.home);
        assert_code(fh_sqlite_views_use(&w.conn, request.scope.schema, &error), FH_OK);
        assert_code(fh_sqlite_fence_find(&w.conn, &request.scope, &fence, &error), FH_OK);
        bool right = (i % 2 == 0) == (i < 2);
        assert_code(fh_sqlite_version_admit(&w.conn, &request), right ? FH_OK : FH_STALE_SCHEMA);
        assert_int_equal(request.version_seen, right ? 0 : i % 2 == 0 ? 1 : 2);
    }
    world_close(&w);
}

static int group_setup(void **state)
{
    (void)state;
    allocations_left = -1;
    hook_sqlite();
    vfs_install();
    return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_guard),  TEST(test_never_backwards),
        TEST(test_lock),   TEST(test_deadline),
        TEST(test_memory), TEST(test_disk),
        TEST(test_kill),   TEST(test_two_versions_in_one_file),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
