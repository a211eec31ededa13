/* Happy path: one group locks the tenant's placement and then the move and reads both, the rule
 * decides, one group writes them back with the event and commits. The placement's lock is what
 * every change of a tenant or of its move takes first: so what the rule saw is what is there when
 * the change is written, whoever else is at it, and two changes cannot lock each other out.
 *
 * Failures: a rule that refuses answers the rows as they are, which is what its caller needs to go
 * on. Behind an unknown outcome the same change asked again waits for the first, and is then told
 * by the rule whether it was made.
 */
#include "router/catalog_pg/ops.h"
#include "router/move_rules.h"

static enum fh_code not_found(const struct fh_catalog_pg_txn *txn)
{
    return fh_error_set(&txn->request->error, FH_NOT_FOUND, "there is no such move");
}

/* Integers of a row, in the order of its columns. */
struct numbers {
    int64_t target_tier;
    int64_t wish;
    int64_t generation;
    int64_t beat;
    int64_t max_pause_us;
    int64_t rows_per_second_max;
    int64_t duty_percent;
    int64_t created_at_us;
    int64_t updated_at_us;
    int64_t finished_at_us;
};

static enum fh_code read_numbers(const PGresult *result, int row, struct numbers *out)
{
    const struct {
        int column;
        int64_t min;
        int64_t max;
        int64_t *value;
    } columns[] = {
        {8, FH_TIER_SHARED, FH_TIER_DATABASE, &out->target_tier},
        {11, FH_MOVE_WISH_RUN, FH_MOVE_WISH_CANCEL, &out->wish},
        {12, 0, INT64_MAX, &out->generation},
        {13, 0, INT64_MAX, &out->beat},
        {15, 1, INT64_MAX, &out->max_pause_us},
        {16, 0, UINT32_MAX, &out->rows_per_second_max},
        {17, 1, 100, &out->duty_percent},
        {22, INT64_MIN, INT64_MAX, &out->created_at_us},
        {23, INT64_MIN, INT64_MAX, &out->updated_at_us},
        {24, INT64_MIN, INT64_MAX, &out->finished_at_us},
    };
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]) && code == FH_OK; i++) {
        code = fh_catalog_pg_int(result, row, columns[i].column, columns[i].min, columns[i].max,
                                 columns[i].value);
    }
    return code;
}

static bool read_names(const PGresult *result, int row, struct fh_move *out)
{
    char phase[32];
    if (fh_catalog_pg_uuid(result, row, 0, &out->uuid) != FH_OK ||
        fh_catalog_pg_uuid(result, row, 1, &out->tenant) != FH_OK ||
        fh_catalog_pg_placement_read(result, row, 2, &out->source) != FH_OK ||
        fh_catalog_pg_name(result, row, 7, out->target_store, sizeof(out->target_store)) != FH_OK ||
        fh_catalog_pg_name(result, row, 9, out->target_home.name, sizeof(out->target_home.name)) !=
            FH_OK ||
        fh_catalog_pg_name(result, row, 10, phase, sizeof(phase)) != FH_OK ||
        fh_catalog_pg_uuid(result, row, 14, &out->worker) != FH_OK) {
        return false;
    }
    out->phase = fh_move_phase_of(fh_str_of(phase));
    return out->phase != FH_MOVE_NONE;
}

