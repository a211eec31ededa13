/* Happy path: one group locks and reads the rollout, the rule decides, groups write it back with
 * notes of homes and the event, and commit. A creation first writes the migrations it comes with.
 *
 * Failures: a rule that refuses answers the row as it is. Two creations at once meet in the unique
 * index of what is unfinished, or in that of the versions; the later is told what the first made.
 */
#include "router/catalog_pg/ops.h"
#include "router/rollout_rules.h"

static const struct fh_uuid newest_uuid = {
    {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};

static enum fh_code not_found(const struct fh_catalog_pg_txn *txn)
{
    return fh_error_set(&txn->request->error, FH_NOT_FOUND, "there is no such rollout");
}

static enum fh_code read_numbers(const PGresult *result, int row, struct fh_rollout *out)
{
    int64_t values[7] = {0};
    const struct {
        int column;
        int64_t min;
        int64_t max;
    } columns[7] = {
        {1, 1, UINT32_MAX},         {3, FH_ROLLOUT_WISH_RUN, FH_ROLLOUT_WISH_CANCEL},
        {4, 0, INT64_MAX},          {5, 0, INT64_MAX},
        {12, INT64_MIN, INT64_MAX}, {13, INT64_MIN, INT64_MAX},
        {14, INT64_MIN, INT64_MAX},
    };
    for (size_t i = 0; i < 7; i++) {
        enum fh_code code = fh_catalog_pg_int(result, row, columns[i].column, columns[i].min,
                                              columns[i].max, &values[i]);
        if (code != FH_OK) {
            return code;
        }
    }
    out->version = (uint32_t)values[0];
    out->wish = (enum fh_rollout_wish)values[1];
    out->generation = (uint64_t)values[2];
    out->beat = (uint64_t)values[3];
    out->created_at_us = values[4];
    out->updated_at_us = values[5];
    out->finished_at_us = values[6];
    return FH_OK;
}

static enum fh_code read_rollout(const PGresult *result, int row, struct fh_arena *arena,
                                 struct fh_rollout *out)
{
    struct fh_rollout rollout = {.phase = FH_ROLLOUT_NONE};
    struct fh_str settings;
    struct fh_str progress;
    char phase[32];
    if (read_numbers(result, row, &rollout) != FH_OK ||
        fh_catalog_pg_uuid(result, row, 0, &rollout.uuid) != FH_OK ||
        fh_catalog_pg_name(result, row, 2, phase, sizeof(phase)) != FH_OK ||
        fh_catalog_pg_uuid(result, row, 6, &rollout.worker) != FH_OK) {
        return FH_CORRUPT;
    }
    rollout.phase = fh_rollout_phase_of(fh_str_of(phase));
    if (rollout.phase == FH_ROLLOUT_NONE ||
        fh_rollout_is_finished(rollout.phase) != (rollout.finished_at_us != 0)) {
        return FH_CORRUPT;
    }
    struct fh_str *texts[] = {&settings, &progress, &rollout.message, &rollout.actor,
                              &rollout.reason};
    enum fh_code code = FH_OK;
    for (int i = 0; i < 5 && code == FH_OK; i++) {
        code = fh_catalog_pg_text(result, row, i + 7, arena, texts[i]);
    }
    if (code == FH_OK) {
        code = fh_rollout_settings_decode(settings, &rollout.settings);
    }
    if (code == FH_OK) {
        code = fh_rollout_progress_decode(progress, &rollout.progress);
    }
    if (code == FH_OK) {
        *out = rollout;
    }
    return code;
}

/* The one row of the group's i-th statement. */
static enum fh_code read_one(const struct fh_catalog_pg_txn *txn, size_t index,
                             struct fh_rollout *out)
{
    return fh_catalog_pg_unread(txn, read_rollout(fh_catalog_pg_link_result(txn->link, index), 0,
                                                  txn->request->arena, out));
}

static enum fh_code lock(const struct fh_catalog_pg_txn *txn, const struct fh_uuid *uuid,
                         struct fh_rollout *out)
{
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_BEGIN, NULL);
    fh_catalog_pg_by_uuid_add(txn, FH_CATALOG_PG_SQL_ROLLOUT_LOCK, uuid);
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code == FH_OK && fh_catalog_pg_rows(txn, 1) == 0) {
        return not_found(txn);
    }
    return code == FH_OK ? read_one(txn, 1, out) : code;
}

