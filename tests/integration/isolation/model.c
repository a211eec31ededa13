/* Happy path: a plan is drawn against what its slots hold, its outcome worked out at once, and
 * taken over when the store acknowledged it.
 *
 * Failures: a plan may be one that must be refused; several of its steps may be at fault, and then
 * any of their codes is right, for engines differ in the order in which they look.
 */
#include "tests/integration/isolation/model.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

uint64_t random_next(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t random_below(uint64_t *state, uint64_t bound)
{
    return random_next(state) % bound;
}

bool random_percent(uint64_t *state, unsigned percent)
{
    return random_below(state, 100) < percent;
}

/* What `step` makes of `record`. */
static enum fh_code evaluate(const struct step *step, struct record *record)
{
    enum presence was = record->presence;
    switch (step->op) {
    case FH_WRITE_INSERT:
        if (was != ABSENT) {
            return FH_EXISTS;
        }
        break;
    case FH_WRITE_UPSERT:
        break;
    case FH_WRITE_UPDATE:
    case FH_WRITE_DELETE:
        if (was != LIVE) {
            return FH_NOT_FOUND;
        }
        break;
    case FH_WRITE_UNDELETE:
        if (was != DELETED) {
            return was == LIVE ? FH_EXISTS : FH_NOT_FOUND;
        }
        break;
    case FH_WRITE_PURGE:
        if (was == ABSENT) {
            return FH_NOT_FOUND;
        }
        *record = (struct record){.presence = ABSENT};
        return FH_OK;
    }
    record->presence = step->op == FH_WRITE_DELETE ? DELETED : LIVE;
    record->version++;
    if (step->op == FH_WRITE_INSERT || step->op == FH_WRITE_UPSERT) {
        record->hits = 0;
        record->body = step->body;
    } else if (step->op == FH_WRITE_UPDATE) {
        record->hits += step->add;
        record->body = step->body;
    }
    return FH_OK;
}

static void work_out(struct plan *plan, const struct chaos_tenant *tenant)
{
    struct record records[SLOTS][SLOT_RECORDS];
    uint64_t failures = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        memcpy(records[i], tenant->slots[i].records, sizeof(records[i]));
    }
    for (size_t i = 0; i < plan->count; i++) {
        const struct step *step = &plan->steps[i];
        struct record *record = &records[step->slot][step->record];
        enum fh_code code = evaluate(step, record);
        if (code != FH_OK) {
            failures |= UINT64_C(1) << code;
        }
        plan->after[i] = *record;
    }
    for (size_t i = 0; i < SLOTS; i++) {
        bool referenced = records[i][1].presence == LIVE || records[i][2].presence == LIVE;
        if (referenced && records[i][0].presence != LIVE) {
            failures |= UINT64_C(1) << FH_REFERENCE_VIOLATION;
        }
    }
    plan->codes = failures != 0 ? failures : UINT64_C(1) << FH_OK;
}

/* Mostly what can be done to the record as it is. */
static enum fh_write_op draw_op(const struct record *record, uint64_t *random)
{
    static const enum fh_write_op any[] = {FH_WRITE_INSERT, FH_WRITE_UPSERT,   FH_WRITE_UPDATE,
                                           FH_WRITE_DELETE, FH_WRITE_UNDELETE, FH_WRITE_PURGE};
    static const enum fh_write_op of_live[] = {FH_WRITE_UPDATE, FH_WRITE_UPDATE, FH_WRITE_UPDATE,
                                               FH_WRITE_UPSERT, FH_WRITE_DELETE, FH_WRITE_PURGE};
    static const enum fh_write_op of_deleted[] = {FH_WRITE_UNDELETE, FH_WRITE_UNDELETE,
                                                  FH_WRITE_UPSERT, FH_WRITE_PURGE};
    if (random_percent(random, 15)) {
        return any[random_below(random, sizeof(any) / sizeof(any[0]))];
    }
    if (record->presence == LIVE) {
        return of_live[random_below(random, sizeof(of_live) / sizeof(of_live[0]))];
    }
    if (record->presence == DELETED) {
        return of_deleted[random_below(random, sizeof(of_deleted) / sizeof(of_deleted[0]))];
    }
    return random_percent(random, 70) ? FH_WRITE_INSERT : FH_WRITE_UPSERT;
}