static enum fh_code read_move(const PGresult *result, int row, struct fh_arena *arena,
                              struct fh_move *out)
{
    struct fh_move move = {.phase = FH_MOVE_NONE};
    struct numbers numbers;
    struct fh_str progress;
    struct fh_str *texts[] = {&progress, &move.message, &move.actor, &move.reason};
    if (!read_names(result, row, &move) || read_numbers(result, row, &numbers) != FH_OK ||
        fh_move_is_finished(move.phase) != (numbers.finished_at_us != 0)) {
        return FH_CORRUPT;
    }
    move.target_home.tier = (enum fh_tier)numbers.target_tier;
    move.wish = (enum fh_move_wish)numbers.wish;
    move.generation = (uint64_t)numbers.generation;
    move.beat = (uint64_t)numbers.beat;
    move.settings.max_pause_us = numbers.max_pause_us;
    move.settings.rows_per_second_max = (uint32_t)numbers.rows_per_second_max;
    move.settings.duty_percent = (uint32_t)numbers.duty_percent;
    move.created_at_us = numbers.created_at_us;
    move.updated_at_us = numbers.updated_at_us;
    move.finished_at_us = numbers.finished_at_us;
    enum fh_code code = FH_OK;
    for (int i = 0; i < 4 && code == FH_OK; i++) {
        code = fh_catalog_pg_text(result, row, i + 18, arena, texts[i]);
    }
    if (code == FH_OK) {
        code = fh_move_progress_decode(progress, &move.progress);
    }
    if (code == FH_OK) {
        *out = move;
    }
    return code;
}

/* The one row of the group's i-th statement. */
static enum fh_code read_one(const struct fh_catalog_pg_txn *txn, size_t index, struct fh_move *out)
{
    return fh_catalog_pg_unread(
        txn, read_move(fh_catalog_pg_link_result(txn->link, index), 0, txn->request->arena, out));
}

/* Locks and reads the move and where its tenant lives. */
static enum fh_code lock_both(const struct fh_catalog_pg_txn *txn, const struct fh_uuid *uuid,
                              struct fh_move *move, struct fh_placement *placement)
{
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_BEGIN, NULL);
    fh_catalog_pg_by_uuid_add(txn, FH_CATALOG_PG_SQL_MOVE_PLACEMENT_LOCK, uuid);
    fh_catalog_pg_by_uuid_add(txn, FH_CATALOG_PG_SQL_MOVE_LOCK, uuid);
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code == FH_OK && fh_catalog_pg_rows(txn, 2) == 0) {
        return not_found(txn);
    }
    if (code == FH_OK) {
        code = read_one(txn, 2, move);
    }
    return code == FH_OK ? fh_catalog_pg_unread(
                               txn, fh_catalog_pg_placement_read(
                                        fh_catalog_pg_link_result(txn->link, 1), 0, 0, placement))
                         : code;
}

/* A text of the caller's becomes one of the answer's. */
static enum fh_code own(const struct fh_catalog_pg_txn *txn, struct fh_str *text)
{
    return fh_catalog_pg_unread(txn, fh_arena_str(txn->request->arena, *text, text));
}

static enum fh_code event_add(const struct fh_catalog_pg_txn *txn, const struct fh_move *move)
{
    char resource[FH_MOVE_RESOURCE_SIZE];
    struct fh_str detail;
    fh_move_event_resource(&move->uuid, resource);
    enum fh_code code = fh_move_event_detail(move, txn->request->arena, &detail);
    if (code == FH_OK) {
        fh_catalog_pg_event_add(txn, fh_move_event_action(txn->request), resource, detail);
    }
    return fh_catalog_pg_unread(txn, code);
}

/* The columns a rule may have changed, the event, and the commit. Nothing is added before all that
 * may fail here has gone well. */
static enum fh_code store(const struct fh_catalog_pg_txn *txn, struct fh_move *move,
                          const struct fh_placement *placement, bool event)
{
    struct fh_catalog_pg_params params = {.count = 0};
    struct fh_str progress;
    enum fh_code code = own(txn, &move->message);
    if (code == FH_OK) {
        code = fh_catalog_pg_unread(
            txn, fh_move_progress_encode(&move->progress, txn->request->arena, &progress));
    }
    if (code == FH_OK && event) {
        code = event_add(txn, move);
    }
    if (code != FH_OK) {
        return code;
    }
    if (placement != NULL) {
        fh_catalog_pg_placement_add(txn, FH_CATALOG_PG_SQL_PLACEMENT_SET, &move->tenant, placement);
    }
    fh_catalog_pg_param_uuid(&params, &move->uuid);
    fh_catalog_pg_param_int(&params, (int64_t)move->generation);
    fh_catalog_pg_param_int(&params, (int64_t)move->beat);
    fh_catalog_pg_param_uuid(&params, &move->worker);
    fh_catalog_pg_param_text(&params, fh_str_of(fh_move_phase_name(move->phase)));
    fh_catalog_pg_param_int(&params, move->wish);
    fh_catalog_pg_param_text(&params, progress);
    fh_catalog_pg_param_text(&params, move->message);
    fh_catalog_pg_param_int(&params, move->updated_at_us);
    fh_catalog_pg_param_int(&params, move->finished_at_us);
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_MOVE_UPDATE, &params);
    return fh_catalog_pg_commit(txn);
}

