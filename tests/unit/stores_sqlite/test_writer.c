/* Groups, and what becomes of them when the disk, the sync or the memory fails. The writer is
 * driven on the test's own thread, so that a group is exactly what the test says. */
#include "tests/unit/stores_sqlite/fixture.h"

#include <stdio.h>

#include "base/alloc.h"
#include "stores/sqlite/homes.h"
#include "stores/sqlite/writer.h"
#include "tests/unit/stores_sqlite/tiers.h"
#include "tests/unit/stores_sqlite/vfs.h"

#define GROUP_MAX FH_SQLITE_GROUP_MAX

struct group {
    struct fixture *f;
    struct fh_sqlite_writer writer;
    struct fh_request requests[GROUP_MAX];
    size_t count;
};

static int setup(void **state)
{
    static struct group group;
    memset(&group, 0, sizeof(group));
    void *f = NULL;
    fixture_setup(&f);
    group.f = f;
    fixture_shut(group.f); /* the file is there; the writer is ours */
    fh_sqlite_conn_init(&group.writer.conn, FH_SQLITE_WRITER, group.f->path, &group.f->clock, NULL);
    fh_sqlite_conn_init(&group.writer.eraser, FH_SQLITE_ERASER, group.f->path, &group.f->clock,
                        NULL);
    *state = &group;
    return 0;
}

static int teardown(void **state)
{
    struct group *group = *state;
    vfs_heal();
    fh_sqlite_conn_close(&group->writer.eraser);
    fh_sqlite_conn_close(&group->writer.conn);
    void *f = group->f;
    return fixture_teardown(&f);
}

static struct fh_request *add(struct group *group, struct fh_request request)
{
    assert_true(group->count < GROUP_MAX);
    group->requests[group->count] = request;
    if (request.op == FH_OP_COMMIT) {
        group->requests[group->count].as.commit.at_us = 1000;
    }
    return &group->requests[group->count++];
}

static struct fh_request *add_put(struct group *group, const struct fh_uuid *tenant,
                                  enum fh_write_op op, int64_t id, const char *name,
                                  const char *code)
{
    return add(group, fixture_commit(group->f, tenant,
                                     fixture_write(group->f, op, fixture_item(id), name, code)));
}

/* Request id and hash from the number. */
static void identify(struct group *group, struct fh_request *request, int number)
{
    request->as.commit.request_id =
        fh_str_of(fh_arena_printf(&group->f->arena, "request-%d", number));
    memset(request->as.commit.request_hash, number, sizeof(request->as.commit.request_hash));
}

static void run(struct group *group)
{
    struct fh_work *items[GROUP_MAX];
    for (size_t i = 0; i < group->count; i++) {
        items[i] = &group->requests[i].work;
    }
    fh_sqlite_writer_run(&group->writer, items, group->count);
}

static void run_again(struct group *group)
{
    for (size_t i = 0; i < group->count; i++) {
        group->requests[i].error = (struct fh_error)FH_ERROR_INIT;
    }
    run(group);
}

/* Live items, and commit records, as the file has them. */
static void count_rows(struct group *group, const struct fh_uuid *tenant, size_t *items,
                       size_t *records)
{
    fixture_open(group->f);
    *items = fixture_count(group->f, tenant);
    struct fh_request events = fixture_request(group->f, FH_OP_EVENTS, tenant);
    events.as.events.limit = 1000;
    assert_code(fixture_run(group->f, &events), FH_OK);
    *records = events.as.events.count;
    fixture_shut(group->f);
}

static void assert_stored(struct group *group, size_t items, size_t records)
{
    size_t seen_items = 0;
    size_t seen_records = 0;
    count_rows(group, &group->f->a, &seen_items, &seen_records);
    assert_int_equal(seen_items, items);
    assert_int_equal(seen_records, records);
}