/* Texts of the caller's become the answer's. */
static enum fh_code own(const struct fh_catalog_pg_txn *txn, struct fh_rollout *rollout)
{
    struct fh_str *texts[] = {&rollout->message, &rollout->actor, &rollout->reason};
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < 3 && code == FH_OK; i++) {
        code = fh_arena_str(txn->request->arena, *texts[i], texts[i]);
    }
    return fh_catalog_pg_unread(txn, code);
}

static enum fh_code event_add(const struct fh_catalog_pg_txn *txn, const struct fh_rollout *rollout)
{
    char resource[FH_ROLLOUT_RESOURCE_SIZE];
    struct fh_str detail;
    fh_rollout_event_resource(&rollout->uuid, resource);
    enum fh_code code = fh_rollout_event_detail(rollout, txn->request->arena, &detail);
    if (code == FH_OK) {
        fh_catalog_pg_event_add(txn, fh_rollout_event_action(txn->request, rollout), resource,
                                detail);
    }
    return fh_catalog_pg_unread(txn, code);
}

/* The columns a rule may have changed, the event, and the commit. */
static enum fh_code store(const struct fh_catalog_pg_txn *txn, struct fh_rollout *rollout,
                          bool event)
{
    struct fh_catalog_pg_params params = {.count = 0};
    struct fh_str progress;
    enum fh_code code = own(txn, rollout);
    if (code == FH_OK) {
        code = fh_catalog_pg_unread(
            txn, fh_rollout_progress_encode(&rollout->progress, txn->request->arena, &progress));
    }
    if (code == FH_OK && event) {
        code = event_add(txn, rollout);
    }
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_pg_param_uuid(&params, &rollout->uuid);
    fh_catalog_pg_param_text(&params, fh_str_of(fh_rollout_phase_name(rollout->phase)));
    fh_catalog_pg_param_int(&params, rollout->wish);
    fh_catalog_pg_param_int(&params, (int64_t)rollout->generation);
    fh_catalog_pg_param_int(&params, (int64_t)rollout->beat);
    fh_catalog_pg_param_uuid(&params, &rollout->worker);
    fh_catalog_pg_param_text(&params, progress);
    fh_catalog_pg_param_text(&params, rollout->message);
    fh_catalog_pg_param_int(&params, rollout->updated_at_us);
    fh_catalog_pg_param_int(&params, rollout->finished_at_us);
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_ROLLOUT_UPDATE, &params);
    return fh_catalog_pg_commit(txn);
}

static enum fh_code insert_add(const struct fh_catalog_pg_txn *txn,
                               const struct fh_rollout *rollout)
{
    struct fh_catalog_pg_params params = {.count = 0};
    struct fh_arena *arena = txn->request->arena;
    struct fh_str settings;
    struct fh_str progress;
    enum fh_code code = fh_rollout_settings_encode(&rollout->settings, arena, &settings);
    if (code == FH_OK) {
        code = fh_rollout_progress_encode(&rollout->progress, arena, &progress);
    }
    if (code != FH_OK) {
        return fh_catalog_pg_unread(txn, code);
    }
    fh_catalog_pg_param_uuid(&params, &rollout->uuid);
    fh_catalog_pg_param_int(&params, rollout->version);
    fh_catalog_pg_param_text(&params, fh_str_of(fh_rollout_phase_name(rollout->phase)));
    fh_catalog_pg_param_int(&params, rollout->wish);
    fh_catalog_pg_param_int(&params, (int64_t)rollout->generation);
    fh_catalog_pg_param_int(&params, (int64_t)rollout->beat);
    fh_catalog_pg_param_uuid(&params, &rollout->worker);
    fh_catalog_pg_param_text(&params, settings);
    fh_catalog_pg_param_text(&params, progress);
    fh_catalog_pg_param_text(&params, rollout->message);
    fh_catalog_pg_param_text(&params, rollout->actor);
    fh_catalog_pg_param_text(&params, rollout->reason);
    fh_catalog_pg_param_int(&params, rollout->created_at_us);
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_ROLLOUT_INSERT, &params);
    return FH_OK;
}

