/* Happy path: a channel and a queue are made; calls go onto `sent`, come back through the queue,
 * and go from there to `ended`, or to `held` until their next try is due.
 *
 * Failures: what cannot be made is refused in fh_client_create(); a channel that cannot connect
 * shows as UNAVAILABLE in the calls. Destroying cancels, then drains the queue, as gRPC demands.
 */
#include "clients/c/client.h"

#include <arpa/inet.h>
#include <grpc/grpc_security.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "clients/c/internal.h"
#include "clients/c/memory.h"

#define DEADLINE_US_DEFAULT (30 * 1000000LL)
#define CALLS_DEFAULT 64
#define RESPONSE_BYTES_DEFAULT (16u << 20)
#define ADDRESS_MAX 512
#define TOKEN_MAX 8192
#define CHANNEL_ARGS_MAX 10
#define STOP_US 200000

void fh_client_options_init(struct fh_client_options *options)
{
    *options = (struct fh_client_options){
        .deadline_us = DEADLINE_US_DEFAULT,
        .calls_max = CALLS_DEFAULT,
        .response_bytes_max = RESPONSE_BYTES_DEFAULT,
        .clock = fh_clock_system(),
    };
}

/* "127.x.y.z:port", "localhost:port", "[::1]:port", "unix:path". */
static bool is_loopback(const char *address)
{
    char host[ADDRESS_MAX];
    struct in_addr in;
    if (strncmp(address, "unix:", 5) == 0 || strncmp(address, "[::1]:", 6) == 0) {
        return true;
    }
    const char *colon = strrchr(address, ':');
    const size_t len = colon != NULL ? (size_t)(colon - address) : strlen(address);
    if (len >= sizeof(host)) {
        return false;
    }
    memcpy(host, address, len);
    host[len] = '\0';
    return strcmp(host, "localhost") == 0 ||
           (inet_pton(AF_INET, host, &in) == 1 && (ntohl(in.s_addr) >> 24) == 127);
}

/* gRPC would try port 0 or 443, and what it then says helps nobody. */
static bool has_port(const char *address)
{
    long long port;
    const char *colon = strrchr(address, ':');
    if (strncmp(address, "unix:", 5) == 0) {
        return true;
    }
    if (colon == NULL || colon == address || !fh_str_to_int64(fh_str_of(colon + 1), &port)) {
        return false;
    }
    const bool one = strchr(address, ':') == colon; /* else IPv6, which needs brackets */
    return (one || colon[-1] == ']') && port >= 1 && port <= UINT16_MAX;
}

static enum fh_code check_token(const char *token, struct fh_error *error)
{
    for (const char *c = token; c != NULL && *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~') {
            return fh_error_field(error, FH_INVALID, "token", "the token is not visible ASCII");
        }
    }
    if (token != NULL && strlen(token) > TOKEN_MAX) {
        return fh_error_field(error, FH_INVALID, "token", "the token is longer than %d bytes",
                              TOKEN_MAX);
    }
    return FH_OK;
}

static enum fh_code check(const struct fh_client_options *options, struct fh_error *error)
{
    const bool tls = options->tls || options->ca_pem != NULL;
    if (options->address == NULL || options->address[0] == '\0' ||
        strlen(options->address) >= ADDRESS_MAX || !has_port(options->address)) {
        return fh_error_field(error, FH_INVALID, "address", "an address is host:port");
    }
    if (!tls && !options->insecure && !is_loopback(options->address)) {
        return fh_error_field(error, FH_INVALID, "address",
                              "%s is not on this machine: use TLS (a CA file), or say that "
                              "plaintext is meant",
                              options->address);
    }
    enum fh_code code = check_token(options->token, error);
    if (code != FH_OK) {
        return code;
    }
    if (options->calls_max == 0 || options->calls_max > FH_CLIENT_CALLS_MAX ||
        options->deadline_us <= 0 || options->response_bytes_max > INT32_MAX) {
        return fh_error_set(error, FH_INVALID, "a limit of the client is out of range");
    }
    return FH_OK;
}

static grpc_arg int_arg(const char *key, int value)
{
    grpc_arg arg = {.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key};
    arg.value.integer = value;
    return arg;
}

static grpc_arg string_arg(const char *key, const char *value)
{
    grpc_arg arg = {.type = GRPC_ARG_STRING, .key = (char *)(uintptr_t)key};
    arg.value.string = (char *)(uintptr_t)value;
    return arg;
}

