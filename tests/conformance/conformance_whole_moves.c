/* A tenant goes from one store to another under its application's hands, and back.
 *
 * This is a mover in its plainest form: the steps in their order, without crashes. The migrator is
 * held to the same end by tests of its own; here it is the store that is looked at.
 */
#include "tests/conformance/mover.h"

#include <stdio.h>

struct tour {
    struct suite *s;
    struct app app;
    struct mover source; /* requests go there unless swapped */
    struct mover target;
    struct view base; /* at the source: where the deltas begin */
    struct fh_op_tally start;
    struct fh_str cursor;
    uint64_t records; /* applied by rounds */
    uint64_t seq_sum;
};

/* The suite's requests reach the target within this, on the epoch that its fence has. */
#define AT_TARGET(tour, statement) \
    do {                           \
        suite_swap((tour)->s);     \
        statement;                 \
        suite_swap((tour)->s);     \
    } while (0)

static void set_fence(const struct mover *m, struct fh_fence from, struct fh_fence to)
{
    assert_code(suite_fence_set(m->s, &m->tenant, from, to, NULL), FH_OK);
}

/* Raises the source's generation, makes the target's home, opens the view that copying begins in.
 */
static void prepare(struct tour *tour, uint64_t epoch, uint64_t generation)
{
    struct suite *s = tour->s;
    tour->source =
        (struct mover){s,
                       tour->app.tenant,
                       epoch,
                       {generation, FH_FENCE_BIT(FH_FENCE_OPEN) | FH_FENCE_BIT(FH_FENCE_FROZEN)}};
    tour->target = (struct mover){
        s, tour->app.tenant, epoch + 1, {generation, FH_FENCE_BIT(FH_FENCE_INCOMING)}};
    set_fence(&tour->source, (struct fh_fence){epoch, generation - 1, FH_FENCE_OPEN},
              (struct fh_fence){epoch, generation, FH_FENCE_OPEN});
    AT_TARGET(tour, assert_code(suite_home_create(s, &tour->app.tenant, epoch + 1, generation,
                                                  FH_FENCE_INCOMING),
                                FH_OK));
    tour->base = mover_open(&tour->source);
    tour->start = mover_tally(&tour->source, &tour->base, tour->base.cursor);
    tour->cursor = tour->base.cursor;
    tour->records = 0;
    tour->seq_sum = 0;
}

/* Pages of what is there now, or was when the base was opened: both must do, since the deltas begin
 * at the base. A page waits a little between being read and being applied. */
static void copy_rows(struct tour *tour)
{
    for (uint32_t t = 0; t < model_v1.table_count; t++) {
        struct fh_key after;
        struct fh_op_scan scan = {.more = true};
        for (size_t page = 0; scan.more; page++) {
            scan = (struct fh_op_scan){
                .snapshot = draw(&tour->app.random) % 2 == 0 ? tour->base.snapshot : NULL,
                .table = model_v1.tables[t],
                .after = page > 0 ? &after : NULL,
                .limit = 1 + draw(&tour->app.random) % 5};
            assert_code(mover_try_scan(&tour->source, &scan), FH_OK);
            app_run(&tour->app, 3);
            AT_TARGET(tour,
                      mover_apply(&tour->target, (struct fh_op_apply){.rows = scan.rows,
                                                                      .row_count = scan.count,
                                                                      .keep_existing = true,
                                                                      .state = FH_STR("copying")}));
            if (scan.count > 0) {
                fh_key_of_row(scan.rows[scan.count - 1], &after);
            }
        }
    }
}

static void copy_history(struct tour *tour)
{
    struct journal history = mover_journal(&tour->source, &tour->base, 9);
    for (size_t i = 0; i < history.count; i += 11) {
        size_t left = history.count - i;
        struct fh_op_apply apply = {.journal = history.rows + i,
                                    .journal_count = left < 11 ? left : 11};
        AT_TARGET(tour, mover_apply(&tour->target, apply));
    }
}

/* All pages of a round in one batch: a page alone might meet a unique value that a later page
 * frees. */
