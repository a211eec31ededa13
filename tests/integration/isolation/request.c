/* Draws what a client does next and builds the request for it. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "tests/integration/isolation/client.h"

static const char *const slugs[SLOT_RECORDS] = {"", "left", "right"};

static struct fh_str copy(struct fh_arena *arena, const char *text)
{
    struct fh_str out;
    enum fh_code code = fh_arena_str(arena, fh_str_of(text), &out);
    FH_ASSERT(code == FH_OK);
    return out;
}

void key_of(const struct world *world, size_t slot, size_t record, struct fh_key *out)
{
    memset(out, 0, sizeof(*out));
    out->table = record == 0 ? world->items : world->notes;
    out->values[0] = (struct fh_value){.type = FH_TYPE_INT64, .as.integer = (int64_t)slot + 1};
    if (record > 0) {
        out->values[1] =
            (struct fh_value){.type = FH_TYPE_TEXT, .as.bytes = fh_str_of(slugs[record])};
    }
}

static bool draw_commit(struct client *client)
{
    struct world *world = client->world;
    size_t steps = random_percent(&world->random, 60) ? 1 : 2 + random_below(&world->random, 3);
    if (!plan_draw(&client->plan, client->tenant, steps, &world->random)) {
        return false;
    }
    client->plan.validate_only = random_percent(&world->random, 3);
    return true;
}

static bool draw_replay(struct client *client)
{
    const struct slot *slot = &client->tenant->slots[random_below(&client->world->random, SLOTS)];
    if (!slot->has_last || slot->lost) {
        return false;
    }
    client->plan = slot->last;
    return true;
}

static void draw_keys(struct client *client, size_t count)
{
    uint64_t *random = &client->world->random;
    client->key_count = count;
    for (size_t i = 0; i < count; i++) {
        size_t slot = random_below(random, SLOTS);
        size_t record = random_below(random, SLOT_RECORDS);
        client->key_slots[i] = (uint8_t)(slot * SLOT_RECORDS + record);
        key_of(client->world, slot, record, &client->keys[i]);
    }
}

void client_draw(struct client *client)
{
    struct world *world = client->world;
    const struct chaos_mix *mix = &client->run->mix;
    size_t tenant = random_below(&world->random, world->options.tenants);
    unsigned at = (unsigned)random_below(&world->random, 100);
    client->tenant = &client->store->tenants[tenant];
    client->attempts = 0;
    client->was_unknown = false;
    unsigned below = mix->commits;
    if (at < below && draw_commit(client)) {
        client->kind = REQUEST_COMMIT;
        return;
    }
    if (at >= below && at < below + mix->replays && draw_replay(client)) {
        client->kind = REQUEST_REPLAY;
        return;
    }
    below += mix->replays;
    if (at >= below && at < below + mix->reuses && draw_replay(client)) {
        client->kind = REQUEST_REUSE;
        return;
    }
    below += mix->reuses;
    if (at >= below && at < below + mix->lists) {
        client->kind = REQUEST_LIST;
        return;
    }
    below += mix->lists;
    if (at >= below && at < below + mix->events) {
        client->kind = REQUEST_EVENTS;
        return;
    }
    below += mix->events;
    if (at >= below && at < below + mix->fences) {
        client->kind = REQUEST_FENCE;
        return;
    }
    below += mix->fences;
    client->kind = REQUEST_GET;
    bool batch = at >= below && at < below + mix->batch_gets;
    draw_keys(client, batch ? 2 + random_below(&world->random, CLIENT_KEYS_MAX - 1) : 1);
}

static struct fh_assignment *assign(struct fh_write *write, struct fh_assignment *all,
                                    uint16_t column, struct fh_value value)
{
    struct fh_assignment *to = &all[write->assignment_count++];
    *to = (struct fh_assignment){.column = column, .transform = FH_TRANSFORM_SET, .value = value};
    return to;
}

static struct fh_value text(struct fh_arena *arena, const char *bytes)
{
    return (struct fh_value){.type = FH_TYPE_TEXT, .as.bytes = copy(arena, bytes)};
}

static void build_write(struct client *client, const struct step *step, struct fh_write *write)
{
    struct fh_arena *arena = &client->arena;
    struct fh_assignment *all = FH_ARENA_ARRAY(arena, struct fh_assignment, COLUMN_COUNT);
    char body[BODY_BYTES_MAX];
    char code[16];
    FH_ASSERT(all != NULL);
    write->op = step->op;
    write->assignments = all;
    key_of(client->world, step->slot, step->record, &write->key);
    if (step->op != FH_WRITE_INSERT && step->op != FH_WRITE_UPSERT && step->op != FH_WRITE_UPDATE) {
        return;
    }
    body_text(client->tenant, step->body, body);
    assign(write, all, COLUMN_BODY, text(arena, body));
    if (step->op == FH_WRITE_UPDATE) {
        struct fh_value add = {.type = FH_TYPE_INT64, .as.integer = step->add};
        assign(write, all, COLUMN_HITS, add)->transform = FH_TRANSFORM_INCREMENT;
        return;
    }
    assign(write, all, COLUMN_OWNER, text(arena, client->tenant->marker));
    if (step->record == 0) {
        (void)snprintf(code, sizeof(code), "code-%u", step->slot);
        assign(write, all, COLUMN_SECOND, text(arena, code));
    }
}

static void build_commit(struct client *client)
{
    struct fh_request *request = &client->routed.request;
    struct fh_arena *arena = &client->arena;
    const struct plan *plan = &client->plan;
    struct fh_write *writes = FH_ARENA_ARRAY(arena, struct fh_write, plan->count);
    char id[32];
    FH_ASSERT(writes != NULL);
    for (size_t i = 0; i < plan->count; i++) {
        build_write(client, &plan->steps[i], &writes[i]);
    }
    (void)snprintf(id, sizeof(id), "r-%u", plan->number);
    request->op = FH_OP_COMMIT;
    request->as.commit = (struct fh_op_commit){
        .writes = writes,
        .count = plan->count,
        .actor = copy(arena, client->tenant->marker),
        .address = copy(arena, client->tenant->marker),
        .validate_only = plan->validate_only,
    };
    /* The same in every tenant, hash included: a record of another tenant would be taken for the
     * answer. */
    if (!plan->validate_only) {
        request->as.commit.request_id = copy(arena, id);
    }
    memcpy(request->as.commit.request_hash, &plan->number, sizeof(plan->number));
    request->as.commit.request_hash[31] = client->kind == REQUEST_REUSE ? 1 : 0;
}

