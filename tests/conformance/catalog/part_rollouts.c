/* Rollouts: how they begin, who works on them, what is noted of homes, and what they refuse. */
#include <stdio.h>

#include "tests/conformance/catalog/suite.h"

static struct fh_migration_record migration_of(uint32_t version, const char *name)
{
    struct fh_migration_record migration = {
        .version = version, .name = fh_str_of(name), .sql = FH_STR("SELECT 1")};
    memset(migration.checksum, (int)version, sizeof(migration.checksum));
    return migration;
}

static struct fh_catalog_request creation(struct catalog_suite *s, uint32_t version,
                                          const struct fh_migration_record *migrations,
                                          size_t count)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_ROLLOUT_CREATE};
    request.audit.reason = FH_STR("weights");
    request.as.rollout_create.rollout.uuid = catalog_uuid(s);
    request.as.rollout_create.rollout.version = version;
    request.as.rollout_create.migrations = migrations;
    request.as.rollout_create.migration_count = count;
    return request;
}

/* To version 1, planned. */
static struct fh_rollout begin(struct catalog_suite *s)
{
    const struct fh_migration_record first = migration_of(1, "0001_a.sql");
    struct fh_catalog_request request = creation(s, 1, &first, 1);
    assert_code(catalog_run(s, &request), FH_OK);
    return request.as.rollout_create.rollout;
}

static struct fh_rollout rollout_of(struct catalog_suite *s, const struct fh_uuid *uuid)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_ROLLOUT_GET};
    request.as.rollout_get.uuid = *uuid;
    assert_code(catalog_run(s, &request), FH_OK);
    return request.as.rollout_get.rollout;
}

static enum fh_code claim(struct catalog_suite *s, struct fh_rollout *rollout)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_ROLLOUT_CLAIM};
    request.as.rollout_claim.uuid = rollout->uuid;
    request.as.rollout_claim.beat = rollout->beat;
    request.as.rollout_claim.worker = catalog_uuid(s);
    enum fh_code code = catalog_run(s, &request);
    if (code == FH_OK) {
        *rollout = request.as.rollout_claim.rollout;
        assert_true(fh_uuid_eq(&rollout->worker, &request.as.rollout_claim.worker));
    }
    return code;
}

static struct fh_catalog_request step(const struct fh_rollout *rollout, enum fh_rollout_phase to)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_ROLLOUT_ADVANCE};
    request.as.rollout_advance.uuid = rollout->uuid;
    request.as.rollout_advance.generation = rollout->generation;
    request.as.rollout_advance.from = rollout->phase;
    request.as.rollout_advance.to = to;
    return request;
}

static enum fh_code advance(struct catalog_suite *s, struct fh_rollout *rollout,
                            enum fh_rollout_phase to)
{
    struct fh_catalog_request request = step(rollout, to);
    enum fh_code code = catalog_run(s, &request);
    if (code == FH_OK) {
        *rollout = request.as.rollout_advance.rollout;
    }
    return code;
}

static enum fh_code wish(struct catalog_suite *s, struct fh_rollout *rollout,
                         enum fh_rollout_wish what)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_ROLLOUT_WISH};
    request.as.rollout_wish.uuid = rollout->uuid;
    request.as.rollout_wish.wish = what;
    enum fh_code code = catalog_run(s, &request);
    if (code == FH_OK) {
        *rollout = request.as.rollout_wish.rollout;
    }
    return code;
}

static struct catalog_events events_of(struct catalog_suite *s, const struct fh_uuid *uuid)
{
    char text[FH_UUID_TEXT_LEN + 1];
    char resource[64];
    fh_uuid_format(uuid, text);
    (void)snprintf(resource, sizeof(resource), "rollouts/%s", text);
    return catalog_events_of(s, resource);
}

