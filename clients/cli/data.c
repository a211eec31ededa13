/* `freehold data ...` but for import: DataService, as a tenant.
 *
 * A record is named TABLE KEY..., one argument a part of the key; or by its whole name, which holds
 * slashes. Writes carry a request id, so that the client may send them twice. */
#include "freehold/v1/data.pb-c.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "clients/cli/columns.h"
#include "clients/cli/commands.h"
#include "clients/cli/record.h"
#include "clients/cli/session.h"
#include "clients/cli/text.h"

#define SERVICE (&freehold__v1__data_service__descriptor)
#define ARENA_BYTES_MAX (16u << 20)
#define NAME_BYTES_MAX 16384
#define FIELDS_MAX FH_ARGS_MAX

/* A request on one record, as the arguments say it. */
struct request {
    struct fh_session *session;
    struct fh_client *client;
    struct fh_columns columns;
    struct fh_arena arena;
    struct fh_buf name;
    char request_id[FH_UUID_TEXT_LEN + 1];
    Freehold__V1__Record record;
    Freehold__V1__Record__FieldsEntry entries[FIELDS_MAX];
    Freehold__V1__Record__FieldsEntry *entry_pointers[FIELDS_MAX];
    Freehold__V1__Value values[FIELDS_MAX];
    Google__Protobuf__FieldMask mask;
    char *mask_paths[FIELDS_MAX];
};

static const char *request_id(const struct request *request)
{
    const char *given = fh_args_value(request->session->args, "request-id");
    return given != NULL ? given : request->request_id;
}

static void request_close(struct request *request)
{
    fh_columns_close(&request->columns);
    fh_arena_close(&request->arena);
    fh_buf_close(&request->name);
}