enum fh_code fh_catalog_pg_move_claim(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    struct fh_move *move = &request->as.move_claim.move;
    struct fh_placement *placement = &request->as.move_claim.placement;
    enum fh_code code = lock_both(txn, &request->as.move_claim.uuid, move, placement);
    if (code == FH_OK) {
        code = fh_move_rule_claim(request, move, placement, txn->now_us);
    }
    return code == FH_OK ? store(txn, move, placement, true) : code;
}

enum fh_code fh_catalog_pg_move_advance(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    struct fh_move *move = &request->as.move_advance.move;
    struct fh_placement placement;
    bool event = false;
    enum fh_code code = lock_both(txn, &request->as.move_advance.uuid, move, &placement);
    if (code == FH_OK) {
        code = fh_move_rule_advance(request, move, &placement, txn->now_us, &event);
    }
    return code == FH_OK ? store(txn, move, NULL, event) : code;
}

enum fh_code fh_catalog_pg_move_switch(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    struct fh_move *move = &request->as.move_switch.move;
    struct fh_placement *placement = &request->as.move_switch.placement;
    enum fh_code code = lock_both(txn, &request->as.move_switch.uuid, move, placement);
    if (code == FH_OK) {
        code = fh_move_rule_switch(request, move, placement, txn->now_us);
    }
    if (code != FH_OK) {
        return code;
    }
    struct fh_catalog_pg_params params = {.count = 0};
    fh_catalog_pg_param_uuid(&params, &move->tenant);
    fh_catalog_pg_param_int(&params, txn->now_us);
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_TENANT_TOUCH, &params);
    return store(txn, move, placement, true);
}

enum fh_code fh_catalog_pg_move_wish(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    struct fh_move *move = &request->as.move_wish.move;
    struct fh_placement placement;
    bool event = false;
    enum fh_code code = lock_both(txn, &request->as.move_wish.uuid, move, &placement);
    if (code == FH_OK) {
        code = fh_move_rule_wish(request, move, txn->now_us, &event);
    }
    return code == FH_OK && event ? store(txn, move, NULL, true) : code;
}

/* The move that an earlier creation with the same request id made. */
static enum fh_code replay(const struct fh_catalog_pg_txn *txn, size_t index)
{
    struct fh_move stored;
    enum fh_code code = read_one(txn, index, &stored);
    return code == FH_OK ? fh_move_rule_replay(txn->request, &stored) : code;
}

/* Whether it is a repetition: `*replayed`, and the code is the answer. Else whether it may go on,
 * and then request->as.move is what is to be stored. */