static void assert_same(const struct fh_rollout *a, const struct fh_rollout *b)
{
    assert_true(fh_uuid_eq(&a->uuid, &b->uuid));
    assert_int_equal(a->version, b->version);
    assert_string_equal(fh_rollout_phase_name(a->phase), fh_rollout_phase_name(b->phase));
    assert_int_equal(a->wish, b->wish);
    assert_int_equal(a->generation, b->generation);
    assert_int_equal(a->beat, b->beat);
    assert_true(fh_uuid_eq(&a->worker, &b->worker));
    assert_memory_equal(&a->settings, &b->settings, sizeof(a->settings));
    assert_memory_equal(&a->progress, &b->progress, sizeof(a->progress));
    assert_true(fh_str_eq(a->message, b->message));
    assert_true(fh_str_eq(a->actor, b->actor));
    assert_true(fh_str_eq(a->reason, b->reason));
    assert_int_equal(a->created_at_us, b->created_at_us);
    assert_int_equal(a->updated_at_us, b->updated_at_us);
    assert_int_equal(a->finished_at_us, b->finished_at_us);
}

static void begins_with_its_migrations(void **state)
{
    struct catalog_suite *s = *state;
    const struct fh_migration_record migrations[] = {migration_of(1, "0001_a.sql"),
                                                     migration_of(2, "0002_b.sql")};
    struct fh_catalog_request made = creation(s, 2, migrations, 2);
    struct fh_rollout *rollout = &made.as.rollout_create.rollout;
    rollout->settings.canary_percent = 5;
    rollout->settings.canaries[0] = s->a;
    rollout->settings.canary_count = 1;
    rollout->settings.stop_after_canary = true;
    rollout->settings.failures_max = 3;
    assert_code(catalog_run(s, &made), FH_OK);
    assert_int_equal(rollout->version, 2);
    assert_int_equal(rollout->phase, FH_ROLLOUT_PLANNED);
    assert_int_equal(rollout->wish, FH_ROLLOUT_WISH_RUN);
    assert_int_equal(rollout->settings.concurrency, 4); /* zero means the default */
    assert_int_equal(rollout->settings.lock_timeout_ms, 1000);
    assert_true(fh_str_eq(rollout->actor, FH_STR("root@example")));
    assert_true(fh_str_eq(rollout->reason, FH_STR("weights")));
    const struct fh_uuid newest = {{0}};
    catalog_assert_told(s, FH_CATALOG_HINT_SCHEMA, &newest);
    catalog_reopen(s);
    struct fh_rollout got = rollout_of(s, &rollout->uuid);
    assert_same(&got, rollout);
    got = rollout_of(s, &newest);
    assert_same(&got, rollout);
    struct fh_catalog_request list = {.op = FH_CATALOG_MIGRATION_LIST};
    assert_code(catalog_run(s, &list), FH_OK);
    assert_int_equal(list.as.migrations.count, 2);
    assert_true(fh_str_eq(list.as.migrations.migrations[1].name, FH_STR("0002_b.sql")));
    assert_int_equal(events_of(s, &rollout->uuid).count, 1);
    assert_int_equal(catalog_events_of(s, "migrations/2").count, 1);
}

static void begins_wholly_or_not_at_all(void **state)
{
    struct catalog_suite *s = *state;
    const struct fh_migration_record same[] = {migration_of(1, "0001_a.sql"),
                                               migration_of(2, "0001_a.sql")};
    struct fh_catalog_request made = creation(s, 2, same, 2);
    assert_code(catalog_run(s, &made), FH_CONFLICT); /* one name twice */
    struct fh_catalog_request list = {.op = FH_CATALOG_MIGRATION_LIST};
    assert_code(catalog_run(s, &list), FH_OK);
    assert_int_equal(list.as.migrations.count, 0);
    const struct fh_uuid newest = {{0}};
    struct fh_catalog_request get = {.op = FH_CATALOG_ROLLOUT_GET};
    get.as.rollout_get.uuid = newest;
    assert_code(catalog_run(s, &get), FH_NOT_FOUND);
    made = creation(s, 2, &same[1], 1);
    assert_code(catalog_run(s, &made), FH_CONFLICT); /* a hole */
    made = creation(s, 3, same, 2);
    assert_code(catalog_run(s, &made), FH_INVALID);
    made = creation(s, 1, NULL, 0);
    assert_code(catalog_run(s, &made), FH_CONFLICT); /* no such version */
    made = creation(s, 1, same, 1);
    made.as.rollout_create.rollout.settings.concurrency = 65;
    assert_code(catalog_run(s, &made), FH_INVALID);
    made = creation(s, 1, same, 1);
    made.as.rollout_create.rollout.settings.stop_after_canary = true;
    assert_code(catalog_run(s, &made), FH_INVALID);
    made = creation(s, 1, same, 1);
    made.as.rollout_create.rollout.settings.canary_percent = 101;
    assert_code(catalog_run(s, &made), FH_INVALID);
    assert_int_equal(catalog_events_of(s, "migrations/1").count, 0);
}