static grpc_channel *channel_create(const struct fh_client_options *options)
{
    const bool tls = options->tls || options->ca_pem != NULL;
    grpc_arg list[] = {
        int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)options->response_bytes_max),
        /* Retrying is ours: gRPC's own knows neither request_id nor OUTCOME_UNKNOWN. */
        int_arg(GRPC_ARG_ENABLE_RETRIES, 0),
        int_arg(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
        int_arg(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100),
        int_arg(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000),
        int_arg(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000),
        int_arg(GRPC_ARG_ENABLE_HTTP_PROXY, tls ? 1 : 0),
        string_arg(GRPC_ARG_PRIMARY_USER_AGENT_STRING, "freehold-c/0.1"),
        /* Two clients with different tokens must not share a connection by accident. */
        int_arg(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
    };
    _Static_assert(sizeof(list) / sizeof(list[0]) <= CHANNEL_ARGS_MAX, "keep it small");
    grpc_channel_args args = {.num_args = sizeof(list) / sizeof(list[0]), .args = list};
    grpc_channel_credentials *credentials =
        tls ? grpc_ssl_credentials_create(options->ca_pem, NULL, NULL, NULL)
            : grpc_insecure_credentials_create();
    if (credentials == NULL) {
        return NULL;
    }
    grpc_channel *channel = grpc_channel_create(options->address, credentials, &args);
    grpc_channel_credentials_release(credentials);
    return channel;
}

static void wipe_cb(void *data, size_t len)
{
    explicit_bzero(data, len);
    fh_free(data);
}

static enum fh_code authorization_create(const char *token, grpc_slice *out)
{
    static const char scheme[] = "Bearer ";
    const size_t len = sizeof(scheme) - 1 + strlen(token);
    char *text = fh_malloc(len);
    if (text == NULL) {
        return FH_NOMEM;
    }
    memcpy(text, scheme, sizeof(scheme) - 1);
    memcpy(text + sizeof(scheme) - 1, token, len - (sizeof(scheme) - 1));
    *out = grpc_slice_new_with_len(text, len, wipe_cb);
    return FH_OK;
}

enum fh_code fh_client_create(const struct fh_client_options *options, struct fh_client **out,
                              struct fh_error *error)
{
    *out = NULL;
    enum fh_code code = check(options, error);
    if (code != FH_OK) {
        return code;
    }
    struct fh_client *client = fh_calloc(1, sizeof(*client));
    if (client == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory");
    }
    client->clock = options->clock != NULL ? options->clock : fh_clock_system();
    client->deadline_us = options->deadline_us;
    client->calls_max = options->calls_max;
    client->random = (uint32_t)fh_clock_monotonic_us(client->clock);
    fh_list_init(&client->sent);
    fh_list_init(&client->held);
    fh_list_init(&client->ended);
    client->authorization = grpc_empty_slice();
    if (options->token != NULL) {
        code = authorization_create(options->token, &client->authorization);
        if (code != FH_OK) {
            fh_free(client);
            return fh_error_set(error, code, "out of memory");
        }
    }
    grpc_init();
    client->queue = grpc_completion_queue_create_for_next(NULL);
    client->channel = channel_create(options);
    if (client->channel == NULL) {
        fh_client_destroy(client);
        return fh_error_field(error, FH_INVALID, "ca", "the CA certificates cannot be used");
    }
    *out = client;
    return FH_OK;
}

static void drop_list(struct fh_list *list)
{
    for (struct fh_list *node = fh_list_pop_front(list); node != NULL;
         node = fh_list_pop_front(list)) {
        fh_client_call_free(FH_CONTAINER_OF(node, struct fh_client_call, link));
    }
}

void fh_client_destroy(struct fh_client *client)
{
    if (client == NULL) {
        return;
    }
    for (struct fh_list *node = client->sent.next; node != &client->sent; node = node->next) {
        grpc_call_cancel(FH_CONTAINER_OF(node, struct fh_client_call, link)->call, NULL);
    }
    grpc_completion_queue_shutdown(client->queue);
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(client->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            break;
        }
        FH_ASSERT(event.type == GRPC_OP_COMPLETE);
    }
    drop_list(&client->sent);
    drop_list(&client->held);
    drop_list(&client->ended);
    grpc_completion_queue_destroy(client->queue);
    if (client->channel != NULL) {
        grpc_channel_destroy(client->channel);
    }
    grpc_slice_unref(client->authorization);
    /* Blocking, so that nothing of gRPC runs when the process ends. */
    grpc_shutdown_blocking();
    fh_free(client);
}

void fh_client_set_deadline_us(struct fh_client *client, int64_t deadline_us)
{
    FH_ASSERT(deadline_us > 0);
    client->deadline_us = deadline_us;
}

enum fh_code fh_client_set_token(struct fh_client *client, const char *token)
{
    struct fh_error ignored = FH_ERROR_INIT;
    grpc_slice slice = grpc_empty_slice();
    FH_ASSERT(client->live == 0);
    enum fh_code code = check_token(token, &ignored);
    if (code == FH_OK && token != NULL) {
        code = authorization_create(token, &slice);
    }
    if (code == FH_OK) {
        grpc_slice_unref(client->authorization);
        client->authorization = slice;
    }
    return code;
}

void fh_client_set_headers(struct fh_client *client, const struct fh_client_header *headers,
                           size_t count)
{
    FH_ASSERT(count <= FH_CLIENT_HEADERS_MAX);
    client->headers = headers;
    client->header_count = count;
}

void fh_client_set_stop(struct fh_client *client, fh_client_stop_cb *stop_cb, void *arg)
{
    client->stop_cb = stop_cb;
    client->stop_arg = arg;
}

size_t fh_client_live(const struct fh_client *client)
{
    return client->live;
}