static enum fh_code look_before(const struct fh_catalog_pg_txn *txn, bool *replayed)
{
    struct fh_catalog_request *request = txn->request;
    struct fh_str request_id = request->audit.request_id;
    const char *target = request->as.move.target_store;
    struct fh_tenant tenant;
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_BEGIN, NULL);
    fh_catalog_pg_by_uuid_add(txn, FH_CATALOG_PG_SQL_PLACEMENT_LOCK, &request->as.move.tenant);
    fh_catalog_pg_by_text_add(txn, FH_CATALOG_PG_SQL_MOVE_BY_REQUEST_ID, request_id);
    fh_catalog_pg_by_uuid_add(txn, FH_CATALOG_PG_SQL_TENANT_BY_UUID, &request->as.move.tenant);
    fh_catalog_pg_by_uuid_add(txn, FH_CATALOG_PG_SQL_MOVE_UNFINISHED_OF_TENANT,
                              &request->as.move.tenant);
    fh_catalog_pg_by_text_add(txn, FH_CATALOG_PG_SQL_STORE_EXISTS, fh_str_of(target));
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code != FH_OK) {
        return code;
    }
    *replayed = request_id.len > 0 && fh_catalog_pg_rows(txn, 2) > 0;
    if (*replayed) {
        return replay(txn, 2);
    }
    if (fh_catalog_pg_rows(txn, 3) == 0) {
        return fh_error_set(&request->error, FH_NO_TENANT, "%s", fh_code_text(FH_NO_TENANT));
    }
    if (fh_catalog_pg_rows(txn, 4) > 0) {
        code = read_one(txn, 4, &request->as.move);
        return code != FH_OK
                   ? code
                   : fh_error_set(&request->error, FH_EXISTS, "the tenant is being moved already");
    }
    if (fh_catalog_pg_rows(txn, 5) == 0) {
        return fh_error_set(&request->error, FH_PRECONDITION, "store %s is not registered", target);
    }
    code =
        fh_catalog_pg_unread(txn, fh_catalog_pg_tenant_read(fh_catalog_pg_link_result(txn->link, 3),
                                                            0, request->arena, &tenant));
    return code == FH_OK ? fh_move_rule_create(request, &tenant, txn->now_us) : code;
}

static enum fh_code insert_add(const struct fh_catalog_pg_txn *txn)
{
    const struct fh_move *move = &txn->request->as.move;
    struct fh_catalog_pg_params params = {.count = 0};
    struct fh_str progress;
    enum fh_code code = fh_move_progress_encode(&move->progress, txn->request->arena, &progress);
    if (code != FH_OK) {
        return fh_catalog_pg_unread(txn, code);
    }
    fh_catalog_pg_param_uuid(&params, &move->uuid);
    fh_catalog_pg_param_uuid(&params, &move->tenant);
    fh_catalog_pg_param_text(&params, fh_str_of(move->source.store));
    fh_catalog_pg_param_int(&params, move->source.home.tier);
    fh_catalog_pg_param_text(&params, fh_str_of(move->source.home.name));
    fh_catalog_pg_param_int(&params, (int64_t)move->source.epoch);
    fh_catalog_pg_param_int(&params, (int64_t)move->source.generation);
    fh_catalog_pg_param_text(&params, fh_str_of(move->target_store));
    fh_catalog_pg_param_int(&params, move->target_home.tier);
    fh_catalog_pg_param_text(&params, fh_str_of(move->target_home.name));
    fh_catalog_pg_param_text(&params, fh_str_of(fh_move_phase_name(move->phase)));
    fh_catalog_pg_param_int(&params, move->wish);
    fh_catalog_pg_param_int(&params, (int64_t)move->generation);
    fh_catalog_pg_param_int(&params, (int64_t)move->beat);
    fh_catalog_pg_param_uuid(&params, &move->worker);
    fh_catalog_pg_param_int(&params, move->settings.max_pause_us);
    fh_catalog_pg_param_int(&params, move->settings.rows_per_second_max);
    fh_catalog_pg_param_int(&params, move->settings.duty_percent);
    fh_catalog_pg_param_text(&params, progress);
    fh_catalog_pg_param_text(&params, move->message);
    fh_catalog_pg_param_text(&params, move->actor);
    fh_catalog_pg_param_text(&params, move->reason);
    fh_catalog_pg_param_text_or_null(&params, txn->request->audit.request_id);
    fh_catalog_pg_param_int(&params, move->created_at_us);
    fh_catalog_pg_link_add(txn->link, FH_CATALOG_PG_SQL_MOVE_INSERT, &params);
    return FH_OK;
}

/* The uuid or the request id was met: the latter by a creation for another tenant that ran
 * meanwhile, which did not wait for this tenant's lock. */
