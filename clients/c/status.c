/* Happy path: the packed google.rpc.Status is unpacked, each known Any copied out, unknown ones
 * skipped. Failure: bytes that do not parse, or no memory; the plain status stays as it is. */
#include "clients/c/status.h"

#include <stdio.h>
#include <string.h>

#include "clients/c/memory.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"

#define TYPE_PREFIX "type.googleapis.com/"
#define RETRY_AFTER_S_MAX 3600

static const char *const names[] = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

const char *fh_client_grpc_name(int grpc)
{
    const size_t count = sizeof(names) / sizeof(names[0]);
    return grpc >= 0 && (size_t)grpc < count ? names[grpc] : "UNKNOWN";
}

static void put(char *out, size_t size, const char *text)
{
    (void)snprintf(out, size, "%s", text != NULL ? text : "");
}

void fh_client_status_set(struct fh_client_status *status, int grpc, const char *message)
{
    memset(status, 0, sizeof(*status));
    status->grpc = grpc;
    put(status->message, sizeof(status->message), message);
}

static void take_error_info(struct fh_client_status *status, const ProtobufCMessage *message)
{
    const Google__Rpc__ErrorInfo *info = (const Google__Rpc__ErrorInfo *)message;
    put(status->reason, sizeof(status->reason), info->reason);
    put(status->domain, sizeof(status->domain), info->domain);
}

static void take_bad_request(struct fh_client_status *status, const ProtobufCMessage *message)
{
    const Google__Rpc__BadRequest *bad = (const Google__Rpc__BadRequest *)message;
    for (size_t i = 0; i < bad->n_field_violations; i++) {
        if (status->violation_count == FH_CLIENT_VIOLATIONS_MAX) {
            return;
        }
        struct fh_client_violation *out = &status->violations[status->violation_count++];
        put(out->field, sizeof(out->field), bad->field_violations[i]->field);
        put(out->description, sizeof(out->description), bad->field_violations[i]->description);
    }
}

static void take_retry_info(struct fh_client_status *status, const ProtobufCMessage *message)
{
    const Google__Rpc__RetryInfo *retry = (const Google__Rpc__RetryInfo *)message;
    const Google__Protobuf__Duration *delay = retry->retry_delay;
    if (delay != NULL && delay->seconds >= 0 && delay->seconds <= RETRY_AFTER_S_MAX &&
        delay->nanos >= 0 && delay->nanos <= 999999999) {
        status->retry_after_us = delay->seconds * 1000000 + delay->nanos / 1000;
    }
}

static void take_help(struct fh_client_status *status, const ProtobufCMessage *message)
{
    const Google__Rpc__Help *help = (const Google__Rpc__Help *)message;
    if (help->n_links > 0) {
        put(status->help_url, sizeof(status->help_url), help->links[0]->url);
    }
}

struct detail_kind {
    const ProtobufCMessageDescriptor *descriptor;
    void (*take)(struct fh_client_status *status, const ProtobufCMessage *message);
};

static const struct detail_kind kinds[] = {
    {&google__rpc__error_info__descriptor, take_error_info},
    {&google__rpc__bad_request__descriptor, take_bad_request},
    {&google__rpc__retry_info__descriptor, take_retry_info},
    {&google__rpc__help__descriptor, take_help},
};

static bool take_detail(struct fh_client_status *status, const Google__Protobuf__Any *any)
{
    const size_t prefix_len = sizeof(TYPE_PREFIX) - 1;
    if (any->type_url == NULL || strncmp(any->type_url, TYPE_PREFIX, prefix_len) != 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(any->type_url + prefix_len, kinds[i].descriptor->name) != 0) {
            continue;
        }
        ProtobufCMessage *message = protobuf_c_message_unpack(
            kinds[i].descriptor, &fh_client_allocator, any->value.len, any->value.data);
        if (message == NULL) {
            return false;
        }
        kinds[i].take(status, message);
        protobuf_c_message_free_unpacked(message, &fh_client_allocator);
        return true;
    }
    return true;
}

bool fh_client_status_decode(struct fh_client_status *status, struct fh_str details)
{
    Google__Rpc__Status *packed = google__rpc__status__unpack(&fh_client_allocator, details.len,
                                                              (const uint8_t *)details.data);
    if (packed == NULL) {
        return false;
    }
    bool good = true;
    for (size_t i = 0; i < packed->n_details; i++) {
        good = take_detail(status, packed->details[i]) && good;
    }
    google__rpc__status__free_unpacked(packed, &fh_client_allocator);
    return good;
}

bool fh_client_status_is_passing(const struct fh_client_status *status)
{
    switch (status->grpc) {
    case FH_GRPC_UNAVAILABLE:
        return true;
    case FH_GRPC_ABORTED:
        return strcmp(status->reason, "CONFLICT") == 0;
    case FH_GRPC_UNKNOWN:
        return strcmp(status->reason, "OUTCOME_UNKNOWN") == 0;
    case FH_GRPC_RESOURCE_EXHAUSTED:
        return status->retry_after_us > 0;
    default:
        return false;
    }
}