/* Whether one is unfinished: then it is the answer. */
static enum fh_code none_unfinished(const struct fh_catalog_pg_txn *txn)
{
    struct fh_rollout *rollout = &txn->request->as.rollout_create.rollout;
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_ROLLOUT_UNFINISHED, NULL);
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code != FH_OK || fh_catalog_pg_rows(txn, 0) == 0) {
        return code;
    }
    code = read_one(txn, 0, rollout);
    return code == FH_OK ? fh_error_set(&txn->request->error, FH_EXISTS,
                                        "a rollout to version %u is under way", rollout->version)
                         : code;
}

enum fh_code fh_catalog_pg_rollout_create(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    struct fh_rollout *rollout = &request->as.rollout_create.rollout;
    uint32_t newest = 0;
    enum fh_code code = fh_catalog_pg_migration_newest(txn, &newest);
    if (code == FH_OK) {
        code = none_unfinished(txn);
    }
    if (code == FH_OK) {
        code = fh_rollout_rule_create(request, newest, txn->now_us);
    }
    if (code == FH_OK) {
        code = own(txn, rollout);
    }
    for (size_t i = 0; code == FH_OK && i < request->as.rollout_create.migration_count; i++) {
        code = fh_catalog_pg_migration_insert(txn, &request->as.rollout_create.migrations[i]);
        if (code == FH_OK) { /* its event, before the next one's statement is the group's first */
            code = fh_catalog_pg_run(txn);
        }
    }
    if (code == FH_OK) {
        code = insert_add(txn, rollout);
    }
    if (code == FH_OK) {
        code = fh_catalog_pg_run(txn);
    }
    if (code == FH_OK && fh_catalog_pg_rows(txn, 0) == 0) {
        code = none_unfinished(txn); /* made meanwhile */
        return code != FH_OK ? code
                             : fh_error_field(&request->error, FH_EXISTS, "uuid",
                                              "there is a rollout with this uuid");
    }
    if (code == FH_OK) {
        code = event_add(txn, rollout);
    }
    return code == FH_OK ? fh_catalog_pg_commit(txn) : code;
}

enum fh_code fh_catalog_pg_rollout_get(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    if (fh_uuid_is_nil(&request->as.rollout_get.uuid)) {
        fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_ROLLOUT_NEWEST, NULL);
    } else {
        fh_catalog_pg_by_uuid_add(txn, FH_CATALOG_PG_SQL_ROLLOUT_BY_UUID,
                                  &request->as.rollout_get.uuid);
    }
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code == FH_OK && fh_catalog_pg_rows(txn, 0) == 0) {
        return not_found(txn);
    }
    return code == FH_OK ? read_one(txn, 0, &request->as.rollout_get.rollout) : code;
}

