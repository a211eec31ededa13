/* Listeners: what is served where, over which transport.
 *
 * Happy path: the address is judged (plaintext only on loopback), the service tables are checked
 * against their descriptors and copied, a grpc_server gets its methods, its credentials and its
 * port.
 *
 * Failures: a table that misses a method or names one the descriptor lacks, an unreadable PEM file,
 * a port in use: told with the cause; what was made is freed by fh_rpc_listener_close().
 */
#include <arpa/inet.h>
#include <errno.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "server/rpc/internal.h"
#include "server/rpc/reflection.h"

#define PEM_BYTES_MAX (1L << 20)
#define STREAMS_PER_CONNECTION_MAX 1024
#define HANDSHAKE_MS_MAX 10000
#define KEEPALIVE_MS 60000
#define KEEPALIVE_TIMEOUT_MS 20000
#define BUILTIN_SERVICES 3

/* By the address itself: a name that only begins like one of these could lead anywhere. */
static bool is_loopback(const char *address)
{
    struct in_addr v4;
    char host[INET_ADDRSTRLEN];
    const char *colon = strrchr(address, ':');

    if (strncmp(address, "[::1]:", 6) == 0 || strncmp(address, "localhost:", 10) == 0 ||
        strncmp(address, "unix:", 5) == 0) {
        return true;
    }
    if (colon == NULL || (size_t)(colon - address) >= sizeof(host)) {
        return false;
    }
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    return inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

/* gRPC would take a port modulo 65536. */
static bool has_port(const char *address)
{
    const char *colon = strrchr(address, ':');
    long long port = -1;

    return strncmp(address, "unix:", 5) == 0 ||
           (colon != NULL && fh_str_to_int64(fh_str_of(colon + 1), &port) && port >= 0 &&
            port <= UINT16_MAX);
}

static grpc_arg int_arg(const char *key, int value)
{
    grpc_arg arg = {.type = GRPC_ARG_INTEGER};

    arg.key = (char *)(uintptr_t)key;
    arg.value.integer = value;
    return arg;
}

static int to_int(uint32_t value)
{
    return value > INT32_MAX ? INT32_MAX : (int)value;
}

static grpc_server *create_grpc(const struct fh_rpc_options *options, grpc_completion_queue *queue)
{
    grpc_arg args[] = {
        int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, to_int(options->request_bytes_max)),
        int_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, to_int(options->response_bytes_max)),
        /* gRPC closes the whole connection at its limit, other calls on it included; ours comes
         * first and refuses the one call. */
        int_arg(GRPC_ARG_MAX_METADATA_SIZE, to_int(options->metadata_bytes_max * 4)),
        int_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS, STREAMS_PER_CONNECTION_MAX),
        int_arg(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, HANDSHAKE_MS_MAX),
        int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_MS),
        int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS),
        /* Else a second server would silently share the port, and with it the callers. */
        int_arg(GRPC_ARG_ALLOW_REUSEPORT, 0),
        /* Their filters cost a tenth of a call. */
        int_arg(GRPC_ARG_ENABLE_CHANNELZ, 0),
        int_arg(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0),
        int_arg(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0),
        int_arg(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE),
    };
    grpc_channel_args channel_args = {.num_args = sizeof(args) / sizeof(args[0]), .args = args};
    grpc_server *server = grpc_server_create(&channel_args, NULL);

    grpc_server_register_completion_queue(server, queue, NULL);
    return server;
}

/* -- credentials ----------------------------------------------------------------------------- */

static enum fh_code read_pem(const char *path, char **out, struct fh_error *error)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    enum fh_code code = FH_OK;

    *out = NULL;
    if (file == NULL) {
        return fh_error_set(error, FH_INVALID, "cannot read %s: %s", path, strerror(errno));
    }
    text = fh_calloc(1, (size_t)PEM_BYTES_MAX + 1);
    if (text == NULL) {
        code = fh_error_set(error, FH_NOMEM, "out of memory reading %s", path);
        goto done;
    }
    size_t len = fread(text, 1, (size_t)PEM_BYTES_MAX, file);
    if (ferror(file) != 0 || len == (size_t)PEM_BYTES_MAX || strstr(text, "-----BEGIN ") == NULL) {
        code = fh_error_set(error, FH_INVALID, "%s is not a PEM file of less than 1 MiB", path);
        explicit_bzero(text, len);
        fh_free(text);
        goto done;
    }
    *out = text;
done:
    (void)fclose(file);
    return code;
}

static void wipe(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        fh_free(text);
    }
}