/* Uuids are no order of rollouts: several are made in one millisecond, or by clocks that differ. */
static void knows_the_newest_without_clocks(void **state)
{
    struct catalog_suite *s = *state;
    const struct fh_uuid newest = {{0}};
    const struct fh_migration_record migrations[] = {migration_of(1, "0001_a.sql"),
                                                     migration_of(2, "0002_b.sql")};
    struct fh_rollout rollout = {.version = 0};
    for (uint32_t i = 0; i < 3; i++) { /* to 1, to 2, and to 2 again */
        struct fh_catalog_request made =
            creation(s, i < 2 ? i + 1 : 2, &migrations[i < 2 ? i : 0], i < 2 ? 1 : 0);
        memset(made.as.rollout_create.rollout.uuid.bytes, (int)(200 - i), 6);
        assert_code(catalog_run(s, &made), FH_OK);
        rollout = rollout_of(s, &newest);
        assert_true(fh_uuid_eq(&rollout.uuid, &made.as.rollout_create.rollout.uuid));
        if (i < 2) {
            assert_code(wish(s, &rollout, FH_ROLLOUT_WISH_CANCEL), FH_OK);
        }
    }
    assert_code(claim(s, &rollout), FH_OK);
    assert_code(advance(s, &rollout, FH_ROLLOUT_ROLLING), FH_OK);
    assert_code(advance(s, &rollout, FH_ROLLOUT_DONE), FH_OK);
    struct fh_rollout got = rollout_of(s, &newest);
    assert_same(&got, &rollout);
}

static void begins_one_at_a_time(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_rollout first = begin(s);
    const struct fh_migration_record second = migration_of(2, "0002_b.sql");
    struct fh_catalog_request made = creation(s, 2, &second, 1);
    assert_code(catalog_run(s, &made), FH_EXISTS);
    assert_same(&made.as.rollout_create.rollout, &first); /* that one is answered */
    assert_code(wish(s, &first, FH_ROLLOUT_WISH_CANCEL), FH_OK);
    assert_int_equal(first.phase, FH_ROLLOUT_CANCELLED);
    assert_true(first.finished_at_us > 0);
    made = creation(s, 2, &second, 1);
    assert_code(catalog_run(s, &made), FH_OK);
    struct fh_catalog_request list = {.op = FH_CATALOG_ROLLOUT_LIST};
    list.as.rollout_list.limit = 1;
    assert_code(catalog_run(s, &list), FH_OK);
    assert_int_equal(list.as.rollout_list.count, 1);
    assert_true(list.as.rollout_list.more);
    assert_int_equal(list.as.rollout_list.rollouts[0].version, 2); /* newest first */
    list.as.rollout_list.before = list.as.rollout_list.rollouts[0].uuid;
    assert_code(catalog_run(s, &list), FH_OK);
    assert_int_equal(list.as.rollout_list.count, 1);
    assert_false(list.as.rollout_list.more);
    assert_same(&list.as.rollout_list.rollouts[0], &first);
    list.as.rollout_list.before = (struct fh_uuid){{0}};
    list.as.rollout_list.limit = 10;
    list.as.rollout_list.unfinished = true;
    assert_code(catalog_run(s, &list), FH_OK);
    assert_int_equal(list.as.rollout_list.count, 1);
}

