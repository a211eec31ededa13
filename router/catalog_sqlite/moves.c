/* Happy path: read the move and the tenant's placement, let the rule decide, write both back with
 * the event, and answer what is stored. The transaction holds the file's write lock, so nothing
 * comes between the reading and the writing.
 *
 * Failures: a rule that refuses answers the rows as they are, which is what its caller needs to go
 * on; two creations for one tenant meet in the unique index even if both saw none unfinished.
 */
#include "router/catalog_sqlite/ops.h"
#include "router/move_rules.h"

static enum fh_code failed(struct fh_catalog_request *request, enum fh_code code)
{
    switch (code) {
    case FH_CORRUPT:
        return fh_error_set(&request->error, code,
                            "the catalog's file holds a move that cannot be read: restore it from "
                            "a backup");
    case FH_TOO_LARGE:
        return fh_error_set(&request->error, code,
                            "the answer is too large; ask for a smaller page");
    default:
        return fh_error_set(&request->error, code, "%s", fh_code_text(code));
    }
}

static bool is_tier(int64_t tier)
{
    return tier >= FH_TIER_SHARED && tier <= FH_TIER_DATABASE;
}

static bool read_places(sqlite3_stmt *statement, struct fh_move *out)
{
    int64_t source_tier = sqlite3_column_int64(statement, 3);
    int64_t target_tier = sqlite3_column_int64(statement, 8);
    out->source.home.tier = (enum fh_tier)source_tier;
    out->source.epoch = (uint64_t)sqlite3_column_int64(statement, 5);
    out->source.generation = (uint64_t)sqlite3_column_int64(statement, 6);
    out->target_home.tier = (enum fh_tier)target_tier;
    return is_tier(source_tier) && is_tier(target_tier) &&
           fh_catalog_column_name(statement, 2, out->source.store, sizeof(out->source.store)) &&
           fh_catalog_column_name(statement, 4, out->source.home.name,
                                  sizeof(out->source.home.name)) &&
           fh_catalog_column_name(statement, 7, out->target_store, sizeof(out->target_store)) &&
           fh_catalog_column_name(statement, 9, out->target_home.name,
                                  sizeof(out->target_home.name));
}

static bool read_fixed(sqlite3_stmt *statement, struct fh_move *out)
{
    char phase[32];
    int64_t wish = sqlite3_column_int64(statement, 11);
    if (!fh_catalog_column_name(statement, 10, phase, sizeof(phase)) || wish < FH_MOVE_WISH_RUN ||
        wish > FH_MOVE_WISH_CANCEL) {
        return false;
    }
    out->phase = fh_move_phase_of(fh_str_of(phase));
    out->wish = (enum fh_move_wish)wish;
    out->generation = (uint64_t)sqlite3_column_int64(statement, 12);
    out->beat = (uint64_t)sqlite3_column_int64(statement, 13);
    out->settings.max_pause_us = sqlite3_column_int64(statement, 15);
    out->settings.rows_per_second_max = (uint32_t)sqlite3_column_int64(statement, 16);
    out->settings.duty_percent = (uint32_t)sqlite3_column_int64(statement, 17);
    out->created_at_us = sqlite3_column_int64(statement, 22);
    out->updated_at_us = sqlite3_column_int64(statement, 23);
    out->finished_at_us = sqlite3_column_int64(statement, 24);
    return out->phase != FH_MOVE_NONE &&
           fh_move_is_finished(out->phase) == (out->finished_at_us != 0) &&
           fh_catalog_column_bytes(statement, 0, out->uuid.bytes, sizeof(out->uuid.bytes)) &&
           fh_catalog_column_bytes(statement, 1, out->tenant.bytes, sizeof(out->tenant.bytes)) &&
           fh_catalog_column_bytes(statement, 14, out->worker.bytes, sizeof(out->worker.bytes));
}