static enum fh_code make_credentials(const struct fh_rpc_listener *config,
                                     grpc_server_credentials **out, struct fh_error *error)
{
    char *certificate = NULL;
    char *key = NULL;
    bool tls = config->tls_certificate_pem != NULL;

    if (tls != (config->tls_key_pem != NULL)) {
        return fh_error_set(error, FH_INVALID,
                            "listener %s: TLS needs both a certificate and a key", config->name);
    }
    if (!tls) {
        if (!config->insecure && !is_loopback(config->address)) {
            return fh_error_set(error, FH_INVALID,
                                "listener %s: %s is reachable from outside, so it needs TLS "
                                "(certificate and key), or an explicit insecure setting",
                                config->name, config->address);
        }
        *out = grpc_insecure_server_credentials_create();
        return FH_OK;
    }
    enum fh_code code = read_pem(config->tls_certificate_pem, &certificate, error);
    if (code == FH_OK) {
        code = read_pem(config->tls_key_pem, &key, error);
    }
    if (code == FH_OK) {
        grpc_ssl_pem_key_cert_pair pair = {.private_key = key, .cert_chain = certificate};
        *out = grpc_ssl_server_credentials_create_ex(
            NULL, &pair, 1, GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE, NULL);
        if (*out == NULL) {
            code = fh_error_set(error, FH_INVALID,
                                "listener %s: the certificate or key is not usable", config->name);
        }
    }
    wipe(key);
    wipe(certificate);
    return code;
}

/* -- methods --------------------------------------------------------------------------------- */

static enum fh_code add_method(struct rpc_listener *listener, const struct fh_rpc_service *service,
                               const struct fh_rpc_method *row, bool builtin,
                               struct fh_error *error)
{
    const ProtobufCMethodDescriptor *descriptor =
        protobuf_c_service_descriptor_get_method_by_name(service->descriptor, row->name);
    struct rpc_method *method = &listener->methods[listener->method_count];
    char path[256];

    if (descriptor == NULL) {
        return fh_error_set(error, FH_INVALID, "service %s has no method %s",
                            service->descriptor->name, row->name);
    }
    if (row->kind == FH_RPC_CLIENT_STREAM) {
        return fh_error_set(error, FH_UNIMPLEMENTED, "%s.%s: client streaming is not offered yet",
                            service->descriptor->name, row->name);
    }
    int len = snprintf(path, sizeof(path), "/%s/%s", service->descriptor->name, row->name);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return fh_error_set(error, FH_TOO_LARGE, "%s.%s: the name is too long",
                            service->descriptor->name, row->name);
    }
    *method = (struct rpc_method){
        .listener = listener,
        .path = fh_strdup(path),
        .input = descriptor->input,
        .kind = row->kind,
        .builtin = builtin,
        .access = builtin ? FH_RPC_ACCESS_ANY : row->access,
        .handler = row->handler,
        .arg = service->arg,
        .slot_count = builtin ? FH_RPC_BUILTIN_SLOTS : listener->server->options.slots_per_method,
    };
    if (method->path == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory for method %s", path);
    }
    listener->method_count++;
    method->registered = grpc_server_register_method(
        listener->grpc, path, NULL,
        row->kind == FH_RPC_BIDI ? GRPC_SRM_PAYLOAD_NONE
                                 : GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER,
        0);
    if (method->registered == NULL) {
        return fh_error_set(error, FH_EXISTS, "method %s is given twice", path);
    }
    return FH_OK;
}

static enum fh_code add_service(struct rpc_listener *listener, const struct fh_rpc_service *service,
                                bool builtin, struct fh_error *error)
{
    const char *name = service->descriptor->name;

    if (service->method_count != service->descriptor->n_methods) {
        return fh_error_set(error, FH_INVALID, "service %s has %u methods, its table %zu", name,
                            service->descriptor->n_methods, service->method_count);
    }
    for (size_t i = 0; i < service->method_count; i++) {
        enum fh_code code = add_method(listener, service, &service->methods[i], builtin, error);
        if (code != FH_OK) {
            return code;
        }
    }
    listener->services[listener->service_count++] = name;
    if (fh_rpc_health_offer(&listener->server->health, name, listener->index) != FH_OK) {
        return fh_error_set(error, FH_FULL, "too many services, or too long a name: %s", name);
    }
    return FH_OK;
}

