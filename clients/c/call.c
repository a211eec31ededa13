/* Happy path: the request is packed once; a try is one gRPC call with one batch of all six
 * operations, so one completion; the response is unpacked, the call ends.
 *
 * Failures: a passing one (status.h) of a repeatable request holds the call until its next try, as
 * long as that still fits the deadline; every other ends it. Once a try's outcome was not known,
 * the call's is not either until a later try gets a final answer. A response that does not unpack
 * is INTERNAL, and no memory for it is RESOURCE_EXHAUSTED, as from a server. Cancelling while held
 * ends at once.
 */
#include <stdio.h>
#include <string.h>

#include <grpc/byte_buffer_reader.h>
#include <grpc/support/alloc.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "clients/c/internal.h"
#include "clients/c/memory.h"

#define REQUEST_BYTES_MAX (4u << 20)
#define PATH_MAX_LEN 256
#define BACKOFF_US_FIRST 50000
#define BACKOFF_US_MAX 2000000
#define OPS 6
#define OUTCOME_UNKNOWN "OUTCOME_UNKNOWN" /* the reason in a server's ErrorInfo */

bool fh_client_is_repeatable(const char *method, const ProtobufCMessage *request)
{
    static const char *const reads[] = {"Get", "BatchGet", "List", "Check"};
    for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
        if (strncmp(method, reads[i], strlen(reads[i])) == 0) {
            return true;
        }
    }
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(request->descriptor, "request_id");
    if (field == NULL || field->type != PROTOBUF_C_TYPE_STRING ||
        field->label == PROTOBUF_C_LABEL_REPEATED) {
        return false;
    }
    const void *at = (const char *)request + field->offset;
    const char *id;
    memcpy(&id, at, sizeof(id));
    return id != NULL && id[0] != '\0';
}

int64_t fh_client_backoff_us(unsigned tries, int64_t retry_after_us, uint32_t random)
{
    int64_t delay_us = BACKOFF_US_FIRST;
    for (unsigned i = 1; i < tries && delay_us < BACKOFF_US_MAX; i++) {
        delay_us *= 2;
    }
    if (delay_us > BACKOFF_US_MAX) {
        delay_us = BACKOFF_US_MAX;
    }
    /* Many clients refused at once must not come back at once. */
    delay_us += delay_us / 4 * ((int64_t)(random % 2001) - 1000) / 1000;
    return delay_us > retry_after_us ? delay_us : retry_after_us;
}

static uint32_t next_random(struct fh_client *client)
{
    client->random = client->random * 1664525u + 1013904223u; /* Numerical Recipes' constants */
    return client->random >> 8;
}

static void end(struct fh_client_call *call)
{
    fh_list_push_back(&call->client->ended, &call->link);
}

static void end_with(struct fh_client_call *call, int grpc, const char *message)
{
    fh_client_status_set(&call->status, grpc, message);
    end(call);
}

/* Counted, not static: the transport's header compression keeps keys and values beyond the call. */
static size_t metadata_fill(struct fh_client *client, grpc_metadata *metadata)
{
    size_t count = 0;
    for (; count < client->header_count; count++) {
        metadata[count] = (grpc_metadata){
            .key = grpc_slice_from_copied_string(client->headers[count].key),
            .value = grpc_slice_from_copied_string(client->headers[count].value),
        };
    }
    if (!GRPC_SLICE_IS_EMPTY(client->authorization)) {
        metadata[count++] = (grpc_metadata){
            .key = grpc_slice_from_static_string("authorization"),
            .value = grpc_slice_ref(client->authorization),
        };
    }
    return count;
}

static grpc_call_error start_batch(struct fh_client_call *call, grpc_byte_buffer *request)
{
    grpc_op ops[OPS];
    grpc_metadata metadata[FH_CLIENT_HEADERS_MAX + 1];
    memset(ops, 0, sizeof(ops));
    memset(metadata, 0, sizeof(metadata));
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].data.send_initial_metadata.count = metadata_fill(call->client, metadata);
    ops[0].data.send_initial_metadata.metadata = metadata;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = request;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &call->initial;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &call->response;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &call->trailing;
    ops[5].data.recv_status_on_client.status = &call->code;
    ops[5].data.recv_status_on_client.status_details = &call->details;
    grpc_call_error refused = grpc_call_start_batch(call->call, ops, OPS, call, NULL);
    for (size_t i = 0; i < ops[0].data.send_initial_metadata.count; i++) {
        grpc_slice_unref(metadata[i].key);
        grpc_slice_unref(metadata[i].value);
    }
    return refused;
}