/* The length of "name" in "name=value" or "name:=json"; 0 when it is neither. */
static size_t field_name_len(const char *argument)
{
    const size_t len =
        strspn(argument, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    if (len == 0 || (argument[0] >= '0' && argument[0] <= '9')) {
        return 0;
    }
    return argument[len] == '=' || (argument[len] == ':' && argument[len + 1] == '=') ? len : 0;
}

static enum fh_code take_field(struct request *request, const char *argument,
                               struct fh_error *error)
{
    const size_t len = field_name_len(argument);
    const size_t at = request->record.n_fields;
    Freehold__V1__Value *value = &request->values[at];
    Freehold__V1__Record__FieldsEntry *entry = &request->entries[at];
    struct fh_str name = {.data = argument, .len = len};
    struct fh_error cause = FH_ERROR_INIT;
    enum fh_code code;
    if (request->columns.complete && fh_columns_find(&request->columns, name) == NULL) {
        return fh_error_set(error, FH_INVALID, "table %s has no column '%.*s'",
                            request->columns.table, (int)len, argument);
    }
    const enum fh_kind kind = fh_columns_kind(&request->columns, name);
    if (argument[len] == '=') {
        code = fh_convert_text(fh_str_of(argument + len + 1), kind, &request->arena, value, &cause);
    } else {
        json_t *json =
            json_loads(argument + len + 2, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
        code = json != NULL ? fh_convert_json(json, kind, &request->arena, value, &cause)
                            : fh_error_set(&cause, FH_INVALID, "after := stands no JSON");
        json_decref(json);
    }
    if (code != FH_OK) {
        return fh_error_set(error, code, "column %.*s: %s", (int)len, argument,
                            fh_error_text(&cause));
    }
    freehold__v1__record__fields_entry__init(entry);
    entry->key = fh_arena_copy(&request->arena, argument, len);
    entry->value = value;
    request->entry_pointers[at] = entry;
    request->mask_paths[at] = entry->key;
    request->record.n_fields++;
    return entry->key != NULL ? FH_OK : fh_error_set(error, FH_NOMEM, "out of memory");
}

/* How many of the arguments behind the table are parts of the key. */
static size_t key_parts(const struct request *request, bool fields)
{
    const struct fh_args *args = request->session->args;
    const size_t rest = args->argument_count - 1;
    if (!fields) {
        return rest;
    }
    if (request->columns.key_count > 0 && request->columns.key_count <= rest) {
        return request->columns.key_count;
    }
    size_t count = 0;
    while (count < rest && field_name_len(args->arguments[1 + count]) == 0) {
        count++;
    }
    return count;
}

static int read_name(struct request *request, size_t parts)
{
    const struct fh_args *args = request->session->args;
    struct fh_str key[FH_ARGS_MAX];
    if (strchr(args->arguments[0], '/') != NULL) {
        fh_buf_add_text(&request->name, args->arguments[0]);
    } else if (parts == 0) {
        return fh_session_fail(request->session, FH_EXIT_USAGE,
                               "which record? Give its key behind the table");
    } else {
        for (size_t i = 0; i < parts; i++) {
            key[i] = fh_str_of(args->arguments[1 + i]);
        }
        fh_text_add_record_name(&request->name, fh_session_tenant_prefix(request->session),
                                args->arguments[0], key, parts);
    }
    return fh_buf_code(&request->name) == FH_OK
               ? FH_EXIT_OK
               : fh_session_fail(request->session, FH_EXIT_USAGE, "the key is too long");
}

static int read_fields(struct request *request, size_t from)
{
    const struct fh_args *args = request->session->args;
    for (size_t i = from; i < args->argument_count; i++) {
        struct fh_error error = FH_ERROR_INIT;
        if (field_name_len(args->arguments[i]) == 0) {
            return fh_session_fail(request->session, FH_EXIT_USAGE,
                                   "'%.64s' is neither field=value nor field:=json",
                                   args->arguments[i]);
        }
        if (take_field(request, args->arguments[i], &error) != FH_OK) {
            return fh_session_fail_error(request->session, &error);
        }
    }
    return FH_EXIT_OK;
}

static int request_open(struct request *request, struct fh_session *session, bool fields)
{
    const char *table = session->args->arguments[0];
    const struct fh_uuid id = fh_uuid_v7(fh_clock_realtime_us(fh_clock_system()));
    const char *etag = fh_args_value(session->args, "etag");
    memset(request, 0, sizeof(*request));
    request->session = session;
    fh_uuid_format(&id, request->request_id);
    fh_arena_init(&request->arena, ARENA_BYTES_MAX);
    fh_buf_init(&request->name, NAME_BYTES_MAX);
    freehold__v1__record__init(&request->record);
    google__protobuf__field_mask__init(&request->mask);
    int exit_code = fh_session_tenant(session, &request->client);
    const bool whole = strchr(table, '/') != NULL;
    if (exit_code == FH_EXIT_OK && fields && !whole) {
        exit_code = fh_columns_open(&request->columns, session, table);
    }
    if (exit_code != FH_EXIT_OK) {
        return exit_code;
    }
    const size_t parts = whole ? 0 : key_parts(request, fields);
    exit_code = read_name(request, parts);
    if (exit_code == FH_EXIT_OK) {
        exit_code = read_fields(request, 1 + parts);
    }
    request->record.name = request->name.data;
    request->record.fields = request->entry_pointers;
    request->record.etag = fh_text_field(etag);
    request->mask.paths = request->mask_paths;
    request->mask.n_paths = request->record.n_fields;
    return exit_code;
}

/* To settle it the write must be repeated under its id, which nobody may have chosen. */
static void tell_request_id(const struct request *request, int exit_code)
{
    if (exit_code == FH_EXIT_UNKNOWN) {
        fh_session_note(request->session, "  this write: --request-id %s", request_id(request));
    }
}

/* Calls a method that answers a record, and shows it. */
static int call(struct request *request, const char *method, const ProtobufCMessage *message)
{
    ProtobufCMessage *response = NULL;
    int exit_code =
        fh_session_invoke(request->session, request->client, SERVICE, method, message, &response);
    if (exit_code == FH_EXIT_OK) {
        exit_code = request->session->output == FH_OUTPUT_TABLE
                        ? fh_record_print(request->session, (const Freehold__V1__Record *)response)
                        : fh_session_write_json(request->session, response);
    }
    tell_request_id(request, exit_code);
    fh_client_message_free(response);
    return exit_code;
}

static int get_run(struct fh_session *session)
{
    struct request request;
    Freehold__V1__GetRecordRequest message = FREEHOLD__V1__GET_RECORD_REQUEST__INIT;
    int exit_code = request_open(&request, session, false);
    if (exit_code == FH_EXIT_OK) {
        message.name = request.name.data;
        message.show_deleted = fh_args_has(session->args, "deleted");
        exit_code = call(&request, "GetRecord", &message.base);
    }
    request_close(&request);
    return exit_code;
}

static int create_run(struct fh_session *session)
{
    struct request request;
    Freehold__V1__CreateRecordRequest message = FREEHOLD__V1__CREATE_RECORD_REQUEST__INIT;
    int exit_code = request_open(&request, session, true);
    if (exit_code == FH_EXIT_OK) {
        message.record = &request.record;
        message.request_id = fh_text_field(request_id(&request));
        message.validate_only = fh_args_has(session->args, "dry-run");
        exit_code = call(&request, "CreateRecord", &message.base);
    }
    request_close(&request);
    return exit_code;
}

static int update_run(struct fh_session *session)
{
    struct request request;
    Freehold__V1__UpdateRecordRequest message = FREEHOLD__V1__UPDATE_RECORD_REQUEST__INIT;
    int exit_code = request_open(&request, session, true);
    if (exit_code == FH_EXIT_OK && request.record.n_fields == 0) {
        exit_code = fh_session_fail(session, FH_EXIT_USAGE, "change what? Give field=value");
    }
    if (exit_code == FH_EXIT_OK) {
        message.record = &request.record;
        message.update_mask = &request.mask;
        message.request_id = fh_text_field(request_id(&request));
        message.validate_only = fh_args_has(session->args, "dry-run");
        message.allow_missing = fh_args_has(session->args, "create");
        exit_code = call(&request, "UpdateRecord", &message.base);
    }
    request_close(&request);
    return exit_code;
}

static int delete_run(struct fh_session *session)
{
    struct request request;
    Freehold__V1__DeleteRecordRequest message = FREEHOLD__V1__DELETE_RECORD_REQUEST__INIT;
    int exit_code = request_open(&request, session, false);
    if (exit_code == FH_EXIT_OK) {
        message.name = request.name.data;
        message.etag = request.record.etag;
        message.request_id = fh_text_field(request_id(&request));
        message.validate_only = fh_args_has(session->args, "dry-run");
        exit_code = call(&request, "DeleteRecord", &message.base);
    }
    request_close(&request);
    return exit_code;
}

static int undelete_run(struct fh_session *session)
{
    struct request request;
    Freehold__V1__UndeleteRecordRequest message = FREEHOLD__V1__UNDELETE_RECORD_REQUEST__INIT;
    int exit_code = request_open(&request, session, false);
    if (exit_code == FH_EXIT_OK) {
        message.name = request.name.data;
        message.etag = request.record.etag;
        message.request_id = fh_text_field(request_id(&request));
        message.validate_only = fh_args_has(session->args, "dry-run");
        exit_code = call(&request, "UndeleteRecord", &message.base);
    }
    request_close(&request);
    return exit_code;
}

static int purge_run(struct fh_session *session)
{
    struct request request;
    Freehold__V1__PurgeRecordRequest message = FREEHOLD__V1__PURGE_RECORD_REQUEST__INIT;
    ProtobufCMessage *response = NULL;
    int exit_code = request_open(&request, session, false);
    if (exit_code == FH_EXIT_OK) {
        message.name = request.name.data;
        message.etag = request.record.etag;
        message.request_id = fh_text_field(request_id(&request));
        message.validate_only = fh_args_has(session->args, "dry-run");
        exit_code = fh_session_invoke(session, request.client, SERVICE, "PurgeRecord",
                                      &message.base, &response);
    }
    if (exit_code == FH_EXIT_OK && session->output != FH_OUTPUT_TABLE) {
        exit_code = fh_session_write_json(session, response);
    } else if (exit_code == FH_EXIT_OK) {
        fh_session_note(session, "purged");
    }
    tell_request_id(&request, exit_code);
    fh_client_message_free(response);
    request_close(&request);
    return exit_code;
}

static const struct fh_option get_options[] = {
    {"deleted", 0, NULL, "a deleted record, too"},
    {0},
};
#define WRITE_OPTIONS                                                                 \
    {"request-id", 0, "ID", "makes repeating the command safe (default: a new one)"}, \
    {                                                                                 \
        "dry-run", 0, NULL, "check everything, change nothing"                        \
    }
static const struct fh_option create_options[] = {WRITE_OPTIONS, {0}};
static const struct fh_option update_options[] = {
    WRITE_OPTIONS,
    {"etag", 0, "ETAG", "only if the record still has it"},
    {"create", 0, NULL, "create the record when there is none"},
    {0},
};
static const struct fh_option delete_options[] = {
    WRITE_OPTIONS,
    {"etag", 0, "ETAG", "only if the record still has it"},
    {0},
};

#define FIELDS_HELP                                                                                \
    "One argument for each part of the key. field=value takes the column's type from the schema\n" \
    "when an operator's access is set; else true, false and numbers count as such and the rest "   \
    "is\n"                                                                                         \
    "text. field:=json takes the value as JSON: n:=null, s:='\"7\"'."

const struct fh_command fh_data_commands[] = {
    {"data", "get", "TABLE KEY...", "Show a record",
     "One argument for each part of the key; or one argument with the record's whole name.",
     get_options, 1, FH_ARGS_MAX, get_run},
    {"data", "list", "TABLE", "List records in the order of their key", NULL,
     fh_record_list_options, 1, 1, fh_record_list_run},
    {"data", "create", "TABLE KEY... [FIELD=VALUE]...", "Create a record", FIELDS_HELP,
     create_options, 1, FH_ARGS_MAX, create_run},
    {"data", "update", "TABLE KEY... FIELD=VALUE...", "Change fields of a record", FIELDS_HELP,
     update_options, 2, FH_ARGS_MAX, update_run},
    {"data", "delete", "TABLE KEY...", "Delete a record (it can be undeleted)", NULL,
     delete_options, 1, FH_ARGS_MAX, delete_run},
    {"data", "undelete", "TABLE KEY...", "Bring a deleted record back", NULL, delete_options, 1,
     FH_ARGS_MAX, undelete_run},
    {"data", "purge", "TABLE KEY...", "Remove a record for good", NULL, delete_options, 1,
     FH_ARGS_MAX, purge_run},
    {"data", "import", "TABLE FILE", "Write a file's rows as records",
     "FILE is CSV with a header line, or NDJSON: one JSON object a line; - is standard input. "
     "Rows\n"
     "replace records of the same key (--insert: the key must be free), up to 500 in one atomic\n"
     "commit, several commits under way at once. Run the same command again after a crash or a "
     "lost\n"
     "connection: commits that were made are recognised and not made twice.\n\n"
     "CSV: RFC 4180, UTF-8; an empty field is null, \"\" is an empty text. NDJSON: objects and\n"
     "arrays go into jsonb columns. Column types and the key come from the schema when an "
     "operator's\n"
     "access is set; else give --key, and --types for columns that do not look like what they are.",
     fh_import_options, 2, 2, fh_import_run},
    {0},
};
