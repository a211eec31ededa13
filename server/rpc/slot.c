/* Slots: requests we told gRPC we are ready for.
 *
 * Happy path: a slot completes with a request, its contents move into a call, it is armed again at
 * once, before anything else is done with the request. Failure: completion without success means
 * that the server is shutting down, and the slot stays unarmed.
 *
 * How many: gRPC's completion queue looks through every outstanding tag at each completion, so a
 * slot that waits for nothing costs all calls (with 64 for each of 60 methods, a third of a call's
 * instructions). A request that finds no slot waits in gRPC for the next to be armed, which costs
 * it less than a twentieth. So methods begin with few, and whichever has more requests in one turn
 * of the loop than slots gets one more for each, up to its bound.
 */
#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <string.h>

#include "base/alloc.h"
#include "server/rpc/internal.h"

#define SLOTS_FIRST 2

static bool arm(struct rpc_slot *slot)
{
    const struct rpc_method *method = slot->method;
    const struct rpc_listener *listener = method->listener;
    grpc_completion_queue *queue = fh_rpc_poller_queue(listener->server->poller);
    grpc_call_error failed;

    fh_rpc_tag_give(&slot->tag);
    if (method->registered != NULL) {
        failed = grpc_server_request_registered_call(
            listener->grpc, method->registered, &slot->call, &slot->deadline, &slot->metadata,
            method->kind == FH_RPC_BIDI ? NULL : &slot->payload, queue, queue, &slot->tag);
    } else {
        grpc_call_details_init(&slot->details);
        failed = grpc_server_request_call(listener->grpc, &slot->call, &slot->details,
                                          &slot->metadata, queue, queue, &slot->tag);
    }
    return failed == GRPC_CALL_OK;
}

static bool arm_first(struct rpc_slot *slot)
{
    grpc_metadata_array_init(&slot->metadata);
    return arm(slot);
}

/* Counts a request, and arms one slot more where this turn brought more than there are. */
static void grow(struct rpc_method *method)
{
    const struct fh_rpc_server *server = method->listener->server;

    if (method->turn != server->turn) {
        method->turn = server->turn;
        method->arrived = 0;
    }
    method->arrived++;
    if (method->arrived > method->armed && method->armed < method->slot_count &&
        server->phase == RPC_SERVING && arm_first(&method->slots[method->armed])) {
        method->armed++;
    }
}

static void slot_cb(struct fh_rpc_tag *tag, bool success)
{
    struct rpc_slot *slot = FH_CONTAINER_OF(tag, struct rpc_slot, tag);
    struct rpc_slot arrived = *slot;

    grpc_metadata_array_init(&slot->metadata);
    slot->call = NULL;
    slot->payload = NULL;
    if (!success) {
        grpc_metadata_array_destroy(&arrived.metadata);
        if (slot->method->registered == NULL) {
            grpc_call_details_destroy(&arrived.details);
        }
        return;
    }
    if (!arm(slot)) {
        FH_LOG(slot->method->listener->server->env.log, ERROR, "rpc.slot_lost",
               FH_KV_TEXT("method", slot->method->path));
    }
    grow(slot->method);
    if (arrived.method->registered == NULL) {
        arrived.deadline = arrived.details.deadline;
        grpc_call_details_destroy(&arrived.details);
    }
    fh_rpc_call_arrived(&arrived);
    grpc_metadata_array_destroy(&arrived.metadata);
}

enum fh_code fh_rpc_slots_arm(struct rpc_method *method)
{
    method->slots = fh_calloc(method->slot_count, sizeof(*method->slots));
    if (method->slots == NULL) {
        return FH_NOMEM;
    }
    for (uint32_t i = 0; i < method->slot_count; i++) {
        struct rpc_slot *slot = &method->slots[i];
        slot->method = method;
        slot->tag.cb = slot_cb;
    }
    while (method->armed < SLOTS_FIRST && method->armed < method->slot_count) {
        if (!arm_first(&method->slots[method->armed])) {
            return FH_INTERNAL;
        }
        method->armed++;
    }
    return FH_OK;
}