void fh_client_call_send(struct fh_client_call *call)
{
    const int64_t left_us = call->deadline_at_us - fh_clock_monotonic_us(call->client->clock);
    gpr_timespec deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_micros(left_us, GPR_TIMESPAN));
    call->tries++;
    call->retry_at_us = 0;
    grpc_metadata_array_init(&call->initial);
    grpc_metadata_array_init(&call->trailing);
    call->response = NULL;
    call->details = grpc_empty_slice();
    call->call = grpc_channel_create_call(call->client->channel, NULL, 0, call->client->queue,
                                          call->path, NULL, deadline, NULL);
    grpc_byte_buffer *request = grpc_raw_byte_buffer_create(&call->request, 1);
    grpc_call_error refused = start_batch(call, request);
    grpc_byte_buffer_destroy(request);
    if (refused != GRPC_CALL_OK) {
        fh_client_call_clear(call);
        end_with(call, FH_GRPC_INTERNAL, grpc_call_error_to_string(refused));
        return;
    }
    fh_list_push_back(&call->client->sent, &call->link);
}

void fh_client_call_clear(struct fh_client_call *call)
{
    if (call->call == NULL) {
        return;
    }
    if (call->response != NULL) {
        grpc_byte_buffer_destroy(call->response);
        call->response = NULL;
    }
    grpc_metadata_array_destroy(&call->initial);
    grpc_metadata_array_destroy(&call->trailing);
    grpc_slice_unref(call->details);
    grpc_call_unref(call->call);
    call->call = NULL;
}

static struct fh_str slice_str(const grpc_slice *slice)
{
    return (struct fh_str){.data = (const char *)GRPC_SLICE_START_PTR(*slice),
                           .len = GRPC_SLICE_LENGTH(*slice)};
}

/* The value of a key; empty when there is none. Borrows from the metadata. */
static struct fh_str find(const grpc_metadata_array *metadata, struct fh_str key)
{
    for (size_t i = 0; i < metadata->count; i++) {
        if (fh_str_eq(slice_str(&metadata->metadata[i].key), key)) {
            return slice_str(&metadata->metadata[i].value);
        }
    }
    return (struct fh_str){0};
}

static void read_status(struct fh_client_call *call)
{
    struct fh_client_status *status = &call->status;
    struct fh_str text = slice_str(&call->details);
    fh_client_status_set(status, (int)call->code, "");
    (void)snprintf(status->message, sizeof(status->message), "%.*s", FH_STR_ARG(text));
    struct fh_str details = find(&call->trailing, FH_STR("grpc-status-details-bin"));
    if (details.len > 0) {
        (void)fh_client_status_decode(status, details);
    }
    struct fh_str id = find(&call->initial, FH_STR("freehold-request-id"));
    if (id.len == 0) { /* a refusal may come as trailers only */
        id = find(&call->trailing, FH_STR("freehold-request-id"));
    }
    (void)snprintf(status->request_id, sizeof(status->request_id), "%.*s", FH_STR_ARG(id));
    status->from_server = status->grpc == FH_GRPC_OK || status->reason[0] != '\0' || id.len > 0;
    call->client->answered = call->client->answered || status->from_server;
}

static void read_response(struct fh_client_call *call)
{
    grpc_byte_buffer_reader reader;
    if (call->response == NULL || grpc_byte_buffer_reader_init(&reader, call->response) == 0) {
        fh_client_status_set(&call->status, FH_GRPC_INTERNAL, "the server answered no message");
        return;
    }
    grpc_slice bytes = grpc_byte_buffer_reader_readall(&reader);
    struct fh_str in = slice_str(&bytes);
    call->message = protobuf_c_message_unpack(call->method->output, &fh_client_allocator, in.len,
                                              (const uint8_t *)in.data);
    grpc_slice_unref(bytes);
    grpc_byte_buffer_reader_destroy(&reader);
    if (call->message == NULL) {
        fh_client_status_set(&call->status, FH_GRPC_INTERNAL,
                             "the response does not parse, or memory is out");
    }
}

static bool hold(struct fh_client_call *call)
{
    struct fh_client *client = call->client;
    if (!call->repeatable || call->cancelled || call->tries >= FH_CLIENT_TRIES_MAX ||
        !fh_client_status_is_passing(&call->status) ||
        (!call->status.from_server && !client->answered)) {
        return false;
    }
    const int64_t at_us =
        fh_clock_monotonic_us(client->clock) +
        fh_client_backoff_us(call->tries, call->status.retry_after_us, next_random(client));
    if (at_us >= call->deadline_at_us) {
        return false;
    }
    call->retry_at_us = at_us;
    fh_list_push_back(&client->held, &call->link);
    return true;
}

/* A try that may have been carried out is not made undone by a later one that was not begun: only
 * an answer to the same request id settles it. */
