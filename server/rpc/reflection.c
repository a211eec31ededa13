/* Happy path: one question, one answer; both versions share the code, since v1alpha has the same
 * bytes. Failures: whatever is not found is an ErrorResponse inside an answer, as the protocol
 * asks; the stream goes on.
 */
#include "server/rpc/reflection.h"

#include <string.h>

#include "grpc/reflection/v1/reflection.pb-c.h"
#include "grpc/reflection/v1alpha/reflection.pb-c.h"
#include "server/rpc/descriptor_set.h"
#include "server/rpc/internal.h"

/* Made by proto/CMakeLists.txt. */
extern const unsigned char fh_proto_descriptor_set[];
extern const unsigned long fh_proto_descriptor_set_size;

typedef Grpc__Reflection__V1__ServerReflectionRequest reflection_request;
typedef Grpc__Reflection__V1__ServerReflectionResponse reflection_response;
#define ASKED(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define ANSWER(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

static struct fh_str embedded_set(void)
{
    return (struct fh_str){.data = (const char *)fh_proto_descriptor_set,
                           .len = fh_proto_descriptor_set_size};
}

static void answer(struct fh_call *call, reflection_response *response)
{
    reflection_request *request = (reflection_request *)(uintptr_t)fh_call_request(call);

    response->valid_host = request->host;
    response->original_request = request;
    /* One answer for each question: the queue cannot be full. Cancelled: the stream ends by itself.
     */
    enum fh_code code = fh_call_send(call, &response->base);
    if (code != FH_OK && code != FH_CANCELLED) {
        fh_call_fail_code(call, code);
    }
}

static void send_error(struct fh_call *call, enum fh_code code, const char *message)
{
    reflection_response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__ErrorResponse error = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;

    error.error_code = fh_code_grpc_status(code);
    error.error_message = (char *)(uintptr_t)message;
    response.message_response_case = ANSWER(ERROR_RESPONSE);
    response.error_response = &error;
    answer(call, &response);
}

static void send_files(struct fh_call *call, struct fh_str file)
{
    reflection_response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__FileDescriptorResponse files =
        GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    struct fh_str closure[FH_DESCRIPTOR_FILES_MAX];
    ProtobufCBinaryData data[FH_DESCRIPTOR_FILES_MAX];

    files.n_file_descriptor_proto = fh_descriptor_closure(embedded_set(), file, closure);
    for (size_t i = 0; i < files.n_file_descriptor_proto; i++) {
        data[i].data = (uint8_t *)(uintptr_t)closure[i].data;
        data[i].len = closure[i].len;
    }
    files.file_descriptor_proto = data;
    response.message_response_case = ANSWER(FILE_DESCRIPTOR_RESPONSE);
    response.file_descriptor_response = &files;
    answer(call, &response);
}

static void send_services(struct fh_call *call, const struct rpc_listener *listener)
{
    reflection_response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__ListServiceResponse list =
        GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    struct fh_arena *arena = fh_call_arena(call);

    list.service =
        FH_ARENA_ARRAY(arena, Grpc__Reflection__V1__ServiceResponse *, listener->service_count);
    for (size_t i = 0; list.service != NULL && i < listener->service_count; i++) {
        Grpc__Reflection__V1__ServiceResponse *service =
            FH_ARENA_NEW(arena, Grpc__Reflection__V1__ServiceResponse);
        if (service == NULL) {
            list.service = NULL;
            break;
        }
        grpc__reflection__v1__service_response__init(service);
        service->name = (char *)(uintptr_t)listener->services[i];
        list.service[list.n_service++] = service;
    }
    if (list.service == NULL) {
        fh_call_fail_code(call, FH_NOMEM);
        return;
    }
    response.message_response_case = ANSWER(LIST_SERVICES_RESPONSE);
    response.list_services_response = &list;
    answer(call, &response);
}

static void info_cb(struct fh_call *call, void *arg)
{
    const struct rpc_listener *listener = arg;
    const reflection_request *request = (const reflection_request *)fh_call_request(call);
    struct fh_str file;

    switch (request->message_request_case) {
    case ASKED(LIST_SERVICES):
        send_services(call, listener);
        break;
    case ASKED(FILE_BY_FILENAME):
        if (fh_descriptor_file(embedded_set(), fh_str_of(request->file_by_filename), &file)) {
            send_files(call, file);
        } else {
            send_error(call, FH_NOT_FOUND, "no such file");
        }
        break;
    case ASKED(FILE_CONTAINING_SYMBOL):
        if (fh_descriptor_symbol(embedded_set(), fh_str_of(request->file_containing_symbol),
                                 &file)) {
            send_files(call, file);
        } else {
            send_error(call, FH_NOT_FOUND, "no such symbol");
        }
        break;
    case ASKED(FILE_CONTAINING_EXTENSION):
    case ASKED(ALL_EXTENSION_NUMBERS_OF_TYPE):
        send_error(call, FH_NOT_FOUND, "proto3 has no extensions");
        break;
    default:
        send_error(call, FH_INVALID, "the request asks for nothing");
        break;
    }
}

static struct fh_rpc_service make(const ProtobufCServiceDescriptor *descriptor,
                                  struct rpc_listener *listener)
{
    static const struct fh_rpc_method methods[] = {
        {.name = "ServerReflectionInfo", .kind = FH_RPC_BIDI, .handler = info_cb},
    };

    return (struct fh_rpc_service){
        .descriptor = descriptor, .methods = methods, .method_count = 1, .arg = listener};
}

struct fh_rpc_service fh_rpc_reflection_service(struct rpc_listener *listener)
{
    return make(&grpc__reflection__v1__server_reflection__descriptor, listener);
}

struct fh_rpc_service fh_rpc_reflection_service_v1alpha(struct rpc_listener *listener)
{
    return make(&grpc__reflection__v1alpha__server_reflection__descriptor, listener);
}
