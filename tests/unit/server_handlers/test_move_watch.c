/* WatchMove: a move as it is, then whenever it changed, until its end; whoever reads it, leaves, or
 * comes too many. And memory that runs out under every method of the service. */
#include <string.h>

#include "base/alloc.h"
#include "server/handlers/follow.h"
#include "tests/unit/server_handlers/kit.h"
#include "tests/unit/server_handlers/message.h"
#include "tests/unit/server_handlers/moves.h"

#define BUSY_CALLS 50
#define ROUNDS_MAX 2000 /* more than any handler allocates */

static const Freehold__V1__Move *told(const struct fh_call *call, size_t index)
{
    assert_true(index < call->sent_count);
    return ((const Freehold__V1__WatchMoveResponse *)call->sent[index])->move;
}

static const Freehold__V1__Move *newest(const struct fh_call *call)
{
    return told(call, call->sent_count - 1);
}

/* Until it told once more, or ended. */
static void hear(struct kit *kit, struct fh_call *call)
{
    kit_wait(kit, &call->heard);
    call->heard = false;
}

static struct fh_call *begin(struct kit *kit, const char *name)
{
    struct fh_call *call = moves_watch(kit, name);
    fake_call_run(call);
    hear(kit, call);
    return call;
}

static void leave(struct kit *kit, struct fh_call *call)
{
    fake_call_cancel(call);
    kit_wait(kit, &call->ended);
    expect_code(call, FH_CANCELLED, "");
}

static void test_tells_changes(void **state)
{
    struct kit *kit = *state;
    const char *name = moves_start(kit, "tenant-a")->name;
    const struct fh_move_progress progress = {.rows_total = 9, .rows_copied = 4};
    struct fh_call *call = begin(kit, name);
    assert_string_equal(newest(call)->name, name);
    assert_int_equal(newest(call)->phase, FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_PLANNED);
    moves_claim(kit, name);
    hear(kit, call);
    moves_advance(kit, name, FH_MOVE_PREPARING, NULL, "");
    while (newest(call)->phase != FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_PREPARING) {
        hear(kit, call);
    }
    moves_advance(kit, name, FH_MOVE_COPYING, &progress, "");
    while (newest(call)->phase != FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_COPYING) {
        hear(kit, call);
    }
    assert_int_equal(newest(call)->progress->rows_copied, 4);
    expect_code(moves_call(kit, "PauseMove", name, ""), FH_OK, "");
    while (newest(call)->wish != FREEHOLD__V1__MOVE_WISH__MOVE_WISH_PAUSE) {
        hear(kit, call);
    }
    moves_end(kit, name);
    kit_wait(kit, &call->ended);
    assert_int_equal(newest(call)->phase, FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_CANCELLED);
    /* Never the same twice, never back. */
    for (size_t i = 1; i < call->sent_count; i++) {
        assert_true(told(call, i)->generation >= told(call, i - 1)->generation);
        assert_true(told(call, i)->phase != told(call, i - 1)->phase ||
                    told(call, i)->wish != told(call, i - 1)->wish ||
                    told(call, i)->generation != told(call, i - 1)->generation);
    }
    expect_code(call, FH_OK, "");
}

/* Hints that tell nothing, and those of other moves. */
static void test_tells_nothing_twice(void **state)
{
    struct kit *kit = *state;
    const struct fh_uuid unknown = {{0}};
    const char *name = moves_start(kit, "tenant-a")->name;
    struct fh_call *call = begin(kit, name);
    for (int i = 0; i < 3; i++) {
        fh_catalog_tell(kit->catalog, FH_CATALOG_HINT_MOVE, &unknown);
        (void)moves_get(kit, name); /* the watch asks meanwhile */
        (void)moves_get(kit, name); /* and is answered before this is */
    }
    moves_end(kit, moves_start(kit, "tenant-b")->name);
    assert_int_equal(call->sent_count, 1);
    leave(kit, call);
}

static void test_tells_an_ended_one_once(void **state)
{
    struct kit *kit = *state;
    const char *name = moves_start(kit, "tenant-a")->name;
    moves_end(kit, name);
    struct fh_call *call = begin(kit, name);
    kit_wait(kit, &call->ended);
    assert_int_equal(call->sent_count, 1);
    expect_code(call, FH_OK, "");
}