static void is_worked_on_by_who_claimed_it_last(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_rollout first = begin(s);
    struct fh_rollout other = first;
    assert_code(claim(s, &first), FH_OK);
    assert_int_equal(first.generation, 1);
    assert_code(claim(s, &other), FH_PRECONDITION); /* the beat went on */
    other = first;
    assert_code(claim(s, &other), FH_OK);
    assert_int_equal(other.generation, 2);
    assert_code(advance(s, &first, FH_ROLLOUT_ROLLING), FH_PRECONDITION);
    assert_code(advance(s, &other, FH_ROLLOUT_DONE), FH_INVALID);
    assert_code(advance(s, &other, FH_ROLLOUT_CANARY), FH_OK);
    catalog_forget_hints(s);
    assert_code(advance(s, &other, FH_ROLLOUT_ROLLING), FH_OK);
    catalog_assert_told(s, FH_CATALOG_HINT_ROLLOUT, &other.uuid);
    assert_code(advance(s, &other, FH_ROLLOUT_ROLLING), FH_OK); /* a beat is no event */
    assert_code(advance(s, &other, FH_ROLLOUT_DONE), FH_OK);
    assert_true(other.finished_at_us > 0);
    assert_code(claim(s, &other), FH_PRECONDITION);
    assert_code(wish(s, &other, FH_ROLLOUT_WISH_CANCEL), FH_PRECONDITION);
    /* create, two claims, canary, rolling, done */
    struct catalog_events events = events_of(s, &other.uuid);
    assert_int_equal(events.count, 6);
    assert_true(fh_str_eq(events.events[5].action, FH_STR("rollout.done")));
    assert_true(fh_str_eq(events.events[5].reason, FH_STR("weights")));
    struct fh_uuid nothing = catalog_uuid(s);
    first.uuid = nothing;
    assert_code(claim(s, &first), FH_NOT_FOUND);
    assert_code(wish(s, &first, FH_ROLLOUT_WISH_PAUSE), FH_NOT_FOUND);
    assert_code(advance(s, &first, FH_ROLLOUT_ROLLING), FH_NOT_FOUND);
}

static void pauses_and_goes_on(void **state)
{
    struct catalog_suite *s = *state;
    const struct fh_uuid nobody = {{0}};
    struct fh_rollout rollout = begin(s);
    assert_code(claim(s, &rollout), FH_OK);
    assert_code(wish(s, &rollout, FH_ROLLOUT_WISH_PAUSE), FH_OK);
    assert_code(wish(s, &rollout, FH_ROLLOUT_WISH_PAUSE), FH_OK); /* said twice: no event */
    assert_int_equal(events_of(s, &rollout.uuid).count, 3);
    assert_code(wish(s, &rollout, FH_ROLLOUT_WISH_RUN), FH_OK);
    assert_true(fh_uuid_eq(&rollout.worker, &nobody)); /* for whoever comes first */
    struct fh_catalog_request request = step(&rollout, FH_ROLLOUT_ROLLING);
    request.as.rollout_advance.pause = true;
    request.as.rollout_advance.message = FH_STR("2 homes failed");
    assert_code(catalog_run(s, &request), FH_OK);
    rollout = request.as.rollout_advance.rollout;
    assert_int_equal(rollout.wish, FH_ROLLOUT_WISH_PAUSE);
    assert_true(fh_str_eq(rollout.message, FH_STR("2 homes failed")));
    struct catalog_events events = events_of(s, &rollout.uuid);
    assert_true(fh_str_eq(events.events[events.count - 1].action, FH_STR("rollout.pause")));
    assert_code(wish(s, &rollout, FH_ROLLOUT_WISH_RUN), FH_OK);
    assert_int_equal(rollout.message.len, 0);
    assert_code(wish(s, &rollout, FH_ROLLOUT_WISH_CANCEL), FH_OK);
    assert_code(wish(s, &rollout, FH_ROLLOUT_WISH_CANCEL), FH_OK);
    assert_code(wish(s, &rollout, FH_ROLLOUT_WISH_RUN), FH_PRECONDITION);
    assert_code(advance(s, &rollout, FH_ROLLOUT_ROLLING), FH_INVALID);
    rollout.phase = FH_ROLLOUT_ROLLING;
    assert_code(advance(s, &rollout, FH_ROLLOUT_ROLLING), FH_PRECONDITION);
}

