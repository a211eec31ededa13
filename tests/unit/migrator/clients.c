/* The clients: each owns some authors, has one commit in flight, and knows what it acknowledged. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/migrator/kit.h"

static uint64_t draw(struct kit *kit)
{
    kit->random = kit->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return kit->random >> 33;
}

static int64_t id_of(const struct kit_writer *writer, size_t key)
{
    return (int64_t)(writer->number * 100 + key + 1);
}

static void go(struct kit_writer *writer);

static void wrote_cb(struct fh_routed *routed)
{
    struct kit_writer *writer = routed->arg;
    struct kit *kit = writer->kit;
    int64_t took = fh_clock_monotonic_us(kit->env.clock) - writer->began_us;
    kit->longest_us = took > kit->longest_us ? took : kit->longest_us;
    writer->in_flight = false;
    if (routed->code != FH_OK) {
        kit->failed++;
        (void)fprintf(stderr, "a client's commit failed: %s: %s\n", fh_code_name(routed->code),
                      routed->request.error.message);
        return;
    }
    for (size_t i = 0; i < routed->request.as.commit.count; i++) {
        writer->keys[writer->indexes[i]] = writer->after[i];
    }
    kit->acknowledged++;
    if (!kit->stopping) {
        go(writer);
    }
}

static void set_text(struct fh_assignment *assignment, uint16_t column, const char *text)
{
    *assignment = (struct fh_assignment){.column = column, .value = text_value(text)};
}

static void upsert(struct kit_writer *writer, size_t which, size_t key, const char *email,
                   int64_t score)
{
    struct fh_assignment *assignments = writer->assignments[which];
    struct kit_key *after = &writer->after[which];
    *after = (struct kit_key){.live = true, .score = score};
    (void)snprintf(after->email, sizeof(after->email), "%s", email);
    set_text(&assignments[0], AUTHOR_NAME, "a name");
    set_text(&assignments[1], AUTHOR_EMAIL, after->email);
    assignments[2] =
        (struct fh_assignment){.column = AUTHOR_SCORE, .value = int_value(FH_TYPE_INT32, score)};
    writer->indexes[which] = key;
    writer->writes[which] = (struct fh_write){.op = FH_WRITE_UPSERT,
                                              .key = key_author(id_of(writer, key)),
                                              .assignments = assignments,
                                              .assignment_count = 3};
}

/* A write, or two that swap a unique value; each leads from what the client knows. */
static size_t choose(struct kit_writer *writer)
{
    struct kit *kit = writer->kit;
    size_t key = draw(kit) % KIT_KEYS;
    size_t other = draw(kit) % KIT_KEYS;
    struct kit_key *now = &writer->keys[key];
    writer->indexes[0] = key;
    writer->after[0] = *now;
    uint64_t kind = draw(kit) % 10;
    if (now->live && kind < 3) {
        writer->after[0].score++;
        writer->assignments[0][0] = (struct fh_assignment){.column = AUTHOR_SCORE,
                                                           .transform = FH_TRANSFORM_INCREMENT,
                                                           .value = int_value(FH_TYPE_INT32, 1)};
        writer->writes[0] = (struct fh_write){.op = FH_WRITE_UPDATE,
                                              .key = key_author(id_of(writer, key)),
                                              .assignments = writer->assignments[0],
                                              .assignment_count = 1};
        return 1;
    }
    if (now->live && kind < 5) {
        writer->after[0].live = false;
        writer->writes[0] = (struct fh_write){.op = kind == 3 ? FH_WRITE_DELETE : FH_WRITE_PURGE,
                                              .key = key_author(id_of(writer, key))};
        return 1;
    }
    if (now->live && writer->keys[other].live && key != other) {
        (void)snprintf(writer->emails[0], sizeof(writer->emails[0]), "%s",
                       writer->keys[other].email);
        (void)snprintf(writer->emails[1], sizeof(writer->emails[1]), "%s", now->email);
        upsert(writer, 0, key, writer->emails[0], now->score);
        upsert(writer, 1, other, writer->emails[1], writer->keys[other].score);
        return 2;
    }
    (void)snprintf(writer->emails[0], sizeof(writer->emails[0]), "w%u-%llu", writer->number,
                   (unsigned long long)writer->serial);
    upsert(writer, 0, key, writer->emails[0], (int64_t)(writer->serial % 1000));
    return 1;
}