static bool names(const struct plan *plan, size_t slot, size_t record)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->steps[i].slot == slot && plan->steps[i].record == record) {
            return true;
        }
    }
    return false;
}

static bool holds_slot(const struct plan *plan, size_t slot)
{
    for (size_t i = 0; i < SLOT_RECORDS; i++) {
        if (names(plan, slot, i)) {
            return true;
        }
    }
    return false;
}

static void draw_step(struct plan *plan, struct chaos_tenant *tenant, uint64_t *random)
{
    size_t at = random_below(random, SLOTS);
    size_t which = random_below(random, SLOT_RECORDS);
    struct slot *slot = &tenant->slots[at];
    if (slot->lost || (slot->busy && !holds_slot(plan, at)) || names(plan, at, which)) {
        return;
    }
    if (!slot->busy) {
        slot->busy = true;
        slot->touched++;
    }
    plan->steps[plan->count++] = (struct step){
        .slot = (uint8_t)at,
        .record = (uint8_t)which,
        .op = draw_op(&slot->records[which], random),
        .add = 1 + (int64_t)random_below(random, 9),
        .body = random_next(random),
    };
}

static uint32_t new_number(struct chaos_tenant *tenant)
{
    if (tenant->commit_count == tenant->commit_capacity) {
        uint32_t capacity = tenant->commit_capacity > 0 ? tenant->commit_capacity * 2 : 64;
        uint64_t *commits = fh_realloc(tenant->commits, capacity * sizeof(*commits));
        FH_ASSERT(commits != NULL);
        tenant->commits = commits;
        tenant->commit_capacity = capacity;
    }
    tenant->commits[tenant->commit_count] = COMMIT_PENDING;
    return tenant->commit_count++;
}

bool plan_draw(struct plan *plan, struct chaos_tenant *tenant, size_t steps, uint64_t *random)
{
    FH_ASSERT(steps >= 1 && steps <= PLAN_STEPS_MAX);
    memset(plan, 0, sizeof(*plan));
    for (size_t tries = 0; tries < 4 * steps && plan->count < steps; tries++) {
        draw_step(plan, tenant, random);
    }
    if (plan->count == 0) {
        return false;
    }
    plan->number = new_number(tenant);
    work_out(plan, tenant);
    return true;
}

static void leave_slots(const struct plan *plan, struct chaos_tenant *tenant)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct slot *slot = &tenant->slots[plan->steps[i].slot];
        if (slot->busy) {
            slot->busy = false;
            slot->touched++;
        }
    }
}

void plan_settle(const struct plan *plan, struct chaos_tenant *tenant, bool acknowledged)
{
    leave_slots(plan, tenant);
    if (!acknowledged || plan->validate_only) {
        tenant->commits[plan->number] = COMMIT_REFUSED;
        return;
    }
    tenant->commits[plan->number] = plan->seq;
    for (size_t i = 0; i < plan->count; i++) {
        struct slot *slot = &tenant->slots[plan->steps[i].slot];
        slot->records[plan->steps[i].record] = plan->after[i];
        slot->last = *plan;
        slot->has_last = true;
    }
}

void plan_lose(const struct plan *plan, struct chaos_tenant *tenant)
{
    leave_slots(plan, tenant);
    for (size_t i = 0; i < plan->count; i++) {
        tenant->slots[plan->steps[i].slot].lost = true;
        tenant->slots[plan->steps[i].slot].has_last = false;
    }
}

void body_text(const struct chaos_tenant *tenant, uint64_t body, char out[BODY_BYTES_MAX])
{
    int padding = (int)(body % 97);
    (void)snprintf(
        out, BODY_BYTES_MAX, "%s:%016llx:%.*s", tenant->marker, (unsigned long long)body, padding,
        "................................................................................"
        "....................");
}
