/* Happy path: the method's row builds the request that names what the attack wants. Failures: a
 * method that cannot name it, and memory. */
#include "clients/attack/attacks.h"

#include <string.h>

#include "freehold/v1/audit.pb-c.h"
#include "freehold/v1/data.pb-c.h"
#include "freehold/v1/move_admin.pb-c.h"
#include "freehold/v1/probe.pb-c.h"
#include "freehold/v1/schema.pb-c.h"
#include "freehold/v1/store_admin.pb-c.h"
#include "freehold/v1/tenant_admin.pb-c.h"

#define OK FH_GRPC_BIT(FH_GRPC_OK)
#define NOT_FOUND FH_GRPC_BIT(FH_GRPC_NOT_FOUND)
#define INVALID FH_GRPC_BIT(FH_GRPC_INVALID_ARGUMENT)
#define REFUSED FH_GRPC_BIT(FH_GRPC_UNAUTHENTICATED)
#define ABSENT FH_GRPC_BIT(FH_GRPC_UNIMPLEMENTED)
#define PRECONDITION FH_GRPC_BIT(FH_GRPC_FAILED_PRECONDITION)
#define OPERATORS FH_SIDE_OPERATOR

#define UNAUTHENTICATED "UNAUTHENTICATED"
#define NOTHING "nothing of another's"
#define BOTH_REFUSE "UNAUTHENTICATED or UNIMPLEMENTED"

const struct fh_attack fh_attacks_of_pair[] = {
    {"rpc: name of another", FH_LAYER_NAME, "NOT_FOUND", .target = FH_TARGET_NAME,
     .allowed = NOT_FOUND},
    {"rpc: name of another, key of one's own", FH_LAYER_NAME, "NOT_FOUND",
     .target = FH_TARGET_NAME_COMMON, .allowed = NOT_FOUND},
    {"rpc: key of another", FH_LAYER_SCOPE, NOTHING, .target = FH_TARGET_KEY},
    {"rpc: metadata names another", FH_LAYER_SCOPE, NOTHING, .headers = FH_HEADERS_TENANT,
     .target = FH_TARGET_KEY},
    {"rpc: two tokens", FH_LAYER_AUTHENTICATION, NOTHING, .headers = FH_HEADERS_TOKEN,
     .target = FH_TARGET_KEY},
    {"rpc: page token of another", FH_LAYER_PAGE_TOKEN, "INVALID_ARGUMENT",
     .target = FH_TARGET_PAGE_TOKEN, .allowed = INVALID},
    {"rpc: page token, changed", FH_LAYER_PAGE_TOKEN, "INVALID_ARGUMENT",
     .target = FH_TARGET_PAGE_TOKEN_BENT, .allowed = INVALID},
    {"rpc: page token of another method", FH_LAYER_PAGE_TOKEN, "INVALID_ARGUMENT",
     .target = FH_TARGET_PAGE_TOKEN_METHOD, .allowed = INVALID},
    {"rpc: request id of another", FH_LAYER_REQUEST_ID, "NOT_FOUND", .target = FH_TARGET_REQUEST_ID,
     .allowed = NOT_FOUND},
    {"rpc: request id of another, new request", FH_LAYER_REQUEST_ID, "OK",
     .target = FH_TARGET_REQUEST_ID_NEW, .allowed = OK},
    {"rpc: no token", FH_LAYER_AUTHENTICATION, UNAUTHENTICATED, .token = FH_TOKEN_NONE,
     .allowed = REFUSED},
    {"rpc: token with alg none", FH_LAYER_AUTHENTICATION, UNAUTHENTICATED,
     .token = FH_TOKEN_UNSIGNED, .allowed = REFUSED},
    {"rpc: token with another's claims", FH_LAYER_AUTHENTICATION, UNAUTHENTICATED,
     .token = FH_TOKEN_CLAIMS, .allowed = REFUSED},
    {"rpc: token with its signature changed", FH_LAYER_AUTHENTICATION, UNAUTHENTICATED,
     .token = FH_TOKEN_SIGNATURE, .allowed = REFUSED},
    {"rpc: expired token", FH_LAYER_AUTHENTICATION, UNAUTHENTICATED, .token = FH_TOKEN_EXPIRED,
     .allowed = REFUSED},
    {"rpc: operator's token", FH_LAYER_REALM, UNAUTHENTICATED, .token = FH_TOKEN_OPERATOR,
     .allowed = REFUSED},
    {0},
};