static void go(struct kit_writer *writer)
{
    struct kit *kit = writer->kit;
    fh_arena_reset(&writer->arena);
    memset(&writer->routed, 0, sizeof(writer->routed));
    size_t count = choose(writer);
    struct fh_routed *routed = &writer->routed;
    (void)snprintf(writer->request_id, sizeof(writer->request_id), "w%u-%llu", writer->number,
                   (unsigned long long)writer->serial++);
    routed->done_cb = wrote_cb;
    routed->arg = writer;
    routed->request.op = FH_OP_COMMIT;
    routed->request.scope.tenant = kit->tenant;
    routed->request.scope.schema = &model_v1; /* a client's own, whatever the server has */
    routed->request.deadline_us = kit_deadline(kit);
    routed->request.arena = &writer->arena;
    routed->request.as.commit.writes = writer->writes;
    routed->request.as.commit.count = count;
    routed->request.as.commit.request_id = fh_str_of(writer->request_id);
    routed->request.as.commit.actor = FH_STR("client");
    writer->began_us = fh_clock_monotonic_us(kit->env.clock);
    writer->in_flight = true;
    struct fh_router *router = writer->number % 2 == 0 ? kit->other : kit->router;
    assert_int_equal(fh_router_submit(router, routed), FH_OK);
}

void kit_start_writers(struct kit *kit)
{
    kit->stopping = false;
    for (size_t i = 0; i < KIT_WRITERS; i++) {
        if (!kit->writers[i].in_flight) {
            go(&kit->writers[i]);
        }
    }
}

static bool all_quiet(const struct kit *kit)
{
    for (size_t i = 0; i < KIT_WRITERS; i++) {
        if (kit->writers[i].in_flight) {
            return false;
        }
    }
    return true;
}

void kit_stop_writers(struct kit *kit)
{
    kit->stopping = true;
    kit_turn_until(kit, all_quiet);
}

void kit_write(struct kit *kit, size_t commits)
{
    uint64_t until = kit->acknowledged + commits;
    kit_start_writers(kit);
    while (kit->acknowledged < until && kit->failed == 0) {
        uv_run(&kit->loop, UV_RUN_ONCE);
    }
    kit_stop_writers(kit);
}

struct batch {
    struct kit *kit;
    struct fh_write writes[FH_COMMIT_WRITES_MAX];
    struct fh_assignment assignments[FH_COMMIT_WRITES_MAX][2];
    char texts[FH_COMMIT_WRITES_MAX][32];
    size_t count;
    bool done;
    enum fh_code code;
};

static bool batch_wait; /* one at a time */

static void batch_cb(struct fh_routed *routed)
{
    struct batch *batch = routed->arg;
    batch->code = routed->code;
    batch_wait = false;
}

static bool batch_is_over(const struct kit *kit)
{
    (void)kit;
    return !batch_wait;
}

static void commit_batch(struct batch *batch)
{
    struct kit *kit = batch->kit;
    struct fh_routed routed = {.done_cb = batch_cb, .arg = batch};
    if (batch->count == 0) {
        return;
    }
    fh_arena_reset(&kit->arena);
    routed.request.op = FH_OP_COMMIT;
    routed.request.scope.tenant = kit->tenant;
    routed.request.deadline_us = kit_deadline(kit);
    routed.request.arena = &kit->arena;
    routed.request.as.commit.writes = batch->writes;
    routed.request.as.commit.count = batch->count;
    routed.request.as.commit.actor = FH_STR("loader");
    batch_wait = true;
    assert_int_equal(fh_router_submit(kit->router, &routed), FH_OK);
    kit_turn_until(kit, batch_is_over);
    assert_int_equal(batch->code, FH_OK);
    kit->acknowledged++;
    batch->count = 0;
}

static struct fh_write *add(struct batch *batch, struct fh_key key)
{
    if (batch->count == FH_COMMIT_WRITES_MAX) {
        commit_batch(batch);
    }
    size_t i = batch->count++;
    batch->writes[i] =
        (struct fh_write){.op = FH_WRITE_UPSERT, .key = key, .assignments = batch->assignments[i]};
    return &batch->writes[i];
}

static void give(struct batch *batch, struct fh_write *write, uint16_t column, const char *text)
{
    size_t i = (size_t)(write - batch->writes);
    (void)snprintf(batch->texts[i], sizeof(batch->texts[i]), "%s", text);
    set_text(&batch->assignments[i][write->assignment_count++], column, batch->texts[i]);
}

