/* Happy path only: what fails, fails the test. */
#include "tests/unit/server_handlers/moves.h"

#include <string.h>

#include "freehold/v1/store_admin.pb-c.h"
#include "tests/unit/server_handlers/message.h"

int moves_setup(void **state)
{
    Freehold__V1__Store store = FREEHOLD__V1__STORE__INIT;
    Freehold__V1__CreateStoreRequest in = FREEHOLD__V1__CREATE_STORE_REQUEST__INIT;
    int failed = kit_setup(state);
    struct kit *kit = *state;
    store.name = text_of("stores/other");
    store.engine = text_of("memory");
    store.location = text_of("elsewhere");
    in.store = &store;
    expect_code(kit_call(kit, &kit->stores, "CreateStore", &kit->operator_, &in.base), FH_OK, "");
    return failed;
}

const Freehold__V1__Move *moves_start(struct kit *kit, const char *slug)
{
    Freehold__V1__StartMoveRequest in = FREEHOLD__V1__START_MOVE_REQUEST__INIT;
    in.tenant = message_text(&kit->arena, "tenants/%s", slug);
    in.target_store = text_of("stores/other");
    in.reason = text_of("test");
    fh_clock_virtual_advance(&kit->clock, 1000); /* names are in the order of their making */
    return response(Freehold__V1__StartMoveResponse, kit,
                    kit_call(kit, &kit->moves, "StartMove", &kit->operator_, &in.base))
        ->move;
}

static const ProtobufCMessage *request_of(struct kit *kit, const char *method, const char *name,
                                          const char *reason)
{
    const ProtobufCMethodDescriptor *row = protobuf_c_service_descriptor_get_method_by_name(
        &freehold__v1__move_admin_service__descriptor, method);
    assert_non_null(row);
    /* All of them begin with the name; those that change something have a reason next. */
    ProtobufCMessage *in = fh_arena_calloc(&kit->arena, 1, row->input->sizeof_message);
    assert_non_null(in);
    protobuf_c_message_init(row->input, in);
    for (unsigned i = 0; i < row->input->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &row->input->fields[i];
        const char *text = strcmp(field->name, "name") == 0 ? name : reason;
        memcpy((char *)in + field->offset, &text, sizeof(text));
    }
    return in;
}

struct fh_call *moves_call(struct kit *kit, const char *method, const char *name,
                           const char *reason)
{
    return kit_call(kit, &kit->moves, method, &kit->operator_,
                    request_of(kit, method, name, reason));
}

struct fh_call *moves_prepare(struct kit *kit, const char *method, const char *name)
{
    return kit_prepare(kit, &kit->moves, method, &kit->operator_,
                       request_of(kit, method, name, ""));
}

struct fh_call *moves_watch(struct kit *kit, const char *name)
{
    return moves_prepare(kit, "WatchMove", name);
}

const Freehold__V1__Move *moves_get(struct kit *kit, const char *name)
{
    return response(Freehold__V1__Move, kit, moves_call(kit, "GetMove", name, ""));
}

struct fh_call *moves_list(struct kit *kit, int32_t page_size, const char *token,
                           const char *tenant, bool unfinished)
{
    Freehold__V1__ListMovesRequest in = FREEHOLD__V1__LIST_MOVES_REQUEST__INIT;
    in.page_size = page_size;
    in.page_token = text_of(token);
    in.tenant = text_of(tenant);
    in.unfinished = unfinished;
    return kit_call(kit, &kit->moves, "ListMoves", &kit->operator_, &in.base);
}

struct fh_call *moves_events(struct kit *kit, const char *name, int32_t page_size,
                             const char *token)
{
    Freehold__V1__ListMoveEventsRequest in = FREEHOLD__V1__LIST_MOVE_EVENTS_REQUEST__INIT;
    in.name = text_of(name);
    in.page_size = page_size;
    in.page_token = text_of(token);
    return kit_call(kit, &kit->moves, "ListMoveEvents", &kit->operator_, &in.base);
}