/* The row the statement stands on. */
static enum fh_code read_move(sqlite3_stmt *statement, struct fh_arena *arena, struct fh_move *out)
{
    struct fh_move move = {.phase = FH_MOVE_NONE};
    struct fh_str progress;
    if (!read_places(statement, &move) || !read_fixed(statement, &move)) {
        return FH_CORRUPT;
    }
    struct fh_str *texts[] = {&progress, &move.message, &move.actor, &move.reason};
    enum fh_code code = FH_OK;
    for (int i = 0; i < 4 && code == FH_OK; i++) {
        code = fh_catalog_column_text(statement, i + 18, arena, texts[i]);
    }
    if (code == FH_OK) {
        code = fh_move_progress_decode(progress, &move.progress);
    }
    if (code == FH_OK) {
        *out = move;
    }
    return code;
}

/* Steps a prepared and bound statement that gives one move at most, and ends it. */
static enum fh_code read_one(const struct fh_catalog_txn *txn, sqlite3_stmt *statement,
                             struct fh_catalog_request *request, struct fh_move *out, bool *found)
{
    enum fh_code code = fh_catalog_db_step(txn->db, statement, found, &request->error);
    if (code == FH_OK && *found) {
        code = read_move(statement, request->arena, out);
        code = code == FH_OK ? FH_OK : failed(request, code);
    }
    fh_catalog_db_end(statement);
    return code;
}