void kit_preload(struct kit *kit, size_t authors)
{
    struct batch *batch = calloc(1, sizeof(*batch)); /* NOLINT(fh-alloc): the test's own */
    assert_non_null(batch);
    batch->kit = kit;
    for (size_t i = 0; i < authors; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "author %zu", i);
        give(batch, add(batch, key_author((int64_t)(1000000 + i))), AUTHOR_NAME, name);
    }
    for (uint8_t i = 1; i <= 20; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "n%u", i);
        give(batch, add(batch, key_token(uuid_of(i, i))), TOKEN_TAG, text);
        give(batch, add(batch, key_code(i % 2 == 0 ? "eu" : "us", i)), CODE_LABEL, text);
        give(batch, add(batch, key_kind(i)), KIND_TEXT, text);
    }
    if (authors > 0) {
        give(batch, add(batch, key_book(1000000, "a-book")), BOOK_TITLE, "A book");
    }
    commit_batch(batch);
    free(batch); /* NOLINT(fh-alloc): the test's own */
}

void kit_purge(struct kit *kit)
{
    struct batch *batch = calloc(1, sizeof(*batch)); /* NOLINT(fh-alloc): the test's own */
    assert_non_null(batch);
    batch->kit = kit;
    for (int64_t id = 1000003; id < 1000008; id++) {
        add(batch, key_author(id))->op = FH_WRITE_PURGE;
    }
    commit_batch(batch);
    free(batch); /* NOLINT(fh-alloc): the test's own */
}

static bool key_is_right(struct kit *kit, size_t store, uint64_t epoch, struct kit_writer *writer,
                         size_t key)
{
    struct fh_key keys[1] = {key_author(id_of(writer, key))};
    struct fh_request request = {.op = FH_OP_GET, .scope = {.tenant = kit->tenant, .epoch = epoch}};
    request.as.get.keys = keys;
    request.as.get.count = 1;
    assert_int_equal(kit_ask_store(kit, store, &request), FH_OK);
    const struct fh_row *row = request.as.get.rows[0];
    const struct kit_key *known = &writer->keys[key];
    if (row == NULL || !known->live) {
        return row == NULL && !known->live;
    }
    return row->values[AUTHOR_SCORE].as.integer == known->score &&
           fh_str_eq(row->values[AUTHOR_EMAIL].as.bytes, fh_str_of(known->email));
}

static uint64_t count_records(struct kit *kit, size_t store, uint64_t epoch)
{
    struct fh_request request = {.op = FH_OP_SIZE,
                                 .scope = {.tenant = kit->tenant, .epoch = epoch}};
    request.as.size.guard = (struct fh_fence_guard){.modes = FH_FENCE_BIT(FH_FENCE_OPEN)};
    assert_int_equal(kit_ask_store(kit, store, &request), FH_OK);
    return request.as.size.records;
}

const char *kit_find_fault(struct kit *kit, size_t store, uint64_t epoch)
{
    struct fh_fence fence;
    if (kit->failed != 0) {
        return "requests failed";
    }
    if (kit_fence(kit, store, epoch, &fence) != FH_OK || fence.epoch != epoch ||
        fence.mode != FH_FENCE_OPEN) {
        return "the home is not open";
    }
    if (kit_fence(kit, 1 - store, epoch, &fence) != FH_NO_TENANT) {
        return "the other home is there still";
    }
    for (size_t i = 0; i < KIT_WRITERS; i++) {
        for (size_t key = 0; key < KIT_KEYS; key++) {
            if (!key_is_right(kit, store, epoch, &kit->writers[i], key)) {
                return "a row is not what was acknowledged";
            }
        }
    }
    if (count_records(kit, store, epoch) != kit->acknowledged) {
        return "there are not as many records as acknowledged commits";
    }
    struct fh_catalog_request get = {.op = FH_CATALOG_TENANT_GET};
    get.as.get.uuid = kit->tenant;
    assert_int_equal(kit_ask(kit, &get), FH_OK);
    const struct fh_placement *placement = &get.as.get.tenant.placement;
    bool placed = strcmp(placement->store, kit_store_name(kit, store)) == 0 &&
                  fh_home_equal(&placement->home, &kit->homes[store]) && placement->epoch == epoch;
    return placed ? NULL : "the catalog says otherwise";
}

void kit_check(struct kit *kit, size_t store, uint64_t epoch)
{
    const char *fault = kit_find_fault(kit, store, epoch);
    if (fault != NULL) {
        fail_msg("%s", fault);
    }
}