static void test_one_sync_for_many(void **state)
{
    struct group *group = *state;
    /* The first use of the log writes and syncs its header. */
    add_put(group, &group->f->a, FH_WRITE_INSERT, 1000, "n", NULL);
    run(group);
    assert_code(group->requests[0].code, FH_OK);
    group->count = 0;
    for (int i = 0; i < GROUP_MAX; i++) {
        add_put(group, i % 2 == 0 ? &group->f->a : &group->f->b, FH_WRITE_INSERT, i, "n", NULL);
    }
    int before = vfs_syncs();
    run(group);
    assert_int_equal(vfs_syncs() - before, 1);
    for (size_t i = 0; i < group->count; i++) {
        assert_code(group->requests[i].code, FH_OK);
        /* Counted by tenant: b's first commit is its first, whatever a did. */
        assert_int_equal(group->requests[i].as.commit.seq, i / 2 + (i % 2 == 0 ? 2 : 1));
    }
    assert_stored(group, GROUP_MAX / 2 + 1, GROUP_MAX / 2 + 1);
}

static void test_refusals_stay_alone(void **state)
{
    struct group *group = *state;
    add_put(group, &group->f->a, FH_WRITE_INSERT, 1, "n", "x");
    add_put(group, &group->f->a, FH_WRITE_INSERT, 1, "again", NULL); /* the key is taken */
    add_put(group, &group->f->a, FH_WRITE_INSERT, 2, "n", "x");      /* the code is taken */
    add_put(group, &group->f->a, FH_WRITE_INSERT, 3, NULL, NULL);    /* a name is needed */
    struct fh_request *stale = add_put(group, &group->f->a, FH_WRITE_INSERT, 4, "n", NULL);
    stale->scope.epoch = 7;
    struct fh_request *dry = add_put(group, &group->f->a, FH_WRITE_INSERT, 5, "n", NULL);
    dry->as.commit.validate_only = true;
    struct fh_request *late = add_put(group, &group->f->a, FH_WRITE_INSERT, 6, "n", NULL);
    late->deadline_us = 1;
    struct fh_request *unwanted = add_put(group, &group->f->a, FH_WRITE_INSERT, 7, "n", NULL);
    unwanted->engine = unwanted;
    add_put(group, &group->f->b, FH_WRITE_INSERT, 1, "n", "x");
    add_put(group, &group->f->a, FH_WRITE_UPDATE, 1, "seen by the next in line", NULL);
    run(group);
    static const enum fh_code expected[] = {
        FH_OK,    FH_EXISTS, FH_UNIQUE_VIOLATION, FH_CHECK_VIOLATION,
        FH_MOVED, FH_OK,     FH_DEADLINE,         FH_CANCELLED,
        FH_OK,    FH_OK};
    for (size_t i = 0; i < group->count; i++) {
        assert_code(group->requests[i].code, expected[i]);
    }
    assert_string_equal(group->requests[2].error.field, "code");
    assert_null(strstr(group->requests[2].error.message, "x"));
    assert_int_equal(stale->epoch_seen, 1);
    assert_int_equal(dry->as.commit.seq, 0);
    assert_int_equal(group->requests[9].as.commit.seq, 2); /* refusals take no number */
    assert_int_equal(group->requests[9].as.commit.rows[0]->version, 2);
    assert_stored(group, 1, 2);
}

static void add_orphan(struct group *group, int64_t n)
{
    add(group,
        fixture_commit(group->f, &group->f->a,
                       fixture_write(group->f, FH_WRITE_INSERT, fixture_part(99, n), NULL, NULL)));
}

/* Refused behind its own change, which must not be committed with the others', nor take them along:
 * in the group that meets it first, and in the next, which expects it. */
static void test_refused_behind_a_change(void **state)
{
    struct group *group = *state;
    int items = 0;
    for (int round = 0; round < 2; round++) {
        group->count = 0;
        identify(group, add_put(group, &group->f->a, FH_WRITE_INSERT, items + 1, "n", NULL),
                 items + 1);
        add_orphan(group, round);
        add_put(group, &group->f->b, FH_WRITE_INSERT, round, "n", NULL);
        add_put(group, &group->f->a, FH_WRITE_INSERT, items + 1, "taken", NULL);
        add_put(group, &group->f->a, FH_WRITE_INSERT, items + 2, "n", NULL);
        run(group);
        static const enum fh_code expected[] = {FH_OK, FH_REFERENCE_VIOLATION, FH_OK, FH_EXISTS,
                                                FH_OK};
        for (size_t i = 0; i < group->count; i++) {
            assert_code(group->requests[i].code, expected[i]);
        }
        assert_false(group->requests[0].as.commit.replayed);
        assert_int_equal(group->requests[0].as.commit.seq, items + 1);
        assert_int_equal(group->requests[4].as.commit.seq, items + 2);
        assert_int_equal(group->requests[2].as.commit.seq, round + 1);
        items += 2;
        assert_true(group->writer.conn.careful_groups > 0);
    }
    assert_stored(group, (size_t)items, (size_t)items);
    struct fh_request list = fixture_request(group->f, FH_OP_LIST, &group->f->a);
    list.as.list.table = &fixture_parts;
    list.as.list.limit = 10;
    fixture_open(group->f);
    assert_code(fixture_run(group->f, &list), FH_OK);
    assert_int_equal(list.as.list.count, 0);
}