const struct fh_attack fh_attacks_of_listeners[] = {
    {"rpc: tenant's token, operators' methods", FH_LAYER_REALM, UNAUTHENTICATED, OPERATORS,
     OPERATORS, .target = FH_TARGET_HARMLESS, .allowed = REFUSED},
    {"rpc: no token, operators' methods", FH_LAYER_AUTHENTICATION, UNAUTHENTICATED, OPERATORS,
     OPERATORS, FH_TOKEN_NONE, .target = FH_TARGET_HARMLESS, .allowed = REFUSED},
    {"rpc: operator's token with alg none", FH_LAYER_AUTHENTICATION, UNAUTHENTICATED, OPERATORS,
     OPERATORS, FH_TOKEN_OPERATOR_UNSIGNED, .target = FH_TARGET_HARMLESS, .allowed = REFUSED},
    {"rpc: expired operator's token", FH_LAYER_AUTHENTICATION, UNAUTHENTICATED, OPERATORS,
     OPERATORS, FH_TOKEN_OPERATOR_EXPIRED, .target = FH_TARGET_HARMLESS, .allowed = REFUSED},
    {"rpc: operators' methods at the tenants' listener", FH_LAYER_REALM, BOTH_REFUSE, OPERATORS,
     FH_SIDE_TENANT, FH_TOKEN_OPERATOR, .target = FH_TARGET_HARMLESS, .allowed = REFUSED | ABSENT},
    {"rpc: tenants' methods at the operators' listener", FH_LAYER_REALM, BOTH_REFUSE,
     FH_SIDE_TENANT, OPERATORS, .target = FH_TARGET_HARMLESS, .allowed = REFUSED | ABSENT},
    {0},
};

const ProtobufCServiceDescriptor *const *fh_attack_services(enum fh_attack_side side)
{
    static const ProtobufCServiceDescriptor *const tenant[] = {
        &freehold__v1__data_service__descriptor,
        &freehold__v1__audit_service__descriptor,
        NULL,
    };
    static const ProtobufCServiceDescriptor *const operators[] = {
        &freehold__v1__tenant_admin_service__descriptor,
        &freehold__v1__store_admin_service__descriptor,
        &freehold__v1__schema_service__descriptor,
        &freehold__v1__move_admin_service__descriptor,
        &freehold__v1__probe_service__descriptor,
        NULL,
    };
    return side == FH_SIDE_TENANT ? tenant : operators;
}

/* -- Requests of the tenants' methods -----------------------------------------------------------
 */

struct aim {
    enum fh_attack_target target;
    const struct fh_attack_ground *ground;
    struct fh_arena *arena;
    struct fh_attack_shot *out;
};

/* Messages hold `char *`; nothing writes through it. */
static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* The record, or the table, as the target names it; NULL: it names none. */
static char *name_of(const struct aim *aim, bool table)
{
    const struct fh_attack_ground *ground = aim->ground;
    switch (aim->target) {
    case FH_TARGET_OWN:
        return text_of(table ? ground->table : ground->common);
    case FH_TARGET_NAME:
        return fh_arena_printf(aim->arena, "tenants/%s/%s", ground->uids[1],
                               table ? ground->table : ground->others);
    case FH_TARGET_NAME_COMMON:
        return fh_arena_printf(aim->arena, "tenants/%s/%s", ground->uids[1],
                               table ? ground->table : ground->common);
    case FH_TARGET_KEY:
    case FH_TARGET_REQUEST_ID:
        return text_of(table ? ground->table : ground->others);
    case FH_TARGET_REQUEST_ID_NEW:
    default:
        return text_of(table ? ground->table : ground->common);
    }
}

static bool names_records(enum fh_attack_target target)
{
    return target == FH_TARGET_OWN || target == FH_TARGET_NAME || target == FH_TARGET_NAME_COMMON ||
           target == FH_TARGET_KEY;
}

/* Where the write, let through, would meet a record of A's. */
static bool validates_only(enum fh_attack_target target)
{
    return target == FH_TARGET_OWN || target == FH_TARGET_NAME_COMMON;
}

