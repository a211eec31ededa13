/* One helper an operation on moves. */
#include <stdio.h>

#include "tests/conformance/catalog/suite.h"

struct fh_catalog_request catalog_move_creation(struct catalog_suite *s,
                                                const struct fh_uuid *tenant, const char *target,
                                                const char *request_id)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_CREATE};
    struct fh_move *move = &request.as.move;
    request.audit.request_id = fh_str_of(request_id);
    request.audit.reason = FH_STR("nearer to its readers");
    move->uuid = catalog_uuid(s);
    move->tenant = *tenant;
    (void)snprintf(move->target_store, sizeof(move->target_store), "%s", target);
    move->target_home.tier = FH_TIER_SCHEMA;
    (void)snprintf(move->target_home.name, sizeof(move->target_home.name), "t_%02x%02x",
                   tenant->bytes[14], tenant->bytes[15]);
    return request;
}

static enum fh_code answer(enum fh_code code, const struct fh_move *move, struct fh_move *out)
{
    if (out != NULL) {
        *out = *move;
    }
    return code;
}

enum fh_code catalog_move_start(struct catalog_suite *s, const struct fh_uuid *tenant,
                                const char *target, struct fh_move *out)
{
    struct fh_catalog_request request = catalog_move_creation(s, tenant, target, "");
    enum fh_code code = catalog_run(s, &request);
    return answer(code, &request.as.move, out);
}

enum fh_code catalog_move_claim(struct catalog_suite *s, const struct fh_uuid *move, uint64_t beat,
                                struct fh_move *out)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_CLAIM};
    request.as.move_claim.uuid = *move;
    request.as.move_claim.beat = beat;
    request.as.move_claim.worker = catalog_uuid(s);
    enum fh_code code = catalog_run(s, &request);
    if (code == FH_OK) {
        const struct fh_move *claimed = &request.as.move_claim.move;
        assert_true(fh_uuid_eq(&claimed->worker, &request.as.move_claim.worker));
        assert_int_equal(claimed->generation, request.as.move_claim.placement.generation);
        assert_int_equal(claimed->beat, beat + 1);
    }
    return answer(code, &request.as.move_claim.move, out);
}

enum fh_code catalog_move_advance(struct catalog_suite *s, const struct fh_uuid *move,
                                  uint64_t generation, enum fh_move_phase from,
                                  enum fh_move_phase to, const char *message, struct fh_move *out)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_ADVANCE};
    request.as.move_advance.uuid = *move;
    request.as.move_advance.generation = generation;
    request.as.move_advance.from = from;
    request.as.move_advance.to = to;
    request.as.move_advance.message = fh_str_of(message);
    enum fh_code code = catalog_run(s, &request);
    return answer(code, &request.as.move_advance.move, out);
}

enum fh_code catalog_move_switch(struct catalog_suite *s, const struct fh_uuid *move,
                                 uint64_t generation, uint64_t epoch, struct fh_move *out,
                                 struct fh_placement *placement)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_SWITCH};
    request.as.move_switch.uuid = *move;
    request.as.move_switch.generation = generation;
    request.as.move_switch.epoch = epoch;
    enum fh_code code = catalog_run(s, &request);
    if (placement != NULL) {
        *placement = request.as.move_switch.placement;
    }
    return answer(code, &request.as.move_switch.move, out);
}

enum fh_code catalog_move_wish(struct catalog_suite *s, const struct fh_uuid *move,
                               enum fh_move_wish wish, struct fh_move *out)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_WISH};
    request.as.move_wish.uuid = *move;
    request.as.move_wish.wish = wish;
    enum fh_code code = catalog_run(s, &request);
    return answer(code, &request.as.move_wish.move, out);
}

struct fh_move catalog_move(struct catalog_suite *s, const struct fh_uuid *move)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_GET};
    request.as.move_get.uuid = *move;
    assert_code(catalog_run(s, &request), FH_OK);
    return request.as.move_get.move;
}

struct fh_move catalog_move_at(struct catalog_suite *s, const struct fh_uuid *tenant,
                               const char *target, enum fh_move_phase phase)
{
    struct fh_move move;
    assert_true(phase >= FH_MOVE_PLANNED && phase <= FH_MOVE_SWITCHING);
    assert_code(catalog_move_start(s, tenant, target, &move), FH_OK);
    assert_code(catalog_move_claim(s, &move.uuid, move.beat, &move), FH_OK);
    while (move.phase != phase) {
        assert_code(catalog_move_advance(s, &move.uuid, move.generation, move.phase,
                                         (enum fh_move_phase)(move.phase + 1), "", &move),
                    FH_OK);
    }
    return move;
}

void catalog_assert_same_move(const struct fh_move *a, const struct fh_move *b)
{
    assert_true(fh_uuid_eq(&a->uuid, &b->uuid));
    assert_true(fh_uuid_eq(&a->tenant, &b->tenant));
    assert_true(fh_uuid_eq(&a->worker, &b->worker));
    assert_string_equal(a->source.store, b->source.store);
    assert_string_equal(a->source.home.name, b->source.home.name);
    assert_int_equal(a->source.home.tier, b->source.home.tier);
    assert_int_equal(a->source.epoch, b->source.epoch);
    assert_int_equal(a->source.generation, b->source.generation);
    assert_string_equal(a->target_store, b->target_store);
    assert_string_equal(a->target_home.name, b->target_home.name);
    assert_int_equal(a->target_home.tier, b->target_home.tier);
    assert_string_equal(fh_move_phase_name(a->phase), fh_move_phase_name(b->phase));
    assert_int_equal(a->wish, b->wish);
    assert_int_equal(a->generation, b->generation);
    assert_int_equal(a->beat, b->beat);
    assert_int_equal(a->settings.max_pause_us, b->settings.max_pause_us);
    assert_int_equal(a->settings.rows_per_second_max, b->settings.rows_per_second_max);
    assert_int_equal(a->settings.duty_percent, b->settings.duty_percent);
    assert_memory_equal(&a->progress, &b->progress, sizeof(a->progress));
    assert_true(fh_str_eq(a->message, b->message));
    assert_true(fh_str_eq(a->actor, b->actor));
    assert_true(fh_str_eq(a->reason, b->reason));
    assert_int_equal(a->created_at_us, b->created_at_us);
    assert_int_equal(a->updated_at_us, b->updated_at_us);
    assert_int_equal(a->finished_at_us, b->finished_at_us);
}