static enum fh_code already_there(const struct fh_catalog_pg_txn *txn)
{
    struct fh_str request_id = txn->request->audit.request_id;
    fh_catalog_pg_by_text_add(txn, FH_CATALOG_PG_SQL_MOVE_BY_REQUEST_ID, request_id);
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code != FH_OK) {
        return code;
    }
    if (request_id.len > 0 && fh_catalog_pg_rows(txn, 0) > 0) {
        return replay(txn, 0);
    }
    return fh_error_field(&txn->request->error, FH_EXISTS, "uuid",
                          "there is a move with this uuid");
}

enum fh_code fh_catalog_pg_move_create(const struct fh_catalog_pg_txn *txn)
{
    struct fh_move *move = &txn->request->as.move;
    bool replayed = false;
    enum fh_code code = look_before(txn, &replayed);
    if (code != FH_OK || replayed) {
        return code;
    }
    struct fh_str *texts[] = {&move->message, &move->actor, &move->reason};
    for (size_t i = 0; i < 3 && code == FH_OK; i++) {
        code = own(txn, texts[i]);
    }
    if (code == FH_OK) {
        code = insert_add(txn);
    }
    if (code == FH_OK) {
        code = fh_catalog_pg_run(txn);
    }
    if (code == FH_OK && fh_catalog_pg_rows(txn, 0) == 0) {
        return already_there(txn);
    }
    if (code == FH_OK) {
        code = event_add(txn, move);
    }
    return code == FH_OK ? fh_catalog_pg_commit(txn) : code;
}

enum fh_code fh_catalog_pg_move_get(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    fh_catalog_pg_by_uuid_add(txn, FH_CATALOG_PG_SQL_MOVE_BY_UUID, &request->as.move_get.uuid);
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code == FH_OK && fh_catalog_pg_rows(txn, 0) == 0) {
        return not_found(txn);
    }
    return code == FH_OK ? read_one(txn, 0, &request->as.move_get.move) : code;
}

static void list_add(const struct fh_catalog_pg_txn *txn)
{
    static const struct fh_uuid newest = {
        {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};
    const struct fh_catalog_request *request = txn->request;
    const struct fh_uuid *before = &request->as.move_list.before;
    struct fh_catalog_pg_params params = {.count = 0};
    enum fh_catalog_pg_statement which = FH_CATALOG_PG_SQL_MOVES;
    fh_catalog_pg_param_uuid(&params, fh_uuid_is_nil(before) ? &newest : before);
    fh_catalog_pg_param_int(&params, (int64_t)request->as.move_list.limit + 1);
    if (!fh_uuid_is_nil(&request->as.move_list.tenant)) {
        which = FH_CATALOG_PG_SQL_MOVES_OF_TENANT;
        fh_catalog_pg_param_uuid(&params, &request->as.move_list.tenant);
        fh_catalog_pg_param_bool(&params, request->as.move_list.unfinished);
    } else if (request->as.move_list.unfinished) {
        which = FH_CATALOG_PG_SQL_MOVES_UNFINISHED;
    }
    fh_catalog_pg_link_add(txn->link, which, &params);
}

enum fh_code fh_catalog_pg_move_list(const struct fh_catalog_pg_txn *txn)
{
    struct fh_catalog_request *request = txn->request;
    size_t limit = request->as.move_list.limit;
    request->as.move_list.count = 0;
    request->as.move_list.more = false;
    request->as.move_list.moves = FH_ARENA_ARRAY(request->arena, struct fh_move, limit);
    if (request->as.move_list.moves == NULL) {
        return fh_catalog_pg_unread(txn, FH_TOO_LARGE);
    }
    list_add(txn);
    enum fh_code code = fh_catalog_pg_run(txn);
    if (code != FH_OK) {
        return code;
    }
    size_t rows = (size_t)fh_catalog_pg_rows(txn, 0);
    request->as.move_list.more = rows > limit;
    for (size_t i = 0; i < rows && i < limit; i++) {
        code = read_move(fh_catalog_pg_link_result(txn->link, 0), (int)i, request->arena,
                         &request->as.move_list.moves[i]);
        if (code != FH_OK) {
            return fh_catalog_pg_unread(txn, code);
        }
        request->as.move_list.count++;
    }
    return FH_OK;
}