/* Sends what is due; answers when the next one will be (INT64_MAX: none). */
static int64_t send_due(struct fh_client *client)
{
    const int64_t now_us = fh_clock_monotonic_us(client->clock);
    int64_t next_us = INT64_MAX;
    struct fh_list *node = client->held.next;
    while (node != &client->held) {
        struct fh_client_call *call = FH_CONTAINER_OF(node, struct fh_client_call, link);
        node = node->next;
        if (call->retry_at_us <= now_us) {
            fh_list_remove(&call->link);
            fh_client_call_send(call);
        } else if (call->retry_at_us < next_us) {
            next_us = call->retry_at_us;
        }
    }
    return next_us == INT64_MAX ? INT64_MAX : next_us - now_us;
}

/* Calls on `ended` stay there. */
static void cancel_all(struct fh_client *client)
{
    struct fh_list *const lists[] = {&client->sent, &client->held};
    for (size_t i = 0; i < 2; i++) {
        for (struct fh_list *node = lists[i]->next; node != lists[i];) {
            struct fh_client_call *call = FH_CONTAINER_OF(node, struct fh_client_call, link);
            node = node->next;
            fh_client_call_cancel(call);
        }
    }
}

struct fh_client_call *fh_client_next(struct fh_client *client)
{
    while (client->live > 0) {
        if (client->stop_cb != NULL && client->stop_cb(client->stop_arg)) {
            cancel_all(client);
        }
        int64_t wait_us = send_due(client);
        if (client->stop_cb != NULL && wait_us > STOP_US) {
            wait_us = STOP_US;
        }
        struct fh_list *node = fh_list_pop_front(&client->ended);
        if (node != NULL) {
            client->live--;
            return FH_CONTAINER_OF(node, struct fh_client_call, link);
        }
        gpr_timespec until = wait_us == INT64_MAX
                                 ? gpr_inf_future(GPR_CLOCK_MONOTONIC)
                                 : gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                                gpr_time_from_micros(wait_us, GPR_TIMESPAN));
        grpc_event event = grpc_completion_queue_next(client->queue, until, NULL);
        FH_ASSERT(event.type != GRPC_QUEUE_SHUTDOWN);
        if (event.type == GRPC_OP_COMPLETE) {
            struct fh_client_call *call = event.tag;
            fh_list_remove(&call->link);
            fh_client_call_complete(call);
        }
    }
    return NULL;
}

/* Ends of other calls that come meanwhile stay for fh_client_next(). */
static void wait_for(struct fh_client *client, struct fh_client_call *wanted)
{
    struct fh_list others;
    fh_list_init(&others);
    for (;;) {
        struct fh_client_call *call = fh_client_next(client);
        FH_ASSERT(call != NULL);
        if (call == wanted) {
            break;
        }
        fh_list_push_back(&others, &call->link);
    }
    struct fh_list *node;
    while ((node = fh_list_pop_front(&others)) != NULL) {
        fh_list_push_back(&client->ended, node);
        client->live++;
    }
}

bool fh_client_invoke(struct fh_client *client, const ProtobufCServiceDescriptor *service,
                      const char *method, const ProtobufCMessage *request, ProtobufCMessage **out,
                      struct fh_client_status *status)
{
    struct fh_client_call *call = NULL;
    struct fh_error error = FH_ERROR_INIT;
    *out = NULL;
    enum fh_code code = fh_client_call_start(client, service, method, request, NULL, &call, &error);
    if (code != FH_OK) {
        fh_client_status_set(status, fh_code_grpc_status(code), fh_error_text(&error));
        client->last = *status;
        return false;
    }
    wait_for(client, call);
    *status = call->status;
    client->last = call->status;
    *out = call->message;
    call->message = NULL;
    fh_client_call_free(call);
    return status->grpc == FH_GRPC_OK;
}

void fh_client_message_free(ProtobufCMessage *message)
{
    if (message != NULL) {
        protobuf_c_message_free_unpacked(message, &fh_client_allocator);
    }
}

static void invoke_cb(ProtobufCService *service, unsigned method_index,
                      const ProtobufCMessage *input, ProtobufCClosure closure, void *closure_data)
{
    struct fh_client_stub *stub = FH_CONTAINER_OF(service, struct fh_client_stub, base);
    struct fh_client_status status;
    ProtobufCMessage *message = NULL;
    const char *method = service->descriptor->methods[method_index].name;
    if (fh_client_invoke(stub->client, service->descriptor, method, input, &message, &status)) {
        FH_ASSERT(message != NULL);
    }
    closure(message, closure_data);
    fh_client_message_free(message);
}

static void destroy_cb(ProtobufCService *service)
{
    (void)service; /* plain memory of the caller's */
}

void fh_client_stub_init(struct fh_client_stub *stub, struct fh_client *client,
                         const ProtobufCServiceDescriptor *service)
{
    *stub = (struct fh_client_stub){
        .base = {.descriptor = service, .invoke = invoke_cb, .destroy = destroy_cb},
        .client = client,
    };
}

const struct fh_client_status *fh_client_last_status(const struct fh_client *client)
{
    return &client->last;
}