static struct fh_rollout_home home_of(const struct fh_uuid *tenant, const char *store,
                                      enum fh_rollout_home_state what)
{
    struct fh_rollout_home home = {.state = what, .version = 1, .tries = 2};
    if (tenant == NULL) {
        home.home = (struct fh_home){.tier = FH_TIER_SHARED, .name = FH_HOME_SHARED};
    } else {
        home.tenant = *tenant;
        fh_home_of(FH_TIER_SCHEMA, tenant, &home.home);
    }
    (void)snprintf(home.store, sizeof(home.store), "%s", store);
    return home;
}

static struct fh_catalog_request homes_of(const struct fh_rollout *rollout, uint32_t states,
                                          size_t limit)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_ROLLOUT_HOMES};
    request.as.rollout_homes.uuid = rollout->uuid;
    request.as.rollout_homes.states = states;
    request.as.rollout_homes.limit = limit;
    return request;
}

static void notes_homes_and_counts_them(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_rollout rollout = begin(s);
    assert_code(claim(s, &rollout), FH_OK);
    struct fh_rollout_home notes[] = {
        home_of(NULL, "north", FH_ROLLOUT_HOME_PENDING),
        home_of(&s->a, "north", FH_ROLLOUT_HOME_FAILED),
        home_of(&s->b, "south", FH_ROLLOUT_HOME_APPLYING),
        home_of(&s->b, "south", FH_ROLLOUT_HOME_DONE), /* the later one counts */
        home_of(&s->b, "north", FH_ROLLOUT_HOME_GONE),
        home_of(NULL, "south", FH_ROLLOUT_HOME_WAITING),
    };
    notes[1].message = FH_STR("\"weight\" of a row is null\n");
    notes[1].canary = true;
    struct fh_catalog_request request = step(&rollout, FH_ROLLOUT_ROLLING);
    request.as.rollout_advance.notes = notes;
    request.as.rollout_advance.note_count = 6;
    request.as.rollout_advance.progress.homes_per_hour = 12;
    request.as.rollout_advance.progress.homes_done = 99; /* counted, not believed */
    assert_code(catalog_run(s, &request), FH_OK);
    rollout = request.as.rollout_advance.rollout;
    assert_int_equal(rollout.progress.homes_total, 4);
    assert_int_equal(rollout.progress.homes_done, 1);
    assert_int_equal(rollout.progress.homes_failed, 1);
    assert_int_equal(rollout.progress.homes_waiting, 1);
    assert_int_equal(rollout.progress.homes_per_hour, 12);
    catalog_reopen(s);
    struct fh_rollout got = rollout_of(s, &rollout.uuid);
    assert_same(&got, &rollout);

    struct fh_catalog_request page = homes_of(&rollout, 0, 3);
    assert_code(catalog_run(s, &page), FH_OK);
    assert_int_equal(page.as.rollout_homes.count, 3);
    assert_true(page.as.rollout_homes.more);
    const struct fh_rollout_home *shared = &page.as.rollout_homes.homes[0];
    assert_string_equal(shared->home.name, FH_HOME_SHARED); /* by store, then home */
    assert_true(fh_uuid_is_nil(&shared->tenant));
    const struct fh_rollout_home *last = &page.as.rollout_homes.homes[2];
    (void)snprintf(page.as.rollout_homes.after_store, FH_STORE_NAME_MAX + 1, "%s", last->store);
    (void)snprintf(page.as.rollout_homes.after_home, FH_HOME_NAME_MAX, "%s", last->home.name);
    assert_code(catalog_run(s, &page), FH_OK);
    assert_int_equal(page.as.rollout_homes.count, 2);
    assert_false(page.as.rollout_homes.more);

    page = homes_of(&rollout, 1u << FH_ROLLOUT_HOME_FAILED, 10);
    assert_code(catalog_run(s, &page), FH_OK);
    assert_int_equal(page.as.rollout_homes.count, 1);
    const struct fh_rollout_home *home = &page.as.rollout_homes.homes[0];
    assert_true(fh_uuid_eq(&home->tenant, &s->a));
    assert_int_equal(home->home.tier, FH_TIER_SCHEMA);
    assert_int_equal(home->version, 1);
    assert_int_equal(home->tries, 2);
    assert_true(home->canary);
    assert_true(fh_str_eq(home->message, notes[1].message));
    assert_true(home->updated_at_us > 0);
}