size_t moves_walk(struct kit *kit, int32_t page_size, const char *tenant, bool unfinished)
{
    const char *token = "";
    const char *last = "moves/ffffffff-ffff-ffff-ffff-ffffffffffff";
    size_t count = 0;
    do {
        const Freehold__V1__ListMovesResponse *out =
            response(Freehold__V1__ListMovesResponse, kit,
                     moves_list(kit, page_size, token, tenant, unfinished));
        for (size_t i = 0; i < out->n_moves; i++) {
            assert_true(strcmp(last, out->moves[i]->name) > 0);
            last = out->moves[i]->name;
        }
        count += out->n_moves;
        token = out->next_page_token;
    } while (token[0] != '\0');
    return count;
}

size_t moves_count(struct kit *kit, const char *tenant, bool unfinished)
{
    return moves_walk(kit, 0, tenant, unfinished);
}

/* -- a worker's steps -------------------------------------------------------------------------- */

static void done_cb(struct fh_catalog_request *request)
{
    *(bool *)request->arg = true;
}

static void submit(struct kit *kit, struct fh_catalog_request *request)
{
    bool done = false;
    request->deadline_us = FH_DEADLINE_NONE;
    request->arena = &kit->arena;
    request->done_cb = done_cb;
    request->arg = &done;
    request->audit.actor = FH_STR("worker");
    request->audit.address = FH_STR("here");
    assert_int_equal(fh_catalog_submit(kit->catalog, request), FH_OK);
    kit_wait(kit, &done);
    if (request->code != FH_OK) {
        fail_msg("%s", fh_error_text(&request->error));
    }
}

static struct fh_uuid uuid_of(const char *name)
{
    struct fh_uuid uuid;
    assert_true(fh_uuid_parse(fh_str_of(name + strlen("moves/")), &uuid));
    return uuid;
}

static struct fh_move read_move(struct kit *kit, const char *name)
{
    struct fh_catalog_request request = {.op = FH_CATALOG_MOVE_GET,
                                         .as.move_get.uuid = uuid_of(name)};
    submit(kit, &request);
    return request.as.move_get.move;
}

void moves_claim(struct kit *kit, const char *name)
{
    const struct fh_move move = read_move(kit, name);
    struct fh_catalog_request request = {
        .op = FH_CATALOG_MOVE_CLAIM,
        .as.move_claim = {.uuid = move.uuid, .beat = move.beat, .worker = {{7}}},
    };
    submit(kit, &request);
}

void moves_advance(struct kit *kit, const char *name, enum fh_move_phase to,
                   const struct fh_move_progress *progress, const char *message)
{
    const struct fh_move move = read_move(kit, name);
    struct fh_catalog_request request = {
        .op = FH_CATALOG_MOVE_ADVANCE,
        .as.move_advance = {.uuid = move.uuid,
                            .generation = move.generation,
                            .from = move.phase,
                            .to = to,
                            .progress = progress != NULL ? *progress : move.progress,
                            .message = fh_str_of(message)},
    };
    submit(kit, &request);
}

void moves_end(struct kit *kit, const char *name)
{
    moves_claim(kit, name);
    moves_advance(kit, name, FH_MOVE_CANCELLING, NULL, "");
    moves_advance(kit, name, FH_MOVE_CANCELLED, NULL, "");
}

void moves_switch(struct kit *kit, const char *name)
{
    static const enum fh_move_phase phases[] = {
        FH_MOVE_PREPARING, FH_MOVE_COPYING, FH_MOVE_CATCHING_UP, FH_MOVE_READY, FH_MOVE_SWITCHING};
    moves_claim(kit, name);
    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        moves_advance(kit, name, phases[i], NULL, "");
    }
    const struct fh_move move = read_move(kit, name);
    struct fh_catalog_request request = {
        .op = FH_CATALOG_MOVE_SWITCH,
        .as.move_switch = {.uuid = move.uuid,
                           .generation = move.generation,
                           .epoch = move.source.epoch},
    };
    submit(kit, &request);
}