/* What a slow reader has not taken is skipped; the end is not. */
static void test_slow_reader(void **state)
{
    struct kit *kit = *state;
    const char *name = moves_start(kit, "tenant-a")->name;
    struct fh_call *call = begin(kit, name);
    call->reader_slow = true;
    moves_end(kit, name);
    for (int i = 0; i < 3; i++) { /* the watch looks, and is refused */
        (void)moves_get(kit, name);
    }
    assert_false(call->ended);
    call->reader_slow = false;
    kit_wait(kit, &call->ended);
    assert_int_equal(call->sent_count, 2);
    assert_int_equal(newest(call)->phase, FREEHOLD__V1__MOVE_PHASE__MOVE_PHASE_CANCELLED);
    expect_code(call, FH_OK, "");
}

static void test_peer_goes_away(void **state)
{
    struct kit *kit = *state;
    const char *name = moves_start(kit, "tenant-a")->name;
    leave(kit, begin(kit, name));
    /* Before the first look, and in the middle of one. */
    struct fh_call *call = moves_watch(kit, name);
    fake_call_run(call);
    leave(kit, call);
    struct fh_call *before[BUSY_CALLS]; /* what the look waits behind */
    for (size_t i = 0; i < BUSY_CALLS; i++) {
        before[i] = moves_prepare(kit, "GetMove", name);
        fake_call_run(before[i]);
    }
    call = moves_watch(kit, name);
    fake_call_run(call);
    for (int i = 0; i < 2; i++) { /* the timer fires in one of them, by libuv's version */
        (void)uv_run(&kit->loop, UV_RUN_NOWAIT);
    }
    leave(kit, call);
    for (size_t i = 0; i < BUSY_CALLS; i++) {
        kit_wait(kit, &before[i]->ended);
        expect_code(before[i], FH_OK, "");
    }
    /* Nobody is told any more. */
    moves_end(kit, name);
}

static void test_server_stops(void **state)
{
    struct kit *kit = *state;
    struct fh_call *call = begin(kit, moves_start(kit, "tenant-a")->name);
    kit->services.stopping = true;
    kit_wait(kit, &call->ended);
    expect_code(call, FH_SHUTTING_DOWN, "");
}

static void test_bound(void **state)
{
    struct kit *kit = *state;
    const char *name = moves_start(kit, "tenant-a")->name;
    struct fh_call *calls[FH_FOLLOWED_MOVES_MAX];
    for (size_t i = 0; i < FH_FOLLOWED_MOVES_MAX; i++) {
        calls[i] = begin(kit, name);
    }
    expect_code(moves_call(kit, "WatchMove", name, ""), FH_FULL, "");
    leave(kit, calls[0]);
    calls[0] = begin(kit, name);
    expect_code(moves_call(kit, "WatchMove", name, ""), FH_FULL, "");
    moves_end(kit, name);
    for (size_t i = 0; i < FH_FOLLOWED_MOVES_MAX; i++) {
        kit_wait(kit, &calls[i]->ended);
        expect_code(calls[i], FH_OK, "");
    }
    leave(kit, begin(kit, moves_start(kit, "tenant-b")->name));
}

/* -- memory ------------------------------------------------------------------------------------ */

static bool is_clean(enum fh_code code)
{
    return code == FH_OK || code == FH_NOMEM || code == FH_OUTCOME_UNKNOWN || code == FH_FULL ||
           code == FH_UNAVAILABLE || code == FH_TOO_LARGE || code == FH_CORRUPT;
}

static void watch_without_memory(struct kit *kit, const char *name)
{
    bool delivered = true;
    enum fh_code code = FH_OK;
    for (int round = 0; delivered; round++) {
        struct fh_call *call = moves_watch(kit, name);
        fh_alloc_fault_on(round, 1);
        fake_call_run(call);
        hear(kit, call);
        delivered = fh_alloc_fault_off() != 0;
        if (!call->ended) {
            code = FH_OK;
            leave(kit, call);
        } else {
            code = call->code;
            assert_true(is_clean(code));
            fake_call_free(call);
        }
        assert_true(round < ROUNDS_MAX);
    }
    assert_int_equal(code, FH_OK);
}

