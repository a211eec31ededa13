/* Happy path: the details are built on the stack, each packed into an Any in the arena, then the
 * whole. Failure: the arena is full, FH_NOMEM; the caller sends the plain status.
 */
#include "server/rpc/status.h"

#include <string.h>

#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"

#define TYPE_URL "type.googleapis.com/"
#define DETAILS_MAX 4

struct packer {
    struct fh_arena *arena;
    Google__Protobuf__Any anys[DETAILS_MAX];
    Google__Protobuf__Any *pointers[DETAILS_MAX];
    size_t count;
    bool failed;
};

/* When trying again is part of the answer, and how soon; 0 when it is not. */
static int64_t retry_after_ms(enum fh_code code)
{
    switch (code) {
    case FH_CONFLICT:
        return 20;
    case FH_STALE_SCHEMA:
    case FH_HELD:
    case FH_MOVED:
        return 50;
    case FH_FULL:
    case FH_OUTCOME_UNKNOWN:
        return 100;
    case FH_UNAVAILABLE:
    case FH_SHUTTING_DOWN:
        return 200;
    default:
        return 0;
    }
}

void fh_status_from_error(struct fh_status *status, const struct fh_error *error)
{
    *status = (struct fh_status){
        .code = error->code != FH_OK ? error->code : FH_INTERNAL,
        .message = fh_str_of(error->message),
        .retry_after_ms = retry_after_ms(error->code),
    };
    if (error->field[0] != '\0') {
        status->violations[0].key = fh_str_of(error->field);
        status->violations[0].value = fh_str_of(fh_error_text(error));
        status->violation_count = 1;
    }
}

/* protobuf-c wants C strings; ours come with a length. */
static char *text(struct packer *packer, struct fh_str s)
{
    char *copy = fh_arena_copy(packer->arena, s.data, s.len);

    if (copy == NULL) {
        packer->failed = true;
        return (char *)(uintptr_t) "";
    }
    return copy;
}

static void add(struct packer *packer, const char *type_url, const ProtobufCMessage *detail)
{
    Google__Protobuf__Any *any = &packer->anys[packer->count];
    size_t size = protobuf_c_message_get_packed_size(detail);
    uint8_t *data = fh_arena_alloc(packer->arena, size);

    if (data == NULL) {
        packer->failed = true;
        return;
    }
    google__protobuf__any__init(any);
    any->type_url = (char *)(uintptr_t)type_url;
    any->value.len = protobuf_c_message_pack(detail, data);
    any->value.data = data;
    packer->pointers[packer->count++] = any;
}

static void add_error_info(struct packer *packer, const struct fh_status *status)
{
    Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
    Google__Rpc__ErrorInfo__MetadataEntry entries[FH_STATUS_METADATA_MAX];
    Google__Rpc__ErrorInfo__MetadataEntry *pointers[FH_STATUS_METADATA_MAX];

    for (size_t i = 0; i < status->metadata_count && i < FH_STATUS_METADATA_MAX; i++) {
        google__rpc__error_info__metadata_entry__init(&entries[i]);
        entries[i].key = text(packer, status->metadata[i].key);
        entries[i].value = text(packer, status->metadata[i].value);
        pointers[info.n_metadata++] = &entries[i];
    }
    info.reason = (char *)(uintptr_t)fh_code_reason(status->code);
    info.domain = (char *)(uintptr_t) "freehold";
    info.metadata = pointers;
    add(packer, TYPE_URL "google.rpc.ErrorInfo", &info.base);
}

static void add_bad_request(struct packer *packer, const struct fh_status *status)
{
    Google__Rpc__BadRequest bad = GOOGLE__RPC__BAD_REQUEST__INIT;
    Google__Rpc__BadRequest__FieldViolation entries[FH_STATUS_VIOLATIONS_MAX];
    Google__Rpc__BadRequest__FieldViolation *pointers[FH_STATUS_VIOLATIONS_MAX];

    if (status->violation_count == 0) {
        return;
    }
    for (size_t i = 0; i < status->violation_count && i < FH_STATUS_VIOLATIONS_MAX; i++) {
        google__rpc__bad_request__field_violation__init(&entries[i]);
        entries[i].field = text(packer, status->violations[i].key);
        entries[i].description = text(packer, status->violations[i].value);
        pointers[bad.n_field_violations++] = &entries[i];
    }
    bad.field_violations = pointers;
    add(packer, TYPE_URL "google.rpc.BadRequest", &bad.base);
}

static void add_retry_info(struct packer *packer, const struct fh_status *status)
{
    Google__Rpc__RetryInfo retry = GOOGLE__RPC__RETRY_INFO__INIT;
    Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;

    if (status->retry_after_ms <= 0) {
        return;
    }
    delay.seconds = status->retry_after_ms / 1000;
    delay.nanos = (int32_t)(status->retry_after_ms % 1000) * 1000000;
    retry.retry_delay = &delay;
    add(packer, TYPE_URL "google.rpc.RetryInfo", &retry.base);
}

static void add_help(struct packer *packer, const struct fh_status *status)
{
    Google__Rpc__Help help = GOOGLE__RPC__HELP__INIT;
    Google__Rpc__Help__Link link = GOOGLE__RPC__HELP__LINK__INIT;
    Google__Rpc__Help__Link *links[1] = {&link};

    if (status->help_url.len == 0) {
        return;
    }
    link.url = text(packer, status->help_url);
    link.description = text(packer, status->help_description);
    help.links = links;
    help.n_links = 1;
    add(packer, TYPE_URL "google.rpc.Help", &help.base);
}

enum fh_code fh_status_pack(const struct fh_status *status, struct fh_arena *arena,
                            struct fh_str *out)
{
    struct packer packer = {.arena = arena};
    Google__Rpc__Status packed = GOOGLE__RPC__STATUS__INIT;

    *out = FH_STR("");
    packed.code = fh_code_grpc_status(status->code);
    packed.message = status->message.len > 0 ? text(&packer, status->message)
                                             : (char *)(uintptr_t)fh_code_text(status->code);
    add_error_info(&packer, status);
    add_bad_request(&packer, status);
    add_retry_info(&packer, status);
    add_help(&packer, status);
    packed.details = packer.pointers;
    packed.n_details = packer.count;
    uint8_t *data = packer.failed
                        ? NULL
                        : fh_arena_alloc(arena, protobuf_c_message_get_packed_size(&packed.base));
    if (data == NULL) {
        return FH_NOMEM;
    }
    out->len = protobuf_c_message_pack(&packed.base, data);
    out->data = (const char *)data;
    return FH_OK;
}