static void catch_up(struct tour *tour)
{
    struct view view = mover_open(&tour->source);
    app_run(&tour->app, tour->source.guard.modes == FH_FENCE_BIT(FH_FENCE_FROZEN) ? 0 : 3);
    struct delta delta =
        mover_delta(&tour->source, &view, tour->cursor, 1 + draw(&tour->app.random) % 20, 0);
    struct rows rows = {.rows = FH_ARENA_ARRAY(&tour->s->arena, struct fh_row *, delta.keys.count)};
    assert_non_null(rows.rows);
    for (size_t i = 0; i < delta.keys.count; i++) {
        if (delta.rows[i] != NULL) {
            rows.rows[rows.count++] = delta.rows[i];
        }
    }
    AT_TARGET(tour,
              mover_apply(&tour->target, (struct fh_op_apply){.deletes = delta.keys.keys,
                                                              .delete_count = delta.keys.count,
                                                              .rows = rows.rows,
                                                              .row_count = rows.count,
                                                              .journal = delta.journal.rows,
                                                              .journal_count = delta.journal.count,
                                                              .state = view.cursor}));
    struct fh_str kept;
    AT_TARGET(tour, assert_code(mover_try_state(&tour->target, &kept), FH_OK));
    assert_true(fh_str_eq(kept, view.cursor));
    tour->cursor = kept;
    tour->records += delta.journal.count;
    tour->seq_sum += delta.seq_sum;
    mover_close(&tour->source, &view);
}

/* Frozen: the last delta, and both counts of what must have been in it. */
static void finish(struct tour *tour)
{
    struct suite *s = tour->s;
    const uint64_t epoch = tour->source.epoch;
    const uint64_t generation = tour->source.guard.generation;
    set_fence(&tour->source, (struct fh_fence){epoch, generation, FH_FENCE_OPEN},
              (struct fh_fence){epoch, generation, FH_FENCE_FROZEN});
    tour->source.guard.modes = FH_FENCE_BIT(FH_FENCE_FROZEN);
    assert_code(
        suite_write(s, &tour->app.tenant, suite_author(s, FH_WRITE_UPSERT, 1, "late"), NULL),
        FH_MOVED);
    (void)suite_count(s, &tour->app.tenant, &model_authors); /* reads go on */
    catch_up(tour);
    struct fh_op_tally end = mover_tally(&tour->source, NULL, tour->base.cursor);
    assert_int_equal(end.count - tour->start.count, tour->records);
    assert_int_equal(end.seq_sum - tour->start.seq_sum, tour->seq_sum);
    mover_close(&tour->source, &tour->base);
    struct fh_error error = FH_ERROR_INIT;
    AT_TARGET(tour, assert_code(mover_try_references(&tour->target, &error), FH_OK));
    set_fence(&tour->source, (struct fh_fence){epoch, generation, FH_FENCE_FROZEN},
              (struct fh_fence){epoch, generation, FH_FENCE_CLOSED});
    tour->source.guard.modes = FH_FENCE_BIT(FH_FENCE_CLOSED);
}

static void compare(struct tour *tour)
{
    struct rows rows = mover_rows(&tour->source, NULL, 50);
    struct journal journal = mover_journal(&tour->source, NULL, 50);
    assert_true(rows.count > 0 && journal.count > tour->records);
    struct rows there;
    struct journal recorded;
    AT_TARGET(tour, there = mover_rows(&tour->target, NULL, 60));
    AT_TARGET(tour, recorded = mover_journal(&tour->target, NULL, 60));
    assert_same_rows_all(&there, &rows);
    assert_same_journal(&recorded, &journal);
}

static void open_target(struct tour *tour)
{
    const uint64_t epoch = tour->target.epoch;
    const uint64_t generation = tour->target.guard.generation;
    AT_TARGET(tour,
              set_fence(&tour->target, (struct fh_fence){epoch, generation, FH_FENCE_INCOMING},
                        (struct fh_fence){epoch, generation, FH_FENCE_OPEN}));
}

static struct fh_op_commit known_commit(struct suite *s, const char *id)
{
    struct fh_op_commit commit = {.writes = suite_author(s, FH_WRITE_UPSERT, 777, id),
                                  .count = 1,
                                  .request_id = fh_str_of(id),
                                  .actor = FH_STR("users/known")};
    memset(commit.request_hash, 0x77, sizeof(commit.request_hash));
    return commit;
}

/* Whoever comes with the old epoch learns where it is now, at both stores. */
static void check_stale(struct tour *tour)
{
    struct suite *s = tour->s;
    struct fh_request request = suite_request(s, FH_OP_COMMIT, &tour->app.tenant);
    request.scope.epoch = tour->source.epoch;
    request.as.commit.writes = suite_author(s, FH_WRITE_UPSERT, 1, "stale");
    request.as.commit.count = 1;
    assert_code(suite_run(s, &request), FH_MOVED);
    assert_int_equal(request.epoch_seen, tour->source.epoch);
    assert_int_equal(request.mode_seen, FH_FENCE_CLOSED);
    AT_TARGET(tour, {
        request.scope.home = suite_home(s, &tour->app.tenant);
        assert_code(suite_run(s, &request), FH_MOVED);
    });
    assert_int_equal(request.epoch_seen, tour->target.epoch);
    /* A mover that slept through it all. */
    struct fh_op_apply apply = {.state = FH_STR("stale")};
    AT_TARGET(tour, assert_code(mover_try_apply(&tour->target, &apply), FH_MOVED));
}