enum fh_code fh_catalog_pg_rollout_list(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    size_t limit = request->as.rollout_list.limit;
    const struct fh_uuid *before = &request->as.rollout_list.before;
    struct fh_catalog_pg_params params = {.count = 0};
    request->as.rollout_list.rollouts = FH_ARENA_ARRAY(request->arena, struct fh_rollout, limit);
    if (request->as.rollout_list.rollouts == NULL) {
        return fh_catalog_pg_unread(txn, FH_TOO_LARGE);
    }
    request->as.rollout_list.count = 0; /* a read may be done twice */
    fh_catalog_pg_param_uuid(&params, fh_uuid_is_nil(before) ? &newest_uuid : before);
    fh_catalog_pg_param_int(&params, (int64_t)limit + 1);
    fh_catalog_pg_param_bool(&params, request->as.rollout_list.unfinished);
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_ROLLOUTS, &params);
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code != FH_OK) {
        return code;
    }
    size_t rows = (size_t)fh_catalog_pg_rows(txn, 0);
    request->as.rollout_list.more = rows > limit;
    for (size_t i = 0; i < rows && i < limit; i++) {
        code = read_rollout(fh_catalog_pg_link_result(txn->link, 0), (int)i, request->arena,
                            &request->as.rollout_list.rollouts[i]);
        if (code != FH_OK) {
            return fh_catalog_pg_unread(txn, code);
        }
        request->as.rollout_list.count++;
    }
    return FH_OK;
}

enum fh_code fh_catalog_pg_rollout_claim(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    struct fh_rollout *rollout = &request->as.rollout_claim.rollout;
    enum fh_code code = lock(txn, &request->as.rollout_claim.uuid, rollout);
    if (code == FH_OK) {
        code = fh_rollout_rule_claim(request, rollout, txn->now_us);
    }
    return code == FH_OK ? store(txn, rollout, true) : code;
}

/* Writes the notes and counts what is noted by now. */
static enum fh_code note(const struct fh_catalog_pg_txn *txn, struct fh_rollout *rollout)
{
    struct fh_catalog_request *request = txn->request;
    size_t count = request->as.rollout_advance.note_count;
    struct fh_catalog_pg_params params = {.count = 0};
    struct fh_str notes;
    int64_t counts[4] = {0};
    enum fh_code code =
        fh_rollout_notes_encode(request->as.rollout_advance.notes, count, request->arena, &notes);
    if (code != FH_OK) {
        return fh_catalog_pg_unread(txn, code);
    }
    if (count > 0) {
        fh_catalog_pg_param_uuid(&params, &rollout->uuid);
        fh_catalog_pg_param_text(&params, notes);
        fh_catalog_pg_param_int(&params, txn->now_us);
        fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_ROLLOUT_NOTE, &params);
    }
    fh_catalog_pg_by_uuid_add(txn, FH_CATALOG_PG_SQL_ROLLOUT_COUNT, &rollout->uuid);
    code = fh_catalog_pg_run(txn);
    for (int i = 0; i < 4 && code == FH_OK; i++) {
        code = fh_catalog_pg_unread(
            txn, fh_catalog_pg_int(fh_catalog_pg_link_result(txn->link, count > 0 ? 1 : 0), 0, i, 0,
                                   INT64_MAX, &counts[i]));
    }
    rollout->progress.homes_total = (uint64_t)counts[0];
    rollout->progress.homes_done = (uint64_t)counts[1];
    rollout->progress.homes_failed = (uint64_t)counts[2];
    rollout->progress.homes_waiting = (uint64_t)counts[3];
    return code;
}

enum fh_code fh_catalog_pg_rollout_advance(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    struct fh_rollout *rollout = &request->as.rollout_advance.rollout;
    bool event = false;
    enum fh_code code = lock(txn, &request->as.rollout_advance.uuid, rollout);
    if (code == FH_OK) {
        code = fh_rollout_rule_advance(request, rollout, txn->now_us, &event);
    }
    if (code == FH_OK) {
        code = note(txn, rollout);
    }
    return code == FH_OK ? store(txn, rollout, event) : code;
}

enum fh_code fh_catalog_pg_rollout_wish(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    struct fh_rollout *rollout = &request->as.rollout_wish.rollout;
    bool event = false;
    enum fh_code code = lock(txn, &request->as.rollout_wish.uuid, rollout);
    if (code == FH_OK) {
        code = fh_rollout_rule_wish(request, rollout, txn->now_us, &event);
    }
    return code == FH_OK && event ? store(txn, rollout, true) : code;
}