/* What fitted its arena once and not a second time is to be repeated: it was not too large. */
static void test_does_not_fit_twice(void **state)
{
    static char name[20000];
    struct group *group = *state;
    memset(name, 'n', sizeof(name) - 1);
    add_put(group, &group->f->a, FH_WRITE_INSERT, 1, name, NULL);
    run(group);
    assert_code(group->requests[0].code, FH_OK);
    group->count = 0;
    struct fh_request *request = add_put(group, &group->f->a, FH_WRITE_UPDATE, 1, "n", NULL);
    fixture_detach(group->f, request);
    struct fh_arena *arena = request->arena;
    run(group);
    assert_code(request->code, FH_OK);
    size_t used = arena->bytes_used;
    assert_true(used > sizeof(name));
    fh_arena_reset(arena);
    group->count = 0;
    add_put(group, &group->f->a, FH_WRITE_UPDATE, 1, name, NULL);
    run(group);
    group->count = 0;
    arena->bytes_max = used + used / 2;
    request = add_put(group, &group->f->a, FH_WRITE_UPDATE, 1, "n", NULL);
    request->arena = arena;
    add_orphan(group, 0);
    run(group);
    assert_code(group->requests[0].code, FH_UNAVAILABLE);
    assert_code(group->requests[1].code, FH_REFERENCE_VIOLATION);
    assert_stored(group, 1, 3);
}

/* The first group is run twice, the others are not; after a while savepoints are let go. */
static void test_savepoints_are_let_go(void **state)
{
    struct group *group = *state;
    add_put(group, &group->f->a, FH_WRITE_INSERT, 0, "n", NULL);
    add_orphan(group, 0);
    run(group);
    assert_code(group->requests[1].code, FH_REFERENCE_VIOLATION);
    uint32_t groups = 0;
    for (; group->writer.conn.careful_groups > 0; groups++) {
        assert_true(groups < 1000);
        group->count = 0;
        add_put(group, &group->f->a, FH_WRITE_UPDATE, 0, "n", NULL);
        add_put(group, &group->f->a, FH_WRITE_UPDATE, 0, "m", NULL);
        run(group);
        assert_code(group->requests[1].code, FH_OK);
    }
    assert_true(groups > 1);
    assert_stored(group, 1, 1 + 2 * groups);
}

static void test_a_fence_divides_the_group(void **state)
{
    struct group *group = *state;
    add_put(group, &group->f->a, FH_WRITE_INSERT, 1, "n", NULL);
    struct fh_request freeze = fixture_request(group->f, FH_OP_FENCE_SET, &group->f->a);
    freeze.as.fence.expected = (struct fh_fence){1, 1, FH_FENCE_OPEN};
    freeze.as.fence.desired = (struct fh_fence){1, 1, FH_FENCE_FROZEN};
    add(group, freeze);
    add_put(group, &group->f->a, FH_WRITE_INSERT, 2, "n", NULL);
    add_put(group, &group->f->b, FH_WRITE_INSERT, 2, "n", NULL);
    run(group);
    assert_code(group->requests[0].code, FH_OK);
    assert_code(group->requests[1].code, FH_OK);
    assert_code(group->requests[2].code, FH_MOVED);
    assert_int_equal(group->requests[2].mode_seen, FH_FENCE_FROZEN);
    assert_code(group->requests[3].code, FH_OK);
    assert_stored(group, 1, 1); /* frozen is still read */
}

