/* Judges what comes back.
 *
 * A leak is anything of another tenant: a row's or a record's tenant, a marker in a value or in a
 * message, a replay of another's commit. A mismatch is an answer that the model does not allow: a
 * tenant's own unique values never meet, for one, so a violation is a mismatch, too.
 */
#include <stdio.h>
#include <string.h>

#include "tests/integration/isolation/client.h"

static bool bit(uint64_t codes, enum fh_code code)
{
    return (codes >> code & 1) != 0;
}

static bool says(const struct fh_value *value, const char *expected)
{
    return !value->is_null && fh_str_eq(value->as.bytes, fh_str_of(expected));
}

void check_own_row(struct world *world, const struct chaos_tenant *tenant, const struct fh_row *row)
{
    const struct fh_value *body = &row->values[COLUMN_BODY];
    world->stats.rows++;
    if (!fh_uuid_eq(&row->tenant, &tenant->uuid)) {
        world_leak(world, "%s: a row with another tenant's id", tenant->slug);
    }
    if (!says(&row->values[COLUMN_OWNER], tenant->marker)) {
        world_leak(world, "%s: a row with another owner", tenant->slug);
    }
    if (body->is_null || !fh_str_starts_with(body->as.bytes, fh_str_of(tenant->marker))) {
        world_leak(world, "%s: a row with another body", tenant->slug);
    }
}

void check_exact_row(struct world *world, const struct chaos_tenant *tenant, size_t slot,
                     size_t record, const struct record *expected, const struct fh_row *row)
{
    struct fh_key key;
    struct fh_key seen;
    char body[BODY_BYTES_MAX];
    if (row == NULL || expected->presence == ABSENT) {
        if ((row == NULL) != (expected->presence == ABSENT)) {
            world_mismatch(world, "%s: record %zu.%zu is %s", tenant->slug, slot, record,
                           row == NULL ? "missing" : "there");
        }
        return;
    }
    key_of(world, slot, record, &key);
    fh_key_of_row(row, &seen);
    body_text(tenant, expected->body, body);
    bool same = fh_key_compare(&key, &seen) == 0 && row->version == expected->version &&
                (row->deleted_at_us != 0) == (expected->presence == DELETED) &&
                row->values[COLUMN_HITS].as.integer == expected->hits &&
                says(&row->values[COLUMN_BODY], body);
    if (!same) {
        world_mismatch(world, "%s: record %zu.%zu is at version %lld, hits %lld, not %lld, %lld",
                       tenant->slug, slot, record, (long long)row->version,
                       (long long)row->values[COLUMN_HITS].as.integer, (long long)expected->version,
                       (long long)expected->hits);
    }
}

/* No writer came near the slot while the request was on its way. */
static bool is_steady(const struct client *client, size_t slot)
{
    return client->steady[slot] && client->touched[slot] == client->tenant->slots[slot].touched;
}

static struct record visible(const struct record *record, bool show_deleted)
{
    struct record seen = *record;
    if (seen.presence == DELETED && !show_deleted) {
        seen.presence = ABSENT;
    }
    return seen;
}

static void check_get(struct client *client)
{
    const struct fh_op_get *get = &client->routed.request.as.get;
    for (size_t i = 0; i < get->count; i++) {
        const struct fh_row *row = get->rows[i];
        size_t slot = client->key_slots[i] / SLOT_RECORDS;
        size_t at = client->key_slots[i] % SLOT_RECORDS;
        struct fh_key seen;
        if (row != NULL) {
            check_own_row(client->world, client->tenant, row);
            fh_key_of_row(row, &seen);
            if (fh_key_compare(&seen, &get->keys[i]) != 0) {
                world_mismatch(client->world, "%s: a get answers another key",
                               client->tenant->slug);
            }
        }
        if (is_steady(client, slot)) {
            struct record expected =
                visible(&client->tenant->slots[slot].records[at], get->show_deleted);
            check_exact_row(client->world, client->tenant, slot, at, &expected, row);
        }
    }
}

