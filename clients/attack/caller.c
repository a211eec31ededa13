/* Happy path: token and metadata are set, the call is made. Failures: of the transport, of a busy
 * server and of time are told from refusals by their status. */
#include "clients/attack/caller.h"

#include <string.h>

#define CALLER_TRIES 3

bool fh_caller_is_stopped(const struct fh_caller *caller)
{
    return caller->stop_cb != NULL && caller->stop_cb(caller->stop_arg);
}

bool fh_caller_was_answered(const struct fh_client_status *status)
{
    switch (status->grpc) {
    case FH_GRPC_CANCELLED:
    case FH_GRPC_UNKNOWN:
    case FH_GRPC_DEADLINE_EXCEEDED:
    case FH_GRPC_RESOURCE_EXHAUSTED:
    case FH_GRPC_ABORTED:
    case FH_GRPC_UNAVAILABLE:
        return false;
    default:
        return true;
    }
}

static ProtobufCMessage *call_once(struct fh_caller *caller, const struct fh_caller_as *as,
                                   const ProtobufCServiceDescriptor *service, const char *method,
                                   const ProtobufCMessage *request, struct fh_client_status *status)
{
    struct fh_client *client = caller->clients[as->listener];
    ProtobufCMessage *message = NULL;
    const int64_t left_us = caller->deadline_at_us - fh_clock_monotonic_us(fh_clock_system());
    if (left_us <= 0 || fh_caller_is_stopped(caller)) {
        fh_client_status_set(status, FH_GRPC_DEADLINE_EXCEEDED, "the run's time is over");
        return NULL;
    }
    if (fh_client_set_token(client, as->token) != FH_OK) {
        fh_client_status_set(status, FH_GRPC_RESOURCE_EXHAUSTED, "the token cannot be sent");
        return NULL;
    }
    fh_client_set_deadline_us(client, left_us < caller->call_us ? left_us : caller->call_us);
    fh_client_set_headers(client, as->headers, as->header_count);
    if (!fh_client_invoke(client, service, method, request, &message, status)) {
        message = NULL;
    }
    fh_client_set_headers(client, NULL, 0);
    return message;
}

ProtobufCMessage *fh_caller_call(struct fh_caller *caller, const struct fh_caller_as *as,
                                 const ProtobufCServiceDescriptor *service, const char *method,
                                 const ProtobufCMessage *request, struct fh_client_status *status)
{
    ProtobufCMessage *message = NULL;
    for (int i = 0; i < CALLER_TRIES; i++) {
        message = call_once(caller, as, service, method, request, status);
        if (message != NULL || !fh_client_status_is_passing(status)) {
            break;
        }
    }
    return message;
}
