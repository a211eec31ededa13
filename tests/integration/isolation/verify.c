/* Happy path: for each tenant both tables are listed and held against the model; then all its
 * commit records are read, newest first, and each record's images must form one unbroken chain that
 * ends in the row that is there: so nothing was done twice, nothing was lost, and nothing came from
 * anywhere else.
 *
 * Slots that were given up are held against the markers only.
 */
#include "tests/integration/isolation/client.h"

#include "base/assert.h"

#define PAGE 200

struct verification {
    struct world *world;
    struct chaos_tenant *tenant;
    const struct fh_row *image[SLOTS][SLOT_RECORDS]; /* as the next older record must leave it */
    uint32_t recorded;                               /* commits */
};

static void answered_cb(struct fh_routed *routed)
{
    ((struct world *)routed->arg)->done = true;
}

/* A request of the tenant by itself; it must succeed. */
static void ask(struct verification *v, struct fh_routed *routed)
{
    struct world *world = v->world;
    routed->request.scope.tenant = v->tenant->uuid;
    routed->request.deadline_us = world_deadline(world);
    routed->request.arena = &world->arena;
    routed->done_cb = answered_cb;
    routed->arg = world;
    enum fh_code code = fh_router_submit(world->router, routed);
    if (code == FH_OK) {
        world_wait(world);
        code = routed->code;
    }
    if (code != FH_OK) {
        fail_msg("%s: the verification is answered %s: %s", v->tenant->slug, fh_code_name(code),
                 routed->request.error.message);
    }
}

/* Where in the model a row belongs; false: nowhere. */
static bool place_of(const struct world *world, const struct fh_key *key, size_t *slot,
                     size_t *record)
{
    for (*slot = 0; *slot < SLOTS; ++*slot) {
        for (*record = 0; *record < SLOT_RECORDS; ++*record) {
            struct fh_key here;
            key_of(world, *slot, *record, &here);
            if (fh_key_compare(&here, key) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void take_rows(struct verification *v, const struct fh_table *table)
{
    struct fh_routed routed = {.request.op = FH_OP_LIST};
    routed.request.as.list =
        (struct fh_op_list){.table = table, .limit = FH_LIST_ROWS_MAX, .show_deleted = true};
    ask(v, &routed);
    const struct fh_op_list *list = &routed.request.as.list;
    for (size_t i = 0; i < list->count; i++) {
        struct fh_key key;
        size_t slot = 0;
        size_t record = 0;
        check_own_row(v->world, v->tenant, list->rows[i]);
        fh_key_of_row(list->rows[i], &key);
        if (place_of(v->world, &key, &slot, &record)) {
            v->image[slot][record] = list->rows[i];
        } else {
            world_mismatch(v->world, "%s: a row that nobody wrote", v->tenant->slug);
        }
    }
}

static void take_change(struct verification *v, const struct fh_change *change)
{
    size_t slot = 0;
    size_t record = 0;
    if (!place_of(v->world, &change->key, &slot, &record)) {
        world_mismatch(v->world, "%s: a change of what nobody wrote", v->tenant->slug);
        return;
    }
    const struct fh_row *image = v->image[slot][record];
    bool same = (image == NULL) == (change->after == NULL) &&
                (image == NULL || fh_row_equal(image, change->after));
    if (!same && !v->tenant->slots[slot].lost) {
        world_mismatch(v->world, "%s: the history of record %zu.%zu is broken", v->tenant->slug,
                       slot, record);
    }
    v->image[slot][record] = change->before;
}

static bool take_page(struct verification *v, uint64_t *epoch, uint64_t *seq)
{
    struct fh_routed routed = {.request.op = FH_OP_EVENTS};
    routed.request.as.events =
        (struct fh_op_events){.before_epoch = *epoch, .before_seq = *seq, .limit = PAGE};
    ask(v, &routed);
    const struct fh_op_events *events = &routed.request.as.events;
    for (size_t i = 0; i < events->count; i++) {
        const struct fh_commit_record *record = &events->records[i];
        uint32_t number = 0;
        check_commit_record(v->world, v->tenant, record);
        if (number_of_request_id(record->request_id, &number) && number < v->tenant->commit_count &&
            v->tenant->commits[number] == record->seq) {
            v->recorded++;
        }
        for (size_t k = 0; k < record->change_count; k++) {
            take_change(v, &record->changes[k]);
        }
        *epoch = record->epoch;
        *seq = record->seq;
    }
    return events->more;
}

static bool any_lost(const struct chaos_tenant *tenant)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (tenant->slots[i].lost) {
            return true;
        }
    }
    return false;
}

static void verify_tenant(struct world *world, struct chaos_tenant *tenant)
{
    struct verification v = {.world = world, .tenant = tenant};
    take_rows(&v, world->items);
    take_rows(&v, world->notes);
    for (size_t i = 0; i < (size_t)SLOTS * SLOT_RECORDS; i++) {
        const struct slot *slot = &tenant->slots[i / SLOT_RECORDS];
        assert_false(slot->busy);
        if (!slot->lost) {
            check_exact_row(world, tenant, i / SLOT_RECORDS, i % SLOT_RECORDS,
                            &slot->records[i % SLOT_RECORDS],
                            v.image[i / SLOT_RECORDS][i % SLOT_RECORDS]);
        }
    }
    uint64_t epoch = 0;
    uint64_t seq = 0;
    while (take_page(&v, &epoch, &seq)) {
    }
    uint32_t acknowledged = 0;
    for (uint32_t i = 0; i < tenant->commit_count; i++) {
        acknowledged +=
            tenant->commits[i] != COMMIT_PENDING && tenant->commits[i] != COMMIT_REFUSED;
    }
    if (acknowledged != v.recorded) {
        world_mismatch(world, "%s: %u commits were acknowledged, %u of them are recorded",
                       tenant->slug, acknowledged, v.recorded);
    }
    for (size_t i = 0; i < (size_t)SLOTS * SLOT_RECORDS; i++) {
        if (v.image[i / SLOT_RECORDS][i % SLOT_RECORDS] != NULL && !any_lost(tenant)) {
            world_mismatch(world, "%s: record %zu.%zu comes from nowhere", tenant->slug,
                           i / SLOT_RECORDS, i % SLOT_RECORDS);
        }
    }
    fh_arena_reset(&world->arena);
}

void chaos_verify(struct world *world)
{
    for (size_t i = 0; i < world->store_count; i++) {
        for (size_t k = 0; k < world->options.tenants; k++) {
            verify_tenant(world, &world->stores[i].tenants[k]);
        }
    }
}