static enum fh_code read_home(const PGresult *result, int row, struct fh_arena *arena,
                              struct fh_rollout_home *out)
{
    char state[16];
    struct fh_str tenant;
    int64_t tier = 0;
    int64_t version = 0;
    int64_t tries = 0;
    *out = (struct fh_rollout_home){.state = FH_ROLLOUT_HOME_PENDING};
    if (fh_catalog_pg_name(result, row, 0, out->store, sizeof(out->store)) != FH_OK ||
        fh_catalog_pg_name(result, row, 1, out->home.name, sizeof(out->home.name)) != FH_OK ||
        fh_catalog_pg_int(result, row, 2, FH_TIER_SHARED, FH_TIER_DATABASE, &tier) != FH_OK ||
        fh_catalog_pg_name(result, row, 4, state, sizeof(state)) != FH_OK ||
        !fh_rollout_home_state_of(fh_str_of(state), &out->state) ||
        fh_catalog_pg_bool(result, row, 5, &out->canary) != FH_OK ||
        fh_catalog_pg_int(result, row, 6, 0, UINT32_MAX, &version) != FH_OK ||
        fh_catalog_pg_int(result, row, 7, 0, UINT32_MAX, &tries) != FH_OK ||
        fh_catalog_pg_int(result, row, 9, INT64_MIN, INT64_MAX, &out->updated_at_us) != FH_OK) {
        return FH_CORRUPT;
    }
    out->home.tier = (enum fh_tier)tier;
    out->version = (uint32_t)version;
    out->tries = (uint32_t)tries;
    enum fh_code code = fh_catalog_pg_text(result, row, 3, arena, &tenant);
    if (code == FH_OK && tenant.len > 0 && !fh_uuid_parse(tenant, &out->tenant)) {
        code = FH_CORRUPT;
    }
    return code == FH_OK ? fh_catalog_pg_text(result, row, 8, arena, &out->message) : code;
}

enum fh_code fh_catalog_pg_rollout_homes(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    size_t limit = request->as.rollout_homes.limit;
    struct fh_catalog_pg_params params = {.count = 0};
    request->as.rollout_homes.homes = FH_ARENA_ARRAY(request->arena, struct fh_rollout_home, limit);
    if (request->as.rollout_homes.homes == NULL) {
        return fh_catalog_pg_unread(txn, FH_TOO_LARGE);
    }
    request->as.rollout_homes.count = 0; /* a read may be done twice */
    fh_catalog_pg_by_uuid_add(txn, FH_CATALOG_PG_SQL_ROLLOUT_BY_UUID,
                              &request->as.rollout_homes.uuid);
    fh_catalog_pg_param_uuid(&params, &request->as.rollout_homes.uuid);
    fh_catalog_pg_param_text(&params, fh_str_of(request->as.rollout_homes.after_store));
    fh_catalog_pg_param_text(&params, fh_str_of(request->as.rollout_homes.after_home));
    fh_catalog_pg_param_int(&params, request->as.rollout_homes.states);
    fh_catalog_pg_param_int(&params, (int64_t)limit + 1);
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_ROLLOUT_HOMES, &params);
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code == FH_OK && fh_catalog_pg_rows(txn, 0) == 0) {
        return not_found(txn);
    }
    if (code != FH_OK) {
        return code;
    }
    size_t rows = (size_t)fh_catalog_pg_rows(txn, 1);
    request->as.rollout_homes.more = rows > limit;
    for (size_t i = 0; i < rows && i < limit; i++) {
        code = read_home(fh_catalog_pg_link_result(txn->link, 1), (int)i, request->arena,
                         &request->as.rollout_homes.homes[i]);
        if (code != FH_OK) {
            return fh_catalog_pg_unread(txn, code);
        }
        request->as.rollout_homes.count++;
    }
    return FH_OK;
}