static void starts_over_but_for_what_is_done(void **state)
{
    struct catalog_suite *s = *state;
    struct fh_rollout rollout = begin(s);
    assert_code(claim(s, &rollout), FH_OK);
    struct fh_rollout_home notes[] = {home_of(&s->a, "north", FH_ROLLOUT_HOME_DONE),
                                      home_of(&s->b, "north", FH_ROLLOUT_HOME_FAILED)};
    struct fh_catalog_request request = step(&rollout, FH_ROLLOUT_ROLLING);
    request.as.rollout_advance.notes = notes;
    request.as.rollout_advance.note_count = 2;
    assert_code(catalog_run(s, &request), FH_OK);
    rollout = request.as.rollout_advance.rollout;
    notes[0].state = FH_ROLLOUT_HOME_PENDING;
    notes[1].state = FH_ROLLOUT_HOME_PENDING;
    request = step(&rollout, FH_ROLLOUT_ROLLING);
    request.as.rollout_advance.notes = notes;
    request.as.rollout_advance.note_count = 2;
    assert_code(catalog_run(s, &request), FH_OK);
    assert_int_equal(request.as.rollout_advance.rollout.progress.homes_done, 1);
    assert_int_equal(request.as.rollout_advance.rollout.progress.homes_failed, 0);
    struct fh_catalog_request bad = step(&rollout, FH_ROLLOUT_ROLLING);
    notes[1].store[0] = '\0';
    bad.as.rollout_advance.notes = notes;
    bad.as.rollout_advance.note_count = 2;
    assert_code(catalog_run(s, &bad), FH_INVALID);
    bad.as.rollout_advance.note_count = FH_ROLLOUT_NOTES_MAX + 1;
    assert_code(catalog_run(s, &bad), FH_INVALID);
    struct fh_rollout nothing = rollout;
    nothing.uuid = catalog_uuid(s);
    struct fh_catalog_request page = homes_of(&nothing, 0, 10);
    assert_code(catalog_run(s, &page), FH_NOT_FOUND);
    page = homes_of(&rollout, 0, 0);
    assert_code(catalog_run(s, &page), FH_INVALID);
}

static struct fh_catalog_request race[2];
static size_t racing;

static void raced_cb(struct fh_catalog_request *request)
{
    racing--;
    *(bool *)request->arg = racing == 0;
}

static void lets_one_of_two_creations_win(void **state)
{
    struct catalog_suite *s = *state;
    const struct fh_migration_record first = migration_of(1, "0001_a.sql");
    struct fh_arena beside; /* two threads may fill them at the same time */
    bool done = false;
    s->second = catalog_open(s);
    fh_arena_init(&beside, (size_t)1 << 20);
    racing = 2;
    for (size_t i = 0; i < 2; i++) {
        race[i] = creation(s, 1, &first, 1);
        catalog_prepare(s, &race[i]);
        race[i].done_cb = raced_cb;
        race[i].arg = &done;
    }
    race[1].arena = &beside;
    assert_code(fh_catalog_submit(s->catalog, &race[0]), FH_OK);
    assert_code(fh_catalog_submit(s->second, &race[1]), FH_OK);
    catalog_wait(s, &done);
    assert_true((race[0].code == FH_OK) != (race[1].code == FH_OK));
    enum fh_code lost = race[0].code == FH_OK ? race[1].code : race[0].code;
    assert_true(lost == FH_EXISTS || lost == FH_CONFLICT);
    fh_arena_close(&beside);
}

static const struct CMUnitTest tests[] = {
    CATALOG_WORLD_TEST(begins_with_its_migrations),
    CATALOG_TEST(begins_wholly_or_not_at_all),
    CATALOG_TEST(knows_the_newest_without_clocks),
    CATALOG_TEST(begins_one_at_a_time),
    CATALOG_TEST(is_worked_on_by_who_claimed_it_last),
    CATALOG_TEST(pauses_and_goes_on),
    CATALOG_WORLD_TEST(notes_homes_and_counts_them),
    CATALOG_WORLD_TEST(starts_over_but_for_what_is_done),
    CATALOG_TEST(lets_one_of_two_creations_win),
};

CATALOG_PART(catalog_part_rollouts, tests)