/* The empty request of a method that names one record, and that name. */
static enum fh_code begin(const struct aim *aim, const ProtobufCMessageDescriptor *descriptor,
                          ProtobufCMessage **out, char **name)
{
    if (!names_records(aim->target)) {
        return FH_UNIMPLEMENTED;
    }
    *out = fh_arena_calloc(aim->arena, 1, descriptor->sizeof_message);
    *name = name_of(aim, false);
    if (*out == NULL || *name == NULL) {
        return FH_NOMEM;
    }
    protobuf_c_message_init(descriptor, *out);
    aim->out->request = *out;
    return FH_OK;
}

static Freehold__V1__Record *record_of(const struct aim *aim)
{
    Freehold__V1__Record *record = FH_ARENA_NEW(aim->arena, Freehold__V1__Record);
    if (record != NULL) {
        freehold__v1__record__init(record);
        record->name = name_of(aim, false);
    }
    return record != NULL && record->name != NULL ? record : NULL;
}

static enum fh_code aim_get(const struct aim *aim)
{
    ProtobufCMessage *message = NULL;
    char *name = NULL;
    const enum fh_code code =
        begin(aim, &freehold__v1__get_record_request__descriptor, &message, &name);
    if (code == FH_OK) {
        Freehold__V1__GetRecordRequest *get = (Freehold__V1__GetRecordRequest *)message;
        get->name = name;
        get->show_deleted = true;
    }
    return code;
}

static enum fh_code aim_batch_get(const struct aim *aim)
{
    ProtobufCMessage *message = NULL;
    char *name = NULL;
    char **names = FH_ARENA_ARRAY(aim->arena, char *, 1);
    const enum fh_code code =
        begin(aim, &freehold__v1__batch_get_records_request__descriptor, &message, &name);
    if (code == FH_OK && names != NULL) {
        Freehold__V1__BatchGetRecordsRequest *get = (Freehold__V1__BatchGetRecordsRequest *)message;
        names[0] = name;
        get->names = names;
        get->n_names = 1;
        get->show_deleted = true;
    }
    return names != NULL ? code : FH_NOMEM;
}

static enum fh_code pick_token(const struct aim *aim, const char *const own_list[2],
                               const char *bent, const char *other_method, char **out)
{
    const char *token = NULL;
    switch (aim->target) {
    case FH_TARGET_PAGE_TOKEN:
        token = own_list[1];
        break;
    case FH_TARGET_PAGE_TOKEN_BENT:
        token = bent;
        break;
    case FH_TARGET_PAGE_TOKEN_METHOD:
        token = other_method;
        break;
    default:
        return FH_OK;
    }
    *out = text_of(token);
    return token != NULL ? FH_OK : FH_NOT_FOUND;
}

static bool names_lists(enum fh_attack_target target)
{
    return target != FH_TARGET_REQUEST_ID && target != FH_TARGET_REQUEST_ID_NEW &&
           target != FH_TARGET_NAME_COMMON;
}

