/* Happy path: read the rollout, let the rule decide, write it back with the event and with what is
 * noted of homes, and answer what is stored. The transaction holds the file's write lock.
 *
 * Notes travel as one JSON text into one statement, so that a batch costs one statement whatever
 * its size.
 */
#include "router/catalog_sqlite/ops.h"
#include "router/rollout_rules.h"

static const struct fh_uuid newest_uuid = {
    {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};

static enum fh_code failed(struct fh_catalog_request *request, enum fh_code code)
{
    switch (code) {
    case FH_CORRUPT:
        return fh_error_set(&request->error, code,
                            "the catalog's file holds a rollout that cannot be read: restore it "
                            "from a backup");
    case FH_TOO_LARGE:
        return fh_error_set(&request->error, code,
                            "the answer is too large; ask for a smaller page");
    default:
        return fh_error_set(&request->error, code, "%s", fh_code_text(code));
    }
}

/* The row the statement stands on. */
static enum fh_code read_rollout(sqlite3_stmt *statement, struct fh_arena *arena,
                                 struct fh_rollout *out)
{
    struct fh_rollout rollout = {.phase = FH_ROLLOUT_NONE};
    struct fh_str settings;
    struct fh_str progress;
    char phase[32];
    int64_t wish = sqlite3_column_int64(statement, 3);
    if (!fh_catalog_column_bytes(statement, 0, rollout.uuid.bytes, sizeof(rollout.uuid.bytes)) ||
        !fh_catalog_column_name(statement, 2, phase, sizeof(phase)) ||
        !fh_catalog_column_bytes(statement, 6, rollout.worker.bytes,
                                 sizeof(rollout.worker.bytes)) ||
        wish < FH_ROLLOUT_WISH_RUN || wish > FH_ROLLOUT_WISH_CANCEL) {
        return FH_CORRUPT;
    }
    rollout.version = (uint32_t)sqlite3_column_int64(statement, 1);
    rollout.phase = fh_rollout_phase_of(fh_str_of(phase));
    rollout.wish = (enum fh_rollout_wish)wish;
    rollout.generation = (uint64_t)sqlite3_column_int64(statement, 4);
    rollout.beat = (uint64_t)sqlite3_column_int64(statement, 5);
    rollout.created_at_us = sqlite3_column_int64(statement, 12);
    rollout.updated_at_us = sqlite3_column_int64(statement, 13);
    rollout.finished_at_us = sqlite3_column_int64(statement, 14);
    if (rollout.phase == FH_ROLLOUT_NONE ||
        fh_rollout_is_finished(rollout.phase) != (rollout.finished_at_us != 0)) {
        return FH_CORRUPT;
    }
    struct fh_str *texts[] = {&settings, &progress, &rollout.message, &rollout.actor,
                              &rollout.reason};
    enum fh_code code = FH_OK;
    for (int i = 0; i < 5 && code == FH_OK; i++) {
        code = fh_catalog_column_text(statement, i + 7, arena, texts[i]);
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

/* `uuid`: not looked at by a statement without one. */
static enum fh_code find(const struct fh_catalog_txn *txn, struct fh_catalog_request *request,
                         enum fh_catalog_statement which, const struct fh_uuid *uuid,
                         struct fh_rollout *out, bool *found)
{
    sqlite3_stmt *statement = NULL;
    *found = false;
    enum fh_code code = fh_catalog_db_get(txn->db, which, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    if (which == FH_CATALOG_SQL_ROLLOUT_BY_UUID) {
        fh_catalog_bind_uuid(statement, 1, uuid);
    }
    code = fh_catalog_db_step(txn->db, statement, found, &request->error);
    if (code == FH_OK && *found) {
        code = read_rollout(statement, request->arena, out);
        code = code == FH_OK ? FH_OK : failed(request, code);
    }
    fh_catalog_db_end(statement);
    return code;
}

/* The rollout, which must be there. */
static enum fh_code get(const struct fh_catalog_txn *txn, struct fh_catalog_request *request,
                        const struct fh_uuid *uuid, struct fh_rollout *out)
{
    bool found = false;
    enum fh_code code = fh_uuid_is_nil(uuid)
                            ? find(txn, request, FH_CATALOG_SQL_ROLLOUT_NEWEST, NULL, out, &found)
                            : find(txn, request, FH_CATALOG_SQL_ROLLOUT_BY_UUID, uuid, out, &found);
    return code == FH_OK && !found
               ? fh_error_set(&request->error, FH_NOT_FOUND, "there is no such rollout")
               : code;
}

static enum fh_code insert(const struct fh_catalog_txn *txn, struct fh_catalog_request *request)
{
    const struct fh_rollout *rollout = &request->as.rollout_create.rollout;
    sqlite3_stmt *statement = NULL;
    struct fh_str settings;
    struct fh_str progress;
    bool inserted = false;
    enum fh_code code = fh_rollout_settings_encode(&rollout->settings, request->arena, &settings);
    if (code == FH_OK) {
        code = fh_rollout_progress_encode(&rollout->progress, request->arena, &progress);
    }
    if (code != FH_OK) {
        return failed(request, code);
    }
    code = fh_catalog_db_get(txn->db, FH_CATALOG_SQL_ROLLOUT_INSERT, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_uuid(statement, 1, &rollout->uuid);
    fh_catalog_bind_int(statement, 2, rollout->version);
    fh_catalog_bind_text(statement, 3, fh_str_of(fh_rollout_phase_name(rollout->phase)));
    fh_catalog_bind_int(statement, 4, rollout->wish);
    fh_catalog_bind_int(statement, 5, (int64_t)rollout->generation);
    fh_catalog_bind_int(statement, 6, (int64_t)rollout->beat);
    fh_catalog_bind_uuid(statement, 7, &rollout->worker);
    fh_catalog_bind_text(statement, 8, settings);
    fh_catalog_bind_text(statement, 9, progress);
    fh_catalog_bind_text(statement, 10, rollout->message);
    fh_catalog_bind_text(statement, 11, rollout->actor);
    fh_catalog_bind_text(statement, 12, rollout->reason);
    fh_catalog_bind_int(statement, 13, rollout->created_at_us);
    code = fh_catalog_db_step(txn->db, statement, &inserted, &request->error);
    fh_catalog_db_end(statement);
    return code == FH_OK && !inserted ? fh_error_field(&request->error, FH_EXISTS, "uuid",
                                                       "there is a rollout with this uuid")
                                      : code;
}

static enum fh_code update(const struct fh_catalog_txn *txn, struct fh_catalog_request *request,
                           const struct fh_rollout *rollout)
{
    sqlite3_stmt *statement = NULL;
    struct fh_str progress;
    bool row = false;
    enum fh_code code = fh_rollout_progress_encode(&rollout->progress, request->arena, &progress);
    if (code != FH_OK) {
        return failed(request, code);
    }
    code = fh_catalog_db_get(txn->db, FH_CATALOG_SQL_ROLLOUT_UPDATE, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_uuid(statement, 1, &rollout->uuid);
    fh_catalog_bind_text(statement, 2, fh_str_of(fh_rollout_phase_name(rollout->phase)));
    fh_catalog_bind_int(statement, 3, rollout->wish);
    fh_catalog_bind_int(statement, 4, (int64_t)rollout->generation);
    fh_catalog_bind_int(statement, 5, (int64_t)rollout->beat);
    fh_catalog_bind_uuid(statement, 6, &rollout->worker);
    fh_catalog_bind_text(statement, 7, progress);
    fh_catalog_bind_text(statement, 8, rollout->message);
    fh_catalog_bind_int(statement, 9, rollout->updated_at_us);
    fh_catalog_bind_int(statement, 10, rollout->finished_at_us);
    code = fh_catalog_db_step(txn->db, statement, &row, &request->error);
    fh_catalog_db_end(statement);
    return code;
}

/* Tells the operators, and answers the rollout as it is stored, its texts in the request's arena.
 */
static enum fh_code tell(const struct fh_catalog_txn *txn, struct fh_catalog_request *request,
                         bool event, struct fh_rollout *rollout)
{
    char resource[FH_ROLLOUT_RESOURCE_SIZE];
    struct fh_str detail;
    struct fh_uuid uuid = rollout->uuid;
    enum fh_code code = FH_OK;
    if (event) {
        fh_rollout_event_resource(&uuid, resource);
        code = fh_rollout_event_detail(rollout, request->arena, &detail);
        code = code == FH_OK
                   ? fh_catalog_event(txn, request, fh_rollout_event_action(request, rollout),
                                      resource, detail.data)
                   : failed(request, code);
    }
    return code == FH_OK ? get(txn, request, &uuid, rollout) : code;
}

enum fh_code fh_catalog_rollout_create(const struct fh_catalog_txn *txn,
                                       struct fh_catalog_request *request)
{
    struct fh_rollout other;
    uint32_t newest = 0;
    bool found = false;
    enum fh_code code = find(txn, request, FH_CATALOG_SQL_ROLLOUT_UNFINISHED, NULL, &other, &found);
    if (code == FH_OK && found) {
        request->as.rollout_create.rollout = other;
        return fh_error_set(&request->error, FH_EXISTS, "a rollout to version %u is under way",
                            other.version);
    }
    if (code == FH_OK) {
        code = fh_catalog_migration_newest(txn, request, &newest);
    }
    if (code == FH_OK) {
        code = fh_rollout_rule_create(request, newest, txn->now_us);
    }
    for (size_t i = 0; code == FH_OK && i < request->as.rollout_create.migration_count; i++) {
        code = fh_catalog_migration_insert(txn, request, &request->as.rollout_create.migrations[i]);
    }
    if (code == FH_OK) {
        code = insert(txn, request);
    }
    return code == FH_OK ? tell(txn, request, true, &request->as.rollout_create.rollout) : code;
}

enum fh_code fh_catalog_rollout_get(const struct fh_catalog_txn *txn,
                                    struct fh_catalog_request *request)
{
    return get(txn, request, &request->as.rollout_get.uuid, &request->as.rollout_get.rollout);
}

enum fh_code fh_catalog_rollout_list(const struct fh_catalog_txn *txn,
                                     struct fh_catalog_request *request)
{
    size_t limit = request->as.rollout_list.limit;
    const struct fh_uuid *before = &request->as.rollout_list.before;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    request->as.rollout_list.rollouts = FH_ARENA_ARRAY(request->arena, struct fh_rollout, limit);
    if (request->as.rollout_list.rollouts == NULL) {
        return failed(request, FH_TOO_LARGE);
    }
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_ROLLOUTS, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_uuid(statement, 1, fh_uuid_is_nil(before) ? &newest_uuid : before);
    fh_catalog_bind_int(statement, 2, (int64_t)limit + 1);
    fh_catalog_bind_int(statement, 3, request->as.rollout_list.unfinished ? 1 : 0);
    while ((code = fh_catalog_db_step(txn->db, statement, &row, &request->error)) == FH_OK && row) {
        if (request->as.rollout_list.count == limit) {
            request->as.rollout_list.more = true;
            break;
        }
        code = read_rollout(statement, request->arena,
                            &request->as.rollout_list.rollouts[request->as.rollout_list.count]);
        if (code != FH_OK) {
            code = failed(request, code);
            break;
        }
        request->as.rollout_list.count++;
    }
    fh_catalog_db_end(statement);
    return code;
}

enum fh_code fh_catalog_rollout_claim(const struct fh_catalog_txn *txn,
                                      struct fh_catalog_request *request)
{
    struct fh_rollout *rollout = &request->as.rollout_claim.rollout;
    enum fh_code code = get(txn, request, &request->as.rollout_claim.uuid, rollout);
    if (code == FH_OK) {
        code = fh_rollout_rule_claim(request, rollout, txn->now_us);
    }
    if (code == FH_OK) {
        code = update(txn, request, rollout);
    }
    return code == FH_OK ? tell(txn, request, true, rollout) : code;
}

static enum fh_code note(const struct fh_catalog_txn *txn, struct fh_catalog_request *request,
                         const struct fh_uuid *rollout)
{
    sqlite3_stmt *statement = NULL;
    struct fh_str notes;
    bool row = false;
    enum fh_code code =
        fh_rollout_notes_encode(request->as.rollout_advance.notes,
                                request->as.rollout_advance.note_count, request->arena, &notes);
    if (code != FH_OK) {
        return failed(request, code);
    }
    code = fh_catalog_db_get(txn->db, FH_CATALOG_SQL_ROLLOUT_NOTE, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_uuid(statement, 1, rollout);
    fh_catalog_bind_text(statement, 2, notes);
    fh_catalog_bind_int(statement, 3, txn->now_us);
    code = fh_catalog_db_step(txn->db, statement, &row, &request->error);
    fh_catalog_db_end(statement);
    return code;
}

static enum fh_code count(const struct fh_catalog_txn *txn, struct fh_catalog_request *request,
                          struct fh_rollout *rollout)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_ROLLOUT_COUNT, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_uuid(statement, 1, &rollout->uuid);
    code = fh_catalog_db_step(txn->db, statement, &row, &request->error);
    if (code == FH_OK && row) {
        rollout->progress.homes_total = (uint64_t)sqlite3_column_int64(statement, 0);
        rollout->progress.homes_done = (uint64_t)sqlite3_column_int64(statement, 1);
        rollout->progress.homes_failed = (uint64_t)sqlite3_column_int64(statement, 2);
        rollout->progress.homes_waiting = (uint64_t)sqlite3_column_int64(statement, 3);
    }
    fh_catalog_db_end(statement);
    return code;
}

enum fh_code fh_catalog_rollout_advance(const struct fh_catalog_txn *txn,
                                        struct fh_catalog_request *request)
{
    struct fh_rollout *rollout = &request->as.rollout_advance.rollout;
    bool event = false;
    enum fh_code code = get(txn, request, &request->as.rollout_advance.uuid, rollout);
    if (code == FH_OK) {
        code = fh_rollout_rule_advance(request, rollout, txn->now_us, &event);
    }
    if (code == FH_OK && request->as.rollout_advance.note_count > 0) {
        code = note(txn, request, &rollout->uuid);
    }
    if (code == FH_OK) {
        code = count(txn, request, rollout);
    }
    if (code == FH_OK) {
        code = update(txn, request, rollout);
    }
    return code == FH_OK ? tell(txn, request, event, rollout) : code;
}

enum fh_code fh_catalog_rollout_wish(const struct fh_catalog_txn *txn,
                                     struct fh_catalog_request *request)
{
    struct fh_rollout *rollout = &request->as.rollout_wish.rollout;
    bool event = false;
    enum fh_code code = get(txn, request, &request->as.rollout_wish.uuid, rollout);
    if (code == FH_OK) {
        code = fh_rollout_rule_wish(request, rollout, txn->now_us, &event);
    }
    if (code == FH_OK && event) {
        code = update(txn, request, rollout);
    }
    return code == FH_OK && event ? tell(txn, request, true, rollout) : code;
}

static enum fh_code read_home(sqlite3_stmt *statement, struct fh_arena *arena,
                              struct fh_rollout_home *out)
{
    char tenant[FH_UUID_TEXT_LEN + 1] = "";
    char state[16];
    int64_t tier = sqlite3_column_int64(statement, 2);
    *out = (struct fh_rollout_home){.state = FH_ROLLOUT_HOME_PENDING};
    if (!fh_catalog_column_name(statement, 0, out->store, sizeof(out->store)) ||
        !fh_catalog_column_name(statement, 1, out->home.name, sizeof(out->home.name)) ||
        tier < FH_TIER_SHARED || tier > FH_TIER_DATABASE ||
        !fh_catalog_column_name(statement, 4, state, sizeof(state)) ||
        !fh_rollout_home_state_of(fh_str_of(state), &out->state)) {
        return FH_CORRUPT;
    }
    out->home.tier = (enum fh_tier)tier;
    if (sqlite3_column_bytes(statement, 3) > 0 &&
        (!fh_catalog_column_name(statement, 3, tenant, sizeof(tenant)) ||
         !fh_uuid_parse(fh_str_of(tenant), &out->tenant))) {
        return FH_CORRUPT;
    }
    out->canary = sqlite3_column_int64(statement, 5) != 0;
    out->version = (uint32_t)sqlite3_column_int64(statement, 6);
    out->tries = (uint32_t)sqlite3_column_int64(statement, 7);
    out->updated_at_us = sqlite3_column_int64(statement, 9);
    return fh_catalog_column_text(statement, 8, arena, &out->message);
}

static enum fh_code homes_page(const struct fh_catalog_txn *txn, struct fh_catalog_request *request)
{
    size_t limit = request->as.rollout_homes.limit;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_ROLLOUT_HOMES, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_uuid(statement, 1, &request->as.rollout_homes.uuid);
    fh_catalog_bind_text(statement, 2, fh_str_of(request->as.rollout_homes.after_store));
    fh_catalog_bind_text(statement, 3, fh_str_of(request->as.rollout_homes.after_home));
    fh_catalog_bind_int(statement, 4, request->as.rollout_homes.states);
    fh_catalog_bind_int(statement, 5, (int64_t)limit + 1);
    while ((code = fh_catalog_db_step(txn->db, statement, &row, &request->error)) == FH_OK && row) {
        if (request->as.rollout_homes.count == limit) {
            request->as.rollout_homes.more = true;
            break;
        }
        code = read_home(statement, request->arena,
                         &request->as.rollout_homes.homes[request->as.rollout_homes.count]);
        if (code != FH_OK) {
            code = failed(request, code);
            break;
        }
        request->as.rollout_homes.count++;
    }
    fh_catalog_db_end(statement);
    return code;
}

enum fh_code fh_catalog_rollout_homes(const struct fh_catalog_txn *txn,
                                      struct fh_catalog_request *request)
{
    struct fh_rollout rollout;
    enum fh_code code = get(txn, request, &request->as.rollout_homes.uuid, &rollout);
    if (code != FH_OK) {
        return code;
    }
    request->as.rollout_homes.homes =
        FH_ARENA_ARRAY(request->arena, struct fh_rollout_home, request->as.rollout_homes.limit);
    return request->as.rollout_homes.homes != NULL ? homes_page(txn, request)
                                                   : failed(request, FH_TOO_LARGE);
}