static void keep_unknown(struct fh_client_call *call)
{
    struct fh_client_status *status = &call->status;
    if (!call->unknown ||
        (!fh_client_status_is_passing(status) && status->grpc != FH_GRPC_DEADLINE_EXCEEDED)) {
        return;
    }
    status->grpc = FH_GRPC_UNKNOWN;
    (void)snprintf(status->reason, sizeof(status->reason), "%s", OUTCOME_UNKNOWN);
}

void fh_client_call_complete(struct fh_client_call *call)
{
    read_status(call);
    if (call->status.grpc == FH_GRPC_OK) {
        read_response(call);
    }
    fh_client_call_clear(call);
    call->unknown = call->unknown || strcmp(call->status.reason, OUTCOME_UNKNOWN) == 0;
    if (!hold(call)) {
        keep_unknown(call);
        end(call);
    }
}

static enum fh_code pack(struct fh_client_call *call, const ProtobufCMessage *request,
                         struct fh_error *error)
{
    const size_t size = protobuf_c_message_get_packed_size(request);
    if (size > REQUEST_BYTES_MAX) {
        return fh_error_set(error, FH_TOO_LARGE, "the request has %zu bytes, at most %u", size,
                            REQUEST_BYTES_MAX);
    }
    uint8_t *bytes = fh_malloc(size > 0 ? size : 1);
    if (bytes == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    (void)protobuf_c_message_pack(request, bytes);
    call->request = grpc_slice_new(bytes, size, fh_free);
    return FH_OK;
}

static enum fh_code create(struct fh_client *client, const ProtobufCServiceDescriptor *service,
                           const ProtobufCMethodDescriptor *method, struct fh_client_call **out,
                           struct fh_error *error)
{
    char path[PATH_MAX_LEN];
    const int len = snprintf(path, sizeof(path), "/%s/%s", service->name, method->name);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return fh_error_set(error, FH_INVALID, "the method's name is too long");
    }
    struct fh_client_call *call = fh_calloc(1, sizeof(*call));
    if (call == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    call->client = client;
    call->service = service;
    call->method = method;
    /* Counted, not static: the transport's header compression keeps paths beyond the call. */
    call->path = grpc_slice_from_copied_string(path);
    call->request = grpc_empty_slice();
    fh_list_init(&call->link);
    *out = call;
    return FH_OK;
}

enum fh_code fh_client_call_start(struct fh_client *client,
                                  const ProtobufCServiceDescriptor *service, const char *method,
                                  const ProtobufCMessage *request, void *arg,
                                  struct fh_client_call **out, struct fh_error *error)
{
    struct fh_client_call *call = NULL;
    *out = NULL;
    if (client->live >= client->calls_max) {
        return fh_error_set(error, FH_FULL, "%u calls are under way", client->calls_max);
    }
    const ProtobufCMethodDescriptor *found =
        protobuf_c_service_descriptor_get_method_by_name(service, method);
    if (found == NULL || request->descriptor != found->input) {
        return fh_error_set(error, FH_INVALID, "%s has no method %s for this request",
                            service->name, method);
    }
    enum fh_code code = create(client, service, found, &call, error);
    if (code != FH_OK) {
        return code;
    }
    FH_ASSERT(call != NULL);
    code = pack(call, request, error);
    if (code != FH_OK) {
        fh_client_call_free(call);
        return code;
    }
    call->arg = arg;
    call->repeatable = fh_client_is_repeatable(method, request);
    call->deadline_at_us = fh_clock_monotonic_us(client->clock) + client->deadline_us;
    client->live++;
    fh_client_call_send(call);
    *out = call;
    return FH_OK;
}

void fh_client_call_cancel(struct fh_client_call *call)
{
    call->cancelled = true;
    if (call->call != NULL) {
        grpc_call_cancel(call->call, NULL);
    } else if (call->retry_at_us > 0) {
        call->retry_at_us = 0;
        fh_list_remove(&call->link);
        end(call);
    }
}

void *fh_client_call_arg(const struct fh_client_call *call)
{
    return call->arg;
}

const ProtobufCMessage *fh_client_call_response(const struct fh_client_call *call)
{
    return call->message;
}

const struct fh_client_status *fh_client_call_status(const struct fh_client_call *call)
{
    return &call->status;
}

unsigned fh_client_call_tries(const struct fh_client_call *call)
{
    return call->tries;
}

void fh_client_call_free(struct fh_client_call *call)
{
    if (call == NULL) {
        return;
    }
    fh_client_call_clear(call);
    fh_client_message_free(call->message);
    grpc_slice_unref(call->request);
    grpc_slice_unref(call->path);
    fh_free(call);
}