static const ProtobufCMessage *start_request(struct kit *kit, const char *slug)
{
    Freehold__V1__StartMoveRequest *in = FH_ARENA_NEW(&kit->arena, Freehold__V1__StartMoveRequest);
    freehold__v1__start_move_request__init(in);
    in->tenant = message_text(&kit->arena, "tenants/%s", slug);
    in->target_store = text_of("stores/other");
    in->request_id = message_text(&kit->arena, "start-%s", slug);
    return &in->base;
}

static const ProtobufCMessage *list_request(struct kit *kit, const char *name)
{
    Freehold__V1__ListMovesRequest *in = FH_ARENA_NEW(&kit->arena, Freehold__V1__ListMovesRequest);
    (void)name;
    freehold__v1__list_moves_request__init(in);
    in->tenant = text_of("tenants/tenant-a");
    in->page_size = 1;
    return &in->base;
}

static const ProtobufCMessage *events_request(struct kit *kit, const char *name)
{
    Freehold__V1__ListMoveEventsRequest *in =
        FH_ARENA_NEW(&kit->arena, Freehold__V1__ListMoveEventsRequest);
    freehold__v1__list_move_events_request__init(in);
    in->name = text_of(name);
    in->page_size = 1;
    return &in->base;
}

static const ProtobufCMessage *pause_request(struct kit *kit, const char *name)
{
    Freehold__V1__PauseMoveRequest *in = FH_ARENA_NEW(&kit->arena, Freehold__V1__PauseMoveRequest);
    freehold__v1__pause_move_request__init(in);
    in->name = text_of(name);
    return &in->base;
}

/* One round after another, until the failure is not reached any more and the call succeeds. */
static void call_without_memory(struct kit *kit, const char *method, bool of_arena,
                                const ProtobufCMessage *request)
{
    bool more = true;
    enum fh_code code = FH_NOMEM;
    size_t room = 0;
    for (int round = 0; more; round++) {
        struct fh_call *call = kit_prepare(kit, &kit->moves, method, &kit->operator_, request);
        if (of_arena) {
            call->arena.bytes_max = call->arena.bytes_used + room;
        } else {
            fh_alloc_fault_on(round, 1);
        }
        fake_call_run(call);
        kit_wait(kit, &call->ended);
        code = call->code;
        more = of_arena ? code != FH_OK : fh_alloc_fault_off() != 0;
        if (!is_clean(code)) {
            fail_msg("%s, round %d: %s: %s", method, round, fh_code_name(code), call->message);
        }
        fake_call_free(call);
        room += 16 + room / 64 / 16 * 16;
        assert_true(round < ROUNDS_MAX);
    }
    assert_int_equal(code, FH_OK);
}

static void test_memory(void **state)
{
    struct kit *kit = *state;
    const char *name = moves_start(kit, "tenant-a")->name;
    watch_without_memory(kit, name);
    for (int of_arena = 0; of_arena < 2; of_arena++) {
        const char *slug = of_arena == 0 ? "tenant-a" : "tenant-b";
        if (of_arena == 0) {
            moves_end(kit, name);
        }
        /* The same request again and again: once it was done, its first answer. */
        call_without_memory(kit, "StartMove", of_arena != 0, start_request(kit, slug));
        assert_int_equal(moves_count(kit, message_text(&kit->arena, "tenants/%s", slug), true), 1);
        call_without_memory(kit, "ListMoves", of_arena != 0, list_request(kit, name));
        call_without_memory(kit, "ListMoveEvents", of_arena != 0, events_request(kit, name));
        const Freehold__V1__ListMovesResponse *all =
            response(Freehold__V1__ListMovesResponse, kit,
                     moves_list(kit, 1, "", message_text(&kit->arena, "tenants/%s", slug), true));
        call_without_memory(kit, "PauseMove", of_arena != 0,
                            pause_request(kit, all->moves[0]->name));
        assert_int_equal(moves_get(kit, all->moves[0]->name)->wish,
                         FREEHOLD__V1__MOVE_WISH__MOVE_WISH_PAUSE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MOVES_TEST(test_tells_changes),
        MOVES_TEST(test_tells_nothing_twice),
        MOVES_TEST(test_tells_an_ended_one_once),
        MOVES_TEST(test_slow_reader),
        MOVES_TEST(test_peer_goes_away),
        MOVES_TEST(test_server_stops),
        MOVES_TEST(test_bound),
        MOVES_TEST(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