static void test_the_same_request_id_twice(void **state)
{
    struct group *group = *state;
    identify(group, add_put(group, &group->f->a, FH_WRITE_INSERT, 1, "n", NULL), 1);
    identify(group, add_put(group, &group->f->a, FH_WRITE_INSERT, 1, "n", NULL), 1);
    struct fh_request *other = add_put(group, &group->f->a, FH_WRITE_INSERT, 2, "n", NULL);
    identify(group, other, 1);
    other->as.commit.request_hash[0] ^= 1;
    identify(group, add_put(group, &group->f->b, FH_WRITE_INSERT, 1, "n", NULL), 1);
    run(group);
    assert_code(group->requests[0].code, FH_OK);
    assert_false(group->requests[0].as.commit.replayed);
    assert_code(group->requests[1].code, FH_OK);
    assert_true(group->requests[1].as.commit.replayed);
    assert_int_equal(group->requests[1].as.commit.seq, group->requests[0].as.commit.seq);
    assert_code(group->requests[2].code, FH_REQUEST_ID_REUSED);
    assert_code(group->requests[3].code, FH_OK); /* another tenant's id is another id */
    assert_false(group->requests[3].as.commit.replayed);
    assert_stored(group, 1, 1);
}

static void fill(struct group *group, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        identify(group, add_put(group, &group->f->a, FH_WRITE_INSERT, (int64_t)i, "n", NULL),
                 (int)i + 1);
    }
}

static void test_full_disk_once(void **state)
{
    struct group *group = *state;
    fill(group, 10);
    add_put(group, &group->f->a, FH_WRITE_INSERT, 0, "taken", NULL);
    vfs_fail_writes(0, 1, SQLITE_FULL);
    run(group);
    assert_int_equal(vfs_delivered(), 1);
    for (size_t i = 0; i < 10; i++) {
        assert_code(group->requests[i].code, FH_OK); /* in the second round, singly */
    }
    assert_code(group->requests[10].code, FH_EXISTS);
    assert_stored(group, 10, 10);
}

static void test_full_disk(void **state)
{
    struct group *group = *state;
    fill(group, 10);
    vfs_fail_writes(0, 1000000, SQLITE_FULL);
    run(group);
    for (size_t i = 0; i < group->count; i++) {
        assert_code(group->requests[i].code, FH_DISK_FULL);
        assert_non_null(strstr(group->requests[i].error.message, "free space"));
    }
    vfs_heal();
    run_again(group);
    for (size_t i = 0; i < group->count; i++) {
        assert_code(group->requests[i].code, FH_OK);
        assert_false(group->requests[i].as.commit.replayed);
    }
    assert_stored(group, 10, 10);
}

/* A failed write is certain: nothing of it is in the log. */
static void test_failed_write(void **state)
{
    struct group *group = *state;
    fill(group, 4);
    vfs_fail_writes(0, 1000000, SQLITE_IOERR_WRITE);
    run(group);
    for (size_t i = 0; i < group->count; i++) {
        assert_code(group->requests[i].code, FH_UNAVAILABLE);
    }
    vfs_heal();
    run_again(group);
    assert_code(group->requests[0].code, FH_OK);
    assert_stored(group, 4, 4);
}

/* A failed sync is not: the frames are written. */
static void test_failed_sync(void **state)
{
    struct group *group = *state;
    fill(group, 5);
    struct fh_request *refused = add_put(group, &group->f->a, FH_WRITE_UPDATE, 99, "n", NULL);
    /* The log's header may be synced first; that failure is certain to the engine only as unknown,
     * too. */
    vfs_fail_syncs(0, 1000000);
    run(group);
    assert_true(vfs_delivered() > 0);
    for (size_t i = 0; i < 5; i++) {
        assert_code(group->requests[i].code, FH_OUTCOME_UNKNOWN);
    }
    assert_code(refused->code, FH_NOT_FOUND); /* that one wrote nothing */
    vfs_heal();
    group->count = 5;
    run_again(group);
    for (size_t i = 0; i < 5; i++) {
        assert_code(group->requests[i].code, FH_OK);
    }
    assert_stored(group, 5, 5);
}

/* The cache spills into the log in mid-group, so the disk is full in the middle of a statement, and
 * SQLite rolls all back. */