static enum fh_code aim_list(const struct aim *aim)
{
    const struct fh_attack_ground *ground = aim->ground;
    Freehold__V1__ListRecordsRequest *list =
        FH_ARENA_NEW(aim->arena, Freehold__V1__ListRecordsRequest);
    char *parent = name_of(aim, true);
    if (!names_lists(aim->target)) {
        return FH_UNIMPLEMENTED;
    }
    if (list == NULL || parent == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__list_records_request__init(list);
    list->parent = parent;
    list->show_deleted = true;
    aim->out->request = &list->base;
    return pick_token(aim, ground->page_tokens, ground->bent_page_token, ground->event_tokens[0],
                      &list->page_token);
}

static enum fh_code aim_events(const struct aim *aim)
{
    const struct fh_attack_ground *ground = aim->ground;
    Freehold__V1__ListEventsRequest *list =
        FH_ARENA_NEW(aim->arena, Freehold__V1__ListEventsRequest);
    if (!names_lists(aim->target) || aim->target == FH_TARGET_NAME) {
        return FH_UNIMPLEMENTED; /* it names no tenant */
    }
    if (list == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__list_events_request__init(list);
    aim->out->request = &list->base;
    return pick_token(aim, ground->event_tokens, ground->bent_event_token, ground->page_tokens[0],
                      &list->page_token);
}

static enum fh_code aim_create(const struct aim *aim)
{
    ProtobufCMessage *message = NULL;
    char *name = NULL;
    Freehold__V1__Record *record = record_of(aim);
    const enum fh_code code =
        begin(aim, &freehold__v1__create_record_request__descriptor, &message, &name);
    if (code == FH_OK) {
        Freehold__V1__CreateRecordRequest *create = (Freehold__V1__CreateRecordRequest *)message;
        create->record = record;
        /* A key of B's may be taken in A's space as well: it is another record. */
        create->validate_only = validates_only(aim->target) || aim->target == FH_TARGET_KEY;
    }
    return record != NULL ? code : FH_NOMEM;
}

static enum fh_code aim_update(const struct aim *aim)
{
    ProtobufCMessage *message = NULL;
    char *name = NULL;
    Freehold__V1__Record *record = record_of(aim);
    const enum fh_code code =
        begin(aim, &freehold__v1__update_record_request__descriptor, &message, &name);
    if (code == FH_OK) {
        Freehold__V1__UpdateRecordRequest *update = (Freehold__V1__UpdateRecordRequest *)message;
        update->record = record;
        update->validate_only = validates_only(aim->target);
    }
    return record != NULL ? code : FH_NOMEM;
}

static enum fh_code aim_delete(const struct aim *aim)
{
    ProtobufCMessage *message = NULL;
    char *name = NULL;
    const enum fh_code code =
        begin(aim, &freehold__v1__delete_record_request__descriptor, &message, &name);
    if (code == FH_OK) {
        ((Freehold__V1__DeleteRecordRequest *)message)->name = name;
        ((Freehold__V1__DeleteRecordRequest *)message)->validate_only = validates_only(aim->target);
    }
    return code;
}

static enum fh_code aim_undelete(const struct aim *aim)
{
    ProtobufCMessage *message = NULL;
    char *name = NULL;
    const enum fh_code code =
        begin(aim, &freehold__v1__undelete_record_request__descriptor, &message, &name);
    if (code == FH_OK) {
        Freehold__V1__UndeleteRecordRequest *undelete =
            (Freehold__V1__UndeleteRecordRequest *)message;
        undelete->name = name;
        undelete->validate_only = validates_only(aim->target);
    }
    return code;
}

static enum fh_code aim_purge(const struct aim *aim)
{
    ProtobufCMessage *message = NULL;
    char *name = NULL;
    const enum fh_code code =
        begin(aim, &freehold__v1__purge_record_request__descriptor, &message, &name);
    if (code == FH_OK) {
        ((Freehold__V1__PurgeRecordRequest *)message)->name = name;
        ((Freehold__V1__PurgeRecordRequest *)message)->validate_only = validates_only(aim->target);
    }
    return code;
}

/* An update of no field: it fits every table, and yet is a write with a record of its own. */
static enum fh_code aim_commit(const struct aim *aim)
{
    const bool by_id =
        aim->target == FH_TARGET_REQUEST_ID || aim->target == FH_TARGET_REQUEST_ID_NEW;
    Freehold__V1__CommitRequest *commit = FH_ARENA_NEW(aim->arena, Freehold__V1__CommitRequest);
    Freehold__V1__Write *write = FH_ARENA_NEW(aim->arena, Freehold__V1__Write);
    if (!by_id && !names_records(aim->target)) {
        return FH_UNIMPLEMENTED;
    }
    if (by_id && aim->ground->request_id == NULL) {
        return FH_NOT_FOUND;
    }
    if (commit == NULL || write == NULL) {
        return FH_NOMEM;
    }
    freehold__v1__commit_request__init(commit);
    freehold__v1__write__init(write);
    write->operation_case = FREEHOLD__V1__WRITE__OPERATION_UPDATE;
    write->update = record_of(aim);
    commit->writes = FH_ARENA_ARRAY(aim->arena, Freehold__V1__Write *, 1);
    if (write->update == NULL || commit->writes == NULL) {
        return FH_NOMEM;
    }
    commit->writes[0] = write;
    commit->n_writes = 1;
    /* Carried out, the new request would take the id in A's own space, and be met by later runs. */
    commit->validate_only = validates_only(aim->target) || aim->target == FH_TARGET_REQUEST_ID_NEW;
    if (by_id) {
        commit->request_id = text_of(aim->ground->request_id);
    }
    aim->out->request = &commit->base;
    return FH_OK;
}

/* `key`: what the answer to B's key in A's own space may be. */
static const struct row {
    const ProtobufCServiceDescriptor *service;
    const char *method;
    enum fh_code (*aim)(const struct aim *aim);
    uint32_t key;
} rows[] = {
    {&freehold__v1__data_service__descriptor, "GetRecord", aim_get, NOT_FOUND},
    {&freehold__v1__data_service__descriptor, "BatchGetRecords", aim_batch_get, OK},
    {&freehold__v1__data_service__descriptor, "ListRecords", aim_list, OK},
    {&freehold__v1__data_service__descriptor, "CreateRecord", aim_create, OK | INVALID},
    {&freehold__v1__data_service__descriptor, "UpdateRecord", aim_update, NOT_FOUND},
    {&freehold__v1__data_service__descriptor, "DeleteRecord", aim_delete, NOT_FOUND},
    {&freehold__v1__data_service__descriptor, "UndeleteRecord", aim_undelete, NOT_FOUND},
    {&freehold__v1__data_service__descriptor, "PurgeRecord", aim_purge, NOT_FOUND},
    {&freehold__v1__data_service__descriptor, "Commit", aim_commit, NOT_FOUND | PRECONDITION},
    {&freehold__v1__audit_service__descriptor, "ListEvents", aim_events, OK},
};

static const struct row *row_of(const ProtobufCServiceDescriptor *service,
                                const ProtobufCMethodDescriptor *method)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].service == service && strcmp(rows[i].method, method->name) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

/* -- Any method's request, filled so that it does nothing ---------------------------------------
 */

/* Texts are "!": no name, slug, UUID, page token or request id. Of messages, none is there. What
 * has neither is harmless by itself; `validate_only` is set where there is one. */
static const ProtobufCMessage *harmless(const ProtobufCMessageDescriptor *descriptor,
                                        struct fh_arena *arena)
{
    ProtobufCMessage *message = fh_arena_calloc(arena, 1, descriptor->sizeof_message);
    if (message == NULL) {
        return NULL;
    }
    protobuf_c_message_init(descriptor, message);
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        void *at = (char *)message + field->offset;
        if (field->label == PROTOBUF_C_LABEL_REPEATED ||
            (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
            continue;
        }
        if (field->type == PROTOBUF_C_TYPE_STRING) {
            char *text = text_of("!");
            memcpy(at, &text, sizeof(text));
        } else if (field->type == PROTOBUF_C_TYPE_BOOL &&
                   strcmp(field->name, "validate_only") == 0) {
            const protobuf_c_boolean yes = true;
            memcpy(at, &yes, sizeof(yes));
        }
    }
    return message;
}

/* -- Both ---------------------------------------------------------------------------------------
 */

static bool is_of(const ProtobufCServiceDescriptor *service, enum fh_attack_side side)
{
    for (const ProtobufCServiceDescriptor *const *one = fh_attack_services(side); *one != NULL;
         one++) {
        if (*one == service) {
            return true;
        }
    }
    return false;
}

bool fh_attack_covers(const ProtobufCServiceDescriptor *service,
                      const ProtobufCMethodDescriptor *method)
{
    return is_of(service, FH_SIDE_OPERATOR) || row_of(service, method) != NULL;
}

enum fh_code fh_attack_aim(const struct fh_attack *attack,
                           const ProtobufCServiceDescriptor *service,
                           const ProtobufCMethodDescriptor *method,
                           const struct fh_attack_ground *ground, struct fh_arena *arena,
                           struct fh_attack_shot *out)
{
    *out = (struct fh_attack_shot){.allowed = attack->allowed};
    if (attack->target == FH_TARGET_HARMLESS) {
        out->request = harmless(method->input, arena);
        return out->request != NULL ? FH_OK : FH_NOMEM;
    }
    const struct row *row = row_of(service, method);
    if (row == NULL) {
        return FH_UNIMPLEMENTED;
    }
    if (out->allowed == 0) {
        out->allowed = row->key;
    }
    if (attack->headers == FH_HEADERS_TOKEN) { /* two of them may be refused as such */
        out->allowed |= REFUSED;
    }
    const struct aim aim = {.target = attack->target, .ground = ground, .arena = arena, .out = out};
    return row->aim(&aim);
}