/* The target serves: what was asked before is answered again, what is new gets the new epoch. */
static void check_served(struct tour *tour, const struct fh_op_commit *known, const char *id)
{
    struct suite *s = tour->s;
    struct fh_op_events before = {.limit = FH_EVENTS_MAX};
    assert_code(suite_events(s, &tour->app.tenant, &before), FH_OK);
    struct fh_op_commit again = known_commit(s, id);
    again.writes = known->writes;
    assert_code(suite_commit(s, &tour->app.tenant, &again), FH_OK);
    assert_true(again.replayed);
    assert_int_equal(again.seq, known->seq);
    assert_true(fh_row_equal(again.rows[0], known->rows[0]));
    memset(again.request_hash, 0x78, sizeof(again.request_hash));
    assert_code(suite_commit(s, &tour->app.tenant, &again), FH_REQUEST_ID_REUSED);
    uint64_t commits = tour->app.commits;
    app_run(&tour->app, 30);
    struct fh_op_events after = {.limit = FH_EVENTS_MAX};
    assert_code(suite_events(s, &tour->app.tenant, &after), FH_OK);
    size_t fresh = (size_t)(tour->app.commits - commits);
    assert_true(fresh > 0);
    assert_int_equal(after.count, before.count + fresh);
    for (size_t i = 0; i < after.count; i++) {
        const struct fh_commit_record *record = &after.records[i];
        assert_int_equal(record->epoch == tour->target.epoch, i < fresh);
        if (i >= fresh) {
            assert_int_equal(record->epoch, before.records[i - fresh].epoch);
            assert_int_equal(record->seq, before.records[i - fresh].seq);
        }
        if (i > 0) {
            const struct fh_commit_record *newer = &after.records[i - 1];
            assert_true(newer->epoch > record->epoch ||
                        (newer->epoch == record->epoch && newer->seq > record->seq));
        }
    }
}

/* The new home's own cursors know nothing of what is brought, even behind the switch: history that
 * comes in the background. */
static void check_cursors(struct tour *tour)
{
    struct mover m = tour->target;
    m.guard.modes = FH_FENCE_BIT(FH_FENCE_OPEN);
    struct view before = mover_open(&m);
    tour->app.touched = (struct keys){.count = 0};
    const struct fh_op_tally start = mover_tally(&m, &before, before.cursor);
    app_run(&tour->app, 10);
    struct fh_journal_row late = {.tenant = m.tenant,
                                  .epoch = tour->source.epoch,
                                  .seq = 1000000,
                                  .schema_version = 1,
                                  .at_us = 1,
                                  .changes = FH_STR("[[\"p\",\"authors\",\"4711\"]]")};
    mover_apply(&m, (struct fh_op_apply){.journal = &late, .journal_count = 1});
    app_run(&tour->app, 10);
    struct view after = mover_open(&m);
    const struct fh_op_tally end = mover_tally(&m, &after, before.cursor);
    assert_int_equal(end.count - start.count, 20);
    struct delta delta = mover_delta(&m, &after, before.cursor, 6, 0);
    assert_int_equal(delta.journal.count, 20);
    assert_same_keys(&delta.keys, &tour->app.touched);
    mover_close(&m, &before);
    mover_close(&m, &after);
}

static void erase_source(struct tour *tour)
{
    struct suite *s = tour->s;
    struct fh_request erase = suite_request(s, FH_OP_HOME_ERASE, &tour->app.tenant);
    erase.scope.epoch = tour->source.epoch;
    erase.as.home.fence.generation = tour->source.guard.generation;
    assert_code(suite_run(s, &erase), FH_OK);
    /* A dedicated home goes as a whole: nobody counts. */
    assert_true(erase.as.home.rows_erased > 0 || s->tier != FH_TIER_SHARED);
    struct fh_op_size size;
    assert_code(mover_try_size(&tour->source, &size), FH_NO_TENANT);
}

/* From the store that requests go to, to the other, which they go to afterwards. */
static void move(struct tour *tour, uint64_t epoch, uint64_t generation, const char *id)
{
    struct suite *s = tour->s;
    struct fh_op_commit known = known_commit(s, id);
    assert_code(suite_commit(s, &tour->app.tenant, &known), FH_OK);
    prepare(tour, epoch, generation);
    copy_rows(tour);
    copy_history(tour);
    for (int round = 0; round < 4; round++) {
        app_run(&tour->app, draw(&tour->app.random) % 30);
        catch_up(tour);
    }
    app_run(&tour->app, 10);
    finish(tour);
    compare(tour);
    open_target(tour);
    check_stale(tour);
    suite_swap(s);
    s->epoch = epoch + 1;
    check_served(tour, &known, id);
    check_cursors(tour);
    suite_swap(s);
    erase_source(tour);
    suite_swap(s);
    assert_true(suite_count(s, &tour->app.tenant, &model_authors) > 0); /* it is not shared */
}

