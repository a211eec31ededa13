/* Happy path: the first table in which both canaries have records; B's two, one of whose keys A has
 * as well; then commits, page tokens and the marks of all that both can see.
 *
 * Failures: each call that fails, and canaries that have no records, is said in `why`.
 */
#include "clients/attack/ground.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clients/attack/forgery.h"
#include "freehold/v1/audit.pb-c.h"
#include "freehold/v1/data.pb-c.h"
#include "freehold/v1/schema.pb-c.h"

#define DATA (&freehold__v1__data_service__descriptor)
#define AUDIT (&freehold__v1__audit_service__descriptor)
#define PAGE_MAX 1000
#define SNAPSHOT_BYTES_MAX (4u << 20)
#define REQUEST_ID_MAX 40

static bool fail(struct fh_ground *ground, const char *what, const char *why)
{
    (void)snprintf(ground->why, sizeof(ground->why), "%.60s%s%.180s", what, why != NULL ? ": " : "",
                   why != NULL ? why : "");
    return false;
}

static bool no_memory(struct fh_ground *ground)
{
    return fail(ground, "out of memory", NULL);
}

/* As one of the canaries. NULL: `status` says why. */
static ProtobufCMessage *call_as(const struct fh_ground *ground, struct fh_caller *caller,
                                 unsigned which, const ProtobufCServiceDescriptor *service,
                                 const char *method, const ProtobufCMessage *request,
                                 struct fh_client_status *status)
{
    const struct fh_caller_as as = {.listener = FH_SIDE_TENANT, .token = ground->tokens[which]};
    return fh_caller_call(caller, &as, service, method, request, status);
}