static const struct fh_row *find(const struct fh_op_list *list, const struct fh_key *key)
{
    for (size_t i = 0; i < list->count; i++) {
        struct fh_key seen;
        fh_key_of_row(list->rows[i], &seen);
        if (fh_key_compare(&seen, key) == 0) {
            return list->rows[i];
        }
    }
    return NULL;
}

/* Whether what is steady and within the page is on it as it should be. */
static void check_listed(struct client *client, size_t slot, size_t at)
{
    const struct fh_op_list *list = &client->routed.request.as.list;
    struct fh_key key;
    struct fh_key last;
    key_of(client->world, slot, at, &key);
    if (key.table != list->table || !is_steady(client, slot) ||
        (list->after != NULL && fh_key_compare(&key, list->after) <= 0)) {
        return;
    }
    if (list->more) {
        fh_key_of_row(list->rows[list->count - 1], &last);
        if (fh_key_compare(&key, &last) > 0) {
            return;
        }
    }
    struct record expected = visible(&client->tenant->slots[slot].records[at], list->show_deleted);
    check_exact_row(client->world, client->tenant, slot, at, &expected, find(list, &key));
}

static void check_list(struct client *client)
{
    const struct fh_op_list *list = &client->routed.request.as.list;
    struct fh_key before;
    bool in_order = list->count <= list->limit && (list->count > 0 || !list->more);
    if (list->after != NULL) {
        before = *list->after;
    }
    for (size_t i = 0; i < list->count; i++) {
        struct fh_key seen;
        check_own_row(client->world, client->tenant, list->rows[i]);
        fh_key_of_row(list->rows[i], &seen);
        if ((i > 0 || list->after != NULL) && fh_key_compare(&before, &seen) >= 0) {
            in_order = false;
        }
        before = seen;
    }
    if (!in_order) {
        world_mismatch(client->world, "%s: a list out of order", client->tenant->slug);
        return;
    }
    for (size_t i = 0; i < (size_t)SLOTS * SLOT_RECORDS; i++) {
        check_listed(client, i / SLOT_RECORDS, i % SLOT_RECORDS);
    }
}

bool number_of_request_id(struct fh_str request_id, uint32_t *out)
{
    long long number = -1;
    if (!fh_str_starts_with(request_id, FH_STR("r-"))) {
        return false;
    }
    struct fh_str digits = {.data = request_id.data + 2, .len = request_id.len - 2};
    if (!fh_str_to_int64(digits, &number) || number < 0 || number > UINT32_MAX) {
        return false;
    }
    *out = (uint32_t)number;
    return true;
}

void check_commit_record(struct world *world, const struct chaos_tenant *tenant,
                         const struct fh_commit_record *record)
{
    uint32_t number = 0;
    world->stats.records++;
    if (!fh_uuid_eq(&record->tenant, &tenant->uuid) ||
        !fh_str_eq(record->actor, fh_str_of(tenant->marker)) ||
        !fh_str_eq(record->address, fh_str_of(tenant->marker))) {
        world_leak(world, "%s: another tenant's commit record", tenant->slug);
    }
    for (size_t i = 0; i < record->change_count; i++) {
        const struct fh_row *images[] = {record->changes[i].before, record->changes[i].after};
        for (size_t k = 0; k < 2; k++) {
            if (images[k] != NULL) {
                check_own_row(world, tenant, images[k]);
            }
        }
    }
    if (!number_of_request_id(record->request_id, &number) || number >= tenant->commit_count) {
        world_mismatch(world, "%s: a record of no commit", tenant->slug);
        return;
    }
    uint64_t seq = tenant->commits[number];
    if (seq != COMMIT_PENDING && seq != record->seq) {
        world_mismatch(world, "%s: commit %u is recorded at %llu, answered as %llu", tenant->slug,
                       number, (unsigned long long)record->seq, (unsigned long long)seq);
    }
}

static void check_events(struct client *client)
{
    const struct fh_op_events *events = &client->routed.request.as.events;
    for (size_t i = 0; i < events->count; i++) {
        check_commit_record(client->world, client->tenant, &events->records[i]);
        if (i > 0 && events->records[i].seq >= events->records[i - 1].seq) {
            world_mismatch(client->world, "%s: records out of order", client->tenant->slug);
        }
    }
}