static void build_list(struct client *client)
{
    struct world *world = client->world;
    struct fh_op_list *list = &client->routed.request.as.list;
    bool notes = random_percent(&world->random, 50);
    client->routed.request.op = FH_OP_LIST;
    *list = (struct fh_op_list){
        .table = notes ? world->notes : world->items,
        .limit = random_percent(&world->random, 10) ? 150 : 1 + random_below(&world->random, 12),
        .show_deleted = random_percent(&world->random, 50)};
    client->after_at = -1;
    if (random_percent(&world->random, 50)) {
        size_t slot = random_below(&world->random, SLOTS);
        size_t record = notes ? 1 + random_below(&world->random, 2) : 0;
        client->after_at = (int)(slot * SLOT_RECORDS + record);
        key_of(world, slot, record, &client->after);
        list->after = &client->after;
    }
}

/* The tenant's, but for deliberate faults: those of whoever hands requests to the router, which no
 * layer below can know of. */
static struct fh_uuid scope_of(const struct client *client)
{
    struct world *world = client->world;
    uint32_t every = client->run->wrong_scope_every;
    if (every > 0 && ++world->built % every == 0) {
        size_t at = (size_t)(client->tenant - client->store->tenants);
        return client->store->tenants[(at + 1) % world->options.tenants].uuid;
    }
    return client->tenant->uuid;
}

void client_build(struct client *client)
{
    struct world *world = client->world;
    fh_arena_reset(&client->arena);
    memset(&client->routed.request, 0, sizeof(client->routed.request));
    struct fh_request *request = &client->routed.request;
    request->scope.tenant = scope_of(client);
    request->deadline_us = world_deadline(world);
    request->arena = &client->arena;
    switch (client->kind) {
    case REQUEST_GET:
        request->op = FH_OP_GET;
        request->as.get = (struct fh_op_get){.keys = client->keys,
                                             .count = client->key_count,
                                             .show_deleted = random_percent(&world->random, 50)};
        break;
    case REQUEST_LIST:
        build_list(client);
        break;
    case REQUEST_EVENTS:
        request->op = FH_OP_EVENTS;
        request->as.events.limit = 1 + random_below(&world->random, 20);
        break;
    case REQUEST_FENCE:
        request->op = FH_OP_FENCE_READ;
        break;
    case REQUEST_COMMIT:
    case REQUEST_REPLAY:
    case REQUEST_REUSE:
        build_commit(client);
        break;
    }
    for (size_t i = 0; i < SLOTS; i++) {
        const struct slot *slot = &client->tenant->slots[i];
        client->steady[i] = !slot->busy && !slot->lost;
        client->touched[i] = slot->touched;
    }
}