/* With the tenant in the name, so that a token of somebody else is refused. */
static ProtobufCMessage *list_as(const struct fh_ground *ground, struct fh_caller *caller,
                                 unsigned which, const char *table, int page_size,
                                 struct fh_arena *arena, struct fh_client_status *status)
{
    Freehold__V1__ListRecordsRequest request = FREEHOLD__V1__LIST_RECORDS_REQUEST__INIT;
    request.parent = fh_arena_printf(arena, "tenants/%s/%s", ground->attack.uids[which], table);
    request.page_size = page_size;
    request.show_deleted = true;
    if (request.parent == NULL) {
        fh_client_status_set(status, FH_GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return NULL;
    }
    return call_as(ground, caller, which, DATA, "ListRecords", &request.base, status);
}

/* -- Records ------------------------------------------------------------------------------------
 */

static bool is_there(const Freehold__V1__ListRecordsResponse *list, const char *name)
{
    for (size_t i = 0; i < list->n_records; i++) {
        if (strcmp(list->records[i]->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool take_names(struct fh_ground *ground, const char *table,
                       const Freehold__V1__ListRecordsResponse *a,
                       const Freehold__V1__ListRecordsResponse *b, struct fh_arena *arena)
{
    struct fh_attack_ground *attack = &ground->attack;
    attack->common = NULL;
    attack->others = NULL;
    for (size_t i = 0; i < b->n_records; i++) {
        const Freehold__V1__Record *record = b->records[i];
        const char **into = is_there(a, record->name) ? &attack->common : &attack->others;
        if (record->delete_time == NULL && *into == NULL) {
            *into = fh_arena_copy(arena, record->name, strlen(record->name));
        }
    }
    attack->table = fh_arena_copy(arena, table, strlen(table));
    return attack->common != NULL && attack->others != NULL && attack->table != NULL;
}

/* `*found`: both have their records there. False: it could not be asked. */
static bool try_table(struct fh_ground *ground, struct fh_caller *caller, const char *name,
                      struct fh_arena *arena, bool *found)
{
    struct fh_client_status status;
    const char *table = fh_arena_printf(arena, "tables/%s", name);
    if (table == NULL) {
        return no_memory(ground);
    }
    ProtobufCMessage *a = list_as(ground, caller, 0, table, PAGE_MAX, arena, &status);
    ProtobufCMessage *b =
        a != NULL ? list_as(ground, caller, 1, table, PAGE_MAX, arena, &status) : NULL;
    const bool done = a != NULL && b != NULL;
    *found = done && take_names(ground, table, (const Freehold__V1__ListRecordsResponse *)a,
                                (const Freehold__V1__ListRecordsResponse *)b, arena);
    fh_client_message_free(a);
    fh_client_message_free(b);
    if (!done && status.grpc == FH_GRPC_INVALID_ARGUMENT) {
        return true; /* a home that is not at the newest schema has not all its tables */
    }
    return done || fail(ground, "a canary cannot list its own records", status.message);
}

static bool find_records(struct fh_ground *ground, struct fh_caller *caller,
                         const struct fh_caller_as *operators, struct fh_arena *arena)
{
    Freehold__V1__GetSchemaRequest request = FREEHOLD__V1__GET_SCHEMA_REQUEST__INIT;
    struct fh_client_status status;
    bool found = false;
    bool asked = true;
    ProtobufCMessage *message =
        fh_caller_call(caller, operators, &freehold__v1__schema_service__descriptor, "GetSchema",
                       &request.base, &status);
    if (message == NULL) {
        return fail(ground, "the schema cannot be read", status.message);
    }
    const Freehold__V1__Schema *schema = (const Freehold__V1__Schema *)message;
    for (size_t i = 0; i < schema->n_tables && !found && asked; i++) {
        asked = try_table(ground, caller, schema->tables[i]->name, arena, &found);
    }
    fh_client_message_free(message);
    return asked && (found || fail(ground, "the canaries' records are not there", NULL));
}

/* -- Commits, page tokens, marks ----------------------------------------------------------------
 */

/* FNV-1a: the same record has the same id in every run. */
static char *request_id_of(const char *name, struct fh_arena *arena)
{
    uint64_t hash = 14695981039346656037u;
    for (const char *c = name; *c != '\0'; c++) {
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    }
    return fh_arena_printf(arena, "freehold-probe-%016" PRIx64, hash);
}

/* An update of no field, by the canary itself. */
static bool commit_own(struct fh_ground *ground, struct fh_caller *caller, unsigned which,
                       const char *name, const char *id)
{
    Freehold__V1__CommitRequest request = FREEHOLD__V1__COMMIT_REQUEST__INIT;
    Freehold__V1__Write write = FREEHOLD__V1__WRITE__INIT;
    Freehold__V1__Record record = FREEHOLD__V1__RECORD__INIT;
    Freehold__V1__Write *writes[] = {&write};
    struct fh_client_status status;
    record.name = (char *)(uintptr_t)name;
    write.operation_case = FREEHOLD__V1__WRITE__OPERATION_UPDATE;
    write.update = &record;
    request.writes = writes;
    request.n_writes = 1;
    request.request_id = (char *)(uintptr_t)id;
    ProtobufCMessage *message =
        call_as(ground, caller, which, DATA, "Commit", &request.base, &status);
    fh_marks_take(&ground->marks[which], message);
    fh_client_message_free(message);
    return message != NULL || fail(ground, "a canary cannot write", status.message);
}

static bool commit_both(struct fh_ground *ground, struct fh_caller *caller, struct fh_arena *arena)
{
    struct fh_attack_ground *attack = &ground->attack;
    const char *own_id = request_id_of(attack->common, arena);
    attack->request_id = request_id_of(attack->others, arena);
    if (own_id == NULL || attack->request_id == NULL) {
        return no_memory(ground);
    }
    return commit_own(ground, caller, 0, attack->common, own_id) &&
           commit_own(ground, caller, 1, attack->others, attack->request_id);
}

/* The token behind the first page; "" becomes NULL. */
static const char *keep_token(const char *token, struct fh_arena *arena)
{
    return token[0] != '\0' ? fh_arena_copy(arena, token, strlen(token)) : NULL;
}

/* A page of one for its token, a long one for its marks. */
static bool read_events(struct fh_ground *ground, struct fh_caller *caller, unsigned which,
                        struct fh_arena *arena)
{
    Freehold__V1__ListEventsRequest request = FREEHOLD__V1__LIST_EVENTS_REQUEST__INIT;
    struct fh_client_status status;
    request.page_size = 1;
    ProtobufCMessage *first =
        call_as(ground, caller, which, AUDIT, "ListEvents", &request.base, &status);
    request.page_size = PAGE_MAX;
    ProtobufCMessage *all =
        first != NULL ? call_as(ground, caller, which, AUDIT, "ListEvents", &request.base, &status)
                      : NULL;
    if (all != NULL) {
        ground->attack.event_tokens[which] =
            keep_token(((const Freehold__V1__ListEventsResponse *)first)->next_page_token, arena);
        fh_marks_take(&ground->marks[which], all);
    }
    fh_client_message_free(first);
    fh_client_message_free(all);
    return all != NULL || fail(ground, "a canary cannot list its own events", status.message);
}

static bool read_pages(struct fh_ground *ground, struct fh_caller *caller, unsigned which,
                       struct fh_arena *arena)
{
    struct fh_client_status status;
    ProtobufCMessage *first =
        list_as(ground, caller, which, ground->attack.table, 1, arena, &status);
    ProtobufCMessage *all = first != NULL ? list_as(ground, caller, which, ground->attack.table,
                                                    PAGE_MAX, arena, &status)
                                          : NULL;
    if (all != NULL) {
        ground->attack.page_tokens[which] =
            keep_token(((const Freehold__V1__ListRecordsResponse *)first)->next_page_token, arena);
        fh_marks_take(&ground->marks[which], all);
    }
    fh_client_message_free(first);
    fh_client_message_free(all);
    return all != NULL || fail(ground, "a canary cannot list its own records", status.message);
}

static const char *bend(const char *token, struct fh_arena *arena)
{
    struct fh_buf bent;
    const char *out = NULL;
    fh_buf_init(&bent, FH_TOKEN_TEXT_MAX);
    if (token != NULL && fh_forgery_sealed(fh_str_of(token), &bent) == FH_OK) {
        out = fh_arena_copy(arena, bent.data, bent.len);
    }
    fh_buf_close(&bent);
    return out;
}

/* -- B as it is ---------------------------------------------------------------------------------
 */

/* Names and etags: values may change with the schema, these with writes only. NULL: `why`. */
static const char *snapshot(struct fh_ground *ground, struct fh_caller *caller,
                            struct fh_arena *arena)
{
    struct fh_client_status status;
    struct fh_buf text;
    const char *out = NULL;
    ProtobufCMessage *message =
        list_as(ground, caller, 1, ground->attack.table, PAGE_MAX, arena, &status);
    if (message == NULL) {
        (void)fail(ground, "a canary cannot list its own records", status.message);
        return NULL;
    }
    const Freehold__V1__ListRecordsResponse *list =
        (const Freehold__V1__ListRecordsResponse *)message;
    fh_buf_init(&text, SNAPSHOT_BYTES_MAX);
    for (size_t i = 0; i < list->n_records; i++) {
        const Freehold__V1__Record *record = list->records[i];
        fh_buf_printf(&text, "%s %s %d\n", record->name, record->etag, record->delete_time != NULL);
    }
    if (fh_buf_code(&text) == FH_OK) {
        out = fh_arena_copy(arena, text.len > 0 ? text.data : "", text.len);
    }
    fh_buf_close(&text);
    fh_client_message_free(message);
    if (out == NULL) {
        (void)no_memory(ground);
    }
    return out;
}

bool fh_ground_read(struct fh_ground *ground, struct fh_caller *caller,
                    const struct fh_caller_as *operators, struct fh_arena *arena)
{
    struct fh_attack_ground *attack = &ground->attack;
    bool done =
        find_records(ground, caller, operators, arena) && commit_both(ground, caller, arena);
    for (unsigned which = 0; which < 2 && done; which++) {
        done =
            read_pages(ground, caller, which, arena) && read_events(ground, caller, which, arena);
    }
    if (done && fh_marks_meet(&ground->marks[0], &ground->marks[1])) {
        return fail(ground, "the two canaries' records cannot be told apart", NULL);
    }
    if (done) {
        attack->bent_page_token = bend(attack->page_tokens[0], arena);
        attack->bent_event_token = bend(attack->event_tokens[0], arena);
        ground->before = snapshot(ground, caller, arena);
    }
    return done && ground->before != NULL;
}

bool fh_ground_compare(struct fh_ground *ground, struct fh_caller *caller, struct fh_arena *arena,
                       bool *changed)
{
    const char *after = snapshot(ground, caller, arena);
    *changed = after != NULL && strcmp(after, ground->before) != 0;
    return after != NULL;
}

bool fh_ground_clean(struct fh_ground *ground, struct fh_caller *caller, struct fh_arena *arena)
{
    Freehold__V1__PurgeRecordRequest request = FREEHOLD__V1__PURGE_RECORD_REQUEST__INIT;
    struct fh_client_status status;
    request.name =
        fh_arena_printf(arena, "tenants/%s/%s", ground->attack.uids[0], ground->attack.others);
    if (request.name == NULL) {
        return no_memory(ground);
    }
    ProtobufCMessage *message =
        call_as(ground, caller, 0, DATA, "PurgeRecord", &request.base, &status);
    fh_client_message_free(message);
    return message != NULL || status.grpc == FH_GRPC_NOT_FOUND ||
           fail(ground, "what an attack left cannot be taken out", status.message);
}