static void test_there_and_back(void **state)
{
    struct suite *s = *state;
    const struct mover b = mover_of(s, &s->b);
    struct tour tour = {.s = s, .app = app_of(s, &s->a, seed_of_run(51))};
    struct app neighbour = app_of(s, &s->b, tour.app.random + 1);
    app_run(&tour.app, 60);
    app_run(&neighbour, 30);
    struct rows rows = mover_rows(&b, NULL, 100);
    struct journal journal = mover_journal(&b, NULL, 100);
    suite_open_other(s);
    move(&tour, 1, 2, "first");
    assert_code(suite_fence_read(s, &s->b, &(struct fh_fence){0}), FH_NO_TENANT);
    move(&tour, 2, 3, "second");
    /* The neighbour was never touched. */
    struct rows after = mover_rows(&b, NULL, 100);
    struct journal recorded = mover_journal(&b, NULL, 100);
    assert_same_rows_all(&after, &rows);
    assert_same_journal(&recorded, &journal);
    s->epoch = 1;
    app_run(&neighbour, 20);
}

/* From tier to tier of one store, and back: the tenant has two homes there meanwhile. */
static void test_between_tiers(void **state)
{
    struct suite *s = *state;
    const struct mover b = mover_of(s, &s->b);
    struct tour tour = {.s = s, .app = app_of(s, &s->a, seed_of_run(53))};
    struct app neighbour = app_of(s, &s->b, tour.app.random + 1);
    app_run(&tour.app, 60);
    app_run(&neighbour, 30);
    struct rows rows = mover_rows(&b, NULL, 100);
    uint64_t epoch = 1;
    for (enum fh_tier tier = FH_TIER_SHARED; tier <= FH_TIER_DATABASE; tier++) {
        if (tier == s->tier || !suite_offers(s, tier)) {
            continue;
        }
        s->other_tier = tier;
        if (tier == FH_TIER_SHARED) {
            AT_TARGET(&tour, suite_apply_schema(s, s->schema));
        }
        for (int way = 0; way < 2; way++, epoch++) {
            char id[16];
            (void)snprintf(id, sizeof(id), "move-%d", (int)epoch);
            move(&tour, epoch, epoch + 1, id);
        }
    }
    struct rows after = mover_rows(&b, NULL, 100);
    assert_same_rows_all(&after, &rows);
}

/* A mover calls off: the source opens again and nothing was lost; the target goes. */
static void test_called_off(void **state)
{
    struct suite *s = *state;
    struct tour tour = {.s = s, .app = app_of(s, &s->a, seed_of_run(52))};
    app_run(&tour.app, 60);
    suite_open_other(s);
    prepare(&tour, 1, 2);
    copy_rows(&tour);
    catch_up(&tour);
    set_fence(&tour.source, (struct fh_fence){1, 2, FH_FENCE_OPEN},
              (struct fh_fence){1, 2, FH_FENCE_FROZEN});
    struct rows rows = mover_rows(&tour.source, NULL, 100);
    /* Another takes over: generations first, then the fence's mode. */
    AT_TARGET(&tour, set_fence(&tour.target, (struct fh_fence){2, 2, FH_FENCE_INCOMING},
                               (struct fh_fence){2, 3, FH_FENCE_INCOMING}));
    set_fence(&tour.source, (struct fh_fence){1, 2, FH_FENCE_FROZEN},
              (struct fh_fence){1, 3, FH_FENCE_OPEN});
    struct fh_op_apply apply = {.state = FH_STR("asleep")};
    AT_TARGET(&tour, assert_code(mover_try_apply(&tour.target, &apply), FH_MOVED));
    struct view late;
    assert_code(mover_try_open(&tour.source, &late), FH_MOVED);
    struct fh_request erase = suite_request(s, FH_OP_HOME_ERASE, &s->a);
    erase.as.home.fence.generation = 2;
    AT_TARGET(&tour, assert_code(suite_run(s, &erase), FH_MOVED));
    erase.as.home.fence.generation = 3;
    AT_TARGET(&tour, assert_code(suite_run(s, &erase), FH_OK));
    tour.source.guard.generation = 3;
    struct rows after = mover_rows(&tour.source, NULL, 100);
    assert_same_rows_all(&after, &rows);
    mover_close(&tour.source, &tour.base);
    app_run(&tour.app, 20);
}

static const struct CMUnitTest tests[] = {
    SUITE_TEST(test_there_and_back),
    SUITE_TEST(test_between_tiers),
    SUITE_TEST(test_called_off),
};
SUITE_PART(suite_part_whole_moves, tests)