static enum fh_code add_services(struct rpc_listener *listener,
                                 const struct fh_rpc_listener *config, struct fh_error *error)
{
    const struct fh_rpc_service builtins[BUILTIN_SERVICES] = {
        fh_rpc_health_service(listener), fh_rpc_reflection_service(listener),
        fh_rpc_reflection_service_v1alpha(listener)};
    size_t methods = 1;

    for (size_t i = 0; i < BUILTIN_SERVICES; i++) {
        methods += builtins[i].method_count;
    }
    for (size_t i = 0; i < config->service_count; i++) {
        methods += config->services[i].method_count;
    }
    listener->methods = fh_calloc(methods, sizeof(*listener->methods));
    listener->services =
        fh_calloc(config->service_count + BUILTIN_SERVICES, sizeof(*listener->services));
    if (listener->methods == NULL || listener->services == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory for listener %s", config->name);
    }
    enum fh_code code = FH_OK;
    for (size_t i = 0; code == FH_OK && i < config->service_count; i++) {
        code = add_service(listener, &config->services[i], false, error);
    }
    for (size_t i = 0; code == FH_OK && i < BUILTIN_SERVICES; i++) {
        code = add_service(listener, &builtins[i], true, error);
    }
    if (code != FH_OK) {
        return code;
    }
    /* Without it gRPC lets calls of unknown methods hang until their deadline. */
    struct rpc_method *unknown = &listener->methods[listener->method_count];
    *unknown = (struct rpc_method){.listener = listener,
                                   .path = fh_strdup("unknown"),
                                   .kind = FH_RPC_UNARY,
                                   .slot_count = FH_RPC_UNKNOWN_SLOTS};
    if (unknown->path == NULL) {
        return fh_error_set(error, FH_NOMEM, "out of memory for listener %s", config->name);
    }
    listener->method_count++;
    return FH_OK;
}

/* -- life ------------------------------------------------------------------------------------ */

static enum fh_code bind_port(struct rpc_listener *listener, const struct fh_rpc_listener *config,
                              struct fh_error *error)
{
    grpc_server_credentials *credentials = NULL;
    enum fh_code code = make_credentials(config, &credentials, error);

    if (code != FH_OK) {
        return code;
    }
    listener->port = grpc_server_add_http2_port(listener->grpc, config->address, credentials);
    grpc_server_credentials_release(credentials);
    if (listener->port == 0) {
        return fh_error_set(error, FH_UNAVAILABLE,
                            "listener %s: cannot listen on %s: is the address in use, or the "
                            "certificate not matching its key?",
                            config->name, config->address);
    }
    return FH_OK;
}

void fh_rpc_listener_close(struct rpc_listener *listener)
{
    for (size_t i = 0; i < listener->method_count; i++) {
        fh_free(listener->methods[i].path);
        fh_free(listener->methods[i].slots);
    }
    fh_free(listener->methods);
    fh_free(listener->services);
    fh_free(listener->name);
    fh_free(listener->address);
    *listener = (struct rpc_listener){0};
}

enum fh_code fh_rpc_server_listen(struct fh_rpc_server *server,
                                  const struct fh_rpc_listener *config, struct fh_error *error)
{
    if (!has_port(config->address)) {
        return fh_error_set(error, FH_INVALID,
                            "listener %s: %s is not an address with a port (0 to 65535)",
                            config->name, config->address);
    }
    if (server->phase != RPC_IDLE || server->listener_count == FH_RPC_LISTENERS_MAX) {
        return fh_error_set(error, FH_FULL, "listener %s: too many, or the server has started",
                            config->name);
    }
    struct rpc_listener *listener = &server->listeners[server->listener_count];
    *listener = (struct rpc_listener){
        .server = server,
        .index = server->listener_count,
        .name = fh_strdup(config->name),
        .address = fh_strdup(config->address),
        .open_introspection = config->open_introspection || is_loopback(config->address),
        .authenticate = config->authenticate,
        .authenticate_arg = config->authenticate_arg,
    };
    enum fh_code code = FH_NOMEM;
    if (listener->name == NULL || listener->address == NULL) {
        code = fh_error_set(error, FH_NOMEM, "out of memory for listener %s", config->name);
        fh_rpc_listener_close(listener);
        return code;
    }
    listener->grpc = create_grpc(&server->options, fh_rpc_poller_queue(server->poller));
    /* Kept also when refused: a grpc_server can only be destroyed through a shutdown, which
     * fh_rpc_server_stop() does for all. */
    server->listener_count++;
    code = add_services(listener, config, error);
    if (code == FH_OK) {
        code = bind_port(listener, config, error);
    }
    if (code != FH_OK) {
        listener->refused = true;
    }
    return code;
}

int fh_rpc_server_port(const struct fh_rpc_server *server, const char *listener)
{
    for (uint32_t i = 0; i < server->listener_count; i++) {
        if (strcmp(server->listeners[i].name, listener) == 0) {
            return server->listeners[i].port;
        }
    }
    return 0;
}