static void test_full_disk_in_mid_group(void **state)
{
    enum { PARTS = 20, BYTES = 100 * 1024 };
    struct group *group = *state;
    fill(group, 1);
    run(group);
    assert_code(group->requests[0].code, FH_OK);
    assert_code(fh_sqlite_conn_exec(&group->writer.conn, "PRAGMA cache_size=20", NULL), FH_OK);
    group->count = 0;
    char *data = fh_arena_alloc(&group->f->arena, BYTES);
    assert_non_null(data);
    memset(data, 'x', BYTES);
    for (int i = 0; i < PARTS; i++) {
        struct fh_write *write =
            fixture_write(group->f, FH_WRITE_INSERT, fixture_part(0, i), NULL, NULL);
        struct fh_assignment *set = FH_ARENA_NEW(&group->f->arena, struct fh_assignment);
        *set = (struct fh_assignment){
            .column = PART_DATA,
            .value = {.type = FH_TYPE_BYTES, .as.bytes = {.data = data, .len = BYTES}}};
        write->assignments = set;
        write->assignment_count = 1;
        add(group, fixture_commit(group->f, &group->f->a, write));
    }
    vfs_fail_writes(100, 1, SQLITE_FULL);
    run(group);
    assert_int_equal(vfs_delivered(), 1);
    for (size_t i = 0; i < group->count; i++) {
        assert_code(group->requests[i].code, FH_OK);
    }
    assert_stored(group, 1, 1 + PARTS);
}

/* Every allocation of ours fails in turn: a request is done or not, and says which. */
static void test_out_of_memory(void **state)
{
    struct group *group = *state;
    size_t done = 0;
    for (long n = 0; n < 2000; n++) {
        group->count = 0;
        char *code = fh_arena_printf(&group->f->arena, "code-%ld", n);
        add_put(group, &group->f->a, FH_WRITE_INSERT, 2 * n, "n", NULL);
        add_put(group, &group->f->a, FH_WRITE_INSERT, 2 * n + 1, "n", code);
        if (n % 2 == 0) { /* with an empty cache of statements every other time */
            fh_sqlite_conn_close(&group->writer.conn);
        }
        long before = fh_alloc_live();
        fh_alloc_fault_on(n / 2, 1);
        run(group);
        int delivered = fh_alloc_fault_off();
        for (size_t i = 0; i < 2; i++) {
            enum fh_code outcome = group->requests[i].code;
            assert_true(outcome == FH_OK || outcome == FH_NOMEM);
            done += outcome == FH_OK;
        }
        if (n % 2 == 1) {
            assert_true(fh_alloc_live() <= before + 64); /* statements may be new */
        }
        if (!delivered && n % 2 == 1) {
            assert_code(group->requests[0].code, FH_OK);
            assert_code(group->requests[1].code, FH_OK);
            break;
        }
        assert_true(n < 1999);
    }
    fixture_open(group->f);
    struct fh_request list = fixture_request(group->f, FH_OP_LIST, &group->f->a);
    list.as.list.table = &fixture_items;
    list.as.list.limit = 1000;
    assert_code(fixture_run(group->f, &list), FH_OK);
    assert_int_equal(list.as.list.count, done);
}

/* What runs alone comes after others of its batch, and looks at its deadline then. */
static void test_time_passes_before_what_runs_alone(void **state)
{
    struct group *group = *state;
    struct fh_request apply = fixture_request(group->f, FH_OP_SCHEMA_APPLY, NULL);
    apply.as.schema.target = &fixture_v1;
    add(group, apply); /* there already: it takes no time but the clock's */
    struct fh_request *late = add(group, fixture_request(group->f, FH_OP_HOME_ERASE, &group->f->b));
    late->as.home.fence.generation = 1;
    struct fh_request *unwanted =
        add(group, fixture_request(group->f, FH_OP_HOME_ERASE, &group->f->a));
    unwanted->as.home.fence.generation = 1;
    int64_t start = group->f->now_us;
    late->deadline_us = start + 4000; /* the fourth look, and its own comes later */
    group->f->tick_us = 1000;
    run(group);
    group->f->tick_us = 0;
    assert_code(group->requests[0].code, FH_OK);
    assert_code(late->code, FH_DEADLINE);
    assert_code(unwanted->code, FH_OK);
    size_t items = 0;
    size_t records = 0;
    count_rows(group, &group->f->b, &items, &records); /* there is a fence */
}