static void check_fence(struct client *client)
{
    const struct fh_fence *seen = &client->routed.request.as.fence.seen;
    if (seen->epoch != 1 || seen->mode != FH_FENCE_OPEN) {
        world_mismatch(client->world, "%s: the fence is at epoch %llu", client->tenant->slug,
                       (unsigned long long)seen->epoch);
    }
}

static void check_written_rows(struct client *client)
{
    const struct fh_op_commit *commit = &client->routed.request.as.commit;
    const struct plan *plan = &client->plan;
    for (size_t i = 0; i < plan->count; i++) {
        if (commit->rows[i] != NULL) {
            check_own_row(client->world, client->tenant, commit->rows[i]);
        }
        check_exact_row(client->world, client->tenant, plan->steps[i].slot, plan->steps[i].record,
                        &plan->after[i], commit->rows[i]);
    }
}

static void check_acknowledged(struct client *client)
{
    const struct fh_op_commit *commit = &client->routed.request.as.commit;
    struct chaos_stats *stats = &client->world->stats;
    check_written_rows(client);
    if (client->kind == REQUEST_REPLAY) {
        stats->replays++;
        if (!commit->replayed || commit->seq != client->plan.seq) {
            world_mismatch(client->world, "%s: commit %u was done again", client->tenant->slug,
                           client->plan.number);
        }
        return;
    }
    /* The first answer to a new request id is no replay, whatever other tenants called theirs. */
    if (commit->replayed && client->attempts == 0) {
        world_leak(client->world, "%s: a replay of what was never sent", client->tenant->slug);
    }
    stats->settled += client->was_unknown;
    stats->was_done += client->was_unknown && commit->replayed;
    client->plan.seq = commit->seq;
}

/* True: ask again. */
static bool check_commit(struct client *client, enum fh_code code)
{
    uint64_t right = client->plan.codes;
    if (client->kind == REQUEST_REUSE) {
        right = UINT64_C(1) << FH_REQUEST_ID_REUSED;
    }
    if (bit(client->run->retried, code) && !bit(right, code)) {
        client->was_unknown = client->was_unknown || code == FH_OUTCOME_UNKNOWN;
        /* What a layer stopped it will stop again: then not so often. */
        client->attempts += code == FH_FOREIGN_ROW ? ATTEMPTS_MAX / 10 : 1;
        client->world->stats.retries++;
        return true;
    }
    bool is_right = bit(right, code);
    if (!is_right) {
        world_mismatch(client->world, "%s: commit %u answers %s: %.60s", client->tenant->slug,
                       client->plan.number, fh_code_name(code),
                       client->routed.request.error.message);
    } else if (code == FH_OK) {
        check_acknowledged(client);
    }
    if (client->kind == REQUEST_COMMIT && is_right) {
        plan_settle(&client->plan, client->tenant, code == FH_OK);
    } else if (client->kind == REQUEST_COMMIT) {
        plan_lose(&client->plan, client->tenant);
    }
    return false;
}

static void check_read(struct client *client)
{
    switch (client->kind) {
    case REQUEST_GET:
        check_get(client);
        return;
    case REQUEST_LIST:
        check_list(client);
        return;
    case REQUEST_EVENTS:
        check_events(client);
        return;
    default:
        check_fence(client);
        return;
    }
}

bool client_check(struct client *client, enum fh_code code)
{
    struct world *world = client->world;
    const struct fh_error *error = &client->routed.request.error;
    world->stats.answers[code]++;
    if (strstr(error->message, MARKER_PREFIX) != NULL ||
        strstr(error->field, MARKER_PREFIX) != NULL) {
        world_leak(world, "%s: a value in an error", client->tenant->slug);
    }
    if (client->kind >= REQUEST_COMMIT) {
        return check_commit(client, code);
    }
    if (code == FH_OK) {
        check_read(client);
    } else if (!bit(client->run->read_failures, code)) {
        world_mismatch(world, "%s: a read answers %s: %.80s", client->tenant->slug,
                       fh_code_name(code), error->message);
    }
    return false;
}