static enum fh_code find_by(const struct fh_catalog_txn *txn, struct fh_catalog_request *request,
                            enum fh_catalog_statement which, const struct fh_uuid *uuid,
                            struct fh_move *out, bool *found)
{
    sqlite3_stmt *statement = NULL;
    *found = false;
    enum fh_code code = fh_catalog_db_get(txn->db, which, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_uuid(statement, 1, uuid);
    return read_one(txn, statement, request, out, found);
}

enum fh_code fh_catalog_move_unfinished(const struct fh_catalog_txn *txn,
                                        struct fh_catalog_request *request,
                                        const struct fh_uuid *tenant, struct fh_move *out,
                                        bool *found)
{
    return find_by(txn, request, FH_CATALOG_SQL_MOVE_UNFINISHED_OF_TENANT, tenant, out, found);
}

/* The move, which must be there. */
static enum fh_code get(const struct fh_catalog_txn *txn, struct fh_catalog_request *request,
                        const struct fh_uuid *uuid, struct fh_move *out)
{
    bool found = false;
    enum fh_code code = find_by(txn, request, FH_CATALOG_SQL_MOVE_BY_UUID, uuid, out, &found);
    return code == FH_OK && !found
               ? fh_error_set(&request->error, FH_NOT_FOUND, "there is no such move")
               : code;
}

/* The move and where its tenant lives now. */
static enum fh_code get_both(const struct fh_catalog_txn *txn, struct fh_catalog_request *request,
                             const struct fh_uuid *uuid, struct fh_move *move,
                             struct fh_placement *placement)
{
    struct fh_tenant tenant;
    bool found = false;
    enum fh_code code = get(txn, request, uuid, move);
    if (code == FH_OK) {
        code = fh_catalog_tenant_find(txn, request, &move->tenant, &tenant, &found);
    }
    if (code == FH_OK && !found) {
        code = failed(request, FH_CORRUPT);
    }
    if (code == FH_OK) {
        *placement = tenant.placement;
    }
    return code;
}

static enum fh_code insert_move(const struct fh_catalog_txn *txn,
                                struct fh_catalog_request *request)
{
    const struct fh_move *move = &request->as.move;
    sqlite3_stmt *statement = NULL;
    struct fh_str progress;
    bool inserted = false;
    enum fh_code code = fh_move_progress_encode(&move->progress, request->arena, &progress);
    if (code != FH_OK) {
        return failed(request, code);
    }
    code = fh_catalog_db_get(txn->db, FH_CATALOG_SQL_MOVE_INSERT, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_uuid(statement, 1, &move->uuid);
    fh_catalog_bind_uuid(statement, 2, &move->tenant);
    fh_catalog_bind_text(statement, 3, fh_str_of(move->source.store));
    fh_catalog_bind_int(statement, 4, move->source.home.tier);
    fh_catalog_bind_text(statement, 5, fh_str_of(move->source.home.name));
    fh_catalog_bind_int(statement, 6, (int64_t)move->source.epoch);
    fh_catalog_bind_int(statement, 7, (int64_t)move->source.generation);
    fh_catalog_bind_text(statement, 8, fh_str_of(move->target_store));
    fh_catalog_bind_int(statement, 9, move->target_home.tier);
    fh_catalog_bind_text(statement, 10, fh_str_of(move->target_home.name));
    fh_catalog_bind_text(statement, 11, fh_str_of(fh_move_phase_name(move->phase)));
    fh_catalog_bind_int(statement, 12, move->wish);
    fh_catalog_bind_int(statement, 13, (int64_t)move->generation);
    fh_catalog_bind_int(statement, 14, (int64_t)move->beat);
    fh_catalog_bind_uuid(statement, 15, &move->worker);
    fh_catalog_bind_int(statement, 16, move->settings.max_pause_us);
    fh_catalog_bind_int(statement, 17, move->settings.rows_per_second_max);
    fh_catalog_bind_int(statement, 18, move->settings.duty_percent);
    fh_catalog_bind_text(statement, 19, progress);
    fh_catalog_bind_text(statement, 20, move->message);
    fh_catalog_bind_text(statement, 21, move->actor);
    fh_catalog_bind_text(statement, 22, move->reason);
    fh_catalog_bind_text_or_null(statement, 23, request->audit.request_id);
    fh_catalog_bind_int(statement, 24, move->created_at_us);
    code = fh_catalog_db_step(txn->db, statement, &inserted, &request->error);
    fh_catalog_db_end(statement);
    return code == FH_OK && !inserted ? fh_error_field(&request->error, FH_EXISTS, "uuid",
                                                       "there is a move with this uuid")
                                      : code;
}

static enum fh_code update_move(const struct fh_catalog_txn *txn,
                                struct fh_catalog_request *request, const struct fh_move *move)
{
    sqlite3_stmt *statement = NULL;
    struct fh_str progress;
    bool row = false;
    enum fh_code code = fh_move_progress_encode(&move->progress, request->arena, &progress);
    if (code != FH_OK) {
        return failed(request, code);
    }
    code = fh_catalog_db_get(txn->db, FH_CATALOG_SQL_MOVE_UPDATE, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_uuid(statement, 1, &move->uuid);
    fh_catalog_bind_int(statement, 2, (int64_t)move->generation);
    fh_catalog_bind_int(statement, 3, (int64_t)move->beat);
    fh_catalog_bind_uuid(statement, 4, &move->worker);
    fh_catalog_bind_text(statement, 5, fh_str_of(fh_move_phase_name(move->phase)));
    fh_catalog_bind_int(statement, 6, move->wish);
    fh_catalog_bind_text(statement, 7, progress);
    fh_catalog_bind_text(statement, 8, move->message);
    fh_catalog_bind_int(statement, 9, move->updated_at_us);
    fh_catalog_bind_int(statement, 10, move->finished_at_us);
    code = fh_catalog_db_step(txn->db, statement, &row, &request->error);
    fh_catalog_db_end(statement);
    return code;
}

static enum fh_code update_placement(const struct fh_catalog_txn *txn,
                                     struct fh_catalog_request *request,
                                     const struct fh_uuid *tenant,
                                     const struct fh_placement *placement)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_PLACEMENT_SET, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_uuid(statement, 1, tenant);
    fh_catalog_bind_text(statement, 2, fh_str_of(placement->store));
    fh_catalog_bind_int(statement, 3, placement->home.tier);
    fh_catalog_bind_text(statement, 4, fh_str_of(placement->home.name));
    fh_catalog_bind_int(statement, 5, (int64_t)placement->epoch);
    fh_catalog_bind_int(statement, 6, (int64_t)placement->generation);
    code = fh_catalog_db_step(txn->db, statement, &row, &request->error);
    fh_catalog_db_end(statement);
    return code;
}

static enum fh_code touch_tenant(const struct fh_catalog_txn *txn,
                                 struct fh_catalog_request *request, const struct fh_uuid *tenant)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_TENANT_TOUCH, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_uuid(statement, 1, tenant);
    fh_catalog_bind_int(statement, 2, txn->now_us);
    code = fh_catalog_db_step(txn->db, statement, &row, &request->error);
    fh_catalog_db_end(statement);
    return code;
}

/* Tells the operators, and answers the move as it is stored, its texts in the request's arena. */
static enum fh_code tell(const struct fh_catalog_txn *txn, struct fh_catalog_request *request,
                         bool event, struct fh_move *move)
{
    char resource[FH_MOVE_RESOURCE_SIZE];
    struct fh_str detail;
    struct fh_uuid uuid = move->uuid;
    enum fh_code code = FH_OK;
    if (event) {
        fh_move_event_resource(&uuid, resource);
        code = fh_move_event_detail(move, request->arena, &detail);
        code = code == FH_OK ? fh_catalog_event(txn, request, fh_move_event_action(request),
                                                resource, detail.data)
                             : failed(request, code);
    }
    return code == FH_OK ? get(txn, request, &uuid, move) : code;
}

/* The answer to an earlier creation with the same request id. */
static enum fh_code replay(const struct fh_catalog_txn *txn, struct fh_catalog_request *request,
                           bool *found)
{
    sqlite3_stmt *statement = NULL;
    struct fh_move stored;
    *found = false;
    if (request->audit.request_id.len == 0) {
        return FH_OK;
    }
    enum fh_code code =
        fh_catalog_db_get(txn->db, FH_CATALOG_SQL_MOVE_BY_REQUEST_ID, &statement, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_text(statement, 1, request->audit.request_id);
    code = read_one(txn, statement, request, &stored, found);
    return code == FH_OK && *found ? fh_move_rule_replay(request, &stored) : code;
}

static enum fh_code create(const struct fh_catalog_txn *txn, struct fh_catalog_request *request)
{
    struct fh_tenant tenant;
    struct fh_move other;
    bool found = false;
    enum fh_code code =
        fh_catalog_tenant_find(txn, request, &request->as.move.tenant, &tenant, &found);
    if (code == FH_OK && !found) {
        return fh_error_set(&request->error, FH_NO_TENANT, "%s", fh_code_text(FH_NO_TENANT));
    }
    if (code == FH_OK) {
        code = fh_catalog_move_unfinished(txn, request, &tenant.uuid, &other, &found);
    }
    if (code == FH_OK && found) {
        request->as.move = other;
        return fh_error_set(&request->error, FH_EXISTS, "the tenant is being moved already");
    }
    if (code == FH_OK) {
        code = fh_catalog_store_registered(txn, request, request->as.move.target_store);
    }
    if (code == FH_OK) {
        code = fh_move_rule_create(request, &tenant, txn->now_us);
    }
    if (code == FH_OK) {
        code = insert_move(txn, request);
    }
    return code == FH_OK ? tell(txn, request, true, &request->as.move) : code;
}

enum fh_code fh_catalog_move_create(const struct fh_catalog_txn *txn,
                                    struct fh_catalog_request *request)
{
    bool replayed = false;
    enum fh_code code = replay(txn, request, &replayed);
    return code != FH_OK || replayed ? code : create(txn, request);
}

enum fh_code fh_catalog_move_get(const struct fh_catalog_txn *txn,
                                 struct fh_catalog_request *request)
{
    return get(txn, request, &request->as.move_get.uuid, &request->as.move_get.move);
}

static enum fh_code open_list(const struct fh_catalog_txn *txn, struct fh_catalog_request *request,
                              sqlite3_stmt **out)
{
    static const struct fh_uuid newest = {
        {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};
    const bool of_tenant = !fh_uuid_is_nil(&request->as.move_list.tenant);
    enum fh_catalog_statement which = FH_CATALOG_SQL_MOVES;
    if (of_tenant) {
        which = FH_CATALOG_SQL_MOVES_OF_TENANT;
    } else if (request->as.move_list.unfinished) {
        which = FH_CATALOG_SQL_MOVES_UNFINISHED;
    }
    enum fh_code code = fh_catalog_db_get(txn->db, which, out, &request->error);
    if (code != FH_OK) {
        return code;
    }
    fh_catalog_bind_uuid(
        *out, 1,
        fh_uuid_is_nil(&request->as.move_list.before) ? &newest : &request->as.move_list.before);
    fh_catalog_bind_int(*out, 2, (int64_t)request->as.move_list.limit + 1);
    if (of_tenant) {
        fh_catalog_bind_uuid(*out, 3, &request->as.move_list.tenant);
        fh_catalog_bind_int(*out, 4, request->as.move_list.unfinished ? 1 : 0);
    }
    return FH_OK;
}

enum fh_code fh_catalog_move_list(const struct fh_catalog_txn *txn,
                                  struct fh_catalog_request *request)
{
    size_t limit = request->as.move_list.limit;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    request->as.move_list.count = 0;
    request->as.move_list.more = false;
    request->as.move_list.moves = FH_ARENA_ARRAY(request->arena, struct fh_move, limit);
    if (request->as.move_list.moves == NULL) {
        return failed(request, FH_TOO_LARGE);
    }
    enum fh_code code = open_list(txn, request, &statement);
    if (code != FH_OK) {
        return code;
    }
    while ((code = fh_catalog_db_step(txn->db, statement, &row, &request->error)) == FH_OK && row) {
        if (request->as.move_list.count == limit) {
            request->as.move_list.more = true;
            break;
        }
        code = read_move(statement, request->arena,
                         &request->as.move_list.moves[request->as.move_list.count]);
        if (code != FH_OK) {
            code = failed(request, code);
            break;
        }
        request->as.move_list.count++;
    }
    fh_catalog_db_end(statement);
    return code;
}

enum fh_code fh_catalog_move_claim(const struct fh_catalog_txn *txn,
                                   struct fh_catalog_request *request)
{
    struct fh_move *move = &request->as.move_claim.move;
    struct fh_placement *placement = &request->as.move_claim.placement;
    enum fh_code code = get_both(txn, request, &request->as.move_claim.uuid, move, placement);
    if (code == FH_OK) {
        code = fh_move_rule_claim(request, move, placement, txn->now_us);
    }
    if (code == FH_OK) {
        code = update_placement(txn, request, &move->tenant, placement);
    }
    if (code == FH_OK) {
        code = update_move(txn, request, move);
    }
    return code == FH_OK ? tell(txn, request, true, move) : code;
}

enum fh_code fh_catalog_move_advance(const struct fh_catalog_txn *txn,
                                     struct fh_catalog_request *request)
{
    struct fh_move *move = &request->as.move_advance.move;
    struct fh_placement placement;
    bool event = false;
    enum fh_code code = get_both(txn, request, &request->as.move_advance.uuid, move, &placement);
    if (code == FH_OK) {
        code = fh_move_rule_advance(request, move, &placement, txn->now_us, &event);
    }
    if (code == FH_OK) {
        code = update_move(txn, request, move);
    }
    return code == FH_OK ? tell(txn, request, event, move) : code;
}

enum fh_code fh_catalog_move_switch(const struct fh_catalog_txn *txn,
                                    struct fh_catalog_request *request)
{
    struct fh_move *move = &request->as.move_switch.move;
    struct fh_placement *placement = &request->as.move_switch.placement;
    enum fh_code code = get_both(txn, request, &request->as.move_switch.uuid, move, placement);
    if (code == FH_OK) {
        code = fh_move_rule_switch(request, move, placement, txn->now_us);
    }
    if (code == FH_OK) {
        code = update_placement(txn, request, &move->tenant, placement);
    }
    if (code == FH_OK) {
        code = touch_tenant(txn, request, &move->tenant);
    }
    if (code == FH_OK) {
        code = update_move(txn, request, move);
    }
    return code == FH_OK ? tell(txn, request, true, move) : code;
}

enum fh_code fh_catalog_move_wish(const struct fh_catalog_txn *txn,
                                  struct fh_catalog_request *request)
{
    struct fh_move *move = &request->as.move_wish.move;
    bool event = false;
    enum fh_code code = get(txn, request, &request->as.move_wish.uuid, move);
    if (code == FH_OK) {
        code = fh_move_rule_wish(request, move, txn->now_us, &event);
    }
    if (code == FH_OK && event) {
        code = update_move(txn, request, move);
    }
    return code == FH_OK && event ? tell(txn, request, true, move) : code;
}