static void put_in(struct group *group, const struct fh_uuid *tenant, int64_t id, const char *code)
{
    struct fh_request *request = add_put(group, tenant, FH_WRITE_INSERT, id, "n", code);
    fh_home_of(FH_TIER_SCHEMA, tenant, &request->scope.home);
}

static void assert_in(struct group *group, const struct fh_uuid *tenant, int64_t id, bool expected)
{
    bool found = false;
    assert_code(tier_get(group->f, FH_TIER_SCHEMA, tenant, id, &found), FH_OK);
    assert_true(found == expected);
}

/* Homes of one bridge file: what is refused in one undoes nothing in another, and stays undone. */
static void test_a_group_of_many_homes(void **state)
{
    struct group *group = *state;
    struct fh_uuid one = tier_tenant(1);
    struct fh_uuid other = tier_tenant(1 + FH_SQLITE_BRIDGE_FILES);
    struct fh_uuid nobody = tier_tenant(1 + 2 * FH_SQLITE_BRIDGE_FILES);
    struct fh_sqlite_layout layout;
    struct fh_sqlite_place place;
    struct fh_home home;
    fixture_open(group->f);
    assert_code(tier_create(group->f, FH_TIER_SCHEMA, &one, 1), FH_OK);
    assert_code(tier_create(group->f, FH_TIER_SCHEMA, &other, 1), FH_OK);
    fixture_shut(group->f);
    assert_code(fh_sqlite_layout_init(&layout, group->f->directory, NULL), FH_OK);
    fh_home_of(FH_TIER_SCHEMA, &one, &home);
    fh_sqlite_layout_place(&layout, &home, &place);
    fh_sqlite_conn_use_place(&group->writer.conn, &place);
    put_in(group, &one, 1, "x");
    put_in(group, &other, 1, "x"); /* another home's codes are no business of this one */
    put_in(group, &other, 2, "x"); /* taken */
    put_in(group, &nobody, 1, NULL);
    put_in(group, &one, 2, NULL);
    put_in(group, &other, 3, NULL);
    group->requests[5].scope.schema = &fixture_v2;
    struct fh_request freeze = fixture_request(group->f, FH_OP_FENCE_SET, &one);
    freeze.scope.home = home;
    freeze.as.fence.expected = (struct fh_fence){1, 1, FH_FENCE_OPEN};
    freeze.as.fence.desired = (struct fh_fence){1, 1, FH_FENCE_FROZEN};
    add(group, freeze);
    put_in(group, &one, 4, NULL);
    put_in(group, &other, 4, NULL);
    run(group);
    static const enum fh_code expected[] = {FH_OK,        FH_OK,    FH_UNIQUE_VIOLATION,
                                            FH_NO_TENANT, FH_OK,    FH_STALE_SCHEMA,
                                            FH_OK,        FH_MOVED, FH_OK};
    for (size_t i = 0; i < group->count; i++) {
        assert_code(group->requests[i].code, expected[i]);
    }
    assert_int_equal(group->requests[4].as.commit.seq, 2);
    assert_int_equal(group->requests[8].as.commit.seq, 2);
    fh_sqlite_conn_close(&group->writer.conn);
    fixture_open(group->f);
    for (int64_t id = 1; id <= 4; id++) {
        assert_in(group, &one, id, id <= 2);
        assert_in(group, &other, id, id == 1 || id == 4);
    }
    assert_int_equal(tier_check(group->f, ""), 0);
}

int main(void)
{
#define GROUP_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        GROUP_TEST(test_one_sync_for_many),
        GROUP_TEST(test_refusals_stay_alone),
        GROUP_TEST(test_refused_behind_a_change),
        GROUP_TEST(test_savepoints_are_let_go),
        GROUP_TEST(test_does_not_fit_twice),
        GROUP_TEST(test_a_fence_divides_the_group),
        GROUP_TEST(test_time_passes_before_what_runs_alone),
        GROUP_TEST(test_a_group_of_many_homes),
        GROUP_TEST(test_the_same_request_id_twice),
        GROUP_TEST(test_full_disk_once),
        GROUP_TEST(test_full_disk),
        GROUP_TEST(test_failed_write),
        GROUP_TEST(test_failed_sync),
        GROUP_TEST(test_full_disk_in_mid_group),
        GROUP_TEST(test_out_of_memory),
    };
    vfs_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
